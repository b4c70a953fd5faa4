/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexthop.h: makes sure that frames of judged flows reach the server (spec section 2): they go to
 * a next hop that has answered this sandbox, with a hop limit that is enough for any real path. If
 * the sandbox could make a frame die on the way, the gateway would count it as seen by the server.
 */
#ifndef DATAPLANE_NEXTHOP_H
#define DATAPLANE_NEXTHOP_H

#include "core/state.h"

#define SL_HOP_LIMIT_MIN 64

/* The next hop that answered the sandbox last, if that was recently; NULL: none. */
static inline const struct rte_ether_addr *sl_nexthop_latest(const struct sl_worker *worker,
                                                             const struct sl_vlan *vlan)
{
	const struct sl_nexthop *hop = &vlan->hops[0];

	return hop->known && worker->now_ms - hop->seen_ms < SL_NEXTHOP_MS ? &hop->mac : NULL;
}

static inline bool sl_nexthop_is_known(const struct sl_vlan *vlan, const struct rte_ether_addr *mac)
{
	for (unsigned i = 0; i < SL_NEXTHOPS; i++)
		if (vlan->hops[i].known && rte_is_same_ether_addr(&vlan->hops[i].mac, mac))
			return true;
	return false;
}

/* Learns a next hop from a packet that the gateway has verified. */
void sl_nexthop_learn(struct sl_worker *worker, uint16_t vlan, const struct rte_ether_addr *mac);

/* The same, for a packet from the uplink that is passed on. */
static inline void sl_nexthop_heard(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	const struct rte_ether_hdr *eth = sl_pkt_at(pkt, const struct rte_ether_hdr, 0);
	struct sl_nexthop *hop = &worker->vlans[pkt->vlan].hops[0];

	if (likely(hop->known && rte_is_same_ether_addr(&hop->mac, &eth->src_addr)))
		hop->seen_ms = worker->now_ms;
	else
		sl_nexthop_learn(worker, pkt->vlan, &eth->src_addr);
}

/* The same, and makes it the next hop of the packet's flow. */
static inline void sl_nexthop_answered(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	sl_nexthop_heard(worker, pkt);
	sl_flow_cold(&worker->table, pkt->flow)->mac_remote =
	        sl_pkt_at(pkt, const struct rte_ether_hdr, 0)->src_addr;
}

/*
 * Raises the hop limit of a frame from the sandbox to the minimum. Fields are accessed by their
 * offsets (RFC 791 3.1, RFC 8200 3), because rte_ip.h would also declare the socket API.
 */
static inline void sl_nexthop_raise(const struct sl_pkt *pkt)
{
	uint8_t *ip = sl_pkt_at(pkt, uint8_t, pkt->l3_off);
	uint32_t sum;

	if (pkt->l3 == SL_L3_IPV6 && ip[7] < SL_HOP_LIMIT_MIN)
		ip[7] = SL_HOP_LIMIT_MIN;
	if (pkt->l3 != SL_L3_IPV4 || likely(ip[8] >= SL_HOP_LIMIT_MIN))
		return;
	/* HC' = ~(~HC + ~m + m') for the word that begins with the TTL (RFC 1624 3) */
	sum = (uint16_t) ~(ip[10] << 8 | ip[11]);
	sum += (uint16_t) ~(ip[8] << 8 | ip[9]);
	sum += (uint32_t)(SL_HOP_LIMIT_MIN << 8 | ip[9]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[8] = SL_HOP_LIMIT_MIN;
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

/*
 * Replaces a frame's destination MAC by a known next hop, if nothing ever came from that MAC to
 * this sandbox.
 */
static inline void sl_nexthop_steer(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	struct rte_ether_hdr *eth = sl_pkt_at(pkt, struct rte_ether_hdr, 0);
	const struct sl_vlan *vlan = &worker->vlans[pkt->vlan];
	const struct rte_ether_addr *latest;

	if (likely(sl_nexthop_is_known(vlan, &eth->dst_addr)))
		return;
	latest = sl_nexthop_latest(worker, vlan);
	if (latest != NULL)
		eth->dst_addr = *latest;
}

/*
 * The same for a frame of a known flow on the slow path: once the flow's next hop has answered,
 * frames go there only. A SYN without data goes where the sandbox sends it, since that is how a new
 * next hop becomes known.
 */
void sl_nexthop_keep(struct sl_worker *worker, const struct sl_pkt *pkt);

#endif
