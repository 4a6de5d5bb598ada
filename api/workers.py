"""/v1/workers: who is there, busy with what, and told to take no more."""

from datetime import datetime
from typing import Any, Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.errors import responses
from api.job_view import moment
from api.paging import answer
from api.service import service, stores, tenant_id
from storage.errors import NotFound
from storage.records import GPU_QUEUE, Job
from storage.stores import Stores

workers = APIBlueprint(
    "workers",
    __name__,
    url_prefix="/v1/workers",
    abp_tags=[Tag(name="workers", description="The processes that do the work.")],
    abp_responses=responses(403, 422, 503),
)


class WorkerView(BaseModel):
    name: str
    queue: str | None
    state: Literal["ready", "busy", "draining", "missing"] = Field(
        description="`draining`: it was told to put back what it runs and to take nothing more. `missing`: "
        "the board does not hear of it, but a job is still in its name."
    )
    device: str | None
    started_at: datetime | None
    jobs: list[str] = Field(description="Your jobs that it runs.")
    others: int = Field(description="How many jobs of others it runs.")


class WorkerList(BaseModel):
    items: list[WorkerView]
    board: bool = Field(description="Whether the board answers; without it only busy workers are known.")


class WorkerPath(BaseModel):
    name: str


@workers.get("", operation_id="listWorkers", responses={200: WorkerList})
def list_workers() -> Response:
    """List the workers."""
    return answer(worker_list(stores(), tenant_id()))


@workers.post("/<name>/drain", operation_id="drainWorker", responses={200: WorkerView, **responses(404)})
def drain_worker(path: WorkerPath) -> Response:
    """Have a worker put back what it runs, with a checkpoint, and take nothing more."""
    _check_known(path.name)
    stores().jobs.drain(path.name, True)
    for job in stores().jobs.running():
        if job.worker == path.name:
            stores().progress.notice_cancel(job.id)  # look at the row: it says what is wanted
    return answer(_worker(path.name))


@workers.delete("/<name>/drain", operation_id="undrainWorker", responses={200: WorkerView, **responses(404)})
def undrain_worker(path: WorkerPath) -> Response:
    """Let a drained worker take jobs again."""
    _check_known(path.name)
    stores().jobs.drain(path.name, False)
    worker = _worker(path.name)
    service().ring(worker.queue or GPU_QUEUE, "undrain")
    return answer(worker)


def worker_list(stores: Stores, tenant_id: str) -> WorkerList:
    present = {str(worker["name"]): worker for worker in stores.progress.workers()}
    running: dict[str, list[Job]] = {}
    for job in stores.jobs.running():
        running.setdefault(job.worker or "unknown", []).append(job)
    board, draining = stores.progress.check(), stores.jobs.draining()
    items = [
        _view(
            name, present.get(name), running.get(name, []), tenant_id, board=board, draining=name in draining
        )
        for name in sorted({*present, *running})
    ]
    return WorkerList(items=items, board=board)


def _check_known(name: str) -> None:
    """Raises NotFound. While the board is dark a worker that runs nothing may still be named."""
    known = worker_list(stores(), tenant_id())
    names = {worker.name for worker in known.items} | stores().jobs.draining()
    if known.board and name not in names:
        raise NotFound("There is no such worker.", field="name", expected="a name listed at /v1/workers")


def _worker(name: str) -> WorkerView:
    known = worker_list(stores(), tenant_id())
    draining = name in stores().jobs.draining()
    unseen = _view(name, None, [], tenant_id(), board=known.board, draining=draining)
    return next((worker for worker in known.items if worker.name == name), unseen)


def _view(
    name: str, worker: dict[str, Any] | None, jobs: list[Job], tenant_id: str, *, board: bool, draining: bool
) -> WorkerView:
    said = worker or {}
    mine = [job.id for job in jobs if job.tenant_id == tenant_id]
    missing = worker is None and board
    return WorkerView(
        name=name,
        queue=said.get("queue") or (jobs[0].queue if jobs else None),
        state="missing" if missing else "draining" if draining else "busy" if jobs else "ready",
        device=said.get("device"),
        started_at=moment(said.get("started_at")),
        jobs=mine,
        others=len(jobs) - len(mine),
    )
