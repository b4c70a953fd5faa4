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
 * Gives a flow its verdict: allow (proof's name, if there is one, is remembered with it) or deny.
 * Reports an event. False (and the verdict is SL_REASON_FLOW_LIMIT) if there is no room for the
 * name.
 */
bool sl_verdict_flow(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason,
                     const struct sl_proof *proof);

/* Settles a packet that belongs to no flow as refused, and reports it (rate limited). */
void sl_verdict_refuse(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason,
                       const struct sl_proof *proof);

/* The same without an answer to the sandbox. */
void sl_verdict_refuse_quietly(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason);

/* Reports a decision about a packet that keeps its flow's verdict (a DNS query of many on a flow).
 */
void sl_verdict_report(struct sl_worker *worker, const struct sl_pkt *pkt, bool allow,
                       enum sl_reason reason, const struct sl_proof *proof);

/* Reports a decision about a flow without changing it. */
void sl_verdict_report_flow(struct sl_worker *worker, const struct sl_flow *flow, bool allow,
                            enum sl_reason reason, const struct sl_proof *proof);

/*
 * Sets whether a flow's packets may take the fast way: only established, judged flows that nobody
 * has to look into.
 */
void sl_verdict_set_fast(struct sl_worker *worker, struct sl_flow *flow);

/*
 * The flow is no longer known to be its name's: something passes that the name would have had to be
 * asked for. A later policy that allows only the name does not keep it.
 */
void sl_verdict_forget_name(struct sl_worker *worker, struct sl_flow *flow);

/* Tells once a second what was not reported of sandboxes that report too much. */
void sl_verdict_tell(struct sl_worker *worker);

#endif
