/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * hostname.h: the one form in which names are compared, in policies, hellos and DNS alike.
 */
#ifndef SLUICE_HOSTNAME_H
#define SLUICE_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes of a name in text form without its trailing dot, and of a label (RFC 1035 2.3.4). */
#define SL_NAME_MAX  253
#define SL_LABEL_MAX 63

/**
 * Writes the canonical form of a host name to out: lower case, without one trailing dot.
 * Letters, digits, '-' and '_' in labels of 1..63 bytes, at most 253 bytes in all; everything else
 * (NUL, empty label, non-ASCII, '*') is refused. out is terminated with a NUL.
 * Returns the length (>= 1), or -EINVAL. Pure; any thread.
 */
int sl_hostname_normalise(const uint8_t *name, size_t len, char out[SL_NAME_MAX + 1]);

/**
 * True if a canonical name is an IPv4 address in any notation that resolvers accept (all labels
 * digits, or a last label that is a number, decimal or 0x-hexadecimal: WHATWG URL "ends in a
 * number"). Such a name never proves a domain. IPv6 literals do not pass sl_hostname_normalise.
 */
bool sl_hostname_is_address(const char *name, size_t len);

#endif
