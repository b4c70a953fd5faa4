/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_cid.c: which flow a connection ID belongs to. A server finds a connection by its ID alone,
 * whatever address and ports a datagram comes from, and it accepts each packet number once. So a
 * sandbox could send a part of one hello on one flow, and a part of another hello, with the same ID
 * and so the same keys, on another flow: both hellos have an allowed name, but the server would
 * assemble a hello with a third one. So an ID with which a judged hello left belongs to that flow,
 * and after the flow's end no flow may use it for as long as a server may keep the connection (spec
 * section 2, "a record outlives the entry"). A record must never be dropped early to make room: the
 * new connection is refused instead.
 *
 * The table is shared by all workers (quic_ids.c); each sandbox's part of it is counted by its own
 * worker. A connection reserves the record for the server's ID together with its own, so that it
 * cannot be missing later.
 */
#include "quic.h"
#include "quic_ids_table.h"

/* Servers give up a handshake, and close an idle connection, sooner than this (RFC 9000 10.1). */
#define RECORD_MS       60000
#define TIMEOUTS_BUDGET 1024 /* records freed in one turn */

/*
 * Shorter IDs can collide by chance: a server that uses them also distinguishes clients by their
 * addresses.
 */
#define SERVER_CID_MIN 4

bool sl_quic_cid_create(struct sl_worker *worker)
{
	worker->quic_ids = worker->params.quic_ids;
	if (worker->quic_ids == NULL)
		worker->quic_ids = sl_quic_ids_create(worker->settings->flows);
	return worker->quic_ids != NULL;
}

void sl_quic_cid_destroy(struct sl_worker *worker)
{
	if (worker->params.quic_ids == NULL)
		sl_quic_ids_free(worker->quic_ids);
	worker->quic_ids = NULL;
}

static void record_give(struct sl_worker *worker, uint32_t index)
{
	worker->vlans[sl_quic_ids_at(worker->quic_ids, index)->key.vlan].quic_ids--;
	sl_quic_ids_give(worker->quic_ids, index);
}

/* True if the sandbox has less than an even share of the table. */
static bool has_few(const struct sl_worker *worker, const struct sl_vlan *vlan)
{
	uint32_t capacity = sl_quic_ids_pool(worker->quic_ids)->capacity;

	return vlan->quic_ids < sl_even_share(worker, capacity);
}

/* 0 at a limit: twice the limit of flows, not counting the records of TCP. */
static uint32_t record_take(struct sl_worker *worker, const struct sl_flow *flow)
{
	struct sl_vlan *vlan = &worker->vlans[flow->key.vlan];
	uint32_t index = 0;
	struct sl_quic_id *record;

	if (vlan->quic_ids / 2 < worker->settings->flows_per_sandbox)
		index = sl_quic_ids_take(worker->quic_ids, has_few(worker, vlan));
	if (index == 0)
		return 0;
	record = sl_quic_ids_at(worker->quic_ids, index);
	record->flow = sl_flow_index(&worker->table, flow);
	record->key = flow->key;
	vlan->quic_ids++;
	return index;
}

static void record_end(struct sl_worker *worker, uint32_t index)
{
	sl_deadline_append(sl_quic_ids_pool(worker->quic_ids), &worker->quic_ids_ended, index,
	                   worker->now_ms + RECORD_MS);
}

static void records_drop(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	if (hold->record != 0)
		record_give(worker, hold->record);
	if (hold->server_record != 0)
		record_give(worker, hold->server_record);
	hold->record = 0;
	hold->server_record = 0;
}

/*
 * True if the same client tries another version, since the server keeps nothing of the first
 * attempt. Only once: going back to the first version would be another hello under the same keys.
 */
static bool inherit(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	struct sl_quic_hold *other = sl_quic_hold_of(worker, sl_quic_hold_flow(worker, hold));

	for (; other != NULL; other = sl_quic_hold_at(worker, other->next))
		if (other->record != 0 && other->negotiated && !other->inherited &&
		    !other->conn.answered && other->conn.version != hold->conn.version &&
		    other->conn.dcid_len == hold->conn.dcid_len &&
		    memcmp(other->conn.dcid, hold->conn.dcid, hold->conn.dcid_len) == 0) {
			hold->record = other->record;
			hold->server_record = other->server_record;
			hold->inherited = true;
			other->record = 0;
			other->server_record = 0;
			return true;
		}
	return false;
}

bool sl_quic_cid_claim(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason *why)
{
	const struct sl_flow *flow = sl_quic_hold_flow(worker, hold);
	const struct sl_quic_conn *conn = &hold->conn;

	*why = SL_REASON_MALFORMED_QUIC;
	if (inherit(worker, hold))
		return true;
	if (sl_quic_ids_has(worker->quic_ids, conn->dcid, conn->dcid_len))
		return false;
	hold->record = record_take(worker, flow);
	hold->server_record = record_take(worker, flow);
	if (hold->record == 0 || hold->server_record == 0) {
		records_drop(worker, hold);
		*why = SL_REASON_FLOW_LIMIT;
		return false;
	}
	/* Another worker may have listed the same ID meanwhile. */
	if (!sl_quic_ids_list(worker->quic_ids, hold->record, conn->dcid, conn->dcid_len)) {
		records_drop(worker, hold);
		return false;
	}
	return true;
}

bool sl_quic_cid_answer(struct sl_worker *worker, struct sl_quic_hold *hold, const uint8_t *cid,
                        uint8_t len)
{
	const struct sl_quic_conn *conn = &hold->conn;

	if (hold->record == 0)
		return false; /* a connection in another version has its ID */
	if (len < SERVER_CID_MIN ||
	    (conn->dcid_len == len && memcmp(conn->dcid, cid, conn->dcid_len) == 0))
		return true;
	return sl_quic_ids_list(worker->quic_ids, hold->server_record, cid, len);
}

void sl_quic_cid_release(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	if (hold->record == 0)
		return;
	record_end(worker, hold->record);
	if (sl_quic_ids_at(worker->quic_ids, hold->server_record)->listed)
		record_end(worker, hold->server_record);
	else
		record_give(worker, hold->server_record);
	hold->record = 0;
	hold->server_record = 0;
}

/* A flow outlives the copies of what it sent, and so does the server's connection. */
static bool is_open(const struct sl_worker *worker, const struct sl_quic_id *record)
{
	const struct sl_flow *flow = &worker->table.flows[record->flow];
	size_t bytes = record->key.family == SL_FAMILY_4 ? 16 : sizeof(record->key);

	return flow->state != SL_FLOW_FREE && memcmp(&flow->key, &record->key, bytes) == 0;
}

void sl_quic_cid_timeouts(struct sl_worker *worker)
{
	struct sl_pool *pool = sl_quic_ids_pool(worker->quic_ids);

	for (unsigned i = 0; i < TIMEOUTS_BUDGET; i++) {
		uint32_t index = sl_deadline_due(worker, pool, &worker->quic_ids_ended);

		if (index == 0)
			return;
		sl_deadline_remove(pool, &worker->quic_ids_ended, index);
		if (is_open(worker, sl_quic_ids_at(worker->quic_ids, index)))
			record_end(worker, index);
		else
			record_give(worker, index);
	}
}
