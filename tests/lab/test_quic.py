# SPDX-License-Identifier: Apache-2.0
"""QUIC by a real client and server (ngtcp2), end to end."""

import contextlib
import subprocess

import pytest

from evasion import ALLOWED, SERVER, SERVER6, build, clean, shared_gateway
from peer_quic import CUTS, Recutter, living_at, to_draft, to_rfc
from quicpackets import INITIAL, V1, V2, Keys, Packet, crypto_of, hello_size, packets_of, together

__all__ = ["build"]  # a fixture

UNLISTED = "exfil.example"  # at the address that is pinned as well, see the zone
LOOPBACK = ("127.0.0.2", 443)
RETRYING = 4433  # the port of a server that validates addresses
PLAIN, TRANSLATED = 443, 4434
NEWER = 4438  # and of one that would rather speak version 2
# What a post-quantum key share makes of a hello, with what Debian's client has: a finite field's.
LARGE = "--groups=-GROUP-ALL:+GROUP-FFDHE8192:+GROUP-X25519"


@pytest.fixture(scope="module")
def gateway(world):
    """build must prove a name, agent may go anywhere, probe may reach addresses."""
    yield from shared_gateway(world, """
        sandboxes:
          - {vlan: 101, name: build, policy: {allow: [registry.npmjs.org, github.com]}}
          - {vlan: 102, name: agent}
          - {vlan: 103, name: probe, policy: {allow: [exfil.example], subnets: {allow: [198.51.100.0/24, "2001:db8::/32"]}}}
        """)


@pytest.fixture(scope="module")
def servers(gateway):
    internet = gateway.lab.internet
    started = [internet.quic_server(SERVER), internet.quic_server(SERVER6),
               internet.quic_server(SERVER, RETRYING, "--validate-addr"),
               internet.quic_server(SERVER, NEWER, "--preferred-versions=v2draft")]
    yield internet
    for server in started:
        server.kill()
        server.wait()


@pytest.fixture(autouse=True)
def serving(servers):
    """Every test here is with the servers."""


@pytest.fixture
def agent(gateway):
    return clean(gateway.lab[102])


@pytest.fixture
def probe(gateway):
    return clean(gateway.lab[103])


def fetch(sandbox, name, port=PLAIN, *args):
    """HTTP/3 GET of a small file by a client that is told the host's name and sends it as its SNI."""
    return sandbox.run("gtlsclient", "--exit-on-all-streams-close", "--no-quic-dump", *args, name, port,
                       f"https://{name}:{port}/zone")


def assert_fetched(done):
    assert done.ok and "[:status: 200]" in done.err, done


@contextlib.contextmanager
def at(sandbox, address, name):
    """The client finds the name at this address without a question."""
    with living_at(sandbox, name, address):
        yield


@pytest.mark.parametrize("address", [SERVER, SERVER6])
def test_quic_needs_no_name_under_allow_all_and_subnets(gateway, agent, probe, address):
    for sandbox, reason in ((agent, "allow-all"), (probe, "subnet-allowed")):
        with at(sandbox, address, UNLISTED):
            assert_fetched(fetch(sandbox, UNLISTED))
        gateway.allowed(sandbox, reason, proto="udp", dst=address, dport=443)


@pytest.mark.parametrize("address", [SERVER, SERVER6])
@pytest.mark.parametrize("size", ["ordinary", "large"])
def test_allowed_name(gateway, build, servers, address, size):
    with at(build, address, ALLOWED):
        assert_fetched(fetch(build, ALLOWED, PLAIN, *[LARGE] * (size == "large")))
    gateway.allowed(build, "domain-allowed", name=ALLOWED, via="quic", dst=address, dport=443)
    assert len(first_flight(build, address)) == 1 + (size == "large")
    assert servers.quic_saw(ALLOWED, address)


@pytest.mark.parametrize("address", [SERVER, SERVER6])
@pytest.mark.parametrize("size", ["ordinary", "large"])
def test_denied_name(gateway, build, agent, servers, address, size):
    with at(agent, address, UNLISTED):
        assert_fetched(fetch(agent, UNLISTED, PLAIN, *[LARGE] * (size == "large")))
    servers.forget()
    with at(build, address, UNLISTED):
        client = build.spawn("gtlsclient", "-q", *[LARGE] * (size == "large"), UNLISTED, 443,
                             f"https://{UNLISTED}/zone", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        gateway.denied(build, "domain-not-allowed", name=UNLISTED, via="quic", dst=address, dport=443)
        client.kill()
        client.wait()
    assert build.packets_to(address) == [] and not servers.quic_saw(UNLISTED, address)


def first_flight(sandbox, address):
    """The datagrams that left and that a hello takes."""
    stream, made = {}, []
    for frame in sandbox.packets_to(address):
        at = 42 if frame[12:14] == b"\x08\x00" else 62
        packet = Packet(frame[at:], 0)
        if packet.kind == INITIAL and len(together(stream)) < hello_size(together(stream)):
            keys = Keys(packet.version, packet.dcid)
            made.append(frame[at:])
            stream.update(crypto_of(packet.open(keys)[1]))
    return made


# The client's hello cut anew on its way to the gateway. All of it is real but for the cuts.


@contextlib.contextmanager
def recut(sandbox, name, cut, port=PLAIN):
    """The sandbox's own relay stands between its client and the way out."""
    with living_at(sandbox, name, LOOPBACK[0]), \
            Recutter(cut, sandbox.space, (LOOPBACK[0], port), sandbox.space, (SERVER, port)):
        yield


@pytest.mark.parametrize("port", [PLAIN, RETRYING])
@pytest.mark.parametrize("cut", CUTS)
def test_hello_in_any_pieces(gateway, build, servers, cut, port):
    with recut(build, ALLOWED, CUTS[cut], port):
        assert_fetched(fetch(build, ALLOWED, port))
    gateway.allowed(build, "domain-allowed", name=ALLOWED, via="quic", dport=port)


@pytest.mark.parametrize("cut", ["whole", "in-two", "in-two-backwards", "in-four"])
def test_large_hello_in_any_pieces(gateway, build, servers, cut):
    with recut(build, ALLOWED, CUTS[cut]):
        assert_fetched(fetch(build, ALLOWED, PLAIN, LARGE))
    gateway.allowed(build, "domain-allowed", name=ALLOWED, via="quic", dport=443)


@pytest.mark.parametrize("cut", CUTS)
def test_denied_hello_in_any_pieces(gateway, build, servers, cut):
    with recut(build, UNLISTED, CUTS[cut]):
        client = build.spawn("gtlsclient", "-q", LARGE, UNLISTED, 443, f"https://{UNLISTED}/zone",
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        gateway.denied(build, "domain-not-allowed", name=UNLISTED, via="quic")
        client.kill()
        client.wait()
    assert build.packets_to(SERVER) == [] and not servers.quic_saw(UNLISTED, SERVER)


def test_retry_of_a_real_server(gateway, build):
    assert_fetched(fetch(build, ALLOWED, RETRYING))
    gateway.allowed(build, "domain-allowed", name=ALLOWED, via="quic", dport=RETRYING)
    assert any(packet.token for frame in build.packets_to(SERVER) for packet in packets_of(frame[42:])
               if packet.kind == INITIAL), "the server asked for no address validation"


def test_version_two(gateway, build):
    """Debian's ngtcp2 knows version 2 by its draft's number; outside of both ends it is the RFC's."""
    internet = gateway.lab.internet
    wire = (SERVER, TRANSLATED)
    with living_at(build, ALLOWED, LOOPBACK[0]), to_rfc(build.space, LOOPBACK, build.space, wire), \
            to_draft(internet.host, wire, internet.host, (SERVER, PLAIN), ("198.51.100.11", 0)):
        assert_fetched(fetch(build, ALLOWED, PLAIN, "-v", "v2draft"))
    gateway.allowed(build, "domain-allowed", name=ALLOWED, via="quic", dport=TRANSLATED)
    assert versions_out(build) == {V2}


def test_server_that_prefers_version_two(gateway, build):
    """The client begins with version 1; the server answers in version 2 at once (RFC 9368)."""
    internet = gateway.lab.internet
    wire = (SERVER, TRANSLATED)
    with living_at(build, ALLOWED, LOOPBACK[0]), to_rfc(build.space, LOOPBACK, build.space, wire), \
            to_draft(internet.host, wire, internet.host, (SERVER, NEWER), ("198.51.100.11", 0)):
        assert_fetched(fetch(build, ALLOWED, PLAIN, "--other-versions", "v2draft,v1"))
    gateway.allowed(build, "domain-allowed", name=ALLOWED, via="quic", dport=TRANSLATED)
    assert versions_out(build) == {V1, V2}


def versions_out(sandbox):
    return {packet.version for frame in sandbox.packets_to(SERVER) for packet in packets_of(frame[42:])
            if packet.kind}


def test_honest_clients_are_not_taken_for_liars(gateway, build):
    """A client that has heard the server clears the fixed bit as it likes (RFC 9287), in three of four
    first acknowledgements. Where the byte that bears it comes out as zero, one of 128 times, what
    follows looks like padding that hides something: that datagram has to be sent again."""
    clients = []
    for _ in range(8):
        assert_fetched(fetch(build, ALLOWED, PLAIN, LARGE))
        port = gateway.allowed(build, "domain-allowed", dport=PLAIN)["sport"]
        clients.append(port)
    refused = {event["sport"] for event in gateway.events(vlan=101, reason="malformed-quic")}
    assert len(refused & set(clients)) <= 2
