# SPDX-License-Identifier: Apache-2.0
"""One lab for the whole run (it takes a second to build), a gateway of its own for every test."""

import sys

import pytest

from lab import Lab, LabError

# The sandboxes. Every test sets what each of them may do; VLAN 999 has no sandbox, 105 has the
# inside addresses of 104 behind an Internet of its own, and 0 is the bare trunk: frames without tag.
SANDBOXES = {101: "build", 102: "agent", 103: "probe", 104: "twin", 105: "mirror", 999: "ghost",
             0: "bare"}


@pytest.fixture(scope="session")
def world():
    try:
        lab = Lab(SANDBOXES, twins={105: 104})
    except LabError as missing:
        pytest.exit(f"lab: {missing}", returncode=3)
    yield lab
    lab.close()


@pytest.fixture
def lab(world, request):
    """The lab as new. A gateway that still runs at the end is stopped, and its counters must add up."""
    world.reset()
    yield world
    failed = getattr(request.node, "failed", False)
    if failed:
        show(world)
    elif world.running is not None and getattr(world.running, "running", False):
        counters = world.running.stop()
        if counters is not None:
            assert counters["packets"] == (counters["forwarded"] + counters["dropped"]
                                           + counters.get("held", 0))
            assert counters["dropped"] == sum(n for reason, n in counters["reasons"].items()
                                              if reason not in ALLOWING)
    world.reset()


ALLOWING = {"allow-all", "subnet-allowed", "domain-allowed", "pin-allowed", "dns-allowed", "neighbour"}


def show(lab):
    """What a person wants to see about a failure: the gateway's last words and events."""
    if lab.running is None or lab.running.process is None:
        return
    print("\n".join(lab.running.output().splitlines()[-40:]), file=sys.stderr)
    if hasattr(lab.running, "events"):
        print("\n".join(map(str, lab.running.events()[-40:])), file=sys.stderr)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call":
        item.failed = report.failed


@pytest.fixture(params=[1, 2], ids=["1-worker", "2-workers"])
def workers(request):
    return request.param
