/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_policy.h: what `sluice run` does with its policy file: reads it, pushes it, and logs the
 * outcome, without blocking the rest of the control thread.
 */
#ifndef SLUICE_CONTROL_RUN_POLICY_H
#define SLUICE_CONTROL_RUN_POLICY_H

#include <stdbool.h>

#include "file_watch.h"

struct sl_diag;
struct sl_policy_doc;
struct sl_push;
struct sl_reload;

/* All of it outlives the jobs that a push may leave behind. Control thread. */
struct sl_run_policy {
	const char *path; /* as messages print it */
	struct sl_reload *reload;
	struct sl_file_watch *watch;
	bool realtime; /* this thread has real-time priority (sl_run_policy_realtime) */
	void (*enforced)(void *ctx); /* a generation has come into force; or NULL */
	/* a push was taken; who: NULL, since a file does not say; or NULL */
	void (*pushed)(void *ctx, const struct sl_push *push, const char *who, const char *hash);
	/* the document has come into force; or NULL */
	void (*taken)(void *ctx, const struct sl_policy_doc *doc);
	void *ctx;
	bool ending; /* the gateway stops: pushes that wait are given up */
};

/* Logs everything in diag, and empties it. */
void sl_run_policy_say(struct sl_diag *diag);

/*
 * Pushes what the watch has read. Returns 0; -EINPROGRESS if patterns take long to compile:
 * sl_run_policy_poll() logs the outcome later; or -errno. The outcome is logged.
 */
int sl_run_policy_push(struct sl_run_policy *policy);

/*
 * Logs the outcome of a later policy's share in a push that was refused (sl_reload_params.left).
 */
void sl_run_policy_left(void *policy, int ret, struct sl_diag *diag, const struct sl_push *push);

/* Acts on what the watch has noticed. */
void sl_run_policy_take(struct sl_run_policy *policy, enum sl_file_watch_news news);

/*
 * Brings into force what has been compiled meanwhile. To be called at least every
 * SL_RUN_POLICY_POLL_MS while sl_run_policy_waits().
 */
#define SL_RUN_POLICY_POLL_MS 10
void sl_run_policy_poll(struct sl_run_policy *policy);
bool sl_run_policy_waits(const struct sl_run_policy *policy);

/* Gives this thread real-time priority over the workers that share its CPU, or takes it away. */
void sl_run_policy_realtime(struct sl_run_policy *policy, bool on);

#endif
