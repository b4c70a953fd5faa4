/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask.c: answers questions about a worker's tables, and cuts a sandbox's flows, between packets
 * (include/sluice/ask.h). Must never hold up a packet for long: a turn looks at few entries.
 *
 * Settles flows with: policy-changed.
 */
#include <rte_ring.h>

#include "sluice/ask.h"

#include "core/state.h"
#include "flow/names.h"
#include "judge/pins.h"
#include "walk.h"

#define LOOKED_AT 1024 /* entries of a table in a turn */
#define PINS_TOLD 64   /* pins in a turn: each is three lines of memory that nobody else reads */
#define CUT       64   /* flows in a turn */

static void set_name(const struct sl_worker *worker, struct sl_ask_item *item, uint32_t index)
{
	const struct sl_name *name;

	item->name_len = 0;
	if (index == 0)
		return;
	name = sl_names_at(worker, index);
	item->name_len = name->len;
	memcpy(item->name, name->text, name->len);
}

static void set_flow(const struct sl_worker *worker, struct sl_ask_item *item, uint32_t index)
{
	const struct sl_flow *flow = &worker->table.flows[index];
	const struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);

	*item = (struct sl_ask_item){
	        .vlan = flow->key.vlan,
	        .proto = flow->key.proto,
	        .inside_port = rte_be_to_cpu_16(flow->key.inside_port),
	        .remote_port = rte_be_to_cpu_16(flow->key.remote_port),
	        .reason = flow->reason,
	        .judged = sl_flow_is_judged(flow),
	        .age_s = (uint32_t)(worker->now_us / 1000000) - cold->opened_s,
	        .left_s = sl_due(worker, flow->expires_ms)
	                          ? 0
	                          : (flow->expires_ms - worker->now_ms) / 1000,
	};
	sl_key_inside(&flow->key, &item->inside);
	sl_key_remote(&flow->key, &item->remote);
	set_name(worker, item, cold->name);
}

/* True once the answer is whole: its room is used up, or the table's end was reached. */
static bool list_flows(const struct sl_worker *worker, struct sl_ask *ask)
{
	uint32_t end = worker->table.fresh; /* nothing from there on was ever used */

	for (unsigned i = 0; i < LOOKED_AT; i++, ask->next++) {
		const struct sl_flow *flow = &worker->table.flows[ask->next];

		if (ask->next >= end) {
			ask->next = 0;
			return true;
		}
		if (ask->next == 0 || flow->state == SL_FLOW_FREE ||
		    (ask->vlan != 0 && flow->key.vlan != ask->vlan))
			continue;
		if (ask->count == ask->room)
			return true;
		set_flow(worker, &ask->items[ask->count++], ask->next);
	}
	return false;
}

static bool list_pins(const struct sl_worker *worker, struct sl_ask *ask)
{
	uint32_t enough = ask->count + PINS_TOLD;

	for (unsigned i = 0; i < LOOKED_AT && ask->count < enough; i++, ask->next++) {
		struct sl_ask_item *item = &ask->items[ask->count];

		if (ask->next >= worker->pins.fresh) {
			ask->next = 0;
			return true;
		}
		if (ask->count == ask->room)
			return true;
		if (ask->next != 0 && sl_pins_read(worker, ask->next, ask->vlan, item))
			ask->count++;
	}
	return false;
}

static bool cut(struct sl_worker *worker, struct sl_ask *ask)
{
	struct sl_vlan *vlan = &worker->vlans[ask->vlan];
	unsigned budget = CUT;

	if (ask->left == 0)
		ask->left = vlan->flows + 1; /* those that open meanwhile are not meant */
	for (; ask->left > 1 && budget > 0 && vlan->flow_head != 0; budget--, ask->left--) {
		sl_flow_end(worker, &worker->table.flows[vlan->flow_head]);
		ask->flows_cut++;
	}
	if (ask->left > 1 && vlan->flow_head != 0)
		return false;
	return !ask->pins || sl_pins_drop(worker, ask->vlan, &budget, &ask->pins_forgotten);
}

void sl_ask_answer(struct sl_worker *worker)
{
	struct sl_ask *ask = worker->asked;
	bool done = false;

	if (worker->params.asks == NULL)
		return;
	if (ask == NULL && rte_ring_dequeue(worker->params.asks, (void **)&ask) != 0)
		return;
	switch (ask->kind) {
	case SL_ASK_FLOWS:
		done = list_flows(worker, ask);
		break;
	case SL_ASK_PINS:
		done = list_pins(worker, ask);
		break;
	case SL_ASK_CUT:
		done = cut(worker, ask);
		break;
	}
	worker->asked = done ? NULL : ask;
	if (done)
		atomic_store_explicit(&ask->done, true, memory_order_release);
}
