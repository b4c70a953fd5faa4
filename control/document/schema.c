/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.c: turns nodes into values. It knows the shapes of values (number, word, list of
 * prefixes), not the keys of any document, and never takes a value that has two readings.
 */
#include "schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "docmem.h"
#include "nearest.h"

void sl_schema_error(struct sl_schema *schema, const struct sl_yaml_node *node, const char *fmt,
                     ...)
{
	char message[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	sl_diag_error(schema->diag, schema->file, node->line, node->column, "%s", message);
}

/* Reports that a node is of the wrong kind, unless an error was reported for it already. */
static bool is_kind(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                    enum sl_yaml_kind kind)
{
	if (node->kind == kind)
		return true;
	if (node->kind == SL_YAML_BROKEN)
		return false;
	if (node->kind == SL_YAML_NULL)
		sl_schema_error(schema, node, "%s: a null; %s was expected", what,
		                sl_yaml_kind_name(kind));
	else
		sl_schema_error(schema, node, "%s: %s was expected, not %s", what,
		                sl_yaml_kind_name(kind), sl_yaml_kind_name(node->kind));
	return false;
}

/* ---- mappings ---- */

static void join_words(const char *const *words, size_t n, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "",
		                         words[i]);
}

/* "; did you mean WORD?", or nothing. */
static const char *suggest(const char *text, const char *const *words, size_t n, char out[80])
{
	const char *word = sl_nearest_word(text, words, n);

	out[0] = '\0';
	if (word != NULL)
		snprintf(out, 80, "; did you mean %s?", word);
	return out;
}

static void tell_unknown_key(struct sl_schema *schema, const struct sl_yaml_node *key,
                             const char *what, const char *const *keys, size_t n)
{
	char quoted[SL_DIAG_QUOTE_MAX], known[320], meant[80];

	join_words(keys, n, known, sizeof(known));
	sl_schema_error(schema, key, "unknown key %s in %s; known keys: %s%s",
	                sl_diag_quote(key->text, key->n, quoted), what, known,
	                suggest(key->text, keys, n, meant));
}

static size_t find_word(const char *text, const char *const *words, size_t n)
{
	size_t i;

	for (i = 0; i < n && strcmp(text, words[i]) != 0; i++)
		;
	return i;
}

bool sl_schema_mapping(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                       const char *const *keys, size_t n, const struct sl_yaml_node **values)
{
	static const struct sl_yaml_node broken = {.kind = SL_YAML_BROKEN};

	for (size_t i = 0; i < n; i++)
		values[i] = NULL;
	if (!is_kind(schema, node, what, SL_YAML_MAPPING))
		return false;
	for (const struct sl_yaml_node *key = node->first; key != NULL; key = key->next->next) {
		const struct sl_yaml_node *value = key->next;
		size_t i;

		if (key->kind == SL_YAML_BROKEN)
			continue;
		i = find_word(key->text, keys, n);
		if (i == n) {
			tell_unknown_key(schema, key, what, keys, n);
			continue;
		}
		if (value->kind == SL_YAML_NULL) {
			sl_schema_error(schema, value,
			                "%s: a null; write a value or leave the key out",
			                key->text);
			value = &broken;
		}
		if (values[i] == NULL)
			values[i] = value;
	}
	return true;
}

bool sl_schema_list(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what)
{
	return is_kind(schema, node, what, SL_YAML_LIST);
}

/* ---- scalars ---- */

/* Digits only, and no leading zero: 0101 is octal to some, 1_000 and 0x10 are numbers to others. */
static bool is_plain_decimal(const struct sl_yaml_node *node)
{
	return node->plain && node->n > 0 && strspn(node->text, "0123456789") == node->n &&
	       (node->text[0] != '0' || node->n == 1);
}

bool sl_schema_number(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                      uint64_t min, uint64_t max, uint64_t *out)
{
	char quoted[SL_DIAG_QUOTE_MAX];
	uint64_t value = 0;

	if (!is_kind(schema, node, what, SL_YAML_SCALAR))
		return false;
	if (!is_plain_decimal(node)) {
		sl_schema_error(schema, node, "%s: %s is no plain decimal number%s", what,
		                sl_diag_quote(node->text, node->n, quoted),
		                node->plain ? "" : "; write it without quotes");
		return false;
	}
	/* 18 digits fit; more are out of any range. */
	for (uint32_t i = 0; i < node->n && i < 19; i++)
		value = value * 10 + (uint64_t)(node->text[i] - '0');
	if (node->n > 18 || value < min || value > max) {
		sl_schema_error(schema, node, "%s: %s is out of range (%llu to %llu)", what,
		                sl_diag_quote(node->text, node->n, quoted), (unsigned long long)min,
		                (unsigned long long)max);
		return false;
	}
	*out = value;
	return true;
}

bool sl_schema_bool(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                    bool *out)
{
	char quoted[SL_DIAG_QUOTE_MAX];

	if (!is_kind(schema, node, what, SL_YAML_SCALAR))
		return false;
	if (node->plain && strcmp(node->text, "true") == 0) {
		*out = true;
	} else if (node->plain && strcmp(node->text, "false") == 0) {
		*out = false;
	} else {
		sl_schema_error(schema, node, "%s: %s is neither true nor false%s", what,
		                sl_diag_quote(node->text, node->n, quoted),
		                node->plain ? "" : " (without quotes)");
		return false;
	}
	return true;
}

bool sl_schema_word(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                    const char *const *words, size_t n, unsigned *out)
{
	char quoted[SL_DIAG_QUOTE_MAX], known[160], meant[80];
	size_t i;

	if (!is_kind(schema, node, what, SL_YAML_SCALAR))
		return false;
	i = find_word(node->text, words, n);
	if (i == n) {
		join_words(words, n, known, sizeof(known));
		sl_schema_error(schema, node, "%s: %s is none of: %s%s", what,
		                sl_diag_quote(node->text, node->n, quoted), known,
		                suggest(node->text, words, n, meant));
		return false;
	}
	*out = (unsigned)i;
	return true;
}

/* C0, DEL and C1: they would forge lines in logs and terminals. */
static bool has_control(const struct sl_yaml_node *node)
{
	const unsigned char *text = (const unsigned char *)node->text;

	for (uint32_t i = 0; i < node->n; i++)
		if (text[i] < 0x20 || text[i] == 0x7f ||
		    (text[i] == 0xc2 && text[i + 1] >= 0x80 && text[i + 1] <= 0x9f))
			return true;
	return false;
}

bool sl_schema_text(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                    size_t max, const char **out)
{
	if (!is_kind(schema, node, what, SL_YAML_SCALAR))
		return false;
	if (node->n == 0)
		sl_schema_error(schema, node, "%s: an empty text", what);
	else if (node->n > max)
		sl_schema_error(schema, node, "%s: longer than %zu bytes", what, max);
	else if (has_control(node))
		sl_schema_error(schema, node, "%s: has a control character in it", what);
	else {
		*out = sl_docmem_copy(schema->mem, node->text, node->n);
		schema->no_memory |= *out == NULL;
		return *out != NULL;
	}
	return false;
}

/* ---- prefixes ---- */

static bool read_prefix(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                        enum sl_schema_prefix_kind kind, struct sl_prefix *out)
{
	char why[160], quoted[SL_DIAG_QUOTE_MAX];
	int rc;

	if (node->kind == SL_YAML_MAPPING) {
		/* In a flow collection `2001:db8::` without quotes is a key without a value. */
		sl_schema_error(schema, node,
		                "%s: an address was expected, not a mapping; "
		                "an IPv6 address needs quotes here",
		                what);
		return false;
	}
	if (!is_kind(schema, node, what, SL_YAML_SCALAR))
		return false;
	rc = kind == SL_SCHEMA_ADDRESSES
	             ? sl_prefix_parse_address(node->text, node->n, out, why, sizeof(why))
	             : sl_prefix_parse(node->text, node->n, out, why, sizeof(why));
	if (rc < 0)
		sl_schema_error(schema, node, "%s: %s %s", what,
		                sl_diag_quote(node->text, node->n, quoted), why);
	return rc == 0;
}

bool sl_schema_prefixes(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                        enum sl_schema_prefix_kind kind, const struct sl_prefix *extra,
                        size_t n_extra, const struct sl_prefix **out, size_t *n_out)
{
	bool list = is_kind(schema, node, what, SL_YAML_LIST), good = list;
	struct sl_prefix *prefixes =
	        sl_docmem_alloc(schema->mem, (list ? node->n : 0) + n_extra, sizeof(*prefixes));
	size_t n = 0;

	if (prefixes == NULL) {
		schema->no_memory = true;
		return false;
	}
	for (size_t i = 0; i < n_extra; i++)
		prefixes[n++] = extra[i];
	if (list) {
		for (const struct sl_yaml_node *item = node->first; item != NULL;
		     item = item->next) {
			if (read_prefix(schema, item, what, kind, &prefixes[n]))
				n++;
			else
				good = false;
		}
	}
	*n_out = sl_prefix_sort_unique(prefixes, n);
	*out = prefixes;
	return good;
}
