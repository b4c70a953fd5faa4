# SPDX-License-Identifier: Apache-2.0
"""Who is inside: by the first packet between two addresses, or by ranges."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from conftest import ALLOW_ALL, CLIENT, INNER, OUTER, SERVER, back, out

BROADCAST = "ff:ff:ff:ff:ff:ff"


def test_first_sender_is_inside_whatever_the_addresses(replay):
    done = replay(ALLOW_ALL, [back(UDP(sport=2, dport=1)), out(UDP(sport=1, dport=2))])
    assert done.reasons == {"allow-all": 2}
    assert done.uplink[0][IP].src == SERVER and done.sandbox[0][IP].src == CLIENT


def test_each_pair_has_its_own_first_sender(replay):
    done = replay(ALLOW_ALL, [out(UDP(sport=1, dport=2)),
                              Ether() / IP(src="198.51.100.9", dst=CLIENT) / UDP(sport=3, dport=4),
                              back(UDP(sport=2, dport=1))])
    assert done.reasons == {"allow-all": 3}
    assert [p[IP].src for p in done.uplink] == [CLIENT, "198.51.100.9"]
    assert [p[IP].src for p in done.sandbox] == [SERVER]


def test_pairs_are_each_vlans_own(replay):
    def tagged(vlan, src, dst):
        return Ether() / Dot1Q(vlan=vlan) / IP(src=src, dst=dst) / UDP(sport=1, dport=1)
    done = replay("sandboxes: [{vlan: 101}, {vlan: 102}]",
                  [tagged(101, CLIENT, SERVER), tagged(102, SERVER, CLIENT)], vlan=None)
    assert [(p[Dot1Q].vlan, p[IP].src) for p in done.uplink] == [(101, CLIENT), (102, SERVER)]


def test_many_pairs_are_all_remembered(replay):
    hosts = [f"198.51.{n // 250}.{n % 250 + 1}" for n in range(1000)]
    there = [Ether() / IP(src=CLIENT, dst=host) / UDP(sport=1, dport=2) for host in hosts]
    again = [Ether() / IP(src=host, dst=CLIENT) / UDP(sport=2, dport=1) for host in hosts]
    done = replay(ALLOW_ALL, there + again)
    assert done.reasons == {"allow-all": 2000}
    assert len(done.uplink) == 1000 and len(done.sandbox) == 1000


@pytest.mark.parametrize("inside", ["10.0.0.0/8", "10.0.0.2", "192.168.0.0/16,10.0.0.0/8", "fd00::/8,10.0.0.2/32"])
def test_ranges_say_who_is_inside(replay, inside):
    done = replay(ALLOW_ALL, [back(UDP(sport=2, dport=1)), out(UDP(sport=1, dport=2)), back(UDP(sport=2, dport=1))],
                  "--inside", inside)
    assert done.reasons == {"no-flow": 1, "allow-all": 2}
    assert [p[IP].src for p in done.uplink] == [CLIENT] and [p[IP].src for p in done.sandbox] == [SERVER]


def test_source_decides_if_both_are_inside(replay):
    done = replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))], "--inside", "0.0.0.0/0")
    assert done.reasons == {"allow-all": 1} and len(done.uplink) == 1


def test_ranges_of_the_other_family_hold_nobody(replay):
    assert replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))], "--inside", "::/0").reasons == {"no-flow": 1}


def test_auto_can_be_said(replay):
    assert replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))], "--inside", "auto").reasons == {"allow-all": 1}


def test_arp_goes_by_its_protocol_addresses(replay):
    ask = Ether(src=INNER, dst=BROADCAST) / ARP(op=1, hwsrc=INNER, psrc=CLIENT, pdst="10.0.0.1")
    answer = Ether(src=OUTER, dst=INNER) / ARP(op=2, hwsrc=OUTER, psrc="10.0.0.1", hwdst=INNER, pdst=CLIENT)
    for options in (), ("--inside", CLIENT):
        done = replay(ALLOW_ALL, [ask.copy(), answer.copy()], *options)
        assert done.uplink[0][ARP].op == 1 and done.sandbox[0][ARP].op == 2


def test_solicitation_counts_for_whom_it_asks_for(replay):
    router, host = "fd00::1", "fd00::2"
    ask = Ether(src=INNER, dst="33:33:ff:00:00:01") / IPv6(src=host, dst="ff02::1:ff00:1", hlim=255) / \
        ICMPv6ND_NS(tgt=router) / ICMPv6NDOptSrcLLAddr(lladdr=INNER)
    answer = Ether(src=OUTER, dst=INNER) / IPv6(src=router, dst=host, hlim=255) / \
        ICMPv6ND_NA(tgt=router, S=1, R=1) / ICMPv6NDOptDstLLAddr(lladdr=OUTER)
    done = replay(ALLOW_ALL, [ask, answer])
    assert done.reasons == {"neighbour": 2}
    assert ICMPv6ND_NS in done.uplink[0] and ICMPv6ND_NA in done.sandbox[0]


def test_error_of_a_router_on_the_way_comes_from_the_uplink(replay):
    sent = out(UDP(sport=1, dport=2) / b"lost")
    error = Ether(src=OUTER, dst=INNER) / IP(src="203.0.113.254", dst=CLIENT) / ICMP(type=11) / bytes(sent[IP])
    done = replay(ALLOW_ALL, [sent, error])
    assert done.reasons == {"allow-all": 2}, done.stdout
    assert done.sandbox[0][IP].src == "203.0.113.254"


def test_other_frames_go_by_their_macs(replay):
    there = Ether(src=INNER, dst=OUTER, type=0x88cc) / (b"x" * 46)
    again = Ether(src=OUTER, dst=INNER, type=0x88cc) / (b"x" * 46)
    done = replay(ALLOW_ALL, [there, again])
    assert done.reasons == {"protocol-not-allowed": 2}


def test_connection_captured_in_the_middle_belongs_to_whom_speaks(replay):
    done = replay(ALLOW_ALL, [out(TCP(sport=1, dport=2, flags="A") / b"x"), back(TCP(sport=2, dport=1, flags="A"))])
    assert done.reasons == {"no-flow": 2}
    assert done.sandbox[0][TCP].flags.R and Raw not in done.sandbox[0]
