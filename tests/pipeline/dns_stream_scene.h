/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_stream_scene.h: DNS over TCP (spec section 4): a connection to the resolver whose both sides
 * are played by the test.
 */
#ifndef TESTS_PIPELINE_DNS_STREAM_SCENE_H
#define TESTS_PIPELINE_DNS_STREAM_SCENE_H

#include <stdio.h>

#include "dns_lab.h"

#define DENIED "secret.example.net"

#define A1 "198.51.100.1"

#define CONNECTION                                                                                 \
	{                                                                                          \
		.vlan = LAB_VLAN, .client = LAB_CLIENT, .server = LAB_RESOLVER, .sport = 41000,    \
		.dport = 53                                                                        \
	}

struct bytes {
	size_t len;
	uint8_t b[4096];
};

static inline void append(struct bytes *to)
{
	to->b[to->len++] = (uint8_t)(lab_msg.len >> 8);
	to->b[to->len++] = (uint8_t)lab_msg.len;
	memcpy(to->b + to->len, lab_msg.bytes, lab_msg.len);
	to->len += lab_msg.len;
}

static inline struct bytes query(uint16_t id, const char *name, uint16_t type)
{
	struct bytes q = {0};

	lab_query(id, name, type);
	append(&q);
	return q;
}

/* An answer to a query's bytes, with an address if one is given. */
static inline struct bytes answer(const struct bytes *to, const char *address)
{
	struct bytes a = {0};

	lab_answer_to(to->b + 2, 0);
	if (address != NULL)
		dns_address(&lab_msg, DNS_ANSWER, "@12", address, 60);
	append(&a);
	return a;
}

static inline void establish(struct inproc *gw, struct inproc_tcp *tcp)
{
	expect(inproc_tcp_open(gw, tcp), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
}

static inline enum sl_reason say(struct inproc *gw, struct inproc_tcp *tcp,
                                 const struct bytes *what)
{
	return inproc_tcp_client(gw, tcp, what->b, what->len);
}

static inline enum sl_reason hear(struct inproc *gw, struct inproc_tcp *tcp,
                                  const struct bytes *what)
{
	return inproc_tcp_server(gw, tcp, what->b, what->len);
}

/* A piece of the client's stream, anywhere in it; the numbers of tcp do not move. */
static inline enum sl_reason say_at(struct inproc *gw, const struct inproc_tcp *tcp,
                                    uint32_t offset, const void *bytes, size_t len, uint8_t flags)
{
	struct packet packet =
	        TCP(.vlan = tcp->vlan, .src = tcp->client, .dst = tcp->server, .sport = tcp->sport,
	            .dport = tcp->dport, .flags = (uint8_t)(TCP_ACK | flags),
	            .seq = tcp->client_seq + offset, .ack = tcp->server_seq, .payload = bytes,
	            .payload_len = len);

	return inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

/* The client's stream as it left, by sequence numbers from `start` on; overlaps must be equal. */
static inline size_t left_stream(const struct inproc *gw, uint32_t start, uint8_t *out, size_t size)
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

static inline void expect_left(const struct inproc *gw, uint32_t start, const struct bytes *what)
{
	static uint8_t got[1 << 16];

	assert_int_equal(left_stream(gw, start, got, sizeof(got)), what->len);
	assert_memory_equal(got, what->b, what->len);
}

#define NAME "www.example.com" /* allowed by the lab's policy */

/* A gateway with a connection to its resolver. */
static inline struct inproc *connected(struct inproc_tcp *tcp)
{
	struct inproc *gw = lab_gateway();

	*tcp = (struct inproc_tcp)CONNECTION;
	establish(gw, tcp);
	return gw;
}

static inline void expect_said(struct inproc *gw, struct inproc_tcp *tcp, const struct bytes *query)
{
	expect(say(gw, tcp, query), SL_REASON_DNS_ALLOWED);
}

/* The same, on which a query was sent and has left. */
static inline struct inproc *asked(struct inproc_tcp *tcp, const struct bytes *query)
{
	struct inproc *gw = connected(tcp);

	expect_said(gw, tcp, query);
	return gw;
}

/* The server's answer to a query reaches the client. */
static inline void expect_answered(struct inproc *gw, struct inproc_tcp *tcp,
                                   const struct bytes *query, const char *address)
{
	struct bytes a = answer(query, address);

	expect(hear(gw, tcp, &a), SL_REASON_DNS_ALLOWED);
}

/* A segment without data, of either side. */
static inline enum sl_reason send_bare(struct inproc *gw, const struct inproc_tcp *tcp,
                                       bool from_client, uint8_t flags)
{
	struct packet packet = inproc_tcp_segment(tcp, from_client, flags);

	return inproc_send(gw, from_client ? SL_PORT_SANDBOX : SL_PORT_UPLINK, &packet);
}

static inline enum sl_reason server_acks(struct inproc *gw, const struct inproc_tcp *tcp)
{
	return send_bare(gw, tcp, false, TCP_ACK);
}

static inline void expect_reset(const struct inproc *gw, enum sl_port_id port)
{
	assert_true(lab_last(gw, port)->flags & TCP_RST);
}

/* EDNS options of the client leave as zeros, in the same length (RFC 7830). */
static inline struct bytes query_with_secret(uint16_t id, struct bytes *padded)
{
	const uint8_t cookie_and_padding[] = {0, 10, 0, 8,  's', 'e', 'c', 'r', 'e', 't',
	                                      7, 8,  0, 12, 0,   4,   1,   2,   3,   4};
	const uint8_t padding[] = {0, 12, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	struct bytes q = {0};

	lab_query(id, "wWw.example.com", DNS_A);
	dns_opt(&lab_msg, 4711, 0x80ff /* DO, and undefined bits */, cookie_and_padding,
	        sizeof(cookie_and_padding));
	append(&q);
	*padded = (struct bytes){0};
	lab_query(id, "wWw.example.com", DNS_A);
	dns_opt(&lab_msg, 1232, 0x8000, padding, sizeof(padding));
	append(padded);
	return q;
}

#endif
