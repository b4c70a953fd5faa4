/*
 * pool.h: memory of one document, given back in one go.
 *
 * A document has hundreds of thousands of small pieces that live and die together. The memory comes
 * from malloc: documents are short-lived and no part of a generation.
 */
#ifndef SLUICE_CONTROL_POOL_H
#define SLUICE_CONTROL_POOL_H

#include <stddef.h>

struct sl_pool;

/* NULL without memory. One thread at a time. */
struct sl_pool *sl_pool_create(void);

/* Frees the pool and all that came from it. NULL is fine. */
void sl_pool_destroy(struct sl_pool *pool);

/* Zeroed memory for n things of size bytes, aligned for any type; NULL without memory. n may be 0.
 */
void *sl_pool_alloc(struct sl_pool *pool, size_t n, size_t size);

/* A NUL-terminated copy of len bytes; NULL without memory. */
char *sl_pool_copy(struct sl_pool *pool, const char *text, size_t len);

#endif
