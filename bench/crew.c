/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crew.c: workers as in `sluice run`, except for the ports: frames come from memory and are freed
 * instead of sent, and an idle worker goes on polling.
 */
#include "crew.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_rcu_qsbr.h>

#include "document/config.h"
#include "document/diag.h"
#include "frames.h"
#include "rig.h"
#include "gateway/settings_from_config.h"
#include "sluice/worker.h"

#define MBUFS      16383
#define FRAME_SLOT 64 /* 60 bytes of frame */
#define START_US   1767225600000000u
#define IDLE_S     (20u * 86400) /* flows do not expire, however long the bench runs */

struct one {
	unsigned id;
	struct sl_worker *worker;
	struct rte_ring *own;
	unsigned next_flow; /* the next to be opened */
	uint8_t *frames;    /* of the flows of its sandboxes, a slot each; NULL without traffic */
	unsigned frame_count, next_frame, stride;
	_Atomic uint64_t given, sent;
	atomic_uint opened; /* flows up to here are open */
	atomic_int thread;  /* its id, once it runs */
	struct pace pace;
};

static struct {
	struct crew_options options;
	struct sl_config config;
	struct sl_settings settings;
	struct sl_publication publication;
	struct rte_mempool *pool;
	struct rte_ring *handover[SL_WORKERS_MAX];
	struct one one[SL_WORKERS_MAX];
	struct frames_spec spec;
	uint64_t start_tsc;
	double us_per_tsc;
	atomic_uint open_to;
	atomic_bool sending, idle_hands, stop;
} crew;

static void count_up(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, before + n, memory_order_relaxed);
}

/* ---- Source and sink, on the worker's lcore ---- */

static bool is_mine(const struct one *one, unsigned flow)
{
	uint16_t vlan = (uint16_t)(1 + flow % crew.options.vlans);

	return crew.options.anywhere || sl_worker_of_vlan(vlan, crew.options.workers) == one->id;
}

/* The first packets of flows: made as they go, so that a million takes no memory here. */
static uint16_t open_flows(struct one *one, unsigned to, struct rte_mbuf **pkts, uint16_t room)
{
	uint16_t n = 0;

	for (; n < room && one->next_flow < to; one->next_flow++) {
		struct rte_mbuf *mbuf;
		uint8_t *frame;

		if (!is_mine(one, one->next_flow))
			continue;
		mbuf = rte_pktmbuf_alloc(crew.pool);
		if (mbuf == NULL)
			break;
		frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
		mbuf->data_len = frames_write(&crew.spec, one->next_flow, false, frame);
		mbuf->pkt_len = mbuf->data_len;
		if (one->frames != NULL && one->next_flow < crew.options.repeated)
			memcpy(one->frames + (size_t)one->frame_count++ * FRAME_SLOT, frame,
			       FRAME_SLOT);
		pkts[n++] = mbuf;
	}
	return n;
}

static uint16_t repeat(struct one *one, struct rte_mbuf **pkts, uint16_t n)
{
	bool paced = one->pace.tsc_per_frame > 0;

	if (paced)
		n = pace_take(&one->pace, n);
	if (n == 0 || rte_pktmbuf_alloc_bulk(crew.pool, pkts, n) != 0)
		return 0;
	if (one->stride == 0)
		one->stride = frames_stride(one->frame_count);
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *frame = one->frames + (size_t)one->next_frame * FRAME_SLOT;

		one->next_frame = (one->next_frame + one->stride) % one->frame_count;
		rte_prefetch0(one->frames + (size_t)one->next_frame * FRAME_SLOT);
		pkts[i]->data_len = FRAME_SLOT - 4;
		pkts[i]->pkt_len = FRAME_SLOT - 4;
		rte_memcpy(rte_pktmbuf_mtod(pkts[i], void *), frame, FRAME_SLOT);
		if (paced)
			pace_stamp(&one->pace, pkts[i], i, n);
	}
	return n;
}

static uint16_t source(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct one *one = ctx;
	unsigned to = atomic_load_explicit(&crew.open_to, memory_order_relaxed);
	uint16_t given = 0;

	if (one->next_flow < to) {
		given = open_flows(one, to, pkts, n);
	} else {
		/* the packets given before have been judged: this is a later turn */
		atomic_store_explicit(&one->opened, one->next_flow, memory_order_release);
		if (one->frame_count > 0 &&
		    atomic_load_explicit(&crew.sending, memory_order_acquire))
			given = repeat(one, pkts, n);
	}
	count_up(&one->given, given);
	return given;
}

static uint16_t sink(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct one *one = ctx;

	if (one->pace.tsc_per_frame > 0)
		pace_note(&one->pace, pkts, n);
	rte_pktmbuf_free_bulk(pkts, n);
	count_up(&one->sent, n);
	return n;
}

static uint64_t now_us(void *ctx)
{
	(void)ctx;
	return START_US + (uint64_t)((double)(rte_rdtsc() - crew.start_tsc) * crew.us_per_tsc);
}

/* Takes frames and gives them back: measures the machine without the gateway. */
static void turn_idly(struct one *one)
{
	struct rte_mbuf *pkts[32];
	uint16_t n = source(one, pkts, 32);

	if (n > 0)
		sink(one, pkts, n);
	rte_rcu_qsbr_quiescent(crew.publication.qsbr, one->id);
}

static int loop(void *arg)
{
	struct one *one = arg;

	atomic_store(&one->thread, (int)gettid());
	rte_rcu_qsbr_thread_register(crew.publication.qsbr, one->id);
	rte_rcu_qsbr_thread_online(crew.publication.qsbr, one->id);
	while (!atomic_load_explicit(&crew.stop, memory_order_relaxed))
		if (atomic_load_explicit(&crew.idle_hands, memory_order_relaxed))
			turn_idly(one);
		else
			sl_worker_turn(one->worker);
	rte_rcu_qsbr_thread_offline(crew.publication.qsbr, one->id);
	rte_rcu_qsbr_thread_unregister(crew.publication.qsbr, one->id);
	return 0;
}

/* ---- From the control thread ---- */

void crew_start_eal(unsigned workers, bool huge)
{
	unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	char lcores[SL_WORKERS_MAX * 12] = "--lcores=0@0";
	const char *args[16] = {"bench",
	                        "--no-pci",
	                        "--no-telemetry",
	                        "--iova-mode=va",
	                        "--force-max-simd-bitwidth=512",
	                        "--log-level=*:error",
	                        lcores};
	int n = 7;

	for (unsigned i = 1; i <= workers; i++)
		snprintf(lcores + strlen(lcores), sizeof(lcores) - strlen(lcores), ",%u@%u", i,
		         i % cpus);
	args[n++] = huge ? "--in-memory" : "--no-shconf";
	if (!huge) {
		args[n++] = "--no-huge";
		args[n++] = "-m4096"; /* address space: what is not used is not resident */
	}
	if (rte_eal_init(n, (char **)(uintptr_t)args) < 0)
		rig_die("no EAL (are there enough hugepages?)");
}

static void prepare(void)
{
	struct sl_diag diag;
	size_t size = rte_rcu_qsbr_get_memsize(SL_WORKERS_MAX);

	crew.start_tsc = rte_rdtsc();
	crew.us_per_tsc = 1e6 / (double)rte_get_tsc_hz();
	crew.spec = (struct frames_spec){.flows = crew.options.flows,
	                                 .vlans = crew.options.vlans,
	                                 .first_vlan = 1,
	                                 .remote4 = 0xc6330000};
	sl_diag_init(&diag);
	if (sl_config_init_replay(&crew.config) != 0)
		rig_die("no memory for the config");
	crew.config.limits.flows = RTE_MAX(crew.options.flows, 1u << 20);
	crew.config.limits.flows_per_sandbox = crew.config.limits.flows;
	crew.config.timeouts.udp_s = crew.options.idle_s > 0 ? crew.options.idle_s : IDLE_S;
	if (sl_settings_from_config(&crew.config, true, &diag, &crew.settings) != 0)
		rig_die("the settings were refused");
	crew.settings.checksums_partial = false;
	sl_diag_free(&diag);
	crew.pool = rte_pktmbuf_pool_create("frames", MBUFS, 256, 0, 640, SOCKET_ID_ANY);
	crew.publication.qsbr = aligned_alloc(64, size);
	if (crew.pool == NULL || crew.publication.qsbr == NULL ||
	    rte_rcu_qsbr_init(crew.publication.qsbr, SL_WORKERS_MAX) != 0)
		rig_die("no memory for mbufs (more hugepages?)");
}

static struct sl_reload *make_reload(void)
{
	struct sl_reload_params params = {
	        .publication = &crew.publication,
	        .config = &crew.config,
	        .workers = crew.options.workers,
	        .tables = crew.options.tables,
	        .patience_ms = 60000, /* a busy machine makes a push slow, not wrong */
	};
	struct sl_reload *reload;
	struct sl_diag diag;

	sl_diag_init(&diag);
	reload = sl_reload_create(&params, &diag);
	sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
	if (reload == NULL)
		rig_die("no address tables (more hugepages?)");
	sl_diag_free(&diag);
	return reload;
}

static void make_worker(unsigned id)
{
	struct one *one = &crew.one[id];
	struct sl_worker_params params = {
	        .id = id,
	        .count = crew.options.workers,
	        .settings = &crew.settings,
	        .publication = &crew.publication,
	        .pool = crew.pool,
	        .handover = crew.options.workers > 1 ? crew.handover : NULL,
	        .now_us = now_us,
	        .port = {{source, sink, one}, {NULL, sink, one}},
	};
	char err[256];

	one->id = id;
	one->worker = sl_worker_create(&params, err, sizeof(err));
	if (one->worker == NULL)
		rig_die(err);
	if (!crew.options.traffic)
		return;
	one->frames = aligned_alloc(FRAME_SLOT, ((size_t)crew.options.repeated + 1) * FRAME_SLOT);
	if (one->frames == NULL)
		rig_die("no memory for frames");
}

struct sl_reload *crew_start(const struct crew_options *options)
{
	struct sl_reload *reload;
	unsigned lcore, id = 0;

	crew.options = *options;
	if (options->repeated == 0)
		crew.options.repeated = options->flows;
	pace_register();
	prepare();
	reload = make_reload();
	for (unsigned i = 0; options->workers > 1 && i < options->workers; i++) {
		char name[32];

		snprintf(name, sizeof(name), "handover-%u", i);
		crew.handover[i] = rte_ring_create(name, 4096, SOCKET_ID_ANY, RING_F_SC_DEQ);
		if (crew.handover[i] == NULL)
			rig_die("no memory for rings");
	}
	for (unsigned i = 0; i < options->workers; i++)
		make_worker(i);
	RTE_LCORE_FOREACH_WORKER (lcore)
		if (id < options->workers &&
		    rte_eal_remote_launch(loop, &crew.one[id++], lcore) != 0)
			rig_die("a worker does not start");
	if (id < options->workers)
		rig_die("too few lcores");
	return reload;
}

void crew_open(unsigned flows)
{
	atomic_store(&crew.open_to, flows);
	for (unsigned i = 0; i < crew.options.workers; i++)
		while (atomic_load_explicit(&crew.one[i].opened, memory_order_acquire) < flows)
			usleep(1000);
}

/* Waits until no frame is in flight. */
static void quieten(void)
{
	atomic_store(&crew.sending, false);
	usleep(20000);
}

void crew_send(bool on)
{
	quieten();
	if (on)
		for (unsigned i = 0; i < crew.options.workers; i++)
			crew.one[i].pace.tsc_per_frame = 0;
	atomic_store_explicit(&crew.sending, on, memory_order_release);
}

void crew_pace(double frames_per_second)
{
	quieten();
	for (unsigned i = 0; i < crew.options.workers; i++)
		pace_begin(&crew.one[i].pace, frames_per_second / crew.options.workers);
	atomic_store_explicit(&crew.sending, true, memory_order_release);
}

void crew_paced(struct pace_figures *figures, uint64_t *lost)
{
	const struct pace *paces[SL_WORKERS_MAX];

	*lost = 0;
	for (unsigned i = 0; i < crew.options.workers; i++) {
		paces[i] = &crew.one[i].pace;
		*lost += crew.one[i].pace.lost;
	}
	pace_figures(paces, crew.options.workers, figures);
}

void crew_bypass(bool on)
{
	quieten();
	atomic_store(&crew.idle_hands, on);
}

void crew_count(struct crew_counts *counts)
{
	*counts = (struct crew_counts){0};
	for (unsigned i = 0; i < crew.options.workers; i++) {
		const struct sl_stats *stats = sl_worker_stats(crew.one[i].worker);

		counts->given += atomic_load(&crew.one[i].given);
		counts->sent += atomic_load(&crew.one[i].sent);
		counts->received += stats->rx[SL_PORT_SANDBOX] + stats->rx[SL_PORT_UPLINK];
		counts->forwarded += sl_stats_forwarded(stats);
		counts->dropped += sl_stats_dropped(stats);
		counts->held += stats->held;
		counts->made += stats->made[SL_PORT_SANDBOX] + stats->made[SL_PORT_UPLINK];
		counts->flows += stats->flows;
		counts->cut += stats->flows_cut;
		counts->handed_over += stats->handed_over;
	}
}

/* Reads from the kernel how long a thread ran, and how long it was runnable without running. */
static void read_schedstat(int thread, uint64_t *ran_ns, uint64_t *kept_waiting_ns)
{
	char path[64], text[128];
	ssize_t n;
	int fd;

	*ran_ns = *kept_waiting_ns = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", thread);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n > 0) {
		text[n] = '\0';
		sscanf(text, "%" SCNu64 " %" SCNu64, ran_ns, kept_waiting_ns);
	}
	if (fd >= 0)
		close(fd);
}

uint64_t crew_kept_waiting_ns(void)
{
	uint64_t ran_ns, ns, sum;

	read_schedstat((int)gettid(), &ran_ns, &sum);
	for (unsigned i = 0; i < crew.options.workers; i++) {
		read_schedstat(atomic_load(&crew.one[i].thread), &ran_ns, &ns);
		sum += ns;
	}
	return sum;
}

uint64_t crew_ran_ns(void)
{
	uint64_t ns, kept_waiting_ns, sum = 0;

	for (unsigned i = 0; i < crew.options.workers; i++) {
		read_schedstat(atomic_load(&crew.one[i].thread), &ns, &kept_waiting_ns);
		sum += ns;
	}
	return sum;
}

void crew_stop(void)
{
	atomic_store(&crew.stop, true);
	rte_eal_mp_wait_lcore();
}
