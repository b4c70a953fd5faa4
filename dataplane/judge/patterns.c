/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns.c: matches names against a policy's patterns.
 *
 * It uses what the policy compiler built from a list (control/compile/patterns_build.c): Hyperscan
 * databases over the name written backwards, and for exact names and leading `*` of a long list a
 * hash of suffixes. It never decides about a packet, and any error in a scan means "no match".
 */
#include <string.h>

#include <hs.h>

#include "sluice/generation.h"
#include "sluice/hostname.h"

#define DEPTH_MAX 63u /* the last bit of the sets of depths */

/* True if these len bytes are a pattern of the list: a whole name, or what is below a `*`. */
static bool find_suffix(const struct sl_suffixes *suffixes, uint64_t hash, bool below,
                        const char *bytes, size_t len)
{
	uint32_t sealed = sl_suffixes_seal(suffixes, hash, below);

	for (uint32_t i = sealed;; i++) {
		uint32_t at = suffixes->slots[i & suffixes->mask].at;
		const char *text;

		if (at == 0)
			return false;
		if (suffixes->slots[i & suffixes->mask].hash != sealed || (at & 1) != below)
			continue;
		text = suffixes->text + (at >> 1) - 1 + (below ? strlen("*.") : 0);
		if (memcmp(text, bytes, len) == 0 && text[len] == '\0')
			return true;
	}
}

static bool match_suffixes(const struct sl_suffixes *suffixes, const char *name, size_t len)
{
	uint64_t hash = suffixes->key[0];
	unsigned depth = 1;

	for (size_t i = len; i > 0; i--) {
		if (name[i - 1] == '.') {
			if ((suffixes->below >> depth & 1) != 0 &&
			    find_suffix(suffixes, hash, true, name + i, len - i))
				return true;
			depth += depth < DEPTH_MAX;
		}
		hash = sl_suffixes_step(suffixes, hash, name[i - 1]);
	}
	return (suffixes->exact >> depth & 1) != 0 && find_suffix(suffixes, hash, false, name, len);
}

/* One match is enough: stops the scan. */
static int take_first(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *found)
{
	*(bool *)found = true;
	return 1;
}

_Static_assert(sizeof(((struct sl_scan_text *)0)->bytes) >= SL_NAME_MAX + 2 + SL_SCAN_SLACK,
               "the longest name with its sentinels has readable bytes after it");

/* Scans the name, written backwards between the sentinels, with both databases. */
bool sl_patterns_scan(const struct sl_patterns *patterns, struct hs_scratch *scratch,
                      const char *name, size_t len, struct sl_scan_text *text)
{
	bool found = false;

	text->bytes[0] = SL_PATTERNS_BEGIN;
	for (size_t i = 0; i < len; i++)
		text->bytes[len - i] = name[i];
	text->bytes[len + 1] = SL_PATTERNS_END;
	if (patterns->literals != NULL)
		hs_scan(patterns->literals, text->bytes, (unsigned)len + 2, 0, scratch, take_first,
		        &found);
	if (!found && patterns->regexes != NULL)
		hs_scan(patterns->regexes, text->bytes, (unsigned)len + 2, 0, scratch, take_first,
		        &found);
	return found;
}

bool sl_patterns_match(const struct sl_patterns *patterns, struct hs_scratch *scratch,
                       const char *name, size_t len)
{
	struct sl_scan_text text;

	if (len == 0 || len > SL_NAME_MAX)
		return false;
	if (patterns->any)
		return true;
	if (patterns->suffixes != NULL && match_suffixes(patterns->suffixes, name, len))
		return true;
	return scratch != NULL && (patterns->literals != NULL || patterns->regexes != NULL) &&
	       sl_patterns_scan(patterns, scratch, name, len, &text);
}
