/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c: one line, one write.
 *
 * Decides the form of log lines. Never called by a worker, never fatal: a gateway whose standard
 * error is gone goes on.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static bool with_time;
static const char *line_prefix;

void sl_log_style(bool timestamps, const char *prefix)
{
	with_time = timestamps;
	line_prefix = prefix;
}

static const char *level_text(enum sl_log_level level)
{
	switch (level) {
	case SL_LOG_ERROR:
		return "error: ";
	case SL_LOG_WARNING:
		return "warning: ";
	case SL_LOG_INFO:
		break;
	}
	return "";
}

/* Writes the beginning of a line; returns its length. */
static size_t put_head(char *out, size_t size, enum sl_log_level level)
{
	struct timespec now;
	struct tm tm;
	size_t len = 0;

	if (with_time) {
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		len = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
		len += (size_t)snprintf(out + len, size - len, ".%03ldZ ", now.tv_nsec / 1000000);
	}
	len += (size_t)snprintf(out + len, size - len, "%s%s", line_prefix ? line_prefix : "",
	                        level_text(level));
	return len;
}

void sl_log(enum sl_log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	int saved = errno, n;
	size_t head = put_head(line, sizeof(line) / 2, level), len;
	va_list args;

	va_start(args, fmt);
	n = vsnprintf(line + head, sizeof(line) - head - 1, fmt, args);
	va_end(args);
	if (n < 0)
		n = 0;
	len = head + (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	/* untrusted text must not control the operator's terminal or forge a line */
	for (size_t i = head; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0) {
		/* an error here cannot be reported */
	}
	errno = saved;
}
