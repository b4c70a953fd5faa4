/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet.c: random fleets. A fleet is a table of what each VLAN has, from which the document is
 * rebuilt after every change.
 */
#include "fleet.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "document/pattern.h"
#include "document/prefix.h"

struct sandbox {
	bool present;
	char name[24]; /* empty: none */
	bool has_source;
	struct sl_prefix sources[3];
	size_t n_sources;
	int named; /* index of a shared policy; -1: its own */
	struct sl_policy policy;
};

struct fleet {
	struct fleet_options options;
	uint64_t state;
	struct sl_prefix *prefixes;
	size_t n_prefixes;
	struct sl_pattern *patterns;
	size_t n_patterns;
	struct sl_policy *named;
	struct sandbox *sandboxes; /* by VLAN */
	unsigned names_given;
	struct sl_policy_entry *entries;
	struct sl_policy_doc doc;
};

static void *need(void *ptr)
{
	if (ptr == NULL)
		abort();
	return ptr;
}

/* splitmix64 */
uint64_t fleet_random(struct fleet *fleet)
{
	uint64_t z = fleet->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static unsigned below(struct fleet *fleet, unsigned n)
{
	return n == 0 ? 0 : (unsigned)(fleet_random(fleet) % n);
}

static bool one_in(struct fleet *fleet, unsigned n)
{
	return below(fleet, n) == 0;
}

uint64_t fleet_seed(void)
{
	const char *text = getenv("SLUICE_SEED");
	struct timespec t;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &t);
	seed = (uint64_t)t.tv_sec * 1000003u + (uint64_t)t.tv_nsec;
	if (text != NULL)
		seed = strtoull(text, NULL, 0);
	printf("SLUICE_SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	return seed;
}

/* ---- The pools ---- */

static void clear_host_bits(struct sl_prefix *prefix)
{
	for (unsigned i = prefix->len; i < 128; i++)
		prefix->addr[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
}

/* Few values for each byte, so that prefixes nest and adjoin. */
static struct sl_prefix random_prefix(struct fleet *fleet)
{
	static const uint8_t lens4[] = {8, 12, 16, 20, 22, 24, 24, 25, 26, 28, 30, 31, 32, 32};
	static const uint8_t lens6[] = {16, 20, 24, 28, 32, 33, 40, 44,  48,
	                                48, 56, 63, 64, 64, 65, 96, 127, 128};
	struct sl_prefix p = {.family = one_in(fleet, 2) ? 4 : 6};
	bool dense = fleet->options.prefixes <= 4096;
	unsigned spread = dense ? 4 : 256;

	for (unsigned i = 0; i < (p.family == 4 ? 4u : 16u); i++)
		p.addr[i] = one_in(fleet, 12) ? 255 : (uint8_t)below(fleet, i < 1 ? 3 : spread);
	if (p.family == 4) {
		p.addr[0] = (uint8_t)(dense ? 9 + below(fleet, 3) : below(fleet, 224));
		p.len = lens4[below(fleet, sizeof(lens4))];
	} else {
		p.addr[0] = dense && one_in(fleet, 8) ? 0xfc : 0x20;
		p.len = lens6[below(fleet, sizeof(lens6) - (dense ? 0 : 4))];
	}
	if (fleet->options.wide && one_in(fleet, 20)) { /* up to where the address space ends */
		memset(p.addr, 0xff, p.family == 4 ? 4 : 16);
		p.len = (uint8_t)below(fleet, one_in(fleet, 3) ? 5 : p.family == 4 ? 33 : 129);
	} else if (fleet->options.wide && one_in(fleet, 40)) {
		p.len = (uint8_t)below(fleet, 3);
	}
	clear_host_bits(&p);
	return p;
}

static void fill_prefixes(struct fleet *fleet)
{
	unsigned n = fleet->options.prefixes;

	fleet->prefixes = need(calloc(n + 1, sizeof(*fleet->prefixes)));
	for (unsigned i = 0; i < n; i++)
		fleet->prefixes[i] = random_prefix(fleet);
	fleet->n_prefixes = sl_prefix_sort_unique(fleet->prefixes, n);
}

static const char *const words[] = {"a", "b", "com", "net", "x", "www", "api", "s3", "a-b", "_s"};

static const char *random_word(struct fleet *fleet)
{
	return words[below(fleet, sizeof(words) / sizeof(words[0]))];
}

static void random_pattern(struct fleet *fleet, char *text, size_t size)
{
	unsigned labels = 1 + below(fleet, 4);
	size_t n = 0;

	if (fleet->options.patterns > 1000) { /* small alphabets do not give that many */
		n = (size_t)snprintf(text, size, "%s%s%u.%s%s", one_in(fleet, 3) ? "*." : "",
		                     random_word(fleet), below(fleet, 1000000), random_word(fleet),
		                     one_in(fleet, 2) ? ".com" : ".example.org");
		return;
	}
	text[0] = '\0';
	for (unsigned i = 0; i < labels; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%s", i > 0 ? "." : "",
		                      one_in(fleet, i == 0 ? 3 : 7) ? "*" : random_word(fleet));
}

static int order_patterns(const void *a, const void *b)
{
	return sl_pattern_compare(a, b);
}

static void fill_patterns(struct fleet *fleet)
{
	unsigned wanted = fleet->options.patterns, n = 0, kept = 0;
	struct sl_pattern *list = need(calloc(wanted + 1, sizeof(*list)));

	for (unsigned i = 0; i < wanted; i++) {
		char text[128], out[SL_NAME_MAX + 1], why[128];
		enum sl_pattern_kind kind;
		int len;

		random_pattern(fleet, text, sizeof(text));
		len = sl_pattern_normalise(text, strlen(text), out, &kind, why, sizeof(why));
		if (len < 1 || (kind == SL_PATTERN_ANY && !one_in(fleet, 4)))
			continue;
		list[n++] = (struct sl_pattern){
		        .text = need(strdup(out)), .len = (uint8_t)len, .kind = kind};
	}
	qsort(list, n, sizeof(*list), order_patterns);
	for (unsigned i = 0; i < n; i++) {
		if (kept > 0 && sl_pattern_compare(&list[kept - 1], &list[i]) == 0)
			free((char *)list[i].text);
		else
			list[kept++] = list[i];
	}
	fleet->patterns = list;
	fleet->n_patterns = kept;
}

/* ---- Policies ---- */

static int order_numbers(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return x < y ? -1 : x > y;
}

/* At most max different numbers below n, in order. */
static size_t pick(struct fleet *fleet, size_t n, unsigned max, unsigned **out)
{
	unsigned count = below(fleet, max + 1), kept = 0;
	unsigned *list = need(malloc((count + 1) * sizeof(*list)));

	if (n == 0)
		count = 0;
	for (unsigned i = 0; i < count; i++)
		list[i] = below(fleet, (unsigned)n);
	qsort(list, count, sizeof(*list), order_numbers);
	for (unsigned i = 0; i < count; i++)
		if (kept == 0 || list[kept - 1] != list[i])
			list[kept++] = list[i];
	*out = list;
	return kept;
}

static const struct sl_prefix *pick_prefixes(struct fleet *fleet, size_t *n)
{
	struct sl_prefix *list;
	unsigned *at;

	*n = pick(fleet, fleet->n_prefixes, fleet->options.subnets_max, &at);
	list = need(calloc(*n + 1, sizeof(*list)));
	for (size_t i = 0; i < *n; i++)
		list[i] = fleet->prefixes[at[i]];
	free(at);
	return list;
}

static const struct sl_pattern *pick_patterns(struct fleet *fleet, size_t *n)
{
	struct sl_pattern *list;
	unsigned *at;

	*n = pick(fleet, fleet->n_patterns, fleet->options.patterns_max, &at);
	list = need(calloc(*n + 1, sizeof(*list)));
	for (size_t i = 0; i < *n; i++)
		list[i] = fleet->patterns[at[i]];
	free(at);
	return list;
}

struct fleet_port fleet_port(struct fleet *fleet)
{
	static const uint16_t ports[] = {22, 123, 123, 3306, 65535};

	return (struct fleet_port){.port = ports[below(fleet, 5)],
	                           .proto = one_in(fleet, 2) ? IPPROTO_TCP : IPPROTO_UDP};
}

static int order_by_address(const void *a, const void *b)
{
	return sl_by_address_compare(a, b);
}

/* Patterns of the pool on random ports, in the order of a document, each once. */
static const struct sl_by_address *pick_by_address(struct fleet *fleet, size_t *n)
{
	struct sl_by_address *list;
	size_t count, kept = 0;
	unsigned *at;

	count = pick(fleet, fleet->n_patterns, fleet->options.patterns_max, &at);
	list = need(calloc(count + 1, sizeof(*list)));
	*n = 0;
	for (size_t i = 0; i < count; i++) {
		struct fleet_port port = fleet_port(fleet);

		if (fleet->patterns[at[i]].kind != SL_PATTERN_ANY)
			list[(*n)++] = (struct sl_by_address){.proto = port.proto,
			                                      .port = port.port,
			                                      .pattern = fleet->patterns[at[i]]};
	}
	free(at);
	qsort(list, *n, sizeof(*list), order_by_address);
	for (size_t i = 0; i < *n; i++)
		if (kept == 0 || sl_by_address_compare(&list[kept - 1], &list[i]) != 0)
			list[kept++] = list[i];
	*n = kept;
	return list;
}

static void clear_policy(struct sl_policy *policy)
{
	free((void *)policy->patterns);
	free((void *)policy->by_address);
	free((void *)policy->allow);
	free((void *)policy->deny);
	*policy = (struct sl_policy){0};
}

static void renew_policy(struct fleet *fleet, struct sl_policy *policy)
{
	unsigned kind = below(fleet, 10);

	clear_policy(policy);
	policy->kind = kind == 0   ? SL_POLICY_DENY_ALL
	               : kind == 1 ? SL_POLICY_ALLOW_ALL
	                           : SL_POLICY_CUSTOM;
	if (policy->kind != SL_POLICY_CUSTOM)
		return;
	if (!one_in(fleet, 5))
		policy->patterns = pick_patterns(fleet, &policy->n_patterns);
	if (!one_in(fleet, 5))
		policy->allow = pick_prefixes(fleet, &policy->n_allow);
	if (!one_in(fleet, 3))
		policy->deny = pick_prefixes(fleet, &policy->n_deny);
	if (one_in(fleet, 3))
		policy->by_address = pick_by_address(fleet, &policy->n_by_address);
	if (policy->n_patterns == 0 && policy->n_by_address == 0 && policy->n_allow == 0) {
		clear_policy(policy);
		policy->kind = SL_POLICY_DENY_ALL;
	}
}

/* ---- Sandboxes ---- */

static void renew_source(struct fleet *fleet, struct sandbox *sandbox)
{
	sandbox->has_source = one_in(fleet, 3);
	sandbox->n_sources = sandbox->has_source ? below(fleet, 4) : 0;
	for (size_t i = 0; i < sandbox->n_sources; i++)
		sandbox->sources[i] = fleet->prefixes[below(fleet, (unsigned)fleet->n_prefixes)];
	sandbox->n_sources = sl_prefix_sort_unique(sandbox->sources, sandbox->n_sources);
}

static void renew_name(struct fleet *fleet, struct sandbox *sandbox)
{
	sandbox->name[0] = '\0';
	if (one_in(fleet, 2))
		snprintf(sandbox->name, sizeof(sandbox->name), "s%u", fleet->names_given++);
}

static void choose_policy(struct fleet *fleet, struct sandbox *sandbox)
{
	sandbox->named = -1;
	if (fleet->options.named > 0 && one_in(fleet, 3))
		sandbox->named = (int)below(fleet, fleet->options.named);
	else
		renew_policy(fleet, &sandbox->policy);
}

void fleet_renew(struct fleet *fleet, uint16_t vlan)
{
	struct sandbox *sandbox = &fleet->sandboxes[vlan];

	sandbox->present = true;
	renew_name(fleet, sandbox);
	renew_source(fleet, sandbox);
	choose_policy(fleet, sandbox);
}

static void *copy_of(const void *items, size_t n, size_t size)
{
	void *copy = need(calloc(n + 1, size));

	if (n > 0)
		memcpy(copy, items, n * size);
	return copy;
}

/* The sandbox gets a copy of the shared policy that it has: nothing really changes. */
static void move_policy(struct fleet *fleet, struct sandbox *sandbox)
{
	const struct sl_policy *from;

	if (sandbox->named < 0)
		return;
	from = &fleet->named[sandbox->named];
	clear_policy(&sandbox->policy);
	sandbox->policy = *from;
	sandbox->policy.patterns =
	        copy_of(from->patterns, from->n_patterns, sizeof(*from->patterns));
	sandbox->policy.by_address =
	        copy_of(from->by_address, from->n_by_address, sizeof(*from->by_address));
	sandbox->policy.allow = copy_of(from->allow, from->n_allow, sizeof(*from->allow));
	sandbox->policy.deny = copy_of(from->deny, from->n_deny, sizeof(*from->deny));
	sandbox->named = -1;
}

void fleet_change(struct fleet *fleet)
{
	uint16_t vlan = (uint16_t)(1 + below(fleet, fleet->options.vlans));
	struct sandbox *sandbox = &fleet->sandboxes[vlan];

	if (!sandbox->present) {
		fleet_renew(fleet, vlan);
		return;
	}
	switch (below(fleet, 9)) {
	case 0:
		sandbox->present = false;
		break;
	case 1:
		renew_source(fleet, sandbox);
		break;
	case 2:
		renew_name(fleet, sandbox);
		break;
	case 3:
		fleet_renew(fleet, vlan);
		break;
	case 4:
		if (fleet->options.named > 0)
			renew_policy(fleet, &fleet->named[below(fleet, fleet->options.named)]);
		break;
	case 5:
		move_policy(fleet, sandbox);
		break;
	default:
		choose_policy(fleet, sandbox);
	}
}

struct fleet *fleet_create(const struct fleet_options *options)
{
	struct fleet *fleet = need(calloc(1, sizeof(*fleet)));

	fleet->options = *options;
	fleet->state = options->seed;
	fill_prefixes(fleet);
	fill_patterns(fleet);
	fleet->named = need(calloc(options->named + 1, sizeof(*fleet->named)));
	for (unsigned i = 0; i < options->named; i++)
		renew_policy(fleet, &fleet->named[i]);
	fleet->sandboxes = need(calloc(options->vlans + 1, sizeof(*fleet->sandboxes)));
	fleet->entries = need(calloc(options->vlans + 1, sizeof(*fleet->entries)));
	return fleet;
}

void fleet_free(struct fleet *fleet)
{
	if (fleet == NULL)
		return;
	for (unsigned i = 0; i < fleet->options.named; i++)
		clear_policy(&fleet->named[i]);
	for (unsigned i = 0; i <= fleet->options.vlans; i++)
		clear_policy(&fleet->sandboxes[i].policy);
	for (size_t i = 0; i < fleet->n_patterns; i++)
		free((char *)fleet->patterns[i].text);
	free(fleet->patterns);
	free(fleet->prefixes);
	free(fleet->named);
	free(fleet->sandboxes);
	free(fleet->entries);
	free(fleet);
}

const struct sl_policy_doc *fleet_doc(struct fleet *fleet)
{
	size_t n = 0;

	for (unsigned vlan = 1; vlan <= fleet->options.vlans; vlan++) {
		struct sandbox *sandbox = &fleet->sandboxes[vlan];

		if (!sandbox->present)
			continue;
		fleet->entries[n++] = (struct sl_policy_entry){
		        .vlan = (uint16_t)vlan,
		        .name = sandbox->name[0] != '\0' ? sandbox->name : NULL,
		        .has_source = sandbox->has_source,
		        .sources = sandbox->sources,
		        .n_sources = sandbox->n_sources,
		        .policy = sandbox->named >= 0 ? &fleet->named[sandbox->named]
		                                      : &sandbox->policy,
		};
	}
	fleet->doc = (struct sl_policy_doc){
	        .file = "fleet",
	        .entries = fleet->entries,
	        .n_entries = n,
	        .named = fleet->named,
	        .n_named = fleet->options.named,
	};
	return &fleet->doc;
}

/* ---- Questions ---- */

static void step(uint8_t *bytes, unsigned n, bool up)
{
	while (n-- > 0) {
		bytes[n] = (uint8_t)(up ? bytes[n] + 1 : bytes[n] - 1);
		if (bytes[n] != (up ? 0x00 : 0xff))
			return;
	}
}

static struct sl_addr near_prefix(struct fleet *fleet, const struct sl_prefix *prefix)
{
	unsigned bits = prefix->family == 4 ? 32 : 128, where = below(fleet, 5);
	struct sl_addr addr = {.family = prefix->family};

	memcpy(addr.bytes, prefix->addr, sizeof(addr.bytes));
	for (unsigned i = prefix->len; i < bits; i++) /* 0, 3: first; 1, 4: last; 2: inside */
		if (where == 1 || where == 4 || (where == 2 && one_in(fleet, 2)))
			addr.bytes[i / 8] |= (uint8_t)(0x80u >> i % 8);
	if (where >= 3)
		step(addr.bytes, bits / 8, where == 4);
	return addr;
}

struct sl_addr fleet_address(struct fleet *fleet, const struct sl_config *config)
{
	struct sl_addr addr = {.family = one_in(fleet, 2) ? 4 : 6};
	unsigned kind = below(fleet, 8);

	if (kind == 0 && config != NULL && config->n_protected > 0)
		return near_prefix(fleet,
		                   &config->protected[below(fleet, (unsigned)config->n_protected)]);
	if (kind == 1 && config != NULL && config->n_internal > 0)
		return near_prefix(fleet,
		                   &config->internal[below(fleet, (unsigned)config->n_internal)]);
	if (kind < 7 && fleet->n_prefixes > 0)
		return near_prefix(fleet,
		                   &fleet->prefixes[below(fleet, (unsigned)fleet->n_prefixes)]);
	for (unsigned i = 0; i < (addr.family == 4 ? 4u : 16u); i++)
		addr.bytes[i] = (uint8_t)below(fleet, 256);
	return addr;
}

/*
 * A pattern with labels in place of its `*`, then possibly a label more or less, or a letter
 * changed.
 */
static void near_pattern(struct fleet *fleet, const char *pattern, char *out, size_t size)
{
	size_t n = 0;

	for (const char *p = pattern; *p != '\0' && n + 16 < size; p++) {
		if (*p != '*')
			out[n++] = *p;
		else
			n += (size_t)snprintf(out + n, size - n, "%s", random_word(fleet));
	}
	out[n] = '\0';
	switch (below(fleet, 5)) {
	case 0:
		if (n + 16 < size) {
			const char *word = random_word(fleet);
			size_t len = strlen(word);

			memmove(out + len + 1, out, n + 1);
			memcpy(out, word, len);
			out[len] = '.';
		}
		break;
	case 1:
		if (strchr(out, '.') != NULL)
			memmove(out, strchr(out, '.') + 1, strlen(strchr(out, '.')));
		break;
	case 2:
		n = below(fleet, (unsigned)strlen(out));
		if (out[n] != '.')
			out[n] = "abx_-"[below(fleet, 5)];
		break;
	default:
		break;
	}
}

const char *fleet_name(struct fleet *fleet, char out[SL_NAME_MAX + 1])
{
	const char *pattern = "a.b";

	if (fleet->n_patterns > 0)
		pattern = fleet->patterns[below(fleet, (unsigned)fleet->n_patterns)].text;
	near_pattern(fleet, pattern, out, SL_NAME_MAX + 1);
	return out;
}

uint16_t fleet_vlan(struct fleet *fleet)
{
	return (uint16_t)(1 + below(fleet, fleet->options.vlans));
}
