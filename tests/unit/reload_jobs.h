/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload_jobs.h: documents whose patterns take long to compile, and the jobs that wait for them.
 */
#ifndef TESTS_UNIT_RELOAD_JOBS_H
#define TESTS_UNIT_RELOAD_JOBS_H

#include <unistd.h>

#include "reload_scene.h"

/* A policy for VLAN `vlan` with n patterns that have a star further in. */
static inline const char *long_policy(unsigned vlan, unsigned n)
{
	static char text[65536];
	int at = snprintf(text, sizeof(text),
	                  "sandboxes:\n  - vlan: %u\n    policy:\n      allow:\n", vlan);

	for (unsigned i = 0; i < n; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at,
		               "        - \"a%u.*.example.com\"\n", i);
	return text;
}

/* Two lists that take long, a sandbox each; mode of a third. */
static inline const char *two_long(unsigned n_first, unsigned n_second, const char *third)
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

/* A document with more sandboxes. */
static inline const char *with_more(const char *document, const char *more)
{
	static char text[2 * 65536];

	snprintf(text, sizeof(text), "%s%s", document, more);
	return text;
}

static inline bool opens(const struct scene *scene, unsigned vlan, const char *name)
{
	return sandbox(scene, vlan) != NULL && sandbox(scene, vlan)->patterns != NULL &&
	       sl_patterns_match(sandbox(scene, vlan)->patterns, now(scene)->scratch[0], name,
	                         strlen(name));
}

struct job {
	struct sl_policy_doc *doc;
	struct sl_reload_patch patch;
	unsigned calls;
	int ret;
	struct sl_push push;
};

static inline void job_done(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push)
{
	struct job *job = ctx;

	job->calls++;
	job->ret = ret;
	job->push = *push;
	sl_policy_doc_free(job->doc);
}

static inline int submit(struct scene *scene, struct job *job, const char *text, bool whole)
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

/* Its patterns are being compiled. */
static inline void expect_waits(struct scene *scene, struct job *job, const char *text, bool whole)
{
	assert_int_equal(submit(scene, job, text, whole), -EINPROGRESS);
}

/* It is in force at once, but for what it may have left to a job that waits. */
static inline void expect_at_once(struct scene *scene, const char *text)
{
	struct job job;

	assert_int_equal(submit(scene, &job, text, true), 0);
	assert_int_equal(job.calls, 0);
	sl_policy_doc_free(job.doc);
}

static inline void finish(struct scene *scene, struct job *job)
{
	for (unsigned i = 0; job->calls == 0; i++) {
		assert_true(i < 60000);
		usleep(1000);
		sl_reload_poll(scene->reload);
	}
	assert_int_equal(job->calls, 1);
	assert_int_equal(sl_reload_pending(scene->reload), 0);
}

#endif
