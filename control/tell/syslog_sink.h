/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syslog_sink.h: events to syslog or journald, by their socket (RFC 3164 as both read it on
 * /dev/log), and never waiting for them. libc's syslog(3) waits for a reader that is late.
 */
#ifndef SLUICE_CONTROL_SYSLOG_SINK_H
#define SLUICE_CONTROL_SYSLOG_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_SYSLOG_SOCKET "/dev/log"

struct sl_syslog;

/* Returns NULL without memory. That nobody listens on the path is no error: one may later. */
struct sl_syslog *sl_syslog_open(const char *path);

/* Sends a line, its newline included. One that is not taken at once is lost and counted. */
void sl_syslog_send(struct sl_syslog *sink, const char *line, size_t len);

/* Lines that were lost. */
uint64_t sl_syslog_lost(const struct sl_syslog *sink);

/* Whether the next line would be taken. */
bool sl_syslog_have_room(struct sl_syslog *sink);

/* NULL is fine. */
void sl_syslog_close(struct sl_syslog *sink);

#endif
