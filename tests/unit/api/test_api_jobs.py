"""Watching a job, stopping it, and fetching what it made."""

import threading
import time
from typing import Any

import pytest
from api_trial import Trial, mask_png
from flask.testing import FlaskClient

from api.download import held_back
from storage.errors import ObjectCorrupt
from storage.records import Claim, Count, Job

WRONG = {"status": "lost", "kind": "paint", "limit": "0", "cursor": "%00", "sort": "up"}


def submit(client: FlaskClient, **fields: Any) -> str:
    answer = client.post("/v1/jobs", json={"kind": "sample", **fields})
    assert answer.status_code == 202
    return str(answer.get_json()["id"])


def claim(trial: Trial) -> Claim:
    claimed = trial.stores.jobs.claim("gpu", "host:1:gpu", lease_s=30)
    assert claimed is not None
    return claimed


def test_a_running_job_shows_its_worker_and_its_latest_progress(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    assert claim(trial).job.id == job_id
    trial.stores.progress.publish(job_id, {"type": "progress", "attempt": 1, "step": 3, "total": 9})
    job = client.get(f"/v1/jobs/{job_id}").get_json()
    assert (job["status"], job["worker"], job["attempt"]) == ("running", "host:1:gpu", 1)
    assert (job["progress"]["step"], job["queue_position"]) == (3, None)


def test_progress_of_an_attempt_that_was_cut_off_is_not_shown(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    first = claim(trial)
    trial.stores.progress.publish(job_id, {"type": "progress", "attempt": 1, "step": 3, "total": 9})
    trial.stores.jobs.requeue(first, reason="drain", count=Count.DRAINS)
    claim(trial)
    assert client.get(f"/v1/jobs/{job_id}").get_json()["progress"] is None


def test_queued_jobs_know_how_many_are_ahead(client: FlaskClient) -> None:
    ids = [submit(client) for _ in range(3)]
    positions = [client.get(f"/v1/jobs/{job_id}").get_json()["queue_position"] for job_id in ids]
    assert positions == [0, 1, 2]


def test_times_are_utc_with_an_offset(client: FlaskClient) -> None:
    job = client.get(f"/v1/jobs/{submit(client)}").get_json()
    assert job["created_at"].endswith("Z")
    assert job["started_at"] is None


def test_the_tag_follows_the_state_and_not_the_progress(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    queued = client.get(f"/v1/jobs/{job_id}").headers["ETag"]
    assert client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": queued}).status_code == 304
    claim(trial)
    running = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": queued})
    assert running.status_code == 200
    trial.stores.progress.publish(job_id, {"type": "progress", "attempt": 1, "step": 3})
    again = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": running.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_long_poll_answers_when_the_state_changes(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    threading.Timer(0.3, claim, [trial]).start()
    began = time.monotonic()
    job = client.get(f"/v1/jobs/{job_id}?wait=20").get_json()
    assert job["status"] == "running"
    assert 0.2 < time.monotonic() - began < 5


def test_a_long_poll_hears_of_the_change_and_does_not_wait_for_its_next_look(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.jobs.ROWS_EVERY_S", 60)
    job_id = submit(client)

    def run() -> None:
        trial.stores.progress.publish(job_id, {"type": "progress", "attempt": 1, "step": 3})  # no change
        claim(trial)
        trial.stores.progress.publish(job_id, {"type": "phase", "attempt": 1, "phase": "loading"})

    threading.Timer(0.3, run).start()
    began = time.monotonic()
    job = client.get(f"/v1/jobs/{job_id}?wait=20").get_json()
    assert job["status"] == "running"
    assert time.monotonic() - began < 5


def test_a_long_poll_that_missed_the_change_answers_at_once(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    seen = client.get(f"/v1/jobs/{job_id}").headers["ETag"]
    claim(trial)
    began = time.monotonic()
    answer = client.get(f"/v1/jobs/{job_id}?wait=20", headers={"If-None-Match": seen})
    assert answer.get_json()["status"] == "running"
    assert time.monotonic() - began < 1


def test_a_long_poll_answers_when_time_is_up_or_the_job_has_ended(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    assert client.get(f"/v1/jobs/{job_id}?wait=0.2").get_json()["status"] == "queued"
    trial.stores.jobs.fail(claim(trial), {"code": "non_finite", "detail": "..."})
    began = time.monotonic()
    job = client.get(f"/v1/jobs/{job_id}?wait=20").get_json()
    assert (job["status"], job["error"]["code"]) == ("failed", "non_finite")
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("wait", ["-1", "61", "NaN", "inf", "soon"])
def test_a_wait_out_of_range_is_refused(client: FlaskClient, wait: str) -> None:
    problem = client.get(f"/v1/jobs/{submit(client)}?wait={wait}").get_json()
    assert (problem["status"], problem["field"]) == (422, "wait")
    assert problem["expected"] == "a number from 0 to 60"


def test_a_long_poll_answers_at_once_when_too_many_wait(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    slots = trial.app.extensions["editq"].slots
    while slots.take() is not None:
        pass
    began = time.monotonic()
    assert client.get(f"/v1/jobs/{job_id}?wait=20").status_code == 200
    assert time.monotonic() - began < 1


def test_the_list_is_filtered_and_its_link_keeps_the_filter(client: FlaskClient, trial: Trial) -> None:
    ids = [submit(client, seed=seed) for seed in range(3)]
    claim(trial)
    page = client.get("/v1/jobs?status=queued&kind=sample&limit=1")
    assert [job["id"] for job in page.get_json()["items"]] == [ids[2]]
    link = page.headers["Link"].split(">")[0].lstrip("<")
    assert "status=queued" in link
    assert [job["id"] for job in client.get(link).get_json()["items"]] == [ids[1]]
    assert client.get("/v1/jobs?kind=edit").get_json() == {"next_cursor": None, "items": []}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=lost", "status"),
        ("kind=paint", "kind"),
        ("limit=0", "limit"),
        ("cursor=%00", "cursor"),
        ("sort=up", "sort"),
    ],
)
def test_a_wrong_query_is_named(client: FlaskClient, query: str, field: str) -> None:
    problem = client.get(f"/v1/jobs?{query}").get_json()
    assert (problem["status"], problem["field"]) == (422, field)
    assert problem["expected"]


def test_a_queued_job_is_canceled_at_once(client: FlaskClient) -> None:
    job_id = submit(client)
    answer = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "canceled")
    again = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (again.status_code, again.get_json()["code"]) == (409, "job_ended")


def test_a_running_job_hears_of_its_cancel_by_row_and_board(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    claim(trial)
    answer = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.get_json()["cancel_requested"]) == (202, True)
    assert trial.stores.progress.cancel_noticed(job_id)


def test_an_output_is_streamed_with_its_digest(client: FlaskClient, trial: Trial) -> None:
    job = trial.inverted()
    output = client.get(f"/v1/jobs/{job.id}").get_json()["outputs"]["mask.png"]
    answer = client.get(output["url"])
    assert answer.data == mask_png()
    assert answer.headers["ETag"] == f'"{output["sha256"]}"'
    assert answer.headers["Content-Length"] == str(output["byte_size"])
    assert answer.headers["Content-Disposition"] == "inline; filename*=UTF-8''mask.png"
    assert client.get(output["url"], headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert client.head(output["url"]).headers["Content-Length"] == str(output["byte_size"])


def test_an_output_that_is_not_what_was_written_is_never_sent(client: FlaskClient, trial: Trial) -> None:
    job = trial.inverted()
    trial.stores.objects.put(job.outputs["mask.png"].key, b"x" * len(mask_png()), "image/png")
    answer = client.get(f"/v1/jobs/{job.id}/outputs/mask.png")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "object_corrupt")
    assert answer.headers["Retry-After"]


def test_an_output_that_there_is_not_names_those_there_are(client: FlaskClient, trial: Trial) -> None:
    job = trial.inverted()
    problem = client.get(f"/v1/jobs/{job.id}/outputs/face.png").get_json()
    assert (problem["status"], problem["code"], problem["expected"]) == (404, "output_not_found", "mask.png")


def test_another_tenants_job_is_not_there(client: FlaskClient, trial: Trial) -> None:
    theirs: Job = trial.stores.jobs.add("somebody", "sample", {"model": "cars"})
    for answer in (
        client.get(f"/v1/jobs/{theirs.id}"),
        client.get(f"/v1/jobs/{theirs.id}?wait=5"),
        client.post(f"/v1/jobs/{theirs.id}/cancel"),
        client.get(f"/v1/jobs/{theirs.id}/events"),
        client.get(f"/v1/jobs/{theirs.id}/outputs/a.png"),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (404, "job_not_found")
    assert client.get("/v1/jobs").get_json()["items"] == []
    assert not trial.stores.jobs.get("somebody", theirs.id).cancel_requested


def test_a_large_output_found_corrupt_at_its_end_is_never_sent_whole(trial: Trial) -> None:
    data = bytes(3_000_000)
    ref = trial.stores.objects.put("local/jobs/j/1/outputs/a", data, "application/octet-stream")
    trial.stores.objects.put(ref.key, data[:-1] + b"x", "application/octet-stream")
    sent = []
    with pytest.raises(ObjectCorrupt):
        sent.extend(held_back(trial.stores.objects.stream(ref)))
    assert 0 < len(b"".join(sent)) < len(data)
