"""Views that read JSON parse it strictly, themselves: the framework's own reading takes text for numbers."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from flask import Response, request
from pydantic import BaseModel, ValidationError

from api.body import read_json
from api.validation import explain

M = TypeVar("M", bound=BaseModel)


def reads_json(view: Callable[..., Response]) -> Callable[..., Response]:
    """Hands the view its `body`, and `path` and `header` where it takes them, as the models of its hints."""
    hints = {name: hint for name, hint in get_type_hints(view).items() if name != "return"}

    @functools.wraps(view)
    def read(**names: str) -> Response:
        given: dict[str, Any] = {"body": parse(hints["body"], read_json())}
        if "path" in hints:
            given["path"] = hints["path"].model_validate(names)
        if "header" in hints:
            given["header"] = _headers(hints["header"])
        return view(**given)

    read.__delay_validate_request__ = True  # type: ignore[attr-defined]  # flask-openapi3 then leaves it to us
    return read


def parse(model: type[M], body: bytes) -> M:
    """Strict: a number in quotes is text. Raises MalformedBody, InvalidRequest."""
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise explain(error, model) from None


def _headers(model: type[BaseModel]) -> BaseModel:
    names = [str(field.alias) for field in model.model_fields.values()]
    try:
        return model.model_validate(
            {name: request.headers[name] for name in names if name in request.headers}
        )
    except ValidationError as error:
        raise explain(error, model) from None
