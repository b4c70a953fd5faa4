/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic.c: which datagrams of a UDP flow under rule 3 must be inspected (spec section 3, RFC 9000
 * 5.2, 7.2, 17.2). Before the verdict nothing leaves; after it only Initials of connections with
 * the judged name leave.
 *
 * Settles with: not-quic, malformed-quic, rate-limit, hold-limit, no-flow, hello-timeout, and the
 * reasons of quic_judge.c.
 */
#include "quic.h"

#include "flow/names.h"
#include "flow/flows.h"
#include "flow/reject.h"
#include "flow/verdict.h"

#define RANDOM_CID_MIN 5 /* bytes of a random connection ID that an attacker cannot hope to hit */

/* ---- the first datagram ---- */

static void first_initial(struct sl_worker *worker, struct sl_pkt *pkt, const uint8_t *dgram,
                          const struct sl_quic_header *header)
{
	struct sl_flow *flow = sl_flow_open(worker, pkt, &pkt->key);
	struct sl_quic_hold *hold;

	if (flow == NULL)
		return;
	flow->watch = SL_WATCH_QUIC;
	/* Its hello may take longer than the timeout of an idle flow. */
	flow->expires_ms = worker->now_ms + RTE_MAX(worker->settings->udp_ms,
	                                            worker->settings->hello_timeout_ms + 1000);
	hold = sl_quic_hold_make(worker, flow, header);
	if (hold == NULL) {
		sl_flow_close(worker, flow, SL_REASON_HOLD_LIMIT);
		pkt->flow = NULL;
		sl_verdict_refuse(worker, pkt, SL_REASON_HOLD_LIMIT, NULL);
		return;
	}
	sl_quic_judge(worker, pkt, hold, dgram, pkt->payload_len);
}

static void first(struct sl_worker *worker, struct sl_pkt *pkt)
{
	const struct sl_proof none = {NULL, 0, SL_VIA_QUIC};
	const uint8_t *dgram = sl_quic_payload(worker, pkt);
	struct sl_quic_header header;

	switch (sl_quic_initial_probe(dgram, pkt->payload_len, &header)) {
	case SL_PARSE_DONE:
		break;
	case SL_PARSE_NOT_MINE:
	case SL_PARSE_BAD:
	case SL_PARSE_MORE:
		sl_verdict_refuse(worker, pkt, header.reason, &none);
		return;
	}
	if (sl_quic_may_decrypt(worker, pkt, sl_quic_count_initials(dgram, pkt->payload_len)))
		first_initial(worker, pkt, dgram, &header);
	else
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_RATE_LIMIT);
}

/* ---- from the client ---- */

/*
 * The client has sent a short header, so it has forgotten its Initial keys (RFC 9001 4.9.1). A
 * connection whose whole hello the server has needs no copy of it any more, nor do those that it
 * replaced.
 */
static void forget_through(struct sl_worker *worker, struct sl_flow *flow)
{
	struct sl_quic_hold *hold = sl_quic_hold_of(worker, flow), *next;
	bool through = false;

	for (; hold != NULL; hold = sl_quic_hold_at(worker, hold->next))
		through |= hold->conn.has_hello;
	for (hold = sl_quic_hold_of(worker, flow); through && hold != NULL; hold = next) {
		next = sl_quic_hold_at(worker, hold->next);
		if (hold->conn.has_hello ||
		    (!hold->conn.answered && (hold->retried || hold->negotiated)))
			sl_quic_hold_free(worker, hold, (enum sl_reason)flow->reason);
	}
}

/* A connection's packets have its client's ID, which never changes (RFC 9000 7.2). */
static bool owns(const struct sl_quic_hold *hold, const struct sl_quic_header *header)
{
	return sl_quic_conn_owns(&hold->conn, header) && header->scid_len == hold->scid_len &&
	       memcmp(header->scid, hold->scid, hold->scid_len) == 0;
}

static bool cid_is(const struct sl_quic_header *header, const uint8_t *cid, uint8_t len)
{
	return header->dcid_len == len && memcmp(header->dcid, cid, len) == 0;
}

/*
 * True if an Initial that belongs to none of the flow's connections may begin another one; if not,
 * *why.
 */
static bool may_begin(const struct sl_worker *worker, const struct sl_flow *flow,
                      const struct sl_quic_header *header, enum sl_reason *why)
{
	const struct sl_quic_hold *hold = sl_quic_hold_of(worker, flow);
	bool retried = false;
	unsigned n = 0;

	*why = SL_REASON_MALFORMED_QUIC;
	for (; hold != NULL; hold = sl_quic_hold_at(worker, hold->next)) {
		const struct sl_quic_conn *conn = &hold->conn;

		if (!hold->accepted)
			return false; /* one at a time */
		/* the first DCID again: in a version unasked for, or with another client ID */
		if (!hold->negotiated && cid_is(header, conn->dcid, conn->dcid_len))
			return false;
		retried |= hold->retried && cid_is(header, hold->retry_cid, hold->retry_cid_len);
		n++;
	}
	if (header->dcid_len < SL_QUIC_FIRST_DCID_MIN && !retried)
		return false;
	*why = SL_REASON_HOLD_LIMIT;
	return n < SL_QUIC_CONNS_MAX;
}

static void client_initial(struct sl_worker *worker, struct sl_pkt *pkt, const uint8_t *dgram,
                           const struct sl_quic_header *header)
{
	struct sl_quic_hold *hold = sl_quic_hold_of(worker, pkt->flow);
	enum sl_reason why;

	while (hold != NULL && !owns(hold, header))
		hold = sl_quic_hold_at(worker, hold->next);
	if ((hold == NULL && !may_begin(worker, pkt->flow, header, &why)) ||
	    !sl_quic_try_keys(worker, pkt, hold, header, dgram, &why)) {
		sl_verdict_refuse_quietly(worker, pkt, why);
		return;
	}
	if (hold == NULL)
		hold = sl_quic_hold_make(worker, pkt->flow, header);
	if (hold == NULL)
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_HOLD_LIMIT);
	else
		sl_quic_judge(worker, pkt, hold, dgram, pkt->payload_len);
}

/* A 0-RTT packet of the connection on hold, in a datagram of its own (RFC 9000 17.2.3). */
static bool is_early_data(const struct sl_quic_conn *conn, const uint8_t *dgram, uint32_t len)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	struct sl_quic_packet packet;

	if (len == 0)
		return false;
	sl_quic_packet_read(&c, &packet);
	return packet.kind == SL_QUIC_PACKET_ZERO_RTT && packet.version == conn->version &&
	       packet.dcid.left == conn->dcid_len &&
	       memcmp(packet.dcid.at, conn->dcid, conn->dcid_len) == 0;
}

/* No Initial in it, and no verdict yet. */
static void client_early(struct sl_worker *worker, struct sl_pkt *pkt, const uint8_t *dgram)
{
	struct sl_quic_hold *hold = sl_quic_hold_of(worker, pkt->flow);

	if (!is_early_data(&hold->conn, dgram, pkt->payload_len))
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_NOT_QUIC);
	else if (!sl_quic_hold_keep(worker, pkt, hold))
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_HOLD_LIMIT);
}

/*
 * A later policy opens the address without a name. Once something passes that would have had to
 * prove a name, the flow has no name any more: it will not outlive that policy.
 */
static void opened_by_address(struct sl_worker *worker, struct sl_pkt *pkt, bool unjudged)
{
	struct sl_flow *flow = pkt->flow;
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);
	struct sl_quic_hold *hold;

	for (hold = sl_quic_hold_of(worker, flow); hold != NULL;
	     hold = sl_quic_hold_at(worker, hold->next)) {
		unjudged |= hold->frame_count > 0;
		sl_quic_hold_release(worker, hold, (enum sl_reason)flow->reason);
	}
	if (unjudged) {
		sl_quic_end(worker, flow, (enum sl_reason)flow->reason);
		flow->watch = SL_WATCH_NONE;
		sl_names_drop(worker, cold->name);
		cold->name = 0;
		sl_verdict_set_fast(worker, flow);
	}
	sl_quic_pass(worker, pkt);
}

/*
 * True for a short header packet to an ID that the server has chosen at random. An attacker who
 * hides a packet after a zero byte that a server skips could not place it there: the ID is longer
 * than the type and version of a long header, and would equal them only by luck.
 */
static bool is_short_to_server(const struct sl_worker *worker, const struct sl_flow *flow,
                               const uint8_t *packet, uint32_t len)
{
	const struct sl_quic_hold *hold = sl_quic_hold_of(worker, flow);

	for (; hold != NULL; hold = sl_quic_hold_at(worker, hold->next)) {
		const struct sl_quic_conn *conn = &hold->conn;
		bool chosen = conn->server_cid_len != conn->dcid_len ||
		              memcmp(conn->server_cid, conn->dcid, conn->dcid_len) != 0;

		if (conn->answered && chosen && conn->server_cid_len >= RANDOM_CID_MIN &&
		    len > 1u + conn->server_cid_len &&
		    memcmp(packet + 1, conn->server_cid, conn->server_cid_len) == 0)
			return true;
	}
	return false;
}

/*
 * Looks for an Initial, also if the datagram ends with a short header packet that begins with a
 * zero, like padding.
 */
static enum sl_parse_result find_initial(const struct sl_worker *worker, const struct sl_flow *flow,
                                         const uint8_t *dgram, uint32_t len,
                                         struct sl_quic_header *header)
{
	enum sl_parse_result answer = sl_quic_find_initial(dgram, len, header);
	uint32_t at = header->zeros_at;

	if (answer == SL_PARSE_BAD && at > 0 &&
	    is_short_to_server(worker, flow, dgram + at, len - at))
		answer = sl_quic_find_initial(dgram, at, header);
	return answer;
}

static void from_client(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;
	bool judged = sl_flow_is_judged(flow);
	const uint8_t *dgram = sl_quic_payload(worker, pkt);
	struct sl_quic_header header;
	enum sl_parse_result answer = find_initial(worker, flow, dgram, pkt->payload_len, &header);

	if (sl_flow_is_by_address(flow)) {
		opened_by_address(worker, pkt, answer != SL_PARSE_NOT_MINE);
		return;
	}
	switch (answer) {
	case SL_PARSE_DONE:
		client_initial(worker, pkt, dgram, &header);
		break;
	case SL_PARSE_NOT_MINE:
		if (!judged) {
			client_early(worker, pkt, dgram);
			break;
		}
		if (pkt->payload_len > 0 && !sl_quic_is_long(dgram))
			forget_through(worker, flow);
		sl_quic_pass(worker, pkt);
		break;
	case SL_PARSE_BAD:
	case SL_PARSE_MORE:
		sl_verdict_refuse_quietly(worker, pkt, header.reason);
		break;
	}
}

static bool fast(struct sl_worker *worker, struct sl_pkt *pkt)
{
	const uint8_t fixed = 0x40, form_long = 0x80;
	struct sl_flow *flow = pkt->flow;
	const struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);

	if (!sl_flow_is_judged(flow) || sl_flow_is_by_address(flow) || cold->kept != 0 ||
	    cold->epoch != pkt->sandbox->epoch || sl_due(worker, flow->expires_ms))
		return false;
	if (pkt->in_port == SL_PORT_SANDBOX &&
	    (pkt->payload_len == 0 ||
	     (*sl_pkt_at(pkt, const uint8_t, pkt->payload_off) & (form_long | fixed)) != fixed))
		return false;
	sl_quic_pass(worker, pkt);
	return true;
}

static void walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	if (pkt->in_port == SL_PORT_SANDBOX)
		from_client(worker, pkt);
	else
		sl_quic_from_server(worker, pkt);
}

/* ---- end and timeouts ---- */

void sl_quic_end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_quic_hold *hold;

	while ((hold = sl_quic_hold_of(worker, flow)) != NULL)
		sl_quic_hold_free(worker, hold, reason);
}

static void open_up(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_quic_hold *hold = sl_quic_hold_of(worker, flow);

	for (; hold != NULL; hold = sl_quic_hold_at(worker, hold->next))
		sl_quic_hold_release(worker, hold, reason);
	sl_quic_end(worker, flow, reason);
	flow->watch = SL_WATCH_NONE;
	sl_verdict_flow(worker, flow, reason, NULL);
	sl_flow_touch(worker, flow);
}

static void time_out(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	const struct sl_proof none = {NULL, 0, SL_VIA_QUIC};
	struct sl_flow *flow = sl_quic_hold_flow(worker, hold);

	if (!sl_flow_is_judged(flow)) {
		if (sl_reject_may_answer(worker, flow->key.vlan))
			sl_reject_flow_icmp(worker, flow);
		sl_verdict_report_flow(worker, flow, false, SL_REASON_HELLO_TIMEOUT, &none);
		sl_flow_close(worker, flow, SL_REASON_HELLO_TIMEOUT);
	} else if (!hold->accepted) {
		sl_quic_hold_free(worker, hold, SL_REASON_HELLO_TIMEOUT);
	} else {
		sl_quic_hold_seal(worker, hold, SL_REASON_HELLO_TIMEOUT);
	}
}

static void timeouts(struct sl_worker *worker)
{
	uint32_t index;

	sl_quic_cid_timeouts(worker);
	while ((index = sl_deadline_due(worker, &worker->quics, &worker->quics_open)) != 0)
		time_out(worker, sl_quic_hold_at(worker, index));
}

const struct sl_watcher sl_quic_watcher = {
        .create = sl_quic_create,
        .destroy = sl_quic_destroy,
        .first = first,
        .walk = walk,
        .fast = fast,
        .end = sl_quic_end,
        .open_up = open_up,
        .timeouts = timeouts,
};
