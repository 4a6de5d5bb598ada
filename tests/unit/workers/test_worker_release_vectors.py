"""Starter vectors of bundled models, released as the system's."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save
from worker_trial import Trial

from storage.errors import UnreadableVector, VectorMismatch, VectorNotFound
from storage.library_records import Vector
from storage.pictures import encode_png
from workers.release import register_models

ABOUT: dict[str, Any] = {
    "name": "larger wheels",
    "model": "cars",
    "editing_type": "wheel grows",
    "tags": ["starter"],
    "q_edit": ["wheel"],
    "facts": {"preset": "editq"},
    "report": {"recommended": [0.5, 1.5]},
}


@pytest.fixture
def bundle(pretrained: Path, tmp_path: Path) -> Path:
    """A model's folder of the test's own: 32 px, so L = 8, and D = 16."""
    shutil.copytree(pretrained, tmp_path / "bundled")
    return tmp_path / "bundled" / "cars"


def put(bundle: Path, shape: tuple[int, int] = (8, 16), *, value: float = 0.5, **about: Any) -> Path:
    folder = bundle / "vectors"
    folder.mkdir(exist_ok=True)
    said = {**ABOUT, **about}
    path = folder / f"{said['name'].replace(' ', '-')}.safetensors"
    path.write_bytes(save({"delta_w": np.full(shape, value, np.float32)}))
    path.with_suffix(".json").write_text(json.dumps(said))
    return path


def released(trial: Trial, bundle: Path) -> tuple[Vector, ...]:
    register_models(trial.stores, bundle.parent)
    return trial.stores.library.list_vectors("local").items


def test_a_bundled_vector_is_the_systems_with_its_pictures_and_report(trial: Trial, bundle: Path) -> None:
    path = put(bundle)
    picture = encode_png(np.zeros((32, 32, 3), np.uint8), {})
    for moment in ("before", "after"):
        path.with_name(f"larger-wheels.{moment}.png").write_bytes(picture)
    (vector,) = released(trial, bundle)
    model = trial.stores.library.get_model("local", "cars")
    assert (vector.tenant_id, vector.model, vector.model_digest) == ("system", "cars", model.digest)
    assert (vector.name, vector.editing_type, vector.tags) == ("larger wheels", "wheel grows", ("starter",))
    assert (vector.q_edit, vector.facts, vector.report) == (
        ("tyre", "rim"), ABOUT["facts"], ABOUT["report"]
    )  # fmt: skip
    objects = trial.stores.objects
    assert objects.get(vector.files["delta_w"]) == path.read_bytes()
    assert load(path.read_bytes())["delta_w"].shape == (8, 16)
    assert objects.get(vector.files["before"]) == objects.get(vector.files["after"]) == picture
    assert json.loads(objects.get(vector.files["report"])) == ABOUT["report"]
    assert trial.stores.retention.unneeded(objects.list("system/vectors")) == frozenset()


def test_a_release_again_changes_nothing(trial: Trial, bundle: Path) -> None:
    put(bundle)
    put(bundle, name="smaller wheels", value=-0.5)
    first = released(trial, bundle)
    objects = sorted(trial.stores.objects.list("system/"))
    assert len(first) == 2
    assert released(trial, bundle) == first
    assert sorted(trial.stores.objects.list("system/")) == objects


def test_new_words_for_a_vector_keep_its_id(trial: Trial, bundle: Path) -> None:
    put(bundle)
    (before,) = released(trial, bundle)
    put(bundle, tags=["starter", "round"])
    (after,) = released(trial, bundle)
    assert (after.id, after.tags) == (before.id, ("starter", "round"))


def test_a_vector_learned_again_takes_the_place_of_its_name(trial: Trial, bundle: Path) -> None:
    put(bundle)
    put(bundle, name="smaller wheels", value=-0.5)
    before = {vector.name: vector.id for vector in released(trial, bundle)}
    put(bundle, value=0.75)
    after = {vector.name: vector.id for vector in released(trial, bundle)}
    assert after["smaller wheels"] == before["smaller wheels"]
    assert after["larger wheels"] != before["larger wheels"]
    with pytest.raises(VectorNotFound):
        trial.stores.library.get_vector("local", before["larger wheels"])


def test_an_old_vector_that_a_job_needs_stays_until_the_next_release(trial: Trial, bundle: Path) -> None:
    put(bundle)
    (old,) = released(trial, bundle)
    job = trial.stores.jobs.add("somebody", "apply", {"vectors": [{"vector": old.id}]})
    put(bundle, value=0.75)
    assert len(released(trial, bundle)) == 2
    trial.stores.jobs.request_cancel("somebody", job.id)
    (new,) = released(trial, bundle)
    assert new.id != old.id


def test_a_vector_of_other_weights_is_left_out(trial: Trial, bundle: Path) -> None:
    put(bundle, facts={"generator_sha256": "0" * 64})
    assert released(trial, bundle) == ()
    generator = trial.stores.library.get_model("local", "cars").files["generator"]
    put(bundle, facts={"generator_sha256": generator.sha256})
    assert len(released(trial, bundle)) == 1


def test_a_vector_that_cannot_be_one_ends_the_release(trial: Trial, bundle: Path) -> None:
    path = put(bundle, (8, 24))
    with pytest.raises(VectorMismatch, match=r"\[8, 16\]"):
        released(trial, bundle)
    path.write_bytes(b"no vector")
    with pytest.raises(UnreadableVector):
        released(trial, bundle)
    put(bundle, name="larger wheels", tags=["x" * 99])
    with pytest.raises(ValueError, match="tags"):
        released(trial, bundle)
