/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_scene.h: TLS over TCP under rule 3 (spec section 3): the policy, hellos and checks of the
 * tests of connections on hold. The sandbox's side and the server's side are both played by the
 * test.
 */
#ifndef TESTS_PIPELINE_HOLD_SCENE_H
#define TESTS_PIPELINE_HOLD_SCENE_H

#include "scene.h"

#define POLICY                                                                                     \
	"sandboxes:\n"                                                                             \
	"  - {vlan: 101, name: one, policy: {allow: [good.example, '*.good.example']}}\n"          \
	"  - {vlan: 102, policy: {allow: [good.example]}}\n"                                       \
	"  - {vlan: 103}\n"

#define HALF 107 /* a cut in the middle of the name */

static __attribute__((unused)) const uint8_t ssl_request[8] = {0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f};

static __attribute__((unused)) const uint8_t access_denied[7] = {21, 3, 3, 0, 2, 2, 49};

static __attribute__((unused)) struct hello good, evil;

static __attribute__((unused)) uint8_t server_hello[128], retry[128]; /* one record each */
static size_t server_hello_len, retry_len;

static inline int build_hellos(void **state)
{
	uint8_t msg[128];

	hello_for(&good, ALLOWED);
	hello_for(&evil, DENIED);
	server_hello_len = hello_record(22, msg, hello_server(false, msg), server_hello);
	retry_len = hello_record(22, msg, hello_server(true, msg), retry);
	return 0;
}

/* Opens a connection on a gateway of its own, ready for the hello. */
static inline struct conn opened(void)
{
	struct conn c = conn_of(gateway(POLICY));

	handshake(&c);
	return c;
}

/* A connection whose hello is judged and has left. */
static inline struct conn judged(void)
{
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	return c;
}

/* A hello in two segments. */
static inline enum sl_reason first_half(const struct conn *c, const struct hello *hello)
{
	return client(c, 0, hello->bytes, HALF);
}

static inline enum sl_reason second_half(const struct conn *c, const struct hello *hello)
{
	return client(c, HALF, hello->bytes + HALF, hello->len - HALF);
}

/* Bytes of the client at this offset from the end of its first hello. */
static inline enum sl_reason after(const struct conn *c, size_t at, const void *bytes, size_t len)
{
	return client(c, (int64_t)(good.len + at), bytes, len);
}

/* The same, from a client that has read the server's retry. */
static inline enum sl_reason after_retry(const struct conn *c, size_t at, const void *bytes,
                                         size_t len)
{
	return SEND(c, CLIENT, .flags = TCP_ACK | TCP_PSH, .at = (int64_t)(good.len + at),
	            .ack = (int64_t)retry_len, .bytes = bytes, .len = len);
}

/* What the server has: the first hello, and then these bytes. */
static inline void expect_server_sees_after(const struct conn *c, const void *bytes, size_t len)
{
	static uint8_t all[sizeof(good.bytes) + 70000];

	memcpy(all, good.bytes, good.len);
	memcpy(all + good.len, bytes, len);
	expect_server_sees(c, all, good.len + len);
}

/* A flow whose hello is judged, let out, acknowledged, and answered. */
static inline void judged_and_answered(const struct conn *c)
{
	expect(client(c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(c, SERVER, .ack = (int64_t)good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(server(c, 0, (int64_t)good.len, server_hello, server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
}

/* The server's stream is untouched and both sides were told. */
static inline void expect_ended(const struct conn *c, enum sl_reason reason)
{
	expect_server_sees_nothing(c);
	last_event(c->gw, false, reason);
	assert_int_equal(from_end(c->gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
	assert_int_equal(from_end(c->gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
	assert_int_equal(inproc_held(c->gw), 0);
}

#endif
