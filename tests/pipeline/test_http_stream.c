/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http_stream.c: plain HTTP under rule 3 (spec section 3): the bytes that are judged are the
 * bytes that leave, in any segmentation, before and after the server's answer.
 */
#include "http_scene.h"

/* ---- segmentation ---- */

static void request_cut_at_every_place_is_judged_in_both_orders(void **state)
{
	struct inproc *gw = gateway_with(POLICY, HTTP);
	const struct {
		const char *text;
		enum sl_reason reason;
	} cases[] = {{GOOD, SL_REASON_DOMAIN_ALLOWED}, {EVIL, SL_REASON_DOMAIN_NOT_ALLOWED}};

	for (size_t i = 0; i < 2; i++)
		for (size_t cut = 1; cut < strlen(cases[i].text); cut++)
			for (int swap = 0; swap < 2; swap++) {
				const char *text = cases[i].text;
				size_t len = strlen(text), first = swap ? cut : 0;
				struct conn c = conn_of(gw);

				c.dport = 80;
				handshake(&c);
				expect(client(&c, (int64_t)first, text + first,
				              swap ? len - cut : cut),
				       SL_REASON_NONE);
				expect_server_sees_nothing(&c);
				first = swap ? 0 : cut;
				expect(client(&c, (int64_t)first, text + first,
				              swap ? cut : len - cut),
				       cases[i].reason);
				if (i == 0)
					expect_server_sees(&c, text, len);
				else
					expect_server_sees_nothing(&c);
				inproc_clear(gw);
				inproc_advance_s(gw, 0.1);
			}
	inproc_free(gw);
}

static void one_byte_segments(bool reversed)
{
	struct inproc *gw = gateway_with(POLICY, HTTP);
	const char *const texts[] = {GOOD, EVIL};

	for (int i = 0; i < 2; i++) {
		struct conn c = conn_of(gw);
		enum sl_reason reason = SL_REASON_NONE;
		size_t len = strlen(texts[i]);

		handshake(&c);
		for (size_t n = 0; n < len; n++) {
			size_t at = reversed ? len - 1 - n : n;

			expect(reason, SL_REASON_NONE);
			reason = client(&c, (int64_t)at, texts[i] + at, 1);
		}
		expect(reason, i ? SL_REASON_DOMAIN_NOT_ALLOWED : SL_REASON_DOMAIN_ALLOWED);
		if (i == 0)
			expect_server_sees(&c, GOOD, len);
		else
			expect_server_sees_nothing(&c);
	}
	inproc_free(gw);
}

static void request_in_one_byte_segments_is_judged(void **state)
{
	one_byte_segments(false);
}

static void request_in_one_byte_segments_reversed_is_judged(void **state)
{
	one_byte_segments(true);
}

/* Nagle: the gateway acknowledges what is only repeated; that is not a verdict. */
static void request_that_is_acknowledged_early_is_judged_alike(void **state)
{
	struct conn c = opened(), d;

	expect(client(&c, 0, GOOD, 20), SL_REASON_NONE);
	expect(client(&c, 0, GOOD, 20), SL_REASON_DUPLICATE);
	assert_int_equal(from_end(c.gw, SANDBOX, 0)->ack, c.iss + 1 + 20);
	expect_server_sees_nothing(&c);
	expect(client(&c, 20, GOOD + 20, strlen(GOOD) - 20), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw); /* lost on the way */
	inproc_advance_s(c.gw, 0.5);
	expect_server_sees(&c, GOOD, strlen(GOOD));
	expect(answer(&c, 0, LEN, OK), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	d = conn_of(c.gw);
	handshake(&d);
	client(&d, 0, EVIL, 20);
	client(&d, 0, EVIL, 20);
	expect(client(&d, 20, EVIL + 20, strlen(EVIL) - 20), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&d);
	inproc_free(c.gw);
}

/* ---- the judged bytes are the bytes that leave ---- */

static void retransmission_that_differs_conflicts(void **state)
{
	for (int64_t at = 0; at < LEN; at += 3)
		for (int judged = 0; judged < 2; judged++) {
			struct conn c = opened();
			const char other = (char)(GOOD[at] ^ 1);

			if (judged)
				expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
			else
				expect(client(&c, 0, GOOD, strlen(GOOD) - 1), SL_REASON_NONE);
			inproc_clear(c.gw);
			expect(client(&c, at, &other, 1), SL_REASON_STREAM_CONFLICT);
			expect_server_sees_nothing(&c);
			last_event(c.gw, false, SL_REASON_STREAM_CONFLICT);
			assert_int_equal(from_end(c.gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
			assert_false(inproc_left(c.gw, SANDBOX, "403", 3));
			inproc_free(c.gw);
		}
}

static void retransmission_with_another_host_conflicts(void **state)
{
	struct conn c = opened();

	expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	expect(say(&c, 0, EVIL), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* Equal bytes pass however split, even with the body after them. */
static void retransmission_that_reaches_into_the_body_passes(void **state)
{
	struct conn c = opened();

	expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw); /* lost */
	expect(say(&c, 0, GOOD "body"), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, GOOD "body", strlen(GOOD) + 4);
	/* the server has it and has not answered: the judged part is not believed again */
	SEND(&c, SERVER, .ack = LEN + 4);
	inproc_clear(c.gw);
	for (size_t i = 0; i < 2; i++) {
		expect(say(&c, 0, i ? EVIL "more" : EVIL), SL_REASON_DOMAIN_ALLOWED);
		expect_segment(from_end(c.gw, UPLINK, 0), TCP_ACK | TCP_PSH, c.iss + 1, c.irs + 1);
		assert_int_equal(from_end(c.gw, UPLINK, 0)->payload_len, 0);
	}
	expect(say(&c, LEN + 4, "more"), SL_REASON_DOMAIN_ALLOWED);
	assert_true(packet_view_says(from_end(c.gw, UPLINK, 0), "more"));
	inproc_free(c.gw);
}

/* "bytes of the body in the same segments leave with it". */
static void body_behind_the_header_section_leaves_with_it(void **state)
{
#define POST "POST /a HTTP/1.1\r\nHost: good.example\r\nContent-Length: 12\r\n\r\n"
	const int64_t len = (int64_t)strlen(POST);
	struct conn c = opened();

	expect(say(&c, len, "body"), SL_REASON_NONE);
	expect(say(&c, 0, POST), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, POST "body", strlen(POST) + 4);
	/* and what follows, before the server has said a word */
	expect(say(&c, len + 4, "more"), SL_REASON_DOMAIN_ALLOWED);
	SEND(&c, SERVER, .ack = len + 8);
	expect(say(&c, len + 8, "last"), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, POST "bodymorelast", strlen(POST) + 12);
	expect(answer(&c, 0, len + 12, OK), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* A body longer than any hold passes while the server is silent, across the wrap of numbers. */
static void body_of_any_length_passes_a_silent_server(void **state)
{
	static char piece[1400];
	struct conn c = conn_of(gateway_with(POLICY, HTTP));
	int64_t at = LEN;

	c.dport = 80;
	c.iss = 0u - 70000;
	handshake(&c);
	memset(piece, 'x', sizeof(piece));
	expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
	SEND(&c, SERVER, .ack = LEN);
	for (int i = 0; i < 200; i++) {
		expect(client(&c, at, piece, sizeof(piece)), SL_REASON_DOMAIN_ALLOWED);
		at += (int64_t)sizeof(piece);
		expect(SEND(&c, SERVER, .ack = at), SL_REASON_DOMAIN_ALLOWED);
	}
	expect(answer(&c, 0, at, OK), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* Numbers wrap: an upload of gigabytes to a silent server is not watched to its end. */
static void body_of_gigabytes_is_let_go(void **state)
{
	static const uint8_t scale[] = {1, 3, 3, 14};
	const int64_t most = 65535ll << 14, gib = 1ll << 30;
	struct conn c = conn_of(gateway_with(POLICY, HTTP));

	c.dport = 80;
	SEND(&c, CLIENT, .flags = TCP_SYN, .options = scale, .options_len = 4);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .options = scale, .options_len = 4);
	SEND(&c, CLIENT);
	expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, SERVER, .ack = LEN, .window = PKT_SET(65535)), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, SERVER, .ack = most, .window = PKT_SET(65535)), SL_REASON_DOMAIN_ALLOWED);
	expect(say(&c, most, "on"), SL_REASON_DOMAIN_ALLOWED);
	assert_true(inproc_stats(c.gw, 0)->hold_bytes > 0);
	expect(SEND(&c, SERVER, .ack = gib + 1), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	for (int64_t at = gib + 1; at < 4 * gib; at += gib) {
		expect(say(&c, at, "more"), SL_REASON_DOMAIN_ALLOWED);
		assert_true(packet_view_says(from_end(c.gw, UPLINK, 0), "more"));
		expect(SEND(&c, SERVER, .ack = at + 4), SL_REASON_DOMAIN_ALLOWED);
	}
	inproc_free(c.gw);
}

/* ---- the server ---- */

/* "server-first bytes are still refused". */
static void server_first_bytes_are_not_delivered(void **state)
{
	for (int64_t said = 0; said < LEN; said += 10) {
		struct conn c = opened();

		if (said > 0)
			expect(client(&c, 0, GOOD, (size_t)said), SL_REASON_NONE);
		expect(answer(&c, 0, 0, OK), SL_REASON_NOT_TLS);
		assert_false(inproc_left(c.gw, SANDBOX, OK, 4));
		expect_server_sees_nothing(&c);
		inproc_free(c.gw);
	}
}

/* A request must not open a service that merely tolerates it. */
static void server_that_speaks_no_http_ends_the_flow(void **state)
{
	static const char *const answers[] = {"SSH-2.0-x\r\n",      "-ERR unknown command\r\n",
	                                      "220 mail ESMTP\r\n", "HTTP/2.0 200\r\n",
	                                      "HTTP/1/1 200\r\n",   "\x16\x03\x03"};

	for (size_t i = 0; i < COUNT(answers); i++)
		for (int pieces = 0; pieces < 2; pieces++) {
			struct conn c = opened();
			enum sl_reason reason = SL_REASON_NONE;

			ROWF("%s%s", answers[i], pieces ? " in pieces" : "");
			expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
			SEND(&c, SERVER, .ack = LEN);
			inproc_clear(c.gw);
			for (size_t at = 0; pieces && at < strlen(answers[i]); at++) {
				reason = server(&c, (int64_t)at, LEN, answers[i] + at, 1);
				if (reason != SL_REASON_DOMAIN_ALLOWED)
					break;
			}
			if (!pieces)
				reason = answer(&c, 0, LEN, answers[i]);
			expect(reason, SL_REASON_MALFORMED_HTTP);
			last_event(c.gw, false, SL_REASON_MALFORMED_HTTP);
			assert_int_equal(from_end(c.gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
			assert_int_equal(from_end(c.gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
			assert_false(inproc_left(c.gw, SANDBOX, "403", 3));
			if (!pieces)
				assert_false(
				        inproc_left(c.gw, SANDBOX, answers[i], strlen(answers[i])));
			inproc_free(c.gw);
		}
}

static void server_that_answers_in_pieces_is_heard(void **state)
{
	for (size_t piece = 1; piece < 12; piece++) {
		struct conn c = opened();

		expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
		for (size_t at = 0; at < strlen(OK); at += piece)
			expect(server(&c, (int64_t)at, LEN, OK + at,
			              piece < strlen(OK) - at ? piece : strlen(OK) - at),
			       SL_REASON_DOMAIN_ALLOWED);
		assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
		inproc_free(c.gw);
	}
}

/*
 * Nothing is delivered before the bytes that identify the protocol, nor may it be acknowledged
 * before.
 */
static void server_bytes_out_of_order_wait_for_the_first(void **state)
{
	struct conn c = opened();

	expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	expect(answer(&c, 4, LEN, "/1.1 200"), SL_REASON_NO_FLOW);
	expect(answer(&c, 100, LEN, "ahead"), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect(SEND(&c, CLIENT, .at = LEN, .ack = 100), SL_REASON_NO_FLOW);
	expect(answer(&c, 0, LEN, OK), SL_REASON_DOMAIN_ALLOWED);
	expect(answer(&c, 100, LEN, "ahead"), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* The server answers before it has all of the request: the missing bytes are still compared. */
static void server_that_answers_early_changes_nothing(void **state)
{
	struct conn c = opened();

	expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
	expect(answer(&c, 0, 10, OK), SL_REASON_DOMAIN_ALLOWED);
	expect(client(&c, 10, GOOD + 10, 10), SL_REASON_DOMAIN_ALLOWED);
	expect(client(&c, 10, "X", 1), SL_REASON_STREAM_CONFLICT);
	inproc_free(c.gw);
}

static void server_that_closes_without_a_word_is_let_go(void **state)
{
	struct conn c = opened();

	expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .ack = LEN), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = LEN, .ack = 1),
	       SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(request_cut_at_every_place_is_judged_in_both_orders),
	        TEST(request_in_one_byte_segments_is_judged),
	        TEST(request_in_one_byte_segments_reversed_is_judged),
	        TEST(request_that_is_acknowledged_early_is_judged_alike),
	        TEST(retransmission_that_differs_conflicts),
	        TEST(retransmission_with_another_host_conflicts),
	        TEST(retransmission_that_reaches_into_the_body_passes),
	        TEST(body_behind_the_header_section_leaves_with_it),
	        TEST(body_of_any_length_passes_a_silent_server),
	        TEST(body_of_gigabytes_is_let_go),
	        TEST(server_first_bytes_are_not_delivered),
	        TEST(server_that_speaks_no_http_ends_the_flow),
	        TEST(server_that_answers_in_pieces_is_heard),
	        TEST(server_bytes_out_of_order_wait_for_the_first),
	        TEST(server_that_answers_early_changes_nothing),
	        TEST(server_that_closes_without_a_word_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
