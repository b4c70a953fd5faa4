/* SPDX-License-Identifier: Apache-2.0 */
/* test_arena.c: arenas allocate memory, free single pieces, and are dropped as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "compile/arena.h"

static void test_pieces_are_aligned_and_apart(void **state)
{
	struct sl_arena *arena = sl_arena_create();
	unsigned char *piece[64];

	assert_non_null(arena);
	for (size_t i = 0; i < 64; i++) {
		piece[i] = sl_arena_alloc(arena, i);
		assert_non_null(piece[i]);
		assert_int_equal((uintptr_t)piece[i] % _Alignof(uint64_t), 0);
		memset(piece[i], (int)i, i);
	}
	for (size_t i = 0; i < 64; i++)
		for (size_t k = 0; k < i; k++)
			assert_int_equal(piece[i][k], i);
	for (size_t i = 0; i < 64; i += 2)
		sl_arena_free(arena, piece[i]);
	sl_arena_drop(arena);
}

static void test_zalloc_after_reuse_is_zero(void **state)
{
	for (unsigned round = 0; round < 20; round++) {
		struct sl_arena *arena = sl_arena_create();
		unsigned char *bytes;

		assert_non_null(arena);
		bytes = sl_arena_zalloc(arena, 10000);
		assert_non_null(bytes);
		for (size_t i = 0; i < 10000; i++)
			assert_int_equal(bytes[i], 0);
		memset(bytes, 0xa5, 10000);
		sl_arena_drop(arena);
	}
}

static void test_dropping_one_leaves_another(void **state)
{
	struct sl_arena *one = sl_arena_create(), *other = sl_arena_create();
	char *kept = sl_arena_alloc(other, 100), *shared = sl_arena_alloc(sl_arena_shared(), 100);

	assert_non_null(kept);
	assert_non_null(shared);
	strcpy(kept, "kept");
	strcpy(shared, "shared");
	for (unsigned i = 0; i < 1000; i++)
		assert_non_null(sl_arena_alloc(one, 1000));
	sl_arena_drop(one);
	assert_string_equal(kept, "kept");
	assert_string_equal(shared, "shared");
	sl_arena_free(sl_arena_shared(), shared);
	sl_arena_drop(other);
	sl_arena_drop(NULL);
	sl_arena_free(sl_arena_shared(), NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pieces_are_aligned_and_apart),
	        cmocka_unit_test(test_zalloc_after_reuse_is_zero),
	        cmocka_unit_test(test_dropping_one_leaves_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
