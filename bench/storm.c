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
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"
#include "diag.h"
#include "fleet.h"
#include "rig.h"

#define STORMED    500 /* sandboxes that the pushes go to: the union stays near its size */
#define SLICES_MAX 100

static struct {
	struct fleet_spec fleet;
	unsigned flows, rate, slices, slice_ms;
	bool fifo, huge;
} opt = {.fleet = {.sandboxes = 4094,
                   .prefixes = 100000,
                   .policies = 1000,
                   .patterns = 200000,
                   .seed = 1},
         .flows = 100000,
         .rate = 1000,
         .slices = 10,
         .slice_ms = 1000};

static struct fleet fleet;
static struct sl_reload *reload;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
	                     .tv_nsec = (long)(ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
		;
}

/* ---- Pushes ---- */

static struct {
	uint64_t *us; /* from the call until the worker enforces it */
	unsigned n, room;
} times;

static void finish(int ret, struct sl_diag *diag)
{
	if (ret != 0) {
		sl_diag_print(diag, SL_DIAG_ERROR, stderr);
		rig_die(strerror(-ret));
	}
	sl_diag_free(diag);
}

static void push_all(void)
{
	struct sl_diag diag;

	sl_diag_init(&diag);
	finish(sl_reload_push(reload, &fleet.doc, &diag, NULL), &diag);
}

static void push_one(unsigned i)
{
	struct sl_policy_doc one = {.file = "one", .entries = &fleet.entries[i], .n_entries = 1};
	struct sl_reload_patch patch = {.doc = &one};
	struct sl_diag diag;
	struct sl_push push;

	fleet_change(&fleet, i, 10, 10);
	sl_diag_init(&diag);
	finish(sl_reload_patch(reload, &patch, &diag, &push), &diag);
	if (times.n < times.room)
		times.us[times.n++] = push.check_us + push.compile_us + push.wait_us;
}

/* Pushes at the rate until then; one that comes late is made up for. */
static void storm(uint64_t until_ns)
{
	unsigned among = opt.fleet.sandboxes < STORMED ? opt.fleet.sandboxes : STORMED;
	uint64_t due_ns = now_ns(), step_ns = 1000000000u / opt.rate;

	for (; due_ns < until_ns && now_ns() < until_ns; due_ns += step_ns) {
		sleep_until(due_ns);
		push_one(fleet_below(&fleet, among) * (opt.fleet.sandboxes / among));
	}
	sleep_until(until_ns);
}

/* ---- Slices ---- */

/* Packets a second, and packets in a second of the worker's own CPU time: somebody else on the
 * machine takes from the first, the storm takes from both. */
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
	uint64_t began_ns = now_ns(), until_ns = began_ns + opt.slice_ms * 1000000ull;
	uint64_t before = forwarded(), ran_ns = crew_ran_ns();
	double packets;

	if (with_storm)
		storm(until_ns);
	else
		sleep_until(until_ns);
	packets = (double)(forwarded() - before);
	ran_ns = crew_ran_ns() - ran_ns;
	return (struct rate){
	        .wall = packets * 1e9 / (double)(now_ns() - began_ns),
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

/* Each slice against the one beside it. */
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
	       opt.fleet.sandboxes, opt.fleet.prefixes, opt.fleet.patterns, end.flows,
	       opt.fifo ? "true" : "false", opt.rate, opt.slices, opt.slice_ms);
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
	        .vlans = opt.fleet.sandboxes,
	        .flows = opt.flows,
	        .traffic = true,
	        .tables = {.prefixes = opt.fleet.prefixes / 2 + 16384,
	                   .tbl8_4 = opt.fleet.prefixes / 4 + 8192,
	                   .tbl8_6 = opt.fleet.prefixes * 2 + 32768},
	};
	cpu_set_t first;

	fleet_make(&fleet, &opt.fleet);
	crew_start_eal(1, opt.huge);
	reload = crew_start(&options);
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	if (opt.fifo &&
	    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 10}) != 0)
		rig_die("SCHED_FIFO is not allowed here");
	push_all();
	crew_open(opt.flows);
}

static void read_options(int argc, char **argv)
{
	static const struct option known[] = {
	        {"sandboxes", 1, NULL, 's'}, {"prefixes", 1, NULL, 'p'}, {"policies", 1, NULL, 'l'},
	        {"patterns", 1, NULL, 'n'},  {"seed", 1, NULL, 'd'},     {"flows", 1, NULL, 'f'},
	        {"rate", 1, NULL, 'r'},      {"slices", 1, NULL, 'c'},   {"slice-ms", 1, NULL, 'm'},
	        {"fifo", 0, NULL, 'F'},      {"huge", 0, NULL, 'h'},     {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned value = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 's':
			opt.fleet.sandboxes = value;
			break;
		case 'p':
			opt.fleet.prefixes = value;
			break;
		case 'l':
			opt.fleet.policies = value;
			break;
		case 'n':
			opt.fleet.patterns = value;
			break;
		case 'd':
			opt.fleet.seed = value;
			break;
		case 'f':
			opt.flows = value;
			break;
		case 'r':
			opt.rate = value;
			break;
		case 'c':
			opt.slices = value;
			break;
		case 'm':
			opt.slice_ms = value;
			break;
		case 'F':
			opt.fifo = true;
			break;
		case 'h':
			opt.huge = true;
			break;
		default:
			exit(2);
		}
	}
	if (opt.slices < 1 || opt.slices > SLICES_MAX || opt.rate < 1 || opt.flows < 1 ||
	    opt.fleet.sandboxes < 1 || opt.fleet.sandboxes > SL_POLICY_VLAN_MAX)
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
	sl_reload_free(reload);
	return 0;
}
