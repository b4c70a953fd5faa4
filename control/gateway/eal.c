/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eal.c: derives the EAL's arguments from the gateway's config.
 *
 * Decides which CPUs poll and which one runs the control thread, and whether memory comes from
 * hugepages. `eal-args` override what is decided here. Opens no port.
 */
#include "eal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include "document/config.h"
#include "ports.h"

#define MIB (1024u * 1024u)

/* ---- the machine ---- */

static uint64_t read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long long number = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu", &number) != 1)
		number = 0;
	fclose(file);
	return number;
}

/* --in-memory takes pages of the default size. */
static uint64_t default_huge_page(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "Hugepagesize: %llu kB", &kib) == 1)
			break;
	fclose(file);
	return kib * 1024;
}

void sl_eal_machine_read(struct sl_eal_machine *machine)
{
	char path[128];

	CPU_ZERO(&machine->cpus);
	sched_getaffinity(0, sizeof(machine->cpus), &machine->cpus);
	machine->huge_page = default_huge_page();
	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%llukB/free_hugepages",
	         (unsigned long long)(machine->huge_page / 1024));
	machine->huge_free = read_number(path) * machine->huge_page;
}

/* ---- the list of arguments ---- */

static void add(struct sl_eal_plan *plan, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

static void add(struct sl_eal_plan *plan, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	/* the last slot stays NULL; the number of eal-args was checked before */
	if (plan->argc + 1 >= SL_EAL_ARGS_MAX)
		return;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	if (text != NULL)
		plan->argv[plan->argc++] = text;
}

void sl_eal_plan_free(struct sl_eal_plan *plan)
{
	for (int i = 0; i < plan->argc; i++)
		free(plan->argv[i]);
	plan->argc = 0;
}

/* True if the operator gave this option in `eal-args`, as "--x", "--x=..." or "-x..." */
static bool given(const struct sl_config *config, const char *option)
{
	size_t len = strlen(option);

	for (size_t i = 0; i < config->machine.n_eal_args; i++) {
		const char *arg = config->machine.eal_args[i];

		if (strncmp(arg, option, len) == 0 &&
		    (arg[len] == '\0' || arg[len] == '=' || option[1] != '-'))
			return true;
	}
	return false;
}

/* Adds an option unless `eal-args` has it. config NULL: there is none. */
static void add_unless_given(const struct sl_config *config, struct sl_eal_plan *plan,
                             const char *option, const char *value)
{
	if (config == NULL || !given(config, option))
		add(plan, "%s%s", option, value);
}

/* ---- CPUs ---- */

static int take_listed(const struct sl_config *config, const struct sl_eal_machine *machine,
                       struct sl_eal_plan *plan, char *err, size_t err_size)
{
	for (unsigned i = 0; i < plan->workers; i++) {
		unsigned cpu = config->workers.lcores[i];

		if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &machine->cpus)) {
			snprintf(err, err_size,
			         "workers: CPU %u is not one that this process may run on", cpu);
			return -EINVAL;
		}
		plan->cpu[i] = cpu;
	}
	return 0;
}

/*
 * Without CPUs in the config: the last ones poll, the first is for the control thread and other
 * processes.
 */
static void choose(const struct sl_eal_machine *machine, int control, struct sl_eal_plan *plan)
{
	unsigned list[CPU_SETSIZE], n = 0, spare;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &machine->cpus) && cpu != control)
			list[n++] = (unsigned)cpu;
	/* Not enough CPUs: a worker polls on the control thread's CPU, too. */
	if (n < plan->workers && control >= 0)
		list[n++] = (unsigned)control;
	if (n == 0)
		list[n++] = 0;
	spare = n > plan->workers ? n - plan->workers : 0;
	for (unsigned i = 0; i < plan->workers; i++)
		plan->cpu[i] = list[spare + i % (n - spare)];
	plan->workers_share = n < plan->workers;
}

static bool is_polled(const struct sl_eal_plan *plan, unsigned cpu)
{
	for (unsigned i = 0; i < plan->workers; i++)
		if (plan->cpu[i] == cpu)
			return true;
	return false;
}

/* CPUs as the EAL writes a set: all, or those that no worker of a plan polls on. */
static void cpu_set_text(const struct sl_eal_machine *machine, const struct sl_eal_plan *polled,
                         char *out, size_t size)
{
	size_t len = 0;

	for (unsigned cpu = 0; cpu < CPU_SETSIZE && len + 8 < size; cpu++)
		if (CPU_ISSET(cpu, &machine->cpus) && (polled == NULL || !is_polled(polled, cpu)))
			len += (size_t)snprintf(out + len, size - len, "%s%u", len == 0 ? "(" : ",",
			                        cpu);
	snprintf(out + len, size - len, len == 0 ? "0" : ")");
}

/* The CPUs of the control thread: those that no worker polls on, else all. */
static void control_set(const struct sl_config *config, const struct sl_eal_machine *machine,
                        struct sl_eal_plan *plan, char *out, size_t size)
{
	bool shares = true;

	if (config->machine.control_lcore >= 0) {
		unsigned cpu = (unsigned)config->machine.control_lcore;

		plan->control_shares = is_polled(plan, cpu);
		snprintf(out, size, "%u", cpu);
		return;
	}
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &machine->cpus) && !is_polled(plan, cpu))
			shares = false;
	plan->control_shares = shares;
	cpu_set_text(machine, shares ? NULL : plan, out, size);
}

static int plan_cpus(const struct sl_config *config, const struct sl_eal_machine *machine,
                     struct sl_eal_plan *plan, char *err, size_t err_size)
{
	int control = config->machine.control_lcore, ret = 0;
	char lcores[8192];
	size_t len;

	plan->workers = config->workers.count;
	if (plan->workers == 0 || plan->workers > SL_WORKERS_MAX) {
		snprintf(err, err_size, "workers: %u, but 1 to %u are possible", plan->workers,
		         SL_WORKERS_MAX);
		return -EINVAL;
	}
	if (control >= CPU_SETSIZE || (control >= 0 && !CPU_ISSET(control, &machine->cpus))) {
		snprintf(err, err_size, "control CPU %d is not one that this process may run on",
		         control);
		return -EINVAL;
	}
	if (config->workers.lcores != NULL)
		ret = take_listed(config, machine, plan, err, err_size);
	else
		choose(machine, control, plan);
	if (ret != 0 || given(config, "--lcores") || given(config, "-l") || given(config, "-c"))
		return ret;
	len = (size_t)snprintf(lcores, sizeof(lcores), "--lcores=0@");
	control_set(config, machine, plan, lcores + len, sizeof(lcores) / 2);
	len = strlen(lcores);
	for (unsigned i = 0; i < plan->workers; i++)
		len += (size_t)snprintf(lcores + len, sizeof(lcores) - len, ",%u@%u", i + 1,
		                        plan->cpu[i]);
	add(plan, "%s", lcores);
	add(plan, "--main-lcore=0");
	return 0;
}

/* ---- memory and devices ---- */

static int plan_memory(const struct sl_config *config, const struct sl_eal_machine *machine,
                       uint32_t need_mib, struct sl_eal_plan *plan, char *err, size_t err_size)
{
	uint64_t free_mib = machine->huge_free / MIB;

	plan->huge_free_mib = free_mib;
	plan->memory_mib = config->machine.memory_mib ? config->machine.memory_mib : need_mib;
	switch (config->machine.huge_pages) {
	case SL_CONFIG_HUGE_PAGES_AUTO:
		plan->huge_pages = free_mib >= plan->memory_mib;
		break;
	case SL_CONFIG_HUGE_PAGES_REQUIRE:
		if (free_mib < plan->memory_mib) {
			snprintf(err, err_size,
			         "huge-pages: true, but %llu MiB of hugepages are free and %u are "
			         "needed; raise /proc/sys/vm/nr_hugepages",
			         (unsigned long long)free_mib, plan->memory_mib);
			return -ENOMEM;
		}
		plan->huge_pages = true;
		break;
	case SL_CONFIG_HUGE_PAGES_NONE:
		plan->huge_pages = false;
		break;
	}
	if (given(config, "--no-huge"))
		plan->huge_pages = false;
	else if (!plan->huge_pages)
		add(plan, "--no-huge");
	/*
	 * nothing is shared with other processes, no hugetlbfs mount is needed; --in-memory
	 * excludes --no-huge
	 */
	add_unless_given(config, plan, plan->huge_pages ? "--in-memory" : "--no-shconf", "");
	/*
	 * All of it at once: pages that are free now may be taken a moment later, and a gateway
	 * that has its memory at start cannot run out of it. The EAL spreads it over the NUMA nodes
	 * of the CPUs above, and takes from other nodes what these lack.
	 */
	if (!given(config, "-m") && !given(config, "--socket-mem"))
		add(plan, "-m%u", plan->memory_mib);
	return 0;
}

static int plan_device(const struct sl_config *config, const char *dev, struct sl_eal_plan *plan,
                       char *err, size_t err_size)
{
	char devargs[SL_PORTS_DEVARGS_MAX];
	int ret;

	if (sl_ports_is_pci(dev)) {
		add(plan, "--allow=%s", dev);
		plan->memory_is_mapped = true;
		return 0;
	}
	if (strncmp(dev, "net_virtio_user", 15) == 0 || strncmp(dev, "net_vhost", 9) == 0 ||
	    strncmp(dev, "net_memif", 9) == 0)
		plan->memory_is_mapped = true;
	ret = sl_ports_devargs(dev, plan->workers, config->machine.mtu, devargs, sizeof(devargs));
	if (ret != 0) {
		snprintf(err, err_size, "the device string \"%.64s...\" is too long", dev);
		return ret;
	}
	add(plan, "--vdev=%s", devargs);
	return 0;
}

static int plan_devices(const struct sl_config *config, struct sl_eal_plan *plan, char *err,
                        size_t err_size)
{
	int ret;

	if (!sl_ports_is_pci(config->sandbox.dev) && !sl_ports_is_pci(config->uplink.dev) &&
	    !given(config, "--allow") && !given(config, "-a"))
		add(plan, "--no-pci");
	ret = plan_device(config, config->sandbox.dev, plan, err, err_size);
	if (ret == 0)
		ret = plan_device(config, config->uplink.dev, plan, err, err_size);
	return ret;
}

static void plan_common(const struct sl_config *config, struct sl_eal_plan *plan)
{
	add_unless_given(config, plan, "--iova-mode", "=va");
	add_unless_given(config, plan, "--no-telemetry", "");
	add_unless_given(config, plan, "--file-prefix", "=sluice");
	add_unless_given(config, plan, "--force-max-simd-bitwidth", "=512");
	/* the EAL returns its errors; messages of drivers are needed */
	if (config == NULL || !given(config, "--log-level")) {
		add(plan, "--log-level=%s", config == NULL ? "error" : "warning");
		add(plan, "--log-level=lib.eal:error");
	}
}

int sl_eal_plan_run(const struct sl_config *config, const struct sl_eal_machine *machine,
                    uint32_t need_mib, struct sl_eal_plan *plan, char *err, size_t err_size)
{
	int ret;

	*plan = (struct sl_eal_plan){0};
	if (config->machine.n_eal_args > SL_EAL_ARGS_MAX / 2) {
		snprintf(err, err_size, "eal-args: more than %d arguments", SL_EAL_ARGS_MAX / 2);
		return -EINVAL;
	}
	add(plan, "sluice");
	plan_common(config, plan);
	ret = plan_cpus(config, machine, plan, err, err_size);
	if (ret == 0)
		ret = plan_memory(config, machine, need_mib, plan, err, err_size);
	if (ret == 0)
		ret = plan_devices(config, plan, err, err_size);
	for (size_t i = 0; ret == 0 && i < config->machine.n_eal_args; i++)
		add(plan, "%s", config->machine.eal_args[i]);
	if (ret != 0)
		sl_eal_plan_free(plan);
	return ret;
}

void sl_eal_plan_alone(uint32_t need_mib, struct sl_eal_plan *plan)
{
	struct sl_eal_machine machine;
	char cpus[4096];

	sl_eal_machine_read(&machine);
	*plan = (struct sl_eal_plan){.memory_mib = need_mib};
	add(plan, "sluice");
	plan_common(NULL, plan);
	add(plan, "--no-pci");
	add(plan, "--no-shconf");
	add(plan, "--no-huge");
	add(plan, "-m%u", need_mib);
	/* one thread, on any CPU */
	cpu_set_text(&machine, NULL, cpus, sizeof(cpus));
	add(plan, "--lcores=0@%s", cpus);
}

/*
 * Without hugepages DPDK's memory is a file in memory, in pages of 4 KiB: the address tables alone
 * then cost tens of thousands of page faults at start, and a TLB miss a lookup later. Private
 * memory instead lets the kernel use transparent huge pages. The present content is copied, then
 * one mremap() replaces the mapping. If that fails, nothing changes.
 */
static int make_private(const struct rte_memseg_list *list, void *ctx)
{
	size_t page = list->page_sz, pages = list->len / page;
	unsigned char *resident = malloc(pages);
	char *base = list->base_va, *copy = MAP_FAILED;

	(void)ctx;
	if (resident != NULL && !list->external && mincore(base, list->len, resident) == 0)
		copy = mmap(NULL, list->len, PROT_READ | PROT_WRITE,
		            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (size_t i = 0; copy != MAP_FAILED && i < pages; i++)
		if (resident[i] & 1)
			memcpy(copy + i * page, base + i * page, page);
	free(resident);
	if (copy == MAP_FAILED)
		return 0;
	if (mremap(copy, list->len, list->len, MREMAP_MAYMOVE | MREMAP_FIXED, base) == MAP_FAILED)
		munmap(copy, list->len);
	else
		madvise(base, list->len, MADV_HUGEPAGE);
	return 0;
}

/*
 * Hugepages ran short: other processes took them since the plan was made, or a cgroup's limit
 * forbids them.
 */
static int say_short(const struct sl_eal_plan *plan, char *err, size_t err_size)
{
	struct sl_eal_machine machine;

	sl_eal_machine_read(&machine);
	snprintf(err, err_size,
	         "hugepages ran short: %u MiB are needed, %llu were free before the start and %llu "
	         "are now; raise /proc/sys/vm/nr_hugepages",
	         plan->memory_mib, (unsigned long long)plan->huge_free_mib,
	         (unsigned long long)(machine.huge_free / MIB));
	return -ENOMEM;
}

int sl_eal_start(struct sl_eal_plan *plan, char *err, size_t err_size)
{
	/* the EAL reorders the pointers */
	memcpy(plan->shuffled, plan->argv, sizeof(plan->shuffled));
	if (rte_eal_init(plan->argc, plan->shuffled) < 0) {
		/* EACCES: it found no free hugepage at all */
		if (plan->huge_pages && (rte_errno == ENOMEM || rte_errno == EACCES))
			return say_short(plan, err, err_size);
		snprintf(err, err_size, "DPDK does not start: %s", rte_strerror(rte_errno));
		return rte_errno ? -rte_errno : -EIO;
	}
	/* before any thread or device uses it */
	if (!plan->huge_pages && !plan->memory_is_mapped)
		rte_memseg_list_walk(make_private, NULL);
	return 0;
}
