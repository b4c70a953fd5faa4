/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_reload.c: the policy's walk from outside: what comes into force, when, under which numbers,
 * and what is refused.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_rcu_qsbr.h>

#include "document/config.h"
#include "document/diag.h"
#include "inproc.h"
#include "document/policy.h"
#include "reload/reload.h"
#include "sluice/generation.h"

struct scene {
	struct sl_publication publication;
	struct sl_config config;
	struct sl_reload *reload;
	struct sl_diag diag;
	struct sl_push push;
};

static struct scene *scene_open(const char *config, unsigned workers, struct rte_rcu_qsbr *qsbr,
                                uint32_t patience_ms)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct sl_reload_params params = {.workers = workers, .patience_ms = patience_ms};

	assert_non_null(scene);
	sl_diag_init(&scene->diag);
	if (config != NULL) {
		assert_int_equal(sl_config_read_buffer("config.yaml", config, strlen(config),
		                                       SL_CONFIG_FOR_REPLAY, &scene->diag,
		                                       &scene->config),
		                 0);
		params.config = &scene->config;
	}
	params.publication = &scene->publication;
	scene->publication.qsbr = qsbr;
	scene->reload = sl_reload_create(&params, &scene->diag);
	assert_non_null(scene->reload);
	return scene;
}

static int setup(void **state)
{
	*state = scene_open(NULL, 1, NULL, 0);
	return 0;
}

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

static int teardown(void **state)
{
	struct scene *scene = *state;

	sl_reload_free(scene->reload);
	assert_null(atomic_load(&scene->publication.current));
	sl_config_fini(&scene->config);
	sl_diag_free(&scene->diag);
	free(scene);
	return 0;
}

static int push(struct scene *scene, const char *text)
{
	struct sl_policy_doc *doc;
	int ret;

	sl_diag_free(&scene->diag);
	ret = sl_policy_doc_read_buffer("policy.yaml", text, strlen(text), &scene->diag, &doc);
	if (ret != 0) {
		sl_diag_print(&scene->diag, SL_DIAG_ERROR, stderr);
		fail_msg("the test's document is bad");
	}
	ret = sl_reload_push(scene->reload, doc, &scene->diag, &scene->push);
	sl_policy_doc_free(doc);
	return ret;
}

static const struct sl_generation *now(const struct scene *scene)
{
	return atomic_load(&scene->publication.current);
}

static const struct sl_sandbox *sandbox(const struct scene *scene, unsigned vlan)
{
	return now(scene)->sandboxes[vlan];
}

/* ---- Numbers ---- */

static void test_nothing_is_in_force_before_the_first_push(void **state)
{
	struct scene *scene = *state;

	assert_null(now(scene));
	assert_int_equal(sl_reload_number(scene->reload), 0);
	assert_int_equal(push(scene, "sandboxes: []"), 0);
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

	assert_int_equal(push(scene, text), 0);
	first = now(scene);
	assert_int_equal(push(scene, text), 0);
	assert_false(scene->push.changed);
	assert_int_equal(scene->push.generation, 1);
	assert_int_equal(push(scene, same), 0);
	assert_false(scene->push.changed);
	assert_int_equal(scene->push.sandboxes_changed, 0);
	assert_int_equal(scene->push.sandboxes, 2);
	assert_ptr_equal(now(scene), first);
}

static void test_epoch_moves_only_for_the_sandbox_that_changes(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}, {vlan: 2}, {vlan: 3}]"), 0);
	assert_int_equal(scene->push.sandboxes_changed, 3);
	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}, {vlan: 2, policy: deny-all}]"), 0);
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

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(push(scene, texts[i]), 0);
		assert_int_equal(scene->push.sandboxes_changed, 1);
		assert_int_equal(sandbox(scene, 1)->epoch, i + 1);
		assert_int_equal(sandbox(scene, 1)->incarnation, 1);
	}
}

static void test_another_name_is_another_sandbox(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}]"), 0);
	/* adding or removing a name changes only the displayed name */
	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, name: a}]"), 0);
	assert_true(scene->push.changed);
	assert_int_equal(scene->push.sandboxes_changed, 0);
	assert_string_equal(sandbox(scene, 1)->name, "a");
	assert_int_equal(sandbox(scene, 1)->epoch, 1);
	assert_int_equal(sandbox(scene, 1)->incarnation, 1);

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, name: b}]"), 0);
	assert_int_equal(sandbox(scene, 1)->epoch, 3);
	assert_int_equal(sandbox(scene, 1)->incarnation, 3);

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}]"), 0);
	assert_int_equal(sandbox(scene, 1)->incarnation, 3);
	assert_null(sandbox(scene, 1)->name);
}

static void test_vlan_that_was_away_is_another_sandbox(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, name: a}]"), 0);
	assert_int_equal(push(scene, "sandboxes: []"), 0);
	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, name: a}]"), 0);
	assert_int_equal(sandbox(scene, 1)->incarnation, 3);
	assert_int_equal(sandbox(scene, 1)->epoch, 3);
}

static void test_largest_vlan_has_a_sandbox(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 4094}, {vlan: 1}]"), 0);
	assert_non_null(sandbox(scene, 4094));
	assert_int_equal(sandbox(scene, 4094)->vlan, 4094);
}

/* ---- Content ---- */

static void test_names_are_compiled_and_shared(void **state)
{
	struct scene *scene = *state;
	const struct sl_generation *generation;

	assert_int_equal(push(scene, "policies: {p: {allow: ['*.example.com']}}\n"
	                             "sandboxes: [{vlan: 1, policy: p},\n"
	                             "  {vlan: 2, policy: {allow: ['*.example.com']}},\n"
	                             "  {vlan: 3}]"),
	                 0);
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

	assert_int_equal(push(scene,
	                      "policies: {p: {by-address: ['*.ntp.org:123/udp', a.com:22/tcp,"
	                      " b.com:22/tcp]}}\n"
	                      "sandboxes: [{vlan: 1, policy: p}, {vlan: 2, policy: p},\n"
	                      "  {vlan: 3, policy: {allow: [a.com, b.com]}}]"),
	                 0);
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

	assert_int_equal(push(scene, "policies: {p: {by-address: [a.com:22/tcp, b.com:23/tcp]}}\n"
	                             "sandboxes: [{vlan: 1, policy: p}, {vlan: 2, policy: p}]"),
	                 0);
	assert_int_equal(push(scene, "policies: {q: {by-address: [b.com:23/tcp, A.com:22/tcp]}}\n"
	                             "sandboxes: [{vlan: 1, policy: q}, {vlan: 2, policy: q}]"),
	                 0);
	assert_false(scene->push.changed);
	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, policy: {by-address: [a.com:22/tcp, "
	                             "b.com:23/tcp]}}]"),
	                 0);
	assert_int_equal(scene->push.sandboxes_changed, 1); /* VLAN 2 is gone */
	assert_int_equal(sandbox(scene, 1)->epoch, 1);
}

static void test_only_denied_subnets_is_deny_all(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(
	        push(scene, "sandboxes: [{vlan: 1, policy: {subnets: {deny: [1.0.0.0/8]}}}]"), 0);
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_DENY_ALL);
	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, policy: deny-all}]"), 0);
	assert_false(scene->push.changed);
}

/* ---- What is refused ---- */

static void test_policy_that_the_config_does_not_fit_changes_nothing(void **state)
{
	struct scene *scene = scene_open("{}\n", 1, NULL, 0);
	const struct sl_generation *before;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}]"), 0);
	before = now(scene);
	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, policy: {allow: [a.com]}}]"), -EINVAL);
	assert_true(scene->diag.errors > 0);
	assert_ptr_equal(now(scene), before);
	assert_int_equal(sl_reload_number(scene->reload), 1);
	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, policy: deny-all}]"), 0);
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

static struct sl_policy_doc *read_doc(struct scene *scene, const char *text)
{
	struct sl_policy_doc *doc = NULL;

	sl_diag_free(&scene->diag);
	if (sl_policy_doc_read_buffer("patch.yaml", text, strlen(text), &scene->diag, &doc) != 0)
		fail_msg("the test's document is bad");
	return doc;
}

static int patch(struct scene *scene, const char *text, uint16_t gone)
{
	struct sl_policy_doc *doc = read_doc(scene, text);
	struct sl_reload_patch patch = {.doc = doc, .gone = &gone, .n_gone = gone != 0};
	int ret = sl_reload_patch(scene->reload, &patch, &scene->diag, &scene->push);

	sl_policy_doc_free(doc);
	return ret;
}

static void test_patch_changes_what_it_names_and_nothing_else(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}, {vlan: 2}, {vlan: 3}]"), 0);
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

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, name: a}, {vlan: 2, name: b}]"), 0);
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 3, name: a}]", 0), -EINVAL);
	assert_non_null(strstr(scene->diag.entries[0].text, "\"a\""));
	assert_null(sandbox(scene, 3));
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 3, name: a}]", 1), 0);
	assert_string_equal(sandbox(scene, 3)->name, "a");
	/* two may swap theirs at once */
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 2, name: a}, {vlan: 3, name: b}]", 0), 0);
	assert_string_equal(sandbox(scene, 2)->name, "a");
}

/* ---- Names that take long to compile ---- */

/* A policy for VLAN `vlan` with n patterns that have a star further in. */
static const char *long_policy(unsigned vlan, unsigned n)
{
	static char text[65536];
	int at = snprintf(text, sizeof(text),
	                  "sandboxes:\n  - vlan: %u\n    policy:\n      allow:\n", vlan);

	for (unsigned i = 0; i < n; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at,
		               "        - \"a%u.*.example.com\"\n", i);
	return text;
}

struct job {
	struct sl_policy_doc *doc;
	struct sl_reload_patch patch;
	unsigned calls;
	int ret;
	struct sl_push push;
};

static void job_done(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push)
{
	struct job *job = ctx;

	job->calls++;
	job->ret = ret;
	job->push = *push;
	sl_policy_doc_free(job->doc);
}

static int submit(struct scene *scene, struct job *job, const char *text, bool whole)
{
	struct sl_reload_job ask = {.done = job_done, .ctx = job};

	*job = (struct job){.doc = read_doc(scene, text)};
	job->patch.doc = job->doc;
	if (whole)
		ask.doc = job->doc;
	else
		ask.patch = &job->patch;
	return sl_reload_submit(scene->reload, &ask, &scene->diag, &scene->push);
}

static void finish(struct scene *scene, struct job *job)
{
	for (unsigned i = 0; job->calls == 0; i++) {
		assert_true(i < 60000);
		usleep(1000);
		sl_reload_poll(scene->reload);
	}
	assert_int_equal(job->calls, 1);
	assert_int_equal(sl_reload_pending(scene->reload), 0);
}

static void test_long_names_do_not_hold_up_others(void **state)
{
	struct scene *scene = *state;
	struct job job;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, policy: deny-all}, {vlan: 2}]"), 0);
	assert_int_equal(submit(scene, &job, long_policy(1, 80), false), -EINPROGRESS);
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

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}]"), 0);
	assert_int_equal(submit(scene, &job, long_policy(1, 60), false), -EINPROGRESS);
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

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}, {vlan: 2}, {vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &job, long_policy(1, 60), true), -EINPROGRESS);
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

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}, {vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &job, long_policy(1, 60), true), -EINPROGRESS);
	assert_int_equal(patch(scene, "sandboxes: [{vlan: 1, policy: deny-all}]", 0), 0);
	finish(scene, &job);
	assert_int_equal(job.ret, 0);
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_DENY_ALL);
	assert_null(sandbox(scene, 3));
}

/* Two lists that take long, a sandbox each; mode of a third. */
static const char *two_long(unsigned n_first, unsigned n_second, const char *third)
{
	static char text[65536];
	int at = snprintf(text, sizeof(text), "sandboxes:\n");

	for (unsigned vlan = 1; vlan <= 2; vlan++) {
		unsigned n = vlan == 1 ? n_first : n_second;

		if (n == 0)
			continue;
		at += snprintf(text + at, sizeof(text) - (size_t)at,
		               "  - vlan: %u\n    policy:\n      allow:\n", vlan);
		for (unsigned i = 0; i < n; i++)
			at += snprintf(text + at, sizeof(text) - (size_t)at,
			               "        - \"v%u-%u.*.example.com\"\n", n, i);
	}
	snprintf(text + at, sizeof(text) - (size_t)at, "  - {vlan: 3, policy: %s}\n", third);
	return text;
}

static bool opens(const struct scene *scene, unsigned vlan, const char *name)
{
	return sandbox(scene, vlan) != NULL && sandbox(scene, vlan)->patterns != NULL &&
	       sl_patterns_match(sandbox(scene, vlan)->patterns, now(scene)->scratch[0], name,
	                         strlen(name));
}

static void test_later_document_is_not_held_up_by_what_it_repeats(void **state)
{
	struct scene *scene = *state;
	struct job first;
	struct job second;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, policy: deny-all}, {vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, two_long(60, 0, "allow-all"), true), -EINPROGRESS);
	assert_int_equal(scene->push.sandboxes_waiting, 1);
	assert_int_equal(submit(scene, &second, two_long(60, 0, "deny-all"), true), 0);
	assert_true(scene->push.changed);
	assert_int_equal(scene->push.sandboxes_changed, 1);
	assert_int_equal(scene->push.sandboxes_waiting, 1);
	assert_int_equal(sandbox(scene, 1)->mode, SL_MODE_DENY_ALL);
	assert_int_equal(sandbox(scene, 3)->mode, SL_MODE_DENY_ALL);
	assert_int_equal(second.calls, 0);
	sl_policy_doc_free(second.doc);

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
	struct job second;
	static char text[65536];

	assert_int_equal(push(scene, "sandboxes: [{vlan: 4}]"), 0);
	snprintf(text, sizeof(text), "%s  - {vlan: 4}\n", two_long(60, 0, "allow-all"));
	assert_int_equal(submit(scene, &first, text, true), -EINPROGRESS);
	assert_int_equal(submit(scene, &second, two_long(60, 0, "allow-all"), true), 0);
	assert_true(scene->push.changed);
	assert_null(sandbox(scene, 4));
	sl_policy_doc_free(second.doc);
	finish(scene, &first);
	assert_true(opens(scene, 1, "v60-7.x.example.com"));
	assert_null(sandbox(scene, 4));
}

static void test_document_that_repeats_one_that_waits_waits_with_it(void **state)
{
	struct scene *scene = *state;
	struct job first;
	struct job second;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, two_long(40, 0, "allow-all"), true), -EINPROGRESS);
	assert_int_equal(submit(scene, &second, two_long(40, 0, "allow-all"), true), -EINPROGRESS);
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
	struct job first;
	struct job second;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, two_long(50, 0, "allow-all"), true), -EINPROGRESS);
	assert_int_equal(submit(scene, &second, two_long(40, 0, "deny-all"), true), -EINPROGRESS);
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
	struct job first;
	struct job second;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, two_long(50, 0, "allow-all"), true), -EINPROGRESS);
	assert_int_equal(submit(scene, &second, two_long(50, 30, "deny-all"), true), -EINPROGRESS);
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

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, two_long(1000, 0, "allow-all"), true), -EINPROGRESS);
	assert_int_equal(push(scene, "sandboxes: [{vlan: 1, policy: deny-all}, {vlan: 3}]"), 0);
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
	struct job first;
	struct job second;
	static char text[65536];

	assert_int_equal(push(scene, "sandboxes: [{vlan: 2, name: x}, {vlan: 3}]"), 0);
	snprintf(text, sizeof(text), "%s  - {vlan: 2, name: y}\n", two_long(40, 0, "allow-all"));
	assert_int_equal(submit(scene, &first, text, true), -EINPROGRESS);
	snprintf(text, sizeof(text), "%s  - {vlan: 2, name: y}\n  - {vlan: 4, name: x}\n",
	         two_long(40, 0, "allow-all"));
	assert_int_equal(submit(scene, &second, text, true), -EINPROGRESS);
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
	static char text[65536];

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}, {vlan: 4}]"), 0);
	snprintf(text, sizeof(text), "%s  - {vlan: 4, name: x}\n", two_long(60, 0, "allow-all"));
	assert_int_equal(submit(scene, &first, text, true), -EINPROGRESS);
	snprintf(text, sizeof(text), "%s  - {vlan: 4}\n", two_long(60, 200, "allow-all"));
	assert_int_equal(submit(scene, &second, text, true), -EINPROGRESS);
	snprintf(text, sizeof(text), "%s  - {vlan: 4}\n  - {vlan: 5, name: x}\n",
	         two_long(60, 200, "allow-all"));
	assert_int_equal(submit(scene, &third, text, true), -EINPROGRESS);
	finish(scene, &third);
	assert_int_equal(first.ret, 0);
	assert_int_equal(second.ret, 0);
	assert_int_equal(third.ret, 0);
	assert_true(opens(scene, 1, "v60-7.x.example.com"));
	assert_null(sandbox(scene, 4)->name);
	assert_string_equal(sandbox(scene, 5)->name, "x");
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

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, with_long(300, 0, TOO_MANY, ""), true),
	                 -EINPROGRESS);
	assert_int_equal(submit(scene, &second, with_long(300, 100, 0, ""), true), -EINPROGRESS);
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
	struct job first, second;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, with_long(300, 0, TOO_MANY, ""), false),
	                 -EINPROGRESS);
	assert_int_equal(
	        submit(scene, &second, with_long(300, 0, TOO_MANY, "  - {vlan: 4}\n"), true), 0);
	assert_non_null(sandbox(scene, 4));
	assert_null(sandbox(scene, 1));
	sl_policy_doc_free(second.doc);
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
	struct job first, second;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, with_long(300, 0, TOO_MANY, ""), true),
	                 -EINPROGRESS);
	assert_int_equal(
	        submit(scene, &second, with_long(300, 0, TOO_MANY, "  - {vlan: 4}\n"), true), 0);
	sl_policy_doc_free(second.doc);
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
	struct job first, second, third;

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, with_long(300, 0, TOO_MANY, ""), false),
	                 -EINPROGRESS);
	assert_int_equal(submit(scene, &second, with_long(300, 0, 0, "  - {vlan: 4}\n"), true), 0);
	sl_policy_doc_free(second.doc);
	assert_int_equal(submit(scene, &third, with_long(300, 0, 0, "  - {vlan: 5}\n"), true), 0);
	sl_policy_doc_free(third.doc);
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
	struct job first = {0}, second;

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

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	first.doc = read_doc(scene, with_long(300, 0, 0, ""));
	ask.doc = first.doc;
	ask.ctx = &first;
	assert_int_equal(sl_reload_submit(scene->reload, &ask, &scene->diag, &scene->push),
	                 -EINPROGRESS);
	assert_int_equal(submit(scene, &second, with_long(300, 0, 0, "  - {vlan: 4}\n"), true), 0);
	sl_policy_doc_free(second.doc);
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
	struct job first, other;
	char more[64];

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, with_long(300, 0, 0, ""), true), -EINPROGRESS);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(more, sizeof(more), "  - {vlan: %u}\n", 100 + i);
		assert_int_equal(submit(scene, &other, with_long(300, 0, 0, more), true), 0);
		sl_policy_doc_free(other.doc);
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
	static struct job first, second; /* they end in the teardown */

	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
	assert_int_equal(submit(scene, &first, with_long(300, 0, 0, ""), true), -EINPROGRESS);
	assert_int_equal(submit(scene, &second, with_long(300, 0, 0, "  - {vlan: 4}\n"), true), 0);
	sl_policy_doc_free(second.doc);
	/* the teardown frees the reload, and with it what is left */
}

static void test_push_waits_for_long_names(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(push(scene, long_policy(7, 30)), 0);
	assert_int_equal(scene->push.generation, 1);
	assert_true(sl_patterns_match(sandbox(scene, 7)->patterns, now(scene)->scratch[0],
	                              "a7.x.example.com", 16));
	assert_int_equal(push(scene, long_policy(7, 30)), 0);
	assert_false(scene->push.changed);
}

static void test_free_ends_jobs(void **state)
{
	struct scene *scene = scene_open(NULL, 1, NULL, 0);
	struct job job;

	assert_int_equal(push(scene, "sandboxes: []"), 0);
	assert_int_equal(submit(scene, &job, long_policy(1, 20), false), -EINPROGRESS);
	sl_reload_free(scene->reload);
	assert_int_equal(job.calls, 1);
	assert_int_equal(job.ret, -ECANCELED);
	scene->reload = NULL;
	*state = scene;
	teardown(state);
}

/* ---- Workers ---- */

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
		assert_int_equal(push(scene, i % 2 != 0
		                                     ? "sandboxes: [{vlan: 1, policy: {allow: "
		                                       "[a.com], subnets: {allow: [1.0.0.0/8]}}}]"
		                                     : "sandboxes: [{vlan: 1}]"),
		                 0);
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

	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}]"), 0);
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
	assert_int_equal(push(scene, "sandboxes: [{vlan: 3}]"), 0);
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
	assert_int_equal(push(scene, "sandboxes: [{vlan: 1}]"), 0);
	assert_int_equal(push(scene, "sandboxes: [{vlan: 2}]"), 0);
	pthread_create(&workers[1].thread, NULL, work, &workers[1]);
	stop(workers, qsbr, scene);
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
	        cmocka_unit_test_setup_teardown(test_long_names_do_not_hold_up_others, setup,
	                                        teardown),
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
	        cmocka_unit_test(test_push_returns_when_every_worker_enforces_it),
	        cmocka_unit_test(test_stuck_worker_is_named_and_holds_up_the_next_push),
	        cmocka_unit_test(test_worker_offline_is_not_waited_for),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
