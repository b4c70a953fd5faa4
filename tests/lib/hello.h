/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.h: builds ClientHellos, valid and invalid, and the records around them, for tests.
 *
 * Written from the RFCs and not from the parser: it shares no code with what it tests.
 */
#ifndef SLUICE_TESTS_HELLO_H
#define SLUICE_TESTS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HELLO_BYTES_MAX   20000
#define RECORDS_BYTES_MAX (6 * HELLO_BYTES_MAX) /* 1 byte a record */

/* What a hello holds. The zero value with a name is an ordinary TLS 1.3 hello. */
struct hello_options {
	const char *name; /* NULL: no server_name extension */
	size_t name_len;  /* 0: strlen(name); otherwise name may hold any bytes */
	uint8_t name_type;
	bool name_empty;         /* a host_name of no bytes */
	bool list_empty;         /* a server_name_list of no entries */
	bool extension_empty;    /* a server_name extension of no bytes, as servers send it */
	const char *second_name; /* another entry in the same list */
	const char *other_sni;   /* another server_name extension after all others */
	bool name_last;          /* the server_name extension comes last, not first */
	bool name_trailing;      /* one byte after the list, in the extension */

	bool no_extensions;   /* the hello ends after compression_methods */
	bool ech;             /* encrypted_client_hello (0xfe0d) with an outer body */
	bool esni;            /* its draft (0xffce) */
	size_t repeated_type; /* this extension type twice, if not 0 */
	size_t many;          /* this many further empty extensions of different types */
	size_t total_len;     /* pad the whole message to this many bytes (padding extension) */

	uint16_t version;       /* 0: 0x0303 */
	size_t session_id_len;  /* 0: 32 bytes; a larger one than 32 is written as asked */
	bool session_id_none;   /* really none, as in QUIC */
	size_t suites_len;      /* 0: 6 bytes */
	bool suites_none;       /* really none */
	bool compression_none;  /* no methods */
	int extensions_len_lie; /* added to the length of the extensions block */
	int message_len_lie;    /* added to the 24-bit length of the message */
	int list_len_lie;       /* added to the length of the server_name_list */
	int name_len_lie;       /* added to the length of the host_name */
};

/*
 * Writes the handshake message (type, 24-bit length, body) to out, which holds HELLO_BYTES_MAX.
 * Returns its length. Aborts if it does not fit.
 */
size_t hello_build(const struct hello_options *options, uint8_t *out);

/* The same for a plain hello with a name. */
size_t hello_named(const char *name, uint8_t *out);

/*
 * Wraps a message into handshake records of at most fragment bytes each (0: as few as can be) and
 * writes them to out, which holds RECORDS_BYTES_MAX. The first says version 3.1, as clients do.
 * Returns the length.
 */
size_t hello_records(const uint8_t *msg, size_t len, size_t fragment, uint8_t *out);

/* One record of a type. Returns its length (5 + len). */
size_t hello_record(uint8_t type, const uint8_t *body, size_t len, uint8_t *out);

/* A server's HelloRetryRequest (or, if not retry, an ordinary ServerHello) as a message. */
size_t hello_server(bool retry, uint8_t *out);

#endif
