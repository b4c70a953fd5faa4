/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_tcp.c: the TCP stream of messages, cut at its length prefixes.
 */
#include "dns_expect.h"

/* A stream of three messages, of 12, 56 and 13 bytes. */
static size_t build_stream(uint8_t *stream)
{
	size_t len = 0;

	memcpy(stream, "\0\14", 2);
	memset(stream + 2, 0x11, 12);
	len = 14;
	stream[len++] = 0;
	stream[len++] = sizeof(dig_query);
	memcpy(stream + len, dig_query, sizeof(dig_query));
	len += sizeof(dig_query);
	memcpy(stream + len, "\0\15", 2);
	memset(stream + len + 2, 0x33, 13);
	return len + 15;
}

static void tcp_any_split_gives_the_same_messages(void **state)
{
	static const uint16_t lengths[] = {12, sizeof(dig_query), 13};
	uint8_t stream[256], buf[64];
	size_t total = build_stream(stream);

	for (size_t piece = 1; piece <= total; piece++) {
		struct sl_dns_tcp tcp = {0};
		size_t at = 0, messages = 0, left = piece;

		while (at < total) {
			size_t give = left < total - at ? left : total - at, used;
			enum sl_parse answer =
			        sl_dns_tcp_feed(&tcp, buf, sizeof(buf), stream + at, give, &used);

			if (answer == SL_PARSE_DONE) {
				assert_int_equal(tcp.message_bytes, lengths[messages]);
				if (messages == 1)
					assert_memory_equal(buf, dig_query, sizeof(dig_query));
				messages++;
			} else {
				assert_int_equal(answer, SL_PARSE_MORE);
				assert_int_equal(used, give);
			}
			assert_true(used > 0);
			at += used;
			left = left > used ? left - used : piece;
		}
		assert_int_equal(messages, 3);
	}
}

static void tcp_empty_piece_changes_nothing(void **state)
{
	struct sl_dns_tcp tcp = {0};
	uint8_t buf[64];
	size_t used = 7;

	assert_int_equal(sl_dns_tcp_feed(&tcp, buf, sizeof(buf), NULL, 0, &used), SL_PARSE_MORE);
	assert_int_equal(used, 0);
	assert_int_equal(
	        sl_dns_tcp_feed(&tcp, buf, sizeof(buf), (const uint8_t *)"\0\14", 2, &used),
	        SL_PARSE_MORE);
	assert_int_equal(sl_dns_tcp_feed(&tcp, buf, sizeof(buf), NULL, 0, &used), SL_PARSE_MORE);
	assert_int_equal(tcp.have, 0);
}

static void tcp_length_no_message_has_is_bad_for_good(void **state)
{
	static const struct {
		uint8_t prefix[2];
		bool fine;
	} cases[] = {
	        {{0, 0}, false}, {{0, 1}, false},  {{0, 11}, false},      {{0, 12}, true},
	        {{0, 64}, true}, {{0, 65}, false}, {{0xff, 0xff}, false}, {{1, 0}, false},
	};
	uint8_t buf[64];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sl_dns_tcp tcp = {0};
		size_t used;

		assert_int_equal(sl_dns_tcp_feed(&tcp, buf, 64, cases[i].prefix, 2, &used),
		                 cases[i].fine ? SL_PARSE_MORE : SL_PARSE_BAD);
		if (cases[i].fine)
			continue;
		assert_int_equal(sl_dns_tcp_feed(&tcp, buf, 64, dig_query, 20, &used),
		                 SL_PARSE_BAD);
		assert_int_equal(used, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tcp_any_split_gives_the_same_messages),
	        cmocka_unit_test(tcp_empty_piece_changes_nothing),
	        cmocka_unit_test(tcp_length_no_message_has_is_bad_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
