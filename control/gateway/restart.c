/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restart.c: restarts the process where the EAL's first start cannot be undone.
 *
 * Whether there are enough hugepages is known only once the EAL has them: other processes may take
 * pages between the check and the allocation. The EAL can be started only once in a process, even
 * if it fails, and a child that tries it first would release its pages again. So the process is
 * replaced. This must never happen after a frame was received.
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
	/* the target, not the link: otherwise the process would be named after the link */
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int ret = len < 0 ? -errno : check_config(config);

	if (ret == 0) {
		self[len] = '\0';
		/* files of the EAL that hold hugepages would survive exec */
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
