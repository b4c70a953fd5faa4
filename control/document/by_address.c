/* SPDX-License-Identifier: Apache-2.0 */
/*
 * by_address.c: reads entries of `by-address`. An entry has a pattern other than `*`, a port other
 * than DNS's, and a protocol that has ports. Nothing is implied.
 */
#include "by_address.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DNS_PORT 53

/* The offset of the last occurrence of a character in the first len bytes, or len. */
static size_t last_of(const char *text, size_t len, char c)
{
	const char *at = memrchr(text, c, len);

	return at != NULL ? (size_t)(at - text) : len;
}

static bool read_proto(const char *text, size_t len, uint8_t *proto)
{
	if (len != 3)
		return false;
	if (memcmp(text, "tcp", len) == 0)
		*proto = IPPROTO_TCP;
	else if (memcmp(text, "udp", len) == 0)
		*proto = IPPROTO_UDP;
	else
		return false;
	return true;
}

/* Plain decimal, 1..65535. */
static bool read_port(const char *text, size_t len, uint16_t *port)
{
	uint32_t number = 0;

	if (len == 0 || len > 5 || text[0] == '0')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		number = number * 10 + (uint32_t)(text[i] - '0');
	}
	*port = (uint16_t)number;
	return number <= UINT16_MAX;
}

int sl_by_address_read(const char *entry, size_t len, char text[SL_NAME_MAX + 1],
                       struct sl_by_address *out, char *why, size_t why_size)
{
	size_t slash = last_of(entry, len, '/'), colon = last_of(entry, slash, ':');
	int name_len;

	if (slash == len || colon == slash ||
	    !read_proto(entry + slash + 1, len - slash - 1, &out->proto)) {
		snprintf(why, why_size,
		         "needs a port and a protocol, tcp or udp, as in \"github.com:22/tcp\"");
		return -EINVAL;
	}
	if (!read_port(entry + colon + 1, slash - colon - 1, &out->port)) {
		snprintf(why, why_size, "has no port from 1 to 65535 before its \"/\"");
		return -EINVAL;
	}
	if (out->port == DNS_PORT) {
		snprintf(why, why_size,
		         "names the port of DNS, which goes to the configured resolvers alone");
		return -EINVAL;
	}
	name_len = sl_pattern_normalise(entry, colon, text, &out->pattern.kind, why, why_size);
	if (name_len > 0 && out->pattern.kind == SL_PATTERN_ANY) {
		snprintf(why, why_size,
		         "would open that port of every host; write names, or subnets.allow");
		return -EINVAL;
	}
	if (name_len > 0)
		out->pattern.len = (uint8_t)name_len;
	return name_len;
}

int sl_by_address_compare(const struct sl_by_address *a, const struct sl_by_address *b)
{
	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	return sl_pattern_compare(&a->pattern, &b->pattern);
}
