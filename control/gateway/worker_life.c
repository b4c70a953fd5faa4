/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_life.c: asks all workers for the end of a turn, as a push does, and waits without waiting.
 */
#include "worker_life.h"

#include <rte_rcu_qsbr.h>

/* Whether it has ended a turn since the token was made. One that waits for nothing is offline. */
static bool has_seen(const struct sl_worker_life *life, unsigned worker)
{
	uint64_t seen = __atomic_load_n(&life->qsbr->qsbr_cnt[worker].cnt, __ATOMIC_ACQUIRE);

	return seen == 0 || seen >= life->token; /* 0: offline */
}

static void set(struct sl_worker_life *life, unsigned worker, bool stuck)
{
	if (life->stuck[worker] == stuck)
		return;
	__atomic_store_n(&life->stuck[worker], stuck, __ATOMIC_RELAXED);
	if (life->told != NULL)
		life->told(life->ctx, worker, stuck);
}

void sl_worker_life_poll(struct sl_worker_life *life, uint64_t now_ms)
{
	uint64_t gap_ms = now_ms - life->polled_ms;
	bool all = true;

	if (life->qsbr == NULL)
		return;
	life->polled_ms = now_ms;
	/* The process was stopped, maybe, or the machine slept, and the workers with it. */
	if (gap_ms > SL_WORKER_LIFE_GAP_MS)
		life->asked_ms = now_ms;
	for (unsigned worker = 0; life->token != 0 && worker < life->workers; worker++) {
		bool seen = has_seen(life, worker);

		all &= seen;
		if (seen)
			set(life, worker, false);
		else if (now_ms - life->asked_ms >= SL_WORKER_LIFE_PATIENCE_MS)
			set(life, worker, true);
	}
	/* While one is late the token stays: a new one would count the wait from its start again.
	 */
	if (all) {
		life->token = rte_rcu_qsbr_start(life->qsbr);
		life->asked_ms = now_ms;
	}
}
