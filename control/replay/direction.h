/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direction.h: which side of the gateway a recorded packet came from.
 */
#ifndef SLUICE_CONTROL_DIRECTION_H
#define SLUICE_CONTROL_DIRECTION_H

#include <stddef.h>
#include <stdint.h>

#include "document/prefix.h"
#include "sluice/stats.h"

struct sl_direction;

/*
 * With n ranges, a packet is from the sandbox if its source is in one of them. With none (auto),
 * whoever sent the first packet between two addresses of a VLAN is inside. The list is not copied.
 * Returns NULL without memory.
 */
struct sl_direction *sl_direction_create(const struct sl_prefix *inside, size_t n);

void sl_direction_free(struct sl_direction *direction);

/*
 * The port at which a frame arrives. macs: destination and source, 12 bytes, or NULL; type and
 * payload: what follows its tags. Without memory to remember a pair the answer is still given.
 */
enum sl_port_id sl_direction_of(struct sl_direction *direction, uint16_t vlan, const uint8_t *macs,
                                uint16_t type, const uint8_t *payload, size_t len);

#endif
