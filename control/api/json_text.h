/* SPDX-License-Identifier: Apache-2.0 */
/* json_text.h: what JSON may be written in and YAML not. */
#ifndef SLUICE_CONTROL_JSON_TEXT_H
#define SLUICE_CONTROL_JSON_TEXT_H

#include <stddef.h>

/*
 * Rewrites pairs of surrogate escapes (RFC 8259 7: \ud83d\ude80) of a valid JSON text in place as
 * the one escape that YAML has for them (\U0001f680), and fills with a blank after the string, so
 * that what follows on the line stays in its column.
 */
void sl_json_join_surrogates(char *bytes, size_t len);

#endif
