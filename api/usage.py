"""/v1/usage: what a tenant's jobs came to, by day and kind."""

import time
from datetime import UTC, date, datetime
from typing import Annotated

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.errors import responses
from api.paging import Query, answer
from api.service import stores, tenant_id
from storage.records import Usage
from storage.usage import DAY_S

usage = APIBlueprint(
    "usage",
    __name__,
    url_prefix="/v1/usage",
    abp_tags=[Tag(name="usage", description="What work came to.")],
    abp_responses=responses(403, 422, 503),
)


class UsageQuery(Query):
    days: Annotated[int, Field(ge=1, le=366)] = Field(
        default=30, description="How many days (UTC), today included."
    )


class DayView(BaseModel):
    day: date = Field(description="UTC; the day on which the jobs and attempts ended.")
    kind: str
    jobs: int = Field(description="Jobs that ended, in whichever way.")
    attempts: int = Field(description="Attempts that ended: also those that were lost, or put back.")
    gpu_s: float = Field(description="Seconds for which these attempts held a GPU worker.")


class UsageView(BaseModel):
    since: date
    jobs: int
    attempts: int
    gpu_s: float
    items: list[DayView] = Field(description="Newest day first; days and kinds without any are left out.")


@usage.get("", operation_id="getUsage", responses={200: UsageView})
def get_usage(query: UsageQuery) -> Response:
    """Get what your jobs came to.

    Kept when the jobs themselves have expired. An attempt is counted when it ends, on that day.
    """
    since_day = int(time.time() // DAY_S) - query.days + 1
    return answer(usage_view(stores().jobs.usage(tenant_id(), since_day=since_day), since_day))


def usage_view(used: tuple[Usage, ...], since_day: int) -> UsageView:
    return UsageView(
        since=_date(since_day),
        jobs=sum(use.jobs for use in used),
        attempts=sum(use.attempts for use in used),
        gpu_s=round(sum(use.gpu_s for use in used), 3),
        items=[
            DayView(
                day=_date(use.day),
                kind=use.kind,
                jobs=use.jobs,
                attempts=use.attempts,
                gpu_s=round(use.gpu_s, 3),
            )
            for use in used
        ],
    )


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * DAY_S, UTC).date()
