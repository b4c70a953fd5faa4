/* SPDX-License-Identifier: Apache-2.0 */
/* tx.h: frames to be sent, and what they are counted as. */
#ifndef DATAPLANE_TX_H
#define DATAPLANE_TX_H

#include "core/state.h"

/* What a frame counts as: this many received packets, under this reason. */
struct sl_charge {
	enum sl_reason reason;
	unsigned weight;
};

/* A frame that the gateway made: it counts as no received packet. */
#define SL_CHARGE_NOTHING ((struct sl_charge){.weight = 0})

/* Passes the queued frames to their port; frames that it does not take are freed and counted. */
void sl_tx_flush_port(struct sl_worker *worker, enum sl_port_id port);

/*
 * Queues a frame for a port; takes the mbuf. The charge is counted once the port has taken the
 * frame, or under tx-full if it has not.
 */
static inline void sl_tx_put(struct sl_worker *worker, enum sl_port_id port, struct rte_mbuf *mbuf,
                             uint16_t vlan, struct sl_charge charge)
{
	struct sl_tx *tx = &worker->tx[port];

	if (unlikely(tx->count == SL_TX_BUFFER))
		sl_tx_flush_port(worker, port);
	tx->mbuf[tx->count] = mbuf;
	tx->account[tx->count++] = (struct sl_tx_account){
	        .vlan = vlan,
	        .weight = (uint16_t)charge.weight,
	        .reason = (uint8_t)charge.reason,
	};
}

/* The same for both ports. */
void sl_tx_flush(struct sl_worker *worker);

#endif
