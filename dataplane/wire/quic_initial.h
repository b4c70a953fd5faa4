/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_initial.h: what a QUIC client's datagrams contain before its connection has keys of its own
 * (RFC 9000, 9001, 9369; versions 1 and 2).
 *
 * The life of a flow, and what is called when:
 *
 *  1. first datagram: sl_quic_initial_probe(), sl_quic_conn_init() with its version and DCID;
 *  2. this and the following ones, on hold: sl_quic_client_datagram(), until the ClientHello that
 *     its CRYPTO frames make up is judged;
 *  3. after the verdict, each datagram from the server: sl_quic_server_datagram(); the first
 *     authentic Initial's header goes to sl_quic_conn_answer(). A Retry may come instead:
 *     sl_quic_retry_parse();
 *  4. after the verdict, each datagram from the client: sl_quic_find_initial().
 *     NOT_MINE: no Initial in it, it passes. BAD: it is dropped.
 *     DONE: it must open under none of the other IDs that keys may come from:
 *     sl_quic_opens_under().
 *     DONE, and sl_quic_conn_owns() the header: sl_quic_client_datagram() with the same conn; its
 *     CRYPTO frames must repeat judged bytes. As long as a copy of these is kept they are compared;
 *     when it is gone, only a datagram without CRYPTO data (info.crypto_frames == 0) passes so.
 *     DONE otherwise (another DCID, as after a Retry; CRYPTO data that cannot be compared): a new
 *     connection begins on this 5-tuple, and is judged from step 1 on.
 *
 * Why CRYPTO data of a connection that is judged already must be compared: the judged Initial may
 * have been lost on its way (a small TTL), and then the server takes the next one for the first.
 *
 * Pure except for the scratch memory in struct sl_quic_crypto: one worker, no allocation. Bytes
 * belong to the caller and are only read.
 */
#ifndef SLUICE_WIRE_QUIC_INITIAL_H
#define SLUICE_WIRE_QUIC_INITIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/quic_crypto.h"
#include "wire/quic_packet.h"
#include "wire/parse_result.h"
#include "sluice/reason.h"

#define SL_QUIC_INITIALS_MAX 8 /* this many in one datagram are opened; real ones have 1 or 2 */

/*
 * One client connection, as far as its Initials are concerned. No pointers: it may be copied. Only
 * the functions below write it.
 */
struct sl_quic_conn {
	uint32_t version;
	uint8_t dcid_len;
	uint8_t server_cid_len;
	bool answered;  /* the server has answered: server_cid is valid */
	bool has_hello; /* the server's answer shows that it has the whole ClientHello */
	uint8_t dcid[SL_QUIC_CID_MAX];       /* of the client's first Initial: the keys' origin */
	uint8_t server_cid[SL_QUIC_CID_MAX]; /* what the client addresses afterwards */
	uint64_t number_next;                /* the largest packet number that opened, plus one */
	uint64_t server_number_next;         /* the same for the server's */
	uint64_t server_hello_at;            /* where in its CRYPTO stream its ServerHello begins */
	struct sl_quic_keys client;
};

/* A connection ID that keys may be derived from. */
struct sl_quic_origin {
	uint8_t len;
	uint8_t cid[SL_QUIC_CID_MAX];
};

/*
 * Starts a connection and derives its keys. dcid is the Destination Connection ID of the client's
 * first Initial, or of its first one after a Retry (dcid_len <= 20). False for an unknown version.
 */
bool sl_quic_conn_init(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn, uint32_t version,
                       const uint8_t *dcid, size_t dcid_len);

/*
 * Opens the Initials of a server's datagram that are addressed to the client's Source Connection ID
 * (scid), under the server's keys of conn, and notes in conn what they show: has_hello as soon as
 * one of them contains a ServerHello (RFC 9001 4.1.3; not a HelloRetryRequest). A packet that does
 * not open, or has another ID or version than the first answer, changes nothing. True, and the
 * header of the first one that opened in *first, if one did. Each Initial costs one key derivation
 * and one decryption.
 */
bool sl_quic_server_datagram(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn,
                             const uint8_t *scid, size_t scid_len, const uint8_t *dgram, size_t len,
                             struct sl_quic_header *first);

/*
 * Notes the server's first authentic Initial: the client's later packets go to its SCID, under the
 * keys of the original DCID (RFC 9000 7.2, RFC 9001 5.2). A server may also have changed the
 * version (RFC 9368): the keys are then derived again. Only the first answer counts. Before it a
 * datagram must not hold what a client cannot send yet: Handshake packets, short headers.
 */
void sl_quic_conn_answer(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn,
                         const struct sl_quic_header *server);

/* True if a client's Initial with this header belongs to this connection. */
bool sl_quic_conn_owns(const struct sl_quic_conn *conn, const struct sl_quic_header *client);

/*
 * Called for each CRYPTO frame with data, in the order of the packets: len >= 1 bytes at offset of
 * the CRYPTO stream, offset + len < 2^62. The bytes are valid until it returns, and it must not
 * use the struct sl_quic_crypto that holds them. A result other than 0 ends the walk with BAD.
 */
typedef int sl_quic_crypto_fn(void *arg, uint64_t offset, const uint8_t *data, size_t len);

/*
 * One Initial that opened: its number, and what distinguishes it from another packet with that
 * number.
 */
struct sl_quic_mark {
	uint64_t number;
	uint8_t digest[SL_QUIC_DIGEST_BYTES];
};

struct sl_quic_datagram_info {
	enum sl_reason reason;  /* why the answer is not DONE */
	uint16_t initials;      /* Initial packets that opened */
	uint16_t crypto_frames; /* with data */
	uint16_t token_len;     /* of the first Initial */
	bool zero_rtt;          /* 0-RTT packets, passed over */
	bool handshake;         /* Handshake packets, passed over */
	bool short_header;      /* a short header packet at the end, passed over */
	bool ack_eliciting;     /* an Initial holds more than ACK, PADDING and CONNECTION_CLOSE */
	bool closes;            /* an Initial holds CONNECTION_CLOSE */
	uint8_t scid_len;
	uint8_t scid[SL_QUIC_CID_MAX];                  /* of the first Initial */
	struct sl_quic_mark mark[SL_QUIC_INITIALS_MAX]; /* of the Initials, in their order */
};

/*
 * Walks all packets of a client's datagram that belongs to conn, and opens its Initials. The
 * datagram stays as it is.
 *
 * SL_PARSE_DONE      every packet is well-formed, at least one Initial opened
 * SL_PARSE_NOT_MINE  SL_REASON_NOT_QUIC: the first packet is not an Initial while the server has
 * not answered, or there is no Initial at all SL_PARSE_BAD       SL_REASON_MALFORMED_QUIC:
 * everything else, also what fn refused. Frames of packets before the bad one were passed to fn
 * already
 *
 * Also refused, where RFC 9000 12.2 leaves the choice to a server: packets of two connections in
 * one datagram, or with two Source Connection IDs, bytes after the last packet that are neither all
 * zero nor a short header packet of the same DCID, a datagram below 1,200 bytes.
 */
enum sl_parse_result sl_quic_client_datagram(struct sl_quic_crypto *crypto,
                                             struct sl_quic_conn *conn, const uint8_t *dgram,
                                             size_t len, sl_quic_crypto_fn *fn, void *arg,
                                             struct sl_quic_datagram_info *info);

/* The number of Initials in a datagram's chain, up to where it becomes invalid. Pure, no key. */
unsigned sl_quic_count_initials(const uint8_t *dgram, size_t len);

/*
 * True if an Initial of a client's datagram opens under the keys derived from this ID, in the
 * packet's version and with any packet number. To be called for every ID that a server might derive
 * keys from instead of the connection's own, before sl_quic_client_datagram(). Costs one key
 * derivation and two decryptions for each Initial.
 */
bool sl_quic_opens_under(struct sl_quic_crypto *crypto, const struct sl_quic_origin *origin,
                         const uint8_t *dgram, size_t len);

/*
 * Walks the frames of an Initial packet's plaintext (RFC 9000 19), which may be PADDING, PING,
 * ACK, CRYPTO and CONNECTION_CLOSE (0x1c). Adds to info. DONE or BAD.
 */
enum sl_parse_result sl_quic_frames_walk(const uint8_t *payload, size_t len, sl_quic_crypto_fn *fn,
                                         void *arg, struct sl_quic_datagram_info *info);

/*
 * Parses a server's datagram as a Retry that answers conn's first Initial (RFC 9000 17.2.5). DONE:
 * out->scid is the DCID of the client's next Initials, and the origin of their keys. NOT_MINE: not
 * a Retry. BAD: a Retry that the client will not accept (tag, no token, same CID).
 */
enum sl_parse_result sl_quic_retry_parse(struct sl_quic_crypto *crypto,
                                         const struct sl_quic_conn *conn, const uint8_t *dgram,
                                         size_t len, struct sl_quic_header *out);

#endif
