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
#include "tls.h"

#define CONNECTIONS_MAX 64
#define IDLE_S          30    /* without a byte */
#define BODY_S          30    /* from the first byte of a request to its last */
#define STREAM_BYTES    65536 /* at a time */

#define WHO_MAX 256

enum listener_kind { LISTENER_ALL = 0, LISTENER_READ_ONLY, LISTENER_TLS, LISTENERS };

struct listener {
	struct sl_api *api;
	enum listener_kind kind;
	struct MHD_Daemon *daemon; /* NULL: nobody listens */
};

struct sl_api {
	struct sl_api_params params;
	struct sl_tls_texts texts;
	struct listener listener[LISTENERS];
};

/* What comes in piece by piece. */
struct incoming {
	char who[WHO_MAX];
	const struct sl_vlan_set *may; /* NULL: everything */
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

/* ---- who asks ---- */

/* What a client of TLS may change: nothing, if others alone are named. */
static const struct sl_vlan_set *find_client(const struct sl_api_params *params,
                                             const char *subject)
{
	static const struct sl_vlan_set none;

	if (!params->tls.bound)
		return NULL;
	for (size_t i = 0; i < params->tls.n_clients; i++)
		if (strcmp(params->tls.clients[i].subject, subject) == 0)
			return &params->tls.clients[i].vlans;
	return &none;
}

/* A subject is the client's text: it stands between quotes in events, and on a line of the log. */
static void make_plain(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text > '~' || *text == '"' ||
		    *text == '\\')
			*text = '?';
}

/* False: the client is none that is answered, and incoming->who says why. */
static bool name_peer(const struct listener *listener, struct MHD_Connection *connection,
                      struct incoming *incoming)
{
	bool tls = listener->kind == LISTENER_TLS;
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(connection, tls ? MHD_CONNECTION_INFO_GNUTLS_SESSION
	                                                : MHD_CONNECTION_INFO_CONNECTION_FD);
	bool known;

	if (info == NULL)
		return false;
	if (!tls) {
		sl_listen_peer(info->connect_fd, incoming->who, sizeof(incoming->who));
		return true;
	}
	known = sl_tls_client(info->tls_session, incoming->who, sizeof(incoming->who));
	incoming->may = find_client(&listener->api->params, incoming->who);
	make_plain(incoming->who);
	return known;
}

static enum MHD_Result turn_away(const struct listener *listener, struct MHD_Connection *connection,
                                 const struct incoming *incoming)
{
	struct sl_request request = {.api = &listener->api->params, .who = incoming->who};

	sl_request_problem(&request, 403, "certificate", incoming->who, NULL, NULL);
	return send_answer(connection, &request);
}

static enum MHD_Result answer(const struct listener *listener, struct MHD_Connection *connection,
                              const char *path, const char *method, const struct incoming *incoming)
{
	struct sl_request request = {
	        .api = &listener->api->params,
	        .read_only = listener->kind == LISTENER_READ_ONLY,
	        .who = incoming->who,
	        .may = incoming->may,
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

	read_type(connection, &request.body);
	if (incoming->too_large)
		sl_request_problem(&request, 413, "body-too-large",
		                   "the body is larger than control.body-max", NULL, NULL);
	else
		sl_request_answer(&request);
	return send_answer(connection, &request);
}

static enum MHD_Result take(void *listening, struct MHD_Connection *connection, const char *path,
                            const char *method, const char *version, const char *bytes, size_t *n,
                            void **ctx)
{
	const struct listener *listener = listening;
	struct incoming *incoming = *ctx;

	if (incoming == NULL) {
		*ctx = incoming = calloc(1, sizeof(*incoming));
		if (incoming == NULL)
			return MHD_NO;
		incoming->began = seconds();
		/* before its body is read */
		return name_peer(listener, connection, incoming)
		               ? MHD_YES
		               : turn_away(listener, connection, incoming);
	}
	if (*n == 0)
		return answer(listener, connection, path, method, incoming);
	if (seconds() - incoming->began > BODY_S)
		return MHD_NO;
	/* The rest of what is too large is read and forgotten, so that the client hears why. */
	if (!incoming->too_large && !append(incoming, bytes, *n, listener->api->params.body_max))
		forget_body(incoming);
	*n = 0;
	return MHD_YES;
}

static void forget(void *listening, struct MHD_Connection *connection, void **ctx,
                   enum MHD_RequestTerminationCode why)
{
	struct incoming *incoming = *ctx;

	if (incoming != NULL)
		free(incoming->body.bytes);
	free(incoming);
	*ctx = NULL;
}

/* ---- start and stop ---- */

/* Takes over the socket. No flag and no extra options: as it is for a Unix socket. */
static int start_daemon(struct sl_api *api, enum listener_kind kind, int fd, unsigned flag,
                        struct MHD_OptionItem *extra)
{
	struct MHD_OptionItem none = {MHD_OPTION_END, 0, NULL};
	struct listener *listener = &api->listener[kind];

	listener->api = api;
	listener->kind = kind;
	listener->daemon = MHD_start_daemon(
	        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
	                flag,
	        0, NULL, NULL, take, listener, MHD_OPTION_LISTEN_SOCKET, fd,
	        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_NOTIFY_COMPLETED,
	        forget, NULL, MHD_OPTION_ARRAY, extra != NULL ? extra : &none, MHD_OPTION_END);
	if (listener->daemon != NULL)
		return 0;
	close(fd);
	return -EAGAIN;
}

static int start_unix(struct sl_api *api, enum listener_kind kind, const char *path, char *err,
                      size_t err_size)
{
	int fd, ret;

	if (path[0] == '\0')
		return 0;
	fd = sl_listen_unix(path, api->params.mode, api->params.group, err, err_size);
	if (fd < 0)
		return fd;
	ret = start_daemon(api, kind, fd, 0, NULL);
	if (ret == 0)
		return 0;
	unlink(path);
	snprintf(err, err_size, "control socket %s: no thread to answer on it", path);
	return ret;
}

static int start_tls(struct sl_api *api, char *err, size_t err_size)
{
	static const char versions[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
	const struct sl_api_params *params = &api->params;
	struct MHD_OptionItem options[5] = {{.option = MHD_OPTION_END}};
	int fd, ret;

	if (params->tls.listen == NULL || params->tls.listen->port == 0)
		return 0;
	ret = sl_tls_texts_read(params->tls.cert, params->tls.key, params->tls.client_ca,
	                        &api->texts, err, err_size);
	if (ret != 0)
		return ret;
	options[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, api->texts.cert};
	options[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, api->texts.key};
	options[2] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, api->texts.client_ca};
	options[3] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)versions};
	options[4] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	fd = sl_listen_tcp(params->tls.listen, err, err_size);
	if (fd < 0)
		return fd;
	ret = start_daemon(api, LISTENER_TLS, fd, MHD_USE_TLS, options);
	if (ret != 0)
		snprintf(err, err_size, "control.tls: no thread to answer by TLS");
	return ret;
}

int sl_api_start(const struct sl_api_params *params, struct sl_api **out, char *err,
                 size_t err_size)
{
	struct sl_api *api;
	int ret;

	*out = NULL;
	if (params->socket[0] == '\0' && params->read_only_socket[0] == '\0' &&
	    params->tls.listen->port == 0)
		return 0;
	api = calloc(1, sizeof(*api));
	if (api == NULL) {
		snprintf(err, err_size, "no memory for the API");
		return -ENOMEM;
	}
	api->params = *params;
	ret = start_unix(api, LISTENER_ALL, params->socket, err, err_size);
	if (ret == 0)
		ret = start_unix(api, LISTENER_READ_ONLY, params->read_only_socket, err, err_size);
	if (ret == 0)
		ret = start_tls(api, err, err_size);
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
	for (unsigned i = 0; i < LISTENERS; i++) {
		if (api->listener[i].daemon == NULL)
			continue;
		MHD_stop_daemon(api->listener[i].daemon);
		if (i != LISTENER_TLS)
			unlink(i == LISTENER_ALL ? api->params.socket
			                         : api->params.read_only_socket);
	}
	sl_tls_texts_free(&api->texts);
	free(api);
}
