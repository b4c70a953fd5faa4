# SPDX-License-Identifier: Apache-2.0
"""Rules 1, 2 and 4, the ranges that nothing opens, and what a refused sandbox is told."""

import errno
import socket

import pytest

from lab import packed_address
from rawhost import ICMP, IP, TCP, UDP

MIXED = """
    sandboxes:
      - vlan: 101
        name: build
        policy:
          allow: ["registry.npmjs.org", "github.com"]
          subnets:
            allow: [198.51.100.0/24, "2001:db8:10::/48", 198.18.0.0/15, 10.99.0.0/16]
            deny: [198.51.100.12, "2001:db8:10::12", 198.51.100.128/25]
      - vlan: 102
        name: agent
        policy: {subnets: {allow: [203.0.113.0/24]}}
      - {vlan: 103, name: probe}
    """


@pytest.fixture
def gateway(lab):
    return lab.start(MIXED)


@pytest.fixture
def build(gateway):
    return gateway.lab[101]


@pytest.mark.parametrize("address", ["198.51.100.20", "2001:db8:10::20"])
def test_allowed_subnet_takes_any_protocol(gateway, build, address):
    assert "host=any.example" in build.http("any.example", address).out
    assert build.https("unlisted.example", address).ok
    assert build.ping(address).ok
    with build.talk(address, 22) as connection:
        assert connection.recv(100).startswith(b"SSH-2.0-")
    with build.udp(address, 9999) as sock:
        sock.send(b"hello")
        assert sock.recv(100) == b"hello"
    for proto in ("tcp", "udp", "icmp6" if ":" in address else "icmp"):
        gateway.allowed(build, "subnet-allowed", proto=proto, dst=address, name=None)


@pytest.mark.parametrize("address", ["198.51.100.200", "198.51.100.12", "2001:db8:10::12"])
def test_deny_beats_allow(gateway, build, address):
    assert build.http("any.example", "198.51.100.20").ok
    said = build.http("any.example", address)
    assert said.rc == 7, said
    gateway.denied(build, "subnet-denied", dst=address, dport=80)
    assert not build.ping(address).ok
    assert build.packets_to(address) == []


def test_deny_beats_an_allowed_name(gateway, build):
    assert build.https("registry.npmjs.org").ok
    assert build.dig("github.com").data == ["198.51.100.12"]
    assert build.https("github.com").rc == 7
    gateway.denied(build, "subnet-denied", dst="198.51.100.12", dport=443)
    assert build.packets_to("198.51.100.12") == []


def test_wide_deny_beats_narrow_allow(lab):
    policy = {"subnets": {"allow": ["198.51.100.20/32"], "deny": ["203.0.113.0/24"]}}
    gateway = lab.start({"sandboxes": [{"vlan": 101, "policy": policy}]})
    assert lab[101].http("any.example", "198.51.100.20").ok
    policy["subnets"]["deny"] = ["198.0.0.0/8"]
    gateway.push({"sandboxes": [{"vlan": 101, "policy": policy}]})
    assert lab[101].http("any.example", "198.51.100.20").rc == 7
    gateway.denied(lab[101], "subnet-denied", dst="198.51.100.20", generation=2)


def test_other_addresses_are_not_allowed(gateway):
    agent = gateway.lab[102]
    assert agent.http("any.example", "203.0.113.20").ok
    assert agent.http("any.example", "198.51.100.20").rc == 7
    gateway.denied(agent, "address-not-allowed", dst="198.51.100.20", dport=80)
    assert agent.http("any.example", "2001:db8:10::20").rc == 7
    gateway.denied(agent, "address-not-allowed", dst="2001:db8:10::20", dport=80)
    assert agent.packets_to("198.51.100.20") == agent.packets_to("2001:db8:10::20") == []


@pytest.mark.parametrize("address", ["10.99.0.1", "fd99::1"])
def test_inside_addresses_are_internal_even_under_allow_all(gateway, build, address):
    probe = gateway.lab[103]
    assert probe.http("any.example", "198.51.100.20").ok
    assert probe.http("any.example", address).rc == 7
    gateway.denied(probe, "internal-subnet", dst=address)
    assert probe.packets_to(address) == []


def test_inside_addresses_open_by_an_explicit_subnet(gateway, build):
    assert build.http("any.example", "10.99.0.1").ok
    gateway.allowed(build, "subnet-allowed", dst="10.99.0.1")


@pytest.mark.parametrize("vlan", [101, 103])
def test_protected_addresses_are_opened_by_nothing(gateway, vlan):
    sandbox = gateway.lab[vlan]
    assert sandbox.http("any.example", "198.51.100.20").ok
    assert sandbox.http("any.example", "198.18.0.5").rc == 7
    gateway.denied(sandbox, "protected-subnet", dst="198.18.0.5")
    assert sandbox.packets_to("198.18.0.5") == []


def test_a_name_that_resolves_to_the_inside_opens_nothing(lab):
    names = ["rebind.example", "registry.npmjs.org"]
    gateway = lab.start({"sandboxes": [{"vlan": 101, "policy": {"allow": names}}]})
    assert lab[101].https("registry.npmjs.org").ok
    assert lab[101].https("rebind.example", "10.99.0.1").rc == 7
    assert not lab[101].https("rebind.example").ok
    gateway.denied(lab[101], "internal-subnet", dst="10.99.0.1", dport=443)
    assert lab[101].packets_to("10.99.0.1") == []


def test_ping_says_filtered(gateway, build):
    agent = gateway.lab[102]
    assert agent.ping("203.0.113.20").ok
    said = agent.ping("198.51.100.20")
    assert "From 198.51.100.20" in said.out and "Packet filtered" in said.out, said
    gateway.denied(agent, "address-not-allowed", proto="icmp", dst="198.51.100.20")
    said = agent.ping("2001:db8:10::20")
    assert "Administratively prohibited" in said.out, said
    gateway.denied(agent, "address-not-allowed", proto="icmp6", dst="2001:db8:10::20")


def test_echo_proves_no_name(lab):
    gateway = lab.start({"sandboxes": [{"vlan": 101, "policy": {"allow": ["registry.npmjs.org"]}}]})
    assert lab[101].https("registry.npmjs.org").ok
    assert "Packet filtered" in lab[101].ping("198.51.100.10").out
    gateway.denied(lab[101], "protocol-not-allowed", proto="icmp", dst="198.51.100.10")


def test_refused_udp_is_told_at_once(gateway):
    agent = gateway.lab[102]
    for address, error in (("198.51.100.20", errno.EHOSTUNREACH), ("2001:db8:10::20", errno.EACCES)):
        with agent.udp(address, 9999) as sock:
            sock.send(b"secret")
            with pytest.raises(OSError) as told:
                sock.recv(100)
            assert told.value.errno == error
        gateway.denied(agent, "address-not-allowed", proto="udp", dst=address, dport=9999)
    assert not agent.sent_out(b"secret")


def test_refused_syn_gets_a_reset_that_fits(gateway):
    agent = gateway.lab[102]
    with agent.raw() as raw:
        raw.send(IP(src=raw.ip, dst="198.51.100.20") / TCP(sport=4000, dport=443, flags="S", seq=7))
        reset = raw.wait_ip(lambda p: p.haslayer(TCP) and p[TCP].dport == 4000, "a reset")
        assert "R" in reset[TCP].flags and reset.src == "198.51.100.20" and reset[TCP].ack == 8


def test_segment_of_no_flow_is_refused(gateway, build):
    with build.raw() as raw:
        raw.send(IP(src=raw.ip, dst="198.51.100.20")
                 / TCP(sport=4001, dport=80, flags="PA", seq=9, ack=9) / b"secret")
        reset = raw.wait_ip(lambda p: p.haslayer(TCP) and p[TCP].dport == 4001, "a reset")
        assert "R" in reset[TCP].flags
    gateway.denied(build, "no-flow", dst="198.51.100.20", sport=4001)
    assert not build.sent_out(b"secret")


def test_packets_from_outside_belong_to_a_flow_or_stop(gateway, build):
    """The host on the Internet sends first: nothing of it arrives, and no answer is sent."""
    inside = gateway.lab.recorder.tap(build.space, "eth0")
    with build.udp("198.51.100.20", 9999) as sock:
        sock.send(b"asked")
        assert sock.recv(100) == b"asked"
    with build.internet.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("198.51.100.21", 0))
        server.sendto(b"unasked", (build.ip, 4000))
    gateway.denied(build, "no-flow", proto="udp", dst="198.51.100.21")
    build.barrier()
    assert not any(b"unasked" in frame for frame in inside.frames)
    assert any(b"asked" in frame for frame in inside.frames)
    gateway.lab.recorder.forget(inside)


def test_unknown_vlan_is_dropped_in_silence(gateway, build):
    ghost = gateway.lab[999]
    ghost.know_neighbours()
    inside = gateway.lab.recorder.tap(ghost.space, "eth0")
    with ghost.udp("198.51.100.20", 9999) as sock:
        sock.send(b"nobody")
        gateway.denied(ghost, "unknown-sandbox")
    assert not ghost.sent_out(b"nobody", through=build)
    assert inside.frames == []
    gateway.lab.recorder.forget(inside)
    gateway.push("sandboxes: [{vlan: 999}]")
    assert ghost.ping("198.51.100.20").ok


def test_frames_without_a_tag_are_nobody_s(gateway, build):
    bare = gateway.lab[0]
    bare.know_neighbours()
    with bare.udp("198.51.100.20", 9999) as sock:
        sock.send(b"nobody")
        gateway.await_event(reason="unknown-sandbox", verdict="deny")
    assert not bare.sent_out(b"nobody", through=build)


def test_spoofed_sources_are_dropped_in_silence(gateway, build):
    with build.raw() as raw:
        for dst in ("198.51.100.20", "203.0.113.20"):
            raw.send(IP(src="198.51.100.99", dst=dst) / UDP(sport=1, dport=9999) / b"forged")
        gateway.denied(build, "source-spoofed", src="198.51.100.99")
        raw.send(IP(src=raw.ip, dst="198.51.100.20") / UDP(sport=2, dport=9999) / b"honest")
        raw.wait_ip(lambda p: p.haslayer(UDP) and p[UDP].dport == 2, "the echo")
        assert not any(frame[30:34] == packed_address("198.51.100.99") for frame in raw.received)
    assert not build.sent_out(b"forged") and build.sent_out(b"honest")


def test_source_list_is_exact(lab):
    gateway = lab.start({"sandboxes": [{"vlan": 101, "source": ["10.0.1.2/32"]}]})
    build = lab[101]
    assert build.ping("198.51.100.20").ok
    build.know_neighbours()
    with build.raw() as raw:
        raw.gateway_mac = raw.mac  # its ARP would be a lie about the source too
        raw.send(IP(src="10.0.1.66", dst="198.51.100.20") / ICMP(id=5) / b"forged")
    gateway.denied(build, "source-spoofed", src="10.0.1.66")
    assert not build.ping("2001:db8:10::20", "-W", "1").ok  # no IPv6 source is listed
    gateway.denied(build, "source-spoofed", proto="icmp6")
    assert not build.sent_out(b"forged")


def test_same_inside_address_on_two_vlans_is_two_sandboxes(lab):
    twin, mirror = lab[104], lab[105]
    gateway = lab.start("""
        sandboxes:
          - {vlan: 104, name: twin, policy: {allow: [registry.npmjs.org]}}
          - {vlan: 105, name: mirror, policy: {allow: [github.com]}}
        """)
    assert twin.ip == mirror.ip
    assert twin.https("registry.npmjs.org").ok and mirror.https("github.com").ok
    gateway.allowed(twin, "domain-allowed", name="registry.npmjs.org")
    gateway.allowed(mirror, "domain-allowed", name="github.com")
    assert mirror.dig("registry.npmjs.org").status == "NXDOMAIN"
    assert not mirror.https("registry.npmjs.org", "198.51.100.12").ok
    gateway.denied(mirror, "domain-not-allowed", name="registry.npmjs.org")
    assert not mirror.internet.seen("web", sni="registry.npmjs.org")
    assert not twin.internet.seen("web", sni="github.com")


def test_same_flow_on_two_vlans_stays_apart(lab):
    """Both send from the same address and port to the same server: each gets its own answer."""
    lab.start("sandboxes: [{vlan: 104}, {vlan: 105}]")
    with lab[104].talk("198.51.100.20", 9000) as one, lab[105].talk("198.51.100.20", 9000) as other:
        one.sendall(b"first")
        other.sendall(b"second")
        assert one.recv(100) == b"first" and other.recv(100) == b"second"
    with lab[104].udp() as one, lab[105].udp() as other:
        for sock in (one, other):
            sock.bind((lab[104].ip, 7777))
        one.sendto(b"1", ("198.51.100.20", 9999))
        other.sendto(b"2", ("198.51.100.20", 9999))
        assert one.recv(10) == b"1" and other.recv(10) == b"2"
    assert not lab[104].internet.seen("udp", hex=b"2".hex())
