/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile_patterns.c: the lists of patterns in use, each distinct one compiled once, long ones in
 * the background; and the scratches that workers scan with.
 *
 * It must never free or change what a worker may be using.
 */
#include "compile.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <hs.h>

#include "arena.h"
#include "document/diag.h"
#include "patterns_build.h"

#define BUCKETS 4096

struct sl_pattern_pool {
	struct sl_pattern_list *buckets[BUCKETS];
	uint64_t key[2]; /* of every hash of suffixes */
	unsigned workers;
	struct hs_scratch *model;     /* large enough for every database; used by no worker */
	bool grown;                   /* since `current` was copied from it */
	struct sl_scratches *current; /* NULL: nothing to scan yet */

	/* The background thread's, under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct sl_pattern_list *queue; /* to be compiled, the oldest first */
	struct sl_pattern_list *done;
	bool working;
	bool stop;

	pthread_t thread;
	bool running;
};

static void *hs_take(size_t bytes)
{
	return sl_arena_alloc(sl_arena_shared(), bytes);
}

static void hs_give(void *ptr)
{
	sl_arena_free(sl_arena_shared(), ptr);
}

/* Hyperscan has one allocator for the process: set once, before the first database. */
static void set_allocator(void)
{
	hs_set_allocator(hs_take, hs_give);
}

struct sl_pattern_pool *sl_compile_patterns_create(unsigned workers)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sl_pattern_pool *pool;

	if (hs_valid_platform() != HS_SUCCESS || sl_arena_shared() == NULL)
		return NULL;
	pthread_once(&once, set_allocator);
	pool = sl_arena_zalloc(sl_arena_shared(), sizeof(*pool));
	if (pool == NULL)
		return NULL;
	pool->workers = workers;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	if (getrandom(pool->key, sizeof(pool->key), 0) != sizeof(pool->key)) {
		sl_compile_patterns_destroy(pool);
		return NULL;
	}
	pool->key[1] |= 1; /* odd, so that multiplying by it loses no bits */
	return pool;
}

/* Frees a set of scratches and all that it replaced. */
static void free_scratches(struct sl_scratches *set)
{
	while (set != NULL) {
		struct sl_scratches *replaced = set->replaces;

		for (unsigned i = 0; i < SL_WORKERS_MAX; i++)
			hs_free_scratch(set->scratch[i]);
		sl_arena_free(sl_arena_shared(), set);
		set = replaced;
	}
}

/* ---- The lists ---- */

/* Eight bytes at a time: a fleet's document has some ten megabytes of patterns. */
static uint64_t hash_patterns(const struct sl_pattern *patterns, size_t n)
{
	uint64_t hash = n;

	for (size_t i = 0; i < n; i++) {
		const char *text = patterns[i].text;
		size_t left = patterns[i].len;

		hash = (hash ^ left) * 0x9e3779b97f4a7c15u;
		while (left > 0) {
			size_t bytes = left < sizeof(uint64_t) ? left : sizeof(uint64_t);
			uint64_t word = 0;

			memcpy(&word, text, bytes);
			hash = (hash ^ word) * 0xff51afd7ed558ccdu;
			hash ^= hash >> 32;
			text += bytes;
			left -= bytes;
		}
	}
	return hash;
}

static bool same_patterns(const struct sl_pattern_list *list, const struct sl_pattern *patterns,
                          size_t n)
{
	const char *text = list->text;

	if (list->count != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (memcmp(text, patterns[i].text, patterns[i].len + 1u) != 0)
			return false;
		text += patterns[i].len + 1;
	}
	return true;
}

static struct sl_pattern_list *new_list(const struct sl_pattern *patterns, size_t n)
{
	struct sl_pattern_list *list;
	size_t bytes = 0;
	char *text;

	for (size_t i = 0; i < n; i++)
		bytes += patterns[i].len + 1u;
	list = sl_arena_alloc(sl_arena_shared(), sizeof(*list) + bytes);
	if (list == NULL)
		return NULL;
	text = (char *)(list + 1);
	*list = (struct sl_pattern_list){
	        .count = (uint32_t)n, .bytes = (uint32_t)bytes, .text = text};
	for (size_t i = 0; i < n; i++) {
		memcpy(text, patterns[i].text, patterns[i].len + 1u);
		text += patterns[i].len + 1;
	}
	return list;
}

struct sl_pattern_list *sl_compile_patterns_get(struct sl_pattern_pool *pool,
                                                const struct sl_pattern *patterns, size_t n)
{
	uint64_t hash = hash_patterns(patterns, n);
	struct sl_pattern_list **bucket = &pool->buckets[hash % BUCKETS];
	struct sl_pattern_list *list;

	for (list = *bucket; list != NULL; list = list->next)
		if (list->hash == hash && same_patterns(list, patterns, n))
			break;
	if (list == NULL) {
		list = new_list(patterns, n);
		if (list == NULL)
			return NULL;
		list->hash = hash;
		list->next = *bucket;
		*bucket = list;
	}
	list->refs++;
	return list;
}

void sl_compile_patterns_put(struct sl_pattern_pool *pool, struct sl_pattern_list *list)
{
	struct sl_pattern_list **link;

	if (list == NULL || --list->refs > 0)
		return;
	for (link = &pool->buckets[list->hash % BUCKETS]; *link != list; link = &(*link)->next)
		;
	*link = list->next;
	sl_patterns_build_free(list);
	sl_arena_free(sl_arena_shared(), list);
}

/* ---- The scratch that fits every database ---- */

static int fit_database(struct sl_pattern_pool *pool, const hs_database_t *database)
{
	size_t before = 0, after = 0;

	if (database == NULL)
		return 0;
	if (pool->model != NULL)
		hs_scratch_size(pool->model, &before);
	if (hs_alloc_scratch(database, &pool->model) != HS_SUCCESS) {
		pool->model = NULL; /* Hyperscan has freed the old one */
		return -ENOMEM;
	}
	hs_scratch_size(pool->model, &after);
	pool->grown = pool->grown || after != before;
	return 0;
}

static int fit_list(struct sl_pattern_pool *pool, const struct sl_pattern_list *list)
{
	int ret = fit_database(pool, list->patterns.literals);

	return ret != 0 ? ret : fit_database(pool, list->patterns.regexes);
}

/* Grows the model until it is large enough for this list's databases too. */
static int fit_model(struct sl_pattern_pool *pool, const struct sl_pattern_list *list)
{
	int ret = 0;

	if (pool->model == NULL) {
		for (unsigned i = 0; i < BUCKETS; i++)
			for (list = pool->buckets[i]; list != NULL && ret == 0; list = list->next)
				ret = fit_list(pool, list);
		return ret;
	}
	return fit_list(pool, list);
}

/* ---- The background thread ---- */

/* The control thread or the background thread. */
static void build(struct sl_pattern_list *list, const uint64_t key[2])
{
	list->error = sl_patterns_build(list, key);
	atomic_store_explicit(&list->state,
	                      list->error == 0 ? SL_PATTERNS_BUILT : SL_PATTERNS_FAILED,
	                      memory_order_release);
}

static void *work(void *arg)
{
	struct sl_pattern_pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		struct sl_pattern_list *list = pool->queue;

		if (list == NULL) {
			pthread_cond_wait(&pool->wake, &pool->lock);
			continue;
		}
		pool->queue = list->queue_next;
		pool->working = true;
		pthread_mutex_unlock(&pool->lock);
		build(list, pool->key);
		pthread_mutex_lock(&pool->lock);
		pool->working = false;
		list->queue_next = pool->done;
		pool->done = list;
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* The control thread may run SCHED_FIFO; a long compilation on the same core must not. */
static int start_thread(struct sl_pattern_pool *pool)
{
	const struct sched_param idle = {0};
	pthread_attr_t attr;
	int ret;

	if (pool->running)
		return 0;
	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_OTHER);
	pthread_attr_setschedparam(&attr, &idle);
	ret = pthread_create(&pool->thread, &attr, work, pool);
	pthread_attr_destroy(&attr);
	pool->running = ret == 0;
	return -ret;
}

/* The queue holds a reference until the list is taken back. */
static int enqueue(struct sl_pattern_pool *pool, struct sl_pattern_list *list)
{
	struct sl_pattern_list **tail = &pool->queue;
	int ret = start_thread(pool);

	if (ret != 0)
		return ret;
	list->refs++;
	atomic_store_explicit(&list->state, SL_PATTERNS_QUEUED, memory_order_relaxed);
	pthread_mutex_lock(&pool->lock);
	while (*tail != NULL)
		tail = &(*tail)->queue_next;
	list->queue_next = NULL;
	*tail = list;
	pthread_cond_signal(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	return -EINPROGRESS;
}

bool sl_compile_patterns_busy(struct sl_pattern_pool *pool)
{
	bool busy;

	pthread_mutex_lock(&pool->lock);
	busy = pool->working || pool->queue != NULL;
	pthread_mutex_unlock(&pool->lock);
	return busy;
}

void sl_compile_patterns_poll(struct sl_pattern_pool *pool)
{
	struct sl_pattern_list *done, *next, **link;

	if (!pool->running)
		return;
	pthread_mutex_lock(&pool->lock);
	done = pool->done;
	pool->done = NULL;
	for (link = &pool->queue; *link != NULL;) {
		struct sl_pattern_list *list = *link;

		if (list->refs > 1) {
			link = &list->queue_next;
			continue;
		}
		*link = list->queue_next; /* no push waits for it any more */
		list->queue_next = done;
		done = list;
	}
	pthread_mutex_unlock(&pool->lock);
	for (; done != NULL; done = next) {
		next = done->queue_next;
		sl_compile_patterns_put(pool, done);
	}
}

static void stop_thread(struct sl_pattern_pool *pool)
{
	if (!pool->running)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_signal(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	pthread_join(pool->thread, NULL);
	sl_compile_patterns_poll(pool);
	while (pool->queue != NULL) {
		struct sl_pattern_list *list = pool->queue;

		pool->queue = list->queue_next;
		sl_compile_patterns_put(pool, list);
	}
}

void sl_compile_patterns_destroy(struct sl_pattern_pool *pool)
{
	if (pool == NULL)
		return;
	stop_thread(pool);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->wake);
	free_scratches(pool->current);
	hs_free_scratch(pool->model);
	sl_arena_free(sl_arena_shared(), pool);
}

int sl_compile_patterns_build(struct sl_pattern_pool *pool, struct sl_pattern_list *list,
                              const char *file, struct sl_diag *diag)
{
	if (atomic_load_explicit(&list->state, memory_order_acquire) == SL_PATTERNS_RAW) {
		if (sl_patterns_build_takes_long(list))
			return enqueue(pool, list);
		build(list, pool->key);
	}
	switch ((enum sl_pattern_state)atomic_load_explicit(&list->state, memory_order_acquire)) {
	case SL_PATTERNS_RAW:
	case SL_PATTERNS_QUEUED:
		return -EINPROGRESS;
	case SL_PATTERNS_BUILT:
		if (!list->fitted && fit_model(pool, list) != 0)
			return -ENOMEM;
		list->fitted = true;
		return 0;
	case SL_PATTERNS_FAILED:
		break;
	}
	if (list->error == -EINVAL)
		sl_diag_error(diag, file, 0, 0, "the domain patterns cannot be compiled: %s",
		              list->why);
	atomic_store_explicit(&list->state, SL_PATTERNS_RAW,
	                      memory_order_relaxed); /* may be tried again */
	return list->error;
}

/* ---- Copies of the model, one for each worker ---- */

static struct sl_scratches *copy_model(const struct sl_pattern_pool *pool)
{
	struct sl_scratches *set = sl_arena_zalloc(sl_arena_shared(), sizeof(*set));

	for (unsigned i = 0; set != NULL && i < pool->workers; i++) {
		if (hs_clone_scratch(pool->model, &set->scratch[i]) != HS_SUCCESS) {
			free_scratches(set);
			set = NULL;
		}
	}
	return set;
}

int sl_compile_patterns_scratches(struct sl_pattern_pool *pool,
                                  const struct sl_scratches **scratches)
{
	if (pool->grown) {
		struct sl_scratches *larger = copy_model(pool);

		if (larger == NULL)
			return -ENOMEM;
		larger->replaces = pool->current;
		pool->current = larger;
		pool->grown = false;
	}
	*scratches = pool->current;
	return 0;
}

void sl_compile_patterns_reclaim(struct sl_pattern_pool *pool)
{
	if (pool->current != NULL) {
		free_scratches(pool->current->replaces);
		pool->current->replaces = NULL;
	}
}
