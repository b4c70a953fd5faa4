/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generation_build.c: builds the index of a generation. It is complete when it is returned, and
 * must never be changed after that.
 */
#include "generation_build.h"

#include <string.h>

#include "arena.h"
#include "compile.h"
#include "table_copy.h"

struct owned {
	struct sl_arena *arena;
	struct sl_generation generation; /* last: it ends in an array of the changed VLANs */
};

static void apply_change(struct sl_generation *generation, const struct sl_change *change)
{
	for (unsigned i = 0; i < change->count; i++) {
		const struct sl_compiled_policy *from = change->compiled[i].from,
		                                *to = change->compiled[i].to;
		uint16_t vlan = (to != NULL ? to : from)->sandbox.vlan;

		generation->sandbox_count =
		        (uint16_t)(generation->sandbox_count -
		                   (generation->sandboxes[vlan] != NULL) + (to != NULL));
		generation->sandboxes[vlan] = to != NULL ? &to->sandbox : NULL;
		generation->changed[i] = vlan;
	}
	generation->changed_count = (uint16_t)change->count;
}

struct sl_generation *sl_generation_build(const struct sl_generation *previous, uint64_t number,
                                          const struct sl_change *change,
                                          const struct sl_table_copy *copy,
                                          const struct sl_scratches *scratches)
{
	struct sl_arena *arena = sl_arena_create();
	struct owned *owned;

	if (arena == NULL)
		return NULL;
	owned = sl_arena_alloc(arena, sizeof(*owned) + change->count * sizeof(uint16_t));
	if (owned == NULL) {
		sl_arena_drop(arena);
		return NULL;
	}
	owned->arena = arena;
	if (previous != NULL)
		owned->generation = *previous;
	else
		memset(&owned->generation, 0, sizeof(owned->generation));
	owned->generation.number = number;
	owned->generation.fib4 = copy->fib4;
	owned->generation.fib6 = copy->fib6;
	owned->generation.classes = copy->classes;
	if (scratches != NULL)
		memcpy(owned->generation.scratch, scratches->scratch,
		       sizeof(owned->generation.scratch));
	apply_change(&owned->generation, change);
	return &owned->generation;
}

void sl_generation_build_drop(struct sl_generation *generation)
{
	if (generation == NULL)
		return;
	sl_arena_drop(
	        ((struct owned *)((char *)generation - offsetof(struct owned, generation)))->arena);
}
