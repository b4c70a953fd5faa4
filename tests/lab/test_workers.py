# SPDX-License-Identifier: Apache-2.0
"""The main things again with one worker and with two, where frames are handed over between them."""

import concurrent.futures

POLICY = """
    sandboxes:
      - {vlan: 101, name: build, policy: {allow: [registry.npmjs.org]}}
      - {vlan: 102, name: agent}
      - {vlan: 103, name: probe, policy: deny-all}
      - {vlan: 104, name: twin, policy: {subnets: {allow: [198.51.100.0/24]}}}
      - {vlan: 105, name: mirror, policy: {allow: [github.com]}}
    """


def test_each_sandbox_gets_its_own_policy(lab, workers):
    gateway = lab.start(POLICY, workers=workers)
    build, agent, probe, twin, mirror = (lab[vlan] for vlan in range(101, 106))
    probe.know_neighbours()
    assert build.https("registry.npmjs.org").ok and agent.https("exfil.example").ok
    assert twin.http("any.example", "198.51.100.20").ok and mirror.https("github.com").ok
    assert not build.https("exfil.example", "198.51.100.10").ok
    assert probe.dig("registry.npmjs.org").status == "NXDOMAIN"
    assert twin.http("any.example", "203.0.113.20").rc == 7
    assert not mirror.https("registry.npmjs.org", "198.51.100.12").ok
    gateway.denied(build, "domain-not-allowed", name="exfil.example")
    gateway.denied(probe, "deny-all")
    gateway.denied(twin, "address-not-allowed", dst="203.0.113.20")
    gateway.denied(mirror, "domain-not-allowed", name="registry.npmjs.org")
    assert not build.sent_out("exfil.example") and not mirror.sent_out("registry.npmjs.org")


def test_many_connections_at_once(lab, workers):
    gateway = lab.start(POLICY, workers=workers)
    assert lab[101].dig("registry.npmjs.org").status == "NOERROR"
    assert lab[105].dig("github.com").status == "NOERROR"
    asked = [(lab[101], "registry.npmjs.org", "198.51.100.10"), (lab[105], "github.com", "198.51.100.12"),
             (lab[102], "exfil.example", "198.51.100.66"), (lab[101], "exfil.example", "198.51.100.10")]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda one: one[0].https(one[1], one[2]), asked * 10))
    assert [result.ok for result in said] == [True, True, True, False] * 10
    assert not lab[101].sent_out("exfil.example")
    gateway.denied(lab[101], "domain-not-allowed", name="exfil.example")


def test_push_is_enforced_by_every_worker(lab, workers):
    gateway = lab.start(POLICY, workers=workers)
    sandboxes = [lab[vlan] for vlan in (102, 104)]
    for sandbox in sandboxes:
        assert sandbox.http("any.example", "198.51.100.20").ok
    for _ in range(5):
        gateway.push("sandboxes: [{vlan: 102, policy: {subnets: {allow: [203.0.113.0/24]}}}, "
                     "{vlan: 104, policy: {subnets: {allow: [203.0.113.0/24]}}}]")
        assert [s.http("any.example", "198.51.100.20").rc for s in sandboxes] == [7, 7]
        gateway.push(POLICY)
        assert all(s.http("any.example", "198.51.100.20").ok for s in sandboxes)
