/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet.c: policies for thousands of sandboxes. Prefixes nest, as those of real networks do: one in
 * four is part of another. IPv6 ones are scattered, so that few share second-level tables: the
 * most expensive case.
 */
#include "fleet.h"

#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define PATTERN_ROOM   48
#define LIST_LONGEST   10000
#define LONG_LISTS     5
#define PATTERNS_LEAST 10

/* The destination of frames.h's flows; no other prefix of the fleet is in it. */
static const struct sl_prefix traffic = {.family = 4, .len = 16, .addr = {198, 51}};

static uint64_t random64(struct fleet *fleet)
{
	uint64_t z = fleet->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

unsigned fleet_below(struct fleet *fleet, unsigned n)
{
	return (unsigned)(random64(fleet) % n);
}

static void *need(void *ptr)
{
	if (ptr == NULL)
		rig_die("no memory for the fleet");
	return ptr;
}

/* ---- Prefixes ---- */

struct pool {
	struct sl_prefix *list;
	size_t n;
};

static void clear_host_bits(struct sl_prefix *p)
{
	for (unsigned i = p->len; i < 128; i++)
		p->addr[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
}

static void fill(struct fleet *fleet, struct sl_prefix *p, unsigned from_bit, unsigned bytes)
{
	for (unsigned i = from_bit; i < bytes * 8; i++)
		if (fleet_below(fleet, 2) != 0)
			p->addr[i / 8] |= (uint8_t)(0x80u >> i % 8);
	clear_host_bits(p);
}

/* /14 to /24, a fifth longer. 20/8 to 99/8: public, and not the traffic's. */
static struct sl_prefix random4(struct fleet *fleet)
{
	struct sl_prefix p = {.family = 4};

	p.len = (uint8_t)(fleet_below(fleet, 5) == 0 ? 25 + fleet_below(fleet, 8)
	                                             : 14 + fleet_below(fleet, 11));
	p.addr[0] = (uint8_t)(20 + fleet_below(fleet, 80));
	fill(fleet, &p, 8, 4);
	return p;
}

/* /32 to /64 in 2400::/8 to 2f00::/8. */
static struct sl_prefix random6(struct fleet *fleet)
{
	struct sl_prefix p = {.family = 6, .len = (uint8_t)(32 + fleet_below(fleet, 33))};

	p.addr[0] = (uint8_t)(0x24 + fleet_below(fleet, 12));
	fill(fleet, &p, 8, 16);
	return p;
}

static struct sl_prefix random6_long(struct fleet *fleet)
{
	struct sl_prefix p = random6(fleet);

	p.len = (uint8_t)(65 + fleet_below(fleet, 64));
	fill(fleet, &p, 64, 16);
	return p;
}

/*
 * A prefix inside another one: up to 8 bits longer, and no longer than the longest of the others.
 */
static struct sl_prefix part_of(struct fleet *fleet, struct sl_prefix p)
{
	unsigned longest = p.family == 4 ? 32 : 64, from = p.len;

	if (from < longest) {
		p.len = (uint8_t)(from + 1 + fleet_below(fleet, 8));
		if (p.len > longest)
			p.len = (uint8_t)longest;
		fill(fleet, &p, from, p.family == 4 ? 4 : 16);
	}
	return p;
}

static void shuffle(struct fleet *fleet, struct pool *pool)
{
	for (size_t i = pool->n; i > 1; i--) {
		size_t k = random64(fleet) % i;
		struct sl_prefix kept = pool->list[i - 1];

		pool->list[i - 1] = pool->list[k];
		pool->list[k] = kept;
	}
}

/* Adds random ones until there are n different ones, in no order. */
static void add_prefixes(struct fleet *fleet, struct pool *pool,
                         struct sl_prefix (*make)(struct fleet *), size_t n, bool nest)
{
	pool->list = need(realloc(pool->list, (n + 1) * sizeof(*pool->list)));
	while (pool->n < n) {
		while (pool->n < n) {
			size_t parent = nest && pool->n > 0 ? random64(fleet) % pool->n : 0;

			pool->list[pool->n] = pool->n > 0 && nest && fleet_below(fleet, 4) == 0
			                              ? part_of(fleet, pool->list[parent])
			                              : make(fleet);
			pool->n++;
		}
		pool->n = sl_prefix_sort_unique(pool->list, pool->n);
	}
	shuffle(fleet, pool);
}

/* How many of the pool's prefixes lie within another, and how deep. */
static void count_nests(struct fleet *fleet, const struct pool *pool)
{
	struct sl_prefix *sorted = need(malloc((pool->n + 1) * sizeof(*sorted)));
	const struct sl_prefix *around[130];
	unsigned depth = 0;

	memcpy(sorted, pool->list, pool->n * sizeof(*sorted));
	sl_prefix_sort_unique(sorted, pool->n);
	for (size_t i = 0; i < pool->n; i++) {
		while (depth > 0 && !sl_prefix_covers(around[depth - 1], &sorted[i]))
			depth--;
		fleet->nested += depth > 0;
		around[depth++] = &sorted[i];
		if (depth > fleet->depth)
			fleet->depth = depth;
	}
	free(sorted);
}

/* ---- Policies ---- */

/* One piece of memory. Sorted, as a document's lists are: a third begin with `*.`. */
static const struct sl_pattern *make_patterns(struct fleet *fleet, size_t n)
{
	struct sl_pattern *list = need(malloc(n * (sizeof(*list) + PATTERN_ROOM) + 1));
	char *text = (char *)(list + n);

	for (size_t i = 0; i < n; i++, text += PATTERN_ROOM) {
		bool below = i < n / 3;
		int len = snprintf(text, PATTERN_ROOM, "%sh%07u.svc%u.example%u.com",
		                   below ? "*." : "", fleet->serial++, fleet_below(fleet, 50),
		                   fleet_below(fleet, 1000));

		list[i] = (struct sl_pattern){
		        .text = text,
		        .len = (uint8_t)len,
		        .kind = below ? SL_PATTERN_BELOW : SL_PATTERN_EXACT,
		};
	}
	return list;
}

/* A few lists have 10,000 patterns (or a twentieth of all), the others 10 and more. */
static size_t list_size(struct fleet *fleet, unsigned i, size_t left)
{
	size_t longest = fleet->spec.patterns / 20, lists = fleet->spec.policies - i, spare;

	if (longest > LIST_LONGEST)
		longest = LIST_LONGEST;
	if (i < LONG_LISTS && longest >= PATTERNS_LEAST && fleet->spec.policies > LONG_LISTS)
		return longest;
	spare = left > lists * PATTERNS_LEAST ? left - lists * PATTERNS_LEAST : 0;
	if (lists == 1)
		return PATTERNS_LEAST + spare;
	return PATTERNS_LEAST + fleet_below(fleet, (unsigned)(2 * spare / lists + 1));
}

static void set_allow(struct sl_policy *policy, struct sl_prefix *list, size_t n)
{
	list[n++] = traffic;
	policy->allow = list;
	policy->n_allow = sl_prefix_sort_unique(list, n);
}

static void make_named(struct fleet *fleet, const struct pool *four, const struct pool *six)
{
	const struct fleet_spec *spec = &fleet->spec;
	size_t left = spec->patterns, next[2] = {0};

	for (unsigned i = 0; i < spec->policies; i++) {
		struct sl_policy *policy = &fleet->named[i];
		size_t first = (size_t)spec->prefixes * i / spec->policies;
		size_t n = (size_t)spec->prefixes * (i + 1) / spec->policies - first;
		struct sl_prefix *list = need(malloc((n + 1) * sizeof(*list)));

		policy->kind = SL_POLICY_CUSTOM;
		policy->n_patterns = list_size(fleet, i, left);
		policy->patterns = make_patterns(fleet, policy->n_patterns);
		left -= left < policy->n_patterns ? left : policy->n_patterns;
		for (size_t k = 0; k < n; k++) {
			bool take6 = (first + k) % 2 == 0 ? next[1] < six->n : next[0] == four->n;

			list[k] = (take6 ? six : four)->list[next[take6]++];
		}
		set_allow(policy, list, n);
	}
}

void fleet_make(struct fleet *fleet, const struct fleet_spec *spec)
{
	size_t longer = spec->prefixes / 100, sixes = spec->prefixes / 2;
	struct pool four = {0}, six = {0};

	*fleet = (struct fleet){.spec = *spec, .random = spec->seed};
	add_prefixes(fleet, &four, random4, spec->prefixes - sixes, true);
	add_prefixes(fleet, &six, random6, sixes - longer, true);
	add_prefixes(fleet, &six, random6_long, sixes, false);
	count_nests(fleet, &four);
	count_nests(fleet, &six);
	fleet->named = need(calloc(spec->policies, sizeof(*fleet->named)));
	fleet->own = need(calloc(spec->sandboxes, sizeof(*fleet->own)));
	fleet->entries = need(calloc(spec->sandboxes, sizeof(*fleet->entries)));
	make_named(fleet, &four, &six);
	free(four.list);
	free(six.list);
	for (unsigned i = 0; i < spec->sandboxes; i++) {
		fleet->entries[i].vlan = (uint16_t)(i + 1);
		fleet_restore(fleet, i);
	}
	fleet->doc = (struct sl_policy_doc){
	        .file = "fleet",
	        .entries = fleet->entries,
	        .n_entries = spec->sandboxes,
	        .named = fleet->named,
	        .n_named = spec->policies,
	        .n_patterns = spec->patterns,
	        .n_prefixes = spec->prefixes,
	};
}

static void forget_own(struct sl_policy *own)
{
	free((void *)own->patterns);
	free((void *)own->allow);
	*own = (struct sl_policy){.kind = SL_POLICY_CUSTOM};
}

void fleet_change(struct fleet *fleet, unsigned i, unsigned patterns, unsigned prefixes)
{
	struct sl_prefix *list = need(malloc((prefixes + 1) * sizeof(*list)));
	struct sl_policy *own = &fleet->own[i];

	forget_own(own);
	if (patterns > 0)
		own->patterns = make_patterns(fleet, patterns);
	own->n_patterns = patterns;
	for (unsigned k = 0; k < prefixes; k++)
		list[k] = k % 2 == 0 ? random4(fleet) : random6(fleet);
	set_allow(own, list, prefixes);
	fleet->entries[i].policy = own;
}

void fleet_restore(struct fleet *fleet, unsigned i)
{
	forget_own(&fleet->own[i]);
	fleet->entries[i].policy = &fleet->named[i % fleet->spec.policies];
}

/* ---- As text ---- */

static void write_prefixes(const struct sl_policy *policy, const char *before, const char *after,
                           FILE *file)
{
	char text[SL_PREFIX_TEXT_MAX];

	for (size_t i = 0; i < policy->n_allow; i++)
		fprintf(file, "%s%s%s", before, sl_prefix_format(&policy->allow[i], text), after);
}

static void write_policy(const struct sl_policy *policy, FILE *file)
{
	fputs("{allow: [", file);
	for (size_t i = 0; i < policy->n_patterns; i++)
		fprintf(file, "\"%s\", ", policy->patterns[i].text);
	fputs("], subnets: {allow: [", file);
	write_prefixes(policy, "\"", "\", ", file);
	fputs("]}}", file);
}

void fleet_write_policy(const struct fleet *fleet, FILE *file)
{
	fputs("policies:\n", file);
	for (unsigned i = 0; i < fleet->spec.policies; i++) {
		fprintf(file, "  p%u: ", i);
		write_policy(&fleet->named[i], file);
		fputc('\n', file);
	}
	fputs("sandboxes:\n", file);
	for (unsigned i = 0; i < fleet->spec.sandboxes; i++) {
		const struct sl_policy *policy = fleet->entries[i].policy;

		fprintf(file, "  - {vlan: %u, policy: ", fleet->entries[i].vlan);
		if (policy == &fleet->own[i])
			write_policy(policy, file);
		else
			fprintf(file, "p%u", (unsigned)(policy - fleet->named));
		fputs("}\n", file);
	}
}

static void write_change(struct fleet *fleet, const char *kind, unsigned who, unsigned prefixes,
                         FILE *file)
{
	fleet_change(fleet, who, 0, prefixes);
	fprintf(file, "%s %u", kind, who + 1);
	write_prefixes(&fleet->own[who], " ", "", file);
	fputc('\n', file);
	fleet_restore(fleet, who);
}

void fleet_write_rules(struct fleet *fleet, unsigned n, FILE *file)
{
	for (unsigned i = 0; i < fleet->spec.policies; i++) {
		fprintf(file, "policy %u", i);
		write_prefixes(&fleet->named[i], " ", "", file);
		fputc('\n', file);
	}
	for (unsigned i = 0; i < fleet->spec.sandboxes; i++)
		fprintf(file, "sandbox %u %u\n", i + 1, i % fleet->spec.policies);
	for (unsigned i = 0; i < n; i++) {
		write_change(fleet, "10", fleet_below(fleet, fleet->spec.sandboxes), 10, file);
		write_change(fleet, "1000", fleet_below(fleet, fleet->spec.sandboxes), 1000, file);
		for (unsigned who = 0; who < fleet->spec.sandboxes; who += 100)
			write_change(fleet, "document", who, 10, file);
	}
}
