/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * settings.h: the part of the gateway's own config that workers need. Control fills it in before it
 * creates the workers; it never changes while they run.
 */
#ifndef SLUICE_SETTINGS_H
#define SLUICE_SETTINGS_H

#include "sluice/addr.h"

#define SL_WORKERS_MAX   64
#define SL_RESOLVERS_MAX 16

enum sl_pinning {
	SL_PINNING_ENFORCE = 0,
	SL_PINNING_LOG,
	SL_PINNING_OFF,
};

struct sl_settings {
	/* dns */
	struct sl_addr resolvers[SL_RESOLVERS_MAX];
	unsigned resolver_count;
	bool resolver_any; /* `resolvers: any` */
	enum sl_pinning pinning;
	uint32_t pin_grace_s;
	bool refuse_nxdomain; /* `refuse: nxdomain` instead of REFUSED */
	bool strip_ech;
	bool dns_mix_case; /* `mix-case`: queries leave in random letter case, and answers must
	                      repeat it */
	bool dns_rewrite; /* queries leave with random id and case; off in replay, where the answers
	                     are captured */

	/* inspect */
	bool ech_deny;
	bool http_host; /* plain HTTP is judged by its Host; otherwise it is `not-tls` */
	uint32_t hello_max_bytes;
	uint32_t hello_timeout_ms;

	/* limits; `flows`, `held_bytes` and `pins` are divided evenly among the workers */
	uint32_t flows;
	uint32_t flows_per_sandbox;
	uint64_t held_bytes;
	uint64_t held_bytes_per_sandbox;
	uint64_t held_bytes_per_flow;
	uint32_t pins;
	uint32_t pins_per_sandbox;
	uint32_t events_per_sandbox;      /* of flow decisions, a second */
	uint32_t dns_queries_per_sandbox; /* a second; as many may be waiting for an answer */

	/* timeouts */
	uint32_t tcp_established_ms;
	uint32_t tcp_opening_ms;
	uint32_t tcp_closing_ms;
	uint32_t udp_ms;
	uint32_t dns_ms;
	uint32_t icmp_ms;

	uint16_t burst;   /* frames received at a time, 1 .. 64 */
	bool source_rule; /* sandboxes without `source` may use private ranges only; off in replay
	                   */
	bool checksums_ignore;   /* replay --checksums ignore */
	bool checksums_partial;  /* a checksum equal to the bare pseudo-header sum is good (replay)
	                          */
	uint16_t native_vlan[2]; /* by enum sl_port_id; 0: none */
};

#endif
