/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c: the state folder: a lock, and a database of one table.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#define VERSION 1 /* of the table below, in the database's user_version */

struct sl_store {
	sqlite3 *db;
	sqlite3_stmt *set, *remove;
	int lock;
	char folder[4096];
};

const char *sl_store_error(const struct sl_store *store)
{
	return sqlite3_errmsg(store->db);
}

static int errno_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_BUSY:
		return -EBUSY;
	default:
		return -EIO;
	}
}

static int execute(struct sl_store *store, const char *sql)
{
	return errno_of(sqlite3_exec(store->db, sql, NULL, NULL, NULL));
}

/* ---- the lock ---- */

/* Who holds the folder has its PID in the file. */
static long holder_of(int fd)
{
	char text[32] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static int take_lock(struct sl_store *store, char *err, size_t err_size)
{
	char path[sizeof(store->folder) + 8], text[32];
	int n;

	snprintf(path, sizeof(path), "%s/lock", store->folder);
	store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (store->lock < 0) {
		n = errno;
		snprintf(err, err_size, "%s cannot be written: %s", store->folder, strerror(n));
		return -n;
	}
	if (flock(store->lock, LOCK_EX | LOCK_NB) != 0) {
		snprintf(err, err_size,
		         "%s is the state of a gateway that runs already, with PID %ld",
		         store->folder, holder_of(store->lock));
		return -EBUSY;
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(store->lock, 0) != 0 || pwrite(store->lock, text, (size_t)n, 0) != n) {
		n = errno;
		snprintf(err, err_size, "%s cannot be written: %s", path, strerror(n));
		return -n;
	}
	return 0;
}

/* ---- the database ---- */

/* The first column of a statement's first row, as a number. */
static int read_number(struct sl_store *store, const char *sql, int *out)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*out = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW ? 0 : errno_of(code);
}

/* SQLite's own check: "ok" if every page of the database is sound. */
static int check(struct sl_store *store)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
	bool sound;

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	sound = code == SQLITE_ROW &&
	        strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
	sqlite3_finalize(statement);
	if (code == SQLITE_ROW)
		return sound ? 0 : -EBADMSG;
	return errno_of(code);
}

static int make_table(struct sl_store *store)
{
	int version = 0;
	int ret = read_number(store, "PRAGMA user_version", &version);

	if (ret == 0 && version > VERSION)
		return -EPROTO;
	if (ret == 0 && version == 0)
		ret = execute(store, "BEGIN IMMEDIATE;"
		                     "CREATE TABLE part (kind INTEGER NOT NULL, key TEXT NOT NULL,"
		                     " text TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;"
		                     "PRAGMA user_version = 1;"
		                     "COMMIT");
	return ret;
}

static int prepare(struct sl_store *store)
{
	static const char set[] = "INSERT INTO part (kind, key, text) VALUES (?1, ?2, ?3) "
	                          "ON CONFLICT (kind, key) DO UPDATE SET text = ?3";
	int code = sqlite3_prepare_v2(store->db, set, -1, &store->set, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(store->db,
		                          "DELETE FROM part WHERE kind = ?1 AND key = ?2", -1,
		                          &store->remove, NULL);
	return errno_of(code);
}

static int open_database(struct sl_store *store)
{
	char path[sizeof(store->folder) + 16];
	int ret;

	snprintf(path, sizeof(path), "%s/state.db", store->folder);
	ret = errno_of(sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	                               NULL));
	if (ret == 0)
		ret = check(store);
	if (ret == 0)
		ret = execute(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
	if (ret == 0)
		ret = make_table(store);
	if (ret == 0)
		ret = prepare(store);
	/* What cannot be written is to be found now, and not by the first push. */
	if (ret == 0)
		ret = execute(store, "BEGIN IMMEDIATE; ROLLBACK");
	return ret;
}

static void explain(const struct sl_store *store, int ret, char *err, size_t err_size)
{
	const char *why = store->db != NULL ? sqlite3_errmsg(store->db) : strerror(-ret);

	if (ret == -EPROTO)
		snprintf(err, err_size, "%s/state.db was written by a newer version of sluice",
		         store->folder);
	else if (ret == -EBADMSG)
		snprintf(err, err_size,
		         "%s/state.db is damaged: restore it from a backup, or move it away to "
		         "begin "
		         "without sandboxes",
		         store->folder);
	else
		snprintf(err, err_size, "%s/state.db cannot be used: %s", store->folder, why);
}

int sl_store_open(const char *folder, struct sl_store **out, char *err, size_t err_size)
{
	struct sl_store *store = calloc(1, sizeof(*store));
	int ret;

	*out = NULL;
	if (store == NULL)
		return -ENOMEM;
	store->lock = -1;
	snprintf(store->folder, sizeof(store->folder), "%s", folder);
	if (mkdir(folder, 0750) != 0 && errno != EEXIST) {
		ret = -errno;
		snprintf(err, err_size, "%s cannot be made: %s", folder, strerror(-ret));
	} else {
		ret = take_lock(store, err, err_size);
		if (ret == 0) {
			ret = open_database(store);
			if (ret != 0)
				explain(store, ret, err, err_size);
		}
	}
	if (ret != 0)
		sl_store_close(store);
	else
		*out = store;
	return ret;
}

void sl_store_close(struct sl_store *store)
{
	if (store == NULL)
		return;
	sqlite3_finalize(store->set);
	sqlite3_finalize(store->remove);
	sqlite3_close(store->db);
	if (store->lock >= 0)
		close(store->lock);
	free(store);
}

/* ---- reading and writing ---- */

int sl_store_each(struct sl_store *store,
                  int (*take)(void *ctx, enum sl_store_kind kind, const char *key,
                              const char *text),
                  void *ctx)
{
	sqlite3_stmt *statement = NULL;
	int code =
	        sqlite3_prepare_v2(store->db, "SELECT kind, key, text FROM part ORDER BY kind, key",
	                           -1, &statement, NULL);
	int ret = 0;

	while (ret == 0 && (code == SQLITE_OK || code == SQLITE_ROW)) {
		code = sqlite3_step(statement);
		if (code == SQLITE_ROW)
			ret = take(ctx, (enum sl_store_kind)sqlite3_column_int(statement, 0),
			           (const char *)sqlite3_column_text(statement, 1),
			           (const char *)sqlite3_column_text(statement, 2));
	}
	sqlite3_finalize(statement);
	return ret != 0 ? ret : errno_of(code);
}

int sl_store_begin(struct sl_store *store)
{
	return execute(store, "BEGIN IMMEDIATE");
}

/* Runs a prepared statement for one key; text NULL: it has none. */
static int run(sqlite3_stmt *statement, enum sl_store_kind kind, const char *key, const char *text)
{
	int code;

	sqlite3_reset(statement);
	code = sqlite3_bind_int(statement, 1, kind);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(statement, 2, key, -1, SQLITE_STATIC);
	if (code == SQLITE_OK && text != NULL)
		code = sqlite3_bind_text(statement, 3, text, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	sqlite3_reset(statement);
	return errno_of(code);
}

int sl_store_set(struct sl_store *store, enum sl_store_kind kind, const char *key, const char *text)
{
	return run(store->set, kind, key, text);
}

int sl_store_remove(struct sl_store *store, enum sl_store_kind kind, const char *key)
{
	return run(store->remove, kind, key, NULL);
}

int sl_store_commit(struct sl_store *store)
{
	return execute(store, "COMMIT");
}

void sl_store_cancel(struct sl_store *store)
{
	execute(store, "ROLLBACK");
}
