"""What can be asked of all jobs that match a filter: cancel, retry."""

import contextlib
import json
from collections.abc import Iterator
from typing import Annotated, Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from api.accept import add
from api.errors import responses
from api.jobs import TAG, JobRequest
from api.options import options_of
from api.paging import answer
from api.service import stores, tenant_id
from api.strictly import parse, reads_json
from storage.errors import EditqError, JobEnded, JobNotFound
from storage.records import IdempotencyKey, Job, Status
from storage.specs import Kind

MOST = 1000

job_filters = APIBlueprint(
    "job_filters", __name__, url_prefix="/v1/jobs", abp_tags=[TAG], abp_responses=responses(403, 422, 503)
)


class JobFilter(BaseModel):
    """Jobs that match all that is given."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Kind | None = None
    created_after: float | None = Field(default=None, description="Seconds since the epoch.")
    created_before: float | None = Field(default=None, description="Seconds since the epoch.")
    limit: Annotated[int, Field(ge=1, le=MOST)] = Field(
        default=100, description="At most so many, newest first."
    )

    def matches(self, job: Job) -> bool:
        late = self.created_before is not None and job.created_at >= self.created_before
        early = self.created_after is not None and job.created_at <= self.created_after
        return not late and not early


class CancelFilter(JobFilter):
    status: Status | None = Field(default=None, description="queued or running; by default both.")


class RetryFilter(JobFilter):
    code: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Only jobs that failed with this error code."
    )


class Handled(BaseModel):
    """ids: of the jobs that it was asked of; refused: why others were not, by id; more: whether the filter
    matches further ones."""

    ids: list[str]
    refused: dict[str, dict[str, Any]] = {}
    retries: dict[str, str] = Field(default={}, description="The new job of each that was tried again.")
    more: bool


@job_filters.post("/cancel", operation_id="cancelJobs", responses={200: Handled, **responses(400, 413, 415)})
@reads_json
def cancel_jobs(body: CancelFilter) -> Response:
    """Cancel all jobs that match and have not ended: those queued at once, those running within a step."""
    statuses = (Status.QUEUED, Status.RUNNING) if body.status is None else (body.status,)
    found = [job for status in statuses if not status.ended for job in _matching(body, status)]
    handled = []
    for job in found[: body.limit]:
        with contextlib.suppress(JobEnded, JobNotFound):  # it ended by itself meanwhile
            if not stores().jobs.request_cancel(job.tenant_id, job.id).status.ended:
                stores().progress.notice_cancel(job.id)
            handled.append(job.id)
    return answer(Handled(ids=handled, more=len(found) > body.limit))


@job_filters.post("/retry", operation_id="retryJobs", responses={200: Handled, **responses(400, 413, 415)})
@reads_json
def retry_jobs(body: RetryFilter) -> Response:
    """Do all failed jobs that match again, each as a new job. Within a day no job is tried twice so."""
    failed = [
        job for job in _matching(body, Status.FAILED) if body.code in (None, (job.error or {}).get("code"))
    ]
    retries: dict[str, str] = {}
    refused: dict[str, dict[str, Any]] = {}
    for job in failed[: body.limit]:
        asked = {**job.spec, "options": options_of(job).model_dump(mode="json")}
        key = IdempotencyKey(f"retry {job.id}", job.id.rjust(64, "0"))
        try:
            spec = parse(JobRequest, json.dumps(asked).encode()).root
            retries[job.id] = add(spec, key, retry_of=job.id).id
        except EditqError as error:
            refused[job.id] = error.as_dict()
    return answer(Handled(ids=list(retries), refused=refused, retries=retries, more=len(failed) > body.limit))


def _matching(wanted: JobFilter, status: Status) -> list[Job]:
    """At most one more than the limit, so that it shows whether there are further ones."""
    found: list[Job] = []
    for job in _all(status, wanted.kind):
        if wanted.created_after is not None and job.created_at <= wanted.created_after:
            break
        if wanted.matches(job):
            found.append(job)
        if len(found) > MOST:
            break
    return found


def _all(status: Status, kind: Kind | None) -> Iterator[Job]:
    """Newest first, a page at a time."""
    cursor = None
    while True:
        page = stores().jobs.list(tenant_id(), status=status, kind=kind, limit=200, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
