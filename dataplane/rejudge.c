/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rejudge.c: judges open flows again by a newer generation (spec section 2). A flow is judged by
 * its address and by the name that it proved; flows that are denied now are cut.
 *
 * Settles flows with: policy-changed.
 */
#include <netinet/in.h>

#include "flow/names.h"
#include "flow/record.h"
#include "sandbox/sandbox.h"
#include "judge/subnet.h"
#include "judge/name.h"
#include "flow/flows.h"
#include "flow/reject.h"
#include "judge/pins.h"
#include "walk.h"
#include "flow/verdict.h"
#include "core/state.h"
#include "core/watch.h"

/* True if the flow belongs to another sandbox, which had this VLAN before. */
static bool is_inherited(const struct sl_worker *worker, const struct sl_flow *flow)
{
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, flow->key.vlan);

	return sandbox != NULL && sl_flow_cold(&worker->table, flow)->epoch < sandbox->incarnation;
}

static bool has_ends(const struct sl_flow *flow)
{
	return flow->key.proto == IPPROTO_TCP && !(flow->flags & SL_FLOW_FRAGMENTS);
}

/* The name that the flow has, for its event. */
static struct sl_proof proof_of(const struct sl_worker *worker, const struct sl_flow *flow)
{
	const struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);
	struct sl_proof proof = {.via = (enum sl_via)cold->via};

	if (cold->name != 0) {
		const struct sl_name *name = sl_names_at(worker, cold->name);

		proof.text = name->text;
		proof.len = name->len;
	}
	return proof;
}

/* Tells both ends that the flow is over. */
static void tell_ends(struct sl_worker *worker, struct sl_flow *flow)
{
	if (!has_ends(flow)) {
		sl_reject_flow_icmp(worker, flow);
		return;
	}
	/*
	 * The server may miss its reset: no later connection may continue what it has of the
	 * stream.
	 */
	(void)sl_record_begin(worker, flow);
	sl_reject_reset(worker, flow, SL_PORT_SANDBOX);
	sl_reject_reset(worker, flow, SL_PORT_UPLINK);
}

void sl_flow_end(struct sl_worker *worker, struct sl_flow *flow)
{
	const struct sl_proof proof = proof_of(worker, flow);

	if (flow->state != SL_FLOW_REFUSED) {
		worker->stats->flows_cut++;
		tell_ends(worker, flow);
		sl_verdict_report_flow(worker, flow, false, SL_REASON_POLICY_CHANGED, &proof);
	}
	sl_flow_close(worker, flow, SL_REASON_POLICY_CHANGED);
}

static void cut(struct sl_worker *worker, struct sl_flow *flow)
{
	const struct sl_proof proof = proof_of(worker, flow);

	/* Its remaining state counts against a sandbox's limits until it expires. */
	if (!has_ends(flow) || is_inherited(worker, flow)) {
		sl_flow_end(worker, flow);
		return;
	}
	worker->stats->flows_cut++;
	tell_ends(worker, flow);
	sl_flow_refuse(worker, flow, SL_REASON_POLICY_CHANGED, &proof);
}

/*
 * Rule 3a by the name that the flow has. A flow that a pin opened outlives it; one that proved its
 * name elsewhere (under `pinning: log` or `*`, at any address) needs a pin to say that it is here.
 */
static bool entry_allows(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                         const struct sl_flow *flow, const struct sl_proof *proof)
{
	int rule = sl_judge_rule_of(sandbox, &flow->key);
	struct sl_addr remote;

	if (rule < 0 ||
	    !sl_judge_rule_fits(worker, sandbox, (unsigned)rule, proof->text, proof->len))
		return false;
	if (proof->via == SL_VIA_PIN || flow->reason == SL_REASON_PIN_ALLOWED)
		return true;
	sl_key_remote(&flow->key, &remote);
	return sl_pins_tie(worker, sandbox, &remote, proof->text, proof->len);
}

/*
 * What the present policy says of a flow that its address does not open: by the name that it proved
 * or that a pin gave it, which is *proof. A flow that was opened without one finds a pin now, if
 * its port is one that by-address opens.
 */
static enum sl_reason judge_name(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                                 const struct sl_flow *flow, struct sl_proof *proof)
{
	const struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);
	const struct sl_name *name;

	if (cold->name == 0)
		return sl_flow_is_judged(flow) &&
		                       sl_judge_by_pin(worker, sandbox, &flow->key, proof)
		               ? SL_REASON_PIN_ALLOWED
		               : SL_REASON_DOMAIN_NOT_ALLOWED;
	name = sl_names_at(worker, cold->name);
	*proof = (struct sl_proof){name->text, name->len, (enum sl_via)cold->via};
	/* The bytes of a flow that a pin opened have proved no name. */
	if (cold->via != SL_VIA_PIN && sl_judge_allows(worker, sandbox, name->text, name->len))
		return SL_REASON_DOMAIN_ALLOWED;
	return entry_allows(worker, sandbox, flow, proof) ? SL_REASON_PIN_ALLOWED
	                                                  : SL_REASON_DOMAIN_NOT_ALLOWED;
}

/* True, with *reason set, if owner and address of the flow decide it under the current policy. */
static bool settles(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                    const struct sl_flow *flow, enum sl_reason *reason)
{
	const struct sl_watcher *watcher = sl_watcher_of(flow);
	struct sl_addr inside, remote;
	struct sl_address address;

	*reason = SL_REASON_SOURCE_SPOOFED;
	sl_key_inside(&flow->key, &inside);
	sl_key_remote(&flow->key, &remote);
	if (!sl_sandbox_owns(worker, sandbox, &inside))
		return true;
	sl_subnet_look(worker, sandbox, &remote, sl_subnet_class(worker, &remote), &address);
	return (watcher != NULL && watcher->allows != NULL &&
	        watcher->allows(worker, sandbox, flow, &remote, &address, reason)) ||
	       sl_subnet_settles(sandbox, &address, reason);
}

/* Judges the flow by the current policy; false: it stays on hold until it proves its name. */
static bool judge(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                  const struct sl_flow *flow, enum sl_reason *reason, struct sl_proof *proof)
{
	if (settles(worker, sandbox, flow, reason))
		return true;
	*reason = judge_name(worker, sandbox, flow, proof);
	return sl_flow_is_judged(flow);
}

/* The address of a flow on hold needs no name any more. */
static void open_up(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	const struct sl_watcher *watcher = sl_watcher_of(flow);

	if (watcher != NULL && watcher->open_up != NULL)
		watcher->open_up(worker, flow, reason);
	else
		sl_verdict_flow(worker, flow, reason, NULL);
}

/* Gives the flow the reason by which the current policy allows it. False: it cannot be kept. */
static bool keep(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason,
                 const struct sl_proof *proof)
{
	const struct sl_watcher *watcher = sl_watcher_of(flow);
	bool watched = watcher != NULL && watcher->opens_judged;

	if (sl_reason_is_by_address(reason) && (watched || !sl_flow_is_judged(flow))) {
		open_up(worker, flow, reason);
	} else if (sl_flow_is_judged(flow) && reason != flow->reason) {
		if (proof->len > 0 && sl_flow_cold(&worker->table, flow)->name == 0)
			return sl_verdict_flow(worker, flow, reason, proof);
		sl_flow_judge(flow, reason);
		sl_verdict_report_flow(worker, flow, true, reason, proof);
	}
	return true;
}

bool sl_flow_rejudge(struct sl_worker *worker, struct sl_flow *flow)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, flow->key.vlan);
	struct sl_proof proof = {.via = SL_VIA_NONE};
	enum sl_reason reason;
	bool settled;

	if (sandbox != NULL && cold->epoch == sandbox->epoch)
		return true;
	if (flow->state == SL_FLOW_REFUSED) {
		if (is_inherited(worker, flow)) {
			sl_flow_close(worker, flow, SL_REASON_POLICY_CHANGED);
			return false;
		}
		cold->epoch = sandbox != NULL ? sandbox->epoch : 0;
		return true;
	}
	if (sandbox == NULL || is_inherited(worker, flow)) {
		cut(worker, flow);
		return false;
	}
	settled = judge(worker, sandbox, flow, &reason, &proof);
	if (settled && !sl_reason_allows(reason)) {
		cut(worker, flow);
		return false;
	}
	cold->epoch = sandbox->epoch;
	if (settled && !keep(worker, flow, reason, &proof)) {
		cut(worker, flow);
		return false;
	}
	sl_verdict_set_fast(worker, flow);
	return true;
}

static void queue_vlan(struct sl_worker *worker, uint16_t number)
{
	unsigned at = worker->to_sweep_head + worker->to_sweep_count;

	if (worker->vlans[number].queued)
		return;
	worker->vlans[number].queued = true;
	worker->to_sweep[at % SL_VLAN_COUNT] = number;
	worker->to_sweep_count++;
}

/* Begins the sweep of a VLAN whose policy differs from the one that its flows were judged by. */
static void begin_vlan(struct sl_worker *worker, uint16_t number)
{
	struct sl_vlan *vlan = &worker->vlans[number];
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, number);
	uint32_t epoch = sandbox != NULL ? sandbox->epoch : 0;
	uint32_t incarnation = sandbox != NULL ? sandbox->incarnation : 0;

	if (vlan->incarnation != incarnation) {
		struct sl_sandbox_stats *stats = &worker->stats->sandbox[number];

		/*
		 * The old sandbox's counters are added to those of no sandbox, so that the sums
		 * stay true.
		 */
		for (unsigned r = 0; r < SL_REASON_COUNT; r++) {
			worker->stats->sandbox[0].reason[r] += stats->reason[r];
			stats->reason[r] = 0;
		}
		vlan->incarnation = incarnation;
		vlan->reasons_told = 0;
		if (vlan->pin_oldest != 0)
			queue_vlan(worker, number);
	}
	if (vlan->epoch != epoch) {
		vlan->epoch = epoch;
		vlan->sweep = vlan->flow_head;
		if (vlan->sweep != 0)
			queue_vlan(worker, number);
	}
}

void sl_flow_begin_sweep(struct sl_worker *worker)
{
	const struct sl_generation *generation = worker->generation;

	/* A push that changes one sandbox out of thousands costs one check. */
	if (generation->number == worker->swept + 1)
		for (unsigned i = 0; i < generation->changed_count; i++)
			begin_vlan(worker, generation->changed[i]);
	else
		for (unsigned vlan = 1; vlan <= SL_VLAN_MAX; vlan++)
			begin_vlan(worker, (uint16_t)vlan);
	worker->swept = generation->number;
}

void sl_flow_sweep(struct sl_worker *worker, unsigned budget)
{
	while (worker->to_sweep_count > 0) {
		uint16_t number = worker->to_sweep[worker->to_sweep_head];
		struct sl_vlan *vlan = &worker->vlans[number];

		while (vlan->sweep != 0) {
			struct sl_flow *flow = &worker->table.flows[vlan->sweep];

			if (budget == 0)
				return;
			budget--;
			vlan->sweep = sl_flow_cold(&worker->table, flow)->next;
			sl_flow_rejudge(worker, flow);
		}
		if (!sl_pins_forget(worker, number, &budget))
			return;
		vlan->queued = false;
		worker->to_sweep_head = (worker->to_sweep_head + 1) % SL_VLAN_COUNT;
		worker->to_sweep_count--;
	}
	if (worker->swept != atomic_load_explicit(&worker->settled, memory_order_relaxed))
		atomic_store_explicit(&worker->settled, worker->swept, memory_order_release);
}
