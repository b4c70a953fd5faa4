/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_keys.c: under which of a flow's keys an Initial opens, and the limit on trying them.
 * AES-GCM does not commit to its key: an Initial can be built to open under two of them, to what
 * was judged under one and to something else under the other, and the gateway cannot know which of
 * the two a server will use that has lost, or never had, one of the connections.
 */
#include "quic.h"

/*
 * Limit a second for one sandbox, and the same for its servers: Initials, times the keys that each
 * is tried with.
 */
#define DECRYPTS_PER_SECOND 4000

bool sl_quic_may_decrypt(struct sl_worker *worker, const struct sl_pkt *pkt, unsigned trials)
{
	/* By port, so that a server cannot use up its client's tokens. */
	struct sl_bucket_rate *bucket = &worker->vlans[pkt->vlan].decrypts[pkt->in_port];
	const struct sl_bucket_rate before = *bucket;

	while (trials-- > 0)
		if (!sl_rate_take(bucket, worker->now_us, DECRYPTS_PER_SECOND)) {
			*bucket = before;
			return false;
		}
	return true;
}

/*
 * The IDs that a flow's keys may be derived from, each once, other than the one that they must be
 * derived from.
 */
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

/* For an Initial of this connection; NULL: for one that would begin a connection. */
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

bool sl_quic_try_keys(struct sl_worker *worker, struct sl_pkt *pkt,
                      const struct sl_quic_hold *owner, const struct sl_quic_header *header,
                      const uint8_t *dgram, enum sl_reason *why)
{
	unsigned initials = sl_quic_count_initials(dgram, pkt->payload_len);
	struct origins origins;

	find_origins(worker, pkt->flow, owner, header, &origins);
	*why = SL_REASON_MALFORMED_QUIC;
	if (initials > SL_QUIC_INITIALS_MAX)
		return false;
	if (!sl_quic_may_decrypt(worker, pkt, initials * (1 + origins.count))) {
		*why = SL_REASON_RATE_LIMIT;
		return false;
	}
	for (unsigned i = 0; i < origins.count; i++)
		if (sl_quic_opens_under(worker->quic_crypto, &origins.other[i], dgram,
		                        pkt->payload_len))
			return false;
	return true;
}
