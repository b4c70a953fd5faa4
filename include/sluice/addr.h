/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * addr.h: addresses and prefixes as both halls know them. Bytes are in network order.
 */
#ifndef SLUICE_ADDR_H
#define SLUICE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SL_VLAN_MAX   4094 /* the largest VLAN ID that a sandbox can have */
#define SL_VLAN_COUNT 4096

enum sl_family {
	SL_FAMILY_NONE = 0,
	SL_FAMILY_4 = 4,
	SL_FAMILY_6 = 6,
};

/**
 * An IPv4 address is in bytes[0..3]; the other bytes are zero, so that memcmp of the struct works.
 */
struct sl_addr {
	uint8_t family; /* enum sl_family */
	uint8_t bytes[16];
};

struct sl_net {
	uint8_t family;    /* enum sl_family */
	uint8_t len;       /* prefix length in bits */
	uint8_t bytes[16]; /* host bits are zero */
};

static inline bool sl_addr_equal(const struct sl_addr *a, const struct sl_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/** True if addr lies in net; false for the other family. */
static inline bool sl_net_contains(const struct sl_net *net, const struct sl_addr *addr)
{
	unsigned whole = net->len / 8, rest = net->len % 8;

	if (net->family != addr->family || memcmp(net->bytes, addr->bytes, whole) != 0)
		return false;
	return rest == 0 ||
	       ((net->bytes[whole] ^ addr->bytes[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

#endif
