/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.h: what is wrong with a document, collected, as file:line:column: message.
 *
 * Every reader goes on after an error, so that one run shows all of them. Memory is bounded: after
 * SL_DIAG_MAX errors (and as many warnings) the rest is only counted.
 */
#ifndef SLUICE_CONTROL_DIAG_H
#define SLUICE_CONTROL_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SL_DIAG_MAX       100
#define SL_DIAG_QUOTE_MAX 96 /* bytes of a quoted piece of a document, NUL included */

enum sl_diag_severity { SL_DIAG_ERROR = 0, SL_DIAG_WARNING };

struct sl_diag_entry {
	enum sl_diag_severity severity;
	uint32_t line;   /* from 1; 0: the whole file */
	uint32_t column; /* from 1, in characters; 0: the whole file */
	uint32_t file;   /* files count up in the order of their first entry */
	char *text;      /* "file:line:column: message" */
};

struct sl_diag {
	size_t errors;   /* all, also those that were only counted */
	size_t warnings; /* all */
	struct sl_diag_entry *entries;
	size_t n;
	size_t kept_errors;
	size_t kept_warnings;
	char *last_file;
	uint32_t files;
};

/* An empty collection; sl_diag_free() gives its memory back and leaves it empty again. */
void sl_diag_init(struct sl_diag *diag);
void sl_diag_free(struct sl_diag *diag);

/*
 * Adds an error or a warning. line and column count from 1; with line 0 the text is
 * "file: message". One thread. Without memory for the text the entry is still counted.
 */
void sl_diag_error(struct sl_diag *diag, const char *file, uint32_t line, uint32_t column,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void sl_diag_warning(struct sl_diag *diag, const char *file, uint32_t line, uint32_t column,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/*
 * A reader that has to start again discards what it reported since the mark. Not across
 * sl_diag_each() or sl_diag_print(), which sort.
 */
struct sl_diag_mark {
	size_t errors, warnings, n, kept_errors, kept_warnings;
};
struct sl_diag_mark sl_diag_take_mark(const struct sl_diag *diag);
void sl_diag_rewind(struct sl_diag *diag, const struct sl_diag_mark *mark);

/*
 * Calls emit for each kept text of that severity, in the order of files, lines and columns (the
 * entries are sorted in place), and at the end for "and N more errors" if some were only counted.
 */
void sl_diag_each(struct sl_diag *diag, enum sl_diag_severity severity,
                  void (*emit)(void *opaque, const char *text), void *opaque);

/* Prints the texts of that severity to out, one a line; warnings are marked as such. */
void sl_diag_print(struct sl_diag *diag, enum sl_diag_severity severity, FILE *out);

/*
 * Writes text (len bytes of a document) between double quotes to out, control characters escaped,
 * cut with "..." where it is too long. Returns out.
 */
const char *sl_diag_quote(const char *text, size_t len, char out[SL_DIAG_QUOTE_MAX]);

#endif
