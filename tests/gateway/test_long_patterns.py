# SPDX-License-Identifier: Apache-2.0
"""Patterns that take long to compile are compiled beside everything else, and wait alone."""

import os
import pathlib
import re
import signal

MANY = 2000 if "ASAN_OPTIONS" in os.environ else 10000  # a sanitised compile is slow
LONG = 500  # seconds: ten for 10,000 patterns on a CPU of their own


def document(others, patterns):
    """VLAN 101 with so many patterns that have a star further in, and what three others have."""
    lines = "".join(f'        - "a{n}.*.example.com"\n' for n in range(patterns))
    rest = "".join(f"  - {{vlan: {vlan}, policy: {others}}}\n" for vlan in (102, 103, 104))
    return f"sandboxes:\n  - vlan: 101\n    policy:\n      allow:\n{lines}{rest}"


def enforced(gateway):
    """What each generation changed, in the order of the log."""
    return re.findall(r"policy generation (\d+) enforced: (\d+) sandboxes changed", gateway.said())


def begin(gateway):
    gateway.policy("sandboxes: [{vlan: 101, policy: deny-all}, {vlan: 102}, {vlan: 103}, {vlan: 104}]")
    return gateway.start()


def test_push_of_others_is_enforced_before_a_long_list(gateway):
    begin(gateway).policy(document("allow-all", MANY))
    gateway.await_log("policy accepted, generation 1 stays in force while patterns are compiled for 1 sandboxes")
    gateway.policy(document("deny-all", MANY))
    gateway.await_log("1 more sandboxes wait for their patterns")
    gateway.generation(3, LONG)
    assert enforced(gateway)[1:] == [("2", "3"), ("3", "1")]
    gateway.process.send_signal(signal.SIGHUP)
    gateway.await_log("policy unchanged, generation 3 stays in force")
    gateway.end()


def test_acknowledgement_waits_for_the_list(gateway):
    begin(gateway).policy(document("deny-all", 1000))
    gateway.await_log("policy accepted")
    gateway.generation(2)
    said = gateway.said()
    assert said.index("policy accepted, generation 1") < said.index("policy generation 2 enforced")
    assert enforced(gateway)[1:] == [("2", "4")], "one document is one generation"
    gateway.end()


def test_last_document_wins_over_one_that_is_being_compiled(gateway):
    begin(gateway).policy(document("allow-all", MANY))
    gateway.await_log("policy accepted")
    gateway.policy("sandboxes: [{vlan: 101}, {vlan: 102}, {vlan: 103}, {vlan: 104}]")
    gateway.generation(2)
    gateway.await_log("was replaced by a later one, generation 2 stays in force")
    assert enforced(gateway)[1:] == [("2", "1")]
    gateway.process.send_signal(signal.SIGHUP)
    gateway.await_log("policy unchanged, generation 2 stays in force")
    gateway.end()


def test_bad_document_does_not_disturb_one_that_is_being_compiled(gateway):
    begin(gateway).policy(document("allow-all", 1000))
    gateway.await_log("policy accepted")
    gateway.policy("sandboxes: [{vlan: 0}]")
    gateway.await_log("policy refused, generation 1 stays in force")
    gateway.generation(2)
    gateway.end()


def test_end_does_not_wait_for_a_compile(gateway):
    """A list that takes longer than any patience."""
    begin(gateway).policy(document("allow-all", 200000))
    gateway.await_log("policy accepted")
    assert gateway.end()["dropped"] == 2
    assert "never in force" in gateway.said() and len(enforced(gateway)) == 1


def test_end_during_the_first_compile(gateway):
    gateway.policy(document("allow-all", 200000))
    gateway.start(wait=False)
    gateway.await_log("policy accepted, generation 0")
    gateway.end()
    assert "ready" not in gateway.said()


def test_start_waits_for_its_patterns(gateway):
    gateway.policy(document("allow-all", 1000))
    gateway.start()
    said = gateway.said()
    assert said.index("policy generation 1 enforced") < said.index("ready")
    gateway.end()


def fleet(patterns):
    """One sandbox with a long list, and so many others that their walk takes a while."""
    others = "".join(f"  - {{vlan: {vlan}, policy: {{allow: [a{vlan}.example.com], "
                     f"subnets: {{allow: [198.51.{vlan >> 8}.{vlan & 255}]}}}}}}\n" for vlan in range(200, 4000))
    return document("deny-all", patterns) + others


def test_walk_of_a_fleet_that_waited_takes_no_cpu_from_a_worker(gateway):
    """The control thread runs before the workers of its CPU, but not for as long as that takes."""
    begin(gateway).policy(fleet(150))
    gateway.await_log("policy accepted")
    seen = {"0": 0, "1": 0}  # samples of it running, by policy: SCHED_OTHER, SCHED_FIFO
    pid = gateway.process.pid
    while "generation 2 enforced" not in gateway.said():
        stat = pathlib.Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
        if stat[0] == "R":
            seen[stat[38]] += 1
    assert seen["0"] > seen["1"], seen
    gateway.end()
