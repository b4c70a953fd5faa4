/* SPDX-License-Identifier: Apache-2.0 */
/* test_eal.c: derives DPDK's arguments from a config, for invented machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "document/config.h"
#include "gateway/eal.h"
#include "gateway/ports.h"

#define AFP(n) "net_af_packet" #n ",iface=eth" #n
#define NEED   600

static struct sl_eal_machine machine_of(unsigned cpus, unsigned huge_mib)
{
	struct sl_eal_machine machine = {
	        .huge_free = (uint64_t)huge_mib << 20,
	        .huge_page = 2u << 20,
	};

	CPU_ZERO(&machine.cpus);
	for (unsigned i = 0; i < cpus; i++)
		CPU_SET(i, &machine.cpus);
	return machine;
}

static struct sl_config config_of(unsigned workers)
{
	return (struct sl_config){
	        .sandbox = {.dev = AFP(0)},
	        .uplink = {.dev = AFP(1)},
	        .workers = {.count = workers},
	        .machine = {.control_lcore = -1, .mtu = 1500},
	};
}

/* The whole command line, arguments between blanks. */
static const char *line_of(const struct sl_eal_plan *plan)
{
	static char line[8192];
	size_t len = 0;

	for (int i = 0; i < plan->argc; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s ", plan->argv[i]);
	assert_null(plan->argv[plan->argc]);
	return line;
}

static void expect_arg(const struct sl_eal_plan *plan, const char *arg)
{
	for (int i = 0; i < plan->argc; i++)
		if (strcmp(plan->argv[i], arg) == 0)
			return;
	fail_msg("%s is not in %s", arg, line_of(plan));
}

static void expect_no_arg(const struct sl_eal_plan *plan, const char *text)
{
	if (strstr(line_of(plan), text) != NULL)
		fail_msg("%s is in %s", text, line_of(plan));
}

static struct sl_eal_plan plan_for(const struct sl_config *config, unsigned cpus, unsigned huge_mib)
{
	struct sl_eal_machine machine = machine_of(cpus, huge_mib);
	struct sl_eal_plan plan;
	char err[512] = "";

	if (sl_eal_plan_run(config, &machine, NEED, &plan, err, sizeof(err)) != 0)
		fail_msg("refused: %s", err);
	return plan;
}

static void expect_refused(const struct sl_config *config, unsigned cpus, unsigned huge_mib,
                           const char *message)
{
	struct sl_eal_machine machine = machine_of(cpus, huge_mib);
	struct sl_eal_plan plan;
	char err[512] = "";

	assert_true(sl_eal_plan_run(config, &machine, NEED, &plan, err, sizeof(err)) < 0);
	if (strstr(err, message) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", message, err);
	assert_int_equal(plan.argc, 0);
}

static void cpus_one_worker_on_two_leaves_one_to_control(void **state)
{
	struct sl_config config = config_of(1);
	struct sl_eal_plan plan = plan_for(&config, 2, 0);

	expect_arg(&plan, "--lcores=0@(0),1@1");
	expect_arg(&plan, "--main-lcore=0");
	assert_false(plan.control_shares);
	sl_eal_plan_free(&plan);
}

static void cpus_two_workers_on_two_share_with_control(void **state)
{
	struct sl_config config = config_of(2);
	struct sl_eal_plan plan = plan_for(&config, 2, 0);

	expect_arg(&plan, "--lcores=0@(0,1),1@0,2@1");
	assert_true(plan.control_shares);
	assert_false(plan.workers_share);
	sl_eal_plan_free(&plan);
}

static void cpus_many_leave_the_first_ones_to_control(void **state)
{
	struct sl_config config = config_of(2);
	struct sl_eal_plan plan = plan_for(&config, 8, 0);

	expect_arg(&plan, "--lcores=0@(0,1,2,3,4,5),1@6,2@7");
	sl_eal_plan_free(&plan);
}

static void cpus_fewer_than_workers_are_shared(void **state)
{
	struct sl_config config = config_of(3);
	struct sl_eal_plan plan = plan_for(&config, 2, 0);

	expect_arg(&plan, "--lcores=0@(0,1),1@0,2@1,3@0");
	assert_true(plan.workers_share);
	sl_eal_plan_free(&plan);
}

static void cpus_one_is_enough(void **state)
{
	struct sl_config config = config_of(1);
	struct sl_eal_plan plan = plan_for(&config, 1, 0);

	expect_arg(&plan, "--lcores=0@(0),1@0");
	assert_true(plan.control_shares);
	sl_eal_plan_free(&plan);
}

static void cpus_listed_are_taken_in_their_order(void **state)
{
	static const uint16_t lcores[] = {3, 1};
	struct sl_config config = config_of(2);
	struct sl_eal_plan plan;

	config.workers.lcores = lcores;
	plan = plan_for(&config, 4, 0);
	expect_arg(&plan, "--lcores=0@(0,2),1@3,2@1");
	sl_eal_plan_free(&plan);
}

static void cpus_listed_that_are_not_there_are_refused(void **state)
{
	static const uint16_t lcores[] = {1, 4};
	struct sl_config config = config_of(2);

	config.workers.lcores = lcores;
	expect_refused(&config, 4, 0, "CPU 4");
}

static void cpus_control_is_where_it_is_told(void **state)
{
	struct sl_config config = config_of(2);
	struct sl_eal_plan plan;

	config.machine.control_lcore = 3;
	plan = plan_for(&config, 4, 0);
	expect_arg(&plan, "--lcores=0@3,1@1,2@2");
	assert_false(plan.control_shares);
	sl_eal_plan_free(&plan);
	config.machine.control_lcore = 4;
	expect_refused(&config, 4, 0, "control CPU 4");
}

static void cpus_none_or_too_many_workers_are_refused(void **state)
{
	struct sl_config config = config_of(0);

	expect_refused(&config, 4, 0, "workers: 0");
	config.workers.count = SL_WORKERS_MAX + 1;
	expect_refused(&config, 4, 0, "workers: 65");
}

static void memory_enough_hugepages_are_used(void **state)
{
	struct sl_config config = config_of(1);
	struct sl_eal_plan plan = plan_for(&config, 2, NEED);

	assert_true(plan.huge_pages);
	expect_arg(&plan, "--in-memory");
	expect_arg(&plan, "-m600"); /* at the start, not later, when pages may be taken */
	expect_no_arg(&plan, "--no-huge");
	sl_eal_plan_free(&plan);
}

static void memory_too_few_hugepages_are_left_alone(void **state)
{
	struct sl_config config = config_of(1);
	struct sl_eal_plan plan = plan_for(&config, 2, NEED - 1);

	assert_false(plan.huge_pages);
	expect_arg(&plan, "--no-huge");
	expect_arg(&plan, "-m600");
	expect_no_arg(&plan, "--in-memory"); /* excluded by --no-huge */
	sl_eal_plan_free(&plan);
}

static void memory_required_hugepages_that_are_missing_are_refused(void **state)
{
	struct sl_config config = config_of(1);

	config.machine.huge_pages = SL_CONFIG_HUGE_PAGES_REQUIRE;
	expect_refused(&config, 2, NEED - 1, "nr_hugepages");
}

static void memory_no_hugepages_although_there_are_some(void **state)
{
	struct sl_config config = config_of(1);
	struct sl_eal_plan plan;

	config.machine.huge_pages = SL_CONFIG_HUGE_PAGES_NONE;
	config.machine.memory_mib = 777;
	plan = plan_for(&config, 2, 10000);
	expect_arg(&plan, "--no-huge");
	expect_arg(&plan, "-m777");
	sl_eal_plan_free(&plan);
}

static void devices_without_pci_leave_pci_alone(void **state)
{
	struct sl_config config = config_of(1);
	struct sl_eal_plan plan = plan_for(&config, 2, 0);

	expect_arg(&plan, "--no-pci");
	expect_arg(&plan, "--vdev=" AFP(0));
	expect_arg(&plan, "--vdev=" AFP(1));
	assert_false(plan.memory_is_mapped);
	sl_eal_plan_free(&plan);
}

static void devices_with_pci_allow_only_those(void **state)
{
	struct sl_config config = config_of(1);
	struct sl_eal_plan plan;

	config.uplink.dev = "0000:3b:00.1";
	plan = plan_for(&config, 2, 0);
	expect_no_arg(&plan, "--no-pci");
	expect_arg(&plan, "--allow=0000:3b:00.1");
	expect_no_arg(&plan, "--vdev=0000");
	assert_true(plan.memory_is_mapped);
	sl_eal_plan_free(&plan);
}

static void arguments_of_the_operator_replace_ours(void **state)
{
	static const char *const args[] = {"--lcores=0@1,1@0", "--iova-mode=pa", "-m", "64",
	                                   "--log-level=8"};
	struct sl_config config = config_of(1);
	struct sl_eal_plan plan;

	config.machine.eal_args = args;
	config.machine.n_eal_args = 5;
	plan = plan_for(&config, 2, 0);
	expect_no_arg(&plan, "--lcores=0@(0)");
	expect_no_arg(&plan, "iova-mode=va");
	expect_no_arg(&plan, "-m600");
	expect_no_arg(&plan, "lib.eal");
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(plan.argv[plan.argc - 5 + (int)i], args[i]);
	sl_eal_plan_free(&plan);
}

static void arguments_of_memory_replace_ours(void **state)
{
	static const char *const args[] = {"-m128", "--socket-mem=64,64"};

	for (size_t i = 0; i < 2; i++) {
		struct sl_config config = config_of(1);
		struct sl_eal_plan plan;

		config.machine.eal_args = &args[i];
		config.machine.n_eal_args = 1;
		plan = plan_for(&config, 2, NEED);
		assert_true(plan.huge_pages);
		expect_arg(&plan, args[i]);
		expect_no_arg(&plan, "-m600");
		sl_eal_plan_free(&plan);
	}
}

static void arguments_too_many_are_refused(void **state)
{
	static const char *args[SL_EAL_ARGS_MAX];
	struct sl_config config = config_of(1);

	for (size_t i = 0; i < SL_EAL_ARGS_MAX; i++)
		args[i] = "-v";
	config.machine.eal_args = args;
	config.machine.n_eal_args = SL_EAL_ARGS_MAX;
	expect_refused(&config, 2, 0, "eal-args");
}

static void alone_needs_nothing_of_the_machine(void **state)
{
	struct sl_eal_plan plan;

	sl_eal_plan_alone(99, &plan);
	expect_arg(&plan, "--no-huge");
	expect_arg(&plan, "--no-pci");
	expect_arg(&plan, "-m99");
	expect_arg(&plan, "--log-level=error");
	sl_eal_plan_free(&plan);
}

static void pci_addresses_are_told_from_vdevs(void **state)
{
	static const char *const pci[] = {"0000:3b:00.1", "3b:00.1", "0000:3b:00.1,rxq=2",
	                                  "ffff:ff:1f.7"};
	static const char *const vdev[] = {AFP(0),
	                                   "net_null0",
	                                   "",
	                                   "eth0",
	                                   "3b:00",
	                                   "fd00::1",
	                                   "0000:3b:00.1x",
	                                   "net_tap0,mac=00:11:22.3"};

	for (size_t i = 0; i < sizeof(pci) / sizeof(pci[0]); i++)
		if (!sl_ports_is_pci(pci[i]))
			fail_msg("%s is a PCI address", pci[i]);
	for (size_t i = 0; i < sizeof(vdev) / sizeof(vdev[0]); i++)
		if (sl_ports_is_pci(vdev[i]))
			fail_msg("%s is no PCI address", vdev[i]);
}

static void devargs_get_what_is_missing_only(void **state)
{
	static const struct {
		const char *dev;
		unsigned workers;
		uint16_t mtu;
		const char *want;
	} cases[] = {
	        {AFP(0), 1, 1500, AFP(0)},
	        {AFP(0), 2, 1500, AFP(0) ",qpairs=2"},
	        {AFP(0) ",qpairs=4", 2, 1500, AFP(0) ",qpairs=4"},
	        {AFP(0), 1, 1964, AFP(0)},
	        {AFP(0), 1, 1965, AFP(0) ",framesz=4096,blocksz=4096"},
	        {AFP(0), 2, 9000, AFP(0) ",qpairs=2,framesz=16384,blocksz=16384"},
	        {AFP(0) ",framesz=9216,blocksz=9216", 1, 9000, AFP(0) ",framesz=9216,blocksz=9216"},
	        {"net_af_xdp0,iface=eth0", 1, 1500, "net_af_xdp0,iface=eth0"},
	        {"net_af_xdp0,iface=eth0", 3, 1500, "net_af_xdp0,iface=eth0,queue_count=3"},
	        {"net_tap0,iface=qpairs", 2, 9000, "net_tap0,iface=qpairs"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[SL_PORTS_DEVARGS_MAX];

		assert_int_equal(sl_ports_devargs(cases[i].dev, cases[i].workers, cases[i].mtu, out,
		                                  sizeof(out)),
		                 0);
		assert_string_equal(out, cases[i].want);
	}
}

static void devargs_too_long_are_refused(void **state)
{
	char out[16];

	assert_int_equal(sl_ports_devargs(AFP(0), 2, 1500, out, sizeof(out)), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(cpus_one_worker_on_two_leaves_one_to_control),
	        cmocka_unit_test(cpus_two_workers_on_two_share_with_control),
	        cmocka_unit_test(cpus_many_leave_the_first_ones_to_control),
	        cmocka_unit_test(cpus_fewer_than_workers_are_shared),
	        cmocka_unit_test(cpus_one_is_enough),
	        cmocka_unit_test(cpus_listed_are_taken_in_their_order),
	        cmocka_unit_test(cpus_listed_that_are_not_there_are_refused),
	        cmocka_unit_test(cpus_control_is_where_it_is_told),
	        cmocka_unit_test(cpus_none_or_too_many_workers_are_refused),
	        cmocka_unit_test(memory_enough_hugepages_are_used),
	        cmocka_unit_test(memory_too_few_hugepages_are_left_alone),
	        cmocka_unit_test(memory_required_hugepages_that_are_missing_are_refused),
	        cmocka_unit_test(memory_no_hugepages_although_there_are_some),
	        cmocka_unit_test(devices_without_pci_leave_pci_alone),
	        cmocka_unit_test(devices_with_pci_allow_only_those),
	        cmocka_unit_test(arguments_of_the_operator_replace_ours),
	        cmocka_unit_test(arguments_of_memory_replace_ours),
	        cmocka_unit_test(arguments_too_many_are_refused),
	        cmocka_unit_test(alone_needs_nothing_of_the_machine),
	        cmocka_unit_test(pci_addresses_are_told_from_vdevs),
	        cmocka_unit_test(devargs_get_what_is_missing_only),
	        cmocka_unit_test(devargs_too_long_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
