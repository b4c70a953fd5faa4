/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_head.h: which host a client's first bytes ask for, if they are an HTTP/1.x request (RFC
 * 9112).
 *
 * All functions are pure (bytes in, struct out), allocate nothing and may run on any thread, with
 * one writer to each struct. Bytes are the caller's and are only read.
 */
#ifndef SLUICE_WIRE_HTTP_HEAD_H
#define SLUICE_WIRE_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/hostname.h"
#include "wire/parse_result.h"
#include "sluice/reason.h"

/*
 * Walks a client's TCP stream up to the end of its first header section. No pointers: it may be
 * part of a hold and be copied. Written by sl_http_walk_init() and sl_http_walk_feed() only.
 */
struct sl_http_walk {
	uint64_t latest;   /* the latest eight bytes of the request line, the last one lowest */
	uint32_t len;      /* stream bytes walked; once DONE, the judged range */
	uint32_t head_max; /* bytes */
	uint8_t before;    /* the byte before the latest eight */
	uint8_t state;
	uint8_t reason; /* enum sl_reason: why the answer is BAD or NOT_MINE, else NONE */
	uint8_t answer; /* enum sl_parse_result: the answer given last; all but MORE are final */
};

/* True if a stream that begins with this byte can be HTTP, and neither TLS nor PostgreSQL. */
static inline bool sl_http_begins(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z';
}

/* Starts at a stream's first byte. head_max bounds the header section (config's `hello-max`). */
void sl_http_walk_init(struct sl_http_walk *w, uint32_t head_max);

/*
 * Walks the next len bytes of the stream. Cost is proportional to len, whatever came before.
 *
 * SL_PARSE_MORE      all len bytes belong to the header section, which continues after them
 * SL_PARSE_DONE      the header section is complete; *used bytes of this piece belong to it
 * SL_PARSE_NOT_MINE  the first line is no request line of HTTP (SL_REASON_NOT_TLS)
 * SL_PARSE_BAD       SL_REASON_HELLO_TOO_LARGE, or SL_REASON_MALFORMED_HTTP: another version than
 *                    1.0 and 1.1, a CR or LF of its own, a folded line, a control character
 *
 * *used is always set; a final answer is repeated by every later call, with *used = 0.
 */
enum sl_parse_result sl_http_walk_feed(struct sl_http_walk *w, const uint8_t *bytes, size_t len,
                                       size_t *used);

struct sl_http_head {
	char name[SL_NAME_MAX + 1]; /* canonical (hostname.h), NUL-terminated; "" unless DONE */
	uint16_t name_len;
	uint16_t port;         /* in Host, host order; 0: none */
	enum sl_reason reason; /* why the answer is not DONE; SL_REASON_NONE for DONE and MORE */
};

/*
 * Reads a whole header section, from the request line to the empty line, and nothing after it. out
 * is always filled in.
 *
 * SL_PARSE_DONE      it asks for one host, in out->name
 * SL_PARSE_MORE      it is not complete
 * SL_PARSE_NOT_MINE  the first line is no request line of HTTP (SL_REASON_NOT_TLS)
 * SL_PARSE_BAD       SL_REASON_NO_SERVER_NAME: no Host, or an empty one, or an address in it;
 *                    SL_REASON_MALFORMED_HTTP: everything else
 */
enum sl_parse_result sl_http_head_parse(const uint8_t *head, size_t len, struct sl_http_head *out);

#define SL_HTTP_ANSWER       "HTTP/1." /* every response of an HTTP/1.x server begins with it */
#define SL_HTTP_ANSWER_BYTES (sizeof(SL_HTTP_ANSWER) - 1)

#endif
