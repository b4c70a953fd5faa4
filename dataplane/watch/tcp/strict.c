/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strict.c: which segments of a connection under judgement are believed, and which pass (RFC 9293
 * 3.10.7, spec section 3). Never looks at their payload.
 *
 * Settles with: stream-conflict, no-flow, malformed-packet.
 */
#include "strict.h"

#include "flow/record.h"
#include "flow/flows.h"
#include "packet/build.h"
#include "flow/verdict.h"

#define MSS_DEFAULT_4 536 /* RFC 9293 3.7.1 */
#define MSS_DEFAULT_6 1220

bool sl_strict_begin(struct sl_worker *worker, struct sl_pkt *pkt,
                     const struct sl_strict_user *user, struct sl_strict *tcp)
{
	struct sl_tcp_options options;

	if (sl_segment_has(pkt, RTE_TCP_URG_FLAG) || !sl_tcp_options_read(pkt, &options) ||
	    !sl_tcp_clean(pkt)) {
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_MALFORMED_PACKET);
		return false;
	}
	if (sl_record_conflicts(worker, &pkt->key, sl_segment_seq(pkt))) {
		sl_verdict_refuse(worker, pkt, SL_REASON_STREAM_CONFLICT, NULL);
		return false;
	}
	memset(tcp, 0, sizeof(*tcp));
	tcp->user = user;
	tcp->opening = true;
	tcp->iss = sl_segment_seq(pkt);
	tcp->base = tcp->iss + 1;
	tcp->client_mss = options.mss;
	tcp->client_offers_scale = options.has_wscale;
	return true;
}

bool sl_strict_pass_clean(struct sl_pkt *pkt, enum sl_reason reason)
{
	if (!sl_tcp_clean(pkt)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_MALFORMED_PACKET);
		return false;
	}
	sl_pkt_forward(pkt, reason);
	return true;
}

void sl_strict_syn_again(struct sl_pkt *pkt, const struct sl_strict *tcp, enum sl_reason reason)
{
	struct sl_tcp_options options;

	if (sl_segment_has(pkt, RTE_TCP_URG_FLAG) || !sl_tcp_options_read(pkt, &options) ||
	    options.mss != tcp->client_mss || options.has_wscale != tcp->client_offers_scale)
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT);
	else
		sl_strict_pass_clean(pkt, reason);
}

enum sl_strict_syn_ack sl_strict_syn_ack(struct sl_pkt *pkt, struct sl_strict *tcp,
                                         enum sl_reason reason)
{
	struct sl_flow *flow = pkt->flow;
	struct sl_tcp_options options;

	if (sl_segment_ack(pkt) != tcp->iss + 1 || sl_segment_has(pkt, RTE_TCP_URG_FLAG) ||
	    !sl_tcp_options_read(pkt, &options)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return SL_STRICT_SETTLED;
	}
	if (pkt->payload_len > 0)
		return SL_STRICT_EARLY;
	if (!tcp->opening) {
		if (sl_segment_seq(pkt) != tcp->irs)
			return SL_STRICT_CONFLICT;
		sl_pkt_forward(pkt, reason);
		return SL_STRICT_SETTLED;
	}
	tcp->opening = false;
	tcp->irs = sl_segment_seq(pkt);
	tcp->server_mss = options.mss;
	tcp->server_wscale = options.wscale;
	tcp->scaled = options.has_wscale && tcp->client_offers_scale;
	sl_strict_window(tcp, pkt);
	flow->state = SL_FLOW_SYN_RCVD;
	flow->ack[0] = tcp->irs + 1;
	flow->ack[1] = tcp->iss + 1;
	return SL_STRICT_OPENED;
}

void sl_strict_challenge(struct sl_pkt *pkt, enum sl_reason reason)
{
	/* A challenge ACK of an older connection on these ports (RFC 5961 4.2). */
	if (pkt->payload_len == 0 && !sl_segment_has(pkt, RTE_TCP_FIN_FLAG))
		sl_strict_pass_clean(pkt, reason);
	else
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
}

void sl_strict_window(struct sl_strict *tcp, const struct sl_pkt *pkt)
{
	uint32_t window = rte_be_to_cpu_16(sl_segment_tcp(pkt)->rx_win);

	if (tcp->scaled && !sl_segment_has(pkt, RTE_TCP_SYN_FLAG))
		window <<= tcp->server_wscale;
	window += sl_segment_ack(pkt) - tcp->base;
	if ((int32_t)(window - tcp->window_end) > 0)
		tcp->window_end = window;
}

void sl_strict_pass_reset(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason,
                          enum sl_reason held)
{
	if (!sl_strict_pass_clean(pkt, reason))
		return;
	sl_flow_close(worker, pkt->flow, held);
	pkt->flow = NULL;
}

bool sl_strict_server_takes_reset(const struct sl_pkt *pkt, const struct sl_strict *tcp, bool fin)
{
	uint32_t offset = sl_strict_offset(tcp, pkt), acked = sl_strict_acked(tcp, pkt->flow);

	if (tcp->opening)
		return offset == 0;
	return offset == acked && acked == tcp->released + fin;
}

bool sl_strict_is_servers_reset(const struct sl_pkt *pkt, const struct sl_strict *tcp)
{
	if (tcp->opening)
		return sl_segment_has(pkt, RTE_TCP_ACK_FLAG) && sl_segment_ack(pkt) == tcp->iss + 1;
	return sl_segment_seq(pkt) - (tcp->irs + 1) < 1u << 30;
}

enum sl_stream_result sl_strict_copy(struct sl_worker *worker, const struct sl_pkt *pkt,
                                     struct sl_strict *tcp, uint32_t offset, uint32_t skip)
{
	enum sl_stream_result all = SL_STREAM_DUPLICATE;

	while (skip < pkt->payload_len) {
		uint32_t n = RTE_MIN(pkt->payload_len - skip, (uint32_t)SL_SCRATCH_BYTES);
		const uint8_t *bytes =
		        rte_pktmbuf_read(pkt->mbuf, pkt->payload_off + skip, n, worker->scratch);
		enum sl_stream_result result =
		        sl_stream_write(worker, pkt->vlan, &tcp->stream, offset, bytes, n);

		if (result == SL_STREAM_CONFLICT || result == SL_STREAM_NO_ROOM)
			return result;
		if (result == SL_STREAM_NEW)
			all = result;
		offset += n;
		skip += n;
	}
	return all;
}

void sl_strict_hold(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_strict *tcp)
{
	sl_segment_remember(&tcp->client, pkt);
	sl_build_remember(worker, pkt, pkt->flow);
	tcp->max_segment = RTE_MAX(tcp->max_segment, pkt->payload_len);
	tcp->held_packets++;
	worker->stats->held++;
	pkt->fate = SL_FATE_HELD;
}

uint32_t sl_strict_segment_bytes(const struct sl_flow *flow, const struct sl_strict *tcp)
{
	uint32_t least = flow->key.family == SL_FAMILY_4 ? MSS_DEFAULT_4 : MSS_DEFAULT_6;
	uint32_t mss = tcp->server_mss != 0 ? tcp->server_mss : least;

	mss = RTE_MIN(mss, RTE_MAX(tcp->max_segment, least) + SL_SEGMENT_TIMESTAMPS);
	mss = RTE_MIN(RTE_MAX(mss, SL_SEGMENT_MIN), (uint32_t)SL_SEGMENT_MAX);
	return tcp->client.has_timestamps ? mss - SL_SEGMENT_TIMESTAMPS : mss;
}

void sl_strict_end(struct sl_worker *worker, const struct sl_flow *flow, struct sl_strict *tcp,
                   enum sl_reason reason)
{
	sl_count(worker, flow->key.vlan, reason, tcp->held_packets);
	worker->stats->held -= tcp->held_packets;
	sl_stream_free(worker, flow->key.vlan, &tcp->stream);
	sl_strict_own_end(worker, tcp);
}
