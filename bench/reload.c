/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c: how long a push takes, from the call to every worker enforcing it, at a scale.
 *
 * A fleet (fleet.h) is pushed cold, pushed again unchanged, pushed with one sandbox in a hundred
 * changed; then single sandboxes are pushed, of three kinds. Workers are the gateway's own, each
 * polling on an lcore (crew.h). Every push goes through reload.h. Prints one JSON object.
 *
 *   bench_reload [--sandboxes N] [--prefixes N] [--policies N] [--patterns N] [--seed N]
 *                [--workers N] [--fifo] [--huge] [--flows N]
 *                [--file POLICY] [--wholes N] [--pushes N] [--pause US]
 *   bench_reload ... --write DIRECTORY
 *
 * --flows opens flows before single sandboxes are pushed; --file reads the whole document from a
 * file at each push; --pause is the time between two pushes. --write writes the fleet as a policy
 * file and as rules.txt for others, and pushes nothing.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drive.h"
#include "rig.h"

#define CHANGED_ONES 100 /* sandboxes that single pushes go to: the union stays near its size */
#define CHANGED_BIG  10

static struct {
	unsigned workers, pushes, wholes, pause_us;
	const char *file, *write;
} opt = {.workers = 1, .pushes = 2000, .wholes = 5, .pause_us = 1000};

static struct drive drive = {.spec = DRIVE_FULL};

/* ---- Single sandboxes ---- */

/* Below this the kernel did not disturb the push. */
#define UNDISTURBED_NS 20000

struct series {
	unsigned n, undisturbed;
	uint64_t *us, *undisturbed_us;
	uint64_t compile_us, wait_us, reclaim_us; /* sums */
	struct sl_push slowest;
	uint64_t slowest_kept_waiting_ns;
};

static void note(struct series *series, const struct sl_push *push, uint64_t kept_waiting_ns)
{
	series->us[series->n++] = drive_enforced_us(push);
	if (kept_waiting_ns < UNDISTURBED_NS)
		series->undisturbed_us[series->undisturbed++] = drive_enforced_us(push);
	series->compile_us += push->compile_us;
	series->wait_us += push->wait_us;
	series->reclaim_us += push->reclaim_us;
	if (drive_enforced_us(push) >= drive_enforced_us(&series->slowest)) {
		series->slowest = *push;
		series->slowest_kept_waiting_ns = kept_waiting_ns;
	}
}

static int order_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_times(uint64_t *us, unsigned n)
{
	qsort(us, n, sizeof(*us), order_times);
	printf("\"pushes\": %u", n);
	if (n > 0)
		printf(", \"p50_us\": %" PRIu64 ", \"p99_us\": %" PRIu64 ", \"max_us\": %" PRIu64,
		       us[n / 2], us[n * 99ul / 100], us[n - 1]);
}

static void print_series(const char *what, struct series *series)
{
	unsigned n = series->n;

	printf(", \"%s\": {", what);
	print_times(series->us, n);
	printf(", \"undisturbed\": {");
	print_times(series->undisturbed_us, series->undisturbed);
	printf("}, \"mean_compile_us\": %" PRIu64 ", \"mean_wait_us\": %" PRIu64
	       ", \"mean_reclaim_us\": %" PRIu64,
	       series->compile_us / n, series->wait_us / n, series->reclaim_us / n);
	printf(", \"slowest\": {\"compile_us\": %" PRIu64 ", \"wait_us\": %" PRIu64
	       ", \"kept_waiting_us\": %" PRIu64 "}}",
	       series->slowest.compile_us, series->slowest.wait_us,
	       series->slowest_kept_waiting_ns / 1000);
}

/*
 * Each push gives a sandbox patterns and prefixes that no other one has. At the end everything is
 * restored.
 */
static void measure_one(const char *what, unsigned patterns, unsigned prefixes)
{
	unsigned among = prefixes > 100 ? CHANGED_BIG : CHANGED_ONES;
	unsigned n = prefixes > 100 ? opt.pushes / 10 + 1 : opt.pushes;
	struct series series = {.us = calloc(n, sizeof(uint64_t)),
	                        .undisturbed_us = calloc(n, sizeof(uint64_t))};

	if (series.us == NULL || series.undisturbed_us == NULL)
		rig_die("no memory");
	if (among > drive.spec.sandboxes)
		among = drive.spec.sandboxes;
	for (unsigned i = 0; i < n; i++) {
		unsigned who = fleet_below(&drive.fleet, among) * (drive.spec.sandboxes / among);
		struct sl_push push;
		uint64_t before;

		fleet_change(&drive.fleet, who, patterns, prefixes);
		if (opt.pause_us > 0)
			usleep(opt.pause_us);
		before = crew_kept_waiting_ns();
		push = drive_push_one(&drive, who);
		note(&series, &push, crew_kept_waiting_ns() - before);
	}
	print_series(what, &series);
	free(series.us);
	free(series.undisturbed_us);
	for (unsigned i = 0; i < drive.spec.sandboxes; i++)
		fleet_restore(&drive.fleet, i);
	drive_push_all(&drive, NULL);
}

/* ---- Whole documents ---- */

static void print_push(const char *what, const struct sl_push *push)
{
	printf(", \"%s\": {\"enforced_us\": %" PRIu64 ", \"check_us\": %" PRIu64
	       ", \"compile_us\": %" PRIu64 ", \"wait_us\": %" PRIu64 ", \"reclaim_us\": %" PRIu64
	       ", \"sandboxes_changed\": %u}",
	       what, drive_enforced_us(push), push->check_us, push->compile_us, push->wait_us,
	       push->reclaim_us, push->sandboxes_changed);
}

static int order_pushes(const void *a, const void *b)
{
	uint64_t x = drive_enforced_us(a), y = drive_enforced_us(b);

	return x < y ? -1 : x > y;
}

/* The median of as many pushes as asked for; before each one sandbox in `every` is changed. */
static void measure_whole(const char *what, unsigned every, const char *file)
{
	struct sl_push *pushes = calloc(opt.wholes, sizeof(*pushes));

	if (pushes == NULL)
		rig_die("no memory");
	for (unsigned n = 0; n < opt.wholes; n++) {
		for (unsigned i = 0; every > 0 && i < drive.spec.sandboxes; i += every)
			fleet_change(&drive.fleet, i, 10, 10);
		pushes[n] = drive_push_all(&drive, file);
	}
	qsort(pushes, opt.wholes, sizeof(*pushes), order_pushes);
	print_push(what, &pushes[opt.wholes / 2]);
	free(pushes);
}

/* ---- Memory ---- */

struct memory {
	long total, anonymous, shared; /* KiB resident; DPDK's own memory is shared memory */
};

static struct memory resident(void)
{
	struct memory memory = {0};
	long huge = 0, file = 0;
	char line[128];
	FILE *status = fopen("/proc/self/status", "r");

	while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
		sscanf(line, "RssAnon: %ld", &memory.anonymous);
		sscanf(line, "RssShmem: %ld", &memory.shared);
		sscanf(line, "RssFile: %ld", &file);
		sscanf(line, "HugetlbPages: %ld", &huge);
	}
	if (status != NULL)
		fclose(status);
	memory.total = memory.anonymous + memory.shared + file + huge;
	return memory;
}

static void print_memory(const struct memory *start, const struct memory *pushed,
                         const struct memory *open)
{
	printf(", \"resident_kib\": {\"tables\": %ld, \"policies\": %ld, \"flows\": %ld, "
	       "\"process\": %ld}",
	       pushed->shared - start->shared, pushed->anonymous - start->anonymous,
	       open->anonymous - pushed->anonymous, open->total);
}

/* ---- The whole bench ---- */

static FILE *create_file(const char *name)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", opt.write, name);
	file = fopen(path, "w");
	if (file == NULL)
		rig_die("cannot write there");
	return file;
}

static int write_files(void)
{
	FILE *policy = create_file("policy.yaml"), *rules = create_file("rules.txt");

	fleet_write_policy(&drive.fleet, policy);
	fleet_write_rules(&drive.fleet, opt.wholes, rules);
	return fclose(policy) != 0 || fclose(rules) != 0;
}

static void start_gateway(struct memory *start)
{
	struct crew_options options = {
	        .workers = opt.workers,
	        .vlans = drive.spec.sandboxes,
	        .flows = drive.flows,
	        .tables = drive_tables(&drive.spec),
	};

	crew_start_eal(opt.workers, drive.huge);
	*start = resident();
	drive_start(&drive, &options);
}

static void read_options(int argc, char **argv)
{
	static const struct option known[] = {DRIVE_OPTIONS,
	                                      {"workers", 1, NULL, 'w'},
	                                      {"pushes", 1, NULL, 'k'},
	                                      {"wholes", 1, NULL, 'W'},
	                                      {"pause", 1, NULL, 'u'},
	                                      {"file", 1, NULL, 'y'},
	                                      {"write", 1, NULL, 'o'},
	                                      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned value = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 'w':
			opt.workers = value;
			break;
		case 'k':
			opt.pushes = value;
			break;
		case 'W':
			opt.wholes = value;
			break;
		case 'u':
			opt.pause_us = value;
			break;
		case 'y':
			opt.file = optarg;
			break;
		case 'o':
			opt.write = optarg;
			break;
		default:
			if (!drive_option(&drive, c, value))
				exit(2);
		}
	}
}

static void check_options(void)
{
	const struct fleet_spec *spec = &drive.spec;

	if (spec->sandboxes < 1 || spec->sandboxes > SL_POLICY_VLAN_MAX || spec->policies < 1 ||
	    opt.workers < 1 || opt.workers > 8 || opt.pushes < 1 || opt.wholes < 1)
		rig_die("1 to 4094 sandboxes, at least a policy, 1 to 8 workers, at least a push");
}

int main(int argc, char **argv)
{
	struct memory start, pushed, open;
	struct crew_counts counts;
	struct sl_push cold;

	read_options(argc, argv);
	check_options();
	fleet_make(&drive.fleet, &drive.spec);
	if (opt.write != NULL)
		return write_files();
	start_gateway(&start);
	cold = drive_push_all(&drive, opt.file);
	pushed = resident();
	crew_open(drive.flows);
	open = resident();
	crew_count(&counts);

	printf("{\"sandboxes\": %u, \"prefixes\": %u, \"nested\": %u, \"depth\": %u, "
	       "\"policies\": %u, \"patterns\": %u, \"workers\": %u, \"fifo\": %s, \"flows\": "
	       "%" PRIu64,
	       drive.spec.sandboxes, drive.spec.prefixes, drive.fleet.nested, drive.fleet.depth,
	       drive.spec.policies, drive.spec.patterns, opt.workers, drive.fifo ? "true" : "false",
	       counts.flows);
	print_memory(&start, &pushed, &open);
	print_push("cold", &cold);
	measure_whole("unchanged", 0, opt.file);
	if (opt.file == NULL) {
		measure_whole("one_in_a_hundred", 100, NULL);
		measure_one("one_names", 10, 0);
		measure_one("one_10_patterns_10_subnets", 10, 10);
		measure_one("one_1000_subnets", 0, 1000);
	}
	open = resident();
	printf(", \"resident_at_end_kib\": %ld, \"generation\": %" PRIu64 "}\n", open.total,
	       sl_reload_number(drive.reload));
	crew_stop();
	sl_reload_free(drive.reload);
	return 0;
}
