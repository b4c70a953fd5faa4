/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_scene.h: sandboxes with policies by address (spec sections 1 and 2), for the tests of rules,
 * flows and answers.
 */
#ifndef TESTS_PIPELINE_FLOW_SCENE_H
#define TESTS_PIPELINE_FLOW_SCENE_H

#include <time.h>
#include "scene.h"

#define INSIDE "10.0.0.2"

#define PUBLIC "198.51.100.10"

#define INSIDE6 "fd00::2"

#define PUBLIC6 "2001:db8:7::1"

#define ALL 101 /* allow-all */

#define NONE 102 /* deny-all */

#define NETS 103 /* addresses alone */

#define BOTH 104 /* names and addresses */

#define POLICY                                                                                     \
	"sandboxes:\n"                                                                             \
	"  - {vlan: 101, name: all}\n"                                                             \
	"  - {vlan: 102, name: none, policy: deny-all}\n"                                          \
	"  - vlan: 103\n"                                                                          \
	"    policy:\n"                                                                            \
	"      subnets:\n"                                                                         \
	"        allow: [203.0.113.0/24, 10.1.0.0/16, 10.9.9.9, '2001:db8:20::/48', "              \
	"'fd00:1::/32',"                                                                           \
	"                '64:ff9b::/96']\n"                                                        \
	"        deny: [10.1.2.0/24, 203.0.113.128/25, '2001:db8:20:f::/64', 192.0.2.0/24]\n"      \
	"  - vlan: 104\n"                                                                          \
	"    policy:\n"                                                                            \
	"      allow: [good.example]\n"                                                            \
	"      subnets: {allow: [203.0.113.0/24], deny: [203.0.113.64/26, 198.51.100.128/25]}\n"

static inline enum sl_reason udp_to(struct inproc *gw, uint16_t vlan, const char *dst)
{
	return OUT(gw, .proto = 17, .vlan = vlan, .src = strchr(dst, ':') ? INSIDE6 : INSIDE,
	           .dst = dst, .sport = 5000, .dport = 6000, PKT_TEXT("x"));
}

/* The datagram that answers udp_to(), from that server. */
static inline struct packet_spec udp_answer(uint16_t vlan, const char *src, const char *text)
{
	return (struct packet_spec){.proto = 17,
	                            .vlan = vlan,
	                            .src = src,
	                            .dst = INSIDE,
	                            .sport = 6000,
	                            .dport = 5000,
	                            .payload = text,
	                            .payload_len = strlen(text)};
}

static inline enum sl_reason udp_back(struct inproc *gw, uint16_t vlan, const char *src,
                                      const char *text)
{
	return send_spec(gw, UPLINK, udp_answer(vlan, src, text));
}

/* A datagram of a flow of its own for each port. */
static inline enum sl_reason udp_by_port(struct inproc *gw, uint16_t vlan, uint16_t sport)
{
	return OUT(gw, .proto = 17, .vlan = vlan, .src = INSIDE, .dst = PUBLIC, .sport = sport,
	           .dport = 9, PKT_TEXT("x"));
}

static inline enum sl_reason syn_to(struct inproc *gw, uint16_t vlan, const char *dst,
                                    uint16_t dport)
{
	return OUT(gw, .proto = 6, .vlan = vlan, .src = strchr(dst, ':') ? INSIDE6 : INSIDE,
	           .dst = dst, .sport = 5000, .dport = dport, .flags = TCP_SYN, .seq = 77);
}

static inline struct conn conn_to(struct inproc *gw, uint16_t vlan, const char *dst)
{
	struct conn c = conn_of(gw);

	c.vlan = vlan;
	c.server = dst;
	return c;
}

/* An ICMP error from a router on the way, or of the sandbox's to this address. */
static inline struct packet_spec icmp_error(uint16_t vlan, uint8_t type, uint8_t code)
{
	return (struct packet_spec){.proto = 1,
	                            .vlan = vlan,
	                            .src = "192.0.2.77",
	                            .dst = INSIDE,
	                            .icmp_type = type,
	                            .icmp_code = code};
}

static inline struct packet_spec icmp_error_to(uint16_t vlan, const char *dst, uint8_t type,
                                               uint8_t code)
{
	struct packet_spec spec = icmp_error(vlan, type, code);

	spec.src = INSIDE;
	spec.dst = dst;
	return spec;
}

/* The IP packet of a frame, as an error quotes it. */
static inline struct packet_spec quoting(struct packet_spec spec, const struct packet *quoted)
{
	spec.payload = quoted->bytes + 18;
	spec.payload_len = quoted->len - 18;
	return spec;
}

#endif
