/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_http.c: reads the header section of an HTTP request from the copy and judges its host (spec
 * section 3, plain HTTP). Never reads the client's packets: the judged copy is what hold_send.c
 * sends.
 *
 * The judged range is the header section. A body in the same segments leaves with it, and what
 * follows on the connection, other requests included, is not judged again.
 *
 * Settles with: domain-allowed, domain-not-allowed, address-not-pinned, no-server-name, not-tls,
 * malformed-http, hello-too-large.
 */
#include <stdio.h>

#include "hold.h"
#include "flow/record.h"
#include "judge/name.h"
#include "flow/verdict.h"

/*
 * The first byte decides: a TLS record begins with 22, PostgreSQL's SSLRequest with 0, a method
 * with a capital letter. Only TLS may follow an SSLRequest, or answer a HelloRetryRequest.
 */
bool sl_hold_is_http(struct sl_worker *worker, const struct sl_hold *hold)
{
	const uint8_t *first = NULL;

	if (!worker->settings->http_host || hold->phase != SL_HOLD_HELLO || hold->walked > 0)
		return false;
	return sl_stream_piece(worker, &hold->tcp.stream, 0, 1, &first) == 1 &&
	       sl_http_begins(*first);
}

/* Walks on through the contiguous bytes so far. */
static enum sl_parse_result walk_head(struct sl_worker *worker, struct sl_hold *hold)
{
	enum sl_parse_result answer = SL_PARSE_MORE;

	if (hold->walked == 0)
		sl_http_walk_init(&hold->head, worker->settings->hello_max_bytes);
	while (answer == SL_PARSE_MORE && hold->walked < hold->tcp.stream.contiguous) {
		const uint8_t *bytes = NULL;
		uint32_t n = sl_stream_piece(worker, &hold->tcp.stream, hold->walked,
		                             hold->tcp.stream.contiguous - hold->walked, &bytes);
		size_t used;

		answer = sl_http_walk_feed(&hold->head, bytes, n, &used);
		hold->walked += (uint32_t)used;
	}
	return answer;
}

/* Puts the header section into worker->scratch. */
static void collect_head(struct sl_worker *worker, const struct sl_hold *hold)
{
	uint32_t at = 0;

	while (at < hold->walked) {
		const uint8_t *bytes = NULL;
		uint32_t n =
		        sl_stream_piece(worker, &hold->tcp.stream, at, hold->walked - at, &bytes);

		if (n == 0)
			return;
		memcpy(worker->scratch + at, bytes, n);
		at += n;
	}
}

static enum sl_reason judge_head(struct sl_worker *worker, struct sl_flow *flow,
                                 const struct sl_hold *hold, struct sl_http_head *head)
{
	struct sl_proof proof = {head->name, 0, SL_VIA_HTTP};

	collect_head(worker, hold);
	switch (sl_http_head_parse(worker->scratch, hold->walked, head)) {
	case SL_PARSE_DONE:
		break;
	case SL_PARSE_BAD:
	case SL_PARSE_NOT_MINE:
		return head->reason;
	case SL_PARSE_MORE: /* the walk has found its end */
		return SL_REASON_MALFORMED_HTTP;
	}
	/* A server that uses the port of Host may choose another site (RFC 9110 7.2). */
	if (head->port != 0 && head->port != rte_be_to_cpu_16(flow->key.remote_port))
		return SL_REASON_MALFORMED_HTTP;
	proof.len = head->name_len;
	return sl_judge_name(worker, flow, &proof);
}

static bool judge_complete(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	struct sl_http_head head;
	enum sl_reason reason = judge_head(worker, flow, hold, &head);
	const struct sl_proof proof = {head.name, head.name_len, SL_VIA_HTTP};

	if (reason != SL_REASON_DOMAIN_ALLOWED)
		return sl_hold_refuse(worker, flow, reason, &proof);
	if (!sl_record_begin(worker, flow) || !sl_verdict_flow(worker, flow, reason, &proof))
		return sl_hold_refuse(worker, flow, SL_REASON_FLOW_LIMIT, &proof);
	hold->judged = hold->walked;
	sl_hold_release(worker, flow, hold->tcp.stream.end, reason);
	return sl_hold_step(worker, flow, SL_HOLD_ALLOWED);
}

bool sl_hold_judge_http(struct sl_worker *worker, struct sl_flow *flow)
{
	const struct sl_proof proof = {NULL, 0, SL_VIA_HTTP};
	struct sl_hold *hold = sl_hold_of(worker, flow);

	switch (walk_head(worker, hold)) {
	case SL_PARSE_MORE:
		return true;
	case SL_PARSE_DONE:
		return judge_complete(worker, flow, hold);
	case SL_PARSE_NOT_MINE:
	case SL_PARSE_BAD:
		break;
	}
	return sl_hold_refuse(worker, flow, (enum sl_reason)hold->head.reason, &proof);
}

/*
 * A request must not open a service of another protocol that tolerates it: the answer must begin
 * like HTTP/1.x (RFC 9112 4), just as the answer to a hello must be TLS. After that the connection
 * may carry anything, such as WebSocket.
 *
 * Nothing after the bytes that identify the protocol is delivered before them: a client could
 * acknowledge them without having received them.
 */
enum sl_parse_result sl_hold_http_answer(struct sl_worker *worker, const struct sl_pkt *pkt,
                                         struct sl_hold *hold, uint32_t offset)
{
	uint32_t known = hold->answer_bytes, end = offset + pkt->payload_len, n;
	const uint8_t *bytes;

	/* A server that has ended its stream sends nothing more. */
	if (end == known && (pkt->tcp_flags & RTE_TCP_FIN_FLAG))
		return SL_PARSE_DONE;
	if (pkt->payload_len == 0 || (offset <= known && end <= known))
		return SL_PARSE_MORE;
	if (offset > known)
		return end == 0 ? SL_PARSE_MORE /* a keep-alive */ : SL_PARSE_BAD;
	n = RTE_MIN(end, (uint32_t)SL_HTTP_ANSWER_BYTES) - known;
	bytes = rte_pktmbuf_read(pkt->mbuf, pkt->payload_off + (known - offset), n,
	                         worker->scratch);
	if (memcmp(bytes, SL_HTTP_ANSWER + known, n) != 0)
		return SL_PARSE_NOT_MINE;
	hold->answer_bytes += n;
	return hold->answer_bytes == SL_HTTP_ANSWER_BYTES ? SL_PARSE_DONE : SL_PARSE_MORE;
}

uint32_t sl_hold_http_forbidden(enum sl_reason reason, const struct sl_proof *proof, char *out)
{
	bool named = proof != NULL && proof->len > 0;
	const char *text = sl_reason_name(reason);
	int name_len = named ? (int)proof->len : 0;
	int body = (int)(strlen("sluice: \n") + strlen(text)) + name_len + named;
	int len = snprintf(out, SL_HOLD_FORBIDDEN_BYTES,
	                   "HTTP/1.1 403 Forbidden\r\n"
	                   "Content-Type: text/plain\r\n"
	                   "Content-Length: %d\r\n"
	                   "Connection: close\r\n"
	                   "\r\n"
	                   "sluice: %s%s%.*s\n",
	                   body, text, named ? " " : "", name_len, named ? proof->text : "");

	return RTE_MIN((uint32_t)len, SL_HOLD_FORBIDDEN_BYTES - 1u);
}
