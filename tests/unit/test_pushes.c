/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pushes.c: pushes that meet others which wait for their patterns: what is answered, in force,
 * shown and stored.
 */
#include <pthread.h>
#include <sys/stat.h>

#include "api/pushes.h"
#include "document/yaml_tree.h"
#include "reload_jobs.h"
#include "state/store.h"

#define ASKED_MAX 8

/* A caller of the API. */
struct asked {
	struct sl_push_call call;
	struct sl_yaml_doc *body;
	struct sl_pushes *pushes;
	pthread_t thread;
	bool joined;
};

struct api {
	struct scene *scene;
	struct sl_model model;
	struct sl_pushes pushes;
	char folder[32];
	struct asked asked[ASKED_MAX];
	unsigned n;
};

static struct api *api_open(struct rte_rcu_qsbr *qsbr)
{
	struct api *api = calloc(1, sizeof(*api));
	char err[512];

	api->scene = scene_open(NULL, 1, qsbr, 50);
	sl_model_init(&api->model);
	strcpy(api->folder, "/tmp/sluice-pushes-XXXXXX");
	assert_non_null(mkdtemp(api->folder));
	api->pushes = (struct sl_pushes){.model = &api->model, .reload = api->scene->reload};
	assert_int_equal(sl_store_open(api->folder, &api->pushes.store, err, sizeof(err)), 0);
	assert_int_equal(sl_pushes_init(&api->pushes), 0);
	return api;
}

static int api_setup(void **state)
{
	*state = api_open(NULL);
	return 0;
}

static int api_teardown(void **state)
{
	struct api *api = *state;
	char command[64];
	void *scene = api->scene;

	for (unsigned i = 0; i < api->n; i++) {
		if (!api->asked[i].joined)
			pthread_join(api->asked[i].thread, NULL);
		json_decref(api->asked[i].call.would_change);
		sl_diag_free(&api->asked[i].call.diag);
		sl_yaml_doc_free(api->asked[i].body);
	}
	sl_store_close(api->pushes.store);
	sl_pushes_fini(&api->pushes);
	sl_model_fini(&api->model);
	snprintf(command, sizeof(command), "rm -r %s", api->folder);
	assert_int_equal(system(command), 0);
	free(api);
	return teardown(&scene);
}

static void *call(void *ctx)
{
	struct asked *asked = ctx;

	sl_pushes_call(asked->pushes, &asked->call);
	return NULL;
}

static unsigned queued(struct api *api)
{
	unsigned n = 0;

	pthread_mutex_lock(&api->pushes.lock);
	for (const struct sl_push_call *call = api->pushes.first; call != NULL; call = call->next)
		n++;
	pthread_mutex_unlock(&api->pushes.lock);
	return n;
}

/* Asks from a thread of its own, and returns when it is asked. body NULL: none. */
static struct asked *ask(struct api *api, enum sl_push_op op, const char *id, const char *body)
{
	struct asked *asked = &api->asked[api->n++];
	unsigned before = queued(api);
	struct sl_diag diag;

	assert_true(api->n <= ASKED_MAX);
	sl_diag_init(&diag);
	if (body != NULL)
		assert_int_equal(sl_yaml_read_buffer("body", body, strlen(body), 1 << 20, &diag,
		                                     &asked->body),
		                 0);
	sl_diag_free(&diag);
	asked->pushes = &api->pushes;
	asked->call = (struct sl_push_call){.op = op, .id = id, .who = "test", .body = asked->body};
	assert_int_equal(pthread_create(&asked->thread, NULL, call, asked), 0);
	while (queued(api) == before)
		usleep(100);
	return asked;
}

static bool answered(struct api *api, struct asked *asked)
{
	bool done;

	pthread_mutex_lock(&api->pushes.lock);
	done = asked->call.done;
	pthread_mutex_unlock(&api->pushes.lock);
	if (done && !asked->joined) {
		pthread_join(asked->thread, NULL);
		asked->joined = true;
	}
	return done;
}

/* Asks, and has the control thread do it. */
static struct asked *push_by(struct api *api, enum sl_push_op op, const char *id, const char *body)
{
	struct asked *asked = ask(api, op, id, body);

	sl_pushes_poll(&api->pushes);
	return asked;
}

/* All that waits comes into force, or is refused. */
static void settle_all(struct api *api)
{
	for (unsigned i = 0; sl_reload_pending(api->scene->reload) > 0; i++) {
		assert_true(i < 60000);
		usleep(1000);
		sl_reload_poll(api->scene->reload);
	}
}

static void expect_status(struct api *api, struct asked *asked, int status)
{
	assert_true(answered(api, asked));
	if (asked->call.status != status)
		print_error("%s: %s\n", asked->call.problem, asked->call.detail);
	assert_int_equal(asked->call.status, status);
}

/* A policy value that takes long to compile. */
static const char *slow(unsigned n)
{
	static char text[65536];
	int at = snprintf(text, sizeof(text), "{\"allow\":[");

	for (unsigned i = 0; i < n; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s\"v%u-%u.*.example.com\"",
		               i > 0 ? "," : "", n, i);
	snprintf(text + at, sizeof(text) - (size_t)at, "]}");
	return text;
}

/* An entry with this policy. */
static const char *entry(const char *policy)
{
	static char text[70000];

	snprintf(text, sizeof(text), "{\"policy\": %s}", policy);
	return text;
}

static int take(void *ctx, enum sl_store_kind kind, const char *key, const char *text)
{
	return kind == SL_STORE_POLICY
	               ? sl_model_set_policy(ctx, key, text)
	               : sl_model_set_entry(ctx, (uint16_t)strtoul(key, NULL, 10), text);
}

/* What the next start has is what is shown now, and what is in force. */
static void expect_durable(struct api *api)
{
	struct sl_model stored;
	struct sl_policy_doc *doc = NULL;
	char *text, *shown;
	uint64_t before = sl_reload_number(api->scene->reload);

	sl_model_init(&stored);
	assert_int_equal(sl_store_each(api->pushes.store, take, &stored), 0);
	text = sl_model_document(&stored);
	shown = sl_model_document(&api->model);
	assert_string_equal(text, shown);
	sl_diag_free(&api->scene->diag);
	assert_int_equal(
	        sl_policy_doc_read_buffer("stored", text, strlen(text), &api->scene->diag, &doc),
	        0);
	assert_int_equal(sl_reload_push(api->scene->reload, doc, &api->scene->diag, NULL), 0);
	assert_int_equal(sl_reload_number(api->scene->reload), before);
	sl_policy_doc_free(doc);
	free(text);
	free(shown);
	sl_model_fini(&stored);
}

/* Who takes back what still compiles is not told that nothing had to be done. */
static void test_push_that_takes_back_one_that_waits_is_the_last(void **state)
{
	struct api *api = *state;
	struct asked *first, *second;

	expect_status(api, push_by(api, SL_PUSH_SANDBOX, "1", "{policy: deny-all}"), 201);
	first = push_by(api, SL_PUSH_SANDBOX, "1", entry(slow(80)));
	assert_false(answered(api, first));
	second = push_by(api, SL_PUSH_SANDBOX, "1", "{policy: deny-all}");
	expect_status(api, second, 200);
	settle_all(api);
	expect_status(api, first, 409);
	assert_int_equal(sandbox(api->scene, 1)->mode, SL_MODE_DENY_ALL);
	expect_durable(api);
}

/* A push that is refused late does not take the place of a later one in the store. */
static void test_late_refusal_leaves_what_a_later_push_stored(void **state)
{
	struct api *api = *state;
	struct asked *first, *second;
	static char named[70000];

	expect_status(api, push_by(api, SL_PUSH_SANDBOX, "1", "{policy: deny-all}"), 201);
	snprintf(named, sizeof(named), "{\"name\": \"x\", \"policy\": %s}", slow(60));
	first = push_by(api, SL_PUSH_SANDBOX, "1", named);
	assert_false(answered(api, first));
	/* this takes its name away */
	expect_status(api, push_by(api, SL_PUSH_SANDBOX, "2", "{name: x}"), 201);
	second = push_by(api, SL_PUSH_SANDBOX, "1", entry(slow(90)));
	assert_false(answered(api, second));
	settle_all(api);
	assert_non_null(first->call.problem);
	expect_status(api, second, 200);
	assert_true(opens(api->scene, 1, "v90-7.x.example.com"));
	expect_durable(api);
}

static void expect_not_stored(struct api *api, struct asked *asked)
{
	expect_status(api, asked, 422);
	assert_int_equal(asked->call.store_us, 0);
}

/* A name that another sandbox has is refused before it is stored, alone and with others. */
static void test_name_of_another_sandbox_is_never_stored(void **state)
{
	struct api *api = *state;
	struct asked *first, *second;

	expect_status(api, push_by(api, SL_PUSH_SANDBOX, "1", "{name: x}"), 201);
	expect_not_stored(api, push_by(api, SL_PUSH_SANDBOX, "2", "{name: x}"));
	expect_not_stored(
	        api, push_by(api, SL_PUSH_PATCH, NULL, "{set: [{vlan: 3}, {vlan: 2, name: x}]}"));
	expect_durable(api);
	/* a patch may move it */
	expect_status(api,
	              push_by(api, SL_PUSH_PATCH, NULL,
	                      "{set: [{vlan: 1, name: y}, {vlan: 2, name: x}]}"),
	              200);
	expect_durable(api);
	first = ask(api, SL_PUSH_SANDBOX, "5", "{name: z}");
	second = ask(api, SL_PUSH_SANDBOX, "6", "{name: z}");
	sl_pushes_poll(&api->pushes);
	expect_status(api, first, 201);
	expect_not_stored(api, second);
	expect_durable(api);
}

/* What a later push has set is shown as that one set it. */
static void test_late_push_does_not_show_what_a_later_one_replaced(void **state)
{
	struct api *api = *state;
	struct asked *first;
	static char patch[70000];

	expect_status(api, push_by(api, SL_PUSH_SANDBOX, "2", "{}"), 201);
	snprintf(patch, sizeof(patch),
	         "{\"set\": [{\"vlan\": 1, \"policy\": %s}, {\"vlan\": 2, \"name\": \"old\"}]}",
	         slow(60));
	first = push_by(api, SL_PUSH_PATCH, NULL, patch);
	assert_false(answered(api, first));
	expect_status(api, push_by(api, SL_PUSH_SANDBOX, "2", "{policy: deny-all}"), 200);
	settle_all(api);
	expect_status(api, first, 200);
	assert_int_equal(sandbox(api->scene, 2)->mode, SL_MODE_DENY_ALL);
	expect_durable(api);
}

/* A document that knows nothing of a sandbox which waits ends it, in the store as well. */
static void test_document_removes_what_waits(void **state)
{
	struct api *api = *state;
	struct asked *first = push_by(api, SL_PUSH_SANDBOX, "1", entry(slow(60)));

	assert_false(answered(api, first));
	expect_status(api, push_by(api, SL_PUSH_DOCUMENT, NULL, "sandboxes: [{vlan: 2}]"), 200);
	expect_durable(api);
	settle_all(api);
	expect_status(api, first, 409);
	assert_null(sandbox(api->scene, 1));
	expect_durable(api);
}

/* A policy that a waiting sandbox uses cannot be removed under it. */
static void test_policy_of_a_sandbox_that_waits_is_in_use(void **state)
{
	struct api *api = *state;
	struct asked *first;
	static char patch[70000];

	expect_status(api, push_by(api, SL_PUSH_POLICY, "p", "deny-all"), 200);
	snprintf(patch, sizeof(patch),
	         "{\"set\": [{\"vlan\": 1, \"policy\": %s}, {\"vlan\": 2, \"policy\": \"p\"}]}",
	         slow(60));
	first = push_by(api, SL_PUSH_PATCH, NULL, patch);
	assert_false(answered(api, first));
	expect_status(api, push_by(api, SL_PUSH_POLICY_REMOVE, "p", NULL), 409);
	/* and if it changes, it changes for that sandbox */
	expect_status(api, push_by(api, SL_PUSH_POLICY, "p", "allow-all"), 200);
	settle_all(api);
	expect_status(api, first, 200);
	assert_int_equal(sandbox(api->scene, 2)->mode, SL_MODE_ALLOW_ALL);
	expect_durable(api);
}

/* Of two pushes that a worker is late for, the first is in force; the second is not, nor shown. */
static void test_push_behind_a_late_worker_changes_nothing(void **state)
{
	struct rte_rcu_qsbr *qsbr = aligned_alloc(64, (rte_rcu_qsbr_get_memsize(1) + 63) / 64 * 64);
	struct api *api;
	void *ctx;

	rte_rcu_qsbr_init(qsbr, 1);
	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	api = api_open(qsbr);
	expect_status(api, push_by(api, SL_PUSH_SANDBOX, "1", "{policy: deny-all}"), 504);
	expect_status(api, push_by(api, SL_PUSH_SANDBOX, "1", "{}"), 504);
	expect_status(api, push_by(api, SL_PUSH_SANDBOX, "1", "{}"), 504);
	assert_int_equal(sandbox(api->scene, 1)->mode, SL_MODE_DENY_ALL);
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
	expect_durable(api);
	ctx = api;
	api_teardown(&ctx);
	free(qsbr);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_push_that_takes_back_one_that_waits_is_the_last),
	        TEST(test_late_refusal_leaves_what_a_later_push_stored),
	        TEST(test_name_of_another_sandbox_is_never_stored),
	        TEST(test_late_push_does_not_show_what_a_later_one_replaced),
	        TEST(test_document_removes_what_waits),
	        TEST(test_policy_of_a_sandbox_that_waits_is_in_use),
	        cmocka_unit_test(test_push_behind_a_late_worker_changes_nothing),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
