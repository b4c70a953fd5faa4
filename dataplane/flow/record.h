/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h: what judged TCP connections sent, kept until no server can still hold a part of it
 * (spec section 2: "a record outlives the entry").
 *
 * The gateway's copy of a judged message goes with its flow, but the server's connection may live
 * on: a reset or FIN can be lost, or be one that the server ignores (RFC 5961). A second connection
 * with the same numbers would then complete the first one's message, and the server would read a
 * message that was judged by nobody. So numbers that were used once are refused on the same
 * addresses and ports for as long as that could be.
 *
 * One writer and reader: the worker that owns the sandbox.
 */
#ifndef DATAPLANE_RECORD_H
#define DATAPLANE_RECORD_H

#include "core/deadline.h"

/*
 * How far before and after what was seen to be used a number still counts as used, in bytes: what a
 * new connection may have judged begins after its first number, and what an old one sent may lie
 * after the last acknowledgement.
 */
#define SL_RECORD_MARGIN (1u << 16)

struct sl_record {
	struct sl_deadline deadline; /* in worker->records_ended, once its flow has ended */
	uint32_t chain;              /* the next one of the bucket; 0: none */
	uint32_t from, to;           /* the client's sequence numbers that were used */
	uint32_t fin;                /* the number behind the client's FIN, if it sent one */
	bool finished;               /* it did */
	struct sl_key key;
};

/* Setup only. capacity: records, at least one for each flow. False if memory is short. */
bool sl_record_create(struct sl_worker *worker, uint32_t capacity);
void sl_record_destroy(struct sl_worker *worker);

/*
 * Puts a TCP flow whose first judged bytes are about to leave on record. Harmless if it is on
 * record already. False: the sandbox or the gateway has no room, and nothing may leave.
 */
bool sl_record_begin(struct sl_worker *worker, struct sl_flow *flow);

/* The client's FIN left, and `next` is the number behind it. */
void sl_record_fin(struct sl_worker *worker, const struct sl_flow *flow, uint32_t next);

/*
 * The server acknowledged `next`. If that includes the client's FIN, in whose place no byte was
 * sent (flow->sent), it has taken all there was, and nothing of the connection can be completed any
 * more: the record goes.
 */
void sl_record_acknowledged(struct sl_worker *worker, struct sl_flow *flow, uint32_t next);

/* The flow is gone; what it sent stays on record for a while. */
void sl_record_end(struct sl_worker *worker, struct sl_flow *flow);

/* True if a new connection with this initial number would use numbers that are on record. */
bool sl_record_conflicts(const struct sl_worker *worker, const struct sl_key *key, uint32_t iss);

/* Gives records back whose time is over. */
void sl_record_timeouts(struct sl_worker *worker);

#endif
