"""Lists: newest first, a page at a time, the next one named in a Link header (RFC 8288)."""

from typing import Annotated
from urllib.parse import urlencode

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field


class PageQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

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
