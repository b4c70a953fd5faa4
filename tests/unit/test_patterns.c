/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_patterns.c: compiled patterns against names: each kind as the specification defines it, and
 * the contract of the pool of lists.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "compile/compile.h"
#include "document/diag.h"
#include "document/pattern.h"
#include "sluice/hostname.h"

#define PATTERNS_MAX 16

static struct sl_pattern_pool *pool;

static int setup(void **state)
{
	pool = sl_compile_patterns_create(2);
	return pool == NULL;
}

static int teardown(void **state)
{
	sl_compile_patterns_destroy(pool);
	return 0;
}

static int order(const void *a, const void *b)
{
	return sl_pattern_compare(a, b);
}

/* The list of the patterns, which end with NULL; built. */
static struct sl_pattern_list *list_of(const char *const *texts)
{
	static char canonical[PATTERNS_MAX][SL_NAME_MAX + 1];
	struct sl_pattern patterns[PATTERNS_MAX];
	struct sl_pattern_list *list;
	struct sl_diag diag;
	size_t n = 0;

	for (; texts[n] != NULL; n++) {
		char why[128] = "";
		int len = sl_pattern_normalise(texts[n], strlen(texts[n]), canonical[n],
		                               &patterns[n].kind, why, sizeof(why));

		if (len < 1)
			fail_msg("%s: %s", texts[n], why);
		patterns[n].text = canonical[n];
		patterns[n].len = (uint8_t)len;
	}
	qsort(patterns, n, sizeof(patterns[0]), order);
	list = sl_compile_patterns_get(pool, patterns, n);
	assert_non_null(list);
	sl_diag_init(&diag);
	assert_int_equal(sl_compile_patterns_build(pool, list, "test", &diag), 0);
	assert_int_equal(diag.errors, 0);
	sl_diag_free(&diag);
	return list;
}

static bool matches(const struct sl_pattern_list *list, const char *name)
{
	const struct sl_scratches *scratches = NULL;
	char canonical[SL_NAME_MAX + 1];
	int len = sl_hostname_normalise((const uint8_t *)name, strlen(name), canonical);
	bool first, second;

	assert_true(len >= 1);
	assert_int_equal(sl_compile_patterns_scratches(pool, &scratches), 0);
	if (scratches == NULL)
		return sl_patterns_match(&list->patterns, NULL, canonical, (size_t)len);
	first = sl_patterns_match(&list->patterns, scratches->scratch[0], canonical, (size_t)len);
	second = sl_patterns_match(&list->patterns, scratches->scratch[1], canonical, (size_t)len);
	assert_int_equal(first, second);
	return first;
}

/* One pattern, names that it matches, names that it does not. */
static void expect(const char *pattern, const char *const *yes, const char *const *no)
{
	struct sl_pattern_list *list = list_of((const char *const[]){pattern, NULL});

	for (; *yes != NULL; yes++)
		if (!matches(list, *yes))
			fail_msg("%s must match %s", pattern, *yes);
	for (; *no != NULL; no++)
		if (matches(list, *no))
			fail_msg("%s must not match %s", pattern, *no);
	sl_compile_patterns_put(pool, list);
}

#define LIST(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static void test_exact_pattern_matches_that_name_only(void **state)
{
	expect("example.com", LIST("example.com", "EXAMPLE.com", "example.com."),
	       LIST("a.example.com", "xexample.com", "example.comx", "example.com.a", "example",
	            "com", "example-com", "examplexcom"));
	expect("com", LIST("com", "com."), LIST("a.com", "co", "comm"));
	expect("Example.COM.", LIST("example.com"), LIST("www.example.com"));
}

static void test_leading_star_matches_below_at_any_depth(void **state)
{
	expect("*.example.com", LIST("a.example.com", "a.b.c.example.com", "_x.example.com"),
	       LIST("example.com", "aexample.com", "example.com.a", "a.example.com.b", "com",
	            "a.example-com"));
	expect("*.com", LIST("a.com", "b.a.com"), LIST("com", "com.a", "acom"));
}

static void test_inner_star_is_exactly_one_label(void **state)
{
	expect("www.*.com", LIST("www.a.com", "www.a-b.com"),
	       LIST("www.com", "www.a.b.com", "x.www.a.com", "wwwx.a.com", "www.a.comx",
	            "www.a.com.b"));
	expect("a.*.*.x", LIST("a.b.c.x"), LIST("a.b.x", "a.b.c.d.x", "a.x"));
	expect("x.*", LIST("x.y", "x.com"), LIST("x", "x.y.z", "a.x.y"));
}

static void test_first_of_two_stars_is_one_or_more_labels(void **state)
{
	expect("*.*.x", LIST("a.b.x", "a.b.c.x", "a.b.c.d.x"), LIST("a.x", "x", "a.b.y"));
	expect("*.a.*.com", LIST("q.a.b.com", "r.q.a.b.com"),
	       LIST("a.b.com", "q.a.com", "q.a.b.c.com"));
	expect("*.*", LIST("a.b", "a.b.c"), LIST("a"));
}

static void test_star_alone_matches_every_name(void **state)
{
	struct sl_pattern_list *list = list_of(LIST("*", "a.b", "www.*.com"));

	assert_true(list->patterns.any);
	assert_true(matches(list, "x"));
	assert_true(matches(list, "a.b.c.d"));
	assert_false(sl_patterns_match(&list->patterns, NULL, "", 0));
	sl_compile_patterns_put(pool, list);
}

static void test_dot_in_pattern_is_no_wildcard(void **state)
{
	expect("www.*.com", LIST("www.x.com"), LIST("wwwx.x.com", "www.xxcom", "wwwxx.com"));
	expect("a.b", LIST("a.b"), LIST("axb", "a-b"));
}

static void test_longest_names_match(void **state)
{
	char name[SL_NAME_MAX + 1];
	struct sl_pattern_list *list = list_of(LIST("*.b", "a.*.*.c"));

	memset(name, 'a', sizeof(name));
	for (size_t i = 63; i < SL_NAME_MAX; i += 64)
		name[i] = '.';
	memcpy(name + SL_NAME_MAX - 2, ".b", 3);
	assert_true(matches(list, name));
	name[SL_NAME_MAX - 1] = 'x';
	assert_false(matches(list, name));
	sl_compile_patterns_put(pool, list);
}

static void test_scratch_missing_matches_nothing(void **state)
{
	struct sl_pattern_list *list = list_of(LIST("a.b", "www.*.com"));

	assert_true(matches(list, "www.a.com"));
	assert_false(sl_patterns_match(&list->patterns, NULL, "www.a.com", 9));
	assert_true(matches(list, "a.b"));
	assert_false(sl_patterns_match(&list->patterns, NULL, "a.b", 3));
	sl_compile_patterns_put(pool, list);
}

/* A list of n names against what it must and must not match, neighbours included. */
static void expect_own_only(unsigned n)
{
	enum { MOST = 5000 };
	static char text[MOST][64];
	static struct sl_pattern patterns[MOST];
	struct sl_pattern_list *list;
	struct sl_diag diag;
	char name[80];

	for (unsigned i = 0; i < n; i++) {
		bool below = i % 3 == 0;

		patterns[i].len = (uint8_t)snprintf(text[i], sizeof(text[i]), "%sh%u.s%u.x",
		                                    below ? "*." : "", i, i % 7);
		patterns[i].kind = below ? SL_PATTERN_BELOW : SL_PATTERN_EXACT;
		patterns[i].text = text[i];
	}
	qsort(patterns, n, sizeof(patterns[0]), order);
	list = sl_compile_patterns_get(pool, patterns, n);
	assert_non_null(list);
	sl_diag_init(&diag);
	assert_int_equal(sl_compile_patterns_build(pool, list, "test", &diag), 0);
	/* A short list is Hyperscan's, a long one is in the hash. */
	assert_int_equal(list->patterns.literals != NULL, n <= 32);
	assert_int_equal(list->patterns.suffixes != NULL, n > 32);
	for (unsigned i = 0; i < 2 * n; i++) {
		bool below = i % 3 == 0, in = i < n;

		snprintf(name, sizeof(name), "h%u.s%u.x", i, i % 7);
		assert_int_equal(matches(list, name), in && !below);
		snprintf(name, sizeof(name), "y.z.h%u.s%u.x", i, i % 7);
		assert_int_equal(matches(list, name), in && below);
		snprintf(name, sizeof(name), "h%u.s%u.x", i, (i + 1) % 7);
		assert_false(matches(list, name));
		snprintf(name, sizeof(name), "yh%u.s%u.x", i, i % 7);
		assert_false(matches(list, name));
		snprintf(name, sizeof(name), "h%u.s%u.x.y", i, i % 7);
		assert_false(matches(list, name));
	}
	sl_compile_patterns_put(pool, list);
}

static void test_lists_of_any_length_match_their_own_only(void **state)
{
	static const unsigned lengths[] = {1, 2, 3, 10, 31, 32, 33, 34, 100, 5000};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		expect_own_only(lengths[i]);
}

static void test_same_patterns_are_one_list(void **state)
{
	struct sl_pattern_list *one = list_of(LIST("a.b", "*.c"));
	struct sl_pattern_list *same = list_of(LIST("*.C.", "A.B"));
	struct sl_pattern_list *other = list_of(LIST("a.b", "*.d"));

	assert_ptr_equal(one, same);
	assert_ptr_not_equal(one, other);
	assert_int_equal(one->refs, 2);
	sl_compile_patterns_put(pool, one);
	assert_true(matches(same, "a.b"));
	sl_compile_patterns_put(pool, same);
	sl_compile_patterns_put(pool, other);
}

/* A generation that is being retired may still scan with the old scratches. */
static void test_larger_scratch_replaces_and_the_old_one_stays_until_reclaim(void **state)
{
	const struct sl_scratches *before, *after;
	struct sl_pattern_list *small = list_of(LIST("a.*.q")), *large;

	assert_int_equal(sl_compile_patterns_scratches(pool, &before), 0);
	large = list_of(LIST("a.*.b", "*.*.c", "x.*.*.y", "*.q.*.z"));
	assert_int_equal(sl_compile_patterns_scratches(pool, &after), 0);
	assert_ptr_not_equal(before, after);
	assert_ptr_equal(after->replaces, before);
	assert_true(sl_patterns_match(&small->patterns, before->scratch[0], "a.b.q", 5));
	assert_true(sl_patterns_match(&small->patterns, after->scratch[0], "a.b.q", 5));
	assert_true(sl_patterns_match(&large->patterns, after->scratch[1], "a.x.b", 5));
	sl_compile_patterns_reclaim(pool);
	assert_null(after->replaces);
	assert_true(sl_patterns_match(&small->patterns, after->scratch[0], "a.b.q", 5));
	sl_compile_patterns_put(pool, small);
	sl_compile_patterns_put(pool, large);
}

/* Many regular expressions are compiled in the background, and then work like any others. */
static void test_many_inner_stars_are_compiled_in_the_background(void **state)
{
	enum { N = 60 };
	static char text[N][32];
	static struct sl_pattern patterns[N];
	struct sl_pattern_list *list;
	struct sl_diag diag;
	unsigned polls = 0;
	int ret;

	for (unsigned i = 0; i < N; i++) {
		patterns[i].len = (uint8_t)snprintf(text[i], sizeof(text[i]), "w.*.d%02u.com", i);
		patterns[i].kind = SL_PATTERN_INNER;
		patterns[i].text = text[i];
	}
	sl_diag_init(&diag);
	list = sl_compile_patterns_get(pool, patterns, N);
	assert_int_equal(sl_compile_patterns_build(pool, list, "test", &diag), -EINPROGRESS);
	/* no push waits for it any more, and then one does again */
	sl_compile_patterns_put(pool, list);
	assert_ptr_equal(sl_compile_patterns_get(pool, patterns, N), list);
	while ((ret = sl_compile_patterns_build(pool, list, "test", &diag)) == -EINPROGRESS) {
		sl_compile_patterns_poll(pool);
		usleep(1000);
		assert_true(polls++ < 60000);
	}
	assert_int_equal(ret, 0);
	assert_true(matches(list, "w.x.d59.com"));
	assert_false(matches(list, "w.x.y.d59.com"));
	sl_compile_patterns_poll(pool);
	assert_int_equal(list->refs, 1);
	sl_compile_patterns_put(pool, list);
}

static void test_pool_goes_while_the_background_is_at_work(void **state)
{
	enum { N = 30 };
	static char text[N][32];
	static struct sl_pattern patterns[N];
	struct sl_diag diag;

	sl_diag_init(&diag);
	for (unsigned l = 0; l < 5; l++) {
		struct sl_pattern_list *list;

		for (unsigned i = 0; i < N; i++) {
			patterns[i].len = (uint8_t)snprintf(text[i], sizeof(text[i]),
			                                    "w%u.*.d%02u.com", l, i);
			patterns[i].kind = SL_PATTERN_INNER;
			patterns[i].text = text[i];
		}
		list = sl_compile_patterns_get(pool, patterns, N);
		assert_int_equal(sl_compile_patterns_build(pool, list, "", &diag), -EINPROGRESS);
		sl_compile_patterns_put(pool, list);
	}
}

/*
 * Hyperscan reads past its input on some CPUs (with AVX512-VBMI, at 27 to 31 and 60 to 63 bytes):
 * the slack after a text ends with its page, and no read faults, whatever the length.
 */
static void test_scan_at_the_end_of_a_page_reads_no_further(void **state)
{
	static const char *const lists[][4] = {{"exact.example", "*.below.example", NULL},
	                                       {"www.*.example", "*.*.deep.example", NULL}};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *pages =
	        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char name[SL_NAME_MAX + 1];

	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
	for (size_t l = 0; l < 2; l++) {
		struct sl_pattern_list *list = list_of(lists[l]);
		const struct sl_scratches *scratches = NULL;

		assert_int_equal(sl_compile_patterns_scratches(pool, &scratches), 0);
		for (size_t len = 1; len <= SL_NAME_MAX; len++) {
			/* so that the last byte that may be read is the page's */
			uint8_t *at = pages + page - (len + 2 + SL_SCAN_SLACK);

			for (size_t i = 0; i < len; i++)
				name[i] = i % 5 == 4 ? '.' : (char)('a' + i % 26);
			if (len > 14)
				memcpy(name + len - 14, ".below.example", 14);
			assert_int_equal(sl_patterns_scan(&list->patterns, scratches->scratch[0],
			                                  name, len, (struct sl_scan_text *)at),
			                 l == 0 && len > 14);
		}
		sl_compile_patterns_put(pool, list);
	}
	munmap(pages, 2 * page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_exact_pattern_matches_that_name_only, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_leading_star_matches_below_at_any_depth, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_inner_star_is_exactly_one_label, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_first_of_two_stars_is_one_or_more_labels,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(test_star_alone_matches_every_name, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_dot_in_pattern_is_no_wildcard, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_longest_names_match, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_scratch_missing_matches_nothing, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_lists_of_any_length_match_their_own_only,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(test_scan_at_the_end_of_a_page_reads_no_further,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(test_same_patterns_are_one_list, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                test_larger_scratch_replaces_and_the_old_one_stays_until_reclaim, setup,
	                teardown),
	        cmocka_unit_test_setup_teardown(
	                test_many_inner_stars_are_compiled_in_the_background, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_pool_goes_while_the_background_is_at_work,
	                                        setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
