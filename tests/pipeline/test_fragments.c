/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fragments.c: fragments of IPv4 and IPv6, by rule and by flow (spec section 6).
 */
#include "packet_scene.h"

#define NET "203.0.113.5"

#define NET6 "2001:db8:20::5"

/* "Fragments under rule 3: `fragment`", first, later, and atomic ones, in silence. */
static void fragment_under_rule_three_is_refused(void **state)
{
	static const uint16_t words4[] = {0x2000, 0x2001, 0x0001, 0x1fff, 0x6000};
	static const uint16_t words6[] = {0x0000, 0x0001, 0x0008, 0xfff8, 0xfff9};
	static const uint8_t protos[] = {1, 6, 17, 47};
	struct inproc *gw = gateway(POLICY);

	for (size_t p = 0; p < COUNT(protos); p++) {
		for (size_t i = 0; i < COUNT(words4); i++)
			expect(OUT(gw, .proto = protos[p], .vlan = BOTH, V4,
			           .frag = PKT_SET(words4[i]), .flags = TCP_SYN,
			           PKT_TEXT("12345678")),
			       SL_REASON_FRAGMENT);
		for (size_t i = 0; i < COUNT(words6); i++)
			expect(OUT(gw, .proto = protos[p], .vlan = BOTH, V6,
			           .frag = PKT_SET(words6[i]), .flags = TCP_SYN,
			           PKT_TEXT("12345678")),
			       SL_REASON_FRAGMENT);
	}
	expect(OUT(gw, .proto = 17, .vlan = NONE, V4, .frag = PKT_SET(0x2000),
	           PKT_TEXT("12345678")),
	       SL_REASON_DENY_ALL);
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* "Under rule 2 and allow-all each outbound fragment is judged by its address". */
static void fragment_to_an_open_address_leaves(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(OUT(gw, .proto = 17, .vlan = ALL, V4, .frag = PKT_SET(0x2000), PKT_TEXT("12345678")),
	       SL_REASON_ALLOW_ALL);
	expect(OUT(gw, .proto = 17, .vlan = ALL, V4, .frag = PKT_SET(0x0002), PKT_TEXT("12345678")),
	       SL_REASON_ALLOW_ALL);
	expect(OUT(gw, .proto = 6, .vlan = BOTH, .src = INSIDE, .dst = NET, .frag = PKT_SET(0x2000),
	           .flags = TCP_SYN, PKT_TEXT("12345678")),
	       SL_REASON_SUBNET_ALLOWED);
	expect(OUT(gw, .proto = 17, .vlan = BOTH, .src = INSIDE6, .dst = NET6, .frag = PKT_SET(1),
	           PKT_TEXT("12345678")),
	       SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_count(gw, UPLINK), 4);
	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = "10.0.0.9",
	           .frag = PKT_SET(0x2000), PKT_TEXT("12345678")),
	       SL_REASON_INTERNAL_SUBNET);
	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = "127.0.0.1",
	           .frag = PKT_SET(0x2000), PKT_TEXT("12345678")),
	       SL_REASON_PROTECTED_SUBNET);
	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = "8.8.8.8", .dst = PUBLIC,
	           .frag = PKT_SET(0x2000), PKT_TEXT("12345678")),
	       SL_REASON_SOURCE_SPOOFED);
	assert_int_equal(inproc_count(gw, UPLINK), 4);
	assert_int_equal(inproc_count(gw, SANDBOX), 0);
	inproc_free(gw);
}

/* "an inbound one passes if a live flow of that sandbox under rule 2 or allow-all has that remote
 * address and protocol". */
static void fragment_from_the_uplink_needs_a_live_flow(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet_spec piece = {.proto = 17,
	                            .vlan = BOTH,
	                            .src = NET,
	                            .dst = INSIDE,
	                            .frag = PKT_SET(0x2000),
	                            PKT_TEXT("12345678")};
	struct packet_spec other;

	expect(send_spec(gw, UPLINK, piece), SL_REASON_NO_FLOW);
	OUT(gw, .proto = 17, .vlan = BOTH, .src = INSIDE, .dst = NET, .sport = 1, .dport = 2,
	    PKT_TEXT("x"));
	expect(send_spec(gw, UPLINK, piece), SL_REASON_SUBNET_ALLOWED);
	other = piece, other.frag = PKT_SET(0x0002);
	expect(send_spec(gw, UPLINK, other), SL_REASON_SUBNET_ALLOWED);
	other = piece, other.proto = 6;
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	other = piece, other.src = "203.0.113.6";
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	other = piece, other.vlan = ALL;
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	/* a flow that is judged by name does not count */
	OUT(gw, .proto = 6, .vlan = BOTH, V4, .sport = 1, .dport = 443, .flags = TCP_SYN);
	other = piece, other.src = PUBLIC, other.proto = 6;
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	/* nor does one that has ended, or is no longer allowed */
	inproc_advance_s(gw, 122);
	expect(send_spec(gw, UPLINK, piece), SL_REASON_NO_FLOW);
	OUT(gw, .proto = 17, .vlan = BOTH, .src = INSIDE, .dst = NET, .sport = 1, .dport = 2,
	    PKT_TEXT("x"));
	expect(send_spec(gw, UPLINK, piece), SL_REASON_SUBNET_ALLOWED);
	inproc_push(gw, "sandboxes: [{vlan: 104, policy: {allow: [good.example]}}]");
	expect(send_spec(gw, UPLINK, piece), SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/*
 * Fragments are limited by the number of flows that are searched for them, so that they cannot
 * occupy a worker.
 */
static void fragments_cost_no_more_where_there_are_more_flows(void **state)
{
	const unsigned flows = 5000, fragments = 1000;
	struct inproc *gw = inproc_create_with(
	        &(struct inproc_options){.policy = POLICY, .config = CONFIG, .relaxed = true});
	uint64_t walks;

	for (unsigned i = 0; i < flows; i++) {
		OUT(gw, .proto = 17, .vlan = ALL, V4, .sport = (uint16_t)(1000 + i), .dport = 2,
		    PKT_TEXT("x"));
		inproc_clear(gw);
	}
	for (unsigned i = 0; i < fragments; i++) {
		inproc_pass_us(gw, 1000000 / fragments);
		IN(gw, .proto = 17, .vlan = ALL, .src = NET, .dst = INSIDE, .frag = PKT_SET(0x2000),
		   PKT_TEXT("12345678"));
	}
	walks = count_of(gw, SL_REASON_NO_FLOW);
	assert_int_equal(walks + count_of(gw, SL_REASON_RATE_LIMIT), fragments);
	assert_in_range(walks * flows, 100000, 1100000);
	inproc_free(gw);
}

/* A later policy also cuts flows that fragments opened. */
static void fragment_flow_is_cut_by_a_later_policy(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet_spec piece = {
	        .proto = 17, .vlan = ALL, V4, .frag = PKT_SET(0x2000), PKT_TEXT("12345678")};

	expect(send_spec(gw, SANDBOX, piece), SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_stats(gw, 0)->flows, 1);
	inproc_push(gw, "sandboxes: [{vlan: 101, policy: {allow: ['*']}}]");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	expect(send_spec(gw, SANDBOX, piece), SL_REASON_FRAGMENT);
	inproc_free(gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(fragment_under_rule_three_is_refused),
	        TEST(fragment_to_an_open_address_leaves),
	        TEST(fragment_from_the_uplink_needs_a_live_flow),
	        TEST(fragments_cost_no_more_where_there_are_more_flows),
	        TEST(fragment_flow_is_cut_by_a_later_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
