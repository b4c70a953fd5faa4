/* SPDX-License-Identifier: Apache-2.0 */
/* forward.h: carries out the verdict of a packet. */
#ifndef DATAPLANE_FORWARD_H
#define DATAPLANE_FORWARD_H

#include "core/state.h"
#include "packet/tx.h"

/*
 * Sends or answers a settled packet, and counts it. Returns the mbuf if it is no longer needed,
 * for the caller to free.
 */
struct rte_mbuf *sl_forward(struct sl_worker *worker, struct sl_pkt *pkt);

/*
 * Sends a packet that leaves as it came: same tag, no bytes after the IP packet. False: use
 * sl_forward.
 */
static inline bool sl_forward_as_is(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	enum sl_port_id out = pkt->in_port == SL_PORT_SANDBOX ? SL_PORT_UPLINK : SL_PORT_SANDBOX;

	if (pkt->fate != SL_FATE_FORWARD || !pkt->tagged ||
	    worker->settings->native_vlan[out] == pkt->vlan || pkt->mbuf->pkt_len != pkt->end ||
	    pkt->end < RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN)
		return false;
	sl_tx_put(worker, out, pkt->mbuf, pkt->vlan,
	          (struct sl_charge){(enum sl_reason)pkt->reason, 1});
	return true;
}

#endif
