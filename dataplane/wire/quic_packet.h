/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_packet.h: the packets of a QUIC datagram, as far as they can be parsed without a key (RFC
 * 9000 17, RFC 9369 3.2). Pure functions; bytes belong to the caller and are only read.
 */
#ifndef SLUICE_WIRE_QUIC_PACKET_H
#define SLUICE_WIRE_QUIC_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/cursor.h"
#include "wire/quic_crypto.h"
#include "wire/parse_result.h"
#include "sluice/reason.h"

#define SL_QUIC_INITIAL_DGRAM_MIN 1200 /* a client's datagram with an Initial, RFC 9000 14.1 */
#define SL_QUIC_FIRST_DCID_MIN    8    /* RFC 9000 7.2 */

/* The fields of an Initial's (or a Retry's) long header that can be read without a key. */
struct sl_quic_header {
	enum sl_reason reason; /* why there is none; SL_REASON_NONE for DONE */
	uint32_t version;
	uint16_t token_len; /* bytes */
	uint32_t zeros_at;  /* of sl_quic_find_initial(), see there */
	uint8_t dcid_len;
	uint8_t scid_len;
	uint8_t dcid[SL_QUIC_CID_MAX];
	uint8_t scid[SL_QUIC_CID_MAX];
};

/*
 * Decides whether this can be a client's first datagram, by the first packet's header only.
 *
 * SL_PARSE_DONE      a version 1 or 2 Initial, *out is filled in
 * SL_PARSE_NOT_MINE  SL_REASON_NOT_QUIC: short header, 0-RTT or another type first, another version
 *                    (gQUIC, drafts, greased ones, version negotiation), a datagram below 1,200
 *                    bytes, a DCID below 8
 * SL_PARSE_BAD       SL_REASON_MALFORMED_QUIC: a length that does not fit
 */
enum sl_parse_result sl_quic_initial_probe(const uint8_t *dgram, size_t len,
                                           struct sl_quic_header *out);

/*
 * Decides whether a datagram, of either side, holds an Initial anywhere in its chain of coalesced
 * packets. Cheap: long headers only, no key.
 *
 * SL_PARSE_DONE      yes, the first one's header is in *out (it is not checked for being whole, nor
 *                    the datagram's size: sl_quic_client_datagram() does that)
 * SL_PARSE_NOT_MINE  no; nothing in it can open a connection
 * SL_PARSE_BAD       SL_REASON_NOT_QUIC for another version, version negotiation, or the public
 *                    header of gQUIC: a server that knows it might open a connection;
 *                    SL_REASON_MALFORMED_QUIC for a chain that is invalid, or goes on after a zero.
 * Of the latter out->zeros_at says where, else it is 0: a server may skip zeros, or it may see a
 * short header packet there whose first byte is greased (RFC 9287), so it is for the caller to know
 * that packet
 */
enum sl_parse_result sl_quic_find_initial(const uint8_t *dgram, size_t len,
                                          struct sl_quic_header *out);

/* ---- for quic_initial.c ---- */

#define SL_QUIC_FIXED_BIT 0x40 /* of the first byte, RFC 9000 17 */

/* The offset of the sample from the first byte of the packet number (RFC 9001 5.4.2). */
#define SL_QUIC_SAMPLE_AT 4

enum sl_quic_packet_kind {
	SL_QUIC_PACKET_INVALID = 0, /* its lengths are invalid */
	SL_QUIC_PACKET_INITIAL,
	SL_QUIC_PACKET_ZERO_RTT,
	SL_QUIC_PACKET_HANDSHAKE,
	SL_QUIC_PACKET_RETRY,
	SL_QUIC_PACKET_SHORT,         /* 1-RTT; takes the rest of the datagram */
	SL_QUIC_PACKET_OTHER_VERSION, /* version negotiation too; takes the rest of the datagram */
};

struct sl_quic_packet {
	enum sl_quic_packet_kind kind;
	const uint8_t *start;
	size_t len;       /* bytes, header included */
	size_t number_at; /* where the packet number begins (Initial, 0-RTT, Handshake) */
	uint32_t version;
	struct sl_cursor dcid;
	struct sl_cursor scid;
	struct sl_cursor token; /* Initial and Retry */
};

/*
 * Takes one packet off the front of a datagram's rest, which must not be empty. Unless its kind is
 * INVALID, the packet is inside the datagram with all its parts, and an Initial is long enough to
 * be sampled.
 */
void sl_quic_packet_read(struct sl_cursor *c, struct sl_quic_packet *p);

/* Fills in the fields of the long header of an Initial or a Retry. */
void sl_quic_packet_header(struct sl_quic_header *out, const struct sl_quic_packet *p);

/* True if these bytes are all zero (len may be 0). */
bool sl_quic_packet_is_padding(const uint8_t *bytes, size_t len);

#endif
