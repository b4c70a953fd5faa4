/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http_head.c: where a client's HTTP header section ends, and which host it asks for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exactly.h"
#include "expect.h"
#include "rows.h"
#include "wire/http_head.h"

#define HEAD_MAX 16384
#define GET      "GET / HTTP/1.1\r\n"
#define HOST     "Host: good.example\r\n"
#define END      "\r\n"

/* Bytes that may hold NUL. */
struct bytes {
	const char *at;
	size_t len;
};

#define B(literal)                                                                                 \
	{                                                                                          \
		(literal), sizeof(literal) - 1                                                     \
	}

static enum sl_parse_result parse(const void *bytes, size_t len, struct sl_http_head *head)
{
	uint8_t *copy = exactly(bytes, len);
	enum sl_parse_result answer = sl_http_head_parse(copy, len, head);

	free(copy);
	if (answer != SL_PARSE_DONE) {
		assert_int_equal(head->name_len, 0);
		assert_string_equal(head->name, "");
	}
	return answer;
}

static enum sl_parse_result walk(const void *bytes, size_t len, size_t piece, uint32_t max,
                                 struct sl_http_walk *w)
{
	enum sl_parse_result answer = SL_PARSE_MORE;
	const uint8_t *stream = bytes;
	size_t used;

	sl_http_walk_init(w, max);
	for (size_t at = 0; at < len && answer == SL_PARSE_MORE; at += used) {
		size_t now = len - at < piece ? len - at : piece;
		uint8_t *copy = exactly(stream + at, now);

		answer = sl_http_walk_feed(w, copy, now, &used);
		free(copy);
		assert_true(used <= now && (answer != SL_PARSE_MORE || used == now));
	}
	return answer;
}

/* ---- what is read ---- */

static void request_with_one_host_names_it(void **state)
{
	static const struct {
		const char *text, *name;
		uint16_t port;
	} cases[] = {
	        {GET HOST END, "good.example", 0},
	        {"GET / HTTP/1.0\r\n" HOST END, "good.example", 0},
	        {GET "Host:good.example\r\n" END, "good.example", 0},
	        {GET "Host:   good.example  \r\n" END, "good.example", 0},
	        {GET "hOsT: GOOD.Example\r\n" END, "good.example", 0},
	        {GET "Host: good.example.\r\n" END, "good.example", 0},
	        {GET "Host: good.example:80\r\n" END, "good.example", 80},
	        {GET "Host: good.example:65535\r\n" END, "good.example", 65535},
	        {GET "Host: xn--bcher-kva.example\r\n" END, "xn--bcher-kva.example", 0},
	        {GET "User-Agent: curl/8\r\nAccept: */*\r\n" HOST "X: y\r\n" END, "good.example",
	         0},
	        {GET HOST "X:\r\nY: \r\nZ:a:b\r\n" END, "good.example", 0},
	        {GET HOST "X: a\tb\r\nCookie: caf\xc3\xa9\r\n" END, "good.example", 0},
	        {GET HOST "Hosts: evil.example\r\nX-Host: evil.example\r\n" END, "good.example", 0},
	        {"POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END, "good.example", 0},
	        {"PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n" END, "good.example",
	         0},
	        {"VERSION-CONTROL /a HTTP/1.1\r\n" HOST END, "good.example", 0},
	        {"OPTIONS * HTTP/1.1\r\n" HOST END, "good.example", 0},
	        {"GET //a//b?http://evil.example/ HTTP/1.1\r\n" HOST END, "good.example", 0},
	        {"GET /a?b=[c]|\"d\" HTTP/1.1\r\n" HOST END, "good.example", 0},
	        {"GET http://good.example/ HTTP/1.1\r\n" HOST END, "good.example", 0},
	        {"GET http://good.example HTTP/1.1\r\n" HOST END, "good.example", 0},
	        {"GET HTTP://Good.Example./a HTTP/1.1\r\n" HOST END, "good.example", 0},
	        {"GET http://good.example:81/ HTTP/1.1\r\nHost: good.example:81\r\n" END,
	         "good.example", 81},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const size_t len = strlen(cases[i].text);
		struct sl_http_head head;

		row(cases[i].text);
		assert_int_equal(parse(cases[i].text, len, &head), SL_PARSE_DONE);
		assert_string_equal(head.name, cases[i].name);
		assert_int_equal(head.name_len, strlen(cases[i].name));
		assert_int_equal(head.port, cases[i].port);
		assert_int_equal(head.reason, SL_REASON_NONE);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(parse(cases[i].text, cut, &head), SL_PARSE_MORE);
	}
}

static void request_without_a_host_has_no_name(void **state)
{
	static const char *const cases[] = {
	        GET END,
	        "GET / HTTP/1.0\r\n" END,
	        GET "Host:\r\n" END,
	        GET "Host:  \r\n" END,
	        GET "Host: :80\r\n" END,
	        GET "Host: 192.0.2.1\r\n" END,
	        GET "Host: 192.0.2.1:80\r\n" END,
	        GET "Host: 0x7f.1\r\n" END,
	        GET "Host: 127.1\r\n" END,
	        GET "Host: [2001:db8::1]\r\n" END,
	        GET "Host: [2001:db8::1]:80\r\n" END,
	        GET "X-Host: good.example\r\n" END,
	        "GET http://good.example/ HTTP/1.1\r\n" END,
	        "GET http://192.0.2.1/ HTTP/1.1\r\nHost: 192.0.2.1\r\n" END,
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sl_http_head head;

		row(cases[i]);
		assert_int_equal(parse(cases[i], strlen(cases[i]), &head), SL_PARSE_BAD);
		assert_int_equal(head.reason, SL_REASON_NO_SERVER_NAME);
	}
}

/* ---- what is refused ---- */

static void expect_malformed(const struct bytes *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sl_http_head head;

		row(cases[i].at);
		assert_int_equal(parse(cases[i].at, cases[i].len, &head), SL_PARSE_BAD);
		assert_string_equal(sl_reason_name(head.reason), "malformed-http");
	}
}

/* Requests that two servers may read as different hosts. */
static void host_that_can_be_read_in_two_ways_is_malformed(void **state)
{
	static const struct bytes cases[] = {
	        B(GET HOST "Host: evil.example\r\n" END),
	        B(GET HOST HOST END),
	        B(GET HOST "hOST: evil.example\r\n" END),
	        B(GET HOST "Host:\r\n" END),
	        B(GET "Host:\r\n" HOST END),
	        B(GET HOST "Host : evil.example\r\n" END),
	        B(GET HOST "Host\t: evil.example\r\n" END),
	        B(GET "Host\t:good.example\r\n" END),
	        B(GET HOST " Host: evil.example\r\n" END),
	        B(GET " Host: evil.example\r\n" HOST END),
	        B(GET "\tHost: evil.example\r\n" HOST END),
	        B(GET "Host:\tgood.example\r\n" END),
	        B(GET "Host: good.example\t\r\n" END),
	        B(GET "Host: good.example\tevil.example\r\n" END),
	        B(GET "Host: good.example evil.example\r\n" END),
	        B(GET "Host: good.example,evil.example\r\n" END),
	        B(GET "Host: good.example;evil.example\r\n" END),
	        B(GET "Host: good.example/evil.example\r\n" END),
	        B(GET "Host: good.example?\r\n" END),
	        B(GET "Host: good.example\\\r\n" END),
	        B(GET "Host: evil.example@good.example\r\n" END),
	        B(GET "Host: good.example:80@evil.example\r\n" END),
	        B(GET "Host: good.example:80:81\r\n" END),
	        B(GET "Host: good.example:\r\n" END),
	        B(GET "Host: good.example:0\r\n" END),
	        B(GET "Host: good.example:080\r\n" END),
	        B(GET "Host: good.example:65536\r\n" END),
	        B(GET "Host: good.example:100000\r\n" END),
	        B(GET "Host: good.example:+80\r\n" END),
	        B(GET "Host: good.example:8o\r\n" END),
	        B(GET "Host: good.example..\r\n" END),
	        B(GET "Host: .good.example\r\n" END),
	        B(GET "Host: good..example\r\n" END),
	        B(GET "Host: %67ood.example\r\n" END),
	        B(GET "Host: \"good.example\"\r\n" END),
	        B(GET "Host: http://good.example\r\n" END),
	        B(GET "Host: *.example\r\n" END),
	        B(GET "Host: g\xc3\xb6od.example\r\n" END),
	        B(GET "Host: good.example\xa0\r\n" END),
	        B(GET "Host: ::1\r\n" END),
	        B(GET "Host: good.example\0.evil.example\r\n" END),
	        B(GET "Host: good.example\0\r\n" END),
	        B(GET "Host\0: evil.example\r\n" HOST END),
	        B(GET "Host\v: evil.example\r\n" HOST END),
	        B(GET "\xa0Host: evil.example\r\n" HOST END),
	        B(GET HOST ": evil.example\r\n" END),
	};

	expect_malformed(cases, COUNT(cases));
}

static void line_ends_that_differ_are_malformed(void **state)
{
	static const struct bytes cases[] = {
	        B("GET / HTTP/1.1\n"),
	        B(GET "Host: good.example\n"),
	        B(GET "Host: good.example\r\r\n"),
	        B(GET "Host: good.example\rHost: evil.example\r\n" END),
	        B(GET "X: y\nHost: evil.example\r\n" HOST END),
	        B(GET HOST "\n"),
	        B(GET HOST "\r\r\n"),
	        B(GET HOST "X: y\r\n z\r\n" END),
	        B(GET HOST "X: y\r\n\tz\r\n" END),
	        B(GET " \r\n" HOST END),
	        B(GET "X: \0\r\n" HOST END),
	        B(GET "X: \x7f\r\n" HOST END),
	        B(GET "X: \x1b[0m\r\n" HOST END),
	        B("GET /\0 HTTP/1.1\r\n" HOST END),
	        B("GET /\t HTTP/1.1\r\n" HOST END),
	        B("GET /\x01 HTTP/1.1\r\n" HOST END),
	};

	expect_malformed(cases, COUNT(cases));
}

static void lines_that_break_the_grammar_are_malformed(void **state)
{
	static const struct bytes cases[] = {
	        B("CONNECT good.example:443 HTTP/1.1\r\nHost: good.example:443\r\n" END),
	        B("CONNECT / HTTP/1.1\r\n" HOST END),
	        B("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	        B("PRI * HTTP/1.1\r\n" HOST END),
	        B("GET / HTTP/2.0\r\n" HOST END),
	        B("GET / HTTP/1.2\r\n" HOST END),
	        B("GET / HTTP/0.9\r\n" HOST END),
	        B("GET  / HTTP/1.1\r\n" HOST END),
	        B("GET /  HTTP/1.1\r\n" HOST END),
	        B("GET /a b HTTP/1.1\r\n" HOST END),
	        B("GET / HTTP/1.1 HTTP/1.1\r\n" HOST END),
	        B("GET  HTTP/1.1\r\n" HOST END),
	        B("GET * HTTP/1.1\r\n" HOST END),
	        B("GET a HTTP/1.1\r\n" HOST END),
	        B("GET \\ HTTP/1.1\r\n" HOST END),
	        B("GET good.example/ HTTP/1.1\r\n" HOST END),
	        B("GET /\xc3\xa9 HTTP/1.1\r\n" HOST END),
	        B("OPTIONS ** HTTP/1.1\r\n" HOST END),
	        B(GET HOST "no colon\r\n" END),
	        B(GET HOST "nocolon\r\n" END),
	        B(GET HOST "a b: c\r\n" END),
	        B(GET HOST "a(b): c\r\n" END),
	        B(GET HOST END "x"),
	        B(GET HOST END END),
	};

	expect_malformed(cases, COUNT(cases));
}

/* "of an absolute-form target: both must be equal". */
static void absolute_form_that_differs_is_malformed(void **state)
{
	static const struct bytes cases[] = {
	        B("GET http://evil.example/ HTTP/1.1\r\n" HOST END),
	        B("GET http://good.example:80/ HTTP/1.1\r\n" HOST END),
	        B("GET http://good.example/ HTTP/1.1\r\nHost: good.example:80\r\n" END),
	        B("GET http://good.example:81/ HTTP/1.1\r\nHost: good.example:80\r\n" END),
	        B("GET http://user@good.example/ HTTP/1.1\r\n" HOST END),
	        B("GET http://good.example@evil.example/ HTTP/1.1\r\n" HOST END),
	        B("GET http://good.example?@evil.example/ HTTP/1.1\r\n" HOST END),
	        B("GET http://good.example#@evil.example/ HTTP/1.1\r\n" HOST END),
	        B("GET http://good.example\\@evil.example/ HTTP/1.1\r\n" HOST END),
	        B("GET http:/good.example/ HTTP/1.1\r\n" HOST END),
	        B("GET http:good.example HTTP/1.1\r\n" HOST END),
	        B("GET http:// HTTP/1.1\r\n" HOST END),
	        B("GET http:///good.example/ HTTP/1.1\r\n" HOST END),
	        B("GET http://192.0.2.1/ HTTP/1.1\r\n" HOST END),
	        B("GET http://good.example/ HTTP/1.1\r\nHost: 192.0.2.1\r\n" END),
	        B("GET http://good.example/ HTTP/1.1\r\nHost:\r\n" END),
	        B("GET https://good.example/ HTTP/1.1\r\n" HOST END),
	        B("GET ftp://good.example/ HTTP/1.1\r\n" HOST END),
	        B("GET ://good.example/ HTTP/1.1\r\n" HOST END),
	};

	expect_malformed(cases, COUNT(cases));
}

static void body_that_ends_at_two_places_is_malformed(void **state)
{
	static const struct bytes cases[] = {
	        B(GET HOST "Content-Length: 1\r\nContent-Length: 2\r\n" END),
	        B(GET HOST "Content-Length: 1\r\ncontent-length: 1\r\n" END),
	        B(GET HOST "Content-Length: 1, 1\r\n" END),
	        B(GET HOST "Content-Length: +1\r\n" END),
	        B(GET HOST "Content-Length:\r\n" END),
	        B(GET HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" END),
	        B(GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END),
	        B(GET HOST "Transfer-Encoding: identity\r\n" END),
	        B(GET HOST "Transfer-Encoding: gzip, chunked\r\n" END),
	        B(GET HOST "Transfer-Encoding:\tchunked\r\n" END),
	        B("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n" END),
	};

	expect_malformed(cases, COUNT(cases));
}

static void other_protocols_are_not_mine(void **state)
{
	static const struct bytes cases[] = {
	        B("\x16\x03\x01"),
	        B("\0"),
	        B("SSH-2.0-OpenSSH_9\r\n"),
	        B("EHLO good.example\r\n"),
	        B("USER anonymous\r\n"),
	        B("GET /\r\n"),
	        B("GET /\n"),
	        B("get / HTTP/1.1\r\n"),
	        B("Get / HTTP/1.1\r\n"),
	        B(" GET / HTTP/1.1\r\n"),
	        B("\r\nGET / HTTP/1.1\r\n"),
	        B("GET\t/ HTTP/1.1\r\n"),
	        B("GET / HTTP/1.1 \r\n"),
	        B("GET / http/1.1\r\n"),
	        B("GET / HTTP/1.10\r\n"),
	        B("GET /HTTP/1.1\r\n"),
	        B("GET HTTP/1.1\r\n"),
	        B("-GET / HTTP/1.1\r\n"),
	        B("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
	        B("\x80"),
	        B("P\0"),
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sl_http_head head;

		row(cases[i].at);
		assert_int_equal(parse(cases[i].at, cases[i].len, &head), SL_PARSE_NOT_MINE);
		assert_int_equal(head.reason, SL_REASON_NOT_TLS);
	}
}

/* ---- the walk ---- */

static void walk_ends_with_the_empty_line_in_any_pieces(void **state)
{
	static const char stream[] =
	        "POST /a HTTP/1.1\r\n" HOST "Content-Length: 9\r\n" END "\r\n\r\nbody\r\n";
	const size_t range = sizeof(stream) - 1 - strlen("\r\n\r\nbody\r\n");
	struct sl_http_walk w;

	for (size_t piece = 1; piece <= sizeof(stream); piece++) {
		size_t used;

		assert_int_equal(walk(stream, sizeof(stream) - 1, piece, HEAD_MAX, &w),
		                 SL_PARSE_DONE);
		assert_int_equal(w.len, range);
		assert_int_equal(w.reason, SL_REASON_NONE);
		/* A final answer stays. */
		assert_int_equal(sl_http_walk_feed(&w, (const uint8_t *)"x", 1, &used),
		                 SL_PARSE_DONE);
		assert_int_equal(used, 0);
	}
	assert_true(sizeof(struct sl_http_walk) <= 32);
}

/* An error that no later byte can correct is refused at once, without waiting for the rest. */
static void walk_refuses_at_the_first_wrong_byte(void **state)
{
	static const struct {
		const char *text;
		size_t at; /* bytes walked */
		enum sl_parse_result answer;
	} cases[] = {
	        {"SSH-2.0-x\r\nmore", 5, SL_PARSE_NOT_MINE},
	        {"EHLO x\r\nmore", 7, SL_PARSE_NOT_MINE},
	        {GET "Host: a\nmore", 24, SL_PARSE_BAD},
	        {GET HOST " folded", 37, SL_PARSE_BAD},
	        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 15, SL_PARSE_BAD},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		row(cases[i].text);
		for (size_t piece = 1; piece < 40; piece++) {
			struct sl_http_walk w;

			assert_int_equal(
			        walk(cases[i].text, strlen(cases[i].text), piece, HEAD_MAX, &w),
			        cases[i].answer);
			assert_int_equal(w.len, cases[i].at);
		}
	}
}

static void walk_is_bounded(void **state)
{
	static const char stream[] = GET HOST END;
	const uint32_t len = sizeof(stream) - 1;
	struct sl_http_walk w;

	for (uint32_t max = 1; max < len + 3; max++) {
		assert_int_equal(walk(stream, len, 7, max, &w),
		                 max >= len ? SL_PARSE_DONE : SL_PARSE_BAD);
		assert_int_equal(w.len, max >= len ? len : max);
		if (max < len)
			assert_int_equal(w.reason, SL_REASON_HELLO_TOO_LARGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(request_with_one_host_names_it),
	        cmocka_unit_test(request_without_a_host_has_no_name),
	        cmocka_unit_test(host_that_can_be_read_in_two_ways_is_malformed),
	        cmocka_unit_test(line_ends_that_differ_are_malformed),
	        cmocka_unit_test(lines_that_break_the_grammar_are_malformed),
	        cmocka_unit_test(absolute_form_that_differs_is_malformed),
	        cmocka_unit_test(body_that_ends_at_two_places_is_malformed),
	        cmocka_unit_test(other_protocols_are_not_mine),
	        cmocka_unit_test(walk_ends_with_the_empty_line_in_any_pieces),
	        cmocka_unit_test(walk_refuses_at_the_first_wrong_byte),
	        cmocka_unit_test(walk_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
