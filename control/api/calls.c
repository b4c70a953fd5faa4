/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls.c: what can be asked, and the answers. The table says every path and method; nothing else
 * does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document/policy_json.h"
#include "json_text.h"
#include "pushes.h"
#include "event_stream.h"
#include "request.h"
#include "sluice/reason.h"

/* ---- reading ---- */

static struct sl_model *model_of(const struct sl_request *request)
{
	return request->api->pushes->model;
}

static void get_health(struct sl_request *request, int op)
{
	json_t *problems = json_array();

	request->api->gateway.problems(request->api->gateway.ctx, problems);
	sl_request_json(request, json_array_size(problems) > 0 ? 503 : 200,
	                json_pack("{s:o}", "problems", problems));
}

static void get_stats(struct sl_request *request, int op)
{
	struct sl_model *model = model_of(request);
	json_t *value = json_object(), *problems = json_array();

	request->api->gateway.stats(request->api->gateway.ctx, value);
	request->api->gateway.problems(request->api->gateway.ctx, problems);
	json_object_set_new(value, "problems", problems);
	pthread_mutex_lock(&model->lock);
	json_object_set_new(value, "generation", json_integer((json_int_t)model->generation));
	json_object_set_new(value, "sandboxes", json_integer(model->sandboxes));
	pthread_mutex_unlock(&model->lock);
	sl_request_json(request, 200, value);
}

static void set_etag(struct sl_request *request, uint64_t generation)
{
	snprintf(request->etag, sizeof(request->etag), "\"%llu\"", (unsigned long long)generation);
}

static void get_policy(struct sl_request *request, int op)
{
	struct sl_model *model = model_of(request);
	json_t *value;
	char *text;

	pthread_mutex_lock(&model->lock);
	text = sl_model_document(model);
	set_etag(request, model->generation);
	pthread_mutex_unlock(&model->lock);
	value = text != NULL ? json_loads(text, 0, NULL) : NULL;
	free(text);
	sl_request_json(request, 200, value != NULL ? json_incref(value) : NULL);
	if (value != NULL && request->accept != NULL &&
	    strstr(request->accept, "application/yaml") != NULL) {
		free(request->text);
		request->text = sl_policy_json_yaml(value);
		request->type = "application/yaml";
	}
	json_decref(value);
}

/* The document of one entry and the policy that it names. NULL without memory. */
static struct sl_policy_doc *read_entry(const struct sl_model *model, uint16_t vlan)
{
	json_t *entry = json_loads(model->entry[vlan], 0, NULL), *document;
	const char *policy = json_string_value(json_object_get(entry, "policy"));
	const char *named = policy != NULL ? sl_model_policy(model, policy) : NULL;
	struct sl_policy_doc *doc = NULL;
	struct sl_diag diag;
	char *text;

	document = json_pack("{s:[o]}", "sandboxes", entry);
	if (named != NULL)
		json_object_set_new(
		        document, "policies",
		        json_pack("{s:o}", policy, json_loads(named, JSON_DECODE_ANY, NULL)));
	text = sl_policy_json_text(document);
	sl_diag_init(&diag);
	if (text != NULL)
		sl_policy_doc_read_buffer("state", text, strlen(text), &diag, &doc);
	sl_diag_free(&diag);
	free(text);
	json_decref(document);
	return doc;
}

static const char *mode_of(const struct sl_policy *policy)
{
	switch (policy->kind) {
	case SL_POLICY_ALLOW_ALL:
		return "allow-all";
	case SL_POLICY_CUSTOM:
		return "custom";
	case SL_POLICY_DENY_ALL:
		break;
	}
	return "deny-all";
}

static void count(const struct sl_request *request, uint16_t vlan, json_t *value, bool reasons)
{
	struct sl_sandbox_stats stats;
	json_t *by_reason = json_object();
	uint64_t allowed = 0, denied = 0;

	request->api->gateway.sandbox(request->api->gateway.ctx, vlan, &stats);
	for (int reason = SL_REASON_NONE + 1; reason < SL_REASON_COUNT; reason++) {
		if (sl_reason_allows((enum sl_reason)reason))
			allowed += stats.reason[reason];
		else
			denied += stats.reason[reason];
		if (stats.reason[reason] > 0)
			json_object_set_new(by_reason, sl_reason_name((enum sl_reason)reason),
			                    json_integer((json_int_t)stats.reason[reason]));
	}
	json_object_set_new(value, "packets",
	                    json_pack("{s:I, s:I}", "allowed", (json_int_t)allowed, "denied",
	                              (json_int_t)denied));
	if (reasons)
		json_object_set_new(value, "reasons", json_incref(by_reason));
	json_decref(by_reason);
}

static json_t *line_of(const struct sl_request *request, const struct sl_model *model,
                       uint16_t vlan)
{
	struct sl_policy_doc *doc = read_entry(model, vlan);
	char hash[SL_POLICY_HASH_BYTES];
	json_t *value = NULL;

	if (doc != NULL && sl_policy_json_hash(doc->entries[0].policy, hash)) {
		value = json_pack("{s:i, s:s?, s:s, s:s}", "vlan", vlan, "name",
		                  doc->entries[0].name, "mode", mode_of(doc->entries[0].policy),
		                  "hash", hash);
		count(request, vlan, value, false);
	}
	sl_policy_doc_free(doc);
	return value;
}

static void get_sandboxes(struct sl_request *request, int op)
{
	long limit = request->limit != NULL ? strtol(request->limit, NULL, 10) : 1000;
	long after = request->after != NULL ? strtol(request->after, NULL, 10) : 0;
	struct sl_model *model = model_of(request);
	json_t *list = json_array();
	long last = 0;

	if (limit < 1 || limit > SL_POLICY_VLAN_MAX || after < 0) {
		sl_request_problem(request, 400, "bad-argument",
		                   "limit is a number from 1 to 4094, after a VLAN", NULL, NULL);
		json_decref(list);
		return;
	}
	pthread_mutex_lock(&model->lock);
	for (long vlan = after + 1; vlan <= SL_POLICY_VLAN_MAX && limit > 0; vlan++) {
		if (model->entry[vlan] == NULL)
			continue;
		json_array_append_new(list, line_of(request, model, (uint16_t)vlan));
		last = vlan;
		limit--;
	}
	pthread_mutex_unlock(&model->lock);
	sl_request_json(request, 200,
	                json_pack("{s:o, s:o}", "sandboxes", list, "after",
	                          limit == 0 ? json_integer(last) : json_null()));
}

static void get_sandbox(struct sl_request *request, int op)
{
	struct sl_model *model = model_of(request);
	struct sl_policy_doc *doc = NULL;
	char hash[SL_POLICY_HASH_BYTES];
	json_t *value = NULL;
	uint16_t vlan;

	pthread_mutex_lock(&model->lock);
	vlan = sl_model_vlan(model, request->id);
	if (vlan != 0 && model->entry[vlan] != NULL) {
		doc = read_entry(model, vlan);
		value = json_loads(model->entry[vlan], 0, NULL);
		set_etag(request, model->generation);
	}
	pthread_mutex_unlock(&model->lock);
	if (value == NULL || doc == NULL || !sl_policy_json_hash(doc->entries[0].policy, hash)) {
		sl_request_problem(request, 404, "not-found", "there is no such sandbox", NULL,
		                   NULL);
	} else {
		json_object_set_new(value, "effective",
		                    sl_policy_json_value(doc->entries[0].policy));
		json_object_set_new(value, "mode", json_string(mode_of(doc->entries[0].policy)));
		json_object_set_new(value, "hash", json_string(hash));
		count(request, vlan, value, true);
		sl_request_json(request, 200, json_incref(value));
	}
	sl_policy_doc_free(doc);
	json_decref(value);
}

static void get_policies(struct sl_request *request, int op)
{
	struct sl_model *model = model_of(request);
	json_t *value = json_object();

	pthread_mutex_lock(&model->lock);
	for (size_t i = 0; i < model->n_named; i++)
		json_object_set_new(value, model->named[i].name,
		                    json_loads(model->named[i].text, JSON_DECODE_ANY, NULL));
	set_etag(request, model->generation);
	pthread_mutex_unlock(&model->lock);
	sl_request_json(request, 200, json_pack("{s:o}", "policies", value));
}

static void get_named(struct sl_request *request, int op)
{
	struct sl_model *model = model_of(request);
	const char *text;
	json_t *value;

	pthread_mutex_lock(&model->lock);
	text = sl_model_policy(model, request->id);
	value = text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
	set_etag(request, model->generation);
	pthread_mutex_unlock(&model->lock);
	if (value != NULL)
		sl_request_json(request, 200, value);
	else
		sl_request_problem(request, 404, "not-found", "there is no such policy", NULL,
		                   NULL);
}

/* ---- pushes ---- */

/* JSON is read as JSON first, so that what only YAML takes is refused; the tree knows the places.
 */
bool sl_request_read_body(struct sl_request *request, struct sl_yaml_doc **out)
{
	const struct sl_request_body *body = &request->body;
	struct sl_diag diag;
	json_error_t error;
	json_t *json;
	int ret;

	if (body->unknown) {
		sl_request_problem(request, 415, "unknown-type",
		                   "a body is application/json or application/yaml", NULL, NULL);
		return false;
	}
	sl_diag_init(&diag);
	if (!body->yaml) {
		json = json_loadb(body->bytes != NULL ? body->bytes : "", body->len,
		                  JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
		if (json == NULL) {
			sl_diag_error(&diag, "body", (uint32_t)(error.line > 0 ? error.line : 1),
			              (uint32_t)(error.column > 0 ? error.column : 1), "%s",
			              error.text);
			sl_request_problem(request, 400, "not-json", error.text, &diag, NULL);
			sl_diag_free(&diag);
			return false;
		}
		json_decref(json);
		sl_json_join_surrogates(body->bytes, body->len);
	}
	ret = sl_yaml_read_buffer("body", body->bytes != NULL ? body->bytes : "", body->len,
	                          request->api->body_max, &diag, out);
	if (ret != 0 || diag.errors > 0) {
		sl_request_problem(request, 400, "not-readable", "the body cannot be read", &diag,
		                   NULL);
		sl_yaml_doc_free(*out);
		*out = NULL;
	}
	sl_diag_free(&diag);
	return *out != NULL;
}

/* If-Match: "N" (RFC 9110 13.1.1). False: it is something else. */
static bool read_match(const struct sl_request *request, struct sl_push_call *call)
{
	unsigned long long number;
	char end;

	if (request->if_match == NULL || strcmp(request->if_match, "*") == 0)
		return true;
	if (sscanf(request->if_match, "\"%llu%c", &number, &end) != 2 || end != '"')
		return false;
	call->has_match = true;
	call->match = number;
	return true;
}

static void answer_push(struct sl_request *request, const struct sl_push_call *call)
{
	const struct sl_push *push = &call->push;
	json_t *value = json_pack("{s:I, s:i}", "generation", (json_int_t)push->generation,
	                          "changed", (int)push->sandboxes_changed);

	json_object_set_new(value, "us",
	                    json_pack("{s:I, s:I, s:I, s:I}", "check", (json_int_t)push->check_us,
	                              "compile", (json_int_t)push->compile_us, "store",
	                              (json_int_t)call->store_us, "enforce",
	                              (json_int_t)push->wait_us));
	if (call->hash[0] != '\0')
		json_object_set_new(value, "hash", json_string(call->hash));
	if (call->would_change != NULL)
		json_object_set(value, "would-change", call->would_change);
	set_etag(request, push->generation);
	sl_request_json(request, call->status, value);
}

static void push(struct sl_request *request, int op)
{
	struct sl_push_call call = {
	        .op = (enum sl_push_op)op,
	        .id = request->id,
	        .who = request->who,
	        .may = request->may,
	        .dry_run = request->dry_run != NULL && strcmp(request->dry_run, "1") == 0,
	};
	bool empty = op == SL_PUSH_SANDBOX_REMOVE || op == SL_PUSH_POLICY_REMOVE;
	struct sl_yaml_doc *body = NULL;

	if (request->read_only) {
		sl_request_problem(request, 403, "read-only", "this socket only reads", NULL, NULL);
		return;
	}
	if (!read_match(request, &call)) {
		sl_request_problem(request, 400, "bad-header",
		                   "If-Match is a generation in quotes, as ETag has it", NULL,
		                   NULL);
		return;
	}
	if (!empty && !sl_request_read_body(request, &body))
		return;
	call.body = body;
	sl_pushes_call(request->api->pushes, &call);
	if (call.problem != NULL)
		sl_request_problem(request, call.status, call.problem, call.detail, &call.diag,
		                   body);
	else
		answer_push(request, &call);
	json_decref(call.would_change);
	sl_diag_free(&call.diag);
	sl_yaml_doc_free(body);
}

/* ---- the table ---- */

static const struct {
	const char *method;
	const char *path; /* `*` is an ID */
	void (*call)(struct sl_request *request, int op);
	int op; /* enum sl_push_op */
} calls[] = {
        {"GET", "/v1/health", get_health, 0},
        {"GET", "/v1/stats", get_stats, 0},
        {"GET", "/v1/policy", get_policy, 0},
        {"PUT", "/v1/policy", push, SL_PUSH_DOCUMENT},
        {"GET", "/v1/sandboxes", get_sandboxes, 0},
        {"PATCH", "/v1/sandboxes", push, SL_PUSH_PATCH},
        {"GET", "/v1/sandboxes/*", get_sandbox, 0},
        {"PUT", "/v1/sandboxes/*", push, SL_PUSH_SANDBOX},
        {"DELETE", "/v1/sandboxes/*", push, SL_PUSH_SANDBOX_REMOVE},
        {"PUT", "/v1/sandboxes/*/policy", push, SL_PUSH_SANDBOX_POLICY},
        {"PUT", "/v1/sandboxes/*/network", push, SL_PUSH_SANDBOX_NETWORK},
        {"GET", "/v1/sandboxes/*/pins", sl_request_pins, 0},
        {"POST", "/v1/sandboxes/*/cut", sl_request_cut, 0},
        {"GET", "/v1/flows", sl_request_flows, 0},
        {"GET", "/v1/events", sl_request_events, 0},
        {"GET", "/v1/policies", get_policies, 0},
        {"GET", "/v1/policies/*", get_named, 0},
        {"PUT", "/v1/policies/*", push, SL_PUSH_POLICY},
        {"DELETE", "/v1/policies/*", push, SL_PUSH_POLICY_REMOVE},
};

/* Compares a path with a pattern; what stands in the place of the `*` goes to id. */
static bool fits(const char *pattern, const char *path, char id[SL_API_ID_MAX])
{
	const char *star = strchr(pattern, '*');
	size_t before, n;

	id[0] = '\0';
	if (star == NULL)
		return strcmp(pattern, path) == 0;
	before = (size_t)(star - pattern);
	if (strncmp(pattern, path, before) != 0)
		return false;
	n = strcspn(path + before, "/");
	if (n == 0 || n >= SL_API_ID_MAX || strcmp(star + 1, path + before + n) != 0)
		return false;
	memcpy(id, path + before, n);
	id[n] = '\0';
	return true;
}

void sl_request_answer(struct sl_request *request)
{
	bool known = false;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (!fits(calls[i].path, request->path, request->id))
			continue;
		known = true;
		if (strcmp(calls[i].method, request->method) == 0) {
			calls[i].call(request, calls[i].op);
			return;
		}
		if (request->allow[0] != '\0')
			strcat(request->allow, ", ");
		strcat(request->allow, calls[i].method);
	}
	if (known)
		sl_request_problem(request, 405, "no-such-method", request->allow, NULL, NULL);
	else
		sl_request_problem(request, 404, "not-found", "there is no such resource", NULL,
		                   NULL);
}
