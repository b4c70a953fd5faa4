/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sweep.c: what a push does to existing state, without a packet: idle flows, however many,
 * and the state of a sandbox whose VLAN another one gets.
 */
#include "dns_build.h"
#include "quic_scene.h"

#define TURN_US    100 /* as long as an idle worker may sleep between two turns */
#define SANDBOXES  20
#define FLOWS_EACH 50000
#define FLOWS      (SANDBOXES * FLOWS_EACH)
#define FIRST_PORT 1000

static char *policy_of(char text[8192], const char *mode)
{
	size_t n = (size_t)snprintf(text, 8192, "sandboxes:\n");

	for (unsigned vlan = 1; vlan <= SANDBOXES; vlan++)
		n += (size_t)snprintf(text + n, 8192 - n, "  - {vlan: %u, policy: %s}\n", vlan,
		                      mode);
	return text;
}

/* Every second flow is TCP, the others UDP. */
static void open_flows(struct inproc *gw, uint16_t vlan)
{
	for (unsigned i = 0; i < FLOWS_EACH; i++) {
		OUT(gw, .proto = i % 2 == 0 ? 6 : 17, .vlan = vlan, .src = "10.0.0.2",
		    .dst = "198.51.100.10", .sport = (uint16_t)(FIRST_PORT + i), .dport = 80,
		    .flags = TCP_SYN);
		if (i % 1000 == 0)
			inproc_clear(gw);
	}
	inproc_clear(gw);
}

/* Turns without a packet, until nothing is left to judge again. Returns how long by the clock. */
static uint64_t sweep(struct inproc *gw, uint64_t made[SL_PORT_COUNT])
{
	uint64_t began = inproc_now_us(gw);

	while (!sl_worker_settled(inproc_worker(gw, 0))) {
		inproc_pass_us(gw, TURN_US);
		assert_int_equal(sl_worker_turn(inproc_worker(gw, 0)), 0);
		for (int port = 0; port < SL_PORT_COUNT; port++)
			made[port] += inproc_count(gw, (enum sl_port_id)port);
		inproc_clear(gw);
		assert_true(inproc_now_us(gw) - began <= 1000000);
	}
	return inproc_now_us(gw) - began;
}

/* "Idle flows are swept and judged again within 1 s without a packet": also a million of them. */
static void million_idle_flows_are_cut_within_a_second(void **state)
{
	char text[8192];
	uint64_t made[SL_PORT_COUNT] = {0}, took_us;
	struct inproc *gw = inproc_create_with(&(struct inproc_options){
	        .policy = policy_of(text, "allow-all"),
	        .config = CONFIG "limits: {flows: 1048576, flows-per-sandbox: 65536}\n",
	        .checksums_full = true,
	        .relaxed = true});

	(void)state;
	for (uint16_t vlan = 1; vlan <= SANDBOXES; vlan++)
		open_flows(gw, vlan);
	assert_int_equal(inproc_stats(gw, 0)->flows, FLOWS);

	/* the address stays allowed: nothing is cut, and all of it is judged again */
	assert_int_not_equal(
	        inproc_push(gw, policy_of(text, "{subnets: {allow: [198.51.100.0/24]}}")), 0);
	took_us = sweep(gw, made);
	assert_int_equal(inproc_stats(gw, 0)->flows_cut, 0);
	assert_int_equal(made[UPLINK] + made[SANDBOX], 0);

	assert_int_not_equal(inproc_push(gw, policy_of(text, "deny-all")), 0);
	took_us = sweep(gw, made);
	assert_int_equal(inproc_stats(gw, 0)->flows_cut, FLOWS);
	/* TCP: a reset to either end; the rest: ICMP to the sandbox */
	assert_int_equal(made[UPLINK], FLOWS / 2);
	assert_int_equal(made[SANDBOX], FLOWS);
	print_message("%u flows in %llu ms of turns %u us apart\n", FLOWS,
	              (unsigned long long)took_us / 1000, TURN_US);
	inproc_check(gw);
	inproc_free(gw);
}

/* ---- nothing is inherited ---- */

#define OLD "sandboxes: [{vlan: 101, name: old, policy: {allow: [good.example]}}]"
#define NEW "sandboxes: [{vlan: 101, name: new, policy: {allow: [good.example]}}]"

static uint64_t held_bytes(struct inproc *gw)
{
	return inproc_stats(gw, 0)->hold_bytes;
}

/* A connection of the old sandbox, with the first half of a hello on hold. */
static struct conn half_a_hello(struct hello *hello)
{
	struct conn c = conn_of(gateway(OLD));

	hello_for(hello, ALLOWED);
	handshake(&c);
	client(&c, 0, hello->bytes, hello->len / 2);
	return c;
}

/* The first half of a hello is the old sandbox's; the new one cannot complete it. */
static void hello_on_hold_is_not_inherited(void **state)
{
	struct hello hello;
	struct conn c = half_a_hello(&hello);
	struct inproc *gw = c.gw;

	(void)state;
	assert_int_equal(inproc_held(gw), 1);
	assert_int_not_equal(held_bytes(gw), 0);
	assert_int_not_equal(inproc_push(gw, NEW), 0);
	assert_false(
	        sl_reason_allows(client(&c, (int64_t)hello.len / 2, hello.bytes + hello.len / 2,
	                                hello.len - hello.len / 2)));
	inproc_advance_s(gw, 1);
	expect_server_sees_nothing(&c);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(held_bytes(gw), 0);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

/* One gateway for both, in which the old one's first datagram is on hold; *rest completes it. */
static struct inproc *gateway_with_quic_on_hold(struct quic *q, struct datagram *rest)
{
	struct inproc *gw = gateway(OLD);
	struct datagram first;

	*q = quic_for(gw, ALLOWED);
	first = initial_of(q, 0, q->hello_len / 2);
	*rest = initial_of(q, q->hello_len / 2, q->hello_len);
	expect_held(q, &first);
	assert_int_not_equal(held_bytes(gw), 0);
	return gw;
}

static void expect_nothing_of_quic(const struct quic *q)
{
	assert_int_equal(left(q), 0);
	assert_int_equal(inproc_held(q->gw), 0);
	assert_int_equal(held_bytes(q->gw), 0);
}

/* The rest of the old one's Initials, from the same ports and to the same connection ID. */
static void quic_on_hold_is_not_inherited(void **state)
{
	struct datagram rest;
	struct quic q;
	struct inproc *gw = gateway_with_quic_on_hold(&q, &rest);

	(void)state;
	assert_int_not_equal(inproc_push(gw, NEW), 0);
	/* it is a beginning like any other: on hold, and of its own first half there is nothing */
	up(&q, &rest);
	assert_int_equal(left(&q), 0);
	inproc_advance_s(gw, 20);
	expect_nothing_of_quic(&q);
	/* the new one has its own connection, and the old one's datagram is not among it */
	q = quic_for(gw, ALLOWED);
	expect_hello_passes(&q);
	assert_int_equal(left(&q), 1);
	inproc_free(gw);
}

/* As above, but no more packets are sent: the sweep frees the hold. */
static void quic_hold_of_a_sandbox_that_is_replaced_is_given_back(void **state)
{
	static const char *const after[] = {NEW, "sandboxes: []"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct datagram rest;
		struct quic q;
		struct inproc *gw = gateway_with_quic_on_hold(&q, &rest);

		row(after[i]);
		assert_int_not_equal(inproc_push(gw, after[i]), 0);
		inproc_advance_us(gw, 100000); /* long before the hold's own end */
		expect_nothing_of_quic(&q);
		inproc_free(gw);
	}
}

/* As above, but no more packets are sent: the sweep frees the hold. */
static void hold_of_a_sandbox_that_is_gone_is_given_back(void **state)
{
	struct hello hello;
	struct conn c = half_a_hello(&hello);
	struct inproc *gw = c.gw;

	(void)state;
	assert_int_not_equal(inproc_push(gw, "sandboxes: []"), 0);
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(held_bytes(gw), 0);
	expect_server_sees_nothing(&c);
	inproc_advance_s(gw, 11); /* a refused connection is remembered for a while */
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

/* The answer to the old one's query is not delivered to the new one, and pins nothing for it. */
static void query_under_way_is_not_inherited(void **state)
{
	struct inproc *gw = gateway(OLD);
	struct dns_message query;

	(void)state;
	dns_begin(&query, 7, DNS_RD);
	dns_question(&query, ALLOWED, DNS_A);
	expect(OUT(gw, .proto = 17, .vlan = 101, .src = "10.0.0.2", .dst = "203.0.113.53",
	           .sport = 4000, .dport = 53, .payload = query.bytes, .payload_len = query.len),
	       SL_REASON_DNS_ALLOWED);
	assert_int_not_equal(inproc_push(gw, NEW), 0);
	inproc_clear(gw);
	query.bytes[2] |= 0x80; /* an empty answer */
	assert_false(sl_reason_allows(IN(gw, .proto = 17, .vlan = 101, .src = "203.0.113.53",
	                                 .dst = "10.0.0.2", .sport = 53, .dport = 4000,
	                                 .payload = query.bytes, .payload_len = query.len)));
	for (size_t i = 0; i < inproc_count(gw, SANDBOX); i++)
		assert_int_not_equal(inproc_frame(gw, SANDBOX, i)->view.proto, 17);
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(million_idle_flows_are_cut_within_a_second),
	        cmocka_unit_test(hello_on_hold_is_not_inherited),
	        cmocka_unit_test(hold_of_a_sandbox_that_is_gone_is_given_back),
	        cmocka_unit_test(quic_on_hold_is_not_inherited),
	        cmocka_unit_test(quic_hold_of_a_sandbox_that_is_replaced_is_given_back),
	        cmocka_unit_test(query_under_way_is_not_inherited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
