/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic.h: a QUIC connection under rule 3, as far as its Initials are concerned (spec section 3). A
 * flow may have several, one after another: after a Retry, in another version, another attempt.
 * Each has a struct sl_quic_hold of its own, and each must prove the flow's name.
 */
#ifndef DATAPLANE_QUIC_H
#define DATAPLANE_QUIC_H

#include "core/deadline.h"
#include "wire/quic_initial.h"
#include "core/state.h"
#include "core/watch.h"
#include "watch/tcp/stream.h"

#define SL_QUIC_HELLO_DGRAMS 4 /* over which a hello may be split */
#define SL_QUIC_FRAMES_MAX   8 /* on hold: those, and 0-RTT packets in datagrams of their own */
#define SL_QUIC_CONNS_MAX    4 /* of one flow at a time */
/*
 * Connection IDs that keys may be derived from, over all connections of a flow: the client's
 * first, the server's, a Retry's.
 */
#define SL_QUIC_ORIGINS_MAX (3 * SL_QUIC_CONNS_MAX)

/*
 * A datagram on hold is stored in pieces, each the size of a stream's chunk and from the same
 * pool.
 */
struct sl_quic_piece {
	uint32_t next; /* first, as the pool links freed elements here */
	uint32_t len;
	uint8_t bytes[sizeof(struct sl_stream_chunk) - 8];
};

/* Initials of one connection that may leave: as many marks as a chunk holds. */
#define SL_QUIC_MARKS_MAX (sizeof(struct sl_stream_chunk) / sizeof(struct sl_quic_mark))

struct sl_quic_frame {
	uint32_t piece;
	uint32_t len; /* of the whole frame, cut to its IP length */
	bool tagged;
};

struct sl_quic_hold {
	struct sl_deadline deadline; /* of what is on hold */
	uint32_t flow;               /* from here on zeroed when the element is created */
	uint32_t next;               /* the flow's next connection, newer than this one */
	uint32_t record;             /* of its ID (quic_cid.c); 0: none */
	uint32_t server_record;      /* of the server's; 0: none */
	uint32_t marks;  /* chunk with the marks of the Initials that left or are held; 0: none */
	uint32_t judged; /* CRYPTO bytes from the start that were judged and released */
	bool timed;      /* in the list of deadlines */
	bool accepted;   /* its first ClientHello was judged and released */
	bool sealed;     /* accepted, and its copy was freed: no CRYPTO data may follow */
	bool retried;    /* a genuine Retry was received, with retry_cid */
	bool negotiated; /* the server asked for another version */
	bool inherited;  /* its ID was first used in another version */
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
 * Adds a connection that begins with this Initial, after the flow's others. NULL if there is no
 * memory.
 */
struct sl_quic_hold *sl_quic_hold_make(struct sl_worker *worker, struct sl_flow *flow,
                                       const struct sl_quic_header *header);

/* Frees a connection; its datagrams on hold count under `reason`. */
void sl_quic_hold_free(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason reason);

/* Keeps a copy of a packet, which becomes SL_FATE_HELD. False at a limit. */
bool sl_quic_hold_keep(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold);

/* Sends what is on hold, in order, as forwarded for this reason. */
void sl_quic_hold_release(struct sl_worker *worker, struct sl_quic_hold *hold,
                          enum sl_reason reason);

/* Drops what is on hold. */
void sl_quic_hold_drop(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason reason);

/*
 * The marks of the connection's Initials, hold->mark_count of SL_QUIC_MARKS_MAX. Counts as held
 * memory; NULL if its limit is reached.
 */
struct sl_quic_mark *sl_quic_hold_marks(struct sl_worker *worker, struct sl_quic_hold *hold);

/*
 * Frees the copy of an accepted connection's hellos, the datagrams on hold and the marks. It may
 * not send CRYPTO data any more, so there is nothing left to compare.
 */
void sl_quic_hold_seal(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason reason);

/* Starts the timeout of a hello, from now on; or stops it. */
void sl_quic_hold_time(struct sl_worker *worker, struct sl_quic_hold *hold);
void sl_quic_hold_untime(struct sl_worker *worker, struct sl_quic_hold *hold);

static inline bool sl_quic_is_long(const uint8_t *dgram)
{
	return dgram[0] & 0x80;
}

/* The datagram's bytes, made contiguous if they are in several segments: valid inside one call. */
static inline const uint8_t *sl_quic_payload(const struct sl_worker *worker,
                                             const struct sl_pkt *pkt)
{
	return rte_pktmbuf_read(pkt->mbuf, pkt->payload_off, pkt->payload_len, worker->scratch);
}

/* quic_server.c: settles a datagram from the server, and notes what can be believed of it. */
void sl_quic_from_server(struct sl_worker *worker, struct sl_pkt *pkt);

/*
 * quic_keys.c: true if this many keys may be tried on a packet of this sandbox, or of its servers.
 * Each counts against the limit, whether it opens anything or not. False beyond the limit; then
 * nothing is counted.
 */
bool sl_quic_may_decrypt(struct sl_worker *worker, const struct sl_pkt *pkt, unsigned trials);

/*
 * Counts all keys that a client's datagram will be tried with, and tries those that it must not
 * open under: all of the flow's except the owner's own. owner: the connection that it belongs to;
 * NULL: one that its header begins. False, and *why: malformed-quic or rate-limit.
 */
bool sl_quic_try_keys(struct sl_worker *worker, struct sl_pkt *pkt,
                      const struct sl_quic_hold *owner, const struct sl_quic_header *header,
                      const uint8_t *dgram, enum sl_reason *why);

/* quic_judge.c: settles a datagram that holds an Initial of this connection. */
void sl_quic_judge(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold,
                   const uint8_t *dgram, uint32_t len);

/* Forwards a datagram of a judged flow. */
void sl_quic_pass(struct sl_worker *worker, struct sl_pkt *pkt);

/*
 * quic_cid.c: called before the first judged hello of a connection leaves. True if the connection
 * may use its ID, which then belongs to its flow. If not, *why: the ID was used before, by any flow
 * of any sandbox (malformed-quic), or there is no room to record it and the server's (flow-limit).
 */
bool sl_quic_cid_claim(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason *why);

/*
 * Called when a server has chosen this ID for the connection; it then belongs to the flow. False
 * if that cannot be accepted: the ID belongs to another connection, which its server would find by
 * it.
 */
bool sl_quic_cid_answer(struct sl_worker *worker, struct sl_quic_hold *hold, const uint8_t *cid,
                        uint8_t len);

/* The connection has ended, or its copy was freed: no connection may use its IDs for a while. */
void sl_quic_cid_release(struct sl_worker *worker, struct sl_quic_hold *hold);

/*
 * Creates a table for this worker alone, if it shares none. Setup only; false if memory is short.
 */
bool sl_quic_cid_create(struct sl_worker *worker);
void sl_quic_cid_destroy(struct sl_worker *worker);
void sl_quic_cid_timeouts(struct sl_worker *worker);

extern const struct sl_watcher sl_quic_watcher;

bool sl_quic_create(struct sl_worker *worker);
void sl_quic_destroy(struct sl_worker *worker);
void sl_quic_end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason);

#endif
