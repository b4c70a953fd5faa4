/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers.h: the workers of `sluice run`: their rings, their lcores, their loop.
 */
#ifndef SLUICE_CONTROL_WORKERS_H
#define SLUICE_CONTROL_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "ports.h"
#include "sluice/event.h"
#include "sluice/worker.h"

struct rte_mempool;
struct sl_totals;
struct sl_workers;

#define SL_WORKERS_HANDOVER_SLOTS 4096 /* frames that wait for their worker */
#define SL_WORKERS_EVENT_SLOTS    8192 /* events that wait for the control thread, each worker's */

struct sl_workers_params {
	unsigned count;
	uint32_t idle_sleep_us;             /* 0: never sleep */
	const struct sl_settings *settings; /* outlives the workers, as do all below */
	struct sl_publication *publication;
	struct rte_mempool *pool;
	struct sl_port *ports; /* SL_PORT_COUNT */
	bool events;           /* false: events are not collected */
};

/*
 * Makes the RCU variable (rte_rcu_qsbr) of the publication. Called before the workers are created,
 * because a policy is published before they run. Returns 0 or -ENOMEM. The EAL is up.
 */
int sl_workers_init_publication(struct sl_publication *publication, unsigned count);
void sl_workers_fini_publication(struct sl_publication *publication);

/* Makes rings and workers; nothing runs yet. Returns NULL and a message in err. */
struct sl_workers *sl_workers_create(const struct sl_workers_params *params, char *err,
                                     size_t err_size);

/* Starts them on the EAL's worker lcores. Returns 0, or -errno and a message in err. */
int sl_workers_launch(struct sl_workers *workers, char *err, size_t err_size);

/*
 * Passes up to max events to `take`, their times converted to the time of day. Returns how many.
 * Control thread.
 */
unsigned sl_workers_take_events(struct sl_workers *workers, unsigned max,
                                void (*take)(void *ctx, const struct sl_event *event), void *ctx);

/* Tells all to stop and waits. False if one does not within timeout_ms (its port is stuck). */
bool sl_workers_stop(struct sl_workers *workers, unsigned timeout_ms);

void sl_workers_totals(const struct sl_workers *workers, struct sl_totals *totals);

/* What all workers do together: frames by port, and flows that are open. */
struct sl_ask;

/*
 * Asks the worker with this number (of the worker that has a VLAN: sl_worker_of_vlan) and waits for
 * its answer. False: it did not answer within timeout_ms, and the question's memory stays its own,
 * or it has too many to answer. Any thread but the control thread.
 */
bool sl_workers_ask(struct sl_workers *workers, unsigned id, struct sl_ask *ask,
                    unsigned timeout_ms, bool *lost);

/*
 * Waits for the answer to a question that is lost so far. False: not yet. Once all workers have
 * stopped, the thread that asks has the answer from their tables; then only one may ask.
 */
bool sl_workers_await(struct sl_workers *workers, unsigned id, struct sl_ask *ask,
                      unsigned timeout_ms);

/* As sl_worker_restore_pin, by the worker that has the VLAN. Before sl_workers_launch. */
bool sl_workers_restore_pin(struct sl_workers *workers, const struct sl_kept_pin *pin);

/* What is to be added to a time of the workers' clock to get the time of day. Any thread. */
int64_t sl_workers_clock_offset_us(struct sl_workers *workers);

struct sl_workers_load {
	uint64_t rx[SL_PORT_COUNT];
	uint64_t tx[SL_PORT_COUNT];
	uint64_t flows;
};

/* Any thread, while the workers are there. */
void sl_workers_load(const struct sl_workers *workers, struct sl_workers_load *out);

/* The counters of one VLAN, over all workers. Any thread, while the workers are there. */
void sl_workers_sandbox(const struct sl_workers *workers, uint16_t vlan,
                        struct sl_sandbox_stats *out);

/*
 * How many answers of the resolver with this index in the config were refused only because of
 * their letter case.
 */
uint64_t sl_workers_own_case(const struct sl_workers *workers, unsigned resolver);

/* All have stopped. NULL is fine. */
void sl_workers_free(struct sl_workers *workers);

#endif
