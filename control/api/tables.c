/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables.c: what workers have open: flows and pins, asked of the workers themselves (ask.h).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document/yaml_tree.h"
#include "pushes.h"
#include "request.h"
#include "sluice/ask.h"
#include "sluice/reason.h"
#include "sluice/worker.h"

#define ITEMS_MAX 1000

/* A question and its answer, in one piece of memory. */
struct question {
	struct sl_ask ask;
	struct sl_ask_item items[ITEMS_MAX];
};

static struct question *make(enum sl_ask_kind kind, uint16_t vlan)
{
	struct question *question = calloc(1, sizeof(*question));

	if (question == NULL)
		return NULL;
	question->ask.kind = kind;
	question->ask.vlan = vlan;
	question->ask.items = question->items;
	return question;
}

/* False: answered; the worker may still write to a question that is lost, which is not freed. */
static bool ask(struct sl_request *request, unsigned worker, struct question **question)
{
	const struct sl_api_gateway *gateway = &request->api->gateway;
	bool lost = false;

	if (*question == NULL) {
		sl_request_problem(request, 500, "no-memory", "no memory for the answer", NULL,
		                   NULL);
		return false;
	}
	if (gateway->ask(gateway->ctx, worker, &(*question)->ask, &lost))
		return true;
	if (lost)
		*question = NULL;
	sl_request_problem(request, 503, "worker-late", "a worker does not answer", NULL, NULL);
	return false;
}

/* ---- items ---- */

static json_t *address_of(const struct sl_addr *addr)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(addr->family == SL_FAMILY_4 ? AF_INET : AF_INET6, addr->bytes, text,
	          sizeof(text));
	return json_string(text);
}

static json_t *proto_of(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return json_string("tcp");
	case IPPROTO_UDP:
		return json_string("udp");
	case IPPROTO_ICMP:
		return json_string("icmp");
	case IPPROTO_ICMPV6:
		return json_string("icmp6");
	default:
		return json_integer(proto);
	}
}

static json_t *name_of(const struct sl_ask_item *item)
{
	return item->name_len > 0 ? json_stringn(item->name, item->name_len) : json_null();
}

static json_t *flow_of(const struct sl_ask_item *item)
{
	return json_pack("{s:i, s:o, s:o, s:i, s:o, s:i, s:o, s:s, s:i, s:i}", "vlan", item->vlan,
	                 "proto", proto_of(item->proto), "src", address_of(&item->inside), "sport",
	                 item->inside_port, "dst", address_of(&item->remote), "dport",
	                 item->remote_port, "name", name_of(item), "reason",
	                 item->judged ? sl_reason_name((enum sl_reason)item->reason) : "on-hold",
	                 "age", (int)item->age_s, "expires", (int)item->left_s);
}

static json_t *pin_of(const struct sl_ask_item *item)
{
	return json_pack("{s:o, s:o, s:i}", "name", name_of(item), "address",
	                 address_of(&item->remote), "expires", (int)item->left_s);
}

/* ---- calls ---- */

/* The VLAN of a sandbox that is there; 0: answered. */
static uint16_t find(struct sl_request *request, const char *id)
{
	struct sl_model *model = request->api->pushes->model;
	uint16_t vlan;

	pthread_mutex_lock(&model->lock);
	vlan = sl_model_vlan(model, id);
	if (vlan != 0 && model->entry[vlan] == NULL)
		vlan = 0;
	pthread_mutex_unlock(&model->lock);
	if (vlan == 0)
		sl_request_problem(request, 404, "not-found", "there is no such sandbox", NULL,
		                   NULL);
	return vlan;
}

static unsigned worker_of(const struct sl_request *request, uint16_t vlan)
{
	const struct sl_api_gateway *gateway = &request->api->gateway;

	return sl_worker_of_vlan(vlan, gateway->workers(gateway->ctx));
}

/* A page ends where the answer is full: "WORKER.ENTRY", to go on from. */
static json_t *page_end(unsigned worker, unsigned workers, uint32_t next)
{
	if (next != 0)
		return json_sprintf("%u.%u", worker, next);
	return worker + 1 < workers ? json_sprintf("%u.0", worker + 1) : json_null();
}

/* limit and after. False: answered. */
static bool read_page(struct sl_request *request, uint32_t *limit, unsigned *worker, uint32_t *next)
{
	bool good = request->limit == NULL ||
	            (sscanf(request->limit, "%u", limit) == 1 && *limit > 0 && *limit <= ITEMS_MAX);

	if (good && request->after != NULL)
		good = sscanf(request->after, "%u.%u", worker, next) == 2;
	if (!good)
		sl_request_problem(request, 400, "bad-argument",
		                   "limit is a number from 1 to 1000, after is an answer's", NULL,
		                   NULL);
	return good;
}

void sl_request_flows(struct sl_request *request, int op)
{
	const struct sl_api_gateway *gateway = &request->api->gateway;
	unsigned workers = gateway->workers(gateway->ctx), worker = 0;
	uint32_t limit = 100, next = 0;
	uint16_t vlan = request->sandbox != NULL ? find(request, request->sandbox) : 0;
	struct question *question;
	json_t *list;

	if ((request->sandbox != NULL && vlan == 0) || !read_page(request, &limit, &worker, &next))
		return;
	if (vlan != 0)
		worker = worker_of(request, vlan);
	question = make(SL_ASK_FLOWS, vlan);
	if (question != NULL) {
		question->ask.room = limit;
		question->ask.next = next;
	}
	if (worker < workers && ask(request, worker, &question)) {
		list = json_array();
		for (uint32_t i = 0; i < question->ask.count; i++)
			json_array_append_new(list, flow_of(&question->items[i]));
		sl_request_json(
		        request, 200,
		        json_pack("{s:o, s:o}", "flows", list, "after",
		                  page_end(worker, vlan != 0 ? 0 : workers, question->ask.next)));
	} else if (worker >= workers) {
		sl_request_problem(request, 400, "bad-argument", "after is an answer's", NULL,
		                   NULL);
	}
	free(question);
}

void sl_request_pins(struct sl_request *request, int op)
{
	uint16_t vlan = find(request, request->id);
	struct question *question = vlan != 0 ? make(SL_ASK_PINS, vlan) : NULL;
	json_t *list;

	if (vlan == 0)
		return;
	list = json_array();
	do {
		if (question != NULL) {
			question->ask.room = ITEMS_MAX - 1;
			question->ask.count = 0;
		}
		if (!ask(request, worker_of(request, vlan), &question)) {
			json_decref(list);
			free(question);
			return;
		}
		for (uint32_t i = 0; i < question->ask.count; i++)
			json_array_append_new(list, pin_of(&question->items[i]));
	} while (question->ask.next != 0);
	free(question);
	sl_request_json(request, 200, json_pack("{s:o}", "pins", list));
}

/* {"pins": true}, or nothing. False: answered. */
static bool read_cut(struct sl_request *request, bool *pins)
{
	struct sl_yaml_doc *body = NULL;
	const struct sl_yaml_node *key;
	bool good = true;

	*pins = false;
	if (request->body.len == 0)
		return true;
	if (!sl_request_read_body(request, &body))
		return false;
	key = body->root->kind == SL_YAML_MAPPING ? body->root->first : NULL;
	if (key != NULL) {
		good = body->root->n == 1 && strcmp(key->text, "pins") == 0 &&
		       key->next->kind == SL_YAML_SCALAR && key->next->plain &&
		       (strcmp(key->next->text, "true") == 0 ||
		        strcmp(key->next->text, "false") == 0);
		*pins = good && strcmp(key->next->text, "true") == 0;
	}
	good = good && body->root->kind == SL_YAML_MAPPING;
	if (!good)
		sl_request_problem(request, 422, "invalid-document",
		                   "the body is {\"pins\": true} or nothing", NULL, NULL);
	sl_yaml_doc_free(body);
	return good;
}

void sl_request_cut(struct sl_request *request, int op)
{
	struct question *question;
	uint16_t vlan;
	bool pins;

	if (request->read_only) {
		sl_request_problem(request, 403, "read-only", "this socket only reads", NULL, NULL);
		return;
	}
	vlan = find(request, request->id);
	if (vlan == 0 || !read_cut(request, &pins))
		return;
	if (request->may != NULL && !sl_vlan_set_has(request->may, vlan)) {
		sl_request_problem(request, 403, "not-yours",
		                   "control.tls.clients does not let this client cut that", NULL,
		                   NULL);
		return;
	}
	question = make(SL_ASK_CUT, vlan);
	if (question != NULL)
		question->ask.pins = pins;
	if (ask(request, worker_of(request, vlan), &question))
		sl_request_json(request, 200,
		                json_pack("{s:i, s:i}", "flows", (int)question->ask.flows_cut,
		                          "pins", (int)question->ask.pins_forgotten));
	free(question);
}
