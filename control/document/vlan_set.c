/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vlan_set.c: reads sets of VLANs.
 */
#include "vlan_set.h"

#include <string.h>

#include "policy.h"

/* A number from 1 to 4094 without sign and leading zeros; 0: there is none. */
static unsigned read_vlan(const char **at)
{
	unsigned vlan = 0;

	if (**at == '0')
		return 0;
	while (**at >= '0' && **at <= '9' && vlan <= SL_POLICY_VLAN_MAX)
		vlan = vlan * 10 + (unsigned)(*(*at)++ - '0');
	return vlan <= SL_POLICY_VLAN_MAX ? vlan : 0;
}

static bool read_range(const char **at, struct sl_vlan_set *out)
{
	unsigned first = read_vlan(at), last = first;

	if (**at == '-') {
		(*at)++;
		last = read_vlan(at);
	}
	for (unsigned vlan = first; first > 0 && vlan <= last; vlan++)
		out->bits[vlan / 64] |= 1ull << vlan % 64;
	return first > 0 && first <= last;
}

bool sl_vlan_set_read(const char *text, struct sl_vlan_set *out)
{
	memset(out, 0, sizeof(*out));
	for (;;) {
		text += strspn(text, " ");
		if (!read_range(&text, out))
			return false;
		text += strspn(text, " ");
		if (*text == '\0')
			return true;
		if (*text++ != ',')
			return false;
	}
}

bool sl_vlan_set_has(const struct sl_vlan_set *set, uint16_t vlan)
{
	return vlan < 4096 && (set->bits[vlan / 64] >> vlan % 64 & 1) != 0;
}
