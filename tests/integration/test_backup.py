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
from servers import ServerMissing, program
from test_deploy_processes import picture

from api.app import create_app
from storage.migrate import migrate
from storage.objects import checkpoint_key, output_key
from storage.settings import Settings
from storage.stores import open_stores
from workers.release import register_models

PAGE = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
BLOCK = re.compile(r"```bash title=\"(back up|restore)\"\n(.*?)```", re.DOTALL)
PRETRAINED = Path(__file__).parents[2] / "gpu_ops" / "pretrained"
JSON = dict[str, Any]


def blocks(heading: str) -> dict[str, str]:
    (section,) = [part for part in PAGE.split("\n## ") if part.startswith(heading)]
    return dict(BLOCK.findall(section))


class Site:
    """A service's stores, asked through its API; `environ` is what a shell of its operator has."""

    def __init__(self, environ: dict[str, str], backup: Path) -> None:
        beside = str(Path(sys.executable).parent)
        path = os.pathsep.join([beside, os.environ["PATH"]])
        self.environ = environ | {"BACKUP": str(backup), "PATH": path}
        self.settings = Settings(**{n.removeprefix("EDITQ_").lower(): v for n, v in environ.items()})

    def run(self, script: str) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], env=self.environ, capture_output=True, text=True
        )
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


def test_an_embedded_service_answers_after_a_restore_as_before(tmp_path: Path) -> None:
    data = tmp_path / "data"
    site = Site({"EDITQ_DATA_DIR": str(data)}, tmp_path / "backup")
    site.fill()
    (data / "webhook-secret").write_text("kept")
    before, scripts = site.answers(), blocks("Of `editq up`")
    site.run(scripts["back up"])
    shutil.rmtree(data)
    site.run(scripts["restore"])
    assert site.answers() == before
    assert (data / "webhook-secret").read_text() == "kept"
    goes_on(site)


def test_a_second_backup_has_what_came_since_the_first(tmp_path: Path) -> None:
    data = tmp_path / "data"
    site = Site({"EDITQ_DATA_DIR": str(data)}, tmp_path / "backup")
    scripts = blocks("Of `editq up`")
    site.fill()
    site.run(scripts["back up"])
    http = create_app(site.settings, open_stores(site.settings), lambda *_: None).test_client()
    assert http.post("/v1/jobs", json={"kind": "sample", "seed": 9}).status_code == 202
    before = site.answers()
    site.run(scripts["back up"])
    shutil.rmtree(data)
    site.run(scripts["restore"])
    assert site.answers() == before


def test_a_service_on_servers_answers_after_a_restore_as_before(
    postgres_url: str, rclone_s3: Any, tmp_path: Path
) -> None:
    try:
        program("pg_dump", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))
    except ServerMissing as error:
        pytest.skip(str(error))
    bucket = rclone_s3.new_bucket()
    environ = {
        "EDITQ_DATA_DIR": str(tmp_path / "data"),
        "EDITQ_DATABASE_URL": postgres_url,
        "EDITQ_S3_ENDPOINT": rclone_s3.endpoint,
        "EDITQ_S3_BUCKET": bucket,
        "EDITQ_S3_PREFIX": "some/",
        "EDITQ_S3_PATH_STYLE": "true",
        "EDITQ_S3_ACCESS_KEY": rclone_s3.access_key,
        "EDITQ_S3_SECRET_KEY": rclone_s3.secret_key,
    }
    site = Site(environ, tmp_path / "backup")
    site.fill()
    before, scripts = site.answers(), blocks("Of servers")
    site.run(scripts["back up"])
    wipe(postgres_url, rclone_s3, bucket)
    site.run(scripts["restore"])
    assert site.answers() == before
    goes_on(site)


def wipe(url: str, server: Any, bucket: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    client = server.client()
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]]
    for key in keys:
        client.delete_object(Bucket=bucket, Key=key)


def goes_on(site: Site) -> None:
    """What waited is claimed; what ran is put back when its lease has passed, with its checkpoint."""
    stores = open_stores(site.settings)
    claim = stores.jobs.claim("gpu", "another", lease_s=60)
    assert claim is not None
    assert claim.job.attempt == 1
    (running,) = [job for job in stores.jobs.running() if job.worker == "w"]
    assert running.checkpoint is not None
    assert stores.objects.get(running.checkpoint) == b"state"
