/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_stream_judged.c: DNS over TCP: what was judged is what leaves, also after losses,
 * repeats and connections that ended.
 */
#include "dns_stream_scene.h"

#define MANY "limits: {dns-queries-per-sandbox: 100000}\n"

/* ---- what was judged is what leaves ---- */

static void bytes_that_differ_are_a_conflict(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A), evil = query(1, "www.examp1e.com", DNS_A);
	uint32_t start;

	start = tcp.client_seq;
	expect_said(gw, &tcp, &q);
	tcp.client_seq = start;
	/* the same again, cut otherwise, passes while it is not acknowledged */
	expect(say_at(gw, &tcp, 3, q.b + 3, 7, 0), SL_REASON_DNS_ALLOWED);
	expect(say_at(gw, &tcp, 0, q.b, q.len, 0), SL_REASON_DNS_ALLOWED);
	expect_left(gw, start, &q);
	expect(say_at(gw, &tcp, 0, evil.b, evil.len, 0), SL_REASON_STREAM_CONFLICT);
	expect_left(gw, start, &q);
	expect_reset(gw, SL_PORT_UPLINK);
	inproc_free(gw);
}

static void bytes_acknowledged_long_ago_leave_no_more(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A), evil = query(1, DENIED, DNS_A);
	uint32_t start;

	start = tcp.client_seq;
	expect_said(gw, &tcp, &q);
	expect(server_acks(gw, &tcp), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	tcp.client_seq = start;
	expect(say_at(gw, &tcp, 0, evil.b, q.len, 0), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->payload_len, 0);
	/* only the bytes after the acknowledged ones count */
	tcp.client_seq = start + (uint32_t)q.len;
	expect(say_at(gw, &tcp, 0u - 5, "xxxxx", 5, 0), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->payload_len, 0);
	assert_false(inproc_left(gw, SL_PORT_UPLINK, "secret", 6));
	inproc_free(gw);
}

static void bytes_out_of_place_do_not_leave(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A);
	struct packet packet;

	/* far ahead, urgent, without ACK, with an acknowledgement of bytes that were never sent */
	expect(say_at(gw, &tcp, 40000, q.b, q.len, 0), SL_REASON_HOLD_LIMIT);
	expect(say_at(gw, &tcp, 0, q.b, q.len, TCP_URG), SL_REASON_MALFORMED_PACKET);
	packet = TCP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = LAB_RESOLVER, .sport = 41000,
	             .dport = 53, .flags = TCP_PSH, .seq = tcp.client_seq, PKT_BYTES(q.b));
	expect(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_MALFORMED_PACKET);
	tcp.server_seq += 100;
	expect(say_at(gw, &tcp, 0, q.b, q.len, 0), SL_REASON_NO_FLOW);
	tcp.server_seq -= 100;
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	expect_said(gw, &tcp, &q);
	inproc_free(gw);
}

static void bare_segments_carry_nothing(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	const uint8_t options[] = {253, 6, 'l', 'e', 'a', 'k', 1, 1};
	struct packet ack =
	        TCP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = LAB_RESOLVER, .sport = 41000,
	            .dport = 53, .flags = TCP_ACK, .seq = 1001, .ack = 5001, .options = options,
	            .options_len = sizeof(options), .urgent = PKT_SET(0x4242), .reserved = 5);

	expect(inproc_send(gw, SL_PORT_SANDBOX, &ack), SL_REASON_DNS_ALLOWED);
	assert_false(inproc_left(gw, SL_PORT_UPLINK, "leak", 4));
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->urgent, 0);
	inproc_free(gw);
}

static void ack_beyond_what_left_says_what_left(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A);

	expect(inproc_tcp_client(gw, &tcp, q.b, 20), SL_REASON_NONE);
	expect(send_bare(gw, &tcp, true, TCP_ACK), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->seq, tcp.client_seq - 20);
	inproc_free(gw);
}

static void segments_are_no_larger_than_the_server_takes(void **state)
{
	struct inproc *gw = lab_gateway();
	const uint8_t mss[] = {2, 4, 0, 100};
	struct inproc_tcp tcp = CONNECTION;
	struct bytes all = {0};
	struct packet packet;
	uint32_t start;

	tcp.client_seq = 1000;
	tcp.server_seq = 5000;
	expect(send_bare(gw, &tcp, true, TCP_SYN), SL_REASON_DNS_ALLOWED);
	tcp.client_seq++;
	packet = TCP(.smac = PKT_MAC_OUTER, .dmac = PKT_MAC_INNER, .vlan = LAB_VLAN,
	             .src = LAB_RESOLVER, .dst = LAB_CLIENT, .sport = 53, .dport = 41000,
	             .flags = TCP_SYN | TCP_ACK, .seq = 5000, .ack = 1001, .options = mss,
	             .options_len = sizeof(mss));
	expect(inproc_send(gw, SL_PORT_UPLINK, &packet), SL_REASON_DNS_ALLOWED);
	tcp.server_seq++;
	inproc_clear(gw);
	start = tcp.client_seq;
	lab_query(1,
	          "a23456789a23456789a23456789a23456789.b23456789b23456789b23456789b23456789b2."
	          "c23456789c23456789c23456789c23456789c23456789.example.org",
	          DNS_A);
	append(&all);
	assert_true(all.len > 150);
	expect_said(gw, &tcp, &all);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 2);
	assert_int_equal(inproc_frame(gw, SL_PORT_UPLINK, 0)->view.payload_len, 100);
	expect_left(gw, start, &all);
	inproc_free(gw);
}

static void timestamps_of_the_client_are_kept(void **state)
{
	struct inproc *gw = lab_gateway();
	const uint8_t options[] = {1, 1, 8, 10, 0, 0, 0, 77, 0, 0, 0, 88};
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, NAME, DNS_A);
	const struct packet_view *view;

	establish(gw, &tcp);
	struct packet packet =
	        TCP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = LAB_RESOLVER, .sport = 41000,
	            .dport = 53, .flags = TCP_ACK, .seq = tcp.client_seq, .ack = tcp.server_seq,
	            .options = options, .options_len = sizeof(options), .window = PKT_SET(777),
	            .payload = q.b, .payload_len = q.len);
	expect(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_DNS_ALLOWED);
	view = lab_last(gw, SL_PORT_UPLINK);
	assert_int_equal(view->options_len, sizeof(options));
	assert_memory_equal(view->options, options, sizeof(options));
	assert_int_equal(view->window, 777);
	assert_int_equal(view->ack, tcp.server_seq);
	inproc_free(gw);
}

static void long_connections_do_not_run_out_of_room(void **state)
{
	struct inproc *gw = lab_create(LAB_POLICY, LAB_CONFIG MANY);
	struct inproc_tcp tcp = CONNECTION;
	uint64_t most = 0;

	establish(gw, &tcp);
	for (uint32_t i = 0; i < 4000; i++) {
		struct bytes q = query((uint16_t)i, NAME, DNS_A), a;

		expect_said(gw, &tcp, &q);
		a = answer(&q, A1);
		tcp.client_seq -= 1; /* the server lags: the copy is never empty */
		expect(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
		tcp.client_seq += 1;
		if (inproc_stats(gw, 0)->hold_bytes > most)
			most = inproc_stats(gw, 0)->hold_bytes;
		inproc_clear(gw);
	}
	assert_true(most < 100000);
	inproc_free(gw);
}

/* ---- what a server may still have ---- */

/*
 * A reset that the server ignores ends nothing; after one that it must accept the numbers stay on
 * record.
 */
static void reset_that_the_server_ignores_ends_nothing(void **state)
{
	struct inproc_tcp tcp;
	struct bytes q = query(1, NAME, DNS_A);
	struct inproc *gw = asked(&tcp, &q);

	inproc_clear(gw);
	for (int i = -1; i < 3; i++) { /* 0 fits, but the server may lack what was sent before */
		struct inproc_tcp off = tcp;

		off.client_seq += (uint32_t)(i * 7);
		expect(send_bare(gw, &off, true, TCP_RST), SL_REASON_NO_FLOW);
	}
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	assert_int_equal(inproc_stats(gw, 0)->flows, 1);
	/* the honest twin */
	server_acks(gw, &tcp);
	expect(send_bare(gw, &tcp, true, TCP_RST), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

/* The second allowed query would be read as the end of the first, which was lost. */
static void numbers_of_an_ended_connection_are_refused(void **state)
{
	struct inproc_tcp tcp, again;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A);

	again = tcp;
	expect_said(gw, &tcp, &q);
	server_acks(gw, &tcp);
	expect(send_bare(gw, &tcp, true, TCP_RST), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	again.client_seq--;
	expect(send_bare(gw, &again, true, TCP_SYN), SL_REASON_STREAM_CONFLICT);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	again.client_seq += 1 << 20;
	expect(send_bare(gw, &again, true, TCP_SYN), SL_REASON_DNS_ALLOWED);
	inproc_free(gw);
}

/*
 * One byte of the next message always comes before the last of this one, so that the frames of all
 * messages count together in the end: more than one frame's weight can say.
 */
static void frames_on_hold_are_counted_whole(void **state)
{
	struct inproc *gw = inproc_create_with(&(struct inproc_options){
	        .policy = LAB_POLICY, .config = LAB_CONFIG MANY, .relaxed = true});
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, NAME, DNS_A), a = answer(&q, A1);
	const uint32_t len = (uint32_t)q.len;
	uint64_t limited = inproc_reason(gw, SL_REASON_HOLD_LIMIT);
	uint32_t messages = 70000 / len;

	establish(gw, &tcp);
	say_at(gw, &tcp, 0, q.b, 1, 0);
	for (uint32_t m = 0; m < messages; m++) {
		for (uint32_t i = 1; i < len - 1; i++)
			say_at(gw, &tcp, i, q.b + i, 1, 0);
		if (m + 1 < messages)
			say_at(gw, &tcp, len, q.b, 1, 0);
		say_at(gw, &tcp, len - 1, q.b + len - 1, 1, 0);
		tcp.client_seq += len;
		if (inproc_reason(gw, SL_REASON_HOLD_LIMIT) > limited)
			break;
		hear(gw, &tcp, &a);
		inproc_clear(gw);
	}
	assert_true(inproc_reason(gw, SL_REASON_HOLD_LIMIT) > limited);
	assert_true(inproc_held(gw) <= UINT16_MAX);
	inproc_check(gw);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reset_that_the_server_ignores_ends_nothing),
	        cmocka_unit_test(numbers_of_an_ended_connection_are_refused),
	        cmocka_unit_test(frames_on_hold_are_counted_whole),
	        cmocka_unit_test(bytes_that_differ_are_a_conflict),
	        cmocka_unit_test(bytes_acknowledged_long_ago_leave_no_more),
	        cmocka_unit_test(bytes_out_of_place_do_not_leave),
	        cmocka_unit_test(bare_segments_carry_nothing),
	        cmocka_unit_test(ack_beyond_what_left_says_what_left),
	        cmocka_unit_test(segments_are_no_larger_than_the_server_takes),
	        cmocka_unit_test(timestamps_of_the_client_are_kept),
	        cmocka_unit_test(long_connections_do_not_run_out_of_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
