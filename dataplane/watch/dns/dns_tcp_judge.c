/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_tcp_judge.c: reads messages out of the two directions of DNS over TCP (RFC 1035 4.2.2): the
 * client's are judged whole before they leave, the server's are read for pins. Never looks at a
 * packet.
 *
 * Settles with: dns-allowed, dns-name-not-allowed, malformed-dns.
 */
#include "dns.h"
#include "flow/record.h"
#include "flow/flows.h"
#include "flow/verdict.h"

#define PREFIX_BYTES 2

/*
 * Limit on a client's EDNS options: enough for cookies, padding, client subnet, keep-alive and the
 * like (RFC 7873, 7830, 7871, 7828). A longer message is malformed.
 */
#define OPTIONS_MAX_BYTES 256
#define QUERY_MAX_BYTES   (SL_DNS_QUERY_MAX_BYTES + OPTIONS_MAX_BYTES)

/* ---- from the sandbox ---- */

/* Reads bytes of the copy, from the stream offset on; they must be there. */
static void read_stream(const struct sl_worker *worker, const struct sl_stream *stream,
                        uint32_t offset, uint32_t len, uint8_t *to)
{
	while (len > 0) {
		const uint8_t *bytes;
		uint32_t n = sl_stream_piece(worker, stream, offset, len, &bytes);

		memcpy(to, bytes, n);
		to += n;
		offset += n;
		len -= n;
	}
}

/* The length of the message that begins at `released`, once it is complete. */
static enum sl_parse_result next_message(const struct sl_worker *worker,
                                         const struct sl_dns_stream *dns, uint32_t *len)
{
	uint32_t have = dns->tcp.stream.contiguous - dns->tcp.released;
	uint8_t prefix[PREFIX_BYTES];

	if (have < PREFIX_BYTES)
		return SL_PARSE_MORE;
	read_stream(worker, &dns->tcp.stream, dns->tcp.released, PREFIX_BYTES, prefix);
	*len = (uint32_t)(prefix[0] << 8 | prefix[1]);
	if (*len < SL_DNS_HEADER_BYTES || *len > QUERY_MAX_BYTES)
		return SL_PARSE_BAD;
	return have < PREFIX_BYTES + *len ? SL_PARSE_MORE : SL_PARSE_DONE;
}

/*
 * Sends a message that is written to `out`. If it was the last one, the packets on hold have left.
 */
static void let_out(struct sl_worker *worker, struct sl_flow *flow, uint32_t upto)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	uint32_t from = dns->tcp.released;
	bool all = upto == dns->tcp.stream.end;
	uint32_t weight = all ? dns->tcp.held_packets : 0;

	dns->tcp.released = upto;
	sl_flow_sent(flow, dns->tcp.base + upto);
	/* Bytes that could not be sent are sent when the client repeats them. */
	if (!sl_dns_tcp_send(worker, flow, from, upto, weight))
		sl_count(worker, flow->key.vlan, SL_REASON_TX_FULL, weight);
	if (all) {
		worker->stats->held -= dns->tcp.held_packets;
		dns->tcp.held_packets = 0;
	}
}

/*
 * Writes what is sent instead of the message: as long, with only its question in it. False: there
 * is no memory for it.
 */
static bool write_out(struct sl_worker *worker, const struct sl_flow *flow,
                      const struct sl_dns_query *query, uint32_t len)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	uint8_t message[PREFIX_BYTES + QUERY_MAX_BYTES];

	message[0] = (uint8_t)(len >> 8);
	message[1] = (uint8_t)len;
	if (sl_dns_query_build_padded(query, message + PREFIX_BYTES, QUERY_MAX_BYTES) != len)
		return false;
	switch (sl_stream_write(worker, flow->key.vlan, &dns->out, dns->tcp.released, message,
	                        PREFIX_BYTES + len)) {
	case SL_STREAM_NEW:
	case SL_STREAM_DUPLICATE:
		return true;
	case SL_STREAM_NO_ROOM:
	case SL_STREAM_CONFLICT:
		break;
	}
	return false;
}

/*
 * Sends the query now if that is possible. False: it has to wait for memory or for answers to
 * others.
 */
static bool let_query_out(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                          struct sl_flow *flow, const struct sl_dns_query *query, uint32_t len)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	const struct sl_proof proof = sl_dns_proof(query);
	uint32_t index;

	if (!sl_record_begin(worker, flow) || !write_out(worker, flow, query, len))
		return false;
	index = sl_dns_pending_make(worker, sandbox, flow, &dns->pending, query);
	if (index == 0)
		return false;
	sl_dns_pending_at(worker, index)->sent = query->question;
	/* Answers in an accepted TCP stream cannot be forged: letter case is not compared. */
	sl_dns_pending_at(worker, index)->sent.any_case = true;
	sl_dns_pending_sent(worker, index);
	if (!sl_flow_is_judged(flow))
		sl_verdict_flow(worker, flow, SL_REASON_DNS_ALLOWED, &proof);
	else
		sl_verdict_report_flow(worker, flow, true, SL_REASON_DNS_ALLOWED, &proof);
	let_out(worker, flow, dns->tcp.released + PREFIX_BYTES + len);
	return true;
}

static void end_unanswered(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	const struct sl_proof proof = {.via = SL_VIA_DNS};

	sl_dns_tcp_close_both(worker, flow, NULL, 0, dns->tcp.stream.contiguous, SL_CHARGE_NOTHING);
	sl_flow_refuse(worker, flow, reason, &proof);
}

/* Answers as over UDP, and ends the connection: what follows is not judged. */
static void end_refused(struct sl_worker *worker, struct sl_flow *flow,
                        const struct sl_dns_query *query, uint32_t upto)
{
	const struct sl_proof proof = sl_dns_proof(query);
	uint8_t reply[SL_DNS_REPLY_MAX_BYTES];
	size_t len = sl_dns_reply_build(
	        query, worker->settings->refuse_nxdomain ? SL_DNS_NXDOMAIN : SL_DNS_REFUSED,
	        SL_DNS_EDE_BLOCKED, sl_reason_name(SL_REASON_DNS_NAME_NOT_ALLOWED), reply,
	        sizeof(reply));

	sl_dns_tcp_close_both(worker, flow, reply, (uint16_t)len, upto, SL_CHARGE_NOTHING);
	sl_flow_refuse(worker, flow, SL_REASON_DNS_NAME_NOT_ALLOWED, &proof);
}

/*
 * `strip-ech`: the gateway has the answer, but cannot insert its bytes into the server's stream,
 * so it ends the connection as well; a client opens another one for its next query (RFC 7766
 * 6.2.4).
 */
static void end_stripped(struct sl_worker *worker, struct sl_flow *flow,
                         const struct sl_dns_query *query, uint32_t upto)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	const struct sl_proof proof = sl_dns_proof(query);
	uint32_t weight = upto == dns->tcp.stream.end ? dns->tcp.held_packets : 1;
	uint8_t reply[SL_DNS_REPLY_MAX_BYTES];
	size_t len = sl_dns_reply_build(query, SL_DNS_NOERROR, SL_DNS_EDE_NONE, NULL, reply,
	                                sizeof(reply));

	sl_verdict_report_flow(worker, flow, true, SL_REASON_DNS_ALLOWED, &proof);
	worker->stats->held -= weight;
	dns->tcp.held_packets -= weight;
	sl_dns_tcp_close_both(worker, flow, reply, (uint16_t)len, upto,
	                      (struct sl_charge){SL_REASON_DNS_ALLOWED, weight});
	sl_flow_close(worker, flow, SL_REASON_NO_FLOW);
}

/* Judges one whole message. False: the flow has ended. */
static bool judge_message(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                          struct sl_flow *flow, uint32_t len, bool *waits)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	uint32_t upto = dns->tcp.released + PREFIX_BYTES + len;
	uint8_t msg[QUERY_MAX_BYTES];
	struct sl_dns_query query;

	/* A message that waits for room is judged again, but counts once. */
	if (!dns->counted || dns->counted_at != dns->tcp.base + dns->tcp.released) {
		dns->limited = !sl_dns_may_ask(worker, flow->key.vlan);
		if (dns->limited) {
			*waits = true;
			return true;
		}
		dns->counted = true;
		dns->counted_at = dns->tcp.base + dns->tcp.released;
	}
	read_stream(worker, &dns->tcp.stream, dns->tcp.released + PREFIX_BYTES, len, msg);
	switch (sl_dns_judge(worker, sandbox, msg, len, &query)) {
	case SL_QUERY_MALFORMED:
		end_unanswered(worker, flow, SL_REASON_MALFORMED_DNS);
		return false;
	case SL_QUERY_REFUSED:
		end_refused(worker, flow, &query, upto);
		return false;
	case SL_QUERY_STRIPPED:
		end_stripped(worker, flow, &query, upto);
		return false;
	case SL_QUERY_ALLOWED:
		break;
	}
	if (query.opt_options_bytes > OPTIONS_MAX_BYTES) {
		end_unanswered(worker, flow, SL_REASON_MALFORMED_DNS);
		return false;
	}
	*waits = !let_query_out(worker, sandbox, flow, &query, len);
	return true;
}

bool sl_dns_tcp_judge(struct sl_worker *worker, struct sl_flow *flow)
{
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, flow->key.vlan);
	bool waits = false;

	while (!waits) {
		uint32_t len = 0;

		switch (next_message(worker, sl_dns_stream_of(worker, flow), &len)) {
		case SL_PARSE_MORE:
			return true;
		case SL_PARSE_BAD:
		case SL_PARSE_NOT_MINE:
			end_unanswered(worker, flow, SL_REASON_MALFORMED_DNS);
			return false;
		case SL_PARSE_DONE:
			if (!judge_message(worker, sandbox, flow, len, &waits))
				return false;
			break;
		}
	}
	return true;
}

/* ---- from the server ---- */

/* Pins the addresses of an answer to a pending query. The message passes in any case. */
static void read_answer(struct sl_worker *worker, struct sl_flow *flow, struct sl_dns_stream *dns)
{
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, flow->key.vlan);
	uint8_t *msg = worker->scratch2;
	uint32_t index;

	read_stream(worker, &dns->answer, 0, dns->answer_bytes, msg);
	for (index = sl_dns_pending_with_id(worker, flow, sl_dns_message_id(msg), 0); index != 0;
	     index = sl_dns_pending_with_id(worker, flow, sl_dns_message_id(msg), index)) {
		struct sl_query *query = sl_dns_pending_at(worker, index);

		if (sl_dns_answer_pin(
		            worker, sandbox, msg, dns->answer_bytes, &query->sent, query->name,
		            sl_dns_pending_allowed(worker, sandbox, query)) == SL_PARSE_DONE) {
			sl_dns_pending_free(worker, &dns->pending, index);
			return;
		}
	}
}

static uint32_t take_prefix(struct sl_dns_stream *dns, const uint8_t *bytes, uint32_t len)
{
	uint32_t used = 0;

	while (dns->prefix_have < PREFIX_BYTES && used < len) {
		dns->answer_bytes = (uint16_t)(dns->answer_bytes << 8 | bytes[used++]);
		dns->prefix_have++;
	}
	if (dns->prefix_have == PREFIX_BYTES && dns->answer_bytes < SL_DNS_HEADER_BYTES)
		dns->answers_lost = true;
	return used;
}

static uint32_t take_answer(struct sl_worker *worker, struct sl_flow *flow,
                            struct sl_dns_stream *dns, const uint8_t *bytes, uint32_t len)
{
	uint32_t n = RTE_MIN(len, (uint32_t)(dns->answer_bytes - dns->answer_have));

	/* No query is pending, or there is no memory: the answer pins nothing. */
	if (dns->pending == 0)
		dns->answer_skipped = true;
	if (!dns->answer_skipped && sl_stream_write(worker, flow->key.vlan, &dns->answer,
	                                            dns->answer_have, bytes, n) != SL_STREAM_NEW)
		dns->answer_skipped = true;
	dns->answer_have = (uint16_t)(dns->answer_have + n);
	if (dns->answer_have < dns->answer_bytes)
		return n;
	if (!dns->answer_skipped)
		read_answer(worker, flow, dns);
	sl_stream_free(worker, flow->key.vlan, &dns->answer);
	dns->prefix_have = 0;
	dns->answer_have = 0;
	dns->answer_bytes = 0;
	dns->answer_skipped = false;
	return n;
}

void sl_dns_tcp_answers(struct sl_worker *worker, struct sl_flow *flow, const uint8_t *bytes,
                        uint32_t len)
{
	struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);

	while (len > 0 && !dns->answers_lost) {
		uint32_t used = dns->prefix_have < PREFIX_BYTES
		                        ? take_prefix(dns, bytes, len)
		                        : take_answer(worker, flow, dns, bytes, len);

		bytes += used;
		len -= used;
	}
}
