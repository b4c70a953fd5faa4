/* SPDX-License-Identifier: Apache-2.0 */
/*
 * union.c: counts the references to each prefix, and keeps both copies of the tables in step.
 *
 * It decides which prefixes are in a copy and under which class, and must never touch the live
 * copy.
 */
#include "union.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "document/config.h"
#include "document/diag.h"

struct member {
	struct sl_net net;
	uint8_t space; /* enum sl_space: what the config says of exactly this prefix */
	bool placed;   /* in the newest copy */
	bool listed;   /* in `touched` */
	uint32_t refs;
};

struct ids {
	uint32_t *at;
	uint32_t count;
};

struct sl_union {
	struct sl_table_copy copies[2];
	bool single; /* one copy serves as live and standby */
	unsigned live;
	bool broken; /* the copies may differ: nothing may be changed any more */

	struct member *members; /* by class */
	uint32_t ids_max;       /* the largest class */
	struct ids free;        /* every list has room for all ids: nothing here can fail halfway */
	uint32_t *dict;         /* open addressing: prefix -> class */
	uint32_t dict_mask;
	uint32_t placed[2]; /* prefixes in the newest copy, by family: IPv4, IPv6 */

	/* Since the last commit. */
	struct ids fresh;   /* classes made */
	struct ids touched; /* classes whose last reference was dropped; they may get a new one */
	/* The change that turns one copy into the other. */
	struct ids removed;
	struct ids added;
};

/* ---- The dictionary: prefix -> class ---- */

static uint32_t net_hash(const struct sl_net *net)
{
	uint64_t words[2], hash;

	memcpy(words, net->bytes, sizeof(words));
	hash = (words[0] ^ (uint64_t)net->len << 7 ^ net->family) * 0x9e3779b97f4a7c15u;
	hash = (hash ^ hash >> 32 ^ words[1]) * 0xff51afd7ed558ccdu;
	return (uint32_t)(hash >> 32);
}

static uint32_t dict_find(const struct sl_union *all, const struct sl_net *net)
{
	for (uint32_t i = net_hash(net);; i++) {
		uint32_t class = all->dict[i & all->dict_mask];

		if (class == SL_CLASS_NONE ||
		    memcmp(&all->members[class].net, net, sizeof(*net)) == 0)
			return class;
	}
}

static void dict_insert(struct sl_union *all, uint32_t class)
{
	uint32_t i = net_hash(&all->members[class].net);

	while (all->dict[i & all->dict_mask] != SL_CLASS_NONE)
		i++;
	all->dict[i & all->dict_mask] = class;
}

/* Closes the gap, so that no probe ends early. */
static void dict_remove(struct sl_union *all, uint32_t class)
{
	uint32_t mask = all->dict_mask, gap = net_hash(&all->members[class].net);

	while (all->dict[gap & mask] != class)
		gap++;
	for (uint32_t i = gap + 1; all->dict[i & mask] != SL_CLASS_NONE; i++) {
		uint32_t home = net_hash(&all->members[all->dict[i & mask]].net);

		if (((i - home) & mask) >= ((i - gap) & mask)) {
			all->dict[gap & mask] = all->dict[i & mask];
			gap = i;
		}
	}
	all->dict[gap & mask] = SL_CLASS_NONE;
}

/* ---- Classes ---- */

static unsigned family_of(const struct sl_union *all, uint32_t class)
{
	return all->members[class].net.family == SL_FAMILY_4 ? 0 : 1;
}

static void push(struct ids *ids, uint32_t class)
{
	ids->at[ids->count++] = class;
}

uint32_t sl_union_find(const struct sl_union *all, const struct sl_net *net)
{
	return dict_find(all, net);
}

uint32_t sl_union_make(struct sl_union *all, const struct sl_net *net)
{
	uint32_t class;

	if (all->free.count == 0)
		return SL_CLASS_NONE;
	class = all->free.at[--all->free.count];
	all->members[class] = (struct member){.net = *net};
	dict_insert(all, class);
	push(&all->fresh, class);
	return class;
}

void sl_union_hold(struct sl_union *all, uint32_t class)
{
	all->members[class].refs++;
}

void sl_union_drop(struct sl_union *all, uint32_t class)
{
	struct member *member = &all->members[class];

	if (--member->refs == 0 && member->placed && !member->listed) {
		member->listed = true;
		push(&all->touched, class);
	}
}

/* ---- Changing a copy ---- */

/* The copy to change: the one that no worker reads. */
static struct sl_table_copy *standby(struct sl_union *all)
{
	return &all->copies[all->single ? all->live : !all->live];
}

static void collect_change(struct sl_union *all)
{
	all->removed.count = all->added.count = 0;
	for (uint32_t i = 0; i < all->touched.count; i++)
		if (all->members[all->touched.at[i]].refs == 0)
			push(&all->removed, all->touched.at[i]);
	for (uint32_t i = 0; i < all->fresh.count; i++)
		if (all->members[all->fresh.at[i]].refs > 0)
			push(&all->added, all->fresh.at[i]);
}

/* Refuses a union that is larger than the tables. */
static int check_room(const struct sl_union *all, const char *file, struct sl_diag *diag)
{
	uint32_t total[2] = {all->placed[0], all->placed[1]};
	uint32_t limit = all->copies[0].limits.prefixes;

	for (uint32_t i = 0; i < all->removed.count; i++)
		total[family_of(all, all->removed.at[i])]--;
	for (uint32_t i = 0; i < all->added.count; i++)
		total[family_of(all, all->added.at[i])]++;
	for (unsigned f = 0; f < 2; f++) {
		if (total[f] <= limit)
			continue;
		sl_diag_error(diag, file, 0, 0,
		              "all policies together have %u distinct IPv%d prefixes, and the "
		              "address tables hold %u (tables.prefixes)",
		              total[f], f == 0 ? 4 : 6, limit);
		return -ENOSPC;
	}
	return 0;
}

static int add_class(struct sl_table_copy *copy, const struct member *members, uint32_t class)
{
	return sl_table_copy_add(copy, &members[class].net, class, members[class].space);
}

static int remove_class(struct sl_table_copy *copy, const struct member *members, uint32_t class)
{
	return sl_table_copy_remove(copy, &members[class].net, class);
}

/* Undoes the first `removed` and `added` steps of the change. */
static void undo_change(struct sl_union *all, struct sl_table_copy *copy, uint32_t removed,
                        uint32_t added)
{
	int ret = 0;

	while (ret == 0 && added > 0)
		ret = remove_class(copy, all->members, all->added.at[--added]);
	while (ret == 0 && removed > 0)
		ret = add_class(copy, all->members, all->removed.at[--removed]);
	if (ret != 0)
		all->broken = true;
}

/* Makes the change on a copy: all of it or nothing. *done says how many prefixes were added. */
static int change_copy(struct sl_union *all, struct sl_table_copy *copy, uint32_t *done)
{
	uint32_t removed = 0, added = 0;
	int ret = 0;

	while (removed < all->removed.count) {
		ret = remove_class(copy, all->members, all->removed.at[removed]);
		if (ret != 0)
			break;
		removed++;
	}
	while (ret == 0 && added < all->added.count) {
		ret = add_class(copy, all->members, all->added.at[added]);
		added += ret == 0;
	}
	*done = added;
	if (ret == 0)
		return 0;
	undo_change(all, copy, removed, added);
	all->broken = all->broken || ret == -EIO;
	return all->broken ? -EIO : ret;
}

static void explain_full(const struct sl_union *all, const struct sl_table_copy *copy,
                         uint32_t done, const char *file, struct sl_diag *diag)
{
	bool is4 = all->members[all->added.at[done]].net.family == SL_FAMILY_4;

	sl_diag_error(diag, file, 0, 0,
	              "the IPv%d address table has %u second-level tables (tables.%s) and they do "
	              "not suffice: %u of %u new prefixes found room",
	              is4 ? 4 : 6, is4 ? copy->limits.tbl8_4 : copy->limits.tbl8_6,
	              is4 ? "tbl8-4" : "tbl8-6", done, all->added.count);
}

static void explain_broken(const char *file, struct sl_diag *diag)
{
	sl_diag_error(diag, file, 0, 0,
	              "the address tables could not be put back as they were: restart the gateway "
	              "to load another policy");
}

int sl_union_apply(struct sl_union *all, const char *file, struct sl_diag *diag)
{
	struct sl_table_copy *copy = standby(all);
	uint32_t done = 0;
	int ret = -EIO;

	collect_change(all);
	if (!all->broken)
		ret = check_room(all, file, diag);
	if (ret == 0) {
		ret = change_copy(all, copy, &done);
		if (ret == -ENOSPC)
			explain_full(all, copy, done, file, diag);
	}
	if (ret == -EIO)
		explain_broken(file, diag);
	if (ret != 0)
		all->removed.count = all->added.count = 0;
	return ret;
}

static void forget(struct sl_union *all, uint32_t class)
{
	dict_remove(all, class);
	push(&all->free, class);
}

static void untouch(struct sl_union *all)
{
	for (uint32_t i = 0; i < all->touched.count; i++)
		all->members[all->touched.at[i]].listed = false;
	all->touched.count = 0;
}

void sl_union_cancel(struct sl_union *all)
{
	undo_change(all, standby(all), all->removed.count, all->added.count);
	all->removed.count = all->added.count = 0;
	for (uint32_t i = 0; i < all->fresh.count; i++)
		forget(all, all->fresh.at[i]);
	all->fresh.count = 0;
	untouch(all);
}

void sl_union_commit(struct sl_union *all)
{
	for (uint32_t i = 0; i < all->fresh.count; i++)
		if (all->members[all->fresh.at[i]].refs == 0)
			forget(all, all->fresh.at[i]);
	all->fresh.count = 0;
	untouch(all);
	for (uint32_t i = 0; i < all->added.count; i++) {
		all->members[all->added.at[i]].placed = true;
		all->placed[family_of(all, all->added.at[i])]++;
	}
	for (uint32_t i = 0; i < all->removed.count; i++) {
		all->placed[family_of(all, all->removed.at[i])]--;
		dict_remove(all, all->removed.at[i]);
	}
	if (!all->single)
		all->live = !all->live;
}

int sl_union_reclaim(struct sl_union *all)
{
	uint32_t done;

	if (!all->single && (all->broken || change_copy(all, standby(all), &done) != 0)) {
		all->broken = true;
		return -EIO;
	}
	for (uint32_t i = 0; i < all->removed.count; i++)
		push(&all->free, all->removed.at[i]);
	all->removed.count = all->added.count = 0;
	return 0;
}

const struct sl_table_copy *sl_union_standby(const struct sl_union *all)
{
	return &all->copies[all->single ? all->live : !all->live];
}

/* ---- Making and unmaking ---- */

static int init_ids(struct ids *ids, uint32_t room)
{
	ids->at = calloc(room, sizeof(*ids->at));
	return ids->at != NULL ? 0 : -ENOMEM;
}

/* A push may bring a whole other union while the old one is still there: twice the ids. */
static int init_classes(struct sl_union *all, uint32_t ids_max)
{
	uint32_t slots = 64;

	while (slots < 2 * ids_max)
		slots *= 2;
	all->ids_max = ids_max;
	all->dict_mask = slots - 1;
	all->dict = calloc(slots, sizeof(*all->dict));
	all->members = calloc((size_t)ids_max + 1, sizeof(*all->members));
	if (all->dict == NULL || all->members == NULL || init_ids(&all->free, ids_max) != 0 ||
	    init_ids(&all->fresh, ids_max) != 0 || init_ids(&all->touched, ids_max) != 0 ||
	    init_ids(&all->removed, ids_max) != 0 || init_ids(&all->added, ids_max) != 0)
		return -ENOMEM;
	for (uint32_t class = ids_max; class > 0;
	     class --) /* small ids are given out first: they stay in the cache */
		push(&all->free, class);
	return 0;
}

/* The config's ranges keep their reference for good, so the space of a class never changes. */
static int hold_range(struct sl_union *all, const struct sl_prefix *prefix, enum sl_space space)
{
	struct sl_net net = {.family = prefix->family, .len = prefix->len};
	uint32_t class;

	memcpy(net.bytes, prefix->addr, sizeof(net.bytes));
	class = sl_union_find(all, &net);
	if (class == SL_CLASS_NONE)
		class = sl_union_make(all, &net);
	if (class == SL_CLASS_NONE)
		return -ENOSPC;
	sl_union_hold(all, class);
	if (space > all->members[class].space)
		all->members[class].space = (uint8_t)space;
	return 0;
}

/*
 * A class inherits the space of the prefix that encloses it when it is added, so enclosing ranges
 * are added first: by length.
 */
static int hold_ranges(struct sl_union *all, const struct sl_config *config, uint8_t len)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < config->n_internal; i++)
		if (config->internal[i].len == len)
			ret = hold_range(all, &config->internal[i], SL_SPACE_INTERNAL);
	for (size_t i = 0; ret == 0 && i < config->n_protected; i++)
		if (config->protected[i].len == len)
			ret = hold_range(all, &config->protected[i], SL_SPACE_PROTECTED);
	return ret;
}

static int place_ranges(struct sl_union *all, const struct sl_config *config)
{
	struct sl_diag unheard;
	int ret = 0;

	sl_diag_init(&unheard);
	for (unsigned len = 0; ret == 0 && len <= 128; len++)
		ret = hold_ranges(all, config, (uint8_t)len);
	if (ret == 0)
		ret = sl_union_apply(all, "", &unheard);
	sl_diag_free(&unheard);
	if (ret != 0)
		return ret;
	sl_union_commit(all);
	return sl_union_reclaim(all);
}

struct sl_union *sl_union_create(const struct sl_table_copy_limits *limits,
                                 const struct sl_config *config, bool single)
{
	struct sl_union *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	all->single = single;
	if (init_classes(all, 4 * limits->prefixes) != 0 ||
	    sl_table_copy_init(&all->copies[0], limits, all->ids_max) != 0 ||
	    (!single && sl_table_copy_init(&all->copies[1], limits, all->ids_max) != 0) ||
	    (config != NULL && place_ranges(all, config) != 0)) {
		sl_union_destroy(all);
		return NULL;
	}
	return all;
}

void sl_union_destroy(struct sl_union *all)
{
	if (all == NULL)
		return;
	sl_table_copy_fini(&all->copies[0]);
	sl_table_copy_fini(&all->copies[1]);
	free(all->free.at);
	free(all->fresh.at);
	free(all->touched.at);
	free(all->removed.at);
	free(all->added.at);
	free(all->members);
	free(all->dict);
	free(all);
}
