/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.c: writes a worker's events to a file as JSON lines.
 *
 * Decides the form of the line and what happens when the file does not accept it: the gateway goes
 * on, the line waits in a bounded buffer, and when that is full events are counted as lost. Never
 * blocks a running gateway: a file that is not a regular one is polled first, and gets at most
 * PIPE_BUF bytes at once.
 */
#include "events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "sluice/event.h"

#define BUFFER_BYTES  (1u << 20)
#define CLOSE_WAIT_MS 1000

struct sl_events {
	char *path;
	int fd;
	bool astray;  /* its path is another file's, and cannot be opened */
	bool regular; /* a write to a regular file never waits for a reader */
	enum sl_events_when_full when_full;
	bool complained;
	uint64_t lost;
	size_t len;
	char buffer[BUFFER_BYTES];
};

/* ---- the line ---- */

struct line {
	char *at;
};

static void put(struct line *line, const char *text)
{
	size_t len = strlen(text);

	memcpy(line->at, text, len);
	line->at += len;
}

static void put_number(struct line *line, uint64_t number)
{
	line->at += sprintf(line->at, "%" PRIu64, number);
}

/*
 * Length of the UTF-8 sequence at text (RFC 3629 section 4), 0 if it is invalid, as overlong
 * forms, surrogates and values beyond U+10FFFF are.
 */
static size_t utf8_len(const unsigned char *text, size_t len)
{
	size_t need;
	uint32_t code, least;

	if (text[0] < 0x80)
		return 1;
	if (text[0] >= 0xc2 && text[0] <= 0xdf)
		need = 2, code = text[0] & 0x1f, least = 0x80;
	else if ((text[0] & 0xf0) == 0xe0)
		need = 3, code = text[0] & 0x0f, least = 0x800;
	else if (text[0] >= 0xf0 && text[0] <= 0xf4)
		need = 4, code = text[0] & 0x07, least = 0x10000;
	else
		return 0;
	if (len < need)
		return 0;
	for (size_t i = 1; i < need; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return need;
}

/* A JSON string (RFC 8259 section 7); bytes that are not UTF-8 become U+FFFD. */
static void put_string(struct line *line, const char *text, size_t len)
{
	*line->at++ = '"';
	while (len > 0) {
		unsigned char c = (unsigned char)*text;
		size_t step = utf8_len((const unsigned char *)text, len);

		if (step == 0) {
			put(line, "\\ufffd");
			step = 1;
		} else if (c < 0x20 || c == 0x7f) {
			line->at += sprintf(line->at, "\\u%04x", c);
		} else {
			if (c == '"' || c == '\\')
				*line->at++ = '\\';
			memcpy(line->at, text, step);
			line->at += step;
		}
		text += step;
		len -= step;
	}
	*line->at++ = '"';
}

static void put_string_or_null(struct line *line, const char *text, size_t len)
{
	if (len == 0)
		put(line, "null");
	else
		put_string(line, text, len);
}

static void put_time(struct line *line, uint64_t time_us)
{
	time_t seconds = (time_t)(time_us / 1000000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	line->at += strftime(line->at, 32, "\"%Y-%m-%dT%H:%M:%S", &tm);
	line->at += sprintf(line->at, ".%06uZ\"", (unsigned)(time_us % 1000000));
}

static void put_addr(struct line *line, const struct sl_addr *addr)
{
	char text[INET6_ADDRSTRLEN];

	if (addr->family == SL_FAMILY_NONE) {
		put(line, "null");
		return;
	}
	inet_ntop(addr->family == SL_FAMILY_4 ? AF_INET : AF_INET6, addr->bytes, text,
	          sizeof(text));
	put_string(line, text, strlen(text));
}

static void put_proto(struct line *line, int proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		put(line, "\"tcp\"");
		return;
	case IPPROTO_UDP:
		put(line, "\"udp\"");
		return;
	case IPPROTO_ICMP:
		put(line, "\"icmp\"");
		return;
	case IPPROTO_ICMPV6:
		put(line, "\"icmp6\"");
		return;
	default:
		break;
	}
	if (proto < 0)
		put(line, "null");
	else
		put_number(line, (uint64_t)proto);
}

static void put_port(struct line *line, const struct sl_event *event, uint16_t port)
{
	if (event->has_ports)
		put_number(line, port);
	else
		put(line, "null");
}

static const char *via_text(enum sl_via via)
{
	switch (via) {
	case SL_VIA_NONE:
		break;
	case SL_VIA_TLS:
		return "\"tls\"";
	case SL_VIA_QUIC:
		return "\"quic\"";
	case SL_VIA_HTTP:
		return "\"http\"";
	case SL_VIA_DNS:
		return "\"dns\"";
	case SL_VIA_PIN:
		return "\"pin\"";
	}
	return "null";
}

static void put_number_or_null(struct line *line, uint64_t number)
{
	if (number == 0)
		put(line, "null");
	else
		put_number(line, number);
}

static void put_kind(struct line *line, const struct sl_event *event, const char *kind)
{
	put(line, "{\"ts\":");
	put_time(line, event->time_us);
	put(line, ",\"event\":\"");
	put(line, kind);
	put(line, "\",\"generation\":");
	put_number_or_null(line, event->generation);
	put(line, ",\"vlan\":");
	put_number_or_null(line, event->vlan);
	put(line, ",\"sandbox\":");
	put_string_or_null(line, event->sandbox, strnlen(event->sandbox, sizeof(event->sandbox)));
}

static void put_suppressed(struct line *line, const struct sl_event *event)
{
	put_kind(line, event, "suppressed");
	put(line, ",\"reason\":\"");
	put(line, sl_reason_name((enum sl_reason)event->reason));
	put(line, "\",\"count\":");
	put_number(line, event->count);
	put(line, "}\n");
}

size_t sl_events_format(const struct sl_event *event, char out[SL_EVENTS_LINE_MAX])
{
	struct line line = {out};
	enum sl_reason reason = (enum sl_reason)event->reason;

	if (event->kind == SL_EVENT_SUPPRESSED) {
		put_suppressed(&line, event);
		return (size_t)(line.at - out);
	}
	put_kind(&line, event, "flow");
	put(&line, event->allow ? ",\"verdict\":\"allow\"" : ",\"verdict\":\"deny\"");
	put(&line, ",\"reason\":\"");
	put(&line, sl_reason_name(reason));
	put(&line, "\",\"proto\":");
	put_proto(&line, event->proto);
	put(&line, ",\"src\":");
	put_addr(&line, &event->src);
	put(&line, ",\"sport\":");
	put_port(&line, event, event->sport);
	put(&line, ",\"dst\":");
	put_addr(&line, &event->dst);
	put(&line, ",\"dport\":");
	put_port(&line, event, event->dport);
	put(&line, ",\"name\":");
	put_string_or_null(&line, event->name, event->name_len);
	put(&line, ",\"via\":");
	put(&line, via_text((enum sl_via)event->via));
	put(&line, "}\n");
	return (size_t)(line.at - out);
}

void sl_events_origin_read(struct sl_events_origin *origin)
{
	FILE *in = fopen("/proc/sys/kernel/random/uuid", "r");
	struct utsname host;

	memset(origin, 0, sizeof(*origin));
	snprintf(origin->node, sizeof(origin->node), "%s",
	         uname(&host) == 0 ? host.nodename : "localhost");
	if (in == NULL || fgets(origin->boot, sizeof(origin->boot), in) == NULL)
		snprintf(origin->boot, sizeof(origin->boot), "%lld-%ld", (long long)time(NULL),
		         (long)getpid());
	origin->boot[strcspn(origin->boot, "\n")] = '\0';
	if (in != NULL)
		fclose(in);
}

size_t sl_events_stamp(char line[SL_EVENTS_LINE_MAX], size_t len,
                       const struct sl_events_origin *origin, uint64_t seq)
{
	struct line end = {line + len - strlen("}\n")};

	put(&end, ",\"v\":1,\"node\":");
	put_string(&end, origin->node, strlen(origin->node));
	put(&end, ",\"boot\":");
	put_string(&end, origin->boot, strlen(origin->boot));
	put(&end, ",\"seq\":");
	put_number(&end, seq);
	put(&end, "}\n");
	return (size_t)(end.at - line);
}

size_t sl_events_note(uint64_t time_us, const char *kind, uint64_t generation, const char *more,
                      char out[SL_EVENTS_LINE_MAX])
{
	struct line line = {out};

	put(&line, "{\"ts\":");
	put_time(&line, time_us);
	put(&line, ",\"event\":\"");
	put(&line, kind);
	put(&line, "\",\"generation\":");
	put_number_or_null(&line, generation);
	put(&line, more);
	put(&line, "}\n");
	return (size_t)(line.at - out);
}

/* ---- the file ---- */

/* Opens path. Returns the descriptor or -errno. Does not wait for the reader of a FIFO. */
static int open_path(const char *path)
{
	int fd;

	if (strcmp(path, "-") == 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		          0640);
	return fd < 0 ? -errno : fd;
}

static bool is_regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

struct sl_events *sl_events_open(const char *path, enum sl_events_when_full when_full)
{
	struct sl_events *events = malloc(sizeof(*events));
	int fd;

	if (events == NULL)
		return NULL;
	fd = open_path(path);
	if (fd < 0) {
		free(events);
		errno = -fd;
		return NULL;
	}
	events->path = strdup(path);
	if (events->path == NULL) {
		close(fd);
		free(events);
		errno = ENOMEM;
		return NULL;
	}
	events->fd = fd;
	events->regular = is_regular(fd);
	events->when_full = when_full;
	events->complained = false;
	events->astray = false;
	events->lost = 0;
	events->len = 0;
	return events;
}

int sl_events_reopen(struct sl_events *events)
{
	int fd;

	sl_events_flush(events);
	fd = open_path(events->path);
	if (fd < 0)
		return fd;
	close(events->fd);
	events->fd = fd;
	events->regular = is_regular(fd);
	return 0;
}

static bool is_still_named(const struct sl_events *events)
{
	struct stat open_one, named;

	return fstat(events->fd, &open_one) == 0 && stat(events->path, &named) == 0 &&
	       open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

void sl_events_follow(struct sl_events *events)
{
	int ret;

	if (!events->regular || strcmp(events->path, "-") == 0 || is_still_named(events))
		return;
	ret = sl_events_reopen(events);
	if (ret != 0 && !events->astray)
		sl_log(SL_LOG_WARNING, "%s was renamed, and cannot be opened again: %s",
		       events->path, strerror(-ret));
	events->astray = ret != 0;
}

/* How much to write at once: all, or for a pipe whole lines that fit into one atomic write. */
static size_t piece(const struct sl_events *events, const char *from, size_t len)
{
	const char *end;

	if (events->regular || len <= PIPE_BUF)
		return len;
	end = memrchr(from, '\n', PIPE_BUF);
	return end != NULL ? (size_t)(end + 1 - from) : PIPE_BUF;
}

/* True if a write of a piece does not block. Waits up to timeout_ms (-1: for ever) for that. */
static bool writable(const struct sl_events *events, int timeout_ms)
{
	struct pollfd pfd = {.fd = events->fd, .events = POLLOUT};

	/* write() will report an error */
	return events->regular || poll(&pfd, 1, timeout_ms) > 0;
}

static int complain(struct sl_events *events, int err)
{
	if (!events->complained)
		sl_log(SL_LOG_WARNING, "events cannot be written to %s (%s); the gateway goes on",
		       events->path, strerror(err));
	events->complained = true;
	return -err;
}

static int flush(struct sl_events *events, int timeout_ms)
{
	size_t done = 0;
	int ret = 0;

	while (done < events->len && writable(events, timeout_ms)) {
		const char *from = events->buffer + done;
		ssize_t n = write(events->fd, from, piece(events, from, events->len - done));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			ret = complain(events, errno);
			break;
		}
		events->complained = false;
		done += (size_t)n;
	}
	events->len -= done;
	memmove(events->buffer, events->buffer + done, events->len);
	return ret;
}

int sl_events_flush(struct sl_events *events)
{
	return flush(events, events->when_full == SL_EVENTS_WAIT ? -1 : 0);
}

bool sl_events_have_room(const struct sl_events *events)
{
	return sizeof(events->buffer) - events->len >= SL_EVENTS_LINE_MAX;
}

/* False: the next line is lost, and counted. */
static bool make_room(struct sl_events *events)
{
	if (!sl_events_have_room(events))
		sl_events_flush(events);
	if (sl_events_have_room(events))
		return true;
	if (events->lost++ == 0)
		sl_log(SL_LOG_WARNING, "events are lost: %s does not take them fast enough",
		       events->path);
	return false;
}

void sl_events_add(struct sl_events *events, const struct sl_event *event)
{
	if (make_room(events))
		events->len += sl_events_format(event, events->buffer + events->len);
}

void sl_events_add_line(struct sl_events *events, const char *line, size_t len)
{
	if (!make_room(events))
		return;
	memcpy(events->buffer + events->len, line, len);
	events->len += len;
}

uint64_t sl_events_lost(const struct sl_events *events)
{
	return events->lost;
}

int sl_events_close(struct sl_events *events)
{
	int ret;

	if (events == NULL)
		return 0;
	ret = flush(events, events->when_full == SL_EVENTS_WAIT ? -1 : CLOSE_WAIT_MS);
	if (close(events->fd) != 0 && ret == 0)
		ret = -errno;
	free(events->path);
	free(events);
	return ret;
}
