/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.h: frames that the gateway makes itself.
 */
#ifndef DATAPLANE_BUILD_H
#define DATAPLANE_BUILD_H

#include "core/state.h"
#include "tx.h"

/* Source and destination of a frame. Addresses in network order; IPv4 in the first four bytes. */
struct sl_path {
	enum sl_port_id out;
	uint16_t vlan;
	uint8_t family;   /* enum sl_family */
	uint8_t priority; /* 802.1p and DEI: the tag's upper 4 bits */
	uint8_t dscp;     /* in the upper 6 bits, as in IPv4's second byte; ECN clear */
	struct rte_ether_addr mac_from;
	struct rte_ether_addr mac_to;
	uint8_t from[16];
	uint8_t to[16];
};

/*
 * Remembers the priority of the sandbox's own frame, for frames that the gateway makes in its
 * place (spec section 2).
 */
void sl_build_remember(const struct sl_worker *worker, const struct sl_pkt *pkt,
                       const struct sl_flow *flow);

/* The path of a packet from the sandbox, at its priority. */
void sl_build_path_on(const struct sl_pkt *pkt, struct sl_path *path);

/* The path back to the sender of a packet. */
void sl_build_path_back(const struct sl_pkt *pkt, struct sl_path *path);

/* The path of a flow's packets to one side: SL_PORT_SANDBOX or SL_PORT_UPLINK. */
void sl_build_path_flow(const struct sl_worker *worker, const struct sl_flow *flow,
                        enum sl_port_id out, struct sl_path *path);

/*
 * A frame with Ethernet, tag and IP header filled in, followed by transport_bytes of zeros at
 * *transport. NULL if there is no mbuf. TTL 64, no fragmentation.
 */
struct rte_mbuf *sl_build_frame(struct sl_worker *worker, const struct sl_path *path, uint8_t proto,
                                uint32_t transport_bytes, uint8_t **transport);

/* Fills in the transport checksum of a frame from sl_build_frame, at this offset of its header. */
void sl_build_checksum(struct rte_mbuf *mbuf, const struct sl_path *path, uint8_t proto,
                       uint32_t transport_bytes, unsigned checksum_offset);

/* Pads to the shortest Ethernet frame and queues it. */
void sl_build_send(struct sl_worker *worker, const struct sl_path *path, struct rte_mbuf *mbuf,
                   struct sl_charge charge);

struct sl_tcp_spec {
	uint16_t sport_be, dport_be;
	uint32_t seq, ack; /* host order */
	uint8_t flags;
	uint16_t window;
	const uint8_t *options; /* a multiple of 4 bytes */
	unsigned option_bytes;
	uint32_t payload_bytes;
};

/* A TCP segment; the caller fills *payload in and then calls sl_build_tcp_send. */
struct rte_mbuf *sl_build_tcp(struct sl_worker *worker, const struct sl_path *path,
                              const struct sl_tcp_spec *spec, uint8_t **payload);
void sl_build_tcp_send(struct sl_worker *worker, const struct sl_path *path, struct rte_mbuf *mbuf,
                       const struct sl_tcp_spec *spec, struct sl_charge charge);

/* Cuts a frame to the length of its IP packet and pads it to at least 60 bytes with zeros. */
void sl_build_trim(struct rte_mbuf *mbuf, uint32_t end);

#endif
