/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.c: which segments of an unjudged TCP connection are believed, and which pass (RFC 9293
 * 3.10.7, spec section 3). Sequence numbers are strict here: a segment that the server might not
 * take must not make the gateway believe anything.
 *
 * Settles with: hold-limit, stream-conflict, duplicate, no-flow, malformed-packet, not-tls, and
 * what hold_judge.c says.
 */
#include "hold.h"

#include "packet/parse.h"
#include "flow/record.h"
#include "flow/flows.h"
#include "watch/tcp/strict.h"
#include "flow/verdict.h"

/* How far a server's segment may be from what was delivered: losses, and keep-alives, in bytes. */
#define SERVER_REACH (1u << 24)

/*
 * So much of a body may be acknowledged by a server that has not said a word: an upload that long
 * is no request that a service of another kind puts up with, and sequence numbers wrap.
 */
#define UPLOAD_WATCHED (1u << 30)

static bool create(struct sl_worker *worker)
{
	uint32_t holds = (uint32_t)(worker->held_limit / sizeof(struct sl_hold) + 1);

	return sl_pool_create(&worker->holds, sizeof(struct sl_hold), holds);
}

static void destroy(struct sl_worker *worker)
{
	if (worker->holds.base != NULL)
		sl_pool_destroy(&worker->holds);
}

static void set_deadline(struct sl_worker *worker, struct sl_hold *hold, uint32_t index)
{
	if (hold->timed)
		sl_deadline_remove(&worker->holds, &worker->holds_hello, index);
	sl_deadline_append(&worker->holds, &worker->holds_hello, index,
	                   worker->now_ms + worker->settings->hello_timeout_ms);
	hold->timed = true;
}

static void clear_deadline(struct sl_worker *worker, struct sl_hold *hold, uint32_t index)
{
	if (hold->timed)
		sl_deadline_remove(&worker->holds, &worker->holds_hello, index);
	hold->timed = false;
}

/* Looks at the copy; if it may leave, the server has as long to acknowledge it as the hello had. */
static void judge(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	sl_hold_judge(worker, flow);
	if (flow->watch == SL_WATCH_STREAM && hold->phase == SL_HOLD_JUDGED)
		set_deadline(worker, hold, sl_flow_cold(&worker->table, flow)->hold);
}

/* A flow on hold lives as long as its phase may take, and no longer. */
static void touch(struct sl_worker *worker, struct sl_flow *flow)
{
	const struct sl_settings *settings = worker->settings;

	if (sl_hold_of(worker, flow)->phase == SL_HOLD_WATCH)
		flow->expires_ms = worker->now_ms + settings->tcp_established_ms;
	else
		flow->expires_ms = worker->now_ms + RTE_MAX(settings->tcp_opening_ms,
		                                            settings->hello_timeout_ms + 1000);
}

static void send_again(struct sl_worker *worker, struct sl_flow *flow, uint32_t from, uint32_t n)
{
	sl_hold_resend(worker, flow, from, n);
}

static const struct sl_strict_user user = {.again = send_again};

static void first(struct sl_worker *worker, struct sl_pkt *pkt)
{
	const struct sl_settings *settings = worker->settings;
	struct sl_strict tcp;
	struct sl_flow *flow;
	struct sl_hold *hold;
	uint32_t index;

	if (!sl_strict_begin(worker, pkt, &user, &tcp))
		return;
	if (!sl_held_take(worker, pkt->vlan, sizeof(*hold))) {
		sl_verdict_refuse(worker, pkt, SL_REASON_HOLD_LIMIT, NULL);
		return;
	}
	index = sl_pool_get(&worker->holds);
	flow = index != 0 ? sl_flow_open(worker, pkt, &pkt->key) : NULL;
	if (flow == NULL) {
		sl_held_give(worker, pkt->vlan, sizeof(*hold));
		if (index != 0)
			sl_pool_put(&worker->holds, index);
		else
			sl_verdict_refuse(worker, pkt, SL_REASON_HOLD_LIMIT, NULL);
		return;
	}
	hold = sl_pool_at(&worker->holds, index);
	memset(hold, 0, sizeof(*hold));
	hold->tcp = tcp;
	hold->tcp.flow = sl_flow_index(&worker->table, flow);
	hold->tcp.room = RTE_MIN((uint32_t)settings->held_bytes_per_flow, (uint32_t)SL_STREAM_MAX);
	sl_tls_records_init(&hold->records, settings->hello_max_bytes);
	flow->watch = SL_WATCH_STREAM;
	sl_flow_cold(&worker->table, flow)->hold = index;
	touch(worker, flow);
	sl_pkt_forward(pkt, SL_REASON_NONE);
}

static void end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);
	struct sl_hold *hold = sl_hold_of(worker, flow);

	sl_strict_end(worker, flow, &hold->tcp, reason);
	sl_hold_forget_answer(worker, flow->key.vlan, hold);
	clear_deadline(worker, hold, cold->hold);
	sl_pool_put(&worker->holds, cold->hold);
	sl_held_give(worker, flow->key.vlan, sizeof(*hold));
	cold->hold = 0;
	flow->watch = SL_WATCH_NONE;
}

void sl_hold_finish(struct sl_worker *worker, struct sl_flow *flow)
{
	const uint8_t both = SL_FLOW_FIN_INSIDE | SL_FLOW_FIN_REMOTE;
	struct sl_hold *hold = sl_hold_of(worker, flow);

	if (hold->client_fin)
		flow->flags |= SL_FLOW_FIN_INSIDE;
	if (hold->server_fin)
		flow->flags |= SL_FLOW_FIN_REMOTE;
	end(worker, flow, (enum sl_reason)flow->reason);
	if ((flow->flags & both) == both)
		flow->state = SL_FLOW_CLOSING;
	else
		flow->state = flow->flags & both ? SL_FLOW_HALF_CLOSED : SL_FLOW_ESTABLISHED;
	sl_verdict_set_fast(worker, flow);
	sl_flow_touch(worker, flow);
}

static void open_up(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_hold *hold = sl_hold_of(worker, flow);
	bool opening = hold->tcp.opening;

	/* What passes from now on was not asked for a name: none stands for it later. */
	sl_verdict_forget_name(worker, flow);
	sl_verdict_flow(worker, flow, reason, NULL);
	sl_hold_release(worker, flow, hold->tcp.stream.end, reason);
	sl_hold_finish(worker, flow);
	if (opening)
		flow->state = SL_FLOW_SYN_SENT;
	sl_verdict_set_fast(worker, flow);
}

/* Both ends closed without a hello, as a port scan does: there is nobody left to refuse. */
static bool is_over(const struct sl_hold *hold)
{
	return hold->phase == SL_HOLD_HELLO && hold->client_fin && hold->server_fin &&
	       hold->tcp.held_packets == 0;
}

static void timeouts(struct sl_worker *worker)
{
	uint32_t index;

	while ((index = sl_deadline_due(worker, &worker->holds, &worker->holds_hello)) != 0) {
		struct sl_hold *hold = sl_pool_at(&worker->holds, index);
		struct sl_flow *flow = &worker->table.flows[hold->tcp.flow];

		if (is_over(hold))
			sl_flow_close(worker, flow, SL_REASON_NO_FLOW);
		else
			sl_hold_refuse(worker, flow, SL_REASON_HELLO_TIMEOUT, NULL);
	}
}

/* The end of a connection that was never judged, or of one that was: nothing more of it passes. */
static void pass_reset(struct sl_worker *worker, struct sl_pkt *pkt)
{
	enum sl_reason reason = (enum sl_reason)pkt->flow->reason;

	sl_strict_pass_reset(worker, pkt, reason,
	                     reason != SL_REASON_NONE ? reason : SL_REASON_NO_FLOW);
}

/* --- from the server --- */

static void server_syn_ack(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	struct sl_flow *flow = pkt->flow;
	enum sl_reason refused = SL_REASON_STREAM_CONFLICT;

	switch (sl_strict_syn_ack(pkt, &hold->tcp, (enum sl_reason)flow->reason)) {
	case SL_STRICT_SETTLED:
		return;
	case SL_STRICT_OPENED:
		set_deadline(worker, hold, sl_flow_cold(&worker->table, flow)->hold);
		touch(worker, flow);
		sl_pkt_forward(pkt, SL_REASON_NONE);
		return;
	case SL_STRICT_EARLY:
		refused = SL_REASON_NOT_TLS;
		break;
	case SL_STRICT_CONFLICT:
		break;
	}
	sl_hold_refuse(worker, flow, refused, NULL);
	sl_pkt_drop_quietly(pkt, refused);
}

/*
 * What the server says before the verdict: one byte in answer to each PostgreSQL request, `N` to
 * that for GSSAPI and `S` to that for TLS, else nothing.
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
		if (first)
			hold->phase = SL_HOLD_HELLO;
		sl_pkt_forward(pkt, SL_REASON_NONE);
		if (first)
			judge(worker, pkt->flow, hold); /* a hello may be waiting already */
		return;
	}
	sl_hold_refuse(worker, pkt->flow, SL_REASON_NOT_TLS, NULL);
	sl_pkt_drop_quietly(pkt, SL_REASON_NOT_TLS);
}

static void begin_watch(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	clear_deadline(worker, hold, sl_flow_cold(&worker->table, flow)->hold);
	hold->phase = SL_HOLD_WATCH;
	/* The server has it: nothing is left to compare or to send again. */
	sl_stream_forget(worker, flow->key.vlan, &hold->tcp.stream, hold->judged);
	touch(worker, flow);
}

/* The client must say hello again, and name the same server (RFC 8446 4.1.2). */
static void begin_second(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	hold->phase = SL_HOLD_SECOND;
	hold->second = true;
	hold->hello_at = hold->walked;
	sl_tls_records_init_second(&hold->records, worker->settings->hello_max_bytes);
	set_deadline(worker, hold, sl_flow_cold(&worker->table, flow)->hold);
	judge(worker, flow, hold); /* early data may be there, and the hello behind it */
}

/* No other hello is asked for: what waits behind the first one may leave. */
static void go_on(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	hold->open = true;
	sl_hold_forget_answer(worker, flow->key.vlan, hold);
	if (hold->tcp.held_packets > 0)
		sl_hold_release(worker, flow, hold->tcp.stream.end, (enum sl_reason)flow->reason);
	if (hold->phase != SL_HOLD_WATCH)
		return;
	if (flow->ack[1] - hold->tcp.base < hold->tcp.owned) {
		/* Part of it is the gateway's to deliver. */
		hold->judged = hold->tcp.owned;
		hold->phase = SL_HOLD_JUDGED;
		set_deadline(worker, hold, sl_flow_cold(&worker->table, flow)->hold);
	} else {
		sl_hold_finish(worker, flow);
	}
}

static void server_answers(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold,
                           uint32_t offset)
{
	struct sl_flow *flow = pkt->flow;
	bool tls = true;
	enum sl_parse retry =
	        sl_hold_is_retry(worker, pkt, hold, offset - hold->server_early, &tls);

	/* A hello is no password for a service that puts up with it and speaks something else. */
	if (!tls) {
		sl_hold_refuse(worker, flow, SL_REASON_NOT_TLS, NULL);
		sl_pkt_drop_quietly(pkt, SL_REASON_NOT_TLS);
		return;
	}
	switch (retry) {
	case SL_PARSE_MORE:
		/* A server that has ended its stream asks for nothing any more. */
		if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG) &&
		    offset + pkt->payload_len == hold->server_early + hold->answer_bytes)
			go_on(worker, flow, hold);
		return;
	case SL_PARSE_NOT_MINE:
		go_on(worker, flow, hold);
		return;
	case SL_PARSE_DONE:
		/* Who asks for another hello has got the first. */
		if (hold->phase == SL_HOLD_WATCH) {
			begin_second(worker, flow, hold);
			return;
		}
		break;
	case SL_PARSE_BAD:
		break;
	}
	sl_hold_refuse(worker, flow, SL_REASON_STREAM_CONFLICT, NULL);
}

/* An HTTP server has not said enough to be told from another. */
static bool awaits_http(const struct sl_hold *hold)
{
	return hold->http && hold->answer_bytes < SL_HTTP_ANSWER_BYTES;
}

/* What an HTTP server says first passes in its order. False: the segment is settled. */
static bool http_answer_passes(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold,
                               uint32_t offset)
{
	switch (sl_hold_http_answer(worker, pkt, hold, offset)) {
	case SL_PARSE_DONE:
	case SL_PARSE_MORE:
		return true;
	case SL_PARSE_BAD:
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* it comes again */
		return false;
	case SL_PARSE_NOT_MINE:
		break;
	}
	sl_hold_refuse(worker, pkt->flow, SL_REASON_MALFORMED_HTTP, NULL);
	sl_pkt_drop_quietly(pkt, SL_REASON_MALFORMED_HTTP);
	return false;
}

static void server_acknowledges(struct sl_worker *worker, struct sl_flow *flow,
                                struct sl_hold *hold, uint32_t acked)
{
	bool answered = hold->open && !awaits_http(hold);

	flow->ack[1] = hold->tcp.base + acked;
	if (hold->phase == SL_HOLD_WATCH) {
		if (answered || (hold->open && acked > UPLOAD_WATCHED))
			sl_hold_finish(worker, flow);
	} else if (hold->phase == SL_HOLD_JUDGED && acked >= hold->judged) {
		if (answered)
			sl_hold_finish(worker, flow);
		else
			begin_watch(worker, flow, hold);
	}
}

static void server_segment(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t acked = sl_segment_ack(pkt) - hold->tcp.base;
	uint32_t offset = sl_segment_seq(pkt) - (hold->tcp.irs + 1);
	bool judged = hold->phase >= SL_HOLD_JUDGED;
	/* What passes behind the judged range is not counted. */
	uint32_t sent = hold->open ? hold->tcp.window_end : hold->tcp.released;

	if (hold->tcp.opening) {
		sl_strict_challenge(pkt, SL_REASON_NONE);
		return;
	}
	/* A FIN counts for one; numbers far from the server's own are somebody else's. */
	if (acked > sent + 1 || offset - hold->server_end + SERVER_REACH > 2 * SERVER_REACH) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if (!judged && pkt->payload_len > 0) {
		server_early(worker, pkt, hold);
		return;
	}
	if (judged && awaits_http(hold) && !http_answer_passes(worker, pkt, hold, offset))
		return;
	if (offset < 1u << 30)
		hold->server_end = RTE_MAX(hold->server_end, offset + pkt->payload_len);
	if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG))
		hold->server_fin = true;
	sl_strict_window(&hold->tcp, pkt);
	touch(worker, flow);
	sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
	/* What its window had no room for before. */
	if (hold->tcp.resend != 0 && judged && hold->tcp.released < hold->judged)
		sl_hold_release(worker, flow, hold->open ? hold->tcp.stream.end : hold->judged,
		                (enum sl_reason)flow->reason);
	server_acknowledges(worker, flow, hold, acked);
	if (flow->watch == SL_WATCH_STREAM && judged && !hold->open && !hold->second &&
	    (pkt->payload_len > 0 || sl_segment_has(pkt, RTE_TCP_FIN_FLAG)) &&
	    offset - hold->server_early < 1u << 30)
		server_answers(worker, pkt, hold, offset);
}

static void from_server(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	if (sl_segment_has(pkt, RTE_TCP_RST_FLAG)) {
		if (sl_strict_is_servers_reset(pkt, &hold->tcp))
			pass_reset(worker, pkt);
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

/* --- from the client --- */

/* The same SYN again, cleaned as the first was; it may not offer something else. */
static void client_syn_again(struct sl_pkt *pkt, const struct sl_hold *hold)
{
	if (hold->phase > SL_HOLD_HELLO || hold->tcp.held_packets > 0)
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT);
	else
		sl_strict_syn_again(pkt, &hold->tcp, SL_REASON_NONE);
}

/* The gateway answers for what it collects, where the client goes on no other way. */
static void own(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold, bool begin)
{
	if (hold->phase == SL_HOLD_HELLO || hold->phase == SL_HOLD_SECOND)
		sl_strict_own(worker, flow, &hold->tcp, begin);
}

/* How many of the client's first bytes the server has, and the copy no more (begin_watch). */
static uint32_t forgotten(const struct sl_hold *hold)
{
	if (hold->phase == SL_HOLD_WATCH)
		return hold->judged;
	return hold->second ? hold->hello_at : 0;
}

/*
 * Bytes that the server has acknowledged cannot be compared any more. It answers the bare header as
 * it would the bytes; a client that repeated more goes on behind them. True if that settles things.
 */
static bool pass_repeated(struct sl_pkt *pkt, const struct sl_hold *hold)
{
	if (pkt->payload_len == 0 || sl_strict_offset(&hold->tcp, pkt) >= forgotten(hold))
		return false;
	sl_strict_pass_clean(pkt, (enum sl_reason)pkt->flow->reason);
	return true;
}

static void client_payload(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t offset = sl_strict_offset(&hold->tcp, pkt);
	uint32_t window_end = sl_strict_window_end(&hold->tcp);
	enum sl_reason refused = SL_REASON_NONE;

	if (offset > window_end || pkt->payload_len > window_end - offset) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* the server would not take it */
		return;
	}
	if (pass_repeated(pkt, hold))
		return;
	if (offset + pkt->payload_len > worker->settings->held_bytes_per_flow) {
		sl_hold_refuse(worker, flow, SL_REASON_HOLD_LIMIT, NULL);
		sl_pkt_drop_quietly(pkt, SL_REASON_HOLD_LIMIT);
		return;
	}
	switch (sl_strict_copy(worker, pkt, &hold->tcp, offset, 0)) {
	case SL_STREAM_CONFLICT:
		refused = SL_REASON_STREAM_CONFLICT;
		break;
	case SL_STREAM_NO_ROOM:
		refused = offset + pkt->payload_len > SL_STREAM_MAX ? SL_REASON_HELLO_TOO_LARGE
		                                                    : SL_REASON_HOLD_LIMIT;
		break;
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
	if (refused != SL_REASON_NONE) {
		sl_hold_refuse(worker, flow, refused, NULL);
		sl_pkt_drop_quietly(pkt, refused);
		return;
	}
	sl_strict_hold(worker, pkt, &hold->tcp);
	if (hold->phase == SL_HOLD_HELLO || hold->phase == SL_HOLD_SECOND)
		judge(worker, flow, hold);
	if (flow->watch == SL_WATCH_STREAM)
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

	return offset == sent || (hold->second && offset == hold->tcp.stream.end);
}

static void client_unjudged(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	uint32_t acked = sl_segment_ack(pkt) - (hold->tcp.irs + 1);
	uint32_t server_end = hold->second ? hold->server_end : hold->server_early;

	if (hold->tcp.opening || acked > server_end + hold->server_fin) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if ((int32_t)(sl_segment_ack(pkt) - pkt->flow->ack[0]) > 0)
		pkt->flow->ack[0] = sl_segment_ack(pkt);
	if (pkt->payload_len > 0 && !hold->client_fin)
		client_payload(worker, pkt, hold);
	else if (pkt->payload_len > 0)
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT); /* behind its own FIN */
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
 * What comes behind the judged range before the server has answered, which is early data (RFC 8446
 * 2.3) or nothing, might be the second hello: it waits.
 */
static void client_behind(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold,
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
		if (hold->phase == SL_HOLD_JUDGED)
			sl_hold_resend(worker, pkt->flow, offset, hold->judged - offset);
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
		sl_hold_refuse(worker, flow, SL_REASON_STREAM_CONFLICT, NULL);
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT);
		return;
	}
	flow->ack[0] = sl_segment_ack(pkt);
	touch(worker, flow);
	if (!hold->open && !keepalive && offset + pkt->payload_len > hold->judged) {
		client_behind(worker, pkt, hold, offset);
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

/* What passes behind the judged range is not counted: there the server's word has to do. */
static bool server_takes_reset(const struct sl_pkt *pkt, const struct sl_hold *hold)
{
	uint32_t acked = sl_strict_acked(&hold->tcp, pkt->flow);

	if (hold->open && !hold->tcp.opening && acked >= hold->tcp.released)
		return sl_strict_offset(&hold->tcp, pkt) == acked;
	return sl_strict_server_takes_reset(pkt, &hold->tcp, hold->client_fin);
}

static void from_client(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	if (sl_segment_has(pkt, RTE_TCP_SYN_FLAG)) {
		if (sl_segment_has(pkt, RTE_TCP_ACK_FLAG))
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* split handshake */
		else
			client_syn_again(pkt, hold);
	} else if (sl_segment_has(pkt, RTE_TCP_RST_FLAG)) {
		if (server_takes_reset(pkt, hold))
			pass_reset(worker, pkt);
		else
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
	} else if (!sl_segment_has(pkt, RTE_TCP_ACK_FLAG) ||
	           sl_segment_has(pkt, RTE_TCP_URG_FLAG)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_MALFORMED_PACKET);
	} else if (hold->phase == SL_HOLD_JUDGED || hold->phase == SL_HOLD_WATCH) {
		client_judged(worker, pkt, hold);
	} else {
		client_unjudged(worker, pkt, hold);
	}
}

static void walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_hold *hold = sl_hold_of(worker, pkt->flow);

	if (pkt->in_port == SL_PORT_SANDBOX)
		from_client(worker, pkt, hold);
	else
		from_server(worker, pkt, hold);
}

const struct sl_watcher sl_hold_watcher = {
        .create = create,
        .destroy = destroy,
        .first = first,
        .walk = walk,
        .end = end,
        .open_up = open_up,
        .opens_judged = true,
        .timeouts = timeouts,
};
