/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hold_after.c: a judged connection until the server has acknowledged the judged range: what
 * is compared, what passes, and what waits.
 */
#include "hold_scene.h"

/* "equal bytes pass however they are cut", until the server has acknowledged them. */
static void retransmission_of_equal_bytes_passes_however_cut(void **state)
{
	struct conn c = judged();

	for (size_t at = 0; at < good.len; at += 13) {
		size_t n = good.len - at < 29 ? good.len - at : 29;

		expect(client(&c, (int64_t)at, good.bytes + at, n), SL_REASON_DOMAIN_ALLOWED);
	}
	expect(SEND(&c, SERVER, .ack = 50), SL_REASON_DOMAIN_ALLOWED);
	expect(client(&c, 50, good.bytes + 50, good.len - 50), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* "one different byte ends the flow (stream-conflict)": anywhere in the judged range. */
static void retransmission_with_a_different_byte_conflicts(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (size_t at = 0; at < good.len; at += 11) {
		struct conn c = conn_of(gw);
		static uint8_t forged[sizeof(good.bytes)];

		memcpy(forged, good.bytes, good.len);
		forged[at] ^= 0x20;
		handshake(&c);
		expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
		SEND(&c, SERVER, .ack = (int64_t)good.len - 1);
		inproc_clear(gw);
		expect(client(&c, 0, forged, good.len), SL_REASON_STREAM_CONFLICT);
		expect_server_sees_nothing(&c);
		last_event(gw, false, SL_REASON_STREAM_CONFLICT);
		expect_segment(from_end(gw, UPLINK, 0), TCP_RST | TCP_ACK,
		               c.iss + (uint32_t)good.len, c.irs + 1);
		expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 1,
		               c.iss + 1 + (uint32_t)good.len);
		expect(after(&c, 0, "x", 1), SL_REASON_STREAM_CONFLICT);
		expect_server_sees_nothing(&c);
	}
	inproc_free(gw);
}

/* Bytes of the judged range that are followed by others in a segment are compared as well. */
static void retransmission_that_reaches_beyond_is_compared(void **state)
{
	struct conn c = opened();
	static uint8_t longer[sizeof(good.bytes) + 16];

	memcpy(longer, good.bytes, good.len);
	memcpy(longer + good.len, "0123456789abcdef", 16);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, 0, 9, server_hello, server_hello_len), SL_REASON_DOMAIN_ALLOWED);
	expect(client(&c, 20, longer + 20, good.len - 4), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, longer, good.len + 16);
	longer[20] ^= 1;
	expect(client(&c, 20, longer + 20, good.len - 4), SL_REASON_STREAM_CONFLICT);
	inproc_free(c.gw);
}

/* "after that a flow needs flags and epoch only", and costs no memory. */
static void bytes_after_the_acknowledgement_are_not_compared(void **state)
{
	struct conn c = opened();

	judged_and_answered(&c);
	expect(first_half(&c, &evil), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* "So a decoy that dies on the way (small TTL) serves nothing", whichever name comes first. */
static void decoy_hello_serves_nothing(void **state)
{
	struct conn c = opened();

	/* the decoy has the allowed name; what follows has the other */
	expect(SEND(&c, CLIENT, .bytes = good.bytes, .len = good.len, .ttl = PKT_SET(1)),
	       SL_REASON_DOMAIN_ALLOWED);
	/* the copy leaves with a lifetime of the gateway's */
	assert_int_equal(from_end(c.gw, UPLINK, 0)->ttl, 64);
	inproc_clear(c.gw);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);

	c = opened();
	expect(SEND(&c, CLIENT, .bytes = good.bytes, .len = HALF, .ttl = PKT_SET(1)),
	       SL_REASON_NONE);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_STREAM_CONFLICT);
	expect_ended(&c, SL_REASON_STREAM_CONFLICT);
	inproc_free(c.gw);
}

/* A server's ACK of what it cannot have is not believed: comparing goes on. */
static void acknowledgement_of_unsent_bytes_is_not_believed(void **state)
{
	struct conn c = opened();

	first_half(&c, &good);
	expect(SEND(&c, SERVER, .ack = 100), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .ack = -1), SL_REASON_NO_FLOW);
	expect(second_half(&c, &good), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, SERVER, .ack = -5), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .ack = 0x7fffffff), SL_REASON_NO_FLOW);
	expect(client(&c, 0, evil.bytes, 120), SL_REASON_STREAM_CONFLICT);
	inproc_free(c.gw);
}

/*
 * Bytes that the client sent after its hello wait until the server has answered, and leaves in
 * order.
 */
static void bytes_behind_the_hello_leave_when_the_server_has_answered(void **state)
{
	struct conn c = opened();
	static uint8_t all[sizeof(good.bytes) + 4000];

	memcpy(all, good.bytes, good.len);
	memset(all + good.len, 0x16, 4000);
	expect(after(&c, 1000, all + good.len + 1000, 1000), SL_REASON_NONE);
	expect(after(&c, 0, all + good.len, 1000), SL_REASON_NONE);
	expect_server_sees_nothing(&c);
	expect(client(&c, 0, all, good.len), SL_REASON_NONE);
	expect_server_sees(&c, all, good.len);
	last_event(c.gw, true, SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, 0, (int64_t)good.len, server_hello, server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, all, good.len + 2000);
	assert_int_equal(count_of(c.gw, SL_REASON_DOMAIN_ALLOWED), 4);
	inproc_free(c.gw);
}

/* "no segment larger than the server takes": it said so in its SYN/ACK. */
static void released_segments_keep_the_servers_mss(void **state)
{
	static const uint8_t mss[] = {2, 4, 600 >> 8, 600 & 0xff};
	static struct hello large;
	struct conn c = conn_of(gateway(POLICY));

	hello_with(&large, &(struct hello_options){.name = ALLOWED, .total_len = 5000}, 0);
	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .options = mss, .options_len = 4);
	for (size_t at = 0; at < large.len; at += 1400)
		client(&c, (int64_t)at, large.bytes + at,
		       large.len - at < 1400 ? large.len - at : 1400);
	expect_server_sees(&c, large.bytes, large.len);
	for (size_t i = 0; i < inproc_count(c.gw, UPLINK); i++)
		assert_true(inproc_frame(c.gw, UPLINK, i)->view.payload_len <= 600);
	inproc_free(c.gw);
}

/* Nor smaller than those that the client cuts for itself: a way that carried them carries these. */
static void released_segments_are_as_large_as_the_clients(void **state)
{
	static const uint8_t mss[] = {2, 4, 1460 >> 8, 1460 & 0xff};
	static struct hello large;
	struct conn c = conn_of(gateway(POLICY));

	hello_with(&large, &(struct hello_options){.name = ALLOWED, .total_len = 1900}, 0);
	SEND(&c, CLIENT, .flags = TCP_SYN, .options = mss, .options_len = 4);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .options = mss, .options_len = 4);
	client(&c, 0, large.bytes, 1400);
	client(&c, 1400, large.bytes + 1400, large.len - 1400);
	expect_server_sees(&c, large.bytes, large.len);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->payload_len +
	                         from_end(c.gw, UPLINK, 1)->payload_len,
	                 large.len);
	inproc_free(c.gw);
}

/* Segments made from the copy carry the client's timestamps, or an honest server drops them. */
static void released_segments_carry_the_clients_timestamps(void **state)
{
	static const uint8_t stamps[] = {1, 1, 8, 10, 0, 1, 2, 3, 9, 8, 7, 6};
	struct conn c = opened();
	const struct packet_view *out;

	SEND(&c, CLIENT, .flags = TCP_ACK | TCP_PSH, .bytes = good.bytes, .len = good.len,
	     .options = stamps, .options_len = sizeof(stamps), .window = PKT_SET(777));
	out = from_end(c.gw, UPLINK, 0);
	assert_int_equal(out->options_len, sizeof(stamps));
	assert_memory_equal(out->options, stamps, sizeof(stamps));
	assert_int_equal(out->window, 777);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* "a held packet counts as forwarded when its bytes have been handed to tx, else under its flow's
 * reason", or tx-full; what was lost so comes again and passes, as equal bytes do. */
static void release_into_a_full_port_is_counted_and_comes_again(void **state)
{
	struct conn c = opened();

	first_half(&c, &good);
	inproc_tx_room(c.gw, UPLINK, 0);
	expect(second_half(&c, &good), SL_REASON_TX_FULL);
	assert_int_equal(count_of(c.gw, SL_REASON_TX_FULL), 2);
	inproc_tx_room(c.gw, UPLINK, -1);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(retransmission_of_equal_bytes_passes_however_cut),
	        TEST(retransmission_with_a_different_byte_conflicts),
	        TEST(retransmission_that_reaches_beyond_is_compared),
	        TEST(bytes_after_the_acknowledgement_are_not_compared),
	        TEST(decoy_hello_serves_nothing),
	        TEST(acknowledgement_of_unsent_bytes_is_not_believed),
	        TEST(bytes_behind_the_hello_leave_when_the_server_has_answered),
	        TEST(released_segments_keep_the_servers_mss),
	        TEST(released_segments_are_as_large_as_the_clients),
	        TEST(released_segments_carry_the_clients_timestamps),
	        TEST(release_into_a_full_port_is_counted_and_comes_again),
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
