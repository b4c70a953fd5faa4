/* SPDX-License-Identifier: Apache-2.0 */
/* nearest.c: the word that a misspelt one was probably meant to be. Pure. */
#include "nearest.h"

#include <string.h>

#define LONGEST 128 /* longer words are not compared */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* The optimal string alignment distance, by rows: what is `row - 2` there is `earlier` here. */
static unsigned distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
	unsigned rows[3][LONGEST + 1], *earlier = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= n_b; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= n_a; i++) {
		unsigned *spare = earlier;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n_b; j++) {
			row[j] = least(least(last[j], row[j - 1]) + 1,
			               last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], earlier[j - 2] + 1);
		}
		earlier = last;
		last = row;
		row = spare;
	}
	return last[n_b];
}

unsigned sl_nearest_distance(const char *a, const char *b)
{
	size_t n_a = strnlen(a, LONGEST + 1), n_b = strnlen(b, LONGEST + 1);
	size_t longer = n_a > n_b ? n_a : n_b, shorter = n_a > n_b ? n_b : n_a;
	unsigned found;

	if (longer > LONGEST || longer - shorter >= SL_NEAREST_FAR)
		return SL_NEAREST_FAR;
	found = distance(a, n_a, b, n_b);
	return found < shorter ? least(found, SL_NEAREST_FAR) : SL_NEAREST_FAR;
}

const char *sl_nearest_word(const char *text, const char *const *words, size_t n)
{
	unsigned best = SL_NEAREST_FAR;
	const char *found = NULL;

	for (size_t i = 0; i < n && best > 0; i++) {
		unsigned at = sl_nearest_distance(text, words[i]);

		if (at >= best)
			continue;
		best = at;
		found = words[i];
	}
	return found;
}
