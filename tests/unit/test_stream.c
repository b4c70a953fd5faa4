/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stream.c: streams behave like a plain array of bytes, within their limits, and free all
 * their memory. Of the worker only the fields that a stream needs are set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_common.h>

#include "watch/tcp/stream.h"

#define STREAMS 6
#define VLANS   3
#define CHUNKS  (STREAMS * SL_STREAM_CHUNKS) /* that all streams can have at most */
#define BYTES   sizeof(struct sl_stream_chunk)

struct box {
	struct sl_worker *worker;
	struct sl_settings settings;
	struct sl_vlan *vlans;
	struct sl_stats *stats;
};

/* Limits in chunks: of the pool, of the worker, of a sandbox. */
static struct box *box_make(uint32_t pool, uint32_t all, uint32_t each)
{
	struct box *box = calloc(1, sizeof(*box));

	/* they are full of cache lines */
	box->worker = aligned_alloc(64, RTE_ALIGN_CEIL(sizeof(*box->worker), 64));
	box->stats = aligned_alloc(64, RTE_ALIGN_CEIL(sizeof(*box->stats), 64));
	memset(box->worker, 0, sizeof(*box->worker));
	memset(box->stats, 0, sizeof(*box->stats));
	box->vlans = calloc(VLANS, sizeof(*box->vlans));
	box->settings.held_bytes_per_sandbox = each * BYTES;
	box->worker->params.count = 1;
	box->worker->settings = &box->settings;
	box->worker->vlans = box->vlans;
	box->worker->stats = box->stats;
	box->worker->held_limit = all * BYTES;
	assert_true(sl_pool_create(&box->worker->chunks, BYTES, pool));
	return box;
}

static struct box *box_of_plenty(void)
{
	return box_make(CHUNKS, CHUNKS, CHUNKS);
}

/* Checks that everything was freed, and every chunk once. */
static void box_free(struct box *box)
{
	struct sl_pool *pool = &box->worker->chunks;
	bool *seen = calloc(pool->capacity + 1, 1);

	assert_int_equal(pool->used, 0);
	assert_int_equal(box->stats->hold_bytes, 0);
	for (int vlan = 0; vlan < VLANS; vlan++)
		assert_int_equal(box->vlans[vlan].held_bytes, 0);
	for (uint32_t i = 0; i < pool->capacity; i++) {
		uint32_t index = sl_pool_get(pool);

		assert_in_range(index, 1, pool->capacity);
		assert_false(seen[index]);
		seen[index] = true;
	}
	assert_int_equal(sl_pool_get(pool), 0);
	free(seen);
	sl_pool_destroy(pool);
	free(box->worker);
	free(box->stats);
	free(box->vlans);
	free(box);
}

/* ---- by hand ---- */

static const uint8_t abc[] = "abcdefghijklmnopqrstuvwxyz";

static enum sl_stream_result put(struct box *box, struct sl_stream *stream, uint32_t offset,
                                 const void *bytes, uint32_t len)
{
	return sl_stream_write(box->worker, 0, stream, offset, bytes, len);
}

static void expect_bytes(struct box *box, const struct sl_stream *stream, uint32_t offset,
                         const void *bytes, uint32_t len)
{
	const uint8_t *there = NULL;

	assert_int_equal(sl_stream_piece(box->worker, stream, offset, len, &there), len);
	assert_memory_equal(there, bytes, len);
}

static void pieces_in_any_order_become_one(void **state)
{
	static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
	                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	for (size_t i = 0; i < 6; i++) {
		struct box *box = box_of_plenty();
		struct sl_stream stream = {0};

		for (int k = 0; k < 3; k++) {
			uint32_t at = orders[i][k] * 8;

			assert_int_equal(put(box, &stream, at, abc + at, 8), SL_STREAM_NEW);
		}
		assert_int_equal(stream.contiguous, 24);
		assert_int_equal(stream.end, 24);
		expect_bytes(box, &stream, 0, abc, 24);
		sl_stream_free(box->worker, 0, &stream);
		box_free(box);
	}
}

static void what_is_there_is_never_replaced(void **state)
{
	struct box *box = box_of_plenty();
	struct sl_stream stream = {0};

	assert_int_equal(put(box, &stream, 4, abc, 8), SL_STREAM_NEW);
	assert_int_equal(put(box, &stream, 4, abc, 8), SL_STREAM_DUPLICATE);
	assert_int_equal(put(box, &stream, 4, "abcdefgX", 8), SL_STREAM_CONFLICT);
	assert_int_equal(put(box, &stream, 0, "....Xbcd", 8), SL_STREAM_CONFLICT);
	assert_int_equal(put(box, &stream, 11, "Xijk", 4), SL_STREAM_CONFLICT);
	expect_bytes(box, &stream, 4, abc, 8);
	assert_int_equal(stream.end, 12);
	assert_int_equal(stream.contiguous, 0);
	/* what overlaps and is equal adds its rest */
	assert_int_equal(put(box, &stream, 10, abc + 6, 4), SL_STREAM_NEW);
	expect_bytes(box, &stream, 4, abc, 10);
	assert_int_equal(put(box, &stream, 0, "0123ab", 6), SL_STREAM_NEW);
	assert_int_equal(stream.contiguous, 14);
	sl_stream_free(box->worker, 0, &stream);
	box_free(box);
}

/* A conflict in a later word or chunk: nothing is written after it. */
static void conflict_ends_the_write(void **state)
{
	struct box *box = box_of_plenty();
	struct sl_stream stream = {0};
	uint8_t bytes[3 * SL_STREAM_CHUNK];
	const uint8_t *there;
	uint32_t at = SL_STREAM_CHUNK + 70;

	memset(bytes, 'a', sizeof(bytes));
	assert_int_equal(put(box, &stream, at, "b", 1), SL_STREAM_NEW);
	assert_int_equal(put(box, &stream, 0, bytes, sizeof(bytes)), SL_STREAM_CONFLICT);
	expect_bytes(box, &stream, at, "b", 1);
	assert_int_equal(stream.end, at + 1);
	assert_int_equal(sl_stream_piece(box->worker, &stream, at + 1, 1, &there), 0);
	sl_stream_free(box->worker, 0, &stream);
	box_free(box);
}

static void end_of_the_room_is_exact(void **state)
{
	struct box *box = box_of_plenty();
	struct sl_stream stream = {0};

	assert_int_equal(put(box, &stream, SL_STREAM_MAX - 2, abc, 3), SL_STREAM_NO_ROOM);
	assert_int_equal(put(box, &stream, SL_STREAM_MAX, abc, 1), SL_STREAM_NO_ROOM);
	assert_int_equal(put(box, &stream, SL_STREAM_MAX + 1, abc, 0), SL_STREAM_NO_ROOM);
	assert_int_equal(put(box, &stream, UINT32_MAX, abc, 2), SL_STREAM_NO_ROOM);
	assert_int_equal(put(box, &stream, 2, abc, UINT32_MAX), SL_STREAM_NO_ROOM);
	assert_int_equal(stream.end, 0);
	assert_int_equal(box->worker->chunks.used, 0);
	assert_int_equal(put(box, &stream, SL_STREAM_MAX, abc, 0), SL_STREAM_DUPLICATE);
	assert_int_equal(put(box, &stream, SL_STREAM_MAX - 2, abc, 2), SL_STREAM_NEW);
	assert_int_equal(stream.end, SL_STREAM_MAX);
	expect_bytes(box, &stream, SL_STREAM_MAX - 2, abc, 2);
	sl_stream_free(box->worker, 0, &stream);
	box_free(box);
}

/* A chunk is allocated, and the next one cannot be: the first is freed, too. */
static void limits_are_each_others_alone(void **state)
{
	static const struct {
		uint32_t pool, all, each;
	} limits[] = {{2, 9, 9}, {9, 2, 9}, {9, 9, 2}};

	for (size_t i = 0; i < 3; i++) {
		struct box *box = box_make(limits[i].pool, limits[i].all, limits[i].each);
		struct sl_stream stream = {0}, other = {0};
		uint8_t bytes[3 * SL_STREAM_CHUNK];
		bool shared = i < 2;

		memset(bytes, 'a', sizeof(bytes));
		assert_int_equal(put(box, &stream, 0, bytes, sizeof(bytes)), SL_STREAM_NO_ROOM);
		assert_int_equal(box->worker->chunks.used, 2);
		assert_int_equal(sl_stream_write(box->worker, 1, &other, 0, abc, 1),
		                 shared ? SL_STREAM_NO_ROOM : SL_STREAM_NEW);
		sl_stream_free(box->worker, 0, &stream);
		assert_int_equal(sl_stream_write(box->worker, 1, &other, 1, abc, 1), SL_STREAM_NEW);
		sl_stream_free(box->worker, 1, &other);
		box_free(box);
	}
}

static void chunk_used_again_remembers_nothing(void **state)
{
	struct box *box = box_make(1, 1, 1);
	struct sl_stream stream = {0};
	const uint8_t *there;

	assert_int_equal(put(box, &stream, 0, abc, 26), SL_STREAM_NEW);
	sl_stream_free(box->worker, 0, &stream);
	assert_int_equal(stream.end + stream.contiguous + stream.chunk[0], 0);
	assert_int_equal(put(box, &stream, 3, "XYZ", 3), SL_STREAM_NEW);
	assert_int_equal(sl_stream_piece(box->worker, &stream, 0, 26, &there), 0);
	assert_int_equal(sl_stream_next(box->worker, &stream, 0), 3);
	assert_true(sl_stream_equal(box->worker, &stream, 0, (const uint8_t *)"...XYZ...", 9));
	sl_stream_free(box->worker, 0, &stream);
	box_free(box);
}

/* ---- against plain arrays ---- */

struct model {
	struct sl_stream stream;
	uint16_t vlan;
	uint32_t contiguous, end;
	bool settled; /* no write has failed since `contiguous` was known */
	bool chunk[SL_STREAM_CHUNKS];
	bool have[SL_STREAM_MAX];
	uint8_t bytes[SL_STREAM_MAX];
};

struct trial {
	struct box *box;
	struct model *model;
	uint32_t pool, all, each, used, used_by[VLANS];
	unsigned results[4];
};

static uint32_t below(uint32_t n)
{
	return (uint32_t)rand() % n;
}

/* Mostly near the beginning or an edge, sometimes anywhere. */
static uint32_t some_offset(void)
{
	uint32_t edge = below(SL_STREAM_CHUNKS + 1) * SL_STREAM_CHUNK;

	switch (below(4)) {
	case 0:
		return edge - RTE_MIN(edge, below(70));
	case 1:
		return below(SL_STREAM_MAX + 3);
	default:
		return below(3000);
	}
}

static uint32_t some_length(void)
{
	static const uint32_t to[] = {4, 70, 1500, 3 * SL_STREAM_CHUNK};

	return below(to[below(4)]);
}

/* The bytes of the stream, sometimes with a wrong one. */
static void some_bytes(uint32_t stream, uint32_t offset, uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((offset + i) * 37 + (offset + i) / 256 + stream);
	if (len > 0 && below(8) == 0)
		bytes[below(len)] ^= (uint8_t)(1 + below(255));
}

static bool has_room(const struct trial *t, uint16_t vlan)
{
	return t->used < t->pool && t->used < t->all && t->used_by[vlan] < t->each;
}

/* The expected result of a write. *good: bytes before the one that does not fit. */
static enum sl_stream_result expected(struct trial *t, struct model *model, uint32_t offset,
                                      const uint8_t *bytes, uint32_t len, uint32_t *good)
{
	enum sl_stream_result result = SL_STREAM_DUPLICATE;

	*good = 0;
	if (offset > SL_STREAM_MAX || len > SL_STREAM_MAX - offset)
		return SL_STREAM_NO_ROOM;
	for (; *good < len; ++*good) {
		uint32_t at = offset + *good;
		bool *chunk = &model->chunk[at / SL_STREAM_CHUNK];

		if (!*chunk && !has_room(t, model->vlan))
			return SL_STREAM_NO_ROOM;
		if (!*chunk) {
			*chunk = true;
			t->used++;
			t->used_by[model->vlan]++;
		}
		if (model->have[at] && model->bytes[at] != bytes[*good])
			return SL_STREAM_CONFLICT;
		if (!model->have[at])
			result = SL_STREAM_NEW;
	}
	return result;
}

static bool there(const struct trial *t, const struct model *model, uint32_t at, uint8_t *byte)
{
	const uint8_t *bytes;

	if (sl_stream_piece(t->box->worker, &model->stream, at, 1, &bytes) == 0)
		return false;
	*byte = *bytes;
	return true;
}

/* Bytes before the one that failed may be written or not; no other byte changes. */
static void take_over(struct trial *t, struct model *model, uint32_t offset, const uint8_t *bytes,
                      uint32_t good, bool all)
{
	for (uint32_t i = 0; i < good; i++) {
		uint8_t byte = 0;
		bool is = there(t, model, offset + i, &byte);

		assert_true(is || (!all && !model->have[offset + i]));
		if (!is)
			continue;
		assert_int_equal(byte, bytes[i]);
		model->have[offset + i] = true;
		model->bytes[offset + i] = byte;
		model->end = RTE_MAX(model->end, offset + i + 1);
	}
	while (model->contiguous < SL_STREAM_MAX && model->have[model->contiguous])
		model->contiguous++;
}

static void step_write(struct trial *t, uint32_t number)
{
	static uint8_t bytes[3 * SL_STREAM_CHUNK];
	struct model *model = &t->model[number];
	uint32_t offset = some_offset(), len = some_length(), good;
	enum sl_stream_result want, got;

	some_bytes(number, offset, bytes, len);
	want = expected(t, model, offset, bytes, len, &good);
	got = sl_stream_write(t->box->worker, model->vlan, &model->stream, offset, bytes, len);
	assert_int_equal(got, want);
	t->results[got]++;
	model->settled = got == SL_STREAM_NEW || got == SL_STREAM_DUPLICATE;
	take_over(t, model, offset, bytes, good, model->settled);
}

/* Every byte that should be there is, and no other. */
static void look_at_all(const struct trial *t, const struct model *model)
{
	for (uint32_t at = 0; at < SL_STREAM_MAX; at++) {
		uint8_t byte = 0;

		assert_int_equal(there(t, model, at, &byte), model->have[at]);
		if (model->have[at])
			assert_int_equal(byte, model->bytes[at]);
	}
}

static void look_at_some(const struct trial *t, uint32_t number)
{
	static uint8_t bytes[3 * SL_STREAM_CHUNK];
	const struct model *model = &t->model[number];
	uint32_t offset = some_offset(), len = some_length(), next = offset, n = 0;
	const uint8_t *piece = NULL;
	bool equal = true;

	some_bytes(number, offset, bytes, len);
	for (uint32_t i = 0; i < len && offset + i < SL_STREAM_MAX; i++)
		equal &= !model->have[offset + i] || model->bytes[offset + i] == bytes[i];
	assert_int_equal(sl_stream_equal(t->box->worker, &model->stream, offset, bytes, len),
	                 equal);

	while (next < model->end && !model->have[next])
		next++;
	assert_int_equal(sl_stream_next(t->box->worker, &model->stream, offset),
	                 next < model->end ? next : model->end);

	while (n < len && offset + n < model->end && model->have[offset + n] &&
	       (n == 0 || (offset + n) % SL_STREAM_CHUNK != 0))
		n++;
	assert_int_equal(sl_stream_piece(t->box->worker, &model->stream, offset, len, &piece), n);
	if (n > 0)
		assert_memory_equal(piece, model->bytes + offset, n);
}

static void step_free(struct trial *t, struct model *model)
{
	static const struct sl_stream empty;
	uint16_t vlan = model->vlan;

	look_at_all(t, model);
	sl_stream_free(t->box->worker, vlan, &model->stream);
	assert_memory_equal(&model->stream, &empty, sizeof(empty));
	for (int i = 0; i < SL_STREAM_CHUNKS; i++)
		if (model->chunk[i]) {
			t->used--;
			t->used_by[vlan]--;
		}
	memset(model, 0, sizeof(*model));
	model->vlan = vlan;
	model->settled = true;
}

static void look_at_counts(const struct trial *t, const struct model *model)
{
	assert_int_equal(model->stream.end, model->end);
	/* after a failed write it may be too low, never too high */
	if (model->settled)
		assert_int_equal(model->stream.contiguous, model->contiguous);
	else
		assert_true(model->stream.contiguous <= model->contiguous);
	assert_int_equal(t->box->worker->chunks.used, t->used);
	assert_int_equal(t->box->stats->hold_bytes, t->used * BYTES);
	for (int vlan = 0; vlan < VLANS; vlan++)
		assert_int_equal(t->box->vlans[vlan].held_bytes, t->used_by[vlan] * BYTES);
}

static void try_limits(uint32_t pool, uint32_t all, uint32_t each, bool scarce)
{
	struct trial t = {.box = box_make(pool, all, each),
	                  .model = calloc(STREAMS, sizeof(*t.model)),
	                  .pool = pool,
	                  .all = all,
	                  .each = each};

	srand(1);
	for (uint16_t i = 0; i < STREAMS; i++) {
		t.model[i].vlan = i % VLANS;
		t.model[i].settled = true;
	}
	for (int step = 0; step < 20000; step++) {
		uint32_t number = below(STREAMS);

		if (below(150) == 0)
			step_free(&t, &t.model[number]);
		else
			step_write(&t, number);
		look_at_some(&t, number);
		look_at_counts(&t, &t.model[number]);
	}
	for (int i = 0; i < STREAMS; i++)
		step_free(&t, &t.model[i]);
	/* every result occurred */
	assert_true(t.results[SL_STREAM_CONFLICT] > 500);
	assert_true(t.results[SL_STREAM_DUPLICATE] > 500);
	assert_true(t.results[SL_STREAM_NEW] > 500);
	assert_true(t.results[SL_STREAM_NO_ROOM] > (scarce ? 2000 : 20));
	free(t.model);
	box_free(t.box);
}

static void random_steps_agree_where_there_is_plenty(void **state)
{
	try_limits(CHUNKS, CHUNKS, CHUNKS, false);
}

static void random_steps_agree_at_the_pools_end(void **state)
{
	try_limits(30, CHUNKS, CHUNKS, true);
}

static void random_steps_agree_at_the_workers_limit(void **state)
{
	try_limits(CHUNKS, 30, CHUNKS, true);
}

static void random_steps_agree_at_a_sandboxs_limit(void **state)
{
	try_limits(CHUNKS, CHUNKS, 10, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(pieces_in_any_order_become_one),
	        cmocka_unit_test(what_is_there_is_never_replaced),
	        cmocka_unit_test(conflict_ends_the_write),
	        cmocka_unit_test(end_of_the_room_is_exact),
	        cmocka_unit_test(limits_are_each_others_alone),
	        cmocka_unit_test(chunk_used_again_remembers_nothing),
	        cmocka_unit_test(random_steps_agree_where_there_is_plenty),
	        cmocka_unit_test(random_steps_agree_at_the_pools_end),
	        cmocka_unit_test(random_steps_agree_at_the_workers_limit),
	        cmocka_unit_test(random_steps_agree_at_a_sandboxs_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
