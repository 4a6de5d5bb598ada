"""Queues paused and resumed, workers drained and let go again; an upload that meets garbage."""

import pytest
from api_trial import Trial, picture
from flask.testing import FlaskClient

from storage.errors import StorageFull, StorageUnavailable
from storage.objects import image_key
from storage.records import Claim, Image


def submit(client: FlaskClient) -> str:
    return str(client.post("/v1/jobs", json={"kind": "sample"}).get_json()["id"])


def claim(trial: Trial, worker: str = "host:1:gpu") -> Claim | None:
    return trial.stores.jobs.claim("gpu", worker, lease_s=30)


def test_a_paused_queue_gives_nothing_and_takes_all(client: FlaskClient, trial: Trial) -> None:
    paused = client.post("/v1/queues/gpu/pause").get_json()
    assert (paused["name"], paused["paused"]) == ("gpu", True)
    job_id = submit(client)
    assert claim(trial) is None
    (queue,) = client.get("/v1/queues").get_json()["items"]
    assert (queue["paused"], queue["queued"], queue["running"]) == (True, 1, 0)
    assert queue["oldest_created_at"]
    trial.rung.clear()
    resumed = client.post("/v1/queues/gpu/resume").get_json()
    assert (resumed["paused"], resumed["eligible"]) == (False, 1)
    assert trial.rung == [("gpu", "resume")]
    claimed = claim(trial)
    assert claimed is not None
    assert claimed.job.id == job_id


def test_pausing_twice_is_pausing_once(client: FlaskClient) -> None:
    for _ in range(2):
        assert client.post("/v1/queues/gpu/pause").status_code == 200
    for _ in range(2):
        assert client.post("/v1/queues/gpu/resume").get_json()["paused"] is False


def test_a_queue_that_is_none_is_not_found(client: FlaskClient, trial: Trial) -> None:
    for action in ("pause", "resume"):
        problem = client.post(f"/v1/queues/gqu/{action}").get_json()
        assert (problem["status"], problem["expected"]) == (404, "one of gpu")
    assert [queue.name for queue in trial.stores.jobs.queues()] == ["gpu"]


def test_a_drained_worker_takes_nothing_until_it_is_let_go(client: FlaskClient, trial: Trial) -> None:
    trial.stores.progress.present({"name": "host:1:gpu", "queue": "gpu"}, ttl_s=60)
    running = submit(client)
    assert claim(trial) is not None
    submit(client)
    drained = client.post("/v1/workers/host:1:gpu/drain")
    assert (drained.status_code, drained.get_json()["state"]) == (200, "draining")
    assert drained.get_json()["jobs"] == [running]
    assert trial.stores.progress.cancel_noticed(running)
    assert claim(trial) is None
    assert claim(trial, "host:2:gpu") is not None
    assert client.get("/v1/workers").get_json()["items"][0]["state"] == "draining"
    trial.rung.clear()
    freed = client.delete("/v1/workers/host:1:gpu/drain")
    assert (freed.status_code, freed.get_json()["state"]) == (200, "busy")
    assert trial.rung == [("gpu", "undrain")]
    assert trial.stores.jobs.draining() == frozenset()


def test_a_worker_that_is_none_is_not_found(client: FlaskClient, trial: Trial) -> None:
    for call in (client.post, client.delete):
        assert call("/v1/workers/host:9:gpu/drain").get_json()["code"] == "not_found"
    assert trial.stores.jobs.draining() == frozenset()


def test_in_the_dark_a_worker_is_drained_by_name(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial.stores.progress, "check", lambda: False)
    assert client.post("/v1/workers/host:9:gpu/drain").status_code == 200
    assert trial.stores.jobs.draining() == {"host:9:gpu"}


def test_a_worker_that_is_gone_can_still_be_let_go(client: FlaskClient, trial: Trial) -> None:
    trial.stores.jobs.drain("host:9:gpu", True)
    assert client.delete("/v1/workers/host:9:gpu/drain").status_code == 200
    assert trial.stores.jobs.draining() == frozenset()


def upload(client: FlaskClient, data: bytes) -> tuple[int, str]:
    answer = client.post("/v1/images", data=data, content_type="image/png")
    return answer.status_code, answer.get_json().get("code", "")


def test_an_upload_that_meets_garbage_being_removed_puts_its_object_again(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, refusals = trial.stores.library.add_image, 0

    def condemned_twice(image: Image) -> Image:
        nonlocal refusals
        if refusals < 2:
            refusals += 1
            trial.stores.objects.delete([image.object.key])
            raise StorageUnavailable("This object is being removed.")
        return add(image)

    monkeypatch.setattr(trial.stores.library, "add_image", condemned_twice)
    assert upload(client, picture()) == (201, "")
    (image,) = trial.stores.library.list_images("local").items
    assert trial.stores.objects.get(image.object) == picture()


def test_an_object_removed_just_before_its_record_came_is_put_again(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = trial.stores.library.add_image

    def too_late(image: Image) -> Image:
        trial.stores.objects.delete([image.object.key])
        return add(image)

    monkeypatch.setattr(trial.stores.library, "add_image", too_late)
    assert upload(client, picture()) == (201, "")
    (image,) = trial.stores.library.list_images("local").items
    assert trial.stores.objects.get(image.object) == picture()


def test_a_full_disk_is_said_to_be_full(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageFull("No space is left.")

    monkeypatch.setattr(trial.stores.objects, "put", full)
    assert upload(client, picture()) == (507, "storage_full")
    assert not trial.stores.objects.exists(image_key("local", "0" * 64))
    assert trial.kept() == (0, 0, 0)


def test_what_jobs_came_to_is_told_by_day_and_kind(client: FlaskClient, trial: Trial) -> None:
    assert client.get("/v1/usage").get_json()["items"] == []
    job_id = submit(client)
    claimed = claim(trial)
    assert claimed is not None
    trial.stores.jobs.succeed(claimed, {}, {})
    other = trial.stores.jobs.add("other", "sample", {})
    trial.stores.jobs.request_cancel("other", other.id)
    usage = client.get("/v1/usage?days=1").get_json()
    (item,) = usage["items"]
    assert (item["kind"], item["jobs"], item["attempts"]) == ("sample", 1, 1)
    assert usage["gpu_s"] == item["gpu_s"] == client.get(f"/v1/jobs/{job_id}").get_json()["gpu_s"]
    assert item["day"] == usage["since"]


@pytest.mark.parametrize("days", ["0", "367", "x"])
def test_days_that_are_none_are_refused(client: FlaskClient, days: str) -> None:
    problem = client.get(f"/v1/usage?days={days}").get_json()
    assert (problem["status"], problem["field"]) == (422, "days")
