/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quic_later.c: what passes on a QUIC flow after its verdict: of the judged connection, and of
 * others.
 */
#include "wire/quic_initial.h"
#include "quic_scene.h"
#include "quic_two_keys.h"

/* ---- the judged connection ---- */

static void a_handshake_goes_through_and_leaves_nothing_behind(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid);
	struct datagram d = server_hello(&q, cid, 8), more;

	assert_int_not_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	expect_delivered(&q, &d);
	d = acknowledgement(&q, cid);
	more = long_packet(&q, QUIC_HANDSHAKE, true, cid, 8);
	append(&d, &more);
	expect_passes(&q, &d);
	expect_passes(&q, &more);
	d = short_packet(cid, 8);
	expect_passes(&q, &d);
	d.bytes[0] &= 0xbf; /* greased (RFC 9287) */
	expect_passes(&q, &d);
	d = short_packet(q.scid, 8);
	expect_delivered(&q, &d);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	assert_int_equal(inproc_count(gw, SANDBOX), 3);
	inproc_free(gw);
}

static enum sl_reason up_with_a_bad_checksum(const struct quic *q, const struct datagram *d)
{
	struct packet packet = packet_of(q, true, d);

	packet.bytes[packet.len - 1] ^= 1;
	return inproc_send(q->gw, SANDBOX, &packet);
}

/* Once nothing is compared any more, short headers pass as packets of any judged flow do. */
static void a_judged_connection_is_only_looked_at_for_another_one(void **state)
{
	struct inproc *gw = inproc_create_with(
	        &(struct inproc_options){.policy = POLICY, .checksums_full = true});
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid), other = quic_for(gw, "evil.example");
	struct datagram d = short_packet(cid, 8), hello;

	expect(up_with_a_bad_checksum(&q, &d), SL_REASON_MALFORMED_PACKET);
	expect_server_hello_delivered(&q, cid);
	expect_passes(&q, &d);
	expect(up_with_a_bad_checksum(&q, &d), SL_REASON_DOMAIN_ALLOWED);
	expect_passes(&q, &d);
	hello = long_packet(&q, QUIC_HANDSHAKE, true, cid, 8);
	expect(up_with_a_bad_checksum(&q, &hello), SL_REASON_MALFORMED_PACKET);
	d.bytes[0] &= 0xbf;
	expect(up_with_a_bad_checksum(&q, &d), SL_REASON_MALFORMED_PACKET);
	other.sport = q.sport;
	hello = initial_whole(&other);
	expect(up(&q, &hello), SL_REASON_DOMAIN_NOT_ALLOWED);
	inproc_push(gw, "sandboxes: [{vlan: 101, name: box, policy: {allow: [also.example]}}]");
	expect(up(&q, &d), SL_REASON_POLICY_CHANGED);
	inproc_free(gw);
}

/*
 * RFC 9287 3: a client that knows that the server ignores the fixed bit may clear it everywhere.
 */
static void a_client_that_was_answered_may_clear_the_fixed_bit(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8], frames[16];
	struct quic q = judged(gw, ALLOWED, cid);
	struct quic_options options = options_of(&q);
	struct datagram d = acknowledgement(&q, cid), more = short_packet(cid, 8);

	more.bytes[0] &= 0xbf;
	append(&d, &more);
	expect_passes(&q, &d);
	options.fixed_bit_clear = true;
	options.dcid = cid;
	options.dcid_len = 8;
	options.keys_cid = q.dcid;
	options.keys_cid_len = 8;
	d.len = quic_initial(&options, frames, quic_ack_frame(0, 0, frames), d.bytes);
	expect_passes(&q, &d);
	inproc_free(gw);
}

/* After other packets a greased first byte may look like padding: the ID distinguishes them. */
static void a_short_header_that_begins_with_zero_goes_with_the_rest(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid);
	struct datagram finished = long_packet(&q, QUIC_HANDSHAKE, true, cid, 8), d;
	struct datagram more = short_packet(cid, 8);

	more.bytes[0] = 0;
	d = finished;
	append(&d, &more);
	expect_passes(&q, &d);
	d = acknowledgement(&q, cid);
	append(&d, &more);
	expect_passes(&q, &d);
	d = acknowledgement(&q, cid);
	append(&d, &finished);
	append(&d, &more);
	expect_passes(&q, &d);
	inproc_free(gw);
}

/* It must be the server's ID, and nothing may be hidden before it. */
static void what_hides_behind_zeros_does_not_leave(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8], own[8] = {0xc3, 0, 0, 0, 1, 8, 1, 2};
	struct quic q = judged(gw, ALLOWED, cid), other = q;
	struct datagram finished = long_packet(&q, QUIC_HANDSHAKE, true, cid, 8), d, more;

	for (int way = 0; way < 3; way++) {
		static const char *const ways[] = {"the server's ID, after another zero",
		                                   "the client's own ID", "an invented ID"};

		row(ways[way]);
		more = short_packet(way == 0 ? cid : way == 1 ? q.dcid : own, 8);
		more.bytes[0] = 0;
		if (way == 0) {
			memmove(more.bytes + 1, more.bytes, more.len);
			more.len++;
		}
		d = way == 2 ? long_packet(&q, QUIC_HANDSHAKE, true, own, 8) : finished;
		append(&d, &more);
		expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	}
	/* another hello, all of it or after the truncated server's ID */
	fresh_cid(other.dcid, 8);
	set_hello(&other, &(struct hello_options){.name = DENIED});
	more = initial_whole(&other);
	d = finished;
	d.bytes[d.len++] = 0;
	append(&d, &more);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	d = finished;
	d.bytes[d.len++] = 0;
	memcpy(d.bytes + d.len, cid, 7);
	d.len += 7;
	append(&d, &more);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	/* nor does the server's ID help another hello before it */
	d = more;
	more = short_packet(cid, 8);
	more.bytes[0] = 0;
	append(&d, &more);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	inproc_free(gw);
}

/* A client may have tried to get a short ID that reads as a header. */
static void a_short_id_of_the_servers_is_not_believed_behind_a_zero(void **state)
{
	static const uint8_t cid[4] = {0xc3, 0, 0, 0};
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d, more = short_packet(cid, 4);

	expect_hello_passes(&q);
	d = answer(&q, cid, 4);
	expect_delivered(&q, &d);
	d = long_packet(&q, QUIC_HANDSHAKE, true, cid, 4);
	more.bytes[0] = 0;
	append(&d, &more);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	inproc_free(gw);
}

static void judged_bytes_may_come_again_however_they_are_cut(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d = initial_whole(&q);

	expect_passes(&q, &d);
	expect_passes(&q, &d);
	expect_hello_passes(&q);
	for (size_t at = 0; at + 50 < q.hello_len; at += 50) {
		d = initial_of(&q, at, at + 50);
		expect_passes(&q, &d);
	}
	assert_int_equal(inproc_event_count(gw), 1);
	inproc_free(gw);
}

/* The judged datagram may be lost on its way, so that the server takes the next for the first. */
static void other_bytes_in_the_judged_range_do_not_leave(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram good = initial_whole(&q), d;
	const char *at;

	expect_passes(&q, &good);
	at = memmem(q.hello, q.hello_len, "good", 4);
	assert_non_null(at);
	memcpy(q.hello + ((const uint8_t *)at - q.hello), "evil", 4);
	expect_hello_refused(&q, SL_REASON_MALFORMED_QUIC, false);
	d = initial_of(&q, (size_t)((const uint8_t *)at - q.hello), q.hello_len);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	d = initial_of(&q, (size_t)((const uint8_t *)at - q.hello), q.hello_len + 1);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	expect_passes(&q, &good); /* the judged connection is not disturbed */
	/* A short header shows nothing while the server has not answered the hello. */
	expect_short_passes(&q, q.dcid);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	expect_passes(&q, &good);
	inproc_free(gw);
}

static void initials_that_lie_do_not_leave(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8], frames[16] = {1};
	struct quic q = judged(gw, ALLOWED, cid);
	struct quic_options options = options_of(&q);
	struct datagram d;

	options.tag_broken = true;
	d.len = quic_initial(&options, frames, 1, d.bytes);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	options.tag_broken = false;
	options.dgram_len = 1100;
	d.len = quic_initial(&options, frames, 1, d.bytes);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	/* Under the keys of the server's ID: those of a connection that this would begin. */
	options.dgram_len = 1200;
	options.dcid = cid;
	d.len = quic_initial(&options, frames, 1, d.bytes);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	/* Both at once: the connection's keys and its own ID's. */
	d.len = quic_two_keys(cid, 8, q.dcid, 8, d.bytes);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	expect_ack_passes(&q, cid);
	inproc_free(gw);
}

static void a_server_may_choose_the_other_version(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	uint8_t cid[8];

	expect_hello_passes(&q);
	fresh_cid(cid, 8);
	q.version = QUIC_V2;
	expect_answer_delivered(&q, cid, 8);
	expect_ack_passes(&q, cid);
	inproc_free(gw);
}

/* ---- a second ClientHello of the same connection ---- */

static size_t add_second_hello(struct quic *q, const struct hello_options *options)
{
	struct quic other = *q;
	size_t first = q->hello_len;

	set_hello(&other, options);
	memcpy(q->hello + first, other.hello, other.hello_len);
	q->hello_len += other.hello_len;
	return first;
}

static void a_retried_hello_of_the_same_name_passes(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8], frames[4000];
	struct quic q = judged(gw, ALLOWED, cid);
	size_t first = add_second_hello(&q, &(struct hello_options){.name = ALLOWED, .many = 1});
	size_t cut = first + 100, before;
	struct datagram one, two;

	one = initial_to(&q, cid, 8, frames,
	                 quic_crypto_frame(first, q.hello + first, 100, frames));
	two = initial_to(&q, cid, 8, frames,
	                 quic_crypto_frame(cut, q.hello + cut, q.hello_len - cut, frames));
	expect_held(&q, &one);
	before = left(&q);
	expect(up(&q, &two), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(left(&q), before + 2);
	expect_left(&q, before, &one);
	expect_left(&q, before + 1, &two);
	expect_passes(&q, &one);
	one = initial_of(&q, 0, first);
	expect_passes(&q, &one);
	inproc_free(gw);
}

static void a_retried_hello_of_another_name_does_not_leave(void **state)
{
	const char *const names[] = {DENIED, "also.example"};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(names); i++) {
		uint8_t cid[8], frames[4000];
		struct quic q = judged(gw, ALLOWED, cid);
		size_t first = add_second_hello(&q, &(struct hello_options){.name = names[i]});
		struct datagram d = initial_to(
		        &q, cid, 8, frames,
		        quic_crypto_frame(first, q.hello + first, q.hello_len - first, frames));

		row(names[i]);
		expect_refused(&q, &d, SL_REASON_DOMAIN_NOT_ALLOWED, true);
		expect_event_name(last_event(gw, false, SL_REASON_DOMAIN_NOT_ALLOWED), names[i]);
		expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
		expect_ack_passes(&q, cid);
	}
	inproc_free(gw);
}

static void a_retried_hello_in_two_datagrams_is_dropped_as_a_whole(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (int stalls = 0; stalls < 2; stalls++) {
		uint8_t cid[8], frames[4000];
		struct quic q = judged(gw, ALLOWED, cid);
		size_t first = add_second_hello(&q, &(struct hello_options){.name = DENIED});
		size_t cut = first + 100;
		struct datagram d;

		d = initial_to(&q, cid, 8, frames,
		               quic_crypto_frame(first, q.hello + first, 100, frames));
		expect_held(&q, &d);
		if (stalls) {
			struct datagram again = initial_of(&q, 0, first);

			inproc_advance_s(gw, 11);
			expect_refused(&q, &again, SL_REASON_MALFORMED_QUIC, false);
		}
		d = initial_to(&q, cid, 8, frames,
		               quic_crypto_frame(cut, q.hello + cut, q.hello_len - cut, frames));
		if (stalls)
			expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
		else
			expect_refused(&q, &d, SL_REASON_DOMAIN_NOT_ALLOWED, true);
		assert_int_equal(inproc_held(gw), 0);
		/* With its copy gone nothing of a hello passes any more, all else does. */
		d = initial_of(&q, 0, first);
		expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
		expect_ack_passes(&q, cid);
	}
	assert_int_equal(count_of(gw, SL_REASON_HELLO_TIMEOUT), 1);
	inproc_free(gw);
}

/* ---- another connection on the same ports ---- */

static void another_connection_of_the_same_name_passes(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid), again = quic_for(gw, ALLOWED);
	struct datagram one, two;
	size_t before;

	again.sport = q.sport;
	one = initial_whole(&again);
	expect_passes(&again, &one);
	/* and one in two datagrams */
	fresh_cid(again.dcid, 8);
	set_large_hello(&again, ALLOWED);
	cut_in_two(&again, &one, &two);
	expect_held(&again, &one);
	before = left(&q);
	expect(up(&again, &two), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(left(&q), before + 2);
	expect_left(&again, before, &one);
	/* the first one goes on */
	expect_ack_passes(&q, cid);
	inproc_free(gw);
}

static void another_connection_of_another_name_does_not_leave(void **state)
{
	const char *const names[] = {DENIED, "also.example"};
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid);

	for (size_t i = 0; i < COUNT(names); i++) {
		struct quic evil = quic_for(gw, names[i]);
		struct datagram d = initial_whole(&evil), hidden;
		const struct sl_event *event;

		row(names[i]);
		evil.sport = q.sport;
		expect_refused(&evil, &d, SL_REASON_DOMAIN_NOT_ALLOWED, true);
		event = last_event(gw, false, SL_REASON_DOMAIN_NOT_ALLOWED);
		expect_event_name(event, names[i]);
		assert_int_equal(event->via, SL_VIA_QUIC);
		/* After a Handshake packet, of the judged connection or of its own. */
		hidden = long_packet(&q, QUIC_HANDSHAKE, true, cid, 8);
		append(&hidden, &d);
		expect_refused(&evil, &hidden, SL_REASON_MALFORMED_QUIC, false);
		hidden = long_packet(&q, QUIC_HANDSHAKE, true, evil.dcid, 8);
		append(&hidden, &d);
		assert_int_not_equal(up(&evil, &hidden), SL_REASON_DOMAIN_ALLOWED);
		hidden = long_packet(&q, QUIC_ZERO_RTT, true, evil.dcid, 8);
		append(&hidden, &d);
		assert_int_not_equal(up(&evil, &hidden), SL_REASON_DOMAIN_ALLOWED);
		/* After an Initial of the judged one. */
		hidden = acknowledgement(&q, cid);
		append(&hidden, &d);
		expect_refused(&evil, &hidden, SL_REASON_MALFORMED_QUIC, false);
		/* In the other version. */
		evil.version = QUIC_V2;
		fresh_cid(evil.dcid, 8);
		expect_hello_refused(&evil, SL_REASON_DOMAIN_NOT_ALLOWED, true);
		/* In two datagrams. */
		set_large_hello_name_last(&evil, names[i]);
		d = initial_of(&evil, 0, 1000);
		expect_held(&evil, &d);
		d = initial_of(&evil, 1000, evil.hello_len);
		expect_refused(&evil, &d, SL_REASON_DOMAIN_NOT_ALLOWED, true);
	}
	assert_int_equal(left(&q), 1);
	assert_int_equal(inproc_held(gw), 0);
	inproc_free(gw);
}

static void another_connection_is_judged_after_the_handshake_too(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid), evil = quic_for(gw, DENIED);
	struct datagram d = server_hello(&q, cid, 8);

	down(&q, &d);
	expect_short_passes(&q, cid);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	evil.sport = q.sport;
	expect_hello_refused(&evil, SL_REASON_DOMAIN_NOT_ALLOWED, true);
	d = initial_to(&evil, cid, 8, (const uint8_t *)"\1", 1);
	expect_refused(&evil, &d, SL_REASON_MALFORMED_QUIC, false);
	set_hello(&evil, &(struct hello_options){.name = ALLOWED});
	expect_hello_passes(&evil);
	inproc_free(gw);
}

static void other_versions_do_not_leave(void **state)
{
	const uint32_t versions[] = {0, 0xff00001d, 0x0a1a2a3a, 0x51303530, 2};
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid), other = quic_for(gw, DENIED);
	struct datagram d, gquic = {.len = 1200};

	other.sport = q.sport;
	for (size_t i = 0; i < COUNT(versions); i++) {
		ROW_NUMBER(versions[i]);
		d = initial_whole(&other);
		for (int k = 0; k < 4; k++)
			d.bytes[1 + k] = (uint8_t)(versions[i] >> (24 - 8 * k));
		expect_refused(&q, &d, SL_REASON_NOT_QUIC, false);
	}
	memcpy(gquic.bytes,
	       "\x0d"
	       "connidxx"
	       "Q043"
	       "\1",
	       14);
	expect_refused(&q, &gquic, SL_REASON_NOT_QUIC, false);
	d = long_packet(&q, QUIC_HANDSHAKE, true, cid, 8);
	append(&d, &gquic); /* after a packet it is a short header: no server sees a version */
	expect_passes(&q, &d);
	inproc_free(gw);
}

static void connections_of_a_flow_are_bounded(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d;

	for (int i = 0; i < 4; i++) {
		fresh_cid(q.dcid, 8);
		expect_hello_passes(&q);
	}
	fresh_cid(q.dcid, 8);
	d = initial_whole(&q);
	expect_refused(&q, &d, SL_REASON_HOLD_LIMIT, false);
	inproc_advance_s(gw, 121);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	expect_passes(&q, &d);
	inproc_free(gw);
}

static void another_connection_that_stalls_is_dropped_alone(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid), slow = quic_for(gw, ALLOWED);
	struct datagram d;

	slow.sport = q.sport;
	set_large_hello(&slow, ALLOWED);
	d = initial_of(&slow, 0, 1000);
	expect_held(&slow, &d);
	inproc_advance_s(gw, 11);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(count_of(gw, SL_REASON_HELLO_TIMEOUT), 1);
	expect_ack_passes(&q, cid);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_handshake_goes_through_and_leaves_nothing_behind),
	        cmocka_unit_test(a_judged_connection_is_only_looked_at_for_another_one),
	        cmocka_unit_test(a_client_that_was_answered_may_clear_the_fixed_bit),
	        cmocka_unit_test(a_short_header_that_begins_with_zero_goes_with_the_rest),
	        cmocka_unit_test(what_hides_behind_zeros_does_not_leave),
	        cmocka_unit_test(a_short_id_of_the_servers_is_not_believed_behind_a_zero),
	        cmocka_unit_test(judged_bytes_may_come_again_however_they_are_cut),
	        cmocka_unit_test(other_bytes_in_the_judged_range_do_not_leave),
	        cmocka_unit_test(initials_that_lie_do_not_leave),
	        cmocka_unit_test(a_server_may_choose_the_other_version),
	        cmocka_unit_test(a_retried_hello_of_the_same_name_passes),
	        cmocka_unit_test(a_retried_hello_of_another_name_does_not_leave),
	        cmocka_unit_test(a_retried_hello_in_two_datagrams_is_dropped_as_a_whole),
	        cmocka_unit_test(another_connection_of_the_same_name_passes),
	        cmocka_unit_test(another_connection_of_another_name_does_not_leave),
	        cmocka_unit_test(another_connection_is_judged_after_the_handshake_too),
	        cmocka_unit_test(other_versions_do_not_leave),
	        cmocka_unit_test(connections_of_a_flow_are_bounded),
	        cmocka_unit_test(another_connection_that_stalls_is_dropped_alone),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
