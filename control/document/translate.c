/* SPDX-License-Identifier: Apache-2.0 */
/*
 * translate.c: values of this gateway's format made of other products'. A translation must never
 * allow more than what was written meant there; where it would, the body is refused.
 */
#include "translate.h"

#include <string.h>

#include "docmem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- nodes ---- */

static struct sl_yaml_node *make(struct sl_schema *schema, enum sl_yaml_kind kind, const char *text)
{
	struct sl_yaml_node *node = sl_docmem_alloc(schema->mem, 1, sizeof(*node));

	if (node == NULL) {
		schema->no_memory = true;
		return NULL;
	}
	node->kind = kind;
	node->plain = true;
	node->text = text;
	node->n = text != NULL ? (uint32_t)strlen(text) : 0;
	return node;
}

/* Adds a copy of an item, with its place, to the end of a list or mapping. */
static void add(struct sl_schema *schema, struct sl_yaml_node *list,
                const struct sl_yaml_node *item)
{
	struct sl_yaml_node *copy = make(schema, item->kind, NULL);
	const struct sl_yaml_node **tail = &list->first;

	if (copy == NULL)
		return;
	*copy = *item;
	copy->next = NULL;
	while (*tail != NULL)
		tail = (const struct sl_yaml_node **)&((struct sl_yaml_node *)*tail)->next;
	*tail = copy;
}

/* Sets a key of a mapping to a list, unless that is empty. */
static void set(struct sl_schema *schema, struct sl_yaml_node *mapping, const char *key,
                const struct sl_yaml_node *value)
{
	struct sl_yaml_node *name = make(schema, SL_YAML_SCALAR, key);

	if (name == NULL || value == NULL || value->n == 0)
		return;
	add(schema, mapping, name);
	add(schema, mapping, value);
	mapping->n++;
}

static struct sl_yaml_node *policy_of(struct sl_schema *schema, const struct sl_yaml_node *names,
                                      const struct sl_yaml_node *allow,
                                      const struct sl_yaml_node *deny)
{
	struct sl_yaml_node *policy = make(schema, SL_YAML_MAPPING, NULL);
	struct sl_yaml_node *subnets = make(schema, SL_YAML_MAPPING, NULL);

	if (policy == NULL || subnets == NULL)
		return NULL;
	set(schema, subnets, "allow", allow);
	set(schema, subnets, "deny", deny);
	set(schema, policy, "allow", names);
	set(schema, policy, "subnets", subnets);
	return policy;
}

/* True if any of the keys stands in the mapping. */
static bool has_key(const struct sl_yaml_node *mapping, const char *const *keys, size_t n)
{
	for (const struct sl_yaml_node *key = mapping->first; key != NULL; key = key->next->next)
		for (size_t i = 0; i < n; i++)
			if (key->kind == SL_YAML_SCALAR && strcmp(key->text, keys[i]) == 0)
				return true;
	return false;
}

/* ---- Vercel ---- */

const struct sl_yaml_node *sl_translate_vercel(struct sl_schema *schema,
                                               const struct sl_yaml_node *value)
{
	static const char *const keys[] = {"mode", "allowedDomains", "allowedCIDRs", "deniedCIDRs"};
	static const char *const modes[] = {"allow-all", "deny-all", "custom"};
	const struct sl_yaml_node *values[COUNT(keys)];
	unsigned mode = 2;

	if (value->kind != SL_YAML_MAPPING || !has_key(value, keys, COUNT(keys)) ||
	    !sl_schema_mapping(schema, value, "policy", keys, COUNT(keys), values))
		return NULL;
	for (size_t i = 1; i < COUNT(keys); i++)
		if (values[i] != NULL && !sl_schema_list(schema, values[i], keys[i]))
			return NULL;
	if (values[0] != NULL &&
	    !sl_schema_word(schema, values[0], "mode", modes, COUNT(modes), &mode))
		return NULL;
	if (mode != 2)
		return make(schema, SL_YAML_SCALAR, modes[mode]);
	return policy_of(schema, values[1], values[2], values[3]);
}

/* ---- E2B ---- */

static bool is_everything(const struct sl_prefix *prefix)
{
	return prefix->len == 0;
}

static bool read_prefix(const struct sl_yaml_node *item, struct sl_prefix *prefix)
{
	char why[160];

	return item->kind == SL_YAML_SCALAR &&
	       sl_prefix_parse(item->text, item->n, prefix, why, sizeof(why)) == 0;
}

static bool contains(const struct sl_prefix *outer, const struct sl_prefix *inner)
{
	if (outer->family != inner->family || outer->len > inner->len)
		return false;
	for (unsigned bit = 0; bit < outer->len; bit++)
		if (((outer->addr[bit / 8] ^ inner->addr[bit / 8]) >> (7 - bit % 8)) & 1)
			return false;
	return true;
}

/* Reports allowed addresses that a deny covers: they pass there, and would not here. */
static void check_overlap(struct sl_schema *schema, const struct sl_yaml_node *item,
                          const struct sl_prefix *allowed, const struct sl_yaml_node *deny)
{
	struct sl_prefix denied;

	for (const struct sl_yaml_node *other = deny != NULL ? deny->first : NULL; other != NULL;
	     other = other->next)
		if (read_prefix(other, &denied) && !is_everything(&denied) &&
		    contains(&denied, allowed))
			sl_schema_error(schema, item,
			                "allowOut: %s lies in %s of denyOut: there the allow wins, "
			                "here the deny does",
			                item->text, other->text);
}

/* Sorts allowOut into names and addresses. */
static void read_allow(struct sl_schema *schema, const struct sl_yaml_node *allow,
                       const struct sl_yaml_node *deny, struct sl_yaml_node *names,
                       struct sl_yaml_node *addresses)
{
	struct sl_prefix prefix;

	for (const struct sl_yaml_node *item = allow != NULL ? allow->first : NULL; item != NULL;
	     item = item->next) {
		bool address = read_prefix(item, &prefix);

		if (address)
			check_overlap(schema, item, &prefix, deny);
		add(schema, address ? addresses : names, item);
		(address ? addresses : names)->n++;
	}
}

/* Takes what is not everything to `some`. True if there was everything. */
static bool read_deny(struct sl_schema *schema, const struct sl_yaml_node *deny,
                      struct sl_yaml_node *some)
{
	struct sl_prefix prefix;
	bool all = false;

	for (const struct sl_yaml_node *item = deny != NULL ? deny->first : NULL; item != NULL;
	     item = item->next) {
		if (read_prefix(item, &prefix) && is_everything(&prefix)) {
			all = true;
			continue;
		}
		add(schema, some, item);
		some->n++;
	}
	return all;
}

const struct sl_yaml_node *sl_translate_e2b(struct sl_schema *schema,
                                            const struct sl_yaml_node *body)
{
	static const char *const keys[] = {"allowOut", "denyOut", "allowInternetAccess"};
	struct sl_yaml_node *names = make(schema, SL_YAML_LIST, NULL);
	struct sl_yaml_node *addresses = make(schema, SL_YAML_LIST, NULL);
	struct sl_yaml_node *denied = make(schema, SL_YAML_LIST, NULL);
	const struct sl_yaml_node *values[COUNT(keys)];
	bool access = true, closed;

	if (schema->no_memory ||
	    !sl_schema_mapping(schema, body, "the body", keys, COUNT(keys), values) ||
	    (values[0] != NULL && !sl_schema_list(schema, values[0], keys[0])) ||
	    (values[1] != NULL && !sl_schema_list(schema, values[1], keys[1])) ||
	    (values[2] != NULL && !sl_schema_bool(schema, values[2], keys[2], &access)))
		return NULL;
	read_allow(schema, values[0], values[1], names, addresses);
	closed = read_deny(schema, values[1], denied) || !access;
	if (closed)
		return policy_of(schema, names, addresses, denied);
	if (denied->n == 0)
		return make(schema, SL_YAML_SCALAR, "allow-all");
	/* Everything but some addresses: every name, which is as near as it gets without more. */
	names->first = NULL;
	names->n = 1;
	add(schema, names, make(schema, SL_YAML_SCALAR, "*"));
	return policy_of(schema, names, addresses, denied);
}
