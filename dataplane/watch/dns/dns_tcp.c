/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_tcp.c: DNS over TCP (spec section 4): which segments are believed, and which pass. The
 * client's bytes are collected in a copy; only complete, judged messages are sent, as the gateway
 * has rewritten them (`out`, dns_tcp_judge.c), so that no byte leaves that was not judged, however
 * the stream is split, repeated or re-ordered. The server's stream passes in order only, and is
 * read before it does: a pin is set before the answer reaches the sandbox.
 *
 * A message keeps its length, its id, its question and the letter case.
 *
 * Settles with: dns-allowed, hold-limit, stream-conflict, duplicate, no-flow, malformed-packet,
 * hello-timeout, and the reasons of dns_tcp_judge.c.
 */
#include "dns.h"

#include "packet/parse.h"
#include "flow/record.h"
#include "judge/subnet.h"
#include "flow/flows.h"
#include "watch/tcp/strict.h"
#include "flow/verdict.h"

#define WINDOW_BYTES    32768 /* how far ahead of the acknowledged bytes a client may be */
#define TIMEOUTS_BUDGET 256   /* connections ended in one turn */

static bool create(struct sl_worker *worker)
{
	return sl_pool_create(&worker->dns_streams, sizeof(struct sl_dns_stream),
	                      (uint32_t)(worker->held_limit / sizeof(struct sl_dns_stream) + 1));
}

static void destroy(struct sl_worker *worker)
{
	if (worker->dns_streams.base != NULL)
		sl_pool_destroy(&worker->dns_streams);
}

/* ---- times ---- */

/* A stream has a deadline while bytes are on hold, from the first of them on. */
static void set_deadline(struct sl_worker *worker, struct sl_flow *flow)
{
	uint32_t index = *sl_watch_kept(worker, flow, SL_WATCH_DNS_TCP);
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	bool waits = !dns->open && dns->tcp.stream.end > dns->tcp.released;

	if (waits && !dns->timed)
		sl_deadline_append(&worker->dns_streams, &worker->dns_streams_timed, index,
		                   worker->now_ms + worker->settings->hello_timeout_ms);
	else if (!waits && dns->timed)
		sl_deadline_remove(&worker->dns_streams, &worker->dns_streams_timed, index);
	dns->timed = waits;
}

static void touch(struct sl_worker *worker, struct sl_flow *flow)
{
	const struct sl_settings *settings = worker->settings;
	uint32_t idle = RTE_MAX(settings->dns_ms, settings->hello_timeout_ms + 1000);

	if (flow->state == SL_FLOW_SYN_SENT || flow->state == SL_FLOW_SYN_RCVD)
		idle = settings->tcp_opening_ms;
	else if (flow->state == SL_FLOW_CLOSING)
		idle = settings->tcp_closing_ms;
	flow->expires_ms = worker->now_ms + idle;
}

/* Ends the connection on both sides for a reason, without a DNS answer. */
static void refuse_flow(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	const struct sl_proof proof = {.via = SL_VIA_DNS};

	sl_dns_tcp_close_both(worker, flow, NULL, 0, dns->tcp.stream.contiguous, SL_CHARGE_NOTHING);
	sl_flow_refuse(worker, flow, reason, &proof);
}

static void timeouts(struct sl_worker *worker)
{
	for (unsigned i = 0; i < TIMEOUTS_BUDGET; i++) {
		uint32_t index =
		        sl_deadline_due(worker, &worker->dns_streams, &worker->dns_streams_timed);
		const struct sl_dns_stream *dns = sl_pool_at(&worker->dns_streams, index);

		if (index == 0)
			return;
		refuse_flow(worker, &worker->table.flows[dns->tcp.flow],
		            dns->limited ? SL_REASON_RATE_LIMIT : SL_REASON_HELLO_TIMEOUT);
	}
}

/* ---- opening and ending ---- */

static void send_again(struct sl_worker *worker, struct sl_flow *flow, uint32_t from, uint32_t n)
{
	sl_dns_tcp_send(worker, flow, from, from + n, 0);
}

/* A message that waits for room, or because the sandbox is over its limit, may be sent now. */
static void look_again(struct sl_worker *worker, struct sl_flow *flow)
{
	if (!sl_dns_stream_of(worker, flow)->open && sl_dns_tcp_judge(worker, flow))
		set_deadline(worker, flow);
}

static const struct sl_strict_user user = {.again = send_again, .look = look_again};

static void first(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_dns_stream *dns;
	struct sl_strict tcp;
	struct sl_flow *flow;
	uint32_t index;

	if (!sl_strict_begin(worker, pkt, &user, &tcp))
		return;
	if (!sl_held_take(worker, pkt->vlan, sizeof(*dns))) {
		sl_verdict_refuse(worker, pkt, SL_REASON_HOLD_LIMIT, NULL);
		return;
	}
	/* The pool is as large as the byte limit allows: it has a free element. */
	index = sl_pool_get(&worker->dns_streams);
	flow = sl_flow_open(worker, pkt, &pkt->key);
	if (flow == NULL) {
		sl_pool_put(&worker->dns_streams, index);
		sl_held_give(worker, pkt->vlan, sizeof(*dns));
		return;
	}
	dns = sl_pool_at(&worker->dns_streams, index);
	memset(dns, 0, sizeof(*dns));
	dns->tcp = tcp;
	dns->tcp.flow = sl_flow_index(&worker->table, flow);
	dns->tcp.room = WINDOW_BYTES;
	flow->watch = SL_WATCH_DNS_TCP;
	*sl_watch_kept(worker, flow, SL_WATCH_DNS_TCP) = index;
	touch(worker, flow);
	sl_pkt_forward(pkt, SL_REASON_DNS_ALLOWED);
}

static void end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	uint32_t *kept = sl_watch_kept(worker, flow, SL_WATCH_DNS_TCP);
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);

	sl_strict_end(worker, flow, &dns->tcp, reason);
	sl_dns_pending_free_all(worker, &dns->pending);
	sl_stream_free(worker, flow->key.vlan, &dns->out);
	sl_stream_free(worker, flow->key.vlan, &dns->answer);
	if (dns->timed)
		sl_deadline_remove(&worker->dns_streams, &worker->dns_streams_timed, *kept);
	sl_pool_put(&worker->dns_streams, *kept);
	sl_held_give(worker, flow->key.vlan, sizeof(*dns));
	*kept = 0;
	flow->watch = SL_WATCH_NONE;
}

static void refuse(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason)
{
	refuse_flow(worker, pkt->flow, reason);
	sl_pkt_drop_quietly(pkt, reason);
}

static void set_fin(struct sl_flow *flow, uint8_t side)
{
	const uint8_t both = SL_FLOW_FIN_INSIDE | SL_FLOW_FIN_REMOTE;

	flow->flags |= side;
	flow->state = (flow->flags & both) == both ? SL_FLOW_CLOSING : SL_FLOW_HALF_CLOSED;
}

/* ---- from the sandbox ---- */

/*
 * All bytes of the segment were received before. What was sent is sent again from `out`; what
 * waits may be sent by now, or is acknowledged so that the client goes on.
 */
static void client_again(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t from, uint32_t upto)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, pkt->flow);

	sl_segment_remember(&dns->tcp.client, pkt);
	if (from >= dns->tcp.released) {
		sl_pkt_drop_quietly(pkt, SL_REASON_DUPLICATE);
		if (!sl_dns_tcp_judge(worker, pkt->flow)) {
			pkt->flow = NULL;
			return;
		}
		set_deadline(worker, pkt->flow);
		sl_strict_own(worker, pkt->flow, &dns->tcp, true);
		return;
	}
	pkt->reason = SL_REASON_DNS_ALLOWED;
	pkt->fate = SL_FATE_HELD; /* counted with the frame */
	if (!sl_dns_tcp_send(worker, pkt->flow, from, RTE_MIN(upto, dns->tcp.released), 1))
		sl_pkt_drop_quietly(pkt, SL_REASON_TX_FULL);
}

/* False: the segment is settled, its bytes are not used. */
static bool may_bring(const struct sl_worker *worker, struct sl_pkt *pkt,
                      const struct sl_dns_stream *dns, uint32_t offset, uint32_t len)
{
	enum sl_reason reason;

	if ((pkt->flow->flags & SL_FLOW_FIN_INSIDE) && offset + len > dns->tcp.released)
		reason = SL_REASON_STREAM_CONFLICT; /* after its own FIN */
	else if (offset > WINDOW_BYTES || len > WINDOW_BYTES - offset ||
	         dns->tcp.held_packets == UINT16_MAX)
		reason = SL_REASON_HOLD_LIMIT;
	else if (offset + len > dns->tcp.stream.end && !sl_dns_could_ask(worker, pkt->vlan))
		reason = SL_REASON_RATE_LIMIT; /* the client sends it again, when there may be room
		                                */
	else
		return true;
	sl_pkt_drop_quietly(pkt, reason);
	return false;
}

static void client_payload(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t offset = sl_strict_offset(&dns->tcp, pkt), skip = 0;

	if (offset > 1u << 31) {
		/* Before the start of the copy: acknowledged long ago, the server ignores it. */
		skip = 0 - offset;
		if (skip >= pkt->payload_len) {
			sl_strict_pass_clean(pkt, SL_REASON_DNS_ALLOWED);
			return;
		}
		offset = 0;
	}
	if (!may_bring(worker, pkt, dns, offset, pkt->payload_len - skip))
		return;
	switch (sl_strict_copy(worker, pkt, &dns->tcp, offset, skip)) {
	case SL_STREAM_CONFLICT:
		refuse(worker, pkt, SL_REASON_STREAM_CONFLICT);
		return;
	case SL_STREAM_NO_ROOM:
		sl_pkt_drop_quietly(pkt, SL_REASON_HOLD_LIMIT); /* the client may send it again */
		return;
	case SL_STREAM_DUPLICATE:
		client_again(worker, pkt, offset, offset + pkt->payload_len - skip);
		return;
	case SL_STREAM_NEW:
		break;
	}
	sl_strict_hold(worker, pkt, &dns->tcp);
	if (sl_dns_tcp_judge(worker, flow)) {
		set_deadline(worker, flow);
		sl_strict_own(worker, flow, &dns->tcp, false);
	} else {
		pkt->flow = NULL;
	}
}

/*
 * A FIN after payload is sent on its own once all bytes before it have left; until then the client
 * repeats it.
 */
static void client_fin_behind(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t fin_seq)
{
	struct sl_flow *flow = pkt->flow;
	const struct sl_dns_stream *dns;

	if (flow == NULL || flow->state == SL_FLOW_REFUSED)
		return;
	dns = sl_dns_stream_of(worker, flow);
	if (dns->tcp.stream.end != dns->tcp.released ||
	    fin_seq != dns->tcp.base + dns->tcp.released)
		return;
	sl_dns_tcp_send_fin(worker, flow);
	set_fin(flow, SL_FLOW_FIN_INSIDE);
	sl_record_fin(worker, flow, fin_seq + 1);
}

/* A segment without payload: only an acknowledgement, or a FIN. */
static void client_bare(struct sl_worker *worker, struct sl_pkt *pkt,
                        const struct sl_dns_stream *dns)
{
	struct rte_tcp_hdr *tcp = sl_pkt_at(pkt, struct rte_tcp_hdr, pkt->l4_off);
	struct sl_flow *flow = pkt->flow;
	uint32_t next = dns->tcp.base + dns->tcp.released;

	if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG)) {
		if (sl_segment_seq(pkt) != next || dns->tcp.stream.end != dns->tcp.released) {
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
			return;
		}
		if (sl_strict_pass_clean(pkt, SL_REASON_DNS_ALLOWED)) {
			set_fin(flow, SL_FLOW_FIN_INSIDE);
			sl_record_fin(worker, flow, next + 1);
		}
	} else {
		/*
		 * The server has not received what is on hold: the sequence number is the one that
		 * it expects.
		 */
		if (flow->flags & SL_FLOW_FIN_INSIDE)
			next++;
		if ((int32_t)(sl_segment_seq(pkt) - next) > 0)
			tcp->sent_seq = rte_cpu_to_be_32(next);
		sl_strict_pass_clean(pkt, SL_REASON_DNS_ALLOWED);
	}
}

static void client_segment(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	uint32_t server_seen = dns->server_next + !!(pkt->flow->flags & SL_FLOW_FIN_REMOTE);
	uint32_t fin_seq = sl_segment_seq(pkt) + pkt->payload_len;
	bool fin = sl_segment_has(pkt, RTE_TCP_FIN_FLAG);

	if (dns->tcp.opening || (int32_t)(sl_segment_ack(pkt) - server_seen) > 0) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if ((int32_t)(sl_segment_ack(pkt) - pkt->flow->ack[0]) > 0)
		pkt->flow->ack[0] = sl_segment_ack(pkt);
	if (pkt->flow->state == SL_FLOW_SYN_RCVD)
		pkt->flow->state = SL_FLOW_ESTABLISHED;
	if (pkt->payload_len == 0) {
		client_bare(worker, pkt, dns);
	} else {
		client_payload(worker, pkt, dns);
		if (fin)
			client_fin_behind(worker, pkt, fin_seq);
	}
	if (pkt->flow != NULL && pkt->flow->state != SL_FLOW_REFUSED)
		touch(worker, pkt->flow);
}

static void from_client(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	if (sl_segment_has(pkt, RTE_TCP_SYN_FLAG)) {
		if (sl_segment_has(pkt, RTE_TCP_ACK_FLAG))
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* split handshake */
		else
			sl_strict_syn_again(pkt, &dns->tcp, SL_REASON_DNS_ALLOWED);
	} else if (sl_segment_has(pkt, RTE_TCP_RST_FLAG)) {
		if (sl_strict_server_takes_reset(pkt, &dns->tcp,
		                                 pkt->flow->flags & SL_FLOW_FIN_INSIDE))
			sl_strict_pass_reset(worker, pkt, SL_REASON_DNS_ALLOWED, SL_REASON_NO_FLOW);
		else
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
	} else if (!sl_segment_has(pkt, RTE_TCP_ACK_FLAG) ||
	           sl_segment_has(pkt, RTE_TCP_URG_FLAG)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_MALFORMED_PACKET);
	} else {
		client_segment(worker, pkt, dns);
	}
}

/* ---- from the server ---- */

static void server_syn_ack(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	switch (sl_strict_syn_ack(pkt, &dns->tcp, SL_REASON_DNS_ALLOWED)) {
	case SL_STRICT_SETTLED:
		break;
	case SL_STRICT_OPENED:
		dns->server_next = dns->tcp.irs + 1;
		touch(worker, pkt->flow);
		sl_pkt_forward(pkt, SL_REASON_DNS_ALLOWED);
		break;
	case SL_STRICT_EARLY:
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		break;
	case SL_STRICT_CONFLICT:
		refuse(worker, pkt, SL_REASON_STREAM_CONFLICT);
		break;
	}
}

/* Frees the first `chunks` chunks of a copy. */
static void slide_stream(struct sl_worker *worker, uint16_t vlan, struct sl_stream *stream,
                         uint32_t chunks)
{
	uint32_t bytes = chunks * SL_STREAM_CHUNK;

	if (stream->end == 0)
		return;
	sl_stream_forget(worker, vlan, stream, bytes);
	memmove(stream->chunk, stream->chunk + chunks,
	        (SL_STREAM_CHUNKS - chunks) * sizeof(stream->chunk[0]));
	memset(stream->chunk + SL_STREAM_CHUNKS - chunks, 0, chunks * sizeof(stream->chunk[0]));
	stream->contiguous -= RTE_MIN(bytes, stream->contiguous);
	stream->end -= RTE_MIN(bytes, stream->end);
}

/* Frees the memory of bytes that the server has: whole chunks, or all once nothing is left. */
static void slide(struct sl_worker *worker, uint16_t vlan, struct sl_dns_stream *dns)
{
	uint32_t chunks = dns->acked / SL_STREAM_CHUNK, bytes = chunks * SL_STREAM_CHUNK;

	if (dns->tcp.stream.end == 0)
		return;
	if (dns->acked == dns->tcp.stream.end) {
		bytes = dns->tcp.stream.end;
		sl_stream_free(worker, vlan, &dns->tcp.stream);
		sl_stream_free(worker, vlan, &dns->out);
	} else if (chunks > 0) {
		slide_stream(worker, vlan, &dns->tcp.stream, chunks);
		slide_stream(worker, vlan, &dns->out, chunks);
	}
	dns->tcp.base += bytes;
	dns->tcp.released -= bytes;
	dns->tcp.owned -= RTE_MIN(bytes, dns->tcp.owned);
	dns->tcp.window_end -= RTE_MIN(bytes, dns->tcp.window_end);
	dns->acked -= bytes;
}

/* False: it acknowledges bytes that were never sent. */
static bool server_acknowledges(struct sl_worker *worker, struct sl_pkt *pkt,
                                struct sl_dns_stream *dns)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t fin = !!(flow->flags & SL_FLOW_FIN_INSIDE);
	uint32_t acked = sl_segment_ack(pkt) - dns->tcp.base;

	if (acked > 1u << 31)
		return true; /* an old one */
	if (acked > dns->tcp.released + fin)
		return false;
	if ((int32_t)(sl_segment_ack(pkt) - flow->ack[1]) > 0)
		flow->ack[1] = sl_segment_ack(pkt);
	if (acked == dns->tcp.released + fin)
		sl_record_acknowledged(worker, flow, sl_segment_ack(pkt));
	sl_strict_window(&dns->tcp, pkt);
	acked = RTE_MIN(acked, dns->tcp.released); /* the FIN is not a byte of the stream */
	dns->acked = RTE_MAX(dns->acked, acked);
	slide(worker, pkt->vlan, dns);
	return true;
}

/* Reads the new bytes, in order; then the segment may pass. */
static void server_payload(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	uint32_t old = dns->server_next - sl_segment_seq(pkt), fresh;
	const uint8_t *bytes;

	if (old >= pkt->payload_len)
		return;
	fresh = pkt->payload_len - old;
	bytes = rte_pktmbuf_read(pkt->mbuf, pkt->payload_off + old, fresh, worker->scratch);
	sl_dns_tcp_answers(worker, pkt->flow, bytes, fresh);
	dns->server_next += fresh;
}

static void server_segment(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t next = dns->server_next + !!(flow->flags & SL_FLOW_FIN_REMOTE);

	if (dns->tcp.opening) {
		sl_strict_challenge(pkt, SL_REASON_DNS_ALLOWED);
		return;
	}
	/* A segment out of order is dropped, and sent again by the server. */
	if ((int32_t)(sl_segment_seq(pkt) - next) > 0 || !server_acknowledges(worker, pkt, dns)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if (pkt->payload_len > 0)
		server_payload(worker, pkt, dns);
	if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG) &&
	    sl_segment_seq(pkt) + pkt->payload_len == dns->server_next)
		set_fin(flow, SL_FLOW_FIN_REMOTE);
	touch(worker, flow);
	sl_pkt_forward(pkt, SL_REASON_DNS_ALLOWED);
	/* An answer makes room for one more query to wait for one. */
	if (dns->tcp.stream.end > dns->tcp.released && sl_dns_tcp_judge(worker, flow))
		set_deadline(worker, flow);
}

static void from_server(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	if (sl_segment_has(pkt, RTE_TCP_RST_FLAG)) {
		if (sl_strict_is_servers_reset(pkt, &dns->tcp))
			sl_strict_pass_reset(worker, pkt, SL_REASON_DNS_ALLOWED, SL_REASON_NO_FLOW);
		else
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
	} else if (sl_segment_has(pkt, RTE_TCP_SYN_FLAG)) {
		if (sl_segment_has(pkt, RTE_TCP_ACK_FLAG))
			server_syn_ack(worker, pkt, dns);
		else
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
	} else {
		server_segment(worker, pkt, dns);
	}
}

/* ---- a policy that no longer needs a name ---- */

/* Bytes on hold that are in order are sent unchanged. False: there is no memory for that. */
static bool write_waiting(struct sl_worker *worker, uint16_t vlan, struct sl_dns_stream *dns)
{
	uint32_t at = dns->tcp.released, upto = dns->tcp.stream.contiguous;

	while (at < upto) {
		const uint8_t *bytes = NULL;
		uint32_t n = sl_stream_piece(worker, &dns->tcp.stream, at, upto - at, &bytes);
		enum sl_stream_result result =
		        sl_stream_write(worker, vlan, &dns->out, at, bytes, n);

		if (result == SL_STREAM_NO_ROOM || result == SL_STREAM_CONFLICT)
			return false;
		at += n;
	}
	return true;
}

/* The server has all that was rewritten: the flow becomes an ordinary one. */
static void end_open(struct sl_worker *worker, struct sl_flow *flow)
{
	end(worker, flow, SL_REASON_NO_FLOW);
	sl_verdict_set_fast(worker, flow);
}

/*
 * A later policy allows the address for any content: what is on hold is sent. What was sent before
 * is the gateway's rewritten copy, and a retransmission must not mix the client's original into it:
 * the copy is kept until the server has it. False: the flow has ended.
 */
static bool open_up(struct sl_worker *worker, struct sl_flow *flow)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	uint32_t from = dns->tcp.released;

	/* What passes from now on is not judged by name: no name covers it later. */
	sl_verdict_forget_name(worker, flow);
	dns->open = true;
	set_deadline(worker, flow);
	if (!write_waiting(worker, flow->key.vlan, dns)) {
		refuse_flow(worker, flow, SL_REASON_HOLD_LIMIT);
		return false;
	}
	dns->tcp.released = dns->tcp.stream.contiguous;
	if (dns->tcp.released > from &&
	    sl_dns_tcp_send(worker, flow, from, dns->tcp.released, dns->tcp.held_packets)) {
		worker->stats->held -= dns->tcp.held_packets;
		dns->tcp.held_packets = 0;
	}
	return true;
}

/* Bytes have passed that were not judged by name: no name covers them. */
static bool allows(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                   const struct sl_flow *flow, const struct sl_addr *remote,
                   const struct sl_address *address, enum sl_reason *reason)
{
	return !sl_dns_stream_of(worker, flow)->open &&
	       sl_dns_allows(worker, sandbox, flow, remote, address, reason);
}

static bool is_delivered(const struct sl_flow *flow, const struct sl_dns_stream *dns)
{
	return (int32_t)(flow->ack[1] - (dns->tcp.base + dns->tcp.released)) >= 0;
}

static void walk_open(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, pkt->flow);
	uint32_t offset = sl_strict_offset(&dns->tcp, pkt);

	/* If the segment has more bytes than that, the client sends the rest again. */
	if (pkt->in_port == SL_PORT_SANDBOX && pkt->payload_len > 0 && offset < dns->tcp.released &&
	    !sl_segment_has(pkt, RTE_TCP_SYN_FLAG)) {
		sl_segment_remember(&dns->tcp.client, pkt);
		pkt->reason = SL_REASON_DNS_ALLOWED;
		pkt->fate = SL_FATE_HELD; /* counted with the frame */
		if (!sl_dns_tcp_send(worker, pkt->flow, offset,
		                     RTE_MIN(offset + pkt->payload_len, dns->tcp.released), 1))
			sl_pkt_drop_quietly(pkt, SL_REASON_TX_FULL);
		return;
	}
	sl_flow_tcp(worker, pkt);
	if (pkt->in_port == SL_PORT_UPLINK && is_delivered(pkt->flow, dns))
		end_open(worker, pkt->flow);
}

/* ---- the walk ---- */

static void walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	bool opens = sl_flow_is_by_address(flow);

	if (opens && !dns->open && !open_up(worker, flow)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_HOLD_LIMIT);
	} else if (opens && is_delivered(flow, dns)) {
		end_open(worker, flow);
		sl_flow_tcp(worker, pkt);
	} else if (opens) {
		walk_open(worker, pkt);
	} else if (pkt->in_port == SL_PORT_SANDBOX) {
		from_client(worker, pkt, dns);
	} else {
		from_server(worker, pkt, dns);
	}
}

const struct sl_watcher sl_dns_tcp_watcher = {
        .create = create,
        .destroy = destroy,
        .first = first,
        .walk = walk,
        .end = end,
        .allows = allows,
        .timeouts = timeouts,
};
