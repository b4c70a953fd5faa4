/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strict.h: the one strict TCP machine (RFC 9293 3.10.7), for connections whose first bytes are
 * judged before they leave: from the SYN until the server has acknowledged what was judged. It
 * decides which segments are believed; what is in them, and what of them leaves, is its user's
 * (hold.c for TLS, dns_tcp.c for DNS).
 *
 * A segment that the server might not take must not make the gateway believe anything.
 */
#ifndef DATAPLANE_STRICT_H
#define DATAPLANE_STRICT_H

#include "core/deadline.h"
#include "segment.h"
#include "core/state.h"
#include "tcp_clean.h"

/* What the machine asks of its user. */
struct sl_strict_user {
	/* Sends [from, from + n) again, which left before: offsets from `base`. */
	void (*again)(struct sl_worker *worker, struct sl_flow *flow, uint32_t from, uint32_t n);
	/* Looks again at what waits on hold; may end the flow. NULL: nothing ever waits. */
	void (*look)(struct sl_worker *worker, struct sl_flow *flow);
};

/* Offsets count from `base`, the number of the copy's first byte. */
struct sl_strict {
	const struct sl_strict_user *user;
	uint32_t flow; /* index */
	bool opening;  /* SYN let out, no SYN/ACK yet */
	bool client_offers_scale;
	bool scaled; /* both sides offered window scaling */
	uint8_t server_wscale;
	uint16_t client_mss;
	uint16_t server_mss; /* 0: it named none */
	uint32_t iss;        /* the client's initial sequence number */
	uint32_t irs;        /* the server's */
	uint32_t base;
	uint32_t released;     /* bytes that left */
	uint32_t window_end;   /* behind the server's receive window */
	uint32_t room;         /* bytes that the copy may have */
	uint32_t held_packets; /* whose bytes have not left */
	uint32_t max_segment;  /* the client's largest */
	uint32_t resend;       /* its delivery is the gateway's (strict_own.c); 0: the client's */
	uint32_t owned;        /* bytes that were acknowledged in the server's place */
	struct sl_segment_client client; /* for segments made from the copy */
	struct sl_stream stream;         /* the copy: what the client sent */
};

/* Where a segment of the client's stands in its stream. */
static inline uint32_t sl_strict_offset(const struct sl_strict *tcp, const struct sl_pkt *pkt)
{
	return sl_segment_seq(pkt) - tcp->base;
}

/* Bytes that the server has acknowledged; one more with the client's FIN. */
static inline uint32_t sl_strict_acked(const struct sl_strict *tcp, const struct sl_flow *flow)
{
	return flow->ack[1] - tcp->base;
}

/*
 * A connection's first SYN, which is cleaned in place; *tcp is begun. False: it is settled as
 * refused (malformed-packet, stream-conflict: its numbers are on record).
 */
bool sl_strict_begin(struct sl_worker *worker, struct sl_pkt *pkt,
                     const struct sl_strict_user *user, struct sl_strict *tcp);

/* Settles the same SYN again (flow.c saw to its number); it may not offer something else. */
void sl_strict_syn_again(struct sl_pkt *pkt, const struct sl_strict *tcp, enum sl_reason reason);

enum sl_strict_syn_ack {
	SL_STRICT_SETTLED = 0, /* it says nothing new */
	SL_STRICT_OPENED,      /* the first one: the caller forwards it */
	SL_STRICT_EARLY,       /* the server speaks first; not settled */
	SL_STRICT_CONFLICT,    /* another number than the first one's; not settled */
};

/* A server's SYN/ACK. Repetitions pass under `reason`. */
enum sl_strict_syn_ack sl_strict_syn_ack(struct sl_pkt *pkt, struct sl_strict *tcp,
                                         enum sl_reason reason);

/* Settles a segment of the server's before its SYN/ACK, which belongs to an older connection. */
void sl_strict_challenge(struct sl_pkt *pkt, enum sl_reason reason);

/* Takes the server's window from a segment that is believed. */
void sl_strict_window(struct sl_strict *tcp, const struct sl_pkt *pkt);

/* Forwards a bare segment with nothing in it that was not looked at. False: it is malformed. */
bool sl_strict_pass_clean(struct sl_pkt *pkt, enum sl_reason reason);

/* A reset that is believed: it passes, and the flow is gone; what was held counts under `held`. */
void sl_strict_pass_reset(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason,
                          enum sl_reason held);

/*
 * True if a client's reset carries the number that the server expects next, which is the only one
 * that ends the server's connection (RFC 5961 3.2), and nothing that was sent could change that.
 * Others are dropped: where the client is gone, its next reset answers a segment of the server's,
 * and fits. fin: the client's FIN was passed on.
 */
bool sl_strict_server_takes_reset(const struct sl_pkt *pkt, const struct sl_strict *tcp, bool fin);

/* True if a reset from the uplink can be the server's. */
bool sl_strict_is_servers_reset(const struct sl_pkt *pkt, const struct sl_strict *tcp);

/* The payload from `skip` bytes on goes into the copy, from `offset` on. */
enum sl_stream_result sl_strict_copy(struct sl_worker *worker, const struct sl_pkt *pkt,
                                     struct sl_strict *tcp, uint32_t offset, uint32_t skip);

/* The packet of bytes that are new is on hold. */
void sl_strict_hold(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_strict *tcp);

/*
 * How much one segment may carry: what the server takes, and no more than what the client, who may
 * know of a narrow path, sent itself.
 */
uint32_t sl_strict_segment_bytes(const struct sl_flow *flow, const struct sl_strict *tcp);

/* The flow ends: packets on hold count under `reason`, memory is given back. */
void sl_strict_end(struct sl_worker *worker, const struct sl_flow *flow, struct sl_strict *tcp,
                   enum sl_reason reason);

/*
 * strict_own.c: acknowledges what is on hold, in the server's place, if that was begun, or begins
 * it: the client has shown that it goes on no other way.
 */
void sl_strict_own(struct sl_worker *worker, struct sl_flow *flow, struct sl_strict *tcp,
                   bool begin);

void sl_strict_own_end(struct sl_worker *worker, struct sl_strict *tcp);

/* Offset behind what the client may send by now. */
uint32_t sl_strict_window_end(const struct sl_strict *tcp);

/* strict_own.c: deliveries that are the gateway's, of connections under judgement. Setup; each
 * turn. */
bool sl_strict_create(struct sl_worker *worker);
void sl_strict_destroy(struct sl_worker *worker);
void sl_strict_timeouts(struct sl_worker *worker); /* sends again what the server lacks */

#endif
