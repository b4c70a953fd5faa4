/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_flows.c: states and timeouts of flows, on one worker and on two, with and without tags (spec
 * sections 2 and 6).
 */
#include "flow_scene.h"

/* ---- section 2: flows ---- */

/* "From the uplink only packets of known flows pass." */
static void uplink_packet_of_no_flow_is_dropped_in_silence(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(udp_back(gw, ALL, PUBLIC, "x"), SL_REASON_NO_FLOW);
	expect(IN(gw, .proto = 6, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 1, .dport = 2,
	          .flags = TCP_SYN),
	       SL_REASON_NO_FLOW);
	expect(IN(gw, .proto = 6, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 1, .dport = 2,
	          .flags = TCP_ACK),
	       SL_REASON_NO_FLOW);
	expect(IN(gw, .proto = 1, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .icmp_type = 8),
	       SL_REASON_NO_FLOW);
	expect(IN(gw, .proto = 47, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, PKT_TEXT("x")),
	       SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 0);
	inproc_free(gw);
}

/* "key (VLAN, protocol, sandbox address and port, remote address and port)": all of it. */
static void uplink_packet_must_match_the_whole_key(void **state)
{
	static const struct {
		const char *what;
		uint16_t vlan, sport, dport; /* 0, NULL: as in the answer */
		const char *src, *dst;
		uint8_t proto;
	} rows[] = {
	        {"another VLAN", .vlan = BOTH},
	        {"another remote address", .src = "198.51.100.11"},
	        {"another sandbox address", .dst = "10.0.0.3"},
	        {"another remote port", .sport = 6001},
	        {"another sandbox port", .dport = 5001},
	        {"another protocol", .proto = 6},
	};
	struct inproc *gw = gateway(POLICY);

	udp_to(gw, ALL, PUBLIC);
	expect(udp_back(gw, ALL, PUBLIC, "x"), SL_REASON_ALLOW_ALL);
	assert_true(packet_view_says(from_end(gw, SANDBOX, 0), "x"));
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct packet_spec other = udp_answer(ALL, PUBLIC, "x");

		row(rows[i].what);
		if (rows[i].vlan != 0)
			other.vlan = rows[i].vlan;
		if (rows[i].src != NULL)
			other.src = rows[i].src;
		if (rows[i].dst != NULL)
			other.dst = rows[i].dst;
		if (rows[i].sport != 0)
			other.sport = rows[i].sport;
		if (rows[i].dport != 0)
			other.dport = rows[i].dport;
		if (rows[i].proto != 0) {
			other.proto = rows[i].proto;
			other.flags = TCP_ACK;
		}
		expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	}
	inproc_free(gw);
}

/* "The same inside address on two VLANs is two sandboxes." */
static void same_address_on_two_vlans_is_two_sandboxes(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(udp_to(gw, ALL, PUBLIC), SL_REASON_ALLOW_ALL);
	expect(udp_to(gw, NETS, PUBLIC), SL_REASON_ADDRESS_NOT_ALLOWED);
	expect(udp_to(gw, NETS, "203.0.113.1"), SL_REASON_SUBNET_ALLOWED);
	expect(udp_back(gw, NETS, "203.0.113.1", "x"), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(from_end(gw, SANDBOX, 0)->tci, NETS);
	expect(udp_back(gw, ALL, "203.0.113.1", "x"), SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/* "A TCP packet that is no SYN and belongs to no flow is refused", with a RST. */
static void tcp_without_flow_is_reset(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = 9,
	           .dport = 443, .flags = TCP_ACK | TCP_PSH, .seq = 100, .ack = 555,
	           PKT_TEXT("data")),
	       SL_REASON_NO_FLOW);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST, 555, 0);
	assert_string_equal(from_end(gw, SANDBOX, 0)->src_text, PUBLIC);
	assert_int_equal(from_end(gw, SANDBOX, 0)->sport, 443);
	expect(OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = 9,
	           .dport = 443, .flags = TCP_SYN | TCP_ACK, .ack = 7),
	       SL_REASON_NO_FLOW);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST, 7, 0);
	assert_int_equal(inproc_count(gw, SANDBOX), 2);
	/* never a RST for a RST */
	expect(OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = 9,
	           .dport = 443, .flags = TCP_RST),
	       SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, SANDBOX), 2);
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	inproc_free(gw);
}

/* States of a plain connection: from SYN to both FINs, and what does not fit is refused. */
static void tcp_states_follow_the_flags(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);

	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_ALLOW_ALL);
	expect(client(&c, 0, "early", 5), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .flags = TCP_SYN), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_ALLOW_ALL);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN | TCP_ACK), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT), SL_REASON_ALLOW_ALL);
	expect(client(&c, 0, "data", 4), SL_REASON_ALLOW_ALL);
	expect(server(&c, 0, 4, "data", 4), SL_REASON_ALLOW_ALL);
	expect(SEND(&c, SERVER, .flags = TCP_SYN), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = 4, .ack = 4),
	       SL_REASON_ALLOW_ALL);
	expect(server(&c, 4, 5, "more", 4), SL_REASON_ALLOW_ALL);
	expect(SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .at = 8, .ack = 5),
	       SL_REASON_ALLOW_ALL);
	expect(SEND(&c, CLIENT, .at = 5, .ack = 9), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 9);
	expect(SEND(&c, CLIENT, .at = 5, .ack = 9), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 11);
	expect(SEND(&c, CLIENT, .at = 5, .ack = 9), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

/* "Timeouts (configurable): established TCP ... (at its end both sides are reset), opening 30 s,
 * closing 10 s, UDP ..., ICMP ..." */
static void flows_live_as_long_as_their_timeouts(void **state)
{
	struct inproc *gw =
	        gateway_with(POLICY, CONFIG "timeouts: {tcp-established: 40, udp: 20, icmp: 10}\n");
	struct conn c = conn_to(gw, ALL, PUBLIC), half = conn_to(gw, ALL, PUBLIC),
	            reset = conn_to(gw, ALL, PUBLIC);
	const struct packet_spec pong = {.proto = 1,
	                                 .vlan = ALL,
	                                 .src = PUBLIC,
	                                 .dst = INSIDE,
	                                 .icmp_type = 0,
	                                 .icmp_rest = 0x00070001};
	const struct packet_spec answer = udp_answer(ALL, PUBLIC, "x");

	handshake(&c);
	handshake(&reset);
	SEND(&half, CLIENT, .flags = TCP_SYN);
	SEND(&reset, CLIENT, .flags = TCP_RST | TCP_ACK);
	udp_to(gw, ALL, PUBLIC);
	OUT(gw, .proto = 1, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .icmp_type = 8,
	    .icmp_rest = 0x00070001);
	assert_int_equal(inproc_stats(gw, 0)->flows, 5);
	inproc_advance_s(gw, 9.7);
	assert_int_equal(inproc_stats(gw, 0)->flows, 5);
	expect(send_spec(gw, UPLINK, pong), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 0.5); /* closing is over */
	assert_int_equal(inproc_stats(gw, 0)->flows, 4);
	expect(SEND(&reset, SERVER), SL_REASON_NO_FLOW);
	inproc_advance_s(gw, 9); /* 19.2: the echo's time began anew */
	expect(send_spec(gw, UPLINK, pong), SL_REASON_ALLOW_ALL);
	expect(send_spec(gw, UPLINK, answer), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 10.6); /* 29.8 */
	expect(send_spec(gw, UPLINK, pong), SL_REASON_NO_FLOW);
	expect(SEND(&half, SERVER), SL_REASON_ALLOW_ALL);
	expect(send_spec(gw, UPLINK, answer), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 20.3); /* 50.1 */
	expect(send_spec(gw, UPLINK, answer), SL_REASON_NO_FLOW);
	expect_segment(from_end(gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 1, c.irs + 1);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 1, c.iss + 1);
	expect(client(&c, 0, "x", 1), SL_REASON_NO_FLOW);
	inproc_advance_s(gw, 15);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

/* A flow that is over is over at that moment, not when the next look at the table finds it. */
static void flow_that_expired_is_not_revived_by_the_uplink(void **state)
{
	struct inproc *gw = gateway(POLICY);

	udp_to(gw, ALL, PUBLIC);
	inproc_advance_us(gw, 119900000);
	expect(udp_back(gw, ALL, PUBLIC, "x"), SL_REASON_ALLOW_ALL);
	inproc_advance_us(gw, 120000000);
	expect(udp_back(gw, ALL, PUBLIC, "x"), SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/* A new SYN on a live connection is a new flow, judged by the policy of now. */
static void new_syn_on_a_live_flow_is_judged_again(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);

	handshake(&c);
	expect(client(&c, 0, "data", 4), SL_REASON_ALLOW_ALL);
	c.iss += 1000000;
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_stats(gw, 0)->flows, 1);
	assert_int_equal(inproc_stats(gw, 0)->flows_opened, 2);
	expect(client(&c, 0, "data", 4), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_ALLOW_ALL);
	expect(client(&c, 0, "data", 4), SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

/* ---- native VLAN ---- */

/* "On a port with `native-vlan: N` untagged frames are N's, N leaves untagged, and frames tagged N
 * are dropped." */
static void native_vlan_is_untagged_on_its_port(void **state)
{
	struct inproc *gw =
	        gateway_with(POLICY, CONFIG "ports: {sandbox: {dev: net_null0, native-vlan: 101},"
	                                    " uplink: {dev: net_null1}}\n");

	expect(udp_to(gw, 0, PUBLIC), SL_REASON_ALLOW_ALL);
	assert_true(from_end(gw, UPLINK, 0)->tagged);
	assert_int_equal(from_end(gw, UPLINK, 0)->tci, 101);
	assert_true(from_end(gw, UPLINK, 0)->l4_csum_ok);
	expect(udp_back(gw, 101, PUBLIC, "back"), SL_REASON_ALLOW_ALL);
	assert_false(from_end(gw, SANDBOX, 0)->tagged);
	assert_true(packet_view_says(from_end(gw, SANDBOX, 0), "back"));
	assert_memory_equal(from_end(gw, SANDBOX, 0)->dmac, "\2\0\0\0\0\1", 6);
	assert_true(inproc_last(gw, SANDBOX)->len >= 60);
	expect(udp_to(gw, 101, PUBLIC), SL_REASON_UNKNOWN_SANDBOX);
	expect(udp_back(gw, 0, PUBLIC, "x"), SL_REASON_UNKNOWN_SANDBOX);
	/* what the gateway makes is untagged there as well */
	expect(udp_to(gw, 0, "10.0.0.9"), SL_REASON_INTERNAL_SUBNET);
	assert_false(from_end(gw, SANDBOX, 0)->tagged);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_code, 13);
	/* others are tagged as ever */
	expect(udp_to(gw, BOTH, "203.0.113.5"), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(from_end(gw, UPLINK, 0)->tci, BOTH);
	inproc_free(gw);
}

static void native_vlan_on_both_ports_stays_untagged(void **state)
{
	struct inproc *gw =
	        gateway_with(POLICY, CONFIG "ports: {sandbox: {dev: net_null0, native-vlan: 101},"
	                                    " uplink: {dev: net_null1, native-vlan: 101}}\n");

	expect(udp_to(gw, 0, PUBLIC), SL_REASON_ALLOW_ALL);
	assert_false(from_end(gw, UPLINK, 0)->tagged);
	expect(udp_back(gw, 0, PUBLIC, "back"), SL_REASON_ALLOW_ALL);
	expect(udp_back(gw, 101, PUBLIC, "back"), SL_REASON_UNKNOWN_SANDBOX);
	inproc_free(gw);
}

/* ---- two workers ---- */

/* "whatever belongs to a sandbox has one writer": a frame goes to its owner, wherever it came in.
 */
static void frame_of_another_workers_sandbox_is_handed_over(void **state)
{
	struct inproc *gw = inproc_create_with(&(struct inproc_options){
	        .policy = POLICY, .config = CONFIG, .workers = 2, .checksums_full = true});

	expect(udp_to(gw, 101, PUBLIC), SL_REASON_ALLOW_ALL);
	expect(udp_back(gw, 101, PUBLIC, "back"), SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_stats(gw, 1)->flows, 1);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	assert_int_equal(inproc_stats(gw, 0)->handed_over, 2);
	expect(udp_to(gw, 102, PUBLIC), SL_REASON_DENY_ALL);
	assert_int_equal(inproc_stats(gw, 0)->handed_over, 2);
	inproc_free(gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(uplink_packet_of_no_flow_is_dropped_in_silence),
	        TEST(uplink_packet_must_match_the_whole_key),
	        TEST(same_address_on_two_vlans_is_two_sandboxes),
	        TEST(tcp_without_flow_is_reset),
	        TEST(tcp_states_follow_the_flags),
	        TEST(flows_live_as_long_as_their_timeouts),
	        TEST(flow_that_expired_is_not_revived_by_the_uplink),
	        TEST(new_syn_on_a_live_flow_is_judged_again),
	        TEST(native_vlan_is_untagged_on_its_port),
	        TEST(native_vlan_on_both_ports_stays_untagged),
	        TEST(frame_of_another_workers_sandbox_is_handed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
