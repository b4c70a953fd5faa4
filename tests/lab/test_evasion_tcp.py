# SPDX-License-Identifier: Apache-2.0
"""Tricks with TCP that need a gateway, or a server, of their own: handshakes by a scripted peer, segments
that are dropped without an event (the counters say why, and nothing else may be in them), limits of the
hold, and hellos that a server asks for again."""

import contextlib
import os
import pathlib
import ssl

import pytest

from evasion import (ALLOWED, DENIED, ECH, POLICY, SERVER, SERVER6, SMUGGLED, again, assert_nothing_seen, clean,
                     client, forged, hello_with, message_of, record, server_name, sized, start)
from peer_tcp import Peer, TlsServer
from rawhost import TCP, RawTcp
from topology import wait_for

# What a kernel says by itself when its links come up, and frames of a VLAN without a sandbox.
BESIDE = {"protected-subnet", "unknown-sandbox"}
ALLOWING = {"allow-all", "subnet-allowed", "domain-allowed", "pin-allowed", "dns-allowed", "neighbour"}


@pytest.fixture
def gateway(lab):
    return start(lab)


@pytest.fixture
def build(gateway):
    return clean(gateway.lab[101])


def drops(gateway):
    """Ends the gateway and says what it dropped, reason by reason."""
    gateway.lab[101].barrier()
    return {reason: count for reason, count in gateway.stop()["reasons"].items()
            if reason not in ALLOWING | BESIDE}


# Handshakes that are none. The server is in it: whatever it answers, no byte of the client's comes
# through before an honest SYN/ACK, and then the same connection serves an honest hello.


def simultaneous_open(peer, connection, hello):
    peer.send(connection, "S")
    connection.segment(flags="SA", offset=-1, ack=peer.irs + 1)
    peer.send(connection, "A", at=0)
    connection.segment(hello, ack=peer.irs + 1)


def split_handshake(peer, connection, hello):
    peer.send(connection, "A")
    peer.send(connection, "S")
    connection.segment(flags="SA", offset=-1, ack=peer.irs + 1)
    connection.segment(hello, ack=peer.irs + 1)


def syn_ack_of_more_than_the_syn(peer, connection, hello):
    peer.send(connection, "SA", ack=len(hello))
    peer.send(connection, "SA", ack=-1)
    connection.segment(hello, ack=peer.irs + 1)


def data_before_the_syn_ack(peer, connection, hello):
    connection.segment(hello)
    connection.segment(flags="A", ack=peer.irs + 1)
    connection.segment(flags="FA", ack=peer.irs + 1)


@pytest.mark.parametrize("trick", [simultaneous_open, split_handshake, syn_ack_of_more_than_the_syn,
                                   data_before_the_syn_ack], ids=lambda trick: trick.__name__)
def test_handshakes_that_are_none(gateway, build, trick):
    with build.raw() as raw, Peer(build, SERVER) as peer:
        tls = client(build)
        connection = RawTcp(raw, SERVER, 443, auto_ack=False)
        connection.syn()
        peer.await_flags("S")
        trick(peer, connection, forged(tls.hello))
        build.barrier()
        assert peer.flags() == ["S"]
        assert_nothing_seen(build)
        peer.accept(connection)
        connection.segment(tls.hello)
        gateway.allowed(build, "domain-allowed", sport=connection.sport)
        peer.await_stream(connection, tls.hello)
    assert drops(gateway) == {"no-flow": 3}


def test_handshake_that_is_one(gateway, build):
    """The twin of all of them, with each end saying everything twice."""
    with build.raw() as raw, Peer(build, SERVER) as peer:
        tls = client(build)
        connection = RawTcp(raw, SERVER, 443, auto_ack=False)
        for _ in range(2):
            connection.syn()
            peer.accept(connection)
        wait_for(lambda: len(connection.segments) == 2, "both SYN/ACKs")
        connection.segment(tls.hello)
        peer.await_stream(connection, tls.hello)
        gateway.allowed(build, "domain-allowed", sport=connection.sport)
        assert peer.flags()[:4] == ["S", "A", "S", "A"]
    assert drops(gateway) == {}


@pytest.mark.parametrize("after", ["handshake", "verdict"])
@pytest.mark.parametrize("other", [1, -1000], ids=["next", "earlier"])
def test_several_syn_acks(gateway, build, after, other):
    """With other numbers the server's stream, or the gateway's idea of it, is another."""
    with build.raw() as raw, Peer(build, SERVER) as peer:
        tls = client(build)
        connection = RawTcp(raw, SERVER, 443, auto_ack=False)
        connection.syn()
        peer.accept(connection)
        if after == "verdict":
            connection.segment(tls.hello)
            peer.await_stream(connection, tls.hello)
        peer.send(connection, "SA", seq=peer.irs + other)
        gateway.denied(build, "stream-conflict", sport=connection.sport, dst=SERVER)
        connection.await_reset()
        peer.await_flags("RA")
        connection.segment(forged(tls.hello))
        connection.segment(forged(tls.hello), offset=len(tls.hello))
        build.barrier()
        assert peer.stream(connection) == (tls.hello if after == "verdict" else b"")
        assert_nothing_seen(build)
    assert drops(gateway) == {"stream-conflict": 3}


@pytest.mark.parametrize("before", [True, False], ids=["before the SYN/ACK", "after"])
def test_syn_that_differs_from_the_first(gateway, build, before):
    """The same number but other offers: it stays here, and the connection goes on as it was opened."""
    offers = [[("MSS", 1459)], [("MSS", 1460), ("WScale", 2)], []]
    with build.raw() as raw, Peer(build, SERVER) as peer:
        tls = client(build)
        connection = RawTcp(raw, SERVER, 443, auto_ack=False)
        connection.syn()
        if not before:
            peer.accept(connection)
        for options in offers:
            connection.syn(forged(tls.hello), options=options)
        connection.syn(forged(tls.hello))  # the twin: the same again passes, without its data
        peer.wait(lambda: peer.flags().count("S") > 1, "the same SYN again")
        build.barrier()
        assert peer.flags().count("S") == 2
        assert_nothing_seen(build)
        if before:
            peer.accept(connection)
        connection.segment(tls.hello)
        peer.await_stream(connection, tls.hello)
    assert drops(gateway) == {"stream-conflict": 3}


@pytest.mark.parametrize("name", [ALLOWED, DENIED])
def test_closed_window(gateway, build, name):
    """What the server has no room for is not believed; when it has, the hello that comes is judged."""
    with build.raw() as raw, Peer(build, SERVER) as peer:
        hello = client(build).hello
        connection = RawTcp(raw, SERVER, 443, auto_ack=False)
        connection.syn()
        peer.accept(connection, window=0)
        connection.segment(hello)
        build.barrier()
        assert peer.stream(connection) == b""
        peer.send(connection, "A", at=0, window=64000)
        connection.wait(lambda: len(connection.segments) == 2, "the window to open")
        connection.segment(hello if name == ALLOWED else forged(hello))
        if name == ALLOWED:
            gateway.allowed(build, "domain-allowed", sport=connection.sport)
            peer.await_stream(connection, hello)
        else:
            gateway.denied(build, "domain-not-allowed", name=DENIED, sport=connection.sport)
            peer.await_flags("RA")
            assert peer.stream(connection) == b""
            assert_nothing_seen(build)
    assert drops(gateway) == ({"no-flow": 1} if name == ALLOWED else {"no-flow": 1, "domain-not-allowed": 1})


# Segments that are dropped and not believed. Each goes on a connection of its own, with the denied name
# in it; then the honest hello of that connection is judged as if nothing had been.

NOT_BELIEVED = {
    "bad checksum": ("malformed-packet", dict(chksum=0x1234)),
    "no checksum": ("malformed-packet", dict(chksum=0)),
    "without ACK": ("malformed-packet", dict(flags="P", ack=0)),
    "urgent data": ("malformed-packet", dict(flags="UPA", urgptr=5)),
    "ACK of what was not said": ("no-flow", dict(ahead=70000)),
    "ACK of an older connection": ("no-flow", dict(ahead=-70000)),
    "behind the window": ("no-flow", dict(offset=70000)),
    "in front of the stream": ("no-flow", dict(offset=-100)),
    "far away": ("no-flow", dict(offset=50_000_000)),
    "SYN/ACK of the client": ("no-flow", dict(flags="SA")),
    "reset elsewhere": ("no-flow", dict(flags="R", offset=50_000_000)),
    "FIN elsewhere": ("no-flow", dict(flags="FA", offset=5, bare=True)),
    "bare ACK elsewhere": ("no-flow", dict(flags="A", offset=5, bare=True)),
}


@pytest.mark.parametrize("address", [SERVER, SERVER6], ids=["ipv4", "ipv6"])
def test_segments_that_are_not_believed(gateway, build, address):
    expected = {}
    with build.raw() as raw:
        for reason, fields in NOT_BELIEVED.values():
            hello = client(build).hello
            fields = dict(fields)
            connection = raw.connect(address, 9000)
            if "ahead" in fields:
                fields["ack"] = (connection.their_next + fields.pop("ahead")) % 2**32
            connection.segment(b"" if fields.pop("bare", False) else forged(hello), **fields)
            connection.send(hello)
            gateway.allowed(build, "domain-allowed", sport=connection.sport)
            connection.wait(lambda: connection.stream == hello, "the echo of the hello")
            expected[reason] = expected.get(reason, 0) + 1
        assert_nothing_seen(build)
    assert drops(gateway) == expected


ODD_FLAGS = ["SF", "SR", "SAF", "F", "P", "UPF", "E", "FSRPAU"]


@pytest.mark.parametrize("address", [SERVER, SERVER6], ids=["ipv4", "ipv6"])
def test_flags_that_nobody_combines(gateway, build, address):
    """On a connection that waits for its hello, by the client; and where there is no connection."""
    with build.raw() as raw:
        hello = client(build).hello
        connection = raw.connect(address, 9000)
        for flags in ODD_FLAGS:
            connection.segment(forged(hello), flags=flags)
            lone = RawTcp(raw, address, 9000)
            lone.segment(forged(hello), flags=flags)
            gateway.denied(build, "malformed-packet", sport=lone.sport, dst=address)
        connection.send(hello)
        connection.wait(lambda: connection.stream == hello, "the echo of the hello")
        assert_nothing_seen(build)
        assert not connection.reset
    assert drops(gateway) == {"malformed-packet": 2 * len(ODD_FLAGS)}


LYING_OPTIONS = [bytes([2, 0, 1, 1]), bytes([2, 1, 1, 1]), bytes([8, 10, 0, 0]), bytes([34, 5, 0, 0]),
                 bytes([1, 1, 1, 99]), bytes([77, 255, 0, 0])]


def test_options_that_lie(gateway, build):
    """On a SYN, on an ACK, and on the hello itself; their twin says the same without the lie."""
    with build.raw() as raw:
        hello = client(build).hello
        for lie in LYING_OPTIONS:
            opening = RawTcp(raw, SERVER, 9000)
            opening.segment(lie + SMUGGLED, offset=-1, flags="S", ack=0, dataofs=6, options=[])
            gateway.denied(build, "malformed-packet", sport=opening.sport, dst=SERVER)
        connection = raw.connect(SERVER, 9000)
        for lie in LYING_OPTIONS:
            connection.segment(lie, flags="A", dataofs=6)
        honest = bytes([1, 1, 1, 0])
        connection.segment(honest, flags="A", dataofs=6)
        connection.segment(honest + hello, dataofs=6)
        connection.wait(lambda: connection.stream == hello, "the echo of the hello")
        assert_nothing_seen(build, SMUGGLED)
    assert drops(gateway) == {"malformed-packet": 2 * len(LYING_OPTIONS)}


def test_fin_decoy(gateway, build):
    """The client's FIN leaves; what it sends after it does not, whatever its name."""
    with build.raw() as raw, Peer(build, SERVER) as peer:
        hello = client(build).hello
        connection = RawTcp(raw, SERVER, 443, auto_ack=False)
        connection.syn()
        peer.accept(connection)
        connection.segment(flags="FA")
        peer.await_flags("FA")
        connection.segment(forged(hello))
        connection.segment(forged(hello), offset=1)
        connection.segment(hello)
        assert_nothing_seen(build)
        assert peer.stream(connection) == b"" and peer.flags() == ["S", "A", "FA"]
        peer.send(connection, "FA", at=0, ack=1)  # the twin: the connection ends as connections do
        connection.wait(lambda: connection.finished, "the server's FIN")
        connection.segment(flags="A", offset=1)
        peer.wait(lambda: peer.flags() == ["S", "A", "FA", "A"], "the last ACK")
    assert drops(gateway) == {"stream-conflict": 3}


@pytest.mark.parametrize("offset", ["old", "new"])
@pytest.mark.parametrize("answer", ["none", "syn-ack"])
def test_new_syn_on_a_live_flow(gateway, build, offset, answer):
    """A connection is judged, and open at its server. A new SYN takes the verdict away: before the server
    has answered it nothing passes, and after the answer another hello must come."""
    with build.raw() as raw, Peer(build, SERVER) as peer:
        hello = client(build).hello
        first = RawTcp(raw, SERVER, 443, auto_ack=False)
        first.syn()
        peer.accept(first)
        first.segment(hello)
        peer.await_stream(first, hello)
        peer.send(first, "A", b"\x16\x03\x03\x00\x01\x02", at=0, ack=len(hello))
        first.wait(lambda: first.stream, "the server's answer")
        second = again(first)
        second.auto_ack = False
        second.syn()
        peer.wait(lambda: peer.flags().count("S") == 2, "the new SYN")
        if answer == "syn-ack":
            peer.irs += 5_000_000
            peer.send(second, "SA")
            second.handshake()
            peer.wait(lambda: peer.heard[-1][TCP].ack == peer.irs + 1, "the new ACK")
        before = peer.flags()
        if offset == "old":
            first.segment(forged(hello), offset=len(hello))
        else:
            second.segment(forged(hello), ack=peer.irs + 1)
        if (answer, offset) == ("syn-ack", "new"):
            gateway.denied(build, "domain-not-allowed", name=DENIED, sport=second.sport)
            peer.await_flags("RA")
            expected = {"domain-not-allowed": 1}
        else:
            assert_nothing_seen(build)
            assert peer.flags() == before
            expected = {"no-flow": 1}
        assert_nothing_seen(build)
        third = RawTcp(raw, SERVER, 443, auto_ack=False)  # the twin
        peer.heard.clear()
        third.syn()
        peer.accept(third)
        third.segment(hello)
        peer.await_stream(third, hello)
    assert drops(gateway) == expected


# Limits of the hold. Who waits for a verdict costs memory and time, and both are bounded; another
# sandbox notices nothing.

LIMITED = """
    sandboxes:
      - {vlan: 101, name: build, policy: {allow: [registry.npmjs.org]}}
      - {vlan: 102, name: agent}
      - {vlan: 103, name: probe, policy: {allow: [registry.npmjs.org]}}
    """


def test_hello_that_stalls(lab):
    """A client that says nothing, and one that keeps the last byte: what the server saw of both is that they
    came and that they were reset."""
    gateway = start(lab, LIMITED, inspect={"hello-timeout": 1})
    build = clean(lab[101])
    with build.raw() as raw:
        hello = client(build).hello
        silent, stalled = raw.connect(SERVER, 9000), raw.connect(SERVER, 9000)
        stalled.segment(hello[:-1])
        assert f"sni={ALLOWED}" in lab[103].https(ALLOWED).out
        for connection in (silent, stalled):
            gateway.denied(build, "hello-timeout", sport=connection.sport, dst=SERVER)
            connection.await_reset()
            build.internet.await_seen("sink", port=connection.sport, reset=True)
        stalled.segment(hello[-1:], offset=len(hello) - 1)
        assert_nothing_seen(build, hello[:-1])
        assert build.payload_to(SERVER) == b""
        honest = raw.connect(SERVER, 9000)
        honest.send(hello)
        honest.wait(lambda: honest.stream == hello, "the echo of the hello")
    assert drops(gateway) == {"hello-timeout": 2}


def refused_at_last(raw, opened):
    """Opens connections, which say nothing, until one is refused; returns that one."""
    for _ in range(500):
        connection = RawTcp(raw, SERVER, 9000)
        connection.syn()
        connection.wait(lambda: connection.their_next is not None or connection.reset, "an answer")
        if connection.reset:
            return connection
        opened.append(connection)
    raise AssertionError("500 connections wait for a verdict, and none was refused")


@pytest.mark.parametrize("limits,reason", [
    ({"held-bytes-per-sandbox": 12000}, "hold-limit"),
    ({"held-bytes-per-sandbox": 24000, "held-bytes": 24000}, "hold-limit"),
    ({"flows-per-sandbox": 20}, "flow-limit"),
    ({"flows": 20}, "flow-limit"),
], ids=["bytes of a sandbox", "bytes in all", "flows of a sandbox", "flows in all"])
def test_connections_on_hold_are_bounded(lab, limits, reason):
    gateway = start(lab, LIMITED, limits=limits, workers=1)  # what is for all is shared out among workers
    build, probe = clean(lab[101]), lab[103]
    assert probe.dig(ALLOWED).data == [SERVER]
    with build.raw() as raw:
        hello = client(build).hello
        first, opened = raw.connect(SERVER, 9000), []
        first.segment(hello[:100])
        refused = refused_at_last(raw, opened)
        gateway.denied(build, reason, sport=refused.sport, dst=SERVER)
        refused.segment(forged(hello), ack=1)
        assert len(build.packets_to(SERVER)) == 2 + len(opened)  # no SYN of the refused one
        # of what is for all the last tenth is not the first one's
        assert f"sni={ALLOWED}" in probe.https(ALLOWED, SERVER).out
        if "held-bytes" in limits:  # where no name is asked for, nothing waits for one
            assert lab[102].https(ALLOWED, SERVER).ok
        first.segment(hello[100:], offset=100)  # the old ones go on
        first.sent = len(hello)
        first.wait(lambda: first.stream == hello, "the echo of the hello")
        for connection in opened:
            connection.segment(flags="R", offset=0)
        honest = raw.connect(SERVER, 9000)
        honest.send(hello)
        honest.wait(lambda: honest.stream == hello, "the echo of the hello")
        assert not build.internet.seen("sink", port=refused.sport)
        assert_nothing_seen(build)


@pytest.mark.parametrize("limit,size", [("held-bytes-per-sandbox", 9000), ("held-bytes-per-flow", 4096)])
def test_hello_that_needs_more_memory_than_there_is(lab, limit, size):
    gateway = start(lab, LIMITED, limits={limit: size})
    build = clean(lab[101])
    with build.raw() as raw:
        connection = raw.connect(SERVER, 9000)
        connection.send(message_of(11000))
        connection.await_reset()
        gateway.denied(build, "hold-limit", sport=connection.sport, dst=SERVER)
        build.internet.await_seen("sink", port=connection.sport, reset=True)
        assert build.payload_to(SERVER) == b""
        honest, hello = raw.connect(SERVER, 9000), client(build).hello
        honest.send(hello)
        honest.wait(lambda: honest.stream == hello, "the echo of the hello")


@pytest.mark.parametrize("ech", ["allow", "deny"])
def test_encrypted_client_hello(lab, ech):
    """It is judged by the name outside, or refused for what it hides; without it the same hello passes."""
    gateway = start(lab, inspect={"ech": ech})
    build = clean(lab[101])
    for extensions, name, reason in [((ECH,), ALLOWED, "ech-denied" if ech == "deny" else None),
                                     ((ECH,), DENIED, "ech-denied" if ech == "deny" else "domain-not-allowed"),
                                     ((), ALLOWED, None), ((), DENIED, "domain-not-allowed")]:
        with build.raw() as raw:
            clean(build)
            connection = raw.connect(SERVER, 443)
            connection.send(hello_with(server_name(name.encode()), *extensions))
            if reason:
                connection.await_reset()
                gateway.denied(build, reason, sport=connection.sport, dst=SERVER)
                assert build.payload_to(SERVER) == b""
            else:
                assert connection.await_bytes(6)[:6:5] == b"\x16\x02"
                gateway.allowed(build, "domain-allowed", name=ALLOWED, sport=connection.sport)


def recorded_hellos():
    """(name, bytes) of the hellos of real clients that the environment variable SLUICE_CORPUS leads to."""
    where = os.environ.get("SLUICE_CORPUS")
    if not where or not (pathlib.Path(where) / "vectors.tsv").is_file():
        pytest.skip("SLUICE_CORPUS names no directory of recorded hellos")
    rows = [line.split("\t") for line in (pathlib.Path(where) / "vectors.tsv").read_text().splitlines()]
    return [(row[4], (pathlib.Path(where) / row[0]).read_bytes()) for row in rows if row[2] == "tls-record"]


def test_recorded_hellos(lab):
    """Where its name is allowed a real server answers each of them; where not, none leaves."""
    hellos = recorded_hellos()
    gateway = lab.start({"sandboxes": [
        {"vlan": 101, "name": "build", "policy": {"allow": sorted({name for name, _ in hellos})}},
        {"vlan": 103, "name": "probe", "policy": {"allow": [ALLOWED]}}]}, dns={"pinning": "off"})
    build, probe = clean(lab[101]), clean(lab[103])
    with build.raw() as raw, probe.raw() as other:
        for name, hello in hellos:
            connection = raw.connect(SERVER, 443)
            connection.send(hello)
            assert connection.await_bytes(6)[:6:5] == b"\x16\x02", name
            gateway.allowed(build, "domain-allowed", name=name, sport=connection.sport)
            connection = other.connect(SERVER, 443)
            connection.send(hello)
            connection.await_reset()
            gateway.denied(probe, "domain-not-allowed", name=name, sport=connection.sport)
        assert probe.payload_to(SERVER) == b""


# A server that asks for another hello (HelloRetryRequest): it speaks P-384 alone, and clients offer
# X25519 first.


@pytest.fixture
def picky(build):
    with TlsServer(build.internet, 8444, "-groups", "P-384", "-www", "-max_early_data", "16384") as server:
        yield server


def test_clients_that_are_asked_again(gateway, build, picky):
    """curl, s_client, s_client with early data, and a raw host: each is answered after its second hello."""
    assert "s_server" in build.https(ALLOWED, None, picky.port, "/", "--curves", "X25519:P-384").out
    assert picky.names() == [ALLOWED] * 2
    session, early = build.internet.where / "session", build.internet.where / "early"
    early.write_text("early words")
    groups = ("-groups", "X25519:P-384")
    assert "s_server" in build.tls(ALLOWED, SERVER, picky.port, *groups, "-sess_out", session).out
    said = build.tls(ALLOWED, SERVER, picky.port, *groups, "-sess_in", session, "-early_data", early, "-msg")
    assert "s_server" in said.out, said
    assert said.out.count("ClientHello") == 2
    with build.raw() as raw:
        tls = client(build)
        connection = raw.connect(SERVER, picky.port)
        connection.send(tls.hello)
        assert "s_server" in tls.finish(connection)
    assert picky.names() == [ALLOWED] * 8
    assert len(gateway.events(vlan=101, reason="domain-allowed", name=ALLOWED)) == 4


def second_hello(tls, connection):
    """What an honest client answers to the server's first words."""
    used = 0
    while not tls.outward.pending:
        connection.await_bytes(used + 1)
        assert not connection.reset
        came = connection.stream[used:]
        used += len(came)
        tls.inward.write(came)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.tls.do_handshake()
    return tls.outward.read()


def of_the_denied_name(connection, tls):
    connection.send(forged(second_hello(tls, connection)))


def of_another_allowed_name(connection, tls):
    second_hello(tls, connection)
    connection.send(hello_with(server_name(b"neighbour.example")))


def of_no_name(connection, tls):
    second_hello(tls, connection)
    connection.send(hello_with(b"\xfa\xfa" + sized(2, DENIED.encode())))


def no_hello(connection, tls):
    second_hello(tls, connection)
    connection.send(record(22, b"\x14\0\0\x12" + DENIED.encode()))


def replaced_before_the_verdict(connection, tls):
    hello = second_hello(tls, connection)
    connection.segment(hello[:-1])
    connection.segment(forged(hello))


def replaced_after_the_verdict(connection, tls):
    hello = second_hello(tls, connection)
    connection.host.sandbox.internet.router.batch(f"route add blackhole {SERVER}/32")
    try:
        connection.segment(hello)
        assert connection.host.sandbox.sent_out(hello)
    finally:
        connection.host.sandbox.internet.router.batch(f"route del blackhole {SERVER}/32")
    connection.segment(forged(hello))


def early_data_replaced(connection, tls):
    """A record of application data as long as a hello, that never arrives, and then a hello there."""
    second_hello(tls, connection)
    hello = forged(tls.hello)
    connection.segment(record(23, bytes(len(hello) - 5)), ip={"ttl": 1})
    connection.segment(hello)


SECONDS = {of_the_denied_name: "domain-not-allowed", of_another_allowed_name: "domain-not-allowed",
           of_no_name: "no-server-name", no_hello: "not-tls", replaced_before_the_verdict: "stream-conflict",
           replaced_after_the_verdict: "stream-conflict", early_data_replaced: "stream-conflict"}
NEIGHBOURS = POLICY.replace("[registry.npmjs.org]", "[registry.npmjs.org, neighbour.example]")


@pytest.mark.parametrize("trick", SECONDS, ids=lambda trick: trick.__name__)
def test_second_hellos_that_lie(lab, trick):
    gateway = start(lab, NEIGHBOURS)
    build = lab[101]
    assert build.dig("neighbour.example").data == [SERVER]
    clean(build)
    with build.raw() as raw, TlsServer(build.internet, 8444, "-groups", "P-384", "-www") as server:
        tls = client(build)
        connection = raw.connect(SERVER, server.port)
        connection.send(tls.hello)
        trick(connection, tls)
        connection.await_reset()
        gateway.denied(build, SECONDS[trick], sport=connection.sport, dst=SERVER)
        assert_nothing_seen(build)
        assert not build.sent_out("neighbour.example")
        assert set(server.names()) == {ALLOWED}


def test_second_hello_sent_ahead(gateway, build, picky):
    """After the first, before the server has asked: it waits, and is judged when the server asks."""
    with build.raw() as raw:
        hello = client(build).hello
        connection = raw.connect(SERVER, picky.port)
        connection.segment(hello + forged(hello))
        connection.await_reset()
        gateway.denied(build, "domain-not-allowed", name=DENIED, sport=connection.sport)
        assert_nothing_seen(build)
        assert picky.names() == [ALLOWED]
        assert build.payload_to(SERVER) == hello
