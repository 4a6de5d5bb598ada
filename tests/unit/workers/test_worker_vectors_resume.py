"""Learning and applying, put back after every step or stopped, leave what they would have left anyway."""

from typing import Any

import pytest
from recipe_trial import output, pixels, submit, work
from worker_trial import Trial

from storage.records import Job, Status
from workers.bench import recipe_for

pytestmark = pytest.mark.thorough

TARGETS = [
    {"name": "left", "mask_operations": [{"op": "shift", "part": "rim", "dx_px": -3}]},
    {"name": "gone", "mask_operations": [{"op": "relabel", "part": "rim", "into": "tyre"}]},
]
FREE = {"lr": 0.3, "lambda_rgb": 0, "lambda_prior": 0, "inverting": {"reuse": False}}
LEARN = {"inversion_steps": 3, "steps": 3, "targets": TARGETS, "transfer_samples": 0, **FREE}


def put_back(trial: Trial, monkeypatch: pytest.MonkeyPatch, kind: str, *, every: int = 1, **spec: Any) -> Job:
    """The job, ended, which was drained after every step, or every so many."""
    publish = trial.stores.progress.publish

    def drained(job_id: str, message: Any) -> None:
        publish(job_id, message)
        if message["type"] == "progress" and message["step"] % every == 0:
            trial.drain.ask()

    job = submit(trial, kind, **spec)
    with monkeypatch.context() as patched:
        patched.setattr("workers.follow.PUBLISH_EVERY_S", 0.0)
        patched.setattr(trial.stores.progress, "publish", drained)
        while not trial.get(job).status.ended:
            trial.drain.requested = False
            trial.take(recipe_for(kind), lease_s=30)
        trial.drain.requested = False
    return trial.get(job)


def left(trial: Trial, job: Job) -> dict[str, bytes]:
    """Outputs without what tells of the job itself."""
    assert job.status is Status.SUCCEEDED, job.error
    found = {name: output(trial, job, name) for name in job.outputs if name != "provenance.json"}
    return {name: pixels(data) if name.endswith(".png") else data for name, data in found.items()}


def figures(job: Job) -> Any:
    vectors = [{k: v for k, v in each.items() if k != "id"} for each in job.result["vectors"]]
    return {k: v for k, v in job.result.items() if k not in ("seconds", "inputs")} | {"vectors": vectors}


@pytest.mark.parametrize(
    "report",
    [{}, pytest.param({"transfer_samples": 2}, marks=pytest.mark.thorough)],
    ids=["alone", "reported"],
)
def test_learning_put_back_after_each_step_learns_the_same(
    plant: Trial, picture: str, monkeypatch: pytest.MonkeyPatch, report: dict[str, int]
) -> None:
    spec = LEARN | report | {"targets": TARGETS if not report else TARGETS[:1]}
    whole = work(plant, "learn_vector", image=picture, **spec)
    cut = put_back(plant, monkeypatch, "learn_vector", image=picture, every=1 if not report else 6, **spec)
    assert left(plant, cut) == left(plant, whole)
    assert figures(cut) == figures(whole)
    assert cut.drains == cut.attempt - 1 == (3 + 3 + 3 if not report else (3 + 3 + 2 + 30) // 6)
    assert len(plant.stores.library.list_vectors("local").items) == 2 * len(cut.result["vectors"])


@pytest.mark.parametrize("mode", ["vector", "refinement", "optimisation"])
def test_applying_put_back_after_each_step_gives_the_same_pictures(
    plant: Trial, picture: str, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    learned = work(plant, "learn_vector", **LEARN, image=picture)
    uses = [{"vector": each["id"], "strength": 2} for each in learned.result["vectors"]]
    spec = {"mode": mode, "steps": 3, "sweep": [0.5, 1.5], "inputs": [{"seed": 1}, {"image": picture}]}
    spec |= {"inversion_steps": 2, "inverting": {"reuse": False}, "vectors": uses}
    spec |= {"refine_steps": 2} if mode == "refinement" else {}
    whole = work(plant, "apply", **spec)
    cut = put_back(plant, monkeypatch, "apply", **spec)
    assert left(plant, cut) == left(plant, whole)
    assert cut.result["inputs"] == whole.result["inputs"]
    assert cut.drains == 2 + 4 * {"vector": 1, "refinement": 2, "optimisation": 3}[mode]


def test_learning_stopped_keeps_every_vector_with_its_best_so_far(
    plant: Trial, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(plant, "learn_vector", image=picture, **LEARN | {"steps": 50})
    publish = plant.stores.progress.publish

    def stop(job_id: str, message: Any) -> None:
        publish(job_id, message)
        if message["type"] == "progress" and message["step"] == 5:
            plant.stores.jobs.request_stop("local", job.id)
            plant.stores.progress.notice_cancel(job.id)

    monkeypatch.setattr("workers.follow.PUBLISH_EVERY_S", 0.0)
    monkeypatch.setattr(plant.stores.progress, "publish", stop)
    plant.take(recipe_for("learn_vector"), lease_s=30)
    stopped = plant.get(job)
    assert stopped.status is Status.SUCCEEDED, stopped.error
    assert stopped.result["stopped_early"] is True
    assert [each["steps"] for each in stopped.result["vectors"]] == [2, 1]
