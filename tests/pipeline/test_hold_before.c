/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hold_before.c: what leaves of a connection before its verdict, and handshakes and servers
 * that try to get more out (spec section 3, first bullet).
 */
#include "hold_scene.h"

/* ---- server-first ---- */

/* "Server-first bytes: not-tls, and they are not delivered." */
static void server_first_bytes_are_not_delivered(void **state)
{
	struct conn c = opened();

	inproc_clear(c.gw);
	expect(server(&c, 0, 0, "SSH-2.0-x\r\n", 11), SL_REASON_NOT_TLS);
	expect_ended(&c, SL_REASON_NOT_TLS);
	assert_false(inproc_left(c.gw, SANDBOX, "SSH", 3));
	inproc_free(c.gw);
}

/* The same where they ride on the SYN/ACK, or on one that comes again. */
static void server_first_bytes_on_the_syn_ack_are_not_delivered(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .bytes = "SSH", .len = 3),
	       SL_REASON_NOT_TLS);
	assert_false(inproc_left(c.gw, SANDBOX, "SSH", 3));
	inproc_free(c.gw);

	c = opened();
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .bytes = "SSH", .len = 3),
	       SL_REASON_NOT_TLS);
	assert_false(inproc_left(c.gw, SANDBOX, "SSH", 3));
	inproc_free(c.gw);
}

/* And where the hello is on hold, incomplete. */
static void server_first_bytes_while_on_hold_end_the_flow(void **state)
{
	struct conn c = opened();

	first_half(&c, &good);
	expect(server(&c, 0, 0, "220 hi\r\n", 8), SL_REASON_NOT_TLS);
	expect_ended(&c, SL_REASON_NOT_TLS);
	inproc_free(c.gw);
}

/* ---- what leaves before the verdict ---- */

/* "the SYN (payload cut off, Fast Open option turned to NOPs)". */
static void syn_with_payload_and_fast_open_leaves_clean(void **state)
{
	static const uint8_t options[] = {2,   4,   5,   0xb4, 34, 10, 'c', 'o', 'o', 'k',  'i',
	                                  'e', '!', '!', 4,    2,  3,  3,   7,   8,   10,   0,
	                                  0,   0,   1,   0,    0,  0,  0,   254, 4,   0xf9, 0x89};
	static const uint8_t clean[] = {2, 4, 5,  0xb4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 2, 3, 3,
	                                7, 8, 10, 0,    0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1};
	struct conn c = conn_of(gateway(POLICY));
	const struct packet_view *out;

	expect(SEND(&c, CLIENT, .flags = TCP_SYN, .options = options,
	            .options_len = sizeof(options), .bytes = good.bytes, .len = good.len,
	            .reserved = 0xf, .urgent = PKT_SET(0x4141)),
	       SL_REASON_NONE);
	out = from_end(c.gw, UPLINK, 0);
	expect_segment(out, TCP_SYN, c.iss, 0);
	assert_int_equal(out->payload_len, 0);
	assert_int_equal(out->options_len, sizeof(clean));
	assert_memory_equal(out->options, clean, sizeof(clean));
	assert_int_equal(out->l4[12] & 0x0f, 0);
	assert_int_equal(out->urgent, 0);
	expect_zero_trailer(out);
	assert_false(inproc_left(c.gw, UPLINK, "cookie", 6));
	/* the server takes the SYN alone, and the hello is judged as ever */
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* A server that took the SYN's payload says so by its ACK; that is not believed. */
static void syn_ack_of_more_than_the_syn_is_dropped(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN, .bytes = evil.bytes, .len = evil.len);
	inproc_clear(c.gw);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .ack = (int64_t)evil.len),
	       SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .ack = -1), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_NONE);
	inproc_free(c.gw);
}

/* "no options but MSS, window scale, SACK and timestamps (others become NOP)", of every kind. */
static void options_of_every_kind_only_four_leave(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (unsigned kind = 0; kind < 256; kind++) {
		struct conn c = conn_of(gw);
		uint8_t option[12] = {(uint8_t)kind, 10,  'a', 'b', 'c', 'd',
		                      'e',           'f', 'g', 'h', 1,   1};
		bool passes = kind == 5 || kind == 8; /* 10 bytes fit only these */

		if (kind == 1) /* a NOP has no length */
			option[1] = 1;
		handshake(&c);
		inproc_clear(gw);
		if (kind == 1)
			continue;
		expect(SEND(&c, CLIENT, .options = option, .options_len = 12), SL_REASON_NONE);
		assert_int_equal(inproc_left(gw, UPLINK, "abcdefgh", 8), passes);
		assert_int_equal(from_end(gw, UPLINK, 0)->options_len, 12);
		assert_true(from_end(gw, UPLINK, 0)->l4_csum_ok);
	}
	inproc_free(gw);
}

/* Options with wrong lengths are malformed, on a SYN and on an ACK. */
static void options_that_lie_are_malformed(void **state)
{
	static const uint8_t lies[][4] = {{2, 0, 1, 1},  {2, 1, 1, 1},  {8, 10, 0, 0},
	                                  {34, 5, 0, 0}, {1, 1, 1, 99}, {77, 255, 0, 0}};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(lies); i++) {
		struct conn c = conn_of(gw);

		expect(SEND(&c, CLIENT, .flags = TCP_SYN, .options = lies[i], .options_len = 4),
		       SL_REASON_MALFORMED_PACKET);
		handshake(&c);
		expect(SEND(&c, CLIENT, .options = lies[i], .options_len = 4),
		       SL_REASON_MALFORMED_PACKET);
	}
	inproc_free(gw);
}

/* "ACKs of exactly the SYN/ACK", "reserved bits and an unused urgent pointer zero". */
static void ack_before_the_hello_leaves_clean(void **state)
{
	static const uint8_t options[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 30, 4, 'x', 'y'};
	struct conn c = opened();
	const struct packet_view *out;

	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .reserved = 0xf, .urgent = PKT_SET(0x4242), .options = options,
	            .options_len = sizeof(options), .trailer = "secret", .trailer_len = 6),
	       SL_REASON_NONE);
	out = from_end(c.gw, UPLINK, 0);
	expect_segment(out, TCP_ACK, c.iss + 1, c.irs + 1);
	assert_int_equal(out->l4[12] & 0x0f, 0);
	assert_int_equal(out->urgent, 0);
	assert_int_equal(out->payload_len, 0);
	assert_memory_equal(out->options, "\1\1\10\12\1\2\3\4\5\6\7\10\1\1\1\1", 16);
	expect_zero_trailer(out);
	assert_false(inproc_left(c.gw, UPLINK, "secret", 6));
	inproc_free(c.gw);
}

static void ack_of_something_else_is_dropped(void **state)
{
	static const int64_t wrong[] = {1, 2, 100, 65535, -1, -2, 0x40000000, 0x7fffffff};
	struct conn c = opened();

	expect(SEND(&c, CLIENT), SL_REASON_NONE);
	inproc_clear(c.gw);
	for (size_t i = 0; i < COUNT(wrong); i++) {
		ROW_NUMBER(wrong[i]);
		expect(SEND(&c, CLIENT, .ack = wrong[i]), SL_REASON_NO_FLOW);
	}
	/* an ACK carries no message in its sequence number either */
	for (size_t i = 0; i < COUNT(wrong); i++)
		expect(SEND(&c, CLIENT, .at = wrong[i]), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	inproc_free(c.gw);
}

/* A segment that is dropped is not believed: the decoy's bytes are not in the copy. */
static void expect_not_believed(const struct conn *c, enum sl_reason dropped, const struct seg *s)
{
	struct seg decoy = *s;

	decoy.from_client = true;
	decoy.bytes = good.bytes;
	decoy.len = good.len;
	expect(send_seg(c, &decoy), dropped);
	expect_server_sees_nothing(c);
	assert_int_equal(inproc_held(c->gw), 0);
	expect(client(c, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(c);
	inproc_free(c->gw);
}

/* "Segments with a bad checksum ... are dropped and not believed." */
static void segment_with_a_bad_checksum_is_not_believed(void **state)
{
	struct conn c = opened();

	expect_not_believed(&c, SL_REASON_MALFORMED_PACKET,
	                    &(struct seg){.l4_csum = PKT_SET(0x1234)});
	c = opened();
	expect_not_believed(&c, SL_REASON_MALFORMED_PACKET, &(struct seg){.l4_csum = PKT_SET(0)});
}

/* "without ACK". */
static void segment_without_ack_is_not_believed(void **state)
{
	struct conn c = opened();

	expect_not_believed(&c, SL_REASON_MALFORMED_PACKET, &(struct seg){.flags = TCP_PSH});
}

/* "with urgent data". */
static void segment_with_urgent_data_is_not_believed(void **state)
{
	struct conn c = opened();

	expect_not_believed(&c, SL_REASON_MALFORMED_PACKET,
	                    &(struct seg){.flags = TCP_ACK | TCP_URG, .urgent = PKT_SET(5)});
}

/* "wrong ACK": what the server has not sent cannot be acknowledged. */
static void segment_with_a_wrong_ack_is_not_believed(void **state)
{
	static const int64_t wrong[] = {1, 70000, -1, -70000};

	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct conn c = opened();

		ROW_NUMBER(wrong[i]);
		expect_not_believed(&c, SL_REASON_NO_FLOW, &(struct seg){.ack = wrong[i]});
	}
}

/* "or out of the window": in front of it, beyond it, and reaching out of it. */
static void segment_out_of_the_window_is_not_believed(void **state)
{
	static const int64_t places[] = {-1, -300, 65535, 65536, 70000, 0x7fffffff, -0x40000000};

	for (size_t i = 0; i < COUNT(places); i++) {
		struct conn c = opened();

		ROW_NUMBER(places[i]);
		expect_not_believed(&c, SL_REASON_NO_FLOW, &(struct seg){.at = places[i]});
	}
}

/* The server's window is its own: a small one does not take a hello. */
static void segment_beyond_a_small_window_waits_for_it_to_open(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .window = PKT_SET(HALF));
	SEND(&c, CLIENT);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_held(c.gw), 0);
	expect(first_half(&c, &good), SL_REASON_NONE);
	expect(client(&c, HALF, good.bytes + HALF, 1), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .window = PKT_SET(1000)), SL_REASON_NONE);
	expect(second_half(&c, &good), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* A server whose window is shut takes nothing, so nothing is believed. */
static void segment_into_a_closed_window_is_not_believed(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .window = PKT_SET(0));
	SEND(&c, CLIENT);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_NO_FLOW);
	SEND(&c, SERVER, .window = PKT_SET(60000));
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* Flags that no honest end combines are malformed. */
static void segment_with_odd_flags_is_malformed(void **state)
{
	static const uint8_t odd[] = {TCP_SYN | TCP_FIN,
	                              TCP_SYN | TCP_RST,
	                              TCP_SYN | TCP_ACK | TCP_FIN,
	                              TCP_FIN,
	                              TCP_PSH,
	                              TCP_URG | TCP_PSH | TCP_FIN,
	                              0x40,
	                              0x3f};
	struct conn c = opened();

	inproc_clear(c.gw);
	for (size_t i = 0; i < COUNT(odd); i++) {
		ROW_NUMBER(odd[i]);
		expect(SEND(&c, CLIENT, .flags = odd[i]), SL_REASON_MALFORMED_PACKET);
		expect(SEND(&c, SERVER, .flags = odd[i]), SL_REASON_MALFORMED_PACKET);
	}
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* ---- handshakes that are none ---- */

/* The same SYN/ACK may come again; "Several SYN/ACKs with different numbers: stream-conflict". */
static void syn_ack_again_passes_but_another_conflicts(void **state)
{
	struct conn c = opened(), other;

	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_NONE);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 2);
	other = c;
	other.irs += 1;
	expect(SEND(&other, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_STREAM_CONFLICT);
	expect_ended(&c, SL_REASON_STREAM_CONFLICT);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* Also between the verdict and the server's acknowledgement. */
static void syn_ack_with_other_numbers_after_the_verdict_conflicts(void **state)
{
	struct conn c = opened(), other = c;

	other.irs -= 1000;
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&other, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_STREAM_CONFLICT);
	last_event(c.gw, false, SL_REASON_STREAM_CONFLICT);
	inproc_clear(c.gw);
	expect(after(&c, 0, "x", 1), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A SYN from the server's side (simultaneous open) is not let in, and opens nothing. */
static void simultaneous_open_is_dropped(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	expect(SEND(&c, SERVER, .flags = TCP_SYN), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN | TCP_ACK), SL_REASON_NO_FLOW);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_NO_FLOW);
	expect_server_sees_nothing(&c);
	/* without a flow it is one packet like another */
	c.sport++;
	expect(SEND(&c, SERVER, .flags = TCP_SYN), SL_REASON_NO_FLOW);
	inproc_free(c.gw);
}

/* A split handshake: the server's ACK, then its SYN; the client's SYN/ACK does not leave. */
static void split_handshake_is_dropped(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER);
	expect(SEND(&c, SERVER, .flags = TCP_SYN), SL_REASON_NO_FLOW);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN | TCP_ACK), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_NO_FLOW);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* Nothing is believed before the SYN/ACK. */
static void data_before_the_syn_ack_is_dropped(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	inproc_clear(c.gw);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	inproc_free(c.gw);
}

/* "and its identical retransmissions": same numbers, same offers. */
static void syn_again_passes_only_if_it_is_the_same(void **state)
{
	static const uint8_t mss[] = {2, 4, 5, 0xb4}, other_mss[] = {2, 4, 5, 0xb5},
	                     scale[] = {3, 3, 2, 1};
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN, .options = mss, .options_len = 4);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN, .options = mss, .options_len = 4,
	            .bytes = evil.bytes, .len = evil.len),
	       SL_REASON_NONE);
	assert_int_equal(inproc_count(c.gw, UPLINK), 2);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->payload_len, 0);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN, .options = other_mss, .options_len = 4),
	       SL_REASON_STREAM_CONFLICT);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN, .options = scale, .options_len = 4),
	       SL_REASON_STREAM_CONFLICT);
	assert_int_equal(inproc_count(c.gw, UPLINK), 2);
	inproc_free(c.gw);
}

/* "A new SYN on a live ... entry is a new flow with a new verdict": the old name is forgotten. */
static void new_syn_on_a_live_flow_needs_a_new_hello(void **state)
{
	struct conn c = opened();

	judged_and_answered(&c);
	inproc_clear(c.gw);
	c.iss += 100000;
	c.irs += 200000;
	handshake(&c);
	expect(client(&c, 0, "plain", 5), SL_REASON_NOT_TLS);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* The same on a flow that is still on hold: the bytes that it held are gone. */
static void new_syn_on_a_held_flow_starts_afresh(void **state)
{
	struct conn c = opened();

	expect(first_half(&c, &good), SL_REASON_NONE);
	c.iss += 5;
	c.irs += 7;
	handshake(&c);
	assert_int_equal(inproc_held(c.gw), 0);
	expect(second_half(&c, &good), SL_REASON_NONE);
	expect_server_sees_nothing(&c);
	expect(first_half(&c, &evil), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A SYN that the server ignores does not make its old connection believable. */
static void new_syn_does_not_revive_the_old_numbers(void **state)
{
	struct conn c = opened(), old = c;

	judged_and_answered(&c);
	c.iss += 12345;
	SEND(&c, CLIENT, .flags = TCP_SYN);
	inproc_clear(c.gw);
	/* the server's challenge ACK passes, with nothing in it; the old stream does not go on */
	SEND(&old, SERVER, .at = 0, .ack = (int64_t)good.len);
	expect(after(&old, 0, "more", 4), SL_REASON_NO_FLOW);
	expect(server(&old, 0, (int64_t)good.len, "back", 4), SL_REASON_NO_FLOW);
	expect(SEND(&old, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	assert_false(inproc_left(c.gw, SANDBOX, "back", 4));
	inproc_free(c.gw);
}

/* Ports used again after a RST, after both FINs, and after a refusal: a new verdict each time. */
static void ports_used_again_need_a_new_hello(void **state)
{
	struct conn c = opened();

	judged_and_answered(&c);
	expect(SEND(&c, CLIENT, .flags = TCP_RST | TCP_ACK, .at = (int64_t)good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	c.iss += 70000;
	inproc_clear(c.gw);
	handshake(&c);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	c.iss += 70000;
	inproc_clear(c.gw);
	handshake(&c);
	judged_and_answered(&c);
	SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = (int64_t)good.len);
	SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .at = (int64_t)server_hello_len,
	     .ack = (int64_t)good.len + 1);
	SEND(&c, CLIENT, .at = (int64_t)good.len + 1, .ack = (int64_t)server_hello_len + 1);
	c.iss += 70000;
	inproc_clear(c.gw);
	handshake(&c);
	expect(client(&c, 0, "GET /", 5), SL_REASON_NOT_TLS);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(server_first_bytes_are_not_delivered),
	        TEST(server_first_bytes_on_the_syn_ack_are_not_delivered),
	        TEST(server_first_bytes_while_on_hold_end_the_flow),
	        TEST(syn_with_payload_and_fast_open_leaves_clean),
	        TEST(syn_ack_of_more_than_the_syn_is_dropped),
	        TEST(options_of_every_kind_only_four_leave),
	        TEST(options_that_lie_are_malformed),
	        TEST(ack_before_the_hello_leaves_clean),
	        TEST(ack_of_something_else_is_dropped),
	        TEST(segment_with_a_bad_checksum_is_not_believed),
	        TEST(segment_without_ack_is_not_believed),
	        TEST(segment_with_urgent_data_is_not_believed),
	        TEST(segment_with_a_wrong_ack_is_not_believed),
	        TEST(segment_out_of_the_window_is_not_believed),
	        TEST(segment_beyond_a_small_window_waits_for_it_to_open),
	        TEST(segment_into_a_closed_window_is_not_believed),
	        TEST(segment_with_odd_flags_is_malformed),
	        TEST(syn_ack_again_passes_but_another_conflicts),
	        TEST(syn_ack_with_other_numbers_after_the_verdict_conflicts),
	        TEST(simultaneous_open_is_dropped),
	        TEST(split_handshake_is_dropped),
	        TEST(data_before_the_syn_ack_is_dropped),
	        TEST(syn_again_passes_only_if_it_is_the_same),
	        TEST(new_syn_on_a_live_flow_needs_a_new_hello),
	        TEST(new_syn_on_a_held_flow_starts_afresh),
	        TEST(new_syn_does_not_revive_the_old_numbers),
	        TEST(ports_used_again_need_a_new_hello),
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
