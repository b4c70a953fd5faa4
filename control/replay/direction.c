/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direction.c: which side of the gateway a recorded packet came from.
 *
 * Decides who is inside by the first packet between two addresses, or by ranges. ARP and neighbour
 * solicitations count as sent to the address that they ask for, since their destination is a
 * broadcast or multicast address; an ICMP error from a router on the path counts for the pair of
 * the packet that it quotes.
 */
#include "direction.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_IPV4 0x0800
#define TYPE_ARP  0x0806
#define TYPE_IPV6 0x86dd

/* An address of any kind: IPv4, IPv6 or MAC. */
struct party {
	uint8_t kind; /* 4, 6, or 1 for a MAC */
	uint8_t bytes[16];
};

/*
 * Two parties on a VLAN, the smaller one first. All bytes are set, so that pairs can be compared
 * with memcmp.
 */
struct pair {
	uint16_t vlan; /* never 0xffff */
	struct party low, high;
};

struct slot {
	struct pair pair;
	bool used, low_inside;
};

struct sl_direction {
	const struct sl_prefix *inside;
	size_t n_inside;
	struct slot *slots;
	size_t room, used; /* room is a power of two */
};

/* Sender and receiver, and for an ICMP error also those of the packet that it quotes. */
struct speech {
	struct party from, to;
	bool is_error;
	struct party quoted_from, quoted_to;
};

struct sl_direction *sl_direction_create(const struct sl_prefix *inside, size_t n)
{
	struct sl_direction *direction = calloc(1, sizeof(*direction));

	if (direction == NULL)
		return NULL;
	direction->inside = inside;
	direction->n_inside = n;
	direction->room = 256;
	direction->slots = calloc(direction->room, sizeof(*direction->slots));
	if (direction->slots == NULL) {
		free(direction);
		return NULL;
	}
	return direction;
}

void sl_direction_free(struct sl_direction *direction)
{
	if (direction == NULL)
		return;
	free(direction->slots);
	free(direction);
}

/* ---- sender and receiver ---- */

static struct party party_of(uint8_t kind, const uint8_t *bytes)
{
	struct party party = {.kind = kind};

	memcpy(party.bytes, bytes, kind == 4 ? 4 : kind == 6 ? 16 : 6);
	return party;
}

/* An error quotes the beginning of a packet that its receiver sent (RFC 792, RFC 4443 3). */
static void take_quoted(struct speech *speech, uint8_t kind, const uint8_t *quoted, size_t len)
{
	if (len < (kind == 4 ? 20u : 40u) || quoted[0] >> 4 != kind)
		return;
	speech->is_error = true;
	speech->quoted_from = party_of(kind, quoted + (kind == 4 ? 12 : 8));
	speech->quoted_to = party_of(kind, quoted + (kind == 4 ? 16 : 24));
}

static bool take_ipv4(struct speech *speech, const uint8_t *at, size_t len)
{
	size_t header;

	if (len < 20 || at[0] >> 4 != 4)
		return false;
	header = (at[0] & 15) * 4u;
	speech->from = party_of(4, at + 12);
	speech->to = party_of(4, at + 16);
	if (at[9] == 1 && header >= 20 && len >= header + 8) {
		uint8_t type = at[header];

		/* unreachable, redirect, time exceeded, parameter problem */
		if (type == 3 || type == 5 || type == 11 || type == 12)
			take_quoted(speech, 4, at + header + 8, len - header - 8);
	}
	return true;
}

static bool take_ipv6(struct speech *speech, const uint8_t *at, size_t len)
{
	if (len < 40 || at[0] >> 4 != 6)
		return false;
	speech->from = party_of(6, at + 8);
	speech->to = party_of(6, at + 24);
	if (at[6] == 58 && len >= 48) {
		if (at[40] < 128) /* errors have no high bit (RFC 4443 2.1) */
			take_quoted(speech, 6, at + 48, len - 48);
		else if (at[40] == 135 && len >= 64) /* the address that a solicitation asks for */
			speech->to = party_of(6, at + 48);
	}
	return true;
}

/* Ethernet and IPv4 (RFC 826): sender and target protocol address. */
static bool take_arp(struct speech *speech, const uint8_t *at, size_t len)
{
	static const uint8_t head[6] = {0, 1, 8, 0, 6, 4};

	if (len < 28 || memcmp(at, head, sizeof(head)) != 0)
		return false;
	speech->from = party_of(4, at + 14);
	speech->to = party_of(4, at + 24);
	return true;
}

static struct speech listen(const uint8_t *macs, uint16_t type, const uint8_t *payload, size_t len)
{
	static const uint8_t no_mac[6];
	struct speech speech = {0};

	if ((type == TYPE_IPV4 && take_ipv4(&speech, payload, len)) ||
	    (type == TYPE_IPV6 && take_ipv6(&speech, payload, len)) ||
	    (type == TYPE_ARP && take_arp(&speech, payload, len)))
		return speech;
	speech.to = party_of(1, macs ? macs : no_mac);
	speech.from = party_of(1, macs ? macs + 6 : no_mac);
	return speech;
}

/* ---- pairs ---- */

static bool order(uint16_t vlan, const struct party *from, const struct party *to,
                  struct pair *pair)
{
	bool from_is_low = memcmp(from, to, sizeof(*from)) <= 0;

	memset(pair, 0, sizeof(*pair));
	pair->vlan = vlan;
	pair->low = from_is_low ? *from : *to;
	pair->high = from_is_low ? *to : *from;
	return from_is_low;
}

/* FNV-1a. A capture made to cause collisions only slows down its own replay. */
static uint64_t hash(const struct pair *pair)
{
	const uint8_t *at = (const uint8_t *)pair;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < sizeof(*pair); i++)
		h = (h ^ at[i]) * 0x100000001b3;
	return h ^ h >> 32;
}

/* The slot of a pair, or the free one where it belongs. */
static struct slot *find(const struct sl_direction *direction, const struct pair *pair)
{
	for (uint64_t i = hash(pair);; i++) {
		struct slot *slot = &direction->slots[i & (direction->room - 1)];

		if (!slot->used || memcmp(&slot->pair, pair, sizeof(*pair)) == 0)
			return slot;
	}
}

static bool grow(struct sl_direction *direction)
{
	struct sl_direction larger = *direction;

	larger.room *= 2;
	larger.slots = calloc(larger.room, sizeof(*larger.slots));
	if (larger.slots == NULL)
		return false;
	for (size_t i = 0; i < direction->room; i++)
		if (direction->slots[i].used)
			*find(&larger, &direction->slots[i].pair) = direction->slots[i];
	free(direction->slots);
	*direction = larger;
	return true;
}

/* True if the sender is inside. Remembers which of the two sent first. */
static bool speaker_is_inside(struct sl_direction *direction, uint16_t vlan,
                              const struct party *from, const struct party *to)
{
	struct pair pair;
	bool from_is_low = order(vlan, from, to, &pair);
	struct slot *slot = find(direction, &pair);

	if (slot->used)
		return slot->low_inside == from_is_low;
	if (direction->used * 2 >= direction->room && !grow(direction))
		return true;
	slot = find(direction, &pair);
	*slot = (struct slot){.pair = pair, .used = true, .low_inside = from_is_low};
	direction->used++;
	return true;
}

static bool knows(const struct sl_direction *direction, uint16_t vlan, const struct party *a,
                  const struct party *b)
{
	struct pair pair;

	order(vlan, a, b, &pair);
	return find(direction, &pair)->used;
}

static bool is_in_ranges(const struct sl_direction *direction, const struct party *party)
{
	struct sl_prefix own = {.family = party->kind, .len = party->kind == 4 ? 32 : 128};

	memcpy(own.addr, party->bytes, sizeof(own.addr));
	for (size_t i = 0; i < direction->n_inside; i++)
		if (direction->inside[i].family == party->kind &&
		    sl_prefix_covers(&direction->inside[i], &own))
			return true;
	return false;
}

enum sl_port_id sl_direction_of(struct sl_direction *direction, uint16_t vlan, const uint8_t *macs,
                                uint16_t type, const uint8_t *payload, size_t len)
{
	struct speech speech = listen(macs, type, payload, len);
	bool inside;

	if (direction->n_inside > 0)
		inside = is_in_ranges(direction, &speech.from);
	else if (speech.is_error && !knows(direction, vlan, &speech.from, &speech.to) &&
	         knows(direction, vlan, &speech.quoted_from, &speech.quoted_to))
		/* an error goes to the sender of the packet that it quotes */
		inside =
		        !speaker_is_inside(direction, vlan, &speech.quoted_from, &speech.quoted_to);
	else
		inside = speaker_is_inside(direction, vlan, &speech.from, &speech.to);
	return inside ? SL_PORT_SANDBOX : SL_PORT_UPLINK;
}
