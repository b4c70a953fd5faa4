/* SPDX-License-Identifier: Apache-2.0 */
/*
 * first.c: a packet that belongs to no flow. Only the sandbox may open a flow, and only where its
 * policy allows it.
 *
 * Settles with: no-flow, protocol-not-allowed, and the reasons of subnet.c, dns.c, hold.c and
 * quic.c.
 */
#include <netinet/in.h>
#include <rte_tcp.h>

#include "judge/subnet.h"
#include "judge/name.h"
#include "flow/flows.h"
#include "watch/dns/gate.h"
#include "walk.h"
#include "flow/nexthop.h"
#include "flow/verdict.h"
#include "core/state.h"
#include "core/watch.h"

#define DNS_PORT 53

static bool is_syn(const struct sl_pkt *pkt)
{
	return (pkt->tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG;
}

/* Opens a flow that rules 1, 2 and 4, or allow-all, allow. */
static void open_by_address(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason)
{
	struct sl_flow *flow = sl_flow_open(worker, pkt, &pkt->key);

	if (flow == NULL)
		return;
	sl_verdict_flow(worker, flow, reason, NULL);
	sl_pkt_forward(pkt, reason);
}

/* Rule 3a: DNS gave this address for a name whose port the policy opens. */
static void open_by_pin(struct sl_worker *worker, struct sl_pkt *pkt, const struct sl_proof *proof)
{
	struct sl_flow *flow = sl_flow_open(worker, pkt, &pkt->key);

	if (flow == NULL)
		return;
	if (!sl_verdict_flow(worker, flow, SL_REASON_PIN_ALLOWED, proof)) {
		sl_flow_close(worker, flow, SL_REASON_FLOW_LIMIT);
		pkt->flow = NULL;
		sl_pkt_drop(pkt, SL_REASON_FLOW_LIMIT);
		return;
	}
	sl_nexthop_raise(pkt);
	/*
	 * A SYN without payload may go to any next hop, which becomes known by its answer; a
	 * packet with payload needs one that has answered.
	 */
	if (pkt->payload_len > 0)
		sl_nexthop_steer(worker, pkt);
	sl_pkt_forward(pkt, SL_REASON_PIN_ALLOWED);
}

/* True, with the reason in *why, if no name can open the packet's flow. */
static bool is_nameless(const struct sl_pkt *pkt, enum sl_reason *why)
{
	bool transport = pkt->proto == IPPROTO_TCP || pkt->proto == IPPROTO_UDP;

	if (pkt->sandbox->patterns != NULL) {
		*why = SL_REASON_PROTOCOL_NOT_ALLOWED;
		return !transport;
	}
	/* A policy that only has by-address has no rule 3. */
	*why = sl_judge_rule_of(pkt->sandbox, &pkt->key) >= 0 ? SL_REASON_ADDRESS_NOT_PINNED
	                                                      : SL_REASON_ADDRESS_NOT_ALLOWED;
	return true;
}

/* Rules 3a and 3: a pin, or the connection itself, must prove an allowed name. */
static void open_by_name(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_proof proof;
	enum sl_reason why;

	if (sl_judge_by_pin(worker, pkt->sandbox, &pkt->key, &proof)) {
		open_by_pin(worker, pkt, &proof);
		return;
	}
	if (is_nameless(pkt, &why)) {
		sl_verdict_refuse(worker, pkt, why, NULL);
		return;
	}
	if (!sl_judge_pinned(worker, pkt)) {
		sl_verdict_refuse(worker, pkt, SL_REASON_ADDRESS_NOT_PINNED, NULL);
		return;
	}
	sl_nexthop_raise(pkt);
	if (pkt->proto == IPPROTO_TCP) {
		sl_watchers[SL_WATCH_STREAM]->first(worker, pkt);
	} else {
		sl_nexthop_steer(worker, pkt);
		sl_watchers[SL_WATCH_QUIC]->first(worker, pkt);
	}
}

void sl_first_packet(struct sl_worker *worker, struct sl_pkt *pkt)
{
	bool transport = pkt->proto == IPPROTO_TCP || pkt->proto == IPPROTO_UDP;
	struct sl_address address;
	struct sl_addr remote;
	enum sl_reason reason;

	if (pkt->in_port != SL_PORT_SANDBOX) {
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_NO_FLOW);
		return;
	}
	if (pkt->sandbox->mode == SL_MODE_DENY_ALL) {
		sl_verdict_refuse(worker, pkt, SL_REASON_DENY_ALL, NULL);
		return;
	}
	if (pkt->proto == IPPROTO_TCP && !is_syn(pkt)) {
		sl_verdict_refuse(worker, pkt, SL_REASON_NO_FLOW, NULL);
		return;
	}
	sl_subnet_look_pkt(worker, pkt, &remote, &address);
	if (transport && pkt->key.remote_port == RTE_BE16(DNS_PORT)) {
		switch (sl_dns_gate(worker, pkt->sandbox, &remote, &address, &reason)) {
		case SL_DNS_REFUSED_HERE:
			sl_verdict_refuse(worker, pkt, reason, NULL);
			return;
		case SL_DNS_GATED:
			sl_nexthop_raise(pkt);
			sl_watchers[pkt->proto == IPPROTO_TCP ? SL_WATCH_DNS_TCP : SL_WATCH_DNS_UDP]
			        ->first(worker, pkt);
			return;
		case SL_DNS_NOT_GATED:
			break;
		}
	}
	if (!sl_subnet_settles(pkt->sandbox, &address, &reason))
		open_by_name(worker, pkt);
	else if (sl_reason_allows(reason))
		open_by_address(worker, pkt, reason);
	else
		sl_verdict_refuse(worker, pkt, reason, NULL);
}
