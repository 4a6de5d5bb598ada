"""What became of a job: its events as a stream or by polling, why it waits, its webhook calls."""

from typing import Annotated, Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from api.errors import responses
from api.events import event_stream, told
from api.explain import Explanation, explanation
from api.jobs import TAG, JobPath
from api.paging import Query, answer
from api.service import stores, tenant_id

Number = Annotated[int, Field(ge=0, le=2**31 - 1)]

history = APIBlueprint(
    "history", __name__, url_prefix="/v1/jobs", abp_tags=[TAG], abp_responses=responses(403, 422, 503)
)


class WatchHeaders(BaseModel):
    last_event_id: Number = Field(
        default=0, alias="Last-Event-ID", description="Number of the last event seen."
    )


class HistoryQuery(Query):
    after: Number = Field(default=0, description="Number of the last event seen.")


class History(BaseModel):
    items: list[dict[str, Any]] = Field(
        description="Changes of state, each with `number` (from 1), `type`, `created_at` and what it tells."
    )
    ended: bool = Field(description="Whether the job has ended: there will be no more.")


@history.get(
    "/<job_id>/events",
    operation_id="watchJob",
    responses={
        200: {
            "description": "Changes of state (with ids), and progress (without), until the job has ended.",
            "content": {"text/event-stream": {}},
        },
        204: {"description": "The job has ended, and Last-Event-ID is its last event: do not reconnect."},
        **responses(404),
    },
)
def watch_job(path: JobPath, header: WatchHeaders) -> Response:
    """Watch a job as server-sent events; Last-Event-ID replays what was missed."""
    return event_stream(tenant_id(), path.job_id, after=header.last_event_id)


@history.get("/<job_id>/history", operation_id="getJobHistory", responses={200: History, **responses(404)})
def get_history(path: JobPath, query: HistoryQuery) -> Response:
    """List a job's changes of state: what the event stream replays, for those who poll."""
    job = stores().jobs.get(tenant_id(), path.job_id)  # before its events: an end seen here has its event
    events = stores().jobs.events(tenant_id(), job.id, after=query.after)
    return answer(History(items=[told(event) for event in events], ended=job.status.ended))


@history.get("/<job_id>/explain", operation_id="explainJob", responses={200: Explanation, **responses(404)})
def explain_job(path: JobPath) -> Response:
    """Say why a job waits, what it is doing, or how it ended."""
    return answer(explanation(stores().jobs.get(tenant_id(), path.job_id)))
