"""Inside a worker's pool child: its calls to the outside are counted, and a signal can fall at one of them.

A World arms it by writing plan.json (see Plan) into CHAOS_DIR; the child that reaches the call takes the plan
away first, so that it strikes once. Only the job's own thread is counted: then the order of calls is the same
in every run, whatever the heartbeat does.
"""

import contextlib
import dataclasses
import json
import os
import signal
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import storage.stores

PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """`at`: before the n-th call since the plan was there (0: only count), or before a call of this name.

    `to`: child, parent, group, or both. The call goes on `hold_s` after the signal; with a `late_s`, the
    signal comes that much after the call has begun instead.
    """

    name: str
    at: int | str
    number: int = signal.SIGKILL
    to: str = "child"
    hold_s: float = 0.0
    late_s: float | None = None

    def write(self, folder: Path) -> None:
        unfinished = folder / f"{PLAN}.unfinished"
        unfinished.write_text(json.dumps(asdict(self)))
        unfinished.replace(folder / PLAN)

    def strike(self) -> None:
        targets = {
            "child": [os.getpid()],
            "parent": [os.getppid()],
            "both": [os.getppid(), os.getpid()],
            "group": [-os.getpgrp()],
        }
        for pid in targets[self.to]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, self.number) if pid > 0 else os.killpg(-pid, self.number)


class Calls:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plan_name = ""
        self._count = 0

    def reach(self, call: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        plan = self._plan()
        if plan is None:
            return
        if plan.name != self._plan_name:
            self._plan_name, self._count = plan.name, 0
        self._count += 1
        with (self._folder / f"{plan.name}.calls").open("a") as log:
            log.write(f"{call}\n")
        if plan.at in (self._count, call) and self._taken():
            if plan.late_s is not None:
                threading.Timer(plan.late_s, plan.strike).start()
                return
            plan.strike()
            time.sleep(plan.hold_s)

    def _plan(self) -> Plan | None:
        try:
            return Plan(**json.loads((self._folder / PLAN).read_text()))
        except FileNotFoundError:
            return None

    def _taken(self) -> bool:
        """Whether this process is the one to carry the plan out."""
        try:
            (self._folder / PLAN).rename(self._folder / f"{self._plan_name}.struck")
        except FileNotFoundError:
            return False
        return True


class Counted:
    """A store whose calls are reached before they are made."""

    def __init__(self, name: str, store: Any, calls: Calls) -> None:
        self._name, self._store, self._calls = name, store, calls

    def __getattr__(self, member: str) -> Any:
        found = getattr(self._store, member)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._calls.reach(f"{self._name}.{member}")
            return found(*arguments, **named)

        return call


def install() -> None:
    opened, calls = storage.stores.open_stores, Calls(Path(os.environ["CHAOS_DIR"]))

    def open_stores(settings: Any) -> Any:
        stores = opened(settings)
        names = [field.name for field in dataclasses.fields(stores)]
        counted = {name: Counted(name, getattr(stores, name), calls) for name in names}
        return dataclasses.replace(stores, **counted)

    storage.stores.open_stores = open_stores
