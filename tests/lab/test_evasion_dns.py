# SPDX-License-Identifier: Apache-2.0
"""Tricks with answers, pins and DNS over TCP: a real host in the sandbox, a resolver that says what the
test wants (or knot), real servers at the addresses."""

import socket
import ssl
import struct
import time

import pytest

from evasion import ALLOWED, DENIED, SERVER, build, clean, shared_gateway
from internet import OTHER_RESOLVER, RESOLVER, RESOLVER6, SCRIPTED_RESOLVER
from peer_dns import (AAAA, HTTPS, TRUNCATED, ANSWERED, ScriptedResolver, address, alias, asking, framed,
                      question_end, read_framed, record, reply, wire_name)
from rawhost import RawTcp
from test_evasion import lossy
from test_evasion_names import MESSAGES
from topology import wait_for

__all__ = ["build"]  # a fixture

HERE, THERE, EXFIL = "198.51.100.20", "198.51.100.21", "198.51.100.66"
GRACE, PATIENCE = 2, 3  # seconds that a pin lives at least, and that an answer may take


@pytest.fixture(scope="module")
def gateway(world):
    policy = "{allow: [registry.npmjs.org, assets.example, hinted.example, svc.example, '*.scripted.example']}"
    yield from shared_gateway(world, f"""
        sandboxes:
          - {{vlan: 101, name: build, policy: {policy}}}
          - {{vlan: 102, name: agent}}
          - {{vlan: 103, name: probe, policy: {policy}}}
        """, dns={"resolvers": [RESOLVER, RESOLVER6, SCRIPTED_RESOLVER], "pin-grace": GRACE, "strip-ech": False},
        timeouts={"dns": PATIENCE}, inspect={"hello-timeout": 2}, limits={"pins-per-sandbox": 70})


@pytest.fixture(scope="module")
def peer(gateway):
    resolver = ScriptedResolver(gateway.lab.internet, SCRIPTED_RESOLVER)
    yield resolver
    resolver.close()


@pytest.fixture
def resolver(peer):
    peer.forget()
    return peer


names = iter(f"n{number}.scripted.example" for number in range(10000))


@pytest.fixture
def name():
    """A name that no earlier test has pinned anything to."""
    return next(names)


def ask(sandbox, resolver, name, *records, kind=1, **options):
    """A query of the sandbox and its answer, which arrives."""
    with sandbox.udp(resolver.at, 53) as sock:
        sock.send(asking(name, 77, kind))
        resolver.answer(*records, **options)
        got = sock.recv(2000)
        assert got[:2] == b"\0\x4d" and got[12:].startswith(wire_name(name))
        return got


def assert_open(gateway, sandbox, name, at):
    assert f"sni={name}" in sandbox.https(name, at).out
    gateway.allowed(sandbox, "domain-allowed", name=name, dst=at)


def is_closed(sandbox, at, port=443):
    """True if a SYN is refused at once. A reset ends what was opened, so that no hold waits for its hello."""
    try:
        with sandbox.talk(at, port) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except ConnectionRefusedError:
        return True
    return False


def assert_closed(gateway, sandbox, at, reason="address-not-pinned"):
    assert is_closed(sandbox, at)
    gateway.denied(sandbox, reason, dst=at, dport=443)
    assert sandbox.packets_to(at) == []


# Unsolicited answers. Each of them is followed by an honest one.


def as_other_name(query):
    other = wire_name("other.scripted.example")
    return query[:12] + other + query[question_end(query) - 4:]


def in_other_case(query):
    end = question_end(query) - 4
    return query[:12] + query[12:end].swapcase() + query[end:]


LIES = {
    "id": (lambda query: struct.pack("!H", (query[0] << 8 | query[1]) ^ 1) + query[2:], "no-flow"),
    "name": (as_other_name, "no-flow"),
    "case": (in_other_case, "no-flow"),
    "type": (lambda query: query[:question_end(query) - 4] + b"\0\x1c" + query[question_end(query) - 2:], "no-flow"),
}


@pytest.mark.parametrize("case", LIES)
def test_answers_that_do_not_fit(gateway, build, resolver, name, case):
    lie, reason = LIES[case]
    with build.udp(resolver.at, 53) as sock:
        sock.send(asking(name, 1))
        query = resolver.query()
        resolver.say(reply(lie(query), address(name, EXFIL), flags=ANSWERED))
        resolver.say(reply(query, address(name, HERE)))
        assert socket.inet_aton(HERE) in sock.recv(2000)
        gateway.denied(build, reason, dst=resolver.at, sport=sock.getsockname()[1])
    assert_open(gateway, build, name, HERE)
    assert_closed(gateway, build, EXFIL)


BROKEN = {
    "cut-short": (lambda query, good: good[:-3], "malformed-dns"),
    "no-response": (lambda query, good: good[:2] + b"\1\0" + good[4:], "malformed-dns"),
    "two-questions": (lambda query, good: good[:4] + b"\0\2" + good[6:], "no-flow"),
    "nothing": (lambda query, good: good[:7], "malformed-dns"),
    "pointer-to-itself": (lambda query, good: good[:question_end(query)] + b"\xc0"
                          + bytes([question_end(query)]) + good[-14:], "malformed-dns"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_answers_that_are_broken(gateway, build, resolver, name, case):
    broken, reason = BROKEN[case]
    with build.udp(resolver.at, 53) as sock:
        sock.send(asking(name, 1))
        query = resolver.query()
        resolver.say(broken(query, reply(query, address(name, EXFIL))))
        resolver.say(reply(query, address(name, HERE)))
        assert socket.inet_aton(HERE) in sock.recv(2000)
        gateway.denied(build, reason, dst=resolver.at, sport=sock.getsockname()[1])
    assert_closed(gateway, build, EXFIL)


@pytest.mark.parametrize("source", [(OTHER_RESOLVER, 5353), (SCRIPTED_RESOLVER, 5353)])
def test_answers_from_elsewhere(gateway, build, resolver, name, source):
    with build.udp(resolver.at, 53) as sock, resolver.socket(socket.SOCK_DGRAM, source[1], source[0]) as other:
        sock.send(asking(name, 1))
        query = resolver.query()
        other.sendto(reply(query, address(name, EXFIL)), resolver.asked_by)
        resolver.say(reply(query, address(name, HERE)))
        assert socket.inet_aton(HERE) in sock.recv(2000)
        gateway.denied(build, "no-flow", dst=source[0], dport=source[1])
    assert_closed(gateway, build, EXFIL)


@pytest.mark.parametrize("wrong", [7, 8])
def test_eight_wrong_answers(gateway, build, resolver, name, wrong):
    """After seven the right one is believed, after eight the query is forgotten."""
    at = f"198.51.100.{80 + wrong}"
    with build.udp(resolver.at, 53) as sock:
        sock.send(asking(name, 1))
        query = resolver.query()
        for number in range(1, wrong + 1):
            other = struct.pack("!H", (query[0] << 8 | query[1]) ^ number) + query[2:]
            resolver.say(reply(other, address(name, EXFIL)))
        resolver.say(reply(query, address(name, at)))
        ask(build, resolver, next(names), address(name, THERE))  # what came before it is through
        sock.send(asking(next(names), 2))
        resolver.answer(address(name, THERE))
        assert sock.recv(2000)[:2] == (b"\0\1" if wrong == 7 else b"\0\2")
        gateway.denied(build, "no-flow", dst=resolver.at, sport=sock.getsockname()[1])
    if wrong == 7:
        assert_open(gateway, build, name, at)
    else:
        assert_closed(gateway, build, at)


def test_answer_comes_twice(gateway, build, resolver, name):
    with build.udp(resolver.at, 53) as sock:
        sock.send(asking(name, 1))
        query = resolver.query()
        resolver.say(reply(query, address(name, HERE)))
        resolver.say(reply(query, address(name, EXFIL)))
        sock.send(asking(name, 2))
        resolver.answer(address(name, HERE))
        assert [sock.recv(2000)[:2] for _ in range(2)] == [b"\0\1", b"\0\2"]
        gateway.denied(build, "no-flow", dst=resolver.at, sport=sock.getsockname()[1])
    assert_closed(gateway, build, EXFIL)


def test_answer_comes_late(gateway, build, resolver, name):
    with build.udp(resolver.at, 53) as sock:
        sock.send(asking(name, 1))
        query = resolver.query()
        time.sleep(PATIENCE + 0.2)
        resolver.say(reply(query, address(name, EXFIL)))
        sock.send(asking(name, 2))
        resolver.answer(address(name, HERE))
        assert sock.recv(2000)[:2] == b"\0\2"
        gateway.denied(build, "no-flow", dst=resolver.at, sport=sock.getsockname()[1])
    assert_closed(gateway, build, EXFIL)


def test_queries_of_one_port_all_wait(gateway, build, resolver):
    """Many resolver libraries ask everything from one socket, and the resolver may be slow."""
    with build.udp(resolver.at, 53) as sock:
        for number in range(100):
            sock.send(asking(next(names), number))
        first = resolver.query()
        for _ in range(98):
            resolver.query()
        last = resolver.query()
        for query, number in ((last, 99), (first, 0)):
            resolver.say(reply(query))
            assert sock.recv(2000)[:2] == number.to_bytes(2, "big")
        assert not gateway.events(vlan=101, verdict="deny", dst=resolver.at, sport=sock.getsockname()[1])


def queries_to(sandbox, at):
    return [frame[42:] for frame in sandbox.packets_to(at) if frame[23] == 17]


# What pins.


STRANGERS = {
    "additional": lambda name: dict(additional=[address(name, EXFIL)]),
    "authority": lambda name: dict(authority=[address(name, EXFIL)]),
    "another-owner": lambda name: dict(records=[address("other.scripted.example", EXFIL)]),
    "behind-no-chain": lambda name: dict(records=[alias("x.example", "y.example"), address("y.example", EXFIL)]),
    "loop": lambda name: dict(records=[alias(name, "x.example"), alias("x.example", name), address("y.example", EXFIL)]),
    "another-class": lambda name: dict(records=[address(name, EXFIL)[:len(wire_name(name)) + 2] + b"\0\3"
                                                + address(name, EXFIL)[len(wire_name(name)) + 4:]]),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_records_that_pin_nothing(gateway, build, resolver, name, case):
    options = STRANGERS[case](name)
    ask(build, resolver, name, *options.pop("records", ()), address(name, HERE), **options)
    assert_open(gateway, build, name, HERE)
    assert_closed(gateway, build, EXFIL)


def test_a_chain_of_aliases(gateway, build, resolver, name):
    """Its address pins to the asked name alone, though the policy allows the others too."""
    middle, end = next(names), next(names)
    ask(build, resolver, name, alias(name, middle), alias(middle, end), address(end, THERE))
    assert_open(gateway, build, name, THERE)
    for other in (middle, end):
        assert not build.https(other, THERE).ok
        gateway.denied(build, "address-not-pinned", name=other, dst=THERE, via="tls")
        assert not build.sent_out(other, whole=True)


def test_sixty_addresses_that_rotate(gateway, build, resolver, name):
    """Six of them in each answer; every one that was ever given stays open."""
    every = [f"198.51.100.{100 + number}" for number in range(60)]
    for start in range(0, 60, 6):
        ask(build, resolver, name, *(address(name, at) for at in every[start:start + 6]))
    assert not any(is_closed(build, at) for at in every)
    assert_open(gateway, build, name, every[0])
    assert_closed(gateway, build, "198.51.100.160")


def test_pins_are_bounded(gateway, build, resolver, name):
    """The sandbox's own oldest unused goes; what it uses stays, and so does what others have."""
    probe = clean(gateway.lab[103])
    ask(probe, resolver, name, address(name, "198.51.100.99"))
    every = [f"198.51.100.{100 + number}" for number in range(71)]
    for start in range(0, 70, 35):
        ask(build, resolver, name, *(address(name, at) for at in every[start:start + 35]))
    assert_open(gateway, build, name, every[0])
    ask(build, resolver, name, address(name, every[70]))
    assert_closed(gateway, build, every[1])
    assert not any(is_closed(build, at) for at in (every[0], every[2], every[69], every[70]))
    assert_open(gateway, probe, name, "198.51.100.99")
    assert build.dig(ALLOWED).status == build.dig(ALLOWED, "AAAA").status == "NOERROR"


def test_pins_of_another_sandbox(gateway, build, resolver, name):
    probe = clean(gateway.lab[103])
    ask(probe, resolver, name, address(name, "198.51.100.98"))
    assert_closed(gateway, build, "198.51.100.98")
    assert_open(gateway, probe, name, "198.51.100.98")


def test_a_pin_ends_and_its_connection_lives(gateway, build, resolver, name):
    """TTL 0: it lives for the grace alone, that of a TTL longer. A flow outlives it, a new one does not."""
    at = "198.51.100.97"
    ask(build, resolver, name, address(name, at, ttl=0), address(name, "198.51.100.96", ttl=300))
    context = ssl.create_default_context(cafile=build.internet.where / "ca.pem")
    with context.wrap_socket(build.talk(at, 443), server_hostname=name) as live:
        time.sleep(GRACE)
        wait_for(lambda: is_closed(build, at), "the pin to end")
        gateway.denied(build, "address-not-pinned", dst=at)
        live.sendall(f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
        assert f"sni={name}".encode() in live.recv(2000)
    assert_open(gateway, build, name, "198.51.100.96")
    ask(build, resolver, name, address(name, at))
    assert_open(gateway, build, name, at)


REBOUND = {
    "10.99.0.1": "internal-subnet",
    "fd99::1": "internal-subnet",
    "64:ff9b::a63:1": "internal-subnet",  # 10.99.0.1 behind a translator
    "169.254.169.254": "protected-subnet",
    "198.18.0.1": "protected-subnet",
    "224.0.0.251": "protected-subnet",
    "fe80::1": "protected-subnet",
    "64:ff9b::7f00:1": "protected-subnet",
}


@pytest.mark.parametrize("inside", REBOUND)
def test_rebinding(gateway, build, resolver, name, inside):
    """The name was outside, now it is inside."""
    ask(build, resolver, name, address(name, HERE, ttl=0))
    assert_open(gateway, build, name, HERE)
    ask(build, resolver, name, address(name, inside, ttl=0), kind=AAAA if ":" in inside else 1)
    build.left.clear()
    with build.raw() as raw:
        connection = RawTcp(raw, inside, 443)
        connection.syn()
        gateway.denied(build, REBOUND[inside], dst=inside, dport=443, sport=connection.sport)
    assert not [frame for frame in build.packets_to(inside) if 6 in (frame[20], frame[23])]
    assert_open(gateway, build, name, HERE)


@pytest.mark.parametrize("case", ["https-4", "https-6", "svcb"])
def test_hints_pin(gateway, build, case):
    kind, name, at = {"https-4": ("HTTPS", "hinted.example", "198.51.100.17"),
                      "https-6": ("HTTPS", "hinted.example", "2001:db8:10::17"),
                      "svcb": ("SVCB", "svc.example", "198.51.100.19")}[case]
    probe = clean(gateway.lab[103])
    assert build.dig(name, kind).status == "NOERROR"
    assert_open(gateway, build, name, at)
    assert_closed(gateway, probe, at)


def test_hints_of_another_name_pin_nothing(gateway, build, resolver, name):
    def hinting(owner):
        hint = struct.pack("!H", 1) + b"\0" + struct.pack("!HH", 4, 4) + socket.inet_aton(EXFIL)
        return record(owner, HTTPS, hint)
    ask(build, resolver, name, hinting("other.scripted.example"), kind=HTTPS)
    assert_closed(gateway, build, EXFIL)


# TCP.


def test_dig_over_tcp(gateway, build):
    assert build.dig(ALLOWED, "A", RESOLVER, "+tcp").data == [SERVER]
    assert_open(gateway, build, ALLOWED, SERVER)
    assert build.dig(ALLOWED, "A", RESOLVER6, "+tcp", "+padding=128", "+subnet=10.0.1.0/24").data == [SERVER]
    gateway.allowed(build, "dns-allowed", name=ALLOWED, via="dns", proto="tcp", dst=RESOLVER6, dport=53)
    build.left.clear()
    assert build.dig(DENIED, "A", RESOLVER, "+tcp").status == "NXDOMAIN"
    gateway.denied(build, "dns-name-not-allowed", name=DENIED, via="dns", proto="tcp", dst=RESOLVER, dport=53)
    assert not build.sent_out(DENIED) and build.payload_to(RESOLVER) == b""


@pytest.mark.parametrize("asked", [[ALLOWED, "assets.example", "hinted.example"],
                                   [ALLOWED, DENIED, "assets.example"]], ids=["allowed", "one-denied"])
def test_dig_keeps_the_connection_open(gateway, build, asked):
    """One connection for all; a refused query is its end, the client opens another one."""
    args = [part for name in asked for part in (f"@{RESOLVER}", "+tcp", "+keepopen", "+tries=1", "+time=5", name, "A")]
    said = build.run("dig", *args)
    ports = {key[1] for key in build.streams_out() if key[2] == RESOLVER}
    if DENIED not in asked:
        assert said.out.count("status: NOERROR") == 3, said
        assert len(ports) == 1
    else:
        assert said.out.count("status: NXDOMAIN") == 1 and said.out.index("NOERROR") < said.out.index("NXDOMAIN"), said
        gateway.denied(build, "dns-name-not-allowed", name=DENIED, proto="tcp", dst=RESOLVER)
    assert not build.sent_out(DENIED)


@pytest.mark.parametrize("case", MESSAGES)
def test_messages_over_tcp_that_lie(gateway, build, case):
    message, reason = MESSAGES[case]
    with build.raw() as raw:
        connection = raw.connect(RESOLVER, 53)
        connection.send(framed(message))
        connection.wait(lambda: connection.reset or connection.finished, "the end")
        gateway.denied(build, reason, sport=connection.sport, dst=RESOLVER, proto="tcp")
    assert not build.sent_out(DENIED) and build.payload_to(RESOLVER) == b""


@pytest.mark.parametrize("data", [b"GET / HTTP/1.0\r\n\r\n", b"\0\0", b"\xff\xff" + bytes(1000)],
                         ids=["http", "empty", "huge"])
def test_what_is_no_dns_over_tcp(gateway, build, data):
    with build.raw() as raw:
        connection = raw.connect(RESOLVER, 53)
        connection.send(data)
        connection.await_reset()
        gateway.denied(build, "malformed-dns", sport=connection.sport, dst=RESOLVER, proto="tcp")
    assert build.payload_to(RESOLVER) == b""


def test_query_over_tcp_that_stalls(gateway, build):
    with build.raw() as raw:
        connection = raw.connect(RESOLVER, 53)
        connection.send(framed(asking(ALLOWED, 1))[:-1])
        connection.await_reset()
        gateway.denied(build, "hello-timeout", sport=connection.sport, dst=RESOLVER)
    assert build.payload_to(RESOLVER) == b""


@pytest.mark.parametrize("name", [ALLOWED, DENIED])
@pytest.mark.parametrize("when", ["on-hold", "after-the-verdict"])
def test_query_replaced_by_a_retransmission(gateway, build, name, when):
    """The allowed query is lost on its way, or not whole yet; the twin sends the same again."""
    decoy, lie = framed(asking(ALLOWED, 9)), framed(asking(name, 9))
    with build.raw() as raw:
        connection = raw.connect(RESOLVER, 53)
        if when == "on-hold":
            connection.segment(decoy[:30])
            build.barrier()
        else:
            with lossy(build, RESOLVER):
                connection.segment(decoy)
                gateway.allowed(build, "dns-allowed", name=ALLOWED, sport=connection.sport)
                assert build.sent_out(decoy)
        connection.segment(lie)
        if name == ALLOWED:
            assert len(connection.await_bytes(40)) >= 40 and not connection.reset
        else:
            connection.await_reset()
            gateway.denied(build, "stream-conflict", sport=connection.sport, dst=RESOLVER)
    assert not build.sent_out(DENIED)


@pytest.mark.parametrize("cut", [1, 7, 4000])
def test_answers_over_tcp(gateway, build, resolver, name, cut):
    """Unsolicited ones pin nothing, the requested one does, in whatever pieces it comes."""
    with build.talk(resolver.at, 53, framed(asking(name, 3))) as client, resolver.accept() as server:
        query = read_framed(server)
        unasked = reply(asking("other.scripted.example", 4), address("other.scripted.example", EXFIL))
        said = framed(unasked, reply(query, address(name, HERE), additional=[address(name, EXFIL)]),
                      reply(query, address(name, EXFIL)))
        for start in range(0, len(said), cut):
            server.sendall(said[start:start + cut])
        got = b""
        while len(got) < len(said):
            got += client.recv(65535)
        assert got == said
    assert_open(gateway, build, name, HERE)
    assert_closed(gateway, build, EXFIL)


def test_truncated_answer_then_tcp(gateway, build, resolver, name):
    """As Go's resolver does: both types at once from ports of their own, OPT in every query, over TCP
    too, where the answer to each is whole."""
    with build.udp(resolver.at, 53) as four, build.udp(resolver.at, 53) as six:
        for sock, kind in ((four, 1), (six, AAAA)):
            sock.send(asking(name, 0x1234, kind, size=1232))
        for _ in range(2):
            query = resolver.query()
            assert query.endswith(struct.pack("!HHIH", 41, 1232, 0, 0))
            resolver.say(reply(query, flags=ANSWERED | TRUNCATED))
        for sock, kind, at in ((four, 1, "198.51.100.95"), (six, AAAA, "2001:db8:10::95")):
            assert sock.recv(2000)[:4] == b"\x12\x34" + struct.pack("!H", ANSWERED | TRUNCATED)
            with build.talk(resolver.at, 53) as client, resolver.accept() as server:
                again = asking(name, 0x4321, kind, size=1232)
                client.sendall(framed(again))
                assert read_framed(server) == again
                many = [address(name, f"198.51.100.{100 + n}") for n in range(100)] if kind == 1 else []
                server.sendall(framed(reply(again, *many, address(name, at))))
                assert len(read_framed(client)) > len(many) * 16
            assert_open(gateway, build, name, at)
    gateway.allowed(build, "dns-allowed", name=name, proto="tcp", dst=resolver.at)
