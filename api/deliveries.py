"""/v1/jobs/<id>/deliveries: the webhook calls that a job's events ask for."""

from datetime import UTC, datetime
from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.errors import responses
from api.job_view import moment
from api.jobs import JobPath
from api.paging import answer
from api.service import stores, tenant_id
from storage.records import Delivery

deliveries = APIBlueprint(
    "deliveries",
    __name__,
    url_prefix="/v1/jobs",
    abp_tags=[Tag(name="webhooks", description="Telling somebody else of a job's changes of state.")],
    abp_responses=responses(403, 422, 503),
)


class DeliveryView(BaseModel):
    id: str = Field(description="The `webhook-id` of every try: the receiver drops what it has seen.")
    event_number: int
    type: str
    url: str
    status: Literal["pending", "delivered", "failed"]
    tries: int
    next_at: datetime | None = Field(description="When a pending one is tried next, at the earliest.")
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None


class DeliveryList(BaseModel):
    items: list[DeliveryView]


class DeliveryPath(JobPath):
    delivery_id: str


def delivery_view(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        id=delivery.id,
        event_number=delivery.event_number,
        type=delivery.type,
        url=delivery.url,
        status=delivery.status,
        tries=delivery.tries,
        next_at=moment(delivery.next_at) if delivery.status == "pending" else None,
        last_error=delivery.last_error,
        created_at=datetime.fromtimestamp(delivery.created_at, UTC),
        ended_at=moment(delivery.ended_at),
    )


@deliveries.get(
    "/<job_id>/deliveries", operation_id="listDeliveries", responses={200: DeliveryList, **responses(404)}
)
def list_deliveries(path: JobPath) -> Response:
    """List the webhook calls of a job, oldest first: made, to be made, or given up."""
    found = stores().outbox.list(tenant_id(), path.job_id)
    return answer(DeliveryList(items=[delivery_view(delivery) for delivery in found]))


@deliveries.post(
    "/<job_id>/deliveries/<delivery_id>/resend",
    operation_id="resendDelivery",
    responses={202: DeliveryView, **responses(404, 409)},
)
def resend_delivery(path: DeliveryPath) -> Response:
    """Make a webhook call that has ended once more, under its id. A pending one is refused."""
    return answer(delivery_view(stores().outbox.resend(tenant_id(), path.job_id, path.delivery_id)), 202)
