/*
 * latency.c: how long the gateway keeps a packet, from the moment at which it was due until it was
 * handed to tx, at 10, 50 and 90 % of the highest loss-free rate:
 *
 *   idle     nothing else happens
 *   storm    1,000 pushes a second, each of a sandbox with 10 names and 10 subnets of its own
 *   expiry   a million other flows time out meanwhile
 *
 * One worker and the control thread, a core each. Frames are due at fixed moments (pace.h), so what
 * a pause keeps waiting counts in full; the machine's own pauses are in it too: `io` is
 * a loop on the same core that does nothing but take the same frames and give them back.
 *
 *   bench_latency [--sandboxes N] [--prefixes N] [--policies N] [--patterns N] [--flows N]
 *                 [--expiring N] [--ms N] [--fifo] [--huge]
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

#define IDLE_S      8 /* flows that no packet comes for expire */
#define TRIAL_MS    100
#define TRIALS      3
#define PUSHES_S    1000
#define STORMED     500 /* sandboxes that the pushes go to */
#define SEARCH_STEP 0.97

static struct {
	struct fleet_spec fleet;
	unsigned flows, expiring, ms;
	bool fifo, huge;
} opt = {.fleet = {.sandboxes = 4094,
                   .prefixes = 100000,
                   .policies = 1000,
                   .patterns = 200000,
                   .seed = 1},
         .flows = 10000,
         .expiring = 1000000,
         .ms = 3000};

static struct fleet fleet;
static struct sl_reload *reload;
static unsigned opened;

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

static void sleep_ms(unsigned ms)
{
	sleep_until(now_ns() + ms * 1000000ull);
}

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

	fleet_change(&fleet, i, 10, 10);
	sl_diag_init(&diag);
	finish(sl_reload_patch(reload, &patch, &diag, NULL), &diag);
}

/* ---- What happens meanwhile ---- */

static void idle(void)
{
	sleep_ms(opt.ms);
}

static void storm(void)
{
	unsigned among = opt.fleet.sandboxes < STORMED ? opt.fleet.sandboxes : STORMED;
	uint64_t due_ns = now_ns(), until_ns = due_ns + opt.ms * 1000000ull;

	for (; due_ns < until_ns && now_ns() < until_ns; due_ns += 1000000000u / PUSHES_S) {
		sleep_until(due_ns);
		push_one(fleet_below(&fleet, among) * (opt.fleet.sandboxes / among));
	}
}

static uint64_t open_flows(void)
{
	struct crew_counts counts;

	crew_count(&counts);
	return counts.flows;
}

/* Until what was opened beside the traffic is gone. */
static void expiry(void)
{
	while (open_flows() > opt.flows)
		sleep_ms(1);
}

/* ---- One figure ---- */

static void print(const char *what, unsigned percent, double rate, void (*meanwhile)(void))
{
	struct pace_figures figures;
	uint64_t lost;

	if (meanwhile == expiry) {
		opened += opt.expiring;
		crew_pace(rate / 10); /* the traffic's own flows stay */
		crew_open(opened);
		while (open_flows() >= opt.flows + opt.expiring)
			sleep_ms(1);
	}
	crew_pace(rate);
	meanwhile();
	crew_send(false);
	crew_paced(&figures, &lost);
	printf(", {\"meanwhile\": \"%s\", \"percent\": %u, \"mpps\": %.2f, \"frames\": %" PRIu64
	       ", \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.1f"
	       ", \"lost\": %" PRIu64 "}",
	       what, percent, rate / 1e6, figures.frames, figures.p50_us, figures.p99_us,
	       figures.p999_us, figures.max_us, lost);
	fflush(stdout);
}

static double saturated(void)
{
	struct crew_counts before, after;
	uint64_t began_ns;

	crew_send(true);
	sleep_ms(TRIAL_MS);
	crew_count(&before);
	began_ns = now_ns();
	sleep_ms(5 * TRIAL_MS);
	crew_count(&after);
	return (double)(after.sent - before.sent) * 1e9 / (double)(now_ns() - began_ns);
}

/* A rate is loss-free if one of the trials loses nothing: the machine takes the core away at times.
 */
static bool loss_free(double rate)
{
	struct pace_figures figures;
	uint64_t lost = 1;

	for (unsigned i = 0; i < TRIALS && lost > 0; i++) {
		crew_pace(rate);
		sleep_ms(TRIAL_MS);
		crew_send(false);
		crew_paced(&figures, &lost);
	}
	return lost == 0;
}

static void start(void)
{
	struct crew_options options = {
	        .workers = 1,
	        .vlans = opt.fleet.sandboxes,
	        .flows = opt.flows + 3 * opt.expiring,
	        .repeated = opt.flows,
	        .traffic = true,
	        .idle_s = IDLE_S,
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
	opened = opt.flows;
	crew_open(opened);
}

static void read_options(int argc, char **argv)
{
	static const struct option known[] = {
	        {"sandboxes", 1, NULL, 's'}, {"prefixes", 1, NULL, 'p'}, {"policies", 1, NULL, 'l'},
	        {"patterns", 1, NULL, 'n'},  {"flows", 1, NULL, 'f'},    {"expiring", 1, NULL, 'e'},
	        {"ms", 1, NULL, 'm'},        {"fifo", 0, NULL, 'F'},     {"huge", 0, NULL, 'h'},
	        {NULL, 0, NULL, 0}};
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
		case 'f':
			opt.flows = value;
			break;
		case 'e':
			opt.expiring = value;
			break;
		case 'm':
			opt.ms = value;
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
	if (opt.flows < 1 || opt.ms < 1 || opt.fleet.sandboxes < 1 ||
	    opt.fleet.sandboxes > SL_POLICY_VLAN_MAX)
		rig_die("at least a flow and a millisecond, 1 to 4094 sandboxes");
}

int main(int argc, char **argv)
{
	static const unsigned loads[] = {10, 50, 90};
	double top, rate;

	read_options(argc, argv);
	start();
	top = saturated();
	for (rate = top; !loss_free(rate); rate *= SEARCH_STEP)
		if (rate < top / 20)
			rig_die("every rate loses frames: the machine is too busy");
	printf("{\"sandboxes\": %u, \"flows\": %u, \"fifo\": %s, \"saturated_mpps\": %.2f"
	       ", \"loss_free_mpps\": %.2f, \"figures\": [{}",
	       opt.fleet.sandboxes, opt.flows, opt.fifo ? "true" : "false", top / 1e6, rate / 1e6);
	for (unsigned i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		crew_bypass(true);
		print("io", loads[i], rate * loads[i] / 100, idle);
		crew_bypass(false);
		print("idle", loads[i], rate * loads[i] / 100, idle);
		print("storm", loads[i], rate * loads[i] / 100, storm);
		if (opt.expiring > 0)
			print("expiry", loads[i], rate * loads[i] / 100, expiry);
	}
	printf("]}\n");
	crew_stop();
	sl_reload_free(reload);
	return 0;
}
