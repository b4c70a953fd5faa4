/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h: the latest events, kept in memory for those who read them by the API.
 *
 * Threads: one thread adds, any thread reads. Who adds never waits for a reader: what is too old is
 * forgotten, and a reader that is too slow is told so.
 */
#ifndef SLUICE_CONTROL_JOURNAL_H
#define SLUICE_CONTROL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_journal;

/* Room for so many bytes of lines. NULL without memory. */
struct sl_journal *sl_journal_create(size_t bytes);

/* No thread may be reading. NULL is fine. */
void sl_journal_free(struct sl_journal *journal);

/* The number that the next line gets; the first one is 1. */
uint64_t sl_journal_next(const struct sl_journal *journal);

/* Adds a line, its newline included. */
void sl_journal_add(struct sl_journal *journal, const char *line, size_t len);

/* The oldest line that is there; sl_journal_next() if none is. */
uint64_t sl_journal_oldest(struct sl_journal *journal);

/*
 * Copies the line with this number to out, and waits for it until that time (sl_journal_clock_ms();
 * 0: not at all). Returns its length; 0: it has not come (or the journal ends); -ENOENT: it is
 * forgotten; -EMSGSIZE: size is too small.
 */
int sl_journal_read(struct sl_journal *journal, uint64_t seq, char *out, size_t size,
                    uint64_t until_ms);

/* A monotonic clock, in milliseconds. */
uint64_t sl_journal_clock_ms(void);

/* A reader that sl_journal_end() gives time to read the rest, and its leaving. */
void sl_journal_enter(struct sl_journal *journal);
void sl_journal_leave(struct sl_journal *journal);

/*
 * Wakes all readers, and lets nobody wait any more. Returns when all have left, or at that time
 * (sl_journal_clock_ms()).
 */
void sl_journal_end(struct sl_journal *journal, uint64_t until_ms);
bool sl_journal_ends(struct sl_journal *journal);

#endif
