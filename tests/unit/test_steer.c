/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_steer.c: which rules a port is offered, with a simulated port: the rte_flow functions below
 * replace DPDK's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_flow.h>

#include "gateway/steer.h"

#define PORT    7
#define WORKERS 3

/* The state of the simulated card. */
static struct {
	unsigned room; /* rules that it takes */
	bool lies;     /* it validates a rule and then refuses it */
	unsigned validated, created, destroyed, flushed;
	uint16_t vlan[SL_VLAN_COUNT], queue[SL_VLAN_COUNT]; /* by the rule's number, from 1 */
	bool there[SL_VLAN_COUNT];
} card;

static struct sl_port port;
static struct sl_generation generation;
static struct sl_sandbox sandbox;
static FILE *said;

static unsigned rules(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SL_VLAN_COUNT; i++)
		n += card.there[i];
	return n;
}

/* Reads a rule, which must have the expected form; anything else ends the test. */
static void read_rule(const struct rte_flow_attr *attr, const struct rte_flow_item *pattern,
                      const struct rte_flow_action *actions, uint16_t *vlan, uint16_t *queue)
{
	const struct rte_flow_item_vlan *spec = pattern[1].spec, *mask = pattern[1].mask;

	assert_true(attr->ingress && !attr->egress && !attr->transfer);
	assert_int_equal(pattern[0].type, RTE_FLOW_ITEM_TYPE_ETH);
	assert_null(pattern[0].spec);
	assert_int_equal(pattern[1].type, RTE_FLOW_ITEM_TYPE_VLAN);
	assert_null(pattern[1].last);
	assert_int_equal(pattern[2].type, RTE_FLOW_ITEM_TYPE_END);
	assert_int_equal(mask->tci, RTE_BE16(0x0fff));
	assert_int_equal(mask->inner_type, 0);
	assert_int_equal(actions[0].type, RTE_FLOW_ACTION_TYPE_QUEUE);
	assert_int_equal(actions[1].type, RTE_FLOW_ACTION_TYPE_END);
	*vlan = rte_be_to_cpu_16(spec->tci);
	*queue = ((const struct rte_flow_action_queue *)actions[0].conf)->index;
}

int rte_flow_validate(uint16_t port_id, const struct rte_flow_attr *attr,
                      const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
                      struct rte_flow_error *error)
{
	uint16_t vlan, queue;

	assert_int_equal(port_id, PORT);
	read_rule(attr, pattern, actions, &vlan, &queue);
	card.validated++;
	if (rules() < card.room)
		return 0;
	return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM, NULL, "no room");
}

struct rte_flow *rte_flow_create(uint16_t port_id, const struct rte_flow_attr *attr,
                                 const struct rte_flow_item pattern[],
                                 const struct rte_flow_action actions[],
                                 struct rte_flow_error *error)
{
	unsigned rule = card.created + 1;

	assert_int_equal(port_id, PORT);
	assert_true(card.validated > card.created); /* it was asked first */
	if (card.lies) {
		rte_flow_error_set(error, ENOSPC, RTE_FLOW_ERROR_TYPE_HANDLE, NULL, NULL);
		return NULL;
	}
	card.created = rule;
	read_rule(attr, pattern, actions, &card.vlan[rule], &card.queue[rule]);
	card.there[rule] = true;
	return (struct rte_flow *)(uintptr_t)rule;
}

int rte_flow_destroy(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error)
{
	(void)error;
	assert_int_equal(port_id, PORT);
	assert_true(card.there[(uintptr_t)flow]);
	card.there[(uintptr_t)flow] = false;
	card.destroyed++;
	return 0;
}

int rte_flow_flush(uint16_t port_id, struct rte_flow_error *error)
{
	(void)error;
	assert_int_equal(port_id, PORT);
	memset(card.there, 0, sizeof(card.there));
	card.flushed++;
	return 0;
}

/* ---- the tests ---- */

static int begin(void **state)
{
	(void)state;
	memset(&card, 0, sizeof(card));
	memset(&generation, 0, sizeof(generation));
	card.room = SL_VLAN_COUNT;
	port = (struct sl_port){
	        .role = SL_PORT_UPLINK, .dev = "0000:3b:00.1", .id = PORT, .rx_queues = WORKERS};
	/* not the worker's own number, so that mixing up the two is noticed */
	for (unsigned w = 0; w < WORKERS; w++)
		port.queues[w] =
		        (struct sl_port_queues){.rx = {(uint16_t)(WORKERS - 1 - w)}, .rx_count = 1};
	said = tmpfile();
	assert_non_null(said);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	return fclose(said);
}

static void sandboxes(uint16_t from, uint16_t to, bool there)
{
	for (uint16_t vlan = from; vlan <= to; vlan++)
		generation.sandboxes[vlan] = there ? &sandbox : NULL;
}

/* One call, and how many lines of the log have this text. */
static unsigned steer(unsigned workers, const char *text)
{
	int saved = dup(STDERR_FILENO);
	char line[512];
	unsigned n = 0;

	rewind(said);
	assert_int_equal(ftruncate(fileno(said), 0), 0);
	dup2(fileno(said), STDERR_FILENO);
	sl_steer_port(&port, &generation, workers);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(said);
	while (fgets(line, sizeof(line), said) != NULL)
		n += strstr(line, text) != NULL;
	return n;
}

static void every_sandbox_goes_to_the_queue_of_its_worker(void **state)
{
	(void)state;
	sandboxes(1, 10, true);
	sandboxes(SL_VLAN_MAX, SL_VLAN_MAX, true);
	assert_int_equal(steer(WORKERS, "port uplink (0000:3b:00.1) steers VLANs"), 1);
	assert_int_equal(rules(), 11);
	for (unsigned i = 1; i <= 11; i++) {
		uint16_t vlan = (uint16_t)(i <= 10 ? i : SL_VLAN_MAX);

		assert_int_equal(card.vlan[i], vlan);
		assert_int_equal(card.queue[i], WORKERS - 1 - sl_worker_of_vlan(vlan, WORKERS));
	}
	assert_int_equal(steer(WORKERS, "port"), 0);
	assert_int_equal(card.created, 11); /* nothing is offered twice */
}

static void push_adds_and_takes_back(void **state)
{
	(void)state;
	sandboxes(101, 110, true);
	steer(WORKERS, "");
	sandboxes(101, 103, false);
	sandboxes(111, 112, true);
	assert_int_equal(steer(WORKERS, "port"), 0);
	assert_int_equal(card.destroyed, 3);
	assert_int_equal(card.created, 12);
	assert_int_equal(rules(), 9);
	sandboxes(101, 101, true);
	steer(WORKERS, "");
	assert_int_equal(card.created, 13);
}

static void port_that_refuses_is_asked_once(void **state)
{
	(void)state;
	card.room = 0;
	sandboxes(101, 200, true);
	assert_int_equal(steer(WORKERS, "does not steer VLANs to queues (no room)"), 1);
	assert_int_equal(steer(WORKERS, "port"), 0);
	assert_int_equal(card.validated, 1);
	assert_int_equal(card.created, 0);
	sl_steer_end(&port);
	assert_int_equal(card.flushed, 0);
}

static void full_port_keeps_what_it_has(void **state)
{
	(void)state;
	card.room = 4;
	sandboxes(101, 110, true);
	assert_int_equal(steer(WORKERS, "takes no more rules that steer VLANs to queues"), 1);
	assert_int_equal(rules(), 4);
	sandboxes(101, 101, false);
	assert_int_equal(steer(WORKERS, "port"), 0);
	assert_int_equal(rules(), 3); /* the rule of a removed sandbox is removed */
	assert_int_equal(card.validated, 5);
	sl_steer_end(&port);
	assert_int_equal(card.flushed, 1);
}

static void rule_that_is_good_and_not_taken_is_a_refusal(void **state)
{
	(void)state;
	card.lies = true;
	sandboxes(101, 110, true);
	assert_int_equal(steer(WORKERS, "does not steer VLANs to queues (no rte_flow rules)"), 1);
	assert_int_equal(card.validated, 1);
	assert_null(port.rule[101]);
}

static void one_worker_needs_no_rules(void **state)
{
	(void)state;
	sandboxes(101, 110, true);
	assert_int_equal(steer(1, "port"), 0);
	assert_int_equal(card.validated, 0);
}

static void port_with_fewer_queues_than_workers_is_not_asked(void **state)
{
	(void)state;
	port.rx_queues = WORKERS - 1;
	sandboxes(101, 110, true);
	assert_int_equal(steer(WORKERS, "fewer rx queues"), 1);
	assert_int_equal(steer(WORKERS, "port"), 0);
	assert_int_equal(card.validated, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
	        T(every_sandbox_goes_to_the_queue_of_its_worker),
	        T(push_adds_and_takes_back),
	        T(port_that_refuses_is_asked_once),
	        T(full_port_keeps_what_it_has),
	        T(rule_that_is_good_and_not_taken_is_a_refusal),
	        T(one_worker_needs_no_rules),
	        T(port_with_fewer_queues_than_workers_is_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
