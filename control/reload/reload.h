/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.h: the policy's walk: read, check, compile, publish, wait until every worker enforces it,
 * reclaim. The owner of a struct sl_reload is the only writer of the publication's pointer.
 *
 * Threads: everything here belongs to the control thread. The workers see only the publication.
 */
#ifndef SLUICE_CONTROL_RELOAD_H
#define SLUICE_CONTROL_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/generation.h"

struct sl_config;
struct sl_diag;
struct sl_policy_doc;
struct sl_push;
struct sl_reload;

/* Sizes of the address tables, each of the two copies; 0: from the config. */
struct sl_reload_tables {
	uint32_t prefixes; /* distinct prefixes in the union of all policies */
	uint32_t tbl8_4;   /* second-level tables for IPv4: one for each /24 that holds longer
	                      prefixes */
	uint32_t tbl8_6;   /* the same for IPv6: one for each 8 bits below /24, 1 KiB each */
};

struct sl_reload_params {
	/*
	 * For `internal`, `protected` and checks of a policy against the config. It outlives the
	 * reload. NULL: none of these (tests).
	 */
	const struct sl_config *config;
	/*
	 * Outlives the reload. Its qsbr must not change after creation; NULL: one thread does
	 * everything, there is no worker to wait for, and one copy of the address tables is enough.
	 */
	struct sl_publication *publication;
	unsigned workers; /* 1 .. SL_WORKERS_MAX: scratches of a generation */
	struct sl_reload_tables tables;
	uint32_t patience_ms;    /* how long workers may take to acknowledge; 0: 2000 */
	void (*idle)(void *ctx); /* called regularly while waiting; or NULL. It must not push */
	void *idle_ctx;
	/*
	 * or NULL. Reports the outcome for sandboxes that a document had left to an earlier push
	 * which did not come into force (sl_reload_submit). Same arguments as a job's done; called
	 * only if there is something to report
	 */
	void (*left)(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push);
	void *left_ctx;
};

/* The outcome of a push. Times in microseconds of the monotonic clock. */
struct sl_push {
	uint64_t generation;        /* the number that is in force now */
	bool changed;               /* false: there was nothing to change, the number is the same */
	unsigned sandboxes;         /* sandboxes in force now */
	unsigned sandboxes_changed; /* whose effective policy changed, new and removed ones included
	                             */
	unsigned sandboxes_waiting; /* whose patterns are being compiled (sl_reload_submit): they
	                               keep what they have until then */
	uint64_t check_us;          /* read (sl_reload_push_file) and check */
	uint64_t compile_us;        /* patterns, address tables, index of the new generation */
	uint64_t wait_us;           /* from the pointer store until every worker enforces it */
	uint64_t reclaim_us;        /* freeing the old one, bringing the other copy up to date */
	uint64_t total_us;
};

/*
 * Makes both copies of the address tables and the arenas; publishes nothing. The EAL must be up.
 * Returns NULL and a message in diag if memory is short.
 */
struct sl_reload *sl_reload_create(const struct sl_reload_params *params, struct sl_diag *diag);

/*
 * Brings a document into force as one generation. Returns 0 when every worker enforces it, or
 * - -EINVAL: the document breaks a rule (diag says which): nothing changed;
 * - -ENOSPC: the address tables have no room for it (diag has the figures): nothing changed;
 * - -ENOMEM: nothing changed;
 * - -ETIMEDOUT: published, but a worker has not acknowledged it (diag says which); the next push
 *   waits for that worker first, and is refused with the same error (nothing changed) if it still
 *   does not.
 * out may be NULL; it is filled in in every case. The document is not kept. Patterns that
 * take long to compile are waited for (params.idle is called meanwhile).
 */
int sl_reload_push(struct sl_reload *reload, const struct sl_policy_doc *doc, struct sl_diag *diag,
                   struct sl_push *out);

/* Reads a policy file and pushes it; -EINVAL with every error in diag if it cannot be read. */
int sl_reload_push_file(struct sl_reload *reload, const char *path, struct sl_diag *diag,
                        struct sl_push *out);

/*
 * A push of a part: the document's sandboxes come into force as given, those of the VLANs in
 * `gone` are removed, all others stay. A VLAN may be in one of the two only.
 */
struct sl_reload_patch {
	const struct sl_policy_doc *doc; /* messages begin with its file name */
	const uint16_t *gone;            /* 1 .. SL_VLAN_MAX */
	size_t n_gone;
};

/*
 * As sl_reload_push(), for a patch. The cost depends on what it changes, not on how many sandboxes
 * there are.
 */
int sl_reload_patch(struct sl_reload *reload, const struct sl_reload_patch *patch,
                    struct sl_diag *diag, struct sl_push *out);

/*
 * As the two above, but if patterns take long to compile it returns -EINPROGRESS at once: other
 * pushes go on, and what the sandboxes had stays in force. Then doc (and what patch points to)
 * belongs to the reload until sl_reload_poll() calls done, once, which gives it back: with 0 or
 * what the push would have returned; or with -ECANCELED, if later pushes have set all its sandboxes
 * meanwhile. A sandbox that a later push has set stays as that push set it.
 *
 * What one push changes comes into force at once, as one generation, so all of it waits for the
 * list that takes longest. The exception is what an earlier push has asked for already: where a
 * whole document agrees with a push that still waits, it leaves those sandboxes to that push, and
 * only its other changes come into force now (it returns 0, and push.sandboxes_waiting is the
 * number of sandboxes left). If the earlier push is refused, the sandboxes that were left to it are
 * pushed again from the later document: a document loses nothing by an earlier one's mistake
 * (params.left reports the outcome).
 */
struct sl_reload_job {
	const struct sl_policy_doc *doc;
	const struct sl_reload_patch *patch; /* instead of doc */
	void (*done)(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push);
	void *ctx;
};

int sl_reload_submit(struct sl_reload *reload, const struct sl_reload_job *job,
                     struct sl_diag *diag, struct sl_push *out);

/* Brings jobs into force whose patterns have been compiled. To be called regularly. */
void sl_reload_poll(struct sl_reload *reload);

/* Jobs that are not done. */
unsigned sl_reload_pending(const struct sl_reload *reload);

/* True while patterns are being compiled. sl_reload_free() would wait for that, possibly long. */
bool sl_reload_busy(const struct sl_reload *reload);

/* The number in force; 0 before the first push. */
uint64_t sl_reload_number(const struct sl_reload *reload);

/* The name of a VLAN's sandbox in force, until the next push; NULL: it has none. */
const char *sl_reload_name(const struct sl_reload *reload, uint16_t vlan);

/*
 * Clears the published pointer and frees everything; jobs end with -ECANCELED. No worker may be
 * running. NULL is fine.
 */
void sl_reload_free(struct sl_reload *reload);

#endif
