"""Lists: newest first, a page at a time, the next one named in a Link header (RFC 8288)."""

import functools
from typing import Annotated, Any
from urllib.parse import urlencode

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field


class Query(BaseModel):
    """What a route takes after the question mark, and nothing else."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @classmethod
    def model_json_schema(cls, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Made once where nothing is said of how: the framework looks into it at every request."""
        return super().model_json_schema(*arguments, **named) if arguments or named else _schema(cls)


@functools.cache
def _schema(query: type[Query]) -> dict[str, Any]:
    return super(Query, query).model_json_schema()


class PageQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100, description="Items a page.")] = 50
    cursor: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="`next_cursor` of the page before."
    )


class PageView(BaseModel):
    next_cursor: str | None


def answer(view: BaseModel, status: int = 200) -> Response:
    """A pydantic model as a JSON answer."""
    return Response(view.model_dump_json(), status, mimetype="application/json")


def answer_page(view: PageView) -> Response:
    page = answer(view)
    if view.next_cursor is not None:
        query = {**request.args.to_dict(), "cursor": view.next_cursor}
        page.headers["Link"] = f'<{request.path}?{urlencode(query)}>; rel="next"'
    return page
