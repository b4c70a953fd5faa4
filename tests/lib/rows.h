/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.h: tables of cases. Each row has a name, `what`, so that a row that fails can be told from
 * the others.
 *
 * A test that tries all rows of a table calls row(rows[i].what) before each: the name printed last
 * is the one of the row that failed. If the rows are tests of their own, they are listed by
 * ROW_TEST(), and cmocka names them.
 *
 * To be included after <cmocka.h>.
 */
#ifndef TESTS_ROWS_H
#define TESTS_ROWS_H

static inline void row(const char *what)
{
	print_message("             row: %s\n", what);
}

/* A test that finds its row in *state. */
#define ROW_TEST(function, its_row)                                                                \
	{                                                                                          \
		.name = (its_row).what, .test_func = (function),                                   \
		.initial_state = (void *)(uintptr_t) & (its_row)                                   \
	}

#endif
