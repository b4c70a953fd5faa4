/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.c: collects errors and warnings and puts them into the order of the file.
 *
 * Its memory must not grow with the number of errors: a document with a million mistakes costs no
 * more memory than one with a hundred.
 */
#include "diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void sl_diag_init(struct sl_diag *diag)
{
	memset(diag, 0, sizeof(*diag));
}

void sl_diag_free(struct sl_diag *diag)
{
	for (size_t i = 0; i < diag->n; i++)
		free(diag->entries[i].text);
	free(diag->entries);
	free(diag->last_file);
	sl_diag_init(diag);
}

/* The place of a file in the order of first mention; only the last one is remembered, since readers
 * finish with one file before they begin the next. */
static uint32_t file_order(struct sl_diag *diag, const char *file)
{
	if (diag->last_file == NULL || strcmp(diag->last_file, file) != 0) {
		free(diag->last_file);
		diag->last_file = strdup(file);
		diag->files++;
	}
	return diag->files;
}

static char *format_entry(const char *file, uint32_t line, uint32_t column, const char *fmt,
                          va_list args)
{
	char *message, *text;
	int rc;

	if (vasprintf(&message, fmt, args) < 0)
		return NULL;
	if (line == 0)
		rc = asprintf(&text, "%s: %s", file, message);
	else
		rc = asprintf(&text, "%s:%u:%u: %s", file, line, column, message);
	free(message);
	return rc < 0 ? NULL : text;
}

static void add(struct sl_diag *diag, enum sl_diag_severity severity, const char *file,
                uint32_t line, uint32_t column, const char *fmt, va_list args)
{
	size_t *kept = severity == SL_DIAG_ERROR ? &diag->kept_errors : &diag->kept_warnings;
	struct sl_diag_entry *entry;

	if (*kept >= SL_DIAG_MAX)
		return;
	if (diag->entries == NULL)
		diag->entries = calloc((size_t)2 * SL_DIAG_MAX, sizeof(*diag->entries));
	if (diag->entries == NULL)
		return;
	entry = &diag->entries[diag->n];
	entry->text = format_entry(file, line, column, fmt, args);
	if (entry->text == NULL)
		return;
	entry->severity = severity;
	entry->line = line;
	entry->column = column;
	entry->file = file_order(diag, file);
	diag->n++;
	(*kept)++;
}

void sl_diag_error(struct sl_diag *diag, const char *file, uint32_t line, uint32_t column,
                   const char *fmt, ...)
{
	va_list args;

	diag->errors++;
	va_start(args, fmt);
	add(diag, SL_DIAG_ERROR, file, line, column, fmt, args);
	va_end(args);
}

void sl_diag_warning(struct sl_diag *diag, const char *file, uint32_t line, uint32_t column,
                     const char *fmt, ...)
{
	va_list args;

	diag->warnings++;
	va_start(args, fmt);
	add(diag, SL_DIAG_WARNING, file, line, column, fmt, args);
	va_end(args);
}

struct sl_diag_mark sl_diag_take_mark(const struct sl_diag *diag)
{
	return (struct sl_diag_mark){
	        .errors = diag->errors,
	        .warnings = diag->warnings,
	        .n = diag->n,
	        .kept_errors = diag->kept_errors,
	        .kept_warnings = diag->kept_warnings,
	};
}

void sl_diag_rewind(struct sl_diag *diag, const struct sl_diag_mark *mark)
{
	while (diag->n > mark->n)
		free(diag->entries[--diag->n].text);
	diag->errors = mark->errors;
	diag->warnings = mark->warnings;
	diag->kept_errors = mark->kept_errors;
	diag->kept_warnings = mark->kept_warnings;
}

static int compare_numbers(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_entries(const void *a, const void *b)
{
	const struct sl_diag_entry *left = a, *right = b;
	int order = compare_numbers(left->file, right->file);

	if (order == 0)
		order = compare_numbers(left->line, right->line);
	if (order == 0)
		order = compare_numbers(left->column, right->column);
	return order != 0 ? order : strcmp(left->text, right->text);
}

void sl_diag_each(struct sl_diag *diag, enum sl_diag_severity severity,
                  void (*emit)(void *opaque, const char *text), void *opaque)
{
	bool errors = severity == SL_DIAG_ERROR;
	size_t all = errors ? diag->errors : diag->warnings;
	size_t kept = errors ? diag->kept_errors : diag->kept_warnings;
	char more[64];

	if (diag->n > 1)
		qsort(diag->entries, diag->n, sizeof(*diag->entries), compare_entries);
	for (size_t i = 0; i < diag->n; i++)
		if (diag->entries[i].severity == severity)
			emit(opaque, diag->entries[i].text);
	if (all > kept) {
		snprintf(more, sizeof(more), "and %zu more %s", all - kept,
		         errors ? "errors" : "warnings");
		emit(opaque, more);
	}
}

static void print_error(void *out, const char *text)
{
	fprintf(out, "%s\n", text);
}

static void print_warning(void *out, const char *text)
{
	fprintf(out, "warning: %s\n", text);
}

void sl_diag_print(struct sl_diag *diag, enum sl_diag_severity severity, FILE *out)
{
	sl_diag_each(diag, severity, severity == SL_DIAG_ERROR ? print_error : print_warning, out);
}

/* The first byte of a character that is no control character, C1 (U+0080..U+009F) included. */
static bool is_control(const unsigned char *text, size_t len)
{
	return text[0] < 0x20 || text[0] == 0x7f ||
	       (text[0] == 0xc2 && len > 1 && text[1] >= 0x80 && text[1] <= 0x9f);
}

const char *sl_diag_quote(const char *text, size_t len, char out[SL_DIAG_QUOTE_MAX])
{
	/*
	 * Leaves room after the largest piece (4 bytes) for the cut mark, the quote and the NUL.
	 */
	const size_t limit = SL_DIAG_QUOTE_MAX - 4 - 3 - 2;
	const unsigned char *bytes = (const unsigned char *)text;
	size_t used = 0;

	out[used++] = '"';
	for (size_t i = 0; i < len; i++) {
		bool first = (bytes[i] & 0xc0) != 0x80;

		/* Cut between characters only. */
		if (first && used >= limit) {
			memcpy(out + used, "...", 3);
			used += 3;
			break;
		}
		if (used >= SL_DIAG_QUOTE_MAX - 5)
			break;
		if (is_control(bytes + i, len - i)) {
			int n = snprintf(out + used, SL_DIAG_QUOTE_MAX - used, "\\x%02x",
			                 bytes[i] == 0xc2 ? bytes[++i] : bytes[i]);

			used += (size_t)n;
		} else {
			out[used++] = text[i];
		}
	}
	out[used++] = '"';
	out[used] = '\0';
	return out;
}
