/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile_subnet.c: which prefixes of the union each policy allows and denies, each distinct
 * set of them once.
 *
 * A list holds only the classes of its own prefixes. Which prefix encloses which is stored once,
 * in the classes (union.c), so a prefix that is new to the union changes no other policy's list. It
 * must never free a list that a worker may be reading.
 */
#include "compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "document/diag.h"
#include "union.h"

#define BUCKETS 4096

struct sl_subnet_pool {
	struct sl_union *all;
	/* Their last reference was dropped; they may have got a new one. */
	struct sl_subnet_list *idle;
	struct sl_subnet_list *buckets[BUCKETS];
};

static struct sl_net to_net(const struct sl_prefix *prefix)
{
	struct sl_net net = {.family = prefix->family, .len = prefix->len};

	memcpy(net.bytes, prefix->addr, sizeof(net.bytes));
	return net;
}

struct rule {
	struct sl_net net;
	enum sl_subnet subnet;
	uint32_t class;
};

/* Merges both lists, in the order of prefixes; a prefix that is in both is denied. */
static uint32_t merge_rules(struct rule *rules, const struct sl_policy *policy)
{
	size_t a = 0, d = 0;
	uint32_t n = 0;

	while (a < policy->n_allow || d < policy->n_deny) {
		int order = a == policy->n_allow ? 1
		            : d == policy->n_deny
		                    ? -1
		                    : sl_prefix_compare(&policy->allow[a], &policy->deny[d]);

		if (order < 0) {
			rules[n].net = to_net(&policy->allow[a]);
			rules[n++].subnet = SL_SUBNET_ALLOW;
		} else {
			rules[n].net = to_net(&policy->deny[d]);
			rules[n++].subnet = SL_SUBNET_DENY;
		}
		a += order <= 0;
		d += order >= 0;
	}
	return n;
}

static uint64_t hash_rules(const struct rule *rules, uint32_t n)
{
	uint64_t hash = n;

	for (uint32_t i = 0; i < n; i++) {
		hash = (hash ^ (rules[i].class << 2 | rules[i].subnet)) * 0xff51afd7ed558ccdu;
		hash ^= hash >> 29;
	}
	return hash;
}

static bool same_rules(const struct sl_subnet_list *list, const struct rule *rules, uint32_t n)
{
	if (list->count != n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (list->rules[i] != (rules[i].class << 2 | rules[i].subnet))
			return false;
	return true;
}

static struct sl_subnet_list *find_list(const struct sl_subnet_pool *pool, uint64_t hash,
                                        const struct rule *rules, uint32_t n)
{
	struct sl_subnet_list *list = pool->buckets[hash % BUCKETS];

	while (list != NULL && !(list->hash == hash && same_rules(list, rules, n)))
		list = list->next;
	return list;
}

static void fill_slots(struct sl_subnets *subnets, const uint32_t *rules, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = sl_subnets_hash(rules[i] >> 2);

		while (subnets->slots[at & subnets->mask] != 0)
			at++;
		subnets->slots[at & subnets->mask] = rules[i];
	}
}

static struct sl_subnet_list *new_list(struct sl_subnet_pool *pool, uint64_t hash,
                                       const struct rule *rules, uint32_t n)
{
	struct sl_subnet_list *list;
	uint32_t slots = 4;

	while (slots < 2 * n)
		slots *= 2;
	list = sl_arena_zalloc(sl_arena_shared(),
	                       sizeof(*list) + ((size_t)n + slots) * sizeof(list->rules[0]));
	if (list == NULL)
		return NULL;
	list->subnets =
	        (struct sl_subnets){.mask = slots - 1, .count = n, .slots = list->rules + n};
	list->hash = hash;
	list->count = n;
	for (uint32_t i = 0; i < n; i++) {
		list->rules[i] = rules[i].class << 2 | rules[i].subnet;
	}
	fill_slots(&list->subnets, list->rules, n);
	list->next = pool->buckets[hash % BUCKETS];
	pool->buckets[hash % BUCKETS] = list;
	return list;
}

static void unlink_list(struct sl_subnet_pool *pool, struct sl_subnet_list *list)
{
	struct sl_subnet_list **link = &pool->buckets[list->hash % BUCKETS];

	while (*link != list)
		link = &(*link)->next;
	*link = list->next;
}

struct sl_subnet_pool *sl_compile_subnet_create(struct sl_union *all)
{
	struct sl_subnet_pool *pool = sl_arena_zalloc(sl_arena_shared(), sizeof(*pool));

	if (pool != NULL)
		pool->all = all;
	return pool;
}

void sl_compile_subnet_destroy(struct sl_subnet_pool *pool)
{
	sl_arena_free(sl_arena_shared(), pool);
}

/* A list that has references holds a reference to each of its classes. */
void sl_compile_subnet_hold(struct sl_subnet_pool *pool, struct sl_subnet_list *list)
{
	if (list->refs++ > 0)
		return;
	for (uint32_t i = 0; i < list->count; i++)
		sl_union_hold(pool->all, list->rules[i] >> 2);
}

void sl_compile_subnet_put(struct sl_subnet_pool *pool, struct sl_subnet_list *list)
{
	if (list == NULL || --list->refs > 0)
		return;
	for (uint32_t i = 0; i < list->count; i++)
		sl_union_drop(pool->all, list->rules[i] >> 2);
	if (!list->idle) {
		list->idle = true;
		list->idle_next = pool->idle;
		pool->idle = list;
	}
}

void sl_compile_subnet_reclaim(struct sl_subnet_pool *pool)
{
	for (struct sl_subnet_list *list = pool->idle, *next; list != NULL; list = next) {
		next = list->idle_next;
		list->idle = false;
		if (list->refs > 0)
			continue;
		unlink_list(pool, list);
		sl_arena_free(sl_arena_shared(), list);
	}
	pool->idle = NULL;
}

/* Finds the class of each rule, or makes one; *known says whether all were there. */
static int resolve_rules(struct sl_subnet_pool *pool, struct rule *rules, uint32_t n, bool *known)
{
	*known = true;
	for (uint32_t i = 0; i < n; i++) {
		rules[i].class = sl_union_find(pool->all, &rules[i].net);
		if (rules[i].class != SL_CLASS_NONE)
			continue;
		*known = false;
		rules[i].class = sl_union_make(pool->all, &rules[i].net);
		if (rules[i].class == SL_CLASS_NONE)
			return -ENOSPC;
	}
	return 0;
}

int sl_compile_subnet_get(struct sl_subnet_pool *pool, const struct sl_policy *policy,
                          const char *file, struct sl_diag *diag, struct sl_subnet_list **out)
{
	struct rule *rules = malloc((policy->n_allow + policy->n_deny + 1) * sizeof(*rules));
	struct sl_subnet_list *list = NULL;
	uint64_t hash;
	uint32_t n;
	bool known;
	int ret;

	if (rules == NULL)
		return -ENOMEM;
	n = merge_rules(rules, policy);
	ret = resolve_rules(pool, rules, n, &known);
	if (ret == 0) {
		hash = hash_rules(rules, n);
		list = known ? find_list(pool, hash, rules, n) : NULL;
		if (list == NULL)
			list = new_list(pool, hash, rules, n);
		ret = list == NULL ? -ENOMEM : 0;
	}
	free(rules);
	if (ret == -ENOSPC)
		sl_diag_error(diag, file, policy->line, policy->column,
		              "far more prefixes than the address tables hold (tables.prefixes)");
	if (ret != 0)
		return ret;
	sl_compile_subnet_hold(pool, list);
	*out = list;
	return 0;
}
