# SPDX-License-Identifier: Apache-2.0
"""The capture's clock: gaps, jumps, several files, and what is due in between."""

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.utils import wrpcap

from conftest import ALLOW_ALL, T0, at, back, domains, hello, out, tcp_data, tcp_open, timed


def test_events_and_frames_have_the_captures_time(replay):
    done = replay(ALLOW_ALL, [at(out(UDP(sport=1, dport=2)), 0.25), at(out(UDP(sport=3, dport=4)), 1.5)])
    assert [e["ts"] for e in done.events] == ["2026-01-02T03:04:05.928901Z", "2026-01-02T03:04:07.178901Z"]
    assert [round(float(p.time) - T0, 3) for p in done.uplink] == [0.25, 1.5]


def test_time_never_goes_back(replay):
    done = replay(ALLOW_ALL, [at(out(UDP(sport=1, dport=2)), 10), at(out(UDP(sport=3, dport=4)), 3),
                              at(out(UDP(sport=5, dport=6)), 11)])
    assert [round(float(p.time) - T0, 3) for p in done.uplink] == [10, 10, 11]
    assert [e["ts"][17:19] for e in done.events] == ["15", "15", "16"]


def test_captures_follow_each_other(replay):
    wrpcap(replay.path("a.pcap"), timed(tcp_open()))
    wrpcap(replay.path("b.pcap"), [at(tcp_data(hello("example.com")), 1)])
    done = replay.files(domains("example.com"), [replay.path("a.pcap"), replay.path("b.pcap")])
    assert done.reasons == {"domain-allowed": 1} and done.counters["forwarded"] == 4


def test_captures_in_the_wrong_order_are_taken_as_given(replay):
    wrpcap(replay.path("a.pcap"), [at(out(UDP(sport=1, dport=2)), 100)])
    wrpcap(replay.path("b.pcap"), [at(back(UDP(sport=2, dport=1)), 0)])
    done = replay.files(ALLOW_ALL, [replay.path("a.pcap"), replay.path("b.pcap")])
    assert done.reasons == {"allow-all": 2}


def test_gap_of_a_year_costs_nothing(replay):
    done = replay(ALLOW_ALL, [at(out(UDP(sport=1, dport=2)), 0), at(back(UDP(sport=2, dport=1)), 365 * 86400)])
    assert done.reasons == {"allow-all": 1, "no-flow": 1}


def test_established_connection_outlives_two_hours(replay):
    packets = [*timed(tcp_open()), at(tcp_data(b"x"), 7400), at(tcp_data(b"y", seq=1002), 7400 + 7500)]
    done = replay(ALLOW_ALL, packets)
    assert done.reasons["allow-all"] == 4 and done.reasons["no-flow"] == 1


def test_what_is_held_at_the_end_is_settled_at_its_time(replay):
    done = replay(domains("example.com"), timed([*tcp_open(), tcp_data(hello("example.com")[:40])]))
    event = done.events[-1]
    assert event["reason"] == "hello-timeout" and "03:04:15" <= event["ts"][11:19] <= "03:04:18"
    last = [p for p in done.sandbox if p[TCP].flags.R][-1]
    assert 9.9 < float(last.time) - T0 < 12


@pytest.mark.parametrize("behind", [b"\x17\x03\x03\x00\x05early", b"\x16\x03\x03\x00\x05hello"])
def test_what_waits_for_the_servers_first_record_ends_with_the_input(replay, behind):
    """The server has acknowledged the hello and not answered it when the capture ends."""
    first = hello("example.com")
    end = 1001 + len(first)
    packets = [*tcp_open(), tcp_data(first), back(TCP(sport=443, dport=40000, flags="A", seq=5001, ack=end)),
               tcp_data(behind, seq=end)]
    done = replay(domains("example.com"), timed(packets))
    assert "held" not in done.stderr
    assert done.counters["packets"] == len(packets)
    assert done.counters["packets"] == done.counters["forwarded"] + done.counters["dropped"]


def test_empty_capture_is_no_error(replay):
    wrpcap(replay.path("in.pcap"), out(UDP()))
    data = (replay.directory / "in.pcap").read_bytes()[:24]
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap", data)])
    assert done.code == 0
    assert done.stdout == "packets 0\nforwarded 0\ndropped 0\nflows 0\n"
