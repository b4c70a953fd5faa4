/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h: which sandbox a packet belongs to, and neighbour discovery. */
#ifndef DATAPLANE_SANDBOX_SANDBOX_H
#define DATAPLANE_SANDBOX_SANDBOX_H

#include "core/state.h"

/*
 * sandbox.c: which sandbox each packet belongs to. Hands frames of other workers' sandboxes over.
 */
void sl_sandbox(struct sl_worker *worker);

/* True if the sandbox may send from this address. */
bool sl_sandbox_owns(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const struct sl_addr *addr);

/* neighbour.c: settles ARP and NDP. True if the packet was one of these. */
bool sl_neighbour(struct sl_worker *worker, struct sl_pkt *pkt);

#endif
