/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pins.h: what the pin table holds. Two tables: the addresses that DNS gave to a sandbox, and for
 * each of them the names whose answers did.
 */
#ifndef DATAPLANE_PINS_H
#define DATAPLANE_PINS_H

#include "core/state.h"

struct sl_pin_address {
	uint32_t next; /* of the same bucket; first, as the pool links freed elements here */
	uint32_t hash;
	uint32_t incarnation; /* of the sandbox: a later sandbox on the same VLAN does not have
	                         these pins */
	uint32_t first;       /* pin; first the one that opened the address last */
	/*
	 * The sandbox's epoch in which no live pin of the address had an allowed name, so that an
	 * address with many names is not walked at every SYN; 0: not known.
	 */
	uint32_t closed_epoch;
	uint32_t closed_rules_epoch; /* the same for rules of by-address: the epoch, */
	uint64_t closed_rules;       /* and a bit for each rule that no live pin matched */
	uint16_t vlan;
	struct sl_addr addr;
};

struct sl_pin {
	uint32_t next;    /* of the same bucket; first, as above */
	uint32_t address; /* index of its struct sl_pin_address */
	uint32_t name;    /* in the names table; holds a reference */
	uint32_t hash;
	uint32_t sibling_next; /* pins of the same address */
	uint32_t sibling_prev;
	uint32_t older; /* pins of the same VLAN, by last use */
	uint32_t newer;
	uint32_t epoch; /* of the sandbox, when `allowed` was found; 0: never */
	bool allowed;
	uint32_t rules_epoch; /* of the sandbox, when `rules` was found; 0: never */
	uint64_t rules;       /* a bit for each rule of by-address that the name matches */
	uint32_t life_s;      /* from its answer, or from the last flow that it opened */
	uint64_t expires_us;
};

/* Setup only. */
bool sl_pins_create(struct sl_worker *worker, uint32_t capacity);
void sl_pins_destroy(struct sl_worker *worker);

/* True if pinning is enforced or logged for this sandbox (false for `*`, off, any resolver). */
bool sl_pins_apply(const struct sl_worker *worker, const struct sl_sandbox *sandbox);

/* True if a live pin ties the address to a name that the sandbox's policy allows now. */
bool sl_pins_open(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                  const struct sl_addr *addr);

/*
 * Looks for a live pin that ties the address to a name which this rule of the sandbox's by-address
 * fits (rule 3a). Its name, in the names table, or 0. The pin opens a flow, and lives as long again
 * from now on.
 */
uint32_t sl_pins_open_rule(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                           const struct sl_addr *addr, unsigned rule);

/*
 * True if a live pin ties the address to this name, which a connection has proved. The pin opens a
 * flow, and its lifetime restarts (a program resolves once and connects for hours).
 */
bool sl_pins_tie(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                 const struct sl_addr *addr, const char *name, size_t len);

/* A DNS answer gave this address to this name. ttl in seconds, as the answer says. */
void sl_pins_add(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                 const struct sl_addr *addr, const char *name, size_t len, uint32_t ttl_s);

/*
 * Frees the pins of a VLAN's former sandbox, but not those of its present one. There is no hurry:
 * lookups do not find the former one's pins. Takes one off the budget for each. False: the budget
 * is used up.
 */
bool sl_pins_forget(struct sl_worker *worker, uint16_t vlan, unsigned *budget);

struct sl_ask_item;

/*
 * A pin as it was before the gateway's restart, with what was left of its life. False: there is no
 * room for it. A sandbox's pins are put back in the order of their use, the latest last.
 */
bool sl_pins_restore(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const struct sl_kept_pin *kept);

/*
 * Describes a pin by its index, of this VLAN's sandbox (0: of any). False: it is not a live one.
 */
bool sl_pins_read(const struct sl_worker *worker, uint32_t index, uint16_t vlan,
                  struct sl_ask_item *out);

/* Forgets all pins of a VLAN, as many as the budget allows, and counts them. False: some are left.
 */
bool sl_pins_drop(struct sl_worker *worker, uint16_t vlan, unsigned *budget, uint32_t *count);

/* Frees expired pins, some at a time. */
void sl_pins_sweep(struct sl_worker *worker);

#endif
