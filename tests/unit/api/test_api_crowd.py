"""More requests at once than a process can work on: a short rush waits, a crowd is turned away at once."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from api_trial import Trial
from flask.testing import FlaskClient

from api import crowd as crowd_module
from api.crowd import Crowd

pytestmark = pytest.mark.thorough


@pytest.fixture
def crowd(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    """Of one place."""
    crowd = Crowd(1)
    monkeypatch.setattr(trial.app.wsgi_app, "crowd", crowd)
    monkeypatch.setattr(trial.app.wsgi_app, "_told_at", float("-inf"))
    return crowd


@pytest.fixture
def full(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """No place is left in the process."""
    monkeypatch.setattr(crowd_module, "HELD_S", 60.0)
    assert crowd.enter() is not None


@pytest.mark.usefixtures("full")
def test_who_finds_no_place_is_told_when_to_come_back(client: FlaskClient) -> None:
    for answer in (client.get("/v1/jobs"), client.post("/v1/jobs", json={"kind": "sample"})):
        assert (answer.status_code, answer.get_json()["code"]) == (503, "too_busy")
        assert answer.mimetype == "application/problem+json"
        assert answer.get_json()["retryable"] is True
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/v1/errors/too_busy").status_code == 503  # this one, too
    head = client.head("/v1/jobs")
    assert (head.status_code, head.data) == (503, b"")


@pytest.mark.usefixtures("full")
def test_who_asks_whether_the_service_lives_is_let_through(client: FlaskClient) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").get_json()["status"] == "ready"


@pytest.mark.usefixtures("full")
def test_the_turned_away_leave_nothing_behind_and_one_line_in_the_log(
    client: FlaskClient, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "editq.access")
    for _ in range(5):
        client.post("/v1/jobs", json={"kind": "sample"})
    assert trial.stores.jobs.list("local").items == ()
    assert [record.getMessage() for record in caplog.records] == ["too busy: turned away"]


def test_a_place_is_given_back_whatever_the_answer_was(crowd: Crowd, client: FlaskClient) -> None:
    for path in ("/v1/jobs", "/v1/nothing", "/v1/jobs/none", "/studio", "/v1/jobs"):
        assert client.get(path).status_code != 503
    assert crowd.enter() is not None


@pytest.mark.usefixtures("crowd")
def test_who_waits_for_a_job_keeps_nobody_out(
    trial: Trial, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd_module, "HELD_S", 60.0)
    job = client.post("/v1/jobs", json={"kind": "sample"}).get_json()["id"]
    ended: list[str] = []
    waiting = threading.Thread(
        target=lambda: ended.append(trial.app.test_client().get(f"/v1/jobs/{job}?wait=30").json["status"])
    )
    waiting.start()
    time.sleep(0.1)
    assert client.post(f"/v1/jobs/{job}/cancel").status_code == 200
    waiting.join(10)
    assert ended == ["canceled"]


def test_a_rush_is_waited_out() -> None:
    crowd = Crowd(2)

    def visit(_number: int) -> bool:
        place = crowd.enter()
        if place is None:
            return False
        time.sleep(0.01)
        crowd.leave(place)
        return True

    with ThreadPoolExecutor(20) as visitors:
        assert all(visitors.map(visit, range(20)))  # a tenth of a second for all of them


def test_a_crowd_is_turned_away_at_once_and_the_next_one_in_a_calm_is_let_in() -> None:
    crowd = Crowd(1)
    place = crowd.enter()
    began = time.monotonic()
    assert crowd.enter() is None
    first_s, began = time.monotonic() - began, time.monotonic()
    assert crowd.enter() is None
    then_s = time.monotonic() - began
    assert first_s >= crowd_module.RUSH_WAIT_S / 2 > crowd_module.RUSH_WAIT_S / 4 > then_s
    crowd.leave(place)
    assert crowd.enter() is not None


def test_who_takes_long_does_not_lock_the_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd_module, "HELD_S", 0.1)
    crowd = Crowd(1)
    slow = crowd.enter()
    fast = crowd.enter()
    assert fast is not None
    crowd.leave(slow)
    crowd.leave(slow)
    monkeypatch.setattr(crowd_module, "RUSH_WAIT_S", 0.01)
    assert crowd.enter() is None  # `fast` has the one place, however often the slow one leaves
