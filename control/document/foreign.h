/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign.h: policies in the shapes of others, and what they are here.
 */
#ifndef SLUICE_CONTROL_FOREIGN_H
#define SLUICE_CONTROL_FOREIGN_H

#include <stddef.h>

#include "diag.h"
#include "yaml_tree.h"

/*
 * Looks through a document for policies in the two earlier shapes of Vercel's, in that of E2B's
 * request body, and for Cilium's toFQDNs; tells an error for each, which says what to write in its
 * place. Returns how many there are.
 */
size_t sl_foreign_tell(const struct sl_yaml_doc *yaml, struct sl_diag *diag);

#endif
