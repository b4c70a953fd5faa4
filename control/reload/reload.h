/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.h: the way of a policy: read, check, compile, publish, wait until every worker enforces
 * it, reclaim. Whoever holds a struct sl_reload is the one writer of the publication's pointer.
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

/* Sizes of the address tables, of each of the two copies; 0: as the config has it. */
struct sl_reload_tables {
	uint32_t prefixes; /* distinct prefixes in the union of all policies */
	uint32_t tbl8_4;   /* second-level tables for IPv4: one for each /24 that holds longer
	                      prefixes */
	uint32_t tbl8_6;   /* the same for IPv6: one for each 8 bits below /24, 1 KiB each */
};

struct sl_reload_params {
	const struct sl_config *config; /* `internal`, `protected`, checks of a policy against it;
	                                   outlives the reload. NULL: none of these (tests) */
	struct sl_publication *publication; /* outlives the reload. Its qsbr stays as it is at
	                                       creation; NULL: one thread does everything, there
	                                       is nobody to wait for, and one copy of the address
	                                       tables is enough */
	unsigned workers;                   /* 1 .. SL_WORKERS_MAX: scratches of a generation */
	struct sl_reload_tables tables;
	uint32_t patience_ms;    /* how long workers may take to acknowledge; 0: 2000 */
	void (*idle)(void *ctx); /* called every now and then while waiting; or NULL. It must not
	                            push */
	void *idle_ctx;
	/* what became of what a document had left to an earlier push that was not in force in the
	   end (sl_reload_submit); or NULL. As a job's done; called only if there is news */
	void (*left)(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push);
	void *left_ctx;
};

/* What became of a push. Times in microseconds of the monotonic clock. */
struct sl_push {
	uint64_t generation;        /* the number that is in force now */
	bool changed;               /* false: nothing to do, the number stayed */
	unsigned sandboxes;         /* sandboxes in force now */
	unsigned sandboxes_changed; /* whose effective policy changed, new and removed ones included
	                             */
	unsigned sandboxes_waiting; /* whose patterns are being compiled (sl_reload_submit): they
	                               keep what they have until then */
	uint64_t check_us;          /* read (sl_reload_push_file) and check */
	uint64_t compile_us;        /* names, address tables, index of the new generation */
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
 * Takes a document into force as one generation. Returns 0 when every worker enforces it, or
 * - -EINVAL: the document breaks a rule (diag says which): nothing changed;
 * - -ENOSPC: the address tables have no room for it (diag has the figures): nothing changed;
 * - -ENOMEM: nothing changed;
 * - -ETIMEDOUT: published, but a worker has not acknowledged it (diag says which); the next push
 *   waits for that worker first, and is refused with the same error (nothing changed) if it still
 *   does not.
 * out may be NULL; it is filled in whatever is returned. The document is not kept. Patterns that
 * take long to compile are waited for (params.idle is called meanwhile).
 */
int sl_reload_push(struct sl_reload *reload, const struct sl_policy_doc *doc, struct sl_diag *diag,
                   struct sl_push *out);

/* Reads a policy file and pushes it; -EINVAL with every error in diag if it cannot be read. */
int sl_reload_push_file(struct sl_reload *reload, const char *path, struct sl_diag *diag,
                        struct sl_push *out);

/*
 * What a push other than of the whole policy file asks for: the document's sandboxes come into
 * force as they stand there, those of the VLANs in `gone` go, all others stay. A VLAN may be in one
 * of them only.
 */
struct sl_reload_patch {
	const struct sl_policy_doc *doc; /* its file is what messages begin with */
	const uint16_t *gone;            /* 1 .. SL_VLAN_MAX */
	size_t n_gone;
};

/* As sl_reload_push(), for a patch. It costs what it changes, however many sandboxes there are. */
int sl_reload_patch(struct sl_reload *reload, const struct sl_reload_patch *patch,
                    struct sl_diag *diag, struct sl_push *out);

/*
 * As the two above, but where patterns take long to compile it returns -EINPROGRESS at once: other
 * pushes go on, and what the sandboxes had stays in force. Then doc (and what patch points to)
 * belongs to the reload until sl_reload_poll() calls done, once, which gives it back: with 0 or
 * what the push would have returned; or with -ECANCELED, if pushes that came later have dealt with
 * all its sandboxes meanwhile. A sandbox of it that a later push dealt with stays as that one has
 * it.
 *
 * What one push changes comes into force at once, as one generation, so all of it waits for the
 * longest list. Not so what an earlier push has asked for already: where a whole document agrees
 * with one that still waits, it leaves those sandboxes to that one, and only what it says anew
 * comes into force now (0 is returned, push.sandboxes_waiting says how many sandboxes are left).
 * Should the earlier one be refused, the later one's own share of it makes its walk: a document
 * loses nothing by an earlier one's mistake (params.left is told what came of it).
 */
struct sl_reload_job {
	const struct sl_policy_doc *doc;
	const struct sl_reload_patch *patch; /* instead of doc */
	void (*done)(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push);
	void *ctx;
};

int sl_reload_submit(struct sl_reload *reload, const struct sl_reload_job *job,
                     struct sl_diag *diag, struct sl_push *out);

/* Brings jobs into force whose patterns have been compiled. To be called now and then. */
void sl_reload_poll(struct sl_reload *reload);

/* Jobs that are not done. */
unsigned sl_reload_pending(const struct sl_reload *reload);

/* True while patterns are being compiled: sl_reload_free() would wait for that, which may be long.
 */
bool sl_reload_busy(const struct sl_reload *reload);

/* The number in force; 0 before the first push. */
uint64_t sl_reload_number(const struct sl_reload *reload);

/*
 * Takes the published pointer back and frees everything; jobs end with -ECANCELED. No worker may
 * run any more. NULL is fine.
 */
void sl_reload_free(struct sl_reload *reload);

#endif
