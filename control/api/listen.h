/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.h: Unix sockets that one gateway at a time answers on.
 */
#ifndef SLUICE_CONTROL_LISTEN_H
#define SLUICE_CONTROL_LISTEN_H

#include <stddef.h>

/*
 * Makes the socket's folder where it is missing, and the socket, whose mode and group are set
 * before the first client can connect. A socket on which nobody answers is replaced. Returns a
 * listening descriptor, or -errno and a message in err: -EADDRINUSE names the process that answers.
 */
int sl_listen_unix(const char *path, unsigned mode, const char *group, char *err, size_t err_size);

/* The same by TCP, for an address (endpoint.h), which messages call by its numbers. */
struct sl_endpoint;
int sl_listen_tcp(const struct sl_endpoint *endpoint, char *err, size_t err_size);

/* The other end of a connection, "uid 0, pid 1234", for the log. */
void sl_listen_peer(int fd, char *out, size_t size);

#endif
