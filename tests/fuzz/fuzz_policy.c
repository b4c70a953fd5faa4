/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy.c: arbitrary documents, read as a policy and as a gateway config.
 *
 * What must hold, whatever the bytes: a document is either refused with at least one error and not
 * returned, or accepted without an error. Then it has the order and the form that policy.h
 * promises, and every pattern reads back to itself.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "document/config.h"
#include "document/policy.h"

static void check_prefixes(const struct sl_prefix *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char text[SL_PREFIX_TEXT_MAX], why[160];
		struct sl_prefix again;

		must(i == 0 || sl_prefix_compare(&list[i - 1], &list[i]) < 0);
		sl_prefix_format(&list[i], text);
		must(sl_prefix_parse(text, strlen(text), &again, why, sizeof(why)) == 0);
		must(sl_prefix_compare(&list[i], &again) == 0);
	}
}

static void check_pattern(const struct sl_pattern *pattern)
{
	char again[SL_NAME_MAX + 1], why[160];
	enum sl_pattern_kind kind;
	int len = sl_pattern_normalise(pattern->text, pattern->len, again, &kind, why, sizeof(why));

	must(len == pattern->len && strlen(pattern->text) == pattern->len);
	must(strcmp(again, pattern->text) == 0 && kind == pattern->kind);
}

static void check_by_address(const struct sl_by_address *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char entry[SL_NAME_MAX + 16], text[SL_NAME_MAX + 1], why[160];
		struct sl_by_address again;

		check_pattern(&list[i].pattern);
		must(list[i].pattern.kind != SL_PATTERN_ANY);
		must(list[i].port != 0 && list[i].port != 53);
		must(i == 0 || sl_by_address_compare(&list[i - 1], &list[i]) < 0);
		snprintf(entry, sizeof(entry), "%s:%u/%s", list[i].pattern.text, list[i].port,
		         list[i].proto == IPPROTO_TCP ? "tcp" : "udp");
		must(sl_by_address_read(entry, strlen(entry), text, &again, why, sizeof(why)) ==
		     list[i].pattern.len);
		again.pattern.text = text;
		must(sl_by_address_compare(&list[i], &again) == 0);
	}
}

static void check_policy(const struct sl_policy *policy)
{
	if (policy->kind != SL_POLICY_CUSTOM) {
		must(policy->n_patterns + policy->n_by_address + policy->n_allow + policy->n_deny ==
		     0);
		return;
	}
	must(policy->n_patterns + policy->n_by_address + policy->n_allow > 0);
	check_by_address(policy->by_address, policy->n_by_address);
	for (size_t i = 0; i < policy->n_patterns; i++) {
		check_pattern(&policy->patterns[i]);
		must(i == 0 ||
		     sl_pattern_compare(&policy->patterns[i - 1], &policy->patterns[i]) < 0);
	}
	check_prefixes(policy->allow, policy->n_allow);
	check_prefixes(policy->deny, policy->n_deny);
}

static void check_doc(const struct sl_policy_doc *doc)
{
	for (size_t i = 0; i < doc->n_entries; i++) {
		const struct sl_policy_entry *entry = &doc->entries[i];

		must(entry->vlan >= 1 && entry->vlan <= SL_POLICY_VLAN_MAX);
		must(i == 0 || doc->entries[i - 1].vlan < entry->vlan);
		must(sl_policy_doc_find(doc, entry->vlan) == entry);
		must(entry->name == NULL || strlen(entry->name) <= SL_POLICY_NAME_MAX);
		must(entry->has_source || entry->n_sources == 0);
		must(entry->policy != NULL);
		check_prefixes(entry->sources, entry->n_sources);
		check_policy(entry->policy);
	}
}

static void ignore_text(void *opaque, const char *text)
{
	must(strlen(text) > 0 && strchr(text, '\n') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_policy_doc *doc = NULL;
	struct sl_config config;
	struct sl_diag diag;
	int rc;

	sl_diag_init(&diag);
	rc = sl_policy_doc_read_buffer("f", (const char *)data, size, &diag, &doc);
	must((rc == 0) == (diag.errors == 0) && (rc == 0) == (doc != NULL));
	if (doc != NULL)
		check_doc(doc);
	sl_policy_doc_free(doc);
	sl_diag_each(&diag, SL_DIAG_ERROR, ignore_text, NULL);
	sl_diag_free(&diag);

	rc = sl_config_read_buffer("f", (const char *)data, size, SL_CONFIG_FOR_REPLAY, &diag,
	                           &config);
	must((rc == 0) == (diag.errors == 0) && (rc == 0) == (config.mem != NULL));
	check_prefixes(config.internal, config.n_internal);
	check_prefixes(config.protected, config.n_protected);
	check_prefixes(config.dns.resolvers, config.dns.n_resolvers);
	sl_config_fini(&config);
	sl_diag_each(&diag, SL_DIAG_ERROR, ignore_text, NULL);
	sl_diag_each(&diag, SL_DIAG_WARNING, ignore_text, NULL);
	sl_diag_free(&diag);
	return 0;
}
