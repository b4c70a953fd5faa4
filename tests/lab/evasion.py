# SPDX-License-Identifier: Apache-2.0
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


def start(world, policy=POLICY, **options):
    """A gateway whose build has asked for its name. What servers still want to say to connections of
    earlier tests, their last reset included, shall not be heard by it."""
    assert world.internet.host.run("ss", "-tK", "state", "connected").ok
    world[101].forget_neighbours()
    gateway = world.start(policy, **options)
    for kind in ("A", "AAAA"):
        assert world[101].dig(ALLOWED, kind).status == "NOERROR"
    return gateway


def shared_gateway(world, policy=POLICY, **options):
    """For a fixture of a module: a gateway that serves all its tests, and whose books add up at the end."""
    world.reset()
    gateway = start(world, policy, **options)
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
    """Neither the wire on the uplink side nor a server saw the denied name, or these bytes."""
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


def message_of(size, name=ALLOWED):
    """A ClientHello of this many bytes, in as few records as may be."""
    padding = lambda count: b"\0\x15" + sized(2, bytes(count))  # noqa: E731 (RFC 7685)
    bare = len(hello_with(server_name(name.encode()), padding(0))) - 5
    message = hello_with(server_name(name.encode()), padding(size - bare))[5:]
    assert len(message) == size
    return b"".join(record(22, message[at:at + 16000]) for at in range(0, size, 16000))


# What a browser sends today: reserved values (GREASE, RFC 8701), an X25519MLKEM768 key share,
# an encrypted_client_hello that is none.

ECH = b"\xfe\x0d" + sized(2, b"\0\0\1\0\1\x2a" + sized(2, bytes(range(32))) + sized(2, bytes(144)))


def browser_hello(name, name_last=False):
    shares = b"\x2a\x2a\0\1\0" + b"\x11\xec" + sized(2, bytes(1184) + bytes(range(32))) \
        + b"\0\x1d" + sized(2, bytes(range(1, 33)))
    extensions = [
        b"\x1a\x1a\0\0", b"\0\x17\0\0", b"\xff\x01\0\1\0", b"\0\x23\0\0", b"\0\x12\0\0", b"\0\x05\0\5\1\0\0\0\0",
        b"\0\x0a" + sized(2, sized(2, bytes.fromhex("2a2a11ec001d00170018"))), b"\0\x0b\0\2\1\0",
        b"\0\x10" + sized(2, sized(2, b"\2h2\x08http/1.1")),
        b"\0\x0d" + sized(2, sized(2, bytes.fromhex("04030804040105030805050108060601"))),
        b"\0\x33" + sized(2, sized(2, shares)), b"\0\x2d\0\2\1\1",
        b"\0\x2b" + sized(2, sized(1, bytes.fromhex("3a3a03040303"))), b"\0\x1b\0\3\2\0\2",
        b"\x44\x69" + sized(2, sized(2, b"\2h2")), ECH, b"\x4a\x4a\0\1\0"]
    extensions.insert(len(extensions) if name_last else 1, server_name(name.encode()))
    suites = bytes.fromhex("5a5a130113021303c02bc02fc02cc030cca9cca8")
    body = (b"\x03\x03" + bytes(range(32)) + sized(1, bytes(range(32))) + sized(2, suites) + b"\1\0"
            + sized(2, b"".join(extensions)))
    return record(22, b"\1" + sized(3, body))


@pytest.fixture(scope="module")
def gateway(world):
    yield from shared_gateway(world)


@pytest.fixture
def build(gateway):
    return clean(gateway.lab[101])


@pytest.fixture
def agent(gateway):
    return clean(gateway.lab[102])
