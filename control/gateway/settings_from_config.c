/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_from_config.c: fills in the workers' part of the config, in their units.
 *
 * The only decision here is what differs in replay. Every value was checked when the config was
 * read.
 */
#include "settings_from_config.h"

#include <errno.h>
#include <string.h>

#include "document/config.h"
#include "document/diag.h"

static struct sl_addr addr_of(const struct sl_prefix *prefix)
{
	struct sl_addr addr = {.family = prefix->family};

	memcpy(addr.bytes, prefix->addr, sizeof(addr.bytes));
	return addr;
}

static int take_resolvers(const struct sl_config *config, struct sl_diag *diag,
                          struct sl_settings *settings)
{
	settings->resolver_any = config->dns.any;
	if (config->dns.n_resolvers > SL_RESOLVERS_MAX) {
		sl_diag_error(diag, config->file, config->dns_line, config->dns_column,
		              "%zu resolvers, but at most %d can be told apart for every query",
		              config->dns.n_resolvers, SL_RESOLVERS_MAX);
		return -EINVAL;
	}
	for (size_t i = 0; i < config->dns.n_resolvers; i++)
		settings->resolvers[i] = addr_of(&config->dns.resolvers[i]);
	settings->resolver_count = (unsigned)config->dns.n_resolvers;
	return 0;
}

static enum sl_pinning pinning_of(enum sl_config_pinning pinning)
{
	switch (pinning) {
	case SL_CONFIG_PINNING_ENFORCE:
		return SL_PINNING_ENFORCE;
	case SL_CONFIG_PINNING_LOG:
		return SL_PINNING_LOG;
	case SL_CONFIG_PINNING_OFF:
		return SL_PINNING_OFF;
	}
	return SL_PINNING_ENFORCE;
}

int sl_settings_from_config(const struct sl_config *config, bool replay, struct sl_diag *diag,
                            struct sl_settings *settings)
{
	*settings = (struct sl_settings){
	        .pinning = pinning_of(config->dns.pinning),
	        .pin_grace_s = config->dns.pin_grace_s,
	        .refuse_nxdomain = config->dns.refuse == SL_CONFIG_REFUSE_NXDOMAIN,
	        .strip_ech = config->dns.strip_ech,
	        .dns_mix_case = config->dns.mix_case,
	        .dns_rewrite = !replay,
	        .ech_deny = config->inspect.ech == SL_CONFIG_ECH_DENY,
	        .http_host = config->inspect.http == SL_CONFIG_HTTP_HOST,
	        .hello_max_bytes = config->inspect.hello_max_bytes,
	        .hello_timeout_ms = config->inspect.hello_timeout_s * 1000,
	        .flows = config->limits.flows,
	        .flows_per_sandbox = config->limits.flows_per_sandbox,
	        .held_bytes = config->limits.held_bytes,
	        .held_bytes_per_sandbox = config->limits.held_bytes_per_sandbox,
	        .held_bytes_per_flow = config->limits.held_bytes_per_flow,
	        .pins = config->limits.pins,
	        .pins_per_sandbox = config->limits.pins_per_sandbox,
	        .dns_queries_per_sandbox = config->limits.dns_queries_per_sandbox,
	        .events_per_sandbox = config->limits.events_per_sandbox,
	        .tcp_established_ms = config->timeouts.tcp_established_s * 1000,
	        .tcp_opening_ms = config->timeouts.tcp_opening_s * 1000,
	        .tcp_closing_ms = config->timeouts.tcp_closing_s * 1000,
	        .udp_ms = config->timeouts.udp_s * 1000,
	        .dns_ms = config->timeouts.dns_s * 1000,
	        .icmp_ms = config->timeouts.icmp_s * 1000,
	        .burst = config->machine.burst,
	        .source_rule = config->source_rule,
	        .checksums_partial = replay,
	        .native_vlan = {config->sandbox.native_vlan, config->uplink.native_vlan},
	};
	return take_resolvers(config, diag, settings);
}
