/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h: who the other end of a TLS connection is, and the gateway's own certificate. There is no
 * API by TCP without certificates on both sides.
 */
#ifndef SLUICE_CONTROL_TLS_H
#define SLUICE_CONTROL_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/gnutls.h>

/* PEM texts, owned. */
struct sl_tls_texts {
	char *cert; /* and the certificates between it and its CA */
	char *key;
	char *client_ca; /* whose certificates are believed */
};

/*
 * Reads the files and tries whether they are what they should be. Returns 0, or -errno and a
 * message in err. sl_tls_texts_free() in either case.
 */
int sl_tls_texts_read(const char *cert, const char *key, const char *client_ca,
                      struct sl_tls_texts *out, char *err, size_t err_size);
void sl_tls_texts_free(struct sl_tls_texts *texts);

/*
 * Whether the client has shown a certificate that its CA vouches for, at this time and for this
 * use. True: its subject (RFC 4514: "CN=rack-7,O=Example") is in subject. False: why is in subject.
 */
bool sl_tls_client(gnutls_session_t session, char *subject, size_t size);

#endif
