/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_answers.c: which DNS answers over UDP are believed, and what of them reaches the
 * sandbox.
 */
#include "dns_lab.h"

static void answer_comes_with_the_sandboxes_own_id_and_case(void **state)
{
	struct inproc *gw = lab_gateway();
	const struct packet_view *view;
	uint8_t expect[512];
	size_t len;

	lab_asked(gw, "wWw.eXample.coM", DNS_A);
	lab_answer(gw, DNS_AA);
	dns_address(&lab_msg, DNS_ANSWER, "@12", "198.51.100.7", 1234567);
	len = lab_msg.len;
	memcpy(expect, lab_msg.bytes, len);
	expect[0] = LAB_ID >> 8;
	expect[1] = LAB_ID & 0xff;
	memcpy(expect + 12, "\3wWw\7eXample\3coM", 17);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	view = lab_last(gw, SL_PORT_SANDBOX); /* checksums are right */
	assert_int_equal(view->payload_len, len);
	assert_memory_equal(view->payload, expect, len);
	inproc_free(gw);
}

static void answer_is_believed_once(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "www.example.com", DNS_A);
	lab_answer(gw, 0);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	expect(lab_reply(gw), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 1);
	inproc_free(gw);
}

static void answer_from_elsewhere_is_dropped(void **state)
{
	static const struct {
		const char *what;
		struct lab_from to;
	} rows[] = {
	        {"another resolver", {LAB_VLAN, LAB_CLIENT, "203.0.113.54", LAB_SPORT}},
	        {"another port", {LAB_VLAN, LAB_CLIENT, LAB_RESOLVER, LAB_SPORT + 1}},
	        {"another VLAN", {102, LAB_CLIENT, LAB_RESOLVER, LAB_SPORT}},
	};
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "www.example.com", DNS_A);
	lab_answer(gw, 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		row(rows[i].what);
		expect(lab_reply_to(gw, &rows[i].to), SL_REASON_NO_FLOW);
	}
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 0);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	inproc_free(gw);
}

static void answer_with_wrong_id_question_or_case_is_dropped(void **state)
{
	static const struct {
		const char *what;
		size_t at; /* the byte that is changed: what is kept of it, what is flipped */
		uint8_t keep, flip;
		enum sl_reason reason;
	} rows[] = {
	        {"another id", 1, 0xff, 1, SL_REASON_NO_FLOW},
	        {"one letter in the other case", 13, 0xff, 0x20, SL_REASON_NO_FLOW},
	        {"another letter", 13, 0, 'v', SL_REASON_NO_FLOW},
	        {"another type", 30, 0, DNS_AAAA, SL_REASON_NO_FLOW},
	        {"a query", 2, 0x7f, 0, SL_REASON_MALFORMED_DNS},
	};
	struct inproc *gw = lab_gateway();
	uint8_t query[64];

	lab_asked_kept(gw, "www.example.com", DNS_A, query);
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t *byte = &lab_msg.bytes[rows[i].at];

		row(rows[i].what);
		lab_answer_to(query, 0);
		*byte = (*byte & rows[i].keep) ^ rows[i].flip;
		expect(lab_reply(gw), rows[i].reason);
	}
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 0);
	lab_answer_to(query, 0);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	inproc_free(gw);
}

static void answer_broken_is_dropped_and_counts(void **state)
{
	struct inproc *gw = lab_gateway();
	uint8_t query[64];

	lab_asked_kept(gw, "www.example.com", DNS_A, query);
	for (int i = 0; i < 8; i++) {
		lab_answer_to(query, 0);
		dns_address(&lab_msg, DNS_ANSWER, "@12", "198.51.100.7", 60);
		lab_msg.len -= 1;
		expect(lab_reply(gw), SL_REASON_MALFORMED_DNS);
	}
	lab_answer_to(query, 0);
	expect(lab_reply(gw), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 0);
	inproc_free(gw);
}

static void answer_after_seven_mismatches_is_believed_after_eight_not(void **state)
{
	for (int mismatches = 7; mismatches <= 8; mismatches++) {
		struct inproc *gw = lab_gateway();
		uint8_t query[64];

		lab_asked_kept(gw, "www.example.com", DNS_A, query);
		for (int i = 0; i < mismatches; i++) {
			lab_answer_to(query, 0);
			lab_msg.bytes[0] ^= (uint8_t)(i + 1);
			expect(lab_reply(gw), SL_REASON_NO_FLOW);
		}
		lab_answer_to(query, 0);
		assert_int_equal(lab_reply(gw),
		                 mismatches == 7 ? SL_REASON_DNS_ALLOWED : SL_REASON_NO_FLOW);
		inproc_free(gw);
	}
}

static void answer_that_is_late_is_dropped(void **state)
{
	struct inproc *gw = lab_gateway();
	uint8_t query[64];

	lab_asked_kept(gw, "www.example.com", DNS_A, query);
	inproc_advance_s(gw, 6);
	/* another query keeps the flow, not the first one's time */
	lab_asked(gw, "x.example.org", DNS_A);
	inproc_advance_s(gw, 5);
	lab_answer_to(query, 0);
	expect(lab_reply(gw), SL_REASON_NO_FLOW);
	lab_answer(gw, 0);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	inproc_free(gw);
}

static void answer_truncated_passes(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "www.example.com", DNS_A);
	lab_answer(gw, DNS_TC);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	assert_true(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload + 2) & DNS_TC);
	inproc_free(gw);
}

/* `mix-case: false`, for a resolver that answers in its own letter case. */
static void letter_case_is_left_alone_without_mix_case(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, "dns: {resolvers: [203.0.113.53], mix-case: false}\n");
	const struct packet_view *view;

	for (int i = 0; i < 20; i++) {
		inproc_clear(gw);
		lab_asked(gw, "wWw.eXample.com", DNS_A);
		view = lab_last(gw, SL_PORT_UPLINK);
		assert_memory_equal(view->payload + 12, "\3wWw\7eXample\3com", 17);
		lab_answer(gw, 0);
		memcpy(lab_msg.bytes + 12, "\3WWW\7EXAMPLE\3com", 17);
		dns_address(&lab_msg, DNS_ANSWER, "@12", "198.51.100.7", 60);
		expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
		view = lab_last(gw, SL_PORT_SANDBOX);
		assert_int_equal(lab_get16(view->payload), LAB_ID);
		assert_memory_equal(view->payload + 12, "\3wWw\7eXample\3com", 17);
	}
	assert_int_equal(inproc_stats(gw, 0)->pins, 1);
	/* another name is still a mismatch */
	lab_asked(gw, "www.example.com", DNS_A);
	lab_answer(gw, 0);
	lab_msg.bytes[13] ^= 1;
	expect(lab_reply(gw), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_stats(gw, 0)->own_case[0], 0);
	inproc_free(gw);
}

static void answer_in_its_own_case_is_refused_and_counted(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "www.example.com", DNS_A);
	lab_answer(gw, 0);
	for (size_t at = 12; at < 29; at++)
		if (lab_msg.bytes[at] > 63)
			lab_msg.bytes[at] ^= 0x20;
	expect(lab_reply(gw), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_stats(gw, 0)->own_case[0], 1);
	/* what is another question altogether is not counted */
	lab_msg.bytes[13] ^= 1;
	expect(lab_reply(gw), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_stats(gw, 0)->own_case[0], 1);
	inproc_free(gw);
}

/* The FORMERR of servers that cannot read a query does not repeat the question. */
static void formerr_of_a_bare_header_reaches_who_asked(void **state)
{
	struct inproc *gw = lab_gateway();
	uint16_t sent;

	lab_asked(gw, "www.example.com", DNS_A);
	sent = lab_get16(lab_last(gw, SL_PORT_UPLINK)->payload);
	dns_begin(&lab_msg, sent ^ 1, DNS_QR | DNS_RD | 1);
	expect(lab_reply(gw), SL_REASON_NO_FLOW);
	dns_begin(&lab_msg, sent, DNS_QR | DNS_RD | 2); /* SERVFAIL has a question */
	expect(lab_reply(gw), SL_REASON_NO_FLOW);
	dns_begin(&lab_msg, sent, DNS_QR | DNS_RD | 1);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_SANDBOX)->payload_len, 12);
	assert_int_equal(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload), LAB_ID);
	expect(lab_reply(gw), SL_REASON_NO_FLOW); /* once */
	inproc_free(gw);
}

/* The query leaves at the priority at which the sandbox sent it. */
static void query_leaves_at_the_sandboxes_priority(void **state)
{
	struct inproc *gw = lab_gateway();
	struct packet packet;

	for (int six = 0; six < 2; six++) {
		const struct packet_view *view;

		lab_query(LAB_ID, "www.example.com", DNS_A);
		packet = UDP(.vlan = LAB_VLAN, .tci = PKT_SET(6 << 13 | LAB_VLAN), .tos = 0x2f,
		             .src = six ? LAB_CLIENT6 : LAB_CLIENT,
		             .dst = six ? LAB_RESOLVER6 : LAB_RESOLVER, .sport = LAB_SPORT,
		             .dport = 53, .payload = lab_msg.bytes, .payload_len = lab_msg.len);
		expect(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_DNS_ALLOWED);
		view = lab_last(gw, SL_PORT_UPLINK);
		assert_int_equal(view->tci, 6 << 13 | LAB_VLAN);
		assert_int_equal(six ? (view->ip[0] & 15) << 4 | view->ip[1] >> 4 : view->ip[1],
		                 0x2c);
	}
	inproc_free(gw);
}

static void answer_that_fails_passes(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "www.example.com", DNS_A);
	lab_answer(gw, 3);
	dns_soa(&lab_msg, "example.com", 300);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload + 2) & 15, 3);
	inproc_free(gw);
}

static void answer_in_a_chain_of_mbufs_is_put_back_too(void **state)
{
	for (uint32_t segment = 44; segment < 90; segment += 2) {
		struct inproc *gw = inproc_create_with(&(struct inproc_options){
		        .policy = LAB_POLICY,
		        .config = LAB_CONFIG,
		        .dns_rewrite = true,
		        .checksums_full = true,
		        .segment = segment,
		});
		const struct packet_view *view;

		lab_asked(gw, "wWw.example.com", DNS_A);
		lab_answer(gw, 0);
		dns_address(&lab_msg, DNS_ANSWER, "@12", "198.51.100.7", 60);
		for (int i = 0; i < 10; i++)
			dns_record(&lab_msg, DNS_ANSWER, "@12", 16, 60, "\15thirteen byte", 14);
		expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
		view = lab_last(gw, SL_PORT_SANDBOX);
		assert_int_equal(view->payload_len, lab_msg.len);
		assert_int_equal(lab_get16(view->payload), LAB_ID);
		assert_memory_equal(view->payload + 12, "\3wWw\7example\3com", 17);
		assert_memory_equal(view->payload + 29, lab_msg.bytes + 29, lab_msg.len - 29);
		inproc_free(gw);
	}
}

static void answer_without_checksum_stays_without(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "www.example.com", DNS_A);
	lab_answer(gw, 0);
	struct packet packet =
	        UDP(.smac = PKT_MAC_OUTER, .dmac = PKT_MAC_INNER, .vlan = LAB_VLAN,
	            .src = LAB_RESOLVER, .dst = LAB_CLIENT, .sport = 53, .dport = LAB_SPORT,
	            .l4_csum = PKT_SET(0), .payload = lab_msg.bytes, .payload_len = lab_msg.len);
	expect(inproc_send(gw, SL_PORT_UPLINK, &packet), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_get16(inproc_last(gw, SL_PORT_SANDBOX)->view.l4 + 6), 0);
	assert_int_equal(lab_get16(inproc_last(gw, SL_PORT_SANDBOX)->view.payload), LAB_ID);
	inproc_free(gw);
}

static void answer_for_a_name_no_longer_allowed_is_dropped(void **state)
{
	struct inproc *gw = lab_gateway();
	uint8_t kept[64], lost[64];

	lab_asked_kept(gw, "x.example.org", DNS_A, lost);
	lab_asked_kept(gw, "www.example.com", DNS_A, kept);
	assert_true(inproc_push(gw, "sandboxes: [{vlan: 101, policy: {allow: "
	                            "[www.example.com]}}]") != 0);
	lab_answer_to(kept, 0);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	lab_answer_to(lost, 0);
	dns_address(&lab_msg, DNS_ANSWER, "@12", "198.51.100.7", 60);
	expect(lab_reply(gw), SL_REASON_POLICY_CHANGED);
	assert_int_equal(inproc_stats(gw, 0)->pins, 0);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 1);
	inproc_free(gw);
}

static void answer_after_the_resolver_was_opened_is_put_back(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "www.example.com", DNS_A);
	lab_answer(gw, 0);
	assert_true(inproc_push(gw, "sandboxes: [{vlan: 101, policy: {subnets: {allow: "
	                            "[203.0.113.0/24]}}}]") != 0);
	expect(lab_reply(gw), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload), LAB_ID);
	/* rule 2 does not inspect */
	expect(lab_send(gw, &lab_client, "no DNS", 6), SL_REASON_SUBNET_ALLOWED);
	assert_true(packet_view_says(lab_last(gw, SL_PORT_UPLINK), "no DNS"));
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(answer_comes_with_the_sandboxes_own_id_and_case),
	        cmocka_unit_test(answer_is_believed_once),
	        cmocka_unit_test(answer_from_elsewhere_is_dropped),
	        cmocka_unit_test(answer_with_wrong_id_question_or_case_is_dropped),
	        cmocka_unit_test(answer_broken_is_dropped_and_counts),
	        cmocka_unit_test(answer_after_seven_mismatches_is_believed_after_eight_not),
	        cmocka_unit_test(answer_that_is_late_is_dropped),
	        cmocka_unit_test(answer_truncated_passes),
	        cmocka_unit_test(letter_case_is_left_alone_without_mix_case),
	        cmocka_unit_test(answer_in_its_own_case_is_refused_and_counted),
	        cmocka_unit_test(formerr_of_a_bare_header_reaches_who_asked),
	        cmocka_unit_test(query_leaves_at_the_sandboxes_priority),
	        cmocka_unit_test(answer_that_fails_passes),
	        cmocka_unit_test(answer_in_a_chain_of_mbufs_is_put_back_too),
	        cmocka_unit_test(answer_without_checksum_stays_without),
	        cmocka_unit_test(answer_for_a_name_no_longer_allowed_is_dropped),
	        cmocka_unit_test(answer_after_the_resolver_was_opened_is_put_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
