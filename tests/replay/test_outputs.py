# SPDX-License-Identifier: Apache-2.0
"""What is printed and written, and in which form."""

import json
import os
import re
import subprocess

from scapy.layers.inet import IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import IPv6, IPv6ExtHdrRouting
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from conftest import (ALLOW_ALL, CLIENT, DENY_ALL, INNER, OUTER, SERVER, back, binary, domains, out, raw_pcap,
                      subnets, tls)

KEYS = ["ts", "event", "generation", "vlan", "sandbox", "verdict", "reason", "proto", "src", "sport", "dst", "dport",
        "name", "via"]


def test_counters_have_their_lines_in_order(replay):
    done = replay(subnets("192.0.2.0/24"), [out(UDP(sport=1, dport=2)), back(UDP(sport=2, dport=1)),
                                            back(UDP(sport=2, dport=9)), out(TCP(flags="A"))])
    assert done.stdout.splitlines() == ["packets 4", "forwarded 2", "dropped 2", "flows 1", "reason no-flow 2",
                                        "reason subnet-allowed 2"]


def test_json_is_one_object_with_the_same(replay):
    done = replay(DENY_ALL, [out(TCP(flags="S"))], "--json")
    assert json.loads(done.stdout) == {
        "packets": 1, "forwarded": 0, "dropped": 1, "flows": 0, "reasons": {"deny-all": 1},
        "made": {"sandbox": 1, "uplink": 0}, "answers-suppressed": 0, "events-suppressed": 0}
    assert done.stdout.count("\n") == 1


def test_events_have_every_key_in_order(replay):
    done = replay("sandboxes: [{vlan: 101, name: 'b\"ü\\'}]", [out(UDP(sport=1, dport=2))])
    line, = (replay.directory / "events.jsonl").read_text().splitlines()
    event = json.loads(line)
    assert list(event) == KEYS
    assert event == {"ts": "2026-01-02T03:04:05.678901Z", "event": "flow", "generation": 1, "vlan": 101,
                     "sandbox": 'b"ü\\', "verdict": "allow", "reason": "allow-all", "proto": "udp", "src": "10.0.0.2",
                     "sport": 1, "dst": "192.0.2.1", "dport": 2, "name": None, "via": None}
    assert done.counters["flows"] == 1


def test_event_of_a_judged_name_says_how_it_was_proved(replay):
    event = replay(domains("*.example.com"), tls("WWW.Example.COM")).events[-1]
    assert (event["name"], event["via"], event["reason"]) == ("www.example.com", "tls", "domain-allowed")


def test_event_of_another_protocol_has_its_number(replay):
    packet = out(Raw(b"x" * 20), proto=47)
    event, = replay(DENY_ALL, [packet]).events
    assert (event["proto"], event["sport"], event["dport"]) == (47, None, None)


def test_events_on_standard_output_come_before_the_counters(replay):
    done = replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))])
    again = replay.call("--policy", "policy.yaml", "--vlan", "101", "--events", "-", "in.pcap")
    lines = again.stdout.splitlines()
    assert json.loads(lines[0]) == done.events[0]
    assert lines[1:] == done.stdout.splitlines()


def test_events_are_appended_as_a_running_gateway_does(replay):
    replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))])
    replay.call("--policy", "policy.yaml", "--vlan", "101", "--events", "events.jsonl", "in.pcap")
    assert len((replay.directory / "events.jsonl").read_text().splitlines()) == 2


def test_resets_of_a_refused_connection_are_in_both_files(replay):
    done = replay(domains("example.com"), tls("example.org"))
    assert any(p[TCP].flags.R for p in done.uplink) and any(p[TCP].flags.R for p in done.sandbox)
    assert all(p[Dot1Q].vlan == 101 for p in done.uplink + done.sandbox)


def test_checksums_in_the_outputs_are_right(replay):
    done = replay(domains("example.com"), tls("example.org") + tls("example.com", sport=40001))
    for packet in done.uplink + done.sandbox:
        fresh = packet.copy()
        del fresh[IP].chksum, fresh[TCP].chksum
        fresh = fresh.__class__(bytes(fresh))
        assert (fresh[IP].chksum, fresh[TCP].chksum) == (packet[IP].chksum, packet[TCP].chksum)


def test_bad_checksum_is_dropped_or_ignored_as_asked(replay):
    packets = [out(UDP(sport=1, dport=2, chksum=0x1234) / b"x")]
    assert replay(ALLOW_ALL, [p.copy() for p in packets]).reasons == {"malformed-packet": 1}
    assert replay(ALLOW_ALL, [p.copy() for p in packets], "--checksums", "verify").reasons == {"malformed-packet": 1}
    assert replay(ALLOW_ALL, packets, "--checksums", "ignore").reasons == {"allow-all": 1}


def test_partial_checksum_of_offload_is_good(replay):
    packet = out(UDP(sport=1, dport=2) / b"x")
    header = bytes(packet[IP])
    total = sum(int.from_bytes(header[i:i + 2], "big") for i in range(12, 20, 2)) + 17 + 9
    packet[UDP].chksum = (total & 0xffff) + (total >> 16)
    assert replay(ALLOW_ALL, [packet]).reasons == {"allow-all": 1}


def test_only_outputs_that_are_asked_for_are_written(replay):
    replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))])
    for name in "events.jsonl", "uplink.pcap", "sandbox.pcap":
        os.unlink(replay.path(name))
    assert replay.call("--policy", "policy.yaml", "--vlan", "101", "in.pcap").code == 0
    assert sorted(os.listdir(replay.directory)) == ["in.pcap", "policy.yaml"]


def test_same_input_gives_the_same_output(replay):
    packets = tls("example.com") + tls("example.org", sport=40001) + [out(UDP(sport=1, dport=2))]
    first = replay(domains("example.com"), packets)
    events, frames = first.events, [bytes(p) for p in first.uplink + first.sandbox]
    second = replay.files(domains("example.com"), ["in.pcap"])
    assert second.stdout == first.stdout and second.events == events
    assert [p for p in map(bytes, second.uplink + second.sandbox)] == frames


def test_output_that_cannot_be_written_is_an_error(replay):
    replay(ALLOW_ALL, [out(UDP(sport=1, dport=2) / (b"x" * 1000)) for _ in range(20)])
    for option, path in ("--events", "/dev/full"), ("--uplink-out", "/dev/full"), ("--events", "no/such/dir"), \
            ("--sandbox-out", "no/such/dir"):
        done = replay.call("--policy", "policy.yaml", "--vlan", "101", option, path, "in.pcap")
        assert done.code == 1 and path in done.stderr, (option, path, done.stderr)


def test_closed_standard_output_is_an_error(replay):
    replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))])
    with open("/dev/full", "w") as full:
        done = subprocess.run([binary(), "replay", "--policy", "policy.yaml", "in.pcap"], cwd=replay.directory,
                              stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and re.search("standard output", done.stderr)


def event_of(replay, frame, **options):
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", raw_pcap([frame], 1, **options))])
    assert done.reasons == {"malformed-packet": 1}, done.stdout
    return {key: done.events[0][key] for key in ("vlan", "proto", "src", "sport", "dst", "dport")}


WHOLE = {"vlan": 101, "proto": "udp", "src": CLIENT, "sport": 7, "dst": SERVER, "dport": 8}
NO_PORTS = {**WHOLE, "sport": None, "dport": None}
NOTHING = {**NO_PORTS, "proto": None, "src": None, "dst": None}


def damaged(frame, at, value):
    frame = bytearray(bytes(frame))
    frame[at] = value
    return bytes(frame)


def test_event_of_a_malformed_packet_has_what_was_read_of_it(replay):
    frame = out(UDP(sport=7, dport=8) / (b"x" * 40))
    assert event_of(replay, bytes(frame), cut=4) == WHOLE  # the whole header, not all of the data
    assert event_of(replay, bytes(frame), cut=48 - 3) == NO_PORTS  # three bytes of the UDP header
    assert event_of(replay, bytes(frame), cut=48 + 10) == NOTHING  # not the whole IP header
    assert event_of(replay, damaged(frame, 14 + 20 + 5, 99)) == WHOLE  # the datagram's length
    assert event_of(replay, damaged(frame, 14 + 8, 3)) == NOTHING  # the header's own sum is wrong
    assert event_of(replay, bytes(out(UDP(sport=7, dport=8), flags="evil"))) == WHOLE
    assert event_of(replay, damaged(frame, 14 + 20 + 7, 1)) == WHOLE  # the datagram's sum
    assert event_of(replay, bytes(out(UDP(sport=7, dport=8), options=[IPOption_Router_Alert()]))) == WHOLE
    segment = bytes(out(TCP(sport=7, dport=8, dataofs=15)))
    assert event_of(replay, segment) == {**WHOLE, "proto": "tcp"}


def test_event_of_a_malformed_ipv6_packet_has_what_was_read_of_it(replay):
    frame = bytes(Ether(src=INNER, dst=OUTER) / IPv6(src="fd00::2", dst="2001:db8::1") /
                  UDP(sport=7, dport=8) / (b"x" * 40))
    whole = {**WHOLE, "src": "fd00::2", "dst": "2001:db8::1"}
    assert event_of(replay, frame, cut=4) == whole
    assert event_of(replay, frame, cut=47) == {**whole, "sport": None, "dport": None}
    assert event_of(replay, frame, cut=50) == NOTHING
    routed = bytes(Ether(src=INNER, dst=OUTER) / IPv6(src="fd00::2", dst="2001:db8::1") /
                   IPv6ExtHdrRouting() / UDP(sport=7, dport=8))
    assert event_of(replay, routed) == {**whole, "proto": 43, "sport": None, "dport": None}


def test_event_from_the_uplink_keeps_its_sides(replay):
    frame = bytes(back(UDP(sport=8, dport=7) / (b"x" * 40)))
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", raw_pcap([frame], 1, cut=4))], "--inside", CLIENT)
    assert {key: done.events[0][key] for key in WHOLE} == WHOLE
