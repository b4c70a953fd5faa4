/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eal.h: derives the EAL's arguments from the gateway's config, so that the operator need not
 * write them.
 */
#ifndef SLUICE_CONTROL_EAL_H
#define SLUICE_CONTROL_EAL_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/settings.h"

struct sl_config;

#define SL_EAL_ARGS_MAX 128

/* What the machine has to offer. */
struct sl_eal_machine {
	cpu_set_t cpus;     /* this process may run on */
	uint64_t huge_free; /* bytes of free hugepages of the default size */
	uint64_t huge_page; /* bytes of one */
};

struct sl_eal_plan {
	int argc;
	char *argv[SL_EAL_ARGS_MAX];     /* NULL after the last */
	char *shuffled[SL_EAL_ARGS_MAX]; /* the copy that the EAL gets */
	unsigned workers;
	unsigned cpu[SL_WORKERS_MAX]; /* of each worker, by worker id */
	bool control_shares;          /* no CPU is left for the control thread alone */
	bool workers_share;           /* more workers than CPUs */
	bool huge_pages;
	bool memory_is_mapped; /* by a device, or by the process at the other end of a virtual
	                          device */
	uint32_t memory_mib;
	uint64_t huge_free_mib; /* when the plan was made */
};

void sl_eal_machine_read(struct sl_eal_machine *machine);

/*
 * Plans `run`: CPUs, memory, devices. need_mib: what rings, pools and tables take. Returns 0, or
 * -EINVAL and a message in err. sl_eal_plan_free() frees it. Pure except for allocation.
 */
int sl_eal_plan_run(const struct sl_config *config, const struct sl_eal_machine *machine,
                    uint32_t need_mib, struct sl_eal_plan *plan, char *err, size_t err_size);

/* Plans an EAL without devices, hugepages, other threads or log output (`replay`). */
void sl_eal_plan_alone(uint32_t need_mib, struct sl_eal_plan *plan);

void sl_eal_plan_free(struct sl_eal_plan *plan);

/*
 * Starts the EAL in the calling thread, which becomes its main lcore. The plan must outlive it. May
 * be called once in a process, even if it fails. Returns 0, or -errno and a message in err; if
 * hugepages were planned, -ENOMEM means that they ran short.
 */
int sl_eal_start(struct sl_eal_plan *plan, char *err, size_t err_size);

#endif
