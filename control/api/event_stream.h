/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_stream.h: events as they come, to a client of the API: JSON lines, filtered.
 */
#ifndef SLUICE_CONTROL_EVENT_STREAM_H
#define SLUICE_CONTROL_EVENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "request.h"

#define SL_EVENT_STREAM_HEARTBEAT_MS 10000

struct sl_event_stream;

/* GET /v1/events: makes request->stream, or answers with what is wrong. */
void sl_request_events(struct sl_request *request, int op);

/*
 * The next bytes for the client, waiting for them if it follows. 0: the end.
 * libmicrohttpd's thread of the connection.
 */
ssize_t sl_event_stream_read(struct sl_event_stream *stream, char *out, size_t size);
void sl_event_stream_free(struct sl_event_stream *stream);

#endif
