/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace.h: frames that are due at fixed moments, whether or not the worker is ready, as a wire
 * delivers them, and how long each took from that moment until it was handed to tx.
 *
 * The moments are fixed in advance, so the waiting time during a slow turn is counted in full. A
 * frame that finds PACE_RING others waiting is lost, as in a port's receive ring.
 */
#ifndef BENCH_PACE_H
#define BENCH_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;

#define PACE_RING    4096
#define PACE_BUCKETS 1024

struct pace {
	double tsc_per_frame; /* 0: frames are not paced */
	uint64_t began_tsc;
	uint64_t due; /* frames that were due up to now */
	uint64_t given, lost;
	uint64_t taken[PACE_BUCKETS]; /* frames by the time they took */
};

struct pace_figures {
	uint64_t frames;
	double p50_us, p99_us, p999_us, max_us;
};

/* Once, before the first mbuf pool is made. Ends the program on failure. */
void pace_register(void);

void pace_begin(struct pace *pace, double frames_per_second);

/* How many of at most n frames are due by now. */
uint16_t pace_take(struct pace *pace, uint16_t n);

/* Marks the i-th of the n frames that were taken last with the moment at which it was due. */
void pace_stamp(const struct pace *pace, struct rte_mbuf *mbuf, uint16_t i, uint16_t n);

/* Notes the time that these frames took. */
void pace_note(struct pace *pace, struct rte_mbuf *const *mbufs, uint16_t n);

/* What was noted by all of these. */
void pace_figures(const struct pace *const *paces, unsigned n, struct pace_figures *figures);

#endif
