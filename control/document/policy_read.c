/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_read.c: reads a policy document's keys and values (the grammar of policies).
 *
 * Decides which keys and values are valid where. Unclear input must never allow more than was
 * meant: an absent `policy` is allow-all, so a null, a wrong type or a misspelt key is never taken
 * for absence.
 */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/generation.h"

#include "docmem.h"
#include "policy_draft.h"
#include "yaml_tree.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- patterns ---- */

static bool read_pattern(struct sl_schema *schema, const struct sl_yaml_node *node,
                         struct sl_pattern *pattern)
{
	char canonical[SL_NAME_MAX + 1], why[160], quoted[SL_DIAG_QUOTE_MAX];
	int len;

	if (node->kind == SL_YAML_BROKEN)
		return false;
	if (node->kind != SL_YAML_SCALAR) {
		sl_schema_error(schema, node, "allow: %s where a domain pattern was expected",
		                node->kind == SL_YAML_NULL ? "a null"
		                                           : sl_yaml_kind_name(node->kind));
		return false;
	}
	len = sl_pattern_normalise(node->text, node->n, canonical, &pattern->kind, why,
	                           sizeof(why));
	if (len == -ENOMEM) {
		schema->no_memory = true;
	} else if (len < 0) {
		sl_schema_error(schema, node, "allow: %s %s",
		                sl_diag_quote(node->text, node->n, quoted), why);
	} else {
		pattern->len = (uint8_t)len;
		pattern->text = sl_docmem_copy(schema->mem, canonical, (size_t)len);
		schema->no_memory |= pattern->text == NULL;
	}
	return len >= 0 && pattern->text != NULL;
}

/* The other form of `allow` is pattern -> list of rules; only the empty list is supported. */
static void check_rules(struct sl_schema *schema, const struct sl_yaml_node *pattern,
                        const struct sl_yaml_node *rules)
{
	char quoted[SL_DIAG_QUOTE_MAX];

	if (rules->kind == SL_YAML_BROKEN || (rules->kind == SL_YAML_LIST && rules->n == 0))
		return;
	if (pattern->kind == SL_YAML_SCALAR)
		sl_diag_quote(pattern->text, pattern->n, quoted);
	else
		strcpy(quoted, "a pattern");
	if (rules->kind == SL_YAML_LIST)
		sl_schema_error(schema, rules,
		                "allow: rules for %s need TLS termination, which is not supported; "
		                "write []",
		                quoted);
	else
		sl_schema_error(schema, rules, "allow: the value of %s must be an empty list, []",
		                quoted);
}

static bool read_rule(struct sl_schema *schema, const struct sl_yaml_node *node,
                      struct sl_by_address *rule)
{
	char canonical[SL_NAME_MAX + 1], why[160], quoted[SL_DIAG_QUOTE_MAX];
	int len;

	if (node->kind == SL_YAML_BROKEN)
		return false;
	if (node->kind != SL_YAML_SCALAR) {
		sl_schema_error(
		        schema, node,
		        "by-address: %s where an entry like \"github.com:22/tcp\" was expected",
		        node->kind == SL_YAML_NULL ? "a null" : sl_yaml_kind_name(node->kind));
		return false;
	}
	len = sl_by_address_read(node->text, node->n, canonical, rule, why, sizeof(why));
	if (len == -ENOMEM) {
		schema->no_memory = true;
	} else if (len < 0) {
		sl_schema_error(schema, node, "by-address: %s %s",
		                sl_diag_quote(node->text, node->n, quoted), why);
	} else {
		rule->pattern.text = sl_docmem_copy(schema->mem, canonical, (size_t)len);
		schema->no_memory |= rule->pattern.text == NULL;
	}
	return len >= 0 && rule->pattern.text != NULL;
}

static int compare_rules(const void *a, const void *b)
{
	return sl_by_address_compare(a, b);
}

/* Sorts the entries and drops repetitions; *ports: how many different ports they name. */
static size_t sort_rules(struct sl_by_address *rules, size_t n, size_t *ports)
{
	size_t kept = 0;

	*ports = 0;
	if (n > 1)
		qsort(rules, n, sizeof(*rules), compare_rules);
	for (size_t i = 0; i < n; i++) {
		const struct sl_by_address *last = kept > 0 ? &rules[kept - 1] : NULL;

		if (last != NULL && sl_by_address_compare(last, &rules[i]) == 0)
			continue;
		if (last == NULL || last->proto != rules[i].proto || last->port != rules[i].port)
			++*ports;
		rules[kept++] = rules[i];
	}
	return kept;
}

static void read_by_address(struct sl_schema *schema, const struct sl_yaml_node *node,
                            struct sl_policy *policy)
{
	struct sl_by_address *rules;
	size_t n = 0, ports;

	if (node->kind == SL_YAML_BROKEN)
		return;
	if (node->kind != SL_YAML_LIST) {
		sl_schema_error(
		        schema, node,
		        "by-address: a list like [\"github.com:22/tcp\"] was expected, not %s",
		        sl_yaml_kind_name(node->kind));
		return;
	}
	rules = sl_docmem_alloc(schema->mem, node->n, sizeof(*rules));
	if (rules == NULL) {
		schema->no_memory = true;
		return;
	}
	for (const struct sl_yaml_node *item = node->first; item != NULL; item = item->next)
		if (read_rule(schema, item, &rules[n]))
			n++;
	policy->n_by_address = sort_rules(rules, n, &ports);
	policy->by_address = rules;
	if (ports > SL_PIN_RULES_MAX)
		sl_schema_error(schema, node,
		                "by-address: %zu different ports; one policy may have %u", ports,
		                SL_PIN_RULES_MAX);
}

static int compare_patterns(const void *a, const void *b)
{
	return sl_pattern_compare(a, b);
}

static size_t sort_patterns(struct sl_pattern *patterns, size_t n)
{
	size_t kept = 0;

	if (n > 1)
		qsort(patterns, n, sizeof(*patterns), compare_patterns);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || sl_pattern_compare(&patterns[kept - 1], &patterns[i]) != 0)
			patterns[kept++] = patterns[i];
	return kept;
}

static void read_allow(struct sl_schema *schema, const struct sl_yaml_node *node,
                       struct sl_policy *policy)
{
	bool mapping = node->kind == SL_YAML_MAPPING;
	struct sl_pattern *patterns;
	size_t n = 0;

	if (node->kind == SL_YAML_BROKEN)
		return;
	if (!mapping && node->kind != SL_YAML_LIST) {
		sl_schema_error(schema, node,
		                "allow: a list of domain patterns was expected, not %s",
		                sl_yaml_kind_name(node->kind));
		return;
	}
	patterns = sl_docmem_alloc(schema->mem, node->n, sizeof(*patterns));
	if (patterns == NULL) {
		schema->no_memory = true;
		return;
	}
	for (const struct sl_yaml_node *item = node->first; item != NULL; item = item->next) {
		if (read_pattern(schema, item, &patterns[n]))
			n++;
		if (mapping) {
			check_rules(schema, item, item->next);
			item = item->next;
		}
	}
	policy->n_patterns = sort_patterns(patterns, n);
	policy->patterns = patterns;
}

/* ---- one policy ---- */

static void read_subnets(struct sl_schema *schema, const struct sl_yaml_node *node,
                         struct sl_policy *policy)
{
	static const char *const keys[] = {"allow", "deny"};
	const struct sl_yaml_node *values[COUNT(keys)];

	if (!sl_schema_mapping(schema, node, "subnets", keys, COUNT(keys), values))
		return;
	if (values[0] != NULL)
		sl_schema_prefixes(schema, values[0], "subnets.allow", SL_SCHEMA_PREFIXES, NULL, 0,
		                   &policy->allow, &policy->n_allow);
	if (values[1] != NULL)
		sl_schema_prefixes(schema, values[1], "subnets.deny", SL_SCHEMA_PREFIXES, NULL, 0,
		                   &policy->deny, &policy->n_deny);
}

/* `{}`, empty lists, and only denied subnets open nothing: they are deny-all (then DNS is too). */
static void settle_kind(struct sl_policy *policy)
{
	if (policy->n_patterns > 0 || policy->n_by_address > 0 || policy->n_allow > 0) {
		policy->kind = SL_POLICY_CUSTOM;
		return;
	}
	policy->kind = SL_POLICY_DENY_ALL;
	policy->patterns = NULL;
	policy->by_address = NULL;
	policy->allow = NULL;
	policy->deny = NULL;
	policy->n_deny = 0;
}

static bool read_mode(const char *text, enum sl_policy_kind *kind)
{
	if (strcmp(text, "allow-all") == 0)
		*kind = SL_POLICY_ALLOW_ALL;
	else if (strcmp(text, "deny-all") == 0)
		*kind = SL_POLICY_DENY_ALL;
	else
		return false;
	return true;
}

/* A value that is no word. */
static void read_custom(struct sl_schema *schema, const struct sl_yaml_node *node,
                        struct sl_policy *policy)
{
	static const char *const keys[] = {"allow", "subnets", "by-address"};
	const struct sl_yaml_node *values[COUNT(keys)];

	if (node->kind == SL_YAML_LIST) {
		sl_schema_error(schema, node,
		                "policy: a list; write {allow: [...]}, allow-all, deny-all or the "
		                "name of a policy");
		return;
	}
	if (!sl_schema_mapping(schema, node, "policy", keys, COUNT(keys), values))
		return;
	if (values[0] != NULL)
		read_allow(schema, values[0], policy);
	if (values[1] != NULL)
		read_subnets(schema, values[1], policy);
	if (values[2] != NULL)
		read_by_address(schema, values[2], policy);
	settle_kind(policy);
}

/* ---- policies ---- */

static void read_named_policy(struct sl_policy_draft *draft, const struct sl_yaml_node *key,
                              const struct sl_yaml_node *value)
{
	struct sl_schema *schema = &draft->schema;
	struct sl_policy *policy = &draft->named[draft->n_named];
	char quoted[SL_DIAG_QUOTE_MAX];
	enum sl_policy_kind kind;

	*policy = (struct sl_policy){.line = value->line, .column = value->column};
	if (sl_schema_text(schema, key, "policies", SL_POLICY_NAME_MAX, &policy->name)) {
		draft->n_named++;
		if (read_mode(policy->name, &kind))
			sl_schema_error(
			        schema, key,
			        "policies: %s has a meaning of its own; choose another name",
			        policy->name);
	}
	sl_diag_quote(key->text, key->n, quoted);
	if (value->kind == SL_YAML_NULL)
		sl_schema_error(schema, value,
		                "policies: %s is a null; write {allow: [...]}, or deny-all",
		                quoted);
	else if (value->kind != SL_YAML_SCALAR)
		read_custom(schema, value, policy);
	else if (!read_mode(value->text, &policy->kind))
		sl_schema_error(schema, value,
		                "policies: the value of %s is no policy; write {allow: [...]}, "
		                "allow-all or deny-all",
		                quoted);
}

static void read_named(struct sl_policy_draft *draft, const struct sl_yaml_node *node)
{
	struct sl_schema *schema = &draft->schema;

	draft->named_known = node == NULL || node->kind == SL_YAML_MAPPING;
	if (node == NULL || node->kind == SL_YAML_BROKEN)
		return;
	if (node->kind != SL_YAML_MAPPING) {
		sl_schema_error(schema, node, "policies: a mapping was expected, not %s",
		                sl_yaml_kind_name(node->kind));
		return;
	}
	draft->named = sl_docmem_alloc(schema->mem, node->n, sizeof(*draft->named));
	if (draft->named == NULL) {
		schema->no_memory = true;
		return;
	}
	for (const struct sl_yaml_node *key = node->first; key != NULL; key = key->next->next) {
		if (key->kind == SL_YAML_SCALAR)
			read_named_policy(draft, key, key->next);
		else
			draft->named_known = false;
	}
}

/* ---- sandboxes ---- */

/* The policy of an entry; a name is looked up later, since `policies` may come after it. */
static void read_entry_policy(struct sl_schema *schema, const struct sl_yaml_node *node,
                              struct sl_policy_draft_entry *entry)
{
	static const struct sl_policy allow_all = {.kind = SL_POLICY_ALLOW_ALL};
	struct sl_policy *policy;
	enum sl_policy_kind kind = SL_POLICY_DENY_ALL;

	if (node == NULL) {
		entry->entry.policy = &allow_all;
		return;
	}
	if (node->kind == SL_YAML_SCALAR && !read_mode(node->text, &kind)) {
		entry->reference = node;
		return;
	}
	policy = sl_docmem_alloc(schema->mem, 1, sizeof(*policy));
	if (policy == NULL) {
		schema->no_memory = true;
		return;
	}
	policy->kind = kind;
	policy->line = node->line;
	policy->column = node->column;
	if (node->kind != SL_YAML_SCALAR)
		read_custom(schema, node, policy);
	entry->entry.policy = policy;
}

static void read_source(struct sl_schema *schema, const struct sl_yaml_node *node,
                        struct sl_policy_entry *entry)
{
	entry->has_source = true;
	sl_schema_prefixes(schema, node, "source", SL_SCHEMA_PREFIXES, NULL, 0, &entry->sources,
	                   &entry->n_sources);
	if (node->kind == SL_YAML_LIST && node->n == 0)
		sl_diag_warning(schema->diag, schema->file, node->line, node->column,
		                "source: an empty list leaves this sandbox without any address");
}

static void read_entry(struct sl_schema *schema, const struct sl_yaml_node *node,
                       struct sl_policy_draft_entry *entry)
{
	static const char *const keys[] = {"vlan", "name", "source", "policy"};
	const struct sl_yaml_node *values[COUNT(keys)];
	uint64_t vlan;

	entry->entry.line = node->line;
	entry->entry.column = node->column;
	if (!sl_schema_mapping(schema, node, "a sandbox", keys, COUNT(keys), values))
		return;
	if (values[0] == NULL) {
		sl_schema_error(schema, node, "a sandbox needs a vlan (1 to %d)",
		                SL_POLICY_VLAN_MAX);
	} else if (sl_schema_number(schema, values[0], "vlan", 1, SL_POLICY_VLAN_MAX, &vlan)) {
		entry->entry.vlan = (uint16_t)vlan;
		entry->vlan = values[0];
	}
	if (values[1] != NULL &&
	    sl_schema_text(schema, values[1], "name", SL_POLICY_NAME_MAX, &entry->entry.name))
		entry->name = values[1];
	if (values[2] != NULL)
		read_source(schema, values[2], &entry->entry);
	read_entry_policy(schema, values[3], entry);
}

static void read_entries(struct sl_policy_draft *draft, const struct sl_yaml_node *node)
{
	struct sl_schema *schema = &draft->schema;

	if (!sl_schema_list(schema, node, "sandboxes"))
		return;
	draft->entries = sl_docmem_alloc(schema->mem, node->n, sizeof(*draft->entries));
	if (draft->entries == NULL) {
		schema->no_memory = true;
		return;
	}
	for (const struct sl_yaml_node *item = node->first; item != NULL; item = item->next)
		read_entry(schema, item, &draft->entries[draft->n_entries++]);
}

void sl_policy_read(struct sl_policy_draft *draft, const struct sl_yaml_node *root)
{
	static const char *const keys[] = {"sandboxes", "policies"};
	const struct sl_yaml_node *values[COUNT(keys)];
	struct sl_schema *schema = &draft->schema;

	if (!sl_schema_mapping(schema, root, "a policy document", keys, COUNT(keys), values))
		return;
	if (values[0] == NULL)
		sl_schema_error(schema, root,
		                "the key sandboxes is missing; no sandboxes are written []");
	else
		read_entries(draft, values[0]);
	read_named(draft, values[1]);
}

/* ---- the document ---- */

int sl_policy_doc_read_yaml(const struct sl_yaml_doc *yaml, struct sl_diag *diag,
                            struct sl_policy_doc **out)
{
	struct sl_policy_draft draft = {.schema = {.file = yaml->file, .diag = diag}};
	struct sl_policy_doc *doc = calloc(1, sizeof(*doc));
	size_t errors = diag->errors;
	int rc;

	if (doc != NULL)
		doc->mem = draft.schema.mem = sl_docmem_create();
	if (draft.schema.mem != NULL) {
		doc->file = sl_docmem_copy(doc->mem, yaml->file, strlen(yaml->file));
		draft.schema.no_memory = doc->file == NULL;
		sl_policy_read(&draft, yaml->root);
		sl_policy_check(&draft, doc);
	}
	rc = draft.schema.mem == NULL || draft.schema.no_memory ? -ENOMEM
	     : diag->errors > errors                            ? -EINVAL
	                                                        : 0;
	if (rc == -ENOMEM)
		sl_diag_error(diag, yaml->file, 1, 1, "cannot read: %s", strerror(ENOMEM));
	if (rc < 0) {
		sl_policy_doc_free(doc);
		return rc;
	}
	*out = doc;
	return 0;
}

/*
 * Takes over the tree. errors: the count before it was read; there may be a tree although some
 * were reported since.
 */
static int read_tree(struct sl_yaml_doc *yaml, size_t errors, struct sl_diag *diag,
                     struct sl_policy_doc **out)
{
	int rc = sl_policy_doc_read_yaml(yaml, diag, out);

	sl_yaml_doc_free(yaml);
	if (rc == 0 && diag->errors > errors) {
		sl_policy_doc_free(*out);
		*out = NULL;
		rc = -EINVAL;
	}
	return rc;
}

int sl_policy_doc_read_file(const char *path, struct sl_diag *diag, struct sl_policy_doc **out)
{
	size_t errors = diag->errors;
	struct sl_yaml_doc *yaml;
	int rc = sl_yaml_read_file(path, SL_POLICY_FILE_MAX, diag, &yaml);

	*out = NULL;
	return rc < 0 ? rc : read_tree(yaml, errors, diag, out);
}

int sl_policy_doc_read_buffer(const char *name, const char *bytes, size_t len, struct sl_diag *diag,
                              struct sl_policy_doc **out)
{
	size_t errors = diag->errors;
	struct sl_yaml_doc *yaml;
	int rc = sl_yaml_read_buffer(name, bytes, len, SL_POLICY_FILE_MAX, diag, &yaml);

	*out = NULL;
	return rc < 0 ? rc : read_tree(yaml, errors, diag, out);
}

struct sl_policy_doc *sl_policy_doc_share(const struct sl_policy_doc *doc)
{
	struct sl_policy_doc *shared = (struct sl_policy_doc *)(uintptr_t)doc;

	atomic_fetch_add(&shared->shares, 1);
	return shared;
}

void sl_policy_doc_free(struct sl_policy_doc *doc)
{
	/* there are other shares left: one less now */
	if (doc == NULL || atomic_fetch_sub(&doc->shares, 1) > 0)
		return;
	sl_docmem_destroy(doc->mem);
	free(doc);
}
