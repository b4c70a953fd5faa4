/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_life.h: workers that no longer take turns (a driver that hangs, a lost core), and that do
 * again. Such a worker forwards nothing and enforces no new policy.
 */
#ifndef SLUICE_CONTROL_WORKER_LIFE_H
#define SLUICE_CONTROL_WORKER_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice/generation.h"

/* A turn takes microseconds. */
#define SL_WORKER_LIFE_PATIENCE_MS 2000
/* Between two looks; what passed in a longer one counts for nothing. */
#define SL_WORKER_LIFE_GAP_MS 500

struct rte_rcu_qsbr;

struct sl_worker_life {
	struct rte_rcu_qsbr *qsbr; /* of the workers; NULL: they do not run */
	unsigned workers;
	/* or NULL */
	void (*told)(void *ctx, unsigned worker, bool stuck);
	void *ctx;

	uint64_t token; /* of the turn that is waited for; 0: none */
	uint64_t asked_ms, polled_ms;
	bool stuck[SL_WORKERS_MAX]; /* read by any thread */
};

/* To be called regularly, several times in SL_WORKER_LIFE_GAP_MS. Does not wait. Control thread. */
void sl_worker_life_poll(struct sl_worker_life *life, uint64_t now_ms);

#endif
