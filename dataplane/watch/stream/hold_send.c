/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_send.c: sends judged bytes, from the gateway's own copy, and ends refused connections on
 * both sides. Must never send a client's byte that hold_judge.c did not allow.
 */
#include "hold.h"
#include "flow/flows.h"
#include "flow/reject.h"
#include "watch/tcp/strict.h"
#include "packet/build.h"
#include "flow/verdict.h"

#define ALERT_ACCESS_DENIED 49 /* RFC 8446 6.2 */

static bool send_segment(struct sl_worker *worker, const struct sl_flow *flow,
                         const struct sl_hold *hold, uint32_t from, uint32_t n,
                         struct sl_charge charge)
{
	return sl_segment_send(worker, flow, &hold->tcp.client, RTE_TCP_PSH_FLAG,
	                       hold->tcp.base + from, &hold->tcp.stream, from, n, charge);
}

/* How many contiguous bytes the copy has from `from` on, at most limit. */
static uint32_t run_bytes(const struct sl_worker *worker, const struct sl_hold *hold, uint32_t from,
                          uint32_t limit)
{
	uint32_t n = 0;

	while (n < limit) {
		const uint8_t *bytes;
		uint32_t piece =
		        sl_stream_piece(worker, &hold->tcp.stream, from + n, limit - n, &bytes);

		if (piece == 0)
			break;
		n += piece;
	}
	return n;
}

void sl_hold_release(struct sl_worker *worker, struct sl_flow *flow, uint32_t upto,
                     enum sl_reason reason)
{
	struct sl_hold *hold = sl_hold_of(worker, flow);
	uint32_t at = hold->tcp.released, segment = sl_strict_segment_bytes(flow, &hold->tcp);
	bool all;
	uint32_t weight;

	/* A client whose bytes the gateway acknowledged may be ahead of the server's window. */
	if (hold->tcp.resend != 0)
		upto = RTE_MAX(at, RTE_MIN(upto, hold->tcp.window_end));
	all = upto == hold->tcp.stream.end;
	weight = all ? hold->tcp.held_packets : 0;
	while ((at = sl_stream_next(worker, &hold->tcp.stream, at)) < upto) {
		uint32_t n = run_bytes(worker, hold, at, RTE_MIN(segment, upto - at));
		uint32_t share = RTE_MIN(weight, (uint32_t)UINT16_MAX);

		if (!send_segment(worker, flow, hold, at, n, (struct sl_charge){reason, share}))
			break; /* the client sends it again, and equal bytes pass */
		weight -= share;
		at += n;
		sl_flow_sent(flow, hold->tcp.base + at);
	}
	if (all) {
		/* No frame could be made for them: they were not sent. */
		if (weight > 0)
			sl_count(worker, flow->key.vlan, SL_REASON_TX_FULL, weight);
		worker->stats->held -= hold->tcp.held_packets;
		hold->tcp.held_packets = 0;
	}
	hold->tcp.released =
	        RTE_MAX(hold->tcp.released, RTE_MIN(upto, hold->tcp.stream.contiguous));
}

void sl_hold_resend(struct sl_worker *worker, struct sl_flow *flow, uint32_t from, uint32_t n)
{
	struct sl_hold *hold = sl_hold_of(worker, flow);
	uint32_t segment = sl_strict_segment_bytes(flow, &hold->tcp), piece;

	for (; n > 0; from += piece, n -= piece) {
		piece = run_bytes(worker, hold, from, RTE_MIN(segment, n));
		if (piece == 0 || !send_segment(worker, flow, hold, from, piece, SL_CHARGE_NOTHING))
			return;
	}
}

static bool is_tls_denial(enum sl_reason reason)
{
	switch ((int)reason) {
	case SL_REASON_DOMAIN_NOT_ALLOWED:
	case SL_REASON_NO_SERVER_NAME:
	case SL_REASON_MALFORMED_HELLO:
	case SL_REASON_HELLO_TOO_LARGE:
	case SL_REASON_ECH_DENIED:
	case SL_REASON_ADDRESS_NOT_PINNED:
		return true;
	default:
		return false;
	}
}

/*
 * True before anything was sent to the server, so that the response is the first that the client
 * receives.
 */
static bool is_http_denial(const struct sl_hold *hold, enum sl_reason reason)
{
	if (hold->phase != SL_HOLD_REQUEST)
		return false;
	switch ((int)reason) {
	case SL_REASON_DOMAIN_NOT_ALLOWED:
	case SL_REASON_NO_SERVER_NAME:
	case SL_REASON_MALFORMED_HTTP:
	case SL_REASON_HELLO_TOO_LARGE:
	case SL_REASON_ADDRESS_NOT_PINNED:
		return true;
	default:
		return false;
	}
}

/*
 * Writes the refusal in the client's own protocol, to be sent before the reset; the length, or 0.
 */
static uint32_t explain(const struct sl_hold *hold, enum sl_reason reason,
                        const struct sl_proof *proof, char *out)
{
	/* A fatal alert record; the version on the wire is TLS 1.2, as always. */
	static const uint8_t alert[7] = {21, 3, 3, 0, 2, 2, ALERT_ACCESS_DENIED};

	if (is_http_denial(hold, reason))
		return sl_hold_http_forbidden(reason, proof, out);
	if (sl_hold_rule(hold)->http || !is_tls_denial(reason))
		return 0;
	memcpy(out, alert, sizeof(alert));
	return sizeof(alert);
}

static void send_to_sandbox(struct sl_worker *worker, const struct sl_path *path,
                            struct sl_tcp_spec *spec, const uint8_t *payload, uint32_t n)
{
	struct rte_mbuf *mbuf;
	uint8_t *to;

	spec->payload_bytes = n;
	mbuf = sl_build_tcp(worker, path, spec, &to);
	if (mbuf == NULL)
		return;
	if (n > 0)
		memcpy(to, payload, n);
	sl_build_tcp_send(worker, path, mbuf, spec, SL_CHARGE_NOTHING);
}

/* Ends the sandbox's side: sends the refusal in the client's own protocol, then a reset. */
static void end_sandbox_side(struct sl_worker *worker, const struct sl_flow *flow,
                             const struct sl_hold *hold, enum sl_reason reason,
                             const struct sl_proof *proof)
{
	char text[SL_HOLD_FORBIDDEN_BYTES];
	uint32_t n = explain(hold, reason, proof, text);
	struct sl_tcp_spec spec = {
	        .sport_be = flow->key.remote_port,
	        .dport_be = flow->key.inside_port,
	        .seq = flow->ack[0],
	        .ack = hold->tcp.base + hold->tcp.stream.contiguous,
	        .flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG,
	        .window = 65535,
	};
	struct sl_path path;

	if (!sl_reject_may_answer(worker, flow->key.vlan))
		return;
	sl_build_path_flow(worker, flow, SL_PORT_SANDBOX, &path);
	if (n > 0) {
		send_to_sandbox(worker, &path, &spec, (const uint8_t *)text, n);
		spec.seq += n;
	}
	spec.flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG;
	spec.window = 0;
	send_to_sandbox(worker, &path, &spec, NULL, 0);
}

bool sl_hold_refuse(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason,
                    const struct sl_proof *proof)
{
	const struct sl_hold *hold = sl_hold_of(worker, flow);

	if (!hold->tcp.opening)
		end_sandbox_side(worker, flow, hold, reason, proof);
	sl_reject_reset(worker, flow, SL_PORT_UPLINK);
	sl_flow_refuse(worker, flow, reason, proof);
	return false;
}
