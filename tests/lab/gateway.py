# SPDX-License-Identifier: Apache-2.0
"""The process between the two trunks: Sluice, or testpmd where the lab itself is under test."""

import json
import os
import pathlib
import re
import signal
import subprocess
import textwrap
import threading
import time

from topology import HERE, LabError, die_with_parent, wait_for

ROOT = HERE.parent.parent
WORKERS = int(os.environ.get("LAB_WORKERS", "1"))  # of tests that do not say themselves
READY = re.compile(r"ready: .*generation (\d+)")
ENFORCED = re.compile(r"policy generation (\d+) enforced")
REFUSED = re.compile(r"policy refused, generation \d+ stays in force")


def sluice_binary():
    """$SLUICE, or what `make build` built."""
    for candidate in (os.environ.get("SLUICE"), ROOT / "build/control/sluice"):
        if candidate and pathlib.Path(candidate).is_file():
            return str(pathlib.Path(candidate).resolve())
    raise LabError("there is no gateway to test: run `make build`, or set SLUICE to its path")


class Process:
    """A gateway process, its output line by line, and its end."""

    def __init__(self, space, argv, log):
        self.lines = []
        self.changed = threading.Condition()
        self.log = pathlib.Path(log)
        self.process = space.spawn(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace",
                                   preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        with open(self.log, "a", buffering=1) as log:
            for line in self.process.stdout:
                log.write(line)
                with self.changed:
                    self.lines.append(line.rstrip())
                    self.changed.notify_all()
        with self.changed:
            self.lines.append(None)  # the end
            self.changed.notify_all()

    def await_line(self, pattern, start=0, timeout=20):
        """The first line from index `start` on that matches; returns (its match, the next index)."""
        pattern = re.compile(pattern)
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                for number in range(start, len(self.lines)):
                    if self.lines[number] is None:
                        raise AssertionError(f"the gateway ended before it said "
                                             f"{pattern.pattern!r}:\n{self.output()}")
                    if match := pattern.search(self.lines[number]):
                        return match, number + 1
                start = len(self.lines)
                if end <= time.monotonic():
                    raise AssertionError(f"the gateway never said {pattern.pattern!r}:\n{self.output()}")
                self.changed.wait(end - time.monotonic())

    def output(self):
        return "\n".join(line for line in self.lines if line is not None)

    @property
    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, number, timeout=20):
        """Ends the process with a signal and waits until it is gone; returns its exit status."""
        if self.running:
            self.signal(number)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not end on signal {number}:\n{self.output()}")
        self.reader.join()
        return status


class Gateway(Process):
    """`sluice run` with a policy that a test pushes, and everything that it says about it."""

    def __init__(self, lab, policy, workers=WORKERS, args=(), **config):
        self.lab, self.where = lab, lab.fresh_directory("gateway")
        self.policy_file = self.where / "policy.yaml"
        self.events_file = self.where / "events.jsonl"
        self.config_file = self.where / "sluice.yaml"
        self.args, self.spoken, self.counters = args, 0, None
        self.write_config(workers, config)
        self.policy_file.write_text(policy_text(policy))
        self.launch()

    def write_config(self, workers, changes):
        config = {
            "ports": {"sandbox": {"dev": "net_af_packet0,iface=trunk0"},
                      "uplink": {"dev": "net_af_packet1,iface=uplink0"}},
            "workers": workers,
            "policy": "policy.yaml",
            "dns": {"resolvers": [self.lab.resolver, self.lab.resolver6]},
            "protected": ["198.18.0.0/15"],
            "events": {"file": "events.jsonl"},
            "control": {"socket": "control.sock"},
        }
        changes = dict(changes)
        if "state" in changes:  # the API is in charge, and keeps what was pushed in that folder
            config["policy"] = {"state": changes.pop("state")}
        for key, value in changes.items():
            key = key.replace("_", "-")
            if isinstance(value, dict):
                config.setdefault(key, {}).update(value)
            else:
                config[key] = value
        self.config_file.write_text(json.dumps(config, indent=2) + "\n")  # JSON is YAML

    def launch(self):
        """Starts it and waits until it forwards by its first generation."""
        super().__init__(self.lab.gateway_space,
                         [sluice_binary(), "run", "-c", self.config_file, *self.args],
                         self.where / "log")
        match, self.spoken = self.await_line(READY)
        self.generation = int(match.group(1))

    def restart(self):
        """Starts it again over the same files, as a supervisor would."""
        assert not self.running
        self.launch()

    # Policies. Each push returns the generation that is now enforced.

    def await_enforced(self):
        match, self.spoken = self.await_line(ENFORCED, self.spoken)
        self.generation = int(match.group(1))
        return self.generation

    def push(self, policy):
        """Replaces the file by rename, the one way that is atomic."""
        self.write_renamed(policy)
        return self.await_enforced()

    def write_renamed(self, policy):
        fresh = self.where / "policy.yaml.new"
        fresh.write_text(policy_text(policy))
        fresh.rename(self.policy_file)

    def push_in_place(self, policy):
        self.policy_file.write_text(policy_text(policy))
        return self.await_enforced()

    def push_by_symlink(self, policy):
        """As Kubernetes does: a link in the policy's place is swapped to a new file."""
        target = self.where / f"policy-{time.monotonic_ns()}.yaml"
        target.write_text(policy_text(policy))
        link = self.where / "policy.link"
        link.symlink_to(target.name)
        link.rename(self.policy_file)
        return self.await_enforced()

    def push_refused(self, policy):
        """Pushes a document that must be refused; returns what the gateway said about it."""
        start = self.spoken
        self.write_renamed(policy)
        _, self.spoken = self.await_line(REFUSED, start)
        return "\n".join(self.lines[start:self.spoken])

    def reload(self):
        self.signal(signal.SIGHUP)
        return self.await_enforced()

    # What it said.

    def events(self, **expected):
        """The events so far whose keys have these values."""
        if not self.events_file.exists():
            return []
        complete = self.events_file.read_text().rpartition("\n")[0]
        every = [json.loads(line) for line in complete.splitlines()]
        if "event" not in expected:  # not the gateway's own
            every = [event for event in every if event["event"] in ("flow", "suppressed")]
        return [event for event in every
                if all(event.get(key) == value for key, value in expected.items())]

    def await_event(self, **expected):
        """Waits for an event with these values; the message of a failure lists what came instead."""
        def nothing():
            return f"an event {expected}; came:\n" + "\n".join(map(json.dumps, self.events()))
        return wait_for(lambda: self.events(**expected), nothing)[-1]

    def denied(self, sandbox, reason, /, **expected):
        event = self.await_event(vlan=sandbox.vlan, verdict="deny", reason=reason, **expected)
        return event

    def allowed(self, sandbox, reason, /, **expected):
        return self.await_event(vlan=sandbox.vlan, verdict="allow", reason=reason, **expected)

    # Its end.

    def kill(self):
        """kill -9: no time to clean up."""
        self.end(signal.SIGKILL)

    def stop(self):
        """Ends it as an operator does; returns its final counters, which must add up."""
        if self.counters is None:
            status = self.end(signal.SIGTERM)
            assert status == 0, f"the gateway ended with {status}:\n{self.output()}"
            self.counters = final_counters(self.output())
        return self.counters


def policy_text(policy):
    return textwrap.dedent(policy) if isinstance(policy, str) else json.dumps(policy) + "\n"


def final_counters(output):
    """{'packets': N, 'forwarded': N, 'dropped': N, 'reasons': {...}} from the last lines."""
    counters = {"reasons": {}}
    for line in output.splitlines():
        if match := re.match(r"(packets|forwarded|dropped|held|flows) (\d+)$", line):
            counters[match.group(1)] = int(match.group(2))
        elif match := re.match(r"reason ([a-z-]+) (\d+)$", line):
            counters["reasons"][match.group(1)] = int(match.group(2))
    assert "packets" in counters, f"no final counters in:\n{output}"
    return counters


class Wire(Process):
    """testpmd in io mode: frames from one trunk leave on the other, without being judged."""

    def __init__(self, lab):
        argv = ["stdbuf", "-oL", "dpdk-testpmd", "--no-pci", "--no-huge", "--no-shconf", "--iova-mode=va", "-m", "512",
                "--no-telemetry", "-l", "0,1",
                "--vdev=net_af_packet0,iface=trunk0", "--vdev=net_af_packet1,iface=uplink0",
                "--", "--forward-mode=io", "--auto-start", "--nb-cores=1", "--no-lsc-interrupt",
                "--total-num-mbufs=8192"]
        super().__init__(lab.gateway_space, argv, lab.fresh_directory("wire") / "log")
        self.await_line("Press enter to exit")

    def stop(self):
        self.end(signal.SIGTERM)
