"""Take a job: check it, commit it, ring for it. Under a key that is known: the job that it named."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Response

from api.job_view import job_view
from api.limits import check_submit
from api.options import check_options
from api.paging import answer
from api.service import service, stores, tenant_id
from api.submit import check_spec
from storage.errors import KeyReused
from storage.log import note
from storage.records import GPU_QUEUE, IdempotencyKey, Job
from storage.specs import JobSpec
from workers.queue import Hint


def replay(key: IdempotencyKey | None) -> Response | None:
    """The answer to a request that came before. Ask first of all: it holds even if its image is gone since.

    Raises KeyReused where the request before was another one.
    """
    with _about_key():
        known = None if key is None else stores().jobs.added(tenant_id(), key)
    if known is None:
        return None
    replayed = _accepted(known)
    replayed.headers["Idempotency-Replayed"] = "true"
    return replayed


def accept(spec: JobSpec, key: IdempotencyKey | None, *, retry_of: str | None = None) -> Response:
    """202 once the job is safely queued. Raises what is wrong with it; nothing is left behind then."""
    return _accepted(add(spec, key, retry_of=retry_of))


def add(spec: JobSpec, key: IdempotencyKey | None, *, retry_of: str | None = None) -> Job:
    """The job, safely queued and rung for; under a key that is known the job of that key."""
    check_submit(tenant_id())
    check_options(spec.options, service().settings)
    check_spec(spec, tenant_id(), stores())
    with _about_key():
        job = stores().jobs.add(
            tenant_id(),
            spec.kind,
            spec.model_dump(mode="json", exclude={"options"}),
            queue=GPU_QUEUE,
            options=spec.options,
            retry_of=retry_of,
            idempotency=key,
        )
    note(job_id=job.id)
    service().ring(job.queue, str(Hint(job.id, spec.model)))
    return job


@contextmanager
def _about_key() -> Iterator[None]:
    try:
        yield
    except KeyReused as error:
        error.field, error.expected = "Idempotency-Key", "the request that it named first, or another key"
        raise


def _accepted(job: Job) -> Response:
    accepted = answer(job_view(job), 202)
    accepted.headers["Location"] = f"/v1/jobs/{job.id}"
    accepted.headers["Retry-After"] = "1"
    return accepted
