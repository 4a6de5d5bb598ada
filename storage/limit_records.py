"""The limits of a tenant, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Limit(StrEnum):
    """Each also is EDITQ_LIMIT_<NAME>. 0 is none."""

    REQUESTS_PER_S = "requests_per_s"
    JOBS_WAITING = "jobs_waiting"
    JOBS_RUNNING = "jobs_running"  # in the gpu queue: who is there waits for a turn, and is refused nothing
    BYTES_STORED = "bytes_stored"
    BATCH_ITEMS = "batch_items"
    GPU_S_PER_DAY = "gpu_s_per_day"


NO_LIMITS: Mapping[Limit, float] = dict.fromkeys(Limit, 0.0)


@dataclass(frozen=True, slots=True)
class Held:
    """What a tenant has now."""

    jobs_waiting: int
    jobs_running: int
    gpu_s_today: float
    bytes_stored: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request for one token of a bucket of `burst` that fills at `per_s`."""

    allowed: bool
    left: int
    full_in_s: float
    retry_in_s: float
