"""Jobs interrupted again and again, or stopped, leave what they would have left at that step anyway."""

import io
import json
import os
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image as Pillow
from recipe_trial import RELABEL, output, pixels, submit, tensor, work
from worker_trial import Trial

from storage.records import Job, Status
from workers.bench import recipe_for

STEPS = 10
MINE = ("job_id", "attempt")  # what differs between two jobs of one spec


class Killed(BaseException):
    """The process is gone: nobody catches this."""


Happening = Callable[[int], None]


@pytest.fixture
def at_steps(plant: Trial, monkeypatch: pytest.MonkeyPatch) -> Callable[[Happening], None]:
    """Have something happen after each step, of all that the trial runs from now on."""
    publish = plant.stores.progress.publish
    monkeypatch.setattr("workers.follow.PUBLISH_EVERY_S", 0.0)

    def install(happening: Happening) -> None:
        def listening(job_id: str, message: Any) -> None:
            publish(job_id, message)
            if message["type"] == "progress":
                happening(message["step"])

        monkeypatch.setattr(plant.stores.progress, "publish", listening)

    return install


def left(trial: Trial, job: Job) -> dict[str, Any]:
    """All that a job left, without what is its own alone."""
    assert job.status is Status.SUCCEEDED, job.error
    found: dict[str, Any] = {"result": {k: v for k, v in job.result.items() if k != "seconds"}}
    for name in job.outputs:
        data = output(trial, job, name)
        match name.rpartition(".")[2]:
            case "png":
                with Pillow.open(io.BytesIO(data)) as image:
                    told = json.loads(image.info["editq"])
                found[name] = (pixels(data), {k: v for k, v in told.items() if k not in MINE})
            case "json":
                found[name] = {k: v for k, v in json.loads(data).items() if k not in MINE}
            case _:
                found[name] = data
    return found


SPECS: dict[str, dict[str, Any]] = {
    "edit": {
        "inversion_steps": 5,
        "inverting": {"reuse": False},
        "steps": 5,
        "mask_operations": RELABEL,
    },
    "invert": {"steps": 6, "tune_steps": 4, "reuse": False},
}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("edit", 1),
        *(pytest.param(*case, marks=pytest.mark.thorough) for case in (("edit", 2), ("invert", 3))),
    ],
)
def test_a_job_drained_and_killed_at_random_steps_ends_as_if_left_alone(
    plant: Trial, picture: str, at_steps: Callable[[Happening], None], kind: str, seed: int
) -> None:
    whole = work(plant, kind, image=picture, **SPECS[kind])
    rng = random.Random(seed)
    cuts = {step: rng.choice(["drain", "kill"]) for step in rng.sample(range(1, STEPS + 1), 4)}
    steps: list[int] = []

    def interrupt(step: int) -> None:
        steps.append(step)
        match cuts.pop(step, None):
            case "drain":
                plant.drain.ask()
            case "kill":
                raise Killed

    at_steps(interrupt)
    kills = list(cuts.values()).count("kill")
    job = submit(plant, kind, image=picture, **SPECS[kind])
    while not plant.get(job).status.ended:
        plant.drain.requested = False
        try:
            plant.take(recipe_for(kind), lease_s=30, checkpoint_s=0)
        except Killed:
            (released,) = plant.stores.jobs.release("trial", os.getpid(), cause="killed", max_lost=9)
            assert released.id == job.id
    ended = plant.get(job)
    assert left(plant, ended) == left(plant, whole)
    assert (ended.attempt, ended.lost, ended.drains) == (5, kills, 4 - kills), cuts
    assert sorted(set(steps)) == list(range(1, STEPS + 1))
    assert len(steps) == STEPS + kills, "a kill costs the step since the last checkpoint, a drain nothing"


@pytest.mark.thorough
@pytest.mark.parametrize("stop_at", [2, 7])
def test_an_edit_stopped_leaves_a_full_set_of_outputs(
    plant: Trial, picture: str, at_steps: Callable[[Happening], None], stop_at: int
) -> None:
    """Stopped while it inverts, and while it edits: then it equals an edit that was to take fewer steps."""
    spec = {"image": picture, "mask_operations": RELABEL, "inverting": {"reuse": False}}
    done = {2: (2, 1), 7: (5, 2)}[stop_at]
    names = set(work(plant, "edit", **SPECS["edit"], image=picture).outputs)
    job = submit(plant, "edit", **spec, inversion_steps=5, steps=5)

    def stop(step: int) -> None:
        if step == stop_at and not plant.get(job).status.ended:
            plant.stores.jobs.request_stop("local", job.id)
            plant.stores.progress.notice_cancel(job.id)

    at_steps(stop)
    plant.take(recipe_for("edit"), lease_s=30)
    stopped = plant.get(job)
    assert stopped.status is Status.SUCCEEDED, stopped.error
    assert stopped.result["stopped_early"] is True
    assert (stopped.result["inversion_steps"], stopped.result["steps"]) == done
    assert set(stopped.outputs) == names
    if stop_at == 7:
        shorter = work(plant, "edit", **spec, inversion_steps=5, steps=2)
        assert torch.equal(tensor(plant, stopped, "delta_w"), tensor(plant, shorter, "delta_w"))


def test_a_sample_stopped_has_the_pictures_drawn_so_far(
    plant: Trial, at_steps: Callable[[Happening], None]
) -> None:
    whole = work(plant, "sample", seed=3, count=4)
    job = submit(plant, "sample", seed=3, count=4)

    def stop(step: int) -> None:
        if step == 2:
            plant.stores.jobs.request_stop("local", job.id)
            plant.stores.progress.notice_cancel(job.id)

    at_steps(stop)
    plant.take(recipe_for("sample"), lease_s=30)
    stopped = plant.get(job)
    assert stopped.status is Status.SUCCEEDED, stopped.error
    assert (stopped.result["steps"], stopped.result["stopped_early"]) == (2, True)
    drawn = ["mask_000.png", "mask_001.png", "picture_000.png", "picture_001.png", "w_plus.safetensors"]
    assert sorted(stopped.outputs) == drawn
    for name in drawn[:4]:
        assert pixels(output(plant, stopped, name)) == pixels(output(plant, whole, name))
