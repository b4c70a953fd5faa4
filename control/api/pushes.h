/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pushes.h: changes of policy that come by the API, from the thread that read one to the control
 * thread and back.
 *
 * A push is in force and durable before it is answered (spec-control section 1): it is composed
 * with what is in force, checked, committed to the store, and published. Where patterns take long
 * to compile only its own caller waits.
 */
#ifndef SLUICE_CONTROL_PUSHES_H
#define SLUICE_CONTROL_PUSHES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "document/diag.h"
#include "document/policy_json.h"
#include "document/vlan_set.h"
#include "document/yaml_tree.h"
#include "reload/reload.h"
#include "state/model.h"

struct sl_store;

enum sl_push_op {
	SL_PUSH_DOCUMENT = 0,    /* replaces everything */
	SL_PUSH_SANDBOX,         /* an entry */
	SL_PUSH_SANDBOX_POLICY,  /* the policy value of an entry that is there */
	SL_PUSH_SANDBOX_NETWORK, /* the same, as E2B's body */
	SL_PUSH_SANDBOX_REMOVE,
	SL_PUSH_PATCH,  /* {"set": [entries], "remove": [IDs]} */
	SL_PUSH_POLICY, /* one of `policies` */
	SL_PUSH_POLICY_REMOVE,
};

/* One push. Asked by any thread; the control thread fills in the answer. */
struct sl_push_call {
	enum sl_push_op op;
	const char *id;                 /* of the sandbox or policy; NULL: none */
	const struct sl_yaml_doc *body; /* NULL: none */
	bool dry_run;
	bool has_match; /* If-Match: the generation that the caller has seen */
	uint64_t match;
	const char *who; /* for the log */
	const struct sl_vlan_set
	        *may; /* whose sandboxes the caller may set; NULL: all, and policies */

	int status;          /* HTTP's */
	const char *problem; /* a word for what is wrong; NULL: nothing */
	char detail[512];    /* and a sentence */
	struct sl_diag diag; /* every mistake in the body */
	struct sl_push push; /* if nothing is wrong */
	uint64_t store_us;
	json_t *would_change; /* of a dry run */
	/* of the one sandbox that is set (sl_policy_json_hash); "": a push of something else */
	char hash[SL_POLICY_HASH_BYTES];

	/* pushes.c's own */
	struct sl_policy_doc *doc;
	struct sl_reload_patch patch;
	uint16_t gone[SL_POLICY_VLAN_MAX];
	struct sl_push_change *changes;
	size_t n_changes;
	uint64_t order; /* in which pushes were published */
	struct sl_pushes *pushes;
	struct sl_push_call *next;
	bool done;
};

struct sl_pushes {
	struct sl_model *model;
	struct sl_store *store; /* NULL: the policy is a file's, and pushes are refused */
	struct sl_reload *reload;
	void (*enforced)(void *ctx); /* a generation has come into force; or NULL */
	/* a push was taken; hash: of the one sandbox that it set, or NULL; or NULL */
	void (*pushed)(void *ctx, const struct sl_push *push, const char *who, const char *hash);
	void *ctx;
	int fd; /* readable when a call waits */
	bool ending;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	struct sl_push_call *first, **last; /* asked, not begun */
	struct sl_push_waiting *compiling;  /* the latest first */
	uint64_t published;
};

/* Returns 0 or -errno. What pushes points to outlives it. Control thread, as all but _call. */
int sl_pushes_init(struct sl_pushes *pushes);
void sl_pushes_fini(struct sl_pushes *pushes);

/* Any thread but the control thread: waits for the answer. diag is to be freed by the caller. */
void sl_pushes_call(struct sl_pushes *pushes, struct sl_push_call *call);

/* Does what was asked since the last time. */
void sl_pushes_poll(struct sl_pushes *pushes);

/* From now on every call is refused (503), also those that wait. */
void sl_pushes_end(struct sl_pushes *pushes);

/*
 * The text of a sandbox or a policy by the latest push, in force or waiting for its patterns. NULL:
 * there is none.
 */
const char *sl_pushes_entry(const struct sl_pushes *pushes, uint16_t vlan);
const char *sl_pushes_policy(const struct sl_pushes *pushes, const char *name);

/* The model becomes this document: what came from a file or, at start, from the store. */
int sl_pushes_took(struct sl_pushes *pushes, const struct sl_policy_doc *doc);

#endif
