"""The webhook call that an event asks for: made once, in the transaction that writes the event."""

import json
from datetime import UTC, datetime

from storage.records import Delivery, Event, Job


def delivery_of(job: Job, event: Event) -> Delivery | None:
    """None where the job has no webhook, or its webhook does not want this event."""
    if job.webhook is None or event.type not in job.webhook["events"]:
        return None
    return Delivery(
        id=f"{job.id}-{event.number}",
        tenant_id=job.tenant_id,
        job_id=job.id,
        event_number=event.number,
        type=f"job.{event.type}",
        url=job.webhook["url"],
        body=_body(job, event),
        status="pending",
        tries=0,
        next_at=event.created_at,
        last_error=None,
        created_at=event.created_at,
        ended_at=None,
    )


def _body(job: Job, event: Event) -> str:
    """Told of the job as it was at the event: who wants more asks the API."""
    data = {
        "job_id": job.id,
        "number": event.number,
        "kind": job.kind,
        "status": job.status.value,
        "attempt": job.attempt,
        "url": f"/v1/jobs/{job.id}",
    }
    if "error" in event.data:
        data["error"] = event.data["error"]
    at = datetime.fromtimestamp(event.created_at, UTC).isoformat()
    return json.dumps({"type": f"job.{event.type}", "timestamp": at, "data": data})
