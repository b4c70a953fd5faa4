/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_judge.c: reads the ClientHello from the copy and judges its name. Never reads packets: the
 * judged copy is what hold_send.c sends.
 *
 * Settles with: domain-allowed, domain-not-allowed, address-not-pinned, no-server-name, ech-denied,
 * not-tls, malformed-hello, hello-too-large.
 */
#include "hold.h"
#include "flow/names.h"
#include "flow/record.h"
#include "judge/name.h"
#include "flow/verdict.h"

static bool let_request_out(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold,
                            enum sl_postgres_request request)
{
	uint32_t end = hold->walked + SL_POSTGRES_REQUEST_BYTES;

	if (!sl_record_begin(worker, flow))
		return sl_hold_refuse(worker, flow, SL_REASON_FLOW_LIMIT, NULL);
	hold->early[hold->server_early] = request == SL_POSTGRES_SSL ? 'S' : 'N';
	hold->judged = end;
	hold->walked = end;
	hold->hello_at = end;
	sl_hold_release(worker, flow, end, SL_REASON_NONE);
	return sl_hold_step(worker, flow, SL_HOLD_ASKED);
}

/*
 * Reads a PostgreSQL request, which asks in the clear for TLS, or before that for GSSAPI. It comes
 * at the start of the stream, or after a request for GSSAPI.
 */
static enum sl_parse_result read_request(struct sl_worker *worker, const struct sl_hold *hold,
                                         enum sl_postgres_request *request)
{
	bool begins = hold->server_early == 0;
	bool refused = hold->server_early == 1 && hold->early[0] == 'N';
	enum sl_parse_result answer;
	const uint8_t *bytes = NULL;
	uint32_t n;

	if (hold->phase != SL_HOLD_HELLO || !(begins || refused) ||
	    hold->walked != SL_POSTGRES_REQUEST_BYTES * hold->server_early)
		return SL_PARSE_NOT_MINE;
	n = sl_stream_piece(worker, &hold->tcp.stream, hold->walked, SL_POSTGRES_REQUEST_BYTES,
	                    &bytes);
	answer = sl_tls_postgres_request(bytes, n, request);
	if (answer == SL_PARSE_DONE && refused && *request != SL_POSTGRES_SSL)
		return SL_PARSE_NOT_MINE; /* a second request for TLS */
	return answer;
}

/* Walks the records in the contiguous bytes so far. */
static enum sl_parse_result walk_records(struct sl_worker *worker, struct sl_hold *hold)
{
	while (hold->walked < hold->tcp.stream.contiguous) {
		const uint8_t *bytes = NULL;
		uint32_t n = sl_stream_piece(worker, &hold->tcp.stream, hold->walked,
		                             hold->tcp.stream.contiguous - hold->walked, &bytes);
		size_t used;
		enum sl_parse_result answer =
		        sl_tls_records_feed(&hold->records, bytes, n, NULL, &used);

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
	struct sl_tls_records records = hold->begun;
	size_t used;

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
	case SL_PARSE_MORE: /* the walker has found it complete */
		return SL_REASON_MALFORMED_HELLO;
	}
	if (hello->ech && worker->settings->ech_deny)
		return SL_REASON_ECH_DENIED;
	named.len = hello->name_len;
	return sl_judge_name(worker, flow, &named);
}

/* True if the name in a second hello is the one that was judged in the first. */
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

/* Walks on through early data, which becomes part of the judged range. */
static void walk_early(struct sl_worker *worker, struct sl_hold *hold)
{
	uint32_t n = 1, used = 1;

	while (n > 0 && used == n) {
		const uint8_t *bytes = NULL;

		n = sl_stream_piece(worker, &hold->tcp.stream, hold->walked,
		                    hold->tcp.stream.contiguous - hold->walked, &bytes);
		used = (uint32_t)sl_tls_records_early(&hold->records, bytes, n);
		hold->walked += used;
	}
	hold->judged = hold->walked;
}

bool sl_hold_early_out(struct sl_worker *worker, struct sl_flow *flow)
{
	struct sl_hold *hold = sl_hold_of(worker, flow);
	uint32_t before = hold->judged;

	if (!sl_hold_rule(hold)->tls)
		return true;
	walk_early(worker, hold);
	if (hold->judged == before)
		return true;
	sl_hold_release(worker, flow, hold->judged, (enum sl_reason)flow->reason);
	return sl_hold_step(worker, flow, SL_HOLD_EARLY);
}

/* The hello may leave: gives its flow the verdict. False: there is no room to record it. */
static bool allow(struct sl_worker *worker, struct sl_flow *flow, const struct sl_hold *hold,
                  const struct sl_proof *proof)
{
	return sl_record_begin(worker, flow) &&
	       (hold->phase == SL_HOLD_SECOND ||
	        sl_verdict_flow(worker, flow, SL_REASON_DOMAIN_ALLOWED, proof));
}

static bool judge_complete(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	bool second = hold->phase == SL_HOLD_SECOND;
	struct sl_tls_hello hello;
	enum sl_reason reason = judge_hello(worker, flow, hold, &hello);
	const struct sl_proof proof = {hello.name, hello.name_len, SL_VIA_TLS};

	if (reason == SL_REASON_DOMAIN_ALLOWED && second && !is_same_name(worker, flow, &hello))
		reason = SL_REASON_DOMAIN_NOT_ALLOWED;
	if (reason != SL_REASON_DOMAIN_ALLOWED)
		return sl_hold_refuse(worker, flow, reason, &proof);
	if (!allow(worker, flow, hold, &proof))
		return sl_hold_refuse(worker, flow, SL_REASON_FLOW_LIMIT, &proof);
	hold->judged = hold->walked;
	if (!second) {
		hold->hello_end = hold->walked;
		sl_tls_records_init_second(&hold->records, worker->settings->hello_max_bytes);
		walk_early(worker, hold);
	}
	/* There is never a third hello: all that the client sent after its second one is sent. */
	sl_hold_release(worker, flow, second ? hold->tcp.stream.end : hold->judged, reason);
	return sl_hold_step(worker, flow, SL_HOLD_ALLOWED);
}

static bool judge_records(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	const struct sl_proof proof = {NULL, 0, SL_VIA_TLS};

	switch (walk_records(worker, hold)) {
	case SL_PARSE_MORE:
		return true;
	case SL_PARSE_DONE:
		return judge_complete(worker, flow, hold);
	case SL_PARSE_NOT_MINE:
	case SL_PARSE_BAD:
		break;
	}
	return sl_hold_refuse(worker, flow, (enum sl_reason)hold->records.reason, &proof);
}

bool sl_hold_judge(struct sl_worker *worker, struct sl_flow *flow)
{
	struct sl_hold *hold = sl_hold_of(worker, flow);
	enum sl_postgres_request request;

	if (hold->tcp.stream.contiguous <= hold->walked)
		return true;
	if (sl_hold_is_http(worker, hold) && !sl_hold_step(worker, flow, SL_HOLD_IS_HTTP))
		return false;
	if (sl_hold_rule(hold)->http)
		return sl_hold_judge_http(worker, flow);
	switch (read_request(worker, hold, &request)) {
	case SL_PARSE_MORE:
		return true;
	case SL_PARSE_DONE:
		return let_request_out(worker, flow, hold, request);
	case SL_PARSE_NOT_MINE:
	case SL_PARSE_BAD:
		break;
	}
	return judge_records(worker, flow, hold);
}
