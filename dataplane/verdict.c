/*
 * verdict.c: writes decisions, into the flow or onto the packet, and reports them as events. Must
 * never make one: the reason comes from the stage that judged.
 */
#include "verdict.h"

#include <netinet/in.h>
#include <rte_ring_elem.h>

#include "names.h"

#define EVENTS_PER_SECOND                                                                          \
	100 /* repeated refusals of one sandbox; first ones are never left out                     \
	     */

/*
 * Where it is remembered that a sandbox was refused something for this reason and name, and as
 * what. The memory is bounded: what fell out of it is reported as new again, never the reverse.
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

/* What is to be reported, before an event is made of it: most refusals of a flood never are. */
struct report {
	uint16_t vlan;
	bool allow;
	enum sl_reason reason;
	const struct sl_proof *proof; /* NULL: none */
	uint64_t *slot, mark;         /* of a denial */
};

/* The first denial of its kind waits for no token of the rate limit. */
static bool may_report(struct sl_worker *worker, struct report *report, bool limited)
{
	if (worker->params.events == NULL)
		return false;
	if (report->allow)
		return true;
	report->slot =
	        denial_slot(worker, report->vlan, report->reason, report->proof, &report->mark);
	if (!limited || *report->slot != report->mark ||
	    sl_rate_take(&worker->vlans[report->vlan].events, worker->now_us, EVENTS_PER_SECOND))
		return true;
	worker->stats->events_suppressed++;
	return false;
}

/* Hands an event to control; its addresses and ports are set. */
static void hand_out(struct sl_worker *worker, const struct report *report, struct sl_event *event)
{
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, report->vlan);
	const struct sl_proof *proof = report->proof;

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
		/* With a full ring the kind is not marked: the next of it counts as the first. */
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
	/* Of what is malformed the key may be unknown, though it is IP. */
	if ((pkt->l3 == SL_L3_IPV4 || pkt->l3 == SL_L3_IPV6) && pkt->key.family != SL_FAMILY_NONE) {
		event_of_key(event, &pkt->key);
		if (pkt->fragment)
			event->has_ports = 0;
	} else {
		memset(event, 0, offsetof(struct sl_event, name));
		event->proto = -1;
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
	const uint8_t looked_into =
	        SL_FLOW_HOLD | SL_FLOW_DNS | SL_FLOW_QUIC | SL_FLOW_DNS_TCP | SL_FLOW_FRAGMENTS;
	bool icmp = flow->key.proto == IPPROTO_ICMP || flow->key.proto == IPPROTO_ICMPV6;

	flow->fast_epoch = 0;
	if (flow->state == SL_FLOW_ESTABLISHED && sl_reason_allows(flow->reason) &&
	    (flow->flags & looked_into) == 0 && !icmp)
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
	flow->reason = reason;
	if (proof != NULL)
		flow->via = proof->via;
	cold->epoch = sandbox != NULL ? sandbox->epoch : 0;
	sl_verdict_set_fast(worker, flow);
	sl_verdict_report_flow(worker, flow, sl_reason_allows(reason), reason, proof);
	return room;
}
