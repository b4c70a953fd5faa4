/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign.c: policies in the formats of other products, and their equivalents here.
 *
 * It only reports what to write instead and never accepts such a policy: two formats may differ in
 * meaning (in E2B's an allow wins over a deny), so a person has to decide.
 */
#include "foreign.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "prefix.h"

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define TEXT_BYTES    2048
#define ITEMS_WRITTEN 24 /* of a list, in a message */

/* ---- texts ---- */

struct text {
	char bytes[TEXT_BYTES];
	size_t len;
};

static void put(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text->bytes + text->len, sizeof(text->bytes) - text->len, fmt, args);
	va_end(args);
	if (n > 0)
		text->len += (size_t)n;
	if (text->len >= sizeof(text->bytes))
		text->len = sizeof(text->bytes) - 1;
}

/* ---- what the lists hold ---- */

enum want { WANT_ALL, WANT_NAMES, WANT_ADDRESSES };

static bool is_everything(const struct sl_yaml_node *item)
{
	return strcmp(item->text, "0.0.0.0/0") == 0 || strcmp(item->text, "::/0") == 0;
}

static bool is_wanted(const struct sl_yaml_node *item, enum want want)
{
	struct sl_prefix prefix;
	char why[256];
	bool address;

	if (item->kind != SL_YAML_SCALAR)
		return false;
	address = sl_prefix_parse(item->text, item->n, &prefix, why, sizeof(why)) == 0;
	return want == WANT_ALL || (want == WANT_ADDRESSES) == address;
}

static void put_item(struct text *text, const struct sl_yaml_node *item, size_t number)
{
	char quoted[SL_DIAG_QUOTE_MAX];

	if (number == ITEMS_WRITTEN)
		put(text, ", and so on");
	else if (number < ITEMS_WRITTEN)
		put(text, "%s%s", number > 0 ? ", " : "",
		    sl_diag_quote(item->text, item->n, quoted));
}

/* Writes the items of a list between brackets. */
static void put_list(struct text *text, const struct sl_yaml_node *list, enum want want)
{
	size_t n = 0;

	put(text, "[");
	for (const struct sl_yaml_node *item = list->first; item != NULL; item = item->next)
		if (is_wanted(item, want) && !(want == WANT_ADDRESSES && is_everything(item)))
			put_item(text, item, n++);
	put(text, "]");
}

static bool has(const struct sl_yaml_node *list, enum want want)
{
	if (list == NULL || list->kind != SL_YAML_LIST)
		return false;
	for (const struct sl_yaml_node *item = list->first; item != NULL; item = item->next)
		if (is_wanted(item, want) && !(want == WANT_ADDRESSES && is_everything(item)))
			return true;
	return false;
}

static bool denies_everything(const struct sl_yaml_node *list)
{
	if (list == NULL || list->kind != SL_YAML_LIST)
		return false;
	for (const struct sl_yaml_node *item = list->first; item != NULL; item = item->next)
		if (item->kind == SL_YAML_SCALAR && is_everything(item))
			return true;
	return false;
}

/* Writes a policy of this gateway's format from lists that may be missing or empty. */
static void put_policy(struct text *text, const struct sl_yaml_node *names, enum want which,
                       const struct sl_yaml_node *allow, const struct sl_yaml_node *deny)
{
	bool allows = has(allow, WANT_ADDRESSES), denies = has(deny, WANT_ADDRESSES);

	if (!has(names, which) && !allows) {
		put(text, "deny-all");
		return;
	}
	put(text, "{");
	if (has(names, which)) {
		put(text, "allow: ");
		put_list(text, names, which);
	}
	if (allows || denies)
		put(text, "%ssubnets: {", has(names, which) ? ", " : "");
	if (allows) {
		put(text, "allow: ");
		put_list(text, allow, WANT_ADDRESSES);
	}
	if (denies) {
		put(text, "%sdeny: ", allows ? ", " : "");
		put_list(text, deny, WANT_ADDRESSES);
	}
	put(text, "%s}", allows || denies ? "}" : "");
}

/* ---- the shapes ---- */

/* The value of the first key of the mapping that is one of two spellings; *at: that key. */
static const struct sl_yaml_node *value_of(const struct sl_yaml_node *mapping, const char *camel,
                                           const char *snake, const struct sl_yaml_node **at)
{
	for (const struct sl_yaml_node *key = mapping->first; key != NULL; key = key->next->next) {
		if (key->kind != SL_YAML_SCALAR ||
		    (strcmp(key->text, camel) != 0 && strcmp(key->text, snake) != 0))
			continue;
		if (*at == NULL)
			*at = key;
		return key->next;
	}
	return NULL;
}

static bool is_text(const struct sl_yaml_node *node, const char *text)
{
	return node != NULL && node->kind == SL_YAML_SCALAR && strcmp(node->text, text) == 0;
}

/* {"allowOut": [names, addresses], "denyOut": [addresses], "allowInternetAccess": bool} */
static const struct sl_yaml_node *read_e2b(const struct sl_yaml_node *mapping, struct text *text)
{
	const struct sl_yaml_node *at = NULL;
	const struct sl_yaml_node *allow = value_of(mapping, "allowOut", "allow_out", &at);
	const struct sl_yaml_node *deny = value_of(mapping, "denyOut", "deny_out", &at);
	const struct sl_yaml_node *access =
	        value_of(mapping, "allowInternetAccess", "allow_internet_access", &at);
	bool closed = is_text(access, "false") || denies_everything(deny);

	if (at == NULL)
		return NULL;
	put(text, "%s is E2B's; here it is policy: ", at->text);
	if (!has(allow, WANT_ALL) && !closed && !has(deny, WANT_ADDRESSES)) {
		put(text, "allow-all");
	} else if (!has(allow, WANT_ALL) && !closed) {
		/* everything but these */
		put(text, "{allow: [\"*\"], subnets: {deny: ");
		put_list(text, deny, WANT_ADDRESSES);
		put(text, "}}, which allows every name by TLS, QUIC and DNS, and nothing else");
	} else {
		put_policy(text, allow, WANT_NAMES, allow, deny);
		if (has(allow, WANT_ADDRESSES) && has(deny, WANT_ADDRESSES))
			put(text, " (where both match, deny wins here, and allow does there)");
		if (!closed)
			put(text, " (which denies everything else, as denyOut: [\"0.0.0.0/0\"] "
			          "does there)");
	}
	return at;
}

/* {"mode": "custom", "allowedDomains": [], "allowedCIDRs": [], "deniedCIDRs": []}, or no mode */
static const struct sl_yaml_node *read_vercel(const struct sl_yaml_node *mapping, struct text *text)
{
	const struct sl_yaml_node *at = NULL, *at_mode = NULL;
	const struct sl_yaml_node *mode = value_of(mapping, "mode", "mode", &at_mode);
	const struct sl_yaml_node *names =
	        value_of(mapping, "allowedDomains", "allowed_domains", &at);
	const struct sl_yaml_node *allow = value_of(mapping, "allowedCIDRs", "allowed_cidrs", &at);
	const struct sl_yaml_node *deny = value_of(mapping, "deniedCIDRs", "denied_cidrs", &at);
	bool whole = is_text(mode, "allow-all") || is_text(mode, "deny-all");

	if (whole || is_text(mode, "custom"))
		at = at_mode;
	if (at == NULL)
		return NULL;
	put(text, "%s is of an earlier shape of Vercel's; here it is policy: ", at->text);
	if (whole)
		put(text, "%s", mode->text);
	else
		put_policy(text, names, WANT_ALL, allow, deny);
	return at;
}

/* toFQDNs: [{matchName: NAME}, {matchPattern: PATTERN}] */
static const struct sl_yaml_node *read_cilium(const struct sl_yaml_node *mapping, struct text *text)
{
	const struct sl_yaml_node *at = NULL;
	const struct sl_yaml_node *list = value_of(mapping, "toFQDNs", "toFQDNs", &at);
	bool pattern = false;
	size_t n = 0;

	if (at == NULL)
		return NULL;
	put(text, "toFQDNs is Cilium's; here it is policy: {allow: [");
	for (const struct sl_yaml_node *item = list->kind == SL_YAML_LIST ? list->first : NULL;
	     item != NULL; item = item->next) {
		const struct sl_yaml_node *unused = NULL, *name;

		if (item->kind != SL_YAML_MAPPING)
			continue;
		name = value_of(item, "matchName", "matchPattern", &unused);
		if (name == NULL || name->kind != SL_YAML_SCALAR)
			continue;
		put_item(text, name, n++);
		pattern |= strcmp(unused->text, "matchPattern") == 0;
	}
	put(text, "]}");
	if (pattern)
		put(text, " (a * stands for whole labels here: a leading one for one or more, "
		          "another for exactly one)");
	return at;
}

/* ---- the document ---- */

static size_t tell(const struct sl_yaml_doc *yaml, const struct sl_yaml_node *node,
                   struct sl_diag *diag)
{
	static const struct sl_yaml_node *(*const shapes[])(
	        const struct sl_yaml_node *, struct text *) = {read_e2b, read_vercel, read_cilium};
	size_t found = 0;

	for (size_t i = 0; i < COUNT(shapes) && node->kind == SL_YAML_MAPPING; i++) {
		struct text text = {.len = 0};
		const struct sl_yaml_node *at = shapes[i](node, &text);

		if (at == NULL)
			continue;
		sl_diag_error(diag, yaml->file, at->line, at->column, "%s", text.bytes);
		found++;
	}
	if (found == 0 && (node->kind == SL_YAML_MAPPING || node->kind == SL_YAML_LIST))
		for (const struct sl_yaml_node *item = node->first; item != NULL; item = item->next)
			found += tell(yaml, item, diag);
	return found;
}

size_t sl_foreign_tell(const struct sl_yaml_doc *yaml, struct sl_diag *diag)
{
	return tell(yaml, yaml->root, diag);
}
