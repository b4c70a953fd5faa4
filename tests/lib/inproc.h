/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inproc.h: a whole gateway inside a test: the real policy's walk, the real workers, two captured
 * ports and a clock that the test advances.
 *
 * 	struct inproc *gw = inproc_create("sandboxes: [{vlan: 101}]", NULL);
 * 	struct packet syn = TCP(.vlan = 101, ...);
 * 	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &syn), SL_REASON_ALLOW_ALL);
 * 	assert_int_equal(inproc_count(gw, SL_PORT_UPLINK), 1);
 * 	inproc_free(gw);
 *
 * After every packet it is checked that in = reasons + held, and by inproc_free() that no mbuf is
 * left over; a violation is printed and ends the program. One thread. Independent of the test
 * framework, so that fuzzers and benches can use it too.
 */
#ifndef TESTS_INPROC_H
#define TESTS_INPROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"
#include "sluice/event.h"
#include "sluice/worker.h"

struct inproc;

struct inproc_frame {
	uint64_t time_us; /* when it left */
	size_t len;
	uint8_t *bytes;
	struct packet_view view;
};

struct inproc_options {
	const char *policy;  /* YAML text; NULL: no policy is loaded */
	const char *config;  /* YAML text of a gateway config without ports; NULL: replay's (any
	                        resolver, pinning off, no internal or protected, no source rule) */
	unsigned workers;    /* 0: one */
	uint32_t segment;    /* bytes in each mbuf of a chain; 0: a frame is one mbuf if it fits */
	uint32_t mbufs;      /* 0: plenty */
	bool dns_rewrite;    /* random ids and letter case, as in a running gateway */
	bool checksums_full; /* partial checksums are refused, as in a running gateway */
	struct sl_quic_ids *quic_ids; /* shared with another gateway, outlives it; NULL: its own */
	bool relaxed; /* check the invariants only in inproc_check() and inproc_free() */
};

/* Both end the program, with the messages, if the policy or the config is refused. */
struct inproc *inproc_create(const char *policy, const char *config);
struct inproc *inproc_create_with(const struct inproc_options *options);

/* Checks what must hold at the end and frees everything. */
void inproc_free(struct inproc *gw);

/*
 * A frame arrives (at the given worker, which hands it over if another one owns it; inproc_send:
 * at worker 0). Returns the reason under which packets were counted since, or SL_REASON_NONE if
 * there is none: the frame is on hold, or left before its flow has a verdict. If several reasons
 * were counted, the first denial.
 */
enum sl_reason inproc_send(struct inproc *gw, enum sl_port_id port, const struct packet *packet);
enum sl_reason inproc_send_bytes(struct inproc *gw, enum sl_port_id port, const void *bytes,
                                 size_t len);
enum sl_reason inproc_send_to(struct inproc *gw, unsigned worker, enum sl_port_id port,
                              const void *bytes, size_t len);
/* The same for a burst that is judged together. */
enum sl_reason inproc_send_burst(struct inproc *gw, enum sl_port_id port,
                                 const struct packet *packets, unsigned n);

/* What left by a port since the last inproc_clear(), oldest first. Ends the program beyond the end.
 */
size_t inproc_count(const struct inproc *gw, enum sl_port_id port);
const struct inproc_frame *inproc_frame(const struct inproc *gw, enum sl_port_id port, size_t i);
/* The newest one, or NULL. */
const struct inproc_frame *inproc_last(const struct inproc *gw, enum sl_port_id port);
/* Takes the oldest one out of the list: valid until the next inproc_clear(); NULL if none is left.
 */
const struct inproc_frame *inproc_take(struct inproc *gw, enum sl_port_id port);
/* True if these bytes occur in any frame that left by the port since the last clear. */
bool inproc_left(const struct inproc *gw, enum sl_port_id port, const void *bytes, size_t len);

/* Events since the last inproc_clear(). */
size_t inproc_event_count(const struct inproc *gw);
const struct sl_event *inproc_event(const struct inproc *gw, size_t i);
const struct sl_event *inproc_event_last(const struct inproc *gw);

/* Forgets captured frames and events. */
void inproc_clear(struct inproc *gw);

/* Advances the clock, in steps of at most 100 ms, with the workers' tick at each. */
void inproc_advance_us(struct inproc *gw, uint64_t us);
void inproc_advance_s(struct inproc *gw, double seconds);
/* Advances the clock without a tick. */
void inproc_pass_us(struct inproc *gw, uint64_t us);
uint64_t inproc_now_us(const struct inproc *gw);

/*
 * A new policy. Returns its generation, or 0 if it was refused; inproc_errors() then has every
 * message, a line each. The sweep after it has not run yet: advance the clock for that.
 */
uint64_t inproc_push(struct inproc *gw, const char *policy);
const char *inproc_errors(const struct inproc *gw);

/* From now on the port accepts only this many more frames; -1 (the default): all. */
void inproc_tx_room(struct inproc *gw, enum sl_port_id port, long frames);

/* Sums over all workers. */
uint64_t inproc_reason(const struct inproc *gw, enum sl_reason reason);
uint64_t inproc_vlan_reason(const struct inproc *gw, uint16_t vlan, enum sl_reason reason);
uint64_t inproc_held(const struct inproc *gw);
uint64_t inproc_rx(const struct inproc *gw);
const struct sl_stats *inproc_stats(const struct inproc *gw, unsigned worker);
struct sl_worker *inproc_worker(struct inproc *gw, unsigned worker);
struct rte_mempool *inproc_pool(struct inproc *gw);
const struct sl_publication *inproc_publication(const struct inproc *gw);
struct sl_settings *inproc_settings(struct inproc *gw);

/* Ends the program if packets in differ from packets counted and held, or frames got lost. */
void inproc_check(const struct inproc *gw);

/* A TCP connection between a sandbox and a server, for tests that are about what comes later. */
struct inproc_tcp {
	uint16_t vlan;
	const char *client, *server;
	uint16_t sport, dport;
	uint32_t client_seq, server_seq; /* next byte of each; set before the SYN or left 0 */
};

/* SYN, SYN/ACK, ACK. Returns the first denial among them, else the reason of the last. */
enum sl_reason inproc_tcp_open(struct inproc *gw, struct inproc_tcp *tcp);
/* One segment with data and ACK, PSH, in sequence. */
enum sl_reason inproc_tcp_client(struct inproc *gw, struct inproc_tcp *tcp, const void *bytes,
                                 size_t len);
enum sl_reason inproc_tcp_server(struct inproc *gw, struct inproc_tcp *tcp, const void *bytes,
                                 size_t len);
/* A segment of the connection with any flags; the sequence numbers do not move. */
struct packet inproc_tcp_segment(const struct inproc_tcp *tcp, bool from_client, uint8_t flags);

/* The EAL, started once in a process for tests: no hugepages, no devices. */
void inproc_eal(void);

#endif
