/*
 * netdev.h: what the kernel says of a network interface that a port sits on.
 */
#ifndef SLUICE_CONTROL_NETDEV_H
#define SLUICE_CONTROL_NETDEV_H

#include <stdbool.h>

/* What makes frames arrive that never were on a wire. */
struct sl_netdev_offloads {
	bool tx_checksum;  /* checksums are left for hardware that is not there */
	bool segmentation; /* TSO, GSO: frames larger than the MTU */
	bool gro;          /* frames put together on arrival */
};

/* Returns 0 or -errno (-EPERM, -ENODEV, -EOPNOTSUPP). Any thread; does not block. */
int sl_netdev_offloads(const char *name, struct sl_netdev_offloads *offloads);

/* The MTU, or -errno. */
int sl_netdev_mtu(const char *name);

/* 1 if it is up, 0 if not, or -errno. */
int sl_netdev_is_up(const char *name);

#endif
