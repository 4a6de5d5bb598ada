"""What the databases themselves refuse, how they are opened, and how they are away."""

import pytest
from job_steps import options
from servers import free_port
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from storage import database as database_module
from storage.database import Database, normal_url
from storage.errors import StorageUnavailable
from storage.jobs import SqlJobs
from storage.locks import SqlLocks
from storage.records import Status
from storage.settings import Settings
from storage.stores import open_stores

HOOK = {"url": "https://example.org/hook", "events": ["queued"]}


@pytest.mark.parametrize(
    "change",
    [
        "status = 'paused'",
        "status = 'running'",  # without a token, a lease, an attempt
        "token = 'x'",
        "lease_until = 1",
        "status = 'running', token = 'x', lease_until = 1, attempt = 1, started_at = 1",  # by whom?
        "status = 'succeeded', ended_at = 1",
        "status = 'succeeded', ended_at = 1, outputs = '{}'",
        "status = 'succeeded', outputs = '{}', result = '{}'",
        "status = 'failed', ended_at = 1",
        "status = 'canceled'",
        "ended_at = 1",
        "outputs = '{}'",
        "error = '{}'",
        "cancel_requested = true",
        "attempt = 1",
        "attempt = -1",
        "lost = -1",
        "failures = NULL",
        "priority = 3",
        "priority = -1",
        "outages = -1",
        "out_of_memory = -1",
        "drains = -1",
        "losses = NULL",
        "stop_requested = NULL",
        "outputs_expired_at = 1",  # of a job that has not ended
        "tenant_id = NULL",
    ],
)
def test_the_database_refuses_a_job_that_cannot_be(database: Database, change: str) -> None:
    job = SqlJobs(database).add("local", "edit", {})
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(text(f"UPDATE jobs SET {change} WHERE id = :id"), {"id": job.id})
    assert SqlJobs(database).get("local", job.id) == job


def test_the_database_refuses_events_of_no_job_or_of_the_same_number(database: Database) -> None:
    job = SqlJobs(database).add("local", "edit", {})
    insert = text("INSERT INTO events VALUES (:job, :number, 'queued', '{}', 1)")
    for job_id, number in ((job.id, 1), (job.id, 0), ("nobody", 1)):
        with pytest.raises(IntegrityError), database.write() as connection:
            connection.execute(insert, {"job": job_id, "number": number})


def test_the_database_refuses_a_second_call_for_an_event(database: Database) -> None:
    job = SqlJobs(database).add("local", "edit", {}, options=options(webhook=HOOK))
    columns = "id, tenant_id, job_id, event_number, type, url, body, status, next_at, created_at"
    values = ":id, 'local', :job, :number, 'x', 'y', 'z', :status, 1, 1"
    for changed in (
        {},  # event 1 has one
        {"number": 2, "id": f"{job.id}-1"},
        {"number": 2, "status": "lost"},
        {"number": 2, "status": "delivered"},  # when?
        {"number": 2, "job": "nobody"},
    ):
        row = {"id": "another", "job": job.id, "number": 1, "status": "pending"} | changed
        with pytest.raises(IntegrityError), database.write() as connection:
            connection.execute(text(f"INSERT INTO deliveries ({columns}) VALUES ({values})"), row)


def test_the_clock_is_the_databases(database: Database) -> None:
    job = SqlJobs(database).add("local", "edit", {})
    with database.read() as connection:
        now = connection.execute(text(f"SELECT {database.now}")).scalar_one()
    assert 0 <= now - job.created_at < 30
    assert [job.not_before, job.updated_at] == pytest.approx([job.created_at] * 2, abs=0.1)


def test_sqlite_is_opened_for_safety(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15_000}
        other = Database(sqlite_url)
        with other.read() as reader:  # readers do not wait for the writer
            assert reader.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one() == 0
        other.close()
    database.close()


def test_a_busy_sqlite_is_unavailable_in_the_end(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.1)
    holder, other = Database(sqlite_url), SqlJobs(Database(sqlite_url))
    with holder.write():  # BEGIN IMMEDIATE: the lock is held from the start
        with pytest.raises(StorageUnavailable):
            other.add("local", "edit", {})
        with pytest.raises(StorageUnavailable), SqlLocks(Database(sqlite_url)).hold("x", lease_s=1):
            pass
    assert other.add("local", "edit", {}).status is Status.QUEUED
    holder.close()


def test_an_unmigrated_database_is_unavailable(tmp_path: object) -> None:
    jobs = SqlJobs(Database(f"sqlite:///{tmp_path}/new/empty.db"))
    with pytest.raises(StorageUnavailable):
        jobs.add("local", "edit", {})


def test_a_database_that_is_away_is_unavailable() -> None:
    jobs = SqlJobs(Database(f"postgresql+psycopg://editq@127.0.0.1:{free_port()}/editq"))
    for ask in (lambda: jobs.get("local", "x"), lambda: jobs.claim("gpu", "w", lease_s=1)):
        with pytest.raises(StorageUnavailable):
            ask()


def test_a_claim_passes_by_a_row_that_another_is_taking(migrated_postgres: Database) -> None:
    jobs = SqlJobs(migrated_postgres)
    first, second = (jobs.add("local", "edit", {}, queue="passing") for _ in range(2))
    with migrated_postgres.write() as connection:
        connection.execute(text("SELECT id FROM jobs WHERE id = :id FOR UPDATE"), {"id": first.id})
        claim = jobs.claim("passing", "w", lease_s=60)
        assert claim is not None
        assert claim.job.id == second.id
        assert jobs.claim("passing", "w", lease_s=60) is None
    again = jobs.claim("passing", "w", lease_s=60)
    assert again is not None
    assert again.job.id == first.id


def test_connections_that_the_server_closed_are_replaced(migrated_postgres: Database) -> None:
    jobs = SqlJobs(migrated_postgres)
    job = jobs.add("local", "edit", {})
    other = Database(migrated_postgres.url.render_as_string(hide_password=False))
    kill = (
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"  # and wait until it is gone
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with other.read() as killer:
        assert all(gone for (gone,) in killer.exec_driver_sql(kill))
    assert jobs.get("local", job.id) == job
    with pytest.raises(StorageUnavailable), migrated_postgres.write() as used, other.read() as killer:  # noqa: PT012
        killer.exec_driver_sql(kill)
        used.exec_driver_sql("SELECT 1")
    assert jobs.request_cancel("local", job.id).status is Status.CANCELED
    other.close()


def test_the_stores_of_the_settings_are_opened(sqlite_url: str, tmp_path: object, valkey_url: str) -> None:
    stores = open_stores(Settings(data_dir=tmp_path, database_url=sqlite_url, redis_url=valkey_url))
    job = stores.jobs.add("local", "edit", {})
    stores.objects.check()
    assert stores.library.list_images("local").items == ()
    assert stores.progress.check()
    with stores.locks.hold("x", lease_s=1) as held:
        assert held
    assert stores.jobs.position(job) == 0
    assert stores.outbox.list("local", job.id) == ()
    assert stores.retention.marked(longer_than_s=0) == ()


@pytest.mark.parametrize("url", ["mysql://a/b", "sqlite://", "sqlite:///:memory:"])
def test_databases_that_cannot_serve_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="database"):
        Database(url)


def test_urls_as_platforms_give_them_mean_psycopg() -> None:
    for url in ("postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"):
        assert normal_url(url).render_as_string(hide_password=False) == "postgresql+psycopg://u:p@h/d"
