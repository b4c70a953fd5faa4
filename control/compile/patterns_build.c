/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns_build.c: compiles a list of patterns into what names are matched against. Any thread.
 *
 * Names are matched by Hyperscan over the name written backwards between two sentinels: exact names
 * and a leading `*` as literals, a `*` further in as a regular expression. Hyperscan compiles ten
 * literals in 0.4 ms and 10,000 in 0.17 s, and a cold start with 200,000 of them in a thousand
 * lists would take seconds. So a list with more than LITERALS_AT_MOST exact names and leading `*`
 * has these in a hash of suffixes instead, which takes some milliseconds to build for 100,000 and
 * is as fast to look up (tests/unit/test_patterns.c compares both).
 */
#include "patterns_build.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hs.h>

#include "arena.h"
#include "compile.h"

/*
 * A regular expression costs Hyperscan about a millisecond: a list with more of them than this is
 * compiled in the background.
 */
#define REGEXES_AT_ONCE 4

/* This many can be compiled in the time that a push may take. */
#define LITERALS_AT_MOST 32

static enum sl_pattern_kind kind_of(const char *text)
{
	if (strcmp(text, "*") == 0)
		return SL_PATTERN_ANY;
	if (strchr(text + 1, '*') != NULL)
		return SL_PATTERN_INNER;
	return text[0] == '*' ? SL_PATTERN_BELOW : SL_PATTERN_EXACT;
}

/* Room for the regular expression of a pattern of len bytes: a `*` grows the most. */
#define ONE_LABEL       "[^.\\x02]+"
#define REGEX_ROOM(len) (sizeof(ONE_LABEL) * (len) + 16)

/*
 * "www.*.com" becomes ^\x01com\.[^.\x02]+\.www\x02. A leading `*` stands for one or more labels,
 * so the expression is not anchored after the last dot. Returns the length.
 */
static size_t write_regex(char *out, const char *pattern)
{
	size_t n = (size_t)sprintf(out, "^\\x01");

	for (size_t i = strlen(pattern); i > 0; i--) {
		char c = pattern[i - 1];

		if (c == '*' && i == 1)
			return n;
		if (c == '*')
			n += (size_t)sprintf(out + n, ONE_LABEL);
		else if (c == '.')
			n += (size_t)sprintf(out + n, "\\.");
		else
			out[n++] = c;
	}
	return n + (size_t)sprintf(out + n, "\\x02");
}

/*
 * "www.example.com" becomes \x01moc.elpmaxe.www\x02, "*.example.com" becomes \x01moc.elpmaxe. with
 * its dot, so that only names below match. Returns the length.
 */
static size_t write_literal(char *out, const char *pattern)
{
	const char *name = pattern + (pattern[0] == '*');
	size_t n = 0, len = strlen(name);

	out[n++] = SL_PATTERNS_BEGIN;
	while (len > 0)
		out[n++] = name[--len];
	if (pattern[0] != '*')
		out[n++] = SL_PATTERNS_END;
	return n;
}

/* Parallel arrays, as Hyperscan's compiler takes them. */
struct batch {
	unsigned count;
	const char **expressions;
	unsigned *flags;
	unsigned *ids; /* all different: with equal ones compilation takes quadratic time */
	size_t *lens;
	char *text;
	size_t used;
};

static void batch_free(struct batch *batch)
{
	free(batch->expressions);
	free(batch->flags);
	free(batch->ids);
	free(batch->lens);
	free(batch->text);
}

static int batch_init(struct batch *batch, size_t count, size_t bytes)
{
	*batch = (struct batch){
	        .expressions = calloc(count, sizeof(*batch->expressions)),
	        .flags = calloc(count, sizeof(*batch->flags)),
	        .ids = calloc(count, sizeof(*batch->ids)),
	        .lens = calloc(count, sizeof(*batch->lens)),
	        .text = malloc(bytes),
	};
	if (batch->expressions != NULL && batch->flags != NULL && batch->ids != NULL &&
	    batch->lens != NULL && batch->text != NULL)
		return 0;
	batch_free(batch);
	return -ENOMEM;
}

/* The len bytes that were written after the used ones become an expression. */
static void batch_take(struct batch *batch, size_t len, unsigned flags)
{
	char *text = batch->text + batch->used;

	text[len] = '\0';
	batch->used += len + 1;
	batch->expressions[batch->count] = text;
	batch->flags[batch->count] = flags;
	batch->lens[batch->count] = len;
	batch->ids[batch->count] = batch->count;
	batch->count++;
}

static char *batch_room(const struct batch *batch)
{
	return batch->text + batch->used;
}

/* What is in a list. */
struct census {
	size_t suffixes, suffix_bytes; /* exact names and leading `*` */
	size_t regexes, regex_bytes;
	bool any;
};

static const char *list_end(const struct sl_pattern_list *list)
{
	return list->text + list->bytes;
}

static struct census take_census(const struct sl_pattern_list *list)
{
	struct census census = {0};

	for (const char *p = list->text; p < list_end(list); p += strlen(p) + 1) {
		switch (kind_of(p)) {
		case SL_PATTERN_EXACT:
		case SL_PATTERN_BELOW:
			census.suffixes++;
			census.suffix_bytes += strlen(p) + 3; /* sentinels, NUL */
			break;
		case SL_PATTERN_INNER:
			census.regexes++;
			census.regex_bytes += REGEX_ROOM(strlen(p));
			break;
		case SL_PATTERN_ANY:
			census.any = true;
			break;
		}
	}
	return census;
}

static void put_suffix(struct sl_suffixes *suffixes, const char *pattern)
{
	bool below = pattern[0] == '*';
	const char *name = pattern + (below ? strlen("*.") : 0);
	uint64_t hash = suffixes->key[0];
	unsigned depth = 1;
	uint32_t sealed, i;

	for (size_t k = strlen(name); k > 0; k--) {
		hash = sl_suffixes_step(suffixes, hash, name[k - 1]);
		depth += name[k - 1] == '.' && depth < 63;
	}
	*(below ? &suffixes->below : &suffixes->exact) |= UINT64_C(1) << depth;
	sealed = sl_suffixes_seal(suffixes, hash, below);
	for (i = sealed; suffixes->slots[i & suffixes->mask].at != 0; i++)
		;
	suffixes->slots[i & suffixes->mask].hash = sealed;
	suffixes->slots[i & suffixes->mask].at =
	        ((uint32_t)(pattern - suffixes->text) + 1) << 1 | below;
}

static int build_suffixes(struct sl_pattern_list *list, const uint64_t key[2], size_t count)
{
	struct sl_suffixes *suffixes;
	size_t slots = 4;

	while (slots < 2 * count)
		slots *= 2;
	suffixes = sl_arena_zalloc(sl_arena_shared(),
	                           sizeof(*suffixes) + slots * sizeof(suffixes->slots[0]));
	if (suffixes == NULL)
		return -ENOMEM;
	suffixes->key[0] = key[0];
	suffixes->key[1] = key[1];
	suffixes->text = list->text;
	suffixes->mask = (uint32_t)slots - 1;
	suffixes->count = (uint32_t)count;
	for (const char *p = list->text; p < list_end(list); p += strlen(p) + 1) {
		enum sl_pattern_kind kind = kind_of(p);

		if (kind == SL_PATTERN_EXACT || kind == SL_PATTERN_BELOW)
			put_suffix(suffixes, p);
	}
	list->patterns.suffixes = suffixes;
	return 0;
}

/* Keeps Hyperscan's message; returns 0 or -errno. */
static int outcome(struct sl_pattern_list *list, hs_error_t err, hs_compile_error_t *why)
{
	if (err == HS_SUCCESS)
		return 0;
	snprintf(list->why, sizeof(list->why), "%s", why != NULL ? why->message : "no memory");
	hs_free_compile_error(why);
	return err == HS_COMPILER_ERROR ? -EINVAL : -ENOMEM;
}

static int build_literals(struct sl_pattern_list *list, const struct census *census)
{
	hs_compile_error_t *why = NULL;
	struct batch batch;
	hs_error_t err;

	if (batch_init(&batch, census->suffixes, census->suffix_bytes) != 0)
		return -ENOMEM;
	for (const char *p = list->text; p < list_end(list); p += strlen(p) + 1) {
		enum sl_pattern_kind kind = kind_of(p);

		if (kind == SL_PATTERN_EXACT || kind == SL_PATTERN_BELOW)
			batch_take(&batch, write_literal(batch_room(&batch), p),
			           HS_FLAG_SINGLEMATCH);
	}
	err = hs_compile_lit_multi(batch.expressions, batch.flags, batch.ids, batch.lens,
	                           batch.count, HS_MODE_BLOCK, NULL, &list->patterns.literals,
	                           &why);
	batch_free(&batch);
	return outcome(list, err, why);
}

static int build_regexes(struct sl_pattern_list *list, const struct census *census)
{
	hs_compile_error_t *why = NULL;
	struct batch batch;
	hs_error_t err;

	if (batch_init(&batch, census->regexes, census->regex_bytes) != 0)
		return -ENOMEM;
	for (const char *p = list->text; p < list_end(list); p += strlen(p) + 1)
		if (kind_of(p) == SL_PATTERN_INNER)
			batch_take(&batch, write_regex(batch_room(&batch), p),
			           HS_FLAG_SINGLEMATCH | HS_FLAG_DOTALL);
	err = hs_compile_multi(batch.expressions, batch.flags, batch.ids, batch.count,
	                       HS_MODE_BLOCK, NULL, &list->patterns.regexes, &why);
	batch_free(&batch);
	return outcome(list, err, why);
}

bool sl_patterns_build_takes_long(const struct sl_pattern_list *list)
{
	struct census census = take_census(list);

	return !census.any && census.regexes > REGEXES_AT_ONCE;
}

int sl_patterns_build(struct sl_pattern_list *list, const uint64_t key[2])
{
	struct census census = take_census(list);
	int ret = 0;

	list->patterns.any = census.any;
	if (!census.any && census.suffixes > LITERALS_AT_MOST)
		ret = build_suffixes(list, key, census.suffixes);
	else if (!census.any && census.suffixes > 0)
		ret = build_literals(list, &census);
	if (ret == 0 && !census.any && census.regexes > 0)
		ret = build_regexes(list, &census);
	if (ret != 0)
		sl_patterns_build_free(list);
	return ret;
}

void sl_patterns_build_free(struct sl_pattern_list *list)
{
	sl_arena_free(sl_arena_shared(), (void *)list->patterns.suffixes);
	hs_free_database(list->patterns.literals);
	hs_free_database(list->patterns.regexes);
	list->patterns = (struct sl_patterns){0};
}
