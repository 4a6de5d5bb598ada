"""/livez: this process answers. /readyz: so does what it needs."""

import logging
from collections.abc import Callable
from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.paging import answer
from api.service import stores
from storage.errors import EditqError
from storage.records import GPU_QUEUE, LOCAL_TENANT

log = logging.getLogger("editq.api")
health = APIBlueprint(
    "health", __name__, abp_tags=[Tag(name="health", description="For whoever runs this service.")]
)

Status = Literal["ready", "degraded", "unready"]


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    status: Status = Field(
        description="`degraded`: jobs are taken and run; progress is dark, and cancelling takes longer."
    )
    database: bool
    objects: bool
    board: bool
    models: bool = Field(description="Whether there is a model to work with.")


@health.get("/livez", operation_id="livez", responses={200: Alive})
def livez() -> Response:
    """Whether this process answers."""
    return answer(Alive())


@health.get("/readyz", operation_id="readyz", responses={200: Readiness, 503: Readiness})
def readyz() -> Response:
    """Whether jobs can be taken: the database, the objects, the board, a model."""
    database = _holds("database", lambda: stores().jobs.eligible(GPU_QUEUE) >= 0)
    objects = _holds("objects", _objects_answer)
    board = _holds("board", stores().progress.check)
    models = database and _holds("models", lambda: bool(stores().library.list_models(LOCAL_TENANT)))
    ready = database and objects and models
    status: Status = "unready" if not ready else "ready" if board else "degraded"
    return answer(
        Readiness(status=status, database=database, objects=objects, board=board, models=models),
        200 if ready else 503,
    )


def _objects_answer() -> bool:
    stores().objects.check()
    return True


def _holds(what: str, check: Callable[[], bool]) -> bool:
    try:
        return check()
    except EditqError as error:
        log.warning("%s: %s", what, error.detail)
    except Exception:
        log.exception("%s is not ready", what)
    return False
