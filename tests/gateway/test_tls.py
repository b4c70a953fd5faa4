# SPDX-License-Identifier: Apache-2.0
"""The control API by TCP: TLS with certificates on both sides, and clients that push their own VLANs alone."""

import json
import os
import socket
import subprocess

import pytest

from conftest import PATIENCE, binary
from test_api import Answer, Api

WHOLE = {"sandboxes": [{"vlan": 101}, {"vlan": 300, "name": "other", "policy": "deny-all"}]}


def openssl(directory, *args):
    subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)


def authority(directory, name):
    openssl(directory, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")


def certificate(directory, name, subject, ca="ca", use="clientAuth", days="1"):
    (directory / f"{name}.ext").write_text(f"extendedKeyUsage={use}\nsubjectAltName=IP:127.0.0.1,IP:::1\n")
    openssl(directory, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
            "-keyout", f"{name}.key", "-out", f"{name}.csr")
    openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
            "-CAcreateserial", "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.pem")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """Certificates, right and wrong ones."""
    directory = tmp_path_factory.mktemp("papers")
    authority(directory, "ca")
    authority(directory, "stranger")
    certificate(directory, "server", "/CN=gateway", use="serverAuth")
    certificate(directory, "rack", "/CN=rack-7")
    certificate(directory, "admin", "/O=Example/CN=admin")
    certificate(directory, "unnamed", "/CN=nobody")
    certificate(directory, "forged", "/CN=rack-7", ca="stranger")
    certificate(directory, "expired", "/CN=rack-7", days="-1")
    certificate(directory, "misused", "/CN=rack-7", use="serverAuth")
    certificate(directory, "quoted", '/CN=a","x":"b\\\\')
    return directory


class TlsApi(Api):
    def __init__(self, gateway, papers, port, name):
        super().__init__(gateway)
        self.where = (f"https://127.0.0.1:{port}", "--cacert", papers / "ca.pem")
        if name:
            self.where += ("--cert", papers / f"{name}.pem", "--key", papers / f"{name}.key")

    def __call__(self, method, path, body=None, *args):
        url, *options = self.where
        data = ("--data-binary", "@-", "-H", "Content-Type: application/json") if body is not None else ()
        done = subprocess.run(["curl", "-sS", "-i", "--max-time", str(PATIENCE), *options, "-X", method, *data, *args,
                               url + path], input="" if body is None else json.dumps(body), text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, (done.stderr, self.gateway.said())
        return Answer(done.stdout)


@pytest.fixture
def port(gateway, papers):
    gateway.config["policy"] = {"state": "state"}
    number = free_port()
    gateway.config["control"]["tls"] = {
        "listen": f"127.0.0.1:{number}", "client-ca": str(papers / "ca.pem"), "cert": str(papers / "server.pem"),
        "key": str(papers / "server.key"), "clients": {"CN=rack-7": "101-200", "CN=admin,O=Example": "1-4094"}}
    return number


@pytest.mark.parametrize("name,why", [
    (None, "no certificate"), ("forged", "NOT trusted"), ("expired", "expired"), ("misused", "purpose")])
def test_wrong_certificate_is_told_why_and_does_nothing(gateway, papers, port, name, why):
    gateway.start()
    api = TlsApi(gateway, papers, port, name)
    for method, path, body in (("PUT", "/v1/sandboxes/101", {}), ("GET", "/v1/policy", None)):
        answer = api(method, path, body)
        assert answer.status == 403 and answer.json["type"] == "tag:sluice,2026:certificate", answer.body
        assert why in answer.json["detail"]
    assert Api(gateway)("GET", "/v1/sandboxes").json["sandboxes"] == []


def test_client_pushes_its_own_vlans_alone(gateway, papers, port):
    gateway.start()
    here, rack = Api(gateway), TlsApi(gateway, papers, port, "rack")
    here.put("/v1/policy", WHOLE)
    assert rack.put("/v1/sandboxes/102", {"name": "mine", "policy": "deny-all"}, 201)["changed"] == 1
    assert rack.put("/v1/sandboxes/mine/policy", "allow-all")["changed"] == 1
    before = here("GET", "/v1/policy").json
    for method, path, body in (("PUT", "/v1/sandboxes/300", {"policy": "allow-all"}),
                               ("PUT", "/v1/sandboxes/201", {}),
                               ("PUT", "/v1/sandboxes/other/policy", "allow-all"),
                               ("PUT", "/v1/sandboxes/other/network", {"allowInternetAccess": True}),
                               ("DELETE", "/v1/sandboxes/other", None),
                               ("PATCH", "/v1/sandboxes", {"set": [{"vlan": 103}], "remove": [300]}),
                               ("PATCH", "/v1/sandboxes", {"set": [{"vlan": 103}, {"vlan": 300}]}),
                               ("PUT", "/v1/policy", {"sandboxes": []}),
                               ("PUT", "/v1/policies/x", {"allow": ["a.example"]}),
                               ("DELETE", "/v1/policies/x", None),
                               ("POST", "/v1/sandboxes/other/cut", {})):
        answer = rack(method, path, body)
        assert answer.status == 403 and answer.json["type"] == "tag:sluice,2026:not-yours", (method, path, answer.body)
    assert here("GET", "/v1/policy").json == before
    assert rack("PATCH", "/v1/sandboxes", {"set": [{"vlan": 103}], "remove": ["mine"]}).json["changed"] == 2
    assert rack("POST", "/v1/sandboxes/103/cut", {}).json == {"flows": 0, "pins": 0}
    assert TlsApi(gateway, papers, port, "admin").put("/v1/sandboxes/other/policy", "allow-all")["changed"] == 1
    told = [event["who"] for event in gateway.all_events if event["event"] == "push" and event["source"] == "api"]
    assert told[1:] == ["CN=rack-7", "CN=rack-7", "CN=rack-7", "CN=admin,O=Example"]
    assert "(CN=rack-7)" in gateway.said()


def test_client_that_no_list_names_only_reads(gateway, papers, port):
    gateway.start()
    unnamed = TlsApi(gateway, papers, port, "unnamed")
    assert unnamed("PUT", "/v1/sandboxes/101", {}).status == 403
    assert unnamed("GET", "/v1/sandboxes").status == 200


def test_every_trusted_client_pushes_where_no_list_is(gateway, papers, port):
    del gateway.config["control"]["tls"]["clients"]
    gateway.config["control"]["socket"] = ""
    gateway.start()
    api = TlsApi(gateway, papers, port, "quoted")
    assert api.put("/v1/policy", WHOLE)["changed"] == 2
    (who,) = [event["who"] for event in gateway.all_events if event["event"] == "push" and event["source"] == "api"]
    assert who.startswith("CN=a") and '"' not in who and "\\" not in who


def test_plain_http_and_old_tls_are_not_answered(gateway, papers, port):
    gateway.start()
    for options in ((f"http://127.0.0.1:{port}/v1/policy",),
                    ("--tls-max", "1.1", "--cacert", papers / "ca.pem", "--cert", papers / "rack.pem", "--key",
                     papers / "rack.key", f"https://127.0.0.1:{port}/v1/policy")):
        assert subprocess.run(["curl", "-sS", "--max-time", str(PATIENCE), *options], capture_output=True,
                              check=False).returncode != 0
    assert TlsApi(gateway, papers, port, "rack")("GET", "/v1/health").status == 200


def test_words_go_by_url(gateway, papers, port):
    gateway.start()

    def word(*args, name="rack"):
        return subprocess.run([binary(), *args, "--url", f"https://127.0.0.1:{port}", "--ca", papers / "ca.pem",
                               "--cert", papers / f"{name}.pem", "--key", papers / f"{name}.key"],
                              capture_output=True, text=True, check=False,
                              env={**os.environ, "SLUICE_SOCKET": "/nowhere"})

    assert word("set", "101", "allow-all").returncode == 0
    assert "allow-all" in word("ls").stdout
    refused = word("set", "300", "allow-all")
    assert refused.returncode == 1 and "control.tls.clients" in refused.stderr
    forged = word("ls", name="forged")
    assert forged.returncode == 1 and "NOT trusted" in forged.stderr
    plain = subprocess.run([binary(), "ls", "--url", f"http://127.0.0.1:{port}"], capture_output=True, text=True,
                           check=False)
    assert plain.returncode == 3 and f"http://127.0.0.1:{port}" in plain.stderr


@pytest.mark.parametrize("key,value,said", [
    ("cert", "nothing.pem", "nothing.pem cannot be read"), ("key", "rack.key", "cert and key are no pair"),
    ("client-ca", "server.key", "client-ca holds no certificate")])
def test_wrong_file_is_an_error_at_the_start(gateway, papers, port, key, value, said):
    gateway.config["control"]["tls"][key] = str(papers / value)
    gateway.start(wait=False)
    assert gateway.process.wait(PATIENCE) == 1
    assert "control.tls: " in gateway.said() and said in gateway.said()


def test_port_in_use_is_an_error_at_the_start(gateway, port):
    with socket.create_server(("127.0.0.1", port)):
        gateway.start(wait=False)
        assert gateway.process.wait(PATIENCE) == 1
    assert f"nobody can connect to 127.0.0.1 port {port}: Address already in use" in gateway.said()
