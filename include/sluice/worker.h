/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * worker.h: a worker as control sees it. A worker owns the sandboxes whose VLAN maps to it and
 * everything that belongs to them; no other thread writes that state.
 *
 * Threads: create and free belong to control. turn, input and tick belong to the one thread that
 * runs the worker (an lcore in `sluice run`; the only thread in replay and in tests). The counters
 * may be read by any thread.
 */
#ifndef SLUICE_WORKER_H
#define SLUICE_WORKER_H

#include <stddef.h>

#include "sluice/event.h"
#include "sluice/generation.h"
#include "sluice/quic_ids.h"
#include "sluice/settings.h"
#include "sluice/stats.h"

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;
struct sl_worker;

/** Where frames come from and go to. Both take and return numbers of mbufs and never block. */
struct sl_port_io {
	/* NULL: this worker receives nothing here (others hand frames over to it) */
	uint16_t (*rx)(void *ctx, struct rte_mbuf **pkts, uint16_t n);
	/* takes ownership of the first (return value) mbufs */
	uint16_t (*tx)(void *ctx, struct rte_mbuf **pkts, uint16_t n);
	void *ctx;
};

struct sl_worker_params {
	unsigned id;    /* 0 .. count - 1; also its rcu thread id and scratch index */
	unsigned count; /* workers in all; a VLAN belongs to worker vlan % count */
	const struct sl_settings *settings; /* outlives the worker */
	struct sl_publication *publication; /* outlives the worker */
	struct rte_mempool *pool;           /* for frames that the gateway makes */
	struct sl_port_io port[SL_PORT_COUNT];
	struct rte_ring *const *handover; /* by worker: its own is [id]; NULL if count is 1 */
	struct sl_quic_ids *quic_ids;     /* all workers', outlives them; NULL: it makes its own */
	struct rte_ring *events; /* rte_ring_elem of struct sl_event, single producer; or NULL */
	struct rte_ring *asks;   /* of struct sl_ask * (ask.h), single consumer; or NULL */
	uint64_t (*now_us)(void *ctx); /* microseconds since the Unix epoch, never going back */
	void *clock_ctx;
};

/**
 * Creates a worker and reserves all memory that it will ever use. Returns NULL and a message in
 * err if memory is short or a setting is out of range.
 */
struct sl_worker *sl_worker_create(const struct sl_worker_params *params, char *err,
                                   size_t err_size);

/**
 * Pre-faults the memory that the first flows need, so that no packet waits for a page fault. For
 * `sluice run`; replay does without. Control thread, before the first turn.
 */
void sl_worker_warm(struct sl_worker *worker);

/** A pin of before the gateway's restart: an address that DNS gave to a sandbox for a name. */
struct sl_kept_pin {
	uint16_t vlan;
	struct sl_addr addr;
	const char *name; /* canonical (hostname.h) */
	uint8_t name_len;
	uint32_t life_s; /* from its answer, or from the last flow that it opened */
	uint32_t left_s; /* of it */
};

/**
 * Gives a sandbox of this worker a pin back, within all limits. A sandbox's pins come in the order
 * of their use, the latest last: it stays if there are too many. Returns false if it was not taken:
 * no such sandbox, no room, or no pinning. Control thread, before the first turn and after a policy
 * was published.
 */
bool sl_worker_restore_pin(struct sl_worker *worker, const struct sl_kept_pin *pin);

/** Frees everything, frames on hold included. */
void sl_worker_free(struct sl_worker *worker);

/**
 * One turn: receive, judge, send, look after timeouts, report quiescence. Returns how many frames
 * were received (0: idle, the caller may sleep, reporting offline to rcu meanwhile).
 */
unsigned sl_worker_turn(struct sl_worker *worker);

/**
 * Judges frames as if they had been received on a port now, and flushes what leaves. For replay
 * and tests; a turn does the same with what rx returned. Takes ownership of the mbufs.
 */
void sl_worker_input(struct sl_worker *worker, enum sl_port_id port, struct rte_mbuf **pkts,
                     uint16_t n);

/**
 * Does all that is due by now (timeouts, expiry, the sweep after a new generation), then flushes.
 */
void sl_worker_tick(struct sl_worker *worker);

/**
 * Answers questions (ask.h) as the end of a turn does. For a worker that has stopped, by the thread
 * that waits for the answer.
 */
void sl_worker_answer(struct sl_worker *worker);

/** Packets on hold now. */
uint64_t sl_worker_held(const struct sl_worker *worker);

/** True while suppressed events have yet to be reported. */
bool sl_worker_has_to_tell(const struct sl_worker *worker);

const struct sl_stats *sl_worker_stats(const struct sl_worker *worker);

/** The worker that owns a VLAN. */
static inline unsigned sl_worker_of_vlan(uint16_t vlan, unsigned count)
{
	return vlan % count;
}

/**
 * True once the sweep after the last push is complete: no flow has an epoch older than its
 * sandbox's. Any thread may ask.
 */
bool sl_worker_settled(const struct sl_worker *worker);

#endif
