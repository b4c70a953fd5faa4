/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_scene.h: plain HTTP under rule 3 (spec section 3): a connection to port 80 whose both sides
 * are played by the test, and the 403 that a refused request gets.
 */
#ifndef TESTS_PIPELINE_HTTP_SCENE_H
#define TESTS_PIPELINE_HTTP_SCENE_H

#include "scene.h"

#define HTTP CONFIG "inspect: {http: host}\n"
#define POLICY                                                                                     \
	"sandboxes:\n"                                                                             \
	"  - {vlan: 101, name: one, policy: {allow: [good.example, '*.good.example']}}\n"          \
	"  - {vlan: 102, policy: {allow: [good.example]}}\n"

#define GET  "GET / HTTP/1.1\r\n"
#define GOOD GET "Host: good.example\r\nAccept: */*\r\n\r\n"
#define EVIL GET "Host: evil.example\r\nAccept: */*\r\n\r\n"
#define OK   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define LEN  ((int64_t)strlen(GOOD))

static inline struct conn opened_with(const char *config)
{
	struct conn c = conn_of(gateway_with(POLICY, config));

	c.dport = 80;
	handshake(&c);
	inproc_clear(c.gw);
	return c;
}

static inline struct conn opened(void)
{
	return opened_with(HTTP);
}

static inline enum sl_reason say(const struct conn *c, int64_t at, const char *text)
{
	return client(c, at, text, strlen(text));
}

static inline enum sl_reason answer(const struct conn *c, int64_t at, int64_t ack, const char *text)
{
	return server(c, at, ack, text, strlen(text));
}

/* "403 Forbidden, text/plain, one line: sluice: REASON NAME; then RST both ways". */
static inline void expect_forbidden(const struct conn *c, const char *line, size_t said)
{
	const struct packet_view *out = from_end(c->gw, SANDBOX, 1);
	char want[512], body[300];

	snprintf(body, sizeof(body), "sluice: %s\n", line);
	snprintf(want, sizeof(want),
	         "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
	         "Connection: close\r\n\r\n%s",
	         strlen(body), body);
	expect_server_sees_nothing(c);
	assert_int_equal(inproc_count(c->gw, SANDBOX), 2);
	expect_segment(out, TCP_ACK | TCP_PSH, c->irs + 1, c->iss + 1 + (uint32_t)said);
	assert_int_equal(out->payload_len, strlen(want));
	assert_memory_equal(out->payload, want, strlen(want));
	expect_segment(from_end(c->gw, SANDBOX, 0), TCP_RST | TCP_ACK,
	               c->irs + 1 + (uint32_t)strlen(want), c->iss + 1 + (uint32_t)said);
	expect_segment(from_end(c->gw, UPLINK, 0), TCP_RST | TCP_ACK, c->iss + 1, c->irs + 1);
	assert_int_equal(inproc_held(c->gw), 0);
}

#endif
