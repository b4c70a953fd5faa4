/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_stream.c: DNS over TCP: a connection opens, and each query is judged whole, however cut.
 */
#include "dns_stream_scene.h"

/* ---- opening ---- */

static void syn_leaves_clean(void **state)
{
	struct inproc *gw = lab_gateway();
	const uint8_t options[] = {2, 4, 5, 0xb4, 34, 6, 'c', 'o', 'o', 'k', 253, 4, 'x', 'y'};
	struct packet syn =
	        TCP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = LAB_RESOLVER, .sport = 41000,
	            .dport = 53, .flags = TCP_SYN, .seq = 1000, .options = options,
	            .options_len = sizeof(options), .reserved = 7, PKT_TEXT("early"));
	const struct packet_view *view;

	expect(inproc_send(gw, SL_PORT_SANDBOX, &syn), SL_REASON_DNS_ALLOWED);
	view = lab_last(gw, SL_PORT_UPLINK);
	assert_int_equal(view->flags, TCP_SYN);
	assert_int_equal(view->payload_len, 0);
	assert_false(inproc_left(gw, SL_PORT_UPLINK, "cook", 4));
	assert_false(inproc_left(gw, SL_PORT_UPLINK, "early", 5));
	expect(inproc_send(gw, SL_PORT_SANDBOX, &syn), SL_REASON_DNS_ALLOWED);
	inproc_free(gw);
}

static void payload_before_the_handshake_is_dropped(void **state)
{
	struct inproc *gw = lab_gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, NAME, DNS_A);

	tcp.client_seq = 1000;
	tcp.server_seq = 5000;
	expect(send_bare(gw, &tcp, true, TCP_SYN), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	tcp.client_seq++;
	expect(say(gw, &tcp, &q), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	inproc_free(gw);
}

static void second_syn_ack_with_another_number_is_a_conflict(void **state)
{
	struct inproc_tcp tcp, other;
	struct inproc *gw = connected(&tcp);

	other = tcp;
	other.server_seq--;
	expect(send_bare(gw, &other, false, TCP_SYN | TCP_ACK), SL_REASON_DNS_ALLOWED);
	other.server_seq++;
	expect(send_bare(gw, &other, false, TCP_SYN | TCP_ACK), SL_REASON_STREAM_CONFLICT);
	inproc_free(gw);
}

/* ---- queries ---- */

static void query_leaves_as_it_came(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(0x1234, "wWw.Example.com", DNS_A), a;
	uint32_t start;

	start = tcp.client_seq;
	expect_said(gw, &tcp, &q);
	expect_left(gw, start, &q);
	assert_true(lab_event_names(lab_event(gw), "www.example.com"));
	assert_int_equal(lab_event(gw)->reason, SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_event(gw)->via, SL_VIA_DNS);
	assert_int_equal(lab_event(gw)->proto, 6);
	a = answer(&q, A1);
	expect(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_SANDBOX)->payload_len, a.len);
	assert_memory_equal(lab_last(gw, SL_PORT_SANDBOX)->payload, a.b, a.len);
	inproc_free(gw);
}

static void query_over_ipv6_leaves(void **state)
{
	struct inproc *gw = lab_gateway();
	struct inproc_tcp tcp = {.vlan = LAB_VLAN,
	                         .client = LAB_CLIENT6,
	                         .server = LAB_RESOLVER6,
	                         .sport = 41000,
	                         .dport = 53};
	struct bytes q = query(1, NAME, DNS_AAAA);
	uint32_t start;

	establish(gw, &tcp);
	start = tcp.client_seq;
	expect_said(gw, &tcp, &q);
	expect_left(gw, start, &q);
	inproc_free(gw);
}

static void query_in_pieces_leaves_whole_or_not_at_all(void **state)
{
	for (size_t cut = 1; cut < 35; cut++) {
		struct inproc_tcp tcp;
		struct inproc *gw = connected(&tcp);
		struct bytes q = query(1, NAME, DNS_A);
		uint32_t start;

		start = tcp.client_seq;
		expect(inproc_tcp_client(gw, &tcp, q.b, cut), SL_REASON_NONE);
		assert_int_equal(inproc_held(gw), 1);
		assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
		expect(inproc_tcp_client(gw, &tcp, q.b + cut, q.len - cut), SL_REASON_DNS_ALLOWED);
		assert_int_equal(inproc_held(gw), 0);
		expect_left(gw, start, &q);
		inproc_free(gw);
	}
}

static void query_in_single_bytes_reversed_and_repeated_leaves(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A);

	for (size_t i = q.len - 1; i > 0; i--) {
		expect(say_at(gw, &tcp, (uint32_t)i, q.b + i, 1, 0), SL_REASON_NONE);
		expect(say_at(gw, &tcp, (uint32_t)i, q.b + i, 1, 0), SL_REASON_DUPLICATE);
	}
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	expect(say_at(gw, &tcp, 0, q.b, 1, 0), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_held(gw), 0);
	expect_left(gw, tcp.client_seq, &q);
	inproc_free(gw);
}

static void queries_pipelined_are_judged_one_by_one(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes all = {0};
	uint32_t start;
	char name[32];

	start = tcp.client_seq;
	for (uint16_t i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%u.example.org", i);
		lab_query(i, name, DNS_A);
		append(&all);
	}
	/* cut anywhere, not at messages */
	for (size_t at = 0; at < all.len; at += 13)
		inproc_tcp_client(gw, &tcp, all.b + at, all.len - at < 13 ? all.len - at : 13);
	assert_int_equal(inproc_held(gw), 0);
	expect_left(gw, start, &all);
	assert_int_equal(inproc_event_count(gw), 20);
	assert_true(lab_event_names(lab_event(gw), "n19.example.org"));
	inproc_free(gw);
}

static void query_refused_is_answered_and_ends_both_ways(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes good = query(1, NAME, DNS_A), bad = query(2, DENIED, DNS_A), a;
	const struct packet_view *view;

	expect_said(gw, &tcp, &good);
	a = answer(&good, A1);
	expect(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	expect(say(gw, &tcp, &bad), SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_false(inproc_left(gw, SL_PORT_UPLINK, "secret", 6));
	/* the answer, where the client expects it, and the end */
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 1);
	view = lab_last(gw, SL_PORT_SANDBOX);
	assert_int_equal(view->seq, tcp.server_seq);
	assert_int_equal(view->ack, tcp.client_seq);
	assert_int_equal(view->flags, TCP_ACK | TCP_PSH | TCP_FIN);
	assert_int_equal(lab_get16(view->payload), view->payload_len - 2);
	assert_int_equal(lab_get16(view->payload + 2), 2);
	assert_int_equal(lab_get16(view->payload + 4), DNS_QR | DNS_RD | DNS_RA | 3);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
	expect_reset(gw, SL_PORT_UPLINK);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->seq, tcp.client_seq - (uint32_t)bad.len);
	assert_int_equal(lab_event(gw)->reason, SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_true(lab_event_names(lab_event(gw), DENIED));
	/* nothing more passes, either way */
	expect(say(gw, &tcp, &good), SL_REASON_DNS_NAME_NOT_ALLOWED);
	expect(hear(gw, &tcp, &a), SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_int_equal(inproc_held(gw), 0);
	inproc_free(gw);
}

static void query_refused_behind_an_allowed_one_in_one_segment(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes both = query(1, NAME, DNS_A), first = both;
	uint32_t start;

	start = tcp.client_seq;
	lab_query(2, DENIED, DNS_A);
	append(&both);
	expect(say(gw, &tcp, &both), SL_REASON_DNS_NAME_NOT_ALLOWED);
	expect_left(gw, start, &first);
	expect_reset(gw, SL_PORT_UPLINK);
	assert_int_equal(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload + 2), 2);
	assert_int_equal(inproc_held(gw), 0);
	inproc_free(gw);
}

static void query_malformed_ends_both_ways(void **state)
{
	static const char *const kinds[] = {"short", "long", "text", "two questions", "options"};

	for (size_t k = 0; k < COUNT(kinds); k++) {
		struct inproc_tcp tcp;
		struct inproc *gw = connected(&tcp);
		struct bytes q = {0};
		static const uint8_t much[300] = {0, 12, 1, 40};

		row(kinds[k]);
		lab_query(1, NAME, DNS_A);
		if (!strcmp(kinds[k], "two questions"))
			dns_question(&lab_msg, DENIED, DNS_A);
		else if (!strcmp(kinds[k], "options"))
			dns_opt(&lab_msg, 1232, 0, much, sizeof(much));
		append(&q);
		if (!strcmp(kinds[k], "short"))
			q.b[1] = 11;
		else if (!strcmp(kinds[k], "long"))
			q.b[0] = 0xff;
		else if (!strcmp(kinds[k], "text"))
			memcpy(q.b, "\0\20GET / HTTP/1.1\r\n", 18);
		expect(say(gw, &tcp, &q), SL_REASON_MALFORMED_DNS);
		assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
		expect_reset(gw, SL_PORT_UPLINK);
		expect_reset(gw, SL_PORT_SANDBOX);
		assert_int_equal(lab_last(gw, SL_PORT_SANDBOX)->payload_len, 0);
		inproc_free(gw);
	}
}

static void query_with_options_leaves_with_padding(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes padded, q = query_with_secret(7, &padded), both = padded;
	uint32_t start;

	start = tcp.client_seq;
	expect_said(gw, &tcp, &q);
	expect_left(gw, start, &padded);
	/* lost on the way: a retransmission leaves as before, however it is split */
	for (size_t from = 0; from < q.len; from += 9) {
		size_t n = q.len - from < 20 ? q.len - from : 20;

		expect(say_at(gw, &tcp, (uint32_t)(from - q.len), q.b + from, n, 0),
		       SL_REASON_DNS_ALLOWED);
	}
	expect_left(gw, start, &padded);
	/*
	 * the copy holds what the client wrote: another byte is a conflict, even where zeros leave
	 */
	memcpy(both.b + both.len, padded.b, padded.len);
	both.len += padded.len;
	expect_said(gw, &tcp, &q);
	expect_left(gw, start, &both);
	expect(say_at(gw, &tcp, (uint32_t)-3, "\0\0\0", 3, 0), SL_REASON_STREAM_CONFLICT);
	inproc_free(gw);
}

/* A client that waits for an acknowledgement before it goes on gets it from the gateway. */
static void query_that_is_only_repeated_is_acknowledged(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A), a;
	uint32_t start;

	start = tcp.client_seq;
	expect(say_at(gw, &tcp, 0, q.b, 10, 0), SL_REASON_NONE);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 0);
	expect(say_at(gw, &tcp, 0, q.b, 10, 0), SL_REASON_DUPLICATE);
	assert_int_equal(lab_last(gw, SL_PORT_SANDBOX)->ack, start + 10);
	assert_int_equal(lab_last(gw, SL_PORT_SANDBOX)->payload_len, 0);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	expect(say_at(gw, &tcp, 10, q.b + 10, q.len - 10, 0), SL_REASON_DNS_ALLOWED);
	expect_left(gw, start, &q);
	for (int i = 0; i < 3; i++) {
		inproc_clear(gw); /* lost on the way */
		inproc_advance_s(gw, 0.5);
		expect_left(gw, start, &q);
	}
	/* once the server has it, the client retransmits what follows */
	tcp.client_seq += (uint32_t)q.len;
	a = answer(&q, A1);
	expect(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	inproc_advance_s(gw, 0.5);
	inproc_clear(gw);
	expect_said(gw, &tcp, &q);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
	inproc_advance_s(gw, 2);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
	inproc_free(gw);
}

/* Over the limit a query is dropped, as over UDP, and the connection goes on. */
static void query_over_the_limit_is_dropped_and_comes_again(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, LAB_CONFIG "limits: {dns-queries-per-sandbox: 4}\n");
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, NAME, DNS_A), two = q;

	memcpy(two.b + two.len, q.b, q.len);
	two.len += q.len;
	establish(gw, &tcp);
	for (int i = 0; i < 3; i++) {
		expect_said(gw, &tcp, &q);
		expect_answered(gw, &tcp, &q, A1);
	}
	inproc_clear(gw);
	/* of two in one segment the second waits, and its frame with it */
	expect(say_at(gw, &tcp, 0, two.b, two.len, 0), SL_REASON_NONE);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->payload_len, q.len);
	expect(say_at(gw, &tcp, (uint32_t)two.len, q.b, q.len, 0), SL_REASON_RATE_LIMIT);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 0);
	inproc_advance_s(gw, 0.3);
	expect(say_at(gw, &tcp, 0, two.b, two.len, 0), SL_REASON_DNS_ALLOWED);
	inproc_advance_s(gw, 0.3);
	/* the client's next try lets the rest go */
	expect(say_at(gw, &tcp, (uint32_t)q.len, q.b, q.len, 0), SL_REASON_DUPLICATE);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->seq, tcp.client_seq + q.len);
	inproc_free(gw);
}

static void query_incomplete_ends_in_time(void **state)
{
	struct inproc_tcp tcp;
	struct inproc *gw = connected(&tcp);
	struct bytes q = query(1, NAME, DNS_A);

	expect(inproc_tcp_client(gw, &tcp, q.b, 20), SL_REASON_NONE);
	inproc_advance_s(gw, 9);
	assert_int_equal(inproc_held(gw), 1);
	inproc_advance_s(gw, 2);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(inproc_reason(gw, SL_REASON_HELLO_TIMEOUT), 1);
	expect_reset(gw, SL_PORT_UPLINK);
	expect_reset(gw, SL_PORT_SANDBOX);
	assert_int_equal(lab_event(gw)->reason, SL_REASON_HELLO_TIMEOUT);
	inproc_advance_s(gw, 11);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

static void query_under_allow_all_is_never_refused(void **state)
{
	struct inproc *gw = lab_create("sandboxes: [{vlan: 101}]", LAB_CONFIG);
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, DENIED, DNS_A);

	establish(gw, &tcp);
	expect_said(gw, &tcp, &q);
	expect_answered(gw, &tcp, &q, A1);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	expect(inproc_tcp_client(gw, &tcp, "\0\24not any kind of DNS", 22),
	       SL_REASON_MALFORMED_DNS);
	inproc_free(gw);
}

static void query_for_https_under_strip_ech_is_answered_with_nothing(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, "dns: {resolvers: [203.0.113.53], strip-ech: true}\n");
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_HTTPS);
	const struct packet_view *view;

	establish(gw, &tcp);
	expect_said(gw, &tcp, &q);
	view = lab_last(gw, SL_PORT_SANDBOX);
	assert_int_equal(lab_get16(view->payload + 4), DNS_QR | DNS_RD | DNS_RA);
	assert_int_equal(view->flags, TCP_ACK | TCP_PSH | TCP_FIN);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
	expect_reset(gw, SL_PORT_UPLINK);
	assert_int_equal(inproc_held(gw), 0);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(syn_leaves_clean),
	        cmocka_unit_test(payload_before_the_handshake_is_dropped),
	        cmocka_unit_test(second_syn_ack_with_another_number_is_a_conflict),
	        cmocka_unit_test(query_leaves_as_it_came),
	        cmocka_unit_test(query_over_ipv6_leaves),
	        cmocka_unit_test(query_in_pieces_leaves_whole_or_not_at_all),
	        cmocka_unit_test(query_in_single_bytes_reversed_and_repeated_leaves),
	        cmocka_unit_test(queries_pipelined_are_judged_one_by_one),
	        cmocka_unit_test(query_refused_is_answered_and_ends_both_ways),
	        cmocka_unit_test(query_refused_behind_an_allowed_one_in_one_segment),
	        cmocka_unit_test(query_malformed_ends_both_ways),
	        cmocka_unit_test(query_with_options_leaves_with_padding),
	        cmocka_unit_test(query_that_is_only_repeated_is_acknowledged),
	        cmocka_unit_test(query_over_the_limit_is_dropped_and_comes_again),
	        cmocka_unit_test(query_incomplete_ends_in_time),
	        cmocka_unit_test(query_under_allow_all_is_never_refused),
	        cmocka_unit_test(query_for_https_under_strip_ech_is_answered_with_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
