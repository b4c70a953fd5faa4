/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_judge.h: shared by the tests of QUIC's parsers: one connection, a collector of CRYPTO
 * frames, and datagrams that are walked from memory of exactly their length, so that a sanitiser
 * sees every read past their end.
 */
#ifndef SLUICE_TESTS_QUIC_JUDGE_H
#define SLUICE_TESTS_QUIC_JUDGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exactly.h"
#include "expect.h"
#include "hello.h"
#include "quic_build.h"
#include "rows.h"
#include "wire/quic_initial.h"

static struct sl_quic_crypto *crypto;

static const uint8_t dcid[8] = {0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7};
static const uint8_t scid[5] = {0x50, 0x51, 0x52, 0x53, 0x54};
static const uint8_t server_cid[9] = {0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99};

static const uint32_t versions[] = {QUIC_V1, QUIC_V2};

static inline int setup(void **state)
{
	crypto = sl_quic_crypto_create();
	return crypto == NULL;
}

static inline int teardown(void **state)
{
	sl_quic_crypto_free(crypto);
	return 0;
}

static inline size_t from_hex(const char *hex, uint8_t *out)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return len;
}

struct stream {
	uint8_t bytes[20000];
	bool seen[20000];
	size_t frames;
	int refuse_at; /* refuse this frame (counted from 1) */
};

static inline int collect(void *arg, uint64_t offset, const uint8_t *data, size_t len)
{
	struct stream *s = arg;

	assert_true(len > 0);
	if ((int)++s->frames == s->refuse_at || offset + len > sizeof(s->bytes))
		return -1;
	memcpy(s->bytes + offset, data, len);
	memset(s->seen + offset, 1, len);
	return 0;
}

static inline size_t contiguous(const struct stream *s)
{
	size_t len = 0;

	while (len < sizeof(s->seen) && s->seen[len])
		len++;
	return len;
}

/* Just these bytes were collected. */
static inline void expect_collected(const struct stream *s, const void *bytes, size_t len)
{
	assert_int_equal(contiguous(s), len);
	assert_memory_equal(s->bytes, bytes, len);
}

/* Walks a datagram that lies on the heap in exactly its length. */
static inline enum sl_parse_result walk(struct sl_quic_conn *conn, const uint8_t *dgram, size_t len,
                                        struct stream *s, struct sl_quic_datagram_info *info)
{
	uint8_t *copy = exactly(dgram, len), *before = exactly(dgram, len);
	enum sl_parse_result answer;

	answer = sl_quic_client_datagram(crypto, conn, copy, len, collect, s, info);
	if (len > 0)
		assert_memory_equal(copy, before, len);
	free(copy);
	free(before);
	assert_true(answer != SL_PARSE_MORE);
	assert_true((answer == SL_PARSE_DONE) == (info->reason == SL_REASON_NONE));
	return answer;
}

/* A connection to dcid, and a datagram judged by it on its own. */
static inline enum sl_parse_result judge(uint32_t version, bool answered, const uint8_t *dgram,
                                         size_t len, struct stream *s,
                                         struct sl_quic_datagram_info *info)
{
	struct sl_quic_header server = {.version = version, .scid_len = sizeof(server_cid)};
	struct sl_quic_conn conn;

	memcpy(server.scid, server_cid, sizeof(server_cid));
	assert_true(sl_quic_conn_init(crypto, &conn, version, dcid, sizeof(dcid)));
	if (answered)
		sl_quic_conn_answer(crypto, &conn, &server);
	return walk(&conn, dgram, len, s, info);
}

static inline void expect_dgram(bool answered, const uint8_t *dgram, size_t len,
                                enum sl_parse_result answer, enum sl_reason reason)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;

	assert_int_equal(judge(QUIC_V1, answered, dgram, len, s, &info), answer);
	assert_int_equal(info.reason, reason);
	free(s);
}

static inline void expect_done(const uint8_t *dgram, size_t len)
{
	expect_dgram(false, dgram, len, SL_PARSE_DONE, SL_REASON_NONE);
}

static inline void expect_malformed(const uint8_t *dgram, size_t len)
{
	expect_dgram(false, dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
}

static const struct quic_options plain = {
        .dcid = dcid, .dcid_len = sizeof(dcid), .scid = scid, .scid_len = sizeof(scid)};

/* A valid first datagram of 1200 bytes with a whole hello. */
static inline size_t honest(uint8_t *out)
{
	uint8_t hello[HELLO_BYTES_MAX];

	return quic_hello_dgram(&plain, hello, 0, hello_named("www.example.com", hello), out);
}

/* An Initial with nothing but a PING. */
static inline size_t ping_initial(const struct quic_options *o, uint8_t *out)
{
	return quic_initial(o, (const uint8_t *)"\1", 1, out);
}

/* The same in a datagram of 1200 bytes to dcid, but for what the options say. */
static inline size_t ping_dgram(struct quic_options o, uint8_t *out)
{
	if (o.dcid == NULL) {
		o.dcid = dcid;
		o.dcid_len = sizeof(dcid);
	}
	if (o.scid == NULL) {
		o.scid = scid;
		o.scid_len = sizeof(scid);
	}
	if (o.dgram_len == 0)
		o.dgram_len = 1200;
	return ping_initial(&o, out);
}

/* What is wrong with a datagram of one Initial. */
struct lie {
	const char *what;
	struct quic_options o;
};

/* A datagram of 1200 bytes with these frames. */
static inline size_t with_frames(const uint8_t *frames, size_t len, uint8_t *out)
{
	struct quic_options o = plain;

	o.dgram_len = 1200;
	return quic_initial(&o, frames, len, out);
}

#endif
