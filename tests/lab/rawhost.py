# SPDX-License-Identifier: Apache-2.0
"""A host in userspace inside a sandbox: it sends any frame and any segment that a test can think of.

It has an address of its own beside the sandbox's, so the sandbox's kernel knows nothing of its
connections and never answers for them (no reset spoils a handshake). It answers ARP and neighbour
solicitation itself.
"""

import contextlib
import logging
import random
import socket
import ssl
import struct
import threading
import time

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402 (for the tests as well)
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402

from topology import arp_request, mac_of  # noqa: E402

__all__ = ["ICMP", "IP", "IPv6", "TCP", "UDP", "Ether", "RawHost", "RawTcp", "TlsClient",
           "denied_by_alert", "ip_of", "signed"]

# None comes twice: the gateway remembers what it cut, and events are told apart by them.
FREE_PORTS = iter(random.sample(range(20000, 60000), 40000))


class RawHost:
    """Frames in and out of one sandbox's eth0. Close it, or use it as a context manager."""

    def __init__(self, sandbox, ip=None, ip6=None):
        self.sandbox = sandbox
        self.ip = ip or sandbox.prefix + "66"
        self.ip6 = ip6 or sandbox.prefix6 + "66"
        self.mac = mac_of(sandbox.space, "eth0")
        self.socket = sandbox.space.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind(("eth0", 3))
        self.socket.setblocking(False)
        self.received = []
        self.changed = threading.Condition()
        self.connections = {}
        self.gateway_mac = None
        sandbox.lab.recorder.watch(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sandbox.lab.recorder.forget(self)

    def frame(self, frame):
        """Sends these bytes as they are."""
        self.socket.send(bytes(frame))

    def send(self, packet):
        """Sends an IP or IPv6 packet to the sandbox's gateway."""
        self.frame(Ether(src=self.mac, dst=self.gateway()) / packet)

    def gateway(self):
        """The router's MAC address, asked for by ARP the first time."""
        if not self.gateway_mac:
            self.frame(arp_request(self.mac, self.ip, self.sandbox.gateway))
            reply = self.wait(lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\x00\x02"
                              and f[28:32] == socket.inet_aton(self.sandbox.gateway),
                              f"{self.sandbox.gateway} to answer ARP")
            self.gateway_mac = reply[6:12]
        return self.gateway_mac

    def wait(self, matches, what, timeout=10):
        """Waits for a frame (bytes) that matches."""
        with self.changed:
            if not self.changed.wait_for(lambda: any(map(matches, self.received)), timeout):
                raise AssertionError(f"waited {timeout} s in vain for {what}")
            return next(filter(matches, self.received))

    def wait_ip(self, matches, what, timeout=10):
        """Waits for an IP packet (scapy) that matches."""
        return ip_of(self.wait(lambda f: (p := ip_of(f)) is not None and matches(p), what, timeout))

    def drain(self):
        """Called by the recorder's thread."""
        came = []
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, address = self.socket.recvfrom(65535)
                if address[2] != socket.PACKET_OUTGOING:
                    came.append(frame)
        for frame in came:
            self.answer_neighbours(frame)
            self.to_connection(frame)
        with self.changed:
            self.received.extend(came)
            self.changed.notify_all()

    def answer_neighbours(self, frame):
        mine, mine6 = socket.inet_aton(self.ip), socket.inet_pton(socket.AF_INET6, self.ip6)
        if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x01" and frame[38:42] == mine:
            self.frame(frame[6:12] + self.mac + frame[12:20] + b"\x00\x02"
                       + self.mac + mine + frame[22:32])
        elif frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 135 \
                and frame[62:78] == mine6:
            self.frame(neighbour_advertisement(self.mac, mine6, frame))

    def to_connection(self, frame):
        if frame[12:14] == b"\x08\x00" and frame[23] == 6:
            ports = 14 + (frame[14] & 15) * 4
        elif frame[12:14] == b"\x86\xdd" and frame[20] == 6:
            ports = 54
        else:
            return
        connection = self.connections.get(struct.unpack("!H", frame[ports + 2:ports + 4])[0])
        if connection:
            connection.input(ip_of(frame))

    def connect(self, address, port, **options):
        """A TCP connection, its handshake done."""
        connection = RawTcp(self, address, port, **options)
        connection.syn()
        connection.handshake()
        return connection


def ip_of(frame):
    if frame[12:14] == b"\x08\x00":
        return IP(frame[14:])
    if frame[12:14] == b"\x86\xdd":
        return IPv6(frame[14:])
    return None


def neighbour_advertisement(mac, address, solicitation):
    """Solicited, override, with our link-layer address (RFC 4861 section 4.4)."""
    asker = solicitation[22:38]
    body = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + address + b"\x02\x01" + mac
    pseudo = address + asker + struct.pack("!II", len(body), 58)
    body = body[:2] + checksum(pseudo + body) + body[4:]
    return (solicitation[6:12] + mac + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), 58, 255)
            + address + asker + body)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack("!H", ~total & 0xffff)


class RawTcp:
    """A TCP connection whose every segment the test decides; what comes is put together and
    acknowledged as a normal host would (unless auto_ack is off).

    Offsets count the bytes of our stream from 0; -1 is the SYN's own number.
    """

    def __init__(self, host, address, port, sport=None, isn=None, auto_ack=True):
        self.host, self.address, self.port = host, address, port
        self.sport = sport or next(FREE_PORTS)
        self.isn = random.getrandbits(32) if isn is None else isn
        self.auto_ack = auto_ack
        self.sent = 0  # the next byte of our stream
        self.acked = -1  # how much of our stream the server has acknowledged; 0: the SYN
        self.their_next = None
        self.stream = b""  # what came, in order
        self.early = {}
        self.segments = []  # every TCP packet that came
        self.reset = self.finished = False
        self.changed = threading.Condition()
        host.connections[self.sport] = self

    def base(self):
        six = ":" in self.address
        return (IPv6(src=self.host.ip6, dst=self.address) if six
                else IP(src=self.host.ip, dst=self.address, id=random.getrandbits(16), flags="DF"))

    def segment(self, data=b"", offset=None, flags="PA", ip=None, **fields):
        """Sends one segment with any field as the test says; ip={'ttl': 1} changes the IP header."""
        offset = self.sent if offset is None else offset
        packet = self.base()
        for name, value in (ip or {}).items():
            setattr(packet, name, value)
        fields.setdefault("ack", self.their_next or 0)
        tcp = TCP(sport=self.sport, dport=self.port, flags=flags,
                  seq=(self.isn + 1 + offset) % 2**32, window=fields.pop("window", 64000), **fields)
        self.host.send(packet / tcp / data)

    def syn(self, data=b"", **fields):
        fields.setdefault("options", [("MSS", 1460)])
        self.segment(data, offset=-1, flags=fields.pop("flags", "S"), ack=0, **fields)

    def handshake(self):
        """Waits for the SYN/ACK and acknowledges it."""
        self.wait(lambda: self.their_next is not None or self.reset, "a SYN/ACK")
        assert not self.reset, f"{self.address} port {self.port} was refused"
        self.segment(flags="A")

    def send(self, data, cut=1400):
        """Sends the next bytes of the stream, in order, in pieces of at most `cut`."""
        for start in range(0, len(data), cut):
            self.segment(data[start:start + cut])
            self.sent += len(data[start:start + cut])

    def send_in_order(self, data, cuts):
        """Sends data as the pieces [(from, to), ...], in that order: reversed, overlapping, twice."""
        first = self.sent
        for start, end in cuts:
            self.segment(data[start:end], offset=first + start)
        self.sent = first + len(data)

    def input(self, packet):
        """Called by the recorder's thread."""
        tcp = packet[TCP]
        if tcp.sport != self.port or packet.src != self.address:
            return
        length = packet.len - packet.ihl * 4 if packet.version == 4 else packet.plen
        data = bytes(tcp.payload)[:length - tcp.dataofs * 4]
        with self.changed:
            self.segments.append(packet)
            self.reset |= "R" in tcp.flags
            if "S" in tcp.flags and self.their_next is None:
                self.their_next = (tcp.seq + 1) % 2**32
            if "A" in tcp.flags and "R" not in tcp.flags:
                self.acked = max(self.acked, signed(tcp.ack - self.isn - 1))
            if data:
                self.early[tcp.seq] = data
            self.assemble()
            if "F" in tcp.flags and tcp.seq + len(data) == self.their_next:
                self.finished = True
                self.their_next = (self.their_next + 1) % 2**32
            if self.auto_ack and not self.reset and (data or "F" in tcp.flags):
                self.segment(flags="A")
            self.changed.notify_all()

    def assemble(self):
        moved = True
        while moved and self.their_next is not None:
            moved = False
            for seq in list(self.early):
                skip = signed(self.their_next - seq)
                if skip >= len(self.early[seq]):
                    del self.early[seq]
                elif skip >= 0:
                    piece = self.early.pop(seq)[skip:]
                    self.stream += piece
                    self.their_next = (self.their_next + len(piece)) % 2**32
                    moved = True

    def wait(self, condition, what, timeout=10):
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise AssertionError(f"waited {timeout} s in vain for {what} "
                                     f"(came: {[p.summary() for p in self.segments]})")

    def await_bytes(self, count=1):
        """Waits for `count` bytes of the server, or for the end of the connection."""
        self.wait(lambda: len(self.stream) >= count or self.reset or self.finished,
                  f"{count} bytes of {self.address}")
        return self.stream

    def await_ack(self, offset):
        """Waits until the server has acknowledged this much of our stream."""
        self.wait(lambda: self.acked >= offset or self.reset, f"an acknowledgement of {offset}")

    def await_reset(self):
        self.wait(lambda: self.reset, "a reset")

    def close(self):
        self.segment(flags="RA")


def signed(number):
    """A difference of sequence numbers, as a signed one (RFC 9293 section 3.4)."""
    number %= 2**32
    return number - 2**32 if number >= 2**31 else number


# RFC 8446 section 6: alert, fatal (2), access_denied (49).
ACCESS_DENIED = bytes([2, 49])


class TlsClient:
    """A real TLS client without a socket: the test carries its bytes."""

    def __init__(self, name, ca=None, size=0):
        """`size`: the hello shall be at least as large, as post-quantum ones are."""
        self.name, self.hello, protocols = name, b"", []
        while len(self.hello) < max(size, 1):
            context = ssl.create_default_context(cafile=ca)
            if not ca:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if protocols:
                context.set_alpn_protocols(["http/1.1", *protocols])
            self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = context.wrap_bio(self.inward, self.outward, server_hostname=name)
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.hello = self.outward.read()  # the ClientHello, in one record
            protocols.append(f"{len(protocols):099d}")  # one that nobody speaks

    def finish(self, connection, request="GET / HTTP/1.0\r\nHost: {name}\r\n\r\n"):
        """The hello has been sent: carries the rest both ways, returns what the server answered."""
        used = 0
        end = time.monotonic() + 10
        step, answer = self.tls.do_handshake, b""
        while time.monotonic() < end:
            wanting = False
            try:
                done = step()
                if step == self.tls.do_handshake:
                    self.tls.write(request.format(name=self.name).encode())
                    step = self.read_all
                else:
                    answer += done
            except ssl.SSLWantReadError:
                wanting = True
            except ssl.SSLZeroReturnError:
                return answer.decode()
            if waiting := self.outward.read():
                connection.send(waiting)
            elif wanting and len(connection.stream) == used:
                if connection.reset or connection.finished:
                    return answer.decode()
                connection.await_bytes(used + 1)
            came = connection.stream[used:]  # once: the recorder adds to it
            used += len(came)
            self.inward.write(came)
        raise AssertionError(f"no TLS answer from {connection.address} (so far: {answer!r})")

    def read_all(self):
        data = self.tls.read(65536)
        if not data:
            raise ssl.SSLZeroReturnError
        return data


def denied_by_alert(stream):
    """True if the server's stream is nothing but a fatal access_denied alert."""
    return len(stream) == 7 and stream[0] == 21 and stream[5:] == ACCESS_DENIED
