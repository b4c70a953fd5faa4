/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_name.c: compressed names (RFC 1035 4.1.4).
 *
 * Decides where a name leads and whether two names are equal. It must only jump backwards: so
 * every chain of jumps ends, and the reader's budget of steps bounds their number in a whole
 * message.
 */
#include "dns_wire.h"

#include <string.h>

#define POINTER_BITS 0xc0 /* 01 and 10 are no label types (RFC 6891 5) */

static size_t pointer_target(const uint8_t *p)
{
	return sl_dns_wire_get16(p) & 0x3fff;
}

/*
 * Where the pointer at pos leads: before the run of labels that it ends, and after the header; 0
 * if it is invalid.
 */
static size_t pointer_check(const struct sl_dns_reader *r, size_t pos, size_t run)
{
	size_t target;

	if ((r->msg[pos] & POINTER_BITS) != POINTER_BITS || r->len - pos < 2)
		return 0;
	target = pointer_target(r->msg + pos);
	return target >= SL_DNS_HEADER_BYTES && target < run ? target : 0;
}

bool sl_dns_name_check(struct sl_dns_reader *r, size_t pos, size_t *end)
{
	size_t run = pos, bytes = 1, behind = 0;

	while (r->steps > 0 && pos < r->len) {
		uint8_t label = r->msg[pos];

		r->steps--;
		if (label == 0) {
			*end = behind != 0 ? behind : pos + 1;
			return true;
		}
		if (label <= SL_LABEL_MAX) {
			bytes += 1u + label;
			pos += 1u + label;
			if (bytes > SL_DNS_NAME_WIRE_MAX)
				return false;
			continue;
		}
		if (behind == 0)
			behind = pos + 2;
		pos = run = pointer_check(r, pos, run);
		if (run == 0)
			return false;
	}
	return false;
}

void sl_dns_name_copy(const uint8_t *msg, size_t pos, struct sl_dns_name *out)
{
	size_t len = 0;

	while (msg[pos] != 0) {
		size_t label = 1u + msg[pos];

		if (label > 1u + SL_LABEL_MAX) {
			pos = pointer_target(msg + pos);
			continue;
		}
		memcpy(out->bytes + len, msg + pos, label);
		len += label;
		pos += label;
	}
	out->bytes[len++] = 0;
	out->len = (uint8_t)len;
	for (size_t i = 0; i < len; i++) { /* length bytes are no letters */
		if (out->bytes[i] >= 'A' && out->bytes[i] <= 'Z')
			out->bytes[i] |= 0x20;
	}
}

size_t sl_dns_name_end(const uint8_t *msg, size_t pos)
{
	while (msg[pos] != 0) {
		if (msg[pos] > SL_LABEL_MAX)
			return pos + 2;
		pos += 1u + msg[pos];
	}
	return pos + 1;
}

bool sl_dns_name_equal(const struct sl_dns_name *a, const struct sl_dns_name *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
