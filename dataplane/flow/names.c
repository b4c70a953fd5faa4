/* SPDX-License-Identifier: Apache-2.0 */
/* names.c: interns the names that flows proved. Must never judge a name. */
#include "names.h"

#include <rte_common.h>

bool sl_names_create(struct sl_worker *worker, uint32_t capacity)
{
	uint32_t buckets = rte_align32pow2(RTE_MAX(capacity, 16u));

	worker->name_mask = buckets - 1;
	worker->name_buckets = sl_pool_reserve(buckets * sizeof(uint32_t));
	return worker->name_buckets != NULL &&
	       sl_pool_create(&worker->names, sizeof(struct sl_name), capacity);
}

void sl_names_destroy(struct sl_worker *worker)
{
	sl_pool_release(worker->name_buckets, ((size_t)worker->name_mask + 1) * sizeof(uint32_t));
	if (worker->names.base != NULL)
		sl_pool_destroy(&worker->names);
}

uint32_t sl_names_hash_with(const uint64_t secret[SL_NAMES_SECRETS], const char *bytes, size_t len)
{
	uint64_t hash = secret[0] ^ len, word;

	for (size_t i = 0; i < len; i += 8) {
		unsigned __int128 product;

		word = 0;
		memcpy(&word, bytes + i, RTE_MIN(len - i, sizeof(word)));
		product = (unsigned __int128)(hash ^ secret[1]) * (word ^ secret[2]);
		hash = (uint64_t)product ^ (uint64_t)(product >> 64);
	}
	return (uint32_t)(hash ^ hash >> 32);
}

/* Keyed with the flow table's secret: sandboxes choose the names. */
uint32_t sl_names_hash(const struct sl_worker *worker, const char *name, size_t len)
{
	return sl_names_hash_with(worker->table.secret, name, len);
}

uint32_t sl_names_take(struct sl_worker *worker, const char *name, size_t len)
{
	uint32_t hash = sl_names_hash(worker, name, len), index;
	uint32_t *bucket = &worker->name_buckets[hash & worker->name_mask];
	struct sl_name *entry;

	for (index = *bucket; index != 0; index = entry->next) {
		entry = sl_pool_at(&worker->names, index);
		if (entry->hash == hash && entry->len == len &&
		    memcmp(entry->text, name, len) == 0) {
			entry->refs++;
			return index;
		}
	}
	index = sl_pool_get(&worker->names);
	if (index == 0)
		return 0;
	entry = sl_pool_at(&worker->names, index);
	entry->next = *bucket;
	entry->refs = 1;
	entry->hash = hash;
	entry->len = (uint8_t)len;
	memcpy(entry->text, name, len);
	entry->text[len] = '\0';
	*bucket = index;
	return index;
}

void sl_names_drop(struct sl_worker *worker, uint32_t index)
{
	struct sl_name *entry = sl_pool_at(&worker->names, index);
	uint32_t *link;

	if (index == 0 || --entry->refs > 0)
		return;
	link = &worker->name_buckets[entry->hash & worker->name_mask];
	while (*link != index)
		link = &((struct sl_name *)sl_pool_at(&worker->names, *link))->next;
	*link = entry->next;
	sl_pool_put(&worker->names, index);
}
