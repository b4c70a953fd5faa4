#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The lab's small servers. What each of them sees goes to servers.jsonl, a line a connection.

22    speaks first, as SSH does
5432  answers a PostgreSQL SSLRequest with S, then TLS
9000  TCP that writes down what comes and echoes it
9999  the same over UDP
"""

import asyncio
import json
import pathlib
import socket
import ssl
import sys

SSL_REQUEST = bytes.fromhex("0000000804d2162f")

where = pathlib.Path(sys.argv[1])
log = open(where / "servers.jsonl", "a", buffering=1)


def saw(server, peer, **what):
    log.write(json.dumps({"server": server, "peer": peer[0], "port": peer[1], **what}) + "\n")


async def collect(reader, server, peer, answer=None):
    """Reads to the end of the connection; every piece is written down before it is answered."""
    try:
        while data := await reader.read(65536):
            saw(server, peer, hex=data.hex())
            if answer:
                answer(data)
    except (ConnectionError, ssl.SSLError):
        saw(server, peer, reset=True)


async def ssh(reader, writer):
    peer = writer.get_extra_info("peername")
    saw("ssh", peer, connected=True)
    writer.write(b"SSH-2.0-OpenSSH_9.2 lab\r\n")
    await collect(reader, "ssh", peer)
    writer.close()


async def postgres(reader, writer):
    peer = writer.get_extra_info("peername")
    saw("postgres", peer, connected=True)
    first = await reader.read(8)
    saw("postgres", peer, hex=first.hex())
    if first == SSL_REQUEST:
        writer.write(b"S")
        try:
            await writer.start_tls(tls_for(peer))
            saw("postgres", peer, hex=(await reader.read(65536)).hex())
            writer.write(b"seen\n")
        except (ConnectionError, ssl.SSLError):
            saw("postgres", peer, reset=True)
    writer.close()


def tls_for(peer):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(where / "server.pem", where / "server.key")
    context.sni_callback = lambda _tls, name, _context: saw("postgres", peer, sni=name)
    return context


async def sink(reader, writer):
    peer = writer.get_extra_info("peername")
    saw("sink", peer, connected=True)
    await collect(reader, "sink", peer, writer.write)
    writer.close()


def udp_echo(family, level, ask, info):
    """Echoes from the address that was asked: the host has whole ranges of them."""
    bound = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    bound.setsockopt(level, ask, 1)
    bound.bind(("", 9999))

    def echo():
        data, ancillary, _flags, peer = bound.recvmsg(65535, 256)
        saw("udp", peer, hex=data.hex())
        (came_to,) = [value for _level, kind, value in ancillary if kind == info]
        if family == socket.AF_INET6:
            source = came_to[:16] + bytes(4)
        else:
            source = bytes(4) + came_to[8:12] + bytes(4)
        bound.sendmsg([data], [(level, info, source)], 0, peer)

    asyncio.get_running_loop().add_reader(bound, echo)


async def main():
    udp_echo(socket.AF_INET, socket.IPPROTO_IP, 8, 8)  # IP_PKTINFO
    udp_echo(socket.AF_INET6, socket.IPPROTO_IPV6, 49, 50)  # IPV6_RECVPKTINFO, IPV6_PKTINFO
    for server, port in ((ssh, 22), (postgres, 5432), (sink, 9000)):
        await asyncio.start_server(server, None, port)
    await asyncio.Event().wait()


asyncio.run(main())
