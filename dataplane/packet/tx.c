/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tx.c: passes frames to the ports in bursts. Must never wait: frames that a port refuses are
 * dropped.
 *
 * Settles with: tx-full.
 */
#include "tx.h"

static inline void count_sent(struct sl_worker *worker, enum sl_port_id port,
                              const struct sl_tx_account *account)
{
	if (likely(account->weight > 0))
		sl_count(worker, account->vlan, account->reason, account->weight);
	else
		worker->stats->made[port]++;
}

static void count_refused(struct sl_worker *worker, const struct sl_tx_account *account)
{
	if (account->weight > 0)
		sl_count(worker, account->vlan, SL_REASON_TX_FULL, account->weight);
	else
		worker->stats->made_dropped++;
}

void sl_tx_flush_port(struct sl_worker *worker, enum sl_port_id port)
{
	struct sl_tx *tx = &worker->tx[port];
	const struct sl_port_io *io = &worker->params.port[port];
	unsigned sent = 0;

	if (tx->count == 0)
		return;
	while (sent < tx->count) {
		uint16_t n = io->tx(io->ctx, tx->mbuf + sent, (uint16_t)(tx->count - sent));

		if (unlikely(n == 0))
			break;
		sent += n;
	}
	worker->stats->tx[port] += sent;
	for (unsigned i = 0; i < sent; i++)
		count_sent(worker, port, &tx->account[i]);
	for (unsigned i = sent; i < tx->count; i++)
		count_refused(worker, &tx->account[i]);
	if (unlikely(sent < tx->count))
		rte_pktmbuf_free_bulk(tx->mbuf + sent, tx->count - sent);
	tx->count = 0;
}

void sl_tx_flush(struct sl_worker *worker)
{
	sl_tx_flush_port(worker, SL_PORT_SANDBOX);
	sl_tx_flush_port(worker, SL_PORT_UPLINK);
}
