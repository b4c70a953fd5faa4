# SPDX-License-Identifier: Apache-2.0
"""Captures that gzip packed: known by their bytes, not by their names."""

import gzip
import subprocess
import time
import zlib

import pytest
from scapy.layers.inet import UDP

from conftest import ALLOW_ALL, binary, out, raw_pcap, raw_pcapng

FRAMES = [bytes(out(UDP(sport=1000 + n, dport=2000))) for n in range(50)]


@pytest.mark.parametrize("name", ["in.pcap.gz", "in.pcap"])
@pytest.mark.parametrize("form", [raw_pcap, raw_pcapng])
def test_packed_capture_is_read_whatever_its_name(replay, form, name):
    done = replay.files(ALLOW_ALL, [replay.write(name, gzip.compress(form(FRAMES, 1)))])
    assert done.code == 0, done.stderr
    assert done.reasons == {"allow-all": 50}


def test_plain_capture_under_a_packed_name_is_read(replay):
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap.gz", raw_pcap(FRAMES, 1))])
    assert done.code == 0 and done.reasons == {"allow-all": 50}


def test_members_one_after_the_other_are_one_capture(replay):
    """As written by pigz and `cat`; bytes after the last member that are not gzip are ignored, as gzip does."""
    data = raw_pcap(FRAMES, 1)
    packed = gzip.compress(data[:700]) + gzip.compress(data[700:]) + b"\0" * 20
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap.gz", packed)])
    assert done.code == 0 and done.reasons == {"allow-all": 50}


@pytest.mark.parametrize("packed", [True, False])
def test_pipe_is_read(replay, packed):
    data = raw_pcap(FRAMES, 1)
    done = subprocess.run([binary(), "replay", "--vlan", "101", "--policy", replay.write("p.yaml", ALLOW_ALL), "-"],
                          input=gzip.compress(data) if packed else data, capture_output=True, timeout=60)
    assert b"reason allow-all 50" in done.stdout, done.stderr


@pytest.mark.parametrize("packed", [True, False])
def test_live_pipe_is_read_as_it_comes(replay, packed):
    """It comes in two pieces, the second one late."""
    data = raw_pcap(FRAMES[:2], 1)
    half = 24 + 16 + len(FRAMES[0])
    squeeze = zlib.compressobj(wbits=31)
    first = squeeze.compress(data[:half]) + squeeze.flush(zlib.Z_SYNC_FLUSH) if packed else data[:half]
    second = squeeze.compress(data[half:]) + squeeze.flush() if packed else data[half:]
    with subprocess.Popen([binary(), "replay", "--vlan", "101", "--policy", replay.write("p.yaml", ALLOW_ALL),
                           "--uplink-out", replay.path("up.pcap"), "--events", replay.path("events.jsonl"), "-"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(first)
        process.stdin.flush()
        time.sleep(0.5)
        process.stdin.write(second)
        rest, _ = process.communicate(timeout=60)
    assert b"packets 2" in rest


def test_packed_capture_that_ends_in_the_middle_is_an_error(replay):
    packed = gzip.compress(raw_pcap(FRAMES, 1))
    for cut in (10, len(packed) // 2, len(packed) - 4):
        done = replay.files(ALLOW_ALL, [replay.write("in.pcap.gz", packed[:cut])])
        assert done.code == 1 and "in.pcap.gz: the gzip data ends in the middle" in done.stderr, done.stderr


def test_packed_capture_that_is_damaged_is_an_error(replay):
    packed = bytearray(gzip.compress(raw_pcap(FRAMES, 1)))
    packed[-6] ^= 0xff  # its checksum
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap.gz", bytes(packed))])
    assert done.code == 1 and "in.pcap.gz: the gzip data is damaged" in done.stderr, done.stderr


def test_packed_text_is_no_capture(replay):
    done = replay.files(ALLOW_ALL, [replay.write("in.pcap.gz", gzip.compress(b"no capture at all" * 9))])
    assert done.code == 1 and "in.pcap.gz: unknown file format" in done.stderr, done.stderr
