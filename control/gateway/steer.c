/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steer.c: steers VLANs to the queues of the workers that own them, with rte_flow rules.
 *
 * Decides which rules a port is offered. A rule only saves a hand-over: every worker checks who
 * owns a frame (dataplane/sandbox/sandbox.c), so a port may refuse, forget or misapply any rule
 * without a wrong verdict. A push must never wait for rules: they are changed after its
 * acknowledgement.
 */
#include "steer.h"

#include <rte_flow.h>

#include "tell/log.h"

/* Creates the rule for one VLAN: tag -> queue. NULL: refused, with the cause in error. */
static struct rte_flow *make_rule(uint16_t port, uint16_t vlan, uint16_t queue,
                                  struct rte_flow_error *error)
{
	const struct rte_flow_attr attr = {.ingress = 1};
	const struct rte_flow_item_vlan spec = {.tci = rte_cpu_to_be_16(vlan)};
	const struct rte_flow_item_vlan mask = {.tci = RTE_BE16(0x0fff)};
	const struct rte_flow_item pattern[] = {
	        {.type = RTE_FLOW_ITEM_TYPE_ETH},
	        {.type = RTE_FLOW_ITEM_TYPE_VLAN, .spec = &spec, .mask = &mask},
	        {.type = RTE_FLOW_ITEM_TYPE_END},
	};
	const struct rte_flow_action_queue to = {.index = queue};
	const struct rte_flow_action actions[] = {
	        {.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
	        {.type = RTE_FLOW_ACTION_TYPE_END},
	};

	if (rte_flow_validate(port, &attr, pattern, actions, error) != 0)
		return NULL;
	return rte_flow_create(port, &attr, pattern, actions, error);
}

static void take_back(struct sl_port *port, uint16_t vlan)
{
	struct rte_flow_error error;

	/*
	 * if a rule stays although no sandbox has its VLAN, its frames reach a worker that drops
	 * them
	 */
	rte_flow_destroy(port->id, port->rule[vlan], &error);
	port->rule[vlan] = NULL;
}

static void refused(struct sl_port *port, const char *why)
{
	port->refused_steering = true;
	sl_log(SL_LOG_INFO,
	       "port %s (%s) %s VLANs to queues (%s): a worker that receives another's frame hands "
	       "it over",
	       sl_port_role_text(port->role), port->dev,
	       port->steering ? "takes no more rules that steer" : "does not steer", why);
}

/* Returns false if the port refused. */
static bool offer(struct sl_port *port, uint16_t vlan, unsigned workers)
{
	unsigned worker = sl_worker_of_vlan(vlan, workers);
	struct rte_flow_error error = {0};

	port->rule[vlan] = make_rule(port->id, vlan, port->queues[worker].rx[0], &error);
	if (port->rule[vlan] == NULL) {
		refused(port, error.message != NULL ? error.message : "no rte_flow rules");
		return false;
	}
	if (!port->steering)
		sl_log(SL_LOG_INFO, "port %s (%s) steers VLANs to the queues of their workers",
		       sl_port_role_text(port->role), port->dev);
	port->steering = true;
	return true;
}

void sl_steer_port(struct sl_port *port, const struct sl_generation *generation, unsigned workers)
{
	if (workers < 2 || generation == NULL)
		return;
	if (port->rx_queues < workers) {
		if (!port->refused_steering)
			refused(port, "it has fewer rx queues than there are workers");
		return;
	}
	for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX; vlan++)
		if (port->rule[vlan] != NULL && generation->sandboxes[vlan] == NULL)
			take_back(port, vlan);
	for (uint16_t vlan = 1; vlan <= SL_VLAN_MAX && !port->refused_steering; vlan++)
		if (port->rule[vlan] == NULL && generation->sandboxes[vlan] != NULL &&
		    !offer(port, vlan, workers))
			return;
}

void sl_steer_end(struct sl_port *port)
{
	struct rte_flow_error error;

	if (port->steering)
		rte_flow_flush(port->id, &error);
	port->steering = false;
}
