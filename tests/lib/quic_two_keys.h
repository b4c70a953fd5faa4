/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_two_keys.h: an Initial that opens under two keys at once. AES-GCM's tag is linear in each
 * block of the ciphertext, so that one free block makes two keys' tags equal. An attacker can do
 * that as well as a test.
 */
#ifndef SLUICE_TESTS_QUIC_TWO_KEYS_H
#define SLUICE_TESTS_QUIC_TWO_KEYS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes a version 1 Initial of 1,200 bytes with this DCID. Under the keys that keys_cid gives it
 * holds one CONNECTION_CLOSE with a long reason phrase; under those that its own DCID gives it
 * opens as well, to meaningless bytes. Returns its length.
 */
size_t quic_two_keys(const uint8_t *dcid, size_t dcid_len, const uint8_t *keys_cid,
                     size_t keys_cid_len, uint8_t *out);

/*
 * The same for IDs of 8 bytes, with a packet number, a second key that may come from any other ID,
 * and a second packet number of which the packet leaves out the byte above its lowest.
 */
size_t quic_two_keys_of(const uint8_t dcid[8], const uint8_t keys_cid[8], uint8_t number,
                        const uint8_t other_cid[8], uint8_t other_number_high, uint8_t *out);

#endif
