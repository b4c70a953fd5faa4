/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h: the names that flows proved, interned: each is stored once, however many flows share
 * it.
 */
#ifndef DATAPLANE_NAMES_H
#define DATAPLANE_NAMES_H

#include "sluice/hostname.h"
#include "core/state.h"

struct sl_name {
	uint32_t next; /* of the same bucket; first, as the pool links freed elements here */
	uint32_t refs;
	uint32_t hash;
	uint8_t len;
	char text[SL_NAME_MAX + 2];
};

bool sl_names_create(struct sl_worker *worker, uint32_t capacity);
void sl_names_destroy(struct sl_worker *worker);

/* Hash of a canonical name, for tables of this worker only. */
uint32_t sl_names_hash(const struct sl_worker *worker, const char *name, size_t len);

/* The same for any table, keyed with the table's own secret. Pure. */
#define SL_NAMES_SECRETS 3
uint32_t sl_names_hash_with(const uint64_t secret[SL_NAMES_SECRETS], const char *bytes, size_t len);

/* Takes a reference to a canonical name. 0 if there is no room. */
uint32_t sl_names_take(struct sl_worker *worker, const char *name, size_t len);
void sl_names_drop(struct sl_worker *worker, uint32_t index);

static inline const struct sl_name *sl_names_at(const struct sl_worker *worker, uint32_t index)
{
	return sl_pool_at(&worker->names, index);
}

#endif
