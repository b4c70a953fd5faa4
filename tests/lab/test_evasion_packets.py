# SPDX-License-Identifier: Apache-2.0
"""Tricks with frames and packets, by a real host. Each is tried where only the trick itself can be the
reason for a denial: by agent, who may send anything to the address, or by build, who must prove a name."""

import itertools
import socket
import time

import pytest
from scapy.layers.inet import IPOption, IPOption_Router_Alert, fragment
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6MLReport2, ICMPv6ND_Redirect,
                                IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
                                fragment6, in6_chksum)
from scapy.layers.l2 import GRE, LLC, SNAP, Dot1AD, Dot1Q
from scapy.packet import Raw

from evasion import (ALLOWED, SERVER, SERVER6, SMUGGLED, agent, assert_answered, assert_nothing_seen, build, clean,
                     client, gateway)
from rawhost import ICMP, IP, TCP, UDP, Ether, IPv6, neighbour_advertisement
from topology import arp_request, mac_of, wait_for

__all__ = ["agent", "build", "gateway"]  # fixtures

OTHER = "198.51.100.77"
LARGE = SMUGGLED * 20
NOBODY = "198.18.0.1"  # protected: who sends there is refused
marks = itertools.count(1000)


@pytest.fixture
def probe(gateway):
    return clean(gateway.lab[103])


class Refusals:
    """The refusals of one VLAN's packets from here on. Events come in order, so that of one more packet, which
    nothing allows, says that all before it have been told."""

    def __init__(self, gateway, raw, *vlan):
        self.gateway, self.raw = gateway, raw
        (self.vlan,) = vlan or (raw.sandbox.vlan,)
        self.skipped = 0
        self.skipped = len(self.so_far())

    def so_far(self, *keys):
        """[(reason, the values of these keys), ...]"""
        return [(event["reason"], *(event[key] for key in keys))
                for event in self.gateway.events(vlan=self.vlan, verdict="deny")
                if event["dst"] != NOBODY and not of_the_kernel(event)][self.skipped:]

    def __call__(self, *keys, count=1):
        """The same when at least so many are there, and all that one worker told before the mark."""
        wait_for(lambda: len(self.so_far()) >= count, lambda: f"{count} refusals, came: {self.so_far()}")
        mark = next(marks)
        self.raw.send(IP(src=self.raw.ip, dst=NOBODY) / UDP(sport=7, dport=mark))
        self.gateway.denied(self.raw.sandbox, "protected-subnet", dst=NOBODY, dport=mark)
        return self.so_far(*keys)


def of_the_kernel(event):
    """What a kernel sends by itself: it joins groups and looks for routers."""
    ends = str(event["src"]), str(event["dst"])
    return any(end.startswith("ff02::") for end in ends) and any(end.startswith(("fe80::", "::")) for end in ends)


def datagram():
    return UDP(sport=4000, dport=9999) / LARGE


def ip(raw, **fields):
    return IP(src=raw.ip, dst=SERVER, **fields)


def ip6(raw, **fields):
    return IPv6(src=raw.ip6, dst=SERVER6, **fields)


def reached(sandbox, server="udp", needle=SMUGGLED):
    wait_for(lambda: sandbox.internet.seen(server), f"{server} to see the packet")
    assert needle.hex() in sandbox.internet.seen(server)[-1]["hex"]


def from_outside(sandbox, *packets):
    """Sends packets to a sandbox's raw host from the router's leg, as any server could."""
    router = sandbox.internet.router
    with router.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((sandbox.leg, 0))
        for packet in packets:
            sender.send(bytes(Ether(src=mac_of(router, sandbox.leg), dst=sandbox.mac) / packet))


# No policy lets these out.

MALFORMED = {
    "ipv4-router-alert": lambda raw: ip(raw, options=[IPOption_Router_Alert()]) / datagram(),
    "ipv4-unknown-option": lambda raw: ip(raw, options=[IPOption(b"\x9e\x10" + SMUGGLED)]) / datagram(),
    "ipv6-hop-by-hop": lambda raw: ip6(raw) / IPv6ExtHdrHopByHop() / datagram(),
    "ipv6-destination-options": lambda raw: ip6(raw) / IPv6ExtHdrDestOpt() / datagram(),
    "ipv6-routing": lambda raw: ip6(raw) / IPv6ExtHdrRouting(addresses=[SERVER6]) / datagram(),
    "ipv6-authentication": lambda raw: ip6(raw, nh=51) / Raw(b"\x11\x04" + bytes(22)) / datagram(),
    "ipv6-mobility": lambda raw: ip6(raw, nh=135) / Raw(b"\x11\x00" + bytes(6)) / datagram(),
    "ipv6-experiment": lambda raw: ip6(raw, nh=253) / Raw(b"\x11\x00" + bytes(6)) / datagram(),
    "ipv6-fragment-of-extension": lambda raw: ip6(raw) / IPv6ExtHdrFragment(m=1) / IPv6ExtHdrDestOpt() / LARGE,
    "ipv6-fragment-of-fragment": lambda raw: ip6(raw) / IPv6ExtHdrFragment(m=1) / IPv6ExtHdrFragment(m=1) / LARGE,
    "ipv6-length-lies": lambda raw: ip6(raw, plen=2000) / datagram(),
    "ipv6-to-oneself": lambda raw: IPv6(src=raw.ip6, dst=raw.ip6) / datagram(),
    "ipv4-to-oneself": lambda raw: IP(src=raw.ip, dst=raw.ip) / datagram(),
    "ipv4-to-all": lambda raw: IP(src=raw.ip, dst="255.255.255.255") / datagram(),
    "ipv4-reserved-flag": lambda raw: ip(raw, flags=4) / datagram(),
    "ipv4-length-lies": lambda raw: ip(raw, len=2000) / datagram(),
    "ipv4-checksum-lies": lambda raw: ip(raw, chksum=0x1234) / datagram(),
    "udp-length-lies": lambda raw: ip(raw) / UDP(sport=4000, dport=9999, len=2000) / LARGE,
    "tcp-header-lies": lambda raw: ip(raw) / TCP(sport=4000, dport=9000, dataofs=3) / LARGE,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_packets_that_lie(gateway, agent, case):
    with agent.raw() as raw:
        refused = Refusals(gateway, raw)
        raw.send(MALFORMED[case](raw))
        (reason, source), = refused("src")
        assert reason == "malformed-packet" and source in (None, raw.ip, raw.ip6)  # what was read before the lie
        assert_nothing_seen(agent, SMUGGLED)


@pytest.mark.parametrize("to", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"])
def test_packet_for_one_in_a_frame_for_all(gateway, agent, to):
    with agent.raw() as raw:
        refused = Refusals(gateway, raw)
        raw.frame(Ether(src=raw.mac, dst=to) / ip(raw) / datagram())
        assert refused() == [("malformed-packet",)]
        assert_nothing_seen(agent, SMUGGLED)


def test_frame_from_a_group(gateway, agent):
    with agent.raw() as raw:
        refused = Refusals(gateway, raw, None)  # not looked into, so of no VLAN
        raw.frame(Ether(src=b"\x03" + raw.mac[1:], dst=raw.gateway()) / ip(raw) / datagram())
        assert refused() == [("malformed-packet",)]
        assert_nothing_seen(agent, SMUGGLED)


@pytest.mark.parametrize("base", [ip, ip6])
def test_packet_that_does_not_lie(gateway, agent, base):
    with agent.raw() as raw:
        raw.send(base(raw) / datagram())
        reached(agent)
        gateway.allowed(agent, "subnet-allowed", proto="udp", dport=9999)


# Frames. VLAN 0 of the lab is the bare trunk: its host writes the tags itself.

TAGS = {  # what the gateway says of them, and of which VLAN
    "qinq": (102, "malformed-packet", lambda: Dot1Q(vlan=102) / Dot1Q(vlan=102)),
    "802.1ad-and-802.1q": (102, "malformed-packet", lambda: Dot1AD(vlan=102) / Dot1Q(vlan=102)),
    "vid-0": (None, "malformed-packet", lambda: Dot1Q(vlan=0)),
    "vid-0-and-another": (None, "malformed-packet", lambda: Dot1Q(vlan=0) / Dot1Q(vlan=102)),
    "vid-4095": (4095, "malformed-packet", lambda: Dot1Q(vlan=4095)),
    "of-nobody": (998, "unknown-sandbox", lambda: Dot1Q(vlan=998)),
    "none": (None, "unknown-sandbox", lambda: None),
}


@pytest.mark.parametrize("case", [*TAGS, "honest"])
def test_tags(gateway, agent, case):
    vlan, reason, tags = TAGS.get(case, (102, None, lambda: Dot1Q(vlan=102)))
    bare = gateway.lab[0]
    with agent.raw() as raw, bare.raw() as trunk:
        refused = Refusals(gateway, raw, vlan)
        frame = Ether(src=raw.mac, dst=raw.gateway())
        for tag in filter(None, [tags()]):
            frame = frame / tag
        trunk.frame(frame / ip(raw) / datagram())
        if case == "honest":
            reached(agent)
            assert refused(count=0) == []
            return
        assert refused() == [(reason,)]
        assert_nothing_seen(agent, SMUGGLED)
        assert not any(SMUGGLED in seen for seen in bare.left.frames)


@pytest.mark.parametrize("tag", [Dot1Q(vlan=102), Dot1Q(vlan=103), Dot1Q(vlan=0), Dot1AD(vlan=102), Dot1AD(vlan=103)],
                         ids=["own", "other", "vid-0", "802.1ad-own", "802.1ad-other"])
def test_tags_of_a_sandbox(gateway, agent, tag):
    """A frame that a sandbox tags itself has two tags after its switch: it cannot hop to another VLAN."""
    with agent.raw() as raw:
        refused = Refusals(gateway, raw)
        raw.frame(Ether(src=raw.mac, dst=raw.gateway()) / tag / ip(raw) / datagram())
        assert refused() == [("malformed-packet",)]
        assert_nothing_seen(agent, SMUGGLED)
        assert not gateway.lab[103].sent_out(SMUGGLED)


@pytest.mark.parametrize("reason,frame", [
    ("malformed-packet", lambda: LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP(code=0x0800)),
    ("protocol-not-allowed", lambda: Raw(b"")),
], ids=["llc-snap", "ethertype-local"])
def test_frames_that_are_no_ip(gateway, agent, reason, frame):
    with agent.raw() as raw:
        refused = Refusals(gateway, raw)
        inner = frame() / ip(raw) / datagram()
        kind = {"type": 0x88b5} if reason == "protocol-not-allowed" else {"type": len(inner)}
        raw.frame(bytes(Ether(src=raw.mac, dst=raw.gateway(), **kind)) + bytes(inner))
        assert refused() == [(reason,)]
        assert_nothing_seen(agent, SMUGGLED)


MULTICAST = {
    "mdns": ("01:00:5e:00:00:fb", lambda raw: IP(src=raw.ip, dst="224.0.0.251", ttl=255)
             / UDP(sport=5353, dport=5353) / LARGE),
    "ssdp": ("01:00:5e:7f:ff:fa", lambda raw: IP(src=raw.ip, dst="239.255.255.250") / UDP(dport=1900) / LARGE),
    "igmp": ("01:00:5e:00:00:16", lambda raw: IP(src=raw.ip, dst="224.0.0.22", proto=2, ttl=1,
                                                 options=[IPOption_Router_Alert()]) / Raw(b"\x22\0\0\0" + LARGE)),
    "dhcpv6": ("33:33:00:01:00:02", lambda raw: IPv6(src=raw.ip6, dst="ff02::1:2") / UDP(sport=546, dport=547) / LARGE),
    "mld": ("33:33:00:00:00:16", lambda raw: IPv6(src=raw.ip6, dst="ff02::16", hlim=1) / IPv6ExtHdrHopByHop()
            / ICMPv6MLReport2() / LARGE),
    "all-of-the-world": ("33:33:00:00:00:01", lambda raw: IPv6(src=raw.ip6, dst="ff0e::1") / datagram()),
}


@pytest.mark.parametrize("case", MULTICAST)
def test_multicast(gateway, probe, case):
    """Also where everything public is open."""
    to, packet = MULTICAST[case]
    with probe.raw() as raw:
        refused, packet = Refusals(gateway, raw), packet(raw)
        raw.frame(Ether(src=raw.mac, dst=to) / packet)
        assert refused("dst") == [("protected-subnet", packet.dst)]
        assert_nothing_seen(probe, SMUGGLED)


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


def overlapping6(raw, _size):
    first, second = pieces6(raw, 200)[:2]
    again = second.copy()
    again[IPv6ExtHdrFragment].offset = 1  # writes over the port
    return [first, again, second]


@pytest.mark.parametrize("made,size,reason", [
    (pieces, 8, "not-quic"), (pieces, 64, "not-quic"), (overlapping, 0, None), (hello_in_fragments, 8, "no-flow"),
    (hello_in_fragments, 160, "no-flow")])
def test_fragments_of_ipv4_prove_no_name(gateway, build, made, size, reason):
    """One refusal, of the whole packet; pieces that overlap never become one."""
    with build.raw() as raw:
        refused = Refusals(gateway, raw)
        for piece in made(raw, size):
            raw.send(piece)
        expected = [(reason, SERVER, "udp" if made == pieces else "tcp")] if reason else []
        assert refused("dst", "proto", count=len(expected)) == expected
        assert_nothing_seen(build, SMUGGLED)
        assert_nothing_seen(build, ALLOWED)
        assert build.packets_to(SERVER) == []


@pytest.mark.parametrize("made,size", [(pieces6, 64), (pieces6, 8), (overlapping6, 0)])
def test_fragments_of_ipv6_prove_no_name(gateway, build, made, size):
    with build.raw() as raw:
        refused = Refusals(gateway, raw)
        sent = made(raw, size)
        for piece in sent:
            raw.send(piece)
        assert refused("dst", "sport", count=len(sent)) == [("fragment", SERVER6, None)] * len(sent)
        assert_nothing_seen(build, SMUGGLED)
        assert build.packets_to(SERVER6) == []


@pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
def test_fragments_from_outside(gateway, build, agent, v6):
    """They reach only a sandbox that talks to that address already."""
    for sandbox, reason in ((build, "no-flow"), (agent, None)):
        with sandbox.raw() as raw:
            there, here = (SERVER6, raw.ip6) if v6 else (SERVER, raw.ip)
            base = (ip6 if v6 else ip)(raw)
            if not reason:
                raw.send(base / UDP(sport=4000, dport=9999) / b"hello")
                reached(sandbox, needle=b"hello")
            refused = Refusals(gateway, raw)
            if v6:
                back = IPv6(src=there, dst=here) / IPv6ExtHdrFragment(id=5) / UDP(sport=9999, dport=4000) / LARGE
                sent = fragment6(back, 120)
            else:
                sent = fragment(IP(src=there, dst=here, id=5) / UDP(sport=9999, dport=4000) / LARGE, fragsize=64)
            from_outside(sandbox, *sent)
            if reason:
                came = [("no-flow", there, here)] * (len(sent) if v6 else 1)
                assert refused("dst", "src", count=len(came)) == came
            else:
                raw.wait(lambda frame: frame[-len(SMUGGLED):] == SMUGGLED, "the last fragment")
            assert any(SMUGGLED in frame for frame in raw.received) == (reason is None)


@pytest.mark.parametrize("made", [pieces, pieces6])
def test_fragments_to_an_open_address(gateway, agent, made):
    with agent.raw() as raw:
        for piece in made(raw, 64):
            raw.send(piece)
        reached(agent)


# Who one says one is.


@pytest.mark.parametrize("source", ["10.0.4.2", "198.51.100.9", "127.0.0.1", "0.0.0.0", "224.0.0.1",
                                    "fd00:0:4::2", "2001:db8:9::9", "fe80::66", "::1", "::", "::ffff:10.0.3.2"])
def test_source_of_somebody_else(gateway, probe, source):
    with probe.raw() as raw:
        base = IPv6(src=source, dst=SERVER6) if ":" in source else IP(src=source, dst=SERVER)
        refused = Refusals(gateway, raw)
        raw.send(base / datagram())
        assert refused("src") == [("source-spoofed", source)]
        assert_nothing_seen(probe, SMUGGLED)


@pytest.mark.parametrize("base", [ip, ip6])
def test_source_of_ones_own(gateway, probe, base):
    with probe.raw() as raw:
        raw.send(base(raw) / datagram())
        reached(probe)


@pytest.mark.parametrize("lie", ["sender", "mac", "reply", "probe", "none"])
def test_arp(gateway, probe, lie):
    """In the name of another address, of another host's MAC; and the honest one."""
    with probe.raw() as raw:
        told = bytes(5) + b"\x09" if lie == "mac" else raw.mac
        sender = {"sender": "10.0.4.2", "reply": "10.0.4.2", "probe": "0.0.0.0"}.get(lie, raw.ip)
        target = "10.0.4.77" if lie == "probe" else "10.0.3.77"  # a probe asks for what it wants to be
        frame = bytearray(arp_request(told, sender, target))
        frame[6:12] = raw.mac
        frame[21] = 2 if lie == "reply" else 1
        refused = Refusals(gateway, raw)
        time.sleep(lie == "none")  # of who was never heard, one a second
        raw.frame(frame)
        assert refused(count=lie != "none") == ([("source-spoofed",)] if lie != "none" else [])
        probe.barrier()
        left = [f for f in probe.left.frames if f[12:14] == b"\x08\x06" and f[38:42] == socket.inet_aton(target)]
        assert len(left) == (lie == "none")


def test_bytes_hidden_in_arp(gateway, probe):
    """The request leaves like any other: nothing in the field that is asked for, zeros after the end."""
    with probe.raw() as raw:
        plain = arp_request(raw.mac, raw.ip, "10.0.3.78")
        time.sleep(1)  # of who was never heard, one a second
        raw.frame(plain[:32] + b"smuggl" + plain[38:] + SMUGGLED * 3)
        frame = probe.left.wait(lambda f: f[38:42] == socket.inet_aton("10.0.3.78"), "the request")
        assert frame[:len(plain)] == plain and not any(frame[len(plain):])
        assert_nothing_seen(probe, b"smuggl")


def advertisement(raw, owner, told=None):
    """A neighbour advertisement to the router, who asked."""
    asked = bytes(6) + mac_of(raw.sandbox.internet.router, raw.sandbox.leg) + bytes(10)
    asked += socket.inet_pton(socket.AF_INET6, raw.sandbox.gateway6)
    return neighbour_advertisement(told or raw.mac, socket.inet_pton(socket.AF_INET6, owner), asked)


ADVERTISED = {  # whom it is about, whom it is from, to whom it goes
    "for another": ("source-spoofed", "fd00:0:4::2", "fd00:0:3::66", "fd00:0:3::1"),
    "from another": ("source-spoofed", "fd00:0:3::66", "fd00:0:4::2", "fe80::1"),
    "from elsewhere": ("malformed-packet", "fd00:0:3::66", "fd00:0:4::2", "fd00:0:3::1"),
    "to elsewhere": ("malformed-packet", "fd00:0:3::66", "fd00:0:3::66", SERVER6),
    "another MAC": ("malformed-packet", "fd00:0:3::66", "fd00:0:3::66", "fd00:0:3::1"),
    "honest": (None, "fd00:0:3::66", "fd00:0:3::66", "fd00:0:3::1"),
}


@pytest.mark.parametrize("case", ADVERTISED)
def test_neighbour_advertisement(gateway, probe, case):
    reason, owner, source, to = ADVERTISED[case]
    with probe.raw() as raw:
        frame = bytearray(advertisement(raw, owner, bytes(5) + b"\x09" if case == "another MAC" else None))
        frame[6:12] = raw.mac
        frame[14:] = of_icmp6(IPv6(bytes(frame[14:])), src=source, dst=to)
        refused = Refusals(gateway, raw)
        raw.frame(frame)
        assert refused(count=bool(reason)) == ([(reason,)] if reason else [])
        probe.barrier()
        left = [f for f in probe.left.frames if f[12:14] == b"\x86\xdd" and f[54] == 136
                and f[62:78] == socket.inet_pton(socket.AF_INET6, owner)]
        # the router may have asked by itself, and got the raw host's own answer as well
        assert bool(left) == (reason is None)


def of_icmp6(packet, data=None, **fields):
    """The packet with these IPv6 fields, this ICMPv6 message, and a checksum that fits."""
    data = bytes(packet.payload) if data is None else data
    for name, value in fields.items():
        setattr(packet, name, value)
    packet.plen = len(data)
    data = data[:2] + bytes(2) + data[4:]
    data = data[:2] + in6_chksum(58, packet, data).to_bytes(2, "big") + data[4:]
    return bytes(packet)[:40] + data


def test_bytes_hidden_in_neighbour_discovery(gateway, probe):
    """Traffic class, flow label, reserved bytes, an undefined option, bytes after the end: none leaves."""
    with probe.raw() as raw:
        honest = advertisement(raw, raw.ip6)
        message = honest[54:58] + b"\x60" + SMUGGLED[:3] + honest[62:]
        message += b"\xfd\x02" + SMUGGLED
        hidden = of_icmp6(IPv6(honest[14:54]), message, tc=0x5a, fl=0x4d554)
        raw.frame(honest[:14] + hidden + SMUGGLED * 2)
        frame = probe.left.wait(lambda f: f[12:14] == b"\x86\xdd" and f[54] == 136, "the advertisement")
        assert frame == honest
        assert_nothing_seen(probe, SMUGGLED[:3])


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
        refused, packet = Refusals(gateway, raw), CHANNELS[case](raw)
        raw.send(packet)
        proto = bytes(packet)[6 if packet.version == 6 else 9]
        named = {1: "icmp", 58: "icmp6"}.get(proto, proto)
        assert refused("dst", "proto") == [("protocol-not-allowed", packet.dst, named)]
        assert_nothing_seen(build, SMUGGLED)
        assert build.packets_to(SERVER) == build.packets_to(SERVER6) == []


@pytest.mark.parametrize("case", ["echo", "echo6", "gre", "ipip"])
def test_protocols_to_an_open_address(gateway, agent, case):
    with agent.raw() as raw:
        raw.send(CHANNELS[case](raw))
        assert agent.sent_out(SMUGGLED)


@pytest.mark.parametrize("to,reason", [(SERVER, None), (OTHER, "no-flow"), ("203.0.113.9", "address-not-allowed")])
def test_icmp_error_of_a_sandbox(gateway, agent, to, reason):
    """It goes to the remote end of the flow that it quotes, and nowhere else."""
    with agent.raw() as raw:
        raw.send(ip(raw) / datagram())
        reached(agent)
        agent.left.clear()
        refused = Refusals(gateway, raw)
        raw.send(IP(src=raw.ip, dst=to) / ICMP(type=3, code=3) / quoted(raw, SERVER))
        assert refused("dst", count=bool(reason)) == ([(reason, to)] if reason else [])
        assert len(agent.packets_to(to)) == (reason is None)


FROM_OUTSIDE = {  # about the flow from port 4000 to 9999, if about any
    "unreachable": (None, lambda raw: IP(src=OTHER, dst=raw.ip) / ICMP(type=3, code=13) / about(raw)),
    "time exceeded": (None, lambda raw: IP(src=OTHER, dst=raw.ip) / ICMP(type=11) / about(raw)),
    "of another flow": ("no-flow", lambda raw: IP(src=OTHER, dst=raw.ip) / ICMP(type=3, code=13) / about(raw, 4001)),
    "to another address": ("no-flow", lambda raw: IP(src=OTHER, dst=raw.sandbox.ip) / ICMP(type=3, code=13)
                           / about(raw)),
    "redirect": ("no-flow", lambda raw: IP(src=OTHER, dst=raw.ip) / ICMP(type=5, code=1, gw=OTHER) / about(raw)),
    "echo request": ("no-flow", lambda raw: IP(src=SERVER, dst=raw.ip) / ICMP(id=99) / LARGE),
    "echo reply": ("no-flow", lambda raw: IP(src=SERVER, dst=raw.ip) / ICMP(type=0, id=99) / LARGE),
    "router redirect": ("no-flow", lambda raw: IPv6(src=SERVER6, dst=raw.ip6) / ICMPv6ND_Redirect(tgt=SERVER6) / LARGE),
    "datagram": ("no-flow", lambda raw: IP(src=SERVER, dst=raw.ip) / UDP(sport=9999, dport=4001) / LARGE),
    "sctp": ("no-flow", lambda raw: IP(src=SERVER, dst=raw.ip, proto=132) / Raw(LARGE)),
}


def about(raw, port=4000):
    return ip(raw) / UDP(sport=port, dport=9999) / LARGE


@pytest.mark.parametrize("case", FROM_OUTSIDE)
def test_packets_from_outside(gateway, agent, case):
    """What belongs to an open flow comes in, and nothing else does."""
    reason, packet = FROM_OUTSIDE[case]
    with agent.raw() as raw:
        raw.send(ip(raw) / UDP(sport=4000, dport=9999) / b"hello")
        raw.wait_ip(lambda p: p.haslayer(UDP) and p[UDP].sport == 9999, "the echo")
        refused, packet = Refusals(gateway, raw), packet(raw)
        from_outside(agent, packet)
        if reason:
            assert refused("dst", "src") == [(reason, packet.src, packet.dst)]
        else:
            raw.wait(lambda frame: frame[12:14] == b"\x08\0" and frame[23] == 1, "the error")
        assert any(SMUGGLED in frame for frame in raw.received) == (reason is None)


def test_names_work_beside_all_this(gateway, build):
    with build.raw() as raw:
        tls = client(build)
        connection = raw.connect(SERVER, 443)
        connection.send(tls.hello)
        assert_answered(gateway, connection, tls)
