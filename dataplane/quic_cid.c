/*
 * quic_cid.c: whose connection IDs are. A server finds a connection by its ID alone, whatever
 * address and ports a datagram comes from, and it takes a packet by its number once. So a sandbox
 * could let a part of one hello reach it on one flow, and a part of another hello, with the same ID
 * and so the same keys, on another: both prove an allowed name, what the server puts together
 * proves another. An ID with which a judged hello left belongs to that flow, and after its end to
 * nobody for as long as a server may keep the connection (spec section 2, "a record outlives the
 * entry"). Must never forget one early to make room: the new connection is refused instead.
 *
 * The table is the worker's: sandboxes of other workers are not compared.
 */
#include "names.h"
#include "quic.h"

/* Servers give a handshake up, and close an idle connection, sooner (RFC 9000 10.1). */
#define RECORD_MS       60000
#define TIMEOUTS_BUDGET 1024 /* records given back in one turn */

struct record {
	struct sl_deadline deadline; /* in worker->quic_ids_ended, once its connection has ended */
	uint32_t chain;              /* the next one of the bucket; 0: none */
	uint32_t flow;               /* index of the flow that used it, and its key */
	struct sl_key key;
	uint8_t len;
	uint8_t cid[SL_QUIC_CID_MAX];
};

bool sl_quic_cid_create(struct sl_worker *worker, uint32_t capacity)
{
	uint32_t buckets = 64;

	while (buckets < capacity)
		buckets *= 2;
	worker->quic_id_mask = buckets - 1;
	worker->quic_id_buckets = sl_pool_reserve(buckets * sizeof(uint32_t));
	return worker->quic_id_buckets != NULL &&
	       sl_pool_create(&worker->quic_ids, sizeof(struct record), capacity);
}

void sl_quic_cid_destroy(struct sl_worker *worker)
{
	if (worker->quic_ids.base != NULL)
		sl_pool_destroy(&worker->quic_ids);
	sl_pool_release(worker->quic_id_buckets,
	                (worker->quic_id_mask + (size_t)1) * sizeof(uint32_t));
}

static struct record *record_at(const struct sl_worker *worker, uint32_t index)
{
	return sl_pool_at(&worker->quic_ids, index);
}

static uint32_t *bucket_of(const struct sl_worker *worker, const uint8_t *cid, uint8_t len)
{
	uint32_t hash = sl_names_hash(worker, (const char *)cid, len);

	return &worker->quic_id_buckets[hash & worker->quic_id_mask];
}

static bool is_taken(const struct sl_worker *worker, const uint8_t *cid, uint8_t len)
{
	uint32_t index = *bucket_of(worker, cid, len);

	for (; index != 0; index = record_at(worker, index)->chain) {
		const struct record *record = record_at(worker, index);

		if (record->len == len && memcmp(record->cid, cid, len) == 0)
			return true;
	}
	return false;
}

/* 0 at a limit. */
static uint32_t record_make(struct sl_worker *worker, const struct sl_flow *flow,
                            const uint8_t *cid, uint8_t len)
{
	uint32_t *bucket = bucket_of(worker, cid, len), index;
	struct record *record;

	/* As many again as flows, beside those of TCP. */
	if (worker->vlans[flow->key.vlan].quic_ids >= worker->settings->flows_per_sandbox)
		return 0;
	index = sl_pool_get(&worker->quic_ids);
	if (index == 0)
		return 0;
	record = record_at(worker, index);
	*record = (struct record){.chain = *bucket,
	                          .flow = sl_flow_index(&worker->table, flow),
	                          .key = flow->key,
	                          .len = len};
	memcpy(record->cid, cid, len);
	*bucket = index;
	worker->vlans[flow->key.vlan].quic_ids++;
	return index;
}

static void end_record(struct sl_worker *worker, uint32_t index)
{
	sl_deadline_append(&worker->quic_ids, &worker->quic_ids_ended, index,
	                   worker->now_ms + RECORD_MS);
}

/*
 * The same client tries another version, since the server keeps nothing of the first attempt. Once:
 * going back to the first version would be another hello under the same keys.
 */
static bool inherit(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	struct sl_quic_hold *other = sl_quic_hold_of(worker, sl_quic_hold_flow(worker, hold));

	for (; other != NULL; other = sl_quic_hold_at(worker, other->next))
		if (other->record != 0 && other->negotiated && !other->inherited &&
		    other->conn.version != hold->conn.version &&
		    other->conn.dcid_len == hold->conn.dcid_len &&
		    memcmp(other->conn.dcid, hold->conn.dcid, hold->conn.dcid_len) == 0) {
			hold->record = other->record;
			other->record = 0;
			hold->inherited = true;
			return true;
		}
	return false;
}

enum sl_reason sl_quic_cid_claim(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	if (inherit(worker, hold))
		return SL_REASON_NONE;
	if (is_taken(worker, hold->conn.dcid, hold->conn.dcid_len))
		return SL_REASON_MALFORMED_QUIC;
	hold->record = record_make(worker, sl_quic_hold_flow(worker, hold), hold->conn.dcid,
	                           hold->conn.dcid_len);
	return hold->record != 0 ? SL_REASON_NONE : SL_REASON_HOLD_LIMIT;
}

void sl_quic_cid_release(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	const struct sl_quic_conn *conn = &hold->conn;
	uint32_t index;

	if (hold->record == 0)
		return;
	end_record(worker, hold->record);
	hold->record = 0;
	/* A server takes Initials to the ID that it chose under the keys of the first one. */
	if (!conn->answered || is_taken(worker, conn->server_cid, conn->server_cid_len))
		return;
	index = record_make(worker, sl_quic_hold_flow(worker, hold), conn->server_cid,
	                    conn->server_cid_len);
	if (index != 0)
		end_record(worker, index);
}

/* A flow outlives the copies of what it sent, and so does its server's side of it. */
static bool is_open(const struct sl_worker *worker, const struct record *record)
{
	const struct sl_flow *flow = &worker->table.flows[record->flow];
	size_t bytes = record->key.family == SL_FAMILY_4 ? 16 : sizeof(record->key);

	return flow->state != SL_FLOW_FREE && memcmp(&flow->key, &record->key, bytes) == 0;
}

void sl_quic_cid_timeouts(struct sl_worker *worker)
{
	for (unsigned i = 0; i < TIMEOUTS_BUDGET; i++) {
		uint32_t index =
		        sl_deadline_due(worker, &worker->quic_ids, &worker->quic_ids_ended);
		struct record *record;
		uint32_t *link;

		if (index == 0)
			return;
		record = record_at(worker, index);
		sl_deadline_remove(&worker->quic_ids, &worker->quic_ids_ended, index);
		if (is_open(worker, record)) {
			end_record(worker, index);
			continue;
		}
		link = bucket_of(worker, record->cid, record->len);
		while (*link != index)
			link = &record_at(worker, *link)->chain;
		*link = record->chain;
		worker->vlans[record->key.vlan].quic_ids--;
		sl_pool_put(&worker->quic_ids, index);
	}
}
