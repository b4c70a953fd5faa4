/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_build.h: builds QUIC packets, valid and invalid, for tests: sealed client Initials, other
 * long header packets with opaque payloads, Retry packets.
 *
 * It takes libcrypto's HMAC and AES-GCM the plain way and shares no code with what it tests.
 */
#ifndef SLUICE_TESTS_QUIC_BUILD_H
#define SLUICE_TESTS_QUIC_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUIC_V1        0x00000001u
#define QUIC_V2        0x6b3343cfu
#define QUIC_DGRAM_MAX 65535

enum quic_type {
	QUIC_INITIAL = 0,
	QUIC_ZERO_RTT,
	QUIC_HANDSHAKE,
	QUIC_RETRY,
};

struct quic_keys {
	uint8_t key[16];
	uint8_t iv[12];
	uint8_t hp[16];
};

/* How to write an Initial. The zero value with a DCID is a valid version 1 one. */
struct quic_options {
	uint32_t version; /* 0: version 1 */
	const uint8_t *dcid;
	size_t dcid_len;
	const uint8_t *scid;
	size_t scid_len;
	const uint8_t *token;
	size_t token_len;
	uint64_t number;         /* packet number */
	size_t number_len;       /* 1..4; 0: 1 */
	const uint8_t *keys_cid; /* the ID that keys are derived from, if not dcid */
	size_t keys_cid_len;
	uint32_t keys_version; /* 0: as version */
	bool server;           /* seal it as the server */
	size_t payload_min;    /* pad the payload with zeros to this many bytes */
	size_t dgram_len;      /* pad the payload so that the packet has this many bytes */
	unsigned reserved;     /* the two reserved bits */
	bool fixed_bit_clear;
	int length_lie; /* added to the Length field (which has two bytes) */
	bool tag_broken;
};

/* Derives Initial keys (RFC 9001 5.2). */
void quic_keys(uint32_t version, const uint8_t *cid, size_t cid_len, bool server,
               struct quic_keys *keys);

/* Seals frames into one Initial packet at out. Returns its length. Aborts if libcrypto fails. */
size_t quic_initial(const struct quic_options *options, const uint8_t *frames, size_t frames_len,
                    uint8_t *out);

/* A long header packet of another type whose payload is payload_len bytes of no meaning. */
size_t quic_long(enum quic_type type, const struct quic_options *options, size_t payload_len,
                 uint8_t *out);

/* A server's Retry with its integrity tag, in answer to an Initial to odcid. */
size_t quic_retry(const struct quic_options *options, const uint8_t *odcid, size_t odcid_len,
                  uint8_t *out);

/* Frames: each is appended at out, its length is returned. */
size_t quic_varint(uint64_t value, uint8_t *out);
size_t quic_crypto_frame(uint64_t offset, const uint8_t *data, size_t len, uint8_t *out);
size_t quic_ack_frame(uint64_t largest, uint64_t first_range, uint8_t *out);
size_t quic_close_frame(const uint8_t *reason, size_t reason_len, uint8_t *out);

/*
 * One datagram (of options->dgram_len bytes, or 1200) with one CRYPTO frame: bytes offset to offset
 * + len of hello. Returns its length.
 */
size_t quic_hello_dgram(const struct quic_options *options, const uint8_t *hello, size_t offset,
                        size_t len, uint8_t *out);

#endif
