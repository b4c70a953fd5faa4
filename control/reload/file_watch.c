/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_watch.c: notices when a policy file has new content.
 *
 * Decides what counts as one change. It watches directories, never the file: a rename leaves the
 * file's own watch on the old inode. It watches every directory in which a name decides where the
 * path leads: that of each symlink on the way and that of the file itself. Every second it also
 * checks, without a notification, where the path leads and what is there: some file systems send
 * none, and a file may be a mount of its own.
 *
 * It must never hand out a half-written file: content is given out at once only if it was complete
 * when it got its name (rename, symlink); otherwise the file must have been closed, and two reads
 * must have been equal.
 */
#include "file_watch.h"

#include "file_watch_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTLE_MS   100       /* between two reads that must be equal */
#define GONE_MS     300       /* an editor may take the file away for a moment */
#define LOOK_MS     1000      /* between two checks without a notification */
#define COMPARE_MAX (1 << 20) /* bytes of a file whose content is compared in every look */
#define RACY_S      3         /* how coarse a file system's times may be */
#define EVENTS                                                                                     \
	(IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_MODIFY |        \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* What identifies a file's content. */
struct identity {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct digest {
	uint8_t bytes[EVP_MAX_MD_SIZE];
	unsigned len; /* 0: none */
};

struct bytes {
	char *at;
	size_t len;
};

struct sl_file_watch {
	char *path;
	size_t max_bytes;
	int fd;
	struct sl_file_watch_link chain[SL_FILE_WATCH_PATH_MAX];
	size_t links;

	struct identity taken; /* what was given out last, or could not be read */
	struct digest digest;  /* of its content */
	bool has_taken;
	struct bytes content;
	int error;

	bool modifying; /* a writer has the file open, and inotify will report its close */
	bool unasked; /* no notification led to this read: the content may be what was taken already
	               */
	bool settling; /* read once, to be read again at settle_ms */
	uint64_t settle_ms;
	struct bytes first;
	bool writing; /* inode `written` was created under the name and not closed yet */
	ino_t written;

	bool missing, told_gone;
	uint64_t missing_ms; /* since when */
	uint64_t look_ms;    /* when to look without being told */
};

/* What a batch of notifications says. */
struct told {
	bool moved;   /* a name leads to another file, whose content is complete */
	bool created; /* the file was created under its name */
	bool closed;  /* the file was closed by a writer */
	bool modified;
	bool any;
};

/* ---- where the path leads ---- */

static bool watches(const struct sl_file_watch *watch, int wd)
{
	for (size_t i = 0; i < watch->links; i++)
		if (watch->chain[i].wd == wd)
			return true;
	return false;
}

/* Watches the directories that the path leads through now, and no longer the former ones. */
static void rewatch(struct sl_file_watch *watch)
{
	struct sl_file_watch_link old[SL_FILE_WATCH_PATH_MAX];
	size_t n = watch->links;
	bool fresh = true;

	memcpy(old, watch->chain, sizeof(old));
	watch->links = 0;
	/* a change between the walk and the watch is seen by the next walk */
	for (int round = 0; fresh && round < 4; round++) {
		fresh = false;
		sl_file_watch_path_clear(watch->chain, watch->links);
		watch->links = sl_file_watch_path_walk(watch->path, watch->chain);
		for (size_t i = 0; i < watch->links; i++) {
			struct sl_file_watch_link *link = &watch->chain[i];
			bool known = false;

			link->wd = inotify_add_watch(watch->fd, link->dir, EVENTS);
			for (size_t k = 0; k < n; k++)
				known |= old[k].wd == link->wd;
			fresh |= !known && link->wd >= 0 && round == 0;
		}
	}
	for (size_t k = 0; k < n; k++)
		if (old[k].wd >= 0 && !watches(watch, old[k].wd))
			inotify_rm_watch(watch->fd, old[k].wd);
	sl_file_watch_path_clear(old, n);
}

/* ---- reading ---- */

static void bytes_clear(struct bytes *bytes)
{
	free(bytes->at);
	*bytes = (struct bytes){0};
}

static struct identity identity_of(const struct stat *st)
{
	return (struct identity){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static bool same_file(const struct identity *a, const struct identity *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_content(const struct identity *a, const struct identity *b)
{
	return same_file(a, b) && a->size == b->size && same_time(&a->mtime, &b->mtime) &&
	       same_time(&a->ctime, &b->ctime);
}

static struct digest digest_of(const struct bytes *bytes)
{
	struct digest digest = {0};

	if (EVP_Digest(bytes->at != NULL ? bytes->at : "", bytes->len, digest.bytes, &digest.len,
	               EVP_sha256(), NULL) != 1)
		digest.len = 0;
	return digest;
}

static bool same_digest(const struct digest *a, const struct digest *b)
{
	return a->len > 0 && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static int read_fd(int fd, size_t max_bytes, struct bytes *out)
{
	size_t room = 0;

	for (;;) {
		ssize_t n;

		if (out->len == room) {
			char *more;

			if (room > max_bytes)
				return 0;
			room = room ? room * 2 : 16384;
			if (room > max_bytes)
				room = max_bytes + 1;
			more = realloc(out->at, room);
			if (more == NULL)
				return -ENOMEM;
			out->at = more;
		}
		n = read(fd, out->at + out->len, room - out->len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (n > 0)
			out->len += (size_t)n;
	}
}

/* Reads the file and says which one it was. */
static int read_file(const struct sl_file_watch *watch, struct bytes *out,
                     struct identity *identity)
{
	int fd = open(watch->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), ret;
	struct stat st;

	*out = (struct bytes){0};
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		ret = -errno;
	else if (!S_ISREG(st.st_mode))
		ret = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	else
		ret = read_fd(fd, watch->max_bytes, out);
	*identity = identity_of(&st);
	close(fd);
	if (ret != 0)
		bytes_clear(out);
	return ret;
}

/* ---- what to do about it ---- */

static void settle_stop(struct sl_file_watch *watch)
{
	watch->settling = false;
	bytes_clear(&watch->first);
}

static enum sl_file_watch_news failed(struct sl_file_watch *watch, int err)
{
	watch->error = err;
	return err == ENOENT || err == ENOTDIR ? SL_FILE_WATCH_GONE : SL_FILE_WATCH_FAILED;
}

/* Gives out what was read. */
static enum sl_file_watch_news give(struct sl_file_watch *watch, struct bytes *bytes,
                                    const struct identity *identity)
{
	settle_stop(watch);
	bytes_clear(&watch->content);
	watch->content = *bytes;
	watch->taken = *identity;
	watch->digest = digest_of(bytes);
	watch->modifying = false;
	watch->has_taken = true;
	watch->writing = false;
	watch->error = 0;
	return SL_FILE_WATCH_CHANGED;
}

enum sl_file_watch_news sl_file_watch_read(struct sl_file_watch *watch, uint64_t now_ms)
{
	struct identity identity;
	struct bytes bytes;
	int ret = read_file(watch, &bytes, &identity);

	watch->look_ms = now_ms + LOOK_MS;
	return ret == 0 ? give(watch, &bytes, &identity) : failed(watch, -ret);
}

/* The first of two reads. unasked: without a notification of a change. */
static void settle_start(struct sl_file_watch *watch, bool unasked, uint64_t now_ms)
{
	struct identity identity;

	settle_stop(watch);
	watch->unasked = unasked;
	watch->settling = true;
	watch->settle_ms = now_ms + SETTLE_MS;
	read_file(watch, &watch->first, &identity);
}

/* Both reads were equal. Without a notification, content that was taken already is no news. */
static enum sl_file_watch_news settled(struct sl_file_watch *watch, struct bytes *bytes,
                                       const struct identity *identity)
{
	struct digest digest = digest_of(bytes);

	if (!watch->unasked || !same_digest(&digest, &watch->digest))
		return give(watch, bytes, identity);
	settle_stop(watch);
	bytes_clear(bytes);
	watch->taken = *identity;
	return SL_FILE_WATCH_NOTHING;
}

/* The second read; if it differs, it is the first of the next two. */
static enum sl_file_watch_news settle_end(struct sl_file_watch *watch, uint64_t now_ms)
{
	struct identity identity;
	struct bytes bytes;
	int ret = read_file(watch, &bytes, &identity);

	if (ret != 0) {
		bool again = watch->error == -ret; /* reported already */

		settle_stop(watch);
		if (ret == -ENOENT || ret == -ENOTDIR || again)
			return SL_FILE_WATCH_NOTHING; /* look_around() reports that it is gone */
		return failed(watch, -ret);
	}
	if (bytes.len == watch->first.len && bytes.at != NULL && watch->first.at != NULL &&
	    memcmp(bytes.at, watch->first.at, bytes.len) == 0)
		return settled(watch, &bytes, &identity);
	bytes_clear(&watch->first);
	watch->first = bytes;
	watch->settle_ms = now_ms + SETTLE_MS;
	return SL_FILE_WATCH_NOTHING;
}

/* A created symlink leads to something complete, unlike a created file. */
static bool is_symlink(const struct sl_file_watch_link *link)
{
	char path[PATH_MAX];
	struct stat st;

	return sl_file_watch_path_join(path, link->dir, link->name) && lstat(path, &st) == 0 &&
	       S_ISLNK(st.st_mode);
}

/* Sorts one notification. */
static void sort_event(struct sl_file_watch *watch, const struct inotify_event *event,
                       struct told *told)
{
	if (event->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) {
		told->any = true;
		told->closed |= (event->mask & IN_Q_OVERFLOW) != 0;
		return;
	}
	for (size_t i = 0; i < watch->links; i++) {
		const struct sl_file_watch_link *link = &watch->chain[i];

		if (link->wd != event->wd || event->len == 0 ||
		    strcmp(link->name, event->name) != 0)
			continue;
		told->any = true;
		told->moved |= (event->mask & IN_MOVED_TO) != 0;
		if (event->mask & IN_CREATE && is_symlink(link))
			told->moved = true;
		else if (event->mask & IN_CREATE && link->last)
			told->created = true;
		told->closed |= link->last && (event->mask & IN_CLOSE_WRITE) != 0;
		told->modified |= link->last && (event->mask & IN_MODIFY) != 0;
	}
}

static struct told take_events(struct sl_file_watch *watch)
{
	char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct told told = {0};
	ssize_t n;

	while ((n = read(watch->fd, buffer, sizeof(buffer))) > 0) {
		for (char *at = buffer; at < buffer + n;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			sort_event(watch, event, &told);
			at += sizeof(*event) + event->len;
		}
	}
	return told;
}

/* The path leads to another file than the one that was taken. */
static enum sl_file_watch_news replaced(struct sl_file_watch *watch, const struct told *told,
                                        const struct stat *st, uint64_t now_ms)
{
	if (told->moved)
		return sl_file_watch_read(watch, now_ms);
	if (told->closed || (told->created && st->st_nlink > 1)) {
		settle_start(watch, false, now_ms);
		return SL_FILE_WATCH_NOTHING;
	}
	if (told->created) {
		watch->writing = true;
		watch->written = st->st_ino;
		return SL_FILE_WATCH_NOTHING;
	}
	/*
	 * found without a notification: a directory was renamed, or the file system sends none;
	 * while a writer has it open under a name that is watched, its close will be reported
	 */
	if (!watch->settling && !(watch->writing && watch->written == st->st_ino))
		settle_start(watch, true, now_ms);
	return SL_FILE_WATCH_NOTHING;
}

/*
 * True if the content of the file that was taken seems to have changed. Size and times are not
 * enough where times are coarse: a second write within the same tick looks the same.
 */
static bool differs(const struct sl_file_watch *watch, const struct identity *identity)
{
	struct identity now;
	struct digest digest;
	struct timespec clock;
	struct bytes bytes;

	if (!same_content(identity, &watch->taken))
		return true;
	clock_gettime(CLOCK_REALTIME, &clock);
	if (identity->size > COMPARE_MAX && clock.tv_sec - identity->mtime.tv_sec > RACY_S)
		return false;
	if (read_file(watch, &bytes, &now) != 0)
		return false;
	digest = digest_of(&bytes);
	bytes_clear(&bytes);
	return !same_digest(&digest, &watch->digest);
}

static enum sl_file_watch_news look_around(struct sl_file_watch *watch, const struct told *told,
                                           uint64_t now_ms)
{
	struct identity identity;
	struct stat st;

	watch->look_ms = now_ms + LOOK_MS;
	watch->modifying = (watch->modifying || told->modified) && !told->closed;
	rewatch(watch);
	if (stat(watch->path, &st) != 0) {
		int err = errno;

		if (!watch->missing)
			watch->missing_ms = now_ms;
		watch->missing = true;
		if (watch->told_gone || now_ms - watch->missing_ms < GONE_MS)
			return SL_FILE_WATCH_NOTHING;
		watch->told_gone = true;
		return failed(watch, err);
	}
	watch->missing = watch->told_gone = false;
	identity = identity_of(&st);
	if (!watch->has_taken || !same_file(&identity, &watch->taken))
		return replaced(watch, told, &st, now_ms);
	if (told->moved && !same_content(&identity, &watch->taken))
		return sl_file_watch_read(watch, now_ms);
	if (told->closed)
		settle_start(watch, false, now_ms);
	else if (!watch->modifying && !watch->settling && differs(watch, &identity))
		settle_start(watch, true, now_ms);
	return SL_FILE_WATCH_NOTHING;
}

enum sl_file_watch_news sl_file_watch_poll(struct sl_file_watch *watch, uint64_t now_ms)
{
	struct told told = take_events(watch);
	enum sl_file_watch_news news = SL_FILE_WATCH_NOTHING;

	if (told.any || now_ms >= watch->look_ms ||
	    (watch->missing && !watch->told_gone && now_ms - watch->missing_ms >= GONE_MS))
		news = look_around(watch, &told, now_ms);
	if (news == SL_FILE_WATCH_NOTHING && watch->settling && now_ms >= watch->settle_ms)
		news = settle_end(watch, now_ms);
	return news;
}

int sl_file_watch_timeout_ms(const struct sl_file_watch *watch, uint64_t now_ms)
{
	uint64_t due = watch->look_ms;

	if (watch->settling && watch->settle_ms < due)
		due = watch->settle_ms;
	if (watch->missing && !watch->told_gone && watch->missing_ms + GONE_MS < due)
		due = watch->missing_ms + GONE_MS;
	return due > now_ms ? (int)(due - now_ms) : 0;
}

/* ---- making one ---- */

struct sl_file_watch *sl_file_watch_create(const char *path, size_t max_bytes)
{
	struct sl_file_watch *watch;

	if (strlen(path) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		return NULL;
	watch->max_bytes = max_bytes;
	watch->path = strdup(path);
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->path == NULL || watch->fd < 0) {
		int err = errno;

		if (watch->fd >= 0)
			close(watch->fd);
		free(watch->path);
		free(watch);
		errno = err;
		return NULL;
	}
	rewatch(watch);
	return watch;
}

void sl_file_watch_free(struct sl_file_watch *watch)
{
	if (watch == NULL)
		return;
	sl_file_watch_path_clear(watch->chain, watch->links);
	settle_stop(watch);
	bytes_clear(&watch->content);
	close(watch->fd);
	free(watch->path);
	free(watch);
}

int sl_file_watch_fd(const struct sl_file_watch *watch)
{
	return watch->fd;
}

const char *sl_file_watch_bytes(const struct sl_file_watch *watch, size_t *len)
{
	*len = watch->content.len;
	return watch->content.at;
}

void sl_file_watch_forget_bytes(struct sl_file_watch *watch)
{
	bytes_clear(&watch->content);
}

int sl_file_watch_error(const struct sl_file_watch *watch)
{
	return watch->error;
}
