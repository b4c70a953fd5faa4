/* SPDX-License-Identifier: Apache-2.0 */
/*
 * by_address.h: the entries of a policy's `by-address`, "github.com:22/tcp": a port of all
 * addresses that DNS has given for a name (spec section 1, rule 3a).
 */
#ifndef SLUICE_CONTROL_BY_ADDRESS_H
#define SLUICE_CONTROL_BY_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#include "pattern.h"

struct sl_by_address {
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t port; /* host order, never 0 or 53 */
	struct sl_pattern pattern;
};

/*
 * Reads one entry (UTF-8, len bytes): its pattern's canonical form goes to text, NUL-terminated,
 * and its kind, protocol and port to *out, whose pattern text is the caller's to set. Returns the
 * pattern's length; or -EINVAL and in why (room for why_size bytes) what is wrong, in words that
 * follow the quoted entry; or -ENOMEM. Any thread.
 */
int sl_by_address_read(const char *entry, size_t len, char text[SL_NAME_MAX + 1],
                       struct sl_by_address *out, char *why, size_t why_size);

/* Orders by protocol, port and pattern. */
int sl_by_address_compare(const struct sl_by_address *a, const struct sl_by_address *b);

#endif
