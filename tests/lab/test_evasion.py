# SPDX-License-Identifier: Apache-2.0
"""Tricks with TCP and with the hello, by a real host against the real servers. Whatever it tries, the
denied name does not leave; and the same doings without the lie are answered."""

import contextlib

import pytest

from evasion import (ALLOWED, DENIED, SERVER, SERVER6, SMUGGLED, again, agent, assert_answered, assert_denied,
                     assert_nothing_seen, browser_hello, build, client, forged, gateway, hello_with, message_of,
                     record, server_name, sized)
from peer_tcp import Peer
from rawhost import RawTcp, TlsClient
from topology import wait_for

__all__ = ["agent", "build", "gateway"]  # fixtures



@contextlib.contextmanager
def lossy(sandbox, *addresses):
    """What leaves the gateway to these addresses dies on the way, as a small TTL would have it."""
    lost = [f"blackhole {address}/{128 if ':' in address else 32}" for address in addresses]
    sandbox.internet.router.batch(*(f"route add {route}" for route in lost))
    try:
        yield
    finally:
        sandbox.internet.router.batch(*(f"route del {route}" for route in lost))


# A trick sends the decoy, which is allowed, and then the hello. The lie is a hello that differs from
# the decoy in its name; the honest twin's is the same.


def judged(connection, decoy):
    """The decoy has been judged and has left, and no server got it."""
    sandbox = connection.host.sandbox
    with lossy(sandbox, connection.address):
        connection.segment(decoy)
        sandbox.lab.running.allowed(sandbox, "domain-allowed", sport=connection.sport)
        assert sandbox.sent_out(decoy)


def retransmission_after_the_verdict(connection, decoy, hello):
    judged(connection, decoy)
    connection.segment(hello)


def retransmission_of_one_byte(connection, decoy, hello):
    judged(connection, decoy)
    at = decoy.index(ALLOWED.encode())
    connection.segment(hello[at:at + 1], offset=at)
    connection.segment(hello)


def retransmission_that_reaches_beyond(connection, decoy, hello):
    judged(connection, decoy)
    at = decoy.index(ALLOWED.encode())
    connection.segment(hello[at:], offset=at)
    connection.segment(hello)


def overlap_before_the_verdict(connection, decoy, hello):
    connection.segment(decoy[1:], offset=1)
    connection.segment(hello)


def overlap_from_behind(connection, decoy, hello):
    at = decoy.index(ALLOWED.encode()) + 4
    connection.segment(hello[at:-1], offset=at)
    connection.segment(decoy)
    connection.segment(hello)


def bad_checksum(connection, decoy, hello):
    connection.segment(decoy, chksum=0x1234)
    connection.segment(hello)


def without_ack(connection, decoy, hello):
    connection.segment(decoy, flags="P", ack=0)
    connection.segment(hello)


def wrong_ack(connection, decoy, hello):
    connection.segment(decoy, ack=(connection.their_next + 1_000_000) % 2**32)
    connection.segment(hello)


def urgent_data(connection, decoy, hello):
    connection.segment(decoy, flags="UPA", urgptr=len(decoy))
    connection.segment(hello)


def out_of_the_window(connection, decoy, hello):
    connection.segment(decoy, offset=50_000_000)
    connection.segment(hello)


def fin_with_a_wrong_number(connection, decoy, hello):
    connection.segment(flags="FA", offset=5_000_000)
    connection.segment(hello)


def one_byte_segments_backwards(connection, decoy, hello):
    for at in reversed(range(len(hello))):
        connection.segment(hello[at:at + 1], offset=at)


LIES = {
    retransmission_after_the_verdict: "stream-conflict",
    retransmission_of_one_byte: "stream-conflict",
    retransmission_that_reaches_beyond: "stream-conflict",
    overlap_before_the_verdict: "stream-conflict",
    overlap_from_behind: "stream-conflict",
    bad_checksum: "domain-not-allowed",
    without_ack: "domain-not-allowed",
    wrong_ack: "domain-not-allowed",
    urgent_data: "domain-not-allowed",
    out_of_the_window: "domain-not-allowed",
    fin_with_a_wrong_number: "domain-not-allowed",
    one_byte_segments_backwards: "domain-not-allowed",
}


@pytest.mark.parametrize("address", [SERVER, SERVER6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("trick", LIES, ids=lambda trick: trick.__name__)
def test_segments_that_lie(gateway, build, trick, address):
    with build.raw() as raw:
        decoy = client(build).hello
        connection = raw.connect(address, 443)
        trick(connection, decoy, forged(decoy))
        assert_denied(gateway, connection, LIES[trick])


@pytest.mark.parametrize("address", [SERVER, SERVER6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("trick", LIES, ids=lambda trick: trick.__name__)
def test_segments_that_do_not_lie(gateway, build, trick, address):
    with build.raw() as raw:
        tls = client(build)
        connection = raw.connect(address, 443)
        trick(connection, tls.hello, tls.hello)
        connection.sent = len(tls.hello)
        assert_answered(gateway, connection, tls)


# A decoy that ends the connection for the gateway and dies before the server hears of it.


def test_decoy_with_a_small_ttl(gateway, build):
    """The hello that was judged reaches the server whatever TTL it came with, and the other comes too late."""
    with build.raw() as raw:
        tls = client(build)
        connection = raw.connect(SERVER, 443)
        connection.segment(tls.hello, ip={"ttl": 1})
        connection.await_bytes()
        connection.segment(forged(tls.hello))
        connection.sent = len(tls.hello)
        assert_answered(gateway, connection, tls)
        assert not build.internet.seen("web", sni=DENIED)


@pytest.mark.parametrize("flags", ["R", "RA"])
@pytest.mark.parametrize("after", ["handshake", "verdict"])
def test_reset_decoy(gateway, build, flags, after):
    with build.raw() as raw:
        decoy = client(build).hello
        connection = raw.connect(SERVER, 443)
        if after == "verdict":
            judged(connection, decoy)
        with lossy(build, SERVER):
            connection.segment(flags=flags, offset=len(decoy) if after == "verdict" else 0)
            build.barrier()
        connection.segment(forged(decoy))
        # The server has acknowledged nothing of the decoy: a reset that it may not take ends nothing.
        assert_denied(gateway, connection, "stream-conflict" if after == "verdict" else "no-flow")


@pytest.mark.parametrize("end", ["reset", "fin"])
@pytest.mark.parametrize("name", [ALLOWED, DENIED])
def test_ports_used_again(gateway, build, end, name):
    """What the ports proved once, they prove no more."""
    with build.raw() as raw:
        tls = client(build)
        first = raw.connect(SERVER, 443)
        first.send(tls.hello)
        assert_answered(gateway, first, tls)
        if end == "fin":  # on both sides, or the server answers the SYN for the old connection
            first.segment(flags="FA")
            first.await_ack(first.sent + 1)
            first.sent += 1
            first.wait(lambda: first.finished or first.reset, "the server's own FIN")
            first.segment(flags="A")
        else:
            # The server's FIN is on its way as well. An acknowledgement behind our reset would be of
            # no flow, and the reset that answers it would come to the connection that follows.
            first.wait(lambda: first.finished, "the server's own FIN")
            first.segment(flags="RA")
        build.barrier()
        fresh, second = client(build), again(first)
        second.syn()
        second.handshake()
        second.send(fresh.hello if name == ALLOWED else forged(fresh.hello))
        if name == ALLOWED:
            assert f"sni={ALLOWED}" in fresh.finish(second)
        else:
            assert_denied(gateway, second, "domain-not-allowed")


@pytest.mark.parametrize("address", [SERVER, SERVER6], ids=["ipv4", "ipv6"])
def test_tcp_of_no_connection(gateway, build, address):
    """Every packet says which one it was, and is answered by a reset if it is none itself."""
    with build.raw() as raw:
        for flags in ("A", "PA", "SA", "FA", "FPA", "R", "RA"):
            lone = RawTcp(raw, address, 443)
            lone.segment(SMUGGLED, flags=flags)
            gateway.denied(build, "no-flow", sport=lone.sport, dst=address, proto="tcp")
            if "R" not in flags:
                lone.await_reset()
        assert_nothing_seen(build, SMUGGLED)
        assert not build.packets_to(address)
        tls = client(build)
        connection = raw.connect(address, 443)
        connection.send(tls.hello)
        assert_answered(gateway, connection, tls)


@pytest.mark.parametrize("address", [SERVER, SERVER6], ids=["ipv4", "ipv6"])
def test_tcp_of_no_connection_from_outside(gateway, build, address):
    """An allowed server cannot open a connection either, nor one beside an open one."""
    with build.raw() as raw, Peer(build, address) as peer:
        connection = RawTcp(raw, address, 443)
        connection.syn()
        peer.accept(connection)
        lone = [RawTcp(raw, address, 443) for _ in range(6)]
        for flags, stranger in zip(("S", "SA", "A", "PA", "FA", "R"), lone):
            peer.send(stranger, flags, SMUGGLED)
            gateway.denied(build, "no-flow", sport=stranger.sport, dst=address, proto="tcp")
        peer.send(connection, "SA")
        connection.wait(lambda: len(connection.segments) == 2, "the SYN/ACK that came again")
        assert not any(stranger.segments for stranger in lone)


# What can be written into a packet beside its data.


def fast_open(raw):
    connection = RawTcp(raw, SERVER, 443)
    connection.syn(SMUGGLED, options=[("MSS", 1460), (34, b"cookie-cookie")])
    return connection, {}


def fast_open_experiment(raw):
    connection = RawTcp(raw, SERVER, 443)
    connection.syn(SMUGGLED, options=[("MSS", 1460), (254, b"\xf9\x89" + SMUGGLED)])
    return connection, {}


def unknown_options(raw):
    connection = RawTcp(raw, SERVER, 443)
    connection.syn(options=[("MSS", 1460), (253, SMUGGLED)])
    return connection, {"options": [(253, SMUGGLED)]}


def unused_urgent_pointer(raw):
    connection = RawTcp(raw, SERVER, 443)
    connection.syn(urgptr=0x736d, reserved=5)
    return connection, {"urgptr": 0x736d, "reserved": 5}


@pytest.mark.parametrize("opening", [fast_open, fast_open_experiment, unknown_options, unused_urgent_pointer])
def test_nothing_travels_beside_the_data(gateway, build, opening):
    """The connection is honest and is answered; what it carried besides does not leave."""
    with build.raw() as raw:
        tls = client(build)
        connection, fields = opening(raw)
        connection.handshake()
        connection.segment(flags="A", **fields)
        connection.segment(tls.hello, **fields)
        connection.sent = len(tls.hello)
        assert_answered(gateway, connection, tls)
        assert_nothing_seen(build, SMUGGLED)
        assert_nothing_seen(build, b"cookie-cookie")
        for frame in build.packets_to(SERVER):
            assert frame[23] != 6 or frame[52:54] == bytes(2) and not frame[46] & 15, "urgent or reserved"


def test_payload_before_the_handshake(gateway, build):
    with build.raw() as raw:
        tls = client(build)
        connection = RawTcp(raw, SERVER, 443)
        connection.syn(forged(tls.hello))
        connection.segment(forged(tls.hello))
        connection.handshake()
        connection.send(tls.hello)
        assert_answered(gateway, connection, tls)
        assert_nothing_seen(build)


def test_trailer_behind_the_packet(gateway, build):
    """Bytes after the end of the IP packet: on the SYN, the ACKs and the hello."""
    with build.raw() as raw:
        plain = raw.frame
        raw.gateway()
        raw.frame = lambda frame: plain(bytes(frame) + SMUGGLED * 4)
        tls = client(build)
        connection = raw.connect(SERVER, 443)
        connection.send(tls.hello)
        assert_answered(gateway, connection, tls)
        assert_nothing_seen(build, SMUGGLED)


# Hellos.

HONEST = hello_with(server_name(ALLOWED.encode()))
OTHER = hello_with(server_name(DENIED.encode()))
HELLOS = {
    "alert-first": (record(21, b"\x01\0") + OTHER, "not-tls"),
    "ccs-first": (record(20, b"\x01") + OTHER, "not-tls"),
    "data-first": (record(23, DENIED.encode()) + HONEST, "not-tls"),
    "heartbeat-first": (record(24, b"\x01\0\x08" + DENIED.encode()) + HONEST, "not-tls"),
    "server-hello-first": (record(22, b"\x02\0\0\x12" + DENIED.encode()) + HONEST, "not-tls"),
    "sslv2": (bytes.fromhex("802e0100020015000000100100800200800700c0") + DENIED.encode() + bytes(24),
              "not-tls"),
    "plain-http": (b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % DENIED.encode(), "not-tls"),
    "denied": (OTHER, "domain-not-allowed"),
    "two-names": (hello_with(server_name(ALLOWED.encode(), DENIED.encode())), "malformed-hello"),
    "two-extensions": (hello_with(server_name(ALLOWED.encode()), server_name(DENIED.encode())), "malformed-hello"),
    "nul": (hello_with(server_name(ALLOWED.encode() + b"\0." + DENIED.encode())), "malformed-hello"),
    "space": (hello_with(server_name(DENIED.encode() + b" " + ALLOWED.encode())), "malformed-hello"),
    "non-ascii": (hello_with(server_name(DENIED.encode() + b"\xc3\xa9." + ALLOWED.encode())), "malformed-hello"),
    "other-name-type": (hello_with(server_name(DENIED.encode(), kind=1)), "malformed-hello"),
    "empty-name": (hello_with(server_name(b""), b"\xfa\xfa\0\x12" + DENIED.encode()), "malformed-hello"),
    "no-name": (hello_with(b"\xfa\xfa\0\x12" + DENIED.encode()), "no-server-name"),
    "ip-literal": (hello_with(server_name(b"198.51.100.66"), b"\xfa\xfa\0\x12" + DENIED.encode()),
                   "no-server-name"),
    "lying-length": (hello_with(b"\0\0" + sized(2, b"\0\x40" + server_name(DENIED.encode())[6:])), "malformed-hello"),
    "name-below": (hello_with(server_name(DENIED.encode() + b"." + ALLOWED.encode())), "domain-not-allowed"),
    "name-above": (hello_with(server_name(ALLOWED.encode() + b"." + DENIED.encode())), "domain-not-allowed"),
}


@pytest.mark.parametrize("case", HELLOS)
def test_hellos_that_lie(gateway, build, case):
    sent, reason = HELLOS[case]
    with build.raw() as raw:
        connection = raw.connect(SERVER, 443)
        connection.send(sent)
        assert_denied(gateway, connection, reason)


@pytest.mark.parametrize("name", [b"registry.npmjs.org", b"REGISTRY.npmjs.org"])
def test_hello_that_does_not_lie(gateway, build, name):
    """The twin of all of them: made by the same hand, and the server answers with a handshake record."""
    with build.raw() as raw:
        connection = raw.connect(SERVER, 443)
        connection.send(hello_with(server_name(name)))
        assert connection.await_bytes(5)[:1] == b"\x16"
        gateway.allowed(build, "domain-allowed", sport=connection.sport)


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("name", [ALLOWED, DENIED])
def test_hello_in_small_records(gateway, build, size, name):
    with build.raw() as raw:
        tls = client(build)
        hello = tls.hello if name == ALLOWED else forged(tls.hello)
        connection = raw.connect(SERVER, 443)
        connection.send(b"".join(record(22, hello[at:at + size]) for at in range(5, len(hello), size)))
        if name == DENIED:
            assert_denied(gateway, connection, "domain-not-allowed")
        else:
            assert f"sni={ALLOWED}" in tls.finish(connection)


@pytest.mark.parametrize("size,reason", [(11000, None), (16384, None), (16385, "hello-too-large")])
def test_hellos_that_are_large(gateway, build, size, reason):
    with build.raw() as raw:
        connection = raw.connect(SERVER, 443)
        connection.send(message_of(size))
        if reason:
            connection.await_reset()
            gateway.denied(build, reason, sport=connection.sport, dst=SERVER)
            assert build.payload_to(SERVER) == b""
        else:
            assert connection.await_bytes(6)[:6:5] == b"\x16\x02"  # a ServerHello
            gateway.allowed(build, "domain-allowed", sport=connection.sport)


def test_large_hello_of_a_real_client(gateway, build):
    """11 KB, in more segments than most hellos have bytes of a name."""
    protocols = ",".join(["http/1.1", *(f"{number:0120d}" for number in range(90))])
    said = build.tls(ALLOWED, SERVER, 443, "-alpn", protocols)
    assert f"sni={ALLOWED}" in said.out, said
    assert len(build.payload_to(SERVER)) > 11000
    gateway.allowed(build, "domain-allowed", name=ALLOWED, dst=SERVER)


@pytest.mark.parametrize("name", [ALLOWED, DENIED])
@pytest.mark.parametrize("name_last", [False, True], ids=["name first", "name last"])
def test_hello_as_of_a_browser(gateway, build, name, name_last):
    """Two segments, cut within the name, in either order."""
    hello = browser_hello(name, name_last)
    middle = hello.index(name.encode()) + 5
    for pieces in ([(0, middle), (middle, len(hello))], [(middle, len(hello)), (0, middle)]):
        with build.raw() as raw:
            connection = raw.connect(SERVER, 443)
            connection.send_in_order(hello, [(at, min(at + 1400, end)) for start, end in pieces
                                             for at in range(start, end, 1400)])
            if name == DENIED:
                connection.await_reset()
                gateway.denied(build, "domain-not-allowed", name=DENIED, sport=connection.sport)
                assert_nothing_seen(build)
                assert build.payload_to(SERVER) == b""
            else:
                assert connection.await_bytes(6)[:6:5] == b"\x16\x02"
                gateway.allowed(build, "domain-allowed", name=ALLOWED, sport=connection.sport)


def test_the_sink_sees_what_was_judged_and_nothing_else(gateway, build):
    """A server that writes every byte down, on the allowed address and another port."""
    with build.raw() as raw:
        hello = client(build).hello
        connection = raw.connect(SERVER, 9000)
        judged(connection, hello)
        connection.segment(hello[:50])
        connection.segment(hello[40:], offset=40)
        wait_for(lambda: "".join(e.get("hex", "") for e in build.internet.seen("sink")) == hello.hex(),
                 "the hello at the sink")
        connection = raw.connect(SERVER, 9000)
        judged(connection, hello)
        connection.segment(forged(hello)[40:], offset=40)
        assert_denied(gateway, connection, "stream-conflict")


def test_allowed_name_does_not_open_the_address_for_another(gateway, build):
    """Ten connections at once, the denied one among them."""
    with build.raw() as raw:
        clients = [client(build) for _ in range(9)]
        connections = [raw.connect(SERVER, 443) for _ in clients]
        bad = raw.connect(SERVER, 443)
        for tls, connection in zip(clients, connections):
            connection.send(tls.hello)
        bad.send(TlsClient(DENIED).hello)
        assert_denied(gateway, bad, "domain-not-allowed")
        for tls, connection in zip(clients, connections):
            assert_answered(gateway, connection, tls)
