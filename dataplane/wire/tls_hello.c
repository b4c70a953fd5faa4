/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_hello.c: decides whether a client's first bytes are one complete, unambiguous ClientHello,
 * and which name it asks for.
 *
 * It must never be more lenient than a server that might read the same bytes: a hello that servers
 * interpret differently is refused. It keeps no bytes and allocates nothing.
 */
#include "tls_hello.h"

#include <arpa/inet.h>
#include <string.h>

#include "cursor.h"

/* RFC 8446 5.1. */
enum content_type {
	CONTENT_CHANGE_CIPHER_SPEC = 20,
	CONTENT_ALERT = 21,
	CONTENT_HANDSHAKE = 22,
	CONTENT_APPLICATION_DATA = 23,
};

/* RFC 8446 4. */
enum handshake_type {
	HANDSHAKE_CLIENT_HELLO = 1,
	HANDSHAKE_SERVER_HELLO = 2,
};

enum extension_type {
	EXTENSION_SERVER_NAME = 0x0000, /* RFC 6066 3 */
	EXTENSION_ESNI_DRAFT = 0xffce,
	EXTENSION_ECH = 0xfe0d,
};

#define RECORD_HEADER_BYTES  5
#define RECORD_MAX_BYTES     16384         /* plaintext, RFC 8446 5.1 */
#define CIPHERTEXT_MAX_BYTES (16384 + 256) /* RFC 8446 5.2 */
#define VERSION_MAJOR        3
#define VERSION_MINOR_MAX    4
#define VERSION_SSL3         0x0300
#define RANDOM_BYTES         32
#define SESSION_ID_MAX       32
#define NAME_TYPE_HOST       0

/* sl_tls_records.flags */
enum {
	FLAG_SECOND = 1 << 0,    /* records of other types may come before the handshake record */
	FLAG_HANDSHAKE = 1 << 1, /* a handshake record has begun */
	FLAG_PASSING = 1 << 2,   /* the current record is skipped */
};

/* ---- the records ---- */

void sl_tls_records_init(struct sl_tls_records *r, uint32_t hello_max)
{
	*r = (struct sl_tls_records){.answer = SL_PARSE_MORE, .hello_max = hello_max};
}

void sl_tls_records_init_second(struct sl_tls_records *r, uint32_t hello_max)
{
	sl_tls_records_init(r, hello_max);
	r->flags = FLAG_SECOND;
}

static enum sl_parse_result records_bad(struct sl_tls_records *r, enum sl_reason reason)
{
	r->reason = (uint8_t)reason;
	return SL_PARSE_BAD;
}

static enum sl_parse_result records_not_mine(struct sl_tls_records *r)
{
	r->reason = SL_REASON_NOT_TLS;
	return SL_PARSE_NOT_MINE;
}

/* Checks whether the end of the hello is known, and that the current record ends with it. */
static enum sl_parse_result records_check_end(struct sl_tls_records *r)
{
	if (r->hs_len < SL_TLS_HANDSHAKE_HEADER_BYTES)
		return SL_PARSE_MORE;
	if (r->hello_len > r->hello_max)
		return records_bad(r, SL_REASON_HELLO_TOO_LARGE);
	if (r->hs_len + r->record_left > r->hello_len)
		return records_bad(r, SL_REASON_MALFORMED_HELLO);
	return r->hs_len == r->hello_len ? SL_PARSE_DONE : SL_PARSE_MORE;
}

static enum sl_parse_result records_type(struct sl_tls_records *r, uint8_t type)
{
	if (type == CONTENT_HANDSHAKE) {
		r->flags = (uint8_t)((r->flags | FLAG_HANDSHAKE) & ~FLAG_PASSING);
		return SL_PARSE_MORE;
	}
	if (r->flags & FLAG_HANDSHAKE)
		return records_bad(r, SL_REASON_MALFORMED_HELLO);
	if ((r->flags & FLAG_SECOND) &&
	    (type == CONTENT_CHANGE_CIPHER_SPEC || type == CONTENT_ALERT ||
	     type == CONTENT_APPLICATION_DATA)) {
		r->flags |= FLAG_PASSING;
		return SL_PARSE_MORE;
	}
	return records_not_mine(r);
}

/* One byte of a record's header: type, version, version, length, length. */
static enum sl_parse_result records_header_byte(struct sl_tls_records *r, uint8_t byte)
{
	uint16_t max = r->flags & FLAG_PASSING ? CIPHERTEXT_MAX_BYTES : RECORD_MAX_BYTES;

	switch (r->header_len++) {
	case 0:
		return records_type(r, byte);
	case 1:
		if (byte == VERSION_MAJOR)
			return SL_PARSE_MORE;
		return r->hs_len == 0 ? records_not_mine(r)
		                      : records_bad(r, SL_REASON_MALFORMED_HELLO);
	case 2:
		return byte <= VERSION_MINOR_MAX ? SL_PARSE_MORE
		                                 : records_bad(r, SL_REASON_MALFORMED_HELLO);
	case 3:
		/* Kept in record_left; the body is not read before the header is complete. */
		r->record_left = (uint16_t)(byte << 8);
		return SL_PARSE_MORE;
	}
	r->record_left |= byte;
	if (r->record_left == 0 || r->record_left > max)
		return records_bad(r, SL_REASON_MALFORMED_HELLO);
	return records_check_end(r);
}

/* One byte of the handshake header: msg_type, then the length, most significant byte first. */
static enum sl_parse_result records_hello_header_byte(struct sl_tls_records *r, uint8_t byte,
                                                      uint8_t *out)
{
	if (r->hs_len == 0 && byte != HANDSHAKE_CLIENT_HELLO)
		return records_not_mine(r);
	if (out != NULL)
		out[r->hs_len] = byte;
	if (r->hs_len > 0)
		r->hello_len = r->hello_len << 8 | byte;
	if (++r->hs_len == SL_TLS_HANDSHAKE_HEADER_BYTES)
		r->hello_len += SL_TLS_HANDSHAKE_HEADER_BYTES;
	r->record_left--;
	return records_check_end(r);
}

/* Reads as much of a record's body as is there: *taken bytes. */
static enum sl_parse_result records_body(struct sl_tls_records *r, const uint8_t *bytes, size_t len,
                                         uint8_t *out, size_t *taken)
{
	*taken = 1;
	if (!(r->flags & FLAG_PASSING) && r->hs_len < SL_TLS_HANDSHAKE_HEADER_BYTES)
		return records_hello_header_byte(r, bytes[0], out);
	*taken = len < r->record_left ? len : r->record_left;
	r->record_left -= (uint16_t)*taken;
	if (r->flags & FLAG_PASSING)
		return SL_PARSE_MORE;
	/*
	 * Fits into hello_max: records_check_end() refuses a record that extends past the hello.
	 */
	if (out != NULL)
		memcpy(out + r->hs_len, bytes, *taken);
	r->hs_len += (uint32_t)*taken;
	return records_check_end(r);
}

enum sl_parse_result sl_tls_records_feed(struct sl_tls_records *r, const uint8_t *bytes, size_t len,
                                         uint8_t *out, size_t *used)
{
	enum sl_parse_result answer = r->answer;
	size_t at = 0;

	while (at < len && answer == SL_PARSE_MORE) {
		size_t taken = 1;

		if (r->header_len < RECORD_HEADER_BYTES)
			answer = records_header_byte(r, bytes[at]);
		else
			answer = records_body(r, bytes + at, len - at, out, &taken);
		if (r->flags & FLAG_PASSING)
			r->passed_len += (uint32_t)taken;
		if (r->header_len == RECORD_HEADER_BYTES && r->record_left == 0)
			r->header_len = 0;
		at += taken;
	}
	r->range_len += (uint32_t)at;
	r->answer = (uint8_t)answer;
	*used = at;
	return answer;
}

size_t sl_tls_records_early(struct sl_tls_records *r, const uint8_t *bytes, size_t len)
{
	size_t at = 0;

	while (at < len && r->answer == SL_PARSE_MORE) {
		size_t n = r->header_len < RECORD_HEADER_BYTES ? 1 : r->record_left, used;

		if (r->header_len == 0 && bytes[at] != CONTENT_CHANGE_CIPHER_SPEC &&
		    bytes[at] != CONTENT_APPLICATION_DATA)
			break;
		if (n > len - at)
			n = len - at;
		if (sl_tls_records_feed(r, bytes + at, n, NULL, &used) == SL_PARSE_MORE)
			at += used;
	}
	return at;
}

/* ---- the hello ---- */

/*
 * The set of extension types seen. Two levels, so that a hello costs 128 bytes of zeroing and not
 * 8 KiB, and the cost is linear in the number of extensions.
 */
struct type_set {
	uint64_t used[16]; /* which words are valid */
	uint64_t words[1024];
};

/* Adds a type; false if it was there. */
static bool type_set_add(struct type_set *set, uint16_t type)
{
	unsigned word = type >> 6;
	uint64_t bit = UINT64_C(1) << (type & 63);
	uint64_t used = UINT64_C(1) << (word & 63);

	if (!(set->used[word >> 6] & used)) {
		set->used[word >> 6] |= used;
		set->words[word] = bit;
		return true;
	}
	if (set->words[word] & bit)
		return false;
	set->words[word] |= bit;
	return true;
}

/*
 * "::1" or "[::1]". Such a name contains ':' and is never a host name, but it is not malformed
 * either.
 */
static bool is_ipv6_literal(struct sl_cursor name)
{
	char text[INET6_ADDRSTRLEN + 1];
	uint8_t address[16];

	if (name.left > 2 && name.at[0] == '[' && name.at[name.left - 1] == ']') {
		name.at++;
		name.left -= 2;
	}
	if (name.left == 0 || name.left >= sizeof(text) || memchr(name.at, '\0', name.left) != NULL)
		return false;
	memcpy(text, name.at, name.left);
	text[name.left] = '\0';
	return inet_pton(AF_INET6, text, address) == 1;
}

/*
 * RFC 6066 3: ServerName server_name_list<1..2^16-1>, of NameType name_type (1 byte) and HostName
 * <1..2^16-1>. Exactly one entry, which must be a host_name: servers differ in which of several
 * they use.
 */
static bool read_server_name(struct sl_cursor body, struct sl_tls_hello *out)
{
	struct sl_cursor list, name;
	uint8_t type;
	int len;

	if (!sl_cursor_vector16(&body, &list) || body.left != 0)
		return false;
	if (!sl_cursor_u8(&list, &type) || type != NAME_TYPE_HOST)
		return false;
	if (!sl_cursor_vector16(&list, &name) || list.left != 0)
		return false;
	len = sl_hostname_normalise(name.at, name.left, out->name);
	if (len < 0) {
		out->name[0] = '\0';
		return is_ipv6_literal(name);
	}
	out->name_len = (uint16_t)len;
	if (sl_hostname_is_address(out->name, out->name_len)) {
		out->name_len = 0;
		out->name[0] = '\0';
	}
	return true;
}

/*
 * RFC 8446 4.2: Extension extensions<8..2^16-1>, of type (2 bytes) and opaque data<0..2^16-1>. All
 * are walked, also after the server_name: a second server_name, or an invalid extension further on,
 * makes the hello malformed.
 */
static bool read_extensions(struct sl_cursor list, struct sl_tls_hello *out)
{
	struct type_set seen;

	memset(seen.used, 0, sizeof(seen.used));
	while (list.left > 0) {
		struct sl_cursor body;
		uint16_t type;

		if (!sl_cursor_u16(&list, &type) || !sl_cursor_vector16(&list, &body))
			return false;
		if (!type_set_add(&seen, type))
			return false;
		if (type == EXTENSION_SERVER_NAME && !read_server_name(body, out))
			return false;
		if (type == EXTENSION_ECH || type == EXTENSION_ESNI_DRAFT)
			out->ech = true;
	}
	return true;
}

/*
 * RFC 8446 4.1.2: legacy_version (2), random (32), legacy_session_id<0..32>,
 * cipher_suites<2..2^16-2> of 2 bytes each, legacy_compression_methods<1..2^8-1>, extensions
 * (absent in old hellos).
 */
static bool read_client_hello(struct sl_cursor body, struct sl_tls_hello *out)
{
	struct sl_cursor session_id, suites, compression, extensions;
	uint16_t version;

	if (!sl_cursor_u16(&body, &version) || version >> 8 != VERSION_MAJOR ||
	    version <= VERSION_SSL3)
		return false;
	if (!sl_cursor_skip(&body, RANDOM_BYTES))
		return false;
	if (!sl_cursor_vector8(&body, &session_id) || session_id.left > SESSION_ID_MAX)
		return false;
	if (!sl_cursor_vector16(&body, &suites) || suites.left == 0 || suites.left % 2 != 0)
		return false;
	if (!sl_cursor_vector8(&body, &compression) || compression.left == 0)
		return false;
	if (body.left == 0)
		return true;
	if (!sl_cursor_vector16(&body, &extensions) || body.left != 0)
		return false;
	return read_extensions(extensions, out);
}

enum sl_parse_result sl_tls_hello_parse(const uint8_t *msg, size_t len, struct sl_tls_hello *out)
{
	struct sl_cursor cursor = {.at = msg, .left = len};
	uint32_t body_len;
	uint8_t type;

	out->name[0] = '\0';
	out->name_len = 0;
	out->ech = false;
	out->reason = SL_REASON_NONE;
	if (!sl_cursor_u8(&cursor, &type))
		return SL_PARSE_MORE;
	if (type != HANDSHAKE_CLIENT_HELLO) {
		out->reason = SL_REASON_NOT_TLS;
		return SL_PARSE_NOT_MINE;
	}
	if (!sl_cursor_u24(&cursor, &body_len) || cursor.left < body_len)
		return SL_PARSE_MORE;
	if (cursor.left > body_len || !read_client_hello(cursor, out))
		out->reason = SL_REASON_MALFORMED_HELLO;
	else if (out->name_len == 0)
		out->reason = SL_REASON_NO_SERVER_NAME;
	else
		return SL_PARSE_DONE;
	out->name[0] = '\0';
	out->name_len = 0;
	return SL_PARSE_BAD;
}

/* ---- the server's side ---- */

/*
 * A HelloRetryRequest (RFC 8446 4.1.3): msg_type, any length, legacy_version, SHA-256 of
 * "HelloRetryRequest" in the place of the random.
 */
#define RETRY_RANDOM_AT (SL_TLS_HANDSHAKE_HEADER_BYTES + 2)

static const uint8_t retry_random[RANDOM_BYTES] = {
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
        0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
        0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

/* Compares len bytes of the server's message, from offset *at on; advances *at. */
static enum sl_parse_result compare_retry(const uint8_t *bytes, size_t len, size_t *at)
{
	for (size_t i = 0; i < len; i++, (*at)++) {
		if (*at == RETRY_RANDOM_AT + RANDOM_BYTES)
			break;
		if (*at == 0 && bytes[i] != HANDSHAKE_SERVER_HELLO)
			return SL_PARSE_NOT_MINE;
		if (*at >= RETRY_RANDOM_AT && bytes[i] != retry_random[*at - RETRY_RANDOM_AT])
			return SL_PARSE_NOT_MINE;
	}
	return *at == RETRY_RANDOM_AT + RANDOM_BYTES ? SL_PARSE_DONE : SL_PARSE_MORE;
}

bool sl_tls_is_server_record(const uint8_t *stream, size_t len)
{
	uint32_t body_len;

	if (len > 0 && stream[0] != CONTENT_HANDSHAKE && stream[0] != CONTENT_ALERT &&
	    stream[0] != CONTENT_CHANGE_CIPHER_SPEC)
		return false;
	if (len > 1 && stream[1] != VERSION_MAJOR)
		return false;
	if (len < RECORD_HEADER_BYTES)
		return true;
	body_len = (uint32_t)stream[3] << 8 | stream[4];
	return body_len > 0 && body_len <= CIPHERTEXT_MAX_BYTES;
}

enum sl_parse_result sl_tls_is_hello_retry(const uint8_t *stream, size_t len)
{
	struct sl_cursor cursor = {.at = stream, .left = len};
	enum sl_parse_result answer = SL_PARSE_MORE;
	size_t at = 0;

	while (answer == SL_PARSE_MORE && cursor.left > 0) {
		uint8_t type = cursor.at[0];
		size_t body_len;
		bool early =
		        at == 0 && (type == CONTENT_ALERT || type == CONTENT_CHANGE_CIPHER_SPEC);

		if (type != CONTENT_HANDSHAKE && !early)
			return SL_PARSE_NOT_MINE;
		if (cursor.left >= 2 && cursor.at[1] != VERSION_MAJOR)
			return SL_PARSE_NOT_MINE;
		if (cursor.left < RECORD_HEADER_BYTES)
			break;
		body_len = (size_t)cursor.at[3] << 8 | cursor.at[4];
		(void)sl_cursor_skip(&cursor, RECORD_HEADER_BYTES);
		if (body_len > cursor.left)
			body_len = cursor.left;
		if (!early)
			answer = compare_retry(cursor.at, body_len, &at);
		(void)sl_cursor_skip(&cursor, body_len);
	}
	if (answer == SL_PARSE_MORE && len >= SL_TLS_RETRY_PEEK_BYTES)
		return SL_PARSE_NOT_MINE;
	return answer;
}

enum sl_parse_result sl_tls_postgres_request(const uint8_t *stream, size_t len,
                                             enum sl_postgres_request *out)
{
	/* https://www.postgresql.org/docs/current/protocol-message-formats.html */
	static const uint8_t same[SL_POSTGRES_REQUEST_BYTES - 1] = {0x00, 0x00, 0x00, 0x08,
	                                                            0x04, 0xd2, 0x16};
	size_t seen = len < sizeof(same) ? len : sizeof(same);

	*out = SL_POSTGRES_NONE;
	for (size_t i = 0; i < seen; i++)
		if (stream[i] != same[i])
			return SL_PARSE_NOT_MINE;
	if (len <= sizeof(same))
		return SL_PARSE_MORE;
	if (stream[sizeof(same)] == 0x2f)
		*out = SL_POSTGRES_SSL;
	else if (stream[sizeof(same)] == 0x30)
		*out = SL_POSTGRES_GSSENC;
	return *out != SL_POSTGRES_NONE ? SL_PARSE_DONE : SL_PARSE_NOT_MINE;
}
