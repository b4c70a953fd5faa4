/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_flow_table.c: the flow table finds what a plain list finds, even if all flows share one
 * bucket and one signature, while chains grow and shrink, and when it is full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/flow_table.h"

static uint32_t below(uint32_t n)
{
	return (uint32_t)rand() % n;
}

static uint64_t random_word(void)
{
	return (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
}

static struct sl_flow_table *table_make(uint32_t capacity)
{
	struct sl_flow_table *table = calloc(1, sizeof(*table));

	assert_true(sl_flow_table_create(table, capacity));
	return table;
}

static void table_free(struct sl_flow_table *table)
{
	sl_flow_table_destroy(table);
	free(table);
}

/* ---- keys ---- */

/* Different for different n. The bytes that an IPv4 packet's key does not set are random. */
static struct sl_key key_of(enum sl_family family, uint32_t n)
{
	struct sl_key key;
	uint32_t address = n * 2654435761u;

	memset(&key, (int)below(256), sizeof(key));
	key.vlan = (uint16_t)(n % 4094 + 1);
	key.proto = n % 2 == 0 ? 6 : 17;
	key.family = (uint8_t)family;
	key.inside_port = (uint16_t)n;
	key.remote_port = (uint16_t)(n >> 16);
	if (family == SL_FAMILY_4) {
		key.inside4 = 0x0200000a;
		key.remote4 = address;
	} else {
		memset(key.inside6, 0xfd, 32);
		memcpy(key.remote6 + 12, &address, 4);
	}
	return key;
}

/*
 * The same, but with hash 0 for every n, as someone who knows the secret could do. A factor of the
 * last product is made 0, which are the addresses of IPv4, and the end of the remote one of IPv6.
 */
static struct sl_key collision_of(const struct sl_flow_table *table, enum sl_family family,
                                  uint32_t n)
{
	struct sl_key key = key_of(family, n);

	if (family == SL_FAMILY_4)
		memcpy(&key.inside4, &table->secret[1], 8);
	else
		memcpy(key.remote6 + 8, &table->secret[2], 8);
	return key;
}

static enum sl_family either(uint32_t n)
{
	return n % 3 == 0 ? SL_FAMILY_6 : SL_FAMILY_4;
}

/* The key as in a looked-up packet: the same flow, other random bytes. */
static struct sl_key packets_key(const struct sl_key *key)
{
	struct sl_key again = *key;

	if (key->family == SL_FAMILY_4)
		memset((uint8_t *)&again + 16, (int)below(256), sizeof(again) - 16);
	return again;
}

static struct sl_flow *find(struct sl_flow_table *table, const struct sl_key *key)
{
	struct sl_key again = packets_key(key);

	return sl_flow_table_find(table, &again, sl_flow_table_hash(table, &again));
}

static struct sl_flow *insert(struct sl_flow_table *table, const struct sl_key *key)
{
	return sl_flow_table_insert(table, key, sl_flow_table_hash(table, key));
}

/* ---- what must hold of every table ---- */

/* Each flow is in its chain once, and no chain is longer than it must be. */
static void check(const struct sl_flow_table *table)
{
	bool *seen = calloc(table->capacity + 1, 1);
	uint32_t used = 0, overflow = 0;

	for (uint32_t i = 0; i <= table->bucket_mask; i++) {
		const struct sl_bucket *bucket = &table->buckets[i];

		for (bool first = true;; first = false) {
			unsigned in_bucket = 0;

			for (unsigned slot = 0; slot < SL_BUCKET_SLOTS; slot++) {
				uint32_t index = bucket->flow[slot];

				if (bucket->signature[slot] == 0)
					continue;
				assert_in_range(index, 1, table->capacity);
				assert_false(seen[index]);
				seen[index] = true;
				in_bucket++;
			}
			used += in_bucket;
			overflow += !first;
			assert_true(first || in_bucket > 0);
			if (bucket->next == 0)
				break;
			bucket = sl_pool_at(&table->overflow, bucket->next);
		}
	}
	assert_int_equal(used, table->used);
	assert_int_equal(overflow, table->overflow.used);
	free(seen);
}

/* A new flow has its key, and no state of a flow that was there before. */
static void check_new(const struct sl_flow_table *table, const struct sl_flow *flow,
                      const struct sl_key *key)
{
	static const struct sl_flow_cold no_cold;
	struct sl_flow want;

	memset(&want, 0, sizeof(want));
	memcpy(&want.key, key, key->family == SL_FAMILY_4 ? 16 : sizeof(*key));
	assert_memory_equal(flow, &want, sizeof(want));
	assert_memory_equal(sl_flow_cold(table, flow), &no_cold, sizeof(no_cold));
}

/* Fills in the fields that the owners of a flow write. */
static void scribble(const struct sl_flow_table *table, struct sl_flow *flow)
{
	memset((uint8_t *)flow + sizeof(flow->key), 0xee, sizeof(*flow) - sizeof(flow->key));
	memset(sl_flow_cold(table, flow), 0xee, sizeof(struct sl_flow_cold));
}

/* ---- by hand ---- */

static void keys_that_differ_in_one_bit_are_two_flows(void **state)
{
	for (int family = 0; family < 2; family++) {
		enum sl_family f = family == 0 ? SL_FAMILY_4 : SL_FAMILY_6;
		unsigned bits = f == SL_FAMILY_4 ? 128 : 320, flows = 0;
		struct sl_flow_table *table = table_make(1024);
		struct sl_key key = key_of(f, 1);
		struct sl_flow *flow = insert(table, &key);

		for (unsigned bit = 0; bit < bits; bit++) {
			struct sl_key other = key;

			((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (other.family != key.family)
				continue;
			/* with the first one's hash: only the key tells them apart */
			assert_null(
			        sl_flow_table_find(table, &other, sl_flow_table_hash(table, &key)));
			assert_null(find(table, &other));
			assert_non_null(insert(table, &other));
			flows++;
		}
		assert_int_equal(flows, bits - 8);
		assert_ptr_equal(find(table, &key), flow);
		check(table);
		table_free(table);
	}
}

/* The first 16 bytes of an IPv6 key, but for the family, are an IPv4 key. */
static void families_are_told_apart(void **state)
{
	struct sl_flow_table *table = table_make(16);
	struct sl_key six = key_of(SL_FAMILY_6, 1), four = six;
	struct sl_flow *flow;

	four.family = SL_FAMILY_4;
	flow = insert(table, &four);
	assert_null(sl_flow_table_find(table, &six, sl_flow_table_hash(table, &four)));
	assert_non_null(insert(table, &six));
	assert_ptr_equal(find(table, &four), flow);
	assert_ptr_not_equal(find(table, &six), flow);
	table_free(table);
}

static void hashes_of_two_tables_differ(void **state)
{
	struct sl_flow_table *one = table_make(16), *other = table_make(16);
	unsigned same = 0;

	for (uint32_t n = 0; n < 1000; n++) {
		struct sl_key key = key_of(either(n), n);

		same += sl_flow_table_hash(one, &key) == sl_flow_table_hash(other, &key);
	}
	assert_true(same < 10);
	table_free(one);
	table_free(other);
}

/*
 * One bucket and one signature for all: the chain grows up to the table's capacity and shrinks
 * again.
 */
static void table_full_of_collisions_finds_each(void **state)
{
	enum { CAPACITY = 200 };
	struct sl_flow_table *table = table_make(CAPACITY);
	struct sl_flow *flow[CAPACITY];
	struct sl_key key[CAPACITY + 1];

	for (uint32_t n = 0; n <= CAPACITY; n++) {
		key[n] = collision_of(table, either(n), n);
		assert_int_equal(sl_flow_table_hash(table, &key[n]), 0);
	}
	for (uint32_t n = 0; n < CAPACITY; n++) {
		flow[n] = insert(table, &key[n]);
		assert_non_null(flow[n]);
		check_new(table, flow[n], &key[n]);
	}
	assert_null(insert(table, &key[CAPACITY]));
	assert_null(find(table, &key[CAPACITY]));
	assert_int_equal(table->overflow.used, CAPACITY / SL_BUCKET_SLOTS - 1);
	check(table);
	for (uint32_t n = 0; n < CAPACITY; n++)
		assert_ptr_equal(find(table, &key[n]), flow[n]);
	/* from the middle to both ends, so that buckets go out of the middle of the chain */
	for (uint32_t i = 0; i < CAPACITY; i++) {
		uint32_t n = i % 2 == 0 ? (CAPACITY - i) / 2 - 1 : (CAPACITY + i) / 2;

		assert_ptr_equal(find(table, &key[n]), flow[n]);
		sl_flow_table_remove(table, flow[n]);
		assert_null(find(table, &key[n]));
		check(table);
	}
	assert_int_equal(table->used, 0);
	assert_int_equal(table->overflow.used, 0);
	table_free(table);
}

static void flow_removed_makes_room_for_one(void **state)
{
	struct sl_flow_table *table = table_make(8);
	struct sl_key key[9];
	struct sl_flow *flow = NULL;

	for (uint32_t n = 0; n < 9; n++)
		key[n] = key_of(either(n), n);
	for (uint32_t n = 0; n < 8; n++) {
		flow = insert(table, &key[n]);
		scribble(table, flow);
	}
	assert_null(insert(table, &key[8]));
	assert_int_equal(table->changes, 0);
	sl_flow_table_remove(table, flow);
	assert_int_equal(table->changes, 1);
	/* a stale pointer leads to a free flow */
	assert_int_equal(flow->state, SL_FLOW_FREE);
	assert_int_equal(flow->fast_epoch, 0);
	assert_ptr_equal(insert(table, &key[8]), flow);
	check_new(table, flow, &key[8]);
	assert_null(find(table, &key[7]));
	assert_null(insert(table, &key[7]));
	table_free(table);
}

/* ---- against a plain list ---- */

#define KEYS 600

struct trial {
	struct sl_flow_table *table;
	struct sl_key key[KEYS];
	struct sl_flow *flow[KEYS]; /* NULL: not in the table */
	uint32_t used, removed, full, chains;
};

/* A third each: one signature in one bucket; only a few buckets; anywhere. */
static void make_keys(struct trial *t, unsigned collisions)
{
	uint32_t number = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		struct sl_key *key = &t->key[i];

		do {
			number++;
			*key = i < collisions ? collision_of(t->table, either(number), number)
			                      : key_of(either(number), number);
		} while (i >= collisions && i % 2 == 0 &&
		         (sl_flow_table_hash(t->table, key) & t->table->bucket_mask) > 2);
	}
}

static void step_insert(struct trial *t, unsigned i)
{
	struct sl_flow *flow = insert(t->table, &t->key[i]);

	if (flow == NULL) {
		/* full, or what there is for chains is used up */
		assert_true(t->used == t->table->capacity ||
		            t->table->overflow.used == t->table->overflow.capacity);
		t->full++;
		return;
	}
	assert_true(t->used < t->table->capacity);
	for (unsigned k = 0; k < KEYS; k++)
		assert_ptr_not_equal(t->flow[k], flow);
	check_new(t->table, flow, &t->key[i]);
	scribble(t->table, flow);
	t->flow[i] = flow;
	t->used++;
}

static void step_remove(struct trial *t, unsigned i)
{
	sl_flow_table_remove(t->table, t->flow[i]);
	assert_int_equal(t->flow[i]->state, SL_FLOW_FREE);
	t->flow[i] = NULL;
	t->used--;
	t->removed++;
	assert_int_equal(t->table->changes, t->removed);
}

/* Some of a burst's packets; the others are not touched. */
static void step_find_bulk(struct trial *t)
{
	static struct sl_pkt pkts[SL_BURST_MAX];
	uint16_t idx[SL_BURST_MAX];
	unsigned key[SL_BURST_MAX], n = 0;

	for (uint16_t i = 0; i < SL_BURST_MAX; i++) {
		key[i] = below(KEYS);
		pkts[i].key = packets_key(&t->key[key[i]]);
		pkts[i].hash = 0x12345678;
		pkts[i].flow = (struct sl_flow *)pkts;
		if (below(4) != 0)
			idx[n++] = i;
	}
	for (unsigned i = n; i > 1; i--) {
		unsigned k = below(i);
		uint16_t swap = idx[k];

		idx[k] = idx[i - 1];
		idx[i - 1] = swap;
	}
	sl_flow_table_find_bulk(t->table, pkts, idx, n);
	for (unsigned i = 0; i < n; i++) {
		struct sl_pkt *pkt = &pkts[idx[i]];

		assert_ptr_equal(pkt->flow, t->flow[key[idx[i]]]);
		assert_int_equal(pkt->hash, sl_flow_table_hash(t->table, &pkt->key));
		pkt->flow = (struct sl_flow *)pkts;
		pkt->hash = 0x12345678;
	}
	for (unsigned i = 0; i < SL_BURST_MAX; i++) {
		assert_ptr_equal(pkts[i].flow, pkts);
		assert_int_equal(pkts[i].hash, 0x12345678);
	}
}

/* Grows and shrinks by turns, so that it is full and empty now and then. */
static void try_random_steps(uint32_t capacity, unsigned collisions)
{
	struct trial *t = calloc(1, sizeof(*t));

	srand(capacity);
	t->table = table_make(capacity);
	for (int i = 0; i < 4; i++) /* the same ones each time */
		t->table->secret[i] = random_word();
	make_keys(t, collisions);
	for (int step = 0; step < 20000; step++) {
		unsigned i = below(KEYS);
		bool grow = step / 1500 % 2 == 0;

		assert_ptr_equal(find(t->table, &t->key[i]), t->flow[i]);
		if (t->flow[i] == NULL && (grow || below(8) == 0))
			step_insert(t, i);
		else if (t->flow[i] != NULL && (!grow || below(8) == 0))
			step_remove(t, i);
		assert_ptr_equal(find(t->table, &t->key[i]), t->flow[i]);
		assert_int_equal(t->table->used, t->used);
		t->chains += t->table->overflow.used > 1;
		if (step % 16 == 0) {
			step_find_bulk(t);
			check(t->table);
		}
	}
	for (unsigned i = 0; i < KEYS; i++)
		if (t->flow[i] != NULL)
			step_remove(t, i);
	check(t->table);
	assert_int_equal(t->table->overflow.used, 0);
	assert_true(t->chains > 1000 && t->removed > 1000);
	assert_true(capacity > KEYS || t->full > 100);
	table_free(t->table);
	free(t);
}

static void random_steps_agree_in_a_small_table(void **state)
{
	try_random_steps(64, 200);
}

static void random_steps_agree_in_a_table_that_is_full(void **state)
{
	try_random_steps(400, 200);
}

static void random_steps_agree_in_a_table_that_never_is(void **state)
{
	try_random_steps(1000, 200);
}

static void random_steps_agree_if_all_collide(void **state)
{
	try_random_steps(300, KEYS);
}

/* ---- memory ---- */

/* How many of its pages are resident. */
static size_t pages_of(void *memory, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = bytes / page, given = 0;
	unsigned char *resident = calloc(pages, 1);

	assert_int_equal(mincore(memory, pages * page, resident), 0);
	for (size_t i = 0; i < pages; i++)
		given += resident[i] & 1;
	free(resident);
	return given;
}

static void warm_table_makes_no_flow_wait_for_memory(void **state)
{
	struct sl_flow_table *table = table_make(1 << 20);
	size_t bytes = ((size_t)table->bucket_mask + 1) * sizeof(struct sl_bucket);

	assert_int_equal(pages_of(table->buckets, bytes), 0);
	sl_flow_table_warm(table);
	assert_int_equal(pages_of(table->buckets, bytes), bytes / (size_t)sysconf(_SC_PAGESIZE));
	assert_true(pages_of(table->flows, 1 << 16) > 0);
	assert_true(pages_of(table->colds, 1 << 16) > 0);
	table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_that_differ_in_one_bit_are_two_flows),
	        cmocka_unit_test(families_are_told_apart),
	        cmocka_unit_test(hashes_of_two_tables_differ),
	        cmocka_unit_test(table_full_of_collisions_finds_each),
	        cmocka_unit_test(flow_removed_makes_room_for_one),
	        cmocka_unit_test(random_steps_agree_in_a_small_table),
	        cmocka_unit_test(random_steps_agree_in_a_table_that_is_full),
	        cmocka_unit_test(random_steps_agree_in_a_table_that_never_is),
	        cmocka_unit_test(random_steps_agree_if_all_collide),
	        cmocka_unit_test(warm_table_makes_no_flow_wait_for_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
