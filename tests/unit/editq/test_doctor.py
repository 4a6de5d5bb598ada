"""`editq doctor`, with each part broken on purpose: what it says, and that it says no secret."""

import json
import os
import socket
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner
from on_a_port import on_a_port

from api.app import create_app
from editq import doctor
from editq.cli import main
from storage.memory import memory_stores
from storage.migrate import migrate
from storage.settings import Settings

pytestmark = pytest.mark.thorough
ROOT = Path(__file__).resolve().parents[3]
SECRET = "hunter2hunter2"


@pytest.fixture
def examine(tmp_path, monkeypatch):
    """Findings by what was checked, with these variables set; and the exit status as `status`."""
    for name in [name for name in os.environ if name.startswith("EDITQ_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("EDITQ_DATA_DIR", str(tmp_path / "data"))

    def examine(**variables):
        result = CliRunner().invoke(main, ["doctor", "--json"], env=variables)
        assert "Traceback" not in result.output
        assert SECRET not in result.output
        told = json.loads(result.stdout)
        assert result.exit_code == int(not told["ok"])
        return {each["check"]: each for each in told["findings"]} | {"status": result.exit_code}

    return examine


def test_a_machine_that_has_all_is_well(examine):
    found = examine()
    assert found["status"] == 0
    assert found["database"]["found"].startswith("none yet")
    for check in (
        "Python",
        "packages of worker",
        "device",
        "model cars",
        "object store",
        "broker",
        "settings",
    ):
        assert found[check]["state"] == "ok", found[check]


def test_a_database_that_was_not_migrated_is_told_with_its_cure(examine, tmp_path):
    url = f"sqlite:///{tmp_path / 'old.db'}"
    migrate(url, "0003")
    found = examine(EDITQ_DATABASE_URL=url)
    assert found["status"] == 1
    assert "0003, not 00" in found["database"]["found"]
    assert "workers.release" in found["database"]["mend"]
    migrate(url)
    found = examine(EDITQ_DATABASE_URL=url)
    assert found["database"]["state"] == "ok"
    assert found["models of the library"]["found"] == "there are none"


def test_servers_that_do_not_answer_are_told_and_no_password_is(examine):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"  # bound, and nobody listens
        found = examine(
            EDITQ_REDIS_URL=f"redis://:{SECRET}@{where}/0",
            EDITQ_DATABASE_URL=f"postgresql+psycopg://u:{SECRET}@{where}/x",
        )
    assert found["broker"]["state"] == found["database"]["state"] == "failed"
    assert "EDITQ_REDIS_URL" in found["broker"]["mend"]
    assert "EDITQ_DATABASE_URL" in found["database"]["mend"]
    assert found["object store"]["state"] == "ok"


def test_an_object_store_that_cannot_be_used_is_told(examine, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "objects").write_text("a file where a folder should be")
    found = examine()
    assert found["object store"]["state"] == "failed"
    assert found["database"]["state"] == "ok"


def test_a_package_that_is_missing_keeps_nothing_else_from_being_looked_at(examine, tmp_path):
    for package in ("torch", "alembic"):
        (tmp_path / f"{package}.py").write_text(f"raise ImportError('none', name='{package}')\n")
    found = examine(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert found["device"]["found"] == "the package torch cannot be imported"
    assert found["device"]["mend"] == "install editq[worker]"
    assert found["object store"]["state"] == "ok"
    (tmp_path / "pydantic_settings.py").write_text("raise ImportError('none', name='pydantic_settings')\n")
    found = examine(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert found["settings"]["mend"] == "install editq[server]"
    assert found["model cars"]["state"] == "ok"


def test_a_check_that_dies_is_a_finding(examine, tmp_path):
    (tmp_path / "torch.py").write_text("import os; os._exit(9)\n")
    found = examine(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert found["settings"]["state"] == "ok"
    assert "exit status 9" in found["parts"]["found"]


def test_a_variable_that_nothing_reads_is_told(examine, monkeypatch):
    monkeypatch.setenv("EDITQ_REDDIS_URL", "redis://secret@host")
    found = examine()
    assert found["settings"]["state"] == "warning"
    assert found["settings"]["found"] == "nothing reads EDITQ_REDDIS_URL"


def test_wrong_settings_are_named_and_not_shown(examine):
    found = examine(EDITQ_WEBHOOK_SECRET=SECRET, EDITQ_LEASE_S="soon")
    assert found["settings"]["found"] == "wrong: EDITQ_LEASE_S, EDITQ_WEBHOOK_SECRET"
    assert found["device"]["state"] == "ok"


def test_a_gpu_that_is_asked_for_and_not_there_is_told(examine):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    found = examine(EDITQ_DEVICE="cuda")
    assert found["device"]["state"] == "failed"
    assert "EDITQ_DEVICE=auto" in found["device"]["mend"]


def test_a_damaged_model_is_named(tmp_path):
    from workers.check import _model

    folder = tmp_path / "cars"
    folder.mkdir()
    bundled = ROOT / "gpu_ops" / "pretrained" / "cars"
    files = json.loads((bundled / "model.json").read_text())["files"].values()
    for name in ("model.json", *files):
        (folder / name).write_bytes((bundled / name).read_bytes())
    assert _model(folder, "")["state"] == "ok"
    (folder / "judge.safetensors").write_bytes((bundled / "judge.safetensors").read_bytes()[:-10])
    assert _model(folder, "")["found"] == "judge.safetensors is damaged"
    (folder / "judge.safetensors").unlink()
    assert _model(folder, "")["found"] == "judge.safetensors is missing"


def test_a_full_disk_and_a_taken_port_are_told(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    for free, state in ((1 << 20, "failed"), (1 << 30, "warning"), (1 << 40, "ok")):
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path, free=free: usage(0, 0, free))
        assert doctor.disk(tmp_path / "not" / "there").state == state
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environ = {"EDITQ_PORT": str(taken.getsockname()[1])}
        assert doctor.port(environ, running=False).state == "warning"
        assert doctor.port(environ, running=True).state == "ok"


def test_versions_are_held_against_what_is_asked_for(monkeypatch):
    def said(requirement, there):
        monkeypatch.setattr(doctor.metadata, "version", lambda name: there)
        return doctor._wrong(doctor._REQUIREMENT.match(requirement))

    assert said('torch==2.13.0; extra == "worker"', "2.13.0+cpu") is None
    assert said("click<9,>=8.1", "8.1") is None
    assert said("click<9,>=8.1", "9.0.1") == "click is 9.0.1, wanted is <9,>=8.1"
    assert said('kombu<5.8,>=5.7; extra == "server"', "5.6.9").startswith("kombu is 5.6.9")
    assert doctor._REQUIREMENT.match('psycopg[binary]<4,>=3.2; extra == "server"')["extra"] == "server"


def test_a_service_is_asked_what_it_lacks():
    app = create_app(Settings(), memory_stores(), lambda queue, job_id: None)  # it has no model, no worker
    with on_a_port(app) as address:
        asked = address.replace("//", f"//u:{SECRET}@")
        found = {each.check: each for each in doctor.service(asked)}
    assert found["service"].state == "ok"
    assert found["service: models"].state == found["service: workers"].state == "failed"
    assert SECRET not in str(found)
    (gone,) = doctor.service(address)
    assert (gone.state, gone.mend) == ("failed", "look whether it runs there, and at its logs")


def test_an_old_python_is_told(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 1))
    assert doctor.python().state == "failed"
    monkeypatch.undo()
    assert doctor.python().found.startswith(f"{sys.version_info[0]}.")
