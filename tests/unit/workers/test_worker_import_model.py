"""import_model: from uploaded checkpoints to a model that draws, edits and has its vectors; or a refusal."""

import io
import json
import os
import pickle
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from importers_files import write_persistent, write_rosinality, write_tensorflow
from importers_networks import Network, Shape, persistent_network, rosinality_network, tensorflow_network
from recipe_trial import output, put_file, submit, tensor, work
from safetensors.torch import load
from test_importers_parts import classifier_weights, write_classifier
from training_trial import put_mask, quadrants
from worker_trial import Trial

from api.errors import walk
from gpu_ops.importers.refusals import BY_CODE
from storage.errors import ModelNotFound
from storage.masks import decode_mask
from storage.objects import job_prefix
from storage.pictures import decode_picture
from storage.records import Status
from workers.bench import recipe_for
from workers.models import Models
from workers.release import digest_of

pytestmark = pytest.mark.thorough

SHAPE = Shape(32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "published").mkdir()
    return tmp_path / "published"


@pytest.fixture
def generator(folder: Path) -> Path:
    return write_rosinality(folder / "550000.pt", rosinality_network(SHAPE))


def uploaded(trial: Trial, *paths: Path) -> list[dict[str, Any]]:
    return [{"file": put_file(trial, path.read_bytes(), path.name)} for path in paths]


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


WRITERS: dict[str, tuple[Callable[[Shape], Network], Callable[[Path, Network], Path]]] = {
    "rosinality": (rosinality_network, lambda path, network: write_rosinality(path, network)),
    "stylegan2_ada": (
        persistent_network,
        lambda path, network: write_persistent(path, network, canary=path.with_name("canary")),
    ),
    "tensorflow": (
        tensorflow_network,
        lambda path, network: write_tensorflow(path, network, canary=path.with_name("canary")),
    ),
}


@pytest.mark.parametrize("format", WRITERS)
def test_an_imported_generator_draws_what_it_should_in_a_sample_job(
    plant: Trial, folder: Path, format: str
) -> None:
    make, write = WRITERS[format]
    network = make(SHAPE)
    path = write(folder / "one.bin", network)
    job = work(plant, "import_model", name="mine", files=uploaded(plant, path), format=format)
    assert job.status is Status.SUCCEEDED, job.error
    assert sorted(job.outputs) == ["generator.safetensors", "model.json", "preview.png", "provenance.json"]
    assert decode_picture(output(plant, job, "preview.png")).shape == (128, 128, 3)

    base, model = (plant.stores.library.get_model("local", name) for name in ("cars", "mine"))
    assert model.files.keys() == {"generator", "perceptual", "description", "preview"}
    assert model.files["perceptual"] == base.files["perceptual"]
    assert model.digest == digest_of({r: ref.sha256 for r, ref in model.files.items() if r != "preview"})
    (source,) = model.card["imported"]
    assert (source["file"], source["role"]) == ("one.bin", "generator")
    assert source["sha256"] == plant.stores.library.list_files("local").items[0].object.sha256
    assert model.card["needs"] == job.result["needs"] == "train_segmenter"
    assert not (folder / "canary").exists()

    sampled = work(plant, "sample", model="mine", seed=3, truncation_psi=0.7)
    assert sampled.status is Status.SUCCEEDED, sampled.error
    assert not decode_mask(output(plant, sampled, "mask_000.png")).any()
    w_plus = tensor(plant, sampled, "w_plus")[0].double().numpy()  # [L, D]
    expected = np.clip(np.rint(network.draw(w_plus) * 127.5 + 127.5), 0, 255).transpose(1, 2, 0)
    drawn = decode_picture(output(plant, sampled, "picture_000.png"))
    assert np.abs(drawn.astype(int) - expected).max() <= 1


def test_classifiers_and_vectors_come_with_their_generator(
    plant: Trial, folder: Path, generator: Path
) -> None:
    classifiers = [
        write_classifier(folder / f"car_model_{i}.pth", classifier_weights(i, SHAPE)) for i in range(3)
    ]
    delta_w = np.random.default_rng(0).normal(size=(1, 8, 10)).astype(np.float32)
    wheels, light = put_file(plant, npy(delta_w), "Larger wheels.npy"), put_file(plant, npy(2 * delta_w))
    files = [
        *uploaded(plant, *classifiers, generator),
        {"file": wheels},
        {"file": light, "role": "vector", "name": "brighter light"},
    ]
    parts = ["sky", "body", "tyre", "rim", "light"]
    job = work(
        plant, "import_model", name="mine", files=files, parts=parts, groups={"wheel": ["tyre", "rim"]}
    )
    assert job.status is Status.SUCCEEDED, job.error
    model = plant.stores.library.get_model("local", "mine")
    assert [part.name for part in model.parts] == parts
    assert model.groups == {"wheel": ("tyre", "rim")}
    assert "needs" not in model.card
    assert [source["role"] for source in model.card["imported"]].count("classifier") == 3
    bundle = Models(plant.stores.objects, plant.settings).bundle(model)
    last = np.float32(classifier_weights(2, SHAPE)["layers.6.bias"])
    np.testing.assert_array_equal(bundle.segmenter.bias3[2].numpy(), last)

    by_name = {vector.name: vector for vector in plant.stores.library.list_vectors("local").items}
    assert by_name.keys() == {"Larger wheels", "brighter light"}
    vector = by_name["brighter light"]
    assert (vector.model, vector.job_id, vector.facts["made_by"]) == ("mine", job.id, "import")
    assert vector.fits(model)
    kept = load(plant.stores.objects.get(vector.files["delta_w"]))["delta_w"]
    np.testing.assert_array_equal(kept.numpy(), 2 * delta_w[0])
    edited = work(plant, "edit", model="mine", inversion=work(plant, "sample", model="mine").id, steps=1,
                  mask=put_mask(plant, quadrants(5)))  # fmt: skip
    assert edited.status is Status.SUCCEEDED, edited.error


def test_parts_without_names_are_numbered_and_an_encoder_is_kept_but_not_run(
    plant: Trial, folder: Path, generator: Path
) -> None:
    classifier = write_classifier(folder / "model_0.pth", classifier_weights(0, SHAPE))
    state = {"module.conv.weight": torch.ones(2, 3, 3, 3), "module.head.weight": torch.ones(4, 2)}
    torch.save({"model_state_dict": state}, folder / "encoder.pt")
    files = uploaded(plant, generator, classifier, folder / "encoder.pt")
    job = work(plant, "import_model", name="mine", files=files)
    assert job.status is Status.SUCCEEDED, job.error
    model = plant.stores.library.get_model("local", "mine")
    assert [part.name for part in model.parts] == [f"part_{index}" for index in range(5)]
    kept = load(plant.stores.objects.get(model.files["kept_encoder"]))
    assert torch.equal(kept["conv.weight"], state["module.conv.weight"])
    assert Models(plant.stores.objects, plant.settings).bundle(model).encoder is None
    described = json.loads(plant.stores.objects.get(model.files["description"]))
    assert described["kept"] == {"encoder": "encoder-of-another-project.safetensors"}


def test_a_mean_w_of_its_own_takes_the_place_of_sampled_ones(plant: Trial, folder: Path) -> None:
    network = rosinality_network(SHAPE)
    path = write_rosinality(folder / "one.pt", network, mean=False)
    w_avg = np.arange(10, dtype=np.float32)
    files = [*uploaded(plant, path), {"file": put_file(plant, npy(w_avg), "avg.npy"), "role": "w_avg"}]
    job = work(plant, "import_model", name="mine", files=files)
    assert job.status is Status.SUCCEEDED, job.error
    model = plant.stores.library.get_model("local", "mine")
    bundle = Models(plant.stores.objects, plant.settings).bundle(model)
    np.testing.assert_array_equal(bundle.generator.mapping.w_avg.numpy(), w_avg)
    assert any("its mean w is that of avg.npy" in note for note in model.card["imported"][0]["notes"])


def test_every_refusal_of_the_importer_is_one_of_the_platforms() -> None:
    codes = {kind.code for kind in walk()}
    assert set(BY_CODE) <= codes


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /nowhere/executed",)


def broken(generator: Path, how: str) -> bytes:
    data = generator.read_bytes()
    match how:
        case "hostile":
            buffer = io.BytesIO()
            torch.save({"g_ema": {"a": torch.ones(2)}, "args": Hostile()}, buffer)
            return buffer.getvalue()
        case "hostile pickle":
            return pickle.dumps({"G_ema": Hostile()}, protocol=4)
        case "truncated":
            return data[: len(data) // 2]
        case "misfit":
            network = rosinality_network(SHAPE)
            network.weights["convs.0.conv.weight"] = np.ones((1, 12, 12, 1, 1))
            return write_rosinality(generator, network).read_bytes()
        case "not finite":
            network = rosinality_network(SHAPE)
            network.weights["input.input"][:] = np.inf
            return write_rosinality(generator, network).read_bytes()
        case "foreign":
            torch.save({"g_ema": {"synthesis.input.weight": torch.ones(2)}}, generator)
            return generator.read_bytes()
    return b"a letter, and no checkpoint"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("hostile", "forbidden_content"),
        ("hostile pickle", "forbidden_content"),
        ("truncated", "damaged_file"),
        ("misfit", "layout_mismatch"),
        ("not finite", "layout_mismatch"),
        ("foreign", "unsupported_network"),
        ("letter", "unknown_format"),
    ],
)
def test_a_file_that_is_refused_fails_the_job_with_its_code_and_leaves_nothing(
    plant: Trial, tmp_path: Path, generator: Path, how: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    vector = put_file(plant, npy(np.ones((1, 8, 10), np.float32)))
    bad = put_file(plant, broken(generator, how), "../../bad\nfile.pt")
    job = work(plant, "import_model", name="mine", files=[{"file": vector}, {"file": bad}])
    assert job.status is Status.FAILED
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == (code, "files.1.file")
    assert job.error["detail"].startswith("bad_file.pt"), job.error
    assert (job.attempt, job.failures) == (1, 1), "the same file is not tried again"
    assert list(plant.stores.objects.list(job_prefix("local", job.id))) == []
    assert list((tmp_path / "temporary").iterdir()) == []
    assert plant.stores.library.list_vectors("local").items == ()
    with pytest.raises(ModelNotFound):
        plant.stores.library.get_model("local", "mine")


@pytest.mark.parametrize(
    ("spec", "files", "code", "field", "says"),
    [
        ({"format": "tensorflow"}, ["generator"], "layout_mismatch", "format", "of the format rosinality"),
        ({}, ["classifier"], "layout_mismatch", "files", "none of the files holds a generator"),
        ({}, ["generator", "second"], "layout_mismatch", "files.1.file", "holds the same as"),
        ({"parts": ["a", "b"]}, ["generator"], "layout_mismatch", "parts", "the classifiers know 0 parts"),
        (
            {"parts": ["a", "b"]},
            ["generator", "classifier"],
            *("layout_mismatch", "parts", "the classifiers know 5 parts"),
        ),
        (
            {},
            ["generator", "wide"],
            "layout_mismatch",
            "files.1.file",
            "does not fit the generator's features",
        ),
        ({}, ["generator", "long"], "layout_mismatch", "files.1.file", r"vectors are \[1, 8, 10\]"),
        ({}, ["generator as vector"], "layout_mismatch", "files.0.file", "an editing vector"),
        ({}, ["generator", "long as w_avg"], "layout_mismatch", "files.1.file", "a mean w"),
    ],
)
def test_what_does_not_belong_together_is_named(
    plant: Trial, folder: Path, spec: dict[str, Any], files: list[str], code: str, field: str, says: str
) -> None:
    made = {
        "generator": lambda: write_rosinality(folder / "g.pt", rosinality_network(SHAPE)),
        "second": lambda: write_rosinality(folder / "h.pt", rosinality_network(SHAPE, seed=3)),
        "classifier": lambda: write_classifier(folder / "c.pth", classifier_weights(0, SHAPE)),
        "wide": lambda: write_classifier(folder / "w.pth", classifier_weights(0, Shape(32, most=5))),
        "long": lambda: folder / "long.npy",
    }
    np.save(folder / "long.npy", np.ones((1, 10, 10), np.float32))
    given = []
    for each in files:
        name, _, role = each.partition(" as ")
        (file,) = uploaded(plant, made[name]())
        given.append(file | ({"role": role} if role else {}))
    job = work(plant, "import_model", name="mine", files=given, **spec)
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == (code, field)

    assert re.search(says, job.error["detail"]), job.error["detail"]


def test_a_file_that_was_deleted_before_the_job_ran_is_named(plant: Trial, generator: Path) -> None:
    (file,) = uploaded(plant, generator)
    job = submit(plant, "import_model", name="mine", files=[file])
    plant.stores.library.files.clear()  # type: ignore[attr-defined]
    plant.take(recipe_for("import_model"), lease_s=30)
    error = plant.get(job).error
    assert error is not None
    assert (error["code"], error["field"]) == ("file_not_found", "files.0.file")


def test_a_worker_that_cannot_start_the_reading_process_tries_again(
    plant: Trial, generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    job = work(plant, "import_model", name="mine", files=uploaded(plant, generator))
    assert (job.status, job.failures) == (Status.QUEUED, 1)
    told = [event.data for event in plant.stores.jobs.events("local", job.id) if event.type == "queued"]
    assert told[-1]["error"]["code"] == "sandbox_unavailable"
