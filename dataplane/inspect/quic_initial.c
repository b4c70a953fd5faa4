/*
 * quic_initial.c: decides what a client's QUIC datagrams hold before the connection has keys of its
 * own, and which later ones could open a connection that nobody judged.
 *
 * It must never read a datagram in one way where a server might read it in another. AES-GCM does
 * not commit to its key: who knows two keys (and everybody knows these) can build a packet that
 * opens under both, to harmless frames under one and to a ClientHello under the other. So wherever
 * a server that has lost the connection (or never got it) would take other keys than the
 * connection's state here says, the packet must not open under those. Packet numbers need no such
 * care: under one key a ciphertext has another tag for every nonce.
 */
#include "quic_initial.h"

#include <string.h>

#include "cursor.h"

enum { /* the first byte, RFC 9000 17 */
       FORM_LONG = 0x80,
       FIXED_BIT = 0x40,
       TYPE_MASK = 0x30,
       TYPE_SHIFT = 4,
       RESERVED_MASK = 0x0c,
       NUMBER_LEN_MASK = 0x03,
       PROTECTED_LONG_MASK = 0x0f,
};

enum {
	SAMPLE_AT = 4, /* bytes behind the packet number's first, RFC 9001 5.4.2 */
	NUMBER_LEN_MAX = 4,
};

enum packet_kind {
	PACKET_LIES = 0, /* its lengths do not fit */
	PACKET_INITIAL,
	PACKET_ZERO_RTT,
	PACKET_HANDSHAKE,
	PACKET_RETRY,
	PACKET_SHORT,         /* 1-RTT; takes the rest of the datagram */
	PACKET_OTHER_VERSION, /* version negotiation too; takes the rest of the datagram */
};

struct packet {
	enum packet_kind kind;
	const uint8_t *start;
	size_t len;       /* bytes, header included */
	size_t number_at; /* where the packet number begins (Initial, 0-RTT, Handshake) */
	uint32_t version;
	struct sl_cursor dcid;
	struct sl_cursor scid;
	struct sl_cursor token; /* Initial and Retry */
};

/* ---- headers ---- */

/* The two bits of a long header's type mean different types in the two versions (RFC 9369 3.2). */
static enum packet_kind long_kind(uint32_t version, uint8_t first)
{
	static const enum packet_kind v1[4] = {PACKET_INITIAL, PACKET_ZERO_RTT, PACKET_HANDSHAKE,
	                                       PACKET_RETRY};
	static const enum packet_kind v2[4] = {PACKET_RETRY, PACKET_INITIAL, PACKET_ZERO_RTT,
	                                       PACKET_HANDSHAKE};
	unsigned type = (first & TYPE_MASK) >> TYPE_SHIFT;

	if (version == SL_QUIC_V1)
		return v1[type];
	if (version == SL_QUIC_V2)
		return v2[type];
	return PACKET_OTHER_VERSION;
}

/*
 * RFC 9000 17.2.2: Token Length (i), Token, Length (i), Packet Number, Payload. A 0-RTT or
 * Handshake packet has no token; a Retry has a token, a tag of 16 bytes, and no length.
 */
static bool read_long_rest(struct sl_cursor *c, struct packet *p)
{
	uint64_t len;

	if (p->kind == PACKET_RETRY) {
		if (c->left < SL_QUIC_TAG_BYTES)
			return false;
		(void)sl_cursor_span(c, c->left - SL_QUIC_TAG_BYTES, &p->token);
		return sl_cursor_skip(c, SL_QUIC_TAG_BYTES);
	}
	if (p->kind == PACKET_INITIAL &&
	    (!sl_cursor_varint(c, &len) || len > c->left || !sl_cursor_span(c, len, &p->token)))
		return false;
	if (!sl_cursor_varint(c, &len) || len > c->left)
		return false;
	p->number_at = (size_t)(c->at - p->start);
	/* Below that there is nothing to sample, and a receiver drops the packet (RFC 9001 5.4.2).
	 */
	if (p->kind == PACKET_INITIAL && len < SAMPLE_AT + SL_QUIC_SAMPLE_BYTES)
		return false;
	return sl_cursor_skip(c, len);
}

/* Takes one packet off the front of a datagram's rest, which is not empty. */
static void read_packet(struct sl_cursor *c, struct packet *p)
{
	uint8_t first = c->at[0];

	*p = (struct packet){.kind = PACKET_LIES, .start = c->at};
	(void)sl_cursor_skip(c, 1);
	if (!(first & FORM_LONG)) {
		p->kind = PACKET_SHORT;
		(void)sl_cursor_skip(c, c->left);
	} else if (sl_cursor_u32(c, &p->version)) {
		p->kind = long_kind(p->version, first);
		if (p->kind == PACKET_OTHER_VERSION)
			(void)sl_cursor_skip(c, c->left);
		else if (!sl_cursor_vector8(c, &p->dcid) || p->dcid.left > SL_QUIC_CID_MAX ||
		         !sl_cursor_vector8(c, &p->scid) || p->scid.left > SL_QUIC_CID_MAX ||
		         !read_long_rest(c, p))
			p->kind = PACKET_LIES;
	}
	p->len = (size_t)(c->at - p->start);
}

static bool cid_is(const struct sl_cursor *cid, const uint8_t *bytes, size_t len)
{
	return cid->left == len && memcmp(cid->at, bytes, len) == 0;
}

static void fill_header(struct sl_quic_header *out, const struct packet *p)
{
	out->reason = SL_REASON_NONE;
	out->version = p->version;
	out->token_len = (uint16_t)p->token.left;
	out->dcid_len = (uint8_t)p->dcid.left;
	out->scid_len = (uint8_t)p->scid.left;
	memcpy(out->dcid, p->dcid.at, p->dcid.left);
	memcpy(out->scid, p->scid.at, p->scid.left);
}

static enum sl_parse header_bad(struct sl_quic_header *out)
{
	out->reason = SL_REASON_MALFORMED_QUIC;
	return SL_PARSE_BAD;
}

static enum sl_parse header_not_mine(struct sl_quic_header *out)
{
	out->reason = SL_REASON_NOT_QUIC;
	return SL_PARSE_NOT_MINE;
}

enum sl_parse sl_quic_initial_probe(const uint8_t *dgram, size_t len, struct sl_quic_header *out)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	struct packet p;

	*out = (struct sl_quic_header){.reason = SL_REASON_NONE};
	if (len < SL_QUIC_INITIAL_DGRAM_MIN || !(dgram[0] & FIXED_BIT))
		return header_not_mine(out);
	if (len > SL_QUIC_DGRAM_MAX)
		return header_bad(out);
	read_packet(&c, &p);
	switch (p.kind) {
	case PACKET_LIES:
		/* A lie in what is no Initial either way is no QUIC that could be judged. */
		return long_kind(p.version, dgram[0]) == PACKET_INITIAL ? header_bad(out)
		                                                        : header_not_mine(out);
	case PACKET_ZERO_RTT:
	case PACKET_HANDSHAKE:
	case PACKET_RETRY:
	case PACKET_SHORT:
	case PACKET_OTHER_VERSION:
		return header_not_mine(out);
	case PACKET_INITIAL:
		break;
	}
	if (p.dcid.left < SL_QUIC_FIRST_DCID_MIN)
		return header_not_mine(out);
	fill_header(out, &p);
	return SL_PARSE_DONE;
}

/*
 * gQUIC up to Q043: flags (1) with the bits 0x01 (a version follows) and 0x08 (a connection ID of 8
 * bytes), the ID, the version as "Q043". Its flags look like a short header whose fixed bit is
 * greased (RFC 9287), so only the version tells them apart.
 */
static bool is_gquic(const uint8_t *packet, size_t len)
{
	const uint8_t *tag = packet + 9;

	return len >= 13 && (packet[0] & (FORM_LONG | FIXED_BIT)) == 0 &&
	       (packet[0] & 0x09) == 0x09 && (tag[0] == 'Q' || tag[0] == 'T') && tag[1] == '0';
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

enum sl_parse sl_quic_find_initial(const uint8_t *dgram, size_t len, struct sl_quic_header *out)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	enum sl_parse answer = SL_PARSE_NOT_MINE;
	struct packet p;

	*out = (struct sl_quic_header){.reason = SL_REASON_NONE};
	if (len > 0 && is_gquic(dgram, len)) {
		out->reason = SL_REASON_NOT_QUIC;
		return SL_PARSE_BAD;
	}
	/* To the end, so that a chain which breaks behind the first Initial is not let through. */
	while (c.left > 0) {
		bool padding = c.at != dgram && c.at[0] == 0;

		read_packet(&c, &p);
		switch (p.kind) {
		case PACKET_LIES:
			return header_bad(out);
		case PACKET_OTHER_VERSION:
			out->reason = SL_REASON_NOT_QUIC;
			return SL_PARSE_BAD;
		case PACKET_SHORT:
			/* Zeros behind the packets must be zeros to the end: nothing hides there.
			 */
			if (padding && !all_zero(p.start, p.len))
				return header_bad(out);
			break;
		case PACKET_INITIAL:
			if (answer != SL_PARSE_DONE)
				fill_header(out, &p);
			answer = SL_PARSE_DONE;
			break;
		case PACKET_ZERO_RTT:
		case PACKET_HANDSHAKE:
		case PACKET_RETRY:
			break;
		}
	}
	return answer;
}

/* ---- connections ---- */

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

/* ---- frames ---- */

enum frame_type { /* RFC 9000 12.4: what may stand in an Initial */
	          FRAME_PADDING = 0x00,
	          FRAME_PING = 0x01,
	          FRAME_ACK = 0x02,
	          FRAME_ACK_ECN = 0x03,
	          FRAME_CRYPTO = 0x06,
	          FRAME_CONNECTION_CLOSE = 0x1c,
};

#define VARINT_MAX ((UINT64_C(1) << 62) - 1)

/* Most of an Initial is padding: eight bytes at a time. */
static void skip_padding(struct sl_cursor *c)
{
	while (c->left >= 8) {
		uint64_t word;

		memcpy(&word, c->at, sizeof(word));
		if (word != 0)
			break;
		(void)sl_cursor_skip(c, 8);
	}
	while (c->left > 0 && c->at[0] == 0)
		(void)sl_cursor_skip(c, 1);
}

/*
 * RFC 9000 19.3: Largest Acknowledged, ACK Delay, ACK Range Count, First ACK Range, that many pairs
 * of Gap and ACK Range Length, and with ECN three counts. No range may fall below packet 0.
 */
static bool read_ack(struct sl_cursor *c, bool ecn)
{
	uint64_t smallest, delay, ranges, gap, len, count;

	if (!sl_cursor_varint(c, &smallest) || !sl_cursor_varint(c, &delay) ||
	    !sl_cursor_varint(c, &ranges) || !sl_cursor_varint(c, &len) || len > smallest)
		return false;
	smallest -= len;
	/* Each pair takes two bytes at least, so that a huge count ends with the packet. */
	for (uint64_t i = 0; i < ranges; i++) {
		if (!sl_cursor_varint(c, &gap) || !sl_cursor_varint(c, &len) ||
		    smallest < gap + 2 || smallest - gap - 2 < len)
			return false;
		smallest -= gap + 2 + len;
	}
	for (int i = 0; ecn && i < 3; i++)
		if (!sl_cursor_varint(c, &count))
			return false;
	return true;
}

/* RFC 9000 19.6: Offset (i), Length (i), Crypto Data. */
static bool read_crypto(struct sl_cursor *c, sl_quic_crypto_fn *fn, void *arg,
                        struct sl_quic_datagram_info *info)
{
	uint64_t offset, len;
	struct sl_cursor data;

	if (!sl_cursor_varint(c, &offset) || !sl_cursor_varint(c, &len) || len > c->left ||
	    offset + len > VARINT_MAX || !sl_cursor_span(c, len, &data))
		return false;
	if (len == 0)
		return true;
	info->crypto_frames++;
	return fn(arg, offset, data.at, data.left) == 0;
}

/* RFC 9000 19.19: Error Code (i), Frame Type (i), Reason Phrase Length (i), Reason Phrase. */
static bool read_connection_close(struct sl_cursor *c)
{
	uint64_t code, type, len;

	return sl_cursor_varint(c, &code) && sl_cursor_varint(c, &type) &&
	       sl_cursor_varint(c, &len) && len <= c->left && sl_cursor_skip(c, len);
}

/*
 * Frame types are variable-length integers, but all that may stand here have one byte, and a longer
 * form of them is a protocol violation (RFC 9000 12.4).
 */
static bool read_frame(struct sl_cursor *c, sl_quic_crypto_fn *fn, void *arg,
                       struct sl_quic_datagram_info *info)
{
	uint8_t type;

	if (!sl_cursor_u8(c, &type))
		return false;
	switch ((int)type) { /* any byte may come */
	case FRAME_PADDING:
		skip_padding(c);
		return true;
	case FRAME_PING:
		info->ack_eliciting = true;
		return true;
	case FRAME_ACK:
	case FRAME_ACK_ECN:
		return read_ack(c, type == FRAME_ACK_ECN);
	case FRAME_CRYPTO:
		info->ack_eliciting = true;
		return read_crypto(c, fn, arg, info);
	case FRAME_CONNECTION_CLOSE:
		info->closes = true;
		return read_connection_close(c);
	}
	return false;
}

enum sl_parse sl_quic_frames_walk(const uint8_t *payload, size_t len, sl_quic_crypto_fn *fn,
                                  void *arg, struct sl_quic_datagram_info *info)
{
	struct sl_cursor c = {.at = payload, .left = len};

	/* A packet without frames is a protocol violation (RFC 9000 12.4). */
	if (len == 0)
		return SL_PARSE_BAD;
	while (c.left > 0)
		if (!read_frame(&c, fn, arg, info))
			return SL_PARSE_BAD;
	return SL_PARSE_DONE;
}

/* ---- opening ---- */

/* An Initial without its header protection: the header as it was sealed, and what it says. */
struct bare {
	size_t header_len; /* bytes at the scratch memory's begin, packet number included */
	size_t number_len;
	uint32_t number; /* truncated */
	uint8_t first;
};

/*
 * RFC 9001 5.4: takes the protection off, in a copy. read_long_rest() saw to it that the sample
 * lies inside the packet.
 */
static bool unprotect(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                      const struct packet *p, struct bare *bare)
{
	uint8_t *header = sl_quic_crypto_scratch(crypto);
	uint8_t mask[SL_QUIC_MASK_BYTES];

	if (!sl_quic_crypto_mask(crypto, keys, p->start + p->number_at + SAMPLE_AT, mask))
		return false;
	memcpy(header, p->start, p->number_at + NUMBER_LEN_MAX);
	header[0] ^= mask[0] & PROTECTED_LONG_MASK;
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

/* Opens the payload into the scratch memory, behind the header. */
static bool open_payload(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                         const struct packet *p, const struct bare *bare, uint64_t number)
{
	uint8_t *header = sl_quic_crypto_scratch(crypto);

	return sl_quic_crypto_open(crypto, keys, number, header, bare->header_len,
	                           p->start + bare->header_len, p->len - bare->header_len,
	                           header + bare->header_len);
}

/* The full packet number, the one next to the expected that ends in these bytes (RFC 9000 A.3). */
static uint64_t decode_number(uint64_t expected, const struct bare *bare)
{
	uint64_t window = UINT64_C(1) << (8 * bare->number_len);
	uint64_t number = (expected & ~(window - 1)) | bare->number;

	if (number + window / 2 <= expected && number < VARINT_MAX + 1 - window)
		return number + window;
	if (number > expected + window / 2 && number >= window)
		return number - window;
	return number;
}

/*
 * Does an Initial also open as the first one of a connection that its own DCID begins? To be asked
 * where that DCID is not the origin of the connection's keys.
 */
static bool opens_as_first(struct sl_quic_crypto *crypto, const struct packet *p)
{
	struct sl_quic_keys keys;
	struct bare bare;

	return sl_quic_crypto_client_keys(crypto, p->version, p->dcid.at, p->dcid.left, &keys) &&
	       unprotect(crypto, &keys, p, &bare) &&
	       open_payload(crypto, &keys, p, &bare, bare.number);
}

/* Opens an Initial of conn and walks its frames. */
static enum sl_parse walk_initial(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn,
                                  const struct packet *p, sl_quic_crypto_fn *fn, void *arg,
                                  struct sl_quic_datagram_info *info)
{
	const uint8_t *plain = sl_quic_crypto_scratch(crypto);
	struct bare bare;
	uint64_t number;

	if (!(p->start[0] & FIXED_BIT) || info->initials == SL_QUIC_INITIALS_MAX)
		return SL_PARSE_BAD;
	if (!cid_is(&p->dcid, conn->dcid, conn->dcid_len) && opens_as_first(crypto, p))
		return SL_PARSE_BAD;
	if (!unprotect(crypto, &conn->client, p, &bare))
		return SL_PARSE_BAD;
	number = decode_number(conn->number_next, &bare);
	if (!open_payload(crypto, &conn->client, p, &bare, number) || (bare.first & RESERVED_MASK))
		return SL_PARSE_BAD;
	if (number >= conn->number_next)
		conn->number_next = number + 1;
	if (info->initials++ == 0) {
		info->token_len = (uint16_t)p->token.left;
		info->scid_len = (uint8_t)p->scid.left;
		memcpy(info->scid, p->scid.at, p->scid.left);
	}
	return sl_quic_frames_walk(plain + bare.header_len,
	                           p->len - bare.header_len - SL_QUIC_TAG_BYTES, fn, arg, info);
}

/*
 * What stands behind the last long header packet: zeros, or a short header packet to the same DCID,
 * which a client can only send when the server has answered. A server takes the rest of the
 * datagram for one packet then, and so does this.
 */
static bool rest_is_harmless(const struct sl_quic_conn *conn, const struct packet *p,
                             const struct sl_cursor *dcid, struct sl_quic_datagram_info *info)
{
	if (all_zero(p->start, p->len))
		return true;
	info->short_header = true;
	return conn->answered && p->start[0] & FIXED_BIT && p->len > dcid->left &&
	       memcmp(p->start + 1, dcid->at, dcid->left) == 0;
}

static enum sl_parse walk_packet(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn,
                                 const struct packet *p, struct sl_cursor *dcid,
                                 sl_quic_crypto_fn *fn, void *arg,
                                 struct sl_quic_datagram_info *info)
{
	switch (p->kind) {
	case PACKET_LIES:
	case PACKET_RETRY:
	case PACKET_OTHER_VERSION:
		return SL_PARSE_BAD;
	case PACKET_SHORT:
		if (dcid->at == NULL)
			return SL_PARSE_NOT_MINE;
		return rest_is_harmless(conn, p, dcid, info) ? SL_PARSE_DONE : SL_PARSE_BAD;
	case PACKET_INITIAL:
	case PACKET_ZERO_RTT:
	case PACKET_HANDSHAKE:
		break;
	}
	if (p->kind != PACKET_INITIAL && dcid->at == NULL && !conn->answered)
		return SL_PARSE_NOT_MINE;
	if (p->version != conn->version || !conn_owns_cid(conn, &p->dcid) ||
	    (dcid->at != NULL && !cid_is(&p->dcid, dcid->at, dcid->left)))
		return SL_PARSE_BAD;
	*dcid = p->dcid;
	if (p->kind == PACKET_INITIAL)
		return walk_initial(crypto, conn, p, fn, arg, info);
	if (p->kind == PACKET_HANDSHAKE) {
		info->handshake = true;
		return conn->answered ? SL_PARSE_DONE : SL_PARSE_BAD;
	}
	info->zero_rtt = true;
	return SL_PARSE_DONE;
}

enum sl_parse sl_quic_client_datagram(struct sl_quic_crypto *crypto, struct sl_quic_conn *conn,
                                      const uint8_t *dgram, size_t len, sl_quic_crypto_fn *fn,
                                      void *arg, struct sl_quic_datagram_info *info)
{
	struct sl_cursor c = {.at = dgram, .left = len}, dcid = {.at = NULL};
	enum sl_parse answer = SL_PARSE_DONE;
	struct packet p;

	*info = (struct sl_quic_datagram_info){.reason = SL_REASON_NONE};
	if (len > SL_QUIC_DGRAM_MAX)
		answer = SL_PARSE_BAD;
	while (answer == SL_PARSE_DONE && c.left > 0) {
		read_packet(&c, &p);
		answer = walk_packet(crypto, conn, &p, &dcid, fn, arg, info);
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

/* ---- Retry ---- */

enum sl_parse sl_quic_retry_parse(struct sl_quic_crypto *crypto, const struct sl_quic_conn *conn,
                                  const uint8_t *dgram, size_t len, struct sl_quic_header *out)
{
	struct sl_cursor c = {.at = dgram, .left = len};
	struct packet p;

	*out = (struct sl_quic_header){.reason = SL_REASON_NONE};
	if (len == 0)
		return header_not_mine(out);
	read_packet(&c, &p);
	if (p.kind != PACKET_RETRY)
		return header_not_mine(out);
	/* A client accepts one answer, a token of some length, and a new connection ID. */
	if (conn->answered || p.version != conn->version || p.token.left == 0 ||
	    cid_is(&p.scid, conn->dcid, conn->dcid_len) ||
	    !sl_quic_crypto_retry_is_genuine(crypto, p.version, conn->dcid, conn->dcid_len, p.start,
	                                     p.len))
		return header_bad(out);
	fill_header(out, &p);
	return SL_PARSE_DONE;
}
