/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet_scene.h: frames of any form, for the tests of what is read of them (spec section 6).
 */
#ifndef TESTS_PIPELINE_PACKET_SCENE_H
#define TESTS_PIPELINE_PACKET_SCENE_H

#include <rte_mbuf.h>
#include "scene.h"

#define INSIDE "10.0.0.2"

#define PUBLIC "198.51.100.10"

#define INSIDE6 "fd00::2"

#define PUBLIC6 "2001:db8:7::1"

#define LINK6 "fe80::2"

#define ALL 101 /* allow-all */

#define NONE 102 /* deny-all */

#define BOTH 104 /* names, and addresses */

#define POLICY                                                                                     \
	"sandboxes:\n"                                                                             \
	"  - {vlan: 101}\n"                                                                        \
	"  - {vlan: 102, policy: deny-all}\n"                                                      \
	"  - vlan: 104\n"                                                                          \
	"    policy: {allow: [good.example], subnets: {allow: [203.0.113.0/24, "                   \
	"'2001:db8:20::/48']}}\n"

static inline enum sl_reason out_bytes(struct inproc *gw, const struct packet *packet)
{
	return inproc_send(gw, SANDBOX, packet);
}

static inline void expect_nothing_left(struct inproc *gw)
{
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	assert_int_equal(inproc_count(gw, SANDBOX), 0);
}

#define V4 .src = INSIDE, .dst = PUBLIC

#define V6 .src = INSIDE6, .dst = PUBLIC6

#endif
