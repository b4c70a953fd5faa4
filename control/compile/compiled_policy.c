/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compiled_policy.c: one sandbox's policy as workers see it, made once and never altered.
 *
 * Decides by content whether two are the same policy and the same sandbox. Lists are shared by
 * content, so equal lists are the same pointer.
 */
#include <string.h>

#include "arena.h"
#include "compile.h"

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

static const struct sl_patterns *patterns_of(const struct sl_policy_parts *parts, unsigned at)
{
	return at < parts->n_lists && parts->lists[at] != NULL ? &parts->lists[at]->patterns : NULL;
}

/* Fills in one rule for each port and protocol, in the order of the policy's entries. */
static unsigned make_rules(const struct sl_policy *policy, const struct sl_policy_parts *parts,
                           struct sl_pin_rule *rules)
{
	unsigned n = 0;

	for (size_t i = 0; i < policy->n_by_address; i++) {
		const struct sl_by_address *entry = &policy->by_address[i];

		if (n > 0 && rules[n - 1].proto == entry->proto && rules[n - 1].port == entry->port)
			continue;
		rules[n] = (struct sl_pin_rule){
		        .proto = entry->proto,
		        .port = entry->port,
		        .patterns = patterns_of(parts, SL_PARTS_RULES + n),
		};
		n++;
	}
	return n;
}

/* One piece of memory: the struct, its lists, its rules, its sources, its name. */
struct sl_compiled_policy *sl_compiled_policy_create(const struct sl_policy_entry *entry,
                                                     const struct sl_policy_parts *parts)
{
	size_t name_bytes = entry->name != NULL ? strlen(entry->name) + 1 : 0;
	size_t source_bytes = entry->n_sources * sizeof(struct sl_net);
	size_t list_bytes = parts->n_lists * sizeof(struct sl_pattern_list *);
	size_t rule_bytes = parts->n_lists * sizeof(struct sl_pin_rule);
	struct sl_compiled_policy *compiled;
	struct sl_pin_rule *rules;
	struct sl_net *sources;
	char *text;

	if (entry->n_sources > UINT16_MAX)
		return NULL;
	compiled = sl_arena_zalloc(sl_arena_shared(), sizeof(*compiled) + list_bytes + rule_bytes +
	                                                      source_bytes + name_bytes);
	if (compiled == NULL)
		return NULL;
	compiled->lists = (struct sl_pattern_list **)(compiled + 1);
	rules = (struct sl_pin_rule *)(compiled->lists + parts->n_lists);
	sources = (struct sl_net *)(rules + parts->n_lists);
	text = (char *)(sources + entry->n_sources);
	for (size_t i = 0; i < entry->n_sources; i++)
		sources[i] = net_of(&entry->sources[i]);
	if (name_bytes > 0)
		memcpy(text, entry->name, name_bytes);
	memcpy(compiled->lists, parts->lists, list_bytes);
	compiled->n_lists = parts->n_lists;
	compiled->subnets = parts->subnets;
	compiled->sandbox = (struct sl_sandbox){
	        .vlan = entry->vlan,
	        .mode = mode_of(entry->policy),
	        .subnets = parts->subnets != NULL ? &parts->subnets->subnets : NULL,
	        .patterns = patterns_of(parts, SL_PARTS_PATTERNS),
	        .queries = patterns_of(parts, SL_PARTS_QUERIES),
	        .pin_rules = rules,
	        .pin_rule_count = (uint8_t)make_rules(entry->policy, parts, rules),
	        .has_source = entry->has_source,
	        .source_count = (uint16_t)entry->n_sources,
	        .sources = sources,
	        .name = name_bytes > 0 ? text : NULL,
	};
	return compiled;
}

void sl_compiled_policy_free(struct sl_compiled_policy *compiled)
{
	sl_arena_free(sl_arena_shared(), compiled);
}

static bool same_source(const struct sl_sandbox *a, const struct sl_sandbox *b)
{
	return a->has_source == b->has_source && a->source_count == b->source_count &&
	       memcmp(a->sources, b->sources, a->source_count * sizeof(*a->sources)) == 0;
}

static bool same_rules(const struct sl_sandbox *a, const struct sl_sandbox *b)
{
	if (a->pin_rule_count != b->pin_rule_count)
		return false;
	for (unsigned i = 0; i < a->pin_rule_count; i++)
		if (a->pin_rules[i].proto != b->pin_rules[i].proto ||
		    a->pin_rules[i].port != b->pin_rules[i].port ||
		    a->pin_rules[i].patterns != b->pin_rules[i].patterns)
			return false;
	return true;
}

bool sl_compiled_policy_same_policy(const struct sl_compiled_policy *a,
                                    const struct sl_compiled_policy *b)
{
	return a->sandbox.mode == b->sandbox.mode && a->subnets == b->subnets &&
	       a->sandbox.patterns == b->sandbox.patterns && same_rules(&a->sandbox, &b->sandbox) &&
	       same_source(&a->sandbox, &b->sandbox);
}

bool sl_compiled_policy_same_name(const struct sl_compiled_policy *a,
                                  const struct sl_compiled_policy *b)
{
	const char *one = a->sandbox.name, *other = b->sandbox.name;

	return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

bool sl_compiled_policy_same_identity(const struct sl_compiled_policy *a,
                                      const struct sl_compiled_policy *b)
{
	return a->sandbox.name == NULL || b->sandbox.name == NULL ||
	       sl_compiled_policy_same_name(a, b);
}
