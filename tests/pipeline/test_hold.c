/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hold.c: TLS over TCP under rule 3: what leaves before the verdict, what is judged, and that
 * the judged bytes are the bytes that leave (spec section 3, first three bullets, and section 2's
 * table). The sandbox's side and the server's side are both played by the test.
 */
#include "scene.h"

#define POLICY                                                                                     \
	"sandboxes:\n"                                                                             \
	"  - {vlan: 101, name: one, policy: {allow: [good.example, '*.good.example']}}\n"          \
	"  - {vlan: 102, policy: {allow: [good.example]}}\n"                                       \
	"  - {vlan: 103}\n"

#define HALF 107 /* a cut in the middle of the name */

static const uint8_t ssl_request[8] = {0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f};
static const uint8_t access_denied[7] = {21, 3, 3, 0, 2, 2, 49};

static struct hello good, evil;
static uint8_t server_hello[128], retry[128]; /* one record each */
static size_t server_hello_len, retry_len;

static int build_hellos(void **state)
{
	uint8_t msg[128];

	hello_for(&good, ALLOWED);
	hello_for(&evil, DENIED);
	server_hello_len = hello_record(22, msg, hello_server(false, msg), server_hello);
	retry_len = hello_record(22, msg, hello_server(true, msg), retry);
	return 0;
}

/* Opens a connection on a gateway of its own, ready for the hello. */
static struct conn opened(void)
{
	struct conn c = conn_of(gateway(POLICY));

	handshake(&c);
	return c;
}

/* A flow whose hello is judged, let out, acknowledged, and answered. */
static void judged_and_answered(const struct conn *c)
{
	expect(client(c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(c, SERVER, .ack = (int64_t)good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(server(c, 0, (int64_t)good.len, server_hello, server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
}

/* The server's stream is untouched and both sides were told. */
static void expect_ended(const struct conn *c, enum sl_reason reason)
{
	expect_server_sees_nothing(c);
	last_event(c->gw, false, reason);
	assert_int_equal(from_end(c->gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
	assert_int_equal(from_end(c->gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
	assert_int_equal(inproc_held(c->gw), 0);
}

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
	expect(client(&c, (int64_t)good.len, "more", 4), SL_REASON_DOMAIN_ALLOWED);
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
		expect(client(&c, 0, good.bytes, HALF), SL_REASON_NONE);
		expect(client(&c, (int64_t)at, &other, 1), SL_REASON_STREAM_CONFLICT);
		expect_ended(&c, SL_REASON_STREAM_CONFLICT);
		/* what would have completed it does not either */
		expect(client(&c, HALF, good.bytes + HALF, good.len - HALF),
		       SL_REASON_STREAM_CONFLICT);
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

		handshake(&c);
		expect(client(&c, 0, good.bytes, HALF), SL_REASON_NONE);
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

/* ---- time ---- */

/* "what stalls ends as hello-timeout", with RST on both sides. */
static void hello_that_stalls_times_out(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, good.len - 1), SL_REASON_NONE);
	inproc_advance_s(c.gw, 9.8);
	assert_int_equal(inproc_held(c.gw), 1);
	inproc_clear(c.gw);
	inproc_advance_s(c.gw, 0.4);
	expect_ended(&c, SL_REASON_HELLO_TIMEOUT);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 1, c.irs + 1);
	expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 1,
	               c.iss + (uint32_t)good.len);
	assert_int_equal(count_of(c.gw, SL_REASON_HELLO_TIMEOUT), 1);
	expect(client(&c, (int64_t)good.len - 1, good.bytes + good.len - 1, 1),
	       SL_REASON_HELLO_TIMEOUT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A connection that says nothing at all ends in the same way. */
static void hello_that_never_comes_times_out(void **state)
{
	struct conn c = opened();

	inproc_advance_s(c.gw, 9.8);
	assert_int_equal(inproc_event_count(c.gw), 0);
	inproc_advance_s(c.gw, 0.4);
	expect_ended(&c, SL_REASON_HELLO_TIMEOUT);
	inproc_free(c.gw);
}

/* A hello that was judged in time is not ended for what the server does then. */
static void hello_judged_late_has_time_to_be_acknowledged(void **state)
{
	struct conn c = opened();

	inproc_advance_s(c.gw, 9.5);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_advance_s(c.gw, 2);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, SERVER, .ack = (int64_t)good.len), SL_REASON_DOMAIN_ALLOWED);
	/* nor for how long it thinks about it */
	inproc_advance_s(c.gw, 60);
	expect(server(&c, 0, (int64_t)good.len, server_hello, server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* A SYN that nobody answers is forgotten after `tcp-opening`, without a word. */
static void syn_without_answer_is_forgotten(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 1);
	inproc_clear(c.gw);
	inproc_advance_s(c.gw, 31);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 0);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	inproc_free(c.gw);
}

/* What the gateway sends in the sandbox's place keeps the sandbox's priority (spec section 2). */
static void priority_of_the_sandbox_is_kept(void **state)
{
	struct conn c = conn_of(gateway(POLICY));
	const uint64_t tci = PKT_SET(5 << 13 | 101);

	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK);
	SEND(&c, CLIENT, .bytes = good.bytes, .len = good.len, .tci = tci, .tos = 0xb9);
	expect_server_sees(&c, good.bytes, good.len);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->tci, 5 << 13 | 101);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->ip[1], 0xb8); /* ECN is the transport's */
	expect(client(&c, 0, evil.bytes, good.len), SL_REASON_STREAM_CONFLICT);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->tci, 5 << 13 | 101);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->ip[1], 0xb8);
	inproc_free(c.gw);
}

/* ---- PostgreSQL ---- */

/* "the eight fixed bytes of a PostgreSQL SSLRequest; then the server's `S`; then the hello". */
static void postgres_then_allowed_hello_leaves(void **state)
{
	struct conn c = opened();
	static uint8_t all[8 + sizeof(good.bytes)];

	expect(client(&c, 0, ssl_request, 8), SL_REASON_NONE);
	expect_server_sees(&c, ssl_request, 8);
	expect(server(&c, 0, 8, "S", 1), SL_REASON_NONE);
	assert_true(packet_view_says(from_end(c.gw, SANDBOX, 0), "S"));
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1), SL_REASON_NONE);
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = good.bytes, .len = good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	memcpy(all, ssl_request, 8);
	memcpy(all + 8, good.bytes, good.len);
	expect_server_sees(&c, all, 8 + good.len);
	expect(SEND(&c, SERVER, .at = 1, .ack = 8 + (int64_t)good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

static void postgres_then_denied_hello_never_leaves(void **state)
{
	struct conn c = opened();

	client(&c, 0, ssl_request, 8);
	server(&c, 0, 8, "S", 1);
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = evil.bytes, .len = evil.len),
	       SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees(&c, ssl_request, 8);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 9, c.irs + 2);
	expect_segment(from_end(c.gw, SANDBOX, 1), TCP_PSH | TCP_ACK, c.irs + 2,
	               c.iss + 9 + (uint32_t)evil.len);
	expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 9,
	               c.iss + 9 + (uint32_t)evil.len);
	inproc_free(c.gw);
}

/* The numbers are right where the server's stream wraps between its SYN and its `S`. */
static void postgres_across_the_wrap_resets_with_right_numbers(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	c.irs = 0xfffffffe;
	handshake(&c);
	client(&c, 0, ssl_request, 8);
	server(&c, 0, 8, "S", 1);
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1), SL_REASON_NONE);
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = evil.bytes, .len = evil.len),
	       SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 9,
	               c.iss + 9 + (uint32_t)evil.len);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 9, c.irs + 2);
	inproc_free(c.gw);
}

/* Nothing of the hello leaves before the `S`, though it is there; then it is judged at once. */
static void postgres_hello_before_the_answer_waits_for_it(void **state)
{
	const struct hello *hellos[2] = {&good, &evil};

	for (int h = 0; h < 2; h++) {
		struct conn c = opened();
		static uint8_t all[8 + sizeof(good.bytes)];

		memcpy(all, ssl_request, 8);
		memcpy(all + 8, hellos[h]->bytes, hellos[h]->len);
		expect(client(&c, 0, all, 8 + hellos[h]->len), SL_REASON_NONE);
		expect_server_sees(&c, all, 8);
		server(&c, 0, 8, "S", 1);
		expect_server_sees(&c, all, h == 0 ? 8 + good.len : 8);
		last_event(c.gw, h == 0,
		           h == 0 ? SL_REASON_DOMAIN_ALLOWED : SL_REASON_DOMAIN_NOT_ALLOWED);
		inproc_free(c.gw);
	}
}

/* The request may be cut anywhere, too; a lost one may come again. */
static void postgres_request_in_pieces_and_again_leaves_once_judged(void **state)
{
	struct conn c = opened();

	expect(client(&c, 4, ssl_request + 4, 4), SL_REASON_NONE);
	expect(client(&c, 0, ssl_request, 3), SL_REASON_NONE);
	expect_server_sees_nothing(&c);
	expect(client(&c, 3, ssl_request + 3, 1), SL_REASON_NONE);
	expect_server_sees(&c, ssl_request, 8);
	inproc_clear(c.gw);
	expect(client(&c, 0, ssl_request, 8), SL_REASON_DUPLICATE);
	expect_server_sees(&c, ssl_request, 8);
	expect(client(&c, 0, "\0\0\0\10\4\xd2\x16\x31", 8), SL_REASON_STREAM_CONFLICT);
	expect_server_sees(&c, ssl_request, 8);
	inproc_free(c.gw);
}

static const uint8_t gss_request[8] = {0, 0, 0, 8, 4, 0xd2, 0x16, 0x30};

/* libpq asks for GSSAPI first where a ticket is about; `N`, and it asks for TLS. */
static void postgres_asked_for_gssapi_first_leaves(void **state)
{
	const struct hello *hellos[2] = {&good, &evil};

	for (int h = 0; h < 2; h++) {
		struct conn c = opened();
		static uint8_t all[16 + sizeof(good.bytes)];

		memcpy(all, gss_request, 8);
		memcpy(all + 8, ssl_request, 8);
		memcpy(all + 16, hellos[h]->bytes, hellos[h]->len);
		expect(client(&c, 0, all, 8), SL_REASON_NONE);
		expect_server_sees(&c, all, 8);
		expect(server(&c, 0, 8, "N", 1), SL_REASON_NONE);
		expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = all + 8, .len = 8),
		       SL_REASON_NONE);
		expect_server_sees(&c, all, 16);
		expect(server(&c, 1, 16, "S", 1), SL_REASON_NONE);
		/* either may come again, and nothing else may */
		expect(server(&c, 0, 16, "N", 1), SL_REASON_NONE);
		expect(server(&c, 1, 16, "S", 1), SL_REASON_NONE);
		expect(SEND(&c, CLIENT, .at = 16, .ack = 2, .bytes = all + 16,
		            .len = hellos[h]->len),
		       h == 0 ? SL_REASON_DOMAIN_ALLOWED : SL_REASON_DOMAIN_NOT_ALLOWED);
		expect_server_sees(&c, all, h == 0 ? 16 + good.len : 16);
		inproc_free(c.gw);
	}
}

/* What follows a `G` is not TLS; a second request for it, or what is neither, does not leave. */
static void postgres_gssapi_itself_is_not_tls(void **state)
{
	struct conn c = opened();

	client(&c, 0, gss_request, 8);
	expect(server(&c, 0, 8, "G", 1), SL_REASON_NOT_TLS);
	last_event(c.gw, false, SL_REASON_NOT_TLS);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
	inproc_free(c.gw);
	for (int startup = 0; startup < 2; startup++) {
		static const uint8_t plain[8] = {0, 0, 0, 8, 0, 3, 0, 0};

		c = opened();
		client(&c, 0, gss_request, 8);
		server(&c, 0, 8, "N", 1);
		expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = startup ? plain : gss_request,
		            .len = 8),
		       SL_REASON_NOT_TLS);
		expect_server_sees(&c, gss_request, 8);
		inproc_free(c.gw);
	}
}

/* Anything but `S` ends the connection and is not delivered. */
static void postgres_another_answer_is_refused(void **state)
{
	static const char *const answers[] = {"N", "E", "s", "SS", "SERROR", "\x16", "\0"};

	for (size_t i = 0; i < COUNT(answers); i++) {
		struct conn c = opened();
		size_t len = i == COUNT(answers) - 1 ? 1 : strlen(answers[i]);

		client(&c, 0, ssl_request, 8);
		inproc_clear(c.gw);
		expect(server(&c, 0, 8, answers[i], len), SL_REASON_NOT_TLS);
		last_event(c.gw, false, SL_REASON_NOT_TLS);
		assert_int_equal(inproc_count(c.gw, SANDBOX), 1);
		assert_int_equal(from_end(c.gw, SANDBOX, 0)->payload_len, 0);
		inproc_free(c.gw);
	}
}

/* The `S` may come again if it was lost; more from the server may not, before the hello. */
static void postgres_answer_again_passes_but_nothing_behind_it(void **state)
{
	struct conn c = opened();

	client(&c, 0, ssl_request, 8);
	server(&c, 0, 8, "S", 1);
	expect(server(&c, 0, 8, "S", 1), SL_REASON_NONE);
	assert_true(packet_view_says(from_end(c.gw, SANDBOX, 0), "S"));
	expect(server(&c, 1, 8, "x", 1), SL_REASON_NOT_TLS);
	assert_false(packet_view_says(from_end(c.gw, SANDBOX, 0), "x"));
	inproc_free(c.gw);
}

/* Other eight bytes are no SSLRequest: nothing of them leaves. */
static void postgres_lookalikes_are_not_tls(void **state)
{
	static const uint8_t others[][8] = {
	        {0, 0, 0, 8, 4, 0xd2, 0x16, 0x31},
	        {0, 0, 0, 8, 4, 0xd2, 0x16, 0x2e}, /* CancelRequest */
	        {0, 0, 0, 9, 4, 0xd2, 0x16, 0x2f},
	        {0, 0, 0, 8, 0, 3, 0, 0},
	};

	for (size_t i = 0; i < COUNT(others); i++) {
		struct conn c = opened();

		expect(client(&c, 0, others[i], 8), SL_REASON_NOT_TLS);
		expect_ended(&c, SL_REASON_NOT_TLS);
		inproc_free(c.gw);
	}
}

/* ---- server-first ---- */

/* "Server-first bytes: not-tls, and they are not delivered." */
static void server_first_bytes_are_not_delivered(void **state)
{
	struct conn c = opened();

	inproc_clear(c.gw);
	expect(server(&c, 0, 0, "SSH-2.0-x\r\n", 11), SL_REASON_NOT_TLS);
	expect_ended(&c, SL_REASON_NOT_TLS);
	assert_false(inproc_left(c.gw, SANDBOX, "SSH", 3));
	inproc_free(c.gw);
}

/* The same where they ride on the SYN/ACK, or on one that comes again. */
static void server_first_bytes_on_the_syn_ack_are_not_delivered(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .bytes = "SSH", .len = 3),
	       SL_REASON_NOT_TLS);
	assert_false(inproc_left(c.gw, SANDBOX, "SSH", 3));
	inproc_free(c.gw);

	c = opened();
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .bytes = "SSH", .len = 3),
	       SL_REASON_NOT_TLS);
	assert_false(inproc_left(c.gw, SANDBOX, "SSH", 3));
	inproc_free(c.gw);
}

/* And where the hello is on hold, incomplete. */
static void server_first_bytes_while_on_hold_end_the_flow(void **state)
{
	struct conn c = opened();

	client(&c, 0, good.bytes, HALF);
	expect(server(&c, 0, 0, "220 hi\r\n", 8), SL_REASON_NOT_TLS);
	expect_ended(&c, SL_REASON_NOT_TLS);
	inproc_free(c.gw);
}

/* ---- what leaves before the verdict ---- */

/* "the SYN (payload cut off, Fast Open option turned to NOPs)". */
static void syn_with_payload_and_fast_open_leaves_clean(void **state)
{
	static const uint8_t options[] = {2,   4,   5,   0xb4, 34, 10, 'c', 'o', 'o', 'k',  'i',
	                                  'e', '!', '!', 4,    2,  3,  3,   7,   8,   10,   0,
	                                  0,   0,   1,   0,    0,  0,  0,   254, 4,   0xf9, 0x89};
	static const uint8_t clean[] = {2, 4, 5,  0xb4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 2, 3, 3,
	                                7, 8, 10, 0,    0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1};
	struct conn c = conn_of(gateway(POLICY));
	const struct packet_view *out;

	expect(SEND(&c, CLIENT, .flags = TCP_SYN, .options = options,
	            .options_len = sizeof(options), .bytes = good.bytes, .len = good.len,
	            .reserved = 0xf, .urgent = PKT_SET(0x4141)),
	       SL_REASON_NONE);
	out = from_end(c.gw, UPLINK, 0);
	expect_segment(out, TCP_SYN, c.iss, 0);
	assert_int_equal(out->payload_len, 0);
	assert_int_equal(out->options_len, sizeof(clean));
	assert_memory_equal(out->options, clean, sizeof(clean));
	assert_int_equal(out->l4[12] & 0x0f, 0);
	assert_int_equal(out->urgent, 0);
	expect_zero_trailer(out);
	assert_false(inproc_left(c.gw, UPLINK, "cookie", 6));
	/* the server takes the SYN alone, and the hello is judged as ever */
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* A server that took the SYN's payload says so by its ACK; that is not believed. */
static void syn_ack_of_more_than_the_syn_is_dropped(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN, .bytes = evil.bytes, .len = evil.len);
	inproc_clear(c.gw);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .ack = (int64_t)evil.len),
	       SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .ack = -1), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_NONE);
	inproc_free(c.gw);
}

/* "no options but MSS, window scale, SACK and timestamps (others become NOP)", of every kind. */
static void options_of_every_kind_only_four_leave(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (unsigned kind = 0; kind < 256; kind++) {
		struct conn c = conn_of(gw);
		uint8_t option[12] = {(uint8_t)kind, 10,  'a', 'b', 'c', 'd',
		                      'e',           'f', 'g', 'h', 1,   1};
		bool passes = kind == 5 || kind == 8; /* 10 bytes fit only these */

		if (kind == 1) /* a NOP has no length */
			option[1] = 1;
		handshake(&c);
		inproc_clear(gw);
		if (kind == 1)
			continue;
		expect(SEND(&c, CLIENT, .options = option, .options_len = 12), SL_REASON_NONE);
		assert_int_equal(inproc_left(gw, UPLINK, "abcdefgh", 8), passes);
		assert_int_equal(from_end(gw, UPLINK, 0)->options_len, 12);
		assert_true(from_end(gw, UPLINK, 0)->l4_csum_ok);
	}
	inproc_free(gw);
}

/* Options whose lengths lie are malformed, on a SYN and on an ACK. */
static void options_that_lie_are_malformed(void **state)
{
	static const uint8_t lies[][4] = {{2, 0, 1, 1},  {2, 1, 1, 1},  {8, 10, 0, 0},
	                                  {34, 5, 0, 0}, {1, 1, 1, 99}, {77, 255, 0, 0}};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(lies); i++) {
		struct conn c = conn_of(gw);

		expect(SEND(&c, CLIENT, .flags = TCP_SYN, .options = lies[i], .options_len = 4),
		       SL_REASON_MALFORMED_PACKET);
		handshake(&c);
		expect(SEND(&c, CLIENT, .options = lies[i], .options_len = 4),
		       SL_REASON_MALFORMED_PACKET);
	}
	inproc_free(gw);
}

/* "ACKs of exactly the SYN/ACK", "reserved bits and an unused urgent pointer zero". */
static void ack_before_the_hello_leaves_clean(void **state)
{
	static const uint8_t options[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 30, 4, 'x', 'y'};
	struct conn c = opened();
	const struct packet_view *out;

	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .reserved = 0xf, .urgent = PKT_SET(0x4242), .options = options,
	            .options_len = sizeof(options), .trailer = "secret", .trailer_len = 6),
	       SL_REASON_NONE);
	out = from_end(c.gw, UPLINK, 0);
	expect_segment(out, TCP_ACK, c.iss + 1, c.irs + 1);
	assert_int_equal(out->l4[12] & 0x0f, 0);
	assert_int_equal(out->urgent, 0);
	assert_int_equal(out->payload_len, 0);
	assert_memory_equal(out->options, "\1\1\10\12\1\2\3\4\5\6\7\10\1\1\1\1", 16);
	expect_zero_trailer(out);
	assert_false(inproc_left(c.gw, UPLINK, "secret", 6));
	inproc_free(c.gw);
}

static void ack_of_something_else_is_dropped(void **state)
{
	static const int64_t wrong[] = {1, 2, 100, 65535, -1, -2, 0x40000000, 0x7fffffff};
	struct conn c = opened();

	expect(SEND(&c, CLIENT), SL_REASON_NONE);
	inproc_clear(c.gw);
	for (size_t i = 0; i < COUNT(wrong); i++)
		expect(SEND(&c, CLIENT, .ack = wrong[i]), SL_REASON_NO_FLOW);
	/* an ACK carries no message in its sequence number either */
	for (size_t i = 0; i < COUNT(wrong); i++)
		expect(SEND(&c, CLIENT, .at = wrong[i]), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	inproc_free(c.gw);
}

/* A segment that is dropped is not believed: the decoy's bytes are not in the copy. */
static void expect_not_believed(const struct conn *c, enum sl_reason dropped, const struct seg *s)
{
	struct seg decoy = *s;

	decoy.from_client = true;
	decoy.bytes = good.bytes;
	decoy.len = good.len;
	expect(send_seg(c, &decoy), dropped);
	expect_server_sees_nothing(c);
	assert_int_equal(inproc_held(c->gw), 0);
	expect(client(c, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(c);
	inproc_free(c->gw);
}

/* "Segments with a bad checksum ... are dropped and not believed." */
static void segment_with_a_bad_checksum_is_not_believed(void **state)
{
	struct conn c = opened();

	expect_not_believed(&c, SL_REASON_MALFORMED_PACKET,
	                    &(struct seg){.l4_csum = PKT_SET(0x1234)});
	c = opened();
	expect_not_believed(&c, SL_REASON_MALFORMED_PACKET, &(struct seg){.l4_csum = PKT_SET(0)});
}

/* "without ACK". */
static void segment_without_ack_is_not_believed(void **state)
{
	struct conn c = opened();

	expect_not_believed(&c, SL_REASON_MALFORMED_PACKET, &(struct seg){.flags = TCP_PSH});
}

/* "with urgent data". */
static void segment_with_urgent_data_is_not_believed(void **state)
{
	struct conn c = opened();

	expect_not_believed(&c, SL_REASON_MALFORMED_PACKET,
	                    &(struct seg){.flags = TCP_ACK | TCP_URG, .urgent = PKT_SET(5)});
}

/* "wrong ACK": what the server has not sent cannot be acknowledged. */
static void segment_with_a_wrong_ack_is_not_believed(void **state)
{
	static const int64_t wrong[] = {1, 70000, -1, -70000};

	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct conn c = opened();

		expect_not_believed(&c, SL_REASON_NO_FLOW, &(struct seg){.ack = wrong[i]});
	}
}

/* "or out of the window": in front of it, beyond it, and reaching out of it. */
static void segment_out_of_the_window_is_not_believed(void **state)
{
	static const int64_t places[] = {-1, -300, 65535, 65536, 70000, 0x7fffffff, -0x40000000};

	for (size_t i = 0; i < COUNT(places); i++) {
		struct conn c = opened();

		expect_not_believed(&c, SL_REASON_NO_FLOW, &(struct seg){.at = places[i]});
	}
}

/* The server's window is its own: a small one does not take a hello. */
static void segment_beyond_a_small_window_waits_for_it_to_open(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .window = PKT_SET(HALF));
	SEND(&c, CLIENT);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_held(c.gw), 0);
	expect(client(&c, 0, good.bytes, HALF), SL_REASON_NONE);
	expect(client(&c, HALF, good.bytes + HALF, 1), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .window = PKT_SET(1000)), SL_REASON_NONE);
	expect(client(&c, HALF, good.bytes + HALF, good.len - HALF), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* A server whose window is shut takes nothing, so nothing is believed. */
static void segment_into_a_closed_window_is_not_believed(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .window = PKT_SET(0));
	SEND(&c, CLIENT);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_NO_FLOW);
	SEND(&c, SERVER, .window = PKT_SET(60000));
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* Flags that no honest end combines are malformed. */
static void segment_with_odd_flags_is_malformed(void **state)
{
	static const uint8_t odd[] = {TCP_SYN | TCP_FIN,
	                              TCP_SYN | TCP_RST,
	                              TCP_SYN | TCP_ACK | TCP_FIN,
	                              TCP_FIN,
	                              TCP_PSH,
	                              TCP_URG | TCP_PSH | TCP_FIN,
	                              0x40,
	                              0x3f};
	struct conn c = opened();

	inproc_clear(c.gw);
	for (size_t i = 0; i < COUNT(odd); i++) {
		expect(SEND(&c, CLIENT, .flags = odd[i]), SL_REASON_MALFORMED_PACKET);
		expect(SEND(&c, SERVER, .flags = odd[i]), SL_REASON_MALFORMED_PACKET);
	}
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* ---- handshakes that are none ---- */

/* The same SYN/ACK may come again; "Several SYN/ACKs with different numbers: stream-conflict". */
static void syn_ack_again_passes_but_another_conflicts(void **state)
{
	struct conn c = opened(), other;

	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_NONE);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 2);
	other = c;
	other.irs += 1;
	expect(SEND(&other, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_STREAM_CONFLICT);
	expect_ended(&c, SL_REASON_STREAM_CONFLICT);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* Also between the verdict and the server's acknowledgement. */
static void syn_ack_with_other_numbers_after_the_verdict_conflicts(void **state)
{
	struct conn c = opened(), other = c;

	other.irs -= 1000;
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&other, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_STREAM_CONFLICT);
	last_event(c.gw, false, SL_REASON_STREAM_CONFLICT);
	inproc_clear(c.gw);
	expect(client(&c, (int64_t)good.len, "x", 1), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A SYN from the server's side (simultaneous open) is not let in, and opens nothing. */
static void simultaneous_open_is_dropped(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	expect(SEND(&c, SERVER, .flags = TCP_SYN), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN | TCP_ACK), SL_REASON_NO_FLOW);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_NO_FLOW);
	expect_server_sees_nothing(&c);
	/* without a flow it is one packet like another */
	c.sport++;
	expect(SEND(&c, SERVER, .flags = TCP_SYN), SL_REASON_NO_FLOW);
	inproc_free(c.gw);
}

/* A split handshake: the server's ACK, then its SYN; the client's SYN/ACK does not leave. */
static void split_handshake_is_dropped(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER);
	expect(SEND(&c, SERVER, .flags = TCP_SYN), SL_REASON_NO_FLOW);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN | TCP_ACK), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_NO_FLOW);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* Nothing is believed before the SYN/ACK. */
static void data_before_the_syn_ack_is_dropped(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	inproc_clear(c.gw);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	inproc_free(c.gw);
}

/* "and its identical retransmissions": same numbers, same offers. */
static void syn_again_passes_only_if_it_is_the_same(void **state)
{
	static const uint8_t mss[] = {2, 4, 5, 0xb4}, other_mss[] = {2, 4, 5, 0xb5},
	                     scale[] = {3, 3, 2, 1};
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN, .options = mss, .options_len = 4);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN, .options = mss, .options_len = 4,
	            .bytes = evil.bytes, .len = evil.len),
	       SL_REASON_NONE);
	assert_int_equal(inproc_count(c.gw, UPLINK), 2);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->payload_len, 0);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN, .options = other_mss, .options_len = 4),
	       SL_REASON_STREAM_CONFLICT);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN, .options = scale, .options_len = 4),
	       SL_REASON_STREAM_CONFLICT);
	assert_int_equal(inproc_count(c.gw, UPLINK), 2);
	inproc_free(c.gw);
}

/* "A new SYN on a live ... entry is a new flow with a new verdict": the old name is forgotten. */
static void new_syn_on_a_live_flow_needs_a_new_hello(void **state)
{
	struct conn c = opened();

	judged_and_answered(&c);
	inproc_clear(c.gw);
	c.iss += 100000;
	c.irs += 200000;
	handshake(&c);
	expect(client(&c, 0, "plain", 5), SL_REASON_NOT_TLS);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* The same on a flow that is still on hold: the bytes that it held are gone. */
static void new_syn_on_a_held_flow_starts_afresh(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, HALF), SL_REASON_NONE);
	c.iss += 5;
	c.irs += 7;
	handshake(&c);
	assert_int_equal(inproc_held(c.gw), 0);
	expect(client(&c, HALF, good.bytes + HALF, good.len - HALF), SL_REASON_NONE);
	expect_server_sees_nothing(&c);
	expect(client(&c, 0, evil.bytes, HALF), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A SYN that the server ignores does not make its old connection believable. */
static void new_syn_does_not_revive_the_old_numbers(void **state)
{
	struct conn c = opened(), old = c;

	judged_and_answered(&c);
	c.iss += 12345;
	SEND(&c, CLIENT, .flags = TCP_SYN);
	inproc_clear(c.gw);
	/* the server's challenge ACK passes, with nothing in it; the old stream does not go on */
	SEND(&old, SERVER, .at = 0, .ack = (int64_t)good.len);
	expect(client(&old, (int64_t)good.len, "more", 4), SL_REASON_NO_FLOW);
	expect(server(&old, 0, (int64_t)good.len, "back", 4), SL_REASON_NO_FLOW);
	expect(SEND(&old, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	assert_false(inproc_left(c.gw, SANDBOX, "back", 4));
	inproc_free(c.gw);
}

/* Ports used again after a RST, after both FINs, and after a refusal: a new verdict each time. */
static void ports_used_again_need_a_new_hello(void **state)
{
	struct conn c = opened();

	judged_and_answered(&c);
	expect(SEND(&c, CLIENT, .flags = TCP_RST | TCP_ACK, .at = (int64_t)good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	c.iss += 70000;
	inproc_clear(c.gw);
	handshake(&c);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	c.iss += 70000;
	inproc_clear(c.gw);
	handshake(&c);
	judged_and_answered(&c);
	SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = (int64_t)good.len);
	SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .at = (int64_t)server_hello_len,
	     .ack = (int64_t)good.len + 1);
	SEND(&c, CLIENT, .at = (int64_t)good.len + 1, .ack = (int64_t)server_hello_len + 1);
	c.iss += 70000;
	inproc_clear(c.gw);
	handshake(&c);
	expect(client(&c, 0, "GET /", 5), SL_REASON_NOT_TLS);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* ---- RST and FIN ---- */

/* A client's RST leaves, cut to its header, and ends the flow: nothing of it passes any more. */
static void reset_by_the_client_before_the_hello_ends_the_flow(void **state)
{
	struct conn c = opened();

	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_RST | TCP_ACK, .bytes = "smuggled", .len = 8,
	            .reserved = 0xf),
	       SL_REASON_NONE);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 1, c.irs + 1);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->payload_len, 0);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->l4[12] & 0x0f, 0);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 0);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_NO_FLOW);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_NO_FLOW);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* "out of the window are dropped and not believed": of resets too, before and after the verdict. */
static void reset_out_of_the_window_is_not_believed(void **state)
{
	struct conn c = opened();

	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = 5000000), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = -100), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = 5000000), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/*
 * A RST decoy with bytes on hold: in the window or not, it is not the number that the server
 * expects. It does not leave, and the copy stays.
 */
static void reset_decoy_with_bytes_on_hold_ends_nothing(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, HALF), SL_REASON_NONE);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = 12345), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = HALF), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = 1), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	assert_int_equal(inproc_held(c.gw), 1);
	expect(client(&c, 0, evil.bytes, HALF), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* The same between verdict and acknowledgement, and after: the server's open stream gets nothing.
 */
static void reset_decoy_after_the_verdict_closes_the_way(void **state)
{
	for (int acknowledged = 0; acknowledged < 2; acknowledged++) {
		struct conn c = opened();

		expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
		if (acknowledged)
			SEND(&c, SERVER, .ack = (int64_t)good.len);
		SEND(&c, CLIENT, .flags = TCP_RST, .at = (int64_t)good.len, .ttl = PKT_SET(1));
		c.irs += 1000;
		inproc_clear(c.gw);
		/* a new connection on the same ports, whose SYN the server never gets */
		c.iss += 1;
		SEND(&c, CLIENT, .flags = TCP_SYN, .ttl = PKT_SET(1));
		expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_NO_FLOW);
		expect_server_sees_nothing(&c);
		inproc_free(c.gw);
	}
}

/* A server's RST must fit; then it is delivered and the flow is over. */
static void reset_by_the_server_must_fit(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	SEND(&c, CLIENT, .flags = TCP_SYN);
	expect(SEND(&c, SERVER, .flags = TCP_RST), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .flags = TCP_RST | TCP_ACK, .ack = 5), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect(SEND(&c, SERVER, .flags = TCP_RST | TCP_ACK, .ack = 0), SL_REASON_NONE);
	assert_int_equal(from_end(c.gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 0);
	inproc_free(c.gw);

	c = opened();
	expect(SEND(&c, SERVER, .flags = TCP_RST, .at = -2000), SL_REASON_NO_FLOW);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, SERVER, .flags = TCP_RST), SL_REASON_DOMAIN_ALLOWED);
	expect(client(&c, (int64_t)good.len, "x", 1), SL_REASON_NO_FLOW);
	inproc_free(c.gw);
}

/* A FIN leaves, and closes what would have come behind it. */
static void fin_before_the_hello_leaves_and_closes_the_stream(void **state)
{
	struct conn c = opened();

	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK), SL_REASON_NONE);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_FIN | TCP_ACK, c.iss + 1, c.irs + 1);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	expect(SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .ack = 1), SL_REASON_NONE);
	expect(SEND(&c, CLIENT, .at = 1, .ack = 1), SL_REASON_NONE);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_ACK, c.iss + 2, c.irs + 2);
	/* It is over, and nobody is refused for it. */
	inproc_clear(c.gw);
	inproc_advance_s(c.gw, 10.4);
	assert_int_equal(count_of(c.gw, SL_REASON_HELLO_TIMEOUT), 0);
	assert_int_equal(inproc_count(c.gw, UPLINK) + inproc_count(c.gw, SANDBOX), 0);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 0);
	inproc_free(c.gw);
}

/* A FIN at another place is no FIN of this stream: it tells the server nothing. */
static void fin_with_wrong_numbers_is_dropped(void **state)
{
	struct conn c = opened();

	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = 5), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = -5), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .ack = 9), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* A hello whose segment carries the FIN as well is judged; the FIN comes again and passes. */
static void fin_on_the_hello_is_judged_with_it(void **state)
{
	struct conn c = opened();

	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .bytes = evil.bytes, .len = evil.len),
	       SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);

	c = opened();
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .bytes = good.bytes, .len = good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .bytes = good.bytes, .len = good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->flags, TCP_FIN | TCP_ACK);
	inproc_free(c.gw);
}

/* ---- after the verdict ---- */

/* "equal bytes pass however they are cut", until the server has acknowledged them. */
static void retransmission_of_equal_bytes_passes_however_cut(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	for (size_t at = 0; at < good.len; at += 13) {
		size_t n = good.len - at < 29 ? good.len - at : 29;

		expect(client(&c, (int64_t)at, good.bytes + at, n), SL_REASON_DOMAIN_ALLOWED);
	}
	expect(SEND(&c, SERVER, .ack = 50), SL_REASON_DOMAIN_ALLOWED);
	expect(client(&c, 50, good.bytes + 50, good.len - 50), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* "one different byte ends the flow (stream-conflict)": anywhere in the judged range. */
static void retransmission_with_a_different_byte_conflicts(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (size_t at = 0; at < good.len; at += 11) {
		struct conn c = conn_of(gw);
		static uint8_t forged[sizeof(good.bytes)];

		memcpy(forged, good.bytes, good.len);
		forged[at] ^= 0x20;
		handshake(&c);
		expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
		SEND(&c, SERVER, .ack = (int64_t)good.len - 1);
		inproc_clear(gw);
		expect(client(&c, 0, forged, good.len), SL_REASON_STREAM_CONFLICT);
		expect_server_sees_nothing(&c);
		last_event(gw, false, SL_REASON_STREAM_CONFLICT);
		expect_segment(from_end(gw, UPLINK, 0), TCP_RST | TCP_ACK,
		               c.iss + (uint32_t)good.len, c.irs + 1);
		expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 1,
		               c.iss + 1 + (uint32_t)good.len);
		expect(client(&c, (int64_t)good.len, "x", 1), SL_REASON_STREAM_CONFLICT);
		expect_server_sees_nothing(&c);
	}
	inproc_free(gw);
}

/* Bytes of the judged range that come with others behind them are compared as well. */
static void retransmission_that_reaches_beyond_is_compared(void **state)
{
	struct conn c = opened();
	static uint8_t longer[sizeof(good.bytes) + 16];

	memcpy(longer, good.bytes, good.len);
	memcpy(longer + good.len, "0123456789abcdef", 16);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, 0, 9, server_hello, server_hello_len), SL_REASON_DOMAIN_ALLOWED);
	expect(client(&c, 20, longer + 20, good.len - 4), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, longer, good.len + 16);
	longer[20] ^= 1;
	expect(client(&c, 20, longer + 20, good.len - 4), SL_REASON_STREAM_CONFLICT);
	inproc_free(c.gw);
}

/* "after that a flow needs flags and epoch only", and costs no memory. */
static void bytes_after_the_acknowledgement_are_not_compared(void **state)
{
	struct conn c = opened();

	judged_and_answered(&c);
	expect(client(&c, 0, evil.bytes, HALF), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* "So a decoy that dies on the way (small TTL) serves nothing", whichever name comes first. */
static void decoy_hello_serves_nothing(void **state)
{
	struct conn c = opened();

	/* the decoy has the allowed name; what follows has the other */
	expect(SEND(&c, CLIENT, .bytes = good.bytes, .len = good.len, .ttl = PKT_SET(1)),
	       SL_REASON_DOMAIN_ALLOWED);
	/* the copy leaves with a lifetime of the gateway's */
	assert_int_equal(from_end(c.gw, UPLINK, 0)->ttl, 64);
	inproc_clear(c.gw);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);

	c = opened();
	expect(SEND(&c, CLIENT, .bytes = good.bytes, .len = HALF, .ttl = PKT_SET(1)),
	       SL_REASON_NONE);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_STREAM_CONFLICT);
	expect_ended(&c, SL_REASON_STREAM_CONFLICT);
	inproc_free(c.gw);
}

/* A server's ACK of what it cannot have is not believed: comparing goes on. */
static void acknowledgement_of_unsent_bytes_is_not_believed(void **state)
{
	struct conn c = opened();

	client(&c, 0, good.bytes, HALF);
	expect(SEND(&c, SERVER, .ack = 100), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .ack = -1), SL_REASON_NO_FLOW);
	expect(client(&c, HALF, good.bytes + HALF, good.len - HALF), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, SERVER, .ack = -5), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .ack = 0x7fffffff), SL_REASON_NO_FLOW);
	expect(client(&c, 0, evil.bytes, 120), SL_REASON_STREAM_CONFLICT);
	inproc_free(c.gw);
}

/* What the client sent behind its hello waits until the server has answered, and leaves in order.
 */
static void bytes_behind_the_hello_leave_when_the_server_has_answered(void **state)
{
	struct conn c = opened();
	static uint8_t all[sizeof(good.bytes) + 4000];

	memcpy(all, good.bytes, good.len);
	memset(all + good.len, 0x16, 4000);
	expect(client(&c, (int64_t)good.len + 1000, all + good.len + 1000, 1000), SL_REASON_NONE);
	expect(client(&c, (int64_t)good.len, all + good.len, 1000), SL_REASON_NONE);
	expect_server_sees_nothing(&c);
	expect(client(&c, 0, all, good.len), SL_REASON_NONE);
	expect_server_sees(&c, all, good.len);
	last_event(c.gw, true, SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, 0, (int64_t)good.len, server_hello, server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, all, good.len + 2000);
	assert_int_equal(count_of(c.gw, SL_REASON_DOMAIN_ALLOWED), 4);
	inproc_free(c.gw);
}

/* "no segment larger than the server takes": it said so in its SYN/ACK. */
static void released_segments_keep_the_servers_mss(void **state)
{
	static const uint8_t mss[] = {2, 4, 600 >> 8, 600 & 0xff};
	static struct hello large;
	struct conn c = conn_of(gateway(POLICY));

	hello_with(&large, &(struct hello_options){.name = ALLOWED, .total_len = 5000}, 0);
	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .options = mss, .options_len = 4);
	for (size_t at = 0; at < large.len; at += 1400)
		client(&c, (int64_t)at, large.bytes + at,
		       large.len - at < 1400 ? large.len - at : 1400);
	expect_server_sees(&c, large.bytes, large.len);
	for (size_t i = 0; i < inproc_count(c.gw, UPLINK); i++)
		assert_true(inproc_frame(c.gw, UPLINK, i)->view.payload_len <= 600);
	inproc_free(c.gw);
}

/* Nor smaller than those that the client cuts for itself: a way that carried them carries these. */
static void released_segments_are_as_large_as_the_clients(void **state)
{
	static const uint8_t mss[] = {2, 4, 1460 >> 8, 1460 & 0xff};
	static struct hello large;
	struct conn c = conn_of(gateway(POLICY));

	hello_with(&large, &(struct hello_options){.name = ALLOWED, .total_len = 1900}, 0);
	SEND(&c, CLIENT, .flags = TCP_SYN, .options = mss, .options_len = 4);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .options = mss, .options_len = 4);
	client(&c, 0, large.bytes, 1400);
	client(&c, 1400, large.bytes + 1400, large.len - 1400);
	expect_server_sees(&c, large.bytes, large.len);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->payload_len +
	                         from_end(c.gw, UPLINK, 1)->payload_len,
	                 large.len);
	inproc_free(c.gw);
}

/* Segments made from the copy carry the client's timestamps, or an honest server drops them. */
static void released_segments_carry_the_clients_timestamps(void **state)
{
	static const uint8_t stamps[] = {1, 1, 8, 10, 0, 1, 2, 3, 9, 8, 7, 6};
	struct conn c = opened();
	const struct packet_view *out;

	SEND(&c, CLIENT, .flags = TCP_ACK | TCP_PSH, .bytes = good.bytes, .len = good.len,
	     .options = stamps, .options_len = sizeof(stamps), .window = PKT_SET(777));
	out = from_end(c.gw, UPLINK, 0);
	assert_int_equal(out->options_len, sizeof(stamps));
	assert_memory_equal(out->options, stamps, sizeof(stamps));
	assert_int_equal(out->window, 777);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* "a held packet counts as forwarded when its bytes have been handed to tx, else under its flow's
 * reason", or tx-full; what was lost so comes again and passes, as equal bytes do. */
static void release_into_a_full_port_is_counted_and_comes_again(void **state)
{
	struct conn c = opened();

	client(&c, 0, good.bytes, HALF);
	inproc_tx_room(c.gw, UPLINK, 0);
	expect(client(&c, HALF, good.bytes + HALF, good.len - HALF), SL_REASON_TX_FULL);
	assert_int_equal(count_of(c.gw, SL_REASON_TX_FULL), 2);
	inproc_tx_room(c.gw, UPLINK, -1);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* ---- a server that asks for another hello ---- */

static const uint8_t change_cipher_spec[6] = {20, 3, 3, 0, 1, 1};

/* A connection whose first hello is acknowledged and answered by a HelloRetryRequest. */
static struct conn retried(void)
{
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, 0, (int64_t)good.len, retry, retry_len), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(from_end(c.gw, SANDBOX, 0)->payload_len, retry_len);
	return c;
}

/* Bytes of the client behind its first hello, in answer to the retry. */
static enum sl_reason second(const struct conn *c, int64_t at, const void *bytes, size_t len)
{
	return SEND(c, CLIENT, .flags = TCP_ACK | TCP_PSH, .at = (int64_t)good.len + at,
	            .ack = (int64_t)retry_len, .bytes = bytes, .len = len);
}

/* What the server has: the first hello, and then these bytes. */
static void expect_server_sees_behind(const struct conn *c, const void *bytes, size_t len)
{
	static uint8_t all[sizeof(good.bytes) + 70000];

	memcpy(all, good.bytes, good.len);
	memcpy(all + good.len, bytes, len);
	expect_server_sees(c, all, good.len + len);
}

/* "the client's next handshake record must be a ClientHello of the same name, held and judged like
 * the first": with a change_cipher_spec in front, as clients send it. */
static void retry_second_hello_of_the_same_name_leaves(void **state)
{
	struct conn c = retried();
	static uint8_t answer[sizeof(change_cipher_spec) + sizeof(good.bytes)];
	size_t n = sizeof(change_cipher_spec);

	memcpy(answer, change_cipher_spec, n);
	memcpy(answer + n, good.bytes, good.len);
	n += good.len;
	expect(SEND(&c, CLIENT, .at = (int64_t)good.len, .ack = (int64_t)retry_len),
	       SL_REASON_NONE);
	expect(second(&c, 0, answer, HALF), SL_REASON_NONE);
	expect_server_sees_behind(&c, "", 0);
	expect(second(&c, HALF, answer + HALF, n - HALF), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees_behind(&c, answer, n);
	expect(second(&c, 0, answer, n), SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, (int64_t)retry_len, (int64_t)(good.len + n), server_hello,
	              server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect(client(&c, (int64_t)(good.len + n), "data", 4), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* Another name does not leave, also one that the policy would allow. */
static void retry_second_hello_of_another_name_never_leaves(void **state)
{
	static const char *const names[] = {DENIED, "www.good.example", NULL};

	for (size_t i = 0; i < COUNT(names); i++) {
		static struct hello other;
		struct conn c = retried();

		hello_with(&other, &(struct hello_options){.name = names[i]}, 0);
		inproc_clear(c.gw);
		expect(second(&c, 0, other.bytes, other.len),
		       names[i] ? SL_REASON_DOMAIN_NOT_ALLOWED : SL_REASON_NO_SERVER_NAME);
		expect_server_sees_nothing(&c);
		expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST | TCP_ACK,
		               c.iss + 1 + (uint32_t)good.len, c.irs + 1 + (uint32_t)retry_len);
		assert_memory_equal(from_end(c.gw, SANDBOX, 1)->payload, access_denied, 7);
		expect_segment(from_end(c.gw, SANDBOX, 0), TCP_RST | TCP_ACK,
		               c.irs + 8 + (uint32_t)retry_len,
		               c.iss + 1 + (uint32_t)(good.len + other.len));
		inproc_free(c.gw);
	}
}

/* Decoys serve nothing the second time either. */
static void retry_second_hello_is_compared_like_the_first(void **state)
{
	struct conn c = retried();

	expect(second(&c, 0, good.bytes, HALF), SL_REASON_NONE);
	inproc_clear(c.gw);
	expect(second(&c, 0, evil.bytes, evil.len), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);

	c = retried();
	expect(second(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	expect(second(&c, 0, evil.bytes, evil.len), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* The copy of the first hello is gone: what comes in its place is neither kept nor sent. */
static void retry_bytes_in_the_place_of_the_first_hello_never_leave(void **state)
{
	struct conn c = retried();
	const int64_t ack = (int64_t)retry_len;

	for (int i = 0; i < 3; i++) {
		inproc_clear(c.gw);
		expect(SEND(&c, CLIENT, .ack = ack, .bytes = evil.bytes, .len = evil.len),
		       SL_REASON_DOMAIN_ALLOWED);
		expect_segment(from_end(c.gw, UPLINK, 0), TCP_ACK, c.iss + 1,
		               c.irs + 1 + (uint32_t)retry_len);
		expect_server_sees_nothing(&c);
		assert_int_equal(inproc_held(c.gw), 0);
		if (i == 1) /* judged, and not acknowledged */
			expect(second(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	}
	expect(second(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, ack, (int64_t)(2 * good.len), server_hello, server_hello_len),
	       SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* Anything but a hello in the next handshake record ends the connection; nothing at all, too. */
static void retry_without_a_second_hello_ends(void **state)
{
	struct conn c = retried();

	inproc_clear(c.gw);
	expect(second(&c, 0, "\x16\3\3\0\4\x14\0\0\0", 9), SL_REASON_NOT_TLS);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);

	c = retried();
	inproc_clear(c.gw);
	expect(second(&c, 0, "\x17\3\3\0\4data", 9), SL_REASON_NONE);
	inproc_advance_s(c.gw, 10.3);
	last_event(c.gw, false, SL_REASON_HELLO_TIMEOUT);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A second hello that is sent before the retry comes, which the client can bring about, is not let
 * out before it is judged. */
static void retry_second_hello_sent_ahead_is_held(void **state)
{
	struct conn c = opened(), d = opened();
	static uint8_t both[2 * sizeof(good.bytes)];

	memcpy(both, good.bytes, good.len);
	memcpy(both + good.len, evil.bytes, evil.len);
	/* in the same segment */
	client(&c, 0, both, good.len + evil.len);
	expect_server_sees(&c, good.bytes, good.len);
	expect(server(&c, 0, (int64_t)good.len, retry, retry_len), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
	/* in a later one, out of order */
	expect(client(&d, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	client(&d, (int64_t)good.len + 50, evil.bytes + 50, evil.len - 50);
	SEND(&d, SERVER, .ack = (int64_t)good.len);
	client(&d, (int64_t)good.len, evil.bytes, 50);
	expect_server_sees(&d, good.bytes, good.len);
	server(&d, 0, (int64_t)good.len, retry, retry_len);
	expect_server_sees(&d, good.bytes, good.len);
	last_event(d.gw, false, SL_REASON_DOMAIN_NOT_ALLOWED);
	inproc_free(d.gw);
}

/* The server's answer is read however it is cut, with warnings in front of it. */
static void retry_in_pieces_is_seen(void **state)
{
	static const uint8_t warning[] = {21, 3, 3, 0, 2, 1, 112};

	for (size_t cut = 1; cut < retry_len; cut += 5) {
		struct conn c = opened();

		expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
		server(&c, 0, (int64_t)good.len, warning, sizeof(warning));
		for (size_t at = 0; at < retry_len; at += cut)
			server(&c, (int64_t)(sizeof(warning) + at), (int64_t)good.len, retry + at,
			       retry_len - at < cut ? retry_len - at : cut);
		inproc_clear(c.gw);
		expect(SEND(&c, CLIENT, .at = (int64_t)good.len,
		            .ack = (int64_t)(sizeof(warning) + retry_len), .bytes = evil.bytes,
		            .len = evil.len),
		       SL_REASON_DOMAIN_NOT_ALLOWED);
		expect_server_sees_nothing(&c);
		inproc_free(c.gw);
	}
}

/* An answer that is no retry, cut anyhow and out of order, lets the connection go on. */
static void answer_in_pieces_lets_the_client_go_on(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	server(&c, 30, (int64_t)good.len, server_hello + 30, server_hello_len - 30);
	expect(client(&c, (int64_t)good.len, "x", 1), SL_REASON_NONE);
	server(&c, 0, (int64_t)good.len, server_hello, 30);
	expect_server_sees_behind(&c, "x", 1);
	expect(client(&c, (int64_t)good.len + 1, "y", 1), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* A server that refuses by an alert and ends its stream asks for no other hello. */
static void alert_and_end_of_the_server_let_the_client_end_as_well(void **state)
{
	static const uint8_t fatal[] = {21, 3, 3, 0, 2, 2, 40}, closing[] = {21, 3, 3, 0, 2, 1, 0};
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, 0, (int64_t)good.len, fatal, 7), SL_REASON_DOMAIN_ALLOWED);
	expect(SEND(&c, CLIENT, .at = (int64_t)good.len, .ack = 7, .bytes = closing, .len = 7),
	       SL_REASON_NONE);
	expect(SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .at = 7, .ack = (int64_t)good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees_behind(&c, closing, 7);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = (int64_t)good.len + 7, .ack = 8),
	       SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/* Also behind a PostgreSQL SSLRequest. */
static void retry_behind_postgres_is_judged(void **state)
{
	struct conn c = opened();

	client(&c, 0, ssl_request, 8);
	server(&c, 0, 8, "S", 1);
	expect(SEND(&c, CLIENT, .at = 8, .ack = 1, .bytes = good.bytes, .len = good.len),
	       SL_REASON_DOMAIN_ALLOWED);
	expect(server(&c, 1, 8 + (int64_t)good.len, retry, retry_len), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .at = 8 + (int64_t)good.len, .ack = 1 + (int64_t)retry_len,
	            .bytes = evil.bytes, .len = evil.len),
	       SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A policy that opens the address in between lets the second hello out unjudged. */
static void policy_that_opens_the_address_releases_a_second_hello(void **state)
{
	struct conn c = retried();

	expect(second(&c, 0, evil.bytes, HALF), SL_REASON_NONE);
	inproc_push(c.gw,
	            "sandboxes: [{vlan: 101, policy: {subnets: {allow: [198.51.100.0/24]}}}]");
	inproc_advance_s(c.gw, 1);
	expect_server_sees_behind(&c, evil.bytes, HALF);
	expect(second(&c, HALF, evil.bytes + HALF, evil.len - HALF), SL_REASON_SUBNET_ALLOWED);
	inproc_free(c.gw);
}

/* ---- what is no hello ---- */

/* "The first record must be a handshake record with a ClientHello (else not-tls)". */
static void first_record_of_another_kind_is_not_tls(void **state)
{
	static const char *const starts[] = {
	        "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n",
	        "SSH-2.0-OpenSSH_9\r\n",
	        "\x80\x2e\x01\x03\x01", /* SSLv2 */
	        "\x15\x03\x01",         /* alert */
	        "\x14\x03\x03",         /* change_cipher_spec */
	        "\x17\x03\x03",         /* application data */
	        "\x18\x03\x02",         /* heartbeat */
	        "\x16\x02\x01",         /* another major version */
	};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(starts); i++) {
		struct conn c = conn_of(gw);
		static uint8_t stream[sizeof(good.bytes) + 64];
		size_t n = strlen(starts[i]);

		memcpy(stream, starts[i], n);
		memcpy(stream + n, good.bytes, good.len);
		handshake(&c);
		inproc_clear(gw);
		expect(client(&c, 0, stream, n + good.len), SL_REASON_NOT_TLS);
		expect_ended(&c, SL_REASON_NOT_TLS);
		/* no alert to one that does not speak TLS */
		assert_int_equal(inproc_count(gw, SANDBOX), 1);
	}
	inproc_free(gw);
}

/* Empty records, other records between the fragments, and SSLv3 are malformed hellos. */
static void records_that_break_the_format_are_malformed(void **state)
{
	static uint8_t msg[HELLO_BYTES_MAX], stream[RECORDS_BYTES_MAX];
	struct inproc *gw = gateway(POLICY);
	size_t len = hello_named(ALLOWED, msg);

	for (int kind = 0; kind < 4; kind++) {
		struct conn c = conn_of(gw);
		size_t n = 0;

		if (kind == 0)
			n += hello_record(22, msg, 0, stream);
		n += hello_record(22, msg, 50, stream + n);
		if (kind == 1)
			n += hello_record(21, (const uint8_t *)"\1\0", 2, stream + n);
		if (kind == 2)
			n += hello_record(22, msg, 0, stream + n);
		n += hello_record(22, msg + 50, len - 50, stream + n);
		if (kind == 3)
			stream[5 + 5] = 0; /* client_version 3.0 */
		handshake(&c);
		expect(client(&c, 0, stream, n), SL_REASON_MALFORMED_HELLO);
		expect_ended(&c, SL_REASON_MALFORMED_HELLO);
		assert_memory_equal(from_end(gw, SANDBOX, 1)->payload, access_denied, 7);
	}
	inproc_free(gw);
}

/* "Exactly one server_name extension with exactly one host_name", and what each lack is called. */
static void hellos_without_one_plain_name_are_refused_with_their_reason(void **state)
{
	static const struct {
		struct hello_options options;
		enum sl_reason reason;
	} cases[] = {
	        {{.name = ALLOWED}, SL_REASON_DOMAIN_ALLOWED},
	        {{.name = "GOOD.Example."}, SL_REASON_DOMAIN_ALLOWED},
	        {{.name = "a.b.good.example"}, SL_REASON_DOMAIN_ALLOWED},
	        {{.name = ALLOWED, .ech = true}, SL_REASON_DOMAIN_ALLOWED},
	        {{.name = NULL}, SL_REASON_NO_SERVER_NAME},
	        {{.name = "198.51.100.10"}, SL_REASON_NO_SERVER_NAME},
	        {{.name = "::1"}, SL_REASON_NO_SERVER_NAME},
	        {{.name = "xgood.example"}, SL_REASON_DOMAIN_NOT_ALLOWED},
	        {{.name = "good.example.evil"}, SL_REASON_DOMAIN_NOT_ALLOWED},
	        {{.name = "good.example\0.evil", .name_len = 18}, SL_REASON_MALFORMED_HELLO},
	        {{.name = "good..example"}, SL_REASON_MALFORMED_HELLO},
	        {{.name = "*.good.example"}, SL_REASON_MALFORMED_HELLO},
	        {{.name = "g\xc3\xb6od.example"}, SL_REASON_MALFORMED_HELLO},
	        {{.name = ALLOWED, .second_name = DENIED}, SL_REASON_MALFORMED_HELLO},
	        {{.name = ALLOWED, .other_sni = DENIED}, SL_REASON_MALFORMED_HELLO},
	        {{.name = ALLOWED, .other_sni = ALLOWED}, SL_REASON_MALFORMED_HELLO},
	        {{.name = ALLOWED, .name_type = 1}, SL_REASON_MALFORMED_HELLO},
	        {{.name = ALLOWED, .name_len_lie = 1}, SL_REASON_MALFORMED_HELLO},
	        {{.name = ALLOWED, .list_len_lie = -1}, SL_REASON_MALFORMED_HELLO},
	        {{.name = ALLOWED, .extensions_len_lie = 1}, SL_REASON_MALFORMED_HELLO},
	        {{.name = ALLOWED, .message_len_lie = -1}, SL_REASON_MALFORMED_HELLO},
	        {{.name = ALLOWED, .repeated_type = 0x1234}, SL_REASON_MALFORMED_HELLO},
	};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(cases); i++) {
		static struct hello hello;
		struct conn c = conn_of(gw);

		hello_with(&hello, &cases[i].options, 0);
		handshake(&c);
		expect(client(&c, 0, hello.bytes, hello.len), cases[i].reason);
		if (cases[i].reason == SL_REASON_DOMAIN_ALLOWED)
			expect_server_sees(&c, hello.bytes, hello.len);
		else
			expect_ended(&c, cases[i].reason);
	}
	inproc_free(gw);
}

/* "`inspect.ech: deny` refuses a hello that carries the extension (ech-denied)". */
static void hello_with_ech_is_denied_where_the_config_says_so(void **state)
{
	static struct hello ech;
	struct conn c = conn_of(gateway_with(POLICY, CONFIG "inspect: {ech: deny}\n"));

	hello_with(&ech, &(struct hello_options){.name = ALLOWED, .ech = true}, 0);
	handshake(&c);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	c.sport++;
	handshake(&c);
	expect(client(&c, 0, ech.bytes, ech.len), SL_REASON_ECH_DENIED);
	expect_ended(&c, SL_REASON_ECH_DENIED);
	inproc_free(c.gw);
}

/* ---- limits ---- */

/* "At a bound the new one is denied with its reason, old ones go on, other sandboxes feel nothing,
 * memory does not grow": held bytes of one sandbox. */
static void held_bytes_of_a_sandbox_are_bounded(void **state)
{
	struct inproc *gw = gateway_with(POLICY, CONFIG "limits: {held-bytes-per-sandbox: 20000,"
	                                                " flows: 1000, pins: 100}\n");
	struct conn first = conn_of(gw), c = conn_of(gw), other = conn_of(gw);
	unsigned refused = 0;

	handshake(&first);
	expect(client(&first, 0, good.bytes, HALF), SL_REASON_NONE);
	for (int i = 0; i < 100; i++) {
		c.sport++;
		if (SEND(&c, CLIENT, .flags = TCP_SYN) == SL_REASON_HOLD_LIMIT)
			refused++;
	}
	assert_true(refused > 0 && refused < 100);
	assert_true(inproc_stats(gw, 0)->hold_bytes <= 20000);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, 0, c.iss + 1);
	last_event(gw, false, SL_REASON_HOLD_LIMIT);
	/* the old one goes on as far as its memory does */
	expect(client(&first, HALF, good.bytes + HALF, good.len - HALF), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&first, good.bytes, good.len);
	other.vlan = 102;
	handshake(&other);
	expect(client(&other, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	/* what is over gives its memory back */
	inproc_advance_s(gw, 45);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	c.sport++;
	handshake(&c);
	inproc_free(gw);
}

/* A hello that needs more memory than there is ends as hold-limit and never leaves. */
static void held_bytes_run_out_in_a_hello_ends_it(void **state)
{
	static struct hello large;
	struct inproc *gw = gateway_with(POLICY, CONFIG "limits: {held-bytes-per-sandbox: 9000,"
	                                                " flows: 1000, pins: 100}\n");
	struct conn c = conn_of(gw), d = conn_of(gw);

	hello_with(&large, &(struct hello_options){.name = ALLOWED, .total_len = 12000}, 0);
	handshake(&c);
	for (size_t at = 0; at < large.len; at += 1000) {
		enum sl_reason reason = client(&c, (int64_t)at, large.bytes + at,
		                               large.len - at < 1000 ? large.len - at : 1000);

		expect(reason, at < 5000                               ? SL_REASON_NONE
		               : at < 8000 && reason == SL_REASON_NONE ? SL_REASON_NONE
		                                                       : SL_REASON_HOLD_LIMIT);
	}
	expect_server_sees_nothing(&c);
	assert_int_equal(inproc_held(gw), 0);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	handshake(&d);
	expect(client(&d, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(gw);
}

/* Held bytes of all sandboxes together. */
static void held_bytes_of_all_are_bounded(void **state)
{
	struct inproc *gw = gateway_with(
	        POLICY, CONFIG "limits: {held-bytes: 20000,"
	                       " held-bytes-per-sandbox: 20000, flows: 1000, pins: 100}\n");
	struct conn c = conn_of(gw);
	unsigned refused = 0;

	for (int i = 0; i < 100; i++) {
		c.sport++;
		c.vlan = 101 + i % 2;
		refused += SEND(&c, CLIENT, .flags = TCP_SYN) == SL_REASON_HOLD_LIMIT;
	}
	assert_true(refused > 0 && refused < 100);
	assert_true(inproc_stats(gw, 0)->hold_bytes <= 20000);
	/* allow-all holds nothing and feels nothing */
	c.vlan = 103;
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

/* Two that fill what all share with bare SYNs leave the third one what it needs. */
static void held_bytes_are_kept_for_who_holds_few(void **state)
{
	struct inproc *gw =
	        gateway_with("sandboxes: [{vlan: 101, policy: {allow: [" ALLOWED
	                     "]}}, {vlan: 102, policy: {allow: "
	                     "[" ALLOWED "]}}, {vlan: 103, policy: {allow: [" ALLOWED "]}}]",
	                     CONFIG "limits: {held-bytes: 60000,"
	                            " held-bytes-per-sandbox: 60000, flows: 1000, pins: 100}\n");
	struct conn c = conn_of(gw), third = conn_of(gw);
	unsigned refused = 0;

	for (int i = 0; i < 400; i++) {
		c.sport++;
		c.vlan = 101 + i % 2;
		refused += SEND(&c, CLIENT, .flags = TCP_SYN) == SL_REASON_HOLD_LIMIT;
	}
	assert_true(refused > 0);
	third.vlan = 103;
	handshake(&third);
	expect(client(&third, 0, good.bytes, HALF), SL_REASON_NONE);
	expect(client(&third, HALF, good.bytes + HALF, good.len - HALF), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&third, good.bytes, good.len);
	inproc_free(gw);
}

/* Held bytes of one flow: a stream may not fill what the sandbox has. */
static void held_bytes_of_a_flow_are_bounded(void **state)
{
	struct conn c = conn_of(gateway_with(POLICY, CONFIG "limits: {held-bytes-per-flow: 4096,"
	                                                    " flows: 1000, pins: 100}\n"));

	handshake(&c);
	expect(client(&c, 1000, good.bytes, 50), SL_REASON_NONE);
	expect(client(&c, 5000, good.bytes, 50), SL_REASON_HOLD_LIMIT);
	expect_ended(&c, SL_REASON_HOLD_LIMIT);
	c.sport++;
	handshake(&c);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* "answers: 100/s per sandbox": alerts and resets to the sandbox are answers, too. */
static void alerts_are_limited_but_the_server_is_always_reset(void **state)
{
	struct inproc *gw = gateway(POLICY);
	size_t resets = 0;

	for (int i = 0; i < 150; i++) {
		struct conn c = conn_of(gw);

		handshake(&c);
		expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_DOMAIN_NOT_ALLOWED);
		resets += from_end(gw, UPLINK, 0)->flags == (TCP_RST | TCP_ACK);
	}
	assert_int_equal(resets, 150);
	assert_int_equal(inproc_stats(gw, 0)->answers_suppressed, 50);
	inproc_free(gw);
}

/* ---- a policy that changes while a flow is on hold ---- */

/* "A flow on hold is judged by the newest generation when its hello is complete." */
static void policy_that_adds_the_name_on_hold_allows_it(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, evil.bytes, HALF), SL_REASON_NONE);
	inproc_push(c.gw, "sandboxes: [{vlan: 101, policy: {allow: [evil.example]}}]");
	inproc_advance_s(c.gw, 1);
	expect(client(&c, HALF, evil.bytes + HALF, evil.len - HALF), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, evil.bytes, evil.len);
	inproc_free(c.gw);
}

static void policy_that_drops_the_name_on_hold_denies_it(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, HALF), SL_REASON_NONE);
	inproc_push(c.gw, "sandboxes: [{vlan: 101, policy: {allow: [other.example]}}]");
	expect(client(&c, HALF, good.bytes + HALF, good.len - HALF), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A policy that opens the address lets out what is on hold, as it is, and judges no name. */
static void policy_that_opens_the_address_releases_the_hold(void **state)
{
	struct conn c = opened(), opening = c;

	expect(client(&c, 0, "not TLS at all", 0), SL_REASON_NONE);
	expect(client(&c, 0, evil.bytes, HALF), SL_REASON_NONE);
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

	expect(client(&c, 0, evil.bytes, HALF), SL_REASON_NONE);
	inproc_push(c.gw, "sandboxes: [{vlan: 101}]");
	expect(client(&c, HALF, evil.bytes + HALF, evil.len - HALF), SL_REASON_ALLOW_ALL);
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

		expect(client(&c, 0, good.bytes, HALF), SL_REASON_NONE);
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
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
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
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_push(c.gw, "sandboxes: [{vlan: 101}]");
	inproc_advance_s(c.gw, 1);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	last_event(c.gw, true, SL_REASON_ALLOW_ALL);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_ALLOW_ALL);
	expect(SEND(&c, SERVER, .ack = (int64_t)good.len), SL_REASON_ALLOW_ALL);
	expect(client(&c, (int64_t)good.len, "more", 4), SL_REASON_ALLOW_ALL);
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
	        TEST(hello_that_stalls_times_out),
	        TEST(hello_that_never_comes_times_out),
	        TEST(hello_judged_late_has_time_to_be_acknowledged),
	        TEST(syn_without_answer_is_forgotten),
	        TEST(priority_of_the_sandbox_is_kept),
	        TEST(postgres_then_allowed_hello_leaves),
	        TEST(postgres_then_denied_hello_never_leaves),
	        TEST(postgres_across_the_wrap_resets_with_right_numbers),
	        TEST(postgres_hello_before_the_answer_waits_for_it),
	        TEST(postgres_request_in_pieces_and_again_leaves_once_judged),
	        TEST(postgres_asked_for_gssapi_first_leaves),
	        TEST(postgres_gssapi_itself_is_not_tls),
	        TEST(postgres_another_answer_is_refused),
	        TEST(postgres_answer_again_passes_but_nothing_behind_it),
	        TEST(postgres_lookalikes_are_not_tls),
	        TEST(server_first_bytes_are_not_delivered),
	        TEST(server_first_bytes_on_the_syn_ack_are_not_delivered),
	        TEST(server_first_bytes_while_on_hold_end_the_flow),
	        TEST(syn_with_payload_and_fast_open_leaves_clean),
	        TEST(syn_ack_of_more_than_the_syn_is_dropped),
	        TEST(options_of_every_kind_only_four_leave),
	        TEST(options_that_lie_are_malformed),
	        TEST(ack_before_the_hello_leaves_clean),
	        TEST(ack_of_something_else_is_dropped),
	        TEST(segment_with_a_bad_checksum_is_not_believed),
	        TEST(segment_without_ack_is_not_believed),
	        TEST(segment_with_urgent_data_is_not_believed),
	        TEST(segment_with_a_wrong_ack_is_not_believed),
	        TEST(segment_out_of_the_window_is_not_believed),
	        TEST(segment_beyond_a_small_window_waits_for_it_to_open),
	        TEST(segment_into_a_closed_window_is_not_believed),
	        TEST(segment_with_odd_flags_is_malformed),
	        TEST(syn_ack_again_passes_but_another_conflicts),
	        TEST(syn_ack_with_other_numbers_after_the_verdict_conflicts),
	        TEST(simultaneous_open_is_dropped),
	        TEST(split_handshake_is_dropped),
	        TEST(data_before_the_syn_ack_is_dropped),
	        TEST(syn_again_passes_only_if_it_is_the_same),
	        TEST(new_syn_on_a_live_flow_needs_a_new_hello),
	        TEST(new_syn_on_a_held_flow_starts_afresh),
	        TEST(new_syn_does_not_revive_the_old_numbers),
	        TEST(ports_used_again_need_a_new_hello),
	        TEST(reset_by_the_client_before_the_hello_ends_the_flow),
	        TEST(reset_out_of_the_window_is_not_believed),
	        TEST(reset_decoy_with_bytes_on_hold_ends_nothing),
	        TEST(reset_decoy_after_the_verdict_closes_the_way),
	        TEST(reset_by_the_server_must_fit),
	        TEST(fin_before_the_hello_leaves_and_closes_the_stream),
	        TEST(fin_with_wrong_numbers_is_dropped),
	        TEST(fin_on_the_hello_is_judged_with_it),
	        TEST(retransmission_of_equal_bytes_passes_however_cut),
	        TEST(retransmission_with_a_different_byte_conflicts),
	        TEST(retransmission_that_reaches_beyond_is_compared),
	        TEST(bytes_after_the_acknowledgement_are_not_compared),
	        TEST(decoy_hello_serves_nothing),
	        TEST(acknowledgement_of_unsent_bytes_is_not_believed),
	        TEST(bytes_behind_the_hello_leave_when_the_server_has_answered),
	        TEST(released_segments_keep_the_servers_mss),
	        TEST(released_segments_are_as_large_as_the_clients),
	        TEST(released_segments_carry_the_clients_timestamps),
	        TEST(release_into_a_full_port_is_counted_and_comes_again),
	        TEST(retry_second_hello_of_the_same_name_leaves),
	        TEST(retry_second_hello_of_another_name_never_leaves),
	        TEST(retry_second_hello_is_compared_like_the_first),
	        TEST(retry_bytes_in_the_place_of_the_first_hello_never_leave),
	        TEST(retry_without_a_second_hello_ends),
	        TEST(retry_second_hello_sent_ahead_is_held),
	        TEST(retry_in_pieces_is_seen),
	        TEST(answer_in_pieces_lets_the_client_go_on),
	        TEST(alert_and_end_of_the_server_let_the_client_end_as_well),
	        TEST(retry_behind_postgres_is_judged),
	        TEST(policy_that_opens_the_address_releases_a_second_hello),
	        TEST(first_record_of_another_kind_is_not_tls),
	        TEST(records_that_break_the_format_are_malformed),
	        TEST(hellos_without_one_plain_name_are_refused_with_their_reason),
	        TEST(hello_with_ech_is_denied_where_the_config_says_so),
	        TEST(held_bytes_of_a_sandbox_are_bounded),
	        TEST(held_bytes_run_out_in_a_hello_ends_it),
	        TEST(held_bytes_of_all_are_bounded),
	        TEST(held_bytes_are_kept_for_who_holds_few),
	        TEST(held_bytes_of_a_flow_are_bounded),
	        TEST(alerts_are_limited_but_the_server_is_always_reset),
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
