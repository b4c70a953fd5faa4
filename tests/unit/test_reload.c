/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_reload.c: the policy's walk from outside: what comes into force, when, under which numbers,
 * and what is refused.
 */
#include <unistd.h>

#include "reload_scene.h"

/* ---- Numbers ---- */

static void test_nothing_is_in_force_before_the_first_push(void **state)
{
	struct scene *scene = *state;

	assert_null(now(scene));
	assert_int_equal(sl_reload_number(scene->reload), 0);
	expect_pushed(scene, "sandboxes: []");
	assert_true(scene->push.changed);
	assert_int_equal(scene->push.generation, 1);
	assert_int_equal(now(scene)->number, 1);
	assert_null(sandbox(scene, 1));
}

static void test_unchanged_document_keeps_the_generation(void **state)
{
	static const char text[] = "sandboxes:\n"
	                           "  - {vlan: 1, policy: {allow: [a.com, b.com, '*.c.com']}}\n"
	                           "  - {vlan: 2, source: [10.0.0.1, 10.0.0.2], name: two}\n";
	static const char same[] = "policies: {p: {allow: ['*.C.com.', b.com, a.com, b.com]}}\n"
	                           "sandboxes:\n"
	                           "  - {vlan: 2, name: two, source: [10.0.0.2, 10.0.0.1/32]}\n"
	                           "  - {vlan: 1, policy: p}\n";
	struct scene *scene = *state;
	const struct sl_generation *first;

	expect_pushed(scene, text);
	first = now(scene);
	expect_pushed(scene, text);
	assert_false(scene->push.changed);
	assert_int_equal(scene->push.generation, 1);
	expect_pushed(scene, same);
	assert_false(scene->push.changed);
	assert_int_equal(scene->push.sandboxes_changed, 0);
	assert_int_equal(scene->push.sandboxes, 2);
	assert_ptr_equal(now(scene), first);
}

static void test_epoch_moves_only_for_the_sandbox_that_changes(void **state)
{
	struct scene *scene = *state;

	expect_pushed(scene, "sandboxes: [{vlan: 1}, {vlan: 2}, {vlan: 3}]");
	assert_int_equal(scene->push.sandboxes_changed, 3);
	expect_pushed(scene, "sandboxes: [{vlan: 1}, {vlan: 2, policy: deny-all}]");
	assert_int_equal(scene->push.sandboxes_changed, 2);
	assert_int_equal(scene->push.sandboxes, 2);
	assert_int_equal(now(scene)->number, 2);
	assert_int_equal(sandbox(scene, 1)->epoch, 1);
	assert_int_equal(sandbox(scene, 2)->epoch, 2);
	assert_int_equal(sandbox(scene, 2)->incarnation, 1);
	assert_int_equal(sandbox(scene, 2)->mode, SL_MODE_DENY_ALL);
	assert_null(sandbox(scene, 3));
}

static void test_each_part_of_a_policy_moves_the_epoch(void **state)
{
	static const char *const texts[] = {
	        "sandboxes: [{vlan: 1, policy: {allow: [a.com]}}]",
	        "sandboxes: [{vlan: 1, policy: {allow: [a.com, b.com]}}]",
	        "sandboxes: [{vlan: 1, policy: {allow: [a.com, b.com], subnets: {allow: "
	        "[1.2.3.0/24]}}}]",
	        "sandboxes: [{vlan: 1, policy: {allow: [a.com, b.com], subnets: {deny: "
	        "[1.2.3.0/24]}}}]",
	        "sandboxes: [{vlan: 1, source: [], policy: {allow: [a.com, b.com], subnets: {deny: "
	        "[1.2.3.0/24]}}}]",
	        "sandboxes: [{vlan: 1, source: [10.0.0.1], policy: {allow: [a.com, b.com], "
	        "subnets: {deny: [1.2.3.0/24]}}}]",
	        "sandboxes: [{vlan: 1, source: [10.0.0.1], policy: {by-address: [a.com:22/tcp]}}]",
	        "sandboxes: [{vlan: 1, source: [10.0.0.1], policy: {by-address: [b.com:22/tcp]}}]",
	        "sandboxes: [{vlan: 1, source: [10.0.0.1], policy: {by-address: [b.com:23/tcp]}}]",
	        "sandboxes: [{vlan: 1, source: [10.0.0.1], policy: {by-address: [b.com:23/udp]}}]",
	        "sandboxes: [{vlan: 1, source: [10.0.0.1], policy: {by-address: [b.com:23/udp, "
	        "b.com:23/tcp]}}]",
	        "sandboxes: [{vlan: 1, source: [10.0.0.1]}]",
	};
	struct scene *scene = *state;

	for (unsigned i = 0; i < COUNT(texts); i++) {
		row(texts[i]);
		expect_pushed(scene, texts[i]);
		assert_int_equal(scene->push.sandboxes_changed, 1);
		assert_int_equal(sandbox(scene, 1)->epoch, i + 1);
		assert_int_equal(sandbox(scene, 1)->incarnation, 1);
	}
}

static void test_another_name_is_another_sandbox(void **state)
{
	struct scene *scene = *state;

	expect_pushed(scene, "sandboxes: [{vlan: 1}]");
	/* adding or removing a name changes only the displayed name */
	expect_pushed(scene, "sandboxes: [{vlan: 1, name: a}]");
	assert_true(scene->push.changed);
	assert_int_equal(scene->push.sandboxes_changed, 0);
	assert_string_equal(sandbox(scene, 1)->name, "a");
	assert_int_equal(sandbox(scene, 1)->epoch, 1);
	assert_int_equal(sandbox(scene, 1)->incarnation, 1);

	expect_pushed(scene, "sandboxes: [{vlan: 1, name: b}]");
	assert_int_equal(sandbox(scene, 1)->epoch, 3);
	assert_int_equal(sandbox(scene, 1)->incarnation, 3);

	expect_pushed(scene, "sandboxes: [{vlan: 1}]");
	assert_int_equal(sandbox(scene, 1)->incarnation, 3);
	assert_null(sandbox(scene, 1)->name);
}

static void test_vlan_that_was_away_is_another_sandbox(void **state)
{
	struct scene *scene = *state;

	expect_pushed(scene, "sandboxes: [{vlan: 1, name: a}]");
	expect_pushed(scene, "sandboxes: []");
	expect_pushed(scene, "sandboxes: [{vlan: 1, name: a}]");
	assert_int_equal(sandbox(scene, 1)->incarnation, 3);
	assert_int_equal(sandbox(scene, 1)->epoch, 3);
}

static void test_largest_vlan_has_a_sandbox(void **state)
{
	struct scene *scene = *state;

	expect_pushed(scene, "sandboxes: [{vlan: 4094}, {vlan: 1}]");
	assert_non_null(sandbox(scene, 4094));
	assert_int_equal(sandbox(scene, 4094)->vlan, 4094);
}

/* ---- Content ---- */

static void test_names_are_compiled_and_shared(void **state)
{
	struct scene *scene = *state;
	const struct sl_generation *generation;

	expect_pushed(scene, "policies: {p: {allow: ['*.example.com']}}\n"
	                     "sandboxes: [{vlan: 1, policy: p},\n"
	                     "  {vlan: 2, policy: {allow: ['*.example.com']}},\n"
	                     "  {vlan: 3}]");
	generation = now(scene);
	assert_ptr_equal(sandbox(scene, 1)->patterns, sandbox(scene, 2)->patterns);
	assert_null(sandbox(scene, 3)->patterns);
	assert_true(sl_patterns_match(sandbox(scene, 1)->patterns, generation->scratch[0],
	                              "a.example.com", 13));
	assert_false(sl_patterns_match(sandbox(scene, 1)->patterns, generation->scratch[0],
	                               "example.com", 11));
}

static bool matches(const struct scene *scene, const struct sl_patterns *patterns, const char *name)
{
	return sl_patterns_match(patterns, now(scene)->scratch[0], name, strlen(name));
}

static void test_by_address_is_compiled_by_port(void **state)
{
	struct scene *scene = *state;
	const struct sl_sandbox *box;

	expect_pushed(scene, "policies: {p: {by-address: ['*.ntp.org:123/udp', a.com:22/tcp,"
	                     " b.com:22/tcp]}}\n"
	                     "sandboxes: [{vlan: 1, policy: p}, {vlan: 2, policy: p},\n"
	                     "  {vlan: 3, policy: {allow: [a.com, b.com]}}]");
	box = sandbox(scene, 1);
	assert_int_equal(box->mode, SL_MODE_CUSTOM);
	assert_null(box->patterns);
	assert_int_equal(sandbox(scene, 3)->pin_rule_count, 0);
	assert_ptr_equal(sandbox(scene, 3)->queries, sandbox(scene, 3)->patterns);
	assert_int_equal(box->pin_rule_count, 2);
	assert_int_equal(box->pin_rules[0].port, 22);
	assert_int_equal(box->pin_rules[0].proto, 6);
	/* a list is compiled once, wherever it stands */
	assert_ptr_equal(box->pin_rules[0].patterns, sandbox(scene, 3)->patterns);
	assert_int_equal(box->pin_rules[1].port, 123);
	assert_int_equal(box->pin_rules[1].proto, 17);
	assert_true(matches(scene, box->pin_rules[0].patterns, "b.com"));
	assert_false(matches(scene, box->pin_rules[0].patterns, "x.ntp.org"));
	assert_true(matches(scene, box->pin_rules[1].patterns, "x.ntp.org"));
	assert_true(matches(scene, box->queries, "x.ntp.org"));
	assert_true(matches(scene, box->queries, "a.com"));
	assert_false(matches(scene, box->queries, "c.com"));
}

static void test_by_address_of_the_same_content_changes_nothing(void **state)
{
	struct scene *scene = *state;

	expect_pushed(scene, "policies: {p: {by-address: [a.com:22/tcp, b.com:23/tcp]}}\n"
	                     "sandboxes: [{vlan: 1, policy: p}, {vlan: 2, policy: p}]");
	expect_pushed(scene, "policies: {q: {by-address: [b.com:23/tcp, A.com:22/tcp]}}\n"
	                     "sandboxes: [{vlan: 1, policy: q}, {vlan: 2, policy: q}]");
	assert_false(scene->push.changed);
	expect_pushed(scene, "sandboxes: [{vlan: 1, policy: {by-address: [a.com:22/tcp, "
	                     "b.com:23/tcp]}}]");
	assert_int_equal(scene->push.sandboxes_changed, 1); /* VLAN 2 is gone */
	assert_int_equal(sandbox(scene, 1)->epoch, 1);
}

static void test_only_denied_subnets_is_deny_all(void **state)
{
	struct scene *scene = *state;

	expect_pushed(scene, "sandboxes: [{vlan: 1, policy: {subnets: {deny: [1.0.0.0/8]}}}]");
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_DENY_ALL);
	expect_pushed(scene, "sandboxes: [{vlan: 1, policy: deny-all}]");
	assert_false(scene->push.changed);
}

/* ---- What is refused ---- */

static void test_policy_that_the_config_does_not_fit_changes_nothing(void **state)
{
	struct scene *scene = scene_open("{}\n", 1, NULL, 0);
	const struct sl_generation *before;

	expect_pushed(scene, "sandboxes: [{vlan: 1}]");
	before = now(scene);
	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, policy: {allow: [a.com]}}]"), -EINVAL);
	assert_true(scene->diag.errors > 0);
	assert_ptr_equal(now(scene), before);
	assert_int_equal(sl_reload_number(scene->reload), 1);
	expect_pushed(scene, "sandboxes: [{vlan: 1, policy: deny-all}]");
	assert_int_equal(now(scene)->number, 2);
	*state = scene;
	teardown(state);
}

static void test_bad_file_changes_nothing_and_says_why(void **state)
{
	struct scene *scene = *state;
	char path[] = "/tmp/test_reload_XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "sandboxes: [{vlan: 1}]\n", 23), 23);
	assert_int_equal(sl_reload_push_file(scene->reload, path, &scene->diag, &scene->push), 0);
	assert_int_equal(scene->push.generation, 1);
	assert_int_equal(write(fd, "sandboxes: [{vlan: 0}]\n", 23), 23);
	assert_int_equal(sl_reload_push_file(scene->reload, path, &scene->diag, &scene->push),
	                 -EINVAL);
	assert_true(scene->diag.errors > 0);
	assert_int_equal(sl_reload_number(scene->reload), 1);
	close(fd);
	unlink(path);
	sl_diag_free(&scene->diag);
	assert_int_equal(sl_reload_push_file(scene->reload, path, &scene->diag, &scene->push),
	                 -ENOENT);
	assert_non_null(sandbox(scene, 1));
}

/* ---- Patches ---- */

static void test_patch_changes_what_it_names_and_nothing_else(void **state)
{
	struct scene *scene = *state;

	expect_pushed(scene, "sandboxes: [{vlan: 1}, {vlan: 2}, {vlan: 3}]");
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 2, policy: deny-all}, {vlan: 9}]", 3), 0);
	assert_int_equal(scene->push.sandboxes_changed, 3);
	assert_int_equal(scene->push.sandboxes, 3);
	assert_int_equal(sandbox(scene, 1)->epoch, 1);
	assert_int_equal(sandbox(scene, 2)->epoch, 2);
	assert_int_equal(sandbox(scene, 2)->incarnation, 1);
	assert_null(sandbox(scene, 3));
	assert_int_equal(sandbox(scene, 9)->incarnation, 2);
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 9}]", 3), 0);
	assert_false(scene->push.changed);
}

static void test_patch_may_not_take_a_name_that_is_taken(void **state)
{
	struct scene *scene = *state;

	expect_pushed(scene, "sandboxes: [{vlan: 1, name: a}, {vlan: 2, name: b}]");
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 3, name: a}]", 0), -EINVAL);
	assert_non_null(strstr(scene->diag.entries[0].text, "\"a\""));
	assert_null(sandbox(scene, 3));
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 3, name: a}]", 1), 0);
	assert_string_equal(sandbox(scene, 3)->name, "a");
	/* two may swap theirs at once */
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 2, name: a}, {vlan: 3, name: b}]", 0), 0);
	assert_string_equal(sandbox(scene, 2)->name, "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_nothing_is_in_force_before_the_first_push,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(test_unchanged_document_keeps_the_generation, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_epoch_moves_only_for_the_sandbox_that_changes,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(test_each_part_of_a_policy_moves_the_epoch, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_another_name_is_another_sandbox, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_vlan_that_was_away_is_another_sandbox, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_largest_vlan_has_a_sandbox, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_names_are_compiled_and_shared, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_by_address_is_compiled_by_port, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_by_address_of_the_same_content_changes_nothing,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(test_only_denied_subnets_is_deny_all, setup,
	                                        teardown),
	        cmocka_unit_test(test_policy_that_the_config_does_not_fit_changes_nothing),
	        cmocka_unit_test_setup_teardown(test_bad_file_changes_nothing_and_says_why, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_patch_changes_what_it_names_and_nothing_else,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(test_patch_may_not_take_a_name_that_is_taken, setup,
	                                        teardown),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
