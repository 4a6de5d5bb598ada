"""Migrations make exactly the tables of storage/tables.py, once, whoever runs them."""

import re
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

import storage.access_tables
import storage.library_tables  # noqa: F401  their tables are in METADATA too
from storage.database import Database
from storage.errors import EditqError, NotMigrated, StorageUnavailable
from storage.file_tables import FILES
from storage.jobs import SqlJobs
from storage.key_records import Scope
from storage.keys import SqlKeys
from storage.library import SqlLibrary
from storage.migrate import current, known, migrate, newest, step_back
from storage.records import Priority

METADATA = FILES.metadata  # of storage/tables.py, and complete with this


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'a' / 'editq.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


CATALOGUES = {
    "sqlite": "SELECT name || ' ' || sql FROM sqlite_master WHERE sql IS NOT NULL",
    "postgresql": """
        SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable
                         || ' ' || coalesce(column_default, '') || coalesce(character_maximum_length, 0)
        FROM information_schema.columns WHERE table_schema = 'public'""",
}


def catalogue(database: Database) -> list[str]:
    """Everything that the database knows of its tables, CHECKs included, in order."""
    with database.read() as connection:
        rows = connection.execute(text(CATALOGUES[database.engine.dialect.name])).scalars()
        normal = (re.sub(r"\s+", " ", row) for row in rows)
        return sorted(row for row in normal if "alembic_version" not in row)


def test_migrations_and_tables_agree(empty_url: str, tmp_path: Path) -> None:
    migrate(empty_url)
    database = Database(empty_url)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    migrated = catalogue(database)
    with database.write() as connection:
        METADATA.drop_all(connection)
        METADATA.create_all(connection)
    assert catalogue(database) == migrated
    assert len(migrated) > 8
    database.close()


def test_a_second_time_changes_nothing(empty_url: str) -> None:
    migrate(empty_url)
    jobs = SqlJobs(Database(empty_url))
    job = jobs.add("local", "edit", {})
    migrate(empty_url)
    assert jobs.get("local", job.id) == job


def test_what_was_there_before_priorities_is_kept(empty_url: str) -> None:
    migrate(empty_url, "0001")
    database = Database(empty_url)
    old = {
        "queued": "attempt = 1, failures = 1, started_at = 2",
        "running": "attempt = 2, started_at = 2, token = 'secret', lease_until = 1, worker = 'w'",
        "succeeded": "attempt = 1, started_at = 2, ended_at = 3, outputs = '{}', result = '{\"steps\": 3}'",
        "failed": 'attempt = 1, started_at = 2, ended_at = 3, error = \'{"code": "non_finite"}\', lost = 2',
        "canceled": "ended_at = 3, cancel_requested = true",
    }
    row = "INSERT INTO jobs (id, tenant_id, kind, queue, spec, status, not_before, created_at, updated_at)"
    with database.write() as connection:
        for status, columns in old.items():
            values = f"('{status}', 'local', 'edit', 'gpu', '{{}}', 'queued', 1, 1, 1)"
            connection.exec_driver_sql(f"{row} VALUES {values}")
            changed = f"status = '{status}', {columns}, event_count = 1"
            connection.exec_driver_sql(f"UPDATE jobs SET {changed} WHERE id = '{status}'")
            connection.exec_driver_sql(f"INSERT INTO events VALUES ('{status}', 1, 'queued', '{{}}', 1)")
    migrate(empty_url)
    jobs = SqlJobs(database)
    for status in old:
        job = jobs.get("local", status)
        assert (job.status.value, job.priority, job.losses) == (status, Priority.STANDARD, [])
        assert (job.outages, job.out_of_memory, job.drains, job.stop_requested) == (0, 0, 0, False)
        assert [event.number for event in jobs.events("local", status)] == [1]
    assert (jobs.get("local", "failed").lost, jobs.get("local", "queued").failures) == (2, 1)
    claim = jobs.claim("gpu", "w", lease_s=60)
    assert claim is not None
    assert (claim.job.id, claim.job.attempt) == ("queued", 2)
    assert [job.id for job in jobs.expire(max_lost=3)] == ["running"]
    database.close()


def test_many_may_migrate_at_once(empty_url: str) -> None:
    errors: list[Exception] = []

    def work() -> None:
        try:
            migrate(empty_url)
        except EditqError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert SqlJobs(Database(empty_url)).eligible("gpu") == 0


def test_sizes_of_outputs_that_were_there_are_summed(empty_url: str) -> None:
    migrate(empty_url, "0005")
    database = Database(empty_url)
    one = '{"a": {"key": "k", "sha256": "s", "byte_size": 3}, "b": {"key": "l", "byte_size": 5000000000}}'
    columns = "id, tenant_id, kind, queue, spec, status, attempt, not_before, created_at, updated_at"
    columns += ", started_at, ended_at, outputs, result"
    added = f"INSERT INTO jobs ({columns}) VALUES "
    ended = "'edit', 'gpu', '{}', 'succeeded', 1, 0, 0, 0, 0, 1"
    queued = "('queued', 't', 'edit', 'gpu', '{}', 'queued', 0, 0, 0, 0, NULL, NULL, NULL, NULL)"
    with database.write() as connection:
        for job_id, outputs in (("one", one), ("none", "{}")):
            row = f"('{job_id}', 't', {ended}, :outputs, '{{}}')"
            connection.execute(text(added + row), {"outputs": outputs})
        connection.execute(text(added + queued))
    migrate(empty_url)
    with database.read() as connection:
        rows = connection.execute(text("SELECT id, outputs_bytes FROM jobs ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [("none", 0), ("one", 5_000_000_003), ("queued", 0)]


def test_sizes_of_vectors_that_were_sent_are_summed(empty_url: str) -> None:
    migrate(empty_url, "0007")
    database = Database(empty_url)
    files = '{"a": {"key": "t/vectors/k", "byte_size": 3}, "b": {"key": "t/jobs/j/1/o", "byte_size": 5}}'
    columns = "id, tenant_id, model, model_digest, generator_sha256, name, editing_type, tags, q_edit, files"
    values = "'v', 't', 'cars', 'd', 'g', 'name', 'type', '[]', '[]', :files, '{}', '{}', '', 0"
    added = f"INSERT INTO vectors ({columns}, facts, report, search, created_at) VALUES ({values})"
    with database.write() as connection:
        connection.execute(text(added), {"files": files})
    migrate(empty_url)
    with database.read() as connection:
        assert connection.execute(text("SELECT files_bytes FROM vectors")).scalar_one() == 3
    database.close()


def test_pictures_of_inversions_that_were_there_are_found_by_their_jobs(empty_url: str) -> None:
    migrate(empty_url, "0008")
    database = Database(empty_url)
    jobs = "INSERT INTO jobs (id, tenant_id, kind, queue, spec, status, not_before, created_at, updated_at)"
    images = (
        "INSERT INTO images (id, tenant_id, role, key, sha256, byte_size, media_type, width_px, height_px, "
    )
    inversions = "INSERT INTO inversions (tenant_id, digest, files, facts, job_id, created_at, used_at)"
    sha256 = "5" * 64
    with database.write() as connection:
        values = f"('i', 't', 'picture', 'k', '{sha256}', 3, 'image/png', 4, 4, 0)"
        connection.exec_driver_sql(f"{images} created_at) VALUES {values}")
        for job_id, spec in (("one", '{"image": "i"}'), ("gone", '{"image": "x"}'), ("several", '{"a": 1}')):
            added = text(f"{jobs} VALUES ('{job_id}', 't', 'invert', 'gpu', :spec, 'queued', 0, 0, 0)")
            connection.execute(added, {"spec": spec})
            digest = job_id[0] * 64
            connection.exec_driver_sql(
                f"{inversions} VALUES ('t', '{digest}', '{{}}', '{{}}', '{job_id}', 0, 0)"
            )
    migrate(empty_url)
    with database.read() as connection:
        found = connection.execute(text("SELECT job_id, picture_sha256 FROM inversions")).all()
    assert {row.job_id: row.picture_sha256 for row in found} == {"one": sha256, "gone": None, "several": None}
    database.close()


def test_all_the_way_back_and_forward_again_keeps_jobs_events_images_and_models(empty_url: str) -> None:
    migrate(empty_url)
    database = Database(empty_url)
    fresh, jobs = catalogue(database), SqlJobs(database)
    for _ in range(3):
        jobs.add("local", "edit", {"a": [1]})
    claim = jobs.claim("gpu", "w", lease_s=60)
    assert claim is not None
    jobs.succeed(claim, {}, {"steps": 3})
    other = jobs.claim("gpu", "w", lease_s=60)
    assert other is not None
    jobs.fail(other, {"code": "non_finite"})
    before = rows(database)
    for revision in sorted(known(), reverse=True)[1:]:
        step_back(empty_url, revision)
        assert current(empty_url) == revision
    assert rows(database) == before
    migrate(empty_url)
    assert current(empty_url) == newest()
    assert catalogue(database) == fresh
    assert rows(database) == before
    assert jobs.get("local", claim.job.id).result == {"steps": 3}
    left = jobs.claim("gpu", "w", lease_s=60)
    assert left is not None
    assert left.job.attempt == 1
    database.close()


def rows(database: Database) -> list[tuple[object, ...]]:
    """What the first version knows of jobs and events."""
    of_jobs = "SELECT id, status, attempt, failures, lost, event_count, created_at, ended_at FROM jobs"
    of_events = "SELECT job_id, number, type FROM events"
    with database.read() as connection:
        return [
            tuple(row) for query in (of_jobs, of_events) for row in sorted(connection.execute(text(query)))
        ]


def test_a_database_of_a_newer_version_is_left_as_it_is(empty_url: str) -> None:
    migrate(empty_url)
    database = Database(empty_url)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    migrate(empty_url)
    assert current(empty_url) == "9999"

    database.close()


def test_a_database_that_was_not_migrated_says_so(empty_url: str) -> None:
    database = Database(empty_url)
    jobs, keys, library = SqlJobs(database), SqlKeys(database), SqlLibrary(database)
    steps = (
        (lambda: jobs.add("local", "edit", {}), None),  # no table at all
        (lambda: keys.create("local", "one", Scope.READ), "0005"),  # one that came later, written
        (keys.any, "0005"),  # the same, read
        (lambda: library.inversion("local", "a" * 64), "0008"),  # a column that came later
    )
    for work, revision in steps:
        if revision is not None:
            migrate(empty_url, revision)
        with pytest.raises(NotMigrated) as caught:
            work()
        assert caught.value.code == "not_migrated"
        assert "workers.release" in (caught.value.expected or "")
    migrate(empty_url)
    for work, _ in steps:
        work()
    with (
        pytest.raises(
            ProgrammingError if database.engine.dialect.name == "postgresql" else StorageUnavailable
        ),
        database.write() as connection,
    ):
        connection.execute(text("SELEC 1"))  # what is wrong in another way is not called that
    database.close()
