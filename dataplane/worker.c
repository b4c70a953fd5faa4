/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c: one turn of a worker, and its memory. All memory is allocated in sl_worker_create; a
 * turn never allocates, waits, logs or makes system calls except through rx and tx.
 */
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include "wire/quic_crypto.h"
#include "flow/names.h"
#include "flow/record.h"
#include "judge/pins.h"
#include "watch/tcp/strict.h"
#include "walk.h"
#include "flow/verdict.h"
#include "core/state.h"
#include "watch/tcp/stream.h"
#include "packet/tx.h"
#include "core/watch.h"

#define SWEEP_BUDGET 256 /* flows that a turn judges again after a push */

static void set_clock(struct sl_worker *worker)
{
	uint64_t now = worker->params.now_us(worker->params.clock_ctx);

	/* If the clock steps back, expired entries must not become valid again. */
	if (now > worker->now_us)
		worker->now_us = now;
	worker->now_ms = (uint32_t)(worker->now_us / 1000);
}

static void take_generation(struct sl_worker *worker)
{
	worker->generation =
	        atomic_load_explicit(&worker->params.publication->current, memory_order_acquire);
	if (worker->generation != NULL && worker->generation->number != worker->swept)
		sl_flow_begin_sweep(worker);
}

/* Puts frames into the burst. in_port is the frame's own if it was handed over. */
static void fill_burst(struct sl_worker *worker, struct rte_mbuf **mbufs, unsigned n, int in_port)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t port = (uint8_t)(in_port < 0 ? mbufs[i]->port : in_port);

		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
		sl_pkt_begin(&worker->pkts[i], mbufs[i], port);
		if (unlikely(in_port < 0))
			worker->stats->rx[port]++;
	}
	if (likely(in_port >= 0))
		worker->stats->rx[in_port] += n;
	worker->pkt_count = n;
}

static void run_burst(struct sl_worker *worker, struct rte_mbuf **mbufs, unsigned n, int in_port)
{
	fill_burst(worker, mbufs, n, in_port);
	sl_pipeline_run(worker);
}

static void look_after(struct sl_worker *worker, bool all)
{
	sl_flow_sweep(worker, all ? UINT32_MAX : SWEEP_BUDGET);
	for (int kind = 0; kind < SL_WATCH_COUNT; kind++)
		if (sl_watchers[kind] != NULL && sl_watchers[kind]->timeouts != NULL)
			sl_watchers[kind]->timeouts(worker);
	sl_strict_timeouts(worker);
	sl_record_timeouts(worker);
	sl_pins_sweep(worker);
	sl_verdict_tell(worker);
	sl_flow_age(worker, all);
}

unsigned sl_worker_turn(struct sl_worker *worker)
{
	struct rte_mbuf *mbufs[SL_BURST_MAX];
	uint16_t burst = worker->settings->burst;
	unsigned received = 0;

	sl_stopwatch_begin(&worker->watch);
	set_clock(worker);
	take_generation(worker);
	for (int port = 0; port < SL_PORT_COUNT; port++) {
		const struct sl_port_io *io = &worker->params.port[port];
		uint16_t n = io->rx != NULL ? io->rx(io->ctx, mbufs, burst) : 0;

		sl_stopwatch_lap(&worker->watch, SL_STAGE_RX);
		if (n > 0)
			run_burst(worker, mbufs, n, port);
		received += n;
	}
	if (worker->params.handover != NULL) {
		unsigned n = rte_ring_dequeue_burst(worker->params.handover[worker->params.id],
		                                    (void **)mbufs, burst, NULL);

		sl_stopwatch_lap(&worker->watch, SL_STAGE_RX);
		if (n > 0)
			run_burst(worker, mbufs, n, -1);
		received += n;
	}
	look_after(worker, false);
	sl_ask_answer(worker);
	sl_stopwatch_lap(&worker->watch, SL_STAGE_AFTER);
	sl_tx_flush(worker);
	sl_stopwatch_lap(&worker->watch, SL_STAGE_TX);
	sl_stopwatch_end(&worker->watch, &worker->stats->stages, received);
	if (worker->params.publication->qsbr != NULL)
		rte_rcu_qsbr_quiescent(worker->params.publication->qsbr, worker->params.id);
	return received;
}

void sl_worker_input(struct sl_worker *worker, enum sl_port_id port, struct rte_mbuf **pkts,
                     uint16_t n)
{
	set_clock(worker);
	take_generation(worker);
	while (n > 0) {
		uint16_t burst = RTE_MIN(n, (uint16_t)SL_BURST_MAX);

		run_burst(worker, pkts, burst, (int)port);
		pkts += burst;
		n -= burst;
	}
	sl_tx_flush(worker);
}

void sl_worker_tick(struct sl_worker *worker)
{
	set_clock(worker);
	take_generation(worker);
	look_after(worker, true);
	sl_tx_flush(worker);
}

void sl_worker_answer(struct sl_worker *worker)
{
	sl_ask_answer(worker);
	sl_tx_flush(worker);
}

uint64_t sl_worker_held(const struct sl_worker *worker)
{
	return worker->stats->held;
}

bool sl_worker_has_to_tell(const struct sl_worker *worker)
{
	return worker->to_tell_count > 0;
}

const struct sl_stats *sl_worker_stats(const struct sl_worker *worker)
{
	return worker->stats;
}

bool sl_worker_settled(const struct sl_worker *worker)
{
	const struct sl_generation *generation =
	        atomic_load_explicit(&worker->params.publication->current, memory_order_acquire);

	return generation == NULL ||
	       atomic_load_explicit(&worker->settled, memory_order_acquire) == generation->number;
}

static bool create_watchers(struct sl_worker *worker)
{
	for (int kind = 0; kind < SL_WATCH_COUNT; kind++)
		if (sl_watchers[kind] != NULL && sl_watchers[kind]->create != NULL &&
		    !sl_watchers[kind]->create(worker))
			return false;
	return true;
}

static bool create_tables(struct sl_worker *worker)
{
	const struct sl_settings *settings = worker->settings;
	uint32_t share = worker->params.count;
	uint32_t flows = RTE_MAX(settings->flows / share, 1u), names;

	worker->held_limit = settings->held_bytes / share;
	/* Flows, pins and queries (no more than flows) each hold a name. */
	names = flows * 2 + RTE_MAX(settings->pins / share, 1u);
	return sl_flow_table_create(&worker->table, flows) && sl_names_create(worker, names) &&
	       sl_pool_create(
	               &worker->chunks, sizeof(struct sl_stream_chunk),
	               (uint32_t)(worker->held_limit / sizeof(struct sl_stream_chunk) + 1)) &&
	       sl_pins_create(worker, RTE_MAX(settings->pins / share, 1u)) &&
	       sl_record_create(worker, flows) && sl_strict_create(worker) &&
	       create_watchers(worker);
}

static bool create_arrays(struct sl_worker *worker)
{
	worker->vlans = sl_pool_reserve(SL_VLAN_COUNT * sizeof(*worker->vlans));
	worker->stats = sl_pool_reserve(sizeof(*worker->stats));
	worker->denials_seen = sl_pool_reserve(SL_DENIALS_SEEN * sizeof(uint64_t));
	worker->to_sweep = sl_pool_reserve(SL_VLAN_COUNT * sizeof(*worker->to_sweep));
	worker->to_tell = sl_pool_reserve(SL_VLAN_COUNT * sizeof(*worker->to_tell));
	worker->scratch = sl_pool_reserve(SL_SCRATCH_BYTES);
	worker->scratch2 = sl_pool_reserve(SL_SCRATCH_BYTES);
	return worker->vlans != NULL && worker->stats != NULL && worker->denials_seen != NULL &&
	       worker->to_sweep != NULL && worker->to_tell != NULL && worker->scratch != NULL &&
	       worker->scratch2 != NULL;
}

struct sl_worker *sl_worker_create(const struct sl_worker_params *params, char *err,
                                   size_t err_size)
{
	struct sl_worker *worker = sl_pool_reserve(sizeof(*worker));

	if (worker == NULL) {
		snprintf(err, err_size, "no memory for worker %u", params->id);
		return NULL;
	}
	worker->params = *params;
	worker->settings = params->settings;
	if (!create_arrays(worker) || !create_tables(worker)) {
		snprintf(err, err_size, "no memory for the tables of worker %u", params->id);
		sl_worker_free(worker);
		return NULL;
	}
	set_clock(worker);
	worker->aged_us = worker->now_us;
	return worker;
}

void sl_worker_warm(struct sl_worker *worker)
{
	sl_flow_table_warm(&worker->table);
}

bool sl_worker_restore_pin(struct sl_worker *worker, const struct sl_kept_pin *pin)
{
	const struct sl_sandbox *sandbox;

	take_generation(worker);
	sandbox = sl_worker_sandbox(worker, pin->vlan);
	return sandbox != NULL && sl_pins_restore(worker, sandbox, pin);
}

void sl_worker_free(struct sl_worker *worker)
{
	if (worker == NULL)
		return;
	for (int kind = SL_WATCH_COUNT - 1; kind >= 0; kind--)
		if (sl_watchers[kind] != NULL && sl_watchers[kind]->destroy != NULL)
			sl_watchers[kind]->destroy(worker);
	sl_strict_destroy(worker);
	sl_record_destroy(worker);
	sl_pins_destroy(worker);
	if (worker->chunks.base != NULL)
		sl_pool_destroy(&worker->chunks);
	sl_names_destroy(worker);
	sl_flow_table_destroy(&worker->table);
	sl_pool_release(worker->scratch2, SL_SCRATCH_BYTES);
	sl_pool_release(worker->scratch, SL_SCRATCH_BYTES);
	sl_pool_release(worker->to_tell, SL_VLAN_COUNT * sizeof(*worker->to_tell));
	sl_pool_release(worker->to_sweep, SL_VLAN_COUNT * sizeof(*worker->to_sweep));
	sl_pool_release(worker->denials_seen, SL_DENIALS_SEEN * sizeof(uint64_t));
	sl_pool_release(worker->stats, sizeof(*worker->stats));
	sl_pool_release(worker->vlans, SL_VLAN_COUNT * sizeof(*worker->vlans));
	sl_pool_release(worker, sizeof(*worker));
}
