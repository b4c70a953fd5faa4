# SPDX-License-Identifier: Apache-2.0
"""The control API with real traffic: a sandbox made, narrowed and cut by curl, and its pins."""

import json
import subprocess

import pytest

from topology import wait_for

REGISTRY = "198.51.100.10"
GITHUB = "198.51.100.12"
BANNER = b"SSH-2.0-OpenSSH_9.2 lab\r\n"


@pytest.fixture
def gateway(lab):
    return lab.start({"sandboxes": []}, state="state")


@pytest.fixture
def build(gateway):
    return gateway.lab[101]


def call(gateway, method, path, body=None):
    """curl, on the gateway's host."""
    args = ["--data-binary", json.dumps(body)] if body is not None else []
    done = subprocess.run(["curl", "-sS", "--fail-with-body", "--unix-socket", gateway.where / "control.sock",
                           "-X", method, *args, f"http://gateway{path}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_sandbox_lives_by_the_api_alone(gateway, build):
    with pytest.raises(OSError):
        build.talk(GITHUB, 22, timeout=1)
    made = call(gateway, "PUT", "/v1/sandboxes/101", {"name": "build"})
    assert made["changed"] == 1
    with build.talk(GITHUB, 22) as connection:
        assert connection.recv(100) == BANNER
        # enforced once it is answered: the open connection is cut
        call(gateway, "PUT", "/v1/sandboxes/build/policy", {"allow": ["registry.npmjs.org"]})
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    assert "sni=registry.npmjs.org" in build.https("registry.npmjs.org").out
    assert call(gateway, "GET", "/v1/sandboxes/build")["reasons"]["domain-allowed"] > 0
    pins = call(gateway, "GET", "/v1/sandboxes/build/pins")["pins"]
    assert {(pin["name"], pin["address"]) for pin in pins} == {("registry.npmjs.org", REGISTRY),
                                                               ("registry.npmjs.org", "2001:db8:10::10")}
    assert all(3000 < pin["expires"] <= 3600 for pin in pins)


def test_cut_resets_what_is_open_and_forgets_pins(gateway, build):
    call(gateway, "PUT", "/v1/sandboxes/101", {"name": "build", "policy": {"by-address": ["github.com:22/tcp"]}})
    assert build.dig("github.com").data == [GITHUB]
    with build.talk(GITHUB, 22) as one, build.talk(GITHUB, 22) as other:
        assert one.recv(100) == other.recv(100) == BANNER
        (flow,) = [flow for flow in call(gateway, "GET", "/v1/flows?sandbox=build")["flows"]
                   if flow["sport"] == one.getsockname()[1]]
        assert (flow["dst"], flow["dport"], flow["name"], flow["reason"]) == (GITHUB, 22, "github.com", "pin-allowed")
        assert call(gateway, "POST", "/v1/sandboxes/build/cut")["flows"] >= 2
        for connection in (one, other):
            with pytest.raises(ConnectionResetError):
                connection.recv(100)
    with build.talk(GITHUB, 22) as again:  # its pin is still there
        assert again.recv(100) == BANNER
        assert call(gateway, "POST", "/v1/sandboxes/build/cut", {"pins": True})["pins"] == 1
    assert call(gateway, "GET", "/v1/sandboxes/build/pins") == {"pins": []}
    with pytest.raises(ConnectionRefusedError):
        build.talk(GITHUB, 22)
    gateway.denied(build, "address-not-pinned", dst=GITHUB, dport=22)


def test_policy_is_in_force_again_before_the_first_packet(gateway, build):
    call(gateway, "PUT", "/v1/policy", {"sandboxes": [{"vlan": 101, "policy": {"subnets": {"allow": [GITHUB]}}}]})
    with build.talk(GITHUB, 22) as connection:
        assert connection.recv(100) == BANNER
    gateway.kill()
    gateway.launch()
    with build.talk(GITHUB, 22) as connection:
        assert connection.recv(100) == BANNER
    assert wait_for(lambda: call(gateway, "GET", "/v1/health") == {"problems": []}, "a healthy gateway")
