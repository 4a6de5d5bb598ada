"""Stop, retry, priority; the history by polling; and asking for what a job's state forbids."""

from typing import Any

import pytest
from api_trial import Trial, picture, upload
from flask.testing import FlaskClient

from storage.records import Claim, Count, Job, ObjectRef
from workers.queue import Hint

SECRET = "whsec_" + "c2VjcmV0" * 5
CHECKPOINT = ObjectRef("local/jobs/j/1/checkpoints/1", "a" * 64, 1, "application/octet-stream")


def submit(client: FlaskClient, **fields: Any) -> str:
    answer = client.post("/v1/jobs", json={"kind": "sample", **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["id"])


def claim(trial: Trial) -> Claim:
    claimed = trial.stores.jobs.claim("gpu", "host:1:gpu", lease_s=30)
    assert claimed is not None
    return claimed


def row(trial: Trial, job_id: str) -> tuple[Job, int]:
    """The row, and how many events tell of it."""
    return trial.stores.jobs.get("local", job_id), len(trial.stores.jobs.events("local", job_id))


def test_a_running_job_hears_of_its_stop_by_row_and_board(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    claim(trial)
    for _ in range(2):  # asking twice is asking once
        answer = client.post(f"/v1/jobs/{job_id}/stop")
        assert (answer.status_code, answer.get_json()["stop_requested"]) == (202, True)
    assert answer.get_json()["status"] == "running"
    assert trial.stores.progress.cancel_noticed(job_id)
    assert [event.type for event in trial.stores.jobs.events("local", job_id)][-1] == "stop_requested"


def test_a_job_put_back_with_a_checkpoint_can_be_stopped(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    claimed = claim(trial)
    trial.stores.jobs.checkpointed(claimed, CHECKPOINT)
    trial.stores.jobs.requeue(claimed, reason="drain", count=Count.DRAINS)
    answer = client.post(f"/v1/jobs/{job_id}/stop")
    assert (answer.status_code, answer.get_json()["stop_requested"]) == (202, True)


def test_a_job_that_has_not_begun_has_nothing_to_stop(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    before = row(trial, job_id)
    answer = client.post(f"/v1/jobs/{job_id}/stop")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "nothing_to_stop")
    assert row(trial, job_id) == before


def test_what_has_ended_is_ended(client: FlaskClient, trial: Trial) -> None:
    job = trial.inverted()
    before = row(trial, job.id)
    for answer in (
        client.post(f"/v1/jobs/{job.id}/cancel"),
        client.post(f"/v1/jobs/{job.id}/stop"),
        client.patch(f"/v1/jobs/{job.id}", json={"priority": "bulk"}),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (409, "job_ended")
    assert row(trial, job.id) == before
    assert not trial.stores.progress.cancel_noticed(job.id)


def test_an_ended_job_is_done_again_with_its_spec_and_options(client: FlaskClient, trial: Trial) -> None:
    service = trial.app.extensions["editq"]
    service.settings = service.settings.model_copy(update={"webhook_secret": SECRET})
    options = {
        "priority": "interactive",
        "start_within_s": 60,
        "finish_within_s": 90.25,
        "keep_s": 600,
        "webhook": {"url": "https://example.org/x", "events": ["failed"]},
    }
    first = submit(client, seed=4, options=options)
    trial.stores.jobs.fail(claim(trial), {"code": "non_finite", "detail": "..."})
    answer = client.post(f"/v1/jobs/{first}/retry")
    again = answer.get_json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/jobs/{again['id']}")
    assert (again["status"], again["attempt"], again["failures"]) == ("queued", 0, 0)
    old, new = (trial.stores.jobs.get("local", job_id) for job_id in (first, again["id"]))
    assert new.retry_of == first
    for name in ("spec", "priority", "keep_s", "webhook"):
        assert getattr(new, name) == getattr(old, name), name
    assert new.start_by is not None
    assert new.finish_by is not None
    assert round(new.start_by - new.created_at, 2) == 60
    assert round(new.finish_by - new.created_at, 2) == 90.25
    assert trial.rung[-1] == ("gpu", str(Hint(again["id"], "cars")))
    assert old.status == "failed"


@pytest.mark.parametrize("running", [False, True])
def test_a_job_that_has_not_ended_is_not_done_again(client: FlaskClient, trial: Trial, running: bool) -> None:
    job_id = submit(client)
    if running:
        claim(trial)
    before = row(trial, job_id)
    answer = client.post(f"/v1/jobs/{job_id}/retry")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "job_not_ended")
    assert row(trial, job_id) == before
    assert trial.kept()[0] == 1


def test_a_retry_is_checked_like_a_submit(client: FlaskClient, trial: Trial) -> None:
    image = upload(client, picture())
    job_id = submit(client, kind="invert", image=image)
    client.post(f"/v1/jobs/{job_id}/cancel")
    client.delete(f"/v1/images/{image}")
    answer = client.post(f"/v1/jobs/{job_id}/retry")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "image_not_found")
    assert trial.kept()[0] == 1


def test_a_job_is_moved_to_another_class(client: FlaskClient, trial: Trial) -> None:
    first, second = submit(client), submit(client)
    answer = client.patch(f"/v1/jobs/{second}", json={"priority": "interactive"})
    assert (answer.status_code, answer.get_json()["priority"]) == (200, "interactive")
    assert answer.get_json()["queue_position"] == 0
    assert client.get(f"/v1/jobs/{first}").get_json()["queue_position"] == 1
    assert claim(trial).job.id == second


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "priority"), ({"priority": "urgent"}, "priority"), ({"priority": "bulk", "seed": 1}, "seed")],
)
def test_a_change_that_is_none_is_named(
    client: FlaskClient, trial: Trial, body: dict[str, Any], field: str
) -> None:
    job_id = submit(client)
    before = row(trial, job_id)
    answer = client.patch(f"/v1/jobs/{job_id}", json=body)
    assert (answer.status_code, answer.get_json()["field"]) == (422, field)
    assert client.patch(f"/v1/jobs/{job_id}", data="{").status_code == 415
    assert row(trial, job_id) == before


def test_the_history_tells_by_polling_what_the_stream_tells(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    assert client.get(f"/v1/jobs/{job_id}/history").get_json()["ended"] is False
    trial.stores.jobs.fail(claim(trial), {"code": "non_finite", "detail": "..."})
    history = client.get(f"/v1/jobs/{job_id}/history").get_json()
    assert history["ended"] is True
    assert [(item["number"], item["type"]) for item in history["items"]] == [
        (1, "queued"),
        (2, "running"),
        (3, "failed"),
    ]
    assert history["items"][0]["created_at"].endswith("Z")
    stream = client.get(f"/v1/jobs/{job_id}/events").text
    assert str(history["items"][2]["error"]["code"]) in stream
    assert client.get(f"/v1/jobs/{job_id}/history?after=2").get_json()["items"] == history["items"][2:]
    assert client.get(f"/v1/jobs/{job_id}/history?after=99").get_json()["items"] == []
    assert client.get(f"/v1/jobs/{job_id}/history?after=-1").get_json()["field"] == "after"


def test_a_foreign_job_is_not_there_for_anything(client: FlaskClient, trial: Trial) -> None:
    theirs = trial.stores.jobs.add("somebody", "sample", {"model": "cars"})
    url = f"/v1/jobs/{theirs.id}"
    for answer in (
        client.post(f"{url}/cancel"),
        client.post(f"{url}/stop"),
        client.post(f"{url}/retry"),
        client.post(f"{url}/retry", headers={"Idempotency-Key": "k"}),
        client.patch(url, json={"priority": "bulk"}),
        client.get(f"{url}/explain"),
        client.get(f"{url}/history"),
        client.get(f"{url}/deliveries"),
        client.post(f"{url}/deliveries/{theirs.id}-1/resend"),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (404, "job_not_found"), answer.request.path
    assert trial.stores.jobs.get("somebody", theirs.id) == theirs
    assert trial.kept()[0] == 0


def test_outputs_whose_time_is_over_are_said_to_be_gone(client: FlaskClient, trial: Trial) -> None:
    job = trial.inverted()
    trial.stores.retention.expire_outputs(kept_s=-1)
    shown = client.get(f"/v1/jobs/{job.id}").get_json()
    assert (shown["outputs"], shown["outputs_expired_at"] is not None) == ({}, True)
    problem = client.get(f"/v1/jobs/{job.id}/outputs/mask.png").get_json()
    assert (problem["code"], problem["expected"]) == (
        "output_not_found",
        "none any more: their time was over",
    )


def test_an_ended_job_is_deleted_with_its_outputs(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    refused = client.delete(f"/v1/jobs/{job_id}")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "job_not_ended")
    key = f"local/jobs/{job_id}/1/outputs/a.png"
    trial.stores.jobs.succeed(claim(trial), {"a.png": trial.stores.objects.put(key, b"a", "image/png")}, {})
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert not trial.stores.objects.exists(key)
    assert client.get(f"/v1/jobs/{job_id}").status_code == 404
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 404


def test_a_model_of_the_systems_is_not_deleted(client: FlaskClient) -> None:
    refused = client.delete("/v1/models/cars")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "forbidden")
    assert client.delete("/v1/models/none").status_code == 404
