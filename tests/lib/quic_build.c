/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_build.c: see quic_build.h.
 */
#include "quic_build.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                        uint8_t out[32])
{
	unsigned out_len = 32;

	must(HMAC(EVP_sha256(), key, (int)key_len, data, len, out, &out_len) != NULL);
}

static void expand_label(const uint8_t secret[32], const char *label, uint8_t *out, size_t out_len)
{
	uint8_t info[64] = {0}, digest[32];
	size_t at = 0;

	info[at++] = 0;
	info[at++] = (uint8_t)out_len;
	info[at++] = (uint8_t)(6 + strlen(label));
	memcpy(info + at, "tls13 ", 6);
	memcpy(info + at + 6, label, strlen(label));
	at += 6 + strlen(label);
	info[at++] = 0;
	info[at++] = 1;
	hmac_sha256(secret, 32, info, at, digest);
	memcpy(out, digest, out_len);
}

void quic_keys(uint32_t version, const uint8_t *cid, size_t cid_len, bool server,
               struct quic_keys *keys)
{
	static const uint8_t salt_v1[20] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34,
	                                    0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8,
	                                    0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
	static const uint8_t salt_v2[20] = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6,
	                                    0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26,
	                                    0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};
	bool v2 = version == QUIC_V2;
	uint8_t initial[32], secret[32];

	hmac_sha256(v2 ? salt_v2 : salt_v1, 20, cid, cid_len, initial);
	expand_label(initial, server ? "server in" : "client in", secret, 32);
	expand_label(secret, v2 ? "quicv2 key" : "quic key", keys->key, 16);
	expand_label(secret, v2 ? "quicv2 iv" : "quic iv", keys->iv, 12);
	expand_label(secret, v2 ? "quicv2 hp" : "quic hp", keys->hp, 16);
}

static void gcm_seal(const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                     const uint8_t *plain, size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t rest[16];
	int done;

	must(ctx != NULL);
	must(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, nonce) == 1);
	must(EVP_EncryptUpdate(ctx, NULL, &done, aad, (int)aad_len) == 1);
	if (len > 0)
		must(EVP_EncryptUpdate(ctx, out, &done, plain, (int)len) == 1);
	must(EVP_EncryptFinal_ex(ctx, rest, &done) == 1);
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, out + len) == 1);
	EVP_CIPHER_CTX_free(ctx);
}

static void hp_mask(const uint8_t *hp, const uint8_t *sample, uint8_t mask[16])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int done;

	must(ctx != NULL);
	must(EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, hp, NULL) == 1);
	must(EVP_EncryptUpdate(ctx, mask, &done, sample, 16) == 1 && done == 16);
	EVP_CIPHER_CTX_free(ctx);
}

size_t quic_varint(uint64_t value, uint8_t *out)
{
	size_t len = value < 64 ? 1 : value < 16384 ? 2 : value < (1u << 30) ? 4 : 8;
	static const uint8_t prefix[9] = {[1] = 0x00, [2] = 0x40, [4] = 0x80, [8] = 0xc0};

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
	out[0] |= prefix[len];
	return len;
}

static uint32_t version_of(const struct quic_options *o)
{
	return o->version != 0 ? o->version : QUIC_V1;
}

static uint8_t type_bits(uint32_t version, enum quic_type type)
{
	return (uint8_t)((((unsigned)type + (version == QUIC_V2 ? 1 : 0)) & 3) << 4);
}

/* Everything up to the source connection ID. */
static size_t put_header(const struct quic_options *o, enum quic_type type, uint8_t *out)
{
	uint32_t version = version_of(o);
	size_t at = 0;

	out[at++] = (uint8_t)(0x80 | (o->fixed_bit_clear ? 0 : 0x40) | type_bits(version, type));
	for (int shift = 24; shift >= 0; shift -= 8)
		out[at++] = (uint8_t)(version >> shift);
	out[at++] = (uint8_t)o->dcid_len;
	if (o->dcid_len > 0)
		memcpy(out + at, o->dcid, o->dcid_len);
	at += o->dcid_len;
	out[at++] = (uint8_t)o->scid_len;
	if (o->scid_len > 0)
		memcpy(out + at, o->scid, o->scid_len);
	return at + o->scid_len;
}

static size_t put_length(size_t len, int lie, uint8_t *out)
{
	len += (size_t)lie;
	out[0] = (uint8_t)(0x40 | len >> 8);
	out[1] = (uint8_t)len;
	if (len < 16384)
		return 2;
	out[0] = 0x80;
	out[1] = (uint8_t)(len >> 16);
	out[2] = (uint8_t)(len >> 8);
	out[3] = (uint8_t)len;
	return 4;
}

size_t quic_initial(const struct quic_options *o, const uint8_t *frames, size_t frames_len,
                    uint8_t *out)
{
	size_t number_len = o->number_len != 0 ? o->number_len : 1, payload_len = frames_len;
	size_t at = put_header(o, QUIC_INITIAL, out), number_at;
	uint8_t *payload = calloc(1, QUIC_DGRAM_MAX), nonce[12], mask[16];
	struct quic_keys keys;

	must(payload != NULL);
	at += quic_varint(o->token_len, out + at);
	if (o->token_len > 0)
		memcpy(out + at, o->token, o->token_len);
	at += o->token_len;
	if (payload_len < o->payload_min)
		payload_len = o->payload_min;
	if (at + 2 + number_len + payload_len + 16 < o->dgram_len)
		payload_len = o->dgram_len - 16 - number_len - at - (o->dgram_len < 16384 ? 2 : 4);
	must(payload_len < QUIC_DGRAM_MAX - at);
	if (frames_len > 0)
		memcpy(payload, frames, frames_len);
	at += put_length(number_len + payload_len + 16, o->length_lie, out + at);
	number_at = at;
	for (size_t i = 0; i < number_len; i++)
		out[at++] = (uint8_t)(o->number >> (8 * (number_len - 1 - i)));
	out[0] |= (uint8_t)(o->reserved << 2 | (number_len - 1));

	quic_keys(o->keys_version != 0 ? o->keys_version : version_of(o),
	          o->keys_cid != NULL ? o->keys_cid : o->dcid,
	          o->keys_cid != NULL ? o->keys_cid_len : o->dcid_len, o->server, &keys);
	memcpy(nonce, keys.iv, 12);
	for (size_t i = 0; i < 8; i++)
		nonce[11 - i] ^= (uint8_t)(o->number >> (8 * i));
	gcm_seal(keys.key, nonce, out, at, payload, payload_len, out + at);
	at += payload_len + 16;
	if (o->tag_broken)
		out[at - 1] ^= 1;
	/* A packet too short for a sample is protected with the mask of the bytes after it. */
	hp_mask(keys.hp, out + number_at + 4, mask);
	out[0] ^= mask[0] & 0x0f;
	for (size_t i = 0; i < number_len; i++)
		out[number_at + i] ^= mask[1 + i];
	free(payload);
	return at;
}

size_t quic_long(enum quic_type type, const struct quic_options *o, size_t payload_len,
                 uint8_t *out)
{
	size_t at = put_header(o, type, out);

	at += put_length(payload_len, o->length_lie, out + at);
	memset(out + at, 0xa5, payload_len);
	return at + payload_len;
}

size_t quic_retry(const struct quic_options *o, const uint8_t *odcid, size_t odcid_len,
                  uint8_t *out)
{
	static const struct {
		uint8_t key[16];
		uint8_t nonce[12];
	} secret[2] = {
	        {{0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3,
	          0x68, 0xc8, 0x4e},
	         {0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb}},
	        {{0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2, 0x60, 0xfb, 0xcb, 0xce, 0xad,
	          0x7c, 0xcc, 0x92},
	         {0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0, 0x4a}},
	};
	size_t v2 = version_of(o) == QUIC_V2, at = put_header(o, QUIC_RETRY, out);
	uint8_t pseudo[2048];

	if (o->token_len > 0)
		memcpy(out + at, o->token, o->token_len);
	at += o->token_len;
	must(1 + odcid_len + at <= sizeof(pseudo));
	pseudo[0] = (uint8_t)odcid_len;
	memcpy(pseudo + 1, odcid, odcid_len);
	memcpy(pseudo + 1 + odcid_len, out, at);
	gcm_seal(secret[v2].key, secret[v2].nonce, pseudo, 1 + odcid_len + at, NULL, 0, out + at);
	if (o->tag_broken)
		out[at] ^= 1;
	return at + 16;
}

size_t quic_crypto_frame(uint64_t offset, const uint8_t *data, size_t len, uint8_t *out)
{
	size_t at = 0;

	out[at++] = 0x06;
	at += quic_varint(offset, out + at);
	at += quic_varint(len, out + at);
	if (len > 0)
		memcpy(out + at, data, len);
	return at + len;
}

size_t quic_ack_frame(uint64_t largest, uint64_t first_range, uint8_t *out)
{
	size_t at = 0;

	out[at++] = 0x02;
	at += quic_varint(largest, out + at);
	at += quic_varint(0, out + at);
	at += quic_varint(0, out + at);
	return at + quic_varint(first_range, out + at);
}

size_t quic_close_frame(const uint8_t *reason, size_t reason_len, uint8_t *out)
{
	size_t at = 0;

	out[at++] = 0x1c;
	at += quic_varint(0, out + at);
	at += quic_varint(0, out + at);
	at += quic_varint(reason_len, out + at);
	if (reason_len > 0)
		memcpy(out + at, reason, reason_len);
	return at + reason_len;
}

size_t quic_hello_dgram(const struct quic_options *options, const uint8_t *hello, size_t offset,
                        size_t len, uint8_t *out)
{
	struct quic_options o = *options;
	uint8_t frames[QUIC_DGRAM_MAX / 2];

	must(len + 32 < sizeof(frames));
	if (o.dgram_len == 0)
		o.dgram_len = 1200;
	return quic_initial(&o, frames, quic_crypto_frame(offset, hello + offset, len, frames),
	                    out);
}
