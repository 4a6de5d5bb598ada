"""What every library and every lock does: memory, SQLite, PostgreSQL."""

import contextlib
import dataclasses
import threading
import time
from typing import Any

import pytest
from job_steps import ERROR, REF, claimed

from storage.errors import Forbidden, ImageInUse, ImageNotFound, ModelNotFound
from storage.library_records import Model, Part
from storage.objects import image_key
from storage.records import Image, ObjectRef, new_id
from storage.stores import Jobs, Library, Locks


def image(tenant_id: str = "local", *, content: str = "a", filename: str | None = "car.png") -> Image:
    ref = ObjectRef(image_key(tenant_id, content * 64), content * 64, 9, "image/png")
    return Image(new_id(), tenant_id, "picture", ref, 64, 48, filename, 0.0)


def model(tenant_id: str = "system", name: str = "cars", digest: str = "1" * 64) -> Model:
    parts = (Part(0, "background", (0, 0, 0)), Part(1, "tyre", (200, 10, 10)), Part(2, "rim", (9, 9, 9)))
    groups = {"wheel": ("tyre", "rim")}
    card = {"licence": "MIT", "figures": {"psnr_db": 27.5}}
    return Model(new_id(), tenant_id, name, digest, 64, parts, groups, {"generator": REF}, card, 0.0)


def test_an_image_is_kept_as_it_was_given(library: Library) -> None:
    given = image()
    kept = library.add_image(given)
    assert kept == dataclasses.replace(given, created_at=kept.created_at)
    assert abs(kept.created_at - time.time()) < 60  # the database's clock, not the caller's
    assert library.get_image("local", given.id) == kept


def test_an_image_belongs_to_its_tenant(library: Library) -> None:
    kept = library.add_image(image("somebody"))
    for ask in (library.get_image, library.delete_image):
        with pytest.raises(ImageNotFound):
            ask("local", kept.id)
    assert library.list_images("local").items == ()
    assert library.get_image("somebody", kept.id) == kept


@pytest.mark.parametrize(
    ("filename", "kept"),
    [(None, None), ("a\0b.png", "ab.png"), ("\udc80.png", "?.png"), ("ö 車.png", "ö 車.png")],
)
def test_any_file_name_can_be_kept(library: Library, filename: str | None, kept: str | None) -> None:
    assert library.add_image(image(filename=filename)).filename == kept


def test_images_are_listed_newest_first_while_others_come_and_go(library: Library) -> None:
    ids = [library.add_image(image()).id for _ in range(5)]
    first = library.list_images("local", limit=2)
    library.add_image(image())
    library.delete_image("local", ids[3])  # where the cursor points
    second = library.list_images("local", limit=2, cursor=first.next_cursor)
    third = library.list_images("local", limit=2, cursor=second.next_cursor)
    assert [item.id for page in (first, second, third) for item in page.items] == ids[::-1]
    assert third.next_cursor is None


def test_a_deleted_image_is_gone_and_its_object_free(library: Library) -> None:
    one, same = library.add_image(image()), library.add_image(image())
    assert library.delete_image("local", one.id) == one
    assert library.names_object(one.object.key)
    library.delete_image("local", same.id)
    assert not library.names_object(one.object.key)
    with pytest.raises(ImageNotFound):
        library.get_image("local", one.id)
    with pytest.raises(ImageNotFound):
        library.delete_image("local", one.id)


@pytest.mark.parametrize("member", ["image", "mask", "mask_operations"])
def test_an_image_that_an_open_job_names_stays(library: Library, jobs: Jobs, member: str) -> None:
    kept = library.add_image(image())
    jobs.add("local", "edit", {"image": "f" * 32, "mask": None})
    claim = claimed_naming(jobs, member, kept.id)
    with pytest.raises(ImageInUse) as caught:
        library.delete_image("local", kept.id)
    assert claim in caught.value.detail
    assert library.get_image("local", kept.id) == kept
    jobs.request_cancel("local", claim)
    library.delete_image("local", kept.id)


@pytest.mark.parametrize("listed", [False, True], ids=["edit", "apply"])
def test_an_image_that_an_open_job_pastes_into_stays(library: Library, jobs: Jobs, listed: bool) -> None:
    """It names an inversion, and that one the image."""
    kept, other = library.add_image(image()), library.add_image(image())
    inversion = jobs.add("local", "invert", {"image": kept.id})
    jobs.add("somebody", "invert", {"image": other.id})
    jobs.request_cancel("local", inversion.id)
    jobs.add("local", "edit", {"inversion": inversion.id, "photo": None})
    jobs.add("local", "apply", {"inputs": [{"inversion": inversion.id, "photo": None}], "photo": None})
    library.delete_image("local", other.id)
    pasting: dict[str, Any] = {"inversion": inversion.id, "photo": {"paste": "auto"}}
    spec = {"inputs": [{"seed": 1, "photo": None}, pasting], "photo": None} if listed else pasting
    waiting = jobs.add("local", "apply" if listed else "edit", spec)
    with pytest.raises(ImageInUse) as caught:
        library.delete_image("local", kept.id)
    assert waiting.id in caught.value.detail
    jobs.request_cancel("local", waiting.id)
    library.delete_image("local", kept.id)


def claimed_naming(jobs: Jobs, member: str, image_id: str) -> str:
    named = [{"op": "copy", "part": "rim", "mask": image_id}] if member == "mask_operations" else image_id
    return jobs.add("local", "edit", {"kind": "edit", member: named}).id


def test_a_running_job_keeps_its_image_and_an_ended_one_does_not(library: Library, jobs: Jobs) -> None:
    kept = library.add_image(image())
    claim = claimed(jobs, image=kept.id)
    with pytest.raises(ImageInUse):
        library.delete_image("local", kept.id)
    jobs.fail(claim, ERROR)
    library.delete_image("local", kept.id)


def test_a_model_is_kept_as_it_was_given(library: Library) -> None:
    given = model()
    kept = library.put_model(given)
    assert kept == dataclasses.replace(given, created_at=kept.created_at)
    assert library.get_model("local", "cars") == kept
    assert library.list_models("local") == (kept,)
    with pytest.raises(ModelNotFound) as caught:
        library.get_model("local", "boats")
    assert caught.value.field == "model"


def test_the_same_digest_again_changes_nothing_and_another_replaces(library: Library) -> None:
    first = library.put_model(model())
    assert library.put_model(model()) == first
    second = library.put_model(model(digest="2" * 64))
    assert second.digest == "2" * 64
    assert second.id != first.id
    assert library.list_models("local") == (second,)


def test_a_tenants_own_model_hides_the_systems(library: Library) -> None:
    system = library.put_model(model())
    library.put_model(model("somebody", "boats"))
    own = library.put_model(model("local", digest="2" * 64))
    assert library.get_model("local", "cars") == own
    assert library.get_model("somebody", "cars") == system
    assert [m.name for m in library.list_models("somebody")] == ["boats", "cars"]
    with pytest.raises(ModelNotFound):
        library.get_model("local", "boats")


def test_models_put_by_many_at_once_are_one(library: Library) -> None:
    put: list[Model] = []
    threads = [threading.Thread(target=lambda: put.append(library.put_model(model()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({m.id for m in put}) == 1
    assert library.list_models("local") == (put[0],)


def test_a_lock_has_one_holder(locks: Locks) -> None:
    with locks.hold("pass", lease_s=60) as mine, locks.hold("pass", lease_s=60) as theirs:
        assert (mine, theirs) == (True, False)
        with locks.hold("other", lease_s=60) as other:
            assert other
    with locks.hold("pass", lease_s=60) as again:
        assert again


def test_who_did_not_get_a_lock_does_not_free_it(locks: Locks) -> None:
    with locks.hold("pass", lease_s=60):
        with locks.hold("pass", lease_s=60) as second:
            assert not second
        with locks.hold("pass", lease_s=60) as third:
            assert not third


def test_a_lock_that_was_left_expires_and_its_old_holder_frees_nothing(locks: Locks) -> None:
    with contextlib.ExitStack() as late:
        assert late.enter_context(locks.hold("pass", lease_s=0.05))
        time.sleep(0.1)
        with locks.hold("pass", lease_s=60) as mine:
            assert mine
            late.close()
            with locks.hold("pass", lease_s=60) as third:
                assert not third


def test_a_lock_is_freed_by_an_error(locks: Locks) -> None:
    with pytest.raises(RuntimeError, match="inside"), locks.hold("pass", lease_s=60):
        raise RuntimeError("inside")
    with locks.hold("pass", lease_s=60) as mine:
        assert mine


def test_a_model_of_the_systems_is_seen_again_and_not_deleted(library: Library) -> None:
    library.put_model(model("system", "cars", "1" * 64))
    library.put_model(model("local", "cars", "2" * 64))
    library.delete_model("local", "cars")
    assert library.get_model("local", "cars").digest == "1" * 64
    with pytest.raises(Forbidden):
        library.delete_model("local", "cars")
