/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_reload_left.c: the policy's walk where a document leaves some sandboxes to a job that waits:
 * its share of that job, pushed, refused or replaced.
 */
#include "reload_jobs.h"

/* The outcomes of sandboxes that documents had left to other pushes. */
static struct {
	unsigned calls;
	int ret;
	unsigned changed;
} left;

static void note_left(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push)
{
	(void)ctx;
	(void)diag;
	left.calls++;
	left.ret = ret;
	left.changed = push->sandboxes_changed;
}

/* Address tables that are soon full. */
static int setup_small(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct sl_reload_params params = {.workers = 1,
	                                  .tables = {.prefixes = 48},
	                                  .publication = &scene->publication,
	                                  .left = note_left};

	assert_non_null(scene);
	memset(&left, 0, sizeof(left));
	sl_diag_init(&scene->diag);
	scene->reload = sl_reload_create(&params, &scene->diag);
	assert_non_null(scene->reload);
	*state = scene;
	return 0;
}

/* A document: VLAN 1 with a list that takes long, others with lists or prefixes as asked for. */
static const char *with_long(unsigned first, unsigned second, unsigned prefixes, const char *more)
{
	static char texts[2][65536];
	static unsigned turn;
	char *text = texts[turn++ % 2];
	int at = snprintf(text, sizeof(texts[0]), "%s", two_long(first, second, "allow-all"));

	if (prefixes > 0)
		at += snprintf(text + at, sizeof(texts[0]) - (size_t)at,
		               "  - vlan: 9\n    policy:\n      allow: [\"z.*.example.com\", "
		               "\"y.*.example.com\"]\n      subnets:\n        allow:\n");
	for (unsigned i = 0; i < prefixes; i++)
		at += snprintf(text + at, sizeof(texts[0]) - (size_t)at,
		               "          - 198.51.%u.0/24\n", i);
	snprintf(text + at, sizeof(texts[0]) - (size_t)at, "%s", more);
	return text;
}

#define TOO_MANY 100 /* prefixes, for setup_small() */

static void finish_all(struct scene *scene)
{
	for (unsigned i = 0; sl_reload_pending(scene->reload) > 0; i++) {
		assert_true(i < 60000);
		usleep(1000);
		sl_reload_poll(scene->reload);
	}
}

/* The first is refused for a sandbox that the second does not have any more. */
static void test_refused_job_takes_nothing_with_it_from_one_that_waits(void **state)
{
	struct scene *scene = *state;
	struct job first, second;

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	expect_waits(scene, &first, with_long(300, 0, TOO_MANY, ""), true);
	expect_waits(scene, &second, with_long(300, 100, 0, ""), true);
	finish_all(scene);
	assert_int_equal(first.ret, -ENOSPC);
	assert_int_equal(second.calls, 1);
	assert_int_equal(second.ret, 0);
	assert_true(opens(scene, 1, "v300-7.x.example.com"));
	assert_true(opens(scene, 2, "v100-7.x.example.com"));
	assert_null(sandbox(scene, 9));
}

/* The list that would not fit is no longer part of the first, so the first is not refused. */
static void test_job_is_relieved_of_what_a_later_push_took(void **state)
{
	struct scene *scene = *state;
	struct job first;

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	expect_waits(scene, &first, with_long(300, 0, TOO_MANY, ""), false);
	expect_at_once(scene, with_long(300, 0, TOO_MANY, "  - {vlan: 4}\n"));
	assert_non_null(sandbox(scene, 4));
	assert_null(sandbox(scene, 1));
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 9, policy: deny-all}]", 0), 0);
	finish_all(scene);
	assert_int_equal(first.ret, 0);
	assert_int_equal(left.calls, 0);
	assert_true(opens(scene, 1, "v300-7.x.example.com"));
	assert_int_equal(sandbox(scene, 9)->mode, SL_MODE_DENY_ALL);
	assert_non_null(sandbox(scene, 4));
}

/* A share that does not fit either is refused by itself, and reported. */
static void test_share_that_does_not_fit_is_refused_and_told(void **state)
{
	struct scene *scene = *state;
	struct job first;

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	expect_waits(scene, &first, with_long(300, 0, TOO_MANY, ""), true);
	expect_at_once(scene, with_long(300, 0, TOO_MANY, "  - {vlan: 4}\n"));
	finish_all(scene);
	assert_int_equal(first.ret, -ENOSPC);
	assert_int_equal(left.calls, 1);
	assert_int_equal(left.ret, -ENOSPC);
	assert_non_null(sandbox(scene, 4)); /* its new changes stay */
	assert_null(sandbox(scene, 1));
}

static void test_last_of_documents_that_leave_the_same_stays(void **state)
{
	struct scene *scene = *state;
	struct job first;

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	expect_waits(scene, &first, with_long(300, 0, TOO_MANY, ""), false);
	expect_at_once(scene, with_long(300, 0, 0, "  - {vlan: 4}\n"));
	expect_at_once(scene, with_long(300, 0, 0, "  - {vlan: 5}\n"));
	finish_all(scene);
	assert_true(opens(scene, 1, "v300-7.x.example.com"));
	assert_null(sandbox(scene, 4));
	assert_non_null(sandbox(scene, 5));
	assert_null(sandbox(scene, 9));
}

static struct {
	struct rte_rcu_qsbr *qsbr;
	bool answers;
} lazy;

static void lazy_worker(void *ctx)
{
	(void)ctx;
	if (lazy.answers)
		rte_rcu_qsbr_quiescent(lazy.qsbr, 0);
}

static void wake_worker(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push)
{
	job_done(ctx, ret, diag, push);
	lazy.answers = true;
}

/*
 * The first is refused because a worker is late; the second is in force, except for what it left.
 */
static void test_share_is_pushed_after_the_job_was_refused(void **state)
{
	size_t bytes = rte_rcu_qsbr_get_memsize(1);
	struct scene *scene = calloc(1, sizeof(*scene));
	struct sl_reload_params params = {.workers = 1,
	                                  .publication = &scene->publication,
	                                  .patience_ms = 50,
	                                  .idle = lazy_worker,
	                                  .left = note_left};
	struct sl_reload_job ask = {.done = wake_worker};
	struct job first = {0};

	(void)state;
	memset(&left, 0, sizeof(left));
	lazy.answers = true;
	lazy.qsbr = aligned_alloc(64, (bytes + 63) / 64 * 64);
	assert_non_null(lazy.qsbr);
	assert_int_equal(rte_rcu_qsbr_init(lazy.qsbr, 1), 0);
	rte_rcu_qsbr_thread_register(lazy.qsbr, 0);
	rte_rcu_qsbr_thread_online(lazy.qsbr, 0);
	sl_diag_init(&scene->diag);
	scene->publication.qsbr = lazy.qsbr;
	scene->reload = sl_reload_create(&params, &scene->diag);
	assert_non_null(scene->reload);

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	first.doc = read_doc(scene, with_long(300, 0, 0, ""));
	ask.doc = first.doc;
	ask.ctx = &first;
	assert_int_equal(sl_reload_submit(scene->reload, &ask, &scene->diag, &scene->push),
	                 -EINPROGRESS);
	expect_at_once(scene, with_long(300, 0, 0, "  - {vlan: 4}\n"));
	lazy.answers = false;
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 5}]", 0), -ETIMEDOUT);
	finish_all(scene);
	assert_int_equal(first.ret, -ETIMEDOUT);
	assert_int_equal(left.calls, 1);
	assert_int_equal(left.ret, 0);
	assert_int_equal(left.changed, 1);
	assert_true(opens(scene, 1, "v300-7.x.example.com"));
	assert_non_null(sandbox(scene, 4));
	assert_non_null(sandbox(scene, 5)); /* that came after both */
	rte_rcu_qsbr_thread_offline(lazy.qsbr, 0);
	teardown((void **)&scene);
	free(lazy.qsbr);
}

/*
 * Documents are pushed faster than the first one's patterns are compiled: only the last one's rest
 * is kept.
 */
static void test_rests_do_not_pile_up(void **state)
{
	struct scene *scene = *state;
	struct job first;
	char more[64];

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	expect_waits(scene, &first, with_long(300, 0, 0, ""), true);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(more, sizeof(more), "  - {vlan: %u}\n", 100 + i);
		expect_at_once(scene, with_long(300, 0, 0, more));
		assert_true(sl_reload_pending(scene->reload) <= 2);
	}
	finish_all(scene);
	assert_int_equal(first.ret, 0);
	assert_int_equal(left.calls, 0);
	assert_true(opens(scene, 1, "v300-7.x.example.com"));
	assert_non_null(sandbox(scene, 149));
	assert_null(sandbox(scene, 148));
}

static void test_rests_end_with_the_reload(void **state)
{
	struct scene *scene = *state;
	static struct job first; /* it ends in the teardown */

	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	expect_waits(scene, &first, with_long(300, 0, 0, ""), true);
	expect_at_once(scene, with_long(300, 0, 0, "  - {vlan: 4}\n"));
	/* the teardown frees the reload, and with it what is left */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                test_refused_job_takes_nothing_with_it_from_one_that_waits, setup_small,
	                teardown),
	        cmocka_unit_test_setup_teardown(test_job_is_relieved_of_what_a_later_push_took,
	                                        setup_small, teardown),
	        cmocka_unit_test_setup_teardown(test_share_that_does_not_fit_is_refused_and_told,
	                                        setup_small, teardown),
	        cmocka_unit_test_setup_teardown(test_last_of_documents_that_leave_the_same_stays,
	                                        setup_small, teardown),
	        cmocka_unit_test(test_share_is_pushed_after_the_job_was_refused),
	        cmocka_unit_test_setup_teardown(test_rests_do_not_pile_up, setup_small, teardown),
	        cmocka_unit_test_setup_teardown(test_rests_end_with_the_reload, setup_small,
	                                        teardown),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
