/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_gateway.c: the gateway without ports.
 *
 * Decides how the clock moves between packets: in steps, so that timeouts in between happen when
 * they are due. Everything else is the same policy's walk and the same worker as in `sluice run`.
 */
#include "replay_gateway.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include "document/config.h"
#include "document/diag.h"
#include "gateway/eal.h"
#include "tell/events.h"
#include "frame_file.h"
#include "reload/reload.h"
#include "gateway/settings_from_config.h"
#include "sluice/worker.h"
#include "tell/totals.h"

#define MEMORY_MIB   4096 /* address space; only what is used is allocated */
#define MBUFS        16383
#define EVENT_SLOTS  16384
#define STEP_US      500000
#define STEPS_MAX    100   /* in one gap between packets */
#define TICK_US      10000 /* a finer step would not change any result */
#define RUN_ON_STEPS 1000  /* at the end; longer than the longest wait for a hello */

struct side {
	struct sl_replay_gateway *gateway;
	struct sl_frame_file *file; /* or NULL */
};

struct sl_replay_gateway {
	struct sl_replay_params params;
	struct sl_eal_plan eal;
	struct sl_settings settings;
	struct sl_publication publication;
	struct sl_reload *reload;
	struct sl_worker *worker; /* NULL before the first packet sets the clock */
	struct rte_mempool *pool;
	struct rte_ring *events;
	struct side sides[SL_PORT_COUNT];
	uint64_t now_us, ticked_us;
};

static uint64_t read_clock(void *ctx)
{
	return ((const struct sl_replay_gateway *)ctx)->now_us;
}

static uint16_t transmit(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	const struct side *side = ctx;

	for (uint16_t i = 0; i < n; i++) {
		if (side->file != NULL)
			sl_frame_file_add(side->file, side->gateway->now_us, pkts[i]);
		rte_pktmbuf_free(pkts[i]);
	}
	return n;
}

static void drain_events(struct sl_replay_gateway *gateway)
{
	struct sl_event event;

	if (gateway->events == NULL)
		return;
	while (rte_ring_dequeue_elem(gateway->events, &event, sizeof(event)) == 0)
		sl_events_add(gateway->params.events, &event);
}

/* ---- making one ---- */

static int load_policy(struct sl_replay_gateway *gateway, struct sl_diag *diag)
{
	struct sl_reload_params params = {
	        .config = gateway->params.config,
	        .publication = &gateway->publication,
	        .workers = 1,
	};

	gateway->reload = sl_reload_create(&params, diag);
	if (gateway->reload == NULL)
		return -ENOMEM;
	return sl_reload_push_file(gateway->reload, gateway->params.policy, diag, NULL);
}

static int make_memory(struct sl_replay_gateway *gateway, char *err, size_t err_size)
{
	gateway->pool = rte_pktmbuf_pool_create("replay", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
	                                        SOCKET_ID_ANY);
	if (gateway->params.events != NULL)
		gateway->events =
		        rte_ring_create_elem("events", sizeof(struct sl_event), EVENT_SLOTS,
		                             SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (gateway->pool == NULL || (gateway->params.events != NULL && gateway->events == NULL)) {
		snprintf(err, err_size, "no memory for packets: %s", rte_strerror(rte_errno));
		return -ENOMEM;
	}
	return 0;
}

static int set_up(struct sl_replay_gateway *gateway, struct sl_diag *diag, char *err,
                  size_t err_size)
{
	int ret = sl_settings_from_config(gateway->params.config, true, diag, &gateway->settings);

	gateway->settings.checksums_ignore = gateway->params.checksums_ignore;
	for (int port = 0; port < SL_PORT_COUNT; port++)
		gateway->sides[port] = (struct side){gateway, gateway->params.left[port]};
	sl_eal_plan_alone(MEMORY_MIB, &gateway->eal);
	if (ret == 0)
		ret = sl_eal_start(&gateway->eal, err, err_size);
	if (ret == 0)
		ret = make_memory(gateway, err, err_size);
	if (ret == 0)
		ret = load_policy(gateway, diag);
	return ret;
}

struct sl_replay_gateway *sl_replay_gateway_create(const struct sl_replay_params *params,
                                                   struct sl_diag *diag, char *err, size_t err_size)
{
	struct sl_replay_gateway *gateway = calloc(1, sizeof(*gateway));

	if (gateway == NULL) {
		snprintf(err, err_size, "no memory");
		return NULL;
	}
	gateway->params = *params;
	if (set_up(gateway, diag, err, err_size) != 0) {
		sl_replay_gateway_free(gateway);
		return NULL;
	}
	return gateway;
}

static int make_worker(struct sl_replay_gateway *gateway)
{
	struct sl_worker_params params = {
	        .count = 1,
	        .settings = &gateway->settings,
	        .publication = &gateway->publication,
	        .pool = gateway->pool,
	        .events = gateway->events,
	        .now_us = read_clock,
	        .clock_ctx = gateway,
	};
	char err[256] = "";

	for (int port = 0; port < SL_PORT_COUNT; port++)
		params.port[port] =
		        (struct sl_port_io){.tx = transmit, .ctx = &gateway->sides[port]};
	gateway->worker = sl_worker_create(&params, err, sizeof(err));
	return gateway->worker != NULL ? 0 : -ENOMEM;
}

void sl_replay_gateway_free(struct sl_replay_gateway *gateway)
{
	if (gateway == NULL)
		return;
	if (gateway->worker != NULL)
		sl_worker_free(gateway->worker);
	sl_reload_free(gateway->reload);
	rte_ring_free(gateway->events);
	rte_mempool_free(gateway->pool);
	sl_eal_plan_free(&gateway->eal);
	free(gateway);
}

/* ---- time ---- */

static void tick(struct sl_replay_gateway *gateway)
{
	sl_worker_tick(gateway->worker);
	gateway->ticked_us = gateway->now_us;
	drain_events(gateway);
}

/* Advances the clock; everything that is due until then happens in order. */
static void advance(struct sl_replay_gateway *gateway, uint64_t to_us)
{
	uint64_t step;

	if (to_us <= gateway->now_us)
		return;
	step = RTE_MAX((uint64_t)STEP_US, (to_us - gateway->now_us) / STEPS_MAX + 1);
	while (to_us - gateway->now_us > step) {
		gateway->now_us += step;
		tick(gateway);
	}
	gateway->now_us = to_us;
	if (gateway->now_us - gateway->ticked_us >= TICK_US)
		tick(gateway);
}

static bool has_more(const struct sl_replay_gateway *gateway)
{
	return sl_worker_held(gateway->worker) > 0 || sl_worker_has_to_tell(gateway->worker);
}

static void run_on(struct sl_replay_gateway *gateway, uint64_t step_us)
{
	for (int i = 0; i < RUN_ON_STEPS && has_more(gateway); i++) {
		gateway->now_us += step_us;
		tick(gateway);
	}
}

/*
 * Holds of hellos time out soon. A hold that waits for the server's first record, which is not in
 * the capture, lasts as long as an established connection may be silent; larger steps do no harm
 * there.
 */
bool sl_replay_gateway_finish(struct sl_replay_gateway *gateway)
{
	uint64_t longest_us = (uint64_t)gateway->settings.tcp_established_ms * 1000;

	if (gateway->worker == NULL)
		return true;
	run_on(gateway, STEP_US);
	run_on(gateway, RTE_MAX((uint64_t)STEP_US, longest_us / (RUN_ON_STEPS / 2)));
	return sl_worker_held(gateway->worker) == 0;
}

/* ---- packets ---- */

/* A frame in as many mbufs as it needs, as a port would deliver it. */
static struct rte_mbuf *mbuf_of(struct rte_mempool *pool, const uint8_t *frame, size_t len)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *tail = head;
	size_t done = 0;

	if (head == NULL)
		return NULL;
	for (;;) {
		size_t piece = RTE_MIN(len - done, (size_t)rte_pktmbuf_tailroom(tail));

		memcpy(rte_pktmbuf_mtod(tail, void *), frame + done, piece);
		tail->data_len = (uint16_t)piece;
		done += piece;
		if (done == len)
			break;
		tail->next = rte_pktmbuf_alloc(pool);
		if (tail->next == NULL) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		tail = tail->next;
		head->nb_segs++;
	}
	head->pkt_len = (uint32_t)len;
	return head;
}

int sl_replay_gateway_feed(struct sl_replay_gateway *gateway, enum sl_port_id port,
                           uint64_t time_us, const uint8_t *frame, size_t len)
{
	struct rte_mbuf *mbuf;

	if (gateway->worker == NULL) {
		gateway->now_us = gateway->ticked_us = time_us;
		if (make_worker(gateway) != 0)
			return -ENOMEM;
	}
	advance(gateway, time_us);
	mbuf = mbuf_of(gateway->pool, frame, len);
	if (mbuf == NULL)
		return -ENOMEM;
	mbuf->port = (uint16_t)port;
	sl_worker_input(gateway->worker, port, &mbuf, 1);
	drain_events(gateway);
	return 0;
}

void sl_replay_gateway_totals(const struct sl_replay_gateway *gateway, struct sl_totals *totals)
{
	if (gateway->worker != NULL)
		sl_totals_add(totals, sl_worker_stats(gateway->worker));
}

uint16_t sl_replay_gateway_native_vlan(const struct sl_replay_gateway *gateway,
                                       enum sl_port_id port)
{
	return gateway->settings.native_vlan[port];
}
