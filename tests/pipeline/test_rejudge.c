/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rejudge.c: what a later policy does to flows that are open (spec section 2).
 */
#include "flow_scene.h"

static void push(struct inproc *gw, const char *policy)
{
	assert_int_not_equal(inproc_push(gw, policy), 0);
}

/* "What is now denied is cut: RST to both ends for TCP", with the numbers that either end takes,
 * and "idle flows are swept and judged again within 1 s without a packet". */
static void policy_that_denies_cuts_tcp_on_both_sides(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);
	const struct packet_view *reset;
	const struct sl_event *event;

	handshake(&c);
	client(&c, 0, "request", 7);
	server(&c, 0, 7, "response..", 10);
	SEND(&c, CLIENT, .at = 7, .ack = 10);
	inproc_clear(gw);
	push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_count(gw, UPLINK), 1);
	assert_int_equal(inproc_count(gw, SANDBOX), 1);
	reset = from_end(gw, UPLINK, 0);
	expect_segment(reset, TCP_RST | TCP_ACK, c.iss + 8, c.irs + 11);
	assert_int_equal(reset->tci, ALL);
	assert_string_equal(reset->src_text, INSIDE);
	assert_memory_equal(reset->dmac, "\2\0\0\0\0\2", 6);
	reset = from_end(gw, SANDBOX, 0);
	expect_segment(reset, TCP_RST | TCP_ACK, c.irs + 11, c.iss + 8);
	assert_string_equal(reset->src_text, PUBLIC);
	assert_memory_equal(reset->dmac, "\2\0\0\0\0\1", 6);
	event = last_event(gw, false, SL_REASON_POLICY_CHANGED);
	assert_int_equal(event->generation, 2);
	assert_int_equal(event->sport, c.sport);
	assert_int_equal(inproc_stats(gw, 0)->flows_cut, 1);
	inproc_free(gw);
}

/* "A packet that meets an older epoch is judged again ... before it may pass", both directions. */
static void packet_that_meets_an_older_epoch_is_judged_first(void **state)
{
	for (int from_server = 0; from_server < 2; from_server++) {
		struct inproc *gw = gateway(POLICY);
		struct conn c = conn_to(gw, ALL, PUBLIC);

		handshake(&c);
		client(&c, 0, "request", 7);
		push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]");
		inproc_clear(gw);
		if (from_server)
			expect(server(&c, 0, 7, "late", 4), SL_REASON_POLICY_CHANGED);
		else
			expect(client(&c, 7, "late", 4), SL_REASON_POLICY_CHANGED);
		assert_int_equal(inproc_count(gw, UPLINK), 1);
		assert_int_equal(inproc_count(gw, SANDBOX), 1);
		assert_int_equal(from_end(gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
		assert_int_equal(from_end(gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
		inproc_free(gw);
	}
}

/* What still comes of a cut connection is refused and reset on either side, until it is forgotten.
 */
static void cut_connection_is_reset_until_it_is_forgotten(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);

	handshake(&c);
	push(gw, "sandboxes: [{vlan: 101, policy: {allow: [good.example]}}]");
	inproc_advance_s(gw, 1);
	inproc_clear(gw);
	expect(client(&c, 0, "late", 4), SL_REASON_POLICY_CHANGED);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST, c.irs + 1, 0);
	expect(server(&c, 0, 4, "late", 4), SL_REASON_POLICY_CHANGED);
	expect_segment(from_end(gw, UPLINK, 0), TCP_RST, c.iss + 5, 0);
	assert_int_equal(inproc_count(gw, UPLINK), 1);
	assert_int_equal(inproc_count(gw, SANDBOX), 1);
	/* no RST for a RST, on either side */
	SEND(&c, CLIENT, .flags = TCP_RST);
	SEND(&c, SERVER, .flags = TCP_RST);
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 2);
	inproc_advance_s(gw, 11);
	expect(server(&c, 0, 4, "late", 4), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	/* a new SYN is judged by the policy of now */
	c.iss += 100000;
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_NONE);
	inproc_free(gw);
}

/* "ICMP administratively-prohibited to the sandbox for the rest (`policy-changed`)". */
static void policy_that_denies_cuts_the_rest_with_icmp(void **state)
{
	struct inproc *gw = gateway(POLICY);
	const struct packet_view *answer;

	udp_to(gw, ALL, PUBLIC);
	inproc_clear(gw);
	push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	assert_int_equal(inproc_count(gw, SANDBOX), 1);
	answer = from_end(gw, SANDBOX, 0);
	assert_int_equal(answer->icmp_type, 3);
	assert_int_equal(answer->icmp_code, 13);
	assert_true(answer->l4_csum_ok);
	assert_string_equal(answer->src_text, PUBLIC);
	/* it quotes what the sandbox's kernel needs to find the socket */
	assert_int_equal(answer->payload[9], 17);
	assert_memory_equal(answer->payload + 12, answer->ip + 16, 4);
	assert_memory_equal(answer->payload + 20, "\x13\x88\x17\x70", 4);
	last_event(gw, false, SL_REASON_POLICY_CHANGED);
	expect(udp_back(gw, ALL, PUBLIC, "x"), SL_REASON_DENY_ALL);
	inproc_free(gw);
}

/* "Flows whose name is still allowed go on untouched", and say so by nothing at all. */
static void policy_that_still_allows_the_name_leaves_the_flow_alone(void **state)
{
	static struct hello good;
	uint8_t msg[128], record[128];
	size_t n;
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, BOTH, PUBLIC);

	hello_for(&good, ALLOWED);
	handshake(&c);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	n = hello_record(22, msg, hello_server(false, msg), record);
	expect(server(&c, 0, (int64_t)good.len, record, n), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(gw);
	push(gw, "sandboxes: [{vlan: 104, policy: {allow: [x.example, '*.example']}}]");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 0);
	assert_int_equal(inproc_event_count(gw), 0);
	expect(client(&c, (int64_t)good.len, "more", 4), SL_REASON_DOMAIN_ALLOWED);
	push(gw, "sandboxes: [{vlan: 104, policy: {allow: [x.example]}}]");
	inproc_clear(gw);
	inproc_advance_s(gw, 1);
	expect_segment(from_end(gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 1 + (uint32_t)good.len,
	               c.irs + 1);
	expect_event_name(last_event(gw, false, SL_REASON_POLICY_CHANGED), ALLOWED);
	inproc_free(gw);
}

/* "those of sandboxes whose effective policy did not change are not judged again". */
static void policy_of_another_sandbox_touches_nothing_here(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC), d = conn_to(gw, NETS, "203.0.113.5");

	handshake(&c);
	handshake(&d);
	inproc_clear(gw);
	push(gw,
	     "sandboxes:\n"
	     "  - {vlan: 101, name: all}\n"
	     "  - {vlan: 103, policy: {subnets: {allow: [10.1.0.0/16]}}}\n"
	     "  - {vlan: 109, policy: {subnets: {allow: [198.51.100.10], deny: [203.0.113.5]}}}\n");
	expect(client(&c, 0, "data", 4), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 1);
	expect(client(&c, 4, "data", 4), SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_event_count(gw), 1);
	last_event(gw, false, SL_REASON_POLICY_CHANGED);
	expect(client(&d, 0, "data", 4), SL_REASON_POLICY_CHANGED);
	inproc_free(gw);
}

/* "Flows opened under allow-all or rule 2 carry no name: they live on only if the new policy allows
 * their address without one", and the reason becomes the new one. */
static void policy_that_wants_a_name_cuts_flows_without_one(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC), d = conn_to(gw, ALL, "203.0.113.5");

	handshake(&c);
	handshake(&d);
	inproc_clear(gw);
	push(gw, "sandboxes: [{vlan: 101, policy: {allow: ['*'], subnets: {allow: "
	         "[203.0.113.0/24]}}}]");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_event_count(gw), 2);
	expect(client(&c, 0, "x", 1), SL_REASON_POLICY_CHANGED);
	expect(client(&d, 0, "x", 1), SL_REASON_SUBNET_ALLOWED);
	expect(server(&d, 0, 1, "x", 1), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_event(gw, 0)->allow + inproc_event(gw, 1)->allow, 1);
	/* and back again */
	push(gw, "sandboxes: [{vlan: 101}]");
	expect(client(&d, 1, "x", 1), SL_REASON_ALLOW_ALL);
	last_event(gw, true, SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

/* A source that is no longer the sandbox's own ends its flows. */
static void policy_that_takes_the_source_away_cuts(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);

	handshake(&c);
	push(gw, "sandboxes: [{vlan: 101, source: [10.0.0.3]}]");
	inproc_advance_s(gw, 1);
	last_event(gw, false, SL_REASON_POLICY_CHANGED);
	expect(server(&c, 0, 0, "x", 1), SL_REASON_POLICY_CHANGED);
	expect(client(&c, 0, "x", 1), SL_REASON_SOURCE_SPOOFED);
	inproc_free(gw);
}

/* Many idle flows are all swept within a second. */
static void sweep_reaches_every_idle_flow_within_a_second(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (uint16_t port = 1; port <= 3000; port++)
		OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = port,
		    .dport = 80, .flags = TCP_SYN);
	inproc_clear(gw);
	push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]");
	assert_false(sl_worker_settled(inproc_worker(gw, 0)));
	inproc_advance_s(gw, 1);
	assert_true(sl_worker_settled(inproc_worker(gw, 0)));
	assert_int_equal(inproc_count(gw, UPLINK), 3000);
	assert_int_equal(inproc_stats(gw, 0)->flows_cut, 3000);
	inproc_free(gw);
}

/* A worker's turn judges some flows at a time, and a newer push in between loses none of them. */
static void sweep_in_turns_survives_a_push_in_between(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct sl_worker *worker = inproc_worker(gw, 0);

	for (uint16_t port = 1; port <= 1000; port++)
		OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = port,
		    .dport = 80, .flags = TCP_SYN);
	push(gw, "sandboxes: [{vlan: 101, policy: {subnets: {allow: [198.51.100.10]}}}]");
	sl_worker_turn(worker);
	assert_false(sl_worker_settled(worker));
	push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]");
	for (int turn = 0; turn < 10; turn++)
		sl_worker_turn(worker);
	assert_true(sl_worker_settled(worker));
	assert_int_equal(inproc_stats(gw, 0)->flows_cut, 1000);
	inproc_free(gw);
}

/* A sandbox that is gone, and its VLAN given to another: "nothing inherited". */
static void vlan_given_to_another_sandbox_inherits_nothing(void **state)
{
	struct inproc *gw =
	        gateway_with("sandboxes: [{vlan: 101, name: old}]",
	                     CONFIG "limits: {flows: 1000, flows-per-sandbox: 20, pins: 100}\n");
	struct conn c = conn_to(gw, ALL, PUBLIC);

	handshake(&c);
	for (uint16_t port = 1; port < 20; port++)
		OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = port,
		    .dport = 80, .flags = TCP_SYN);
	expect(syn_to(gw, ALL, PUBLIC, 81), SL_REASON_FLOW_LIMIT);
	assert_int_not_equal(inproc_vlan_reason(gw, ALL, SL_REASON_ALLOW_ALL), 0);
	push(gw, "sandboxes: []");
	push(gw, "sandboxes: [{vlan: 101, name: new}]");
	inproc_clear(gw);
	/* not a packet of the old one's flow, though the policy is the same */
	assert_false(sl_reason_allows(client(&c, 0, "x", 1)));
	assert_false(sl_reason_allows(server(&c, 0, 0, "x", 1)));
	inproc_advance_s(gw, 1);
	/* nor its counters */
	assert_int_equal(inproc_vlan_reason(gw, ALL, SL_REASON_ALLOW_ALL), 0);
	assert_int_equal(inproc_vlan_reason(gw, ALL, SL_REASON_FLOW_LIMIT), 0);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	/* nor its share of the limits */
	for (uint16_t port = 1001; port <= 1020; port++)
		expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = PUBLIC,
		           .sport = port, .dport = 80, PKT_TEXT("x")),
		       SL_REASON_ALLOW_ALL);
	assert_string_equal(inproc_event_last(gw)->sandbox, "new");
	inproc_free(gw);
}

/* A packet of the new one that looks like one of the old one's flow is a first packet. */
static void vlan_given_to_another_sandbox_opens_its_own_flow(void **state)
{
	struct inproc *gw = gateway("sandboxes: [{vlan: 101, name: old}]");

	expect(udp_to(gw, ALL, PUBLIC), SL_REASON_ALLOW_ALL);
	push(gw, "sandboxes: []");
	push(gw, "sandboxes: [{vlan: 101, name: new}]");
	expect(udp_to(gw, ALL, PUBLIC), SL_REASON_ALLOW_ALL);
	assert_string_equal(inproc_event_last(gw)->sandbox, "new");
	assert_int_equal(inproc_stats(gw, 0)->flows_cut, 1);
	last_event(gw, true, SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_count(gw, UPLINK), 2);
	inproc_free(gw);
}

/* The new one's own packets count as its own from the first on. */
static void vlan_given_to_another_sandbox_counts_from_its_first_packet(void **state)
{
	struct inproc *gw = gateway("sandboxes: [{vlan: 101, name: old}]");

	udp_to(gw, ALL, PUBLIC);
	inproc_advance_s(gw, 1);
	push(gw, "sandboxes: []");
	inproc_advance_s(gw, 1);
	push(gw, "sandboxes: [{vlan: 101, name: new}]");
	udp_to(gw, ALL, "192.0.2.9");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_vlan_reason(gw, ALL, SL_REASON_ALLOW_ALL), 1);
	inproc_free(gw);
}

/* A generation that is refused changes nothing. */
static void policy_that_is_refused_changes_nothing(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);

	handshake(&c);
	assert_int_equal(
	        inproc_push(gw, "sandboxes: [{vlan: 101, policy: deny-all}, {vlan: 5000}]"), 0);
	assert_true(strlen(inproc_errors(gw)) > 0);
	inproc_clear(gw);
	inproc_advance_s(gw, 2);
	assert_int_equal(inproc_event_count(gw), 0);
	expect(client(&c, 0, "x", 1), SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(policy_that_denies_cuts_tcp_on_both_sides),
	        TEST(packet_that_meets_an_older_epoch_is_judged_first),
	        TEST(cut_connection_is_reset_until_it_is_forgotten),
	        TEST(policy_that_denies_cuts_the_rest_with_icmp),
	        TEST(policy_that_still_allows_the_name_leaves_the_flow_alone),
	        TEST(policy_of_another_sandbox_touches_nothing_here),
	        TEST(policy_that_wants_a_name_cuts_flows_without_one),
	        TEST(policy_that_takes_the_source_away_cuts),
	        TEST(sweep_reaches_every_idle_flow_within_a_second),
	        TEST(sweep_in_turns_survives_a_push_in_between),
	        TEST(vlan_given_to_another_sandbox_inherits_nothing),
	        TEST(vlan_given_to_another_sandbox_opens_its_own_flow),
	        TEST(vlan_given_to_another_sandbox_counts_from_its_first_packet),
	        TEST(policy_that_is_refused_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
