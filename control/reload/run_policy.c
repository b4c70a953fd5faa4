/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_policy.c: the policy file of `sluice run`.
 *
 * Decides what is logged about a push, and when: a push is logged as enforced when every worker
 * enforces it, not before. No content of a policy file ends the gateway.
 */
#include "run_policy.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "document/diag.h"
#include "tell/log.h"
#include "document/policy.h"
#include "reload.h"

#define LARGE_BYTES   65536 /* a policy that takes long to compile */
#define REALTIME_PRIO 1

static void say_error(void *opaque, const char *text)
{
	(void)opaque;
	sl_log(SL_LOG_ERROR, "%s", text);
}

static void say_warning(void *opaque, const char *text)
{
	(void)opaque;
	sl_log(SL_LOG_WARNING, "%s", text);
}

void sl_run_policy_say(struct sl_diag *diag)
{
	sl_diag_each(diag, SL_DIAG_WARNING, say_warning, NULL);
	sl_diag_each(diag, SL_DIAG_ERROR, say_error, NULL);
	sl_diag_free(diag);
	sl_diag_init(diag);
}

static bool set_realtime(bool on)
{
	struct sched_param param = {.sched_priority = on ? REALTIME_PRIO : 0};

	return pthread_setschedparam(pthread_self(), on ? SCHED_FIFO : SCHED_OTHER, &param) == 0;
}

void sl_run_policy_realtime(struct sl_run_policy *policy, bool on)
{
	policy->realtime = set_realtime(on) && on;
}

/* ---- the outcome of a push ---- */

static void say_in_force(const struct sl_run_policy *policy, const struct sl_push *push)
{
	if (!push->changed) {
		sl_log(SL_LOG_INFO, "policy unchanged, generation %llu stays in force (%s)",
		       (unsigned long long)push->generation, policy->path);
		return;
	}
	sl_log(SL_LOG_INFO,
	       "policy generation %llu enforced: %u sandboxes changed, %u sandboxes, %llu us (%s)",
	       (unsigned long long)push->generation, push->sandboxes_changed, push->sandboxes,
	       (unsigned long long)push->total_us, policy->path);
	if (push->sandboxes_waiting > 0)
		sl_log(SL_LOG_INFO,
		       "%u more sandboxes wait for their patterns to be compiled and keep what "
		       "they have until then (%s)",
		       push->sandboxes_waiting, policy->path);
}

static void say_refused(const struct sl_run_policy *policy, int ret, const struct sl_push *push)
{
	if (ret == -ETIMEDOUT && push->changed)
		sl_log(SL_LOG_ERROR,
		       "policy generation %llu published, but not enforced everywhere",
		       (unsigned long long)push->generation);
	else if (ret == -ECANCELED && policy->ending)
		sl_log(SL_LOG_INFO, "patterns that were being compiled were never in force");
	else if (ret == -ECANCELED)
		sl_log(SL_LOG_INFO,
		       "a policy whose patterns were being compiled was replaced by a later one, "
		       "generation %llu stays in force",
		       (unsigned long long)sl_reload_number(policy->reload));
	else
		sl_log(SL_LOG_ERROR, "policy refused, generation %llu stays in force",
		       (unsigned long long)sl_reload_number(policy->reload));
}

static void say_waits(const struct sl_run_policy *policy, const struct sl_push *push)
{
	sl_log(SL_LOG_INFO,
	       "policy accepted, generation %llu stays in force while patterns are compiled for "
	       "%u sandboxes (%s)",
	       (unsigned long long)sl_reload_number(policy->reload), push->sandboxes_waiting,
	       policy->path);
}

/* The acknowledgement. */
static void decided(struct sl_run_policy *policy, int ret, struct sl_diag *diag,
                    const struct sl_push *push)
{
	sl_run_policy_say(diag);
	if (ret != 0)
		say_refused(policy, ret, push);
	else
		say_in_force(policy, push);
	if (push->changed && policy->enforced != NULL)
		policy->enforced(policy->ctx);
	if (ret == 0 && policy->pushed != NULL)
		policy->pushed(policy->ctx, push, NULL, NULL);
}

void sl_run_policy_left(void *policy, int ret, struct sl_diag *diag, const struct sl_push *push)
{
	sl_log(SL_LOG_INFO, "a policy that was refused had a part in common with a later one, "
	                    "which is taken for "
	                    "the later one's sake");
	decided(policy, ret, diag, push);
}

/* A push that waits for its patterns. */
struct job {
	struct sl_run_policy *policy;
	struct sl_policy_doc *doc;
};

static void job_done(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push)
{
	struct job *job = ctx;

	if (ret == 0 && job->policy->taken != NULL)
		job->policy->taken(job->policy->ctx, job->doc);
	decided(job->policy, ret, diag, push);
	sl_policy_doc_free(job->doc);
	free(job);
}

/* ---- pushing ---- */

static int submit(struct sl_run_policy *policy, struct sl_policy_doc *doc, struct sl_diag *diag,
                  struct sl_push *push)
{
	struct job *job = malloc(sizeof(*job));
	int ret = -ENOMEM;

	if (job != NULL) {
		*job = (struct job){policy, doc};
		ret = sl_reload_submit(
		        policy->reload,
		        &(struct sl_reload_job){.doc = doc, .done = job_done, .ctx = job}, diag,
		        push);
	}
	if (ret == 0 && policy->taken != NULL)
		policy->taken(policy->ctx, doc);
	if (ret != -EINPROGRESS) {
		sl_policy_doc_free(doc);
		free(job);
	}
	return ret;
}

int sl_run_policy_push(struct sl_run_policy *policy)
{
	struct sl_policy_doc *doc = NULL;
	struct sl_push push = {0};
	struct sl_diag diag;
	size_t len;
	const char *bytes = sl_file_watch_bytes(policy->watch, &len);
	int ret;

	sl_diag_init(&diag);
	ret = sl_policy_doc_read_buffer(policy->path, bytes, len, &diag, &doc);
	sl_file_watch_forget_bytes(policy->watch);
	if (ret == 0)
		ret = submit(policy, doc, &diag, &push);
	if (ret == -EINPROGRESS)
		say_waits(policy, &push); /* its warnings come with the acknowledgement */
	else
		decided(policy, ret, &diag, &push);
	sl_diag_free(&diag);
	return ret;
}

static void push_while_running(struct sl_run_policy *policy)
{
	size_t len;
	bool yields;

	/* a long compilation must not take a CPU away from a worker, or from other processes */
	sl_file_watch_bytes(policy->watch, &len);
	yields = policy->realtime && len > LARGE_BYTES;
	if (yields)
		set_realtime(false);
	sl_run_policy_push(policy);
	if (yields)
		set_realtime(true);
}

void sl_run_policy_take(struct sl_run_policy *policy, enum sl_file_watch_news news)
{
	switch (news) {
	case SL_FILE_WATCH_NOTHING:
		return;
	case SL_FILE_WATCH_CHANGED:
		push_while_running(policy);
		return;
	case SL_FILE_WATCH_GONE:
	case SL_FILE_WATCH_FAILED:
		break;
	}
	sl_log(SL_LOG_WARNING, "policy file %s: %s; generation %llu stays in force", policy->path,
	       strerror(sl_file_watch_error(policy->watch)),
	       (unsigned long long)sl_reload_number(policy->reload));
}

void sl_run_policy_poll(struct sl_run_policy *policy)
{
	if (!sl_run_policy_waits(policy))
		return;
	/* a push that had to wait for its patterns is seldom small */
	if (policy->realtime)
		set_realtime(false);
	sl_reload_poll(policy->reload);
	if (policy->realtime)
		set_realtime(true);
}

bool sl_run_policy_waits(const struct sl_run_policy *policy)
{
	return sl_reload_pending(policy->reload) > 0;
}
