/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tx.h: frames on their way out, and who they count for.
 */
#ifndef DATAPLANE_TX_H
#define DATAPLANE_TX_H

#include "core/state.h"

/* Hands what is queued for a port to it; what it does not take is freed and counted. */
void sl_tx_flush_port(struct sl_worker *worker, enum sl_port_id port);

/*
 * Queues a frame for a port; takes the mbuf. weight: how many packets that came in are counted
 * under `reason` once the port has taken the frame (or under tx-full if it has not); 0 for a frame
 * that the gateway made itself.
 */
static inline void sl_tx_put(struct sl_worker *worker, enum sl_port_id port, struct rte_mbuf *mbuf,
                             uint16_t vlan, enum sl_reason reason, unsigned weight)
{
	struct sl_tx *tx = &worker->tx[port];

	if (unlikely(tx->count == SL_TX_BUFFER))
		sl_tx_flush_port(worker, port);
	tx->mbuf[tx->count] = mbuf;
	tx->account[tx->count++] = (struct sl_tx_account){
	        .vlan = vlan,
	        .weight = (uint16_t)weight,
	        .reason = (uint8_t)reason,
	};
}

/* The same for both ports. */
void sl_tx_flush(struct sl_worker *worker);

#endif
