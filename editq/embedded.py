"""The embedded default: the whole service as processes of this machine, its data in one folder.

    Valkey (append-only file on) · SQLite in WAL mode · objects as files
    the API · a GPU worker · a housekeeping worker

A part whose address the environment gives (EDITQ_REDIS_URL, EDITQ_DATABASE_URL, EDITQ_S3_BUCKET ...) is used
as it is and not started. The other rooms are reached by processes and environment only.
"""

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from editq import ports, valkey
from editq.client import bearer
from editq.folder import KEY_FILE, DataFolder
from editq.processes import Child, Interrupted, Signals, spawn, stop
from storage.addresses import is_loopback
from storage.records import CPU_QUEUE, GPU_QUEUE, LOCAL_TENANT

_LOOPBACK, _LOOPBACK_NETWORK = "127.0.0.1", "127.0.0.0/8"
_API_PORT = 8000
_VALKEY_PORT = 16379
_START_S = 60.0
_GRACE_S = 15.0
_PYTHON = (sys.executable, "-P", "-m")  # -P: modules never come from the current folder
_API = "gunicorn -c python:api.gunicorn_conf api.wsgi:app --workers 1 --graceful-timeout 2"
_WORKER = "celery -A workers.celery_app worker --pool prefork --concurrency 1 --loglevel INFO"


class ServiceFailed(Exception):
    """A part of the service did not start, or ended; the message holds the end of its log."""


@dataclass
class Service:
    """The running processes. `tend` starts again what ended, and gives up on what will not stay."""

    folder: DataFolder
    signals: Signals
    env: dict[str, str]
    say: Callable[[str], None]
    address: str = ""
    ready: bool = False
    children: dict[str, Child] = field(default_factory=dict)
    _starts: dict[str, Callable[[], Child]] = field(default_factory=dict)
    _deaths: dict[str, list[float]] = field(default_factory=dict)

    def start(self, name: str, command: tuple[str, ...], *, fds: tuple[int, ...] = ()) -> None:
        log = self.folder.logs / f"{name}.log"
        self._starts[name] = lambda: spawn(
            name, command, env=_with_own_metrics(self.env, name), log=log, pass_fds=fds
        )
        self._spawn(name)

    def tend(self) -> None:
        """Start again what ended. Raises ServiceFailed for a process that ended three times in a minute."""
        for name, child in list(self.children.items()):
            if child.running:
                continue
            now = time.monotonic()
            self._deaths[name] = [t for t in self._deaths.get(name, []) if now - t < 60] + [now]
            if not self.ready or len(self._deaths[name]) >= 3:
                raise ServiceFailed(_with_tail(f"{name} ended", child))
            self.say(f"{name} ended unexpectedly: starting it again (its log: {child.log})")
            stop([child], grace_s=0)
            self._spawn(name)

    def run_once(self, name: str, command: tuple[str, ...]) -> None:
        """Run a step to its end. Raises ServiceFailed when it fails."""
        self.start(name, command)
        child = self.children[name]
        while child.running:
            time.sleep(0.02)
        with self.signals.shielded():
            stop([child], grace_s=0)
            del self.children[name], self._starts[name]
        if child.process.returncode != 0:
            raise ServiceFailed(
                _with_tail(f"{name} failed with exit status {child.process.returncode}", child)
            )

    def await_(self, name: str, happened: Callable[[], bool], *, problem: Callable[[], str]) -> None:
        """Wait until something happened, as long as the process lives. Raises ServiceFailed."""
        deadline = time.monotonic() + _START_S
        while not happened():
            self.tend()
            if time.monotonic() > deadline:
                raise ServiceFailed(_with_tail(f"{problem()} after {_START_S:.0f} s", self.children[name]))
            time.sleep(0.1)

    def stop(self) -> None:
        """End every process: first those that work, then the broker. A second signal cuts the wait short."""
        with self.signals.shielded():
            known = len(self.signals.received)
            broker = [child for name, child in self.children.items() if name == "valkey"]
            working = [child for name, child in self.children.items() if name != "valkey"]
            for group in (working, broker):
                stop(group, grace_s=_GRACE_S, hurry=lambda: len(self.signals.received) > known)
            self.children.clear()

    def announce(self) -> None:
        pids = {name: child.process.pid for name, child in self.children.items()}
        self.folder.write(address=self.address if self.ready else None, pids=pids)

    def _spawn(self, name: str) -> None:
        with self.signals.shielded():
            self.children[name] = self._starts[name]()
            self.announce()


@contextlib.contextmanager
def running(
    folder: DataFolder, environ: Mapping[str, str] = os.environ, *, say: Callable[[str], None] = print
) -> Iterator[Service]:
    """Start the service, yield it once it is ready, and stop every process of it at the end.

    Raises AlreadyRunning, ServiceFailed, Interrupted. Must be called in the main thread.
    """
    signals = Signals()
    with signals.caught(), folder.held():
        folder.end_leftovers()
        service = Service(folder, signals, _environment(folder, environ), say)
        try:
            with _listener(service) as api_fd:
                _start_all(service, api_fd)
                yield service
        finally:
            try:
                service.stop()
            except Interrupted:  # a signal just before the shield, or when all was over; it is raised once
                service.stop()
                raise


@contextlib.contextmanager
def _listener(service: Service) -> Iterator[int]:
    """The API's socket, opened here: no other process can take its port, not even while the API restarts."""
    host, wished = service.env["EDITQ_HOST"], int(service.env["EDITQ_PORT"])
    with ports.listen(host, wished) as listener:
        port = ports.port_of(listener)
        if port != wished:
            service.say(f"port {wished} is taken: using {port}")
        service.env["EDITQ_PORT"] = str(port)
        service.address = _address(host, port)
        yield listener.fileno()


def _address(host: str, port: int) -> str:
    """Where this machine itself reaches it."""
    host = {"0.0.0.0": _LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - the other way: what listens on all is called on loopback
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _start_all(service: Service, api_fd: int) -> None:
    if "EDITQ_REDIS_URL" not in service.env:
        _start_valkey(service)
    service.run_once("release", (*_PYTHON, "workers.release"))
    _ensure_key(service)
    service.start("api", (*_PYTHON, *_API.split(), "--bind", f"fd://{api_fd}"), fds=(api_fd,))
    for queue in (GPU_QUEUE, CPU_QUEUE):
        service.start(queue, (*_PYTHON, *_WORKER.split(), "-Q", queue, "--hostname", f"{queue}@%h"))
    headers = bearer(service.folder.key())
    with httpx.Client(base_url=service.address, timeout=5.0, trust_env=False, headers=headers) as http:
        service.await_("api", lambda: _is_ready(http), problem=lambda: _unready(http))
        service.await_(GPU_QUEUE, lambda: _gpu_present(http), problem=lambda: "the GPU worker is not there")
    service.ready = True
    service.announce()


def asks_for_keys(env: Mapping[str, str]) -> bool:
    required = env.get("EDITQ_KEYS_REQUIRED", "").lower() in ("1", "true", "yes", "on")
    return required or not is_loopback(env["EDITQ_HOST"])


def _ensure_key(service: Service) -> None:
    """Where the service asks for keys, commands of this folder's owner find one there."""
    if asks_for_keys(service.env) and service.folder.key() is None:
        create = ("create", "--tenant", LOCAL_TENANT, "--scope", "admin", "--name", "this data folder")
        to = ("--to", str(service.folder.path / KEY_FILE))
        service.run_once("key", (*_PYTHON, "workers.keys", *create, *to))


def _start_valkey(service: Service) -> None:
    try:
        server = valkey.binary()
    except FileNotFoundError as error:
        raise ServiceFailed(
            f"no embedded Valkey server: {error}. Set EDITQ_REDIS_URL to use another."
        ) from error
    password = secrets.token_urlsafe(24)
    port = ports.free(_LOOPBACK, _VALKEY_PORT)
    where = service.folder.path / "valkey"
    configuration = valkey.write_configuration(where, host=_LOOPBACK, port=port, password=password)
    service.start("valkey", (str(server), str(configuration)))
    service.await_(
        "valkey", lambda: valkey.answers(_LOOPBACK, port, password), problem=lambda: "Valkey is not ready"
    )
    service.env["EDITQ_REDIS_URL"] = f"redis://:{password}@{_LOOPBACK}:{port}/0"


def _environment(folder: DataFolder, environ: Mapping[str, str]) -> dict[str, str]:
    """What the processes get: the caller's variables, and the embedded default for those not given."""
    env = {name: value for name, value in environ.items() if value or not name.startswith("EDITQ_")}
    env.setdefault("EDITQ_HOST", _LOOPBACK)
    env.setdefault("EDITQ_PORT", str(_API_PORT))
    env.setdefault("EDITQ_DATABASE_URL", f"sqlite:///{folder.path / 'editq.db'}")
    if "EDITQ_WEBHOOK_SECRET" not in env:
        env["EDITQ_WEBHOOK_SECRET"] = folder.webhook_secret()
    env.setdefault("EDITQ_WEBHOOK_NETWORKS", _LOOPBACK_NETWORK)  # receivers of this machine's own
    env["EDITQ_DATA_DIR"] = str(folder.path)
    env["PYTHONUNBUFFERED"] = "1"
    return env


def _with_own_metrics(env: Mapping[str, str], name: str) -> dict[str, str]:
    """Each process that has metrics serves them on a port of its own: the one named and those after it."""
    own = dict(env)
    if port := own.pop("EDITQ_METRICS_PORT", ""):
        with contextlib.suppress(ValueError):  # no such process; or no number, which the settings refuse
            own["EDITQ_METRICS_PORT"] = str(int(port) + ("api", GPU_QUEUE, CPU_QUEUE).index(name))
    return own


def _is_ready(http: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return http.get("/readyz").status_code == httpx.codes.OK
    return False


def _unready(http: httpx.Client) -> str:
    """What the API says that it lacks."""
    with contextlib.suppress(httpx.HTTPError, ValueError, AttributeError):
        lacking = [name for name, there in http.get("/readyz").json().items() if there is False]
        return f"the API is not ready (missing: {', '.join(lacking)})"
    return "the API does not answer"


def _gpu_present(http: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError, ValueError, KeyError, TypeError):
        return any(worker.get("queue") == GPU_QUEUE for worker in http.get("/v1/workers").json()["items"])
    return False


def _with_tail(message: str, child: Child) -> str:
    return f"{message}. The end of {child.log}:\n{child.tail()}"


__all__ = ["Interrupted", "Service", "ServiceFailed", "running"]
