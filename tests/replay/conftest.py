# SPDX-License-Identifier: Apache-2.0
"""`sluice replay` on captures that the tests make: run it, and read what it wrote.

$SLUICE is the executable under test (without it, what `make build` built).
"""

import collections
import json
import os
import pathlib
import ssl
import struct
import subprocess

import pytest
from scapy.config import conf
from scapy.layers import inet6  # known, so that its packets are read as what they are
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import rdpcap, wrpcap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
T0 = 1767323045.678901  # 2026-01-02T03:04:05.678901Z
INNER, OUTER = "02:00:00:00:00:01", "02:00:00:00:00:02"
CLIENT, SERVER = "10.0.0.2", "192.0.2.1"

conf.verb = 0
assert inet6.IPv6

ALLOW_ALL = "sandboxes: [{vlan: 101}]"
DENY_ALL = "sandboxes: [{vlan: 101, policy: deny-all}]"


def domains(*patterns):
    return f"sandboxes: [{{vlan: 101, policy: {{allow: {json.dumps(patterns)}}}}}]"


def subnets(*allow, deny=()):
    return ("sandboxes: [{vlan: 101, policy: {subnets: "
            f"{{allow: {json.dumps(allow)}, deny: {json.dumps(deny)}}}}}}}]")


def binary():
    for candidate in (os.environ.get("SLUICE"), ROOT / "build/control/sluice"):
        if candidate and pathlib.Path(candidate).is_file():
            return str(pathlib.Path(candidate).resolve())
    pytest.exit("there is no sluice to test: run `make build`, or set SLUICE to its path", 1)


def timed(packets, start=T0, step=0.01):
    """Gives packets that have no time of their own one after the other."""
    for number, packet in enumerate(packets):
        packet.time = start + number * step
    return packets


def at(packet, seconds):
    packet.time = T0 + seconds
    return packet


def hello(name):
    """A real ClientHello, as OpenSSL sends it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def out(packet, **fields):
    """From the sandbox to the server."""
    return Ether(src=INNER, dst=OUTER) / IP(src=CLIENT, dst=SERVER, **fields) / packet


def back(packet, **fields):
    return Ether(src=OUTER, dst=INNER) / IP(src=SERVER, dst=CLIENT, **fields) / packet


def tcp_open(sport=40000, dport=443):
    return [out(TCP(sport=sport, dport=dport, flags="S", seq=1000)),
            back(TCP(sport=dport, dport=sport, flags="SA", seq=5000, ack=1001)),
            out(TCP(sport=sport, dport=dport, flags="A", seq=1001, ack=5001))]


def tcp_data(data, sport=40000, dport=443, seq=1001, ack=5001):
    return out(TCP(sport=sport, dport=dport, flags="PA", seq=seq, ack=ack) / Raw(data))


def tls(name, sport=40000, dport=443):
    return [*tcp_open(sport, dport), tcp_data(hello(name), sport, dport)]


class Result:
    """What one replay printed and wrote."""

    def __init__(self, done, directory):
        self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        self.directory = directory
        self.counters, self.reasons = {}, collections.Counter()
        for line in self.stdout.splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == "reason":
                self.reasons[words[1]] = int(words[2])
            elif len(words) == 2 and words[1].isdigit():
                self.counters[words[0]] = int(words[1])

    @property
    def events(self):
        return [json.loads(line) for line in (self.directory / "events.jsonl").read_text().splitlines()]

    def left(self, port):
        return list(rdpcap(str(self.directory / f"{port}.pcap")))

    @property
    def uplink(self):
        return self.left("uplink")

    @property
    def sandbox(self):
        return self.left("sandbox")


class Replay:
    """Runs `sluice replay` in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory

    def path(self, name):
        return str(self.directory / name)

    def write(self, name, text):
        (self.directory / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

    def call(self, *args, **options):
        """Any arguments, nothing added."""
        done = subprocess.run([binary(), "replay", *map(str, args)], capture_output=True, text=True,
                              timeout=120, cwd=self.directory, stdin=subprocess.DEVNULL, **options)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return Result(done, self.directory)

    def files(self, policy, captures, *args, vlan=101, config=None):
        """Capture files that are there already."""
        args = [*args, "--policy", self.write("policy.yaml", policy), "--events", self.path("events.jsonl"),
                "--uplink-out", self.path("uplink.pcap"), "--sandbox-out", self.path("sandbox.pcap")]
        if vlan is not None:
            args += ["--vlan", vlan]
        if config is not None:
            args += ["--config", self.write("sluice.yaml", config)]
        (self.directory / "events.jsonl").unlink(missing_ok=True)
        result = self.call(*args, *captures)
        if result.code == 0 and "packets" in result.counters:
            balance(result)
        return result

    def __call__(self, policy, packets, *args, linktype=None, **options):
        """Packets as an Ethernet capture; those without a time come 10 ms apart."""
        packets = list(packets)
        if all(packet.time < T0 - 1 or packet.time > T0 + 1e6 for packet in packets):
            timed(packets)
        wrpcap(self.path("in.pcap"), packets, linktype=linktype)
        result = self.files(policy, [self.path("in.pcap")], *args, **options)
        assert result.code == 0, result.stderr
        return result


ALLOW_REASONS = {"allow-all", "subnet-allowed", "domain-allowed", "pin-allowed", "dns-allowed", "neighbour"}


def balance(result):
    """In = out + reasons, always. What is let out before a verdict (a handshake) has no reason."""
    counters = result.counters
    allowed = sum(n for reason, n in result.reasons.items() if reason in ALLOW_REASONS)
    assert counters["packets"] == counters["forwarded"] + counters["dropped"], result.stdout
    assert counters["dropped"] == sum(result.reasons.values()) - allowed, result.stdout
    assert counters["forwarded"] >= allowed, result.stdout


@pytest.fixture
def replay(tmp_path):
    return Replay(tmp_path)


def moment(number, scale):
    """10 ms after each other, in units of 1/scale s; exact, as a float is not."""
    return (1767323045678901 + number * 10000) * scale // 10**6


def raw_pcap(packets, linktype, magic=0xa1b2c3d4, order="<", snaplen=262144, cut=0):
    """A pcap file byte by byte: bytes with times; any link type, byte order, resolution."""
    scale = 1e9 if magic == 0xa1b23c4d else 1e6
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, linktype)
    for number, packet in enumerate(packets):
        seconds, fraction = divmod(moment(number, int(scale)), int(scale))
        data += struct.pack(order + "IIII", seconds, fraction, len(packet) - cut, len(packet))
        data += packet[:len(packet) - cut]
    return data


def block(kind, body, order):
    body += b"\0" * (-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def raw_pcapng(packets, linktype=1, order="<", nanoseconds=False):
    """A pcapng file: section header, one interface, enhanced packets."""
    data = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    options = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0) if nanoseconds else b""
    data += block(1, struct.pack(order + "HHI", linktype, 0, 0) + options, order)
    for number, packet in enumerate(packets):
        units = moment(number, 10**9 if nanoseconds else 10**6)
        data += block(6, struct.pack(order + "IIIII", 0, units >> 32, units & 0xffffffff, len(packet),
                                     len(packet)) + packet, order)
    return data


def pytest_terminal_summary(terminalreporter):
    """The form in which tests/run counts the cases of a program."""
    for key, label in (("passed", "[  PASSED  ]"), ("failed", "[  FAILED  ]"), ("skipped", "[  SKIPPED ]")):
        if terminalreporter.stats.get(key):
            terminalreporter.write_line(f"{label} {len(terminalreporter.stats[key])} test(s)")
