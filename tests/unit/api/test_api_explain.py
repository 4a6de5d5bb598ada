"""Why a job waits, what it is doing, or how it ended."""

import time
from typing import Any

import pytest
from api_trial import Trial
from flask.testing import FlaskClient

from storage.errors import NonFinite, StorageUnavailable
from storage.limit_records import Limit
from storage.records import Claim, Count


@pytest.fixture
def worker(trial: Trial) -> str:
    """One that is there and free."""
    name = "host:1:gpu"
    trial.stores.progress.present({"name": name, "queue": "gpu"}, ttl_s=60)
    return name


def submit(client: FlaskClient, **fields: Any) -> str:
    return str(client.post("/v1/jobs", json={"kind": "sample", **fields}).get_json()["id"])


def claim(trial: Trial) -> Claim:
    claimed = trial.stores.jobs.claim("gpu", "host:1:gpu", lease_s=30)
    assert claimed is not None
    return claimed


def explain(client: FlaskClient, job_id: str) -> dict[str, dict[str, Any]]:
    """The reasons, by code."""
    answer = client.get(f"/v1/jobs/{job_id}/explain").get_json()
    assert answer["text"] == " ".join(reason["text"] for reason in answer["reasons"])
    return {reason["code"]: reason for reason in answer["reasons"]}


def test_the_next_job_of_a_free_worker(client: FlaskClient, trial: Trial, worker: str) -> None:
    reasons = explain(client, submit(client))
    assert list(reasons) == ["next", "worker_ready"]
    assert reasons["next"]["ahead"] == 0


def test_jobs_ahead_and_their_class(client: FlaskClient, trial: Trial, worker: str) -> None:
    submit(client)
    submit(client, options={"priority": "interactive"})
    submit(client, options={"priority": "bulk"})
    ahead = explain(client, submit(client))["jobs_ahead"]
    assert (ahead["ahead"], ahead["priority"], ahead["counts_as"]) == (2, "standard", "standard")
    assert (ahead["interactive"], ahead["standard"], ahead["bulk"]) == (1, 1, 0)
    assert ahead["text"] == "2 jobs are ahead of it (1 interactive, 1 standard); it is standard."


def test_a_job_that_has_waited_counts_as_one_of_a_higher_class(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client, options={"priority": "bulk"})
    service = trial.app.extensions["editq"]
    service.settings = service.settings.model_copy(update={"ageing_s": 0.01})
    time.sleep(0.02)
    assert explain(client, job_id)["next"]["counts_as"] in ("standard", "interactive")


def test_a_paused_queue_comes_first(client: FlaskClient, trial: Trial, worker: str) -> None:
    job_id = submit(client)
    client.post("/v1/queues/gpu/pause")
    reasons = explain(client, job_id)
    assert next(iter(reasons)) == "queue_paused"
    assert "worker_ready" not in reasons


def test_nobody_there_busy_drained_or_in_the_dark(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = submit(client)
    assert "no_worker" in explain(client, first)
    trial.stores.progress.present({"name": "host:1:gpu", "queue": "gpu"}, ttl_s=60)
    trial.stores.progress.present({"name": "host:2:cpu", "queue": "cpu"}, ttl_s=60)
    claim(trial)
    second = submit(client)
    assert explain(client, second)["workers_busy"]["busy"] == 1
    client.post("/v1/workers/host:1:gpu/drain")
    assert explain(client, second)["workers_drained"]["draining"] == 1
    monkeypatch.setattr(trial.stores.progress, "check", lambda: False)
    monkeypatch.setattr(trial.stores.progress, "workers", lambda: ())
    assert "board_dark" in explain(client, second)


def test_a_retry_that_waits_names_the_error_and_the_time(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    error = StorageUnavailable("The bucket does not answer.").as_dict()
    trial.stores.jobs.requeue(claim(trial), reason="retry", count=Count.OUTAGES, delay_s=40, error=error)
    reasons = explain(client, job_id)
    assert 30 < reasons["retry_later"]["seconds_left"] <= 40
    assert "storage_unavailable" in reasons["retry_later"]["text"]
    assert reasons["retry_later"]["error"]["code"] == "storage_unavailable"
    assert (reasons["attempts"]["outages"], reasons["attempts"]["failures"]) == (1, 0)


def test_a_job_that_was_put_back(client: FlaskClient, trial: Trial, worker: str) -> None:
    job_id = submit(client)
    trial.stores.jobs.requeue(claim(trial), reason="gave_way", count=Count.DRAINS)
    assert explain(client, job_id)["put_back"]["reason"] == "gave_way"


def test_deadlines_that_come(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client, options={"start_within_s": 100, "finish_within_s": 200})
    reasons = explain(client, job_id)
    assert 90 < reasons["start_deadline"]["seconds_left"] <= 100
    assert 190 < reasons["finish_deadline"]["seconds_left"] <= 200
    claim(trial)
    assert "start_deadline" not in explain(client, job_id)


def test_other_users_take_turns(client: FlaskClient, trial: Trial, worker: str) -> None:
    trial.stores.jobs.add("somebody", "sample", {})
    claim(trial)
    assert "turns" in explain(client, submit(client))


def test_a_job_that_waits_for_a_place_among_its_tenants_running_jobs(
    client: FlaskClient, trial: Trial, worker: str
) -> None:
    trial.stores.limits.set("local", Limit.JOBS_RUNNING, 1)
    submit(client)
    waits = submit(client)
    assert "tenant_jobs_running" not in explain(client, waits)
    running = claim(trial)
    reasons = explain(client, waits)
    assert (reasons["tenant_jobs_running"]["limit"], reasons["tenant_jobs_running"]["used"]) == (1, 1)
    assert reasons["tenant_jobs_running"]["text"] == (
        "1 of your tenant's jobs run in queue gpu, and 1 may run at once: it waits until fewer do."
    )
    assert "worker_ready" not in reasons
    assert "tenant_jobs_running" not in explain(client, running.job.id)
    trial.stores.jobs.succeed(running, {}, {})
    assert list(explain(client, waits)) == ["next", "worker_ready"]


def test_a_job_that_waits_for_the_gpu_seconds_of_the_next_day(
    client: FlaskClient, trial: Trial, worker: str
) -> None:
    submit(client)
    waits = submit(client)
    time.sleep(0.01)
    running = claim(trial)
    time.sleep(0.02)
    trial.stores.jobs.succeed(running, {}, {})
    trial.stores.limits.set("local", Limit.GPU_S_PER_DAY, 0.01)
    reason = explain(client, waits)["tenant_gpu_s_per_day"]
    assert reason["limit"] == 0.01
    assert reason["used"] >= 0.01
    assert 0 < reason["seconds_left"] <= 86400
    assert "it waits for midnight" in reason["text"]
    assert trial.stores.jobs.claim("gpu", "host:1:gpu", lease_s=30) is None
    trial.stores.limits.set("local", Limit.GPU_S_PER_DAY, None)
    assert "tenant_gpu_s_per_day" not in explain(client, waits)


def test_what_a_running_job_is_doing(client: FlaskClient, trial: Trial, worker: str) -> None:
    job_id = submit(client)
    claim(trial)
    reasons = explain(client, job_id)
    assert (reasons["running"]["worker"], reasons["running"]["attempt"]) == ("host:1:gpu", 1)
    assert "no_progress" in reasons
    trial.stores.progress.publish(job_id, {"type": "phase", "phase": "loading", "attempt": 1})
    assert explain(client, job_id)["phase"]["phase"] == "loading"
    step = {"type": "progress", "attempt": 1, "step": 3, "total": 9, "seconds_left": 300.0}
    trial.stores.progress.publish(job_id, step)
    client.post(f"/v1/jobs/{job_id}/stop")
    reasons = explain(client, job_id)
    assert reasons["progress"]["text"] == "Step 3 of 9 is done, about 5 min left."
    assert "stop_requested" in reasons
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert "cancel_requested" in explain(client, job_id)


def test_a_running_job_whose_worker_is_gone(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    claim(trial)
    assert 20 < explain(client, job_id)["worker_missing"]["seconds_left"] <= 30
    trial.stores.jobs.release("host:1:gpu", 1, cause="killed by signal 9", max_lost=3)
    late = submit(client)
    trial.stores.jobs.claim("gpu", "host:2:gpu", lease_s=0.01)
    time.sleep(0.02)
    found = [explain(client, job) for job in (job_id, late)]
    assert any("lease_passed" in reasons for reasons in found)


def test_how_a_job_ended(client: FlaskClient, trial: Trial) -> None:
    done, failed, stopped, gone = (submit(client, seed=seed) for seed in range(4))
    trial.stores.jobs.succeed(claim(trial), {}, {"steps": 9})
    trial.stores.jobs.fail(claim(trial), NonFinite("The loss became infinite.").as_dict())
    trial.stores.jobs.succeed(claim(trial), {}, {"steps": 4, "stopped_early": True})
    client.post(f"/v1/jobs/{gone}/cancel")
    assert list(explain(client, done)) == ["succeeded"]
    reasons = explain(client, failed)
    assert reasons["failed"]["text"] == "It failed as non_finite: The loss became infinite."
    assert reasons["attempts"]["failures"] == 1
    assert explain(client, stopped)["stopped_early"]["steps"] == 4
    assert list(explain(client, gone)) == ["canceled"]
    trial.stores.retention.expire_outputs(kept_s=-1)
    assert "outputs_expired" in explain(client, done)
