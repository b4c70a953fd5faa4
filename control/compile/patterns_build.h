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
 * Makes list->patterns of list->text; key is that of all hashes of suffixes. Returns 0 or -ENOMEM,
 * or -EINVAL with Hyperscan's words in list->why; then nothing was made. Any thread that alone has
 * the list.
 */
int sl_patterns_build(struct sl_pattern_list *list, const uint64_t key[2]);

/* Gives back what it made, if anything. */
void sl_patterns_build_free(struct sl_pattern_list *list);

#endif
