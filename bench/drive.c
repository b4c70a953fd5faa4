/* SPDX-License-Identifier: Apache-2.0 */
/* drive.c: pushes and waits, shared by the benches of pushes. */
#include "drive.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#include "document/diag.h"
#include "rig.h"

#define STORMED 500 /* sandboxes that a storm's pushes go to: the union stays near its size */

bool drive_option(struct drive *drive, int letter, unsigned value)
{
	switch (letter) {
	case 's':
		drive->spec.sandboxes = value;
		return true;
	case 'p':
		drive->spec.prefixes = value;
		return true;
	case 'l':
		drive->spec.policies = value;
		return true;
	case 'n':
		drive->spec.patterns = value;
		return true;
	case 'd':
		drive->spec.seed = value;
		return true;
	case 'f':
		drive->flows = value;
		return true;
	case 'F':
		drive->fifo = true;
		return true;
	case 'h':
		drive->huge = true;
		return true;
	default:
		return false;
	}
}

struct sl_reload_tables drive_tables(const struct fleet_spec *spec)
{
	return (struct sl_reload_tables){.prefixes = spec->prefixes / 2 + 16384,
	                                 .tbl8_4 = spec->prefixes / 4 + 8192,
	                                 .tbl8_6 = spec->prefixes * 2 + 32768};
}

void drive_start(struct drive *drive, const struct crew_options *options)
{
	cpu_set_t first;

	drive->reload = crew_start(options);
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	if (drive->fifo &&
	    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 10}) != 0)
		rig_die("SCHED_FIFO is not allowed here");
}

static void finish(int ret, struct sl_diag *diag)
{
	if (ret != 0) {
		sl_diag_print(diag, SL_DIAG_ERROR, stderr);
		rig_die(strerror(-ret));
	}
	sl_diag_free(diag);
}

struct sl_push drive_push_all(struct drive *drive, const char *file)
{
	struct sl_diag diag;
	struct sl_push push;

	sl_diag_init(&diag);
	finish(file != NULL ? sl_reload_push_file(drive->reload, file, &diag, &push)
	                    : sl_reload_push(drive->reload, &drive->fleet.doc, &diag, &push),
	       &diag);
	return push;
}

struct sl_push drive_push_one(struct drive *drive, unsigned i)
{
	struct sl_policy_doc one = {
	        .file = "one", .entries = &drive->fleet.entries[i], .n_entries = 1};
	struct sl_reload_patch patch = {.doc = &one};
	struct sl_diag diag;
	struct sl_push push;

	sl_diag_init(&diag);
	finish(sl_reload_patch(drive->reload, &patch, &diag, &push), &diag);
	return push;
}

uint64_t drive_enforced_us(const struct sl_push *push)
{
	return push->check_us + push->compile_us + push->wait_us;
}

void drive_storm(struct drive *drive, unsigned rate, uint64_t until_ns,
                 void (*note)(const struct sl_push *push))
{
	unsigned sandboxes = drive->spec.sandboxes;
	unsigned among = sandboxes < STORMED ? sandboxes : STORMED;
	uint64_t due_ns = drive_now_ns(), step_ns = 1000000000u / rate;

	for (; due_ns < until_ns && drive_now_ns() < until_ns; due_ns += step_ns) {
		unsigned i = fleet_below(&drive->fleet, among) * (sandboxes / among);
		struct sl_push push;

		drive_sleep_until(due_ns);
		fleet_change(&drive->fleet, i, 10, 10);
		push = drive_push_one(drive, i);
		if (note != NULL)
			note(&push);
	}
}

uint64_t drive_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void drive_sleep_until(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
	                     .tv_nsec = (long)(ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
		;
}
