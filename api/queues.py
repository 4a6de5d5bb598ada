"""/v1/queues: what waits, and whether anything is taken."""

from datetime import datetime

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.errors import responses
from api.job_view import moment
from api.paging import answer
from api.service import service, stores
from storage.errors import NotFound
from storage.records import Queue

MOST_RINGS = 32  # more are rung by housekeeping, as they are needed

queues = APIBlueprint(
    "queues",
    __name__,
    url_prefix="/v1/queues",
    abp_tags=[Tag(name="queues", description="Where jobs wait.")],
    abp_responses=responses(403, 422, 503),
)


class QueueView(BaseModel):
    name: str
    paused: bool
    queued: int = Field(description="Jobs that wait, of everybody.")
    eligible: int = Field(description="Those of them that a worker could take now.")
    running: int
    oldest_created_at: datetime | None = Field(description="Since when the oldest of them waits.")


class QueueList(BaseModel):
    items: list[QueueView]


class QueuePath(BaseModel):
    name: str


def queue_view(queue: Queue) -> QueueView:
    return QueueView(
        name=queue.name,
        paused=queue.paused,
        queued=queue.queued,
        eligible=queue.eligible,
        running=queue.running,
        oldest_created_at=moment(queue.oldest_created_at),
    )


def known_queue(name: str) -> Queue:
    """Raises NotFound."""
    found = {queue.name: queue for queue in stores().jobs.queues()}
    if name not in found:
        raise NotFound("There is no such queue.", field="name", expected=f"one of {', '.join(found)}")
    return found[name]


@queues.get("", operation_id="listQueues", responses={200: QueueList})
def list_queues() -> Response:
    """List the queues."""
    return answer(QueueList(items=[queue_view(queue) for queue in stores().jobs.queues()]))


@queues.post("/<name>/pause", operation_id="pauseQueue", responses={200: QueueView, **responses(404)})
def pause_queue(path: QueuePath) -> Response:
    """Take nothing more from a queue. What runs goes on; submits are taken as before."""
    stores().jobs.pause(known_queue(path.name).name, True)
    return answer(queue_view(known_queue(path.name)))


@queues.post("/<name>/resume", operation_id="resumeQueue", responses={200: QueueView, **responses(404)})
def resume_queue(path: QueuePath) -> Response:
    """Take from a queue again."""
    stores().jobs.pause(known_queue(path.name).name, False)
    queue = known_queue(path.name)
    for _ in range(min(MOST_RINGS, queue.eligible)):
        service().ring(queue.name, "resume")
    return answer(queue_view(queue))
