/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_retry.c: a HelloRetryRequest, and the second hello that it asks for (RFC 8446 4.1.4).
 */
#include "hold_scene.h"

static const uint8_t change_cipher_spec[6] = {20, 3, 3, 0, 1, 1};

/* A connection whose first hello is acknowledged and answered by a HelloRetryRequest. */
static struct conn retried(void)
{
	struct conn c = judged();

	expect(server(&c, 0, (int64_t)good.len, retry, retry_len), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(from_end(c.gw, SANDBOX, 0)->payload_len, retry_len);
	return c;
}

/* "the client's next handshake record must be a ClientHello of the same name, held and judged like
 * the first": with a change_cipher_spec in front, as clients send it. */
static void retry_second_hello_of_the_same_name_leaves(void **state)
{
	struct conn c = retried();
	static uint8_t answer[sizeof(change_cipher_spec) + sizeof(good.bytes)];
	size_t n = sizeof(change_cipher_spec);

	memcpy(answer, change_cipher_spec, n);
	memcpy(answer + n, good.bytes, good.len);
	n += good.len;
	expect(SEND(&c, CLIENT, .at = (int64_t)good.len, .ack = (int64_t)retry_len),
	       SL_REASON_NONE);
	expect(after_retry(&c, 0, answer, HALF), SL_REASON_NONE);
	expect_server_sees_after(&c, "", 0);
	expect(after_retry(&c, HALF, answer + HALF, n - HALF), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees_after(&c, answer, n);
	expect(after_retry(&c, 0, answer, n), SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, (int64_t)retry_len, (int64_t)(good.len + n), server_hello,
	              server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect(after(&c, n, "data", 4), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* Another name does not leave, also one that the policy would allow. */
static void retry_second_hello_of_another_name_never_leaves(void **state)
{
	static const char *const names[] = {DENIED, "www.good.example", NULL};

	for (size_t i = 0; i < COUNT(names); i++) {
		static struct hello other;
		struct conn c = retried();

		row(names[i]);
		hello_with(&other, &(struct hello_options){.name = names[i]}, 0);
		inproc_clear(c.gw);
		expect(after_retry(&c, 0, other.bytes, other.len),
		       names[i] ? SL_REASON_DOMAIN_NOT_ALLOWED : SL_REASON_NO_SERVER_NAME);
		expect_server_sees_nothing(&c);
		expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK,
		               c.iss + 1 + (uint32_t)good.len, c.irs + 1 + (uint32_t)retry_len);
		assert_memory_equal(from_end(c.gw, SANDBOX, 1)->payload, access_denied, 7);
		expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST | TCP_ACK,
		               c.irs + 8 + (uint32_t)retry_len,
		               c.iss + 1 + (uint32_t)(good.len + other.len));
		inproc_free(c.gw);
	}
}

/* Decoys serve nothing the second time either. */
static void retry_second_hello_is_compared_like_the_first(void **state)
{
	for (int whole = 0; whole < 2; whole++) {
		struct conn c = retried();

		expect(after_retry(&c, 0, good.bytes, whole ? good.len : HALF),
		       whole ? SL_REASON_DOMAIN_ALLOWED : SL_REASON_NONE);
		inproc_clear(c.gw);
		expect(after_retry(&c, 0, evil.bytes, evil.len), SL_REASON_STREAM_CONFLICT);
		expect_server_sees_nothing(&c);
		inproc_free(c.gw);
	}
}

/* The copy of the first hello is gone: what comes in its place is neither kept nor sent. */
static void retry_bytes_in_the_place_of_the_first_hello_never_leave(void **state)
{
	struct conn c = retried();
	const int64_t ack = (int64_t)retry_len;

	for (int i = 0; i < 3; i++) {
		inproc_clear(c.gw);
		expect(SEND(&c, CLIENT, .ack = ack, .bytes = evil.bytes, .len = evil.len),
		       SL_REASON_DOMAIN_ALLOWED);
		expect_segment(from_end(c.gw, UPLINK, 0), TCP_ACK, c.iss + 1,
		               c.irs + 1 + (uint32_t)retry_len);
		expect_server_sees_nothing(&c);
		assert_int_equal(inproc_held(c.gw), 0);
		if (i == 1) /* judged, and not acknowledged */
			expect(after_retry(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	}
	expect(after_retry(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, ack, (int64_t)(2 * good.len), server_hello, server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* Anything but a hello in the next handshake record ends the connection; nothing at all, too. */
static void retry_without_a_second_hello_ends(void **state)
{
	struct conn c = retried();

	inproc_clear(c.gw);
	expect(after_retry(&c, 0, "\x16\3\3\0\4\x14\0\0\0", 9), SL_REASON_NOT_TLS);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);

	c = retried();
	inproc_clear(c.gw);
	expect(after_retry(&c, 0, "\x17\3\3\0\4data", 9), SL_REASON_NONE);
	inproc_advance_s(c.gw, 10.3);
	last_event(c.gw, false, SL_REASON_HELLO_TIMEOUT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A second hello that is sent before the retry comes, which the client can bring about, is not let
 * out before it is judged. */
static void retry_second_hello_sent_ahead_is_held(void **state)
{
	struct conn c = opened(), d = opened();
	static uint8_t both[2 * sizeof(good.bytes)];

	memcpy(both, good.bytes, good.len);
	memcpy(both + good.len, evil.bytes, evil.len);
	/* in the same segment */
	client(&c, 0, both, good.len + evil.len);
	expect_server_sees(&c, good.bytes, good.len);
	expect(server(&c, 0, (int64_t)good.len, retry, retry_len), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
	/* in a later one, out of order */
	expect(client(&d, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	after(&d, 50, evil.bytes + 50, evil.len - 50);
	SEND(&d, SERVER, .ack = (int64_t)good.len);
	after(&d, 0, evil.bytes, 50);
	expect_server_sees(&d, good.bytes, good.len);
	server(&d, 0, (int64_t)good.len, retry, retry_len);
	expect_server_sees(&d, good.bytes, good.len);
	last_event(d.gw, false, SL_REASON_DOMAIN_NOT_ALLOWED);
	inproc_free(d.gw);
}

/* The server's answer is read however it is cut, with warnings in front of it. */
static void retry_in_pieces_is_seen(void **state)
{
	static const uint8_t warning[] = {21, 3, 3, 0, 2, 1, 112};

	for (size_t cut = 1; cut < retry_len; cut += 5) {
		struct conn c = judged();

		server(&c, 0, (int64_t)good.len, warning, sizeof(warning));
		for (size_t at = 0; at < retry_len; at += cut)
			server(&c, (int64_t)(sizeof(warning) + at), (int64_t)good.len, retry + at,
			       retry_len - at < cut ? retry_len - at : cut);
		inproc_clear(c.gw);
		expect(SEND(&c, CLIENT, .at = (int64_t)good.len,
		            .ack = (int64_t)(sizeof(warning) + retry_len), .bytes = evil.bytes,
		            .len = evil.len),
		       SL_REASON_DOMAIN_NOT_ALLOWED);
		expect_server_sees_nothing(&c);
		inproc_free(c.gw);
	}
}

/* An answer that is no retry, cut anyhow and out of order, lets the connection go on. */
static void answer_in_pieces_lets_the_client_go_on(void **state)
{
	struct conn c = judged();

	server(&c, 30, (int64_t)good.len, server_hello + 30, server_hello_len - 30);
	expect(after(&c, 0, "x", 1), SL_REASON_NONE);
	server(&c, 0, (int64_t)good.len, server_hello, 30);
	expect_server_sees_after(&c, "x", 1);
	expect(after(&c, 1, "y", 1), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* A server that refuses by an alert and ends its stream asks for no other hello. */
static void alert_and_end_of_the_server_let_the_client_end_as_well(void **state)
{
	static const uint8_t fatal[] = {21, 3, 3, 0, 2, 2, 40}, closing[] = {21, 3, 3, 0, 2, 1, 0};
	struct conn c = judged();

	expect(server(&c, 0, (int64_t)good.len, fatal, 7), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, CLIENT, .at = (int64_t)good.len, .ack = 7, .bytes = closing, .len = 7),
	       SL_REASON_NONE);
	expect(SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .at = 7, .ack = (int64_t)good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees_after(&c, closing, 7);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = (int64_t)good.len + 7, .ack = 8),
	       SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* Also after a PostgreSQL SSLRequest. */
static void retry_behind_postgres_is_judged(void **state)
{
	struct conn c = opened();

	client(&c, 0, ssl_request, 8);
	server(&c, 0, 8, "S", 1);
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = good.bytes, .len = good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, 1, 8 + (int64_t)good.len, retry, retry_len), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .at = 8 + (int64_t)good.len, .ack = 1 + (int64_t)retry_len,
	            .bytes = evil.bytes, .len = evil.len),
	       SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A policy that opens the address in between lets the second hello out unjudged. */
static void policy_that_opens_the_address_releases_a_second_hello(void **state)
{
	struct conn c = retried();

	expect(after_retry(&c, 0, evil.bytes, HALF), SL_REASON_NONE);
	inproc_push(c.gw,
	            "sandboxes: [{vlan: 101, policy: {subnets: {allow: [198.51.100.0/24]}}}]");
	inproc_advance_s(c.gw, 1);
	expect_server_sees_after(&c, evil.bytes, HALF);
	expect(after_retry(&c, HALF, evil.bytes + HALF, evil.len - HALF), SL_REASON_SUBNET_ALLOWED);
	inproc_free(c.gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(retry_second_hello_of_the_same_name_leaves),
	        TEST(retry_second_hello_of_another_name_never_leaves),
	        TEST(retry_second_hello_is_compared_like_the_first),
	        TEST(retry_bytes_in_the_place_of_the_first_hello_never_leave),
	        TEST(retry_without_a_second_hello_ends),
	        TEST(retry_second_hello_sent_ahead_is_held),
	        TEST(retry_in_pieces_is_seen),
	        TEST(answer_in_pieces_lets_the_client_go_on),
	        TEST(alert_and_end_of_the_server_let_the_client_end_as_well),
	        TEST(retry_behind_postgres_is_judged),
	        TEST(policy_that_opens_the_address_releases_a_second_hello),
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
