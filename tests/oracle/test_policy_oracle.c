/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_oracle.c: random fleets, changed and pushed again and again. After each push the
 * compiled state must give the same answers for addresses and names as the reference model, epochs
 * and incarnations must be those of a model, and a fresh compile of the same document must not
 * differ.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_rcu_qsbr.h>

#include "document/config.h"
#include "fleet.h"
#include "inproc.h"
#include "document/policy.h"
#include "reload/reload.h"
#include "sluice/generation.h"
#include "reference.h"

#define PUSHES    120
#define QUESTIONS 250 /* after each: 30,000 judgements in all, and as many of a fresh compile */

static uint64_t seed;

static struct sl_config config;

struct bench {
	struct sl_publication publication;
	struct sl_reload *reload;
};

static void bench_open(struct bench *bench, bool two_copies, struct sl_reload_tables tables)
{
	struct sl_diag diag;
	struct sl_reload_params params = {.config = &config,
	                                  .publication = &bench->publication,
	                                  .workers = 1,
	                                  .tables = tables};

	memset(bench, 0, sizeof(*bench));
	if (two_copies) { /* without registered threads there is none to wait for */
		bench->publication.qsbr = aligned_alloc(64, rte_rcu_qsbr_get_memsize(1));
		assert_int_equal(rte_rcu_qsbr_init(bench->publication.qsbr, 1), 0);
	}
	sl_diag_init(&diag);
	bench->reload = sl_reload_create(&params, &diag);
	assert_non_null(bench->reload);
	sl_diag_free(&diag);
}

static void bench_close(struct bench *bench)
{
	sl_reload_free(bench->reload);
	assert_null(atomic_load(&bench->publication.current));
	free(bench->publication.qsbr);
}

static const struct sl_generation *bench_push(struct bench *bench, const struct sl_policy_doc *doc,
                                              struct sl_push *push)
{
	struct sl_diag diag;
	int ret;

	sl_diag_init(&diag);
	ret = sl_reload_push(bench->reload, doc, &diag, push);
	sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
	assert_int_equal(ret, 0);
	sl_diag_free(&diag);
	return atomic_load(&bench->publication.current);
}

/* ---- The fast path's answers ---- */

static uint32_t class_of(const struct sl_generation *generation, const struct sl_addr *addr)
{
	uint64_t class = SL_CLASS_NONE;

	if (addr->family == SL_FAMILY_4) {
		const uint8_t *b = addr->bytes;
		uint32_t host =
		        (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];

		rte_fib_lookup_bulk(generation->fib4, &host, &class, 1);
	} else {
		uint8_t host[1][16];

		memcpy(host[0], addr->bytes, 16);
		rte_fib6_lookup_bulk(generation->fib6, host, &class, 1);
	}
	return (uint32_t) class;
}

static enum sl_subnet fast_subnet(const struct sl_generation *generation,
                                  const struct sl_sandbox *sandbox, const struct sl_addr *addr)
{
	if (sandbox->subnets == NULL)
		return SL_SUBNET_NONE;
	return sl_subnets_judge(sandbox->subnets, generation->classes, class_of(generation, addr));
}

static bool fast_name(const struct sl_generation *generation, const struct sl_sandbox *sandbox,
                      const char *name)
{
	return sandbox->patterns != NULL &&
	       sl_patterns_match(sandbox->patterns, generation->scratch[0], name, strlen(name));
}

static bool fast_may_ask(const struct sl_generation *generation, const struct sl_sandbox *sandbox,
                         const char *name)
{
	return sandbox->queries != NULL &&
	       sl_patterns_match(sandbox->queries, generation->scratch[0], name, strlen(name));
}

static bool fast_entry(const struct sl_generation *generation, const struct sl_sandbox *sandbox,
                       struct fleet_port port, const char *name)
{
	for (unsigned i = 0; i < sandbox->pin_rule_count; i++) {
		const struct sl_pin_rule *rule = &sandbox->pin_rules[i];

		if (rule->port == port.port && rule->proto == port.proto)
			return sl_patterns_match(rule->patterns, generation->scratch[0], name,
			                         strlen(name));
	}
	return false;
}

/* ---- The reference model's answers ---- */

static enum sl_subnet slow_subnet(const struct sl_policy *policy, const struct sl_addr *addr)
{
	if (reference_in_list(policy->deny, policy->n_deny, addr))
		return SL_SUBNET_DENY;
	return reference_in_list(policy->allow, policy->n_allow, addr) ? SL_SUBNET_ALLOW
	                                                               : SL_SUBNET_NONE;
}

static bool slow_may_ask(const struct sl_policy *policy, const char *name)
{
	return reference_name_matches(policy, name) || reference_entry_matches(policy, 0, 0, name);
}

static enum sl_space slow_space(const struct sl_addr *addr)
{
	if (reference_in_list(config.protected, config.n_protected, addr))
		return SL_SPACE_PROTECTED;
	return reference_in_list(config.internal, config.n_internal, addr) ? SL_SPACE_INTERNAL
	                                                                   : SL_SPACE_PUBLIC;
}

static enum sl_mode slow_mode(const struct sl_policy *policy)
{
	return policy->kind == SL_POLICY_DENY_ALL    ? SL_MODE_DENY_ALL
	       : policy->kind == SL_POLICY_ALLOW_ALL ? SL_MODE_ALLOW_ALL
	                                             : SL_MODE_CUSTOM;
}

static void print_question(const struct sl_generation *generation, uint16_t vlan,
                           const struct sl_addr *addr, const char *name)
{
	struct sl_prefix prefix = {.family = addr->family,
	                           .len = addr->family == SL_FAMILY_4 ? 32 : 128};
	char text[SL_PREFIX_TEXT_MAX];

	memcpy(prefix.addr, addr->bytes, sizeof(prefix.addr));
	printf("SLUICE_SEED=%" PRIu64 " generation %" PRIu64 " vlan %u address %s name %s\n", seed,
	       generation->number, vlan, sl_prefix_format(&prefix, text), name);
}

static void judge_once(struct fleet *fleet, const struct sl_policy_doc *doc,
                       const struct sl_generation *generation)
{
	uint16_t vlan = fleet_vlan(fleet);
	struct sl_addr addr = fleet_address(fleet, &config);
	char text[SL_NAME_MAX + 1];
	const char *name = fleet_name(fleet, text);
	struct fleet_port port = fleet_port(fleet);
	const struct sl_policy_entry *entry = sl_policy_doc_find(doc, vlan);
	const struct sl_sandbox *sandbox = generation->sandboxes[vlan];
	bool same = (entry != NULL) == (sandbox != NULL);

	if (same && entry != NULL)
		same = sandbox->mode == slow_mode(entry->policy) &&
		       fast_subnet(generation, sandbox, &addr) ==
		               slow_subnet(entry->policy, &addr) &&
		       generation->classes[class_of(generation, &addr)].space ==
		               slow_space(&addr) &&
		       fast_name(generation, sandbox, name) ==
		               reference_name_matches(entry->policy, name) &&
		       fast_may_ask(generation, sandbox, name) ==
		               slow_may_ask(entry->policy, name) &&
		       fast_entry(generation, sandbox, port, name) ==
		               reference_entry_matches(entry->policy, port.proto, port.port, name);
	if (!same) {
		print_question(generation, vlan, &addr, name);
		if (sandbox != NULL && entry != NULL)
			printf("class %u; fast: subnet %d space %d name %d ask %d port %u/%u %d; "
			       "reference: %d %d %d %d %d\n",
			       class_of(generation, &addr), fast_subnet(generation, sandbox, &addr),
			       generation->classes[class_of(generation, &addr)].space,
			       fast_name(generation, sandbox, name),
			       fast_may_ask(generation, sandbox, name), port.port, port.proto,
			       fast_entry(generation, sandbox, port, name),
			       slow_subnet(entry->policy, &addr), slow_space(&addr),
			       reference_name_matches(entry->policy, name),
			       slow_may_ask(entry->policy, name),
			       reference_entry_matches(entry->policy, port.proto, port.port, name));
	}
	assert_true(same);
}

/* ---- The model of epochs ---- */

struct model {
	char *policy; /* all that is effective, as text; NULL: no sandbox */
	char *name;
	uint64_t epoch, incarnation;
};

static void print_list(FILE *out, const char *what, const struct sl_prefix *list, size_t n,
                       const struct sl_policy *without)
{
	char text[SL_PREFIX_TEXT_MAX];

	fprintf(out, "%s", what);
	for (size_t i = 0; i < n; i++) {
		bool denied = false;

		for (size_t k = 0; without != NULL && k < without->n_deny; k++)
			denied = denied || sl_prefix_compare(&list[i], &without->deny[k]) == 0;
		if (!denied)
			fprintf(out, " %s", sl_prefix_format(&list[i], text));
	}
}

static char *policy_text(const struct sl_policy_entry *entry)
{
	const struct sl_policy *policy = entry->policy;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fprintf(out, "%d", policy->kind);
	for (size_t i = 0; i < policy->n_patterns; i++)
		fprintf(out, " %s", policy->patterns[i].text);
	for (size_t i = 0; i < policy->n_by_address; i++)
		fprintf(out, " %s:%u/%u", policy->by_address[i].pattern.text,
		        policy->by_address[i].port, policy->by_address[i].proto);
	print_list(out, " allow", policy->allow, policy->n_allow, policy);
	print_list(out, " deny", policy->deny, policy->n_deny, NULL);
	if (entry->has_source)
		print_list(out, " source", entry->sources, entry->n_sources, NULL);
	fclose(out);
	return text;
}

static void model_clear(struct model *model)
{
	free(model->policy);
	free(model->name);
	*model = (struct model){0};
}

/* Applies an entry to the model; true if the sandbox's policy or identity changed. */
static bool model_take(struct model *model, const struct sl_policy_entry *entry, uint64_t number)
{
	struct model old = *model;
	bool another, changed;

	if (entry == NULL) {
		changed = model->policy != NULL;
		model_clear(model);
		return changed;
	}
	model->policy = policy_text(entry);
	model->name = entry->name != NULL ? strdup(entry->name) : NULL;
	another = old.policy == NULL ||
	          (old.name != NULL && model->name != NULL && strcmp(old.name, model->name) != 0);
	changed = another || strcmp(old.policy, model->policy) != 0;
	if (another)
		model->incarnation = number;
	if (changed)
		model->epoch = number;
	free(old.policy);
	free(old.name);
	return changed;
}

static void check_model(struct model *models, const struct sl_policy_doc *doc,
                        const struct sl_generation *generation, const struct sl_push *push,
                        unsigned vlans)
{
	unsigned changed = 0;

	for (unsigned vlan = 1; vlan <= vlans; vlan++) {
		const struct sl_policy_entry *entry = sl_policy_doc_find(doc, (uint16_t)vlan);
		const struct sl_sandbox *sandbox = generation->sandboxes[vlan];

		changed += model_take(&models[vlan], entry, generation->number);
		assert_int_equal(entry != NULL, sandbox != NULL);
		if (entry == NULL)
			continue;
		assert_int_equal(sandbox->vlan, vlan);
		assert_int_equal(sandbox->epoch, models[vlan].epoch);
		assert_int_equal(sandbox->incarnation, models[vlan].incarnation);
		if (entry->name == NULL)
			assert_null(sandbox->name);
		else
			assert_string_equal(sandbox->name, entry->name);
		assert_int_equal(sandbox->has_source, entry->has_source);
		assert_int_equal(sandbox->source_count, entry->n_sources);
	}
	assert_int_equal(push->sandboxes_changed, changed);
	assert_int_equal(push->sandboxes, doc->n_entries);
}

/* ---- Pushing only what changed ---- */

static bool model_differs(const struct model *model, const struct sl_policy_entry *entry)
{
	bool named = entry->name != NULL, differs;
	char *text = policy_text(entry);

	differs = model->policy == NULL || strcmp(model->policy, text) != 0 ||
	          named != (model->name != NULL) ||
	          (named && strcmp(model->name, entry->name) != 0);
	free(text);
	return differs;
}

/*
 * Pushes the document's sandboxes that differ from the model's, some that do not, and those that
 * are removed.
 */
static const struct sl_generation *bench_patch(struct bench *bench, const struct model *models,
                                               const struct sl_policy_doc *doc, unsigned vlans,
                                               struct sl_push *push)
{
	struct sl_policy_entry *entries = calloc(doc->n_entries + 1, sizeof(*entries));
	uint16_t *gone = calloc(vlans + 1, sizeof(*gone));
	struct sl_policy_doc part = *doc;
	struct sl_reload_patch patch = {.doc = &part, .gone = gone};
	struct sl_diag diag;
	int ret;

	part.entries = entries;
	part.n_entries = 0;
	for (size_t i = 0; i < doc->n_entries; i++)
		if (model_differs(&models[doc->entries[i].vlan], &doc->entries[i]) || i % 7 == 0)
			entries[part.n_entries++] = doc->entries[i];
	for (unsigned vlan = 1; vlan <= vlans; vlan++)
		if (sl_policy_doc_find(doc, (uint16_t)vlan) == NULL)
			gone[patch.n_gone++] = (uint16_t)vlan;
	sl_diag_init(&diag);
	ret = sl_reload_patch(bench->reload, &patch, &diag, push);
	sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
	assert_int_equal(ret, 0);
	sl_diag_free(&diag);
	free(entries);
	free(gone);
	return atomic_load(&bench->publication.current);
}

/* ---- The tests ---- */

static void run_sequence(const struct fleet_options *options, unsigned pushes)
{
	struct fleet *fleet = fleet_create(options);
	struct model *models = calloc(options->vlans + 1, sizeof(*models));
	struct bench bench, fresh;
	struct sl_push push;

	assert_non_null(models);
	bench_open(&bench, true, (struct sl_reload_tables){0});
	for (unsigned n = 0; n < pushes; n++) {
		const struct sl_policy_doc *doc;
		const struct sl_generation *generation;
		unsigned changes = 1u << fleet_random(fleet) % 6;

		while (changes-- > 0)
			fleet_change(fleet);
		doc = fleet_doc(fleet);
		if (fleet_random(fleet) % 2 == 0)
			generation = bench_push(&bench, doc, &push);
		else
			generation = bench_patch(&bench, models, doc, options->vlans, &push);
		check_model(models, doc, generation, &push, options->vlans);
		for (unsigned i = 0; i < QUESTIONS; i++)
			judge_once(fleet, doc, generation);
		if (n % 40 == 39) {
			bench_open(&fresh, false, (struct sl_reload_tables){0});
			generation = bench_push(&fresh, doc, &push);
			for (unsigned i = 0; i < 40 * QUESTIONS; i++)
				judge_once(fleet, doc, generation);
			bench_close(&fresh);
		}
	}
	for (unsigned vlan = 0; vlan <= options->vlans; vlan++)
		model_clear(&models[vlan]);
	free(models);
	bench_close(&bench);
	fleet_free(fleet);
}

static void test_small_fleet_changes_agrees_with_reference(void **state)
{
	run_sequence(&(struct fleet_options){.seed = seed,
	                                     .prefixes = 150,
	                                     .patterns = 60,
	                                     .subnets_max = 12,
	                                     .patterns_max = 10,
	                                     .named = 3,
	                                     .vlans = 12,
	                                     .wide = true},
	             PUSHES);
}

static void test_dense_prefixes_change_agrees_with_reference(void **state)
{
	run_sequence(&(struct fleet_options){.seed = seed + 1,
	                                     .prefixes = 3000,
	                                     .patterns = 300,
	                                     .subnets_max = 200,
	                                     .patterns_max = 40,
	                                     .named = 8,
	                                     .vlans = 40},
	             PUSHES / 2);
}

/* A document that cannot come into force, between two that can. */
static void run_refused(bool two_copies)
{
	struct fleet *fleet = fleet_create(&(struct fleet_options){.seed = seed + 2,
	                                                           .prefixes = 400,
	                                                           .patterns = 50,
	                                                           .subnets_max = 30,
	                                                           .patterns_max = 10,
	                                                           .vlans = 30});
	struct bench bench;
	const struct sl_generation *generation = NULL;
	unsigned refused = 0, taken = 0;
	struct sl_diag diag;

	sl_diag_init(&diag);
	bench_open(&bench, two_copies,
	           (struct sl_reload_tables){.prefixes = 150, .tbl8_4 = 64, .tbl8_6 = 700});
	for (unsigned n = 0; n < 5000 && (refused < 30 || taken < 100); n++) {
		struct sl_push push;
		int ret;

		fleet_change(fleet);
		ret = sl_reload_push(bench.reload, fleet_doc(fleet), &diag, &push);
		if (ret != 0) {
			assert_int_equal(ret, -ENOSPC);
			assert_true(diag.errors > 0);
			assert_ptr_equal(atomic_load(&bench.publication.current), generation);
			refused++;
			/* make room again, in a document that is pushed later */
			fleet_renew(fleet, fleet_vlan(fleet));
		} else {
			generation = atomic_load(&bench.publication.current);
			for (unsigned i = 0; i < 50; i++)
				judge_once(fleet, fleet_doc(fleet), generation);
			taken++;
		}
		sl_diag_free(&diag);
	}
	printf("refused %u, taken %u\n", refused, taken);
	assert_true(taken >= 100);
	assert_true(refused >= 30);
	bench_close(&bench);
	fleet_free(fleet);
}

static void test_refused_push_leaves_both_sides_as_they_were(void **state)
{
	run_refused(true);
}

static void test_refused_push_leaves_the_single_side_as_it_was(void **state)
{
	run_refused(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_small_fleet_changes_agrees_with_reference),
	        cmocka_unit_test(test_dense_prefixes_change_agrees_with_reference),
	        cmocka_unit_test(test_refused_push_leaves_both_sides_as_they_were),
	        cmocka_unit_test(test_refused_push_leaves_the_single_side_as_it_was),
	};
	static const char text[] =
	        "dns: {resolvers: any, pinning: off}\n"
	        "internal: [10.0.0.0/8, 9.1.0.0/16, \"fc00::/7\", \"2001:1::/32\"]\n"
	        "protected: [10.1.0.0/16, 9.0.0.0/14, \"2002:100::/24\"]\n";
	struct sl_diag diag;
	int failed;

	inproc_eal();
	seed = fleet_seed();
	sl_diag_init(&diag);
	if (sl_config_read_buffer("config", text, strlen(text), SL_CONFIG_FOR_REPLAY, &diag,
	                          &config) != 0) {
		sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
		return 1;
	}
	sl_diag_free(&diag);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	sl_config_fini(&config);
	return failed;
}
