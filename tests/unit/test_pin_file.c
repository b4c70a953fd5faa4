/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pin_file.c: the bytes of a file of pins: what was written is read, and nothing of a file of
 * which a single byte is another, or is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "exactly.h"
#include "state/pin_file.h"

#define WRITTEN   1700000000ull
#define LONG_NAME "a-name-of-a-sandbox-with-\xc3\xa9-in-it"

static const struct sl_addr resolvers[] = {{SL_FAMILY_4, {203, 0, 113, 53}},
                                           {SL_FAMILY_6, {0x20, 0x01, 0x0d, 0xb8}}};

static struct sl_pin_owner owner_of(enum sl_pin_owner_kind kind, const char *text)
{
	struct sl_pin_owner owner = {.kind = (uint8_t)kind, .len = (uint8_t)strlen(text)};

	memcpy(owner.text, text, owner.len);
	return owner;
}

static struct sl_pin_record pin_of(uint8_t last, const char *name, uint32_t life_s, uint64_t left_s)
{
	return (struct sl_pin_record){
	        .addr = {SL_FAMILY_4, {198, 51, 100, last}},
	        .name = name,
	        .name_len = (uint8_t)strlen(name),
	        .life_s = life_s,
	        .expires_s = WRITTEN + left_s,
	};
}

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Two sandboxes, one with a name, and three pins. */
static struct sl_pin_bytes sample(void)
{
	struct sl_pin_bytes file = {0}, one = {0}, other = {0};
	struct sl_pin_owner named = owner_of(SL_PIN_OWNER_NAME, LONG_NAME);
	struct sl_pin_owner hashed = owner_of(SL_PIN_OWNER_POLICY, HASH);
	struct sl_pin_record pin = pin_of(10, "registry.npmjs.org", 3600, 1800);

	assert_true(sl_pin_file_put_pin(&one, &pin));
	pin.addr = (struct sl_addr){SL_FAMILY_6, {0x20, 1, 0xd, 0xb8, 0, 0x10, [15] = 0x10}};
	assert_true(sl_pin_file_put_pin(&one, &pin));
	pin = pin_of(12, "github.com", 86400, 86400);
	assert_true(sl_pin_file_put_pin(&other, &pin));
	sl_pin_file_begin(&file, WRITTEN, resolvers, 2);
	sl_pin_file_put_sandbox(&file, 101, &named, &one, 2);
	sl_pin_file_put_sandbox(&file, 4094, &hashed, &other, 1);
	assert_true(sl_pin_file_end(&file, 2));
	sl_pin_bytes_free(&one);
	sl_pin_bytes_free(&other);
	return file;
}

/* A copy of exactly these bytes, which a sanitiser watches. */
static bool opens(const uint8_t *bytes, size_t len, const char **why)
{
	uint8_t *copy = exactly(bytes, len);
	struct sl_pin_file file;
	bool sound = sl_pin_file_open(&file, copy, len, why);

	free(copy);
	return sound;
}

static void file_written_is_read(void **state)
{
	struct sl_pin_bytes bytes = sample();
	struct sl_pin_sandbox sandbox;
	struct sl_pin_record pin;
	struct sl_pin_file file;
	const char *why;

	assert_true(sl_pin_file_open(&file, bytes.at, bytes.len, &why));
	assert_int_equal(file.written_s, WRITTEN);
	assert_int_equal(file.resolver_count, 2);
	assert_memory_equal(file.resolvers, resolvers, sizeof(resolvers));
	assert_int_equal(file.sandboxes, 2);

	assert_true(sl_pin_file_next(&file, &sandbox));
	assert_int_equal(sandbox.vlan, 101);
	assert_int_equal(sandbox.owner.kind, SL_PIN_OWNER_NAME);
	assert_int_equal(sandbox.owner.len, strlen(LONG_NAME));
	assert_memory_equal(sandbox.owner.text, LONG_NAME, sandbox.owner.len);
	assert_int_equal(sandbox.pins, 2);
	assert_true(sl_pin_file_next_pin(&sandbox, &pin));
	assert_int_equal(pin.addr.family, SL_FAMILY_4);
	assert_memory_equal(pin.addr.bytes, "\xc6\x33\x64\x0a", 5); /* and zero behind it */
	assert_int_equal(pin.life_s, 3600);
	assert_int_equal(pin.expires_s, WRITTEN + 1800);
	assert_int_equal(pin.name_len, 18);
	assert_memory_equal(pin.name, "registry.npmjs.org", 18);
	/* the second is left unread: the next sandbox is found all the same */
	assert_true(sl_pin_file_next(&file, &sandbox));
	assert_int_equal(sandbox.vlan, 4094);
	assert_int_equal(sandbox.owner.kind, SL_PIN_OWNER_POLICY);
	assert_true(sl_pin_file_next_pin(&sandbox, &pin));
	assert_memory_equal(pin.name, "github.com", pin.name_len);
	assert_false(sl_pin_file_next_pin(&sandbox, &pin));
	assert_false(sl_pin_file_next(&file, &sandbox));
	sl_pin_bytes_free(&bytes);
}

static void file_without_pins_is_sound(void **state)
{
	struct sl_pin_bytes bytes = {0};
	struct sl_pin_sandbox sandbox;
	struct sl_pin_file file;
	const char *why;

	sl_pin_file_begin(&bytes, WRITTEN, NULL, 0);
	assert_true(sl_pin_file_end(&bytes, 0));
	assert_int_equal(bytes.len, SL_PIN_FILE_MIN);
	assert_true(sl_pin_file_open(&file, bytes.at, bytes.len, &why));
	assert_false(sl_pin_file_next(&file, &sandbox));
	sl_pin_bytes_free(&bytes);
}

/* ---- damage ---- */

static void file_cut_anywhere_is_refused(void **state)
{
	struct sl_pin_bytes bytes = sample();
	const char *why;

	assert_true(opens(bytes.at, bytes.len, &why));
	for (size_t len = 0; len < bytes.len; len++)
		assert_false(opens(bytes.at, len, &why));
	sl_pin_bytes_free(&bytes);
}

static void file_with_more_behind_it_is_refused(void **state)
{
	struct sl_pin_bytes bytes = sample();
	uint8_t *longer = calloc(1, bytes.len + 64);
	const char *why;

	memcpy(longer, bytes.at, bytes.len);
	for (size_t more = 1; more <= 64; more++)
		assert_false(opens(longer, bytes.len + more, &why));
	assert_string_equal(why, "it has not the length that it says");
	free(longer);
	sl_pin_bytes_free(&bytes);
}

static void file_with_any_byte_flipped_is_refused(void **state)
{
	struct sl_pin_bytes bytes = sample();
	const char *why;

	for (size_t i = 0; i < bytes.len; i++)
		for (unsigned flip = 1; flip < 256; flip++) {
			bytes.at[i] ^= (uint8_t)flip;
			assert_false(opens(bytes.at, bytes.len, &why));
			bytes.at[i] ^= (uint8_t)flip;
		}
	assert_true(opens(bytes.at, bytes.len, &why));
	sl_pin_bytes_free(&bytes);
}

static void file_says_what_is_wrong_with_it(void **state)
{
	struct sl_pin_bytes bytes = sample();
	const char *why;

	assert_false(opens(bytes.at, 0, &why));
	assert_string_equal(why, "it is cut short");
	assert_false(opens(bytes.at, bytes.len - 1, &why));
	assert_string_equal(why, "it has not the length that it says");
	bytes.at[bytes.len - 1] ^= 1;
	assert_false(opens(bytes.at, bytes.len, &why));
	assert_string_equal(why, "its checksum is wrong");
	bytes.at[11] = SL_PIN_FILE_VERSION + 1;
	assert_false(opens(bytes.at, bytes.len, &why));
	assert_string_equal(why, "it is of another version of sluice");
	/* a version that is newer says so, whatever it has made of the rest */
	sl_pin_file_seal(bytes.at, bytes.len);
	assert_false(opens(bytes.at, bytes.len, &why));
	assert_string_equal(why, "it is of another version of sluice");
	bytes.at[0] = 'x';
	assert_false(opens(bytes.at, bytes.len, &why));
	assert_string_equal(why, "it is no file of pins");
	sl_pin_bytes_free(&bytes);
}

/* ---- contradictions under a good checksum ---- */

#define RESOLVERS 36 /* where they begin */
#define SANDBOX   (RESOLVERS + 2 * 17)
#define PIN       (SANDBOX + 4 + (sizeof(LONG_NAME) - 1) + 4)

static void refuse_with(size_t at, uint8_t byte)
{
	struct sl_pin_bytes bytes = sample();
	const char *why = "";

	assert_int_not_equal(bytes.at[at], byte);
	bytes.at[at] = byte;
	sl_pin_file_seal(bytes.at, bytes.len);
	assert_false(opens(bytes.at, bytes.len, &why));
	assert_string_equal(why, "it contradicts itself");
	sl_pin_bytes_free(&bytes);
}

static void file_that_contradicts_itself_is_refused(void **state)
{
	refuse_with(31, 1);                               /* one resolver less */
	refuse_with(31, 17);                              /* more than there may be */
	refuse_with(28, 0xff);                            /* billions of them */
	refuse_with(35, 1);                               /* one sandbox less */
	refuse_with(35, 3);                               /* one more */
	refuse_with(32, 0xff);                            /* billions of them */
	refuse_with(RESOLVERS, 5);                        /* a family that is none */
	refuse_with(SANDBOX, 0xff);                       /* a VLAN that is none */
	refuse_with(SANDBOX + 2, SL_PIN_OWNER_NONE);      /* of no sandbox */
	refuse_with(SANDBOX + 2, SL_PIN_OWNER_POLICY);    /* a hash of another length */
	refuse_with(SANDBOX + 2, 3);                      /* a kind that is none */
	refuse_with(SANDBOX + 3, 0);                      /* an empty name */
	refuse_with(SANDBOX + 3, SL_POLICY_NAME_MAX + 1); /* too long a name */
	refuse_with(PIN - 1, 0);                          /* no pins */
	refuse_with(PIN - 1, 1);                          /* one less */
	refuse_with(PIN - 1, 3);                          /* one more */
	refuse_with(PIN - 4, 0xff);                       /* billions of them */
	refuse_with(PIN, 0);                              /* an address of no family */
	refuse_with(PIN, SL_FAMILY_6);                    /* of the other family */
	refuse_with(PIN + 1, 0);                          /* an empty name */
	refuse_with(PIN + 1, 255);                        /* too long a name */
	refuse_with(PIN + 18, 'R');                       /* a name not as sluice writes it */
	refuse_with(PIN + 18, '*');
	refuse_with(PIN + 18, '\0');
}

static void sandboxes_out_of_order_are_refused(void **state)
{
	static const uint16_t vlans[][2] = {{7, 7}, {8, 7}, {0, 7}, {7, 4095}};
	struct sl_pin_owner owner = owner_of(SL_PIN_OWNER_NAME, "x");
	struct sl_pin_record pin = pin_of(1, "a.example", 60, 30);

	for (size_t i = 0; i <= sizeof(vlans) / sizeof(vlans[0]); i++) {
		bool sound = i == sizeof(vlans) / sizeof(vlans[0]);
		struct sl_pin_bytes file = {0}, pins = {0};
		const char *why;

		assert_true(sl_pin_file_put_pin(&pins, &pin));
		sl_pin_file_begin(&file, WRITTEN, resolvers, 1);
		sl_pin_file_put_sandbox(&file, sound ? 7 : vlans[i][0], &owner, &pins, 1);
		sl_pin_file_put_sandbox(&file, sound ? 8 : vlans[i][1], &owner, &pins, 1);
		assert_true(sl_pin_file_end(&file, 2));
		assert_int_equal(opens(file.at, file.len, &why), sound);
		sl_pin_bytes_free(&file);
		sl_pin_bytes_free(&pins);
	}
}

/* One pin that no file may hold must not cost all others. */
static void pin_that_no_file_may_hold_is_left_out(void **state)
{
	static const char *const names[] = {"", "A.example", "a..example", "*.example", "a b"};
	struct sl_pin_bytes pins = {0};
	struct sl_pin_record pin;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		pin = pin_of(1, names[i], 60, 30);
		assert_false(sl_pin_file_put_pin(&pins, &pin));
	}
	pin = pin_of(1, "a.example", 60, 30);
	pin.addr.family = SL_FAMILY_NONE;
	assert_false(sl_pin_file_put_pin(&pins, &pin));
	assert_int_equal(pins.len, 0);
}

static void digest_is_of_what_a_file_says_but_for_its_time(void **state)
{
	struct sl_pin_bytes bytes = sample();
	uint8_t one[SL_PIN_FILE_DIGEST], other[SL_PIN_FILE_DIGEST];

	assert_true(sl_pin_file_digest(bytes.at, bytes.len, one));
	bytes.at[27] ^= 1; /* the time */
	sl_pin_file_seal(bytes.at, bytes.len);
	assert_true(sl_pin_file_digest(bytes.at, bytes.len, other));
	assert_memory_equal(one, other, sizeof(one));
	bytes.at[28] ^= 1;
	assert_true(sl_pin_file_digest(bytes.at, bytes.len, other));
	assert_memory_not_equal(one, other, sizeof(one));
	sl_pin_bytes_free(&bytes);
}

/* ---- clocks ---- */

static void left_of_a_life_is_cut_where_clocks_disagree(void **state)
{
	static const struct {
		const char *what;
		int64_t expires, now; /* from WRITTEN on */
		uint32_t life_s, left_s;
	} cases[] = {
	        {"at once", 1800, 0, 3600, 1800},
	        {"later", 1800, 100, 3600, 1700},
	        {"in its last second", 1800, 1799, 3600, 1},
	        {"at its end", 1800, 1800, 3600, 0},
	        {"long after", 1800, 1000000, 3600, 0},
	        {"the file is from the future: no time has passed", 1800, -500, 3600, 1800},
	        {"and from the far one", 1800, -1600000000, 3600, 1800},
	        {"more is left than a life", 1800, 0, 600, 600},
	        {"and a file from the future", 1800, -500, 600, 600},
	        {"it had ended when it was written", -1, -500, 3600, 0},
	        {"a life of nothing", 1800, 0, 0, 0},
	        {"the end of time", INT64_MAX - (int64_t)WRITTEN, 5, UINT32_MAX, UINT32_MAX},
	        {"before all time", -(int64_t)WRITTEN, -(int64_t)WRITTEN, 3600, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sl_pin_record pin = {.life_s = cases[i].life_s};
		uint32_t left_s;

		pin.expires_s = WRITTEN + (uint64_t)cases[i].expires;
		left_s = sl_pin_file_left_s(&pin, WRITTEN, WRITTEN + (uint64_t)cases[i].now);
		if (left_s != cases[i].left_s)
			fail_msg("%s: %u s, not %u s", cases[i].what, left_s, cases[i].left_s);
	}
}

static void left_never_grows_while_time_goes_on(void **state)
{
	srand(3);
	for (int i = 0; i < 100000; i++) {
		struct sl_pin_record pin = {.life_s = (uint32_t)rand() % 5000};
		uint64_t now_s = WRITTEN + (uint64_t)(rand() % 8000) - 4000, written_s = WRITTEN;
		uint32_t left_s;

		pin.expires_s = WRITTEN + (uint64_t)(rand() % 8000) - 2000;
		left_s = sl_pin_file_left_s(&pin, written_s, now_s);
		assert_true(left_s <= pin.life_s);
		assert_true(left_s == 0 || written_s + left_s <= pin.expires_s);
		assert_true(left_s == 0 || now_s + left_s <= pin.expires_s);
		assert_true(sl_pin_file_left_s(&pin, written_s, now_s + 1) <= left_s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(file_written_is_read),
	        cmocka_unit_test(file_without_pins_is_sound),
	        cmocka_unit_test(file_cut_anywhere_is_refused),
	        cmocka_unit_test(file_with_more_behind_it_is_refused),
	        cmocka_unit_test(file_with_any_byte_flipped_is_refused),
	        cmocka_unit_test(file_says_what_is_wrong_with_it),
	        cmocka_unit_test(file_that_contradicts_itself_is_refused),
	        cmocka_unit_test(sandboxes_out_of_order_are_refused),
	        cmocka_unit_test(pin_that_no_file_may_hold_is_left_out),
	        cmocka_unit_test(digest_is_of_what_a_file_says_but_for_its_time),
	        cmocka_unit_test(left_of_a_life_is_cut_where_clocks_disagree),
	        cmocka_unit_test(left_never_grows_while_time_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
