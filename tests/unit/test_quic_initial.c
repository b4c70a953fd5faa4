/*
 * test_quic_initial.c: keys and Retry tags against the RFCs' samples, and what a client's datagrams
 * may and may not hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "corpus.h"
#include "hello.h"
#include "inspect/quic_initial.h"
#include "inspect/tls_hello.h"
#include "quic_build.h"
#include "quic_twin.h"
#include "rfc_quic.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static struct sl_quic_crypto *crypto;

static const uint8_t dcid[8] = {0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7};
static const uint8_t scid[5] = {0x50, 0x51, 0x52, 0x53, 0x54};
static const uint8_t server_cid[9] = {0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99};

static const uint32_t versions[] = {QUIC_V1, QUIC_V2};

static int setup(void **state)
{
	crypto = sl_quic_crypto_create();
	return crypto == NULL;
}

static int teardown(void **state)
{
	sl_quic_crypto_free(crypto);
	return 0;
}

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return len;
}

/* ---- a collector of CRYPTO frames ---- */

struct stream {
	uint8_t bytes[20000];
	bool seen[20000];
	size_t frames;
	int refuse_at; /* refuse this frame (counted from 1) */
};

static int collect(void *arg, uint64_t offset, const uint8_t *data, size_t len)
{
	struct stream *s = arg;

	assert_true(len > 0);
	if ((int)++s->frames == s->refuse_at || offset + len > sizeof(s->bytes))
		return -1;
	memcpy(s->bytes + offset, data, len);
	memset(s->seen + offset, 1, len);
	return 0;
}

static size_t contiguous(const struct stream *s)
{
	size_t len = 0;

	while (len < sizeof(s->seen) && s->seen[len])
		len++;
	return len;
}

/* Walks a datagram that lies on the heap in exactly its length. */
static enum sl_parse walk(struct sl_quic_conn *conn, const uint8_t *dgram, size_t len,
                          struct stream *s, struct sl_quic_datagram_info *info)
{
	uint8_t *copy = calloc(len != 0 ? len : 1, 1), *before = malloc(len != 0 ? len : 1);
	enum sl_parse answer;

	assert_non_null(copy);
	assert_non_null(before);
	if (len > 0) {
		memcpy(copy, dgram, len);
		memcpy(before, dgram, len);
	}
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
static enum sl_parse judge(uint32_t version, bool answered, const uint8_t *dgram, size_t len,
                           struct stream *s, struct sl_quic_datagram_info *info)
{
	struct sl_quic_header server = {.version = version, .scid_len = sizeof(server_cid)};
	struct sl_quic_conn conn;

	memcpy(server.scid, server_cid, sizeof(server_cid));
	assert_true(sl_quic_conn_init(crypto, &conn, version, dcid, sizeof(dcid)));
	if (answered)
		sl_quic_conn_answer(crypto, &conn, &server);
	return walk(&conn, dgram, len, s, info);
}

static void expect_dgram(bool answered, const uint8_t *dgram, size_t len, enum sl_parse answer,
                         enum sl_reason reason)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;

	assert_int_equal(judge(QUIC_V1, answered, dgram, len, s, &info), answer);
	assert_int_equal(info.reason, reason);
	free(s);
}

static void expect_done(const uint8_t *dgram, size_t len)
{
	expect_dgram(false, dgram, len, SL_PARSE_DONE, SL_REASON_NONE);
}

static void expect_malformed(const uint8_t *dgram, size_t len)
{
	expect_dgram(false, dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
}

static const struct quic_options plain = {
        .dcid = dcid, .dcid_len = sizeof(dcid), .scid = scid, .scid_len = sizeof(scid)};

/* An honest first datagram of 1200 bytes with a whole hello. */
static size_t honest(uint8_t *out)
{
	uint8_t hello[HELLO_BYTES_MAX];

	return quic_hello_dgram(&plain, hello, 0, hello_named("www.example.com", hello), out);
}

/* A datagram of 1200 bytes with these frames. */
static size_t with_frames(const uint8_t *frames, size_t len, uint8_t *out)
{
	struct quic_options o = plain;

	o.dgram_len = 1200;
	return quic_initial(&o, frames, len, out);
}

/* ---- the RFCs' samples ---- */

static void rfc_keys_are_derived(void **state)
{
	const char *const expected[2][3] = {{rfc_v1_key, rfc_v1_iv, rfc_v1_hp},
	                                    {rfc_v2_key, rfc_v2_iv, rfc_v2_hp}};
	uint8_t cid[20], bytes[16];
	size_t cid_len = from_hex(rfc_dcid, cid);

	for (size_t v = 0; v < 2; v++) {
		struct sl_quic_keys keys;

		assert_true(sl_quic_crypto_client_keys(crypto, versions[v], cid, cid_len, &keys));
		from_hex(expected[v][0], bytes);
		assert_memory_equal(keys.key, bytes, 16);
		from_hex(expected[v][1], bytes);
		assert_memory_equal(keys.iv, bytes, 12);
		from_hex(expected[v][2], bytes);
		assert_memory_equal(keys.hp, bytes, 16);
	}
}

static void keys_every_cid_length_equals_plain_hkdf(void **state)
{
	uint8_t cid[20];

	for (size_t i = 0; i < sizeof(cid); i++)
		cid[i] = (uint8_t)(i * 37 + 11);
	for (size_t v = 0; v < 2; v++)
		for (size_t len = 0; len <= sizeof(cid); len++) {
			struct sl_quic_keys keys;
			struct quic_keys expected;

			quic_keys(versions[v], cid, len, false, &expected);
			assert_true(
			        sl_quic_crypto_client_keys(crypto, versions[v], cid, len, &keys));
			assert_memory_equal(keys.key, expected.key, 16);
			assert_memory_equal(keys.iv, expected.iv, 12);
			assert_memory_equal(keys.hp, expected.hp, 16);
		}
}

static void keys_unknown_version_refuses(void **state)
{
	struct sl_quic_conn conn;
	struct sl_quic_keys keys;

	assert_false(sl_quic_crypto_client_keys(crypto, 0xff00001d, dcid, 8, &keys));
	assert_false(sl_quic_crypto_client_keys(crypto, QUIC_V1, dcid, 21, &keys));
	assert_false(sl_quic_conn_init(crypto, &conn, 0, dcid, 8));
	assert_false(sl_quic_conn_init(crypto, &conn, QUIC_V1, dcid, 21));
}

static void rfc_client_initial_opens(void **state)
{
	const char *const packets[2] = {rfc_v1_client_initial, rfc_v2_client_initial};
	uint8_t dgram[1300], frames[400];
	size_t frames_len = from_hex(rfc_client_frames, frames);

	for (size_t v = 0; v < 2; v++) {
		size_t len = from_hex(packets[v], dgram);
		struct stream *s = calloc(1, sizeof(*s));
		struct sl_quic_header header;
		struct sl_quic_conn conn;
		struct sl_quic_datagram_info info;
		struct sl_tls_hello hello;

		assert_int_equal(sl_quic_initial_probe(dgram, len, &header), SL_PARSE_DONE);
		assert_int_equal(header.version, versions[v]);
		assert_int_equal(header.dcid_len, 8);
		assert_int_equal(header.scid_len, 0);
		assert_true(sl_quic_conn_init(crypto, &conn, header.version, header.dcid,
		                              header.dcid_len));
		assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_DONE);
		assert_int_equal(info.initials, 1);
		assert_int_equal(info.crypto_frames, 1);
		assert_true(info.ack_eliciting);
		assert_int_equal(conn.number_next, 3);
		/* CRYPTO, offset 0, length of two bytes. */
		assert_int_equal(contiguous(s), frames_len - 4);
		assert_memory_equal(s->bytes, frames + 4, frames_len - 4);
		assert_int_equal(sl_tls_hello_parse(s->bytes, contiguous(s), &hello),
		                 SL_PARSE_DONE);
		assert_string_equal(hello.name, "example.com");
		free(s);
	}
}

static void rfc_client_initial_any_bit_flipped_is_refused(void **state)
{
	uint8_t dgram[1300];
	size_t len = from_hex(rfc_v1_client_initial, dgram);
	struct sl_quic_datagram_info info;
	struct stream *s = calloc(1, sizeof(*s));
	uint8_t cid[20];

	from_hex(rfc_dcid, cid);
	for (size_t bit = 0; bit < len * 8; bit++) {
		struct sl_quic_conn conn;

		dgram[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(sl_quic_conn_init(crypto, &conn, QUIC_V1, cid, 8));
		assert_int_not_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_DONE);
		dgram[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(s->frames, 0);
	free(s);
}

static void rfc_client_initial_every_prefix_is_refused(void **state)
{
	uint8_t dgram[1300];
	size_t len = from_hex(rfc_v2_client_initial, dgram);
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;
	struct sl_quic_header header;
	uint8_t cid[20];

	from_hex(rfc_dcid, cid);
	for (size_t cut = 0; cut < len; cut++) {
		struct sl_quic_conn conn;

		assert_true(sl_quic_conn_init(crypto, &conn, QUIC_V2, cid, 8));
		assert_int_not_equal(walk(&conn, dgram, cut, s, &info), SL_PARSE_DONE);
		assert_int_not_equal(sl_quic_initial_probe(dgram, cut, &header), SL_PARSE_DONE);
		assert_int_not_equal(sl_quic_find_initial(dgram, cut, &header), SL_PARSE_DONE);
	}
	free(s);
}

static void rfc_server_initial_names_server_cid(void **state)
{
	const char *const packets[2] = {rfc_v1_server_initial, rfc_v2_server_initial};
	uint8_t dgram[200], expected[8];

	from_hex("f067a5502a4262b5", expected);
	for (size_t v = 0; v < 2; v++) {
		size_t len = from_hex(packets[v], dgram);
		struct sl_quic_header header;

		assert_int_equal(sl_quic_find_initial(dgram, len, &header), SL_PARSE_DONE);
		assert_int_equal(header.version, versions[v]);
		assert_int_equal(header.dcid_len, 0);
		assert_int_equal(header.scid_len, 8);
		assert_memory_equal(header.scid, expected, 8);
	}
}

static void rfc_retry_gives_new_cid(void **state)
{
	const char *const packets[2] = {rfc_v1_retry, rfc_v2_retry};
	uint8_t dgram[100], cid[20], expected[8];

	from_hex(rfc_dcid, cid);
	from_hex("f067a5502a4262b5", expected);
	for (size_t v = 0; v < 2; v++) {
		size_t len = from_hex(packets[v], dgram);
		struct sl_quic_header header;
		struct sl_quic_conn conn;

		assert_true(sl_quic_conn_init(crypto, &conn, versions[v], cid, 8));
		assert_int_equal(sl_quic_retry_parse(crypto, &conn, dgram, len, &header),
		                 SL_PARSE_DONE);
		assert_int_equal(header.scid_len, 8);
		assert_memory_equal(header.scid, expected, 8);
		assert_int_equal(header.token_len, 5);
		for (size_t bit = 0; bit < len * 8; bit++) {
			dgram[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_not_equal(
			        sl_quic_retry_parse(crypto, &conn, dgram, len, &header),
			        SL_PARSE_DONE);
			dgram[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_int_not_equal(
			        sl_quic_retry_parse(crypto, &conn, dgram, cut, &header),
			        SL_PARSE_DONE);
		/* An answer to another first DCID. */
		cid[0] ^= 1;
		assert_true(sl_quic_conn_init(crypto, &conn, versions[v], cid, 8));
		assert_int_equal(sl_quic_retry_parse(crypto, &conn, dgram, len, &header),
		                 SL_PARSE_BAD);
		cid[0] ^= 1;
	}
}

/* ---- Retry ---- */

static void retry_that_no_client_believes_is_refused(void **state)
{
	struct quic_options o = {.dcid = scid,
	                         .dcid_len = sizeof(scid),
	                         .scid = server_cid,
	                         .scid_len = sizeof(server_cid),
	                         .token = (const uint8_t *)"token",
	                         .token_len = 5};
	struct sl_quic_header header;
	struct sl_quic_conn conn;
	uint8_t dgram[1300];
	size_t len;

	for (size_t v = 0; v < 2; v++) {
		o.version = versions[v];
		assert_true(sl_quic_conn_init(crypto, &conn, versions[v], dcid, sizeof(dcid)));
		len = quic_retry(&o, dcid, sizeof(dcid), dgram);
		assert_int_equal(sl_quic_retry_parse(crypto, &conn, dgram, len, &header),
		                 SL_PARSE_DONE);
		assert_memory_equal(header.scid, server_cid, sizeof(server_cid));
		assert_int_equal(sl_quic_find_initial(dgram, len, &header), SL_PARSE_NOT_MINE);

		o.token_len = 0;
		len = quic_retry(&o, dcid, sizeof(dcid), dgram);
		assert_int_equal(sl_quic_retry_parse(crypto, &conn, dgram, len, &header),
		                 SL_PARSE_BAD);
		o.token_len = 5;
		o.scid = dcid;
		o.scid_len = sizeof(dcid);
		len = quic_retry(&o, dcid, sizeof(dcid), dgram);
		assert_int_equal(sl_quic_retry_parse(crypto, &conn, dgram, len, &header),
		                 SL_PARSE_BAD);
		o.scid = server_cid;
		o.scid_len = sizeof(server_cid);
		o.version = versions[1 - v];
		len = quic_retry(&o, dcid, sizeof(dcid), dgram);
		assert_int_equal(sl_quic_retry_parse(crypto, &conn, dgram, len, &header),
		                 SL_PARSE_BAD);
		assert_int_equal(header.reason, SL_REASON_MALFORMED_QUIC);
	}
	len = honest(dgram);
	assert_int_equal(sl_quic_retry_parse(crypto, &conn, dgram, len, &header),
	                 SL_PARSE_NOT_MINE);
	assert_int_equal(sl_quic_retry_parse(crypto, &conn, dgram, 0, &header), SL_PARSE_NOT_MINE);
}

static void retry_client_begins_anew_with_token(void **state)
{
	struct quic_options o = plain;
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;
	struct sl_quic_header header;
	struct sl_quic_conn conn;
	uint8_t dgram[1300], hello[HELLO_BYTES_MAX], token[120];
	size_t len, hello_len = hello_named("www.example.com", hello);

	memset(token, 0x70, sizeof(token));
	o.dcid = server_cid;
	o.dcid_len = sizeof(server_cid);
	o.token = token;
	o.token_len = sizeof(token);
	o.number = 1;
	len = quic_hello_dgram(&o, hello, 0, hello_len, dgram);
	assert_int_equal(sl_quic_initial_probe(dgram, len, &header), SL_PARSE_DONE);
	assert_int_equal(header.token_len, sizeof(token));
	assert_true(sl_quic_conn_init(crypto, &conn, QUIC_V1, dcid, sizeof(dcid)));
	assert_false(sl_quic_conn_owns(&conn, &header));
	assert_true(sl_quic_conn_init(crypto, &conn, header.version, header.dcid, header.dcid_len));
	assert_true(sl_quic_conn_owns(&conn, &header));
	assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_DONE);
	assert_int_equal(info.token_len, sizeof(token));
	assert_int_equal(contiguous(s), hello_len);
	free(s);
}

/* ---- the probe ---- */

static void expect_probe(const uint8_t *dgram, size_t len, enum sl_parse answer,
                         enum sl_reason reason)
{
	uint8_t *copy = calloc(len != 0 ? len : 1, 1);
	struct sl_quic_header header;

	if (len > 0)
		memcpy(copy, dgram, len);
	assert_int_equal(sl_quic_initial_probe(copy, len, &header), answer);
	assert_int_equal(header.reason, reason);
	free(copy);
}

static void probe_honest_initial_fills_header(void **state)
{
	struct sl_quic_header header;
	uint8_t dgram[1300];
	size_t len = honest(dgram);

	assert_int_equal(len, 1200);
	assert_int_equal(sl_quic_initial_probe(dgram, len, &header), SL_PARSE_DONE);
	assert_int_equal(header.version, QUIC_V1);
	assert_int_equal(header.dcid_len, sizeof(dcid));
	assert_memory_equal(header.dcid, dcid, sizeof(dcid));
	assert_int_equal(header.scid_len, sizeof(scid));
	assert_memory_equal(header.scid, scid, sizeof(scid));
	assert_int_equal(header.token_len, 0);
}

static void probe_other_version_is_not_quic(void **state)
{
	static const uint32_t others[] = {0,          0xff00001d, 0x51303433, 0x51303530,
	                                  0x0a0a0a0a, 0x00000002, 0x709a50c4, 0x6b3343ce};
	struct quic_options o = plain;
	uint8_t dgram[1300];

	o.dgram_len = 1200;
	for (size_t i = 0; i < COUNT(others); i++) {
		size_t len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);

		for (int byte = 0; byte < 4; byte++)
			dgram[1 + byte] = (uint8_t)(others[i] >> (24 - 8 * byte));
		expect_probe(dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
	}
}

static void probe_other_packet_first_is_not_quic(void **state)
{
	static const enum quic_type types[] = {QUIC_ZERO_RTT, QUIC_HANDSHAKE, QUIC_RETRY};
	struct quic_options o = plain;
	uint8_t dgram[2600];

	for (size_t v = 0; v < 2; v++)
		for (size_t i = 0; i < COUNT(types); i++) {
			size_t len;

			o.version = versions[v];
			len = quic_long(types[i], &o, 1250, dgram);
			expect_probe(dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
			len += honest(dgram + len);
			expect_probe(dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
		}
	memset(dgram, 0x55, 1300); /* a short header */
	expect_probe(dgram, 1300, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
	memset(dgram, 0, 1300);
	expect_probe(dgram, 1300, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
	memset(dgram, 0x16, 1300); /* DTLS */
	expect_probe(dgram, 1300, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
	expect_probe(dgram, 0, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
}

static void probe_type_bits_of_the_other_version_are_not_quic(void **state)
{
	struct quic_options o = plain;
	uint8_t dgram[1300];
	size_t len;

	o.dgram_len = 1200;
	o.version = QUIC_V2;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_probe(dgram, len, SL_PARSE_DONE, SL_REASON_NONE);
	memcpy(dgram + 1, "\0\0\0\1", 4); /* now a 0-RTT packet of version 1 */
	expect_probe(dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
}

static void probe_small_datagram_or_cid_is_not_quic(void **state)
{
	struct quic_options o = plain;
	uint8_t dgram[1300];
	size_t len;

	for (size_t size = 1190; size < 1210; size++) {
		o.dgram_len = size;
		len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
		assert_int_equal(len, size);
		expect_probe(dgram, len, size >= 1200 ? SL_PARSE_DONE : SL_PARSE_NOT_MINE,
		             size >= 1200 ? SL_REASON_NONE : SL_REASON_NOT_QUIC);
	}
	for (size_t cid_len = 0; cid_len <= 8; cid_len++) {
		o.dcid_len = cid_len;
		len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
		expect_probe(dgram, len, cid_len == 8 ? SL_PARSE_DONE : SL_PARSE_NOT_MINE,
		             cid_len == 8 ? SL_REASON_NONE : SL_REASON_NOT_QUIC);
	}
}

static void probe_fixed_bit_clear_is_not_quic(void **state)
{
	struct quic_options o = plain;
	uint8_t dgram[1300];
	size_t len;

	o.fixed_bit_clear = true;
	o.dgram_len = 1200;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_probe(dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
	expect_malformed(dgram, len);
}

static void probe_lying_lengths_are_malformed(void **state)
{
	static const uint8_t long_cid[21] = {1};
	struct quic_options o = plain;
	uint8_t dgram[1300];
	size_t len;

	o.dgram_len = 1200;
	o.length_lie = 1;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_probe(dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
	o.length_lie = 0;
	o.dcid = long_cid;
	o.dcid_len = 21;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_probe(dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
	o = plain;
	o.dgram_len = 1200;
	o.scid = long_cid;
	o.scid_len = 21;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_probe(dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
	/* A token and a length that reach past the end, in all sizes of integers. */
	len = honest(dgram);
	memcpy(dgram + 20, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	expect_probe(dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
	memcpy(dgram + 20, "\x00\xbf\xff\xff\xff", 5);
	expect_probe(dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
	/* A Length too short to sample. */
	memcpy(dgram + 20, "\x00\x13", 2);
	expect_probe(dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
	memcpy(dgram + 20, "\x00\x14", 2);
	expect_probe(dgram, len, SL_PARSE_DONE, SL_REASON_NONE);
}

/* ---- a client's datagrams ---- */

static void datagram_all_sizes_of_fields_open(void **state)
{
	static const size_t cid_lens[] = {8, 9, 18, 20}, token_lens[] = {0, 1, 63, 64, 500};
	static const uint8_t cid[20] = {7, 6, 5, 4, 3, 2, 1};
	uint8_t hello[HELLO_BYTES_MAX], dgram[1400], token[500] = {9};
	size_t hello_len = hello_named("www.example.com", hello);

	for (size_t v = 0; v < 2; v++)
		for (size_t i = 0; i < COUNT(cid_lens) * COUNT(token_lens) * 4; i++) {
			struct quic_options o = {
			        .version = versions[v],
			        .dcid = cid,
			        .dcid_len = cid_lens[i % 4],
			        .scid = cid,
			        .scid_len = 20 - cid_lens[i % 4],
			        .token = token,
			        .token_len = token_lens[i / 4 % 5],
			        .number = i,
			        .number_len = 1 + i / 20,
			};
			size_t len = quic_hello_dgram(&o, hello, 0, hello_len, dgram);
			struct stream *s = calloc(1, sizeof(*s));
			struct sl_quic_datagram_info info;
			struct sl_quic_conn conn;

			assert_true(sl_quic_conn_init(crypto, &conn, o.version, cid, o.dcid_len));
			assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_DONE);
			assert_int_equal(info.token_len, o.token_len);
			assert_int_equal(info.scid_len, o.scid_len);
			assert_memory_equal(info.scid, cid, o.scid_len);
			assert_int_equal(contiguous(s), hello_len);
			assert_memory_equal(s->bytes, hello, hello_len);
			assert_int_equal(conn.number_next, i + 1);
			free(s);
		}
}

static void datagram_frames_in_any_order_and_size_are_collected(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], frames[4000], dgram[4200];
	size_t hello_len = hello_named("www.example.com", hello), len = 0;
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;

	/* One byte a frame, backwards, with PING, PADDING and ACK between. */
	for (size_t at = hello_len; at-- > 0;) {
		len += quic_crypto_frame(at, hello + at, 1, frames + len);
		if (at % 3 == 0)
			frames[len++] = 0x01;
		if (at % 5 == 0) {
			memset(frames + len, 0, at % 11);
			len += at % 11;
		}
		if (at % 50 == 0)
			len += quic_ack_frame(at, at / 2, frames + len);
	}
	len = with_frames(frames, len, dgram);
	assert_int_equal(judge(QUIC_V1, false, dgram, len, s, &info), SL_PARSE_DONE);
	assert_int_equal(info.crypto_frames, hello_len);
	assert_int_equal(contiguous(s), hello_len);
	assert_memory_equal(s->bytes, hello, hello_len);
	free(s);
}

static void datagram_coalesced_initials_are_all_opened(void **state)
{
	uint8_t hello[HELLO_BYTES_MAX], frames[600], dgram[1400];
	size_t hello_len = hello_named("www.example.com", hello), len = 0;
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;
	struct quic_options o = plain;

	len = quic_initial(&o, frames, quic_crypto_frame(0, hello, 100, frames), dgram);
	o.number = 1;
	o.dgram_len = 1200 - len;
	len += quic_initial(&o, frames,
	                    quic_crypto_frame(100, hello + 100, hello_len - 100, frames),
	                    dgram + len);
	assert_int_equal(judge(QUIC_V1, false, dgram, len, s, &info), SL_PARSE_DONE);
	assert_int_equal(info.initials, 2);
	assert_int_equal(contiguous(s), hello_len);
	free(s);
}

static void datagram_too_many_initials_is_malformed(void **state)
{
	uint8_t dgram[2000];
	struct quic_options o = plain;
	size_t len = 0;

	for (o.number = 0; o.number < SL_QUIC_INITIALS_MAX; o.number++) {
		o.payload_min = 150;
		len += quic_initial(&o, (const uint8_t *)"\1", 1, dgram + len);
	}
	expect_done(dgram, len);
	len += quic_initial(&o, (const uint8_t *)"\1", 1, dgram + len);
	expect_malformed(dgram, len);
}

static void datagram_trailing_bytes_only_zeros_pass(void **state)
{
	uint8_t dgram[1400] = {0};
	size_t len = honest(dgram);

	expect_done(dgram, len + 100);
	expect_done(dgram, len + 1);
	/* In front of a server that skips zeros and goes on. */
	dgram[len + 99] = 1;
	expect_malformed(dgram, len + 100);
	dgram[len + 99] = 0;
	dgram[len] = 0x0d;
	expect_malformed(dgram, len + 100);
	dgram[len] = 0x40; /* a short header: a client has no 1-RTT keys before the answer */
	expect_malformed(dgram, len + 100);
	dgram[len] = 0xc0;
	expect_malformed(dgram, len + 100);
}

static void datagram_zero_rtt_behind_initial_is_passed_over(void **state)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;
	uint8_t dgram[1600];

	for (size_t v = 0; v < 2; v++) {
		struct quic_options o = plain;
		size_t len;

		o.version = versions[v];
		o.dgram_len = 1200;
		len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
		assert_int_equal(judge(versions[v], false, dgram, len, s, &info), SL_PARSE_DONE);
		assert_false(info.zero_rtt);
		len += quic_long(QUIC_ZERO_RTT, &o, 200, dgram + len);
		assert_int_equal(judge(versions[v], false, dgram, len, s, &info), SL_PARSE_DONE);
		assert_true(info.zero_rtt);
	}
	free(s);
}

static void datagram_other_packet_first_is_not_quic(void **state)
{
	uint8_t dgram[2600];
	size_t len = quic_long(QUIC_ZERO_RTT, &plain, 200, dgram);

	len += honest(dgram + len);
	expect_dgram(false, dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
	len = quic_long(QUIC_HANDSHAKE, &plain, 200, dgram);
	len += honest(dgram + len);
	expect_dgram(false, dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
	memset(dgram, 0x55, 1300);
	expect_dgram(false, dgram, 1300, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
	expect_dgram(false, dgram, 0, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
}

static void datagram_packets_a_client_cannot_send_yet_are_malformed(void **state)
{
	static const enum quic_type types[] = {QUIC_HANDSHAKE, QUIC_RETRY};
	uint8_t dgram[2600];

	for (size_t i = 0; i < COUNT(types); i++) {
		size_t len = honest(dgram);

		len += quic_long(types[i], &plain, 100, dgram + len);
		expect_malformed(dgram, len);
	}
}

static void datagram_of_two_connections_is_malformed(void **state)
{
	struct quic_options o = plain;
	uint8_t dgram[2600];
	size_t first = honest(dgram), len;

	/* Another DCID: an Initial sealed with its own keys, and a 0-RTT packet. */
	o.dcid = server_cid;
	o.dcid_len = sizeof(server_cid);
	len = first + quic_initial(&o, (const uint8_t *)"\1", 1, dgram + first);
	expect_malformed(dgram, len);
	len = first + quic_long(QUIC_ZERO_RTT, &o, 100, dgram + first);
	expect_malformed(dgram, len);
	/* Another version. */
	o = plain;
	o.version = QUIC_V2;
	len = first + quic_initial(&o, (const uint8_t *)"\1", 1, dgram + first);
	expect_malformed(dgram, len);
	len = first + quic_long(QUIC_ZERO_RTT, &o, 100, dgram + first);
	expect_malformed(dgram, len);
	o.version = 0x0a0a0a0a;
	len = first + quic_long(QUIC_ZERO_RTT, &o, 100, dgram + first);
	expect_malformed(dgram, len);
}

static void datagram_of_another_connection_is_malformed(void **state)
{
	struct quic_options o = plain;
	uint8_t dgram[1300];
	size_t len;

	o.dgram_len = 1200;
	o.dcid = server_cid;
	o.dcid_len = sizeof(server_cid);
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_malformed(dgram, len);
	/* The right DCID, keys of another one, of the other version, of the server. */
	o = plain;
	o.dgram_len = 1200;
	o.keys_cid = server_cid;
	o.keys_cid_len = sizeof(server_cid);
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_malformed(dgram, len);
	o.keys_cid = NULL;
	o.keys_version = QUIC_V2;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_malformed(dgram, len);
	o.keys_version = 0;
	o.server = true;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_malformed(dgram, len);
	o.server = false;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_done(dgram, len);
}

static void datagram_broken_packets_are_malformed(void **state)
{
	struct quic_options o = plain;
	uint8_t dgram[1300];
	size_t len;

	o.dgram_len = 1200;
	o.tag_broken = true;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_malformed(dgram, len);
	o.tag_broken = false;
	for (o.reserved = 1; o.reserved < 4; o.reserved++) {
		len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
		expect_malformed(dgram, len);
	}
	o.reserved = 0;
	o.length_lie = 1;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	expect_malformed(dgram, len);
	/* Below 1200 bytes a server must drop it. */
	o.length_lie = 0;
	o.dgram_len = 1199;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	assert_int_equal(len, 1199);
	expect_malformed(dgram, len);
}

static void datagram_empty_payload_is_malformed(void **state)
{
	struct quic_options o = plain;
	uint8_t dgram[1400] = {0};
	size_t len;

	o.number_len = 4; /* 4 + 0 + 16 bytes: just enough to sample */
	len = quic_initial(&o, NULL, 0, dgram);
	expect_malformed(dgram, 1300);
	memset(dgram, 0, sizeof(dgram));
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	assert_true(len < 1300);
	expect_done(dgram, 1300);
}

static void datagram_refused_by_callback_is_malformed(void **state)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;
	uint8_t dgram[1300];
	size_t len = honest(dgram);

	s->refuse_at = 1;
	assert_int_equal(judge(QUIC_V1, false, dgram, len, s, &info), SL_PARSE_BAD);
	assert_int_equal(info.reason, SL_REASON_MALFORMED_QUIC);
	free(s);
}

/* ---- frames ---- */

static void expect_frames(const uint8_t *frames, size_t len, enum sl_parse answer)
{
	struct sl_quic_datagram_info info = {0};
	struct stream *s = calloc(1, sizeof(*s));
	uint8_t *copy = calloc(len != 0 ? len : 1, 1), dgram[2000];

	if (len > 0)
		memcpy(copy, frames, len);
	assert_int_equal(sl_quic_frames_walk(copy, len, collect, s, &info), answer);
	if (len > 0 && len < 1000) {
		/* The same, sealed. Padding behind it never mends what is cut. */
		size_t dgram_len = with_frames(frames, len, dgram);

		if (answer == SL_PARSE_DONE)
			expect_done(dgram, dgram_len);
	}
	free(copy);
	free(s);
}

#define FRAMES(answer, ...)                                                                        \
	do {                                                                                       \
		static const uint8_t frames_[] = {__VA_ARGS__};                                    \
		expect_frames(frames_, sizeof(frames_), answer);                                   \
	} while (0)

static void frames_every_type_only_initial_ones_pass(void **state)
{
	for (int type = 0; type < 256; type++) {
		uint8_t frames[40] = {(uint8_t)type};
		bool legal = type <= 3 || type == 6 || type == 0x1c;

		expect_frames(frames, sizeof(frames), legal ? SL_PARSE_DONE : SL_PARSE_BAD);
	}
	/* The long form of a frame type is a violation, though it means the same. */
	FRAMES(SL_PARSE_BAD, 0x40, 0x01);
	FRAMES(SL_PARSE_BAD, 0x40, 0x06, 0, 1, 0xaa);
	expect_frames(NULL, 0, SL_PARSE_BAD);
}

static void frames_padding_of_any_length_passes(void **state)
{
	uint8_t frames[70] = {0};

	for (size_t len = 1; len < sizeof(frames); len++) {
		expect_frames(frames, len, SL_PARSE_DONE);
		frames[len - 1] = 0x01;
		expect_frames(frames, len, SL_PARSE_DONE);
		frames[len - 1] = 0xff;
		expect_frames(frames, len, SL_PARSE_BAD);
		frames[len - 1] = 0;
	}
}

static void frames_ack_ranges_below_zero_are_malformed(void **state)
{
	FRAMES(SL_PARSE_DONE, 2, 10, 0, 0, 10);
	FRAMES(SL_PARSE_BAD, 2, 10, 0, 0, 11);
	FRAMES(SL_PARSE_DONE, 2, 10, 0, 1, 0, 1, 7); /* 10, then 10-0-1-2 = 7 to 0 */
	FRAMES(SL_PARSE_BAD, 2, 10, 0, 1, 0, 1, 8);
	FRAMES(SL_PARSE_BAD, 2, 10, 0, 1, 0, 9, 0);
	FRAMES(SL_PARSE_DONE, 2, 10, 0, 1, 0, 8, 0);
	FRAMES(SL_PARSE_BAD, 2, 10, 0, 2, 0, 1, 7);
	FRAMES(SL_PARSE_BAD, 2, 10, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0);
	FRAMES(SL_PARSE_DONE, 3, 10, 0, 0, 0, 1, 2, 3);
	FRAMES(SL_PARSE_BAD, 3, 10, 0, 0, 0, 1, 2);
	FRAMES(SL_PARSE_BAD, 2, 10, 0);
}

static void frames_crypto_lengths_are_kept(void **state)
{
	FRAMES(SL_PARSE_DONE, 6, 0, 3, 'a', 'b', 'c');
	FRAMES(SL_PARSE_DONE, 6, 0, 0);
	FRAMES(SL_PARSE_DONE, 6, 0x40, 0x00, 0x80, 0, 0, 1, 'a'); /* any form of an integer */
	FRAMES(SL_PARSE_BAD, 6, 0, 4, 'a', 'b', 'c');
	FRAMES(SL_PARSE_BAD, 6, 0);
	FRAMES(SL_PARSE_BAD, 6);
	FRAMES(SL_PARSE_BAD, 6, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'a');
	/* The end of the stream: offset + length is at most 2^62 - 1. */
	FRAMES(SL_PARSE_BAD, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a');
	FRAMES(SL_PARSE_DONE, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0);
}

static void frames_connection_close_reason_fits(void **state)
{
	FRAMES(SL_PARSE_DONE, 0x1c, 0, 0, 0);
	FRAMES(SL_PARSE_DONE, 0x1c, 0x41, 0x00, 6, 2, 'h', 'i');
	FRAMES(SL_PARSE_BAD, 0x1c, 0, 0, 3, 'h', 'i');
	FRAMES(SL_PARSE_BAD, 0x1c, 0, 0);
	FRAMES(SL_PARSE_BAD, 0x1d, 0, 0);
}

static void frames_are_told_in_info(void **state)
{
	static const uint8_t frames[] = {2, 5, 0, 0, 1, 0, 0, 0x1c, 0, 0, 0};
	struct sl_quic_datagram_info info = {0};
	struct stream *s = calloc(1, sizeof(*s));

	assert_int_equal(sl_quic_frames_walk(frames, 7, collect, s, &info), SL_PARSE_DONE);
	assert_false(info.ack_eliciting);
	assert_false(info.closes);
	assert_int_equal(sl_quic_frames_walk(frames, sizeof(frames), collect, s, &info),
	                 SL_PARSE_DONE);
	assert_false(info.ack_eliciting);
	assert_true(info.closes);
	assert_int_equal(sl_quic_frames_walk((const uint8_t *)"\1", 1, collect, s, &info),
	                 SL_PARSE_DONE);
	assert_true(info.ack_eliciting);
	assert_int_equal(info.crypto_frames, 0);
	free(s);
}

/* ---- after the verdict ---- */

static void answered(struct sl_quic_conn *conn, uint32_t version)
{
	struct sl_quic_header server = {.version = version, .scid_len = sizeof(server_cid)};

	memcpy(server.scid, server_cid, sizeof(server_cid));
	sl_quic_conn_answer(crypto, conn, &server);
}

static void answered_client_uses_server_cid_and_old_keys(void **state)
{
	struct quic_options o = plain;
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;
	struct sl_quic_header header;
	struct sl_quic_conn conn;
	uint8_t dgram[1600], frames[20];
	size_t frames_len = quic_ack_frame(1, 1, frames), len;

	o.dcid = server_cid;
	o.dcid_len = sizeof(server_cid);
	o.keys_cid = dcid;
	o.keys_cid_len = sizeof(dcid);
	o.number = 2;
	len = quic_initial(&o, frames, frames_len, dgram);
	len += quic_long(QUIC_HANDSHAKE, &o, 60, dgram + len);
	dgram[len] = 0x43; /* a short header packet to the same DCID */
	memcpy(dgram + len + 1, server_cid, sizeof(server_cid));
	memset(dgram + len + 10, 0x33, 1250 - len - 10);

	assert_true(sl_quic_conn_init(crypto, &conn, QUIC_V1, dcid, sizeof(dcid)));
	assert_int_equal(sl_quic_find_initial(dgram, 1250, &header), SL_PARSE_DONE);
	assert_false(sl_quic_conn_owns(&conn, &header));
	assert_int_equal(walk(&conn, dgram, 1250, s, &info), SL_PARSE_BAD);
	answered(&conn, QUIC_V1);
	assert_true(sl_quic_conn_owns(&conn, &header));
	assert_int_equal(walk(&conn, dgram, 1250, s, &info), SL_PARSE_DONE);
	assert_int_equal(info.initials, 1);
	assert_int_equal(info.crypto_frames, 0);
	assert_false(info.ack_eliciting);
	assert_true(info.handshake);
	assert_true(info.short_header);
	/* A short header packet to somebody else. */
	dgram[len + 1] ^= 1;
	assert_int_equal(walk(&conn, dgram, 1250, s, &info), SL_PARSE_BAD);
	/* The first DCID stays good (retransmissions); both in one datagram do not. */
	len = honest(dgram);
	assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_DONE);
	len += quic_initial(&o, frames, frames_len, dgram + len);
	assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_BAD);
	free(s);
}

static void answered_only_the_first_answer_counts(void **state)
{
	struct sl_quic_header other = {.version = QUIC_V1, .scid_len = 3, .scid = {1, 2, 3}};
	struct sl_quic_conn conn;

	assert_true(sl_quic_conn_init(crypto, &conn, QUIC_V1, dcid, sizeof(dcid)));
	other.version = 0x0a0a0a0a;
	sl_quic_conn_answer(crypto, &conn, &other);
	assert_false(conn.answered);
	answered(&conn, QUIC_V1);
	other.version = QUIC_V2;
	sl_quic_conn_answer(crypto, &conn, &other);
	assert_int_equal(conn.version, QUIC_V1);
	assert_int_equal(conn.server_cid_len, sizeof(server_cid));
	assert_memory_equal(conn.server_cid, server_cid, sizeof(server_cid));
}

static void answered_in_other_version_takes_its_keys(void **state)
{
	struct quic_options o = plain;
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;
	struct sl_quic_conn conn;
	uint8_t dgram[1300];
	size_t len;

	assert_true(sl_quic_conn_init(crypto, &conn, QUIC_V1, dcid, sizeof(dcid)));
	answered(&conn, QUIC_V2);
	o.version = QUIC_V2;
	o.dcid = server_cid;
	o.dcid_len = sizeof(server_cid);
	o.keys_cid = dcid;
	o.keys_cid_len = sizeof(dcid);
	o.dgram_len = 1200;
	len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
	assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_DONE);
	free(s);
}

static void answered_packet_that_also_opens_as_a_first_is_malformed(void **state)
{
	struct sl_quic_datagram_info info;
	struct sl_quic_conn conn;
	struct stream *s = calloc(1, sizeof(*s));
	struct quic_options o = plain;
	uint8_t dgram[1300];
	size_t len;

	/* It does open under both keys. */
	len = quic_twin(server_cid, sizeof(server_cid), dcid, sizeof(dcid), dgram);
	assert_true(sl_quic_conn_init(crypto, &conn, QUIC_V1, server_cid, sizeof(server_cid)));
	assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_BAD);
	assert_int_equal(conn.number_next > 0, true);
	for (int turn = 0; turn < 2; turn++) {
		struct sl_quic_header server = {.version = QUIC_V1, .scid_len = sizeof(server_cid)};

		memcpy(server.scid, server_cid, sizeof(server_cid));
		assert_true(sl_quic_conn_init(crypto, &conn, QUIC_V1, dcid, sizeof(dcid)));
		sl_quic_conn_answer(crypto, &conn, &server);
		if (turn == 0) {
			/* The same frames under one key alone pass. */
			uint8_t reason[1100], frames[1200];

			memset(reason, 0x44, sizeof(reason));
			o.dcid = server_cid;
			o.dcid_len = sizeof(server_cid);
			o.keys_cid = dcid;
			o.keys_cid_len = sizeof(dcid);
			o.dgram_len = 1200;
			len = quic_initial(&o, frames,
			                   quic_close_frame(reason, sizeof(reason), frames), dgram);
			assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_DONE);
			assert_true(info.closes);
			continue;
		}
		len = quic_twin(server_cid, sizeof(server_cid), dcid, sizeof(dcid), dgram);
		assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_BAD);
		assert_int_equal(info.initials, 0);
	}
	free(s);
}

static void packet_numbers_are_completed_from_the_largest(void **state)
{
	static const struct {
		uint64_t number;
		size_t len;
	} numbers[] = {{0x7ffffff0, 4}, {0x7ffffff5, 1}, {0x80000003, 1},
	               {0x7ffffffe, 1}, {0x80000080, 1}, {0x80001000, 2},
	               {0x80000fff, 2}, {0x90000000, 4}, {0x100000005, 4}};
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;
	struct quic_options o = plain;
	struct sl_quic_conn conn;
	uint8_t dgram[1300];

	o.dgram_len = 1200;
	assert_true(sl_quic_conn_init(crypto, &conn, QUIC_V1, dcid, sizeof(dcid)));
	for (size_t i = 0; i < COUNT(numbers); i++) {
		size_t len;

		o.number = numbers[i].number;
		o.number_len = numbers[i].len;
		len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
		assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_DONE);
	}
	assert_int_equal(conn.number_next, 0x100000006);
	/* Too far to be told by one byte. */
	o.number = 0x100000005 + 200;
	o.number_len = 1;
	assert_int_equal(
	        walk(&conn, dgram, quic_initial(&o, (const uint8_t *)"\1", 1, dgram), s, &info),
	        SL_PARSE_BAD);
	free(s);
}

static void expect_find(const uint8_t *dgram, size_t len, enum sl_parse answer,
                        enum sl_reason reason)
{
	uint8_t *copy = calloc(len != 0 ? len : 1, 1);
	struct sl_quic_header header;

	if (len > 0)
		memcpy(copy, dgram, len);
	assert_int_equal(sl_quic_find_initial(copy, len, &header), answer);
	assert_int_equal(header.reason, reason);
	free(copy);
}

static void find_initial_anywhere_in_the_chain_is_found(void **state)
{
	struct sl_quic_header header;
	struct quic_options o = plain;
	uint8_t dgram[3000];

	for (size_t v = 0; v < 2; v++) {
		size_t len;

		o.version = versions[v];
		o.dgram_len = 0;
		len = quic_long(QUIC_ZERO_RTT, &o, 60, dgram);
		len += quic_long(QUIC_HANDSHAKE, &o, 70, dgram + len);
		expect_find(dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NONE);
		o.dgram_len = 1200;
		len += quic_initial(&o, (const uint8_t *)"\1", 1, dgram + len);
		expect_find(dgram, len, SL_PARSE_DONE, SL_REASON_NONE);
		memset(dgram + len, 0, 50);
		expect_find(dgram, len + 50, SL_PARSE_DONE, SL_REASON_NONE);
		assert_int_equal(sl_quic_find_initial(dgram, len, &header), SL_PARSE_DONE);
		assert_int_equal(header.version, versions[v]);
		assert_memory_equal(header.dcid, dcid, sizeof(dcid));
		assert_memory_equal(header.scid, scid, sizeof(scid));
		/* A cleared fixed bit hides nothing (RFC 9287). */
		o.fixed_bit_clear = true;
		len = quic_initial(&o, (const uint8_t *)"\1", 1, dgram);
		expect_find(dgram, len, SL_PARSE_DONE, SL_REASON_NONE);
		o.fixed_bit_clear = false;
	}
}

static void find_initial_ordinary_packets_are_not_mine(void **state)
{
	uint8_t dgram[1300];

	memset(dgram, 0x5a, sizeof(dgram));
	for (size_t len = 0; len <= sizeof(dgram); len += 100)
		expect_find(dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NONE);
	dgram[0] = 0x1a; /* a greased fixed bit */
	expect_find(dgram, sizeof(dgram), SL_PARSE_NOT_MINE, SL_REASON_NONE);
	dgram[0] = 0x0;
	expect_find(dgram, sizeof(dgram), SL_PARSE_NOT_MINE, SL_REASON_NONE);
}

static void find_initial_what_could_open_a_connection_is_refused(void **state)
{
	struct quic_options o = plain;
	uint8_t dgram[2600];
	size_t len;

	o.version = 0xff00001d;
	len = quic_long(QUIC_INITIAL, &o, 1200, dgram);
	expect_find(dgram, len, SL_PARSE_BAD, SL_REASON_NOT_QUIC);
	/* Behind a packet that would pass. */
	len = quic_long(QUIC_HANDSHAKE, &plain, 60, dgram);
	len += quic_long(QUIC_INITIAL, &o, 1200, dgram + len);
	expect_find(dgram, len, SL_PARSE_BAD, SL_REASON_NOT_QUIC);
	/* Behind an Initial. */
	len = honest(dgram);
	len += quic_long(QUIC_INITIAL, &o, 1200, dgram + len);
	expect_find(dgram, len, SL_PARSE_BAD, SL_REASON_NOT_QUIC);
	/* Behind zeros that some server may skip. */
	len = quic_long(QUIC_HANDSHAKE, &plain, 60, dgram);
	memset(dgram + len, 0, 8);
	len += 8;
	expect_find(dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NONE);
	len += honest(dgram + len);
	expect_find(dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
	/* gQUIC's public header. */
	memset(dgram, 0x77, 1300);
	dgram[0] = 0x0d;
	memcpy(dgram + 9, "Q043", 4);
	expect_find(dgram, 1300, SL_PARSE_BAD, SL_REASON_NOT_QUIC);
	dgram[9] = 'X';
	expect_find(dgram, 1300, SL_PARSE_NOT_MINE, SL_REASON_NONE);
	/* A chain that breaks. */
	o = plain;
	o.length_lie = 1;
	len = quic_long(QUIC_HANDSHAKE, &o, 60, dgram);
	expect_find(dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
	expect_find((const uint8_t *)"\xc0\0\0", 3, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
}

/* ---- recorded Initials ---- */

static void corpus_initials_give_expected_names(void **state)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;
	struct sl_quic_header header;
	struct sl_quic_conn conn;
	struct corpus_file *files;
	size_t count = corpus_read("quic-initial-datagram", &files);

	if (count == 0) {
		free(s);
		skip();
	}
	for (size_t i = 0; i < count; i++) {
		bool first = i == 0 || strcmp(files[i].group, files[i - 1].group) != 0;
		struct sl_tls_hello hello;
		enum sl_parse answer;

		assert_int_equal(sl_quic_initial_probe(files[i].bytes, files[i].len, &header),
		                 SL_PARSE_DONE);
		if (first) {
			memset(s, 0, sizeof(*s));
			assert_true(sl_quic_conn_init(crypto, &conn, header.version, header.dcid,
			                              header.dcid_len));
		}
		assert_true(sl_quic_conn_owns(&conn, &header));
		assert_int_equal(walk(&conn, files[i].bytes, files[i].len, s, &info),
		                 SL_PARSE_DONE);
		answer = sl_tls_hello_parse(s->bytes, contiguous(s), &hello);
		if (strcmp(files[i].sni, "NEEDMORE") == 0) {
			assert_int_equal(answer, SL_PARSE_MORE);
			continue;
		}
		assert_int_equal(answer, SL_PARSE_DONE);
		assert_string_equal(hello.name, files[i].sni);
	}
	free(files);
	free(s);
}

static void corpus_initials_any_byte_changed_are_refused(void **state)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct sl_quic_datagram_info info;
	struct sl_quic_header header;
	struct corpus_file *files;
	size_t count = corpus_read("quic-initial-datagram", &files);

	if (count == 0) {
		free(s);
		skip();
	}
	for (size_t i = 0; i < count; i++) {
		struct sl_quic_conn start, conn;

		assert_int_equal(sl_quic_initial_probe(files[i].bytes, files[i].len, &header),
		                 SL_PARSE_DONE);
		assert_true(sl_quic_conn_init(crypto, &start, header.version, header.dcid,
		                              header.dcid_len));
		for (size_t at = 0; at < files[i].len; at++) {
			conn = start;
			files[i].bytes[at] ^= (uint8_t)(1 + at % 255);
			assert_int_not_equal(walk(&conn, files[i].bytes, files[i].len, s, &info),
			                     SL_PARSE_DONE);
			(void)sl_quic_initial_probe(files[i].bytes, files[i].len, &header);
			(void)sl_quic_find_initial(files[i].bytes, files[i].len, &header);
			files[i].bytes[at] ^= (uint8_t)(1 + at % 255);
			/* A prefix passes only where nothing but trailing zeros is cut off. */
			conn = start;
			if (walk(&conn, files[i].bytes, at, s, &info) == SL_PARSE_DONE)
				for (size_t rest = at; rest < files[i].len; rest++)
					assert_int_equal(files[i].bytes[rest], 0);
		}
	}
	free(files);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rfc_keys_are_derived),
	        cmocka_unit_test(keys_every_cid_length_equals_plain_hkdf),
	        cmocka_unit_test(keys_unknown_version_refuses),
	        cmocka_unit_test(rfc_client_initial_opens),
	        cmocka_unit_test(rfc_client_initial_any_bit_flipped_is_refused),
	        cmocka_unit_test(rfc_client_initial_every_prefix_is_refused),
	        cmocka_unit_test(rfc_server_initial_names_server_cid),
	        cmocka_unit_test(rfc_retry_gives_new_cid),
	        cmocka_unit_test(retry_that_no_client_believes_is_refused),
	        cmocka_unit_test(retry_client_begins_anew_with_token),
	        cmocka_unit_test(probe_honest_initial_fills_header),
	        cmocka_unit_test(probe_other_version_is_not_quic),
	        cmocka_unit_test(probe_other_packet_first_is_not_quic),
	        cmocka_unit_test(probe_type_bits_of_the_other_version_are_not_quic),
	        cmocka_unit_test(probe_small_datagram_or_cid_is_not_quic),
	        cmocka_unit_test(probe_fixed_bit_clear_is_not_quic),
	        cmocka_unit_test(probe_lying_lengths_are_malformed),
	        cmocka_unit_test(datagram_all_sizes_of_fields_open),
	        cmocka_unit_test(datagram_frames_in_any_order_and_size_are_collected),
	        cmocka_unit_test(datagram_coalesced_initials_are_all_opened),
	        cmocka_unit_test(datagram_too_many_initials_is_malformed),
	        cmocka_unit_test(datagram_trailing_bytes_only_zeros_pass),
	        cmocka_unit_test(datagram_zero_rtt_behind_initial_is_passed_over),
	        cmocka_unit_test(datagram_other_packet_first_is_not_quic),
	        cmocka_unit_test(datagram_packets_a_client_cannot_send_yet_are_malformed),
	        cmocka_unit_test(datagram_of_two_connections_is_malformed),
	        cmocka_unit_test(datagram_of_another_connection_is_malformed),
	        cmocka_unit_test(datagram_broken_packets_are_malformed),
	        cmocka_unit_test(datagram_empty_payload_is_malformed),
	        cmocka_unit_test(datagram_refused_by_callback_is_malformed),
	        cmocka_unit_test(frames_every_type_only_initial_ones_pass),
	        cmocka_unit_test(frames_padding_of_any_length_passes),
	        cmocka_unit_test(frames_ack_ranges_below_zero_are_malformed),
	        cmocka_unit_test(frames_crypto_lengths_are_kept),
	        cmocka_unit_test(frames_connection_close_reason_fits),
	        cmocka_unit_test(frames_are_told_in_info),
	        cmocka_unit_test(answered_client_uses_server_cid_and_old_keys),
	        cmocka_unit_test(answered_only_the_first_answer_counts),
	        cmocka_unit_test(answered_in_other_version_takes_its_keys),
	        cmocka_unit_test(answered_packet_that_also_opens_as_a_first_is_malformed),
	        cmocka_unit_test(packet_numbers_are_completed_from_the_largest),
	        cmocka_unit_test(find_initial_anywhere_in_the_chain_is_found),
	        cmocka_unit_test(find_initial_ordinary_packets_are_not_mine),
	        cmocka_unit_test(find_initial_what_could_open_a_connection_is_refused),
	        cmocka_unit_test(corpus_initials_give_expected_names),
	        cmocka_unit_test(corpus_initials_any_byte_changed_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
