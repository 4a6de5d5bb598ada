"""Server-sent events: what is replayed, what passes, and when a stream ends."""

import json
import threading
import time
from typing import Any

import pytest
from api_trial import Trial
from flask.testing import FlaskClient

import api.events


def submit(client: FlaskClient) -> str:
    return str(client.post("/v1/jobs", json={"kind": "sample"}).get_json()["id"])


def parse(text: str) -> list[tuple[str | None, str, dict[str, Any]]]:
    """(id, event, data) of every event."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in lines:
            found.append((lines.get("id"), lines["event"], json.loads(lines["data"])))
    return found


def test_an_ended_job_is_told_from_its_beginning_to_its_end(client: FlaskClient, trial: Trial) -> None:
    job = trial.inverted()
    answer = client.get(f"/v1/jobs/{job.id}/events")
    assert answer.content_type.startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.text.startswith("retry: ")
    assert [event[:2] for event in parse(answer.text)] == [
        ("1", "queued"),
        ("2", "running"),
        ("3", "succeeded"),
    ]


def test_last_event_id_replays_only_what_was_missed(client: FlaskClient, trial: Trial) -> None:
    job = trial.inverted()
    answer = client.get(f"/v1/jobs/{job.id}/events", headers={"Last-Event-ID": "2"})
    assert [event[:2] for event in parse(answer.text)] == [("3", "succeeded")]


def test_who_has_seen_the_end_is_told_not_to_come_back(client: FlaskClient, trial: Trial) -> None:
    answer = client.get(f"/v1/jobs/{trial.inverted().id}/events", headers={"Last-Event-ID": "3"})
    assert answer.status_code == 204


@pytest.mark.parametrize("last", ["-1", "two", "1.5", "99999999999999999999"])
def test_a_last_event_id_that_is_no_number_is_refused(client: FlaskClient, last: str) -> None:
    problem = client.get(f"/v1/jobs/{submit(client)}/events", headers={"Last-Event-ID": last}).get_json()
    assert (problem["status"], problem["field"]) == (422, "Last-Event-ID")


@pytest.mark.thorough
def test_a_job_is_followed_with_its_progress_until_it_ends(client: FlaskClient, trial: Trial) -> None:
    job_id, stores = submit(client), trial.stores

    def work() -> None:
        claim = stores.jobs.claim("gpu", "w", lease_s=30)
        assert claim is not None
        for step in range(1, 11):
            stores.progress.publish(job_id, {"type": "progress", "attempt": 1, "step": step, "total": 10})
            time.sleep(0.1)
        stores.progress.publish(job_id, {"type": "phase", "phase": "saving"})
        stores.jobs.succeed(claim, {}, {})

    threading.Timer(0.1, work).start()
    events = parse(client.get(f"/v1/jobs/{job_id}/events").text)
    assert [event[:2] for event in events if event[0]] == [
        ("1", "queued"),
        ("2", "running"),
        ("3", "succeeded"),
    ]
    assert events[-1][1] == "succeeded"
    steps = [data["step"] for _, kind, data in events if kind == "progress"]
    assert steps == sorted(set(steps))
    assert len(steps) >= 5
    assert all(number is None for number, kind, _ in events if kind in ("progress", "phase"))


@pytest.mark.thorough
def test_a_quiet_stream_sends_comments(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.events, "COMMENT_EVERY_S", 0.4)
    job_id = submit(client)
    threading.Timer(1.5, trial.stores.jobs.request_cancel, ["local", job_id]).start()
    text = client.get(f"/v1/jobs/{job_id}/events").text
    assert ": still here\n" in text
    assert parse(text)[-1][1] == "canceled"


def test_streams_are_bounded_and_their_places_come_back(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    slots = trial.app.extensions["editq"].slots
    streams = []
    while True:
        answer = client.get(f"/v1/jobs/{job_id}/events", buffered=False)
        if answer.status_code != 200:
            break
        streams.append(answer)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "too_many_streams")
    assert answer.headers["Retry-After"]
    assert client.get(f"/v1/jobs/{job_id}").status_code == 200
    for stream in streams:
        stream.close()
    taken = [slots.take() for _ in streams]
    assert None not in taken


def test_asking_for_the_head_of_a_stream_takes_no_place(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client)
    for _ in range(40):
        assert client.head(f"/v1/jobs/{job_id}/events").status_code == 200


def test_a_process_that_is_to_end_ends_its_streams(client: FlaskClient, trial: Trial) -> None:
    trial.app.extensions["editq"].stopping = lambda: True
    events = parse(client.get(f"/v1/jobs/{submit(client)}/events").text)
    assert [event[1] for event in events] == ["queued"]
