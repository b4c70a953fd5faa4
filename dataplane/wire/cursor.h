/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cursor.h: reads a span of bytes from its front, in network byte order, and never past its end.
 *
 * Every reader returns false, and leaves the cursor where it was, if fewer bytes are left than it
 * needs. All functions are pure; the bytes belong to the caller and are only read.
 */
#ifndef SLUICE_WIRE_CURSOR_H
#define SLUICE_WIRE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_cursor {
	const uint8_t *at;
	size_t left; /* bytes */
};

static inline bool sl_cursor_skip(struct sl_cursor *c, size_t len)
{
	if (c->left < len)
		return false;
	c->at += len;
	c->left -= len;
	return true;
}

/* Cuts the next len bytes off as a span of their own. */
static inline bool sl_cursor_span(struct sl_cursor *c, size_t len, struct sl_cursor *span)
{
	span->at = c->at;
	span->left = len;
	return sl_cursor_skip(c, len);
}

static inline bool sl_cursor_u8(struct sl_cursor *c, uint8_t *value)
{
	const uint8_t *p = c->at;

	if (!sl_cursor_skip(c, 1))
		return false;
	*value = p[0];
	return true;
}

static inline bool sl_cursor_u16(struct sl_cursor *c, uint16_t *value)
{
	const uint8_t *p = c->at;

	if (!sl_cursor_skip(c, 2))
		return false;
	*value = (uint16_t)(p[0] << 8 | p[1]);
	return true;
}

static inline bool sl_cursor_u24(struct sl_cursor *c, uint32_t *value)
{
	const uint8_t *p = c->at;

	if (!sl_cursor_skip(c, 3))
		return false;
	*value = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
	return true;
}

static inline bool sl_cursor_u32(struct sl_cursor *c, uint32_t *value)
{
	const uint8_t *p = c->at;

	if (!sl_cursor_skip(c, 4))
		return false;
	*value = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return true;
}

/* A vector of TLS's presentation language with a length of one byte: opaque v<0..255>. */
static inline bool sl_cursor_vector8(struct sl_cursor *c, struct sl_cursor *span)
{
	struct sl_cursor ahead = *c;
	uint8_t len;

	if (!sl_cursor_u8(&ahead, &len) || !sl_cursor_span(&ahead, len, span))
		return false;
	*c = ahead;
	return true;
}

/* The same with a length of two bytes: opaque v<0..2^16-1>. */
static inline bool sl_cursor_vector16(struct sl_cursor *c, struct sl_cursor *span)
{
	struct sl_cursor ahead = *c;
	uint16_t len;

	if (!sl_cursor_u16(&ahead, &len) || !sl_cursor_span(&ahead, len, span))
		return false;
	*c = ahead;
	return true;
}

/* A variable-length integer of QUIC (RFC 9000 16): 1, 2, 4 or 8 bytes, any of which is valid. */
static inline bool sl_cursor_varint(struct sl_cursor *c, uint64_t *value)
{
	const uint8_t *p = c->at;
	size_t len;

	if (c->left == 0)
		return false;
	len = (size_t)1 << (p[0] >> 6);
	if (!sl_cursor_skip(c, len))
		return false;
	*value = p[0] & 0x3f;
	for (size_t i = 1; i < len; i++)
		*value = *value << 8 | p[i];
	return true;
}

#endif
