/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restart.c: begins the process again where its first start cannot be taken back.
 *
 * That hugepages are enough is known only once the EAL has them: between a look at how many are
 * free and the taking of them, other processes take theirs. The EAL starts once in a process, also
 * if it fails, and a child that tries it first gives back what it got, for others to take. So the
 * process is replaced. Must never happen after a frame was seen.
 */
#include "restart.h"

#include <errno.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A pipe cannot be read twice. */
static int check_config(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return -errno;
	return S_ISREG(status.st_mode) ? 0 : -ESPIPE;
}

int sl_restart_without_huge_pages(const char *config, char *err, size_t err_size)
{
	char self[4096];
	/* its target, not the link: the process would bear the link's name */
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int ret = len < 0 ? -errno : check_config(config);

	if (ret == 0) {
		self[len] = '\0';
		/* files of the EAL that hold hugepages would outlive it */
		close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
		execl(self, "sluice", "run", "--" SL_RESTART_NO_HUGE_PAGES, "-c", config,
		      (char *)NULL);
		ret = -errno;
	}
	snprintf(err, err_size,
	         "hugepages ran short, and a start without them failed (%s): set `huge-pages: "
	         "false`",
	         strerror(-ret));
	return ret;
}
