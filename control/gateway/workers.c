/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers.c: the workers of `sluice run`: their rings, their lcores, their loop.
 *
 * Decides when a worker sleeps. What it does in a turn is up to the dataplane.
 */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring_elem.h>

#include "sluice/ask.h"
#include "tell/totals.h"

#define IDLE_TURNS   128 /* without a frame, before a worker sleeps */
#define EVENTS_BURST 32

struct one {
	struct sl_workers *all;
	unsigned id;
	unsigned lcore;
	bool launched;
	struct sl_worker *worker;
	struct rte_ring *events; /* or NULL */
	struct rte_ring *asks;
};

struct sl_workers {
	struct sl_workers_params params;
	struct sl_clock clock;
	atomic_bool stop;
	atomic_bool stopped; /* no worker runs any more */
	struct sl_quic_ids *quic_ids;
	struct rte_ring *handover[SL_WORKERS_MAX];
	struct one one[SL_WORKERS_MAX];
};

int sl_workers_init_publication(struct sl_publication *publication, unsigned count)
{
	size_t size = rte_rcu_qsbr_get_memsize(count);

	publication->qsbr = rte_zmalloc("qsbr", size, RTE_CACHE_LINE_SIZE);
	if (publication->qsbr == NULL || rte_rcu_qsbr_init(publication->qsbr, count) != 0)
		return -ENOMEM;
	return 0;
}

void sl_workers_fini_publication(struct sl_publication *publication)
{
	rte_free(publication->qsbr);
	publication->qsbr = NULL;
}

/* ---- making them ---- */

static struct rte_ring *make_ring(const char *kind, unsigned id, unsigned element, unsigned slots,
                                  unsigned flags)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s-%u", kind, id);
	return rte_ring_create_elem(name, element, slots, SOCKET_ID_ANY, flags);
}

static int make_rings(struct sl_workers *workers)
{
	for (unsigned i = 0; i < workers->params.count; i++) {
		/* any worker enqueues, the owner dequeues */
		if (workers->params.count > 1) {
			workers->handover[i] = make_ring("handover", i, sizeof(void *),
			                                 SL_WORKERS_HANDOVER_SLOTS, RING_F_SC_DEQ);
			if (workers->handover[i] == NULL)
				return -ENOMEM;
		}
		workers->one[i].asks =
		        make_ring("asks", i, sizeof(void *), SL_ASK_SLOTS, RING_F_SC_DEQ);
		if (workers->one[i].asks == NULL)
			return -ENOMEM;
		if (!workers->params.events)
			continue;
		workers->one[i].events =
		        make_ring("events", i, sizeof(struct sl_event), SL_WORKERS_EVENT_SLOTS,
		                  RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (workers->one[i].events == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int make_worker(struct sl_workers *workers, unsigned id, char *err, size_t err_size)
{
	const struct sl_workers_params *all = &workers->params;
	struct sl_worker_params params = {
	        .id = id,
	        .count = all->count,
	        .settings = all->settings,
	        .publication = all->publication,
	        .pool = all->pool,
	        .handover = all->count > 1 ? workers->handover : NULL,
	        .quic_ids = workers->quic_ids,
	        .events = workers->one[id].events,
	        .asks = workers->one[id].asks,
	        .now_us = sl_clock_now_us,
	        .clock_ctx = &workers->clock,
	};

	for (int port = 0; port < SL_PORT_COUNT; port++)
		params.port[port] = sl_port_io(&all->ports[port], id);
	workers->one[id].all = workers;
	workers->one[id].id = id;
	workers->one[id].worker = sl_worker_create(&params, err, err_size);
	if (workers->one[id].worker == NULL)
		return -ENOMEM;
	sl_worker_warm(workers->one[id].worker);
	return 0;
}

struct sl_workers *sl_workers_create(const struct sl_workers_params *params, char *err,
                                     size_t err_size)
{
	struct sl_workers *workers = calloc(1, sizeof(*workers));
	int ret = 0;

	if (workers == NULL) {
		snprintf(err, err_size, "no memory for the workers");
		return NULL;
	}
	workers->params = *params;
	sl_clock_start(&workers->clock);
	if (make_rings(workers) != 0) {
		snprintf(err, err_size, "no memory for the workers' rings: %s",
		         rte_strerror(rte_errno));
		ret = -ENOMEM;
	}
	workers->quic_ids = sl_quic_ids_create(params->settings->flows);
	if (ret == 0 && workers->quic_ids == NULL) {
		snprintf(err, err_size, "no memory for the table of connection IDs");
		ret = -ENOMEM;
	}
	for (unsigned i = 0; ret == 0 && i < params->count; i++)
		ret = make_worker(workers, i, err, err_size);
	if (ret != 0) {
		sl_workers_free(workers);
		return NULL;
	}
	return workers;
}

/* ---- the loop ---- */

static void sleep_offline(struct one *one)
{
	struct rte_rcu_qsbr *qsbr = one->all->params.publication->qsbr;

	/*
	 * a push does not wait for a sleeping worker; when it wakes up, it reads the new pointer
	 * first
	 */
	rte_rcu_qsbr_thread_offline(qsbr, one->id);
	usleep(one->all->params.idle_sleep_us);
	rte_rcu_qsbr_thread_online(qsbr, one->id);
}

static int loop(void *arg)
{
	struct one *one = arg;
	struct sl_workers *all = one->all;
	struct rte_rcu_qsbr *qsbr = all->params.publication->qsbr;
	unsigned idle = 0;
	char name[16];

	snprintf(name, sizeof(name), "worker-%u", one->id);
	pthread_setname_np(pthread_self(), name);
	prctl(PR_SET_TIMERSLACK, 1000ul); /* the default would double a sleep of 50 us */
	rte_rcu_qsbr_thread_register(qsbr, one->id);
	rte_rcu_qsbr_thread_online(qsbr, one->id);
	while (!atomic_load_explicit(&all->stop, memory_order_relaxed)) {
		/* a sweep is work even if no frame was received */
		if (sl_worker_turn(one->worker) != 0 || !sl_worker_settled(one->worker))
			idle = 0;
		else if (++idle >= IDLE_TURNS && all->params.idle_sleep_us != 0)
			sleep_offline(one);
	}
	rte_rcu_qsbr_thread_offline(qsbr, one->id);
	rte_rcu_qsbr_thread_unregister(qsbr, one->id);
	return 0;
}

int sl_workers_launch(struct sl_workers *workers, char *err, size_t err_size)
{
	unsigned lcore, id = 0;

	RTE_LCORE_FOREACH_WORKER (lcore) {
		int ret;

		if (id == workers->params.count)
			break;
		workers->one[id].lcore = lcore;
		ret = rte_eal_remote_launch(loop, &workers->one[id], lcore);
		if (ret != 0) {
			snprintf(err, err_size, "worker %u does not start on lcore %u: %s", id,
			         lcore, rte_strerror(-ret));
			return ret;
		}
		workers->one[id++].launched = true;
	}
	if (id < workers->params.count) {
		snprintf(err, err_size, "%u workers, but DPDK has only %u lcores for them",
		         workers->params.count, id);
		return -EINVAL;
	}
	return 0;
}

bool sl_workers_stop(struct sl_workers *workers, unsigned timeout_ms)
{
	uint64_t until_ms = sl_clock_wait_ms() + timeout_ms;
	unsigned running;

	atomic_store(&workers->stop, true);
	do {
		running = 0;
		for (unsigned i = 0; i < workers->params.count; i++)
			if (workers->one[i].launched &&
			    rte_eal_get_lcore_state(workers->one[i].lcore) == RUNNING)
				running++;
		if (running > 0)
			usleep(500);
	} while (running > 0 && sl_clock_wait_ms() < until_ms);
	atomic_store(&workers->stopped, running == 0);
	return running == 0;
}

/* ---- events and counters ---- */

unsigned sl_workers_take_events(struct sl_workers *workers, unsigned max,
                                void (*take)(void *ctx, const struct sl_event *event), void *ctx)
{
	int64_t offset_us = sl_clock_offset_us(&workers->clock);
	struct sl_event events[EVENTS_BURST];
	unsigned taken = 0;

	for (unsigned i = 0; i < workers->params.count; i++) {
		struct rte_ring *ring = workers->one[i].events;
		unsigned n, share = 0;

		/* each worker has its share of max, so that none fills the file alone */
		while (ring != NULL && share < max / workers->params.count + 1 &&
		       (n = rte_ring_dequeue_burst_elem(ring, events, sizeof(events[0]),
		                                        EVENTS_BURST, NULL)) > 0) {
			for (unsigned k = 0; k < n; k++) {
				events[k].time_us += (uint64_t)offset_us;
				take(ctx, &events[k]);
			}
			share += n;
		}
		taken += share;
	}
	return taken;
}

void sl_workers_totals(const struct sl_workers *workers, struct sl_totals *totals)
{
	for (unsigned i = 0; i < workers->params.count; i++)
		sl_totals_add(totals, sl_worker_stats(workers->one[i].worker));
}

bool sl_workers_ask(struct sl_workers *workers, unsigned id, struct sl_ask *ask,
                    unsigned timeout_ms, bool *lost)
{
	*lost = false;
	atomic_store(&ask->done, false);
	if (rte_ring_enqueue(workers->one[id].asks, ask) != 0)
		return false;
	*lost = !sl_workers_await(workers, id, ask, timeout_ms);
	return !*lost;
}

bool sl_workers_await(struct sl_workers *workers, unsigned id, struct sl_ask *ask,
                      unsigned timeout_ms)
{
	const struct timespec pause = {.tv_nsec = 200000};
	unsigned waited_us = 0;

	while (!atomic_load_explicit(&ask->done, memory_order_acquire)) {
		if (atomic_load(&workers->stopped)) {
			sl_worker_answer(workers->one[id].worker);
			continue;
		}
		if (waited_us > timeout_ms * 1000)
			return false;
		nanosleep(&pause, NULL);
		waited_us += 200;
	}
	return true;
}

bool sl_workers_restore_pin(struct sl_workers *workers, const struct sl_kept_pin *pin)
{
	unsigned id = sl_worker_of_vlan(pin->vlan, workers->params.count);

	return sl_worker_restore_pin(workers->one[id].worker, pin);
}

int64_t sl_workers_clock_offset_us(struct sl_workers *workers)
{
	return sl_clock_offset_us(&workers->clock);
}

void sl_workers_load(const struct sl_workers *workers, struct sl_workers_load *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < workers->params.count; i++) {
		const struct sl_stats *stats = sl_worker_stats(workers->one[i].worker);

		out->flows += stats->flows;
		for (int port = 0; port < SL_PORT_COUNT; port++) {
			out->rx[port] += stats->rx[port];
			out->tx[port] += stats->tx[port];
		}
	}
}

void sl_workers_sandbox(const struct sl_workers *workers, uint16_t vlan,
                        struct sl_sandbox_stats *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < workers->params.count; i++) {
		const struct sl_stats *stats = sl_worker_stats(workers->one[i].worker);

		for (int reason = 0; reason < SL_REASON_COUNT; reason++)
			out->reason[reason] += stats->sandbox[vlan].reason[reason];
	}
}

uint64_t sl_workers_own_case(const struct sl_workers *workers, unsigned resolver)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < workers->params.count; i++)
		sum += sl_worker_stats(workers->one[i].worker)->own_case[resolver];
	return sum;
}

static void free_handover(struct rte_ring *ring)
{
	struct rte_mbuf *mbuf;

	if (ring == NULL)
		return;
	/* frames that their owner never received */
	while (rte_ring_dequeue(ring, (void **)&mbuf) == 0)
		rte_pktmbuf_free(mbuf);
	rte_ring_free(ring);
}

void sl_workers_free(struct sl_workers *workers)
{
	if (workers == NULL)
		return;
	for (unsigned i = 0; i < workers->params.count; i++) {
		if (workers->one[i].worker != NULL)
			sl_worker_free(workers->one[i].worker);
		rte_ring_free(workers->one[i].events);
		rte_ring_free(workers->one[i].asks);
		free_handover(workers->handover[i]);
	}
	sl_quic_ids_free(workers->quic_ids);
	free(workers);
}
