/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.c: a packet of a known flow, on the slow path: is the flow still there, what does the
 * current policy say of it, and which watcher inspects it?
 *
 * Settles with: policy-changed, the flow's own reason, and the reasons of its watcher.
 */
#include <netinet/in.h>
#include <rte_tcp.h>

#include "flow/flows.h"
#include "flow/reject.h"
#include "walk.h"
#include "core/state.h"
#include "core/watch.h"

/* True for a SYN that starts another connection on the same ports, not a retransmission. */
static bool is_new_syn(const struct sl_pkt *pkt, const struct sl_flow *flow)
{
	const struct rte_tcp_hdr *tcp;

	if (pkt->in_port != SL_PORT_SANDBOX ||
	    (pkt->tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) != RTE_TCP_SYN_FLAG)
		return false;
	if (flow->state != SL_FLOW_SYN_SENT && flow->state != SL_FLOW_SYN_RCVD)
		return true;
	tcp = sl_pkt_at(pkt, const struct rte_tcp_hdr, pkt->l4_off);
	return rte_be_to_cpu_32(tcp->sent_seq) + 1 != flow->ack[1];
}

static void refused_flow_packet(struct sl_worker *worker, struct sl_pkt *pkt)
{
	/* reject.c answers the sandbox, within its limit. */
	sl_pkt_drop(pkt, (enum sl_reason)pkt->flow->reason);
	if (pkt->in_port == SL_PORT_UPLINK)
		sl_reject_tcp(worker, pkt);
}

static void walk_known(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;
	const struct sl_watcher *watcher = sl_watcher_of(flow);
	bool tcp = pkt->proto == IPPROTO_TCP;

	if (tcp && flow->state == SL_FLOW_REFUSED) {
		refused_flow_packet(worker, pkt);
	} else if (watcher != NULL) {
		watcher->walk(worker, pkt);
	} else if (tcp) {
		sl_flow_tcp(worker, pkt);
	} else {
		sl_flow_touch(worker, flow);
		sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
	}
}

bool sl_flow_walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t epoch = sl_flow_cold(&worker->table, flow)->epoch;
	bool tcp = pkt->proto == IPPROTO_TCP;

	if (sl_due(worker, flow->expires_ms) || (tcp && is_new_syn(pkt, flow))) {
		sl_flow_close(worker, flow, SL_REASON_HELLO_TIMEOUT);
		pkt->flow = NULL;
		return false;
	}
	if (!sl_flow_rejudge(worker, flow)) {
		/* The flow of the VLAN's former sandbox does not apply to this one's packet. */
		pkt->flow = NULL;
		if (epoch < pkt->sandbox->incarnation)
			return false;
		sl_pkt_drop_quietly(pkt, SL_REASON_POLICY_CHANGED);
		return true;
	}
	walk_known(worker, pkt);
	return true;
}
