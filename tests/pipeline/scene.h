/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scene.h: shared by the pipeline's tests: a gateway with the config that an operator would run,
 * and one TCP connection whose both ends the test plays, by offsets into either stream.
 *
 * Bytes are counted from the first one after the SYN, on either side.
 */
#ifndef TESTS_PIPELINE_SCENE_H
#define TESTS_PIPELINE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "expect.h"
#include "hello.h"
#include "inproc.h"
#include "rows.h"

#define SANDBOX SL_PORT_SANDBOX
#define UPLINK  SL_PORT_UPLINK

#define CONFIG "dns: {resolvers: [203.0.113.53, '2001:db8:53::53'], pinning: off}\n"

#define ALLOWED "good.example"
#define DENIED  "evil.example"

/* A gateway as it runs: internal and protected ranges, source rule, full checksums. */
static inline struct inproc *gateway_with(const char *policy, const char *config)
{
	return inproc_create_with(&(struct inproc_options){
	        .policy = policy, .config = config, .checksums_full = true});
}

static inline struct inproc *gateway(const char *policy)
{
	return gateway_with(policy, CONFIG);
}

static inline enum sl_reason send_spec(struct inproc *gw, enum sl_port_id port,
                                       struct packet_spec spec)
{
	struct packet packet;

	if (port == UPLINK && spec.smac == NULL)
		spec.smac = PKT_MAC_OUTER;
	if (port == UPLINK && spec.dmac == NULL)
		spec.dmac = PKT_MAC_INNER;
	packet = packet_make(&spec);
	return inproc_send(gw, port, &packet);
}

/* One packet from the sandbox, or to it: OUT(gw, .proto = 17, .vlan = 101, ...). */
#define OUT(gw, ...) send_spec(gw, SANDBOX, (struct packet_spec){__VA_ARGS__})
#define IN(gw, ...)  send_spec(gw, UPLINK, (struct packet_spec){__VA_ARGS__})

struct conn {
	struct inproc *gw;
	uint16_t vlan;
	const char *client, *server;
	uint16_t sport, dport;
	uint32_t iss, irs;
};

#define CLIENT  .from_client = true
#define SERVER  .from_client = false
#define WINDOW_ 65535

/* A segment of the connection; offsets are into the streams, and may be negative. */
struct seg {
	bool from_client;
	uint8_t flags; /* 0: ACK */
	int64_t at;    /* of its first byte */
	int64_t ack;   /* what it acknowledges */
	const void *bytes;
	size_t len;
	const void *options;
	size_t options_len;
	uint64_t window, urgent, l4_csum, ttl, tci; /* PKT_SET */
	uint8_t tos;
	uint8_t reserved;
	const void *trailer;
	size_t trailer_len;
};

static inline struct packet segment(const struct conn *c, const struct seg *s)
{
	uint8_t flags = s->flags ? s->flags : TCP_ACK;
	bool syn = flags & TCP_SYN;
	uint32_t mine = s->from_client ? c->iss : c->irs, theirs = s->from_client ? c->irs : c->iss;

	return TCP(.smac = s->from_client ? PKT_MAC_INNER : PKT_MAC_OUTER,
	           .dmac = s->from_client ? PKT_MAC_OUTER : PKT_MAC_INNER, .vlan = c->vlan,
	           .tci = s->tci, .tos = s->tos, .src = s->from_client ? c->client : c->server,
	           .dst = s->from_client ? c->server : c->client,
	           .sport = s->from_client ? c->sport : c->dport,
	           .dport = s->from_client ? c->dport : c->sport, .flags = flags,
	           .seq = mine + (uint32_t)s->at + (syn ? 0 : 1),
	           .ack = flags & TCP_ACK ? theirs + 1 + (uint32_t)s->ack : 0, .payload = s->bytes,
	           .payload_len = s->len, .options = s->options, .options_len = s->options_len,
	           .window = s->window, .urgent = s->urgent, .l4_csum = s->l4_csum, .ttl = s->ttl,
	           .reserved = s->reserved, .trailer = s->trailer, .trailer_len = s->trailer_len);
}

static inline enum sl_reason send_seg(const struct conn *c, const struct seg *s)
{
	struct packet packet = segment(c, s);

	return inproc_send(c->gw, s->from_client ? SANDBOX : UPLINK, &packet);
}

/* send(conn, CLIENT, .at = 0, ...) */
#define SEND(c, ...) send_seg(c, &(struct seg){__VA_ARGS__})

/* A connection from VLAN 101, each on ports of its own. */
static inline struct conn conn_of(struct inproc *gw)
{
	static uint16_t port = 20000;
	static uint32_t number = 1;

	number = number * 2654435761u + 12345;
	return (struct conn){.gw = gw,
	                     .vlan = 101,
	                     .client = "10.0.0.2",
	                     .server = "198.51.100.10",
	                     .sport = port++,
	                     .dport = 443,
	                     .iss = number,
	                     .irs = number ^ 0x5a5a5a5a};
}

/* SYN, SYN/ACK, ACK, each of which must get through. */
static inline void handshake(const struct conn *c)
{
	size_t up = inproc_count(c->gw, UPLINK), down = inproc_count(c->gw, SANDBOX);

	SEND(c, CLIENT, .flags = TCP_SYN);
	assert_int_equal(inproc_count(c->gw, UPLINK), up + 1);
	SEND(c, SERVER, .flags = TCP_SYN | TCP_ACK);
	assert_int_equal(inproc_count(c->gw, SANDBOX), down + 1);
	SEND(c, CLIENT);
	assert_int_equal(inproc_count(c->gw, UPLINK), up + 2);
}

static inline enum sl_reason client(const struct conn *c, int64_t at, const void *bytes, size_t len)
{
	return SEND(c, CLIENT, .flags = TCP_ACK | TCP_PSH, .at = at, .bytes = bytes, .len = len);
}

static inline enum sl_reason server(const struct conn *c, int64_t at, int64_t ack,
                                    const void *bytes, size_t len)
{
	return SEND(c, SERVER, .flags = TCP_ACK | TCP_PSH, .at = at, .ack = ack, .bytes = bytes,
	            .len = len);
}

static inline bool is_of(const struct conn *c, const struct packet_view *view, bool from_client)
{
	return view->ok && view->proto == 6 && (view->tci & 0xfff) == c->vlan &&
	       view->sport == (from_client ? c->sport : c->dport) &&
	       view->dport == (from_client ? c->dport : c->sport);
}

/*
 * The bytes of the connection's stream that the server has received: from offset 0 without a gap.
 * Every frame must be well-formed, and bytes that are sent twice must be equal.
 */
static inline size_t server_sees(const struct conn *c, uint8_t *out, size_t size)
{
	static uint8_t have[1 << 17];
	size_t n = 0;

	assert_true(size <= sizeof(have));
	memset(have, 0, size);
	for (size_t i = 0; i < inproc_count(c->gw, UPLINK); i++) {
		const struct packet_view *view = &inproc_frame(c->gw, UPLINK, i)->view;
		uint32_t at = view->seq - (c->iss + 1);

		if (!is_of(c, view, true) || view->payload_len == 0)
			continue;
		assert_true(view->ip_csum_ok && view->l4_csum_ok);
		assert_true(at < size && view->payload_len <= size - at);
		for (size_t k = 0; k < view->payload_len; k++) {
			if (have[at + k])
				assert_int_equal(out[at + k], view->payload[k]);
			have[at + k] = 1;
			out[at + k] = view->payload[k];
		}
	}
	while (n < size && have[n])
		n++;
	return n;
}

static inline void expect_server_sees(const struct conn *c, const void *bytes, size_t len)
{
	static uint8_t seen[1 << 17];

	assert_int_equal(server_sees(c, seen, sizeof(seen)), len);
	assert_memory_equal(seen, bytes, len);
}

/* No byte of payload of this connection has left towards the server. */
static inline void expect_server_sees_nothing(const struct conn *c)
{
	for (size_t i = 0; i < inproc_count(c->gw, UPLINK); i++) {
		const struct packet_view *view = &inproc_frame(c->gw, UPLINK, i)->view;

		if (is_of(c, view, true))
			assert_int_equal(view->payload_len, 0);
	}
}

/* The frame that left i-th from the end. */
static inline const struct packet_view *from_end(struct inproc *gw, enum sl_port_id port, size_t i)
{
	assert_true(inproc_count(gw, port) > i);
	return &inproc_frame(gw, port, inproc_count(gw, port) - 1 - i)->view;
}

static inline void expect_segment(const struct packet_view *view, uint8_t flags, uint32_t seq,
                                  uint32_t ack)
{
	assert_true(view->ok && view->proto == 6);
	assert_true(view->ip_csum_ok && view->l4_csum_ok);
	assert_int_equal(view->flags, flags);
	assert_int_equal(view->seq, seq);
	assert_int_equal(view->ack, ack);
}

static inline void expect_zero_trailer(const struct packet_view *view)
{
	for (size_t i = 0; i < view->trailer_len; i++)
		assert_int_equal(view->ip[view->ip_len + i], 0);
}

static inline const struct sl_event *last_event(struct inproc *gw, bool allow,
                                                enum sl_reason reason)
{
	const struct sl_event *event = inproc_event_last(gw);

	assert_non_null(event);
	expect((enum sl_reason)event->reason, reason);
	assert_int_equal(event->allow, allow);
	return event;
}

static inline void expect_event_name(const struct sl_event *event, const char *name)
{
	assert_int_equal(event->name_len, strlen(name));
	assert_memory_equal(event->name, name, event->name_len);
}

/* A whole hello in one record, for one name. */
struct hello {
	size_t len;
	uint8_t bytes[RECORDS_BYTES_MAX];
};

static inline struct hello *hello_with(struct hello *hello, const struct hello_options *options,
                                       size_t fragment)
{
	static uint8_t msg[HELLO_BYTES_MAX];
	size_t len = hello_build(options, msg);

	hello->len = hello_records(msg, len, fragment, hello->bytes);
	return hello;
}

static inline struct hello *hello_for(struct hello *hello, const char *name)
{
	return hello_with(hello, &(struct hello_options){.name = name}, 0);
}

static inline uint64_t count_of(struct inproc *gw, enum sl_reason reason)
{
	return inproc_reason(gw, reason);
}

#endif
