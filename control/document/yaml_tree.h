/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_tree.h: a YAML document as a tree whose nodes know their line and column.
 *
 * Decides which part of YAML the gateway's documents may use: one document of mappings, lists and
 * scalars. Anchors, aliases, tags, merge keys and repeated keys are errors (two readers could
 * disagree about them, and aliases can multiply a document). What a scalar means is for the reader:
 * `off` is the text "off" here.
 */
#ifndef SLUICE_CONTROL_YAML_TREE_H
#define SLUICE_CONTROL_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diag.h"

#define SL_YAML_DEPTH_MAX 32
#define SL_YAML_NODES_MAX (2u << 20)

struct sl_docmem;

enum sl_yaml_kind {
	SL_YAML_BROKEN = 0, /* an error was reported already; readers skip it silently */
	SL_YAML_NULL,       /* a plain `~`, `null`, or nothing */
	SL_YAML_SCALAR,
	SL_YAML_LIST,
	SL_YAML_MAPPING,
};

struct sl_yaml_node {
	enum sl_yaml_kind kind;
	bool plain;       /* a scalar without quotes */
	uint32_t line;    /* from 1 */
	uint32_t column;  /* from 1, in characters */
	uint32_t n;       /* bytes of text, items of a list, pairs of a mapping */
	const char *text; /* of a scalar: NUL-terminated UTF-8 without a NUL inside */
	const struct sl_yaml_node *first; /* first item, or first key */
	const struct sl_yaml_node *next; /* next item; from a key to its value, then the next key */
};

struct sl_yaml_doc {
	const char *file; /* as it stands in messages */
	const struct sl_yaml_node *root;
	struct sl_docmem *mem; /* holds all of it */
};

/*
 * Reads a document of at most max bytes. Returns 0 and the tree in *out (sl_yaml_doc_free()), or
 * -errno with an error in diag. There may be a tree and errors in diag: the nodes in question are
 * SL_YAML_BROKEN, so that the reader can find other errors; the caller must check diag->errors.
 */
int sl_yaml_read_file(const char *path, size_t max, struct sl_diag *diag, struct sl_yaml_doc **out);
int sl_yaml_read_buffer(const char *name, const char *bytes, size_t len, size_t max,
                        struct sl_diag *diag, struct sl_yaml_doc **out);

/* Frees the tree. NULL is fine. */
void sl_yaml_doc_free(struct sl_yaml_doc *doc);

/* "a list", "a mapping", "a text" (or "nothing"), for messages. */
const char *sl_yaml_kind_name(enum sl_yaml_kind kind);

#endif
