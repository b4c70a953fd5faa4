/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hold.c: a hello of any segmentation is judged whole, and the judged bytes are the bytes that
 * leave (spec section 3).
 */
#include "hold_scene.h"

/* ---- the plain case, both ways ---- */

/* "the connection must prove an allowed name: TLS by its ClientHello's SNI"; the judged bytes are
 * the bytes that leave. */
static void hello_with_allowed_name_leaves_whole(void **state)
{
	struct conn c = opened();
	const struct sl_event *event;
	const struct packet_view *out;

	assert_int_equal(inproc_event_count(c.gw), 0);
	inproc_clear(c.gw);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_count(c.gw, UPLINK), 1);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	out = from_end(c.gw, UPLINK, 0);
	expect_segment(out, TCP_ACK | TCP_PSH, c.iss + 1, c.irs + 1);
	assert_int_equal(out->tci, 101);
	assert_string_equal(out->src_text, c.client);
	assert_string_equal(out->dst_text, c.server);
	expect_server_sees(&c, good.bytes, good.len);
	event = last_event(c.gw, true, SL_REASON_DOMAIN_ALLOWED);
	expect_event_name(event, ALLOWED);
	assert_int_equal(event->via, SL_VIA_TLS);
	assert_int_equal(event->vlan, 101);
	assert_int_equal(event->proto, 6);
	assert_int_equal(event->sport, c.sport);
	assert_int_equal(event->dport, 443);
	assert_int_equal(event->generation, 1);
	assert_string_equal(event->sandbox, "one");
	expect(SEND(&c, SERVER, .ack = (int64_t)good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, 0, (int64_t)good.len, server_hello, server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
	assert_true(inproc_left(c.gw, SANDBOX, server_hello, server_hello_len));
	expect(after(&c, 0, "more", 4), SL_REASON_DOMAIN_ALLOWED);
	assert_true(packet_view_says(from_end(c.gw, UPLINK, 0), "more"));
	inproc_free(c.gw);
}

/* "a judged TLS flow: TLS alert access_denied and RST to the sandbox, RST to the server". */
static void hello_with_denied_name_never_leaves(void **state)
{
	struct conn c = opened();
	const struct packet_view *out;
	const struct sl_event *event;

	inproc_clear(c.gw);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	assert_false(inproc_left(c.gw, UPLINK, "evil", 4));
	expect_server_sees_nothing(&c);
	assert_int_equal(inproc_count(c.gw, UPLINK), 1);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 1, c.irs + 1);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 2);
	out = from_end(c.gw, SANDBOX, 1);
	expect_segment(out, TCP_ACK | TCP_PSH, c.irs + 1, c.iss + 1 + (uint32_t)evil.len);
	assert_int_equal(out->payload_len, sizeof(access_denied));
	assert_memory_equal(out->payload, access_denied, sizeof(access_denied));
	out = from_end(c.gw, SANDBOX, 0);
	expect_segment(out, TCP_RST | TCP_ACK, c.irs + 1 + sizeof(access_denied),
	               c.iss + 1 + (uint32_t)evil.len);
	event = last_event(c.gw, false, SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_event_name(event, DENIED);
	assert_int_equal(event->via, SL_VIA_TLS);
	assert_int_equal(count_of(c.gw, SL_REASON_DOMAIN_NOT_ALLOWED), 1);
	inproc_free(c.gw);
}

/* What still comes of a refused connection is refused on both sides and reset. */
static void hello_denied_later_segments_are_reset_on_both_sides(void **state)
{
	struct conn c = opened();

	client(&c, 0, evil.bytes, evil.len);
	inproc_clear(c.gw);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST, c.irs + 1, 0);
	expect(server(&c, 0, 0, "late", 4), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST, c.iss + 1, 0);
	assert_false(inproc_left(c.gw, SANDBOX, "late", 4));
	inproc_free(c.gw);
}

/* "TLS by its ClientHello's SNI on any TCP port". */
static void hello_on_any_port_is_judged(void **state)
{
	static const uint16_t ports[] = {1, 22, 25, 80, 443, 853, 5432, 8443, 65535};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(ports); i++) {
		struct conn c = conn_of(gw);

		ROW_NUMBER(ports[i]);
		c.dport = ports[i];
		handshake(&c);
		expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
		expect_server_sees(&c, good.bytes, good.len);
		c.sport += 1000;
		handshake(&c);
		expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
		expect_server_sees_nothing(&c);
	}
	inproc_free(gw);
}

/* The same over IPv6, options and numbers included. */
static void hello_over_ipv6_is_judged_alike(void **state)
{
	struct conn c = conn_of(gateway(POLICY)), d;

	c.client = "fd00::2";
	c.server = "2001:db8:7::1";
	d = c;
	d.sport++;
	handshake(&c);
	expect(client(&c, 0, good.bytes, 90), SL_REASON_NONE);
	expect(client(&c, 90, good.bytes + 90, good.len - 90), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	handshake(&d);
	expect(client(&d, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&d);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, d.iss + 1, d.irs + 1);
	expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST | TCP_ACK, d.irs + 8,
	               d.iss + 1 + (uint32_t)evil.len);
	inproc_free(c.gw);
}

/* Sequence numbers wrap; verdicts do not. */
static void hello_across_the_wrap_of_numbers_is_judged(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (uint32_t back = 0; back < 24; back++) {
		struct conn c = conn_of(gw), d = conn_of(gw);

		c.iss = d.iss = 0u - back;
		c.irs = d.irs = 0u - 12 + back;
		handshake(&c);
		expect(client(&c, 11, good.bytes + 11, good.len - 11), SL_REASON_NONE);
		expect(client(&c, 0, good.bytes, 11), SL_REASON_DOMAIN_ALLOWED);
		expect_server_sees(&c, good.bytes, good.len);
		expect(SEND(&c, SERVER, .ack = (int64_t)good.len), SL_REASON_DOMAIN_ALLOWED);
		handshake(&d);
		expect(client(&d, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
		expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, d.irs + 8,
		               d.iss + 1 + (uint32_t)evil.len);
	}
	inproc_free(gw);
}

/* ---- segmentation ---- */

/* Sends a stream in the order of the given pieces; the last one completes it. */
struct piece {
	size_t from, to;
};

static enum sl_reason send_pieces(const struct conn *c, const struct hello *hello,
                                  const struct piece *pieces, size_t n)
{
	enum sl_reason reason = SL_REASON_NONE;

	for (size_t i = 0; i < n; i++) {
		expect_server_sees_nothing(c);
		reason = client(c, (int64_t)pieces[i].from, hello->bytes + pieces[i].from,
		                pieces[i].to - pieces[i].from);
	}
	return reason;
}

/* "put together from any segmentation and order": two segments, cut at every place, both orders. */
static void hello_cut_at_every_place_is_judged_in_both_orders(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (size_t cut = 1; cut < good.len; cut++) {
		for (int swap = 0; swap < 2; swap++) {
			struct piece halves[2] = {{0, cut}, {cut, good.len}}, turned[2];
			struct conn c = conn_of(gw), d = conn_of(gw);

			turned[0] = halves[swap];
			turned[1] = halves[!swap];
			handshake(&c);
			expect(send_pieces(&c, &good, turned, 2), SL_REASON_DOMAIN_ALLOWED);
			expect_server_sees(&c, good.bytes, good.len);
			handshake(&d);
			expect(send_pieces(&d, &evil, turned, 2), SL_REASON_DOMAIN_NOT_ALLOWED);
			expect_server_sees_nothing(&d);
			inproc_clear(gw);
			inproc_advance_s(gw, 0.1);
		}
	}
	inproc_free(gw);
}

static void one_byte_segments(bool reversed, bool twice)
{
	struct inproc *gw = gateway(POLICY);
	const struct hello *hellos[2] = {&good, &evil};
	const enum sl_reason reasons[2] = {SL_REASON_DOMAIN_ALLOWED, SL_REASON_DOMAIN_NOT_ALLOWED};

	for (int h = 0; h < 2; h++) {
		struct conn c = conn_of(gw);
		enum sl_reason reason = SL_REASON_NONE;

		handshake(&c);
		for (size_t i = 0; i < hellos[h]->len; i++) {
			size_t at = reversed ? hellos[h]->len - 1 - i : i;

			expect(reason, SL_REASON_NONE);
			reason = client(&c, (int64_t)at, hellos[h]->bytes + at, 1);
			if (twice && i + 1 < hellos[h]->len)
				expect(client(&c, (int64_t)at, hellos[h]->bytes + at, 1),
				       SL_REASON_DUPLICATE);
		}
		expect(reason, reasons[h]);
		assert_int_equal(count_of(gw, reasons[h]), hellos[h]->len);
		if (h == 0)
			expect_server_sees(&c, good.bytes, good.len);
		else
			expect_server_sees_nothing(&c);
	}
	inproc_free(gw);
}

/* "1-byte segments". */
static void hello_in_one_byte_segments_is_judged(void **state)
{
	one_byte_segments(false, false);
}

/* "reversed". */
static void hello_in_one_byte_segments_reversed_is_judged(void **state)
{
	one_byte_segments(true, false);
}

/* "duplicated". */
static void hello_in_one_byte_segments_duplicated_is_judged(void **state)
{
	one_byte_segments(true, true);
}

/* Overlaps with equal bytes are what a retransmission with other cuts looks like. */
static void hello_in_overlapping_equal_segments_is_judged(void **state)
{
	struct conn c = opened();
	struct piece pieces[] = {{50, 90}, {10, 60}, {80, 120}, {0, 20}, {110, good.len}};

	expect(send_pieces(&c, &good, pieces, COUNT(pieces)), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* "one different byte ends the flow (stream-conflict)": before the verdict, at any place. */
static void hello_overlap_with_a_different_byte_conflicts(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (size_t at = 0; at < 100; at += 7) {
		struct conn c = conn_of(gw);
		uint8_t other = good.bytes[at] ^ 1;

		handshake(&c);
		expect(first_half(&c, &good), SL_REASON_NONE);
		expect(client(&c, (int64_t)at, &other, 1), SL_REASON_STREAM_CONFLICT);
		expect_ended(&c, SL_REASON_STREAM_CONFLICT);
		/* what would have completed it does not either */
		expect(second_half(&c, &good), SL_REASON_STREAM_CONFLICT);
		expect_server_sees_nothing(&c);
	}
	inproc_free(gw);
}

/* "any TLS record fragmentation": records of every size from one byte up. */
static void hello_in_records_of_any_size_is_judged(void **state)
{
	static struct hello cut;
	struct inproc *gw = gateway(POLICY);

	for (size_t fragment = 1; fragment < 60; fragment++) {
		struct conn c = conn_of(gw), d = conn_of(gw);

		hello_with(&cut, &(struct hello_options){.name = ALLOWED}, fragment);
		handshake(&c);
		client(&c, 0, cut.bytes, cut.len / 2);
		expect(client(&c, (int64_t)cut.len / 2, cut.bytes + cut.len / 2,
		              cut.len - cut.len / 2),
		       SL_REASON_DOMAIN_ALLOWED);
		expect_server_sees(&c, cut.bytes, cut.len);
		hello_with(&cut, &(struct hello_options){.name = DENIED}, fragment);
		handshake(&d);
		expect(client(&d, 0, cut.bytes, cut.len), SL_REASON_DOMAIN_NOT_ALLOWED);
		expect_server_sees_nothing(&d);
	}
	inproc_free(gw);
}

/* "Post-quantum hellos of 1.7 KB and more in two segments are the normal case". */
static void hello_of_1900_bytes_in_two_segments_leaves(void **state)
{
	static struct hello large;
	struct conn c = opened();

	hello_with(&large, &(struct hello_options){.name = ALLOWED, .total_len = 1900}, 0);
	expect(client(&c, 0, large.bytes, 1440), SL_REASON_NONE);
	assert_int_equal(inproc_held(c.gw), 1);
	expect_server_sees_nothing(&c);
	expect(client(&c, 1440, large.bytes + 1440, large.len - 1440), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_held(c.gw), 0);
	assert_int_equal(count_of(c.gw, SL_REASON_DOMAIN_ALLOWED), 2);
	expect_server_sees(&c, large.bytes, large.len);
	inproc_free(c.gw);
}

static enum sl_reason send_large(const struct conn *c, size_t total)
{
	static struct hello large;
	enum sl_reason reason = SL_REASON_NONE;

	hello_with(&large, &(struct hello_options){.name = ALLOWED, .total_len = total}, 0);
	for (size_t at = 0; at < large.len && reason == SL_REASON_NONE; at += 1400) {
		size_t n = large.len - at < 1400 ? large.len - at : 1400;

		reason = client(c, (int64_t)at, large.bytes + at, n);
	}
	if (reason == SL_REASON_DOMAIN_ALLOWED)
		expect_server_sees(c, large.bytes, large.len);
	else
		expect_server_sees_nothing(c);
	return reason;
}

/* "up to hello-max (16 KiB; honest hellos of 11 KB exist)". */
static void hello_up_to_hello_max_leaves(void **state)
{
	static const size_t sizes[] = {1900, 5000, 11400, 16383, 16384};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct conn c = opened();

		ROW_NUMBER(sizes[i]);
		expect(send_large(&c, sizes[i]), SL_REASON_DOMAIN_ALLOWED);
		inproc_free(c.gw);
	}
}

/* Beyond hello-max: hello-too-large, with the alert, as soon as the length is known. */
static void hello_beyond_hello_max_is_refused(void **state)
{
	struct conn c = opened();

	expect(send_large(&c, 16385), SL_REASON_HELLO_TOO_LARGE);
	expect_ended(&c, SL_REASON_HELLO_TOO_LARGE);
	assert_memory_equal(from_end(c.gw, SANDBOX, 1)->payload, access_denied, 7);
	inproc_free(c.gw);

	c = conn_of(gateway_with(POLICY, CONFIG "inspect: {hello-max: 1000}\n"));
	handshake(&c);
	expect(send_large(&c, 1000), SL_REASON_DOMAIN_ALLOWED);
	c.sport++;
	handshake(&c);
	expect(send_large(&c, 1001), SL_REASON_HELLO_TOO_LARGE);
	inproc_free(c.gw);
}

/* "in = forwarded + dropped + held. Always": as many one-byte segments as a hold can take. */
static void hello_behind_65535_one_byte_segments_is_counted(void **state)
{
	struct conn c = conn_of(inproc_create_with(&(struct inproc_options){
	        .policy = POLICY, .config = CONFIG, .checksums_full = true, .relaxed = true}));
	static const uint8_t scale[] = {3, 3, 7, 0};
	static uint8_t stream[65536];

	memset(stream, 0x55, sizeof(stream));
	memcpy(stream, good.bytes, good.len);
	SEND(&c, CLIENT, .flags = TCP_SYN, .options = scale, .options_len = 4);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .options = scale, .options_len = 4);
	SEND(&c, SERVER, .window = PKT_SET(65535));
	for (size_t at = sizeof(stream); at-- > 1;)
		client(&c, (int64_t)at, stream + at, 1);
	assert_int_equal(inproc_held(c.gw), 65535);
	expect(client(&c, 0, stream, 1), SL_REASON_NONE);
	assert_int_equal(inproc_held(c.gw), 65536);
	SEND(&c, SERVER, .ack = (int64_t)good.len, .bytes = server_hello, .len = server_hello_len,
	     .flags = TCP_ACK);
	assert_int_equal(inproc_held(c.gw), 0);
	assert_int_equal(count_of(c.gw, SL_REASON_DOMAIN_ALLOWED), 65537);
	inproc_check(c.gw);
	expect_server_sees(&c, stream, sizeof(stream));
	inproc_free(c.gw);
}

/* "Chained mbufs are walked": the hello lies in segments of an mbuf chain of any size. */
static void hello_in_chained_mbufs_is_judged(void **state)
{
	static const uint32_t segments[] = {1,  7,  13, 14,  17,  18,  33, 54,
	                                    58, 60, 64, 100, 127, 128, 129};

	for (size_t i = 0; i < COUNT(segments); i++) {
		struct conn c = conn_of(
		        inproc_create_with(&(struct inproc_options){.policy = POLICY,
		                                                    .config = CONFIG,
		                                                    .checksums_full = true,
		                                                    .segment = segments[i]}));
		struct conn d = c;

		ROW_NUMBER(segments[i]);
		handshake(&c);
		expect(first_half(&c, &good), SL_REASON_NONE);
		expect(client(&c, 60, good.bytes + 60, good.len - 60), SL_REASON_DOMAIN_ALLOWED);
		expect_server_sees(&c, good.bytes, good.len);
		expect(client(&c, 60, good.bytes + 60, good.len - 60), SL_REASON_DOMAIN_ALLOWED);
		expect(client(&c, 60, evil.bytes + 60, evil.len - 60), SL_REASON_STREAM_CONFLICT);
		expect_server_sees(&c, good.bytes, good.len);
		d.sport++;
		handshake(&d);
		expect(client(&d, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
		expect_server_sees_nothing(&d);
		inproc_free(c.gw);
	}
}

/* Segments of one burst are judged in the order in which they came. */
static void hello_in_one_burst_with_its_syn_is_held_back(void **state)
{
	struct conn c = conn_of(gateway(POLICY));
	struct packet burst[3] = {
	        segment(&c, &(struct seg){CLIENT, .flags = TCP_SYN}),
	        segment(&c, &(struct seg){CLIENT}),
	        segment(&c, &(struct seg){CLIENT, .bytes = evil.bytes, .len = evil.len})};

	inproc_send_burst(c.gw, SANDBOX, burst, 3);
	assert_int_equal(inproc_count(c.gw, UPLINK), 1);
	expect_server_sees_nothing(&c);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK);
	burst[0] = burst[1];
	burst[1] = burst[2];
	expect(inproc_send_burst(c.gw, SANDBOX, burst, 2), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(hello_with_allowed_name_leaves_whole),
	        TEST(hello_with_denied_name_never_leaves),
	        TEST(hello_denied_later_segments_are_reset_on_both_sides),
	        TEST(hello_on_any_port_is_judged),
	        TEST(hello_over_ipv6_is_judged_alike),
	        TEST(hello_across_the_wrap_of_numbers_is_judged),
	        TEST(hello_cut_at_every_place_is_judged_in_both_orders),
	        TEST(hello_in_one_byte_segments_is_judged),
	        TEST(hello_in_one_byte_segments_reversed_is_judged),
	        TEST(hello_in_one_byte_segments_duplicated_is_judged),
	        TEST(hello_in_overlapping_equal_segments_is_judged),
	        TEST(hello_overlap_with_a_different_byte_conflicts),
	        TEST(hello_in_records_of_any_size_is_judged),
	        TEST(hello_of_1900_bytes_in_two_segments_leaves),
	        TEST(hello_up_to_hello_max_leaves),
	        TEST(hello_beyond_hello_max_is_refused),
	        TEST(hello_behind_65535_one_byte_segments_is_counted),
	        TEST(hello_in_chained_mbufs_is_judged),
	        TEST(hello_in_one_burst_with_its_syn_is_held_back),
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
