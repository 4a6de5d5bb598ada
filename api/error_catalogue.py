"""/v1/errors: every code that a problem document may carry."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.errors import ErrorKind, ErrorKinds, catalogue, responses
from api.paging import answer
from storage.errors import NotFound

error_catalogue = APIBlueprint(
    "errors",
    __name__,
    url_prefix="/v1/errors",
    abp_tags=[Tag(name="errors", description="The codes of problem documents.")],
    abp_responses=responses(403, 422),
)


class ErrorPath(BaseModel):
    code: str


@error_catalogue.get("", operation_id="listErrors", responses={200: ErrorKinds})
def list_errors() -> Response:
    """List the codes."""
    return answer(ErrorKinds(items=list(catalogue().values())))


@error_catalogue.get("/<code>", operation_id="getError", responses={200: ErrorKind, **responses(404)})
def get_error(path: ErrorPath) -> Response:
    """Describe a code: where a problem's `type` leads."""
    kind = catalogue().get(path.code)
    if kind is None:
        raise NotFound("There is no such code.", field="code", expected="a code listed at /v1/errors")
    return answer(kind)
