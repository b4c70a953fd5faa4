/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_initial.c: decides what a client's QUIC datagrams hold before the connection has keys of
 * its own, and which later ones could open a connection that was not judged.
 *
 * It must never read a datagram differently from a server. AES-GCM does not commit to its key:
 * whoever knows two keys (and these are public) can build a packet that opens under both, to
 * harmless frames under one and to a ClientHello under the other. So wherever a server that has
 * lost the connection (or never had it) would use other keys than this connection's state implies,
 * the packet must not open under those: sl_quic_opens_under(). Packet numbers need no such check:
 * under one key a ciphertext has a different tag for every nonce.
 */
#include "quic_initial.h"

#include <string.h>

#include "cursor.h"

/* The first byte of an Initial, RFC 9000 17.2 and RFC 9001 5.4.1. */
enum {
	RESERVED_MASK = 0x0c,
	NUMBER_LEN_MASK = 0x03,
	PROTECTED_MASK = 0x0f,
};

#define NUMBER_LEN_MAX 4
#define NUMBER_END     (UINT64_C(1) << 62) /* RFC 9000 12.3 */

/* ---- connections ---- */

static bool cid_is(const struct sl_cursor *cid, const uint8_t *bytes, size_t len)
{
	return cid->left == len && memcmp(cid->at, bytes, len) == 0;
}

bool sl_quic_conn_init(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn, uint32_t version,
                       const uint8_t *dcid, size_t dcid_len)
{
	*conn = (struct sl_quic_conn){.version = version};
	if (dcid_len > SL_QUIC_CID_MAX ||
	    !sl_quic_crypto_client_keys(crypto, version, dcid, dcid_len, &conn->client))
		return false;
	conn->dcid_len = (uint8_t)dcid_len;
	memcpy(conn->dcid, dcid, dcid_len);
	return true;
}

void sl_quic_conn_answer(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn,
                         const struct sl_quic_header *server)
{
	if (conn->answered || !sl_quic_crypto_knows(server->version))
		return;
	if (server->version != conn->version) {
		conn->version = server->version;
		(void)sl_quic_crypto_client_keys(crypto, conn->version, conn->dcid, conn->dcid_len,
		                                 &conn->client);
	}
	conn->answered = true;
	conn->server_cid_len = server->scid_len;
	memcpy(conn->server_cid, server->scid, server->scid_len);
}

static bool conn_owns_cid(const struct sl_quic_conn *conn, const struct sl_cursor *dcid)
{
	return cid_is(dcid, conn->dcid, conn->dcid_len) ||
	       (conn->answered && cid_is(dcid, conn->server_cid, conn->server_cid_len));
}

bool sl_quic_conn_owns(const struct sl_quic_conn *conn, const struct sl_quic_header *client)
{
	struct sl_cursor dcid = {.at = client->dcid, .left = client->dcid_len};

	return client->version == conn->version && conn_owns_cid(conn, &dcid);
}

/* ---- opening ---- */

/* An Initial without its header protection: the header as it was before that, and its fields. */
struct bare {
	size_t header_len; /* bytes at the start of the scratch memory, packet number included */
	size_t number_len;
	uint32_t number; /* truncated */
	uint8_t first;
};

/*
 * RFC 9001 5.4: removes the protection, in a copy. read_long_rest() has checked that the sample is
 * inside the packet.
 */
static bool unprotect(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                      const struct sl_quic_packet *p, struct bare *bare)
{
	uint8_t *header = sl_quic_crypto_scratch(crypto);
	uint8_t mask[SL_QUIC_MASK_BYTES];

	if (!sl_quic_crypto_mask(crypto, keys, p->start + p->number_at + SL_QUIC_SAMPLE_AT, mask))
		return false;
	memcpy(header, p->start, p->number_at + NUMBER_LEN_MAX);
	header[0] ^= mask[0] & PROTECTED_MASK;
	bare->first = header[0];
	bare->number_len = (size_t)(header[0] & NUMBER_LEN_MASK) + 1;
	bare->header_len = p->number_at + bare->number_len;
	bare->number = 0;
	for (size_t i = 0; i < bare->number_len; i++) {
		header[p->number_at + i] ^= mask[1 + i];
		bare->number = bare->number << 8 | header[p->number_at + i];
	}
	return true;
}

/* Opens the payload into the scratch memory, after the header. */
static bool open_payload(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                         const struct sl_quic_packet *p, const struct bare *bare, uint64_t number)
{
	uint8_t *header = sl_quic_crypto_scratch(crypto);

	return sl_quic_crypto_open(crypto, keys, number, header, bare->header_len,
	                           p->start + bare->header_len, p->len - bare->header_len,
	                           header + bare->header_len);
}

/*
 * The full packet number: the one nearest to the expected one that ends in these bytes (RFC 9000
 * A.3).
 */
static uint64_t decode_number(uint64_t expected, const struct bare *bare)
{
	uint64_t window = UINT64_C(1) << (8 * bare->number_len);
	uint64_t number = (expected & ~(window - 1)) | bare->number;

	if (number + window / 2 <= expected && number < NUMBER_END - window)
		return number + window;
	if (number > expected + window / 2 && number >= window)
		return number - window;
	return number;
}

/*
 * True if an Initial opens under these keys with any full packet number that a receiver could
 * derive from its truncated one. Which one that is depends on what the server has received, so all
 * are covered.
 */
static bool opens_with_any_number(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                                  const struct sl_quic_packet *p)
{
	uint8_t *header = sl_quic_crypto_scratch(crypto);
	struct bare bare;
	uint64_t number;

	return unprotect(crypto, keys, p, &bare) &&
	       sl_quic_crypto_number(crypto, keys, header, bare.header_len,
	                             p->start + bare.header_len, p->len - bare.header_len,
	                             header + bare.header_len, &number) &&
	       number < NUMBER_END &&
	       (number & ((UINT64_C(1) << (8 * bare.number_len)) - 1)) == bare.number;
}

bool sl_quic_opens_under(struct sl_quic_crypto *crypto, const struct sl_quic_origin *origin,
                         const uint8_t *dgram, size_t len)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	struct sl_quic_packet p;
	struct sl_quic_keys keys;

	while (c.left > 0) {
		sl_quic_packet_read(&c, &p);
		if (p.kind == SL_QUIC_PACKET_INVALID)
			return false;
		if (p.kind == SL_QUIC_PACKET_INITIAL &&
		    sl_quic_crypto_client_keys(crypto, p.version, origin->cid, origin->len,
		                               &keys) &&
		    opens_with_any_number(crypto, &keys, &p))
			return true;
	}
	return false;
}

unsigned sl_quic_count_initials(const uint8_t *dgram, size_t len)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	struct sl_quic_packet p;
	unsigned n = 0;

	while (c.left > 0) {
		sl_quic_packet_read(&c, &p);
		if (p.kind == SL_QUIC_PACKET_INVALID)
			return n;
		n += p.kind == SL_QUIC_PACKET_INITIAL;
	}
	return n;
}

/* Records what distinguishes an Initial from another one with the same number. */
static void note_initial(const struct sl_quic_packet *p, uint64_t number,
                         struct sl_quic_datagram_info *info)
{
	struct sl_quic_mark *mark = &info->mark[info->initials];

	if (info->initials++ == 0) {
		info->token_len = (uint16_t)p->token.left;
		info->scid_len = (uint8_t)p->scid.left;
		memcpy(info->scid, p->scid.at, p->scid.left);
	}
	mark->number = number;
	sl_quic_crypto_digest(p->start, p->len, mark->digest);
}

/* Opens an Initial of conn and walks its frames. */
static enum sl_parse_result walk_initial(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn,
                                         const struct sl_quic_packet *p, sl_quic_crypto_fn *fn,
                                         void *arg, struct sl_quic_datagram_info *info)
{
	const uint8_t *plain = sl_quic_crypto_scratch(crypto);
	struct bare bare;
	uint64_t number;

	/*
	 * A client that has received the server's answer may clear the bit everywhere (RFC 9287
	 * 3).
	 */
	if ((!(p->start[0] & SL_QUIC_FIXED_BIT) && !conn->answered) ||
	    info->initials == SL_QUIC_INITIALS_MAX)
		return SL_PARSE_BAD;
	if (!unprotect(crypto, &conn->client, p, &bare))
		return SL_PARSE_BAD;
	number = decode_number(conn->number_next, &bare);
	if (!open_payload(crypto, &conn->client, p, &bare, number) || (bare.first & RESERVED_MASK))
		return SL_PARSE_BAD;
	if (number >= conn->number_next)
		conn->number_next = number + 1;
	note_initial(p, number, info);
	return sl_quic_frames_walk(plain + bare.header_len,
	                           p->len - bare.header_len - SL_QUIC_TAG_BYTES, fn, arg, info);
}

/*
 * What may follow the last long header packet: zeros, or a short header packet to the same DCID,
 * which a client can only send when the server has answered, with the fixed bit set or not (RFC
 * 9287 3). As for a server, that packet is the rest of the datagram.
 */
static bool rest_is_harmless(const struct sl_quic_conn *conn, const struct sl_quic_packet *p,
                             const struct sl_cursor *dcid, struct sl_quic_datagram_info *info)
{
	if (sl_quic_packet_is_padding(p->start, p->len))
		return true;
	info->short_header = true;
	return conn->answered && p->len > dcid->left &&
	       memcmp(p->start + 1, dcid->at, dcid->left) == 0;
}

/* All packets of a datagram must have both IDs of its first one (RFC 9000 7.2, 12.2). */
static bool has_ids_of_first(const struct sl_quic_packet *p, const struct sl_cursor *dcid,
                             const struct sl_cursor *scid)
{
	return dcid->at == NULL ||
	       (cid_is(&p->dcid, dcid->at, dcid->left) && cid_is(&p->scid, scid->at, scid->left));
}

static enum sl_parse_result walk_packet(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn,
                                        const struct sl_quic_packet *p, struct sl_cursor *dcid,
                                        struct sl_cursor *scid, sl_quic_crypto_fn *fn, void *arg,
                                        struct sl_quic_datagram_info *info)
{
	switch (p->kind) {
	case SL_QUIC_PACKET_INVALID:
	case SL_QUIC_PACKET_RETRY:
	case SL_QUIC_PACKET_OTHER_VERSION:
		return SL_PARSE_BAD;
	case SL_QUIC_PACKET_SHORT:
		if (dcid->at == NULL)
			return SL_PARSE_NOT_MINE;
		return rest_is_harmless(conn, p, dcid, info) ? SL_PARSE_DONE : SL_PARSE_BAD;
	case SL_QUIC_PACKET_INITIAL:
	case SL_QUIC_PACKET_ZERO_RTT:
	case SL_QUIC_PACKET_HANDSHAKE:
		break;
	}
	if (p->kind != SL_QUIC_PACKET_INITIAL && dcid->at == NULL && !conn->answered)
		return SL_PARSE_NOT_MINE;
	if (p->version != conn->version || !conn_owns_cid(conn, &p->dcid) ||
	    !has_ids_of_first(p, dcid, scid))
		return SL_PARSE_BAD;
	*dcid = p->dcid;
	*scid = p->scid;
	if (p->kind == SL_QUIC_PACKET_INITIAL)
		return walk_initial(crypto, conn, p, fn, arg, info);
	if (p->kind == SL_QUIC_PACKET_HANDSHAKE) {
		info->handshake = true;
		return conn->answered ? SL_PARSE_DONE : SL_PARSE_BAD;
	}
	info->zero_rtt = true;
	return SL_PARSE_DONE;
}

enum sl_parse_result sl_quic_client_datagram(struct sl_quic_crypto *crypto,
                                             struct sl_quic_conn *conn, const uint8_t *dgram,
                                             size_t len, sl_quic_crypto_fn *fn, void *arg,
                                             struct sl_quic_datagram_info *info)
{
	struct sl_cursor c = {.at = dgram, .left = len}, dcid = {.at = NULL}, scid = dcid;
	enum sl_parse_result answer = SL_PARSE_DONE;
	struct sl_quic_packet p;

	*info = (struct sl_quic_datagram_info){.reason = SL_REASON_NONE};
	if (len > SL_QUIC_DGRAM_MAX)
		answer = SL_PARSE_BAD;
	while (answer == SL_PARSE_DONE && c.left > 0) {
		sl_quic_packet_read(&c, &p);
		answer = walk_packet(crypto, conn, &p, &dcid, &scid, fn, arg, info);
	}
	if (answer == SL_PARSE_DONE && info->initials == 0)
		answer = SL_PARSE_NOT_MINE;
	if (answer == SL_PARSE_DONE && len < SL_QUIC_INITIAL_DGRAM_MIN)
		answer = SL_PARSE_BAD;
	if (answer == SL_PARSE_NOT_MINE)
		info->reason = SL_REASON_NOT_QUIC;
	else if (answer != SL_PARSE_DONE)
		info->reason = SL_REASON_MALFORMED_QUIC;
	return answer;
}

/* ---- from the server ---- */

/*
 * RFC 8446 4, 4.1.3: type, 24-bit length, legacy_version, and the random that distinguishes the
 * two.
 */
#define SERVER_HELLO       2
#define SERVER_HELLO_BYTES (4 + 2 + 32)

static bool is_retry_random(const uint8_t random[32])
{
	static const uint8_t hello_retry_request[32] = {
	        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
	        0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
	        0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

	return memcmp(random, hello_retry_request, sizeof(hello_retry_request)) == 0;
}

/*
 * A server cannot send its ServerHello before it has all of the ClientHello. After a
 * HelloRetryRequest it waits for a second one, and its ServerHello follows later.
 */
static int take_server_crypto(void *arg, uint64_t offset, const uint8_t *data, size_t len)
{
	struct sl_quic_conn *conn = arg;

	if (offset != conn->server_hello_at || len < SERVER_HELLO_BYTES || data[0] != SERVER_HELLO)
		return 0;
	if (is_retry_random(data + SERVER_HELLO_BYTES - 32))
		conn->server_hello_at +=
		        4u + ((uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3]);
	else
		conn->has_hello = true;
	return 0;
}

/* Opens a server's Initial under the keys of the client's first ID and walks its frames. */
static bool walk_server_initial(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn,
                                const struct sl_quic_packet *p)
{
	const uint8_t *plain = sl_quic_crypto_scratch(crypto);
	struct sl_quic_datagram_info info = {.reason = SL_REASON_NONE};
	struct sl_quic_conn after = *conn;
	struct sl_quic_keys keys;
	struct bare bare;
	uint64_t number;

	if (!sl_quic_crypto_server_keys(crypto, p->version, conn->dcid, conn->dcid_len, &keys) ||
	    !unprotect(crypto, &keys, p, &bare))
		return false;
	number = decode_number(conn->server_number_next, &bare);
	if (!open_payload(crypto, &keys, p, &bare, number) || (bare.first & RESERVED_MASK) ||
	    sl_quic_frames_walk(plain + bare.header_len,
	                        p->len - bare.header_len - SL_QUIC_TAG_BYTES, take_server_crypto,
	                        &after, &info) != SL_PARSE_DONE)
		return false;
	if (number >= after.server_number_next)
		after.server_number_next = number + 1;
	*conn = after;
	return true;
}

/* True if a client of this connection may accept this packet as its server's (RFC 9000 7.2). */
static bool may_be_servers(const struct sl_quic_conn *conn, const struct sl_quic_packet *p)
{
	return !conn->answered || (p->version == conn->version &&
	                           cid_is(&p->scid, conn->server_cid, conn->server_cid_len));
}

bool sl_quic_server_datagram(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn,
                             const uint8_t *scid, size_t scid_len, const uint8_t *dgram, size_t len,
                             struct sl_quic_header *first)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	struct sl_quic_packet p;
	bool authentic = false;

	while (c.left > 0) {
		sl_quic_packet_read(&c, &p);
		if (p.kind == SL_QUIC_PACKET_INVALID)
			break;
		if (p.kind != SL_QUIC_PACKET_INITIAL || !cid_is(&p.dcid, scid, scid_len) ||
		    !may_be_servers(conn, &p) || !walk_server_initial(crypto, conn, &p))
			continue;
		if (!authentic)
			sl_quic_packet_header(first, &p);
		authentic = true;
	}
	return authentic;
}

/* ---- Retry ---- */

enum sl_parse_result sl_quic_retry_parse(struct sl_quic_crypto *crypto,
                                         const struct sl_quic_conn *conn, const uint8_t *dgram,
                                         size_t len, struct sl_quic_header *out)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	struct sl_quic_packet p;

	*out = (struct sl_quic_header){.reason = SL_REASON_NONE};
	if (len > 0)
		sl_quic_packet_read(&c, &p);
	if (len == 0 || p.kind != SL_QUIC_PACKET_RETRY) {
		out->reason = SL_REASON_NOT_QUIC;
		return SL_PARSE_NOT_MINE;
	}
	/* A client accepts one answer, a token of some length, and a new connection ID. */
	if (conn->answered || p.version != conn->version || p.token.left == 0 ||
	    cid_is(&p.scid, conn->dcid, conn->dcid_len) ||
	    !sl_quic_crypto_retry_is_genuine(crypto, p.version, conn->dcid, conn->dcid_len, p.start,
	                                     p.len)) {
		out->reason = SL_REASON_MALFORMED_QUIC;
		return SL_PARSE_BAD;
	}
	sl_quic_packet_header(out, &p);
	return SL_PARSE_DONE;
}
