# SPDX-License-Identifier: Apache-2.0
"""config/openapi.yaml against the server: every path, method, status and schema."""

import json

import jsonschema
import pytest
import yaml

from conftest import ROOT
from test_api import Api

DESCRIPTION = yaml.safe_load((ROOT / "config/openapi.yaml").read_text())
METHODS = {"get", "put", "post", "patch", "delete"}
ENTRY = {"vlan": 101, "name": "one", "policy": "two"}
DRY = "?dry-run=1"
STALE = ("-H", 'If-Match: "99"')
XML = ("-H", "Content-Type: text/xml")
LARGE = json.dumps({"sandboxes": [], "x": "y" * 5000})

# What comes to each status that is described: (socket, method, path, body, more arguments). Statuses that need a
# fault of the machine or a moment of the end are proved where those are brought about (test_api.py), and listed here.
ELSEWHERE = {410, 503, 504, 507}
CALLS = {
    ("get", "/v1/health", 200): ("", "/v1/health", None),
    ("get", "/v1/stats", 200): ("", "/v1/stats", None),
    ("get", "/v1/policy", 200): ("", "/v1/policy", None),
    ("get", "/v1/sandboxes", 200): ("", "/v1/sandboxes?limit=1", None),
    ("get", "/v1/sandboxes", 400): ("", "/v1/sandboxes?limit=none", None),
    ("get", "/v1/sandboxes/{id}", 200): ("", "/v1/sandboxes/one", None),
    ("get", "/v1/sandboxes/{id}", 404): ("", "/v1/sandboxes/7", None),
    ("put", "/v1/sandboxes/{id}", 201): ("", "/v1/sandboxes/200", {}),
    ("put", "/v1/sandboxes/{id}/policy", 404): ("", "/v1/sandboxes/7/policy", '"deny-all"'),
    ("put", "/v1/sandboxes/{id}/network", 404): ("", "/v1/sandboxes/7/network", {}),
    ("get", "/v1/sandboxes/{id}/pins", 200): ("", "/v1/sandboxes/101/pins", None),
    ("get", "/v1/sandboxes/{id}/pins", 404): ("", "/v1/sandboxes/7/pins", None),
    ("post", "/v1/sandboxes/{id}/cut", 200): ("", "/v1/sandboxes/101/cut", {"pins": True}),
    ("post", "/v1/sandboxes/{id}/cut", 404): ("", "/v1/sandboxes/7/cut", None),
    ("get", "/v1/events", 200): ("", "/v1/events?last=1", None),
    ("get", "/v1/events", 400): ("", "/v1/events?last=none", None),
    ("get", "/v1/events", 404): ("", "/v1/events?sandbox=nobody", None),
    ("get", "/v1/flows", 200): ("", "/v1/flows", None),
    ("get", "/v1/flows", 400): ("", "/v1/flows?after=none", None),
    ("get", "/v1/flows", 404): ("", "/v1/flows?sandbox=nobody", None),
    ("get", "/v1/policies", 200): ("", "/v1/policies", None),
    ("get", "/v1/policies/{id}", 200): ("", "/v1/policies/two", None),
    ("get", "/v1/policies/{id}", 404): ("", "/v1/policies/none", None),
    ("delete", "/v1/policies/{id}", 200): ("", "/v1/policies/spare", None),
    ("delete", "/v1/policies/{id}", 404): ("", "/v1/policies/none", None),
    ("delete", "/v1/policies/{id}", 409): ("", "/v1/policies/two", None),
    ("delete", "/v1/sandboxes/{id}", 200): ("", "/v1/sandboxes/102", None),
}
# Pushes with a body come to the same ones.
BODIES = {"/v1/policy": ("put", "/v1/policy", {"policies": {"two": "deny-all"}, "sandboxes": [ENTRY]}),
          "/v1/sandboxes": ("patch", "/v1/sandboxes", {"set": [ENTRY]}),
          "/v1/sandboxes/{id}": ("put", "/v1/sandboxes/101", ENTRY),
          "/v1/sandboxes/{id}/policy": ("put", "/v1/sandboxes/101/policy", {"allow": ["a.example"]}),
          "/v1/sandboxes/{id}/network": ("put", "/v1/sandboxes/101/network", {"allowOut": ["a.example"],
                                                                              "denyOut": ["0.0.0.0/0"]}),
          "/v1/policies/{id}": ("put", "/v1/policies/two", {"allow": ["b.example"]}),
          "/v1/sandboxes/{id}/cut": ("post", "/v1/sandboxes/101/cut", {"pins": False})}
for described, (method, path, body) in BODIES.items():
    CALLS.setdefault((method, described, 200), ("", path + (DRY if method != "post" else ""), body))
    CALLS[method, described, 400] = ("", path, "{")
    CALLS[method, described, 403] = ("look", path, body)
    CALLS[method, described, 413] = ("", path, LARGE)
    CALLS[method, described, 415] = ("", path, "<x/>", *XML)
    CALLS[method, described, 422] = ("", path, {"sandbox": []})
    CALLS[method, described, 409] = ("file", path, body)
    CALLS[method, described, 412] = ("", path, body, *STALE)
for described, path in (("/v1/sandboxes/{id}", "/v1/sandboxes/102"), ("/v1/policies/{id}", "/v1/policies/spare")):
    CALLS["delete", described, 400] = ("", path, None, "-H", "If-Match: x")
    CALLS["delete", described, 403] = ("look", path, None)
    CALLS.setdefault(("delete", described, 409), ("file", path, None))
    CALLS["delete", described, 412] = ("", path, None, *STALE)


def described():
    for path, item in DESCRIPTION["paths"].items():
        for method in METHODS & set(item):
            for status, response in item[method]["responses"].items():
                yield method, path, int(status), response


def resolved(node):
    while "$ref" in node:
        target = DESCRIPTION
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def validate(answer, response):
    content = resolved(response)["content"]
    kind = answer.headers["content-type"]
    assert kind in content, (kind, list(content))
    if kind == "application/jsonl":
        assert all(isinstance(json.loads(line), dict) for line in answer.body.splitlines())
        return
    schema = {**content[kind]["schema"], "components": DESCRIPTION["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer.json)
    for name, header in resolved(response).get("headers", {}).items():
        jsonschema.Draft202012Validator(header["schema"]).validate(answer.headers[name.lower()])


@pytest.fixture
def apis(gateway, tmp_path):
    """The gateway under the API, its socket that only reads, and one whose policy is a file."""
    gateway.config.update(policy={"state": "state"}, control={"socket": "control.sock", "read-only-socket": "look.sock",
                                                              "body-max": 4096})
    gateway.start()
    api = Api(gateway)
    api.put("/v1/policy", {"policies": {"two": {"allow": ["a.example"]}, "spare": "deny-all"},
                           "sandboxes": [ENTRY, {"vlan": 102, "policy": {"by-address": ["a.example:22/tcp"]}}]})
    return {"": api, "look": Api(gateway, "look.sock")}


def test_every_status_comes_as_described(apis):
    missing = []
    # what removes or adds something last
    order = sorted(described(), key=lambda entry: (entry[0] == "delete" and entry[2] == 200, entry[2] == 201, entry[:3]))
    for method, path, status, response in order:
        if (method, path, status) not in CALLS:
            if status not in ELSEWHERE:
                missing.append((method, path, status))
            continue
        where, *call = CALLS[method, path, status]
        if where == "file":
            continue
        answer = apis[where](method.upper(), *call)
        assert answer.status == status, (method, path, status, answer.status, answer.body)
        validate(answer, response)
    assert not missing, missing


def test_every_push_is_refused_as_described_where_a_file_is_in_charge(gateway):
    gateway.start()
    api = Api(gateway)
    for method, path, status, response in described():
        where, *call = CALLS.get((method, path, status), ("",))
        if where == "file":
            answer = api(method.upper(), *call)
            assert (answer.status, answer.json["type"]) == (409, "tag:sluice,2026:policy-from-file"), (method, path)
            validate(answer, response)


def test_no_path_or_method_is_there_that_is_not_described(apis):
    for path, item in DESCRIPTION["paths"].items():
        answer = apis[""]("OPTIONS", path.replace("{id}", "101"))
        assert answer.status == 405
        assert set(answer.headers["allow"].lower().split(", ")) == METHODS & set(item), path
    source = (ROOT / "control/api/calls.c").read_text()
    table = {line.split('"')[3].replace("*", "{id}") for line in source.splitlines() if line.startswith('        {"')}
    assert table == set(DESCRIPTION["paths"])
