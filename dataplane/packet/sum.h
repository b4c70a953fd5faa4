/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum.h: the Internet checksum's sum (RFC 1071), by words of the machine: its order of bytes does
 * not matter to the sum.
 */
#ifndef DATAPLANE_SUM_H
#define DATAPLANE_SUM_H

#include <rte_byteorder.h>
#include <stdint.h>
#include <string.h>

/* Adds len bytes, of which an odd last one is followed by a zero; for up to 2^32 bytes in all. */
static inline uint64_t sl_sum_add(uint64_t sum, const uint8_t *bytes, uint32_t len)
{
	uint64_t word;
	uint32_t half;
	uint16_t quarter;

	for (; len >= sizeof(word); len -= sizeof(word), bytes += sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		sum += (word & UINT32_MAX) + (word >> 32);
	}
	/* No loop for the rest: a load of bytes that were just stored one by one would stall. */
	if (len & 4) {
		memcpy(&half, bytes, sizeof(half));
		bytes += sizeof(half);
		sum += half;
	}
	if (len & 2) {
		memcpy(&quarter, bytes, sizeof(quarter));
		bytes += sizeof(quarter);
		sum += quarter;
	}
	return len & 1 ? sum + rte_cpu_to_le_16(*bytes) : sum;
}

/* The 16-bit sum, not complemented. */
static inline uint16_t sl_sum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

#endif
