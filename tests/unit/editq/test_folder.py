"""One service per data folder, told apart from what a killed run left there."""

import base64
import json
import os
import stat
import subprocess
import sys

import pytest

from editq.embedded import _environment
from editq.folder import AlreadyRunning, DataFolder
from editq.processes import spawn, stop


@pytest.fixture
def folder(tmp_path):
    return DataFolder(tmp_path / "a folder")


def test_one_holder_at_a_time(folder):
    with folder.held():
        folder.write(address="http://127.0.0.1:1", pids={})
        with pytest.raises(AlreadyRunning, match=r"already running at http://127\.0\.0\.1:1"), folder.held():
            pass
        assert folder.running_address() == "http://127.0.0.1:1"
    assert not folder.busy()
    assert folder.running_address() is None
    with folder.held():
        assert folder.busy()


def test_no_service_has_ever_run_there(folder):
    assert folder.running_address() is None
    assert folder.read() == {}


def test_one_that_is_starting_is_waited_for(folder):
    with folder.held():
        folder.write(address=None, pids={})
        with pytest.raises(AlreadyRunning, match="starting"):
            folder.running_address(wait_s=0.3)


@pytest.mark.thorough
def test_a_killed_run_does_not_block_the_next(folder, tmp_path):
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom editq.folder import DataFolder\n"
        "folder = DataFolder(Path(sys.argv[1]))\n"
        "with folder.held():\n"
        "    folder.write(address='http://127.0.0.1:1', pids={'api': int(sys.argv[2])})\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    left = spawn(
        "left",
        (sys.executable, "-c", "import time; time.sleep(600)"),
        env=dict(os.environ),
        log=tmp_path / "log",
    )
    subprocess.run([sys.executable, "-c", script, str(folder.path), str(left.process.pid)], check=False)
    assert folder.read()["address"] == "http://127.0.0.1:1"
    assert folder.running_address() is None
    with folder.held():
        folder.end_leftovers()
        assert not left.running
        assert folder.read() == {}
    stop([left], grace_s=0)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"processes": {"api": {"pid": "1"}}}'])
def test_a_damaged_state_file_blocks_nothing(folder, content):
    folder.path.mkdir()
    (folder.path / "service.json").write_text(content)
    with folder.held():
        folder.end_leftovers()


def test_the_state_names_processes_unmistakably(folder):
    with folder.held():
        folder.write(address=None, pids={"me": os.getpid()})
        state = json.loads((folder.path / "service.json").read_text())
    assert state["processes"]["me"]["pid"] == os.getpid()
    assert state["processes"]["me"]["started"].isdecimal()


def test_the_environment_chooses_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert DataFolder.chosen({}).path == tmp_path / ".editq"
    assert DataFolder.chosen({"EDITQ_DATA_DIR": ""}).path == tmp_path / ".editq"
    assert DataFolder.chosen({"EDITQ_DATA_DIR": "x"}).path == tmp_path / "x"


def rights(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_its_owners_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = os.umask(0)
    try:
        for environ in ({}, {"EDITQ_DATA_DIR": str(tmp_path / "deep" / "own")}):
            folder = DataFolder.chosen(environ)
            with folder.held():
                assert rights(folder.path) == 0o700
    finally:
        os.umask(before)


def test_only_a_folder_of_our_own_is_closed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours, theirs = DataFolder.chosen({}), DataFolder.chosen({"EDITQ_DATA_DIR": "theirs"})
    for folder in (ours, theirs):
        folder.path.mkdir()
        folder.path.chmod(0o755)
        with folder.held():
            assert rights(folder.path) == 0o755  # not known to be ours: there was no lock file in it
    for folder, left in ((ours, 0o700), (theirs, 0o755)):
        with folder.held():
            assert rights(folder.path) == left


def test_the_secret_of_webhooks_is_made_once_for_its_owner_alone(folder):
    with folder.held():
        secret = folder.webhook_secret()
        assert folder.webhook_secret() == secret
    path = folder.path / "webhook_secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


def test_the_service_signs_with_that_secret_unless_it_is_given_one(folder):
    with folder.held():
        ours = _environment(folder, {})
        theirs = _environment(
            folder, {"EDITQ_WEBHOOK_SECRET": "whsec_x", "EDITQ_WEBHOOK_NETWORKS": "10.0.0.0/8"}
        )
    assert ours["EDITQ_WEBHOOK_SECRET"] == folder.webhook_secret()
    assert ours["EDITQ_WEBHOOK_NETWORKS"] == "127.0.0.0/8"
    assert (theirs["EDITQ_WEBHOOK_SECRET"], theirs["EDITQ_WEBHOOK_NETWORKS"]) == ("whsec_x", "10.0.0.0/8")
