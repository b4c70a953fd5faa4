/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_lab.h: a sandbox that asks, and a resolver that answers, around the in-process gateway. For
 * the tests of DNS judgement and of pins.
 *
 * The resolver works on the bytes that left the gateway: it repeats the id and the letter case
 * that it received, as a real one does.
 */
#ifndef TESTS_DNS_LAB_H
#define TESTS_DNS_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dns_build.h"
#include "expect.h"
#include "inproc.h"
#include "rows.h"

#define LAB_VLAN      101
#define LAB_CLIENT    "10.0.0.2"
#define LAB_CLIENT6   "fd00::2"
#define LAB_RESOLVER  "203.0.113.53"
#define LAB_RESOLVER6 "2001:db8:53::53"
#define LAB_SPORT     40000
#define LAB_ID        0x1234

#define LAB_CONFIG "dns: {resolvers: [203.0.113.53, '2001:db8:53::53']}\n"
#define LAB_POLICY                                                                                 \
	"sandboxes:\n"                                                                             \
	"  - {vlan: 101, name: box, policy: {allow: [www.example.com, '*.example.org']}}\n"        \
	"  - {vlan: 102, policy: {allow: [www.example.com]}}\n"

static struct dns_message lab_msg __attribute__((unused)); /* 64 KiB: not on the stack */

/* A gateway as in operation: random ids and letter case, every checksum must be right. */
static inline struct inproc *lab_create(const char *policy, const char *config)
{
	return inproc_create_with(&(struct inproc_options){
	        .policy = policy,
	        .config = config,
	        .dns_rewrite = true,
	        .checksums_full = true,
	});
}

static inline struct inproc *lab_gateway(void)
{
	return lab_create(LAB_POLICY, LAB_CONFIG);
}

/* ---- the sandbox ---- */

struct lab_from {
	uint16_t vlan;
	const char *client, *resolver;
	uint16_t sport;
};

static const struct lab_from lab_client = {LAB_VLAN, LAB_CLIENT, LAB_RESOLVER, LAB_SPORT};

static inline enum sl_reason lab_send(struct inproc *gw, const struct lab_from *from,
                                      const void *bytes, size_t len)
{
	struct packet packet =
	        UDP(.vlan = from->vlan, .src = from->client, .dst = from->resolver,
	            .sport = from->sport, .dport = 53, .payload = bytes, .payload_len = len);

	return inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

static inline void lab_query(uint16_t id, const char *name, uint16_t type)
{
	dns_begin(&lab_msg, id, DNS_RD);
	dns_question(&lab_msg, name, type);
}

static inline enum sl_reason lab_ask_from(struct inproc *gw, const struct lab_from *from,
                                          uint16_t id, const char *name, uint16_t type)
{
	lab_query(id, name, type);
	return lab_send(gw, from, lab_msg.bytes, lab_msg.len);
}

static inline enum sl_reason lab_ask(struct inproc *gw, const char *name, uint16_t type)
{
	return lab_ask_from(gw, &lab_client, LAB_ID, name, type);
}

/* ---- frames that left ---- */

/* The newest frame at a port; the test fails if there is none. */
static inline const struct packet_view *lab_last(const struct inproc *gw, enum sl_port_id port)
{
	const struct inproc_frame *frame = inproc_last(gw, port);

	assert_non_null(frame);
	assert_true(frame->view.ok && frame->view.ip_csum_ok && frame->view.l4_csum_ok);
	return &frame->view;
}

static inline uint16_t lab_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* Bytes of header and question of a message with one plain question. */
static inline size_t lab_question_bytes(const uint8_t *msg)
{
	size_t at = 12;

	while (msg[at] != 0)
		at += 1u + msg[at];
	return at + 5;
}

/* An allowed query has left. */
static inline void lab_asked(struct inproc *gw, const char *name, uint16_t type)
{
	expect(lab_ask(gw, name, type), SL_REASON_DNS_ALLOWED);
}

/* The same, as it left, for an answer that comes later. */
static inline void lab_asked_kept(struct inproc *gw, const char *name, uint16_t type,
                                  uint8_t query[64])
{
	const struct packet_view *view;

	lab_asked(gw, name, type);
	view = lab_last(gw, SL_PORT_UPLINK);
	assert_true(view->payload_len <= 64);
	memcpy(query, view->payload, view->payload_len);
}

/* ---- the resolver ---- */

/* Begins an answer to the message that left last, with exactly its id and question. */
static inline void lab_answer_to(const uint8_t *query, uint16_t flags)
{
	dns_begin(&lab_msg, lab_get16(query), (uint16_t)(DNS_QR | DNS_RD | DNS_RA | flags));
	dns_put(&lab_msg, query + 12, lab_question_bytes(query) - 12);
	lab_msg.bytes[5] = 1;
}

static inline void lab_answer(const struct inproc *gw, uint16_t flags)
{
	lab_answer_to(lab_last(gw, SL_PORT_UPLINK)->payload, flags);
}

static inline enum sl_reason lab_reply_to(struct inproc *gw, const struct lab_from *to)
{
	struct packet packet =
	        UDP(.smac = PKT_MAC_OUTER, .dmac = PKT_MAC_INNER, .vlan = to->vlan,
	            .src = to->resolver, .dst = to->client, .sport = 53, .dport = to->sport,
	            .payload = lab_msg.bytes, .payload_len = lab_msg.len);

	return inproc_send(gw, SL_PORT_UPLINK, &packet);
}

static inline enum sl_reason lab_reply(struct inproc *gw)
{
	return lab_reply_to(gw, &lab_client);
}

/* Asks for an address and gets this one. */
static inline void lab_resolve_from(struct inproc *gw, const struct lab_from *from,
                                    const char *name, const char *address, uint32_t ttl)
{
	uint16_t type = strchr(address, ':') ? DNS_AAAA : DNS_A;

	expect(lab_ask_from(gw, from, LAB_ID, name, type), SL_REASON_DNS_ALLOWED);
	lab_answer(gw, 0);
	dns_address(&lab_msg, DNS_ANSWER, "@12", address, ttl);
	expect(lab_reply_to(gw, from), SL_REASON_DNS_ALLOWED);
}

static inline void lab_resolve(struct inproc *gw, const char *name, const char *address,
                               uint32_t ttl)
{
	lab_resolve_from(gw, &lab_client, name, address, ttl);
}

/* ---- connections ---- */

/* Sends a SYN under rule 3 and returns its reason. Every call is another flow. */
static inline enum sl_reason lab_connect_from(struct inproc *gw, const struct lab_from *from,
                                              const char *address)
{
	static uint16_t port = 20000;
	struct packet syn =
	        TCP(.vlan = from->vlan, .src = strchr(address, ':') ? LAB_CLIENT6 : from->client,
	            .dst = address, .sport = port++, .dport = 443, .flags = TCP_SYN, .seq = 1000);

	return inproc_send(gw, SL_PORT_SANDBOX, &syn);
}

static inline enum sl_reason lab_connect(struct inproc *gw, const char *address)
{
	return lab_connect_from(gw, &lab_client, address);
}

static inline const struct sl_event *lab_event(const struct inproc *gw)
{
	const struct sl_event *event = inproc_event_last(gw);

	assert_non_null(event);
	return event;
}

static inline bool lab_event_names(const struct sl_event *event, const char *name)
{
	return event->name_len == strlen(name) && memcmp(event->name, name, event->name_len) == 0;
}

#endif
