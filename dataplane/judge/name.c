/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name.c: judges names that connections proved: the pattern first, then the pin.
 *
 * Settles with: domain-allowed, domain-not-allowed, address-not-pinned.
 */
#include "sluice/hostname.h"
#include "name.h"
#include "pins.h"
#include "flow/verdict.h"
#include "core/state.h"

bool sl_judge_allows(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const char *name, size_t len)
{
	if (sandbox->mode == SL_MODE_ALLOW_ALL)
		return true;
	if (sandbox->mode != SL_MODE_CUSTOM || sandbox->patterns == NULL)
		return false;
	return sl_patterns_match(sandbox->patterns, worker->generation->scratch[worker->params.id],
	                         name, len);
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
