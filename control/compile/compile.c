/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.c: what a document changes, sandbox by sandbox.
 *
 * Decides by content whether a sandbox's policy is still the same: a list in another order, a
 * policy moved to `policies` or renamed there changes nothing, and what is unchanged keeps its
 * compiled policy, its epoch and with that all its open flows. It must never alter a compiled
 * policy that was published.
 */
#include "compile.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "document/diag.h"
#include "union.h"

int sl_compile_init(struct sl_compiler *compiler, struct sl_union *all, unsigned workers)
{
	*compiler = (struct sl_compiler){.all = all};
	compiler->subnets = sl_compile_subnet_create(all);
	compiler->patterns = sl_compile_patterns_create(workers);
	return compiler->subnets != NULL && compiler->patterns != NULL ? 0 : -ENOMEM;
}

/* ---- A policy's parts from the pools ---- */

static void put_lists(struct sl_compiler *compiler, struct sl_pattern_list *const *lists,
                      unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sl_compile_patterns_put(compiler->patterns, lists[i]);
}

static void put_parts(struct sl_compiler *compiler, const struct sl_policy_parts *parts)
{
	sl_compile_subnet_put(compiler->subnets, parts->subnets);
	put_lists(compiler, parts->lists, parts->n_lists);
}

/* Takes another reference to each part. */
static void hold_parts(struct sl_compiler *compiler, const struct sl_policy_parts *parts)
{
	for (unsigned i = 0; i < parts->n_lists; i++)
		if (parts->lists[i] != NULL)
			parts->lists[i]->refs++;
	if (parts->subnets != NULL)
		sl_compile_subnet_hold(compiler->subnets, parts->subnets);
}

/* Adds a list of patterns, or NULL if there are none. */
static int add_list(struct sl_compiler *compiler, struct sl_policy_parts *parts,
                    const struct sl_pattern *patterns, size_t n)
{
	struct sl_pattern_list *list = NULL;

	if (n > 0) {
		list = sl_compile_patterns_get(compiler->patterns, patterns, n);
		if (list == NULL)
			return -ENOMEM;
	}
	parts->lists[parts->n_lists++] = list;
	return 0;
}

static int compare_patterns(const void *a, const void *b)
{
	return sl_pattern_compare(a, b);
}

/* The names that DNS may be asked for: patterns of both lists, sorted, each once. */
static size_t merge_queries(const struct sl_policy *policy, struct sl_pattern *merged)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < policy->n_patterns; i++)
		merged[n++] = policy->patterns[i];
	for (size_t i = 0; i < policy->n_by_address; i++)
		merged[n++] = policy->by_address[i].pattern;
	if (policy->n_by_address > 0)
		qsort(merged, n, sizeof(*merged), compare_patterns);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || sl_pattern_compare(&merged[kept - 1], &merged[i]) != 0)
			merged[kept++] = merged[i];
	return kept;
}

/* Adds a list for each port and protocol of `by-address`. */
static int add_rules(struct sl_compiler *compiler, const struct sl_policy *policy,
                     struct sl_policy_parts *parts, struct sl_pattern *patterns)
{
	size_t from = 0, n = 0;
	int ret = 0;

	for (; ret == 0 && from < policy->n_by_address; from += n) {
		const struct sl_by_address *first = &policy->by_address[from];

		for (n = 0; from + n < policy->n_by_address && first[n].proto == first->proto &&
		            first[n].port == first->port;
		     n++)
			patterns[n] = first[n].pattern;
		ret = add_list(compiler, parts, patterns, n);
	}
	return ret;
}

static int get_lists(struct sl_compiler *compiler, const struct sl_policy *policy,
                     struct sl_policy_parts *parts)
{
	size_t n = policy->n_patterns + policy->n_by_address;
	struct sl_pattern *merged;
	int ret;

	if (n == 0)
		return 0;
	ret = add_list(compiler, parts, policy->patterns, policy->n_patterns);
	if (ret == 0 && policy->n_by_address == 0) {
		parts->lists[parts->n_lists++] = parts->lists[SL_PARTS_PATTERNS];
		parts->lists[SL_PARTS_PATTERNS]->refs++;
	}
	if (ret != 0 || policy->n_by_address == 0)
		return ret;
	merged = malloc(n * sizeof(*merged));
	if (merged == NULL)
		return -ENOMEM;
	ret = add_list(compiler, parts, merged, merge_queries(policy, merged));
	if (ret == 0)
		ret = add_rules(compiler, policy, parts, merged);
	free(merged);
	return ret;
}

static int get_parts(struct sl_compiler *compiler, const struct sl_policy *policy, const char *file,
                     struct sl_diag *diag, struct sl_policy_parts *parts)
{
	int ret;

	parts->n_lists = 0;
	parts->subnets = NULL;
	ret = get_lists(compiler, policy, parts);
	if (ret == 0 && policy->n_allow + policy->n_deny > 0)
		ret = sl_compile_subnet_get(compiler->subnets, policy, file, diag, &parts->subnets);
	if (ret != 0)
		put_lists(compiler, parts->lists, parts->n_lists);
	return ret;
}

/* ---- The change ---- */

static void change_policy(struct sl_compiler *compiler, struct sl_compiled_policy *from,
                          struct sl_compiled_policy *to)
{
	struct sl_change *change = &compiler->change;

	change->compiled[change->count].from = from;
	change->compiled[change->count].to = to;
	change->count++;
}

/* Compares an entry with what is in force for its VLAN; takes over parts' references. */
static int compare_entry(struct sl_compiler *compiler, const struct sl_policy_entry *entry,
                         const struct sl_policy_parts *parts, uint64_t number)
{
	struct sl_compiled_policy *old = compiler->compiled[entry->vlan];
	struct sl_compiled_policy *compiled = sl_compiled_policy_create(entry, parts);
	bool policy, identity;

	if (compiled == NULL) {
		put_parts(compiler, parts);
		return -ENOMEM;
	}
	identity = old != NULL && sl_compiled_policy_same_identity(old, compiled);
	policy = identity && sl_compiled_policy_same_policy(old, compiled);
	if (policy && sl_compiled_policy_same_name(old, compiled)) {
		put_parts(compiler, parts);
		sl_compiled_policy_free(compiled);
		return 0;
	}
	compiled->sandbox.epoch = policy ? old->sandbox.epoch : (uint32_t)number;
	compiled->sandbox.incarnation = identity ? old->sandbox.incarnation : (uint32_t)number;
	compiler->change.policies += !policy;
	change_policy(compiler, old, compiled);
	return 0;
}

/* A policy of the `policies` mapping is looked up once, however many sandboxes use it. */
static int get_shared(struct sl_compiler *compiler, const struct sl_policy_doc *doc,
                      struct sl_policy_parts *known, const struct sl_policy *policy,
                      struct sl_diag *diag, struct sl_policy_parts *parts)
{
	struct sl_policy_parts *slot;
	int ret;

	if (doc->n_named == 0 || policy < doc->named || policy >= doc->named + doc->n_named)
		return get_parts(compiler, policy, doc->file, diag, parts);
	slot = &known[policy - doc->named];
	if (slot->n_lists == 0 && slot->subnets == NULL) {
		ret = get_parts(compiler, policy, doc->file, diag, parts);
		if (ret == 0)
			*slot = *parts;
		return ret;
	}
	*parts = *slot;
	hold_parts(compiler, parts);
	return 0;
}

/* True if a later push has already set this sandbox, or an earlier one that still waits will. */
static bool overtaken(const struct sl_compiler *compiler, uint16_t vlan)
{
	const struct sl_request *request = &compiler->change.request;

	return compiler->arrived[vlan] > request->arrival ||
	       (request->leave != NULL && request->leave[vlan]);
}

static void remove_policy(struct sl_compiler *compiler, uint16_t vlan)
{
	if (compiler->compiled[vlan] == NULL || overtaken(compiler, vlan))
		return;
	change_policy(compiler, compiler->compiled[vlan], NULL);
	compiler->change.policies++;
}

/* Removes the sandboxes that the document does not list, if the push is of a whole document. */
static void compare_absent(struct sl_compiler *compiler)
{
	const struct sl_request *request = &compiler->change.request;
	const struct sl_policy_doc *doc = request->doc;
	bool seen[SL_VLAN_COUNT] = {false};
	size_t next = 0;

	for (unsigned vlan = 1; request->whole && vlan <= SL_VLAN_MAX; vlan++) {
		if (next < doc->n_entries && doc->entries[next].vlan == vlan)
			next++;
		else
			remove_policy(compiler, (uint16_t)vlan);
	}
	for (size_t i = 0; i < request->n_gone; i++)
		if (!seen[request->gone[i]]) {
			seen[request->gone[i]] = true;
			remove_policy(compiler, request->gone[i]);
		}
}

static int compare_present(struct sl_compiler *compiler, struct sl_policy_parts *known,
                           uint64_t number, struct sl_diag *diag)
{
	const struct sl_policy_doc *doc = compiler->change.request.doc;
	size_t left = 0;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < doc->n_entries; i++) {
		const struct sl_policy_entry *entry = &doc->entries[i];
		struct sl_policy_parts parts;

		if (overtaken(compiler, entry->vlan)) {
			left++;
			compiler->change.partial = true;
			continue;
		}
		ret = get_shared(compiler, doc, known, entry->policy, diag, &parts);
		if (ret == 0)
			ret = compare_entry(compiler, entry, &parts, number);
	}
	/* The document may still remove sandboxes that it does not list. */
	if (ret == 0 && left > 0 && left == doc->n_entries && compiler->change.count == 0)
		return -ECANCELED;
	return ret;
}

/* What the VLAN will have once the change is published. */
static const struct sl_compiled_policy *policy_after(const struct sl_compiler *compiler,
                                                     unsigned vlan)
{
	const struct sl_change *change = &compiler->change;

	for (unsigned i = 0; i < change->count; i++) {
		const struct sl_compiled_policy *from = change->compiled[i].from,
		                                *to = change->compiled[i].to;

		if ((to != NULL ? to : from)->sandbox.vlan == vlan)
			return to;
	}
	return compiler->compiled[vlan];
}

/*
 * Names are unique. Within a document that was checked when it was read; this checks across
 * documents.
 */
static int check_name(const struct sl_compiler *compiler, const struct sl_sandbox *sandbox,
                      struct sl_diag *diag)
{
	for (unsigned vlan = 1; vlan <= SL_VLAN_MAX; vlan++) {
		const struct sl_compiled_policy *compiled = compiler->compiled[vlan];

		if (compiled == NULL || vlan == sandbox->vlan || compiled->sandbox.name == NULL ||
		    strcmp(compiled->sandbox.name, sandbox->name) != 0)
			continue;
		compiled = policy_after(compiler, vlan);
		if (compiled == NULL || compiled->sandbox.name == NULL ||
		    strcmp(compiled->sandbox.name, sandbox->name) != 0)
			continue;
		sl_diag_error(diag, compiler->change.request.doc->file, 0, 0,
		              "the sandbox of VLAN %u is named \"%s\", as that of VLAN %u is",
		              sandbox->vlan, sandbox->name, vlan);
		return -EINVAL;
	}
	return 0;
}

static int check_names(const struct sl_compiler *compiler, struct sl_diag *diag)
{
	const struct sl_change *change = &compiler->change;
	int ret = 0;

	for (unsigned i = 0; ret == 0 && change->partial && i < change->count; i++) {
		const struct sl_compiled_policy *from = change->compiled[i].from,
		                                *to = change->compiled[i].to;

		if (to == NULL || to->sandbox.name == NULL ||
		    (from != NULL && sl_compiled_policy_same_name(from, to)))
			continue;
		ret = check_name(compiler, &to->sandbox, diag);
	}
	return ret;
}

/* Collects all lists of patterns of the change's new policies. */
static unsigned count_lists(const struct sl_change *change)
{
	unsigned n = 0;

	for (unsigned i = 0; i < change->count; i++)
		if (change->compiled[i].to != NULL)
			n += change->compiled[i].to->n_lists;
	return n;
}

/* Compiles one list, or adds it to waiting if it takes long. */
static int build_list(struct sl_compiler *compiler, struct sl_pattern_list *list,
                      struct sl_diag *diag, struct sl_waiting *waiting)
{
	const struct sl_change *change = &compiler->change;
	int ret = sl_compile_patterns_build(compiler->patterns, list, change->request.doc->file,
	                                    diag);

	if (ret != -EINPROGRESS)
		return ret;
	if (waiting->lists == NULL)
		waiting->lists = calloc(count_lists(change), sizeof(*waiting->lists));
	if (waiting->lists == NULL)
		return -ENOMEM;
	list->refs++;
	waiting->lists[waiting->count++] = list;
	return 0;
}

/*
 * Compiles the new lists of patterns. Those that take long are all collected in waiting and
 * compiled in the background.
 */
static int build_lists(struct sl_compiler *compiler, struct sl_diag *diag,
                       struct sl_waiting *waiting)
{
	const struct sl_change *change = &compiler->change;

	for (unsigned i = 0; i < change->count; i++) {
		const struct sl_compiled_policy *to = change->compiled[i].to;

		for (unsigned k = 0; to != NULL && k < to->n_lists; k++) {
			int ret = to->lists[k] != NULL
			                  ? build_list(compiler, to->lists[k], diag, waiting)
			                  : 0;

			if (ret != 0)
				return ret;
		}
	}
	return waiting->count > 0 ? -EINPROGRESS : 0;
}

bool sl_compile_ready(struct sl_compiler *compiler, const struct sl_waiting *waiting)
{
	sl_compile_patterns_poll(compiler->patterns);
	for (unsigned i = 0; i < waiting->count; i++)
		if (atomic_load(&waiting->lists[i]->state) == SL_PATTERNS_QUEUED)
			return false;
	return true;
}

void sl_compile_release(struct sl_compiler *compiler, struct sl_waiting *waiting)
{
	for (unsigned i = 0; i < waiting->count; i++)
		sl_compile_patterns_put(compiler->patterns, waiting->lists[i]);
	free(waiting->lists);
	*waiting = (struct sl_waiting){0};
}

/* What goes gives its prefixes back first, so that the standby copy needs room for one union only.
 */
static void release_old(struct sl_compiler *compiler)
{
	for (unsigned i = 0; i < compiler->change.count; i++)
		if (compiler->change.compiled[i].from != NULL)
			sl_compile_subnet_put(compiler->subnets,
			                      compiler->change.compiled[i].from->subnets);
}

static void retain_old(struct sl_compiler *compiler)
{
	for (unsigned i = 0; i < compiler->change.count; i++) {
		struct sl_compiled_policy *from = compiler->change.compiled[i].from;

		if (from != NULL && from->subnets != NULL)
			sl_compile_subnet_hold(compiler->subnets, from->subnets);
	}
}

/* Forgets what is new. What is old must hold all the references it held. */
static void drop_new(struct sl_compiler *compiler)
{
	for (unsigned i = 0; i < compiler->change.count; i++) {
		struct sl_compiled_policy *to = compiler->change.compiled[i].to;

		if (to == NULL)
			continue;
		sl_compile_subnet_put(compiler->subnets, to->subnets);
		put_lists(compiler, to->lists, to->n_lists);
		sl_compiled_policy_free(to);
	}
	sl_compile_subnet_reclaim(compiler->subnets);
	sl_union_cancel(compiler->all);
	compiler->change.count = compiler->change.policies = 0;
}

int sl_compile_request(struct sl_compiler *compiler, const struct sl_request *request,
                       uint64_t number, struct sl_diag *diag, struct sl_waiting *waiting)
{
	struct sl_policy_parts *known = calloc(request->doc->n_named + 1, sizeof(*known));
	int ret;

	if (known == NULL)
		return -ENOMEM;
	compiler->change.request = *request;
	compiler->change.partial = !request->whole;
	compare_absent(compiler);
	ret = compare_present(compiler, known, number, diag);
	free(known);
	compiler->change.asked = compiler->change.policies;
	if (ret == 0)
		ret = check_names(compiler, diag);
	if (ret == 0)
		ret = build_lists(compiler, diag, waiting);
	if (ret == 0) {
		release_old(compiler);
		ret = sl_union_apply(compiler->all, request->doc->file, diag);
		if (ret != 0)
			retain_old(compiler);
	}
	if (ret != 0)
		drop_new(compiler);
	if (ret != 0 && ret != -EINPROGRESS)
		sl_compile_release(compiler, waiting);
	return ret;
}

void sl_compile_cancel(struct sl_compiler *compiler)
{
	retain_old(compiler);
	drop_new(compiler);
}

/* From now on this is the newest push for every sandbox that it sets or removes. */
static void note_arrival(struct sl_compiler *compiler)
{
	const struct sl_request *request = &compiler->change.request;

	for (unsigned vlan = 1; request->whole && vlan <= SL_VLAN_MAX; vlan++)
		if (!overtaken(compiler, (uint16_t)vlan))
			compiler->arrived[vlan] = request->arrival;
	for (size_t i = 0; !request->whole && i < request->doc->n_entries; i++)
		if (!overtaken(compiler, request->doc->entries[i].vlan))
			compiler->arrived[request->doc->entries[i].vlan] = request->arrival;
	for (size_t i = 0; i < request->n_gone; i++)
		if (!overtaken(compiler, request->gone[i]))
			compiler->arrived[request->gone[i]] = request->arrival;
}

void sl_compile_keep(struct sl_compiler *compiler)
{
	note_arrival(compiler);
	sl_compile_cancel(compiler);
}

void sl_compile_commit(struct sl_compiler *compiler)
{
	struct sl_change *change = &compiler->change;

	note_arrival(compiler);

	for (unsigned i = 0; i < change->count; i++) {
		struct sl_compiled_policy *from = change->compiled[i].from,
		                          *to = change->compiled[i].to;
		uint16_t vlan = from != NULL ? from->sandbox.vlan : to->sandbox.vlan;

		compiler->compiled[vlan] = to;
		compiler->count += (to != NULL) - (from != NULL);
	}
	sl_union_commit(compiler->all);
}

static void free_policy(struct sl_compiler *compiler, struct sl_compiled_policy *compiled)
{
	put_lists(compiler, compiled->lists, compiled->n_lists);
	sl_compiled_policy_free(compiled);
}

int sl_compile_reclaim(struct sl_compiler *compiler)
{
	struct sl_change *change = &compiler->change;
	int ret = sl_union_reclaim(compiler->all);

	for (unsigned i = 0; i < change->count; i++)
		if (change->compiled[i].from != NULL)
			free_policy(compiler, change->compiled[i].from);
	change->count = change->policies = 0;
	sl_compile_subnet_reclaim(compiler->subnets);
	sl_compile_patterns_reclaim(compiler->patterns);
	return ret;
}

void sl_compile_fini(struct sl_compiler *compiler)
{
	for (unsigned vlan = 0; vlan < SL_VLAN_COUNT; vlan++) {
		struct sl_compiled_policy *compiled = compiler->compiled[vlan];

		if (compiled == NULL)
			continue;
		sl_compile_subnet_put(compiler->subnets, compiled->subnets);
		free_policy(compiler, compiled);
	}
	if (compiler->subnets != NULL)
		sl_compile_subnet_reclaim(compiler->subnets);
	sl_compile_subnet_destroy(compiler->subnets);
	sl_compile_patterns_destroy(compiler->patterns);
}
