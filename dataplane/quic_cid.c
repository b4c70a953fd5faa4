/*
 * quic_cid.c: sees to it that two ClientHellos cannot be mixed into a third one. A server finds a
 * connection by its ID alone, whatever ports a datagram comes from. So a sandbox could let part of
 * one hello reach it on one flow, part of another hello, with the same ID and so the same keys, on
 * another flow; both prove an allowed name, what the server puts together proves another.
 *
 * Hellos that are let out whole, in one datagram each, cannot be mixed. Equal ones may be.
 *
 * The table's buckets are spread over the elements themselves: element i + 1 holds bucket i,
 * whoever the element belongs to.
 */
#include "names.h"
#include "quic.h"

static uint32_t *bucket_of(const struct sl_worker *worker, const struct sl_quic_hold *hold)
{
	const struct sl_flow *flow = sl_quic_hold_flow(worker, hold);
	uint8_t text[SL_QUIC_CID_MAX + sizeof(struct sl_addr) + sizeof(uint16_t)] = {0};
	uint32_t buckets = rte_align32prevpow2(worker->quics.capacity), hash;
	struct sl_addr remote;

	sl_key_remote(&flow->key, &remote);
	memcpy(text, hold->conn.dcid, hold->conn.dcid_len);
	memcpy(text + SL_QUIC_CID_MAX, &remote, sizeof(remote));
	memcpy(text + SL_QUIC_CID_MAX + sizeof(remote), &flow->key.vlan, sizeof(uint16_t));
	hash = sl_names_hash(worker, (const char *)text, sizeof(text));
	return &sl_quic_hold_at(worker, (hash & (buckets - 1)) + 1)->bucket;
}

static bool is_same(const struct sl_worker *worker, const struct sl_quic_hold *a,
                    const struct sl_quic_hold *b)
{
	const struct sl_flow *flow_a = sl_quic_hold_flow(worker, a);
	const struct sl_flow *flow_b = sl_quic_hold_flow(worker, b);
	struct sl_addr remote_a, remote_b;

	sl_key_remote(&flow_a->key, &remote_a);
	sl_key_remote(&flow_b->key, &remote_b);
	return flow_a->key.vlan == flow_b->key.vlan && sl_addr_equal(&remote_a, &remote_b) &&
	       a->conn.dcid_len == b->conn.dcid_len &&
	       memcmp(a->conn.dcid, b->conn.dcid, a->conn.dcid_len) == 0;
}

/* A connection of another flow that began with the same ID at the same address. */
static struct sl_quic_hold *find(const struct sl_worker *worker, const struct sl_quic_hold *hold)
{
	struct sl_quic_hold *other = sl_quic_hold_at(worker, *bucket_of(worker, hold));

	while (other != NULL && (other->flow == hold->flow || !is_same(worker, other, hold)))
		other = sl_quic_hold_at(worker, other->bucket_next);
	return other;
}

static bool equals(const struct sl_worker *worker, const struct sl_quic_hold *other,
                   const uint8_t *msg, uint32_t len)
{
	return !other->sealed && other->first_len == len &&
	       sl_stream_equal(worker, &other->hello, 0, msg, len);
}

bool sl_quic_cid_claim(struct sl_worker *worker, struct sl_quic_hold *hold, const uint8_t *msg,
                       uint32_t len)
{
	struct sl_quic_hold *other = find(worker, hold);
	uint32_t *bucket;

	if (other == NULL) {
		bucket = bucket_of(worker, hold);
		hold->bucket_next = *bucket;
		*bucket = (uint32_t)(((uint8_t *)hold - worker->quics.base) / sizeof(*hold));
		hold->listed = true;
		return true;
	}
	/* The other one stays listed, alone: a chain is no longer than its IDs are many. */
	hold->shared = true;
	if (equals(worker, other, msg, len))
		return true;
	other->shared = true;
	return !other->in_parts && !hold->in_parts;
}

void sl_quic_cid_release(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	uint32_t *link;

	if (!hold->listed)
		return;
	link = bucket_of(worker, hold);
	while (sl_quic_hold_at(worker, *link) != hold)
		link = &sl_quic_hold_at(worker, *link)->bucket_next;
	*link = hold->bucket_next;
	hold->listed = false;
}
