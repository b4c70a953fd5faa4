/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * stats.h: the counters of one worker. One writer (the worker); readers see each counter whole but
 * not all of them at one moment.
 *
 * At any quiet moment: rx[0] + rx[1] == sum of all reasons + held, where the deny reasons count
 * what was dropped, and the allow reasons what was handed to tx; SL_REASON_NONE counts what was
 * handed to tx before there was a verdict (the handshake of a connection that has yet to prove its
 * name).
 */
#ifndef SLUICE_STATS_H
#define SLUICE_STATS_H

#include "sluice/addr.h"
#include "sluice/reason.h"
#include "sluice/settings.h"

enum sl_port_id {
	SL_PORT_SANDBOX = 0,
	SL_PORT_UPLINK = 1,
	SL_PORT_COUNT = 2,
};

/** Where a worker's time goes. One turn in SL_STAGES_EVERY is timed, so that it can stay on. */
enum sl_stage {
	SL_STAGE_RX = 0,
	SL_STAGE_PARSE,
	SL_STAGE_SANDBOX,
	SL_STAGE_FLOW,
	SL_STAGE_SUBNET,
	SL_STAGE_JUDGE, /* includes forward: one loop, packet by packet */
	SL_STAGE_AFTER, /* timeouts, expiry, the sweep after a push */
	SL_STAGE_TX,
	SL_STAGE_COUNT,
};

#define SL_STAGES_EVERY 64 /* a power of two */

struct sl_stages {
	uint64_t tsc[SL_STAGE_COUNT]; /* cycles in the timed turns that received something */
	uint64_t packets;             /* that these turns received */
};

static inline const char *sl_stage_name(enum sl_stage stage)
{
	static const char *const names[SL_STAGE_COUNT] = {"rx",     "parse", "sandbox", "flow",
	                                                  "subnet", "judge", "after",   "tx"};

	return names[stage];
}

struct sl_sandbox_stats {
	uint64_t reason[SL_REASON_COUNT]; /* packets; both directions */
};

struct sl_stats {
	uint64_t rx[SL_PORT_COUNT]; /* frames that this worker judged (not those it handed over) */
	uint64_t tx[SL_PORT_COUNT]; /* frames that left by this port, those made here included */
	uint64_t held;              /* packets on hold now */
	uint64_t made[SL_PORT_COUNT]; /* frames that the gateway made itself (resets, refusals) */
	uint64_t made_dropped;        /* such frames that were lost: port full, or no memory */
	uint64_t answers_suppressed;  /* refusals not answered because of the rate limit */
	uint64_t events;              /* events written */
	uint64_t events_suppressed;   /* events left out: rate limit or full ring */
	uint64_t handed_over;         /* frames given to the worker that owns their sandbox */
	uint64_t handover_lost; /* frames that the other worker's ring had no room for (tx-full) */
	uint64_t flows;         /* open now */
	uint64_t flows_opened;
	uint64_t flows_cut;  /* by a policy change */
	uint64_t pins;       /* live now */
	uint64_t hold_bytes; /* memory of holds in use now */
	/*
	 * DNS answers refused only because of their letter case, by the resolver's index in the
	 * config.
	 */
	uint64_t own_case[SL_RESOLVERS_MAX];
	struct sl_stages stages;
	struct sl_sandbox_stats sandbox[SL_VLAN_COUNT]; /* by VLAN; 0: frames of no sandbox */
};

/** Sum of one reason over all sandboxes of a worker. */
static inline uint64_t sl_stats_reason(const struct sl_stats *stats, enum sl_reason reason)
{
	uint64_t sum = 0;

	for (unsigned vlan = 0; vlan < SL_VLAN_COUNT; vlan++)
		sum += stats->sandbox[vlan].reason[reason];
	return sum;
}

/** Packets that came in and were handed to tx. */
static inline uint64_t sl_stats_forwarded(const struct sl_stats *stats)
{
	uint64_t sum = sl_stats_reason(stats, SL_REASON_NONE);

	for (int reason = 0; reason < SL_REASON_COUNT; reason++)
		if (sl_reason_allows((enum sl_reason)reason))
			sum += sl_stats_reason(stats, (enum sl_reason)reason);
	return sum;
}

/** Packets that came in and were dropped. */
static inline uint64_t sl_stats_dropped(const struct sl_stats *stats)
{
	uint64_t sum = 0;

	for (int reason = SL_REASON_NONE + 1; reason < SL_REASON_COUNT; reason++)
		if (!sl_reason_allows((enum sl_reason)reason))
			sum += sl_stats_reason(stats, (enum sl_reason)reason);
	return sum;
}

#endif
