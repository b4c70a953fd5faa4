/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_query.c: what counts as one plain query.
 */
#include "dns_expect.h"

static void expect_bad_query(void)
{
	struct sl_dns_query query;

	assert_int_equal(parse_msg(&query), SL_PARSE_BAD);
}

static void query_from_dig_tells_everything(void **state)
{
	struct sl_dns_query query;

	assert_int_equal(parse_query(dig_query, sizeof(dig_query), &query), SL_PARSE_DONE);
	assert_int_equal(query.question.id, 0xbeef);
	assert_int_equal(query.question.type, SL_DNS_TYPE_AAAA);
	assert_int_equal(query.question.name_bytes, 17);
	assert_memory_equal(query.question.name, dig_query + 12, 17);
	assert_string_equal(query.name, "www.example.com");
	assert_int_equal(query.name_len, 15);
	assert_true(query.rd);
	assert_true(query.ad);
	assert_false(query.cd);
	assert_true(query.had_opt);
	assert_true(query.opt_do);
	assert_int_equal(query.opt_version, 0);
	assert_int_equal(query.opt_udp_bytes, 1232);
	assert_int_equal(query.opt_options_bytes, 12);
	/* wW_w: byte 2 of the wire name; E: byte 5 */
	assert_int_equal(query.letter_case.bits[0], 1u << 2 | 1u << 5);
	assert_int_equal(query.letter_case.bits[1], 0);
}

static void query_without_opt_is_taken(void **state)
{
	struct sl_dns_query query = query_for("a.b-c._x9", DNS_TXT);

	assert_false(query.had_opt);
	assert_int_equal(query.opt_udp_bytes, 0);
	assert_string_equal(query.name, "a.b-c._x9");
	assert_int_equal(query.question.type, DNS_TXT);
}

static void query_for_root_has_empty_name(void **state)
{
	struct sl_dns_query query = query_for("", DNS_NS);

	assert_int_equal(query.name_len, 0);
	assert_string_equal(query.name, "");
	assert_int_equal(query.question.name_bytes, 1);
}

static void query_flags_only_rd_ad_cd_pass(void **state)
{
	struct sl_dns_query query;

	for (unsigned bit = 0; bit < 16; bit++) {
		uint16_t flags = (uint16_t)(1u << bit);
		bool fine = flags == DNS_RD || flags == DNS_AD || flags == DNS_CD;

		dns_begin(&msg, ID, flags);
		dns_question(&msg, "example.com", DNS_A);
		assert_int_equal(parse_msg(&query), fine ? SL_PARSE_DONE : SL_PARSE_BAD);
	}
}

static void query_other_counts_are_bad(void **state)
{
	/* none and two questions */
	dns_begin(&msg, ID, DNS_RD);
	expect_bad_query();
	dns_question(&msg, "example.com", DNS_A);
	dns_question(&msg, "example.org", DNS_A);
	expect_bad_query();
	/* an answer, an authority record, two additional ones */
	for (int section = 0; section < 3; section++) {
		dns_begin(&msg, ID, DNS_RD);
		dns_question(&msg, "example.com", DNS_A);
		dns_address(&msg, section, "@12", "192.0.2.1", 1);
		expect_bad_query();
	}
	dns_begin(&msg, ID, DNS_RD);
	dns_question(&msg, "example.com", DNS_A);
	dns_opt(&msg, 1232, 0, NULL, 0);
	dns_opt(&msg, 1232, 0, NULL, 0);
	expect_bad_query();
	/* a count without a record */
	dns_begin(&msg, ID, DNS_RD);
	dns_question(&msg, "example.com", DNS_A);
	msg.bytes[11] = 1;
	expect_bad_query();
}

static void query_other_class_is_bad(void **state)
{
	static const uint16_t classes[] = {0, 3 /* CH */, 4 /* HS */, 254, 255, 0x8001, 0x0100};

	for (size_t i = 0; i < COUNT(classes); i++) {
		ROW_NUMBER(classes[i]);
		dns_begin(&msg, ID, DNS_RD);
		dns_question_class(&msg, "example.com", DNS_A, classes[i]);
		expect_bad_query();
	}
}

static void query_pointer_in_question_is_bad(void **state)
{
	static const char *const names[] = {"@12", "@0", "www.@12", "example.@16", "@16383"};

	for (size_t i = 0; i < COUNT(names); i++) {
		ROWF("row %zu", i);
		dns_begin(&msg, ID, DNS_RD);
		dns_question(&msg, names[i], DNS_A);
		expect_bad_query();
	}
}

static void query_label_types_01_and_10_are_bad(void **state)
{
	for (unsigned first = 0x40; first < 0x100; first += 0x40) {
		dns_begin(&msg, ID, DNS_RD);
		dns_question(&msg, "abc.example.com", DNS_A);
		msg.bytes[12] = (uint8_t)(first | 3);
		expect_bad_query();
	}
}

/* A name may have any bytes, except a dot inside a label, which would make two labels of one. */
static void query_bytes_outside_host_alphabet_are_kept(void **state)
{
	struct sl_dns_query query;

	for (unsigned byte = 0; byte < 256; byte++) {
		bool fine = byte != '.';

		dns_begin(&msg, ID, DNS_RD);
		dns_question(&msg, "axb.example.com", DNS_A);
		msg.bytes[14] = (uint8_t)byte;
		assert_int_equal(parse_msg(&query), fine ? SL_PARSE_DONE : SL_PARSE_BAD);
		if (fine)
			assert_int_equal((uint8_t)query.name[1],
			                 byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
	}
}

static void query_dot_inside_label_is_bad(void **state)
{
	static const char *const names[] = {"www\\.example.com",
	                                    "evil\\.example\\.com",
	                                    "example.com\\.",
	                                    "\\.example.com",
	                                    "\\.",
	                                    "a\\."};

	for (size_t i = 0; i < COUNT(names); i++) {
		row(names[i]);
		dns_begin(&msg, ID, DNS_RD);
		dns_question(&msg, names[i], DNS_A);
		expect_bad_query();
	}
}

static void query_bytes_behind_the_end_are_bad(void **state)
{
	query_for("example.com", DNS_A);
	dns_put(&msg, "", 1);
	expect_bad_query();

	query_for("example.com", DNS_A);
	dns_opt(&msg, 1232, 0, NULL, 0);
	dns_put(&msg, "", 1);
	expect_bad_query();
}

/* Three labels of 63 and one of `last`: 3 * 64 + 1 + last + 1 bytes on the wire. */
static void query_with_long_name(size_t last)
{
	char name[300] = "";
	size_t len = 0;

	for (int i = 0; i < 4; i++) {
		size_t label = i < 3 ? 63 : last;

		memset(name + len, 'a' + i, label);
		len += label;
		name[len++] = '.';
	}
	name[len - 1] = '\0';
	dns_begin(&msg, ID, DNS_RD);
	dns_question(&msg, name, DNS_A);
}

static void query_name_of_255_bytes_is_the_longest(void **state)
{
	const char long_text[] =
	        "a text of more than sixty-four bytes, which is where it is to be cut";
	uint8_t out[SL_DNS_REPLY_MAX_BYTES];
	struct sl_dns_query query;

	query_with_long_name(61);
	dns_opt(&msg, 1232, 0, NULL, 0);
	assert_int_equal(parse_msg(&query), SL_PARSE_DONE);
	assert_int_equal(query.question.name_bytes, 255);
	assert_int_equal(query.name_len, 253);
	assert_int_equal(sl_dns_query_build(&query, 1, &query.letter_case, out, sizeof(out), NULL),
	                 SL_DNS_QUERY_MAX_BYTES);
	assert_int_equal(sl_dns_reply_build(&query, SL_DNS_REFUSED, SL_DNS_EDE_BLOCKED, long_text,
	                                    out, sizeof(out)),
	                 SL_DNS_REPLY_MAX_BYTES);
	query_with_long_name(62);
	expect_bad_query();
	query_with_long_name(63);
	expect_bad_query();
}

static void query_record_that_is_no_opt_at_root_is_bad(void **state)
{
	query_for("example.com", DNS_A);
	dns_record_begin(&msg, DNS_ADDITIONAL, "x", DNS_OPT, 1232, 0);
	dns_record_end(&msg);
	expect_bad_query();

	query_for("example.com", DNS_A);
	dns_record_begin(&msg, DNS_ADDITIONAL, "", 250 /* TSIG */, 255, 0);
	dns_record_end(&msg);
	expect_bad_query();

	query_for("example.com", DNS_A); /* a pointer to a root is not a root */
	dns_record_begin(&msg, DNS_ADDITIONAL, "@24", DNS_OPT, 1232, 0);
	dns_record_end(&msg);
	expect_bad_query();
}

static void query_opt_version_is_tolerated_rcode_is_not(void **state)
{
	struct sl_dns_query query = query_for("example.com", DNS_A);

	dns_record_begin(&msg, DNS_ADDITIONAL, "", DNS_OPT, 512, 0x00018000);
	dns_record_end(&msg);
	assert_int_equal(parse_msg(&query), SL_PARSE_DONE);
	assert_int_equal(query.opt_version, 1);
	assert_int_equal(query.opt_udp_bytes, 512);

	query_for("example.com", DNS_A);
	dns_record_begin(&msg, DNS_ADDITIONAL, "", DNS_OPT, 512, 0x01000000);
	dns_record_end(&msg);
	expect_bad_query();
}

static void query_opt_lying_lengths_are_bad(void **state)
{
	static const uint8_t options[][6] = {
	        {0, 10, 0, 3, 1, 2},      /* longer than the data */
	        {0, 10, 0, 1, 1, 2},      /* one byte left over */
	        {0, 10, 0xff, 0xff, 1, 2} /* far longer */
	};

	for (size_t i = 0; i < COUNT(options); i++) {
		query_for("example.com", DNS_A);
		dns_opt(&msg, 1232, 0, options[i], sizeof(options[i]));
		expect_bad_query();
	}
	query_for("example.com", DNS_A);
	dns_opt(&msg, 1232, 0, options[0], 6);
	msg.bytes[msg.len - 3] = 2;      /* now the option fits... */
	msg.bytes[msg.rdlength + 1] = 7; /* ...and RDLENGTH is wrong, either way */
	expect_bad_query();
	msg.bytes[msg.rdlength + 1] = 5;
	expect_bad_query();
	msg.bytes[msg.rdlength + 1] = 6;
	struct sl_dns_query query;
	assert_int_equal(parse_msg(&query), SL_PARSE_DONE);
}

static void query_every_prefix_is_bad(void **state)
{
	struct sl_dns_query query;

	for (size_t len = 0; len < sizeof(dig_query); len++)
		assert_int_equal(parse_query(dig_query, len, &query), SL_PARSE_BAD);
}

static void expect_round_trip(const struct sl_dns_query *query)
{
	uint8_t out[SL_DNS_REPLY_MAX_BYTES];
	struct sl_dns_case noise = {{0x5555555555555555, ~0ull, 0, 0xdeadbeefcafef00d}};
	struct sl_dns_question sent;
	struct sl_dns_query again;
	size_t len = sl_dns_query_build(query, 0x4321, &noise, out, sizeof(out), &sent);

	assert_int_equal(parse_query(out, len, &again), SL_PARSE_DONE);
	assert_string_equal(again.name, query->name);
	assert_int_equal(again.question.type, query->question.type);
	assert_int_equal(again.question.id, 0x4321);
	assert_memory_equal(&again.question, &sent, sizeof(sent));
	assert_int_equal(again.had_opt, query->had_opt);
}

static void query_every_byte_mutated_parses_or_is_bad(void **state)
{
	uint8_t bytes[sizeof(dig_query)];
	struct sl_dns_query query;
	size_t done = 0, bad = 0;

	memcpy(bytes, dig_query, sizeof(bytes));
	for (size_t at = 0; at < sizeof(bytes); at++) {
		for (unsigned value = 0; value < 256; value++) {
			bytes[at] = (uint8_t)value;
			if (parse_query(bytes, sizeof(bytes), &query) == SL_PARSE_DONE) {
				expect_round_trip(&query);
				done++;
			} else {
				bad++;
			}
		}
		bytes[at] = dig_query[at];
	}
	assert_true(done > 1000);
	assert_true(bad > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(query_from_dig_tells_everything),
	        cmocka_unit_test(query_without_opt_is_taken),
	        cmocka_unit_test(query_for_root_has_empty_name),
	        cmocka_unit_test(query_flags_only_rd_ad_cd_pass),
	        cmocka_unit_test(query_other_counts_are_bad),
	        cmocka_unit_test(query_other_class_is_bad),
	        cmocka_unit_test(query_pointer_in_question_is_bad),
	        cmocka_unit_test(query_label_types_01_and_10_are_bad),
	        cmocka_unit_test(query_bytes_outside_host_alphabet_are_kept),
	        cmocka_unit_test(query_dot_inside_label_is_bad),
	        cmocka_unit_test(query_bytes_behind_the_end_are_bad),
	        cmocka_unit_test(query_name_of_255_bytes_is_the_longest),
	        cmocka_unit_test(query_record_that_is_no_opt_at_root_is_bad),
	        cmocka_unit_test(query_opt_version_is_tolerated_rcode_is_not),
	        cmocka_unit_test(query_opt_lying_lengths_are_bad),
	        cmocka_unit_test(query_every_prefix_is_bad),
	        cmocka_unit_test(query_every_byte_mutated_parses_or_is_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
