"""A Trial behind the API on a real port, with a worker that takes what is rung for."""

import threading
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
    ending: bool = False

    def work(self) -> None:
        while not self.ending:
            if self.open.wait(0.05):
                work_off(self.trial)
                self.open.wait(0.02)


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
