/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * event.h: a decision as a worker reports it. Workers write events by value into an rte_ring
 * (rte_ring_elem); control turns them into JSON lines.
 */
#ifndef SLUICE_EVENT_H
#define SLUICE_EVENT_H

#include "sluice/addr.h"
#include "sluice/hostname.h"
#include "sluice/reason.h"

#define SL_SANDBOX_NAME_MAX 128 /* bytes of a sandbox's name */

enum sl_via {
	SL_VIA_NONE = 0,
	SL_VIA_TLS,
	SL_VIA_QUIC,
	SL_VIA_HTTP,
	SL_VIA_DNS,
	SL_VIA_PIN,
};

enum sl_event_kind {
	SL_EVENT_FLOW = 0,   /* a decision on a flow, or on a packet that belongs to none */
	SL_EVENT_SUPPRESSED, /* `count` decisions were not reported: vlan, sandbox, reason are set
	                      */
};

struct sl_event {
	uint64_t time_us;    /* since the Unix epoch, by the worker's clock */
	uint64_t generation; /* 0: none was published yet */
	uint16_t vlan;       /* 0: unknown */
	uint16_t sport;      /* host order; an ICMP flow's id */
	uint16_t dport;
	uint8_t reason;     /* enum sl_reason */
	uint8_t allow;      /* the verdict; under `pinning: log` it may stand with a deny reason */
	uint8_t via;        /* enum sl_via */
	int16_t proto;      /* IP protocol; -1: not IP */
	uint8_t has_ports;  /* 0: neither port is known, 1: sport only (ICMP's id), 2: both */
	uint8_t name_len;   /* 0: no name */
	struct sl_addr src; /* the sandbox's side; family NONE: unknown */
	struct sl_addr dst;
	uint8_t kind; /* enum sl_event_kind */
	uint8_t pad[2];
	uint32_t count;                        /* of SL_EVENT_SUPPRESSED */
	char name[SL_NAME_MAX + 3];            /* canonical; not terminated */
	char sandbox[SL_SANDBOX_NAME_MAX + 4]; /* NUL-terminated; empty: none */
};

_Static_assert(sizeof(struct sl_event) % 4 == 0, "rte_ring elements are multiples of 4 bytes");

#endif
