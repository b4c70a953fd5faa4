/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hold_limits.c: first bytes that are no hello, and limits of memory.
 */
#include "hold_scene.h"

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

		row(starts[i]);
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
		const char *what;
		struct hello_options options;
		enum sl_reason reason;
	} cases[] = {
	        {"a plain name", {.name = ALLOWED}, SL_REASON_DOMAIN_ALLOWED},
	        {"upper case and a trailing dot",
	         {.name = "GOOD.Example."},
	         SL_REASON_DOMAIN_ALLOWED},
	        {"a name below the pattern",
	         {.name = "a.b.good.example"},
	         SL_REASON_DOMAIN_ALLOWED},
	        {"ECH", {.name = ALLOWED, .ech = true}, SL_REASON_DOMAIN_ALLOWED},
	        {"no name", {.name = NULL}, SL_REASON_NO_SERVER_NAME},
	        {"an IPv4 address", {.name = "198.51.100.10"}, SL_REASON_NO_SERVER_NAME},
	        {"an IPv6 address", {.name = "::1"}, SL_REASON_NO_SERVER_NAME},
	        {"a name that ends like it",
	         {.name = "xgood.example"},
	         SL_REASON_DOMAIN_NOT_ALLOWED},
	        {"a name that begins like it",
	         {.name = "good.example.evil"},
	         SL_REASON_DOMAIN_NOT_ALLOWED},
	        {"a NUL in the name",
	         {.name = "good.example\0.evil", .name_len = 18},
	         SL_REASON_MALFORMED_HELLO},
	        {"an empty label", {.name = "good..example"}, SL_REASON_MALFORMED_HELLO},
	        {"a star", {.name = "*.good.example"}, SL_REASON_MALFORMED_HELLO},
	        {"UTF-8", {.name = "g\xc3\xb6od.example"}, SL_REASON_MALFORMED_HELLO},
	        {"two names", {.name = ALLOWED, .second_name = DENIED}, SL_REASON_MALFORMED_HELLO},
	        {"another server_name extension",
	         {.name = ALLOWED, .other_sni = DENIED},
	         SL_REASON_MALFORMED_HELLO},
	        {"the same server_name extension again",
	         {.name = ALLOWED, .other_sni = ALLOWED},
	         SL_REASON_MALFORMED_HELLO},
	        {"another type of name",
	         {.name = ALLOWED, .name_type = 1},
	         SL_REASON_MALFORMED_HELLO},
	        {"name length too large",
	         {.name = ALLOWED, .name_len_lie = 1},
	         SL_REASON_MALFORMED_HELLO},
	        {"list length too small",
	         {.name = ALLOWED, .list_len_lie = -1},
	         SL_REASON_MALFORMED_HELLO},
	        {"extensions' length too large",
	         {.name = ALLOWED, .extensions_len_lie = 1},
	         SL_REASON_MALFORMED_HELLO},
	        {"message length too small",
	         {.name = ALLOWED, .message_len_lie = -1},
	         SL_REASON_MALFORMED_HELLO},
	        {"an extension twice",
	         {.name = ALLOWED, .repeated_type = 0x1234},
	         SL_REASON_MALFORMED_HELLO},
	};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(cases); i++) {
		static struct hello hello;
		struct conn c = conn_of(gw);

		row(cases[i].what);
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
	expect(first_half(&first, &good), SL_REASON_NONE);
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
	expect(second_half(&first, &good), SL_REASON_DOMAIN_ALLOWED);
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
	expect(first_half(&third, &good), SL_REASON_NONE);
	expect(second_half(&third, &good), SL_REASON_DOMAIN_ALLOWED);
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

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
