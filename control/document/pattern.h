/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern.h: the domain patterns of a policy.
 *
 * Decides which texts are a pattern, and brings them into the one form in which names are compared
 * (include/sluice/hostname.h), label by label: lower case, punycode, no trailing dot. It does not
 * match names: control/compile/patterns_build.c compiles patterns for that.
 */
#ifndef SLUICE_CONTROL_PATTERN_H
#define SLUICE_CONTROL_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/hostname.h"

enum sl_pattern_kind {
	SL_PATTERN_EXACT = 0, /* "example.com": that name only */
	SL_PATTERN_BELOW,     /* "*.example.com", no other `*`: every name below, not the apex */
	SL_PATTERN_INNER,     /* a `*` further in: "www.*.com", "*.*.x", "x.*" */
	SL_PATTERN_ANY,       /* "*" alone: every name */
};

struct sl_pattern {
	const char *text; /* canonical, NUL-terminated; the document owns it */
	uint8_t len;      /* 1..SL_NAME_MAX */
	enum sl_pattern_kind kind;
};

/*
 * Writes the canonical form of the pattern text (UTF-8, len bytes) to out, NUL-terminated, and its
 * kind to *kind. IDN labels become punycode by libidn2 (RFC 5891, UTS 46, non-transitional).
 * Returns the length (>= 1), or -EINVAL and in why (room for why_size bytes) what is wrong, in
 * words that follow the quoted text; -ENOMEM if libidn2 has no memory. Any thread.
 */
int sl_pattern_normalise(const char *text, size_t len, char out[SL_NAME_MAX + 1],
                         enum sl_pattern_kind *kind, char *why, size_t why_size);

/* Orders by text. */
int sl_pattern_compare(const struct sl_pattern *a, const struct sl_pattern *b);

#endif
