/* SPDX-License-Identifier: Apache-2.0 */
/* steer.h: steers VLANs to the queues of the workers that own them, with rte_flow rules. */
#ifndef SLUICE_CONTROL_STEER_H
#define SLUICE_CONTROL_STEER_H

#include "ports.h"

/*
 * Offers the port a rule for each sandbox of the generation that has none yet, and removes those
 * of VLANs that no sandbox has any more. After a refusal no more rules are offered: this is logged
 * once, and the existing rules stay. Does nothing for one worker. The port is open. Control thread,
 * after every push.
 */
void sl_steer_port(struct sl_port *port, const struct sl_generation *generation, unsigned workers);

/* Removes all rules, before the port is stopped. */
void sl_steer_end(struct sl_port *port);

#endif
