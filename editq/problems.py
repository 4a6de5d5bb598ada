"""What a service's answer means when it is none of success: the error of its code."""

import contextlib
from collections.abc import Iterator

import httpx
from httpx_sse import SSEError

from storage.errors import EditqError, InvalidInput, NotFound, Unavailable
from storage.version import VERSION, code_version

MISUNDERSTOOD = {InvalidInput.code, NotFound.code, "method_not_allowed"}  # as one version may another


def error_for(code: str, detail: str, *, status: int, field: str | None, expected: str | None) -> EditqError:
    """The error of this code; one that this version does not know is an EditqError that keeps the code."""
    kinds = {kind.code: kind for kind in _descendants(EditqError)}
    kind: type[EditqError] = kinds.get(code) or type(
        "UnknownError", (EditqError,), {"code": code, "status": status}
    )
    return kind(detail, field=field, expected=expected)


def _descendants(kind: type[EditqError]) -> Iterator[type[EditqError]]:
    for child in kind.__subclasses__():
        if child.__module__ == EditqError.__module__:
            yield child
        yield from _descendants(child)


def check(answer: httpx.Response) -> None:
    """Raises the error that the answer tells of."""
    if answer.is_success:
        return
    answer.read()
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:  # some proxy's, or no editq service at all
        code = "unavailable" if answer.is_server_error else "unexpected_answer"
        problem = {"code": code, "detail": f"{answer.url} answered {answer.status_code}"}
    raise error_for(
        str(problem["code"]),
        str(problem.get("detail", "")) + _of_versions(answer, str(problem["code"])),
        status=answer.status_code,
        field=problem.get("field"),
        expected=problem.get("expected"),
    )


def _of_versions(answer: httpx.Response, code: str) -> str:
    """What may lie behind a refusal, where service and client are not of one version."""
    theirs, mine = answer.headers.get(VERSION), code_version()
    if theirs in (None, mine) or code not in MISUNDERSTOOD:
        return ""
    return f" (The service is editq {theirs}, this is {mine}: the same version on both sides may help.)"


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Raises Unavailable where the service could not be reached, or fell silent."""
    try:
        yield
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise InvalidInput(f"this cannot be asked: {error}") from error
    except (httpx.HTTPError, SSEError) as error:
        raise Unavailable(f"the service does not answer: {error or type(error).__name__}") from error
