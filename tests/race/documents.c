/* SPDX-License-Identifier: Apache-2.0 */
/*
 * documents.c: random documents in which sandboxes, policies and names are added, removed and
 * moved, so that many answers differ between one document and the next.
 */
#include "documents.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

uint32_t race_draw(uint64_t *state, uint32_t n)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ z >> 31) >> 16) % n;
}

/* ---- a sandbox ---- */

static void __attribute__((format(printf, 3, 4))) add(char *out, size_t size, const char *fmt, ...)
{
	size_t len = strlen(out);
	va_list args;

	va_start(args, fmt);
	if ((size_t)vsnprintf(out + len, size - len, fmt, args) >= size - len)
		abort();
	va_end(args);
}

static void add_list(struct race_model *model, char *out, size_t size, const char *const *items,
                     uint32_t n)
{
	const char *comma = "";

	add(out, size, "[");
	for (uint32_t i = 0; i < n; i++) {
		if (race_draw(&model->state, 3) != 0)
			continue;
		add(out, size, "%s\"%s\"", comma, items[i]);
		comma = ", ";
	}
	add(out, size, "]");
}

static void add_policy(struct race_model *model, char *out, size_t size)
{
	static const char *const prefixes[] = {
	        "198.51.100.0/24", "198.51.100.128/25", "203.0.113.0/24", "192.0.2.0/24",
	        "10.9.0.0/16",     "2001:db8:20::/48",  "2001:db8::/32",
	};
	static const char *const patterns[] = {
	        "a.example", "*.a.example", "*.example.net", "www.*.example", "*.*.example.net",
	};

	switch (race_draw(&model->state, 8)) {
	case 0:
		return; /* allow-all */
	case 1:
		add(out, size, ", policy: deny-all");
		return;
	case 2:
		add(out, size, ", policy: {allow: [\"*\"]}");
		return;
	default:
		break;
	}
	add(out, size, ", policy: {allow: ");
	add_list(model, out, size, patterns, COUNT(patterns));
	add(out, size, ", subnets: {allow: ");
	add_list(model, out, size, prefixes, COUNT(prefixes));
	add(out, size, ", deny: ");
	add_list(model, out, size, prefixes, COUNT(prefixes) / 2);
	add(out, size, "}}");
}

/* Most keep their name; a name that changes is another sandbox. */
static void add_name(struct race_model *model, char *out, size_t size, uint16_t vlan)
{
	if (race_draw(&model->state, 6) == 0)
		add(out, size, ", name: s%u", model->names_given++);
	else if (race_draw(&model->state, 2) == 0)
		add(out, size, ", name: vlan-%u", vlan);
}

static void renew(struct race_model *model, uint16_t vlan)
{
	char *out = model->entry[vlan];
	size_t size = sizeof(model->entry[vlan]);

	out[0] = '\0';
	if (race_draw(&model->state, 8) == 0)
		return;
	add(out, size, "  - {vlan: %u", vlan);
	add_name(model, out, size, vlan);
	if (race_draw(&model->state, 10) == 0)
		add(out, size, ", source: [10.0.0.%u/32, \"fd00::/64\"]",
		    race_draw(&model->state, 2) + 2);
	add_policy(model, out, size);
	add(out, size, "}\n");
}

uint32_t race_change(struct race_model *model, unsigned n)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < n; i++) {
		uint16_t vlan = (uint16_t)(1 + race_draw(&model->state, RACE_VLANS));

		renew(model, vlan);
		mask |= UINT32_C(1) << vlan;
	}
	return mask;
}

void race_change_slowly(struct race_model *model, uint16_t vlan, unsigned serial)
{
	char *out = model->entry[vlan];
	size_t size = sizeof(model->entry[vlan]);

	out[0] = '\0';
	add(out, size, "  - {vlan: %u, policy: {allow: [a.example", vlan);
	for (unsigned i = 0; i < 12; i++)
		add(out, size, ", \"x%u.*.slow%u.example\"", i, serial);
	add(out, size, "]}}\n");
}

/* ---- documents ---- */

void race_text(const struct race_model *model, uint32_t mask, char out[RACE_TEXT_MAX])
{
	bool some = false;

	snprintf(out, RACE_TEXT_MAX, "sandboxes:\n");
	for (unsigned vlan = 1; vlan <= RACE_VLANS; vlan++) {
		if ((mask >> vlan & 1) == 0 || model->entry[vlan][0] == '\0')
			continue;
		add(out, RACE_TEXT_MAX, "%s", model->entry[vlan]);
		some = true;
	}
	if (!some)
		snprintf(out, RACE_TEXT_MAX, "sandboxes: []\n");
}

struct sl_policy_doc *race_read(const struct race_model *model, uint32_t mask)
{
	static char text[RACE_TEXT_MAX]; /* one thread */
	struct sl_policy_doc *doc = NULL;
	struct sl_diag diag;

	race_text(model, mask, text);
	sl_diag_init(&diag);
	if (sl_policy_doc_read_buffer("race", text, strlen(text), &diag, &doc) != 0) {
		sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
		fputs(text, stderr);
		abort();
	}
	sl_diag_free(&diag);
	return doc;
}

/* Written before the generation is published, read after the pointer to it. */
static struct sl_policy_doc *documents[RACE_GENERATIONS];

void race_documents_set(uint64_t generation, struct sl_policy_doc *doc)
{
	if (generation >= RACE_GENERATIONS)
		abort();
	sl_policy_doc_free(documents[generation]);
	documents[generation] = doc;
}

void race_documents_free(void)
{
	for (unsigned i = 0; i < RACE_GENERATIONS; i++) {
		sl_policy_doc_free(documents[i]);
		documents[i] = NULL;
	}
}

enum sl_reason race_judge(uint64_t generation, const struct sl_config *config,
                          const struct reference_question *question)
{
	return reference_judge(documents[generation], config, question);
}

bool race_changed_hands(uint16_t vlan, uint64_t from, uint64_t to)
{
	for (uint64_t i = from + 1; i <= to; i++) {
		const struct sl_policy_entry *old = sl_policy_doc_find(documents[i - 1], vlan);
		const struct sl_policy_entry *now = sl_policy_doc_find(documents[i], vlan);

		if (old == NULL || now == NULL ||
		    (old->name != NULL && now->name != NULL && strcmp(old->name, now->name) != 0))
			return true;
	}
	return false;
}
