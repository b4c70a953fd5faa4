/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.c: makes the API's sockets (unix(7)).
 */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "document/endpoint.h"

#define BACKLOG 64

static int fail(int error, char *err, size_t err_size, const char *path, const char *what)
{
	snprintf(err, err_size, "control socket %s: %s: %s", path, what, strerror(error));
	return -error;
}

/* The folder alone, not those above it: a mistyped path makes no tree. */
static int make_folder(const char *path, char *err, size_t err_size)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path)
		return 0;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	if (mkdir(folder, 0755) != 0 && errno != EEXIST)
		return fail(errno, err, err_size, path, "its folder cannot be made");
	return 0;
}

/* 0: nobody answers, and what stood there is gone. */
static int replace(const struct sockaddr_un *address, char *err, size_t err_size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);
	struct stat found;

	if (fd < 0)
		return fail(errno, err, err_size, address->sun_path, "no socket");
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
		snprintf(err, err_size, "control socket %s: the process with PID %ld answers there",
		         address->sun_path, (long)peer.pid);
		close(fd);
		return -EADDRINUSE;
	}
	close(fd);
	if (lstat(address->sun_path, &found) != 0)
		return 0;
	if (!S_ISSOCK(found.st_mode)) {
		snprintf(err, err_size, "control socket %s: that is no socket", address->sun_path);
		return -EEXIST;
	}
	if (unlink(address->sun_path) != 0)
		return fail(errno, err, err_size, address->sun_path, "it cannot be replaced");
	return 0;
}

/* A group that does not exist leaves the socket root's. */
static int give_to(const char *path, unsigned mode, const char *group, char *err, size_t err_size)
{
	const struct group *found = group != NULL ? getgrnam(group) : NULL;

	if (found != NULL && chown(path, (uid_t)-1, found->gr_gid) != 0)
		return fail(errno, err, err_size, path, "its group cannot be set");
	if (chmod(path, mode) != 0)
		return fail(errno, err, err_size, path, "its mode cannot be set");
	return 0;
}

static int bind_and_listen(int fd, const struct sockaddr_un *address, unsigned mode,
                           const char *group, char *err, size_t err_size)
{
	const char *path = address->sun_path;
	mode_t before = umask(0177); /* nobody else's until its mode is set */
	int ret = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;

	umask(before);
	if (ret != 0)
		return fail(ret, err, err_size, path, "it cannot be made");
	ret = give_to(path, mode, group, err, err_size);
	if (ret == 0 && listen(fd, BACKLOG) != 0)
		ret = fail(errno, err, err_size, path, "nobody can connect to it");
	if (ret != 0)
		unlink(path);
	return ret;
}

int sl_listen_unix(const char *path, unsigned mode, const char *group, char *err, size_t err_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return fail(ENAMETOOLONG, err, err_size, path, "it cannot be made");
	strcpy(address.sun_path, path);
	ret = make_folder(path, err, err_size);
	if (ret == 0)
		ret = replace(&address, err, err_size);
	if (ret != 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(errno, err, err_size, path, "no socket");
	ret = bind_and_listen(fd, &address, mode, group, err, err_size);
	if (ret == 0)
		return fd;
	close(fd);
	return ret;
}

static socklen_t make_address(const struct sl_endpoint *endpoint, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *in = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	if (endpoint->ipv6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(endpoint->port);
		memcpy(&in6->sin6_addr, endpoint->address, sizeof(in6->sin6_addr));
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(endpoint->port);
	memcpy(&in->sin_addr, endpoint->address, sizeof(in->sin_addr));
	return sizeof(*in);
}

int sl_listen_tcp(const struct sl_endpoint *endpoint, char *err, size_t err_size)
{
	struct sockaddr_storage address;
	socklen_t len = make_address(endpoint, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char host[INET6_ADDRSTRLEN] = "";
	const int on = 1;
	int error = errno;

	/* a gateway that starts again does not wait for connections of the one before */
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (const struct sockaddr *)&address, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	if (fd >= 0) {
		error = errno;
		close(fd);
	}
	inet_ntop(address.ss_family, endpoint->address, host, sizeof(host));
	snprintf(err, err_size, "control.tls: nobody can connect to %s port %u: %s", host,
	         endpoint->port, strerror(error));
	return -error;
}

void sl_listen_peer(int fd, char *out, size_t size)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		snprintf(out, size, "uid %u, pid %ld", (unsigned)peer.uid, (long)peer.pid);
	else
		snprintf(out, size, "an unknown peer");
}
