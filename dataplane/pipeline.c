/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline.c: THE PACKET'S WALK.
 *
 *   parse     is it what it says it is?              malformed-packet
 *   sandbox   whose is it, is it really theirs?      unknown-sandbox, source-spoofed, deny-all
 *   flow      does it belong to a flow?              bulk, two cache lines
 *   subnet    the class of its remote address        bulk, for packets without a flow
 *   judge     one packet at a time, in order:
 *               a judged flow of the present epoch   its reason, at once
 *               another known flow                   flow.c, and from there hold, dns, quic
 *               none                                 first.c: rules 1 to 4 of the policy
 *   forward   out, answered, or dropped; counted     tx-full
 *
 * Packets are judged in the order in which they came, so a packet sees what the one before it
 * changed. The zero value of a fate is DROP: a packet that no stage gives a verdict does not leave.
 */
#include <netinet/in.h>

#include "forward.h"
#include "packet/parse.h"
#include "core/watch.h"
#include "sandbox/sandbox.h"
#include "judge/subnet.h"
#include "flow/flows.h"
#include "walk.h"
#include "flow/nexthop.h"
#include "flow/verdict.h"

/*
 * Invalid combinations of flags (RFC 9293 3.5): a SYN with FIN or RST, or none of SYN, RST and
 * ACK.
 */
static bool has_odd_flags(const struct sl_pkt *pkt)
{
	const uint8_t syn = 0x02, fin = 0x01, rst = 0x04, ack = 0x10;
	uint8_t flags = pkt->tcp_flags;

	if (flags & syn)
		return flags & (fin | rst);
	return (flags & (rst | ack)) == 0;
}

static void walk_slowly(struct sl_worker *worker, struct sl_pkt *pkt)
{
	const struct sl_watcher *watcher;

	if (pkt->fragment) {
		sl_fragment(worker, pkt);
		return;
	}
	if (pkt->flow != NULL && pkt->in_port == SL_PORT_SANDBOX &&
	    !sl_flow_is_by_address(pkt->flow))
		sl_nexthop_keep(worker, pkt);
	if (pkt->flow != NULL && (watcher = sl_watcher_of(pkt->flow)) != NULL &&
	    watcher->fast != NULL && watcher->fast(worker, pkt))
		return;
	if ((pkt->proto == IPPROTO_TCP && has_odd_flags(pkt)) ||
	    !sl_parse_l4_checksum(worker, pkt)) {
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_MALFORMED_PACKET);
		return;
	}
	if (sl_icmp(worker, pkt))
		return;
	if (pkt->flow != NULL && sl_flow_walk(worker, pkt))
		return;
	sl_first_packet(worker, pkt);
}

static void judge(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t changes)
{
	/* An earlier packet of the burst may have opened this packet's flow, or closed it. */
	if (unlikely(worker->table.changes != changes ||
	             (pkt->flow == NULL && worker->opened_in_burst))) {
		if (!pkt->fragment)
			pkt->flow = sl_flow_table_find(&worker->table, &pkt->key, pkt->hash);
	}
	if (likely(pkt->flow != NULL) && sl_flow_fast(worker, pkt))
		return;
	walk_slowly(worker, pkt);
	if (pkt->in_port == SL_PORT_UPLINK && pkt->fate == SL_FATE_FORWARD && pkt->flow != NULL &&
	    !sl_flow_is_by_address(pkt->flow))
		sl_nexthop_answered(worker, pkt);
}

void sl_pipeline_run(struct sl_worker *worker)
{
	uint32_t changes = worker->table.changes;
	struct rte_mbuf *done[SL_BURST_MAX];
	unsigned done_count = 0;

	worker->opened_in_burst = false;
	sl_parse(worker);
	sl_stopwatch_lap(&worker->watch, SL_STAGE_PARSE);
	sl_sandbox(worker);
	sl_stopwatch_lap(&worker->watch, SL_STAGE_SANDBOX);
	sl_flow_find(worker);
	sl_stopwatch_lap(&worker->watch, SL_STAGE_FLOW);
	sl_subnet_classify(worker);
	sl_stopwatch_lap(&worker->watch, SL_STAGE_SUBNET);
	for (unsigned i = 0; i < worker->pkt_count; i++) {
		struct sl_pkt *pkt = &worker->pkts[i];

		if (likely(sl_pkt_open(pkt)))
			judge(worker, pkt, changes);
		if (likely(sl_forward_as_is(worker, pkt)))
			continue;
		done[done_count] = sl_forward(worker, pkt);
		done_count += done[done_count] != NULL;
	}
	if (done_count > 0)
		rte_pktmbuf_free_bulk(done, done_count);
	sl_stopwatch_lap(&worker->watch, SL_STAGE_JUDGE);
	worker->pkt_count = 0;
}
