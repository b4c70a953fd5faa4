/* SPDX-License-Identifier: Apache-2.0 */
/*
 * documents.h: the random documents of the race suite, and the answers of each generation.
 *
 * The control thread writes; any thread may ask about a generation that it has seen published.
 */
#ifndef TESTS_RACE_DOCUMENTS_H
#define TESTS_RACE_DOCUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "document/policy.h"
#include "reference.h"

#define RACE_VLANS       16
#define RACE_GENERATIONS 65536
#define RACE_TEXT_MAX    32768

struct sl_config;

/* What every sandbox is to have now. */
struct race_model {
	uint64_t state; /* of the random numbers */
	unsigned names_given;
	char entry[RACE_VLANS + 1][1024]; /* YAML of each VLAN's sandbox; empty: none */
};

uint32_t race_draw(uint64_t *state, uint32_t n);

/* Changes up to n sandboxes at random; returns which, as a bit for each VLAN. */
uint32_t race_change(struct race_model *model, unsigned n);

/* The same for one sandbox: a policy whose patterns take long to compile. */
void race_change_slowly(struct race_model *model, uint16_t vlan, unsigned serial);

/* The document of the sandboxes in the mask, as text, or read. */
void race_text(const struct race_model *model, uint32_t mask, char out[RACE_TEXT_MAX]);
struct sl_policy_doc *race_read(const struct race_model *model, uint32_t mask);

/* From now on a generation means this document, which then belongs to the list. */
void race_documents_set(uint64_t generation, struct sl_policy_doc *doc);
void race_documents_free(void);

enum sl_reason race_judge(uint64_t generation, const struct sl_config *config,
                          const struct reference_question *question);

/* True if the VLAN belongs to another sandbox after one of the generations (from, to]. */
bool race_changed_hands(uint16_t vlan, uint64_t from, uint64_t to);

#endif
