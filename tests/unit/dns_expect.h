/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_expect.h: shared by the DNS tests. Every message is parsed from a heap copy of exactly its
 * length, so that a sanitiser sees any read past its end.
 */
#ifndef TESTS_DNS_EXPECT_H
#define TESTS_DNS_EXPECT_H

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dns_build.h"
#include "exactly.h"
#include "expect.h"
#include "rows.h"
#include "wire/dns_message.h"

#define ID 0x1234

static struct dns_message msg __attribute__((unused)); /* 64 KiB: not on the stack */

/* As dig sends it: RD and AD, OPT with a COOKIE. Written by hand, so that builder and parser cannot
 * agree on a mistake. */
static const uint8_t dig_query[] = {
        0xbe, 0xef, 0x01, 0x20, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 'w',
        'W',  'w',  0x07, 'E',  'x',  'a',  'm',  'p',  'l',  'e',  0x03, 'c',  'o',  'm',
        0x00, 0x00, 0x1c, 0x00, 0x01, 0x00, 0x00, 0x29, 0x04, 0xd0, 0x00, 0x00, 0x80, 0x00,
        0x00, 0x0c, 0x00, 0x0a, 0x00, 0x08, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
};

static inline enum sl_parse_result parse_query(const uint8_t *bytes, size_t len,
                                               struct sl_dns_query *query)
{
	uint8_t *copy = exactly(bytes, len);
	enum sl_parse_result answer = sl_dns_query_parse(copy, len, query);

	free(copy);
	assert_true(answer == SL_PARSE_DONE || answer == SL_PARSE_BAD);
	return answer;
}

static inline enum sl_parse_result parse_msg(struct sl_dns_query *query)
{
	return parse_query(msg.bytes, msg.len, query);
}

/* A plain query for the name, parsed: what most tests begin with. */
static inline struct sl_dns_query query_for(const char *name, uint16_t type)
{
	struct sl_dns_query query;

	dns_begin(&msg, ID, DNS_RD);
	dns_question(&msg, name, type);
	assert_int_equal(parse_msg(&query), SL_PARSE_DONE);
	return query;
}

/* ---- addresses that an answer reported ---- */

struct told {
	size_t count;
	struct {
		char text[INET6_ADDRSTRLEN];
		bool hint;
		uint32_t ttl;
	} list[64];
};

static inline void tell(void *ctx, const struct sl_dns_address *address)
{
	struct told *told = ctx;

	assert_true(told->count < COUNT(told->list));
	assert_true(address->len == 4 || address->len == 16);
	inet_ntop(address->len == 4 ? AF_INET : AF_INET6, address->bytes,
	          told->list[told->count].text, INET6_ADDRSTRLEN);
	told->list[told->count].hint = address->hint;
	told->list[told->count].ttl = address->ttl;
	told->count++;
}

struct parsed {
	enum sl_parse_result answer;
	struct sl_dns_answer info;
	struct told told;
};

static inline struct parsed parse_answer(const uint8_t *bytes, size_t len,
                                         const struct sl_dns_question *sent)
{
	struct parsed parsed = {0};
	uint8_t *copy = exactly(bytes, len);

	parsed.answer = sl_dns_answer_parse(copy, len, sent, tell, &parsed.told, &parsed.info);
	free(copy);
	assert_int_not_equal(parsed.answer, SL_PARSE_MORE);
	if (parsed.answer != SL_PARSE_DONE)
		assert_int_equal(parsed.told.count, 0);
	else
		assert_int_equal(parsed.told.count, parsed.info.addresses);
	return parsed;
}

#endif
