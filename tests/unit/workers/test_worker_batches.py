"""Batches from their inputs to their lists of results, on a tiny model and the in-memory stores."""

import io
import json
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from batch_trial import INVERT, add, do, lines_of, manifest, png, send_file, send_picture, work_off
from recipe_trial import pixels, put_vector, work
from safetensors.torch import load
from worker_trial import Trial

from storage.batch_records import BatchStatus
from storage.records import Status
from storage.results import Results

pytestmark = pytest.mark.thorough


@pytest.fixture(autouse=True)
def few_items_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITQ_CHUNK_ITEMS", "2")


def test_a_batch_of_pictures_gives_each_what_a_job_of_its_own_gives(plant: Trial) -> None:
    images = [send_picture(plant, seed) for seed in range(3)]
    batch = do(plant, INVERT, manifest(plant, *({"image": image} for image in images)))
    assert (batch.status, batch.items, batch.chunks) == (BatchStatus.SUCCEEDED, 3, 2)
    lines = lines_of(plant, batch, "results")
    assert [(line["n"], line["id"], line["status"]) for line in lines] == [
        (n, image, "succeeded") for n, image in enumerate(images, 1)
    ]
    assert lines_of(plant, batch, "errors") == lines_of(plant, batch, "invalid") == []
    results = Results(plant.stores.objects, "local")
    for image, line in zip(images, lines, strict=True):
        alone = work(plant, "invert", image=image, steps=2, reuse=False)
        code = load(results.read(line["result"], "w_plus.safetensors") or b"")["w_plus"]
        its = load(plant.stores.objects.get(alone.outputs["w_plus.safetensors"]))["w_plus"]
        assert torch.allclose(code, its, atol=1e-5)
        assert line["figures"]["psnr_db"] == pytest.approx(alone.result["psnr_db"], abs=0.01)
        assert line["files"] == ["inverted.png", "mask.png", "w_plus.safetensors"]


def test_what_was_done_before_is_taken_over_by_every_later_batch(plant: Trial) -> None:
    one, two = send_picture(plant, 1), send_picture(plant, 2)
    first = do(plant, INVERT, manifest(plant, {"image": one}))
    second = do(plant, INVERT, manifest(plant, {"image": one, "id": "again"}, {"image": two}))
    assert plant.stores.batches.tally(first.id).reused == 0
    assert plant.stores.batches.tally(second.id).reused == 1
    (before,), lines = (lines_of(plant, batch, "results") for batch in (first, second))
    assert lines[0]["result"] == before["result"]
    assert [line["reused"] for line in lines] == [True, False]


def test_what_is_wrong_with_an_input_is_told_by_line_and_the_rest_goes_on(plant: Trial) -> None:
    image = send_picture(plant, 1)
    others = send_picture(plant, 2)
    library = plant.stores.library
    library.images[others] = replace(library.images[others], tenant_id="somebody")
    broken = send_picture(plant, 3)
    plant.stores.objects._objects[library.images[broken].object.key] = b"no picture"
    inputs = manifest(
        plant,
        {"image": image},
        "no json",
        "",
        {"image": image, "colour": "red"},
        {"image": others},
        {"image": image},
        {"id": "../up", "image": image},
        {"seed": 3, "image": image},
        {"id": "twice", "image": image, "strengths": {"x": "much"}},
        "x" * 20_000,
        {"id": "broken", "image": broken},
        {"key": "nowhere.png"},
        {"key": "/etc/passwd"},
    )
    batch = do(plant, INVERT, inputs)
    assert (batch.status, batch.items, batch.invalid) == (BatchStatus.COMPLETED_WITH_ERRORS, 2, 10)
    refused = {line["n"]: line["error"] for line in lines_of(plant, batch, "invalid")}
    assert sorted(refused) == [2, 4, 5, 6, 7, 8, 9, 10, 12, 13]
    assert {error["code"] for error in refused.values()} == {"invalid_item"}
    assert "colour" in refused[4]["detail"]
    assert refused[5]["field"] == "image"
    assert refused[6]["field"] == refused[7]["field"] == "id"
    assert refused[12]["field"] == refused[13]["field"] == "key"
    (failed,) = lines_of(plant, batch, "errors")
    assert (failed["id"], failed["error"]["code"]) == ("broken", "object_corrupt")
    assert plant.stores.batches.tally(batch.id).errors == {"object_corrupt": 1}


def test_an_errors_manifest_can_be_sent_again_as_it_is_and_so_can_the_batch(plant: Trial) -> None:
    source = plant.stores.sources.open("local", None, field="")
    source.write("lot/1.png", png(1))
    source.write("lot/2.png", b"no picture")
    source.write("lot/notes.txt", b"notes")
    batch = do(plant, INVERT, {"type": "prefix", "prefix": "lot/"})
    assert (batch.items, batch.status) == (2, BatchStatus.COMPLETED_WITH_ERRORS)
    source.write("lot/2.png", png(2))
    listed = plant.stores.objects.get(batch.files["errors"])
    again = do(plant, INVERT, {"type": "manifest", "file": send_file(plant, listed)})
    retried = do(plant, INVERT, {"type": "batch", "batch": batch.id})
    for done in (again, retried):
        assert (done.status, done.items) == (BatchStatus.SUCCEEDED, 1)
        assert [line["id"] for line in lines_of(plant, done, "results")] == ["lot/2.png"]


def test_pictures_are_read_out_of_a_tar_where_they_lie(plant: Trial) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in (("a/1.png", png(1)), ("a/1.json", b"{}"), ("../2.png", png(2)), ("b.png", png(3))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("c.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    batch = do(plant, INVERT, {"type": "tar", "files": [send_file(plant, buffer.getvalue())]})
    assert [line["id"] for line in lines_of(plant, batch, "results")] == ["a/1.png", "b.png"]
    assert [line["n"] for line in lines_of(plant, batch, "invalid")] == [3, 5]
    broken = do(plant, INVERT, {"type": "tar", "files": [send_file(plant, b"no tar" * 200)]})
    assert (broken.status, (broken.error or {})["field"]) == (BatchStatus.FAILED, "inputs.files.0")


def test_edits_by_mask_operations_fail_alone_where_they_change_nothing(plant: Trial) -> None:
    spec = {
        "kind": "edit", "model": "cars", "steps": 2, "inversion_steps": 2,
        "mask_operations": [{"op": "relabel", "part": "rim", "into": "tyre"}],
    }  # fmt: skip
    inputs = manifest(plant, *({"seed": seed} for seed in range(4)))
    batch = do(plant, spec, inputs)
    lines = lines_of(plant, batch, "results")
    assert len(lines) == 4
    for line in lines:
        if line["status"] == "failed":
            assert line["error"]["code"] in ("mask_unchanged", "unknown_part")
        else:
            assert "edited.png" in line["files"]
    assert any(line["status"] == "succeeded" for line in lines)


def test_results_say_what_made_them(plant: Trial) -> None:
    batch = do(plant, INVERT, manifest(plant, {"image": send_picture(plant, 1)}))
    (line,) = lines_of(plant, batch, "results")
    data = plant.stores.objects.get_range(Results(plant.stores.objects, "local").key(line["result"]))
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        about = json.loads(file.read("result.json"))
        assert pixels(file.read("inverted.png"))
    model = plant.stores.library.get_model("local", "cars")
    assert about["model_digest"] == model.digest
    assert about["spec"] == batch.spec["spec"]
    assert about["code_version"]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"type": "prefix", "prefix": "nothing/"}, "empty_batch"),
        ({"type": "batch", "batch": "1" * 32}, "batch_not_found"),
    ],
)
def test_a_batch_with_nothing_to_do_fails_and_says_why(
    plant: Trial, inputs: dict[str, str], code: str
) -> None:
    batch = do(plant, INVERT, inputs)
    assert (batch.status, (batch.error or {})["code"]) == (BatchStatus.FAILED, code)


def test_a_dry_run_counts_and_estimates_from_measured_speed(plant: Trial) -> None:
    inputs = manifest(plant, {"image": send_picture(plant, 1)}, "wrong")
    first = do(plant, INVERT, inputs, dry_run=True)
    assert (first.status, first.items, first.invalid) == (BatchStatus.SUCCEEDED, 1, 1)
    assert first.result["estimate"] is None, "nothing was measured yet"
    do(plant, INVERT, inputs)
    estimate = do(plant, INVERT, inputs, dry_run=True).result["estimate"]
    assert estimate["measured_items"] == 1
    assert estimate["device_s_per_item"] > 0


def test_a_chunk_that_is_done_again_does_only_what_is_left(plant: Trial) -> None:
    images = [send_picture(plant, seed) for seed in range(2)]
    do(plant, INVERT, manifest(plant, {"image": images[0]}))
    batch = add(plant, INVERT, manifest(plant, *({"image": image} for image in images)))
    jobs = work_off(plant)
    assert [job.status for job in jobs] == [Status.SUCCEEDED] * 3
    assert plant.stores.batches.tally(batch.id).reused == 1


def test_results_are_written_where_the_caller_wants_them_too(plant: Trial, tmp_path: object) -> None:
    from pathlib import Path

    from storage.sources import BucketSettings, Sources

    folder = Path(str(tmp_path)) / "out"
    own = plant.stores.sources._own
    plant.use(sources=Sources(own, {"out": BucketSettings(folder=folder, writable=True)}))
    inputs = manifest(plant, {"image": send_picture(plant, 1), "id": "lot/one"})
    for _ in range(2):  # the second time from what is there
        batch = do(plant, INVERT, inputs, output={"bucket": "out", "prefix": "today"})
        assert batch.status is BatchStatus.SUCCEEDED
        found = sorted(path.name for path in (folder / "today" / "lot" / "one").iterdir())
        assert found == ["inverted.png", "mask.png", "w_plus.safetensors"]
        for path in (folder / "today" / "lot" / "one").iterdir():
            path.unlink()


def test_what_succeeds_is_written_as_a_data_set_too(plant: Trial) -> None:
    inputs = manifest(plant, *({"image": send_picture(plant, seed)} for seed in range(3)))
    written = {"formats": ["pairs", "coco_panoptic"], "split": {"train": 1, "val": 0, "test": 0}}
    batch = do(plant, INVERT, inputs, dataset=written)
    assert batch.status is BatchStatus.SUCCEEDED, batch.error
    assert batch.result["dataset"]["splits"] == {"train": 3}
    assert [line["id"] for line in lines_of(plant, batch, "items")] == [
        line["id"] for line in lines_of(plant, batch, "results")
    ]
    assert len(lines_of(plant, batch, "items.jsonl")) == 3, "the data set's own list, beside the batch's"
    with tarfile.open(
        fileobj=io.BytesIO(plant.stores.objects.get(batch.files["pairs-train-0000.tar"]))
    ) as tar:
        pictures = [tar.extractfile(name) for name in sorted(tar.getnames()) if "/pictures/" in name]
        assert len(pictures) == 3
        first = pictures[0]
        assert first is not None
        drawn = pixels(first.read())
    results = Results(plant.stores.objects, "local")
    lines = lines_of(plant, batch, "results")
    assert drawn == pixels(results.files(lines[0]["result"])["inverted.png"])
    card = json.loads(plant.stores.objects.get(batch.files["card.json"]))
    assert (card["items"], card["asked"], card["drawn"]) == (3, 3, 3)
    annotated = json.loads(plant.stores.objects.get(batch.files["coco-train-panoptic.json"]))
    assert len(annotated["images"]) == 3


def test_vectors_go_on_all_items_at_each_items_own_strength(plant: Trial) -> None:
    vector, other = (put_vector(plant, size=1.0, seed=seed) for seed in (1, 2))
    uses = [{"vector": vector}, {"vector": other, "strength": 0}]
    spec = {"kind": "apply", "model": "cars", "vectors": uses}
    own = {"seed": 4, "id": "own", "strengths": {vector: 0, other: -1}}
    inputs = manifest(plant, {"seed": 4}, {"seed": 5}, own)
    batch = do(plant, spec | {"sweep": [0, 1]}, inputs)
    lines = lines_of(plant, batch, "results")
    assert [line["files"] for line in lines] == [
        ["mask_00.png", "mask_01.png", "picture_00.png", "picture_01.png"]
    ] * 3
    assert lines[2]["figures"]["strengths"] == {vector: 0.0, other: -1.0}
    files = [Results(plant.stores.objects, "local").files(line["result"]) for line in lines]
    assert pixels(files[0]["picture_00.png"]) == pixels(files[2]["picture_00.png"]), "nothing is applied"
    assert pixels(files[0]["picture_01.png"]) != pixels(files[2]["picture_01.png"])
    alone = work(plant, "apply", seed=4, vectors=[{"vector": vector}])
    its = np.frombuffer(pixels(plant.stores.objects.get(alone.outputs["picture_000_00.png"])), np.uint8)
    mine = np.frombuffer(pixels(files[0]["picture_01.png"]), np.uint8)
    assert np.abs(its.astype(int) - mine).max() <= 1


def test_refined_items_say_how_they_came_about(plant: Trial) -> None:
    use = {"vector": put_vector(plant, size=1.0)}
    spec = {"kind": "apply", "model": "cars", "vectors": [use], "refine_steps": 2}
    batch = do(plant, spec, {"type": "seeds", "count": 3})
    for line in lines_of(plant, batch, "results"):
        (applied,) = line["figures"]["applied"]
        assert applied["mode"] in ("vector", "refinement")
        assert (applied["steps"], bool(applied["why"])) == (2, True)


@pytest.mark.parametrize("harm", ["cut at a member's border", "a header damaged in the middle"])
def test_a_tar_that_ends_early_is_refused_and_loses_nothing_silently(plant: Trial, harm: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        borders = []
        for seed in range(3):
            borders.append(buffer.tell())
            member = tarfile.TarInfo(f"{seed}.png")
            member.size = len(png(seed))
            tar.addfile(member, io.BytesIO(png(seed)))
    data = bytearray(buffer.getvalue())
    if harm.startswith("cut"):
        data = data[: borders[2]]
    else:
        data[borders[2] : borders[2] + 512] = b"x" * 512
    batch = do(plant, INVERT, {"type": "tar", "files": [send_file(plant, bytes(data))]})
    assert (batch.status, (batch.error or {})["field"]) == (BatchStatus.FAILED, "inputs.files.0")


def test_a_batch_that_is_not_to_reuse_does_all_again(plant: Trial) -> None:
    inputs = manifest(plant, {"image": send_picture(plant, 1)})
    do(plant, INVERT, inputs)
    again = do(plant, INVERT | {"reuse": False}, inputs)
    assert plant.stores.batches.tally(again.id).reused == 0
