# SPDX-License-Identifier: Apache-2.0
"""Wrong calls are exit 2, bad input is exit 1 and says where, and nothing is printed for either."""

import subprocess

import pytest
from scapy.layers.inet import UDP

from conftest import ALLOW_ALL, binary, out


@pytest.fixture
def capture(replay):
    replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))])
    return replay


@pytest.mark.parametrize("args", [
    [], ["--policy", "policy.yaml"], ["in.pcap"], ["--polcy", "policy.yaml", "in.pcap"],
    ["--policy", "policy.yaml", "--vlan", "0", "in.pcap"], ["--policy", "policy.yaml", "--vlan", "4095", "in.pcap"],
    ["--policy", "policy.yaml", "--vlan", "0x65", "in.pcap"], ["--policy", "policy.yaml", "--vlan", "0101", "in.pcap"],
    ["--policy", "policy.yaml", "--vlan", "", "in.pcap"], ["--policy", "policy.yaml", "--vlan", "99999", "in.pcap"],
    ["--policy", "policy.yaml", "--inside", "10.0.0.1/8", "in.pcap"],
    ["--policy", "policy.yaml", "--inside", "10.0.0.0/8,", "in.pcap"],
    ["--policy", "policy.yaml", "--inside", "", "in.pcap"],
    ["--policy", "policy.yaml", "--inside", "here", "in.pcap"],
    ["--policy", "policy.yaml", "--checksums", "maybe", "in.pcap"],
    ["--policy"]], ids=" ".join)
def test_wrong_call_is_2_and_prints_nothing(capture, args):
    done = capture.call(*args)
    assert done.code == 2 and done.stdout == "" and "sluice replay" in done.stderr


def test_help_is_no_error(replay):
    done = replay.call("--help")
    assert done.code == 0 and "--uplink-out" in done.stdout and done.stderr == ""


def test_bad_policy_says_where(capture):
    capture.write("bad.yaml", "sandboxes:\n  - vlan: 0\n  - vlan: 101\n    polcy: deny-all\n")
    done = capture.call("--policy", "bad.yaml", "in.pcap")
    assert done.code == 1 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("bad.yaml:2:11: ") and lines[1].startswith("bad.yaml:4:5: ")


def test_bad_config_says_where(capture):
    capture.write("bad.yaml", "dns: {resolvers: [1.2.3.4], pinning: maybe}\n")
    done = capture.call("--policy", "policy.yaml", "--config", "bad.yaml", "in.pcap")
    assert done.code == 1 and done.stdout == "" and done.stderr.startswith("bad.yaml:1:")


def test_patterns_and_a_config_without_resolvers_are_an_error(capture):
    capture.write("names.yaml", "sandboxes: [{vlan: 101, policy: {allow: [example.com]}}]\n")
    capture.write("config.yaml", "inspect: {ech: deny}\n")
    done = capture.call("--policy", "names.yaml", "--config", "config.yaml", "in.pcap")
    assert done.code == 1 and "resolvers" in done.stderr and "any" in done.stderr


@pytest.mark.parametrize("config", [None, "dns: {resolvers: [203.0.113.53], pinning: off}\n"])
def test_entries_by_address_without_pins_are_an_error(capture, config):
    """Without --config pinning is off: the document is refused, as the gateway would refuse it."""
    capture.write("ports.yaml", "sandboxes:\n- vlan: 101\n  policy: {by-address: ['github.com:22/tcp']}\n")
    given = ["--config", capture.write("config.yaml", config)] if config else []
    done = capture.call("--policy", "ports.yaml", *given, "in.pcap")
    assert done.code == 1 and done.stdout == ""
    assert done.stderr.startswith("ports.yaml:3:11: by-address ") and "dns.pinning" in done.stderr


@pytest.mark.parametrize("name", ["missing.pcap", "."])
def test_capture_that_is_not_there(capture, name):
    done = capture.call("--policy", "policy.yaml", name)
    assert done.code == 1 and name in done.stderr and done.stdout == ""


def test_last_capture_missing_is_found_before_anything_runs(capture):
    done = capture.call("--policy", "policy.yaml", "--events", "ev", "in.pcap", "in.pcap", "missing.pcap")
    assert done.code == 1 and "missing.pcap" in done.stderr and done.stdout == ""
    assert not (capture.directory / "ev").exists()


@pytest.mark.parametrize("data", [b"", b"junk", b"#!/bin/sh\n" * 100, b"\xd4\xc3\xb2\xa1\x02\0\x04\0"])
def test_file_that_is_no_capture(capture, data):
    capture.write("junk.pcap", data)
    done = capture.call("--policy", "policy.yaml", "junk.pcap")
    assert done.code == 1 and "junk.pcap" in done.stderr and done.stdout == ""


def test_capture_damaged_further_in_is_replayed_so_far_and_an_error(capture):
    data = (capture.directory / "in.pcap").read_bytes()
    capture.write("torn.pcap", data + data[24:-5])
    done = capture.call("--policy", "policy.yaml", "--vlan", "101", "torn.pcap")
    assert done.code == 1 and "torn.pcap" in done.stderr
    assert done.stdout.startswith("packets 1\nforwarded 1\n")


def test_missing_policy(capture):
    done = capture.call("--policy", "missing.yaml", "in.pcap")
    assert done.code == 1 and "missing.yaml" in done.stderr and done.stdout == ""


def test_verdicts_never_change_the_exit_code(capture):
    capture.write("deny.yaml", "sandboxes: []\n")
    done = capture.call("--policy", "deny.yaml", "--vlan", "101", "in.pcap")
    assert done.code == 0 and done.stdout == "packets 1\nforwarded 0\ndropped 1\nflows 0\nreason unknown-sandbox 1\n"


def test_capture_from_standard_input(capture):
    with open(capture.path("in.pcap"), "rb") as data:
        done = subprocess.run([binary(), "replay", "--policy", "policy.yaml", "--vlan", "101", "-"], stdin=data,
                              cwd=capture.directory, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("packets 1\nforwarded 1\n")


def test_paths_of_a_config_are_not_opened(capture):
    capture.write("sluice.yaml", """
ports: {sandbox: {dev: "net_af_packet0,iface=no-such"}, uplink: {dev: "0000:00:00.0"}}
policy: no-such.yaml
events: {file: no-such-dir/events.jsonl}
dns: {resolvers: [203.0.113.53]}
""")
    done = capture.call("--policy", "policy.yaml", "--config", "sluice.yaml", "--vlan", "101", "in.pcap")
    assert done.code == 0, done.stderr


@pytest.mark.parametrize("args, code, text", [
    (["--help"], 0, "replay"), (["--version"], 0, "sluice "), ([], 2, "usage"), (["flush"], 2, "flush")])
def test_the_command_itself(args, code, text):
    done = subprocess.run([binary(), *args], capture_output=True, text=True)
    assert done.returncode == code and text in done.stdout + done.stderr
