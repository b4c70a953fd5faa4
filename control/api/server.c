/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c: HTTP by libmicrohttpd: takes requests in, with bounds on how large they are and how
 * long they may take, and sends answers.
 */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

#include "listen.h"
#include "request.h"
#include "event_stream.h"

#define CONNECTIONS_MAX 64
#define IDLE_S          30 /* without a byte */
#define BODY_S          30 /* from the first byte of a request to its last */
#define SOCKETS         2
#define STREAM_BYTES    65536 /* at a time */

struct sl_api {
	struct sl_api_params params;
	struct MHD_Daemon *daemon[SOCKETS]; /* the second one only reads */
};

/* What comes in piece by piece. */
struct incoming {
	struct sl_request_body body;
	size_t room;
	time_t began;
	bool too_large;
};

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* ---- bodies ---- */

static void read_type(struct MHD_Connection *connection, struct sl_request_body *body)
{
	const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
	size_t n = type != NULL ? strcspn(type, "; ") : 0;

	if (type == NULL || (n == 16 && strncasecmp(type, "application/json", n) == 0))
		return;
	body->yaml = (n == 16 && strncasecmp(type, "application/yaml", n) == 0) ||
	             (n == 18 && strncasecmp(type, "application/x-yaml", n) == 0);
	/* what curl says of any --data */
	body->unknown = !body->yaml &&
	                (n != 33 || strncasecmp(type, "application/x-www-form-urlencoded", n) != 0);
}

/* False: there is no memory for it, or there may not be more of it. */
static bool append(struct incoming *incoming, const char *bytes, size_t n, size_t max)
{
	struct sl_request_body *body = &incoming->body;

	if (n > max - body->len)
		return false;
	if (body->len + n > incoming->room) {
		size_t room = 2 * incoming->room + n < max ? 2 * incoming->room + n : max;
		char *grown = realloc(body->bytes, room);

		if (grown == NULL)
			return false;
		body->bytes = grown;
		incoming->room = room;
	}
	memcpy(body->bytes + body->len, bytes, n);
	body->len += n;
	return true;
}

static void forget_body(struct incoming *incoming)
{
	free(incoming->body.bytes);
	memset(&incoming->body, 0, sizeof(incoming->body));
	incoming->room = 0;
	incoming->too_large = true;
}

/* ---- answers ---- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
	if (value[0] != '\0')
		MHD_add_response_header(response, name, value);
}

static ssize_t read_stream(void *stream, uint64_t at, char *out, size_t size)
{
	ssize_t n = sl_event_stream_read(stream, out, size);

	return n > 0 ? n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void end_stream(void *stream)
{
	sl_event_stream_free(stream);
}

static struct MHD_Response *make_response(struct sl_request *request)
{
	struct MHD_Response *response;

	if (request->stream != NULL) {
		response = MHD_create_response_from_callback(
		        MHD_SIZE_UNKNOWN, STREAM_BYTES, read_stream, request->stream, end_stream);
		if (response == NULL)
			sl_event_stream_free(request->stream);
		return response;
	}
	response = MHD_create_response_from_buffer(strlen(request->text), request->text,
	                                           MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		free(request->text);
	return response;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct sl_request *request)
{
	struct MHD_Response *response = make_response(request);
	enum MHD_Result sent;

	if (response == NULL)
		return MHD_NO;
	add_header(response, "Content-Type", request->type);
	add_header(response, "ETag", request->etag);
	add_header(response, "Allow", request->allow);
	sent = MHD_queue_response(connection, (unsigned)request->status, response);
	MHD_destroy_response(response);
	return sent;
}

static const char *argument(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static void name_peer(struct MHD_Connection *connection, char *out, size_t size)
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (info != NULL)
		sl_listen_peer(info->connect_fd, out, size);
}

static enum MHD_Result answer(struct sl_api *api, bool read_only, struct MHD_Connection *connection,
                              const char *path, const char *method, const struct incoming *incoming)
{
	struct sl_request request = {
	        .api = &api->params,
	        .read_only = read_only,
	        .method = method,
	        .path = path,
	        .body = incoming->body,
	        .if_match = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "If-Match"),
	        .accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept"),
	        .dry_run = argument(connection, "dry-run"),
	        .limit = argument(connection, "limit"),
	        .after = argument(connection, "after"),
	        .sandbox = argument(connection, "sandbox"),
	        .follow = argument(connection, "follow"),
	        .last = argument(connection, "last"),
	        .verdict = argument(connection, "verdict"),
	        .reason = argument(connection, "reason"),
	        .event = argument(connection, "event"),
	};

	name_peer(connection, request.who, sizeof(request.who));
	read_type(connection, &request.body);
	if (incoming->too_large)
		sl_request_problem(&request, 413, "body-too-large",
		                   "the body is larger than control.body-max", NULL, NULL);
	else
		sl_request_answer(&request);
	return send_answer(connection, &request);
}

static enum MHD_Result take(struct sl_api *api, bool read_only, struct MHD_Connection *connection,
                            const char *path, const char *method, const char *bytes, size_t *n,
                            void **ctx)
{
	struct incoming *incoming = *ctx;

	if (incoming == NULL) {
		*ctx = incoming = calloc(1, sizeof(*incoming));
		if (incoming == NULL)
			return MHD_NO;
		incoming->began = seconds();
		return MHD_YES;
	}
	if (*n == 0)
		return answer(api, read_only, connection, path, method, incoming);
	if (seconds() - incoming->began > BODY_S)
		return MHD_NO;
	/* The rest of what is too large is read and forgotten, so that the client hears why. */
	if (!incoming->too_large && !append(incoming, bytes, *n, api->params.body_max))
		forget_body(incoming);
	*n = 0;
	return MHD_YES;
}

static enum MHD_Result take_any(void *api, struct MHD_Connection *connection, const char *path,
                                const char *method, const char *version, const char *bytes,
                                size_t *n, void **ctx)
{
	return take(api, false, connection, path, method, bytes, n, ctx);
}

static enum MHD_Result take_reading(void *api, struct MHD_Connection *connection, const char *path,
                                    const char *method, const char *version, const char *bytes,
                                    size_t *n, void **ctx)
{
	return take(api, true, connection, path, method, bytes, n, ctx);
}

static void forget(void *api, struct MHD_Connection *connection, void **ctx,
                   enum MHD_RequestTerminationCode why)
{
	struct incoming *incoming = *ctx;

	if (incoming != NULL)
		free(incoming->body.bytes);
	free(incoming);
	*ctx = NULL;
}

/* ---- start and stop ---- */

static int start_one(struct sl_api *api, unsigned which, const char *path, char *err,
                     size_t err_size)
{
	int fd;

	if (path[0] == '\0')
		return 0;
	fd = sl_listen_unix(path, api->params.mode, api->params.group, err, err_size);
	if (fd < 0)
		return fd;
	api->daemon[which] = MHD_start_daemon(
	        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0,
	        NULL, NULL, which == 0 ? take_any : take_reading, api, MHD_OPTION_LISTEN_SOCKET, fd,
	        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_NOTIFY_COMPLETED,
	        forget, NULL, MHD_OPTION_END);
	if (api->daemon[which] != NULL)
		return 0;
	close(fd);
	unlink(path);
	snprintf(err, err_size, "control socket %s: no thread to answer on it", path);
	return -EAGAIN;
}

int sl_api_start(const struct sl_api_params *params, struct sl_api **out, char *err,
                 size_t err_size)
{
	struct sl_api *api;
	int ret;

	*out = NULL;
	if (params->socket[0] == '\0' && params->read_only_socket[0] == '\0')
		return 0;
	api = calloc(1, sizeof(*api));
	if (api == NULL) {
		snprintf(err, err_size, "no memory for the API");
		return -ENOMEM;
	}
	api->params = *params;
	ret = start_one(api, 0, params->socket, err, err_size);
	if (ret == 0)
		ret = start_one(api, 1, params->read_only_socket, err, err_size);
	if (ret != 0)
		sl_api_stop(api);
	else
		*out = api;
	return ret;
}

void sl_api_stop(struct sl_api *api)
{
	if (api == NULL)
		return;
	for (unsigned i = 0; i < SOCKETS; i++) {
		if (api->daemon[i] == NULL)
			continue;
		MHD_stop_daemon(api->daemon[i]);
		unlink(i == 0 ? api->params.socket : api->params.read_only_socket);
	}
	free(api);
}
