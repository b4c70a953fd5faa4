/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_owner.h: whose pins these are, after a restart.
 *
 * A sandbox is still the same if its VLAN and its name are. Its policy may be another one: pins
 * are not permissions. A pin says that DNS gave this address to this sandbox for a name; whether
 * the name is allowed is asked of the policy in force at each use, so a pin whose name the new
 * policy does not allow opens nothing. While a gateway runs a push keeps pins in the same way, and
 * whoever restarts it with a changed policy (an update that brings both) means that change and no
 * more: programs that resolved before, and are still allowed, go on.
 *
 * Without a name only the policy tells one sandbox from another that got its VLAN while nobody was
 * looking. Then the effective policy has to be the same as well (sl_policy_json_hash).
 */
#ifndef SLUICE_CONTROL_PIN_OWNER_H
#define SLUICE_CONTROL_PIN_OWNER_H

#include "model.h"
#include "pin_file.h"

/*
 * What says who the sandbox is that has this VLAN now; name: its own, NULL without one. False:
 * there is none, or no memory. Takes the model's lock; any thread.
 */
bool sl_pin_owner_read(struct sl_model *model, uint16_t vlan, const char *name,
                       struct sl_pin_owner *out);

bool sl_pin_owner_equal(const struct sl_pin_owner *a, const struct sl_pin_owner *b);

#endif
