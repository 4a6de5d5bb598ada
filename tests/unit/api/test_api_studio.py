"""/studio as it is served: types, policy, tags, and nothing that is not the studio's."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from api.studio_pages import FOLDER, TYPES, pages

INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
ELSEWHERE = re.compile(r"""(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9.-]+\.[a-z]{2,}""", re.IGNORECASE)
NAMES = sorted(path.name for path in FOLDER.iterdir())


def test_every_file_is_served_with_its_type_and_a_policy_that_allows_nothing_inline(
    client: FlaskClient,
) -> None:
    assert {"index.html", "main.js", "studio.css"} < set(NAMES)
    for name in NAMES:
        answer = client.get(f"/studio/{name}")
        assert (answer.status_code, answer.content_type) == (200, TYPES[Path(name).suffix])
        assert answer.data == (FOLDER / name).read_bytes()
        said = answer.headers["Content-Security-Policy"]
        policy = dict(part.strip().split(" ", 1) for part in said.split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["img-src"] == "'self' blob: data:"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_file_is_asked_for_again_by_its_tag(client: FlaskClient) -> None:
    first = client.get("/studio/main.js")
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get("/studio/main.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get("/studio/main.js", headers={"If-None-Match": '"older"'}).status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_no_file_holds_inline_scripts_or_styles_or_names_another_host(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    if name.endswith(".html"):
        assert not INLINE.search(text)
    code = re.sub(r"(?m)(^|\s)//.*$", "", text) if name.endswith(".js") else text
    assert not ELSEWHERE.search(code)
    assert len(text.splitlines()) <= 300


def test_every_module_and_style_that_is_named_is_there() -> None:
    for page in pages().values():
        named = re.findall(r'(?:from "\./|(?:src|href)="/studio/)([^"]+)"', page.data.decode())
        assert set(named) <= set(pages())


def test_the_page_is_at_studio_with_or_without_a_slash(client: FlaskClient) -> None:
    for path in ("/studio", "/studio/"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert b"<title>editq studio</title>" in answer.data


def test_nothing_else_is_served(client: FlaskClient) -> None:
    above = ("app.py", "../app.py", "..%2fapp.py", "%2e%2e/app.py", "..%5capp.py", "studio_pages.py")
    for path in (*above, ".", "a%00.js", "../studio/main.js"):
        answer = client.get(f"/studio/{path}")
        assert (answer.status_code, answer.content_type) == (404, "application/problem+json"), path


def test_it_is_only_read(client: FlaskClient) -> None:
    assert client.post("/studio").status_code == 405
    head = client.head("/studio/main.js")
    assert (head.status_code, head.data) == (200, b"")


def test_browsers_are_led_to_it_and_programs_are_told(client: FlaskClient) -> None:
    browser = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert browser.content_type.startswith("text/html")
    assert b'href="/studio"' in browser.data
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
        assert client.get("/", headers={"Accept": accept}).get_json()["studio"] == "/studio"
    assert "Accept" in browser.headers["Vary"]
