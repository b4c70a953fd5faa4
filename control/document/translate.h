/* SPDX-License-Identifier: Apache-2.0 */
/*
 * translate.h: policies that a platform's own API has in another shape, as values of this gateway's
 * format. For pushes; `check` reports such shapes instead (foreign.h), since a person can decide.
 */
#ifndef SLUICE_CONTROL_TRANSLATE_H
#define SLUICE_CONTROL_TRANSLATE_H

#include "schema.h"

/*
 * The two earlier shapes of Vercel's networkPolicy: {"mode", "allowedDomains", "allowedCIDRs",
 * "deniedCIDRs"}, with a mode or without. Returns the value's node, made in schema->mem, whose
 * items keep their places; or NULL: it is not of this shape, or wrong (reported).
 */
const struct sl_yaml_node *sl_translate_vercel(struct sl_schema *schema,
                                               const struct sl_yaml_node *value);

/*
 * E2B's body: {"allowOut", "denyOut", "allowInternetAccess"}. There an allow wins over a deny and
 * here it does not: an allow inside a deny other than of everything is reported, with both. NULL:
 * it is wrong (reported).
 */
const struct sl_yaml_node *sl_translate_e2b(struct sl_schema *schema,
                                            const struct sl_yaml_node *body);

#endif
