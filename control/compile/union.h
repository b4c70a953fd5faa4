/* SPDX-License-Identifier: Apache-2.0 */
/*
 * union.h: the union of all prefixes, those of every policy and the config's own ranges. Every
 * distinct prefix in it has a class id, the same on both copies of the address tables.
 *
 * A prefix is in the union while something refers to it. A push takes and drops references, then
 * apply brings the standby copy up to date with them; commit makes that copy the live one; and when
 * no worker reads the other any more, reclaim makes the same change there. Only then may the id of
 * a dropped class be given to another prefix.
 *
 * Threads: the control thread.
 */
#ifndef SLUICE_CONTROL_UNION_H
#define SLUICE_CONTROL_UNION_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice/generation.h"

#include "table_copy.h"

struct sl_config;
struct sl_diag;
struct sl_union;

/*
 * Makes both copies, with the config's internal and protected ranges in them (config NULL: none).
 * single: no worker reads while a push is made, so one copy is enough. Returns NULL without memory.
 */
struct sl_union *sl_union_create(const struct sl_table_copy_limits *limits,
                                 const struct sl_config *config, bool single);

/* No worker may read either copy any more. NULL is fine. */
void sl_union_destroy(struct sl_union *all);

/* The class of a prefix, or SL_CLASS_NONE if it has none. */
uint32_t sl_union_find(const struct sl_union *all, const struct sl_net *net);

/*
 * A class for a prefix that has none, without a reference: the caller takes one before apply, or
 * the class is forgotten. SL_CLASS_NONE if there are no ids left.
 */
uint32_t sl_union_make(struct sl_union *all, const struct sl_net *net);

void sl_union_hold(struct sl_union *all, uint32_t class);
void sl_union_drop(struct sl_union *all, uint32_t class);

/*
 * Brings the standby copy up to date. Returns 0; or -ENOSPC with the figures in diag, or -EIO: the
 * copy is unchanged, and the caller undoes its changes of references, then cancels.
 */
int sl_union_apply(struct sl_union *all, const char *file, struct sl_diag *diag);

/*
 * Puts the standby copy back if apply changed it, and forgets classes that were made since the last
 * commit. References must be as they were then.
 */
void sl_union_cancel(struct sl_union *all);

/* The standby copy, as applied, is the live one from now on. */
void sl_union_commit(struct sl_union *all);

/*
 * Call once no worker reads the standby copy: makes the change there that the live one has.
 * Returns 0, or -EIO: every later apply will refuse.
 */
int sl_union_reclaim(struct sl_union *all);

/* The copy that no worker reads. */
const struct sl_table_copy *sl_union_standby(const struct sl_union *all);

#endif
