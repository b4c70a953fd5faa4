/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow.h: what is remembered of a flow. One hot cache line that every packet reads, one cold line
 * for what only decisions need.
 */
#ifndef DATAPLANE_FLOW_H
#define DATAPLANE_FLOW_H

#include "pkt.h"

enum sl_flow_state {
	SL_FLOW_FREE = 0,
	SL_FLOW_SYN_SENT,    /* TCP: SYN from the sandbox */
	SL_FLOW_SYN_RCVD,    /* TCP: SYN/ACK from the uplink */
	SL_FLOW_ESTABLISHED, /* TCP; also every UDP, ICMP and other flow */
	SL_FLOW_HALF_CLOSED, /* TCP: a FIN from one side */
	SL_FLOW_CLOSING,     /* TCP: FIN from both, or a RST */
	SL_FLOW_REFUSED,     /* TCP: denied or cut; later packets are reset */
	SL_FLOW_STATE_COUNT,
};

/* Flags. */
#define SL_FLOW_FIN_INSIDE 0x01
#define SL_FLOW_FIN_REMOTE 0x02
#define SL_FLOW_FRAGMENTS  0x04 /* a flow of fragments, which have no ports */
#define SL_FLOW_JUDGED     0x08 /* has a verdict; a flow without one is on hold */
#define SL_FLOW_BY_ADDRESS 0x10 /* opened by its address: its bytes are not inspected */

struct sl_flow {
	struct sl_key key;
	/*
	 * The sandbox's epoch if packets of this flow may pass after a check of their TCP flags
	 * alone; 0 if each needs the slow walk. A sandbox's epoch is never 0.
	 */
	uint32_t fast_epoch;
	uint32_t expires_ms; /* worker clock, wraps */
	uint8_t state;       /* enum sl_flow_state */
	uint8_t reason;      /* enum sl_reason: the verdict, once it is judged */
	uint8_t flags;
	uint8_t watch; /* enum sl_watch: who looks into it */
	/*
	 * The last acknowledgement seen from the sandbox [0] and from the uplink [1]: the number
	 * of the other side's next byte, which a reset must carry (RFC 5961).
	 */
	uint32_t ack[2];
	uint32_t sent; /* TCP: the number after the highest byte of the sandbox's that was passed on
	                */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct sl_flow) == 64, "a flow's hot state is one cache line");

struct sl_flow_cold {
	struct rte_ether_addr mac_inside; /* of the sandbox */
	struct rte_ether_addr mac_remote; /* of the next hop on the uplink */
	uint32_t epoch;                   /* of the sandbox, when the flow was last judged */
	uint32_t name;                    /* in the names table; 0: the flow proved none */
	uint32_t kept; /* what its watcher keeps of it (sl_watch_kept); 0: nothing */
	uint32_t next; /* flows of the same sandbox, by index; 0: none */
	uint32_t prev;
	uint32_t record;     /* of what it sent (record.h); 0: none */
	uint32_t iss;        /* TCP: the client's initial sequence number */
	uint32_t mismatches; /* DNS over UDP: answers that fitted no query */
	uint8_t priority;    /* of the sandbox's frames: 802.1p and DEI, the tag's upper 4 bits */
	uint8_t dscp;        /* and of their packets, in the upper 6 bits (RFC 2474) */
	uint8_t via;         /* enum sl_via */
	uint32_t opened_s;   /* worker clock, in seconds */
	uint8_t reserved[5];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct sl_flow_cold) == 64, "a flow's cold state is one cache line");

/* The only writer of a flow's verdict (verdict.c handles the consequences). */
static inline void sl_flow_judge(struct sl_flow *flow, enum sl_reason reason)
{
	flow->reason = (uint8_t)reason;
	flow->flags = (uint8_t)((flow->flags & ~SL_FLOW_BY_ADDRESS) | SL_FLOW_JUDGED);
	if (sl_reason_is_by_address(reason))
		flow->flags |= SL_FLOW_BY_ADDRESS;
}

/* Withdraws a verdict that could not be carried out: the flow is on hold again. */
static inline void sl_flow_unjudge(struct sl_flow *flow)
{
	flow->reason = SL_REASON_NONE;
	flow->flags &= (uint8_t) ~(SL_FLOW_JUDGED | SL_FLOW_BY_ADDRESS);
}

static inline bool sl_flow_is_judged(const struct sl_flow *flow)
{
	return (flow->flags & SL_FLOW_JUDGED) != 0;
}

/* Opened under allow-all or rule 2. False for a flow on hold, or opened by a name or a pin. */
static inline bool sl_flow_is_by_address(const struct sl_flow *flow)
{
	return (flow->flags & SL_FLOW_BY_ADDRESS) != 0;
}

/* The largest receive window (RFC 7323 2.3): a server accepts no byte further ahead. */
#define SL_FLOW_WINDOW_MAX (1u << 30)

/* Notes that bytes of the sandbox's were passed on, up to this number. */
static inline void sl_flow_sent(struct sl_flow *flow, uint32_t end)
{
	if (end - flow->ack[1] <= SL_FLOW_WINDOW_MAX && (int32_t)(end - flow->sent) > 0)
		flow->sent = end;
}

/* Direction of a packet: index into sl_flow.ack. */
static inline unsigned sl_flow_side(const struct sl_pkt *pkt)
{
	return pkt->in_port == SL_PORT_SANDBOX ? 0 : 1;
}

#endif
