"""What every retention does: memory, SQLite, PostgreSQL."""

import dataclasses
import json
from typing import Any

import pytest
from job_steps import ERROR, claimed
from sqlalchemy import update
from store_records import Records
from test_store_contracts_library import image, model
from test_store_contracts_races import together

from storage.errors import JobInUse, JobNotEnded, JobNotFound, StorageUnavailable
from storage.memory_jobs import MemoryJobs
from storage.objects import checkpoint_key, image_key, model_key, output_key
from storage.records import Count, IdempotencyKey, Job, ObjectRef, Status
from storage.retention import CONDEMNED_FOR_S
from storage.specs import JobOptions, Webhook
from storage.stores import Jobs, Library
from storage.tables import JOBS, MARKS
from storage.upkeep import Outbox, Retention

DAY_S = 86400.0
KEY = image_key("local", "a" * 64)  # of the image that image() makes


def ref(key: str) -> ObjectRef:
    return ObjectRef(key, "0" * 64, 3, "image/png")


def output_of(job: Job, *, attempt: int = 1) -> str:
    return output_key(job.tenant_id, job.id, attempt, "edited.png")


def checkpoint_of(job: Job, *, attempt: int = 1, step: int = 10) -> str:
    return checkpoint_key(job.tenant_id, job.id, attempt, step)


def succeeded(jobs: Jobs, *, keep_s: float | None = None) -> Job:
    job = jobs.add("local", "sample", {}, options=JobOptions(keep_s=keep_s))
    claim = jobs.claim("gpu", "w", lease_s=60)
    assert claim is not None
    assert claim.job.id == job.id
    return jobs.succeed(claim, {"edited": ref(output_of(job))}, {"seconds": 1})


def long_since(records: Records, job: Job, seconds: float) -> None:
    """Let the job's end be so much longer ago."""
    assert job.ended_at is not None
    ended_at = job.ended_at - seconds
    if isinstance(records.jobs, MemoryJobs):
        row = records.jobs.rows[job.id]
        row.job = dataclasses.replace(row.job, ended_at=ended_at)
        return
    assert records.database is not None
    with records.database.write() as connection:
        connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(ended_at=ended_at))


def get(jobs: Jobs, job: Job) -> Job:
    return jobs.get("local", job.id)


def test_outputs_expire_when_their_time_has_passed(records: Records) -> None:
    jobs, retention = records.jobs, records.retention
    old, fresh = succeeded(jobs), succeeded(jobs)
    long_since(records, old, 10 * DAY_S)
    (expired,) = retention.expire_outputs(kept_s=5 * DAY_S)
    assert (expired.id, list(expired.outputs)) == (old.id, ["edited"])  # as it was before
    after = get(jobs, old)
    assert (after.status, after.outputs, after.result) == (Status.SUCCEEDED, {}, {"seconds": 1})
    assert after.outputs_expired_at is not None
    assert get(jobs, fresh) == fresh
    assert retention.expire_outputs(kept_s=5 * DAY_S) == ()


def test_a_jobs_own_time_wins_over_the_policy(records: Records) -> None:
    jobs, retention = records.jobs, records.retention
    short, long = succeeded(jobs, keep_s=60), succeeded(jobs, keep_s=20 * DAY_S)
    for job in (short, long):
        long_since(records, job, 10 * DAY_S)
    assert [job.id for job in retention.expire_outputs(kept_s=15 * DAY_S)] == [short.id]
    assert retention.expire_outputs(kept_s=5 * DAY_S) == ()
    assert get(jobs, long).outputs


def test_only_what_has_ended_well_has_outputs_to_expire(jobs: Jobs, retention: Retention) -> None:
    jobs.fail(claimed(jobs), ERROR)
    jobs.request_cancel("local", jobs.add("local", "edit", {}).id)
    claimed(jobs)
    assert retention.expire_outputs(kept_s=-DAY_S) == ()


def test_few_rows_at_once_the_oldest_first(records: Records) -> None:
    made = [succeeded(records.jobs) for _ in range(5)]
    long_since(records, made[3], DAY_S)
    first = records.retention.expire_outputs(kept_s=-1, limit=2)
    rest = records.retention.expire_outputs(kept_s=-1, limit=9)
    assert first[0].id == made[3].id
    assert sorted(job.id for job in (*first, *rest)) == sorted(job.id for job in made)


@pytest.mark.parametrize("state", ["queued", "running", "ended"])
def test_what_an_open_job_starts_from_stays(jobs: Jobs, retention: Retention, state: str) -> None:
    source = succeeded(jobs)
    jobs.add("local", "edit", {"image": "f" * 32, "inversion": None})  # another edit, open, from no job
    edit = jobs.add("local", "edit", {"inversion": source.id})
    if state != "queued":
        claims = [jobs.claim("gpu", "w", lease_s=60) for _ in range(2)]
        (claim,) = [claim for claim in claims if claim is not None and claim.job.id == edit.id]
    if state == "ended":
        jobs.fail(claim, ERROR)
        assert [job.id for job in retention.expire_outputs(kept_s=-1)] == [source.id]
        assert retention.purge_jobs(kept_s=-1) == 2
        return
    assert retention.expire_outputs(kept_s=-1) == ()
    assert retention.purge_jobs(kept_s=-1) == 0
    assert get(jobs, source).outputs


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("apply", {"inputs": [{"seed": 1}, {"inversion": "SOURCE"}]}),
        (
            "learn_vector",
            {"targets": [{"pairs": [{"before": {"seed": 1}, "after": {"inversion": "SOURCE"}}]}]},
        ),
    ],
)
def test_what_an_open_job_names_among_others_stays(
    jobs: Jobs, retention: Retention, kind: str, spec: dict[str, object]
) -> None:
    source = succeeded(jobs)
    other = jobs.add("local", kind, json.loads(json.dumps(spec).replace("SOURCE", source.id)))
    assert retention.expire_outputs(kept_s=-1) == ()
    assert retention.purge_jobs(kept_s=-1) == 0
    jobs.request_cancel("local", other.id)
    assert [job.id for job in retention.expire_outputs(kept_s=-1)] == [source.id]


def test_old_jobs_are_purged_with_all_that_is_theirs(records: Records) -> None:
    jobs, retention = records.jobs, records.retention
    key = IdempotencyKey("submit-1", "0" * 64)
    webhook = Webhook(url="https://hooks.example")
    old = jobs.add("local", "edit", {}, options=JobOptions(webhook=webhook), idempotency=key)
    old, fresh = jobs.request_cancel("local", old.id), succeeded(jobs)
    (delivery,) = records.outbox.due(lease_s=60)
    records.outbox.delivered(delivery)
    long_since(records, old, 10 * DAY_S)
    assert retention.purge_jobs(kept_s=5 * DAY_S) == 1
    assert retention.purge_jobs(kept_s=5 * DAY_S) == 0
    for ask in (jobs.get, jobs.events, records.outbox.list):
        with pytest.raises(JobNotFound):
            ask("local", old.id)
    assert jobs.added("local", key) is None
    assert get(jobs, fresh) == fresh


def test_a_job_is_purged_after_its_own_time_too(records: Records) -> None:
    job = succeeded(records.jobs, keep_s=20 * DAY_S)
    long_since(records, job, 10 * DAY_S)
    assert records.retention.purge_jobs(kept_s=5 * DAY_S) == 0
    long_since(records, job, 30 * DAY_S)
    assert records.retention.purge_jobs(kept_s=40 * DAY_S) == 0
    assert records.retention.purge_jobs(kept_s=5 * DAY_S) == 1


def test_open_jobs_and_those_with_calls_to_make_are_not_purged(
    jobs: Jobs, outbox: Outbox, retention: Retention
) -> None:
    running = claimed(jobs).job
    told = jobs.add("local", "edit", {}, options=JobOptions(webhook=Webhook(url="https://hooks.example")))
    jobs.request_cancel("local", told.id)
    assert retention.purge_jobs(kept_s=-1) == 0
    (delivery,) = outbox.due(lease_s=60)
    outbox.postponed(delivery, error="gone", after_s=None)
    assert retention.purge_jobs(kept_s=-1) == 1
    assert get(jobs, running).status is Status.RUNNING


def test_old_idempotency_keys_are_forgotten(jobs: Jobs, retention: Retention) -> None:
    key = IdempotencyKey("submit-1", "0" * 64)
    job = jobs.add("local", "edit", {}, idempotency=key)
    assert retention.purge_keys(kept_s=DAY_S) == 0
    assert jobs.added("local", key) is not None
    assert retention.purge_keys(kept_s=-1) == 1
    assert jobs.added("local", key) is None
    assert get(jobs, job) == job
    assert jobs.add("local", "edit", {}, idempotency=key).id != job.id


def test_images_and_models_are_needed_while_they_have_records(library: Library, retention: Retention) -> None:
    kept, given = library.add_image(image()), model()
    weights = model_key("system", "cars", given.digest, "generator.safetensors")
    library.put_model(dataclasses.replace(given, files={"generator": ref(weights)}))
    orphans = {image_key("local", "b" * 64), model_key("system", "cars", "2" * 64, "generator.safetensors")}
    assert retention.unneeded([kept.object.key, weights, *orphans]) == orphans
    library.delete_image("local", kept.id)
    assert retention.unneeded([kept.object.key]) == {kept.object.key}


def test_what_is_not_of_our_scheme_is_never_unneeded(retention: Retention) -> None:
    strange = [
        "notes.txt",
        "a/b",
        "local/images/x/y",
        "local/jobs/1/outputs/x",
        "local/images/a b",
        "a/jobs/b",
    ]
    assert retention.unneeded(strange) == frozenset()


def test_all_of_a_running_attempt_is_needed_and_nothing_of_those_before(
    jobs: Jobs, retention: Retention
) -> None:
    claimed(jobs, lease_s=-1)
    jobs.expire(max_lost=9)
    claim = jobs.claim("gpu", "w", lease_s=60)
    assert claim is not None
    job = claim.job
    now = {output_of(job, attempt=2), checkpoint_of(job, attempt=2)}
    before = {output_of(job, attempt=1), checkpoint_of(job, attempt=1), output_of(job, attempt=20)}
    others = {output_key("somebody", job.id, 2, "edited.png")}
    assert retention.unneeded(now | before | others) == before | others


def test_the_checkpoint_of_an_open_job_is_needed_and_no_other(jobs: Jobs, retention: Retention) -> None:
    claim = claimed(jobs)
    job = claim.job
    kept, dropped = checkpoint_of(job, step=20), checkpoint_of(job, step=10)
    jobs.checkpointed(claim, ref(kept))
    jobs.requeue(claim, reason="drain", count=Count.DRAINS)
    assert retention.unneeded([kept, dropped, output_of(job)]) == {dropped, output_of(job)}
    again = jobs.claim("gpu", "w", lease_s=60)
    assert again is not None
    assert retention.unneeded([kept, dropped]) == {dropped}  # the second attempt starts from it
    jobs.fail(again, ERROR)
    assert retention.unneeded([kept]) == {kept}


def test_outputs_are_needed_while_their_row_names_them(jobs: Jobs, retention: Retention) -> None:
    job = succeeded(jobs)
    of_no_job = {output_key("local", "0" * 32, 1, "edited.png")}
    unnamed = {output_key("local", job.id, 1, "left.png"), checkpoint_of(job)}
    assert retention.unneeded([output_of(job), *unnamed, *of_no_job]) == unnamed | of_no_job
    retention.expire_outputs(kept_s=-1)
    assert retention.unneeded([output_of(job)]) == {output_of(job)}
    retention.purge_jobs(kept_s=-1)
    assert retention.unneeded([output_of(job)]) == {output_of(job)}


def test_a_mark_keeps_its_time(retention: Retention) -> None:
    retention.mark([KEY])
    retention.mark([KEY, KEY])
    retention.mark([])
    assert retention.marked(longer_than_s=60) == ()
    assert retention.marked(longer_than_s=-1) == (KEY,)


def test_marks_are_given_out_in_parts(retention: Retention) -> None:
    keys = [image_key("local", f"{number:064x}") for number in range(5)]
    retention.mark(keys)
    assert len(retention.marked(longer_than_s=-1, limit=3)) == 3
    assert sorted(retention.marked(longer_than_s=-1)) == keys


def test_only_what_is_marked_and_still_unneeded_is_condemned(library: Library, retention: Retention) -> None:
    kept, orphan, unmarked = image(), image_key("local", "b" * 64), image_key("local", "c" * 64)
    retention.mark([orphan])
    library.add_image(kept)
    retention.mark([kept.object.key])  # by a collector that looked before the record was there
    assert retention.condemn([kept.object.key, orphan, unmarked]) == {orphan}
    assert retention.marked(longer_than_s=-1) == ()  # the mark of what is needed is gone, too
    retention.forget([orphan])
    assert retention.condemn([orphan]) == frozenset()


def test_an_image_cannot_be_added_on_an_object_that_is_being_removed(
    library: Library, retention: Retention
) -> None:
    retention.mark([KEY])
    assert retention.condemn([KEY]) == {KEY}
    with pytest.raises(StorageUnavailable):
        library.add_image(image())
    assert library.list_images("local").items == ()
    retention.forget([KEY])
    kept = library.add_image(image())
    assert kept.object.key == KEY
    retention.mark([KEY])
    assert retention.condemn([KEY]) == frozenset()


def test_a_model_cannot_be_put_on_objects_that_are_being_removed(
    library: Library, retention: Retention
) -> None:
    weights = [model_key("system", "cars", "1" * 64, name) for name in ("generator", "judge")]
    given = dataclasses.replace(model(), files={name: ref(name) for name in weights})
    retention.mark(weights)
    assert retention.condemn(weights[1:]) == {weights[1]}
    with pytest.raises(StorageUnavailable):
        library.put_model(given)
    assert library.list_models("local") == ()
    retention.forget(weights[1:])
    library.put_model(given)
    assert retention.marked(longer_than_s=-1) == ()
    retention.mark(weights)
    assert retention.condemn(weights) == frozenset()


def test_adding_an_image_takes_the_mark_away(library: Library, retention: Retention) -> None:
    retention.mark([KEY])
    kept = library.add_image(image())
    library.delete_image("local", kept.id)
    assert retention.marked(longer_than_s=-1) == ()


def test_two_collectors_never_hold_the_same_key(retention: Retention) -> None:
    keys = [image_key("local", f"{number:064x}") for number in range(40)]
    retention.mark(keys)
    taken: Any = together(*(lambda: retention.condemn(keys) for _ in range(4)))
    assert sorted(key for part in taken for key in part) == keys
    assert retention.marked(longer_than_s=-1) == ()
    assert retention.condemn(keys) == frozenset()


def test_the_time_of_a_collector_begins_when_it_condemns(records: Records) -> None:
    records.retention.mark([KEY])
    long_ago(records, 2 * CONDEMNED_FOR_S)
    assert records.retention.condemn([KEY]) == {KEY}
    assert records.retention.marked(longer_than_s=-1) == ()
    assert records.retention.condemn([KEY]) == frozenset()


def test_what_a_dead_collector_condemned_is_taken_over(records: Records) -> None:
    retention = records.retention
    retention.mark([KEY])
    retention.condemn([KEY])
    long_ago(records, CONDEMNED_FOR_S + 1)
    assert retention.marked(longer_than_s=1) == (KEY,)
    with pytest.raises(StorageUnavailable):
        records.library.add_image(image())  # not even now: it may have been removed
    assert retention.condemn([KEY]) == {KEY}
    retention.forget([KEY])
    records.library.add_image(image())


def long_ago(records: Records, seconds: float) -> None:
    """Let all marks be so much older."""
    if records.database is None:
        marked = records.library.marked  # type: ignore[attr-defined]
        marked.update({key: at - seconds for key, at in marked.items()})
        return
    with records.database.write() as connection:
        connection.execute(update(MARKS).values(marked_at=MARKS.c.marked_at - seconds))


def test_an_upload_and_a_collector_at_once_never_both_win(library: Library, retention: Retention) -> None:
    for _ in range(12):
        retention.mark([KEY])
        condemned, added = together(lambda: retention.condemn([KEY]), lambda: library.add_image(image()))
        refused = isinstance(added, StorageUnavailable)
        assert condemned == ({KEY} if refused else frozenset())
        assert len(library.list_images("local").items) == (0 if refused else 1)
        retention.forget([KEY])
        for kept in library.list_images("local").items:
            library.delete_image("local", kept.id)


def test_expiry_by_many_at_once_gives_each_job_to_one(jobs: Jobs, retention: Retention) -> None:
    made = [succeeded(jobs) for _ in range(10)]

    def expire() -> list[str]:
        found = []
        while some := retention.expire_outputs(kept_s=-1, limit=3):
            found += [job.id for job in some]
        return found

    expired: Any = together(*(expire for _ in range(3)))
    assert sorted(job_id for part in expired for job_id in part) == sorted(job.id for job in made)


def test_an_ended_job_is_deleted_with_all_that_is_its(records: Records) -> None:
    jobs, retention = records.jobs, records.retention
    key = IdempotencyKey("k", "a" * 64)
    jobs.add("local", "sample", {}, idempotency=key)
    claim = jobs.claim("gpu", "w", lease_s=60)
    assert claim is not None
    jobs.succeed(claim, {"a.png": ref(output_of(claim.job))}, {})
    with pytest.raises(JobNotFound):
        retention.delete_job("somebody", claim.job.id)
    assert [each.key for each in retention.delete_job("local", claim.job.id).outputs.values()]
    assert retention.unneeded([output_of(claim.job)]) == {output_of(claim.job)}
    assert jobs.added("local", key) is None
    for ask in (jobs.get, retention.delete_job):
        with pytest.raises(JobNotFound):
            ask("local", claim.job.id)


def test_a_job_that_is_needed_is_not_deleted(jobs: Jobs, retention: Retention) -> None:
    claim = claimed(jobs)
    first = claim.job
    with pytest.raises(JobNotEnded):
        retention.delete_job("local", first.id)
    jobs.succeed(claim, {}, {})
    second = jobs.add("local", "edit", {"inversion": first.id})
    with pytest.raises(JobInUse, match=second.id):
        retention.delete_job("local", first.id)
    jobs.request_cancel("local", second.id)
    assert retention.delete_job("local", first.id).id == first.id
