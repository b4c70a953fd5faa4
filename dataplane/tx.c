/*
 * tx.c: hands frames to the ports in bursts. Must never wait: what a port refuses is dropped.
 *
 * Settles with: tx-full.
 */
#include "tx.h"

static void count_sent(struct sl_worker *worker, enum sl_port_id port,
                       const struct sl_tx_entry *entry)
{
	worker->stats->tx[port]++;
	if (entry->weight > 0)
		sl_count(worker, entry->vlan, entry->reason, entry->weight);
	else
		worker->stats->made[port]++;
}

static void count_refused(struct sl_worker *worker, const struct sl_tx_entry *entry)
{
	if (entry->weight > 0)
		sl_count(worker, entry->vlan, SL_REASON_TX_FULL, entry->weight);
	else
		worker->stats->made_dropped++;
}

static void flush_port(struct sl_worker *worker, enum sl_port_id port)
{
	struct sl_tx *tx = &worker->tx[port];
	const struct sl_port_io *io = &worker->params.port[port];
	struct rte_mbuf *burst[SL_TX_BUFFER];
	unsigned sent = 0;

	if (tx->count == 0)
		return;
	for (unsigned i = 0; i < tx->count; i++)
		burst[i] = tx->entry[i].mbuf;
	while (sent < tx->count) {
		uint16_t n = io->tx(io->ctx, burst + sent, (uint16_t)(tx->count - sent));

		if (n == 0)
			break;
		sent += n;
	}
	for (unsigned i = 0; i < sent; i++)
		count_sent(worker, port, &tx->entry[i]);
	for (unsigned i = sent; i < tx->count; i++)
		count_refused(worker, &tx->entry[i]);
	if (sent < tx->count)
		rte_pktmbuf_free_bulk(burst + sent, tx->count - sent);
	tx->count = 0;
}

void sl_tx_put(struct sl_worker *worker, enum sl_port_id port, struct rte_mbuf *mbuf, uint16_t vlan,
               enum sl_reason reason, unsigned weight)
{
	struct sl_tx *tx = &worker->tx[port];

	if (unlikely(tx->count == SL_TX_BUFFER))
		flush_port(worker, port);
	tx->entry[tx->count++] = (struct sl_tx_entry){
	        .mbuf = mbuf,
	        .vlan = vlan,
	        .weight = (uint16_t)weight,
	        .reason = reason,
	};
}

void sl_tx_flush(struct sl_worker *worker)
{
	flush_port(worker, SL_PORT_SANDBOX);
	flush_port(worker, SL_PORT_UPLINK);
}
