/*
 * reload.c: how long a push takes, from the call to every worker enforcing it, at a scale.
 *
 * A fleet is made in memory: sandboxes that share lists of patterns, with prefixes of their own
 * that nest. It is pushed cold, pushed again unchanged, pushed with one sandbox in a hundred
 * changed; then single sandboxes are pushed, of three sizes. Workers are threads that do nothing
 * but read the pointer and report quiescence, each on a core of its own where there is one. Every
 * push goes through reload.h. Prints one JSON object.
 *
 *   bench_reload [--sandboxes N] [--prefixes N] [--lists N] [--patterns N] [--workers N]
 *                [--pushes N] [--fifo] [--seed N] [--huge]
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>

#include "diag.h"
#include "policy.h"
#include "reload.h"
#include "sluice/generation.h"

static struct {
	unsigned sandboxes, prefixes, lists, patterns, workers, pushes;
	bool fifo, huge;
	uint64_t seed;
} opt = {.sandboxes = 4094,
         .prefixes = 100000,
         .lists = 1000,
         .patterns = 200000,
         .workers = 1,
         .pushes = 2000,
         .seed = 1};

static uint64_t state;

static uint64_t random64(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static unsigned below(unsigned n)
{
	return (unsigned)(random64() % n);
}

static void *need(void *ptr)
{
	if (ptr == NULL) {
		fputs("no memory\n", stderr);
		exit(1);
	}
	return ptr;
}

/* ---- The fleet ---- */

struct prefixes {
	struct sl_prefix *list;
	size_t n;
};

struct names {
	struct sl_pattern *list;
	size_t n;
};

static struct prefixes pool4, pool6;
static struct names *lists;
static struct sl_policy *policies; /* by VLAN */
static struct sl_policy_entry *entries;
static struct sl_policy_doc doc;

/* Half of them lie in a random /16, so they nest and stand side by side. A fifth are below /24. */
static struct sl_prefix random4(void)
{
	struct sl_prefix p = {.family = 4};
	uint32_t ip = (uint32_t)random64();

	p.len = (uint8_t)(below(5) == 0 ? 25 + below(8) : 14 + below(11));
	p.addr[0] = (uint8_t)(1 + (ip >> 24) % 222);
	p.addr[1] = (uint8_t)(ip >> 16);
	p.addr[2] = (uint8_t)(ip >> 8);
	p.addr[3] = (uint8_t)ip;
	return p;
}

/* Under some thousands of /32, /32 to /64; one in fifty longer. */
static struct sl_prefix random6(void)
{
	struct sl_prefix p = {.family = 6};
	unsigned site = below(3000);

	p.len = (uint8_t)(below(50) == 0 ? 65 + below(64) : 32 + below(33));
	p.addr[0] = 0x2a;
	p.addr[1] = (uint8_t)(site % 64);
	p.addr[2] = (uint8_t)(site >> 6);
	p.addr[3] = (uint8_t)(site * 7);
	for (unsigned i = 4; i < 16; i++)
		p.addr[i] = (uint8_t)(i < 7 ? below(24) : below(256));
	return p;
}

static void clear_host_bits(struct sl_prefix *p)
{
	for (unsigned i = p->len; i < 128; i++)
		p->addr[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
}

/* Random ones until n are different; in no order that their sorted neighbours would share. */
static struct prefixes make_pool(struct sl_prefix (*make)(void), size_t n)
{
	struct prefixes pool = {.list = need(calloc(n + n / 2 + 1, sizeof(*pool.list)))};

	while (pool.n < n) {
		size_t more = n + n / 4 - pool.n;

		for (size_t i = 0; i < more; i++) {
			pool.list[pool.n] = make();
			clear_host_bits(&pool.list[pool.n++]);
		}
		pool.n = sl_prefix_sort_unique(pool.list, pool.n);
	}
	for (size_t i = pool.n - 1; i > 0; i--) {
		size_t k = random64() % (i + 1);
		struct sl_prefix kept = pool.list[i];

		pool.list[i] = pool.list[k];
		pool.list[k] = kept;
	}
	pool.n = n;
	return pool;
}

static struct names make_list(size_t n)
{
	static unsigned serial;
	struct names names = {.list = need(calloc(n + 1, sizeof(*names.list))), .n = n};

	for (size_t i = 0; i < n; i++) {
		char text[64];

		/* in order, as a document's lists are */
		snprintf(text, sizeof(text), "%sh%07u.svc%u.example%u.com", i < n / 3 ? "*." : "",
		         serial++, below(50), below(1000));
		names.list[i].text = need(strdup(text));
		names.list[i].len = (uint8_t)strlen(text);
		names.list[i].kind = i < n / 3 ? SL_PATTERN_BELOW : SL_PATTERN_EXACT;
	}
	return names;
}

static int order_prefixes(const void *a, const void *b)
{
	return sl_prefix_compare(a, b);
}

/* n prefixes of the pools from `first` on, half of each family, sorted. */
static struct sl_prefix *take(size_t first, size_t n)
{
	struct sl_prefix *list = need(calloc(n + 1, sizeof(*list)));

	for (size_t i = 0; i < n; i++) {
		const struct prefixes *pool = i % 2 == 0 ? &pool4 : &pool6;

		list[i] = pool->list[(first + i) / 2 % pool->n];
	}
	qsort(list, n, sizeof(*list), order_prefixes);
	return list;
}

static void give(struct sl_policy *policy, const struct names *names, size_t first, size_t n)
{
	free((void *)policy->allow);
	*policy = (struct sl_policy){.kind = SL_POLICY_CUSTOM};
	if (names != NULL) {
		policy->patterns = names->list;
		policy->n_patterns = names->n;
	}
	policy->n_allow = n;
	policy->allow = take(first, n);
}

static void make_fleet(void)
{
	size_t each = opt.prefixes / opt.sandboxes, left = opt.patterns;

	pool4 = make_pool(random4, opt.prefixes / 2 + 4000);
	pool6 = make_pool(random6, opt.prefixes / 2 + 4000);
	lists = need(calloc(opt.lists, sizeof(*lists)));
	for (unsigned i = 0; i < opt.lists; i++) {
		/* a few long ones, many short ones; 10 at least */
		size_t n = i < 5 ? opt.patterns / 20 : (left - 10) / (opt.lists - i);

		lists[i] = make_list(n < 10 ? 10 : n);
		left = left > n ? left - n : 10;
	}
	policies = need(calloc(opt.sandboxes + 1, sizeof(*policies)));
	entries = need(calloc(opt.sandboxes + 1, sizeof(*entries)));
	for (unsigned i = 0; i < opt.sandboxes; i++) {
		give(&policies[i], &lists[i % opt.lists], i * each / 2 * 2, each);
		entries[i] =
		        (struct sl_policy_entry){.vlan = (uint16_t)(i + 1), .policy = &policies[i]};
	}
	doc = (struct sl_policy_doc){
	        .file = "bench", .entries = entries, .n_entries = opt.sandboxes};
}

/* ---- Workers ---- */

static struct sl_publication publication;
static atomic_bool stop;

static void pin(unsigned core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *work(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;
	uint64_t sum = 0;

	pin(id + 1);
	rte_rcu_qsbr_thread_register(publication.qsbr, id);
	rte_rcu_qsbr_thread_online(publication.qsbr, id);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		const struct sl_generation *generation =
		        atomic_load_explicit(&publication.current, memory_order_acquire);

		sum += generation != NULL ? generation->number : 0;
		rte_rcu_qsbr_quiescent(publication.qsbr, id);
		rte_pause();
	}
	rte_rcu_qsbr_thread_offline(publication.qsbr, id);
	rte_rcu_qsbr_thread_unregister(publication.qsbr, id);
	return (void *)(uintptr_t)sum;
}

/* ---- Measuring ---- */

static struct sl_reload *reload;

static void fail(struct sl_diag *diag, int ret)
{
	sl_diag_print(diag, SL_DIAG_ERROR, stderr);
	fprintf(stderr, "push: %s\n", strerror(-ret));
	exit(1);
}

static struct sl_push push_all(void)
{
	struct sl_diag diag;
	struct sl_push push;
	int ret;

	sl_diag_init(&diag);
	ret = sl_reload_push(reload, &doc, &diag, &push);
	if (ret != 0)
		fail(&diag, ret);
	return push;
}

static struct sl_push push_one(unsigned i)
{
	struct sl_policy_doc one = {.file = "bench", .entries = &entries[i], .n_entries = 1};
	struct sl_reload_patch patch = {.doc = &one};
	struct sl_diag diag;
	struct sl_push push;
	int ret;

	sl_diag_init(&diag);
	ret = sl_reload_patch(reload, &patch, &diag, &push);
	if (ret != 0)
		fail(&diag, ret);
	return push;
}

static int order_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_times(const char *what, uint64_t *times, unsigned n, const uint64_t step[3])
{
	qsort(times, n, sizeof(*times), order_times);
	printf("  \"%s\": {\"p50_us\": %" PRIu64 ", \"p99_us\": %" PRIu64 ", \"max_us\": %" PRIu64
	       ", \"mean_compile_us\": %" PRIu64 ", \"mean_wait_us\": %" PRIu64
	       ", \"mean_reclaim_us\": %" PRIu64 "},\n",
	       what, times[n / 2], times[n * 99ul / 100], times[n - 1], step[0] / n, step[1] / n,
	       step[2] / n);
}

/* Single sandboxes, each with a new list of patterns or new prefixes. */
static void measure_one(const char *what, size_t patterns, size_t prefixes)
{
	unsigned n = prefixes > 100 ? opt.pushes / 10 + 1 : opt.pushes;
	uint64_t *times = need(calloc(n, sizeof(*times))), step[3] = {0};

	for (unsigned i = 0; i < n; i++) {
		unsigned who = below(opt.sandboxes);
		struct names *names = need(malloc(sizeof(*names)));
		struct sl_push push;

		*names = patterns > 0 ? make_list(patterns) : lists[who % opt.lists];
		give(&policies[who], names, below(opt.prefixes) / 2 * 2, prefixes);
		push = push_one(who);
		/* what counts is until every worker enforces it; the old one goes afterwards */
		times[i] = push.check_us + push.compile_us + push.wait_us;
		step[0] += push.compile_us;
		step[1] += push.wait_us;
		step[2] += push.reclaim_us;
	}
	print_times(what, times, n, step);
	free(times);
}

static void print_push(const char *what, const struct sl_push *push)
{
	printf("  \"%s\": {\"total_us\": %" PRIu64 ", \"compile_us\": %" PRIu64
	       ", \"wait_us\": %" PRIu64 ", \"reclaim_us\": %" PRIu64
	       ", \"sandboxes_changed\": %u},\n",
	       what, push->total_us, push->compile_us, push->wait_us, push->reclaim_us,
	       push->sandboxes_changed);
}

static long resident_kib(void)
{
	char line[128];
	long kib = 0;
	FILE *file = need(fopen("/proc/self/status", "r"));

	while (fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "VmRSS: %ld", &kib);
	fclose(file);
	return kib;
}

static void start_eal(void)
{
	static char *huge[] = {(char *)"bench",
	                       (char *)"--in-memory",
	                       (char *)"--no-pci",
	                       (char *)"--iova-mode=va",
	                       (char *)"--no-telemetry",
	                       (char *)"--lcores=0",
	                       (char *)"--log-level=lib.*:error",
	                       NULL};
	static char *none[] = {(char *)"bench",
	                       (char *)"--no-huge",
	                       (char *)"-m",
	                       (char *)"2048",
	                       (char *)"--no-shconf",
	                       (char *)"--no-pci",
	                       (char *)"--iova-mode=va",
	                       (char *)"--no-telemetry",
	                       (char *)"--lcores=0",
	                       (char *)"--log-level=lib.*:error",
	                       NULL};

	if (rte_eal_init(opt.huge ? 7 : 10, opt.huge ? huge : none) < 0)
		exit(1);
}

static void make_reload(void)
{
	struct sl_reload_params params = {
	        .publication = &publication,
	        .workers = opt.workers > 0 ? opt.workers : 1,
	        .tables = {.prefixes = opt.prefixes / 2 + 16384,
	                   .tbl8_4 = opt.prefixes / 4 + 4096,
	                   .tbl8_6 = opt.prefixes * 3 / 2 + 16384},
	};
	struct sl_diag diag;

	publication.qsbr = need(aligned_alloc(64, rte_rcu_qsbr_get_memsize(SL_WORKERS_MAX)));
	rte_rcu_qsbr_init(publication.qsbr, SL_WORKERS_MAX);
	sl_diag_init(&diag);
	reload = sl_reload_create(&params, &diag);
	if (reload == NULL)
		fail(&diag, -12);
}

static void read_options(int argc, char **argv)
{
	static const struct option known[] = {
	        {"sandboxes", 1, NULL, 's'}, {"prefixes", 1, NULL, 'p'}, {"lists", 1, NULL, 'l'},
	        {"patterns", 1, NULL, 'n'},  {"workers", 1, NULL, 'w'},  {"pushes", 1, NULL, 'k'},
	        {"seed", 1, NULL, 'd'},      {"fifo", 0, NULL, 'f'},     {"huge", 0, NULL, 'h'},
	        {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned value = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 's':
			opt.sandboxes = value;
			break;
		case 'p':
			opt.prefixes = value;
			break;
		case 'l':
			opt.lists = value;
			break;
		case 'n':
			opt.patterns = value;
			break;
		case 'w':
			opt.workers = value;
			break;
		case 'k':
			opt.pushes = value;
			break;
		case 'd':
			opt.seed = value;
			break;
		case 'f':
			opt.fifo = true;
			break;
		case 'h':
			opt.huge = true;
			break;
		default:
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[SL_WORKERS_MAX];
	struct sl_push push;
	long before, tables;

	read_options(argc, argv);
	state = opt.seed;
	start_eal();
	make_fleet();
	before = resident_kib();
	make_reload();
	tables = resident_kib();
	for (unsigned i = 0; i < opt.workers; i++)
		pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i);
	pin(0);
	if (opt.fifo)
		sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 10});

	printf("{\n  \"sandboxes\": %u, \"prefixes\": %u, \"lists\": %u, \"patterns\": %u, "
	       "\"workers\": %u, \"fifo\": %s,\n",
	       opt.sandboxes, opt.prefixes, opt.lists, opt.patterns, opt.workers,
	       opt.fifo ? "true" : "false");
	push = push_all();
	print_push("cold", &push);
	push = push_all();
	print_push("unchanged", &push);
	for (unsigned i = 0; i < opt.sandboxes; i += 100)
		give(&policies[i], &lists[below(opt.lists)], below(opt.prefixes) / 2 * 2, 10);
	push = push_all();
	print_push("one_in_a_hundred", &push);
	printf("  \"resident_kib\": {\"tables\": %ld, \"policies\": %ld},\n", tables - before,
	       resident_kib() - tables);
	measure_one("one_names", 10, 0);
	measure_one("one_10_patterns_10_subnets", 10, 10);
	measure_one("one_1000_subnets", 0, 1000);
	printf("  \"generation\": %" PRIu64 "\n}\n", sl_reload_number(reload));

	atomic_store(&stop, true);
	for (unsigned i = 0; i < opt.workers; i++)
		pthread_join(threads[i], NULL);
	sl_reload_free(reload);
	return 0;
}
