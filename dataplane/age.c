/* SPDX-License-Identifier: Apache-2.0 */
/*
 * age.c: expires flows whose time is over. Each pass over the table takes a second, a few entries
 * in each turn, so that no turn takes long.
 */
#include <netinet/in.h>

#include "flow/flows.h"
#include "flow/reject.h"
#include "walk.h"
#include "core/state.h"

#define PASS_US     1000000 /* one pass over the table */
#define TURN_BUDGET 512

/*
 * A connection that was idle for too long is reset at both ends: its next packet would be refused,
 * and an end that only receives would wait for ever (RFC 5382 REQ-5).
 */
static void expire(struct sl_worker *worker, struct sl_flow *flow)
{
	if (flow->key.proto == IPPROTO_TCP && !(flow->flags & SL_FLOW_FRAGMENTS) &&
	    (flow->state == SL_FLOW_ESTABLISHED || flow->state == SL_FLOW_HALF_CLOSED)) {
		sl_reject_reset(worker, flow, SL_PORT_SANDBOX);
		sl_reject_reset(worker, flow, SL_PORT_UPLINK);
	}
	sl_flow_close(worker, flow, SL_REASON_HELLO_TIMEOUT);
}

void sl_flow_age(struct sl_worker *worker, bool all)
{
	struct sl_flow_table *table = &worker->table;
	uint32_t used_to = table->fresh; /* nothing above was ever used */
	uint64_t elapsed = worker->now_us - worker->aged_us;
	uint64_t due;

	if (used_to <= 1) {
		worker->aged_us = worker->now_us;
		return;
	}
	due = all ? used_to - 1 : elapsed * (used_to - 1) / PASS_US;
	if (due == 0)
		return;
	worker->aged_us = worker->now_us;
	if (!all && due > TURN_BUDGET)
		due = TURN_BUDGET;
	for (; due > 0; due--) {
		struct sl_flow *flow;

		if (++worker->age_cursor >= used_to)
			worker->age_cursor = 1;
		flow = &table->flows[worker->age_cursor];
		rte_prefetch0(flow + 4);
		if (flow->state != SL_FLOW_FREE && sl_due(worker, flow->expires_ms))
			expire(worker, flow);
	}
}
