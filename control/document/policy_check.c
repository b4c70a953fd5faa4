/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_check.c: checks that need the whole policy document, and its final order.
 *
 * Decides that VLANs and names are unique and that every named policy is there. It sorts, so that
 * the cost does not grow with the square of the number of sandboxes.
 */
#include <stdlib.h>
#include <string.h>

#include "docmem.h"
#include "nearest.h"
#include "policy_draft.h"

#define GUESSES 100 /* bounds the work: each guess compares with all policies */

static int compare_vlans(const void *a, const void *b)
{
	const struct sl_policy_draft_entry *left = a, *right = b;

	if (left->entry.vlan != right->entry.vlan)
		return left->entry.vlan < right->entry.vlan ? -1 : 1;
	if (left->entry.line != right->entry.line)
		return left->entry.line < right->entry.line ? -1 : 1;
	return left->entry.column < right->entry.column ? -1 : 1;
}

/* By name; those without one last; the first one of the file first. */
static int compare_names(const void *a, const void *b)
{
	const struct sl_policy_draft_entry *left = *(const struct sl_policy_draft_entry *const *)a;
	const struct sl_policy_draft_entry *right = *(const struct sl_policy_draft_entry *const *)b;
	int order;

	if (left->name == NULL || right->name == NULL)
		return (left->name == NULL) - (right->name == NULL);
	order = strcmp(left->entry.name, right->entry.name);
	if (order != 0)
		return order;
	if (left->name->line != right->name->line)
		return left->name->line < right->name->line ? -1 : 1;
	return left->name->column < right->name->column ? -1 : 1;
}

static int compare_policies(const void *a, const void *b)
{
	const struct sl_policy *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static void check_vlans(struct sl_policy_draft *draft)
{
	const struct sl_policy_draft_entry *first = NULL;

	if (draft->n_entries > 1)
		qsort(draft->entries, draft->n_entries, sizeof(*draft->entries), compare_vlans);
	for (size_t i = 0; i < draft->n_entries; i++) {
		const struct sl_policy_draft_entry *entry = &draft->entries[i];

		if (entry->vlan == NULL)
			continue;
		if (first == NULL || first->entry.vlan != entry->entry.vlan)
			first = entry;
		else
			sl_schema_error(&draft->schema, entry->vlan,
			                "vlan %u is another sandbox's already, in line %u",
			                entry->entry.vlan, first->vlan->line);
	}
}

static void check_names(struct sl_policy_draft *draft)
{
	const struct sl_policy_draft_entry **sorted, *first;
	char quoted[SL_DIAG_QUOTE_MAX];

	if (draft->n_entries < 2)
		return;
	sorted = malloc(draft->n_entries * sizeof(*sorted));
	if (sorted == NULL) {
		draft->schema.no_memory = true;
		return;
	}
	for (size_t i = 0; i < draft->n_entries; i++)
		sorted[i] = &draft->entries[i];
	qsort(sorted, draft->n_entries, sizeof(*sorted), compare_names);
	first = sorted[0];
	for (size_t i = 1; i < draft->n_entries && sorted[i]->name != NULL; i++) {
		if (strcmp(first->entry.name, sorted[i]->entry.name) != 0)
			first = sorted[i];
		else
			sl_schema_error(
			        &draft->schema, sorted[i]->name,
			        "the name %s is another sandbox's already, in line %u",
			        sl_diag_quote(first->entry.name, strlen(first->entry.name), quoted),
			        first->name->line);
	}
	free(sorted);
}

/* The policy or keyword that an unknown name was probably meant to be; or NULL. */
static const char *guess(const struct sl_policy_draft *draft, const char *name)
{
	static const char *const words[] = {"allow-all", "deny-all"};
	const char *found = sl_nearest_word(name, words, 2);
	unsigned best = found != NULL ? sl_nearest_distance(name, found) : SL_NEAREST_FAR;

	for (size_t i = 0; i < draft->n_named && draft->schema.diag->errors < GUESSES; i++) {
		unsigned at = sl_nearest_distance(name, draft->named[i].name);

		if (at >= best)
			continue;
		best = at;
		found = draft->named[i].name;
	}
	return found;
}

static void tell_no_policy(struct sl_policy_draft *draft, const struct sl_yaml_node *reference)
{
	const char *meant = guess(draft, reference->text);
	char quoted[SL_DIAG_QUOTE_MAX];

	sl_diag_quote(reference->text, reference->n, quoted);
	sl_schema_error(&draft->schema, reference,
	                "policy: there is no policy %s in policies%s%s%s", quoted,
	                meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "",
	                meant != NULL ? "?" : "");
}

static void find_policies(struct sl_policy_draft *draft)
{

	if (draft->n_named > 1)
		qsort(draft->named, draft->n_named, sizeof(*draft->named), compare_policies);
	for (size_t i = 0; i < draft->n_entries; i++) {
		struct sl_policy_draft_entry *entry = &draft->entries[i];
		struct sl_policy wanted = {0};

		if (entry->reference == NULL)
			continue;
		wanted.name = entry->reference->text;
		if (draft->n_named > 0)
			entry->entry.policy = bsearch(&wanted, draft->named, draft->n_named,
			                              sizeof(*draft->named), compare_policies);
		if (entry->entry.policy == NULL && draft->named_known)
			tell_no_policy(draft, entry->reference);
	}
}

/* True if the policy comes before this place, or the place is 0. */
static bool is_earlier(const struct sl_policy *policy, uint32_t line, uint32_t column)
{
	return line == 0 || policy->line < line ||
	       (policy->line == line && policy->column < column);
}

static void count_policy(struct sl_policy_doc *doc, const struct sl_policy *policy)
{
	bool names = policy->n_patterns > 0 || policy->n_by_address > 0;

	doc->n_patterns += policy->n_patterns + policy->n_by_address;
	doc->n_prefixes += policy->n_allow + policy->n_deny;
	if (names && is_earlier(policy, doc->pattern_line, doc->pattern_column)) {
		doc->pattern_line = policy->line;
		doc->pattern_column = policy->column;
	}
	if (policy->n_by_address > 0 &&
	    is_earlier(policy, doc->by_address_line, doc->by_address_column)) {
		doc->by_address_line = policy->line;
		doc->by_address_column = policy->column;
	}
}

/* Counts every policy in use once, however many sandboxes name it. */
static void count_policies(struct sl_policy_draft *draft, struct sl_policy_doc *doc)
{
	bool *used = sl_docmem_alloc(draft->schema.mem, draft->n_named, sizeof(*used));

	if (used == NULL) {
		draft->schema.no_memory = true;
		return;
	}
	for (size_t i = 0; i < draft->n_entries; i++) {
		const struct sl_policy *policy = draft->entries[i].entry.policy;

		if (policy == NULL)
			continue;
		if (policy->name != NULL) {
			size_t number = (size_t)(policy - draft->named);

			if (used[number])
				continue;
			used[number] = true;
		}
		count_policy(doc, policy);
	}
}

void sl_policy_check(struct sl_policy_draft *draft, struct sl_policy_doc *doc)
{
	struct sl_policy_entry *entries;

	check_vlans(draft);
	check_names(draft);
	find_policies(draft);
	count_policies(draft, doc);
	entries = sl_docmem_alloc(draft->schema.mem, draft->n_entries, sizeof(*entries));
	if (entries == NULL) {
		draft->schema.no_memory = true;
		return;
	}
	for (size_t i = 0; i < draft->n_entries; i++)
		entries[i] = draft->entries[i].entry;
	doc->entries = entries;
	doc->n_entries = draft->n_entries;
	doc->named = draft->named;
	doc->n_named = draft->n_named;
}

static int compare_vlan(const void *key, const void *item)
{
	const struct sl_policy_entry *entry = item;

	return (int)*(const uint16_t *)key - (int)entry->vlan;
}

const struct sl_policy_entry *sl_policy_doc_find(const struct sl_policy_doc *doc, uint16_t vlan)
{
	if (doc->n_entries == 0)
		return NULL;
	return bsearch(&vlan, doc->entries, doc->n_entries, sizeof(*doc->entries), compare_vlan);
}
