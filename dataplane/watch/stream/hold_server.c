/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_server.c: which segments of the server are believed and passed on while its client's first
 * bytes are on hold, judged, or not acknowledged yet (RFC 9293 3.10.7, spec section 3).
 *
 * Settles with: stream-conflict, no-flow, not-tls, malformed-http.
 */
#include "hold.h"

#include "packet/parse.h"
#include "flow/flows.h"
#include "watch/tcp/strict.h"
#include "flow/verdict.h"

/*
 * How far a server's segment may be from the delivered bytes, in bytes: for losses and
 * keep-alives.
 */
#define SERVER_REACH (1u << 24)

/*
 * This much of a body may be acknowledged by a server that has not answered: a service of another
 * protocol would not tolerate so long an upload, and sequence numbers wrap.
 */
#define UPLOAD_WATCHED (1u << 30)

static void refuse(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason)
{
	sl_hold_refuse(worker, pkt->flow, reason, NULL);
	sl_pkt_drop_quietly(pkt, reason);
}

static void server_syn_ack(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	struct sl_flow *flow = pkt->flow;
	enum sl_reason refused = SL_REASON_STREAM_CONFLICT;

	switch (sl_strict_syn_ack(pkt, &hold->tcp, (enum sl_reason)flow->reason)) {
	case SL_STRICT_SETTLED:
		return;
	case SL_STRICT_OPENED:
		sl_hold_opened(worker, flow);
		sl_pkt_forward(pkt, SL_REASON_NONE);
		return;
	case SL_STRICT_EARLY:
		refused = SL_REASON_NOT_TLS;
		break;
	case SL_STRICT_CONFLICT:
		break;
	}
	refuse(worker, pkt, refused);
}

/*
 * Handles what the server sends before the verdict: one byte in answer to each PostgreSQL request,
 * `N` to that for GSSAPI and `S` to that for TLS, otherwise nothing.
 */
static void server_early(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	uint32_t offset = sl_segment_seq(pkt) - (hold->tcp.irs + 1);
	uint32_t known = hold->server_early + (hold->phase == SL_HOLD_POSTGRES);
	uint8_t byte = 0;

	if (offset > 1u << 30) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* older than the connection */
		return;
	}
	sl_parse_copy(pkt, pkt->payload_off, 1, &byte);
	if (pkt->payload_len == 1 && offset < known && byte == hold->early[offset]) {
		bool first = offset == hold->server_early;

		hold->server_early = RTE_MAX(hold->server_early, offset + 1);
		hold->server_end = hold->server_early;
		sl_strict_window(&hold->tcp, pkt);
		pkt->flow->ack[1] = sl_segment_ack(pkt);
		sl_pkt_forward(pkt, SL_REASON_NONE);
		/* A hello may be on hold already. */
		if (first && sl_hold_step(worker, pkt->flow, SL_HOLD_TOLD))
			sl_hold_judge(worker, pkt->flow);
		return;
	}
	refuse(worker, pkt, SL_REASON_NOT_TLS);
}

/* The client must send another hello with the same name (RFC 8446 4.1.2). */
static bool begin_second(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	/* A server that asks for another hello must have received the first. */
	if (sl_strict_acked(&hold->tcp, pkt->flow) < hold->hello_end) {
		refuse(worker, pkt, SL_REASON_STREAM_CONFLICT);
		return false;
	}
	/* Early data may end in the middle of a record: the walk continues there. */
	hold->hello_at = hold->walked;
	hold->begun = hold->records;
	return sl_hold_step(worker, pkt->flow, SL_HOLD_RETRIED) && sl_hold_judge(worker, pkt->flow);
}

/* The server does not ask for another hello: the client's bytes on hold are sent. */
static bool go_on(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	enum sl_hold_event event = SL_HOLD_ANSWERED;

	sl_hold_forget_answer(worker, flow->key.vlan, hold);
	if (hold->tcp.held_packets > 0)
		sl_hold_release(worker, flow, hold->tcp.stream.end, (enum sl_reason)flow->reason);
	if (sl_hold_rule(hold)->acked && sl_strict_acked(&hold->tcp, flow) < hold->tcp.owned) {
		hold->judged = hold->tcp.owned;
		event = SL_HOLD_OWNED;
	}
	return sl_hold_step(worker, flow, event);
}

/* Reads the first message of a TLS server: a ServerHello, or a HelloRetryRequest. */
static bool server_answers(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold,
                           uint32_t offset)
{
	struct sl_flow *flow = pkt->flow;
	bool tls = true;
	enum sl_parse_result retry =
	        sl_hold_is_retry(worker, pkt, hold, offset - hold->server_early, &tls);

	/* A hello must not open a service of another protocol that tolerates it. */
	if (!tls) {
		refuse(worker, pkt, SL_REASON_NOT_TLS);
		return false;
	}
	switch (retry) {
	case SL_PARSE_MORE:
		/* A server that has ended its stream asks for nothing more. */
		if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG) &&
		    offset + pkt->payload_len == hold->server_early + hold->answer_bytes)
			return go_on(worker, flow, hold);
		return true;
	case SL_PARSE_NOT_MINE:
		return go_on(worker, flow, hold);
	case SL_PARSE_DONE:
		return begin_second(worker, pkt, hold);
	case SL_PARSE_BAD:
		break;
	}
	return sl_hold_refuse(worker, flow, SL_REASON_STREAM_CONFLICT, NULL);
}

/* The first bytes of an HTTP server pass in order only. False: the segment is settled. */
static bool http_answer_passes(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold,
                               uint32_t offset, bool *told)
{
	switch (sl_hold_http_answer(worker, pkt, hold, offset)) {
	case SL_PARSE_DONE:
		*told = true;
		return true;
	case SL_PARSE_MORE:
		return true;
	case SL_PARSE_BAD:
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* the server sends it again */
		return false;
	case SL_PARSE_NOT_MINE:
		break;
	}
	refuse(worker, pkt, SL_REASON_MALFORMED_HTTP);
	return false;
}

/* The server has the client's bytes up to `acked`; told: its first bytes are HTTP. */
static bool server_acknowledges(struct sl_worker *worker, struct sl_flow *flow,
                                struct sl_hold *hold, uint32_t acked, bool told)
{
	const struct sl_hold_rule *rule = sl_hold_rule(hold);

	flow->ack[1] = hold->tcp.base + acked;
	told = told || (rule->http && rule->acked && acked > UPLOAD_WATCHED);
	if (told && !sl_hold_step(worker, flow, SL_HOLD_ANSWERED))
		return false;
	return !rule->server || acked < hold->judged || sl_hold_step(worker, flow, SL_HOLD_ACKED);
}

static bool is_believed(const struct sl_pkt *pkt, const struct sl_hold *hold, uint32_t offset)
{
	/* Bytes that pass after the judged range are not counted. */
	uint32_t sent = sl_hold_rule(hold)->passes ? hold->tcp.window_end : hold->tcp.released;

	/* A FIN counts for one; numbers far from the server's own are another connection's. */
	return sl_segment_ack(pkt) - hold->tcp.base <= sent + 1 &&
	       offset - hold->server_end + SERVER_REACH <= 2 * SERVER_REACH;
}

static void pass(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold,
                 uint32_t offset)
{
	if (offset < 1u << 30)
		hold->server_end = RTE_MAX(hold->server_end, offset + pkt->payload_len);
	if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG))
		hold->server_fin = true;
	sl_strict_window(&hold->tcp, pkt);
	sl_hold_touch(worker, pkt->flow);
	sl_pkt_forward(pkt, (enum sl_reason)pkt->flow->reason);
}

static void server_segment(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	const struct sl_hold_rule *rule = sl_hold_rule(hold);
	struct sl_flow *flow = pkt->flow;
	uint32_t offset = sl_segment_seq(pkt) - (hold->tcp.irs + 1);
	bool told = false;

	if (hold->tcp.opening) {
		sl_strict_challenge(pkt, SL_REASON_NONE);
		return;
	}
	if (!is_believed(pkt, hold, offset)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if (!rule->server && pkt->payload_len > 0) {
		server_early(worker, pkt, hold);
		return;
	}
	if (rule->server && rule->http && !http_answer_passes(worker, pkt, hold, offset, &told))
		return;
	pass(worker, pkt, hold, offset);
	/* Send what the server's window had no room for before. */
	if (hold->tcp.resend != 0 && rule->server && hold->tcp.released < hold->judged)
		sl_hold_release(worker, flow, rule->passes ? hold->tcp.stream.end : hold->judged,
		                (enum sl_reason)flow->reason);
	if (server_acknowledges(worker, flow, hold, sl_segment_ack(pkt) - hold->tcp.base, told) &&
	    sl_hold_rule(hold)->tls &&
	    (pkt->payload_len > 0 || sl_segment_has(pkt, RTE_TCP_FIN_FLAG)) &&
	    offset - hold->server_early < 1u << 30)
		server_answers(worker, pkt, hold, offset);
}

void sl_hold_from_server(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	if (sl_segment_has(pkt, RTE_TCP_RST_FLAG)) {
		if (sl_strict_is_servers_reset(pkt, &hold->tcp))
			sl_hold_pass_reset(worker, pkt);
		else
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
	} else if (sl_segment_has(pkt, RTE_TCP_SYN_FLAG)) {
		/* A SYN without ACK is a simultaneous open, or half of a split handshake. */
		if (sl_segment_has(pkt, RTE_TCP_ACK_FLAG))
			server_syn_ack(worker, pkt, hold);
		else
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
	} else {
		server_segment(worker, pkt, hold);
	}
}
