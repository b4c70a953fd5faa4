/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_ids.c: a chained hash table with a lock for each of its parts, and one for the list of free
 * elements. An ID must never be dropped before its owner frees it.
 */
#include "quic_ids_table.h"

#include <rte_common.h>
#include <rte_pause.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "flow/names.h"

#define PARTS 256 /* a power of two */

/* A C11 atomic_flag, so that the thread sanitiser understands it; on a cache line of its own. */
struct lock {
	alignas(RTE_CACHE_LINE_SIZE) atomic_flag taken;
};

struct sl_quic_ids {
	struct lock parts[PARTS];
	struct lock free;
	struct sl_pool pool;
	uint32_t *buckets;
	uint32_t mask;
	uint64_t secret[SL_NAMES_SECRETS];
};

static void lock(struct lock *lock)
{
	while (atomic_flag_test_and_set_explicit(&lock->taken, memory_order_acquire))
		rte_pause();
}

static void unlock(struct lock *lock)
{
	atomic_flag_clear_explicit(&lock->taken, memory_order_release);
}

struct sl_quic_ids *sl_quic_ids_create(uint32_t connections)
{
	struct sl_quic_ids *ids = sl_pool_reserve(sizeof(*ids));
	uint32_t capacity = RTE_MIN(RTE_MAX(connections, 1u), UINT32_MAX / 4) * 2;

	if (ids == NULL)
		return NULL;
	for (unsigned i = 0; i < PARTS; i++)
		atomic_flag_clear(&ids->parts[i].taken);
	atomic_flag_clear(&ids->free.taken);
	ids->mask = rte_align32pow2(RTE_MAX(capacity, (uint32_t)PARTS)) - 1;
	ids->buckets = sl_pool_reserve((ids->mask + (size_t)1) * sizeof(uint32_t));
	if (ids->buckets == NULL ||
	    !sl_pool_create(&ids->pool, sizeof(struct sl_quic_id), capacity) ||
	    getrandom(ids->secret, sizeof(ids->secret), 0) != sizeof(ids->secret)) {
		sl_quic_ids_free(ids);
		return NULL;
	}
	return ids;
}

void sl_quic_ids_free(struct sl_quic_ids *ids)
{
	if (ids == NULL)
		return;
	if (ids->pool.base != NULL)
		sl_pool_destroy(&ids->pool);
	sl_pool_release(ids->buckets, (ids->mask + (size_t)1) * sizeof(uint32_t));
	sl_pool_release(ids, sizeof(*ids));
}

struct sl_pool *sl_quic_ids_pool(struct sl_quic_ids *ids)
{
	return &ids->pool;
}

static uint32_t bucket_of(const struct sl_quic_ids *ids, const uint8_t *cid, uint8_t len)
{
	return sl_names_hash_with(ids->secret, (const char *)cid, len) & ids->mask;
}

static struct lock *part_of(struct sl_quic_ids *ids, uint32_t bucket)
{
	return &ids->parts[bucket % PARTS];
}

uint32_t sl_quic_ids_take(struct sl_quic_ids *ids, bool few)
{
	uint32_t index = 0;

	lock(&ids->free);
	if (few || ids->pool.used < ids->pool.capacity - ids->pool.capacity / 10)
		index = sl_pool_get(&ids->pool);
	unlock(&ids->free);
	if (index != 0)
		memset(sl_quic_ids_at(ids, index), 0, sizeof(struct sl_quic_id));
	return index;
}

/* The caller holds the part's lock. */
static bool is_listed(struct sl_quic_ids *ids, uint32_t bucket, const uint8_t *cid, uint8_t len)
{
	const struct sl_quic_id *id;

	for (uint32_t index = ids->buckets[bucket]; index != 0; index = id->chain) {
		id = sl_quic_ids_at(ids, index);
		if (id->len == len && memcmp(id->cid, cid, len) == 0)
			return true;
	}
	return false;
}

bool sl_quic_ids_has(struct sl_quic_ids *ids, const uint8_t *cid, uint8_t len)
{
	uint32_t bucket = bucket_of(ids, cid, len);
	bool listed;

	lock(part_of(ids, bucket));
	listed = is_listed(ids, bucket, cid, len);
	unlock(part_of(ids, bucket));
	return listed;
}

bool sl_quic_ids_list(struct sl_quic_ids *ids, uint32_t index, const uint8_t *cid, uint8_t len)
{
	struct sl_quic_id *id = sl_quic_ids_at(ids, index);
	uint32_t bucket = bucket_of(ids, cid, len);
	bool taken;

	lock(part_of(ids, bucket));
	taken = is_listed(ids, bucket, cid, len);
	if (!taken) {
		id->listed = true;
		id->len = len;
		memcpy(id->cid, cid, len);
		id->chain = ids->buckets[bucket];
		ids->buckets[bucket] = index;
	}
	unlock(part_of(ids, bucket));
	return !taken;
}

static void unlist(struct sl_quic_ids *ids, uint32_t index)
{
	const struct sl_quic_id *id = sl_quic_ids_at(ids, index);
	uint32_t bucket = bucket_of(ids, id->cid, id->len), *link = &ids->buckets[bucket];

	lock(part_of(ids, bucket));
	while (*link != index)
		link = &sl_quic_ids_at(ids, *link)->chain;
	*link = id->chain;
	unlock(part_of(ids, bucket));
}

void sl_quic_ids_give(struct sl_quic_ids *ids, uint32_t index)
{
	if (sl_quic_ids_at(ids, index)->listed)
		unlist(ids, index);
	lock(&ids->free);
	sl_pool_put(&ids->pool, index);
	unlock(&ids->free);
}
