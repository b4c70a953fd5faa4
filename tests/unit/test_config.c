/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_config.c: the gateway's config, its defaults and ranges, its checks together with a policy,
 * and that the commented config documents the real defaults.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "check.h"
#include "document/config.h"
#include "diag_expect.h"

#define SL_TEST_CONFIG "config"

static struct sl_diag diag;
static struct sl_config config;

static int set_up(void **state)
{
	sl_diag_init(&diag);
	memset(&config, 0, sizeof(config));
	return 0;
}

static int tear_down(void **state)
{
	sl_config_fini(&config);
	sl_diag_free(&diag);
	return 0;
}

static int read_named(const char *name, const char *text, enum sl_config_use use)
{
	char *copy = exactly(text, strlen(text));
	int rc;

	tear_down(NULL);
	rc = sl_config_read_buffer(name, copy, strlen(text), use, &diag, &config);
	free(copy);
	return rc;
}

static void accept(const char *text)
{
	if (read_named("t", text, SL_CONFIG_FOR_REPLAY) != 0) {
		sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
		fail_msg("refused");
	}
	assert_int_equal(diag.errors, 0);
}

static void refuse(const char *text, const char *expected)
{
	assert_int_equal(read_named("t", text, SL_CONFIG_FOR_REPLAY), -EINVAL);
	assert_null(config.mem);
	expect_texts(&diag, SL_DIAG_ERROR, "t", &expected, 1);
}

static void expect_prefixes(const struct sl_prefix *list, size_t n, const char *const *texts,
                            size_t n_texts)
{
	char out[SL_PREFIX_TEXT_MAX];

	assert_int_equal(n, n_texts);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(sl_prefix_format(&list[i], out), texts[i]);
}

/* ---- defaults ---- */

static void expect_defaults(void)
{
	const char *const internal[] = {"10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12",
	                                "192.168.0.0/16", "fc00::/7"};
	const char *const protected[] = {"0.0.0.0/8",    "127.0.0.0/8",       "169.254.0.0/16",
	                                 "192.0.0.0/24", "224.0.0.0/4",       "240.0.0.0/4",
	                                 "::/96",        "::ffff:0.0.0.0/96", "2001::/32",
	                                 "2002::/16",    "fe80::/10",         "ff00::/8"};

	assert_string_equal(config.control.socket, "/run/sluice/control.sock");
	assert_string_equal(config.control.read_only_socket, "");
	assert_int_equal(config.control.socket_mode, 0660);
	assert_string_equal(config.control.socket_group, "sluice");
	assert_int_equal(config.control.body_max, 67108864);
	expect_prefixes(config.internal, config.n_internal, internal, COUNT(internal));
	expect_prefixes(config.protected, config.n_protected, protected, COUNT(protected));
	assert_int_equal(config.workers.count, 1);
	assert_null(config.workers.lcores);
	assert_int_equal(config.dns.pinning, SL_CONFIG_PINNING_ENFORCE);
	assert_int_equal(config.dns.pin_grace_s, 3600);
	assert_int_equal(config.dns.refuse, SL_CONFIG_REFUSE_NXDOMAIN);
	assert_true(config.dns.strip_ech);
	assert_true(config.dns.mix_case);
	assert_string_equal(config.dns.keep_pins, "");
	assert_int_equal(config.inspect.ech, SL_CONFIG_ECH_ALLOW);
	assert_int_equal(config.inspect.http, SL_CONFIG_HTTP_DENY);
	assert_int_equal(config.inspect.hello_max_bytes, 16384);
	assert_int_equal(config.inspect.hello_timeout_s, 10);
	assert_true(config.source_rule);
	assert_int_equal(config.limits.flows, 1048576);
	assert_int_equal(config.limits.flows_per_sandbox, 65536);
	assert_int_equal(config.limits.held_bytes, 67108864);
	assert_int_equal(config.limits.held_bytes_per_sandbox, 4194304);
	assert_int_equal(config.limits.held_bytes_per_flow, 65536);
	assert_int_equal(config.limits.pins, 1048576);
	assert_int_equal(config.limits.pins_per_sandbox, 4096);
	assert_int_equal(config.tables.prefixes, 16384);
	assert_int_equal(config.tables.tbl8_4, 4096);
	assert_int_equal(config.tables.tbl8_6, 16384);
	assert_int_equal(config.limits.dns_queries_per_sandbox, 1000);
	assert_int_equal(config.limits.events_per_sandbox, 1000);
	assert_int_equal(config.timeouts.tcp_established_s, 7440);
	assert_int_equal(config.timeouts.tcp_opening_s, 30);
	assert_int_equal(config.timeouts.tcp_closing_s, 10);
	assert_int_equal(config.timeouts.udp_s, 120);
	assert_int_equal(config.timeouts.dns_s, 10);
	assert_int_equal(config.timeouts.icmp_s, 60);
	assert_null(config.events);
	assert_int_equal(config.machine.huge_pages, SL_CONFIG_HUGE_PAGES_AUTO);
	assert_int_equal(config.machine.memory_mib, 0);
	assert_int_equal(config.machine.n_eal_args, 0);
	assert_int_equal(config.machine.control_lcore, -1);
	assert_int_equal(config.machine.idle_sleep_us, 50);
	assert_int_equal(config.machine.rx_descriptors, 1024);
	assert_int_equal(config.machine.tx_descriptors, 1024);
	assert_int_equal(config.machine.burst, 64);
	assert_int_equal(config.machine.mbufs, 0);
	assert_int_equal(config.machine.mtu, 1500);
}

static void config_defaults_are_those_of_the_documentation(void **state)
{
	accept("{}");
	expect_defaults();
	assert_false(config.dns.any);
	assert_int_equal(config.dns.n_resolvers, 0);
}

static void config_file_that_explains_every_key_has_the_defaults(void **state)
{
	assert_int_equal(sl_config_read_file(SL_TEST_CONFIG "/sluice.yaml", SL_CONFIG_FOR_RUN,
	                                     &diag, &config),
	                 0);
	expect_defaults();
	assert_int_equal(config.dns.n_resolvers, 2);
	assert_string_equal(config.policy, SL_TEST_CONFIG "/policy.yaml");
}

static void config_of_replay_alone_opens_what_the_spec_says(void **state)
{
	assert_int_equal(sl_config_init_replay(&config), 0);
	assert_true(config.dns.any);
	assert_int_equal(config.dns.pinning, SL_CONFIG_PINNING_OFF);
	assert_int_equal(config.n_internal, 0);
	assert_int_equal(config.n_protected, 0);
	assert_false(config.source_rule);
	assert_int_equal(config.inspect.hello_max_bytes, 16384);
}

/* ---- sections ---- */

static void run_needs_ports_and_policy_and_replay_does_not(void **state)
{
	const char *const expected[] = {"1:1: policy is missing", "1:1: ports is missing"};

	assert_int_equal(read_named("t", "{}", SL_CONFIG_FOR_RUN), -EINVAL);
	expect_texts(&diag, SL_DIAG_ERROR, "t", expected, 2);
	accept("{}");
}

static void control_sockets_have_a_mode_in_octal(void **state)
{
	accept("control: {socket: '', socket-mode: '0600', socket-group: wheel, body-max: 1024}");
	assert_string_equal(config.control.socket, "");
	assert_int_equal(config.control.socket_mode, 0600);
	assert_string_equal(config.control.socket_group, "wheel");
	refuse("control: {socket-mode: '0680'}", "1:24: octal permissions were expected");
	refuse("control: {socket-mode: '1777'}", "1:24: octal permissions were expected");
	refuse("control: {socket-mode: rw}", "1:24: octal permissions were expected");
	refuse("control: {body-max: 1023}", "1:21: control.body-max");
	refuse("control: {sockets: x}", "1:11: did you mean socket?");
}

#define TLS "cert: c, key: k, client-ca: a"

static void control_by_tls_knows_its_clients(void **state)
{
	const struct sl_config_client *clients;

	accept("control: {tls: {listen: '[::1]:8443', " TLS "}}");
	assert_true(config.control.tls.listen.ipv6);
	assert_false(config.control.tls.bound);
	accept("control: {tls: {listen: '127.0.0.1:65535', " TLS ", clients: {}}}");
	assert_false(config.control.tls.listen.ipv6);
	assert_int_equal(config.control.tls.listen.port, 65535);
	assert_true(config.control.tls.bound);
	accept("control: {tls: {listen: '127.0.0.1:1', " TLS
	       ", clients: {'CN=b,O=c': '1-3, 63-64,4094', CN=d: 7}}}");
	assert_int_equal(config.control.tls.n_clients, 2);
	clients = config.control.tls.clients;
	assert_string_equal(clients[0].subject, "CN=b,O=c");
	for (uint16_t vlan = 0; vlan < 4097; vlan++) {
		bool in = (vlan >= 1 && vlan <= 3) || vlan == 63 || vlan == 64 || vlan == 4094;

		assert_int_equal(sl_vlan_set_has(&clients[0].vlans, vlan), in);
		assert_int_equal(sl_vlan_set_has(&clients[1].vlans, vlan), vlan == 7);
	}
}

static void control_by_tls_needs_all_of_it(void **state)
{
	static const char *const listens[] = {
	        "8443",        ":8443",       "localhost:8443",   "127.0.0.1",
	        "127.0.0.1:0", "1.2.3.4:x",   "127.0.0.1:65536",  "127.0.0.1:08",
	        "::1:8443",    "[]:1",        "[127.0.0.1]:8443", "[::1:8443",
	        "[::1]8443",   "127.0.0.1:+1"};
	static const char *const vlans[] = {"0",   "4095", "1-", "-1",  "3-2",   "1,",  ",1",
	                                    "1;2", "1 2",  "01", "all", "1-2-3", "1--2"};
	char text[256];

	for (size_t i = 0; i < sizeof(listens) / sizeof(listens[0]); i++) {
		snprintf(text, sizeof(text), "control: {tls: {listen: '%s', " TLS "}}", listens[i]);
		refuse(text, "1:25: control.tls.listen: an address and a port were expected");
	}
	for (size_t i = 0; i < sizeof(vlans) / sizeof(vlans[0]); i++) {
		snprintf(text, sizeof(text),
		         "control: {tls: {listen: '[::]:1', " TLS ", clients: {CN=a: '%s'}}}",
		         vlans[i]);
		refuse(text, "1:82: control.tls.clients: VLANs were expected");
	}
	refuse("control: {tls: {listen: '[::]:1', " TLS ", clients: [CN=a]}}",
	       "1:75: control.tls.clients: a mapping");
	refuse("control: {tls: {listen: '[::]:1', cert: c, key: k}}",
	       "1:16: control.tls: listen, cert, key and client-ca are needed");
	refuse("control: {tls: {" TLS "}}",
	       "1:16: control.tls: listen, cert, key and client-ca are needed");
	refuse("control: {tls: {listen: '[::]:1', " TLS ", client: {}}}",
	       "1:66: did you mean clients?");
}

static void ports_have_a_device_and_maybe_a_native_vlan(void **state)
{
	accept("ports: {sandbox: {dev: \"net_tap0,iface=a\", native-vlan: 101}, "
	       "uplink: {dev: \"0000:3b:00.1\"}}");
	assert_string_equal(config.sandbox.dev, "net_tap0,iface=a");
	assert_int_equal(config.sandbox.native_vlan, 101);
	assert_string_equal(config.uplink.dev, "0000:3b:00.1");
	assert_int_equal(config.uplink.native_vlan, 0);
	refuse("ports: {sandbox: {dev: _}}", "1:8: ports: uplink is missing");
	refuse("ports: {sandbox: {dev: _}, uplink: {}}", "1:36: ports.uplink: dev is missing");
	refuse("ports: {sandbox: {dev: _}, uplink: {dev: _}}", "1:36: the same device");
	refuse("ports: {sandbox: {dev: _, native-vlan: 4095}, uplink: {dev: _b}}",
	       "1:40: out of range (1 to 4094)");
	/* "`dev: eth1` gets from check what to write" */
	refuse("ports: {sandbox: {dev: eth1}, uplink: {dev: _b}}",
	       "1:24: ports.sandbox.dev: eth1 is the name of a kernel interface; write "
	       "\"net_af_packet0,iface=eth1\"");
	refuse("ports: {sandbox: {dev: _}, uplink: {dev: enp3s0f1.7}}",
	       "1:42: ports.uplink.dev: enp3s0f1.7 is the name of a kernel interface; write "
	       "\"net_af_packet1,iface=enp3s0f1.7\"");
	refuse("ports: [a, b]", "1:8: a mapping was expected");
}

static void workers_are_a_count_or_lcores(void **state)
{
	accept("workers: 2");
	assert_int_equal(config.workers.count, 2);
	assert_null(config.workers.lcores);
	accept("workers: [3, 5]");
	assert_int_equal(config.workers.count, 2);
	assert_int_equal(config.workers.lcores[0], 3);
	assert_int_equal(config.workers.lcores[1], 5);
	refuse("workers: 0", "1:10: out of range");
	refuse("workers: 65", "1:10: out of range");
	refuse("workers: []", "1:10: 1 to 64 lcores");
	refuse("workers: [3, 3]", "1:14: twice");
	refuse("workers: [3, 1024]", "1:14: out of range");
	refuse("workers: two", "1:10: no plain decimal");
}

static void paths_start_at_the_configs_directory(void **state)
{
	assert_int_equal(read_named("etc/sluice/s.yaml",
	                            "{policy: p.yaml, events: {file: e.jsonl}}",
	                            SL_CONFIG_FOR_REPLAY),
	                 0);
	assert_string_equal(config.policy, "etc/sluice/p.yaml");
	assert_string_equal(config.events, "etc/sluice/e.jsonl");
	assert_int_equal(read_named("/s.yaml", "{policy: a/p.yaml, events: {file: /var/e}}",
	                            SL_CONFIG_FOR_REPLAY),
	                 0);
	assert_string_equal(config.policy, "/a/p.yaml");
	assert_string_equal(config.events, "/var/e");
	assert_int_equal(read_named("etc/s.yaml", "{policy: p.yaml, events: {syslog: log}}",
	                            SL_CONFIG_FOR_REPLAY),
	                 0);
	assert_string_equal(config.syslog, "etc/log");
	accept("events: {syslog: true}");
	assert_string_equal(config.syslog, "/dev/log");
	assert_null(config.events);
	accept("events: {syslog: false}");
	assert_null(config.syslog);
	refuse("events: {syslog: [x]}", "1:18: events.syslog: a text was expected");
	refuse("events: {syslog: "
	       "/1234567890123456789012345678901234567890123456789012345678901234567890"
	       "12345678901234567890123456789012345678}",
	       "1:18: events.syslog: the path of a socket has at most 107 bytes");
	accept("{policy: p.yaml, events: {file: '-'}}");
	assert_string_equal(config.policy, "p.yaml");
	assert_string_equal(config.events, "-");
	refuse("policy: {allow: []}", "1:9: the path of a policy file, or {state: FOLDER}");
	refuse("policy: {state: s, file: p}", "1:20: unknown key \"file\"");
	assert_int_equal(read_named("some/where/t",
	                            "{policy: {state: s}, control: {socket: c, "
	                            "read-only-socket: /r}}",
	                            SL_CONFIG_FOR_REPLAY),
	                 0);
	assert_null(config.policy);
	assert_string_equal(config.state, "some/where/s");
	assert_string_equal(config.control.socket, "some/where/c");
	assert_string_equal(config.control.read_only_socket, "/r");
	refuse("policy: ''", "1:9: empty");
	refuse("events: {}\nevents: {}", "2:1: repeated key");
	refuse("events: e.jsonl", "1:9: events: a mapping was expected");
}

static void pins_are_kept_in_the_state_folder_or_where_the_config_says(void **state)
{
	const enum sl_config_use use = SL_CONFIG_FOR_REPLAY;

	assert_int_equal(read_named("etc/t", "{policy: {state: s}}", use), 0);
	assert_string_equal(config.dns.keep_pins, "etc/s/pins");
	assert_int_equal(read_named("etc/t", "{dns: {mix-case: true}, policy: {state: /s}}", use),
	                 0);
	assert_string_equal(config.dns.keep_pins, "/s/pins");
	assert_int_equal(read_named("etc/t", "{policy: {state: s}, dns: {keep-pins: ''}}", use), 0);
	assert_string_equal(config.dns.keep_pins, "");
	assert_int_equal(read_named("etc/t", "{policy: {state: s}, dns: {keep-pins: p}}", use), 0);
	assert_string_equal(config.dns.keep_pins, "etc/p");
	assert_int_equal(read_named("etc/t", "{policy: p.yaml, dns: {keep-pins: /p}}", use), 0);
	assert_string_equal(config.dns.keep_pins, "/p");
	accept("policy: p.yaml");
	assert_string_equal(config.dns.keep_pins, "");
	refuse("dns: {keep-pins: [p]}", "1:18: dns.keep-pins");
	refuse("dns: {keep-pins: }", "1:7: keep-pins: a null");
}

static void dns_keys_take_their_words(void **state)
{
	const char *const resolvers[] = {"203.0.113.53/32", "2001:db8:53::53/128"};

	accept("dns: {resolvers: ['2001:db8:53::53', 203.0.113.53, 203.0.113.53], pinning: log, "
	       "pin-grace: 0, refuse: nxdomain, strip-ech: false, mix-case: false}");
	expect_prefixes(config.dns.resolvers, config.dns.n_resolvers, resolvers, 2);
	assert_int_equal(config.dns.pinning, SL_CONFIG_PINNING_LOG);
	assert_int_equal(config.dns.pin_grace_s, 0);
	assert_int_equal(config.dns.refuse, SL_CONFIG_REFUSE_NXDOMAIN);
	assert_false(config.dns.strip_ech);
	assert_false(config.dns.mix_case);
	accept("dns: {pinning: off}"); /* `off` is not a boolean */
	assert_int_equal(config.dns.pinning, SL_CONFIG_PINNING_OFF);
	refuse("dns: {pinning: on}", "1:16: none of: enforce, log, off");
	refuse("dns: {refuse: drop}", "1:15: none of: refused, nxdomain");
	refuse("dns: {strip-ech: yes}", "1:18: neither true nor false");
	refuse("dns: {mix-case: 1}", "1:17: neither true nor false");
	refuse("dns: {strip-ech: 'true'}", "1:18: without quotes");
	refuse("dns: {pin-grace: -1}", "1:18: no plain decimal");
	refuse("dns: {pin-grace: 1h}", "1:18: no plain decimal");
}

static void resolvers_are_single_addresses_of_hosts(void **state)
{
	refuse("dns: {resolvers: [203.0.113.0/24]}", "1:19: is a prefix");
	refuse("dns: {resolvers: 203.0.113.53}", "1:18: a list of addresses was expected, or any");
	refuse("dns: {resolvers: [any]}", "1:19: \"any\" is no IPv4");
	refuse("dns: {resolvers: [0.0.0.0]}", "1:18: no host's address");
	refuse("dns: {resolvers: [224.0.0.251]}", "1:18: no host's address");
	refuse("dns: {resolvers: ['ff02::fb']}", "1:18: no host's address");
	refuse("dns: {resolvers: }", "1:7: resolvers: a null");
	refuse("dns: {resolvers: [1.0.0.1,1.0.0.2,1.0.0.3,1.0.0.4,1.0.0.5,1.0.0.6,1.0.0.7,1.0.0.8,"
	       "1.0.0.9,1.0.0.10,1.0.0.11,1.0.0.12,1.0.0.13,1.0.0.14,1.0.0.15,1.0.0.16,1.0.0.17]}",
	       "1:18: 17 addresses, but at most 16");
}

static void any_resolver_turns_pinning_off_with_a_warning(void **state)
{
	const char *const warning = "1:7: any turns pinning off";

	accept("dns: {resolvers: any}");
	assert_true(config.dns.any);
	assert_int_equal(config.dns.pinning, SL_CONFIG_PINNING_OFF);
	expect_texts(&diag, SL_DIAG_WARNING, "t", &warning, 1);
	accept("dns: {resolvers: any, pinning: off}");
	assert_int_equal(diag.warnings, 0);
	assert_int_equal(config.dns.pinning, SL_CONFIG_PINNING_OFF);
	refuse("dns: {resolvers: any, pinning: enforce}",
	       "1:32: enforce needs a list of resolvers");
	refuse("dns: {pinning: enforce, resolvers: any}",
	       "1:16: enforce needs a list of resolvers");
}

static void numbers_are_held_to_their_ranges(void **state)
{
	accept("{inspect: {ech: deny, hello-max: 512, hello-timeout: 1}, limits: {flows: 1, "
	       "held-bytes: 1099511627776}, timeouts: {udp: 5, tcp-established: 2073600}}");
	assert_int_equal(config.inspect.ech, SL_CONFIG_ECH_DENY);
	assert_int_equal(config.inspect.hello_max_bytes, 512);
	assert_int_equal(config.limits.flows, 1);
	assert_int_equal(config.limits.flows_per_sandbox, 65536);
	assert_int_equal(config.limits.held_bytes, 1ull << 40);
	assert_int_equal(config.timeouts.udp_s, 5);
	refuse("inspect: {hello-max: 511}", "1:22: out of range (512 to 65535)");
	refuse("inspect: {hello-timeout: 0}", "1:26: out of range");
	refuse("inspect: {ech: off}", "1:16: none of: allow, deny");
	accept("inspect: {http: host}");
	assert_int_equal(config.inspect.http, SL_CONFIG_HTTP_HOST);
	assert_int_equal(config.inspect.ech, SL_CONFIG_ECH_ALLOW);
	accept("inspect: {http: deny}");
	assert_int_equal(config.inspect.http, SL_CONFIG_HTTP_DENY);
	refuse("inspect: {http: allow}", "1:17: none of: deny, host");
	refuse("inspect: {http: true}", "1:17: ");
	refuse("limits: {flows: 0}", "1:17: out of range");
	refuse("limits: {flows: 99999999999999999999999}", "1:17: out of range");
	refuse("limits: {flow: 1}", "1:10: unknown key \"flow\" in limits; known keys: flows");
	refuse("timeouts: {udp: 2073601}", "1:17: out of range");
	refuse("timeouts: 5", "1:11: a mapping was expected");
	refuse("timeouts:", "1:1: timeouts: a null");
}

static void ranges_replace_internal_and_add_to_protected(void **state)
{
	const char *const internal[] = {"10.0.0.0/8"};
	size_t builtin;

	accept("{}");
	builtin = config.n_protected;
	accept("{internal: [10.0.0.0/8], protected: [198.18.0.0/15, 127.0.0.0/8]}");
	expect_prefixes(config.internal, config.n_internal, internal, 1);
	assert_int_equal(config.n_protected, builtin + 1);
	accept("{internal: [], protected: []}");
	assert_int_equal(config.n_internal, 0);
	assert_int_equal(config.n_protected, builtin);
	refuse("internal: [10.1.2.3/8]", "1:12: internal: \"10.1.2.3/8\" has host bits");
	refuse("internal:", "1:1: internal: a null");
	refuse("protected: none", "1:12: protected: a list was expected");
}

static void machine_keys_are_read(void **state)
{
	accept("{huge-pages: false, memory: 512, control-lcore: 0, idle-sleep: 0, mtu: 9000, "
	       "rx-descriptors: 256, tx-descriptors: 512, burst: 64, mbufs: 8192, "
	       "eal-args: ['--log-level=8', --no-telemetry]}");
	assert_int_equal(config.machine.huge_pages, SL_CONFIG_HUGE_PAGES_NONE);
	assert_int_equal(config.machine.memory_mib, 512);
	assert_int_equal(config.machine.control_lcore, 0);
	assert_int_equal(config.machine.idle_sleep_us, 0);
	assert_int_equal(config.machine.mtu, 9000);
	assert_int_equal(config.machine.rx_descriptors, 256);
	assert_int_equal(config.machine.tx_descriptors, 512);
	assert_int_equal(config.machine.burst, 64);
	assert_int_equal(config.machine.mbufs, 8192);
	assert_int_equal(config.machine.n_eal_args, 2);
	assert_string_equal(config.machine.eal_args[1], "--no-telemetry");
	accept("huge-pages: true");
	assert_int_equal(config.machine.huge_pages, SL_CONFIG_HUGE_PAGES_REQUIRE);
	refuse("huge-pages: maybe", "1:13: none of: auto, true, false");
	refuse("idle-sleep: 101", "1:13: out of range (0 to 100)");
	refuse("eal-args: --no-pci", "1:11: a list was expected");
	refuse("eal-arg: []", "1:1: unknown key \"eal-arg\"");
}

static void all_errors_are_told_at_once(void **state)
{
	const char *const expected[] = {"1:10: workers", "2:13: policy", "3:1: unknown key \"x\"",
	                                "4:7: unquoted \"*y\"", "5:11: limits"};

	assert_int_equal(read_named("t",
	                            "workers: 0\npolicy:     []\nx: 1\ndns:  *y\nlimits:   []\n",
	                            SL_CONFIG_FOR_REPLAY),
	                 -EINVAL);
	expect_texts(&diag, SL_DIAG_ERROR, "t", expected, COUNT(expected));
}

/* ---- together with a policy ---- */

static int check_with(const char *config_text, const char *policy)
{
	struct sl_policy_doc *doc;
	int rc;

	accept(config_text);
	assert_int_equal(sl_policy_doc_read_buffer("p", policy, strlen(policy), &diag, &doc), 0);
	rc = sl_config_check_policy(&config, doc, &diag);
	sl_policy_doc_free(doc);
	return rc;
}

static void patterns_need_resolvers(void **state)
{
	const char *const patterns = "sandboxes: [{vlan: 1, policy: {allow: [a.com]}}]";
	const char *const subnets =
	        "sandboxes: [{vlan: 1, policy: {subnets: {allow: [192.0.2.0/24]}}}, {vlan: 2}]";
	const char *expected = "1:1: dns.resolvers is missing, but the policy in p:1:31";

	assert_int_equal(check_with("{}", patterns), -EINVAL);
	expect_texts(&diag, SL_DIAG_ERROR, "t", &expected, 1);
	expected = "2:6: write dns: {resolvers: [203.0.113.53]}";
	assert_int_equal(check_with("workers: 1\ndns: {resolvers: []}", patterns), -EINVAL);
	expect_texts(&diag, SL_DIAG_ERROR, "t", &expected, 1);
	assert_int_equal(check_with("{}", subnets), 0);
	assert_int_equal(check_with("dns: {resolvers: [192.0.2.53]}", patterns), 0);
	assert_int_equal(check_with("dns: {resolvers: any, pinning: off}", patterns), 0);
}

static void by_address_needs_resolvers_and_pins(void **state)
{
	const char *const policy = "sandboxes: [{vlan: 1, policy: {by-address: [a.com:22/tcp]}}]";
	const char *expected = "1:31: by-address opens what DNS answers give";

	assert_int_equal(check_with("dns: {resolvers: any, pinning: off}", policy), -EINVAL);
	expect_texts(&diag, SL_DIAG_ERROR, "p", &expected, 1);
	assert_int_equal(check_with("dns: {resolvers: [192.0.2.53], pinning: off}", policy),
	                 -EINVAL);
	expect_texts(&diag, SL_DIAG_ERROR, "p", &expected, 1);
	assert_int_equal(check_with("{}", policy), -EINVAL);
	assert_int_equal(check_with("dns: {resolvers: [192.0.2.53]}", policy), 0);
	assert_int_equal(check_with("dns: {resolvers: [192.0.2.53], pinning: log}", policy), 0);
}

/* ---- the command ---- */

static char directory[128];

static int make_directory(void **state)
{
	snprintf(directory, sizeof(directory), "%s/sluice-test-config-XXXXXX",
	         getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(directory));
	return set_up(state);
}

static char *path_of(const char *name, char out[256])
{
	snprintf(out, 256, "%.100s/%.100s", directory, name);
	return out;
}

static int remove_directory(void **state)
{
	const char *const names[] = {"policy.yaml", "sluice.yaml", "out"};
	char path[256];

	for (size_t i = 0; i < COUNT(names); i++)
		unlink(path_of(names[i], path));
	rmdir(directory);
	return tear_down(state);
}

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *file = fopen(path_of(name, path), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Runs `check` on files of the directory and reads its standard output into out. */
static int run_check(const char *const *names, int n, char *out, size_t size)
{
	char paths[4][256], path[256], *argv[6] = {(char[]){"check"}};
	int saved = dup(STDOUT_FILENO), fd, rc;
	FILE *file;

	for (int i = 0; i < n; i++)
		argv[i + 1] = path_of(names[i], paths[i]);
	fflush(stdout);
	fd = open(path_of("out", path), O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(saved >= 0 && fd >= 0);
	dup2(fd, STDOUT_FILENO);
	rc = sl_check_main(n + 1, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(fd);
	file = fopen(path, "r");
	assert_non_null(file);
	out[fread(out, 1, size - 1, file)] = '\0';
	fclose(file);
	return rc;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static void check_good_files_say_one_line_each(void **state)
{
	const char *const names[] = {"policy.yaml", "sluice.yaml"};
	char out[4096];

	write_file("policy.yaml", "sandboxes: [{vlan: 1, policy: {allow: [a.com]}}]\n");
	write_file("sluice.yaml", "ports: {sandbox: {dev: _}, uplink: {dev: _b}}\n"
	                          "policy: policy.yaml\ndns: {resolvers: [192.0.2.53]}\n");
	assert_int_equal(run_check(names, 2, out, sizeof(out)), 0);
	assert_int_equal(count_lines(out), 2);
	assert_non_null(strstr(out, "policy.yaml: OK, policy: 1 sandbox"));
	assert_non_null(strstr(out, "sluice.yaml: OK, gateway config"));
}

static void check_config_tells_its_own_errors_and_its_policys(void **state)
{
	const char *const names[] = {"sluice.yaml"};
	char out[4096];

	write_file("policy.yaml", "sandboxes: [{vlan: 5000}]\n");
	write_file("sluice.yaml", "policy: policy.yaml\nworkers: 0\n");
	assert_int_equal(run_check(names, 1, out, sizeof(out)), 1);
	assert_int_equal(count_lines(out), 3);
	assert_non_null(strstr(out, "/sluice.yaml:1:1: ports is missing"));
	assert_non_null(strstr(out, "/sluice.yaml:2:10: workers"));
	assert_non_null(strstr(out, "/policy.yaml:1:20: vlan"));
}

static void check_policy_with_patterns_wants_resolvers(void **state)
{
	const char *const names[] = {"sluice.yaml"};
	char out[4096];

	write_file("policy.yaml", "sandboxes: [{vlan: 1, policy: {allow: [a.com]}}]\n");
	write_file("sluice.yaml",
	           "ports: {sandbox: {dev: _}, uplink: {dev: _b}}\npolicy: policy.yaml\n");
	assert_int_equal(run_check(names, 1, out, sizeof(out)), 1);
	assert_non_null(strstr(out, "/sluice.yaml:1:1: dns.resolvers is missing"));
}

static void check_one_bad_file_among_good_ones_is_exit_1(void **state)
{
	const char *const names[] = {"policy.yaml", "not-there.yaml"};
	char out[4096];

	write_file("policy.yaml", "sandboxes: []\n");
	assert_int_equal(run_check(names, 2, out, sizeof(out)), 1);
	assert_non_null(strstr(out, "policy.yaml: OK"));
	assert_non_null(strstr(out, "not-there.yaml:1:1: cannot open"));
}

static void check_without_files_is_a_wrong_call(void **state)
{
	char out[4096];

	assert_int_equal(run_check(NULL, 0, out, sizeof(out)), 2);
}

int main(void)
{
#define TEST(name)  cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define CHECK(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)
	const struct CMUnitTest tests[] = {
	        TEST(config_defaults_are_those_of_the_documentation),
	        TEST(config_file_that_explains_every_key_has_the_defaults),
	        TEST(config_of_replay_alone_opens_what_the_spec_says),
	        TEST(run_needs_ports_and_policy_and_replay_does_not),
	        TEST(control_sockets_have_a_mode_in_octal),
	        TEST(control_by_tls_knows_its_clients),
	        TEST(control_by_tls_needs_all_of_it),
	        TEST(ports_have_a_device_and_maybe_a_native_vlan),
	        TEST(workers_are_a_count_or_lcores),
	        TEST(paths_start_at_the_configs_directory),
	        TEST(pins_are_kept_in_the_state_folder_or_where_the_config_says),
	        TEST(dns_keys_take_their_words),
	        TEST(resolvers_are_single_addresses_of_hosts),
	        TEST(any_resolver_turns_pinning_off_with_a_warning),
	        TEST(numbers_are_held_to_their_ranges),
	        TEST(ranges_replace_internal_and_add_to_protected),
	        TEST(machine_keys_are_read),
	        TEST(all_errors_are_told_at_once),
	        TEST(patterns_need_resolvers),
	        TEST(by_address_needs_resolvers_and_pins),
	        CHECK(check_good_files_say_one_line_each),
	        CHECK(check_config_tells_its_own_errors_and_its_policys),
	        CHECK(check_policy_with_patterns_wants_resolvers),
	        CHECK(check_one_bad_file_among_good_ones_is_exit_1),
	        CHECK(check_without_files_is_a_wrong_call),
	};

	if (enter_source() != 0)
		return 1;
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
