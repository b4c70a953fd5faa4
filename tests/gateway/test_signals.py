# SPDX-License-Identifier: Apache-2.0
"""What signals do to a running gateway: what the manual page says, and nothing else."""

import re
import signal

import pytest

from conftest import frame


def counted(text):
    return {name: int(number) for name, number in re.findall(r"counters: ([a-z -]+) (\d+)$", text, re.M)}


def test_usr1_writes_the_counters_to_the_log(gateway):
    gateway.incoming["sandbox"] = [frame(sport=1000 + n) for n in range(20)]
    gateway.start().await_events(21)
    assert "counters:" not in gateway.said()
    gateway.process.send_signal(signal.SIGUSR1)
    gateway.await_log("counters: reason allow-all 20")
    logged = counted(gateway.said())
    assert logged["forwarded"] == 20
    assert logged["packets"] == logged["forwarded"] + logged["dropped"] + logged["held"]
    printed = gateway.end()
    assert {name: printed[name] for name in logged} == logged


def test_usr1_again_writes_them_again(gateway):
    gateway.start()
    for count in (1, 2):
        gateway.process.send_signal(signal.SIGUSR1)
        gateway.await_log("counters: packets", count)
    gateway.end()


MEANINGLESS = ["USR2", "ALRM", "VTALRM", "PROF", "PIPE", "WINCH", "TTIN", "TTOU", "URG", "CHLD", "IO", "PWR",
               "STKFLT", "XCPU", "XFSZ", "CONT", "RTMIN", "RTMAX"]


@pytest.mark.parametrize("workers", [1, 2])
def test_signals_without_a_meaning_do_nothing(gateway, workers):
    gateway.config["workers"] = workers
    gateway.incoming["sandbox"] = [frame()]
    gateway.start().await_events(1)
    before = gateway.said()
    numbers = [getattr(signal, f"SIG{name}") for name in MEANINGLESS]
    for number in [*numbers, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)]:
        gateway.process.send_signal(number)
    gateway.never_says("stopping")
    assert gateway.said() == before
    gateway.policy("sandboxes: []")  # it goes on with its work
    gateway.generation(2)
    assert gateway.end()["forwarded"] == 1


def test_signals_without_a_meaning_do_nothing_during_the_start(gateway):
    gateway.start(wait=False)
    gateway.await_log("policy generation 1 enforced")
    for name in MEANINGLESS[:8]:
        gateway.process.send_signal(getattr(signal, f"SIG{name}"))
    gateway.await_log("ready")
    gateway.end()
