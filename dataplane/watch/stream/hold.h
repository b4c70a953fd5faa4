/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.h: a TCP connection under rule 3, from its SYN until the server has acknowledged what was
 * judged (spec section 3). The gateway keeps a copy of the client's first bytes; nothing but a
 * clean SYN and clean acknowledgements leaves before that copy is judged, and what leaves then is
 * the copy.
 */
#ifndef DATAPLANE_HOLD_H
#define DATAPLANE_HOLD_H

#include "core/deadline.h"
#include "inspect/http_head.h"
#include "inspect/tls_hello.h"
#include "flow/verdict.h"
#include "core/state.h"
#include "watch/tcp/strict.h"
#include "core/watch.h"

enum sl_hold_phase {
	SL_HOLD_HELLO = 0, /* the client's first bytes are collected, once it is open */
	SL_HOLD_POSTGRES,  /* a PostgreSQL request let out, the server's one byte is awaited */
	SL_HOLD_JUDGED,    /* allowed and let out; the server has not acknowledged all of it */
	SL_HOLD_WATCH,     /* acknowledged; the server's answer (another hello? HTTP?) is awaited */
	SL_HOLD_SECOND,    /* it is: the client's second hello is collected */
};

struct sl_hold {
	struct sl_deadline deadline;
	struct sl_strict tcp;
	uint8_t phase; /* enum sl_hold_phase */
	bool timed;    /* in the list of deadlines */
	bool client_fin;
	bool server_fin;
	bool second; /* the hello on hold answers a HelloRetryRequest */
	bool open;   /* what comes behind the judged range passes: no other hello is asked for */
	bool http;   /* the first bytes are judged as an HTTP request (hold_http.c) */
	/* Offsets into the client's stream, from the byte behind its SYN. */
	uint32_t walked;       /* bytes that the record walker has seen */
	uint32_t hello_at;     /* where its walk began: behind what was let out before, if any */
	uint32_t judged;       /* stream bytes that must stay equal until acknowledged */
	uint32_t server_early; /* bytes that the server may send before the verdict */
	uint8_t early[2];      /* and what they are: answers to PostgreSQL requests */
	uint32_t server_end;   /* server bytes that were delivered, by their highest end */
	uint32_t answer; /* a chunk with the server's first bytes, if they came in pieces; or 0 */
	uint32_t answer_bytes; /* of the server's first bytes, that were looked at */
	struct sl_tls_records records;
	struct sl_http_walk head;
};

extern const struct sl_watcher sl_hold_watcher;

static inline struct sl_hold *sl_hold_of(const struct sl_worker *worker, const struct sl_flow *flow)
{
	return sl_pool_at(&worker->holds, sl_flow_cold(&worker->table, flow)->hold);
}

/* hold_judge.c: looks at the bytes that are together now; may release or refuse the flow. */
void sl_hold_judge(struct sl_worker *worker, struct sl_flow *flow);

/* hold_http.c: plain HTTP, where it is judged at all. */

/* True if the client's first bytes are to be judged as HTTP; they are asked for once. */
bool sl_hold_is_http(struct sl_worker *worker, const struct sl_hold *hold);

/* sl_hold_judge() for such a connection. */
void sl_hold_judge_http(struct sl_worker *worker, struct sl_flow *flow);

/*
 * Looks at a segment of the server's at this offset, once the request is judged and until it is
 * known what answers. DONE: the server's first bytes are HTTP's; NOT_MINE: they are not; MORE: they
 * have not all come. BAD: it is ahead of what would tell, and must come again.
 */
enum sl_parse sl_hold_http_answer(struct sl_worker *worker, const struct sl_pkt *pkt,
                                  struct sl_hold *hold, uint32_t offset);

/* A refusal in HTTP's words. The length; at most SL_HOLD_FORBIDDEN_BYTES. */
#define SL_HOLD_FORBIDDEN_BYTES 512
uint32_t sl_hold_http_forbidden(enum sl_reason reason, const struct sl_proof *proof, char *out);

/* hold_send.c: lets the copy out, and ends flows. */

/*
 * Sends what the copy has from `released` to upto. Held packets count under `reason` once all of
 * the copy is out.
 */
void sl_hold_release(struct sl_worker *worker, struct sl_flow *flow, uint32_t upto,
                     enum sl_reason reason);

/* Sends bytes again that left before. */
void sl_hold_resend(struct sl_worker *worker, struct sl_flow *flow, uint32_t from, uint32_t n);

/* Ends the flow: alert or 403 (for a client that was judged) and RST to the sandbox, RST to the
 * server. */
void sl_hold_refuse(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason,
                    const struct sl_proof *proof);

/*
 * hold_retry.c: does what the server has said by now ask for another hello? offset is the
 * segment's, from the first byte that a TLS server says. BAD: it cannot be told. *tls is false if
 * it does not begin as TLS does.
 */
enum sl_parse sl_hold_is_retry(struct sl_worker *worker, const struct sl_pkt *pkt,
                               struct sl_hold *hold, uint32_t offset, bool *tls);
void sl_hold_forget_answer(struct sl_worker *worker, uint16_t vlan, struct sl_hold *hold);

/* Frees the hold; the flow goes on as a plain one. */
void sl_hold_finish(struct sl_worker *worker, struct sl_flow *flow);

#endif
