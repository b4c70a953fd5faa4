/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c: THE POLICY'S WALK. Read, check, compile, publish, wait until every worker enforces it,
 * reclaim: sl_reload_walk() is the whole way on one screen.
 *
 * It decides when a policy comes into force, and a policy must never be half in force: until the
 * pointer is stored nothing has changed, after that everything has.
 */
#include "reload.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <rte_rcu_qsbr.h>

#include "document/config.h"
#include "document/diag.h"
#include "compile/generation_build.h"
#include "reload_walk.h"
#include "compile/table_copy.h"
#include "compile/union.h"

#define PATIENCE_MS  2000
#define WAIT_NS      5000
#define WAIT_MOST_NS 500000
#define PREFIXES     16384
#define TBL8_4       4096
#define TBL8_6       16384

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* Writes how long a step took and starts the next one. */
static void lap(uint64_t *clock_us, uint64_t *step_us)
{
	uint64_t now = now_us();

	*step_us = now - *clock_us;
	*clock_us = now;
}

/* ---- The steps ---- */

static int check(const struct sl_reload *reload, const struct sl_policy_doc *doc,
                 struct sl_diag *diag)
{
	if (reload->params.config == NULL)
		return 0;
	return sl_config_check_policy(reload->params.config, doc, diag);
}

/*
 * Everything that can fail happens here, where workers do not see it. -EINPROGRESS: to be called
 * again when what is in waiting is ready.
 */
static int compile(struct sl_reload *reload, const struct sl_request *request, struct sl_diag *diag,
                   struct sl_waiting *waiting, struct sl_generation **next)
{
	uint64_t number = reload->number + 1;
	const struct sl_scratches *scratches;
	int ret;

	if ((uint32_t)number == 0) /* an epoch is never 0 */
		number++;
	*next = NULL;
	ret = sl_compile_request(&reload->compiler, request, number, diag, waiting);
	if (ret != 0)
		return ret;
	if (reload->compiler.change.count == 0 && reload->newest != NULL) {
		sl_compile_keep(&reload->compiler);
		return 0;
	}
	if (sl_compile_patterns_scratches(reload->compiler.patterns, &scratches) == 0)
		*next = sl_generation_build(reload->newest, number, &reload->compiler.change,
		                            sl_union_standby(reload->all), scratches);
	if (*next == NULL) {
		sl_compile_cancel(&reload->compiler);
		return -ENOMEM;
	}
	return 0;
}

/* The one store that brings a generation into force. */
static void publish(struct sl_reload *reload, struct sl_generation *next)
{
	sl_compile_commit(&reload->compiler);
	atomic_store_explicit(&reload->params.publication->current, next, memory_order_release);
	reload->number = next->number;
	reload->retiring = reload->newest;
	reload->newest = next;
	reload->unsettled = true;
	if (reload->params.publication->qsbr != NULL)
		reload->token = rte_rcu_qsbr_start(reload->params.publication->qsbr);
}

static bool settled(const struct sl_reload *reload)
{
	struct rte_rcu_qsbr *qsbr = reload->params.publication->qsbr;

	return qsbr == NULL || rte_rcu_qsbr_check(qsbr, reload->token, false) == 1;
}

static void explain_late(const struct sl_reload *reload, const char *file, struct sl_diag *diag)
{
	const struct rte_rcu_qsbr *qsbr = reload->params.publication->qsbr;

	for (unsigned i = 0; i < qsbr->max_threads; i++) {
		/* 0: offline, it reads nothing */
		uint64_t seen = __atomic_load_n(&qsbr->qsbr_cnt[i].cnt, __ATOMIC_ACQUIRE);

		if (seen == 0 || seen >= reload->token)
			continue;
		sl_diag_error(diag, file, 0, 0,
		              "worker %u has not taken generation %llu after %u ms", i,
		              (unsigned long long)reload->number, reload->params.patience_ms);
	}
}

/*
 * Returns once every worker has been quiescent since the pointer was stored: each judges by the
 * newest generation then, and none reads an older one. Bounded: if a worker hangs, the error names
 * it.
 */
static int wait_for_workers(struct sl_reload *reload, const char *file, struct sl_diag *diag)
{
	uint64_t deadline = now_us() + reload->params.patience_ms * 1000ull;
	struct timespec slice = {.tv_nsec = WAIT_NS};

	while (!settled(reload)) {
		if (now_us() > deadline) {
			explain_late(reload, file, diag);
			return -ETIMEDOUT;
		}
		if (reload->params.idle != NULL)
			reload->params.idle(reload->params.idle_ctx);
		/*
		 * A worker may need this very core, and a sleep that is shorter than the cost of a
		 * timer yields no time to it: each sleep is twice as long as the last.
		 */
		nanosleep(&slice, NULL);
		if (slice.tv_nsec < WAIT_MOST_NS)
			slice.tv_nsec *= 2;
	}
	return 0;
}

/* Frees the old generation; its copy of the tables becomes the next standby. */
static void reclaim(struct sl_reload *reload)
{
	sl_compile_reclaim(&reload->compiler);
	sl_generation_build_drop(reload->retiring);
	reload->retiring = NULL;
	reload->unsettled = false;
}

/*
 * An earlier push may have stopped waiting for a worker: nothing can be changed before that worker
 * acknowledges.
 */
static int settle_earlier(struct sl_reload *reload, const char *file, struct sl_diag *diag)
{
	int ret;

	if (!reload->unsettled)
		return 0;
	ret = wait_for_workers(reload, file, diag);
	if (ret == 0)
		reclaim(reload);
	return ret;
}

int sl_reload_walk(struct sl_reload *reload, const struct sl_request *request, struct sl_diag *diag,
                   struct sl_waiting *waiting, struct sl_push *push)
{
	uint64_t start_us = now_us(), clock_us = start_us;
	const char *file = request->doc->file;
	struct sl_generation *next = NULL;
	int ret;

	*push = (struct sl_push){0};
	ret = check(reload, request->doc, diag);
	if (ret == 0)
		ret = settle_earlier(reload, file, diag);
	lap(&clock_us, &push->check_us);
	if (ret == 0)
		ret = compile(reload, request, diag, waiting, &next);
	push->sandboxes_changed = reload->compiler.change.policies;
	push->sandboxes_waiting = ret == -EINPROGRESS ? reload->compiler.change.asked : 0;
	lap(&clock_us, &push->compile_us);
	if (next != NULL) {
		publish(reload, next);
		ret = wait_for_workers(reload, file, diag);
		lap(&clock_us, &push->wait_us);
	}
	if (next != NULL && ret == 0) {
		reclaim(reload);
		lap(&clock_us, &push->reclaim_us);
	}
	push->generation = reload->number;
	push->changed = next != NULL;
	push->sandboxes = reload->compiler.count;
	push->total_us = clock_us - start_us;
	return ret;
}

/* ---- Ways to push ---- */

struct sl_request sl_reload_request(struct sl_reload *reload, const struct sl_policy_doc *doc,
                                    const struct sl_reload_patch *patch)
{
	struct sl_request request = {.arrival = ++reload->arrivals, .doc = doc, .whole = true};

	if (patch != NULL) {
		request.doc = patch->doc;
		request.whole = false;
		request.gone = patch->gone;
		request.n_gone = patch->n_gone;
	}
	return request;
}

static void pause_for_names(struct sl_reload *reload)
{
	const struct timespec slice = {.tv_nsec = 200000};

	if (reload->params.idle != NULL)
		reload->params.idle(reload->params.idle_ctx);
	nanosleep(&slice, NULL);
}

/* The walk, repeated as needed: once, or twice if patterns are compiled in the background. */
static int walk_through(struct sl_reload *reload, const struct sl_request *request,
                        struct sl_diag *diag, struct sl_push *out)
{
	uint64_t start_us = now_us();
	struct sl_waiting waiting = {0};
	struct sl_push push;
	int ret = sl_reload_walk(reload, request, diag, &waiting, &push);

	while (ret == -EINPROGRESS) {
		struct sl_waiting before = waiting;

		while (!sl_compile_ready(&reload->compiler, &before))
			pause_for_names(reload);
		waiting = (struct sl_waiting){0};
		ret = sl_reload_walk(reload, request, diag, &waiting, &push);
		sl_compile_release(&reload->compiler, &before);
		push.compile_us += now_us() - start_us - push.total_us;
		push.total_us = now_us() - start_us;
	}
	if (out != NULL)
		*out = push;
	return ret;
}

int sl_reload_push(struct sl_reload *reload, const struct sl_policy_doc *doc, struct sl_diag *diag,
                   struct sl_push *out)
{
	struct sl_request request = sl_reload_request(reload, doc, NULL);

	return walk_through(reload, &request, diag, out);
}

int sl_reload_patch(struct sl_reload *reload, const struct sl_reload_patch *patch,
                    struct sl_diag *diag, struct sl_push *out)
{
	struct sl_request request = sl_reload_request(reload, NULL, patch);

	return walk_through(reload, &request, diag, out);
}

int sl_reload_push_file(struct sl_reload *reload, const char *path, struct sl_diag *diag,
                        struct sl_push *out)
{
	uint64_t clock_us = now_us(), read_us;
	struct sl_policy_doc *doc;
	int ret = sl_policy_doc_read_file(path, diag, &doc);

	if (ret != 0)
		return ret;
	lap(&clock_us, &read_us);
	ret = sl_reload_push(reload, doc, diag, out);
	sl_policy_doc_free(doc);
	if (out != NULL) {
		out->check_us += read_us;
		out->total_us += read_us;
	}
	return ret;
}

uint64_t sl_reload_number(const struct sl_reload *reload)
{
	return reload->number;
}

const char *sl_reload_name(const struct sl_reload *reload, uint16_t vlan)
{
	const struct sl_compiled_policy *compiled = reload->compiler.compiled[vlan];

	return compiled != NULL ? compiled->sandbox.name : NULL;
}

/* ---- Making and unmaking ---- */

/* From params, else from the config, else what is enough for tests. */
static struct sl_table_copy_limits table_limits(const struct sl_reload_params *params)
{
	struct sl_table_copy_limits limits = {
	        .prefixes = params->tables.prefixes,
	        .tbl8_4 = params->tables.tbl8_4,
	        .tbl8_6 = params->tables.tbl8_6,
	};
	const struct sl_config *config = params->config;

	if (limits.prefixes == 0)
		limits.prefixes = config != NULL ? config->tables.prefixes : PREFIXES;
	if (limits.tbl8_4 == 0)
		limits.tbl8_4 = config != NULL ? config->tables.tbl8_4 : TBL8_4;
	if (limits.tbl8_6 == 0)
		limits.tbl8_6 = config != NULL ? config->tables.tbl8_6 : TBL8_6;
	return limits;
}

struct sl_reload *sl_reload_create(const struct sl_reload_params *params, struct sl_diag *diag)
{
	struct sl_table_copy_limits limits = table_limits(params);
	struct sl_reload *reload = calloc(1, sizeof(*reload));

	if (reload != NULL) {
		reload->params = *params;
		if (params->patience_ms == 0)
			reload->params.patience_ms = PATIENCE_MS;
		reload->all =
		        sl_union_create(&limits, params->config, params->publication->qsbr == NULL);
		if (reload->all != NULL &&
		    sl_compile_init(&reload->compiler, reload->all, params->workers) == 0)
			return reload;
	}
	sl_diag_error(diag, "address tables", 0, 0,
	              "no memory for tables of %u prefixes, %u and %u second-level tables",
	              limits.prefixes, limits.tbl8_4, limits.tbl8_6);
	sl_reload_free(reload);
	return NULL;
}

void sl_reload_free(struct sl_reload *reload)
{
	if (reload == NULL)
		return;
	sl_reload_cancel_later(reload);
	atomic_store_explicit(&reload->params.publication->current, NULL, memory_order_release);
	if (reload->unsettled)
		reclaim(reload);
	sl_compile_fini(&reload->compiler);
	sl_union_destroy(reload->all);
	sl_generation_build_drop(reload->newest);
	free(reload);
}
