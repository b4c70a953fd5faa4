/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_tree.c: builds the tree from libyaml's events.
 *
 * It uses events and not libyaml's document loader, for three reasons: depth, number of nodes and
 * aliases are checked before memory is spent on them; every node keeps its line and column; and an
 * unquoted `*.example.com`, which ends libyaml's scan, can be reported and skipped, so that the
 * rest of the file is checked as well.
 */
#include "yaml_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "docmem.h"
#include "yaml_source.h"

/* Limit on the bytes that are scanned again, in total, to skip unquoted patterns. */
#define REPAIR_BYTES_MAX (16u << 20)

/* An unquoted `*` that ended a scan; its byte was replaced, and the scan started again. */
struct repair {
	uint32_t line;
	uint32_t column;
};

struct open_node {
	struct sl_yaml_node *node;
	struct sl_yaml_node *last; /* child */
	size_t children;
};

struct builder {
	struct sl_yaml_source source;
	struct sl_diag *diag;
	struct sl_yaml_doc *doc;
	struct open_node stack[SL_YAML_DEPTH_MAX];
	size_t depth;
	size_t nodes;
	size_t documents;
	struct repair repairs[SL_DIAG_MAX]; /* in the order of the document */
	size_t n_repairs;
	size_t next_repair; /* the next one that this scan will meet */
	size_t repaired_bytes;
};

/* The outcome of one event, or of one whole scan. */
enum step {
	STEP_FAIL = 0, /* an error was reported; there is no tree */
	STEP_NO_MEMORY,
	STEP_AGAIN, /* an unquoted `*` was replaced: scan again from the start */
	STEP_MORE,
	STEP_END,
};

const char *sl_yaml_kind_name(enum sl_yaml_kind kind)
{
	switch (kind) {
	case SL_YAML_BROKEN:
	case SL_YAML_NULL:
		return "nothing";
	case SL_YAML_SCALAR:
		return "a text";
	case SL_YAML_LIST:
		return "a list";
	case SL_YAML_MAPPING:
		return "a mapping";
	}
	return "nothing";
}

static void __attribute__((format(printf, 3, 4)))
tell(struct builder *b, const struct sl_yaml_node *node, const char *fmt, ...)
{
	char message[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	sl_diag_error(b->diag, b->source.name, node->line, node->column, "%s", message);
}

static void tell_alias(struct builder *b, uint32_t line, uint32_t column, const char *text,
                       size_t len)
{
	char quoted[SL_DIAG_QUOTE_MAX];

	sl_diag_quote(text, len, quoted);
	sl_diag_error(b->diag, b->source.name, line, column,
	              "unquoted %s is a YAML alias; write %s in quotes", quoted, quoted);
}

/* ---- nodes ---- */

static struct sl_yaml_node *new_node(struct builder *b, const yaml_event_t *event,
                                     enum sl_yaml_kind kind)
{
	struct sl_yaml_node *node = sl_docmem_alloc(b->doc->mem, 1, sizeof(*node));

	if (node == NULL)
		return NULL;
	node->kind = kind;
	node->line = (uint32_t)event->start_mark.line + 1;
	node->column = (uint32_t)event->start_mark.column + 1;
	return node;
}

static bool is_null(const char *text, size_t len)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && memcmp(words[i], text, len) == 0)
			return true;
	return false;
}

/* True if the scalar is the next one that was made of an unquoted `*`. */
static bool was_repaired(struct builder *b, const struct sl_yaml_node *node)
{
	const struct repair *repair = &b->repairs[b->next_repair];

	if (b->next_repair == b->n_repairs || repair->line != node->line ||
	    repair->column != node->column)
		return false;
	b->next_repair++;
	return true;
}

/*
 * Refuses tags and anchors, which may precede a node of any kind. Returns false if there was one.
 */
static bool check_properties(struct builder *b, const struct sl_yaml_node *node,
                             const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor != NULL)
		tell(b, node,
		     "a YAML anchor (&%.40s) is not supported; write the value out, or "
		     "put a \"&\" that belongs to the text in quotes",
		     (const char *)anchor);
	if (tag != NULL)
		tell(b, node,
		     "a YAML tag (!) is not supported; write the value without it, or "
		     "put a \"!\" that belongs to the text in quotes");
	return anchor == NULL && tag == NULL;
}

static struct sl_yaml_node *scalar_node(struct builder *b, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct sl_yaml_node *node = new_node(b, event, SL_YAML_SCALAR);
	char *copy = sl_docmem_copy(b->doc->mem, text, len);

	if (node == NULL || copy == NULL)
		return NULL;
	node->text = copy;
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->n = (uint32_t)len;
	if (!check_properties(b, node, event->data.scalar.anchor, event->data.scalar.tag)) {
		node->kind = SL_YAML_BROKEN;
	} else if (memchr(text, '\0', len) != NULL) {
		tell(b, node, "a text with a NUL character in it");
		node->kind = SL_YAML_BROKEN;
	} else if (node->plain && is_null(text, len)) {
		node->kind = SL_YAML_NULL;
	} else if (was_repaired(b, node)) {
		copy[0] = '*';
		tell_alias(b, node->line, node->column, copy, len);
		node->kind = SL_YAML_BROKEN;
	}
	return node;
}

static struct sl_yaml_node *alias_node(struct builder *b, const yaml_event_t *event)
{
	struct sl_yaml_node *node = new_node(b, event, SL_YAML_BROKEN);
	size_t start = sl_yaml_source_offset(&b->source, event->start_mark.index);
	size_t end = sl_yaml_source_offset(&b->source, event->end_mark.index);

	if (node != NULL)
		tell_alias(b, node->line, node->column, b->source.bytes + start, end - start);
	return node;
}

/* ---- mappings ---- */

static int compare_keys(const void *a, const void *b)
{
	const struct sl_yaml_node *left = *(const struct sl_yaml_node *const *)a;
	const struct sl_yaml_node *right = *(const struct sl_yaml_node *const *)b;
	int order = strcmp(left->text, right->text);

	if (order == 0 && left->line != right->line)
		order = left->line < right->line ? -1 : 1;
	if (order == 0 && left->column != right->column)
		order = left->column < right->column ? -1 : 1;
	return order;
}

/* Repeated keys, by sorting: a mapping may have hundreds of thousands of patterns as keys. */
static bool check_repeated_keys(struct builder *b, const struct sl_yaml_node *mapping)
{
	const struct sl_yaml_node **keys, *key, *first;
	char quoted[SL_DIAG_QUOTE_MAX];
	size_t n = 0;

	if (mapping->n < 2)
		return true;
	keys = malloc(mapping->n * sizeof(*keys));
	if (keys == NULL)
		return false;
	for (key = mapping->first; key != NULL; key = key->next->next)
		if (key->kind == SL_YAML_SCALAR)
			keys[n++] = key;
	qsort(keys, n, sizeof(*keys), compare_keys);
	first = n > 0 ? keys[0] : NULL;
	for (size_t i = 1; i < n; i++) {
		if (strcmp(first->text, keys[i]->text) != 0) {
			first = keys[i];
			continue;
		}
		tell(b, keys[i], "repeated key %s; it first stands in line %u",
		     sl_diag_quote(first->text, first->n, quoted), first->line);
	}
	free(keys);
	return true;
}

/* Only a text can be a key. */
static void check_key(struct builder *b, struct sl_yaml_node *key)
{
	if (key->kind == SL_YAML_BROKEN)
		return;
	if (key->kind != SL_YAML_SCALAR) {
		tell(b, key, "%s cannot be a key; a text was expected here%s",
		     sl_yaml_kind_name(key->kind),
		     key->kind == SL_YAML_NULL ? ""
		                               : " (a value that begins with [ or { needs quotes)");
		key->kind = SL_YAML_BROKEN;
	} else if (key->plain && strcmp(key->text, "<<") == 0) {
		tell(b, key, "merge keys (<<) are not supported; write the keys out");
		key->kind = SL_YAML_BROKEN;
	}
}

/* ---- building ---- */

/* Appends a node to the open collection; a container's own children come later. */
static void attach(struct builder *b, struct sl_yaml_node *node)
{
	struct open_node *open;

	if (b->depth == 0) {
		b->doc->root = node;
		return;
	}
	open = &b->stack[b->depth - 1];
	if (open->node->kind == SL_YAML_MAPPING && open->children % 2 == 1 &&
	    node->kind == SL_YAML_NULL && node->n == 0) {
		/* A missing value has no place of its own: point to its key. */
		node->line = open->last->line;
		node->column = open->last->column;
	}
	if (open->last == NULL)
		open->node->first = node;
	else
		open->last->next = node;
	open->last = node;
	open->children++;
}

static enum step open_collection(struct builder *b, struct sl_yaml_node *node)
{
	if (b->depth == SL_YAML_DEPTH_MAX) {
		tell(b, node, "nested more than %d levels deep", SL_YAML_DEPTH_MAX);
		return STEP_FAIL;
	}
	attach(b, node);
	b->stack[b->depth++] = (struct open_node){.node = node};
	return STEP_MORE;
}

static enum step close_collection(struct builder *b)
{
	struct open_node *closed = &b->stack[--b->depth];
	struct sl_yaml_node *node = closed->node;

	node->n = (uint32_t)closed->children;
	if (node->kind == SL_YAML_MAPPING) {
		node->n /= 2;
		if (!check_repeated_keys(b, node))
			return STEP_NO_MEMORY;
	}
	return STEP_MORE;
}

/* After a node is complete: was it a key? */
static void check_if_key(struct builder *b)
{
	struct open_node *open;

	if (b->depth == 0)
		return;
	open = &b->stack[b->depth - 1];
	if (open->node->kind == SL_YAML_MAPPING && open->children % 2 == 1)
		check_key(b, open->last);
}

static enum step start_document(struct builder *b, const yaml_event_t *event)
{
	struct sl_yaml_node at = {.line = (uint32_t)event->start_mark.line + 1,
	                          .column = (uint32_t)event->start_mark.column + 1};

	if (b->documents++ > 0) {
		tell(b, &at, "a second document begins here; a file holds one");
		return STEP_FAIL;
	}
	if (event->data.document_start.tag_directives.start !=
	    event->data.document_start.tag_directives.end)
		tell(b, &at, "YAML tags are not supported; leave %%TAG out");
	return STEP_MORE;
}

static enum step add_leaf(struct builder *b, struct sl_yaml_node *node)
{
	if (node == NULL)
		return STEP_NO_MEMORY;
	attach(b, node);
	check_if_key(b);
	return STEP_MORE;
}

static enum step add_collection(struct builder *b, const yaml_event_t *event,
                                enum sl_yaml_kind kind, const yaml_char_t *anchor,
                                const yaml_char_t *tag)
{
	struct sl_yaml_node *node = new_node(b, event, kind);

	if (node == NULL)
		return STEP_NO_MEMORY;
	check_properties(b, node, anchor, tag);
	return open_collection(b, node);
}

static enum step end_collection(struct builder *b)
{
	enum step step = close_collection(b);

	if (step == STEP_MORE)
		check_if_key(b);
	return step;
}

static enum step take_event(struct builder *b, const yaml_event_t *event)
{
	if (++b->nodes > SL_YAML_NODES_MAX) {
		sl_diag_error(b->diag, b->source.name, (uint32_t)event->start_mark.line + 1,
		              (uint32_t)event->start_mark.column + 1,
		              "more than %u values in one document", SL_YAML_NODES_MAX);
		return STEP_FAIL;
	}
	switch (event->type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return STEP_MORE;
	case YAML_STREAM_END_EVENT:
		return STEP_END;
	case YAML_DOCUMENT_START_EVENT:
		return start_document(b, event);
	case YAML_ALIAS_EVENT:
		return add_leaf(b, alias_node(b, event));
	case YAML_SCALAR_EVENT:
		return add_leaf(b, scalar_node(b, event));
	case YAML_SEQUENCE_START_EVENT:
		return add_collection(b, event, SL_YAML_LIST, event->data.sequence_start.anchor,
		                      event->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return add_collection(b, event, SL_YAML_MAPPING, event->data.mapping_start.anchor,
		                      event->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return end_collection(b);
	}
	return STEP_FAIL;
}

/* ---- what libyaml refuses ---- */

/*
 * The length of an unquoted pattern: up to a blank, or to a character that ends a scalar in a flow
 * collection.
 */
static size_t token_length(const char *text)
{
	size_t len = strcspn(text, " \t\r\n,[]{}\"'#");

	while (len > 1 && text[len - 1] == ':')
		len--;
	return len;
}

/*
 * libyaml stopped at a `*` that does not begin a valid alias. Its byte is replaced, so that the
 * next scan finds a plain scalar there, reports it, and makes it SL_YAML_BROKEN. Beyond the limits
 * of this, it is the last error of the document that is reported.
 */
static enum step repair_alias(struct builder *b, const yaml_parser_t *parser)
{
	size_t offset = sl_yaml_source_offset(&b->source, parser->context_mark.index);
	uint32_t line = (uint32_t)parser->context_mark.line + 1;
	uint32_t column = (uint32_t)parser->context_mark.column + 1;
	char *token = b->source.bytes + offset;

	b->repaired_bytes += offset;
	if (*token != '*' || b->n_repairs == SL_DIAG_MAX || b->repaired_bytes > REPAIR_BYTES_MAX) {
		tell_alias(b, line, column, token, token_length(token));
		return STEP_FAIL;
	}
	b->repairs[b->n_repairs++] = (struct repair){.line = line, .column = column};
	*token = 'x';
	return STEP_AGAIN;
}

static void tell_syntax(struct builder *b, const yaml_parser_t *parser)
{
	size_t offset = sl_yaml_source_offset(&b->source, parser->problem_mark.index);
	struct sl_yaml_node at = {.line = (uint32_t)parser->problem_mark.line + 1,
	                          .column = (uint32_t)parser->problem_mark.column + 1};
	char seen = b->source.bytes[offset];

	if (seen == '\t')
		tell(b, &at, "a tab; YAML indents with spaces only");
	else if (seen == '@' || seen == '`' || seen == '%')
		tell(b, &at, "a text cannot begin with \"%c\" in YAML; put it in quotes", seen);
	else if (seen == ':')
		tell(b, &at, "YAML does not expect a \":\" here; an IPv6 address needs quotes");
	else if (parser->context != NULL)
		tell(b, &at, "YAML: %s %s, which begins in line %zu", parser->problem,
		     parser->context, parser->context_mark.line + 1);
	else
		tell(b, &at, "YAML: %s", parser->problem != NULL ? parser->problem : "bad syntax");
}

static enum step refuse_syntax(struct builder *b, const yaml_parser_t *parser)
{
	switch (parser->error) {
	case YAML_MEMORY_ERROR:
		return STEP_NO_MEMORY;
	case YAML_SCANNER_ERROR:
		if (parser->context != NULL &&
		    strcmp(parser->context, "while scanning an alias") == 0)
			return repair_alias(b, parser);
		break;
	case YAML_NO_ERROR:
	case YAML_READER_ERROR:
	case YAML_PARSER_ERROR:
	case YAML_COMPOSER_ERROR:
	case YAML_WRITER_ERROR:
	case YAML_EMITTER_ERROR:
		break;
	}
	tell_syntax(b, parser);
	return STEP_FAIL;
}

/* One scan, from the first byte. */
static enum step scan(struct builder *b)
{
	enum step step = STEP_MORE;
	yaml_parser_t parser;

	if (!yaml_parser_initialize(&parser))
		return STEP_NO_MEMORY;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)b->source.bytes,
	                             b->source.len);
	while (step == STEP_MORE) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parser, &event)) {
			step = refuse_syntax(b, &parser);
			break;
		}
		step = take_event(b, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return step;
}

/* Scans until there is nothing more to repair. The tree is b->doc then. */
static int build(struct builder *b)
{
	struct sl_diag_mark mark = sl_diag_take_mark(b->diag);
	enum step step = STEP_AGAIN;

	while (step == STEP_AGAIN) {
		sl_diag_rewind(b->diag, &mark);
		sl_docmem_destroy(b->doc->mem);
		b->doc->root = NULL;
		b->depth = b->nodes = b->documents = b->next_repair = 0;
		b->doc->mem = sl_docmem_create();
		step = b->doc->mem == NULL ? STEP_NO_MEMORY : scan(b);
	}
	if (step == STEP_NO_MEMORY) {
		sl_diag_error(b->diag, b->source.name, 1, 1, "cannot read: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	if (step != STEP_END)
		return -EINVAL;
	if (b->doc->root == NULL || b->doc->root->kind == SL_YAML_NULL) {
		sl_diag_error(b->diag, b->source.name, 1, 1, "the document is empty");
		return -EINVAL;
	}
	return 0;
}

/* Takes over the source and frees it. */
static int read_source(struct builder *b, struct sl_yaml_doc **out)
{
	int rc = -ENOMEM;

	b->doc = calloc(1, sizeof(*b->doc));
	if (b->doc == NULL) {
		sl_diag_error(b->diag, b->source.name, 1, 1, "cannot read: %s", strerror(ENOMEM));
	} else {
		rc = build(b);
		if (rc == 0) {
			b->doc->file =
			        sl_docmem_copy(b->doc->mem, b->source.name, strlen(b->source.name));
			rc = b->doc->file == NULL ? -ENOMEM : 0;
		}
	}
	sl_yaml_source_free(&b->source);
	if (rc < 0) {
		sl_yaml_doc_free(b->doc);
		return rc;
	}
	*out = b->doc;
	return 0;
}

int sl_yaml_read_file(const char *path, size_t max, struct sl_diag *diag, struct sl_yaml_doc **out)
{
	struct builder b = {.diag = diag};
	int rc = sl_yaml_source_load(path, max, diag, &b.source);

	return rc < 0 ? rc : read_source(&b, out);
}

int sl_yaml_read_buffer(const char *name, const char *bytes, size_t len, size_t max,
                        struct sl_diag *diag, struct sl_yaml_doc **out)
{
	struct builder b = {.diag = diag};
	int rc = sl_yaml_source_copy(name, bytes, len, max, diag, &b.source);

	return rc < 0 ? rc : read_source(&b, out);
}

void sl_yaml_doc_free(struct sl_yaml_doc *doc)
{
	if (doc == NULL)
		return;
	sl_docmem_destroy(doc->mem);
	free(doc);
}
