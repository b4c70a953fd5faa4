/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_two_keys.c: see quic_two_keys.h.
 */
#include "quic_two_keys.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "quic_build.h"

#define DGRAM_LEN  1200
#define FREE_BLOCK 4 /* index of the block of ciphertext that is solved for */

struct block {
	uint8_t b[16];
};

static void aes(const uint8_t key[16], const uint8_t in[16], uint8_t out[16])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len;

	if (ctx == NULL || EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, key, NULL) != 1 ||
	    EVP_EncryptUpdate(ctx, out, &len, in, 16) != 1)
		abort();
	EVP_CIPHER_CTX_free(ctx);
}

static struct block xor
        (struct block a, struct block b) {
	        for (int i = 0; i < 16; i++)
		        a.b[i] ^= b.b[i];
	        return a;
        }

        /* Multiplication in GF(2^128), NIST SP 800-38D 6.3. */
        static struct block multiply(struct block x, struct block y)
{
	struct block z = {{0}};

	for (int bit = 0; bit < 128; bit++) {
		bool carry = y.b[15] & 1;

		if (x.b[bit / 8] & (0x80 >> (bit % 8)))
			z = xor(z, y);
		for (int i = 15; i > 0; i--)
			y.b[i] = (uint8_t)(y.b[i] >> 1 | y.b[i - 1] << 7);
		y.b[0] >>= 1;
		if (carry)
			y.b[0] ^= 0xe1;
	}
	return z;
}

/* x to the power of 2^128 - 2 is its inverse. */
static struct block invert(struct block x)
{
	struct block result = {{0x80}};

	for (int i = 1; i < 128; i++) {
		x = multiply(x, x);
		result = multiply(result, x);
	}
	return result;
}

static struct block ghash_update(struct block sum, struct block h, const uint8_t *bytes, size_t len)
{
	for (size_t at = 0; at < len; at += 16) {
		struct block piece = {{0}};

		memcpy(piece.b, bytes + at, len - at < 16 ? len - at : 16);
		sum = multiply(xor(sum, piece), h);
	}
	return sum;
}

/* One of the two readings of the packet. */
struct reading {
	struct quic_keys keys;
	struct block h;
	uint8_t counter[16]; /* J0 */
	uint8_t header[64];
};

static void start(struct reading *r, const uint8_t *wire, size_t number_at, const uint8_t mask[16])
{
	static const uint8_t zeros[16];

	aes(r->keys.key, zeros, r->h.b);
	memcpy(r->header, wire, number_at + 1);
	r->header[0] ^= mask[0] & 0x0f;
	r->header[number_at] ^= mask[1];
	memcpy(r->counter, r->keys.iv, 12);
	memset(r->counter + 12, 0, 4);
	r->counter[11] ^= r->header[number_at];
	r->counter[15] = 1;
}

static struct block tag_of(const struct reading *r, size_t header_len, const uint8_t *sealed,
                           size_t len)
{
	struct block sum = {{0}}, lengths = {{0}}, pad;

	sum = ghash_update(sum, r->h, r->header, header_len);
	sum = ghash_update(sum, r->h, sealed, len);
	lengths.b[6] = (uint8_t)(header_len * 8 >> 8);
	lengths.b[7] = (uint8_t)(header_len * 8);
	lengths.b[14] = (uint8_t)(len * 8 >> 8);
	lengths.b[15] = (uint8_t)(len * 8);
	sum = ghash_update(sum, r->h, lengths.b, 16);
	aes(r->keys.key, r->counter, pad.b);
	return xor(sum, pad);
}

/* The factor by which the free block enters the tag. */
static struct block weight_of(const struct reading *r, size_t len)
{
	size_t blocks_behind = (len + 15) / 16 - FREE_BLOCK - 1 + 1; /* and the lengths */
	struct block weight = r->h;

	while (blocks_behind-- > 0)
		weight = multiply(weight, r->h);
	return weight;
}

struct ids {
	const uint8_t *dcid, *keys, *other;
	size_t dcid_len, keys_len, other_len;
	uint8_t number, other_number_high;
};

static size_t two_keys(const struct ids *ids, uint8_t *out)
{
	const uint8_t *dcid = ids->dcid;
	size_t dcid_len = ids->dcid_len;
	size_t number_at = 6 + dcid_len + 1 + 1 + 2, sealed_at = number_at + 1;
	size_t len = DGRAM_LEN - 16 - sealed_at;
	uint8_t *sealed = out + sealed_at, first[16], mask[16], other_mask[16];
	/* CONNECTION_CLOSE, error 0, frame 0, a reason phrase of all the rest. */
	uint8_t frames[5] = {0x1c, 0, 0, (uint8_t)(0x40 | (len - 5) >> 8), (uint8_t)(len - 5)};
	struct reading one, two;
	struct block solved, tag;

	quic_keys(QUIC_V1, ids->keys, ids->keys_len, false, &one.keys);
	quic_keys(QUIC_V1, ids->other, ids->other_len, false, &two.keys);
	memset(out, 0, DGRAM_LEN);
	memcpy(out, "\xc0\0\0\0\1", 5);
	out[5] = (uint8_t)dcid_len;
	memcpy(out + 6, dcid, dcid_len);
	out[number_at - 2] = (uint8_t)(0x40 | (1 + len + 16) >> 8);
	out[number_at - 1] = (uint8_t)(1 + len + 16);

	/* The frames' bytes under the first keys and packet number: counter 2 of its key stream. */
	memcpy(first, one.keys.iv, 12);
	first[11] ^= ids->number;
	memcpy(first + 12, "\0\0\0\2", 4);
	aes(one.keys.key, first, first);
	for (size_t i = 0; i < sizeof(frames); i++)
		sealed[i] = frames[i] ^ first[i];
	/* Both must see a one-byte packet number and no reserved bits: one try in 16. */
	do {
		sealed[5]++;
		sealed[6] = (uint8_t)(sealed[6] + (sealed[5] == 0));
		aes(one.keys.hp, out + number_at + 4, mask);
		aes(two.keys.hp, out + number_at + 4, other_mask);
	} while ((mask[0] ^ other_mask[0]) & 0x0f);
	out[0] ^= mask[0] & 0x0f;
	out[number_at] = ids->number ^ mask[1];

	start(&one, out, number_at, mask);
	start(&two, out, number_at, other_mask);
	two.counter[10] ^= ids->other_number_high;
	solved = multiply(
	        xor(tag_of(&one, sealed_at, sealed, len), tag_of(&two, sealed_at, sealed, len)),
	        invert(xor(weight_of(&one, len), weight_of(&two, len))));
	memcpy(sealed + 16 * FREE_BLOCK, solved.b, 16);
	tag = tag_of(&one, sealed_at, sealed, len);
	memcpy(sealed + len, tag.b, 16);
	return DGRAM_LEN;
}

size_t quic_two_keys(const uint8_t *dcid, size_t dcid_len, const uint8_t *keys_cid,
                     size_t keys_cid_len, uint8_t *out)
{
	return two_keys(&(struct ids){.dcid = dcid,
	                              .dcid_len = dcid_len,
	                              .keys = keys_cid,
	                              .keys_len = keys_cid_len,
	                              .other = dcid,
	                              .other_len = dcid_len},
	                out);
}

size_t quic_two_keys_of(const uint8_t dcid[8], const uint8_t keys_cid[8], uint8_t number,
                        const uint8_t other_cid[8], uint8_t other_number_high, uint8_t *out)
{
	return two_keys(
	        &(struct ids){dcid, keys_cid, other_cid, 8, 8, 8, number, other_number_high}, out);
}
