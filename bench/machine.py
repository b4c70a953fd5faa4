# SPDX-License-Identifier: Apache-2.0
"""The machine that a bench runs on, and where its programs are."""

import json
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
BUILD = pathlib.Path(os.environ.get("BENCH_BUILD", ROOT / "build")) / "bench"


def free_hugepages():
    text = pathlib.Path("/proc/meminfo").read_text()
    found = re.search(r"HugePages_Free:\s+(\d+)", text)
    return int(found.group(1)) if found else 0


def has_hugepages():
    return free_hugepages() >= 400


def dpdk_version():
    done = subprocess.run(["pkg-config", "--modversion", "libdpdk"], capture_output=True, text=True)
    return done.stdout.strip() or None


def describe():
    """What stands in every file of results."""
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "bench/*.[ch]", "control", "dataplane",
                              "include"], capture_output=True, check=False).returncode
    commit += "-changed" if changed else ""
    return {"cpu": model.group(1) if model else platform.machine(), "kernel": platform.release(),
            "cores": os.cpu_count(), "dpdk": dpdk_version(), "commit": commit,
            "hugepages": free_hugepages()}


def run_json(program, *options, env=None):
    """Runs one of the programs in build/bench; the JSON objects that it prints, a line each."""
    argv = [str(BUILD / program), *map(str, options)]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **(env or {})})
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def without_hugepages():
    """What the environment of a program needs that takes hugepages unless told otherwise."""
    return {} if has_hugepages() else {"BENCH_NO_HUGE": "1"}


def write(name, results):
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(results, indent=1) + "\n")
