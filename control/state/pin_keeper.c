/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_keeper.c: rounds of collecting and writing.
 *
 * A round has four steps. The control thread notes which sandboxes there are (note); the keeper's
 * thread asks the workers for pins, and takes those of exactly these sandboxes, which their
 * incarnations tell (collect); the control thread leaves out sandboxes that are others by now
 * (check); the thread writes the file (write). So no pin is ever written as another sandbox's.
 */
#include "pin_keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pin_disk.h"
#include "pin_file.h"
#include "pin_owner.h"

#define ITEMS     1024 /* pins in an answer */
#define STEP_MS   50   /* how often the thread looks whether the gateway stops */
#define PAUSE_US  1000
#define SECOND_US 1000000

enum phase {
	IDLE = 0,
	COLLECT, /* the thread's */
	CHECK,   /* the control thread's */
	WRITE,   /* the thread's */
};

/* A question and its answer, in one piece of memory. */
struct question {
	struct sl_ask ask;
	struct sl_ask_item items[ITEMS];
};

/* A VLAN's sandbox, as a round has seen it. */
struct seen {
	uint32_t incarnation; /* 0: none */
	uint32_t epoch;
	bool named;
	char name[SL_POLICY_NAME_MAX + 1];

	struct sl_pin_bytes pins;
	uint32_t count;
	struct sl_pin_owner owner;
};

struct sl_pin_keeper {
	struct sl_pin_keeper_params params;
	char *path; /* its own: a thread that hangs in the disk outlives the config */
	pthread_t thread;
	pthread_mutex_t lock; /* of phase, ending and rounds */
	pthread_cond_t changed;
	enum phase phase;
	bool ending;
	uint64_t rounds; /* that are over */

	/* the control thread's */
	uint64_t due_ms;
	uint64_t busy_ms; /* when a round was last under way */
	uint64_t generation;
	uint32_t kept[SL_VLAN_COUNT]; /* incarnations of the file's sandboxes; 0: none */

	_Atomic bool soon;

	/* whose phase it is */
	struct seen seen[SL_VLAN_COUNT];
	struct question *question;

	/* the thread's */
	bool lost;         /* a worker has the question */
	int64_t offset_us; /* of the workers' clock when the file was written */
	bool written;      /* it was, and says: */
	uint8_t digest[SL_PIN_FILE_DIGEST];
	int problem;
	/* Hashes of policies of sandboxes without a name; by epoch, 0: none. */
	uint32_t hashed[SL_VLAN_COUNT];
	struct sl_pin_owner hash[SL_VLAN_COUNT];
};

/* ---- the thread: collecting ---- */

static bool is_ending(struct sl_pin_keeper *keeper)
{
	bool ending;

	pthread_mutex_lock(&keeper->lock);
	ending = keeper->ending;
	pthread_mutex_unlock(&keeper->lock);
	return ending;
}

/* Waits for a worker as long as it takes. False: the gateway stops. */
static bool ask(struct sl_pin_keeper *keeper, unsigned worker)
{
	const struct sl_pin_keeper_params *params = &keeper->params;
	struct sl_ask *question = &keeper->question->ask;
	bool answered = params->ask(params->ctx, worker, question, STEP_MS, &keeper->lost);

	while (!answered && !is_ending(keeper)) {
		if (keeper->lost) {
			answered = params->await(params->ctx, worker, question, STEP_MS);
			keeper->lost = !answered;
		} else { /* others ask as well, and its ring is full */
			usleep(PAUSE_US);
			answered =
			        params->ask(params->ctx, worker, question, STEP_MS, &keeper->lost);
		}
	}
	return answered;
}

static void take_pin(struct sl_pin_keeper *keeper, const struct sl_ask_item *item)
{
	struct seen *seen = &keeper->seen[item->vlan];
	struct sl_pin_record pin = {
	        .addr = item->remote,
	        .name = item->name,
	        .name_len = item->name_len,
	        .life_s = item->life_s,
	        .expires_s = (item->expires_us + (uint64_t)keeper->offset_us) / SECOND_US,
	};

	if (seen->incarnation == item->incarnation && seen->incarnation != 0)
		seen->count += sl_pin_file_put_pin(&seen->pins, &pin);
}

static bool ask_all(struct sl_pin_keeper *keeper, unsigned worker)
{
	struct question *question = keeper->question;

	question->ask =
	        (struct sl_ask){.kind = SL_ASK_PINS, .room = ITEMS, .items = question->items};
	do {
		question->ask.count = 0;
		if (!ask(keeper, worker))
			return false;
		for (uint32_t i = 0; i < question->ask.count; i++)
			take_pin(keeper, &question->items[i]);
	} while (question->ask.next != 0);
	return true;
}

/* A policy is hashed once in an epoch. */
static bool read_owner(struct sl_pin_keeper *keeper, uint16_t vlan)
{
	struct seen *seen = &keeper->seen[vlan];

	if (seen->named)
		return sl_pin_owner_read(keeper->params.model, vlan, seen->name, &seen->owner);
	if (keeper->hashed[vlan] != seen->epoch) {
		if (!sl_pin_owner_read(keeper->params.model, vlan, NULL, &keeper->hash[vlan]))
			return false;
		keeper->hashed[vlan] = seen->epoch;
	}
	seen->owner = keeper->hash[vlan];
	return true;
}

/*
 * Where the time of day was set since the file was written, all its times are others. What the
 * clocks drift apart in a second is none of that: nothing changed, and nothing is written.
 */
static void read_clock(struct sl_pin_keeper *keeper)
{
	int64_t offset_us = keeper->params.offset_us(keeper->params.ctx);

	if (!keeper->written || llabs(offset_us - keeper->offset_us) >= SECOND_US)
		keeper->offset_us = offset_us;
}

static bool collect(struct sl_pin_keeper *keeper)
{
	read_clock(keeper);
	for (unsigned worker = 0; worker < keeper->params.workers; worker++)
		if (!ask_all(keeper, worker))
			return false;
	for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX; vlan++)
		if (keeper->seen[vlan].count > 0 && !read_owner(keeper, vlan))
			keeper->seen[vlan].count = 0;
	return true;
}

static void forget(struct sl_pin_keeper *keeper)
{
	for (unsigned vlan = 1; vlan <= SL_VLAN_MAX; vlan++) {
		sl_pin_bytes_free(&keeper->seen[vlan].pins);
		keeper->seen[vlan].count = 0;
	}
}

/* ---- the thread: writing ---- */

/* The time of day, in seconds, rounded up: no pin lives longer by it. */
static uint64_t time_of_day_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec + (now.tv_nsec > 0);
}

static bool make_file(const struct sl_pin_keeper *keeper, struct sl_pin_bytes *file)
{
	const struct sl_settings *settings = keeper->params.settings;
	uint32_t sandboxes = 0;

	sl_pin_file_begin(file, time_of_day_s(), settings->resolvers, settings->resolver_count);
	for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX; vlan++) {
		const struct seen *seen = &keeper->seen[vlan];

		if (seen->count == 0)
			continue;
		sl_pin_file_put_sandbox(file, vlan, &seen->owner, &seen->pins, seen->count);
		sandboxes++;
	}
	return sl_pin_file_end(file, sandboxes);
}

/* 0 or an errno. */
static int write_file(struct sl_pin_keeper *keeper)
{
	uint8_t digest[SL_PIN_FILE_DIGEST];
	struct sl_pin_bytes file = {0};
	int ret = 0;

	if (!make_file(keeper, &file) || !sl_pin_file_digest(file.at, file.len, digest)) {
		ret = file.failed ? ENOMEM : EFBIG;
	} else if (!keeper->written || memcmp(digest, keeper->digest, sizeof(digest)) != 0 ||
	           access(keeper->path, F_OK) != 0) {
		ret = -sl_pin_disk_write(keeper->path, file.at, file.len);
		keeper->written = ret == 0;
		memcpy(keeper->digest, digest, sizeof(digest));
	}
	sl_pin_bytes_free(&file);
	return ret;
}

static void write_and_tell(struct sl_pin_keeper *keeper)
{
	int problem = write_file(keeper);

	pthread_mutex_lock(&keeper->lock);
	if (problem != keeper->problem && !keeper->ending)
		keeper->params.told(keeper->params.ctx, problem);
	keeper->problem = problem;
	pthread_mutex_unlock(&keeper->lock);
}

static void enter(struct sl_pin_keeper *keeper, enum phase phase)
{
	keeper->phase = phase;
	keeper->rounds += phase == IDLE;
	pthread_cond_broadcast(&keeper->changed);
}

static void *work(void *ctx)
{
	struct sl_pin_keeper *keeper = ctx;

	pthread_setname_np(pthread_self(), "pins");
	pthread_mutex_lock(&keeper->lock);
	while (!keeper->ending) {
		enum phase phase = keeper->phase;
		bool whole = true;

		if (phase != COLLECT && phase != WRITE) {
			pthread_cond_wait(&keeper->changed, &keeper->lock);
			continue;
		}
		pthread_mutex_unlock(&keeper->lock);
		if (phase == COLLECT)
			whole = collect(keeper);
		else
			write_and_tell(keeper);
		if (phase == WRITE || !whole)
			forget(keeper);
		pthread_mutex_lock(&keeper->lock);
		enter(keeper, phase == COLLECT && whole ? CHECK : IDLE);
	}
	pthread_mutex_unlock(&keeper->lock);
	return NULL;
}

/* ---- the control thread ---- */

/* Notes which sandboxes there are. The generation is reclaimed meanwhile. */
static void note(struct sl_pin_keeper *keeper, const struct sl_generation *generation)
{
	for (unsigned vlan = 1; vlan <= SL_VLAN_MAX; vlan++) {
		const struct sl_sandbox *sandbox = generation->sandboxes[vlan];
		struct seen *seen = &keeper->seen[vlan];

		seen->incarnation = sandbox != NULL ? sandbox->incarnation : 0;
		if (sandbox == NULL)
			continue;
		seen->epoch = sandbox->epoch;
		seen->named = sandbox->name != NULL;
		snprintf(seen->name, sizeof(seen->name), "%s", seen->named ? sandbox->name : "");
	}
}

static bool is_same(const struct seen *seen, const struct sl_sandbox *sandbox)
{
	if (sandbox == NULL || sandbox->incarnation != seen->incarnation)
		return false;
	/* without a name its policy, which the hash was made of, has to be the one in force */
	return seen->named ? sandbox->name != NULL && strcmp(sandbox->name, seen->name) == 0
	                   : sandbox->name == NULL && sandbox->epoch == seen->epoch;
}

static void check(struct sl_pin_keeper *keeper, const struct sl_generation *generation)
{
	for (unsigned vlan = 1; vlan <= SL_VLAN_MAX; vlan++) {
		struct seen *seen = &keeper->seen[vlan];

		if (seen->count > 0 && !is_same(seen, generation->sandboxes[vlan]))
			seen->count = 0;
		keeper->kept[vlan] = seen->count > 0 ? seen->incarnation : 0;
	}
}

static bool is_gone(const struct sl_pin_keeper *keeper, const struct sl_generation *generation,
                    uint16_t vlan)
{
	const struct sl_sandbox *sandbox = generation->sandboxes[vlan];

	return keeper->kept[vlan] != 0 &&
	       (sandbox == NULL || sandbox->incarnation != keeper->kept[vlan]);
}

/* True if a sandbox of the file is gone since the last look. */
static bool any_is_gone(struct sl_pin_keeper *keeper, const struct sl_generation *generation)
{
	uint64_t before = keeper->generation;
	bool gone = false;

	keeper->generation = generation->number;
	if (generation->number == before + 1)
		for (unsigned i = 0; i < generation->changed_count; i++)
			gone |= is_gone(keeper, generation, generation->changed[i]);
	else if (generation->number != before)
		for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX; vlan++)
			gone |= is_gone(keeper, generation, vlan);
	return gone;
}

/* True while a round is under way. */
static bool step(struct sl_pin_keeper *keeper, uint64_t now_ms)
{
	const struct sl_generation *generation = atomic_load(&keeper->params.publication->current);
	bool busy;

	if (generation == NULL)
		return false;
	if (any_is_gone(keeper, generation))
		keeper->soon = true;
	pthread_mutex_lock(&keeper->lock);
	switch (keeper->phase) {
	case IDLE:
		if (keeper->soon && keeper->due_ms > keeper->busy_ms + SL_PIN_KEEPER_SOON_MS)
			keeper->due_ms = keeper->busy_ms + SL_PIN_KEEPER_SOON_MS;
		if (now_ms < keeper->due_ms)
			break;
		keeper->soon = false;
		keeper->due_ms = now_ms + SL_PIN_KEEPER_EVERY_MS;
		note(keeper, generation);
		enter(keeper, COLLECT);
		break;
	case CHECK:
		check(keeper, generation);
		enter(keeper, WRITE);
		break;
	case COLLECT:
	case WRITE:
		break;
	}
	busy = keeper->phase != IDLE;
	if (busy)
		keeper->busy_ms = now_ms;
	pthread_mutex_unlock(&keeper->lock);
	return busy;
}

bool sl_pin_keeper_poll(struct sl_pin_keeper *keeper, uint64_t now_ms)
{
	return keeper != NULL && step(keeper, now_ms);
}

void sl_pin_keeper_soon(struct sl_pin_keeper *keeper)
{
	if (keeper != NULL)
		keeper->soon = true;
}

struct sl_pin_keeper *sl_pin_keeper_start(const struct sl_pin_keeper_params *params)
{
	struct sl_pin_keeper *keeper = calloc(1, sizeof(*keeper));
	struct question *question = calloc(1, sizeof(*question));

	if (keeper != NULL)
		keeper->path = strdup(params->path);
	if (keeper != NULL && keeper->path != NULL && question != NULL) {
		keeper->params = *params;
		keeper->question = question;
		pthread_mutex_init(&keeper->lock, NULL);
		pthread_cond_init(&keeper->changed, NULL);
		if (pthread_create(&keeper->thread, NULL, work, keeper) == 0)
			return keeper;
	}
	free(question);
	if (keeper != NULL)
		free(keeper->path);
	free(keeper);
	return NULL;
}

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* True once a round that begins now, or after the present one, is over. */
static bool last_round(struct sl_pin_keeper *keeper, unsigned patience_ms)
{
	uint64_t until_ms = monotonic_ms() + patience_ms, last, rounds;

	pthread_mutex_lock(&keeper->lock);
	rounds = keeper->rounds;
	last = rounds + (keeper->phase == IDLE ? 1 : 2);
	pthread_mutex_unlock(&keeper->lock);
	while (rounds < last && monotonic_ms() < until_ms) {
		keeper->due_ms = 0;
		step(keeper, monotonic_ms());
		usleep(PAUSE_US);
		pthread_mutex_lock(&keeper->lock);
		rounds = keeper->rounds;
		pthread_mutex_unlock(&keeper->lock);
	}
	return rounds >= last;
}

bool sl_pin_keeper_end(struct sl_pin_keeper *keeper, unsigned patience_ms)
{
	bool whole, hangs;

	if (keeper == NULL)
		return true;
	whole = last_round(keeper, patience_ms);
	pthread_mutex_lock(&keeper->lock);
	keeper->ending = true;
	hangs = keeper->phase == WRITE;
	pthread_cond_broadcast(&keeper->changed);
	pthread_mutex_unlock(&keeper->lock);
	if (hangs) {
		pthread_detach(keeper->thread);
		return false;
	}
	pthread_join(keeper->thread, NULL);
	forget(keeper);
	if (!keeper->lost) /* else a worker may still write to it */
		free(keeper->question);
	pthread_cond_destroy(&keeper->changed);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper->path);
	free(keeper);
	return whole;
}
