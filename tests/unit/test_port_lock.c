/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_port_lock.c: one gateway on a device: devices are compared by identity, not by their
 * spelling.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/port_lock.h"

#define LO     "net_af_packet0,iface=lo"
#define ERRORS 512

static const char *name_of(const char *dev)
{
	static char name[SL_PORT_LOCK_NAME_MAX];

	sl_port_lock_name(dev, name);
	return name;
}

static void names_are_of_devices_not_of_strings(void **state)
{
	char lo[SL_PORT_LOCK_NAME_MAX];

	(void)state;
	strcpy(lo, name_of(LO));
	assert_int_equal(strncmp(lo, "ifindex/", 8), 0);
	assert_string_equal(name_of("net_af_packet7,qpairs=2,iface=lo"), lo);
	assert_string_equal(name_of("net_af_xdp0,iface=lo,start_queue=0"), lo);
	assert_string_equal(name_of("net_pcap0,iface=lo"), lo);
	assert_string_equal(name_of("net_af_packet0,iface=nosuch0"), "iface/nosuch0");
	assert_string_equal(name_of("net_tap0,iface=lo"), "iface/lo");
	assert_string_equal(name_of("net_tap1"), "vdev/net_tap1");
	assert_string_equal(name_of("3b:00.1"), "pci/0000:3b:00.1");
	assert_string_equal(name_of("0000:3b:00.1,arg=1"), "pci/0000:3b:00.1");
}

static void what_is_no_device_is_not_locked(void **state)
{
	(void)state;
	assert_string_equal(name_of("net_pcap0,rx_pcap=a.pcap,tx_pcap=b.pcap"), "");
	assert_string_equal(name_of("net_vhost0,iface=/run/vhost.sock"), "");
	assert_string_equal(name_of("net_null0"), "");
}

/* A child that holds the lock until it is killed. */
static pid_t hold_in_child(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct sl_port_lock lock;
		char err[ERRORS];

		if (sl_port_lock_take(&lock, "uplink", LO, err, sizeof(err)) != 0)
			_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void second_process_is_refused_and_told_the_first(void **state)
{
	struct sl_port_lock lock;
	char err[ERRORS], who[64];
	pid_t pid = hold_in_child();

	(void)state;
	snprintf(who, sizeof(who), "process %d is a gateway", (int)pid);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sl_port_lock_take(&lock, "sandbox", LO, err, sizeof(err)), -EBUSY);
		assert_non_null(strstr(err, who));
		assert_string_equal(lock.name, ""); /* nothing is held */
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* it could not clean up */
	assert_int_equal(sl_port_lock_take(&lock, "sandbox", LO, err, sizeof(err)), 0);
	sl_port_lock_release(&lock);
}

static void both_ports_on_one_device_are_refused(void **state)
{
	struct sl_port_lock first, second;
	char err[ERRORS];

	(void)state;
	assert_int_equal(sl_port_lock_take(&first, "sandbox", LO, err, sizeof(err)), 0);
	assert_int_equal(
	        sl_port_lock_take(&second, "uplink", "net_af_packet1,iface=lo", err, sizeof(err)),
	        -EBUSY);
	assert_non_null(strstr(err, "both ports are the same device"));
	sl_port_lock_release(&second);
	sl_port_lock_release(&first);
	assert_int_equal(sl_port_lock_take(&second, "uplink", LO, err, sizeof(err)), 0);
	sl_port_lock_release(&second);
}

static void equal_names_in_two_network_namespaces_are_two_devices(void **state)
{
	pid_t pid = hold_in_child(), other;
	int status;

	(void)state;
	other = fork();
	if (other == 0) {
		struct sl_port_lock lock;
		char err[ERRORS];

		if (unshare(CLONE_NEWNET) != 0)
			_exit(77);
		_exit(sl_port_lock_take(&lock, "uplink", LO, err, sizeof(err)) != 0);
	}
	assert_int_equal(waitpid(other, &status, 0), other);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (WEXITSTATUS(status) == 77)
		skip(); /* no permission to create a namespace */
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_are_of_devices_not_of_strings),
	        cmocka_unit_test(what_is_no_device_is_not_locked),
	        cmocka_unit_test(second_process_is_refused_and_told_the_first),
	        cmocka_unit_test(both_ports_on_one_device_are_refused),
	        cmocka_unit_test(equal_names_in_two_network_namespaces_are_two_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
