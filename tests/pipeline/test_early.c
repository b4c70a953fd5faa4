/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_early.c: TLS 1.3 early data after a judged hello (RFC 8446 2.3): it leaves with the hello,
 * is compared like it until the server has it, and makes no room for another hello.
 */
#include "hold_scene.h"

#define CCS         "\x14\3\3\0\1\1"          /* change_cipher_spec */
#define EARLY       "\x17\3\3\0\12early data" /* one application data record */
#define BYTES(text) text, sizeof(text) - 1

static void early_data_leaves_with_the_hello(void **state)
{
	static uint8_t all[sizeof(good.bytes) + sizeof(CCS EARLY)];
	struct conn c = opened();

	/* in the same segment */
	memcpy(all, good.bytes, good.len);
	memcpy(all + good.len, CCS EARLY, sizeof(CCS EARLY));
	expect(client(&c, 0, all, good.len + sizeof(CCS EARLY) - 1), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, all, good.len + sizeof(CCS EARLY) - 1);
	assert_int_equal(inproc_held(c.gw), 0);
	inproc_free(c.gw);
	/* in later ones, before and after the server's acknowledgement */
	c = judged();
	expect(after(&c, 0, BYTES(CCS)), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, SERVER, .ack = (int64_t)(good.len + 6)), SL_REASON_DOMAIN_ALLOWED);
	expect(after(&c, 6, BYTES(EARLY)), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees_after(&c, BYTES(CCS EARLY));
	/* the server answers: all that follows passes */
	expect(server(&c, 0, (int64_t)good.len + 21, server_hello, server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect(after(&c, 21, "more", 4), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* However the records are cut; the headers do not matter to what leaves. */
static void early_data_in_pieces_leaves_as_it_comes(void **state)
{
	static const char early[] = CCS EARLY EARLY;

	for (size_t piece = 1; piece < sizeof(early); piece++) {
		struct conn c = judged();

		for (size_t at = 0; at < sizeof(early) - 1; at += piece) {
			size_t n = sizeof(early) - 1 - at < piece ? sizeof(early) - 1 - at : piece;

			expect(after(&c, at, early + at, n), SL_REASON_DOMAIN_ALLOWED);
			expect_server_sees_after(&c, early, at + n);
		}
		inproc_free(c.gw);
	}
}

/* Records of other types, and bytes that are not a record, wait for the server's first message. */
static void other_records_wait_for_the_servers_first_message(void **state)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t len, leaves; /* how many of them leave at once */
	} rows[] = {
	        {"a handshake record", BYTES("\x16\3\3\0\4\1\0\0\0"), 0},
	        {"one after early data", BYTES(EARLY "\x16\3\3\0\4\1\0\0\0"), 15},
	        {"an alert", BYTES("\x15\3\3\0\2\1\0"), 0},
	        {"another type", BYTES("\x18\3\3\0\2\1\0"), 0},
	        {"no version", BYTES("\x17GET / HTTP/1.0"), 1},
	        {"an empty record", BYTES("\x17\3\3\0\0more"), 4},
	        {"a record that is too long", BYTES("\x17\3\3\x41\1more"), 4},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct conn c = judged();

		row(rows[i].what);
		expect(after(&c, 0, rows[i].bytes, rows[i].len), SL_REASON_NONE);
		expect(SEND(&c, SERVER, .ack = (int64_t)(good.len + rows[i].leaves)),
		       SL_REASON_DOMAIN_ALLOWED);
		expect_server_sees_after(&c, rows[i].bytes, rows[i].leaves);
		assert_int_equal(inproc_held(c.gw), 1);
		server(&c, 0, (int64_t)(good.len + rows[i].leaves), server_hello, server_hello_len);
		expect_server_sees_after(&c, rows[i].bytes, rows[i].len);
		assert_int_equal(inproc_held(c.gw), 0);
		inproc_free(c.gw);
	}
}

/* Lost early data comes again and passes; another byte in its place never does. */
static void early_data_is_compared_until_the_server_has_it(void **state)
{
	struct conn c = judged();
	size_t len = sizeof(EARLY) - 1;

	expect(after(&c, 0, BYTES(EARLY)), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw); /* lost on the way */
	expect(after(&c, 0, BYTES(EARLY)), SL_REASON_DOMAIN_ALLOWED);
	assert_true(inproc_left(c.gw, UPLINK, BYTES("early data")));
	/* the hello is acknowledged, the early data is not */
	expect(SEND(&c, SERVER, .ack = (int64_t)good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(after(&c, 0, BYTES(EARLY)), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	expect(after(&c, 0, evil.bytes, len), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	last_event(c.gw, false, SL_REASON_STREAM_CONFLICT);
	inproc_free(c.gw);
}

/* A segment that brings the lost hello again, and early data after it, loses neither. */
static void retransmission_with_early_data_after_it_is_taken_apart(void **state)
{
	static uint8_t all[sizeof(good.bytes) + sizeof(EARLY)];
	struct conn c = judged();
	size_t len = good.len + sizeof(EARLY) - 1;

	memcpy(all, good.bytes, good.len);
	memcpy(all + good.len, EARLY, sizeof(EARLY));
	inproc_clear(c.gw); /* lost on the way */
	expect(client(&c, 0, all, len), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, all, len);
	/* once more: all of it is judged now */
	inproc_clear(c.gw);
	expect(client(&c, 0, all, len), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, all, len);
	inproc_free(c.gw);
}

/* The second hello may come after early data, also after a record that was cut by the retry. */
static void second_hello_after_early_data_is_judged(void **state)
{
	static const size_t cuts[] = {0, 1, 4, 5, 9, sizeof(EARLY) - 1};

	for (size_t i = 0; i < COUNT(cuts); i++) {
		ROW_NUMBER(cuts[i]);
		for (int denied = 0; denied < 2; denied++) {
			static uint8_t all[sizeof(EARLY) + sizeof(good.bytes)];
			const struct hello *hello = denied ? &evil : &good;
			size_t early = sizeof(EARLY) - 1, len = early + hello->len;
			struct conn c = judged();

			memcpy(all, EARLY, early);
			memcpy(all + early, hello->bytes, hello->len);
			if (cuts[i] > 0)
				after(&c, 0, all, cuts[i]);
			expect_server_sees_after(&c, all, cuts[i]);
			/* the server has the hello, and not all early data */
			server(&c, 0, (int64_t)(good.len + cuts[i] / 2), retry, retry_len);
			expect(after_retry(&c, cuts[i], all + cuts[i], len - cuts[i]),
			       denied ? SL_REASON_DOMAIN_NOT_ALLOWED : SL_REASON_DOMAIN_ALLOWED);
			expect_server_sees_after(&c, all, denied ? cuts[i] : len);
			inproc_free(c.gw);
		}
	}
}

/* A server that does not have all of the first hello cannot ask for a second one. */
static void retry_before_the_hello_is_acknowledged_ends(void **state)
{
	struct conn c = judged();

	expect(after(&c, 0, BYTES(EARLY)), SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, 0, (int64_t)good.len - 1, retry, retry_len), SL_REASON_STREAM_CONFLICT);
	last_event(c.gw, false, SL_REASON_STREAM_CONFLICT);
	inproc_free(c.gw);
}

/* Early data that is lost on the way cannot be replaced by a hello. */
static void retry_early_data_cannot_be_replaced_by_a_hello(void **state)
{
	for (int late = 0; late < 2; late++) {
		struct conn c = judged();
		static uint8_t early[sizeof(evil.bytes)];

		memset(early, 'e', evil.len);
		memcpy(early, "\x17\3\3", 3);
		early[3] = (uint8_t)((evil.len - 5) >> 8);
		early[4] = (uint8_t)(evil.len - 5);
		SEND(&c, CLIENT, .at = (int64_t)good.len, .bytes = early, .len = evil.len,
		     .ttl = PKT_SET(1));
		inproc_clear(c.gw);
		if (late)
			server(&c, 0, (int64_t)good.len, retry, retry_len);
		expect(after_retry(&c, 0, evil.bytes, evil.len),
		       late ? SL_REASON_STREAM_CONFLICT : SL_REASON_NO_FLOW);
		expect(after(&c, 0, evil.bytes, evil.len), SL_REASON_STREAM_CONFLICT);
		assert_false(inproc_left(c.gw, UPLINK, "evil", 4));
		inproc_free(c.gw);
	}
}

/* Endless early data to a server that says nothing is bounded like any other hold. */
static void early_data_is_bounded(void **state)
{
	static uint8_t record[1405];
	struct conn c = judged();
	enum sl_reason reason = SL_REASON_DOMAIN_ALLOWED;
	size_t at = 0;

	memcpy(record, "\x17\3\3\5\x78", 5);
	while (reason == SL_REASON_DOMAIN_ALLOWED && at < 1 << 20) {
		SEND(&c, SERVER, .ack = (int64_t)(good.len + at));
		reason = after(&c, at, record, sizeof(record));
		at += sizeof(record);
	}
	expect(reason, SL_REASON_HOLD_LIMIT);
	assert_true(at > 30000);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(early_data_leaves_with_the_hello),
	        TEST(early_data_in_pieces_leaves_as_it_comes),
	        TEST(other_records_wait_for_the_servers_first_message),
	        TEST(early_data_is_compared_until_the_server_has_it),
	        TEST(retransmission_with_early_data_after_it_is_taken_apart),
	        TEST(second_hello_after_early_data_is_judged),
	        TEST(retry_before_the_hello_is_acknowledged_ends),
	        TEST(retry_early_data_cannot_be_replaced_by_a_hello),
	        TEST(early_data_is_bounded),
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
