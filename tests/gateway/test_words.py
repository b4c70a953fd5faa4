# SPDX-License-Identifier: Apache-2.0
"""The command's words (spec-control section 3), as an operator types them, against a gateway that runs."""

import json
import re
import socket
import subprocess
import threading

import pytest
import yaml

from conftest import PATIENCE, ROOT, binary, frame


@pytest.fixture
def words(gateway):
    gateway.config["policy"] = {"state": "state"}
    gateway.start()

    def run(*args, stdin="", code=0, **environment):
        done = subprocess.run([binary(), *args], input=stdin, capture_output=True, text=True, check=False,
                              cwd=gateway.directory, env={"SLUICE_SOCKET": "control.sock", "PATH": "/usr/bin:/bin",
                                                          **environment})
        assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        return done.stdout if code in (0, 1) and not done.stderr else done.stderr

    return run


def listing():
    help_text = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  (\w+) ", help_text.split("of a gateway that runs")[1], re.M)


def test_day_with_a_sandbox(words):
    assert words("ls").split() == ["VLAN", "NAME", "MODE", "ALLOWED", "DENIED"]
    assert words("set", "103", "allow-all") == "generation 2, 1 changed\n"
    assert words("set", "103", "-", stdin="allow:\n  - registry.npmjs.org\nsubnets: {deny: [198.51.100.0/24]}\n") == \
        "generation 3, 1 changed\n"
    shown = yaml.safe_load(words("get", "103"))
    assert shown["effective"] == {"allow": ["registry.npmjs.org"], "subnets": {"deny": ["198.51.100.0/24"]}}
    assert re.search(r"^ 103 .* custom +0 +0$", words("ls"), re.M)
    assert json.loads(words("ls", "-o", "json"))[0]["vlan"] == 103
    # a new one by a file of its own, and its policy alone
    assert words("set", "104", "-", stdin='{"allow": ["a.example"]}') == "generation 4, 1 changed\n"
    assert words("set", "104", "deny-all") == "generation 5, 1 changed\n"
    assert words("rm", "103") == "generation 6, 1 changed\n"
    # a name may be any text
    words("apply", "-", stdin='sandboxes: [{vlan: 7, name: "a b?c#d"}]')
    assert yaml.safe_load(words("get", "a b?c#d"))["vlan"] == 7
    assert words("set", "a b?c#d", "deny-all") == "generation 8, 1 changed\n"
    assert words("rm", "103", code=1) == "sluice: there is no such sandbox\n"
    assert "there is no such sandbox" in words("get", "103", code=1)


def test_document_goes_round(words, gateway):
    gateway.path("new.yaml").write_text("policies:\n  npm: {allow: [registry.npmjs.org]}\n"
                                        "sandboxes:\n  - {vlan: 101, name: one, policy: npm}\n  - {vlan: 102}\n")
    changed = words("diff", "new.yaml", code=1)
    assert changed == ("policy npm\n+ allow:\n+ - \"registry.npmjs.org\"\n" if changed.startswith("policy") else changed)
    assert "sandbox 101\n" in changed and '+ name: "one"\n' in changed and "- " not in changed.replace('+ - "', "")
    assert words("apply", "new.yaml", "--dry-run") == changed
    assert words("apply", "new.yaml") == "generation 2, 2 changed\n"
    assert words("diff", "new.yaml") == ""
    document = words("get", "policy")
    assert yaml.safe_load(document)["policies"] == {"npm": {"allow": ["registry.npmjs.org"]}}
    assert words("apply", "-", stdin=document) == "generation 2, 0 changed\n"
    assert yaml.safe_load(words("policies")) == {"policies": {"npm": {"allow": ["registry.npmjs.org"]}}}
    gateway.path("new.yaml").write_text("sandboxes:\n  - {vlan: 102, policy: deny-all}\n")
    changed = words("diff", "new.yaml", code=1)
    assert '- policy: "allow-all"\n+ policy: "deny-all"\n' in changed and "sandbox 101\n" in changed


def test_mistakes_are_told_at_their_place_in_the_file(words, gateway):
    gateway.path("bad.yaml").write_text("sandboxes:\n  - {vlan: 0}\n  - {vlan: 7, policy: {allow: [x..y]}}\n")
    said = words("apply", "bad.yaml", code=1)
    assert re.findall(r"^bad.yaml:(\d+):(\d+): ", said, re.M) == [("2", "12"), ("3", "32")]
    assert "bad.yaml:2:12" in words("diff", "bad.yaml", code=1)
    assert "no-such.yaml: No such file" in words("apply", "no-such.yaml", code=1)
    gateway.path("broken.yaml").write_text("sandboxes: [\n")
    assert words("apply", "broken.yaml", code=1).startswith("broken.yaml:2:1: ")


def test_status_and_health(words):
    status = words("status")
    assert re.search(r"^version +\S+\npolicy +by the API, kept in state\ngeneration +1\n", status)
    assert len(re.findall(r"^port +(sandbox|uplink): net_pcap\d,", status, re.M)) == 2
    assert json.loads(words("status", "-o", "json"))["workers"] == 1
    assert words("health") == "ok\n"


def test_what_is_open_is_listed_and_cut(gateway):
    gateway.policy("sandboxes: [{vlan: 101, name: one}]")
    gateway.incoming["sandbox"] = [frame(101, 1000 + n) for n in range(1500)]
    gateway.start()

    def run(*args):
        done = subprocess.run([binary(), *args, "--socket", "control.sock"], capture_output=True, text=True, check=True,
                              cwd=gateway.directory)
        return done.stdout

    while len(flows := run("flows").splitlines()) < 1500:
        assert gateway.process.poll() is None
    assert re.fullmatch(r" 101  udp   10\.0\.0\.2 \d+ -> 192\.0\.2\.1 2000  allow-all    \d+s", flows[0]), flows[0]
    assert len(json.loads(run("flows", "one", "-o", "json"))) == 1500
    assert run("pins", "one") == ""
    assert run("cut", "one") == "1500 flows cut\n"
    assert run("flows", "one") == ""


def test_events_are_listed_and_followed(gateway):
    gateway.policy("sandboxes: [{vlan: 101}, {vlan: 102, policy: deny-all}]")
    gateway.incoming["sandbox"] = [frame(101), frame(102)]
    gateway.start()
    gateway.await_events(2)

    def command(*args):
        return [binary(), "events", *args, "--socket", "control.sock"]

    shown = subprocess.run(command(), capture_output=True, text=True, check=True, cwd=gateway.directory).stdout
    time = r"\d\d:\d\d:\d\d  "
    for line in (r" 101  allow allow-all        udp   10\.0\.0\.2 1000 -> 192\.0\.2\.1 2000  ",
                 r" 102  deny  deny-all         udp   10\.0\.0\.2 1000 -> 192\.0\.2\.1 2000  ",
                 r"push  generation 1, 2 changed, by file ", "start"):
        assert re.search(f"^{time}{line}$", shown, re.M), shown
    follower = subprocess.Popen(command("-f", "-o", "json"), stdout=subprocess.PIPE, text=True, cwd=gateway.directory)
    seen = [json.loads(follower.stdout.readline()) for _ in gateway.all_events]
    assert seen == gateway.all_events
    gateway.end()
    assert json.loads(follower.stdout.readline())["event"] == "stop"
    assert follower.wait(timeout=PATIENCE) == 0


def test_name_that_a_sandbox_chose_does_not_reach_the_terminal(words, gateway):
    """Words print what came from a gateway; here the socket's other end is the test, so that any name comes."""
    line = json.dumps({"ts": "2026-01-02T03:04:05.000000Z", "event": "flow", "vlan": 7, "verdict": "deny",
                       "reason": "malformed", "proto": "tcp", "src": "a", "sport": 1, "dst": "b", "dport": 2,
                       "name": "x\x1b[2J\u009b\ny"}) + "\n"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(gateway.path("other.sock")))
        server.listen()

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + line.encode())

        thread = threading.Thread(target=answer)
        thread.start()
        assert words("events", "--socket", "other.sock") == "03:04:05     7  deny  malformed        tcp   a 1 -> b 2  x?[2J???y\n"
        thread.join()


def test_exit_codes_tell_what_happened(words):
    assert "no gateway answers on nowhere.sock" in words("ls", "--socket", "nowhere.sock", code=3)
    assert words("ls", "too", "many", code=2).startswith("usage: sluice ls")
    assert words("get", code=2).startswith("usage: sluice get")
    assert words("ls", "-o", "xml", code=2)
    assert words("ls", "--dry-run", code=2)
    assert "there is no command" in words("lss", code=2)


def test_policy_of_a_file_is_shown_and_compared(gateway):
    gateway.start()
    gateway.path("other.yaml").write_text("sandboxes: [{vlan: 101, policy: deny-all}]\n")

    def run(*args):
        return subprocess.run([binary(), *args, "--socket", "control.sock"], capture_output=True, text=True, check=False,
                              cwd=gateway.directory)

    assert "from the file" in run("status").stdout
    assert run("diff", "other.yaml").returncode == 1
    refused = run("set", "101", "deny-all")
    assert refused.returncode == 1 and "write it there" in refused.stderr


def test_one_table_makes_help_manual_page_and_completion(tmp_path):
    names = listing()
    assert {"status", "ls", "get", "set", "rm", "apply", "diff", "health", "completion"} <= set(names)
    page = subprocess.run([binary(), "completion", "man"], capture_output=True, text=True, check=True).stdout
    assert page in (ROOT / "config/sluice.8").read_text()
    for name in names:
        usage = subprocess.run([binary(), name, "--help"], capture_output=True, text=True, check=True).stdout
        assert usage.startswith(f"usage: sluice {name} ")
    script = tmp_path / "completion"
    script.write_text(subprocess.run([binary(), "completion", "bash"], capture_output=True, text=True, check=True).stdout)
    done = subprocess.run(["bash", "-c", f"source {script}; COMP_WORDS=(sluice he); COMP_CWORD=1; _sluice; "
                           "echo ${COMPREPLY[@]}"], capture_output=True, text=True, check=True)
    assert done.stdout == "health\n"


def test_program_of_the_readme_pushes(gateway):
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(program.splitlines()) < 30 and program.count("/run/sluice/control.sock") == 1
    program = program.replace("/run/sluice/control.sock", "control.sock")
    gateway.config["policy"] = {"state": "state"}
    gateway.start()

    def run(text):
        return subprocess.run(["/usr/bin/python3", "-c", text], capture_output=True, text=True, check=False,
                              cwd=gateway.directory)

    assert re.fullmatch(r"generation 2 is in force and durable, as [0-9a-f]{64}\n", run(program).stdout)
    refused = run(program.replace('"policy"', '"polcy"'))
    assert refused.returncode == 1 and "did you mean policy?" in refused.stderr
