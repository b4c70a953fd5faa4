/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_quic_initial.c: QUIC datagrams of a client.
 *
 * Input: one byte that says what the rest is.
 *   0  a datagram as it comes from the wire: headers, decryption
 *   1  an Initial's plaintext, walked directly: no cryptography in between
 *   2  an Initial's plaintext, sealed first, with the rest of the first byte choosing the version
 *      and the packet number's length: the way through both
 *   3  a datagram of either side after the verdict
 *
 * Checked besides memory safety: no result without its reason, no frame outside of its packet, and
 * a payload that is accepted when walked directly is accepted when sealed.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/quic_initial.h"
#include "wire/tls_hello.h"
#include "quic_build.h"

static const uint8_t dcid[8] = {0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7};
static struct sl_quic_crypto *crypto;

struct bounds {
	uint8_t sum; /* of all bytes: reads each of them */
	uint64_t bytes;
};

static int take(void *arg, uint64_t offset, const uint8_t *data, size_t len)
{
	struct bounds *bounds = arg;

	must(len > 0 && offset + len < UINT64_C(1) << 62);
	for (size_t i = 0; i < len; i++)
		bounds->sum ^= data[i];
	bounds->bytes += len;
	return 0;
}

static bool opens_under(const struct sl_quic_conn *conn, const uint8_t *dgram, size_t len)
{
	struct sl_quic_origin origin = {.len = conn->dcid_len};

	memcpy(origin.cid, conn->dcid, conn->dcid_len);
	return sl_quic_opens_under(crypto, &origin, dgram, len);
}

static void check_datagram(struct sl_quic_conn *conn, const uint8_t *dgram, size_t len)
{
	struct bounds bounds = {0};
	struct sl_quic_datagram_info info;
	enum sl_parse_result answer =
	        sl_quic_client_datagram(crypto, conn, dgram, len, take, &bounds, &info);

	must(answer != SL_PARSE_MORE && bounds.bytes <= len);
	must((answer == SL_PARSE_DONE) == (info.reason == SL_REASON_NONE));
	must(answer != SL_PARSE_DONE || (info.initials > 0 && len >= SL_QUIC_INITIAL_DGRAM_MIN));
	must(answer != SL_PARSE_DONE || sl_quic_count_initials(dgram, len) == info.initials);
	/* A packet that opens with the expected number opens with some number. */
	must(answer != SL_PARSE_DONE || opens_under(conn, dgram, len));
}

static void check_first(const uint8_t *dgram, size_t len)
{
	struct sl_quic_header header, found;
	struct sl_quic_conn conn;
	enum sl_parse_result answer = sl_quic_initial_probe(dgram, len, &header);

	must(answer != SL_PARSE_MORE);
	must((answer == SL_PARSE_DONE) == (header.reason == SL_REASON_NONE));
	if (answer != SL_PARSE_DONE)
		return;
	must(sl_quic_conn_init(crypto, &conn, header.version, header.dcid, header.dcid_len));
	must(sl_quic_conn_owns(&conn, &header));
	/* A datagram that begins a connection is never taken for one without an Initial. */
	must(sl_quic_find_initial(dgram, len, &found) != SL_PARSE_NOT_MINE);
	check_datagram(&conn, dgram, len);
}

static enum sl_parse_result check_frames(const uint8_t *frames, size_t len)
{
	struct sl_quic_datagram_info info = {0};
	struct bounds bounds = {0};
	enum sl_parse_result answer = sl_quic_frames_walk(frames, len, take, &bounds, &info);

	must(bounds.bytes <= len && (answer == SL_PARSE_DONE || answer == SL_PARSE_BAD));
	return answer;
}

/* The same frames from a server: it is believed if they are allowed there. */
static void check_server(const struct quic_options *sealed, const uint8_t *frames, size_t len,
                         enum sl_parse_result plain)
{
	static uint8_t dgram[4096 + 1400];
	struct quic_options o = *sealed;
	struct sl_quic_header header;
	struct sl_quic_conn conn;
	size_t dgram_len;
	bool believed;

	o.server = true;
	o.keys_cid = dcid;
	o.keys_cid_len = sizeof(dcid);
	o.dcid_len = 0; /* the client has none */
	dgram_len = quic_initial(&o, frames, len, dgram);
	must(sl_quic_conn_init(crypto, &conn, o.version, dcid, sizeof(dcid)));
	believed = sl_quic_server_datagram(crypto, &conn, dcid, 0, dgram, dgram_len, &header);
	must(believed || plain != SL_PARSE_DONE); /* padding may complete a frame */
	must(believed || !conn.has_hello);
	must(!opens_under(&conn, dgram, dgram_len));
}

static void check_sealed(unsigned how, const uint8_t *frames, size_t len)
{
	static uint8_t dgram[4096 + 1400];
	struct quic_options o = {.version = how & 1 ? QUIC_V2 : QUIC_V1,
	                         .dcid = dcid,
	                         .dcid_len = sizeof(dcid),
	                         .number_len = 1 + (how >> 1 & 3),
	                         .number = how,
	                         .dgram_len = 1200};
	struct sl_quic_datagram_info info;
	struct bounds bounds = {0};
	struct sl_quic_conn conn;
	enum sl_parse_result plain, answer;
	size_t dgram_len;

	if (len > 4096)
		return;
	if (len >= 1150) /* no padding follows, so both readings see the same bytes */
		o.dgram_len = 0;
	dgram_len = quic_initial(&o, frames, len, dgram);
	plain = check_frames(frames, len);
	must(sl_quic_conn_init(crypto, &conn, o.version, dcid, sizeof(dcid)));
	answer = sl_quic_client_datagram(crypto, &conn, dgram, dgram_len, take, &bounds, &info);
	must(conn.number_next == o.number + 1);
	if (plain == SL_PARSE_DONE && dgram_len >= 1200)
		must(answer == SL_PARSE_DONE);
	must(opens_under(&conn, dgram, dgram_len));
	check_server(&o, frames, len, plain);
}

static void check_later(const uint8_t *dgram, size_t len)
{
	struct sl_quic_header header, retry;
	struct sl_quic_conn conn;
	enum sl_parse_result answer = sl_quic_find_initial(dgram, len, &header);

	must(answer != SL_PARSE_MORE);
	must((answer == SL_PARSE_BAD) == (header.reason != SL_REASON_NONE));
	must(sl_quic_conn_init(crypto, &conn, SL_QUIC_V1, dcid, sizeof(dcid)));
	must(sl_quic_retry_parse(crypto, &conn, dgram, len, &retry) != SL_PARSE_MORE);
	if (answer != SL_PARSE_DONE)
		return;
	(void)sl_quic_server_datagram(crypto, &conn, header.dcid, header.dcid_len, dgram, len,
	                              &retry);
	sl_quic_conn_answer(crypto, &conn, &header);
	check_datagram(&conn, dgram, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (crypto == NULL)
		crypto = sl_quic_crypto_create();
	must(crypto != NULL);
	if (len == 0)
		return 0;
	switch (data[0] & 3) {
	case 0:
		check_first(data + 1, len - 1);
		break;
	case 1:
		(void)check_frames(data + 1, len - 1);
		break;
	case 2:
		check_sealed(data[0] >> 2, data + 1, len - 1);
		break;
	case 3:
		check_later(data + 1, len - 1);
		break;
	}
	return 0;
}
