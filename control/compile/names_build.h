/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names_build.h: compiling one list of patterns.
 */
#ifndef SLUICE_CONTROL_NAMES_BUILD_H
#define SLUICE_CONTROL_NAMES_BUILD_H

#include <stdbool.h>
#include <stdint.h>

struct sl_name_list;

/* True for a list that is better compiled in the background. */
bool sl_names_build_takes_long(const struct sl_name_list *list);

/*
 * Makes list->names of list->text; key is that of all hashes of suffixes. Returns 0 or -ENOMEM, or
 * -EINVAL with Hyperscan's words in list->why; then nothing was made. Any thread that alone has the
 * list.
 */
int sl_names_build(struct sl_name_list *list, const uint64_t key[2]);

/* Gives back what it made, if anything. */
void sl_names_build_free(struct sl_name_list *list);

#endif
