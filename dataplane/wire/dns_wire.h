/* SPDX-License-Identifier: Apache-2.0 */
/* dns_wire.h: the parts of the wire format that all DNS files share. Private to them. */
#ifndef SLUICE_WIRE_DNS_WIRE_H
#define SLUICE_WIRE_DNS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns_message.h"

/* Header: id, flags, and the counts of question, answer, authority, additional (RFC 1035 4.1.1). */
#define SL_DNS_WIRE_QR          0x8000
#define SL_DNS_WIRE_OPCODE_MASK 0x7800
#define SL_DNS_WIRE_TC          0x0200
#define SL_DNS_WIRE_RD          0x0100
#define SL_DNS_WIRE_RA          0x0080
#define SL_DNS_WIRE_AD          0x0020
#define SL_DNS_WIRE_CD          0x0010
#define SL_DNS_WIRE_RCODE_MASK  0x000f

#define SL_DNS_WIRE_QUESTION_FIXED 4  /* type, class */
#define SL_DNS_WIRE_RECORD_FIXED   10 /* type, class, TTL, RDLENGTH */

/* OPT at the root: name 0, type, class = payload size, TTL = rcode, version, flags (RFC 6891 6.1).
 */
#define SL_DNS_WIRE_OPT_BYTES     11
#define SL_DNS_WIRE_OPT_DO        0x8000
#define SL_DNS_WIRE_PADDING       12 /* option code (RFC 7830 3) */
#define SL_DNS_WIRE_OPTION_HEADER 4  /* code and length (RFC 6891 6.1.2) */
#define SL_DNS_WIRE_EDE           15 /* option code (RFC 8914 2) */
#define SL_DNS_WIRE_EDE_BYTES     6  /* code, length, info code, no text */

static inline uint16_t sl_dns_wire_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t sl_dns_wire_get32(const uint8_t *p)
{
	return (uint32_t)sl_dns_wire_get16(p) << 16 | sl_dns_wire_get16(p + 2);
}

static inline uint8_t *sl_dns_wire_put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
	return p + 2;
}

/*
 * Bytes of the name at p, its zero included, if it is plain labels (no pointer, no other label
 * type) and ends within `len` and 255 bytes; else 0.
 */
static inline size_t sl_dns_wire_plain_name(const uint8_t *p, size_t len)
{
	size_t end = 0;

	if (len > SL_DNS_NAME_WIRE_MAX)
		len = SL_DNS_NAME_WIRE_MAX;
	while (end < len) {
		if (p[end] == 0)
			return end + 1;
		if (p[end] > SL_LABEL_MAX)
			return 0;
		end += 1u + p[end];
	}
	return 0;
}

/*
 * Sets the letter case of a wire name. A length byte is at most 63, which is not a letter, so this
 * need not know where labels begin.
 */
static inline void sl_dns_wire_set_case(uint8_t *name, size_t len,
                                        const struct sl_dns_case *letter_case)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t lower = name[i] | 0x20;
		bool upper = letter_case->bits[i / 64] >> (i % 64) & 1;

		if (lower >= 'a' && lower <= 'z')
			name[i] = upper ? (uint8_t)(lower ^ 0x20) : lower;
	}
}

/* True if EDNS options fill `len` bytes exactly (RFC 6891 6.1.2). */
static inline bool sl_dns_wire_options_fit(const uint8_t *p, size_t len)
{
	while (len >= SL_DNS_WIRE_OPTION_HEADER) {
		size_t option = SL_DNS_WIRE_OPTION_HEADER + (size_t)sl_dns_wire_get16(p + 2);

		if (option > len)
			return false;
		p += option;
		len -= option;
	}
	return len == 0;
}

/* A message, and the budget of steps (labels and pointers) that is left for walking its names. */
struct sl_dns_reader {
	const uint8_t *msg;
	size_t len;
	size_t steps;
};

/* A name without pointers, in lower case (RFC 4343 3), as names are compared. */
struct sl_dns_name {
	uint8_t len;
	uint8_t bytes[SL_DNS_NAME_WIRE_MAX];
};

/*
 * Checks the name at `pos` and sets *end to the offset after it. False if it is invalid, longer
 * than 255 bytes, points anywhere but back, or takes more steps than are left.
 */
bool sl_dns_name_check(struct sl_dns_reader *r, size_t pos, size_t *end);

/* The three functions below require a name that sl_dns_name_check has accepted. */
void sl_dns_name_copy(const uint8_t *msg, size_t pos, struct sl_dns_name *out);
size_t sl_dns_name_end(const uint8_t *msg, size_t pos);
bool sl_dns_name_equal(const struct sl_dns_name *a, const struct sl_dns_name *b);

#endif
