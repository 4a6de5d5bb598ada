"""Pictures and masks: what is kept, and that nothing is kept of what cannot be read."""

import dataclasses
import io
from typing import Any

import pytest
from api_trial import Trial, bomb, mask_png, picture, upload
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder

NOTHING = (0, 0, 0)


def multipart(data: bytes, **fields: str) -> dict[str, object]:
    return {"file": (io.BytesIO(data), "car.png"), **fields}


def test_a_multipart_picture_is_kept_as_it_was_sent(client: FlaskClient) -> None:
    sent = picture("JPEG")
    answer = client.post("/v1/images", data=multipart(sent))
    image = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/images/{image['id']}"
    assert (image["role"], image["filename"], image["media_type"]) == ("picture", "car.png", "image/jpeg")
    assert (image["width_px"], image["height_px"]) == (40, 30)
    content = client.get(image["url"])
    assert content.data == sent
    assert content.content_type == "image/jpeg"
    assert content.headers["ETag"] == f'"{image["sha256"]}"'
    assert content.headers["X-Content-Type-Options"] == "nosniff"


def test_a_raw_body_takes_role_and_filename_from_the_query(client: FlaskClient) -> None:
    answer = client.post("/v1/images?role=mask&filename=m.png", data=mask_png(), content_type="image/png")
    assert (answer.get_json()["role"], answer.get_json()["filename"]) == ("mask", "m.png")


def test_content_is_not_sent_again_to_who_has_it(client: FlaskClient) -> None:
    image_id = upload(client, picture())
    etag = client.get(f"/v1/images/{image_id}/content").headers["ETag"]
    again = client.get(f"/v1/images/{image_id}/content", headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")


def test_what_a_browser_cannot_be_trusted_with_is_an_attachment(client: FlaskClient) -> None:
    answer = client.post(
        "/v1/images?filename=a%22b%0d%0a.tif", data=picture("TIFF"), content_type="image/tiff"
    )
    content = client.get(answer.get_json()["url"])
    assert content.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%22b%0D%0A.tif"


def test_the_list_is_newest_first_and_pages_by_link(client: FlaskClient) -> None:
    ids = [upload(client, picture(size=(20 + n, 20))) for n in range(3)]
    first = client.get("/v1/images?limit=2")
    assert [image["id"] for image in first.get_json()["items"]] == [ids[2], ids[1]]
    next_url = first.headers["Link"].split(">")[0].lstrip("<")
    second = client.get(next_url)
    assert [image["id"] for image in second.get_json()["items"]] == [ids[0]]
    assert "Link" not in second.headers
    assert second.get_json()["next_cursor"] is None


def test_deleting_an_image_deletes_its_object(client: FlaskClient, trial: Trial) -> None:
    image_id = upload(client, picture())
    assert client.delete(f"/v1/images/{image_id}").status_code == 204
    assert trial.kept() == NOTHING
    assert client.get(f"/v1/images/{image_id}").status_code == 404
    assert client.delete(f"/v1/images/{image_id}").get_json()["code"] == "image_not_found"


def test_an_object_stays_while_another_image_shares_it(client: FlaskClient, trial: Trial) -> None:
    first, second = upload(client, picture()), upload(client, picture())
    client.delete(f"/v1/images/{first}")
    assert client.get(f"/v1/images/{second}/content").data == picture()
    client.delete(f"/v1/images/{second}")
    assert trial.kept() == NOTHING


def test_an_image_that_a_waiting_job_needs_is_not_deleted(client: FlaskClient) -> None:
    image_id = upload(client, picture())
    client.post("/v1/jobs", json={"kind": "invert", "image": image_id})
    answer = client.delete(f"/v1/images/{image_id}")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "image_in_use")
    assert client.get(f"/v1/images/{image_id}/content").status_code == 200


def test_another_tenants_image_is_not_there(client: FlaskClient, trial: Trial) -> None:
    image_id = upload(client, picture())
    mine = trial.stores.library.get_image("local", image_id)
    trial.stores.library.delete_image("local", image_id)
    trial.stores.library.add_image(dataclasses.replace(mine, tenant_id="somebody"))
    for answer in (
        client.get(f"/v1/images/{image_id}"),
        client.get(f"/v1/images/{image_id}/content"),
        client.delete(f"/v1/images/{image_id}"),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (404, "image_not_found")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"this is a letter, not a picture", 422, "unreadable_picture"),
        (b"", 422, "unreadable_picture"),
        (picture("JPEG", (400, 300))[:9000], 422, "unreadable_picture"),
        (picture()[:2000], 422, "unreadable_picture"),
        (bomb(), 413, "picture_too_large"),
    ],
    ids=["text", "empty", "truncated JPEG", "truncated PNG", "bomb"],
)
def test_what_is_no_whole_picture_is_refused_and_leaves_nothing(
    client: FlaskClient, trial: Trial, data: bytes, status: int, code: str
) -> None:
    for answer in (
        client.post("/v1/images", data=multipart(data)),
        client.post("/v1/images", data=data, content_type="image/png"),
    ):
        problem = answer.get_json()
        assert (answer.status_code, problem["code"], problem["field"]) == (status, code, "file")
        assert answer.content_type == "application/problem+json"
        assert problem["expected"]
        assert problem["errors"][0]["field"] == "file"
    assert trial.kept() == NOTHING


def test_a_picture_of_colours_is_no_mask(client: FlaskClient, trial: Trial) -> None:
    answer = client.post("/v1/images?role=mask", data=picture(), content_type="image/png")
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "mask_mismatch", "file")
    assert trial.kept() == NOTHING


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"role": "portrait"}, "role"), ({"colour": "red"}, "colour"), ({"filename": "x" * 300}, "filename")],
)
def test_wrong_form_fields_are_named(
    client: FlaskClient, trial: Trial, fields: dict[str, str], field: str
) -> None:
    answer = client.post("/v1/images", data=multipart(picture(), **fields))
    assert (answer.status_code, answer.get_json()["field"]) == (422, field)
    assert trial.kept() == NOTHING


def test_a_form_without_its_file_says_so(client: FlaskClient) -> None:
    answer = client.post("/v1/images", data={"role": "picture"}, content_type="multipart/form-data")
    assert (answer.status_code, answer.get_json()["field"]) == (422, "file")


def test_an_image_sent_as_json_is_an_unsupported_media_type(client: FlaskClient) -> None:
    answer = client.post("/v1/images", json={"file": "abc"})
    assert (answer.status_code, answer.get_json()["field"]) == (415, "Content-Type")


@pytest.mark.parametrize("way", ["multipart", "raw"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(client: FlaskClient, trial: Trial, way: str, chunked: bool) -> None:
    data = bytes(2_000_001)
    body: dict[str, Any] = {"data": multipart(data)}
    if way == "raw":
        body = {"data": data, "content_type": "image/png"}
    environ = EnvironBuilder("/v1/images", method="POST", **body).get_environ()
    if chunked:
        del environ["CONTENT_LENGTH"]
        environ["wsgi.input_terminated"] = True
    answer = client.open(environ)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["field"]) == (413, "body_too_large", "body")
    assert problem["expected"] == "at most 2000000 bytes"
    assert trial.kept() == NOTHING
