/*
 * pins.h: what the pin table holds. Two tables over one another: an address that DNS gave to a
 * sandbox, and under it the names whose answers did.
 */
#ifndef DATAPLANE_PINS_H
#define DATAPLANE_PINS_H

#include "core/state.h"

struct sl_pin_address {
	uint32_t next; /* of the same bucket; first, as the pool links freed elements here */
	uint32_t hash;
	uint32_t
	        incarnation; /* of the sandbox: another one on the same VLAN has none of its pins */
	uint32_t first;      /* pin; the one that opened the address last */
	/*
	 * The sandbox's epoch in which no live pin of the address had an allowed name, so that an
	 * address with many names is not asked for all of them at every SYN; 0: not known.
	 */
	uint32_t closed_epoch;
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
	uint32_t life_s; /* from its answer, or from the last flow that it opened */
	uint64_t expires_us;
};

#endif
