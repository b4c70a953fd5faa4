/* SPDX-License-Identifier: Apache-2.0 */
/* test_quic_packet.c: what can be read from datagrams without a key, first and later ones. */
#include "quic_judge.h"

#include "rfc_quic.h"

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

/* Either of the functions that look for an Initial without a key. */
typedef enum sl_parse_result look_fn(const uint8_t *dgram, size_t len,
                                     struct sl_quic_header *header);

static void expect_look(look_fn *look, const uint8_t *dgram, size_t len,
                        enum sl_parse_result answer, enum sl_reason reason)
{
	uint8_t *copy = exactly(dgram, len);
	struct sl_quic_header header;

	assert_int_equal(look(copy, len, &header), answer);
	expect(header.reason, reason);
	free(copy);
}

static void expect_probe(const uint8_t *dgram, size_t len, enum sl_parse_result answer,
                         enum sl_reason reason)
{
	expect_look(sl_quic_initial_probe, dgram, len, answer, reason);
}

static void expect_find(const uint8_t *dgram, size_t len, enum sl_parse_result answer,
                        enum sl_reason reason)
{
	expect_look(sl_quic_find_initial, dgram, len, answer, reason);
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
		size_t len = ping_initial(&o, dgram);

		ROW_NUMBER(others[i]);
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

			ROW_NUMBER(types[i]);
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
	len = ping_initial(&o, dgram);
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
		len = ping_initial(&o, dgram);
		assert_int_equal(len, size);
		expect_probe(dgram, len, size >= 1200 ? SL_PARSE_DONE : SL_PARSE_NOT_MINE,
		             size >= 1200 ? SL_REASON_NONE : SL_REASON_NOT_QUIC);
	}
	for (size_t cid_len = 0; cid_len <= 8; cid_len++) {
		o.dcid_len = cid_len;
		len = ping_initial(&o, dgram);
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
	len = ping_initial(&o, dgram);
	expect_probe(dgram, len, SL_PARSE_NOT_MINE, SL_REASON_NOT_QUIC);
	expect_malformed(dgram, len);
}

static void probe_lying_lengths_are_malformed(void **state)
{
	static const uint8_t long_cid[21] = {1};
	static const struct lie rows[] = {
	        {"length beyond the end", {.length_lie = 1}},
	        {"DCID of 21 bytes", {.dcid = long_cid, .dcid_len = 21}},
	        {"SCID of 21 bytes", {.scid = long_cid, .scid_len = 21}},
	};
	uint8_t dgram[1300];
	size_t len;

	for (size_t i = 0; i < COUNT(rows); i++) {
		row(rows[i].what);
		len = ping_dgram(rows[i].o, dgram);
		expect_probe(dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
	}
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
		len += ping_initial(&o, dgram + len);
		expect_find(dgram, len, SL_PARSE_DONE, SL_REASON_NONE);
		memset(dgram + len, 0, 50);
		expect_find(dgram, len + 50, SL_PARSE_DONE, SL_REASON_NONE);
		assert_int_equal(sl_quic_find_initial(dgram, len, &header), SL_PARSE_DONE);
		assert_int_equal(header.version, versions[v]);
		assert_memory_equal(header.dcid, dcid, sizeof(dcid));
		assert_memory_equal(header.scid, scid, sizeof(scid));
		/* A cleared fixed bit hides nothing (RFC 9287). */
		o.fixed_bit_clear = true;
		len = ping_initial(&o, dgram);
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
	/* After a packet that would pass. */
	len = quic_long(QUIC_HANDSHAKE, &plain, 60, dgram);
	len += quic_long(QUIC_INITIAL, &o, 1200, dgram + len);
	expect_find(dgram, len, SL_PARSE_BAD, SL_REASON_NOT_QUIC);
	/* After an Initial. */
	len = honest(dgram);
	len += quic_long(QUIC_INITIAL, &o, 1200, dgram + len);
	expect_find(dgram, len, SL_PARSE_BAD, SL_REASON_NOT_QUIC);
	/* After zeros that some server may skip. */
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
	/* A chain that becomes invalid. */
	o = plain;
	o.length_lie = 1;
	len = quic_long(QUIC_HANDSHAKE, &o, 60, dgram);
	expect_find(dgram, len, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
	expect_find((const uint8_t *)"\xc0\0\0", 3, SL_PARSE_BAD, SL_REASON_MALFORMED_QUIC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rfc_server_initial_names_server_cid),
	        cmocka_unit_test(probe_honest_initial_fills_header),
	        cmocka_unit_test(probe_other_version_is_not_quic),
	        cmocka_unit_test(probe_other_packet_first_is_not_quic),
	        cmocka_unit_test(probe_type_bits_of_the_other_version_are_not_quic),
	        cmocka_unit_test(probe_small_datagram_or_cid_is_not_quic),
	        cmocka_unit_test(probe_fixed_bit_clear_is_not_quic),
	        cmocka_unit_test(probe_lying_lengths_are_malformed),
	        cmocka_unit_test(find_initial_anywhere_in_the_chain_is_found),
	        cmocka_unit_test(find_initial_ordinary_packets_are_not_mine),
	        cmocka_unit_test(find_initial_what_could_open_a_connection_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
