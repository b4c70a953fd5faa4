/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_server.c: which of a server's packets are believed (spec section 3): an Initial that opens
 * under the keys of the client's first ID, a Retry by its tag, Version Negotiation that does not
 * list the version in use. All others are forwarded to the sandbox unchanged and change nothing
 * here.
 *
 * Settles with: no-flow, rate-limit, and the reasons of sl_quic_pass().
 */
#include "quic.h"

/* RFC 9000 6.2: a client ignores one that lists the version in use. */
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
 * A Retry is believed by its tag, which can only be made with the connection's first Initial. The
 * copy is kept: a server may still have a part of that hello. False: the limit on keys is reached.
 */
static bool notice_retry(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                         const uint8_t *dgram)
{
	struct sl_quic_header header;

	if (!sl_quic_may_decrypt(worker, pkt, 1))
		return false;
	if (sl_quic_retry_parse(worker->quic_crypto, &hold->conn, dgram, pkt->payload_len,
	                        &header) == SL_PARSE_DONE &&
	    is_to_client(hold, &header)) {
		hold->retried = true;
		hold->retry_cid_len = header.scid_len;
		memcpy(hold->retry_cid, header.scid, header.scid_len);
	}
	return true;
}

/* Retry and Version Negotiation: a client that has no other answer yet starts again. */
static bool notice_refusal(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                           const uint8_t *dgram)
{
	if (hold->conn.answered || hold->retried || hold->negotiated)
		return true;
	if (is_retry(dgram, pkt->payload_len))
		return notice_retry(worker, pkt, hold, dgram);
	hold->negotiated = negotiates(hold, dgram, pkt->payload_len);
	return true;
}

/* A server's Initial is believed once it has opened. False: the limit on keys is reached. */
static bool notice_initial(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                           const uint8_t *dgram)
{
	unsigned trials = sl_quic_count_initials(dgram, pkt->payload_len);
	const struct sl_quic_conn before = hold->conn;
	struct sl_quic_header header;

	if (!sl_quic_may_decrypt(worker, pkt, trials))
		return false;
	if (!sl_quic_server_datagram(worker->quic_crypto, &hold->conn, hold->scid, hold->scid_len,
	                             dgram, pkt->payload_len, &header))
		return true;
	if (before.answered || sl_quic_cid_answer(worker, hold, header.scid, header.scid_len))
		sl_quic_conn_answer(worker->quic_crypto, &hold->conn, &header);
	else
		hold->conn = before;
	return true;
}

/*
 * False: the limit on keys is reached. Then the datagram must not reach the client: the client
 * would learn a server's ID that is not on record.
 */
static bool notice_server(struct sl_worker *worker, struct sl_pkt *pkt, const uint8_t *dgram)
{
	struct sl_quic_hold *hold = sl_quic_hold_of(worker, pkt->flow);
	bool initial = sl_quic_count_initials(dgram, pkt->payload_len) > 0, paid = true;
	struct sl_quic_header header;

	/*
	 * A client reads an Initial before the point where the chain becomes invalid, so its
	 * header is enough.
	 */
	(void)sl_quic_find_initial(dgram, pkt->payload_len, &header);
	for (; paid && hold != NULL; hold = sl_quic_hold_at(worker, hold->next)) {
		if (!hold->accepted)
			continue; /* it has not been asked */
		if (!initial)
			paid = notice_refusal(worker, pkt, hold, dgram);
		else if (!hold->conn.has_hello && is_to_client(hold, &header))
			paid = notice_initial(worker, pkt, hold, dgram);
	}
	return paid;
}

void sl_quic_from_server(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;

	if (!sl_flow_is_judged(flow)) {
		sl_pkt_drop_quietly(pkt, SL_REASON_NO_FLOW); /* it has not been asked */
		return;
	}
	if (sl_quic_hold_of(worker, flow) != NULL && pkt->payload_len > 0) {
		const uint8_t *dgram = sl_quic_payload(worker, pkt);

		if (sl_quic_is_long(dgram) && !notice_server(worker, pkt, dgram)) {
			sl_pkt_drop_quietly(pkt, SL_REASON_RATE_LIMIT);
			return;
		}
	}
	sl_quic_pass(worker, pkt);
}
