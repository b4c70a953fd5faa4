/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h: what fuzz targets have in common: a condition that must hold, and bytes that are drawn
 * one after another as a script of moves.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool condition)
{
	if (!condition)
		abort();
}

struct script {
	const uint8_t *at;
	size_t left;
};

/* 0 at the end. */
static inline uint8_t draw(struct script *script)
{
	if (script->left == 0)
		return 0;
	script->left--;
	return *script->at++;
}

static inline unsigned draw16(struct script *script)
{
	unsigned high = draw(script);

	return high << 8 | draw(script);
}

#endif
