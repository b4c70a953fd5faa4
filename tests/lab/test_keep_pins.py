# SPDX-License-Identifier: Apache-2.0
"""Pins that outlive a restart: a program that resolved before it connects without asking again, and no other."""

import pytest

from internet import RESOLVER, RESOLVER6
from test_api import call
from topology import wait_for

REGISTRY, GITHUB = "198.51.100.10", "198.51.100.12"
NAME = "registry.npmjs.org"
BANNER = b"SSH-2.0-OpenSSH_9.2 lab\r\n"


def policy(build="{allow: [registry.npmjs.org], by-address: ['github.com:22/tcp']}", name="build"):
    return f"""
        sandboxes:
          - {{vlan: 101, name: {name}, policy: {build}}}
          - {{vlan: 102, policy: {{allow: [registry.npmjs.org]}}}}
        """


def end(gateway, way):
    """As an operator stops it; or kill -9, once what was resolved has reached the disk."""
    if way == "stop":
        gateway.stop()
        gateway.counters = None
        return
    kept = gateway.where / "pins"
    # within ten seconds; somebody cuts the pins of a sandbox, and it is one
    call(gateway, "POST", "/v1/sandboxes/102/cut", {"pins": True})
    wait_for(lambda: kept.exists() and b"github.com" in kept.read_bytes(), "the pins in their file")
    gateway.kill()


def resolved(lab, way="stop", **config):
    """A gateway that has ended, at which 101 had resolved both names and used them."""
    gateway, build = lab.start(policy(), dns={"keep-pins": "pins"}, **config), lab[101]
    assert build.dig(NAME).data == [REGISTRY] and build.dig("github.com").data == [GITHUB]
    assert f"sni={NAME}" in build.https(NAME, REGISTRY).out
    end(gateway, way)
    return gateway


def refused(gateway, sandbox):
    assert sandbox.https(NAME, REGISTRY).rc == 7
    gateway.denied(sandbox, "address-not-pinned", dst=REGISTRY)


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_client_connects_by_the_address_that_it_had_before(lab, way, workers):
    gateway = resolved(lab, way, workers=workers)
    gateway.restart()
    lab[101].left.clear()
    assert f"sni={NAME}" in lab[101].https(NAME, REGISTRY).out
    with lab[101].talk(GITHUB, 22) as connection:
        assert connection.recv(100) == BANNER
    assert lab[101].packets_to(REGISTRY) != []
    assert lab[101].packets_to(RESOLVER) == [] == lab[101].packets_to(RESOLVER6)  # without asking again
    refused(gateway, lab[102])  # which had not asked
    assert lab[102].dig(NAME).data == [REGISTRY] and f"sni={NAME}" in lab[102].https(NAME, REGISTRY).out


@pytest.mark.parametrize("changed", [
    policy("{allow: [github.com]}"),    # its name is allowed no longer
    policy(name="another"),             # another sandbox has its VLAN
], ids=["name-not-allowed", "another-sandbox"])
def test_pin_opens_nothing_to_a_sandbox_that_may_not_have_it(lab, changed):
    gateway = resolved(lab)
    gateway.write_renamed(changed)
    gateway.restart()
    refused(gateway, lab[101])
    gateway.push(policy("{allow: [registry.npmjs.org]}", "another" if "another" in changed else "build"))
    if "another" in changed:
        assert lab[101].https(NAME, REGISTRY).rc == 7
    else:  # the pin is still there, as in a gateway that did not restart
        assert f"sni={NAME}" in lab[101].https(NAME, REGISTRY).out


def test_file_that_was_changed_opens_nothing(lab):
    gateway = resolved(lab)
    kept = gateway.where / "pins"
    content = bytearray(kept.read_bytes())
    at = content.index(bytes([198, 51, 100, 10]))
    content[at + 3] = 30  # another address
    kept.write_bytes(content)
    gateway.restart()
    gateway.await_line("the pins in .*pins are ignored, .*: its checksum is wrong")
    for address in (REGISTRY, "198.51.100.30"):
        assert lab[101].https(NAME, address).rc == 7
        gateway.denied(lab[101], "address-not-pinned", dst=address)
    assert lab[101].dig(NAME).data == [REGISTRY] and f"sni={NAME}" in lab[101].https(NAME, REGISTRY).out
