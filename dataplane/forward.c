/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward.c: carries out the verdict of a packet: it is forwarded, answered or dropped, and
 * counted once. Must never change a verdict.
 */
#include <netinet/in.h>
#include <rte_tcp.h>

#include "forward.h"

#include "packet/send.h"
#include "flow/reject.h"
#include "watch/dns/gate.h"

/* Answers a refused sandbox, within its limit (spec section 2). */
static void answer(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	if (pkt->l3 != SL_L3_IPV4 && pkt->l3 != SL_L3_IPV6)
		return;
	if (pkt->proto == IPPROTO_TCP && (pkt->tcp_flags & RTE_TCP_RST_FLAG))
		return;
	if (!sl_reject_may_answer(worker, pkt->vlan))
		return;
	if (pkt->proto == IPPROTO_TCP)
		sl_reject_tcp(worker, pkt);
	else if (!sl_dns_refusal(worker, pkt))
		sl_reject_icmp(worker, pkt);
}

struct rte_mbuf *sl_forward(struct sl_worker *worker, struct sl_pkt *pkt)
{
	switch ((enum sl_fate)pkt->fate) {
	case SL_FATE_FORWARD:
		sl_send_on(worker, pkt);
		break;
	case SL_FATE_DROP:
		/* A packet that no stage gave a verdict is dropped, and counted as malformed. */
		if (unlikely(pkt->reason == SL_REASON_NONE))
			sl_pkt_drop_quietly(pkt, SL_REASON_MALFORMED_PACKET);
		sl_count(worker, pkt->sandbox != NULL ? pkt->vlan : 0, (enum sl_reason)pkt->reason,
		         1);
		if (!pkt->quiet && pkt->in_port == SL_PORT_SANDBOX)
			answer(worker, pkt);
		return pkt->mbuf;
	case SL_FATE_HELD:
		return pkt->mbuf;
	case SL_FATE_MOVED:
		worker->stats->rx[pkt->in_port]--; /* counted where it is judged */
		break;
	}
	return NULL;
}
