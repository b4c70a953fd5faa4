/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_packet.c: decides where the packets of a datagram begin and end, of which kind each is, and
 * whether a datagram could open a connection.
 *
 * It must never treat a packet as harmless that some server might take for a client's first
 * packet.
 */
#include "quic_packet.h"

#include <string.h>

/* The first byte, RFC 9000 17. */
enum {
	FORM_LONG = 0x80,
	TYPE_MASK = 0x30,
	TYPE_SHIFT = 4,
};

/* The two type bits of a long header mean different types in the two versions (RFC 9369 3.2). */
static enum sl_quic_packet_kind long_kind(uint32_t version, uint8_t first)
{
	static const enum sl_quic_packet_kind v1[4] = {
	        SL_QUIC_PACKET_INITIAL, SL_QUIC_PACKET_ZERO_RTT, SL_QUIC_PACKET_HANDSHAKE,
	        SL_QUIC_PACKET_RETRY};
	static const enum sl_quic_packet_kind v2[4] = {SL_QUIC_PACKET_RETRY, SL_QUIC_PACKET_INITIAL,
	                                               SL_QUIC_PACKET_ZERO_RTT,
	                                               SL_QUIC_PACKET_HANDSHAKE};
	unsigned type = (first & TYPE_MASK) >> TYPE_SHIFT;

	if (version == SL_QUIC_V1)
		return v1[type];
	if (version == SL_QUIC_V2)
		return v2[type];
	return SL_QUIC_PACKET_OTHER_VERSION;
}

/*
 * RFC 9000 17.2.2: Token Length (i), Token, Length (i), Packet Number, Payload. A 0-RTT or
 * Handshake packet has no token; a Retry has a token, a tag of 16 bytes, and no length.
 */
static bool read_long_rest(struct sl_cursor *c, struct sl_quic_packet *p)
{
	uint64_t len;

	if (p->kind == SL_QUIC_PACKET_RETRY) {
		if (c->left < SL_QUIC_TAG_BYTES)
			return false;
		(void)sl_cursor_span(c, c->left - SL_QUIC_TAG_BYTES, &p->token);
		return sl_cursor_skip(c, SL_QUIC_TAG_BYTES);
	}
	if (p->kind == SL_QUIC_PACKET_INITIAL &&
	    (!sl_cursor_varint(c, &len) || len > c->left || !sl_cursor_span(c, len, &p->token)))
		return false;
	if (!sl_cursor_varint(c, &len) || len > c->left)
		return false;
	p->number_at = (size_t)(c->at - p->start);
	/*
	 * Too short for the header protection sample: a receiver drops the packet (RFC 9001
	 * 5.4.2).
	 */
	if (p->kind == SL_QUIC_PACKET_INITIAL && len < SL_QUIC_SAMPLE_AT + SL_QUIC_SAMPLE_BYTES)
		return false;
	return sl_cursor_skip(c, len);
}

void sl_quic_packet_read(struct sl_cursor *c, struct sl_quic_packet *p)
{
	uint8_t first = c->at[0];

	*p = (struct sl_quic_packet){.kind = SL_QUIC_PACKET_INVALID, .start = c->at};
	(void)sl_cursor_skip(c, 1);
	if (!(first & FORM_LONG)) {
		p->kind = SL_QUIC_PACKET_SHORT;
		(void)sl_cursor_skip(c, c->left);
	} else if (sl_cursor_u32(c, &p->version)) {
		p->kind = long_kind(p->version, first);
		if (p->kind == SL_QUIC_PACKET_OTHER_VERSION)
			(void)sl_cursor_skip(c, c->left);
		else if (!sl_cursor_vector8(c, &p->dcid) || p->dcid.left > SL_QUIC_CID_MAX ||
		         !sl_cursor_vector8(c, &p->scid) || p->scid.left > SL_QUIC_CID_MAX ||
		         !read_long_rest(c, p))
			p->kind = SL_QUIC_PACKET_INVALID;
	}
	p->len = (size_t)(c->at - p->start);
}

void sl_quic_packet_header(struct sl_quic_header *out, const struct sl_quic_packet *p)
{
	out->reason = SL_REASON_NONE;
	out->version = p->version;
	out->token_len = (uint16_t)p->token.left;
	out->dcid_len = (uint8_t)p->dcid.left;
	out->scid_len = (uint8_t)p->scid.left;
	memcpy(out->dcid, p->dcid.at, p->dcid.left);
	memcpy(out->scid, p->scid.at, p->scid.left);
}

bool sl_quic_packet_is_padding(const uint8_t *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static enum sl_parse_result header_bad(struct sl_quic_header *out)
{
	out->reason = SL_REASON_MALFORMED_QUIC;
	return SL_PARSE_BAD;
}

static enum sl_parse_result header_not_mine(struct sl_quic_header *out)
{
	out->reason = SL_REASON_NOT_QUIC;
	return SL_PARSE_NOT_MINE;
}

enum sl_parse_result sl_quic_initial_probe(const uint8_t *dgram, size_t len,
                                           struct sl_quic_header *out)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	struct sl_quic_packet p;

	*out = (struct sl_quic_header){.reason = SL_REASON_NONE};
	if (len < SL_QUIC_INITIAL_DGRAM_MIN || !(dgram[0] & SL_QUIC_FIXED_BIT))
		return header_not_mine(out);
	if (len > SL_QUIC_DGRAM_MAX)
		return header_bad(out);
	sl_quic_packet_read(&c, &p);
	switch (p.kind) {
	case SL_QUIC_PACKET_INVALID:
		/*
		 * A packet with invalid lengths is a malformed Initial if its type is Initial;
		 * otherwise it is not QUIC that could be judged.
		 */
		return long_kind(p.version, dgram[0]) == SL_QUIC_PACKET_INITIAL
		               ? header_bad(out)
		               : header_not_mine(out);
	case SL_QUIC_PACKET_ZERO_RTT:
	case SL_QUIC_PACKET_HANDSHAKE:
	case SL_QUIC_PACKET_RETRY:
	case SL_QUIC_PACKET_SHORT:
	case SL_QUIC_PACKET_OTHER_VERSION:
		return header_not_mine(out);
	case SL_QUIC_PACKET_INITIAL:
		break;
	}
	if (p.dcid.left < SL_QUIC_FIRST_DCID_MIN)
		return header_not_mine(out);
	sl_quic_packet_header(out, &p);
	return SL_PARSE_DONE;
}

/*
 * gQUIC up to Q043: flags (1) with the bits 0x01 (a version follows) and 0x08 (a connection ID of 8
 * bytes), the ID, the version as "Q043". Its flags look like a short header whose fixed bit is
 * greased (RFC 9287), so only the version tells them apart.
 */
static bool is_gquic(const uint8_t *packet, size_t len)
{
	const uint8_t *tag = packet + 9;

	return len >= 13 && (packet[0] & (FORM_LONG | SL_QUIC_FIXED_BIT)) == 0 &&
	       (packet[0] & 0x09) == 0x09 && (tag[0] == 'Q' || tag[0] == 'T') && tag[1] == '0';
}

enum sl_parse_result sl_quic_find_initial(const uint8_t *dgram, size_t len,
                                          struct sl_quic_header *out)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	enum sl_parse_result answer = SL_PARSE_NOT_MINE;
	struct sl_quic_packet p;

	*out = (struct sl_quic_header){.reason = SL_REASON_NONE};
	if (len > 0 && is_gquic(dgram, len)) {
		out->reason = SL_REASON_NOT_QUIC;
		return SL_PARSE_BAD;
	}
	/*
	 * Up to the end, so that a chain that becomes invalid after the first Initial is not let
	 * through.
	 */
	while (c.left > 0) {
		bool padding = c.at != dgram && c.at[0] == 0;

		sl_quic_packet_read(&c, &p);
		switch (p.kind) {
		case SL_QUIC_PACKET_INVALID:
			return header_bad(out);
		case SL_QUIC_PACKET_OTHER_VERSION:
			out->reason = SL_REASON_NOT_QUIC;
			return SL_PARSE_BAD;
		case SL_QUIC_PACKET_SHORT:
			/*
			 * Zeros after the packets must go on to the end, or they could hide
			 * something.
			 */
			if (padding && !sl_quic_packet_is_padding(p.start, p.len)) {
				out->zeros_at = (uint32_t)(p.start - dgram);
				return header_bad(out);
			}
			break;
		case SL_QUIC_PACKET_INITIAL:
			if (answer != SL_PARSE_DONE)
				sl_quic_packet_header(out, &p);
			answer = SL_PARSE_DONE;
			break;
		case SL_QUIC_PACKET_ZERO_RTT:
		case SL_QUIC_PACKET_HANDSHAKE:
		case SL_QUIC_PACKET_RETRY:
			break;
		}
	}
	return answer;
}
