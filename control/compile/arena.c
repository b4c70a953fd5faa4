/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c: arenas on jemalloc, or on malloc where a sanitiser must see each piece
 * (-DSL_ARENA_MALLOC). This file decides where memory comes from; it must not know what the memory
 * is for.
 *
 * Making and destroying a jemalloc arena takes some tens of microseconds, and each push makes one
 * and drops one: dropped arenas are reset and kept for reuse.
 */
#include "arena.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SL_ARENA_MALLOC

/* Every allocation is linked into its arena's ring, so that dropping the arena can free it. */
struct piece {
	struct piece *next, *prev;
	_Alignas(max_align_t) unsigned char bytes[];
};

struct sl_arena {
	struct piece ring;
};

static pthread_mutex_t ring_lock = PTHREAD_MUTEX_INITIALIZER;

static struct sl_arena *arena_new(void)
{
	struct sl_arena *arena = malloc(sizeof(*arena));

	if (arena != NULL)
		arena->ring.next = arena->ring.prev = &arena->ring;
	return arena;
}

void *sl_arena_alloc(struct sl_arena *arena, size_t bytes)
{
	struct piece *piece = malloc(sizeof(*piece) + bytes);

	if (piece == NULL)
		return NULL;
	pthread_mutex_lock(&ring_lock);
	piece->next = arena->ring.next;
	piece->prev = &arena->ring;
	piece->next->prev = piece;
	arena->ring.next = piece;
	pthread_mutex_unlock(&ring_lock);
	return piece->bytes;
}

void sl_arena_free(struct sl_arena *arena, void *ptr)
{
	struct piece *piece;

	if (ptr == NULL)
		return;
	piece = (struct piece *)((unsigned char *)ptr - offsetof(struct piece, bytes));
	pthread_mutex_lock(&ring_lock);
	piece->next->prev = piece->prev;
	piece->prev->next = piece->next;
	pthread_mutex_unlock(&ring_lock);
	free(piece);
}

void sl_arena_drop(struct sl_arena *arena)
{
	if (arena == NULL)
		return;
	for (struct piece *piece = arena->ring.next; piece != &arena->ring;) {
		struct piece *next = piece->next;

		free(piece);
		piece = next;
	}
	free(arena);
}

#else

#include <jemalloc/jemalloc.h>

#define SPARE_MAX 8 /* dropped arenas kept for the next generations */

struct sl_arena {
	unsigned index;
	int flags;
};

static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sl_arena *spare[SPARE_MAX];
static unsigned spare_count;

static struct sl_arena *take_spare(void)
{
	struct sl_arena *arena = NULL;

	pthread_mutex_lock(&spare_lock);
	if (spare_count > 0)
		arena = spare[--spare_count];
	pthread_mutex_unlock(&spare_lock);
	return arena;
}

/* False: there are enough spare arenas. */
static bool keep_spare(struct sl_arena *arena)
{
	bool kept = false;

	pthread_mutex_lock(&spare_lock);
	if (spare_count < SPARE_MAX) {
		spare[spare_count++] = arena;
		kept = true;
	}
	pthread_mutex_unlock(&spare_lock);
	return kept;
}

static struct sl_arena *arena_new(void)
{
	struct sl_arena *arena = take_spare();
	size_t size = sizeof(arena->index);

	if (arena != NULL)
		return arena;
	arena = malloc(sizeof(*arena));
	if (arena == NULL)
		return NULL;
	if (mallctl("arenas.create", &arena->index, &size, NULL, 0) != 0) {
		free(arena);
		return NULL;
	}
	/* No thread caches: they would keep memory across the reset. */
	arena->flags = MALLOCX_ARENA(arena->index) | MALLOCX_TCACHE_NONE;
	return arena;
}

/* Runs mallctl "arena.<index>.<what>". */
static void arena_ctl(const struct sl_arena *arena, const char *what)
{
	char name[48];

	snprintf(name, sizeof(name), "arena.%u.%s", arena->index, what);
	mallctl(name, NULL, NULL, NULL, 0);
}

void *sl_arena_alloc(struct sl_arena *arena, size_t bytes)
{
	return mallocx(bytes > 0 ? bytes : 1, arena->flags);
}

void sl_arena_free(struct sl_arena *arena, void *ptr)
{
	if (ptr != NULL)
		dallocx(ptr, arena->flags);
}

void sl_arena_drop(struct sl_arena *arena)
{
	if (arena == NULL)
		return;
	arena_ctl(arena, "reset");
	if (keep_spare(arena))
		return;
	arena_ctl(arena, "destroy");
	free(arena);
}

#endif

struct sl_arena *sl_arena_create(void)
{
	return arena_new();
}

void *sl_arena_zalloc(struct sl_arena *arena, size_t bytes)
{
	void *ptr = sl_arena_alloc(arena, bytes);

	if (ptr != NULL)
		memset(ptr, 0, bytes);
	return ptr;
}

static struct sl_arena *shared;

static void make_shared(void)
{
	shared = arena_new();
}

struct sl_arena *sl_arena_shared(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_shared);
	return shared;
}
