# SPDX-License-Identifier: Apache-2.0
"""QUIC Initials as a test wants them: built, sealed, opened and sealed again (RFC 9000, 9001, 9369).

Their keys come from a connection ID that everybody sees, so a test can read a real client's first
flight, cut it anew, and read what the real server says to it.
"""

import hashlib
import hmac
import os
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

V1, V2 = 0x00000001, 0x6b3343cf
V2_DRAFT = 0x709a50c4  # the one that Debian's ngtcp2 speaks: it differs from V2 in number and salt

SALTS = {
    V1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    V2: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
    V2_DRAFT: bytes.fromhex("a707c203a59b47184a1d62ca570406ea7ae3e5d3"),
}
INITIAL, ZERO_RTT, HANDSHAKE, RETRY = "initial", "0-rtt", "handshake", "retry"
KINDS = {V1: (INITIAL, ZERO_RTT, HANDSHAKE, RETRY), V2: (RETRY, INITIAL, ZERO_RTT, HANDSHAKE)}
KINDS[V2_DRAFT] = KINDS[V2]

PADDING, PING = b"\0", b"\1"
SMALLEST = 1200  # bytes of a datagram that carries an Initial


def expand(secret, label, size):
    """HKDF-Expand-Label with no context (RFC 8446 section 7.1), for one block."""
    label = b"tls13 " + label
    info = struct.pack("!HB", size, len(label)) + label + b"\0\1"
    return hmac.new(secret, info, hashlib.sha256).digest()[:size]


class Keys:
    """What seals the Initials of one side of a connection."""

    def __init__(self, version, dcid, server=False):
        common = hmac.new(SALTS[version], dcid, hashlib.sha256).digest()
        secret = expand(common, b"server in" if server else b"client in", 32)
        label = b"quic " if version == V1 else b"quicv2 "
        self.aead = AESGCM(expand(secret, label + b"key", 16))
        self.iv = expand(secret, label + b"iv", 12)
        self.header = Cipher(algorithms.AES(expand(secret, label + b"hp", 16)), modes.ECB())

    def nonce(self, number):
        return (int.from_bytes(self.iv, "big") ^ number).to_bytes(12, "big")

    def mask(self, sample):
        return self.header.encryptor().update(sample)


def varint(value):
    """The shortest form of a variable-length integer (RFC 9000 section 16)."""
    for width, mark in ((1, 0), (2, 1), (4, 2), (8, 3)):
        if value < 1 << (8 * width - 2):
            return (value | mark << (8 * width - 2)).to_bytes(width, "big")
    raise ValueError(value)


def read_varint(data, at):
    """(the value, the index after it)"""
    width = 1 << (data[at] >> 6)
    return int.from_bytes(data[at:at + width], "big") & ((1 << (8 * width - 2)) - 1), at + width


def crypto(offset, data):
    """A CRYPTO frame (RFC 9000 section 19.6)."""
    return b"\6" + varint(offset) + varint(len(data)) + data


def ack(largest):
    """An ACK frame of every packet up to this one."""
    return b"\2" + varint(largest) + b"\0\0" + varint(largest)


def frames_of(payload):
    """[(type, bytes of the frame)] of an Initial's plaintext; PADDING is left out."""
    found, at = [], 0
    while at < len(payload):
        start, kind = at, payload[at]
        at += 1
        if kind in (2, 3):
            fields = []
            for _ in range(4):
                value, at = read_varint(payload, at)
                fields.append(value)
            for _ in range(2 * fields[2] + 3 * (kind == 3)):
                _, at = read_varint(payload, at)
        elif kind == 6:
            _, at = read_varint(payload, at)
            size, at = read_varint(payload, at)
            at += size
        elif kind == 0x1c:
            for _ in range(2):
                _, at = read_varint(payload, at)
            size, at = read_varint(payload, at)
            at += size
        elif kind > 1:
            raise ValueError(f"frame type {kind} in an Initial")
        if kind:
            found.append((kind, payload[start:at]))
    return found


def crypto_of(payload):
    """{offset: bytes} of the CRYPTO frames."""
    pieces = {}
    for kind, frame in frames_of(payload):
        if kind == 6:
            offset, at = read_varint(frame, 1)
            _, at = read_varint(frame, at)
            pieces[offset] = frame[at:]
    return pieces


def together(pieces):
    """The CRYPTO stream from its start, as far as it has no gap."""
    stream = b""
    for offset in sorted(pieces):
        if offset > len(stream):
            break
        stream += pieces[offset][len(stream) - offset:]
    return stream


def hello_size(stream):
    """How long the handshake message at the start is, its header included."""
    return 4 + int.from_bytes(stream[1:4], "big") if len(stream) >= 4 else 1 << 24


class Packet:
    """One packet of a datagram: a long header one, or the rest of it."""

    def __init__(self, datagram, at):
        self.bytes, self.version, self.dcid, self.scid, self.token = datagram[at:], None, b"", b"", b""
        self.kind = None
        if not self.bytes[0] & 0x80:
            return
        self.version = int.from_bytes(self.bytes[1:5], "big")
        end = 6 + self.bytes[5]
        self.dcid = self.bytes[6:end]
        self.scid = self.bytes[end + 1:end + 1 + self.bytes[end]]
        end += 1 + len(self.scid)
        self.kind = KINDS[self.version][self.bytes[0] >> 4 & 3] if self.version in KINDS else "unknown"
        if self.kind == RETRY:
            self.token = self.bytes[end:-16]
        if self.kind in (RETRY, "unknown"):
            return
        if self.kind == INITIAL:
            size, end = read_varint(self.bytes, end)
            self.token = self.bytes[end:end + size]
            end += size
        size, self.number_at = read_varint(self.bytes, end)
        self.length_size = self.number_at - end
        self.bytes = self.bytes[:self.number_at + size]

    def open(self, keys):
        """(packet number, plaintext); the number is as it was sent, which is all there is early on."""
        start = self.number_at
        mask = keys.mask(self.bytes[start + 4:start + 20])
        first = self.bytes[0] ^ mask[0] & 0x0f
        self.number_size = (first & 3) + 1
        number = bytes(a ^ b for a, b in zip(self.bytes[start:start + self.number_size], mask[1:]))
        header = bytes([first]) + self.bytes[1:start] + number
        self.number = int.from_bytes(number, "big")
        return self.number, keys.aead.decrypt(keys.nonce(self.number),
                                              self.bytes[start + self.number_size:], header)


def packets_of(datagram):
    found, at = [], 0
    while at < len(datagram):
        found.append(Packet(datagram, at))
        at += len(found[-1].bytes)
    return found


def sealed(keys, version, dcid, scid, payload, number=0, token=b"", number_size=2, length_size=2):
    """One Initial packet, not padded."""
    first = 0xc0 | KINDS[version].index(INITIAL) << 4 | number_size - 1
    shown = (number & (1 << 8 * number_size) - 1).to_bytes(number_size, "big")
    size = number_size + len(payload) + 16
    head = (bytes([first]) + version.to_bytes(4, "big") + bytes([len(dcid)]) + dcid
            + bytes([len(scid)]) + scid + varint(len(token)) + token
            + (size | (length_size // 2) << (8 * length_size - 2)).to_bytes(length_size, "big"))
    body = keys.aead.encrypt(keys.nonce(number), payload, head + shown)
    mask = keys.mask((shown + body)[4:20])
    return (bytes([first ^ mask[0] & 0x0f]) + head[1:]
            + bytes(a ^ b for a, b in zip(shown, mask[1:])) + body)


class Connection:
    """The Initials of one client connection, its packet numbers counted."""

    def __init__(self, version=V1, scid=b"", dcid=None, keys_from=None):
        """`keys_from`: the ID that the keys come from, if it is another one than is shown."""
        self.version, self.scid, self.dcid, self.token = version, scid, dcid or os.urandom(12), b""
        self.keys = Keys(version, keys_from or self.dcid)
        self.server_keys = Keys(version, keys_from or self.dcid, server=True)
        self.number = 0

    def packet(self, *frames, dcid=None):
        """One packet, not padded: to be put before or after others."""
        payload = b"".join(frames)
        made = sealed(self.keys, self.version, dcid or self.dcid, self.scid,
                      payload.ljust(4, PADDING), self.number, self.token)
        self.number += 1
        return made

    def datagram(self, *frames, size=SMALLEST):
        """One packet that fills a datagram."""
        payload = b"".join(frames)
        overhead = len(self.dcid) + len(self.scid) + len(varint(len(self.token))) + len(self.token) + 27
        assert len(payload) + overhead <= max(size, SMALLEST), "the frames do not fit into one datagram"
        return self.packet(payload.ljust(size - overhead, PADDING))

    def datagrams(self, hello, count):
        """The hello in so many datagrams, about equal parts."""
        step = -(-len(hello) // count)
        return [self.datagram(crypto(at, hello[at:at + step])) for at in range(0, len(hello), step)]

    def renewed(self, retry):
        """The connection that follows a Retry."""
        again = Connection(self.version, self.scid, retry.scid)
        again.token, again.number = retry.token, self.number
        return again
