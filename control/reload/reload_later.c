/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload_later.c: pushes whose patterns take long to compile. They wait here while others go on,
 * and walk when the background thread is done.
 *
 * A job must never undo what a later push has brought into force; the compiler knows the order of
 * arrival. And if it is refused, that must not affect a later document which wants the same: the
 * sandboxes that a document has left to a job are kept as the document's rest, and the rest walks
 * on its own when the job is finished. If the job came into force, the rest finds nothing to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "document/diag.h"
#include "document/policy.h"
#include "reload_walk.h"

static void append(struct sl_reload *reload, struct sl_reload_later *later)
{
	struct sl_reload_later **tail = &reload->later;

	while (*tail != NULL)
		tail = &(*tail)->next;
	*tail = later;
}

/* ---- What a document leaves to a job that still waits ---- */

static bool same_patterns(const struct sl_policy *a, const struct sl_policy *b)
{
	if (a->n_patterns != b->n_patterns)
		return false;
	for (size_t i = 0; i < a->n_patterns; i++)
		if (sl_pattern_compare(&a->patterns[i], &b->patterns[i]) != 0)
			return false;
	return true;
}

static bool same_rules(const struct sl_policy *a, const struct sl_policy *b)
{
	if (a->n_by_address != b->n_by_address)
		return false;
	for (size_t i = 0; i < a->n_by_address; i++)
		if (sl_by_address_compare(&a->by_address[i], &b->by_address[i]) != 0)
			return false;
	return true;
}

static bool same_prefixes(const struct sl_prefix *a, size_t n_a, const struct sl_prefix *b,
                          size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (sl_prefix_compare(&a[i], &b[i]) != 0)
			return false;
	return true;
}

static bool same_policy(const struct sl_policy *a, const struct sl_policy *b)
{
	return a->kind == b->kind && same_prefixes(a->allow, a->n_allow, b->allow, b->n_allow) &&
	       same_prefixes(a->deny, a->n_deny, b->deny, b->n_deny) && same_patterns(a, b) &&
	       same_rules(a, b);
}

/*
 * The last two policies that were compared: policies that many sandboxes share are compared once.
 */
struct compared {
	const struct sl_policy *a, *b;
	bool same;
};

static bool same_entry(const struct sl_policy_entry *a, const struct sl_policy_entry *b,
                       struct compared *last)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->has_source != b->has_source || (a->name == NULL) != (b->name == NULL) ||
	    (a->name != NULL && strcmp(a->name, b->name) != 0) ||
	    !same_prefixes(a->sources, a->n_sources, b->sources, b->n_sources))
		return false;
	if (last->a != a->policy || last->b != b->policy)
		*last = (struct compared){a->policy, b->policy, same_policy(a->policy, b->policy)};
	return last->same;
}

/* True if the job, when it walks, sets or removes the VLAN's sandbox. */
static bool deals_with(const struct sl_reload *reload, const struct sl_reload_later *job,
                       uint16_t vlan)
{
	const struct sl_request *request = &job->request;

	if (reload->compiler.arrived[vlan] > request->arrival ||
	    (request->leave != NULL && request->leave[vlan]))
		return false;
	if (request->whole || sl_policy_doc_find(request->doc, vlan) != NULL)
		return true;
	for (size_t i = 0; i < request->n_gone; i++)
		if (request->gone[i] == vlan)
			return true;
	return false;
}

/* The list is in the order of arrival. */
static const struct sl_reload_later *newest_that_deals_with(const struct sl_reload *reload,
                                                            uint16_t vlan)
{
	const struct sl_reload_later *found = NULL;

	for (const struct sl_reload_later *job = reload->later; job != NULL; job = job->next)
		if (deals_with(reload, job, vlan))
			found = job;
	return found;
}

/*
 * A sandbox that is left keeps its old name until the job walks: true if the rest of the document
 * gives that name to another sandbox.
 */
static bool name_is_needed(const struct sl_reload *reload, const struct sl_reload_later *later,
                           uint16_t vlan)
{
	const struct sl_policy_doc *doc = later->request.doc;
	const struct sl_policy_entry *mine = sl_policy_doc_find(doc, vlan);
	const struct sl_compiled_policy *compiled = reload->compiler.compiled[vlan];
	const char *old = compiled != NULL ? compiled->sandbox.name : NULL;

	if (old == NULL || (mine != NULL && mine->name != NULL && strcmp(mine->name, old) == 0))
		return false;
	for (size_t i = 0; i < doc->n_entries; i++)
		if (doc->entries[i].name != NULL && !later->leave[doc->entries[i].vlan] &&
		    strcmp(doc->entries[i].name, old) == 0)
			return true;
	return false;
}

/*
 * True if a waiting job gives a sandbox that is left a name which the document gives to another
 * one. The job would then be refused, with all that was left to it.
 */
static bool name_is_given(const struct sl_reload *reload, const struct sl_reload_later *later,
                          const struct sl_policy_entry *entry)
{
	for (const struct sl_reload_later *job = reload->later; job != NULL; job = job->next)
		for (size_t i = 0; i < job->request.doc->n_entries; i++) {
			const struct sl_policy_entry *other = &job->request.doc->entries[i];

			if (other->vlan != entry->vlan && other->name != NULL &&
			    strcmp(other->name, entry->name) == 0 && later->leave[other->vlan] &&
			    deals_with(reload, job, other->vlan))
				return true;
		}
	return false;
}

static bool names_allow_it(const struct sl_reload *reload, const struct sl_reload_later *later)
{
	const struct sl_policy_doc *doc = later->request.doc;

	for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX; vlan++)
		if (later->leave[vlan] && name_is_needed(reload, later, vlan))
			return false;
	for (size_t i = 0; i < doc->n_entries; i++)
		if (doc->entries[i].name != NULL && !later->leave[doc->entries[i].vlan] &&
		    name_is_given(reload, later, &doc->entries[i]))
			return false;
	return true;
}

static bool leaves_any(const struct sl_reload_later *later)
{
	for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX; vlan++)
		if (later->leave[vlan])
			return true;
	return false;
}

/*
 * Finds the VLANs to which an earlier job will give what the document wants. False: none can be
 * left.
 */
static bool choose_left(const struct sl_reload *reload, struct sl_reload_later *later)
{
	struct compared last = {0};
	unsigned left = 0;

	for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX; vlan++) {
		const struct sl_reload_later *job = newest_that_deals_with(reload, vlan);

		later->leave[vlan] =
		        job != NULL &&
		        same_entry(sl_policy_doc_find(job->request.doc, vlan),
		                   sl_policy_doc_find(later->request.doc, vlan), &last);
		left += later->leave[vlan];
	}
	return left > 0 && names_allow_it(reload, later);
}

static void free_rest(struct sl_reload *reload, struct sl_reload_later *rest)
{
	if (rest == NULL)
		return;
	sl_compile_release(&reload->compiler, &rest->waiting);
	sl_policy_doc_free(rest->shared);
	free(rest);
}

/*
 * What a document has left to earlier jobs stays in the list in the document's place. Older rests
 * are dropped: this document sets each of their VLANs, or leaves it itself.
 */
static void keep_rest(struct sl_reload *reload, struct sl_reload_later *later)
{
	struct sl_reload_later **link = &reload->later, *rest = later->rest;

	later->rest = NULL;
	rest->request = later->request;
	rest->request.leave = rest->leave;
	for (unsigned vlan = 0; vlan < SL_VLAN_COUNT; vlan++)
		rest->leave[vlan] = !later->leave[vlan];
	rest->shared = sl_policy_doc_share(later->request.doc);
	while (*link != NULL && (*link)->request.arrival < rest->request.arrival) {
		struct sl_reload_later *earlier = *link;

		if (earlier->shared == NULL) {
			link = &earlier->next;
			continue;
		}
		*link = earlier->next;
		free_rest(reload, earlier);
	}
	rest->next = *link;
	*link = rest;
}

/* True while an earlier job may still set VLANs that this one sets, or leaves. */
static bool waits_for_earlier(const struct sl_reload *reload, const struct sl_reload_later *later,
                              uint16_t vlan)
{
	for (const struct sl_reload_later *job = reload->later; job != later && job != NULL;
	     job = job->next)
		if (deals_with(reload, job, vlan))
			return true;
	return false;
}

static bool rest_waits(const struct sl_reload *reload, const struct sl_reload_later *rest)
{
	for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX; vlan++)
		if (deals_with(reload, rest, vlan) && waits_for_earlier(reload, rest, vlan))
			return true;
	return false;
}

/* What was left to jobs that are finished is this one's again: it is in force, or was refused. */
static void take_back(const struct sl_reload *reload, struct sl_reload_later *later)
{
	for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX && later->rest != NULL; vlan++)
		if (later->leave[vlan] && !waits_for_earlier(reload, later, vlan))
			later->leave[vlan] = false;
}

/*
 * A whole document needs patterns that are still being compiled. Its changes that no earlier job
 * makes go separately: into force now, or they wait for their own patterns only. If it has no such
 * changes, it waits as a whole.
 */
static int walk_apart(struct sl_reload *reload, struct sl_reload_later *later, struct sl_diag *diag,
                      const struct sl_diag_mark *mark, struct sl_push *push)
{
	struct sl_waiting all = later->waiting;
	struct sl_push whole = *push;
	int ret;

	if (!later->request.whole || reload->later == NULL || !choose_left(reload, later))
		return -EINPROGRESS;
	later->rest = calloc(1, sizeof(*later->rest));
	if (later->rest == NULL)
		return -EINPROGRESS;
	later->waiting = (struct sl_waiting){0};
	later->request.leave = later->leave;
	sl_diag_rewind(diag, mark); /* the second walk warns as the first did */
	ret = sl_reload_walk(reload, &later->request, diag, &later->waiting, push);
	if (ret == -ECANCELED || (ret == 0 && !push->changed)) {
		later->request.leave = NULL;
		later->waiting = all;
		*push = whole;
		free_rest(reload, later->rest);
		later->rest = NULL;
		return -EINPROGRESS;
	}
	/* keeps the patterns of what is left, in case the rest has to walk after all */
	later->rest->waiting = all;
	if (ret == 0) {
		push->sandboxes_waiting = whole.sandboxes_waiting - push->sandboxes_changed;
		keep_rest(reload, later);
	}
	return ret;
}

/* ---- The jobs ---- */

int sl_reload_submit(struct sl_reload *reload, const struct sl_reload_job *job,
                     struct sl_diag *diag, struct sl_push *out)
{
	struct sl_reload_later *later = calloc(1, sizeof(*later));
	struct sl_diag_mark mark = sl_diag_take_mark(diag);
	struct sl_push push = {.generation = reload->number};
	int ret = -ENOMEM;

	if (later != NULL) {
		later->job = *job;
		later->request = sl_reload_request(reload, job->doc, job->patch);
		ret = sl_reload_walk(reload, &later->request, diag, &later->waiting, &push);
		if (ret == -EINPROGRESS)
			ret = walk_apart(reload, later, diag, &mark, &push);
	}
	if (out != NULL)
		*out = push;
	if (ret != -EINPROGRESS) {
		free_rest(reload, later != NULL ? later->rest : NULL);
		free(later);
		return ret;
	}
	append(reload, later);
	return ret;
}

bool sl_reload_busy(const struct sl_reload *reload)
{
	return sl_compile_patterns_busy(reload->compiler.patterns);
}

static void finish_later(struct sl_reload *reload, struct sl_reload_later *later, int ret,
                         struct sl_diag *diag, const struct sl_push *push)
{
	if (later->shared != NULL) {
		if (reload->params.left != NULL && ret != -ECANCELED && (ret != 0 || push->changed))
			reload->params.left(reload->params.left_ctx, ret, diag, push);
		free_rest(reload, later);
		return;
	}
	sl_compile_release(&reload->compiler, &later->waiting);
	free_rest(reload, later->rest);
	later->job.done(later->job.ctx, ret, diag, push);
	free(later);
}

static void unlink_later(struct sl_reload *reload, struct sl_reload_later *later)
{
	struct sl_reload_later **link = &reload->later;

	while (*link != later)
		link = &(*link)->next;
	*link = later->next;
}

/* Walks again; the job is finished, unless more patterns have to be compiled. */
static void try_later(struct sl_reload *reload, struct sl_reload_later *later)
{
	struct sl_waiting before = later->waiting;
	struct sl_diag diag;
	struct sl_push push;
	int ret;

	sl_diag_init(&diag);
	take_back(reload, later);
	later->waiting = (struct sl_waiting){0};
	ret = sl_reload_walk(reload, &later->request, &diag, &later->waiting, &push);
	sl_compile_release(&reload->compiler, &before);
	if (ret != -EINPROGRESS) {
		unlink_later(reload, later);
		if (ret == 0 && later->rest != NULL && leaves_any(later))
			keep_rest(reload, later);
		finish_later(reload, later, ret, &diag, &push);
	}
	sl_diag_free(&diag);
}

/* True if later pushes have set all its sandboxes: its patterns need not be waited for. */
static bool is_overtaken(const struct sl_reload *reload, const struct sl_reload_later *later)
{
	for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX; vlan++)
		if (deals_with(reload, later, vlan))
			return false;
	return true;
}

static struct sl_reload_later *first_after(const struct sl_reload *reload, uint64_t arrival)
{
	struct sl_reload_later *later = reload->later;

	while (later != NULL && later->request.arrival <= arrival)
		later = later->next;
	return later;
}

/* A job's done may submit another job, so the search starts again after each one. */
void sl_reload_poll(struct sl_reload *reload)
{
	struct sl_reload_later *later;

	for (uint64_t done = 0; (later = first_after(reload, done)) != NULL;) {
		done = later->request.arrival;
		if (later->shared != NULL && rest_waits(reload, later))
			continue;
		if (sl_compile_ready(&reload->compiler, &later->waiting) ||
		    is_overtaken(reload, later))
			try_later(reload, later);
	}
}

unsigned sl_reload_pending(const struct sl_reload *reload)
{
	unsigned n = 0;

	for (const struct sl_reload_later *later = reload->later; later != NULL;
	     later = later->next)
		n++;
	return n;
}

void sl_reload_cancel_later(struct sl_reload *reload)
{
	while (reload->later != NULL) {
		struct sl_reload_later *later = reload->later;
		struct sl_push push = {.generation = reload->number};
		struct sl_diag diag;

		reload->later = later->next;
		sl_diag_init(&diag);
		finish_later(reload, later, -ECANCELED, &diag, &push);
		sl_diag_free(&diag);
	}
}
