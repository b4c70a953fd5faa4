/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_copy.c: keeps a prefix's entry in rte_fib or rte_fib6 and the parents of the classes around
 * it in step. It must never be called on the copy that workers read.
 *
 * The fib's own prefix tree (rte_rib) is the only index: the node of a prefix has its class as next
 * hop, the node above it is its parent, the nodes that it covers directly are its children. A
 * change costs the table entries that the prefix covers, and one write for each child.
 *
 * This works around two defects of DPDK 22.11:
 *
 * - rte_fib6 reserves second-level tables when a prefix is added and does not give the reservation
 *   back when it is deleted, so after some thousand changes it refuses everything. It reserves
 *   nothing when the next hop of a prefix changes. Hence prefixes enter and leave as changes: the
 *   node is put into the tree first, and taken out last; how many tables are in use is counted
 *   here, exactly.
 *
 * - Writing a prefix that ends where the address space ends (0.0.0.0/0 is one) overwrites the
 *   whole table if the last two prefixes below it adjoin and the last ends there, too, as 224/4 and
 *   240/4 do. Hence such longer ones are lifted out of the tree first, and put back afterwards.
 */
#include "table_copy.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_memory.h>
#include <rte_rib.h>
#include <rte_rib6.h>

#include "arena.h"

/*
 * While a range is rewritten, the fib may take tables that it gives back before the call returns:
 * at most one for each byte of either end.
 */
#define TBL8_SPARE 32

/* A next hop that no class has. */
#define NO_CLASS 0x7fffffffu

int sl_table_copy_init(struct sl_table_copy *copy, const struct sl_table_copy_limits *limits,
                       uint32_t class_max)
{
	static atomic_uint serial;
	unsigned id = atomic_fetch_add(&serial, 1);
	struct rte_fib_conf conf4 = {
	        .type = RTE_FIB_DIR24_8,
	        .default_nh = SL_CLASS_NONE,
	        .max_routes = (int)limits->prefixes,
	        .dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_4B, .num_tbl8 = limits->tbl8_4 + TBL8_SPARE},
	};
	struct rte_fib6_conf conf6 = {
	        .type = RTE_FIB6_TRIE,
	        .default_nh = SL_CLASS_NONE,
	        .max_routes = (int)limits->prefixes,
	        .trie = {.nh_sz = RTE_FIB6_TRIE_4B, .num_tbl8 = limits->tbl8_6 + TBL8_SPARE},
	};
	char name[32];

	*copy = (struct sl_table_copy){.limits = *limits};
	snprintf(name, sizeof(name), "sluice%u_4", id);
	copy->fib4 = rte_fib_create(name, SOCKET_ID_ANY, &conf4);
	snprintf(name, sizeof(name), "sluice%u_6", id);
	copy->fib6 = rte_fib6_create(name, SOCKET_ID_ANY, &conf6);
	copy->classes = sl_arena_zalloc(sl_arena_shared(),
	                                ((size_t)class_max + 1) * sizeof(*copy->classes));
	return copy->fib4 != NULL && copy->fib6 != NULL && copy->classes != NULL ? 0 : -ENOMEM;
}

void sl_table_copy_fini(struct sl_table_copy *copy)
{
	rte_fib_free(copy->fib4);
	rte_fib6_free(copy->fib6);
	sl_arena_free(sl_arena_shared(), copy->classes);
	*copy = (struct sl_table_copy){0};
}

/* ---- The tree of either family ---- */

static bool is4(const struct sl_net *net)
{
	return net->family == SL_FAMILY_4;
}

static uint32_t ip4(const struct sl_net *net)
{
	return (uint32_t)net->bytes[0] << 24 | (uint32_t)net->bytes[1] << 16 |
	       (uint32_t)net->bytes[2] << 8 | net->bytes[3];
}

static void *node_find(const struct sl_table_copy *copy, const struct sl_net *net)
{
	if (is4(net))
		return rte_rib_lookup_exact(rte_fib_get_rib(copy->fib4), ip4(net), net->len);
	return rte_rib6_lookup_exact(rte_fib6_get_rib(copy->fib6), net->bytes, net->len);
}

/* The next prefix directly below net, in order; last NULL: the first. */
static void *node_below(const struct sl_table_copy *copy, const struct sl_net *net, void *last)
{
	if (is4(net))
		return rte_rib_get_nxt(rte_fib_get_rib(copy->fib4), ip4(net), net->len, last,
		                       RTE_RIB_GET_NXT_COVER);
	return rte_rib6_get_nxt(rte_fib6_get_rib(copy->fib6), net->bytes, net->len, last,
	                        RTE_RIB6_GET_NXT_COVER);
}

static uint32_t node_class(const struct sl_net *net, const void *node)
{
	uint64_t class = SL_CLASS_NONE;

	if (node != NULL && is4(net))
		rte_rib_get_nh(node, &class);
	else if (node != NULL)
		rte_rib6_get_nh(node, &class);
	return (uint32_t) class;
}

static uint32_t node_parent(const struct sl_net *net, void *node)
{
	return node_class(net, is4(net) ? (void *)rte_rib_lookup_parent(node)
	                                : (void *)rte_rib6_lookup_parent(node));
}

static void *node_insert(struct sl_table_copy *copy, const struct sl_net *net)
{
	struct rte_rib6_node *node6;
	struct rte_rib_node *node4;

	if (is4(net)) {
		node4 = rte_rib_insert(rte_fib_get_rib(copy->fib4), ip4(net), net->len);
		rte_rib_set_nh(node4, NO_CLASS);
		return node4;
	}
	node6 = rte_rib6_insert(rte_fib6_get_rib(copy->fib6), net->bytes, net->len);
	rte_rib6_set_nh(node6, NO_CLASS);
	return node6;
}

static void node_remove(struct sl_table_copy *copy, const struct sl_net *net)
{
	if (is4(net))
		rte_rib_remove(rte_fib_get_rib(copy->fib4), ip4(net), net->len);
	else
		rte_rib6_remove(rte_fib6_get_rib(copy->fib6), net->bytes, net->len);
}

/*
 * Gives a node another class, in the tree and in the lookup table. False: the table had no room.
 */
static bool node_change(struct sl_table_copy *copy, const struct sl_net *net, const void *node,
                        uint32_t class)
{
	if (is4(net))
		rte_fib_add(copy->fib4, ip4(net), net->len, class);
	else
		rte_fib6_add(copy->fib6, net->bytes, net->len, class);
	return node_class(net, node) == class; /* the call returns 0 even if it failed */
}

/*
 * How many of the second-level tables on the way to a prefix are used by no other one. A step of 8
 * bits below /24 has a table if and only if a prefix that is longer than its start lies in it.
 */
static uint32_t count_tables(const struct sl_table_copy *copy, const struct sl_net *net)
{
	struct sl_net start = {.family = net->family};
	uint32_t count = 0;

	for (start.len = 24; start.len < net->len; start.len += 8) {
		memcpy(start.bytes, net->bytes, start.len / 8);
		count += node_below(copy, &start, NULL) == NULL;
	}
	return count;
}

static void adopt_children(struct sl_table_copy *copy, const struct sl_net *net, uint32_t parent)
{
	void *child = NULL;

	while ((child = node_below(copy, net, child)) != NULL)
		copy->classes[node_class(net, child)].parent = parent;
}

/* ---- Prefixes that end where the address space ends ---- */

static bool ends_at_top(const struct sl_net *net)
{
	unsigned bits = is4(net) ? 32 : 128;
	struct sl_addr top = {.family = net->family};

	memset(top.bytes, 0xff, bits / 8);
	return sl_net_contains(net, &top);
}

/* The prefix of this length that ends where the address space ends. */
static struct sl_net top_net(const struct sl_net *like, uint8_t len)
{
	struct sl_net net = {.family = like->family, .len = len};

	for (unsigned i = 0; i < len; i++)
		net.bytes[i / 8] |= (uint8_t)(0x80u >> i % 8);
	return net;
}

/*
 * Takes the prefixes longer than net that end there out of the tree. lifted: their classes by
 * length, or NO_CLASS.
 */
static void lift_longer(struct sl_table_copy *copy, const struct sl_net *net, uint32_t lifted[129])
{
	for (unsigned len = net->len + 1u; len <= (is4(net) ? 32u : 128u); len++) {
		struct sl_net top = top_net(net, (uint8_t)len);
		const void *node = node_find(copy, &top);

		lifted[len] = NO_CLASS;
		if (node == NULL)
			continue;
		lifted[len] = node_class(net, node);
		node_remove(copy, &top);
	}
}

/* Puts them back, the shortest first. There is room: their table entries were there before. */
static int lower_longer(struct sl_table_copy *copy, const struct sl_net *net,
                        const uint32_t lifted[129])
{
	int ret = 0;

	for (unsigned len = net->len + 1u; len <= (is4(net) ? 32u : 128u); len++) {
		struct sl_net top = top_net(net, (uint8_t)len);
		void *node;

		if (lifted[len] == NO_CLASS)
			continue;
		node = node_insert(copy, &top);
		if (node == NULL || !node_change(copy, &top, node, lifted[len])) {
			ret = -EIO;
			continue;
		}
		copy->classes[lifted[len]].parent = node_parent(&top, node);
		adopt_children(copy, &top, lifted[len]);
	}
	return ret;
}

/* ---- Changing a copy ---- */

static int place(struct sl_table_copy *copy, const struct sl_net *net, uint32_t class,
                 enum sl_space space)
{
	void *node = node_insert(copy, net);
	const struct sl_class *above;

	if (node == NULL)
		return -ENOMEM;
	if (!node_change(copy, net, node, class)) {
		node_remove(copy, net);
		return -EIO;
	}
	copy->classes[class].parent = node_parent(net, node);
	above = &copy->classes[copy->classes[class].parent];
	copy->classes[class].space = above->space > space ? above->space : (uint8_t)space;
	adopt_children(copy, net, class);
	return 0;
}

static int displace(struct sl_table_copy *copy, const struct sl_net *net, uint32_t class)
{
	uint32_t parent = copy->classes[class].parent;

	if (!node_change(copy, net, node_find(copy, net), parent))
		return -EIO;
	adopt_children(copy, net, parent);
	node_remove(copy, net);
	return 0;
}

int sl_table_copy_add(struct sl_table_copy *copy, const struct sl_net *net, uint32_t class,
                      enum sl_space space)
{
	uint32_t *used = is4(net) ? &copy->tbl8_4 : &copy->tbl8_6;
	uint32_t limit = is4(net) ? copy->limits.tbl8_4 : copy->limits.tbl8_6;
	uint32_t tables = count_tables(copy, net), lifted[129];
	int ret, lowered = 0;

	if (*used + tables > limit)
		return -ENOSPC;
	if (ends_at_top(net))
		lift_longer(copy, net, lifted);
	ret = place(copy, net, class, space);
	if (ends_at_top(net))
		lowered = lower_longer(copy, net, lifted);
	if (ret == 0)
		*used += tables;
	return lowered != 0 ? lowered : ret;
}

int sl_table_copy_remove(struct sl_table_copy *copy, const struct sl_net *net, uint32_t class)
{
	uint32_t *used = is4(net) ? &copy->tbl8_4 : &copy->tbl8_6, lifted[129];
	int ret, lowered = 0;

	if (ends_at_top(net))
		lift_longer(copy, net, lifted);
	ret = displace(copy, net, class);
	if (ends_at_top(net))
		lowered = lower_longer(copy, net, lifted);
	if (ret == 0)
		*used -= count_tables(copy, net);
	return lowered != 0 ? lowered : ret;
}
