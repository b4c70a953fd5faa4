# SPDX-License-Identifier: Apache-2.0
"""Every kind of file and link that a capture can come from."""

import struct

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from conftest import ALLOW_ALL, CLIENT, INNER, OUTER, SERVER, back, out, raw_pcap, raw_pcapng

THERE = IP(src=CLIENT, dst=SERVER) / UDP(sport=1, dport=2) / b"there"
BACK = IP(src=SERVER, dst=CLIENT) / UDP(sport=2, dport=1) / b"back"
THERE6 = IPv6(src="fd00::2", dst="2001:db8::1") / UDP(sport=1, dport=2) / b"there"
BACK6 = IPv6(src="2001:db8::1", dst="fd00::2") / UDP(sport=2, dport=1) / b"back"
PAIR, PAIR6 = [bytes(THERE), bytes(BACK)], [bytes(THERE6), bytes(BACK6)]


def both_pass(replay, data, vlan=101):
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", data)], vlan=vlan)
    assert done.code == 0, done.stderr
    assert done.reasons == {"allow-all": 2}, done.stdout
    assert [p[Raw].load for p in done.uplink] == [b"there"]
    assert [p[Raw].load for p in done.sandbox] == [b"back"]
    return done


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xa1b2c3d4, 0xa1b23c4d], ids=["us", "ns"])
def test_pcap_of_either_byte_order_and_resolution(replay, order, magic):
    frames = [bytes(Ether(src=INNER, dst=OUTER) / THERE), bytes(Ether(src=OUTER, dst=INNER) / BACK)]
    done = both_pass(replay, raw_pcap(frames, 1, magic=magic, order=order))
    assert done.events[0]["ts"] == "2026-01-02T03:04:05.678901Z"
    assert float(done.uplink[0].time) == pytest.approx(1767323045.678901, abs=1e-5)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True], ids=["us", "ns"])
def test_pcapng_of_either_byte_order_and_resolution(replay, order, nanoseconds):
    frames = [bytes(Ether(src=INNER, dst=OUTER) / THERE), bytes(Ether(src=OUTER, dst=INNER) / BACK)]
    done = both_pass(replay, raw_pcapng(frames, order=order, nanoseconds=nanoseconds))
    assert done.events[0]["ts"] == "2026-01-02T03:04:05.678901Z"


@pytest.mark.parametrize("pair", [PAIR, PAIR6], ids=["4", "6"])
@pytest.mark.parametrize("linktype", [101, 12], ids=["raw", "dlt-raw"])
def test_raw_ip(replay, linktype, pair):
    done = both_pass(replay, raw_pcap(pair, linktype))
    there, back_ = done.uplink[0], done.sandbox[0]
    assert (there.src, there.dst) == (back_.dst, back_.src) and there.src != there.dst
    for mac in there.src, there.dst:
        assert int(mac[:2], 16) & 3 == 2, f"{mac} is not a locally administered unicast address"


@pytest.mark.parametrize("linktype, pair", [(228, PAIR), (229, PAIR6)], ids=["ipv4", "ipv6"])
def test_one_family_links(replay, linktype, pair):
    both_pass(replay, raw_pcap(pair, linktype))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("family, pair", [(2, PAIR), (10, PAIR6), (24, PAIR6), (28, PAIR6), (30, PAIR6)])
def test_bsd_loopback_of_either_byte_order(replay, order, family, pair):
    both_pass(replay, raw_pcap([struct.pack(order + "I", family) + p for p in pair], 0))


def test_bsd_loopback_of_openbsd(replay):
    both_pass(replay, raw_pcap([struct.pack(">I", 2) + p for p in PAIR], 108))


def cooked(protocol, packet, address=b"\x02\0\0\0\0\x07", kind=0):
    return struct.pack(">HHH8sH", kind, 1, len(address), address, protocol) + packet


def cooked2(protocol, packet, address=b"\x02\0\0\0\0\x07"):
    return struct.pack(">HHIHBB8s", protocol, 0, 3, 1, 0, len(address), address) + packet


@pytest.mark.parametrize("pair, protocol", [(PAIR, 0x0800), (PAIR6, 0x86dd)], ids=["4", "6"])
@pytest.mark.parametrize("linktype, wrap", [(113, cooked), (276, cooked2)], ids=["v1", "v2"])
def test_linux_cooked(replay, linktype, wrap, pair, protocol):
    done = both_pass(replay, raw_pcap([wrap(protocol, p) for p in pair], linktype))
    assert done.uplink[0].src == "02:00:00:00:00:07", "the sender's address is in the capture"


@pytest.mark.parametrize("linktype, wrap", [(113, cooked), (276, cooked2)], ids=["v1", "v2"])
def test_linux_cooked_with_a_tag_inside(replay, linktype, wrap):
    packets = [wrap(0x8100, struct.pack(">HH", 101, 0x0800) + p) for p in PAIR]
    done = both_pass(replay, raw_pcap(packets, linktype), vlan=None)
    assert done.uplink[0][Dot1Q].vlan == 101


def test_linux_cooked_without_addresses_gets_stand_ins(replay):
    done = both_pass(replay, raw_pcap([cooked(0x0800, p, address=b"") for p in PAIR], 113))
    assert done.uplink[0].src == done.sandbox[0].dst != done.uplink[0].dst


def test_linux_cooked_llc_is_malformed(replay):
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", raw_pcap([cooked(4, b"\x42\x42\x03" + b"\0" * 35)], 113))])
    assert done.reasons == {"malformed-packet": 1}


@pytest.mark.parametrize("linktype, name", [(105, "802.11"), (147, "147"), (195, "802.15.4")])
def test_other_links_are_refused_by_name(replay, linktype, name):
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", raw_pcap([b"\0" * 60], linktype))])
    assert done.code == 1
    assert "in.pcap" in done.stderr and name in done.stderr and "not supported" in done.stderr
    assert done.stdout == ""


def test_tags_stay_without_the_option(replay):
    frames = [bytes(Ether(src=INNER, dst=OUTER) / Dot1Q(vlan=101, prio=5) / THERE),
              bytes(Ether(src=OUTER, dst=INNER) / Dot1Q(vlan=101) / BACK)]
    done = both_pass(replay, raw_pcap(frames, 1), vlan=None)
    assert (done.uplink[0][Dot1Q].vlan, done.uplink[0][Dot1Q].prio) == (101, 5)


def test_option_replaces_a_tag(replay):
    frames = [bytes(Ether(src=INNER, dst=OUTER) / Dot1Q(vlan=7) / THERE),
              bytes(Ether(src=OUTER, dst=INNER) / Dot1Q(vlan=8) / BACK)]
    done = both_pass(replay, raw_pcap(frames, 1))
    assert done.uplink[0][Dot1Q].vlan == 101 and done.sandbox[0][Dot1Q].vlan == 101


def test_option_replaces_two_tags(replay):
    frames = [bytes(Ether(src=INNER, dst=OUTER) / Dot1AD(vlan=7) / Dot1Q(vlan=9) / THERE),
              bytes(Ether(src=OUTER, dst=INNER) / BACK)]
    done = both_pass(replay, raw_pcap(frames, 1))
    assert Dot1AD not in done.uplink[0] and done.uplink[0][Dot1Q].vlan == 101


def test_two_tags_without_the_option_are_malformed(replay):
    frame = Ether(src=INNER, dst=OUTER) / Dot1Q(vlan=101) / Dot1Q(vlan=9) / THERE
    assert replay(ALLOW_ALL, [frame], vlan=None).reasons == {"malformed-packet": 1}


def test_no_tag_and_no_option_hints_at_it(replay):
    done = replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))], vlan=None)
    assert done.reasons == {"unknown-sandbox": 1}
    assert "--vlan" in done.stderr


def test_native_vlan_of_a_config_needs_no_tag(replay):
    config = """
ports:
  sandbox: {dev: "net_null0", native-vlan: 101}
  uplink: {dev: "net_null1"}
dns: {resolvers: [203.0.113.53]}
"""
    done = replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))], vlan=None, config=config)
    assert done.reasons == {"allow-all": 1} and "--vlan" not in done.stderr
    done = replay(ALLOW_ALL, [out(UDP(sport=1, dport=2)), back(UDP(sport=2, dport=1))], config=config)
    assert done.reasons == {"allow-all": 2}
    assert done.uplink[0][Dot1Q].vlan == 101 and Dot1Q not in done.sandbox[0]


def test_super_segment_of_64_kib_is_read(replay):
    there = IP(src=CLIENT, dst=SERVER) / UDP(sport=1, dport=2) / (b"x" * 65507)
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", raw_pcap([bytes(there)], 101))])
    assert done.reasons == {"allow-all": 1}
    assert (replay.directory / "uplink.pcap").stat().st_size == 24 + 16 + 14 + 4 + 65535


def test_padding_of_short_frames_is_cut_to_zeros(replay):
    frame = bytes(Ether(src=INNER, dst=OUTER) / THERE)
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", raw_pcap([frame + b"secret" * 3], 1))])
    assert done.reasons == {"allow-all": 1}
    assert b"secret" not in bytes(done.uplink[0])


def test_packet_that_was_cut_is_malformed_and_warned_about(replay):
    frame = bytes(Ether(src=INNER, dst=OUTER) / THERE)
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", raw_pcap([frame, frame], 1, cut=4))])
    assert done.code == 0
    assert done.reasons == {"malformed-packet": 2}
    assert "2 of 2 packets were not captured whole" in done.stderr


def test_frames_too_short_to_be_any(replay):
    frames = [bytes(range(length)) for length in (0, 1, 6, 11, 12, 13, 14, 17, 18, 33)]
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", raw_pcap(frames, 1))])
    assert done.code == 0 and done.counters["packets"] == len(frames) and done.counters["forwarded"] == 0


@pytest.mark.parametrize("linktype", [101, 228, 229, 113, 276, 0, 108])
def test_packets_too_short_for_their_link(replay, linktype):
    packets = [bytes([first]) * length for first in (0, 0x45, 0x60, 0xff) for length in (0, 1, 3, 4, 15, 16, 19, 20)]
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", raw_pcap(packets, linktype))])
    assert done.code == 0 and done.counters["packets"] == len(packets) and done.counters["forwarded"] == 0
