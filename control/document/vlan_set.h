/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vlan_set.h: a set of VLANs, written as "101-200, 300".
 */
#ifndef SLUICE_CONTROL_VLAN_SET_H
#define SLUICE_CONTROL_VLAN_SET_H

#include <stdbool.h>
#include <stdint.h>

struct sl_vlan_set {
	uint64_t bits[4096 / 64];
};

/* Reads numbers and ranges from 1 to 4094, parted by commas. False: the text is none; *out is void.
 */
bool sl_vlan_set_read(const char *text, struct sl_vlan_set *out);

bool sl_vlan_set_has(const struct sl_vlan_set *set, uint16_t vlan);

#endif
