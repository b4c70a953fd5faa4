/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h: a policy document, read, checked and normalised.
 *
 * Decides nothing about packets: it holds what the operator wrote, in the form that is compiled. A
 * document is either valid as a whole or refused with every error.
 */
#ifndef SLUICE_CONTROL_POLICY_H
#define SLUICE_CONTROL_POLICY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "by_address.h"
#include "diag.h"
#include "pattern.h"
#include "prefix.h"

#define SL_POLICY_VLAN_MAX 4094
#define SL_POLICY_NAME_MAX 128        /* bytes of a sandbox's or a policy's name */
#define SL_POLICY_FILE_MAX (64 << 20) /* bytes of a document */

struct sl_docmem;
struct sl_yaml_doc;

enum sl_policy_kind {
	SL_POLICY_DENY_ALL = 0, /* also `{}`, empty lists, and only subnets.deny */
	SL_POLICY_CUSTOM,
	SL_POLICY_ALLOW_ALL,
};

/*
 * What one sandbox may reach. Only SL_POLICY_CUSTOM has lists, and then patterns, by_address or
 * allow is not empty. All are sorted (sl_pattern_compare, sl_by_address_compare, sl_prefix_compare)
 * without repetitions.
 */
struct sl_policy {
	enum sl_policy_kind kind;
	const struct sl_pattern *patterns;
	size_t n_patterns;
	const struct sl_by_address *by_address; /* of at most SL_PIN_RULES_MAX ports */
	size_t n_by_address;
	const struct sl_prefix *allow; /* subnets.allow */
	size_t n_allow;
	const struct sl_prefix *deny; /* subnets.deny */
	size_t n_deny;
	const char *name; /* its key in `policies`, NULL if it is inside a sandbox's entry */
	uint32_t line;    /* of the policy value; 0 for the implied allow-all */
	uint32_t column;
};

/*
 * One sandbox. With has_source, only sources are its addresses, and a family of which the list has
 * none has no address at all; `source: []` thus leaves it without any. Without, the default rule
 * for sources holds.
 */
struct sl_policy_entry {
	uint16_t vlan;    /* 1..SL_POLICY_VLAN_MAX */
	const char *name; /* NULL without one; UTF-8 without control characters */
	bool has_source;
	const struct sl_prefix *sources; /* sorted, no repetitions */
	size_t n_sources;
	const struct sl_policy *policy; /* never NULL; shared by sandboxes that name the same one */
	uint32_t line;
	uint32_t column;
};

/* Owns all that it points to. It is read-only after it was read: any thread may read it. */
struct sl_policy_doc {
	const char *file;                      /* as it stands in messages */
	const struct sl_policy_entry *entries; /* sorted by vlan, which is unique */
	size_t n_entries;
	const struct sl_policy *named; /* all of `policies`, sorted by name, used or not */
	size_t n_named;
	/* In all policies that a sandbox has, each policy once; those of by-address, too. */
	size_t n_patterns;
	size_t n_prefixes; /* likewise, allow and deny */
	/* The place of the first policy in use that has patterns; 0: there is none. */
	uint32_t pattern_line;
	uint32_t pattern_column;
	/* The same for by-address. */
	uint32_t by_address_line;
	uint32_t by_address_column;
	struct sl_docmem *mem;
	atomic_uint shares; /* beyond the first (sl_policy_doc_share) */
};

/*
 * Reads a document from a file, or from len bytes that messages call name. Returns 0 and the
 * document in *out (the caller frees it with sl_policy_doc_free()), or -errno with at least one
 * error in diag: -EINVAL for an invalid document, -EFBIG for one beyond SL_POLICY_FILE_MAX,
 * -ENOMEM, or the errno of open() or read(). There may be warnings in either case. Control thread;
 * reading blocks.
 */
int sl_policy_doc_read_file(const char *path, struct sl_diag *diag, struct sl_policy_doc **out);
int sl_policy_doc_read_buffer(const char *name, const char *bytes, size_t len, struct sl_diag *diag,
                              struct sl_policy_doc **out);

/* The same from a tree, which it does not keep. */
int sl_policy_doc_read_yaml(const struct sl_yaml_doc *yaml, struct sl_diag *diag,
                            struct sl_policy_doc **out);

/*
 * Another share of the same document: it is freed when each of them has been. Any thread may share
 * and free.
 */
struct sl_policy_doc *sl_policy_doc_share(const struct sl_policy_doc *doc);

/* Frees the document and all that it points to, unless it is shared. NULL is fine. */
void sl_policy_doc_free(struct sl_policy_doc *doc);

/* The entry of that VLAN, or NULL. */
const struct sl_policy_entry *sl_policy_doc_find(const struct sl_policy_doc *doc, uint16_t vlan);

#endif
