/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_lock.c: one gateway on a device. The kernel lets any number of processes open an interface,
 * and each of two gateways would forward every frame.
 *
 * The lock is a Unix socket bound to an abstract name. The kernel keeps such names apart by network
 * namespace, as it does interfaces, and releases them with the process, also after a crash: no
 * stale lock file is left. A second name contains the process id of the holder. The sockets carry
 * no data.
 */
#include "port_lock.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ports.h"

/* Attempts to read the holder's process id, which it publishes right after it has the lock. */
#define LOOKS   50
#define LOOK_NS 2000000

/* ---- which device ---- */

/* Copies the value of an argument of a device string. False: there is none, or it is too long. */
static bool find_argument(const char *dev, const char *key, char *out, size_t size)
{
	size_t key_len = strlen(key);

	while ((dev = strchr(dev, ',')) != NULL) {
		size_t len;

		dev++;
		if (strncmp(dev, key, key_len) != 0 || dev[key_len] != '=')
			continue;
		len = strcspn(dev + key_len + 1, ",");
		return len > 0 &&
		       (size_t)snprintf(out, size, "%.*s", (int)len, dev + key_len + 1) < size;
	}
	return false;
}

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

void sl_port_lock_name(const char *dev, char name[SL_PORT_LOCK_NAME_MAX])
{
	int device_len = (int)strcspn(dev, ",");
	/* these drivers make their interface, which exists only while they run */
	bool makes_it = begins(dev, "net_tap") || begins(dev, "net_virtio_user");
	char iface[IF_NAMESIZE];
	unsigned index;

	name[0] = '\0';
	if (sl_ports_is_pci(dev)) {
		unsigned domain = 0, bus, slot, function;

		if (sscanf(dev, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4) {
			domain = 0;
			sscanf(dev, "%x:%x.%x", &bus, &slot, &function);
		}
		snprintf(name, SL_PORT_LOCK_NAME_MAX, "pci/%04x:%02x:%02x.%x", domain, bus, slot,
		         function);
		return;
	}
	if (!find_argument(dev, "iface", iface, sizeof(iface)) &&
	    !find_argument(dev, "rx_iface", iface, sizeof(iface))) {
		if (begins(dev, "net_tap"))
			snprintf(name, SL_PORT_LOCK_NAME_MAX, "vdev/%.*s", device_len, dev);
		return;
	}
	/* net_vhost: a socket's path; a second bind to it fails by itself */
	if (strchr(iface, '/') != NULL)
		return;
	index = makes_it ? 0 : if_nametoindex(iface);
	if (index != 0)
		snprintf(name, SL_PORT_LOCK_NAME_MAX, "ifindex/%u", index);
	else
		snprintf(name, SL_PORT_LOCK_NAME_MAX, "iface/%s", iface);
}

/* ---- the lock ---- */

/* Returns a socket, or -errno; -EADDRINUSE: another has the name. */
static int bind_name(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;
	size_t len = strlen(name);

	if (fd < 0)
		return -errno;
	/* an abstract name begins with a zero byte, and its length is the address's */
	memcpy(address.sun_path + 1, name, len);
	if (bind(fd, (struct sockaddr *)&address,
	         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/* The process id of the lock's holder, or 0. */
static long find_owner(const char *name)
{
	char mark[SL_PORT_LOCK_NAME_MAX + 32], line[512];
	FILE *file = fopen("/proc/self/net/unix", "re");
	long pid = 0;

	if (file == NULL)
		return 0;
	snprintf(mark, sizeof(mark), " @sluice/%s/process/", name);
	while (pid == 0 && fgets(line, sizeof(line), file) != NULL) {
		const char *found = strstr(line, mark);

		if (found == NULL || sscanf(found + strlen(mark), "%ld", &pid) != 1)
			pid = 0;
	}
	fclose(file);
	return pid;
}

/* Writes the error that names the holder. */
static void refuse(const struct sl_port_lock *lock, const char *role, const char *dev, char *err,
                   size_t err_size)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	long pid = find_owner(lock->name);

	for (int i = 0; i < LOOKS && pid == 0; i++) {
		nanosleep(&pause, NULL);
		pid = find_owner(lock->name);
	}
	if (pid == (long)getpid())
		snprintf(err, err_size, "port %s (%s): both ports are the same device", role, dev);
	else if (pid != 0)
		snprintf(err, err_size,
		         "port %s (%s): process %ld is a gateway on this device; with two, every "
		         "frame would be forwarded twice",
		         role, dev, pid);
	else
		snprintf(err, err_size, "port %s (%s): another process has this device", role, dev);
}

int sl_port_lock_take(struct sl_port_lock *lock, const char *role, const char *dev, char *err,
                      size_t err_size)
{
	char text[SL_PORT_LOCK_NAME_MAX + 32];
	int fd;

	*lock = (struct sl_port_lock){0};
	sl_port_lock_name(dev, lock->name);
	if (lock->name[0] == '\0')
		return 0;
	snprintf(text, sizeof(text), "sluice/%s", lock->name);
	fd = bind_name(text);
	if (fd == -EADDRINUSE)
		refuse(lock, role, dev, err, err_size);
	else if (fd < 0)
		snprintf(err, err_size, "port %s (%s) cannot be locked: %s", role, dev,
		         strerror(-fd));
	if (fd < 0) {
		*lock = (struct sl_port_lock){0};
		return fd == -EADDRINUSE ? -EBUSY : fd;
	}
	lock->lock = fd + 1;
	snprintf(text, sizeof(text), "sluice/%s/process/%ld", lock->name, (long)getpid());
	/* without it the lock still works, but errors cannot name the holder */
	fd = bind_name(text);
	lock->owner = fd < 0 ? 0 : fd + 1;
	return 0;
}

void sl_port_lock_release(struct sl_port_lock *lock)
{
	if (lock->owner > 0)
		close(lock->owner - 1);
	if (lock->lock > 0)
		close(lock->lock - 1);
	*lock = (struct sl_port_lock){0};
}
