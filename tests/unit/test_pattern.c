/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pattern.c: which texts are a domain pattern and what they become, and which are an address
 * or a prefix.
 */
#include <errno.h>

#include "diag_expect.h"
#include "document/pattern.h"
#include "document/prefix.h"

static void expect_pattern(const char *text, const char *canonical, enum sl_pattern_kind expected)
{
	char *copy = exactly(text, strlen(text));
	char out[SL_NAME_MAX + 1], why[160] = "";
	enum sl_pattern_kind kind = SL_PATTERN_EXACT;
	int len = sl_pattern_normalise(copy, strlen(text), out, &kind, why, sizeof(why));

	free(copy);
	if (len < 0)
		fail_msg("\"%s\" %s", text, why);
	assert_string_equal(out, canonical);
	assert_int_equal(len, strlen(canonical));
	assert_int_equal(kind, expected);
}

static void expect_refusal(const char *text, size_t size, const char *words)
{
	char *copy = exactly(text, size);
	char out[SL_NAME_MAX + 1], why[160] = "";
	enum sl_pattern_kind kind;
	int len = sl_pattern_normalise(copy, size, out, &kind, why, sizeof(why));

	free(copy);
	if (len != -EINVAL)
		fail_msg("\"%.*s\" was taken", (int)size, text);
	if (strstr(why, words) == NULL)
		fail_msg("\"%.*s\" %s (and not %s)", (int)size, text, why, words);
}

static void refuse(const char *text, const char *words)
{
	expect_refusal(text, strlen(text), words);
}

static void pattern_of_each_kind_is_told_apart(void **state)
{
	expect_pattern("example.com", "example.com", SL_PATTERN_EXACT);
	expect_pattern("localhost", "localhost", SL_PATTERN_EXACT);
	expect_pattern("*.example.com", "*.example.com", SL_PATTERN_BELOW);
	expect_pattern("*.com", "*.com", SL_PATTERN_BELOW);
	expect_pattern("*", "*", SL_PATTERN_ANY);
	expect_pattern("www.*.com", "www.*.com", SL_PATTERN_INNER);
	expect_pattern("*.*.x", "*.*.x", SL_PATTERN_INNER);
	expect_pattern("*.*", "*.*", SL_PATTERN_INNER);
	expect_pattern("x.*", "x.*", SL_PATTERN_INNER);
}

static void pattern_case_and_one_trailing_dot_are_ignored(void **state)
{
	expect_pattern("EXAMPLE.Com.", "example.com", SL_PATTERN_EXACT);
	expect_pattern("*.Example.COM.", "*.example.com", SL_PATTERN_BELOW);
	refuse("example.com..", "empty label");
}

static void pattern_alphabet_has_hyphen_and_underscore(void **state)
{
	expect_pattern("_acme-challenge.a-b.x9", "_acme-challenge.a-b.x9", SL_PATTERN_EXACT);
	expect_pattern("3com.com", "3com.com", SL_PATTERN_EXACT);
	refuse("a b.com", "blank");
	refuse("user@example.com", "\"@\"");
	refuse("exa$mple.com", "\"$\"");
	expect_refusal("a\0b.com", 7, "0x00");
	expect_refusal("a\x01.com", 6, "0x01");
}

static void pattern_star_inside_a_label_is_refused(void **state)
{
	refuse("api*.x.com", "whole label");
	refuse("*api.x.com", "whole label");
	refuse("**.x.com", "whole label");
	refuse("a.*b.com", "whole label");
	refuse("b\xc3\xbc*.com", "whole label");
}

static void pattern_pasted_url_port_or_path_is_refused(void **state)
{
	refuse("x:443", "port");
	refuse("example.com:443", "port");
	refuse("http://x", "URL");
	refuse("https://example.com/", "URL");
	refuse("example.com/path", "path");
}

static void pattern_address_is_refused(void **state)
{
	refuse("192.0.2.1", "IP address");
	refuse("192.0.2.1.", "IP address");
	refuse("2001:db8::1", "IP address");
	refuse("[2001:db8::1]", "IP address");
	refuse("10.0.0.0/8", "IP address");
	refuse("2001:db8::/32", "IP address");
	refuse("0x7f.1", "IP address");
	refuse("127.1", "IP address");
	refuse("*.1", "IP address");
	/* Fullwidth digits map to ASCII ones (UTS 46). */
	refuse("\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1", "IP address");
}

static void pattern_empty_labels_are_refused(void **state)
{
	refuse("", "empty");
	refuse(".", "empty label");
	refuse("*.", "empty label");
	refuse(".x", "empty label");
	refuse("a..b", "empty label");
	refuse("*..b", "empty label");
}

static void pattern_lengths_are_bounded(void **state)
{
	char text[4096];

	memset(text, 'a', sizeof(text));
	memcpy(text + 63, ".x", 3);
	expect_pattern(text, text, SL_PATTERN_EXACT);
	memcpy(text + 63, "a.x", 4);
	refuse(text, "63 bytes");

	for (size_t i = 0; i < 254; i++)
		text[i] = i % 2 == 0 ? 'a' : '.';
	text[253] = '\0';
	expect_pattern(text, text, SL_PATTERN_EXACT);
	memcpy(text + 253, ".", 2);
	text[254] = '\0';
	text[253] = 'a';
	refuse(text, "253 bytes");

	memset(text, 'a', sizeof(text));
	expect_refusal(text, sizeof(text), "253 bytes");
}

static void pattern_international_labels_become_punycode(void **state)
{
	expect_pattern("b\xc3\xbc"
	               "cher.example",
	               "xn--bcher-kva.example", SL_PATTERN_EXACT);
	expect_pattern("*.B\xc3\x9c"
	               "CHER.example.",
	               "*.xn--bcher-kva.example", SL_PATTERN_BELOW);
	/* u and a combining diaeresis are the same letter (NFC). */
	expect_pattern("bu\xcc\x88"
	               "cher.example",
	               "xn--bcher-kva.example", SL_PATTERN_EXACT);
	expect_pattern("xn--bcher-kva.example", "xn--bcher-kva.example", SL_PATTERN_EXACT);
	/* IDNA2008 keeps the sharp s. */
	expect_pattern("fa\xc3\x9f.de", "xn--fa-hia.de", SL_PATTERN_EXACT);
	/* The ideographic full stop is a dot (UTS 46). */
	expect_pattern("\xe6\x97\xa5\xe6\x9c\xac\xe3\x80\x82jp", "xn--wgv71a.jp", SL_PATTERN_EXACT);
}

static void pattern_international_mistakes_are_refused(void **state)
{
	refuse("\xe2\x98\x83.com", "international"); /* a snowman is not a letter */
	refuse("\xef\xbc\x8a.com", "`*`");           /* fullwidth asterisk */
	refuse("\xef\xbc\x8e\xef\xbc\x8e.com", "");  /* fullwidth full stops: empty labels */
}

/* ---- prefixes ---- */

static void expect_prefix(const char *text, const char *formatted)
{
	char *copy = exactly(text, strlen(text));
	char out[SL_PREFIX_TEXT_MAX], why[160] = "";
	struct sl_prefix prefix;
	int rc = sl_prefix_parse(copy, strlen(text), &prefix, why, sizeof(why));

	free(copy);
	if (rc < 0)
		fail_msg("\"%s\" %s", text, why);
	assert_string_equal(sl_prefix_format(&prefix, out), formatted);
}

static void refuse_prefix(const char *text, const char *words)
{
	char *copy = exactly(text, strlen(text));
	struct sl_prefix prefix;
	char why[160] = "";
	int rc = sl_prefix_parse(copy, strlen(text), &prefix, why, sizeof(why));

	free(copy);
	if (rc != -EINVAL)
		fail_msg("\"%s\" was taken", text);
	if (strstr(why, words) == NULL)
		fail_msg("\"%s\" %s (and not %s)", text, why, words);
}

static void prefix_of_either_family_is_read(void **state)
{
	expect_prefix("10.0.0.0/8", "10.0.0.0/8");
	expect_prefix("0.0.0.0/0", "0.0.0.0/0");
	expect_prefix("192.0.2.1/32", "192.0.2.1/32");
	expect_prefix("2001:DB8::/32", "2001:db8::/32");
	expect_prefix("::/0", "::/0");
	expect_prefix("::ffff:0:0/96", "::ffff:0.0.0.0/96");
	expect_prefix("2001:db8::1/128", "2001:db8::1/128");
	expect_prefix("fe80::/10", "fe80::/10");
}

static void prefix_of_bare_address_is_one_host(void **state)
{
	expect_prefix("192.0.2.1", "192.0.2.1/32");
	expect_prefix("::1", "::1/128");
}

static void prefix_host_bits_are_refused_with_the_right_text(void **state)
{
	refuse_prefix("10.1.2.3/8", "write 10.0.0.0/8");
	refuse_prefix("192.0.2.1/31", "write 192.0.2.0/31");
	refuse_prefix("128.0.0.0/0", "write 0.0.0.0/0");
	refuse_prefix("2001:db8::1/64", "write 2001:db8::/64");
	refuse_prefix("2001:db8:8000::/32", "write 2001:db8::/32");
}

static void prefix_leading_zero_is_refused(void **state)
{
	refuse_prefix("010.0.0.0/8", "leading zero");
	refuse_prefix("10.0.00.0/8", "leading zero");
	refuse_prefix("10.0.0.01", "leading zero");
	refuse_prefix("10.0.0.0/08", "plain decimal");
}

static void prefix_length_out_of_range_is_refused(void **state)
{
	refuse_prefix("10.0.0.0/33", "out of range (0 to 32)");
	refuse_prefix("10.0.0.0/4294967304", "out of range");
	refuse_prefix("2001:db8::/129", "out of range (0 to 128)");
	refuse_prefix("10.0.0.0/", "plain decimal");
	refuse_prefix("10.0.0.0/-1", "plain decimal");
	refuse_prefix("10.0.0.0/+8", "plain decimal");
	refuse_prefix("10.0.0.0/8 ", "plain decimal");
	refuse_prefix("10.0.0.0/0x8", "plain decimal");
	refuse_prefix("10.0.0.0/255.0.0.0", "netmask");
}

static void prefix_that_is_no_address_is_refused(void **state)
{
	refuse_prefix("", "no address");
	refuse_prefix("/8", "no address");
	refuse_prefix("10.0.0/8", "no IPv4");
	refuse_prefix("10.1", "no IPv4");
	refuse_prefix("256.0.0.1", "no IPv4");
	refuse_prefix("1.2.3.4.5", "no IPv4");
	refuse_prefix("0x0a.0.0.1", "no IPv4");
	refuse_prefix(" 10.0.0.1", "no IPv4");
	refuse_prefix("example.com", "no IPv4");
	refuse_prefix("2001:db8::1::2", "no IPv6");
	refuse_prefix("12345::", "no IPv6");
	refuse_prefix("[::1]", "brackets");
	refuse_prefix("fe80::1%eth0", "zone");
}

static void prefix_of_mapped_ipv4_is_refused(void **state)
{
	refuse_prefix("::ffff:192.0.2.1", "write 192.0.2.1/32");
	refuse_prefix("::ffff:10.0.0.0/104", "write 10.0.0.0/8");
}

static void prefix_lists_are_sorted_and_unique(void **state)
{
	const char *texts[] = {"2001:db8::/32", "10.0.0.0/16", "9.0.0.0/8", "10.0.0.0/8",
	                       "10.0.0.0/16"};
	const char *sorted[] = {"9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "2001:db8::/32"};
	struct sl_prefix list[COUNT(texts)];
	char why[160], out[SL_PREFIX_TEXT_MAX];

	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(
		        sl_prefix_parse(texts[i], strlen(texts[i]), &list[i], why, sizeof(why)), 0);
	assert_int_equal(sl_prefix_sort_unique(list, COUNT(texts)), COUNT(sorted));
	for (size_t i = 0; i < COUNT(sorted); i++)
		assert_string_equal(sl_prefix_format(&list[i], out), sorted[i]);
}

static void prefix_covers_its_own_part_only(void **state)
{
	const char *texts[] = {"10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8", "::/0", "a00::/8"};
	struct sl_prefix p[COUNT(texts)];
	char why[160];

	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(
		        sl_prefix_parse(texts[i], strlen(texts[i]), &p[i], why, sizeof(why)), 0);
	assert_true(sl_prefix_covers(&p[0], &p[1]));
	assert_true(sl_prefix_covers(&p[0], &p[0]));
	assert_true(sl_prefix_covers(&p[3], &p[4]));
	assert_false(sl_prefix_covers(&p[1], &p[0]));
	assert_false(sl_prefix_covers(&p[2], &p[1]));
	assert_false(sl_prefix_covers(&p[0], &p[4]));
	assert_false(sl_prefix_covers(&p[3], &p[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(pattern_of_each_kind_is_told_apart),
	        cmocka_unit_test(pattern_case_and_one_trailing_dot_are_ignored),
	        cmocka_unit_test(pattern_alphabet_has_hyphen_and_underscore),
	        cmocka_unit_test(pattern_star_inside_a_label_is_refused),
	        cmocka_unit_test(pattern_pasted_url_port_or_path_is_refused),
	        cmocka_unit_test(pattern_address_is_refused),
	        cmocka_unit_test(pattern_empty_labels_are_refused),
	        cmocka_unit_test(pattern_lengths_are_bounded),
	        cmocka_unit_test(pattern_international_labels_become_punycode),
	        cmocka_unit_test(pattern_international_mistakes_are_refused),
	        cmocka_unit_test(prefix_of_either_family_is_read),
	        cmocka_unit_test(prefix_of_bare_address_is_one_host),
	        cmocka_unit_test(prefix_host_bits_are_refused_with_the_right_text),
	        cmocka_unit_test(prefix_leading_zero_is_refused),
	        cmocka_unit_test(prefix_length_out_of_range_is_refused),
	        cmocka_unit_test(prefix_that_is_no_address_is_refused),
	        cmocka_unit_test(prefix_of_mapped_ipv4_is_refused),
	        cmocka_unit_test(prefix_lists_are_sorted_and_unique),
	        cmocka_unit_test(prefix_covers_its_own_part_only),
	};

	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
