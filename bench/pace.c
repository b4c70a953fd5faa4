/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace.c: the moments at which frames are due, and a histogram of the times they took: 32 buckets
 * for each doubling, so that a figure is accurate to 3 %.
 */
#include "pace.h"

#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include "rig.h"

#define STEPS 32 /* buckets for each doubling */

static int stamp_at;

void pace_register(void)
{
	static const struct rte_mbuf_dynfield field = {
	        .name = "bench_due_tsc", .size = sizeof(uint64_t), .align = sizeof(uint64_t)};

	stamp_at = rte_mbuf_dynfield_register(&field);
	if (stamp_at < 0)
		rig_die("no room for a stamp in mbufs");
}

void pace_begin(struct pace *pace, double frames_per_second)
{
	memset(pace, 0, sizeof(*pace));
	pace->began_tsc = rte_rdtsc();
	pace->tsc_per_frame = (double)rte_get_tsc_hz() / frames_per_second;
}

uint16_t pace_take(struct pace *pace, uint16_t n)
{
	uint64_t waiting;

	pace->due = (uint64_t)((double)(rte_rdtsc() - pace->began_tsc) / pace->tsc_per_frame);
	waiting = pace->due - pace->given - pace->lost;
	if (unlikely(waiting > PACE_RING)) {
		pace->lost += waiting - PACE_RING;
		waiting = PACE_RING;
	}
	n = waiting < n ? (uint16_t)waiting : n;
	pace->given += n;
	return n;
}

void pace_stamp(const struct pace *pace, struct rte_mbuf *mbuf, uint16_t i, uint16_t n)
{
	/* The oldest frames are lost: those given follow them. */
	uint64_t number = pace->given + pace->lost - n + i + 1;

	*RTE_MBUF_DYNFIELD(mbuf, stamp_at, uint64_t *) =
	        pace->began_tsc + (uint64_t)((double)number * pace->tsc_per_frame);
}

static unsigned bucket_of(uint64_t tsc)
{
	unsigned log2;

	if (tsc < STEPS)
		return (unsigned)tsc;
	log2 = 63u - (unsigned)__builtin_clzll(tsc);
	return (log2 - 4) * STEPS + (unsigned)(tsc >> (log2 - 5)) - STEPS;
}

/* The largest time of a bucket, in cycles. */
static double bucket_tsc(unsigned bucket)
{
	if (bucket < STEPS)
		return bucket;
	return (double)(bucket % STEPS + STEPS + 1) * (double)(1ull << (bucket / STEPS - 1));
}

void pace_note(struct pace *pace, struct rte_mbuf *const *mbufs, uint16_t n)
{
	uint64_t now = rte_rdtsc();

	for (uint16_t i = 0; i < n; i++) {
		uint64_t due = *RTE_MBUF_DYNFIELD(mbufs[i], stamp_at, uint64_t *);
		unsigned bucket = bucket_of(now > due ? now - due : 0);

		pace->taken[bucket < PACE_BUCKETS ? bucket : PACE_BUCKETS - 1]++;
	}
}

void pace_figures(const struct pace *const *paces, unsigned n, struct pace_figures *figures)
{
	static uint64_t all[PACE_BUCKETS];
	double us_per_tsc = 1e6 / (double)rte_get_tsc_hz();
	uint64_t seen = 0;

	memset(all, 0, sizeof(all));
	memset(figures, 0, sizeof(*figures));
	for (unsigned p = 0; p < n; p++)
		for (unsigned b = 0; b < PACE_BUCKETS; b++) {
			all[b] += paces[p]->taken[b];
			figures->frames += paces[p]->taken[b];
		}
	for (unsigned b = 0; b < PACE_BUCKETS; b++) {
		double us = bucket_tsc(b) * us_per_tsc;

		if (all[b] == 0)
			continue;
		seen += all[b];
		figures->max_us = us;
		if (figures->p50_us == 0 && seen * 2 >= figures->frames)
			figures->p50_us = us;
		if (figures->p99_us == 0 && seen * 100 >= figures->frames * 99)
			figures->p99_us = us;
		if (figures->p999_us == 0 && seen * 1000 >= figures->frames * 999)
			figures->p999_us = us;
	}
}
