/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_pins.c: pinning through the whole gateway (spec section 4): a connection under rule 3
 * goes only where DNS sent this sandbox.
 */
#include <stdio.h>

#include "dns_lab.h"
#include "hello.h"

#define A1 "198.51.100.1"
#define A2 "198.51.100.2"
#define A3 "198.51.100.3"

static const struct lab_from other_box = {102, LAB_CLIENT, LAB_RESOLVER, LAB_SPORT};

static void expect_open(struct inproc *gw, const char *address)
{
	size_t before = inproc_count(gw, SL_PORT_UPLINK);

	lab_connect(gw, address);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), before + 1);
}

static void expect_not_pinned(struct inproc *gw, const char *address)
{
	size_t before = inproc_count(gw, SL_PORT_UPLINK);

	expect(lab_connect(gw, address), SL_REASON_ADDRESS_NOT_PINNED);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), before);
}

/* Begins an answer to a query for the name. */
static void ask(struct inproc *gw, const char *name, uint16_t type)
{
	expect(lab_ask(gw, name, type), SL_REASON_DNS_ALLOWED);
	lab_answer(gw, 0);
}

/* Sends a hello for a name over a new connection and returns its reason. */
static enum sl_reason say_hello(struct inproc *gw, const char *address, const char *name)
{
	static uint16_t port = 50000;
	struct inproc_tcp tcp = {.vlan = LAB_VLAN,
	                         .client = LAB_CLIENT,
	                         .server = address,
	                         .sport = port++,
	                         .dport = 443};
	uint8_t hello[HELLO_BYTES_MAX];
	static uint8_t records[RECORDS_BYTES_MAX];
	enum sl_reason reason = inproc_tcp_open(gw, &tcp);
	size_t len;

	if (reason != SL_REASON_NONE && !sl_reason_allows(reason))
		return reason;
	len = hello_records(hello, hello_named(name, hello), 0, records);
	return inproc_tcp_client(gw, &tcp, records, len);
}

/* ---- what pins ---- */

static void pin_answer_opens_its_address(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_resolve(gw, "www.example.com", A1, 60);
	expect_open(gw, A1);
	expect_not_pinned(gw, A2);
	assert_int_equal(lab_event(gw)->reason, SL_REASON_ADDRESS_NOT_PINNED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	/* a datagram as well */
	struct packet datagram = UDP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = A2, .sport = 1,
	                             .dport = 443, PKT_TEXT("x"));
	expect(inproc_send(gw, SL_PORT_SANDBOX, &datagram), SL_REASON_ADDRESS_NOT_PINNED);
	inproc_free(gw);
}

static void pin_refusal_is_answered_at_once(void **state)
{
	struct inproc *gw = lab_gateway();

	expect_not_pinned(gw, A1);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 1);
	assert_true(lab_last(gw, SL_PORT_SANDBOX)->flags & TCP_RST);
	inproc_free(gw);
}

static void pin_aaaa_opens_its_address(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_resolve(gw, "www.example.com", "2001:db8:20::1", 60);
	expect_open(gw, "2001:db8:20::1");
	expect_not_pinned(gw, "2001:db8:20::2");
	inproc_free(gw);
}

static void pin_cname_chain_is_for_the_asked_name(void **state)
{
	struct inproc *gw = lab_gateway();

	ask(gw, "www.example.com", DNS_A);
	dns_cname(&lab_msg, DNS_ANSWER, "@12", "edge.cdn.net", 60);
	dns_cname(&lab_msg, DNS_ANSWER, "edge.cdn.net", "pop.cdn.net", 60);
	dns_address(&lab_msg, DNS_ANSWER, "pop.cdn.net", A1, 60);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	expect(say_hello(gw, A1, "www.example.com"), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(gw);
}

static void pin_additional_authority_and_strangers_open_nothing(void **state)
{
	struct inproc *gw = lab_gateway();

	ask(gw, "www.example.com", DNS_A);
	dns_address(&lab_msg, DNS_ANSWER, "@12", A1, 60);
	dns_address(&lab_msg, DNS_ANSWER, "stranger.net", A2, 60);
	dns_address(&lab_msg, DNS_AUTHORITY, "@12", A3, 60);
	dns_address(&lab_msg, DNS_ADDITIONAL, "@12", "198.51.100.4", 60);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	expect_open(gw, A1);
	expect_not_pinned(gw, A2);
	expect_not_pinned(gw, A3);
	expect_not_pinned(gw, "198.51.100.4");
	inproc_free(gw);
}

static void pin_answers_not_believed_open_nothing(void **state)
{
	struct inproc *gw = lab_gateway();

	ask(gw, "www.example.com", DNS_A);
	dns_address(&lab_msg, DNS_ANSWER, "@12", A1, 60);
	lab_msg.bytes[0] ^= 1;
	expect(lab_reply(gw), SL_REASON_NO_FLOW);
	expect_not_pinned(gw, A1);
	lab_msg.bytes[0] ^= 1;
	lab_msg.bytes[3] |= 2; /* SERVFAIL: its records mean nothing */
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	expect_not_pinned(gw, A1);
	inproc_free(gw);
}

static void pin_hints_pin_as_addresses_do(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, "dns: {resolvers: [203.0.113.53], strip-ech: false}\n");

	ask(gw, "www.example.com", DNS_HTTPS);
	dns_service(&lab_msg, DNS_HTTPS, "@12", 1, "", 60, A1 "," A2, "2001:db8:20::1");
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	expect_open(gw, A1);
	expect_open(gw, A2);
	expect_open(gw, "2001:db8:20::1");
	expect_not_pinned(gw, A3);
	inproc_free(gw);
}

static void pin_sixty_rotating_addresses_are_all_open(void **state)
{
	struct inproc *gw = lab_gateway();
	char address[16];

	for (int round = 0; round < 10; round++) {
		ask(gw, "www.example.com", DNS_A);
		for (int i = 0; i < 6; i++) {
			snprintf(address, sizeof(address), "198.51.100.%d", 1 + round * 6 + i);
			dns_address(&lab_msg, DNS_ANSWER, "@12", address, 1);
		}
		expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	}
	for (int i = 1; i <= 60; i++) {
		snprintf(address, sizeof(address), "198.51.100.%d", i);
		expect_open(gw, address);
	}
	expect_not_pinned(gw, "198.51.100.61");
	inproc_free(gw);
}

/* ---- how long ---- */

static void pin_lives_grace_where_ttl_is_less(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, "dns: {resolvers: [203.0.113.53], pin-grace: 30}\n");

	lab_resolve(gw, "www.example.com", A1, 0);
	inproc_advance_s(gw, 29.5);
	expect_open(gw, A1);
	inproc_advance_s(gw, 1);
	expect_not_pinned(gw, A1);
	/* and TTL where that is more */
	lab_resolve(gw, "www.example.com", A1, 100);
	inproc_advance_s(gw, 99);
	expect_open(gw, A1);
	inproc_advance_s(gw, 2);
	expect_not_pinned(gw, A1);
	inproc_advance_s(gw, 30);
	assert_int_equal(inproc_stats(gw, 0)->pins, 0);
	inproc_free(gw);
}

static void pin_ttl_counts_for_a_day_at_most(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, "dns: {resolvers: [203.0.113.53], pin-grace: 0}\n");

	lab_resolve(gw, "www.example.com", A1, 0x7fffffff);
	inproc_advance_s(gw, 86399);
	expect_open(gw, A1);
	inproc_advance_s(gw, 2);
	expect_not_pinned(gw, A1);
	inproc_free(gw);
}

static void pin_that_ends_leaves_open_flows_alone(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, "dns: {resolvers: [203.0.113.53], pin-grace: 1}\n");
	struct inproc_tcp tcp = {
	        .vlan = LAB_VLAN, .client = LAB_CLIENT, .server = A1, .sport = 45000, .dport = 443};
	uint8_t hello[HELLO_BYTES_MAX];
	static uint8_t records[RECORDS_BYTES_MAX];
	size_t len = hello_records(hello, hello_named("www.example.com", hello), 0, records);

	lab_resolve(gw, "www.example.com", A1, 1);
	inproc_tcp_open(gw, &tcp);
	expect(inproc_tcp_client(gw, &tcp, records, len), SL_REASON_DOMAIN_ALLOWED);
	len = hello_records(hello, hello_server(false, hello), 0, records);
	expect(inproc_tcp_server(gw, &tcp, records, len), SL_REASON_DOMAIN_ALLOWED);
	inproc_advance_s(gw, 20);
	expect_not_pinned(gw, A1);
	expect(inproc_tcp_client(gw, &tcp, "more", 4), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(gw);
}

/* ---- for which sandbox and name ---- */

static void pin_is_one_sandboxes_own(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_resolve(gw, "www.example.com", A1, 60);
	expect_open(gw, A1);
	expect(lab_connect_from(gw, &other_box, A1), SL_REASON_ADDRESS_NOT_PINNED);
	lab_resolve_from(gw, &other_box, "www.example.com", A1, 60);
	assert_int_not_equal(lab_connect_from(gw, &other_box, A1), SL_REASON_ADDRESS_NOT_PINNED);
	inproc_free(gw);
}

static void pin_of_another_name_does_not_fit_the_hello(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_resolve(gw, "www.example.com", A1, 60);
	lab_resolve(gw, "x.example.org", A2, 60);
	expect(say_hello(gw, A1, "www.example.com"), SL_REASON_DOMAIN_ALLOWED);
	expect(say_hello(gw, A1, "x.example.org"), SL_REASON_ADDRESS_NOT_PINNED);
	expect(say_hello(gw, A1, "secret.net"), SL_REASON_DOMAIN_NOT_ALLOWED);
	/* one address for both names is fine */
	lab_resolve(gw, "x.example.org", A1, 60);
	expect(say_hello(gw, A1, "x.example.org"), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(gw);
}

static void pin_gone_with_the_sandbox_is_not_inherited(void **state)
{
	const struct lab_from fresh = {LAB_VLAN, LAB_CLIENT, LAB_RESOLVER, LAB_SPORT + 1};
	struct inproc *gw = lab_gateway();

	lab_resolve(gw, "www.example.com", A1, 60);
	expect_open(gw, A1);
	assert_true(inproc_push(gw, "sandboxes: [{vlan: 102}]") != 0);
	assert_true(inproc_push(gw, LAB_POLICY) != 0);
	expect_not_pinned(gw, A1); /* before any sweep */
	/* the new sandbox's pins are its own, and the sweep keeps them */
	lab_resolve_from(gw, &fresh, "www.example.com", A2, 60);
	inproc_advance_s(gw, 1);
	expect_open(gw, A2);
	expect_not_pinned(gw, A1);
	inproc_free(gw);
}

static void pin_of_a_name_no_longer_allowed_opens_nothing(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_resolve(gw, "x.example.org", A1, 60);
	lab_resolve(gw, "www.example.com", A2, 60);
	expect_open(gw, A1);
	assert_true(inproc_push(gw, "sandboxes: [{vlan: 101, name: box, policy: {allow: "
	                            "[www.example.com]}}]") != 0);
	expect_not_pinned(gw, A1);
	expect_open(gw, A2);
	/* the name is allowed again: the pin is still live */
	assert_true(inproc_push(gw, LAB_POLICY) != 0);
	expect_open(gw, A1);
	inproc_free(gw);
}

static void pin_made_under_allow_all_serves_a_later_lockdown(void **state)
{
	struct inproc *gw = lab_create("sandboxes: [{vlan: 101}]", LAB_CONFIG);

	lab_resolve(gw, "www.example.com", A1, 60);
	lab_resolve(gw, "elsewhere.net", A2, 60);
	expect(lab_connect(gw, A3), SL_REASON_ALLOW_ALL);
	assert_true(inproc_push(gw, "sandboxes: [{vlan: 101, policy: {allow: "
	                            "[www.example.com]}}]") != 0);
	expect_open(gw, A1);
	expect_not_pinned(gw, A2);
	expect_not_pinned(gw, A3);
	inproc_free(gw);
}

static void pin_to_internal_or_protected_address_opens_nothing(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_resolve(gw, "www.example.com", "10.1.2.3", 60);
	lab_resolve(gw, "www.example.com", "169.254.169.254", 60);
	lab_resolve(gw, "www.example.com", A1, 60);
	expect(lab_connect(gw, "10.1.2.3"), SL_REASON_INTERNAL_SUBNET);
	expect(lab_connect(gw, "169.254.169.254"), SL_REASON_PROTECTED_SUBNET);
	expect_open(gw, A1);
	inproc_free(gw);
}

/* ---- when it is enforced ---- */

static void pinning_off_lets_syns_go_anywhere(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, "dns: {resolvers: [203.0.113.53], pinning: 'off'}\n");

	expect_open(gw, A1);
	lab_resolve(gw, "www.example.com", A1, 60);
	assert_int_equal(inproc_stats(gw, 0)->pins, 0);
	expect(say_hello(gw, A2, "www.example.com"), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(gw);
}

static void pinning_log_lets_go_and_tells(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, "dns: {resolvers: [203.0.113.53], pinning: log}\n");

	lab_resolve(gw, "www.example.com", A1, 60);
	inproc_clear(gw);
	expect_open(gw, A1);
	assert_int_equal(inproc_event_count(gw), 0);
	expect_open(gw, A2);
	assert_int_equal(lab_event(gw)->reason, SL_REASON_ADDRESS_NOT_PINNED);
	assert_true(lab_event(gw)->allow);
	inproc_free(gw);
}

static void pinning_does_not_bind_a_star(void **state)
{
	struct inproc *gw =
	        lab_create("sandboxes: [{vlan: 101, policy: {allow: ['*']}}]", LAB_CONFIG);

	expect_open(gw, A1);
	expect(say_hello(gw, A1, "any.name"), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(gw);
}

static void pinning_does_not_bind_allowed_subnets(void **state)
{
	struct inproc *gw = lab_create("sandboxes: [{vlan: 101, policy: {allow: [a.b], subnets: "
	                               "{allow: [198.51.100.0/31]}}}]",
	                               LAB_CONFIG);

	expect(lab_connect(gw, A1), SL_REASON_SUBNET_ALLOWED);
	expect_not_pinned(gw, A2);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(pin_answer_opens_its_address),
	        cmocka_unit_test(pin_refusal_is_answered_at_once),
	        cmocka_unit_test(pin_aaaa_opens_its_address),
	        cmocka_unit_test(pin_cname_chain_is_for_the_asked_name),
	        cmocka_unit_test(pin_additional_authority_and_strangers_open_nothing),
	        cmocka_unit_test(pin_answers_not_believed_open_nothing),
	        cmocka_unit_test(pin_hints_pin_as_addresses_do),
	        cmocka_unit_test(pin_sixty_rotating_addresses_are_all_open),
	        cmocka_unit_test(pin_lives_grace_where_ttl_is_less),
	        cmocka_unit_test(pin_ttl_counts_for_a_day_at_most),
	        cmocka_unit_test(pin_that_ends_leaves_open_flows_alone),
	        cmocka_unit_test(pin_is_one_sandboxes_own),
	        cmocka_unit_test(pin_of_another_name_does_not_fit_the_hello),
	        cmocka_unit_test(pin_gone_with_the_sandbox_is_not_inherited),
	        cmocka_unit_test(pin_of_a_name_no_longer_allowed_opens_nothing),
	        cmocka_unit_test(pin_made_under_allow_all_serves_a_later_lockdown),
	        cmocka_unit_test(pin_to_internal_or_protected_address_opens_nothing),
	        cmocka_unit_test(pinning_off_lets_syns_go_anywhere),
	        cmocka_unit_test(pinning_log_lets_go_and_tells),
	        cmocka_unit_test(pinning_does_not_bind_a_star),
	        cmocka_unit_test(pinning_does_not_bind_allowed_subnets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
