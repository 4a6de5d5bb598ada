"""Requests offered to a service at a rate, whether it answers or not, and what became of each.

Raw HTTP/1.1 over kept connections, in one thread: the clients of an overload share the machine's cores with
the service, and should cost next to nothing beside it.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

CONNECTIONS = 256
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Ask:
    """`what` names it in the report; `tenant` is whose `key` it carries."""

    what: str
    tenant: str
    key: str
    method: str
    path: str
    body: bytes = b""

    def wire(self, host: str) -> bytes:
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {self.key}\r\n"
        if self.body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
        return f"{head}\r\n".encode() + self.body


@dataclass(frozen=True)
class Told:
    """An answer. seconds: from when the request was due. status 0: none came, and `body` says why."""

    ask: Ask
    status: int
    seconds: float
    at: float
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.body)


def offered(
    address: str, asks: Iterator[Ask], *, seconds: float, per_s: float | None, told: Callable[[Told], None]
) -> int:
    """Ask for so long; how many were asked. `per_s`: at times of a clock, through up to 256 connections, and
    nobody waits for another's answer. None: eight clients, each as soon as its last answer has come."""
    return asyncio.run(_offered(urlsplit(address).netloc, asks, seconds, per_s, told))


async def _offered(
    host: str, asks: Iterator[Ask], seconds: float, per_s: float | None, told: Callable[[Told], None]
) -> int:
    name, port = host.rsplit(":", 1)
    due_times: asyncio.Queue[float | None] = asyncio.Queue()
    began, count = time.perf_counter(), 0

    async def client() -> None:
        nonlocal count
        connection = Connection(name, int(port))
        while True:
            due = time.perf_counter() if per_s is None else await due_times.get()
            if due is None or due >= began + seconds:
                break
            count += 1
            ask = next(asks)
            told(await connection.asked(ask, ask.wire(host), due))
        connection.close()

    clients = [asyncio.create_task(client()) for _ in range(8 if per_s is None else CONNECTIONS)]
    number = 0
    while per_s is not None and number / per_s < seconds:
        until = (time.perf_counter() - began) * per_s
        while number <= until:
            due_times.put_nowait(began + number / per_s)
            number += 1
        await asyncio.sleep(0.002)
    for _ in clients:
        due_times.put_nowait(None)
    await asyncio.gather(*clients)
    return count


class Connection:
    """Opened when it is needed; opened again where the other side has closed it."""

    def __init__(self, name: str, port: int) -> None:
        self._address = name, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def asked(self, ask: Ask, wire: bytes, due: float) -> Told:
        status, headers, body = 0, {}, b""
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, headers, body = await self._exchange(wire)
        except (OSError, EOFError, ValueError) as error:
            body = f"{type(error).__name__}: {error}".encode()
            self.close()
        now = time.perf_counter()
        return Told(ask, status, now - due, now, headers, body)

    async def _exchange(self, wire: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(wire)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), headers, body

    def close(self) -> None:
        if self._streams is not None:
            with contextlib.suppress(OSError):
                self._streams[1].close()
            self._streams = None
