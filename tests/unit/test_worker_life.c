/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_worker_life.c: workers that take no turns are told, once, and once again when they are back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <rte_rcu_qsbr.h>

#include "gateway/worker_life.h"

#define WORKERS 3

struct scene {
	struct sl_worker_life life;
	char said[16]; /* "s1b1": 1 got stuck, and was back */
	size_t n;
	uint64_t now_ms;
};

static void note(void *ctx, unsigned worker, bool stuck)
{
	struct scene *scene = ctx;

	assert_true(scene->n + 2 < sizeof(scene->said));
	scene->said[scene->n++] = stuck ? 's' : 'b';
	scene->said[scene->n++] = (char)('0' + worker);
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	size_t size = rte_rcu_qsbr_get_memsize(WORKERS);

	scene->life = (struct sl_worker_life){.workers = WORKERS, .told = note, .ctx = scene};
	scene->life.qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(size, 64));
	assert_int_equal(rte_rcu_qsbr_init(scene->life.qsbr, WORKERS), 0);
	for (unsigned worker = 0; worker < WORKERS; worker++) {
		rte_rcu_qsbr_thread_register(scene->life.qsbr, worker);
		rte_rcu_qsbr_thread_online(scene->life.qsbr, worker);
	}
	scene->now_ms = 5;
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	free(scene->life.qsbr);
	free(scene);
	return 0;
}

/* A turn of the workers in the mask. */
static void turn(struct scene *scene, unsigned mask)
{
	for (unsigned worker = 0; worker < WORKERS; worker++)
		if ((mask >> worker & 1) != 0)
			rte_rcu_qsbr_quiescent(scene->life.qsbr, worker);
}

/* Looks every 100 ms for so long; the workers in the mask take turns. */
static void pass(struct scene *scene, uint64_t ms, unsigned mask)
{
	for (uint64_t end = scene->now_ms + ms; scene->now_ms < end; scene->now_ms += 100) {
		sl_worker_life_poll(&scene->life, scene->now_ms);
		turn(scene, mask);
	}
}

static void workers_that_take_turns_are_not_spoken_of(void **state)
{
	struct scene *scene = *state;

	pass(scene, 20 * SL_WORKER_LIFE_PATIENCE_MS, 7);
	assert_string_equal(scene->said, "");
}

static void worker_that_takes_none_is_stuck_until_it_does(void **state)
{
	struct scene *scene = *state;

	pass(scene, SL_WORKER_LIFE_PATIENCE_MS - 100, 5);
	assert_string_equal(scene->said, "");
	pass(scene, 10 * SL_WORKER_LIFE_PATIENCE_MS, 5);
	assert_string_equal(scene->said, "s1");
	assert_true(scene->life.stuck[1]);
	assert_false(scene->life.stuck[0] || scene->life.stuck[2]);
	pass(scene, 300, 7);
	assert_string_equal(scene->said, "s1b1");
	assert_false(scene->life.stuck[1]);
	/* and again, this time two of them */
	pass(scene, 2 * SL_WORKER_LIFE_PATIENCE_MS, 2);
	assert_string_equal(scene->said, "s1b1s0s2");
}

static void process_that_was_stopped_has_no_stuck_workers(void **state)
{
	struct scene *scene = *state;

	for (int i = 0; i < 20; i++) {
		pass(scene, 300, 0);
		scene->now_ms += 10 * SL_WORKER_LIFE_PATIENCE_MS;
	}
	assert_string_equal(scene->said, "");
	pass(scene, 2 * SL_WORKER_LIFE_PATIENCE_MS, 6);
	assert_string_equal(scene->said, "s0");
}

/* What waits for the control thread has gone offline, and holds nothing up. */
static void worker_that_is_offline_is_not_stuck(void **state)
{
	struct scene *scene = *state;

	pass(scene, 200, 7);
	rte_rcu_qsbr_thread_offline(scene->life.qsbr, 1);
	pass(scene, 2 * SL_WORKER_LIFE_PATIENCE_MS, 5);
	assert_string_equal(scene->said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(workers_that_take_turns_are_not_spoken_of, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(worker_that_takes_none_is_stuck_until_it_does,
	                                        set_up, tear_down),
	        cmocka_unit_test_setup_teardown(process_that_was_stopped_has_no_stuck_workers,
	                                        set_up, tear_down),
	        cmocka_unit_test_setup_teardown(worker_that_is_offline_is_not_stuck, set_up,
	                                        tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
