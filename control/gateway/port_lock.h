/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_lock.h: one gateway on a device.
 */
#ifndef SLUICE_CONTROL_PORT_LOCK_H
#define SLUICE_CONTROL_PORT_LOCK_H

#include <stddef.h>

#define SL_PORT_LOCK_NAME_MAX 64

/* Zeroed: nothing is held. */
struct sl_port_lock {
	int lock; /* a socket, plus one; 0: none */
	int owner;
	char name[SL_PORT_LOCK_NAME_MAX];
};

/*
 * Writes the name by which two device strings are the same device, of this network namespace:
 * "ifindex/7", "iface/dtap0", "pci/0000:3b:00.1". Empty for devices that no other process can
 * open, or that may be opened twice (a capture file, the two ends of a memif): those are not
 * locked.
 */
void sl_port_lock_name(const char *dev, char name[SL_PORT_LOCK_NAME_MAX]);

/*
 * Takes the device for this process, until sl_port_lock_release() or the end of the process,
 * whichever way it ends. Returns 0; or -EBUSY and a message that names the other process in err,
 * or another -errno and a message, and holds nothing then.
 */
int sl_port_lock_take(struct sl_port_lock *lock, const char *role, const char *dev, char *err,
                      size_t err_size);

void sl_port_lock_release(struct sl_port_lock *lock);

#endif
