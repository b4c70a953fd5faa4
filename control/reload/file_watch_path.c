/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_watch_path.c: the names that decide where a path leads. Must never follow more symlinks than
 * the kernel does.
 */
#include "file_watch_path.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYMLINKS_MAX 40 /* as the kernel's own limit */

void sl_file_watch_path_clear(struct sl_file_watch_link *chain, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(chain[i].dir);
		free(chain[i].name);
	}
}

static int chain_add(struct sl_file_watch_link *chain, size_t *n, const char *dir, const char *name,
                     bool last)
{
	struct sl_file_watch_link *link = &chain[*n];

	if (*n == SL_FILE_WATCH_PATH_MAX)
		return -ELOOP;
	*link = (struct sl_file_watch_link){-1, last, strdup(dir), strdup(name)};
	if (link->dir == NULL || link->name == NULL) {
		free(link->dir);
		free(link->name);
		return -ENOMEM;
	}
	(*n)++;
	return 0;
}

/* Moves the next component from rest to name. False at the end. */
static bool next_component(char *rest, char name[NAME_MAX + 1])
{
	char *at = rest + strspn(rest, "/");
	size_t len = strcspn(at, "/");

	if (len == 0 || len > NAME_MAX)
		return false;
	memcpy(name, at, len);
	name[len] = '\0';
	at += len;
	at += strspn(at, "/");
	memmove(rest, at, strlen(at) + 1);
	return true;
}

bool sl_file_watch_path_join(char out[PATH_MAX], const char *dir, const char *name)
{
	size_t a = strlen(dir), b = strlen(name);
	bool slash = a > 0 && dir[a - 1] != '/';

	if (a + slash + b >= PATH_MAX)
		return false;
	memmove(out, dir, a);
	if (slash)
		out[a++] = '/';
	memcpy(out + a, name, b + 1);
	return true;
}

/* Puts a symlink's target in front of the rest of the path. */
static int follow(const char *link, char dir[PATH_MAX], char rest[PATH_MAX])
{
	char target[PATH_MAX];
	ssize_t len = readlink(link, target, sizeof(target) - 1);

	if (len < 0)
		return -errno;
	target[len] = '\0';
	if (target[0] == '/')
		strcpy(dir, "/");
	if (rest[0] == '\0')
		strcpy(rest, target);
	else {
		char joined[PATH_MAX];

		if (!sl_file_watch_path_join(joined, target, rest))
			return -ENAMETOOLONG;
		strcpy(rest, joined);
	}
	return 0;
}

size_t sl_file_watch_path_walk(const char *path, struct sl_file_watch_link *chain)
{
	char dir[PATH_MAX], rest[PATH_MAX], name[NAME_MAX + 1], here[PATH_MAX];
	size_t n = 0;
	int links = 0;

	strcpy(dir, path[0] == '/' ? "/" : ".");
	strcpy(rest, path);
	while (next_component(rest, name)) {
		struct stat st;

		if (!sl_file_watch_path_join(here, dir, name))
			break;
		if (lstat(here, &st) != 0) {
			chain_add(chain, &n, dir, name, rest[0] == '\0');
			break;
		}
		if (S_ISLNK(st.st_mode)) {
			if (chain_add(chain, &n, dir, name, false) != 0 || ++links > SYMLINKS_MAX ||
			    follow(here, dir, rest) != 0)
				break;
			continue;
		}
		if (rest[0] == '\0')
			chain_add(chain, &n, dir, name, true);
		strcpy(dir, here);
	}
	return n;
}
