/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steer.h: VLANs to the queues of the workers that own them, by rte_flow.
 */
#ifndef SLUICE_CONTROL_STEER_H
#define SLUICE_CONTROL_STEER_H

#include "ports.h"

/*
 * Offers the port a rule for each sandbox of the generation that has none yet, and takes back those
 * of VLANs that are nobody's any more. The first refusal is the last question: the log says so
 * once, rules that are there stay. Does nothing for one worker. The port is open. Control thread,
 * after every push.
 */
void sl_steer_port(struct sl_port *port, const struct sl_generation *generation, unsigned workers);

/* Takes all rules back, before the port is stopped. */
void sl_steer_end(struct sl_port *port);

#endif
