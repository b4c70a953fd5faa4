# SPDX-License-Identifier: Apache-2.0
"""Hugepages that are free when a gateway looks and taken when it wants them."""

import json
import os
import pathlib
import subprocess

import pytest

from conftest import Gateway, binary

TOTAL = pathlib.Path("/proc/sys/vm/nr_hugepages")
FREE = "HugePages_Free:"
TOO_MUCH = 65536  # MiB: more than a machine for tests gives in hugepages, and less than its address space
NULL = {"sandbox": {"dev": "net_null0"}, "uplink": {"dev": "net_null1"}}


def free():
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(FREE)))


@pytest.fixture
def pages():
    """Sets how many hugepages of 2 MiB are free; what there were is given back."""
    before = int(TOTAL.read_text())

    def leave_free(wanted):
        if "Hugepagesize:       2048 kB" not in pathlib.Path("/proc/meminfo").read_text():
            pytest.skip("hugepages are not of 2 MiB here")
        try:
            TOTAL.write_text(str(int(TOTAL.read_text()) - free() + wanted))
        except OSError as error:
            pytest.skip(f"no hugepages can be reserved: {error}")
        if free() != wanted:
            pytest.skip(f"this machine gives {free()} free hugepages where {wanted} were wanted")
    yield leave_free
    if int(TOTAL.read_text()) != before:
        TOTAL.write_text(str(before))


@pytest.fixture
def gateways(tmp_path):
    """Makes gateways between devices that lose everything, which take their frames from no file."""
    made = []

    def make(**config):
        directory = tmp_path / str(len(made))
        directory.mkdir()
        gateway = Gateway(directory)
        gateway.config.update({"huge-pages": "auto", "idle-sleep": 100, "ports": NULL, **config})
        made.append(gateway)
        return gateway
    yield make
    for gateway in made:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.process.kill()
            gateway.process.wait()


def test_three_that_start_together_all_find_memory(gateways, pages):
    """Each alone would have enough, any two would not."""
    pages(350)
    made = [gateways(workers=2) for _ in range(3)]
    for gateway in made:
        gateway.start(wait=False)
    for gateway in made:
        gateway.await_log("ready: 2 workers")
    assert any("2 workers, hugepages" in gateway.said() or "ran short" in gateway.said() for gateway in made)
    for gateway in made:
        gateway.end()


def test_memory_is_taken_at_the_start(gateways, pages):
    pages(700)
    gateway = gateways(memory=1200, **{"huge-pages": True}).start()
    mapped = pathlib.Path(f"/proc/{gateway.process.pid}/smaps_rollup").read_text()
    huge = sum(int(line.split()[1]) for line in mapped.splitlines() if "_Hugetlb:" in line)
    assert huge == 1200 * 1024, "KiB, although much less is in use"
    gateway.end()


def test_shortage_at_the_start_is_survived(gateways, pages):
    """The EAL wants more than the gateway looked for: to the EAL that is the same as others' haste."""
    pages(400)
    gateway = gateways(**{"eal-args": ["-m", str(TOO_MUCH)]}).start()
    assert "hugepages ran short" in gateway.said() and "starting again without them" in gateway.said()
    assert "ready: 1 worker, no hugepages" in gateway.said()
    proc = pathlib.Path(f"/proc/{gateway.process.pid}")
    assert (proc / "comm").read_text() == os.path.basename(binary()) + "\n", "it bears the same name"
    assert not any("hugetlb" in line or "hugepage" in line for line in (proc / "maps").read_text().splitlines())
    assert gateway.end() is not None


def test_signal_that_came_before_the_second_start_is_not_lost(gateways, pages):
    pages(400)
    gateway = gateways(**{"eal-args": ["-m", str(TOO_MUCH)]}).start(wait=False)
    gateway.await_log("starting again without them")
    gateway.end()


def test_shortage_of_what_is_required_ends_the_start(gateways, pages):
    pages(400)
    gateway = gateways(**{"huge-pages": True, "eal-args": ["-m", str(TOO_MUCH)]}).start(wait=False)
    said = gateway.fails()
    assert "error: hugepages ran short: " in said and "800 were free before the start" in said
    assert "/proc/sys/vm/nr_hugepages" in said and "starting again" not in said


def test_config_that_cannot_be_read_twice_is_told(gateways, pages):
    pages(400)
    gateway = gateways(**{"eal-args": ["-m", str(TOO_MUCH)]})
    done = subprocess.run([binary(), "run", "-c", "/dev/stdin"], cwd=gateway.directory,
                          input=json.dumps(gateway.config).encode(), capture_output=True)
    assert done.returncode == 1
    assert b"a start without them failed" in done.stderr and b"huge-pages: false" in done.stderr


def test_option_overrides_the_config(gateways, pages):
    pages(400)
    gateway = gateways(**{"huge-pages": True})
    gateway.start(arguments=["--no-huge-pages"])
    assert "ready: 1 worker, no hugepages" in gateway.said()
    gateway.end()
