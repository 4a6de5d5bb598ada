"""Limits of tenants: how much they hold, and what claims leave waiting, over every store."""

import threading

import pytest
from store_records import Records, sql_records
from test_store_contracts_vectors import vector

from storage.access import Limits, Rates
from storage.database import Database
from storage.file_records import File
from storage.jobs import SqlJobs
from storage.limit_records import NO_LIMITS, Limit
from storage.limits import SqlLimits
from storage.memory_jobs import MemoryJobs
from storage.objects import file_key, output_key
from storage.rates import MemoryRates, RedisRates
from storage.records import CPU_QUEUE, ObjectRef, new_id
from storage.stores import Jobs


def claimed(jobs: Jobs, queue: str = "gpu") -> str | None:
    claim = jobs.claim(queue, "w", lease_s=30)
    return None if claim is None else claim.job.tenant_id


def test_a_tenant_has_the_common_limits_but_for_its_own(limits: Limits) -> None:
    assert limits.of("acme") == NO_LIMITS
    limits.set("acme", Limit.JOBS_WAITING, 5)
    limits.set("acme", Limit.JOBS_WAITING, 7)
    limits.set("acme", Limit.REQUESTS_PER_S, 0.5)
    assert limits.of("acme") == {**NO_LIMITS, Limit.JOBS_WAITING: 7, Limit.REQUESTS_PER_S: 0.5}
    assert limits.of("globex") == NO_LIMITS
    limits.set("acme", Limit.JOBS_WAITING, None)
    assert limits.of("acme")[Limit.JOBS_WAITING] == 0


def test_what_a_tenant_holds_is_counted(records: Records) -> None:
    limits, jobs, library = records.limits, records.jobs, records.library
    ref = ObjectRef(file_key("acme", "a" * 64), "a" * 64, 1000, "text/plain")
    library.add_file(File(new_id(), "acme", ref, None, 0.0))
    library.add_file(
        File(new_id(), "globex", ObjectRef(file_key("globex", "a" * 64), "a" * 64, 9, "a/b"), None, 0.0)
    )
    for _ in range(3):
        jobs.add("acme", "sample", {})
    jobs.add("globex", "sample", {})
    claim = jobs.claim("gpu", "w", lease_s=30)
    done = jobs.claim("gpu", "w", lease_s=30)
    another = jobs.claim("gpu", "w", lease_s=30)
    assert claim is not None
    assert done is not None
    assert another is not None
    assert [each.job.tenant_id for each in (claim, done, another)] == ["acme", "globex", "acme"]
    output = ObjectRef("acme/o", "b" * 64, 24, "image/png")
    jobs.succeed(claim, {"a.png": output, "b.png": output}, {})
    held = limits.held("acme")
    assert (held.jobs_waiting, held.jobs_running, held.bytes_stored) == (1, 1, 1048)
    assert held.gpu_s_today >= 0
    records.retention.expire_outputs(kept_s=0)
    assert limits.held("acme").bytes_stored == 1000
    assert limits.held("nobody").bytes_stored == 0


def test_a_vector_that_was_sent_counts_and_one_that_a_job_left_counts_with_the_job(records: Records) -> None:
    sent = records.library.put_vector(vector("acme"))
    left = ObjectRef(output_key("acme", new_id(), 1, "delta_w.safetensors"), "c" * 64, 7, "a/b")
    records.library.put_vector(vector("acme", files={"delta_w": left}))
    records.library.put_vector(vector("globex"))
    assert records.limits.held("acme").bytes_stored == sent.files["delta_w"].byte_size
    records.library.delete_vector("acme", sent.id)
    assert records.limits.held("acme").bytes_stored == 0


def test_a_tenant_with_as_many_running_as_it_may_waits_and_the_others_go_on(
    jobs: Jobs, limits: Limits
) -> None:
    limits.set("acme", Limit.JOBS_RUNNING, 2)
    for _ in range(4):
        jobs.add("acme", "sample", {})
    for _ in range(3):
        jobs.add("globex", "sample", {})
    first = jobs.claim("gpu", "w", lease_s=30)
    assert first is not None
    assert first.job.tenant_id == "acme"
    assert [claimed(jobs) for _ in range(5)] == ["globex", "acme", "globex", "globex", None]
    assert jobs.eligible("gpu") == 0
    jobs.succeed(first, {}, {})
    assert jobs.eligible("gpu") == 2
    assert [claimed(jobs) for _ in range(2)] == ["acme", None]
    limits.set("acme", Limit.JOBS_RUNNING, None)
    assert claimed(jobs) == "acme"


def test_the_limit_is_each_queues_own(jobs: Jobs, limits: Limits) -> None:
    limits.set("acme", Limit.JOBS_RUNNING, 1)
    for queue in ("gpu", "gpu", CPU_QUEUE):
        jobs.add("acme", "sample", {}, queue=queue)
    assert [claimed(jobs), claimed(jobs), claimed(jobs, CPU_QUEUE)] == ["acme", None, "acme"]


def test_who_has_used_its_gpu_seconds_of_today_waits_for_tomorrow(records: Records) -> None:
    jobs, limits = records.jobs, records.limits
    limits.set("acme", Limit.GPU_S_PER_DAY, 1e-9)
    jobs.add("acme", "sample", {})
    jobs.add("acme", "sample", {})
    jobs.add("acme", "merge", {}, queue=CPU_QUEUE)
    claim = jobs.claim("gpu", "w", lease_s=30)
    assert claim is not None
    threading.Event().wait(0.02)
    jobs.succeed(claim, {}, {})
    assert limits.held("acme").gpu_s_today > 0
    assert claimed(jobs) is None
    assert claimed(jobs, CPU_QUEUE) == "acme"
    limits.set("acme", Limit.GPU_S_PER_DAY, 3600)
    assert claimed(jobs) == "acme"


def test_a_limit_of_the_settings_holds_for_all_but_those_with_their_own(database: Database) -> None:
    common = {**NO_LIMITS, Limit.JOBS_RUNNING: 1.0}
    jobs, limits = SqlJobs(database, limits=common), SqlLimits(database, common)
    limits.set("globex", Limit.JOBS_RUNNING, 0)
    for tenant in ("acme", "acme", "globex", "globex"):
        jobs.add(tenant, "sample", {})
    assert [claimed(jobs) for _ in range(4)] == ["acme", "globex", "globex", None]


def test_claims_at_once_do_not_go_beyond_the_limit(database: Database) -> None:
    records = sql_records(database)
    records.limits.set("acme", Limit.JOBS_RUNNING, 3)
    for _ in range(12):
        records.jobs.add("acme", "sample", {})
    for _ in range(4):
        records.jobs.add("globex", "sample", {})
    ready, found = threading.Barrier(8), []

    def work() -> None:
        ready.wait()
        while (tenant := claimed(records.jobs)) is not None:
            found.append(tenant)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found.count("acme"), found.count("globex")) == (3, 4)


@pytest.fixture(params=["memory", "redis"])
def rates(request: pytest.FixtureRequest) -> Rates:
    if request.param == "memory":
        return MemoryRates()
    return RedisRates(request.getfixturevalue("redis_url"), prefix=f"{new_id()}:")


def test_a_bucket_gives_its_burst_and_then_as_fast_as_it_fills(rates: Rates) -> None:
    taken = [rates.take("acme", per_s=2.0, burst=4) for _ in range(5)]
    assert [each.allowed for each in taken] == [True, True, True, True, False]
    assert [each.left for each in taken][:3] == [3, 2, 1]
    assert 0 < taken[4].retry_in_s <= 0.5
    assert taken[4].full_in_s == pytest.approx(2.0, abs=0.3)
    assert rates.take("globex", per_s=2.0, burst=4).allowed
    threading.Event().wait(taken[4].retry_in_s + 0.02)
    assert rates.take("acme", per_s=2.0, burst=4).allowed


def test_while_redis_is_away_each_process_counts_for_itself() -> None:
    rates = RedisRates("redis://127.0.0.1:9/0")
    assert [rates.take("acme", per_s=1.0, burst=2).allowed for _ in range(3)] == [True, True, False]


def test_a_bucket_fills_no_higher_than_its_burst() -> None:
    now = [0.0]
    rates = MemoryRates(clock=lambda: now[0])
    for moment in (0.0, 1000.0):
        now[0] = moment
        assert [rates.take("acme", per_s=10.0, burst=3).allowed for _ in range(4)] == [True] * 3 + [False]


def test_memory_jobs_without_limits_have_none() -> None:
    jobs = MemoryJobs()
    jobs.add("acme", "sample", {})
    assert claimed(jobs) == "acme"
