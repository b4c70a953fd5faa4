/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_file.h: the bytes of a file of pins: which addresses DNS had given to which sandbox, for
 *which names and until when.
 *
 * Decides what such a file may hold. A file is sound as a whole, or nothing of it is used: it opens
 * addresses. Integers are in network order, times in seconds of the Unix epoch:
 *
 *	8  "sluicepn"
 *	4  version
 *	8  length of the whole file
 *	8  when it was written
 *	4  number of resolvers, 4 number of sandboxes
 *	   each resolver that answers were taken from: 1 family, 16 address
 *	   each sandbox, by rising VLAN: 2 VLAN, 1 enum sl_pin_owner_kind, 1 length, text, 4 number
 *of pins, then each pin: 1 family (4 or 6), 1 length of the name, 4 life, 8 when it ends, 4 or 16
 *address, name 32 SHA-256 of all that
 *
 * Any thread.
 */
#ifndef SLUICE_CONTROL_PIN_FILE_H
#define SLUICE_CONTROL_PIN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "document/policy.h"
#include "sluice/addr.h"
#include "sluice/settings.h"

#define SL_PIN_FILE_VERSION 1
#define SL_PIN_FILE_MAX     (1u << 30) /* bytes */
#define SL_PIN_FILE_DIGEST  32

/* What says whose a sandbox's pins are, beside its VLAN (pin_owner.h). */
enum sl_pin_owner_kind {
	SL_PIN_OWNER_NONE = 0, /* nothing: it is no sandbox's */
	SL_PIN_OWNER_NAME,
	SL_PIN_OWNER_POLICY, /* without a name: the hash of its effective policy */
};

struct sl_pin_owner {
	uint8_t kind; /* enum sl_pin_owner_kind */
	uint8_t len;
	char text[SL_POLICY_NAME_MAX]; /* not terminated */
};

struct sl_pin_record {
	struct sl_addr addr;
	const char *name; /* canonical (sluice/hostname.h), not terminated */
	uint8_t name_len;
	uint32_t life_s; /* from its answer, or from the last flow that it opened */
	uint64_t expires_s;
};

/* ---- reading ---- */

struct sl_pin_cursor {
	const uint8_t *at, *end;
};

/* An open file points into its bytes. */
struct sl_pin_file {
	uint64_t written_s;
	struct sl_addr resolvers[SL_RESOLVERS_MAX];
	uint32_t resolver_count;
	uint32_t sandboxes;
	uint32_t left; /* sandboxes that are still to be read */
	struct sl_pin_cursor rest;
};

struct sl_pin_sandbox {
	uint16_t vlan;
	struct sl_pin_owner owner;
	uint32_t pins;
	uint32_t left; /* pins that are still to be read */
	struct sl_pin_cursor rest;
};

/* Checks everything that the bytes say. False, and why, if they are not a sound file. */
bool sl_pin_file_open(struct sl_pin_file *file, const uint8_t *bytes, size_t len, const char **why);

/* The next sandbox, and the next pin of one. False: there are no more. */
bool sl_pin_file_next(struct sl_pin_file *file, struct sl_pin_sandbox *out);
bool sl_pin_file_next_pin(struct sl_pin_sandbox *sandbox, struct sl_pin_record *out);

/*
 * What is left of a pin's life at now_s (rounded up) of a file that was written at written_s.
 * Clocks are set and jump: it is never more than was left when the file was written, which is all
 * of that if the file is from the future, and never more than a life.
 */
uint32_t sl_pin_file_left_s(const struct sl_pin_record *pin, uint64_t written_s, uint64_t now_s);

/* ---- writing ---- */

/* Bytes that grow. Zeroed: none yet. */
struct sl_pin_bytes {
	uint8_t *at;
	size_t len, room;
	bool failed; /* there was no memory; what is there is of no use */
};

void sl_pin_bytes_free(struct sl_pin_bytes *bytes);

/* Appends a pin to a sandbox's pins. False: no file may hold such a pin, it is left out. */
bool sl_pin_file_put_pin(struct sl_pin_bytes *pins, const struct sl_pin_record *pin);

/* A file: begin, its sandboxes by rising VLAN with their pins (one or more), end. */
void sl_pin_file_begin(struct sl_pin_bytes *file, uint64_t written_s,
                       const struct sl_addr *resolvers, unsigned resolver_count);
void sl_pin_file_put_sandbox(struct sl_pin_bytes *file, uint16_t vlan,
                             const struct sl_pin_owner *owner, const struct sl_pin_bytes *pins,
                             uint32_t count);
/* False: without memory, or larger than a file may be. */
bool sl_pin_file_end(struct sl_pin_bytes *file, uint32_t sandboxes);

/* Writes length and checksum, which sl_pin_file_end() does; len >= SL_PIN_FILE_MIN. False: as
 * there.
 */
#define SL_PIN_FILE_MIN (36 + SL_PIN_FILE_DIGEST)
bool sl_pin_file_seal(uint8_t *bytes, size_t len);

/* A digest of what a sealed file says, but for when it was written. False without memory. */
bool sl_pin_file_digest(const uint8_t *bytes, size_t len, uint8_t out[SL_PIN_FILE_DIGEST]);

#endif
