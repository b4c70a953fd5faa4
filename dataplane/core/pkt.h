/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pkt.h: one packet on its walk. Stages fill it in from top to bottom. A packet whose reason is
 * set is settled: it has its verdict, and later stages skip it.
 */
#ifndef DATAPLANE_PKT_H
#define DATAPLANE_PKT_H

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "sluice/generation.h"
#include "sluice/reason.h"
#include "sluice/stats.h"

struct sl_flow;

#define SL_BURST_MAX 64

enum sl_fate {
	SL_FATE_DROP = 0, /* also for a packet that no stage gave a verdict */
	SL_FATE_FORWARD,
	SL_FATE_HELD,  /* its bytes are on hold, the mbuf is no longer needed */
	SL_FATE_MOVED, /* the mbuf was handed over to another worker, which counts it */
};

enum sl_l3 {
	SL_L3_OTHER = 0, /* not IP */
	SL_L3_ARP,
	SL_L3_IPV4,
	SL_L3_IPV6,
};

/* What identifies a flow inside one worker: 16 bytes for IPv4, 40 for IPv6. Network order. */
struct sl_key {
	uint16_t vlan;
	uint8_t proto;
	uint8_t family; /* enum sl_family */
	uint16_t inside_port;
	uint16_t remote_port;
	union {
		struct {
			uint32_t inside4;
			uint32_t remote4;
		};
		struct {
			uint8_t inside6[16];
			uint8_t remote6[16];
		};
	};
};

_Static_assert(sizeof(struct sl_key) == 40, "the key is part of the flow's hot line");

struct sl_pkt {
	struct rte_mbuf *mbuf;
	uint8_t in_port; /* enum sl_port_id */
	uint8_t reason;  /* enum sl_reason; NONE: not settled */
	uint8_t fate;    /* enum sl_fate */
	uint8_t l3;      /* enum sl_l3 */
	uint8_t proto;   /* IP protocol, after any IPv6 fragment header */
	uint8_t tcp_flags;
	bool fragment;
	bool multicast;   /* to a multicast address */
	bool tagged;      /* carries an 802.1Q tag in the frame */
	bool l4_verified; /* the transport checksum was verified */
	bool quiet;       /* refused without an answer */
	uint8_t icmp_type;
	uint16_t vlan; /* 0: unknown */
	uint16_t l3_off;
	uint16_t l4_off;
	uint32_t end;         /* offset of the first byte after the IP packet */
	uint32_t payload_off; /* of TCP, UDP */
	uint32_t payload_len;
	uint32_t hash;
	uint32_t class; /* of the remote address (generation.h), if classified */
	bool classified;
	const struct sl_sandbox *sandbox;
	struct sl_flow *flow;
	struct sl_key key;
};

/* A packet of which nothing is known yet. */
static inline void sl_pkt_begin(struct sl_pkt *pkt, struct rte_mbuf *mbuf, uint8_t in_port)
{
	/* The addresses in the key are not cleared: parse.c writes them. */
	memset(pkt, 0, offsetof(struct sl_pkt, key.inside4));
	pkt->mbuf = mbuf;
	pkt->in_port = in_port;
}

static inline bool sl_pkt_open(const struct sl_pkt *pkt)
{
	return pkt->reason == SL_REASON_NONE && pkt->fate == SL_FATE_DROP;
}

/* Settles a packet as dropped. reject.c answers it if the reason asks for that. */
static inline void sl_pkt_drop(struct sl_pkt *pkt, enum sl_reason reason)
{
	pkt->reason = reason;
	pkt->fate = SL_FATE_DROP;
}

static inline void sl_pkt_drop_quietly(struct sl_pkt *pkt, enum sl_reason reason)
{
	sl_pkt_drop(pkt, reason);
	pkt->quiet = true;
}

static inline void sl_pkt_forward(struct sl_pkt *pkt, enum sl_reason reason)
{
	pkt->reason = reason;
	pkt->fate = SL_FATE_FORWARD;
}

/* Headers up to and including the transport header are contiguous (parse.c ensures it). */
#define sl_pkt_at(pkt, type, offset) rte_pktmbuf_mtod_offset((pkt)->mbuf, type *, (offset))

/* The remote address of the packet's key. */
static inline void sl_key_remote(const struct sl_key *key, struct sl_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->family = key->family;
	if (key->family == SL_FAMILY_4)
		memcpy(addr->bytes, &key->remote4, 4);
	else
		memcpy(addr->bytes, key->remote6, 16);
}

static inline void sl_key_inside(const struct sl_key *key, struct sl_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->family = key->family;
	if (key->family == SL_FAMILY_4)
		memcpy(addr->bytes, &key->inside4, 4);
	else
		memcpy(addr->bytes, key->inside6, 16);
}

#endif
