/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_table.h: from key to flow, in two cache lines: a bucket of eight signatures, then the flow,
 * whose key is in its hot line.
 *
 * The hash is keyed with a secret that is drawn at start: a sandbox cannot choose ports that all
 * fall into one bucket, as it could with a CRC, whose collisions do not depend on its seed.
 *
 * One writer and reader: the worker that owns the table.
 */
#ifndef DATAPLANE_FLOW_TABLE_H
#define DATAPLANE_FLOW_TABLE_H

#include "flow.h"
#include "pool.h"

#define SL_BUCKET_SLOTS 8

struct sl_bucket {
	uint16_t signature[SL_BUCKET_SLOTS]; /* 0: free */
	uint32_t flow[SL_BUCKET_SLOTS];
	uint32_t next; /* overflow bucket; 0: none */
	uint32_t pad[3];
} __attribute__((aligned(64)));

struct sl_flow_table {
	struct sl_bucket *buckets;
	uint32_t bucket_mask;
	uint32_t capacity;
	uint32_t used;
	uint32_t free;    /* list of freed flows, through sl_flow_cold.next */
	uint32_t fresh;   /* lowest flow that was never used */
	uint32_t changes; /* counts removals: pointers looked up before may be stale after one */
	struct sl_flow *flows;      /* by index, from 1 */
	struct sl_flow_cold *colds; /* by the same index */
	struct sl_pool overflow;    /* of struct sl_bucket */
	uint64_t secret[4];
};

/* Setup only. Returns false if memory is short. */
bool sl_flow_table_create(struct sl_flow_table *table, uint32_t capacity);

/* Pre-faults the memory of all buckets and of the first flows. Setup only. */
void sl_flow_table_warm(struct sl_flow_table *table);

void sl_flow_table_destroy(struct sl_flow_table *table);

uint32_t sl_flow_table_hash(const struct sl_flow_table *table, const struct sl_key *key);

/* NULL if there is no such flow. */
struct sl_flow *sl_flow_table_find(struct sl_flow_table *table, const struct sl_key *key,
                                   uint32_t hash);

/*
 * Fills in hash and flow of the n packets that idx lists; their keys are set. It prefetches, so a
 * bulk lookup is much cheaper than single ones.
 */
void sl_flow_table_find_bulk(struct sl_flow_table *table, struct sl_pkt *pkts, const uint16_t *idx,
                             unsigned n);

/*
 * A zeroed flow with this key (which must not be in the table), or NULL if the table is full.
 */
struct sl_flow *sl_flow_table_insert(struct sl_flow_table *table, const struct sl_key *key,
                                     uint32_t hash);

void sl_flow_table_remove(struct sl_flow_table *table, struct sl_flow *flow);

static inline uint32_t sl_flow_index(const struct sl_flow_table *table, const struct sl_flow *flow)
{
	return (uint32_t)(flow - table->flows);
}

static inline struct sl_flow_cold *sl_flow_cold(const struct sl_flow_table *table,
                                                const struct sl_flow *flow)
{
	return &table->colds[flow - table->flows];
}

#endif
