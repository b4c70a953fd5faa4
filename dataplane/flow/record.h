/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h: what judged TCP connections sent, kept until no server can still hold a part of it
 * (spec section 2: "a record outlives the entry").
 *
 * The gateway's copy of a judged message goes with its flow, but the server's connection may live
 * on: a reset or FIN can be lost, or be one that the server ignores (RFC 5961). A second
 * connection with the same numbers could then complete the first one's message, and the server
 * would read a message that was never judged as a whole. So numbers that were used are refused on
 * the same addresses and ports while that is possible.
 *
 * One writer and reader: the worker that owns the sandbox.
 */
#ifndef DATAPLANE_RECORD_H
#define DATAPLANE_RECORD_H

#include "core/deadline.h"

/*
 * Margin, in bytes, before and after the numbers that were seen, within which a number counts as
 * used: the judged bytes of a new connection begin after its first number, and bytes of an old one
 * may lie after the last acknowledgement.
 */
#define SL_RECORD_MARGIN (1u << 16)

struct sl_record {
	struct sl_deadline deadline; /* in worker->records_ended, once its flow has ended */
	uint32_t chain;              /* the next one of the bucket; 0: none */
	uint32_t from, to;           /* the client's sequence numbers that were used */
	uint32_t fin;                /* the number after the client's FIN, if it sent one */
	bool finished;               /* it sent a FIN */
	struct sl_key key;
};

/* Setup only. capacity: records, at least one for each flow. False if memory is short. */
bool sl_record_create(struct sl_worker *worker, uint32_t capacity);
void sl_record_destroy(struct sl_worker *worker);

/*
 * Puts a TCP flow on record before its first judged bytes leave. Does nothing if it is on record
 * already. False: the sandbox or the gateway has no room, and nothing may leave.
 */
bool sl_record_begin(struct sl_worker *worker, struct sl_flow *flow);

/* The client's FIN was passed on; `next` is the number after it. */
void sl_record_fin(struct sl_worker *worker, const struct sl_flow *flow, uint32_t next);

/*
 * The server acknowledged `next`. If that includes the client's FIN, and no byte was sent with the
 * FIN's number (flow->sent), the server has received everything and nothing of the connection can
 * be completed any more: the record is freed.
 */
void sl_record_acknowledged(struct sl_worker *worker, struct sl_flow *flow, uint32_t next);

/* The flow has ended; its record stays for a while. */
void sl_record_end(struct sl_worker *worker, struct sl_flow *flow);

/* True if a new connection with this initial number would use numbers that are on record. */
bool sl_record_conflicts(const struct sl_worker *worker, const struct sl_key *key, uint32_t iss);

/* Frees records that have expired. */
void sl_record_timeouts(struct sl_worker *worker);

#endif
