/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_draft.h: a policy document between reading (policy_read.c) and checking (policy_check.c).
 * No other file uses it.
 */
#ifndef SLUICE_CONTROL_POLICY_DRAFT_H
#define SLUICE_CONTROL_POLICY_DRAFT_H

#include "policy.h"
#include "schema.h"

/* One item of `sandboxes`. Nodes are NULL where there is none, or none that could be read. */
struct sl_policy_draft_entry {
	struct sl_policy_entry entry; /* vlan 0: not known; policy NULL: to be looked up, or bad */
	const struct sl_yaml_node *vlan;
	const struct sl_yaml_node *name;
	const struct sl_yaml_node *reference; /* the name of a named policy */
};

struct sl_policy_draft {
	struct sl_schema schema; /* its mem is the document's */
	struct sl_policy_draft_entry *entries;
	size_t n_entries;
	struct sl_policy *named;
	size_t n_named;
	bool named_known; /* `policies` is absent or could be read: a missing name is an error */
};

/* Reads the document's values and checks each by itself. Errors are in the schema's diag. */
void sl_policy_read(struct sl_policy_draft *draft, const struct sl_yaml_node *root);

/*
 * Checks what needs the whole document: repeated VLANs and names, unknown policies. Fills doc's
 * entries, named policies and counts, normalised. Errors are in the schema's diag.
 */
void sl_policy_check(struct sl_policy_draft *draft, struct sl_policy_doc *doc);

#endif
