"""The API on a real port, and a worker that runs each job as it is rung for."""

import contextlib
import queue
import threading
from collections.abc import Iterator

from on_a_port import on_a_port
from worker_trial import Trial

from api.app import create_app
from workers.bench import recipe_for
from workers.queue import Hint


@contextlib.contextmanager
def serving(plant: Trial) -> Iterator[str]:
    """Its address."""
    rung: queue.Queue[str | None] = queue.Queue()
    app = create_app(plant.settings, plant.stores, lambda _queue, hint: rung.put(Hint.read(hint).about))

    def work() -> None:
        while (job_id := rung.get()) is not None:
            plant.take(recipe_for(plant.stores.jobs.get("local", job_id).kind), lease_s=60)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with on_a_port(app) as address:
            yield address
    finally:
        rung.put(None)
        worker.join()
