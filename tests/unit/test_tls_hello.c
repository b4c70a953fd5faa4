/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tls_hello.c: the record walker, the ClientHello parser and the two checks of other streams.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "corpus.h"
#include "exactly.h"
#include "expect.h"
#include "hello.h"
#include "rows.h"
#include "wire/tls_hello.h"

#define HELLO_MAX 16384
/* ---- the records ---- */

struct walk {
	enum sl_parse_result answer;
	enum sl_reason reason;
	size_t range; /* bytes of the judged range */
	uint32_t passed;
	uint8_t hello[HELLO_MAX];
	size_t hello_len;
};

/* Feeds a stream in pieces of at most piece bytes (0: all at once). */
static void walk_from(struct sl_tls_records r, const uint8_t *stream, size_t len, size_t piece,
                      struct walk *w)
{
	w->answer = SL_PARSE_MORE;
	w->range = 0;
	for (size_t at = 0; at < len && w->answer == SL_PARSE_MORE;) {
		size_t now = piece != 0 && len - at > piece ? piece : len - at, used;
		uint8_t *copy = exactly(stream + at, now);

		w->answer = sl_tls_records_feed(&r, copy, now, w->hello, &used);
		free(copy);
		if (w->answer == SL_PARSE_MORE)
			assert_int_equal(used, now);
		assert_true(used <= now);
		w->range += used;
		at += used;
	}
	assert_int_equal(w->range, r.range_len);
	w->reason = r.reason;
	w->passed = r.passed_len;
	w->hello_len = r.hs_len;
}

static void walk(const uint8_t *stream, size_t len, size_t piece, struct walk *w)
{
	struct sl_tls_records r;

	sl_tls_records_init(&r, HELLO_MAX);
	walk_from(r, stream, len, piece, w);
}

static void expect_walk(const uint8_t *stream, size_t len, enum sl_parse_result answer,
                        enum sl_reason reason)
{
	struct walk whole, bytewise;

	walk(stream, len, 0, &whole);
	walk(stream, len, 1, &bytewise);
	assert_int_equal(whole.answer, answer);
	assert_int_equal(bytewise.answer, answer);
	assert_int_equal(whole.reason, reason);
	assert_int_equal(bytewise.reason, reason);
	assert_int_equal(whole.range, bytewise.range);
	assert_int_equal(whole.hello_len, bytewise.hello_len);
	assert_memory_equal(whole.hello, bytewise.hello, whole.hello_len);
}

static void records_size_is_small(void **state)
{
	assert_true(sizeof(struct sl_tls_records) <= 32);
}

static void records_any_fragmentation_any_pieces_collects_hello(void **state)
{
	static const size_t fragments[] = {0, 1, 2, 3, 4, 5, 100, 599};
	static const size_t pieces[] = {0, 1, 2, 3, 5, 6, 7, 536, 1460};
	uint8_t hello[HELLO_BYTES_MAX], *stream = malloc(RECORDS_BYTES_MAX + 10);
	size_t len = hello_build(
	        &(struct hello_options){.name = "www.example.com", .total_len = 600}, hello);
	struct walk w;

	assert_int_equal(len, 600);
	for (size_t f = 0; f < COUNT(fragments); f++)
		for (size_t p = 0; p < COUNT(pieces); p++) {
			size_t end = hello_records(hello, len, fragments[f], stream);

			/* Bytes after the judged range are not read. */
			memset(stream + end, 0xee, 10);
			walk(stream, end + 10, pieces[p], &w);
			assert_int_equal(w.answer, SL_PARSE_DONE);
			assert_int_equal(w.reason, SL_REASON_NONE);
			assert_int_equal(w.range, end);
			assert_int_equal(w.passed, 0);
			assert_int_equal(w.hello_len, len);
			assert_memory_equal(w.hello, hello, len);
		}
	free(stream);
}

static void records_without_out_only_counts(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], stream[HELLO_BYTES_MAX];
	size_t len = hello_named("a.example", hello), used;
	size_t end = hello_records(hello, len, 50, stream);
	struct sl_tls_records r;

	sl_tls_records_init(&r, HELLO_MAX);
	assert_int_equal(sl_tls_records_feed(&r, stream, 20, NULL, &used), SL_PARSE_MORE);
	assert_int_equal(used, 20);
	assert_int_equal(r.hs_len, 15);
	assert_int_equal(r.hello_len, len);
	assert_int_equal(sl_tls_records_feed(&r, stream + 20, end - 20, NULL, &used),
	                 SL_PARSE_DONE);
	assert_int_equal(used, end - 20);
	assert_int_equal(r.hs_len, len);
	/* The answer stands. */
	assert_int_equal(sl_tls_records_feed(&r, stream, 20, NULL, &used), SL_PARSE_DONE);
	assert_int_equal(used, 0);
}

static void records_no_bytes_needs_more(void **state)
{
	struct sl_tls_records r;
	size_t used = 7;

	sl_tls_records_init(&r, HELLO_MAX);
	assert_int_equal(sl_tls_records_feed(&r, NULL, 0, NULL, &used), SL_PARSE_MORE);
	assert_int_equal(used, 0);
}

static void records_other_first_record_is_not_tls(void **state)
{
	uint8_t stream[HELLO_BYTES_MAX];
	size_t len;

	for (int type = 0; type < 256; type++) {
		if (type == 22)
			continue;
		len = hello_record((uint8_t)type, (const uint8_t *)"\1\0", 2, stream);
		expect_walk(stream, len, SL_PARSE_NOT_MINE, SL_REASON_NOT_TLS);
	}
	/* One byte is enough. */
	expect_walk((const uint8_t *)"G", 1, SL_PARSE_NOT_MINE, SL_REASON_NOT_TLS);
	/* SSLv2's hello with its two-byte length. */
	expect_walk((const uint8_t *)"\x80\x2e\x01\x03\x01", 5, SL_PARSE_NOT_MINE,
	            SL_REASON_NOT_TLS);
}

static void records_ccs_before_hello_is_not_tls(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], stream[HELLO_BYTES_MAX];
	size_t len = hello_record(20, (const uint8_t *)"\1", 1, stream);

	len += hello_records(hello, hello_named("a.example", hello), 0, stream + len);
	expect_walk(stream, len, SL_PARSE_NOT_MINE, SL_REASON_NOT_TLS);
}

static void records_other_first_message_is_not_tls(void **state)
{
	uint8_t stream[16];

	for (int type = 0; type < 256; type++) {
		uint8_t body[4] = {(uint8_t)type, 0, 0, 50};

		expect_walk(stream, hello_record(22, body, 4, stream),
		            type == 1 ? SL_PARSE_MORE : SL_PARSE_NOT_MINE,
		            type == 1 ? SL_REASON_NONE : SL_REASON_NOT_TLS);
	}
}

static void records_version_only_major_3_minor_0_to_4_passes(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], stream[HELLO_BYTES_MAX];
	size_t end = hello_records(hello, hello_named("a.example", hello), 100, stream);

	for (int minor = 0; minor < 256; minor++) {
		stream[2] = (uint8_t)minor;
		if (minor <= 4)
			expect_walk(stream, end, SL_PARSE_DONE, SL_REASON_NONE);
		else
			expect_walk(stream, end, SL_PARSE_BAD, SL_REASON_MALFORMED_HELLO);
	}
	stream[2] = 1;
	for (int major = 0; major < 256; major++) {
		stream[1] = (uint8_t)major;
		if (major != 3)
			expect_walk(stream, end, SL_PARSE_NOT_MINE, SL_REASON_NOT_TLS);
	}
	stream[1] = 3;
	stream[105 + 1] = 2; /* the second record's major version */
	expect_walk(stream, end, SL_PARSE_BAD, SL_REASON_MALFORMED_HELLO);
}

static void records_empty_record_is_malformed(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], stream[HELLO_BYTES_MAX];
	size_t len = hello_named("a.example", hello), end;

	end = hello_record(22, hello, 0, stream);
	end += hello_records(hello, len, 0, stream + end);
	expect_walk(stream, end, SL_PARSE_BAD, SL_REASON_MALFORMED_HELLO);

	end = hello_record(22, hello, 20, stream);
	end += hello_record(22, hello, 0, stream + end);
	end += hello_record(22, hello + 20, len - 20, stream + end);
	expect_walk(stream, end, SL_PARSE_BAD, SL_REASON_MALFORMED_HELLO);
}

static void records_length_16384_passes_16385_is_malformed(void **state)
{
	expect_walk((const uint8_t *)"\x16\x03\x01\x40\x00", 5, SL_PARSE_MORE, SL_REASON_NONE);
	expect_walk((const uint8_t *)"\x16\x03\x01\x40\x01", 5, SL_PARSE_BAD,
	            SL_REASON_MALFORMED_HELLO);
}

static void records_other_record_between_fragments_is_malformed(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], stream[HELLO_BYTES_MAX];
	size_t len = hello_named("a.example", hello), end;

	for (int type = 0; type < 256; type++) {
		if (type == 22)
			continue;
		end = hello_record(22, hello, 20, stream);
		end += hello_record((uint8_t)type, (const uint8_t *)"\1", 1, stream + end);
		end += hello_record(22, hello + 20, len - 20, stream + end);
		expect_walk(stream, end, SL_PARSE_BAD, SL_REASON_MALFORMED_HELLO);
	}
}

static void records_bytes_behind_hello_in_its_record_is_malformed(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], stream[HELLO_BYTES_MAX];
	size_t len = hello_named("a.example", hello), end;
	struct walk w;

	hello[len] = 1;
	end = hello_record(22, hello, len + 1, stream);
	expect_walk(stream, end, SL_PARSE_BAD, SL_REASON_MALFORMED_HELLO);
	/* Known as soon as the lengths are, long before the bytes themselves. */
	walk(stream, 9, 1, &w);
	assert_int_equal(w.answer, SL_PARSE_BAD);

	end = hello_record(22, hello, 20, stream);
	end += hello_record(22, hello + 20, len - 20 + 1, stream + end);
	expect_walk(stream, end, SL_PARSE_BAD, SL_REASON_MALFORMED_HELLO);
}

static void records_hello_max_is_kept_to_the_byte(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], *stream = malloc(RECORDS_BYTES_MAX);
	size_t len, end;
	struct walk w;

	len = hello_build(&(struct hello_options){.name = "a.example", .total_len = HELLO_MAX},
	                  hello);
	assert_int_equal(len, HELLO_MAX);
	end = hello_records(hello, len, 0, stream);
	expect_walk(stream, end, SL_PARSE_DONE, SL_REASON_NONE);
	len = hello_build(&(struct hello_options){.name = "a.example", .total_len = HELLO_MAX + 1},
	                  hello);
	end = hello_records(hello, len, 0, stream);
	expect_walk(stream, end, SL_PARSE_BAD, SL_REASON_HELLO_TOO_LARGE);
	walk(stream, 9, 1, &w);
	assert_int_equal(w.answer, SL_PARSE_BAD);
	assert_int_equal(w.reason, SL_REASON_HELLO_TOO_LARGE);
	assert_int_equal(w.range, 9);
	free(stream);
}

static void records_honest_11_kb_hello_passes(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], *stream = malloc(RECORDS_BYTES_MAX);
	struct sl_tls_hello parsed;
	struct walk w;
	size_t len = hello_build(&(struct hello_options){.name = "big.example.com",
	                                                 .total_len = 11400,
	                                                 .name_last = true},
	                         hello);

	walk(stream, hello_records(hello, len, 4000, stream), 1460, &w);
	assert_int_equal(w.answer, SL_PARSE_DONE);
	assert_int_equal(sl_tls_hello_parse(w.hello, w.hello_len, &parsed), SL_PARSE_DONE);
	assert_string_equal(parsed.name, "big.example.com");
	free(stream);
}

static void records_second_hello_passes_over_ccs_and_early_data(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], stream[HELLO_BYTES_MAX], early[500] = {0};
	size_t len = hello_named("a.example", hello), end = 0, before;
	struct sl_tls_records r;
	struct walk w;

	end += hello_record(23, early, sizeof(early), stream + end);
	end += hello_record(20, (const uint8_t *)"\1", 1, stream + end);
	before = end;
	end += hello_records(hello, len, 70, stream + end);
	for (size_t piece = 0; piece < 8; piece++) {
		sl_tls_records_init_second(&r, HELLO_MAX);
		walk_from(r, stream, end, piece, &w);
		assert_int_equal(w.answer, SL_PARSE_DONE);
		assert_int_equal(w.range, end);
		assert_int_equal(w.passed, before);
		assert_int_equal(w.hello_len, len);
		assert_memory_equal(w.hello, hello, len);
	}
}

static void records_second_other_handshake_message_is_not_tls(void **state)
{
	uint8_t stream[64];
	size_t end = hello_record(20, (const uint8_t *)"\1", 1, stream);
	struct sl_tls_records r;
	struct walk w;

	end += hello_record(22, (const uint8_t *)"\x10\0\0\4abcd", 8, stream + end);
	sl_tls_records_init_second(&r, HELLO_MAX);
	walk_from(r, stream, end, 0, &w);
	assert_int_equal(w.answer, SL_PARSE_NOT_MINE);
	assert_int_equal(w.reason, SL_REASON_NOT_TLS);

	end = hello_record(24, (const uint8_t *)"\1", 1, stream);
	sl_tls_records_init_second(&r, HELLO_MAX);
	walk_from(r, stream, end, 0, &w);
	assert_int_equal(w.answer, SL_PARSE_NOT_MINE);
}

static void records_second_other_record_inside_hello_is_malformed(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], stream[HELLO_BYTES_MAX];
	size_t len = hello_named("a.example", hello), end = 0;
	struct sl_tls_records r;
	struct walk w;

	end += hello_record(22, hello, 20, stream + end);
	end += hello_record(23, hello, 20, stream + end);
	end += hello_record(22, hello + 20, len - 20, stream + end);
	sl_tls_records_init_second(&r, HELLO_MAX);
	walk_from(r, stream, end, 0, &w);
	assert_int_equal(w.answer, SL_PARSE_BAD);
	assert_int_equal(w.reason, SL_REASON_MALFORMED_HELLO);
}

/* ---- the hello ---- */

static void expect_hello(const struct hello_options *options, enum sl_parse_result answer,
                         enum sl_reason reason, const char *name)
{
	uint8_t hello[HELLO_BYTES_MAX], *copy;
	struct sl_tls_hello parsed;
	size_t len = hello_build(options, hello);

	copy = exactly(hello, len);
	assert_int_equal(sl_tls_hello_parse(copy, len, &parsed), answer);
	assert_int_equal(parsed.reason, reason);
	assert_string_equal(parsed.name, name);
	assert_int_equal(parsed.name_len, strlen(name));
	free(copy);
}

#define EXPECT_NAME(expected, ...)                                                                 \
	expect_hello(&(struct hello_options){__VA_ARGS__}, SL_PARSE_DONE, SL_REASON_NONE, expected)
#define EXPECT_MALFORMED(...)                                                                      \
	expect_hello(&(struct hello_options){__VA_ARGS__}, SL_PARSE_BAD,                           \
	             SL_REASON_MALFORMED_HELLO, "")
#define EXPECT_NO_NAME(...)                                                                        \
	expect_hello(&(struct hello_options){__VA_ARGS__}, SL_PARSE_BAD, SL_REASON_NO_SERVER_NAME, \
	             "")

static void hello_one_name_gives_canonical_form(void **state)
{
	EXPECT_NAME("www.example.com", .name = "www.example.com");
	EXPECT_NAME("www.example.com", .name = "WWW.Example.COM");
	EXPECT_NAME("www.example.com", .name = "www.example.com.");
	EXPECT_NAME("www.example.com", .name = "www.example.com", .name_last = true);
	EXPECT_NAME("www.example.com", .name = "www.example.com", .session_id_none = true);
	EXPECT_NAME("www.example.com", .name = "www.example.com", .version = 0x0301);
	EXPECT_NAME("www.example.com", .name = "www.example.com", .total_len = 1900);
}

static void hello_ech_extension_is_told(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX];
	struct sl_tls_hello parsed;
	size_t len;

	len = hello_build(&(struct hello_options){.name = "outer.example", .ech = true}, hello);
	assert_int_equal(sl_tls_hello_parse(hello, len, &parsed), SL_PARSE_DONE);
	assert_true(parsed.ech);
	assert_string_equal(parsed.name, "outer.example");
	len = hello_build(&(struct hello_options){.name = "outer.example", .esni = true}, hello);
	assert_int_equal(sl_tls_hello_parse(hello, len, &parsed), SL_PARSE_DONE);
	assert_true(parsed.ech);
	len = hello_named("outer.example", hello);
	assert_int_equal(sl_tls_hello_parse(hello, len, &parsed), SL_PARSE_DONE);
	assert_false(parsed.ech);
}

static void hello_without_sni_is_no_server_name(void **state)
{
	EXPECT_NO_NAME(.name = NULL);
	EXPECT_NO_NAME(.no_extensions = true);
}

static void hello_address_as_name_is_no_server_name(void **state)
{
	static const char *const addresses[] = {
	        "192.0.2.1", "192.0.2.1.", "3221225985",       "0xc0000201",
	        "127.1",     "::1",        "2001:db8::1",      "[2001:db8::1]",
	        "[::]",      "0x7F.0.0.1", "::ffff:192.0.2.1",
	};

	for (size_t i = 0; i < COUNT(addresses); i++) {
		row(addresses[i]);
		EXPECT_NO_NAME(.name = addresses[i]);
	}
}

static void hello_bad_name_bytes_are_malformed(void **state)
{
	static const char *const names[] = {
	        "example.com:443",
	        "http://example.com",
	        "exa mple.com",
	        "*.example.com",
	        "ex\xc3\xa4mple.com",
	        "example.com/",
	        "a..b",
	        ".example.com",
	        "example.com..",
	        ".",
	        "[example.com]",
	        "::g",
	        "[::1",
	        "example.com\n",
	        "1:2",
	        "[]",
	};
	static char label[80] = "", name[300] = "";

	for (size_t i = 0; i < COUNT(names); i++) {
		row(names[i]);
		EXPECT_MALFORMED(.name = names[i]);
	}
	EXPECT_MALFORMED(.name = "example.com\0", .name_len = 12);
	EXPECT_MALFORMED(.name = "example.com\0.evil.example", .name_len = 25);
	EXPECT_MALFORMED(.name = "\0", .name_len = 1);
	memset(label, 'a', 64);
	EXPECT_MALFORMED(.name = label);
	memset(name, 'a', 254);
	for (size_t i = 30; i < 254; i += 31)
		name[i] = '.';
	name[253] = 'a';
	EXPECT_MALFORMED(.name = name);
	EXPECT_MALFORMED(.name = "a", .name_empty = true);
}

static void hello_several_names_are_malformed(void **state)
{
	EXPECT_MALFORMED(.name = "a.example", .second_name = "b.example");
	EXPECT_MALFORMED(.name = "a.example", .second_name = "a.example");
	EXPECT_MALFORMED(.name = "a.example", .other_sni = "b.example");
	EXPECT_MALFORMED(.name = "a.example", .other_sni = "a.example");
	EXPECT_MALFORMED(.name = "192.0.2.1", .other_sni = "a.example");
}

static void hello_other_server_name_shapes_are_malformed(void **state)
{
	EXPECT_MALFORMED(.name = "a.example", .name_type = 1);
	EXPECT_MALFORMED(.name = "a.example", .name_type = 255);
	EXPECT_MALFORMED(.name = "a.example", .list_empty = true);
	EXPECT_MALFORMED(.name = "a.example", .extension_empty = true);
	EXPECT_MALFORMED(.name = "a.example", .name_trailing = true);
}

static void hello_lying_lengths_are_malformed(void **state)
{
	static const int lies[] = {-300, -3, -2, -1, 1, 2, 3, 300};

	for (size_t i = 0; i < COUNT(lies); i++) {
		ROW_NUMBER(lies[i]);
		EXPECT_MALFORMED(.name = "a.example", .extensions_len_lie = lies[i]);
		EXPECT_MALFORMED(.name = "a.example", .list_len_lie = lies[i]);
		EXPECT_MALFORMED(.name = "a.example", .name_len_lie = lies[i]);
	}
	EXPECT_MALFORMED(.name = "a.example", .message_len_lie = -1);
	expect_hello(&(struct hello_options){.name = "a.example", .message_len_lie = 1},
	             SL_PARSE_MORE, SL_REASON_NONE, "");
}

static void hello_bad_fixed_fields_are_malformed(void **state)
{
	EXPECT_MALFORMED(.name = "a.example", .version = 0x0300);
	EXPECT_MALFORMED(.name = "a.example", .version = 0x0002);
	EXPECT_MALFORMED(.name = "a.example", .version = 0x0200);
	EXPECT_MALFORMED(.name = "a.example", .version = 0xfefd);
	EXPECT_MALFORMED(.name = "a.example", .session_id_len = 33);
	EXPECT_MALFORMED(.name = "a.example", .suites_len = 7);
	EXPECT_MALFORMED(.name = "a.example", .suites_none = true);
	EXPECT_MALFORMED(.name = "a.example", .compression_none = true);
}

static void hello_repeated_extension_is_malformed(void **state)
{
	static const size_t types[] = {0x0010, 0x002d, 0x3f, 0x40, 0xff01, 0xffff, 0xfe0d};

	for (size_t i = 0; i < COUNT(types); i++) {
		ROW_NUMBER(types[i]);
		EXPECT_MALFORMED(.name = "a.example", .repeated_type = types[i]);
	}
	EXPECT_MALFORMED(.name = "a.example", .repeated_type = 0x0a0a);
}

static void hello_thousands_of_extensions_is_linear(void **state)
{
	EXPECT_NAME("a.example", .name = "a.example", .many = 4000, .name_last = true);
	EXPECT_MALFORMED(.name = "a.example", .many = 4000, .repeated_type = 0x1100);
}

static void hello_other_message_is_not_mine(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX];
	struct sl_tls_hello parsed;
	size_t len = hello_server(false, hello);

	assert_int_equal(sl_tls_hello_parse(hello, len, &parsed), SL_PARSE_NOT_MINE);
	assert_int_equal(parsed.reason, SL_REASON_NOT_TLS);
}

/*
 * Every prefix of an honest hello needs more; every prefix with corrected lengths does not crash,
 * and never gives another name.
 */
static void expect_prefixes_and_mutations(const uint8_t *msg, size_t len, const char *name)
{
	struct sl_tls_hello parsed;

	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = exactly(msg, cut);

		assert_int_equal(sl_tls_hello_parse(copy, cut, &parsed), SL_PARSE_MORE);
		assert_int_equal(parsed.reason, SL_REASON_NONE);
		if (cut > 4) {
			copy[1] = 0;
			copy[2] = (uint8_t)((cut - 4) >> 8);
			copy[3] = (uint8_t)(cut - 4);
			assert_int_equal(sl_tls_hello_parse(copy, cut, &parsed), SL_PARSE_BAD);
		}
		free(copy);
	}
	for (size_t at = 0; at < len; at++) {
		uint8_t *copy = exactly(msg, len);
		static const uint8_t deltas[] = {0x01, 0x80, 0xff, 0x20};

		for (size_t d = 0; d < COUNT(deltas); d++) {
			enum sl_parse_result answer;

			copy[at] = msg[at] ^ deltas[d];
			answer = sl_tls_hello_parse(copy, len, &parsed);
			assert_true((answer == SL_PARSE_DONE) == (parsed.name_len > 0));
			assert_true((answer == SL_PARSE_BAD || answer == SL_PARSE_NOT_MINE) ==
			            (parsed.reason != SL_REASON_NONE));
			/* A name that differs holds the mutated byte itself. */
			if (answer == SL_PARSE_DONE)
				assert_true(parsed.name_len == strlen(name));
		}
		free(copy);
	}
}

static void hello_every_prefix_needs_more_every_mutation_is_safe(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX];
	size_t len =
	        hello_build(&(struct hello_options){.name = "www.example.com", .ech = true}, hello);

	expect_prefixes_and_mutations(hello, len, "www.example.com");
}

/* ---- recorded hellos ---- */

static void corpus_handshake_messages_give_expected_names(void **state)
{
	struct corpus_file *files;
	size_t count = corpus_read("tls-handshake-msg", &files);

	if (count == 0)
		skip();
	for (size_t i = 0; i < count; i++) {
		struct sl_tls_hello parsed;
		enum sl_parse_result answer =
		        sl_tls_hello_parse(files[i].bytes, files[i].len, &parsed);

		if (strcmp(files[i].sni, "NO-SNI") == 0) {
			assert_int_equal(answer, SL_PARSE_BAD);
			assert_int_equal(parsed.reason, SL_REASON_NO_SERVER_NAME);
			continue;
		}
		assert_int_equal(answer, SL_PARSE_DONE);
		assert_string_equal(parsed.name, files[i].sni);
		expect_prefixes_and_mutations(files[i].bytes, files[i].len, files[i].sni);
	}
	free(files);
}

static void corpus_records_give_expected_names(void **state)
{
	struct corpus_file *files;
	size_t count = corpus_read("tls-record", &files);

	if (count == 0)
		skip();
	for (size_t i = 0; i < count; i++) {
		struct sl_tls_hello parsed;
		struct walk w, again;
		uint8_t *stream = malloc(RECORDS_BYTES_MAX);

		walk(files[i].bytes, files[i].len, 0, &w);
		assert_int_equal(w.answer, SL_PARSE_DONE);
		assert_int_equal(w.range, files[i].len);
		assert_int_equal(sl_tls_hello_parse(w.hello, w.hello_len, &parsed), SL_PARSE_DONE);
		assert_string_equal(parsed.name, files[i].sni);
		expect_prefixes_and_mutations(w.hello, w.hello_len, files[i].sni);
		for (size_t cut = 0; cut < files[i].len; cut++) {
			walk(files[i].bytes, cut, 0, &again);
			assert_int_equal(again.answer, SL_PARSE_MORE);
		}
		/* One byte a record, one byte a piece. */
		walk(stream, hello_records(w.hello, w.hello_len, 1, stream), 1, &again);
		assert_int_equal(again.answer, SL_PARSE_DONE);
		assert_int_equal(again.hello_len, w.hello_len);
		assert_memory_equal(again.hello, w.hello, w.hello_len);
		free(stream);
	}
	free(files);
}

/* ---- the server's side, and PostgreSQL ---- */

static enum sl_parse_result retry_of(const uint8_t *stream, size_t len)
{
	uint8_t *copy = exactly(stream, len);
	enum sl_parse_result answer = sl_tls_is_hello_retry(copy, len);

	free(copy);
	return answer;
}

static void hello_retry_any_fragmentation_is_seen(void **state)
{
	uint8_t msg[HELLO_BYTES_MAX], stream[RECORDS_BYTES_MAX / 10];
	size_t len = hello_server(true, msg);

	for (size_t fragment = 0; fragment < 60; fragment++) {
		size_t end = hello_records(msg, len, fragment, stream), need = end;

		for (size_t cut = 0; cut <= end; cut++) {
			enum sl_parse_result answer = retry_of(stream, cut);

			if (answer == SL_PARSE_DONE && need == end)
				need = cut;
			assert_int_equal(answer, cut < need ? SL_PARSE_MORE : SL_PARSE_DONE);
		}
		assert_true(need <= SL_TLS_RETRY_PEEK_BYTES);
		if (fragment == 0)
			assert_int_equal(need, 43);
	}
}

static void hello_retry_ordinary_server_hello_is_not_mine(void **state)
{
	uint8_t msg[HELLO_BYTES_MAX], stream[512];
	size_t end = hello_records(msg, hello_server(false, msg), 0, stream);

	assert_int_equal(retry_of(stream, 11), SL_PARSE_MORE);
	assert_int_equal(retry_of(stream, 12), SL_PARSE_NOT_MINE);
	assert_int_equal(retry_of(stream, end), SL_PARSE_NOT_MINE);
	end = hello_records(msg, hello_server(true, msg), 0, stream);
	stream[42] ^= 1;
	assert_int_equal(retry_of(stream, end), SL_PARSE_NOT_MINE);
}

static void hello_retry_behind_a_warning_is_seen(void **state)
{
	uint8_t msg[HELLO_BYTES_MAX], stream[512];
	size_t end = hello_record(21, (const uint8_t *)"\1\x70", 2, stream);

	assert_int_equal(retry_of(stream, end), SL_PARSE_MORE);
	end += hello_records(msg, hello_server(true, msg), 7, stream + end);
	assert_int_equal(retry_of(stream, end), SL_PARSE_DONE);
}

static void hello_retry_other_streams_are_not_mine(void **state)
{
	static const char *const streams[] = {"HTTP/1.1 400", "S",        "\x17\x03\x03",
	                                      "220 mail",     "\x16\x02", "\x16\x03\x03\0\4\1"};
	uint8_t alerts[SL_TLS_RETRY_PEEK_BYTES];

	assert_int_equal(retry_of(NULL, 0), SL_PARSE_MORE);
	for (size_t i = 0; i < COUNT(streams); i++) {
		row(streams[i]);
		assert_int_equal(
		        retry_of((const uint8_t *)streams[i], i == 5 ? 6 : strlen(streams[i])),
		        SL_PARSE_NOT_MINE);
	}
	/* Endless warnings still lead to a decision. */
	for (size_t at = 0; at + 8 <= sizeof(alerts); at += 8)
		hello_record(21, (const uint8_t *)"\1\x70\0", 3, alerts + at);
	assert_int_equal(retry_of(alerts, 255), SL_PARSE_MORE);
	assert_int_equal(retry_of(alerts, 256), SL_PARSE_NOT_MINE);
}

static void postgres_requests_exact_bytes_only(void **state)
{
	static const enum sl_postgres_request kinds[] = {SL_POSTGRES_SSL, SL_POSTGRES_GSSENC};

	for (size_t kind = 0; kind < 2; kind++) {
		uint8_t request[9] = {0x00, 0x00, 0x00, 0x08, 0x04, 0xd2, 0x16, 0x2f, 0x16};
		enum sl_postgres_request out;

		request[7] += kind;
		for (size_t len = 0; len < 8; len++)
			assert_int_equal(sl_tls_postgres_request(request, len, &out),
			                 SL_PARSE_MORE);
		assert_int_equal(sl_tls_postgres_request(request, 8, &out), SL_PARSE_DONE);
		assert_int_equal(out, kinds[kind]);
		assert_int_equal(sl_tls_postgres_request(request, 9, &out), SL_PARSE_DONE);
		for (size_t at = 0; at < 8; at++) {
			request[at] ^= 4;
			assert_int_equal(sl_tls_postgres_request(request, at + 1, &out),
			                 SL_PARSE_NOT_MINE);
			assert_int_equal(out, SL_POSTGRES_NONE);
			request[at] ^= 4;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(records_size_is_small),
	        cmocka_unit_test(records_any_fragmentation_any_pieces_collects_hello),
	        cmocka_unit_test(records_without_out_only_counts),
	        cmocka_unit_test(records_no_bytes_needs_more),
	        cmocka_unit_test(records_other_first_record_is_not_tls),
	        cmocka_unit_test(records_ccs_before_hello_is_not_tls),
	        cmocka_unit_test(records_other_first_message_is_not_tls),
	        cmocka_unit_test(records_version_only_major_3_minor_0_to_4_passes),
	        cmocka_unit_test(records_empty_record_is_malformed),
	        cmocka_unit_test(records_length_16384_passes_16385_is_malformed),
	        cmocka_unit_test(records_other_record_between_fragments_is_malformed),
	        cmocka_unit_test(records_bytes_behind_hello_in_its_record_is_malformed),
	        cmocka_unit_test(records_hello_max_is_kept_to_the_byte),
	        cmocka_unit_test(records_honest_11_kb_hello_passes),
	        cmocka_unit_test(records_second_hello_passes_over_ccs_and_early_data),
	        cmocka_unit_test(records_second_other_handshake_message_is_not_tls),
	        cmocka_unit_test(records_second_other_record_inside_hello_is_malformed),
	        cmocka_unit_test(hello_one_name_gives_canonical_form),
	        cmocka_unit_test(hello_ech_extension_is_told),
	        cmocka_unit_test(hello_without_sni_is_no_server_name),
	        cmocka_unit_test(hello_address_as_name_is_no_server_name),
	        cmocka_unit_test(hello_bad_name_bytes_are_malformed),
	        cmocka_unit_test(hello_several_names_are_malformed),
	        cmocka_unit_test(hello_other_server_name_shapes_are_malformed),
	        cmocka_unit_test(hello_lying_lengths_are_malformed),
	        cmocka_unit_test(hello_bad_fixed_fields_are_malformed),
	        cmocka_unit_test(hello_repeated_extension_is_malformed),
	        cmocka_unit_test(hello_thousands_of_extensions_is_linear),
	        cmocka_unit_test(hello_other_message_is_not_mine),
	        cmocka_unit_test(hello_every_prefix_needs_more_every_mutation_is_safe),
	        cmocka_unit_test(corpus_handshake_messages_give_expected_names),
	        cmocka_unit_test(corpus_records_give_expected_names),
	        cmocka_unit_test(hello_retry_any_fragmentation_is_seen),
	        cmocka_unit_test(hello_retry_ordinary_server_hello_is_not_mine),
	        cmocka_unit_test(hello_retry_behind_a_warning_is_seen),
	        cmocka_unit_test(hello_retry_other_streams_are_not_mine),
	        cmocka_unit_test(postgres_requests_exact_bytes_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
