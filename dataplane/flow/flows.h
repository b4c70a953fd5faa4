/* SPDX-License-Identifier: Apache-2.0 */
/* flows.h: finds, opens and closes flows, and keeps their TCP states. */
#ifndef DATAPLANE_FLOW_FLOWS_H
#define DATAPLANE_FLOW_FLOWS_H

#include "core/state.h"
#include "nexthop.h"
#include "verdict.h"

/* flow.c: finds, opens and closes flows. */
void sl_flow_find(struct sl_worker *worker); /* stage */

/*
 * Opens a flow for a packet from the sandbox. NULL if a limit is reached (the packet is then
 * refused with flow-limit). The flow has no verdict yet.
 */
struct sl_flow *sl_flow_open(struct sl_worker *worker, struct sl_pkt *pkt,
                             const struct sl_key *key);

/* Ends a flow and frees all that belongs to it; packets on hold count under `reason`. */
void sl_flow_close(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason);

/* Sets when a flow expires, by its protocol and state. */
void sl_flow_touch(struct sl_worker *worker, struct sl_flow *flow);

/* Ends a TCP flow by verdict: its later packets are refused with this reason and reset. */
void sl_flow_refuse(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason,
                    const struct sl_proof *proof);

/* Settles a packet of a plain TCP flow (one that is not inspected). */
void sl_flow_tcp(struct sl_worker *worker, struct sl_pkt *pkt);

/* True if the packet may pass without further checks; it is settled then. */
static inline bool sl_flow_fast(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;
	const uint8_t control = 0x01 | 0x02 | 0x04; /* FIN, SYN, RST */

	if (flow->fast_epoch != pkt->sandbox->epoch || sl_due(worker, flow->expires_ms))
		return false;
	if (pkt->proto == 6) {
		const uint8_t *tcp;
		uint32_t seq, ack;

		if ((pkt->tcp_flags & (control | 0x10)) != 0x10) /* ACK, and no other of these */
			return false;
		tcp = sl_pkt_at(pkt, const uint8_t, pkt->l4_off);
		memcpy(&ack, tcp + 8, sizeof(ack));
		flow->ack[sl_flow_side(pkt)] = rte_be_to_cpu_32(ack);
		if (pkt->in_port == SL_PORT_SANDBOX) {
			memcpy(&seq, tcp + 4, sizeof(seq));
			sl_flow_sent(flow, rte_be_to_cpu_32(seq) + pkt->payload_len);
		}
		flow->expires_ms = worker->now_ms + worker->settings->tcp_established_ms;
	} else {
		flow->expires_ms = worker->now_ms + worker->settings->udp_ms;
	}
	if (!sl_flow_is_by_address(flow)) {
		if (pkt->in_port == SL_PORT_SANDBOX) {
			sl_nexthop_raise(pkt);
			sl_nexthop_steer(worker, pkt);
		} else {
			sl_nexthop_heard(worker, pkt);
		}
	}
	sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
	return true;
}

#endif
