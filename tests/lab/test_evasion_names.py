# SPDX-License-Identifier: Apache-2.0
"""Tricks with DNS and QUIC, by a real host against the real resolver and a real QUIC server."""

import struct
import subprocess

import pytest

from evasion import ALLOWED, DENIED, SERVER, SERVER6, build, clean, shared_gateway
from internet import OTHER_RESOLVER, RESOLVER, RESOLVER6
from rawhost import IP, UDP
from test_dns import queries_out, query
from test_evasion import lossy
from topology import wait_for

__all__ = ["build"]  # a fixture

EXFIL = "198.51.100.66"


@pytest.fixture(scope="module")
def gateway(world):
    yield from shared_gateway(world, """
        sandboxes:
          - {vlan: 101, name: build, policy: {allow: [registry.npmjs.org]}}
          - {vlan: 102, name: agent}
        """)


def asked_twice():
    one = query(ALLOWED, 7)
    return one[:4] + b"\0\2" + one[6:] + query(DENIED, 7)[12:]


def pointing():
    """A question whose name ends in a pointer, to a name after it."""
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\xc0\x12\0\1\0\1" + query(DENIED, 7)[12:-4]


MESSAGES = {
    "denied": (query(DENIED, 7), "dns-name-not-allowed"),
    "denied-in-upper-case": (query(DENIED.upper(), 7), "dns-name-not-allowed"),
    "below-an-allowed-name": (query("exfil-here." + ALLOWED, 7), "dns-name-not-allowed"),
    "two-questions": (asked_twice(), "malformed-dns"),
    "pointer": (pointing(), "malformed-dns"),
    "dot-in-a-label": (query(ALLOWED, 7)[:12] + b"\x12" + ALLOWED.encode() + b"\0\0\1\0\1", "malformed-dns"),
    "no-dns": (DENIED.encode() * 3, "malformed-dns"),
    "chaos": (query(DENIED, 7)[:-2] + b"\0\3", "malformed-dns"),
    "update": (query(DENIED, 7)[:2] + b"\x28\0" + query(DENIED, 7)[4:], "malformed-dns"),
    "response-bit": (query(DENIED, 7)[:2] + b"\x81\x80" + query(DENIED, 7)[4:], "malformed-dns"),
}


@pytest.mark.parametrize("server", [RESOLVER, RESOLVER6])
@pytest.mark.parametrize("case", MESSAGES)
def test_queries_that_lie(gateway, build, case, server):
    message, reason = MESSAGES[case]
    with build.udp(server, 53) as sock:
        sock.send(message)
        gateway.denied(build, reason, dst=server, sport=sock.getsockname()[1])
    assert not build.sent_out(DENIED) and build.packets_to(server) == []


@pytest.mark.parametrize("name", [ALLOWED, ALLOWED.upper(), "rEgIsTrY.nPmJs.OrG"])
def test_query_that_does_not_lie(gateway, build, name):
    with build.udp(RESOLVER, 53) as sock:
        sock.send(query(name, 7))
        assert sock.recv(2000)[12:].startswith(query(name, 7)[12:])
    assert len(queries_out(build)) == 1


def test_what_trails_a_query_stays_behind(gateway, build):
    with build.udp(RESOLVER, 53) as sock:
        sock.send(query(ALLOWED, 7) + query(DENIED, 7)[12:])
        build.barrier()
    assert not build.sent_out(DENIED)


@pytest.mark.parametrize("server", [OTHER_RESOLVER, SERVER])
def test_other_resolvers(gateway, build, server):
    with build.udp(server, 53) as sock:
        sock.send(query(ALLOWED, 7))
        gateway.denied(build, "dns-resolver-not-allowed", dst=server, proto="udp")
    assert build.packets_to(server) == []


def framed(*messages):
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


@pytest.mark.parametrize("cut", [1, 5, 1400])
@pytest.mark.parametrize("name", [ALLOWED, DENIED])
def test_queries_over_tcp(gateway, build, cut, name):
    """The second of two pipelined queries is the lie; the twin's is of the allowed name as well."""
    with build.raw() as raw:
        connection = raw.connect(RESOLVER, 53)
        connection.send(framed(query(ALLOWED, 1), query(name, 2)), cut)
        if name == ALLOWED:
            wait_for(lambda: connection.stream.count(ALLOWED.split(".")[0].encode()) >= 2, "two answers")
        else:
            connection.wait(lambda: connection.reset or connection.finished, "the end")
            gateway.denied(build, "dns-name-not-allowed", name=DENIED, sport=connection.sport)
        assert not build.sent_out(DENIED)


# QUIC. The datagrams are a real client's, caught under allow-all, and sent again by the raw host.


@pytest.fixture(scope="module")
def initials(gateway):
    server = gateway.lab.internet.quic_server(SERVER)
    caught = {name: initial_of(gateway.lab[102], name) for name in (ALLOWED, "exfil.example")}
    yield {**caught, "another": initial_of(gateway.lab[102], ALLOWED)}
    server.kill()
    server.wait()


def udp_payload(frame):
    """The payload of a datagram to port 443 of either family, else None."""
    at = {b"\x08\x00": 34, b"\x86\xdd": 54}.get(frame[12:14])
    if not at or 17 not in (frame[20], frame[23]) or frame[at + 2:at + 4] != b"\x01\xbb":
        return None
    return frame[at + 8:at + int.from_bytes(frame[at + 4:at + 6], "big")]


def initial_of(agent, name):
    """A client's first datagram, which no server has seen: it was lost on the way."""
    clean(agent)
    with lossy(agent, SERVER, SERVER6, EXFIL, "2001:db8:66::66"):
        process = agent.spawn("gtlsclient", name, 443, f"https://{name}/zone",
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        first = agent.left.wait(udp_payload, "an Initial")
        process.kill()
        process.wait()
        agent.barrier()
    return udp_payload(first)


def send(raw, port, datagram):
    raw.send(IP(src=raw.ip, dst=SERVER) / UDP(sport=port, dport=443) / datagram)


def answered(raw, port):
    raw.wait_ip(lambda p: p.haslayer(UDP) and p[UDP].sport == 443 and p[UDP].dport == port, "the server's answer")


def test_initial_of_the_allowed_name(gateway, build, initials):
    with build.raw() as raw:
        send(raw, 5000, initials[ALLOWED])
        answered(raw, 5000)
        gateway.allowed(build, "domain-allowed", name=ALLOWED, via="quic", sport=5000)


def greased(initial):
    return initial[:1] + b"\x1a\x2a\x3a\x4a" + initial[5:]


FIRST = {
    "denied": (lambda good, bad: bad, "domain-not-allowed"),
    "junk": (lambda good, bad: b"junk-" * 260, "not-quic"),
    "short-header": (lambda good, bad: b"\x40" + bad[1:], "not-quic"),
    "zero-rtt": (lambda good, bad: b"\xd0" + bad[1:], "not-quic"),
    "greased-version": (lambda good, bad: greased(bad), "not-quic"),
    "gquic": (lambda good, bad: bad[:1] + b"Q050" + bad[5:], "not-quic"),
    "draft-29": (lambda good, bad: bad[:1] + b"\xff\0\0\x1d" + bad[5:], "not-quic"),
    "small": (lambda good, bad: bad[:600], "not-quic"),
    "broken": (lambda good, bad: bad[:-40] + bytes(40), "malformed-quic"),
}


@pytest.mark.parametrize("case", FIRST)
def test_first_datagrams_that_lie(gateway, build, initials, case):
    made, reason = FIRST[case]
    port = 5100 + list(FIRST).index(case)
    sent = made(initials[ALLOWED], initials["exfil.example"])
    with build.raw() as raw:
        send(raw, port, sent)
        gateway.denied(build, reason, sport=port)
        send(raw, port, initials["exfil.example"])
        assert [frame for frame in build.packets_to(SERVER) if frame[23] == 17] == []


def test_second_connection_on_an_allowed_flow(gateway, build, initials):
    with build.raw() as raw:
        send(raw, 5200, initials["another"])
        answered(raw, 5200)
        send(raw, 5200, initials["exfil.example"])
        gateway.denied(build, "domain-not-allowed", sport=5200)
        send(raw, 5200, greased(initials["exfil.example"]))
        assert not build.sent_out(initials["exfil.example"][:60])
        assert not build.sent_out(greased(initials["exfil.example"])[:60])


def test_pinned_address_alone(gateway, build, initials):
    """The allowed name in an Initial to an address that no answer gave."""
    with build.raw() as raw:
        raw.send(IP(src=raw.ip, dst=EXFIL) / UDP(sport=5300, dport=443) / initials[ALLOWED])
        gateway.denied(build, "address-not-pinned", sport=5300, dst=EXFIL)
        assert build.packets_to(EXFIL) == []
