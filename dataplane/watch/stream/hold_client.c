/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_client.c: which segments of a sandbox's connection under rule 3 are believed, kept, and
 * passed on (RFC 9293 3.10.7, spec section 3). Sequence numbers are strict here: a segment that the
 * server might not take must not make the gateway believe anything.
 *
 * Settles with: hold-limit, stream-conflict, duplicate, no-flow, malformed-packet, and what
 * hold_judge.c says.
 */
#include "hold.h"

#include "packet/parse.h"
#include "flow/record.h"
#include "flow/flows.h"
#include "watch/tcp/strict.h"
#include "flow/verdict.h"

static void refuse(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason)
{
	sl_hold_refuse(worker, pkt->flow, reason, NULL);
	sl_pkt_drop_quietly(pkt, reason);
}

/* The same SYN again, cleaned as the first was; it may not offer something else. */
static void client_syn_again(struct sl_pkt *pkt, const struct sl_hold *hold)
{
	if (hold->phase != SL_HOLD_HELLO || hold->tcp.held_packets > 0)
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT);
	else
		sl_strict_syn_again(pkt, &hold->tcp, SL_REASON_NONE);
}

/* The gateway answers for what it collects, where the client goes on no other way. */
static void own(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold, bool begin)
{
	if (sl_hold_rule(hold)->collects)
		sl_strict_own(worker, flow, &hold->tcp, begin);
}

/*
 * Bytes that the server has acknowledged cannot be compared any more. It answers the bare header as
 * it would the bytes; a client that repeated more goes on after them. True if that settles things.
 */
static bool pass_repeated(struct sl_pkt *pkt, const struct sl_hold *hold)
{
	if (pkt->payload_len == 0 || sl_strict_offset(&hold->tcp, pkt) >= hold->forgotten)
		return false;
	sl_strict_pass_clean(pkt, (enum sl_reason)pkt->flow->reason);
	return true;
}

static void client_payload(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t offset = sl_strict_offset(&hold->tcp, pkt);
	uint32_t window_end = sl_strict_window_end(&hold->tcp);
	enum sl_reason refused;

	if (offset > window_end || pkt->payload_len > window_end - offset) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* the server would not take it */
		return;
	}
	if (pass_repeated(pkt, hold))
		return;
	if (offset + pkt->payload_len > worker->settings->held_bytes_per_flow) {
		refuse(worker, pkt, SL_REASON_HOLD_LIMIT);
		return;
	}
	switch (sl_strict_copy(worker, pkt, &hold->tcp, offset, 0)) {
	case SL_STREAM_CONFLICT:
		refuse(worker, pkt, SL_REASON_STREAM_CONFLICT);
		return;
	case SL_STREAM_NO_ROOM:
		refused = offset + pkt->payload_len > SL_STREAM_MAX ? SL_REASON_HELLO_TOO_LARGE
		                                                    : SL_REASON_HOLD_LIMIT;
		refuse(worker, pkt, refused);
		return;
	case SL_STREAM_DUPLICATE:
		/* What left already and comes again may have been lost on the way. */
		if (offset + pkt->payload_len <= hold->tcp.released)
			sl_hold_resend(worker, flow, offset, pkt->payload_len);
		else
			own(worker, flow, hold, true);
		sl_pkt_drop_quietly(pkt, SL_REASON_DUPLICATE);
		return;
	case SL_STREAM_NEW:
		break;
	}
	sl_strict_hold(worker, pkt, &hold->tcp);
	if (sl_hold_rule(hold)->collects ? sl_hold_judge(worker, flow)
	                                 : sl_hold_early_out(worker, flow))
		own(worker, flow, hold, false);
}

/* A client that closes before its hello is complete will never complete it. */
static void client_fin_early(struct sl_pkt *pkt, struct sl_hold *hold)
{
	if (sl_strict_offset(&hold->tcp, pkt) != hold->tcp.released) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	hold->client_fin = true;
	sl_strict_pass_clean(pkt, SL_REASON_NONE);
}

/* A bare ACK says nothing by its place in the stream but how much the client has sent. */
static bool is_ack_in_place(const struct sl_pkt *pkt, const struct sl_hold *hold)
{
	uint32_t offset = sl_strict_offset(&hold->tcp, pkt);
	uint32_t sent = hold->tcp.released + hold->client_fin;

	return offset == sent || (sl_hold_rule(hold)->server && offset == hold->tcp.stream.end);
}

static void client_unjudged(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	uint32_t acked = sl_segment_ack(pkt) - (hold->tcp.irs + 1);
	uint32_t server_end = sl_hold_rule(hold)->server ? hold->server_end : hold->server_early;

	if (hold->tcp.opening || acked > server_end + hold->server_fin) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if ((int32_t)(sl_segment_ack(pkt) - pkt->flow->ack[0]) > 0)
		pkt->flow->ack[0] = sl_segment_ack(pkt);
	if (pkt->payload_len > 0 && !hold->client_fin)
		client_payload(worker, pkt, hold);
	else if (pkt->payload_len > 0)
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT); /* after its own FIN */
	else if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG))
		client_fin_early(pkt, hold);
	else if (is_ack_in_place(pkt, hold))
		sl_strict_pass_clean(pkt, SL_REASON_NONE);
	else
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
}

/* True unless the segment brings another byte than the one that was judged at its place. */
static bool equals_judged(struct sl_worker *worker, const struct sl_pkt *pkt,
                          const struct sl_hold *hold, uint32_t offset)
{
	uint32_t done = 0;

	while (done < pkt->payload_len && offset + done < hold->judged) {
		uint32_t n = RTE_MIN(RTE_MIN(pkt->payload_len, hold->judged - offset) - done,
		                     (uint32_t)SL_SCRATCH_BYTES);
		const uint8_t *bytes =
		        rte_pktmbuf_read(pkt->mbuf, pkt->payload_off + done, n, worker->scratch);

		if (!sl_stream_equal(worker, &hold->tcp.stream, offset + done, bytes, n))
			return false;
		done += n;
	}
	return true;
}

/*
 * Client bytes after the judged range may be early data (RFC 8446 2.3), which leaves, or a second
 * ClientHello, which is kept until the server's first message tells.
 */
static void client_after(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold,
                         uint32_t offset)
{
	if (pkt->payload_len == 0) { /* an ACK; a FIN has to come again */
		if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG))
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		else
			sl_pkt_forward(pkt, (enum sl_reason)pkt->flow->reason);
		return;
	}
	/* Of a segment that brings again what was lost as well, that part goes on. */
	if (offset < hold->judged) {
		uint32_t from = RTE_MAX(offset, hold->forgotten);

		if (from < hold->judged)
			sl_hold_resend(worker, pkt->flow, from, hold->judged - from);
		sl_segment_skip(pkt, hold->judged - offset);
	}
	client_payload(worker, pkt, hold);
}

static void client_judged(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t offset = sl_strict_offset(&hold->tcp, pkt);
	uint32_t acked = sl_segment_ack(pkt) - (hold->tcp.irs + 1);
	bool keepalive = offset == UINT32_MAX && pkt->payload_len <= 1;

	if (acked > hold->server_end + 1 ||
	    (!keepalive && (offset > hold->tcp.window_end + 1 ||
	                    pkt->payload_len > hold->tcp.window_end + 1 - offset))) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if (keepalive && pkt->payload_len > 0) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if (!equals_judged(worker, pkt, hold, offset)) {
		refuse(worker, pkt, SL_REASON_STREAM_CONFLICT);
		return;
	}
	flow->ack[0] = sl_segment_ack(pkt);
	sl_hold_touch(worker, flow);
	if (!sl_hold_rule(hold)->passes && !keepalive && offset + pkt->payload_len > hold->judged) {
		client_after(worker, pkt, hold, offset);
		return;
	}
	if (pass_repeated(pkt, hold))
		return;
	sl_flow_sent(flow, sl_segment_seq(pkt) + pkt->payload_len);
	if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG)) {
		hold->client_fin = true;
		sl_record_fin(worker, flow, sl_segment_seq(pkt) + pkt->payload_len + 1);
	}
	sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
}

/* What passes after the judged range is not counted: there the server's word has to do. */
static bool server_takes_reset(const struct sl_pkt *pkt, const struct sl_hold *hold)
{
	uint32_t acked = sl_strict_acked(&hold->tcp, pkt->flow);

	if (sl_hold_rule(hold)->passes && !hold->tcp.opening && acked >= hold->tcp.released)
		return sl_strict_offset(&hold->tcp, pkt) == acked;
	return sl_strict_server_takes_reset(pkt, &hold->tcp, hold->client_fin);
}

void sl_hold_from_client(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	if (sl_segment_has(pkt, RTE_TCP_SYN_FLAG)) {
		if (sl_segment_has(pkt, RTE_TCP_ACK_FLAG))
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* split handshake */
		else
			client_syn_again(pkt, hold);
	} else if (sl_segment_has(pkt, RTE_TCP_RST_FLAG)) {
		if (server_takes_reset(pkt, hold))
			sl_hold_pass_reset(worker, pkt);
		else
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
	} else if (!sl_segment_has(pkt, RTE_TCP_ACK_FLAG) ||
	           sl_segment_has(pkt, RTE_TCP_URG_FLAG)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_MALFORMED_PACKET);
	} else if (sl_hold_rule(hold)->server && !sl_hold_rule(hold)->collects) {
		client_judged(worker, pkt, hold);
	} else {
		client_unjudged(worker, pkt, hold);
	}
}
