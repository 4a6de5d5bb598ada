"""docs/backup.md, run: back up, wipe, restore, and everything answers as before."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from test_deploy_processes import picture

from api.app import create_app
from storage.migrate import migrate
from storage.objects import checkpoint_key, output_key
from storage.settings import Settings
from storage.stores import open_stores
from workers.release import register_models

PAGE = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
BLOCKS = dict(re.findall(r"```bash title=\"(.*?)\"\n(.*?)```", PAGE, re.DOTALL))
PRETRAINED = Path(__file__).parents[2] / "gpu_ops" / "pretrained"
JSON = dict[str, Any]


class Site:
    """A service's stores, asked through its API; `environ` is what a shell of its operator has."""

    def __init__(self, environ: dict[str, str], backup: Path) -> None:
        beside = str(Path(sys.executable).parent)
        path = os.pathsep.join([beside, os.environ["PATH"]])
        self.environ = environ | {"BACKUP": str(backup), "PATH": path}
        self.settings = Settings(**{n.removeprefix("EDITQ_").lower(): v for n, v in environ.items()})

    def back_up(self) -> None:
        self._run(f"back up {self.database}", f"back up {self.objects}")

    def restore(self) -> None:
        self._run(f"restore {self.objects}", f"restore {self.database}")

    @property
    def database(self) -> str:
        return "PostgreSQL" if "EDITQ_DATABASE_URL" in self.environ else "SQLite"

    @property
    def objects(self) -> str:
        return "S3" if "EDITQ_S3_BUCKET" in self.environ else "files"

    def _run(self, *titles: str) -> None:
        for title in titles:
            command = ["bash", "-euo", "pipefail", "-c", BLOCKS[title]]
            done = subprocess.run(command, env=self.environ, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr

    def fill(self) -> None:
        migrate(self.settings.database_url)
        stores = open_stores(self.settings)
        register_models(stores, PRETRAINED)
        http = create_app(self.settings, stores, lambda *_: None).test_client()
        posted = http.post("/v1/images", data=picture(), content_type="image/png")
        assert posted.status_code == 201, posted.text
        for seed in range(4):
            assert http.post("/v1/jobs", json={"kind": "sample", "seed": seed}).status_code == 202
        claim = stores.jobs.claim("gpu", "w", lease_s=60)
        assert claim is not None
        key = output_key("local", claim.job.id, 1, "image_000.png")
        stores.jobs.succeed(
            claim, {"image_000.png": stores.objects.put(key, picture(), "image/png")}, {"n": 1}
        )
        under_way = stores.jobs.claim("gpu", "w", lease_s=600)
        assert under_way is not None
        state = checkpoint_key("local", under_way.job.id, 1, 3)
        stores.jobs.checkpointed(under_way, stores.objects.put(state, b"state", "application/octet-stream"))

    def answers(self) -> JSON:
        """Everything that the lists lead to."""
        http = create_app(self.settings, open_stores(self.settings), lambda *_: None).test_client()
        told: JSON = {}
        for what in ("images", "jobs", "models", "vectors"):
            listed = http.get(f"/v1/{what}").get_json()
            told[what] = listed["items"]
            assert told[what]
        for job in told["jobs"]:
            told[job["id"]] = http.get(f"/v1/jobs/{job['id']}").get_json()
            told[f"{job['id']} history"] = http.get(f"/v1/jobs/{job['id']}/history").get_json()
            for name, output in job["outputs"].items():
                told[f"{job['id']} {name}"] = http.get(output["url"]).data
        for image in told["images"]:
            got = http.get(f"/v1/images/{image['id']}/content")
            assert got.status_code == 200, got.text
            told[f"{image['id']} content"] = got.data
        assert sum(isinstance(each, bytes) for each in told.values()) == 2
        return told


@pytest.fixture(params=["SQLite and files", "PostgreSQL and files", "PostgreSQL and S3"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    environ = {"EDITQ_DATA_DIR": str(tmp_path / "data")}
    if "PostgreSQL" in request.param:
        environ["EDITQ_DATABASE_URL"] = request.getfixturevalue("postgres_url")
    if "S3" in request.param:
        server = request.getfixturevalue("rclone_s3")
        environ |= {
            "EDITQ_S3_ENDPOINT": server.endpoint,
            "EDITQ_S3_BUCKET": server.new_bucket(),
            "EDITQ_S3_PREFIX": "some/",
            "EDITQ_S3_PATH_STYLE": "true",
            "EDITQ_S3_ACCESS_KEY": server.access_key,
            "EDITQ_S3_SECRET_KEY": server.secret_key,
        }
    return Site(environ, tmp_path / "backup")


def test_after_a_wipe_and_a_restore_everything_answers_as_before(site: Site) -> None:
    site.fill()
    before = site.answers()
    site.back_up()
    wipe(site)
    site.restore()
    assert site.answers() == before
    goes_on(site)


def test_a_second_backup_has_what_came_since_the_first(tmp_path: Path) -> None:
    site = Site({"EDITQ_DATA_DIR": str(tmp_path / "data")}, tmp_path / "backup")
    site.fill()
    (tmp_path / "data" / "webhook-secret").write_text("kept")
    site.back_up()
    http = create_app(site.settings, open_stores(site.settings), lambda *_: None).test_client()
    assert http.post("/v1/jobs", json={"kind": "sample", "seed": 9}).status_code == 202
    before = site.answers()
    site.back_up()
    wipe(site)
    site.restore()
    assert site.answers() == before
    assert (tmp_path / "data" / "webhook-secret").read_text() == "kept"


def wipe(site: Site) -> None:
    if site.objects == "S3":
        store = open_stores(site.settings).objects
        store.delete(list(store.list("")))
    if site.database == "PostgreSQL":
        url = site.environ["EDITQ_DATABASE_URL"].replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    shutil.rmtree(site.settings.data_dir, ignore_errors=True)


def goes_on(site: Site) -> None:
    """What waited is claimed; what ran is put back when its lease has passed, with its checkpoint."""
    stores = open_stores(site.settings)
    claim = stores.jobs.claim("gpu", "another", lease_s=60)
    assert claim is not None
    assert claim.job.attempt == 1
    (running,) = [job for job in stores.jobs.running() if job.worker == "w"]
    assert running.checkpoint is not None
    assert stores.objects.get(running.checkpoint) == b"state"
