"""Errors as problem+json (RFC 9457): every answer of 400 and above has this one shape.

The tree of storage/errors.py, and the few that only HTTP can raise:

    InvalidInput
    ├── MalformedBody             malformed_body          400  not JSON, or not multipart
    └── UnsupportedMediaType      unsupported_media_type  415
    Forbidden
    └── MethodNotAllowed          method_not_allowed      405
    Unavailable
    ├── TooManyStreams            too_many_streams        503
    └── TooManyUploads            too_many_uploads        503
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, Response, g
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from werkzeug.exceptions import HTTPException

from storage.errors import (
    BodyTooLarge,
    EditqError,
    Forbidden,
    InternalError,
    InvalidInput,
    KeyMissing,
    LimitReached,
    NotFound,
    Unauthorised,
    Unavailable,
)

log = logging.getLogger("editq.api")
PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_S = 2


class MalformedBody(InvalidInput):
    """The body could not be parsed at all."""

    code, status = "malformed_body", 400


class UnsupportedMediaType(InvalidInput):
    """The Content-Type is none that this route reads."""

    code, status = "unsupported_media_type", 415


class MethodNotAllowed(Forbidden):
    """The route exists, but not with this method."""

    code, status = "method_not_allowed", 405


class TooManyStreams(Unavailable):
    """All places for event streams are taken; polling still works."""

    code = "too_many_streams"


class TooManyUploads(Unavailable):
    """This process takes in as many files at once as it can."""

    code = "too_many_uploads"


class InvalidRequest(InvalidInput):
    """One or more members of the request are wrong; `faults` lists them."""

    def __init__(self, faults: list[dict[str, str]]) -> None:
        first = faults[0]
        super().__init__(first["detail"], field=first["field"], expected=first["expected"])
        self.faults = faults


class Fault(BaseModel):
    field: str = Field(description="The member at fault, as a path: mask_operations.0.factor")
    expected: str
    detail: str


class Problem(BaseModel):
    """RFC 9457, with a stable `code` and the members of the request that are at fault."""

    type: str = Field(examples=["/v1/errors/invalid_input"])
    title: str
    status: int
    detail: str = Field(description="A sentence for a person.")
    code: str = Field(description="Stable; listed at /v1/errors.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    field: str | None = None
    expected: str | None = None
    errors: list[Fault] = []
    request_id: str | None = None


def title_of(code: str) -> str:
    return code.replace("_", " ").capitalize()


def problem(error: EditqError) -> Response:
    """The answer for an error."""
    faults = error.faults if isinstance(error, InvalidRequest) else []
    if not faults and error.field:
        faults = [{"field": error.field, "expected": error.expected or "", "detail": error.detail}]
    document = Problem(
        type=f"/v1/errors/{error.code}",
        title=title_of(error.code),
        status=error.status,
        detail=error.detail,
        code=error.code,
        retryable=error.retryable,
        field=error.field,
        expected=error.expected,
        errors=[Fault(**fault) for fault in faults],
        request_id=g.get("request_id"),
    )
    answer = Response(document.model_dump_json(exclude_none=True), error.status, mimetype=PROBLEM_TYPE)
    if isinstance(error, Unauthorised):
        told = "" if isinstance(error, KeyMissing) else ', error="invalid_token"'
        answer.headers["WWW-Authenticate"] = f'Bearer realm="editq"{told}'
    if error.retryable:
        wait_s = error.retry_after_s if isinstance(error, LimitReached) else RETRY_AFTER_S
        answer.headers["Retry-After"] = str(max(1, math.ceil(wait_s)))
    return answer


@contextmanager
def about(field: str, expected: str | None = None) -> Iterator[None]:
    """Errors raised inside name this member of the request, unless they name one already."""
    try:
        yield
    except EditqError as error:
        error.field = error.field or field
        error.expected = error.expected or expected
        raise


def responses(*statuses: int) -> dict[Any, Any]:
    """OpenAPI entries for the problems that a route may answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _meaning(status), "content": {PROBLEM_TYPE: {"schema": schema}}}
        for status in statuses
    }


def _meaning(status: int) -> str:
    codes = [error.code for error in walk() if error.status == status]
    return ", ".join(dict.fromkeys(codes)) or "A problem"


def walk(root: type[EditqError] = EditqError) -> Iterator[type[EditqError]]:
    """The error tree, parents first; only classes that bring a code of their own."""
    if "code" in vars(root) and root is not EditqError:
        yield root
    for child in root.__subclasses__():
        yield from walk(child)


def from_http(error: HTTPException, max_body_bytes: int) -> EditqError:
    """The error of the tree that says what Flask's own exception says."""
    if error.code == 404:
        return NotFound("There is nothing at this address.", expected="a path listed in /openapi.json")
    if error.code == 405:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return MethodNotAllowed("This address does not take this method.", expected=f"one of {allowed}")
    if error.code == 413:
        return BodyTooLarge(
            "The body is larger than this route takes.",
            field="body",
            expected=f"at most {max_body_bytes} bytes",
        )
    if error.code == 415:
        return UnsupportedMediaType(error.description or "Unsupported media type.", field="Content-Type")
    return MalformedBody(error.description or "The request could not be read.", field="body")


def register_errors(app: Flask, max_body_bytes: int) -> None:
    """Turn every exception into a problem document; unexpected ones are logged and say nothing."""

    def known(error: EditqError) -> ResponseReturnValue:
        if error.status >= 500:
            log.warning("answered %s: %s", error.code, error.detail)
        return problem(error)

    def http(error: HTTPException) -> ResponseReturnValue:
        if error.code is None or error.code < 400:
            return error.get_response()
        if error.code >= 500:
            return unexpected(error)
        limit = getattr(g, "max_body_bytes", max_body_bytes)
        answer = problem(from_http(error, limit))
        for name, value in error.get_headers():
            if name == "Allow":
                answer.headers[name] = value
        return answer

    def unexpected(error: Exception) -> ResponseReturnValue:
        log.error("unexpected %s", type(error).__name__, exc_info=error)
        return problem(InternalError("Something went wrong here; the log names it by this request's id."))

    app.register_error_handler(EditqError, known)
    app.register_error_handler(HTTPException, http)
    app.register_error_handler(Exception, unexpected)


class ErrorKind(BaseModel):
    code: str
    title: str
    status: int
    retryable: bool
    parent: str | None = Field(description="The code of the more general error.")
    description: str


class ErrorKinds(BaseModel):
    items: list[ErrorKind]


def catalogue() -> dict[str, ErrorKind]:
    """Every code, from the tree itself."""
    kinds: dict[str, ErrorKind] = {}
    for error in walk():
        parents = [
            base for base in error.__mro__[1:] if issubclass(base, EditqError) and "code" in vars(base)
        ]
        kinds[error.code] = ErrorKind(
            code=error.code,
            title=title_of(error.code),
            status=error.status,
            retryable=error.retryable,
            parent=parents[0].code if parents[0] is not EditqError else None,
            description=" ".join((vars(error).get("__doc__") or title_of(error.code)).split()),
        )
    return kinds
