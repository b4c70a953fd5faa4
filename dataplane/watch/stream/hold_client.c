/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_client.c: which segments of a sandbox's connection under rule 3 are believed, kept, and
 * passed on (RFC 9293 3.10.7, spec section 3). Sequence numbers are strict here: a segment that
 * the server might not accept must not change what the gateway believes.
 *
 * Settles with: hold-limit, stream-conflict, duplicate, no-flow, malformed-packet, and the reasons
 * of hold_judge.c.
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

/* A retransmitted SYN, cleaned like the first; it must not offer anything else. */
static void client_syn_again(struct sl_pkt *pkt, const struct sl_hold *hold)
{
	if (hold->phase != SL_HOLD_HELLO || hold->tcp.held_packets > 0)
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT);
	else
		sl_strict_syn_again(pkt, &hold->tcp, SL_REASON_NONE);
}

/*
 * Acknowledges in the server's place while bytes are collected, if the client would not go on
 * otherwise.
 */
static void own(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold, bool begin)
{
	if (sl_hold_rule(hold)->collects)
		sl_strict_own(worker, flow, &hold->tcp, begin);
}

/*
 * Bytes that the server has acknowledged cannot be compared any more. Only the header is
 * forwarded: the server answers it as it would answer the bytes, and a client that repeated more
 * continues after them. True if the packet is settled.
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
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* the server would not accept it */
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
		/* Bytes that were sent already and come again may have been lost on the way. */
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

/* The sequence number of a bare ACK only tells how much the client has sent. */
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

/* True unless a byte of the segment differs from the judged one at its place. */
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
 * Client bytes after the judged range may be early data (RFC 8446 2.3), which is sent, or a second
 * ClientHello, which is kept until the server's first message tells which it is.
 */
static void client_after(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold,
                         uint32_t offset)
{
	if (pkt->payload_len == 0) { /* an ACK; a FIN must be sent again */
		if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG))
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		else
			sl_pkt_forward(pkt, (enum sl_reason)pkt->flow->reason);
		return;
	}
	/* If the segment also repeats lost judged bytes, that part is forwarded. */
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

/*
 * Bytes that pass after the judged range are not counted: there the server's acknowledgement has
 * to do.
 */
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
