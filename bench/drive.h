/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive.h: what benches of pushes do from the control thread: a fleet in force in a crew's
 * gateway, pushed as a whole or one sandbox at a time, and their clock.
 */
#ifndef BENCH_DRIVE_H
#define BENCH_DRIVE_H

#include <getopt.h>

#include "crew.h"
#include "fleet.h"

/* The largest fleet, which is the default. */
#define DRIVE_FULL                                                                                 \
	{                                                                                          \
		.sandboxes = 4094, .prefixes = 100000, .policies = 1000, .patterns = 200000,       \
		.seed = 1                                                                          \
	}

/* Options that all of them have; drive_option() takes them. */
#define DRIVE_OPTIONS                                                                              \
	{"sandboxes", 1, NULL, 's'}, {"prefixes", 1, NULL, 'p'}, {"policies", 1, NULL, 'l'},       \
	        {"patterns", 1, NULL, 'n'}, {"seed", 1, NULL, 'd'}, {"flows", 1, NULL, 'f'},       \
	        {"fifo", 0, NULL, 'F'},                                                            \
	{                                                                                          \
		"huge", 0, NULL, 'h'                                                               \
	}

struct drive {
	struct fleet_spec spec;
	unsigned flows;
	bool fifo, huge;
	struct fleet fleet;
	struct sl_reload *reload;
};

/* False: the letter is none of DRIVE_OPTIONS. */
bool drive_option(struct drive *drive, int letter, unsigned value);

/* Room for the fleet, and for what changes of it add. */
struct sl_reload_tables drive_tables(const struct fleet_spec *spec);

/* Starts the crew, with this thread on the first CPU, before the workers there if fifo. The fleet
 * is made, and not pushed. */
void drive_start(struct drive *drive, const struct crew_options *options);

/* These end the program if the push is refused. file: a policy file instead of the fleet, or NULL.
 */
struct sl_push drive_push_all(struct drive *drive, const char *file);
struct sl_push drive_push_one(struct drive *drive, unsigned i);

/* The time until every worker enforces it; the old generation is freed after that. */
uint64_t drive_enforced_us(const struct sl_push *push);

/*
 * Makes this many pushes a second until then, each giving one sandbox 10 names and 10 subnets of
 * its own; late ones are caught up on. note, if not NULL, is called for each.
 */
void drive_storm(struct drive *drive, unsigned rate, uint64_t until_ns,
                 void (*note)(const struct sl_push *push));

uint64_t drive_now_ns(void);
void drive_sleep_until(uint64_t ns);

#endif
