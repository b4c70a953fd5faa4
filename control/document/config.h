/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h: the gateway's own configuration.
 *
 * Decides the default of every key and what values a key takes. config/sluice.yaml explains what
 * each key means; nothing here acts on a value.
 */
#ifndef SLUICE_CONTROL_CONFIG_H
#define SLUICE_CONTROL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diag.h"
#include "policy.h"
#include "endpoint.h"
#include "prefix.h"
#include "vlan_set.h"

#define SL_CONFIG_FILE_MAX SL_POLICY_FILE_MAX /* bytes of a config file */

struct sl_docmem;
struct sl_yaml_doc;

/* What a file is read for: `run` must have `ports` and `policy`, `replay` needs neither. */
enum sl_config_use { SL_CONFIG_FOR_RUN = 0, SL_CONFIG_FOR_REPLAY };

enum sl_config_pinning {
	SL_CONFIG_PINNING_ENFORCE = 0,
	SL_CONFIG_PINNING_LOG,
	SL_CONFIG_PINNING_OFF,
};

enum sl_config_refuse { SL_CONFIG_REFUSE_REFUSED = 0, SL_CONFIG_REFUSE_NXDOMAIN };

enum sl_config_ech { SL_CONFIG_ECH_ALLOW = 0, SL_CONFIG_ECH_DENY };
enum sl_config_http { SL_CONFIG_HTTP_DENY = 0, SL_CONFIG_HTTP_HOST };

enum sl_config_huge_pages {
	SL_CONFIG_HUGE_PAGES_AUTO = 0, /* if there are enough free ones, else none */
	SL_CONFIG_HUGE_PAGES_REQUIRE,  /* `true` */
	SL_CONFIG_HUGE_PAGES_NONE,     /* `false` */
};

struct sl_config_port {
	const char *dev;      /* PCI address or DPDK vdev string; NULL only for replay */
	uint16_t native_vlan; /* 0: none */
};

struct sl_config_workers {
	unsigned count;
	const uint16_t *lcores; /* count of them, or NULL: the gateway chooses */
};

/* A client of the API by TLS. */
struct sl_config_client {
	const char *subject;      /* of its certificate (RFC 4514) */
	struct sl_vlan_set vlans; /* whose sandboxes it may push */
};

/*
 * Lists are sorted without repetitions. Strings and lists belong to the config. It is read-only
 * once it has been read.
 */
struct sl_config {
	const char *file; /* as messages print it; NULL for sl_config_init_replay() */

	struct sl_config_port sandbox;
	struct sl_config_port uplink;
	struct sl_config_workers workers;
	/* Who is in charge: one of the two. Paths, already relative to the config's directory. */
	const char *policy; /* a file, which is watched; NULL: none */
	const char *state;  /* the API, whose pushes are kept in this folder; NULL: none */

	struct {
		const char *socket;           /* path; "": no API */
		const char *read_only_socket; /* path; "": none */
		uint32_t socket_mode;         /* permissions of both */
		const char *socket_group;     /* who may use them, if there is such a group */
		uint64_t body_max;            /* bytes of a request */
		struct {
			struct sl_endpoint listen; /* port 0: not by TCP */
			const char *cert;          /* paths */
			const char *key;
			const char *client_ca;
			bool bound; /* only these may push; false: all that client_ca vouches for */
			const struct sl_config_client *clients;
			size_t n_clients;
		} tls;
	} control;

	struct {
		bool any;                          /* every address is a resolver */
		const struct sl_prefix *resolvers; /* full-length prefixes; none if any */
		size_t n_resolvers;
		enum sl_config_pinning pinning;
		uint32_t pin_grace_s;
		enum sl_config_refuse refuse;
		bool mix_case;
		bool strip_ech;
		const char *keep_pins; /* path; "": pins end with the gateway */
	} dns;

	struct {
		enum sl_config_ech ech;
		enum sl_config_http http;
		uint32_t hello_max_bytes;
		uint32_t hello_timeout_s;
	} inspect;

	bool source_rule; /* false: any source address is a sandbox's own, unless it has `source` */
	const struct sl_prefix *internal;
	size_t n_internal;
	const struct sl_prefix *protected; /* the built-in list and the file's additions */
	size_t n_protected;

	struct {
		uint32_t flows;
		uint32_t flows_per_sandbox;
		uint64_t held_bytes;
		uint64_t held_bytes_per_sandbox;
		uint64_t held_bytes_per_flow;
		uint32_t pins;
		uint32_t pins_per_sandbox;
		uint32_t dns_queries_per_sandbox; /* a second */
		uint32_t events_per_sandbox;      /* a second */
	} limits;

	/* Room in the address tables, of each of the two copies (control/compile/table_copy.h). */
	struct {
		uint32_t prefixes;
		uint32_t tbl8_4;
		uint32_t tbl8_6;
	} tables;

	struct {
		uint32_t tcp_established_s;
		uint32_t tcp_opening_s;
		uint32_t tcp_closing_s;
		uint32_t udp_s;
		uint32_t dns_s;
		uint32_t icmp_s;
	} timeouts;

	const char *syslog; /* path of the socket that events are sent to; NULL: none */
	const char *events; /* path, already relative to the config's directory; "-"; NULL: none */

	/* What the gateway uses of the machine. */
	struct {
		enum sl_config_huge_pages huge_pages;
		uint32_t memory_mib; /* 0: what the limits need */
		const char *const *eal_args;
		size_t n_eal_args;
		int control_lcore;      /* -1: the gateway chooses */
		uint32_t idle_sleep_us; /* 0: never sleep */
		uint16_t rx_descriptors;
		uint16_t tx_descriptors;
		uint16_t burst;
		uint32_t mbufs; /* 0: what the limits and the queues need */
		uint16_t mtu;   /* bytes of the largest IP packet */
	} machine;

	/* Where messages about `dns.resolvers` point to. */
	uint32_t dns_line;
	uint32_t dns_column;

	struct sl_docmem *mem;
};

/*
 * Reads a config file, or len bytes that messages call name (relative paths are then relative to
 * name's directory). Fills *config; sl_config_fini() frees it. Returns 0, or -errno with at least
 * one error in diag, and then *config is empty. There may be warnings in either case.
 */
int sl_config_read_file(const char *path, enum sl_config_use use, struct sl_diag *diag,
                        struct sl_config *config);
int sl_config_read_buffer(const char *name, const char *bytes, size_t len, enum sl_config_use use,
                          struct sl_diag *diag, struct sl_config *config);

/* The same from a tree, which it does not keep. */
int sl_config_read_yaml(const struct sl_yaml_doc *yaml, enum sl_config_use use,
                        struct sl_diag *diag, struct sl_config *config);

/*
 * The path of the policy file that the config names, even if the rest of the config is invalid, so
 * that `check` can report the errors of both; NULL if there is none. The caller frees it.
 */
char *sl_config_find_policy(const struct sl_yaml_doc *yaml);

/*
 * What `replay` without --config uses: the defaults, but pinning off, any resolver, no internal or
 * protected ranges, no source rule. Returns 0 or -ENOMEM.
 */
int sl_config_init_replay(struct sl_config *config);

/* Frees what the config points to and zeroes it. A zeroed config is fine. */
void sl_config_fini(struct sl_config *config);

/*
 * Checks config and policy against each other: a policy with patterns needs a config with
 * resolvers, and one with by-address needs pins. Returns 0, or -EINVAL with the errors in diag.
 * Also to be called for every pushed policy.
 */
int sl_config_check_policy(const struct sl_config *config, const struct sl_policy_doc *doc,
                           struct sl_diag *diag);

#endif
