# SPDX-License-Identifier: Apache-2.0
"""`sluice run` between two ports that are files: what comes in is read from a capture, what leaves is
written to one. No privileges, no network. Real devices and real clients are the lab's.

$SLUICE is the executable under test (without it, what `make build` built).
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from scapy.config import conf
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.utils import rdpcap, wrpcap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PATIENCE = 60  # seconds: machines under test are busy ones

conf.verb = 0


def binary():
    for candidate in (os.environ.get("SLUICE"), ROOT / "build/control/sluice"):
        if candidate and pathlib.Path(candidate).is_file():
            return str(pathlib.Path(candidate).resolve())
    pytest.exit("there is no sluice to test: run `make build`, or set SLUICE to its path", 1)


def frame(vlan=101, sport=1000, payload=b"hello", dst="192.0.2.1"):
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / Dot1Q(vlan=vlan) / \
        IP(src="10.0.0.2", dst=dst) / UDP(sport=sport, dport=2000) / payload


class Gateway:
    """One directory with config, policy and captures, and the process that runs in it."""

    def __init__(self, directory):
        self.directory, self.process, self.stdout = directory, None, None
        self.config = {"huge-pages": False, "workers": 1, "policy": "policy.yaml",
                       "events": {"file": "events.jsonl"}, "control": {"socket": "control.sock"}, "dns": {"resolvers": ["203.0.113.53"]}}
        self.incoming = {"sandbox": [], "uplink": []}
        self.policy("sandboxes: [{vlan: 101}]")

    def path(self, name):
        return self.directory / name

    def policy(self, text):
        """As it should be done: written beside the file, then renamed over it."""
        self.path("policy.new").write_text(text)
        self.path("policy.new").rename(self.path("policy.yaml"))

    def device(self, number, port):
        """A port whose frames come from a file; a tx file for each worker."""
        wrpcap(str(self.path(f"{port}.in.pcap")), self.incoming[port] or [frame(vlan=4000)])
        workers = self.config["workers"]
        count = len(workers) if isinstance(workers, list) else workers
        files = "".join(f",tx_pcap={port}.{n}.pcap" for n in range(count))
        return {"dev": f"net_pcap{number},rx_pcap={port}.in.pcap{files}"}

    def start(self, wait=True, arguments=(), **options):
        ports = {"sandbox": self.device(0, "sandbox"), "uplink": self.device(1, "uplink")}
        self.path("sluice.yaml").write_text(json.dumps({"ports": ports, **self.config}))
        self.log = self.path("log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([binary(), "run", *arguments, "-c", "sluice.yaml"],
                                            cwd=self.directory, stderr=log, stdin=subprocess.DEVNULL, text=True,
                                            **{"stdout": subprocess.PIPE, **options})
        if wait:
            self.await_log("ready")
        return self

    def said(self):
        return self.log.read_text()

    def await_log(self, pattern, count=1, patience=PATIENCE):
        """Waits until the log has that many matches; returns the last."""
        end = time.monotonic() + patience
        while True:
            ended = self.process.poll() is not None
            found = list(re.finditer(pattern, self.said()))
            if len(found) >= count:
                return found[-1]
            assert not ended, f"it ended before it said {pattern!r}:\n{self.said()}"
            assert time.monotonic() < end, f"it never said {pattern!r}:\n{self.said()}"
            time.sleep(0.01)

    def generation(self, number, patience=PATIENCE):
        return self.await_log(rf"policy generation {number} enforced", patience=patience)

    def never_says(self, pattern, seconds=0.5):
        time.sleep(seconds)
        assert not re.search(pattern, self.said()), self.said()

    def await_events(self, count):
        end = time.monotonic() + PATIENCE
        while len(self.events) < count:
            assert time.monotonic() < end, f"only {self.events}\n{self.said()}"
            time.sleep(0.01)
        return self.events

    @property
    def events(self):
        if not self.path("events.jsonl").exists():
            return []
        return [event for event in self.all_events if event["event"] in ("flow", "suppressed")]

    @property
    def all_events(self):
        """Those of the gateway's own as well: start, push, stop."""
        return [json.loads(line) for line in self.path("events.jsonl").read_text().splitlines()]

    def end(self, number=signal.SIGTERM, code=0):
        """Stops it, and returns its counters."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=PATIENCE)
        assert "Sanitizer" not in self.said() and "runtime error" not in self.said(), self.said()
        assert self.process.returncode == code, self.said()
        self.printed = out or ""
        return counters(self.printed)

    def left(self, port):
        """Frames that left by a port, whichever worker sent them; the file is whole after the end."""
        return [packet for file in sorted(self.directory.glob(f"{port}.[0-9].pcap")) for packet in rdpcap(str(file))]

    def fails(self):
        """Waits for a start that fails; returns what it said."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        assert "Sanitizer" not in self.said(), self.said()
        assert self.process.returncode == 1, self.said()
        assert not any(line.startswith("packets") for line in out.splitlines()), out
        return self.said()


def counters(text):
    found = {}
    for line in text.splitlines():
        *name, number = line.split()
        if number.isdigit():
            found[" ".join(name)] = int(number)
    if "packets" in found:
        assert found["packets"] == found["forwarded"] + found["dropped"] + found["held"], text
    return found


@pytest.fixture
def gateway(tmp_path):
    made = Gateway(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def pytest_terminal_summary(terminalreporter):
    """The form in which tests/run counts the cases of a program."""
    for key, label in (("passed", "[  PASSED  ]"), ("failed", "[  FAILED  ]"), ("skipped", "[  SKIPPED ]")):
        if terminalreporter.stats.get(key):
            terminalreporter.write_line(f"{label} {len(terminalreporter.stats[key])} test(s)")
