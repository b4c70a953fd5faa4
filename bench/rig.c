/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig.c: the gateway around a bench's loop.
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include "document/diag.h"
#include "gateway/settings_from_config.h"

#define START_US 1767225600000000u /* a day in 2026 */

void rig_die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static uint64_t tsc_clock(void *ctx)
{
	const struct rig *rig = ctx;
	uint64_t ticks = rte_rdtsc() - rig->start_tsc;

	return START_US + (uint64_t)(((unsigned __int128)ticks * rig->us_per_tsc) >> 32);
}

static uint64_t mock_clock(void *ctx)
{
	return ((struct rig *)ctx)->mock_us;
}

static void push_policy(struct rig *rig, const char *policy, struct sl_diag *diag)
{
	struct sl_policy_doc *doc = NULL;
	struct sl_reload_params reload = {
	        .publication = &rig->publication, .workers = 1, .config = &rig->config};

	if (sl_policy_doc_read_buffer("bench", policy, strlen(policy), diag, &doc) == 0) {
		rig->reload = sl_reload_create(&reload, diag);
		if (rig->reload != NULL && sl_reload_push(rig->reload, doc, diag, NULL) == 0) {
			sl_policy_doc_free(doc);
			return;
		}
	}
	sl_diag_print(diag, SL_DIAG_ERROR, stderr);
	rig_die("the policy was refused");
}

void rig_create(struct rig *rig, const struct rig_options *options)
{
	struct sl_worker_params params = {
	        .count = 1,
	        .settings = &rig->settings,
	        .publication = &rig->publication,
	        .pool = options->pool,
	        .now_us = options->mock_clock ? mock_clock : tsc_clock,
	        .clock_ctx = rig,
	        .port = {options->port[0], options->port[1]},
	};
	struct sl_diag diag;
	char err[256];

	sl_diag_init(&diag);
	rig->mock_us = START_US;
	rig->start_tsc = rte_rdtsc();
	rig->us_per_tsc = (uint64_t)((double)(1ull << 32) * 1e6 / (double)rte_get_tsc_hz());
	sl_config_init_replay(&rig->config);
	rig->config.limits.flows = options->flows_exactly != 0 ? options->flows_exactly
	                                                       : RTE_MAX(options->flows, 1u << 20);
	rig->config.limits.flows_per_sandbox = rig->config.limits.flows;
	if (options->idle_s > 0)
		rig->config.timeouts.udp_s = rig->config.timeouts.tcp_opening_s = options->idle_s;
	if (sl_settings_from_config(&rig->config, true, &diag, &rig->settings) != 0)
		rig_die("the settings were refused");
	rig->settings.checksums_partial = false;
	push_policy(rig, options->policy, &diag);
	if (options->events)
		rig->events = rte_ring_create_elem("events", sizeof(struct sl_event), 4096,
		                                   SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	params.events = rig->events;
	rig->worker = sl_worker_create(&params, err, sizeof(err));
	if (rig->worker == NULL)
		rig_die(err);
	sl_diag_free(&diag);
}

unsigned rig_drain_events(struct rig *rig)
{
	static struct sl_event events[256];

	if (rig->events == NULL)
		return 0;
	return rte_ring_dequeue_burst_elem(rig->events, events, sizeof(events[0]), 256, NULL);
}
