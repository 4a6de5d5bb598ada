"""A Trial behind the API on a real port, with a worker that takes what is rung for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from batch_trial import work_off
from flask import Flask
from werkzeug.serving import make_server
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
    server = make_server("127.0.0.1", 0, service.app, threaded=True)
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}),
        threading.Thread(target=service.work),
    ]
    for thread in threads:
        thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    service.open.set()
    try:
        yield service
    finally:
        service.ending = True
        server.shutdown()
        for thread in threads:
            thread.join()
        server.server_close()
