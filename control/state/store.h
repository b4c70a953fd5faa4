/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h: what was pushed, kept in a folder so that it is in force again after any end of the
 * gateway (spec-control section 1). One SQLite database in WAL mode with synchronous=FULL: a
 * transaction that was committed is there after a loss of power, one that was not is not.
 *
 * The store keeps texts (a sandbox's entry by VLAN, a policy of `policies` by name) and does not
 * read them. Control thread.
 */
#ifndef SLUICE_CONTROL_STORE_H
#define SLUICE_CONTROL_STORE_H

#include <stddef.h>
#include <stdint.h>

struct sl_store;

enum sl_store_kind {
	SL_STORE_POLICY = 0, /* key: its name */
	SL_STORE_SANDBOX,    /* key: its VLAN in decimal */
};

/*
 * Opens the store of a folder, which is made if it is missing; one process at a time has it.
 * Returns 0; or -errno and a message in err: -EBUSY (another process, whose PID is named), -EROFS
 * or -EACCES (it cannot be written), -EPROTO (of a newer version), -EBADMSG (damaged).
 */
int sl_store_open(const char *folder, struct sl_store **out, char *err, size_t err_size);

/* NULL is fine. */
void sl_store_close(struct sl_store *store);

/* Calls take for each text, policies first, in the order of their keys. 0 or -errno; take's
 * non-zero result ends it. */
int sl_store_each(struct sl_store *store,
                  int (*take)(void *ctx, enum sl_store_kind kind, const char *key,
                              const char *text),
                  void *ctx);

/*
 * Changes between sl_store_begin() and sl_store_commit() are durable together, or not at all. Each
 * returns 0 or -errno (-ENOSPC: the disk is full); after an error only sl_store_cancel() is left.
 */
int sl_store_begin(struct sl_store *store);
int sl_store_set(struct sl_store *store, enum sl_store_kind kind, const char *key,
                 const char *text);
int sl_store_remove(struct sl_store *store, enum sl_store_kind kind, const char *key);
int sl_store_commit(struct sl_store *store);
void sl_store_cancel(struct sl_store *store);

/* What went wrong last, for messages. */
const char *sl_store_error(const struct sl_store *store);

#endif
