/*
 * netdev.c: what the kernel says of a network interface. Asks only; changes nothing.
 */
#include "netdev.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
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

/* One on-or-off of ethtool: 1, 0 or -errno. */
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

int sl_netdev_is_up(const char *name)
{
	struct ifreq ifr = {0};
	int ret = ask(name, SIOCGIFFLAGS, &ifr);

	return ret != 0 ? ret : (ifr.ifr_flags & IFF_UP) != 0;
}
