"""What happened, by SQL, by the files or the bucket itself, and by the webhook receiver; never by the API."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from servers import S3Server
from sqlalchemy import create_engine, text

from chaos.checks import Check, Told, equal
from chaos.descent import uninterrupted
from chaos.parts import until
from chaos.receiver import Receiver
from chaos.recipes import ANSWER

ENDED = ("succeeded", "failed", "canceled")
JSON_COLUMNS = ("losses", "outputs", "result", "error", "data", "checkpoint", "spec")


@dataclass(frozen=True)
class Submitted:
    """A job as it was asked for."""

    id: str
    model: str
    steps: int
    lr: float
    webhook: bool


class FolderListing:
    """The object store as files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keys(self, prefix: str = "") -> list[str]:
        files = (path for path in self._root.rglob("*") if path.is_file())
        return sorted(
            key for key in (p.relative_to(self._root).as_posix() for p in files) if key.startswith(prefix)
        )

    def read(self, key: str) -> bytes:
        return (self._root / key).read_bytes()

    def unfinished(self) -> list[str]:
        return [key for key in self.keys() if key.endswith(".part")]


class BucketListing:
    """The object store as a bucket, asked directly."""

    def __init__(self, server: S3Server, bucket: str) -> None:
        self._client, self._bucket = server.client(), bucket

    def keys(self, prefix: str = "") -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def read(self, key: str) -> bytes:
        return bytes(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())

    def unfinished(self) -> list[str]:
        try:
            found = self._client.list_multipart_uploads(Bucket=self._bucket)
        except self._client.exceptions.NoSuchUpload:  # how rclone says that there never was any
            return []
        return [upload["Key"] for upload in found.get("Uploads", ())]


class Judge:
    def __init__(
        self, database_url: str, store: FolderListing | BucketListing, receiver: Receiver, folder: Path
    ) -> None:
        self._engine = create_engine(database_url, pool_pre_ping=True, isolation_level="AUTOCOMMIT")
        self.store, self.receiver, self._folder = store, receiver, folder

    def sql(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            rows = connection.execute(text(statement), values)
            return [_plain(dict(row._mapping)) for row in rows] if rows.returns_rows else []

    def close(self) -> None:
        self._engine.dispose()

    def row(self, job: Submitted) -> dict[str, Any]:
        (row,) = self.sql("SELECT * FROM jobs WHERE id = :id", id=job.id)
        return row

    def events(self, job: Submitted) -> list[dict[str, Any]]:
        return self.sql("SELECT * FROM events WHERE job_id = :id ORDER BY number", id=job.id)

    def open_jobs(self) -> int:
        """How many rows have not ended."""
        return int(self.sql("SELECT count(*) AS n FROM jobs WHERE ended_at IS NULL")[0]["n"])

    def wait(self, job: Submitted, *statuses: str, within_s: float = 90.0) -> dict[str, Any]:
        """The row, once it has one of these statuses (any end, by default)."""
        wanted = statuses or ENDED
        what = f"job {job.id} ({job.model}): {' or '.join(wanted)}"
        return dict(until(lambda: _when(self.row(job), wanted), what, within_s=within_s))

    def wait_for_all(self, *, within_s: float = 90.0) -> None:
        until(lambda: self.open_jobs() == 0, "the end of all jobs", within_s=within_s)

    def executed(self, job: Submitted) -> list[tuple[int, int]]:
        """(attempt, step) of every step that was really taken."""
        path = self._folder / "steps" / job.id
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(attempt), int(step)) for attempt, step, *_ in map(str.split, lines)]

    def repeated(self, job: Submitted) -> int:
        steps = [step for _, step in self.executed(job)]
        return len(steps) - len(set(steps))

    def one_end(self, job: Submitted, *statuses: str, within_s: float = 90.0) -> Told:
        """The job has ended, once, as one of `statuses`, and all that can be seen of it agrees."""
        row = self.wait(job, within_s=within_s)
        wanted = statuses or ("succeeded",)
        yield Check("one of the ends wanted", row["status"] in wanted, f"{row['status']} {row['error']}")
        yield from self._history(job, row)
        if row["status"] == "succeeded":
            yield from self._results(job, row)
        if job.webhook:
            yield from self._told(job, row)
        yield equal("the row stays as it was", self.row(job), row)

    def all_ended_once(self, ids: Iterable[str], status: str = "succeeded") -> Told:
        """For many jobs, by two queries: each has this end, and one terminal event."""
        wanted = set(ids)
        rows = self.sql("SELECT id, status FROM jobs WHERE ended_at IS NOT NULL")
        ended = {row["id"] for row in rows if row["status"] == status}
        yield equal("jobs lost or ended otherwise", sorted(wanted - ended), [])
        counts = Counter(
            row["job_id"] for row in self.sql(f"SELECT job_id FROM events WHERE type IN {ENDED}")
        )
        twice = sorted(job for job in wanted if counts[job] != 1)
        yield equal("jobs without exactly one end", twice, [])

    def _history(self, job: Submitted, row: dict[str, Any]) -> Told:
        events = self.events(job)
        types = [event["type"] for event in events]
        yield equal("events are numbered", [e["number"] for e in events], list(range(1, len(events) + 1)))
        yield equal("one terminal event, the last", [t for t in types if t in ENDED], types[-1:])
        attempts = [event["data"]["attempt"] for event in events if event["type"] == "running"]
        yield equal("attempts only count up", attempts, list(range(1, row["attempt"] + 1)))
        holders = [t for t in types if t in ("queued", "running", *ENDED)]
        alternate = all(a != b for a, b in pairwise(holders))
        yield Check("never two holders", alternate, " ".join(types))

    def _results(self, job: Submitted, row: dict[str, Any]) -> Told:
        prefix = f"local/jobs/{job.id}/{row['attempt']}/outputs/"
        keys = [output["key"] for output in row["outputs"].values()]
        yield Check("outputs are the winner's", all(key.startswith(prefix) for key in keys), str(keys))
        there = self.store.keys(prefix)
        yield equal("outputs are in the store", sorted(set(keys) - set(there)), [])
        if job.model == "descent":
            answer = self.store.read(row["outputs"][ANSWER]["key"]).decode()
            steps = int(answer.split()[0])
            yield Check(
                "all steps, or stopped", steps == job.steps or row["result"].get("stopped_early"), answer
            )
            yield equal("the result of an uninterrupted run", answer, uninterrupted(job.lr, steps))

    def _told(self, job: Submitted, row: dict[str, Any]) -> Told:
        last = self.events(job)[-1]
        until(lambda: self._terminal_ids(job), f"the webhook of {job.id}")
        wanted = [(f"{job.id}-{last['number']}", row["status"])]
        yield equal("one webhook id for the end", self._terminal_ids(job), wanted)
        yield equal("webhooks refused by the receiver", self.receiver.refused, [])

    def _terminal_ids(self, job: Submitted) -> list[tuple[str, str]]:
        return sorted(key for key in self.receiver.ids(job.id) if key[1] in ENDED)


def _when(row: dict[str, Any], statuses: tuple[str, ...]) -> dict[str, Any] | None:
    return row if row["status"] in statuses else None


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """SQLite keeps JSON as text."""
    for name in JSON_COLUMNS:
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    return row
