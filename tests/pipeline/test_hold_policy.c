/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hold_policy.c: policies that change while a connection is on hold or just judged.
 */
#include "hold_scene.h"

/* "A flow on hold is judged by the newest generation when its hello is complete." */
static void policy_that_adds_the_name_on_hold_allows_it(void **state)
{
	struct conn c = opened();

	expect(first_half(&c, &evil), SL_REASON_NONE);
	inproc_push(c.gw, "sandboxes: [{vlan: 101, policy: {allow: [evil.example]}}]");
	inproc_advance_s(c.gw, 1);
	expect(second_half(&c, &evil), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, evil.bytes, evil.len);
	inproc_free(c.gw);
}

static void policy_that_drops_the_name_on_hold_denies_it(void **state)
{
	struct conn c = opened();

	expect(first_half(&c, &good), SL_REASON_NONE);
	inproc_push(c.gw, "sandboxes: [{vlan: 101, policy: {allow: [other.example]}}]");
	expect(second_half(&c, &good), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A policy that opens the address lets out what is on hold, as it is, and judges no name. */
static void policy_that_opens_the_address_releases_the_hold(void **state)
{
	struct conn c = opened(), opening = c;

	expect(client(&c, 0, "not TLS at all", 0), SL_REASON_NONE);
	expect(first_half(&c, &evil), SL_REASON_NONE);
	opening.sport++;
	SEND(&opening, CLIENT, .flags = TCP_SYN);
	inproc_push(c.gw, "sandboxes: [{vlan: 101, policy: {allow: [good.example],"
	                  " subnets: {allow: [198.51.100.0/24]}}}]");
	inproc_advance_s(c.gw, 1);
	expect_server_sees(&c, evil.bytes, HALF);
	assert_int_equal(inproc_held(c.gw), 0);
	assert_int_equal(count_of(c.gw, SL_REASON_SUBNET_ALLOWED), 1);
	expect(client(&c, HALF, "anything", 8), SL_REASON_SUBNET_ALLOWED);
	expect(server(&c, 0, HALF + 8, "back", 4), SL_REASON_SUBNET_ALLOWED);
	/* and one that has not got its SYN/ACK yet goes on as well */
	expect(SEND(&opening, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_SUBNET_ALLOWED);
	expect(client(&opening, 0, "plain", 5), SL_REASON_SUBNET_ALLOWED);
	inproc_free(c.gw);
}

/* allow-all likewise. */
static void policy_allow_all_releases_the_hold(void **state)
{
	struct conn c = opened();

	expect(first_half(&c, &evil), SL_REASON_NONE);
	inproc_push(c.gw, "sandboxes: [{vlan: 101}]");
	expect(second_half(&c, &evil), SL_REASON_ALLOW_ALL);
	expect_server_sees(&c, evil.bytes, evil.len);
	inproc_free(c.gw);
}

/* One that closes the address cuts the flow, with what it holds. */
static void policy_that_closes_the_address_cuts_the_hold(void **state)
{
	static const char *const policies[] = {
	        "sandboxes: [{vlan: 101, policy: deny-all}]",
	        "sandboxes: [{vlan: 101, policy: {allow: [good.example],"
	        " subnets: {deny: [198.51.100.0/24]}}}]",
	        "sandboxes: [{vlan: 101, policy: {subnets: {allow: [203.0.113.0/24]}}}]",
	        "sandboxes: []",
	};

	for (size_t i = 0; i < COUNT(policies); i++) {
		struct conn c = opened();

		row(policies[i]);
		expect(first_half(&c, &good), SL_REASON_NONE);
		assert_int_not_equal(inproc_push(c.gw, policies[i]), 0);
		inproc_clear(c.gw);
		inproc_advance_s(c.gw, 1);
		expect_ended(&c, SL_REASON_POLICY_CHANGED);
		expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 1, c.irs + 1);
		expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 1, c.iss + 1);
		assert_int_equal(count_of(c.gw, SL_REASON_POLICY_CHANGED), 1);
		client(&c, 0, good.bytes, good.len);
		expect_server_sees_nothing(&c);
		inproc_free(c.gw);
	}
}

/* Between verdict and acknowledgement the flow has a name, and is judged by it. */
static void policy_that_changes_before_the_acknowledgement_judges_the_name(void **state)
{
	struct conn c = judged();

	inproc_push(c.gw,
	            "sandboxes: [{vlan: 101, policy: {allow: ['good.example', 'x.example']}}]");
	inproc_advance_s(c.gw, 1);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_push(c.gw, "sandboxes: [{vlan: 101, policy: {allow: ['x.example']}}]");
	inproc_clear(c.gw);
	inproc_advance_s(c.gw, 1);
	expect_ended(&c, SL_REASON_POLICY_CHANGED);
	expect_event_name(inproc_event_last(c.gw), ALLOWED);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_POLICY_CHANGED);
	inproc_free(c.gw);
}

/* A flow whose address needs no name any more is looked into no further. */
static void policy_that_becomes_allow_all_ends_the_hold(void **state)
{
	struct conn c = judged();

	inproc_push(c.gw, "sandboxes: [{vlan: 101}]");
	inproc_advance_s(c.gw, 1);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	last_event(c.gw, true, SL_REASON_ALLOW_ALL);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_ALLOW_ALL);
	expect(SEND(&c, SERVER, .ack = (int64_t)good.len), SL_REASON_ALLOW_ALL);
	expect(after(&c, 0, "more", 4), SL_REASON_ALLOW_ALL);
	inproc_free(c.gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(policy_that_adds_the_name_on_hold_allows_it),
	        TEST(policy_that_drops_the_name_on_hold_denies_it),
	        TEST(policy_that_opens_the_address_releases_the_hold),
	        TEST(policy_allow_all_releases_the_hold),
	        TEST(policy_that_closes_the_address_cuts_the_hold),
	        TEST(policy_that_changes_before_the_acknowledgement_judges_the_name),
	        TEST(policy_that_becomes_allow_all_ends_the_hold),
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
