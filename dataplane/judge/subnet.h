/* SPDX-License-Identifier: Apache-2.0 */
/* subnet.h: judges addresses by a policy (rules 1, 2 and 4). */
#ifndef DATAPLANE_JUDGE_SUBNET_H
#define DATAPLANE_JUDGE_SUBNET_H

#include "core/state.h"

struct sl_address {
	enum sl_subnet own; /* the result of the policy's subnets */
	enum sl_space space;
};

/*
 * Looks up the classes of the remote addresses of all unsettled packets from sandboxes that have
 * no flow.
 */
void sl_subnet_classify(struct sl_worker *worker);

/* Looks up a packet's remote address in the sandbox's policy. */
void sl_subnet_look_pkt(const struct sl_worker *worker, struct sl_pkt *pkt, struct sl_addr *remote,
                        struct sl_address *out);

/* The class of one address. */
uint32_t sl_subnet_class(const struct sl_worker *worker, const struct sl_addr *addr);

void sl_subnet_look(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                    const struct sl_addr *addr, uint32_t class, struct sl_address *out);

/*
 * Judges an address by rules 1, 2 and 4 of the policy: true, and *reason, an allow or a deny
 * reason. False: rules 3a and 3, a pin or the connection must prove an allowed name.
 */
bool sl_subnet_settles(const struct sl_sandbox *sandbox, const struct sl_address *address,
                       enum sl_reason *reason);

#endif
