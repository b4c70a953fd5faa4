/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exactly.h: bytes on the heap, in memory of exactly their length, so that a sanitiser sees every
 * read past their end. To be included after <cmocka.h>.
 */
#ifndef TESTS_EXACTLY_H
#define TESTS_EXACTLY_H

#include <stdlib.h>
#include <string.h>

/* To be freed by the caller. */
static inline void *exactly(const void *bytes, size_t len)
{
	void *copy = malloc(len != 0 ? len : 1);

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

#endif
