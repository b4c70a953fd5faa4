/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c: which sandbox sent or receives a packet, and may it use that source address? Must
 * never look at what a policy allows.
 *
 * Settles with: unknown-sandbox, source-spoofed, protected-subnet (multicast), deny-all, and hands
 * frames of sandboxes that another worker owns over to that worker.
 */
#include <netinet/in.h>
#include <rte_ring.h>

#include "sandbox.h"
#include "flow/verdict.h"
#include "core/state.h"

/* Moves a frame to the worker that owns its VLAN, which will parse and judge it. */
static void hand_over(struct sl_worker *worker, struct sl_pkt *pkt, unsigned owner)
{
	pkt->mbuf->port = pkt->in_port;
	if (rte_ring_enqueue(worker->params.handover[owner], pkt->mbuf) != 0) {
		worker->stats->handover_lost++;
		sl_pkt_drop_quietly(pkt, SL_REASON_TX_FULL);
		return;
	}
	worker->stats->handed_over++;
	pkt->fate = SL_FATE_MOVED;
}

/* Addresses that a sandbox without `source` may have. */
static inline bool is_private(uint8_t family, const uint8_t *b)
{
	if (family == SL_FAMILY_6)
		return (b[0] & 0xfe) == 0xfc; /* fc00::/7 */
	return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168) ||
	       (b[0] == 100 && (b[1] & 0xc0) == 64);
}

bool sl_sandbox_owns(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const struct sl_addr *addr)
{
	if (!sandbox->has_source)
		return !worker->settings->source_rule || is_private(addr->family, addr->bytes);
	for (unsigned i = 0; i < sandbox->source_count; i++)
		if (sl_net_contains(&sandbox->sources[i], addr))
			return true;
	return false;
}

/* The same check for a packet, without building a struct sl_addr where it is not needed. */
static inline bool source_is_own(const struct sl_worker *worker, const struct sl_pkt *pkt)
{
	struct sl_addr inside;

	if (likely(!pkt->sandbox->has_source))
		return !worker->settings->source_rule ||
		       is_private(pkt->key.family, pkt->key.inside6);
	sl_key_inside(&pkt->key, &inside);
	return sl_sandbox_owns(worker, pkt->sandbox, &inside);
}

static inline bool may_be_neighbour(const struct sl_pkt *pkt)
{
	return pkt->l3 == SL_L3_ARP || (pkt->l3 == SL_L3_IPV6 && pkt->proto == IPPROTO_ICMPV6);
}

static inline bool has_ports(const struct sl_pkt *pkt)
{
	return pkt->proto == IPPROTO_TCP || pkt->proto == IPPROTO_UDP;
}

static inline void settle(struct sl_worker *worker, struct sl_pkt *pkt)
{
	pkt->sandbox = sl_worker_sandbox(worker, pkt->vlan);
	if (unlikely(pkt->sandbox == NULL)) {
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_UNKNOWN_SANDBOX);
		return;
	}
	if (unlikely(may_be_neighbour(pkt)) && sl_neighbour(worker, pkt))
		return;
	if (unlikely(pkt->l3 != SL_L3_IPV4 && pkt->l3 != SL_L3_IPV6)) {
		sl_verdict_refuse_quietly(worker, pkt,
		                          pkt->sandbox->mode == SL_MODE_DENY_ALL
		                                  ? SL_REASON_DENY_ALL
		                                  : SL_REASON_PROTOCOL_NOT_ALLOWED);
		return;
	}
	/* Multicast has no flows; it is dropped unless neighbour discovery settled it. */
	if (unlikely(pkt->multicast)) {
		sl_verdict_refuse_quietly(worker, pkt,
		                          pkt->sandbox->mode == SL_MODE_DENY_ALL
		                                  ? SL_REASON_DENY_ALL
		                                  : SL_REASON_PROTECTED_SUBNET);
		return;
	}
	if (pkt->in_port == SL_PORT_SANDBOX && unlikely(!source_is_own(worker, pkt))) {
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_SOURCE_SPOOFED);
		return;
	}
	/*
	 * dispatch.c cuts flows that were open before; without flows this is all there is to do.
	 * Packets that must not be answered take the slow path.
	 */
	if (pkt->sandbox->mode == SL_MODE_DENY_ALL && worker->vlans[pkt->vlan].flows == 0 &&
	    has_ports(pkt)) {
		sl_verdict_refuse(worker, pkt, SL_REASON_DENY_ALL, NULL);
		pkt->quiet = pkt->in_port != SL_PORT_SANDBOX || pkt->fragment;
	}
}

void sl_sandbox(struct sl_worker *worker)
{
	unsigned count = worker->params.count, owner;

	for (unsigned i = 0; i < worker->pkt_count; i++) {
		struct sl_pkt *pkt = &worker->pkts[i];

		if (count > 1 && pkt->vlan != 0 &&
		    (owner = sl_worker_of_vlan(pkt->vlan, count)) != worker->params.id) {
			pkt->reason = SL_REASON_NONE;
			hand_over(worker, pkt, owner);
		} else if (sl_pkt_open(pkt)) {
			settle(worker, pkt);
		} else {
			sl_verdict_report(worker, pkt, false, pkt->reason, NULL);
		}
	}
}
