/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet.h: random fleets of sandboxes for the oracle tests and for the reload bench: documents made
 * directly in memory, changes to them, and questions close to where answers differ.
 *
 * Policies draw from one pool of prefixes and one of patterns, so that they share, nest and
 * collide. Everything follows from the seed.
 */
#ifndef TESTS_FLEET_H
#define TESTS_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "document/config.h"
#include "document/policy.h"
#include "sluice/addr.h"

struct fleet;

struct fleet_options {
	uint64_t seed;
	unsigned prefixes;     /* in the pool */
	unsigned patterns;     /* in the pool */
	unsigned subnets_max;  /* in a policy: allow and deny each */
	unsigned patterns_max; /* in a policy; of by-address as many again */
	unsigned named;        /* policies that sandboxes share */
	unsigned vlans;        /* sandboxes have VLANs 1 .. vlans */
	bool wide;             /* pool with /0 and other prefixes that hold half the space */
};

struct fleet *fleet_create(const struct fleet_options *options);
void fleet_free(struct fleet *fleet);

/* Gives the VLAN a new random sandbox, whatever it had. */
void fleet_renew(struct fleet *fleet, uint16_t vlan);

/*
 * One random change: a sandbox comes, goes, gets another policy, source or name, gives its VLAN to
 * another; or a shared policy changes; or nothing but order and names of policies does.
 */
void fleet_change(struct fleet *fleet);

/* The present document. Valid until the next change. */
const struct sl_policy_doc *fleet_doc(struct fleet *fleet);

/* A random address near a border of a pool's prefix, of config's ranges (or NULL), or anywhere. */
struct sl_addr fleet_address(struct fleet *fleet, const struct sl_config *config);

/* A random canonical name near a pattern of the pool. */
const char *fleet_name(struct fleet *fleet, char out[SL_NAME_MAX + 1]);

/* A random port and protocol, of those that entries of by-address have or next to them. */
struct fleet_port {
	uint16_t port;
	uint8_t proto;
};
struct fleet_port fleet_port(struct fleet *fleet);

/* A random VLAN, sometimes one without a sandbox. */
uint16_t fleet_vlan(struct fleet *fleet);

uint64_t fleet_random(struct fleet *fleet);

/* From the environment (SLUICE_SEED), else from the clock; prints it. */
uint64_t fleet_seed(void);

#endif
