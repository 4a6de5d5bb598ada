"""What every spec has: how the job is to be treated; and the types that several kinds share."""

from typing import Annotated, Literal

from pydantic import Field

from storage.mask_specs import Strict
from storage.records import Priority

ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$", examples=["cars"])]
Steps = Annotated[int, Field(ge=1, le=5000)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


class Webhook(Strict):
    """Where to tell of a job's changes of state (signed as Standard Webhooks are)."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2000)]
    events: Annotated[
        tuple[Literal["queued", "running", "cancel_requested", "succeeded", "failed", "canceled"], ...],
        Field(min_length=1, max_length=6),
    ] = ("succeeded", "failed", "canceled")


class JobOptions(Strict):
    """How a job is to be treated, whatever it does. No part of what makes its result."""

    priority: Priority = Field(
        default=Priority.STANDARD,
        description="A job that waits rises one class every 10 minutes (EDITQ_AGEING_S).",
    )
    start_within_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        default=None, description="Seconds; a job that has not begun by then fails as deadline_passed."
    )
    finish_within_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        default=None, description="Seconds; a job that has not ended by then fails as deadline_passed."
    )
    keep_s: Annotated[float, Field(ge=60, le=315_360_000)] | None = Field(
        default=None,
        description="Seconds that outputs are kept after the end; by default the service's policy.",
    )
    webhook: Webhook | None = None


DEFAULT_OPTIONS = JobOptions()


class Spec(Strict):
    options: JobOptions = DEFAULT_OPTIONS
