/* SPDX-License-Identifier: Apache-2.0 */
/* walk.h: the packet's walk: the parts that handle one packet at a time, and the periodic work. */
#ifndef DATAPLANE_WALK_H
#define DATAPLANE_WALK_H

#include "core/state.h"

/*
 * Settles a packet of a known flow, on the slow path. False: the flow has ended, the packet is a
 * first one.
 */
bool sl_flow_walk(struct sl_worker *worker, struct sl_pkt *pkt);

/* first.c: a packet that belongs to no flow. Settles it. */
void sl_first_packet(struct sl_worker *worker, struct sl_pkt *pkt);

/* rejudge.c: judges flows again by a newer generation. */

/*
 * Judges a flow by the present generation, with the name it proved. False: it is cut (resets are
 * sent, its packets are refused from now on).
 */
bool sl_flow_rejudge(struct sl_worker *worker, struct sl_flow *flow);

/*
 * Sets up the sweep for a generation that is new to the worker, before the first packet is judged
 * by it: state of removed sandboxes must not pass to their successors.
 */
void sl_flow_begin_sweep(struct sl_worker *worker);

/* Judges again the flows of sandboxes whose epoch changed, some at a time. */
void sl_flow_sweep(struct sl_worker *worker, unsigned budget);

/* Resets a flow at both ends and forgets it, as if a policy had denied it. */
void sl_flow_end(struct sl_worker *worker, struct sl_flow *flow);

/* ask.c: answers one question of control's, some of it at a time. */
void sl_ask_answer(struct sl_worker *worker);

/* age.c: expires what is due, some at a time (all of the table if `all`). */
void sl_flow_age(struct sl_worker *worker, bool all);

/* fragment.c, icmp.c: settle one packet. */
void sl_fragment(struct sl_worker *worker, struct sl_pkt *pkt);
bool sl_icmp(struct sl_worker *worker,
             struct sl_pkt *pkt); /* false: not ICMP, or to be handled like any flow */

/* pipeline.c: the packet's walk, for the packets in worker->pkts. */
void sl_pipeline_run(struct sl_worker *worker);

#endif
