"""Boxes, photographs and encoders that cannot be: refused at the submit, naming the member at fault."""

import dataclasses
from typing import Any

import pytest
from api_trial import Trial, cars, picture, put_vector, upload
from flask.testing import FlaskClient

from storage.errors import ImageInUse
from storage.records import Job

EDIT: dict[str, Any] = {"kind": "edit", "mask_operations": [{"op": "scale", "part": "wheel", "factor": 1.4}]}


def refused(client: FlaskClient, trial: Trial, body: dict[str, Any]) -> tuple[int, str, str]:
    kept = trial.kept()
    answer = client.post("/v1/jobs", json=body)
    problem = answer.get_json()
    assert trial.kept() == kept
    return answer.status_code, problem["code"], problem["field"]


BOXES: list[tuple[dict[str, Any], str]] = [
    ({"x": 0, "y": 0, "size": 31}, "size"),
    ({"x": 11, "y": 0, "size": 30}, "x"),
    ({"x": 0, "y": 1, "size": 30}, "y"),
    ({"x": -1, "y": 0, "size": 20}, "x"),
    ({"x": 0, "y": 70_000, "size": 20}, "y"),
    ({"x": 0, "y": 0, "size": 7}, "size"),
    ({"x": 0, "y": 0, "size": 10**400}, "size"),
    ({"x": 0.5, "y": 0, "size": 20}, "x"),
    ({"x": True, "y": 0, "size": 20}, "x"),
    ({"x": "0", "y": 0, "size": 20}, "x"),
    ({"x": 0, "y": 0}, "size"),
    ({"x": 0, "y": 0, "size": 20, "z": 1}, "z"),
]


@pytest.mark.parametrize(("box", "field"), BOXES)
def test_a_box_that_is_not_in_the_picture_is_refused(
    client: FlaskClient, trial: Trial, box: dict[str, Any], field: str
) -> None:
    """The picture is 40 x 30 px."""
    image = upload(client, picture())
    edit = EDIT | {"image": image, "photo": {"box": box}}
    status, _, named = refused(client, trial, edit)
    assert (status, named) == (422, f"photo.box.{field}")
    status, _, named = refused(client, trial, {"kind": "invert", "image": image, "box": box})
    assert (status, named) == (422, f"box.{field}")


@pytest.mark.parametrize(
    "photo", [{}, {"box": None}, {"box": {"x": 10, "y": 0, "size": 30}}, {"paste": "replace"}]
)
def test_a_photograph_is_accepted(client: FlaskClient, photo: dict[str, Any]) -> None:
    image = upload(client, picture())
    answer = client.post("/v1/jobs", json=EDIT | {"image": image, "photo": photo})
    assert answer.status_code == 202, answer.text
    box = photo.get("box")
    body = {"kind": "invert", "image": image, "box": box}
    assert client.post("/v1/jobs", json=body).status_code == 202


def test_another_way_of_pasting_is_refused(client: FlaskClient, trial: Trial) -> None:
    body = EDIT | {"image": upload(client, picture()), "photo": {"paste": "glue"}}
    assert refused(client, trial, body) == (422, "invalid_input", "photo.paste")


def inverted(client: FlaskClient, trial: Trial) -> Job:
    """An inversion of an upload."""
    job = trial.inverted()
    spec = job.spec | {"image": upload(client, picture())}
    jobs: Any = trial.stores.jobs
    held = jobs.rows[job.id]
    jobs.rows[job.id] = dataclasses.replace(held, job=dataclasses.replace(job, spec=spec))
    return trial.stores.jobs.get("local", job.id)


def test_an_inversion_s_photograph_must_be_there_still(client: FlaskClient, trial: Trial) -> None:
    inversion = inverted(client, trial)
    body = EDIT | {"inversion": inversion.id, "photo": {}}
    waiting = client.post("/v1/jobs", json=body)
    assert waiting.status_code == 202
    with pytest.raises(ImageInUse):
        trial.stores.library.delete_image("local", inversion.spec["image"])
    client.post(f"/v1/jobs/{waiting.json['id']}/cancel")
    trial.stores.library.delete_image("local", inversion.spec["image"])
    assert refused(client, trial, body) == (404, "image_not_found", "photo")
    assert client.post("/v1/jobs", json=EDIT | {"inversion": inversion.id}).status_code == 202


def test_an_inversion_brings_its_own_box(client: FlaskClient, trial: Trial) -> None:
    photo = {"box": {"x": 0, "y": 0, "size": 30}}
    body = EDIT | {"inversion": inverted(client, trial).id, "photo": photo}
    assert refused(client, trial, body) == (422, "invalid_input", "photo.box")


def test_a_sample_has_no_photograph(client: FlaskClient, trial: Trial) -> None:
    body = EDIT | {"inversion": trial.inverted(kind="sample").id, "photo": {}}
    assert refused(client, trial, body) == (422, "invalid_input", "photo")


def apply(trial: Trial, **members: Any) -> dict[str, Any]:
    return {"kind": "apply", "vectors": [{"vector": put_vector(trial)}], **members}


@pytest.mark.parametrize(("box", "field"), BOXES)
def test_a_box_that_is_not_in_a_picture_to_apply_vectors_to_is_refused(
    client: FlaskClient, trial: Trial, box: dict[str, Any], field: str
) -> None:
    point = {"image": upload(client, picture()), "photo": {"box": box}}
    status, _, named = refused(client, trial, apply(trial, **point))
    assert (status, named) == (422, f"photo.box.{field}")
    status, _, named = refused(client, trial, apply(trial, inputs=[{"seed": 1}, point]))
    assert (status, named) == (422, f"inputs.1.photo.box.{field}")


def test_photographs_to_apply_vectors_to_are_accepted(client: FlaskClient, trial: Trial) -> None:
    image, inversion = upload(client, picture()), inverted(client, trial).id
    boxed = {"image": image, "photo": {"box": {"x": 10, "y": 0, "size": 30}, "paste": "replace"}}
    points = [boxed, {"image": image, "photo": {}}, {"inversion": inversion, "photo": {}}]
    for members in (*points, {"inputs": [*points, {"seed": 1}, {"image": image}]}):
        answer = client.post("/v1/jobs", json=apply(trial, **members))
        assert answer.status_code == 202, answer.text


def test_what_has_no_photograph_to_apply_vectors_to_is_refused_by_its_member(
    client: FlaskClient, trial: Trial
) -> None:
    inversion, sampled = inverted(client, trial), trial.inverted(kind="sample").id
    box = {"x": 0, "y": 0, "size": 30}
    gone = inverted(client, trial)
    trial.stores.library.delete_image("local", gone.spec["image"])
    for point, code, field in (
        ({"seed": 1, "photo": {}}, "invalid_input", "photo"),
        ({"inversion": sampled, "photo": {}}, "invalid_input", "photo"),
        ({"inversion": inversion.id, "photo": {"box": box}}, "invalid_input", "photo.box"),
        ({"inversion": gone.id, "photo": {}}, "image_not_found", "photo"),
    ):
        assert refused(client, trial, apply(trial, **point))[1:] == (code, field)
        several = apply(trial, inputs=[{"seed": 2}, point])
        assert refused(client, trial, several)[1:] == (code, f"inputs.1.{field}")
    image = inversion.spec["image"]
    of_all = apply(trial, inputs=[{"image": image}], photo={})
    assert refused(client, trial, of_all) == (422, "invalid_input", "photo")


def test_an_encoder_that_the_model_lacks_is_refused(client: FlaskClient, trial: Trial) -> None:
    image = upload(client, picture())
    invert = {"kind": "invert", "image": image, "start": "encoder"}
    edit = EDIT | {"image": image, "inverting": {"start": "encoder"}}
    assert refused(client, trial, invert)[1:] == ("model_incomplete", "start")
    assert refused(client, trial, edit)[1:] == ("model_incomplete", "inverting.start")
    model = cars()
    files = model.files | {"encoder": model.files["generator"]}
    trial.stores.library.put_model(dataclasses.replace(model, files=files, digest="e" * 64))
    for body in (invert, edit):
        assert client.post("/v1/jobs", json=body).status_code == 202
