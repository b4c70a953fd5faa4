/* SPDX-License-Identifier: Apache-2.0 */
/* flow_table.c: finds flows. Makes no decision about them. */
#include "flow_table.h"

#include <emmintrin.h> /* SSE2: every x86-64 has it */
#include <rte_common.h>
#include <rte_prefetch.h>
#include <sys/random.h>

#include <string.h>

#define WARM_FLOWS       ((size_t)4096) /* the others are faulted in a page at a time */
#define FLOWS_PER_BUCKET 4 /* mean at full capacity: 2 % of the buckets overflow then */

bool sl_flow_table_create(struct sl_flow_table *table, uint32_t capacity)
{
	uint32_t buckets = rte_align32pow2(RTE_MAX(capacity / FLOWS_PER_BUCKET, 16u));

	memset(table, 0, sizeof(*table));
	table->capacity = capacity;
	table->bucket_mask = buckets - 1;
	table->fresh = 1;
	table->buckets = sl_pool_reserve(buckets * sizeof(struct sl_bucket));
	table->flows = sl_pool_reserve(((size_t)capacity + 1) * sizeof(struct sl_flow));
	table->colds = sl_pool_reserve(((size_t)capacity + 1) * sizeof(struct sl_flow_cold));
	/* Worst case: all flows but eight share one bucket. */
	if (table->buckets == NULL || table->flows == NULL || table->colds == NULL ||
	    !sl_pool_create(&table->overflow, sizeof(struct sl_bucket),
	                    capacity / SL_BUCKET_SLOTS + 1))
		return false;
	return getrandom(table->secret, sizeof(table->secret), 0) == sizeof(table->secret);
}

/*
 * Hashes scatter the first flows over all buckets, so that a burst would wait for many page
 * faults: some milliseconds for each huge page. Flows themselves are used in order.
 */
void sl_flow_table_warm(struct sl_flow_table *table)
{
	size_t flows = RTE_MIN((size_t)table->capacity + 1, WARM_FLOWS);

	sl_pool_touch(table->buckets, ((size_t)table->bucket_mask + 1) * sizeof(struct sl_bucket));
	sl_pool_touch(table->flows, flows * sizeof(struct sl_flow));
	sl_pool_touch(table->colds, flows * sizeof(struct sl_flow_cold));
}

void sl_flow_table_destroy(struct sl_flow_table *table)
{
	size_t flows = (size_t)table->capacity + 1;

	sl_pool_release(table->buckets,
	                ((size_t)table->bucket_mask + 1) * sizeof(struct sl_bucket));
	sl_pool_release(table->flows, flows * sizeof(struct sl_flow));
	sl_pool_release(table->colds, flows * sizeof(struct sl_flow_cold));
	if (table->overflow.base != NULL)
		sl_pool_destroy(&table->overflow);
}

/* The folded 128-bit product: every bit of the result depends on every bit of both sides. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint32_t hash_of(const struct sl_flow_table *table, const struct sl_key *key)
{
	uint64_t word[5], hash;

	memcpy(word, key, sizeof(word));
	hash = mix(word[0] ^ table->secret[0], word[1] ^ table->secret[1]);
	if (key->family == SL_FAMILY_6) {
		hash ^= mix(word[2] ^ table->secret[2], word[3] ^ table->secret[3]);
		hash = mix(hash ^ table->secret[1], word[4] ^ table->secret[2]);
	}
	return (uint32_t)(hash ^ (hash >> 32));
}

uint32_t sl_flow_table_hash(const struct sl_flow_table *table, const struct sl_key *key)
{
	return hash_of(table, key);
}

static inline uint16_t signature_of(uint32_t hash)
{
	return (uint16_t)(hash >> 16) | 1; /* 0 marks a free slot */
}

static inline bool key_equal(const struct sl_key *a, const struct sl_key *b)
{
	uint64_t x[5], y[5];

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	if (((x[0] ^ y[0]) | (x[1] ^ y[1])) != 0)
		return false;
	return a->family == SL_FAMILY_4 || ((x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

/* A bit for each slot of the bucket whose signature is this one. */
static inline unsigned slots_of(const struct sl_bucket *bucket, uint16_t signature)
{
	__m128i all = _mm_load_si128((const __m128i *)bucket->signature);
	__m128i same = _mm_cmpeq_epi16(all, _mm_set1_epi16((short)signature));

	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(same, _mm_setzero_si128()));
}

static inline struct sl_flow *find(struct sl_flow_table *table, const struct sl_key *key,
                                   uint32_t hash)
{
	struct sl_bucket *bucket = &table->buckets[hash & table->bucket_mask];
	uint16_t signature = signature_of(hash);

	for (;;) {
		for (unsigned slots = slots_of(bucket, signature); slots != 0; slots &= slots - 1) {
			struct sl_flow *flow = &table->flows[bucket->flow[__builtin_ctz(slots)]];

			if (likely(key_equal(&flow->key, key)))
				return flow;
		}
		if (likely(bucket->next == 0))
			return NULL;
		bucket = sl_pool_at(&table->overflow, bucket->next);
	}
}

struct sl_flow *sl_flow_table_find(struct sl_flow_table *table, const struct sl_key *key,
                                   uint32_t hash)
{
	return find(table, key, hash);
}

void sl_flow_table_find_bulk(struct sl_flow_table *table, struct sl_pkt *pkts, const uint16_t *idx,
                             unsigned n)
{
	struct sl_flow *likely_flow[SL_BURST_MAX];

	for (unsigned i = 0; i < n; i++) {
		struct sl_pkt *pkt = &pkts[idx[i]];

		pkt->hash = hash_of(table, &pkt->key);
		rte_prefetch0(&table->buckets[pkt->hash & table->bucket_mask]);
	}
	for (unsigned i = 0; i < n; i++) {
		uint32_t hash = pkts[idx[i]].hash;
		const struct sl_bucket *bucket = &table->buckets[hash & table->bucket_mask];
		unsigned slots = slots_of(bucket, signature_of(hash));

		/* Flow 0 is not used: its key is all zeros, and no packet has such a key. */
		likely_flow[i] = &table->flows[slots != 0 ? bucket->flow[__builtin_ctz(slots)] : 0];
		rte_prefetch0(likely_flow[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		struct sl_pkt *pkt = &pkts[idx[i]];

		if (likely(key_equal(&likely_flow[i]->key, &pkt->key)))
			pkt->flow = likely_flow[i];
		else
			pkt->flow = find(table, &pkt->key, pkt->hash);
	}
}

/* A bucket of the chain with a free slot; makes one if there is none. */
static struct sl_bucket *bucket_with_room(struct sl_flow_table *table, uint32_t hash,
                                          unsigned *slot)
{
	struct sl_bucket *bucket = &table->buckets[hash & table->bucket_mask];

	for (;;) {
		for (unsigned i = 0; i < SL_BUCKET_SLOTS; i++)
			if (bucket->signature[i] == 0) {
				*slot = i;
				return bucket;
			}
		if (bucket->next == 0) {
			uint32_t index = sl_pool_get(&table->overflow);

			if (index == 0)
				return NULL;
			memset(sl_pool_at(&table->overflow, index), 0, sizeof(struct sl_bucket));
			bucket->next = index;
		}
		bucket = sl_pool_at(&table->overflow, bucket->next);
	}
}

struct sl_flow *sl_flow_table_insert(struct sl_flow_table *table, const struct sl_key *key,
                                     uint32_t hash)
{
	struct sl_bucket *bucket;
	struct sl_flow *flow;
	uint32_t index;
	unsigned slot;

	if (table->used == table->capacity)
		return NULL;
	bucket = bucket_with_room(table, hash, &slot);
	if (bucket == NULL)
		return NULL;
	index = table->free;
	if (index != 0)
		table->free = table->colds[index].next;
	else
		index = table->fresh++;
	table->used++;
	bucket->signature[slot] = signature_of(hash);
	bucket->flow[slot] = index;
	flow = &table->flows[index];
	memset(flow, 0, sizeof(*flow));
	memset(&table->colds[index], 0, sizeof(table->colds[index]));
	if (key->family == SL_FAMILY_4)
		memcpy(&flow->key, key, 16); /* the rest is not set in an IPv4 packet's key */
	else
		flow->key = *key;
	return flow;
}

/* Unlinks an empty overflow bucket, so that chains do not outlive their flows. */
static void bucket_unlink_if_empty(struct sl_flow_table *table, struct sl_bucket *before,
                                   struct sl_bucket *bucket)
{
	uint32_t index = before->next;

	for (unsigned i = 0; i < SL_BUCKET_SLOTS; i++)
		if (bucket->signature[i] != 0)
			return;
	before->next = bucket->next;
	sl_pool_put(&table->overflow, index);
}

void sl_flow_table_remove(struct sl_flow_table *table, struct sl_flow *flow)
{
	uint32_t index = sl_flow_index(table, flow);
	uint32_t hash = sl_flow_table_hash(table, &flow->key);
	struct sl_bucket *bucket = &table->buckets[hash & table->bucket_mask], *before = NULL;
	uint16_t signature = signature_of(hash);

	for (;;) {
		for (unsigned i = 0; i < SL_BUCKET_SLOTS; i++)
			if (bucket->signature[i] == signature && bucket->flow[i] == index) {
				bucket->signature[i] = 0;
				if (before != NULL)
					bucket_unlink_if_empty(table, before, bucket);
				goto unlinked;
			}
		before = bucket;
		bucket = sl_pool_at(&table->overflow, bucket->next);
	}
unlinked:
	flow->state = SL_FLOW_FREE;
	flow->fast_epoch = 0;
	table->colds[index].next = table->free;
	table->free = index;
	table->used--;
	table->changes++;
}
