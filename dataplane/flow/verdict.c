/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict.c: writes decisions, into the flow or onto the packet, and reports them as events. Must
 * never make a decision itself: the reason comes from the stage that judged.
 */
#include "verdict.h"

#include "core/watch.h"

#include <netinet/in.h>
#include <rte_ring_elem.h>

#include "names.h"

#define PACKET_EVENTS_PER_SECOND 100  /* of refused packets, for one sandbox */
#define NAMES_PER_MINUTE         1000 /* new names whose first denial is reported beyond the limit */
#define TELL_US                  1000000
#define TELL_BUDGET              64 /* sandboxes whose `suppressed` events are sent in one turn */

_Static_assert(SL_REASON_COUNT <= 64, "reasons are bits of sl_vlan.reasons_told");

/*
 * The slot that remembers that a sandbox was refused for this reason and name; *mark is the value
 * that it then has. The memory is bounded: a denial that was overwritten is reported as new again,
 * never the reverse.
 */
static uint64_t *denial_slot(struct sl_worker *worker, uint16_t vlan, enum sl_reason reason,
                             const struct sl_proof *proof, uint64_t *mark)
{
	uint64_t hash = proof != NULL ? sl_names_hash(worker, proof->text, proof->len) : 0;

	hash = (hash << 32 | (uint64_t)vlan << 8 | reason) * 0x9e3779b97f4a7c15u;
	hash ^= worker->vlans[vlan].incarnation;
	*mark = hash | 1; /* 0 is an empty slot */
	return &worker->denials_seen[(hash >> 20) % SL_DENIALS_SEEN];
}

/* A report before an event is built from it: in a flood most refusals are never reported. */
struct report {
	uint16_t vlan;
	bool allow;
	enum sl_reason reason;
	const struct sl_proof *proof; /* NULL: none */
	uint64_t *slot, mark;         /* of a denial */
};

/*
 * True for the first denial with this reason, or of this name: a flood of others must not hide it.
 */
static bool is_first(struct sl_worker *worker, const struct report *report)
{
	struct sl_vlan *vlan = &worker->vlans[report->vlan];
	uint32_t minute = (uint32_t)(worker->now_us / 60000000);
	uint64_t bit = 1ull << report->reason;

	if (!(vlan->reasons_told & bit)) {
		vlan->reasons_told |= bit;
		return true;
	}
	if (*report->slot == report->mark || report->proof == NULL || report->proof->len == 0)
		return false;
	if (vlan->names_minute != minute) {
		vlan->names_minute = minute;
		vlan->names_count = 0;
	}
	return vlan->names_count++ < NAMES_PER_MINUTE;
}

static void suppress(struct sl_worker *worker, uint16_t number, enum sl_reason reason)
{
	struct sl_vlan *vlan = &worker->vlans[number];
	unsigned at = (worker->to_tell_head + worker->to_tell_count) % SL_VLAN_COUNT;

	worker->stats->events_suppressed++;
	vlan->suppressed[reason]++;
	if (vlan->tell_us != 0)
		return;
	vlan->tell_us = worker->now_us + TELL_US;
	worker->to_tell[at] = number;
	worker->to_tell_count++;
}

/* What one sandbox can make the gateway write is bounded (spec section 7). */
static bool may_report(struct sl_worker *worker, struct report *report, bool packet)
{
	struct sl_vlan *vlan = &worker->vlans[report->vlan];
	bool room;

	if (worker->params.events == NULL)
		return false;
	if (!report->allow) {
		report->slot = denial_slot(worker, report->vlan, report->reason, report->proof,
		                           &report->mark);
		if (is_first(worker, report))
			return true;
	}
	room = packet && !report->allow
	               ? sl_rate_take(&vlan->events, worker->now_us, PACKET_EVENTS_PER_SECOND)
	               : sl_rate_take(&vlan->flow_events, worker->now_us,
	                              worker->settings->events_per_sandbox);
	if (!room)
		suppress(worker, report->vlan, report->reason);
	return room;
}

/* Passes an event to control; its addresses and ports are set. */
static void hand_out(struct sl_worker *worker, const struct report *report, struct sl_event *event)
{
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, report->vlan);
	const struct sl_proof *proof = report->proof;

	event->kind = SL_EVENT_FLOW;
	event->count = 0;
	event->time_us = worker->now_us;
	event->generation = worker->generation != NULL ? worker->generation->number : 0;
	event->vlan = report->vlan;
	event->reason = report->reason;
	event->allow = report->allow;
	event->via = SL_VIA_NONE;
	event->name_len = 0;
	event->sandbox[0] = '\0';
	if (proof != NULL) {
		event->via = proof->via;
		event->name_len = (uint8_t)proof->len;
		if (proof->len > 0)
			memcpy(event->name, proof->text, proof->len);
	}
	if (sandbox != NULL && sandbox->name != NULL) {
		strncpy(event->sandbox, sandbox->name, sizeof(event->sandbox) - 1);
		event->sandbox[sizeof(event->sandbox) - 1] = '\0';
	}
	if (rte_ring_enqueue_elem(worker->params.events, event, sizeof(*event)) != 0) {
		/*
		 * The ring is full: the slot is not marked, so the next such denial counts as the
		 * first.
		 */
		worker->stats->events_suppressed++;
		return;
	}
	if (report->slot != NULL)
		*report->slot = report->mark;
	worker->stats->events++;
}

static void event_of_key(struct sl_event *event, const struct sl_key *key)
{
	event->proto = key->proto;
	event->sport = rte_be_to_cpu_16(key->inside_port);
	event->dport = rte_be_to_cpu_16(key->remote_port);
	event->has_ports = key->proto == IPPROTO_TCP || key->proto == IPPROTO_UDP       ? 2
	                   : key->proto == IPPROTO_ICMP || key->proto == IPPROTO_ICMPV6 ? 1
	                                                                                : 0;
	sl_key_inside(key, &event->src);
	sl_key_remote(key, &event->dst);
}

static void event_of_packet(struct sl_event *event, const struct sl_pkt *pkt)
{
	/* The key of a malformed IP packet may be unknown. */
	if ((pkt->l3 == SL_L3_IPV4 || pkt->l3 == SL_L3_IPV6) && pkt->key.family != SL_FAMILY_NONE) {
		event_of_key(event, &pkt->key);
		/* the ports of a truncated packet may be missing */
		if (pkt->fragment || (pkt->reason == SL_REASON_MALFORMED_PACKET &&
		                      pkt->key.inside_port == 0 && pkt->key.remote_port == 0))
			event->has_ports = 0;
	} else {
		memset(event, 0, offsetof(struct sl_event, name));
		event->proto = -1;
	}
}

/* One event for each reason with suppressed events. False: the ring is full. */
static bool tell_vlan(struct sl_worker *worker, uint16_t number)
{
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, number);
	struct sl_vlan *vlan = &worker->vlans[number];

	for (unsigned reason = 0; reason < SL_REASON_COUNT; reason++) {
		struct sl_event event = {.kind = SL_EVENT_SUPPRESSED,
		                         .time_us = worker->now_us,
		                         .vlan = number,
		                         .reason = (uint8_t)reason,
		                         .allow = sl_reason_allows((enum sl_reason)reason),
		                         .count = vlan->suppressed[reason]};

		if (event.count == 0)
			continue;
		event.generation = worker->generation != NULL ? worker->generation->number : 0;
		if (sandbox != NULL && sandbox->name != NULL)
			strncpy(event.sandbox, sandbox->name, sizeof(event.sandbox) - 1);
		if (rte_ring_enqueue_elem(worker->params.events, &event, sizeof(event)) != 0)
			return false;
		vlan->suppressed[reason] = 0;
		worker->stats->events++;
	}
	return true;
}

void sl_verdict_tell(struct sl_worker *worker)
{
	for (unsigned i = 0; i < TELL_BUDGET && worker->to_tell_count > 0; i++) {
		uint16_t number = worker->to_tell[worker->to_tell_head];

		if (worker->vlans[number].tell_us > worker->now_us || !tell_vlan(worker, number))
			return;
		worker->vlans[number].tell_us = 0;
		worker->to_tell_head = (worker->to_tell_head + 1) % SL_VLAN_COUNT;
		worker->to_tell_count--;
	}
}

void sl_verdict_report(struct sl_worker *worker, const struct sl_pkt *pkt, bool allow,
                       enum sl_reason reason, const struct sl_proof *proof)
{
	struct report report = {
	        .vlan = pkt->vlan, .allow = allow, .reason = reason, .proof = proof};
	struct sl_event event;

	if (!may_report(worker, &report, true))
		return;
	event_of_packet(&event, pkt);
	hand_out(worker, &report, &event);
}

void sl_verdict_report_flow(struct sl_worker *worker, const struct sl_flow *flow, bool allow,
                            enum sl_reason reason, const struct sl_proof *proof)
{
	struct report report = {
	        .vlan = flow->key.vlan, .allow = allow, .reason = reason, .proof = proof};
	struct sl_event event;

	if (!may_report(worker, &report, false))
		return;
	event_of_key(&event, &flow->key);
	hand_out(worker, &report, &event);
}

void sl_verdict_refuse(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason,
                       const struct sl_proof *proof)
{
	sl_pkt_drop(pkt, reason);
	sl_verdict_report(worker, pkt, false, reason, proof);
}

void sl_verdict_refuse_quietly(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason)
{
	sl_verdict_refuse(worker, pkt, reason, NULL);
	pkt->quiet = true;
}

void sl_verdict_set_fast(struct sl_worker *worker, struct sl_flow *flow)
{
	bool icmp = flow->key.proto == IPPROTO_ICMP || flow->key.proto == IPPROTO_ICMPV6;

	flow->fast_epoch = 0;
	if (flow->state == SL_FLOW_ESTABLISHED && sl_reason_allows(flow->reason) &&
	    flow->watch == SL_WATCH_NONE && !(flow->flags & SL_FLOW_FRAGMENTS) && !icmp)
		flow->fast_epoch = sl_flow_cold(&worker->table, flow)->epoch;
}

void sl_verdict_forget_name(struct sl_worker *worker, struct sl_flow *flow)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);

	sl_names_drop(worker, cold->name);
	cold->name = 0;
}

bool sl_verdict_flow(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason,
                     const struct sl_proof *proof)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, flow->key.vlan);
	bool room = true;

	if (proof != NULL && sl_reason_allows(reason) && proof->len > 0) {
		uint32_t name = sl_names_take(worker, proof->text, proof->len);

		room = name != 0;
		if (room) {
			sl_names_drop(worker, cold->name);
			cold->name = name;
		} else {
			reason = SL_REASON_FLOW_LIMIT;
		}
	}
	sl_flow_judge(flow, reason);
	if (proof != NULL)
		cold->via = proof->via;
	cold->epoch = sandbox != NULL ? sandbox->epoch : 0;
	sl_verdict_set_fast(worker, flow);
	sl_verdict_report_flow(worker, flow, sl_reason_allows(reason), reason, proof);
	return room;
}
