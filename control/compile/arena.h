/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h: where the control plane's long-lived memory comes from.
 *
 * An arena is dropped as a whole; nothing in it needs to be found first. Rows, subnet tables and
 * name databases live as long as something refers to them and come from the shared arena; what
 * belongs to one generation alone comes from that generation's own. Nobody else knows the
 * allocator behind it.
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
 * Memory aligned for any type, its content undefined; zero bytes give a pointer as well. NULL
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
