/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * ask.h: questions to a worker, which alone reads its tables. A question goes through the worker's
 * ring and is answered at the end of its turns, a bounded number of items each turn, so that no
 * packet waits for it.
 *
 * Threads: any thread asks; the question is the worker's until `done` is set, and must stay where
 * it is until then.
 */
#ifndef SLUICE_ASK_H
#define SLUICE_ASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sluice/addr.h"
#include "sluice/hostname.h"

#define SL_ASK_SLOTS 64 /* questions that can wait for a worker */

enum sl_ask_kind {
	SL_ASK_FLOWS = 0, /* flows that are open */
	SL_ASK_PINS,      /* live pins */
	SL_ASK_CUT,       /* resets and forgets the sandbox's flows, and with `pins` its pins */
};

/** A flow, or a pin, of which only vlan, remote, name, left_s and the last three are set. */
struct sl_ask_item {
	struct sl_addr inside;
	struct sl_addr remote;
	uint16_t vlan;
	uint16_t inside_port;
	uint16_t remote_port;
	uint8_t proto;
	uint8_t reason;   /* enum sl_reason: the verdict */
	bool judged;      /* false: on hold */
	uint32_t age_s;   /* since it was opened */
	uint32_t left_s;  /* until it expires */
	uint8_t name_len; /* 0: none */
	char name[SL_NAME_MAX + 1];
	/* of a pin: */
	uint32_t incarnation; /* of its sandbox (generation.h) */
	uint32_t life_s;      /* from its answer, or from the last flow that it opened */
	uint64_t expires_us;  /* by the workers' clock */
};

struct sl_ask {
	enum sl_ask_kind kind;
	uint16_t vlan; /* 0: all of the worker's (not CUT) */
	bool pins;     /* CUT */

	/* FLOWS and PINS: where to begin, and room for the answer. */
	uint32_t next; /* 0: at the beginning; then where to go on, or 0 at the end */
	uint32_t room;
	uint32_t count;
	struct sl_ask_item *items;

	/* CUT: how many there were. */
	uint32_t flows_cut;
	uint32_t pins_forgotten;

	uint32_t left; /* the worker's own: flows that are still to be cut, plus 1 */
	_Atomic bool done;
};

#endif
