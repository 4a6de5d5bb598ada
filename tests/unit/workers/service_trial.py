"""The API on a real port, and a worker that runs each job as it is rung for."""

import contextlib
import queue
import threading
from collections.abc import Iterator

from werkzeug.serving import make_server
from worker_trial import Trial

from api.app import create_app
from workers.bench import recipe_for


@contextlib.contextmanager
def serving(plant: Trial) -> Iterator[str]:
    """Its address."""
    rung: queue.Queue[str | None] = queue.Queue()
    app = create_app(plant.settings, plant.stores, lambda _queue, job_id: rung.put(job_id))
    server = make_server("127.0.0.1", 0, app, threaded=True)

    def work() -> None:
        while (job_id := rung.get()) is not None:
            plant.take(recipe_for(plant.stores.jobs.get("local", job_id).kind), lease_s=60)

    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)), threading.Thread(target=work)]
    for thread in threads:
        thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        rung.put(None)
        server.shutdown()
        for thread in threads:
            thread.join()
        server.server_close()
