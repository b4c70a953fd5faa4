/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hostname.c: the canonical form of names, byte for byte, against a second opinion.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "expect.h"
#include "rows.h"
#include "sluice/hostname.h"

static void expect_form(const char *name, const char *form)
{
	char out[SL_NAME_MAX + 1];
	int len = sl_hostname_normalise((const uint8_t *)name, strlen(name), out);

	if (form == NULL) {
		assert_int_equal(len, -EINVAL);
		return;
	}
	assert_int_equal(len, strlen(form));
	assert_string_equal(out, form);
}

static void normalise_mixed_case_lowers(void **state)
{
	expect_form("ExAmPlE.CoM", "example.com");
	expect_form("registry.npmjs.org", "registry.npmjs.org");
	expect_form("_dmarc.A-b.0z", "_dmarc.a-b.0z");
	expect_form("x", "x");
}

static void normalise_one_trailing_dot_drops_it(void **state)
{
	expect_form("example.com.", "example.com");
	expect_form("com.", "com");
}

static void normalise_empty_labels_refuses(void **state)
{
	static const char *const names[] = {
	        "", ".", "..", "example.com..", ".example.com", "a..b", "...",
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		row(names[i]);
		expect_form(names[i], NULL);
	}
}

static void normalise_every_byte_takes_only_the_alphabet(void **state)
{
	static const char alphabet[] =
	        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	char out[SL_NAME_MAX + 1];

	for (int byte = 0; byte < 256; byte++) {
		uint8_t name[3] = {'a', (uint8_t)byte, 'b'};
		int len = sl_hostname_normalise(name, 3, out);
		bool legal = byte == '.' || (byte != 0 && strchr(alphabet, byte) != NULL);

		assert_int_equal(len, legal ? 3 : -EINVAL);
		if (legal && byte >= 'A' && byte <= 'Z')
			assert_int_equal(out[1], byte - 'A' + 'a');
		else if (legal)
			assert_int_equal(out[1], byte);
	}
}

static void normalise_label_63_passes_64_refuses(void **state)
{
	char name[80];

	memset(name, 'a', sizeof(name));
	memcpy(name + 63, ".com", 5);
	expect_form(name, name);
	memset(name, 'a', sizeof(name));
	memcpy(name + 64, ".com", 5);
	expect_form(name, NULL);
}

static void normalise_name_253_passes_254_refuses(void **state)
{
	char name[260], out[SL_NAME_MAX + 1];

	memset(name, 'a', sizeof(name));
	for (size_t i = 49; i < sizeof(name); i += 50)
		name[i] = '.';
	name[252] = 'a';
	assert_int_equal(sl_hostname_normalise((uint8_t *)name, 253, out), 253);
	assert_int_equal(strlen(out), 253);
	name[253] = '.';
	assert_int_equal(sl_hostname_normalise((uint8_t *)name, 254, out), 253);
	name[253] = 'a';
	assert_int_equal(sl_hostname_normalise((uint8_t *)name, 254, out), -EINVAL);
	name[254] = '.';
	assert_int_equal(sl_hostname_normalise((uint8_t *)name, 255, out), -EINVAL);
}

static void normalise_own_output_is_unchanged(void **state)
{
	expect_form("a.b-c.d_e.9", "a.b-c.d_e.9");
}

static void is_address_number_at_the_end_is_one(void **state)
{
	static const char *const addresses[] = {
	        "1.2.3.4", "127.1",   "2130706433",  "0x7f000001", "0x7f.1", "0177.0.0.1",
	        "0x",      "foo.0x1", "example.123", "1.2.3.08",   "0xdead", "999.999.999.999",
	};
	static const char *const names[] = {
	        "example.com", "1.2.3.4.com", "0x.com",  "0xg",
	        "x0",          "1a",          "a1",      "1-2",
	        "0-1",         "0x-1",        "4.3.2.a", "1.2.3.4.in-addr.arpa",
	        "_1",          "0_1",         "foo.0xz", "123.e0x12",
	};

	for (size_t i = 0; i < COUNT(addresses); i++) {
		row(addresses[i]);
		assert_true(sl_hostname_is_address(addresses[i], strlen(addresses[i])));
	}
	for (size_t i = 0; i < COUNT(names); i++) {
		row(names[i]);
		assert_false(sl_hostname_is_address(names[i], strlen(names[i])));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(normalise_mixed_case_lowers),
	        cmocka_unit_test(normalise_one_trailing_dot_drops_it),
	        cmocka_unit_test(normalise_empty_labels_refuses),
	        cmocka_unit_test(normalise_every_byte_takes_only_the_alphabet),
	        cmocka_unit_test(normalise_label_63_passes_64_refuses),
	        cmocka_unit_test(normalise_name_253_passes_254_refuses),
	        cmocka_unit_test(normalise_own_output_is_unchanged),
	        cmocka_unit_test(is_address_number_at_the_end_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
