/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traffic.h: many small conversations, each with one packet in flight at a time, so that the
 * outcome of every single packet is known and can be compared with the document of the generation
 * that judged it.
 *
 * A talk belongs to the worker that receives its frames, which is not always the one that owns its
 * VLAN: those are handed over. `result` passes the talk from the owner back to the receiver.
 */
#ifndef TESTS_RACE_TRAFFIC_H
#define TESTS_RACE_TRAFFIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "documents.h"
#include "sluice/stats.h"

enum race_kind {
	RACE_UDP = 0,
	RACE_PING,
	RACE_TCP, /* a TLS connection, as far as its policy inspects it */
	RACE_KINDS,
};

enum race_result {
	RACE_NONE = 0, /* no packet is in flight */
	RACE_PENDING,
	RACE_PASSED,
	RACE_DROPPED,
};

/* Why the specification lets the flow pass. */
enum race_ground {
	RACE_CLOSED = 0,
	RACE_ON_HOLD,
	RACE_BY_ADDRESS,
	RACE_BY_NAME,
};

struct race_talk {
	uint16_t vlan, port; /* port: the sandbox's; or the echo's id */
	enum race_kind kind;
	const char *client, *server;
	unsigned name;
	struct reference_question question; /* its name is set for each look */

	/* the receiver's, until the packet is given to the gateway */
	unsigned step; /* of the conversation: the packet that comes next, or is in flight */
	uint32_t iss, irs, client_at, server_at, next_iss;
	uint64_t acknowledged; /* the newest acknowledged generation when the packet came in */
	_Atomic int result;

	/* the owner's */
	bool seen; /* the packet left */
	enum race_ground ground;
	uint64_t since; /* the generation that last let a packet of it pass */
};

/* Makes a random talk; serial is its port, different in each. */
void race_talk_init(struct race_talk *talk, uint64_t *state, uint16_t vlan, uint16_t serial);

/* The port by which its next packet comes in. */
enum sl_port_id race_talk_port(const struct race_talk *talk);

/* Writes its next packet. Returns the length. */
size_t race_talk_packet(struct race_talk *talk, uint64_t *state, uint8_t *out, size_t size);

/* The packet passed or was dropped: the talk goes on, or begins again. */
void race_talk_next(struct race_talk *talk, uint64_t *state, bool passed);

/* The serial of the talk whose packet left by a port; 0: a frame that the gateway made. */
uint16_t race_talk_of(const uint8_t *frame, size_t len, enum sl_port_id out, uint16_t *vlan);

/* Which generations a worker has judged by. */
struct race_taken {
	uint64_t number[RACE_GENERATIONS];
	unsigned count;
};

/*
 * True if its current packet, which was judged by the newest of the generations taken, must pass.
 * Updates the talk's ground.
 */
bool race_talk_must_pass(struct race_talk *talk, const struct sl_config *config,
                         const struct race_taken *taken);

void race_talk_print(const struct race_talk *talk);

#endif
