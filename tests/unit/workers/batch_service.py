"""A Trial behind the API on a real port, with a worker that takes what is rung for."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from batch_trial import work_off
from flask import Flask
from on_a_port import on_a_port
from worker_trial import Trial

from api.app import create_app


@dataclass
class BatchService:
    """`open`: whether the worker takes anything."""

    trial: Trial
    app: Flask
    url: str = ""
    open: threading.Event = field(default_factory=threading.Event)
    turn: threading.Lock = field(default_factory=threading.Lock)
    ending: bool = False

    def close(self) -> None:
        """What is submitted from now on waits until `open` is set."""
        with self.turn:
            self.open.clear()

    def work(self) -> None:
        while not self.ending:
            with self.turn:
                if self.open.is_set():
                    work_off(self.trial)
            time.sleep(0.02)


@contextmanager
def serving(trial: Trial) -> Iterator[BatchService]:
    service = BatchService(trial, create_app(trial.settings, trial.stores, lambda queue, job_id: None))
    worker = threading.Thread(target=service.work)
    worker.start()
    try:
        with on_a_port(service.app) as service.url:
            service.open.set()
            yield service
    finally:
        service.ending = True
        worker.join()
