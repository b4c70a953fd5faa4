/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_disk.c: reads and replaces the file of pins.
 */
#include "pin_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pin_file.h"

/* ---- reading ---- */

/* False, and why, if the open file may be somebody else's work. */
static bool is_own(const struct stat *st, char *why, size_t why_size)
{
	if (!S_ISREG(st->st_mode))
		snprintf(why, why_size, "it is no regular file");
	else if (st->st_uid != geteuid())
		snprintf(why, why_size, "it belongs to user %u, and not to %u", st->st_uid,
		         geteuid());
	else if ((st->st_mode & 077) != 0)
		snprintf(why, why_size, "others may use it: its mode is %04o, and not 0600",
		         st->st_mode & 07777);
	else if (st->st_size > (off_t)SL_PIN_FILE_MAX)
		snprintf(why, why_size, "it is larger than %u MiB", SL_PIN_FILE_MAX >> 20);
	else
		return true;
	return false;
}

static int read_all(int fd, uint8_t *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, bytes + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO; /* it became shorter meanwhile */
		done += (size_t)n;
	}
	return 0;
}

static int read_open(int fd, uint8_t **bytes, size_t *len, char *why, size_t why_size)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!is_own(&st, why, why_size))
		return -EPERM;
	*len = (size_t)st.st_size;
	*bytes = malloc(*len + 1);
	if (*bytes == NULL)
		return -ENOMEM;
	ret = read_all(fd, *bytes, *len);
	if (ret != 0) {
		free(*bytes);
		*bytes = NULL;
	}
	return ret;
}

int sl_pin_disk_read(const char *path, uint8_t **bytes, size_t *len, char *why, size_t why_size)
{
	/* a pipe in its place must not hold up the start */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int ret = fd < 0 ? -errno : 0;

	*bytes = NULL;
	why[0] = '\0';
	if (fd >= 0)
		ret = read_open(fd, bytes, len, why, why_size);
	if (fd >= 0)
		close(fd);
	if (ret == -ELOOP)
		snprintf(why, why_size, "it is a symbolic link");
	else if (ret != 0 && why[0] == '\0')
		snprintf(why, why_size, "%s", strerror(-ret));
	return ret;
}

/* ---- writing ---- */

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, bytes + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

/* Writes a file that is not yet there. */
static int write_new(const char *path, const uint8_t *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), ret;

	if (fd < 0)
		return -errno;
	ret = fchmod(fd, 0600) == 0 ? 0 : -errno; /* whatever the umask */
	if (ret == 0)
		ret = write_all(fd, bytes, len);
	if (close(fd) != 0 && ret == 0)
		ret = -errno;
	if (ret != 0)
		unlink(path);
	return ret;
}

/* Makes the rename durable. */
static int sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int fd, ret = 0;

	snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
	         slash != NULL ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) != 0 && errno != EINVAL) /* some file systems have nothing to sync there */
		ret = -errno;
	close(fd);
	return ret;
}

int sl_pin_disk_write(const char *path, const uint8_t *bytes, size_t len)
{
	char fresh[PATH_MAX];
	int ret;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >= sizeof(fresh))
		return -ENAMETOOLONG;
	/* what a gateway left that was killed while it wrote */
	if (unlink(fresh) != 0 && errno != ENOENT)
		return -errno;
	ret = write_new(fresh, bytes, len);
	if (ret != 0)
		return ret;
	if (rename(fresh, path) != 0) {
		ret = -errno;
		unlink(fresh);
		return ret;
	}
	return sync_folder(path);
}
