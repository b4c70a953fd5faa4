/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.h: a TCP connection under rule 3, from its SYN until the server has acknowledged what was
 * judged (spec section 3). The gateway keeps a copy of the client's first bytes. Before that copy
 * is judged, only a cleaned SYN and cleaned acknowledgements leave; after that the copy is sent.
 */
#ifndef DATAPLANE_HOLD_H
#define DATAPLANE_HOLD_H

#include "core/deadline.h"
#include "wire/http_head.h"
#include "wire/tls_hello.h"
#include "flow/verdict.h"
#include "core/state.h"
#include "watch/tcp/strict.h"
#include "core/watch.h"

enum sl_hold_phase {
	SL_HOLD_NONE = 0,    /* no phase: an event that leads here ends the connection */
	SL_HOLD_HELLO,       /* the client's first bytes are collected, once it is open */
	SL_HOLD_REQUEST,     /* they are HTTP: the header section is collected */
	SL_HOLD_POSTGRES,    /* a PostgreSQL request was sent, the server's one byte is awaited */
	SL_HOLD_SENT,        /* the hello was sent; the server has not acknowledged all of it */
	SL_HOLD_ANSWER,      /* it has; its first message may ask for another hello */
	SL_HOLD_SECOND,      /* it did: the second hello is collected */
	SL_HOLD_HTTP_SENT,   /* as SENT, for a request */
	SL_HOLD_HTTP_ANSWER, /* as ANSWER: the server's first bytes must be HTTP */
	SL_HOLD_PASSING,     /* nothing more is judged; not all judged bytes are acknowledged */
	SL_HOLD_DONE,        /* the hold ends, the flow goes on as a plain one */
	SL_HOLD_PHASE_COUNT
};

enum sl_hold_event {
	SL_HOLD_IS_HTTP = 0, /* the client's first byte is HTTP's */
	SL_HOLD_ASKED,       /* a PostgreSQL request was sent */
	SL_HOLD_TOLD,        /* and was answered */
	SL_HOLD_ALLOWED,     /* the collected bytes were judged and are sent */
	SL_HOLD_EARLY,       /* early data is sent after a judged hello */
	SL_HOLD_ACKED,       /* the server acknowledged all judged bytes */
	SL_HOLD_ANSWERED,    /* its first message asks for nothing more */
	SL_HOLD_RETRIED,     /* its first message is a HelloRetryRequest */
	SL_HOLD_OWNED,       /* all is answered, but the gateway still has to deliver a part */
	SL_HOLD_EVENT_COUNT
};

/* What is allowed in a phase; hold.c has the table. */
struct sl_hold_rule {
	bool collects; /* the client's bytes are kept until they are judged */
	bool server;   /* the server may send: the judged bytes have left */
	bool passes;   /* the client's bytes after the judged range pass */
	bool acked;    /* the server has all judged bytes: nothing to compare, no deadline */
	bool tls;      /* a TLS hello was sent, and the server's first message is awaited */
	bool http;     /* the collected bytes are an HTTP request */
	uint8_t next[SL_HOLD_EVENT_COUNT]; /* enum sl_hold_phase */
};

struct sl_hold {
	struct sl_deadline deadline;
	struct sl_strict tcp;
	uint8_t phase; /* enum sl_hold_phase */
	bool timed;    /* in the list of deadlines */
	bool client_fin;
	bool server_fin;
	/* Offsets into the client's stream, from the byte after its SYN. */
	uint32_t walked;       /* bytes that the record walker has seen */
	uint32_t hello_at;     /* where the walk of the hello that is collected began */
	uint32_t hello_end;    /* where the first judged hello ends */
	uint32_t judged;       /* stream bytes that must stay equal until acknowledged */
	uint32_t forgotten;    /* bytes that the server has, and that were freed from the copy */
	uint32_t server_early; /* bytes that the server may send before the verdict */
	uint8_t early[2];      /* and what they are: answers to PostgreSQL requests */
	uint32_t server_end;   /* server bytes that were delivered, by their highest end */
	uint32_t answer; /* a chunk with the server's first bytes, if they came in pieces; or 0 */
	uint32_t answer_bytes; /* how many of the server's first bytes were parsed */
	struct sl_tls_records records;
	struct sl_tls_records begun; /* as `records` was at hello_at */
	struct sl_http_walk head;
};

extern const struct sl_watcher sl_hold_watcher;

static inline struct sl_hold *sl_hold_of(const struct sl_worker *worker, const struct sl_flow *flow)
{
	return sl_pool_at(&worker->holds, *sl_watch_kept(worker, flow, SL_WATCH_STREAM));
}

extern const struct sl_hold_rule sl_hold_rules[SL_HOLD_PHASE_COUNT];

static inline const struct sl_hold_rule *sl_hold_rule(const struct sl_hold *hold)
{
	return &sl_hold_rules[hold->phase];
}

/*
 * Functions of this room that may end a hold return true if it still exists, and false if not: the
 * flow was refused, or goes on without it.
 */

/* hold.c: goes to the next phase. */
bool sl_hold_step(struct sl_worker *worker, struct sl_flow *flow, enum sl_hold_event event);

/* The server has answered the SYN: starts the timeout of the hello. */
void sl_hold_opened(struct sl_worker *worker, struct sl_flow *flow);

/* Sets when a flow on hold expires: after the time that its phase may take. */
void sl_hold_touch(struct sl_worker *worker, struct sl_flow *flow);

/* hold_client.c, hold_server.c: settle a packet of either side. */
void sl_hold_from_client(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold);
void sl_hold_from_server(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_hold *hold);

/* Passes a reset that is believed, and ends the flow. */
void sl_hold_pass_reset(struct sl_worker *worker, struct sl_pkt *pkt);

/* hold_judge.c: judges the contiguous bytes so far; may release or refuse the flow. */
bool sl_hold_judge(struct sl_worker *worker, struct sl_flow *flow);

/*
 * Sends the contiguous early data so far (RFC 8446 2.3): change_cipher_spec and application data
 * records after a judged hello. From then on they are part of the judged range. Any other record
 * may be a second hello, and waits for the server's first message.
 */
bool sl_hold_early_out(struct sl_worker *worker, struct sl_flow *flow);

/* hold_http.c: plain HTTP, if `inspect.http` is host. */

/* True if the client's first bytes are to be judged as HTTP. */
bool sl_hold_is_http(struct sl_worker *worker, const struct sl_hold *hold);

/* sl_hold_judge() for such a connection. */
bool sl_hold_judge_http(struct sl_worker *worker, struct sl_flow *flow);

/*
 * Reads a segment of the server at this offset, after the request was judged and until the
 * server's protocol is known. DONE: the server's first bytes are HTTP; NOT_MINE: they are not;
 * MORE: they are not complete. BAD: the segment is ahead of the bytes that would tell, and must be
 * sent again.
 */
enum sl_parse_result sl_hold_http_answer(struct sl_worker *worker, const struct sl_pkt *pkt,
                                         struct sl_hold *hold, uint32_t offset);

/*
 * Writes an HTTP response that refuses the request. Returns its length, at most
 * SL_HOLD_FORBIDDEN_BYTES.
 */
#define SL_HOLD_FORBIDDEN_BYTES 512
uint32_t sl_hold_http_forbidden(enum sl_reason reason, const struct sl_proof *proof, char *out);

/* hold_send.c: sends the copy, and ends flows. */

/*
 * Sends the copy's bytes from `released` to upto. Held packets count under `reason` once all of
 * the copy is sent.
 */
void sl_hold_release(struct sl_worker *worker, struct sl_flow *flow, uint32_t upto,
                     enum sl_reason reason);

/* Sends bytes again that were sent before. */
void sl_hold_resend(struct sl_worker *worker, struct sl_flow *flow, uint32_t from, uint32_t n);

/*
 * Ends the flow: alert or 403 (for a client that was judged) and RST to the sandbox, RST to the
 * server. Always returns false: the hold has ended.
 */
bool sl_hold_refuse(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason,
                    const struct sl_proof *proof);

/*
 * hold_retry.c: decides whether the server's bytes so far ask for another hello. offset is the
 * segment's, counted from the first byte of the server's TLS stream. BAD: it cannot be decided.
 * *tls is false if the stream does not begin as TLS.
 */
enum sl_parse_result sl_hold_is_retry(struct sl_worker *worker, const struct sl_pkt *pkt,
                                      struct sl_hold *hold, uint32_t offset, bool *tls);
void sl_hold_forget_answer(struct sl_worker *worker, uint16_t vlan, struct sl_hold *hold);

#endif
