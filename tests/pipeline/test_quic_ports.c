/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quic_ports.c: QUIC connections that go on in another way: after a Retry, in another version,
 * on other ports, under another policy, at a limit.
 */
#include "wire/quic_initial.h"
#include "quic_scene.h"
#include "quic_two_keys.h"

/* ---- Retry and version negotiation ---- */

static void a_retry_is_followed_with_any_id_that_it_gives(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (size_t len = 0; len <= 20; len += 4) {
		struct quic q = quic_for(gw, ALLOWED), evil;
		struct datagram d;
		uint8_t cid[20];

		expect_hello_passes(&q);
		fresh_cid(cid, len);
		d = retry_of(&q, cid, len, false);
		expect_delivered(&q, &d);
		follow_retry(&q, cid, len);
		evil = q;
		set_hello(&evil, &(struct hello_options){.name = DENIED});
		expect_hello_refused(&evil, SL_REASON_DOMAIN_NOT_ALLOWED, true);
		expect_hello_passes(&q);
		fresh_cid(cid, 8);
		expect_answer_delivered(&q, cid, 8);
		expect_ack_passes(&q, cid);
		expect_server_hello_delivered(&q, cid);
		expect_short_passes(&q, cid);
		assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	}
	inproc_free(gw);
}

static void a_retry_that_is_not_genuine_opens_no_short_id(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d;
	uint8_t cid[4];

	expect_hello_passes(&q);
	fresh_cid(cid, 4);
	d = retry_of(&q, cid, 4, true);
	down(&q, &d);
	follow_retry(&q, cid, 4);
	expect_hello_refused(&q, SL_REASON_MALFORMED_QUIC, false);
	inproc_free(gw);
}

static void another_version_is_tried_when_the_server_asks_for_it(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d, asked = negotiation(&q, q.dcid);

	expect_hello_passes(&q);
	q.version = QUIC_V2;
	d = initial_whole(&q);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false); /* unasked, with the same ID */
	expect_delivered(&q, &asked);
	expect_passes(&q, &d);
	set_hello(&q, &(struct hello_options){.name = DENIED});
	fresh_cid(q.dcid, 8);
	expect_hello_refused(&q, SL_REASON_DOMAIN_NOT_ALLOWED, true);
	inproc_free(gw);
}

/* ---- the same connection on other ports ---- */

/*
 * A server finds a connection by its ID alone: two allowed hellos must not make up a third. So an
 * ID is the first flow's that used it: on other ports, to other addresses and from other sandboxes
 * it is refused, whole or in parts, even for the same hello.
 */
static void id_of_another_flow_is_refused(void **state)
{
	static const struct {
		const char *what, *server, *name;
		uint16_t vlan;
	} rows[] = {
	        {"another port", NULL, NULL, 101},
	        {"another port and server", "198.51.100.77", NULL, 101},
	        {"another sandbox", NULL, NULL, 102},
	        {"another name, in two datagrams", NULL, "also.example", 101},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct inproc *gw =
		        gateway("sandboxes: [{vlan: 101, policy: {allow: ['*.example']}},"
		                " {vlan: 102, policy: {allow: ['*.example']}}]");
		struct quic one = quic_for(gw, ALLOWED), two = quic_for(gw, ALLOWED);
		struct datagram d;

		row(rows[i].what);
		memcpy(two.dcid, one.dcid, 8);
		two.vlan = rows[i].vlan;
		if (rows[i].server != NULL)
			two.server = rows[i].server;
		expect_hello_passes(&one);
		if (rows[i].name != NULL) {
			struct datagram first;

			set_large_hello(&two, rows[i].name);
			cut_in_two(&two, &first, &d);
			expect_held(&two, &first);
		} else {
			d = initial_whole(&two);
		}
		inproc_clear(gw);
		expect_nothing_leaves(&two, &d, SL_REASON_MALFORMED_QUIC);
		/* the first one goes on */
		expect_hello_passes(&one);
		/* the honest twin: another ID */
		fresh_cid(two.dcid, 8);
		d = initial_whole(&two);
		expect(up(&two, &d), SL_REASON_DOMAIN_ALLOWED);
		inproc_free(gw);
	}
}

/*
 * The flow has ended, its server's connection perhaps not: no flow may use its ID for another
 * minute.
 */
static void id_of_an_ended_flow_is_refused_for_a_while(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d = initial_whole(&q);

	expect_passes(&q, &d);
	inproc_advance_s(gw, 121);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_clear(gw);
	expect_nothing_leaves(&q, &d, SL_REASON_MALFORMED_QUIC);
	inproc_advance_s(gw, 61);
	expect_passes(&q, &d);
	inproc_free(gw);
}

/* A flow that is kept alive, whose copy was freed long ago: its ID may still not be used again. */
static void id_of_an_open_flow_is_not_used_again(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid);
	struct datagram d = server_hello(&q, cid, 8);

	expect_delivered(&q, &d);
	d = short_packet(cid, 8);
	expect_passes(&q, &d);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	for (int i = 0; i < 4; i++) {
		inproc_advance_s(gw, 40);
		expect_passes(&q, &d);
	}
	d = initial_whole(&q);
	inproc_clear(gw);
	expect_nothing_leaves(&q, &d, SL_REASON_MALFORMED_QUIC);
	inproc_free(gw);
}

/* Version Negotiation that lists the version in use is ignored (RFC 9000 6.2). */
static void negotiation_with_our_version_is_not_believed(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram asked = negotiation(&q, q.dcid);

	expect_hello_passes(&q);
	memcpy(asked.bytes + asked.len, "\0\0\0\1", 4);
	asked.len += 4;
	down(&q, &asked);
	q.version = QUIC_V2;
	expect_hello_refused(&q, SL_REASON_MALFORMED_QUIC, false);
	inproc_free(gw);
}

/* A flow that is kept warm outlives its pin; a connection that begins on it needs a live one. */
static void connection_on_an_old_flow_needs_a_live_pin(void **state)
{
	struct inproc *gw = gateway_with(
	        "sandboxes: [{vlan: 101, policy: {allow: [" ALLOWED "]}}]",
	        "dns: {resolvers: [203.0.113.53], pin-grace: 100}\ntimeouts: {udp: 900}\n");
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d;

	pin(gw, q.server, ALLOWED);
	d = initial_whole(&q);
	expect_passes(&q, &d);
	inproc_advance_s(gw, 350);
	expect_passes(&q, &d); /* the same connection goes on */
	fresh_cid(q.dcid, 8);
	d = initial_whole(&q);
	expect_refused(&q, &d, SL_REASON_ADDRESS_NOT_PINNED, false);
	pin(gw, q.server, ALLOWED);
	expect_passes(&q, &d);
	inproc_free(gw);
}

/* ---- policies ---- */

static void a_judged_flow_lives_as_long_as_its_name_is_allowed(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid);
	struct datagram d = short_packet(cid, 8);
	const struct packet_view *view;

	inproc_push(gw, "sandboxes: [{vlan: 101, name: box, policy: {allow: [good.example]}}]");
	inproc_advance_s(gw, 1);
	expect_passes(&q, &d);
	inproc_push(gw, "sandboxes: [{vlan: 101, name: box, policy: {allow: [also.example]}}]");
	inproc_advance_s(gw, 1);
	expect_event_name(last_event(gw, false, SL_REASON_POLICY_CHANGED), ALLOWED);
	view = &inproc_last(gw, SANDBOX)->view;
	assert_true(view->icmp_type == 3 && view->icmp_code == 13);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, true);
	inproc_free(gw);
}

/* Connections that passed while no name was needed do not outlive that policy. */
static void another_name_under_allow_all_is_cut_by_the_next_policy(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (int tricked = 0; tricked < 3; tricked++) {
		uint8_t cid[8];
		struct quic q = judged(gw, ALLOWED, cid), evil = quic_for(gw, DENIED);
		struct datagram d = short_packet(cid, 8), held;

		evil.sport = q.sport;
		if (tricked == 2) { /* on hold already when the policy changes */
			set_large_hello(&evil, DENIED);
			held = initial_of(&evil, 0, 1000);
			expect_held(&evil, &held);
		}
		inproc_push(gw, "sandboxes: [{vlan: 101}]");
		inproc_advance_s(gw, 1);
		expect(up(&q, &d), SL_REASON_ALLOW_ALL);
		assert_int_equal(inproc_held(gw), 0);
		if (tricked == 1) {
			struct datagram other = initial_whole(&evil);

			expect(up(&evil, &other), SL_REASON_ALLOW_ALL);
		}
		inproc_push(gw, POLICY);
		inproc_advance_s(gw, 1);
		if (tricked)
			expect_refused(&q, &d, SL_REASON_NOT_QUIC, true);
		else
			expect_passes(&q, &d);
	}
	inproc_free(gw);
}

/* ---- limits ---- */

/* Copies of judged hellos never take more than half the room from new ones. */
static void judged_connections_give_their_copies_up_when_it_is_crowded(void **state)
{
	struct inproc *gw =
	        gateway_with(POLICY, CONFIG "limits: {held-bytes-per-sandbox: 65536}\n");
	struct quic q;
	struct datagram d;
	uint8_t cid[8];

	for (int i = 0; i < 50; i++) {
		q = judged(gw, ALLOWED, cid);
		assert_true(inproc_stats(gw, 0)->hold_bytes <= 65536);
	}
	d = initial_whole(&q); /* it cannot be compared */
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	expect_ack_passes(&q, cid);
	inproc_free(gw);
}

static void frames_that_the_port_does_not_take_are_counted(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct datagram one, two;
	struct quic q = quic_in_two(gw, ALLOWED, &one, &two);

	expect_held(&q, &one);
	inproc_tx_room(gw, UPLINK, 1);
	expect(up(&q, &two), SL_REASON_TX_FULL);
	assert_int_equal(count_of(gw, SL_REASON_DOMAIN_ALLOWED), 1);
	assert_int_equal(count_of(gw, SL_REASON_TX_FULL), 1);
	inproc_tx_room(gw, UPLINK, -1);
	expect_passes(&q, &two); /* sent again */
	inproc_free(gw);
}

static void an_idle_flow_is_forgotten_and_judged_anew(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid);
	struct datagram d = short_packet(cid, 8);

	inproc_advance_s(gw, 110);
	expect_passes(&q, &d);
	inproc_advance_s(gw, 110);
	expect_passes(&q, &d);
	inproc_advance_s(gw, 121);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, true);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_retry_is_followed_with_any_id_that_it_gives),
	        cmocka_unit_test(a_retry_that_is_not_genuine_opens_no_short_id),
	        cmocka_unit_test(another_version_is_tried_when_the_server_asks_for_it),
	        cmocka_unit_test(id_of_another_flow_is_refused),
	        cmocka_unit_test(id_of_an_ended_flow_is_refused_for_a_while),
	        cmocka_unit_test(id_of_an_open_flow_is_not_used_again),
	        cmocka_unit_test(negotiation_with_our_version_is_not_believed),
	        cmocka_unit_test(connection_on_an_old_flow_needs_a_live_pin),
	        cmocka_unit_test(a_judged_flow_lives_as_long_as_its_name_is_allowed),
	        cmocka_unit_test(another_name_under_allow_all_is_cut_by_the_next_policy),
	        cmocka_unit_test(judged_connections_give_their_copies_up_when_it_is_crowded),
	        cmocka_unit_test(frames_that_the_port_does_not_take_are_counted),
	        cmocka_unit_test(an_idle_flow_is_forgotten_and_judged_anew),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
