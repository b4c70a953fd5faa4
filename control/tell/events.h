/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.h: decisions as JSON lines (spec: one object a line, every key always there).
 */
#ifndef SLUICE_CONTROL_EVENTS_H
#define SLUICE_CONTROL_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_event;
struct sl_events;

/* Bytes of the longest line: every byte of both names may take six. */
#define SL_EVENTS_LINE_MAX 4096

/*
 * Writes the line of an event to out, its newline last, not NUL-terminated. Returns its length.
 * Pure.
 */
size_t sl_events_format(const struct sl_event *event, char out[SL_EVENTS_LINE_MAX]);

/* What wrote a line: the host, this start of the gateway, and a number that rises by one. */
struct sl_events_origin {
	char node[256];
	char boot[40];
};

void sl_events_origin_read(struct sl_events_origin *origin);

/* Adds the origin to a line that was formatted here. Returns the new length. */
size_t sl_events_stamp(char line[SL_EVENTS_LINE_MAX], size_t len,
                       const struct sl_events_origin *origin, uint64_t seq);

/*
 * Writes the line of an event that is not a packet's: its time, kind and generation (0: none), and
 * more members, which begin with a comma or are empty. Returns its length.
 */
size_t sl_events_note(uint64_t time_us, const char *kind, uint64_t generation, const char *more,
                      char out[SL_EVENTS_LINE_MAX]);

enum sl_events_when_full {
	SL_EVENTS_DROP = 0, /* a running gateway never waits for a reader of its events */
	SL_EVENTS_WAIT,     /* replay waits */
};

/*
 * Opens a file to append to, or with "-" standard output. Returns NULL and errno. One thread; the
 * caller must ignore SIGPIPE to survive a reader that goes away.
 */
struct sl_events *sl_events_open(const char *path, enum sl_events_when_full when_full);

/* Opens the path again, for a log rotation; keeps the old file if that fails, and returns -errno.
 */
int sl_events_reopen(struct sl_events *events);

/*
 * Opens the path again if the file has been renamed or removed since, as logrotate does. To be
 * called regularly; a failure is logged once, and the old file is kept.
 */
void sl_events_follow(struct sl_events *events);

/* Whether the next line would not be lost. */
bool sl_events_have_room(const struct sl_events *events);

/* Adds a line, its newline included; as sl_events_add(). */
void sl_events_add_line(struct sl_events *events, const char *line, size_t len);

/* Adds an event. It is written when the buffer is full or sl_events_flush() is called. */
void sl_events_add(struct sl_events *events, const struct sl_event *event);

/*
 * Writes what is buffered, whole lines at a time. Returns 0, even if a reader is slow
 * (SL_EVENTS_DROP), or -errno of the write that failed; what was not written is kept while the
 * buffer has room. Logs a failure once, until a write succeeds again.
 */
int sl_events_flush(struct sl_events *events);

/* Events that there was no room for. */
uint64_t sl_events_lost(const struct sl_events *events);

/* Flushes, gives a slow reader a second, and closes. Returns 0 or -errno. NULL is fine. */
int sl_events_close(struct sl_events *events);

#endif
