"""generate_dataset on a tiny random model: what is drawn, left out and written, and what becomes of cuts."""

import hashlib
import json
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import webdataset
from dataset_trial import array, members
from pycocotools.coco import COCO
from recipe_trial import output, pixels, submit, work
from safetensors.torch import save
from tiny_model import make_tiny_model
from training_trial import drained, stopped_at
from worker_trial import Trial

from storage.library_records import Vector
from storage.masks import decode_mask
from storage.objects import attempt_prefix
from storage.records import Job, Status
from storage.vector_specs import ApplySpec
from workers.bench import recipe_for
from workers.datasets.split import split_of
from workers.recipes.dataset_task import CHUNKS
from workers.release import register_models

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),  # pycocotools on NumPy 2
]

ALL = ["coco_panoptic", "coco_instance", "pairs", "webdataset"]
DRAW: dict[str, Any] = {
    "count": 12,
    "seed": 5,
    "formats": ALL,
    "split": {"train": 0.5, "val": 0.25, "test": 0.25},
}
SMALL = 1 << 14
OWN = {"provenance.json"}  # names the job and the attempt


def vector(trial: Trial, seed: int = 0, **changes: Any) -> str:
    """The id of a vector of the small model, put into the library. The same seed gives the same id."""
    delta_w = torch.randn(8, 16, generator=torch.Generator().manual_seed(seed))
    key = f"local/vectors/{hashlib.sha256(bytes([seed])).hexdigest()}"
    ref = trial.stores.objects.put(key, save({"delta_w": delta_w}), "application/octet-stream")
    model = trial.stores.library.get_model("local", "cars")
    members = {
        "id": f"{seed:032x}", "tenant_id": "local", "name": f"louder {seed}", "model": "cars",
        "model_digest": model.digest, "generator_sha256": model.generator_sha256, "editing_type": "other",
        "tags": (), "q_edit": ("rim",), "files": {"delta_w": ref}, "facts": {}, "report": {}, "job_id": None,
        "created_at": 0.0,
    }  # fmt: skip
    return trial.stores.library.put_vector(Vector(**(members | changes))).id


def fetched(trial: Trial, job: Job, folder: Path) -> Path:
    """The outputs of a job as files."""
    assert job.status is Status.SUCCEEDED, job.error
    folder.mkdir()
    for name in job.outputs:
        (folder / name).write_bytes(output(trial, job, name))
    return folder


def items(trial: Trial, job: Job) -> list[dict[str, Any]]:
    assert job.status is Status.SUCCEEDED, job.error
    return [json.loads(line) for line in output(trial, job, "items.jsonl").splitlines()]


def contents(trial: Trial, job: Job) -> dict[str, bytes]:
    assert job.status is Status.SUCCEEDED, job.error
    return {name: output(trial, job, name) for name in job.outputs if name not in OWN}


def test_a_data_set_holds_what_samples_of_the_same_seeds_show(plant: Trial, tmp_path: Path) -> None:
    job = work(plant, "generate_dataset", **DRAW)
    folder = fetched(plant, job, tmp_path / "out")
    sampled = work(plant, "sample", seed=5, count=12)
    found = {name: data for each in ("pairs", "coco") for name, data in members(folder, each).items()}
    model = plant.stores.library.get_model("local", "cars")
    for index in range(12):
        source = f"{model.generator_sha256}:{5 + index}"
        split, name = split_of(source, DRAW["split"]), f"{5 + index:010d}"
        picture, mask = (
            output(plant, sampled, f"picture_{index:03d}.png"),
            output(plant, sampled, f"mask_{index:03d}.png"),
        )
        assert pixels(found[f"{split}/pictures/{name}.png"]) == pixels(picture)
        assert pixels(found[f"{split}/{name}.png"]) == pixels(picture)
        assert np.array_equal(decode_mask(found[f"{split}/masks/{name}.png"]), decode_mask(mask))
        assert np.array_equal(array(found[f"panoptic_{split}/{name}.png"])[..., 0] - 1, decode_mask(mask))
    shards = sorted(map(str, folder.glob("wds-*.tar")))
    for shown, mask, told in webdataset.WebDataset(shards, shardshuffle=False).to_tuple(
        "png", "mask.png", "json"
    ):
        index = json.loads(told)["seed"] - 5
        assert pixels(shown) == pixels(output(plant, sampled, f"picture_{index:03d}.png"))
        assert pixels(mask) == pixels(output(plant, sampled, f"mask_{index:03d}.png"))
    assert (job.result["items"], job.result["drawn"], job.result["steps"]) == (12, 12, 12)
    assert sum(job.result["splits"].values()) == 12


def test_every_item_says_what_it_was_drawn_from(plant: Trial, tmp_path: Path) -> None:
    ids = [vector(plant, seed) for seed in (1, 2)]
    use = [{"vector": each, "strength": [-0.5, 1.5]} for each in ids]
    job = work(plant, "generate_dataset", **DRAW | {"vectors": use})
    folder = fetched(plant, job, tmp_path / "out")
    model = plant.stores.library.get_model("local", "cars")
    listed = {item["seed"]: item for item in items(plant, job)}
    assert listed.keys() == set(range(5, 17))
    drawn = [each["strength"] for item in listed.values() for each in item["vectors"]]
    assert -0.5 <= min(drawn) < 0 < 1 < max(drawn) <= 1.5
    for name, data in members(folder, "pairs").items():
        if not name.endswith(".json"):
            continue
        told = json.loads(data)
        assert told.items() <= listed[told["seed"]].items()
        assert (told["model"], told["model_digest"]) == ("cars", model.digest)
        assert [each["vector"] for each in told["vectors"]] == ids
        assert told["uncertainty"] > 0
        assert told["spec_digest"] == job.result["spec_digest"]
        assert told["code_version"]
    for split in ("train", "val", "test"):
        coco = COCO(str(folder / f"coco-{split}-instances.json"))
        assert all(
            image["provenance"]["model_digest"] == model.digest for image in coco.loadImgs(coco.getImgIds())
        )


def test_an_items_provenance_is_enough_to_draw_it_again(plant: Trial, tmp_path: Path) -> None:
    use = [{"vector": vector(plant), "strength": [1, 3]}]
    job = work(plant, "generate_dataset", **DRAW | {"vectors": use, "formats": ["pairs"]})
    found = members(fetched(plant, job, tmp_path / "out"), "pairs")
    told = items(plant, job)[3]
    spec = ApplySpec(seed=told["seed"], truncation_psi=told["truncation_psi"], vectors=tuple(told["vectors"]))
    applied = work(plant, "apply", **spec.model_dump(mode="json", exclude_defaults=True))
    own = [data for name, data in found.items() if name.endswith(f"pictures/{told['id']}.png")]
    assert [pixels(data) for data in own] == [pixels(output(plant, applied, "picture_000_00.png"))]
    plain = work(plant, "sample", seed=told["seed"])
    assert pixels(own[0]) != pixels(output(plant, plain, "picture_000.png"))


def test_the_least_certain_fraction_is_rejected(plant: Trial) -> None:
    whole = work(plant, "generate_dataset", **DRAW | {"formats": ["pairs"]})
    scores = {item["seed"]: item["uncertainty"] for item in items(plant, whole)}
    job = work(plant, "generate_dataset", **DRAW | {"formats": ["pairs"], "reject_fraction": 0.25})
    left = {item["seed"] for item in items(plant, job)}
    assert left == set(sorted(scores, key=scores.__getitem__)[:9])
    assert job.result["rejected"] == {"uncertainty": 3, "balance": 0}
    card = output(plant, job, "card.md").decode()
    assert "| left out: uncertainty | 3 |" in card
    assert job.result["uncertainty"]["most"] == sorted(scores.values())[8]


def test_a_limit_on_uncertainty_rejects_the_same_whether_or_not_all_was_seen_before(plant: Trial) -> None:
    whole = work(plant, "generate_dataset", **DRAW | {"formats": ["pairs"]})
    limit = sorted(item["uncertainty"] for item in items(plant, whole))[4] + 1e-6
    spec = DRAW | {"formats": ["webdataset"], "max_uncertainty": limit}
    once = work(plant, "generate_dataset", **spec)
    twice = work(
        plant, "generate_dataset", **spec | {"balance": {"by": "parts", "parts": ["rim"], "ratio": 1000}}
    )
    assert [item["id"] for item in items(plant, once)] == [item["id"] for item in items(plant, twice)]
    assert once.result["rejected"]["uncertainty"] == twice.result["rejected"]["uncertainty"] == 7
    assert all(item["uncertainty"] <= limit for item in items(plant, once))


@pytest.mark.parametrize("balance", [None, {"by": "parts", "parts": ["rim"]}])
def test_a_limit_that_nothing_meets_says_what_the_best_would_need(plant: Trial, balance: Any) -> None:
    job = work(plant, "generate_dataset", **DRAW | {"max_uncertainty": 1e-9, "balance": balance})
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("invalid_input", "max_uncertainty")
    assert float(job.error["expected"].split()[2].rstrip(",")) > 1e-9
    assert not job.outputs


def test_parts_are_balanced_by_presence(plant: Trial) -> None:
    use = [{"vector": vector(plant), "strength": [-6, 2]}]  # at larger strengths no sky is left
    spec = DRAW | {"formats": ["pairs"], "count": 20, "vectors": use}
    whole = Counter("sky" in item["pixels"] for item in items(plant, work(plant, "generate_dataset", **spec)))
    least = min(whole.values())
    assert 0 < least < 10
    job = work(plant, "generate_dataset", **spec | {"balance": {"by": "parts", "parts": ["sky"]}})
    assert Counter("sky" in item["pixels"] for item in items(plant, job)) == {True: least, False: least}
    assert job.result["rejected"] == {"uncertainty": 0, "balance": 20 - 2 * least}


def test_strengths_are_balanced_in_every_bin_and_after_rejection(plant: Trial) -> None:
    use = [{"vector": vector(plant), "strength": [0, 4]}]
    spec = DRAW | {
        "formats": ["pairs"],
        "vectors": use,
        "balance": {"by": "strength", "bins": 4},
        "count": 16,
    }
    whole = items(plant, work(plant, "generate_dataset", **spec))
    assert Counter(int(item["vectors"][0]["strength"]) for item in whole) == dict.fromkeys(range(4), 4)
    job = work(plant, "generate_dataset", **spec | {"reject_fraction": 0.3})
    counts = Counter(int(item["vectors"][0]["strength"]) for item in items(plant, job))
    assert len(set(counts.values())) == 1
    assert job.result["rejected"]["uncertainty"] == 4
    assert job.result["rejected"]["balance"] == 12 - sum(counts.values())


@pytest.mark.parametrize(
    "more", [{}, {"reject_fraction": 0.3, "balance": {"by": "parts", "parts": ["wheel"], "ratio": 3}}]
)
def test_a_data_set_drained_again_and_again_ends_in_the_same_bytes(
    plant: Trial, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    use = [{"vector": vector(plant), "strength": [0, 1]}]
    spec = DRAW | {"vectors": use, "shard_bytes": SMALL, **more}
    whole = work(plant, "generate_dataset", **spec)
    assert len([name for name in whole.outputs if name.endswith(".tar")]) > 12
    total = 24 if more else 12
    cut, steps = drained(plant, monkeypatch, [2, 3, 8, 11, 14, 20], "generate_dataset", **spec)
    assert cut.drains >= 4
    assert contents(plant, cut) == contents(plant, whole)
    assert steps[-1] == total
    assert result(cut) == result(whole)
    mine = attempt_prefix("local", cut.id, cut.attempt)
    assert all(ref.key.startswith(mine) for ref in cut.outputs.values()), (
        "the rest is garbage to the collector"
    )


class Killed(BaseException):
    """The process is gone: nobody catches this."""


@pytest.mark.parametrize("collected", [False, True])
def test_a_data_set_whose_worker_is_killed_as_it_puts_shards_ends_in_the_same_bytes(
    plant: Trial, monkeypatch: pytest.MonkeyPatch, collected: bool
) -> None:
    """collected: what earlier attempts have put is gone, as after a day in the queue."""
    spec = DRAW | {"shard_bytes": SMALL}
    whole = work(plant, "generate_dataset", **spec)
    put, puts, cuts = plant.stores.objects.put, [], [3, 9, 17]
    steps = steps_of(plant, monkeypatch)

    def putting(key: str, data: Any, media_type: str) -> Any:
        if "/outputs/" in key:
            puts.append(key)
            if cuts and len(puts) >= cuts[0]:
                cuts.pop(0)
                raise Killed
        return put(key, data, media_type)

    monkeypatch.setattr(plant.stores.objects, "put", putting)
    job = submit(plant, "generate_dataset", **spec)
    while not plant.get(job).status.ended:
        try:
            plant.take(recipe_for("generate_dataset"), lease_s=30, checkpoint_s=0)
        except Killed:
            plant.stores.jobs.release("trial", os.getpid(), cause="killed", max_lost=9)
            if collected:
                plant.stores.objects.delete(
                    [key for key in plant.stores.objects.list("") if "/outputs/" in key and job.id in key]
                )
    ended = plant.get(job)
    assert (ended.attempt, ended.lost) == (4, 3)
    assert contents(plant, ended) == contents(plant, whole)
    if not collected:
        assert len(set(steps)) == 12
        assert drawn_twice(steps) <= 3, "a kill costs the step since the last checkpoint"


def steps_of(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps that are told of from now on."""
    publish, steps = trial.stores.progress.publish, []
    monkeypatch.setattr("workers.follow.PUBLISH_EVERY_S", 0.0)

    def listening(job_id: str, message: Any) -> None:
        publish(job_id, message)
        if message["type"] == "progress":
            steps.append(message["step"])

    monkeypatch.setattr(trial.stores.progress, "publish", listening)
    return steps


def drawn_twice(steps: list[int]) -> int:
    """How often a step follows that is no later one. (Copying shards tells the last step again.)"""
    return sum(after < before for before, after in pairwise(steps))


def result(job: Job) -> dict[str, Any]:
    return {name: value for name, value in job.result.items() if name != "seconds"}


@pytest.mark.parametrize(("step", "count"), [(4, 4), (1, 1)])
def test_stopped_it_is_a_data_set_of_what_there_is(
    plant: Trial, monkeypatch: pytest.MonkeyPatch, step: int, count: int
) -> None:
    job = stopped_at(plant, monkeypatch, step, "generate_dataset", **DRAW)
    assert job.status is Status.SUCCEEDED, job.error
    assert (job.result["items"], job.result["drawn"], job.result["stopped_early"]) == (count, count, True)
    whole = work(plant, "generate_dataset", **DRAW)
    assert items(plant, job) == items(plant, whole)[:count]
    assert f"| drawn, of 12 asked for | {count} | |" in output(plant, job, "card.md").decode().replace(
        "  ", " "
    )


def test_stopped_while_it_looks_it_decides_by_what_it_saw_and_draws_one_step(
    plant: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stopped_at(plant, monkeypatch, 6, "generate_dataset", **DRAW | {"reject_fraction": 0.5})
    assert job.status is Status.SUCCEEDED, job.error
    assert (job.result["items"], job.result["drawn"], job.result["stopped_early"]) == (1, 6, True)
    assert job.result["rejected"] == {"uncertainty": 3, "balance": 0, "stopped": 2}


def test_a_vector_of_another_generator_is_refused(plant: Trial) -> None:
    use = [{"vector": vector(plant, generator_sha256="e" * 64), "strength": [0, 1]}]
    job = work(plant, "generate_dataset", **DRAW | {"vectors": use})
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("invalid_input", "vectors.0.vector")


@pytest.mark.parametrize("more", [{}, {"reject_fraction": 0.3}])
def test_samples_drawn_several_at_a_time_are_the_same_items(
    plant: Trial, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    spec = DRAW | {"formats": ["pairs"], **more}
    alone = items(plant, work(plant, "generate_dataset", **spec))
    monkeypatch.setitem(CHUNKS, "cpu", 5)
    job, steps = drained(plant, monkeypatch, [5], "generate_dataset", **spec)
    together = items(plant, job)
    assert [item["id"] for item in together] == [item["id"] for item in alone]
    for one, two in zip(alone, together, strict=True):
        assert two["uncertainty"] == pytest.approx(one["uncertainty"], abs=1e-4)
    assert steps[:3] == [5, 10, 12]


@pytest.mark.parametrize("more", [{}, {"reject_fraction": 0.3}])
def test_a_model_replaced_between_two_attempts_begins_the_data_set_again(
    plant: Trial, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, more: dict[str, Any]
) -> None:
    spec = DRAW | {"formats": ["pairs"], **more}
    publish, job = plant.stores.progress.publish, submit(plant, "generate_dataset", **spec)
    monkeypatch.setattr("workers.follow.PUBLISH_EVERY_S", 0.0)

    def listening(job_id: str, message: Any) -> None:
        publish(job_id, message)
        plant.drain.requested = message.get("step") == (14 if more else 6)

    with monkeypatch.context() as patch:
        patch.setattr(plant.stores.progress, "publish", listening)
        plant.take(recipe_for("generate_dataset"), lease_s=30)
    assert plant.get(job).checkpoint is not None
    plant.drain.requested = False
    make_tiny_model(tmp_path, seed=1)
    register_models(plant.stores, tmp_path)
    plant.take(recipe_for("generate_dataset"), lease_s=30)
    assert contents(plant, plant.get(job)) == contents(plant, work(plant, "generate_dataset", **spec))
