/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * generation.h: the one place where the two halls meet. A generation is an immutable compiled state
 * of all policies; control builds it and publishes it by one pointer store, workers read that
 * pointer once a burst and report quiescence (rte_rcu_qsbr) once a turn.
 *
 * Everything that a generation points to stays valid and unchanged until every worker has reported
 * quiescence after a later generation was published.
 */
#ifndef SLUICE_GENERATION_H
#define SLUICE_GENERATION_H

#include <stdatomic.h>
#include <stddef.h>

#include "sluice/hostname.h"
#include "sluice/addr.h"
#include "sluice/settings.h"

struct rte_fib;
struct rte_fib6;
struct rte_rcu_qsbr;
struct hs_scratch;
struct hs_database;

enum sl_mode {
	SL_MODE_DENY_ALL = 0,
	SL_MODE_CUSTOM,
	SL_MODE_ALLOW_ALL,
};

/**
 * Address classes. The prefixes of all policies, of `internal` and of `protected` form one union;
 * a lookup in its table gives the class, the id of the longest prefix of the union that contains
 * the address (class 0: none does). A policy's answer for a class is found by walking from that
 * prefix up through the prefixes that enclose it.
 */
#define SL_CLASS_NONE 0u

enum sl_space {
	SL_SPACE_PUBLIC = 0,
	SL_SPACE_INTERNAL,
	SL_SPACE_PROTECTED, /* wins over internal */
};

struct sl_class {
	uint32_t parent; /* the class of the next larger prefix of the union, or SL_CLASS_NONE */
	uint8_t space;   /* enum sl_space of this prefix: the strictest of itself and its parents */
};

/** What one policy says of a prefix; SL_SUBNET_NONE for a prefix that the policy does not list. */
enum sl_subnet {
	SL_SUBNET_NONE = 0,
	SL_SUBNET_ALLOW,
	SL_SUBNET_DENY,
};

/** The prefixes of one policy: open addressing, class -> enum sl_subnet, at most half full. */
struct sl_subnets {
	uint32_t mask; /* slots - 1 */
	uint32_t count;
	uint32_t *slots; /* class << 2 | enum sl_subnet; 0: empty */
};

static inline uint32_t sl_subnets_hash(uint32_t class)
{
	return (uint32_t)(((uint64_t) class * 0x9e3779b97f4a7c15u) >> 32);
}

/** What this policy says of exactly this prefix of the union. */
static inline enum sl_subnet sl_subnets_own(const struct sl_subnets *subnets, uint32_t class)
{
	uint32_t i = sl_subnets_hash(class);

	for (;; i++) {
		uint32_t slot = subnets->slots[i & subnets->mask];

		if (slot == 0)
			return SL_SUBNET_NONE;
		if (slot >> 2 == class)
			return (enum sl_subnet)(slot & 3);
	}
}

/** What this policy says of an address of this class: deny beats allow, whatever the lengths. */
static inline enum sl_subnet sl_subnets_judge(const struct sl_subnets *subnets,
                                              const struct sl_class *classes, uint32_t class)
{
	enum sl_subnet found = SL_SUBNET_NONE;

	for (; class != SL_CLASS_NONE; class = classes[class].parent) {
		enum sl_subnet own = sl_subnets_own(subnets, class);

		if (own == SL_SUBNET_DENY)
			return own;
		if (own == SL_SUBNET_ALLOW)
			found = own;
	}
	return found;
}

/**
 * The exact names and the patterns with a leading `*` of one list: open addressing, at most half
 * full. A name is hashed from its last letter to its first, so one pass gives the hash of each of
 * its suffixes; "a.b" is looked up as a whole name, "*.a.b" as a suffix that follows a dot.
 */
struct sl_suffixes {
	uint64_t key[2];  /* random at start, so that an author of policies cannot choose collisions
	                   */
	uint64_t exact;   /* bit n: an exact name of n labels is there; 63: of 63 or more */
	uint64_t below;   /* the same for the part after a leading `*` */
	const char *text; /* the patterns, each with its NUL */
	uint32_t mask;    /* slots - 1 */
	uint32_t count;
	struct {
		uint32_t hash;
		uint32_t at; /* (offset in text + 1) << 1 | has a leading `*`; 0: empty */
	} slots[];
};

static inline uint64_t sl_suffixes_step(const struct sl_suffixes *suffixes, uint64_t hash, char c)
{
	return (hash ^ (uint8_t)c) * suffixes->key[1];
}

static inline uint32_t sl_suffixes_seal(const struct sl_suffixes *suffixes, uint64_t hash,
                                        bool below)
{
	hash = (hash ^ hash >> 32 ^ below) * suffixes->key[1];
	return (uint32_t)(hash >> 32);
}

/** One distinct list of patterns, compiled; shared by content. */
struct sl_patterns {
	/* Hyperscan, over names written backwards between SL_PATTERNS_BEGIN and END; or NULL. */
	struct hs_database *literals; /* exact names and leading `*`, of a list with few of these */
	struct hs_database *regexes;  /* patterns with a `*` further in */
	/* Exact names and leading `*` of a list with many; or NULL. */
	const struct sl_suffixes *suffixes;
	bool any; /* the list holds `*` */
};

#define SL_PATTERNS_BEGIN '\x01' /* comes before a name that is written backwards */
#define SL_PATTERNS_END   '\x02' /* comes after it */

/**
 * Hyperscan 5.4.0 may read this many bytes past the end of what it scans, on CPUs with
 * AVX512-VBMI: they must be readable; their value does not matter.
 */
#define SL_SCAN_SLACK 64

/** A name written backwards between the sentinels, and the bytes after it that may be read. */
struct sl_scan_text {
	char bytes[SL_NAME_MAX + 2 + SL_SCAN_SLACK];
};

/** The Hyperscan part of sl_patterns_match. The caller provides the buffer for the name. */
bool sl_patterns_scan(const struct sl_patterns *patterns, struct hs_scratch *scratch,
                      const char *name, size_t len, struct sl_scan_text *text);

/**
 * True if a pattern of the list matches a canonical name (sl_hostname_normalise). scratch is the
 * calling worker's own of the same generation; it may be NULL where no list has regexes.
 * Implemented in the dataplane; control's slow paths (explain, tests) may call it with a scratch of
 * their own.
 */
bool sl_patterns_match(const struct sl_patterns *patterns, struct hs_scratch *scratch,
                       const char *name, size_t len);

/**
 * A policy's `by-address` entries for one port and protocol (rule 3a): the port is open at an
 * address that a live pin ties to a name that these patterns match.
 */
struct sl_pin_rule {
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t port; /* host order */
	const struct sl_patterns *patterns;
};

/** Ports and protocols that one policy may have rules for: pins have a bit for each. */
#define SL_PIN_RULES_MAX 64

/** What one sandbox may do. Immutable. */
struct sl_sandbox {
	uint16_t vlan;
	enum sl_mode mode;
	uint32_t epoch; /* the last generation that changed the effective policy (never 0) */
	/*
	 * The generation in which this sandbox got its VLAN (<= epoch). State that is older
	 * belongs to another sandbox: nothing of it is inherited.
	 */
	uint32_t incarnation;
	const struct sl_subnets *subnets;   /* NULL: none */
	const struct sl_patterns *patterns; /* of `allow`; NULL: none */
	const struct sl_patterns *queries;  /* names that DNS may be asked for; NULL: none */
	const struct sl_pin_rule *pin_rules;
	uint8_t pin_rule_count; /* sorted by protocol and port */
	bool has_source;
	uint16_t source_count;
	const struct sl_net *sources; /* with has_source: the only addresses that are its own */
	const char *name;             /* NULL: none */
};

struct sl_generation {
	uint64_t number;      /* from 1 */
	struct rte_fib *fib4; /* address (host order) -> class */
	struct rte_fib6 *fib6;
	const struct sl_class *classes;
	const struct sl_sandbox *sandboxes[SL_VLAN_COUNT]; /* by VLAN; NULL: no sandbox */
	struct hs_scratch *scratch[SL_WORKERS_MAX]; /* by worker; NULL: no regexes to match */
	uint16_t sandbox_count;
	/*
	 * The VLANs whose sandbox or policy differs from generation number - 1. A worker that has
	 * processed that generation need not look at the others.
	 */
	uint16_t changed_count;
	uint16_t changed[];
};

/** The meeting point: one pointer, and which workers have seen it. */
struct sl_publication {
	_Atomic(const struct sl_generation *) current; /* NULL before the first policy */
	struct rte_rcu_qsbr *qsbr; /* thread ids are worker ids; NULL in tests */
};

#endif
