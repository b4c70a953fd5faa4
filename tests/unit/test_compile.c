/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_compile.c: the address tables (table_copy.c), the union of prefixes (union.c) and the lists
 * over it (compile_subnet.c).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_fib.h>
#include <rte_fib6.h>

#include "compile/compile.h"
#include "document/diag.h"
#include "rows.h"
#include "inproc.h"
#include "document/prefix.h"
#include "compile/table_copy.h"
#include "compile/union.h"

static const struct sl_table_copy_limits small = {.prefixes = 256, .tbl8_4 = 16, .tbl8_6 = 64};

static struct sl_net net(const char *text)
{
	struct sl_net out = {0};
	struct sl_prefix prefix;
	char why[128];

	if (sl_prefix_parse(text, strlen(text), &prefix, why, sizeof(why)) != 0)
		fail_msg("%s: %s", text, why);
	out.family = prefix.family;
	out.len = prefix.len;
	memcpy(out.bytes, prefix.addr, sizeof(out.bytes));
	return out;
}

static uint32_t look(const struct sl_table_copy *copy, const char *text)
{
	struct sl_net addr = net(text);
	uint64_t class = 12345;

	if (addr.family == SL_FAMILY_4) {
		uint32_t host = (uint32_t)addr.bytes[0] << 24 | (uint32_t)addr.bytes[1] << 16 |
		                (uint32_t)addr.bytes[2] << 8 | addr.bytes[3];

		rte_fib_lookup_bulk(copy->fib4, &host, &class, 1);
	} else {
		rte_fib6_lookup_bulk(copy->fib6, (uint8_t(*)[16]) & addr.bytes, &class, 1);
	}
	return (uint32_t) class;
}

static void add(struct sl_table_copy *copy, const char *text, uint32_t class)
{
	struct sl_net prefix = net(text);

	assert_int_equal(sl_table_copy_add(copy, &prefix, class, SL_SPACE_PUBLIC), 0);
}

static void take_out(struct sl_table_copy *copy, const char *text, uint32_t class)
{
	struct sl_net prefix = net(text);

	assert_int_equal(sl_table_copy_remove(copy, &prefix, class), 0);
}

/* ---- One copy ---- */

/* Addresses and the classes that a copy gives them. */
struct looked_up {
	const char *addr;
	uint32_t class;
};

static void expect_classes(const struct sl_table_copy *copy, const struct looked_up *list)
{
	for (; list->addr != NULL; list++) {
		row(list->addr);
		assert_int_equal(look(copy, list->addr), list->class);
	}
}

#define EXPECT_CLASSES(copy, ...)                                                                  \
	expect_classes(copy, (const struct looked_up[]){__VA_ARGS__, {NULL, 0}})

static void test_default_route_beside_last_ranges_leaves_them(void **state)
{
	struct sl_table_copy copy;

	assert_int_equal(sl_table_copy_init(&copy, &small, 100), 0);
	add(&copy, "10.0.0.0/8", 1);
	add(&copy, "224.0.0.0/4", 2);
	add(&copy, "240.0.0.0/4", 3);
	add(&copy, "0.0.0.0/0", 4);
	EXPECT_CLASSES(&copy, {"10.1.1.1", 1}, {"224.0.0.1", 2}, {"255.255.255.255", 3},
	               {"0.0.0.0", 4}, {"11.0.0.0", 4});
	assert_int_equal(copy.classes[1].parent, 4);
	assert_int_equal(copy.classes[3].parent, 4);
	take_out(&copy, "0.0.0.0/0", 4);
	EXPECT_CLASSES(&copy, {"10.1.1.1", 1}, {"240.0.0.1", 3}, {"11.0.0.0", SL_CLASS_NONE});
	assert_int_equal(copy.classes[1].parent, SL_CLASS_NONE);
	sl_table_copy_fini(&copy);
}

static void test_default_route_of_ipv6_beside_last_ranges_leaves_them(void **state)
{
	struct sl_table_copy copy;

	assert_int_equal(sl_table_copy_init(&copy, &small, 100), 0);
	add(&copy, "2001:db8::/32", 1);
	add(&copy, "fe00::/8", 2);
	add(&copy, "ff00::/8", 3);
	add(&copy, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 5);
	add(&copy, "::/0", 4);
	EXPECT_CLASSES(&copy, {"2001:db8::1", 1}, {"fe80::1", 2}, {"ff02::1", 3},
	               {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 5}, {"::", 4});
	assert_int_equal(copy.classes[5].parent, 3);
	assert_int_equal(copy.classes[3].parent, 4);
	take_out(&copy, "ff00::/8", 3);
	EXPECT_CLASSES(&copy, {"ff02::1", 4}, {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 5});
	assert_int_equal(copy.classes[5].parent, 4);
	sl_table_copy_fini(&copy);
}

static void test_space_is_the_strictest_of_what_encloses(void **state)
{
	struct sl_net internal = net("10.0.0.0/8"), protected = net("10.1.0.0/16");
	struct sl_table_copy copy;

	assert_int_equal(sl_table_copy_init(&copy, &small, 100), 0);
	assert_int_equal(sl_table_copy_add(&copy, &internal, 1, SL_SPACE_INTERNAL), 0);
	assert_int_equal(sl_table_copy_add(&copy, &protected, 2, SL_SPACE_PROTECTED), 0);
	add(&copy, "10.2.0.0/16", 3);
	add(&copy, "10.1.2.0/24", 4);
	add(&copy, "10.1.2.3/32", 5);
	add(&copy, "0.0.0.0/0", 6);
	assert_int_equal(copy.classes[2].space, SL_SPACE_PROTECTED);
	assert_int_equal(copy.classes[3].space, SL_SPACE_INTERNAL);
	assert_int_equal(copy.classes[4].space, SL_SPACE_PROTECTED);
	assert_int_equal(copy.classes[5].space, SL_SPACE_PROTECTED);
	assert_int_equal(copy.classes[6].space, SL_SPACE_PUBLIC);
	assert_int_equal(copy.classes[5].parent, 4);
	take_out(&copy, "10.1.2.0/24", 4);
	assert_int_equal(copy.classes[5].parent, 2);
	sl_table_copy_fini(&copy);
}

static void test_full_table_refuses_and_stays_as_it_was(void **state)
{
	struct sl_net more = net("10.0.200.0/25");
	struct sl_table_copy copy;
	char text[32];

	assert_int_equal(sl_table_copy_init(&copy, &small, 100), 0);
	for (unsigned i = 0; i < small.tbl8_4; i++) {
		snprintf(text, sizeof(text), "10.0.%u.128/25", i);
		add(&copy, text, i + 1);
	}
	assert_int_equal(copy.tbl8_4, small.tbl8_4);
	assert_int_equal(sl_table_copy_add(&copy, &more, 99, SL_SPACE_PUBLIC), -ENOSPC);
	assert_int_equal(look(&copy, "10.0.200.1"), SL_CLASS_NONE);
	add(&copy, "10.0.3.0/25", 90); /* in a /24 that has its table */
	take_out(&copy, "10.0.7.128/25", 8);
	assert_int_equal(sl_table_copy_add(&copy, &more, 99, SL_SPACE_PUBLIC), 0);
	assert_int_equal(look(&copy, "10.0.200.1"), 99);
	sl_table_copy_fini(&copy);
}

/* DPDK's own reservation would be used up after some dozens of these. */
static void test_tables_are_free_again_after_many_changes(void **state)
{
	struct sl_table_copy copy;
	char text[64];

	assert_int_equal(sl_table_copy_init(&copy, &small, 100), 0);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "2001:db8:%x::/64", i);
		add(&copy, text, 1);
		snprintf(text, sizeof(text), "2001:db8:%x::/48", i);
		add(&copy, text, 2);
		assert_int_equal(copy.tbl8_6, 5);
		take_out(&copy, text, 2);
		snprintf(text, sizeof(text), "2001:db8:%x::/64", i);
		take_out(&copy, text, 1);
		assert_int_equal(copy.tbl8_6, 0);
	}
	assert_int_equal(look(&copy, "2001:db8::"), SL_CLASS_NONE);
	sl_table_copy_fini(&copy);
}

/* ---- The union ---- */

static void test_id_is_not_given_again_before_reclaim(void **state)
{
	struct sl_union *all = sl_union_create(&small, NULL, false);
	struct sl_net one = net("192.0.2.0/24"), other = net("198.51.100.0/24");
	struct sl_diag diag;
	uint32_t first, second;

	assert_non_null(all);
	sl_diag_init(&diag);
	first = sl_union_make(all, &one);
	sl_union_hold(all, first);
	assert_int_equal(sl_union_apply(all, "", &diag), 0);
	sl_union_commit(all);
	assert_int_equal(sl_union_reclaim(all), 0);

	sl_union_drop(all, first);
	second = sl_union_make(all, &other);
	sl_union_hold(all, second);
	assert_int_not_equal(first, second);
	assert_int_equal(sl_union_apply(all, "", &diag), 0);
	/* the copy that workers read still has the first */
	assert_int_equal(look(sl_union_standby(all), "198.51.100.1"), second);
	assert_int_equal(look(sl_union_standby(all), "192.0.2.1"), SL_CLASS_NONE);
	sl_union_commit(all);
	assert_int_equal(look(sl_union_standby(all), "192.0.2.1"), first);
	assert_int_equal(sl_union_find(all, &one), SL_CLASS_NONE);
	assert_int_equal(sl_union_reclaim(all), 0);
	assert_int_equal(look(sl_union_standby(all), "192.0.2.1"), SL_CLASS_NONE);
	assert_int_equal(look(sl_union_standby(all), "198.51.100.1"), second);
	sl_union_destroy(all);
}

static void test_cancelled_change_leaves_no_trace(void **state)
{
	struct sl_union *all = sl_union_create(&small, NULL, false);
	struct sl_net kept = net("192.0.2.0/24"), gone = net("192.0.2.128/25");
	struct sl_diag diag;
	uint32_t a, b;

	assert_non_null(all);
	sl_diag_init(&diag);
	a = sl_union_make(all, &kept);
	sl_union_hold(all, a);
	assert_int_equal(sl_union_apply(all, "", &diag), 0);
	sl_union_commit(all);
	assert_int_equal(sl_union_reclaim(all), 0);

	sl_union_drop(all, a);
	b = sl_union_make(all, &gone);
	sl_union_hold(all, b);
	assert_int_equal(sl_union_apply(all, "", &diag), 0);
	assert_int_equal(look(sl_union_standby(all), "192.0.2.200"), b);
	sl_union_hold(all, a);
	sl_union_drop(all, b);
	sl_union_cancel(all);
	assert_int_equal(look(sl_union_standby(all), "192.0.2.200"), a);
	assert_int_equal(sl_union_find(all, &gone), SL_CLASS_NONE);
	assert_int_equal(sl_union_find(all, &kept), a);
	sl_union_destroy(all);
}

static void test_union_too_large_is_refused_with_the_figure(void **state)
{
	struct sl_union *all = sl_union_create(&small, NULL, false);
	struct sl_diag diag;
	char text[32];

	assert_non_null(all);
	sl_diag_init(&diag);
	for (unsigned i = 0; i < 300; i++) {
		struct sl_net prefix;

		snprintf(text, sizeof(text), "10.%u.%u.0/24", i / 256, i % 256);
		prefix = net(text);
		sl_union_hold(all, sl_union_make(all, &prefix));
	}
	assert_int_equal(sl_union_apply(all, "policy.yaml", &diag), -ENOSPC);
	assert_int_equal(diag.errors, 1);
	assert_non_null(strstr(diag.entries[0].text, "300 distinct IPv4 prefixes"));
	assert_non_null(strstr(diag.entries[0].text, "256"));
	assert_int_equal(look(sl_union_standby(all), "10.0.0.1"), SL_CLASS_NONE);
	sl_diag_free(&diag);
	sl_union_destroy(all);
}

/* ---- Rows ---- */

static struct sl_subnet_list *list_of(struct sl_subnet_pool *pool, const char *allow,
                                      const char *deny)
{
	struct sl_policy policy = {.kind = SL_POLICY_CUSTOM};
	struct sl_subnet_list *list = NULL;
	struct sl_prefix a, d;
	struct sl_diag diag;
	char why[128];

	sl_diag_init(&diag);
	if (allow != NULL) {
		assert_int_equal(sl_prefix_parse(allow, strlen(allow), &a, why, sizeof(why)), 0);
		policy.allow = &a;
		policy.n_allow = 1;
	}
	if (deny != NULL) {
		assert_int_equal(sl_prefix_parse(deny, strlen(deny), &d, why, sizeof(why)), 0);
		policy.deny = &d;
		policy.n_deny = 1;
	}
	assert_int_equal(sl_compile_subnet_get(pool, &policy, "", &diag, &list), 0);
	sl_diag_free(&diag);
	return list;
}

static void test_rows_are_shared_by_content(void **state)
{
	struct sl_union *all = sl_union_create(&small, NULL, false);
	struct sl_subnet_pool *pool = sl_compile_subnet_create(all);
	struct sl_subnet_list *one = list_of(pool, "192.0.2.0/24", "10.0.0.0/8");
	struct sl_subnet_list *same = list_of(pool, "192.0.2.0/24", "10.0.0.0/8");
	struct sl_subnet_list *other = list_of(pool, "10.0.0.0/8", "192.0.2.0/24");
	struct sl_subnet_list *both = list_of(pool, "10.0.0.0/8", "10.0.0.0/8");
	struct sl_subnet_list *denied = list_of(pool, NULL, "10.0.0.0/8");

	assert_ptr_equal(one, same);
	assert_ptr_not_equal(one, other);
	assert_ptr_equal(both, denied); /* the same range in both: denied */
	sl_compile_subnet_put(pool, one);
	sl_compile_subnet_put(pool, same);
	sl_compile_subnet_put(pool, other);
	sl_compile_subnet_put(pool, both);
	sl_compile_subnet_put(pool, denied);
	sl_compile_subnet_reclaim(pool);
	sl_union_cancel(all);
	sl_compile_subnet_destroy(pool);
	sl_union_destroy(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_default_route_beside_last_ranges_leaves_them),
	        cmocka_unit_test(test_default_route_of_ipv6_beside_last_ranges_leaves_them),
	        cmocka_unit_test(test_space_is_the_strictest_of_what_encloses),
	        cmocka_unit_test(test_full_table_refuses_and_stays_as_it_was),
	        cmocka_unit_test(test_tables_are_free_again_after_many_changes),
	        cmocka_unit_test(test_id_is_not_given_again_before_reclaim),
	        cmocka_unit_test(test_cancelled_change_leaves_no_trace),
	        cmocka_unit_test(test_union_too_large_is_refused_with_the_figure),
	        cmocka_unit_test(test_rows_are_shared_by_content),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
