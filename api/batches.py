"""/v1/batches: many inputs under one spec, submitted with one call and watched as one."""

from typing import Annotated, Literal

from flask import Response, current_app
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field, RootModel

from api.batch_archive import send_archive
from api.batch_events import batch_stream
from api.batch_view import BatchPage, BatchView, batch_view
from api.download import BINARY, send_object, sent
from api.errors import about, responses
from api.idempotency import KeyHeaders, key_of
from api.job_actions import JobChange
from api.limits import check_submit
from api.paging import PageQuery, Query, answer, answer_page
from api.service import service, stores, tenant_id
from api.strictly import reads_json
from api.submit_batches import check_batch
from storage.batch_records import Batch, BatchStatus
from storage.batch_specs import BatchInputs, BatchSpec, read_batch_spec
from storage.errors import OutputNotFound
from storage.records import CPU_QUEUE, IdempotencyKey

batches = APIBlueprint(
    "batches",
    __name__,
    url_prefix="/v1/batches",
    abp_tags=[Tag(name="batches", description="Many inputs under one spec.")],
    abp_responses=responses(403, 422, 503),
)


class BatchRequest(RootModel[BatchSpec]):
    """One spec, and the inputs that it is to be done for."""


class BatchPath(BaseModel):
    batch_id: str


class BatchFilePath(BatchPath):
    role: str


class BatchQuery(PageQuery):
    status: BatchStatus | None = Field(default=None, description="Only batches of this status.")


class ArchiveQuery(Query):
    format: Annotated[Literal["zip", "tar"], Field(description="zip or tar")] = "zip"


@batches.post(
    "", operation_id="submitBatch", responses={202: BatchView, **responses(400, 404, 409, 413, 415, 507)}
)
@reads_json
def submit_batch(header: KeyHeaders, body: BatchRequest) -> Response:
    """Submit a batch.

    The answer comes at once: the inputs are read afterwards, while the batch is `validating`. An
    Idempotency-Key works as for jobs.
    """
    key = key_of(header, body)
    return _replay(key) or _accept(body.root, key)


def _replay(key: IdempotencyKey | None) -> Response | None:
    with about("Idempotency-Key"):
        known = None if key is None else stores().batches.added(tenant_id(), key)
    if known is None:
        return None
    replayed = _accepted(known)
    replayed.headers["Idempotency-Replayed"] = "true"
    return replayed


def _accept(spec: BatchSpec, key: IdempotencyKey | None, *, retry_of: str | None = None) -> Response:
    check_submit(tenant_id())
    check_batch(spec, tenant_id(), stores())
    webhook = spec.options.webhook
    with about("Idempotency-Key"):
        batch = stores().batches.add(
            tenant_id(),
            spec.model_dump(mode="json"),
            priority=spec.options.priority,
            ready=service().settings.chunks_ready,
            keep_s=spec.options.keep_s,
            webhook=None if webhook is None else webhook.model_dump(mode="json"),
            retry_of=retry_of,
            idempotency=key,
        )
    service().ring(CPU_QUEUE, batch.id)
    return _accepted(batch)


def _accepted(batch: Batch) -> Response:
    accepted = answer(batch_view(batch), 202)
    accepted.headers["Location"] = f"/v1/batches/{batch.id}"
    accepted.headers["Retry-After"] = "1"
    return accepted


@batches.get("", operation_id="listBatches", responses={200: BatchPage})
def list_batches(query: BatchQuery) -> Response:
    """List your batches, newest first."""
    page = stores().batches.list(tenant_id(), status=query.status, limit=query.limit, cursor=query.cursor)
    views = [batch_view(batch, in_list=True) for batch in page.items]
    return answer_page(BatchPage(items=views, next_cursor=page.next_cursor))


@batches.get("/<batch_id>", operation_id="getBatch", responses={200: BatchView, **responses(404)})
def get_batch(path: BatchPath) -> Response:
    """Get a batch: counts, rate, time left, who works on it, what was made last."""
    batch = stores().batches.get(tenant_id(), path.batch_id)
    found = answer(batch_view(batch))
    found.headers["Cache-Control"] = "no-cache"
    if not batch.status.ended:
        found.headers["Retry-After"] = "1"
    return found


@batches.get(
    "/<batch_id>/events",
    operation_id="watchBatch",
    responses={
        200: {
            "description": "The batch, whenever it has changed (`batch`), and when it has ended (`ended`).",
            "content": {"text/event-stream": {}},
        },
        **responses(404),
    },
)
def watch_batch(path: BatchPath) -> Response:
    """Watch a batch as server-sent events."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # the stream outlives the request
    return batch_stream(stores().batches.get(tenant_id(), path.batch_id), app)


@batches.get(
    "/<batch_id>/files/<role>",
    operation_id="getBatchFile",
    responses={
        **sent("JSON Lines, or a file.", "application/jsonl", "*/*"),
        **responses(404),
    },
)
def get_file(path: BatchFilePath) -> Response:
    """Download a list: items, invalid, results, or errors, which can be sent again as a manifest; or a file
    of the data set, by its name."""
    batch = stores().batches.get(tenant_id(), path.batch_id)
    ref = batch.files.get(path.role)
    if ref is None:
        known = ", ".join(sorted(batch.files)) or "none (yet, or any more)"
        raise OutputNotFound(f"This batch has no list {path.role!r}.", field="role", expected=known)
    return send_object(ref, path.role if "." in path.role else f"{path.role}.jsonl")


@batches.get(
    "/<batch_id>/archive",
    operation_id="getBatchArchive",
    responses={
        200: {
            "description": "All lists and results.",
            "content": {way: {"schema": BINARY} for way in ("application/zip", "application/x-tar")},
        },
        **responses(404, 409),
    },
)
def get_archive(path: BatchPath, query: ArchiveQuery) -> Response:
    """Download all results, as they come from the store: one folder an item."""
    return send_archive(stores().batches.get(tenant_id(), path.batch_id), query.format)


@batches.post(
    "/<batch_id>/pause", operation_id="pauseBatch", responses={200: BatchView, **responses(404, 409)}
)
def pause_batch(path: BatchPath) -> Response:
    """Pause: no further chunk begins, and those that run give way at their next checkpoint."""
    return answer(batch_view(stores().batches.pause(tenant_id(), path.batch_id, True)))


@batches.post(
    "/<batch_id>/resume", operation_id="resumeBatch", responses={200: BatchView, **responses(404, 409)}
)
def resume_batch(path: BatchPath) -> Response:
    """Go on after a pause."""
    batch = stores().batches.pause(tenant_id(), path.batch_id, False)
    for _ in range(batch.ready):
        service().ring("gpu", batch.id)
    return answer(batch_view(batch))


@batches.post(
    "/<batch_id>/cancel", operation_id="cancelBatch", responses={202: BatchView, **responses(404, 409)}
)
def cancel_batch(path: BatchPath) -> Response:
    """Cancel: chunks that wait at once, those that run within a step. What was done can still be fetched."""
    batch = stores().batches.request_cancel(tenant_id(), path.batch_id)
    for job in stores().batches.running(batch.id):
        stores().progress.notice_cancel(job.id)
    service().ring(CPU_QUEUE, batch.id)
    return answer(batch_view(batch), 202)


@batches.post(
    "/<batch_id>/retry",
    operation_id="retryBatch",
    responses={202: BatchView, **responses(404, 409, 507)},
)
def retry_batch(path: BatchPath, header: KeyHeaders) -> Response:
    """Do what did not succeed again: a new batch of those items, whose `retry_of` is this one."""
    key = key_of(header)
    replayed = _replay(key)
    if replayed is not None:
        return replayed
    batch = stores().batches.get(tenant_id(), path.batch_id)
    spec = read_batch_spec(batch.spec)
    inputs = BatchInputs(type="batch", batch=batch.id, bucket=getattr(spec.inputs, "bucket", None))
    return _accept(spec.model_copy(update={"inputs": inputs, "dry_run": False}), key, retry_of=batch.id)


@batches.patch(
    "/<batch_id>",
    operation_id="changeBatch",
    responses={200: BatchView, **responses(400, 404, 409, 413, 415)},
)
@reads_json
def change_batch(path: BatchPath, body: JobChange) -> Response:
    """Move what is left of a batch to another class of priority."""
    return answer(batch_view(stores().batches.set_priority(tenant_id(), path.batch_id, body.priority)))
