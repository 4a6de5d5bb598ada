"""One webhook call: signed, to an address that may be called (storage/pinned.py), within its time.

Of the answer the head is read, no more.
"""

import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from storage.addresses import networks_of
from storage.pinned import Headers, called
from storage.records import Delivery
from storage.version import code_version


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after_s: float | None = None


class Caller:
    """Makes signed calls. Safe for threads. Raises ValueError for a secret or networks that are none."""

    def __init__(
        self, secret: str, networks: Iterable[str], *, timeout_s: float, trust: ssl.SSLContext | None = None
    ) -> None:
        self._signer = _signer(secret)
        self._networks = networks_of(networks)
        self._timeout_s = timeout_s
        self._trust = trust or httpx.create_ssl_context()

    def call(self, delivery: Delivery, *, at: float) -> Answer:
        """Send it once, signed as of `at` (seconds since the epoch). Raises CallFailed."""
        with called(
            "POST",
            delivery.url,
            headers=self._headers(delivery, at),
            content=delivery.body.encode(),
            networks=self._networks,
            timeout_s=self._timeout_s,
            trust=self._trust,
        ) as response:
            return Answer(response.status, retry_after_s(response.headers, now=time.time()))

    def _headers(self, delivery: Delivery, at: float) -> Headers:
        signature = self._signer.sign(delivery.id, datetime.fromtimestamp(int(at), UTC), delivery.body)
        return {
            "Content-Type": "application/json",
            "User-Agent": f"editq/{code_version()}",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(at)),
            "webhook-signature": signature,
        }


def _signer(secret: str) -> Webhook:
    try:
        return Webhook(secret)
    except EmptyWebhookSecretError:
        raise ValueError("the secret is empty") from None


def retry_after_s(headers: Iterable[tuple[bytes, bytes]], *, now: float) -> float | None:
    """Seconds that the answer asks to wait: Retry-After as a number, or as a date. None: nothing sensible."""
    for name, value in headers:
        if name.lower() != b"retry-after":
            continue
        text = value.decode("ascii", "replace").strip()
        if text.isdecimal():
            return float(text[:9])
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - now)
        except (ValueError, OverflowError):
            return None
    return None
