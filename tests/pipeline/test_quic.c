/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quic.c: QUIC under rule 3, up to the verdict: honest clients of all kinds, and what is
 * refused. test_quic_later.c covers what follows the verdict.
 */
#include <stdlib.h>

#include "corpus.h"
#include "quic_scene.h"
#include "rfc_quic.h"

/* ---- honest clients ---- */

static void one_datagram_of_either_version_passes_as_it_was(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (int v = 0; v < 2; v++) {
		struct quic q = quic_for(gw, ALLOWED);
		const struct sl_event *event;

		q.version = v == 0 ? QUIC_V1 : QUIC_V2;
		expect_hello_passes(&q);
		event = last_event(gw, true, SL_REASON_DOMAIN_ALLOWED);
		expect_event_name(event, ALLOWED);
		assert_int_equal(event->via, SL_VIA_QUIC);
		assert_int_equal(event->proto, 17);
		assert_int_equal(event->sport, q.sport);
		assert_int_equal(event->dport, 443);
		assert_string_equal(event->sandbox, "box");
	}
	inproc_free(gw);
}

static void over_ipv6_it_is_the_same(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);

	q.client = "fd00::2";
	q.server = "2001:db8::10";
	expect_hello_passes(&q);
	inproc_free(gw);
}

static void two_datagrams_are_held_and_leave_in_order(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram one, two;

	set_large_hello_name_last(&q, ALLOWED);
	cut_in_two(&q, &one, &two);
	expect_held(&q, &one);
	expect_both_leave(&q, &one, &two);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(count_of(gw, SL_REASON_DOMAIN_ALLOWED), 2);
	inproc_free(gw);
}

static void two_datagrams_in_reverse_leave_as_they_came(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct datagram one, two;
	struct quic q = quic_in_two(gw, ALLOWED, &one, &two);

	expect_held(&q, &two);
	expect_both_leave(&q, &two, &one);
	inproc_free(gw);
}

/* As browsers do: pieces out of order, PING and PADDING between them, the name cut in two. */
static void shuffled_crypto_with_ping_is_put_together(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	uint8_t frames[2][4000];
	size_t len[2] = {0}, cut[] = {0, 3, 90, 400, 401, 700, 1100, 1400, PQ_LEN};
	const unsigned order[] = {6, 1, 3, 0, 7, 4, 2, 5};
	struct datagram one, two;

	set_large_hello(&q, ALLOWED);
	assert_int_equal(q.hello_len, PQ_LEN);
	for (size_t i = 0; i < COUNT(order); i++) {
		size_t k = i / 4, from = cut[order[i]], to = cut[order[i] + 1];

		len[k] += quic_crypto_frame(from, q.hello + from, to - from, frames[k] + len[k]);
		frames[k][len[k]++] = 1;
		frames[k][len[k]++] = 0;
	}
	one = initial(&q, frames[0], len[0]);
	two = initial(&q, frames[1], len[1]);
	expect_held(&q, &one);
	expect(up(&q, &two), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(left(&q), 2);
	inproc_free(gw);
}

static void one_byte_crypto_frames_are_put_together(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	uint8_t frames[4000];
	size_t len = 0;
	struct datagram d;

	for (size_t i = q.hello_len; i-- > 0;)
		len += quic_crypto_frame(i, q.hello + i, 1, frames + len);
	d = initial(&q, frames, len);
	expect_passes(&q, &d);
	inproc_free(gw);
}

static void four_datagrams_are_enough_and_five_too_many(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (size_t parts = 4; parts <= 5; parts++) {
		struct quic q = quic_for(gw, ALLOWED);
		size_t step, before = left(&q);
		struct datagram d;

		set_large_hello(&q, ALLOWED);
		step = q.hello_len / parts;
		for (size_t i = 0; i + 1 < parts; i++) {
			d = initial_of(&q, i * step, (i + 1) * step);
			expect_held(&q, &d);
		}
		d = initial_of(&q, (parts - 1) * step, q.hello_len);
		if (parts == 4) {
			expect(up(&q, &d), SL_REASON_DOMAIN_ALLOWED);
			assert_int_equal(left(&q), before + 4);
		} else {
			expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, true);
			assert_int_equal(count_of(gw, SL_REASON_MALFORMED_QUIC), 5);
		}
	}
	inproc_free(gw);
}

/* A client that lost its second datagram sends both again, with new packet numbers. */
static void what_is_sent_again_on_hold_counts_for_nothing(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d;

	set_large_hello(&q, ALLOWED);
	d = initial_of(&q, 0, 1000);
	expect_held(&q, &d);
	for (int i = 0; i < 6; i++) {
		d = initial_of(&q, 0, 1000);
		expect_refused(&q, &d, SL_REASON_DUPLICATE, false);
	}
	d = initial_of(&q, 1000, q.hello_len);
	expect(up(&q, &d), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(left(&q), 2);
	inproc_free(gw);
}

static void coalesced_initials_and_early_data_pass(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct quic_options options = options_of(&q);
	uint8_t frames[2000];
	struct datagram d, more;
	size_t half = q.hello_len / 2;

	options.dgram_len = 0;
	d.len = quic_initial(&options, frames, quic_crypto_frame(0, q.hello, half, frames),
	                     d.bytes);
	options.number++;
	more.len = quic_initial(&options, frames,
	                        quic_crypto_frame(half, q.hello + half, q.hello_len - half, frames),
	                        more.bytes);
	append(&d, &more);
	more.len = quic_long(QUIC_ZERO_RTT, &options, 1100, more.bytes);
	append(&d, &more);
	assert_true(d.len >= 1200);
	expect_passes(&q, &d);
	inproc_free(gw);
}

static void early_data_between_two_datagrams_is_held_with_them(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram one, early, two;

	set_large_hello(&q, ALLOWED);
	one = initial_of(&q, 0, 1000);
	early = long_packet(&q, QUIC_ZERO_RTT, true, q.dcid, 8);
	two = initial_of(&q, 1000, q.hello_len);
	expect_held(&q, &one);
	expect_held(&q, &early);
	expect(up(&q, &two), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(left(&q), 3);
	expect_left(&q, 0, &one);
	expect_left(&q, 1, &early);
	expect_left(&q, 2, &two);
	/* and after the verdict it passes */
	expect_passes(&q, &early);
	inproc_free(gw);
}

static void trailing_zeros_pass_and_other_bytes_do_not(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d = initial_whole(&q);

	memset(d.bytes + d.len, 0, 100);
	d.len += 100;
	expect_passes(&q, &d);

	q = quic_for(gw, ALLOWED);
	d = initial_whole(&q);
	memset(d.bytes + d.len, 0, 100);
	memcpy(d.bytes + d.len + 40, "exfiltrated", 11);
	d.len += 100;
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, true);
	inproc_free(gw);
}

static void a_token_of_an_earlier_visit_passes(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);

	q.token = (const uint8_t *)"a token that a server gave once";
	q.token_len = 31;
	expect_hello_passes(&q);
	inproc_free(gw);
}

static void the_frame_is_cut_to_its_packet(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct datagram one, two;
	struct quic q = quic_in_two(gw, ALLOWED, &one, &two);
	struct packet packet;

	packet = packet_of(&q, true, &one);
	memcpy(packet.bytes + packet.len, "exfiltrated", 11);
	packet.len += 11;
	expect(inproc_send(gw, SANDBOX, &packet), SL_REASON_NONE);
	expect(up(&q, &two), SL_REASON_DOMAIN_ALLOWED);
	expect_left(&q, 0, &one);
	assert_false(inproc_left(gw, UPLINK, "exfiltrated", 11));
	inproc_free(gw);
}

static void chained_buffers_are_read_and_held_whole(void **state)
{
	struct inproc *gw = inproc_create_with(&(struct inproc_options){
	        .policy = POLICY, .config = CONFIG, .segment = 100, .checksums_full = true});
	struct datagram one, two;
	struct quic q = quic_in_two(gw, ALLOWED, &one, &two);

	expect_held(&q, &one);
	expect_both_leave(&q, &one, &two);
	inproc_free(gw);
}

static void native_vlan_frames_are_held_and_tagged_on_their_way(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct datagram one, two;
	struct quic q = quic_in_two(gw, ALLOWED, &one, &two);
	const struct packet_view *view;

	inproc_settings(gw)->native_vlan[SL_PORT_SANDBOX] = 101;
	q.vlan = 0;
	expect_held(&q, &one);
	expect(up(&q, &two), SL_REASON_DOMAIN_ALLOWED);
	for (size_t i = 0; i < 2; i++) {
		view = &inproc_frame(gw, UPLINK, i)->view;
		assert_true(view->ok && view->tagged && view->l4_csum_ok);
		assert_int_equal(view->tci, 101);
	}
	inproc_free(gw);
}

/* ---- names ---- */

static void a_denied_name_is_refused_and_answered(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, DENIED);
	const struct sl_event *event;

	expect_hello_refused(&q, SL_REASON_DOMAIN_NOT_ALLOWED, true);
	event = last_event(gw, false, SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_event_name(event, DENIED);
	assert_int_equal(event->via, SL_VIA_QUIC);
	assert_int_equal(event->sport, q.sport);
	/* The flow is closed: what comes next is judged from the start. */
	set_hello(&q, &(struct hello_options){.name = ALLOWED});
	expect_hello_passes(&q);
	inproc_free(gw);
}

static void a_denied_name_in_two_datagrams_lets_nothing_out(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, DENIED);
	struct datagram one, two;

	set_large_hello_name_last(&q, DENIED);
	cut_in_two(&q, &one, &two);
	expect_held(&q, &one);
	expect_refused(&q, &two, SL_REASON_DOMAIN_NOT_ALLOWED, true);
	assert_int_equal(count_of(gw, SL_REASON_DOMAIN_NOT_ALLOWED), 2);
	assert_int_equal(inproc_held(gw), 0);
	inproc_free(gw);
}

static void hellos_are_refused_with_their_reasons(void **state)
{
	static const struct {
		const char *what;
		struct hello_options options;
		enum sl_reason reason;
	} cases[] = {
	        {"no name", {.name = NULL}, SL_REASON_NO_SERVER_NAME},
	        {"an IPv4 address", {.name = "192.0.2.7"}, SL_REASON_NO_SERVER_NAME},
	        {"two names",
	         {.name = "good.example", .second_name = DENIED},
	         SL_REASON_MALFORMED_HELLO},
	        {"another server_name extension",
	         {.name = "good.example", .other_sni = DENIED},
	         SL_REASON_MALFORMED_HELLO},
	        {"a NUL in the name",
	         {.name = "good.example\0.evil.example", .name_len = 26},
	         SL_REASON_MALFORMED_HELLO},
	        {"name length too small",
	         {.name = "good.example", .name_len_lie = -1},
	         SL_REASON_MALFORMED_HELLO},
	        {"message length too small",
	         {.name = "good.example", .message_len_lie = -1},
	         SL_REASON_MALFORMED_QUIC},
	        {"ECH", {.name = "good.example", .ech = true}, SL_REASON_ECH_DENIED},
	};
	struct inproc *gw = gateway_with(POLICY, CONFIG "inspect: {ech: deny}\n");

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct quic q = quic_for(gw, ALLOWED);
		struct datagram d;

		row(cases[i].what);
		set_hello(&q, &cases[i].options);
		d = initial_whole(&q);
		expect_refused(&q, &d, cases[i].reason, true);
	}
	inproc_free(gw);
}

static void ech_passes_by_its_outer_name(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);

	set_hello(&q, &(struct hello_options){.name = ALLOWED, .ech = true});
	expect_hello_passes(&q);
	inproc_free(gw);
}

static void pins_are_asked_for_the_address_and_for_the_name(void **state)
{
	struct inproc *gw =
	        gateway_with(POLICY, "dns: {resolvers: [203.0.113.53], pinning: enforce}\n");
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d = initial_whole(&q);

	expect_refused(&q, &d, SL_REASON_ADDRESS_NOT_PINNED, true);
	pin(gw, q.server, "also.example");
	expect_refused(&q, &d, SL_REASON_ADDRESS_NOT_PINNED, true);
	expect_event_name(last_event(gw, false, SL_REASON_ADDRESS_NOT_PINNED), ALLOWED);
	pin(gw, q.server, ALLOWED);
	expect_passes(&q, &d);
	inproc_free(gw);
}

/* ---- policies that change during a hold ---- */

static void a_hold_is_judged_by_the_newest_policy(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct datagram one, two;
	struct quic q = quic_in_two(gw, ALLOWED, &one, &two);

	expect_held(&q, &one);
	assert_int_not_equal(
	        inproc_push(gw, "sandboxes: [{vlan: 101, policy: {allow: [also.example]}}]"), 0);
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_held(gw), 1);
	expect_refused(&q, &two, SL_REASON_DOMAIN_NOT_ALLOWED, true);
	inproc_free(gw);
}

static void a_hold_is_cut_by_a_policy_that_denies_its_address(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct datagram one, two;
	struct quic q = quic_in_two(gw, ALLOWED, &one, &two);

	expect_held(&q, &one);
	assert_int_not_equal(inproc_push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]"), 0);
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(left(&q), 0);
	assert_int_equal(count_of(gw, SL_REASON_POLICY_CHANGED), 1);
	inproc_free(gw);
}

static void a_hold_leaves_when_a_policy_opens_its_address(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct datagram one, two;
	struct quic q = quic_in_two(gw, DENIED, &one, &two);

	expect_held(&q, &one);
	assert_int_not_equal(inproc_push(gw, "sandboxes: [{vlan: 101}]"), 0);
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(left(&q), 1);
	expect_left(&q, 0, &one);
	last_event(gw, true, SL_REASON_ALLOW_ALL);
	expect(up(&q, &two), SL_REASON_ALLOW_ALL);
	expect_left_with(&q, 1, &two, 63); /* under allow-all nothing is changed */
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

/* ---- vectors and recordings ---- */

static void rfc_vectors_pass_by_their_name(void **state)
{
	const char *const vectors[] = {rfc_v1_client_initial, rfc_v2_client_initial};

	for (size_t i = 0; i < 2; i++) {
		struct inproc *gw =
		        gateway("sandboxes: [{vlan: 101, policy: {allow: [example.com]}},"
		                " {vlan: 102, policy: {allow: [other.example]}}]");
		struct quic q = quic_for(gw, ALLOWED);
		struct datagram d;

		d.len = packet_hex(vectors[i], d.bytes, sizeof(d.bytes));
		expect_passes(&q, &d);
		expect_event_name(last_event(gw, true, SL_REASON_DOMAIN_ALLOWED), "example.com");
		q.vlan = 102;
		expect_refused(&q, &d, SL_REASON_DOMAIN_NOT_ALLOWED, true);
		inproc_free(gw);
	}
}

static void recorded_clients_pass_by_their_names_and_no_other(void **state)
{
	struct corpus_file *files;
	size_t n = corpus_read("quic-initial-datagram", &files);
	struct inproc *gw;
	struct quic q;

	if (n == 0)
		skip();
	gw = gateway("sandboxes: [{vlan: 101, policy: {allow: ['*.com', '*.org']}},"
	             " {vlan: 102, policy: {allow: ['*.example']}}]");
	q = quic_for(gw, ALLOWED);
	for (size_t i = 0; i < n; i++) {
		bool more = strcmp(files[i].sni, "NEEDMORE") == 0;
		struct datagram d = {.len = files[i].len};

		if (i > 0 && strcmp(files[i].group, files[i - 1].group) != 0) {
			q.sport++;
			inproc_advance_s(gw, 190); /* RFC 9001 and 9369 share one ID */
		}
		memcpy(d.bytes, files[i].bytes, d.len);
		for (q.vlan = 101; q.vlan <= 102; q.vlan++) {
			bool open = q.vlan == 101;

			if (more)
				expect_held(&q, &d);
			else
				expect(up(&q, &d), open ? SL_REASON_DOMAIN_ALLOWED
				                        : SL_REASON_DOMAIN_NOT_ALLOWED);
			if (!more)
				expect_event_name(inproc_event_last(gw), files[i].sni);
		}
	}
	/* All of the one sandbox left, nothing of the other. */
	assert_int_equal(left(&q), n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(inproc_frame(gw, UPLINK, i)->view.tci, 101);
	free(files);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_datagram_of_either_version_passes_as_it_was),
	        cmocka_unit_test(over_ipv6_it_is_the_same),
	        cmocka_unit_test(two_datagrams_are_held_and_leave_in_order),
	        cmocka_unit_test(two_datagrams_in_reverse_leave_as_they_came),
	        cmocka_unit_test(shuffled_crypto_with_ping_is_put_together),
	        cmocka_unit_test(one_byte_crypto_frames_are_put_together),
	        cmocka_unit_test(four_datagrams_are_enough_and_five_too_many),
	        cmocka_unit_test(what_is_sent_again_on_hold_counts_for_nothing),
	        cmocka_unit_test(coalesced_initials_and_early_data_pass),
	        cmocka_unit_test(early_data_between_two_datagrams_is_held_with_them),
	        cmocka_unit_test(trailing_zeros_pass_and_other_bytes_do_not),
	        cmocka_unit_test(a_token_of_an_earlier_visit_passes),
	        cmocka_unit_test(the_frame_is_cut_to_its_packet),
	        cmocka_unit_test(chained_buffers_are_read_and_held_whole),
	        cmocka_unit_test(native_vlan_frames_are_held_and_tagged_on_their_way),
	        cmocka_unit_test(a_denied_name_is_refused_and_answered),
	        cmocka_unit_test(a_denied_name_in_two_datagrams_lets_nothing_out),
	        cmocka_unit_test(hellos_are_refused_with_their_reasons),
	        cmocka_unit_test(ech_passes_by_its_outer_name),
	        cmocka_unit_test(pins_are_asked_for_the_address_and_for_the_name),
	        cmocka_unit_test(a_hold_is_judged_by_the_newest_policy),
	        cmocka_unit_test(a_hold_is_cut_by_a_policy_that_denies_its_address),
	        cmocka_unit_test(a_hold_leaves_when_a_policy_opens_its_address),
	        cmocka_unit_test(rfc_vectors_pass_by_their_name),
	        cmocka_unit_test(recorded_clients_pass_by_their_names_and_no_other),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
