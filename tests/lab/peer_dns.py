# SPDX-License-Identifier: Apache-2.0
"""A resolver whose every answer the test decides, and the messages that it and its clients exchange
(RFC 1035 section 4)."""

import socket
import struct

A, CNAME, AAAA, OPT, SVCB, HTTPS = 1, 5, 28, 41, 64, 65
ANSWERED = 0x8180  # a response; recursion was desired and is available
TRUNCATED = 0x0200


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def question_end(message):
    at = 12
    while message[at]:
        at += 1 + message[at]
    return at + 5


def record(name, kind, data, ttl=300, size=1):
    return wire_name(name) + struct.pack("!HHIH", kind, size, ttl, len(data)) + data


def address(name, text, ttl=300):
    """An A or AAAA record."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return record(name, AAAA if ":" in text else A, socket.inet_pton(family, text), ttl)


def alias(name, target, ttl=300):
    return record(name, CNAME, wire_name(target), ttl)


def asking(name, identity, kind=A, size=None):
    """A query as clients send it; `size`: with an OPT record for so large answers (RFC 6891)."""
    opt = b"\0" + struct.pack("!HHIH", OPT, size, 0, 0) if size else b""
    return (struct.pack("!HHHHHH", identity, 0x0100, 1, 0, 0, bool(size)) + wire_name(name)
            + struct.pack("!HH", kind, 1) + opt)


def reply(query, *records, flags=ANSWERED, authority=(), additional=()):
    """An answer to this very message."""
    counts = struct.pack("!HHHHH", flags, 1, len(records), len(authority), len(additional))
    return (query[:2] + counts + query[12:question_end(query)]
            + b"".join((*records, *authority, *additional)))


def framed(*messages):
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


class ScriptedResolver:
    """Sits on one address of the far side, over UDP and TCP. It says nothing by itself."""

    def __init__(self, internet, at):
        self.internet, self.at = internet, at
        self.udp = self.socket(socket.SOCK_DGRAM, 53)
        self.listener = self.socket(socket.SOCK_STREAM, 53)
        self.listener.listen()
        self.asked_by = None

    def socket(self, kind, port, at=None):
        made = self.internet.host.socket(socket.AF_INET, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.settimeout(10)
        made.bind((at or self.at, port))
        return made

    def close(self):
        self.udp.close()
        self.listener.close()

    def forget(self):
        """What an earlier test has left unread."""
        self.udp.setblocking(False)
        try:
            while True:
                self.udp.recv(65535)
        except BlockingIOError:
            self.udp.settimeout(10)

    def query(self):
        """The next one that comes over UDP."""
        message, self.asked_by = self.udp.recvfrom(65535)
        return message

    def say(self, message):
        """To whoever asked last."""
        self.udp.sendto(message, self.asked_by)

    def answer(self, *records, **options):
        """Takes the next query and answers it."""
        message = self.query()
        self.say(reply(message, *records, **options))
        return message

    def accept(self):
        connection, _ = self.listener.accept()
        connection.settimeout(10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def read_framed(connection):
    """One message of a TCP connection."""
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        more = connection.recv(65535)
        if not more:
            raise EOFError(data)
        data += more
    return data[2:]
