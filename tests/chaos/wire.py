"""A TCP proxy before a real server, that can hold, refuse and cut its connections at a chosen write."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from enum import Enum

CHUNK_BYTES = 1 << 16


class Cut(Enum):
    """When a connection ends: before the server hears of a write, or before the client hears the answer."""

    BEFORE = "before"
    AFTER = "after"


Rule = Callable[["Link", bytes], Cut | None]


class Link:
    """One connection: what the client has written on it, and both of its sockets."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.marked = False  # free for rules
        self.mute = False

    def cut(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Wire:
    """Listens on `host` from its construction on; forwards to a server on loopback."""

    def __init__(self, server_port: int, *, host: str = "127.0.0.1") -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server((host, 0))
        self.host, self.port = host, int(self._listener.getsockname()[1])
        self.rule: Rule | None = None
        self._open = threading.Event()
        self._open.set()
        self._refusing = False
        self._links: set[Link] = set()
        self._lock = threading.Lock()
        self._start(self._accept)

    def hold(self) -> None:
        """Nothing passes any more, and no connection ends: a frozen server, or a network that swallows."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def refuse(self, refusing: bool = True) -> None:
        """Every connection is cut, now and when it is made."""
        self._refusing = refusing
        if refusing:
            self.cut()

    def cut(self) -> None:
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    def once(self, cut: Cut, matches: Callable[["Link", bytes], bool]) -> threading.Event:
        """Cut at the first write that matches; the event says when that was."""
        struck = threading.Event()
        lock = threading.Lock()

        def rule(link: Link, data: bytes) -> Cut | None:
            with lock:
                if struck.is_set() or not matches(link, data):
                    return None
                struck.set()
                return cut

        self.rule = rule
        return struck

    def calm(self) -> None:
        """Back to passing everything on."""
        self.rule = None
        self._refusing = False
        self._open.set()

    def close(self) -> None:
        self._open.set()
        self.refuse()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                Link(client, client).cut()
            else:
                self._start(self._join, client)

    def _join(self, client: socket.socket) -> None:
        self._open.wait()
        try:
            server = socket.create_connection(self._server, timeout=10)
        except OSError:
            Link(client, client).cut()
            return
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, server)
        with self._lock:
            self._links.add(link)
        self._start(self._pass_answers, link)
        self._pass_writes(link)
        with self._lock:
            self._links.discard(link)

    def _pass_writes(self, link: Link) -> None:
        with contextlib.suppress(OSError):
            while data := link.client.recv(CHUNK_BYTES):
                self._open.wait()
                cut = self.rule(link, data) if self.rule else None
                if cut is Cut.BEFORE:
                    break
                link.mute = link.mute or cut is Cut.AFTER
                link.server.sendall(data)
        link.cut()

    def _pass_answers(self, link: Link) -> None:
        with contextlib.suppress(OSError):
            while data := link.server.recv(CHUNK_BYTES):
                self._open.wait()
                if link.mute:
                    break
                link.client.sendall(data)
        link.cut()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, name="wire", daemon=True).start()
