# SPDX-License-Identifier: Apache-2.0
"""What stands beside a real QUIC client or server and changes how its Initials are cut, or their version.

The keys of Initials are public, so the handshake goes on end to end: both sides see the CRYPTO bytes
that the other one sent, only cut into other frames and datagrams.
"""

import contextlib
import pathlib
import random
import selectors
import socket
import threading

from cryptography.exceptions import InvalidTag

from quicpackets import (HANDSHAKE, INITIAL, PADDING, PING, SMALLEST, V2, V2_DRAFT, Connection, Keys, ack,
                         crypto, crypto_of, frames_of, hello_size, packets_of, sealed, together)

AHEAD = 20  # packet numbers that a relay may use for what it cut anew


class Forwarder:
    """A thread that carries datagrams between clients and one server, changed on the way."""

    def __init__(self, client_space, here, server_space, there, near=None):
        """`here` is where clients send, `there` the server's address, `near` the source towards it."""
        self.front = bound(client_space, here)
        self.space, self.there, self.near = server_space, there, near
        self.selector = selectors.DefaultSelector()
        self.waker, self.woken = socket.socketpair()
        self.backs, self.states, self.failure = {}, {}, None
        self.selector.register(self.front, selectors.EVENT_READ, None)
        self.selector.register(self.woken, selectors.EVENT_READ, self)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.waker.send(b".")
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.waker.close()
        self.selector.close()
        assert self.failure is None, f"the relay failed: {self.failure!r}"

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is self:
                    return
                with contextlib.suppress(OSError):  # a peer that is gone, or refused
                    data, source = key.fileobj.recvfrom(65535)
                    try:
                        self.carry(data, source, key.data)
                    except (ValueError, KeyError, IndexError, AssertionError) as failure:
                        self.failure = failure

    def carry(self, data, source, client):
        if client is not None:
            for datagram in self.back(self.states[client], data):
                self.front.sendto(datagram, client)
            return
        if source not in self.backs:
            self.backs[source] = bound(self.space, self.near or ("0.0.0.0", 0), self.there)
            self.states[source] = {}
            self.selector.register(self.backs[source], selectors.EVENT_READ, source)
        for datagram in self.forth(self.states[source], data):
            self.backs[source].send(datagram)

    def forth(self, _state, data):
        return [data]

    def back(self, _state, data):
        return [data]


def bound(space, address, peer=None):
    made = space.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(address)
    if peer:
        made.connect(peer)
    return made


class Recutter(Forwarder):
    """Between a real client and the gateway: cuts the client's hello anew.

    `cut(connection, hello)` makes the datagrams of it. The server acknowledges packets that the
    client never sent, so what goes back acknowledges the client's own.
    """

    def __init__(self, cut, *args, **kwargs):
        self.cut = cut
        super().__init__(*args, **kwargs)

    def forth(self, state, data):
        out = b""
        for packet in packets_of(data):
            if packet.kind != INITIAL:
                out += packet.bytes
                continue
            if "keys" not in state or packet.token != state["token"]:  # the first one, or after a Retry
                state.update(keys=Keys(packet.version, packet.dcid), token=packet.token, pieces={},
                             server_keys=Keys(packet.version, packet.dcid, server=True), done=False,
                             dcid=packet.dcid)
            number, payload = packet.open(state["keys"])
            state["largest"] = number
            if state["done"]:
                out += again(packet, state["keys"], packet.version, payload, number + AHEAD)
                continue
            state["pieces"].update(crypto_of(payload))
            hello = together(state["pieces"])
            if len(hello) < hello_size(hello):
                return []
            state["done"] = True
            connection = Connection(packet.version, packet.scid, packet.dcid)
            connection.token = packet.token
            return self.cut(connection, hello)
        return [out]

    def back(self, state, data):
        out = b""
        for packet in packets_of(data):
            opened = packet.kind == INITIAL and opened_by(packet, state["server_keys"])
            if opened:
                number, payload = opened
                said = b"".join(ack(state["largest"]) if kind in (2, 3) else frame
                                for kind, frame in frames_of(payload))
                out += again(packet, state["server_keys"], packet.version,
                             said.ljust(len(payload), PADDING), number)
            else:
                out += packet.bytes
        return [out]


def opened_by(packet, keys):
    """What it says, or None: a server may still speak of a connection that it has retried."""
    with contextlib.suppress(InvalidTag):
        return packet.open(keys)


def again(packet, keys, version, payload, number):
    """The packet, its header as it was but for these."""
    return sealed(keys, version, packet.dcid, packet.scid, payload, number, packet.token,
                  packet.number_size, packet.length_size)


class Translator(Forwarder):
    """Turns one version into another and leaves everything else as it is.

    Only Initials depend on the version by more than its number. What seals the others covers that
    number, so two translators back to back give both ends what they sealed.
    """

    def __init__(self, ours, theirs, *args, **kwargs):
        self.ours, self.theirs = ours, theirs
        super().__init__(*args, **kwargs)

    def forth(self, state, data):
        return [self.turn(state, data, self.ours, self.theirs, False)]

    def back(self, state, data):
        return [self.turn(state, data, self.theirs, self.ours, True)]

    @staticmethod
    def turn(state, data, old, new, server):
        out = b""
        for packet in packets_of(data):
            origin = state.setdefault("origin", packet.dcid)  # of all keys, in whatever version
            if packet.version == old and packet.kind == INITIAL:
                number, payload = packet.open(Keys(old, origin, server))
                out += again(packet, Keys(new, origin, server), new, payload, number)
            elif packet.version == old:
                out += packet.bytes[:1] + new.to_bytes(4, "big") + packet.bytes[5:]
            else:
                out += packet.bytes
        return out


def to_rfc(*args):
    return Translator(V2_DRAFT, V2, *args)


def to_draft(*args):
    return Translator(V2, V2_DRAFT, *args)


@contextlib.contextmanager
def living_at(sandbox, name, address):
    """The sandbox's /etc/hosts says that the name is at this address."""
    hosts = pathlib.Path("/etc/netns") / sandbox.space.name / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{address} {name}\n")
    try:
        yield
    finally:
        hosts.unlink()


# How a hello may be cut.


def whole(connection, hello):
    return connection.datagrams(hello, -(-len(hello) // 1100))


def in_two(connection, hello):
    return connection.datagrams(hello, 2)


def in_two_backwards(connection, hello):
    return connection.datagrams(hello, 2)[::-1]


def in_four(connection, hello):
    return connection.datagrams(hello, 4)


def in_five(connection, hello):
    return connection.datagrams(hello, 5)


def in_single_bytes(connection, hello, seed=1):
    """1-byte frames in any order, with PING and PADDING in between, over four datagrams at most."""
    order = list(range(len(hello)))
    random.Random(seed).shuffle(order)
    frames = [crypto(at, hello[at:at + 1]) for at in order]
    step = -(-len(frames) // 4)
    made = []
    for start in range(0, len(frames), step):
        some = frames[start:start + step]
        some[1:1], some[5:5] = [PING], [PADDING * 3]
        made.append(connection.datagram(*some, size=1400))
    return made


def coalesced(connection, hello):
    """Three packets in one datagram, as short as they may be, followed by zeros."""
    step = -(-len(hello) // 3)
    parts = [connection.packet(crypto(at, hello[at:at + step])) for at in range(0, len(hello), step)]
    return [b"".join(parts).ljust(SMALLEST, PADDING)]


CUTS = {"whole": whole, "in-two": in_two, "in-two-backwards": in_two_backwards, "in-four": in_four,
        "in-single-bytes": in_single_bytes, "coalesced": coalesced}


# What comes back.


def whole_message(stream):
    return len(stream) >= hello_size(stream)


class Answers:
    """Reads a server's datagrams for one scripted connection."""

    def __init__(self, sock, connection):
        self.sock, self.connection = sock, connection
        self.pieces, self.retry, self.handshake, self.closed = {}, None, False, False

    def read(self):
        """One datagram."""
        for packet in packets_of(self.sock.recv(65535)):
            if packet.kind == INITIAL:
                _, payload = opened_by(packet, self.connection.server_keys) or (0, b"")
                self.pieces.update(crypto_of(payload))
                self.closed |= any(kind == 0x1c for kind, _ in frames_of(payload))
            elif packet.kind == HANDSHAKE:
                self.handshake = True
            elif packet.token:
                self.retry = packet

    def until(self, condition):
        """Reads until it holds; the socket's timeout is the guard."""
        while not condition(self):
            self.read()
        return self

    def server_hello(self):
        """The server has put the whole hello together and answers it: a ServerHello, and packets
        that it can only seal with keys of the hello."""
        self.until(lambda answers: answers.handshake and whole_message(together(answers.pieces)))
        assert together(self.pieces)[:1] == b"\2"
