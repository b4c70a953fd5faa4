/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pin_keeper.c: when the file of pins is written, and whose pins are in it, with workers that
 * answer as the test has them answer. The test is the control thread; its clock is the keeper's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "document/policy_json.h"
#include "state/pin_disk.h"
#include "state/pin_file.h"
#include "state/pin_keeper.h"
#include "state/pin_owner.h"

#define WORKERS   2
#define ITEMS_MAX 3000
#define CLOCK_US  1000000000000ull /* the workers' clock, which stands still */

struct scene {
	char folder[40], path[64];
	struct sl_settings settings;
	struct sl_publication publication;
	struct sl_generation *generation;
	struct sl_sandbox sandboxes[8];
	struct sl_model model;
	struct sl_pin_keeper *keeper;
	uint64_t now_ms;

	pthread_mutex_t lock;
	struct sl_ask_item items[ITEMS_MAX];
	unsigned n_items;
	unsigned listings; /* that began with worker 0 */
	bool stuck;        /* worker 1 takes no turns */
	unsigned full;     /* how often its ring is full */
	unsigned waiting;  /* looks for the answer of the worker that is stuck */
	int64_t offset_us;
	int told[8];
	unsigned n_told;
};

/* ---- workers that are played ---- */

static struct sl_ask *volatile held; /* the question that a stuck worker may still write to */

static void list(struct scene *scene, unsigned worker, struct sl_ask *ask)
{
	for (; ask->next < scene->n_items && ask->count < ask->room; ask->next++)
		if (scene->items[ask->next].vlan % WORKERS == worker)
			ask->items[ask->count++] = scene->items[ask->next];
	if (ask->next == scene->n_items)
		ask->next = 0;
}

static bool ask(void *ctx, unsigned worker, struct sl_ask *ask, unsigned timeout_ms, bool *lost)
{
	struct scene *scene = ctx;
	bool answered = true;

	*lost = false;
	pthread_mutex_lock(&scene->lock);
	assert_int_equal(ask->kind, SL_ASK_PINS);
	assert_int_equal(ask->vlan, 0);
	scene->listings += worker == 0 && ask->next == 0;
	if (worker == 1 && scene->full > 0) {
		scene->full--;
		answered = false;
	} else if (worker == 1 && scene->stuck) {
		*lost = true;
		held = ask;
		answered = false;
	} else {
		list(scene, worker, ask);
	}
	pthread_mutex_unlock(&scene->lock);
	return answered;
}

static bool await(void *ctx, unsigned worker, struct sl_ask *ask, unsigned timeout_ms)
{
	struct scene *scene = ctx;
	bool answered;

	pthread_mutex_lock(&scene->lock);
	scene->waiting++;
	answered = !scene->stuck;
	if (answered)
		list(scene, worker, ask);
	pthread_mutex_unlock(&scene->lock);
	usleep(200);
	return answered;
}

static int64_t offset_us(void *ctx)
{
	struct scene *scene = ctx;
	int64_t offset;

	pthread_mutex_lock(&scene->lock);
	offset = scene->offset_us;
	pthread_mutex_unlock(&scene->lock);
	return offset;
}

static void told(void *ctx, int problem)
{
	struct scene *scene = ctx;

	pthread_mutex_lock(&scene->lock);
	assert_true(scene->n_told < 8);
	scene->told[scene->n_told++] = problem;
	pthread_mutex_unlock(&scene->lock);
}

/* ---- the scene ---- */

/* A generation of all sandboxes whose incarnation is not 0; one of them changed. */
static void publish(struct scene *scene, uint64_t number, uint16_t changed)
{
	struct sl_generation *next = calloc(1, sizeof(*next) + sizeof(next->changed[0]));

	next->number = number;
	next->changed_count = 1;
	next->changed[0] = changed;
	for (size_t i = 0; i < 8; i++)
		if (scene->sandboxes[i].incarnation != 0)
			next->sandboxes[scene->sandboxes[i].vlan] = &scene->sandboxes[i];
	atomic_store(&scene->publication.current, next);
	free(scene->generation);
	scene->generation = next;
}

static void add(struct scene *scene, uint16_t vlan, uint32_t incarnation, uint8_t last,
                const char *name, uint32_t left_s)
{
	struct sl_ask_item *item = &scene->items[scene->n_items++];

	*item = (struct sl_ask_item){.vlan = vlan,
	                             .incarnation = incarnation,
	                             .remote = {SL_FAMILY_4, {198, 51, 100, last}},
	                             .life_s = 3600,
	                             .name_len = (uint8_t)strlen(name),
	                             .expires_us = CLOCK_US + left_s * 1000000ull};
	strcpy(item->name, name);
}

static void start(struct scene *scene)
{
	struct sl_pin_keeper_params params = {
	        .path = scene->path,
	        .workers = WORKERS,
	        .publication = &scene->publication,
	        .settings = &scene->settings,
	        .model = &scene->model,
	        .ask = ask,
	        .await = await,
	        .offset_us = offset_us,
	        .told = told,
	        .ctx = scene,
	};

	scene->keeper = sl_pin_keeper_start(&params);
	assert_non_null(scene->keeper);
}

/* 101 and 102 have names, 103 has none; two pins of the first, one of each other. */
static int scene_open(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct timespec now;

	*state = scene;
	strcpy(scene->folder, "/tmp/sluice-pins-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	snprintf(scene->path, sizeof(scene->path), "%s/pins", scene->folder);
	pthread_mutex_init(&scene->lock, NULL);
	clock_gettime(CLOCK_REALTIME, &now);
	scene->offset_us = (int64_t)now.tv_sec * 1000000 - (int64_t)CLOCK_US;
	scene->settings.resolver_count = 1;
	scene->settings.resolvers[0] = (struct sl_addr){SL_FAMILY_4, {203, 0, 113, 53}};
	scene->sandboxes[0] =
	        (struct sl_sandbox){.vlan = 101, .incarnation = 1, .epoch = 1, .name = "one"};
	scene->sandboxes[1] =
	        (struct sl_sandbox){.vlan = 102, .incarnation = 1, .epoch = 1, .name = "two"};
	scene->sandboxes[2] = (struct sl_sandbox){.vlan = 103, .incarnation = 1, .epoch = 1};
	sl_model_init(&scene->model);
	assert_int_equal(
	        sl_model_set_entry(&scene->model, 103,
	                           "{\"policy\":{\"allow\":[\"a.example\"]},\"vlan\":103}"),
	        0);
	publish(scene, 1, 101);
	add(scene, 101, 1, 1, "a.example", 600);
	add(scene, 101, 1, 2, "b.example", 700);
	add(scene, 102, 1, 3, "c.example", 800);
	add(scene, 103, 1, 4, "a.example", 900);
	return 0;
}

static int scene_close(void **state)
{
	struct scene *scene = *state;
	char command[64];

	sl_pin_keeper_end(scene->keeper, 10000);
	sl_model_fini(&scene->model);
	pthread_mutex_destroy(&scene->lock);
	snprintf(command, sizeof(command), "rm -r %s", scene->folder);
	assert_int_equal(system(command), 0);
	free(scene->generation);
	free(scene);
	return 0;
}

/* ---- what the file says ---- */

/* Each pin as "VLAN owner name left", in the file's order; "-" for an owner without a name. */
static const char *file_says(const struct scene *scene)
{
	static char text[4096];
	struct sl_pin_sandbox sandbox;
	struct sl_pin_record pin;
	struct sl_pin_file file;
	const char *why;
	uint8_t *bytes;
	char err[256];
	size_t len;
	int n = 0;

	text[0] = '\0';
	if (sl_pin_disk_read(scene->path, &bytes, &len, err, sizeof(err)) != 0)
		return "none";
	assert_true(sl_pin_file_open(&file, bytes, len, &why));
	assert_int_equal(file.resolver_count, 1);
	while (sl_pin_file_next(&file, &sandbox)) {
		bool named = sandbox.owner.kind == SL_PIN_OWNER_NAME;

		while (sl_pin_file_next_pin(&sandbox, &pin))
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%u %.*s %.*s %lld\n",
			              sandbox.vlan, named ? sandbox.owner.len : 1,
			              named ? sandbox.owner.text : "-", pin.name_len, pin.name,
			              (long long)pin.expires_s -
			                      (long long)((CLOCK_US + (uint64_t)scene->offset_us) /
			                                  1000000));
	}
	free(bytes);
	return text;
}

#define ALL                                                                                        \
	"101 one a.example 600\n101 one b.example 700\n102 two c.example 800\n103 - a.example "    \
	"900\n"

/* One turn of the control loop; true while a round is under way. */
static bool turn(struct scene *scene)
{
	return sl_pin_keeper_poll(scene->keeper, scene->now_ms);
}

/* A round is due: the loop turns, at the same time of its clock, until that is over. */
static void round_of(struct scene *scene)
{
	assert_true(turn(scene));
	while (turn(scene))
		usleep(200);
}

static void written(struct scene *scene, const char *text)
{
	round_of(scene);
	assert_string_equal(file_says(scene), text);
}

static void end(struct scene *scene)
{
	assert_true(sl_pin_keeper_end(scene->keeper, 30000));
	scene->keeper = NULL;
}

/* True if the file that was opened is still the one that has the name. */
static bool in_its_place(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_nlink == 1;
}

/* ---- when ---- */

static void pins_are_written_at_the_start_every_ten_seconds_and_at_the_end(void **state)
{
	struct scene *scene = *state;

	start(scene);
	written(scene, ALL);
	assert_int_equal(scene->listings, 1);
	scene->n_items = 1;
	scene->now_ms = SL_PIN_KEEPER_EVERY_MS - 1;
	assert_false(turn(scene));
	scene->now_ms++;
	written(scene, "101 one a.example 600\n");
	scene->n_items = 2;
	end(scene);
	assert_string_equal(file_says(scene), "101 one a.example 600\n101 one b.example 700\n");
	assert_int_equal(scene->n_told, 0);
}

static void pins_of_many_pages_are_all_written(void **state)
{
	struct scene *scene = *state;
	struct sl_pin_sandbox sandbox;
	struct sl_pin_file file;
	const char *why;
	uint8_t *bytes;
	char err[256];
	size_t len;

	while (scene->n_items < ITEMS_MAX)
		add(scene, 102, 1, (uint8_t)scene->n_items, "x.example", scene->n_items);
	start(scene);
	end(scene);
	assert_int_equal(sl_pin_disk_read(scene->path, &bytes, &len, err, sizeof(err)), 0);
	assert_true(sl_pin_file_open(&file, bytes, len, &why));
	assert_true(sl_pin_file_next(&file, &sandbox));
	assert_true(sl_pin_file_next(&file, &sandbox));
	assert_int_equal(sandbox.vlan, 102);
	assert_int_equal(sandbox.pins, ITEMS_MAX - 3);
	free(bytes);
}

static void pins_that_did_not_change_are_not_written_again(void **state)
{
	struct scene *scene = *state;
	int first;

	start(scene);
	written(scene, ALL);
	first = open(scene->path, O_RDONLY);
	assert_true(first >= 0);
	scene->now_ms += SL_PIN_KEEPER_EVERY_MS;
	round_of(scene);
	scene->offset_us += 900000; /* what clocks drift apart is no change */
	end(scene);
	scene->offset_us -= 900000;
	assert_int_equal(scene->listings, 3);
	assert_true(in_its_place(first));
	assert_string_equal(file_says(scene), ALL);
	close(first);
}

static void pins_are_written_again_where_the_file_is_gone(void **state)
{
	struct scene *scene = *state;

	start(scene);
	written(scene, ALL);
	assert_int_equal(unlink(scene->path), 0);
	end(scene);
	assert_string_equal(file_says(scene), ALL);
}

static void time_of_day_that_was_set_is_the_files(void **state)
{
	struct scene *scene = *state;

	start(scene);
	written(scene, ALL);
	scene->offset_us += 5000000;
	assert_string_not_equal(file_says(scene), ALL);
	end(scene);
	assert_string_equal(file_says(scene), ALL);
}

/* ---- what is forgotten ---- */

static void pins_that_were_cut_are_out_of_the_file_within_a_second(void **state)
{
	struct scene *scene = *state;

	scene->now_ms = 50000;
	start(scene);
	written(scene, ALL);
	scene->n_items = 1;
	sl_pin_keeper_soon(scene->keeper);
	scene->now_ms += SL_PIN_KEEPER_SOON_MS - 1; /* many cuts are not many files */
	assert_false(turn(scene));
	scene->now_ms++;
	written(scene, "101 one a.example 600\n");
	assert_int_equal(scene->listings, 2);
}

static void gone_within_a_second(struct scene *scene, uint64_t number)
{
	start(scene);
	written(scene, ALL);
	scene->sandboxes[1].incarnation = 0;
	publish(scene, number, 102);
	scene->now_ms += SL_PIN_KEEPER_SOON_MS;
	written(scene, "101 one a.example 600\n101 one b.example 700\n103 - a.example "
	               "900\n");
	assert_int_equal(scene->listings, 2);
}

static void sandbox_removed_is_out_of_the_file_within_a_second(void **state)
{
	gone_within_a_second(*state, 2);
}

static void sandbox_removed_some_pushes_ago_too(void **state)
{
	gone_within_a_second(*state, 17);
}

static void change_of_others_does_not_hurry(void **state)
{
	struct scene *scene = *state;

	start(scene);
	written(scene, ALL);
	scene->sandboxes[0].epoch = 2;
	publish(scene, 2, 101);
	scene->sandboxes[3] = (struct sl_sandbox){.vlan = 104, .incarnation = 3, .epoch = 3};
	publish(scene, 3, 104);
	scene->now_ms += SL_PIN_KEEPER_EVERY_MS - 1;
	assert_false(turn(scene));
	end(scene);
	assert_int_equal(scene->listings, 2); /* the first and the last */
}

/* ---- whose ---- */

static void pins_of_a_former_sandbox_are_not_those_of_its_successor(void **state)
{
	struct scene *scene = *state;

	/* its worker has not yet noticed */
	scene->sandboxes[0].incarnation = scene->sandboxes[0].epoch = 2;
	publish(scene, 2, 101);
	start(scene);
	written(scene, "102 two c.example 800\n103 - a.example 900\n");
}

/* Holds the round while worker 1 is asked, does something, and lets it go on. */
static void meanwhile(struct scene *scene, void (*do_it)(struct scene *scene), const char *text)
{
	bool waits = false;

	scene->stuck = true;
	start(scene);
	while (!waits) {
		assert_true(turn(scene));
		usleep(200);
		pthread_mutex_lock(&scene->lock);
		waits = scene->waiting > 0;
		pthread_mutex_unlock(&scene->lock);
	}
	do_it(scene);
	pthread_mutex_lock(&scene->lock);
	scene->stuck = false;
	pthread_mutex_unlock(&scene->lock);
	written(scene, text);
	assert_int_equal(scene->listings, 1);
}

static void replace(struct scene *scene)
{
	scene->sandboxes[3] =
	        (struct sl_sandbox){.vlan = 102, .incarnation = 2, .epoch = 2, .name = "another"};
	scene->sandboxes[1].incarnation = 0;
	publish(scene, 2, 102);
}

static void sandbox_replaced_during_a_round_is_left_out(void **state)
{
	meanwhile(*state, replace,
	          "101 one a.example 600\n101 one b.example 700\n103 - a.example 900\n");
}

static void change_policies(struct scene *scene)
{
	scene->sandboxes[4] = scene->sandboxes[1];
	scene->sandboxes[1].incarnation = 0;
	scene->sandboxes[4].epoch = 2;
	scene->sandboxes[5] = scene->sandboxes[2];
	scene->sandboxes[2].incarnation = 0;
	scene->sandboxes[5].epoch = 2;
	publish(scene, 2, 102);
}

/* A policy is who a sandbox without a name is; of one with a name it is not. */
static void policy_changed_during_a_round_leaves_the_nameless_out(void **state)
{
	struct scene *scene = *state;

	meanwhile(scene, change_policies,
	          "101 one a.example 600\n101 one b.example 700\n102 two c.example 800\n");
	end(scene);
	assert_string_equal(file_says(scene), ALL);
}

/* The hash that the API shows of a policy. */
static const char *hash_of(const char *policy)
{
	static char hash[SL_POLICY_HASH_BYTES];
	struct sl_policy_doc *doc;
	struct sl_diag diag;
	char text[256];

	sl_diag_init(&diag);
	snprintf(text, sizeof(text), "sandboxes: [{vlan: 1, policy: %s}]", policy);
	assert_int_equal(sl_policy_doc_read_buffer("t", text, strlen(text), &diag, &doc), 0);
	assert_true(sl_policy_json_hash(doc->entries[0].policy, hash));
	sl_policy_doc_free(doc);
	sl_diag_free(&diag);
	return hash;
}

static void owner_of_a_nameless_sandbox_is_its_policy(void **state)
{
	struct scene *scene = *state;
	struct sl_pin_owner one, same, other;

	assert_true(sl_pin_owner_read(&scene->model, 103, NULL, &one));
	assert_int_equal(one.kind, SL_PIN_OWNER_POLICY);
	assert_int_equal(one.len, 64);
	assert_memory_equal(one.text, hash_of("{allow: [A.example]}"), one.len);
	/* the same policy by its name */
	sl_model_set_policy(&scene->model, "p", "{\"allow\":[\"a.example\"]}");
	sl_model_set_entry(&scene->model, 104, "{\"policy\":\"p\",\"vlan\":104}");
	assert_true(sl_pin_owner_read(&scene->model, 104, NULL, &same));
	assert_true(sl_pin_owner_equal(&one, &same));
	sl_model_set_policy(&scene->model, "p", "{\"allow\":[\"b.example\"]}");
	assert_true(sl_pin_owner_read(&scene->model, 104, NULL, &other));
	assert_false(sl_pin_owner_equal(&one, &other));
	sl_model_set_entry(&scene->model, 104, "{\"policy\":\"allow-all\",\"vlan\":104}");
	assert_true(sl_pin_owner_read(&scene->model, 104, NULL, &other));
	assert_memory_equal(other.text, hash_of("allow-all"), other.len);
	assert_false(sl_pin_owner_equal(&one, &other));
	assert_false(sl_pin_owner_read(&scene->model, 105, NULL, &other));
	/* a name that reads as the hash is not the hash */
	assert_true(sl_pin_owner_read(&scene->model, 103, "one", &other));
	memcpy(other.text, one.text, one.len);
	other.len = one.len;
	assert_false(sl_pin_owner_equal(&one, &other));
}

static void policy_that_changed_between_rounds_is_hashed_again(void **state)
{
	struct scene *scene = *state;
	struct sl_pin_sandbox sandbox;
	struct sl_pin_owner owner;
	struct sl_pin_file file;
	const char *why;
	uint8_t *bytes;
	char err[256];
	size_t len;

	start(scene);
	written(scene, ALL);
	scene->n_items = 0;
	add(scene, 103, 1, 4, "a.example", 900);
	sl_model_set_entry(&scene->model, 103, "{\"policy\":\"deny-all\",\"vlan\":103}");
	scene->sandboxes[2].epoch = 2;
	publish(scene, 2, 103);
	end(scene);
	assert_true(sl_pin_owner_read(&scene->model, 103, NULL, &owner));
	assert_int_equal(sl_pin_disk_read(scene->path, &bytes, &len, err, sizeof(err)), 0);
	assert_true(sl_pin_file_open(&file, bytes, len, &why));
	assert_true(sl_pin_file_next(&file, &sandbox));
	assert_true(sl_pin_owner_equal(&sandbox.owner, &owner));
	free(bytes);
}

/* ---- what goes wrong ---- */

static void worker_that_is_stuck_delays_the_file_alone(void **state)
{
	struct scene *scene = *state;

	start(scene);
	written(scene, ALL);
	scene->stuck = true;
	scene->n_items = 1;
	for (int i = 0; i < 100; i++) { /* no call waits for it */
		scene->now_ms += SL_PIN_KEEPER_EVERY_MS;
		assert_true(turn(scene));
	}
	assert_string_equal(file_says(scene), ALL);
	pthread_mutex_lock(&scene->lock);
	scene->stuck = false;
	pthread_mutex_unlock(&scene->lock);
	written(scene, "101 one a.example 600\n");
}

static void worker_that_is_stuck_at_the_end_leaves_the_file_as_it_is(void **state)
{
	struct scene *scene = *state;

	start(scene);
	written(scene, ALL);
	scene->stuck = true;
	scene->n_items = 1;
	assert_false(sl_pin_keeper_end(scene->keeper, 20));
	scene->keeper = NULL;
	assert_string_equal(file_says(scene), ALL);
}

static void worker_that_has_many_questions_is_asked_again(void **state)
{
	struct scene *scene = *state;

	scene->full = 5;
	start(scene);
	written(scene, ALL);
	assert_int_equal(scene->full, 0);
}

static void file_that_cannot_be_written_is_told_once_and_when_it_can(void **state)
{
	struct scene *scene = *state;
	char away[64];

	snprintf(away, sizeof(away), "%s.away", scene->folder);
	assert_int_equal(rename(scene->folder, away), 0);
	start(scene);
	round_of(scene);
	scene->now_ms += SL_PIN_KEEPER_EVERY_MS;
	round_of(scene);
	scene->now_ms += SL_PIN_KEEPER_EVERY_MS;
	round_of(scene);
	assert_int_equal(rename(away, scene->folder), 0);
	end(scene);
	assert_string_equal(file_says(scene), ALL);
	assert_int_equal(scene->n_told, 2);
	assert_int_equal(scene->told[0], ENOENT);
	assert_int_equal(scene->told[1], 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, scene_open, scene_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CASE(pins_are_written_at_the_start_every_ten_seconds_and_at_the_end),
	        CASE(pins_of_many_pages_are_all_written),
	        CASE(pins_that_did_not_change_are_not_written_again),
	        CASE(pins_are_written_again_where_the_file_is_gone),
	        CASE(time_of_day_that_was_set_is_the_files),
	        CASE(pins_that_were_cut_are_out_of_the_file_within_a_second),
	        CASE(sandbox_removed_is_out_of_the_file_within_a_second),
	        CASE(sandbox_removed_some_pushes_ago_too),
	        CASE(change_of_others_does_not_hurry),
	        CASE(pins_of_a_former_sandbox_are_not_those_of_its_successor),
	        CASE(sandbox_replaced_during_a_round_is_left_out),
	        CASE(policy_changed_during_a_round_leaves_the_nameless_out),
	        CASE(owner_of_a_nameless_sandbox_is_its_policy),
	        CASE(policy_that_changed_between_rounds_is_hashed_again),
	        CASE(worker_that_is_stuck_delays_the_file_alone),
	        CASE(worker_that_is_stuck_at_the_end_leaves_the_file_as_it_is),
	        CASE(worker_that_has_many_questions_is_asked_again),
	        CASE(file_that_cannot_be_written_is_told_once_and_when_it_can),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
