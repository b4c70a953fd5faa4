/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send.h: packets that leave as their sender made them.
 */
#ifndef DATAPLANE_SEND_H
#define DATAPLANE_SEND_H

#include "core/state.h"

/*
 * Sends the packet to the other port, cut to what its headers cover, and counts it under its
 * reason. Takes the mbuf in any case.
 */
void sl_send_on(struct sl_worker *worker, struct sl_pkt *pkt);

#endif
