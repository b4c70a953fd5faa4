/* SPDX-License-Identifier: Apache-2.0 */
/* netdev.c: queries the kernel about a network interface; changes nothing. */
#include "netdev.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int ask(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd, ret = 0;

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	strcpy(ifr->ifr_name, name);
	if (ioctl(fd, request, ifr) != 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* One boolean of ethtool: 1, 0 or -errno. */
static int ask_ethtool(const char *name, uint32_t command)
{
	struct ethtool_value value = {.cmd = command};
	struct ifreq ifr = {.ifr_data = (void *)&value};
	int ret = ask(name, SIOCETHTOOL, &ifr);

	return ret != 0 ? ret : value.data != 0;
}

int sl_netdev_offloads(const char *name, struct sl_netdev_offloads *offloads)
{
	int checksum = ask_ethtool(name, ETHTOOL_GTXCSUM);

	*offloads = (struct sl_netdev_offloads){
	        .tx_checksum = checksum > 0,
	        .segmentation =
	                ask_ethtool(name, ETHTOOL_GTSO) > 0 || ask_ethtool(name, ETHTOOL_GGSO) > 0,
	        .gro = ask_ethtool(name, ETHTOOL_GGRO) > 0,
	};
	return checksum < 0 ? checksum : 0;
}

int sl_netdev_mtu(const char *name)
{
	struct ifreq ifr = {0};
	int ret = ask(name, SIOCGIFMTU, &ifr);

	return ret != 0 ? ret : ifr.ifr_mtu;
}

/* ---- up, down, gone ---- */

static enum sl_netdev_state state_of_flags(unsigned flags)
{
	if (!(flags & IFF_UP))
		return SL_NETDEV_DOWN;
	return flags & IFF_RUNNING ? SL_NETDEV_UP : SL_NETDEV_NO_LINK;
}

enum sl_netdev_state sl_netdev_state_of_name(const char *name)
{
	struct ifreq ifr = {0};

	if (ask(name, SIOCGIFFLAGS, &ifr) != 0)
		return SL_NETDEV_GONE;
	return state_of_flags((unsigned short)ifr.ifr_flags);
}

enum sl_netdev_state sl_netdev_state_of_index(unsigned index)
{
	char name[IF_NAMESIZE];

	return if_indextoname(index, name) != NULL ? sl_netdev_state_of_name(name) : SL_NETDEV_GONE;
}

int sl_netdev_watch(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), ret;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

void sl_netdev_read_changes(int fd,
                            void (*tell)(void *ctx, unsigned index, enum sl_netdev_state state),
                            void *ctx)
{
	_Alignas(struct nlmsghdr) char bytes[16384];
	ssize_t got;

	/*
	 * an overflow (ENOBUFS) ends the loop as well: the caller also checks the interfaces
	 * themselves
	 */
	while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		int len = (int)got;

		for (struct nlmsghdr *head = (struct nlmsghdr *)bytes; NLMSG_OK(head, len);
		     head = NLMSG_NEXT(head, len)) {
			const struct ifinfomsg *info = NLMSG_DATA(head);

			if (head->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
				continue;
			if (head->nlmsg_type == RTM_DELLINK && info->ifi_family == AF_UNSPEC)
				tell(ctx, (unsigned)info->ifi_index, SL_NETDEV_GONE);
			else if (head->nlmsg_type == RTM_NEWLINK)
				tell(ctx, (unsigned)info->ifi_index,
				     state_of_flags(info->ifi_flags));
		}
	}
}
