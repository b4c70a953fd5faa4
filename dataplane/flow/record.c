/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c: the numbers of judged TCP connections that have ended. A record must never be dropped
 * early to make room: the new connection is refused instead.
 */
#include "record.h"

/*
 * How long a server may keep a connection after the gateway has forgotten it: twice the segment
 * lifetime that TCPs use in practice, as for TIME-WAIT (RFC 9293 3.4.2).
 */
#define RECORD_MS 60000

#define TIMEOUTS_BUDGET 1024 /* records freed in one turn */

bool sl_record_create(struct sl_worker *worker, uint32_t capacity)
{
	uint32_t buckets = 64;

	while (buckets < capacity)
		buckets *= 2;
	worker->record_mask = buckets - 1;
	worker->record_buckets = sl_pool_reserve(buckets * sizeof(uint32_t));
	return worker->record_buckets != NULL &&
	       sl_pool_create(&worker->records, sizeof(struct sl_record), capacity);
}

void sl_record_destroy(struct sl_worker *worker)
{
	if (worker->records.base != NULL)
		sl_pool_destroy(&worker->records);
	sl_pool_release(worker->record_buckets,
	                (worker->record_mask + (size_t)1) * sizeof(uint32_t));
}

static struct sl_record *record_at(const struct sl_worker *worker, uint32_t index)
{
	return sl_pool_at(&worker->records, index);
}

/* Compares the used bytes of a key: for IPv4 the rest is undefined. */
static bool same_key(const struct sl_key *a, const struct sl_key *b)
{
	size_t bytes = a->family == SL_FAMILY_4 ? 16 : sizeof(*a);

	return memcmp(a, b, bytes) == 0;
}

static uint32_t *bucket_of(const struct sl_worker *worker, const struct sl_key *key)
{
	return &worker->record_buckets[sl_flow_table_hash(&worker->table, key) &
	                               worker->record_mask];
}

bool sl_record_begin(struct sl_worker *worker, struct sl_flow *flow)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);
	struct sl_vlan *vlan = &worker->vlans[flow->key.vlan];
	uint32_t *bucket = bucket_of(worker, &flow->key), index;
	struct sl_record *record;

	if (cold->record != 0)
		return true;
	if (vlan->records >= worker->settings->flows_per_sandbox ||
	    !sl_shared_room(worker, worker->records.capacity, worker->records.used, vlan->records,
	                    1))
		return false;
	index = sl_pool_get(&worker->records);
	if (index == 0)
		return false;
	record = record_at(worker, index);
	*record = (struct sl_record){.chain = *bucket,
	                             .from = cold->iss - SL_RECORD_MARGIN,
	                             .to = cold->iss,
	                             .key = flow->key};
	*bucket = index;
	vlan->records++;
	cold->record = index;
	return true;
}

static void forget(struct sl_worker *worker, uint32_t index)
{
	struct sl_record *record = record_at(worker, index);
	uint32_t *link = bucket_of(worker, &record->key);

	while (*link != index)
		link = &record_at(worker, *link)->chain;
	*link = record->chain;
	worker->vlans[record->key.vlan].records--;
	sl_pool_put(&worker->records, index);
}

void sl_record_fin(struct sl_worker *worker, const struct sl_flow *flow, uint32_t next)
{
	uint32_t index = sl_flow_cold(&worker->table, flow)->record;

	if (index == 0)
		return;
	record_at(worker, index)->fin = next;
	record_at(worker, index)->finished = true;
}

void sl_record_acknowledged(struct sl_worker *worker, struct sl_flow *flow, uint32_t next)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);

	if (cold->record == 0 || !record_at(worker, cold->record)->finished ||
	    record_at(worker, cold->record)->fin != next)
		return;
	/* A byte was sent with the FIN's number: the acknowledgement may be of that byte. */
	if ((int32_t)(next - 1 - flow->sent) < 0)
		return;
	forget(worker, cold->record);
	cold->record = 0;
}

void sl_record_end(struct sl_worker *worker, struct sl_flow *flow)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);

	if (cold->record == 0)
		return;
	/*
	 * The margin: numbers of a new connection may be a little ahead of those that the server
	 * expects.
	 */
	record_at(worker, cold->record)->to =
	        ((int32_t)(flow->sent - flow->ack[1]) > 0 ? flow->sent : flow->ack[1]) +
	        SL_RECORD_MARGIN;
	sl_deadline_append(&worker->records, &worker->records_ended, cold->record,
	                   worker->now_ms + RECORD_MS);
	cold->record = 0;
}

bool sl_record_conflicts(const struct sl_worker *worker, const struct sl_key *key, uint32_t iss)
{
	uint32_t index = *bucket_of(worker, key);

	for (; index != 0; index = record_at(worker, index)->chain) {
		const struct sl_record *record = record_at(worker, index);

		if (same_key(&record->key, key) && iss - record->from <= record->to - record->from)
			return true;
	}
	return false;
}

void sl_record_timeouts(struct sl_worker *worker)
{
	for (unsigned i = 0; i < TIMEOUTS_BUDGET; i++) {
		uint32_t index = sl_deadline_due(worker, &worker->records, &worker->records_ended);

		if (index == 0)
			return;
		sl_deadline_remove(&worker->records, &worker->records_ended, index);
		forget(worker, index);
	}
}
