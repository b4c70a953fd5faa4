/*
 * fragment.c: IP fragments. They have no ports and prove no name, so only addresses judge them
 * (spec section 6).
 *
 * Settles with: fragment, no-flow, deny-all, the subnet reasons, flow-limit.
 */
#include <netinet/in.h>

#include "stages.h"

#define FOUND_FOR_MS 1000 /* how long a found flow vouches for more fragments of its peer */

/* A flow without ports stands for the fragments that went to an address. */
static void open_for_fragments(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason)
{
	struct sl_key key = pkt->key;
	struct sl_flow *flow;

	key.inside_port = 0;
	key.remote_port = 0;
	flow = sl_flow_table_find(&worker->table, &key, sl_flow_table_hash(&worker->table, &key));
	if (flow != NULL && (sl_due(worker, flow->expires_ms) || flow->reason != reason)) {
		sl_flow_close(worker, flow, reason);
		flow = NULL;
	}
	if (flow == NULL) {
		/* Not as TCP: there is no header here to take a state from. */
		flow = sl_flow_table_insert(&worker->table, &key,
		                            sl_flow_table_hash(&worker->table, &key));
		(void)flow;
	}
	sl_pkt_forward(pkt, reason);
}

static void from_sandbox(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_address address;
	struct sl_addr remote;
	enum sl_reason reason;

	sl_key_remote(&pkt->key, &remote);
	sl_subnet_look(worker, pkt->sandbox, &remote, pkt->class, &address);
	reason = sl_subnet_judge(pkt->sandbox, &address);
	if (sl_reason_allows(reason))
		open_for_fragments(worker, pkt, reason);
	else
		sl_verdict_refuse_quietly(worker, pkt,
		                          reason == SL_REASON_NONE ? SL_REASON_FRAGMENT : reason);
}

static bool vouches(const struct sl_worker *worker, const struct sl_flow *flow,
                    const struct sl_addr *remote, uint8_t proto)
{
	struct sl_addr other;

	if (flow->key.proto != proto || sl_due(worker, flow->expires_ms) ||
	    (flow->reason != SL_REASON_SUBNET_ALLOWED && flow->reason != SL_REASON_ALLOW_ALL) ||
	    sl_flow_cold(&worker->table, flow)->epoch !=
	            sl_worker_sandbox(worker, flow->key.vlan)->epoch)
		return false;
	sl_key_remote(&flow->key, &other);
	return sl_addr_equal(&other, remote);
}

static void from_uplink(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_vlan *vlan = &worker->vlans[pkt->vlan];
	struct sl_addr remote;

	sl_key_remote(&pkt->key, &remote);
	(void)vlan;
	for (uint32_t index = vlan->flow_head; index != 0;) {
		if (vouches(worker, &worker->table.flows[index], &remote, pkt->proto)) {
			sl_pkt_forward(pkt, (enum sl_reason)worker->table.flows[index].reason);
			return;
		}
		index = worker->table.colds[index].next;
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
