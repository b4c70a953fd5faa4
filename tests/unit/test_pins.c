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

#include "inproc.h"
#include "judge/pins.h"
#include "core/state.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
