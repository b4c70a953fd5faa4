/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers.c: what a second worker adds, and the cost when frames arrive at the wrong worker.
 *
 *   one        one worker, all frames
 *   own        several workers, each receives its own sandboxes' frames, as a port that steers by
 *              VLAN gives them
 *   anywhere   several workers, each receives frames of all sandboxes, and hands the others' over
 *
 * Every process measures one of these; workers.py alternates them. Each worker polls on a core of
 * its own; if there are too few, the control thread, which sleeps, shares one.
 *
 *   bench_workers [--workers N] [--anywhere] [--flows N] [--sandboxes N] [--ms N] [--huge]
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "document/diag.h"
#include "drive.h"
#include "frames.h"
#include "rig.h"

#define SLICES 5

static struct {
	unsigned workers, flows, sandboxes, ms;
	bool anywhere, huge;
} opt = {.workers = 1, .flows = 10000, .sandboxes = 100, .ms = 300};

static void push(struct sl_reload *reload)
{
	char *policy = frames_policy(opt.sandboxes, "custom", 1000);
	struct sl_policy_doc *doc = NULL;
	struct sl_diag diag;

	sl_diag_init(&diag);
	if (sl_policy_doc_read_buffer("bench", policy, strlen(policy), &diag, &doc) != 0 ||
	    sl_reload_push(reload, doc, &diag, NULL) != 0) {
		sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
		rig_die("the policy was refused");
	}
	sl_policy_doc_free(doc);
	sl_diag_free(&diag);
	free(policy);
}

static double slice(void)
{
	struct crew_counts before, after;
	uint64_t began_ns;

	crew_count(&before);
	began_ns = drive_now_ns();
	usleep(opt.ms * 1000);
	crew_count(&after);
	return (double)(after.sent - before.sent) * 1e9 / (double)(drive_now_ns() - began_ns);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void read_options(int argc, char **argv)
{
	static const struct option known[] = {{"workers", 1, NULL, 'w'},   {"flows", 1, NULL, 'f'},
	                                      {"sandboxes", 1, NULL, 's'}, {"ms", 1, NULL, 'm'},
	                                      {"anywhere", 0, NULL, 'a'},  {"huge", 0, NULL, 'h'},
	                                      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned value = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 'w':
			opt.workers = value;
			break;
		case 'f':
			opt.flows = value;
			break;
		case 's':
			opt.sandboxes = value;
			break;
		case 'm':
			opt.ms = value;
			break;
		case 'a':
			opt.anywhere = true;
			break;
		case 'h':
			opt.huge = true;
			break;
		default:
			exit(2);
		}
	}
	if (opt.workers < 1 || opt.workers > SL_WORKERS_MAX || opt.flows < 1)
		rig_die("at least one worker and one flow");
}

int main(int argc, char **argv)
{
	struct crew_options options;
	struct crew_counts end;
	struct sl_reload *reload;
	double rates[SLICES];

	read_options(argc, argv);
	options = (struct crew_options){.workers = opt.workers,
	                                .vlans = opt.sandboxes,
	                                .flows = opt.flows,
	                                .traffic = true,
	                                .anywhere = opt.anywhere};
	crew_start_eal(opt.workers, opt.huge);
	reload = crew_start(&options);
	push(reload);
	crew_open(opt.flows);
	crew_send(true);
	usleep(opt.ms * 1000); /* caches are warm */
	for (unsigned i = 0; i < SLICES; i++)
		rates[i] = slice();
	crew_send(false);
	crew_stop();
	crew_count(&end);
	qsort(rates, SLICES, sizeof(rates[0]), ascending);
	printf("{\"workers\": %u, \"anywhere\": %s, \"flows\": %u, \"mpps\": %.3f"
	       ", \"received\": %" PRIu64 ", \"forwarded\": %" PRIu64 ", \"dropped\": %" PRIu64
	       ", \"handed_over\": %" PRIu64 "}\n",
	       opt.workers, opt.anywhere ? "true" : "false", opt.flows, rates[SLICES / 2] / 1e6,
	       end.received, end.forwarded, end.dropped, end.handed_over);
	sl_reload_free(reload);
	return 0;
}
