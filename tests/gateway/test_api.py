# SPDX-License-Identifier: Apache-2.0
"""The control API (spec-control sections 1 and 2) by curl over its socket: pushes, what is shown, what is refused,
and what is in force after any end."""

import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
import yaml

from conftest import PATIENCE, frame

ENTRY = {"vlan": 103, "name": "npm", "policy": {"allow": ["registry.npmjs.org", "*.npmjs.org"]}}
VERCEL = {"allow": {"b.example": [], "a.example": []}, "subnets": {"allow": ["198.51.100.0/24"]}}


class Answer:
    def __init__(self, text):
        head, _, self.body = text.partition("\n\n")  # subprocess has made \n of \r\n
        if head.startswith("HTTP/1.1 100"):
            head, _, self.body = self.body.partition("\n\n")
        status, *lines = head.split("\n")
        self.status = int(status.split()[1])
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    @property
    def json(self):
        return json.loads(self.body)


class Api:
    """curl, as a platform's script would call it."""

    def __init__(self, gateway, socket_name="control.sock"):
        self.gateway, self.socket = gateway, socket_name

    def __call__(self, method, path, body=None, *args):
        if body is not None:
            text = body if isinstance(body, str) else json.dumps(body)
            args += ("--data-binary", "@-", "-H", "Content-Type: application/json") \
                if not any("Content-Type" in arg for arg in args) else ("--data-binary", "@-")
        else:
            text = ""
        done = subprocess.run(["curl", "-sS", "-i", "--max-time", str(PATIENCE), "--unix-socket", self.socket,
                               "-X", method, *args, f"http://localhost{path}"], input=text, text=True,
                              capture_output=True, cwd=self.gateway.directory, check=False)
        assert done.returncode == 0, (done.stderr, self.gateway.said())
        return Answer(done.stdout)

    def put(self, path, body, status=200, *args):
        answer = self("PUT", path, body, *args)
        assert answer.status == status, answer.body
        return answer.json


@pytest.fixture
def api(gateway):
    gateway.config["policy"] = {"state": "state"}
    gateway.start()
    return Api(gateway)


def test_empty_state_is_a_gateway_without_sandboxes(api, gateway):
    assert api("GET", "/v1/health").json == {"problems": []}
    answer = api("GET", "/v1/policy")
    assert (answer.status, answer.json, answer.headers["etag"]) == (200, {"sandboxes": []}, '"1"')
    assert api("GET", "/v1/sandboxes").json == {"sandboxes": [], "after": None}
    assert gateway.end()["reason unknown-sandbox"] == 2  # the two frames that came in


def test_one_sandbox_from_creating_to_removing_it(api, gateway):
    made = api.put("/v1/sandboxes/103", {key: ENTRY[key] for key in ("name", "policy")}, 201)
    assert made["generation"] == 2 and made["changed"] == 1
    assert set(made["us"]) == {"check", "compile", "store", "enforce"}
    shown = api("GET", "/v1/sandboxes/npm").json
    assert (shown["vlan"], shown["mode"], shown["effective"]) == (103, "custom", {"allow": ["*.npmjs.org",
                                                                                           "registry.npmjs.org"]})
    assert len(shown["hash"]) == 64 and made["hash"] == shown["hash"]
    # repeating it is harmless
    again = api.put("/v1/sandboxes/103", ENTRY)
    assert (again["generation"], again["changed"], again["hash"]) == (2, 0, shown["hash"])
    # the policy value alone, as Vercel has it
    changed = api.put("/v1/sandboxes/npm/policy", VERCEL)
    assert (changed["generation"], changed["changed"]) == (3, 1)
    other = api("GET", "/v1/sandboxes/103").json
    assert other["effective"] == {"allow": ["a.example", "b.example"], "subnets": {"allow": ["198.51.100.0/24"]}}
    assert other["name"] == "npm" and other["hash"] == changed["hash"] != shown["hash"]
    told = [event for event in gateway.all_events if event["event"] == "push" and event["source"] == "api"]
    assert [event["hash"] for event in told] == [made["hash"], changed["hash"]]
    assert api.put("/v1/sandboxes/103/policy", '"deny-all"')["generation"] == 4
    assert api("DELETE", "/v1/sandboxes/npm").json["changed"] == 1
    assert api("DELETE", "/v1/sandboxes/103").json["changed"] == 0
    assert api("GET", "/v1/sandboxes/103").status == 404
    assert api("PUT", "/v1/sandboxes/103/policy", '"deny-all"').status == 404
    assert "(uid 0, pid " in gateway.said()


def test_document_is_shown_as_it_can_be_applied_again(api, tmp_path):
    document = {"policies": {"npm-only": {"allow": ["registry.npmjs.org"]}},
                "sandboxes": [{"vlan": 101, "policy": "npm-only"}, {"vlan": 102, "policy": "npm-only"}, ENTRY,
                              {"vlan": 104, "source": ["10.0.4.2/32"]},
                              {"vlan": 105, "policy": {"by-address": ["github.com:22/tcp"]}}]}
    assert api.put("/v1/policy", document)["changed"] == 5
    answer = api("GET", "/v1/policy")
    shown = answer.json
    assert [entry["vlan"] for entry in shown["sandboxes"]] == [101, 102, 103, 104, 105]
    assert shown["sandboxes"][3]["policy"] == "allow-all" and shown["sandboxes"][0]["policy"] == "npm-only"
    assert api.put("/v1/policy", shown)["changed"] == 0
    text = api("GET", "/v1/policy", None, "-H", "Accept: application/yaml")
    assert text.headers["content-type"] == "application/yaml" and yaml.safe_load(text.body) == shown
    again = api("PUT", "/v1/policy", text.body, "-H", "Content-Type: application/yaml")
    assert again.json["changed"] == 0 and again.headers["etag"] == answer.headers["etag"]
    # a document that leaves one out removes it
    assert api.put("/v1/policy", {**shown, "sandboxes": shown["sandboxes"][:4]})["changed"] == 1
    assert api("GET", "/v1/sandboxes/105").status == 404


def test_named_policy_changes_for_all_that_use_it_at_once(api):
    api.put("/v1/policies/two", {"allow": ["a.example"]})
    api("PATCH", "/v1/sandboxes", {"set": [{"vlan": 101, "policy": "two"}, {"vlan": 102, "policy": "two"},
                                           {"vlan": 103, "policy": "deny-all"}]})
    before = api("GET", "/v1/policy").headers["etag"]
    changed = api.put("/v1/policies/two", {"allow": ["b.example"]})
    assert changed["changed"] == 2 and changed["generation"] == int(before.strip('"')) + 1
    assert api("GET", "/v1/policies").json == {"policies": {"two": {"allow": ["b.example"]}}}
    assert api("GET", "/v1/sandboxes/102").json["effective"] == {"allow": ["b.example"]}
    used = api("DELETE", "/v1/policies/two")
    assert (used.status, used.json["type"]) == (409, "tag:sluice,2026:policy-in-use")
    assert used.json["detail"] == "vlan 101, 102"
    api("PATCH", "/v1/sandboxes", {"remove": ["101", "102"]})
    assert api("DELETE", "/v1/policies/two").status == 200
    assert api("GET", "/v1/policies/two").status == 404


def test_patch_is_one_generation(api):
    first = api("PATCH", "/v1/sandboxes", {"set": [{"vlan": 101}, {"vlan": 102, "policy": "deny-all"}]}).json
    assert (first["generation"], first["changed"]) == (2, 2)
    second = api("PATCH", "/v1/sandboxes", {"set": [ENTRY], "remove": ["101"]}).json
    assert (second["generation"], second["changed"]) == (3, 2)
    assert [line["vlan"] for line in api("GET", "/v1/sandboxes").json["sandboxes"]] == [102, 103]
    both = api("PATCH", "/v1/sandboxes", {"set": [ENTRY], "remove": ["npm"]})
    assert both.status == 422 and both.json["errors"][0]["pointer"] == "/set/0"
    unknown = api("PATCH", "/v1/sandboxes", {"remove": ["nobody"]})
    assert unknown.status == 422 and unknown.json["errors"][0]["pointer"] == "/remove/0"


def test_listing_goes_page_by_page(api):
    api("PATCH", "/v1/sandboxes", {"set": [{"vlan": vlan} for vlan in range(1, 31)]})
    seen, after = [], 0
    while after is not None:
        page = api("GET", f"/v1/sandboxes?limit=7&after={after}").json
        seen += [line["vlan"] for line in page["sandboxes"]]
        after = page["after"]
    assert seen == list(range(1, 31))
    assert api("GET", "/v1/sandboxes?limit=0").status == 400


def test_every_mistake_is_told_with_its_place(api):
    body = '{\n "sandboxes": [\n  {"vlan": 5000},\n  {"vlan": 7, "policy": {"allow": ["x..y"], "subnet": {}}}\n ]}'
    answer = api("PUT", "/v1/policy", body)
    assert answer.status == 422 and answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["type"] == "tag:sluice,2026:invalid-document" and problem["status"] == 422
    assert [(error["line"], error["column"], error["pointer"]) for error in problem["errors"]] == [
        (3, 12, "/sandboxes/0/vlan"), (4, 36, "/sandboxes/1/policy/allow/0"), (4, 45, "/sandboxes/1/policy/subnet")]
    assert "did you mean subnets" in problem["errors"][2]["message"]
    entry = api("PUT", "/v1/sandboxes/9", {"policy": {"allow": ["https://x.example"]}}).json
    assert entry["errors"][0]["pointer"] == "/policy/allow/0"
    value = api("PUT", "/v1/policies/x", {"allow": "x.example"}).json
    assert value["errors"][0]["pointer"] == "/allow"
    other = api("PUT", "/v1/sandboxes/9", {"vlan": 8})
    assert other.status == 422 and other.json["errors"][0]["pointer"] == "/vlan"
    named = api("PUT", "/v1/sandboxes/9", {"policy": "nowhere"})
    assert named.status == 422 and "there is no policy" in named.json["errors"][0]["message"]
    # nothing of all this is in force
    assert api("GET", "/v1/policy").json == {"sandboxes": []}


@pytest.mark.parametrize("method, path, body, args, status, problem", [
    ("PUT", "/v1/policy", '{"sandboxes": [}', (), 400, "not-json"),
    ("PUT", "/v1/policy", "", (), 400, "not-json"),
    ("PUT", "/v1/policy", '{"sandboxes": [], "sandboxes": []}', (), 400, "not-json"),
    ("PUT", "/v1/policy", "sandboxes: [", ("-H", "Content-Type: application/yaml"), 400, "not-readable"),
    ("PUT", "/v1/policy", "<policy/>", ("-H", "Content-Type: text/xml"), 415, "unknown-type"),
    ("PUT", "/v1/policy", "<policy/>", ("-H", "Content-Type: application/x"), 415, "unknown-type"),
    ("GET", "/v1/nothing", None, (), 404, "not-found"),
    ("GET", "/v1/sandboxes/x/y", None, (), 404, "not-found"),
    ("POST", "/v1/policy", "{}", (), 405, "no-such-method"),
    ("PUT", "/v1/policy", '{"sandboxes": []}', ("-H", "If-Match: 1"), 400, "bad-header"),
    ("PUT", "/v1/policy", '{"sandboxes": []}', ("-H", 'If-Match: "77"'), 412, "generation-changed"),
    ("PUT", "/v1/policy", " " * 5000, (), 413, "body-too-large"),
])
def test_refusals(gateway, method, path, body, args, status, problem):
    gateway.config.update(policy={"state": "state"}, control={"socket": "control.sock", "body-max": 4096})
    gateway.start()
    answer = Api(gateway)(method, path, body, *args)
    assert (answer.status, answer.json["type"]) == (status, f"tag:sluice,2026:{problem}"), answer.body
    assert answer.json["status"] == status and answer.json["title"] and answer.json["detail"]
    if status == 405:
        assert answer.headers["allow"] == "GET, PUT"


def test_push_may_depend_on_the_generation(api):
    seen = api("GET", "/v1/policy").headers["etag"]
    assert api("PUT", "/v1/sandboxes/101", {}, "-H", f"If-Match: {seen}").status == 201
    late = api("PUT", "/v1/sandboxes/102", {}, "-H", f"If-Match: {seen}")
    assert late.status == 412 and late.json["detail"] == "generation 2 is in force"
    assert api("GET", "/v1/sandboxes/102").status == 404


def test_dry_run_says_what_would_change_and_changes_nothing(api):
    api.put("/v1/sandboxes/101", {"policy": "deny-all"}, 201)
    would = api("PUT", "/v1/policy?dry-run=1", {"sandboxes": [ENTRY]}).json
    assert {change["vlan"]: (change["from"], change["to"]) for change in would["would-change"]} == {
        101: ({"vlan": 101, "policy": "deny-all"}, None),
        103: (None, {**ENTRY, "policy": {"allow": ["*.npmjs.org", "registry.npmjs.org"]}})}
    assert would["generation"] == 2
    assert [line["vlan"] for line in api("GET", "/v1/sandboxes").json["sandboxes"]] == [101]
    assert api("PUT", "/v1/policy?dry-run=1", {"sandboxes": [{"vlan": 0}]}).status == 422


def test_policy_from_a_file_is_shown_and_not_written(gateway):
    gateway.policy("sandboxes: [{vlan: 101, name: one, policy: deny-all}]")
    gateway.start()
    api = Api(gateway)
    assert api("GET", "/v1/policy").json == {"sandboxes": [{"vlan": 101, "name": "one", "policy": "deny-all"}]}
    for method, path in (("PUT", "/v1/policy"), ("PUT", "/v1/sandboxes/101"), ("DELETE", "/v1/sandboxes/101")):
        answer = api(method, path, {"sandboxes": []} if method == "PUT" else None)
        assert (answer.status, answer.json["type"]) == (409, "tag:sluice,2026:policy-from-file")
    gateway.policy("sandboxes: [{vlan: 102}]")
    gateway.generation(2)
    assert [line["vlan"] for line in api("GET", "/v1/sandboxes").json["sandboxes"]] == [102]


def test_names_may_be_written_as_json_has_them(api):
    """Python writes a name outside ASCII as escapes, in pairs beyond the first plane."""
    name = 'rocket \U0001f680 "quoted" \u00fc \\'
    body = json.dumps({"name": name})
    assert "\\ud83d\\ude80" in body
    api.put("/v1/sandboxes/101", body, 201)
    assert api("GET", "/v1/sandboxes/101").json["name"] == name
    wrong = json.dumps({"sandboxes": [{"vlan": 7, "name": name, "policy": {"allow": ["x..y"]}}]})
    (error,) = api("PUT", "/v1/policy", wrong).json["errors"]
    assert error["pointer"] == "/sandboxes/0/policy/allow/0" and wrong[error["column"] - 1:].startswith('"x..y"')


# --- events ---


def lines_of(answer):
    assert answer.headers["content-type"] == "application/jsonl"
    return [json.loads(line) for line in answer.body.splitlines()]


def test_events_come_by_the_api_as_in_the_file(gateway):
    gateway.policy("sandboxes: [{vlan: 101}, {vlan: 102, name: two, policy: deny-all}]")
    gateway.incoming["sandbox"] = [frame(vlan, 1000 + n) for n in range(5) for vlan in (101, 102)]
    gateway.start()
    gateway.await_events(10)
    api = Api(gateway)
    every = lines_of(api("GET", "/v1/events"))
    assert every == gateway.all_events
    assert [event["seq"] for event in every] == list(range(1, len(every) + 1))
    assert {event["v"] for event in every} == {1} and len({(event["node"], event["boot"]) for event in every}) == 1
    assert {"start", "push", "flow"} <= {event["event"] for event in every}
    (push,) = [event for event in every if event["event"] == "push"]
    assert (push["generation"], push["changed"], push["source"], push["who"]) == (1, 2, "file", None)
    for arguments, wanted in (("sandbox=two", lambda event: event.get("vlan") == 102),
                              ("verdict=allow", lambda event: event.get("verdict") == "allow"),
                              ("reason=deny-all&sandbox=102", lambda event: event.get("reason") == "deny-all"),
                              ("event=push", lambda event: event["event"] == "push"),
                              ("last=3", lambda event: event["seq"] > len(every) - 3),
                              ("after=4", lambda event: event["seq"] > 4)):
        assert lines_of(api("GET", f"/v1/events?{arguments}")) == [event for event in every if wanted(event)], arguments
    for arguments, status in (("after=x", 400), ("last=-1", 400), ("reason=%22", 400), ("sandbox=nobody", 404)):
        assert api("GET", f"/v1/events?{arguments}").status == status
    gateway.end()
    assert gateway.all_events[-1]["event"] == "stop"


def test_events_are_followed_until_the_gateway_stops(api, gateway):
    follower = subprocess.Popen(["curl", "-sS", "-N", "--unix-socket", "control.sock",
                                 "http://localhost/v1/events?follow=1&event=push"], cwd=gateway.directory,
                                stdout=subprocess.PIPE, text=True)
    seen = []
    while not seen:  # it may come to listen after the first ones
        api.put("/v1/policies/x", {"allow": [f"n{len(gateway.all_events)}.example"]})
        if api("GET", "/v1/events?event=push&last=1").body:
            seen.append(json.loads(follower.stdout.readline()))
    assert seen[0]["source"] == "api" and seen[0]["who"].startswith("uid ")
    gateway.end()
    assert all(json.loads(line)["event"] == "push" for line in follower.stdout.read().splitlines())
    assert follower.wait(timeout=PATIENCE) == 0
    assert gateway.all_events[-1]["event"] == "stop"


def test_lines_that_a_slow_reader_lost_are_counted(gateway):
    """The file is a pipe whose reader sleeps; the stream has all of them."""
    vlans, flows = range(101, 106), 900
    gateway.policy(json.dumps({"sandboxes": [{"vlan": vlan} for vlan in vlans]}))
    gateway.incoming["sandbox"] = [frame(vlan, 1000 + n) for vlan in vlans for n in range(flows)]
    os.mkfifo(gateway.path("events.jsonl"))
    pipe = os.open(gateway.path("events.jsonl"), os.O_RDONLY | os.O_NONBLOCK)
    gateway.start()
    api = Api(gateway)
    while api("GET", "/v1/events?event=flow").body.count("\n") < len(vlans) * flows:
        time.sleep(0.1)
    text = b""
    while b'"event":"lost"' not in text or not text.endswith(b"\n"):
        try:
            text += os.read(pipe, 1 << 20)
        except BlockingIOError:
            time.sleep(0.01)
    os.close(pipe)
    *told, lost = map(json.loads, text.splitlines())
    assert lost["event"] == "lost" and lost["count"] > 0
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    assert lost["seq"] == len(told) + lost["count"] + 1


def test_worker_that_hangs_is_told(gateway):
    """The uplink is a pipe that nobody reads, so the worker that writes to it comes to a stop."""
    frames = [frame(101, 1000 + n, bytes(1400)) for n in range(100)]
    gateway.incoming["sandbox"] = frames
    os.mkfifo(gateway.path("uplink.0.pcap"))
    pipe = os.open(gateway.path("uplink.0.pcap"), os.O_RDONLY | os.O_NONBLOCK)
    gateway.start()
    gateway.await_log("error: worker 0 takes no turns")
    api = Api(gateway)
    answer = api("GET", "/v1/health")
    assert answer.status == 503 and [problem["what"] for problem in answer.json["problems"]] == ["worker-stuck"]
    got = b""
    while len(got) < len(frames) * 1400:
        try:
            got += os.read(pipe, 1 << 20)
        except BlockingIOError:
            time.sleep(0.01)
    gateway.await_log("worker 0 takes turns again")
    assert api("GET", "/v1/health").status == 200
    gateway.end()
    os.close(pipe)
    assert [(event["worker"], event["state"]) for event in gateway.all_events if event["event"] == "worker"] == \
        [(0, "stuck"), (0, "back")]


# --- other shapes ---


@pytest.mark.parametrize("body, effective", [
    ({"mode": "allow-all"}, "allow-all"),
    ({"mode": "deny-all", "allowedDomains": ["a.example"]}, "deny-all"),
    ({"mode": "custom", "allowedDomains": ["A.example"], "deniedCIDRs": ["198.51.100.0/24"]},
     {"allow": ["a.example"], "subnets": {"deny": ["198.51.100.0/24"]}}),
    ({"allowedCIDRs": ["198.51.100.7"]}, {"subnets": {"allow": ["198.51.100.7/32"]}}),
    ({"allowedDomains": []}, "deny-all"),
])
def test_earlier_shapes_of_vercel(api, body, effective):
    """As a policy value, in an entry, in a patch, in a document and as a named policy."""
    api.put("/v1/sandboxes/101", {"policy": body}, 201)
    api("PATCH", "/v1/sandboxes", {"set": [{"vlan": 102, "policy": body}, {"vlan": 103}]})
    api.put("/v1/sandboxes/103/policy", body)
    api.put("/v1/policies/named", body)
    for vlan in (101, 102, 103):
        assert api("GET", f"/v1/sandboxes/{vlan}").json["effective"] == effective
    assert api("GET", "/v1/policies/named").json == effective
    document = {"policies": {"named": body}, "sandboxes": [{"vlan": vlan, "policy": body} for vlan in (101, 102, 103)]}
    assert api.put("/v1/policy", document)["changed"] == 0


@pytest.mark.parametrize("body, effective", [
    ({}, "allow-all"),
    ({"allowInternetAccess": False}, "deny-all"),
    ({"allowOut": ["api.example", "198.51.100.7"], "denyOut": ["0.0.0.0/0"]},
     {"allow": ["api.example"], "subnets": {"allow": ["198.51.100.7/32"]}}),
    ({"allowOut": ["*.example"], "allowInternetAccess": False, "denyOut": ["203.0.113.0/24"]},
     {"allow": ["*.example"], "subnets": {"deny": ["203.0.113.0/24"]}}),
    ({"denyOut": ["203.0.113.0/24"]}, {"allow": ["*"], "subnets": {"deny": ["203.0.113.0/24"]}}),
])
def test_body_of_e2b(api, body, effective):
    api.put("/v1/sandboxes/101", {"policy": "deny-all"}, 201)
    api.put("/v1/sandboxes/101/network", body)
    assert api("GET", "/v1/sandboxes/101").json["effective"] == effective


def test_body_of_e2b_whose_allow_lies_in_a_deny_is_refused(api):
    api.put("/v1/sandboxes/101", {"policy": "deny-all"}, 201)
    refused = api("PUT", "/v1/sandboxes/101/network", {"denyOut": ["0.0.0.0/0", "203.0.113.0/24"],
                                                       "allowOut": ["a.example", "203.0.113.7"]})
    (error,) = refused.json["errors"]
    assert refused.status == 422 and error["pointer"] == "/allowOut/1"
    assert "203.0.113.7" in error["message"] and "203.0.113.0/24" in error["message"]
    assert api("PUT", "/v1/sandboxes/101/network", {"allowout": []}).status == 422
    assert api("GET", "/v1/sandboxes/101").json["effective"] == "deny-all"


# --- what workers have open ---


def test_flows_are_listed_page_by_page_and_cut(gateway):
    gateway.config["workers"] = 2
    gateway.policy("sandboxes: [{vlan: 101}, {vlan: 102, name: two}]")
    gateway.incoming["sandbox"] = [frame(vlan, 1000 + n) for vlan in (101, 102) for n in range(30)]
    gateway.start()
    gateway.await_events(60)
    api = Api(gateway)
    seen, after = [], ""
    while after is not None:
        page = api("GET", f"/v1/flows?limit=7{after and '&after=' + after}").json
        assert len(page["flows"]) <= 7
        seen += page["flows"]
        after = page["after"]
    assert sorted((flow["vlan"], flow["sport"]) for flow in seen) == [(vlan, 1000 + n) for vlan in (101, 102)
                                                                      for n in range(30)]
    flow = seen[0]
    assert (flow["proto"], flow["src"], flow["dst"], flow["dport"], flow["reason"], flow["name"]) == (
        "udp", "10.0.0.2", "192.0.2.1", 2000, "allow-all", None)
    assert 0 <= flow["age"] < PATIENCE and 0 < flow["expires"] <= 120
    assert len(api("GET", "/v1/flows?sandbox=two").json["flows"]) == 30
    assert api("POST", "/v1/sandboxes/two/cut").json == {"flows": 30, "pins": 0}
    assert api("GET", "/v1/flows?sandbox=two").json == {"flows": [], "after": None}
    assert len(api("GET", "/v1/flows?sandbox=101").json["flows"]) == 30
    assert [event["vlan"] for event in gateway.events if event["reason"] == "policy-changed"] == [102] * 30
    assert api("POST", "/v1/sandboxes/101/cut", {"pins": True}).json == {"flows": 30, "pins": 0}
    assert api("POST", "/v1/sandboxes/101/cut", {"pin": True}).status == 422
    for path in ("/v1/flows?sandbox=nobody", "/v1/sandboxes/103/pins"):
        assert api("GET", path).status == 404
    for path in ("/v1/flows?limit=0", "/v1/flows?limit=5000", "/v1/flows?after=x", "/v1/flows?after=9.0"):
        assert api("GET", path).status == 400, path
    gateway.end()


# --- the socket ---


def test_read_only_socket_refuses_every_push(gateway):
    gateway.config.update(policy={"state": "state"}, control={"socket": "control.sock", "read-only-socket": "look.sock",
                                                              "socket-mode": "0640"})
    gateway.start()
    look = Api(gateway, "look.sock")
    assert look("GET", "/v1/policy").status == 200
    for method, path in (("PUT", "/v1/policy"), ("PATCH", "/v1/sandboxes"), ("DELETE", "/v1/policies/x"),
                         ("POST", "/v1/sandboxes/101/cut")):
        assert look(method, path, {}).status == 403
    assert Api(gateway).put("/v1/sandboxes/101", {}, 201)
    for name in ("control.sock", "look.sock"):
        assert stat.S_IMODE(os.stat(gateway.path(name)).st_mode) == 0o640
    gateway.end()
    assert not gateway.path("control.sock").exists() and not gateway.path("look.sock").exists()


def test_socket_of_another_process_is_an_error_and_a_dead_one_is_replaced(gateway):
    path = gateway.path("control.sock")
    gateway.config["policy"] = {"state": "state"}
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        gateway.start(wait=False)
        assert f"the process with PID {os.getpid()} answers there" in gateway.fails()
    assert path.is_socket()  # dead now
    gateway.start()
    assert Api(gateway)("GET", "/v1/health").status == 200


def test_clients_that_hang_hold_up_nobody(api, gateway):
    """63 that send half a request; the 64th works on."""
    hanging = []
    for _ in range(60):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(gateway.path("control.sock")))
        client.sendall(b"PUT /v1/policy HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
        hanging.append(client)
    assert api.put("/v1/sandboxes/101", {}, 201)["changed"] == 1
    for client in hanging:
        client.close()
    gateway.end()


# --- what lasts ---


def test_what_was_acknowledged_is_in_force_after_kill_9(gateway):
    """Killed at any moment of a row of pushes: the last acknowledged one or the one that was sent."""
    gateway.config["policy"] = {"state": "state"}
    sent = acknowledged = 0
    for round_ in range(4):
        gateway.start()
        api = Api(gateway)
        shown = api("GET", "/v1/sandboxes").json["sandboxes"]
        assert len(shown) in (acknowledged, sent), (len(shown), acknowledged, sent)
        acknowledged = sent = len(shown)
        killer = threading.Timer(0.15 + 0.1 * round_, gateway.process.kill)
        killer.start()
        try:
            while True:
                sent = acknowledged + 1
                assert api("PUT", f"/v1/sandboxes/{sent}", {}).status == 201
                acknowledged = sent
        except AssertionError:
            killer.join()
            gateway.process.wait()
    assert acknowledged > 4


def test_pushes_that_come_together_are_all_durable_and_in_force(gateway):
    """12 callers at once, each with sandboxes of its own, and some that want the same one."""
    gateway.config["policy"] = {"state": "state"}
    gateway.start()
    failed = []

    def caller(number):
        for n in range(8):
            api = Api(gateway)
            own = api("PUT", f"/v1/sandboxes/{100 * (number + 1) + n}", {"policy": "deny-all"})
            shared = api("PUT", f"/v1/sandboxes/{n + 1}", {"policy": {"allow": [f"n{number}.example"]}})
            if own.status != 201 or shared.status not in (200, 201):
                failed.append((own.body, shared.body))

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(12)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert not failed, failed
    before = Api(gateway)("GET", "/v1/policy").json
    assert len(before["sandboxes"]) == 12 * 8 + 8
    gateway.process.kill()
    gateway.process.wait()
    gateway.start()
    assert Api(gateway)("GET", "/v1/policy").json == before


def test_state_belongs_to_one_gateway(api, gateway):
    second = subprocess.run([os.environ.get("SLUICE", "sluice"), "check", "sluice.yaml"], cwd=gateway.directory,
                            capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stdout + second.stderr
    holder = gateway.path("state/lock").read_text().strip()
    assert holder == str(gateway.process.pid)


@pytest.mark.parametrize("damage, words", [
    (lambda file: file.write_bytes(b"no database at all, but long enough to be looked at" * 100), "is damaged"),
    (lambda file: subprocess.run(["/usr/bin/python3", "-c", "import sqlite3, sys; "
                                  "sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 99')", file], check=True),
     "was written by a newer version of sluice"),
])
def test_state_that_cannot_be_used_ends_the_start(gateway, damage, words):
    gateway.config["policy"] = {"state": "state"}
    gateway.start()
    assert Api(gateway).put("/v1/sandboxes/101", {}, 201)
    gateway.end()
    for leftover in pathlib.Path(gateway.directory).glob("state/state.db-*"):
        leftover.unlink()
    damage(gateway.path("state/state.db"))
    gateway.start(wait=False)
    assert words in gateway.fails()


def test_push_that_cannot_be_made_durable_is_refused(api, gateway):
    api.put("/v1/sandboxes/101", {"policy": "deny-all"}, 201)
    # no file of the process may grow any more: the disk is full
    subprocess.run(["prlimit", f"--pid={gateway.process.pid}", "--fsize=0:unlimited"], check=True)
    refused = api("PUT", "/v1/sandboxes/101", {"policy": "allow-all"})
    assert (refused.status, refused.json["type"]) == (507, "tag:sluice,2026:not-durable"), refused.body
    assert api("GET", "/v1/sandboxes/101").json["effective"] == "deny-all"
    subprocess.run(["prlimit", f"--pid={gateway.process.pid}", "--fsize=unlimited:unlimited"], check=True)
    assert api.put("/v1/sandboxes/101", {"policy": "allow-all"})["changed"] == 1
    gateway.end(signal.SIGTERM)


def test_long_patterns_hold_up_their_own_push_alone(api):
    many = {"allow": [f"a{n}.*.b{n % 7}.example" for n in range(3000)]}
    done, short = {}, 0

    def push_long():
        done["long"] = api("PUT", "/v1/sandboxes/200", {"policy": many})

    thread = threading.Thread(target=push_long)
    thread.start()
    while "long" not in done:
        assert api("PUT", "/v1/sandboxes/101", {"policy": "deny-all"}).status in (200, 201)
        short += "long" not in done
    thread.join()
    assert done["long"].status == 201 and short > 0
    assert api("GET", "/v1/sandboxes/200").json["mode"] == "custom"
