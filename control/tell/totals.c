/* SPDX-License-Identifier: Apache-2.0 */
/* totals.c: the sum of all workers' counters. Counts nothing itself. */
#include "totals.h"

#include <inttypes.h>

void sl_totals_add(struct sl_totals *totals, const struct sl_stats *stats)
{
	for (int port = 0; port < SL_PORT_COUNT; port++) {
		totals->packets += stats->rx[port];
		totals->made[port] += stats->made[port];
	}
	for (unsigned vlan = 0; vlan < SL_VLAN_COUNT; vlan++) {
		for (int r = 0; r < SL_REASON_COUNT; r++) {
			uint64_t n = stats->sandbox[vlan].reason[r];

			totals->reason[r] += n;
			/* NONE: let out before there was a verdict (stats.h). */
			if (r == SL_REASON_NONE || sl_reason_allows((enum sl_reason)r))
				totals->forwarded += n;
			else
				totals->dropped += n;
		}
	}
	totals->held += stats->held;
	totals->flows += stats->flows_opened;
	totals->made_dropped += stats->made_dropped;
	totals->handover_lost += stats->handover_lost;
	totals->answers_suppressed += stats->answers_suppressed;
	totals->events_suppressed += stats->events_suppressed;
	for (int stage = 0; stage < SL_STAGE_COUNT; stage++)
		totals->stages.tsc[stage] += stats->stages.tsc[stage];
	totals->stages.packets += stats->stages.packets;
}

bool sl_totals_balance(const struct sl_totals *totals)
{
	return totals->packets == totals->forwarded + totals->dropped + totals->held;
}

void sl_totals_print(const struct sl_totals *totals, bool with_held, FILE *out)
{
	fprintf(out, "packets %" PRIu64 "\n", totals->packets);
	fprintf(out, "forwarded %" PRIu64 "\n", totals->forwarded);
	fprintf(out, "dropped %" PRIu64 "\n", totals->dropped);
	if (with_held)
		fprintf(out, "held %" PRIu64 "\n", totals->held);
	fprintf(out, "flows %" PRIu64 "\n", totals->flows);
	for (int r = SL_REASON_NONE + 1; r < SL_REASON_COUNT; r++)
		if (totals->reason[r] != 0)
			fprintf(out, "reason %s %" PRIu64 "\n", sl_reason_name((enum sl_reason)r),
			        totals->reason[r]);
}

void sl_totals_print_stages(const struct sl_totals *totals, FILE *out)
{
	const struct sl_stages *stages = &totals->stages;

	for (int stage = 0; stage < SL_STAGE_COUNT && stages->packets > 0; stage++)
		fprintf(out, "cycles %s %.1f\n", sl_stage_name((enum sl_stage)stage),
		        (double)stages->tsc[stage] / (double)stages->packets);
}

void sl_totals_print_json(const struct sl_totals *totals, FILE *out)
{
	const char *comma = "";

	fprintf(out,
	        "{\"packets\":%" PRIu64 ",\"forwarded\":%" PRIu64 ",\"dropped\":%" PRIu64
	        ",\"flows\":%" PRIu64 ",\"reasons\":{",
	        totals->packets, totals->forwarded, totals->dropped, totals->flows);
	for (int r = SL_REASON_NONE + 1; r < SL_REASON_COUNT; r++) {
		if (totals->reason[r] == 0)
			continue;
		fprintf(out, "%s\"%s\":%" PRIu64, comma, sl_reason_name((enum sl_reason)r),
		        totals->reason[r]);
		comma = ",";
	}
	fprintf(out,
	        "},\"made\":{\"sandbox\":%" PRIu64 ",\"uplink\":%" PRIu64
	        "},\"answers-suppressed\":%" PRIu64 ",\"events-suppressed\":%" PRIu64 "}\n",
	        totals->made[SL_PORT_SANDBOX], totals->made[SL_PORT_UPLINK],
	        totals->answers_suppressed, totals->events_suppressed);
}
