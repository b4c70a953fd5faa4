/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_build.c: queries as they leave, the gateway's own answers, and the client's question put
 * back.
 */
#include "dns_expect.h"

/* ---- queries as they leave ---- */

static void build_leaves_nothing_of_the_clients_choice(void **state)
{
	/* id 0x0102, RD and the client's AD, wWw.eXaMple.com by the mask, AAAA, the gateway's OPT
	 */
	static const uint8_t expected[] = {
	        0x01, 0x02, 0x01, 0x20, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
	        0x01, 0x03, 'w',  'W',  'w',  0x07, 'e',  'X',  'a',  'M',  'p',
	        'l',  'e',  0x03, 'c',  'o',  'm',  0x00, 0x00, 0x1c, 0x00, 0x01,
	        0x00, 0x00, 0x29, 0x04, 0xd0, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00,
	};
	struct sl_dns_case mask = {{1u << 0 | 1u << 2 | 1u << 4 | 1u << 6 | 1u << 8, ~0ull, 0, 0}};
	struct sl_dns_question sent;
	struct sl_dns_query query;
	uint8_t out[SL_DNS_QUERY_MAX_BYTES];

	assert_int_equal(parse_query(dig_query, sizeof(dig_query), &query), SL_PARSE_DONE);
	assert_int_equal(sl_dns_query_build(&query, 0x0102, &mask, out, sizeof(out), &sent),
	                 sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
	assert_int_equal(sent.id, 0x0102);
	assert_int_equal(sent.type, SL_DNS_TYPE_AAAA);
	assert_int_equal(sent.name_bytes, 17);
	assert_memory_equal(sent.name, expected + 12, 17);
	/* and the client's own question is untouched */
	assert_memory_equal(query.question.name, dig_query + 12, 17);
}

static void build_without_client_opt_has_none(void **state)
{
	struct sl_dns_query query = query_for("example.com", DNS_A);
	uint8_t out[SL_DNS_QUERY_MAX_BYTES];

	/* the client's own id and case: the result must be the same bytes */
	assert_int_equal(sl_dns_query_build(&query, ID, &query.letter_case, out, sizeof(out), NULL),
	                 msg.len);
	assert_memory_equal(out, msg.bytes, msg.len);
}

static void build_without_rd_sets_it(void **state)
{
	uint8_t out[SL_DNS_QUERY_MAX_BYTES];
	struct sl_dns_query query;

	dns_begin(&msg, ID, DNS_CD | DNS_AD);
	dns_question(&msg, "example.com", DNS_A);
	assert_int_equal(parse_msg(&query), SL_PARSE_DONE);
	assert_true(sl_dns_query_build(&query, ID, &query.letter_case, out, sizeof(out), NULL) > 0);
	assert_int_equal(out[2], 0x01);
	assert_int_equal(out[3], DNS_CD | DNS_AD); /* for stubs that validate */
}

static void build_into_small_buffer_writes_nothing(void **state)
{
	struct sl_dns_query query;
	uint8_t out[SL_DNS_REPLY_MAX_BYTES], clean[sizeof(out)];

	memset(clean, 0xa5, sizeof(clean));
	assert_int_equal(parse_query(dig_query, sizeof(dig_query), &query), SL_PARSE_DONE);
	for (size_t size = 0; size < 44; size++) {
		memset(out, 0xa5, sizeof(out));
		assert_int_equal(sl_dns_query_build(&query, 1, &query.letter_case, out, size, NULL),
		                 0);
		assert_int_equal(sl_dns_reply_build(&query, SL_DNS_REFUSED, SL_DNS_EDE_NONE, NULL,
		                                    out, size),
		                 0);
		assert_memory_equal(out, clean, sizeof(out));
	}
	assert_int_equal(sl_dns_query_build(&query, 1, &query.letter_case, out, 44, NULL), 44);
}

/* ---- the gateway's own answers ---- */

static void reply_refused_repeats_question_and_opt(void **state)
{
	static const uint8_t expected[] = {
	        0xbe, 0xef, 0x81, 0x85, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03,
	        'w',  'W',  'w',  0x07, 'E',  'x',  'a',  'm',  'p',  'l',  'e',  0x03, 'c',
	        'o',  'm',  0x00, 0x00, 0x1c, 0x00, 0x01, 0x00, 0x00, 0x29, 0x04, 0xd0, 0x00,
	        0x00, 0x80, 0x00, 0x00, 0x06, 0x00, 0x0f, 0x00, 0x02, 0x00, 0x0f,
	};
	uint8_t out[SL_DNS_REPLY_MAX_BYTES];
	struct sl_dns_query query;

	assert_int_equal(parse_query(dig_query, sizeof(dig_query), &query), SL_PARSE_DONE);
	assert_int_equal(sl_dns_reply_build(&query, SL_DNS_REFUSED, SL_DNS_EDE_BLOCKED, NULL, out,
	                                    sizeof(out)),
	                 sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
}

static void reply_answers_the_clients_question(void **state)
{
	static const enum sl_dns_rcode rcodes[] = {SL_DNS_NOERROR, SL_DNS_NXDOMAIN, SL_DNS_REFUSED};
	uint8_t out[SL_DNS_REPLY_MAX_BYTES];

	for (size_t i = 0; i < COUNT(rcodes); i++) {
		struct sl_dns_query query = query_for("wWw.Example.com", DNS_HTTPS);
		size_t len = sl_dns_reply_build(&query, rcodes[i], SL_DNS_EDE_FILTERED, NULL, out,
		                                sizeof(out));
		struct parsed parsed = parse_answer(out, len, &query.question);

		ROW_NUMBER(rcodes[i]);
		assert_int_equal(parsed.answer, SL_PARSE_DONE);
		assert_int_equal(parsed.info.rcode, rcodes[i]);
		assert_int_equal(parsed.info.answers, 0);
		assert_int_equal(parsed.info.additionals, 0); /* no OPT received, none sent */
		assert_false(parsed.info.truncated);
		assert_int_equal(len, msg.len);
	}
}

static void reply_without_rd_leaves_it_clear(void **state)
{
	uint8_t out[SL_DNS_REPLY_MAX_BYTES];
	struct sl_dns_query query;

	dns_begin(&msg, ID, DNS_CD);
	dns_question(&msg, "example.com", DNS_A);
	assert_int_equal(parse_msg(&query), SL_PARSE_DONE);
	sl_dns_reply_build(&query, SL_DNS_NXDOMAIN, SL_DNS_EDE_NONE, NULL, out, sizeof(out));
	assert_int_equal(out[2], 0x80);
	assert_int_equal(out[3], 0x93);
}

/* ---- the client's question put back ---- */

static void restore_gives_the_client_its_own_question(void **state)
{
	struct sl_dns_query query;
	struct sl_dns_case mask = {{0x0123456789abcdef, 1, 2, 3}};
	struct sl_dns_question sent;
	uint8_t out[SL_DNS_QUERY_MAX_BYTES], before[512];
	struct parsed parsed;

	assert_int_equal(parse_query(dig_query, sizeof(dig_query), &query), SL_PARSE_DONE);
	sl_dns_query_build(&query, 0x7777, &mask, out, sizeof(out), &sent);

	dns_begin(&msg, 0x7777, DNS_QR | DNS_RD | DNS_RA);
	dns_put(&msg, sent.name, sent.name_bytes);
	dns_put(&msg, "\0\34\0\1", 4);
	msg.bytes[5] = 1;
	dns_address(&msg, DNS_ANSWER, "@12", "2001:db8::1", 60);
	parsed = parse_answer(msg.bytes, msg.len, &sent);
	assert_int_equal(parsed.answer, SL_PARSE_DONE);
	memcpy(before, msg.bytes, msg.len);

	assert_int_equal(
	        sl_dns_question_restore(msg.bytes, msg.len, query.question.id, &query.letter_case),
	        0);
	assert_int_equal(parse_answer(msg.bytes, msg.len, &sent).answer, SL_PARSE_NOT_MINE);
	parsed = parse_answer(msg.bytes, msg.len, &query.question);
	assert_int_equal(parsed.answer, SL_PARSE_DONE);
	assert_int_equal(parsed.told.count, 1);
	/* nothing else has changed */
	assert_memory_equal(msg.bytes + 2, before + 2, 10);
	assert_memory_equal(msg.bytes + 12, dig_query + 12, 21);
	assert_memory_equal(msg.bytes + 33, before + 33, msg.len - 33);
}

static void restore_without_plain_question_changes_nothing(void **state)
{
	struct sl_dns_case upper = {{~0ull, ~0ull, ~0ull, ~0ull}};
	uint8_t before[64];

	dns_begin(&msg, ID, DNS_QR);
	dns_question(&msg, "www.example.com", DNS_A);
	for (size_t len = 0; len < 12 + 17; len++) {
		uint8_t *copy = exactly(msg.bytes, len);

		assert_int_equal(sl_dns_question_restore(copy, len, 1, &upper), -EINVAL);
		assert_memory_equal(copy, msg.bytes, len);
		free(copy);
	}
	dns_begin(&msg, ID, DNS_QR);
	dns_question(&msg, "www.@12", DNS_A);
	memcpy(before, msg.bytes, msg.len);
	assert_int_equal(sl_dns_question_restore(msg.bytes, msg.len, 1, &upper), -EINVAL);
	assert_memory_equal(msg.bytes, before, msg.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(build_leaves_nothing_of_the_clients_choice),
	        cmocka_unit_test(build_without_client_opt_has_none),
	        cmocka_unit_test(build_without_rd_sets_it),
	        cmocka_unit_test(build_into_small_buffer_writes_nothing),
	        cmocka_unit_test(reply_refused_repeats_question_and_opt),
	        cmocka_unit_test(reply_answers_the_clients_question),
	        cmocka_unit_test(reply_without_rd_leaves_it_clear),
	        cmocka_unit_test(restore_gives_the_client_its_own_question),
	        cmocka_unit_test(restore_without_plain_question_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
