"""What users import: `from editq import Client`."""

from editq.client import Client

__all__ = ["Client"]
