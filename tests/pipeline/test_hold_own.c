/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hold_own.c: clients that go on only once something is acknowledged (spec section 3): the
 * gateway acknowledges what it holds, in the server's place, and delivers it.
 */
#include "scene.h"

#define POLICY "sandboxes: [{vlan: 101, policy: {allow: [" ALLOWED "]}}]"

static struct hello good, evil;

static int build_hellos(void **state)
{
	hello_for(&good, ALLOWED);
	hello_for(&evil, DENIED);
	return 0;
}

static struct conn opened(void)
{
	struct conn c = conn_of(gateway(POLICY));

	handshake(&c);
	inproc_clear(c.gw);
	return c;
}

/* The sandbox got an acknowledgement of this many bytes. */
static void expect_acknowledged(const struct conn *c, size_t bytes)
{
	const struct packet_view *view = from_end(c->gw, SANDBOX, 0);

	expect_segment(view, TCP_ACK, c->irs + 1, c->iss + 1 + (uint32_t)bytes);
	assert_int_equal(view->payload_len, 0);
	assert_true(view->window > 0);
}

/* Nagle, or one segment a round trip after lost SYNs: the first piece comes again, and nothing
 * else. */
static void repeated_piece_is_acknowledged_and_the_rest_follows(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, good.bytes, 100), SL_REASON_NONE);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect(client(&c, 0, good.bytes, 100), SL_REASON_DUPLICATE);
	expect_acknowledged(&c, 100);
	expect_server_sees_nothing(&c);
	/* from now on at once */
	expect(client(&c, 100, good.bytes + 100, 20), SL_REASON_NONE);
	expect_acknowledged(&c, 120);
	expect(client(&c, 120, good.bytes + 120, good.len - 120), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

/* The gateway delivers what it has acknowledged: it retransmits until the server has it. */
static void acknowledged_bytes_are_sent_until_the_server_has_them(void **state)
{
	struct conn c = opened();
	size_t before;

	client(&c, 0, good.bytes, 100);
	client(&c, 0, good.bytes, 100);
	expect(client(&c, 100, good.bytes + 100, good.len - 100), SL_REASON_DOMAIN_ALLOWED);
	for (int i = 0; i < 3; i++) {
		inproc_clear(c.gw); /* lost on the way */
		inproc_advance_s(c.gw, 0.5);
		expect_server_sees(&c, good.bytes, good.len);
	}
	/* a part of it arrived */
	SEND(&c, SERVER, .ack = 60);
	inproc_clear(c.gw);
	inproc_advance_s(c.gw, 0.5);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->seq, c.iss + 1 + 60);
	SEND(&c, SERVER, .ack = (int64_t)good.len);
	before = inproc_count(c.gw, UPLINK);
	inproc_advance_s(c.gw, 2);
	assert_int_equal(inproc_count(c.gw, UPLINK), before);
	assert_int_equal(inproc_held(c.gw), 0);
	inproc_free(c.gw);

	/* if the server never answers, the copy is not kept for ever */
	c = opened();
	client(&c, 0, good.bytes, 100);
	client(&c, 0, good.bytes, 100);
	client(&c, 100, good.bytes + 100, good.len - 100);
	inproc_advance_s(c.gw, 11);
	last_event(c.gw, false, SL_REASON_HELLO_TIMEOUT);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

/*
 * A server whose window is smaller than the hello gets it piece by piece, and never more than its
 * window.
 */
static void window_smaller_than_the_hello_is_filled_and_not_overrun(void **state)
{
	struct conn c = conn_of(gateway(POLICY));
	const uint64_t window = PKT_SET(50);
	size_t seen = 0;

	SEND(&c, CLIENT, .flags = TCP_SYN);
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK, .window = window);
	SEND(&c, CLIENT);
	expect(client(&c, 0, good.bytes, 50), SL_REASON_NONE);
	expect(client(&c, 50, good.bytes + 50, 50), SL_REASON_NO_FLOW);
	expect(client(&c, 0, good.bytes, 50), SL_REASON_DUPLICATE);
	expect_acknowledged(&c, 50);
	client(&c, 50, good.bytes + 50, good.len - 50);
	while (seen < good.len) {
		uint8_t bytes[4096];
		size_t now = server_sees(&c, bytes, sizeof(bytes));

		assert_true(now > seen && now <= seen + 50);
		assert_memory_equal(bytes, good.bytes, now);
		seen = now;
		SEND(&c, SERVER, .ack = (int64_t)seen, .window = window);
	}
	assert_int_equal(inproc_held(c.gw), 0);
	last_event(c.gw, true, SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/*
 * An acknowledgement is not a verdict: a denied name is still refused, and nothing of it has left.
 */
static void acknowledged_bytes_of_a_denied_name_never_leave(void **state)
{
	struct conn c = opened();

	client(&c, 0, evil.bytes, 100);
	client(&c, 0, evil.bytes, 100);
	expect_acknowledged(&c, 100);
	/* nor may they be replaced */
	expect(client(&c, 100, evil.bytes + 100, evil.len - 100), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
	c = opened();
	client(&c, 0, evil.bytes, evil.len - 1);
	client(&c, 0, evil.bytes, evil.len - 1);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_STREAM_CONFLICT);
	expect_server_sees_nothing(&c);
	inproc_advance_s(c.gw, 3);
	expect_server_sees_nothing(&c);
	inproc_free(c.gw);
}

/* A server that acknowledges and then is silent for hours: the hello's memory is freed. */
static void copy_goes_once_the_server_has_it(void **state)
{
	struct conn c = opened();
	uint64_t before;

	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	before = inproc_stats(c.gw, 0)->hold_bytes;
	SEND(&c, SERVER, .ack = (int64_t)good.len);
	assert_true(inproc_stats(c.gw, 0)->hold_bytes + good.len < before);
	/* what was judged comes again and passes; what comes after it waits for the server's answer
	 */
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	expect(client(&c, (int64_t)good.len, "\x16\x03\x03", 3), SL_REASON_NONE);
	expect_server_sees(&c, good.bytes, good.len);
	inproc_free(c.gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(repeated_piece_is_acknowledged_and_the_rest_follows),
	        TEST(acknowledged_bytes_are_sent_until_the_server_has_them),
	        TEST(window_smaller_than_the_hello_is_filled_and_not_overrun),
	        TEST(acknowledged_bytes_of_a_denied_name_never_leave),
	        TEST(copy_goes_once_the_server_has_it),
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
