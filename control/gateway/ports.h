/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ports.h: the two DPDK ports, their queues, and which worker has which.
 */
#ifndef SLUICE_CONTROL_PORTS_H
#define SLUICE_CONTROL_PORTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/settings.h"
#include "sluice/stats.h"
#include "sluice/worker.h"

struct rte_flow;
struct rte_mempool;
struct sl_config;

#define SL_PORTS_DEVARGS_MAX   1024
#define SL_PORTS_RX_QUEUES_MAX 64 /* of one port */

/* One worker's share of one port. */
struct sl_port_queues {
	atomic_bool away; /* the port must not be touched (sl_port_set_away) */
	uint16_t port;
	uint16_t tx;
	uint16_t next; /* the queue to poll first */
	uint16_t rx_count;
	uint16_t rx[SL_PORTS_RX_QUEUES_MAX];
} __attribute__((aligned(64)));

struct sl_port {
	enum sl_port_id role;
	const char *dev; /* as in the config */
	uint16_t id;     /* DPDK's */
	uint16_t rx_queues;
	uint32_t frame_max;                   /* bytes of the largest frame, its tag included */
	uint64_t missed;                      /* lost by devices that were closed since */
	bool closed;                          /* while its device is away */
	bool steering;                        /* there are rules of steer.c */
	bool refused_steering;                /* no more rules are offered */
	struct rte_flow *rule[SL_VLAN_COUNT]; /* by VLAN */
	struct sl_port_queues queues[SL_WORKERS_MAX]; /* by worker */
};

/* The name that a port has in the config. */
static inline const char *sl_port_role_text(enum sl_port_id role)
{
	return role == SL_PORT_SANDBOX ? "sandbox" : "uplink";
}

/* True if a device string is a PCI address ("0000:3b:00.1", "3b:00.1"), perhaps with arguments. */
bool sl_ports_is_pci(const char *dev);

/*
 * Writes a vdev string with the arguments that the gateway needs and that are missing: a queue for
 * each worker, room for the largest frame. Returns 0, or -ENAMETOOLONG. Pure.
 */
int sl_ports_devargs(const char *dev, unsigned workers, uint16_t mtu, char *out, size_t size);

/* Bytes of an mbuf's data room that the ports need, headroom included, and mbufs for all queues. */
uint16_t sl_ports_data_room(const struct sl_config *config);
uint32_t sl_ports_mbufs(const struct sl_config *config, unsigned workers);

/*
 * Finds, configures and starts a port, promiscuous, every rx queue with the worker that polls it.
 * The EAL is up. Returns 0, or -errno and a message that says what to do in err.
 */
int sl_port_open(struct sl_port *port, enum sl_port_id role, const struct sl_config *config,
                 unsigned workers, struct rte_mempool *pool, char *err, size_t err_size);

/* Stops and closes it. No worker may be running. */
void sl_port_close(struct sl_port *port);

/*
 * Tells the workers to leave a port alone, or to use it again: while it is away they receive
 * nothing from it, and what they send there is dropped as tx-full. No worker touches it any more
 * once each of them has been quiescent since (publication.qsbr). Control thread.
 */
void sl_port_set_away(struct sl_port *port, unsigned workers, bool away);

/* Closes and removes the device of a port that is away and that no worker touches any more. */
void sl_port_detach(struct sl_port *port);

/*
 * Opens the device of such a port again. The port stays away. Returns 0, or -errno and a message
 * in err.
 */
int sl_port_attach(struct sl_port *port, const struct sl_config *config, unsigned workers,
                   struct rte_mempool *pool, char *err, size_t err_size);

/* Logs a warning if the kernel under the port makes frames that no wire would carry (offloads). */
void sl_port_warn(const struct sl_port *port);

/* The functions that a worker uses. */
struct sl_port_io sl_port_io(struct sl_port *port, unsigned worker);

/* Packets that the port itself lost before any worker saw them. */
uint64_t sl_port_missed(const struct sl_port *port);

#endif
