"""What strangers sent is given back as what it is: of its type, unguessed, saved unless a picture."""

import pytest
from api_trial import Trial, picture, upload
from flask.testing import FlaskClient

PAGE = b"<!DOCTYPE html><script>fetch('/v1/jobs')</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(PAGE, "text/html"), (SVG, "image/svg+xml"), (PAGE, "application/xhtml+xml"), (PAGE, "text/javascript")],
)
def test_a_file_that_a_browser_would_run_is_saved_and_sandboxed(
    client: FlaskClient, data: bytes, media_type: str
) -> None:
    sent = client.post("/v1/files?filename=a.html", data=data, content_type=media_type)
    answer = client.get(sent.get_json()["url"])
    assert answer.data == data
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_picture_with_a_page_behind_it_is_a_picture(client: FlaskClient) -> None:
    image = upload(client, picture() + PAGE)
    answer = client.get(f"/v1/images/{image}/content")
    assert answer.content_type == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "name", ['a"; x=y', "a\r\nSet-Cookie: x=y", "../../a.html", "\u202ehtml.png", "a" * 255]
)
def test_a_filename_breaks_out_of_no_header(client: FlaskClient, name: str) -> None:
    sent = client.post("/v1/files", query_string={"filename": name}, data=b"x", content_type="text/html")
    assert sent.status_code in (200, 201, 422)
    if sent.status_code != 422:
        answer = client.get(sent.get_json()["url"])
        disposition = answer.headers["Content-Disposition"]
        assert "Set-Cookie" not in answer.headers
        assert disposition.startswith("attachment; filename*=UTF-8''")
        assert not set('"\r\n/;') & set(disposition.partition("''")[2])


def test_every_answer_has_a_policy(client: FlaskClient, trial: Trial) -> None:
    upload(client, picture())
    for path in ("/", "/studio", "/v1/images", "/v1/nothing", "/openapi.json", "/docs/swagger", "/livez"):
        policy = client.get(path, headers={"Accept": "text/html"}).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
