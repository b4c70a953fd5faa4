# SPDX-License-Identifier: Apache-2.0
"""The same rules in nftables and in Open vSwitch on DPDK, each in a namespace of the bench's own.

Both get a policy's prefixes as a set (a table of flows) of its own and a map from the sandbox to
its policy, so that a sandbox is changed alone, as Sluice does. Neither has rules by name. Times
are those of the tool that an operator runs, its start included."""

import functools
import ipaddress
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import machine

DPDK_SWITCH = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
OWN = 100000  # numbers of policies that one sandbox has alone: this and its VLAN


class Rules:
    """What bench_reload --write wrote (bench/fleet.h)."""

    def __init__(self, path):
        self.policies, self.sandboxes, self.one, self.documents = {}, {}, {"10": [], "1000": []}, []
        document = {}
        for line in path.read_text().splitlines():
            kind, number, *rest = line.split()
            number = int(number)
            if kind == "policy":
                self.policies[number] = rest
            elif kind == "sandbox":
                self.sandboxes[number] = int(rest[0])
            elif kind == "document":
                if number in document:
                    self.documents.append(document)
                    document = {}
                document[number] = rest
            else:
                self.one[kind].append((number, rest))
        self.documents.append(document)

    def changed(self, document):
        """All policies and who has which, with those of a document on top."""
        policies = {**self.policies, **{OWN + vlan: prefixes for vlan, prefixes in document.items()}}
        return policies, {**self.sandboxes, **{vlan: OWN + vlan for vlan in document}}


def timed(argv, **options):
    """Milliseconds; raises with what the tool says if it fails."""
    began = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, **options)
    took = (time.monotonic() - began) * 1e3
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: {(done.stderr or done.stdout).strip()[:300]}")
    return took


class Peer:
    """Has whole(policies, sandboxes, again), one(vlan, prefixes) and nothing(), which return ms."""

    def __init__(self):
        self.space = f"sluicebench{os.getpid()}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluicebench"))
        self.inside = ["ip", "netns", "exec", self.space]

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.space], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "del", self.space], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, lines):
        path = self.folder / "rules"
        path.write_text("\n".join(lines) + "\n")
        return path

    def resident_kib(self):
        return None


@functools.cache
def elements(prefixes):
    """What a set of each version holds. Sets refuse prefixes within others, so these are merged."""
    nets = {version: [ipaddress.ip_network(p) for p in prefixes if (":" in p) == (version == 6)]
            for version in (4, 6)}
    return [(version, ", ".join(map(str, ipaddress.collapse_addresses(nets[version])))) for version in nets]


class Nft(Peer):
    """A pair of sets and a chain for each policy, a verdict map from the mark (which stands for the
    VLAN: a table that routes has none) to the chain."""

    name = "nftables"

    def policy(self, number, prefixes):
        for version, members in elements(tuple(prefixes)):
            head = f"add set inet sluice p{number}_{version} {{ type ipv{version}_addr; flags interval;"
            yield head + (f" elements = {{ {members} }}; }}" if members else " }")
        yield f"add chain inet sluice p{number}"
        yield f"add rule inet sluice p{number} ip daddr @p{number}_4 accept"
        yield f"add rule inet sluice p{number} ip6 daddr @p{number}_6 accept"
        yield f"add rule inet sluice p{number} drop"

    def load(self, lines):
        path = self.file(lines)
        return timed([*self.inside, "nft", "-f", path])

    def whole(self, policies, sandboxes, again):
        lines = ["flush ruleset", "add table inet sluice"]
        for number, prefixes in policies.items():
            lines += self.policy(number, prefixes)
        pairs = ", ".join(f"{vlan} : goto p{number}" for vlan, number in sandboxes.items())
        lines += [f"add map inet sluice sandboxes {{ type mark : verdict; elements = {{ {pairs} }}; }}",
                  "add chain inet sluice forward { type filter hook forward priority 0; policy drop; }",
                  "add rule inet sluice forward meta mark vmap @sandboxes"]
        return self.load(lines)

    def one(self, vlan, prefixes):
        number = OWN + vlan
        try:  # the sandbox has a policy of its own already, as after its first push: not in the time
            self.load([*self.policy(number, []), f"delete element inet sluice sandboxes {{ {vlan} }}",
                       f"add element inet sluice sandboxes {{ {vlan} : goto p{number} }}"])
        except RuntimeError:
            pass
        lines = []
        for version, members in elements(tuple(prefixes)):
            lines.append(f"flush set inet sluice p{number}_{version}")
            if members:
                lines.append(f"add element inet sluice p{number}_{version} {{ {members} }}")
        return self.load(lines)

    def nothing(self):
        return self.load([])


class Ovs(Peer):
    """Table 0 from the VLAN to the policy's number, table 1 from number and prefix to the action."""

    name = "OVS"

    def __enter__(self):
        super().__enter__()
        self.daemons = []
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        super().__exit__()

    def daemon(self, *argv):
        log = open(self.folder / f"{pathlib.Path(argv[0]).name}.log", "wb")
        self.daemons.append(subprocess.Popen([*self.inside, *map(str, argv)], stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log, env=self.environment))

    def vsctl(self, *argv):
        return subprocess.run([*self.inside, "ovs-vsctl", f"--db=unix:{self.folder}/db.sock", "--timeout=20",
                               *argv], capture_output=True, text=True, check=True).stdout.strip()

    def start(self):
        folder = str(self.folder)
        self.environment = {**os.environ, "OVS_RUNDIR": folder, "OVS_DBDIR": folder, "OVS_LOGDIR": folder,
                            "OVS_SYSCONFDIR": folder}
        self.dpdk = machine.has_hugepages() and os.access(DPDK_SWITCH, os.X_OK)
        timed(["ovsdb-tool", "create", f"{folder}/conf.db", SCHEMA])
        self.daemon("ovsdb-server", f"{folder}/conf.db", f"--remote=punix:{folder}/db.sock")
        socket = self.folder / "db.sock"
        for _ in range(100):
            if socket.exists():
                break
            time.sleep(0.05)
        self.vsctl("--no-wait", "init")
        if self.dpdk:
            self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                       "other_config:dpdk-extra=--no-pci --in-memory --no-telemetry",
                       "other_config:dpdk-socket-mem=256", "other_config:dpdk-lcore-mask=0x1")
        self.daemon(DPDK_SWITCH if self.dpdk else "ovs-vswitchd", f"unix:{folder}/db.sock")
        self.vsctl("add-br", "sluicebench0", "--", "set", "bridge", "sluicebench0", "datapath_type=netdev",
                   "fail-mode=secure")
        self.dpdk = self.dpdk and self.vsctl("get", "Open_vSwitch", ".", "dpdk_initialized") == "true"

    @staticmethod
    def policy(number, prefixes):
        for prefix in prefixes:
            match = f"ipv6,ipv6_dst={prefix}" if ":" in prefix else f"ip,nw_dst={prefix}"
            yield f"table=1,reg0={number},{match},actions=NORMAL"

    @staticmethod
    def sandbox(vlan, number):
        return f"table=0,dl_vlan={vlan},actions=set_field:{number}->reg0,resubmit(,1)"

    def ofctl(self, command, lines):
        path = self.file(lines)
        return timed(["ovs-ofctl", "-O", "OpenFlow14", "--bundle", command,
                      f"unix:{self.folder}/sluicebench0.mgmt", path])

    def whole(self, policies, sandboxes, again):
        if not again:
            self.ofctl("add-flows", ["delete"])
        lines = [line for number, prefixes in policies.items() for line in self.policy(number, prefixes)]
        lines += [self.sandbox(vlan, number) for vlan, number in sandboxes.items()]
        return self.ofctl("replace-flows" if again else "add-flows", lines)

    def one(self, vlan, prefixes):
        number = OWN + vlan
        self.ofctl("add-flows", ["add " + self.sandbox(vlan, number)])  # as in Nft.one: not in the time
        return self.ofctl("add-flows", [f"delete table=1,reg0={number}",
                                        *("add " + line for line in self.policy(number, prefixes))])

    def nothing(self):
        return self.ofctl("add-flows", [])

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.daemons[-1].pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


def measure(peer, rules):
    """Medians in milliseconds, as many of each as rules has changes."""
    rounds = len(rules.documents)
    with peer() as it:
        before = it.resident_kib()
        row = {"rounds": rounds, "nothing_ms": [it.nothing() for _ in range(rounds)],
               "cold_ms": [it.whole(rules.policies, rules.sandboxes, False) for _ in range(rounds)],
               "unchanged_ms": [it.whole(rules.policies, rules.sandboxes, True) for _ in range(rounds)]}
        after = it.resident_kib()
        row["one_in_a_hundred_ms"] = [it.whole(*rules.changed(document), True) for document in rules.documents]
        for kind, changes in rules.one.items():
            row[f"one_{kind}_subnets_ms"] = [it.one(*change) for change in changes]
        row = {key: round(statistics.median(value), 2) if isinstance(value, list) else value
               for key, value in row.items()}
        if before:
            row["rules_kib"] = after - before
        if isinstance(it, Ovs):
            row["dpdk"] = it.dpdk
    return row


def try_measure(peer, rules):
    """The row, or why there is none: a peer that does not run here is no reason to stop."""
    try:
        return measure(peer, rules)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or str(error)
        print(f"{peer.name} did not run: {why.strip()}")
        return {"error": why.strip()}
