"""The units of deploy/systemd: whole, as systemd reads them, and starting what the Procfile starts."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pods import ROOT, built, named

UNITS = ROOT / "deploy" / "systemd"
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
NAMES = {"web": "editq-web.service", "gpu": "editq-gpu@.service", "cpu": "editq-cpu@.service"}


def lines(process: str) -> list[str]:
    return (UNITS / NAMES[process]).read_text().splitlines()


def value(process: str, name: str) -> str:
    (found,) = [line.partition("=")[2] for line in lines(process) if line.startswith(f"{name}=")]
    return found


def test_systemd_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("systemd-analyze is not installed")
    for unit in UNITS.iterdir():
        text = (
            unit.read_text().replace("/opt/editq/.venv/bin/", "/bin/echo ").replace("User=editq", "User=root")
        )
        (tmp_path / unit.name.replace("@", "@1")).write_text(text)
    units = sorted(str(path) for path in tmp_path.iterdir())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("process", NAMES)
def test_a_unit_starts_what_the_procfile_starts(process: str) -> None:
    command = value(process, "ExecStart").removeprefix("/opt/editq/.venv/bin/")
    wanted = re.sub(r'"(gpu|cpu)-\$\$@%h"', r"\1-%i@%%h", PROCFILE[process])
    assert command == wanted


@pytest.mark.parametrize("process", NAMES)
def test_a_unit_waits_as_long_for_an_end_as_the_manifests_do(process: str, tmp_path: Path) -> None:
    pod = named(built("production", tmp_path), "Deployment", process)["spec"]["template"]["spec"]
    assert value(process, "TimeoutStopSec") == str(pod["terminationGracePeriodSeconds"])
    assert value(process, "KillMode") == "mixed"


def test_each_process_has_a_port_of_its_own_for_metrics() -> None:
    ports = [line for process in NAMES for line in lines(process) if "EDITQ_METRICS_PORT" in line]
    assert len(set(ports)) == len(NAMES)
