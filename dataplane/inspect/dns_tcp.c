/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_tcp.c: cuts a TCP stream of DNS messages at their length prefixes (RFC 1035 4.2.2, RFC 7766
 * 8).
 *
 * Decides where a message begins and ends, and nothing about what is in it. It never writes behind
 * the caller's buffer and never goes on behind a length that it did not like: from there on nobody
 * knows what the other side takes for a message.
 */
#include "dns.h"

#include <string.h>

#include "dns_wire.h"

#define PREFIX_BYTES 2

/* Takes what the piece has of the prefix. Returns the bytes taken. */
static size_t prefix_take(struct sl_dns_tcp *tcp, const uint8_t *piece, size_t len)
{
	size_t used = 0;

	while (tcp->prefix_have < PREFIX_BYTES && used < len) {
		tcp->message_bytes = (uint16_t)(tcp->message_bytes << 8 | piece[used++]);
		tcp->prefix_have++;
	}
	return used;
}

enum sl_parse sl_dns_tcp_feed(struct sl_dns_tcp *tcp, uint8_t *buf, size_t size,
                              const uint8_t *piece, size_t len, size_t *used)
{
	size_t take;

	*used = 0;
	if (tcp->bad)
		return SL_PARSE_BAD;
	/* The message that was DONE last time stays readable until here. */
	if (tcp->prefix_have == PREFIX_BYTES && tcp->have == tcp->message_bytes)
		*tcp = (struct sl_dns_tcp){0};
	*used = prefix_take(tcp, piece, len);
	if (tcp->prefix_have < PREFIX_BYTES)
		return SL_PARSE_MORE;
	if (tcp->message_bytes < SL_DNS_HEADER_BYTES || tcp->message_bytes > size) {
		tcp->bad = true;
		return SL_PARSE_BAD;
	}
	take = (size_t)(tcp->message_bytes - tcp->have);
	if (take > len - *used)
		take = len - *used;
	if (take > 0)
		memcpy(buf + tcp->have, piece + *used, take);
	tcp->have = (uint16_t)(tcp->have + take);
	*used += take;
	return tcp->have == tcp->message_bytes ? SL_PARSE_DONE : SL_PARSE_MORE;
}
