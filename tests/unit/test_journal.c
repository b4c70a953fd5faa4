/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_journal.c: the latest events in memory, and the streams of them that clients read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event_stream.h"
#include "api/pushes.h"
#include "tell/journal.h"

#define ROOM 4096

/* Lines of many lengths: number n is {"n":N,...x}. */
static size_t make_line(uint64_t number, char out[256])
{
	return (size_t)sprintf(out, "{\"n\":%llu,\"event\":\"%s\",\"x\":\"%.*s\"}\n",
	                       (unsigned long long)number, number % 3 == 0 ? "push" : "flow",
	                       (int)(number * 7 % 90),
	                       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	                       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

static void add(struct sl_journal *journal, unsigned n)
{
	char line[256];

	while (n-- > 0)
		sl_journal_add(journal, line, make_line(sl_journal_next(journal), line));
}

static void assert_line(struct sl_journal *journal, uint64_t number)
{
	char line[256], got[256];
	size_t len = make_line(number, line);

	assert_int_equal(sl_journal_read(journal, number, got, sizeof(got), 0), (int)len);
	assert_memory_equal(got, line, len);
}

static void latest_lines_are_there_and_older_ones_are_forgotten(void **state)
{
	struct sl_journal *journal = sl_journal_create(ROOM);
	char got[256];

	assert_int_equal(sl_journal_read(journal, 1, got, sizeof(got), 0), 0);
	for (unsigned n = 1; n <= 1000; n++) {
		uint64_t oldest;

		add(journal, 1);
		oldest = sl_journal_oldest(journal);
		assert_int_equal(sl_journal_next(journal), n + 1);
		for (uint64_t seq = oldest; seq <= n; seq++)
			assert_line(journal, seq);
		assert_in_range(n - oldest + 1, n < 20 ? n : 20, ROOM / 32);
		assert_int_equal(sl_journal_read(journal, oldest - 1, got, sizeof(got), 0),
		                 -ENOENT);
		assert_int_equal(sl_journal_read(journal, n + 1, got, sizeof(got), 0), 0);
	}
	assert_int_equal(sl_journal_read(journal, 1000, got, 8, 0), -EMSGSIZE);
	sl_journal_free(journal);
}

static void *read_one(void *ctx)
{
	char got[256];

	return (void *)(intptr_t)sl_journal_read(ctx, 1, got, sizeof(got), UINT64_MAX / 4);
}

static void reader_is_woken_by_a_line_and_by_the_end(void **state)
{
	for (int line = 0; line < 2; line++) {
		struct sl_journal *journal = sl_journal_create(ROOM);
		pthread_t reader;
		void *len;

		assert_int_equal(pthread_create(&reader, NULL, read_one, journal), 0);
		if (line)
			add(journal, 1);
		else
			sl_journal_end(journal, 0);
		assert_int_equal(pthread_join(reader, &len), 0);
		assert_int_equal((intptr_t)len > 0, line);
		assert_int_equal(sl_journal_ends(journal), !line);
		sl_journal_free(journal);
	}
}

/* ---- streams ---- */

static struct sl_event_stream *ask(struct sl_journal *journal, struct sl_request request,
                                   int *status)
{
	struct sl_pushes pushes = {0};
	struct sl_api_params params = {.journal = journal, .pushes = &pushes};

	request.api = &params;
	sl_request_events(&request, 0);
	*status = request.status;
	free(request.text);
	return request.stream;
}

static void assert_number(struct sl_event_stream *stream, uint64_t number)
{
	char line[256], got[256];
	size_t len = make_line(number, line);

	/* bit by bit, as a small window of the client has it */
	for (size_t at = 0; at < len; at++)
		assert_int_equal(sl_event_stream_read(stream, got + at, 1), 1);
	assert_memory_equal(got, line, len);
}

static void assert_end(struct sl_event_stream *stream)
{
	char got[256];

	assert_int_equal(sl_event_stream_read(stream, got, sizeof(got)), 0);
	sl_event_stream_free(stream);
}

static void stream_has_what_was_there_when_it_was_asked_for(void **state)
{
	struct sl_journal *journal = sl_journal_create(ROOM);
	struct sl_event_stream *stream;
	int status;

	add(journal, 10);
	stream = ask(journal, (struct sl_request){.event = "push"}, &status);
	assert_int_equal(status, 200);
	add(journal, 5);
	for (uint64_t n = 3; n <= 9; n += 3)
		assert_number(stream, n);
	assert_end(stream);
	stream = ask(journal, (struct sl_request){.last = "2"}, &status);
	assert_number(stream, 14);
	assert_number(stream, 15);
	assert_end(stream);
	stream = ask(journal, (struct sl_request){.after = "14"}, &status);
	assert_number(stream, 15);
	assert_end(stream);
	sl_journal_free(journal);
}

static void stream_after_what_is_forgotten_is_refused(void **state)
{
	struct sl_journal *journal = sl_journal_create(ROOM);
	char oldest[24];
	int status;

	add(journal, 1000);
	assert_null(ask(journal, (struct sl_request){.after = "1"}, &status));
	assert_int_equal(status, 410);
	sprintf(oldest, "%llu", (unsigned long long)sl_journal_oldest(journal) - 1);
	sl_event_stream_free(ask(journal, (struct sl_request){.after = oldest}, &status));
	assert_int_equal(status, 200);
	sl_journal_free(journal);
}

static void slow_client_goes_on_at_the_oldest(void **state)
{
	struct sl_journal *journal = sl_journal_create(ROOM);
	struct sl_event_stream *stream;
	int status;

	stream = ask(journal, (struct sl_request){.follow = "1"}, &status);
	add(journal, 2);
	assert_number(stream, 1);
	add(journal, 1000);
	for (uint64_t n = sl_journal_oldest(journal); n < sl_journal_next(journal); n++)
		assert_number(stream, n);
	sl_journal_end(journal, 1); /* that time is over */
	assert_end(stream);
	sl_journal_free(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(latest_lines_are_there_and_older_ones_are_forgotten),
	        cmocka_unit_test(reader_is_woken_by_a_line_and_by_the_end),
	        cmocka_unit_test(stream_has_what_was_there_when_it_was_asked_for),
	        cmocka_unit_test(stream_after_what_is_forgotten_is_refused),
	        cmocka_unit_test(slow_client_goes_on_at_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
