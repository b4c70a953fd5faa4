/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_judge.c: opens Initials, reassembles the ClientHello in them, and judges its name. What was
 * judged is what leaves: CRYPTO data that is sent again is compared with the copy, since the judged
 * datagrams may never have reached the server.
 *
 * Settles with: domain-allowed, domain-not-allowed, address-not-pinned, no-server-name, ech-denied,
 * malformed-hello, hello-too-large, malformed-quic, hold-limit, flow-limit, duplicate.
 */
#include "wire/tls_hello.h"
#include "flow/names.h"
#include "quic.h"
#include "judge/name.h"
#include "flow/flows.h"
#include "flow/verdict.h"

/* The effect of a datagram's CRYPTO frames on the copy. */
struct intake {
	struct sl_worker *worker;
	struct sl_quic_hold *hold;
	uint16_t vlan;
	bool refused;
	enum sl_reason reason; /* why it is refused, if it is */
	bool fresh;            /* it had new bytes */
	uint32_t end;          /* the offset after its last byte; 0: it has none */
};

static int refuse_crypto(struct intake *in, enum sl_reason reason)
{
	in->refused = true;
	in->reason = reason;
	return -1;
}

static int take_crypto(void *arg, uint64_t offset, const uint8_t *data, size_t len)
{
	struct intake *in = arg;
	struct sl_quic_hold *hold = in->hold;
	uint64_t limit = (uint64_t)hold->judged + in->worker->settings->hello_max_bytes;

	if (hold->sealed)
		return refuse_crypto(in, SL_REASON_MALFORMED_QUIC);
	if (offset + len > RTE_MIN(limit, (uint64_t)SL_STREAM_MAX))
		return refuse_crypto(in, SL_REASON_HELLO_TOO_LARGE);
	in->end = RTE_MAX(in->end, (uint32_t)(offset + len));
	switch (sl_stream_write(in->worker, in->vlan, &hold->hello, (uint32_t)offset, data,
	                        (uint32_t)len)) {
	case SL_STREAM_CONFLICT:
		return refuse_crypto(in, SL_REASON_MALFORMED_QUIC);
	case SL_STREAM_NO_ROOM:
		return refuse_crypto(in, SL_REASON_HOLD_LIMIT);
	case SL_STREAM_NEW:
		in->fresh = true;
		return 0;
	case SL_STREAM_DUPLICATE:
		return 0;
	}
	return refuse_crypto(in, SL_REASON_MALFORMED_QUIC);
}

/*
 * Refuses a datagram, and with it what its connection has on hold. A flow without a verdict ends:
 * a later datagram is judged from the start. On a judged flow it must not disturb the judged
 * connection.
 */
static void refuse(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                   enum sl_reason reason, const struct sl_proof *proof)
{
	struct sl_flow *flow = pkt->flow;

	if (!sl_flow_is_judged(flow)) {
		sl_flow_close(worker, flow, reason);
		pkt->flow = NULL;
	} else if (!hold->accepted) {
		sl_quic_hold_free(worker, hold, reason);
	} else if (hold->hello.end > hold->judged) {
		/*
		 * The copy has bytes that were never sent: it cannot be used for comparison any
		 * more.
		 */
		sl_quic_hold_seal(worker, hold, reason);
	}
	sl_verdict_refuse(worker, pkt, reason, proof);
	/* An ICMP answer might end the judged connection; only a wrong name gets one. */
	pkt->quiet = pkt->flow != NULL && reason != SL_REASON_DOMAIN_NOT_ALLOWED;
}

void sl_quic_pass(struct sl_worker *worker, struct sl_pkt *pkt)
{
	sl_flow_touch(worker, pkt->flow);
	sl_pkt_forward(pkt, (enum sl_reason)pkt->flow->reason);
}

static uint8_t byte_at(const struct sl_worker *worker, const struct sl_stream *stream,
                       uint32_t offset)
{
	const uint8_t *bytes = NULL;

	return sl_stream_piece(worker, stream, offset, 1, &bytes) == 1 ? bytes[0] : 0;
}

/* Contiguous bytes of the copy, in place if one chunk has them all. */
static const uint8_t *collect(struct sl_worker *worker, const struct sl_stream *stream,
                              uint32_t from, uint32_t len)
{
	const uint8_t *bytes = NULL;
	uint32_t done = 0, n;

	if (sl_stream_piece(worker, stream, from, len, &bytes) == len)
		return bytes;
	while (done < len &&
	       (n = sl_stream_piece(worker, stream, from + done, len - done, &bytes)) > 0) {
		memcpy(worker->scratch2 + done, bytes, n);
		done += n;
	}
	return worker->scratch2;
}

/*
 * Finds the ClientHello after what is judged (RFC 8446 4: type, 24-bit length). It is the only
 * message that a client may send in Initials, so nothing may follow it.
 */
static enum sl_parse_result find_hello(struct sl_worker *worker, const struct sl_quic_hold *hold,
                                       const uint8_t **msg, uint32_t *len, enum sl_reason *reason)
{
	const uint8_t client_hello = 1;
	const struct sl_stream *stream = &hold->hello;
	uint32_t at = hold->judged, have = stream->contiguous - at;

	*reason = SL_REASON_MALFORMED_QUIC;
	if (have > 0 && byte_at(worker, stream, at) != client_hello)
		return SL_PARSE_BAD;
	if (have < SL_TLS_HANDSHAKE_HEADER_BYTES)
		return SL_PARSE_MORE;
	*len = SL_TLS_HANDSHAKE_HEADER_BYTES + ((uint32_t)byte_at(worker, stream, at + 1) << 16 |
	                                        (uint32_t)byte_at(worker, stream, at + 2) << 8 |
	                                        byte_at(worker, stream, at + 3));
	if (*len > worker->settings->hello_max_bytes) {
		*reason = SL_REASON_HELLO_TOO_LARGE;
		return SL_PARSE_BAD;
	}
	if (stream->end > at + *len)
		return SL_PARSE_BAD;
	if (have < *len)
		return SL_PARSE_MORE;
	*msg = collect(worker, stream, at, *len);
	return SL_PARSE_DONE;
}

static bool is_flows_name(const struct sl_worker *worker, const struct sl_flow *flow,
                          const struct sl_tls_hello *hello)
{
	uint32_t index = sl_flow_cold(&worker->table, flow)->name;
	const struct sl_name *name = index != 0 ? sl_names_at(worker, index) : NULL;

	return name != NULL && name->len == hello->name_len &&
	       memcmp(name->text, hello->name, name->len) == 0;
}

static enum sl_reason judge_hello(struct sl_worker *worker, const struct sl_flow *flow, bool begins,
                                  const uint8_t *msg, uint32_t len, struct sl_tls_hello *hello)
{
	struct sl_proof proof = {hello->name, 0, SL_VIA_QUIC};

	switch (sl_tls_hello_parse(msg, len, hello)) {
	case SL_PARSE_DONE:
		break;
	case SL_PARSE_BAD:
		return hello->reason;
	case SL_PARSE_NOT_MINE:
	case SL_PARSE_MORE: /* find_hello has checked that it is complete */
		return SL_REASON_MALFORMED_HELLO;
	}
	if (hello->ech && worker->settings->ech_deny)
		return SL_REASON_ECH_DENIED;
	/* One flow, one name: another name is refused even if the policy would allow it. */
	if (sl_flow_is_judged(flow) && !is_flows_name(worker, flow, hello))
		return SL_REASON_DOMAIN_NOT_ALLOWED;
	/*
	 * A connection that continues outlives its pin; a new one, even on an old flow, needs a
	 * live pin.
	 */
	if (!begins)
		return SL_REASON_DOMAIN_ALLOWED;
	proof.len = hello->name_len;
	return sl_judge_name(worker, flow, &proof);
}

/*
 * Copies of judged hellos may take half of what a sandbox may hold, and half of all: the rest is
 * for those that are still to be judged. Without its copy a connection may not send its hello
 * again.
 */
static bool is_crowded(const struct sl_worker *worker, uint16_t vlan)
{
	return worker->vlans[vlan].held_bytes > worker->settings->held_bytes_per_sandbox / 2 ||
	       worker->stats->hold_bytes > worker->held_limit / 2;
}

static void accept(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                   uint32_t len)
{
	hold->judged += len;
	hold->accepted = true;
	sl_quic_hold_release(worker, hold, (enum sl_reason)pkt->flow->reason);
	sl_quic_hold_untime(worker, hold);
	if (is_crowded(worker, pkt->vlan))
		sl_quic_hold_seal(worker, hold, (enum sl_reason)pkt->flow->reason);
	sl_quic_pass(worker, pkt);
}

static void judge_complete(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                           const uint8_t *msg, uint32_t len)
{
	struct sl_flow *flow = pkt->flow;
	struct sl_tls_hello hello;
	enum sl_reason reason = judge_hello(worker, flow, !hold->accepted, msg, len, &hello), why;
	const struct sl_proof proof = {hello.name, hello.name_len, SL_VIA_QUIC};

	if (reason != SL_REASON_DOMAIN_ALLOWED) {
		refuse(worker, pkt, hold, reason, &proof);
		return;
	}
	if (!hold->accepted && !sl_quic_cid_claim(worker, hold, &why)) {
		refuse(worker, pkt, hold, why, &proof);
		return;
	}
	if (!sl_flow_is_judged(flow) && !sl_verdict_flow(worker, flow, reason, &proof)) {
		sl_flow_unjudge(flow);
		refuse(worker, pkt, hold, SL_REASON_FLOW_LIMIT, &proof);
		return;
	}
	accept(worker, pkt, hold, len);
}

static void keep(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold)
{
	const struct sl_proof none = {NULL, 0, SL_VIA_QUIC};

	if (hold->dgrams == SL_QUIC_HELLO_DGRAMS) {
		refuse(worker, pkt, hold, SL_REASON_MALFORMED_QUIC, &none);
	} else if (!sl_quic_hold_keep(worker, pkt, hold)) {
		refuse(worker, pkt, hold, SL_REASON_HOLD_LIMIT, &none);
	} else {
		if (!hold->timed)
			sl_quic_hold_time(worker, hold);
		hold->dgrams++;
	}
}

static void judge_fresh(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold)
{
	const struct sl_proof none = {NULL, 0, SL_VIA_QUIC};
	const uint8_t *msg = NULL;
	enum sl_reason reason;
	uint32_t len = 0;

	switch (find_hello(worker, hold, &msg, &len, &reason)) {
	case SL_PARSE_DONE:
		if (hold->dgrams == SL_QUIC_HELLO_DGRAMS)
			refuse(worker, pkt, hold, SL_REASON_MALFORMED_QUIC, &none);
		else
			judge_complete(worker, pkt, hold, msg, len);
		break;
	case SL_PARSE_MORE:
		keep(worker, pkt, hold);
		break;
	case SL_PARSE_BAD:
	case SL_PARSE_NOT_MINE:
		refuse(worker, pkt, hold, reason, &none);
		break;
	}
}

static bool mark_is(const struct sl_quic_mark *mark, const struct sl_quic_mark *other)
{
	return mark->number == other->number &&
	       memcmp(mark->digest, other->digest, sizeof(mark->digest)) == 0;
}

/*
 * Records one Initial. A packet number is used once (RFC 9000 12.3), but a packet that one server
 * drops as a duplicate another one may accept: so with a number that was used only the same bytes
 * pass.
 */
static bool mark_initial(struct sl_quic_mark *marks, uint8_t *count,
                         const struct sl_quic_mark *mark, enum sl_reason *why)
{
	*why = SL_REASON_MALFORMED_QUIC;
	for (unsigned i = 0; i < *count; i++)
		if (marks[i].number == mark->number)
			return mark_is(&marks[i], mark);
	*why = SL_REASON_HOLD_LIMIT;
	if (*count == SL_QUIC_MARKS_MAX)
		return false;
	marks[(*count)++] = *mark;
	return true;
}

/* Records all Initials of a datagram, or none. */
static bool mark_initials(struct sl_worker *worker, struct sl_quic_hold *hold,
                          const struct sl_quic_datagram_info *info, enum sl_reason *why)
{
	uint8_t count = hold->mark_count;
	struct sl_quic_mark *marks;

	if (hold->sealed)
		return true;
	*why = SL_REASON_HOLD_LIMIT;
	marks = sl_quic_hold_marks(worker, hold);
	if (marks == NULL)
		return false;
	for (unsigned i = 0; i < info->initials; i++)
		if (!mark_initial(marks, &count, &info->mark[i], why))
			return false;
	hold->mark_count = count;
	return true;
}

void sl_quic_judge(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                   const uint8_t *dgram, uint32_t len)
{
	struct intake in = {.worker = worker, .hold = hold, .vlan = pkt->vlan};
	const struct sl_proof none = {NULL, 0, SL_VIA_QUIC};
	struct sl_quic_datagram_info info;

	switch (sl_quic_client_datagram(worker->quic_crypto, &hold->conn, dgram, len, take_crypto,
	                                &in, &info)) {
	case SL_PARSE_DONE:
		break;
	case SL_PARSE_NOT_MINE: /* no Initial first: on a judged flow it hides a later one */
		if (!sl_flow_is_judged(pkt->flow))
			in.reason = info.reason;
		else
			in.reason = SL_REASON_MALFORMED_QUIC;
		refuse(worker, pkt, hold, in.reason, &none);
		return;
	case SL_PARSE_BAD:
	case SL_PARSE_MORE:
		refuse(worker, pkt, hold, in.refused ? in.reason : info.reason, &none);
		return;
	}
	if (!mark_initials(worker, hold, &info, &in.reason))
		refuse(worker, pkt, hold, in.reason, &none);
	else if (hold->accepted && in.end <= hold->judged)
		sl_quic_pass(worker, pkt); /* all its CRYPTO data was judged */
	else if (in.fresh)
		judge_fresh(worker, pkt, hold);
	else if (hold->frame_count == 0)
		refuse(worker, pkt, hold, SL_REASON_MALFORMED_QUIC, &none);
	else
		/* The client repeats what is on hold already: nothing to add. */
		sl_pkt_drop_quietly(pkt, SL_REASON_DUPLICATE);
}
