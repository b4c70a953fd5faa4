/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storm.c: what a storm of pushes costs established traffic.
 *
 * One worker forwards packets of flows that were opened before, as many as it can, while the
 * fleet's full policies are in force. Slices without pushes and slices with them (1,000 a second,
 * each giving one sandbox, whose flows go on, new patterns and prefixes) alternate, so that the
 * machine's noise falls on both alike. At the end every frame that came in must have gone out.
 * Prints one JSON object.
 *
 *   bench_storm [--sandboxes N] [--prefixes N] [--policies N] [--patterns N] [--seed N]
 *               [--flows N] [--rate N] [--slices N] [--slice-ms N] [--fifo] [--huge]
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drive.h"
#include "rig.h"

#define SLICES_MAX 100

static struct {
	unsigned rate, slices, slice_ms;
} opt = {.rate = 1000, .slices = 10, .slice_ms = 1000};

static struct drive drive = {.spec = DRIVE_FULL, .flows = 100000};

/* ---- Pushes ---- */

static struct {
	uint64_t *us; /* from the call until the worker enforces it */
	unsigned n, room;
} times;

static void note(const struct sl_push *push)
{
	if (times.n < times.room)
		times.us[times.n++] = drive_enforced_us(push);
}

/* ---- Slices ---- */

/*
 * Packets a second, and packets in a second of the worker's own CPU time: other load on the
 * machine lowers the first, the storm lowers both.
 */
struct rate {
	double wall, cpu;
};

static uint64_t forwarded(void)
{
	struct crew_counts counts;

	crew_count(&counts);
	return counts.sent;
}

static struct rate slice(bool with_storm)
{
	uint64_t began_ns = drive_now_ns(), until_ns = began_ns + opt.slice_ms * 1000000ull;
	uint64_t before = forwarded(), ran_ns = crew_ran_ns();
	double packets;

	if (with_storm)
		drive_storm(&drive, opt.rate, until_ns, note);
	drive_sleep_until(until_ns);
	packets = (double)(forwarded() - before);
	ran_ns = crew_ran_ns() - ran_ns;
	return (struct rate){
	        .wall = packets * 1e9 / (double)(drive_now_ns() - began_ns),
	        .cpu = ran_ns > 0 ? packets * 1e9 / (double)ran_ns : 0,
	};
}

static int order_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *list, unsigned n)
{
	qsort(list, n, sizeof(*list), order_doubles);
	return n % 2 == 1 ? list[n / 2] : (list[n / 2 - 1] + list[n / 2]) / 2;
}

static int order_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Compares each slice with its neighbour. */
static double cost_percent(const double *calm, const double *stormy)
{
	double cost[SLICES_MAX];

	for (unsigned i = 0; i < opt.slices; i++)
		cost[i] = calm[i] > 0 ? 100.0 * (1.0 - stormy[i] / calm[i]) : 0;
	return median(cost, opt.slices);
}

static struct {
	double calm[SLICES_MAX], stormy[SLICES_MAX];
} wall, cpu;

static void report(void)
{
	struct crew_counts end;

	crew_count(&end);
	qsort(times.us, times.n, sizeof(*times.us), order_times);
	printf("{\"sandboxes\": %u, \"prefixes\": %u, \"patterns\": %u, \"flows\": %" PRIu64
	       ", \"fifo\": %s, \"rate\": %u, \"slices\": %u, \"slice_ms\": %u",
	       drive.spec.sandboxes, drive.spec.prefixes, drive.spec.patterns, end.flows,
	       drive.fifo ? "true" : "false", opt.rate, opt.slices, opt.slice_ms);
	printf(", \"cost_percent\": %.2f, \"cost_of_cpu_time_percent\": %.2f",
	       cost_percent(wall.calm, wall.stormy), cost_percent(cpu.calm, cpu.stormy));
	printf(", \"calm_mpps\": %.3f, \"storm_mpps\": %.3f", median(wall.calm, opt.slices) / 1e6,
	       median(wall.stormy, opt.slices) / 1e6);
	printf(", \"pushes\": %u, \"p50_us\": %" PRIu64 ", \"p99_us\": %" PRIu64
	       ", \"max_us\": %" PRIu64,
	       times.n, times.us[times.n / 2], times.us[times.n * 99ul / 100],
	       times.us[times.n - 1]);
	printf(", \"given\": %" PRIu64 ", \"received\": %" PRIu64 ", \"forwarded\": %" PRIu64
	       ", \"dropped\": %" PRIu64 ", \"held\": %" PRIu64 ", \"sent\": %" PRIu64
	       ", \"made\": %" PRIu64 ", \"flows_cut\": %" PRIu64 ", \"lost\": %" PRId64 "}\n",
	       end.given, end.received, end.forwarded, end.dropped, end.held, end.sent, end.made,
	       end.cut, (int64_t)(end.given - end.sent));
}

static void start(void)
{
	struct crew_options options = {
	        .workers = 1,
	        .vlans = drive.spec.sandboxes,
	        .flows = drive.flows,
	        .traffic = true,
	        .tables = drive_tables(&drive.spec),
	};

	fleet_make(&drive.fleet, &drive.spec);
	crew_start_eal(1, drive.huge);
	drive_start(&drive, &options);
	drive_push_all(&drive, NULL);
	crew_open(drive.flows);
}

static void read_options(int argc, char **argv)
{
	static const struct option known[] = {DRIVE_OPTIONS,
	                                      {"rate", 1, NULL, 'r'},
	                                      {"slices", 1, NULL, 'c'},
	                                      {"slice-ms", 1, NULL, 'm'},
	                                      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned value = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 'r':
			opt.rate = value;
			break;
		case 'c':
			opt.slices = value;
			break;
		case 'm':
			opt.slice_ms = value;
			break;
		default:
			if (!drive_option(&drive, c, value))
				exit(2);
		}
	}
	if (opt.slices < 1 || opt.slices > SLICES_MAX || opt.rate < 1 || drive.flows < 1 ||
	    drive.spec.sandboxes < 1 || drive.spec.sandboxes > SL_POLICY_VLAN_MAX)
		rig_die("1 to 100 slices, at least a push a second, a flow, 1 to 4094 sandboxes");
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	times.room = opt.rate * opt.slice_ms / 1000 * opt.slices + opt.slices;
	times.us = calloc(times.room + 1, sizeof(*times.us));
	if (times.us == NULL)
		rig_die("no memory");
	start();
	crew_send(true);
	slice(false); /* caches are warm */
	for (unsigned i = 0; i < opt.slices; i++) {
		struct rate rate = slice(false);

		wall.calm[i] = rate.wall;
		cpu.calm[i] = rate.cpu;
		rate = slice(true);
		wall.stormy[i] = rate.wall;
		cpu.stormy[i] = rate.cpu;
	}
	crew_send(false);
	crew_stop();
	report();
	sl_reload_free(drive.reload);
	return 0;
}
