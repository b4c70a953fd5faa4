/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_stream.c: DNS over TCP through the whole gateway (spec section 4): which bytes of the
 * client's leave, what a refused query ends, and what the server's answers pin.
 */
#include <stdio.h>

#include "dns_lab.h"

#define DENIED "secret.example.net"
#define A1     "198.51.100.1"

#define MANY "limits: {dns-queries-per-sandbox: 100000}\n"

#define CONNECTION                                                                                 \
	{                                                                                          \
		.vlan = LAB_VLAN, .client = LAB_CLIENT, .server = LAB_RESOLVER, .sport = 41000,    \
		.dport = 53                                                                        \
	}

static struct inproc *gateway(void)
{
	return lab_create(LAB_POLICY, LAB_CONFIG);
}

/* ---- messages behind their lengths ---- */

struct bytes {
	size_t len;
	uint8_t b[4096];
};

static void append(struct bytes *to)
{
	to->b[to->len++] = (uint8_t)(lab_msg.len >> 8);
	to->b[to->len++] = (uint8_t)lab_msg.len;
	memcpy(to->b + to->len, lab_msg.bytes, lab_msg.len);
	to->len += lab_msg.len;
}

static struct bytes query(uint16_t id, const char *name, uint16_t type)
{
	struct bytes q = {0};

	lab_query(id, name, type);
	append(&q);
	return q;
}

/* An answer to a query's bytes, with an address if one is given. */
static struct bytes answer(const struct bytes *to, const char *address)
{
	struct bytes a = {0};

	lab_answer_to(to->b + 2, 0);
	if (address != NULL)
		dns_address(&lab_msg, DNS_ANSWER, "@12", address, 60);
	append(&a);
	return a;
}

/* ---- the connection ---- */

static void establish(struct inproc *gw, struct inproc_tcp *tcp)
{
	assert_int_equal(inproc_tcp_open(gw, tcp), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
}

static enum sl_reason say(struct inproc *gw, struct inproc_tcp *tcp, const struct bytes *what)
{
	return inproc_tcp_client(gw, tcp, what->b, what->len);
}

static enum sl_reason hear(struct inproc *gw, struct inproc_tcp *tcp, const struct bytes *what)
{
	return inproc_tcp_server(gw, tcp, what->b, what->len);
}

/* A piece of the client's stream, anywhere in it; the numbers of tcp do not move. */
static enum sl_reason say_at(struct inproc *gw, const struct inproc_tcp *tcp, uint32_t offset,
                             const void *bytes, size_t len, uint8_t flags)
{
	struct packet packet =
	        TCP(.vlan = tcp->vlan, .src = tcp->client, .dst = tcp->server, .sport = tcp->sport,
	            .dport = tcp->dport, .flags = (uint8_t)(TCP_ACK | flags),
	            .seq = tcp->client_seq + offset, .ack = tcp->server_seq, .payload = bytes,
	            .payload_len = len);

	return inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

static enum sl_reason server_acks(struct inproc *gw, const struct inproc_tcp *tcp)
{
	struct packet packet = inproc_tcp_segment(tcp, false, TCP_ACK);

	return inproc_send(gw, SL_PORT_UPLINK, &packet);
}

/* The client's stream as it left, by sequence numbers from `start` on; overlaps must be equal. */
static size_t left_stream(const struct inproc *gw, uint32_t start, uint8_t *out, size_t size)
{
	static uint8_t have[1 << 17];
	size_t end = 0;

	memset(have, 0, sizeof(have));
	for (size_t i = 0; i < inproc_count(gw, SL_PORT_UPLINK); i++) {
		const struct packet_view *view = &inproc_frame(gw, SL_PORT_UPLINK, i)->view;
		uint32_t at = view->seq - start;

		assert_true(view->ok && view->l4_csum_ok);
		if (view->payload_len == 0)
			continue;
		assert_true(at < size && view->payload_len <= size - at);
		for (size_t k = 0; k < view->payload_len; k++) {
			if (have[at + k])
				assert_int_equal(out[at + k], view->payload[k]);
			out[at + k] = view->payload[k];
			have[at + k] = 1;
		}
		if (at + view->payload_len > end)
			end = at + view->payload_len;
	}
	for (size_t k = 0; k < end; k++)
		assert_true(have[k]);
	return end;
}

static void expect_left(const struct inproc *gw, uint32_t start, const struct bytes *what)
{
	static uint8_t got[1 << 16];

	assert_int_equal(left_stream(gw, start, got, sizeof(got)), what->len);
	assert_memory_equal(got, what->b, what->len);
}

static void expect_reset(const struct inproc *gw, enum sl_port_id port)
{
	assert_true(lab_last(gw, port)->flags & TCP_RST);
}

/* ---- opening ---- */

static void syn_leaves_clean(void **state)
{
	struct inproc *gw = gateway();
	const uint8_t options[] = {2, 4, 5, 0xb4, 34, 6, 'c', 'o', 'o', 'k', 253, 4, 'x', 'y'};
	struct packet syn =
	        TCP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = LAB_RESOLVER, .sport = 41000,
	            .dport = 53, .flags = TCP_SYN, .seq = 1000, .options = options,
	            .options_len = sizeof(options), .reserved = 7, PKT_TEXT("early"));
	const struct packet_view *view;

	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &syn), SL_REASON_DNS_ALLOWED);
	view = lab_last(gw, SL_PORT_UPLINK);
	assert_int_equal(view->flags, TCP_SYN);
	assert_int_equal(view->payload_len, 0);
	assert_false(inproc_left(gw, SL_PORT_UPLINK, "cook", 4));
	assert_false(inproc_left(gw, SL_PORT_UPLINK, "early", 5));
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &syn), SL_REASON_DNS_ALLOWED);
	inproc_free(gw);
}

static void payload_before_the_handshake_is_dropped(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);
	struct packet syn;

	tcp.client_seq = 1000;
	tcp.server_seq = 5000;
	syn = inproc_tcp_segment(&tcp, true, TCP_SYN);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &syn), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	tcp.client_seq++;
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	inproc_free(gw);
}

static void second_syn_ack_with_another_number_is_a_conflict(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION, other;
	struct packet again;

	establish(gw, &tcp);
	other = tcp;
	other.server_seq--;
	again = inproc_tcp_segment(&other, false, TCP_SYN | TCP_ACK);
	assert_int_equal(inproc_send(gw, SL_PORT_UPLINK, &again), SL_REASON_DNS_ALLOWED);
	other.server_seq++;
	again = inproc_tcp_segment(&other, false, TCP_SYN | TCP_ACK);
	assert_int_equal(inproc_send(gw, SL_PORT_UPLINK, &again), SL_REASON_STREAM_CONFLICT);
	inproc_free(gw);
}

/* ---- queries ---- */

static void query_leaves_as_it_came(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(0x1234, "wWw.Example.com", DNS_A), a;
	uint32_t start;

	establish(gw, &tcp);
	start = tcp.client_seq;
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	expect_left(gw, start, &q);
	assert_true(lab_event_names(lab_event(gw), "www.example.com"));
	assert_int_equal(lab_event(gw)->reason, SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_event(gw)->via, SL_VIA_DNS);
	assert_int_equal(lab_event(gw)->proto, 6);
	a = answer(&q, A1);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_SANDBOX)->payload_len, a.len);
	assert_memory_equal(lab_last(gw, SL_PORT_SANDBOX)->payload, a.b, a.len);
	inproc_free(gw);
}

static void query_over_ipv6_leaves(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = {.vlan = LAB_VLAN,
	                         .client = LAB_CLIENT6,
	                         .server = LAB_RESOLVER6,
	                         .sport = 41000,
	                         .dport = 53};
	struct bytes q = query(1, "www.example.com", DNS_AAAA);
	uint32_t start;

	establish(gw, &tcp);
	start = tcp.client_seq;
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	expect_left(gw, start, &q);
	inproc_free(gw);
}

static void query_in_pieces_leaves_whole_or_not_at_all(void **state)
{
	for (size_t cut = 1; cut < 35; cut++) {
		struct inproc *gw = gateway();
		struct inproc_tcp tcp = CONNECTION;
		struct bytes q = query(1, "www.example.com", DNS_A);
		uint32_t start;

		establish(gw, &tcp);
		start = tcp.client_seq;
		assert_int_equal(inproc_tcp_client(gw, &tcp, q.b, cut), SL_REASON_NONE);
		assert_int_equal(inproc_held(gw), 1);
		assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
		assert_int_equal(inproc_tcp_client(gw, &tcp, q.b + cut, q.len - cut),
		                 SL_REASON_DNS_ALLOWED);
		assert_int_equal(inproc_held(gw), 0);
		expect_left(gw, start, &q);
		inproc_free(gw);
	}
}

static void query_in_single_bytes_reversed_and_repeated_leaves(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);

	establish(gw, &tcp);
	for (size_t i = q.len - 1; i > 0; i--) {
		assert_int_equal(say_at(gw, &tcp, (uint32_t)i, q.b + i, 1, 0), SL_REASON_NONE);
		assert_int_equal(say_at(gw, &tcp, (uint32_t)i, q.b + i, 1, 0), SL_REASON_DUPLICATE);
	}
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	assert_int_equal(say_at(gw, &tcp, 0, q.b, 1, 0), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_held(gw), 0);
	expect_left(gw, tcp.client_seq, &q);
	inproc_free(gw);
}

static void queries_pipelined_are_judged_one_by_one(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes all = {0};
	uint32_t start;
	char name[32];

	establish(gw, &tcp);
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
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes good = query(1, "www.example.com", DNS_A), bad = query(2, DENIED, DNS_A), a;
	const struct packet_view *view;

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &good), SL_REASON_DNS_ALLOWED);
	a = answer(&good, A1);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	assert_int_equal(say(gw, &tcp, &bad), SL_REASON_DNS_NAME_NOT_ALLOWED);
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
	assert_int_equal(say(gw, &tcp, &good), SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_int_equal(inproc_held(gw), 0);
	inproc_free(gw);
}

static void query_refused_behind_an_allowed_one_in_one_segment(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes both = query(1, "www.example.com", DNS_A), first = both;
	uint32_t start;

	establish(gw, &tcp);
	start = tcp.client_seq;
	lab_query(2, DENIED, DNS_A);
	append(&both);
	assert_int_equal(say(gw, &tcp, &both), SL_REASON_DNS_NAME_NOT_ALLOWED);
	expect_left(gw, start, &first);
	expect_reset(gw, SL_PORT_UPLINK);
	assert_int_equal(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload + 2), 2);
	assert_int_equal(inproc_held(gw), 0);
	inproc_free(gw);
}

static void query_malformed_ends_both_ways(void **state)
{
	static const char *const kinds[] = {"short", "long", "text", "two questions", "options"};

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct inproc *gw = gateway();
		struct inproc_tcp tcp = CONNECTION;
		struct bytes q = {0};
		static const uint8_t much[300] = {0, 12, 1, 40};

		establish(gw, &tcp);
		lab_query(1, "www.example.com", DNS_A);
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
		assert_int_equal(say(gw, &tcp, &q), SL_REASON_MALFORMED_DNS);
		assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
		expect_reset(gw, SL_PORT_UPLINK);
		expect_reset(gw, SL_PORT_SANDBOX);
		assert_int_equal(lab_last(gw, SL_PORT_SANDBOX)->payload_len, 0);
		inproc_free(gw);
	}
}

/* What the client says beside its question leaves as zeros, in the same length (RFC 7830). */
static struct bytes query_with_secret(uint16_t id, struct bytes *padded)
{
	const uint8_t cookie_and_padding[] = {0, 10, 0, 8,  's', 'e', 'c', 'r', 'e', 't',
	                                      7, 8,  0, 12, 0,   4,   1,   2,   3,   4};
	const uint8_t padding[] = {0, 12, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	struct bytes q = {0};

	lab_query(id, "wWw.example.com", DNS_A);
	dns_opt(&lab_msg, 4711, 0x80ff /* DO, and bits that mean nothing */, cookie_and_padding,
	        sizeof(cookie_and_padding));
	append(&q);
	*padded = (struct bytes){0};
	lab_query(id, "wWw.example.com", DNS_A);
	dns_opt(&lab_msg, 1232, 0x8000, padding, sizeof(padding));
	append(padded);
	return q;
}

static void query_with_options_leaves_with_padding(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes padded, q = query_with_secret(7, &padded), both = padded;
	uint32_t start;

	establish(gw, &tcp);
	start = tcp.client_seq;
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	expect_left(gw, start, &padded);
	/* lost on the way: what comes again leaves as it did, however it is cut */
	for (size_t from = 0; from < q.len; from += 9) {
		size_t n = q.len - from < 20 ? q.len - from : 20;

		assert_int_equal(say_at(gw, &tcp, (uint32_t)(from - q.len), q.b + from, n, 0),
		                 SL_REASON_DNS_ALLOWED);
	}
	expect_left(gw, start, &padded);
	/* the copy is of what the client wrote: another byte is a conflict, where zeros leave too
	 */
	memcpy(both.b + both.len, padded.b, padded.len);
	both.len += padded.len;
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	expect_left(gw, start, &both);
	assert_int_equal(say_at(gw, &tcp, (uint32_t)-3, "\0\0\0", 3, 0), SL_REASON_STREAM_CONFLICT);
	inproc_free(gw);
}

/* A client that waits for an acknowledgement before it goes on gets it from the gateway. */
static void query_that_is_only_repeated_is_acknowledged(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A), a;
	uint32_t start;

	establish(gw, &tcp);
	start = tcp.client_seq;
	assert_int_equal(say_at(gw, &tcp, 0, q.b, 10, 0), SL_REASON_NONE);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 0);
	assert_int_equal(say_at(gw, &tcp, 0, q.b, 10, 0), SL_REASON_DUPLICATE);
	assert_int_equal(lab_last(gw, SL_PORT_SANDBOX)->ack, start + 10);
	assert_int_equal(lab_last(gw, SL_PORT_SANDBOX)->payload_len, 0);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	assert_int_equal(say_at(gw, &tcp, 10, q.b + 10, q.len - 10, 0), SL_REASON_DNS_ALLOWED);
	expect_left(gw, start, &q);
	for (int i = 0; i < 3; i++) {
		inproc_clear(gw); /* lost on the way */
		inproc_advance_s(gw, 0.5);
		expect_left(gw, start, &q);
	}
	/* once the server has it, what follows is the client's to repeat again */
	tcp.client_seq += (uint32_t)q.len;
	a = answer(&q, A1);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	inproc_advance_s(gw, 0.5);
	inproc_clear(gw);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
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
	struct bytes q = query(1, "www.example.com", DNS_A), two = q, a;

	memcpy(two.b + two.len, q.b, q.len);
	two.len += q.len;
	establish(gw, &tcp);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
		a = answer(&q, A1);
		assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	}
	inproc_clear(gw);
	/* of two in one segment the second waits, and its frame with it */
	assert_int_equal(say_at(gw, &tcp, 0, two.b, two.len, 0), SL_REASON_NONE);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->payload_len, q.len);
	assert_int_equal(say_at(gw, &tcp, (uint32_t)two.len, q.b, q.len, 0), SL_REASON_RATE_LIMIT);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 0);
	inproc_advance_s(gw, 0.3);
	assert_int_equal(say_at(gw, &tcp, 0, two.b, two.len, 0), SL_REASON_DNS_ALLOWED);
	inproc_advance_s(gw, 0.3);
	/* the client's next try lets the rest go */
	assert_int_equal(say_at(gw, &tcp, (uint32_t)q.len, q.b, q.len, 0), SL_REASON_DUPLICATE);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->seq, tcp.client_seq + q.len);
	inproc_free(gw);
}

static void query_incomplete_ends_in_time(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);

	establish(gw, &tcp);
	assert_int_equal(inproc_tcp_client(gw, &tcp, q.b, 20), SL_REASON_NONE);
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
	struct bytes q = query(1, DENIED, DNS_A), a;

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	a = answer(&q, A1);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	assert_int_equal(inproc_tcp_client(gw, &tcp, "\0\24not any kind of DNS", 22),
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
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	view = lab_last(gw, SL_PORT_SANDBOX);
	assert_int_equal(lab_get16(view->payload + 4), DNS_QR | DNS_RD | DNS_RA);
	assert_int_equal(view->flags, TCP_ACK | TCP_PSH | TCP_FIN);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
	expect_reset(gw, SL_PORT_UPLINK);
	assert_int_equal(inproc_held(gw), 0);
	inproc_free(gw);
}

/* ---- what was judged is what leaves ---- */

static void bytes_that_differ_are_a_conflict(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A),
	             evil = query(1, "www.examp1e.com", DNS_A);
	uint32_t start;

	establish(gw, &tcp);
	start = tcp.client_seq;
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	tcp.client_seq = start;
	/* the same again, cut otherwise, passes while it is not acknowledged */
	assert_int_equal(say_at(gw, &tcp, 3, q.b + 3, 7, 0), SL_REASON_DNS_ALLOWED);
	assert_int_equal(say_at(gw, &tcp, 0, q.b, q.len, 0), SL_REASON_DNS_ALLOWED);
	expect_left(gw, start, &q);
	assert_int_equal(say_at(gw, &tcp, 0, evil.b, evil.len, 0), SL_REASON_STREAM_CONFLICT);
	expect_left(gw, start, &q);
	expect_reset(gw, SL_PORT_UPLINK);
	inproc_free(gw);
}

static void bytes_acknowledged_long_ago_leave_no_more(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A), evil = query(1, DENIED, DNS_A);
	uint32_t start;

	establish(gw, &tcp);
	start = tcp.client_seq;
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	assert_int_equal(server_acks(gw, &tcp), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	tcp.client_seq = start;
	assert_int_equal(say_at(gw, &tcp, 0, evil.b, q.len, 0), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->payload_len, 0);
	/* what lies over the edge counts from there on only */
	tcp.client_seq = start + (uint32_t)q.len;
	assert_int_equal(say_at(gw, &tcp, 0u - 5, "xxxxx", 5, 0), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->payload_len, 0);
	assert_false(inproc_left(gw, SL_PORT_UPLINK, "secret", 6));
	inproc_free(gw);
}

static void bytes_out_of_place_do_not_leave(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);
	struct packet packet;

	establish(gw, &tcp);
	/* far ahead, urgent, without ACK, with an acknowledgement of what was never sent */
	assert_int_equal(say_at(gw, &tcp, 40000, q.b, q.len, 0), SL_REASON_HOLD_LIMIT);
	assert_int_equal(say_at(gw, &tcp, 0, q.b, q.len, TCP_URG), SL_REASON_MALFORMED_PACKET);
	packet = TCP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = LAB_RESOLVER, .sport = 41000,
	             .dport = 53, .flags = TCP_PSH, .seq = tcp.client_seq, PKT_BYTES(q.b));
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_MALFORMED_PACKET);
	tcp.server_seq += 100;
	assert_int_equal(say_at(gw, &tcp, 0, q.b, q.len, 0), SL_REASON_NO_FLOW);
	tcp.server_seq -= 100;
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	inproc_free(gw);
}

static void bare_segments_carry_nothing(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	const uint8_t options[] = {253, 6, 'l', 'e', 'a', 'k', 1, 1};
	struct packet ack =
	        TCP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = LAB_RESOLVER, .sport = 41000,
	            .dport = 53, .flags = TCP_ACK, .seq = 1001, .ack = 5001, .options = options,
	            .options_len = sizeof(options), .urgent = PKT_SET(0x4242), .reserved = 5);

	establish(gw, &tcp);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &ack), SL_REASON_DNS_ALLOWED);
	assert_false(inproc_left(gw, SL_PORT_UPLINK, "leak", 4));
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->urgent, 0);
	inproc_free(gw);
}

static void ack_beyond_what_left_says_what_left(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);
	struct packet ack;

	establish(gw, &tcp);
	assert_int_equal(inproc_tcp_client(gw, &tcp, q.b, 20), SL_REASON_NONE);
	ack = inproc_tcp_segment(&tcp, true, TCP_ACK);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &ack), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->seq, tcp.client_seq - 20);
	inproc_free(gw);
}

static void segments_are_no_larger_than_the_server_takes(void **state)
{
	struct inproc *gw = gateway();
	const uint8_t mss[] = {2, 4, 0, 100};
	struct inproc_tcp tcp = CONNECTION;
	struct bytes all = {0};
	struct packet packet;
	uint32_t start;

	tcp.client_seq = 1000;
	tcp.server_seq = 5000;
	packet = inproc_tcp_segment(&tcp, true, TCP_SYN);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_DNS_ALLOWED);
	tcp.client_seq++;
	packet = TCP(.smac = PKT_MAC_OUTER, .dmac = PKT_MAC_INNER, .vlan = LAB_VLAN,
	             .src = LAB_RESOLVER, .dst = LAB_CLIENT, .sport = 53, .dport = 41000,
	             .flags = TCP_SYN | TCP_ACK, .seq = 5000, .ack = 1001, .options = mss,
	             .options_len = sizeof(mss));
	assert_int_equal(inproc_send(gw, SL_PORT_UPLINK, &packet), SL_REASON_DNS_ALLOWED);
	tcp.server_seq++;
	inproc_clear(gw);
	start = tcp.client_seq;
	lab_query(1,
	          "a23456789a23456789a23456789a23456789.b23456789b23456789b23456789b23456789b2."
	          "c23456789c23456789c23456789c23456789c23456789.example.org",
	          DNS_A);
	append(&all);
	assert_true(all.len > 150);
	assert_int_equal(say(gw, &tcp, &all), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 2);
	assert_int_equal(inproc_frame(gw, SL_PORT_UPLINK, 0)->view.payload_len, 100);
	expect_left(gw, start, &all);
	inproc_free(gw);
}

static void timestamps_of_the_client_are_kept(void **state)
{
	struct inproc *gw = gateway();
	const uint8_t options[] = {1, 1, 8, 10, 0, 0, 0, 77, 0, 0, 0, 88};
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);
	const struct packet_view *view;

	establish(gw, &tcp);
	struct packet packet =
	        TCP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = LAB_RESOLVER, .sport = 41000,
	            .dport = 53, .flags = TCP_ACK, .seq = tcp.client_seq, .ack = tcp.server_seq,
	            .options = options, .options_len = sizeof(options), .window = PKT_SET(777),
	            .payload = q.b, .payload_len = q.len);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_DNS_ALLOWED);
	view = lab_last(gw, SL_PORT_UPLINK);
	assert_int_equal(view->options_len, sizeof(options));
	assert_memory_equal(view->options, options, sizeof(options));
	assert_int_equal(view->window, 777);
	assert_int_equal(view->ack, tcp.server_seq);
	inproc_free(gw);
}

static void long_connections_do_not_run_out_of_room(void **state)
{
	struct inproc *gw = lab_create(LAB_POLICY, LAB_CONFIG MANY);
	struct inproc_tcp tcp = CONNECTION;
	uint64_t most = 0;

	establish(gw, &tcp);
	for (uint32_t i = 0; i < 4000; i++) {
		struct bytes q = query((uint16_t)i, "www.example.com", DNS_A), a;

		assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
		a = answer(&q, A1);
		tcp.client_seq -= 1; /* the server lags: the copy is never empty */
		assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
		tcp.client_seq += 1;
		if (inproc_stats(gw, 0)->hold_bytes > most)
			most = inproc_stats(gw, 0)->hold_bytes;
		inproc_clear(gw);
	}
	assert_true(most < 100000);
	inproc_free(gw);
}

/* ---- the end of connections ---- */

static void fin_ends_a_connection_in_order(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A), a;
	struct packet packet;

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	packet = inproc_tcp_segment(&tcp, true, TCP_FIN | TCP_ACK);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_DNS_ALLOWED);
	assert_true(lab_last(gw, SL_PORT_UPLINK)->flags & TCP_FIN);
	tcp.client_seq++;
	/* the answer still comes */
	a = answer(&q, A1);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	packet = inproc_tcp_segment(&tcp, false, TCP_FIN | TCP_ACK);
	assert_int_equal(inproc_send(gw, SL_PORT_UPLINK, &packet), SL_REASON_DNS_ALLOWED);
	tcp.server_seq++;
	packet = inproc_tcp_segment(&tcp, true, TCP_ACK);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_DNS_ALLOWED);
	packet = inproc_tcp_segment(&tcp, false, TCP_ACK);
	assert_int_equal(inproc_send(gw, SL_PORT_UPLINK, &packet), SL_REASON_DNS_ALLOWED);
	inproc_advance_s(gw, 11);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

static void fin_with_the_query_follows_it(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);
	const struct packet_view *view;

	establish(gw, &tcp);
	assert_int_equal(say_at(gw, &tcp, 0, q.b, q.len, TCP_FIN | TCP_PSH), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 2);
	view = lab_last(gw, SL_PORT_UPLINK);
	assert_int_equal(view->flags, TCP_FIN | TCP_ACK);
	assert_int_equal(view->seq, tcp.client_seq + q.len);
	assert_int_equal(view->payload_len, 0);
	/* nothing comes behind it */
	assert_int_equal(say_at(gw, &tcp, (uint32_t)q.len, "more", 4, 0),
	                 SL_REASON_STREAM_CONFLICT);
	/* the same again passes again */
	assert_int_equal(say_at(gw, &tcp, 0, q.b, q.len, TCP_FIN | TCP_PSH), SL_REASON_DNS_ALLOWED);
	assert_true(lab_last(gw, SL_PORT_UPLINK)->flags & TCP_FIN);
	inproc_free(gw);
}

static void fin_while_bytes_are_on_hold_waits(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);
	struct packet packet;

	establish(gw, &tcp);
	assert_int_equal(inproc_tcp_client(gw, &tcp, q.b, 20), SL_REASON_NONE);
	packet = inproc_tcp_segment(&tcp, true, TCP_FIN | TCP_ACK);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	inproc_free(gw);
}

static void reset_of_either_side_ends_the_flow(void **state)
{
	for (int client = 0; client < 2; client++) {
		struct inproc *gw = gateway();
		struct inproc_tcp tcp = CONNECTION;
		enum sl_port_id in = client ? SL_PORT_SANDBOX : SL_PORT_UPLINK;
		struct packet packet;

		establish(gw, &tcp);
		packet = inproc_tcp_segment(&tcp, client, TCP_RST | TCP_ACK);
		assert_int_equal(inproc_send(gw, in, &packet), SL_REASON_DNS_ALLOWED);
		expect_reset(gw, client ? SL_PORT_UPLINK : SL_PORT_SANDBOX);
		assert_int_equal(inproc_stats(gw, 0)->flows, 0);
		assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
		inproc_free(gw);
	}
}

static void idle_connection_is_forgotten(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);

	establish(gw, &tcp);
	inproc_advance_s(gw, 9);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	inproc_advance_s(gw, 13);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/* ---- answers ---- */

static void answer_pins_before_it_is_whole_at_the_sandbox(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A), a;

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	a = answer(&q, A1);
	for (size_t i = 0; i < a.len; i++) {
		assert_int_equal(inproc_stats(gw, 0)->pins, 0);
		assert_int_equal(inproc_tcp_server(gw, &tcp, a.b + i, 1), SL_REASON_DNS_ALLOWED);
	}
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	assert_int_not_equal(lab_connect(gw, A1), SL_REASON_ADDRESS_NOT_PINNED);
	inproc_free(gw);
}

static void answer_before_its_turn_is_dropped(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A), a;

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	a = answer(&q, A1);
	tcp.server_seq += 10;
	assert_int_equal(inproc_tcp_server(gw, &tcp, a.b + 10, a.len - 10), SL_REASON_NO_FLOW);
	tcp.server_seq -= (uint32_t)a.len;
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	/* the server's own repetition passes and changes nothing */
	tcp.server_seq -= (uint32_t)a.len;
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	inproc_free(gw);
}

static void answers_nobody_asked_for_pin_nothing(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A),
	             other = query(1, "x.example.org", DNS_A), a;

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	a = answer(&other, A1);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 0);
	a = answer(&q, A1);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	a = answer(&q, "198.51.100.2");
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	inproc_free(gw);
}

static void answer_of_sixty_kilobytes_is_read(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);
	static uint8_t stream[70000];
	size_t len;

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
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
	struct bytes q = query(1, "www.example.com", DNS_A), a = {0};

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	lab_answer_to(q.b + 2, 0);
	while (lab_msg.len < 3900)
		dns_record(&lab_msg, DNS_ANSWER, "@12", DNS_TXT, 60, "\15thirteen byte", 14);
	dns_address(&lab_msg, DNS_ANSWER, "@12", A1, 60);
	append(&a);
	assert_int_equal(inproc_tcp_server(gw, &tcp, a.b, 1400), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_tcp_server(gw, &tcp, a.b + 1400, 1400), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_tcp_server(gw, &tcp, a.b + 2800, a.len - 2800),
	                 SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 0);
	/* and the next one is read again */
	q = query(2, "www.example.com", DNS_A);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	a = answer(&q, A1);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	inproc_free(gw);
}

static void queries_beyond_the_limit_wait_for_answers(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, LAB_CONFIG "limits: {dns-queries-per-sandbox: 64}\n");
	struct inproc_tcp tcp = CONNECTION;
	struct bytes first = query(0, "www.example.com", DNS_A), a;

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &first), SL_REASON_DNS_ALLOWED);
	for (uint16_t id = 1; id < 64; id++) {
		struct bytes q = query(id, "www.example.com", DNS_A);

		assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	}
	struct bytes last = query(64, "www.example.com", DNS_A);
	inproc_advance_s(gw, 0.5); /* it may ask again, but as many wait as may */
	assert_int_equal(say(gw, &tcp, &last), SL_REASON_NONE);
	assert_int_equal(inproc_held(gw), 1);
	tcp.client_seq -= (uint32_t)last.len; /* the server has not seen it */
	a = answer(&first, NULL);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_held(gw), 0);
	assert_memory_equal(lab_last(gw, SL_PORT_UPLINK)->payload, last.b, last.len);
	inproc_free(gw);
}

/* ---- later policies ---- */

static void policy_that_forbids_the_name_stops_the_next_query(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "x.example.org", DNS_A), a;

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	assert_true(inproc_push(gw, "sandboxes: [{vlan: 101, name: box, policy: {allow: "
	                            "[www.example.com]}}]") != 0);
	/* the answer's bytes are the stream's, but they pin nothing */
	a = answer(&q, A1);
	assert_int_equal(hear(gw, &tcp, &a), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 0);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_NAME_NOT_ALLOWED);
	inproc_free(gw);
}

static void policy_deny_all_cuts(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);

	establish(gw, &tcp);
	assert_int_equal(inproc_tcp_client(gw, &tcp, q.b, 20), SL_REASON_NONE);
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
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);
	uint32_t start;

	establish(gw, &tcp);
	start = tcp.client_seq;
	assert_int_equal(inproc_tcp_client(gw, &tcp, q.b, 20), SL_REASON_NONE);
	assert_true(inproc_push(gw, OPEN) != 0);
	assert_int_equal(inproc_tcp_client(gw, &tcp, q.b + 20, q.len - 20),
	                 SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_held(gw), 0);
	expect_left(gw, start, &q);
	assert_int_equal(inproc_tcp_client(gw, &tcp, "no DNS", 6), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(server_acks(gw, &tcp), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

/* What left padded and is lost leaves padded again, whatever the policy is by then. */
static void policy_that_opens_the_resolver_mixes_no_query(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes padded, q = query_with_secret(7, &padded);
	struct packet ack;
	uint32_t start;

	establish(gw, &tcp);
	start = tcp.client_seq;
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	assert_true(inproc_push(gw, OPEN) != 0);
	inproc_clear(gw);
	assert_int_equal(say_at(gw, &tcp, (uint32_t)-q.len, q.b, q.len, 0), SL_REASON_DNS_ALLOWED);
	expect_left(gw, start, &padded);
	/* and a part of it with what comes behind it */
	inproc_clear(gw);
	memcpy(q.b + q.len, "no DNS", 6);
	assert_int_equal(say_at(gw, &tcp, (uint32_t)-20, q.b + q.len - 20, 26, 0),
	                 SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->payload_len, 20);
	ack = inproc_tcp_segment(&tcp, false, TCP_ACK);
	assert_int_equal(inproc_send(gw, SL_PORT_UPLINK, &ack), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_tcp_client(gw, &tcp, "no DNS", 6), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

/* What passed unasked makes the connection one without a name. */
static void policy_that_locks_again_cuts_what_it_opened(void **state)
{
	for (int acked = 0; acked < 2; acked++) {
		struct inproc *gw = gateway();
		struct inproc_tcp tcp = CONNECTION;
		struct bytes q = query(1, "www.example.com", DNS_A);

		establish(gw, &tcp);
		assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
		assert_true(inproc_push(gw, OPEN) != 0);
		if (acked)
			server_acks(gw, &tcp);
		assert_int_equal(inproc_tcp_client(gw, &tcp, "no DNS", 6),
		                 SL_REASON_SUBNET_ALLOWED);
		inproc_clear(gw);
		assert_true(inproc_push(gw, LAB_POLICY) != 0);
		inproc_advance_s(gw, 1);
		expect_reset(gw, SL_PORT_UPLINK);
		expect_reset(gw, SL_PORT_SANDBOX);
		assert_int_equal(say(gw, &tcp, &q), SL_REASON_POLICY_CHANGED);
		assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
		inproc_free(gw);
	}
}

/* ---- what a server may still have ---- */

/* A reset that the server ignores forgets nothing; one that it must take puts the numbers on
 * record. */
static void reset_that_the_server_ignores_ends_nothing(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A);
	struct packet packet;

	establish(gw, &tcp);
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	for (int i = -1; i < 3; i++) { /* 0 fits, but the server may lack what was sent before */
		struct inproc_tcp off = tcp;

		off.client_seq += (uint32_t)(i * 7);
		packet = inproc_tcp_segment(&off, true, TCP_RST);
		assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_NO_FLOW);
	}
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	assert_int_equal(inproc_stats(gw, 0)->flows, 1);
	/* the honest twin */
	server_acks(gw, &tcp);
	packet = inproc_tcp_segment(&tcp, true, TCP_RST);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

/* The second allowed query would be read as the end of the first, which was lost. */
static void numbers_of_an_ended_connection_are_refused(void **state)
{
	struct inproc *gw = gateway();
	struct inproc_tcp tcp = CONNECTION, again;
	struct bytes q = query(1, "www.example.com", DNS_A);
	struct packet packet;

	establish(gw, &tcp);
	again = tcp;
	assert_int_equal(say(gw, &tcp, &q), SL_REASON_DNS_ALLOWED);
	server_acks(gw, &tcp);
	packet = inproc_tcp_segment(&tcp, true, TCP_RST);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	again.client_seq--;
	packet = inproc_tcp_segment(&again, true, TCP_SYN);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_STREAM_CONFLICT);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	again.client_seq += 1 << 20;
	packet = inproc_tcp_segment(&again, true, TCP_SYN);
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_DNS_ALLOWED);
	inproc_free(gw);
}

/*
 * One byte of the next message always comes before the last of this one, so that the frames of all
 * messages count together in the end: more than one frame's weight can say.
 */
static void frames_on_hold_are_counted_whole(void **state)
{
	struct inproc *gw = inproc_create_with(&(struct inproc_options){
	        .policy = LAB_POLICY, .config = LAB_CONFIG MANY, .relaxed = true});
	struct inproc_tcp tcp = CONNECTION;
	struct bytes q = query(1, "www.example.com", DNS_A), a = answer(&q, A1);
	const uint32_t len = (uint32_t)q.len;
	uint64_t limited = inproc_reason(gw, SL_REASON_HOLD_LIMIT);
	uint32_t messages = 70000 / len;

	establish(gw, &tcp);
	say_at(gw, &tcp, 0, q.b, 1, 0);
	for (uint32_t m = 0; m < messages; m++) {
		for (uint32_t i = 1; i < len - 1; i++)
			say_at(gw, &tcp, i, q.b + i, 1, 0);
		if (m + 1 < messages)
			say_at(gw, &tcp, len, q.b, 1, 0);
		say_at(gw, &tcp, len - 1, q.b + len - 1, 1, 0);
		tcp.client_seq += len;
		if (inproc_reason(gw, SL_REASON_HOLD_LIMIT) > limited)
			break;
		hear(gw, &tcp, &a);
		inproc_clear(gw);
	}
	assert_true(inproc_reason(gw, SL_REASON_HOLD_LIMIT) > limited);
	assert_true(inproc_held(gw) <= UINT16_MAX);
	inproc_check(gw);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reset_that_the_server_ignores_ends_nothing),
	        cmocka_unit_test(numbers_of_an_ended_connection_are_refused),
	        cmocka_unit_test(frames_on_hold_are_counted_whole),
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
	        cmocka_unit_test(bytes_that_differ_are_a_conflict),
	        cmocka_unit_test(bytes_acknowledged_long_ago_leave_no_more),
	        cmocka_unit_test(bytes_out_of_place_do_not_leave),
	        cmocka_unit_test(bare_segments_carry_nothing),
	        cmocka_unit_test(ack_beyond_what_left_says_what_left),
	        cmocka_unit_test(segments_are_no_larger_than_the_server_takes),
	        cmocka_unit_test(timestamps_of_the_client_are_kept),
	        cmocka_unit_test(long_connections_do_not_run_out_of_room),
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
