/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet.h: a fleet's policies at a scale, made in memory: named policies with prefixes and patterns
 * of their own, which sandboxes share, and changes of single sandboxes.
 */
#ifndef BENCH_FLEET_H
#define BENCH_FLEET_H

#include <stdint.h>
#include <stdio.h>

#include "document/policy.h"

struct fleet_spec {
	unsigned sandboxes; /* VLANs 1 .. sandboxes */
	unsigned prefixes;  /* distinct ones, half of them IPv6 */
	unsigned policies;  /* distinct ones, each with 10 patterns or more */
	unsigned patterns;  /* in all policies */
	uint64_t seed;
};

struct fleet {
	struct fleet_spec spec;
	struct sl_policy_doc doc;        /* what is to be pushed */
	struct sl_policy_entry *entries; /* the doc's, by VLAN - 1 */
	struct sl_policy *named;
	struct sl_policy *own; /* by VLAN - 1: of those that fleet_change() has dealt with */
	unsigned nested;       /* prefixes that lie within another */
	unsigned depth;        /* of the deepest nest */
	uint64_t random;
	unsigned serial; /* of the next pattern, so that all are different */
};

/* Ends the program if memory is short. The same spec makes the same fleet. */
void fleet_make(struct fleet *fleet, const struct fleet_spec *spec);

/*
 * Gives sandbox number i a policy of its own, with patterns and prefixes that no other sandbox has
 * (and the range that frames.h sends to). What fleet_change() gave it before is freed.
 */
void fleet_change(struct fleet *fleet, unsigned i, unsigned patterns, unsigned prefixes);

/* Sandbox number i shares its named policy again. */
void fleet_restore(struct fleet *fleet, unsigned i);

unsigned fleet_below(struct fleet *fleet, unsigned n);

/* Writes the document as a policy file. */
void fleet_write_policy(const struct fleet *fleet, FILE *file);

/*
 * Writes the rules that other forwarders can express, one a line: "policy NUMBER PREFIX...",
 * "sandbox VLAN NUMBER"; then changes, "KIND VLAN PREFIX...", of the kinds 10, 1000 and document
 * (one sandbox in a hundred, n times in turn).
 */
void fleet_write_rules(struct fleet *fleet, unsigned n, FILE *file);

#endif
