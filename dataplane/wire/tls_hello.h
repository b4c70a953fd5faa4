/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_hello.h: which server a client's first bytes ask for (RFC 8446, 5246, 6066), and the two
 * checks of a server's bytes that decide whether a second hello is judged, and whether the server
 * speaks TLS.
 *
 * All functions are pure (bytes in, struct out), allocate nothing and may run on any thread, with
 * one writer to each struct. Bytes are the caller's and are only read.
 */
#ifndef SLUICE_WIRE_TLS_HELLO_H
#define SLUICE_WIRE_TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/hostname.h"
#include "wire/parse_result.h"
#include "sluice/reason.h"

#define SL_TLS_HANDSHAKE_HEADER_BYTES 4 /* msg_type and a 24-bit length (RFC 8446 4) */

/*
 * Walks the records of a client's TCP stream up to the end of its ClientHello. 28 bytes, no
 * pointers: it may be part of a hold and be copied.
 *
 * Written by sl_tls_records_init() and sl_tls_records_feed() only; the first five members may be
 * read by the caller.
 */
struct sl_tls_records {
	uint32_t hs_len;     /* handshake bytes collected so far */
	uint32_t hello_len;  /* of the ClientHello with its header; valid once hs_len >= 4 */
	uint32_t range_len;  /* stream bytes walked so far; once DONE, the judged range */
	uint32_t passed_len; /* how many of these belong to skipped records (_init_second only) */
	uint8_t reason;      /* enum sl_reason: why the answer is BAD or NOT_MINE, else NONE */
	uint8_t answer; /* enum sl_parse_result: the answer given last; all but MORE are final */

	uint8_t header_len; /* bytes of the current record's header seen, 0..5 */
	uint8_t flags;
	uint16_t record_left; /* bytes of the current record's body that are still to come */
	uint32_t hello_max;
};

/*
 * Starts a walk at a stream's first byte. hello_max (bytes, at least 4) bounds the whole handshake
 * message, header included; the config's `hello-max`.
 */
void sl_tls_records_init(struct sl_tls_records *r, uint32_t hello_max);

/*
 * Starts a walk after the first ClientHello's record, for the one that answers a
 * HelloRetryRequest: change_cipher_spec, alert and application data records (RFC 8446 D.4, and
 * early data in flight) are skipped until the first handshake record.
 */
void sl_tls_records_init_second(struct sl_tls_records *r, uint32_t hello_max);

/*
 * Walks over early data (RFC 8446 2.3, 4.2.10), in a walk begun by _init_second: how many of the
 * next len bytes belong to change_cipher_spec and application data records. It stops before the
 * first byte of any other record, and before the byte that makes a record invalid; the walk can go
 * on there, by this function or by sl_tls_records_feed().
 */
size_t sl_tls_records_early(struct sl_tls_records *r, const uint8_t *bytes, size_t len);

/*
 * Walks the next len bytes of the stream. Cost is proportional to len, whatever came before.
 *
 * If out is not NULL the handshake bytes among them are written to out[hs_len] and on (hs_len as
 * it was before the call); out must hold hello_max bytes.
 *
 * SL_PARSE_MORE      all len bytes belong to the judged range, which continues after them
 * SL_PARSE_DONE      the ClientHello is complete; *used bytes of this piece belong to the judged
 *                    range, which ends with the record that the hello ends in
 * SL_PARSE_NOT_MINE  not a TLS client (SL_REASON_NOT_TLS): the first record is no handshake
 *                    record, or its message no ClientHello
 * SL_PARSE_BAD       SL_REASON_HELLO_TOO_LARGE as soon as the length is known, or
 *                    SL_REASON_MALFORMED_HELLO: empty or over-long record, a record of another
 *                    type between the fragments, bytes after the hello in its last record
 *
 * *used is always set; with the last two it says where the walk ended. A final answer is repeated
 * by every later call, with *used = 0. RFC 8446 5.1.
 */
enum sl_parse_result sl_tls_records_feed(struct sl_tls_records *r, const uint8_t *bytes, size_t len,
                                         uint8_t *out, size_t *used);

struct sl_tls_hello {
	char name[SL_NAME_MAX + 1]; /* canonical (hostname.h), NUL-terminated; "" unless DONE */
	uint16_t name_len;
	bool ech;              /* encrypted_client_hello, real or GREASE, or its draft ESNI */
	enum sl_reason reason; /* why the answer is not DONE; SL_REASON_NONE for DONE and MORE */
};

/*
 * Reads a whole ClientHello (RFC 8446 4.1.2), with its handshake header; the same for TCP and for
 * QUIC's CRYPTO stream. out is always filled in.
 *
 * SL_PARSE_DONE      it names one server, in out->name
 * SL_PARSE_MORE      msg is shorter than it announces
 * SL_PARSE_NOT_MINE  another handshake message (SL_REASON_NOT_TLS)
 * SL_PARSE_BAD       SL_REASON_NO_SERVER_NAME: no server_name extension, or an IP literal in it;
 *                    SL_REASON_MALFORMED_HELLO: everything else, bytes after the message included
 */
enum sl_parse_result sl_tls_hello_parse(const uint8_t *msg, size_t len, struct sl_tls_hello *out);

/* This many first bytes of a server's stream are always enough for sl_tls_is_hello_retry(). */
#define SL_TLS_RETRY_PEEK_BYTES 256

/*
 * Decides whether a server's TCP stream begins with a HelloRetryRequest (RFC 8446 4.1.3), from the
 * stream's first bytes. Alerts and change_cipher_spec before the first handshake record are skipped
 * (old servers warn about the name first); the message may be split into records in any way. 43
 * bytes decide the ordinary case.
 *
 * SL_PARSE_DONE it is; SL_PARSE_NOT_MINE it is not; SL_PARSE_MORE more bytes are needed. Never
 * BAD: an invalid message is not a HelloRetryRequest.
 */
enum sl_parse_result sl_tls_is_hello_retry(const uint8_t *stream, size_t len);

/*
 * True if a server's TCP stream that begins with these bytes could be TLS: the header of its first
 * record (RFC 8446 5.1) is that of a handshake message, an alert or a change_cipher_spec. Fewer
 * bytes than a header are compared as far as they go; true for none at all.
 */
bool sl_tls_is_server_record(const uint8_t *stream, size_t len);

#define SL_POSTGRES_REQUEST_BYTES 8

/*
 * What a PostgreSQL client asks for in the clear before anything else. libpq asks for GSSAPI first
 * if that may be available, is answered `N`, and then asks for TLS.
 */
enum sl_postgres_request {
	SL_POSTGRES_NONE = 0,
	SL_POSTGRES_GSSENC, /* GSSENCRequest: length 8, code 80877104; `N` is no */
	SL_POSTGRES_SSL,    /* SSLRequest: length 8, code 80877103; `S` is yes */
};

/*
 * Decides whether a client's TCP stream continues with one of these requests: DONE (*out says
 * which), NOT_MINE, or MORE while the bytes are a prefix of one (none at all included). Never BAD.
 */
enum sl_parse_result sl_tls_postgres_request(const uint8_t *stream, size_t len,
                                             enum sl_postgres_request *out);

#endif
