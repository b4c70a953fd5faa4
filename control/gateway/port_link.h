/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_link.h: links that go down and devices that go away, and come back.
 */
#ifndef SLUICE_CONTROL_PORT_LINK_H
#define SLUICE_CONTROL_PORT_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "netdev.h"
#include "port_lock.h"
#include "ports.h"

struct rte_rcu_qsbr;

/* The state of a port with regard to its device. */
enum sl_port_link_phase {
	SL_PORT_LINK_IN_USE = 0,
	SL_PORT_LINK_LEAVING, /* workers may still touch it */
	SL_PORT_LINK_LEFT,    /* closed, or open and unused */
};

struct sl_port_link {
	struct sl_port *port;
	struct sl_port_lock *lock;
	char iface[IF_NAMESIZE]; /* of the kernel, as the config names it; empty: none */
	unsigned index;          /* of the interface that is open */
	bool own;                /* the driver makes the interface, which goes when it is closed */
	bool watched;            /* its state is reported: by the kernel, or by a PCI device */
	bool undone;             /* it was down or gone, and may be back already */
	bool close;              /* it must be closed before it can be used again */
	bool said_failure;
	const char *told; /* the latest state that was told; NULL: none */
	enum sl_netdev_state state;
	enum sl_port_link_phase phase;
	uint64_t token; /* of the grace period after which no worker uses it */
	uint64_t away_ms, look_ms, retry_ms;
};

struct sl_port_links {
	const struct sl_config *config;
	unsigned workers;
	struct rte_mempool *pool;
	struct rte_rcu_qsbr *qsbr;
	/* or NULL: a port went away ("down", "gone") or is used again ("up") */
	void (*told)(void *ctx, const struct sl_port *port, const char *state);
	void *ctx;
	int changes; /* a socket, plus one; 0: none, devices are only polled */
	struct sl_port_link link[SL_PORT_COUNT];
};

/*
 * Begins to watch ports that are open; the fields above `changes` are filled in. Ports that are
 * down are not used from now on. Control thread, as all here.
 */
void sl_port_links_begin(struct sl_port_links *links, struct sl_port *ports,
                         struct sl_port_lock *locks, uint64_t now_ms);

/* A descriptor that is readable when there is something to do, or -1. */
int sl_port_links_fd(const struct sl_port_links *links);

/* When to call sl_port_links_poll() at the latest. */
int sl_port_links_timeout_ms(const struct sl_port_links *links, int most_ms);

/*
 * Checks the devices and logs changes: takes a port away from the workers, closes it when they no
 * longer use it, opens it again when its device is back. Returns true if a port came back. Does not
 * wait.
 */
bool sl_port_links_poll(struct sl_port_links *links, uint64_t now_ms);

/* The ports themselves stay as they are. */
void sl_port_links_end(struct sl_port_links *links);

#endif
