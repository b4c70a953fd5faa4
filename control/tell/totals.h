/* SPDX-License-Identifier: Apache-2.0 */
/* totals.h: the sum of all workers' counters, and its two printed forms. */
#ifndef SLUICE_CONTROL_TOTALS_H
#define SLUICE_CONTROL_TOTALS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sluice/stats.h"

/* Packets unless said otherwise. */
struct sl_totals {
	uint64_t packets; /* that were judged */
	uint64_t forwarded;
	uint64_t dropped;
	uint64_t held;
	uint64_t flows; /* that were opened */
	uint64_t reason[SL_REASON_COUNT];
	uint64_t made[SL_PORT_COUNT]; /* frames that the gateway made itself */
	uint64_t made_dropped;
	uint64_t handover_lost;
	uint64_t answers_suppressed;
	uint64_t events_suppressed;
	struct sl_stages stages;
};

/*
 * Adds one worker's counters. Any thread, even while the worker runs (the counters are then not of
 * one moment).
 */
void sl_totals_add(struct sl_totals *totals, const struct sl_stats *stats);

/*
 * True if every packet that came in was forwarded, dropped for a reason, or is held. Call only
 * while no worker runs.
 */
bool sl_totals_balance(const struct sl_totals *totals);

/*
 * Prints "packets N", "forwarded N", "dropped N", "held N" (with_held), "flows N", then
 * "reason NAME N" for each that is not zero, in the order of reason.h.
 */
void sl_totals_print(const struct sl_totals *totals, bool with_held, FILE *out);

/*
 * Prints "cycles STAGE N.N" for each stage of a turn: TSC cycles for each packet that was received,
 * of the turns that were timed (one in SL_STAGES_EVERY). Nothing if none was.
 */
void sl_totals_print_stages(const struct sl_totals *totals, FILE *out);

/* Prints the counters and what the gateway made as one JSON object on one line. */
void sl_totals_print_json(const struct sl_totals *totals, FILE *out);

#endif
