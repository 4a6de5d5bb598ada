"""What a tenant may do, kept: how fast it asks, how much waits, is stored, and has run today. /v1/limits.

Limits of tenants, and what they hold, are read at most every few seconds by a process: a tenant may go beyond
a limit by what all processes let in within that time. How many jobs run at once is kept exactly, by claims.
"""

import math
import time

from flask import Flask, Response, g
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.errors import responses
from api.paging import answer
from api.service import service, stores, tenant_id
from storage.errors import GpuTimeUsedUp, TooManyBytesStored, TooManyJobsWaiting, TooManyRequests
from storage.limit_records import Held, Limit, Taken
from storage.usage import DAY_S

BURST = 2  # seconds of the rate that may come at once
STORED_RETRY_S = 3600.0

limits = APIBlueprint(
    "limits",
    __name__,
    url_prefix="/v1/limits",
    abp_tags=[Tag(name="limits", description="How much a tenant may do.")],
    abp_responses=responses(403, 422, 503),
)


class LimitView(BaseModel):
    name: Limit
    limit: float | None = Field(description="null: none.")
    used: float | None = Field(description="Now; null where nothing adds up.")


class LimitList(BaseModel):
    items: list[LimitView]


@limits.get("", operation_id="listLimits", responses={200: LimitList})
def list_limits() -> Response:
    """List your tenant's limits, and what it has of each."""
    most, held = stores().limits.of(tenant_id()), stores().limits.held(tenant_id())
    used = {
        Limit.JOBS_WAITING: held.jobs_waiting,
        Limit.JOBS_RUNNING: held.jobs_running,
        Limit.BYTES_STORED: held.bytes_stored,
        Limit.GPU_S_PER_DAY: round(held.gpu_s_today, 3),
    }
    return answer(
        LimitList(
            items=[LimitView(name=name, limit=most[name] or None, used=used.get(name)) for name in Limit]
        )
    )


def check_rate(tenant: str) -> None:
    """Raises TooManyRequests. The answer's RateLimit fields tell of it in any case."""
    per_s = service().limits.of(tenant)[Limit.REQUESTS_PER_S]
    if not per_s:
        return
    burst = max(1, math.ceil(per_s * BURST))
    g.rate = (per_s, burst, stores().rates.take(tenant, per_s=per_s, burst=burst))
    taken: Taken = g.rate[2]
    if not taken.allowed:
        raise TooManyRequests(
            f"Your tenant may ask {per_s:g} times a second.",
            retry_after_s=taken.retry_in_s,
        )


def check_submit(tenant: str) -> None:
    """Whether one more job may wait. Raises a LimitReached."""
    most = service().limits.of(tenant)
    held = _held(tenant, most, Limit.JOBS_WAITING, Limit.GPU_S_PER_DAY, Limit.BYTES_STORED)
    if held is None:
        return
    if 0 < most[Limit.JOBS_WAITING] <= held.jobs_waiting:
        text = f"{held.jobs_waiting} jobs of your tenant wait, and {most[Limit.JOBS_WAITING]:.0f} may."
        raise TooManyJobsWaiting(text, retry_after_s=30.0)
    if 0 < most[Limit.GPU_S_PER_DAY] <= held.gpu_s_today:
        text = f"Your tenant has used its {most[Limit.GPU_S_PER_DAY]:.0f} GPU seconds of today (UTC)."
        left_s = DAY_S - time.time() % DAY_S
        raise GpuTimeUsedUp(text, retry_after_s=left_s)
    _check_bytes(held, most, 0)


def check_store(tenant: str, byte_size: int) -> None:
    """Whether so many bytes more may be stored. Raises TooManyBytesStored."""
    most = service().limits.of(tenant)
    held = _held(tenant, most, Limit.BYTES_STORED)
    if held is not None:
        _check_bytes(held, most, byte_size)


def _check_bytes(held: Held, most: dict[Limit, float], more: int) -> None:
    limit = most[Limit.BYTES_STORED]
    if limit and held.bytes_stored + max(1, more) > limit:
        raise TooManyBytesStored(
            f"Your tenant stores {held.bytes_stored} bytes, and may store {limit:.0f}.",
            retry_after_s=STORED_RETRY_S,
            expected="delete pictures, files or vectors first, or wait until outputs expire",
        )


def _held(tenant: str, most: dict[Limit, float], *names: Limit) -> Held | None:
    return service().held.of(tenant) if any(most[name] for name in names) else None


def register_limits(app: Flask) -> None:
    @app.after_request
    def tell(answer: Response) -> Response:
        """As draft-ietf-httpapi-ratelimit-headers-10 has it: q tokens in w seconds; r left, all in t."""
        if g.get("rate") is not None:
            per_s, burst, taken = g.rate
            answer.headers["RateLimit-Policy"] = f'"requests";q={burst};w={math.ceil(burst / per_s)}'
            answer.headers["RateLimit"] = f'"requests";r={taken.left};t={math.ceil(taken.full_in_s)}'
        return answer
