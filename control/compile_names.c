/*
 * compile_names.c: the lists of patterns in use, each distinct one compiled once.
 *
 * Decides how patterns are found again. Exact names and a leading `*` go into a hash of suffixes,
 * which is built in a microsecond for ten patterns and in some milliseconds for 100,000; Hyperscan
 * takes 0.4 ms for ten such literals and 0.6 s for a thousand, and does not look them up faster
 * (bench/names.c). Only a `*` further in costs a regular expression. It must never free or change
 * what a worker may be using.
 */
#include "compile.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <hs.h>

#include "arena.h"
#include "diag.h"

#define BUCKETS 4096

struct sl_name_pool {
	struct sl_name_list *buckets[BUCKETS];
	uint64_t key[2]; /* of every hash of suffixes */
	unsigned workers;
	struct hs_scratch *model;     /* fits every database; no worker's */
	bool grown;                   /* since `current` was copied from it */
	struct sl_scratches *current; /* NULL: nothing to scan yet */
};

static void *hs_take(size_t bytes)
{
	return sl_arena_alloc(sl_arena_shared(), bytes);
}

static void hs_give(void *ptr)
{
	sl_arena_free(sl_arena_shared(), ptr);
}

/* Hyperscan has one allocator for the process: set once, before the first database. */
static void set_allocator(void)
{
	hs_set_allocator(hs_take, hs_give);
}

struct sl_name_pool *sl_compile_names_create(unsigned workers)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sl_name_pool *pool;

	if (hs_valid_platform() != HS_SUCCESS || sl_arena_shared() == NULL)
		return NULL;
	pthread_once(&once, set_allocator);
	pool = sl_arena_zalloc(sl_arena_shared(), sizeof(*pool));
	if (pool == NULL)
		return NULL;
	pool->workers = workers;
	if (getrandom(pool->key, sizeof(pool->key), 0) != sizeof(pool->key)) {
		sl_compile_names_destroy(pool);
		return NULL;
	}
	pool->key[1] |= 1; /* a factor that loses nothing */
	return pool;
}

/* Frees a set and those that it replaced. */
static void free_scratches(struct sl_scratches *set)
{
	while (set != NULL) {
		struct sl_scratches *replaced = set->replaces;

		for (unsigned i = 0; i < SL_WORKERS_MAX; i++)
			hs_free_scratch(set->scratch[i]);
		sl_arena_free(sl_arena_shared(), set);
		set = replaced;
	}
}

static void free_list(struct sl_name_list *list)
{
	sl_arena_free(sl_arena_shared(), (void *)list->names.suffixes);
	hs_free_database(list->names.regexes);
	sl_arena_free(sl_arena_shared(), list);
}

void sl_compile_names_destroy(struct sl_name_pool *pool)
{
	if (pool == NULL)
		return;
	free_scratches(pool->current);
	hs_free_scratch(pool->model);
	sl_arena_free(sl_arena_shared(), pool);
}

/* ---- The lists ---- */

static uint64_t hash_patterns(const struct sl_pattern *patterns, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k <= patterns[i].len; k++) /* the NUL keeps them apart */
			hash = (hash ^ (uint8_t)patterns[i].text[k]) * 0x100000001b3u;
	return hash;
}

static bool same_patterns(const struct sl_name_list *list, const struct sl_pattern *patterns,
                          size_t n)
{
	const char *text = list->text;

	if (list->count != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (memcmp(text, patterns[i].text, patterns[i].len + 1u) != 0)
			return false;
		text += patterns[i].len + 1;
	}
	return true;
}

static struct sl_name_list *new_list(const struct sl_pattern *patterns, size_t n)
{
	struct sl_name_list *list;
	size_t bytes = 0;
	char *text;

	for (size_t i = 0; i < n; i++)
		bytes += patterns[i].len + 1u;
	list = sl_arena_alloc(sl_arena_shared(), sizeof(*list) + bytes);
	if (list == NULL)
		return NULL;
	text = (char *)(list + 1);
	*list = (struct sl_name_list){.count = (uint32_t)n, .bytes = (uint32_t)bytes, .text = text};
	for (size_t i = 0; i < n; i++) {
		memcpy(text, patterns[i].text, patterns[i].len + 1u);
		text += patterns[i].len + 1;
	}
	return list;
}

struct sl_name_list *sl_compile_names_get(struct sl_name_pool *pool,
                                          const struct sl_pattern *patterns, size_t n)
{
	uint64_t hash = hash_patterns(patterns, n);
	struct sl_name_list **bucket = &pool->buckets[hash % BUCKETS];
	struct sl_name_list *list;

	for (list = *bucket; list != NULL; list = list->next)
		if (list->hash == hash && same_patterns(list, patterns, n))
			break;
	if (list == NULL) {
		list = new_list(patterns, n);
		if (list == NULL)
			return NULL;
		list->hash = hash;
		list->next = *bucket;
		*bucket = list;
	}
	list->refs++;
	return list;
}

void sl_compile_names_put(struct sl_name_pool *pool, struct sl_name_list *list)
{
	struct sl_name_list **link;

	if (list == NULL || --list->refs > 0)
		return;
	for (link = &pool->buckets[list->hash % BUCKETS]; *link != list; link = &(*link)->next)
		;
	*link = list->next;
	free_list(list);
}

/* ---- Compiling ---- */

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
 * "www.*.com" becomes ^\x01com\.[^.\x02]+\.www\x02. A leading `*` is one or more labels, so the end
 * behind the last dot stays open. Returns the length.
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

/* What Hyperscan takes: parallel arrays. */
struct batch {
	unsigned count;
	const char **expressions;
	unsigned *flags;
	char *text;
	size_t used;
};

static void batch_free(struct batch *batch)
{
	free(batch->expressions);
	free(batch->flags);
	free(batch->text);
}

static int batch_init(struct batch *batch, size_t count, size_t bytes)
{
	*batch = (struct batch){
	        .expressions = calloc(count, sizeof(*batch->expressions)),
	        .flags = calloc(count, sizeof(*batch->flags)),
	        .text = malloc(bytes),
	};
	if (batch->expressions != NULL && batch->flags != NULL && batch->text != NULL)
		return 0;
	batch_free(batch);
	return -ENOMEM;
}

static void batch_add(struct batch *batch, const char *pattern)
{
	char *text = batch->text + batch->used;
	size_t len = write_regex(text, pattern);

	text[len] = '\0';
	batch->used += len + 1;
	batch->expressions[batch->count] = text;
	batch->flags[batch->count++] = HS_FLAG_SINGLEMATCH | HS_FLAG_DOTALL;
}

/* What is in a list. */
struct census {
	size_t suffixes;
	size_t regexes, regex_bytes;
	bool any;
};

static const char *list_end(const struct sl_name_list *list)
{
	return list->text + list->bytes;
}

static struct census take_census(const struct sl_name_list *list)
{
	struct census census = {0};

	for (const char *p = list->text; p < list_end(list); p += strlen(p) + 1) {
		switch (kind_of(p)) {
		case SL_PATTERN_EXACT:
		case SL_PATTERN_BELOW:
			census.suffixes++;
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

static int build_suffixes(const struct sl_name_pool *pool, struct sl_name_list *list, size_t count)
{
	struct sl_suffixes *suffixes;
	size_t slots = 4;

	while (slots < 2 * count)
		slots *= 2;
	suffixes = sl_arena_zalloc(sl_arena_shared(),
	                           sizeof(*suffixes) + slots * sizeof(suffixes->slots[0]));
	if (suffixes == NULL)
		return -ENOMEM;
	suffixes->key[0] = pool->key[0];
	suffixes->key[1] = pool->key[1];
	suffixes->text = list->text;
	suffixes->mask = (uint32_t)slots - 1;
	suffixes->count = (uint32_t)count;
	for (const char *p = list->text; p < list_end(list); p += strlen(p) + 1) {
		enum sl_pattern_kind kind = kind_of(p);

		if (kind == SL_PATTERN_EXACT || kind == SL_PATTERN_BELOW)
			put_suffix(suffixes, p);
	}
	list->names.suffixes = suffixes;
	return 0;
}

static int build_regexes(struct sl_name_list *list, const struct census *census, const char *file,
                         struct sl_diag *diag)
{
	hs_compile_error_t *why = NULL;
	struct batch batch;
	hs_error_t err;

	if (batch_init(&batch, census->regexes, census->regex_bytes) != 0)
		return -ENOMEM;
	for (const char *p = list->text; p < list_end(list); p += strlen(p) + 1)
		if (kind_of(p) == SL_PATTERN_INNER)
			batch_add(&batch, p);
	err = hs_compile_multi(batch.expressions, batch.flags, NULL, batch.count, HS_MODE_BLOCK,
	                       NULL, &list->names.regexes, &why);
	batch_free(&batch);
	if (err == HS_SUCCESS)
		return 0;
	sl_diag_error(diag, file, 0, 0, "the domain patterns cannot be compiled: %s",
	              why != NULL ? why->message : "out of memory");
	hs_free_compile_error(why);
	return err == HS_COMPILER_ERROR ? -EINVAL : -ENOMEM;
}

/* ---- Building, and the scratches that it takes ---- */

static int fit_database(struct sl_name_pool *pool, const hs_database_t *database)
{
	size_t before = 0, after = 0;

	if (database == NULL)
		return 0;
	if (pool->model != NULL)
		hs_scratch_size(pool->model, &before);
	if (hs_alloc_scratch(database, &pool->model) != HS_SUCCESS) {
		pool->model = NULL; /* Hyperscan gave the old one up */
		return -ENOMEM;
	}
	hs_scratch_size(pool->model, &after);
	pool->grown = pool->grown || after != before;
	return 0;
}

/* The model grows until it fits this list's databases as well as all others. */
static int fit_model(struct sl_name_pool *pool, const struct sl_name_list *list)
{
	int ret = 0;

	if (pool->model == NULL) {
		for (unsigned i = 0; i < BUCKETS; i++)
			for (list = pool->buckets[i]; list != NULL && ret == 0; list = list->next)
				ret = fit_database(pool, list->names.regexes);
		return ret;
	}
	return fit_database(pool, list->names.regexes);
}

int sl_compile_names_build(struct sl_name_pool *pool, struct sl_name_list *list, const char *file,
                           struct sl_diag *diag)
{
	struct census census;
	int ret = 0;

	if (list->built)
		return 0;
	census = take_census(list);
	list->names.any = census.any;
	if (!census.any && census.suffixes > 0)
		ret = build_suffixes(pool, list, census.suffixes);
	if (ret == 0 && !census.any && census.regexes > 0)
		ret = build_regexes(list, &census, file, diag);
	if (ret == 0)
		ret = fit_model(pool, list);
	list->built = ret == 0;
	return ret;
}

static struct sl_scratches *copy_model(const struct sl_name_pool *pool)
{
	struct sl_scratches *set = sl_arena_zalloc(sl_arena_shared(), sizeof(*set));

	for (unsigned i = 0; set != NULL && i < pool->workers; i++) {
		if (hs_clone_scratch(pool->model, &set->scratch[i]) != HS_SUCCESS) {
			free_scratches(set);
			set = NULL;
		}
	}
	return set;
}

int sl_compile_names_scratches(struct sl_name_pool *pool, const struct sl_scratches **scratches)
{
	if (pool->grown) {
		struct sl_scratches *larger = copy_model(pool);

		if (larger == NULL)
			return -ENOMEM;
		larger->replaces = pool->current;
		pool->current = larger;
		pool->grown = false;
	}
	*scratches = pool->current;
	return 0;
}

void sl_compile_names_reclaim(struct sl_name_pool *pool)
{
	if (pool->current != NULL) {
		free_scratches(pool->current->replaces);
		pool->current->replaces = NULL;
	}
}
