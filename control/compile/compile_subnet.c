/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile_subnet.c: which prefixes of the union each policy allows and denies, each distinct
 * set of them once.
 *
 * A row names only the classes of its own prefixes. What encloses what stands in the classes
 * (union.c), so a prefix that is new to the union costs nothing in any other policy's row. It must
 * never free a row that a worker may be reading.
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
	struct sl_subnet_row *idle; /* lost their last reference, and may have got one again */
	struct sl_subnet_row *buckets[BUCKETS];
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

/* One list from two, in the order of prefixes; what stands in both is denied. */
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

static bool same_rules(const struct sl_subnet_row *row, const struct rule *rules, uint32_t n)
{
	if (row->count != n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (row->rules[i] != (rules[i].class << 2 | rules[i].subnet))
			return false;
	return true;
}

static struct sl_subnet_row *find_row(const struct sl_subnet_pool *pool, uint64_t hash,
                                      const struct rule *rules, uint32_t n)
{
	struct sl_subnet_row *row = pool->buckets[hash % BUCKETS];

	while (row != NULL && !(row->hash == hash && same_rules(row, rules, n)))
		row = row->next;
	return row;
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

static struct sl_subnet_row *new_row(struct sl_subnet_pool *pool, uint64_t hash,
                                     const struct rule *rules, uint32_t n)
{
	struct sl_subnet_row *row;
	uint32_t slots = 4;

	while (slots < 2 * n)
		slots *= 2;
	row = sl_arena_zalloc(sl_arena_shared(),
	                      sizeof(*row) + ((size_t)n + slots) * sizeof(row->rules[0]));
	if (row == NULL)
		return NULL;
	row->subnets = (struct sl_subnets){.mask = slots - 1, .count = n, .slots = row->rules + n};
	row->hash = hash;
	row->count = n;
	for (uint32_t i = 0; i < n; i++) {
		row->rules[i] = rules[i].class << 2 | rules[i].subnet;
	}
	fill_slots(&row->subnets, row->rules, n);
	row->next = pool->buckets[hash % BUCKETS];
	pool->buckets[hash % BUCKETS] = row;
	return row;
}

static void unlink_row(struct sl_subnet_pool *pool, struct sl_subnet_row *row)
{
	struct sl_subnet_row **link = &pool->buckets[row->hash % BUCKETS];

	while (*link != row)
		link = &(*link)->next;
	*link = row->next;
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

/* A row with references holds its classes. */
void sl_compile_subnet_hold(struct sl_subnet_pool *pool, struct sl_subnet_row *row)
{
	if (row->refs++ > 0)
		return;
	for (uint32_t i = 0; i < row->count; i++)
		sl_union_hold(pool->all, row->rules[i] >> 2);
}

void sl_compile_subnet_put(struct sl_subnet_pool *pool, struct sl_subnet_row *row)
{
	if (row == NULL || --row->refs > 0)
		return;
	for (uint32_t i = 0; i < row->count; i++)
		sl_union_drop(pool->all, row->rules[i] >> 2);
	if (!row->idle) {
		row->idle = true;
		row->idle_next = pool->idle;
		pool->idle = row;
	}
}

void sl_compile_subnet_reclaim(struct sl_subnet_pool *pool)
{
	for (struct sl_subnet_row *row = pool->idle, *next; row != NULL; row = next) {
		next = row->idle_next;
		row->idle = false;
		if (row->refs > 0)
			continue;
		unlink_row(pool, row);
		sl_arena_free(sl_arena_shared(), row);
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
                          const char *file, struct sl_diag *diag, struct sl_subnet_row **out)
{
	struct rule *rules = malloc((policy->n_allow + policy->n_deny + 1) * sizeof(*rules));
	struct sl_subnet_row *row = NULL;
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
		row = known ? find_row(pool, hash, rules, n) : NULL;
		if (row == NULL)
			row = new_row(pool, hash, rules, n);
		ret = row == NULL ? -ENOMEM : 0;
	}
	free(rules);
	if (ret == -ENOSPC)
		sl_diag_error(diag, file, policy->line, policy->column,
		              "far more prefixes than the address tables hold (tables.prefixes)");
	if (ret != 0)
		return ret;
	sl_compile_subnet_hold(pool, row);
	*out = row;
	return 0;
}
