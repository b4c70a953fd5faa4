/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.h: compiles what an operator wrote into what a worker reads.
 *
 * Three pools of things that generations share by content: lists of patterns (compile_patterns.c),
 * lists of prefixes, whose prefixes together form the union (compile_subnet.c), and on top of both
 * the compiled policies, one for each sandbox (compile.c). Nothing here publishes: workers see none
 * of it before reload.c stores the pointer.
 *
 * Threads: the control thread.
 */
#ifndef SLUICE_CONTROL_COMPILE_H
#define SLUICE_CONTROL_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/generation.h"

#include "document/pattern.h"
#include "document/policy.h"
#include "document/prefix.h"

struct sl_config;
struct sl_diag;
struct sl_union;

/* ---- Patterns (compile_patterns.c) ---- */

enum sl_pattern_state {
	SL_PATTERNS_RAW = 0, /* nothing was compiled yet */
	SL_PATTERNS_QUEUED,  /* owned by the background thread: do not touch */
	SL_PATTERNS_BUILT,
	SL_PATTERNS_FAILED,
};

/* One distinct list of patterns. Compiled policies, pushes that wait and the queue hold references.
 */
struct sl_pattern_list {
	struct sl_patterns patterns; /* what workers see; complete once the state is BUILT */
	struct sl_pattern_list *next;
	struct sl_pattern_list *queue_next;
	uint64_t hash;
	uint32_t refs;
	_Atomic int state; /* enum sl_pattern_state; only the background thread leaves QUEUED */
	int error;         /* -errno of FAILED */
	char why[128];
	bool fitted;      /* the scratches are large enough for it */
	uint32_t count;   /* patterns */
	uint32_t bytes;   /* of text */
	const char *text; /* the patterns in canonical form, each with its NUL */
};

/* A scratch for each worker, large enough for every database built so far. */
struct sl_scratches {
	struct hs_scratch *scratch[SL_WORKERS_MAX];
	struct sl_scratches *replaces; /* still used by generations that are being retired */
};

struct sl_pattern_pool;

/* Returns NULL without memory, or where the CPU cannot run Hyperscan (SSSE3). */
struct sl_pattern_pool *sl_compile_patterns_create(unsigned workers);

/* Every list must have been given back, and no worker may be running. NULL is fine. */
void sl_compile_patterns_destroy(struct sl_pattern_pool *pool);

/*
 * The list of these patterns (sorted, no repetitions), one reference added. A new one is not built
 * yet. NULL without memory.
 */
struct sl_pattern_list *sl_compile_patterns_get(struct sl_pattern_pool *pool,
                                                const struct sl_pattern *patterns, size_t n);

/*
 * Drops a reference. The last one frees the list and its databases; no worker may be using them
 * then. NULL is fine.
 */
void sl_compile_patterns_put(struct sl_pattern_pool *pool, struct sl_pattern_list *list);

/*
 * Compiles a list unless it is compiled already. Returns 0; or -EINPROGRESS if the list takes long
 * and the background thread compiles it; or -ENOMEM; or -EINVAL with Hyperscan's message in diag.
 */
int sl_compile_patterns_build(struct sl_pattern_pool *pool, struct sl_pattern_list *list,
                              const char *file, struct sl_diag *diag);

/*
 * True while the background thread is compiling. sl_compile_patterns_destroy() would wait for it.
 */
bool sl_compile_patterns_busy(struct sl_pattern_pool *pool);

/* Takes finished lists back from the background thread. To be called regularly. */
void sl_compile_patterns_poll(struct sl_pattern_pool *pool);

/*
 * Sets *scratches to a set that is large enough for every list built so far: the same set as at
 * the last call unless a database needs a larger one; NULL while there is no database. The pool
 * owns them. Returns 0 or -ENOMEM.
 */
int sl_compile_patterns_scratches(struct sl_pattern_pool *pool,
                                  const struct sl_scratches **scratches);

/* Frees replaced scratches. Workers may be using the current ones only. */
void sl_compile_patterns_reclaim(struct sl_pattern_pool *pool);

/* ---- Subnets (compile_subnet.c) ---- */

/* One distinct list of prefixes, each allowed or denied. Compiled policies hold references. */
struct sl_subnet_list {
	struct sl_subnets subnets; /* what workers see */
	struct sl_subnet_list *next;
	struct sl_subnet_list *idle_next;
	uint64_t hash;
	uint32_t refs;
	bool idle; /* on the list of those whose last reference was dropped */
	uint32_t count;
	uint32_t rules[]; /* class << 2 | enum sl_subnet, in the order of the prefixes */
};

struct sl_subnet_pool;

/* all outlives the pool. NULL without memory. */
struct sl_subnet_pool *sl_compile_subnet_create(struct sl_union *all);

/* Every list must have been given back and reclaimed. NULL is fine. */
void sl_compile_subnet_destroy(struct sl_subnet_pool *pool);

/*
 * The list of a policy's allowed and denied prefixes, one reference added. Prefixes that no other
 * list has are added to the union. Returns 0 or -ENOMEM, or -ENOSPC and a message in diag.
 */
int sl_compile_subnet_get(struct sl_subnet_pool *pool, const struct sl_policy *policy,
                          const char *file, struct sl_diag *diag, struct sl_subnet_list **out);

/*
 * Adds or drops a reference. Dropping the last one drops the list's references to its prefixes;
 * the list itself stays until reclaim, and hold takes those references again. put(NULL) is fine.
 */
void sl_compile_subnet_hold(struct sl_subnet_pool *pool, struct sl_subnet_list *list);
void sl_compile_subnet_put(struct sl_subnet_pool *pool, struct sl_subnet_list *list);

/* Frees the lists without references. No worker may be reading one. */
void sl_compile_subnet_reclaim(struct sl_subnet_pool *pool);

/* ---- Compiled policies (compiled_policy.c) and changes (compile.c) ---- */

/* What a push asks for. */
struct sl_request {
	const struct sl_policy_doc *doc;
	bool whole;           /* sandboxes that are not in the document are removed */
	uint64_t arrival;     /* number of the push, in order of arrival */
	const uint16_t *gone; /* with !whole: VLANs whose sandboxes are removed */
	size_t n_gone;
	const bool *leave; /* by VLAN: left to an earlier push that still waits; NULL: none */
};

/* Lists of patterns that a push has to wait for. All zero: none. */
struct sl_waiting {
	struct sl_pattern_list **lists;
	unsigned count;
};

/*
 * A policy's references into the pools. Indexes of its lists of patterns, which are NULL where it
 * has none:
 */
enum {
	SL_PARTS_PATTERNS = 0, /* of `allow` */
	SL_PARTS_QUERIES,      /* what DNS may be asked for: of `allow` and `by-address` */
	SL_PARTS_RULES,        /* and following: of `by-address`, one for each port and protocol */
	SL_PARTS_MAX = SL_PARTS_RULES + SL_PIN_RULES_MAX,
};

struct sl_policy_parts {
	struct sl_subnet_list *subnets; /* NULL: it has no prefixes */
	unsigned n_lists;
	struct sl_pattern_list *lists[SL_PARTS_MAX];
};

/* What one sandbox may do, and its references into the pools. */
struct sl_compiled_policy {
	struct sl_sandbox sandbox; /* what workers see; the first member */
	struct sl_subnet_list *subnets;
	unsigned n_lists;
	struct sl_pattern_list **lists;
};

/* A document's entry, compiled; without epoch and incarnation. Takes over the references. */
struct sl_compiled_policy *sl_compiled_policy_create(const struct sl_policy_entry *entry,
                                                     const struct sl_policy_parts *parts);

/* Frees the memory only; the caller drops the references. */
void sl_compiled_policy_free(struct sl_compiled_policy *compiled);

/* Whether both allow the same. */
bool sl_compiled_policy_same_policy(const struct sl_compiled_policy *a,
                                    const struct sl_compiled_policy *b);
bool sl_compiled_policy_same_name(const struct sl_compiled_policy *a,
                                  const struct sl_compiled_policy *b);

/*
 * Whether two compiled policies of a VLAN belong to the same sandbox. A sandbox that gets or loses
 * a name is the same one; one whose name changes is another.
 */
bool sl_compiled_policy_same_identity(const struct sl_compiled_policy *a,
                                      const struct sl_compiled_policy *b);

/* What a push changes. */
struct sl_change {
	unsigned count;    /* compiled policies that are new, replaced or gone */
	unsigned policies; /* of these, how many change what the sandbox may do, or are of another
	                      sandbox */
	struct sl_request request; /* the push; its document may be freed after commit */
	unsigned asked; /* policies that would have changed if nothing had to be waited for */
	bool partial;   /* not all sandboxes were compared with the document */
	struct {
		struct sl_compiled_policy *from; /* NULL: the sandbox is new */
		struct sl_compiled_policy *to;   /* NULL: it is gone */
	} compiled[SL_VLAN_MAX];
};

struct sl_compiler {
	struct sl_union *all;
	struct sl_subnet_pool *subnets;
	struct sl_pattern_pool *patterns;
	struct sl_compiled_policy *compiled[SL_VLAN_COUNT]; /* of the newest generation, by VLAN */
	unsigned count;
	uint64_t arrived[SL_VLAN_COUNT]; /* the newest push in force that dealt with the VLAN */
	struct sl_change change;
};

/*
 * all outlives the compiler. Returns 0 or -ENOMEM; call sl_compile_fini() in either case, once no
 * worker reads any of it.
 */
int sl_compile_init(struct sl_compiler *compiler, struct sl_union *all, unsigned workers);
void sl_compile_fini(struct sl_compiler *compiler);

/*
 * Works out what a push changes: compiler->change, with all patterns compiled and the new union in
 * the standby copy. A sandbox that a later push has already set is left alone. number is the number
 * of the generation to be. Returns 0 (then commit or cancel must follow), or -errno with nothing
 * changed and the reason in diag: -EINVAL, -ENOSPC, -ENOMEM, -EIO; -ECANCELED if later pushes have
 * set all of its sandboxes; -EINPROGRESS if patterns take long to compile: waiting (empty before
 * the call) then lists what to wait for before the next call, and is to be released after that;
 * change.asked is the number of policies that the push would change.
 */
int sl_compile_request(struct sl_compiler *compiler, const struct sl_request *request,
                       uint64_t number, struct sl_diag *diag, struct sl_waiting *waiting);

/* True when all that is in waiting has been compiled. Polls the background thread. */
bool sl_compile_ready(struct sl_compiler *compiler, const struct sl_waiting *waiting);

void sl_compile_release(struct sl_compiler *compiler, struct sl_waiting *waiting);

/* For a change that is empty: the push still becomes the newest one for its sandboxes. */
void sl_compile_keep(struct sl_compiler *compiler);

/* Undoes sl_compile_request(), and restores the standby copy. */
void sl_compile_cancel(struct sl_compiler *compiler);

/* The change is going to be published: its compiled policies are in force from now on. */
void sl_compile_commit(struct sl_compiler *compiler);

/*
 * Call once no worker uses what the change replaced: frees it, and brings the other copy up to
 * date.
 */
int sl_compile_reclaim(struct sl_compiler *compiler);

#endif
