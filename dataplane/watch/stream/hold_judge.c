/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_judge.c: reads the ClientHello out of the copy and judges its name. Never looks at a packet:
 * what is judged is what hold_send.c lets out.
 *
 * Settles with: domain-allowed, domain-not-allowed, address-not-pinned, no-server-name, ech-denied,
 * not-tls, malformed-hello, hello-too-large.
 */
#include "hold.h"
#include "flow/names.h"
#include "flow/record.h"
#include "judge/name.h"
#include "flow/verdict.h"

static void let_request_out(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold,
                            enum sl_postgres_request request)
{
	uint32_t end = hold->walked + SL_POSTGRES_REQUEST_BYTES;

	if (!sl_record_begin(worker, flow)) {
		sl_hold_refuse(worker, flow, SL_REASON_FLOW_LIMIT, NULL);
		return;
	}
	hold->early[hold->server_early] = request == SL_POSTGRES_SSL ? 'S' : 'N';
	hold->judged = end;
	hold->walked = end;
	hold->hello_at = end;
	sl_hold_release(worker, flow, end, SL_REASON_NONE);
	hold->phase = SL_HOLD_POSTGRES;
}

/*
 * Is it PostgreSQL, which asks in the clear whether TLS is spoken, and before that whether GSSAPI
 * is? True if that settles things.
 */
static bool judge_postgres(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	enum sl_postgres_request request;
	const uint8_t *bytes = NULL;
	uint32_t n = sl_stream_piece(worker, &hold->tcp.stream, hold->walked,
	                             SL_POSTGRES_REQUEST_BYTES, &bytes);

	switch (sl_tls_postgres_request(bytes, n, &request)) {
	case SL_PARSE_MORE:
		return true;
	case SL_PARSE_DONE:
		if (hold->walked > 0 && request != SL_POSTGRES_SSL)
			break; /* asked for already, and refused */
		let_request_out(worker, flow, hold, request);
		return true;
	case SL_PARSE_NOT_MINE:
	case SL_PARSE_BAD:
		break;
	}
	return false;
}

/* At the begin of the stream, or behind a request for GSSAPI. */
static bool may_be_request(const struct sl_hold *hold)
{
	return !hold->second && hold->walked == SL_POSTGRES_REQUEST_BYTES * hold->server_early &&
	       (hold->server_early == 0 || (hold->server_early == 1 && hold->early[0] == 'N'));
}

/* Walks the records through what is together now. */
static enum sl_parse walk_records(struct sl_worker *worker, struct sl_hold *hold)
{
	while (hold->walked < hold->tcp.stream.contiguous) {
		const uint8_t *bytes = NULL;
		uint32_t n = sl_stream_piece(worker, &hold->tcp.stream, hold->walked,
		                             hold->tcp.stream.contiguous - hold->walked, &bytes);
		size_t used;
		enum sl_parse answer = sl_tls_records_feed(&hold->records, bytes, n, NULL, &used);

		hold->walked += (uint32_t)used;
		if (answer != SL_PARSE_MORE)
			return answer;
	}
	return SL_PARSE_MORE;
}

/* Puts the handshake bytes of the judged range into worker->scratch. */
static void collect_hello(struct sl_worker *worker, const struct sl_hold *hold)
{
	uint32_t at = hold->hello_at;
	struct sl_tls_records records;
	size_t used;

	if (hold->second)
		sl_tls_records_init_second(&records, worker->settings->hello_max_bytes);
	else
		sl_tls_records_init(&records, worker->settings->hello_max_bytes);
	while (at < hold->walked) {
		const uint8_t *bytes = NULL;
		uint32_t n =
		        sl_stream_piece(worker, &hold->tcp.stream, at, hold->walked - at, &bytes);

		if (n == 0 || sl_tls_records_feed(&records, bytes, n, worker->scratch, &used) !=
		                      SL_PARSE_MORE)
			return;
		at += n;
	}
}

static enum sl_reason judge_hello(struct sl_worker *worker, struct sl_flow *flow,
                                  struct sl_hold *hold, struct sl_tls_hello *hello)
{
	const struct sl_proof proof = {hello->name, 0, SL_VIA_TLS};
	struct sl_proof named = proof;

	collect_hello(worker, hold);
	switch (sl_tls_hello_parse(worker->scratch, hold->records.hello_len, hello)) {
	case SL_PARSE_DONE:
		break;
	case SL_PARSE_BAD:
	case SL_PARSE_NOT_MINE:
		return hello->reason;
	case SL_PARSE_MORE: /* the walker counted it complete */
		return SL_REASON_MALFORMED_HELLO;
	}
	if (hello->ech && worker->settings->ech_deny)
		return SL_REASON_ECH_DENIED;
	named.len = hello->name_len;
	return sl_judge_name(worker, flow, &named);
}

/* The name in a second hello is the one that the first was let out for. */
static bool is_same_name(const struct sl_worker *worker, const struct sl_flow *flow,
                         const struct sl_tls_hello *hello)
{
	uint32_t index = sl_flow_cold(&worker->table, flow)->name;
	const struct sl_name *name;

	if (index == 0)
		return false;
	name = sl_names_at(worker, index);
	return name->len == hello->name_len && memcmp(name->text, hello->name, name->len) == 0;
}

static void judge_complete(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	struct sl_tls_hello hello;
	enum sl_reason reason = judge_hello(worker, flow, hold, &hello);
	const struct sl_proof proof = {hello.name, hello.name_len, SL_VIA_TLS};

	if (reason == SL_REASON_DOMAIN_ALLOWED && hold->second &&
	    !is_same_name(worker, flow, &hello))
		reason = SL_REASON_DOMAIN_NOT_ALLOWED;
	if (reason != SL_REASON_DOMAIN_ALLOWED) {
		sl_hold_refuse(worker, flow, reason, &proof);
		return;
	}
	if (!sl_record_begin(worker, flow) ||
	    (!hold->second && !sl_verdict_flow(worker, flow, reason, &proof))) {
		sl_hold_refuse(worker, flow, SL_REASON_FLOW_LIMIT, &proof);
		return;
	}
	hold->judged = hold->walked;
	hold->phase = SL_HOLD_JUDGED;
	/* What the client sent behind its hello waits for the server's answer (hold_retry.c). */
	hold->open = hold->second;
	sl_hold_release(worker, flow, hold->open ? hold->tcp.stream.end : hold->judged, reason);
}

void sl_hold_judge(struct sl_worker *worker, struct sl_flow *flow)
{
	struct sl_hold *hold = sl_hold_of(worker, flow);
	const struct sl_proof proof = {NULL, 0, SL_VIA_TLS};

	if (hold->tcp.stream.contiguous <= hold->walked)
		return;
	hold->http = hold->http || sl_hold_is_http(worker, hold);
	if (hold->http) {
		sl_hold_judge_http(worker, flow);
		return;
	}
	if (may_be_request(hold) && judge_postgres(worker, flow, hold))
		return;
	switch (walk_records(worker, hold)) {
	case SL_PARSE_MORE:
		break;
	case SL_PARSE_DONE:
		judge_complete(worker, flow, hold);
		break;
	case SL_PARSE_NOT_MINE:
	case SL_PARSE_BAD:
		sl_hold_refuse(worker, flow, (enum sl_reason)hold->records.reason, &proof);
		break;
	}
}
