"""Jobs of training on a tiny model: annotations to learn from, and jobs drained again and again."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from recipe_trial import submit, upload
from tiny_model import PARTS, SIZE_PX
from worker_trial import Trial

from storage.library_records import Part
from storage.masks import encode_mask
from storage.pictures import encode_png
from storage.records import Job
from workers.bench import recipe_for

ALL_PARTS = tuple(Part(index, name, (60 * index, 0, 200)) for index, name in enumerate(PARTS))


def quadrants(shift: int, count: int = 4) -> np.ndarray:
    """A mask whose parts are quarters, moved a little."""
    row = (np.arange(SIZE_PX) + shift) // (SIZE_PX // 2) % 2
    return ((row[:, None] * 2 + row[None]) % count).astype(np.uint8)


def put_mask(trial: Trial, mask: np.ndarray) -> str:
    return upload(trial, encode_mask(mask, ALL_PARTS), "mask", mask.shape[::-1])


def put_picture(trial: Trial, seed: int, size: tuple[int, int] = (40, 36)) -> str:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return upload(trial, encode_png(pixels), "picture", size)


def annotations(trial: Trial, uploads: int = 1, samples: int = 3) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = [{"image": put_picture(trial, seed)} for seed in range(uploads)]
    shown += [{"seed": seed} for seed in range(samples)]
    return [{**each, "mask": put_mask(trial, quadrants(index))} for index, each in enumerate(shown)]


def drained(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, at: Iterable[int], kind: str, **spec: Any
) -> tuple[Job, list[int]]:
    """A job that was drained after each of these steps, to its end; and the steps that were told of."""
    publish, steps, cuts = trial.stores.progress.publish, [], set(at)
    monkeypatch.setattr("workers.follow.PUBLISH_EVERY_S", 0.0)

    def listening(job_id: str, message: Any) -> None:
        publish(job_id, message)
        if message["type"] == "progress":
            steps.append(message["step"])
            if message["step"] in cuts:
                cuts.discard(message["step"])
                trial.drain.ask()

    job = submit(trial, kind, **spec)
    with monkeypatch.context() as patch:
        patch.setattr(trial.stores.progress, "publish", listening)
        while not trial.get(job).status.ended:
            trial.drain.requested = False
            trial.take(recipe_for(kind), lease_s=30)
    return trial.get(job), steps


def stopped_at(trial: Trial, monkeypatch: pytest.MonkeyPatch, step: int, kind: str, **spec: Any) -> Job:
    publish, job = trial.stores.progress.publish, submit(trial, kind, **spec)
    monkeypatch.setattr("workers.follow.PUBLISH_EVERY_S", 0.0)

    def listening(job_id: str, message: Any) -> None:
        publish(job_id, message)
        if message["type"] == "progress" and message["step"] == step:
            trial.stores.jobs.request_stop("local", job.id)
            trial.stores.progress.notice_cancel(job.id)

    with monkeypatch.context() as patch:
        patch.setattr(trial.stores.progress, "publish", listening)
        trial.take(recipe_for(kind), lease_s=30)
    return trial.get(job)
