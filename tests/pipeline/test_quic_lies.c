/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quic_lies.c: QUIC under rule 3 up to the verdict: datagrams that are not QUIC, are
 * malformed or exceed a limit are refused with their reason, and nothing of them leaves.
 */
#include "quic_scene.h"

#define PQ_LEN 1800 /* of a hello with a post-quantum key share */

static void what_is_no_initial_first_is_not_quic(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d = initial_whole(&q);
	struct quic_options options = options_of(&q);
	const uint32_t versions[] = {0, 0xff00001d, 0x0a1a2a3a, 0x51303433, 0x51303530, 2};

	for (size_t i = 0; i < COUNT(versions); i++) {
		struct datagram other = d;

		ROW_NUMBER(versions[i]);
		for (int k = 0; k < 4; k++)
			other.bytes[1 + k] = (uint8_t)(versions[i] >> (24 - 8 * k));
		expect_refused(&q, &other, SL_REASON_NOT_QUIC, true);
	}
	d = short_packet(q.dcid, 8);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, true);
	d.len = quic_long(QUIC_ZERO_RTT, &options, 1300, d.bytes);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, true);
	d.len = quic_long(QUIC_HANDSHAKE, &options, 1300, d.bytes);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, true);
	d = (struct datagram){.len = 1300};
	memset(d.bytes, 'x', d.len);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, true);
	d.len = 0;
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, true);
	inproc_free(gw);
}

/* 0-RTT before the Initial, in one datagram: a server might buffer it. */
static void an_initial_behind_early_data_is_not_quic(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d = long_packet(&q, QUIC_ZERO_RTT, true, q.dcid, 8), more;

	more = initial_whole(&q);
	append(&d, &more);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, true);
	inproc_free(gw);
}

static void small_datagrams_and_short_ids_are_not_quic(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct quic_options options = options_of(&q);
	struct datagram d;

	options.dgram_len = 1199;
	d.len = quic_hello_dgram(&options, q.hello, 0, q.hello_len, d.bytes);
	assert_int_equal(d.len, 1199);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, true);
	q.dcid_len = 7;
	expect_hello_refused(&q, SL_REASON_NOT_QUIC, true);
	q.dcid_len = 0;
	expect_hello_refused(&q, SL_REASON_NOT_QUIC, true);
	inproc_free(gw);
}

static void initials_that_lie_are_malformed(void **state)
{
	static const struct {
		const char *what;
		bool tag_broken, fixed_bit_clear, other_keys;
		uint8_t reserved;
		int length_lie;
		uint32_t keys_version;
		enum sl_reason reason;
	} rows[] = {
	        {"broken tag", .tag_broken = true, .reason = SL_REASON_MALFORMED_QUIC},
	        {"reserved bits", .reserved = 1, .reason = SL_REASON_MALFORMED_QUIC},
	        {"length beyond the end", .length_lie = 1, .reason = SL_REASON_MALFORMED_QUIC},
	        {"another connection's keys", .other_keys = true,
	         .reason = SL_REASON_MALFORMED_QUIC},
	        {"the other version's keys", .keys_version = QUIC_V2,
	         .reason = SL_REASON_MALFORMED_QUIC},
	        /* it must not be greased here (RFC 9287): nothing shows that it is QUIC */
	        {"fixed bit clear", .fixed_bit_clear = true, .reason = SL_REASON_NOT_QUIC},
	};
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct quic_options options = options_of(&q);
	uint8_t frames[2000], ping = 1, stream[] = {0x08, 0, 'x'};
	size_t len = quic_crypto_frame(0, q.hello, q.hello_len, frames);
	struct datagram d;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct quic_options o = options;

		row(rows[i].what);
		o.tag_broken = rows[i].tag_broken;
		o.fixed_bit_clear = rows[i].fixed_bit_clear;
		o.reserved = rows[i].reserved;
		o.length_lie = rows[i].length_lie;
		o.keys_version = rows[i].keys_version;
		if (rows[i].other_keys) {
			o.keys_cid = q.scid;
			o.keys_cid_len = q.scid_len;
		}
		d.len = quic_initial(&o, frames, len, d.bytes);
		expect_refused(&q, &d, rows[i].reason, true);
	}
	row("no hello");
	d.len = quic_initial(&options, &ping, 1, d.bytes);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, true);
	row("a frame that is not allowed in an Initial");
	memcpy(frames + len, stream, sizeof(stream));
	d.len = quic_initial(&options, frames, len + sizeof(stream), d.bytes);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, true);
	inproc_free(gw);
}

static void two_connections_in_one_datagram_are_malformed(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED), evil = quic_for(gw, DENIED);
	struct datagram d = initial_whole(&q), more = initial_whole(&evil);

	append(&d, &more);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, true);
	inproc_free(gw);
}

static void conflicting_crypto_is_malformed(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	uint8_t frames[4000];
	size_t len = quic_crypto_frame(0, q.hello, q.hello_len, frames);
	struct datagram d;

	/* Twice in one datagram. */
	q.hello[100] ^= 1;
	len += quic_crypto_frame(50, q.hello + 50, 100, frames + len);
	d = initial(&q, frames, len);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, true);
	/* In the second of two. */
	set_large_hello(&q, ALLOWED);
	d = initial_of(&q, 0, 1000);
	expect_held(&q, &d);
	q.hello[999] ^= 1;
	d = initial_of(&q, 999, q.hello_len);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, true);
	assert_int_equal(inproc_held(gw), 0);
	inproc_free(gw);
}

static void bytes_behind_the_hello_are_malformed(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d;

	memset(q.hello + q.hello_len, 1, 10);
	d = initial_of(&q, 0, q.hello_len + 1);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, true);
	/* Far beyond it, before it is complete. */
	d = initial_of(&q, q.hello_len + 5, q.hello_len + 6);
	expect_held(&q, &d);
	d = initial_of(&q, 0, q.hello_len);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, true);
	inproc_free(gw);
}

static void another_handshake_message_is_malformed(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);

	q.hello[0] = 2;
	expect_hello_refused(&q, SL_REASON_MALFORMED_QUIC, true);
	inproc_free(gw);
}

static void hellos_beyond_hello_max_are_too_large(void **state)
{
	struct inproc *gw = gateway_with(POLICY, CONFIG "inspect: {hello-max: 1500}\n");
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d;

	set_large_hello(&q, ALLOWED);
	d = initial_of(&q, 0, 1000); /* its length is known */
	expect_refused(&q, &d, SL_REASON_HELLO_TOO_LARGE, true);
	d = initial_of(&q, 1000, q.hello_len); /* or its offset alone is too large */
	expect_refused(&q, &d, SL_REASON_HELLO_TOO_LARGE, true);
	set_hello(&q, &(struct hello_options){.name = ALLOWED, .total_len = 1500});
	d = initial_of(&q, 0, 1000);
	expect_held(&q, &d);
	d = initial_of(&q, 1000, 1500);
	expect(up(&q, &d), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(gw);
}

/* ---- on hold ---- */

static void a_small_or_broken_datagram_ends_the_hold(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (int i = 0; i < 2; i++) {
		struct quic q = quic_for(gw, ALLOWED);
		struct quic_options options;
		struct datagram d;

		set_large_hello(&q, ALLOWED);
		d = initial_of(&q, 0, 1000);
		expect_held(&q, &d);
		options = options_of(&q);
		options.dgram_len = i == 0 ? 1100 : 1200;
		options.tag_broken = i == 1;
		d.len = quic_hello_dgram(&options, q.hello, 1000, q.hello_len - 1000, d.bytes);
		expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, true);
		assert_int_equal(inproc_held(gw), 0);
	}
	inproc_free(gw);
}

/* Packets of another connection do not disturb the one on hold, and do not leave. */
static void foreign_datagrams_do_not_leave_during_a_hold(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED), other = quic_for(gw, ALLOWED);
	struct datagram one, two, d;

	set_large_hello(&q, ALLOWED);
	cut_in_two(&q, &one, &two);
	expect_held(&q, &one);
	d = initial_whole(&other);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	d = short_packet(q.dcid, 8);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, false);
	d = long_packet(&q, QUIC_HANDSHAKE, true, q.dcid, 8);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, false);
	d = long_packet(&q, QUIC_ZERO_RTT, true, other.dcid, 8);
	expect_refused(&q, &d, SL_REASON_NOT_QUIC, false);
	/* The server has not received anything yet. */
	d = short_packet(q.scid, 8);
	expect(down(&q, &d), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, SANDBOX), 0);
	expect(up(&q, &two), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(left(&q), 2);
	expect_left(&q, 0, &one);
	inproc_free(gw);
}

static void a_hello_that_stalls_times_out(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	const struct packet_view *view;
	struct datagram d;

	set_large_hello(&q, ALLOWED);
	d = initial_of(&q, 0, 1000);
	expect_held(&q, &d);
	inproc_advance_s(gw, 9.8);
	assert_int_equal(inproc_held(gw), 1);
	inproc_advance_s(gw, 0.4);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(count_of(gw, SL_REASON_HELLO_TIMEOUT), 1);
	assert_int_equal(left(&q), 0);
	last_event(gw, false, SL_REASON_HELLO_TIMEOUT);
	assert_int_equal(inproc_count(gw, SANDBOX), 1);
	view = &inproc_last(gw, SANDBOX)->view;
	assert_true(view->icmp_type == 3 && view->icmp_code == 13);
	d = initial_of(&q, 1000, q.hello_len);
	expect_held(&q, &d); /* from the start again */
	inproc_free(gw);
}

static void memory_on_hold_is_bounded_and_given_back(void **state)
{
	struct inproc *gw = gateway_with(POLICY, CONFIG "limits: {held-bytes-per-sandbox: 65536}\n"
	                                                "inspect: {hello-timeout: 2}\n");
	uint64_t held = 0;
	struct quic q;
	struct datagram d;

	for (int i = 0; i < 40; i++) {
		enum sl_reason reason;

		q = quic_for(gw, ALLOWED);
		set_large_hello(&q, ALLOWED);
		d = initial_of(&q, 0, 1000);
		reason = up(&q, &d);
		if (reason == SL_REASON_NONE) {
			held++;
		} else {
			expect(reason, SL_REASON_HOLD_LIMIT);
			break;
		}
	}
	assert_true(held > 5 && held < 40);
	assert_true(inproc_stats(gw, 0)->hold_bytes <= 65536);
	assert_int_equal(left(&q), 0);
	inproc_advance_s(gw, 3);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	d = initial_of(&q, 0, 1000);
	expect_held(&q, &d);
	inproc_free(gw);
}

static void decryption_is_rate_limited_before_it_is_paid(void **state)
{
	struct inproc *gw = inproc_create_with(&(struct inproc_options){
	        .policy = POLICY, .config = CONFIG, .relaxed = true, .checksums_full = true});
	struct quic q = quic_for(gw, DENIED);
	struct datagram d = initial_whole(&q);
	unsigned paid = 0;

	for (int i = 0; i < 6000; i++)
		paid += up(&q, &d) == SL_REASON_DOMAIN_NOT_ALLOWED;
	assert_true(paid >= 1000 && paid < 5000);
	assert_int_equal(count_of(gw, SL_REASON_RATE_LIMIT), 6000 - paid);
	inproc_advance_s(gw, 1);
	expect(up(&q, &d), SL_REASON_DOMAIN_NOT_ALLOWED);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_no_initial_first_is_not_quic),
	        cmocka_unit_test(an_initial_behind_early_data_is_not_quic),
	        cmocka_unit_test(small_datagrams_and_short_ids_are_not_quic),
	        cmocka_unit_test(initials_that_lie_are_malformed),
	        cmocka_unit_test(two_connections_in_one_datagram_are_malformed),
	        cmocka_unit_test(conflicting_crypto_is_malformed),
	        cmocka_unit_test(bytes_behind_the_hello_are_malformed),
	        cmocka_unit_test(another_handshake_message_is_malformed),
	        cmocka_unit_test(hellos_beyond_hello_max_are_too_large),
	        cmocka_unit_test(a_small_or_broken_datagram_ends_the_hold),
	        cmocka_unit_test(foreign_datagrams_do_not_leave_during_a_hold),
	        cmocka_unit_test(a_hello_that_stalls_times_out),
	        cmocka_unit_test(memory_on_hold_is_bounded_and_given_back),
	        cmocka_unit_test(decryption_is_rate_limited_before_it_is_paid),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
