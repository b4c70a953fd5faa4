#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The demo: what four sandboxes may and may not do, shown one try after the other.

Every line is a real client in a network namespace, behind the real gateway. A line that does not
end as promised is marked, and makes the demo exit with an error.
"""

import os
import subprocess
import sys
import time

from internet import RESOLVER
from lab import Lab, LabError
from topology import wait_for

SANDBOXES = {101: "build", 102: "agent", 103: "ops", 104: "locked", 999: "stray"}
NPM, BUCKETS, GITHUB, EXFIL = "198.51.100.10", "198.51.100.11", "198.51.100.12", "198.51.100.66"

SKETCH = """\
      sandboxes, a VLAN each                                     "Internet"
    ┌─────────────────────────┐                     ┌──────────────────────────────────────┐
    │ build    VLAN 101       │                     │ registry.npmjs.org     198.51.100.10 │
    │ agent    VLAN 102       │      ┌────────┐     │ *.s3.amazonaws.com     198.51.100.11 │
    │ ops      VLAN 103       ├──────┤ Sluice ├─────┤ github.com             198.51.100.12 │
    │ locked   VLAN 104       │trunk └────────┘     │ exfil.example          198.51.100.66 │
    │ stray    VLAN 999       │           uplink    │ web and SSH servers    192.0.2.0/24  │
    └─────────────────────────┘                     │ DNS resolver           203.0.113.53  │
                                                    └──────────────────────────────────────┘"""

POLICY = """\
sandboxes:
  - vlan: 101                      # may reach two services, by name
    name: build
    policy:
      allow: ["registry.npmjs.org", "*.s3.amazonaws.com"]
  - vlan: 102                      # no policy: may reach the public Internet
    name: agent
  - vlan: 103                      # may reach addresses, by any protocol
    name: ops
    policy:
      subnets:
        allow: [192.0.2.0/24]
        deny: [192.0.2.128/25]
  - vlan: 104                      # may reach nothing
    name: locked
    policy: deny-all
"""
LOCKED_AGENT = POLICY.replace("    name: agent\n", "    name: agent\n    policy: deny-all\n")
WIDER_BUILD = LOCKED_AGENT.replace('"*.s3.amazonaws.com"]', '"*.s3.amazonaws.com", "github.com"]')

COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(text, colour):
    codes = {"green": 32, "red": 31, "dim": 2, "bold": 1, "cyan": 36}
    return f"\033[{codes[colour]}m{text}\033[0m" if COLOURS else text


def cell(text, width, colour=None):
    """A table cell; colours must not count as width."""
    padded = text if len(text) >= width else text.ljust(width)
    return paint(padded, colour) if colour else padded


class Show:
    """Prints the table and keeps the score."""

    def __init__(self, lab, gateway):
        self.lab, self.gateway = lab, gateway
        self.kept, self.broken = 0, []

    def title(self, text, *explanation):
        print(f"\n{paint(text, 'bold')}")
        for line in explanation:
            print(f"   {line}")
        print(paint(f"\n   {'sandbox':9}{'tries':55}{'verdict':10}{'what came of it':27}"
                    f"{'the reason, says Sluice':25}as promised", "dim"))

    def line(self, who, tries, verdict, outcome, reason, promised):
        colour = {"allowed": "green", "denied": "red"}.get(verdict, "dim")
        mark = paint("✔", "green") if promised else paint("✘ NO", "red")
        print(f"   {cell(who, 9, 'bold')}{cell(tries, 55, 'cyan')}{cell(verdict, 10, colour)}"
              f"{cell(outcome, 27)}{cell(reason, 25)}{mark}", flush=True)
        if promised:
            self.kept += 1
        else:
            self.broken.append(f"{who}: {tries}: {verdict}, {outcome}, {reason}")

    def attempt(self, sandbox, tries, done, allow, reason, **event):
        """One try: done is (passed, outcome); the gateway's own word on it must be `reason`."""
        passed, outcome = done
        try:
            said = self.gateway.await_event(vlan=sandbox.vlan, reason=reason,
                                            verdict="allow" if allow else "deny", **event)["reason"]
        except AssertionError:
            said = self.last_word(sandbox)
        self.line(sandbox.name, tries, "allowed" if passed else "denied", outcome, said,
                  passed == allow and said == reason)

    def last_word(self, sandbox):
        events = self.gateway.events(vlan=sandbox.vlan)
        return events[-1]["reason"] if events else "nothing"

    def promise(self, who, claim, true, outcome):
        """Something that is shown by looking at the wire or at a server."""
        self.line(who, claim, "", outcome, "", true)


def by_curl(result):
    words = {0: "answered", 6: "name not resolved", 7: "connection refused", 28: "no answer",
             35: "TLS alert: access denied", 52: "closed without an answer", 56: "connection reset"}
    return result.ok, words.get(result.rc, f"curl exit {result.rc}")


def by_dig(answer):
    return answer.status == "NOERROR", answer.data[-1] if answer.data else f"DNS answer: {answer.status}"


def by_openssl(result):
    if result.ok and "sni=" in result.out:
        return True, "answered"
    return False, "TLS alert: access denied" if "access denied" in result.err else "closed"


def by_ping(result):
    return result.ok, ("answered" if result.ok else
                       "ICMP: packet filtered" if "Packet filtered" in result.out else "silence")


def by_ssh(sandbox, address):
    try:
        with sandbox.talk(address, 22) as connection:
            return True, connection.recv(40).decode().split("-")[0] + " banner read"
    except OSError as refused:
        return False, refused.strerror or str(refused)


def names(show, build):
    show.title("1. A policy of names", "build may reach registry.npmjs.org and *.s3.amazonaws.com.",
               "A connection must prove such a name, by its TLS hello, before a byte of it leaves.")
    show.attempt(build, "dig registry.npmjs.org", by_dig(build.dig("registry.npmjs.org")),
                 True, "dns-allowed", name="registry.npmjs.org")
    show.attempt(build, "curl https://registry.npmjs.org", by_curl(build.https("registry.npmjs.org")),
                 True, "domain-allowed", name="registry.npmjs.org")
    show.attempt(build, "curl https://logs.s3.amazonaws.com", by_curl(build.https("logs.s3.amazonaws.com")),
                 True, "domain-allowed", name="logs.s3.amazonaws.com")
    show.attempt(build, "curl -6 https://registry.npmjs.org:8443",
                 by_curl(build.https("registry.npmjs.org", None, 8443, "/", "-6")),
                 True, "domain-allowed", name="registry.npmjs.org", dport=8443)
    show.attempt(build, "dig exfil.example", by_dig(build.dig("exfil.example")),
                 False, "dns-name-not-allowed", name="exfil.example")
    show.attempt(build, "openssl s_client -servername exfil.example (npm's IP)",
                 by_openssl(build.tls("exfil.example", NPM)),
                 False, "domain-not-allowed", name="exfil.example")
    show.attempt(build, "curl https://registry.npmjs.org (sent to exfil's IP)",
                 by_curl(build.https("registry.npmjs.org", EXFIL)),
                 False, "address-not-pinned", dst=EXFIL)
    show.attempt(build, "curl http://registry.npmjs.org (no TLS, no proof)",
                 by_curl(build.http("registry.npmjs.org")), False, "not-tls", dport=80)
    show.promise(build.name, "what did the Internet see of exfil.example?",
                 not build.sent_out("exfil.example") and not build.packets_to(EXFIL), "not one byte")


def addresses(show, ops):
    show.title("2. A policy of addresses", "ops may reach 192.0.2.0/24 by any protocol,",
               "but not its upper half: deny beats allow.")
    show.attempt(ops, "curl http://192.0.2.10", by_curl(ops.curl("http://192.0.2.10")),
                 True, "subnet-allowed", dst="192.0.2.10")
    show.attempt(ops, "ssh 192.0.2.22", by_ssh(ops, "192.0.2.22"), True, "subnet-allowed",
                 dst="192.0.2.22")
    show.attempt(ops, "ping 192.0.2.10", by_ping(ops.ping("192.0.2.10")), True, "subnet-allowed",
                 proto="icmp")
    show.attempt(ops, "curl http://192.0.2.200", by_curl(ops.curl("http://192.0.2.200")),
                 False, "subnet-denied", dst="192.0.2.200")
    show.attempt(ops, f"ping {NPM}", by_ping(ops.ping(NPM)), False, "address-not-allowed", dst=NPM)


def modes(show, lab):
    agent, locked, stray = lab[102], lab[104], lab[999]
    show.title("3. The other two modes, and nobody", "agent has no policy (allow-all: the public Internet),",
               "locked has deny-all, and stray's VLAN is in no policy.")
    show.attempt(agent, "curl https://exfil.example", by_curl(agent.https("exfil.example")),
                 True, "allow-all", dst=EXFIL)
    show.attempt(agent, "curl http://10.99.0.1 (an inside address)",
                 by_curl(agent.curl("http://10.99.0.1")), False, "internal-subnet", dst="10.99.0.1")
    show.attempt(locked, "dig registry.npmjs.org", by_dig(locked.dig("registry.npmjs.org")),
                 False, "deny-all", dst=RESOLVER)
    show.attempt(locked, f"curl https://registry.npmjs.org ({NPM})",
                 by_curl(locked.https("registry.npmjs.org", NPM)), False, "deny-all", dst=NPM)
    show.attempt(stray, f"ping {NPM}", by_ping(stray.ping(NPM, "-W", "1")), False, "unknown-sandbox")


def live_update(show, lab):
    gateway, build, agent = show.gateway, lab[101], lab[102]
    show.title("4. A live update", "agent and build are in the middle of downloads",
               "when the operator changes agent's policy to deny-all.")
    into = lab.fresh_directory("download") / "big"
    process = agent.spawn("curl", "-sS", "--no-buffer", "-o", into, f"http://{GITHUB}/big",
                          stderr=subprocess.DEVNULL)
    wait_for(lambda: into.exists() and into.stat().st_size > 200_000, "the download to begin")
    pings = build.spawn("curl", "-sS", "-o", lab.fresh_directory("kept") / "big", "--no-buffer", "--cacert",
                        build.internet.where / "ca.pem", "--resolve", f"registry.npmjs.org:443:{NPM}",
                        "https://registry.npmjs.org/big", stderr=subprocess.DEVNULL)
    gateway.await_event(vlan=101, name="registry.npmjs.org", via="tls")
    show.promise(agent.name, f"curl http://{GITHUB}/big (1 GiB, going on)", process.poll() is None,
                 f"{into.stat().st_size / 1e6:.1f} MB so far")
    began = time.monotonic()
    generation = gateway.push(LOCKED_AGENT)
    enforced = time.monotonic() - began
    show.promise("", "operator: mv policy.yaml.new policy.yaml", generation == 2,
                 f"generation {generation} in {enforced * 1000:.1f} ms")
    process.wait(20)
    show.attempt(agent, "... the download", (process.returncode == 0, "connection reset" if
                 process.returncode == 56 else f"curl exit {process.returncode}"),
                 False, "policy-changed", dst=GITHUB)
    show.promise(build.name, "... its own download", pings.poll() is None, "goes on untouched")
    pings.kill()
    pings.wait()


def widening(show, build):
    show.title("5. A widening", "github.com is not on build's list, until the operator adds it.")
    show.attempt(build, "curl https://github.com", by_curl(build.https("github.com")),
                 False, "dns-name-not-allowed", name="github.com")
    began = time.monotonic()
    generation = show.gateway.push(WIDER_BUILD)
    show.promise("", 'operator: adds "github.com"', generation == 3,
                 f"generation {generation} in {(time.monotonic() - began) * 1000:.1f} ms")
    show.attempt(build, "curl https://github.com", by_curl(build.https("github.com")),
                 True, "domain-allowed", name="github.com")


def closing(show):
    counters = show.gateway.stop()
    show.title("6. The books", "Every packet that came in was forwarded, or dropped for a reason.")
    packets, forwarded, dropped = (counters[key] for key in ("packets", "forwarded", "dropped"))
    show.promise("", f"{packets} packets in", packets == forwarded + dropped,
                 f"{forwarded} out, {dropped} dropped")


def main():
    print(paint("Sluice stands between sandboxes that run untrusted code and the Internet, and lets a packet out\n"
                "only if that sandbox's policy allows it now. All of this runs in namespaces of this machine.",
                "bold"))
    print(f"\n{SKETCH}\n\n{paint('The policy, policy.yaml:', 'bold')}\n")
    print("\n".join("    " + line for line in POLICY.splitlines()), flush=True)
    with Lab(SANDBOXES) as lab:
        for vlan in (102, 104, 999):  # under deny-all not even ARP gets out
            lab[vlan].know_neighbours()
        show = Show(lab, lab.start(POLICY))
        names(show, lab[101])
        addresses(show, lab[103])
        modes(show, lab)
        live_update(show, lab)
        widening(show, lab[101])
        closing(show)
    if show.broken:
        print(paint(f"\n{len(show.broken)} of {show.kept + len(show.broken)} did not end as promised:", "red"))
        print("\n".join("  " + line for line in show.broken))
        return 1
    print(paint(f"\nAll {show.kept} ended as promised.", "green"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as missing:
        sys.exit(f"demo: {missing}")
    except KeyboardInterrupt:
        sys.exit(130)
