/*
 * tx.h: frames on their way out, and who they count for.
 */
#ifndef DATAPLANE_TX_H
#define DATAPLANE_TX_H

#include "state.h"

/*
 * Queues a frame for a port; takes the mbuf. weight: how many packets that came in are counted
 * under `reason` once the port has taken the frame (or under tx-full if it has not); 0 for a frame
 * that the gateway made itself.
 */
void sl_tx_put(struct sl_worker *worker, enum sl_port_id port, struct rte_mbuf *mbuf, uint16_t vlan,
               enum sl_reason reason, unsigned weight);

/* Hands everything queued to the ports; what they do not take is freed and counted. */
void sl_tx_flush(struct sl_worker *worker);

#endif
