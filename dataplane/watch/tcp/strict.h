/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strict.h: the one strict TCP machine (RFC 9293 3.10.7), for connections whose first bytes are
 * judged before they leave: from the SYN until the server has acknowledged what was judged. It
 * decides which segments are believed. Its user (hold.c for TLS, dns_tcp.c for DNS) decides about
 * their content, and which bytes leave.
 *
 * A segment that the server might not accept must not change what the gateway believes.
 */
#ifndef DATAPLANE_STRICT_H
#define DATAPLANE_STRICT_H

#include "core/deadline.h"
#include "segment.h"
#include "core/state.h"
#include "tcp_clean.h"

/* What the machine calls in its user. */
struct sl_strict_user {
	/* Sends the bytes [from, from + n) again, which left before: offsets from `base`. */
	void (*again)(struct sl_worker *worker, struct sl_flow *flow, uint32_t from, uint32_t n);
	/* Judges the held bytes again; may end the flow. NULL: nothing ever waits. */
	void (*look)(struct sl_worker *worker, struct sl_flow *flow);
};

/* Offsets count from `base`, the number of the copy's first byte. */
struct sl_strict {
	const struct sl_strict_user *user;
	uint32_t flow; /* index */
	bool opening;  /* SYN sent, no SYN/ACK yet */
	bool client_offers_scale;
	bool scaled; /* both sides offered window scaling */
	uint8_t server_wscale;
	uint16_t client_mss;
	uint16_t server_mss; /* 0: it sent none */
	uint32_t iss;        /* the client's initial sequence number */
	uint32_t irs;        /* the server's */
	uint32_t base;
	uint32_t released;     /* bytes that left */
	uint32_t window_end;   /* the offset after the server's receive window */
	uint32_t room;         /* the size limit of the copy, in bytes */
	uint32_t held_packets; /* packets whose bytes have not left */
	uint32_t max_segment;  /* the client's largest */
	uint32_t resend;       /* the gateway retransmits (strict_own.c); 0: the client does */
	uint32_t owned;        /* bytes that were acknowledged in the server's place */
	struct sl_segment_client client; /* for segments made from the copy */
	struct sl_stream stream;         /* the copy: what the client sent */
};

/* The offset of a client's segment in its stream. */
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
 * Handles a connection's first SYN: cleans it in place and initialises *tcp. False: it is refused
 * (malformed-packet, or stream-conflict because its numbers are on record).
 */
bool sl_strict_begin(struct sl_worker *worker, struct sl_pkt *pkt,
                     const struct sl_strict_user *user, struct sl_strict *tcp);

/* Settles a retransmitted SYN (dispatch.c checked its number). It must not offer anything else. */
void sl_strict_syn_again(struct sl_pkt *pkt, const struct sl_strict *tcp, enum sl_reason reason);

enum sl_strict_syn_ack {
	SL_STRICT_SETTLED = 0, /* a repetition */
	SL_STRICT_OPENED,      /* the first SYN/ACK: the caller forwards it */
	SL_STRICT_EARLY,       /* the server speaks first; not settled */
	SL_STRICT_CONFLICT,    /* another number than the first SYN/ACK's; not settled */
};

/* Handles a server's SYN/ACK. Repetitions pass under `reason`. */
enum sl_strict_syn_ack sl_strict_syn_ack(struct sl_pkt *pkt, struct sl_strict *tcp,
                                         enum sl_reason reason);

/* Settles a segment of the server's before its SYN/ACK, which belongs to an older connection. */
void sl_strict_challenge(struct sl_pkt *pkt, enum sl_reason reason);

/* Takes the server's window from a segment that is believed. */
void sl_strict_window(struct sl_strict *tcp, const struct sl_pkt *pkt);

/*
 * Forwards a segment without payload, cleaned of everything that was not checked. False: it is
 * malformed.
 */
bool sl_strict_pass_clean(struct sl_pkt *pkt, enum sl_reason reason);

/* Passes a reset that is believed, and ends the flow; held packets count under `held`. */
void sl_strict_pass_reset(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason,
                          enum sl_reason held);

/*
 * True if a client's reset carries the number that the server expects next, the only one that ends
 * the server's connection (RFC 5961 3.2), and no byte in flight can change that number. Other
 * resets are dropped: if the client is gone, its next reset, in answer to the server's next
 * segment, has the right number. fin: the client's FIN was passed on.
 */
bool sl_strict_server_takes_reset(const struct sl_pkt *pkt, const struct sl_strict *tcp, bool fin);

/* True if a reset from the uplink can be the server's. */
bool sl_strict_is_servers_reset(const struct sl_pkt *pkt, const struct sl_strict *tcp);

/* Writes the payload, without its first `skip` bytes, into the copy at `offset`. */
enum sl_stream_result sl_strict_copy(struct sl_worker *worker, const struct sl_pkt *pkt,
                                     struct sl_strict *tcp, uint32_t offset, uint32_t skip);

/* Puts a packet with new bytes on hold. */
void sl_strict_hold(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_strict *tcp);

/*
 * How much one segment may carry: at most the server's MSS, and at most what the client itself has
 * sent in one, since it may know of a smaller path MTU.
 */
uint32_t sl_strict_segment_bytes(const struct sl_flow *flow, const struct sl_strict *tcp);

/* The flow ends: packets on hold count under `reason`, memory is freed. */
void sl_strict_end(struct sl_worker *worker, const struct sl_flow *flow, struct sl_strict *tcp,
                   enum sl_reason reason);

/*
 * strict_own.c: acknowledges what is on hold, in the server's place. Starts to do so where needed:
 * the client has shown that it would not send more otherwise.
 */
void sl_strict_own(struct sl_worker *worker, struct sl_flow *flow, struct sl_strict *tcp,
                   bool begin);

void sl_strict_own_end(struct sl_worker *worker, struct sl_strict *tcp);

/* The offset up to which the client may send now. */
uint32_t sl_strict_window_end(const struct sl_strict *tcp);

/*
 * strict_own.c: retransmission by the gateway, for connections under judgement. create at setup;
 * timeouts each turn.
 */
bool sl_strict_create(struct sl_worker *worker);
void sl_strict_destroy(struct sl_worker *worker);
void sl_strict_timeouts(struct sl_worker *worker); /* sends again what is unacknowledged */

#endif
