/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pins.c: the pin table's own rules: which pin is evicted first at a limit, and that nothing
 * leaks. The table belongs to a worker of an in-process gateway; pipeline/test_dns_pins.c tests the
 * effect of pins on packets.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_ring.h>

#include "inproc.h"
#include "judge/pins.h"
#include "core/state.h"
#include "sluice/ask.h"

#define POLICY                                                                                     \
	"sandboxes:\n"                                                                             \
	"  - {vlan: 101, policy: {allow: ['*.allowed.com']}}\n"                                    \
	"  - {vlan: 102, policy: {allow: ['*.allowed.com']}}\n"
#define LOCKED                                                                                     \
	"sandboxes:\n"                                                                             \
	"  - {vlan: 101, policy: {allow: [one.allowed.com]}}\n"                                    \
	"  - {vlan: 102, policy: {allow: ['*.allowed.com']}}\n"

struct table {
	struct inproc *gw;
	struct sl_worker *worker;
	const struct sl_sandbox *sandbox;
};

static void look(struct table *t)
{
	inproc_advance_us(t->gw, 1);
	t->worker = inproc_worker(t->gw, 0);
	t->sandbox = sl_worker_sandbox(t->worker, 101);
}

static struct table table(const char *limits)
{
	char config[256];
	struct table t;

	snprintf(config, sizeof(config),
	         "dns: {resolvers: [203.0.113.53], pin-grace: 10}\nlimits: {flows: 1024, %s}\n",
	         limits);
	t.gw = inproc_create(POLICY, config);
	look(&t);
	return t;
}

static struct sl_addr address(uint32_t n)
{
	struct sl_addr addr = {.family = SL_FAMILY_4};
	uint32_t be = htonl(0xc6336400 + n);

	memcpy(addr.bytes, &be, 4);
	return addr;
}

static void add_for(struct table *t, const struct sl_sandbox *sandbox, uint32_t n, const char *name,
                    uint32_t ttl_s)
{
	struct sl_addr addr = address(n);

	sl_pins_add(t->worker, sandbox, &addr, name, strlen(name), ttl_s);
}

static void add_to(struct table *t, const struct sl_sandbox *sandbox, uint32_t n, const char *name)
{
	add_for(t, sandbox, n, name, 60);
}

static void add(struct table *t, uint32_t n, const char *name)
{
	add_to(t, t->sandbox, n, name);
}

static bool open_at(struct table *t, uint32_t n)
{
	struct sl_addr addr = address(n);

	return sl_pins_open(t->worker, t->sandbox, &addr);
}

static bool tie(struct table *t, uint32_t n, const char *name)
{
	struct sl_addr addr = address(n);

	return sl_pins_tie(t->worker, t->sandbox, &addr, name, strlen(name));
}

static void pin_opens_its_address_and_ties_its_name(void **state)
{
	struct table t = table("pins: 1000");

	add(&t, 1, "a.allowed.com");
	assert_true(open_at(&t, 1));
	assert_false(open_at(&t, 2));
	assert_true(tie(&t, 1, "a.allowed.com"));
	assert_false(tie(&t, 1, "b.allowed.com"));
	assert_false(tie(&t, 2, "a.allowed.com"));
	inproc_free(t.gw);
}

static void pin_of_a_denied_name_opens_nothing(void **state)
{
	struct table t = table("pins: 1000");

	add(&t, 1, "a.denied.com");
	assert_false(open_at(&t, 1));
	/* also after that was remembered */
	assert_false(open_at(&t, 1));
	add(&t, 1, "a.allowed.com");
	assert_true(open_at(&t, 1));
	inproc_free(t.gw);
}

static void pin_added_twice_is_one(void **state)
{
	struct table t = table("pins: 1000");

	for (int i = 0; i < 10; i++)
		add(&t, 1, "a.allowed.com");
	assert_int_equal(inproc_stats(t.gw, 0)->pins, 1);
	inproc_free(t.gw);
}

static void pin_refreshed_never_lives_less(void **state)
{
	struct table t = table("pins: 1000");

	add_for(&t, t.sandbox, 1, "a.allowed.com", 100);
	add_for(&t, t.sandbox, 1, "a.allowed.com", 0);
	inproc_advance_s(t.gw, 99);
	assert_true(open_at(&t, 1));
	inproc_advance_s(t.gw, 2);
	assert_false(open_at(&t, 1));
	assert_false(tie(&t, 1, "a.allowed.com"));
	inproc_free(t.gw);
}

/* A program that resolved once connects for hours; only what opens a flow counts as use. */
static void pin_in_use_lives_on(void **state)
{
	struct table t = table("pins: 1000");

	add_for(&t, t.sandbox, 1, "a.allowed.com", 100);
	add_for(&t, t.sandbox, 1, "b.allowed.com", 100);
	for (int i = 0; i < 20; i++) {
		inproc_advance_s(t.gw, 90);
		assert_true(tie(&t, 1, "a.allowed.com"));
	}
	/* the unused name's pin has expired; a lookup of the address renews nothing */
	assert_false(tie(&t, 1, "b.allowed.com"));
	for (int i = 0; i < 9; i++) {
		inproc_advance_s(t.gw, 11);
		assert_true(open_at(&t, 1));
	}
	inproc_advance_s(t.gw, 2);
	assert_false(open_at(&t, 1));
	assert_false(tie(&t, 1, "a.allowed.com"));
	inproc_free(t.gw);
}

static void pin_least_recently_used_goes_first(void **state)
{
	struct table t = table("pins: 1000, pins-per-sandbox: 4");

	for (uint32_t i = 1; i <= 4; i++)
		add(&t, i, "a.allowed.com");
	/* 1 was opened, 2 was tied: 3 is the oldest unused */
	assert_true(open_at(&t, 1));
	assert_true(tie(&t, 2, "a.allowed.com"));
	add(&t, 5, "a.allowed.com");
	assert_int_equal(inproc_stats(t.gw, 0)->pins, 4);
	assert_false(open_at(&t, 3));
	assert_true(open_at(&t, 1));
	assert_true(open_at(&t, 2));
	assert_true(open_at(&t, 4));
	assert_true(open_at(&t, 5));
	/* asked again counts as used */
	add(&t, 1, "a.allowed.com");
	add(&t, 6, "a.allowed.com");
	assert_true(open_at(&t, 1));
	assert_false(open_at(&t, 2));
	inproc_free(t.gw);
}

static void pins_of_all_at_the_bound_cost_only_their_own_sandbox(void **state)
{
	struct table t = table("pins: 8, pins-per-sandbox: 8");
	const struct sl_sandbox *other = sl_worker_sandbox(t.worker, 102);
	struct sl_addr addr = address(100);

	for (uint32_t i = 1; i <= 8; i++)
		add(&t, i, "a.allowed.com");
	/* the other one has none to evict: it gets none, and evicts none */
	add_to(&t, other, 100, "a.allowed.com");
	assert_false(sl_pins_open(t.worker, other, &addr));
	for (uint32_t i = 1; i <= 8; i++)
		assert_true(open_at(&t, i));
	/* the first one's own oldest goes */
	add(&t, 9, "a.allowed.com");
	assert_false(open_at(&t, 1));
	assert_true(open_at(&t, 9));
	assert_int_equal(inproc_stats(t.gw, 0)->pins, 8);
	inproc_free(t.gw);
}

static void pins_of_one_address_are_told_apart(void **state)
{
	struct table t = table("pins: 10000, pins-per-sandbox: 10000");
	char name[64];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%d.allowed.com", i);
		add(&t, 1, name);
	}
	add(&t, 1, "one.allowed.com");
	assert_true(open_at(&t, 1));
	assert_true(tie(&t, 1, "n500.allowed.com"));
	assert_true(inproc_push(t.gw, LOCKED) != 0);
	look(&t);
	assert_true(open_at(&t, 1)); /* one of the 1001 is still allowed */
	assert_true(tie(&t, 1, "one.allowed.com"));
	inproc_free(t.gw);
}

static void pins_expired_are_given_back(void **state)
{
	struct table t = table("pins: 20000, pins-per-sandbox: 20000");
	uint32_t names = t.worker->names.used;

	for (uint32_t i = 0; i < 2000; i++) {
		char name[64];

		snprintf(name, sizeof(name), "n%u.allowed.com", i % 700);
		add(&t, i % 900, name);
	}
	assert_int_equal(inproc_stats(t.gw, 0)->pins, t.worker->pins.used);
	assert_true(t.worker->pins.used > 900);
	inproc_advance_s(t.gw, 80);
	assert_int_equal(t.worker->pins.used, 0);
	assert_int_equal(t.worker->pin_addresses.used, 0);
	assert_int_equal(t.worker->names.used, names);
	assert_int_equal(inproc_stats(t.gw, 0)->pins, 0);
	inproc_free(t.gw);
}

static void pins_forgotten_are_those_of_another_sandbox(void **state)
{
	struct table t = table("pins: 1000");
	unsigned none = 0;

	add(&t, 1, "a.allowed.com");
	assert_true(sl_pins_forget(t.worker, 101, &none));
	assert_true(open_at(&t, 1)); /* it is still this one */
	assert_true(inproc_push(t.gw, "sandboxes: [{vlan: 102}]") != 0);
	inproc_advance_s(t.gw, 1);
	assert_int_equal(t.worker->pins.used, 0);
	assert_int_equal(t.worker->vlans[101].pins, 0);
	inproc_free(t.gw);
}

/* A worker must not stall: pins that can no longer be found are freed some at a time. */
static void pins_of_a_sandbox_that_is_gone_open_nothing_and_go_by_and_by(void **state)
{
	static const char one[] =
	        "sandboxes: [{vlan: 101, name: one, policy: {allow: ['*.allowed.com']}}]";
	static const char other[] =
	        "sandboxes: [{vlan: 101, name: other, policy: {allow: ['*.allowed.com']}}]";
	struct table t = table("pins: 2000");
	unsigned turns = 0;

	assert_true(inproc_push(t.gw, one) != 0);
	look(&t);
	for (uint32_t n = 0; n < 1500; n++)
		add(&t, n, "a.allowed.com");
	assert_true(inproc_push(t.gw, other) != 0);
	for (; turns == 0 || !sl_worker_settled(t.worker); turns++) {
		uint32_t before = t.worker->pins.used;

		sl_worker_turn(t.worker);
		assert_in_range(before - t.worker->pins.used, 0, 256);
		t.sandbox = sl_worker_sandbox(t.worker, 101);
		assert_false(open_at(&t, 1499));
		assert_false(tie(&t, 1499, "a.allowed.com"));
		if (turns == 0)
			add(&t, 7, "b.allowed.com");
		assert_true(open_at(&t, 7));
	}
	assert_in_range(turns, 5, 10);
	assert_int_equal(t.worker->pins.used, 1);
	assert_int_equal(t.worker->vlans[101].pins, 1);
	assert_true(tie(&t, 7, "b.allowed.com"));
	inproc_free(t.gw);
}

/* Against a list of what should be there, through thousands of steps. */
static void pins_random_steps_agree_with_a_plain_list(void **state)
{
	struct table t = table("pins: 64, pins-per-sandbox: 40");
	struct {
		uint32_t n, name;
		uint64_t used, expires_us;
	} list[40];
	unsigned count = 0;
	uint64_t clock = 0;
	static const char *const names[] = {"a.allowed.com", "b.allowed.com", "c.allowed.com"};

	srand(1);
	for (int step = 0; step < 20000; step++) {
		uint32_t n = (uint32_t)rand() % 30, name = (uint32_t)rand() % 3;
		unsigned i;

		for (i = 0; i < count && (list[i].n != n || list[i].name != name); i++)
			;
		if (rand() % 2) {
			bool live = i < count && inproc_now_us(t.gw) < list[i].expires_us;

			assert_int_equal(tie(&t, n, names[name]), live);
			if (live)
				list[i].used = ++clock;
			continue;
		}
		if (i == count && count == 40) {
			for (unsigned k = i = 0; k < count; k++)
				if (list[k].used < list[i].used)
					i = k;
		} else if (i == count) {
			count++;
		}
		list[i].n = n;
		list[i].name = name;
		list[i].used = ++clock;
		list[i].expires_us = inproc_now_us(t.gw) + 60000000;
		add(&t, n, names[name]);
	}
	assert_int_equal(t.worker->pins.used, count);
	inproc_free(t.gw);
}

/* ---- over a restart ---- */

static bool restore(struct table *t, uint16_t vlan, uint32_t n, const char *name, uint32_t life_s,
                    uint32_t left_s)
{
	struct sl_kept_pin pin = {.vlan = vlan,
	                          .addr = address(n),
	                          .name = name,
	                          .name_len = (uint8_t)strlen(name),
	                          .life_s = life_s,
	                          .left_s = left_s};

	return sl_worker_restore_pin(t->worker, &pin);
}

static void pin_restored_has_what_was_left(void **state)
{
	struct table t = table("pins: 1000");

	assert_true(restore(&t, 101, 1, "a.allowed.com", 100, 30));
	assert_true(restore(&t, 101, 2, "a.denied.com", 100, 30));
	inproc_advance_s(t.gw, 29);
	assert_true(open_at(&t, 1));
	assert_false(open_at(&t, 2)); /* judged by the policy in force */
	inproc_advance_s(t.gw, 2);
	assert_false(open_at(&t, 1));
	assert_false(tie(&t, 1, "a.allowed.com"));
	inproc_free(t.gw);
}

static void pin_restored_and_used_has_its_whole_life_again(void **state)
{
	struct table t = table("pins: 1000");

	assert_true(restore(&t, 101, 1, "a.allowed.com", 100, 30));
	inproc_advance_s(t.gw, 29);
	assert_true(tie(&t, 1, "a.allowed.com"));
	inproc_advance_s(t.gw, 99);
	assert_true(open_at(&t, 1));
	inproc_advance_s(t.gw, 2);
	assert_false(open_at(&t, 1));
	inproc_free(t.gw);
}

/* pin-grace is 10 s here: no answer gives more than a day. */
static void pin_restored_never_lives_longer_than_an_answer_gives(void **state)
{
	struct table t = table("pins: 1000");

	assert_true(restore(&t, 101, 1, "a.allowed.com", 100, 5000));
	assert_true(restore(&t, 101, 2, "a.allowed.com", UINT32_MAX, UINT32_MAX));
	inproc_advance_s(t.gw, 101);
	assert_false(open_at(&t, 1));
	assert_true(open_at(&t, 2));
	inproc_pass_us(t.gw, (86400 - 102) * 1000000ull);
	inproc_advance_s(t.gw, 0.1);
	assert_true(tie(&t, 2, "a.allowed.com"));
	inproc_pass_us(t.gw, 86399 * 1000000ull);
	inproc_advance_s(t.gw, 0.1);
	assert_true(open_at(&t, 2));
	inproc_advance_s(t.gw, 2);
	assert_false(open_at(&t, 2));
	inproc_free(t.gw);
}

static void pins_restored_keep_the_limits(void **state)
{
	struct table t = table("pins: 1000, pins-per-sandbox: 4");

	for (uint32_t n = 1; n <= 6; n++)
		assert_true(restore(&t, 101, n, "a.allowed.com", 100, 50));
	assert_int_equal(t.worker->vlans[101].pins, 4);
	for (uint32_t n = 1; n <= 6; n++)
		assert_int_equal(open_at(&t, n), n > 2);
	assert_false(restore(&t, 103, 1, "a.allowed.com", 100, 50)); /* no such sandbox */
	inproc_free(t.gw);

	t = table("pins: 8, pins-per-sandbox: 8");
	for (uint32_t n = 1; n <= 8; n++)
		assert_true(restore(&t, 101, n, "a.allowed.com", 100, 50));
	assert_false(restore(&t, 102, 1, "a.allowed.com", 100, 50));
	assert_int_equal(t.worker->pins.used, 8);
	inproc_free(t.gw);
}

static void pins_are_not_restored_without_pinning(void **state)
{
	struct table t = table("pins: 1000");

	inproc_settings(t.gw)->pinning = SL_PINNING_OFF;
	assert_false(restore(&t, 101, 1, "a.allowed.com", 100, 50));
	assert_int_equal(t.worker->pins.used, 0);
	assert_int_equal(t.worker->names.used, 0);
	inproc_free(t.gw);
}

/* As pins_restored_*, in the order in which control does it: before the first turn. */
static void pin_restored_before_the_first_turn_stays(void **state)
{
	struct table t;

	t.gw = inproc_create(POLICY, "dns: {resolvers: [203.0.113.53]}\nlimits: {flows: 1024}\n");
	t.worker = inproc_worker(t.gw, 0);
	assert_null(t.worker->generation);
	assert_true(restore(&t, 101, 1, "a.allowed.com", 100, 50));
	look(&t);
	inproc_advance_s(t.gw, 20);
	assert_true(open_at(&t, 1));
	inproc_free(t.gw);
}

/* ---- questions ---- */

#define ROOM 100

/* Asks until the answer is whole; returns its number of turns. */
static unsigned answer(struct table *t, struct sl_ask *ask)
{
	unsigned turns = 0;

	ask->count = 0;
	atomic_store(&ask->done, false);
	assert_int_equal(rte_ring_enqueue(t->worker->params.asks, ask), 0);
	for (; !atomic_load(&ask->done); turns++) {
		uint32_t before = ask->count;

		sl_worker_turn(t->worker);
		assert_in_range(ask->count - before, 0, 64); /* no packet waits for more */
	}
	return turns;
}

static void pins_of_all_sandboxes_are_listed_with_whose_they_are(void **state)
{
	struct table t = table("pins: 10000, pins-per-sandbox: 10000");
	const struct sl_sandbox *other = sl_worker_sandbox(t.worker, 102);
	struct sl_ask_item items[ROOM];
	struct sl_ask ask = {.kind = SL_ASK_PINS, .items = items, .room = ROOM};
	unsigned seen[2] = {0}, turns = 0;

	t.worker->params.asks = rte_ring_create("asks", 4, SOCKET_ID_ANY, RING_F_SC_DEQ);
	assert_non_null(t.worker->params.asks);
	for (uint32_t n = 0; n < 250; n++) {
		add(&t, n, "a.allowed.com");
		add_for(&t, other, n, "b.allowed.com", 5);
	}
	add_for(&t, other, 250, "b.allowed.com", 5);
	do {
		turns += answer(&t, &ask);
		for (uint32_t i = 0; i < ask.count; i++) {
			bool first = items[i].vlan == 101;

			seen[first ? 0 : 1]++;
			assert_string_equal(items[i].name,
			                    first ? "a.allowed.com" : "b.allowed.com");
			assert_int_equal(items[i].life_s, first ? 60 : 10);
			assert_int_equal(items[i].incarnation, 1);
			assert_int_equal(items[i].expires_us,
			                 inproc_now_us(t.gw) + items[i].life_s * 1000000ull);
		}
	} while (ask.next != 0);
	assert_int_equal(seen[0], 250);
	assert_int_equal(seen[1], 251);
	assert_in_range(turns, 8, 20);
	/* of one sandbox alone, and what has ended is not there */
	inproc_advance_s(t.gw, 11);
	ask.vlan = 102;
	answer(&t, &ask);
	assert_int_equal(ask.count, 0);
	inproc_free(t.gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(pin_opens_its_address_and_ties_its_name),
	        cmocka_unit_test(pin_of_a_denied_name_opens_nothing),
	        cmocka_unit_test(pin_added_twice_is_one),
	        cmocka_unit_test(pin_refreshed_never_lives_less),
	        cmocka_unit_test(pin_in_use_lives_on),
	        cmocka_unit_test(pin_least_recently_used_goes_first),
	        cmocka_unit_test(pins_of_all_at_the_bound_cost_only_their_own_sandbox),
	        cmocka_unit_test(pins_of_one_address_are_told_apart),
	        cmocka_unit_test(pins_expired_are_given_back),
	        cmocka_unit_test(pins_forgotten_are_those_of_another_sandbox),
	        cmocka_unit_test(pins_of_a_sandbox_that_is_gone_open_nothing_and_go_by_and_by),
	        cmocka_unit_test(pins_random_steps_agree_with_a_plain_list),
	        cmocka_unit_test(pin_restored_has_what_was_left),
	        cmocka_unit_test(pin_restored_and_used_has_its_whole_life_again),
	        cmocka_unit_test(pin_restored_never_lives_longer_than_an_answer_gives),
	        cmocka_unit_test(pins_restored_keep_the_limits),
	        cmocka_unit_test(pins_are_not_restored_without_pinning),
	        cmocka_unit_test(pin_restored_before_the_first_turn_stays),
	        cmocka_unit_test(pins_of_all_sandboxes_are_listed_with_whose_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
