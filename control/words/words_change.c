/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words_change.c: the words that change the policy, or say what would be changed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document/policy_json.h"
#include "words.h"

/* ---- files ---- */

/* A whole file, or standard input for "-". NULL: the reason was printed. */
static char *read_all(const char *path)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *in = standard ? stdin : fopen(path, "r"), *out;
	char *text = NULL, piece[4096];
	size_t size = 0, n;
	bool failed = in == NULL;

	out = failed ? NULL : open_memstream(&text, &size);
	while (out != NULL && (n = fread(piece, 1, sizeof(piece), in)) > 0)
		fwrite(piece, 1, n, out);
	failed = failed || out == NULL || ferror(in);
	if (failed)
		fprintf(stderr, "sluice: %s: %s\n", path, strerror(errno));
	if (out != NULL)
		fclose(out);
	if (in != NULL && !standard)
		fclose(in);
	if (!failed)
		return text;
	free(text);
	return NULL;
}

static int print_push(const struct sl_client *client, const struct sl_client_call *call)
{
	if (client->output != SL_OUTPUT_TABLE)
		return sl_client_print(client->output, call->json);
	printf("generation %lld, %lld changed\n",
	       json_integer_value(json_object_get(call->json, "generation")),
	       json_integer_value(json_object_get(call->json, "changed")));
	return SL_EXIT_OK;
}

/* Pushes a body and prints the outcome. */
static int push(const struct sl_client *client, struct sl_client_call *call,
                int (*print)(const struct sl_client *client, const struct sl_client_call *call))
{
	int ret = sl_client_call(client, call);

	if (ret != SL_EXIT_OK)
		return ret;
	ret = call->status < 300 ? print(client, call) : sl_client_refused(call);
	sl_client_done(call);
	return ret;
}

/* ---- one sandbox ---- */

/* An entry with this policy value, whatever form it is written in. NULL without memory. */
static char *wrap(const char *value)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	fputs("policy:\n", out);
	while (*value != '\0') {
		size_t n = strcspn(value, "\n");

		fprintf(out, "  %.*s\n", (int)n, value);
		value += n + (value[n] == '\n');
	}
	fclose(out);
	return text;
}

/* The sandbox may be new: then its entry is made. */
static int set_policy(const struct sl_client *client, const char *sandbox, const char *value,
                      const char *file)
{
	char path[512];
	struct sl_client_call call = {.method = "PUT", .path = path, .body = value, .file = file};
	int ret;

	sl_client_path(path, sizeof(path), "/v1/sandboxes/", sandbox, "/policy");
	ret = sl_client_call(client, &call);
	if (ret == SL_EXIT_OK && call.status == 404) {
		char *entry = wrap(value);

		sl_client_done(&call);
		call.body = entry;
		sl_client_path(path, sizeof(path), "/v1/sandboxes/", sandbox, "");
		ret = push(client, &call, print_push);
		free(entry);
		return ret;
	}
	if (ret != SL_EXIT_OK)
		return ret;
	ret = call.status < 300 ? print_push(client, &call) : sl_client_refused(&call);
	sl_client_done(&call);
	return ret;
}

int sl_word_set(const struct sl_client *client, int argc, char **argv)
{
	char *text;
	int ret;

	if (strcmp(argv[1], "allow-all") == 0 || strcmp(argv[1], "deny-all") == 0)
		return set_policy(client, argv[0], argv[1], "sluice");
	text = read_all(argv[1]);
	if (text == NULL)
		return SL_EXIT_REFUSED;
	ret = set_policy(client, argv[0], text, argv[1]);
	free(text);
	return ret;
}

static int print_removed(const struct sl_client *client, const struct sl_client_call *call)
{
	if (json_integer_value(json_object_get(call->json, "changed")) > 0)
		return print_push(client, call);
	fputs("sluice: there is no such sandbox\n", stderr);
	return SL_EXIT_REFUSED;
}

int sl_word_rm(const struct sl_client *client, int argc, char **argv)
{
	char path[512];
	struct sl_client_call call = {.method = "DELETE", .path = path};

	sl_client_path(path, sizeof(path), "/v1/sandboxes/", argv[0], "");
	return push(client, &call, print_removed);
}

static int print_cut(const struct sl_client *client, const struct sl_client_call *call)
{
	if (client->output != SL_OUTPUT_TABLE)
		return sl_client_print(client->output, call->json);
	printf("%lld flows cut\n", json_integer_value(json_object_get(call->json, "flows")));
	return SL_EXIT_OK;
}

int sl_word_cut(const struct sl_client *client, int argc, char **argv)
{
	char path[512];
	struct sl_client_call call = {.method = "POST", .path = path};

	sl_client_path(path, sizeof(path), "/v1/sandboxes/", argv[0], "/cut");
	return push(client, &call, print_cut);
}

/* ---- whole documents ---- */

/* Prints the lines of one text that the other has not, each with a sign. */
static void print_lines(const char *text, const char *other, char sign)
{
	while (text != NULL && *text != '\0') {
		size_t n = strcspn(text, "\n");
		bool there = false;

		for (const char *line = other; line != NULL && *line != '\0';) {
			size_t m = strcspn(line, "\n");

			there |= m == n && memcmp(line, text, n) == 0;
			line += m + (line[m] == '\n');
		}
		if (!there)
			printf("%c %.*s\n", sign, (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void print_change(const json_t *change)
{
	const json_t *from = json_object_get(change, "from"), *to = json_object_get(change, "to");
	const char *policy = json_string_value(json_object_get(change, "policy"));
	char *old = json_is_null(from) ? NULL : sl_policy_json_yaml(from);
	char *new = json_is_null(to) ? NULL : sl_policy_json_yaml(to);

	if (policy != NULL)
		printf("policy %s\n", policy);
	else
		printf("sandbox %lld\n", json_integer_value(json_object_get(change, "vlan")));
	print_lines(old, new, '-');
	print_lines(new, old, '+');
	free(old);
	free(new);
}

static int print_diff(const struct sl_client *client, const struct sl_client_call *call)
{
	const json_t *changes = json_object_get(call->json, "would-change");
	size_t i;
	json_t *change;

	if (client->output != SL_OUTPUT_TABLE)
		sl_client_print(client->output, changes);
	else
		json_array_foreach (changes, i, change)
			print_change(change);
	return json_array_size(changes) > 0 ? SL_EXIT_REFUSED : SL_EXIT_OK;
}

/* The same, of a push that was only tried. */
static int print_dry_run(const struct sl_client *client, const struct sl_client_call *call)
{
	print_diff(client, call);
	return SL_EXIT_OK;
}

static int push_document(const struct sl_client *client, const char *file, const char *path,
                         int (*print)(const struct sl_client *client,
                                      const struct sl_client_call *call))
{
	char *text = read_all(file);
	struct sl_client_call call = {.method = "PUT", .path = path, .body = text, .file = file};
	int ret = SL_EXIT_REFUSED;

	if (text != NULL)
		ret = push(client, &call, print);
	free(text);
	return ret;
}

int sl_word_diff(const struct sl_client *client, int argc, char **argv)
{
	return push_document(client, argv[0], "/v1/policy?dry-run=1", print_diff);
}

int sl_word_apply(const struct sl_client *client, int argc, char **argv)
{
	if (client->flag)
		return push_document(client, argv[0], "/v1/policy?dry-run=1", print_dry_run);
	return push_document(client, argv[0], "/v1/policy", print_push);
}
