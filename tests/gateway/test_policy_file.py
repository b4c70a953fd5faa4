# SPDX-License-Identifier: Apache-2.0
"""The policy file of a running gateway: what is taken, when, and what is said about it."""

import os
import re
import signal
import time

ONE = "sandboxes: [{vlan: 101}]"
TWO = "sandboxes: [{vlan: 101, policy: deny-all}]"
BAD = "sandboxes:\n  - vlan: 101\n  - vlan: 101\n    name: [7]\n    polcy: x\n"


def test_rename_is_enforced_once(gateway):
    gateway.start().policy(TWO)
    line = gateway.generation(2).string
    assert re.search(r"policy generation 2 enforced: 1 sandboxes changed, 1 sandboxes, \d+ us \(policy.yaml\)", line)
    gateway.never_says("generation 3|unchanged", 1.5)
    gateway.end()


def test_rename_is_enforced_soon(gateway):
    gateway.start()
    began = time.monotonic()
    gateway.policy(TWO)
    gateway.generation(2)
    assert time.monotonic() - began < 1
    gateway.end()


def test_written_in_place_is_enforced(gateway):
    gateway.start().path("policy.yaml").write_text(TWO)
    gateway.generation(2)
    gateway.end()


def test_written_slowly_is_enforced_when_it_is_whole(gateway):
    gateway.start()
    with open(gateway.path("policy.yaml"), "w", buffering=1) as file:
        for byte in TWO:
            file.write(byte)
            file.flush()
            time.sleep(0.02)
        gateway.never_says("generation 2|error", 0.3)
    gateway.generation(2)
    gateway.never_says("error", 0.1)
    gateway.end()


def test_symlink_swap_is_enforced(gateway):
    gateway.path("v1").write_text(ONE)
    gateway.path("v2").write_text(TWO)
    gateway.path("policy.yaml").unlink()
    gateway.path("policy.yaml").symlink_to("v1")
    gateway.start()
    gateway.path("next").symlink_to("v2")
    gateway.path("next").rename(gateway.path("policy.yaml"))
    gateway.generation(2)
    gateway.end()


def test_configmap_update_is_enforced_once(gateway):
    for version, text in ("..1", ONE), ("..2", TWO):
        gateway.path(version).mkdir()
        (gateway.path(version) / "policy.yaml").write_text(text)
    gateway.path("..data").symlink_to("..1")
    gateway.path("policy.yaml").unlink()
    gateway.path("policy.yaml").symlink_to("..data/policy.yaml")
    gateway.start()
    gateway.path("..data_tmp").symlink_to("..2")
    gateway.path("..data_tmp").rename(gateway.path("..data"))
    gateway.generation(2)
    gateway.never_says("generation 3|unchanged", 1.5)
    gateway.end()


def test_same_again_stays_the_same_generation(gateway):
    gateway.start().policy(ONE + " # said otherwise\n")
    gateway.await_log("policy unchanged, generation 1 stays in force")
    gateway.policy(TWO)
    gateway.generation(2)
    gateway.end()


def test_bad_policy_changes_nothing_and_says_every_error(gateway):
    gateway.start().policy(BAD)
    gateway.await_log("policy refused, generation 1 stays in force")
    for place in "policy.yaml:3:11: ", "policy.yaml:4:11: ", "policy.yaml:5:5: ":
        assert f"error: {place}" in gateway.said(), gateway.said()
    gateway.policy(TWO)
    gateway.generation(2)
    assert gateway.end()["dropped"] == 2


def test_empty_file_changes_nothing(gateway):
    gateway.start().policy("")
    gateway.await_log("policy refused, generation 1 stays in force")
    gateway.end()


def test_patterns_without_resolvers_are_refused_at_a_push_too(gateway):
    gateway.config["dns"] = {}
    gateway.start().policy("sandboxes: [{vlan: 101, policy: {allow: [example.com]}}]")
    gateway.await_log("policy refused, generation 1 stays in force")
    assert "resolvers" in gateway.said()
    gateway.end()


def test_removed_file_changes_nothing_and_is_taken_when_it_is_back(gateway):
    gateway.start().path("policy.yaml").unlink()
    gateway.await_log("policy file policy.yaml: No such file or directory; generation 1 stays in force")
    gateway.policy(TWO)
    gateway.generation(2)
    gateway.end()


def test_hangup_reads_again(gateway):
    gateway.start().process.send_signal(signal.SIGHUP)
    gateway.await_log("policy unchanged, generation 1 stays in force")
    gateway.path("policy.yaml").unlink()
    gateway.process.send_signal(signal.SIGHUP)
    gateway.await_log("No such file or directory; generation 1 stays in force")
    gateway.end()


def test_hundred_renames_end_with_the_last(gateway):
    gateway.start()
    for number in range(100):
        gateway.policy(f"sandboxes: [{{vlan: {200 + number}}}]")
        time.sleep(0.005)
    gateway.policy("sandboxes: [{vlan: 101}, {vlan: 102}, {vlan: 103}, {vlan: 104}, {vlan: 105}]")
    gateway.await_log(r"enforced: \d+ sandboxes changed, 5 sandboxes")
    gateway.never_says("error", 0.2)
    gateway.end()


def test_huge_file_is_refused_quickly(gateway):
    gateway.start()
    with open(gateway.path("big"), "w") as file:
        file.truncate(100 << 20)
    began = time.monotonic()
    os.rename(gateway.path("big"), gateway.path("policy.yaml"))
    gateway.await_log("policy refused, generation 1 stays in force")
    assert time.monotonic() - began < 5
    gateway.end()
