"""What the tests of tricks share: one gateway for a whole file, one hello for each of two names that
are equally long, and the proof that nothing of the denied one came out."""

import struct

import pytest

from rawhost import RawTcp, TlsClient

ALLOWED, DENIED = "registry.npmjs.org", "exfil-here.example"  # equally long: hellos differ in the name only
SERVER, SERVER6 = "198.51.100.10", "2001:db8:10::10"
SMUGGLED = b"smuggled-bytes"

# build must prove a name, agent may reach addresses, probe has two families of addresses of its own.
POLICY = """
    sandboxes:
      - {vlan: 101, name: build, policy: {allow: [registry.npmjs.org]}}
      - vlan: 102
        name: agent
        policy: {subnets: {allow: [198.51.100.0/24, "2001:db8:10::/48"]}}
      - {vlan: 103, name: probe, source: [10.0.3.0/24, "fd00:0:3::/64"]}
    """


def shared_gateway(world, policy=POLICY, **options):
    """For a fixture of a module: a gateway that serves all its tests, and whose books add up at the end."""
    world.reset()
    gateway = world.start(policy, **options)
    for kind in ("A", "AAAA"):
        assert world[101].dig(ALLOWED, kind).status == "NOERROR"
    yield gateway
    counters = gateway.stop()
    assert counters["packets"] == counters["forwarded"] + counters["dropped"] + counters.get("held", 0)
    world.reset()


def clean(sandbox):
    """The sandbox with nothing on its tap and nothing in the servers' logs that is of an earlier test."""
    sandbox.barrier()
    sandbox.left.clear()
    sandbox.internet.forget()
    return sandbox


def client(sandbox):
    return TlsClient(ALLOWED, sandbox.internet.where / "ca.pem")


def forged(hello):
    """The same hello for the denied name."""
    assert hello.count(ALLOWED.encode()) == 1 and len(ALLOWED) == len(DENIED)
    return hello.replace(ALLOWED.encode(), DENIED.encode())


def again(connection, ahead=1_000_000):
    """A new connection on the ports of an old one, its SYN not yet sent."""
    return RawTcp(connection.host, connection.address, connection.port, sport=connection.sport,
                  isn=(connection.isn + ahead) % 2**32)


def assert_nothing_seen(sandbox, secret=DENIED):
    """Neither the wire behind the gateway nor a server saw the denied name, or these bytes."""
    assert not sandbox.sent_out(secret)
    needle = secret.encode() if isinstance(secret, str) else secret
    assert not sandbox.internet.seen("web", sni=DENIED)
    for server in ("sink", "udp"):
        assert not any(needle.hex() in entry.get("hex", "") for entry in sandbox.internet.seen(server))


def assert_answered(gateway, connection, tls):
    """The honest twin: the hello has been sent, and the server answers to its name."""
    assert f"sni={ALLOWED}" in tls.finish(connection)
    gateway.allowed(connection.host.sandbox, "domain-allowed", name=ALLOWED, sport=connection.sport)


def assert_denied(gateway, connection, reason):
    connection.await_reset()
    gateway.denied(connection.host.sandbox, reason, sport=connection.sport, dst=connection.address)
    assert_nothing_seen(connection.host.sandbox)


def record(kind, body):
    return struct.pack("!BHH", kind, 0x0301, len(body)) + body


def sized(width, body):
    return len(body).to_bytes(width, "big") + body


def server_name(*names, kind=0):
    """A server_name extension (RFC 6066 section 3)."""
    return b"\0\0" + sized(2, sized(2, b"".join(bytes([kind]) + sized(2, name) for name in names)))


def hello_with(*extensions):
    """A plain TLS 1.2 hello with these extensions and what a server needs to answer."""
    suites = bytes.fromhex("c02bc02f009c")
    groups, formats = bytes.fromhex("000a000600040017001d"), bytes.fromhex("000b00020100")
    signatures = bytes.fromhex("000d000a00080403080404010503")
    body = (b"\x03\x03" + bytes(range(32)) + b"\0" + sized(2, suites) + b"\x01\0"
            + sized(2, b"".join(extensions) + groups + formats + signatures))
    return record(22, b"\x01" + sized(3, body))


@pytest.fixture(scope="module")
def gateway(world):
    yield from shared_gateway(world)


@pytest.fixture
def build(gateway):
    return clean(gateway.lab[101])


@pytest.fixture
def agent(gateway):
    return clean(gateway.lab[102])
