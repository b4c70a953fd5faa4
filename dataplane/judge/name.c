/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name.c: judges names: those that connections proved (rule 3), by the pattern first and then the
 * pin, and those that pins tie an address to (rule 3a).
 *
 * Settles with: domain-allowed, domain-not-allowed, address-not-pinned, pin-allowed.
 */
#include "sluice/hostname.h"
#include "name.h"
#include "pins.h"
#include "flow/names.h"
#include "flow/verdict.h"
#include "core/state.h"

static bool matches(const struct sl_worker *worker, const struct sl_patterns *patterns,
                    const char *name, size_t len)
{
	return patterns != NULL &&
	       sl_patterns_match(patterns, worker->generation->scratch[worker->params.id], name,
	                         len);
}

bool sl_judge_allows(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const char *name, size_t len)
{
	if (sandbox->mode == SL_MODE_ALLOW_ALL)
		return true;
	return sandbox->mode == SL_MODE_CUSTOM && matches(worker, sandbox->patterns, name, len);
}

bool sl_judge_may_ask(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                      const char *name, size_t len)
{
	if (sandbox->mode == SL_MODE_ALLOW_ALL)
		return true;
	return sandbox->mode == SL_MODE_CUSTOM && matches(worker, sandbox->queries, name, len);
}

bool sl_judge_rule_fits(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                        unsigned rule, const char *name, size_t len)
{
	return matches(worker, sandbox->pin_rules[rule].patterns, name, len);
}

int sl_judge_rule_of(const struct sl_sandbox *sandbox, const struct sl_key *key)
{
	uint16_t port = rte_be_to_cpu_16(key->remote_port);

	for (unsigned i = 0; i < sandbox->pin_rule_count; i++)
		if (sandbox->pin_rules[i].port == port && sandbox->pin_rules[i].proto == key->proto)
			return (int)i;
	return -1;
}

bool sl_judge_by_pin(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const struct sl_key *key, struct sl_proof *proof)
{
	int rule = sl_judge_rule_of(sandbox, key);
	const struct sl_name *name;
	struct sl_addr remote;
	uint32_t index;

	if (rule < 0)
		return false;
	sl_key_remote(key, &remote);
	index = sl_pins_open_rule(worker, sandbox, &remote, (unsigned)rule);
	if (index == 0)
		return false;
	name = sl_names_at(worker, index);
	*proof = (struct sl_proof){name->text, name->len, SL_VIA_PIN};
	return true;
}

enum sl_reason sl_judge_name(struct sl_worker *worker, const struct sl_flow *flow,
                             const struct sl_proof *proof)
{
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, flow->key.vlan);
	struct sl_addr remote;

	if (!sl_judge_allows(worker, sandbox, proof->text, proof->len))
		return SL_REASON_DOMAIN_NOT_ALLOWED;
	if (!sl_pins_apply(worker, sandbox))
		return SL_REASON_DOMAIN_ALLOWED;
	sl_key_remote(&flow->key, &remote);
	if (sl_pins_tie(worker, sandbox, &remote, proof->text, proof->len))
		return SL_REASON_DOMAIN_ALLOWED;
	if (worker->settings->pinning == SL_PINNING_LOG) {
		sl_verdict_report_flow(worker, flow, true, SL_REASON_ADDRESS_NOT_PINNED, proof);
		return SL_REASON_DOMAIN_ALLOWED;
	}
	return SL_REASON_ADDRESS_NOT_PINNED;
}

bool sl_judge_pinned(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	struct sl_addr remote;

	if (!sl_pins_apply(worker, pkt->sandbox))
		return true;
	sl_key_remote(&pkt->key, &remote);
	if (sl_pins_open(worker, pkt->sandbox, &remote))
		return true;
	if (worker->settings->pinning == SL_PINNING_LOG) {
		sl_verdict_report(worker, pkt, true, SL_REASON_ADDRESS_NOT_PINNED, NULL);
		return true;
	}
	return false;
}
