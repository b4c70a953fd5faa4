/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.h: typed values from a YAML tree, with error messages that the author of the file can act
 * on.
 *
 * Every function accepts a node that is SL_YAML_BROKEN and skips it silently, so that one mistake
 * is reported once. They return true with a value, false without one (reported, or skipped).
 */
#ifndef SLUICE_CONTROL_SCHEMA_H
#define SLUICE_CONTROL_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diag.h"
#include "prefix.h"
#include "yaml_tree.h"

#define SL_SCHEMA_KEYS_MAX 32

/* The state of a reader. */
struct sl_schema {
	const char *file;
	struct sl_diag *diag;
	struct sl_docmem *mem; /* where values are copied to */
	bool no_memory;        /* sticky: an allocation failed, the result must not be used */
};

/* An error at a node. */
void sl_schema_error(struct sl_schema *schema, const struct sl_yaml_node *node, const char *fmt,
                     ...) __attribute__((format(printf, 3, 4)));

/*
 * The values of a mapping whose keys are the n words of keys (n <= SL_SCHEMA_KEYS_MAX): values[i]
 * is NULL for a key that is not there. A null value and an unknown key are reported; the value of
 * the former is then a broken node. what names the mapping in messages. False if it is no mapping.
 */
bool sl_schema_mapping(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                       const char *const *keys, size_t n, const struct sl_yaml_node **values);

/* True if the node is a list; otherwise reports an error. */
bool sl_schema_list(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what);

/* A plain decimal number without sign, leading zeros and quotes, from min to max. */
bool sl_schema_number(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                      uint64_t min, uint64_t max, uint64_t *out);

/* `true` or `false`, without quotes. */
bool sl_schema_bool(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                    bool *out);

/* One of n words; *out is its number. */
bool sl_schema_word(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                    const char *const *words, size_t n, unsigned *out);

/* A text of 1..max bytes without control characters, copied to schema->mem. */
bool sl_schema_text(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                    size_t max, const char **out);

/*
 * A list of prefixes, or of single addresses, sorted and without repetitions, in schema->mem; extra
 * (n_extra of them) go in as well. What could be read is there even if false is returned.
 */
enum sl_schema_prefix_kind { SL_SCHEMA_PREFIXES = 0, SL_SCHEMA_ADDRESSES };
bool sl_schema_prefixes(struct sl_schema *schema, const struct sl_yaml_node *node, const char *what,
                        enum sl_schema_prefix_kind kind, const struct sl_prefix *extra,
                        size_t n_extra, const struct sl_prefix **out, size_t *n_out);

#endif
