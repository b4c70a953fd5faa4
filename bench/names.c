/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c: what it costs to compile a list of names and to look one up: as the gateway does it
 * (control/compile/patterns_build.c: Hyperscan literals for a short list, a hash of suffixes for a
 * long one), and with Hyperscan literals at any length.
 *
 * Prints one JSON object a line.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hs.h>

#include "compile/compile.h"
#include "document/diag.h"
#include "sluice/generation.h"

#define QUESTIONS 100000u
#define NAME_MAX  64u

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void *need(void *ptr)
{
	if (ptr == NULL)
		abort();
	return ptr;
}

/* A third with a leading `*`, in the order of a document's list. */
static struct sl_pattern *make_patterns(unsigned n)
{
	struct sl_pattern *list = need(calloc(n, sizeof(*list)));

	for (unsigned i = 0; i < n; i++) {
		bool below = i < n / 3;
		char text[NAME_MAX];

		snprintf(text, sizeof(text), "%sh%06u.svc%u.example%u.com", below ? "*." : "", i,
		         i % 50, i % 997);
		list[i].text = need(strdup(text));
		list[i].len = (uint8_t)strlen(text);
		list[i].kind = below ? SL_PATTERN_BELOW : SL_PATTERN_EXACT;
	}
	return list;
}

/* Every second one matches. */
static char (*make_names(const struct sl_pattern *patterns, unsigned n))[NAME_MAX]
{
	char(*names)[NAME_MAX] = need(malloc(QUESTIONS * sizeof(*names)));

	for (unsigned i = 0; i < QUESTIONS; i++) {
		unsigned k = (unsigned)rand() % n;
		const char *text = patterns[k].text;

		if (i % 2 == 0)
			snprintf(names[i], NAME_MAX, "%s%s", text[0] == '*' ? "www" : "",
			         text + (text[0] == '*'));
		else
			snprintf(names[i], NAME_MAX, "q%06u.svc%u.example%u.com", k, k % 50,
			         k % 997);
	}
	return names;
}

static size_t backwards(char *out, const char *text, size_t len, bool open_end)
{
	size_t n = 0;

	out[n++] = SL_PATTERNS_BEGIN;
	while (len > 0)
		out[n++] = text[--len];
	if (!open_end)
		out[n++] = SL_PATTERNS_END;
	return n;
}

static int take_first(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *found)
{
	*(bool *)found = true;
	return 1;
}

static void run_hyperscan(const struct sl_pattern *patterns, unsigned n, char (*names)[NAME_MAX])
{
	const char **texts = need(calloc(n, sizeof(*texts)));
	unsigned *flags = need(calloc(n, sizeof(*flags))), hits = 0;
	unsigned *ids = need(calloc(n, sizeof(*ids))); /* equal ones take quadratic time */
	size_t *lens = need(calloc(n, sizeof(*lens)));
	hs_compile_error_t *why = NULL;
	hs_database_t *database;
	hs_scratch_t *scratch = NULL;
	double start, compiled;

	for (unsigned i = 0; i < n; i++) {
		char *text = need(malloc(NAME_MAX + 2));
		size_t skip = patterns[i].text[0] == '*' ? 1 : 0;

		lens[i] = backwards(text, patterns[i].text + skip, patterns[i].len - skip, skip);
		texts[i] = text;
		flags[i] = HS_FLAG_SINGLEMATCH;
		ids[i] = i;
	}
	start = now_us();
	if (hs_compile_lit_multi(texts, flags, ids, lens, n, HS_MODE_BLOCK, NULL, &database,
	                         &why) != HS_SUCCESS)
		abort();
	compiled = now_us();
	hs_alloc_scratch(database, &scratch);
	printf("{\"how\": \"hyperscan\", \"patterns\": %u, \"compile_us\": %.0f", n,
	       compiled - start);
	start = now_us();
	for (unsigned i = 0; i < QUESTIONS; i++) {
		char text[NAME_MAX + 2 + SL_SCAN_SLACK];
		bool found = false;
		size_t len = backwards(text, names[i], strlen(names[i]), false);

		hs_scan(database, text, (unsigned)len, 0, scratch, take_first, &found);
		hits += found;
	}
	printf(", \"match_ns\": %.0f, \"hits\": %u}\n", (now_us() - start) * 1000 / QUESTIONS,
	       hits);
}

static void run_gateway(const struct sl_pattern *patterns, unsigned n, char (*names)[NAME_MAX])
{
	struct sl_pattern_pool *pool = need(sl_compile_patterns_create(1));
	const struct sl_scratches *scratches = NULL;
	struct hs_scratch *scratch;
	double start = now_us(), compiled;
	struct sl_pattern_list *list;
	struct sl_diag diag;
	unsigned hits = 0;

	sl_diag_init(&diag);
	list = need(sl_compile_patterns_get(pool, patterns, n));
	if (sl_compile_patterns_build(pool, list, "bench", &diag) != 0)
		abort();
	compiled = now_us();
	if (sl_compile_patterns_scratches(pool, &scratches) != 0)
		abort();
	scratch = scratches != NULL ? scratches->scratch[0] : NULL;
	printf("{\"how\": \"gateway\", \"patterns\": %u, \"compile_us\": %.0f", n,
	       compiled - start);
	start = now_us();
	for (unsigned i = 0; i < QUESTIONS; i++)
		hits += sl_patterns_match(&list->patterns, scratch, names[i], strlen(names[i]));
	printf(", \"match_ns\": %.0f, \"hits\": %u}\n", (now_us() - start) * 1000 / QUESTIONS,
	       hits);
	sl_compile_patterns_put(pool, list);
	sl_compile_patterns_destroy(pool);
}

int main(void)
{
	for (unsigned n = 10; n <= 100000; n *= 10) {
		struct sl_pattern *patterns = make_patterns(n);
		char(*names)[NAME_MAX] = make_names(patterns, n);

		run_gateway(patterns, n, names);
		run_hyperscan(patterns, n, names);
		fflush(stdout);
		free(names);
	}
	return 0;
}
