/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_frames.c: decides whether an Initial packet's plaintext holds only frames that are allowed
 * there, and passes on the pieces of the CRYPTO stream.
 *
 * It must never skip a frame that it does not know.
 */
#include "quic_initial.h"

#include <string.h>

#include "cursor.h"

/* RFC 9000 12.4: the frames that are allowed in an Initial. */
enum frame_type {
	FRAME_PADDING = 0x00,
	FRAME_PING = 0x01,
	FRAME_ACK = 0x02,
	FRAME_ACK_ECN = 0x03,
	FRAME_CRYPTO = 0x06,
	FRAME_CONNECTION_CLOSE = 0x1c,
};

#define VARINT_MAX ((UINT64_C(1) << 62) - 1) /* RFC 9000 16 */

/* Most of an Initial is padding: eight bytes at a time. */
static void skip_padding(struct sl_cursor *c)
{
	while (c->left >= 8) {
		uint64_t word;

		memcpy(&word, c->at, sizeof(word));
		if (word != 0)
			break;
		(void)sl_cursor_skip(c, 8);
	}
	while (c->left > 0 && c->at[0] == 0)
		(void)sl_cursor_skip(c, 1);
}

/*
 * RFC 9000 19.3: Largest Acknowledged, ACK Delay, ACK Range Count, First ACK Range, as many pairs
 * of Gap and ACK Range Length, and with ECN three counts. No range may go below packet 0.
 */
static bool read_ack(struct sl_cursor *c, bool ecn)
{
	uint64_t smallest, delay, ranges, gap, len, count;

	if (!sl_cursor_varint(c, &smallest) || !sl_cursor_varint(c, &delay) ||
	    !sl_cursor_varint(c, &ranges) || !sl_cursor_varint(c, &len) || len > smallest)
		return false;
	smallest -= len;
	/* Each pair takes two bytes at least, so that a huge count ends with the packet. */
	for (uint64_t i = 0; i < ranges; i++) {
		if (!sl_cursor_varint(c, &gap) || !sl_cursor_varint(c, &len) ||
		    smallest < gap + 2 || smallest - gap - 2 < len)
			return false;
		smallest -= gap + 2 + len;
	}
	for (int i = 0; ecn && i < 3; i++)
		if (!sl_cursor_varint(c, &count))
			return false;
	return true;
}

/* RFC 9000 19.6: Offset (i), Length (i), Crypto Data. */
static bool read_crypto(struct sl_cursor *c, sl_quic_crypto_fn *fn, void *arg,
                        struct sl_quic_datagram_info *info)
{
	uint64_t offset, len;
	struct sl_cursor data;

	if (!sl_cursor_varint(c, &offset) || !sl_cursor_varint(c, &len) || len > c->left ||
	    offset + len > VARINT_MAX || !sl_cursor_span(c, len, &data))
		return false;
	if (len == 0)
		return true;
	info->crypto_frames++;
	return fn(arg, offset, data.at, data.left) == 0;
}

/* RFC 9000 19.19: Error Code (i), Frame Type (i), Reason Phrase Length (i), Reason Phrase. */
static bool read_connection_close(struct sl_cursor *c)
{
	uint64_t code, type, len;

	return sl_cursor_varint(c, &code) && sl_cursor_varint(c, &type) &&
	       sl_cursor_varint(c, &len) && len <= c->left && sl_cursor_skip(c, len);
}

/*
 * Frame types are variable-length integers, but all that are allowed here have one byte, and a
 * longer encoding is a protocol violation (RFC 9000 12.4).
 */
static bool read_frame(struct sl_cursor *c, sl_quic_crypto_fn *fn, void *arg,
                       struct sl_quic_datagram_info *info)
{
	uint8_t type;

	if (!sl_cursor_u8(c, &type))
		return false;
	switch ((int)type) { /* any byte is possible */
	case FRAME_PADDING:
		skip_padding(c);
		return true;
	case FRAME_PING:
		info->ack_eliciting = true;
		return true;
	case FRAME_ACK:
	case FRAME_ACK_ECN:
		return read_ack(c, type == FRAME_ACK_ECN);
	case FRAME_CRYPTO:
		info->ack_eliciting = true;
		return read_crypto(c, fn, arg, info);
	case FRAME_CONNECTION_CLOSE:
		info->closes = true;
		return read_connection_close(c);
	}
	return false;
}

enum sl_parse_result sl_quic_frames_walk(const uint8_t *payload, size_t len, sl_quic_crypto_fn *fn,
                                         void *arg, struct sl_quic_datagram_info *info)
{
	struct sl_cursor c = {.at = payload, .left = len};

	/* A packet without frames is a protocol violation (RFC 9000 12.4). */
	if (len == 0)
		return SL_PARSE_BAD;
	while (c.left > 0)
		if (!read_frame(&c, fn, arg, info))
			return SL_PARSE_BAD;
	return SL_PARSE_DONE;
}
