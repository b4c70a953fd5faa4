/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syslog_sink.c: datagrams to a Unix socket. The daemon behind it may be restarted at any time, so
 * the socket is connected again, once a second at most.
 */
#include "syslog_sink.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "events.h"
#include "log.h"

#define PRIORITY 30 /* facility daemon (3), severity informational (6) */
#define AGAIN_S  1
#define HEAD_MAX 64

struct sl_syslog {
	struct sockaddr_un address;
	int fd;       /* -1: nobody listens */
	time_t again; /* when to look for a listener */
	bool said;    /* that there is none */
	uint64_t lost;
};

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

static void disconnect(struct sl_syslog *sink, int error)
{
	if (sink->fd >= 0)
		close(sink->fd);
	sink->fd = -1;
	sink->again = seconds() + AGAIN_S;
	if (!sink->said)
		sl_log(SL_LOG_WARNING, "events cannot be sent to %s: %s", sink->address.sun_path,
		       strerror(error));
	sink->said = true;
}

/* False: nobody listens. */
static bool is_connected(struct sl_syslog *sink)
{
	if (sink->fd >= 0)
		return true;
	if (seconds() < sink->again)
		return false;
	sink->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sink->fd < 0 || connect(sink->fd, (const struct sockaddr *)&sink->address,
	                            sizeof(sink->address)) != 0) {
		disconnect(sink, errno);
		return false;
	}
	if (sink->said)
		sl_log(SL_LOG_INFO, "events are sent to %s again", sink->address.sun_path);
	sink->said = false;
	return true;
}

struct sl_syslog *sl_syslog_open(const char *path)
{
	struct sl_syslog *sink = calloc(1, sizeof(*sink));

	if (sink == NULL)
		return NULL;
	sink->fd = -1;
	sink->address.sun_family = AF_UNIX;
	snprintf(sink->address.sun_path, sizeof(sink->address.sun_path), "%s", path);
	is_connected(sink);
	return sink;
}

/* What a daemon reads before the text: priority, local time and who it is from. */
static size_t put_head(char out[HEAD_MAX])
{
	time_t now = time(NULL);
	char stamp[32];
	struct tm local;
	int n;

	localtime_r(&now, &local);
	strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &local);
	n = snprintf(out, HEAD_MAX, "<%d>%s sluice[%ld]: ", PRIORITY, stamp, (long)getpid());
	return (size_t)n;
}

void sl_syslog_send(struct sl_syslog *sink, const char *line, size_t len)
{
	char text[HEAD_MAX + SL_EVENTS_LINE_MAX];
	size_t n;

	if (len > SL_EVENTS_LINE_MAX || !is_connected(sink)) {
		sink->lost++;
		return;
	}
	n = put_head(text);
	memcpy(text + n, line, len);
	if (send(sink->fd, text, n + len - 1, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return;
	sink->lost++;
	if (errno != EAGAIN && errno != ENOBUFS)
		disconnect(sink, errno);
}

uint64_t sl_syslog_lost(const struct sl_syslog *sink)
{
	return sink->lost;
}

bool sl_syslog_have_room(struct sl_syslog *sink)
{
	struct pollfd pfd = {.events = POLLOUT};

	if (!is_connected(sink))
		return false;
	pfd.fd = sink->fd;
	return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLOUT) != 0;
}

void sl_syslog_close(struct sl_syslog *sink)
{
	if (sink == NULL)
		return;
	if (sink->fd >= 0)
		close(sink->fd);
	free(sink);
}
