"""Mask operations as a submit checks them: the members at fault, and the masks that they copy from."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from api_trial import PARTS, Trial, car_mask, mask_png, picture, upload
from flask.testing import FlaskClient

from storage.masks import encode_mask

TRIANGLE = [[0, 0], [9, 0], [9, 9]]
COPY = {"op": "copy", "part": "wheel"}


def edit(client: FlaskClient, *operations: dict[str, Any], **source: str) -> Any:
    """The answer to an edit by operations, of an uploaded picture where no other source is given."""
    source = source or {"image": upload(client, picture())}
    return client.post("/v1/jobs", json={"kind": "edit", "mask_operations": operations, **source})


def test_every_operation_is_taken_as_json(client: FlaskClient, trial: Trial) -> None:
    wheel, mask = {"part": "wheel"}, upload(client, mask_png(), "mask")
    operations = [
        {"op": "grow", **wheel, "px": -1},
        {"op": "shrink", **wheel, "px": 1, "piece": "largest"},
        {"op": "shift", **wheel, "dx_px": 1},
        {"op": "scale", **wheel, "factor_x": 2, "anchor": "left", "piece": 0},
        {"op": "rotate", **wheel, "degrees": 30},
        {"op": "mirror", **wheel, "about": "picture"},
        {"op": "remove", **wheel, "piece": "left"},
        {"op": "relabel", "part": "rim", "into": "tyre"},
        {"op": "swap", "part": "rim", "other": "body"},
        {"op": "polygon", "into": "body", "points": TRIANGLE, "only": ["sky"]},
        {**COPY, "mask": mask},
    ]
    answer = edit(client, *operations)
    assert answer.status_code == 202, answer.text
    kept = trial.stores.jobs.get("local", answer.get_json()["id"]).spec["mask_operations"]
    assert [kept[i] | operations[i] for i in range(len(operations))] == kept


@pytest.mark.parametrize(
    ("operation", "field", "expected"),
    [
        (
            {"op": "scale", "part": "wheel"},
            "factor",
            "give factor, or else factor_x or factor_y or both of these",
        ),
        ({"op": "scale", "part": "wheel", "factor_y": 99}, "factor_y", "a number from 0.1 to 10"),
        ({"op": "scale", "part": "wheel", "factor": 2, "anchor": "top left"}, "anchor", None),
        ({"op": "rotate", "part": "wheel", "degrees": 400}, "degrees", "a number from -360 to 360"),
        (
            {"op": "remove", "part": "wheel", "piece": "middle"},
            "piece",
            "one of all, largest, left, right, or a number from 0 to 63",
        ),
        ({"op": "remove", "part": "wheel", "piece": 1.5}, "piece", None),
        ({"op": "remove", "part": "wheel", "piece": True}, "piece", None),
        ({"op": "swap", "part": "rim", "other": "rim"}, "other", None),
        ({"op": "polygon", "into": "rim", "points": TRIANGLE[:2]}, "points", None),
        ({"op": "polygon", "into": "rim", "points": [*TRIANGLE, [1, "2"]]}, "points.3.1", None),
        ({"op": "polygon", "into": "rim", "points": TRIANGLE, "units": "relative"}, "points", None),
        ({**COPY, "mask": "mine"}, "mask", None),
    ],
)
def test_a_member_that_is_wrong_is_named(
    client: FlaskClient, trial: Trial, operation: dict[str, Any], field: str, expected: str | None
) -> None:
    answer = edit(client, {"op": "remove", "part": "rim"}, operation, image="0" * 32)
    problem = answer.get_json()
    assert (answer.status_code, problem["field"]) == (422, f"mask_operations.1.{field}"), answer.text
    assert expected in (None, problem["expected"])
    assert trial.kept() == (0, 0, 0)


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        ({"op": "mirror", "part": "wing"}, "part"),
        ({"op": "polygon", "into": "wing", "points": TRIANGLE}, "into"),
        ({"op": "polygon", "into": "body", "points": TRIANGLE, "only": ["sky", "wing"]}, "only"),
        ({"op": "swap", "part": "rim", "other": "wing"}, "other"),
        ({"op": "swap", "part": "rim", "other": "wheel"}, "other"),
        ({"op": "polygon", "into": "wheel", "points": TRIANGLE}, "into"),
    ],
)
def test_a_part_that_is_none_of_the_models_is_named(
    client: FlaskClient, trial: Trial, operation: dict[str, Any], field: str
) -> None:
    problem = edit(client, operation).get_json()
    assert (problem["status"], problem["field"]) == (422, f"mask_operations.0.{field}")
    assert problem["expected"]
    assert trial.kept()[0] == 0


def test_a_mask_to_copy_from_must_be_the_callers_own(client: FlaskClient, trial: Trial) -> None:
    mask = upload(client, mask_png(), "mask")
    theirs = dataclasses.replace(trial.stores.library.get_image("local", mask), tenant_id="somebody")
    trial.stores.library.delete_image("local", mask)
    trial.stores.library.add_image(theirs)
    for image_id in (mask, "f" * 32):
        problem = edit(client, {"op": "remove", "part": "rim"}, {**COPY, "mask": image_id}).get_json()
        assert (problem["status"], problem["code"]) == (404, "image_not_found")
        assert problem["field"] == "mask_operations.1.mask"
    assert trial.kept()[0] == 0


def test_a_mask_to_copy_from_is_no_picture_and_fits_the_model(client: FlaskClient, trial: Trial) -> None:
    small = encode_mask(np.zeros((8, 16), np.uint8), PARTS)
    strange = encode_mask(np.full((16, 16), 9, np.uint8), PARTS)
    for image_id, code, told in (
        (upload(client, picture()), "invalid_input", "picture"),
        (upload(client, small, "mask"), "mask_mismatch", "16x8"),
        (upload(client, strange, "mask"), "mask_mismatch", "9"),
    ):
        problem = edit(client, {**COPY, "mask": image_id}).get_json()
        assert (problem["status"], problem["code"]) == (422, code)
        assert problem["field"] == "mask_operations.0.mask"
        assert told in problem["detail"]
    assert trial.kept()[0] == 0


def test_whether_a_copy_changes_anything_is_known_at_once(client: FlaskClient, trial: Trial) -> None:
    inversion = trial.inverted().id
    same = upload(client, mask_png(), "mask")
    problem = edit(client, {**COPY, "mask": same}, inversion=inversion).get_json()
    assert (problem["status"], problem["code"]) == (422, "mask_unchanged")
    other = upload(client, mask_png(np.roll(car_mask(), 1, axis=1)), "mask")
    assert edit(client, {**COPY, "mask": other}, inversion=inversion).status_code == 202
