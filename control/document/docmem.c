/* SPDX-License-Identifier: Apache-2.0 */
/* docmem.c: bump allocation in chunks. A piece is never moved and never freed alone. */
#include "docmem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (256u << 10)
#define ALIGN       _Alignof(max_align_t)

struct chunk {
	struct chunk *next;
	size_t size;
	size_t used;
	_Alignas(max_align_t) char bytes[];
};

struct sl_docmem {
	struct chunk *chunks; /* the first one is being filled */
};

struct sl_docmem *sl_docmem_create(void)
{
	return calloc(1, sizeof(struct sl_docmem));
}

void sl_docmem_destroy(struct sl_docmem *mem)
{
	if (mem == NULL)
		return;
	while (mem->chunks != NULL) {
		struct chunk *next = mem->chunks->next;

		free(mem->chunks);
		mem->chunks = next;
	}
	free(mem);
}

static struct chunk *new_chunk(size_t size)
{
	struct chunk *chunk;

	if (size > SIZE_MAX - sizeof(*chunk))
		return NULL;
	chunk = malloc(sizeof(*chunk) + size);
	if (chunk == NULL)
		return NULL;
	chunk->next = NULL;
	chunk->size = size;
	chunk->used = 0;
	return chunk;
}

/* Room for that many bytes in the chunk that is being filled, or in a new one. */
static void *take(struct sl_docmem *mem, size_t bytes)
{
	struct chunk *chunk = mem->chunks;
	void *piece;

	if (chunk == NULL || chunk->size - chunk->used < bytes) {
		struct chunk *fresh = new_chunk(bytes > CHUNK_BYTES / 4 ? bytes : CHUNK_BYTES);

		if (fresh == NULL)
			return NULL;
		if (chunk != NULL && fresh->size == bytes) {
			/*
			 * A large piece gets a chunk of its own, which is linked after the one
			 * being filled, so that the rest of that one stays in use.
			 */
			fresh->next = chunk->next;
			chunk->next = fresh;
		} else {
			fresh->next = chunk;
			mem->chunks = fresh;
		}
		chunk = fresh;
	}
	piece = chunk->bytes + chunk->used;
	chunk->used += bytes;
	return piece;
}

void *sl_docmem_alloc(struct sl_docmem *mem, size_t n, size_t size)
{
	size_t bytes;
	void *piece;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	bytes = bytes == 0 ? ALIGN : (bytes + ALIGN - 1) / ALIGN * ALIGN;
	piece = take(mem, bytes);
	return piece == NULL ? NULL : memset(piece, 0, bytes);
}

char *sl_docmem_copy(struct sl_docmem *mem, const char *text, size_t len)
{
	char *copy = sl_docmem_alloc(mem, len + 1, 1);

	return copy == NULL ? NULL : memcpy(copy, text, len);
}
