/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h: one request of the API and its answer, between server.c, which knows HTTP, and
 * calls.c, which knows what is asked.
 */
#ifndef SLUICE_CONTROL_REQUEST_H
#define SLUICE_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "document/diag.h"
#include "document/vlan_set.h"
#include "server.h"

#define SL_API_ID_MAX 256

struct sl_yaml_doc;

struct sl_request_body {
	char *bytes;
	size_t len;
	bool yaml;    /* Content-Type: application/yaml; else JSON */
	bool unknown; /* another type */
};

struct sl_request {
	const struct sl_api_params *api;
	bool read_only; /* it came by the socket that refuses pushes */
	const char *method;
	const char *path;
	char id[SL_API_ID_MAX]; /* of the path's `*`, decoded; "" */
	struct sl_request_body body;
	const char *if_match; /* headers and arguments; NULL: not given */
	const char *accept;
	const char *dry_run, *limit, *after, *sandbox;
	const char *follow, *last, *verdict, *reason, *event;
	const char *who;               /* the peer, for the log and events */
	const struct sl_vlan_set *may; /* whose sandboxes it may change; NULL: all */

	/* the answer */
	int status;
	char *text;                     /* owned */
	struct sl_event_stream *stream; /* instead: what comes bit by bit (event_stream.h); owned */
	const char *type;
	char etag[32];  /* "": none */
	char allow[64]; /* with 405 */
};

/* Finds the call and answers; always leaves an answer. Any thread. */
void sl_request_answer(struct sl_request *request);

/* Reads the body into a tree that knows lines and columns. False: answered. */
bool sl_request_read_body(struct sl_request *request, struct sl_yaml_doc **out);

/* tables.c: what workers have open, and the end of it. */
void sl_request_flows(struct sl_request *request, int op);
void sl_request_pins(struct sl_request *request, int op);
void sl_request_cut(struct sl_request *request, int op);

/* Answers with a JSON value, which it takes over; NULL: 500. */
void sl_request_json(struct sl_request *request, int status, json_t *value);

/*
 * Answers with a problem document (RFC 9457). diag: every mistake, with its place in the body and a
 * JSON pointer (body; both may be NULL).
 */
void sl_request_problem(struct sl_request *request, int status, const char *problem,
                        const char *detail, struct sl_diag *diag, const struct sl_yaml_doc *body);

#endif
