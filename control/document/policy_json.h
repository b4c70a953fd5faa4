/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_json.h: policies as JSON, in one canonical form: what was read is written the same,
 * however it was written before.
 *
 * Decides the form in which policies are stored, shown and hashed. A list that is empty is left
 * out; the rest is sorted, each once (struct sl_policy). All functions return NULL without memory;
 * values belong to the caller (json_decref). Any thread.
 */
#ifndef SLUICE_CONTROL_POLICY_JSON_H
#define SLUICE_CONTROL_POLICY_JSON_H

#include <jansson.h>

#include "policy.h"

#define SL_POLICY_HASH_BYTES 65 /* SHA-256 in hexadecimal, and a NUL */

/* A policy's value, with its lists: "allow-all", "deny-all", or an object. */
json_t *sl_policy_json_value(const struct sl_policy *policy);

/* A sandbox's entry. A policy of `policies` stands there by its name. */
json_t *sl_policy_json_entry(const struct sl_policy_entry *entry);

/* A whole document: {"policies": {...}, "sandboxes": [...]}. */
json_t *sl_policy_json_document(const struct sl_policy_doc *doc);

/* Compact, keys sorted: equal values are equal texts. The caller frees it. */
char *sl_policy_json_text(const json_t *value);

/*
 * SHA-256 of a policy's value as sl_policy_json_text() writes it: what a sandbox may do, whatever
 * its policy is called. False without memory.
 */
bool sl_policy_json_hash(const struct sl_policy *policy, char out[SL_POLICY_HASH_BYTES]);

/* The same of a policy's value that is such text already. */
bool sl_policy_json_hash_text(const char *text, char out[SL_POLICY_HASH_BYTES]);

/* A value as YAML, for people; strings stand in double quotes. The caller frees it. */
char *sl_policy_json_yaml(const json_t *value);

#endif
