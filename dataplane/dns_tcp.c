/*
 * dns_tcp.c: DNS over TCP (spec section 4): which segments are believed, and which pass. The
 * client's bytes are collected in a copy; only whole, judged messages leave, and what leaves is the
 * copy, so that no byte that was not judged ever does, however it is split, repeated or
 * re-ordered. The server's stream passes in order only, and is read before it does: a pin stands
 * before the answer reaches the sandbox.
 *
 * The messages leave as the client wrote them, id, letter case and EDNS options included: a channel
 * to the configured resolver, kept narrow (dns_tcp_judge.c), and to nobody else.
 *
 * Settles with: dns-allowed, hold-limit, stream-conflict, duplicate, no-flow, malformed-packet,
 * hello-timeout, and what dns_tcp_judge.c says.
 */
#include "dns.h"

#include "parse.h"
#include "record.h"
#include "tcp_clean.h"

#define WINDOW_BYTES    32768 /* how far ahead of the acknowledged bytes a client may be */
#define TIMEOUTS_BUDGET 256   /* connections ended in one turn */

bool sl_dns_tcp_create(struct sl_worker *worker)
{
	return sl_pool_create(&worker->dns_streams, sizeof(struct sl_dns_stream),
	                      (uint32_t)(worker->held_limit / sizeof(struct sl_dns_stream) + 1));
}

void sl_dns_tcp_destroy(struct sl_worker *worker)
{
	if (worker->dns_streams.base != NULL)
		sl_pool_destroy(&worker->dns_streams);
}

/* ---- times ---- */

/* A stream is timed while bytes are on hold, from the first of them on. */
static void set_deadline(struct sl_worker *worker, struct sl_flow *flow)
{
	uint32_t index = sl_flow_cold(&worker->table, flow)->hold;
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	bool waits = dns->stream.end > dns->released;

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

	sl_dns_tcp_close_both(worker, flow, NULL, 0, dns->stream.contiguous, SL_REASON_NONE, 0);
	sl_flow_refuse(worker, flow, reason, &proof);
}

void sl_dns_tcp_timeouts(struct sl_worker *worker)
{
	for (unsigned i = 0; i < TIMEOUTS_BUDGET; i++) {
		uint32_t index =
		        sl_deadline_due(worker, &worker->dns_streams, &worker->dns_streams_timed);
		const struct sl_dns_stream *dns = sl_pool_at(&worker->dns_streams, index);

		if (index == 0)
			return;
		refuse_flow(worker, &worker->table.flows[dns->flow], SL_REASON_HELLO_TIMEOUT);
	}
}

/* ---- opening and ending ---- */

void sl_dns_tcp_first(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_tcp_options options;
	struct sl_dns_stream *dns;
	struct sl_flow *flow;
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
	if (!sl_held_take(worker, pkt->vlan, sizeof(*dns))) {
		sl_verdict_refuse(worker, pkt, SL_REASON_HOLD_LIMIT, NULL);
		return;
	}
	/* The pool is as large as the limit of bytes: it has one more. */
	index = sl_pool_get(&worker->dns_streams);
	flow = sl_flow_open(worker, pkt, &pkt->key);
	if (flow == NULL) {
		sl_pool_put(&worker->dns_streams, index);
		sl_held_give(worker, pkt->vlan, sizeof(*dns));
		return;
	}
	dns = sl_pool_at(&worker->dns_streams, index);
	memset(dns, 0, sizeof(*dns));
	dns->flow = sl_flow_index(&worker->table, flow);
	dns->iss = sl_segment_seq(pkt);
	dns->base_seq = dns->iss + 1;
	dns->client_mss = options.mss;
	sl_flow_cold(&worker->table, flow)->hold = index;
	flow->flags |= SL_FLOW_DNS_TCP;
	touch(worker, flow);
	sl_pkt_forward(pkt, SL_REASON_DNS_ALLOWED);
}

void sl_dns_tcp_end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);

	sl_count(worker, flow->key.vlan, reason, dns->held_packets);
	worker->stats->held -= dns->held_packets;
	sl_dns_pending_free_all(worker, &dns->pending);
	sl_stream_free(worker, flow->key.vlan, &dns->stream);
	sl_stream_free(worker, flow->key.vlan, &dns->answer);
	if (dns->timed)
		sl_deadline_remove(&worker->dns_streams, &worker->dns_streams_timed, cold->hold);
	sl_pool_put(&worker->dns_streams, cold->hold);
	sl_held_give(worker, flow->key.vlan, sizeof(*dns));
	cold->hold = 0;
	flow->flags &= (uint8_t)~SL_FLOW_DNS_TCP;
}

static void refuse(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason)
{
	refuse_flow(worker, pkt->flow, reason);
	sl_pkt_drop_quietly(pkt, reason);
}

/* A segment goes on with its header cleaned and without payload. */
static bool pass_clean(struct sl_pkt *pkt)
{
	if (sl_tcp_clean(pkt)) {
		sl_pkt_forward(pkt, SL_REASON_DNS_ALLOWED);
		return true;
	}
	sl_pkt_drop_quietly(pkt, SL_REASON_MALFORMED_PACKET);
	return false;
}

static void pass_reset(struct sl_worker *worker, struct sl_pkt *pkt)
{
	if (!pass_clean(pkt))
		return;
	sl_flow_close(worker, pkt->flow, SL_REASON_NO_FLOW);
	pkt->flow = NULL;
}

static void set_fin(struct sl_flow *flow, uint8_t side)
{
	const uint8_t both = SL_FLOW_FIN_INSIDE | SL_FLOW_FIN_REMOTE;

	flow->flags |= side;
	flow->state = (flow->flags & both) == both ? SL_FLOW_CLOSING : SL_FLOW_HALF_CLOSED;
}

/* ---- from the sandbox ---- */

/* The same SYN again (flow.c saw to its number); it may not offer something else. */
static void client_syn_again(struct sl_pkt *pkt, const struct sl_dns_stream *dns)
{
	struct sl_tcp_options options;

	if (sl_segment_has(pkt, RTE_TCP_URG_FLAG) || !sl_tcp_options_read(pkt, &options) ||
	    options.mss != dns->client_mss)
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT);
	else
		pass_clean(pkt);
}

/* Everything of the segment has left before: it is sent again, from the copy. */
static void client_again(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t from, uint32_t upto)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, pkt->flow);

	if (from >= dns->released) {
		sl_pkt_drop_quietly(pkt, SL_REASON_DUPLICATE);
		return;
	}
	sl_segment_remember(&dns->client, pkt);
	pkt->reason = SL_REASON_DNS_ALLOWED;
	pkt->fate = SL_FATE_HELD; /* counted with the frame */
	if (!sl_dns_tcp_send(worker, pkt->flow, from, RTE_MIN(upto, dns->released), 1))
		sl_pkt_drop_quietly(pkt, SL_REASON_TX_FULL);
}

/* The payload from `skip` bytes on goes into the copy. */
static enum sl_stream_result copy_payload(struct sl_worker *worker, const struct sl_pkt *pkt,
                                          struct sl_dns_stream *dns, uint32_t offset, uint32_t skip)
{
	uint32_t len = pkt->payload_len - skip;
	const uint8_t *bytes =
	        rte_pktmbuf_read(pkt->mbuf, pkt->payload_off + skip, len, worker->scratch);

	return sl_stream_write(worker, pkt->vlan, &dns->stream, offset, bytes, len);
}

static void client_payload(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t offset = sl_segment_seq(pkt) - dns->base_seq, skip = 0;

	if (offset > 1u << 31) {
		/* Before the copy's begin: acknowledged long ago, the server ignores it. */
		skip = 0 - offset;
		if (skip >= pkt->payload_len) {
			pass_clean(pkt);
			return;
		}
		offset = 0;
	}
	if (flow->flags & SL_FLOW_FIN_INSIDE && offset + pkt->payload_len - skip > dns->released) {
		sl_pkt_drop_quietly(pkt, SL_REASON_STREAM_CONFLICT); /* behind its own FIN */
		return;
	}
	if (dns->held_packets == UINT16_MAX || offset > WINDOW_BYTES ||
	    pkt->payload_len - skip > WINDOW_BYTES - offset) {
		sl_pkt_drop_quietly(pkt, SL_REASON_HOLD_LIMIT);
		return;
	}
	switch (copy_payload(worker, pkt, dns, offset, skip)) {
	case SL_STREAM_CONFLICT:
		refuse(worker, pkt, SL_REASON_STREAM_CONFLICT);
		return;
	case SL_STREAM_NO_ROOM:
		sl_pkt_drop_quietly(pkt, SL_REASON_HOLD_LIMIT); /* it may come again */
		return;
	case SL_STREAM_DUPLICATE:
		client_again(worker, pkt, offset, offset + pkt->payload_len - skip);
		return;
	case SL_STREAM_NEW:
		break;
	}
	sl_segment_remember(&dns->client, pkt);
	dns->held_packets++;
	worker->stats->held++;
	pkt->fate = SL_FATE_HELD;
	if (sl_dns_tcp_judge(worker, flow))
		set_deadline(worker, flow);
	else
		pkt->flow = NULL;
}

/*
 * A FIN behind payload leaves by itself once all before it has; until then the client repeats it.
 */
static void client_fin_behind(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t fin_seq)
{
	struct sl_flow *flow = pkt->flow;
	const struct sl_dns_stream *dns;

	if (flow == NULL || flow->state == SL_FLOW_REFUSED)
		return;
	dns = sl_dns_stream_of(worker, flow);
	if (dns->stream.end != dns->released || fin_seq != dns->base_seq + dns->released)
		return;
	sl_dns_tcp_send_fin(worker, flow);
	set_fin(flow, SL_FLOW_FIN_INSIDE);
	sl_record_fin(worker, flow, fin_seq + 1);
}

/* A segment without payload. It carries nothing but an acknowledgement, or a FIN. */
static void client_bare(struct sl_worker *worker, struct sl_pkt *pkt,
                        const struct sl_dns_stream *dns)
{
	struct rte_tcp_hdr *tcp = sl_pkt_at(pkt, struct rte_tcp_hdr, pkt->l4_off);
	struct sl_flow *flow = pkt->flow;
	uint32_t next = dns->base_seq + dns->released;

	if (sl_segment_has(pkt, RTE_TCP_FIN_FLAG)) {
		if (sl_segment_seq(pkt) != next || dns->stream.end != dns->released) {
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
			return;
		}
		if (pass_clean(pkt)) {
			set_fin(flow, SL_FLOW_FIN_INSIDE);
			sl_record_fin(worker, flow, next + 1);
		}
	} else {
		/* The server has not seen what is on hold: the number is that of what it has. */
		if (flow->flags & SL_FLOW_FIN_INSIDE)
			next++;
		if ((int32_t)(sl_segment_seq(pkt) - next) > 0)
			tcp->sent_seq = rte_cpu_to_be_32(next);
		pass_clean(pkt);
	}
}

static void client_segment(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	uint32_t server_seen = dns->server_next + !!(pkt->flow->flags & SL_FLOW_FIN_REMOTE);
	uint32_t fin_seq = sl_segment_seq(pkt) + pkt->payload_len;
	bool fin = sl_segment_has(pkt, RTE_TCP_FIN_FLAG);

	if (dns->phase == SL_DNS_TCP_OPENING || (int32_t)(sl_segment_ack(pkt) - server_seen) > 0) {
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

/* As in hold.c: only a reset at exactly the number that the server expects next ends anything. */
static bool server_must_take_reset(const struct sl_pkt *pkt, const struct sl_dns_stream *dns)
{
	const struct sl_flow *flow = pkt->flow;
	uint32_t next = dns->base_seq + dns->released + !!(flow->flags & SL_FLOW_FIN_INSIDE);

	if (dns->phase == SL_DNS_TCP_OPENING)
		return sl_segment_seq(pkt) == dns->iss + 1;
	return sl_segment_seq(pkt) == next && flow->ack[1] == next;
}

static void from_client(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	if (sl_segment_has(pkt, RTE_TCP_SYN_FLAG)) {
		if (sl_segment_has(pkt, RTE_TCP_ACK_FLAG))
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* split handshake */
		else
			client_syn_again(pkt, dns);
	} else if (sl_segment_has(pkt, RTE_TCP_RST_FLAG)) {
		if (server_must_take_reset(pkt, dns))
			pass_reset(worker, pkt);
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
	struct sl_flow *flow = pkt->flow;
	struct sl_tcp_options options;

	if (sl_segment_ack(pkt) != dns->iss + 1 || pkt->payload_len > 0 ||
	    sl_segment_has(pkt, RTE_TCP_URG_FLAG) || !sl_tcp_options_read(pkt, &options)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	if (dns->phase != SL_DNS_TCP_OPENING) {
		if (sl_segment_seq(pkt) == dns->irs)
			sl_pkt_forward(pkt, SL_REASON_DNS_ALLOWED);
		else
			refuse(worker, pkt, SL_REASON_STREAM_CONFLICT);
		return;
	}
	dns->irs = sl_segment_seq(pkt);
	dns->server_next = dns->irs + 1;
	dns->server_mss = options.mss;
	dns->phase = SL_DNS_TCP_OPEN;
	flow->state = SL_FLOW_SYN_RCVD;
	flow->ack[0] = dns->irs + 1;
	flow->ack[1] = dns->iss + 1;
	touch(worker, flow);
	sl_pkt_forward(pkt, SL_REASON_DNS_ALLOWED);
}

/* Gives back the memory of what the server has: whole chunks, or all once nothing is left. */
static void slide(struct sl_worker *worker, uint16_t vlan, struct sl_dns_stream *dns)
{
	struct sl_stream *stream = &dns->stream;
	uint32_t chunks = dns->acked / SL_STREAM_CHUNK, bytes = chunks * SL_STREAM_CHUNK;

	if (stream->end == 0)
		return;
	if (dns->acked == stream->end) {
		bytes = stream->end;
		sl_stream_free(worker, vlan, stream);
	} else if (chunks > 0) {
		for (uint32_t i = 0; i < chunks; i++) {
			sl_pool_put(&worker->chunks, stream->chunk[i]);
			sl_held_give(worker, vlan, sizeof(struct sl_stream_chunk));
		}
		memmove(stream->chunk, stream->chunk + chunks,
		        (SL_STREAM_CHUNKS - chunks) * sizeof(stream->chunk[0]));
		memset(stream->chunk + SL_STREAM_CHUNKS - chunks, 0,
		       chunks * sizeof(stream->chunk[0]));
		stream->contiguous -= bytes;
		stream->end -= bytes;
	}
	dns->base_seq += bytes;
	dns->released -= bytes;
	dns->acked -= bytes;
}

/* False: it acknowledges what was never sent. */
static bool server_acknowledges(struct sl_worker *worker, struct sl_pkt *pkt,
                                struct sl_dns_stream *dns)
{
	struct sl_flow *flow = pkt->flow;
	uint32_t fin = !!(flow->flags & SL_FLOW_FIN_INSIDE);
	uint32_t acked = sl_segment_ack(pkt) - dns->base_seq;

	if (acked > 1u << 31)
		return true; /* an old one */
	if (acked > dns->released + fin)
		return false;
	if ((int32_t)(sl_segment_ack(pkt) - flow->ack[1]) > 0)
		flow->ack[1] = sl_segment_ack(pkt);
	if (acked == dns->released + fin)
		sl_record_acknowledged(worker, flow, sl_segment_ack(pkt));
	acked = RTE_MIN(acked, dns->released); /* the FIN is no byte of the stream */
	dns->acked = RTE_MAX(dns->acked, acked);
	slide(worker, pkt->vlan, dns);
	return true;
}

/* The bytes that are new, in order, are read; the segment may pass then. */
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

	if (dns->phase == SL_DNS_TCP_OPENING) {
		/* A challenge ACK of an older connection on these ports (RFC 5961 4.2). */
		if (pkt->payload_len == 0 && !sl_segment_has(pkt, RTE_TCP_FIN_FLAG))
			pass_clean(pkt);
		else
			sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW);
		return;
	}
	/* What comes before its turn is dropped, and sent again by the server. */
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
	if (dns->stream.end > dns->released && sl_dns_tcp_judge(worker, flow))
		set_deadline(worker, flow);
}

static void from_server(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_stream *dns)
{
	if (sl_segment_has(pkt, RTE_TCP_RST_FLAG)) {
		bool ours = dns->phase == SL_DNS_TCP_OPENING
		                    ? sl_segment_has(pkt, RTE_TCP_ACK_FLAG) &&
		                              sl_segment_ack(pkt) == dns->iss + 1
		                    : sl_segment_seq(pkt) - (dns->irs + 1) < 1u << 31;

		if (ours)
			pass_reset(worker, pkt);
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

/* ---- the walk ---- */

/* A later policy allows the address whatever is said: what is on hold leaves, a plain flow stays.
 */
static void open_up(struct sl_worker *worker, struct sl_flow *flow)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	enum sl_reason reason = (enum sl_reason)flow->reason;

	/* What passes from now on was not asked for a name: none stands for it later. */
	sl_verdict_forget_name(worker, flow);
	if (dns->stream.contiguous > dns->released &&
	    sl_dns_tcp_send(worker, flow, dns->released, dns->stream.contiguous,
	                    dns->held_packets)) {
		worker->stats->held -= dns->held_packets;
		dns->held_packets = 0;
	} else {
		reason = SL_REASON_NO_FLOW; /* out of order: the client sends them again */
	}
	sl_dns_tcp_end(worker, flow, reason);
	sl_verdict_set_fast(worker, flow);
}

void sl_dns_tcp_walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;

	if (flow->reason != SL_REASON_NONE && flow->reason != SL_REASON_DNS_ALLOWED) {
		open_up(worker, flow);
		sl_flow_tcp(worker, pkt);
	} else if (pkt->in_port == SL_PORT_SANDBOX) {
		from_client(worker, pkt, sl_dns_stream_of(worker, flow));
	} else {
		from_server(worker, pkt, sl_dns_stream_of(worker, flow));
	}
}
