# SPDX-License-Identifier: Apache-2.0
"""Tricks with QUIC whose Initials decrypt: a scripted client says a real client's hello, or the same with
another name, to a real QUIC server. What a real client does that looks like a trick stands beside."""

import contextlib
import socket
import subprocess

import pytest

from evasion import ALLOWED, DENIED, SERVER, build, clean, forged, shared_gateway
from peer_quic import CUTS, Answers, bound, in_five, in_four, living_at
from quicpackets import (PADDING, V1, V2, Connection, Keys, crypto, crypto_of, hello_size, packets_of,
                         together)
from rawhost import IP, UDP, Ether
from test_evasion import lossy
from topology import mac_of, wait_for

__all__ = ["build"]  # a fixture

PLAIN, RETRYING, CHOOSY, PREFERRING, SCRIPTED = 443, 4433, 4437, 4436, 4435
ELSEWHERE = "198.51.100.30"  # no name has this address
ALSO_ALLOWED = "neighbour.example"  # and at the same address


@pytest.fixture(scope="module")
def gateway(world):
    yield from shared_gateway(world, """
        sandboxes:
          - {vlan: 101, name: build, policy: {allow: [registry.npmjs.org, neighbour.example]}}
          - {vlan: 102, name: agent}
          - {vlan: 103, name: probe, policy: {allow: [registry.npmjs.org]}}
        """, inspect={"hello-timeout": 2})


@pytest.fixture(scope="module", autouse=True)
def servers(gateway):
    assert gateway.lab[101].dig(ALSO_ALLOWED).data == [SERVER]
    internet = gateway.lab.internet
    started = [internet.quic_server(SERVER),
               internet.quic_server(SERVER, RETRYING, "--validate-addr"),
               internet.quic_server(SERVER, CHOOSY, "--groups=-GROUP-ALL:+GROUP-SECP521R1"),
               internet.quic_server(SERVER, PREFERRING, f"--preferred-ipv4-addr={ELSEWHERE}:{PREFERRING}")]
    yield internet
    for server in started:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def hellos(gateway):
    """What a real client says in its Initials: (its connection ID, the ClientHello)."""
    agent = gateway.lab[102]
    said = {name: hello_of(agent, name) for name in (ALLOWED, ALSO_ALLOWED)}
    said["large"] = hello_of(agent, ALLOWED, "--groups=-GROUP-ALL:+GROUP-FFDHE8192:+GROUP-X25519")
    return said


def hello_of(sandbox, name, *args):
    """Runs the client against a port that does not answer."""
    with living_at(sandbox, name, "127.0.0.2"), bound(sandbox.space, ("127.0.0.2", 443)) as sock:
        sock.settimeout(10)
        client = sandbox.spawn("gtlsclient", "-q", *args, name, 443, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        pieces = {}
        while len(together(pieces)) < hello_size(together(pieces)):
            (packet,) = packets_of(sock.recv(65535))
            pieces.update(crypto_of(packet.open(Keys(packet.version, packet.dcid))[1]))
        client.kill()
        client.wait()
    return packet.scid, together(pieces)


class Client:
    """One UDP port of a sandbox, and the connections that are begun on it."""

    def __init__(self, sandbox, port=PLAIN, address=SERVER):
        self.sandbox, self.port, self.address = sandbox, port, address
        self.socket = sandbox.udp(address, port)
        self.sport = self.socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *datagrams):
        for datagram in datagrams:
            self.resume()
            self.socket.send(datagram)

    def resume(self):
        """Takes what ICMP said about an earlier datagram off the socket."""
        self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def assert_answered(self, connection):
        self.resume()
        return Answers(self.socket, connection).server_hello()

    def handshake(self, hello):
        """A connection whose hello the server has answered."""
        connection = Connection(scid=hello[0])
        self.send(*connection.datagrams(hello[1], -(-len(hello[1]) // 1100)))
        self.assert_answered(connection)
        return connection


def can_handshake(sandbox, hellos):
    with Client(sandbox) as client, contextlib.suppress(OSError):
        client.socket.settimeout(1)
        return client.handshake(hellos[ALLOWED])


def lie(hello):
    """The same hello for the denied name."""
    scid, said = hello
    return scid, forged(said)


def udp_out(sandbox, address=SERVER, sport=None):
    """The datagrams that left the gateway to an address, oldest first."""
    return [frame[42:] for frame in sandbox.packets_to(address)
            if frame[23] == 17 and sport in (None, int.from_bytes(frame[34:36], "big"))]


def assert_denied(gateway, client, reason, port=PLAIN, left=0, **expected):
    """Refused for that, only `left` datagrams of before are out, and the server never read the name."""
    gateway.denied(client.sandbox, reason, sport=client.sport, dst=client.address, dport=port, **expected)
    assert len(udp_out(client.sandbox, client.address)) == left
    assert port == SCRIPTED or not client.sandbox.internet.quic_saw(DENIED, SERVER, port)
    assert not client.sandbox.sent_out(DENIED)


# The hello's own shape.


@pytest.mark.parametrize("version", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("cut", CUTS)
def test_denied_hello_in_any_pieces(gateway, build, hellos, cut, version):
    with Client(build) as client:
        scid, hello = lie(hellos[ALLOWED])
        client.send(*CUTS[cut](Connection(version, scid), hello))
        assert_denied(gateway, client, "domain-not-allowed", name=DENIED, via="quic")


@pytest.mark.parametrize("cut", CUTS)
def test_allowed_hello_in_any_pieces(gateway, build, servers, hellos, cut):
    with Client(build) as client:
        connection = Connection(scid=hellos[ALLOWED][0])
        client.send(*CUTS[cut](connection, hellos[ALLOWED][1]))
        answers = Answers(client.socket, connection).until(lambda a: a.handshake or a.retry)
        if answers.retry:  # ngtcp2's server asks whoever does not begin with the start for a proof
            connection = connection.renewed(answers.retry)
            client.send(*CUTS[cut](connection, hellos[ALLOWED][1]))
            client.assert_answered(connection)
        gateway.allowed(build, "domain-allowed", name=ALLOWED, via="quic", sport=client.sport)
    assert servers.quic_saw(ALLOWED, SERVER)


def test_allowed_hello_of_version_two(gateway, build, hellos):
    """No server here speaks it, but what left is the hello, whole."""
    with Client(build) as client:
        sent = Connection(V2, hellos["large"][0]).datagrams(hellos["large"][1], 2)
        client.send(*sent)
        gateway.allowed(build, "domain-allowed", name=ALLOWED, via="quic", sport=client.sport)
        assert udp_out(build) == sent


@pytest.mark.parametrize("order", [1, -1], ids=["in-order", "backwards"])
@pytest.mark.parametrize("made", [lambda hello: hello, lie], ids=["allowed", "denied"])
def test_large_hello(gateway, build, hellos, made, order):
    """1.3 KB, as post-quantum ones: no datagram has all of it, and nothing leaves before the last."""
    with Client(build) as client:
        scid, hello = made(hellos["large"])
        first, last = Connection(scid=scid).datagrams(hello, 2)[::order]
        client.send(first)
        assert udp_out(build) == []
        client.send(last)
        if made is lie:
            assert_denied(gateway, client, "domain-not-allowed", name=DENIED)
        else:
            gateway.allowed(build, "domain-allowed", name=ALLOWED, sport=client.sport)
            assert udp_out(build) == [first, last]


@pytest.mark.parametrize("cut", [in_four, in_five])
def test_hello_over_more_datagrams_than_four(gateway, build, hellos, cut):
    with Client(build) as client:
        connection = Connection(scid=hellos[ALLOWED][0])
        client.send(*cut(connection, hellos[ALLOWED][1]))
        if cut is in_four:
            client.assert_answered(connection)
        else:
            assert_denied(gateway, client, "malformed-quic")


@pytest.mark.parametrize("name", [ALLOWED, DENIED])
def test_conflicting_crypto(gateway, build, hellos, name):
    """The end of the hello twice, the second time with other bytes; the twin's are the same."""
    scid, hello = hellos[ALLOWED]
    with Client(build) as client:
        connection, at = Connection(scid=scid), hello.index(ALLOWED.encode())
        client.send(connection.datagram(crypto(at, hello[at:])),
                    connection.datagram(crypto(0, hello.replace(ALLOWED.encode(), name.encode()))))
        if name == ALLOWED:
            gateway.allowed(build, "domain-allowed", name=ALLOWED, sport=client.sport)
            assert len(udp_out(build)) == 2
        else:
            assert_denied(gateway, client, "malformed-quic")


def test_conflicting_crypto_in_one_packet(gateway, build, hellos):
    scid, hello = hellos[ALLOWED]
    with Client(build) as client:
        client.send(Connection(scid=scid).datagram(crypto(0, hello), crypto(0, forged(hello))))
        assert_denied(gateway, client, "malformed-quic")


@pytest.mark.parametrize("first", [ALLOWED, DENIED])
def test_two_connections_in_one_datagram(gateway, build, hellos, first):
    """The other one's Initial, to an ID of its own, after or before the allowed one."""
    (scid, good), (_, bad) = hellos[ALLOWED], lie(hellos[ALLOWED])
    with Client(build) as client:
        packets = [Connection(scid=scid).packet(crypto(0, good)), Connection(scid=scid).packet(crypto(0, bad))]
        client.send(b"".join(packets if first == ALLOWED else packets[::-1]).ljust(1200, PADDING))
        assert_denied(gateway, client, "malformed-quic")


def test_a_hello_and_more(gateway, build, hellos):
    """A second hello after the first in the same CRYPTO stream, before the server has asked for one."""
    scid, hello = hellos[ALLOWED]
    with Client(build) as client:
        client.send(Connection(scid=scid).datagram(crypto(0, hello + forged(hello)), size=1400))
        assert_denied(gateway, client, "malformed-quic")


def test_hello_that_stalls(gateway, build, hellos):
    """Only half of it comes. The rest, which comes late, opens nothing either."""
    scid, hello = hellos[ALLOWED]
    with Client(build) as client:
        connection = Connection(scid=scid)
        first, last = connection.datagrams(hello, 2)
        client.send(first)
        assert_denied(gateway, client, "hello-timeout")
        client.send(last)
        assert udp_out(build) == []
    with Client(build) as client:
        connection = Connection(scid=scid)
        client.send(*connection.datagrams(hello, 2))
        client.assert_answered(connection)


def test_refused_client_is_told(gateway, build, hellos):
    """ICMP administratively prohibited, which a connected socket learns of."""
    with Client(build) as client:
        client.send(Connection(scid=hellos[ALLOWED][0]).datagram(crypto(0, forged(hellos[ALLOWED][1]))))
        with pytest.raises(OSError) as told:
            client.socket.recv(2000)
        assert told.value.errno in (113, 13), told.value  # no route to host; permission denied


# After the verdict.


def test_other_bytes_after_the_verdict(gateway, build, servers, hellos):
    """The judged hello is lost on its way; what comes in its place says another name."""
    scid, hello = hellos[ALLOWED]
    with Client(build) as client:
        connection = Connection(scid=scid)
        with lossy(build, SERVER):
            client.send(connection.datagram(crypto(0, hello)))
            gateway.allowed(build, "domain-allowed", sport=client.sport)
            assert len(udp_out(build)) == 1
        client.send(connection.datagram(crypto(0, forged(hello))))
        assert_denied(gateway, client, "malformed-quic", left=1)
        at = hello.index(ALLOWED.encode())
        client.send(connection.datagram(crypto(at, DENIED.encode())))
        assert len(udp_out(build)) == 1
        client.send(connection.datagram(crypto(0, hello)))
        client.assert_answered(connection)
    assert not servers.quic_saw(DENIED, SERVER)


@pytest.mark.parametrize("other", [ALLOWED, ALSO_ALLOWED, DENIED])
def test_second_connection_on_the_ports_of_an_allowed_one(gateway, build, hellos, other):
    with Client(build) as client:
        client.handshake(hellos[ALLOWED])
        build.barrier()
        before = len(udp_out(build))
        scid, hello = lie(hellos[ALLOWED]) if other == DENIED else hellos[other]
        connection = Connection(scid=scid)
        client.send(connection.datagram(crypto(0, hello)))
        if other == ALLOWED:
            client.assert_answered(connection)
        else:
            assert_denied(gateway, client, "domain-not-allowed", left=before, name=other)


@pytest.mark.parametrize("kind", [0xc0, 0xe0, 0x40], ids=["other-id", "behind-a-handshake", "behind-a-short-header"])
def test_hello_that_hides_behind_the_verdict(gateway, build, hellos, kind):
    """An Initial of a new connection after a packet of the judged one. After a short header there is
    nothing that a server would read as a packet, so there it may leave."""
    scid, hello = lie(hellos[ALLOWED])
    with Client(build) as client:
        judged = client.handshake(hellos[ALLOWED])
        build.barrier()
        before = len(udp_out(build))
        hidden = Connection(scid=scid).packet(crypto(0, hello))
        head = bytes([kind]) + V1.to_bytes(4, "big") + bytes([len(judged.dcid)]) + judged.dcid + b"\0"
        if kind == 0xc0:
            front = judged.packet(b"\1")
        elif kind == 0xe0:
            front = head + b"\x40\x40" + bytes(64)
        else:
            front = bytes([kind]) + judged.dcid + bytes(40)
        client.send((front + hidden).ljust(1200, PADDING))
        if kind == 0x40:
            build.barrier()
            assert not build.internet.quic_saw(DENIED, SERVER)
        else:
            assert_denied(gateway, client, "malformed-quic", left=before)


@pytest.mark.parametrize("second", [ALLOWED, ALSO_ALLOWED])
def test_parts_of_two_hellos_with_one_id(gateway, build, hellos, second):
    """A server knows a connection by its ID, whatever port it comes from, so it would put parts of two
    allowed hellos together to a third. The twin begins with an ID of its own."""
    scid, hello = hellos[ALLOWED]
    with lossy(build, SERVER), Client(build) as one, Client(build) as two:
        connection = Connection(scid=scid)
        one.send(*connection.datagrams(hello, 2))
        gateway.allowed(build, "domain-allowed", sport=one.sport)
        other = Connection(scid=scid) if second == ALLOWED else Connection(scid=scid, dcid=connection.dcid)
        two.send(*other.datagrams(hellos[second][1], 2))
        if second == ALLOWED:
            gateway.allowed(build, "domain-allowed", sport=two.sport)
        else:
            gateway.denied(build, "malformed-quic", sport=two.sport)
            assert udp_out(build, sport=two.sport) == []
        assert len(udp_out(build, sport=one.sport)) == 2


# What the server may ask for: another address token, another key share.


def begun(client, hello):
    """The first Initial of a connection has left; returns the server's Retry."""
    connection = Connection(scid=hello[0])
    client.send(connection.datagram(crypto(0, hello[1])))
    return connection, Answers(client.socket, connection).until(lambda answers: answers.retry).retry


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("name", [ALLOWED, ALSO_ALLOWED, DENIED])
def test_hello_behind_a_retry(gateway, build, hellos, name, pieces):
    with Client(build, RETRYING) as client:
        connection, retry = begun(client, hellos[ALLOWED])
        again = connection.renewed(retry)
        _, hello = lie(hellos[ALLOWED]) if name == DENIED else hellos[name]
        client.send(*again.datagrams(hello, pieces))
        if name == ALLOWED:
            client.assert_answered(again)
        else:
            assert_denied(gateway, client, "domain-not-allowed", RETRYING, left=1, name=name)
            client.send(*again.datagrams(hellos[ALLOWED][1], pieces))  # nothing is spoilt
            client.assert_answered(again)


def test_retry_that_is_not_genuine(gateway, build, hellos):
    """A server that plays along gives a short ID by a Retry without a tag. It opens nothing."""
    with Client(build, SCRIPTED) as client, bound(build.internet.host, (SERVER, SCRIPTED)) as peer:
        peer.settimeout(10)
        connection = Connection(scid=hellos[ALLOWED][0])
        client.send(connection.datagram(crypto(0, hellos[ALLOWED][1])))
        _, source = peer.recvfrom(2000)
        peer.sendto(b"\xf0\0\0\0\1" + bytes([len(connection.scid)]) + connection.scid + b"\4shorToken" + bytes(16),
                    source)
        client.socket.recv(2000)
        again = Connection(scid=connection.scid, dcid=b"shor")
        again.token = b"Token"
        client.send(again.datagram(crypto(0, hellos[ALLOWED][1])))
        assert_denied(gateway, client, "malformed-quic", SCRIPTED, left=1)
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(2000)


def test_hello_behind_a_hello_retry_request(gateway, build, servers, hellos):
    """The server wants another key share; the second hello of the same connection has another name."""
    scid, hello = hellos[ALLOWED]
    with Client(build, CHOOSY) as client:
        connection = Connection(scid=scid)
        client.send(connection.datagram(crypto(0, hello)))
        answers = Answers(client.socket, connection)
        answers.until(lambda a: len(together(a.pieces)) >= hello_size(together(a.pieces)))
        assert together(answers.pieces)[6:38].hex().startswith("cf21ad74e59a6111"), "no HelloRetryRequest"
        build.barrier()
        client.send(connection.datagram(crypto(len(hello), forged(hello))))
        assert_denied(gateway, client, "domain-not-allowed", CHOOSY, left=1, name=DENIED)


# What real clients do.


def run_client(sandbox, *args, port=PLAIN):
    done = sandbox.run("gtlsclient", "--exit-on-all-streams-close", "--no-quic-dump", *args, ALLOWED, port,
                       f"https://{ALLOWED}/zone")
    assert done.ok and "[:status: 200]" in done.err, done
    return done


def test_hello_retry_request_of_a_real_server(gateway, build):
    run_client(build, port=CHOOSY)
    gateway.allowed(build, "domain-allowed", name=ALLOWED, via="quic", dport=CHOOSY)


def test_early_data(gateway, build, tmp_path):
    """A resumed session: 0-RTT packets after the hello."""
    kept = ["--session-file", tmp_path / "session", "--tp-file", tmp_path / "parameters"]
    run_client(build, *kept)
    done = run_client(build, *kept)
    assert "type=0RTT" in done.err.replace("0-RTT", "0RTT"), done


@pytest.mark.parametrize("how", ["--nat-rebinding", "--no-preferred-addr"])
def test_migration(gateway, build, how):
    """A short header first proves no name: a client that changes its port has to begin anew."""
    args = ["-q", "--exit-on-all-streams-close", "--change-local-addr=50ms", "--delay-stream=400ms", how]
    with subscribed(build, args) as old:
        event = gateway.denied(build, "not-quic", dst=SERVER, dport=443, name=None)
        assert event["sport"] not in old and udp_out(build, sport=event["sport"]) == []
    agent = clean(gateway.lab[102])
    run_client(agent, *args[2:])
    assert len({frame[34:36] for frame in agent.packets_to(SERVER) if frame[23] == 17}) == 2


@contextlib.contextmanager
def subscribed(sandbox, args):
    """A client that runs meanwhile; the ports that it had when its name was judged."""
    client = sandbox.spawn("gtlsclient", *args, ALLOWED, 443, f"https://{ALLOWED}/zone",
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    event = sandbox.lab.running.allowed(sandbox, "domain-allowed", via="quic", dport=443)
    yield {event["sport"]}
    client.kill()
    client.wait()


def test_preferred_address(gateway, build):
    """The server names another address, which is not pinned: the client stays with the first."""
    run_client(build, "--delay-stream=300ms", port=PREFERRING)
    gateway.denied(build, "address-not-pinned", dst=ELSEWHERE, dport=PREFERRING)
    assert build.packets_to(ELSEWHERE) == []


def test_flood_of_initials(gateway, build, hellos):
    """Each would cost a decryption. Another sandbox's real client works meanwhile."""
    probe = clean(gateway.lab[103])
    assert probe.dig(ALLOWED).status == "NOERROR"
    broken = bytearray(Connection(scid=b"flood").datagram(crypto(0, hellos[ALLOWED][1])))
    broken[-1] ^= 1
    frame = bytes(Ether(src=build.mac, dst=mac_of(build.internet.router, build.leg))
                  / IP(src=build.ip, dst=SERVER) / UDP(sport=6000, dport=443) / bytes(broken))
    with build.space.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind(("eth0", 0))

        def flood():
            for _ in range(2000):
                sender.send(frame)
            return gateway.events(vlan=101, reason="rate-limit")

        event = wait_for(flood, "the flood to be limited")[0]
        assert event["dst"] == SERVER and event["sport"] == 6000
        run_client(probe)
        flood()
        run_client(probe)
    gateway.denied(build, "malformed-quic", sport=6000)
    assert udp_out(build, sport=6000) == []

    wait_for(lambda: can_handshake(build, hellos), "the flood to be forgotten")


def test_memory_filled_with_halves_of_hellos(gateway, build, hellos):
    """A sandbox may hold so much and no more. Nothing of it leaves, others go on, and so does it later."""
    probe = clean(gateway.lab[103])
    assert probe.dig(ALLOWED).status == "NOERROR"
    half = Connection(scid=hellos[ALLOWED][0]).datagrams(hellos[ALLOWED][1], 2)[0]

    def fill():
        for _ in range(200):
            with Client(build) as client:
                client.socket.send(half)
        return gateway.events(vlan=101, reason="hold-limit")

    wait_for(fill, "the limit of what a sandbox may hold")
    run_client(probe)
    assert udp_out(build) == []
    wait_for(lambda: can_handshake(build, hellos), "what is on hold to be dropped")
