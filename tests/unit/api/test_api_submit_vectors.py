"""Submitting what learns vectors and applies them: what is named must be there, and fit."""

from typing import Any

import pytest
from api_trial import Trial, mask_png, picture, put_vector, upload
from flask.testing import FlaskClient

GROW = [{"op": "scale", "part": "wheel", "factor": 1.4}]
TARGET: dict[str, Any] = {"name": "larger wheels", "mask_operations": GROW}
LEARN: dict[str, Any] = {"kind": "learn_vector", "seed": 1, "targets": [TARGET]}


def test_what_learns_is_accepted(client: FlaskClient, trial: Trial) -> None:
    code, shown = trial.inverted().id, upload(client, picture())
    wanted = upload(client, mask_png(), "mask")
    pair = {"before": {"image": shown}, "after": {"inversion": code}}
    for body in (
        LEARN,
        {"kind": "learn_vector", "inversion": code, "targets": [TARGET, {**TARGET, "name": "again"}]},
        {"kind": "learn_vector", "image": shown, "targets": [{"name": "painted", "mask": wanted}]},
        {"kind": "learn_vector", "inversion": code, "targets": [{"name": "to", "after": {"image": shown}}]},
        {"kind": "learn_vector", "targets": [{"name": "retouched", "pairs": [pair, pair]}]},
    ):
        answer = client.post("/v1/jobs", json=body)
        assert answer.status_code == 202, answer.text


def test_what_applies_is_accepted(client: FlaskClient, trial: Trial) -> None:
    mine, systems = put_vector(trial), put_vector(trial, tenant_id="system")
    uses = [{"vector": mine, "strength": -1.5}, {"vector": systems, "amount": "+25 %"}]
    for point in (
        {"seed": 3},
        {"inversion": trial.inverted(kind="apply").id},
        {"image": upload(client, picture())},
        {"inputs": [{"seed": 3}, {"seed": 4}]},
    ):
        body = {"kind": "apply", "vectors": uses, "sweep": [0, 0.5, 1], "mode": "auto", **point}
        answer = client.post("/v1/jobs", json=body)
        assert answer.status_code == 202, answer.text


NOBODY = "0" * 32


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (LEARN | {"targets": []}, "invalid_input", "targets"),
        (LEARN | {"seed": None}, "invalid_input", None),
        (LEARN | {"image": NOBODY}, "invalid_input", None),
        (LEARN | {"seed": None, "image": NOBODY}, "image_not_found", "image"),
        (LEARN | {"seed": None, "inversion": NOBODY}, "job_not_found", "inversion"),
        (LEARN | {"layers": [5, 2]}, "invalid_input", None),
        (LEARN | {"targets": [TARGET | {"q_edit": ["wing"]}]}, "unknown_part", "targets.0.q_edit"),
        (
            LEARN | {"targets": [{"name": "a", "mask_operations": [{"op": "remove", "part": "wing"}]}]},
            "unknown_part",
            "targets.0.mask_operations.0.part",
        ),
        (LEARN | {"targets": [{"name": "a", "mask": NOBODY}]}, "image_not_found", "targets.0.mask"),
        (
            LEARN | {"targets": [{"name": "a", "after": {"image": NOBODY}}]},
            "image_not_found",
            "targets.0.after.image",
        ),
        (LEARN | {"targets": [TARGET | {"mask": NOBODY}]}, "invalid_input", "targets.0"),
    ],
)
def test_what_cannot_be_learned_is_refused_by_its_member(
    client: FlaskClient, trial: Trial, body: dict[str, Any], code: str, field: str | None
) -> None:
    body = {name: value for name, value in body.items() if value is not None}
    problem = client.post("/v1/jobs", json=body).get_json()
    assert problem["code"] == code, problem
    assert field is None or problem["field"] == field, problem
    assert trial.rung == []


def test_a_mask_that_changes_nothing_is_refused(client: FlaskClient, trial: Trial) -> None:
    same = [{"op": "grow", "part": "wheel", "px": 0}]
    body = {
        "kind": "learn_vector",
        "inversion": trial.inverted().id,
        "targets": [{"name": "a"} | {"mask_operations": same}],
    }
    problem = client.post("/v1/jobs", json=body).get_json()
    assert (problem["code"], problem["field"]) == ("mask_unchanged", "targets.0.mask_operations")


def test_vectors_that_cannot_be_applied_are_refused_by_their_member(
    client: FlaskClient, trial: Trial
) -> None:
    other, theirs, mine = (
        put_vector(trial, generator="e" * 64),
        put_vector(trial, tenant_id="else"),
        put_vector(trial),
    )
    unmeasured = put_vector(trial, report={})
    for use, code, field in (
        ({"vector": NOBODY}, "vector_not_found", "vectors.0.vector"),
        ({"vector": theirs}, "vector_not_found", "vectors.0.vector"),
        ({"vector": other}, "invalid_input", "vectors.0.vector"),
        ({"vector": mine, "amount": "+60 %"}, "amount_unreachable", "vectors.0.amount"),
        ({"vector": unmeasured, "amount": "+5 %"}, "amount_unreachable", "vectors.0.amount"),
        ({"vector": mine, "amount": "much"}, "invalid_input", "vectors.0.amount"),
        ({"vector": mine, "amount": "+5 %", "strength": 1}, "invalid_input", "vectors.0"),
    ):
        problem = client.post("/v1/jobs", json={"kind": "apply", "seed": 1, "vectors": [use]}).get_json()
        assert (problem["code"], problem["field"]) == (code, field), problem
    assert trial.rung == []


@pytest.mark.parametrize(
    "asked",
    [
        {"mode": "vector", "refine_steps": 10},
        {"mode": "auto", "refine_steps": 0},
        {"refine_steps": 101},
        {"sweep": []},
        {"sweep": [11]},
        {"inputs": [{"seed": 2}]},
        {"vectors": []},
    ],
)
def test_ways_of_applying_that_make_no_sense_are_refused(
    client: FlaskClient, trial: Trial, asked: dict[str, Any]
) -> None:
    body = {"kind": "apply", "seed": 1, "vectors": [{"vector": put_vector(trial)}], **asked}
    answer = client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_input")
