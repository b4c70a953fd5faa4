/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.h: from what an operator wrote to what a worker reads.
 *
 * Three pools of things that generations share by content: lists of patterns (compile_patterns.c),
 * lists of prefixes with the union of all prefixes behind them (compile_subnet.c), and on top of
 * both the compiled policies, one for each sandbox (compile.c). Nothing here publishes: workers see
 * none of it before reload.c stores the pointer.
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
	SL_PATTERNS_QUEUED,  /* the background thread has it or will have it: hands off */
	SL_PATTERNS_BUILT,
	SL_PATTERNS_FAILED,
};

/* One distinct list of patterns. Compiled policies, pushes that wait and the queue hold references.
 */
struct sl_pattern_list {
	struct sl_patterns patterns; /* what workers see; whole once the state is BUILT */
	struct sl_pattern_list *next;
	struct sl_pattern_list *queue_next;
	uint64_t hash;
	uint32_t refs;
	_Atomic int state; /* enum sl_pattern_state; the background thread ends QUEUED */
	int error;         /* -errno of FAILED */
	char why[128];
	bool fitted;      /* the scratches fit it */
	uint32_t count;   /* patterns */
	uint32_t bytes;   /* of text */
	const char *text; /* the patterns in canonical form, each with its NUL */
};

/* A scratch for each worker, for every database that was built before it. */
struct sl_scratches {
	struct hs_scratch *scratch[SL_WORKERS_MAX];
	struct sl_scratches *replaces; /* what generations that are going may still use */
};

struct sl_pattern_pool;

/* Returns NULL without memory, or where the CPU cannot run Hyperscan (SSSE3). */
struct sl_pattern_pool *sl_compile_patterns_create(unsigned workers);

/* Every list must have been given back, and no worker run any more. NULL is fine. */
void sl_compile_patterns_destroy(struct sl_pattern_pool *pool);

/*
 * The list of these patterns (sorted, no repetitions), one reference added. A new one is not built
 * yet. NULL without memory.
 */
struct sl_pattern_list *sl_compile_patterns_get(struct sl_pattern_pool *pool,
                                                const struct sl_pattern *patterns, size_t n);

/*
 * Takes a reference away. The last one frees the list and its databases, so no worker may be using
 * them. NULL is fine.
 */
void sl_compile_patterns_put(struct sl_pattern_pool *pool, struct sl_pattern_list *list);

/*
 * Compiles a list, if that was not done yet. Returns 0; or -EINPROGRESS: that takes long, and the
 * background thread is at it; or -ENOMEM, or -EINVAL with Hyperscan's words in diag.
 */
int sl_compile_patterns_build(struct sl_pattern_pool *pool, struct sl_pattern_list *list,
                              const char *file, struct sl_diag *diag);

/* True while the background thread has something to compile, which ending the pool waits for. */
bool sl_compile_patterns_busy(struct sl_pattern_pool *pool);

/* Takes back from the background thread what it is done with. To be called now and then. */
void sl_compile_patterns_poll(struct sl_pattern_pool *pool);

/*
 * Sets *scratches to those that serve every list built so far: the same as at the last call unless
 * a database asked for larger ones; NULL while there is nothing to scan. The pool owns them.
 * Returns 0 or -ENOMEM.
 */
int sl_compile_patterns_scratches(struct sl_pattern_pool *pool,
                                  const struct sl_scratches **scratches);

/* Frees replaced scratches. No worker may be using any but the present ones. */
void sl_compile_patterns_reclaim(struct sl_pattern_pool *pool);

/* ---- Subnets (compile_subnet.c) ---- */

/* One distinct list of prefixes, each allowed or denied. Compiled policies hold references. */
struct sl_subnet_list {
	struct sl_subnets subnets; /* what workers see */
	struct sl_subnet_list *next;
	struct sl_subnet_list *idle_next;
	uint64_t hash;
	uint32_t refs;
	bool idle; /* on the list of those that lost their last reference */
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
 * Adds or takes away a reference. With the last one the list's prefixes lose theirs; the list
 * itself stays until reclaim, and hold brings all of it back. put(NULL) is fine.
 */
void sl_compile_subnet_hold(struct sl_subnet_pool *pool, struct sl_subnet_list *list);
void sl_compile_subnet_put(struct sl_subnet_pool *pool, struct sl_subnet_list *list);

/* Frees the lists without references. No worker may be reading one. */
void sl_compile_subnet_reclaim(struct sl_subnet_pool *pool);

/* ---- Compiled policies (compiled_policy.c) and changes (compile.c) ---- */

/* What a push asks for. */
struct sl_request {
	const struct sl_policy_doc *doc;
	bool whole;           /* sandboxes that are not in the document go */
	uint64_t arrival;     /* counts pushes up in the order in which they came */
	const uint16_t *gone; /* with !whole: VLANs whose sandboxes go */
	size_t n_gone;
	const bool *leave; /* by VLAN: left to an earlier push that waits; NULL: none */
};

/* Lists of patterns that a push has to wait for. All zero: none. */
struct sl_waiting {
	struct sl_pattern_list **lists;
	unsigned count;
};

/* What a policy holds of the pools. Places of its lists of patterns, NULL where it has none: */
enum {
	SL_PARTS_PATTERNS = 0, /* of `allow` */
	SL_PARTS_QUERIES,      /* what DNS may be asked for: of `allow` and `by-address` */
	SL_PARTS_RULES,        /* and on: of `by-address`, one for each port and protocol */
	SL_PARTS_MAX = SL_PARTS_RULES + SL_PIN_RULES_MAX,
};

struct sl_policy_parts {
	struct sl_subnet_list *subnets; /* NULL: it has no prefixes */
	unsigned n_lists;
	struct sl_pattern_list *lists[SL_PARTS_MAX];
};

/* What one sandbox may do, and its references to the pools. */
struct sl_compiled_policy {
	struct sl_sandbox sandbox; /* what workers see; the first member */
	struct sl_subnet_list *subnets;
	unsigned n_lists;
	struct sl_pattern_list **lists;
};

/* A document's entry, compiled; without epoch and incarnation. Takes over the references. */
struct sl_compiled_policy *sl_compiled_policy_create(const struct sl_policy_entry *entry,
                                                     const struct sl_policy_parts *parts);

/* Frees the memory; the references are the caller's to give back. */
void sl_compiled_policy_free(struct sl_compiled_policy *compiled);

/* Whether both let their sandboxes do the same. */
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
	unsigned policies; /* of these, how many change what the sandbox may do or who it is */
	struct sl_request request; /* what it comes from; its document may be gone after commit */
	unsigned asked;            /* policies, if all that is asked for were in force already */
	bool partial;              /* not all sandboxes were compared with the document */
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
 * all outlives the compiler. Returns 0 or -ENOMEM; sl_compile_fini() is right after either, when
 * nobody reads anything any more.
 */
int sl_compile_init(struct sl_compiler *compiler, struct sl_union *all, unsigned workers);
void sl_compile_fini(struct sl_compiler *compiler);

/*
 * Works out what a push changes: compiler->change, with all names compiled and the standby copy
 * holding the new union. A sandbox that a later push has already dealt with is left alone. number
 * is the generation's that it is for. Returns 0 (then commit or cancel must follow), or -errno with
 * nothing changed and the reason in diag: -EINVAL, -ENOSPC, -ENOMEM, -EIO; -ECANCELED if later
 * pushes have dealt with all of it; -EINPROGRESS if names take long to compile: waiting, which was
 * empty, says what to wait for before this is called again, and is released after that;
 * change.asked then says how many sandboxes' policies it is about.
 */
int sl_compile_request(struct sl_compiler *compiler, const struct sl_request *request,
                       uint64_t number, struct sl_diag *diag, struct sl_waiting *waiting);

/* True when nothing of it is being compiled any more. Polls the background thread. */
bool sl_compile_ready(struct sl_compiler *compiler, const struct sl_waiting *waiting);

void sl_compile_release(struct sl_compiler *compiler, struct sl_waiting *waiting);

/* The change is empty: the push counts all the same as the newest for its sandboxes. */
void sl_compile_keep(struct sl_compiler *compiler);

/* Gives back what sl_compile_request() made, and puts the standby copy back as it was. */
void sl_compile_cancel(struct sl_compiler *compiler);

/* The change is going to be published: its compiled policies are in force from now on. */
void sl_compile_commit(struct sl_compiler *compiler);

/* No worker uses what the change replaced: frees it and brings the other copy up to date. */
int sl_compile_reclaim(struct sl_compiler *compiler);

#endif
