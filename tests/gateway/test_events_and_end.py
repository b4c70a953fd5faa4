# SPDX-License-Identifier: Apache-2.0
"""Events of a running gateway, and its end."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import PATIENCE, frame


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_its_counters(gateway, number):
    gateway.incoming["sandbox"] = [frame(sport=1000 + n) for n in range(20)]
    gateway.start().await_events(21)
    counts = gateway.end(number)
    assert list(counts)[:5] == ["packets", "forwarded", "dropped", "held", "flows"]
    assert counts["forwarded"] == 20 and counts["flows"] == 20


def test_signal_during_the_start_ends_it(gateway):
    gateway.start(wait=False)
    status = pathlib.Path(f"/proc/{gateway.process.pid}/status")
    while "SigBlk:\t0000000000000000" in status.read_text():  # it is not further than its loader
        time.sleep(0.001)
    assert "packets" in gateway.end()


def test_events_are_written_while_it_runs(gateway):
    gateway.incoming["sandbox"] = [frame(sport=7)]
    gateway.start()
    event = [e for e in gateway.await_events(2) if e["vlan"] == 101][0]
    assert (event["verdict"], event["generation"], event["sport"]) == ("allow", 1, 7)
    gateway.end()


def test_events_on_standard_output(gateway):
    gateway.config["events"] = {"file": "-"}
    gateway.incoming["sandbox"] = [frame()]
    gateway.start()
    events = (json.loads(line) for line in gateway.process.stdout)
    assert next(event for event in events if event["event"] == "flow")["vlan"] == 101
    gateway.end()


def test_no_events_are_asked_for(gateway):
    del gateway.config["events"]
    gateway.incoming["sandbox"] = [frame()]
    gateway.start()
    gateway.end()
    assert not gateway.path("events.jsonl").exists()


def test_events_after_a_rotation_are_in_the_new_file(gateway):
    gateway.incoming["sandbox"] = [frame()]
    gateway.start().await_events(2)
    os.rename(gateway.path("events.jsonl"), gateway.path("events.1"))
    gateway.process.send_signal(signal.SIGHUP)
    gateway.await_log("policy unchanged")
    assert gateway.path("events.jsonl").exists()
    gateway.end()


def test_file_that_was_renamed_is_made_again(gateway):
    """As logrotate does without a postrotate script."""
    gateway.start()
    gateway.await_events(1)
    os.rename(gateway.path("events.jsonl"), gateway.path("events.1"))
    end = time.monotonic() + PATIENCE
    while not gateway.path("events.jsonl").exists():
        assert time.monotonic() < end, "the file was not made again"
        time.sleep(0.01)
    gateway.policy("sandboxes: []")
    gateway.generation(2)
    gateway.end()
    assert [event["event"] for event in gateway.all_events] == ["push", "stop"]


def syslogd(gateway):
    """A socket as syslogd and journald listen on."""
    gateway.path("log.sock").unlink(missing_ok=True)
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    daemon.bind(str(gateway.path("log.sock")))
    daemon.settimeout(PATIENCE)
    return daemon


def received(daemon, last):
    """Events up to one of this kind."""
    events = []
    while not events or events[-1]["event"] != last:
        head, _, text = daemon.recv(65536).decode().partition(": ")
        assert re.fullmatch(r"<30>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d sluice\[\d+\]", head)
        events.append(json.loads(text))
    return events


def test_events_go_to_syslog_as_to_the_file(gateway):
    gateway.config["events"]["syslog"] = "log.sock"
    gateway.incoming["sandbox"] = [frame(sport=1000 + n) for n in range(5)]
    with syslogd(gateway) as daemon:
        gateway.start().await_events(6)
        gateway.end()
        assert received(daemon, "stop") == gateway.all_events


def test_syslog_that_is_away_costs_lines_that_are_counted(gateway):
    gateway.config["events"]["syslog"] = "log.sock"
    gateway.incoming["sandbox"] = [frame(sport=1000 + n) for n in range(5)]
    gateway.start().await_events(6)
    gateway.await_log("warning: events cannot be sent to .*log.sock: No such file")
    with syslogd(gateway) as daemon:
        (lost,) = received(daemon, "lost")
        assert lost["sink"] == "syslog" and lost["count"] == lost["seq"] - 1
    gateway.policy("sandboxes: []")  # nobody listens again
    gateway.await_log("cannot be sent to", 2)
    with syslogd(gateway) as daemon:
        (lost,) = received(daemon, "lost")
        assert lost["count"] > 0
        gateway.policy("sandboxes: [{vlan: 9}]")
        (push,) = received(daemon, "push")
        assert push["seq"] == lost["seq"] + 1
        gateway.end()


def test_syslog_that_does_not_read_holds_up_nothing(gateway):
    gateway.config["events"]["syslog"] = "log.sock"
    gateway.incoming["sandbox"] = [frame(sport=1000 + n) for n in range(900)]
    with syslogd(gateway) as daemon:
        gateway.start().await_events(901)
        seqs = [event["seq"] for event in received(daemon, "lost")]
        assert gateway.end()["forwarded"] == 900
        (lost,) = [event for event in gateway.all_events if event["event"] == "lost"]
        assert seqs == [*range(1, len(seqs)), lost["seq"]] and lost["count"] == lost["seq"] - len(seqs)


def test_full_disk_is_told_and_survived(gateway):
    gateway.config["events"] = {"file": "/dev/full"}
    gateway.incoming["sandbox"] = [frame(sport=1000 + n) for n in range(50)]
    gateway.start()
    gateway.await_log("events cannot be written to /dev/full")
    gateway.policy("sandboxes: []")
    gateway.generation(2)
    assert gateway.end(code=1)["forwarded"] == 50
    assert gateway.said().count("events cannot be written") == 1


def test_reader_that_went_away_is_survived(gateway):
    gateway.config["events"] = {"file": "-"}
    gateway.incoming["sandbox"] = [frame(sport=1000 + n) for n in range(50)]
    reader, writer = os.pipe()
    os.close(reader)
    gateway.start(stdout=writer)
    os.close(writer)
    gateway.await_log("events cannot be written")
    gateway.policy("sandboxes: []")
    gateway.generation(2)
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(60) == 1


def test_reader_that_does_not_read_is_survived(gateway):
    gateway.config["events"] = {"file": "-"}
    gateway.incoming["sandbox"] = [frame(vlan=102, sport=1000 + n) for n in range(100)]
    gateway.start(stdout=subprocess.PIPE)
    gateway.policy("sandboxes: []")
    gateway.generation(2)
    gateway.end()


def test_end_tells_what_each_stage_costs(gateway):
    """One turn in 64 is timed, so some thousand frames are enough."""
    gateway.incoming["sandbox"] = [frame(sport=1000 + n % 500) for n in range(8000)] + [frame(sport=5000)]
    gateway.start().await_events(502)  # the last frame's as well
    gateway.end()
    stages = [line.split() for line in gateway.printed.splitlines() if line.startswith("cycles ")]
    assert [stage for _, stage, _ in stages] == ["rx", "parse", "sandbox", "flow", "subnet", "judge", "after", "tx"]
    assert all(float(cycles) >= 0 for _, _, cycles in stages) and float(stages[1][2]) > 0
