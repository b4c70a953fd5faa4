/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c: `sluice check FILE...`: reads files with the gateway's own readers, and does nothing
 * else.
 *
 * Errors go to standard output, one a line, since they are the command's result; warnings go to
 * standard error. For a valid file it prints one line of summary.
 */
#include "check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document/config.h"
#include "document/foreign.h"
#include "document/nearest.h"
#include "document/policy.h"
#include "document/yaml_tree.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void summarise_policy(const struct sl_policy_doc *doc, char *out, size_t size)
{
	size_t modes[] = {
	        [SL_POLICY_DENY_ALL] = 0,
	        [SL_POLICY_CUSTOM] = 0,
	        [SL_POLICY_ALLOW_ALL] = 0,
	};

	for (size_t i = 0; i < doc->n_entries; i++)
		modes[doc->entries[i].policy->kind]++;
	snprintf(out, size,
	         "%zu sandbox%s (%zu allow-all, %zu custom, %zu deny-all), %zu pattern%s, "
	         "%zu subnet%s",
	         doc->n_entries, doc->n_entries == 1 ? "" : "es", modes[SL_POLICY_ALLOW_ALL],
	         modes[SL_POLICY_CUSTOM], modes[SL_POLICY_DENY_ALL], doc->n_patterns,
	         plural(doc->n_patterns), doc->n_prefixes, plural(doc->n_prefixes));
}

static void check_policy(const struct sl_yaml_doc *yaml, struct sl_diag *diag, char *summary,
                         size_t size)
{
	struct sl_policy_doc *doc;
	char counts[256];

	if (sl_policy_doc_read_yaml(yaml, diag, &doc) < 0)
		return;
	summarise_policy(doc, counts, sizeof(counts));
	snprintf(summary, size, "policy: %s", counts);
	sl_policy_doc_free(doc);
}

/*
 * A policy value alone, as it would follow `policy:`: Vercel's object, or a word. It is checked as
 * the policy of one sandbox.
 */
static void check_value(const struct sl_yaml_doc *yaml, struct sl_diag *diag, char *summary,
                        size_t size)
{
	static const char *const modes[] = {
	        [SL_POLICY_DENY_ALL] = "deny-all",
	        [SL_POLICY_CUSTOM] = "custom",
	        [SL_POLICY_ALLOW_ALL] = "allow-all",
	};
	struct sl_yaml_node value = *yaml->root;
	struct sl_yaml_node policy = {
	        .kind = SL_YAML_SCALAR, .plain = true, .n = 6, .text = "policy", .next = &value};
	struct sl_yaml_node number = {
	        .kind = SL_YAML_SCALAR, .plain = true, .n = 1, .text = "1", .next = &policy};
	struct sl_yaml_node vlan = {
	        .kind = SL_YAML_SCALAR, .plain = true, .n = 4, .text = "vlan", .next = &number};
	struct sl_yaml_node entry = {.kind = SL_YAML_MAPPING, .n = 2, .first = &vlan};
	struct sl_yaml_node list = {.kind = SL_YAML_LIST, .n = 1, .first = &entry};
	struct sl_yaml_node key = {
	        .kind = SL_YAML_SCALAR, .plain = true, .n = 9, .text = "sandboxes", .next = &list};
	struct sl_yaml_node root = {.kind = SL_YAML_MAPPING, .n = 1, .first = &key};
	struct sl_yaml_doc whole = {.file = yaml->file, .root = &root};
	struct sl_policy_doc *doc;

	value.next = NULL;
	if (sl_policy_doc_read_yaml(&whole, diag, &doc) < 0)
		return;
	snprintf(summary, size, "a policy value: %s, %zu pattern%s, %zu subnet%s",
	         modes[doc->entries[0].policy->kind], doc->n_patterns, plural(doc->n_patterns),
	         doc->n_prefixes, plural(doc->n_prefixes));
	sl_policy_doc_free(doc);
}

/* A config is checked together with the policy file that it names, as `sluice run` would. */
static void check_config(const struct sl_yaml_doc *yaml, struct sl_diag *diag, char *summary,
                         size_t size)
{
	char *policy = sl_config_find_policy(yaml);
	struct sl_policy_doc *doc = NULL;
	struct sl_config config;
	char counts[256];
	int rc = sl_config_read_yaml(yaml, SL_CONFIG_FOR_RUN, diag, &config);

	if (policy != NULL && sl_policy_doc_read_file(policy, diag, &doc) == 0 && rc == 0) {
		sl_config_check_policy(&config, doc, diag);
		summarise_policy(doc, counts, sizeof(counts));
		snprintf(summary, size, "gateway config: %u worker%s; policy %s: %s",
		         config.workers.count, plural(config.workers.count), policy, counts);
	}
	sl_policy_doc_free(doc);
	if (rc == 0)
		sl_config_fini(&config);
	free(policy);
}

static bool has_key(const struct sl_yaml_node *root, const char *const *keys, size_t n, bool near)
{
	if (root->kind != SL_YAML_MAPPING)
		return false;
	for (const struct sl_yaml_node *key = root->first; key != NULL; key = key->next->next)
		for (size_t i = 0; i < n && key->kind == SL_YAML_SCALAR; i++)
			if (strcmp(key->text, keys[i]) == 0 ||
			    (near && sl_nearest_distance(key->text, keys[i]) < SL_NEAREST_FAR))
				return true;
	return false;
}

/*
 * Decides by the keys, misspelt ones included: true if some are those of a policy value and none
 * those of a document.
 */
static bool is_value(const struct sl_yaml_node *root)
{
	static const char *const words[] = {"allow-all", "deny-all"};
	static const char *const keys[] = {"allow", "subnets", "by-address"};
	static const char *const document_keys[] = {"sandboxes", "policies"};

	if (root->kind == SL_YAML_SCALAR)
		return sl_nearest_word(root->text, words, COUNT(words)) != NULL;
	return has_key(root, keys, COUNT(keys), true) &&
	       !has_key(root, document_keys, COUNT(document_keys), true);
}

/* Decides by the keys: true if some are those of a config and none those of a policy. */
static bool is_config(const struct sl_yaml_node *root)
{
	static const char *const policy_keys[] = {"sandboxes", "policies"};
	static const char *const config_keys[] = {"ports",    "policy",   "workers", "dns",
	                                          "inspect",  "internal", "limits",  "protected",
	                                          "timeouts", "events"};

	return has_key(root, config_keys, COUNT(config_keys), false) &&
	       !has_key(root, policy_keys, COUNT(policy_keys), false);
}

/* Returns true if the file is valid. */
static bool check_file(const char *path)
{
	char summary[8192] = "";
	struct sl_yaml_doc *yaml;
	struct sl_diag diag;
	bool good;

	sl_diag_init(&diag);
	if (sl_yaml_read_file(path, SL_POLICY_FILE_MAX, &diag, &yaml) == 0) {
		if (sl_foreign_tell(yaml, &diag) > 0)
			; /* all its keys would be reported as unknown, which is the same error
			     again */
		else if (is_config(yaml->root))
			check_config(yaml, &diag, summary, sizeof(summary));
		else if (is_value(yaml->root))
			check_value(yaml, &diag, summary, sizeof(summary));
		else
			check_policy(yaml, &diag, summary, sizeof(summary));
		sl_yaml_doc_free(yaml);
	}
	good = diag.errors == 0;
	sl_diag_print(&diag, SL_DIAG_WARNING, stderr);
	sl_diag_print(&diag, SL_DIAG_ERROR, stdout);
	if (good)
		printf("%s: OK, %s\n", path, summary);
	sl_diag_free(&diag);
	return good;
}

static int usage(FILE *out)
{
	fputs("usage: sluice check FILE...\n"
	      "Checks policies and gateway configs; prints every error as file:line:column: "
	      "message.\n",
	      out);
	return out == stdout ? 0 : 2;
}

int sl_check_main(int argc, char **argv)
{
	int first = 1;
	bool good = true;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return usage(stdout);
	if (argc > 1 && strcmp(argv[1], "--") == 0)
		first = 2;
	else if (argc > 1 && argv[1][0] == '-') {
		fprintf(stderr, "sluice check: unknown option %s\n", argv[1]);
		return usage(stderr);
	}
	if (first >= argc)
		return usage(stderr);
	for (int i = first; i < argc; i++)
		good &= check_file(argv[i]);
	if (fflush(stdout) != 0)
		good = false;
	return good ? 0 : 1;
}
