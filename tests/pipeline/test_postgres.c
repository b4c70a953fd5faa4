/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_postgres.c: PostgreSQL's requests in the clear before its TLS hello (spec section 3).
 */
#include "hold_scene.h"

/* "the eight fixed bytes of a PostgreSQL SSLRequest; then the server's `S`; then the hello". */
static void postgres_then_allowed_hello_leaves(void **state)
{
	struct conn c = opened();
	static uint8_t all[8 + sizeof(good.bytes)];

	expect(client(&c, 0, ssl_request, 8), SL_REASON_NONE);
	expect_server_sees(&c, ssl_request, 8);
	expect(server(&c, 0, 8, "S", 1), SL_REASON_NONE);
	assert_true(packet_view_says(from_end(c.gw, SANDBOX, 0), "S"));
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1), SL_REASON_NONE);
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = good.bytes, .len = good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	memcpy(all, ssl_request, 8);
	memcpy(all + 8, good.bytes, good.len);
	expect_server_sees(&c, all, 8 + good.len);
	expect(SEND(&c, SERVER, .at = 1, .ack = 8 + (int64_t)good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

static void postgres_then_denied_hello_never_leaves(void **state)
{
	struct conn c = opened();

	client(&c, 0, ssl_request, 8);
	server(&c, 0, 8, "S", 1);
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = evil.bytes, .len = evil.len),
	       SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees(&c, ssl_request, 8);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 9, c.irs + 2);
	expect_segment(from_end(c.gw, SANDBOX, 1), TCP_PSH | TCP_ACK, c.irs + 2,
	               c.iss + 9 + (uint32_t)evil.len);
	expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 9,
	               c.iss + 9 + (uint32_t)evil.len);
	inproc_free(c.gw);
}

/* The numbers are right where the server's stream wraps between its SYN and its `S`. */
static void postgres_across_the_wrap_resets_with_right_numbers(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	c.irs = 0xfffffffe;
	handshake(&c);
	client(&c, 0, ssl_request, 8);
	server(&c, 0, 8, "S", 1);
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1), SL_REASON_NONE);
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = evil.bytes, .len = evil.len),
	       SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 9,
	               c.iss + 9 + (uint32_t)evil.len);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 9, c.irs + 2);
	inproc_free(c.gw);
}

/* Nothing of the hello leaves before the `S`, though it is there; then it is judged at once. */
static void postgres_hello_before_the_answer_waits_for_it(void **state)
{
	const struct hello *hellos[2] = {&good, &evil};

	for (int h = 0; h < 2; h++) {
		struct conn c = opened();
		static uint8_t all[8 + sizeof(good.bytes)];

		memcpy(all, ssl_request, 8);
		memcpy(all + 8, hellos[h]->bytes, hellos[h]->len);
		expect(client(&c, 0, all, 8 + hellos[h]->len), SL_REASON_NONE);
		expect_server_sees(&c, all, 8);
		server(&c, 0, 8, "S", 1);
		expect_server_sees(&c, all, h == 0 ? 8 + good.len : 8);
		last_event(c.gw, h == 0,
		           h == 0 ? SL_REASON_DOMAIN_ALLOWED : SL_REASON_DOMAIN_NOT_ALLOWED);
		inproc_free(c.gw);
	}
}

/* The request may be cut anywhere, too; a lost one may come again. */
static void postgres_request_in_pieces_and_again_leaves_once_judged(void **state)
{
	struct conn c = opened();

	expect(client(&c, 4, ssl_request + 4, 4), SL_REASON_NONE);
	expect(client(&c, 0, ssl_request, 3), SL_REASON_NONE);
	expect_server_sees_nothing(&c);
	expect(client(&c, 3, ssl_request + 3, 1), SL_REASON_NONE);
	expect_server_sees(&c, ssl_request, 8);
	inproc_clear(c.gw);
	expect(client(&c, 0, ssl_request, 8), SL_REASON_DUPLICATE);
	expect_server_sees(&c, ssl_request, 8);
	expect(client(&c, 0, "\0\0\0\10\4\xd2\x16\x31", 8), SL_REASON_STREAM_CONFLICT);
	expect_server_sees(&c, ssl_request, 8);
	inproc_free(c.gw);
}

static const uint8_t gss_request[8] = {0, 0, 0, 8, 4, 0xd2, 0x16, 0x30};

/* libpq asks for GSSAPI first where a ticket is about; `N`, and it asks for TLS. */
static void postgres_asked_for_gssapi_first_leaves(void **state)
{
	const struct hello *hellos[2] = {&good, &evil};

	for (int h = 0; h < 2; h++) {
		struct conn c = opened();
		static uint8_t all[16 + sizeof(good.bytes)];

		memcpy(all, gss_request, 8);
		memcpy(all + 8, ssl_request, 8);
		memcpy(all + 16, hellos[h]->bytes, hellos[h]->len);
		expect(client(&c, 0, all, 8), SL_REASON_NONE);
		expect_server_sees(&c, all, 8);
		expect(server(&c, 0, 8, "N", 1), SL_REASON_NONE);
		expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = all + 8, .len = 8),
		       SL_REASON_NONE);
		expect_server_sees(&c, all, 16);
		expect(server(&c, 1, 16, "S", 1), SL_REASON_NONE);
		/* either may come again, and nothing else may */
		expect(server(&c, 0, 16, "N", 1), SL_REASON_NONE);
		expect(server(&c, 1, 16, "S", 1), SL_REASON_NONE);
		expect(SEND(&c, CLIENT, .at = 16, .ack = 2, .bytes = all + 16,
		            .len = hellos[h]->len),
		       h == 0 ? SL_REASON_DOMAIN_ALLOWED : SL_REASON_DOMAIN_NOT_ALLOWED);
		expect_server_sees(&c, all, h == 0 ? 16 + good.len : 16);
		inproc_free(c.gw);
	}
}

/* What follows a `G` is not TLS; a second request for it, or what is neither, does not leave. */
static void postgres_gssapi_itself_is_not_tls(void **state)
{
	struct conn c = opened();

	client(&c, 0, gss_request, 8);
	expect(server(&c, 0, 8, "G", 1), SL_REASON_NOT_TLS);
	last_event(c.gw, false, SL_REASON_NOT_TLS);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
	inproc_free(c.gw);
	for (int startup = 0; startup < 2; startup++) {
		static const uint8_t plain[8] = {0, 0, 0, 8, 0, 3, 0, 0};

		c = opened();
		client(&c, 0, gss_request, 8);
		server(&c, 0, 8, "N", 1);
		expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = startup ? plain : gss_request,
		            .len = 8),
		       SL_REASON_NOT_TLS);
		expect_server_sees(&c, gss_request, 8);
		inproc_free(c.gw);
	}
}

/* Anything but `S` ends the connection and is not delivered. */
static void postgres_another_answer_is_refused(void **state)
{
	static const char *const answers[] = {"N", "E", "s", "SS", "SERROR", "\x16", "\0"};

	for (size_t i = 0; i < COUNT(answers); i++) {
		struct conn c = opened();
		size_t len = i == COUNT(answers) - 1 ? 1 : strlen(answers[i]);

		row(answers[i]);
		client(&c, 0, ssl_request, 8);
		inproc_clear(c.gw);
		expect(server(&c, 0, 8, answers[i], len), SL_REASON_NOT_TLS);
		last_event(c.gw, false, SL_REASON_NOT_TLS);
		assert_int_equal(inproc_count(c.gw, SANDBOX), 1);
		assert_int_equal(from_end(c.gw, SANDBOX, 0)->payload_len, 0);
		inproc_free(c.gw);
	}
}

/* The `S` may come again if it was lost; more from the server may not, before the hello. */
static void postgres_answer_again_passes_but_nothing_behind_it(void **state)
{
	struct conn c = opened();

	client(&c, 0, ssl_request, 8);
	server(&c, 0, 8, "S", 1);
	expect(server(&c, 0, 8, "S", 1), SL_REASON_NONE);
	assert_true(packet_view_says(from_end(c.gw, SANDBOX, 0), "S"));
	expect(server(&c, 1, 8, "x", 1), SL_REASON_NOT_TLS);
	assert_false(packet_view_says(from_end(c.gw, SANDBOX, 0), "x"));
	inproc_free(c.gw);
}

/* Other eight bytes are no SSLRequest: nothing of them leaves. */
static void postgres_lookalikes_are_not_tls(void **state)
{
	static const uint8_t others[][8] = {
	        {0, 0, 0, 8, 4, 0xd2, 0x16, 0x31},
	        {0, 0, 0, 8, 4, 0xd2, 0x16, 0x2e}, /* CancelRequest */
	        {0, 0, 0, 9, 4, 0xd2, 0x16, 0x2f},
	        {0, 0, 0, 8, 0, 3, 0, 0},
	};

	for (size_t i = 0; i < COUNT(others); i++) {
		struct conn c = opened();

		expect(client(&c, 0, others[i], 8), SL_REASON_NOT_TLS);
		expect_ended(&c, SL_REASON_NOT_TLS);
		inproc_free(c.gw);
	}
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(postgres_then_allowed_hello_leaves),
	        TEST(postgres_then_denied_hello_never_leaves),
	        TEST(postgres_across_the_wrap_resets_with_right_numbers),
	        TEST(postgres_hello_before_the_answer_waits_for_it),
	        TEST(postgres_request_in_pieces_and_again_leaves_once_judged),
	        TEST(postgres_asked_for_gssapi_first_leaves),
	        TEST(postgres_gssapi_itself_is_not_tls),
	        TEST(postgres_another_answer_is_refused),
	        TEST(postgres_answer_again_passes_but_nothing_behind_it),
	        TEST(postgres_lookalikes_are_not_tls),
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
