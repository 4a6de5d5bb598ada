"""Thousands of damaged pictures and job bodies: taken, or refused in words with nothing left behind.

A run of 50 is part of the ordinary tests; `make test-all` sends 5,000.
"""

import json
import random
from typing import Any

import pytest
from api_trial import Trial, mask_png, picture, upload
from flask.testing import FlaskClient
from fuzz.mutation import STRANGE, damaged, strange
from werkzeug.test import TestResponse

from storage.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
RUNS = [50, pytest.param(5000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
KEYS = ("a", "b", "c", "k" * 256, "two words", "")
NAMES = ("gpu", "cpu", "gqu", "host:1:gpu", "..", "%00", "é", "x" * 300)


@pytest.fixture
def settings() -> Settings:
    return Settings(max_body_bytes=2_000_000, webhook_secret="whsec_" + "c2VjcmV0" * 5)


def refused_in_words(answer: TestResponse) -> bool:
    """A 4xx problem document with a code, a detail, and no trace of the inside."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:500])
    assert answer.content_type == "application/problem+json"
    problem = answer.get_json()
    assert problem["code"]
    assert problem["detail"]
    assert "Traceback" not in answer.text
    return True


@pytest.mark.parametrize("runs", RUNS)
def test_a_damaged_picture_is_taken_or_refused_and_leaves_nothing(
    trial: Trial, client: FlaskClient, runs: int
) -> None:
    dice = random.Random(20_260_101)
    whole = [picture(form, size=(24, 18)) for form in FORMATS] + [mask_png()]
    taken = 0
    for _ in range(runs):
        before = trial.kept()
        role = dice.choice(("picture", "mask"))
        data = damaged(dice, dice.choice(whole))
        answer = client.post(f"/v1/images?role={role}", data=data, content_type="image/png")
        if answer.status_code == 201:
            taken += 1
            continue
        assert refused_in_words(answer)
        assert trial.kept() == before
    assert 0 < taken < runs


@pytest.mark.parametrize("runs", RUNS)
def test_a_mutated_job_is_taken_or_refused_and_leaves_nothing(
    trial: Trial, client: FlaskClient, runs: int
) -> None:
    dice = random.Random(20_260_102)
    image, mask = upload(client, picture()), upload(client, mask_png(), "mask")
    inversion = trial.inverted().id
    wheel = {"op": "scale", "part": "wheel", "factor": 1.4}
    whole: list[dict[str, Any]] = [
        {"kind": "sample", "model": "cars", "seed": 1, "count": 2, "truncation_psi": 0.7},
        {"kind": "invert", "model": "cars", "image": image, "steps": 50, "lr": 0.1},
        {"kind": "edit", "model": "cars", "inversion": inversion, "mask_operations": [wheel], "steps": 9},
        {"kind": "edit", "model": "cars", "image": image, "mask": mask, "q_edit": ["wheel"]},
    ]
    options = {"priority": "bulk", "start_within_s": 60, "finish_within_s": 90, "keep_s": 600}
    options["webhook"] = {"url": "https://example.org/x", "events": ["failed"]}
    taken = 0
    for _ in range(runs):
        before = trial.kept()
        body = json.loads(json.dumps(dice.choice(whole)))
        for _ in range(dice.randint(1, 3)):
            operations = body.get("mask_operations")
            deep = isinstance(operations, list) and operations and isinstance(operations[0], dict)
            spot = operations[0] if deep and dice.random() < 0.3 else body
            if dice.random() < 0.4:
                given = body.setdefault("options", json.loads(json.dumps(options)))
                spot = given if isinstance(given, dict) else body
                if dice.random() < 0.4 and isinstance(spot.get("webhook"), dict):
                    spot = spot["webhook"]
            name = dice.choice([*spot, "extra", "steps", "buffer_px", "lambda_ce"])
            if dice.random() < 0.2:
                spot.pop(name, None)
            else:
                spot[name] = strange(dice)
        text = json.dumps(body)
        data = damaged(dice, text.encode()) if dice.random() < 0.2 else text.encode()
        key = {"Idempotency-Key": dice.choice(KEYS)} if dice.random() < 0.3 else {}
        answer = client.post("/v1/jobs", data=data, content_type="application/json", headers=key)
        if answer.status_code == 202:
            taken += 1
            continue
        assert refused_in_words(answer)
        assert trial.kept() == before
    assert 0 < taken < runs


@pytest.mark.parametrize("runs", RUNS)
def test_whatever_is_asked_of_jobs_queues_and_workers_is_done_or_refused_in_words(
    trial: Trial, client: FlaskClient, runs: int
) -> None:
    dice = random.Random(20_260_103)
    jobs = trial.stores.jobs
    ended = trial.inverted().id
    ids = [jobs.add(tenant, "sample", {"kind": "sample"}).id for tenant in ("local", "local", "somebody")]
    ids += [ended, "f" * 32, "x"]
    routes = [
        *(("POST", f"/v1/jobs/%s/{deed}") for deed in ("cancel", "stop", "retry", "deliveries/%s-1/resend")),
        *(("GET", f"/v1/jobs/%s/{what}") for what in ("explain", "history", "deliveries", "events")),
        ("PATCH", "/v1/jobs/%s"),
        *(("POST", f"/v1/queues/%s/{deed}") for deed in ("pause", "resume")),
        *((method, "/v1/workers/%s/drain") for method in ("POST", "DELETE")),
    ]
    for _ in range(runs):
        method, path = dice.choice(routes)
        url = path.replace("%s", dice.choice(NAMES if "queues" in path or "workers" in path else ids))
        theirs = jobs.get("somebody", ids[2])
        queues = {queue.name for queue in jobs.queues()}
        body = json.dumps(dice.choice([{"priority": dice.choice(("bulk", *STRANGE))}, *STRANGE]))
        headers = {"Idempotency-Key": dice.choice(KEYS), "Last-Event-ID": dice.choice(("0", "7", "x"))}
        data = {"data": body, "content_type": "application/json"} if method != "GET" else {}
        answer = client.open(url, method=method, headers=headers, buffered=False, **data)
        assert answer.status_code < 500, (method, url, answer.text[:500])
        if answer.status_code >= 400:
            assert refused_in_words(answer)
        answer.close()
        assert jobs.get("somebody", ids[2]) == theirs
        assert {queue.name for queue in jobs.queues()} == queues
