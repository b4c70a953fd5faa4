/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict.h: the only writers of a decision.
 */
#ifndef DATAPLANE_VERDICT_H
#define DATAPLANE_VERDICT_H

#include "sluice/event.h"
#include "core/state.h"

/* A name that a decision is about; text NULL if none. */
struct sl_proof {
	const char *text; /* canonical; not terminated */
	size_t len;
	enum sl_via via;
};

/*
 * Gives a flow its verdict, allow (proof's name, if any, is remembered with it) or deny, and
 * reports it. False (and the verdict is SL_REASON_FLOW_LIMIT) if there is no room for the name.
 */
bool sl_verdict_flow(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason,
                     const struct sl_proof *proof);

/* Settles a packet that belongs to no flow as refused, and reports it (rate limited). */
void sl_verdict_refuse(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason,
                       const struct sl_proof *proof);

/* The same without an answer to the sandbox. */
void sl_verdict_refuse_quietly(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason);

/*
 * Reports a decision about a packet that does not change its flow's verdict (one of many DNS
 * queries on a flow).
 */
void sl_verdict_report(struct sl_worker *worker, const struct sl_pkt *pkt, bool allow,
                       enum sl_reason reason, const struct sl_proof *proof);

/* Reports a decision about a flow without changing it. */
void sl_verdict_report_flow(struct sl_worker *worker, const struct sl_flow *flow, bool allow,
                            enum sl_reason reason, const struct sl_proof *proof);

/*
 * Sets whether a flow's packets may take the fast path: only those of established, judged flows
 * that are not inspected.
 */
void sl_verdict_set_fast(struct sl_worker *worker, struct sl_flow *flow);

/*
 * The flow's name no longer covers all its traffic: bytes pass that would have had to prove a name
 * of their own. A later policy that allows only the name does not keep the flow.
 */
void sl_verdict_forget_name(struct sl_worker *worker, struct sl_flow *flow);

/* Sends `suppressed` events, once a second for each sandbox with events over its limit. */
void sl_verdict_tell(struct sl_worker *worker);

#endif
