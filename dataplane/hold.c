/*
 * hold.c: which segments of an unjudged TCP connection are believed, and which pass (RFC 9293
 * 3.10.7, spec section 3). Sequence numbers are strict here: a segment that the server might not
 * take must not make the gateway believe anything.
 *
 * Settles with: hold-limit, stream-conflict, duplicate, no-flow, malformed-packet, not-tls, and
 * what hold_judge.c says.
 */
#include "hold.h"

#include "parse.h"
#include "record.h"

/* How far a server's segment may be from what was delivered: losses, and keep-alives, in bytes. */
#define SERVER_REACH (1u << 24)

bool sl_hold_create(struct sl_worker *worker)
{
	uint32_t holds = (uint32_t)(worker->held_limit / sizeof(struct sl_hold) + 1);

	return sl_pool_create(&worker->holds, sizeof(struct sl_hold), holds) &&
	       sl_hold_own_create(worker, holds);
}

void sl_hold_destroy(struct sl_worker *worker)
{
	if (worker->holds.base != NULL)
		sl_pool_destroy(&worker->holds);
	sl_hold_own_destroy(worker);
}

/* Where a segment of the client stands in its stream. */
static uint32_t offset_of(const struct sl_hold *hold, const struct sl_pkt *pkt)
{
	return sl_segment_seq(pkt) - (hold->iss + 1);
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
	if ((flow->flags & SL_FLOW_HOLD) && hold->phase == SL_HOLD_JUDGED)
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

/* Forwards a bare segment with nothing in it that was not looked at. */
static void pass_clean(struct sl_pkt *pkt)
{
	if (sl_tcp_clean(pkt))
		sl_pkt_forward(pkt, SL_REASON_NONE);
	else
		sl_pkt_drop_quietly(pkt, SL_REASON_MALFORMED_PACKET);
}

void sl_hold_first(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_tcp_options options;
	struct sl_flow *flow;
	struct sl_hold *hold;
	uint32_t index;

	if (sl_segment_has(pkt, RTE_TCP_URG_FLAG) || !sl_tcp_options_read(pkt, &options) ||
	    !sl_tcp_clean(pkt)) {
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_MALFORMED_PACKET);
		return;
	}
	if (sl_record_conflicts(worker, &pkt->key, sl_segment_seq(pkt))) {
		sl_verdict_refuse(worker, pkt, SL_REASON_STREAM_CONFLICT, NULL);
		return;
	}
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
	hold->flow = sl_flow_index(&worker->table, flow);
	hold->iss = sl_segment_seq(pkt);
	hold->client_mss = options.mss;
	hold->client_offers_scale = options.has_wscale;
	sl_tls_records_init(&hold->records, worker->settings->hello_max_bytes);
	flow->flags |= SL_FLOW_HOLD;
	sl_flow_cold(&worker->table, flow)->hold = index;
	touch(worker, flow);
	sl_pkt_forward(pkt, SL_REASON_NONE);
}

void sl_hold_end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);
	struct sl_hold *hold = sl_hold_of(worker, flow);

	sl_count(worker, flow->key.vlan, reason, hold->held_packets);
	worker->stats->held -= hold->held_packets;
	sl_stream_free(worker, flow->key.vlan, &hold->stream);
	sl_hold_forget_answer(worker, flow->key.vlan, hold);
	clear_deadline(worker, hold, cold->hold);
	sl_hold_own_end(worker, hold);
	sl_pool_put(&worker->holds, cold->hold);
	sl_held_give(worker, flow->key.vlan, sizeof(*hold));
	cold->hold = 0;
	flow->flags &= (uint8_t)~SL_FLOW_HOLD;
}

void sl_hold_finish(struct sl_worker *worker, struct sl_flow *flow)
{
	const uint8_t both = SL_FLOW_FIN_INSIDE | SL_FLOW_FIN_REMOTE;
	struct sl_hold *hold = sl_hold_of(worker, flow);

	if (hold->client_fin)
		flow->flags |= SL_FLOW_FIN_INSIDE;
	if (hold->server_fin)
		flow->flags |= SL_FLOW_FIN_REMOTE;
	sl_hold_end(worker, flow, (enum sl_reason)flow->reason);
	if ((flow->flags & both) == both)
		flow->state = SL_FLOW_CLOSING;
	else
		flow->state = flow->flags & both ? SL_FLOW_HALF_CLOSED : SL_FLOW_ESTABLISHED;
	sl_verdict_set_fast(worker, flow);
	sl_flow_touch(worker, flow);
}

void sl_hold_open_up(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_hold *hold = sl_hold_of(worker, flow);
	bool opening = hold->phase == SL_HOLD_OPENING;

	/* What passes from now on was not asked for a name: none stands for it later. */
	sl_verdict_forget_name(worker, flow);
	sl_verdict_flow(worker, flow, reason, NULL);
	sl_hold_release(worker, flow, hold->stream.end, reason);
	sl_hold_finish(worker, flow);
	if (opening)
		flow->state = SL_FLOW_SYN_SENT;
	sl_verdict_set_fast(worker, flow);
}

/* Both ends closed without a hello, as a port scan does: there is nobody left to refuse. */
static bool is_over(const struct sl_hold *hold)
{
	return hold->phase == SL_HOLD_HELLO && hold->client_fin && hold->server_fin &&
	       hold->held_packets == 0;
}

void sl_hold_timeouts(struct sl_worker *worker)
{
	uint32_t index;

	sl_hold_own_timeouts(worker);
	while ((index = sl_deadline_due(worker, &worker->holds, &worker->holds_hello)) != 0) {
		struct sl_hold *hold = sl_pool_at(&worker->holds, index);
		struct sl_flow *flow = &worker->table.flows[hold->flow];

		if (is_over(hold))
			sl_flow_close(worker, flow, SL_REASON_NO_FLOW);
		else
			sl_hold_refuse(worker, flow, SL_REASON_HELLO_TIMEOUT, NULL);
	}
}

/* The end of a connection that was never judged, or of one that was: nothing more of it passes. */
static void pass_reset(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;
	enum sl_reason reason = (enum sl_reason)flow->reason;

	if (!sl_tcp_clean(pkt)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_MALFORMED_PACKET);
		return;
	}
	sl_pkt_forward(pkt, reason);
	sl_flow_close(worker, flow, reason != SL_REASON_NONE ? reason : SL_REASON_NO_FLOW);
	pkt->flow = NULL;
}

/* --- from the server --- */

static void open_window(struct sl_hold *hold, const struct sl_pkt *pkt)
{
	uint32_t window = rte_be_to_cpu_16(sl_segment_tcp(pkt)->rx_win);

	if (hold->scaled && !sl_segment_has(pkt, RTE_TCP_SYN_FLAG))
		window <<= hold->server_wscale;
	window += sl_segment_ack(pkt) - (hold->iss + 1);
	if ((int32_t)(window - hold->window_end) > 0)
		hold->window_end = window;
}

static void server_syn_ack(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	struct sl_flow *flow = pkt->flow;
	struct sl_tcp_options options;

	if (sl_segment_ack(pkt) != hold->iss + 1 || sl_segment_has(pkt, RTE_TCP_URG_FLAG) ||
	    !sl_tcp_options_read(pkt, &options)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if (pkt->payload_len > 0) {
		sl_hold_refuse(worker, flow, SL_REASON_NOT_TLS, NULL);
		sl_pkt_drop_quietly(pkt, SL_REASON_NOT_TLS);
		return;
	}
	if (hold->phase != SL_HOLD_OPENING) {
		if (sl_segment_seq(pkt) == hold->irs) {
			sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
			return;
		}
		sl_hold_refuse(worker, flow, SL_REASON_STREAM_CONFLICT, NULL);
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT);
		return;
	}
	hold->irs = sl_segment_seq(pkt);
	hold->server_mss = options.mss;
	hold->server_wscale = options.wscale;
	hold->scaled = options.has_wscale && hold->client_offers_scale;
	hold->phase = SL_HOLD_HELLO;
	open_window(hold, pkt);
	flow->state = SL_FLOW_SYN_RCVD;
	flow->ack[0] = hold->irs + 1;
	flow->ack[1] = hold->iss + 1;
	set_deadline(worker, hold, sl_flow_cold(&worker->table, flow)->hold);
	touch(worker, flow);
	sl_pkt_forward(pkt, SL_REASON_NONE);
}

/* What the server says before the verdict: one `S` after a PostgreSQL SSLRequest, else nothing. */
static void server_early(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	uint32_t offset = sl_segment_seq(pkt) - (hold->irs + 1);
	uint8_t byte = 0;

	if (offset > 1u << 30) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* older than the connection */
		return;
	}
	sl_parse_copy(pkt, pkt->payload_off, 1, &byte);
	if (offset == 0 && pkt->payload_len == 1 && byte == 'S' &&
	    (hold->phase == SL_HOLD_POSTGRES || hold->server_early == 1)) {
		bool first = hold->phase == SL_HOLD_POSTGRES;

		hold->server_early = 1;
		hold->server_end = 1;
		open_window(hold, pkt);
		pkt->flow->ack[1] = sl_segment_ack(pkt);
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
	sl_stream_forget(worker, flow->key.vlan, &hold->stream, hold->judged);
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
	if (hold->held_packets > 0)
		sl_hold_release(worker, flow, hold->stream.end, (enum sl_reason)flow->reason);
	if (hold->phase != SL_HOLD_WATCH)
		return;
	if (flow->ack[1] - (hold->iss + 1) < hold->owned) {
		/* Part of it is the gateway's to deliver. */
		hold->judged = hold->owned;
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

static void server_acknowledges(struct sl_worker *worker, struct sl_flow *flow,
                                struct sl_hold *hold, uint32_t acked)
{
	flow->ack[1] = hold->iss + 1 + acked;
	if (hold->phase != SL_HOLD_JUDGED || acked < hold->judged)
		return;
	if (hold->open)
		sl_hold_finish(worker, flow);
	else
		begin_watch(worker, flow, hold);
}

static void server_segment(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t acked = sl_segment_ack(pkt) - (hold->iss + 1);
	uint32_t offset = sl_segment_seq(pkt) - (hold->irs + 1);
	bool judged = hold->phase >= SL_HOLD_JUDGED;
	/* What passes behind the judged range is not counted. */
	uint32_t sent = hold->open ? hold->window_end : hold->released;

	if (hold->phase == SL_HOLD_OPENING) {
		/* A challenge ACK of an older connection on these ports (RFC 5961 4.2). */
		if (pkt->payload_len == 0 && !sl_segment_has(pkt, RTE_TCP_FIN_FLAG))
			pass_clean(pkt);
		else
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
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
	if (offset < 1u << 30)
		hold->server_end = RTE_MAX(hold->server_end, offset + pkt->payload_len);
	if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG))
		hold->server_fin = true;
	open_window(hold, pkt);
	touch(worker, flow);
	sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
	/* What its window had no room for before. */
	if (hold->resend != 0 && judged && hold->released < hold->judged)
		sl_hold_release(worker, flow, hold->open ? hold->stream.end : hold->judged,
		                (enum sl_reason)flow->reason);
	server_acknowledges(worker, flow, hold, acked);
	if ((flow->flags & SL_FLOW_HOLD) && judged && !hold->open && !hold->second &&
	    (pkt->payload_len > 0 || sl_segment_has(pkt, RTE_TCP_FIN_FLAG)) &&
	    offset - hold->server_early < 1u << 30)
		server_answers(worker, pkt, hold, offset);
}

static void from_server(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	if (sl_segment_has(pkt, RTE_TCP_RST_FLAG)) {
		bool ours = hold->phase == SL_HOLD_OPENING
		                    ? sl_segment_has(pkt, RTE_TCP_ACK_FLAG) &&
		                              sl_segment_ack(pkt) == hold->iss + 1
		                    : sl_segment_seq(pkt) - (hold->irs + 1) < 1u << 30;

		if (ours)
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
static void client_syn_again(struct sl_pkt *pkt, struct sl_hold *hold)
{
	struct sl_tcp_options options;

	if (hold->phase > SL_HOLD_HELLO || hold->held_packets > 0 ||
	    sl_segment_has(pkt, RTE_TCP_URG_FLAG) || !sl_tcp_options_read(pkt, &options) ||
	    options.mss != hold->client_mss || options.has_wscale != hold->client_offers_scale)
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT);
	else
		pass_clean(pkt);
}

static enum sl_stream_result copy_payload(struct sl_worker *worker, const struct sl_pkt *pkt,
                                          struct sl_hold *hold, uint32_t offset)
{
	enum sl_stream_result all = SL_STREAM_DUPLICATE;
	uint32_t done = 0;

	while (done < pkt->payload_len) {
		uint32_t n = RTE_MIN(pkt->payload_len - done, (uint32_t)SL_SCRATCH_BYTES);
		const uint8_t *bytes =
		        rte_pktmbuf_read(pkt->mbuf, pkt->payload_off + done, n, worker->scratch);
		enum sl_stream_result result =
		        sl_stream_write(worker, pkt->vlan, &hold->stream, offset + done, bytes, n);

		if (result == SL_STREAM_CONFLICT || result == SL_STREAM_NO_ROOM)
			return result;
		if (result == SL_STREAM_NEW)
			all = result;
		done += n;
	}
	return all;
}

static void client_payload(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t offset = offset_of(hold, pkt);
	uint32_t window_end = sl_hold_own_window_end(worker, hold);
	enum sl_reason refused = SL_REASON_NONE;

	if (offset > window_end || pkt->payload_len > window_end - offset) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* the server would not take it */
		return;
	}
	if (offset + pkt->payload_len > worker->settings->held_bytes_per_flow) {
		sl_hold_refuse(worker, flow, SL_REASON_HOLD_LIMIT, NULL);
		sl_pkt_drop_quietly(pkt, SL_REASON_HOLD_LIMIT);
		return;
	}
	switch (copy_payload(worker, pkt, hold, offset)) {
	case SL_STREAM_CONFLICT:
		refused = SL_REASON_STREAM_CONFLICT;
		break;
	case SL_STREAM_NO_ROOM:
		refused = offset + pkt->payload_len > SL_STREAM_MAX ? SL_REASON_HELLO_TOO_LARGE
		                                                    : SL_REASON_HOLD_LIMIT;
		break;
	case SL_STREAM_DUPLICATE:
		/* What left already and comes again may have been lost on the way. */
		if (offset + pkt->payload_len <= hold->released)
			sl_hold_resend(worker, flow, offset, pkt->payload_len);
		else
			sl_hold_own(worker, flow, true);
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
	sl_segment_remember(&hold->client, pkt);
	hold->max_segment = RTE_MAX(hold->max_segment, pkt->payload_len);
	hold->held_packets++;
	worker->stats->held++;
	pkt->fate = SL_FATE_HELD;
	if (hold->phase == SL_HOLD_HELLO || hold->phase == SL_HOLD_SECOND)
		judge(worker, flow, hold);
	if (flow->flags & SL_FLOW_HOLD)
		sl_hold_own(worker, flow, false);
}

/* A client that closes before its hello is complete will never complete it. */
static void client_fin_early(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	if (offset_of(hold, pkt) != hold->released) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	hold->client_fin = true;
	pass_clean(pkt);
	(void)worker;
}

/* A bare ACK says nothing by its place in the stream but how much the client has sent. */
static bool is_ack_in_place(const struct sl_pkt *pkt, const struct sl_hold *hold)
{
	uint32_t offset = offset_of(hold, pkt), sent = hold->released + hold->client_fin;

	return offset == sent || (hold->second && offset == hold->stream.end);
}

static void client_unjudged(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	uint32_t acked = sl_segment_ack(pkt) - (hold->irs + 1);

	uint32_t server_end = hold->second ? hold->server_end : hold->server_early;

	if (hold->phase == SL_HOLD_OPENING || acked > server_end + hold->server_fin) {
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
		client_fin_early(worker, pkt, hold);
	else if (is_ack_in_place(pkt, hold))
		pass_clean(pkt);
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

		if (!sl_stream_equal(worker, &hold->stream, offset + done, bytes, n))
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
	uint32_t offset = offset_of(hold, pkt);
	uint32_t acked = sl_segment_ack(pkt) - (hold->irs + 1);
	bool keepalive = offset == UINT32_MAX && pkt->payload_len <= 1;

	if (acked > hold->server_end + 1 ||
	    (!keepalive &&
	     (offset > hold->window_end + 1 || pkt->payload_len > hold->window_end + 1 - offset))) {
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
	if (hold->phase == SL_HOLD_WATCH && pkt->payload_len > 0) {
		/* The server has all of it, and answers the bare header as it would the bytes. */
		pass_clean(pkt);
		if (pkt->fate == SL_FATE_FORWARD)
			pkt->reason = flow->reason;
		return;
	}
	if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG)) {
		hold->client_fin = true;
		sl_record_fin(worker, flow, sl_segment_seq(pkt) + pkt->payload_len + 1);
	}
	sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
}

/*
 * True if a client's reset carries the number that the server expects next, which is the only one
 * that ends the server's connection (RFC 5961 3.2), and nothing that was sent could change that.
 * Others are dropped: where the client is gone, its next reset answers a segment of the server's,
 * and fits.
 */
static bool server_must_take_reset(const struct sl_pkt *pkt, const struct sl_hold *hold)
{
	uint32_t acked = pkt->flow->ack[1] - (hold->iss + 1), offset = offset_of(hold, pkt);

	if (hold->phase == SL_HOLD_OPENING)
		return offset == 0;
	if (hold->open && offset == acked && acked >= hold->released)
		return true; /* what passes behind the judged range is not counted */
	return offset == acked && acked == hold->released + hold->client_fin;
}

static void from_client(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold)
{
	if (sl_segment_has(pkt, RTE_TCP_SYN_FLAG)) {
		if (sl_segment_has(pkt, RTE_TCP_ACK_FLAG))
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* split handshake */
		else
			client_syn_again(pkt, hold);
	} else if (sl_segment_has(pkt, RTE_TCP_RST_FLAG)) {
		if (server_must_take_reset(pkt, hold))
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

void sl_hold_walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_hold *hold = sl_hold_of(worker, pkt->flow);

	if (pkt->in_port == SL_PORT_SANDBOX)
		from_client(worker, pkt, hold);
	else
		from_server(worker, pkt, hold);
}
