# SPDX-License-Identifier: Apache-2.0
"""Start, stop, crash: a gateway that is not there, or has no policy, forwards nothing."""

import re
import signal

import pytest

from gateway import final_counters
from lab import tcp_of
from rawhost import IP, TCP, UDP

POLICY = "sandboxes: [{vlan: 101, name: build}]"
EVENT_KEYS = {"ts", "event", "generation", "vlan", "sandbox", "verdict", "reason", "proto", "src",
              "sport", "dst", "dport", "name", "via", "v", "node", "boot", "seq"}


def nothing_passes(lab):
    """Frames that have reached the gateway's port, and none of which comes out."""
    build = lab[101]
    build.know_neighbours()
    port = lab.recorder.tap(lab.gateway_space, "trunk0")
    build.left.clear()
    with build.raw() as raw:
        raw.gateway_mac = raw.mac
        raw.send(IP(src=build.ip, dst="198.51.100.20") / UDP(sport=1, dport=9999) / b"into-the-void")
        raw.send(IP(src=build.ip, dst="198.51.100.20") / TCP(sport=2, dport=443, flags="S"))
        port.wait(lambda frame: b"into-the-void" in frame, "the frame at the gateway's port")
        port.wait(lambda frame: (tcp_of(frame) or [(0,)])[0][-1] == 443, "the SYN at the gateway's port")
    lab.recorder.forget(port)
    assert build.left.frames == []


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_dead_gateway_passes_nothing_and_starts_again(lab, way):
    gateway, build = lab.start(POLICY), lab[101]
    assert build.http("any.example", "198.51.100.20").ok
    getattr(gateway, way)()
    nothing_passes(lab)
    gateway.counters = None
    gateway.restart()
    assert build.http("any.example", "198.51.100.20").ok


def test_restart_forgets_flows(lab):
    """A connection of before the crash proves nothing to the new process: it is refused."""
    gateway, build = lab.start("sandboxes: [{vlan: 101, policy: {allow: [registry.npmjs.org]}}]"), lab[101]
    assert build.https("registry.npmjs.org").ok
    with build.raw() as raw:
        connection = raw.connect("198.51.100.10", 443)
        gateway.kill()
        gateway.restart()
        build.left.clear()
        connection.send(b"of-a-former-life")
        connection.await_reset()
    gateway.denied(build, "no-flow", dst="198.51.100.10")
    assert not build.sent_out(b"of-a-former-life")
    assert build.https("registry.npmjs.org").ok


def test_bad_policy_at_start_ends_with_an_explanation(lab):
    with pytest.raises(AssertionError, match=r"policy\.yaml:1:\d+: "):
        lab.start("sandboxes: [{vlan: 5000}]")
    assert lab.running.process.wait(10) != 0
    nothing_passes(lab)


def test_bad_config_at_start_ends_with_an_explanation(lab):
    with pytest.raises(AssertionError, match=r"sluice\.yaml:\d+:\d+: .*resolver"):
        lab.start("sandboxes: [{vlan: 101, policy: {allow: [a.example]}}]", dns={"resolvers": []})
    assert lab.running.process.wait(10) != 0


def test_no_sandboxes_is_a_policy(lab):
    gateway = lab.start("sandboxes: []")
    nothing_passes(lab)
    gateway.push(POLICY)
    assert lab[101].ping("198.51.100.20").ok


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_is_clean_and_counts_everything(lab, number):
    gateway, build = lab.start(POLICY), lab[101]
    assert build.ping("198.51.100.20", "-c", "5", "-i", "0.01").ok
    assert gateway.end(number) == 0
    counters = final_counters(gateway.output())
    assert counters["packets"] >= 10 and counters["reasons"]["allow-all"] >= 10


def test_every_event_has_every_key(lab):
    gateway, build = lab.start("sandboxes: [{vlan: 101, policy: {allow: [registry.npmjs.org]}}]"), lab[101]
    assert build.https("registry.npmjs.org").ok
    assert build.http("any.example", "198.51.100.20").rc == 7
    gateway.denied(build, "address-not-pinned", dst="198.51.100.20")
    for event in gateway.events():
        assert set(event) == EVENT_KEYS and event["event"] == "flow"
        assert event["ts"].endswith("Z") and len(event["ts"]) == len("2026-01-01T00:00:00.000000Z")


@pytest.mark.parametrize("mtu", [1500, 3000])
def test_interface_with_a_larger_mtu_is_warned_of(lab, mtu):
    """Hosts go by it: what they send beyond what the gateway takes is lost."""
    lab.gateway_space.batch(f"link set trunk0 mtu {mtu}")
    try:
        said = lab.start(POLICY).output()
    finally:
        lab.gateway_space.batch("link set trunk0 mtu 1500")
    warned = re.search(r"warning: port sandbox: interface trunk0 has an MTU of 3000, but frames of more than \d+ bytes "
                       r"are not taken; write \"mtu: 3000\"", said)
    assert bool(warned) == (mtu == 3000)
    assert "port uplink: net_af_packet1,iface=uplink0, 1 rx queue, frames up to 1518 bytes" in said
