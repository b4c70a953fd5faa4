# SPDX-License-Identifier: Apache-2.0
"""From a config to a gateway that forwards, or to an error that says what to do."""

import json
import os
import pathlib

import pytest
from scapy.layers.inet import UDP
from scapy.layers.l2 import Dot1Q

from conftest import frame

HUGE = pathlib.Path("/proc/sys/vm/nr_hugepages")


def traffic(gateway):
    """Frames of two sandboxes, of which the policy knows one."""
    gateway.incoming["sandbox"] = [frame(101, 1000 + n, b"from 101") for n in range(50)] + \
                                  [frame(102, 1000 + n, b"from 102") for n in range(50)]


def test_frames_are_forwarded_and_counted(gateway):
    traffic(gateway)
    gateway.start().await_events(51)
    counts = gateway.end()
    assert counts["packets"] == 101 and counts["reason allow-all"] == 50
    assert counts["reason unknown-sandbox"] == 51, "the uplink's file has one of VLAN 4000"
    assert [p[Dot1Q].vlan for p in gateway.left("uplink")] == [101] * 50
    assert gateway.left("sandbox") == []


def test_ready_says_workers_generation_and_largest_frame(gateway):
    gateway.start()
    said = gateway.said()
    assert "ready: 1 worker, no hugepages, generation 1" in said
    assert said.count("frames up to ") == 2
    gateway.end()


@pytest.mark.parametrize("workers", [2, 3])
def test_several_workers_hand_frames_over(gateway, workers):
    gateway.config["workers"] = workers
    gateway.policy("sandboxes: [{vlan: 101}, {vlan: 102}, {vlan: 103}]")
    gateway.incoming["sandbox"] = [frame(101 + n % 3, 1000 + n) for n in range(300)]
    gateway.start().await_events(300)
    counts = gateway.end()
    assert counts["reason allow-all"] == 300
    left = gateway.left("uplink")
    assert sorted(p[Dot1Q].vlan for p in left) == [101] * 100 + [102] * 100 + [103] * 100
    for vlan in 101, 102, 103:
        ports = [p[UDP].sport for p in left if p[Dot1Q].vlan == vlan]
        assert ports == sorted(ports), "the order within a sandbox stays"
    assert gateway.said().count("hands it over") == 2, "once for each port"


def test_policy_is_in_force_before_the_first_frame(gateway):
    gateway.policy("sandboxes: [{vlan: 101, policy: deny-all}]")
    traffic(gateway)
    gateway.start().await_events(2)
    counts = gateway.end()
    assert "reason allow-all" not in counts and counts["reason deny-all"] == 50
    assert gateway.left("uplink") == []


@pytest.fixture
def hugepages():
    """1 GiB of them, and back again; not every machine gives them."""
    before = HUGE.read_text()
    if int(before) < 512:
        try:
            HUGE.write_text("512")
        except OSError:
            pass
    if int(HUGE.read_text()) < 512:
        pytest.skip("this machine gives no 512 hugepages")
    yield
    HUGE.write_text(before)


def test_hugepages_are_used_where_there_are_some(gateway, hugepages):
    gateway.config["huge-pages"] = True
    traffic(gateway)
    gateway.start().await_events(51)
    assert "hugepages, generation 1" in gateway.said() and "no hugepages" not in gateway.said()
    assert gateway.end()["reason allow-all"] == 50


def test_hugepages_that_are_missing_are_named(gateway):
    gateway.config.update({"huge-pages": True, "memory": 1048576})
    said = gateway.start(wait=False).fails()
    assert "hugepages" in said and "nr_hugepages" in said


def test_listed_cpu_is_where_a_worker_runs(gateway):
    cpu = max(os.sched_getaffinity(0))
    gateway.config["workers"] = [cpu]
    gateway.start()
    threads = {(task / "comm").read_text().strip(): task.name
               for task in pathlib.Path(f"/proc/{gateway.process.pid}/task").iterdir()}
    assert os.sched_getaffinity(int(threads["worker-0"])) == {cpu}
    gateway.end()


def test_port_with_too_few_queues_is_refused(gateway):
    gateway.config["workers"] = 2
    one = {"dev": "net_pcap0,rx_pcap=sandbox.in.pcap,tx_pcap=x.pcap"}
    gateway.device = lambda number, port, old=gateway.device: one if port == "sandbox" else old(number, port)
    gateway.incoming["sandbox"] = [frame()]
    from scapy.utils import wrpcap
    wrpcap(str(gateway.path("sandbox.in.pcap")), [frame()])
    said = gateway.start(wait=False).fails()
    assert "has 1 tx queue, but each of the 2 workers needs one" in said and "lower `workers`" in said


@pytest.mark.parametrize("dev", ["net_nonsense0", "net_pcap7,rx_pcap=missing.pcap,tx_pcap=x.pcap",
                                 "net_af_packet0,iface=no-such-if", "ffff:1f:00.0"])
def test_device_that_does_not_exist_is_refused(gateway, dev):
    gateway.device = lambda number, port, old=gateway.device: {"dev": dev} if port == "uplink" else old(number, port)
    assert "error: " in gateway.start(wait=False).fails()


def test_both_ports_the_same_device_is_refused(gateway):
    gateway.device = lambda number, port, old=gateway.device: old(0, "sandbox")
    assert "error: " in gateway.start(wait=False).fails()


def test_bad_policy_ends_the_start_and_says_where(gateway):
    gateway.policy("sandboxes:\n  - vlan: 0\n  - {vlan: 101, polcy: 1}\n")
    said = gateway.start(wait=False).fails()
    assert "policy.yaml:2:11: " in said and "policy.yaml:3:" in said and "ready" not in said


def test_missing_policy_ends_the_start(gateway):
    gateway.path("policy.yaml").unlink()
    assert "policy.yaml: No such file" in gateway.start(wait=False).fails()


def test_patterns_without_resolvers_end_the_start(gateway):
    gateway.config["dns"] = {}
    gateway.policy("sandboxes: [{vlan: 101, policy: {allow: [example.com]}}]")
    said = gateway.start(wait=False).fails()
    assert "resolvers" in said and "any" in said


def test_bad_config_says_where(gateway):
    gateway.config["workrs"] = 1
    assert "sluice.yaml:1:" in gateway.start(wait=False).fails()


def test_events_that_cannot_be_written_end_the_start(gateway):
    gateway.config["events"] = {"file": "no/such/events.jsonl"}
    assert "no/such/events.jsonl: No such file" in gateway.start(wait=False).fails()


def test_wrong_eal_argument_ends_the_start(gateway):
    gateway.config["eal-args"] = ["--nonsense"]
    assert "DPDK does not start" in gateway.start(wait=False).fails()


def test_eal_arguments_are_handed_on(gateway):
    gateway.config["eal-args"] = ["--log-level=lib.eal:debug"]
    gateway.start()
    assert "EAL: " in gateway.said()
    gateway.end()


def test_policy_of_its_own_directory(gateway):
    gateway.path("sub").mkdir()
    gateway.path("policy.yaml").rename(gateway.path("sub/p.yaml"))
    gateway.config["policy"] = "sub/p.yaml"
    gateway.start()
    json.dumps(gateway.end())
