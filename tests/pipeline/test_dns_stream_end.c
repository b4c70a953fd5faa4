/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_stream_end.c: DNS over TCP: answers, the end of connections, and later policies.
 */
#include "dns_stream_scene.h"

/* ---- the end of connections ---- */

static void fin_ends_a_connection_in_order(void **state)
{
	struct inproc_tcp tcp;
	struct bytes q = query(1, NAME, DNS_A);
	struct inproc *gw = asked(&tcp, &q);

	expect(send_bare(gw, &tcp, true, TCP_FIN | TCP_ACK), SL_REASON_DNS_ALLOWED);
	assert_true(lab_last(gw, SL_PORT_UPLINK)->flags & TCP_FIN);
	tcp.client_seq++;
	/* the answer still comes */
	expect_answered(gw, &tcp, &q, A1);
	expect(send_bare(gw, &tcp, false, TCP_FIN | TCP_ACK), SL_REASON_DNS_ALLOWED);
	tcp.server_seq++;
	expect(send_bare(gw, &tcp, true, TCP_ACK), SL_REASON_DNS_ALLOWED);
	expect(send_bare(gw, &tcp, false, TCP_ACK), SL_REASON_DNS_ALLOWED);
	inproc_advance_s(gw, 11);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

static void fin_with_the_query_follows_it(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A);
	const struct packet_view *view;

	expect(say_at(gw, &tcp, 0, q.b, q.len, TCP_FIN | TCP_PSH), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 2);
	view = lab_last(gw, SL_PORT_UPLINK);
	assert_int_equal(view->flags, TCP_FIN | TCP_ACK);
	assert_int_equal(view->seq, tcp.client_seq + q.len);
	assert_int_equal(view->payload_len, 0);
	/* nothing may follow it */
	expect(say_at(gw, &tcp, (uint32_t)q.len, "more", 4, 0), SL_REASON_STREAM_CONFLICT);
	/* the same again passes again */
	expect(say_at(gw, &tcp, 0, q.b, q.len, TCP_FIN | TCP_PSH), SL_REASON_DNS_ALLOWED);
	assert_true(lab_last(gw, SL_PORT_UPLINK)->flags & TCP_FIN);
	inproc_free(gw);
}

static void fin_while_bytes_are_on_hold_waits(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A);

	expect(inproc_tcp_client(gw, &tcp, q.b, 20), SL_REASON_NONE);
	expect(send_bare(gw, &tcp, true, TCP_FIN | TCP_ACK), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	inproc_free(gw);
}

static void reset_of_either_side_ends_the_flow(void **state)
{
	for (int client = 0; client < 2; client++) {
		struct inproc_tcp tcp;
		struct inproc *gw = connected(&tcp);

		expect(send_bare(gw, &tcp, client, TCP_RST | TCP_ACK), SL_REASON_DNS_ALLOWED);
		expect_reset(gw, client ? SL_PORT_UPLINK : SL_PORT_SANDBOX);
		assert_int_equal(inproc_stats(gw, 0)->flows, 0);
		assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
		inproc_free(gw);
	}
}

static void idle_connection_is_forgotten(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A);

	inproc_advance_s(gw, 9);
	expect_said(gw, &tcp, &q);
	inproc_advance_s(gw, 13);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	expect(say(gw, &tcp, &q), SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/* ---- answers ---- */

static void answer_pins_before_it_is_whole_at_the_sandbox(void **state)
{
	struct inproc_tcp tcp;
	struct bytes q = query(1, NAME, DNS_A), a;
	struct inproc *gw = asked(&tcp, &q);

	a = answer(&q, A1);
	for (size_t i = 0; i < a.len; i++) {
		assert_int_equal(inproc_stats(gw, 0)->pins, 0);
		expect(inproc_tcp_server(gw, &tcp, a.b + i, 1), SL_REASON_DNS_ALLOWED);
	}
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	assert_int_not_equal(lab_connect(gw, A1), SL_REASON_ADDRESS_NOT_PINNED);
	inproc_free(gw);
}

static void answer_before_its_turn_is_dropped(void **state)
{
	struct inproc_tcp tcp;
	struct bytes q = query(1, NAME, DNS_A), a;
	struct inproc *gw = asked(&tcp, &q);

	a = answer(&q, A1);
	tcp.server_seq += 10;
	expect(inproc_tcp_server(gw, &tcp, a.b + 10, a.len - 10), SL_REASON_NO_FLOW);
	tcp.server_seq -= (uint32_t)a.len;
	expect(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	/* the server's own repetition passes and changes nothing */
	tcp.server_seq -= (uint32_t)a.len;
	expect(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	inproc_free(gw);
}

static void answers_nobody_asked_for_pin_nothing(void **state)
{
	struct inproc_tcp tcp;
	struct bytes q = query(1, NAME, DNS_A), other = query(1, "x.example.org", DNS_A);
	struct inproc *gw = asked(&tcp, &q);

	expect_answered(gw, &tcp, &other, A1);
	assert_int_equal(inproc_stats(gw, 0)->pins, 0);
	expect_answered(gw, &tcp, &q, A1);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	expect_answered(gw, &tcp, &q, "198.51.100.2");
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	inproc_free(gw);
}

static void answer_of_sixty_kilobytes_is_read(void **state)
{
	struct inproc_tcp tcp;
	struct bytes q = query(1, NAME, DNS_A);
	struct inproc *gw = asked(&tcp, &q);
	static uint8_t stream[70000];
	size_t len;

	lab_answer_to(q.b + 2, 0);
	while (lab_msg.len < 60000)
		dns_record(&lab_msg, DNS_ANSWER, "@12", DNS_TXT, 60, "\15thirteen byte", 14);
	dns_address(&lab_msg, DNS_ANSWER, "@12", A1, 60);
	len = lab_msg.len + 2;
	stream[0] = (uint8_t)(lab_msg.len >> 8);
	stream[1] = (uint8_t)lab_msg.len;
	memcpy(stream + 2, lab_msg.bytes, lab_msg.len);
	for (size_t at = 0; at < len; at += 1400)
		assert_int_equal(
		        inproc_tcp_server(gw, &tcp, stream + at, len - at < 1400 ? len - at : 1400),
		        SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	inproc_advance_s(gw, 12);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

static void answers_without_memory_pass_and_pin_nothing(void **state)
{
	struct inproc *gw = lab_create(LAB_POLICY, LAB_CONFIG
	                               "limits: {flows: 1024, held-bytes-per-sandbox: 4096}\n");
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, NAME, DNS_A), a = {0};

	establish(gw, &tcp);
	expect_said(gw, &tcp, &q);
	lab_answer_to(q.b + 2, 0);
	while (lab_msg.len < 3900)
		dns_record(&lab_msg, DNS_ANSWER, "@12", DNS_TXT, 60, "\15thirteen byte", 14);
	dns_address(&lab_msg, DNS_ANSWER, "@12", A1, 60);
	append(&a);
	expect(inproc_tcp_server(gw, &tcp, a.b, 1400), SL_REASON_DNS_ALLOWED);
	expect(inproc_tcp_server(gw, &tcp, a.b + 1400, 1400), SL_REASON_DNS_ALLOWED);
	expect(inproc_tcp_server(gw, &tcp, a.b + 2800, a.len - 2800), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 0);
	/* and the next one is read again */
	q = query(2, NAME, DNS_A);
	expect_said(gw, &tcp, &q);
	expect_answered(gw, &tcp, &q, A1);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	inproc_free(gw);
}

static void queries_beyond_the_limit_wait_for_answers(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, LAB_CONFIG "limits: {dns-queries-per-sandbox: 64}\n");
	struct inproc_tcp tcp = CONNECTION;
	struct bytes first = query(0, NAME, DNS_A);

	establish(gw, &tcp);
	expect_said(gw, &tcp, &first);
	for (uint16_t id = 1; id < 64; id++) {
		struct bytes q = query(id, NAME, DNS_A);

		expect_said(gw, &tcp, &q);
	}
	struct bytes last = query(64, NAME, DNS_A);
	inproc_advance_s(gw,
	                 0.5); /* it may ask again, but the limit of waiting queries is reached */
	expect(say(gw, &tcp, &last), SL_REASON_NONE);
	assert_int_equal(inproc_held(gw), 1);
	tcp.client_seq -= (uint32_t)last.len; /* the server has not seen it */
	expect_answered(gw, &tcp, &first, NULL);
	assert_int_equal(inproc_held(gw), 0);
	assert_memory_equal(lab_last(gw, SL_PORT_UPLINK)->payload, last.b, last.len);
	inproc_free(gw);
}

/* ---- later policies ---- */

static void policy_that_forbids_the_name_stops_the_next_query(void **state)
{
	struct inproc_tcp tcp;
	struct bytes q = query(1, "x.example.org", DNS_A);
	struct inproc *gw = asked(&tcp, &q);

	assert_true(inproc_push(gw, "sandboxes: [{vlan: 101, name: box, policy: {allow: "
	                            "[www.example.com]}}]") != 0);
	/* the answer's bytes are the stream's, but they pin nothing */
	expect_answered(gw, &tcp, &q, A1);
	assert_int_equal(inproc_stats(gw, 0)->pins, 0);
	expect(say(gw, &tcp, &q), SL_REASON_DNS_NAME_NOT_ALLOWED);
	inproc_free(gw);
}

static void policy_deny_all_cuts(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A);

	expect(inproc_tcp_client(gw, &tcp, q.b, 20), SL_REASON_NONE);
	assert_true(inproc_push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]") != 0);
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(inproc_reason(gw, SL_REASON_POLICY_CHANGED), 1);
	expect_reset(gw, SL_PORT_UPLINK);
	expect_reset(gw, SL_PORT_SANDBOX);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

#define OPEN "sandboxes: [{vlan: 101, name: box, policy: {subnets: {allow: [203.0.113.0/24]}}}]"

static void policy_that_opens_the_resolver_lets_go(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A);
	uint32_t start;

	start = tcp.client_seq;
	expect(inproc_tcp_client(gw, &tcp, q.b, 20), SL_REASON_NONE);
	assert_true(inproc_push(gw, OPEN) != 0);
	expect(inproc_tcp_client(gw, &tcp, q.b + 20, q.len - 20), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_held(gw), 0);
	expect_left(gw, start, &q);
	expect(inproc_tcp_client(gw, &tcp, "no DNS", 6), SL_REASON_SUBNET_ALLOWED);
	expect(server_acks(gw, &tcp), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

/* A padded query that was lost leaves padded again, whatever the policy is by then. */
static void policy_that_opens_the_resolver_mixes_no_query(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes padded, q = query_with_secret(7, &padded);
	uint32_t start;

	start = tcp.client_seq;
	expect_said(gw, &tcp, &q);
	assert_true(inproc_push(gw, OPEN) != 0);
	inproc_clear(gw);
	expect(say_at(gw, &tcp, (uint32_t)-q.len, q.b, q.len, 0), SL_REASON_DNS_ALLOWED);
	expect_left(gw, start, &padded);
	/* and a part of it with what follows it */
	inproc_clear(gw);
	memcpy(q.b + q.len, "no DNS", 6);
	expect(say_at(gw, &tcp, (uint32_t)-20, q.b + q.len - 20, 26, 0), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->payload_len, 20);
	expect(send_bare(gw, &tcp, false, TCP_ACK), SL_REASON_SUBNET_ALLOWED);
	expect(inproc_tcp_client(gw, &tcp, "no DNS", 6), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

/* If messages pass that were not judged, the connection has no name any more. */
static void policy_that_locks_again_cuts_what_it_opened(void **state)
{
	for (int acked = 0; acked < 2; acked++) {
		struct inproc_tcp tcp;
		struct bytes q = query(1, NAME, DNS_A);
		struct inproc *gw = asked(&tcp, &q);

		assert_true(inproc_push(gw, OPEN) != 0);
		if (acked)
			server_acks(gw, &tcp);
		expect(inproc_tcp_client(gw, &tcp, "no DNS", 6), SL_REASON_SUBNET_ALLOWED);
		inproc_clear(gw);
		assert_true(inproc_push(gw, LAB_POLICY) != 0);
		inproc_advance_s(gw, 1);
		expect_reset(gw, SL_PORT_UPLINK);
		expect_reset(gw, SL_PORT_SANDBOX);
		expect(say(gw, &tcp, &q), SL_REASON_POLICY_CHANGED);
		assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
		inproc_free(gw);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(fin_ends_a_connection_in_order),
	        cmocka_unit_test(fin_with_the_query_follows_it),
	        cmocka_unit_test(fin_while_bytes_are_on_hold_waits),
	        cmocka_unit_test(reset_of_either_side_ends_the_flow),
	        cmocka_unit_test(idle_connection_is_forgotten),
	        cmocka_unit_test(answer_pins_before_it_is_whole_at_the_sandbox),
	        cmocka_unit_test(answer_before_its_turn_is_dropped),
	        cmocka_unit_test(answers_nobody_asked_for_pin_nothing),
	        cmocka_unit_test(answer_of_sixty_kilobytes_is_read),
	        cmocka_unit_test(answers_without_memory_pass_and_pin_nothing),
	        cmocka_unit_test(queries_beyond_the_limit_wait_for_answers),
	        cmocka_unit_test(policy_that_forbids_the_name_stops_the_next_query),
	        cmocka_unit_test(policy_deny_all_cuts),
	        cmocka_unit_test(policy_that_opens_the_resolver_lets_go),
	        cmocka_unit_test(policy_that_opens_the_resolver_mixes_no_query),
	        cmocka_unit_test(policy_that_locks_again_cuts_what_it_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
