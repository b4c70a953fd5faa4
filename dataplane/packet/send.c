/* SPDX-License-Identifier: Apache-2.0 */
/* send.c: sends an allowed packet to the other port, tagged or untagged as that port requires. */
#include "send.h"

#include "build.h"
#include "tx.h"

/* Moves the Ethernet addresses to remove a tag, or to make room for one. */
static bool retag(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_port_id out)
{
	bool want = worker->settings->native_vlan[out] != pkt->vlan;
	uint8_t *at;

	if (want == pkt->tagged)
		return true;
	if (want) {
		at = (uint8_t *)rte_pktmbuf_prepend(pkt->mbuf, RTE_VLAN_HLEN);
		if (at == NULL)
			return false;
		memmove(at, at + RTE_VLAN_HLEN, 2 * RTE_ETHER_ADDR_LEN);
		at[12] = RTE_ETHER_TYPE_VLAN >> 8;
		at[13] = RTE_ETHER_TYPE_VLAN & 0xff;
		at[14] = (uint8_t)(pkt->vlan >> 8);
		at[15] = (uint8_t)pkt->vlan;
		pkt->end += RTE_VLAN_HLEN;
	} else {
		at = rte_pktmbuf_mtod(pkt->mbuf, uint8_t *);
		memmove(at + RTE_VLAN_HLEN, at, 2 * RTE_ETHER_ADDR_LEN);
		rte_pktmbuf_adj(pkt->mbuf, RTE_VLAN_HLEN);
		pkt->end -= RTE_VLAN_HLEN;
	}
	return true;
}

void sl_send_on(struct sl_worker *worker, struct sl_pkt *pkt)
{
	enum sl_port_id out = pkt->in_port == SL_PORT_SANDBOX ? SL_PORT_UPLINK : SL_PORT_SANDBOX;

	if (unlikely(!retag(worker, pkt, out))) {
		sl_count(worker, pkt->vlan, SL_REASON_TX_FULL, 1);
		rte_pktmbuf_free(pkt->mbuf);
		return;
	}
	/*
	 * Only zeros may follow the IP packet, and the gateway pads with them itself: a port might
	 * pad with other bytes.
	 */
	if (unlikely(rte_pktmbuf_pkt_len(pkt->mbuf) != pkt->end ||
	             pkt->end < RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN))
		sl_build_trim(pkt->mbuf, pkt->end);
	sl_tx_put(worker, out, pkt->mbuf, pkt->vlan,
	          (struct sl_charge){(enum sl_reason)pkt->reason, 1});
}
