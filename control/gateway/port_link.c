/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_link.c: links that go down and devices that go away, and come back.
 *
 * Decides when a port is used. A socket on an interface that was set down or deleted stays dead,
 * even when an interface of that name is back: such a port is closed and opened again. Before that
 * the workers stop using it; a grace period tells when, so no worker waits, and the other port and
 * all flows are unaffected. While a port is away nothing is received from it, and what is sent to
 * it is dropped and counted as tx-full.
 */
#include "port_link.h"

#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_rcu_qsbr.h>

#include "tell/log.h"

#define LOOK_MS    1000 /* how often devices are checked, even if changes are notified */
#define LEAVING_MS 1
#define AWAY_MS    100
#define RETRY_MS   1000 /* before another attempt to open a device that is there */

/* ---- what it is ---- */

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void find_interface(struct sl_port_link *link)
{
	const char *dev = link->port->dev;
	struct rte_eth_dev_info info;

	link->own = begins(dev, "net_tap") || begins(dev, "net_virtio_user");
	if (rte_eth_dev_info_get(link->port->id, &info) != 0)
		return;
	link->index = info.if_index;
	if (info.if_index == 0 || if_indextoname(info.if_index, link->iface) == NULL)
		link->iface[0] = '\0';
}

static const char *role_of(const struct sl_port_link *link)
{
	return sl_port_role_text(link->port->role);
}

/* The interface, or the device where it has none. */
static const char *name_of(const struct sl_port_link *link)
{
	return link->iface[0] != '\0' ? link->iface : link->port->dev;
}

/* ---- how it is ---- */

static enum sl_netdev_state ask_device(const struct sl_port_link *link)
{
	struct rte_eth_link status;

	if (sl_ports_is_pci(link->port->dev) && rte_eth_dev_is_removed(link->port->id))
		return SL_NETDEV_GONE;
	if (rte_eth_link_get_nowait(link->port->id, &status) != 0)
		return SL_NETDEV_UP;
	return status.link_status == RTE_ETH_LINK_UP ? SL_NETDEV_UP : SL_NETDEV_NO_LINK;
}

static enum sl_netdev_state look(const struct sl_port_link *link)
{
	if (link->iface[0] == '\0')
		/* a removed PCI device cannot be queried; opening it is tried */
		return link->port->closed ? SL_NETDEV_UP : ask_device(link);
	if (link->port->closed)
		return link->own ? SL_NETDEV_UP : sl_netdev_state_of_name(link->iface);
	return sl_netdev_state_of_index(link->index);
}

static void note_change(void *ctx, unsigned index, enum sl_netdev_state state)
{
	struct sl_port_links *links = ctx;

	for (int port = 0; port < SL_PORT_COUNT; port++) {
		struct sl_port_link *link = &links->link[port];

		if (link->iface[0] == '\0' || link->index != index || link->port->closed)
			continue;
		/*
		 * an interface that this process made comes up in steps, and stays usable when it
		 * is down
		 */
		if (link->own && state != SL_NETDEV_GONE)
			continue;
		if (state != SL_NETDEV_UP)
			link->undone = true;
		/* a socket survives a lost carrier, but not a change like these */
		if (state == SL_NETDEV_DOWN || state == SL_NETDEV_GONE)
			link->close = true;
	}
}

/* Once for each change: down and then without a link is down. */
static void tell(const struct sl_port_links *links, struct sl_port_link *link, const char *state)
{
	if (links->told != NULL && (link->told == NULL || strcmp(link->told, state) != 0))
		links->told(links->ctx, link->port, state);
	link->told = state;
}

static void say_away(const struct sl_port_links *links, struct sl_port_link *link,
                     enum sl_netdev_state state)
{
	static const char *const texts[] = {
	        [SL_NETDEV_GONE] = "is gone: nothing is forwarded until it is there again",
	        [SL_NETDEV_DOWN] = "is down: nothing is forwarded until it is up again",
	        [SL_NETDEV_NO_LINK] = "has no link: nothing is forwarded until it has one again",
	};

	sl_log(SL_LOG_WARNING, "port %s: %s %s", role_of(link), name_of(link), texts[state]);
	tell(links, link, state == SL_NETDEV_GONE ? "gone" : "down");
}

/* ---- away ---- */

static void leave(struct sl_port_links *links, struct sl_port_link *link, uint64_t now_ms)
{
	sl_port_set_away(link->port, links->workers, true);
	link->token = rte_rcu_qsbr_start(links->qsbr);
	link->phase = SL_PORT_LINK_LEAVING;
	link->away_ms = now_ms;
	link->retry_ms = 0;
	link->said_failure = false;
}

static bool needs_closing(const struct sl_port_link *link)
{
	if (!link->close || link->port->closed)
		return false;
	/* closing would remove an interface that the driver made; that of a PCI device survives */
	return link->state == SL_NETDEV_GONE || (!link->own && !sl_ports_is_pci(link->port->dev));
}

static void finish_leaving(struct sl_port_links *links, struct sl_port_link *link)
{
	if (rte_rcu_qsbr_check(links->qsbr, link->token, false) != 1)
		return;
	link->phase = SL_PORT_LINK_LEFT;
}

/* ---- back ---- */

/* An interface of the same name may be another one, which the lock does not cover. */
static int lock_again(struct sl_port_link *link, char *err, size_t err_size)
{
	char name[SL_PORT_LOCK_NAME_MAX];

	sl_port_lock_name(link->port->dev, name);
	if (strcmp(name, link->lock->name) == 0)
		return 0;
	sl_port_lock_release(link->lock);
	return sl_port_lock_take(link->lock, role_of(link), link->port->dev, err, err_size);
}

static bool open_again(struct sl_port_links *links, struct sl_port_link *link, uint64_t now_ms)
{
	char err[512];
	int ret;

	if (now_ms < link->retry_ms)
		return false;
	/* closing takes time; changes of the old device that were reported meanwhile are void */
	if (links->changes > 0)
		sl_netdev_read_changes(links->changes - 1, note_change, links);
	ret = lock_again(link, err, sizeof(err));
	if (ret == 0)
		ret = sl_port_attach(link->port, links->config, links->workers, links->pool, err,
		                     sizeof(err));
	if (ret == 0) {
		if (link->iface[0] != '\0')
			link->index = if_nametoindex(link->iface);
		return true;
	}
	if (!link->said_failure && link->iface[0] != '\0')
		sl_log(SL_LOG_ERROR,
		       "port %s: %s cannot be taken again yet, and is tried every second: %s",
		       role_of(link), name_of(link), err);
	link->said_failure = true;
	link->retry_ms = now_ms + RETRY_MS;
	return false;
}

/* True if the port is used again. */
static bool come_back(struct sl_port_links *links, struct sl_port_link *link, uint64_t now_ms)
{
	if (needs_closing(link))
		sl_port_detach(link->port);
	/* check again: it may have gone while it was closed; see() will report that next time */
	if (look(link) != SL_NETDEV_UP)
		return false;
	if (link->port->closed) {
		if (!open_again(links, link, now_ms))
			return false;
		sl_port_warn(link->port); /* a new interface has its offloads on again */
	}
	link->state = SL_NETDEV_UP;
	link->close = false;
	link->undone = false;
	link->phase = SL_PORT_LINK_IN_USE;
	sl_port_set_away(link->port, links->workers, false);
	sl_log(SL_LOG_INFO, "port %s: %s is back after %llu ms, forwarding again", role_of(link),
	       name_of(link), (unsigned long long)(now_ms - link->away_ms));
	tell(links, link, "up");
	return true;
}

/* ---- all ports ---- */

static void see(struct sl_port_links *links, struct sl_port_link *link, uint64_t now_ms)
{
	enum sl_netdev_state before = link->state;

	link->look_ms = now_ms + LOOK_MS;
	link->state = look(link);
	if (link->state == SL_NETDEV_GONE || link->state == SL_NETDEV_DOWN)
		link->close = true;
	if (link->phase == SL_PORT_LINK_IN_USE && link->state == SL_NETDEV_UP && link->undone) {
		sl_log(SL_LOG_WARNING, "port %s: %s was away for a moment", role_of(link),
		       name_of(link));
		tell(links, link, "down");
		leave(links, link, now_ms);
	} else if (link->state != SL_NETDEV_UP && link->state != before) {
		say_away(links, link, link->state);
		if (link->phase == SL_PORT_LINK_IN_USE)
			leave(links, link, now_ms);
	} else if (link->phase == SL_PORT_LINK_IN_USE && link->state != before) {
		sl_log(SL_LOG_INFO, "port %s: %s has a link", role_of(link), name_of(link));
		tell(links, link, "up");
	}
}

/*
 * A PCI device without a link at the start may get one soon, or may never report one. It is used
 * anyway: its driver knows whether it can send.
 */
static void see_first(struct sl_port_links *links, struct sl_port_link *link, uint64_t now_ms)
{
	see(links, link, now_ms);
	if (link->iface[0] != '\0' || link->phase == SL_PORT_LINK_IN_USE)
		return;
	sl_port_set_away(link->port, links->workers, false);
	link->phase = SL_PORT_LINK_IN_USE;
}

static bool poll_one(struct sl_port_links *links, struct sl_port_link *link, bool changed,
                     uint64_t now_ms)
{
	if (!link->watched)
		return false;
	/* a removed PCI device cannot be asked: it is gone until it can be opened */
	if ((changed || now_ms >= link->look_ms || link->phase != SL_PORT_LINK_IN_USE) &&
	    !(link->port->closed && link->iface[0] == '\0'))
		see(links, link, now_ms);
	if (link->phase == SL_PORT_LINK_LEAVING)
		finish_leaving(links, link);
	if (link->phase != SL_PORT_LINK_LEFT)
		return false;
	return come_back(links, link, now_ms);
}

bool sl_port_links_poll(struct sl_port_links *links, uint64_t now_ms)
{
	bool back = false;

	if (links->qsbr == NULL)
		return false;
	if (links->changes > 0)
		sl_netdev_read_changes(links->changes - 1, note_change, links);
	for (int port = 0; port < SL_PORT_COUNT; port++)
		back |= poll_one(links, &links->link[port], links->link[port].undone, now_ms);
	return back;
}

void sl_port_links_begin(struct sl_port_links *links, struct sl_port *ports,
                         struct sl_port_lock *locks, uint64_t now_ms)
{
	int fd = sl_netdev_watch();

	links->changes = fd < 0 ? 0 : fd + 1;
	for (int port = 0; port < SL_PORT_COUNT; port++) {
		struct sl_port_link *link = &links->link[port];

		*link = (struct sl_port_link){
		        .port = &ports[port], .lock = &locks[port], .state = SL_NETDEV_UP};
		find_interface(link);
		/*
		 * for other virtual devices the link state only says whether a peer is connected
		 */
		link->watched = link->iface[0] != '\0' || sl_ports_is_pci(link->port->dev);
		if (link->watched)
			see_first(links, link, now_ms);
	}
}

int sl_port_links_fd(const struct sl_port_links *links)
{
	return links->changes - 1;
}

int sl_port_links_timeout_ms(const struct sl_port_links *links, int most_ms)
{
	for (int port = 0; port < SL_PORT_COUNT && links->qsbr != NULL; port++) {
		const struct sl_port_link *link = &links->link[port];
		int wait_ms = LOOK_MS;

		if (link->phase == SL_PORT_LINK_LEAVING)
			wait_ms = LEAVING_MS;
		else if (link->phase == SL_PORT_LINK_LEFT)
			wait_ms = AWAY_MS;
		if (link->watched && (most_ms < 0 || wait_ms < most_ms))
			most_ms = wait_ms;
	}
	return most_ms;
}

void sl_port_links_end(struct sl_port_links *links)
{
	if (links->changes > 0)
		close(links->changes - 1);
	links->changes = 0;
	links->qsbr = NULL;
}
