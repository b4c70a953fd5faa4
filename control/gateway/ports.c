/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ports.c: the two DPDK ports, their queues, and which worker has which.
 *
 * Decides how many queues there are: always one tx queue for each worker, since a queue has no
 * lock; as many rx queues as workers if the port has that many. If a port fills more rx queues than
 * that, all of them are polled.
 */
#include "ports.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "document/config.h"
#include "tell/log.h"
#include "netdev.h"
#include "steer.h"
#include "workers.h"

#define CACHE_MBUFS 512
#define FRAME_EXTRA (RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)
/* net_af_packet: the header before a received frame in its slot, and a slot's default size */
#define AFP_HEAD 66
#define AFP_SLOT 2048

/* ---- device strings ---- */

bool sl_ports_is_pci(const char *dev)
{
	unsigned domain, bus, slot, function;
	int used = 0;

	if (sscanf(dev, "%x:%x:%x.%x%n", &domain, &bus, &slot, &function, &used) != 4 &&
	    sscanf(dev, "%x:%x.%x%n", &bus, &slot, &function, &used) != 3)
		return false;
	return dev[used] == '\0' || dev[used] == ',';
}

/* DPDK's name of a device: the part before the first comma. */
static void device_name(const char *dev, char *out, size_t size)
{
	size_t len = strcspn(dev, ",");

	snprintf(out, size, "%.*s", (int)len, dev);
}

static bool is_driver(const char *dev, const char *driver)
{
	return strncmp(dev, driver, strlen(driver)) == 0;
}

/* True if a device string has this argument. */
static bool has_arg(const char *dev, const char *key)
{
	size_t len = strlen(key);

	while ((dev = strchr(dev, ',')) != NULL) {
		dev++;
		if (strncmp(dev, key, len) == 0 && dev[len] == '=')
			return true;
	}
	return false;
}

/* The value of a number argument, or 0. */
static unsigned arg_number(const char *dev, const char *key)
{
	size_t len = strlen(key);
	unsigned value = 0;

	while ((dev = strchr(dev, ',')) != NULL) {
		dev++;
		if (strncmp(dev, key, len) == 0 && dev[len] == '=')
			sscanf(dev + len + 1, "%u", &value);
	}
	return value;
}

/* The slot that a frame of this MTU needs: a power of two, so that blocks are full. */
static unsigned afp_slot(uint16_t mtu)
{
	unsigned slot = AFP_SLOT;

	while (slot < AFP_HEAD + FRAME_EXTRA + (unsigned)mtu)
		slot *= 2;
	return slot;
}

int sl_ports_devargs(const char *dev, unsigned workers, uint16_t mtu, char *out, size_t size)
{
	char queues[32] = "", slots[64] = "";
	int n;

	if (is_driver(dev, "net_af_packet") || is_driver(dev, "eth_af_packet")) {
		unsigned slot = afp_slot(mtu);

		if (workers > 1 && !has_arg(dev, "qpairs"))
			snprintf(queues, sizeof(queues), ",qpairs=%u", workers);
		if (slot > AFP_SLOT && !has_arg(dev, "framesz") && !has_arg(dev, "blocksz"))
			snprintf(slots, sizeof(slots), ",framesz=%u,blocksz=%u", slot,
			         slot < 4096 ? 4096 : slot);
	} else if (is_driver(dev, "net_af_xdp")) {
		if (workers > 1 && !has_arg(dev, "queue_count"))
			snprintf(queues, sizeof(queues), ",queue_count=%u", workers);
	}
	n = snprintf(out, size, "%s%s%s", dev, queues, slots);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* ---- memory ---- */

static unsigned data_room_of(const struct sl_config *config, const char *dev)
{
	if (dev == NULL)
		return 0;
	/* net_af_packet refuses mbufs that are smaller than its slots, used or not */
	if (is_driver(dev, "net_af_packet") || is_driver(dev, "eth_af_packet"))
		return has_arg(dev, "framesz") ? arg_number(dev, "framesz")
		                               : afp_slot(config->machine.mtu);
	/* an XDP frame and its headroom share a page; others may chain */
	return 0;
}

uint16_t sl_ports_data_room(const struct sl_config *config)
{
	unsigned room = RTE_MBUF_DEFAULT_DATAROOM;

	room = RTE_MAX(room, data_room_of(config, config->sandbox.dev));
	room = RTE_MAX(room, data_room_of(config, config->uplink.dev));
	return (uint16_t)RTE_MIN(room + RTE_PKTMBUF_HEADROOM, (unsigned)UINT16_MAX);
}

uint32_t sl_ports_mbufs(const struct sl_config *config, unsigned workers)
{
	uint32_t queue = config->machine.rx_descriptors + config->machine.tx_descriptors;
	uint32_t worker =
	        2 * queue + CACHE_MBUFS + SL_WORKERS_HANDOVER_SLOTS + 4u * config->machine.burst;

	return workers * worker;
}

/* ---- opening ---- */

static int find(struct sl_port *port, char *err, size_t err_size)
{
	char name[RTE_DEV_NAME_MAX_LEN];

	device_name(port->dev, name, sizeof(name));
	if (rte_eth_dev_get_port_by_name(name, &port->id) == 0)
		return 0;
	/* a PCI address may be written without its domain */
	if (sl_ports_is_pci(port->dev)) {
		char full[RTE_DEV_NAME_MAX_LEN + 8];

		snprintf(full, sizeof(full), "0000:%s", name);
		if (rte_eth_dev_get_port_by_name(full, &port->id) == 0)
			return 0;
		snprintf(err, err_size,
		         "port %s: DPDK has no device %s; is it bound to vfio-pci "
		         "(dpdk-devbind.py --status)?",
		         sl_port_role_text(port->role), name);
		return -ENODEV;
	}
	snprintf(err, err_size, "port %s: DPDK made no device of \"%s\"",
	         sl_port_role_text(port->role), port->dev);
	return -ENODEV;
}

static int count_queues(struct sl_port *port, const struct rte_eth_dev_info *info, unsigned workers,
                        char *err, size_t err_size)
{
	if (info->max_tx_queues < workers) {
		snprintf(err, err_size,
		         "port %s (%s) has %u tx queue%s, but each of the %u workers needs one of "
		         "its own: lower `workers`, or give the device more queues",
		         sl_port_role_text(port->role), port->dev, info->max_tx_queues,
		         info->max_tx_queues == 1 ? "" : "s", workers);
		return -EINVAL;
	}
	/* the kernel spreads frames over all queues of such a port, also over those not polled */
	if (is_driver(info->driver_name, "net_af_packet") ||
	    is_driver(info->driver_name, "net_af_xdp"))
		port->rx_queues = info->max_rx_queues;
	else
		port->rx_queues = (uint16_t)RTE_MIN(workers, (unsigned)info->max_rx_queues);
	if (port->rx_queues == 0 || port->rx_queues > SL_PORTS_RX_QUEUES_MAX) {
		snprintf(err, err_size, "port %s (%s) has %u rx queues, 1 to %d are possible",
		         sl_port_role_text(port->role), port->dev, port->rx_queues,
		         SL_PORTS_RX_QUEUES_MAX);
		return -EINVAL;
	}
	return 0;
}

static struct rte_eth_conf conf_of(const struct sl_port *port, const struct sl_config *config,
                                   const struct rte_eth_dev_info *info)
{
	struct rte_eth_conf conf = {0};

	/*
	 * a flag in the mbuf tells what the port has verified; without it the checksum is computed
	 */
	conf.rxmode.offloads = info->rx_offload_capa &
	                       (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
	                        RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_SCATTER);
	conf.txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (port->rx_queues > 1 && info->flow_type_rss_offloads != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
		        info->flow_type_rss_offloads &
		        (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
	}
	/* a kernel interface has an MTU of its own, which the gateway must not change */
	if (info->if_index == 0 && sl_ports_is_pci(port->dev))
		conf.rxmode.mtu = config->machine.mtu;
	return conf;
}

static int set_up_queues(struct sl_port *port, const struct sl_config *config, unsigned workers,
                         const struct rte_eth_conf *conf, const struct rte_eth_dev_info *info,
                         struct rte_mempool *pool)
{
	uint16_t rx = config->machine.rx_descriptors, tx = config->machine.tx_descriptors;
	int socket = rte_eth_dev_socket_id(port->id);
	struct rte_eth_rxconf rxconf = info->default_rxconf;
	struct rte_eth_txconf txconf = info->default_txconf;
	int ret = rte_eth_dev_configure(port->id, port->rx_queues, (uint16_t)workers, conf);

	if (ret == 0)
		ret = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);
	rxconf.offloads = conf->rxmode.offloads;
	txconf.offloads = conf->txmode.offloads;
	for (uint16_t q = 0; ret == 0 && q < port->rx_queues; q++)
		ret = rte_eth_rx_queue_setup(port->id, q, rx, (unsigned)socket, &rxconf, pool);
	for (uint16_t q = 0; ret == 0 && q < workers; q++)
		ret = rte_eth_tx_queue_setup(port->id, q, tx, (unsigned)socket, &txconf);
	if (ret == 0)
		ret = rte_eth_dev_start(port->id);
	return ret;
}

static void share_queues(struct sl_port *port, unsigned workers)
{
	for (unsigned w = 0; w < workers; w++) {
		struct sl_port_queues *queues = &port->queues[w];

		queues->port = port->id;
		queues->tx = (uint16_t)w;
		queues->next = 0;
		queues->rx_count = 0;
	}
	for (uint16_t q = 0; q < port->rx_queues; q++) {
		struct sl_port_queues *queues = &port->queues[q % workers];

		queues->rx[queues->rx_count++] = q;
	}
}

static bool kernel_name(const struct rte_eth_dev_info *info, char name[IF_NAMESIZE])
{
	return info->if_index != 0 && if_indextoname(info->if_index, name) != NULL;
}

/* The largest frame that the port receives whole. */
static uint32_t frame_max_of(const struct sl_port *port, const struct rte_eth_dev_info *info,
                             const struct sl_config *config)
{
	char name[IF_NAMESIZE];
	uint16_t mtu = RTE_ETHER_MTU;
	uint32_t max;

	rte_eth_dev_get_mtu(port->id, &mtu);
	max = mtu;
	if (kernel_name(info, name)) {
		int kernel_mtu = sl_netdev_mtu(name);

		if (kernel_mtu > 0)
			max = (uint32_t)kernel_mtu;
	}
	max += FRAME_EXTRA;
	if (is_driver(info->driver_name, "net_af_packet")) {
		/* the kernel takes the tag out of the slot, the driver puts it back */
		unsigned slot = data_room_of(config, port->dev);

		max = RTE_MIN(max, slot - AFP_HEAD + RTE_VLAN_HLEN);
	}
	return max;
}

static int open_device(struct sl_port *port, const struct sl_config *config, unsigned workers,
                       struct rte_mempool *pool, char *err, size_t err_size)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	int ret;

	ret = find(port, err, err_size);
	if (ret == 0)
		ret = rte_eth_dev_info_get(port->id, &info);
	if (ret != 0)
		return ret;
	ret = count_queues(port, &info, workers, err, err_size);
	if (ret != 0)
		return ret;
	conf = conf_of(port, config, &info);
	ret = set_up_queues(port, config, workers, &conf, &info, pool);
	if (ret != 0) {
		snprintf(err, err_size, "port %s (%s) does not start: %s",
		         sl_port_role_text(port->role), port->dev, strerror(-ret));
		return ret;
	}
	/* a bump in the wire receives frames that are addressed to others */
	ret = rte_eth_promiscuous_enable(port->id);
	if (ret != 0 && ret != -ENOTSUP)
		sl_log(SL_LOG_WARNING, "port %s: no promiscuous mode (%s)",
		       sl_port_role_text(port->role), strerror(-ret));
	share_queues(port, workers);
	port->frame_max = frame_max_of(port, &info, config);
	return 0;
}

int sl_port_open(struct sl_port *port, enum sl_port_id role, const struct sl_config *config,
                 unsigned workers, struct rte_mempool *pool, char *err, size_t err_size)
{
	*port = (struct sl_port){.role = role};
	port->dev = role == SL_PORT_SANDBOX ? config->sandbox.dev : config->uplink.dev;
	return open_device(port, config, workers, pool, err, err_size);
}

void sl_port_close(struct sl_port *port)
{
	if (port->dev == NULL)
		return;
	if (port->closed) {
		port->dev = NULL;
		return;
	}
	sl_steer_end(port);
	rte_eth_dev_stop(port->id);
	rte_eth_dev_close(port->id);
	port->dev = NULL;
}

/* ---- away and back ---- */

void sl_port_set_away(struct sl_port *port, unsigned workers, bool away)
{
	for (unsigned w = 0; w < workers; w++)
		atomic_store(&port->queues[w].away, away);
}

void sl_port_detach(struct sl_port *port)
{
	char name[RTE_DEV_NAME_MAX_LEN];

	port->missed = sl_port_missed(port);
	sl_steer_end(port);
	memset(port->rule, 0, sizeof(port->rule));
	rte_eth_dev_stop(port->id);
	rte_eth_dev_close(port->id);
	device_name(port->dev, name, sizeof(name));
	rte_eal_hotplug_remove(sl_ports_is_pci(port->dev) ? "pci" : "vdev", name);
	port->closed = true;
}

/* Adds the device to DPDK again, which took it from the EAL's arguments at the start. */
static int probe(const struct sl_port *port, const struct sl_config *config, unsigned workers)
{
	char devargs[SL_PORTS_DEVARGS_MAX], *args;
	int ret;

	if (sl_ports_is_pci(port->dev))
		return rte_dev_probe(port->dev);
	ret = sl_ports_devargs(port->dev, workers, config->machine.mtu, devargs, sizeof(devargs));
	if (ret != 0)
		return ret;
	args = strchr(devargs, ',');
	if (args != NULL)
		*args++ = '\0';
	return rte_eal_hotplug_add("vdev", devargs, args != NULL ? args : "");
}

static void remove_probed(const struct sl_port *port)
{
	char name[RTE_DEV_NAME_MAX_LEN];
	uint16_t id;

	device_name(port->dev, name, sizeof(name));
	if (rte_eth_dev_get_port_by_name(name, &id) == 0)
		rte_eth_dev_close(id);
	rte_eal_hotplug_remove(sl_ports_is_pci(port->dev) ? "pci" : "vdev", name);
}

int sl_port_attach(struct sl_port *port, const struct sl_config *config, unsigned workers,
                   struct rte_mempool *pool, char *err, size_t err_size)
{
	uint16_t rx_queues = port->rx_queues;
	int ret = probe(port, config, workers);

	if (ret != 0) {
		snprintf(err, err_size, "DPDK cannot open it (%s)", strerror(-ret));
		return ret;
	}
	ret = open_device(port, config, workers, pool, err, err_size);
	/* which worker polls which queue was fixed when the workers were created */
	if (ret == 0 && port->rx_queues != rx_queues) {
		snprintf(err, err_size, "it has %u rx queues now, and had %u", port->rx_queues,
		         rx_queues);
		ret = -EINVAL;
	}
	if (ret != 0) {
		port->rx_queues = rx_queues;
		remove_probed(port);
		return ret;
	}
	port->closed = false;
	return 0;
}

/* ---- warnings for the operator ---- */

/* Hosts that use the interface's MTU would send frames that the gateway drops. */
static void warn_of_mtu(const struct sl_port *port, const char *name)
{
	int mtu = sl_netdev_mtu(name);

	if (mtu > 0 && (uint32_t)mtu + FRAME_EXTRA > port->frame_max)
		sl_log(SL_LOG_WARNING,
		       "port %s: interface %s has an MTU of %d, but frames of more than %u bytes "
		       "are "
		       "not taken; write \"mtu: %d\" in the config, or: ip link set %s mtu %u",
		       sl_port_role_text(port->role), name, mtu, port->frame_max, mtu, name,
		       port->frame_max - FRAME_EXTRA);
}

void sl_port_warn(const struct sl_port *port)
{
	struct rte_eth_dev_info info;
	struct sl_netdev_offloads offloads;
	char name[IF_NAMESIZE];

	if (rte_eth_dev_info_get(port->id, &info) != 0 || !kernel_name(&info, name))
		return;
	/* frames from a tap have complete checksums */
	if (is_driver(info.driver_name, "net_tap"))
		return;
	warn_of_mtu(port, name);
	if (sl_netdev_offloads(name, &offloads) != 0)
		return;
	if (offloads.tx_checksum)
		sl_log(SL_LOG_WARNING,
		       "port %s: interface %s has checksum offload on: frames of the hosts behind "
		       "it come with unfinished checksums, and every segment looks damaged; turn "
		       "it off here and on the hosts: ethtool -K %s tx off tso off gso off gro off",
		       sl_port_role_text(port->role), name, name);
	else if (offloads.segmentation || offloads.gro)
		sl_log(SL_LOG_WARNING,
		       "port %s: interface %s has %s on: it makes frames that are larger than the "
		       "gateway takes; turn it off: ethtool -K %s tso off gso off gro off",
		       sl_port_role_text(port->role), name,
		       offloads.gro ? "GRO" : "segmentation offload", name);
}

uint64_t sl_port_missed(const struct sl_port *port)
{
	struct rte_eth_stats stats;

	if (port->closed || rte_eth_stats_get(port->id, &stats) != 0)
		return port->missed;
	return port->missed + stats.imissed + stats.rx_nombuf;
}

/* ---- for the workers ---- */

static uint16_t receive(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct sl_port_queues *queues = ctx;
	uint16_t got = 0;

	if (unlikely(atomic_load_explicit(&queues->away, memory_order_acquire)))
		return 0;
	for (uint16_t i = 0; i < queues->rx_count && got < n; i++) {
		uint16_t queue = queues->rx[queues->next];

		got += rte_eth_rx_burst(queues->port, queue, pkts + got, (uint16_t)(n - got));
		if (++queues->next == queues->rx_count)
			queues->next = 0;
	}
	return got;
}

static uint16_t transmit(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct sl_port_queues *queues = ctx;

	if (unlikely(atomic_load_explicit(&queues->away, memory_order_acquire)))
		return 0;
	return rte_eth_tx_burst(queues->port, queues->tx, pkts, n);
}

struct sl_port_io sl_port_io(struct sl_port *port, unsigned worker)
{
	struct sl_port_queues *queues = &port->queues[worker];

	return (struct sl_port_io){
	        .rx = queues->rx_count > 0 ? receive : NULL,
	        .tx = transmit,
	        .ctx = queues,
	};
}
