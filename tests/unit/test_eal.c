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
#include "expect.h"
#include "gateway/eal.h"
#include "gateway/ports.h"
#include "rows.h"

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

/* What a config asks of a machine, and the arguments that come of it. */
static const struct plan_row {
	const char *what;
	unsigned workers, cpus, huge_mib;
	uint16_t lcores[3];
	int control; /* its CPU; 0: it is not told */
	enum sl_config_huge_pages huge_pages;
	unsigned memory_mib;
	const char *uplink;
	const char *eal_args[6];
	const char *args[4];    /* these are there */
	const char *no_args[4]; /* these are not, not even as parts of others */
	bool control_shares, workers_share, uses_huge_pages, memory_is_mapped;
} plans[] = {
        {"cpus_one_worker_on_two_leaves_one_to_control", 1, 2,
         .args = {"--lcores=0@(0),1@1", "--main-lcore=0"}},
        {"cpus_two_workers_on_two_share_with_control", 2, 2, .args = {"--lcores=0@(0,1),1@0,2@1"},
         .control_shares = true},
        {"cpus_many_leave_the_first_ones_to_control", 2, 8,
         .args = {"--lcores=0@(0,1,2,3,4,5),1@6,2@7"}},
        {"cpus_fewer_than_workers_are_shared", 3, 2, .args = {"--lcores=0@(0,1),1@0,2@1,3@0"},
         .control_shares = true, .workers_share = true},
        {"cpus_one_is_enough", 1, 1, .args = {"--lcores=0@(0),1@0"}, .control_shares = true},
        {"cpus_listed_are_taken_in_their_order", 2, 4, .lcores = {3, 1},
         .args = {"--lcores=0@(0,2),1@3,2@1"}},
        {"cpus_control_is_where_it_is_told", 2, 4, .control = 3, .args = {"--lcores=0@3,1@1,2@2"}},
        /* at the start, not later, when pages may be taken */
        {"memory_enough_hugepages_are_used", 1, 2, NEED, .args = {"--in-memory", "-m600"},
         .no_args = {"--no-huge"}, .uses_huge_pages = true},
        /* --no-huge excludes --in-memory */
        {"memory_too_few_hugepages_are_left_alone", 1, 2, NEED - 1, .args = {"--no-huge", "-m600"},
         .no_args = {"--in-memory"}},
        {"memory_no_hugepages_although_there_are_some", 1, 2, 10000,
         .huge_pages = SL_CONFIG_HUGE_PAGES_NONE, .memory_mib = 777,
         .args = {"--no-huge", "-m777"}},
        {"devices_without_pci_leave_pci_alone", 1, 2,
         .args = {"--no-pci", "--vdev=" AFP(0), "--vdev=" AFP(1)}},
        {"devices_with_pci_allow_only_those", 1, 2, .uplink = "0000:3b:00.1",
         .args = {"--allow=0000:3b:00.1"}, .no_args = {"--no-pci", "--vdev=0000"},
         .memory_is_mapped = true},
        {"arguments_of_the_operator_replace_ours", 1, 2,
         .eal_args = {"--lcores=0@1,1@0", "--iova-mode=pa", "-m", "64", "--log-level=8"},
         .no_args = {"--lcores=0@(0)", "iova-mode=va", "-m600", "lib.eal"}},
        {"arguments_of_memory_replace_ours", 1, 2, NEED, .eal_args = {"-m128"},
         .no_args = {"-m600"}, .uses_huge_pages = true},
        {"arguments_of_memory_of_each_socket_replace_ours", 1, 2, NEED,
         .eal_args = {"--socket-mem=64,64"}, .no_args = {"-m600"}, .uses_huge_pages = true},
};

static void plan_has_its_arguments(void **state)
{
	const struct plan_row *r = *state;
	struct sl_config config = config_of(r->workers);
	struct sl_eal_plan plan;
	int given = 0;

	if (r->lcores[0] != 0)
		config.workers.lcores = r->lcores;
	if (r->control != 0)
		config.machine.control_lcore = r->control;
	config.machine.huge_pages = r->huge_pages;
	config.machine.memory_mib = r->memory_mib;
	if (r->uplink != NULL)
		config.uplink.dev = r->uplink;
	while (r->eal_args[given] != NULL)
		given++;
	config.machine.eal_args = r->eal_args;
	config.machine.n_eal_args = (size_t)given;

	plan = plan_for(&config, r->cpus, r->huge_mib);
	for (size_t i = 0; i < COUNT(r->args) && r->args[i] != NULL; i++)
		expect_arg(&plan, r->args[i]);
	for (size_t i = 0; i < COUNT(r->no_args) && r->no_args[i] != NULL; i++)
		expect_no_arg(&plan, r->no_args[i]);
	for (int i = 0; i < given; i++) /* the operator's are the last ones */
		assert_string_equal(plan.argv[plan.argc - given + i], r->eal_args[i]);
	assert_int_equal(plan.control_shares, r->control_shares);
	assert_int_equal(plan.workers_share, r->workers_share);
	assert_int_equal(plan.huge_pages, r->uses_huge_pages);
	assert_int_equal(plan.memory_is_mapped, r->memory_is_mapped);
	sl_eal_plan_free(&plan);
}

static void cpus_listed_that_are_not_there_are_refused(void **state)
{
	static const uint16_t lcores[] = {1, 4};
	struct sl_config config = config_of(2);

	config.workers.lcores = lcores;
	expect_refused(&config, 4, 0, "CPU 4");
}

static void cpus_control_that_is_not_there_is_refused(void **state)
{
	struct sl_config config = config_of(2);

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

static void memory_required_hugepages_that_are_missing_are_refused(void **state)
{
	struct sl_config config = config_of(1);

	config.machine.huge_pages = SL_CONFIG_HUGE_PAGES_REQUIRE;
	expect_refused(&config, 2, NEED - 1, "nr_hugepages");
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

	for (size_t i = 0; i < COUNT(pci); i++)
		if (!sl_ports_is_pci(pci[i]))
			fail_msg("%s is a PCI address", pci[i]);
	for (size_t i = 0; i < COUNT(vdev); i++)
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

	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[SL_PORTS_DEVARGS_MAX];

		row(cases[i].want);
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
	_Static_assert(COUNT(plans) == 15, "each row is a test of its own");
	const struct CMUnitTest tests[] = {
	        ROW_TEST(plan_has_its_arguments, plans[0]),
	        ROW_TEST(plan_has_its_arguments, plans[1]),
	        ROW_TEST(plan_has_its_arguments, plans[2]),
	        ROW_TEST(plan_has_its_arguments, plans[3]),
	        ROW_TEST(plan_has_its_arguments, plans[4]),
	        ROW_TEST(plan_has_its_arguments, plans[5]),
	        ROW_TEST(plan_has_its_arguments, plans[6]),
	        ROW_TEST(plan_has_its_arguments, plans[7]),
	        ROW_TEST(plan_has_its_arguments, plans[8]),
	        ROW_TEST(plan_has_its_arguments, plans[9]),
	        ROW_TEST(plan_has_its_arguments, plans[10]),
	        ROW_TEST(plan_has_its_arguments, plans[11]),
	        ROW_TEST(plan_has_its_arguments, plans[12]),
	        ROW_TEST(plan_has_its_arguments, plans[13]),
	        ROW_TEST(plan_has_its_arguments, plans[14]),
	        cmocka_unit_test(cpus_listed_that_are_not_there_are_refused),
	        cmocka_unit_test(cpus_control_that_is_not_there_is_refused),
	        cmocka_unit_test(cpus_none_or_too_many_workers_are_refused),
	        cmocka_unit_test(memory_required_hugepages_that_are_missing_are_refused),
	        cmocka_unit_test(arguments_too_many_are_refused),
	        cmocka_unit_test(alone_needs_nothing_of_the_machine),
	        cmocka_unit_test(pci_addresses_are_told_from_vdevs),
	        cmocka_unit_test(devargs_get_what_is_missing_only),
	        cmocka_unit_test(devargs_too_long_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
