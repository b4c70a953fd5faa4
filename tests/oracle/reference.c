/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reference.c: the policy, judged the slow and obvious way.
 */
#include "reference.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

static bool bit(const uint8_t *bytes, unsigned i)
{
	return bytes[i / 8] >> (7 - i % 8) & 1;
}

bool reference_in_list(const struct sl_prefix *list, size_t n, const struct sl_addr *addr)
{
	for (size_t i = 0; i < n; i++) {
		bool in = list[i].family == addr->family;

		for (unsigned k = 0; in && k < list[i].len; k++)
			in = bit(list[i].addr, k) == bit(addr->bytes, k);
		if (in)
			return true;
	}
	return false;
}

/* The address itself, and the IPv4 addresses that a NAT64 would make of it (RFC 6052, RFC 8215). */
static unsigned forms(const struct sl_addr *addr, struct sl_addr out[3])
{
	static const uint8_t well_known[12] = {0, 0x64, 0xff, 0x9b};
	static const uint8_t local[6] = {0, 0x64, 0xff, 0x9b, 0, 1};
	const uint8_t *b = addr->bytes;
	unsigned n = 1;

	memset(out, 0, 3 * sizeof(*out));
	out[0] = *addr;
	if (addr->family != SL_FAMILY_6)
		return 1;
	if (memcmp(b, well_known, 12) == 0 ||
	    (memcmp(b, local, 6) == 0 && (b[12] | b[13] | b[14] | b[15]) != 0)) {
		out[n].family = SL_FAMILY_4;
		memcpy(out[n++].bytes, b + 12, 4);
	}
	if (memcmp(b, local, 6) == 0 && (b[6] | b[7] | b[9] | b[10]) != 0)
		out[n++] = (struct sl_addr){SL_FAMILY_4, {b[6], b[7], b[9], b[10]}};
	return n;
}

/* An address is denied if any of its forms is. */
static bool any_form_in(const struct sl_prefix *list, size_t n, const struct sl_addr *addr)
{
	struct sl_addr form[3];
	unsigned count = forms(addr, form);
	bool in = false;

	for (unsigned i = 0; i < count; i++)
		in = in || reference_in_list(list, n, &form[i]);
	return in;
}

/* ---- Names, label by label from the right ---- */

static size_t labels_of(const char *text, const char *label[128], size_t len[128])
{
	size_t n = 0;

	for (;;) {
		label[n] = text;
		len[n] = strcspn(text, ".");
		text += len[n++];
		if (*text == '\0')
			return n;
		text++;
	}
}

static bool pattern_matches(const char *pattern, const char *name)
{
	const char *p[128], *n[128];
	size_t p_len[128], n_len[128];
	size_t np = labels_of(pattern, p, p_len), nn = labels_of(name, n, n_len);
	bool leading = p[0][0] == '*';

	/* Every label matches one; a leading `*` matches one or more. */
	if (leading ? nn < np : nn != np)
		return false;
	for (size_t i = 1; i <= np; i++) {
		const char *label = p[np - i];

		if (label[0] == '*')
			continue;
		if (p_len[np - i] != n_len[nn - i] || memcmp(label, n[nn - i], p_len[np - i]) != 0)
			return false;
	}
	return true;
}

bool reference_name_matches(const struct sl_policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->n_patterns; i++)
		if (pattern_matches(policy->patterns[i].text, name))
			return true;
	return false;
}

bool reference_entry_matches(const struct sl_policy *policy, int proto, uint16_t port,
                             const char *name)
{
	for (size_t i = 0; i < policy->n_by_address; i++) {
		const struct sl_by_address *entry = &policy->by_address[i];

		if ((port == 0 || (entry->port == port && entry->proto == proto)) &&
		    (name == NULL || pattern_matches(entry->pattern.text, name)))
			return true;
	}
	return false;
}

/* ---- The rules ---- */

static bool source_is_own(const struct sl_policy_entry *entry, const struct sl_config *config,
                          const struct sl_addr *source)
{
	static const struct sl_prefix private[] = {
	        {4, 8, {10}},       {4, 12, {172, 16}}, {4, 16, {192, 168}},
	        {4, 10, {100, 64}}, {6, 7, {0xfc}},
	};

	if (source->family == SL_FAMILY_NONE)
		return true;
	if (entry->has_source)
		return reference_in_list(entry->sources, entry->n_sources, source);
	if (config == NULL || !config->source_rule)
		return true;
	return reference_in_list(private, sizeof(private) / sizeof(private[0]), source);
}

static bool is_resolver(const struct sl_config *config, const struct sl_addr *addr)
{
	return config != NULL &&
	       reference_in_list(config->dns.resolvers, config->dns.n_resolvers, addr);
}

static bool is_protected(const struct sl_config *config, const struct sl_addr *addr)
{
	return config != NULL && any_form_in(config->protected, config->n_protected, addr);
}

static bool is_internal(const struct sl_config *config, const struct sl_addr *addr)
{
	return config != NULL && any_form_in(config->internal, config->n_internal, addr);
}

static bool has_ports(int proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

static enum sl_reason judge_dns(const struct sl_policy *policy, const char *name)
{
	if (policy->kind == SL_POLICY_ALLOW_ALL || name == NULL ||
	    reference_name_matches(policy, name) || reference_entry_matches(policy, 0, 0, name))
		return SL_REASON_DNS_ALLOWED;
	return SL_REASON_DNS_NAME_NOT_ALLOWED;
}

static enum sl_reason judge_allow_all(const struct sl_policy *policy,
                                      const struct sl_config *config,
                                      const struct reference_question *q)
{
	if (has_ports(q->proto) && q->port == 53 && is_resolver(config, &q->remote))
		return judge_dns(policy, q->name);
	if (is_protected(config, &q->remote))
		return SL_REASON_PROTECTED_SUBNET;
	return is_internal(config, &q->remote) ? SL_REASON_INTERNAL_SUBNET : SL_REASON_ALLOW_ALL;
}

/* Rule 3a. */
static bool opened_by_pin(const struct sl_policy *policy, const struct reference_question *q)
{
	for (size_t i = 0; i < q->n_pins; i++)
		if (sl_addr_equal(&q->pins[i].addr, &q->remote) &&
		    reference_entry_matches(policy, q->proto, q->port, q->pins[i].name))
			return true;
	return false;
}

/* True if the address is pinned to this name, or (NULL) to any that the patterns match. */
static bool is_pinned(const struct sl_policy *policy, const struct reference_question *q,
                      const char *name)
{
	for (size_t i = 0; i < q->n_pins; i++)
		if (sl_addr_equal(&q->pins[i].addr, &q->remote) &&
		    (name != NULL ? strcmp(name, q->pins[i].name) == 0
		                  : reference_name_matches(policy, q->pins[i].name)))
			return true;
	return false;
}

/* Rule 3, for an address that is public. */
static enum sl_reason judge_name(const struct sl_policy *policy, const struct sl_config *config,
                                 const struct reference_question *q)
{
	bool star = false, pins;

	for (size_t i = 0; i < policy->n_patterns; i++)
		star |= strcmp(policy->patterns[i].text, "*") == 0;
	pins = config != NULL && config->dns.pinning == SL_CONFIG_PINNING_ENFORCE && !star;
	if (!has_ports(q->proto))
		return SL_REASON_PROTOCOL_NOT_ALLOWED;
	if (pins && !is_pinned(policy, q, NULL))
		return SL_REASON_ADDRESS_NOT_PINNED;
	if (q->name == NULL)
		return SL_REASON_NO_SERVER_NAME;
	if (!reference_name_matches(policy, q->name))
		return SL_REASON_DOMAIN_NOT_ALLOWED;
	return !pins || is_pinned(policy, q, q->name) ? SL_REASON_DOMAIN_ALLOWED
	                                              : SL_REASON_ADDRESS_NOT_PINNED;
}

static enum sl_reason judge_custom(const struct sl_policy *policy, const struct sl_config *config,
                                   const struct reference_question *q)
{
	bool protected = is_protected(config, &q->remote),
	     internal = is_internal(config, &q->remote);
	bool any = config == NULL || config->dns.any;
	bool names = policy->n_patterns > 0 || policy->n_by_address > 0;

	if (any_form_in(policy->deny, policy->n_deny, &q->remote))
		return SL_REASON_SUBNET_DENIED;
	if (reference_in_list(policy->allow, policy->n_allow, &q->remote) && !protected)
		return SL_REASON_SUBNET_ALLOWED;
	if (names && has_ports(q->proto) && q->port == 53) {
		if (is_resolver(config, &q->remote) || (any && !protected && !internal))
			return judge_dns(policy, q->name);
		if (!any)
			return SL_REASON_DNS_RESOLVER_NOT_ALLOWED;
	}
	if (protected)
		return SL_REASON_PROTECTED_SUBNET;
	if (!names)
		return SL_REASON_ADDRESS_NOT_ALLOWED;
	if (internal)
		return SL_REASON_INTERNAL_SUBNET;
	if (opened_by_pin(policy, q))
		return SL_REASON_PIN_ALLOWED;
	if (policy->n_patterns > 0)
		return judge_name(policy, config, q);
	return has_ports(q->proto) && reference_entry_matches(policy, q->proto, q->port, NULL)
	               ? SL_REASON_ADDRESS_NOT_PINNED
	               : SL_REASON_ADDRESS_NOT_ALLOWED;
}

enum sl_reason reference_judge(const struct sl_policy_doc *doc, const struct sl_config *config,
                               const struct reference_question *question)
{
	const struct sl_policy_entry *entry = NULL;

	for (size_t i = 0; i < doc->n_entries; i++)
		if (doc->entries[i].vlan == question->vlan)
			entry = &doc->entries[i];
	if (entry == NULL)
		return SL_REASON_UNKNOWN_SANDBOX;
	if (!source_is_own(entry, config, &question->source))
		return SL_REASON_SOURCE_SPOOFED;
	switch (entry->policy->kind) {
	case SL_POLICY_DENY_ALL:
		return SL_REASON_DENY_ALL;
	case SL_POLICY_CUSTOM:
		return judge_custom(entry->policy, config, question);
	case SL_POLICY_ALLOW_ALL:
		return judge_allow_all(entry->policy, config, question);
	}
	return SL_REASON_NONE;
}
