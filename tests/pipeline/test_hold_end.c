/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hold_end.c: connections that end, or never go on, while they are on hold or just judged.
 */
#include "hold_scene.h"

/* ---- time ---- */

/* "what stalls ends as hello-timeout", with RST on both sides. */
static void hello_that_stalls_times_out(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, good.len - 1), SL_REASON_NONE);
	inproc_advance_s(c.gw, 9.8);
	assert_int_equal(inproc_held(c.gw), 1);
	inproc_clear(c.gw);
	inproc_advance_s(c.gw, 0.4);
	expect_ended(&c, SL_REASON_HELLO_TIMEOUT);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 1, c.irs + 1);
	expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 1,
	               c.iss + (uint32_t)good.len);
	assert_int_equal(count_of(c.gw, SL_REASON_HELLO_TIMEOUT), 1);
	expect(client(&c, (int64_t)good.len - 1, good.bytes + good.len - 1, 1),
	       SL_REASON_HELLO_TIMEOUT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A connection that says nothing at all ends in the same way. */
static void hello_that_never_comes_times_out(void **state)
{
	struct conn c = opened();

	inproc_advance_s(c.gw, 9.8);
	assert_int_equal(inproc_event_count(c.gw), 0);
	inproc_advance_s(c.gw, 0.4);
	expect_ended(&c, SL_REASON_HELLO_TIMEOUT);
	inproc_free(c.gw);
}

/* A hello that was judged in time is not ended for what the server does then. */
static void hello_judged_late_has_time_to_be_acknowledged(void **state)
{
	struct conn c = opened();

	inproc_advance_s(c.gw, 9.5);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_advance_s(c.gw, 2);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, SERVER, .ack = (int64_t)good.len), SL_REASON_DOMAIN_ALLOWED);
	/* nor for how long it thinks about it */
	inproc_advance_s(c.gw, 60);
	expect(server(&c, 0, (int64_t)good.len, server_hello, server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* A SYN without an answer expires after `tcp-opening`, silently. */
static void syn_without_answer_is_forgotten(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 1);
	inproc_clear(c.gw);
	inproc_advance_s(c.gw, 31);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 0);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	inproc_free(c.gw);
}

/* What the gateway sends in the sandbox's place keeps the sandbox's priority (spec section 2). */
static void priority_of_the_sandbox_is_kept(void **state)
{
	struct conn c = conn_of(gateway(POLICY));
	const uint64_t tci = PKT_SET(5 << 13 | 101);

	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK);
	SEND(&c, CLIENT, .bytes = good.bytes, .len = good.len, .tci = tci, .tos = 0xb9);
	expect_server_sees(&c, good.bytes, good.len);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->tci, 5 << 13 | 101);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->ip[1], 0xb8); /* ECN is the transport's */
	expect(client(&c, 0, evil.bytes, good.len), SL_REASON_STREAM_CONFLICT);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->tci, 5 << 13 | 101);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->ip[1], 0xb8);
	inproc_free(c.gw);
}

/* ---- RST and FIN ---- */

/* A client's RST leaves, cut to its header, and ends the flow: nothing of it passes any more. */
static void reset_by_the_client_before_the_hello_ends_the_flow(void **state)
{
	struct conn c = opened();

	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_RST | TCP_ACK, .bytes = "smuggled", .len = 8,
	            .reserved = 0xf),
	       SL_REASON_NONE);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 1, c.irs + 1);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->payload_len, 0);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->l4[12] & 0x0f, 0);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 0);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_NO_FLOW);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_NO_FLOW);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* "out of the window are dropped and not believed": of resets too, before and after the verdict. */
static void reset_out_of_the_window_is_not_believed(void **state)
{
	struct conn c = opened();

	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = 5000000), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = -100), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = 5000000), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/*
 * A RST decoy with bytes on hold: in the window or not, it is not the number that the server
 * expects. It does not leave, and the copy stays.
 */
static void reset_decoy_with_bytes_on_hold_ends_nothing(void **state)
{
	struct conn c = opened();

	expect(first_half(&c, &good), SL_REASON_NONE);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = 12345), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = HALF), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = 1), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	assert_int_equal(inproc_held(c.gw), 1);
	expect(first_half(&c, &evil), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* The same between verdict and acknowledgement, and after: the server's open stream gets nothing.
 */
static void reset_decoy_after_the_verdict_closes_the_way(void **state)
{
	for (int acknowledged = 0; acknowledged < 2; acknowledged++) {
		struct conn c = judged();

		if (acknowledged)
			SEND(&c, SERVER, .ack = (int64_t)good.len);
		SEND(&c, CLIENT, .flags = TCP_RST, .at = (int64_t)good.len, .ttl = PKT_SET(1));
		c.irs += 1000;
		inproc_clear(c.gw);
		/* a new connection on the same ports, whose SYN the server never gets */
		c.iss += 1;
		SEND(&c, CLIENT, .flags = TCP_SYN, .ttl = PKT_SET(1));
		expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_NO_FLOW);
		expect_server_sees_nothing(&c);
		inproc_free(c.gw);
	}
}

/* A server's RST must fit; then it is delivered and the flow is over. */
static void reset_by_the_server_must_fit(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	expect(SEND(&c, SERVER, .flags = TCP_RST), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .flags = TCP_RST | TCP_ACK, .ack = 5), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect(SEND(&c, SERVER, .flags = TCP_RST | TCP_ACK, .ack = 0), SL_REASON_NONE);
	assert_int_equal(from_end(c.gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 0);
	inproc_free(c.gw);

	c = opened();
	expect(SEND(&c, SERVER, .flags = TCP_RST, .at = -2000), SL_REASON_NO_FLOW);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, SERVER, .flags = TCP_RST), SL_REASON_DOMAIN_ALLOWED);
	expect(after(&c, 0, "x", 1), SL_REASON_NO_FLOW);
	inproc_free(c.gw);
}

/* A FIN is forwarded, and no bytes may follow it. */
static void fin_before_the_hello_leaves_and_closes_the_stream(void **state)
{
	struct conn c = opened();

	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK), SL_REASON_NONE);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_FIN | TCP_ACK, c.iss + 1, c.irs + 1);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	expect(SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .ack = 1), SL_REASON_NONE);
	expect(SEND(&c, CLIENT, .at = 1, .ack = 1), SL_REASON_NONE);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_ACK, c.iss + 2, c.irs + 2);
	/* It has ended, and no one is refused. */
	inproc_clear(c.gw);
	inproc_advance_s(c.gw, 10.4);
	assert_int_equal(count_of(c.gw, SL_REASON_HELLO_TIMEOUT), 0);
	assert_int_equal(inproc_count(c.gw, UPLINK) + inproc_count(c.gw, SANDBOX), 0);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 0);
	inproc_free(c.gw);
}

/* A FIN at another place is no FIN of this stream: it tells the server nothing. */
static void fin_with_wrong_numbers_is_dropped(void **state)
{
	struct conn c = opened();

	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = 5), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = -5), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .ack = 9), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* A hello whose segment carries the FIN as well is judged; the FIN comes again and passes. */
static void fin_on_the_hello_is_judged_with_it(void **state)
{
	struct conn c = opened();

	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .bytes = evil.bytes, .len = evil.len),
	       SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);

	c = opened();
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .bytes = good.bytes, .len = good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .bytes = good.bytes, .len = good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->flags, TCP_FIN | TCP_ACK);
	inproc_free(c.gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(hello_that_stalls_times_out),
	        TEST(hello_that_never_comes_times_out),
	        TEST(hello_judged_late_has_time_to_be_acknowledged),
	        TEST(syn_without_answer_is_forgotten),
	        TEST(priority_of_the_sandbox_is_kept),
	        TEST(reset_by_the_client_before_the_hello_ends_the_flow),
	        TEST(reset_out_of_the_window_is_not_believed),
	        TEST(reset_decoy_with_bytes_on_hold_ends_nothing),
	        TEST(reset_decoy_after_the_verdict_closes_the_way),
	        TEST(reset_by_the_server_must_fit),
	        TEST(fin_before_the_hello_leaves_and_closes_the_stream),
	        TEST(fin_with_wrong_numbers_is_dropped),
	        TEST(fin_on_the_hello_is_judged_with_it),
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
