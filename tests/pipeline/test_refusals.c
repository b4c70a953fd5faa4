/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_refusals.c: what a refused sandbox gets, and limits of flows (spec section 2).
 */
#include "flow_scene.h"

/* ---- what a refused sandbox gets ---- */

/* "UDP, ICMP echo, other protocols: ICMP 3/13 or ICMPv6 1/1, from the refused destination's
 * address". */
static void refused_packet_is_answered_from_its_destination(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet packet = UDP(.vlan = NETS, .src = INSIDE, .dst = PUBLIC, .sport = 5000,
	                           .dport = 6000, PKT_TEXT("payload"));
	const struct packet_view *answer;

	inproc_send(gw, SANDBOX, &packet);
	answer = from_end(gw, SANDBOX, 0);
	assert_string_equal(answer->src_text, PUBLIC);
	assert_string_equal(answer->dst_text, INSIDE);
	assert_int_equal(answer->proto, 1);
	assert_int_equal(answer->icmp_type, 3);
	assert_int_equal(answer->icmp_code, 13);
	assert_true(answer->ip_csum_ok && answer->l4_csum_ok);
	assert_int_equal(answer->tci, NETS);
	assert_memory_equal(answer->payload, packet.bytes + 18, answer->payload_len);
	assert_true(answer->payload_len >= 28);
	packet = UDP(.vlan = NETS, .src = INSIDE6, .dst = PUBLIC6, .sport = 5000, .dport = 6000,
	             PKT_TEXT("payload"));
	inproc_send(gw, SANDBOX, &packet);
	answer = from_end(gw, SANDBOX, 0);
	assert_string_equal(answer->src_text, PUBLIC6);
	assert_int_equal(answer->proto, 58);
	assert_int_equal(answer->icmp_type, 1);
	assert_int_equal(answer->icmp_code, 1);
	assert_true(answer->l4_csum_ok);
	assert_memory_equal(answer->payload, packet.bytes + 18, answer->payload_len);
	expect(OUT(gw, .proto = 132, .vlan = NETS, .src = INSIDE, .dst = PUBLIC,
	           PKT_TEXT("12345678")),
	       SL_REASON_ADDRESS_NOT_ALLOWED);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_code, 13);
	expect(syn_to(gw, NETS, PUBLIC6, 80), SL_REASON_ADDRESS_NOT_ALLOWED);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, 0, 78);
	/* "of what the gateway makes, only the RST of a cut or judged flow goes to the uplink" */
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	inproc_free(gw);
}

/* "unknown-sandbox, source-spoofed, malformed, fragment, non-IP, ICMP errors, multicast, anything
 * from the uplink: silence", whatever the mode. */
static void silence_is_kept_in_every_mode(void **state)
{
	static const uint16_t vlans[] = {ALL, NONE, NETS, BOTH, 999};
	struct inproc *gw = gateway(POLICY);
	struct packet quoted = UDP(.vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	                           .dport = 5000, PKT_TEXT("x"));

	for (size_t i = 0; i < COUNT(vlans); i++) {
		uint16_t v = vlans[i];
		struct packet_spec error = icmp_error_to(v, PUBLIC, 3, 3);

		ROW_NUMBER(vlans[i]);
		send_spec(gw, SANDBOX, quoting(error, &quoted));
		error.icmp_type = 11;
		send_spec(gw, SANDBOX, quoting(error, &quoted));
		OUT(gw, .proto = 58, .vlan = v, .src = INSIDE6, .dst = PUBLIC6, .icmp_type = 1,
		    PKT_TEXT("quote"));
		OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "239.1.2.3",
		    .dmac = "01:00:5e:01:02:03", .sport = 1, .dport = 2, PKT_TEXT("x"));
		OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "224.0.0.251",
		    .dmac = "01:00:5e:00:00:fb", .sport = 5353, .dport = 5353, PKT_TEXT("x"));
		OUT(gw, .proto = 58, .vlan = v, .src = INSIDE6, .dst = "ff02::16",
		    .dmac = "33:33:00:00:00:16", .icmp_type = 143, PKT_TEXT("mld"));
		OUT(gw, .proto = 6, .vlan = v, .src = INSIDE, .dst = "224.0.0.9",
		    .dmac = "01:00:5e:00:00:09", .sport = 1, .dport = 2, .flags = TCP_SYN);
		OUT(gw, .proto = 17, .vlan = v, .src = "8.8.8.8", .dst = PUBLIC, PKT_TEXT("x"));
		OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "192.0.2.9",
		    .udp_len = PKT_SET(99), PKT_TEXT("x"));
		if (v != NONE) /* there it is refused like another SYN, before it is looked at */
			OUT(gw, .proto = 6, .vlan = v, .src = INSIDE, .dst = "192.0.2.9",
			    .flags = TCP_SYN | TCP_FIN);
		OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "192.0.2.9",
		    .frag = PKT_SET(0x2000), PKT_TEXT("12345678"));
		OUT(gw, .vlan = v, .type = PKT_SET(0x88cc), .inner = "0207040011223344");
		IN(gw, .proto = 17, .vlan = v, .src = "192.0.2.9", .dst = INSIDE, .sport = 9,
		   .dport = 9, PKT_TEXT("x"));
		IN(gw, .proto = 6, .vlan = v, .src = "192.0.2.9", .dst = INSIDE, .sport = 9,
		   .dport = 9, .flags = TCP_ACK);
		assert_int_equal(inproc_count(gw, SANDBOX), 0);
	}
	inproc_free(gw);
}

/* "at once, 100/s per sandbox, the excess counted". */
static void answers_are_limited_per_sandbox(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (int i = 0; i < 250; i++)
		udp_to(gw, NETS, PUBLIC);
	assert_int_equal(inproc_count(gw, SANDBOX), 100);
	assert_int_equal(inproc_stats(gw, 0)->answers_suppressed, 150);
	/* another sandbox has its own hundred */
	for (int i = 0; i < 100; i++)
		udp_to(gw, NONE, PUBLIC);
	assert_int_equal(inproc_count(gw, SANDBOX), 200);
	inproc_advance_s(gw, 0.5);
	inproc_clear(gw);
	for (int i = 0; i < 100; i++)
		udp_to(gw, NETS, PUBLIC);
	assert_int_equal(inproc_count(gw, SANDBOX), 50);
	inproc_advance_s(gw, 60);
	inproc_clear(gw);
	for (int i = 0; i < 250; i++)
		udp_to(gw, NETS, PUBLIC);
	assert_int_equal(inproc_count(gw, SANDBOX), 100);
	inproc_free(gw);
}

/* ---- limits ---- */

/* "At a bound the new one is denied with its reason, old ones go on, other sandboxes feel
 * nothing": flows of one sandbox. */
static void flows_of_a_sandbox_are_bounded(void **state)
{
	struct inproc *gw =
	        gateway_with("sandboxes: [{vlan: 101}, {vlan: 102}]",
	                     CONFIG "limits: {flows: 1000, flows-per-sandbox: 50, pins: 100}\n");

	for (uint16_t port = 1; port <= 50; port++)
		expect(udp_by_port(gw, 101, port), SL_REASON_ALLOW_ALL);
	expect(OUT(gw, .proto = 17, .vlan = 101, .src = INSIDE, .dst = PUBLIC, .sport = 51,
	           .dport = 9, PKT_TEXT("x")),
	       SL_REASON_FLOW_LIMIT);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_code, 13);
	expect(syn_to(gw, 101, PUBLIC, 80), SL_REASON_FLOW_LIMIT);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, 0, 78);
	last_event(gw, false, SL_REASON_FLOW_LIMIT);
	expect(OUT(gw, .proto = 17, .vlan = 101, .src = INSIDE, .dst = PUBLIC, .sport = 7,
	           .dport = 9, PKT_TEXT("x")),
	       SL_REASON_ALLOW_ALL);
	expect(udp_to(gw, 102, PUBLIC), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 122);
	expect(syn_to(gw, 101, PUBLIC, 80), SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

/* "The last tenth of each is kept for sandboxes that hold less than an even share": who comes last
 * has its share of flows all the same. */
static void flows_of_all_are_kept_for_who_has_few(void **state)
{
	char policy[2048] = "sandboxes: [";
	struct inproc *gw;
	unsigned opened = 0;

	for (int i = 0; i < 17; i++)
		snprintf(policy + strlen(policy), sizeof(policy) - strlen(policy), "{vlan: %d}%s",
		         101 + i, i < 16 ? ", " : "]");
	gw = gateway_with(policy,
	                  CONFIG "limits: {flows: 1000, flows-per-sandbox: 100, pins: 100}\n");
	for (uint16_t port = 1; port <= 100; port++)
		for (uint16_t vlan = 101; vlan < 117; vlan++)
			opened += udp_by_port(gw, vlan, port) == SL_REASON_ALLOW_ALL;
	/* sixteen that take what they get fill all but a part of the last tenth */
	assert_in_range(opened, 900, 16 * (1000 / 17));
	/* the seventeenth has its even share */
	for (uint16_t port = 1; port <= 1000 / 17; port++)
		expect(udp_by_port(gw, 117, port), SL_REASON_ALLOW_ALL);
	expect(OUT(gw, .proto = 17, .vlan = 117, .src = INSIDE, .dst = PUBLIC, .sport = 1000,
	           .dport = 9, PKT_TEXT("x")),
	       SL_REASON_FLOW_LIMIT);
	inproc_free(gw);
}

/* Flows in all. */
static void flows_of_all_are_bounded(void **state)
{
	struct inproc *gw = gateway_with("sandboxes: [{vlan: 101}, {vlan: 102}]", CONFIG
	                                 "limits: {flows: 64, flows-per-sandbox: 60, pins: 100}\n");
	unsigned opened = 0;

	for (uint16_t port = 1; port <= 100; port++)
		opened += udp_by_port(gw, 101 + port % 2, port) == SL_REASON_ALLOW_ALL;
	assert_int_equal(opened, 64);
	assert_int_equal(count_of(gw, SL_REASON_FLOW_LIMIT), 36);
	assert_int_equal(inproc_stats(gw, 0)->flows, 64);
	inproc_free(gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(refused_packet_is_answered_from_its_destination),
	        TEST(silence_is_kept_in_every_mode),
	        TEST(answers_are_limited_per_sandbox),
	        TEST(flows_of_a_sandbox_are_bounded),
	        TEST(flows_of_all_are_bounded),
	        TEST(flows_of_all_are_kept_for_who_has_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
