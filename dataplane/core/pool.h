/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h: fixed-size elements by index; all memory is reserved when the pool is created.
 *
 * The memory is reserved, not touched: elements that were never used cost nothing. Freed elements
 * are used again first. Index 0 is never given out, so that 0 means "none" in every link.
 */
#ifndef DATAPLANE_POOL_H
#define DATAPLANE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_pool {
	uint8_t *base;
	size_t element_bytes;
	uint32_t capacity; /* elements, without element 0 */
	uint32_t used;
	uint32_t fresh; /* the lowest index that was never given out */
	uint32_t free;  /* list of freed elements, linked through their first four bytes */
};

/* Setup only. Returns false if there is no address space. */
bool sl_pool_create(struct sl_pool *pool, size_t element_bytes, uint32_t capacity);
void sl_pool_destroy(struct sl_pool *pool);

static inline void *sl_pool_at(const struct sl_pool *pool, uint32_t index)
{
	return pool->base + (size_t)index * pool->element_bytes;
}

/* Returns an index, its bytes undefined, or 0 if the pool is used up. */
static inline uint32_t sl_pool_get(struct sl_pool *pool)
{
	uint32_t index = pool->free;

	if (index != 0) {
		pool->free = *(uint32_t *)sl_pool_at(pool, index);
	} else {
		if (pool->fresh > pool->capacity)
			return 0;
		index = pool->fresh++;
	}
	pool->used++;
	return index;
}

static inline void sl_pool_put(struct sl_pool *pool, uint32_t index)
{
	*(uint32_t *)sl_pool_at(pool, index) = pool->free;
	pool->free = index;
	pool->used--;
}

/* Reserves zeroed memory that is touched only as it is used; NULL if that fails. Setup only. */
void *sl_pool_reserve(size_t bytes);
void sl_pool_release(void *memory, size_t bytes);

/* Pre-faults the first bytes of reserved memory, so that no packet waits for it. */
void sl_pool_touch(void *memory, size_t bytes);

#endif
