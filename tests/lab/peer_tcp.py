# SPDX-License-Identifier: Apache-2.0
"""Servers with ways of their own: a scripted TCP peer that answers as no kernel would, and OpenSSL's
server where a test needs one that asks for another hello."""

import contextlib
import re
import socket
import subprocess
import threading

from rawhost import IP, TCP, Ether, IPv6, ip_of, signed
from topology import mac_of, wait_for


class Peer:
    """One address of the far side, played by the test: the router throws away what goes there, so no
    kernel answers, and the peer reads it off the router's leg as the gateway let it out."""

    def __init__(self, sandbox, address, irs=700_000):
        self.sandbox, self.address, self.irs = sandbox, address, irs
        self.router = sandbox.internet.router
        self.mac = mac_of(self.router, sandbox.leg)
        self.heard = []  # every TCP packet that came, in order
        self.changed = threading.Condition()
        self.socket = self.router.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((sandbox.leg, 3))
        self.socket.setblocking(False)

    @property
    def route(self):
        return f"blackhole {self.address}/{128 if ':' in self.address else 32}"

    def __enter__(self):
        self.router.batch(f"route add {self.route}")
        self.sandbox.lab.recorder.watch(self)
        return self

    def __exit__(self, *_):
        self.sandbox.lab.recorder.forget(self)
        self.router.batch(f"route del {self.route}")

    def drain(self):
        """Called by the recorder's thread."""
        came = []
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, address = self.socket.recvfrom(65535)
                packet = ip_of(frame) if address[2] != socket.PACKET_OUTGOING else None
                if packet is not None and packet.dst == self.address and TCP in packet:
                    came.append(packet)
        with self.changed:
            self.heard.extend(came)
            self.changed.notify_all()

    def wait(self, condition, what, timeout=10):
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise AssertionError(f"waited {timeout} s in vain for {what} "
                                     f"(heard: {[p.summary() for p in self.heard]})")

    def flags(self):
        """The flags of all that was heard: ["S", "A", ...]."""
        return [str(packet[TCP].flags) for packet in self.heard]

    def await_flags(self, flags):
        self.wait(lambda: flags in self.flags(), f"a segment with {flags}")

    def stream(self, connection):
        """The client's bytes as a server would put them together."""
        stream = {}
        for packet in self.heard:
            data = bytes(packet[TCP].payload)[:payload_length(packet)]
            at = signed(packet[TCP].seq - connection.isn - 1)
            for number, byte in enumerate(data, at):
                stream.setdefault(number, byte)
        return bytes(stream[number] for number in sorted(stream))

    def await_stream(self, connection, expected):
        self.wait(lambda: self.stream(connection) == expected, f"{len(expected)} bytes")

    def send(self, connection, flags, data=b"", at=-1, ack=0, **fields):
        """One segment to a RawTcp of the sandbox. Offsets as there: -1 is our SYN's own number, and
        `ack` counts the client's bytes."""
        base = (IPv6(src=self.address, dst=connection.host.ip6) if ":" in self.address
                else IP(src=self.address, dst=connection.host.ip, flags="DF"))
        fields.setdefault("window", 64000)
        fields.setdefault("seq", (self.irs + 1 + at) % 2**32)
        tcp = TCP(sport=connection.port, dport=connection.sport, flags=flags,
                  ack=(connection.isn + 1 + ack) % 2**32 if "A" in flags else 0, **fields)
        with self.router.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.bind((self.sandbox.leg, 0))
            sender.send(bytes(Ether(src=self.mac, dst=self.sandbox.mac) / base / tcp / data))

    def accept(self, connection, **fields):
        """The honest answer to a SYN, and the client's to that."""
        self.await_flags("S")
        self.send(connection, "SA", options=[("MSS", 1460)], **fields)
        connection.handshake()
        self.await_flags("A")


def payload_length(packet):
    length = packet.len - packet.ihl * 4 if packet.version == 4 else packet.plen
    return length - packet[TCP].dataofs * 4


class TlsServer:
    """openssl s_server on the lab's host, for as long as the context lasts. It prints the name of
    every hello that it reads."""

    def __init__(self, internet, port, *options):
        self.internet, self.port = internet, port
        self.log = internet.where / f"tls-{port}.out"
        pair = ["-cert", internet.where / "server.pem", "-key", internet.where / "server.key"]
        second = ["-cert2", pair[1], "-key2", pair[3], "-servername", "nobody.example"]
        self.argv = ["stdbuf", "-oL", "openssl", "s_server", "-accept", port, *pair, *second, *options]

    def __enter__(self):
        with open(self.log, "wb") as out:
            self.process = self.internet.host.spawn(*self.argv, stdin=subprocess.PIPE, stdout=out,
                                                    stderr=subprocess.STDOUT)
        wait_for(lambda: "ACCEPT" in self.output(), f"openssl s_server on port {self.port}")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def output(self):
        return self.log.read_text(errors="replace")

    def names(self):
        """The names of the hellos so far; a connection that is asked for another hello has two."""
        return re.findall(r'Hostname in TLS extension: "(.*)"', self.output())
