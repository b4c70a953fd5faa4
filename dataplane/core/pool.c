/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c: allocates the memory of the dataplane's tables, once, at setup. */
#include "pool.h"

#include <sys/mman.h>

void *sl_pool_reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* Fewer TLB misses if the kernel provides huge pages; it may refuse. */
	madvise(memory, bytes, MADV_HUGEPAGE);
	return memory;
}

void sl_pool_touch(void *memory, size_t bytes)
{
	/* Linux 5.14 or later; older kernels fault the pages in at first use */
	madvise(memory, bytes, MADV_POPULATE_WRITE);
}

void sl_pool_release(void *memory, size_t bytes)
{
	if (memory != NULL)
		munmap(memory, bytes);
}

static size_t pool_bytes(const struct sl_pool *pool)
{
	return ((size_t)pool->capacity + 1) * pool->element_bytes;
}

bool sl_pool_create(struct sl_pool *pool, size_t element_bytes, uint32_t capacity)
{
	*pool = (struct sl_pool){
	        .element_bytes = element_bytes,
	        .capacity = capacity,
	        .fresh = 1,
	};
	pool->base = sl_pool_reserve(pool_bytes(pool));
	return pool->base != NULL;
}

void sl_pool_destroy(struct sl_pool *pool)
{
	sl_pool_release(pool->base, pool_bytes(pool));
	pool->base = NULL;
}
