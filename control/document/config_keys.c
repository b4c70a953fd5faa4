/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_keys.c: the keys of the gateway's config and the values that they take.
 *
 * Each section has one table with the name, field and range of every number. Defaults are not set
 * here. A file is taken as a whole or not at all: an unknown key or a value out of range refuses
 * it.
 */
#include "config_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <net/if.h>
#include <string.h>

#include "sluice/settings.h"

#include "docmem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define DEV_MAX         512 /* bytes of a device string or an EAL argument */
#define PATH_TEXT_MAX   4095
#define SOCKET_PATH_MAX 107
#define LCORE_MAX       1023
#define SECONDS_MAX     (24 * 86400) /* the worker compares milliseconds by the sign of 32 bits */
#define COUNT_MAX       (1u << 28)
#define RATE_MAX        1000000 /* a second; token buckets count in microseconds */
#define TABLES_MAX      (1u << 22)
#define BYTES_MAX       (1ull << 40)

struct reader {
	struct sl_schema schema;
	struct sl_config *config;
};

/* Reads one value into the config. */
typedef void (*read_fn)(struct reader *r, const struct sl_yaml_node *node, const char *what);

/*
 * A key of a mapping: either a number for a field of the config, at an offset and with a range, or
 * a value that read() handles.
 */
struct key {
	const char *name;
	read_fn read; /* NULL: a number */
	size_t offset;
	size_t size; /* of the field */
	uint64_t min;
	uint64_t max;
};

#define NUMBER(key_name, field, least, most)                                                       \
	{                                                                                          \
		.name = key_name, .offset = offsetof(struct sl_config, field),                     \
		.size = sizeof(((struct sl_config *)0)->field), .min = least, .max = most          \
	}

static void store_number(struct sl_config *config, const struct key *key, uint64_t value)
{
	char *field = (char *)config + key->offset;
	uint16_t value16 = (uint16_t)value;
	uint32_t value32 = (uint32_t)value;

	if (key->size == sizeof(value16))
		memcpy(field, &value16, sizeof(value16));
	else if (key->size == sizeof(value32))
		memcpy(field, &value32, sizeof(value32));
	else
		memcpy(field, &value, sizeof(value));
}

/* A mapping of n keys by its table; section is its name followed by a dot, "" at the top. */
static bool read_keys(struct reader *r, const struct sl_yaml_node *node, const char *what,
                      const char *section, const struct key *keys, size_t n)
{
	const struct sl_yaml_node *values[SL_SCHEMA_KEYS_MAX];
	const char *names[SL_SCHEMA_KEYS_MAX] = {0};
	char full[64];

	for (size_t i = 0; i < n; i++)
		names[i] = keys[i].name;
	if (!sl_schema_mapping(&r->schema, node, what, names, n, values))
		return false;
	for (size_t i = 0; i < n; i++) {
		uint64_t number;

		if (values[i] == NULL)
			continue;
		snprintf(full, sizeof(full), "%s%s", section, keys[i].name);
		if (keys[i].read != NULL)
			keys[i].read(r, values[i], full);
		else if (sl_schema_number(&r->schema, values[i], full, keys[i].min, keys[i].max,
		                          &number))
			store_number(r->config, &keys[i], number);
	}
	return true;
}

/* The length of the file's directory in its name, with the slash. */
static int directory_length(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash == NULL ? 0 : (int)(slash - file) + 1;
}

/* A path; a relative one starts in the config file's directory. */
static const char *read_path(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	int directory = directory_length(r->schema.file);
	const char *text = NULL;
	char *joined;

	if (!sl_schema_text(&r->schema, node, what, PATH_TEXT_MAX, &text))
		return NULL;
	if (text[0] == '/')
		return text;
	joined = sl_docmem_alloc(r->schema.mem, (size_t)directory + node->n + 1, 1);
	if (joined == NULL) {
		r->schema.no_memory = true;
		return NULL;
	}
	memcpy(joined, r->schema.file, (size_t)directory);
	memcpy(joined + directory, text, node->n);
	return joined;
}

/* ---- ports and workers ---- */

/*
 * PCI addresses have colons, and DPDK's vdevs an underscore (net_af_packet0). A name that the
 * kernel knows is an interface in any case.
 */
static bool is_kernel_name(const char *dev)
{
	return strpbrk(dev, ":,_") == NULL || if_nametoindex(dev) != 0;
}

static void read_port(struct reader *r, const struct sl_yaml_node *node, const char *what,
                      struct sl_config_port *port)
{
	static const char *const keys[] = {"dev", "native-vlan"};
	const struct sl_yaml_node *values[COUNT(keys)];
	char full[64];
	uint64_t vlan;

	if (!sl_schema_mapping(&r->schema, node, what, keys, COUNT(keys), values))
		return;
	snprintf(full, sizeof(full), "%s.dev", what);
	if (values[0] == NULL)
		sl_schema_error(&r->schema, node,
		                "%s: dev is missing; write a PCI address or a DPDK vdev", what);
	else if (sl_schema_text(&r->schema, values[0], full, DEV_MAX, &port->dev) &&
	         is_kernel_name(port->dev))
		sl_schema_error(
		        &r->schema, values[0],
		        "%s: %s is the name of a kernel interface; write "
		        "\"net_af_packet%u,iface=%s\", or the PCI address of a device that is "
		        "bound to a DPDK driver",
		        full, port->dev, port == &r->config->uplink, port->dev);
	snprintf(full, sizeof(full), "%s.native-vlan", what);
	if (values[1] != NULL &&
	    sl_schema_number(&r->schema, values[1], full, 1, SL_POLICY_VLAN_MAX, &vlan))
		port->native_vlan = (uint16_t)vlan;
}

static void read_ports(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const char *const keys[] = {"sandbox", "uplink"};
	const struct sl_yaml_node *values[COUNT(keys)];
	struct sl_config_port *ports[] = {&r->config->sandbox, &r->config->uplink};
	static const char *const names[] = {"ports.sandbox", "ports.uplink"};

	if (!sl_schema_mapping(&r->schema, node, what, keys, COUNT(keys), values))
		return;
	for (size_t i = 0; i < COUNT(keys); i++) {
		if (values[i] == NULL)
			sl_schema_error(&r->schema, node, "ports: %s is missing", keys[i]);
		else
			read_port(r, values[i], names[i], ports[i]);
	}
	if (ports[0]->dev != NULL && ports[1]->dev != NULL &&
	    strcmp(ports[0]->dev, ports[1]->dev) == 0)
		sl_schema_error(&r->schema, values[1],
		                "ports.uplink: the same device as ports.sandbox");
}

static void read_lcores(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	uint16_t *lcores = sl_docmem_alloc(r->schema.mem, node->n, sizeof(*lcores));
	bool seen[LCORE_MAX + 1] = {false};
	unsigned n = 0;

	if (lcores == NULL) {
		r->schema.no_memory = true;
		return;
	}
	if (node->n == 0 || node->n > SL_WORKERS_MAX) {
		sl_schema_error(&r->schema, node, "%s: 1 to %d lcores, not %u", what,
		                SL_WORKERS_MAX, node->n);
		return;
	}
	for (const struct sl_yaml_node *item = node->first; item != NULL; item = item->next) {
		uint64_t lcore;

		if (!sl_schema_number(&r->schema, item, what, 0, LCORE_MAX, &lcore))
			continue;
		if (seen[lcore])
			sl_schema_error(&r->schema, item, "%s: lcore %u is listed twice", what,
			                (unsigned)lcore);
		seen[lcore] = true;
		lcores[n++] = (uint16_t)lcore;
	}
	r->config->workers.count = n;
	r->config->workers.lcores = lcores;
}

static void read_workers(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	uint64_t count;

	if (node->kind == SL_YAML_LIST)
		read_lcores(r, node, what);
	else if (sl_schema_number(&r->schema, node, what, 1, SL_WORKERS_MAX, &count))
		r->config->workers.count = (unsigned)count;
}

static void read_control_lcore(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	uint64_t lcore;

	if (sl_schema_number(&r->schema, node, what, 0, LCORE_MAX, &lcore))
		r->config->machine.control_lcore = (int)lcore;
}

static void read_huge_pages(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const char *const words[] = {
	        [SL_CONFIG_HUGE_PAGES_AUTO] = "auto",
	        [SL_CONFIG_HUGE_PAGES_REQUIRE] = "true",
	        [SL_CONFIG_HUGE_PAGES_NONE] = "false",
	};
	unsigned word;

	if (sl_schema_word(&r->schema, node, what, words, COUNT(words), &word))
		r->config->machine.huge_pages = (enum sl_config_huge_pages)word;
}

static void read_eal_args(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	const char **args;
	size_t n = 0;

	if (!sl_schema_list(&r->schema, node, what))
		return;
	args = sl_docmem_alloc(r->schema.mem, node->n, sizeof(*args));
	if (args == NULL) {
		r->schema.no_memory = true;
		return;
	}
	for (const struct sl_yaml_node *item = node->first; item != NULL; item = item->next)
		if (sl_schema_text(&r->schema, item, what, DEV_MAX, &args[n]))
			n++;
	r->config->machine.eal_args = args;
	r->config->machine.n_eal_args = n;
}

static const struct sl_yaml_node *find_key(const struct sl_yaml_node *mapping, const char *name)
{
	const struct sl_yaml_node *key;

	for (key = mapping->first; key != NULL; key = key->next->next)
		if (key->kind == SL_YAML_SCALAR && strcmp(key->text, name) == 0)
			return key;
	return NULL;
}

/* ---- policy and events ---- */

static void read_state(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	r->config->state = read_path(r, node, what);
}

/* A file, or {state: FOLDER}: the policy then comes by the API. */
static void read_policy(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const struct key keys[] = {{.name = "state", .read = read_state}};

	if (node->kind != SL_YAML_MAPPING)
		r->config->policy = read_path(r, node, what);
	else if (find_key(node, "state") != NULL)
		read_keys(r, node, what, "policy.", keys, COUNT(keys));
	else
		sl_schema_error(&r->schema, node,
		                "%s: the path of a policy file, or {state: FOLDER}, was expected, "
		                "not a policy",
		                what);
}

/* A socket's path, which is shorter than a file's (unix(7)). */
static const char *read_socket_path(struct reader *r, const struct sl_yaml_node *node,
                                    const char *what)
{
	const char *path = read_path(r, node, what);

	if (path == NULL || strlen(path) <= SOCKET_PATH_MAX)
		return path;
	sl_schema_error(&r->schema, node, "%s: the path of a socket has at most %d bytes", what,
	                SOCKET_PATH_MAX);
	return NULL;
}

static void read_events_file(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	if (node->kind == SL_YAML_SCALAR && strcmp(node->text, "-") == 0)
		r->config->events = "-";
	else
		r->config->events = read_path(r, node, what);
}

/* `true`: where syslog and journald listen; or the path of a socket. */
static void read_events_syslog(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	bool on = false;

	if (node->kind != SL_YAML_SCALAR || !node->plain ||
	    (strcmp(node->text, "true") != 0 && strcmp(node->text, "false") != 0))
		r->config->syslog = read_socket_path(r, node, what);
	else if (sl_schema_bool(&r->schema, node, what, &on) && on)
		r->config->syslog = "/dev/log";
	else
		r->config->syslog = NULL;
}

static void read_events(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const struct key keys[] = {
	        {.name = "file", .read = read_events_file},
	        {.name = "syslog", .read = read_events_syslog},
	};

	read_keys(r, node, what, "events.", keys, COUNT(keys));
}

/* A path; "" is none. */
static const char *read_path_or_none(struct reader *r, const struct sl_yaml_node *node,
                                     const char *what)
{
	if (node->kind == SL_YAML_SCALAR && node->n == 0)
		return "";
	return read_path(r, node, what);
}

/* ---- control ---- */

static void read_socket(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	r->config->control.socket = read_path_or_none(r, node, what);
}

static void read_read_only_socket(struct reader *r, const struct sl_yaml_node *node,
                                  const char *what)
{
	r->config->control.read_only_socket = read_path_or_none(r, node, what);
}

/* Permissions in octal, as chmod(1) takes them. */
static void read_socket_mode(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	const char *text = NULL;
	char *end;
	unsigned long mode;

	if (!sl_schema_text(&r->schema, node, what, 4, &text))
		return;
	mode = strtoul(text, &end, 8);
	if (*end != '\0' || mode > 0777 || text[0] == '-')
		sl_schema_error(&r->schema, node,
		                "%s: octal permissions were expected, as \"0660\"", what);
	else
		r->config->control.socket_mode = (uint32_t)mode;
}

static void read_socket_group(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	sl_schema_text(&r->schema, node, what, 64, &r->config->control.socket_group);
}

static void read_tls_listen(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	const char *text = NULL;

	if (sl_schema_text(&r->schema, node, what, 64, &text) &&
	    !sl_endpoint_read(text, &r->config->control.tls.listen))
		sl_schema_error(&r->schema, node,
		                "%s: an address and a port were expected, as \"[::]:8443\"", what);
}

static void read_tls_cert(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	r->config->control.tls.cert = read_path(r, node, what);
}

static void read_tls_key(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	r->config->control.tls.key = read_path(r, node, what);
}

static void read_tls_client_ca(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	r->config->control.tls.client_ca = read_path(r, node, what);
}

static void read_client(struct reader *r, const struct sl_yaml_node *key, const char *what,
                        struct sl_config_client *client)
{
	const struct sl_yaml_node *value = key->next;
	const char *vlans = NULL;

	sl_schema_text(&r->schema, key, what, 255, &client->subject);
	if (sl_schema_text(&r->schema, value, what, 1024, &vlans) &&
	    !sl_vlan_set_read(vlans, &client->vlans))
		sl_schema_error(&r->schema, value, "%s: VLANs were expected, as \"101-200, 300\"",
		                what);
}

static void read_tls_clients(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	struct sl_config_client *clients;
	const struct sl_yaml_node *key = node->first;

	if (node->kind != SL_YAML_MAPPING) {
		if (node->kind != SL_YAML_BROKEN)
			sl_schema_error(&r->schema, node,
			                "%s: a mapping of subjects to VLANs was expected", what);
		return;
	}
	clients = sl_docmem_alloc(r->schema.mem, node->n, sizeof(*clients));
	if (clients == NULL) {
		r->schema.no_memory = true;
		return;
	}
	for (size_t i = 0; i < node->n; i++, key = key->next->next)
		read_client(r, key, what, &clients[i]);
	r->config->control.tls.bound = true;
	r->config->control.tls.clients = clients;
	r->config->control.tls.n_clients = node->n;
}

static void read_tls(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const struct key keys[] = {
	        {.name = "listen", .read = read_tls_listen},
	        {.name = "cert", .read = read_tls_cert},
	        {.name = "key", .read = read_tls_key},
	        {.name = "client-ca", .read = read_tls_client_ca},
	        {.name = "clients", .read = read_tls_clients},
	};
	uint32_t before = r->schema.diag->errors;

	if (!read_keys(r, node, what, "control.tls.", keys, COUNT(keys)) ||
	    r->schema.diag->errors > before)
		return;
	if (r->config->control.tls.listen.port == 0 || r->config->control.tls.cert == NULL ||
	    r->config->control.tls.key == NULL || r->config->control.tls.client_ca == NULL)
		sl_schema_error(&r->schema, node, "%s: listen, cert, key and client-ca are needed",
		                what);
}

static void read_control(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const struct key keys[] = {
	        {.name = "socket", .read = read_socket},
	        {.name = "socket-mode", .read = read_socket_mode},
	        {.name = "socket-group", .read = read_socket_group},
	        {.name = "read-only-socket", .read = read_read_only_socket},
	        NUMBER("body-max", control.body_max, 1024, 1u << 30),
	        {.name = "tls", .read = read_tls},
	};

	read_keys(r, node, what, "control.", keys, COUNT(keys));
}

/* ---- dns ---- */

/* An address that no host can answer from. */
static bool is_no_host(const struct sl_prefix *address)
{
	static const struct sl_prefix zero;

	if (memcmp(address->addr, zero.addr, sizeof(zero.addr)) == 0)
		return true;
	return address->family == 4 ? address->addr[0] >= 224 : address->addr[0] == 0xff;
}

static void read_resolvers(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	struct sl_config *config = r->config;
	char text[SL_PREFIX_TEXT_MAX];

	if (node->kind == SL_YAML_SCALAR) {
		config->dns.any = strcmp(node->text, "any") == 0;
		if (!config->dns.any)
			sl_schema_error(&r->schema, node,
			                "%s: a list of addresses was expected, or any", what);
		return;
	}
	sl_schema_prefixes(&r->schema, node, what, SL_SCHEMA_ADDRESSES, NULL, 0,
	                   &config->dns.resolvers, &config->dns.n_resolvers);
	for (size_t i = 0; i < config->dns.n_resolvers; i++)
		if (is_no_host(&config->dns.resolvers[i]))
			sl_schema_error(&r->schema, node, "%s: %s is no host's address", what,
			                sl_prefix_format(&config->dns.resolvers[i], text));
	if (config->dns.n_resolvers > SL_RESOLVERS_MAX)
		sl_schema_error(&r->schema, node, "%s: %zu addresses, but at most %d are taken",
		                what, config->dns.n_resolvers, SL_RESOLVERS_MAX);
}

static void read_pinning(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const char *const words[] = {
	        [SL_CONFIG_PINNING_ENFORCE] = "enforce",
	        [SL_CONFIG_PINNING_LOG] = "log",
	        [SL_CONFIG_PINNING_OFF] = "off",
	};
	unsigned word;

	if (sl_schema_word(&r->schema, node, what, words, COUNT(words), &word))
		r->config->dns.pinning = (enum sl_config_pinning)word;
}

static void read_refuse(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const char *const words[] = {
	        [SL_CONFIG_REFUSE_REFUSED] = "refused",
	        [SL_CONFIG_REFUSE_NXDOMAIN] = "nxdomain",
	};
	unsigned word;

	if (sl_schema_word(&r->schema, node, what, words, COUNT(words), &word))
		r->config->dns.refuse = (enum sl_config_refuse)word;
}

static void read_mix_case(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	sl_schema_bool(&r->schema, node, what, &r->config->dns.mix_case);
}

static void read_strip_ech(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	sl_schema_bool(&r->schema, node, what, &r->config->dns.strip_ech);
}

static void read_keep_pins(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	r->config->dns.keep_pins = read_path_or_none(r, node, what);
}

/* Beside the policy, where the gateway keeps that itself. */
static void settle_keep_pins(struct reader *r)
{
	static const char name[] = "/pins";
	struct sl_config *config = r->config;
	size_t n = config->state != NULL ? strlen(config->state) : 0;
	char *path;

	if (config->dns.keep_pins != NULL)
		return;
	config->dns.keep_pins = "";
	if (n == 0)
		return;
	path = sl_docmem_alloc(r->schema.mem, n + sizeof(name), 1);
	r->schema.no_memory |= path == NULL;
	if (path == NULL)
		return;
	memcpy(path, config->state, n);
	memcpy(path + n, name, sizeof(name));
	config->dns.keep_pins = path;
}

/*
 * If any resolver is allowed, a sandbox can ask one of its own and get any address pinned: pinning
 * would give no protection.
 */
static void settle_pinning(struct reader *r, const struct sl_yaml_node *dns)
{
	const struct sl_yaml_node *pinning = find_key(dns, "pinning");
	const struct sl_yaml_node *resolvers = find_key(dns, "resolvers");
	struct sl_config *config = r->config;

	if (!config->dns.any)
		return;
	if (pinning == NULL) {
		config->dns.pinning = SL_CONFIG_PINNING_OFF;
		sl_diag_warning(r->schema.diag, r->schema.file, resolvers->line, resolvers->column,
		                "dns.resolvers: any turns pinning off, since a sandbox could ask a "
		                "resolver of its own; write \"pinning: off\" to say that it is "
		                "meant");
	} else if (config->dns.pinning == SL_CONFIG_PINNING_ENFORCE &&
	           pinning->next->kind == SL_YAML_SCALAR &&
	           strcmp(pinning->next->text, "enforce") == 0) {
		sl_schema_error(&r->schema, pinning->next,
		                "dns.pinning: enforce needs a list of resolvers; with any, a "
		                "sandbox could ask a resolver of its own");
	}
}

static void read_dns(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const struct key keys[] = {
	        {.name = "resolvers", .read = read_resolvers},
	        {.name = "pinning", .read = read_pinning},
	        NUMBER("pin-grace", dns.pin_grace_s, 0, SECONDS_MAX),
	        {.name = "refuse", .read = read_refuse},
	        {.name = "mix-case", .read = read_mix_case},
	        {.name = "strip-ech", .read = read_strip_ech},
	        {.name = "keep-pins", .read = read_keep_pins},
	};

	r->config->dns_line = node->line;
	r->config->dns_column = node->column;
	if (read_keys(r, node, what, "dns.", keys, COUNT(keys)))
		settle_pinning(r, node);
}

/* ---- the other sections ---- */

static void read_ech(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const char *const words[] = {
	        [SL_CONFIG_ECH_ALLOW] = "allow",
	        [SL_CONFIG_ECH_DENY] = "deny",
	};
	unsigned word;

	if (sl_schema_word(&r->schema, node, what, words, COUNT(words), &word))
		r->config->inspect.ech = (enum sl_config_ech)word;
}

static void read_http(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const char *const words[] = {
	        [SL_CONFIG_HTTP_DENY] = "deny",
	        [SL_CONFIG_HTTP_HOST] = "host",
	};
	unsigned word;

	if (sl_schema_word(&r->schema, node, what, words, COUNT(words), &word))
		r->config->inspect.http = (enum sl_config_http)word;
}

static void read_inspect(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const struct key keys[] = {
	        {.name = "ech", .read = read_ech},
	        {.name = "http", .read = read_http},
	        NUMBER("hello-max", inspect.hello_max_bytes, 512, 65535),
	        NUMBER("hello-timeout", inspect.hello_timeout_s, 1, 3600),
	};

	read_keys(r, node, what, "inspect.", keys, COUNT(keys));
}

static void read_limits(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const struct key keys[] = {
	        NUMBER("flows", limits.flows, 1, COUNT_MAX),
	        NUMBER("flows-per-sandbox", limits.flows_per_sandbox, 1, COUNT_MAX),
	        NUMBER("held-bytes", limits.held_bytes, 1, BYTES_MAX),
	        NUMBER("held-bytes-per-sandbox", limits.held_bytes_per_sandbox, 1, BYTES_MAX),
	        NUMBER("held-bytes-per-flow", limits.held_bytes_per_flow, 1, BYTES_MAX),
	        NUMBER("pins", limits.pins, 1, COUNT_MAX),
	        NUMBER("pins-per-sandbox", limits.pins_per_sandbox, 1, COUNT_MAX),
	        NUMBER("dns-queries-per-sandbox", limits.dns_queries_per_sandbox, 1, RATE_MAX),
	        NUMBER("events-per-sandbox", limits.events_per_sandbox, 1, RATE_MAX),
	};

	read_keys(r, node, what, "limits.", keys, COUNT(keys));
}

static void read_timeouts(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const struct key keys[] = {
	        NUMBER("tcp-established", timeouts.tcp_established_s, 1, SECONDS_MAX),
	        NUMBER("tcp-opening", timeouts.tcp_opening_s, 1, SECONDS_MAX),
	        NUMBER("tcp-closing", timeouts.tcp_closing_s, 1, SECONDS_MAX),
	        NUMBER("udp", timeouts.udp_s, 1, SECONDS_MAX),
	        NUMBER("dns", timeouts.dns_s, 1, SECONDS_MAX),
	        NUMBER("icmp", timeouts.icmp_s, 1, SECONDS_MAX),
	};

	read_keys(r, node, what, "timeouts.", keys, COUNT(keys));
}

static void read_tables(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	static const struct key keys[] = {
	        NUMBER("prefixes", tables.prefixes, 64, TABLES_MAX),
	        NUMBER("tbl8-4", tables.tbl8_4, 64, TABLES_MAX),
	        NUMBER("tbl8-6", tables.tbl8_6, 64, TABLES_MAX),
	};

	read_keys(r, node, what, "tables.", keys, COUNT(keys));
}

static void read_internal(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	sl_schema_prefixes(&r->schema, node, what, SL_SCHEMA_PREFIXES, NULL, 0,
	                   &r->config->internal, &r->config->n_internal);
}

static void read_protected(struct reader *r, const struct sl_yaml_node *node, const char *what)
{
	sl_schema_prefixes(&r->schema, node, what, SL_SCHEMA_PREFIXES, r->config->protected,
	                   r->config->n_protected, &r->config->protected, &r->config->n_protected);
}

/* ---- the whole document ---- */

static const struct key top_keys[] = {
        {.name = "ports", .read = read_ports},
        {.name = "workers", .read = read_workers},
        {.name = "policy", .read = read_policy},
        {.name = "control", .read = read_control},
        {.name = "dns", .read = read_dns},
        {.name = "inspect", .read = read_inspect},
        {.name = "internal", .read = read_internal},
        {.name = "protected", .read = read_protected},
        {.name = "limits", .read = read_limits},
        {.name = "tables", .read = read_tables},
        {.name = "timeouts", .read = read_timeouts},
        {.name = "events", .read = read_events},
        {.name = "control-lcore", .read = read_control_lcore},
        {.name = "huge-pages", .read = read_huge_pages},
        NUMBER("memory", machine.memory_mib, 64, 1u << 20),
        {.name = "eal-args", .read = read_eal_args},
        NUMBER("idle-sleep", machine.idle_sleep_us, 0, 100),
        NUMBER("rx-descriptors", machine.rx_descriptors, 64, 16384),
        NUMBER("tx-descriptors", machine.tx_descriptors, 64, 16384),
        NUMBER("burst", machine.burst, 1, 64),
        NUMBER("mbufs", machine.mbufs, 1024, 1u << 24),
        NUMBER("mtu", machine.mtu, 1280, 9600),
};

/* The keys that `run` requires. */
static void check_required(struct reader *r, const struct sl_yaml_node *root)
{
	if (root->kind != SL_YAML_MAPPING)
		return;
	if (find_key(root, "ports") == NULL)
		sl_schema_error(&r->schema, root,
		                "ports is missing; write ports: {sandbox: {dev: ...}, uplink: "
		                "{dev: ...}}");
	if (find_key(root, "policy") == NULL)
		sl_schema_error(&r->schema, root,
		                "policy is missing; write the path of the policy file, or {state: "
		                "FOLDER} for a policy that comes by the API");
}

void sl_config_keys_read(struct sl_config *config, struct sl_schema *schema,
                         const struct sl_yaml_node *root, enum sl_config_use use)
{
	struct reader r = {.schema = *schema, .config = config};

	read_keys(&r, root, "the gateway's config", "", top_keys, COUNT(top_keys));
	if (use == SL_CONFIG_FOR_RUN)
		check_required(&r, root);
	settle_keep_pins(&r);
	schema->no_memory |= r.schema.no_memory;
}

char *sl_config_find_policy(const struct sl_yaml_doc *yaml)
{
	const struct sl_yaml_node *key =
	        yaml->root->kind == SL_YAML_MAPPING ? find_key(yaml->root, "policy") : NULL;
	char *path;

	if (key == NULL || key->next->kind != SL_YAML_SCALAR || key->next->n == 0)
		return NULL;
	if (key->next->text[0] == '/')
		return strdup(key->next->text);
	if (asprintf(&path, "%.*s%s", directory_length(yaml->file), yaml->file, key->next->text) <
	    0)
		return NULL;
	return path;
}
