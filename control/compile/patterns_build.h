/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns_build.h: compiling one list of patterns.
 */
#ifndef SLUICE_CONTROL_PATTERNS_BUILD_H
#define SLUICE_CONTROL_PATTERNS_BUILD_H

#include <stdbool.h>
#include <stdint.h>

struct sl_pattern_list;

/* True for a list that is better compiled in the background. */
bool sl_patterns_build_takes_long(const struct sl_pattern_list *list);

/*
 * Compiles list->text into list->patterns; key is that of all hashes of suffixes. Returns 0 or
 * -ENOMEM, or -EINVAL with Hyperscan's message in list->why; on error nothing was made. Any thread
 * that owns the list.
 */
int sl_patterns_build(struct sl_pattern_list *list, const uint64_t key[2]);

/* Frees what sl_patterns_build() made, if anything. */
void sl_patterns_build_free(struct sl_pattern_list *list);

#endif
