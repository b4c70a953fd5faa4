/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns.c: which DNS queries over UDP leave, in which form, and how others are answered (spec
 * section 4).
 */
#include "dns_lab.h"

#define REFUSED_TEXT "dns-name-not-allowed"

#define DENIED "secret.example.net"

static const struct lab_from client6 = {LAB_VLAN, LAB_CLIENT6, LAB_RESOLVER6, LAB_SPORT};

static struct lab_from to(const char *resolver)
{
	return (struct lab_from){LAB_VLAN, LAB_CLIENT, resolver, LAB_SPORT};
}

static enum sl_reason ask_at(struct inproc *gw, const char *resolver, const char *name)
{
	struct lab_from from = to(resolver);

	return lab_ask_from(gw, &from, LAB_ID, name, DNS_A);
}

static enum sl_reason syn_to(struct inproc *gw, const char *resolver)
{
	struct packet syn = TCP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = resolver,
	                        .sport = LAB_SPORT, .dport = 53, .flags = TCP_SYN, .seq = 1000);

	return inproc_send(gw, SL_PORT_SANDBOX, &syn);
}

/* ---- which resolver ---- */

static void resolver_in_internal_or_protected_range_is_reached(void **state)
{
	struct inproc *gw = lab_create(
	        LAB_POLICY,
	        "dns: {resolvers: [10.9.9.9, 198.18.0.53]}\nprotected: [198.18.0.0/15]\n");

	expect(ask_at(gw, "10.9.9.9", "www.example.com"), SL_REASON_DNS_ALLOWED);
	expect(ask_at(gw, "198.18.0.53", "www.example.com"), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 2);
	expect(ask_at(gw, "198.18.0.53", DENIED), SL_REASON_DNS_NAME_NOT_ALLOWED);
	/* for DNS alone */
	struct packet other = UDP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = "10.9.9.9",
	                          .sport = 1, .dport = 54, PKT_TEXT("x"));
	expect(inproc_send(gw, SL_PORT_SANDBOX, &other), SL_REASON_INTERNAL_SUBNET);
	inproc_free(gw);
}

static void resolver_in_denied_subnet_is_refused(void **state)
{
	struct inproc *gw =
	        lab_create("sandboxes: [{vlan: 101, policy: {allow: ['*'], subnets: {deny: "
	                   "[203.0.113.53/32]}}}]",
	                   "dns: {resolvers: [203.0.113.53, 203.0.113.54]}");

	expect(ask_at(gw, "203.0.113.54", "a.b"), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	expect(ask_at(gw, "203.0.113.53", "a.b"), SL_REASON_SUBNET_DENIED);
	expect(syn_to(gw, "203.0.113.53"), SL_REASON_SUBNET_DENIED);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	inproc_free(gw);
}

static void resolver_in_allowed_subnet_is_not_looked_at(void **state)
{
	struct inproc *gw = lab_create("sandboxes: [{vlan: 101, policy: {allow: [a.b], subnets: "
	                               "{allow: [203.0.113.0/24]}}}]",
	                               LAB_CONFIG);

	expect(ask_at(gw, LAB_RESOLVER, DENIED), SL_REASON_SUBNET_ALLOWED);
	expect(ask_at(gw, "203.0.113.99", DENIED), SL_REASON_SUBNET_ALLOWED);
	expect(lab_send(gw, &lab_client, "no DNS", 6), SL_REASON_SUBNET_ALLOWED);
	assert_true(packet_view_says(lab_last(gw, SL_PORT_UPLINK), "no DNS"));
	inproc_free(gw);
}

static void resolver_in_allowed_and_protected_range_is_gated(void **state)
{
	struct inproc *gw =
	        lab_create("sandboxes: [{vlan: 101, policy: {allow: [a.b], subnets: {allow: "
	                   "[198.18.0.0/15]}}}]",
	                   "dns: {resolvers: [198.18.0.53]}\nprotected: [198.18.0.0/15]\n");

	expect(ask_at(gw, "198.18.0.53", "a.b"), SL_REASON_DNS_ALLOWED);
	expect(ask_at(gw, "198.18.0.53", DENIED), SL_REASON_DNS_NAME_NOT_ALLOWED);
	inproc_free(gw);
}

static void resolver_not_configured_is_refused(void **state)
{
	struct inproc *gw = lab_gateway();
	const struct sl_event *event;

	expect(ask_at(gw, LAB_RESOLVER, "www.example.com"), SL_REASON_DNS_ALLOWED);
	inproc_clear(gw);
	expect(ask_at(gw, "192.0.2.53", "www.example.com"), SL_REASON_DNS_RESOLVER_NOT_ALLOWED);
	event = lab_event(gw);
	assert_int_equal(event->reason, SL_REASON_DNS_RESOLVER_NOT_ALLOWED);
	assert_false(event->allow);
	expect(syn_to(gw, "192.0.2.53"), SL_REASON_DNS_RESOLVER_NOT_ALLOWED);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 2); /* answered both */
	inproc_free(gw);
}

static void resolver_under_subnets_without_patterns_is_refused(void **state)
{
	struct inproc *gw = lab_create(
	        "sandboxes: [{vlan: 101, policy: {subnets: {allow: [198.51.100.0/24]}}}]",
	        LAB_CONFIG);

	expect(ask_at(gw, "198.51.100.53", DENIED), SL_REASON_SUBNET_ALLOWED);
	expect(ask_at(gw, LAB_RESOLVER, "a.b"), SL_REASON_ADDRESS_NOT_ALLOWED);
	inproc_free(gw);
}

static void resolver_under_allow_all_is_reached_where_it_lies(void **state)
{
	struct inproc *gw = lab_create("sandboxes: [{vlan: 101}]", "dns: {resolvers: [10.9.9.9]}");

	expect(ask_at(gw, "10.9.9.9", DENIED), SL_REASON_DNS_ALLOWED);
	expect(ask_at(gw, "192.0.2.53", DENIED), SL_REASON_ALLOW_ALL);
	expect(ask_at(gw, "10.9.9.8", DENIED), SL_REASON_INTERNAL_SUBNET);
	inproc_free(gw);
}

static void resolver_any_is_every_public_one(void **state)
{
	struct inproc *gw = lab_create(LAB_POLICY, "dns: {resolvers: any, pinning: 'off'}");

	expect(ask_at(gw, "192.0.2.53", "www.example.com"), SL_REASON_DNS_ALLOWED);
	expect(ask_at(gw, "192.0.2.54", DENIED), SL_REASON_DNS_NAME_NOT_ALLOWED);
	expect(ask_at(gw, "10.9.9.9", "www.example.com"), SL_REASON_INTERNAL_SUBNET);
	inproc_free(gw);
}

static void resolver_under_deny_all_is_not_reached(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "www.example.com", DNS_A);
	assert_true(inproc_push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]") != 0);
	inproc_advance_s(gw, 1);
	expect(lab_ask(gw, "www.example.com", DNS_A), SL_REASON_DENY_ALL);
	inproc_free(gw);
}

/* ---- queries ---- */

static void query_leaves_rebuilt(void **state)
{
	struct inproc *gw = lab_gateway();
	const uint8_t cookie[12] = {0, 10, 0, 8, 'c', 'h', 'a', 'n', 'n', 'e', 'l', '!'};
	const struct packet_view *view;
	const uint8_t *q;

	dns_begin(&lab_msg, LAB_ID, DNS_RD | DNS_AD | DNS_CD);
	dns_question(&lab_msg, "wWw.eXample.coM", DNS_AAAA);
	dns_opt(&lab_msg, 4096, 0x8000, cookie, sizeof(cookie));
	expect(lab_send(gw, &lab_client, lab_msg.bytes, lab_msg.len), SL_REASON_DNS_ALLOWED);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
	view = lab_last(gw, SL_PORT_UPLINK);
	assert_string_equal(view->src_text, LAB_CLIENT);
	assert_string_equal(view->dst_text, LAB_RESOLVER);
	assert_int_equal(view->sport, LAB_SPORT);
	assert_int_equal(view->dport, 53);
	assert_int_equal(view->tci & 0xfff, LAB_VLAN);
	assert_int_equal(view->ttl, 64);
	assert_int_equal(view->trailer_len, 0);
	q = view->payload;
	assert_int_equal(lab_get16(q + 2), DNS_RD | DNS_AD | DNS_CD);
	assert_int_equal(lab_get16(q + 4), 1);
	assert_int_equal(lab_get16(q + 10), 1);
	assert_int_equal(view->payload_len, 12 + 17 + 4 + 11);
	assert_true(strncasecmp((const char *)q + 13, "www", 3) == 0);
	assert_true(strncasecmp((const char *)q + 17, "example", 7) == 0);
	assert_int_equal(lab_get16(q + 29), DNS_AAAA);
	/* the gateway's own OPT: root, 41, 1232 bytes, DO as asked, no options */
	assert_memory_equal(q + 33, "\0\0\x29\x04\xd0\0\0\x80\0\0\0", 11);
	assert_false(inproc_left(gw, SL_PORT_UPLINK, "channel!", 8));
	inproc_free(gw);
}

static void query_without_opt_leaves_without(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "www.example.com", DNS_A);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->payload_len, 12 + 17 + 4);
	inproc_free(gw);
}

static void query_id_and_case_are_drawn(void **state)
{
	struct inproc *gw = lab_gateway();
	unsigned same_id = 0, same_case = 0, last_id = 0x10000;
	uint8_t last_name[17] = {0};

	for (uint16_t i = 0; i < 200; i++) {
		struct lab_from from = lab_client;
		const uint8_t *q;

		from.sport = (uint16_t)(30000 + i);
		expect(lab_ask_from(gw, &from, LAB_ID, "www.example.com", DNS_A),
		       SL_REASON_DNS_ALLOWED);
		q = lab_last(gw, SL_PORT_UPLINK)->payload;
		same_id += lab_get16(q) == last_id;
		same_case += memcmp(q + 12, last_name, 17) == 0;
		last_id = lab_get16(q);
		memcpy(last_name, q + 12, 17);
	}
	assert_true(same_id <= 2);
	assert_true(same_case <= 3); /* 13 letters */
	inproc_free(gw);
}

static void query_in_replay_keeps_id_and_case(void **state)
{
	struct inproc *gw = inproc_create_with(
	        &(struct inproc_options){.policy = LAB_POLICY, .config = LAB_CONFIG});
	const uint8_t *q;

	lab_asked(gw, "wWw.Example.com", DNS_A);
	q = lab_last(gw, SL_PORT_UPLINK)->payload;
	assert_int_equal(lab_get16(q), LAB_ID);
	assert_memory_equal(q + 12, "\3wWw\7Example\3com", 17);
	lab_answer(gw, 0);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	inproc_free(gw);
}

static void query_over_ipv6_is_judged_alike(void **state)
{
	struct inproc *gw = lab_gateway();

	expect(lab_ask_from(gw, &client6, 7, "x.example.org", DNS_A), SL_REASON_DNS_ALLOWED);
	assert_string_equal(lab_last(gw, SL_PORT_UPLINK)->dst_text, LAB_RESOLVER6);
	lab_answer(gw, 0);
	expect(lab_reply_to(gw, &client6), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload), 7);
	expect(lab_ask_from(gw, &client6, 8, DENIED, DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	inproc_free(gw);
}

static void query_events_tell_the_name(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "WWW.Example.Com", DNS_A);
	assert_true(lab_event(gw)->allow);
	assert_int_equal(lab_event(gw)->reason, SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_event(gw)->via, SL_VIA_DNS);
	assert_true(lab_event_names(lab_event(gw), "www.example.com"));
	lab_asked(gw, "x.example.org", DNS_A);
	assert_true(lab_event_names(lab_event(gw), "x.example.org"));
	expect(lab_ask(gw, DENIED, DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_false(lab_event(gw)->allow);
	assert_int_equal(lab_event(gw)->reason, SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_int_equal(lab_event(gw)->via, SL_VIA_DNS);
	assert_true(lab_event_names(lab_event(gw), DENIED));
	assert_string_equal(lab_event(gw)->sandbox, "box");
	inproc_free(gw);
}

static void query_for_denied_name_is_refused_at_once(void **state)
{
	struct inproc *gw = lab_gateway();
	const struct packet_view *view;
	const uint8_t *a;

	lab_asked(gw, "www.example.com", DNS_A);
	inproc_clear(gw);
	struct lab_from from = lab_client;
	from.sport++;
	dns_begin(&lab_msg, LAB_ID, DNS_RD);
	dns_question(&lab_msg, "Secret.Example.net", DNS_A);
	dns_opt(&lab_msg, 1232, 0, NULL, 0);
	expect(lab_send(gw, &from, lab_msg.bytes, lab_msg.len), SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 1);
	view = lab_last(gw, SL_PORT_SANDBOX);
	assert_string_equal(view->src_text, LAB_RESOLVER);
	assert_int_equal(view->sport, 53);
	assert_int_equal(view->dport, from.sport);
	a = view->payload;
	assert_int_equal(lab_get16(a), LAB_ID);
	assert_int_equal(lab_get16(a + 2), DNS_QR | DNS_RD | DNS_RA | 3);
	assert_memory_equal(a + 12, "\6Secret\7Example\3net", 20);
	assert_int_equal(lab_get16(a + 6), 0);
	/* the OPT says "blocked", and why (RFC 8914) */
	assert_int_equal(lab_get16(a + 8), 0); /* no SOA: no cache keeps it */
	assert_int_equal(lab_get16(a + 10), 1);
	assert_int_equal(lab_get16(a + view->payload_len - strlen(REFUSED_TEXT) - 2), 15);
	assert_memory_equal(a + view->payload_len - strlen(REFUSED_TEXT), REFUSED_TEXT,
	                    strlen(REFUSED_TEXT));
	/* no flow was opened: an answer would have none */
	assert_int_equal(inproc_stats(gw, 0)->flows, 1);
	lab_answer_to(a, 0);
	expect(lab_reply_to(gw, &from), SL_REASON_NO_FLOW);
	inproc_free(gw);
}

static void query_for_denied_name_is_nxdomain_if_configured(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, "dns: {resolvers: [203.0.113.53], refuse: nxdomain}\n");

	expect(lab_ask(gw, DENIED, DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_int_equal(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload + 2) & 15, 3);
	assert_int_equal(lab_last(gw, SL_PORT_SANDBOX)->payload_len, 12 + 20 + 4);
	inproc_free(gw);
}

static void query_refusals_are_limited_to_100_a_second(void **state)
{
	struct inproc *gw = lab_gateway();

	for (int i = 0; i < 150; i++)
		expect(lab_ask(gw, DENIED, DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 100);
	assert_int_equal(inproc_stats(gw, 0)->answers_suppressed, 50);
	inproc_advance_s(gw, 1);
	expect(lab_ask(gw, DENIED, DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 101);
	inproc_free(gw);
}

static void query_each_on_a_flow_is_judged_by_itself(void **state)
{
	struct inproc *gw = lab_gateway();
	uint8_t a[64], aaaa[64];

	/* as glibc does: A and AAAA from one socket, answered in the other order */
	expect(lab_ask_from(gw, &lab_client, 1, "www.example.com", DNS_A), SL_REASON_DNS_ALLOWED);
	memcpy(a, lab_last(gw, SL_PORT_UPLINK)->payload, 33);
	expect(lab_ask_from(gw, &lab_client, 2, "www.example.com", DNS_AAAA),
	       SL_REASON_DNS_ALLOWED);
	memcpy(aaaa, lab_last(gw, SL_PORT_UPLINK)->payload, 33);
	assert_int_equal(inproc_stats(gw, 0)->flows, 1);
	lab_answer_to(aaaa, 0);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload), 2);
	lab_answer_to(a, 0);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload), 1);
	/* and a third one for something else */
	inproc_clear(gw);
	expect(lab_ask(gw, DENIED, DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	expect(lab_send(gw, &lab_client, "\1\2", 2), SL_REASON_MALFORMED_DNS);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	inproc_free(gw);
}

static void query_names_match_as_everywhere(void **state)
{
	struct inproc *gw = lab_gateway();

	lab_asked(gw, "a.b.EXAMPLE.org", DNS_A);
	expect(lab_ask(gw, "example.org", DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	expect(lab_ask(gw, "www.example.com.evil.net", DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	expect(lab_ask(gw, "xwww.example.com", DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	inproc_free(gw);
}

static void query_for_root_needs_a_star(void **state)
{
	struct inproc *gw = lab_create("sandboxes:\n"
	                               "  - {vlan: 101, policy: {allow: ['*']}}\n"
	                               "  - {vlan: 102, policy: {allow: ['*.com']}}\n",
	                               LAB_CONFIG);
	struct lab_from other = lab_client;

	other.vlan = 102;
	lab_asked(gw, "", DNS_NS);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->payload_len, 12 + 5);
	expect(lab_ask_from(gw, &other, 1, "", DNS_NS), SL_REASON_DNS_NAME_NOT_ALLOWED);
	inproc_free(gw);
}

/* Derives malformed messages from a valid one; each is dropped silently. */
static void query_malformed_is_dropped_in_silence(void **state)
{
	struct inproc *gw = lab_gateway();
	static const char *const kinds[] = {"response", "opcode",  "no question",  "two questions",
	                                    "class",    "pointer", "dot in label", "answer record",
	                                    "trailing", "short",   "text",         "empty"};

	for (size_t k = 0; k < COUNT(kinds); k++) {
		const char *kind = kinds[k];

		row(kinds[k]);
		lab_query(LAB_ID, "www.example.com", DNS_A);
		if (!strcmp(kind, "response"))
			lab_msg.bytes[2] |= 0x80;
		else if (!strcmp(kind, "opcode"))
			lab_msg.bytes[2] |= 0x28; /* UPDATE */
		else if (!strcmp(kind, "no question"))
			dns_begin(&lab_msg, LAB_ID, DNS_RD);
		else if (!strcmp(kind, "two questions"))
			dns_question(&lab_msg, DENIED, DNS_A);
		else if (!strcmp(kind, "class")) {
			dns_begin(&lab_msg, LAB_ID, DNS_RD);
			dns_question_class(&lab_msg, "www.example.com", DNS_A, 3);
		} else if (!strcmp(kind, "pointer")) {
			dns_begin(&lab_msg, LAB_ID, DNS_RD);
			dns_question(&lab_msg, "www.@12", DNS_A);
		} else if (!strcmp(kind, "dot in label")) {
			dns_begin(&lab_msg, LAB_ID, DNS_RD);
			dns_question(&lab_msg, "www\\.example.com", DNS_A);
		} else if (!strcmp(kind, "answer record"))
			dns_address(&lab_msg, DNS_ANSWER, "@12", "192.0.2.1", 1);
		else if (!strcmp(kind, "trailing"))
			dns_put(&lab_msg, "smuggled", 8);
		else if (!strcmp(kind, "short"))
			lab_msg.len -= 1;
		else if (!strcmp(kind, "text")) {
			memset(lab_msg.bytes, 'x', 100);
			lab_msg.len = 100;
		} else
			lab_msg.len = 0;
		expect(lab_send(gw, &lab_client, lab_msg.bytes, lab_msg.len),
		       SL_REASON_MALFORMED_DNS);
		assert_int_equal(lab_event(gw)->reason, SL_REASON_MALFORMED_DNS);
	}
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 0);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

static void query_under_allow_all_is_never_refused_for_its_name(void **state)
{
	struct inproc *gw = lab_create("sandboxes: [{vlan: 101}]", LAB_CONFIG);

	lab_asked(gw, DENIED, DNS_A);
	assert_int_not_equal(lab_get16(lab_last(gw, SL_PORT_UPLINK)->payload), 0);
	lab_asked(gw, "", DNS_NS);
	expect(lab_send(gw, &lab_client, "no DNS", 6), SL_REASON_MALFORMED_DNS);
	inproc_free(gw);
}

static void query_again_leaves_as_before(void **state)
{
	struct inproc *gw = lab_gateway();
	uint8_t first[64];

	lab_asked_kept(gw, "www.example.com", DNS_A, first);
	inproc_advance_s(gw, 5);
	lab_asked(gw, "www.example.com", DNS_A);
	assert_memory_equal(lab_last(gw, SL_PORT_UPLINK)->payload, first, 33);
	/* the second asking counts: an answer 12 s after the first is not late */
	inproc_advance_s(gw, 7);
	lab_answer_to(first, 0);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	expect(lab_reply(gw), SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/* c-ares, Netty, nginx and Envoy send all queries from one socket. */
static void queries_of_one_port_all_wait_for_their_answers(void **state)
{
	struct inproc *gw = lab_gateway();
	uint8_t sent[300][64];

	for (uint16_t id = 1; id <= 300; id++) {
		expect(lab_ask_from(gw, &lab_client, id, "www.example.com", DNS_A),
		       SL_REASON_DNS_ALLOWED);
		memcpy(sent[id - 1], lab_last(gw, SL_PORT_UPLINK)->payload, 33);
	}
	assert_int_equal(inproc_stats(gw, 0)->flows, 1);
	for (int id = 300; id > 0; id -= 7) {
		lab_answer_to(sent[id - 1], 0);
		expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
		assert_int_equal(lab_get16(lab_last(gw, SL_PORT_SANDBOX)->payload), id);
	}
	inproc_free(gw);
}

/*
 * Queries over the limit are not answered, allowed or not: the limit is not a verdict on a name.
 */
static void queries_over_the_limit_get_silence(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, LAB_CONFIG "limits: {dns-queries-per-sandbox: 20}\n");
	struct lab_from other = lab_client;

	for (uint16_t id = 1; id <= 20; id++)
		expect(lab_ask_from(gw, &lab_client, id, "www.example.com", DNS_A),
		       SL_REASON_DNS_ALLOWED);
	expect(lab_ask_from(gw, &lab_client, 21, "www.example.com", DNS_A), SL_REASON_RATE_LIMIT);
	expect(lab_ask_from(gw, &lab_client, 22, "secret.example.net", DNS_A),
	       SL_REASON_RATE_LIMIT);
	/* a second later it may ask, but twenty wait already */
	inproc_advance_s(gw, 1);
	expect(lab_ask_from(gw, &lab_client, 23, "www.example.com", DNS_A), SL_REASON_RATE_LIMIT);
	assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 0);
	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 20);
	lab_answer(gw, 0);
	expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
	expect(lab_ask_from(gw, &lab_client, 24, "www.example.com", DNS_A), SL_REASON_DNS_ALLOWED);
	other.vlan = 102;
	expect(lab_ask_from(gw, &other, LAB_ID, "www.example.com", DNS_A), SL_REASON_DNS_ALLOWED);
	inproc_free(gw);
}

/* `host:port`, a URL's slash, blanks, UTF-8, a literal `*`: names that no pattern but `*` matches.
 */
static void query_for_what_is_no_host_name_is_refused_at_once(void **state)
{
	static const char bytes[] = {':', '/', ' ', '+', '*', '\xc3'};
	const char *const policies[] = {LAB_POLICY,
	                                "sandboxes: [{vlan: 101, policy: {allow: ['*']}}]",
	                                "sandboxes: [{vlan: 101}]"};

	for (size_t p = 0; p < 3; p++) {
		struct inproc *gw = lab_create(policies[p], LAB_CONFIG);

		row(policies[p]);
		for (size_t i = 0; i < sizeof(bytes); i++) {
			lab_query((uint16_t)i, "axb.example.org", DNS_A);
			lab_msg.bytes[14] = (uint8_t)bytes[i];
			assert_int_equal(lab_send(gw, &lab_client, lab_msg.bytes, lab_msg.len),
			                 p == 0 ? SL_REASON_DNS_NAME_NOT_ALLOWED
			                        : SL_REASON_DNS_ALLOWED);
			assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), p == 0 ? i + 1 : 0);
			assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), p == 0 ? 0 : i + 1);
		}
		/* the query is answered, and opens nothing: no hello can contain this name */
		if (p > 0) {
			lab_answer(gw, 0);
			dns_address(&lab_msg, DNS_ANSWER, "@12", "198.51.100.1", 60);
			expect(lab_reply(gw), SL_REASON_DNS_ALLOWED);
			assert_int_equal(inproc_stats(gw, 0)->pins, 0);
		}
		inproc_free(gw);
	}
}

static void query_memory_is_bounded_and_given_back(void **state)
{
	struct inproc *gw = lab_create(LAB_POLICY, LAB_CONFIG
	                               "limits: {flows: 4096, held-bytes-per-sandbox: 65536}\n");
	struct lab_from from = lab_client, other = lab_client;
	unsigned allowed = 0, refused = 0;

	for (uint16_t i = 0; i < 1000; i++) {
		enum sl_reason reason;

		from.sport = (uint16_t)(1024 + i);
		reason = lab_ask_from(gw, &from, LAB_ID, "www.example.com", DNS_A);
		allowed += reason == SL_REASON_DNS_ALLOWED;
		refused += reason == SL_REASON_RATE_LIMIT;
	}
	assert_true(allowed > 50 && refused > 50 && allowed + refused == 1000);
	assert_true(inproc_stats(gw, 0)->hold_bytes <= 65536);
	/* another sandbox is not affected */
	other.vlan = 102;
	expect(lab_ask_from(gw, &other, LAB_ID, "www.example.com", DNS_A), SL_REASON_DNS_ALLOWED);
	inproc_advance_s(gw, 11);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	lab_asked(gw, "www.example.com", DNS_A);
	inproc_free(gw);
}

/* ---- strip-ech ---- */

#define STRIP_CONFIG "dns: {resolvers: [203.0.113.53], strip-ech: true}\n"

static void strip_ech_answers_https_and_svcb_with_nothing(void **state)
{
	struct inproc *gw = lab_create(LAB_POLICY, STRIP_CONFIG);
	const uint16_t types[] = {DNS_HTTPS, DNS_SVCB, 255};

	lab_asked(gw, "www.example.com", DNS_A);
	for (size_t i = 0; i < 3; i++) {
		const struct packet_view *view;

		inproc_clear(gw);
		expect(lab_ask(gw, "www.Example.com", types[i]), SL_REASON_DNS_ALLOWED);
		assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 0);
		assert_int_equal(inproc_count(gw, SL_PORT_SANDBOX), 1);
		view = lab_last(gw, SL_PORT_SANDBOX);
		assert_int_equal(view->payload_len, 33);
		assert_int_equal(lab_get16(view->payload), LAB_ID);
		assert_int_equal(lab_get16(view->payload + 2), DNS_QR | DNS_RD | DNS_RA);
		assert_int_equal(lab_get16(view->payload + 6), 0);
		assert_memory_equal(view->payload + 12, "\3www\7Example\3com", 17);
		assert_true(lab_event_names(lab_event(gw), "www.example.com"));
		assert_true(lab_event(gw)->allow);
	}
	expect(lab_ask(gw, DENIED, DNS_HTTPS), SL_REASON_DNS_NAME_NOT_ALLOWED);
	inproc_free(gw);
}

static void strip_ech_off_lets_https_queries_leave(void **state)
{
	struct inproc *gw =
	        lab_create(LAB_POLICY, "dns: {resolvers: [203.0.113.53], strip-ech: false}\n");

	lab_asked(gw, "www.example.com", DNS_HTTPS);
	assert_int_equal(lab_get16(lab_last(gw, SL_PORT_UPLINK)->payload + 29), DNS_HTTPS);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(resolver_in_internal_or_protected_range_is_reached),
	        cmocka_unit_test(resolver_in_denied_subnet_is_refused),
	        cmocka_unit_test(resolver_in_allowed_subnet_is_not_looked_at),
	        cmocka_unit_test(resolver_in_allowed_and_protected_range_is_gated),
	        cmocka_unit_test(resolver_not_configured_is_refused),
	        cmocka_unit_test(resolver_under_subnets_without_patterns_is_refused),
	        cmocka_unit_test(resolver_under_allow_all_is_reached_where_it_lies),
	        cmocka_unit_test(resolver_any_is_every_public_one),
	        cmocka_unit_test(resolver_under_deny_all_is_not_reached),
	        cmocka_unit_test(query_leaves_rebuilt),
	        cmocka_unit_test(query_without_opt_leaves_without),
	        cmocka_unit_test(query_id_and_case_are_drawn),
	        cmocka_unit_test(query_in_replay_keeps_id_and_case),
	        cmocka_unit_test(query_over_ipv6_is_judged_alike),
	        cmocka_unit_test(query_events_tell_the_name),
	        cmocka_unit_test(query_for_denied_name_is_refused_at_once),
	        cmocka_unit_test(query_for_denied_name_is_nxdomain_if_configured),
	        cmocka_unit_test(query_refusals_are_limited_to_100_a_second),
	        cmocka_unit_test(query_each_on_a_flow_is_judged_by_itself),
	        cmocka_unit_test(query_names_match_as_everywhere),
	        cmocka_unit_test(query_for_root_needs_a_star),
	        cmocka_unit_test(query_malformed_is_dropped_in_silence),
	        cmocka_unit_test(query_under_allow_all_is_never_refused_for_its_name),
	        cmocka_unit_test(query_again_leaves_as_before),
	        cmocka_unit_test(queries_of_one_port_all_wait_for_their_answers),
	        cmocka_unit_test(queries_over_the_limit_get_silence),
	        cmocka_unit_test(query_for_what_is_no_host_name_is_refused_at_once),
	        cmocka_unit_test(query_memory_is_bounded_and_given_back),
	        cmocka_unit_test(strip_ech_answers_https_and_svcb_with_nothing),
	        cmocka_unit_test(strip_ech_off_lets_https_queries_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
