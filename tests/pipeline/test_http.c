/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http.c: plain HTTP under rule 3 (spec section 3): a request is judged by its one Host, once
 * its header section is whole; limits and policies.
 */
#include "dns_lab.h"
#include "http_scene.h"

/* ---- the plain case, both ways ---- */

static void request_for_an_allowed_host_leaves_whole(void **state)
{
	struct conn c = opened();
	const struct sl_event *event;

	expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_count(c.gw, UPLINK), 1);
	assert_int_equal(inproc_count(c.gw, SANDBOX), 0);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_ACK | TCP_PSH, c.iss + 1, c.irs + 1);
	expect_server_sees(&c, GOOD, strlen(GOOD));
	event = last_event(c.gw, true, SL_REASON_DOMAIN_ALLOWED);
	expect_event_name(event, ALLOWED);
	assert_int_equal(event->via, SL_VIA_HTTP);
	assert_int_equal(event->dport, 80);
	assert_string_equal(event->sandbox, "one");
	expect(answer(&c, 0, LEN, OK), SL_REASON_DOMAIN_ALLOWED);
	assert_true(inproc_left(c.gw, SANDBOX, OK, strlen(OK)));
	/* "what follows on the judged connection is not judged again" */
	expect(say(&c, LEN, EVIL), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(inproc_stats(c.gw, 0)->hold_bytes, 0);
	inproc_free(c.gw);
}

static void request_for_a_denied_host_gets_a_403(void **state)
{
	struct conn c = opened();
	const struct sl_event *event;

	expect(say(&c, 0, EVIL), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_forbidden(&c, "domain-not-allowed evil.example", strlen(EVIL));
	event = last_event(c.gw, false, SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_event_name(event, DENIED);
	assert_int_equal(event->via, SL_VIA_HTTP);
	/* later packets are reset */
	inproc_clear(c.gw);
	expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_NOT_ALLOWED);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	inproc_free(c.gw);
}

static void request_over_ipv6_is_judged_alike(void **state)
{
	struct conn c = conn_of(gateway_with(POLICY, HTTP)), d;

	c.client = "fd00::2";
	c.server = "2001:db8:7::1";
	c.dport = 80;
	d = c;
	d.sport++;
	handshake(&c);
	expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
	expect_server_sees(&c, GOOD, strlen(GOOD));
	handshake(&d);
	inproc_clear(c.gw);
	expect(say(&d, 0, EVIL), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_forbidden(&d, "domain-not-allowed evil.example", strlen(EVIL));
	inproc_free(c.gw);
}

/* "the default deny leaves it not-tls". */
static void request_is_not_tls_where_http_is_denied(void **state)
{
	static const char *const configs[] = {CONFIG, CONFIG "inspect: {http: deny}\n"};

	for (size_t i = 0; i < COUNT(configs); i++) {
		struct conn c = opened_with(configs[i]);

		row(configs[i]);
		expect(say(&c, 0, GOOD), SL_REASON_NOT_TLS);
		expect_server_sees_nothing(&c);
		last_event(c.gw, false, SL_REASON_NOT_TLS);
		assert_int_equal(inproc_count(c.gw, SANDBOX), 1);
		assert_int_equal(from_end(c.gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
		inproc_free(c.gw);
	}
}

/* TLS and PostgreSQL work as before, and neither is a way into the other. */
static void request_beside_tls_changes_nothing_for_it(void **state)
{
	static const uint8_t ssl_request[8] = {0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f};
	struct conn c = opened(), d = conn_of(c.gw), e = conn_of(c.gw);
	struct hello hello;

	hello_for(&hello, ALLOWED);
	expect(client(&c, 0, hello.bytes, hello.len), SL_REASON_DOMAIN_ALLOWED);
	assert_int_equal(last_event(c.gw, true, SL_REASON_DOMAIN_ALLOWED)->via, SL_VIA_TLS);
	handshake(&d);
	hello_for(&hello, DENIED);
	expect(client(&d, 0, hello.bytes, hello.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	assert_false(inproc_left(c.gw, SANDBOX, "HTTP/", 5));
	handshake(&e);
	client(&e, 0, ssl_request, 8);
	server(&e, 0, 8, "S", 1);
	expect(SEND(&e, CLIENT, .at = 8, .ack = 1, .bytes = GOOD, .len = strlen(GOOD)),
	       SL_REASON_NOT_TLS);
	expect_server_sees(&e, ssl_request, 8);
	inproc_free(c.gw);
}

/* ---- what is judged ---- */

static void request_comes_to_its_reason(void **state)
{
	static const struct {
		const char *text;
		enum sl_reason reason;
		const char *line; /* of the 403; NULL: none */
	} cases[] = {
	        {GET "Host: www.good.example\r\n\r\n", SL_REASON_DOMAIN_ALLOWED, NULL},
	        {GET "Host: GOOD.example.\r\n\r\n", SL_REASON_DOMAIN_ALLOWED, NULL},
	        {GET "Host: good.example:80\r\n\r\n", SL_REASON_DOMAIN_ALLOWED, NULL},
	        {"GET http://good.example/a HTTP/1.1\r\nHost: good.example\r\n\r\n",
	         SL_REASON_DOMAIN_ALLOWED, NULL},
	        {"OPTIONS * HTTP/1.1\r\nHost: good.example\r\n\r\n", SL_REASON_DOMAIN_ALLOWED,
	         NULL},
	        {"GET / HTTP/1.0\r\nHost: good.example\r\n\r\n", SL_REASON_DOMAIN_ALLOWED, NULL},
	        {GET "Host: EVIL.example\r\n\r\n", SL_REASON_DOMAIN_NOT_ALLOWED,
	         "domain-not-allowed evil.example"},
	        {GET "Host: good.example:8080\r\n\r\n", SL_REASON_MALFORMED_HTTP,
	         "malformed-http good.example"},
	        {"GET http://evil.example/a HTTP/1.1\r\nHost: good.example\r\n\r\n",
	         SL_REASON_MALFORMED_HTTP, "malformed-http"},
	        {"GET http://good.example/a HTTP/1.1\r\nHost: evil.example\r\n\r\n",
	         SL_REASON_MALFORMED_HTTP, "malformed-http"},
	        {GET "Host: good.example\r\nHost: evil.example\r\n\r\n", SL_REASON_MALFORMED_HTTP,
	         "malformed-http"},
	        {GET "Host: good.example\r\nhost: good.example\r\n\r\n", SL_REASON_MALFORMED_HTTP,
	         "malformed-http"},
	        {GET "Host: good.example\r\nHost : evil.example\r\n\r\n", SL_REASON_MALFORMED_HTTP,
	         "malformed-http"},
	        {GET "Host: good.example\r\nX: y\r\n Host: evil.example\r\n\r\n",
	         SL_REASON_MALFORMED_HTTP, "malformed-http"},
	        {GET "Host: good.example\r\nX: y\nHost: evil.example\r\n\r\n",
	         SL_REASON_MALFORMED_HTTP, "malformed-http"},
	        {GET "Host: good.example\r\nX: y\rHost: evil.example\r\n\r\n",
	         SL_REASON_MALFORMED_HTTP, "malformed-http"},
	        {"CONNECT good.example:80 HTTP/1.1\r\nHost: good.example:80\r\n\r\n",
	         SL_REASON_MALFORMED_HTTP, "malformed-http"},
	        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SL_REASON_MALFORMED_HTTP, "malformed-http"},
	        {GET "Host: good.example\r\nContent-Length: 3\r\n"
	             "Transfer-Encoding: chunked\r\n\r\n",
	         SL_REASON_MALFORMED_HTTP, "malformed-http"},
	        {GET "\r\n", SL_REASON_NO_SERVER_NAME, "no-server-name"},
	        {GET "Host:\r\n\r\n", SL_REASON_NO_SERVER_NAME, "no-server-name"},
	        {GET "Host: 198.51.100.10\r\n\r\n", SL_REASON_NO_SERVER_NAME, "no-server-name"},
	        {GET "Host: [2001:db8::1]:80\r\n\r\n", SL_REASON_NO_SERVER_NAME, "no-server-name"},
	        {"EHLO good.example\r\n", SL_REASON_NOT_TLS, NULL},
	        {"SSH-2.0-x\r\n", SL_REASON_NOT_TLS, NULL},
	        {"GET /\r\n", SL_REASON_NOT_TLS, NULL},
	        {"get / HTTP/1.1\r\nHost: good.example\r\n\r\n", SL_REASON_NOT_TLS, NULL},
	        {"\r\n" GOOD, SL_REASON_NOT_TLS, NULL},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct conn c = opened();
		size_t len = strlen(cases[i].text);

		row(cases[i].text);
		expect(say(&c, 0, cases[i].text), cases[i].reason);
		last_event(c.gw, sl_reason_allows(cases[i].reason), cases[i].reason);
		if (sl_reason_allows(cases[i].reason)) {
			expect_server_sees(&c, cases[i].text, len);
		} else if (cases[i].line != NULL) {
			expect_forbidden(&c, cases[i].line, len);
		} else {
			expect_server_sees_nothing(&c);
			assert_int_equal(inproc_count(c.gw, SANDBOX), 1);
			assert_int_equal(from_end(c.gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
		}
		inproc_free(c.gw);
	}
}

/* "a NUL": a string would end there. */
static void request_with_a_nul_is_malformed(void **state)
{
	static const char text[] = GET "Host: good.example\0.evil.example\r\n\r\n";
	struct conn c = opened();

	expect(client(&c, 0, text, sizeof(text) - 1), SL_REASON_MALFORMED_HTTP);
	expect_forbidden(&c, "malformed-http", sizeof(text) - 1);
	inproc_free(c.gw);
}

/* "a port in it must be the connection's". */
static void request_on_any_port_names_that_port_or_none(void **state)
{
	static const struct {
		uint16_t dport;
		const char *host;
		enum sl_reason reason;
	} cases[] = {
	        {8080, "good.example", SL_REASON_DOMAIN_ALLOWED},
	        {8080, "good.example:8080", SL_REASON_DOMAIN_ALLOWED},
	        {8080, "good.example:80", SL_REASON_MALFORMED_HTTP},
	        {443, "good.example", SL_REASON_DOMAIN_ALLOWED},
	        {443, "good.example:80", SL_REASON_MALFORMED_HTTP},
	        {80, "good.example:80", SL_REASON_DOMAIN_ALLOWED},
	        {80, "good.example:443", SL_REASON_MALFORMED_HTTP},
	};
	struct inproc *gw = gateway_with(POLICY, HTTP);

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct conn c = conn_of(gw);
		char text[200];

		ROWF("%s to port %u", cases[i].host, cases[i].dport);
		c.dport = cases[i].dport;
		handshake(&c);
		snprintf(text, sizeof(text), GET "Host: %s\r\n\r\n", cases[i].host);
		expect(say(&c, 0, text), cases[i].reason);
	}
	inproc_free(gw);
}

/* "pins hold as for TLS". */
static void request_goes_where_its_name_is_pinned(void **state)
{
	static const struct {
		const char *host, *line;
		enum sl_reason reason;
	} cases[] = {
	        {"www.example.com", NULL, SL_REASON_DOMAIN_ALLOWED},
	        {"a.example.org", "address-not-pinned a.example.org", SL_REASON_ADDRESS_NOT_PINNED},
	        {"evil.example", "domain-not-allowed evil.example", SL_REASON_DOMAIN_NOT_ALLOWED},
	};
	struct inproc *gw = lab_create(LAB_POLICY, LAB_CONFIG "inspect: {http: host}\n");

	lab_resolve(gw, "www.example.com", "198.51.100.10", 60);
	lab_resolve(gw, "a.example.org", "198.51.100.11", 60);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct conn c = conn_of(gw);
		char text[200];

		row(cases[i].host);
		c.dport = 80;
		handshake(&c);
		inproc_clear(gw);
		snprintf(text, sizeof(text), GET "Host: %s\r\n\r\n", cases[i].host);
		expect(say(&c, 0, text), cases[i].reason);
		if (cases[i].line != NULL)
			expect_forbidden(&c, cases[i].line, strlen(text));
		else
			expect_server_sees(&c, text, strlen(text));
	}
	inproc_free(gw);
}

/* "at most hello-max, else hello-too-large". */
static void request_beyond_hello_max_is_refused(void **state)
{
	for (size_t size = 510; size < 515; size++) {
		struct conn c = opened_with(CONFIG "inspect: {http: host, hello-max: 512}\n");
		char text[600], pad[600] = {0};

		memset(pad, 'x', size - strlen(GET "Host: good.example\r\nX: \r\n\r\n"));
		snprintf(text, sizeof(text), GET "Host: good.example\r\nX: %s\r\n\r\n", pad);
		assert_int_equal(strlen(text), size);
		if (size <= 512) {
			expect(say(&c, 0, text), SL_REASON_DOMAIN_ALLOWED);
		} else {
			expect(say(&c, 0, text), SL_REASON_HELLO_TOO_LARGE);
			expect_forbidden(&c, "hello-too-large", size);
		}
		inproc_free(c.gw);
	}
}

static void request_that_stalls_times_out(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, GOOD, strlen(GOOD) - 1), SL_REASON_NONE);
	inproc_advance_s(c.gw, 11);
	last_event(c.gw, false, SL_REASON_HELLO_TIMEOUT);
	expect_server_sees_nothing(&c);
	assert_false(inproc_left(c.gw, SANDBOX, "403", 3));
	assert_int_equal(from_end(c.gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
	inproc_free(c.gw);
}

/* ---- limits and policies ---- */

/* "within the answers' rate limit like others". */
static void forbidden_is_limited_but_the_server_is_always_reset(void **state)
{
	struct inproc *gw = gateway_with(POLICY, HTTP);
	size_t told = 0, resets = 0;

	for (int i = 0; i < 150; i++) {
		struct conn c = conn_of(gw);

		c.dport = 80;
		handshake(&c);
		inproc_clear(gw);
		expect(say(&c, 0, EVIL), SL_REASON_DOMAIN_NOT_ALLOWED);
		told += inproc_left(gw, SANDBOX, "403 Forbidden", 13);
		resets += from_end(gw, UPLINK, 0)->flags == (TCP_RST | TCP_ACK);
	}
	assert_int_equal(told, 100);
	assert_int_equal(resets, 150);
	inproc_free(gw);
}

static void policy_that_drops_the_name_cuts_the_flow(void **state)
{
	for (int answered = 0; answered < 3; answered++) {
		struct conn c = opened();

		expect(say(&c, 0, GOOD), SL_REASON_DOMAIN_ALLOWED);
		if (answered > 0)
			SEND(&c, SERVER, .ack = LEN);
		if (answered > 1)
			expect(answer(&c, 0, LEN, OK), SL_REASON_DOMAIN_ALLOWED);
		/* still allowed: nothing happens */
		assert_int_not_equal(
		        inproc_push(c.gw, "sandboxes: [{vlan: 101, name: one, policy: {allow: "
		                          "['*.example']}}]"),
		        0);
		inproc_advance_s(c.gw, 1);
		expect(SEND(&c, CLIENT, .at = LEN), SL_REASON_DOMAIN_ALLOWED);
		assert_int_not_equal(
		        inproc_push(c.gw, "sandboxes: [{vlan: 101, name: one, policy: {allow: "
		                          "[other.example]}}]"),
		        0);
		inproc_clear(c.gw);
		inproc_advance_s(c.gw, 1);
		expect_event_name(last_event(c.gw, false, SL_REASON_POLICY_CHANGED), ALLOWED);
		assert_int_equal(inproc_event_last(c.gw)->via, SL_VIA_HTTP);
		assert_int_equal(from_end(c.gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
		assert_int_equal(from_end(c.gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
		expect(say(&c, LEN, "more"), SL_REASON_POLICY_CHANGED);
		inproc_free(c.gw);
	}
}

/* "A flow on hold is judged by the newest generation". */
static void policy_in_force_at_the_end_of_the_header_section_judges(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, GOOD, 30), SL_REASON_NONE);
	assert_int_not_equal(inproc_push(c.gw, "sandboxes: [{vlan: 101, name: one, policy: {allow: "
	                                       "[other.example]}}]"),
	                     0);
	expect(client(&c, 30, GOOD + 30, strlen(GOOD) - 30), SL_REASON_DOMAIN_NOT_ALLOWED);
	expect_forbidden(&c, "domain-not-allowed good.example", strlen(GOOD));
	inproc_free(c.gw);
}

static void policy_that_opens_the_address_needs_no_host(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, EVIL, 30), SL_REASON_NONE);
	assert_int_not_equal(inproc_push(c.gw,
	                                 "sandboxes: [{vlan: 101, name: one, policy: {allow: "
	                                 "[good.example], subnets: {allow: [198.51.100.0/24]}}}]"),
	                     0);
	inproc_advance_s(c.gw, 1);
	expect_server_sees(&c, EVIL, 30);
	expect(client(&c, 30, EVIL + 30, strlen(EVIL) - 30), SL_REASON_SUBNET_ALLOWED);
	expect_server_sees(&c, EVIL, strlen(EVIL));
	inproc_free(c.gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(request_for_an_allowed_host_leaves_whole),
	        TEST(request_for_a_denied_host_gets_a_403),
	        TEST(request_over_ipv6_is_judged_alike),
	        TEST(request_is_not_tls_where_http_is_denied),
	        TEST(request_beside_tls_changes_nothing_for_it),
	        TEST(request_comes_to_its_reason),
	        TEST(request_with_a_nul_is_malformed),
	        TEST(request_on_any_port_names_that_port_or_none),
	        TEST(request_goes_where_its_name_is_pinned),
	        TEST(request_beyond_hello_max_is_refused),
	        TEST(request_that_stalls_times_out),
	        TEST(forbidden_is_limited_but_the_server_is_always_reset),
	        TEST(policy_that_drops_the_name_cuts_the_flow),
	        TEST(policy_in_force_at_the_end_of_the_header_section_judges),
	        TEST(policy_that_opens_the_address_needs_no_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
