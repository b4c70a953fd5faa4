/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow.c: finds, opens and closes flows. Must never judge an address or a name.
 *
 * Settles with: flow-limit.
 */
#include <netinet/in.h>
#include <rte_tcp.h>

#include "names.h"
#include "record.h"
#include "flows.h"
#include "packet/build.h"
#include "nexthop.h"
#include "verdict.h"
#include "core/state.h"
#include "core/watch.h"

void sl_flow_find(struct sl_worker *worker)
{
	uint16_t idx[SL_BURST_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < worker->pkt_count; i++) {
		struct sl_pkt *pkt = &worker->pkts[i];

		if (sl_pkt_open(pkt) && !pkt->fragment)
			idx[n++] = (uint16_t)i;
	}
	if (n > 0)
		sl_flow_table_find_bulk(&worker->table, worker->pkts, idx, n);
}

static void link_flow(struct sl_worker *worker, uint32_t index)
{
	struct sl_vlan *vlan = &worker->vlans[worker->table.flows[index].key.vlan];
	struct sl_flow_cold *cold = &worker->table.colds[index];

	/*
	 * A first flow takes the sandbox's current epoch: the next epoch then sweeps the flow,
	 * even if no sweep has run before.
	 */
	if (vlan->flows == 0)
		vlan->epoch = cold->epoch;
	cold->next = vlan->flow_head;
	cold->prev = 0;
	if (vlan->flow_head != 0)
		worker->table.colds[vlan->flow_head].prev = index;
	vlan->flow_head = index;
	vlan->flows++;
	worker->stats->flows++;
	worker->stats->flows_opened++;
	worker->opened_in_burst = true;
}

static void unlink_flow(struct sl_worker *worker, uint32_t index)
{
	struct sl_vlan *vlan = &worker->vlans[worker->table.flows[index].key.vlan];
	struct sl_flow_cold *cold = &worker->table.colds[index];

	if (vlan->sweep == index)
		vlan->sweep = cold->next;
	if (cold->prev != 0)
		worker->table.colds[cold->prev].next = cold->next;
	else
		vlan->flow_head = cold->next;
	if (cold->next != 0)
		worker->table.colds[cold->next].prev = cold->prev;
	vlan->flows--;
	worker->stats->flows--;
}

struct sl_flow *sl_flow_open(struct sl_worker *worker, struct sl_pkt *pkt, const struct sl_key *key)
{
	const struct rte_ether_hdr *eth = sl_pkt_at(pkt, const struct rte_ether_hdr, 0);
	const struct sl_vlan *vlan = &worker->vlans[pkt->vlan];
	uint32_t hash = sl_flow_table_hash(&worker->table, key);
	struct sl_flow_cold *cold;
	struct sl_flow *flow = NULL;

	if (vlan->flows < worker->settings->flows_per_sandbox &&
	    sl_shared_room(worker, worker->table.capacity, worker->table.used, vlan->flows, 1))
		flow = sl_flow_table_insert(&worker->table, key, hash);
	if (flow == NULL) {
		sl_verdict_refuse(worker, pkt, SL_REASON_FLOW_LIMIT, NULL);
		return NULL;
	}
	cold = sl_flow_cold(&worker->table, flow);
	cold->mac_inside = eth->src_addr;
	cold->mac_remote = eth->dst_addr;
	if (key->proto == IPPROTO_UDP &&
	    !sl_nexthop_is_known(&worker->vlans[pkt->vlan], &eth->dst_addr)) {
		const struct rte_ether_addr *latest =
		        sl_nexthop_latest(worker, &worker->vlans[pkt->vlan]);

		if (latest != NULL) /* for frames that the gateway sends in its place */
			cold->mac_remote = *latest;
	}
	sl_build_remember(worker, pkt, flow);
	cold->epoch = pkt->sandbox->epoch;
	cold->opened_s = (uint32_t)(worker->now_us / 1000000);
	flow->state = SL_FLOW_ESTABLISHED;
	if (pkt->fragment) {
		flow->flags = SL_FLOW_FRAGMENTS;
	} else if (key->proto == IPPROTO_TCP) {
		const struct rte_tcp_hdr *tcp =
		        sl_pkt_at(pkt, const struct rte_tcp_hdr, pkt->l4_off);

		flow->state = SL_FLOW_SYN_SENT;
		cold->iss = rte_be_to_cpu_32(tcp->sent_seq);
		flow->ack[1] = cold->iss + 1;
		flow->sent = cold->iss + 1;
	}
	link_flow(worker, sl_flow_index(&worker->table, flow));
	sl_flow_touch(worker, flow);
	pkt->flow = flow;
	return flow;
}

/* Ends inspection of the flow. */
static void end_watch(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	const struct sl_watcher *watcher = sl_watcher_of(flow);

	if (watcher != NULL)
		watcher->end(worker, flow, reason);
	flow->watch = SL_WATCH_NONE;
}

void sl_flow_close(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);

	end_watch(worker, flow, reason);
	sl_record_end(worker, flow);
	sl_names_drop(worker, cold->name);
	unlink_flow(worker, sl_flow_index(&worker->table, flow));
	sl_flow_table_remove(&worker->table, flow);
}

void sl_flow_refuse(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason,
                    const struct sl_proof *proof)
{
	end_watch(worker, flow, reason);
	flow->state = SL_FLOW_REFUSED;
	sl_verdict_flow(worker, flow, reason, proof);
	sl_flow_touch(worker, flow);
}

void sl_flow_touch(struct sl_worker *worker, struct sl_flow *flow)
{
	const struct sl_settings *settings = worker->settings;
	const struct sl_watcher *watcher = sl_watcher_of(flow);
	uint32_t timeout = settings->udp_ms;

	if (watcher != NULL && watcher->idle_ms != NULL) {
		timeout = watcher->idle_ms(settings);
	} else if (flow->key.proto == IPPROTO_TCP && !(flow->flags & SL_FLOW_FRAGMENTS)) {
		if (flow->state == SL_FLOW_SYN_SENT || flow->state == SL_FLOW_SYN_RCVD)
			timeout = settings->tcp_opening_ms;
		else if (flow->state == SL_FLOW_CLOSING || flow->state == SL_FLOW_REFUSED)
			timeout = settings->tcp_closing_ms;
		else
			timeout = settings->tcp_established_ms;
	} else if (flow->key.proto == IPPROTO_ICMP || flow->key.proto == IPPROTO_ICMPV6) {
		timeout = settings->icmp_ms;
	}
	flow->expires_ms = worker->now_ms + timeout;
}
