/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crew.h: a gateway's workers on lcores of their own, with traffic from memory, and the reload that
 * they take policies from. What benches of pushes need.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "pace.h"
#include "reload/reload.h"

struct crew_options {
	unsigned workers;
	unsigned vlans;    /* what flows are spread over: 1 .. vlans */
	unsigned flows;    /* at most */
	bool traffic;      /* frames are kept ready, so that they can be sent in a loop */
	unsigned repeated; /* only those of this many flows; 0: of all */
	unsigned idle_s;   /* after which flows expire; 0: never while a bench runs */
	bool anywhere;     /* every worker receives every sandbox's frames, and hands over */
	struct sl_reload_tables tables;
};

/*
 * The sum of all workers' counters. While they run, each number is consistent, but not all are of
 * one moment.
 */
struct crew_counts {
	uint64_t given;     /* frames that the source made */
	uint64_t sent;      /* frames that the sink took */
	uint64_t received;  /* by the gateway's own counters, from here on */
	uint64_t forwarded; /* and what was handed to tx before a verdict */
	uint64_t dropped;   /* of all reasons */
	uint64_t held;
	uint64_t made; /* by the gateway itself: resets, refusals */
	uint64_t flows;
	uint64_t cut;
	uint64_t handed_over; /* to the worker that owns their sandbox */
};

/*
 * Starts the EAL: this thread on the first CPU, `workers` lcores on the next ones, wrapping around
 * to the first if there are too few. huge: memory from hugepages. Ends the program on failure.
 */
void crew_start_eal(unsigned workers, bool huge);

/* Makes reload and workers, and lets them poll. Once in a process. */
struct sl_reload *crew_start(const struct crew_options *options);

/* Opens that many flows, and waits until the workers have seen the first packet of each. */
void crew_open(unsigned flows);

/* Starts to send the opened flows' packets in a loop, or stops. */
void crew_send(bool on);

/*
 * Sends them at this rate, for all workers together, and measures how long each took; until
 * crew_send(false), after which the figures may be read.
 */
void crew_pace(double frames_per_second);
void crew_paced(struct pace_figures *figures, uint64_t *lost);

/* The lcores return frames untouched, without the gateway; for comparison. */
void crew_bypass(bool on);

void crew_count(struct crew_counts *counts);

/*
 * Nanoseconds in which this thread and all workers were runnable but had no CPU, because the
 * kernel gave it to another process. Compared before and after a push, it tells whether the machine
 * disturbed it. 0 if the kernel does not report it.
 */
uint64_t crew_kept_waiting_ns(void);

/* Nanoseconds that the workers have run on a CPU; 0 if the kernel does not report it. */
uint64_t crew_ran_ns(void);

/* Stops the workers and waits for them. The reload may be freed then. */
void crew_stop(void);

#endif
