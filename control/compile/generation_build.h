/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generation_build.h: making and freeing a generation, the index from which workers reach
 * everything (include/sluice/generation.h).
 *
 * A generation owns nothing but its index; what the index points to is shared between generations
 * and kept alive by the compiler's pools.
 */
#ifndef SLUICE_CONTROL_GENERATION_BUILD_H
#define SLUICE_CONTROL_GENERATION_BUILD_H

#include <stdint.h>

#include "sluice/generation.h"

struct sl_change;
struct sl_scratches;
struct sl_table_copy;

/*
 * The generation that results from applying a change to the previous one (NULL: to none), in an
 * arena of its own. scratches may be NULL. Returns NULL without memory. Control thread.
 */
struct sl_generation *sl_generation_build(const struct sl_generation *previous, uint64_t number,
                                          const struct sl_change *change,
                                          const struct sl_table_copy *copy,
                                          const struct sl_scratches *scratches);

/* Gives a generation's arena back. No worker may hold the pointer. NULL is fine. */
void sl_generation_build_drop(struct sl_generation *generation);

#endif
