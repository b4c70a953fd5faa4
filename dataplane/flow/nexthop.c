/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexthop.c: which next hops on the uplink have answered a sandbox. Must never learn one from a
 * frame that the sandbox sent.
 */
#include "nexthop.h"

#include <netinet/in.h>
#include <rte_tcp.h>
#include <string.h>

void sl_nexthop_learn(struct sl_worker *worker, uint16_t vlan, const struct rte_ether_addr *mac)
{
	struct sl_nexthop *hops = worker->vlans[vlan].hops;
	unsigned i = 0;

	/* The latest is first; the one that was silent longest is replaced. */
	while (i < SL_NEXTHOPS - 1 && hops[i].known && !rte_is_same_ether_addr(&hops[i].mac, mac))
		i++;
	memmove(hops + 1, hops, i * sizeof(*hops));
	hops[0] = (struct sl_nexthop){.mac = *mac, .known = true, .seen_ms = worker->now_ms};
}

void sl_nexthop_keep(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	const struct sl_flow_cold *cold = sl_flow_cold(&worker->table, pkt->flow);
	struct rte_ether_hdr *eth = sl_pkt_at(pkt, struct rte_ether_hdr, 0);

	sl_nexthop_raise(pkt);
	if (pkt->proto == IPPROTO_TCP && (pkt->tcp_flags & RTE_TCP_SYN_FLAG) &&
	    pkt->payload_len == 0)
		return;
	if (sl_nexthop_is_known(&worker->vlans[pkt->vlan], &cold->mac_remote))
		eth->dst_addr = cold->mac_remote;
	else
		sl_nexthop_steer(worker, pkt);
}
