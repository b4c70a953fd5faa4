/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compiled_policy.c: one sandbox as workers see it, made once and never altered.
 *
 * Decides what is the same policy and the same sandbox, by content. Lists are shared by content, so
 * the same list is the same pointer.
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

/* One piece of memory: the struct, its sources, its name. */
struct sl_compiled_policy *sl_compiled_policy_create(const struct sl_policy_entry *entry,
                                                     struct sl_pattern_list *patterns,
                                                     struct sl_subnet_list *subnets)
{
	size_t name_bytes = entry->name != NULL ? strlen(entry->name) + 1 : 0;
	size_t source_bytes = entry->n_sources * sizeof(struct sl_net);
	struct sl_compiled_policy *compiled;
	struct sl_net *sources;
	char *text;

	if (entry->n_sources > UINT16_MAX)
		return NULL;
	compiled =
	        sl_arena_zalloc(sl_arena_shared(), sizeof(*compiled) + source_bytes + name_bytes);
	if (compiled == NULL)
		return NULL;
	sources = (struct sl_net *)(compiled + 1);
	text = (char *)(sources + entry->n_sources);
	for (size_t i = 0; i < entry->n_sources; i++)
		sources[i] = net_of(&entry->sources[i]);
	if (name_bytes > 0)
		memcpy(text, entry->name, name_bytes);
	compiled->patterns = patterns;
	compiled->subnets = subnets;
	compiled->sandbox = (struct sl_sandbox){
	        .vlan = entry->vlan,
	        .mode = mode_of(entry->policy),
	        .subnets = subnets != NULL ? &subnets->subnets : NULL,
	        .patterns = patterns != NULL ? &patterns->patterns : NULL,
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

bool sl_compiled_policy_same_policy(const struct sl_compiled_policy *a,
                                    const struct sl_compiled_policy *b)
{
	return a->sandbox.mode == b->sandbox.mode && a->subnets == b->subnets &&
	       a->patterns == b->patterns && same_source(&a->sandbox, &b->sandbox);
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
