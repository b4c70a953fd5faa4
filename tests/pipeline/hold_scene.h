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
