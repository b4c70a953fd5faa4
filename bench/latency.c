/* SPDX-License-Identifier: Apache-2.0 */
/*
 * latency.c: how long the gateway keeps a packet, from the moment at which it was due until it was
 * handed to tx, at 10, 50 and 90 % of the highest loss-free rate:
 *
 *   idle     nothing else happens
 *   storm    1,000 pushes a second, each of a sandbox with 10 names and 10 subnets of its own
 *   expiry   a million other flows time out meanwhile
 *
 * One worker and the control thread, a core each. Frames are due at fixed moments (pace.h), so
 * frames that wait during a pause count in full. The machine's own pauses are included: `io` is a
 * loop on the same core that only takes the same frames and gives them back.
 *
 *   bench_latency [--sandboxes N] [--prefixes N] [--policies N] [--patterns N] [--flows N]
 *                 [--expiring N] [--ms N] [--fifo] [--huge]
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drive.h"
#include "rig.h"

#define IDLE_S      8 /* idle flows expire */
#define TRIAL_MS    100
#define TRIALS      3
#define PUSHES_S    1000
#define SEARCH_STEP 0.97

static struct {
	unsigned expiring, ms;
} opt = {.expiring = 1000000, .ms = 3000};

static struct drive drive = {.spec = DRIVE_FULL, .flows = 10000};

static unsigned opened;

static void sleep_ms(unsigned ms)
{
	drive_sleep_until(drive_now_ns() + ms * 1000000ull);
}

/* ---- What happens meanwhile ---- */

static void idle(void)
{
	sleep_ms(opt.ms);
}

static void storm(void)
{
	drive_storm(&drive, PUSHES_S, drive_now_ns() + opt.ms * 1000000ull, NULL);
}

static uint64_t open_flows(void)
{
	struct crew_counts counts;

	crew_count(&counts);
	return counts.flows;
}

/* Waits until the flows that were opened in addition to the traffic have expired. */
static void expiry(void)
{
	while (open_flows() > drive.flows)
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
		while (open_flows() >= drive.flows + opt.expiring)
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
	began_ns = drive_now_ns();
	sleep_ms(5 * TRIAL_MS);
	crew_count(&after);
	return (double)(after.sent - before.sent) * 1e9 / (double)(drive_now_ns() - began_ns);
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
	        .vlans = drive.spec.sandboxes,
	        .flows = drive.flows + 3 * opt.expiring,
	        .repeated = drive.flows,
	        .traffic = true,
	        .idle_s = IDLE_S,
	        .tables = drive_tables(&drive.spec),
	};

	fleet_make(&drive.fleet, &drive.spec);
	crew_start_eal(1, drive.huge);
	drive_start(&drive, &options);
	drive_push_all(&drive, NULL);
	opened = drive.flows;
	crew_open(opened);
}

static void read_options(int argc, char **argv)
{
	static const struct option known[] = {DRIVE_OPTIONS,
	                                      {"expiring", 1, NULL, 'e'},
	                                      {"ms", 1, NULL, 'm'},
	                                      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned value = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 'e':
			opt.expiring = value;
			break;
		case 'm':
			opt.ms = value;
			break;
		default:
			if (!drive_option(&drive, c, value))
				exit(2);
		}
	}
	if (drive.flows < 1 || opt.ms < 1 || drive.spec.sandboxes < 1 ||
	    drive.spec.sandboxes > SL_POLICY_VLAN_MAX)
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
	       drive.spec.sandboxes, drive.flows, drive.fifo ? "true" : "false", top / 1e6,
	       rate / 1e6);
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
	sl_reload_free(drive.reload);
	return 0;
}
