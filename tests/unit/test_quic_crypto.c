/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quic_crypto.c: Initial keys and Retry tags, against the RFCs' samples and against plain
 * HKDF.
 */
#include "quic_judge.h"

#include "rfc_quic.h"

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
			quic_keys(versions[v], cid, len, true, &expected);
			assert_true(
			        sl_quic_crypto_server_keys(crypto, versions[v], cid, len, &keys));
			assert_memory_equal(keys.key, expected.key, 16);
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

/* RFC 9001 A.3, RFC 9369 A.3: an acknowledgement and a ServerHello, to a client without an ID. */
static void rfc_server_initial_is_believed(void **state)
{
	const char *const vectors[2] = {rfc_v1_server_initial, rfc_v2_server_initial};
	uint8_t cid[20], dgram[1300], scid[8];
	size_t cid_len = from_hex(rfc_dcid, cid);

	from_hex("f067a5502a4262b5", scid);
	for (size_t v = 0; v < 2; v++) {
		size_t len = from_hex(vectors[v], dgram);
		struct sl_quic_header header;
		struct sl_quic_conn conn;

		assert_true(sl_quic_conn_init(crypto, &conn, versions[v], cid, cid_len));
		assert_false(sl_quic_server_datagram(crypto, &conn, cid, 8, dgram, len, &header));
		dgram[len - 1] ^= 1;
		assert_false(sl_quic_server_datagram(crypto, &conn, cid, 0, dgram, len, &header));
		dgram[len - 1] ^= 1;
		assert_false(conn.has_hello);
		assert_true(sl_quic_server_datagram(crypto, &conn, cid, 0, dgram, len, &header));
		assert_true(conn.has_hello);
		assert_int_equal(conn.server_number_next, 2);
		assert_int_equal(header.scid_len, 8);
		assert_memory_equal(header.scid, scid, 8);
		/* the answer that counts came from another ID */
		header.scid[0] ^= 1;
		assert_true(sl_quic_conn_init(crypto, &conn, versions[v], cid, cid_len));
		sl_quic_conn_answer(crypto, &conn, &header);
		assert_false(sl_quic_server_datagram(crypto, &conn, cid, 0, dgram, len, &header));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rfc_keys_are_derived),
	        cmocka_unit_test(keys_every_cid_length_equals_plain_hkdf),
	        cmocka_unit_test(keys_unknown_version_refuses),
	        cmocka_unit_test(rfc_server_initial_is_believed),
	        cmocka_unit_test(rfc_retry_gives_new_cid),
	        cmocka_unit_test(retry_that_no_client_believes_is_refused),
	        cmocka_unit_test(retry_client_begins_anew_with_token),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
