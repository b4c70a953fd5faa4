/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic.h: a QUIC connection under rule 3, as far as its Initials go (spec section 3). A flow may
 * see several one after another on its ports: a Retry's, another version's, another attempt. Each
 * is a struct sl_quic_hold of its own, and each has to prove the flow's name.
 */
#ifndef DATAPLANE_QUIC_H
#define DATAPLANE_QUIC_H

#include "core/deadline.h"
#include "wire/quic_initial.h"
#include "core/state.h"
#include "core/watch.h"
#include "watch/tcp/stream.h"

#define SL_QUIC_HELLO_DGRAMS 4 /* over which a hello may be spread */
#define SL_QUIC_FRAMES_MAX   8 /* on hold: these, and 0-RTT in datagrams of its own */
#define SL_QUIC_CONNS_MAX    4 /* of one flow at a time */
/* IDs that keys may come from, in a flow's connections: the first, the server's, a Retry's. */
#define SL_QUIC_ORIGINS_MAX (3 * SL_QUIC_CONNS_MAX)

/* A datagram on hold lies in pieces, each the size of a stream's chunk and from the same pool. */
struct sl_quic_piece {
	uint32_t next; /* first, as the pool links freed elements here */
	uint32_t len;
	uint8_t bytes[sizeof(struct sl_stream_chunk) - 8];
};

/* Initials of one connection that may leave: as many as a chunk holds. */
#define SL_QUIC_MARKS_MAX (sizeof(struct sl_stream_chunk) / sizeof(struct sl_quic_mark))

struct sl_quic_frame {
	uint32_t piece;
	uint32_t len; /* of the whole frame, cut to its IP length */
	bool tagged;
};

struct sl_quic_hold {
	struct sl_deadline deadline; /* of what is on hold */
	uint32_t flow;               /* from here on zero when the element is made */
	uint32_t next;               /* the flow's next connection, younger than this one */
	uint32_t record;             /* of its ID (quic_cid.c); 0: none */
	uint32_t server_record;      /* of the server's; 0: none */
	uint32_t marks;              /* chunk: of the Initials that left or are held; 0: none */
	uint32_t judged;             /* CRYPTO bytes from the start that were judged and let out */
	bool timed;                  /* in the list of deadlines */
	bool accepted;               /* its first ClientHello was judged and let out */
	bool sealed;     /* accepted, and its copy was given up: no CRYPTO data may follow */
	bool retried;    /* a genuine Retry came, which asks for retry_cid */
	bool negotiated; /* the server asked for another version */
	bool inherited;  /* its ID was first another version's */
	uint8_t dgrams;  /* on hold with parts of the hello */
	uint8_t frame_count;
	uint8_t mark_count;
	uint8_t scid_len;
	uint8_t retry_cid_len;
	uint8_t scid[SL_QUIC_CID_MAX];
	uint8_t retry_cid[SL_QUIC_CID_MAX];
	struct sl_quic_conn conn;
	struct sl_stream hello; /* the copy of the CRYPTO stream */
	struct sl_quic_frame frames[SL_QUIC_FRAMES_MAX];
};

static inline struct sl_quic_hold *sl_quic_hold_at(const struct sl_worker *worker, uint32_t index)
{
	return index != 0 ? sl_pool_at(&worker->quics, index) : NULL;
}

/* The flow's oldest connection, NULL if none is remembered. */
static inline struct sl_quic_hold *sl_quic_hold_of(const struct sl_worker *worker,
                                                   const struct sl_flow *flow)
{
	return sl_quic_hold_at(worker, *sl_watch_kept(worker, flow, SL_WATCH_QUIC));
}

static inline struct sl_flow *sl_quic_hold_flow(const struct sl_worker *worker,
                                                const struct sl_quic_hold *hold)
{
	return &worker->table.flows[hold->flow];
}

/* quic_hold.c: memory of connections, and datagrams on hold. */

/*
 * Remembers a connection that begins with this Initial, behind the flow's others. NULL if there is
 * no memory.
 */
struct sl_quic_hold *sl_quic_hold_make(struct sl_worker *worker, struct sl_flow *flow,
                                       const struct sl_quic_header *header);

/* Forgets a connection; its datagrams on hold count under `reason`. */
void sl_quic_hold_free(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason reason);

/* Keeps a copy of a packet, which becomes SL_FATE_HELD. False at a limit. */
bool sl_quic_hold_keep(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold);

/* Sends what is on hold, in order, as forwarded for this reason. */
void sl_quic_hold_release(struct sl_worker *worker, struct sl_quic_hold *hold,
                          enum sl_reason reason);

/* Drops what is on hold. */
void sl_quic_hold_drop(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason reason);

/*
 * The marks of the connection's Initials, hold->mark_count of SL_QUIC_MARKS_MAX. Counts as memory
 * on hold; NULL at a limit of that.
 */
struct sl_quic_mark *sl_quic_hold_marks(struct sl_worker *worker, struct sl_quic_hold *hold);

/*
 * Gives the copy of an accepted connection's hellos up, with what is on hold and the marks:
 * nothing of it may send CRYPTO data again, so that there is nothing to tell apart.
 */
void sl_quic_hold_seal(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason reason);

/* Gives the time that a hello may take, from now on; or none. */
void sl_quic_hold_time(struct sl_worker *worker, struct sl_quic_hold *hold);
void sl_quic_hold_untime(struct sl_worker *worker, struct sl_quic_hold *hold);

static inline bool sl_quic_is_long(const uint8_t *dgram)
{
	return dgram[0] & 0x80;
}

/* The datagram's bytes, put together if they lie in several segments: valid inside one call. */
static inline const uint8_t *sl_quic_payload(const struct sl_worker *worker,
                                             const struct sl_pkt *pkt)
{
	return rte_pktmbuf_read(pkt->mbuf, pkt->payload_off, pkt->payload_len, worker->scratch);
}

/* quic_server.c: settles a datagram from the server, and notes what of it is believed. */
void sl_quic_from_server(struct sl_worker *worker, struct sl_pkt *pkt);

/*
 * quic_keys.c: may that many keys be tried on a packet of this sandbox, or of its servers? Each is
 * paid for, whether it opens anything or not. False, and nothing is taken, beyond the limit.
 */
bool sl_quic_may_decrypt(struct sl_worker *worker, const struct sl_pkt *pkt, unsigned trials);

/*
 * Pays for all keys that a client's datagram is to be tried with, and tries those that it must not
 * open under: the flow's but the owner's first ones. owner: the connection that it belongs to;
 * NULL: one that its header begins. False, and *why: malformed-quic or rate-limit.
 */
bool sl_quic_try_keys(struct sl_worker *worker, struct sl_pkt *pkt,
                      const struct sl_quic_hold *owner, const struct sl_quic_header *header,
                      const uint8_t *dgram, enum sl_reason *why);

/* quic_judge.c: settles a datagram that holds an Initial of this connection. */
void sl_quic_judge(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                   const uint8_t *dgram, uint32_t len);

/* Lets a datagram of a judged flow pass. */
void sl_quic_pass(struct sl_worker *worker, struct sl_pkt *pkt);

/*
 * quic_cid.c: true if the connection, whose first hello was judged and is about to leave, may use
 * its ID, which is its flow's from now on. If not, *why: the ID was used before, by any flow of any
 * sandbox (malformed-quic), or there is no room to remember it and the server's (flow-limit).
 */
bool sl_quic_cid_claim(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason *why);

/*
 * A server has chosen this ID for the connection, which is its flow's from now on. False if that
 * cannot be believed: the ID is another connection's, whose server would find it by it.
 */
bool sl_quic_cid_answer(struct sl_worker *worker, struct sl_quic_hold *hold, const uint8_t *cid,
                        uint8_t len);

/* The connection is over, or its copy is given up: nobody may use its IDs for a while. */
void sl_quic_cid_release(struct sl_worker *worker, struct sl_quic_hold *hold);

/* Makes a table of the worker's own, if it shares none. Setup only; false if memory is short. */
bool sl_quic_cid_create(struct sl_worker *worker);
void sl_quic_cid_destroy(struct sl_worker *worker);
void sl_quic_cid_timeouts(struct sl_worker *worker);

extern const struct sl_watcher sl_quic_watcher;

bool sl_quic_create(struct sl_worker *worker);
void sl_quic_destroy(struct sl_worker *worker);
void sl_quic_end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason);

#endif
