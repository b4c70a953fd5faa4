/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.h: tables of cases. Each row has a name, `what`, or is its own name, so that a row that
 * fails can be told from the others.
 *
 * A test that tries all rows of a table calls row(rows[i].what) before each: the name printed last
 * is the one of the row that failed. If the rows are tests of their own, they are listed by
 * ROW_TEST(), and cmocka names them.
 *
 * To be included after <cmocka.h>.
 */
#ifndef TESTS_ROWS_H
#define TESTS_ROWS_H

#include <stdint.h>
#include <stdio.h>

/* What is no printable ASCII is printed as \xNN. */
static inline void row(const char *what)
{
	char text[200];
	size_t n = 0;

	for (; what != NULL && *what != '\0' && n < sizeof(text) - 5; what++)
		if (*what >= ' ' && *what <= '~')
			text[n++] = *what;
		else
			n += (size_t)sprintf(text + n, "\\x%02x", (uint8_t)*what);
	text[n] = '\0';
	print_message("             row: %s\n", what == NULL ? "NULL" : text);
}

/* The name of a row is put together: ROWF("port %u", rows[i].port). */
#define ROWF(...)                                                                                  \
	do {                                                                                       \
		char what_[200];                                                                   \
		snprintf(what_, sizeof(what_), __VA_ARGS__);                                       \
		row(what_);                                                                        \
	} while (0)

/* A row that is a number. */
#define ROW_NUMBER(number) ROWF("%lld", (long long)(number))

/* A test that finds its row in *state. */
#define ROW_TEST(function, its_row)                                                                \
	{                                                                                          \
		.name = (its_row).what, .test_func = (function),                                   \
		.initial_state = (void *)(uintptr_t) & (its_row)                                   \
	}

#endif
