/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_crypto.h: the cryptography of QUIC's Initial packets (RFC 9001 5, RFC 9369 3), for versions
 * 1 and 2. None of these keys is a secret: they are derived from bytes that are in the clear in
 * every Initial.
 *
 * Each worker has one struct sl_quic_crypto: the functions use its scratch memory, so only one
 * thread may call them at a time. After _create() nothing here allocates.
 */
#ifndef SLUICE_WIRE_QUIC_CRYPTO_H
#define SLUICE_WIRE_QUIC_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_QUIC_V1 UINT32_C(0x00000001)
#define SL_QUIC_V2 UINT32_C(0x6b3343cf)

#define SL_QUIC_TAG_BYTES    16
#define SL_QUIC_SAMPLE_BYTES 16
#define SL_QUIC_MASK_BYTES   5
#define SL_QUIC_DIGEST_BYTES 16    /* a collision takes 2^64 tries */
#define SL_QUIC_CID_MAX      20    /* RFC 9000 17.2 */
#define SL_QUIC_DGRAM_MAX    65535 /* the largest datagram that is parsed */

struct sl_quic_crypto;

/* The keys of one direction of one connection's Initial packets. */
struct sl_quic_keys {
	uint8_t key[16];
	uint8_t iv[12];
	uint8_t hp[16];
};

/*
 * Fetches the algorithms and makes the contexts. Control side, at start: allocates. NULL if
 * libcrypto lacks memory or AES; free with _free(), which takes NULL.
 */
struct sl_quic_crypto *sl_quic_crypto_create(void);
void sl_quic_crypto_free(struct sl_quic_crypto *crypto);

/* True for the two supported versions. Pure. */
bool sl_quic_crypto_knows(uint32_t version);

/*
 * Derives what a client seals its Initials with from the Destination Connection ID of its first
 * one (RFC 9001 5.2; cid_len <= SL_QUIC_CID_MAX). False for an unknown version.
 */
bool sl_quic_crypto_client_keys(struct sl_quic_crypto *crypto, uint32_t version, const uint8_t *cid,
                                size_t cid_len, struct sl_quic_keys *keys);

/* The same for what a server seals its Initials with, from the client's ID again. */
bool sl_quic_crypto_server_keys(struct sl_quic_crypto *crypto, uint32_t version, const uint8_t *cid,
                                size_t cid_len, struct sl_quic_keys *keys);

/* SHA-256 of some bytes, cut short. Pure. */
void sl_quic_crypto_digest(const uint8_t *bytes, size_t len, uint8_t digest[SL_QUIC_DIGEST_BYTES]);

/* The header protection mask for a sample (RFC 9001 5.4.3). False if libcrypto fails. */
bool sl_quic_crypto_mask(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                         const uint8_t sample[SL_QUIC_SAMPLE_BYTES],
                         uint8_t mask[SL_QUIC_MASK_BYTES]);

/*
 * Opens an AEAD-sealed payload (RFC 9001 5.3): sealed_len bytes, the tag (16) at their end, with
 * the unprotected header as associated data. Writes sealed_len - 16 bytes to out, which must not
 * overlap sealed. False if it does not authenticate; the content of out is then undefined.
 */
bool sl_quic_crypto_open(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                         uint64_t packet_number, const uint8_t *header, size_t header_len,
                         const uint8_t *sealed, size_t sealed_len, uint8_t *out);

/*
 * Finds the packet number under which these keys open an AEAD-sealed payload. There is at most
 * one: every number has its own pad for the tag, and the pad can be computed from the tag, so that
 * no number has to be guessed. The parameters are those of sl_quic_crypto_open(); scratch has room
 * for sealed_len bytes, does not overlap sealed, and is undefined afterwards. False if there is
 * none, or if libcrypto fails.
 */
bool sl_quic_crypto_number(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                           const uint8_t *header, size_t header_len, const uint8_t *sealed,
                           size_t sealed_len, uint8_t *scratch, uint64_t *number);

/*
 * Does a Retry packet (len bytes, its integrity tag at their end) answer an Initial with this
 * Destination Connection ID (RFC 9001 5.8, RFC 9369 3.3.3)? Overwrites the scratch memory.
 */
bool sl_quic_crypto_retry_is_genuine(struct sl_quic_crypto *crypto, uint32_t version,
                                     const uint8_t *cid, size_t cid_len, const uint8_t *packet,
                                     size_t len);

/* Memory for one datagram's plaintext (SL_QUIC_DGRAM_MAX bytes), the owner's until _free(). */
uint8_t *sl_quic_crypto_scratch(struct sl_quic_crypto *crypto);

#endif
