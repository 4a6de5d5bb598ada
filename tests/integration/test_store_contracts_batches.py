"""What every store of batches does: how the jobs of a batch move it on, in memory, SQLite and PostgreSQL."""

import pytest
from job_steps import ERROR, REF
from store_records import Records

from storage.batch_records import HELD_UNTIL, Batch, BatchStatus, Chunk
from storage.batch_stores import Batches
from storage.errors import BatchEnded, BatchNotFound, ImageInUse, KeyReused
from storage.library_records import Kept
from storage.records import Claim, Count, IdempotencyKey, Image, Job, ObjectRef, Priority, Status
from storage.stores import Jobs

SPEC = {"spec": {"kind": "apply", "model": "cars"}, "inputs": {"type": "manifest"}}
ITEMS = ObjectRef("local/jobs/j/1/outputs/items.jsonl", "a" * 64, 30, "application/jsonl")
LEDGER = ObjectRef("local/jobs/j/1/outputs/ledger.jsonl", "b" * 64, 30, "application/jsonl")
COUNTS = {"succeeded": 10, "failed": 0, "canceled": 0, "reused": 3}
GOOD = COUNTS | {"device_s": 2.0, "seconds": 2.5, "errors": {}}


def claimed(jobs: Jobs, queue: str) -> Claim:
    claim = jobs.claim(queue, f"w:1:{queue}", lease_s=60, pid=1)
    assert claim is not None
    return claim


def read(records: Records, batch: Batch, chunks: int, *, invalid: int = 0) -> Job:
    """The inputs of a batch, read: so many chunks of ten items."""
    claim = claimed(records.jobs, "cpu")
    assert (claim.job.kind, claim.job.batch_id) == ("validate_batch", batch.id)
    made = tuple(Chunk(batch.id, n, 10 * n, 10, "c" * 64, 10) for n in range(chunks))
    counts = {"items": 10 * chunks, "invalid": invalid, "chunks": chunks, "seconds": 0.1}
    return records.jobs.succeed(claim, {"items.jsonl": ITEMS}, counts, kept=Kept(chunks=made))


def begun(records: Records, chunks: int, **members: object) -> Batch:
    batch = records.batches.add("local", SPEC, **members)
    read(records, batch, chunks)
    return records.batches.get("local", batch.id)


def do_chunk(records: Records, outcome: dict[str, object] = GOOD) -> Job:
    claim = claimed(records.jobs, "gpu")
    return records.jobs.succeed(claim, {"ledger.jsonl": LEDGER}, outcome)


def finish(records: Records) -> None:
    claim = claimed(records.jobs, "cpu")
    assert claim.job.kind == "finish_batch"
    records.jobs.succeed(claim, {"results.jsonl": REF}, {"merged": 1})


def test_a_new_batch_is_validating_and_its_inputs_are_read_in_the_cpu_queue(records: Records) -> None:
    batch = records.batches.add("local", SPEC, keep_s=90.0)
    assert batch == records.batches.get("local", batch.id)
    assert (batch.status, batch.priority, batch.spec) == (BatchStatus.VALIDATING, Priority.BULK, SPEC)
    assert records.jobs.eligible("cpu") == 1
    assert records.jobs.eligible("gpu") == 0
    assert records.jobs.list("local").items == (), "the jobs of batches are not among a caller's jobs"
    with pytest.raises(BatchNotFound):
        records.batches.get("somebody", batch.id)


def test_a_few_chunks_are_queued_and_each_claim_brings_the_next_one_in(records: Records) -> None:
    batch = begun(records, 5, ready=2)
    assert (batch.status, batch.items, batch.chunks) == (BatchStatus.RUNNING, 50, 5)
    assert batch.files == {"items": ITEMS}
    assert records.jobs.eligible("gpu") == 2
    first = claimed(records.jobs, "gpu")
    assert first.job.spec == {"batch": batch.id, "chunk": 0}
    assert (first.job.batch_id, first.job.priority) == (batch.id, Priority.BULK)
    assert records.jobs.eligible("gpu") == 2
    assert [claimed(records.jobs, "gpu").job.spec["chunk"] for _ in range(4)] == [1, 2, 3, 4]
    assert records.jobs.claim("gpu", "w", lease_s=60) is None
    assert len(records.batches.running(batch.id)) == 5
    assert records.batches.chunk(batch.id, 0).job_id == first.job.id


def test_what_its_chunks_wrote_counts_for_its_tenant_until_its_lists_expire(records: Records) -> None:
    batch = begun(records, 2)
    sizes = []
    for outcome in (GOOD | {"results_bytes": 5_000_000_000}, GOOD):  # the second one's worker is of before
        do_chunk(records, outcome)
        sizes.append(records.limits.held("local").bytes_stored)
    wrote, lists = 5_000_000_000, ITEMS.byte_size + LEDGER.byte_size
    assert sizes == [wrote + lists, wrote + lists + LEDGER.byte_size]
    assert records.batches.chunk(batch.id, 0).results_bytes == wrote
    assert records.limits.held("somebody").bytes_stored == 0
    finish(records)
    records.retention.expire_batches(kept_s=0)
    assert records.limits.held("local").bytes_stored < wrote


def test_the_last_chunk_brings_the_finish_and_the_finish_ends_the_batch(records: Records) -> None:
    batch = begun(records, 2)
    do_chunk(records)
    assert records.batches.get("local", batch.id).status is BatchStatus.RUNNING
    do_chunk(records)
    assert records.batches.get("local", batch.id).status is BatchStatus.FINISHING
    finish(records)
    ended = records.batches.get("local", batch.id)
    assert (ended.status, ended.error) == (BatchStatus.SUCCEEDED, None)
    assert ended.files == {"items": ITEMS, "results": REF}
    assert ended.ended_at is not None
    assert ended.result["merged"] == 1
    tally = records.batches.tally(batch.id)
    assert (tally.chunks, tally.succeeded, tally.reused) == (2, 20, 6)
    assert (tally.device_s, tally.seconds) == (4.0, 5.0)
    assert [job.spec["chunk"] for job in records.batches.newest(batch.id)] == [1, 0]
    assert [ledger for _, ledger in records.batches.ledgers(batch.id)] == [LEDGER, LEDGER]
    assert list(records.batches.kept_ledgers()) == [LEDGER, LEDGER]
    assert records.batches.speed("apply", "cars") == (14, 4.0)
    assert records.batches.speed("invert", "cars") is None


def test_items_that_fail_are_counted_by_code_and_sink_neither_chunk_nor_batch(records: Records) -> None:
    batch = begun(records, 2)
    do_chunk(records, GOOD | {"succeeded": 8, "failed": 2, "errors": {"unreadable_picture": 2}})
    claim = claimed(records.jobs, "gpu")
    records.jobs.fail(claim, ERROR)
    finish(records)
    ended = records.batches.get("local", batch.id)
    assert ended.status is BatchStatus.COMPLETED_WITH_ERRORS
    tally = records.batches.tally(batch.id)
    assert (tally.succeeded, tally.failed) == (8, 12)
    assert tally.errors == {ERROR["code"]: 10, "unreadable_picture": 2}


def test_a_batch_of_which_nothing_succeeds_has_failed(records: Records) -> None:
    batch = begun(records, 1)
    records.jobs.fail(claimed(records.jobs, "gpu"), ERROR)
    finish(records)
    ended = records.batches.get("local", batch.id)
    assert (ended.status, (ended.error or {})["code"]) == (BatchStatus.FAILED, ERROR["code"])


@pytest.mark.parametrize(
    ("members", "chunks", "invalid", "status", "code"),
    [
        ({}, 0, 0, BatchStatus.FAILED, "empty_batch"),
        ({}, 0, 3, BatchStatus.FAILED, "empty_batch"),
        ({"on_invalid": "stop"}, 2, 1, BatchStatus.FAILED, "invalid_items"),
        ({"on_invalid": "skip"}, 2, 1, BatchStatus.RUNNING, None),
        ({"dry_run": True}, 2, 1, BatchStatus.SUCCEEDED, None),
    ],
)
def test_what_the_inputs_are_decides_whether_anything_begins(
    records: Records,
    members: dict[str, object],
    chunks: int,
    invalid: int,
    status: BatchStatus,
    code: str | None,
) -> None:
    batch = records.batches.add("local", SPEC | members)
    read(records, batch, chunks, invalid=invalid)
    after = records.batches.get("local", batch.id)
    assert (after.status, (after.error or {}).get("code")) == (status, code)
    assert (records.jobs.eligible("gpu") > 0) == (status is BatchStatus.RUNNING)
    assert after.invalid == invalid


def test_left_out_inputs_make_an_end_with_errors(records: Records) -> None:
    batch = records.batches.add("local", SPEC)
    read(records, batch, 1, invalid=1)
    do_chunk(records)
    finish(records)
    assert records.batches.get("local", batch.id).status is BatchStatus.COMPLETED_WITH_ERRORS


def test_a_batch_fails_where_its_inputs_cannot_be_read(records: Records) -> None:
    batch = records.batches.add("local", SPEC)
    records.jobs.fail(claimed(records.jobs, "cpu"), ERROR)
    after = records.batches.get("local", batch.id)
    assert (after.status, after.error) == (BatchStatus.FAILED, ERROR)
    with pytest.raises(BatchEnded):
        records.batches.pause("local", batch.id, True)
    with pytest.raises(BatchEnded):
        records.batches.request_cancel("local", batch.id)


def test_pause_holds_queued_chunks_and_makes_running_ones_give_way(records: Records) -> None:
    batch = begun(records, 3, ready=1)
    running = claimed(records.jobs, "gpu")
    assert not records.jobs.outranked(running.job)
    assert records.batches.pause("local", batch.id, True).paused
    assert records.jobs.eligible("gpu") == 0
    assert records.jobs.outranked(running.job)
    back = records.jobs.requeue(running, reason="gave_way", count=Count.DRAINS)
    assert records.jobs.get("local", back.id).not_before >= HELD_UNTIL
    assert records.jobs.claim("gpu", "w", lease_s=60) is None
    assert not records.batches.pause("local", batch.id, False).paused
    assert records.jobs.eligible("gpu") == 2
    for _ in range(3):
        do_chunk(records)
    finish(records)
    assert records.batches.get("local", batch.id).status is BatchStatus.SUCCEEDED


def test_a_chunk_that_ends_while_paused_brings_none_in_and_resuming_does(records: Records) -> None:
    batch = begun(records, 3, ready=1)
    claim = claimed(records.jobs, "gpu")
    records.batches.pause("local", batch.id, True)
    records.jobs.succeed(claim, {"ledger.jsonl": LEDGER}, GOOD)
    assert records.jobs.eligible("gpu") == 0
    records.batches.pause("local", batch.id, False)
    assert records.jobs.eligible("gpu") == 1


def test_cancel_ends_queued_chunks_at_once_and_waits_for_running_ones(records: Records) -> None:
    batch = begun(records, 5, ready=2)
    do_chunk(records)
    running = claimed(records.jobs, "gpu")
    after = records.batches.request_cancel("local", batch.id)
    assert (after.status, after.cancel_requested) == (BatchStatus.RUNNING, True)
    assert records.jobs.eligible("gpu") == 0
    assert records.jobs.get("local", running.job.id).cancel_requested
    assert records.batches.canceling() == (after,)
    records.jobs.canceled(running)
    assert records.batches.get("local", batch.id).status is BatchStatus.FINISHING
    assert records.batches.canceling() == ()
    finish(records)
    ended = records.batches.get("local", batch.id)
    assert ended.status is BatchStatus.CANCELED
    tally = records.batches.tally(batch.id)
    assert (tally.succeeded, tally.canceled) == (10, 30), "two of the five chunks never had their turn"
    assert records.jobs.claim("gpu", "w", lease_s=60) is None


def test_a_batch_can_be_canceled_while_its_inputs_are_read_and_while_paused(records: Records) -> None:
    reading = records.batches.add("local", SPEC)
    assert records.batches.request_cancel("local", reading.id).status is BatchStatus.CANCELED
    paused = begun(records, 3)
    records.batches.pause("local", paused.id, True)
    assert records.batches.request_cancel("local", paused.id).status is BatchStatus.FINISHING
    finish(records)
    assert records.batches.get("local", paused.id).status is BatchStatus.CANCELED


def test_a_new_priority_is_that_of_all_chunks_also_of_later_ones(records: Records) -> None:
    batch = begun(records, 3, ready=1)
    assert records.batches.set_priority("local", batch.id, Priority.STANDARD).priority is Priority.STANDARD
    assert [claimed(records.jobs, "gpu").job.priority for _ in range(3)] == [Priority.STANDARD] * 3


def test_a_chunk_lost_with_its_worker_is_claimed_again_and_no_further_one_comes_in(records: Records) -> None:
    batch = begun(records, 3, ready=1)
    first = claimed(records.jobs, "gpu")
    records.jobs.release("w:1:gpu", 1, cause="killed", max_lost=3)
    assert records.jobs.eligible("gpu") == 2
    again = claimed(records.jobs, "gpu")
    assert (again.job.id, again.job.attempt) == (first.job.id, 2)
    assert records.jobs.eligible("gpu") == 1
    assert records.batches.get("local", batch.id).status is BatchStatus.RUNNING


def test_batches_of_one_tenant_take_turns(records: Records) -> None:
    one, two = begun(records, 3, ready=1), begun(records, 3, ready=1)
    order = [claimed(records.jobs, "gpu").job.batch_id for _ in range(6)]
    assert order == [one.id, two.id, one.id, two.id, one.id, two.id]


def test_a_key_gives_the_same_batch_again_and_refuses_another_request(batches: Batches) -> None:
    key = IdempotencyKey("k", "d" * 64)
    batch = batches.add("local", SPEC, idempotency=key)
    assert batches.added("local", key) == batch
    assert batches.add("local", SPEC, idempotency=key).id == batch.id
    with pytest.raises(KeyReused):
        batches.add("local", SPEC, idempotency=IdempotencyKey("k", "e" * 64))
    assert batches.added("local", IdempotencyKey("other", "d" * 64)) is None


def test_lists_are_of_the_tenant_newest_first_and_by_status(records: Records) -> None:
    one, two = records.batches.add("local", SPEC), records.batches.add("local", SPEC)
    records.batches.add("somebody", SPEC)
    page = records.batches.list("local", limit=1)
    assert [batch.id for batch in page.items] == [two.id]
    assert [batch.id for batch in records.batches.list("local", cursor=page.next_cursor).items] == [one.id]
    records.batches.request_cancel("local", one.id)
    canceled = records.batches.list("local", status=BatchStatus.CANCELED).items
    assert [batch.id for batch in canceled] == [one.id]


def test_what_an_open_batch_names_is_not_deleted(records: Records) -> None:
    image = Image("1" * 32, "local", "mask", REF, 8, 8, None, 0.0)
    records.library.add_image(image)
    batch = begun(records, 1)
    named = records.batches.add("local", SPEC | {"spec": {"kind": "edit", "mask": image.id}})
    with pytest.raises(ImageInUse):
        records.library.delete_image("local", image.id)
    records.batches.request_cancel("local", named.id)
    assert records.library.delete_image("local", image.id).id == image.id
    assert records.batches.get("local", batch.id).status is BatchStatus.RUNNING


def test_outputs_of_a_batch_expire_as_a_whole_and_its_rows_go_later(records: Records) -> None:
    batch = begun(records, 1)
    job = do_chunk(records)
    assert records.retention.expire_outputs(kept_s=0.0) == ()
    assert records.retention.expire_batches(kept_s=0.0) == (), "it has not ended"
    finish(records)
    assert records.retention.purge_jobs(kept_s=0.0) == 0
    keys = records.retention.expire_batches(kept_s=0.0)
    assert sorted(keys) == sorted([ITEMS.key, LEDGER.key, REF.key])
    gone = records.batches.get("local", batch.id)
    assert gone.files == {}
    assert gone.outputs_expired_at is not None
    assert records.jobs.get("local", job.id).outputs == {}
    assert records.retention.expire_batches(kept_s=0.0) == ()
    assert records.retention.purge_batches(kept_s=0.0) == 1
    assert records.batches.list("local").items == ()
    assert records.jobs.eligible("cpu") == 0


def test_chunks_of_another_batch_are_refused(records: Records) -> None:
    records.batches.add("local", SPEC)
    other = records.batches.add("local", SPEC)
    claim = claimed(records.jobs, "cpu")
    with pytest.raises(ValueError, match="of another"):
        records.jobs.succeed(
            claim, {}, {"items": 1}, kept=Kept(chunks=(Chunk(other.id, 0, 0, 1, "c" * 64, 1),))
        )
    assert records.jobs.get("local", claim.job.id).status is Status.RUNNING
