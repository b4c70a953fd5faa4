/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stopwatch.h: what each stage of a turn costs, in TSC cycles. Reading the TSC costs as much as a
 * stage does for a packet, so only one turn in SL_STAGES_EVERY is timed.
 */
#ifndef DATAPLANE_STOPWATCH_H
#define DATAPLANE_STOPWATCH_H

#include <stdbool.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>

#include "sluice/stats.h"

struct sl_stopwatch {
	bool on;
	uint32_t turn;
	uint64_t last_tsc;
	uint64_t tsc[SL_STAGE_COUNT]; /* of this turn */
};

static inline void sl_stopwatch_begin(struct sl_stopwatch *watch)
{
	watch->on = (++watch->turn & (SL_STAGES_EVERY - 1)) == 0;
	if (unlikely(watch->on)) {
		for (int stage = 0; stage < SL_STAGE_COUNT; stage++)
			watch->tsc[stage] = 0;
		watch->last_tsc = rte_rdtsc();
	}
}

/* Adds the time since the last call to this stage. */
static inline void sl_stopwatch_lap(struct sl_stopwatch *watch, enum sl_stage stage)
{
	if (unlikely(watch->on)) {
		uint64_t now = rte_rdtsc();

		watch->tsc[stage] += now - watch->last_tsc;
		watch->last_tsc = now;
	}
}

/*
 * Adds the turn to the counters. Idle turns are left out: they have no packet to divide their cost
 * by.
 */
static inline void sl_stopwatch_end(struct sl_stopwatch *watch, struct sl_stages *stages,
                                    unsigned received)
{
	if (likely(!watch->on || received == 0))
		return;
	for (int stage = 0; stage < SL_STAGE_COUNT; stage++)
		stages->tsc[stage] += watch->tsc[stage];
	stages->packets += received;
}

#endif
