/*
 * compile.c: what a document changes, sandbox by sandbox.
 *
 * Decides by content whether a sandbox's policy is still the same: a list in another order, a
 * policy moved to `policies` or renamed there changes nothing, and what is unchanged keeps its row,
 * its epoch and with that all its open flows. It must never alter a row that was published.
 */
#include "compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "diag.h"
#include "union.h"

int sl_compile_init(struct sl_compiler *compiler, struct sl_union *all, unsigned workers)
{
	*compiler = (struct sl_compiler){.all = all};
	compiler->subnets = sl_compile_subnet_create(all);
	compiler->names = sl_compile_names_create(workers);
	return compiler->subnets != NULL && compiler->names != NULL ? 0 : -ENOMEM;
}

/* ---- One row ---- */

/* The pools' parts of a policy, looked up once for all sandboxes that share it. */
struct parts {
	struct sl_name_list *names;
	struct sl_subnet_row *subnets;
};

static int get_parts(struct sl_compiler *compiler, const struct sl_policy *policy, const char *file,
                     struct sl_diag *diag, struct parts *parts)
{
	int ret;

	*parts = (struct parts){0};
	if (policy->n_patterns > 0) {
		parts->names =
		        sl_compile_names_get(compiler->names, policy->patterns, policy->n_patterns);
		if (parts->names == NULL)
			return -ENOMEM;
	}
	if (policy->n_allow + policy->n_deny == 0)
		return 0;
	ret = sl_compile_subnet_get(compiler->subnets, policy, file, diag, &parts->subnets);
	if (ret != 0)
		sl_compile_names_put(compiler->names, parts->names);
	return ret;
}

static void put_parts(struct sl_compiler *compiler, const struct parts *parts)
{
	sl_compile_subnet_put(compiler->subnets, parts->subnets);
	sl_compile_names_put(compiler->names, parts->names);
}

static enum sl_mode mode_of(const struct sl_policy *policy)
{
	switch (policy->kind) {
	case SL_POLICY_DENY_ALL:
		return SL_MODE_DENY_ALL;
	case SL_POLICY_CUSTOM:
		return SL_MODE_CUSTOM;
	case SL_POLICY_ALLOW_ALL:
		return SL_MODE_ALLOW_ALL;
	}
	return SL_MODE_DENY_ALL;
}

static struct sl_net net_of(const struct sl_prefix *prefix)
{
	struct sl_net net = {.family = prefix->family, .len = prefix->len};

	memcpy(net.bytes, prefix->addr, sizeof(net.bytes));
	return net;
}

/* One piece of memory: the row, its sources, its name. */
static struct sl_row *make_row(const struct sl_policy_entry *entry, const struct parts *parts)
{
	size_t name_bytes = entry->name != NULL ? strlen(entry->name) + 1 : 0;
	size_t source_bytes = entry->n_sources * sizeof(struct sl_net);
	struct sl_row *row;
	struct sl_net *sources;
	char *name;

	if (entry->n_sources > UINT16_MAX)
		return NULL;
	row = sl_arena_zalloc(sl_arena_shared(), sizeof(*row) + source_bytes + name_bytes);
	if (row == NULL)
		return NULL;
	sources = (struct sl_net *)(row + 1);
	name = (char *)(sources + entry->n_sources);
	for (size_t i = 0; i < entry->n_sources; i++)
		sources[i] = net_of(&entry->sources[i]);
	if (name_bytes > 0)
		memcpy(name, entry->name, name_bytes);
	row->names = parts->names;
	row->subnets = parts->subnets;
	row->sandbox = (struct sl_sandbox){
	        .vlan = entry->vlan,
	        .mode = mode_of(entry->policy),
	        .subnets = parts->subnets != NULL ? &parts->subnets->subnets : NULL,
	        .names = parts->names != NULL ? &parts->names->names : NULL,
	        .has_source = entry->has_source,
	        .source_count = (uint16_t)entry->n_sources,
	        .sources = sources,
	        .name = name_bytes > 0 ? name : NULL,
	};
	return row;
}

static bool same_source(const struct sl_sandbox *a, const struct sl_sandbox *b)
{
	return a->has_source == b->has_source && a->source_count == b->source_count &&
	       memcmp(a->sources, b->sources, a->source_count * sizeof(*a->sources)) == 0;
}

static bool same_policy(const struct sl_sandbox *a, const struct sl_sandbox *b)
{
	return a->mode == b->mode && a->subnets == b->subnets && a->names == b->names &&
	       same_source(a, b);
}

static bool same_name(const struct sl_sandbox *a, const struct sl_sandbox *b)
{
	return a->name == b->name ||
	       (a->name != NULL && b->name != NULL && strcmp(a->name, b->name) == 0);
}

/* A VLAN that goes from one name to another is another sandbox; a name that comes or goes is not
 * enough to say so. */
static bool same_identity(const struct sl_sandbox *a, const struct sl_sandbox *b)
{
	return a->name == NULL || b->name == NULL || strcmp(a->name, b->name) == 0;
}

/* ---- The change ---- */

static void change_row(struct sl_compiler *compiler, struct sl_row *from, struct sl_row *to)
{
	struct sl_change *change = &compiler->change;

	change->row[change->count].from = from;
	change->row[change->count].to = to;
	change->count++;
}

/* Compares an entry with the row in force; takes over parts' references. */
static int compare_entry(struct sl_compiler *compiler, const struct sl_policy_entry *entry,
                         const struct parts *parts, uint64_t number)
{
	struct sl_row *old = compiler->rows[entry->vlan];
	struct sl_row *row = make_row(entry, parts);
	bool policy, identity;

	if (row == NULL) {
		put_parts(compiler, parts);
		return -ENOMEM;
	}
	identity = old != NULL && same_identity(&old->sandbox, &row->sandbox);
	policy = identity && same_policy(&old->sandbox, &row->sandbox);
	if (policy && same_name(&old->sandbox, &row->sandbox)) {
		put_parts(compiler, parts);
		sl_arena_free(sl_arena_shared(), row);
		return 0;
	}
	row->sandbox.epoch = policy ? old->sandbox.epoch : (uint32_t)number;
	row->sandbox.incarnation = identity ? old->sandbox.incarnation : (uint32_t)number;
	compiler->change.policies += !policy;
	change_row(compiler, old, row);
	return 0;
}

/* A policy that stands in `policies` is looked up once, however many sandboxes name it. */
static int get_shared(struct sl_compiler *compiler, const struct sl_policy_doc *doc,
                      struct parts *known, const struct sl_policy *policy, struct sl_diag *diag,
                      struct parts *parts)
{
	struct parts *slot;
	int ret;

	if (doc->n_named == 0 || policy < doc->named || policy >= doc->named + doc->n_named)
		return get_parts(compiler, policy, doc->file, diag, parts);
	slot = &known[policy - doc->named];
	if (slot->names == NULL && slot->subnets == NULL) {
		ret = get_parts(compiler, policy, doc->file, diag, parts);
		if (ret == 0)
			*slot = *parts;
		return ret;
	}
	*parts = *slot;
	if (parts->names != NULL)
		parts->names->refs++;
	if (parts->subnets != NULL)
		sl_compile_subnet_hold(compiler->subnets, parts->subnets);
	return 0;
}

static int compare_doc(struct sl_compiler *compiler, const struct sl_policy_doc *doc,
                       struct parts *known, uint64_t number, struct sl_diag *diag)
{
	size_t next = 0;
	int ret = 0;

	for (unsigned vlan = 1; ret == 0 && vlan <= SL_VLAN_MAX; vlan++) {
		const struct sl_policy_entry *entry = NULL;
		struct parts parts;

		if (next < doc->n_entries && doc->entries[next].vlan == vlan)
			entry = &doc->entries[next++];
		if (entry == NULL && compiler->rows[vlan] != NULL) {
			change_row(compiler, compiler->rows[vlan], NULL);
			compiler->change.policies++;
		}
		if (entry == NULL)
			continue;
		ret = get_shared(compiler, doc, known, entry->policy, diag, &parts);
		if (ret == 0)
			ret = compare_entry(compiler, entry, &parts, number);
	}
	return ret;
}

static int build_names(struct sl_compiler *compiler, const char *file, struct sl_diag *diag)
{
	struct sl_change *change = &compiler->change;
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < change->count; i++)
		if (change->row[i].to != NULL && change->row[i].to->names != NULL)
			ret = sl_compile_names_build(compiler->names, change->row[i].to->names,
			                             file, diag);
	return ret;
}

/* The rows that go let their prefixes go, so that the standby side needs room for one union. */
static void release_old(struct sl_compiler *compiler)
{
	for (unsigned i = 0; i < compiler->change.count; i++)
		if (compiler->change.row[i].from != NULL)
			sl_compile_subnet_put(compiler->subnets,
			                      compiler->change.row[i].from->subnets);
}

static void retain_old(struct sl_compiler *compiler)
{
	for (unsigned i = 0; i < compiler->change.count; i++) {
		struct sl_row *from = compiler->change.row[i].from;

		if (from != NULL && from->subnets != NULL)
			sl_compile_subnet_hold(compiler->subnets, from->subnets);
	}
}

/* Forgets the new rows. The old ones must hold all they held. */
static void drop_new(struct sl_compiler *compiler)
{
	for (unsigned i = 0; i < compiler->change.count; i++) {
		struct sl_row *to = compiler->change.row[i].to;

		if (to == NULL)
			continue;
		put_parts(compiler, &(struct parts){to->names, to->subnets});
		sl_arena_free(sl_arena_shared(), to);
	}
	sl_compile_subnet_reclaim(compiler->subnets);
	sl_union_cancel(compiler->all);
	compiler->change.count = compiler->change.policies = 0;
}

int sl_compile_doc(struct sl_compiler *compiler, const struct sl_policy_doc *doc, uint64_t number,
                   struct sl_diag *diag)
{
	struct parts *known = calloc(doc->n_named + 1, sizeof(*known));
	int ret;

	if (known == NULL)
		return -ENOMEM;
	ret = compare_doc(compiler, doc, known, number, diag);
	free(known);
	if (ret == 0)
		ret = build_names(compiler, doc->file, diag);
	if (ret == 0) {
		release_old(compiler);
		ret = sl_union_apply(compiler->all, doc->file, diag);
		if (ret != 0)
			retain_old(compiler);
	}
	if (ret != 0)
		drop_new(compiler);
	return ret;
}

void sl_compile_cancel(struct sl_compiler *compiler)
{
	retain_old(compiler);
	drop_new(compiler);
}

void sl_compile_commit(struct sl_compiler *compiler)
{
	struct sl_change *change = &compiler->change;

	for (unsigned i = 0; i < change->count; i++) {
		struct sl_row *from = change->row[i].from, *to = change->row[i].to;
		uint16_t vlan = from != NULL ? from->sandbox.vlan : to->sandbox.vlan;

		compiler->rows[vlan] = to;
		compiler->count += (to != NULL) - (from != NULL);
	}
	sl_union_commit(compiler->all);
}

static void free_row(struct sl_compiler *compiler, struct sl_row *row)
{
	sl_compile_names_put(compiler->names, row->names);
	sl_arena_free(sl_arena_shared(), row);
}

int sl_compile_reclaim(struct sl_compiler *compiler)
{
	struct sl_change *change = &compiler->change;
	int ret = sl_union_reclaim(compiler->all);

	for (unsigned i = 0; i < change->count; i++)
		if (change->row[i].from != NULL)
			free_row(compiler, change->row[i].from);
	change->count = change->policies = 0;
	sl_compile_subnet_reclaim(compiler->subnets);
	sl_compile_names_reclaim(compiler->names);
	return ret;
}

void sl_compile_fini(struct sl_compiler *compiler)
{
	for (unsigned vlan = 0; vlan < SL_VLAN_COUNT; vlan++) {
		struct sl_row *row = compiler->rows[vlan];

		if (row == NULL)
			continue;
		sl_compile_subnet_put(compiler->subnets, row->subnets);
		free_row(compiler, row);
	}
	if (compiler->subnets != NULL)
		sl_compile_subnet_reclaim(compiler->subnets);
	sl_compile_subnet_destroy(compiler->subnets);
	sl_compile_names_destroy(compiler->names);
}
