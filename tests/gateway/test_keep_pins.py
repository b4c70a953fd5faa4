# SPDX-License-Identifier: Apache-2.0
"""Pins that outlive a restart: which file is believed at the start, and what stands in it at the end. The
files of these tests are written by struct and hashlib, as control/state/pin_file.h describes them."""

import hashlib
import os
import signal
import socket
import struct
import time

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether

from test_api import Api

PINNED, NEVER = "198.51.100.10", "198.51.100.99"
RESOLVER = "203.0.113.53"
SAME = "sandboxes: [{vlan: 101, name: build, policy: {allow: [a.example]}}]"


def v4(text):
    return socket.inet_aton(text)


def pin(name, address, life=3600, left=1800):
    return (bytes([4, len(name)]) + struct.pack("!IQ", life, int(time.time()) + left) + v4(address) + name.encode())


def sandbox(vlan, kind, who, *pins):
    return struct.pack("!HBB", vlan, kind, len(who)) + who.encode() + struct.pack("!I", len(pins)) + b"".join(pins)


def pin_file(*sandboxes, version=1, resolver=RESOLVER):
    body = bytes([4]) + v4(resolver) + bytes(12) + b"".join(sandboxes)
    head = b"sluicepn" + struct.pack("!IQQII", version, 36 + len(body) + 32, int(time.time()), 1, len(sandboxes))
    return head + body + hashlib.sha256(head + body).digest()


GOOD = (101, 1, "build")


def syn(address, sport):
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / Dot1Q(vlan=101) / \
        IP(src="10.0.0.2", dst=address) / TCP(sport=sport, dport=443, flags="S", seq=1)


@pytest.fixture
def keeping(gateway):
    """With a file of pins, and connections of VLAN 101 to an address in it, and to another."""
    gateway.config["dns"]["keep-pins"] = "pins"
    gateway.policy(SAME)
    gateway.incoming["sandbox"] = [syn(PINNED, 1001), syn(NEVER, 1002)]
    return gateway


def put(gateway, content, mode=0o600):
    gateway.path("pins").write_bytes(content)
    gateway.path("pins").chmod(mode)


def reached(gateway):
    """Where connections of the sandbox were let go to; every other was address-not-pinned."""
    denied = gateway.await_events(1)
    gateway.end()
    denied = {event["dst"] for event in gateway.events if event["reason"] == "address-not-pinned"}
    left = {packet[IP].dst for packet in gateway.left("uplink") if TCP in packet}
    assert denied | left == {PINNED, NEVER} and not denied & left
    return left


def kept(gateway):
    content = gateway.path("pins").read_bytes()
    assert hashlib.sha256(content[:-32]).digest() == content[-32:]
    return content


def test_pin_of_the_file_opens_its_address_to_the_first_frame(keeping):
    put(keeping, pin_file(sandbox(*GOOD, pin("a.example", PINNED), pin("a.example", "198.51.100.11", left=-5))))
    keeping.start()
    assert "1 pins of 1 sandboxes are back from pins; 1 have ended, 0 are of sandboxes" in keeping.said()
    assert reached(keeping) == {PINNED}
    # and it is in the file of the end, which is nobody else's
    assert v4(PINNED) + b"a.example" in kept(keeping) and b"build" in kept(keeping)
    assert keeping.path("pins").stat().st_mode & 0o7777 == 0o600
    assert not keeping.path("pins.new").exists()


@pytest.mark.parametrize("policy, left", [("{allow: [a.example]}", {PINNED}), ("{allow: ['*.example']}", set())],
                         ids=["the-same", "another"])
def test_sandbox_without_a_name_is_known_by_its_policy(keeping, policy, left):
    was = hashlib.sha256(b'{"allow":["a.example"]}').hexdigest()
    put(keeping, pin_file(sandbox(101, 2, was, pin("a.example", PINNED))))
    keeping.policy(f"sandboxes: [{{vlan: 101, policy: {policy}}}]")
    assert reached(keeping.start()) == left


@pytest.mark.parametrize("policy", [
    "sandboxes: [{vlan: 101, name: build, policy: {allow: [b.example]}}]",       # its name is allowed no longer
    "sandboxes: [{vlan: 101, name: another, policy: {allow: [a.example]}}]",     # it is another sandbox
    "sandboxes: [{vlan: 101, policy: {allow: [a.example]}}]",                    # it may be
], ids=["name-not-allowed", "another-name", "no-name"])
def test_pin_opens_nothing_to_whom_it_is_not(keeping, policy):
    put(keeping, pin_file(sandbox(*GOOD, pin("a.example", PINNED))))
    keeping.policy(policy)
    assert reached(keeping.start()) == set()


def test_changed_policy_that_still_allows_the_name_finds_the_pin(keeping):
    put(keeping, pin_file(sandbox(*GOOD, pin("a.example", PINNED))))
    keeping.policy("sandboxes: [{vlan: 101, name: build, policy: {allow: ['*.example']}}]")
    assert reached(keeping.start()) == {PINNED}


GOOD_FILE = pin_file(sandbox(*GOOD, pin("a.example", PINNED)))
FLIPPED = GOOD_FILE[:80] + bytes([GOOD_FILE[80] ^ 1]) + GOOD_FILE[81:]


@pytest.mark.parametrize("content, mode, why", [
    (FLIPPED, 0o600, "its checksum is wrong"),
    (GOOD_FILE[:-1], 0o600, "it has not the length that it says"),
    (b"", 0o600, "it is cut short"),
    (pin_file(version=2), 0o600, "it is of another version of sluice"),
    (pin_file(sandbox(*GOOD, pin("a.example", PINNED)), resolver="203.0.113.99"), 0o600,
     "a resolver that it is from is no longer one of dns.resolvers"),
    (GOOD_FILE, 0o620, "others may use it: its mode is 0620, and not 0600"),
], ids=["flipped", "cut", "empty", "version", "resolver", "mode"])
def test_file_that_is_not_to_be_believed_is_ignored_and_the_gateway_starts(keeping, content, mode, why):
    put(keeping, content, mode)
    assert reached(keeping.start()) == set()
    assert f"warning: the pins in pins are ignored, and sandboxes have to ask DNS again: {why}" in keeping.said()
    kept(keeping)  # a sound one is in its place


def test_file_of_another_user_is_ignored(keeping):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    put(keeping, GOOD_FILE)
    os.chown(keeping.path("pins"), 1, 1)
    assert reached(keeping.start()) == set()
    assert "it belongs to user 1, and not to 0" in keeping.said()


def test_limits_hold(keeping):
    """The two that were used last: used is life before the end."""
    keeping.config["limits"] = {"pins-per-sandbox": 2}
    others = [pin("a.example", f"198.51.100.{n}", left=1000 + n) for n in (11, 12)]
    put(keeping, pin_file(sandbox(*GOOD, *others, pin("a.example", PINNED, left=1500))))
    keeping.start()
    assert reached(keeping) == {PINNED}
    assert v4("198.51.100.12") in kept(keeping) and v4("198.51.100.11") not in kept(keeping)


def test_file_that_cannot_be_written_is_told_and_no_more(keeping):
    keeping.config["dns"]["keep-pins"] = "missing/pins"
    keeping.start().await_log("warning: pins cannot be written to missing/pins, and may end with the gateway: No such")
    assert keeping.end()["forwarded"] == 0


@pytest.mark.parametrize("dns", [{"keep-pins": ""}, {"pinning": "off"}], ids=["no-file", "no-pinning"])
def test_nothing_is_kept_where_the_config_says_so(gateway, dns):
    gateway.config["policy"] = {"state": "state"}
    gateway.config["dns"].update(dns)
    gateway.start().end()
    assert gateway.path("state").is_dir() and not gateway.path("state/pins").exists()


def test_state_folder_has_the_pins(gateway):
    gateway.config["policy"] = {"state": "state"}
    gateway.start()
    api = Api(gateway)
    api.put("/v1/sandboxes/101", {"name": "build", "policy": {"allow": ["a.example"]}}, 201)
    gateway.end()
    gateway.path("state/pins").write_bytes(GOOD_FILE)
    gateway.incoming["sandbox"] = [syn(PINNED, 1001), syn(NEVER, 1002)]
    gateway.path("events.jsonl").unlink()
    gateway.start().await_events(1)
    (back,) = api("GET", "/v1/sandboxes/build/pins").json["pins"]
    assert (back["name"], back["address"]) == ("a.example", PINNED) and back["expires"] <= 3600
    # what is cut is not there again after a crash a moment later
    assert api("POST", "/v1/sandboxes/build/cut", {"pins": True}).json["pins"] == 1
    end = time.monotonic() + 60
    while b"a.example" in gateway.path("state/pins").read_bytes():
        assert time.monotonic() < end, gateway.said()
        time.sleep(0.02)
    gateway.end(signal.SIGKILL, -signal.SIGKILL)
    gateway.start()
    assert api("GET", "/v1/sandboxes/build/pins").json["pins"] == []
    gateway.end()
