"""Tricks with frames and packets, by a real host. Each is tried where only the trick itself can be the
reason for a denial: by agent, who may send anything to the address, or by build, who must prove a name."""

import socket

import pytest
from scapy.layers.inet import IPOption, IPOption_Router_Alert, fragment
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoRequest, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                                IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, fragment6)
from scapy.layers.l2 import GRE, LLC, SNAP, Dot1AD, Dot1Q
from scapy.packet import Raw

from evasion import (ALLOWED, SERVER, SERVER6, SMUGGLED, agent, assert_answered, assert_nothing_seen, build, clean,
                     client, gateway)
from rawhost import ICMP, IP, TCP, UDP, Ether, IPv6, neighbour_advertisement
from topology import arp_request, mac_of, wait_for

__all__ = ["agent", "build", "gateway"]  # fixtures

OTHER = "198.51.100.77"
LARGE = SMUGGLED * 20


def datagram():
    return UDP(sport=4000, dport=9999) / LARGE


def ip(raw, **fields):
    return IP(src=raw.ip, dst=SERVER, **fields)


def ip6(raw, **fields):
    return IPv6(src=raw.ip6, dst=SERVER6, **fields)


def reached(sandbox, server="udp"):
    wait_for(lambda: sandbox.internet.seen(server), f"{server} to see the packet")
    assert SMUGGLED.hex() in sandbox.internet.seen(server)[-1]["hex"]


# No policy lets these out.

MALFORMED = {
    "ipv4-router-alert": lambda raw: ip(raw, options=[IPOption_Router_Alert()]) / datagram(),
    "ipv4-unknown-option": lambda raw: ip(raw, options=[IPOption(b"\x9e\x10" + SMUGGLED)]) / datagram(),
    "ipv6-hop-by-hop": lambda raw: ip6(raw) / IPv6ExtHdrHopByHop() / datagram(),
    "ipv6-destination-options": lambda raw: ip6(raw) / IPv6ExtHdrDestOpt() / datagram(),
    "ipv6-routing": lambda raw: ip6(raw) / IPv6ExtHdrRouting(addresses=[SERVER6]) / datagram(),
    "ipv4-length-lies": lambda raw: ip(raw, len=2000) / datagram(),
    "ipv4-checksum-lies": lambda raw: ip(raw, chksum=0x1234) / datagram(),
    "udp-length-lies": lambda raw: ip(raw) / UDP(sport=4000, dport=9999, len=2000) / LARGE,
    "tcp-header-lies": lambda raw: ip(raw) / TCP(sport=4000, dport=9000, dataofs=3) / LARGE,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_packets_that_lie(gateway, agent, case):
    with agent.raw() as raw:
        raw.send(MALFORMED[case](raw))
        gateway.denied(agent, "malformed-packet")
        assert_nothing_seen(agent, SMUGGLED)


@pytest.mark.parametrize("base", [ip, ip6])
def test_packet_that_does_not_lie(gateway, agent, base):
    with agent.raw() as raw:
        raw.send(base(raw) / datagram())
        reached(agent)
        gateway.allowed(agent, "subnet-allowed", proto="udp", dport=9999)


# Frames. VLAN 0 of the lab is the bare trunk: its host writes the tags itself.

TAGS = {
    "qinq": ("malformed-packet", lambda: Dot1Q(vlan=102) / Dot1Q(vlan=102)),
    "802.1ad-and-802.1q": ("malformed-packet", lambda: Dot1AD(vlan=102) / Dot1Q(vlan=102)),
    "vid-0": ("malformed-packet", lambda: Dot1Q(vlan=0)),
    "vid-0-and-another": ("malformed-packet", lambda: Dot1Q(vlan=0) / Dot1Q(vlan=102)),
    "vid-4095": (None, lambda: Dot1Q(vlan=4095)),
    "none": ("unknown-sandbox", lambda: None),
}


@pytest.mark.parametrize("case", [*TAGS, "honest"])
def test_tags(gateway, agent, case):
    reason, tags = TAGS.get(case, (None, lambda: Dot1Q(vlan=102)))
    bare = gateway.lab[0]
    with agent.raw() as raw, bare.raw() as trunk:
        frame = Ether(src=raw.mac, dst=raw.gateway())
        for tag in filter(None, [tags()]):
            frame = frame / tag
        trunk.frame(frame / ip(raw) / datagram())
        if case == "honest":
            return reached(agent)
        if reason:
            wait_for(lambda: [e for e in gateway.events(reason=reason) if e["vlan"] != 101], f"an event {reason}")
        agent.barrier()
        assert_nothing_seen(agent, SMUGGLED)
        assert not any(SMUGGLED in seen for seen in bare.left.frames)


@pytest.mark.parametrize("tag", [Dot1Q(vlan=102), Dot1Q(vlan=103), Dot1Q(vlan=0), Dot1AD(vlan=102), Dot1AD(vlan=103)],
                         ids=["own", "other", "vid-0", "802.1ad-own", "802.1ad-other"])
def test_tags_of_a_sandbox(gateway, agent, tag):
    """What a sandbox tags itself has two tags behind its switch: it hops to no other VLAN."""
    with agent.raw() as raw:
        before = len(gateway.events(vlan=102, reason="malformed-packet"))
        raw.frame(Ether(src=raw.mac, dst=raw.gateway()) / tag / ip(raw) / datagram())
        assert_nothing_seen(agent, SMUGGLED)
        assert not gateway.lab[103].sent_out(SMUGGLED)
        wait_for(lambda: len(gateway.events(vlan=102, reason="malformed-packet")) > before, "the denial")


@pytest.mark.parametrize("reason,frame", [
    ("malformed-packet", lambda: LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP(code=0x0800)),
    ("protocol-not-allowed", lambda: Raw(b"")),
], ids=["llc-snap", "ethertype-local"])
def test_frames_that_are_no_ip(gateway, agent, reason, frame):
    with agent.raw() as raw:
        inner = frame() / ip(raw) / datagram()
        kind = {"type": 0x88b5} if reason == "protocol-not-allowed" else {"type": len(inner)}
        raw.frame(bytes(Ether(src=raw.mac, dst=raw.gateway(), **kind)) + bytes(inner))
        gateway.denied(agent, reason)
        assert_nothing_seen(agent, SMUGGLED)


# Fragments. The kernel behind an AF_PACKET port puts those of IPv4 together before the gateway reads
# them (PACKET_FANOUT_FLAG_DEFRAG), so they are judged whole; those of IPv6 come as they were sent.


def pieces(raw, size):
    return fragment(ip(raw, id=77) / datagram(), fragsize=size)


def pieces6(raw, size):
    packet = ip6(raw) / IPv6ExtHdrFragment(id=77) / datagram()
    return fragment6(packet, size + 56)


def overlapping(raw, _size):
    """The second piece writes over the header of the first (RFC 1858)."""
    first, *_ = fragment(ip(raw, id=78) / datagram(), fragsize=64)
    return [first, ip(raw, id=78, proto=17, frag=1) / Raw(LARGE)]


def hello_in_fragments(raw, size):
    packet = ip(raw, id=79) / TCP(sport=4001, dport=443, flags="PA", seq=1, ack=1) / client(raw.sandbox).hello
    return fragment(packet, fragsize=size)


@pytest.mark.parametrize("made,size,reason", [
    (pieces, 8, "not-quic"), (pieces, 64, "not-quic"), (pieces6, 64, "fragment"), (pieces6, 8, "fragment"),
    (overlapping, 0, None), (hello_in_fragments, 8, "no-flow"), (hello_in_fragments, 160, "no-flow")])
def test_fragments_prove_no_name(gateway, build, made, size, reason):
    with build.raw() as raw:
        for piece in made(raw, size):
            raw.send(piece)
        if reason:
            gateway.denied(build, reason, src=raw.ip6 if made == pieces6 else raw.ip)
        assert_nothing_seen(build, SMUGGLED)
        assert_nothing_seen(build, ALLOWED)
        assert build.packets_to(SERVER) == build.packets_to(SERVER6) == []


@pytest.mark.parametrize("made", [pieces, pieces6])
def test_fragments_to_an_open_address(gateway, agent, made):
    with agent.raw() as raw:
        for piece in made(raw, 64):
            raw.send(piece)
        reached(agent)


# Who one says one is.


@pytest.fixture
def probe(gateway):
    return clean(gateway.lab[103])


@pytest.mark.parametrize("source", ["10.0.4.2", "198.51.100.9", "127.0.0.1", "0.0.0.0", "fd00:0:4::2",
                                    "2001:db8:9::9", "fe80::66", "::1"])
def test_source_of_somebody_else(gateway, probe, source):
    with probe.raw() as raw:
        base = IPv6(src=source, dst=SERVER6) if ":" in source else IP(src=source, dst=SERVER)
        raw.send(base / datagram())
        gateway.denied(probe, "source-spoofed", src=source)
        assert_nothing_seen(probe, SMUGGLED)


@pytest.mark.parametrize("base", [ip, ip6])
def test_source_of_ones_own(gateway, probe, base):
    with probe.raw() as raw:
        raw.send(base(raw) / datagram())
        reached(probe)


@pytest.mark.parametrize("lie", ["sender", "mac", "none"])
def test_arp(gateway, probe, lie):
    """In the name of another address, of another host's MAC; and the honest one."""
    with probe.raw() as raw:
        told = bytes(5) + b"\x09" if lie == "mac" else raw.mac
        sender = "10.0.4.2" if lie == "sender" else raw.ip
        request = bytearray(arp_request(told, sender, "10.0.3.77"))
        request[6:12] = raw.mac
        before = len(gateway.events(vlan=103, reason="source-spoofed"))
        raw.frame(request)
        probe.barrier()
        left = [frame for frame in probe.left.frames if frame[38:42] == socket.inet_aton("10.0.3.77")]
        assert len(left) == (lie == "none")
        if lie != "none":
            wait_for(lambda: len(gateway.events(vlan=103, reason="source-spoofed")) > before, "the denial")


@pytest.mark.parametrize("owner", ["fd00:0:4::2", "fd00:0:3::66"])
def test_neighbour_advertisement(gateway, probe, owner):
    """For another's address, and for one's own."""
    asked = bytes(6) + mac_of(probe.internet.router, probe.leg) + bytes(10)
    asked += socket.inet_pton(socket.AF_INET6, probe.gateway6)
    with probe.raw() as raw:
        raw.frame(neighbour_advertisement(raw.mac, socket.inet_pton(socket.AF_INET6, owner), asked))
        probe.barrier()
        left = [f for f in probe.left.frames if f[12:14] == b"\x86\xdd" and f[54] == 136
                and f[62:78] == socket.inet_pton(socket.AF_INET6, owner)]
        assert len(left) == (owner == raw.ip6)


# ICMP and tunnels.


def quoted(raw, to):
    """What an error quotes: a packet that the server would have sent to us."""
    return IP(src=to, dst=raw.ip) / UDP(sport=9999, dport=4000) / SMUGGLED


CHANNELS = {
    "echo": lambda raw: ip(raw) / ICMP(id=7) / LARGE,
    "echo6": lambda raw: ip6(raw) / ICMPv6EchoRequest(id=7, data=LARGE),
    "timestamp": lambda raw: ip(raw) / ICMP(type=13, id=7) / LARGE,
    "echo-reply": lambda raw: ip(raw) / ICMP(type=0, id=7) / LARGE,
    "icmp-error": lambda raw: ip(raw) / ICMP(type=3, code=3) / quoted(raw, SERVER),
    "icmp6-error": lambda raw: ip6(raw) / ICMPv6DestUnreach() / (IPv6(src=SERVER6, dst=raw.ip6) / datagram()),
    "gre": lambda raw: ip(raw) / GRE() / IP(src=raw.ip, dst=OTHER) / datagram(),
    "ipip": lambda raw: ip(raw) / IP(src=raw.ip, dst=OTHER) / datagram(),
    "6in4": lambda raw: ip(raw) / IPv6(src=raw.ip6, dst=SERVER6) / datagram(),
    "4in6": lambda raw: ip6(raw) / IP(src=raw.ip, dst=OTHER) / datagram(),
    "sctp": lambda raw: ip(raw, proto=132) / Raw(LARGE),
    "esp": lambda raw: ip(raw, proto=50) / Raw(LARGE),
    "udp-lite": lambda raw: ip(raw, proto=136) / Raw(LARGE),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_protocols_that_prove_no_name(gateway, build, case):
    with build.raw() as raw:
        raw.send(CHANNELS[case](raw))
        wait_for(lambda: [e for e in gateway.events(vlan=101, verdict="deny", src=raw.ip6 if "6" in case[-1:]
                                                    or case in ("echo6", "icmp6-error", "4in6") else raw.ip)
                          if e["reason"] in ("protocol-not-allowed", "no-flow")], "a denial")
        assert_nothing_seen(build, SMUGGLED)
        assert build.packets_to(SERVER) == build.packets_to(SERVER6) == []


@pytest.mark.parametrize("case", ["echo", "echo6", "gre", "ipip"])
def test_protocols_to_an_open_address(gateway, agent, case):
    with agent.raw() as raw:
        raw.send(CHANNELS[case](raw))
        assert agent.sent_out(SMUGGLED)


@pytest.mark.parametrize("to", [SERVER, OTHER])
def test_icmp_error_of_a_sandbox(gateway, agent, to):
    """It goes to the remote end of the flow that it quotes, and nowhere else."""
    with agent.raw() as raw:
        raw.send(ip(raw) / datagram())
        reached(agent)
        agent.left.clear()
        raw.send(IP(src=raw.ip, dst=to) / ICMP(type=3, code=3) / quoted(raw, SERVER))
        assert bool(agent.packets_to(to)) == (to == SERVER)


@pytest.mark.parametrize("port", [4000, 4001])
def test_icmp_error_from_outside(gateway, agent, port):
    """About a flow that is open, and about one that never was."""
    with agent.raw() as raw:
        raw.send(ip(raw) / datagram())
        raw.wait_ip(lambda p: p.haslayer(UDP) and p[UDP].sport == 9999, "the echo")
        about = ip(raw) / UDP(sport=port, dport=9999)
        error = IP(src=OTHER, dst=raw.ip) / ICMP(type=3, code=13, unused=port) / about
        router = agent.internet.router
        with router.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.bind((agent.leg, 0))
            sender.send(bytes(Ether(src=mac_of(router, agent.leg), dst=raw.mac) / error))

        def errors():
            return [p for p in map(bytes, raw.received) if p[12:14] == b"\x08\x00" and p[23] == 1 and p[34] == 3]
        if port == 4000:
            wait_for(errors, "the error")
        else:
            gateway.denied(agent, "no-flow", proto="icmp")
            assert errors() == []


def test_names_work_beside_all_this(gateway, build):
    with build.raw() as raw:
        tls = client(build)
        connection = raw.connect(SERVER, 443)
        connection.send(tls.hello)
        assert_answered(gateway, connection, tls)
