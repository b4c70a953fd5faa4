/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h: what is in force, as documents: a text for each sandbox's entry and each policy of
 * `policies`, canonical (document/policy_json.h). What the API shows, and what a push is compared
 * with.
 *
 * Threads: the control thread writes, any thread reads; both hold the lock.
 */
#ifndef SLUICE_CONTROL_MODEL_H
#define SLUICE_CONTROL_MODEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "document/policy.h"

struct sl_model_named {
	char *name;
	char *text;
};

struct sl_model {
	pthread_mutex_t lock;
	uint64_t generation;                 /* that this is */
	char *entry[SL_POLICY_VLAN_MAX + 1]; /* by VLAN; NULL: no sandbox */
	unsigned sandboxes;
	struct sl_model_named *named; /* sorted by name */
	size_t n_named, room_named;
};

void sl_model_init(struct sl_model *model);
void sl_model_fini(struct sl_model *model);

/* One text, or NULL. Valid while the lock is held. */
const char *sl_model_policy(const struct sl_model *model, const char *name);

/*
 * The VLAN that an ID of the API means: a VLAN in plain decimal, whether it has a sandbox or not,
 * or a sandbox's name. 0: there is none.
 */
uint16_t sl_model_vlan(const struct sl_model *model, const char *id);

/* Sets one text, or with NULL removes it. Both are copied. Returns 0 or -ENOMEM. */
int sl_model_set_entry(struct sl_model *model, uint16_t vlan, const char *text);
int sl_model_set_policy(struct sl_model *model, const char *name, const char *text);

/* The whole document as JSON; the caller frees it. NULL without memory. */
char *sl_model_document(const struct sl_model *model);

#endif
