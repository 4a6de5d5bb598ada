"""Hearing what is published of a job: a listener for each caller, one thread per process that feeds them."""

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

Message = dict[str, Any]
KEPT_MESSAGES = 200
PAUSE_S = 0.2  # while the server is away


class Listener:
    """What one caller hears of one job, in order; the oldest is dropped when nobody takes it.

    Iterating ends when `timeout_s` has passed. Forgetting to close it does no harm: nothing else holds it.
    """

    def __init__(self, *, after: str | None = None, timeout_s: float | None = None) -> None:
        self.open = True
        self.after = after
        self._until = None if timeout_s is None else time.monotonic() + timeout_s
        self._heard: deque[Message] = deque(maxlen=KEPT_MESSAGES)
        self._news = threading.Condition()

    def tell(self, message: Message) -> None:
        with self._news:
            self._heard.append(message)
            self._news.notify_all()

    def hear(self, timeout_s: float | None = None) -> Message | None:
        """The next message, or None when none came in time."""
        with self._news:
            self._news.wait_for(lambda: self._heard, timeout_s)
            return self._heard.popleft() if self._heard else None

    def close(self) -> None:
        self.open = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        message = self.hear(None if self._until is None else max(0.0, self._until - time.monotonic()))
        if message is None:
            self.close()
            raise StopIteration
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Hub:
    """Listens to streams of a server for everybody in this process, with one thread while anybody listens.

    newest(key)      id of the last message of a stream, "0-0" when it has none, None while the server is away
    read(positions)  what came after these ids, as (key, id, message), waiting a moment for the first; None
                     while the server is away
    wake()           ends the wait of a reading that is under way: somebody new listens
    """

    def __init__(
        self,
        newest: Callable[[str], str | None],
        read: Callable[[Mapping[str, str]], Iterable[tuple[str, str, Message]] | None],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._newest, self._read, self._wake = newest, read, wake
        self._thread: threading.Thread | None = None
        self._start_over()
        _start_over_after_fork(self)

    def listen(self, key: str, *, timeout_s: float | None) -> Listener:
        """Messages from now on. What the server holds when it comes back is not new."""
        listener = Listener(after=self._newest(key), timeout_s=timeout_s)
        with self._lock:
            heard_already = key in self._listeners
            self._listeners.setdefault(key, weakref.WeakSet()).add(listener)
            if listener.after is not None:
                self._positions.setdefault(key, listener.after)
            reading = self._thread is not None and self._thread.is_alive()
            if not reading:
                self._thread = threading.Thread(target=self._run, name="board listener", daemon=True)
                self._thread.start()
        if reading and not heard_already and listener.after is not None:
            self._wake()
        return listener

    def _start_over(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, weakref.WeakSet[Listener]] = {}
        self._positions: dict[str, str] = {}
        self._thread = None

    def _run(self) -> None:
        while (positions := self._wanted()) is not None:
            known = {key: at for key, at in positions.items() if at is not None}
            told = self._read(known) if known else None
            for key, number, message in told or ():
                self._tell(key, number, message)
            self._begin(key for key in positions if key not in known)
            if told is None:
                time.sleep(PAUSE_S)

    def _wanted(self) -> dict[str, str | None] | None:
        """Streams that somebody listens to, and how far. When there is none, this thread is to end."""
        with self._lock:
            for key, listeners in list(self._listeners.items()):
                if not any(listener.open for listener in listeners):
                    del self._listeners[key]
                    self._positions.pop(key, None)
            if not self._listeners:
                self._thread = None
                return None
            return {key: self._positions.get(key) for key in self._listeners}

    def _begin(self, keys: Iterable[str]) -> None:
        """The server was away when these were asked for."""
        for key in keys:
            newest = self._newest(key)
            if newest is not None:
                with self._lock:
                    self._positions.setdefault(key, newest)

    def _tell(self, key: str, number: str, message: Message) -> None:
        with self._lock:
            self._positions[key] = number
            for listener in self._listeners.get(key, ()):
                if listener.open and (listener.after is None or _order(number) > _order(listener.after)):
                    listener.tell(message)


def _order(number: str) -> tuple[int, ...]:
    return tuple(map(int, number.split("-")))


def _start_over_after_fork(hub: Hub) -> None:
    """A child has none of its parent's threads, and nobody there listens yet."""
    kept = weakref.ref(hub)

    def start_over() -> None:
        inherited = kept()
        if inherited is not None:
            inherited._start_over()

    os.register_at_fork(after_in_child=start_over)
