/*
 * quic.c: which datagrams of a UDP flow under rule 3 must be looked into (spec section 3, RFC 9000
 * 5.2, 7.2, 17.2). Before the verdict nothing leaves; after it no Initial leaves that does not
 * belong to a connection of the name that was judged.
 *
 * Settles with: not-quic, malformed-quic, rate-limit, hold-limit, no-flow, hello-timeout, and what
 * quic_judge.c says.
 */
#include "quic.h"

#include "names.h"

#define DECRYPTS_PER_SECOND                                                                        \
	4000             /* of one sandbox: Initials, times the keys that each is tried with */
#define RANDOM_CID_MIN 5 /* bytes of a connection ID that nobody can wish for */

/* The datagram's bytes, put together if they lie in several segments. */
static const uint8_t *payload_of(const struct sl_worker *worker, const struct sl_pkt *pkt)
{
	return rte_pktmbuf_read(pkt->mbuf, pkt->payload_off, pkt->payload_len, worker->scratch);
}

/* May that many keys be tried? Each is paid for, whether it opens anything or not. */
static bool may_decrypt(struct sl_worker *worker, const struct sl_pkt *pkt, unsigned trials)
{
	struct sl_bucket_rate *bucket = &worker->vlans[pkt->vlan].decrypts, before = *bucket;

	while (trials-- > 0)
		if (!sl_rate_take(bucket, worker->now_us, DECRYPTS_PER_SECOND)) {
			*bucket = before;
			return false;
		}
	return true;
}

static bool is_long(const uint8_t *dgram)
{
	return dgram[0] & 0x80;
}

/* ---- the first datagram ---- */

static void first_initial(struct sl_worker *worker, struct sl_pkt *pkt, const uint8_t *dgram,
                          const struct sl_quic_header *header)
{
	struct sl_flow *flow = sl_flow_open(worker, pkt, &pkt->key);
	struct sl_quic_hold *hold;

	if (flow == NULL)
		return;
	flow->flags |= SL_FLOW_QUIC;
	/* Its hello may take longer than the time that an idle flow has. */
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

void sl_quic_first(struct sl_worker *worker, struct sl_pkt *pkt)
{
	const struct sl_proof none = {NULL, 0, SL_VIA_QUIC};
	const uint8_t *dgram = payload_of(worker, pkt);
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
	if (may_decrypt(worker, pkt, sl_quic_count_initials(dgram, pkt->payload_len)))
		first_initial(worker, pkt, dgram, &header);
	else
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_RATE_LIMIT);
}

/* ---- from the server ---- */

/* RFC 9000 6.2: one that lists the version in use is no server's, and is ignored. */
static bool lists_version(const uint8_t *versions, uint32_t len, uint32_t version)
{
	const uint8_t wanted[4] = {(uint8_t)(version >> 24), (uint8_t)(version >> 16),
	                           (uint8_t)(version >> 8), (uint8_t)version};

	for (; len >= sizeof(wanted); versions += sizeof(wanted), len -= sizeof(wanted))
		if (memcmp(versions, wanted, sizeof(wanted)) == 0)
			return true;
	return false;
}

/* RFC 9000 17.2.1: version negotiation echoes both IDs of the client's datagram. */
static bool negotiates(const struct sl_quic_hold *hold, const uint8_t *dgram, uint32_t len)
{
	const struct sl_quic_conn *conn = &hold->conn;
	uint32_t scid_at = 6 + hold->scid_len, list_at = scid_at + 1 + conn->dcid_len;

	return len > scid_at + conn->dcid_len && memcmp(dgram + 1, "\0\0\0\0", 4) == 0 &&
	       dgram[5] == hold->scid_len && memcmp(dgram + 6, hold->scid, hold->scid_len) == 0 &&
	       dgram[scid_at] == conn->dcid_len &&
	       memcmp(dgram + scid_at + 1, conn->dcid, conn->dcid_len) == 0 &&
	       !lists_version(dgram + list_at, len - list_at, conn->version);
}

static bool is_retry(const uint8_t *dgram, uint32_t len)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	struct sl_quic_packet packet;

	sl_quic_packet_read(&c, &packet);
	return packet.kind == SL_QUIC_PACKET_RETRY;
}

static bool is_to_client(const struct sl_quic_hold *hold, const struct sl_quic_header *header)
{
	return header->dcid_len == hold->scid_len &&
	       memcmp(header->dcid, hold->scid, hold->scid_len) == 0;
}

/*
 * A Retry is believed by its tag, which only who got the connection's first Initial can make. The
 * copy stays: nothing says that no server has a part of that hello.
 */
static void notice_retry(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                         const uint8_t *dgram)
{
	struct sl_quic_header header;

	if (may_decrypt(worker, pkt, 1) &&
	    sl_quic_retry_parse(worker->quic_crypto, &hold->conn, dgram, pkt->payload_len,
	                        &header) == SL_PARSE_DONE &&
	    is_to_client(hold, &header)) {
		hold->retried = true;
		hold->retry_cid_len = header.scid_len;
		memcpy(hold->retry_cid, header.scid, header.scid_len);
	}
}

/* What sends a client that has heard nothing yet to begin again. */
static void notice_refusal(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                           const uint8_t *dgram)
{
	if (hold->conn.answered || hold->retried || hold->negotiated)
		return;
	if (is_retry(dgram, pkt->payload_len))
		notice_retry(worker, pkt, hold, dgram);
	else
		hold->negotiated = negotiates(hold, dgram, pkt->payload_len);
}

/* A server's Initial is believed once it has opened; without a token it is as if it were lost. */
static void notice_initial(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                           const uint8_t *dgram)
{
	unsigned trials = sl_quic_count_initials(dgram, pkt->payload_len);
	const struct sl_quic_conn before = hold->conn;
	struct sl_quic_header header;

	if (!may_decrypt(worker, pkt, trials) ||
	    !sl_quic_server_datagram(worker->quic_crypto, &hold->conn, hold->scid, hold->scid_len,
	                             dgram, pkt->payload_len, &header))
		return;
	if (before.answered || sl_quic_cid_answer(worker, hold, header.scid, header.scid_len))
		sl_quic_conn_answer(worker->quic_crypto, &hold->conn, &header);
	else
		hold->conn = before;
}

static void notice_server(struct sl_worker *worker, struct sl_pkt *pkt, const uint8_t *dgram)
{
	struct sl_quic_hold *hold = sl_quic_hold_of(worker, pkt->flow);
	struct sl_quic_header header;
	bool initial = sl_quic_find_initial(dgram, pkt->payload_len, &header) == SL_PARSE_DONE;

	for (; hold != NULL; hold = sl_quic_hold_at(worker, hold->next)) {
		if (!hold->accepted)
			continue; /* it has not been asked */
		if (!initial)
			notice_refusal(worker, pkt, hold, dgram);
		else if (!hold->conn.has_hello && is_to_client(hold, &header))
			notice_initial(worker, pkt, hold, dgram);
	}
}

static void from_server(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;

	if (flow->reason == SL_REASON_NONE) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* it has not been asked */
		return;
	}
	if (sl_quic_hold_of(worker, flow) != NULL && pkt->payload_len > 0) {
		const uint8_t *dgram = payload_of(worker, pkt);

		if (is_long(dgram))
			notice_server(worker, pkt, dgram);
	}
	sl_quic_pass(worker, pkt);
}

/*
 * The client has sent a short header, so it has forgotten its Initial keys (RFC 9001 4.9.1). A
 * connection whose hello the server has got as a whole needs no copy of it any more, nor do those
 * that it was begun in place of.
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

/* ---- from the client ---- */

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

/* May an Initial that belongs to none of the flow's connections begin another one? */
static enum sl_reason may_begin(const struct sl_worker *worker, const struct sl_flow *flow,
                                const struct sl_quic_header *header)
{
	const struct sl_quic_hold *hold = sl_quic_hold_of(worker, flow);
	bool retried = false;
	unsigned n = 0;

	for (; hold != NULL; hold = sl_quic_hold_at(worker, hold->next)) {
		const struct sl_quic_conn *conn = &hold->conn;

		if (!hold->accepted)
			return SL_REASON_MALFORMED_QUIC; /* one at a time */
		/* in another version, unasked; with another ID of its own */
		if (!hold->negotiated && cid_is(header, conn->dcid, conn->dcid_len))
			return SL_REASON_MALFORMED_QUIC;
		retried |= hold->retried && cid_is(header, hold->retry_cid, hold->retry_cid_len);
		n++;
	}
	if (header->dcid_len < SL_QUIC_FIRST_DCID_MIN && !retried)
		return SL_REASON_MALFORMED_QUIC;
	return n < SL_QUIC_CONNS_MAX ? SL_REASON_NONE : SL_REASON_HOLD_LIMIT;
}

/* The IDs that keys of a flow may come from, each once, but for the one that they have to come
 * from. */
struct origins {
	unsigned count;
	struct sl_quic_origin own;
	struct sl_quic_origin other[SL_QUIC_ORIGINS_MAX];
};

static bool origin_is(const struct sl_quic_origin *origin, const uint8_t *cid, uint8_t len)
{
	return origin->len == len && memcmp(origin->cid, cid, len) == 0;
}

static void origin_set(struct sl_quic_origin *origin, const uint8_t *cid, uint8_t len)
{
	origin->len = len;
	memcpy(origin->cid, cid, len);
}

static void add_origin(struct origins *origins, const uint8_t *cid, uint8_t len)
{
	if (origin_is(&origins->own, cid, len))
		return;
	for (unsigned i = 0; i < origins->count; i++)
		if (origin_is(&origins->other[i], cid, len))
			return;
	origin_set(&origins->other[origins->count++], cid, len);
}

/* For an Initial of this connection; NULL: of one that it would begin. */
static void find_origins(const struct sl_worker *worker, const struct sl_flow *flow,
                         const struct sl_quic_hold *owner, const struct sl_quic_header *header,
                         struct origins *origins)
{
	const struct sl_quic_hold *hold = sl_quic_hold_of(worker, flow);

	origins->count = 0;
	if (owner != NULL)
		origin_set(&origins->own, owner->conn.dcid, owner->conn.dcid_len);
	else
		origin_set(&origins->own, header->dcid, header->dcid_len);
	for (; hold != NULL; hold = sl_quic_hold_at(worker, hold->next)) {
		const struct sl_quic_conn *conn = &hold->conn;

		add_origin(origins, conn->dcid, conn->dcid_len);
		if (conn->answered)
			add_origin(origins, conn->server_cid, conn->server_cid_len);
		if (hold->retried)
			add_origin(origins, hold->retry_cid, hold->retry_cid_len);
	}
}

/*
 * AES-GCM does not commit to its key: an Initial may be made to open under two of the flow's, to
 * what was judged under one and to something else under the other.
 */
static enum sl_reason try_others(struct sl_worker *worker, struct sl_pkt *pkt,
                                 const struct sl_quic_hold *owner,
                                 const struct sl_quic_header *header, const uint8_t *dgram)
{
	unsigned initials = sl_quic_count_initials(dgram, pkt->payload_len);
	struct origins origins;

	find_origins(worker, pkt->flow, owner, header, &origins);
	if (initials > SL_QUIC_INITIALS_MAX)
		return SL_REASON_MALFORMED_QUIC;
	if (!may_decrypt(worker, pkt, initials * (1 + origins.count)))
		return SL_REASON_RATE_LIMIT;
	for (unsigned i = 0; i < origins.count; i++)
		if (sl_quic_opens_under(worker->quic_crypto, &origins.other[i], dgram,
		                        pkt->payload_len))
			return SL_REASON_MALFORMED_QUIC;
	return SL_REASON_NONE;
}

static void client_initial(struct sl_worker *worker, struct sl_pkt *pkt, const uint8_t *dgram,
                           const struct sl_quic_header *header)
{
	struct sl_quic_hold *hold = sl_quic_hold_of(worker, pkt->flow);
	enum sl_reason reason = SL_REASON_NONE;

	while (hold != NULL && !owns(hold, header))
		hold = sl_quic_hold_at(worker, hold->next);
	if (hold == NULL)
		reason = may_begin(worker, pkt->flow, header);
	if (reason == SL_REASON_NONE)
		reason = try_others(worker, pkt, hold, header, dgram);
	if (reason == SL_REASON_NONE && hold == NULL) {
		hold = sl_quic_hold_make(worker, pkt->flow, header);
		if (hold == NULL)
			reason = SL_REASON_HOLD_LIMIT;
	}
	if (reason == SL_REASON_NONE)
		sl_quic_judge(worker, pkt, hold, dgram, pkt->payload_len);
	else
		sl_verdict_refuse_quietly(worker, pkt, reason);
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
 * The policy has come to open the address without a name. As soon as something passes that a name
 * would have been asked for, the flow is one that has none: it will not outlive that policy.
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
		flow->flags &= (uint8_t)~SL_FLOW_QUIC;
		sl_names_drop(worker, cold->name);
		cold->name = 0;
		sl_verdict_set_fast(worker, flow);
	}
	sl_quic_pass(worker, pkt);
}

/*
 * Is this a short header packet to an ID that the server has chosen, at random? Whoever hides
 * something behind a zero, from a server that skips it, could not put that ID in front of it: the
 * ID is longer than the type and version of a long header packet, and no such thing but by luck.
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

/* Looks for an Initial, also where the packets end with a short one that begins as padding does. */
static enum sl_parse find_initial(const struct sl_worker *worker, const struct sl_flow *flow,
                                  const uint8_t *dgram, uint32_t len, struct sl_quic_header *header)
{
	enum sl_parse answer = sl_quic_find_initial(dgram, len, header);
	uint32_t at = header->zeros_at;

	if (answer == SL_PARSE_BAD && at > 0 &&
	    is_short_to_server(worker, flow, dgram + at, len - at))
		answer = sl_quic_find_initial(dgram, at, header);
	return answer;
}

static void from_client(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;
	bool judged = flow->reason != SL_REASON_NONE;
	const uint8_t *dgram = payload_of(worker, pkt);
	struct sl_quic_header header;
	enum sl_parse answer = find_initial(worker, flow, dgram, pkt->payload_len, &header);

	if (judged && flow->reason != SL_REASON_DOMAIN_ALLOWED) {
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
		if (pkt->payload_len > 0 && !is_long(dgram))
			forget_through(worker, flow);
		sl_quic_pass(worker, pkt);
		break;
	case SL_PARSE_BAD:
	case SL_PARSE_MORE:
		sl_verdict_refuse_quietly(worker, pkt, header.reason);
		break;
	}
}

bool sl_quic_fast(struct sl_worker *worker, struct sl_pkt *pkt)
{
	const uint8_t fixed = 0x40, form_long = 0x80;
	struct sl_flow *flow = pkt->flow;
	const struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);

	if (flow->reason != SL_REASON_DOMAIN_ALLOWED || cold->hold != 0 ||
	    cold->epoch != pkt->sandbox->epoch || sl_due(worker, flow->expires_ms))
		return false;
	if (pkt->in_port == SL_PORT_SANDBOX &&
	    (pkt->payload_len == 0 ||
	     (*sl_pkt_at(pkt, const uint8_t, pkt->payload_off) & (form_long | fixed)) != fixed))
		return false;
	sl_quic_pass(worker, pkt);
	return true;
}

void sl_quic_walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	if (pkt->in_port == SL_PORT_SANDBOX)
		from_client(worker, pkt);
	else
		from_server(worker, pkt);
}

/* ---- the flow's end, and time ---- */

void sl_quic_end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_quic_hold *hold;

	while ((hold = sl_quic_hold_of(worker, flow)) != NULL)
		sl_quic_hold_free(worker, hold, reason);
}

void sl_quic_open_up(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_quic_hold *hold = sl_quic_hold_of(worker, flow);

	for (; hold != NULL; hold = sl_quic_hold_at(worker, hold->next))
		sl_quic_hold_release(worker, hold, reason);
	sl_quic_end(worker, flow, reason);
	flow->flags &= (uint8_t)~SL_FLOW_QUIC;
	sl_verdict_flow(worker, flow, reason, NULL);
	sl_flow_touch(worker, flow);
}

static void time_out(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	const struct sl_proof none = {NULL, 0, SL_VIA_QUIC};
	struct sl_flow *flow = sl_quic_hold_flow(worker, hold);

	if (flow->reason == SL_REASON_NONE) {
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

void sl_quic_timeouts(struct sl_worker *worker)
{
	uint32_t index;

	sl_quic_cid_timeouts(worker);
	while ((index = sl_deadline_due(worker, &worker->quics, &worker->quics_open)) != 0)
		time_out(worker, sl_quic_hold_at(worker, index));
}
