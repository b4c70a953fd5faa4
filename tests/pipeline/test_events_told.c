/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_events_told.c: which events are told, and how many (spec section 7).
 */
#include "flow_scene.h"

/* "one per flow decision": not one for each packet of the flow. */
static void event_is_one_for_each_flow(void **state)
{
	struct inproc *gw = gateway(POLICY);
	const struct sl_event *event;

	for (int i = 0; i < 5; i++)
		udp_to(gw, ALL, PUBLIC6);
	assert_int_equal(inproc_event_count(gw), 1);
	event = last_event(gw, true, SL_REASON_ALLOW_ALL);
	assert_int_equal(event->time_us, inproc_now_us(gw));
	assert_int_equal(event->vlan, ALL);
	assert_int_equal(event->proto, 17);
	assert_int_equal(event->sport, 5000);
	assert_int_equal(event->dport, 6000);
	assert_int_equal(event->has_ports, 2);
	assert_int_equal(event->via, SL_VIA_NONE);
	assert_int_equal(event->name_len, 0);
	assert_true(sl_addr_equal(&event->src, &(struct sl_addr){SL_FAMILY_6, {0xfd, [15] = 2}}));
	assert_string_equal(event->sandbox, "all");
	inproc_free(gw);
}

/* "src is the sandbox's side; ICMP's sport is its id"; what is not known is null. */
static void event_fields_are_of_the_sandboxs_side(void **state)
{
	struct inproc *gw = gateway(POLICY);
	const struct sl_event *event;
	struct sl_addr inside = packet_addr(INSIDE), outside = packet_addr(PUBLIC);

	OUT(gw, .proto = 1, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .icmp_type = 8,
	    .icmp_rest = 0x12345678);
	event = inproc_event_last(gw);
	assert_int_equal(event->sport, 0x1234);
	assert_int_equal(event->has_ports, 1);
	IN(gw, .proto = 17, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 53, .dport = 999,
	   PKT_TEXT("x"));
	event = last_event(gw, false, SL_REASON_NO_FLOW);
	assert_true(sl_addr_equal(&event->src, &inside));
	assert_true(sl_addr_equal(&event->dst, &outside));
	assert_int_equal(event->sport, 999);
	assert_int_equal(event->dport, 53);
	OUT(gw, .proto = 47, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, PKT_TEXT("x"));
	event = last_event(gw, true, SL_REASON_ALLOW_ALL);
	assert_int_equal(event->proto, 47);
	assert_int_equal(event->has_ports, 0);
	OUT(gw, .vlan = ALL, .type = PKT_SET(0x88cc), .inner = "0207040011223344");
	event = last_event(gw, false, SL_REASON_PROTOCOL_NOT_ALLOWED);
	assert_int_equal(event->proto, -1);
	assert_int_equal(event->src.family, SL_FAMILY_NONE);
	assert_int_equal(event->has_ports, 0);
	udp_to(gw, 999, PUBLIC);
	event = last_event(gw, false, SL_REASON_UNKNOWN_SANDBOX);
	assert_int_equal(event->vlan, 999);
	assert_string_equal(event->sandbox, "");
	inproc_free(gw);
}

/* "per refused packet that belongs to no flow (rate limited) ... The first denial of each (sandbox,
 * reason, name) is never lost to rate limiting; what is suppressed is counted." */
static void event_of_a_first_denial_is_never_lost(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint64_t suppressed;

	for (int i = 0; i < 500; i++)
		udp_to(gw, NETS, PUBLIC);
	assert_int_equal(inproc_event_count(gw), 101);
	suppressed = inproc_stats(gw, 0)->events_suppressed;
	assert_int_equal(suppressed, 399);
	inproc_clear(gw);
	udp_to(gw, NETS, "203.0.113.200");
	last_event(gw, false, SL_REASON_SUBNET_DENIED);
	OUT(gw, .proto = 1, .vlan = NETS, .src = "9.9.9.9", .dst = PUBLIC, .icmp_type = 8);
	last_event(gw, false, SL_REASON_SOURCE_SPOOFED);
	udp_to(gw, NETS, "203.0.113.201");
	assert_int_equal(inproc_event_count(gw), 2);
	udp_to(gw, NONE, PUBLIC);
	last_event(gw, false, SL_REASON_DENY_ALL);
	inproc_free(gw);
}

/* "1,000 of flow decisions a second": what is over it is counted, and told once a second. */
static void events_of_flows_are_bounded_and_told(void **state)
{
	struct inproc *gw = gateway(POLICY);
	const struct sl_event *event;

	for (uint16_t i = 0; i < 1500; i++)
		expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = PUBLIC,
		           .sport = (uint16_t)(1000 + i), .dport = 9, PKT_TEXT("x")),
		       SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_event_count(gw), 1000);
	/* what others do is not hidden, nor is the first denial here */
	udp_to(gw, NETS, PUBLIC);
	assert_int_equal(last_event(gw, false, SL_REASON_ADDRESS_NOT_ALLOWED)->vlan, NETS);
	OUT(gw, .proto = 1, .vlan = ALL, .src = "9.9.9.9", .dst = PUBLIC, .icmp_type = 8);
	assert_int_equal(last_event(gw, false, SL_REASON_SOURCE_SPOOFED)->vlan, ALL);
	inproc_clear(gw);
	inproc_advance_s(gw, 1.1);
	assert_int_equal(inproc_event_count(gw), 1);
	event = inproc_event_last(gw);
	assert_int_equal(event->kind, SL_EVENT_SUPPRESSED);
	assert_int_equal(event->count, 500);
	assert_int_equal(event->vlan, ALL);
	expect((enum sl_reason)event->reason, SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 5);
	assert_int_equal(inproc_event_count(gw), 1);
	inproc_free(gw);
}

/* A sandbox that asks for endless names writes 1,000 new ones a minute, and the usual hundred. */
static void events_of_endless_names_are_bounded(void **state)
{
	struct inproc *gw = gateway("sandboxes: [{vlan: 101, policy: {allow: [good.example]}}]");
	const struct sl_event *event;
	struct hello hello;

	for (int i = 0; i < 2500; i++) {
		struct conn c = conn_to(gw, 101, PUBLIC);
		char name[32];

		snprintf(name, sizeof(name), "n%d.example", i);
		handshake(&c);
		hello_for(&hello, name);
		expect(client(&c, 0, hello.bytes, hello.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	}
	assert_true(inproc_event_count(gw) >= 1000 && inproc_event_count(gw) <= 2001);
	inproc_clear(gw);
	inproc_advance_s(gw, 1.1);
	event = inproc_event_last(gw);
	assert_int_equal(event->kind, SL_EVENT_SUPPRESSED);
	expect((enum sl_reason)event->reason, SL_REASON_DOMAIN_NOT_ALLOWED);
	assert_true(event->count >= 499);
	inproc_free(gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(event_is_one_for_each_flow),
	        TEST(event_fields_are_of_the_sandboxs_side),
	        TEST(event_of_a_first_denial_is_never_lost),
	        TEST(events_of_flows_are_bounded_and_told),
	        TEST(events_of_endless_names_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
