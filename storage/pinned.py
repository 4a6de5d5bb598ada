"""Calls to addresses that others name (webhooks, an issuer of tokens): to permitted ones alone, each over by
its deadline.

The name is resolved once and all its addresses are judged; the connection is made to one of those very
addresses. So a name server that says something else a moment later (DNS rebinding) moves nothing, while TLS
still goes by the name. Redirects are not followed, and proxies that the environment names are not used. What
is said of a call that failed holds nothing that the other side wrote.
"""
# ruff: noqa: ARG002  httpcore's time limits are for single waits, and give way to the deadline

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator

import httpcore
import httpx

from storage.addresses import Network, permitted

UNCALLABLE = "the URL cannot be called"
Headers = dict[str | bytes, str | bytes]


class CallFailed(Exception):
    """No answer was got. The sentence is short, and safe to show."""


@contextlib.contextmanager
def called(
    method: str,
    text: str,
    *,
    headers: Headers,
    content: bytes | None = None,
    networks: Iterable[Network],
    timeout_s: float,
    trust: ssl.SSLContext,
) -> Iterator[httpcore.Response]:
    """The answer, its body not yet read; all of it within `timeout_s`. Raises CallFailed."""
    url, host = _target(text)
    backend = PinnedBackend(networks, Deadline(timeout_s))
    try:
        with (
            httpcore.ConnectionPool(ssl_context=trust, network_backend=backend) as pool,
            pool.stream(method, url, headers=headers | {"Host": host}, content=content) as response,
        ):
            yield response
    except httpcore.TimeoutException:
        raise CallFailed(f"no answer within {timeout_s:g} s") from None
    except httpcore.ConnectError:
        raise CallFailed("no connection") from None
    except httpcore.NetworkError:
        raise CallFailed("the connection broke") from None
    except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol):
        raise CallFailed(UNCALLABLE) from None
    except httpcore.ProtocolError:
        raise CallFailed("the answer is not HTTP") from None


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


class Deadline:
    """The end of a call as a whole: a receiver that drips bytes gains nothing by it."""

    def __init__(self, timeout_s: float) -> None:
        self._at = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Raises httpcore.TimeoutException when it has passed."""
        left_s = self._at - time.monotonic()
        if left_s <= 0:
            raise httpcore.TimeoutException
        return left_s


class PinnedBackend(httpcore.NetworkBackend):
    """Connects to permitted addresses alone."""

    def __init__(self, networks: Iterable[Network], deadline: Deadline) -> None:
        self._networks = tuple(networks)
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = resolved(host, port, timeout_s=self._deadline.left_s())
        if not all(permitted(address, self._networks) for address in addresses):
            raise CallFailed("the address is private, or otherwise not to be called")
        for tried, address in enumerate(addresses, start=1):
            share_s = self._deadline.left_s() / (len(addresses) - tried + 1)
            try:
                stream = httpcore.SyncBackend().connect_tcp(address, port, timeout=share_s)
                return TimedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if tried == len(addresses):
                    raise
        raise CallFailed("the name has no address")


class TimedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=self._deadline.left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=self._deadline.left_s())

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, timeout=self._deadline.left_s())
        except httpcore.ConnectError as error:
            invalid = isinstance(error.__cause__, ssl.SSLCertVerificationError)
            why = "the certificate of the receiver is not valid" if invalid else "no TLS with the receiver"
            raise CallFailed(why) from error
        return TimedStream(stream, self._deadline)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def resolved(host: str, port: int, *, timeout_s: float) -> list[str]:
    """All addresses of a name. Asked for in a thread: the system's resolver knows no time limit."""
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except Exception as error:  # noqa: BLE001  told to who asked
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        raise httpcore.ConnectTimeout from None
    if isinstance(answer, Exception):
        raise CallFailed("the name of the receiver is not known") from answer
    return answer
