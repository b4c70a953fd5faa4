/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name.h: what a policy says of a name that a connection proved (rule 3).
 */
#ifndef DATAPLANE_JUDGE_NAME_H
#define DATAPLANE_JUDGE_NAME_H

#include "core/state.h"
#include "flow/verdict.h"

/*
 * Judges a name that a hello proved, for a flow to this address: pattern, then pin. Returns
 * SL_REASON_DOMAIN_ALLOWED or a deny reason.
 */
enum sl_reason sl_judge_name(struct sl_worker *worker, const struct sl_flow *flow,
                             const struct sl_proof *proof);

/* True if the sandbox's patterns match the name. */
bool sl_judge_allows(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const char *name, size_t len);

/*
 * The pin check of a SYN or first datagram under rule 3 (spec section 4). True if it may go on;
 * under `pinning: log` it always may, and what enforce would refuse is reported.
 */
bool sl_judge_pinned(struct sl_worker *worker, const struct sl_pkt *pkt);

#endif
