/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h: where the control plane's long-lived memory comes from.
 *
 * An arena is dropped as a whole, without a walk over what is in it. Compiled policies, lists of
 * prefixes and lists of patterns live as long as something refers to them and come from the shared
 * arena; the index of a generation comes from that generation's own arena. No other file knows the
 * allocator.
 */
#ifndef SLUICE_CONTROL_ARENA_H
#define SLUICE_CONTROL_ARENA_H

#include <stddef.h>

struct sl_arena;

/* A new arena, or NULL without memory. Any thread. */
struct sl_arena *sl_arena_create(void);

/* The process's shared arena, made at the first call and never dropped; NULL without memory. */
struct sl_arena *sl_arena_shared(void);

/*
 * Memory aligned for any type, not initialised; a size of zero also returns a pointer. NULL
 * without memory. Any thread.
 */
void *sl_arena_alloc(struct sl_arena *arena, size_t bytes);

/* The same, filled with zeros. */
void *sl_arena_zalloc(struct sl_arena *arena, size_t bytes);

/* Gives one piece of that arena back. NULL is fine. Any thread. */
void sl_arena_free(struct sl_arena *arena, void *ptr);

/* Gives an arena and everything in it back at once. NULL is fine; not for the shared one. */
void sl_arena_drop(struct sl_arena *arena);

#endif
