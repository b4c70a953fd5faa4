/*
 * hostmatch.c: does a pattern of a policy match a name?
 *
 * Decides by Hyperscan databases that the policy compiler made (control/compile_names.c), over the
 * name written backwards between two sentinels: a leading `*` becomes the beginning of a literal,
 * so that tens of thousands of patterns cost one short scan. It never decides what becomes of a
 * packet, and whatever goes wrong in a scan is "no match".
 */
#include <string.h>

#include <hs.h>

#include "sluice/generation.h"
#include "sluice/hostname.h"

/* One match is enough: stops the scan. */
static int take_first(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *found)
{
	*(bool *)found = true;
	return 1;
}

static bool scan(const struct hs_database *database, const char *text, unsigned len,
                 struct hs_scratch *scratch)
{
	bool found = false;

	if (database == NULL)
		return false;
	hs_scan(database, text, len, 0, scratch, take_first, &found);
	return found;
}

bool sl_names_match(const struct sl_names *names, struct hs_scratch *scratch, const char *name,
                    size_t len)
{
	char text[SL_NAME_MAX + 2];

	if (len == 0 || len > SL_NAME_MAX)
		return false;
	if (names->any)
		return true;
	if (scratch == NULL)
		return false;
	text[0] = SL_NAMES_BEGIN;
	for (size_t i = 0; i < len; i++)
		text[len - i] = name[i];
	text[len + 1] = SL_NAMES_END;
	return scan(names->literals, text, (unsigned)len + 2, scratch) ||
	       scan(names->regexes, text, (unsigned)len + 2, scratch);
}
