"""API keys through the command beside the service, the client and `editq keys`, over a real database."""

import json
import logging
import os
import pwd
import socket
import stat
import subprocess
import sys
import types

import httpx
import pytest
from click.testing import CliRunner

from api.app import create_app
from editq import Client, cli_service
from editq.cli import _welcome as welcome
from editq.cli import main
from editq.folder import DataFolder
from storage import errors
from storage.key_records import Scope
from storage.log import JsonLines
from storage.memory import memory_stores
from storage.migrate import migrate
from storage.settings import Settings
from storage.stores import open_stores
from workers.audit import actor
from workers.keys import main as beside
from workers.limits import main as beside_limits

pytestmark = pytest.mark.thorough


@pytest.fixture
def stores():
    return memory_stores()


@pytest.fixture
def wire(stores):
    return httpx.WSGITransport(create_app(Settings(keys_required=True), stores, lambda queue, job_id: None))


@pytest.fixture
def admin(stores):
    return stores.keys.create("acme", "admin", Scope.ADMIN)[1].text


@pytest.fixture
def editq(monkeypatch, wire):
    """`editq ...` with the service in this process."""
    monkeypatch.setattr(
        cli_service, "Client", lambda address, key: Client("http://127.0.0.1", key=key, transport=wire)
    )
    monkeypatch.delenv("EDITQ_KEY", raising=False)
    return lambda *words, **env: CliRunner().invoke(main, [*words, "--url", "http://127.0.0.1"], env=env)


def test_the_client_takes_a_key_or_that_of_the_environment(wire, admin, monkeypatch):
    monkeypatch.delenv("EDITQ_KEY", raising=False)
    with Client("http://127.0.0.1", transport=wire) as client, pytest.raises(errors.KeyMissing):
        client.models()
    with Client("http://127.0.0.1", key=admin, transport=wire) as client:
        made = client.create_key("laptop", "read", lasts_s=60)
        assert [key["id"] for key in client.list_keys(prefix=made["prefix"])] == [made["id"]]
        assert client.rotate_key(made["id"], grace_s=0)["name"] == "laptop"
    monkeypatch.setenv("EDITQ_KEY", made["key"])
    with Client("http://127.0.0.1", transport=wire) as client, pytest.raises(errors.KeyExpired):
        client.models()


def test_editq_keys_creates_lists_rotates_and_revokes(editq, admin, tmp_path):
    made = editq("keys", "create", "laptop", "--scope", "read", "--days", "2", EDITQ_KEY=admin)
    assert (made.exit_code, made.output[:6]) == (0, "editq_")
    path = tmp_path / "key"
    path.write_text(f"{admin}\n")
    listed = editq("keys", "list", "--key-file", str(path))
    assert "laptop" in listed.output
    assert made.output.strip()[-43:] not in listed.output
    key_id = next(line.split()[0] for line in listed.output.splitlines() if "laptop" in line)
    assert editq("keys", "rotate", key_id, "--grace-hours", "1", EDITQ_KEY=admin).exit_code == 0
    assert "revoked" in editq("keys", "revoke", key_id, EDITQ_KEY=admin).output
    assert "revoked" in editq("keys", "list", EDITQ_KEY=admin).output
    refused = editq("jobs", "list", EDITQ_KEY=made.output)
    assert (refused.exit_code, "revoked" in refused.output) == (1, True)


def test_without_a_key_a_command_says_so(editq):
    refused = editq("jobs", "list", "--json")
    assert refused.exit_code == 1
    assert '"key_missing"' in refused.output


def test_the_first_key_is_made_beside_the_service_and_shown_once(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'editq.db'}"
    migrate(url)
    monkeypatch.setenv("EDITQ_DATABASE_URL", url)
    runner, to = CliRunner(), tmp_path / "key"
    made = runner.invoke(beside, ["create", "--tenant", "acme", "--scope", "admin"])
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert (
        runner.invoke(beside, ["create", "--tenant", "acme", "--scope", "read", "--to", str(to)]).stdout == ""
    )
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    listed = runner.invoke(beside, ["list", "--tenant", "acme"]).stdout
    assert secret[-43:] not in listed
    assert [line.split()[2:4] for line in listed.splitlines()] == [["read", "holds"], ["admin", "holds"]]
    prefix = secret.split("_")[1]
    stored = open_stores(Settings()).keys.stored(prefix)
    assert stored is not None
    assert stored.key.scope is Scope.ADMIN
    assert secret.split("_", 2)[2].encode() not in (tmp_path / "editq.db").read_bytes()
    runner.invoke(beside, ["revoke", "--tenant", "acme", stored.key.id])
    assert "revoked" in runner.invoke(beside, ["list", "--tenant", "acme"]).stdout
    wrong = runner.invoke(beside, ["create", "--tenant", "../x", "--scope", "admin"])
    assert isinstance(wrong.exception, errors.InvalidInput)


@pytest.mark.parametrize("keys", [True, False])
def test_what_a_new_service_says_to_type_brings_its_key(tmp_path, keys):
    """As a shell would run it, and never the key itself."""
    folder = DataFolder(tmp_path / "data folder")
    folder.path.mkdir()
    (folder.path / "key").write_text("editq_prefix_secret\n")
    env = {"EDITQ_HOST": "127.0.0.1"} | ({"EDITQ_KEYS_REQUIRED": "true"} if keys else {})
    service = types.SimpleNamespace(folder=folder, env=env, address="http://127.0.0.1:1")
    said = welcome(service)
    assert "editq_prefix_secret" not in said
    lines = [line.strip() for line in said.splitlines() if line.strip().startswith("curl")]
    assert len(lines) == 2
    for line in lines:
        shell = f"curl() {{ printf '%s\\n' \"$@\"; }}; {line}"
        words = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout
        assert ("Authorization: Bearer editq_prefix_secret" in words.splitlines()) is keys


def test_what_the_commands_beside_the_service_change_is_in_the_audit_log(tmp_path, monkeypatch, caplog):
    url = f"sqlite:///{tmp_path / 'editq.db'}"
    migrate(url)
    monkeypatch.setenv("EDITQ_DATABASE_URL", url)
    runner = CliRunner()
    with caplog.at_level(logging.INFO, "editq.audit"):
        made = runner.invoke(beside, ["create", "--tenant", "acme", "--scope", "admin"])
        key_id = made.stderr.split(":")[0]
        runner.invoke(beside, ["list", "--tenant", "acme"])
        assert runner.invoke(beside, ["revoke", "--tenant", "acme", key_id]).exit_code == 0
        assert runner.invoke(beside_limits, ["set", "--tenant", "acme", "jobs_running", "4"]).exit_code == 0
        assert runner.invoke(beside_limits, ["unset", "--tenant", "acme", "jobs_running"]).exit_code == 0
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert [(line["action"], line["object"]) for line in lines] == [
        ("keys.create_key", f"/v1/keys/{key_id}"),
        ("keys.revoke_key", f"/v1/keys/{key_id}"),
        ("limits.set", "jobs_running = 4"),
        ("limits.unset", "jobs_running"),
    ]
    assert {(line["actor"], line["tenant_id"]) for line in lines} == {(actor(), "acme")}
    assert pwd.getpwuid(os.getuid()).pw_name in actor()
    assert made.stdout.strip()[-43:] not in json.dumps(lines)


def test_audit_lines_of_a_command_reach_the_system_log_and_standard_error(tmp_path):
    migrate(f"sqlite:///{tmp_path / 'editq.db'}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system_log:
        system_log.bind(str(tmp_path / "log"))
        system_log.settimeout(10)
        script = (
            "import sys; from pathlib import Path; from storage.settings import Settings;"
            "from workers.audit import keep_audit; from workers.limits import main;"
            "keep_audit(Settings(), Path(sys.argv.pop(1))); main()"
        )
        asked = ("set", "--tenant", "acme", "jobs_running", "4")
        env = os.environ | {"EDITQ_DATABASE_URL": f"sqlite:///{tmp_path / 'editq.db'}"}
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "log"), *asked],
            env=env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        told = system_log.recv(4096).decode().rstrip("\0")
    head, _, line = told.partition("editq: ")
    assert head == f"<{4 * 8 + 6}>"  # of the facility auth, for information
    for each in (line, done.stderr):
        assert json.loads(each)["object"] == "jobs_running = 4"
