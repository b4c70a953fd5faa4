/* SPDX-License-Identifier: Apache-2.0 */
/* nearest.h: the word that a misspelt one was probably meant to be. */
#ifndef SLUICE_CONTROL_NEAREST_H
#define SLUICE_CONTROL_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

#define SL_NEAREST_FAR 3 /* from this distance on it is a different word */

/*
 * How many letters must be added, removed, changed, or swapped with their neighbour to turn one
 * word into the other; SL_NEAREST_FAR for that many and more, and if no letter would remain.
 */
unsigned sl_nearest_distance(const char *a, const char *b);

/* The nearest of n words, or NULL if none is near. The first of several. */
const char *sl_nearest_word(const char *text, const char *const *words, size_t n);

#endif
