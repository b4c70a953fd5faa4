/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words_show.c: the words that only look.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

static const char *string_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* Gets a path and hands the answer to a printer; the table's output is its own. */
static int show(const struct sl_client *client, const char *path,
                int (*print)(const struct sl_client_call *call))
{
	struct sl_client_call call = {.method = "GET", .path = path};
	int ret = sl_client_call(client, &call);

	if (ret != SL_EXIT_OK)
		return ret;
	if (call.status >= 400 && call.status != 503)
		ret = sl_client_refused(&call);
	else if (client->output != SL_OUTPUT_TABLE)
		ret = sl_client_print(client->output, call.json);
	else
		ret = print(&call);
	if (call.status == 503 && ret == SL_EXIT_OK)
		ret = SL_EXIT_REFUSED;
	sl_client_done(&call);
	return ret;
}

/* ---- status and health ---- */

static void print_problems(const json_t *problems)
{
	size_t i;
	json_t *problem;

	json_array_foreach (problems, i, problem)
		printf("problem     %s: %s\n", string_of(problem, "what"),
		       string_of(problem, "text"));
}

static int print_status(const struct sl_client_call *call)
{
	const json_t *stats = call->json, *policy = json_object_get(stats, "policy");
	const char *state = string_of(policy, "state");
	size_t i;
	json_t *item;

	printf("version     %s\n", string_of(stats, "version"));
	printf("policy      %s %s\n", state[0] != '\0' ? "by the API, kept in" : "from the file",
	       state[0] != '\0' ? state : string_of(policy, "file"));
	printf("generation  %lld\nsandboxes   %lld\nworkers     %lld\nflows       %lld\n",
	       number_of(stats, "generation"), number_of(stats, "sandboxes"),
	       number_of(stats, "workers"), number_of(stats, "flows"));
	json_array_foreach (json_object_get(stats, "ports"), i, item)
		printf("port        %s: %s, %s, %lld frames in, %lld out\n",
		       string_of(item, "port"), string_of(item, "dev"),
		       json_is_true(json_object_get(item, "up")) ? "up" : "down or gone",
		       number_of(item, "rx"), number_of(item, "tx"));
	print_problems(json_object_get(stats, "problems"));
	return SL_EXIT_OK;
}

int sl_word_status(const struct sl_client *client, int argc, char **argv)
{
	return show(client, "/v1/stats", print_status);
}

static int print_health(const struct sl_client_call *call)
{
	const json_t *problems = json_object_get(call->json, "problems");

	if (json_array_size(problems) == 0)
		puts("ok");
	print_problems(problems);
	return SL_EXIT_OK;
}

int sl_word_health(const struct sl_client *client, int argc, char **argv)
{
	return show(client, "/v1/health", print_health);
}

/* ---- sandboxes ---- */

static void print_line(const json_t *line)
{
	const json_t *packets = json_object_get(line, "packets");

	printf("%4lld  %-24s %-9s %14lld %14lld\n", number_of(line, "vlan"),
	       string_of(line, "name"), string_of(line, "mode"), number_of(packets, "allowed"),
	       number_of(packets, "denied"));
}

/* All pages, as one list. */
static int list_all(const struct sl_client *client, json_t *all)
{
	long long after = 0;
	int ret = SL_EXIT_OK;

	while (ret == SL_EXIT_OK && after >= 0) {
		char path[64];
		struct sl_client_call call = {.method = "GET", .path = path};

		snprintf(path, sizeof(path), "/v1/sandboxes?after=%lld", after);
		ret = sl_client_call(client, &call);
		if (ret != SL_EXIT_OK)
			break;
		if (call.status != 200)
			ret = sl_client_refused(&call);
		json_array_extend(all, json_object_get(call.json, "sandboxes"));
		after = json_is_integer(json_object_get(call.json, "after"))
		                ? number_of(call.json, "after")
		                : -1;
		sl_client_done(&call);
	}
	return ret;
}

int sl_word_ls(const struct sl_client *client, int argc, char **argv)
{
	json_t *all = json_array(), *line;
	int ret = list_all(client, all);
	size_t i;

	if (ret == SL_EXIT_OK && client->output != SL_OUTPUT_TABLE) {
		ret = sl_client_print(client->output, all);
	} else if (ret == SL_EXIT_OK) {
		printf("VLAN  %-24s %-9s %14s %14s\n", "NAME", "MODE", "ALLOWED", "DENIED");
		json_array_foreach (all, i, line)
			print_line(line);
	}
	json_decref(all);
	return ret;
}

/* ---- what is open ---- */

/* Adds all pages of a path's list; the path has its first argument already. */
static int add_pages(const struct sl_client *client, const char *path, const char *key, json_t *all)
{
	char after[64] = "0.0";
	int ret = SL_EXIT_OK;

	while (ret == SL_EXIT_OK && after[0] != '\0') {
		char page[640];
		struct sl_client_call call = {.method = "GET", .path = page};

		snprintf(page, sizeof(page), "%s&after=%s", path, after);
		ret = sl_client_call(client, &call);
		if (ret != SL_EXIT_OK)
			break;
		if (call.status != 200)
			ret = sl_client_refused(&call);
		json_array_extend(all, json_object_get(call.json, key));
		snprintf(after, sizeof(after), "%s", string_of(call.json, "after"));
		sl_client_done(&call);
	}
	return ret;
}

/* A protocol's name, or its number as text. */
static const char *proto_of(const json_t *flow, char number[16])
{
	const json_t *proto = json_object_get(flow, "proto");

	snprintf(number, 16, "%lld", json_integer_value(proto));
	return json_is_string(proto) ? json_string_value(proto) : number;
}

static void print_flow(const json_t *flow)
{
	char number[16];

	printf("%4lld  %-5s %s %lld -> %s %lld  %s  %s  %llds\n", number_of(flow, "vlan"),
	       proto_of(flow, number), string_of(flow, "src"), number_of(flow, "sport"),
	       string_of(flow, "dst"), number_of(flow, "dport"), string_of(flow, "reason"),
	       string_of(flow, "name"), number_of(flow, "age"));
}

int sl_word_flows(const struct sl_client *client, int argc, char **argv)
{
	json_t *all = json_array(), *flow;
	char path[512];
	size_t i;
	int ret;

	sl_client_path(path, sizeof(path),
	               argc > 0 ? "/v1/flows?limit=1000&sandbox=" : "/v1/flows?limit=1000",
	               argc > 0 ? argv[0] : "", "");
	ret = add_pages(client, path, "flows", all);
	if (ret == SL_EXIT_OK && client->output != SL_OUTPUT_TABLE)
		ret = sl_client_print(client->output, all);
	else if (ret == SL_EXIT_OK)
		json_array_foreach (all, i, flow)
			print_flow(flow);
	json_decref(all);
	return ret;
}

static int print_pins(const struct sl_client_call *call)
{
	size_t i;
	json_t *pin;

	json_array_foreach (json_object_get(call->json, "pins"), i, pin)
		printf("%-40s %s  %llds\n", string_of(pin, "address"), string_of(pin, "name"),
		       number_of(pin, "expires"));
	return SL_EXIT_OK;
}

int sl_word_pins(const struct sl_client *client, int argc, char **argv)
{
	char path[512];

	sl_client_path(path, sizeof(path), "/v1/sandboxes/", argv[0], "/pins");
	return show(client, path, print_pins);
}

/* A name is what a sandbox chose to send: nothing in it moves a terminal's cursor. */
static void print_name(const char *name)
{
	for (; *name != '\0'; name++)
		putchar(*name > ' ' && *name < 0x7f ? *name : '?');
	putchar('\n');
}

static void print_event(const json_t *event)
{
	const char *kind = string_of(event, "event");
	char proto[16];
	const char *time = strchr(string_of(event, "ts"), 'T');

	printf("%.8s  ", time != NULL ? time + 1 : "");
	if (strcmp(kind, "flow") == 0) {
		printf("%4lld  %-5s %-16s %-5s %s %lld -> %s %lld  ", number_of(event, "vlan"),
		       string_of(event, "verdict"), string_of(event, "reason"),
		       proto_of(event, proto), string_of(event, "src"), number_of(event, "sport"),
		       string_of(event, "dst"), number_of(event, "dport"));
		print_name(string_of(event, "name"));
	} else if (strcmp(kind, "suppressed") == 0)
		printf("%4lld  %lld more of %s\n", number_of(event, "vlan"),
		       number_of(event, "count"), string_of(event, "reason"));
	else if (strcmp(kind, "push") == 0)
		printf("push  generation %lld, %lld changed, by %s %s\n",
		       number_of(event, "generation"), number_of(event, "changed"),
		       string_of(event, "source"), string_of(event, "who"));
	else
		puts(kind);
}

/* A line of the stream; heartbeats only keep it open. */
static bool tell_event(const char *line, void *ctx)
{
	const enum sl_client_output *output = ctx;
	json_t *event = json_loads(line, 0, NULL);
	bool heartbeat = strcmp(string_of(event, "event"), "heartbeat") == 0;

	if (event != NULL && !heartbeat && *output == SL_OUTPUT_TABLE)
		print_event(event);
	else if (event != NULL && !heartbeat)
		puts(line); /* JSON is YAML */
	json_decref(event);
	return fflush(stdout) == 0;
}

int sl_word_events(const struct sl_client *client, int argc, char **argv)
{
	enum sl_client_output output = client->output;
	struct sl_client_call call = {
	        .method = "GET",
	        .path = client->flag ? "/v1/events?follow=1&last=20" : "/v1/events",
	        .line = tell_event,
	        .ctx = &output,
	};
	int ret = sl_client_call(client, &call);

	if (ret != SL_EXIT_OK)
		return ret;
	if (call.status != 200)
		ret = sl_client_refused(&call);
	sl_client_done(&call);
	return ret;
}

static int print_yaml(const struct sl_client_call *call)
{
	return sl_client_print(SL_OUTPUT_YAML, call->json);
}

int sl_word_get(const struct sl_client *client, int argc, char **argv)
{
	char path[512];

	if (strcmp(argv[0], "policy") == 0)
		return show(client, "/v1/policy", print_yaml);
	sl_client_path(path, sizeof(path), "/v1/sandboxes/", argv[0], "");
	return show(client, path, print_yaml);
}

int sl_word_policies(const struct sl_client *client, int argc, char **argv)
{
	return show(client, "/v1/policies", print_yaml);
}
