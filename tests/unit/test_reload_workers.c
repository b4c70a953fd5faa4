/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_reload_workers.c: the policy's walk and its readers: a push returns once every worker judges
 * by it, and says which worker is late.
 */
#include <pthread.h>
#include <unistd.h>

#include "reload_scene.h"

struct worker {
	pthread_t thread;
	unsigned id;
	struct scene *scene;
	struct rte_rcu_qsbr *qsbr;
	atomic_bool stop, stuck;
	_Atomic uint64_t seen; /* the generation that it judges by */
};

static void *work(void *arg)
{
	struct worker *worker = arg;

	rte_rcu_qsbr_thread_register(worker->qsbr, worker->id);
	rte_rcu_qsbr_thread_online(worker->qsbr, worker->id);
	while (!atomic_load(&worker->stop)) {
		const struct sl_generation *generation =
		        atomic_load(&worker->scene->publication.current);

		if (generation != NULL)
			atomic_store(&worker->seen, generation->number);
		usleep(50);
		while (atomic_load(&worker->stuck) && !atomic_load(&worker->stop))
			usleep(50);
		rte_rcu_qsbr_quiescent(worker->qsbr, worker->id);
	}
	rte_rcu_qsbr_thread_offline(worker->qsbr, worker->id);
	rte_rcu_qsbr_thread_unregister(worker->qsbr, worker->id);
	return NULL;
}

static struct rte_rcu_qsbr *start(struct worker *workers, struct scene **scene)
{
	size_t bytes = rte_rcu_qsbr_get_memsize(2);
	struct rte_rcu_qsbr *qsbr = aligned_alloc(64, (bytes + 63) / 64 * 64);

	assert_non_null(qsbr);
	assert_int_equal(rte_rcu_qsbr_init(qsbr, 2), 0);
	*scene = scene_open(NULL, 2, qsbr, 100);
	for (unsigned i = 0; i < 2; i++) {
		memset(&workers[i], 0, sizeof(workers[i]));
		workers[i].id = i;
		workers[i].scene = *scene;
		workers[i].qsbr = qsbr;
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	usleep(5000);
	return qsbr;
}

static void stop(struct worker *workers, struct rte_rcu_qsbr *qsbr, struct scene *scene)
{
	void *state = scene;

	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&workers[i].stop, true);
		pthread_join(workers[i].thread, NULL);
	}
	teardown(&state);
	free(qsbr);
}

static void test_push_returns_when_every_worker_enforces_it(void **state)
{
	struct worker workers[2];
	struct scene *scene;
	struct rte_rcu_qsbr *qsbr = start(workers, &scene);

	for (unsigned i = 1; i <= 200; i++) {
		expect_pushed(scene, i % 2 != 0 ? "sandboxes: [{vlan: 1, policy: {allow: "
		                                  "[a.com], subnets: {allow: [1.0.0.0/8]}}}]"
		                                : "sandboxes: [{vlan: 1}]");
		assert_int_equal(now(scene)->number, i);
		/* it was quiescent since the store, so what it reads next is the new one */
		usleep(300);
		assert_int_equal(atomic_load(&workers[0].seen), i);
		assert_int_equal(atomic_load(&workers[1].seen), i);
	}
	stop(workers, qsbr, scene);
}

static void test_stuck_worker_is_named_and_holds_up_the_next_push(void **state)
{
	struct worker workers[2];
	struct scene *scene;
	struct rte_rcu_qsbr *qsbr = start(workers, &scene);

	expect_pushed(scene, "sandboxes: [{vlan: 1}]");
	atomic_store(&workers[1].stuck, true);
	usleep(1000);
	assert_int_equal(push(scene, "sandboxes: [{vlan: 2}]"), -ETIMEDOUT);
	assert_int_equal(scene->push.generation, 2);
	assert_true(scene->push.changed);
	assert_int_equal(now(scene)->number, 2);
	assert_non_null(strstr(scene->diag.entries[0].text, "worker 1"));
	assert_int_equal(scene->diag.errors, 1);

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), -ETIMEDOUT);
	assert_int_equal(now(scene)->number, 2);
	assert_null(sandbox(scene, 3));

	atomic_store(&workers[1].stuck, false);
	expect_pushed(scene, "sandboxes: [{vlan: 3}]");
	assert_int_equal(now(scene)->number, 3);
	stop(workers, qsbr, scene);
}

static void test_worker_offline_is_not_waited_for(void **state)
{
	struct worker workers[2];
	struct scene *scene;
	struct rte_rcu_qsbr *qsbr = start(workers, &scene);

	atomic_store(&workers[1].stop, true);
	pthread_join(workers[1].thread, NULL);
	expect_pushed(scene, "sandboxes: [{vlan: 1}]");
	expect_pushed(scene, "sandboxes: [{vlan: 2}]");
	pthread_create(&workers[1].thread, NULL, work, &workers[1]);
	stop(workers, qsbr, scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_push_returns_when_every_worker_enforces_it),
	        cmocka_unit_test(test_stuck_worker_is_named_and_holds_up_the_next_push),
	        cmocka_unit_test(test_worker_offline_is_not_waited_for),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
