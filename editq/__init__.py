"""What users import: `from editq import Client`."""

from editq.client import Client
from editq.job_handle import JobHandle
from editq.job_result import JobResult

__all__ = ["Client", "JobHandle", "JobResult"]
