/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_stream.c: reads the journal for one client. Lines are compared as texts, which the gateway
 * made itself: inside a name every quote is escaped, so that no name looks like a key.
 */
#include "event_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pushes.h"
#include "tell/journal.h"

#define FILTERS   4
#define LINE_MAX  8192
#define HEARTBEAT "{\"event\":\"heartbeat\"}\n"

struct sl_event_stream {
	struct sl_journal *journal;
	uint64_t next;
	uint64_t end; /* without follow: what came before the request */
	bool follow;
	char filter[FILTERS][320]; /* texts that a line must have; "": any */
	char line[LINE_MAX];
	size_t at, len; /* of the line, what is still to be sent */
};

static bool passes(const struct sl_event_stream *stream, size_t len)
{
	for (unsigned i = 0; i < FILTERS; i++)
		if (stream->filter[i][0] != '\0' &&
		    memmem(stream->line, len, stream->filter[i], strlen(stream->filter[i])) == NULL)
			return false;
	return true;
}

/*
 * Gets the next line that passes. False: there is none now. Lines that do not pass put no
 * heartbeat off: it also finds out that the client is gone.
 */
static bool next_line(struct sl_event_stream *stream)
{
	uint64_t until = sl_journal_clock_ms() + SL_EVENT_STREAM_HEARTBEAT_MS;

	stream->at = stream->len = 0;
	while (stream->follow ? sl_journal_clock_ms() < until : stream->next < stream->end) {
		int len = sl_journal_read(stream->journal, stream->next, stream->line, LINE_MAX,
		                          stream->follow ? until : 0);

		if (len == -ENOENT) { /* the client was too slow: there is a gap in seq */
			stream->next = sl_journal_oldest(stream->journal);
			continue;
		}
		if (len <= 0)
			return false;
		stream->next++;
		if (passes(stream, (size_t)len)) {
			stream->len = (size_t)len;
			return true;
		}
	}
	return false;
}

ssize_t sl_event_stream_read(struct sl_event_stream *stream, char *out, size_t size)
{
	size_t n;

	if (stream->at == stream->len && !next_line(stream)) {
		if (!stream->follow || sl_journal_ends(stream->journal))
			return 0;
		strcpy(stream->line, HEARTBEAT);
		stream->len = strlen(HEARTBEAT);
	}
	n = stream->len - stream->at < size ? stream->len - stream->at : size;
	memcpy(out, stream->line + stream->at, n);
	stream->at += n;
	return (ssize_t)n;
}

void sl_event_stream_free(struct sl_event_stream *stream)
{
	if (stream != NULL)
		sl_journal_leave(stream->journal);
	free(stream);
}

/* ---- what is asked for ---- */

static void set_word(struct sl_event_stream *stream, unsigned which, const char *key,
                     const char *word)
{
	if (word != NULL)
		snprintf(stream->filter[which], sizeof(stream->filter[which]), "\"%s\":\"%s\"", key,
		         word);
}

/* A word has no quotes; false: answered. */
static bool is_word(struct sl_request *request, const char *word)
{
	if (word == NULL || (strlen(word) < 64 && strpbrk(word, "\"\\") == NULL))
		return true;
	sl_request_problem(request, 400, "bad-argument", "verdict, reason and event are words",
	                   NULL, NULL);
	return false;
}

static bool set_sandbox(struct sl_request *request, struct sl_event_stream *stream)
{
	struct sl_model *model = request->api->pushes->model;
	uint16_t vlan;

	if (request->sandbox == NULL)
		return true;
	pthread_mutex_lock(&model->lock);
	vlan = sl_model_vlan(model, request->sandbox);
	pthread_mutex_unlock(&model->lock);
	if (vlan == 0) {
		sl_request_problem(request, 404, "not-found", "there is no such sandbox", NULL,
		                   NULL);
		return false;
	}
	snprintf(stream->filter[3], sizeof(stream->filter[3]), "\"vlan\":%u,", vlan);
	return true;
}

/* Where to begin: after a line that was seen, at the last N, at the oldest, or (to follow) now. */
static bool set_begin(struct sl_request *request, struct sl_event_stream *stream)
{
	uint64_t oldest = sl_journal_oldest(stream->journal);
	uint64_t next = sl_journal_next(stream->journal);
	unsigned long long number = 0;
	const char *text = request->after != NULL ? request->after : request->last;
	char end;

	stream->end = next;
	stream->next = stream->follow && text == NULL ? next : oldest;
	if (text == NULL)
		return true;
	if (sscanf(text, "%llu%c", &number, &end) != 1 || text[0] == '-') {
		sl_request_problem(request, 400, "bad-argument", "after and last are numbers", NULL,
		                   NULL);
		return false;
	}
	if (request->after == NULL) {
		stream->next = next - oldest > number ? next - number : oldest;
		return true;
	}
	if (number + 1 < oldest) {
		sl_request_problem(request, 410, "gone", "events after that one are forgotten",
		                   NULL, NULL);
		return false;
	}
	stream->next = number + 1;
	return true;
}

void sl_request_events(struct sl_request *request, int op)
{
	struct sl_event_stream *stream = calloc(1, sizeof(*stream));

	if (stream == NULL) {
		sl_request_problem(request, 500, "no-memory", "no memory for the events", NULL,
		                   NULL);
		return;
	}
	stream->journal = request->api->journal;
	sl_journal_enter(stream->journal);
	stream->follow = request->follow != NULL && strcmp(request->follow, "1") == 0;
	if (!is_word(request, request->verdict) || !is_word(request, request->reason) ||
	    !is_word(request, request->event) || !set_sandbox(request, stream) ||
	    !set_begin(request, stream)) {
		sl_event_stream_free(stream);
		return;
	}
	set_word(stream, 0, "verdict", request->verdict);
	set_word(stream, 1, "reason", request->reason);
	set_word(stream, 2, "event", request->event);
	request->status = 200;
	request->type = "application/jsonl";
	request->stream = stream;
}
