/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefix.h: addresses and prefixes as an operator writes them.
 *
 * Decides which texts are an address or a prefix. It is strict, since a range that means something
 * else than its reader thinks is a security hole: no leading zeros, no host bits, no zones, no
 * netmasks, no IPv4-mapped IPv6 addresses.
 */
#ifndef SLUICE_CONTROL_PREFIX_H
#define SLUICE_CONTROL_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_prefix {
	uint8_t family;   /* 4 or 6 */
	uint8_t len;      /* bits: 0..32, 0..128 */
	uint8_t addr[16]; /* network order; IPv4 in addr[0..3], the rest zero */
};

#define SL_PREFIX_TEXT_MAX 50 /* bytes of the longest text form, NUL included */

/*
 * Reads "192.0.2.0/24", "2001:db8::/32" or a bare address (/32, /128) of len bytes (RFC 4632 3.1,
 * RFC 4291 2.3). Returns 0, or -EINVAL and in why (room for why_size bytes) what is wrong, in words
 * that follow the quoted text. Pure.
 */
int sl_prefix_parse(const char *text, size_t len, struct sl_prefix *out, char *why,
                    size_t why_size);

/* The same for one address without a length. */
int sl_prefix_parse_address(const char *text, size_t len, struct sl_prefix *out, char *why,
                            size_t why_size);

/* Writes the text form, always with its length: "192.0.2.1/32". Returns out. Pure. */
const char *sl_prefix_format(const struct sl_prefix *prefix, char out[SL_PREFIX_TEXT_MAX]);

/* Orders by family, address, length (the shorter first). Fit for qsort() through a wrapper. */
int sl_prefix_compare(const struct sl_prefix *a, const struct sl_prefix *b);

/* Sorts in place and drops repetitions. Returns how many are left. */
size_t sl_prefix_sort_unique(struct sl_prefix *list, size_t n);

/* True if every address of inner is one of outer. */
bool sl_prefix_covers(const struct sl_prefix *outer, const struct sl_prefix *inner);

#endif
