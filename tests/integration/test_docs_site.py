"""The documentation builds as a site, strictly: no page without a place, no link that leads nowhere."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_site_builds_without_a_warning_and_has_what_is_made_from_the_code(tmp_path: Path) -> None:
    mkdocs = Path(sys.executable).parent / "mkdocs"
    command = [mkdocs, "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    http = (tmp_path / "site/reference/http.html").read_text()
    for operation in ("submitJob", "deleteModel", "readyz"):
        assert f'id="{operation}"' in http
    assert "EDITQ_DATABASE_URL" in (tmp_path / "site/configuration.html").read_text()
    assert "submit_batch" in (tmp_path / "site/reference/client.html").read_text()
    assert "--grow" in (tmp_path / "site/reference/cli.html").read_text()
