/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag_expect.h: shared by the tests of documents: compares all errors of a text with those
 * expected, in the order of the file. A missing or additional error, or one in another place,
 * fails.
 */
#ifndef TESTS_DIAG_EXPECT_H
#define TESTS_DIAG_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "document/diag.h"
#include "exactly.h"
#include "expect.h"
#include "rows.h"

#define TEXTS_MAX (SL_DIAG_MAX + 1)

/* Changes to the source directory, which file names are relative to; the build passes its path. */
static inline int enter_source(void)
{
	const char *source = getenv("SLUICE_SOURCE");

	return source == NULL ? 0 : chdir(source);
}

struct texts {
	size_t n;
	char *list[TEXTS_MAX];
};

static inline void keep_text(void *opaque, const char *text)
{
	struct texts *texts = opaque;

	assert_true(texts->n < TEXTS_MAX);
	texts->list[texts->n] = strdup(text);
	assert_non_null(texts->list[texts->n]);
	texts->n++;
}

/*
 * Each of expected is "LINE:COLUMN: words": the place of the error, and words that it must
 * contain.
 */
static inline void expect_one(const char *file, const char *text, const char *expected)
{
	const char *words = strstr(expected, ": ");
	char place[128];

	assert_non_null(words);
	snprintf(place, sizeof(place), "%s:%.*s: ", file, (int)(words - expected), expected);
	if (strncmp(text, place, strlen(place)) != 0 || strstr(text, words + 2) == NULL)
		fail_msg("expected %s... %s\n     but got %s", place, words + 2, text);
}

static inline void expect_texts(struct sl_diag *diag, enum sl_diag_severity severity,
                                const char *file, const char *const *expected, size_t n)
{
	struct texts texts = {0};

	sl_diag_each(diag, severity, keep_text, &texts);
	for (size_t i = 0; i < texts.n && i < n; i++)
		expect_one(file, texts.list[i], expected[i]);
	if (texts.n != n)
		fail_msg("%zu messages instead of %zu; the first beyond: %s", texts.n, n,
		         texts.n > n ? texts.list[n] : expected[texts.n]);
	for (size_t i = 0; i < texts.n; i++)
		free(texts.list[i]);
}

#endif
