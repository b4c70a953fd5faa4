/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compose.c: makes the policy document that a push asks for, out of its body and of texts that are
 * in force.
 */
#include "compose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document/docmem.h"
#include "document/schema.h"
#include "document/translate.h"

/* Nodes that are made here, and texts of the model that were read for them. */
struct parts {
	const struct sl_model *model;
	struct sl_push_call *call;
	struct sl_docmem *mem;
	struct sl_yaml_doc **docs; /* to be freed */
	size_t n, room;
	bool no_memory;
};

static struct sl_yaml_node *node_of(struct parts *parts, enum sl_yaml_kind kind)
{
	struct sl_yaml_node *node = sl_docmem_alloc(parts->mem, 1, sizeof(*node));

	if (node == NULL)
		parts->no_memory = true;
	else
		node->kind = kind;
	return node;
}

static struct sl_yaml_node *text_of(struct parts *parts, const char *text, bool plain)
{
	struct sl_yaml_node *node = node_of(parts, SL_YAML_SCALAR);

	if (node == NULL)
		return NULL;
	node->text = sl_docmem_copy(parts->mem, text, strlen(text));
	node->n = (uint32_t)strlen(text);
	node->plain = plain;
	parts->no_memory |= node->text == NULL;
	return node;
}

static struct sl_yaml_node *copy_of(struct parts *parts, const struct sl_yaml_node *other)
{
	struct sl_yaml_node *node = node_of(parts, other->kind);

	if (node != NULL) {
		*node = *other;
		node->next = NULL;
	}
	return node;
}

/* A mapping or a list that can be added to. */
struct builder {
	struct sl_yaml_node *node;
	const struct sl_yaml_node **tail;
};

static void begin(struct parts *parts, struct builder *builder, enum sl_yaml_kind kind)
{
	builder->node = node_of(parts, kind);
	builder->tail = builder->node != NULL ? &builder->node->first : NULL;
}

static void link_node(struct builder *builder, struct sl_yaml_node *node)
{
	if (builder->tail == NULL || node == NULL)
		return;
	*builder->tail = node;
	builder->tail = &node->next;
}

static void add_item(struct builder *builder, struct sl_yaml_node *node)
{
	link_node(builder, node);
	if (builder->node != NULL)
		builder->node->n++;
}

static void add_pair(struct builder *builder, struct sl_yaml_node *key, struct sl_yaml_node *value)
{
	link_node(builder, key);
	add_item(builder, value);
}

/* A text of the model, read. */
static const struct sl_yaml_node *read_part(struct parts *parts, const char *name, const char *text)
{
	struct sl_yaml_doc *doc = NULL;

	if (parts->n == parts->room) {
		size_t room = 2 * parts->room + 8;
		struct sl_yaml_doc **docs = realloc(parts->docs, room * sizeof(*docs));

		if (docs == NULL) {
			parts->no_memory = true;
			return NULL;
		}
		parts->docs = docs;
		parts->room = room;
	}
	if (sl_yaml_read_buffer(name, text, strlen(text), SL_POLICY_FILE_MAX, &parts->call->diag,
	                        &doc) != 0)
		return NULL;
	parts->docs[parts->n++] = doc;
	return doc->root;
}

/* The value of a key of a mapping, or NULL. */
static const struct sl_yaml_node *value_of(const struct sl_yaml_node *mapping, const char *name)
{
	if (mapping->kind != SL_YAML_MAPPING)
		return NULL;
	for (const struct sl_yaml_node *key = mapping->first; key != NULL; key = key->next->next)
		if (key->kind == SL_YAML_SCALAR && strcmp(key->text, name) == 0)
			return key->next;
	return NULL;
}

static struct sl_schema schema_of(struct parts *parts)
{
	return (struct sl_schema){
	        .file = parts->call->body->file, .diag = &parts->call->diag, .mem = parts->mem};
}

/* A policy value, also in one of Vercel's earlier shapes. */
static struct sl_yaml_node *policy_of(struct parts *parts, const struct sl_yaml_node *value)
{
	struct sl_schema schema = schema_of(parts);
	const struct sl_yaml_node *translated = sl_translate_vercel(&schema, value);

	parts->no_memory |= schema.no_memory;
	return copy_of(parts, translated != NULL ? translated : value);
}

/* A copy of a mapping, in which the values of these keys (NULL: of all) are policies. */
static struct sl_yaml_node *copy_mapping(struct parts *parts, const struct sl_yaml_node *mapping,
                                         const char *policies)
{
	struct builder copy;

	if (mapping->kind != SL_YAML_MAPPING)
		return copy_of(parts, mapping);
	begin(parts, &copy, SL_YAML_MAPPING);
	if (copy.node == NULL)
		return NULL;
	copy.node->line = mapping->line;
	copy.node->column = mapping->column;
	for (const struct sl_yaml_node *key = mapping->first; key != NULL; key = key->next->next) {
		bool policy = policies == NULL ||
		              (key->kind == SL_YAML_SCALAR && strcmp(key->text, policies) == 0);

		add_pair(&copy, copy_of(parts, key),
		         policy ? policy_of(parts, key->next) : copy_of(parts, key->next));
	}
	return copy.node;
}

/* Adds the policy that an entry names, unless it is there. */
static void add_named(struct parts *parts, struct builder *policies,
                      const struct sl_yaml_node *entry)
{
	const struct sl_yaml_node *policy = value_of(entry, "policy"), *value;
	const char *text;

	if (policy == NULL || policy->kind != SL_YAML_SCALAR ||
	    (policies->node != NULL && value_of(policies->node, policy->text) != NULL))
		return;
	text = sl_pushes_policy(parts->call->pushes, policy->text);
	value = text != NULL ? read_part(parts, policy->text, text) : NULL;
	if (value != NULL)
		add_pair(policies, text_of(parts, policy->text, false), copy_of(parts, value));
}

/* An entry of the body, with its VLAN and name where the ID says them. */
static struct sl_yaml_node *entry_of(struct parts *parts, const struct sl_yaml_node *body,
                                     uint16_t vlan)
{
	bool named = strspn(parts->call->id, "0123456789") != strlen(parts->call->id);
	struct builder entry;
	char number[8];

	if (body->kind != SL_YAML_MAPPING)
		return copy_of(parts, body);
	begin(parts, &entry, SL_YAML_MAPPING);
	if (entry.node == NULL)
		return NULL;
	entry.node->line = body->line;
	entry.node->column = body->column;
	snprintf(number, sizeof(number), "%u", vlan);
	if (vlan != 0 && value_of(body, "vlan") == NULL)
		add_pair(&entry, text_of(parts, "vlan", true), text_of(parts, number, true));
	if (named && value_of(body, "name") == NULL)
		add_pair(&entry, text_of(parts, "name", true),
		         text_of(parts, parts->call->id, false));
	for (const struct sl_yaml_node *key = body->first; key != NULL; key = key->next->next)
		add_pair(&entry, copy_of(parts, key),
		         key->kind == SL_YAML_SCALAR && strcmp(key->text, "policy") == 0
		                 ? policy_of(parts, key->next)
		                 : copy_of(parts, key->next));
	return entry.node;
}

/* An entry that is in force, with another policy. */
static struct sl_yaml_node *entry_with(struct parts *parts, uint16_t vlan,
                                       const struct sl_yaml_node *policy)
{
	const struct sl_yaml_node *old = read_part(parts, "state", parts->model->entry[vlan]);
	struct builder entry;

	begin(parts, &entry, SL_YAML_MAPPING);
	if (old == NULL || entry.node == NULL)
		return NULL;
	for (const struct sl_yaml_node *key = old->first; key != NULL; key = key->next->next)
		if (strcmp(key->text, "policy") != 0)
			add_pair(&entry, copy_of(parts, key), copy_of(parts, key->next));
	add_pair(&entry, text_of(parts, "policy", true), policy_of(parts, policy));
	return entry.node;
}

/* ---- documents ---- */

/* Reads what was built, as a document of these sandboxes and policies. */
static int read_built(struct parts *parts, const struct builder *sandboxes,
                      const struct builder *policies)
{
	struct sl_push_call *call = parts->call;
	struct sl_yaml_doc yaml = {.file = call->body != NULL ? call->body->file : "body"};
	struct builder root;

	begin(parts, &root, SL_YAML_MAPPING);
	add_pair(&root, text_of(parts, "sandboxes", true), sandboxes->node);
	if (policies->node != NULL && policies->node->n > 0)
		add_pair(&root, text_of(parts, "policies", true), policies->node);
	if (parts->no_memory)
		return -ENOMEM;
	yaml.root = root.node;
	return sl_policy_doc_read_yaml(&yaml, &call->diag, &call->doc);
}

/* A whole document, in which each policy may be of any shape. */
static int compose_document(struct parts *parts)
{
	struct sl_push_call *call = parts->call;
	struct sl_yaml_doc yaml = {.file = call->body->file};
	const struct sl_yaml_node *body = call->body->root, *key;
	struct builder root, list;

	if (body->kind != SL_YAML_MAPPING)
		return sl_policy_doc_read_yaml(call->body, &call->diag, &call->doc);
	begin(parts, &root, SL_YAML_MAPPING);
	for (key = body->first; key != NULL && root.node != NULL; key = key->next->next) {
		bool known = key->kind == SL_YAML_SCALAR;
		struct sl_yaml_node *value = copy_of(parts, key->next);

		if (known && strcmp(key->text, "policies") == 0) {
			value = copy_mapping(parts, key->next, NULL);
		} else if (known && strcmp(key->text, "sandboxes") == 0 &&
		           key->next->kind == SL_YAML_LIST) {
			begin(parts, &list, SL_YAML_LIST);
			for (const struct sl_yaml_node *item = key->next->first; item != NULL;
			     item = item->next)
				add_item(&list, copy_mapping(parts, item, "policy"));
			value = list.node;
		}
		add_pair(&root, copy_of(parts, key), value);
	}
	if (parts->no_memory)
		return -ENOMEM;
	root.node->line = body->line;
	root.node->column = body->column;
	yaml.root = root.node;
	return sl_policy_doc_read_yaml(&yaml, &call->diag, &call->doc);
}

static int compose_sandbox(struct parts *parts, struct builder *sandboxes, struct builder *policies)
{
	struct sl_push_call *call = parts->call;
	uint16_t vlan = sl_model_vlan(parts->model, call->id);
	bool policy = call->op != SL_PUSH_SANDBOX;
	const struct sl_yaml_node *value = call->body->root;
	struct sl_schema schema = schema_of(parts);
	struct sl_yaml_node *entry;
	int ret;

	if (policy && (vlan == 0 || parts->model->entry[vlan] == NULL))
		return -ENOENT;
	if (call->op == SL_PUSH_SANDBOX_NETWORK)
		value = sl_translate_e2b(&schema, value);
	if (value == NULL || call->diag.errors > 0)
		return schema.no_memory ? -ENOMEM : -EINVAL;
	entry = policy ? entry_with(parts, vlan, value) : entry_of(parts, call->body->root, vlan);
	if (entry == NULL)
		return -ENOMEM;
	add_named(parts, policies, entry);
	add_item(sandboxes, entry);
	ret = read_built(parts, sandboxes, policies);
	if (ret == 0 && vlan != 0 && call->doc->entries[0].vlan != vlan) {
		const struct sl_yaml_node *given = value_of(call->body->root, "vlan");

		sl_diag_error(&call->diag, call->body->file, given->line, given->column,
		              "vlan %s is another sandbox's than %s", given->text, call->id);
		ret = -EINVAL;
	}
	return ret;
}

static void remove_vlan(struct sl_push_call *call, uint16_t vlan)
{
	call->gone[call->patch.n_gone++] = vlan;
}

/* The IDs of "remove". */
static void read_removed(struct parts *parts, struct sl_schema *schema,
                         const struct sl_yaml_node *list, bool seen[SL_POLICY_VLAN_MAX + 1])
{
	if (!sl_schema_list(schema, list, "remove"))
		return;
	for (const struct sl_yaml_node *item = list->first; item != NULL; item = item->next) {
		uint16_t vlan =
		        item->kind == SL_YAML_SCALAR ? sl_model_vlan(parts->model, item->text) : 0;

		if (vlan == 0)
			sl_schema_error(schema, item, "remove: there is no such sandbox");
		else if (!seen[vlan])
			remove_vlan(parts->call, vlan);
		seen[vlan] = true;
	}
}

static int compose_patch(struct parts *parts, struct builder *sandboxes, struct builder *policies)
{
	static const char *const keys[] = {"set", "remove"};
	struct sl_push_call *call = parts->call;
	struct sl_schema schema = {
	        .file = call->body->file, .diag = &call->diag, .mem = parts->mem};
	const struct sl_yaml_node *values[2];
	bool seen[SL_POLICY_VLAN_MAX + 1] = {false};
	int ret;

	if (!sl_schema_mapping(&schema, call->body->root, "the body", keys, 2, values))
		return -EINVAL;
	if (values[1] != NULL)
		read_removed(parts, &schema, values[1], seen);
	if (values[0] != NULL && sl_schema_list(&schema, values[0], "set"))
		for (const struct sl_yaml_node *item = values[0]->first; item != NULL;
		     item = item->next) {
			add_named(parts, policies, item);
			add_item(sandboxes, copy_mapping(parts, item, "policy"));
		}
	ret = read_built(parts, sandboxes, policies);
	for (size_t i = 0; ret == 0 && i < call->doc->n_entries; i++) {
		const struct sl_policy_entry *entry = &call->doc->entries[i];

		if (!seen[entry->vlan])
			continue;
		sl_diag_error(&call->diag, call->body->file, entry->line, entry->column,
		              "vlan %u is in set and in remove", entry->vlan);
		ret = -EINVAL;
	}
	return call->diag.errors > 0 ? -EINVAL : ret;
}

/* The entry of this text if it names the policy that the push is about; or NULL. */
static const struct sl_yaml_node *user_of(struct parts *parts, const char *text)
{
	const char *name = parts->call->id;
	const struct sl_yaml_node *entry, *policy;

	if (text == NULL || strstr(text, name) == NULL)
		return NULL;
	entry = read_part(parts, "state", text);
	policy = entry != NULL ? value_of(entry, "policy") : NULL;
	if (policy == NULL || policy->kind != SL_YAML_SCALAR || strcmp(policy->text, name) != 0)
		return NULL;
	return entry;
}

static void add_users(struct parts *parts, struct builder *sandboxes)
{
	for (uint16_t vlan = 1; vlan <= SL_POLICY_VLAN_MAX; vlan++) {
		const struct sl_yaml_node *entry =
		        user_of(parts, sl_pushes_entry(parts->call->pushes, vlan));

		if (entry != NULL)
			add_item(sandboxes, copy_of(parts, entry));
	}
}

/* Writes the VLANs of the sandboxes that use the policy, or will if what waits is taken. */
static bool tell_users(struct parts *parts, char *detail, size_t size)
{
	bool used = false;
	size_t at = 0;

	for (uint16_t vlan = 1; vlan <= SL_POLICY_VLAN_MAX; vlan++) {
		if (user_of(parts, parts->model->entry[vlan]) == NULL &&
		    user_of(parts, sl_pushes_entry(parts->call->pushes, vlan)) == NULL)
			continue;
		if (at < size)
			at += (size_t)snprintf(detail + at, size - at, "%s%u",
			                       used ? ", " : "vlan ", vlan);
		used = true;
	}
	return used;
}

static int compose_policy(struct parts *parts, struct builder *sandboxes, struct builder *policies)
{
	struct sl_push_call *call = parts->call;

	if (call->op == SL_PUSH_POLICY_REMOVE) {
		if (sl_pushes_policy(call->pushes, call->id) == NULL)
			return -ENOENT;
		if (tell_users(parts, call->detail, sizeof(call->detail)))
			return -EBUSY;
		return read_built(parts, sandboxes, policies);
	}
	add_pair(policies, text_of(parts, call->id, false), policy_of(parts, call->body->root));
	add_users(parts, sandboxes);
	return read_built(parts, sandboxes, policies);
}

static int compose(struct parts *parts)
{
	struct sl_push_call *call = parts->call;
	struct builder sandboxes, policies;
	uint16_t vlan;

	begin(parts, &sandboxes, SL_YAML_LIST);
	begin(parts, &policies, SL_YAML_MAPPING);
	switch (call->op) {
	case SL_PUSH_DOCUMENT:
		return compose_document(parts);
	case SL_PUSH_SANDBOX:
	case SL_PUSH_SANDBOX_POLICY:
	case SL_PUSH_SANDBOX_NETWORK:
		return compose_sandbox(parts, &sandboxes, &policies);
	case SL_PUSH_SANDBOX_REMOVE:
		vlan = sl_model_vlan(parts->model, call->id);
		if (vlan != 0)
			remove_vlan(call, vlan);
		return read_built(parts, &sandboxes, &policies);
	case SL_PUSH_PATCH:
		return compose_patch(parts, &sandboxes, &policies);
	case SL_PUSH_POLICY:
	case SL_PUSH_POLICY_REMOVE:
		return compose_policy(parts, &sandboxes, &policies);
	}
	return -EINVAL;
}

int sl_compose(const struct sl_model *model, struct sl_push_call *call)
{
	struct parts parts = {.model = model, .call = call, .mem = sl_docmem_create()};
	int ret = parts.mem != NULL ? compose(&parts) : -ENOMEM;

	call->patch.doc = call->doc;
	call->patch.gone = call->gone;
	for (size_t i = 0; i < parts.n; i++)
		sl_yaml_doc_free(parts.docs[i]);
	free(parts.docs);
	sl_docmem_destroy(parts.mem);
	return ret;
}

/* ---- places ---- */

/* Appends one step to a pointer (RFC 6901 3: ~ and / are escaped). */
static size_t add_step(char *out, size_t at, size_t size, const char *step)
{
	if (at + 2 < size)
		out[at++] = '/';
	for (; *step != '\0' && at + 3 < size; step++) {
		if (*step == '~' || *step == '/') {
			out[at++] = '~';
			out[at++] = *step == '~' ? '0' : '1';
		} else {
			out[at++] = *step;
		}
	}
	out[at] = '\0';
	return at;
}

/* True if the place is this node's, or one's below it; out then has its pointer from `at` on. */
static bool find(const struct sl_yaml_node *node, uint32_t line, uint32_t column, char *out,
                 size_t at, size_t size)
{
	bool mapping = node->kind == SL_YAML_MAPPING;
	unsigned i = 0;
	char number[16];

	if (mapping || node->kind == SL_YAML_LIST)
		for (const struct sl_yaml_node *item = node->first; item != NULL;
		     item = item->next, i++) {
			const struct sl_yaml_node *value = mapping ? item->next : item;
			size_t end;

			snprintf(number, sizeof(number), "%u", i);
			end = add_step(out, at, size,
			               !mapping                       ? number
			               : item->kind == SL_YAML_SCALAR ? item->text
			                                              : "");
			if (find(value, line, column, out, end, size) ||
			    (mapping && item->line == line && item->column == column))
				return true;
			item = value;
		}
	out[at] = '\0';
	return node->line == line && node->column == column;
}

void sl_compose_pointer(const struct sl_yaml_doc *body, uint32_t line, uint32_t column, char *out,
                        size_t size)
{
	out[0] = '\0';
	if (body != NULL && body->root != NULL && !find(body->root, line, column, out, 0, size))
		out[0] = '\0';
}
