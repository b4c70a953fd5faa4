/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.c: a ring of bytes with the latest lines, and a ring of where they begin.
 */
#include "journal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTES_A_LINE 128 /* at least, on average: for the number of places */

struct sl_journal {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a line was added, a reader left, or it ends */
	unsigned readers;
	uint64_t next;   /* number of the line that comes next */
	uint64_t oldest; /* of the oldest one that is there */
	uint64_t end;    /* bytes that were ever written */
	size_t room;
	size_t places;
	uint64_t *begin; /* by number modulo places: the byte at which the line begins */
	bool ending;
	char *bytes;
};

struct sl_journal *sl_journal_create(size_t bytes)
{
	struct sl_journal *journal = calloc(1, sizeof(*journal));
	pthread_condattr_t attr;

	if (journal == NULL)
		return NULL;
	journal->room = bytes;
	journal->places = bytes / BYTES_A_LINE;
	journal->bytes = malloc(bytes);
	journal->begin = calloc(journal->places, sizeof(*journal->begin));
	journal->next = journal->oldest = 1;
	pthread_mutex_init(&journal->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&journal->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (journal->bytes != NULL && journal->begin != NULL)
		return journal;
	sl_journal_free(journal);
	return NULL;
}

void sl_journal_free(struct sl_journal *journal)
{
	if (journal == NULL)
		return;
	pthread_mutex_destroy(&journal->lock);
	pthread_cond_destroy(&journal->changed);
	free(journal->bytes);
	free(journal->begin);
	free(journal);
}

uint64_t sl_journal_next(const struct sl_journal *journal)
{
	return journal->next; /* the one that adds asks */
}

/* Copies to or from the ring at a byte that counts on for ever. */
static void copy_in(struct sl_journal *journal, uint64_t at, const char *from, size_t len)
{
	size_t place = at % journal->room, first = journal->room - place;

	if (first > len)
		first = len;
	memcpy(journal->bytes + place, from, first);
	memcpy(journal->bytes, from + first, len - first);
}

static void copy_out(const struct sl_journal *journal, uint64_t at, char *to, size_t len)
{
	size_t place = at % journal->room, first = journal->room - place;

	if (first > len)
		first = len;
	memcpy(to, journal->bytes + place, first);
	memcpy(to + first, journal->bytes, len - first);
}

void sl_journal_add(struct sl_journal *journal, const char *line, size_t len)
{
	pthread_mutex_lock(&journal->lock);
	while (journal->oldest < journal->next &&
	       (journal->next - journal->oldest == journal->places ||
	        journal->end + len - journal->begin[journal->oldest % journal->places] >
	                journal->room))
		journal->oldest++;
	journal->begin[journal->next % journal->places] = journal->end;
	copy_in(journal, journal->end, line, len);
	journal->end += len;
	journal->next++;
	pthread_cond_broadcast(&journal->changed);
	pthread_mutex_unlock(&journal->lock);
}

uint64_t sl_journal_oldest(struct sl_journal *journal)
{
	uint64_t oldest;

	pthread_mutex_lock(&journal->lock);
	oldest = journal->oldest;
	pthread_mutex_unlock(&journal->lock);
	return oldest;
}

uint64_t sl_journal_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits for a change. False: the time is over. With the lock. */
static bool wait_change(struct sl_journal *journal, uint64_t until_ms)
{
	struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
	                         .tv_nsec = (long)(until_ms % 1000) * 1000000};

	return until_ms > 0 &&
	       pthread_cond_timedwait(&journal->changed, &journal->lock, &until) == 0;
}

int sl_journal_read(struct sl_journal *journal, uint64_t seq, char *out, size_t size,
                    uint64_t until_ms)
{
	uint64_t begin, end;
	int len = 0;

	pthread_mutex_lock(&journal->lock);
	while (seq >= journal->next && !journal->ending && wait_change(journal, until_ms))
		;
	if (seq < journal->oldest) {
		len = -ENOENT;
	} else if (seq < journal->next) {
		begin = journal->begin[seq % journal->places];
		end = seq + 1 < journal->next ? journal->begin[(seq + 1) % journal->places]
		                              : journal->end;
		len = end - begin <= size ? (int)(end - begin) : -EMSGSIZE;
		if (len > 0)
			copy_out(journal, begin, out, (size_t)len);
	}
	pthread_mutex_unlock(&journal->lock);
	return len;
}

void sl_journal_enter(struct sl_journal *journal)
{
	pthread_mutex_lock(&journal->lock);
	journal->readers++;
	pthread_mutex_unlock(&journal->lock);
}

void sl_journal_leave(struct sl_journal *journal)
{
	pthread_mutex_lock(&journal->lock);
	journal->readers--;
	pthread_cond_broadcast(&journal->changed);
	pthread_mutex_unlock(&journal->lock);
}

void sl_journal_end(struct sl_journal *journal, uint64_t until_ms)
{
	pthread_mutex_lock(&journal->lock);
	journal->ending = true;
	pthread_cond_broadcast(&journal->changed);
	while (journal->readers > 0 && wait_change(journal, until_ms))
		;
	pthread_mutex_unlock(&journal->lock);
}

bool sl_journal_ends(struct sl_journal *journal)
{
	bool ending;

	pthread_mutex_lock(&journal->lock);
	ending = journal->ending;
	pthread_mutex_unlock(&journal->lock);
	return ending;
}
