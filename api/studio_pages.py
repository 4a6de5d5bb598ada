"""/studio: the web page. Static files, read once, without a build step; nothing comes from elsewhere."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request

from storage.errors import NotFound

FOLDER = Path(__file__).with_name("studio")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
INDEX, FRONT = "index.html", "front.html"

studio_pages = Blueprint("studio", __name__)


@dataclass(frozen=True)
class Page:
    data: bytes
    content_type: str
    tag: str


@cache
def pages() -> dict[str, Page]:
    """Every file of the studio, by its name: what is not here is not served, whatever a path says."""
    found = {}
    for path in FOLDER.iterdir():
        if path.suffix in TYPES:
            data = path.read_bytes()
            found[path.name] = Page(data, TYPES[path.suffix], hashlib.sha256(data).hexdigest()[:24])
    return found


@studio_pages.get("/studio", strict_slashes=False)
def studio() -> Response:
    """The page itself."""
    return send_page(INDEX)


@studio_pages.get("/studio/<name>")
def studio_file(name: str) -> Response:
    """One of its scripts and styles."""
    return send_page(name)


def send_page(name: str) -> Response:
    """A file of the studio, to be asked for again by its tag: after an update no browser keeps an old one.

    Raises NotFound.
    """
    page = pages().get(name)
    if page is None:
        raise NotFound("The studio has no such file.", field="name", expected="one that /studio names")
    answer = Response(page.data, content_type=page.content_type)
    answer.set_etag(page.tag)
    answer.headers["Cache-Control"] = "no-cache"
    answer.headers["Content-Security-Policy"] = POLICY
    answer.make_conditional(request)
    return answer
