/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.c: certificates, by GnuTLS, which libmicrohttpd speaks TLS with.
 */
#include "tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/x509.h>

/* ---- the gateway's own ---- */

static int load(const char *path, gnutls_datum_t *out, char **text, char *err, size_t err_size)
{
	int ret = gnutls_load_file(path, out);

	if (ret != GNUTLS_E_SUCCESS) {
		snprintf(err, err_size, "control.tls: %s cannot be read: %s", path,
		         errno != 0 ? strerror(errno) : gnutls_strerror(ret));
		return -EIO;
	}
	/* GnuTLS puts a NUL behind what it loads */
	*text = (char *)out->data;
	return 0;
}

/* The same calls that libmicrohttpd makes, which does not say what is wrong. */
static int try_texts(const gnutls_datum_t *cert, const gnutls_datum_t *key,
                     const gnutls_datum_t *ca, char *err, size_t err_size)
{
	gnutls_certificate_credentials_t credentials;
	int ret = gnutls_certificate_allocate_credentials(&credentials);
	int trusted;

	if (ret != GNUTLS_E_SUCCESS)
		return -ENOMEM;
	ret = gnutls_certificate_set_x509_key_mem(credentials, cert, key, GNUTLS_X509_FMT_PEM);
	if (ret < 0)
		snprintf(err, err_size, "control.tls: cert and key are no pair: %s",
		         gnutls_strerror(ret));
	trusted = gnutls_certificate_set_x509_trust_mem(credentials, ca, GNUTLS_X509_FMT_PEM);
	if (ret >= 0 && trusted < 1)
		snprintf(err, err_size, "control.tls: client-ca holds no certificate");
	gnutls_certificate_free_credentials(credentials);
	return ret < 0 || trusted < 1 ? -EINVAL : 0;
}

int sl_tls_texts_read(const char *cert, const char *key, const char *client_ca,
                      struct sl_tls_texts *out, char *err, size_t err_size)
{
	gnutls_datum_t texts[3];
	int ret;

	memset(out, 0, sizeof(*out));
	errno = 0;
	ret = load(cert, &texts[0], &out->cert, err, err_size);
	if (ret == 0)
		ret = load(key, &texts[1], &out->key, err, err_size);
	if (ret == 0)
		ret = load(client_ca, &texts[2], &out->client_ca, err, err_size);
	return ret == 0 ? try_texts(&texts[0], &texts[1], &texts[2], err, err_size) : ret;
}

void sl_tls_texts_free(struct sl_tls_texts *texts)
{
	gnutls_free(texts->cert);
	gnutls_free(texts->key);
	gnutls_free(texts->client_ca);
	memset(texts, 0, sizeof(*texts));
}

/* ---- the client's ---- */

static void say_status(unsigned status, char *out, size_t size)
{
	gnutls_datum_t text;

	if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) != 0) {
		snprintf(out, size, "the client's certificate is not trusted");
		return;
	}
	snprintf(out, size, "%s", (const char *)text.data);
	gnutls_free(text.data);
}

static bool read_subject(const gnutls_datum_t *der, char *out, size_t size)
{
	gnutls_x509_crt_t cert;
	gnutls_datum_t name = {0};
	bool fits = false;

	if (gnutls_x509_crt_init(&cert) != 0)
		return false;
	if (gnutls_x509_crt_import(cert, der, GNUTLS_X509_FMT_DER) == 0 &&
	    gnutls_x509_crt_get_dn3(cert, &name, 0) == 0) {
		fits = name.size < size && memchr(name.data, '\0', name.size) == NULL;
		snprintf(out, size, "%.*s", (int)name.size, (const char *)name.data);
		gnutls_free(name.data);
	}
	gnutls_x509_crt_deinit(cert);
	return fits;
}

bool sl_tls_client(gnutls_session_t session, char *subject, size_t size)
{
	gnutls_typed_vdata_st use = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
	                             .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
	const gnutls_datum_t *shown;
	unsigned n = 0, status = 0;

	shown = gnutls_certificate_get_peers(session, &n);
	if (shown == NULL || n == 0) {
		snprintf(subject, size, "the client has shown no certificate");
		return false;
	}
	if (gnutls_certificate_verify_peers(session, &use, 1, &status) != 0) {
		snprintf(subject, size, "the client's certificate cannot be verified");
		return false;
	}
	if (status != 0) {
		say_status(status, subject, size);
		return false;
	}
	if (read_subject(&shown[0], subject, size))
		return true;
	snprintf(subject, size, "the subject of the client's certificate is too long");
	return false;
}
