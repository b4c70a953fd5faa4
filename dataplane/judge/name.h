/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name.h: judges names by a policy: those that a connection proved (rule 3), that DNS tied to its
 * address (rule 3a), and that DNS is asked for.
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

/* True if the patterns of the sandbox's `allow` match the name. */
bool sl_judge_allows(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const char *name, size_t len);

/* True if DNS may be asked for the name: the patterns of `allow` or of `by-address` match it. */
bool sl_judge_may_ask(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                      const char *name, size_t len);

/* The sandbox's rule of by-address for this port and protocol; -1: none. */
int sl_judge_rule_of(const struct sl_sandbox *sandbox, const struct sl_key *key);

/* True if the patterns of the rule match the name. */
bool sl_judge_rule_fits(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                        unsigned rule, const char *name, size_t len);

/*
 * Rule 3a: true if by-address opens this port of an address that a live pin ties to a name which it
 * allows. *proof is that name, until the next call.
 */
bool sl_judge_by_pin(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const struct sl_key *key, struct sl_proof *proof);

/*
 * The pin check of a SYN or first datagram under rule 3 (spec section 4). True if it may pass;
 * under `pinning: log` it always may, and a packet that `enforce` would refuse is reported.
 */
bool sl_judge_pinned(struct sl_worker *worker, const struct sl_pkt *pkt);

#endif
