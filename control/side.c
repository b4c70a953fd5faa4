/*
 * side.c: keeps a prefix's entry in rte_fib or rte_fib6 and the parents of the classes around it
 * in step. It must never be called on the side that workers read.
 *
 * The fib's own prefix tree (rte_rib) is the only index: the node of a prefix has its class as next
 * hop, the node above it is its parent, the covered ones below it are its children. A change costs
 * what the table entries below the prefix cost, and one write for each child.
 *
 * rte_fib6 of DPDK 22.11 reserves second-level tables when a prefix is added and does not give the
 * reservation back when it is deleted, so after some thousand changes it refuses everything. It
 * reserves nothing when the next hop of a prefix changes. Hence prefixes enter and leave as
 * changes: the node is put into the tree first, and taken out last; how many tables are in use is
 * counted here, exactly.
 */
#include "side.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_memory.h>
#include <rte_rib.h>
#include <rte_rib6.h>

#include "arena.h"

/*
 * While rte_fib6 rewrites a range it may take tables that it gives back before it returns: at most
 * one for each byte of both ends of the range.
 */
#define TBL8_6_SPARE 32

/* A next hop that no class has. */
#define NO_CLASS 0x7fffffffu

static uint32_t net_ip4(const struct sl_net *net)
{
	return (uint32_t)net->bytes[0] << 24 | (uint32_t)net->bytes[1] << 16 |
	       (uint32_t)net->bytes[2] << 8 | net->bytes[3];
}

int sl_side_init(struct sl_side *side, const struct sl_side_limits *limits, uint32_t class_max)
{
	static atomic_uint serial;
	unsigned id = atomic_fetch_add(&serial, 1);
	struct rte_fib_conf conf4 = {
	        .type = RTE_FIB_DIR24_8,
	        .default_nh = SL_CLASS_NONE,
	        .max_routes = (int)limits->prefixes,
	        .dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_4B, .num_tbl8 = limits->tbl8_4},
	};
	struct rte_fib6_conf conf6 = {
	        .type = RTE_FIB6_TRIE,
	        .default_nh = SL_CLASS_NONE,
	        .max_routes = (int)limits->prefixes,
	        .trie = {.nh_sz = RTE_FIB6_TRIE_4B, .num_tbl8 = limits->tbl8_6 + TBL8_6_SPARE},
	};
	char name[32];

	*side = (struct sl_side){.limits = *limits};
	snprintf(name, sizeof(name), "sluice%u_4", id);
	side->fib4 = rte_fib_create(name, SOCKET_ID_ANY, &conf4);
	snprintf(name, sizeof(name), "sluice%u_6", id);
	side->fib6 = rte_fib6_create(name, SOCKET_ID_ANY, &conf6);
	side->classes = sl_arena_zalloc(sl_arena_shared(),
	                                ((size_t)class_max + 1) * sizeof(*side->classes));
	return side->fib4 != NULL && side->fib6 != NULL && side->classes != NULL ? 0 : -ENOMEM;
}

void sl_side_fini(struct sl_side *side)
{
	rte_fib_free(side->fib4);
	rte_fib6_free(side->fib6);
	sl_arena_free(sl_arena_shared(), side->classes);
	*side = (struct sl_side){0};
}

/* What a class gets from the class that encloses it. */
static void set_class(struct sl_side *side, uint32_t class, uint32_t parent, enum sl_space space)
{
	const struct sl_class *above = &side->classes[parent];

	side->classes[class].parent = parent;
	side->classes[class].space = above->space > space ? above->space : (uint8_t)space;
}

/* ---- IPv4 ---- */

static uint32_t class4(const struct rte_rib_node *node)
{
	uint64_t class = SL_CLASS_NONE;

	if (node != NULL)
		rte_rib_get_nh(node, &class);
	return (uint32_t) class;
}

/* The /24 has a second-level table exactly if a longer prefix lies in it. */
static uint32_t tables4(const struct sl_side *side, const struct sl_net *net)
{
	if (net->len <= 24)
		return 0;
	return rte_rib_get_nxt(rte_fib_get_rib(side->fib4), net_ip4(net) & 0xffffff00u, 24, NULL,
	                       RTE_RIB_GET_NXT_COVER) == NULL;
}

static void adopt4(struct sl_side *side, const struct sl_net *net, uint32_t parent)
{
	struct rte_rib *rib = rte_fib_get_rib(side->fib4);
	struct rte_rib_node *child = NULL;

	while ((child = rte_rib_get_nxt(rib, net_ip4(net), net->len, child,
	                                RTE_RIB_GET_NXT_COVER)) != NULL)
		side->classes[class4(child)].parent = parent;
}

static int add4(struct sl_side *side, const struct sl_net *net, uint32_t class, enum sl_space space)
{
	struct rte_rib *rib = rte_fib_get_rib(side->fib4);
	uint32_t tables = tables4(side, net);
	struct rte_rib_node *node;
	int ret;

	if (side->tbl8_4 + tables > side->limits.tbl8_4)
		return -ENOSPC;
	ret = rte_fib_add(side->fib4, net_ip4(net), net->len, class);
	if (ret != 0)
		return ret;
	side->tbl8_4 += tables;
	node = rte_rib_lookup_exact(rib, net_ip4(net), net->len);
	set_class(side, class, class4(rte_rib_lookup_parent(node)), space);
	adopt4(side, net, class);
	return 0;
}

static int remove4(struct sl_side *side, const struct sl_net *net, uint32_t class)
{
	int ret;

	adopt4(side, net, side->classes[class].parent);
	ret = rte_fib_delete(side->fib4, net_ip4(net), net->len);
	if (ret == 0)
		side->tbl8_4 -= tables4(side, net);
	return ret;
}

/* ---- IPv6 ---- */

static uint32_t class6(const struct rte_rib6_node *node)
{
	uint64_t class = SL_CLASS_NONE;

	if (node != NULL)
		rte_rib6_get_nh(node, &class);
	return (uint32_t) class;
}

/*
 * How many of the second-level tables on the way to a prefix exist for no other one: each 8 bits
 * below /24 have one exactly if a prefix longer than where it begins lies in it.
 */
static uint32_t tables6(const struct sl_side *side, const struct sl_net *net)
{
	struct rte_rib6 *rib = rte_fib6_get_rib(side->fib6);
	uint8_t start[16] = {0};
	uint32_t count = 0;

	for (uint8_t len = 24; len < net->len; len += 8) {
		memcpy(start, net->bytes, len / 8);
		count += rte_rib6_get_nxt(rib, start, len, NULL, RTE_RIB6_GET_NXT_COVER) == NULL;
	}
	return count;
}

static void adopt6(struct sl_side *side, const struct sl_net *net, uint32_t parent)
{
	struct rte_rib6 *rib = rte_fib6_get_rib(side->fib6);
	struct rte_rib6_node *child = NULL;

	while ((child = rte_rib6_get_nxt(rib, net->bytes, net->len, child,
	                                 RTE_RIB6_GET_NXT_COVER)) != NULL)
		side->classes[class6(child)].parent = parent;
}

static int add6(struct sl_side *side, const struct sl_net *net, uint32_t class, enum sl_space space)
{
	struct rte_rib6 *rib = rte_fib6_get_rib(side->fib6);
	uint32_t tables = tables6(side, net);
	struct rte_rib6_node *node;

	if (side->tbl8_6 + tables > side->limits.tbl8_6)
		return -ENOSPC;
	node = rte_rib6_insert(rib, net->bytes, net->len);
	if (node == NULL)
		return -ENOMEM;
	rte_rib6_set_nh(node, NO_CLASS);
	rte_fib6_add(side->fib6, net->bytes, net->len, class);
	if (class6(node) != class) { /* a failed change returns 0 and leaves the next hop */
		rte_rib6_remove(rib, net->bytes, net->len);
		return -ENOSPC;
	}
	side->tbl8_6 += tables;
	set_class(side, class, class6(rte_rib6_lookup_parent(node)), space);
	adopt6(side, net, class);
	return 0;
}

static int remove6(struct sl_side *side, const struct sl_net *net, uint32_t class)
{
	struct rte_rib6 *rib = rte_fib6_get_rib(side->fib6);
	uint32_t parent = side->classes[class].parent;
	struct rte_rib6_node *node = rte_rib6_lookup_exact(rib, net->bytes, net->len);

	if (node == NULL)
		return -ENOENT;
	rte_fib6_add(side->fib6, net->bytes, net->len, parent);
	if (class6(node) != parent)
		return -EIO;
	adopt6(side, net, parent);
	rte_rib6_remove(rib, net->bytes, net->len);
	side->tbl8_6 -= tables6(side, net);
	return 0;
}

int sl_side_add(struct sl_side *side, const struct sl_net *net, uint32_t class, enum sl_space space)
{
	return net->family == SL_FAMILY_4 ? add4(side, net, class, space)
	                                  : add6(side, net, class, space);
}

int sl_side_remove(struct sl_side *side, const struct sl_net *net, uint32_t class)
{
	return net->family == SL_FAMILY_4 ? remove4(side, net, class) : remove6(side, net, class);
}
