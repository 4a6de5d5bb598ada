"""/v1/workers: who is there, and busy with what."""

from datetime import datetime
from typing import Any, Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.errors import responses
from api.job_view import moment
from api.paging import answer
from api.service import stores, tenant_id
from storage.records import Job

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
    state: Literal["ready", "busy", "missing"] = Field(
        description="`missing`: the board does not hear of it, but a job is still in its name."
    )
    device: str | None
    started_at: datetime | None
    jobs: list[str] = Field(description="Your jobs that it runs.")
    others: int = Field(description="How many jobs of others it runs.")


class WorkerList(BaseModel):
    items: list[WorkerView]
    board: bool = Field(description="Whether the board answers; without it only busy workers are known.")


@workers.get("", operation_id="listWorkers", responses={200: WorkerList})
def list_workers() -> Response:
    """List the workers."""
    present = {str(worker["name"]): worker for worker in stores().progress.workers()}
    running: dict[str, list[Job]] = {}
    for job in stores().jobs.running():
        running.setdefault(job.worker or "unknown", []).append(job)
    board = stores().progress.check()
    names = sorted({*present, *running})
    items = [_view(name, present.get(name), running.get(name, []), board) for name in names]
    return answer(WorkerList(items=items, board=board))


def _view(name: str, worker: dict[str, Any] | None, jobs: list[Job], board: bool) -> WorkerView:
    said = worker or {}
    mine = [job.id for job in jobs if job.tenant_id == tenant_id()]
    missing = worker is None and board
    return WorkerView(
        name=name,
        queue=said.get("queue") or (jobs[0].queue if jobs else None),
        state="missing" if missing else "busy" if jobs else "ready",
        device=said.get("device"),
        started_at=moment(said.get("started_at")),
        jobs=mine,
        others=len(jobs) - len(mine),
    )
