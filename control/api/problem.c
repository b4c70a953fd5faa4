/* SPDX-License-Identifier: Apache-2.0 */
/*
 * problem.c: answers, and among them those that say what is wrong (RFC 9457).
 */
#include <stdlib.h>
#include <string.h>

#include "compose.h"
#include "request.h"

void sl_request_json(struct sl_request *request, int status, json_t *value)
{
	static const char broken[] = "{\"type\":\"tag:sluice,2026:no-memory\",\"status\":500}";

	free(request->text);
	request->text = value != NULL ? json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY) : NULL;
	request->status = request->text != NULL ? status : 500;
	request->type = "application/json";
	if (request->text == NULL)
		request->text = strdup(broken);
	json_decref(value);
}

static const char *title_of(int status)
{
	switch (status) {
	case 400:
		return "The body cannot be read";
	case 403:
		return "Not allowed here";
	case 404:
		return "Not found";
	case 405:
		return "Not a method of this resource";
	case 409:
		return "Conflict";
	case 410:
		return "Gone";
	case 412:
		return "Another generation is in force";
	case 413:
		return "The body is too large";
	case 415:
		return "Not a type that can be read";
	case 422:
		return "The document has mistakes";
	case 503:
		return "Not ready";
	case 504:
		return "A worker is late";
	case 507:
		return "No room";
	default:
		return "Something failed";
	}
}

/* "file:line:column: message" without what stands before the message. */
static const char *message_of(const struct sl_diag_entry *entry)
{
	const char *at = strstr(entry->text, ": ");

	return at != NULL ? at + 2 : entry->text;
}

static void ignore(void *opaque, const char *text)
{
}

static json_t *errors_of(struct sl_diag *diag, const struct sl_yaml_doc *body)
{
	json_t *list = json_array();
	char pointer[512];

	sl_diag_each(diag, SL_DIAG_ERROR, ignore, NULL); /* which sorts them by place */
	for (size_t i = 0; i < diag->n; i++) {
		const struct sl_diag_entry *entry = &diag->entries[i];

		if (entry->severity != SL_DIAG_ERROR)
			continue;
		sl_compose_pointer(body, entry->line, entry->column, pointer, sizeof(pointer));
		json_array_append_new(list,
		                      json_pack("{s:i, s:i, s:s, s:s}", "line", (int)entry->line,
		                                "column", (int)entry->column, "pointer", pointer,
		                                "message", message_of(entry)));
	}
	return list;
}

void sl_request_problem(struct sl_request *request, int status, const char *problem,
                        const char *detail, struct sl_diag *diag, const struct sl_yaml_doc *body)
{
	json_t *value = json_object();

	json_object_set_new(value, "type", json_sprintf("tag:sluice,2026:%s", problem));
	json_object_set_new(value, "title", json_string(title_of(status)));
	json_object_set_new(value, "status", json_integer(status));
	json_object_set_new(value, "detail", json_string(detail));
	if (diag != NULL && diag->errors > 0)
		json_object_set_new(value, "errors", errors_of(diag, body));
	sl_request_json(request, status, value);
	request->type = "application/problem+json";
}
