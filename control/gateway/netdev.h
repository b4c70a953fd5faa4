/* SPDX-License-Identifier: Apache-2.0 */
/* netdev.h: queries the kernel about the network interface under a port. */
#ifndef SLUICE_CONTROL_NETDEV_H
#define SLUICE_CONTROL_NETDEV_H

#include <net/if.h>
#include <stdbool.h>

/* Offloads that make frames arrive which were never on a wire like that. */
struct sl_netdev_offloads {
	bool tx_checksum;  /* checksums are left for hardware that is not there */
	bool segmentation; /* TSO, GSO: frames larger than the MTU */
	bool gro;          /* frames merged on arrival */
};

/* Returns 0 or -errno (-EPERM, -ENODEV, -EOPNOTSUPP). Any thread; does not block. */
int sl_netdev_offloads(const char *name, struct sl_netdev_offloads *offloads);

/* The MTU, or -errno. */
int sl_netdev_mtu(const char *name);

enum sl_netdev_state {
	SL_NETDEV_GONE = 0,
	SL_NETDEV_DOWN,    /* set down by an administrator */
	SL_NETDEV_NO_LINK, /* up, but nothing is plugged in, or the other end is down */
	SL_NETDEV_UP,
};

enum sl_netdev_state sl_netdev_state_of_name(const char *name);
/* The interface may have been renamed meanwhile. */
enum sl_netdev_state sl_netdev_state_of_index(unsigned index);

/*
 * A socket that becomes readable when an interface of this network namespace changes, or -errno.
 * To be closed.
 */
int sl_netdev_watch(void);

/*
 * Reads the socket, and reports for each change the interface and its state after it, even if the
 * change has been undone since. Does not block.
 */
void sl_netdev_read_changes(int fd,
                            void (*tell)(void *ctx, unsigned index, enum sl_netdev_state state),
                            void *ctx);

#endif
