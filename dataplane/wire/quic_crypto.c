/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_crypto.c: decides whether a packet was sealed with the keys that its connection ID gives.
 *
 * It must never return a payload that did not authenticate, nor allocate after _create(): it runs
 * on workers, once for every QUIC connection that a sandbox opens.
 *
 * Deriving the keys is 14 SHA-256 compressions when the HMAC states of the salts are kept, and
 * nothing but bookkeeping around them: libcrypto's EVP_KDF and EVP_MAC fetch, allocate and copy
 * contexts for each of four HKDF steps and take ten times as long as the hashing. So the
 * compression function is called as it is (SHA256_Transform, deprecated in OpenSSL 3.0 in favour of
 * EVP, still exported by all of 3.x), and HMAC and HKDF, of which all inputs here fit into one
 * block, are written out.
 */
#define OPENSSL_API_COMPAT 10101 /* SHA256_Transform, see above */

#include "quic_crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <string.h>

#define BLOCK_BYTES  64
#define DIGEST_BYTES 32
#define SALT_BYTES   20
#define NONCE_BYTES  12
#define ODCID_BYTES  (1 + SL_QUIC_CID_MAX) /* the bytes before a Retry in its pseudo-packet */

/* A SHA-256 state between two blocks. */
struct midstate {
	SHA_LONG h[8];
};

/* An HMAC key: the states after the blocks key^ipad and key^opad (RFC 2104). */
struct hmac_key {
	struct midstate inner;
	struct midstate outer;
};

/* What differs between the versions (RFC 9001 5.2, 5.8; RFC 9369 3.3). */
struct version_facts {
	uint32_t version;
	uint8_t salt[SALT_BYTES];
	const char *key_label;
	const char *iv_label;
	const char *hp_label;
	struct sl_quic_keys retry; /* key and nonce (as iv) of the Retry Integrity Tag */
};

static const struct version_facts facts[] = {
        {
                .version = SL_QUIC_V1,
                .salt = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                         0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
                .key_label = "tls13 quic key",
                .iv_label = "tls13 quic iv",
                .hp_label = "tls13 quic hp",
                .retry = {.key = {0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b,
                                  0x54, 0xe3, 0x68, 0xc8, 0x4e},
                          .iv = {0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25,
                                 0xbb}},
        },
        {
                .version = SL_QUIC_V2,
                .salt = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                         0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
                .key_label = "tls13 quicv2 key",
                .iv_label = "tls13 quicv2 iv",
                .hp_label = "tls13 quicv2 hp",
                .retry = {.key = {0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2, 0x60, 0xfb, 0xcb,
                                  0xce, 0xad, 0x7c, 0xcc, 0x92},
                          .iv = {0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0,
                                 0x4a}},
        },
};

#define VERSIONS (sizeof(facts) / sizeof(facts[0]))

/* What is computed once for a version: every HKDF input except the secrets themselves. */
struct version_state {
	struct hmac_key salt;
	uint8_t key_block[BLOCK_BYTES];
	uint8_t iv_block[BLOCK_BYTES];
	uint8_t hp_block[BLOCK_BYTES];
};

struct sl_quic_crypto {
	EVP_CIPHER_CTX *aead;    /* AES-128-GCM, decrypting */
	EVP_CIPHER_CTX *seal;    /* AES-128-GCM, encrypting */
	EVP_CIPHER_CTX *mask;    /* AES-128-ECB */
	EVP_CIPHER_CTX *inverse; /* AES-128-ECB, decrypting */
	struct version_state versions[VERSIONS];
	uint8_t client_block[BLOCK_BYTES];
	uint8_t server_block[BLOCK_BYTES];
	uint8_t scratch[ODCID_BYTES + SL_QUIC_DGRAM_MAX];
};

/* ---- HMAC-SHA256 of messages of one block ---- */

static void compress(struct midstate *state, const uint8_t block[BLOCK_BYTES])
{
	SHA256_CTX ctx;

	memcpy(ctx.h, state->h, sizeof(ctx.h));
	SHA256_Transform(&ctx, block);
	memcpy(state->h, ctx.h, sizeof(ctx.h));
}

/* The only block of a message, with SHA-256's padding, as it follows the block of an HMAC key. */
static void message_block(uint8_t block[BLOCK_BYTES], const void *message, size_t len)
{
	size_t bits = (BLOCK_BYTES + len) * 8; /* len <= 55, so two bytes hold it */

	memset(block, 0, BLOCK_BYTES);
	if (len > 0)
		memcpy(block, message, len);
	block[len] = 0x80;
	block[BLOCK_BYTES - 2] = (uint8_t)(bits >> 8);
	block[BLOCK_BYTES - 1] = (uint8_t)bits;
}

static void state_bytes(const struct midstate *state, uint8_t out[DIGEST_BYTES])
{
	for (size_t i = 0; i < 8; i++) {
		out[4 * i] = (uint8_t)(state->h[i] >> 24);
		out[4 * i + 1] = (uint8_t)(state->h[i] >> 16);
		out[4 * i + 2] = (uint8_t)(state->h[i] >> 8);
		out[4 * i + 3] = (uint8_t)state->h[i];
	}
}

static void hmac_set_key(struct hmac_key *key, const uint8_t *secret, size_t len)
{
	static const struct midstate initial = {/* FIPS 180-4 5.3.3 */
	                                        {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
	uint8_t block[BLOCK_BYTES];

	memset(block, 0x36, sizeof(block));
	for (size_t i = 0; i < len; i++)
		block[i] ^= secret[i];
	key->inner = initial;
	compress(&key->inner, block);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36 ^ 0x5c;
	key->outer = initial;
	compress(&key->outer, block);
}

static void hmac(const struct hmac_key *key, const uint8_t message[BLOCK_BYTES],
                 uint8_t out[DIGEST_BYTES])
{
	struct midstate state = key->inner;
	uint8_t digest[DIGEST_BYTES], block[BLOCK_BYTES];

	compress(&state, message);
	state_bytes(&state, digest);
	message_block(block, digest, sizeof(digest));
	state = key->outer;
	compress(&state, block);
	state_bytes(&state, out);
}

/*
 * The message of HKDF-Expand-Label with an empty context (RFC 8446 7.1, RFC 5869 2.3): uint16
 * length, opaque label<7..255>, opaque context<0..255>, and the counter of the first block.
 */
static void label_block(uint8_t block[BLOCK_BYTES], const char *label, uint8_t length)
{
	uint8_t info[BLOCK_BYTES] = {0, length};
	size_t len = strlen(label);

	info[2] = (uint8_t)len;
	memcpy(info + 3, label, len);
	info[3 + len] = 0;
	info[4 + len] = 1;
	message_block(block, info, 5 + len);
}

/* ---- contexts ---- */

static EVP_CIPHER_CTX *context_create(const char *name, bool encrypts)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	static const uint8_t zeros[16];
	bool ok;

	/* Setting a first key makes libcrypto allocate all that it will need now. */
	ok = cipher != NULL && ctx != NULL &&
	     EVP_CipherInit_ex2(ctx, cipher, zeros, zeros, encrypts, NULL) == 1 &&
	     EVP_CIPHER_CTX_set_padding(ctx, 0) == 1;
	EVP_CIPHER_free(cipher);
	if (ok)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

struct sl_quic_crypto *sl_quic_crypto_create(void)
{
	struct sl_quic_crypto *crypto = OPENSSL_zalloc(sizeof(*crypto));

	if (crypto == NULL)
		return NULL;
	crypto->aead = context_create("AES-128-GCM", false);
	crypto->seal = context_create("AES-128-GCM", true);
	crypto->mask = context_create("AES-128-ECB", true);
	crypto->inverse = context_create("AES-128-ECB", false);
	if (crypto->aead == NULL || crypto->seal == NULL || crypto->mask == NULL ||
	    crypto->inverse == NULL) {
		sl_quic_crypto_free(crypto);
		return NULL;
	}
	label_block(crypto->client_block, "tls13 client in", DIGEST_BYTES);
	label_block(crypto->server_block, "tls13 server in", DIGEST_BYTES);
	for (size_t i = 0; i < VERSIONS; i++) {
		struct version_state *v = &crypto->versions[i];

		hmac_set_key(&v->salt, facts[i].salt, SALT_BYTES);
		label_block(v->key_block, facts[i].key_label, sizeof(facts[i].retry.key));
		label_block(v->iv_block, facts[i].iv_label, NONCE_BYTES);
		label_block(v->hp_block, facts[i].hp_label, sizeof(facts[i].retry.hp));
	}
	return crypto;
}

void sl_quic_crypto_free(struct sl_quic_crypto *crypto)
{
	if (crypto == NULL)
		return;
	EVP_CIPHER_CTX_free(crypto->aead);
	EVP_CIPHER_CTX_free(crypto->seal);
	EVP_CIPHER_CTX_free(crypto->mask);
	EVP_CIPHER_CTX_free(crypto->inverse);
	OPENSSL_free(crypto);
}

uint8_t *sl_quic_crypto_scratch(struct sl_quic_crypto *crypto)
{
	return crypto->scratch;
}

/* ---- keys ---- */

/* The index of a version in facts, or VERSIONS. */
static size_t version_index(uint32_t version)
{
	size_t i = 0;

	while (i < VERSIONS && facts[i].version != version)
		i++;
	return i;
}

bool sl_quic_crypto_knows(uint32_t version)
{
	return version_index(version) < VERSIONS;
}

/* `side` is the label of the client's or of the server's secret. */
static bool derive_keys(struct sl_quic_crypto *crypto, uint32_t version, const uint8_t *cid,
                        size_t cid_len, const uint8_t side[BLOCK_BYTES], struct sl_quic_keys *keys)
{
	size_t index = version_index(version);
	const struct version_state *v;
	uint8_t block[BLOCK_BYTES], digest[DIGEST_BYTES];
	struct hmac_key secret;

	if (index == VERSIONS || cid_len > SL_QUIC_CID_MAX)
		return false;
	v = &crypto->versions[index];
	message_block(block, cid, cid_len);
	hmac(&v->salt, block, digest); /* initial_secret = HKDF-Extract(salt, cid) */
	hmac_set_key(&secret, digest, sizeof(digest));
	hmac(&secret, side, digest); /* client_initial_secret, or server_initial_secret */
	hmac_set_key(&secret, digest, sizeof(digest));
	hmac(&secret, v->key_block, digest);
	memcpy(keys->key, digest, sizeof(keys->key));
	hmac(&secret, v->iv_block, digest);
	memcpy(keys->iv, digest, sizeof(keys->iv));
	hmac(&secret, v->hp_block, digest);
	memcpy(keys->hp, digest, sizeof(keys->hp));
	return true;
}

bool sl_quic_crypto_client_keys(struct sl_quic_crypto *crypto, uint32_t version, const uint8_t *cid,
                                size_t cid_len, struct sl_quic_keys *keys)
{
	return derive_keys(crypto, version, cid, cid_len, crypto->client_block, keys);
}

bool sl_quic_crypto_server_keys(struct sl_quic_crypto *crypto, uint32_t version, const uint8_t *cid,
                                size_t cid_len, struct sl_quic_keys *keys)
{
	return derive_keys(crypto, version, cid, cid_len, crypto->server_block, keys);
}

/* ---- digests ---- */

void sl_quic_crypto_digest(const uint8_t *bytes, size_t len, uint8_t digest[SL_QUIC_DIGEST_BYTES])
{
	uint8_t whole[DIGEST_BYTES];
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, bytes, len);
	SHA256_Final(whole, &ctx);
	memcpy(digest, whole, SL_QUIC_DIGEST_BYTES);
}

/* ---- opening ---- */

/* One block of AES, in the direction of the context. */
static bool aes_block(EVP_CIPHER_CTX *ctx, const uint8_t key[16], const uint8_t in[16],
                      uint8_t out[16])
{
	int len = 0;

	return EVP_CipherInit_ex2(ctx, NULL, key, NULL, -1, NULL) == 1 &&
	       EVP_CipherUpdate(ctx, out, &len, in, 16) == 1 && len == 16;
}

bool sl_quic_crypto_mask(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                         const uint8_t sample[SL_QUIC_SAMPLE_BYTES],
                         uint8_t mask[SL_QUIC_MASK_BYTES])
{
	uint8_t block[16];

	if (!aes_block(crypto->mask, keys->hp, sample, block))
		return false;
	memcpy(mask, block, SL_QUIC_MASK_BYTES);
	return true;
}

static bool aead_open(struct sl_quic_crypto *crypto, const uint8_t *key, const uint8_t *nonce,
                      const uint8_t *aad, size_t aad_len, const uint8_t *sealed, size_t sealed_len,
                      uint8_t *out)
{
	size_t len = sealed_len - SL_QUIC_TAG_BYTES;
	/* libcrypto takes the tag through a pointer to non-const and only reads it. */
	uint8_t tag[SL_QUIC_TAG_BYTES], rest[16];
	OSSL_PARAM params[] = {
	        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, sizeof(tag)),
	        OSSL_PARAM_END,
	};
	int done = 0;

	memcpy(tag, sealed + len, sizeof(tag));
	if (EVP_DecryptInit_ex2(crypto->aead, NULL, key, nonce, params) != 1 ||
	    EVP_DecryptUpdate(crypto->aead, NULL, &done, aad, (int)aad_len) != 1)
		return false;
	if (len > 0 && (EVP_DecryptUpdate(crypto->aead, out, &done, sealed, (int)len) != 1 ||
	                (size_t)done != len))
		return false;
	return EVP_DecryptFinal_ex(crypto->aead, rest, &done) == 1;
}

bool sl_quic_crypto_open(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                         uint64_t packet_number, const uint8_t *header, size_t header_len,
                         const uint8_t *sealed, size_t sealed_len, uint8_t *out)
{
	uint8_t nonce[NONCE_BYTES];

	if (sealed_len < SL_QUIC_TAG_BYTES || sealed_len > SL_QUIC_DGRAM_MAX)
		return false;
	memcpy(nonce, keys->iv, sizeof(nonce));
	for (size_t i = 0; i < 8; i++)
		nonce[NONCE_BYTES - 1 - i] ^= (uint8_t)(packet_number >> (8 * i));
	return aead_open(crypto, keys->key, nonce, header, header_len, sealed, sealed_len, out);
}

/*
 * GHASH of the header and the sealed bytes: the tag that they have under any nonce, without that
 * nonce's pad. libcrypto only returns tags, so this decrypts with a nonce of zeros without checking
 * the tag, and encrypts the result again.
 */
static bool ghash(struct sl_quic_crypto *crypto, const uint8_t *key, const uint8_t *aad,
                  size_t aad_len, const uint8_t *sealed, size_t len, uint8_t *out, uint8_t sum[16])
{
	static const uint8_t zeros[NONCE_BYTES], counter[16] = {[15] = 1};
	uint8_t tag[SL_QUIC_TAG_BYTES], pad[16], rest[16];
	OSSL_PARAM params[] = {
	        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, sizeof(tag)),
	        OSSL_PARAM_END,
	};
	int done = 0;

	if (EVP_DecryptInit_ex2(crypto->aead, NULL, key, zeros, NULL) != 1 ||
	    (len > 0 && EVP_DecryptUpdate(crypto->aead, out, &done, sealed, (int)len) != 1) ||
	    EVP_EncryptInit_ex2(crypto->seal, NULL, key, zeros, NULL) != 1 ||
	    EVP_EncryptUpdate(crypto->seal, NULL, &done, aad, (int)aad_len) != 1 ||
	    (len > 0 && EVP_EncryptUpdate(crypto->seal, out, &done, out, (int)len) != 1) ||
	    EVP_EncryptFinal_ex(crypto->seal, rest, &done) != 1 ||
	    EVP_CIPHER_CTX_get_params(crypto->seal, params) != 1 ||
	    !aes_block(crypto->mask, key, counter, pad))
		return false;
	for (size_t i = 0; i < sizeof(tag); i++)
		sum[i] = tag[i] ^ pad[i];
	return true;
}

bool sl_quic_crypto_number(struct sl_quic_crypto *crypto, const struct sl_quic_keys *keys,
                           const uint8_t *header, size_t header_len, const uint8_t *sealed,
                           size_t sealed_len, uint8_t *scratch, uint64_t *number)
{
	static const uint8_t first_counter[4] = {0, 0, 0, 1};
	uint8_t sum[16], block[16];
	size_t len;

	*number = 0;
	if (sealed_len < SL_QUIC_TAG_BYTES || sealed_len > SL_QUIC_DGRAM_MAX)
		return false;
	len = sealed_len - SL_QUIC_TAG_BYTES;
	if (!ghash(crypto, keys->key, header, header_len, sealed, len, scratch, sum))
		return false;
	for (size_t i = 0; i < sizeof(sum); i++)
		sum[i] ^= sealed[len + i];
	/* The rest is the pad: AES of nonce and counter, which can be decrypted. */
	if (!aes_block(crypto->inverse, keys->key, sum, block) ||
	    memcmp(block + NONCE_BYTES, first_counter, sizeof(first_counter)) != 0 ||
	    memcmp(block, keys->iv, NONCE_BYTES - 8) != 0)
		return false;
	for (size_t i = NONCE_BYTES - 8; i < NONCE_BYTES; i++)
		*number = *number << 8 | (block[i] ^ keys->iv[i]);
	return true;
}

bool sl_quic_crypto_retry_is_genuine(struct sl_quic_crypto *crypto, uint32_t version,
                                     const uint8_t *cid, size_t cid_len, const uint8_t *packet,
                                     size_t len)
{
	size_t index = version_index(version), aad_len;
	uint8_t *aad = crypto->scratch, nothing[1];

	if (index == VERSIONS || cid_len > SL_QUIC_CID_MAX || len < SL_QUIC_TAG_BYTES ||
	    len > SL_QUIC_DGRAM_MAX)
		return false;
	/* The Retry Pseudo-Packet: ODCID Length (1), Original DCID, the packet without its tag. */
	aad[0] = (uint8_t)cid_len;
	memcpy(aad + 1, cid, cid_len);
	memcpy(aad + 1 + cid_len, packet, len - SL_QUIC_TAG_BYTES);
	aad_len = 1 + cid_len + len - SL_QUIC_TAG_BYTES;
	return aead_open(crypto, facts[index].retry.key, facts[index].retry.iv, aad, aad_len,
	                 packet + len - SL_QUIC_TAG_BYTES, SL_QUIC_TAG_BYTES, nothing);
}
