/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c: calls of the API by libcurl over its Unix socket.
 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "document/policy_json.h"

struct received {
	const struct sl_client_call *call;
	CURL *curl;
	char *text;
	size_t len;
};

/* Hands on the lines that are complete. */
static bool hand_on(struct received *received)
{
	const struct sl_client_call *call = received->call;
	char *from = received->text, *end;
	bool more = true;

	while (more && (end = strchr(from, '\n')) != NULL) {
		*end = '\0';
		more = call->line(from, call->ctx);
		from = end + 1;
	}
	received->len -= (size_t)(from - received->text);
	memmove(received->text, from, received->len + 1);
	return more;
}

static size_t receive(char *bytes, size_t size, size_t n, void *ctx)
{
	struct received *received = ctx;
	long status = 0;
	char *text = realloc(received->text, received->len + size * n + 1);

	if (text == NULL)
		return 0;
	memcpy(text + received->len, bytes, size * n);
	received->text = text;
	received->len += size * n;
	text[received->len] = '\0';
	curl_easy_getinfo(received->curl, CURLINFO_RESPONSE_CODE, &status);
	if (received->call->line != NULL && status == 200 && !hand_on(received))
		return 0;
	return size * n;
}

/* Only by TLS: what is asked and pushed is nobody else's to read or change. */
static void set_tls(const struct sl_client *client, CURL *curl)
{
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_SSLCERT, client->cert);
	curl_easy_setopt(curl, CURLOPT_SSLKEY, client->key);
	if (client->ca != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca);
}

static CURLcode perform(const struct sl_client *client, struct sl_client_call *call, CURL *curl,
                        struct received *received)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/yaml");
	char url[2048];
	long status = 0;
	CURLcode code;

	snprintf(url, sizeof(url), "%s%s", client->url != NULL ? client->url : "http://sluice",
	         call->path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	if (client->url != NULL)
		set_tls(client, curl);
	else
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, received);
	if (call->body != NULL) {
		headers = curl_slist_append(headers, "Expect:"); /* the gateway is near */
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(call->body));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	call->status = (int)status;
	curl_slist_free_all(headers);
	return code;
}

int sl_client_call(const struct sl_client *client, struct sl_client_call *call)
{
	CURL *curl = curl_easy_init();
	struct received received = {.call = call, .curl = curl};
	CURLcode code = curl != NULL ? perform(client, call, curl, &received) : CURLE_FAILED_INIT;

	curl_easy_cleanup(curl);
	call->text = received.text;
	call->json = received.text != NULL
	                     ? json_loadb(received.text, received.len, JSON_DECODE_ANY, NULL)
	                     : NULL;
	if (code == CURLE_OK || (call->line != NULL && call->status == 200))
		return SL_EXIT_OK; /* a stream ends when the gateway does */
	fprintf(stderr, "sluice: no gateway answers on %s: %s\n",
	        client->url != NULL ? client->url : client->socket, curl_easy_strerror(code));
	sl_client_done(call);
	return SL_EXIT_NO_GATEWAY;
}

void sl_client_done(struct sl_client_call *call)
{
	json_decref(call->json);
	free(call->text);
	call->json = NULL;
	call->text = NULL;
}

void sl_client_path(char *out, size_t size, const char *before, const char *id, const char *after)
{
	char *escaped = curl_easy_escape(NULL, id, 0);

	snprintf(out, size, "%s%s%s", before, escaped != NULL ? escaped : "", after);
	curl_free(escaped);
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

int sl_client_refused(const struct sl_client_call *call)
{
	const json_t *errors = json_object_get(call->json, "errors");
	size_t i;
	json_t *error;

	if (json_array_size(errors) == 0)
		fprintf(stderr, "sluice: %s: %s\n", string_of(call->json, "title"),
		        string_of(call->json, "detail"));
	json_array_foreach (errors, i, error)
		fprintf(stderr, "%s:%lld:%lld: %s\n", call->file != NULL ? call->file : "sluice",
		        json_integer_value(json_object_get(error, "line")),
		        json_integer_value(json_object_get(error, "column")),
		        string_of(error, "message"));
	return SL_EXIT_REFUSED;
}

int sl_client_print(enum sl_client_output output, const json_t *value)
{
	char *text = output == SL_OUTPUT_JSON ? json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY)
	                                      : sl_policy_json_yaml(value);

	if (text == NULL)
		return SL_EXIT_REFUSED;
	fputs(text, stdout);
	if (output == SL_OUTPUT_JSON)
		putchar('\n');
	free(text);
	return SL_EXIT_OK;
}
