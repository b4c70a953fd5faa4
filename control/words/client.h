/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h: the other end of the API, for the command's words. One call at a time.
 */
#ifndef SLUICE_CONTROL_CLIENT_H
#define SLUICE_CONTROL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* Exit codes of the words. */
enum {
	SL_EXIT_OK = 0,
	SL_EXIT_REFUSED = 1, /* or not found */
	SL_EXIT_USAGE = 2,
	SL_EXIT_NO_GATEWAY = 3,
};

enum sl_client_output { SL_OUTPUT_TABLE = 0, SL_OUTPUT_JSON, SL_OUTPUT_YAML };

struct sl_client {
	const char *socket;
	const char *url;             /* "https://HOST:PORT", instead of the socket; NULL: none */
	const char *cert, *key, *ca; /* files; NULL: none */
	enum sl_client_output output;
	bool flag; /* the word's own option was given */
};

struct sl_client_call {
	const char *method;
	const char *path;
	const char *body; /* YAML, of which JSON is a part; NULL: none */
	const char *file; /* what messages call the body */
	/* gets each line of a 200 as it comes; false: no more; NULL: the answer is kept */
	bool (*line)(const char *line, void *ctx);
	void *ctx;

	int status;   /* HTTP's */
	json_t *json; /* the answer; NULL: it is no JSON */
	char *text;   /* as it came */
};

/*
 * Calls the gateway. Returns SL_EXIT_OK with any status of HTTP's; or SL_EXIT_NO_GATEWAY, and the
 * reason was printed. sl_client_done() frees the answer.
 */
int sl_client_call(const struct sl_client *client, struct sl_client_call *call);
void sl_client_done(struct sl_client_call *call);

/* Writes a path whose ID, a sandbox's name maybe, is escaped (RFC 3986 2.1). */
void sl_client_path(char *out, size_t size, const char *before, const char *id, const char *after);

/* Prints why a call was refused, with every mistake at its place. Returns SL_EXIT_REFUSED. */
int sl_client_refused(const struct sl_client_call *call);

/* Prints a value as JSON or YAML. Returns SL_EXIT_OK. */
int sl_client_print(enum sl_client_output output, const json_t *value);

#endif
