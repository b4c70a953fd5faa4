/*
 * crew.h: a gateway's workers on lcores of their own, with traffic from memory, and the reload that
 * they take policies from. What benches of pushes need.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "reload.h"

struct crew_options {
	unsigned workers;
	unsigned vlans; /* what flows are spread over: 1 .. vlans */
	unsigned flows; /* at most */
	bool traffic;   /* frames are kept ready, so that they can be sent round and round */
	struct sl_reload_tables tables;
};

/* What all workers have done. Read while they run, each number is whole, but not all are of one
 * moment. */
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
};

/*
 * Starts the EAL: this thread on the first CPU, `workers` lcores on the next ones, and on the first
 * again where there are too few. huge: memory from hugepages. Ends the program on failure.
 */
void crew_start_eal(unsigned workers, bool huge);

/* Makes reload and workers, and lets them poll. Once in a process. */
struct sl_reload *crew_start(const struct crew_options *options);

/* Opens that many flows, and waits until the workers have seen the first packet of each. */
void crew_open(unsigned flows);

/* Sends the opened flows' packets round and round, or no more. */
void crew_send(bool on);

void crew_count(struct crew_counts *counts);

/* Stops the workers and waits for them. The reload may be freed then. */
void crew_stop(void);

#endif
