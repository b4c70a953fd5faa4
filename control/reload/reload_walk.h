/* SPDX-License-Identifier: Apache-2.0 */
/* reload_walk.h: what the files of the policy's walk share. No other file looks into a reload. */
#ifndef SLUICE_CONTROL_RELOAD_WALK_H
#define SLUICE_CONTROL_RELOAD_WALK_H

#include "compile/compile.h"
#include "reload.h"

/* A push that waits for the background thread, or for another push that does. */
struct sl_reload_later {
	struct sl_reload_later *next;
	struct sl_reload_job job;
	struct sl_request request;
	struct sl_waiting waiting;
	bool leave[SL_VLAN_COUNT];    /* the request's */
	struct sl_reload_later *rest; /* room for what it leaves, where it leaves anything */
	struct sl_policy_doc *shared; /* of a rest: its document, which only the rest owns. A rest
	                                 has no job, and no caller waits for it */
};

struct sl_reload {
	struct sl_reload_params params;
	struct sl_union *all;
	struct sl_compiler compiler;
	uint64_t arrivals;              /* pushes that came */
	uint64_t number;                /* of the newest generation; 0: none yet */
	struct sl_generation *newest;   /* the published one */
	struct sl_generation *retiring; /* the previous one, until every worker has left it */
	bool unsettled; /* the newest is published, but what it replaced is not reclaimed yet */
	uint64_t token; /* of the grace period that it waits for */
	struct sl_reload_later *later; /* the oldest first */
};

/* The request for a document, or for a patch if there is one, that arrives now. */
struct sl_request sl_reload_request(struct sl_reload *reload, const struct sl_policy_doc *doc,
                                    const struct sl_reload_patch *patch);

/*
 * The walk. -EINPROGRESS: nothing has changed, patterns are being compiled in the background; to
 * be called again when what is in waiting is ready. Otherwise as sl_reload_push().
 */
int sl_reload_walk(struct sl_reload *reload, const struct sl_request *request, struct sl_diag *diag,
                   struct sl_waiting *waiting, struct sl_push *push);

/* Ends all jobs with -ECANCELED. */
void sl_reload_cancel_later(struct sl_reload *reload);

#endif
