/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragment.c: IP fragments. They have no ports and prove no name, so only addresses judge them
 * (spec section 6).
 *
 * Settles with: fragment, no-flow, deny-all, the subnet reasons, flow-limit.
 */
#include "judge/subnet.h"
#include "flow/flows.h"
#include "walk.h"
#include "flow/verdict.h"
#include "core/state.h"

#define WALKS_PER_SECOND 1000   /* over the sandbox's flows */
#define FLOWS_PER_SECOND 500000 /* that such walks look at */
#define FOUND_FOR_MS     1000   /* how long a found flow lets more fragments of its peer pass */

/* Opens a flow without ports, which stands for the fragments to an address. */
static void open_for_fragments(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason)
{
	uint32_t hash = sl_flow_table_hash(&worker->table, &pkt->key);
	struct sl_flow *flow = sl_flow_table_find(&worker->table, &pkt->key, hash);

	if (flow != NULL && !sl_flow_rejudge(worker, flow))
		flow = NULL;
	if (flow == NULL) {
		flow = sl_flow_open(worker, pkt, &pkt->key);
		if (flow == NULL)
			return;
		sl_verdict_flow(worker, flow, reason, NULL);
	}
	sl_flow_touch(worker, flow);
	sl_pkt_forward(pkt, reason);
}

static void from_sandbox(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_address address;
	struct sl_addr remote;
	enum sl_reason reason;

	sl_subnet_look_pkt(worker, pkt, &remote, &address);
	if (!sl_subnet_settles(pkt->sandbox, &address, &reason))
		reason = SL_REASON_FRAGMENT;
	if (sl_reason_allows(reason))
		open_for_fragments(worker, pkt, reason);
	else
		sl_verdict_refuse_quietly(worker, pkt, reason);
}

static bool vouches(const struct sl_worker *worker, const struct sl_flow *flow,
                    const struct sl_addr *remote, uint8_t proto)
{
	struct sl_addr other;

	if (flow->key.proto != proto || sl_due(worker, flow->expires_ms) ||
	    !sl_flow_is_by_address(flow) ||
	    sl_flow_cold(&worker->table, flow)->epoch !=
	            sl_worker_sandbox(worker, flow->key.vlan)->epoch)
		return false;
	sl_key_remote(&flow->key, &other);
	return sl_addr_equal(&other, remote);
}

/* Limits walks: each visits all flows of the sandbox, and other sandboxes share the worker. */
static bool may_walk(struct sl_worker *worker, struct sl_vlan *vlan)
{
	uint32_t rate = RTE_MIN(FLOWS_PER_SECOND / (vlan->flows + 1), (uint32_t)WALKS_PER_SECOND);

	return sl_rate_take(&vlan->fragment_walks, worker->now_us, RTE_MAX(rate, 1u));
}

static void from_uplink(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_vlan *vlan = &worker->vlans[pkt->vlan];
	struct sl_addr remote;

	sl_key_remote(&pkt->key, &remote);
	if (vlan->fragment_proto == pkt->proto && vlan->fragment_epoch == pkt->sandbox->epoch &&
	    !sl_due(worker, vlan->fragment_until_ms) &&
	    sl_addr_equal(&vlan->fragment_remote, &remote)) {
		sl_pkt_forward(pkt, (enum sl_reason)vlan->fragment_reason);
		return;
	}
	/* Not every fragment of an unknown peer may cost a walk. */
	if (!may_walk(worker, vlan)) {
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_RATE_LIMIT);
		return;
	}
	for (uint32_t i = vlan->flow_head; i != 0; i = worker->table.colds[i].next) {
		const struct sl_flow *flow = &worker->table.flows[i];

		if (!vouches(worker, flow, &remote, pkt->proto))
			continue;
		vlan->fragment_remote = remote;
		vlan->fragment_proto = pkt->proto;
		vlan->fragment_reason = flow->reason;
		vlan->fragment_epoch = pkt->sandbox->epoch;
		vlan->fragment_until_ms = worker->now_ms + FOUND_FOR_MS;
		sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
		return;
	}
	sl_verdict_refuse_quietly(worker, pkt, SL_REASON_NO_FLOW);
}

void sl_fragment(struct sl_worker *worker, struct sl_pkt *pkt)
{
	if (pkt->in_port == SL_PORT_SANDBOX)
		from_sandbox(worker, pkt);
	else
		from_uplink(worker, pkt);
}
