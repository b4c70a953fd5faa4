/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_tls_hello.c: client streams through the record walker and the ClientHello parser.
 *
 * Input: one byte that says how (bit 0: as the second hello; bit 1: the rest is a bare handshake
 * message), one byte that gives the size of the pieces into which the stream is split, then the
 * stream.
 *
 * Checked besides memory safety: the pieces do not change the result, the range or the hello; a
 * result other than DONE has no name and, unless it is MORE, a reason; a name is canonical.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/tls_hello.h"

#define HELLO_MAX 4096

static void check_hello(const uint8_t *msg, size_t len)
{
	char again[SL_NAME_MAX + 1];
	struct sl_tls_hello hello;
	enum sl_parse_result answer = sl_tls_hello_parse(msg, len, &hello);

	must((answer == SL_PARSE_DONE) == (hello.name_len > 0));
	must(strlen(hello.name) == hello.name_len);
	must((answer == SL_PARSE_BAD || answer == SL_PARSE_NOT_MINE) ==
	     (hello.reason != SL_REASON_NONE));
	if (answer != SL_PARSE_DONE)
		return;
	must(sl_hostname_normalise((const uint8_t *)hello.name, hello.name_len, again) ==
	     hello.name_len);
	must(strcmp(hello.name, again) == 0);
	must(!sl_hostname_is_address(hello.name, hello.name_len));
}

static void check_stream(const uint8_t *stream, size_t len, size_t piece, bool second)
{
	static uint8_t whole[HELLO_MAX], pieces[HELLO_MAX];
	enum sl_parse_result answer = SL_PARSE_MORE;
	struct sl_tls_records a, b;
	size_t used, at = 0;

	if (second) {
		sl_tls_records_init_second(&a, HELLO_MAX);
		sl_tls_records_init_second(&b, HELLO_MAX);
	} else {
		sl_tls_records_init(&a, HELLO_MAX);
		sl_tls_records_init(&b, HELLO_MAX);
	}
	(void)sl_tls_records_feed(&a, stream, len, whole, &used);
	must(used == a.range_len && used <= len);
	while (at < len && answer == SL_PARSE_MORE) {
		size_t now = len - at < piece ? len - at : piece;

		answer = sl_tls_records_feed(&b, stream + at, now, pieces, &used);
		must(used <= now && (answer != SL_PARSE_MORE || used == now));
		at += used;
	}
	must(memcmp(&a, &b, sizeof(a)) == 0);
	must(memcmp(whole, pieces, a.hs_len) == 0);
	must(a.answer != SL_PARSE_DONE || (a.hs_len == a.hello_len && a.hs_len <= HELLO_MAX));
	if (a.answer == SL_PARSE_DONE)
		check_hello(whole, a.hs_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	enum sl_postgres_request request;

	if (len < 2)
		return 0;
	if (data[0] & 2)
		check_hello(data + 2, len - 2);
	else
		check_stream(data + 2, len - 2, (size_t)data[1] + 1, data[0] & 1);
	must(sl_tls_is_hello_retry(data + 2, len - 2) != SL_PARSE_BAD);
	must(sl_tls_postgres_request(data + 2, len - 2, &request) != SL_PARSE_BAD);
	return 0;
}
