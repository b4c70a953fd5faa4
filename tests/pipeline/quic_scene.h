/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_scene.h: one QUIC client and its server, played by a test on either side of a gateway in
 * this process. Only Initials are real; later packets have headers and meaningless payloads.
 */
#ifndef TESTS_PIPELINE_QUIC_SCENE_H
#define TESTS_PIPELINE_QUIC_SCENE_H

#include "quic_build.h"
#include "scene.h"
#include "judge/pins.h"
#include "core/state.h"

#define PQ_LEN 1800 /* of a hello with a post-quantum key share */

#define POLICY "sandboxes: [{vlan: 101, name: box, policy: {allow: [good.example, also.example]}}]"

struct datagram {
	size_t len;
	uint8_t bytes[9000];
};

struct quic {
	struct inproc *gw;
	uint16_t vlan;
	const char *client, *server;
	uint16_t sport, dport;
	uint32_t version;
	uint8_t dcid[20], scid[8];
	size_t dcid_len, scid_len;
	const uint8_t *token;
	size_t token_len;
	uint64_t number; /* of the next packet */
	size_t hello_len;
	uint8_t hello[HELLO_BYTES_MAX];
};

/* A connection ID that no other connection has. */
static inline void fresh_cid(uint8_t *cid, size_t len)
{
	static uint32_t number = 77;

	for (size_t i = 0; i < len; i++) {
		number = number * 2654435761u + 12345;
		cid[i] = (uint8_t)(number >> 24);
	}
}

static inline void set_hello(struct quic *q, const struct hello_options *options)
{
	struct hello_options o = *options;

	o.session_id_none = true;
	q->hello_len = hello_build(&o, q->hello);
}

/* A client that wants a name; on ports of its own. */
static inline struct quic quic_for(struct inproc *gw, const char *name)
{
	static uint16_t port = 30000;
	struct quic q = {.gw = gw,
	                 .vlan = 101,
	                 .client = "10.0.0.2",
	                 .server = "198.51.100.10",
	                 .sport = port++,
	                 .dport = 443,
	                 .version = QUIC_V1,
	                 .dcid_len = 8,
	                 .scid_len = 8};

	fresh_cid(q.dcid, 8);
	fresh_cid(q.scid, 8);
	set_hello(&q, &(struct hello_options){.name = name});
	return q;
}

static inline struct quic_options options_of(struct quic *q)
{
	return (struct quic_options){.version = q->version,
	                             .dcid = q->dcid,
	                             .dcid_len = q->dcid_len,
	                             .scid = q->scid,
	                             .scid_len = q->scid_len,
	                             .token = q->token,
	                             .token_len = q->token_len,
	                             .number = q->number++,
	                             .dgram_len = 1200};
}

/* A datagram of one Initial with these frames, padded to 1200 bytes. */
static inline struct datagram initial(struct quic *q, const uint8_t *frames, size_t len)
{
	struct quic_options options = options_of(q);
	struct datagram d;

	d.len = quic_initial(&options, frames, len, d.bytes);
	return d;
}

/* The bytes [from, to) of the hello. */
static inline struct datagram initial_of(struct quic *q, size_t from, size_t to)
{
	uint8_t frames[HELLO_BYTES_MAX + 16];

	return initial(q, frames, quic_crypto_frame(from, q->hello + from, to - from, frames));
}

static inline struct datagram initial_whole(struct quic *q)
{
	return initial_of(q, 0, q->hello_len);
}

static inline struct packet packet_with(const struct quic *q, bool from_client,
                                        const struct datagram *d, uint8_t ttl)
{
	return UDP(.smac = from_client ? PKT_MAC_INNER : PKT_MAC_OUTER,
	           .dmac = from_client ? PKT_MAC_OUTER : PKT_MAC_INNER, .vlan = q->vlan,
	           .src = from_client ? q->client : q->server,
	           .dst = from_client ? q->server : q->client,
	           .sport = from_client ? q->sport : q->dport,
	           .dport = from_client ? q->dport : q->sport, .payload = d->bytes,
	           .payload_len = d->len, .ttl = PKT_SET(ttl), .tos = 0);
}

/* As it arrives: a low hop limit from the sandbox is raised to 64 on the way. */
static inline struct packet packet_of(const struct quic *q, bool from_client,
                                      const struct datagram *d)
{
	return packet_with(q, from_client, d, from_client ? 63 : 58);
}

static inline enum sl_reason up(const struct quic *q, const struct datagram *d)
{
	struct packet packet = packet_of(q, true, d);

	return inproc_send(q->gw, SANDBOX, &packet);
}

static inline enum sl_reason down(const struct quic *q, const struct datagram *d)
{
	struct packet packet = packet_of(q, false, d);

	return inproc_send(q->gw, UPLINK, &packet);
}

static inline void expect_left_with(const struct quic *q, size_t i, const struct datagram *d,
                                    uint8_t ttl)
{
	struct packet packet = packet_with(q, true, d, ttl);
	const struct inproc_frame *frame = inproc_frame(q->gw, UPLINK, i);

	assert_int_equal(frame->len, packet.len);
	assert_memory_equal(frame->bytes, packet.bytes, packet.len);
}

/* The i-th frame that left to the uplink is this datagram, unchanged except for its hop limit. */
static inline void expect_left(const struct quic *q, size_t i, const struct datagram *d)
{
	expect_left_with(q, i, d, 64);
}

static inline size_t left(const struct quic *q)
{
	return inproc_count(q->gw, UPLINK);
}

/* It is refused and nothing leaves; the sandbox gets ICMP (answered) or nothing. */
static inline void expect_refused(const struct quic *q, const struct datagram *d,
                                  enum sl_reason reason, bool answered)
{
	size_t before = left(q), answers = inproc_count(q->gw, SANDBOX);

	expect(up(q, d), reason);
	assert_int_equal(left(q), before);
	assert_int_equal(inproc_count(q->gw, SANDBOX), answers + answered);
	if (answered) {
		const struct packet_view *view = &inproc_last(q->gw, SANDBOX)->view;

		assert_true(view->ok && view->ip_csum_ok && view->l4_csum_ok);
		assert_string_equal(view->src_text, q->server);
		assert_int_equal(view->proto, 1);
		assert_int_equal(view->icmp_type, 3);
		assert_int_equal(view->icmp_code, 13);
	}
}

/* It is refused whether or not the sandbox is answered, and nothing has left yet. */
static inline void expect_nothing_leaves(const struct quic *q, const struct datagram *d,
                                         enum sl_reason reason)
{
	expect(up(q, d), reason);
	assert_int_equal(left(q), 0);
}

static inline void expect_passes(const struct quic *q, const struct datagram *d)
{
	size_t before = left(q);

	expect(up(q, d), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(left(q), before + 1);
	expect_left(q, before, d);
}

static inline void expect_held(const struct quic *q, const struct datagram *d)
{
	size_t before = left(q);
	uint64_t held = inproc_held(q->gw);

	expect(up(q, d), SL_REASON_NONE);
	assert_int_equal(inproc_held(q->gw), held + 1);
	assert_int_equal(left(q), before);
}

/* The whole hello passes, or is refused, in one datagram. */
static inline void expect_hello_passes(struct quic *q)
{
	struct datagram d = initial_whole(q);

	expect_passes(q, &d);
}

static inline void expect_hello_refused(struct quic *q, enum sl_reason reason, bool answered)
{
	struct datagram d = initial_whole(q);

	expect_refused(q, &d, reason, answered);
}

/* A hello that does not fit into one datagram. */
static inline void set_large_hello(struct quic *q, const char *name)
{
	set_hello(q, &(struct hello_options){.name = name, .total_len = PQ_LEN});
}

/* The same with the name at its end. */
static inline void set_large_hello_name_last(struct quic *q, const char *name)
{
	set_hello(q, &(struct hello_options){.name = name, .name_last = true, .total_len = PQ_LEN});
}

static inline void cut_in_two(struct quic *q, struct datagram *one, struct datagram *two)
{
	*one = initial_of(q, 0, 1000);
	*two = initial_of(q, 1000, q->hello_len);
}

/* A client whose hello for this name comes in two datagrams. */
static inline struct quic quic_in_two(struct inproc *gw, const char *name, struct datagram *one,
                                      struct datagram *two)
{
	struct quic q = quic_for(gw, name);

	set_large_hello(&q, name);
	cut_in_two(&q, one, two);
	return q;
}

/* The second of two completes the hello: both leave, in this order. */
static inline void expect_both_leave(const struct quic *q, const struct datagram *first,
                                     const struct datagram *second)
{
	size_t before = left(q);

	expect(up(q, second), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(left(q), before + 2);
	expect_left(q, before, first);
	expect_left(q, before + 1, second);
}

/* A datagram of the server's reaches the sandbox of a judged flow. */
static inline void expect_delivered(const struct quic *q, const struct datagram *d)
{
	expect(down(q, d), SL_REASON_DOMAIN_ALLOWED);
}

/* An Initial of the server's, from an ID that it has chosen. */
static inline struct datagram server_initial(const struct quic *q, const uint8_t *scid,
                                             size_t scid_len, uint64_t number,
                                             const uint8_t *frames, size_t len)
{
	struct quic_options options = {.version = q->version,
	                               .dcid = q->scid,
	                               .dcid_len = q->scid_len,
	                               .scid = scid,
	                               .scid_len = scid_len,
	                               .keys_cid = q->dcid,
	                               .keys_cid_len = q->dcid_len,
	                               .server = true,
	                               .number = number,
	                               .dgram_len = 1200};
	struct datagram d;

	d.len = quic_initial(&options, frames, len, d.bytes);
	return d;
}

/* The server's first answer: it acknowledges. */
static inline struct datagram answer(const struct quic *q, const uint8_t *scid, size_t scid_len)
{
	uint8_t frames[16];

	return server_initial(q, scid, scid_len, 0, frames, quic_ack_frame(0, 0, frames));
}

/* Its ServerHello (or HelloRetryRequest) at an offset of its CRYPTO stream, given the next one. */
static inline struct datagram server_hello_at(const struct quic *q, const uint8_t *scid,
                                              size_t scid_len, bool retry, size_t *offset)
{
	uint8_t frames[600], hello[256];
	size_t len = hello_server(retry, hello), at = quic_ack_frame(0, 0, frames);

	at += quic_crypto_frame(*offset, hello, len, frames + at);
	*offset += len;
	return server_initial(q, scid, scid_len, 1 + *offset, frames, at);
}

/* The server shows that it has the whole hello. */
static inline struct datagram server_hello(const struct quic *q, const uint8_t *scid,
                                           size_t scid_len)
{
	size_t offset = 0;

	return server_hello_at(q, scid, scid_len, false, &offset);
}

static inline void expect_answer_delivered(const struct quic *q, const uint8_t *scid,
                                           size_t scid_len)
{
	struct datagram d = answer(q, scid, scid_len);

	expect_delivered(q, &d);
}

static inline void expect_server_hello_delivered(const struct quic *q, const uint8_t scid[8])
{
	struct datagram d = server_hello(q, scid, 8);

	expect_delivered(q, &d);
}

/* A long header packet with a meaningless payload, of either side. */
static inline struct datagram long_packet(const struct quic *q, enum quic_type type,
                                          bool from_client, const uint8_t *other, size_t other_len)
{
	struct quic_options options = {.version = q->version,
	                               .dcid = from_client ? other : q->scid,
	                               .dcid_len = from_client ? other_len : q->scid_len,
	                               .scid = from_client ? q->scid : other,
	                               .scid_len = from_client ? q->scid_len : other_len};
	struct datagram d;

	d.len = quic_long(type, &options, 200, d.bytes);
	return d;
}

static inline struct datagram short_packet(const uint8_t *cid, size_t len)
{
	struct datagram d = {.len = 60};

	memset(d.bytes, 0xa7, d.len);
	d.bytes[0] = 0x41;
	memcpy(d.bytes + 1, cid, len);
	return d;
}

static inline void expect_short_passes(const struct quic *q, const uint8_t cid[8])
{
	struct datagram d = short_packet(cid, 8);

	expect_passes(q, &d);
}

static inline void append(struct datagram *d, const struct datagram *more)
{
	memcpy(d->bytes + d->len, more->bytes, more->len);
	d->len += more->len;
}

/* An Initial of the connection after the server's answer: to its ID, under the old keys. */
static inline struct datagram initial_to(struct quic *q, const uint8_t *cid, size_t cid_len,
                                         const uint8_t *frames, size_t len)
{
	struct quic_options options = options_of(q);
	struct datagram d;

	options.dcid = cid;
	options.dcid_len = cid_len;
	options.keys_cid = q->dcid;
	options.keys_cid_len = q->dcid_len;
	d.len = quic_initial(&options, frames, len, d.bytes);
	return d;
}

/* An Initial that only acknowledges. */
static inline struct datagram acknowledgement(struct quic *q, const uint8_t cid[8])
{
	uint8_t frames[16];

	return initial_to(q, cid, 8, frames, quic_ack_frame(0, 0, frames));
}

static inline void expect_ack_passes(struct quic *q, const uint8_t cid[8])
{
	struct datagram d = acknowledgement(q, cid);

	expect_passes(q, &d);
}

static inline void expect_ack_refused(struct quic *q, const uint8_t cid[8], enum sl_reason reason)
{
	struct datagram d = acknowledgement(q, cid);

	expect_refused(q, &d, reason, false);
}

/* A Retry in answer to q's first Initial, which gives this ID. */
static inline struct datagram retry_of(const struct quic *q, const uint8_t *scid, size_t scid_len,
                                       bool broken)
{
	struct quic_options options = {.version = q->version,
	                               .dcid = q->scid,
	                               .dcid_len = q->scid_len,
	                               .scid = scid,
	                               .scid_len = scid_len,
	                               .token = (const uint8_t *)"token",
	                               .token_len = 5,
	                               .tag_broken = broken};
	struct datagram d;

	d.len = quic_retry(&options, q->dcid, q->dcid_len, d.bytes);
	return d;
}

/* The client starts again as the Retry asks. */
static inline void follow_retry(struct quic *q, const uint8_t *cid, size_t len)
{
	memcpy(q->dcid, cid, len);
	q->dcid_len = len;
	q->token = (const uint8_t *)"token";
	q->token_len = 5;
}

/* Version Negotiation that offers the other version. */
static inline struct datagram negotiation(const struct quic *q, const uint8_t *dcid)
{
	struct datagram d = {.len = 7 + 16 + 4};

	memcpy(d.bytes, "\xc0\0\0\0\0", 5);
	d.bytes[5] = 8;
	memcpy(d.bytes + 6, q->scid, 8);
	d.bytes[14] = 8;
	memcpy(d.bytes + 15, dcid, 8);
	memcpy(d.bytes + 23, q->version == QUIC_V1 ? "\x6b\x33\x43\xcf" : "\0\0\0\1", 4);
	return d;
}

/* A judged connection, with the server's answer from this ID. */
static inline struct quic judged(struct inproc *gw, const char *name, uint8_t server_cid[8])
{
	struct quic q = quic_for(gw, name);

	expect_hello_passes(&q);
	fresh_cid(server_cid, 8);
	expect_answer_delivered(&q, server_cid, 8);
	return q;
}

/* As a DNS answer would: the address belongs to a name, for VLAN 101. */
static inline void pin(struct inproc *gw, const char *address, const char *name)
{
	struct sl_worker *worker = inproc_worker(gw, 0);
	struct sl_addr addr = packet_addr(address);

	sl_worker_tick(worker); /* it takes over the policy */
	sl_pins_add(worker, worker->generation->sandboxes[101], &addr, name, strlen(name), 300);
}

#endif
