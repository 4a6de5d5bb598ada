"""One World: real servers, workers, housekeeping, an API and a webhook receiver, to be ill-treated together.

    with World(DEPLOYED, through={"database"}) as world:
        job = world.submit()
        world.wires["database", "gpu"].cut()
        checks = list(world.judge.one_end(job))

Everything listens on loopback and is stopped at the end, by the leash where this process was killed itself.
"""

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from chaos.bucket import BucketProxy
from chaos.calls import PLAN, Plan
from chaos.checks import Told, at_most, equal
from chaos.judge import BucketListing, FolderListing, Judge, Submitted
from chaos.leash import Leash, sweep
from chaos.parts import (
    CELERY,
    ROOT,
    Api,
    Broker,
    Stack,
    Worker,
    database,
    object_server,
    remove,
    start,
    until,
)
from chaos.receiver import SECRET, Receiver
from chaos.stock import filled_stores, uploaded_picture
from chaos.wire import Wire
from storage.settings import Settings

LEASE_S, HOUSEKEEPING_S, CHECKPOINT_S = 2.0, 0.3, 0.25
STEPS = 24
SETTINGS: dict[str, object] = {
    "lease_s": LEASE_S,
    "housekeeping_s": HOUSEKEEPING_S,
    "checkpoint_s": CHECKPOINT_S,
    "presence_s": 1.0,
    "device": "cpu",
    "threads": 1,
    "webhook_secret": SECRET,
    "webhook_networks": "127.0.0.0/8",
}


class World:
    """`through`: which of broker, database and objects the workers reach by way of a proxy (the API and the
    judge never do). `long`: the long form of a fault. `turn`: the number of the run, from 0."""

    def __init__(
        self,
        stack: Stack,
        *,
        gpu: int = 2,
        cpu: int = 1,
        through: Iterable[str] = (),
        settings: Mapping[str, object] | None = None,
        host: str = "127.0.0.1",
        prepare: Callable[["World"], None] | None = None,
        long: bool = False,
    ) -> None:
        self.stack, self.long, self.turn = stack, long, 0
        self.host = host
        self._counts = {"gpu": gpu, "cpu": cpu}
        self._through = frozenset(through)
        self._settings = SETTINGS | dict(settings or {})
        self._prepare = prepare
        self.workers: list[Worker] = []
        self.wires: dict[tuple[str, str], Wire] = {}  # by part and queue
        self.bucket: BucketProxy | None = None
        self.known: dict[str, Any] = {}  # what a fault has found out about this World

    def __enter__(self) -> "World":
        self.ending = contextlib.ExitStack()
        try:
            self._begin()
        except BaseException:
            self.ending.close()
            raise
        return self

    @property
    def slack_s(self) -> float:
        """What a bar in seconds leaves the machine for waking processes; the short form runs on busy ones."""
        return 1.5 if self.long else 15.0

    def __exit__(self, *_: object) -> None:
        self.ending.close()

    def _begin(self) -> None:
        keep = self.ending.enter_context
        self.leash = Leash()
        self.ending.callback(self.leash.let_go)
        self.folder = Path(tempfile.mkdtemp(prefix="editq-chaos-"))
        self.ending.callback(remove, self.folder)
        self.leash.hold("folder", str(self.folder))
        (self.folder / "steps").mkdir()
        self.data = self.folder / "data"
        self.data.mkdir()
        if self._prepare:
            self._prepare(self)
        self.broker = Broker(self.stack.broker, self.folder / "broker")
        self.leash.hold("process", self.broker.start())
        self.ending.callback(self.broker.close)
        self.database_url = keep(database(self.stack.database, self.data))
        self.server = keep(object_server(self.stack.objects, self.folder / "bucket"))
        self._hold_children()
        self.receiver = Receiver()
        self.ending.callback(self.receiver.close)
        self._direct = self._addresses()
        self.settings = self._parsed()
        self.stores = filled_stores(self.settings)
        self.judge = Judge(self.database_url, self._listing(), self.receiver, self.folder)
        self.ending.callback(self.judge.close)
        self._open_wires()
        self.ending.callback(self._stop_processes)
        self.api = Api(self.folder, self._environ(self._direct))
        self.ending.callback(self.api.close)
        self.mend()
        self.picture = uploaded_picture(self.api)

    # --- what runs

    def start(self, queue: str, *, within: tuple[str, ...] = (), **environ: str) -> Worker:
        """A worker; `environ` is for this one alone, `within` a command that its own is given to."""
        number = len(self.workers)
        log = self.folder / f"{queue}-{number}.log"
        node = ("-Q", queue, "--hostname", f"{queue}-{number}@%h", "--without-mingle", "--without-gossip")
        wired = self._environ(self._direct | self._wired[queue]) | environ
        worker = Worker(queue, start((*within, *CELERY, *node), log, wired), log, environ)
        self.workers.append(worker)
        return worker

    def mend(self, *, ready: bool = True) -> None:
        """As many workers as there should be: new ones for those that are gone, as a supervisor would."""
        for queue, count in self._counts.items():
            for _ in range(count - len(self.of(queue))):
                self.start(queue)
        if ready:
            until(lambda: all(worker.ready for worker in self.of("gpu") + self.of("cpu")), "workers")
        if not self.api.answers():
            until(self.api.answers, "an answer of the API")

    def of(self, queue: str) -> list[Worker]:
        """The live workers of a queue."""
        return [worker for worker in self.workers if worker.queue == queue and worker.alive]

    def holder(self, job: Submitted) -> Worker | None:
        """The worker that runs a job now."""
        row = self.judge.row(job)
        return self.attempted_by(job, row["attempt"]) if row["status"] == "running" else None

    def attempted_by(self, job: Submitted, attempt: int) -> Worker | None:
        """The worker of an attempt, where it still lives."""
        starts = [e["data"] for e in self.judge.events(job) if e["type"] == "running"]
        names = [start["worker"] for start in starts if start["attempt"] == attempt]
        return next((w for w in self.of("gpu") if names and f":{w.pid}:" in names[0]), None)

    def calm(self) -> None:
        """Between two runs: no proxy does anything, no plan waits, every worker lives."""
        for wire in self.wires.values():
            wire.calm()
        if self.bucket:
            self.bucket.calm()
        (self.folder / PLAN).unlink(missing_ok=True)
        self.broker.thaw()
        self.mend()

    # --- what is asked for

    def submit(self, model: str = "descent", **asked: Any) -> Submitted:
        """By HTTP, as any caller does (see request). Raises AssertionError when the answer is not 202."""
        body, job = self.request(model, **asked)
        answer = self.api.http.post("/v1/jobs", json=body)
        assert answer.status_code == 202, answer.text
        return Submitted(answer.json()["id"], *job)

    def request(
        self,
        model: str = "descent",
        *,
        steps: int = STEPS,
        webhook: bool = True,
        lr: float = 0.05,
        **options: Any,
    ) -> tuple[dict[str, Any], tuple[str, int, float, bool]]:
        """The body of a submit, and what it asks for."""
        if webhook:
            options["webhook"] = {"url": self.receiver.url}
        body: dict[str, Any] = {"kind": "sample", "model": model, "count": steps, "options": options}
        if model == "descent":
            body = {"kind": "invert", "model": model, "image": self.picture, "steps": steps, "lr": lr}
            body["options"] = options
        return body, (model, steps, lr, webhook)

    def lost_at_most(self, job: Submitted, times: int) -> Told:
        """How often its workers lost it. The short form forgives a busy machine, where leases of 2 s run out
        although nothing is wrong."""
        if self.long:
            yield at_most("times lost", self.judge.row(job)["lost"], times)

    def in_one_attempt(self, job: Submitted) -> Told:
        """It was neither lost nor retried; with the same exception."""
        row = self.judge.row(job)
        forgiven = 0 if self.long else row["lost"] + row["outages"]
        yield equal("attempts", row["attempt"] - forgiven, 1)

    def plan(self, **members: Any) -> Plan:
        """Let a signal fall at a call of the next job (see chaos/calls.py)."""
        plan = Plan(secrets.token_hex(4), **members)
        plan.write(self.folder)
        return plan

    def calls(self, plan: Plan) -> list[str]:
        """The calls that were counted under a plan."""
        return (self.folder / f"{plan.name}.calls").read_text().splitlines()

    def struck_at(self, plan: Plan) -> float | None:
        """When the signal of a plan fell, if it did."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / f"{plan.name}.struck").stat().st_ctime
        return None

    def logs(self) -> str:
        """The end of every log, for whoever looks into a violation."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-6000:]}" for file in files)

    # --- how it is put together

    def _addresses(self) -> dict[str, str]:
        addresses = {"database_url": self.database_url, "redis_url": self.broker.url}
        if self.server:
            server, bucket = self.server
            addresses |= {
                "s3_endpoint": server.endpoint,
                "s3_bucket": bucket,
                "s3_access_key": server.access_key,
                "s3_secret_key": server.secret_key,
                "s3_path_style": "true",
            }
        return addresses

    def _open_wires(self) -> None:
        """Proxies where they are asked for, one for each queue; `_wired` is how their workers reach them."""
        self._wired: dict[str, dict[str, str]] = {}
        if "objects" in self._through:
            assert self.server
            self.bucket = BucketProxy(self.server[0].endpoint, host=self.host)
            self.ending.callback(self.bucket.close)
        for queue in self._counts:
            wired = self._wired[queue] = {"s3_endpoint": self.bucket.endpoint} if self.bucket else {}
            for part, setting in (("broker", "redis_url"), ("database", "database_url")):
                url = self._direct[setting]
                port = urlsplit(url).port  # SQLite has none
                if part in self._through and port is not None:
                    wire = self.wires[part, queue] = Wire(port, host=self.host)
                    self.ending.callback(wire.close)
                    wired[setting] = url.replace(f"127.0.0.1:{port}", f"{self.host}:{wire.port}")

    def _environ(self, addresses: Mapping[str, str]) -> dict[str, str]:
        members = self._settings | {"data_dir": self.data} | dict(addresses)
        environ = {f"EDITQ_{name.upper()}": str(value) for name, value in members.items()}
        paths = (ROOT / "tests/chaos/site", ROOT / "tests", ROOT)
        return environ | {
            "CHAOS_DIR": str(self.folder),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def _listing(self) -> FolderListing | BucketListing:
        if self.server is None:
            return FolderListing(self.data / "objects")
        return BucketListing(*self.server)

    def _parsed(self) -> Settings:
        members = self._settings | {"data_dir": self.data} | self._direct
        networks = str(members.pop("webhook_networks"))
        return Settings(**members, webhook_networks=networks)  # type: ignore[arg-type]

    def _hold_children(self) -> None:
        """The servers that others have started for us."""
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):
                for pid in (task / "children").read_text().split():
                    self.leash.hold("process", int(pid))

    def _stop_processes(self) -> None:
        sweep(str(self.folder))
        for worker in self.workers:
            worker.process.wait()


def pause(rng: Random, low_s: float, high_s: float) -> float:
    """Wait for a time that the seed chooses: the moment is the fault. Returns it."""
    chosen = rng.uniform(low_s, high_s)
    time.sleep(chosen)
    return chosen
