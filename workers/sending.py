"""One webhook call: signed, to an address that may be called (workers/pinned.py), within its time.

Of the answer the head is read, no more. Redirects are not followed, and proxies that the environment names
are not used. What is said of a call that failed holds nothing that the receiver wrote.
"""

import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore
import httpx
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from storage.addresses import networks_of
from storage.records import Delivery
from storage.version import code_version
from workers.pinned import CallFailed, Deadline, PinnedBackend

UNCALLABLE = "the URL cannot be called"


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
        url, host = _target(delivery.url)
        body, headers = delivery.body.encode(), self._headers(delivery, at) | {"Host": host}
        backend = PinnedBackend(self._networks, Deadline(self._timeout_s))
        try:
            with (
                httpcore.ConnectionPool(ssl_context=self._trust, network_backend=backend) as pool,
                pool.stream("POST", url, headers=headers, content=body) as response,
            ):
                return Answer(response.status, retry_after_s(response.headers, now=time.time()))
        except httpcore.TimeoutException:
            raise CallFailed(f"no answer within {self._timeout_s:g} s") from None
        except httpcore.ConnectError:
            raise CallFailed("no connection") from None
        except httpcore.NetworkError:
            raise CallFailed("the connection broke") from None
        except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol):
            raise CallFailed(UNCALLABLE) from None
        except httpcore.ProtocolError:
            raise CallFailed("the answer is not HTTP") from None

    def _headers(self, delivery: Delivery, at: float) -> dict[str | bytes, str | bytes]:
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


def _target(text: str) -> tuple[httpcore.URL, str]:
    """Where to call, and the Host header. Names of users are refused: they would be shown with the URL."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise CallFailed(UNCALLABLE) from error
    if url.userinfo or not url.host:
        raise CallFailed(UNCALLABLE)
    parts = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    return parts, url.netloc.decode()


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
