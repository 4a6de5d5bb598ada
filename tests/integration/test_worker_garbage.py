"""The garbage collector finds what nobody needs, and takes nothing of others, whoever works beside it."""

import dataclasses
import hashlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from job_steps import ERROR, claimed
from PIL import Image as Pillow
from store_records import Records
from test_store_contracts_library import model
from test_store_contracts_races import together
from webhook_receiver import until

from api.app import create_app
from storage.errors import StorageUnavailable
from storage.library_records import Kept, Model, Part
from storage.memory import MemoryObjects, MemoryProgressBoard, memory_stores
from storage.objects import FileObjects, checkpoint_key, image_key, job_prefix, model_key, output_key
from storage.rates import MemoryRates
from storage.records import Claim, Count, ObjectRef, new_id
from storage.settings import Settings
from storage.sources import MemorySource, Sources
from storage.stores import Objects, Stores
from workers.garbage import KEYS_AT_ONCE, Garbage

AT_ONCE = 1e-6  # of grace
NO_SOURCES = Sources(lambda _tenant_id: MemorySource(), {})


def stores_of(records: Records, objects: Objects) -> Stores:
    board = MemoryProgressBoard()
    upkeep = (records.locks, records.outbox, records.retention)
    return Stores(
        records.jobs,
        records.library,
        objects,
        board,
        *upkeep,
        records.batches,
        NO_SOURCES,
        records.keys,
        records.limits,
        MemoryRates(),
    )


@pytest.fixture
def stores(records: Records, tmp_path: Path) -> Stores:
    """Records in each backend, objects in files."""
    return stores_of(records, FileObjects(tmp_path / "objects"))


def garbage(stores: Stores, *, grace_s: float = AT_ONCE, **members: Any) -> Garbage:
    return Garbage(stores, Settings(garbage_grace_s=grace_s, **members))


def put(stores: Stores, key: str) -> ObjectRef:
    return stores.objects.put(key, key.encode(), "application/octet-stream")


def kept(stores: Stores) -> set[str]:
    return set(stores.objects.list(""))


def picture() -> bytes:
    buffer = io.BytesIO()
    Pillow.new("RGB", (40, 30), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def service(stores: Stores) -> FlaskClient:
    return create_app(Settings(), stores, lambda queue, job_id: None).test_client()


def uploaded(client: FlaskClient) -> str:
    """The id of the picture, sent until it is taken, as callers do."""
    answers = iter(lambda: client.post("/v1/images", data=picture(), content_type="image/png"), None)
    answer = next(answer for answer in answers if answer.status_code != 503)
    assert answer.status_code == 201, answer.text
    return str(answer.get_json()["id"])


def image_of(stores: Stores) -> ObjectRef:
    return stores.library.get_image("local", uploaded(service(stores))).object


def test_every_kind_of_orphan_is_found_and_nothing_else(stores: Stores) -> None:
    orphans, needed = orphans_of(stores), needed_of(stores)
    foreign = {put(stores, "readme.txt").key, put(stores, "local/weights/vgg.pth").key}
    assert kept(stores) == orphans | needed | foreign
    garbage(stores, grace_s=3600).tidy()
    assert kept(stores) == orphans | needed | foreign  # marked, and waited for
    garbage(stores).tidy()
    assert kept(stores) == needed | foreign
    garbage(stores).tidy()
    assert kept(stores) == needed | foreign


def orphans_of(stores: Stores) -> set[str]:
    jobs = stores.jobs
    cut_off = claimed(jobs, lease_s=-1).job
    ended = claimed(jobs)
    checkpoint = put(stores, checkpoint_key("local", ended.job.id, 1, 10))
    jobs.checkpointed(ended, checkpoint)
    jobs.fail(ended, ERROR)
    jobs.expire(max_lost=1)  # the one that was cut off has failed
    return {
        checkpoint.key,
        put(stores, output_key("local", cut_off.id, 1, "edited.png")).key,
        put(stores, checkpoint_key("local", cut_off.id, 1, 5)).key,
        put(stores, output_key("local", "0" * 32, 3, "of_a_job_that_was_purged.png")).key,
        put(stores, image_key("local", "b" * 64)).key,
        put(stores, model_key("system", "cars", "2" * 64, "generator.safetensors")).key,
    }


def needed_of(stores: Stores) -> set[str]:
    jobs = stores.jobs
    done = claimed(jobs)
    output = put(stores, output_key("local", done.job.id, 1, "edited.png"))
    jobs.succeed(done, {"edited.png": output}, {})
    running = claimed(jobs).job
    waiting = claimed(jobs)
    pointer = put(stores, checkpoint_key("local", waiting.job.id, 1, 10))
    jobs.checkpointed(waiting, pointer)
    jobs.requeue(waiting, reason="drain", count=Count.DRAINS)
    weights = put(stores, model_key("system", "cars", "1" * 64, "generator.safetensors"))
    stores.library.put_model(dataclasses.replace(model(), files={"generator": weights}))
    return {
        output.key,
        pointer.key,
        weights.key,
        put(stores, output_key("local", running.id, 1, "edited.png")).key,
        put(stores, checkpoint_key("local", running.id, 1, 5)).key,
        image_of(stores).key,
    }


def test_the_whole_store_is_looked_through_in_parts(records: Records) -> None:
    stores = stores_of(records, MemoryObjects())
    for number in range(2 * KEYS_AT_ONCE + 1):
        put(stores, image_key("local", f"{number:064x}"))
    needed = image_of(stores).key
    garbage(stores).tidy()
    assert kept(stores) == {needed}


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_garbage_in_a_bucket_is_collected_too(request: pytest.FixtureRequest, server: str) -> None:
    objects = request.getfixturevalue(f"{server}_objects")
    objects.delete(objects.list(""))
    stores = dataclasses.replace(memory_stores(), objects=objects)
    orphans, needed = orphans_of(stores), needed_of(stores)
    assert kept(stores) == orphans | needed
    garbage(stores).tidy()
    assert kept(stores) == needed


def test_weights_that_the_environment_names_are_in_no_record_and_stay(stores: Stores) -> None:
    one, two, _ = (put(stores, model_key("system", "vgg", "3" * 64, f"{n}.pth")).key for n in "abc")
    garbage(stores, perceptual_weights=f"objects:{one}", inception_weights=f"objects:{two}").tidy()
    assert kept(stores) == {one, two}


def test_outputs_expire_and_go(stores: Stores) -> None:
    claim = claimed(stores.jobs)
    output = put(stores, output_key("local", claim.job.id, 1, "edited.png"))
    stores.jobs.succeed(claim, {"edited.png": output}, {})
    garbage(stores, grace_s=3600).tidy()
    assert kept(stores) == {output.key}
    garbage(stores, grace_s=3600, outputs_kept_s=AT_ONCE).tidy()
    assert kept(stores) == set()
    assert stores.jobs.get("local", claim.job.id).outputs_expired_at is not None


def test_what_an_open_job_starts_from_stays_until_it_has_ended(stores: Stores) -> None:
    source = claimed(stores.jobs)
    output = put(stores, output_key("local", source.job.id, 1, "code.safetensors"))
    stores.jobs.succeed(source, {"code.safetensors": output}, {})
    edit = stores.jobs.add("local", "edit", {"inversion": source.job.id})
    strict = garbage(stores, outputs_kept_s=AT_ONCE, jobs_kept_s=AT_ONCE)
    for _ in range(2):
        strict.tidy()
    assert kept(stores) == {output.key}
    stores.jobs.request_cancel("local", edit.id)
    strict.tidy()
    assert kept(stores) == set()
    assert stores.jobs.list("local").items == ()


def test_what_a_purged_job_leaves_is_found(stores: Stores) -> None:
    claim = claimed(stores.jobs)
    for step in (10, 20):
        stores.jobs.checkpointed(claim, put(stores, checkpoint_key("local", claim.job.id, 1, step)))
    stores.jobs.fail(claim, ERROR)
    garbage(stores, outputs_kept_s=AT_ONCE, jobs_kept_s=AT_ONCE).tidy()
    assert stores.jobs.list("local").items == ()
    assert set(stores.objects.list(job_prefix("local", claim.job.id))) == set()


def test_a_store_that_fails_to_delete_is_asked_again_later(records: Records) -> None:
    class Refusing(MemoryObjects):
        refuses = True

        def delete(self, keys: Iterable[str]) -> None:
            if self.refuses:
                raise StorageUnavailable("The object store refused a request.")
            super().delete(keys)

    objects = Refusing()
    stores = stores_of(records, objects)
    orphan = put(stores, image_key("local", "b" * 64)).key
    with pytest.raises(StorageUnavailable):
        garbage(stores).tidy()
    assert kept(stores) == {orphan}
    objects.refuses = False
    garbage(stores).tidy()
    assert kept(stores) == {orphan}  # still in the hands of the one that failed: it may have got through


def test_a_collector_that_was_held_up_removes_nothing(stores: Stores) -> None:
    orphan = put(stores, image_key("local", "b" * 64)).key
    stores.retention.mark([orphan])
    garbage(stores).remove(stores.retention.condemn([orphan]), until=0.0)
    assert kept(stores) == {orphan}
    assert stores.retention.marked(longer_than_s=-1) == ()


class Between(FileObjects):
    """Lets something happen once after an object was put, and once before one is deleted."""

    after_put: Callable[[], object] | None = None
    before_delete: Callable[[], object] | None = None

    def put(self, key: str, data: Any, media_type: str) -> ObjectRef:
        ref = super().put(key, data, media_type)
        happens, self.after_put = self.after_put, None
        if happens is not None:
            happens()
        return ref

    def delete(self, keys: Iterable[str]) -> None:
        happens, self.before_delete = self.before_delete, None
        if happens is not None:
            happens()
        super().delete(keys)


def test_an_upload_of_what_is_just_being_removed_is_kept(records: Records, tmp_path: Path) -> None:
    objects = Between(tmp_path / "objects")
    stores = stores_of(records, objects)
    key = orphaned_picture(stores)
    condemned, refused = threading.Event(), threading.Event()
    objects.before_delete = lambda: (condemned.set(), refused.wait(30))
    collector = threading.Thread(target=garbage(stores).tidy)
    collector.start()
    assert condemned.wait(30)
    objects.after_put = lambda: threading.Timer(0.3, refused.set).start()  # time enough to be refused
    image = image_of(stores)
    collector.join()
    assert image.key == key
    assert stores.objects.get(image) == picture()


def test_an_upload_whose_object_is_removed_before_its_record_is_kept(
    records: Records, tmp_path: Path
) -> None:
    objects = Between(tmp_path / "objects")
    stores = stores_of(records, objects)
    key = orphaned_picture(stores)
    gone: list[bool] = []

    def collect() -> None:
        garbage(stores).tidy()
        gone.append(not stores.objects.exists(key))

    objects.after_put = collect
    image = image_of(stores)
    assert gone == [True]
    assert stores.objects.get(image) == picture()


def orphaned_picture(stores: Stores) -> str:
    key = image_key("local", hashlib.sha256(picture()).hexdigest())
    stores.objects.put(key, picture(), "image/png")
    stores.retention.mark([key])
    return key


@contextmanager
def collecting(stores: Stores, *, collectors: int = 2) -> Iterator[None]:
    """Collectors without any grace, as fast as they can, until the block ends."""
    ended, troubles = threading.Event(), []

    def collect() -> None:
        collector = garbage(stores)
        while not ended.is_set():
            try:
                collector.mark()
                collector.collect()
            except Exception as error:  # noqa: BLE001
                troubles.append(error)
                return

    threads = [threading.Thread(target=collect) for _ in range(collectors)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert troubles == []


def test_uploads_and_deletions_of_one_content_beside_collectors(stores: Stores) -> None:
    app = create_app(Settings(), stores, lambda queue, job_id: None)

    def come_and_go(client: FlaskClient) -> int:
        for _ in range(4):
            url = f"/v1/images/{uploaded(client)}"
            content = client.get(f"{url}/content")
            assert (content.status_code, content.data) == (200, picture())
            assert until(lambda url=url: client.delete(url).status_code != 503)
        return 4

    with collecting(stores):
        assert together(*(lambda: come_and_go(app.test_client()) for _ in range(3))) == [4, 4, 4]
    assert stores.library.list_images("local").items == ()


def test_attempts_beside_collectors_lose_nothing(stores: Stores) -> None:
    def work() -> list[ObjectRef]:
        outputs = []
        for _ in range(4):
            stores.jobs.add("local", "edit", {})
            stores.jobs.requeue(begun(stores), reason="drain", count=Count.DRAINS)
            claim = begun(stores)
            output = put(stores, output_key("local", claim.job.id, claim.job.attempt, "edited.png"))
            stores.jobs.succeed(claim, {"edited.png": output}, {})
            outputs.append(output)
        return outputs

    with collecting(stores):
        made: Any = together(*(work for _ in range(3)))
    outputs = [output for part in made for output in part]
    assert len(outputs) == 12
    for output in outputs:
        stores.objects.get(output)
    garbage(stores).tidy()
    assert kept(stores) == {output.key for output in outputs}


def begun(stores: Stores) -> Claim:
    """An attempt that starts from the checkpoint there is, and keeps two more, one after the other."""
    claim: Claim = until(lambda: stores.jobs.claim("gpu", "w", lease_s=60))
    job = claim.job
    if job.checkpoint is not None:
        stores.objects.get(job.checkpoint)
    for step in (10, 20):
        stores.jobs.checkpointed(claim, put(stores, checkpoint_key("local", job.id, job.attempt, step)))
    return claim


def test_many_workers_make_one_pass_an_interval(stores: Stores) -> None:
    passes: list[str] = []
    asked = threading.Semaphore(0)

    class Counted(Garbage):
        def __init__(self, name: str) -> None:
            super().__init__(stores, Settings(garbage_every_s=3600, housekeeping_s=0.02))
            self._name = name

        def tidy(self) -> None:
            passes.append(self._name)

    class Asking:
        """The locks, and who asks for them."""

        def hold(self, name: str, *, lease_s: float) -> Any:
            asked.release()
            return stores.locks.hold(name, lease_s=lease_s)

    first, second = Counted("first"), Counted("second")
    second._stores = dataclasses.replace(stores, locks=Asking())
    ends = [threading.Event(), threading.Event()]
    threads = [
        threading.Thread(target=worker.run, args=(end,))
        for worker, end in zip((first, second), ends, strict=True)
    ]
    threads[0].start()
    until(lambda: passes == ["first"])
    threads[1].start()
    for _ in range(3):
        assert asked.acquire(timeout=30)
    assert passes == ["first"]
    ends[0].set()  # as a deploy would: another takes over
    until(lambda: passes == ["first", "second"])
    ends[1].set()
    for thread in threads:
        thread.join()


def test_a_model_that_a_job_left_keeps_its_files_when_the_outputs_expire(stores: Stores) -> None:
    """Its files lie among the job's outputs: those that the model names stay, the others go."""
    claim = claimed(stores.jobs)
    weights, sheet = (
        put(stores, output_key("local", claim.job.id, 1, name)) for name in ("generator.safetensors", "s.png")
    )
    files = {"generator": weights}
    model = Model(new_id(), "local", "mine", "d" * 64, 16, (Part(0, "all", (0, 0, 0)),), {}, files, {}, 0.0)
    outputs = {"generator.safetensors": weights, "s.png": sheet}
    stores.jobs.succeed(claim, outputs, {}, kept=Kept(models=(model,)))
    garbage(stores, outputs_kept_s=AT_ONCE).tidy()
    assert kept(stores) == {weights.key}
    assert stores.objects.get(stores.library.get_model("local", "mine").files["generator"])
