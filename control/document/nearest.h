/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nearest.h: the word that somebody may have meant.
 */
#ifndef SLUICE_CONTROL_NEAREST_H
#define SLUICE_CONTROL_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

#define SL_NEAREST_FAR 3 /* no closer than that: another word */

/*
 * How many letters must be added, left out, changed, or swapped with their neighbour to make one
 * word of the other; SL_NEAREST_FAR for that many and more, and for words of which nothing stays.
 */
unsigned sl_nearest_distance(const char *a, const char *b);

/* The nearest of n words, or NULL if none is near. The first of several. */
const char *sl_nearest_word(const char *text, const char *const *words, size_t n);

#endif
