/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_tcp.c: the states of a TCP connection that is allowed without inspection, or that has been
 * judged (RFC 9293 3.3.2, as seen from between the two ends). Strict sequence numbers belong to the
 * hold; here flags decide.
 *
 * Settles with: the flow's reason, or no-flow for a segment that is not valid in this state.
 */
#include <rte_tcp.h>

#include "record.h"
#include "flows.h"
#include "verdict.h"
#include "core/state.h"

enum segment {
	SEGMENT_OTHER = 0, /* no ACK, no SYN, no RST: not valid */
	SEGMENT_SYN,
	SEGMENT_SYN_ACK,
	SEGMENT_ACK,
	SEGMENT_FIN,
	SEGMENT_RST,
	SEGMENT_COUNT,
};

static enum segment segment_of(uint8_t flags)
{
	if (flags & RTE_TCP_RST_FLAG)
		return SEGMENT_RST;
	if (flags & RTE_TCP_SYN_FLAG)
		return flags & RTE_TCP_ACK_FLAG ? SEGMENT_SYN_ACK : SEGMENT_SYN;
	if (!(flags & RTE_TCP_ACK_FLAG))
		return SEGMENT_OTHER;
	return flags & RTE_TCP_FIN_FLAG ? SEGMENT_FIN : SEGMENT_ACK;
}

/* The next state; FREE: refused, the state stays. */
#define NO      SL_FLOW_FREE
#define SENT    SL_FLOW_SYN_SENT
#define RCVD    SL_FLOW_SYN_RCVD
#define OPEN    SL_FLOW_ESTABLISHED
#define HALF    SL_FLOW_HALF_CLOSED
#define CLOSING SL_FLOW_CLOSING

/* clang-format off */
static const uint8_t next_state[SL_FLOW_STATE_COUNT][2][SEGMENT_COUNT] = {
	/*                             other SYN   SYN/ACK ACK      FIN      RST */
	[SL_FLOW_SYN_SENT]    = {{     NO,   SENT, NO,     NO,      NO,      CLOSING}, /* sandbox */
			         {     NO,   NO,   RCVD,   SENT,    NO,      CLOSING}},/* uplink */
	[SL_FLOW_SYN_RCVD]    = {{     NO,   RCVD, NO,     OPEN,    HALF,    CLOSING},
			         {     NO,   NO,   RCVD,   RCVD,    HALF,    CLOSING}},
	[SL_FLOW_ESTABLISHED] = {{     NO,   NO,   NO,     OPEN,    HALF,    CLOSING},
			         {     NO,   NO,   OPEN,   OPEN,    HALF,    CLOSING}},
	[SL_FLOW_HALF_CLOSED] = {{     NO,   NO,   NO,     HALF,    HALF,    CLOSING},
			         {     NO,   NO,   NO,     HALF,    HALF,    CLOSING}},
	[SL_FLOW_CLOSING]     = {{     NO,   NO,   NO,     CLOSING, CLOSING, CLOSING},
			         {     NO,   NO,   NO,     CLOSING, CLOSING, CLOSING}},
};
/* clang-format on */

/*
 * A judged connection ends by a reset at exactly the number that the server expects next, and by no
 * other (RFC 5961 3.2): if the client is gone, its reset in answer to the server's next segment
 * has that number.
 */
static bool is_ignored_reset(const struct sl_pkt *pkt, const struct rte_tcp_hdr *tcp)
{
	return pkt->in_port == SL_PORT_SANDBOX && (pkt->tcp_flags & RTE_TCP_RST_FLAG) &&
	       !sl_flow_is_by_address(pkt->flow) &&
	       rte_be_to_cpu_32(tcp->sent_seq) != pkt->flow->ack[1];
}

void sl_flow_tcp(struct sl_worker *worker, struct sl_pkt *pkt)
{
	const struct rte_tcp_hdr *tcp = sl_pkt_at(pkt, const struct rte_tcp_hdr, pkt->l4_off);
	const uint8_t both = SL_FLOW_FIN_INSIDE | SL_FLOW_FIN_REMOTE;
	struct sl_flow *flow = pkt->flow;
	unsigned side = sl_flow_side(pkt);
	enum segment segment = segment_of(pkt->tcp_flags);
	uint8_t next = next_state[flow->state][side][segment];

	if (next == SL_FLOW_FREE || is_ignored_reset(pkt, tcp)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if (pkt->tcp_flags & RTE_TCP_ACK_FLAG)
		flow->ack[side] = rte_be_to_cpu_32(tcp->recv_ack);
	if (segment == SEGMENT_SYN_ACK && flow->state == SL_FLOW_SYN_SENT)
		flow->ack[0] = rte_be_to_cpu_32(tcp->sent_seq) + 1;
	if (segment == SEGMENT_FIN)
		flow->flags |= side == 0 ? SL_FLOW_FIN_INSIDE : SL_FLOW_FIN_REMOTE;
	if (side == 0 && segment != SEGMENT_SYN) {
		uint32_t end = rte_be_to_cpu_32(tcp->sent_seq) + pkt->payload_len;

		sl_flow_sent(flow, end);
		if (segment == SEGMENT_FIN)
			sl_record_fin(worker, flow, end + 1);
	}
	if (side == 1 && (pkt->tcp_flags & RTE_TCP_ACK_FLAG))
		sl_record_acknowledged(worker, flow, flow->ack[1]);
	if ((flow->flags & both) == both)
		next = SL_FLOW_CLOSING;
	flow->state = next;
	sl_verdict_set_fast(worker, flow);
	sl_flow_touch(worker, flow);
	sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
}
