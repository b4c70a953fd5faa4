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
 * True the first time that a sandbox is refused something for this reason and name. The memory is
 * bounded: what fell out of it is reported as new again, never the reverse.
 */
static bool is_first_denial(struct sl_worker *worker, const struct sl_event *event)
{
	uint64_t hash = sl_names_hash(worker, event->name, event->name_len);
	uint64_t *slot;

	hash = (hash << 32 | (uint64_t)event->vlan << 8 | event->reason) * 0x9e3779b97f4a7c15u;
	hash ^= worker->vlans[event->vlan].incarnation;
	hash |= 1; /* 0 is an empty slot */
	slot = &worker->denials_seen[(hash >> 20) % SL_DENIALS_SEEN];
	if (*slot == hash)
		return false;
	*slot = hash;
	return true;
}

static void report(struct sl_worker *worker, struct sl_event *event, bool allow,
                   enum sl_reason reason, const struct sl_proof *proof, bool limited)
{
	const struct sl_sandbox *sandbox;

	event->time_us = worker->now_us;
	event->generation = worker->generation != NULL ? worker->generation->number : 0;
	event->reason = reason;
	event->allow = allow;
	event->via = SL_VIA_NONE;
	event->name_len = 0;
	event->sandbox[0] = '\0';
	if (proof != NULL) {
		event->via = proof->via;
		event->name_len = (uint8_t)proof->len;
		if (proof->len > 0)
			memcpy(event->name, proof->text, proof->len);
	}
	sandbox = sl_worker_sandbox(worker, event->vlan);
	if (sandbox != NULL && sandbox->name != NULL) {
		strncpy(event->sandbox, sandbox->name, sizeof(event->sandbox) - 1);
		event->sandbox[sizeof(event->sandbox) - 1] = '\0';
	}
	if (worker->params.events == NULL)
		return;
	if (!allow && !is_first_denial(worker, event) && limited &&
	    !sl_rate_take(&worker->vlans[event->vlan].events, worker->now_us, EVENTS_PER_SECOND)) {
		worker->stats->events_suppressed++;
		return;
	}
	if (rte_ring_enqueue_elem(worker->params.events, event, sizeof(*event)) != 0)
		worker->stats->events_suppressed++;
	else
		worker->stats->events++;
}

static void event_of_key(struct sl_event *event, const struct sl_key *key)
{
	event->vlan = key->vlan;
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
	if (pkt->l3 == SL_L3_IPV4 || pkt->l3 == SL_L3_IPV6) {
		event_of_key(event, &pkt->key);
		if (pkt->fragment)
			event->has_ports = 0;
	} else {
		memset(event, 0, offsetof(struct sl_event, name));
		event->proto = -1;
	}
	event->vlan = pkt->vlan;
}

void sl_verdict_report(struct sl_worker *worker, const struct sl_pkt *pkt, bool allow,
                       enum sl_reason reason, const struct sl_proof *proof)
{
	struct sl_event event;

	event_of_packet(&event, pkt);
	report(worker, &event, allow, reason, proof, true);
}

void sl_verdict_report_flow(struct sl_worker *worker, const struct sl_flow *flow, bool allow,
                            enum sl_reason reason, const struct sl_proof *proof)
{
	struct sl_event event;

	event_of_key(&event, &flow->key);
	report(worker, &event, allow, reason, proof, false);
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
