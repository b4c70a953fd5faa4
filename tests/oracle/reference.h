/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reference.h: the reference model of the gateway's policy. It reads a question against the
 * document itself, rule by rule as the specification's sections 1 and 4 have them, with nothing
 * compiled. Where it and the fast path differ, the fast path is wrong.
 *
 * It has no flows or holds, and only the pins of the question: its answer is the verdict that the
 * first packet of a connection that then proves `name` must get.
 */
#ifndef TESTS_REFERENCE_H
#define TESTS_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "document/config.h"
#include "document/policy.h"
#include "sluice/addr.h"
#include "sluice/reason.h"

/* A live pin of the question's sandbox. */
struct reference_pin {
	const char *name;
	struct sl_addr addr;
};

struct reference_question {
	uint16_t vlan;
	struct sl_addr source; /* family NONE: not asked */
	struct sl_addr remote;
	int proto;        /* IP protocol */
	uint16_t port;    /* the remote one, host order */
	const char *name; /* canonical: of the hello or request, or asked for by DNS; NULL: none */
	const struct reference_pin *pins;
	size_t n_pins;
};

/* config NULL: no internal or protected ranges, any resolver, no source rule. */
enum sl_reason reference_judge(const struct sl_policy_doc *doc, const struct sl_config *config,
                               const struct reference_question *question);

/* The parts, for comparing with the parts of the fast path. */
bool reference_in_list(const struct sl_prefix *list, size_t n, const struct sl_addr *addr);
bool reference_name_matches(const struct sl_policy *policy, const char *name);

/* Does an entry of by-address for this port (0: any) and protocol match the name (NULL: any)? */
bool reference_entry_matches(const struct sl_policy *policy, int proto, uint16_t port,
                             const char *name);

#endif
