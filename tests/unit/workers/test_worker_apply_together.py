"""`apply` jobs that one claim takes are drawn together, and say what each would say alone."""

from typing import Any

import numpy as np
import pytest
import torch
from recipe_trial import output, pixels, put_vector, submit
from worker_trial import Trial

from gpu_ops.bundle import Bundle
from gpu_ops.refine import View, look
from storage.records import Job, Status
from workers.bench import recipe_for
from workers.pace import AT_ONCE_S, Pace
from workers.recipes import apply_together, views

pytestmark = pytest.mark.thorough

SEEDS = (3, 4, 5)


def taken(plant: Trial, vector: str, *, pace: Pace | None = None, **spec: Any) -> list[Job]:
    """One job for each of SEEDS, all that is asked for of them in as many claims as it takes."""
    views._kept.clear()
    jobs = [submit(plant, "apply", vectors=[{"vector": vector, **spec}], seed=seed) for seed in SEEDS]
    while any(not plant.get(job).status.ended for job in jobs):
        plant.take(recipe_for("apply"), lease_s=30, pace=pace)
    return [plant.get(job) for job in jobs]


def levels(plant: Trial, job: Job, name: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(pixels(output(plant, job, name)), np.uint8).astype(int)


@pytest.fixture
def quick() -> Pace:
    pace = Pace()
    pace.took("apply", AT_ONCE_S / len(SEEDS))
    return pace


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many codes each common pass drew, from now on as on a GPU."""
    widths: list[int] = []

    def counted(bundle: Bundle, w_plus: torch.Tensor) -> View:
        widths.append(len(w_plus))
        return look(bundle, w_plus)

    monkeypatch.setattr(apply_together, "look", counted)
    monkeypatch.setitem(apply_together.AT_ONCE, "cpu", 4)
    return widths


def test_pictures_of_one_claim_are_drawn_in_common_passes_and_differ_by_one_level_at_most(
    plant: Trial, quick: Pace, passes: list[int]
) -> None:
    vector = put_vector(plant, size=0.05)
    alone = taken(plant, vector)
    assert passes == []
    together = taken(plant, vector, pace=quick)
    assert passes == [4, 2]  # three first points, and three with the vector
    for one, other in zip(alone, together, strict=True):
        assert other.status is Status.SUCCEEDED
        assert set(one.outputs) == set(other.outputs)
        for name in ("inverted_000.png", "picture_000_00.png"):
            before, after = (levels(plant, job, name) for job in (one, other))
            assert np.abs(before - after).max() <= 1


def test_a_strength_of_zero_is_the_first_point_bit_for_bit(
    plant: Trial, quick: Pace, passes: list[int]
) -> None:
    for job in taken(plant, put_vector(plant, size=0.05), pace=quick, strength=0):
        first, then = (levels(plant, job, name) for name in ("inverted_000.png", "picture_000_00.png"))
        assert np.array_equal(first, then)
    assert passes == [3]


def test_jobs_that_cannot_be_drawn_together_are_drawn_alone(
    plant: Trial, quick: Pace, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(_bundle: Bundle, _w_plus: torch.Tensor) -> View:
        raise torch.OutOfMemoryError("no more")

    monkeypatch.setattr(apply_together, "look", exhausted)
    jobs = taken(plant, put_vector(plant, size=0.05), pace=quick)
    assert [job.status for job in jobs] == [Status.SUCCEEDED] * len(SEEDS)
