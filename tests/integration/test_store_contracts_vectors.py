"""What every library does with editing vectors and inversions, and what a job leaves in it: memory, SQLite,
PostgreSQL.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import pytest
from job_steps import ERROR, claimed, take, together
from sqlalchemy import update
from store_records import Records
from test_store_contracts_library import image, model

from storage.errors import (
    Forbidden,
    LeaseLost,
    ModelInUse,
    ModelNotFound,
    StorageUnavailable,
    VectorInUse,
    VectorNotFound,
)
from storage.library_records import Inversion, Kept, Vector
from storage.library_tables import INVERSIONS
from storage.memory import MemoryLibrary
from storage.objects import output_key, vector_key
from storage.records import Claim, ObjectRef, Status, new_id
from storage.stores import Jobs, Library

DIGEST = "d" * 64


def ref(key: str) -> ObjectRef:
    return ObjectRef(key, "0" * 64, 3, "application/octet-stream")


def vector(tenant_id: str = "local", **members: Any) -> Vector:
    vector_id = members.pop("id", new_id())
    fresh = Vector(
        id=vector_id, tenant_id=tenant_id, name="larger wheels", model="cars", model_digest="1" * 64,
        generator_sha256="2" * 64,
        editing_type="wheel grows", tags=("starter", "ö 車"), q_edit=("tyre", "rim"),
        files={"delta_w": ref(vector_key(tenant_id, vector_id * 2))}, facts={"lambda_rgb": 15.0},
        report={"strengths": [0.5, 1.0]}, job_id=None, created_at=0.0,
    )  # fmt: skip
    return dataclasses.replace(fresh, **members)


def left_by(claim: Claim, **members: Any) -> Vector:
    """A vector that lies among the outputs of this attempt."""
    job = claim.job
    key = output_key(job.tenant_id, job.id, job.attempt, "delta_w.safetensors")
    return vector(job.tenant_id, **{"files": {"delta_w": ref(key)}, "job_id": job.id, **members})


def inversion(claim: Claim, digest: str = DIGEST, **members: Any) -> Inversion:
    job = claim.job
    key = output_key(job.tenant_id, job.id, job.attempt, "w_plus.safetensors")
    fresh = Inversion(job.tenant_id, digest, {"w_plus": ref(key)}, {"psnr_db": 30.5}, job.id, 0.0)
    return dataclasses.replace(fresh, **members)


def names(library: Library, **filters: Any) -> list[str]:
    return [found.name for found in library.list_vectors("local", **filters).items]


def test_a_vector_is_kept_as_it_was_given(library: Library) -> None:
    given = vector()
    kept = library.put_vector(given)
    assert kept == dataclasses.replace(given, created_at=kept.created_at)
    assert abs(kept.created_at - time.time()) < 60
    assert library.get_vector("local", given.id) == kept
    assert library.list_vectors("local").items == (kept,)


def test_a_vector_of_somebody_else_is_not_there(library: Library) -> None:
    kept = library.put_vector(vector("somebody"))
    deeds: tuple[Callable[..., object], ...] = (
        library.get_vector, library.delete_vector, library.change_vector
    )  # fmt: skip
    for ask in deeds:
        with pytest.raises(VectorNotFound):
            ask("local", kept.id)
    assert library.list_vectors("local").items == ()
    assert library.get_vector("somebody", kept.id) == kept


def test_the_systems_vectors_are_for_all_to_read_and_for_none_to_change(library: Library) -> None:
    kept = library.put_vector(vector("system"))
    assert library.get_vector("local", kept.id) == kept
    assert library.list_vectors("local").items == (kept,)
    with pytest.raises(Forbidden):
        library.change_vector("local", kept.id, name="mine")
    with pytest.raises(Forbidden):
        library.delete_vector("local", kept.id)
    assert library.get_vector("local", kept.id) == kept


def test_put_again_a_vector_is_replaced_and_keeps_its_age(library: Library) -> None:
    first = library.put_vector(vector())
    again = library.put_vector(dataclasses.replace(first, name="wheels", report={}, created_at=1.0))
    assert again == dataclasses.replace(first, name="wheels", report={})
    assert library.list_vectors("local").items == (again,)


def test_an_id_is_never_taken_from_its_tenant(library: Library) -> None:
    kept = library.put_vector(vector("somebody"))
    with pytest.raises(ValueError, match="another tenant"):
        library.put_vector(vector("local", id=kept.id))
    assert library.get_vector("somebody", kept.id) == kept


def test_vectors_are_found_by_model_type_tag_and_text(library: Library) -> None:
    library.put_vector(vector(name="Smile", model="faces", editing_type="mouth grows", tags=("starter",)))
    library.put_vector(vector(name="100% Größer", tags=('say "hi"', "a_b")))
    library.put_vector(vector(name="1000 wheels", editing_type="tyre turns", tags=()))
    assert names(library, model="faces") == ["Smile"]
    assert names(library, editing_type="tyre turns") == ["1000 wheels"]
    assert names(library, tag="starter") == ["Smile"]
    assert names(library, tag='say "hi"') == ["100% Größer"]
    assert names(library, tag="start") == names(library, tag="hi") == names(library, tag="STARTER") == []
    assert names(library, text="smil") == ["Smile"]
    assert names(library, text="GRÖSSER") == ["100% Größer"]
    assert names(library, text="0%") == names(library, text="A_B") == ["100% Größer"]
    assert names(library, text="wheel") == ["1000 wheels", "100% Größer"]
    assert names(library, text="wheel", model="cars", tag="a_b") == ["100% Größer"]


def test_vectors_are_listed_newest_first_while_others_come_and_go(library: Library) -> None:
    ids = [library.put_vector(vector("local" if i % 2 else "system")).id for i in range(5)]
    first = library.list_vectors("local", limit=2)
    library.put_vector(vector())
    library.delete_vector("local", ids[3])  # where the cursor points
    second = library.list_vectors("local", limit=2, cursor=first.next_cursor)
    third = library.list_vectors("local", limit=2, cursor=second.next_cursor)
    assert [item.id for page in (first, second, third) for item in page.items] == ids[::-1]
    assert third.next_cursor is None


def test_what_is_changed_is_found_by_its_new_names(library: Library) -> None:
    kept = library.put_vector(vector())
    assert library.change_vector("local", kept.id) == kept
    changed = library.change_vector("local", kept.id, name="Räder", tags=["b", "a"], editing_type="rim")
    assert changed == dataclasses.replace(kept, name="Räder", tags=("b", "a"), editing_type="rim")
    assert library.get_vector("local", kept.id) == changed
    assert library.change_vector("local", kept.id, tags=[]).tags == ()
    assert names(library, text="RÄDER") == ["Räder"]
    assert names(library, text="larger") == names(library, tag="a") == []


@pytest.mark.parametrize("started", [False, True])
def test_a_vector_that_an_open_job_names_stays(library: Library, jobs: Jobs, started: bool) -> None:
    kept = library.put_vector(vector())
    job = jobs.add("local", "apply", {"vectors": [{"vector": kept.id, "strength": 1.0}]})
    if started:
        take(jobs)
    with pytest.raises(VectorInUse) as caught:
        library.delete_vector("local", kept.id)
    assert job.id in caught.value.detail
    assert library.get_vector("local", kept.id) == kept
    jobs.request_cancel("local", job.id)
    if started:
        return
    assert library.delete_vector("local", kept.id) == kept
    with pytest.raises(VectorNotFound):
        library.get_vector("local", kept.id)


def test_jobs_of_others_hold_the_systems_vectors_and_no_tenants(library: Library, jobs: Jobs) -> None:
    mine, systems = library.put_vector(vector()), library.put_vector(vector("system"))
    jobs.add("somebody", "apply", {"vectors": [{"vector": mine.id}, {"vector": systems.id}]})
    library.delete_vector("local", mine.id)
    with pytest.raises(VectorInUse):
        library.delete_vector("system", systems.id)


def test_what_a_job_keeps_is_there_with_its_success_and_once(library: Library, jobs: Jobs) -> None:
    claim = claimed(jobs)
    learned, own = left_by(claim), model("local", "mine")
    kept = Kept(vectors=(learned,), models=(own,), inversions=(inversion(claim),))
    job = jobs.succeed(claim, {}, {"steps": 3}, kept=kept)
    found = library.get_vector("local", learned.id)
    assert found == dataclasses.replace(learned, created_at=found.created_at)
    assert library.get_model("local", "mine").digest == own.digest
    saved = library.inversion("local", DIGEST)
    assert saved == dataclasses.replace(inversion(claim), created_at=saved and saved.created_at)
    library.change_vector("local", learned.id, name="renamed meanwhile")
    assert jobs.succeed(claim, {}, {}, kept=kept) == job  # one's own success, found again
    assert [v.name for v in library.list_vectors("local").items] == ["renamed meanwhile"]


def test_who_was_cut_off_keeps_nothing(library: Library, jobs: Jobs) -> None:
    claim = claimed(jobs, lease_s=-1.0)
    jobs.expire(max_lost=9)
    with pytest.raises(LeaseLost):
        jobs.succeed(claim, {}, {}, kept=Kept((left_by(claim),), (model("local", "mine"),)))
    assert library.list_vectors("local").items == ()
    with pytest.raises(ModelNotFound):
        library.get_model("local", "mine")


@pytest.mark.parametrize("owner", ["system", "somebody"])
def test_a_job_keeps_nothing_for_others(library: Library, jobs: Jobs, owner: str) -> None:
    systems = library.put_model(model("system"))
    claim = claimed(jobs)
    mine, forged = left_by(claim), model(owner, digest="2" * 64)
    for kept in (
        Kept(vectors=(mine, vector(owner))),
        Kept(vectors=(mine,), models=(forged,)),
        Kept(vectors=(mine,), inversions=(inversion(claim, tenant_id=owner),)),
    ):
        with pytest.raises(ValueError, match=owner):
            jobs.succeed(claim, {}, {}, kept=kept)
    assert jobs.get("local", claim.job.id).status is Status.RUNNING
    assert library.list_vectors("local").items == library.list_vectors("somebody").items == ()
    assert library.get_model("local", "cars") == systems
    jobs.fail(claim, ERROR)


def test_a_jobs_model_replaces_the_tenants_and_hides_the_systems(library: Library, jobs: Jobs) -> None:
    systems = library.put_model(model("system"))
    library.put_model(model("local", digest="2" * 64))
    jobs.succeed(claimed(jobs), {}, {}, kept=Kept(models=(model("local", digest="3" * 64),)))
    assert library.get_model("local", "cars").digest == "3" * 64
    assert library.get_model("somebody", "cars") == systems


def test_nothing_is_kept_on_an_object_that_is_being_removed(records: Records) -> None:
    jobs, library, retention = records.jobs, records.library, records.retention
    gone = vector_key("local", "a" * 64)
    retention.mark([gone])
    assert retention.condemn([gone]) == {gone}
    named = {"delta_w": ref(gone)}
    with pytest.raises(StorageUnavailable):
        library.put_vector(vector(files=named))
    claim = claimed(jobs)
    with pytest.raises(StorageUnavailable):
        jobs.succeed(claim, {}, {}, kept=Kept((left_by(claim), left_by(claim, files=named))))
    assert jobs.get("local", claim.job.id).status is Status.RUNNING
    assert library.list_vectors("local").items == ()
    retention.forget([gone])
    jobs.succeed(claim, {}, {}, kept=Kept((left_by(claim, files=named),)))
    assert retention.unneeded([gone]) == frozenset()


def test_what_the_library_names_outlives_its_job(records: Records) -> None:
    jobs, library, retention = records.jobs, records.library, records.retention
    claim = claimed(jobs)
    learned, saved = left_by(claim), inversion(claim)
    objects = [learned.files["delta_w"].key, saved.files["w_plus"].key]
    other = output_key("local", claim.job.id, 1, "edited.png")
    outputs = {"edited.png": ref(other), "delta_w.safetensors": learned.files["delta_w"]}
    jobs.succeed(claim, outputs, {}, kept=Kept(vectors=(learned,), inversions=(saved,)))
    assert retention.unneeded([*objects, other]) == frozenset()
    assert len(retention.expire_outputs(kept_s=-1)) == 1
    assert retention.unneeded([*objects, other]) == {other}
    assert retention.purge_jobs(kept_s=-1) == 1
    assert retention.unneeded([*objects, other]) == {other}
    assert library.get_vector("local", learned.id).job_id == claim.job.id
    retention.mark(objects)
    assert retention.condemn(objects) == frozenset()
    library.delete_vector("local", learned.id)
    assert retention.unneeded(objects) == {objects[0]}
    assert retention.expire_inversions(kept_s=-1) == 1
    assert retention.unneeded(objects) == set(objects)


def test_what_a_replaced_vector_named_is_free(records: Records) -> None:
    library, retention = records.library, records.retention
    first = library.put_vector(vector())
    second = library.put_vector(
        dataclasses.replace(first, files={"delta_w": ref(vector_key("local", "b" * 64))})
    )
    before, after = first.files["delta_w"].key, second.files["delta_w"].key
    assert retention.unneeded([before, after]) == {before}


def test_an_inversion_is_found_by_its_tenant_and_digest(library: Library, jobs: Jobs) -> None:
    claim = claimed(jobs)
    jobs.succeed(claim, {}, {}, kept=Kept(inversions=(inversion(claim),)))
    assert library.inversion("local", "e" * 64) is None
    assert library.inversion("somebody", DIGEST) is None
    again = claimed(jobs)
    jobs.succeed(again, {}, {}, kept=Kept(inversions=(inversion(again, facts={"psnr_db": 31.0}),)))
    saved = library.inversion("local", DIGEST)
    assert saved is not None
    assert (saved.facts, saved.job_id) == ({"psnr_db": 31.0}, again.job.id)


def unused_for(records: Records, seconds: float) -> None:
    """Let all inversions have been used so much longer ago."""
    if isinstance(records.library, MemoryLibrary):
        for saved in records.library.inversions.values():
            saved.used_at -= seconds
        return
    assert records.database is not None
    with records.database.write() as connection:
        connection.execute(update(INVERSIONS).values(used_at=INVERSIONS.c.used_at - seconds))


def test_inversions_that_nobody_used_for_long_are_forgotten(records: Records) -> None:
    jobs, library, retention = records.jobs, records.library, records.retention
    digests = [letter * 64 for letter in "abcde"]
    claim = claimed(jobs)
    jobs.succeed(claim, {}, {}, kept=Kept(inversions=tuple(inversion(claim, d) for d in digests)))
    assert retention.expire_inversions(kept_s=60) == 0
    unused_for(records, 120)
    assert library.inversion("local", digests[2]) is not None  # and so it is used
    assert retention.expire_inversions(kept_s=60, limit=3) == 3
    assert retention.expire_inversions(kept_s=60, limit=3) == 1
    assert [d for d in digests if library.inversion("local", d) is not None] == [digests[2]]


def test_an_inversion_goes_with_the_last_picture_of_its_file(records: Records) -> None:
    jobs, library, retention = records.jobs, records.library, records.retention
    one, same, other = (library.add_image(image()) for _ in range(3))
    theirs = library.add_image(image("somebody"))
    of_file, of_another, of_unknown = (letter * 64 for letter in "abc")
    claim = claimed(jobs)
    saved = inversion(claim, of_file, picture_sha256=one.object.sha256)
    kept = (saved, inversion(claim, of_another, picture_sha256="9" * 64), inversion(claim, of_unknown))
    jobs.succeed(claim, {}, {}, kept=Kept(inversions=kept))
    for picture in (one, same):
        library.delete_image("local", picture.id)
        found = library.inversion("local", of_file)
        assert found is not None
        assert found.picture_sha256 == one.object.sha256
    library.delete_image("somebody", theirs.id)
    assert library.inversion("local", of_file) is not None
    library.delete_image("local", other.id)
    assert library.inversion("local", of_file) is None
    assert retention.unneeded([saved.files["w_plus"].key]) == frozenset()  # another two name it
    assert library.inversion("local", of_another) is not None
    assert library.inversion("local", of_unknown) is not None


def test_an_inversion_goes_when_its_pictures_are_deleted_at_once(records: Records) -> None:
    jobs, library = records.jobs, records.library
    for _ in range(4):
        pictures = [library.add_image(image()) for _ in range(2)]
        claim = claimed(jobs)
        saved = inversion(claim, picture_sha256=pictures[0].object.sha256)
        jobs.succeed(claim, {}, {}, kept=Kept(inversions=(saved,)))
        together(*(functools.partial(library.delete_image, "local", each.id) for each in pictures))
        assert library.inversion("local", DIGEST) is None


def test_what_is_kept_is_never_removed_at_the_same_moment(records: Records) -> None:
    jobs, library, retention = records.jobs, records.library, records.retention
    for _ in range(8):
        claim = claimed(jobs)
        learned = left_by(claim)
        key = learned.files["delta_w"].key
        retention.mark([key])
        ended, condemned = together(
            lambda claim=claim, learned=learned: jobs.succeed(claim, {}, {}, kept=Kept((learned,))),
            lambda key=key: retention.condemn([key]),
        )
        assert condemned == frozenset()
        assert getattr(ended, "status", ended) is Status.SUCCEEDED
        assert library.get_vector("local", learned.id).files == learned.files


def test_a_model_is_deleted_with_the_vectors_that_fit_it(library: Library, jobs: Jobs) -> None:
    library.put_model(model("local", "mine"))
    fitting = library.put_vector(vector("local", model="mine", model_digest="1" * 64))
    other = library.put_vector(vector("local", model="mine", model_digest="2" * 64))
    library.put_vector(vector("somebody", model="mine", model_digest="1" * 64))
    job = jobs.add("local", "sample", {"model": "mine"})
    with pytest.raises(ModelInUse, match=job.id):
        library.delete_model("local", "mine")
    jobs.request_cancel("local", job.id)
    assert library.delete_model("local", "mine").name == "mine"
    assert [each.id for each in library.list_vectors("local").items] == [other.id]
    assert fitting.id not in [each.id for each in library.list_vectors("local").items]
    assert len(library.list_vectors("somebody").items) == 1
    with pytest.raises(ModelNotFound):
        library.delete_model("local", "mine")
