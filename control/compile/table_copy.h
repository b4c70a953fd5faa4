/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_copy.h: one of the two copies of the address tables: rte_fib and rte_fib6 with the union of
 * all prefixes in them, and for each class the class that encloses it. Workers read one copy while
 * the other is changed; union.c knows which is which.
 *
 * Threads: the control thread changes a copy that no worker reads.
 */
#ifndef SLUICE_CONTROL_TABLE_COPY_H
#define SLUICE_CONTROL_TABLE_COPY_H

#include <stdint.h>

#include "sluice/generation.h"

struct sl_table_copy_limits {
	uint32_t prefixes; /* of each family */
	uint32_t tbl8_4;
	uint32_t tbl8_6;
};

struct sl_table_copy {
	struct rte_fib *fib4;
	struct rte_fib6 *fib6;
	struct sl_class *classes; /* by class id, 0 .. class_max */
	struct sl_table_copy_limits limits;
	uint32_t tbl8_4; /* second-level tables in use */
	uint32_t tbl8_6;
};

/*
 * Makes an empty copy for classes up to class_max. Returns 0 or -ENOMEM. Call sl_table_copy_fini()
 * in either case.
 */
int sl_table_copy_init(struct sl_table_copy *copy, const struct sl_table_copy_limits *limits,
                       uint32_t class_max);
void sl_table_copy_fini(struct sl_table_copy *copy);

/*
 * Adds a prefix that is not there yet. space is that of this prefix alone, not of those that
 * enclose it. Returns 0; -ENOSPC if there are too few second-level tables, or -ENOMEM: nothing
 * changed; -EIO: the table misbehaved, and the copy must not be used any more.
 */
int sl_table_copy_add(struct sl_table_copy *copy, const struct sl_net *net, uint32_t class,
                      enum sl_space space);

/* Removes a prefix that is there. Returns 0, or -EIO as above. */
int sl_table_copy_remove(struct sl_table_copy *copy, const struct sl_net *net, uint32_t class);

#endif
