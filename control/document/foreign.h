/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.h: policies in the formats of other products, and their equivalents here. */
#ifndef SLUICE_CONTROL_FOREIGN_H
#define SLUICE_CONTROL_FOREIGN_H

#include <stddef.h>

#include "diag.h"
#include "yaml_tree.h"

/*
 * Searches a document for policies in the two earlier formats of Vercel's, in that of E2B's
 * request body, and for Cilium's toFQDNs. Reports an error for each that says what to write
 * instead. Returns how many there are.
 */
size_t sl_foreign_tell(const struct sl_yaml_doc *yaml, struct sl_diag *diag);

#endif
