/* SPDX-License-Identifier: Apache-2.0 */
/* reject.h: what a refused sandbox, and both ends of a flow that is cut, are sent. */
#ifndef DATAPLANE_FLOW_REJECT_H
#define DATAPLANE_FLOW_REJECT_H

#include "core/state.h"

/* ICMP administratively prohibited in answer to a packet from the sandbox. */
void sl_reject_icmp(struct sl_worker *worker, const struct sl_pkt *pkt);

/* True if one more answer may be sent to this sandbox now; counts a suppressed answer if not. */
bool sl_reject_may_answer(struct sl_worker *worker, uint16_t vlan);

/* Sends a RST to one side of a flow, with the numbers that this side accepts. */
void sl_reject_reset(struct sl_worker *worker, const struct sl_flow *flow, enum sl_port_id out);

/* ICMP administratively prohibited to the sandbox about a flow, without a packet at hand. */
void sl_reject_flow_icmp(struct sl_worker *worker, const struct sl_flow *flow);

/* RST in answer to a TCP packet (RFC 9293 3.10.7.1). */
void sl_reject_tcp(struct sl_worker *worker, const struct sl_pkt *pkt);

#endif
