# SPDX-License-Identifier: Apache-2.0
"""Two judged messages that a real server would put together, and honest kernels that need an
acknowledgement to go on."""

import time

from evasion import (ALLOWED, DENIED, SERVER, again, agent, assert_answered, assert_nothing_seen, build, client,
                     forged, gateway)
from rawhost import RawTcp, TlsClient
from test_evasion import judged, lossy

__all__ = ["agent", "build", "gateway"]  # fixtures

# Connects, writes the hello in two pieces without TCP_NODELAY, and prints the type of the server's first record.
IN_TWO_WRITES = """
import socket, sys
hello = bytes.fromhex(sys.argv[2])
s = socket.create_connection((sys.argv[1], 443), timeout=40)
s.send(hello[:100])
s.send(hello[100:])
print(s.recv(1)[0])
"""


def same_numbers(connection):
    """A connection with the ports and the initial number of an old one, its SYN not yet sent."""
    return RawTcp(connection.host, connection.address, connection.port, sport=connection.sport, isn=connection.isn)


def test_first_half_of_a_lost_hello_is_never_completed(gateway, build):
    """The first hello is judged and lost, its first half sent again; the other half's connection is refused."""
    with build.raw() as raw:
        decoy = client(build).hello
        first = raw.connect(SERVER, 443)
        judged(first, decoy)
        first.segment(decoy[:decoy.index(ALLOWED.encode())])
        first.await_ack(decoy.index(ALLOWED.encode()))
        with lossy(build, SERVER):
            first.segment(flags="RA", offset=first.acked)
            build.barrier()
        second = same_numbers(first)
        second.syn()
        gateway.denied(build, "stream-conflict", sport=first.sport)
        second.segment(forged(decoy))
        build.barrier()
        assert_nothing_seen(build)


def test_other_numbers_on_the_same_ports_are_answered(gateway, build):
    """The honest twin: after a reset that the server takes, the ports serve another connection."""
    with build.raw() as raw:
        tls = client(build)
        first = raw.connect(SERVER, 443)
        first.send(tls.hello)
        assert_answered(gateway, first, tls)
        first.segment(flags="RA")
        build.barrier()
        tls = client(build)
        second = again(first)
        second.syn()
        second.handshake()
        second.send(tls.hello)
        assert_answered(gateway, second, tls)


def test_frames_to_nobodys_address_reach_the_router(gateway, build):
    """A MAC that never answered, from the first acknowledgement on: what is judged goes to the router."""
    with build.raw() as raw:
        tls = client(build)
        connection = raw.connect(SERVER, 443)
        raw.gateway_mac = bytes.fromhex("020000006666")
        connection.send(tls.hello)
        assert_answered(gateway, connection, tls)


def test_kernel_that_waits_for_an_acknowledgement_is_answered(gateway, build):
    """Nagle's algorithm keeps the second write back until the first is acknowledged (RFC 9293 3.7.4)."""
    hello = client(build).hello
    said = build.run("/usr/bin/python3", "-c", IN_TWO_WRITES, SERVER, hello.hex(), timeout=60)
    assert said.out.split() == ["22"], said
    gateway.allowed(build, "domain-allowed", name=ALLOWED, dst=SERVER)
    # the lie is refused as ever
    said = build.run("/usr/bin/python3", "-c", IN_TWO_WRITES, SERVER, forged(hello).hex(), timeout=60)
    assert said.out.split() != ["22"], said
    gateway.denied(build, "domain-not-allowed", name=DENIED)
    assert_nothing_seen(build)


def test_kernel_that_lost_two_syns_is_answered(gateway, build):
    """After lost SYNs a kernel sends one segment and waits (RFC 5681 3.1); the hello has three."""
    hello = TlsClient(ALLOWED, size=3500).hello
    with lossy(build, SERVER):
        waiting = build.spawn("/usr/bin/python3", "-c", IN_TWO_WRITES, SERVER, hello.hex())
        time.sleep(2)
    assert waiting.wait(60) == 0
    gateway.allowed(build, "domain-allowed", name=ALLOWED, dst=SERVER)
