"""What can be asked of a job once it is there: cancel, stop, retry, another priority."""

import json

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict

from api.accept import accept, replay
from api.errors import responses
from api.idempotency import KeyHeaders, key_of
from api.job_view import JobView, job_view
from api.jobs import TAG, JobPath, JobRequest
from api.options import options_of
from api.paging import answer
from api.service import stores, tenant_id
from api.strictly import parse, reads_json
from storage.errors import JobNotEnded
from storage.records import IdempotencyKey, Job, Priority

job_actions = APIBlueprint(
    "job_actions", __name__, url_prefix="/v1/jobs", abp_tags=[TAG], abp_responses=responses(403, 422, 503)
)


class JobChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    priority: Priority


@job_actions.post(
    "/<job_id>/cancel",
    operation_id="cancelJob",
    responses={200: JobView, 202: JobView, **responses(404, 409)},
)
def cancel_job(path: JobPath) -> Response:
    """Cancel a job: at once (200) while it is queued, within one step (202) while it runs."""
    job = stores().jobs.request_cancel(tenant_id(), path.job_id)
    return answer(job_view(job)) if job.status.ended else _noticed(job)


@job_actions.post("/<job_id>/stop", operation_id="stopJob", responses={202: JobView, **responses(404, 409)})
def stop_job(path: JobPath) -> Response:
    """End an optimisation early, with the best that it has found so far.

    The job then succeeds, and its result says `stopped_early`. A job that has not done a step yet has
    nothing to keep: it is refused (nothing_to_stop), and can be canceled.
    """
    return _noticed(stores().jobs.request_stop(tenant_id(), path.job_id))


@job_actions.post(
    "/<job_id>/retry", operation_id="retryJob", responses={202: JobView, **responses(404, 409, 507)}
)
def retry_job(path: JobPath, header: KeyHeaders) -> Response:
    """Do an ended job again: a new job, of the same spec and options, whose `retry_of` is this one.

    Its deadlines count from now. The spec is checked again: what it names must still be there.
    """
    key = key_of(header)
    return replay(key) or _retry(stores().jobs.get(tenant_id(), path.job_id), key)


def _retry(job: Job, key: IdempotencyKey | None) -> Response:
    if not job.status.ended:
        raise JobNotEnded(f"Job {job.id} is {job.status.value}: it can be tried again once it has ended.")
    asked = {**job.spec, "options": options_of(job).model_dump(mode="json")}
    spec = parse(JobRequest, json.dumps(asked).encode()).root
    return accept(spec, key, retry_of=job.id)


@job_actions.patch(
    "/<job_id>",
    operation_id="changeJob",
    responses={200: JobView, **responses(400, 404, 409, 413, 415)},
)
@reads_json
def change_job(path: JobPath, body: JobChange) -> Response:
    """Move a job that has not ended to another class of priority."""
    return answer(job_view(stores().jobs.set_priority(tenant_id(), path.job_id, body.priority)))


def _noticed(job: Job) -> Response:
    """Asked for on the row; a notice on the board has the worker look there after its step."""
    stores().progress.notice_cancel(job.id)
    return answer(job_view(job), 202)
