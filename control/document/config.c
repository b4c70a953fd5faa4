/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c: the gateway's own config: its defaults, and reading it as a whole.
 *
 * A gateway must never start that protects less than its file says: one error refuses the file.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "config_keys.h"
#include "docmem.h"
#include "schema.h"
#include "yaml_tree.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const internal_defaults[] = {
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7",
};

/* Nothing opens these (spec: "protected ranges", built in); a config only adds to them. */
static const char *const protected_builtin[] = {
        "0.0.0.0/8",   "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "::/96",          "::ffff:0:0/96",
        "fe80::/10",   "ff00::/8",    "2001::/32",      "2002::/16",
};

/* The defaults of all keys that are not lists. */
static void set_defaults(struct sl_config *config)
{
	*config = (struct sl_config){
	        .workers = {.count = 1},
	        .dns = {.pinning = SL_CONFIG_PINNING_ENFORCE,
	                .pin_grace_s = 3600,
	                .refuse = SL_CONFIG_REFUSE_NXDOMAIN,
	                .mix_case = true,
	                .strip_ech = true},
	        .inspect = {.ech = SL_CONFIG_ECH_ALLOW,
	                    .http = SL_CONFIG_HTTP_DENY,
	                    .hello_max_bytes = 16384,
	                    .hello_timeout_s = 10},
	        .source_rule = true,
	        .limits = {.flows = 1048576,
	                   .flows_per_sandbox = 65536,
	                   .held_bytes = 67108864,
	                   .held_bytes_per_sandbox = 4194304,
	                   .held_bytes_per_flow = 65536,
	                   .pins = 1048576,
	                   .pins_per_sandbox = 4096,
	                   .dns_queries_per_sandbox = 1000,
	                   .events_per_sandbox = 1000},
	        .tables = {.prefixes = 16384, .tbl8_4 = 4096, .tbl8_6 = 16384},
	        .timeouts = {.tcp_established_s = 7440,
	                     .tcp_opening_s = 30,
	                     .tcp_closing_s = 10,
	                     .udp_s = 120,
	                     .dns_s = 10,
	                     .icmp_s = 60},
	        .control = {.socket = "/run/sluice/control.sock",
	                    .read_only_socket = "",
	                    .socket_mode = 0660,
	                    .socket_group = "sluice",
	                    .body_max = 64 << 20},
	        .machine = {.huge_pages = SL_CONFIG_HUGE_PAGES_AUTO,
	                    .control_lcore = -1,
	                    .idle_sleep_us = 50,
	                    .rx_descriptors = 1024,
	                    .tx_descriptors = 1024,
	                    .burst = 64,
	                    .mtu = 1500},
	};
}

static const struct sl_prefix *parse_list(struct sl_config *config, const char *const *texts,
                                          size_t n, size_t *n_out)
{
	struct sl_prefix *list = sl_docmem_alloc(config->mem, n, sizeof(*list));
	char why[160];

	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		sl_prefix_parse(texts[i], strlen(texts[i]), &list[i], why, sizeof(why));
	*n_out = sl_prefix_sort_unique(list, n);
	return list;
}

static bool set_default_lists(struct sl_config *config)
{
	config->internal = parse_list(config, internal_defaults, COUNT(internal_defaults),
	                              &config->n_internal);
	config->protected = parse_list(config, protected_builtin, COUNT(protected_builtin),
	                               &config->n_protected);
	return config->internal != NULL && config->protected != NULL;
}

int sl_config_read_yaml(const struct sl_yaml_doc *yaml, enum sl_config_use use,
                        struct sl_diag *diag, struct sl_config *config)
{
	struct sl_schema schema = {.file = yaml->file, .diag = diag};
	size_t errors = diag->errors;

	set_defaults(config);
	config->mem = schema.mem = sl_docmem_create();
	if (config->mem != NULL) {
		config->file = sl_docmem_copy(config->mem, yaml->file, strlen(yaml->file));
		schema.no_memory = config->file == NULL || !set_default_lists(config);
		sl_config_keys_read(config, &schema, yaml->root, use);
	}
	if (config->mem == NULL || schema.no_memory) {
		sl_diag_error(diag, yaml->file, 1, 1, "cannot read: %s", strerror(ENOMEM));
		sl_config_fini(config);
		return -ENOMEM;
	}
	if (diag->errors == errors)
		return 0;
	sl_config_fini(config);
	return -EINVAL;
}

/*
 * Takes over the tree. errors: the count before it was read; there may be a tree although some
 * were reported since.
 */
static int read_tree(struct sl_yaml_doc *yaml, enum sl_config_use use, size_t errors,
                     struct sl_diag *diag, struct sl_config *config)
{
	int rc = sl_config_read_yaml(yaml, use, diag, config);

	sl_yaml_doc_free(yaml);
	if (rc == 0 && diag->errors > errors) {
		sl_config_fini(config);
		rc = -EINVAL;
	}
	return rc;
}

int sl_config_read_file(const char *path, enum sl_config_use use, struct sl_diag *diag,
                        struct sl_config *config)
{
	size_t errors = diag->errors;
	struct sl_yaml_doc *yaml;
	int rc = sl_yaml_read_file(path, SL_CONFIG_FILE_MAX, diag, &yaml);

	memset(config, 0, sizeof(*config));
	return rc < 0 ? rc : read_tree(yaml, use, errors, diag, config);
}

int sl_config_read_buffer(const char *name, const char *bytes, size_t len, enum sl_config_use use,
                          struct sl_diag *diag, struct sl_config *config)
{
	size_t errors = diag->errors;
	struct sl_yaml_doc *yaml;
	int rc = sl_yaml_read_buffer(name, bytes, len, SL_CONFIG_FILE_MAX, diag, &yaml);

	memset(config, 0, sizeof(*config));
	return rc < 0 ? rc : read_tree(yaml, use, errors, diag, config);
}

int sl_config_init_replay(struct sl_config *config)
{
	set_defaults(config);
	config->mem = sl_docmem_create();
	if (config->mem == NULL)
		return -ENOMEM;
	config->dns.any = true;
	config->dns.pinning = SL_CONFIG_PINNING_OFF;
	config->source_rule = false;
	return 0;
}

void sl_config_fini(struct sl_config *config)
{
	sl_docmem_destroy(config->mem);
	memset(config, 0, sizeof(*config));
}

int sl_config_check_policy(const struct sl_config *config, const struct sl_policy_doc *doc,
                           struct sl_diag *diag)
{
	bool pins = config->dns.n_resolvers > 0 && config->dns.pinning != SL_CONFIG_PINNING_OFF;

	if (doc->by_address_line != 0 && !pins)
		sl_diag_error(
		        diag, doc->file, doc->by_address_line, doc->by_address_column,
		        "by-address opens what DNS answers give, so the gateway's config has "
		        "to name resolvers (dns.resolvers, not any), and dns.pinning must not "
		        "be off");
	if (doc->pattern_line == 0 || config->dns.any || config->dns.n_resolvers > 0)
		return doc->by_address_line != 0 && !pins ? -EINVAL : 0;
	sl_diag_error(diag, config->file != NULL ? config->file : "config",
	              config->dns_line != 0 ? config->dns_line : 1,
	              config->dns_line != 0 ? config->dns_column : 1,
	              "dns.resolvers is missing, but the policy in %s:%u:%u has domain patterns, "
	              "which need DNS; write dns: {resolvers: [203.0.113.53]} with your resolvers' "
	              "addresses, or dns: {resolvers: any}",
	              doc->file, doc->pattern_line, doc->pattern_column);
	return -EINVAL;
}
