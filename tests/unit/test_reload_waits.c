/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_reload_waits.c: the policy's walk where patterns take long to compile: who waits for them,
 * and what comes into force meanwhile.
 */
#include "reload_jobs.h"

static void test_long_names_do_not_hold_up_others(void **state)
{
	struct scene *scene = *state;
	struct job job;

	expect_pushed(scene, "sandboxes: [{vlan: 1, policy: deny-all}, {vlan: 2}]");
	expect_waits(scene, &job, long_policy(1, 80), false);
	assert_int_equal(sl_reload_pending(scene->reload), 1);
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 2, policy: deny-all}]", 0), 0);
	/* its old policy stays in force */
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_DENY_ALL);
	assert_int_equal(sandbox(scene, 2)->mode, SL_MODE_DENY_ALL);
	assert_int_equal(job.calls, 0);

	finish(scene, &job);
	assert_int_equal(job.ret, 0);
	assert_int_equal(job.push.generation, 3);
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_CUSTOM);
	assert_int_equal(sandbox(scene, 1)->epoch, 3);
	assert_true(sl_patterns_match(sandbox(scene, 1)->patterns, now(scene)->scratch[0],
	                              "a7.x.example.com", 16));
}

static void test_late_job_does_not_undo_a_later_push(void **state)
{
	struct scene *scene = *state;
	struct job job;

	expect_pushed(scene, "sandboxes: [{vlan: 1}]");
	expect_waits(scene, &job, long_policy(1, 60), false);
	/* this changes nothing, but still sets the sandbox */
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 1}]", 0), 0);
	assert_false(scene->push.changed);
	finish(scene, &job);
	assert_int_equal(job.ret, -ECANCELED);
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_ALLOW_ALL);
	assert_int_equal(sl_reload_number(scene->reload), 1);
}

static void test_late_document_leaves_what_a_later_push_dealt_with(void **state)
{
	struct scene *scene = *state;
	struct job job;

	expect_pushed(scene, "sandboxes: [{vlan: 1}, {vlan: 2}, {vlan: 3}]");
	expect_waits(scene, &job, long_policy(1, 60), true);
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 2, policy: deny-all}]", 0), 0);
	finish(scene, &job);
	assert_int_equal(job.ret, 0);
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_CUSTOM);
	assert_int_equal(sandbox(scene, 2)->mode, SL_MODE_DENY_ALL);
	assert_null(sandbox(scene, 3));
}

/*
 * Later pushes have set every sandbox that it lists, but it also removes some that it does not
 * list.
 */
static void test_late_document_still_ends_what_it_leaves_out(void **state)
{
	struct scene *scene = *state;
	struct job job;

	expect_pushed(scene, "sandboxes: [{vlan: 1}, {vlan: 3}]");
	expect_waits(scene, &job, long_policy(1, 60), true);
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 1, policy: deny-all}]", 0), 0);
	finish(scene, &job);
	assert_int_equal(job.ret, 0);
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_DENY_ALL);
	assert_null(sandbox(scene, 3));
}

static void test_later_document_is_not_held_up_by_what_it_repeats(void **state)
{
	struct scene *scene = *state;
	struct job first;

	expect_pushed(scene, "sandboxes: [{vlan: 1, policy: deny-all}, {vlan: 3}]");
	expect_waits(scene, &first, two_long(60, 0, "allow-all"), true);
	assert_int_equal(scene->push.sandboxes_waiting, 1);
	expect_at_once(scene, two_long(60, 0, "deny-all"));
	assert_true(scene->push.changed);
	assert_int_equal(scene->push.sandboxes_changed, 1);
	assert_int_equal(scene->push.sandboxes_waiting, 1);
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_DENY_ALL);
	assert_int_equal(sandbox(scene, 3)->mode, SL_MODE_DENY_ALL);

	finish(scene, &first);
	assert_int_equal(first.ret, 0);
	assert_int_equal(first.push.generation, 3);
	assert_int_equal(first.push.sandboxes_changed, 1);
	assert_true(opens(scene, 1, "v60-7.x.example.com"));
	assert_int_equal(sandbox(scene, 3)->mode, SL_MODE_DENY_ALL);
}

/* All that the second lists agrees with the first; only the removal of another sandbox is new. */
static void test_later_document_that_ends_a_sandbox_is_not_held_up(void **state)
{
	struct scene *scene = *state;
	struct job first;

	expect_pushed(scene, "sandboxes: [{vlan: 4}]");
	expect_waits(scene, &first, with_more(two_long(60, 0, "allow-all"), "  - {vlan: 4}\n"),
	             true);
	expect_at_once(scene, two_long(60, 0, "allow-all"));
	assert_true(scene->push.changed);
	assert_null(sandbox(scene, 4));
	finish(scene, &first);
	assert_true(opens(scene, 1, "v60-7.x.example.com"));
	assert_null(sandbox(scene, 4));
}

static void test_document_that_repeats_one_that_waits_waits_with_it(void **state)
{
	struct scene *scene = *state;
	struct job first, second;

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	expect_waits(scene, &first, two_long(40, 0, "allow-all"), true);
	expect_waits(scene, &second, two_long(40, 0, "allow-all"), true);
	assert_int_equal(sl_reload_pending(scene->reload), 2);
	assert_null(sandbox(scene, 1)); /* a new sandbox has nothing until then */
	for (unsigned i = 0; second.calls == 0 && i < 60000; i++) {
		usleep(1000);
		sl_reload_poll(scene->reload);
	}
	assert_int_equal(first.ret, 0);
	assert_true(first.push.changed);
	assert_int_equal(second.calls, 1);
	assert_int_equal(second.ret, 0);
	assert_false(second.push.changed);
	assert_int_equal(second.push.generation, 2);
}

static void test_last_of_two_long_lists_stays(void **state)
{
	struct scene *scene = *state;
	struct job first, second;

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	expect_waits(scene, &first, two_long(50, 0, "allow-all"), true);
	expect_waits(scene, &second, two_long(40, 0, "deny-all"), true);
	/* all new changes of the second wait for its own list: they are one generation */
	assert_int_equal(sandbox(scene, 3)->mode, SL_MODE_ALLOW_ALL);
	while (second.calls == 0) {
		usleep(1000);
		sl_reload_poll(scene->reload);
		assert_true(sandbox(scene, 1) == NULL ||
		            opens(scene, 1, "v40-7.x.example.com") ==
		                    (sandbox(scene, 3)->mode == SL_MODE_DENY_ALL));
	}
	assert_int_equal(second.ret, 0);
	assert_true(opens(scene, 1, "v40-7.x.example.com"));
	assert_false(opens(scene, 1, "v50-7.x.example.com"));
	assert_int_equal(sl_reload_pending(scene->reload), 0);
}

static void test_later_document_with_a_list_of_its_own_waits_for_that_alone(void **state)
{
	struct scene *scene = *state;
	struct job first, second;

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	expect_waits(scene, &first, two_long(50, 0, "allow-all"), true);
	expect_waits(scene, &second, two_long(50, 30, "deny-all"), true);
	finish(scene, &second);
	assert_int_equal(first.calls, 1);
	assert_int_equal(first.push.sandboxes_changed, 1);
	assert_int_equal(second.push.sandboxes_changed, 2);
	assert_int_equal(second.push.generation, 3);
	assert_true(opens(scene, 1, "v50-7.x.example.com"));
	assert_true(opens(scene, 2, "v30-7.x.example.com"));
	assert_int_equal(sandbox(scene, 3)->mode, SL_MODE_DENY_ALL);
}

static void test_document_that_was_replaced_ends_before_its_patterns(void **state)
{
	struct scene *scene = *state;
	struct job first;

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	expect_waits(scene, &first, two_long(1000, 0, "allow-all"), true);
	expect_pushed(scene, "sandboxes: [{vlan: 1, policy: deny-all}, {vlan: 3}]");
	sl_reload_poll(scene->reload);
	assert_int_equal(first.calls, 1);
	assert_int_equal(first.ret, -ECANCELED);
	assert_int_equal(sl_reload_pending(scene->reload), 0);
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_DENY_ALL);
}

/* The second gives away a name that a sandbox keeps until the first is in force. */
static void test_document_that_needs_a_name_from_one_that_waits_waits_too(void **state)
{
	struct scene *scene = *state;
	struct job first, second;

	expect_pushed(scene, "sandboxes: [{vlan: 2, name: x}, {vlan: 3}]");
	expect_waits(scene, &first,
	             with_more(two_long(40, 0, "allow-all"), "  - {vlan: 2, name: y}\n"), true);
	expect_waits(scene, &second,
	             with_more(two_long(40, 0, "allow-all"),
	                       "  - {vlan: 2, name: y}\n  - {vlan: 4, name: x}\n"),
	             true);
	finish(scene, &second);
	assert_int_equal(first.ret, 0);
	assert_int_equal(second.ret, 0);
	assert_string_equal(sandbox(scene, 2)->name, "y");
	assert_string_equal(sandbox(scene, 4)->name, "x");
}

/* The first gives a sandbox a name that the third gives to another one. */
static void test_document_waits_for_a_name_that_one_that_waits_still_gives(void **state)
{
	struct scene *scene = *state;
	struct job first, second, third;

	expect_pushed(scene, "sandboxes: [{vlan: 3}, {vlan: 4}]");
	expect_waits(scene, &first,
	             with_more(two_long(60, 0, "allow-all"), "  - {vlan: 4, name: x}\n"), true);
	expect_waits(scene, &second, with_more(two_long(60, 200, "allow-all"), "  - {vlan: 4}\n"),
	             true);
	expect_waits(scene, &third,
	             with_more(two_long(60, 200, "allow-all"),
	                       "  - {vlan: 4}\n  - {vlan: 5, name: x}\n"),
	             true);
	finish(scene, &third);
	assert_int_equal(first.ret, 0);
	assert_int_equal(second.ret, 0);
	assert_int_equal(third.ret, 0);
	assert_true(opens(scene, 1, "v60-7.x.example.com"));
	assert_null(sandbox(scene, 4)->name);
	assert_string_equal(sandbox(scene, 5)->name, "x");
}

static void test_push_waits_for_long_names(void **state)
{
	struct scene *scene = *state;

	expect_pushed(scene, long_policy(7, 30));
	assert_int_equal(scene->push.generation, 1);
	assert_true(sl_patterns_match(sandbox(scene, 7)->patterns, now(scene)->scratch[0],
	                              "a7.x.example.com", 16));
	expect_pushed(scene, long_policy(7, 30));
	assert_false(scene->push.changed);
}

static void test_free_ends_jobs(void **state)
{
	struct scene *scene = scene_open(NULL, 1, NULL, 0);
	struct job job;

	expect_pushed(scene, "sandboxes: []");
	expect_waits(scene, &job, long_policy(1, 20), false);
	sl_reload_free(scene->reload);
	assert_int_equal(job.calls, 1);
	assert_int_equal(job.ret, -ECANCELED);
	scene->reload = NULL;
	*state = scene;
	teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_long_names_do_not_hold_up_others, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_late_job_does_not_undo_a_later_push, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(
	                test_late_document_leaves_what_a_later_push_dealt_with, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                test_later_document_is_not_held_up_by_what_it_repeats, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_late_document_still_ends_what_it_leaves_out,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                test_later_document_that_ends_a_sandbox_is_not_held_up, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                test_document_that_repeats_one_that_waits_waits_with_it, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_last_of_two_long_lists_stays, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                test_later_document_with_a_list_of_its_own_waits_for_that_alone, setup,
	                teardown),
	        cmocka_unit_test_setup_teardown(
	                test_document_that_was_replaced_ends_before_its_patterns, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                test_document_that_needs_a_name_from_one_that_waits_waits_too, setup,
	                teardown),
	        cmocka_unit_test_setup_teardown(
	                test_document_waits_for_a_name_that_one_that_waits_still_gives, setup,
	                teardown),
	        cmocka_unit_test_setup_teardown(test_push_waits_for_long_names, setup, teardown),
	        cmocka_unit_test(test_free_ends_jobs),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
