/* SPDX-License-Identifier: Apache-2.0 */
/*
 * first.c: a packet that belongs to no flow. Only the sandbox may open one, and only where its
 * policy lets it.
 *
 * Settles with: no-flow, protocol-not-allowed, and what subnet.c, dns.c, hold.c and quic.c say.
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

/* Rules 1, 2 and 4 let it out, or allow-all does. */
static void open_by_address(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason)
{
	struct sl_flow *flow = sl_flow_open(worker, pkt, &pkt->key);

	if (flow == NULL)
		return;
	sl_verdict_flow(worker, flow, reason, NULL);
	sl_pkt_forward(pkt, reason);
}

/* Rule 3: the connection must prove an allowed name. */
static void open_by_name(struct sl_worker *worker, struct sl_pkt *pkt)
{
	if (pkt->proto != IPPROTO_TCP && pkt->proto != IPPROTO_UDP) {
		sl_verdict_refuse(worker, pkt, SL_REASON_PROTOCOL_NOT_ALLOWED, NULL);
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
