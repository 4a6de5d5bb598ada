"""Submitting jobs: the row, the ring, and every way of asking for what cannot be done."""

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest
from api_trial import PARTS, Trial, car_mask, mask_png, picture, upload
from flask.testing import FlaskClient

from storage.masks import encode_mask
from storage.specs import Kind
from workers.queue import Hint

KINDS = ", ".join(sorted(get_args(Kind)))
SAMPLE: dict[str, Any] = {"kind": "sample"}
EDIT: dict[str, Any] = {"kind": "edit", "mask_operations": [{"op": "scale", "part": "wheel", "factor": 1.4}]}


def test_a_job_is_committed_then_rung_for(client: FlaskClient, trial: Trial) -> None:
    answer = client.post("/v1/jobs", json={"kind": "sample", "seed": 7})
    job = answer.get_json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["Retry-After"] == "1"
    assert (job["status"], job["queue_position"], job["spec"]["truncation_psi"]) == ("queued", 0, 0.7)
    assert trial.rung == [("gpu", str(Hint(job["id"], "cars")))]
    assert trial.stores.jobs.get("local", job["id"]).spec == job["spec"]


def test_a_whole_edit_is_accepted(client: FlaskClient, trial: Trial) -> None:
    inversion = trial.inverted().id
    for body in (
        EDIT | {"image": upload(client, picture()), "q_edit": ["wheel", "body"]},
        EDIT | {"inversion": inversion},
        {
            "kind": "edit",
            "inversion": inversion,
            "mask": upload(client, mask_png(np.roll(car_mask(), 1)), "mask"),
        },
    ):
        assert client.post("/v1/jobs", json=body).status_code == 202, body


STEPS = ["0", "-1", "1000000000", "1" + "0" * 400, '"100"', '"many"', "1.5", "true", "null", "[]", "{}"]


@pytest.mark.parametrize("steps", STEPS, ids=[steps[:12] for steps in STEPS])
def test_steps_out_of_range_or_of_another_kind_are_refused(
    client: FlaskClient, trial: Trial, steps: str
) -> None:
    image = upload(client, picture())
    kept = trial.kept()
    body = f'{{"kind": "invert", "image": "{image}", "steps": {steps}}}'
    answer = client.post("/v1/jobs", data=body, content_type="application/json")
    problem = answer.get_json()
    assert (answer.status_code, problem["field"]) == (422, "steps")
    assert problem["expected"] == "a whole number from 1 to 5000"
    assert trial.kept() == kept
    assert trial.rung == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["steps", "lr"])
def test_numbers_that_are_none_are_refused(client: FlaskClient, field: str, number: str) -> None:
    body = f'{{"kind": "invert", "image": "{"0" * 32}", "{field}": {number}}}'
    answer = client.post("/v1/jobs", data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()["field"]) == (422, field)


@pytest.mark.parametrize(
    ("body", "field", "expected"),
    [
        ({}, "kind", f"one of {KINDS}"),
        ({"kind": "paint"}, "kind", f"one of {KINDS}"),
        ({"kind": 3}, "kind", f"one of {KINDS}"),
        (SAMPLE | {"colour": 1}, "colour", "one of options, kind, model, seed, count, truncation_psi"),
        (SAMPLE | {"sample": 1}, "sample", "one of options, kind, model, seed, count, truncation_psi"),
        (SAMPLE | {"count": 65}, "count", "a whole number from 1 to 64"),
        (SAMPLE | {"model": "../etc"}, "model", "text matching ^[a-z][a-z0-9_.-]{0,63}$, such as cars"),
        (
            {"kind": "invert"},
            "image",
            "text matching ^[0-9a-f]{32}$, such as 0190c0ffee00aabbccddeeff00112233",
        ),
        (EDIT, "image", "give exactly one of image and inversion"),
        (
            EDIT | {"image": "0" * 32, "mask": "0" * 32},
            "mask",
            "give exactly one of mask and mask_operations",
        ),
        (
            EDIT | {"image": "0" * 32, "mask_operations": [{"op": "scale", "part": "wheel", "factor": 99}]},
            "mask_operations.0.factor",
            "a number from 0.1 to 10",
        ),
        (
            EDIT | {"image": "0" * 32, "mask_operations": [{"op": "bend"}]},
            "mask_operations.0.op",
            "one of copy, grow, mirror, polygon, relabel, remove, rotate, scale, shift, shrink, swap",
        ),
        (EDIT | {"image": "0" * 32, "lr": 0}, "lr", "a number above 0 and at most 1"),
        (EDIT | {"image": "0" * 32, "q_edit": ["x"] * 65}, "q_edit", None),
    ],
)
def test_what_a_spec_cannot_be_is_named_in_plain_words(
    client: FlaskClient, trial: Trial, body: dict[str, Any], field: str, expected: str | None
) -> None:
    answer = client.post("/v1/jobs", json=body)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "invalid_input", field)
    assert expected in (None, problem["expected"])
    assert trial.kept() == (0, 0, 0)
    assert trial.rung == []


def test_all_faults_are_listed(client: FlaskClient) -> None:
    problem = client.post("/v1/jobs", json=SAMPLE | {"count": 0, "seed": -1}).get_json()
    assert [fault["field"] for fault in problem["errors"]] == ["seed", "count"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"steps": 1' + b"0" * 5000 + b"}",
        b"{'kind': 'sample'}",
        b"\xff\xfe",
        b'{"kind": "sample"} x',
        b"[" * 100_000,
    ],
    ids=["empty", "half", "digits", "quotes", "encoding", "trailing", "deep"],
)
def test_what_is_not_json_is_a_malformed_body(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/v1/jobs", data=body, content_type="application/json")
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["field"]) == (400, "malformed_body", "body")


@pytest.mark.parametrize("body", ["null", "3", '"sample"', "[]"])
def test_json_that_is_no_object_is_refused(client: FlaskClient, body: str) -> None:
    answer = client.post("/v1/jobs", data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()["field"]) == (422, "body")


def test_other_content_types_and_encodings_are_refused(client: FlaskClient) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", None):
        answer = client.post("/v1/jobs", data=b'{"kind": "sample"}', content_type=content_type)
        assert (answer.status_code, answer.get_json()["field"]) == (415, "Content-Type")
    answer = client.post("/v1/jobs", json=SAMPLE, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.get_json()["field"]) == (415, "Content-Encoding")


def test_a_spec_of_more_than_a_mebibyte_is_refused(client: FlaskClient) -> None:
    answer = client.post("/v1/jobs", data=b" " * (1 << 20) + b"{}", content_type="application/json")
    assert (answer.status_code, answer.get_json()["expected"]) == (413, "at most 1048576 bytes")


def test_an_unknown_model_is_not_found(client: FlaskClient, trial: Trial) -> None:
    answer = client.post("/v1/jobs", json=SAMPLE | {"model": "boats"})
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["field"]) == (404, "model_not_found", "model")
    assert problem["expected"]
    assert trial.kept() == (0, 0, 0)


def test_a_picture_of_somebody_else_is_not_found(client: FlaskClient, trial: Trial) -> None:
    image_id = upload(client, picture())
    theirs = dataclasses.replace(trial.stores.library.get_image("local", image_id), tenant_id="somebody")
    trial.stores.library.delete_image("local", image_id)
    trial.stores.library.add_image(theirs)
    for body in (
        {"kind": "invert", "image": image_id},
        EDIT | {"image": image_id},
        EDIT | {"image": "f" * 32},
    ):
        problem = client.post("/v1/jobs", json=body).get_json()
        assert (problem["status"], problem["code"], problem["field"]) == (404, "image_not_found", "image")
    assert trial.kept()[0] == 0


def test_a_mask_is_no_picture_and_a_picture_is_no_mask(client: FlaskClient, trial: Trial) -> None:
    mask, image = upload(client, mask_png(), "mask"), upload(client, picture())
    problem = client.post("/v1/jobs", json={"kind": "invert", "image": mask}).get_json()
    assert (problem["status"], problem["field"]) == (422, "image")
    problem = client.post("/v1/jobs", json={"kind": "edit", "image": image, "mask": image}).get_json()
    assert (problem["status"], problem["field"]) == (422, "mask")
    assert trial.kept()[0] == 0


@pytest.mark.parametrize(
    ("mask", "told"),
    [(np.zeros((8, 16), np.uint8), "16x8"), (np.full((16, 16), 9, np.uint8), "9")],
    ids=["size", "ids"],
)
def test_a_mask_that_does_not_fit_the_model_is_refused(
    client: FlaskClient, trial: Trial, mask: Any, told: str
) -> None:
    body = {
        "kind": "edit",
        "image": upload(client, picture()),
        "mask": upload(client, encode_mask(mask, PARTS), "mask"),
    }
    problem = client.post("/v1/jobs", json=body).get_json()
    assert (problem["status"], problem["code"], problem["field"]) == (422, "mask_mismatch", "mask")
    assert told in problem["detail"]
    assert problem["expected"]
    assert trial.kept()[0] == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"mask_operations": [{"op": "grow", "part": "wing", "px": 1}]}, "mask_operations.0.part"),
        ({"mask_operations": [{"op": "relabel", "part": "rim", "into": "gold"}]}, "mask_operations.0.into"),
        ({"q_edit": ["wheel", "wing"]}, "q_edit"),
    ],
)
def test_parts_that_the_model_has_not_are_refused(
    client: FlaskClient, trial: Trial, change: dict[str, Any], field: str
) -> None:
    image = upload(client, picture())
    problem = client.post("/v1/jobs", json=EDIT | {"image": image} | change).get_json()
    assert (problem["status"], problem["code"], problem["field"]) == (422, "unknown_part", field)
    assert "wheel" in problem["expected"]
    assert trial.kept()[0] == 0


def test_a_group_is_nothing_to_relabel_into(client: FlaskClient) -> None:
    operations = [{"op": "relabel", "part": "body", "into": "wheel"}]
    body = EDIT | {"image": upload(client, picture()), "mask_operations": operations}
    problem = client.post("/v1/jobs", json=body).get_json()
    assert (problem["status"], problem["field"]) == (422, "mask_operations.0.into")


@pytest.mark.parametrize("kind", ["invert", "edit", "sample"])
def test_a_mask_equal_to_the_inversions_is_refused(client: FlaskClient, trial: Trial, kind: str) -> None:
    inversion = trial.inverted(kind=kind).id
    mask = upload(client, mask_png(), "mask")
    kept = trial.kept()
    for body, field in (
        ({"kind": "edit", "inversion": inversion, "mask": mask}, "mask"),
        (
            EDIT | {"inversion": inversion, "mask_operations": [{"op": "shift", "part": "rim"}]},
            "mask_operations",
        ),
    ):
        problem = client.post("/v1/jobs", json=body).get_json()
        assert (problem["status"], problem["code"], problem["field"]) == (422, "mask_unchanged", field)
        assert problem["expected"]
    assert trial.kept() == kept
    assert trial.rung == []


def test_an_inversion_must_have_succeeded_with_this_very_model(client: FlaskClient, trial: Trial) -> None:
    stale = trial.inverted(digest="e" * 64).id
    waiting = client.post("/v1/jobs", json=SAMPLE).get_json()["id"]
    for inversion, status, code in (
        (stale, 422, "invalid_input"),
        (waiting, 422, "invalid_input"),
        ("f" * 32, 404, "job_not_found"),
    ):
        problem = client.post("/v1/jobs", json=EDIT | {"inversion": inversion}).get_json()
        assert (problem["status"], problem["code"], problem["field"]) == (status, code, "inversion")
        assert problem["expected"]
    assert len(trial.rung) == 1


def test_a_mask_of_another_size_is_refused_before_it_is_read(client: FlaskClient, trial: Trial) -> None:
    mask = upload(client, encode_mask(np.zeros((8, 16), np.uint8), PARTS), "mask")
    trial.stores.objects.delete([trial.stores.library.get_image("local", mask).object.key])
    body = {"kind": "edit", "image": upload(client, picture()), "mask": mask}
    problem = client.post("/v1/jobs", json=body).get_json()
    assert (problem["status"], problem["code"], problem["field"]) == (422, "mask_mismatch", "mask")
    assert "16x8" in problem["detail"]


def test_a_stored_mask_is_decoded_within_the_same_limit_as_an_upload(
    client: FlaskClient, trial: Trial
) -> None:
    body = {"kind": "edit", "image": upload(client, picture()), "mask": upload(client, mask_png(), "mask")}
    service = trial.app.extensions["editq"]
    service.settings = service.settings.model_copy(update={"max_picture_pixels": 255})
    problem = client.post("/v1/jobs", json=body).get_json()
    assert (problem["status"], problem["code"], problem["field"]) == (413, "picture_too_large", "mask")
    assert trial.kept()[0] == 0
