/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quic_initial.c: what a client's datagrams may and may not hold, before and after the server
 * has answered.
 */
#include "quic_judge.h"

#include "corpus.h"
#include "wire/tls_hello.h"
#include "quic_two_keys.h"
#include "rfc_quic.h"

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
		expect_collected(s, frames + 4, frames_len - 4);
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
			expect_collected(s, hello, hello_len);
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
	expect_collected(s, hello, hello_len);
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
		len += ping_initial(&o, dgram + len);
	}
	expect_done(dgram, len);
	len += ping_initial(&o, dgram + len);
	expect_malformed(dgram, len);
}

static void datagram_trailing_bytes_only_zeros_pass(void **state)
{
	uint8_t dgram[1400] = {0};
	size_t len = honest(dgram);

	expect_done(dgram, len + 100);
	expect_done(dgram, len + 1);
	/* For a server that skips zeros and continues. */
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
		len = ping_initial(&o, dgram);
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

		ROW_NUMBER(types[i]);
		len += quic_long(types[i], &plain, 100, dgram + len);
		expect_malformed(dgram, len);
	}
}

static void datagram_of_two_connections_is_malformed(void **state)
{
	struct quic_options other_id = plain, other_version = plain;
	uint8_t dgram[2600];
	size_t first = honest(dgram);

	other_id.dcid = server_cid;
	other_id.dcid_len = sizeof(server_cid);
	other_version.version = QUIC_V2;
	/* an Initial sealed with its own keys, and a 0-RTT packet */
	for (int i = 0; i < 2; i++) {
		const struct quic_options *o = i == 0 ? &other_id : &other_version;

		expect_malformed(dgram, first + ping_initial(o, dgram + first));
		expect_malformed(dgram, first + quic_long(QUIC_ZERO_RTT, o, 100, dgram + first));
	}
	other_version.version = 0x0a0a0a0a;
	expect_malformed(dgram,
	                 first + quic_long(QUIC_ZERO_RTT, &other_version, 100, dgram + first));
}

static void expect_lies_malformed(const struct lie *rows, size_t n)
{
	uint8_t dgram[1300];

	for (size_t i = 0; i < n; i++) {
		row(rows[i].what);
		expect_malformed(dgram, ping_dgram(rows[i].o, dgram));
	}
	row("none of them");
	expect_done(dgram, ping_dgram((struct quic_options){0}, dgram));
}

static void datagram_of_another_connection_is_malformed(void **state)
{
	static const struct lie rows[] = {
	        {"another ID", {.dcid = server_cid, .dcid_len = sizeof(server_cid)}},
	        {"another ID's keys", {.keys_cid = server_cid, .keys_cid_len = sizeof(server_cid)}},
	        {"the other version's keys", {.keys_version = QUIC_V2}},
	        {"the server's keys", {.server = true}},
	};

	expect_lies_malformed(rows, COUNT(rows));
}

static void datagram_broken_packets_are_malformed(void **state)
{
	static const struct lie rows[] = {
	        {"broken tag", {.tag_broken = true}},
	        {"reserved bit", {.reserved = 1}},
	        {"the other reserved bit", {.reserved = 2}},
	        {"both reserved bits", {.reserved = 3}},
	        {"length beyond the end", {.length_lie = 1}},
	        /* below 1200 bytes a server must drop it */
	        {"1199 bytes", {.dgram_len = 1199}},
	};
	uint8_t dgram[1300];

	assert_int_equal(ping_dgram((struct quic_options){.dgram_len = 1199}, dgram), 1199);
	expect_lies_malformed(rows, COUNT(rows));
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
	len = ping_initial(&o, dgram);
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
	/* A short header packet to another DCID. */
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
	len = ping_initial(&o, dgram);
	assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_DONE);
	free(s);
}

static bool opens_under(const uint8_t *cid, const uint8_t *dgram, size_t len)
{
	struct sl_quic_origin origin = {.len = 8};

	memcpy(origin.cid, cid, 8);
	return sl_quic_opens_under(crypto, &origin, dgram, len);
}

/* A packet with two readings opens under either key, a normal one only under its own. */
static void packet_that_opens_under_two_keys_is_told(void **state)
{
	struct quic_options o = plain;
	uint8_t dgram[1300];
	size_t len;

	len = quic_two_keys(server_cid, 8, dcid, 8, dgram);
	assert_true(opens_under(server_cid, dgram, len));
	assert_true(opens_under(dcid, dgram, len));
	o.dcid = server_cid;
	o.dcid_len = 8;
	o.keys_cid = dcid;
	o.keys_cid_len = 8;
	o.dgram_len = 1200;
	len = ping_initial(&o, dgram);
	assert_true(opens_under(dcid, dgram, len));
	assert_false(opens_under(server_cid, dgram, len));
}

/* No matter how much of the number the packet leaves out. */
static void packet_opens_under_a_key_with_any_number(void **state)
{
	static const uint64_t numbers[] = {0, 255, 256, 0x12345, 0xffffffff, 0x123456789abcdef};
	struct quic_options o = plain;
	uint8_t dgram[1300];

	for (size_t i = 0; i < COUNT(numbers); i++) {
		ROW_NUMBER(numbers[i]);
		for (o.number_len = 1; o.number_len <= 4; o.number_len++) {
			size_t len;

			o.number = numbers[i];
			o.dgram_len = 1200;
			len = ping_initial(&o, dgram);
			assert_true(opens_under(dcid, dgram, len));
			dgram[len - 1] ^= 1;
			assert_false(opens_under(dcid, dgram, len));
		}
	}
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

		ROWF("number %llx", (unsigned long long)numbers[i].number);
		o.number = numbers[i].number;
		o.number_len = numbers[i].len;
		len = ping_initial(&o, dgram);
		assert_int_equal(walk(&conn, dgram, len, s, &info), SL_PARSE_DONE);
	}
	assert_int_equal(conn.number_next, 0x100000006);
	/* Too far for a number of one byte. */
	o.number = 0x100000005 + 200;
	o.number_len = 1;
	assert_int_equal(walk(&conn, dgram, ping_initial(&o, dgram), s, &info), SL_PARSE_BAD);
	free(s);
}

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
		enum sl_parse_result answer;

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
			/* A prefix passes only if no more than trailing zeros are cut off. */
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
	        cmocka_unit_test(rfc_client_initial_opens),
	        cmocka_unit_test(rfc_client_initial_any_bit_flipped_is_refused),
	        cmocka_unit_test(rfc_client_initial_every_prefix_is_refused),
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
	        cmocka_unit_test(answered_client_uses_server_cid_and_old_keys),
	        cmocka_unit_test(answered_only_the_first_answer_counts),
	        cmocka_unit_test(answered_in_other_version_takes_its_keys),
	        cmocka_unit_test(packet_that_opens_under_two_keys_is_told),
	        cmocka_unit_test(packet_opens_under_a_key_with_any_number),
	        cmocka_unit_test(packet_numbers_are_completed_from_the_largest),
	        cmocka_unit_test(corpus_initials_give_expected_names),
	        cmocka_unit_test(corpus_initials_any_byte_changed_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
