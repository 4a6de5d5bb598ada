"""/v1/results: what became of single items of batches, by digest."""

import mimetypes
import re
from urllib.parse import quote

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.download import BINARY, INLINE
from api.errors import responses
from api.service import stores, tenant_id
from storage.errors import OutputNotFound
from storage.results import Results

_DIGEST = re.compile(r"[0-9a-f]{64}")
results = APIBlueprint(
    "results",
    __name__,
    url_prefix="/v1/results",
    abp_tags=[Tag(name="batches", description="Many inputs under one spec.")],
    abp_responses=responses(403, 404, 503),
)


class ResultPath(BaseModel):
    digest: str
    name: str


@results.get(
    "/<digest>/<name>",
    operation_id="getResultFile",
    responses={
        200: {
            "description": "The bytes.",
            "content": {"*/*": {"schema": BINARY}},
        }
    },
)
def get_result(path: ResultPath) -> Response:
    """Download one file of an item's result; `result.json` says what made it."""
    data = None
    if _DIGEST.fullmatch(path.digest):
        data = Results(stores().objects, tenant_id()).read(path.digest, path.name)
    if data is None:
        raise OutputNotFound("There is no such result, or no such file of it.", field="name")
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    answer = Response(data if request.method != "HEAD" else b"", mimetype=media_type)
    answer.set_etag(path.digest)  # what is under a digest never changes
    answer.headers["Cache-Control"] = "private, max-age=3600, immutable"
    way = "inline" if media_type in INLINE else "attachment"
    answer.headers["Content-Disposition"] = f"{way}; filename*=UTF-8''{quote(path.name, safe='')}"
    return answer
