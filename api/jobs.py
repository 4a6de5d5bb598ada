"""/v1/jobs: ask for work, watch it, fetch what it made."""

import time
from typing import Annotated

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field, RootModel

from api.accept import accept, replay
from api.download import send_object, sent
from api.entry import leave_place
from api.errors import responses
from api.events import ROWS_EVERY_S, hurries
from api.idempotency import KeyHeaders, key_of
from api.job_view import JobPage, JobView, job_view, state_tag
from api.paging import PageQuery, Query, answer, answer_page
from api.service import service, stores, tenant_id
from api.slots import departure
from api.strictly import reads_json
from storage.errors import OutputNotFound
from storage.listening import Listener
from storage.records import Job, Status
from storage.specs import JobSpec, Kind

TAG = Tag(name="jobs", description="Work that goes on after the answer.")

jobs = APIBlueprint(
    "jobs", __name__, url_prefix="/v1/jobs", abp_tags=[TAG], abp_responses=responses(403, 422, 503)
)


class JobRequest(RootModel[JobSpec]):
    """A spec of one of the job kinds."""


class JobPath(BaseModel):
    job_id: str


class OutputPath(JobPath):
    name: str


class WaitQuery(Query):
    wait: Annotated[float, Field(ge=0, le=60)] = Field(
        default=0, description="Seconds to wait for a change of state (see the ETag) before answering."
    )


class JobQuery(PageQuery):
    status: Status | None = Field(default=None, description="Only jobs of this status.")
    kind: Kind | None = Field(default=None, description="Only this kind.")


@jobs.post(
    "",
    operation_id="submitJob",
    responses={202: JobView, **responses(400, 404, 409, 413, 415, 507)},
)
@reads_json
def submit_job(header: KeyHeaders, body: JobRequest) -> Response:
    """Submit a job.

    The answer comes when the job is safely queued: 202 with its address in Location. Everything that the
    spec names is checked before; a refused spec leaves nothing behind. With an Idempotency-Key the request
    may be sent again, whatever became of the answer.
    """
    key = key_of(header, body)
    return replay(key) or accept(body.root, key)


@jobs.get("", operation_id="listJobs", responses={200: JobPage})
def list_jobs(query: JobQuery) -> Response:
    """List your jobs, newest first."""
    page = stores().jobs.list(
        tenant_id(), status=query.status, kind=query.kind, limit=query.limit, cursor=query.cursor
    )
    return answer_page(
        JobPage(items=[job_view(job, in_list=True) for job in page.items], next_cursor=page.next_cursor)
    )


@jobs.get(
    "/<job_id>",
    operation_id="getJob",
    responses={200: JobView, 304: {"description": "Still in the state of If-None-Match."}, **responses(404)},
)
def get_job(path: JobPath, query: WaitQuery) -> Response:
    """Get a job, at once or when its state changes.

    With `wait`, the answer comes when the state is no longer that of If-None-Match (without one: no longer
    the present one), when the job has ended, or when the time is up; at once when many wait already.
    """
    job = stores().jobs.get(tenant_id(), path.job_id)
    if query.wait > 0:
        job = _wait(job, query.wait)
    tag = state_tag(job)
    same = request.if_none_match.contains_weak(tag)
    found = Response(status=304) if same else answer(job_view(job))
    found.set_etag(tag, weak=True)
    found.headers["Cache-Control"] = "no-cache"
    if not job.status.ended:
        found.headers["Retry-After"] = "1"
    return found


@jobs.delete("/<job_id>", operation_id="deleteJob", responses={204: None, **responses(404, 409)})
def delete_job(path: JobPath) -> Response:
    """Delete a job that has ended, with its history, outputs, saved inversion and webhook calls.

    What it left in the library (vectors, models) stays. A job that an open one starts from is not deleted.
    """
    job = stores().retention.delete_job(tenant_id(), path.job_id)
    outputs = [ref.key for ref in job.outputs.values()]
    stores().objects.delete(sorted(stores().retention.unneeded(outputs)))
    return Response(status=204)


def _wait(job: Job, wait_s: float) -> Job:
    """The job after its state has changed, or as it is when the time is up."""
    known = request.if_none_match
    if job.status.ended or (known and not known.contains_weak(state_tag(job))):
        return job
    slot = service().slots.take()
    if slot is None:
        return job
    leave_place()
    first, deadline, left = state_tag(job), time.monotonic() + wait_s, departure(request.environ)
    try:
        with stores().progress.listen(job.id) as listener:
            while True:
                job = stores().jobs.get(job.tenant_id, job.id)  # after listen: nothing falls between
                left_s = deadline - time.monotonic()
                if state_tag(job) != first or left_s <= 0 or service().stopping() or left():
                    return job
                _hear_of_state(listener, min(ROWS_EVERY_S, left_s))
    finally:
        slot.release()


def _hear_of_state(listener: Listener, timeout_s: float) -> None:
    """Until the board says more than progress, or the time is up."""
    until = time.monotonic() + timeout_s
    while (left_s := until - time.monotonic()) > 0:
        message = listener.hear(left_s)
        if message is not None and hurries(message):
            return


@jobs.get(
    "/<job_id>/outputs/<name>",
    operation_id="getJobOutput",
    responses={
        **sent("The bytes.", "*/*"),
        **responses(404),
    },
)
def get_output(path: OutputPath) -> Response:
    """Download what a succeeded job made."""
    job = stores().jobs.get(tenant_id(), path.job_id)
    ref = job.outputs.get(path.name)
    if ref is None:
        known = ", ".join(sorted(job.outputs)) or _no_outputs(job)
        raise OutputNotFound(f"This job has no output {path.name!r}.", field="name", expected=known)
    return send_object(ref, path.name)


def _no_outputs(job: Job) -> str:
    if job.outputs_expired_at is not None:
        return "none any more: their time was over"
    return f"none: the job has {job.status.value}" if job.status.ended else "none yet"
