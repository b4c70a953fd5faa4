# SPDX-License-Identifier: Apache-2.0
"""Plain HTTP by its Host (`inspect.http: host`): real clients, real nginx, and a root that lies."""

import contextlib
import hashlib
import socket

import pytest

from evasion import ALLOWED, DENIED, SERVER, SERVER6, again, assert_nothing_seen, clean, shared_gateway
from test_evasion import judged
from topology import must

BUCKET = "bucket.s3.amazonaws.com"  # allowed as well, at another address
GET = "GET / HTTP/1.1\r\n"
GOOD = f"{GET}Host: {ALLOWED}\r\nConnection: close\r\n\r\n".encode()
EVIL = f"{GET}Host: {DENIED}\r\nConnection: close\r\n\r\n".encode()


POLICY = """
    sandboxes:
      - {{vlan: 101, name: build, policy: {{allow: [{}]}}}}
    """
BOTH = f'{ALLOWED}, "*.s3.amazonaws.com"'


@pytest.fixture(scope="module")
def gateway(world):
    yield from shared_gateway(world, POLICY.format(BOTH), inspect={"http": "host"})


@pytest.fixture
def build(gateway):
    assert gateway.lab[101].dig(BUCKET).status == "NOERROR"
    return clean(gateway.lab[101])


def heard(connection):
    """Everything that the other side says, until its end or a reset."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            said += piece
    return said


def assert_forbidden(said, line):
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n"), said
    assert body.decode() == f"sluice: {line}\n"


@pytest.mark.parametrize("address", [None, SERVER, SERVER6])
def test_allowed_host_reaches_its_server(gateway, build, address):
    said = build.http(ALLOWED, address)
    assert said.out.startswith(f"sni= host={ALLOWED}"), said
    gateway.allowed(build, "domain-allowed", name=ALLOWED, via="http", proto="tcp", dport=80,
                    sandbox="build")
    assert build.internet.await_seen("web", host=ALLOWED, port="80")


def test_denied_host_gets_a_403_that_says_why(gateway, build):
    assert build.http(ALLOWED, SERVER).ok
    said = build.http(DENIED, SERVER, 80, "/", "-w", "%{http_code} %{content_type}")
    assert said.ok and said.out == f"sluice: domain-not-allowed {DENIED}\n403 text/plain", said
    gateway.denied(build, "domain-not-allowed", name=DENIED, via="http", dst=SERVER, dport=80)
    assert_nothing_seen(build)
    assert not build.internet.seen("web", host=DENIED)


def test_host_that_is_pinned_elsewhere(gateway, build):
    assert BUCKET in build.http(BUCKET).out
    said = build.http(BUCKET, SERVER)
    assert said.out == f"sluice: address-not-pinned {BUCKET}\n", said
    gateway.denied(build, "address-not-pinned", name=BUCKET, via="http", dst=SERVER)
    assert not build.internet.seen("web", host=BUCKET, address=SERVER)


def test_body_of_a_post_leaves(gateway, build, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"x" * 900_000)
    said = build.http(ALLOWED, SERVER, 80, "/upload", "--data-binary", f"@{body}")
    assert f"host={ALLOWED}" in said.out, said
    gateway.allowed(build, "domain-allowed", name=ALLOWED, via="http")


def test_apt_by_name(gateway, build, tmp_path):
    """A repository of one package, read by apt through nginx; another name's is not."""
    make_repository(build.internet.where / "debian", tmp_path)
    said = apt(build, tmp_path, f"http://{ALLOWED}/debian", "update")
    assert said.ok and "Err:" not in said.out, said
    said = apt(build, tmp_path, f"http://{ALLOWED}/debian", "download", "lab-package")
    assert said.ok and (tmp_path / "lab-package_1.0_all.deb").stat().st_size > 0, said
    gateway.allowed(build, "domain-allowed", name=ALLOWED, via="http", dport=80)
    said = apt(build, tmp_path, f"http://{DENIED}/debian", "update")
    assert "Err:" in said.out, said
    assert not build.internet.seen("web", host=DENIED)


def make_repository(where, scratch):
    package = scratch / "package"
    (package / "DEBIAN").mkdir(parents=True)
    (package / "DEBIAN" / "control").write_text("Package: lab-package\nVersion: 1.0\nArchitecture: all\n"
                                                "Maintainer: lab <lab@lab>\nDescription: lab\n")
    where.mkdir(exist_ok=True)
    deb = where / "lab-package_1.0_all.deb"
    must(["dpkg-deb", "--root-owner-group", "-b", str(package), str(deb)])
    sha256 = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()  # noqa: E731
    packages = where / "Packages"
    packages.write_text((package / "DEBIAN" / "control").read_text()
                        + f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {sha256(deb)}\n\n")
    (where / "Release").write_text("Origin: lab\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n"
                                   f" {sha256(packages)} {packages.stat().st_size} Packages\n")


def apt(sandbox, where, url, *command):
    for directory in ("state/lists/partial", "cache/archives/partial"):
        (where / directory).mkdir(parents=True, exist_ok=True)
    (where / "sources.list").write_text(f"deb [trusted=yes] {url} ./\n")
    return sandbox.run("sh", "-c", 'cd "$0" && exec apt-get "$@"', str(where),
                       "-o", f"Dir::Etc::SourceList={where}/sources.list", "-o", "Dir::Etc::SourceParts=-",
                       "-o", f"Dir::State={where}/state", "-o", f"Dir::Cache={where}/cache",
                       "-o", "Dir::State::status=/dev/null", "-o", "APT::Sandbox::User=root",
                       "-o", "Acquire::Retries=0", *command, timeout=60)


def test_client_that_ends_its_side_is_answered(gateway, build):
    with build.talk(SERVER, 80, GOOD) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert heard(connection).startswith(b"HTTP/1.1 200 OK\r\n")


# ---- requests that lie ----

LIES = {
    "another-host": (EVIL, f"domain-not-allowed {DENIED}"),
    "another-host-in-capitals": (EVIL.replace(DENIED.encode(), DENIED.upper().encode()),
                                 f"domain-not-allowed {DENIED}"),
    "two-hosts": (f"{GET}Host: {ALLOWED}\r\nHost: {DENIED}\r\n\r\n".encode(), "malformed-http"),
    "two-hosts-in-other-letters": (f"{GET}host: {DENIED}\r\nHOST: {ALLOWED}\r\n\r\n".encode(), "malformed-http"),
    "absolute-form-that-differs": (f"GET http://{DENIED}/ HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n".encode(),
                                   "malformed-http"),
    "absolute-form-with-user": (f"GET http://{ALLOWED}@{DENIED}/ HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n".encode(),
                                "malformed-http"),
    "another-port": (f"{GET}Host: {ALLOWED}:8443\r\n\r\n".encode(), f"malformed-http {ALLOWED}"),
    "folded": (f"{GET}Host: {ALLOWED}\r\nX: y\r\n Host: {DENIED}\r\n\r\n".encode(), "malformed-http"),
    "blank-before-the-colon": (f"{GET}Host: {ALLOWED}\r\nHost : {DENIED}\r\n\r\n".encode(), "malformed-http"),
    "bare-lf": (f"{GET}Host: {ALLOWED}\r\nX: y\nHost: {DENIED}\r\n\r\n".encode(), "malformed-http"),
    "bare-cr": (f"{GET}Host: {ALLOWED}\r\nX: y\rHost: {DENIED}\r\n\r\n".encode(), "malformed-http"),
    "nul": (f"{GET}Host: {ALLOWED}\0.{DENIED}\r\n\r\n".encode(), "malformed-http"),
    "connect": (f"CONNECT {DENIED}:443 HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n".encode(), "malformed-http"),
    "http2-preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "malformed-http"),
    "smuggling": (f"POST / HTTP/1.1\r\nHost: {ALLOWED}\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
                  .encode(), "malformed-http"),
    "no-host": (GET.encode() + b"\r\n", "no-server-name"),
    "address": (f"{GET}Host: {SERVER}\r\n\r\n".encode(), "no-server-name"),
    "too-large": (f"{GET}Host: {ALLOWED}\r\nX: {'x' * 17000}\r\n\r\n".encode(), "hello-too-large"),
}


@pytest.mark.parametrize("address", [SERVER, SERVER6])
@pytest.mark.parametrize("case", LIES)
def test_requests_that_lie(gateway, build, case, address):
    request, line = LIES[case]
    with build.talk(address, 80) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        said = heard(connection)
        sport = connection.getsockname()[1]
    if case != "too-large":  # the reset may overtake what its client has not read
        assert_forbidden(said, line)
    gateway.denied(build, line.split()[0], sport=sport, dst=address)
    assert build.payload_to(address) == b""
    assert_nothing_seen(build)


HONEST = {
    "plain": GOOD,
    "with-port": GOOD.replace(ALLOWED.encode(), ALLOWED.encode() + b":80"),
    "capitals-and-dot": GOOD.replace(ALLOWED.encode(), ALLOWED.upper().encode() + b"."),
    "absolute-form": GOOD.replace(b"GET /", f"GET http://{ALLOWED}/".encode()),
    "http-1.0": GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "large": GOOD.replace(b"\r\n\r\n", b"\r\nCookie: " + b"x" * 6000 + b"\r\n\r\n"),
}


@pytest.mark.parametrize("case", HONEST)
def test_requests_that_do_not_lie(gateway, build, case):
    with build.talk(SERVER, 80, HONEST[case]) as connection:
        assert heard(connection).startswith(b"HTTP/1.1 200 OK\r\n")
        gateway.allowed(build, "domain-allowed", name=ALLOWED, via="http", sport=connection.getsockname()[1])


CUTS = {"bytes": lambda size: [(at, at + 1) for at in range(size)],
        "reversed": lambda size: [(at, at + 1) for at in range(size)][::-1],
        "overlapping": lambda size: [(max(0, at - 10), min(at + 10, size)) for at in range(0, size, 10)][::-1]}


@pytest.mark.parametrize("cuts", CUTS)
def test_request_in_any_segments(gateway, build, cuts):
    with build.raw() as raw:
        connection = raw.connect(SERVER, 80)
        connection.send_in_order(GOOD, CUTS[cuts](len(GOOD)))
        assert connection.await_bytes(15).startswith(b"HTTP/1.1 200 OK")
        before = build.payload_to(SERVER)
        connection = raw.connect(SERVER, 80)
        connection.send_in_order(EVIL, CUTS[cuts](len(EVIL)))
        connection.await_reset()
        assert_forbidden(connection.stream, f"domain-not-allowed {DENIED}")
        gateway.denied(build, "domain-not-allowed", sport=connection.sport)
        assert build.payload_to(SERVER) == before
        assert_nothing_seen(build)


@pytest.mark.parametrize("when", ["before-the-verdict", "after-the-verdict"])
def test_retransmission_with_another_host(gateway, build, when):
    with build.raw() as raw:
        connection = raw.connect(SERVER, 80)
        if when == "before-the-verdict":
            connection.segment(GOOD[:-1])
        else:
            judged(connection, GOOD)
        connection.segment(EVIL)
        connection.await_reset()
        gateway.denied(build, "stream-conflict", sport=connection.sport)
        assert_nothing_seen(build)
        twin = again(connection)
        twin.syn()
        twin.handshake()
        twin.send(GOOD)
        assert twin.await_bytes(15).startswith(b"HTTP/1.1 200 OK")


def test_retransmission_of_a_lost_request(gateway, build):
    """The honest twin: the same request again reaches the server."""
    with build.raw() as raw:
        connection = raw.connect(SERVER, 80)
        judged(connection, GOOD)
        connection.send(GOOD)
        assert connection.await_bytes(15).startswith(b"HTTP/1.1 200 OK")


def test_decoy_with_a_small_ttl(gateway, build):
    with build.raw() as raw:
        connection = raw.connect(SERVER, 80)
        connection.segment(GOOD[:-4], ip={"ttl": 1})
        connection.segment(EVIL)
        connection.await_reset()
        gateway.denied(build, "stream-conflict", sport=connection.sport)
        assert_nothing_seen(build)


def test_service_that_is_no_http(gateway, build):
    """It echoes what it is sent: a judged request is no password for it."""
    with build.talk(SERVER, 9000, GOOD) as connection:
        assert heard(connection) == b""
        gateway.denied(build, "malformed-http", sport=connection.getsockname()[1], dport=9000)


def test_server_that_speaks_first_is_not_heard(gateway, build):
    with build.raw() as raw:
        connection = raw.connect(SERVER, 22)
        connection.await_reset()
        assert connection.stream == b""
    gateway.denied(build, "not-tls", dst=SERVER, dport=22)


def test_what_follows_a_judged_request_is_not_judged(gateway, build):
    """The README says so: another Host on the judged connection reaches the same server."""
    first = GOOD.replace(b"Connection: close\r\n", b"")
    with build.talk(SERVER, 80, first) as connection:
        assert connection.recv(65536, socket.MSG_PEEK).startswith(b"HTTP/1.1 200")
        connection.sendall(EVIL)
        assert f"host={DENIED}".encode() in heard(connection)
    assert build.internet.await_seen("web", host=DENIED)


def test_push_cuts_a_download_whose_name_it_drops(gateway, build):
    with build.talk(SERVER, 80, GOOD.replace(b"GET /", b"GET /big")) as connection:
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        gateway.push(POLICY.format(f"{BOTH}, other.example"))
        read = 0
        while read < 1_000_000:  # it goes on
            read += len(connection.recv(65536))
        gateway.push(POLICY.format("other.example"))
        with pytest.raises(ConnectionResetError):
            while connection.recv(65536):
                pass
        gateway.denied(build, "policy-changed", name=ALLOWED, via="http", sport=connection.getsockname()[1])
    gateway.push(POLICY.format(BOTH))
