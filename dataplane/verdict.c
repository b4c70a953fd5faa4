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
static uint64_t *denial_slot(struct sl_worker *worker, const struct sl_event *event, uint64_t *mark)
{
	uint64_t hash = sl_names_hash(worker, event->name, event->name_len);

	hash = (hash << 32 | (uint64_t)event->vlan << 8 | event->reason) * 0x9e3779b97f4a7c15u;
	hash ^= worker->vlans[event->vlan].incarnation;
	*mark = hash | 1; /* 0 is an empty slot */
	return &worker->denials_seen[(hash >> 20) % SL_DENIALS_SEEN];
}

/* Hands an event to control. The first denial of its kind waits for no token of the rate limit. */
static void hand_out(struct sl_worker *worker, const struct sl_event *event, bool limited)
{
	struct sl_bucket_rate *rate = &worker->vlans[event->vlan].events;
	uint64_t mark = 0, *slot = event->allow ? NULL : denial_slot(worker, event, &mark);
	bool first = slot != NULL && *slot != mark;

	if ((limited && !event->allow && !first &&
	     !sl_rate_take(rate, worker->now_us, EVENTS_PER_SECOND)) ||
	    rte_ring_enqueue_elem(worker->params.events, (void *)(uintptr_t)event,
	                          sizeof(*event)) != 0) {
		/* With a full ring the kind is not marked: the next of it counts as the first. */
		worker->stats->events_suppressed++;
		return;
	}
	if (first)
		*slot = mark;
	worker->stats->events++;
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
	hand_out(worker, event, limited);
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
