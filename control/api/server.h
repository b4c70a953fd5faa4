/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h: the control API (spec-control section 2): HTTP/1.1 with JSON over Unix sockets, by
 * libmicrohttpd, one thread a connection, so that a client that hangs waits alone.
 */
#ifndef SLUICE_CONTROL_SERVER_H
#define SLUICE_CONTROL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "document/config.h"
#include "sluice/stats.h"

struct sl_api;
struct sl_ask;
struct sl_journal;
struct sl_pushes;

/* What the API shows of the gateway. The functions are called by its threads at any time. */
struct sl_api_gateway {
	/* The counters of a VLAN. */
	void (*sandbox)(void *ctx, uint16_t vlan, struct sl_sandbox_stats *out);
	/* Sets version, policy, workers, flows and ports. */
	void (*stats)(void *ctx, json_t *value);
	/*
	 * Asks a worker and waits. False: it did not answer in time; *lost: it may still, and the
	 * question's memory must stay.
	 */
	bool (*ask)(void *ctx, unsigned worker, struct sl_ask *ask, bool *lost);
	unsigned (*workers)(void *ctx);
	/* Appends {"what", "text"} for each problem to the array. */
	void (*problems)(void *ctx, json_t *problems);
	void *ctx;
};

struct sl_api_params {
	const char *socket;           /* path; "": the API is off */
	const char *read_only_socket; /* "": there is none */
	unsigned mode;                /* of the sockets */
	const char *group;            /* who owns them, if there is such a group; NULL: root's */
	size_t body_max;              /* bytes */
	/* by TCP; as the config has it, which outlives the API */
	struct {
		const struct sl_endpoint *listen; /* port 0: not by TCP */
		const char *cert, *key, *client_ca;
		bool bound; /* clients alone may push */
		const struct sl_config_client *clients;
		size_t n_clients;
	} tls;
	struct sl_pushes *pushes;   /* outlives the API, as the journal does */
	struct sl_journal *journal; /* of events */
	struct sl_api_gateway gateway;
};

/*
 * Makes the sockets, their folder where it is missing, and listens. A socket on which nobody
 * answers is replaced; where somebody does, -EADDRINUSE. Returns 0 and *out (NULL: the API is off),
 * or -errno and a message in err. Control thread.
 */
int sl_api_start(const struct sl_api_params *params, struct sl_api **out, char *err,
                 size_t err_size);

/*
 * Ends all connections and removes the sockets. Pushes that are still to be answered must have been
 * (sl_pushes_end). NULL is fine.
 */
void sl_api_stop(struct sl_api *api);

#endif
