"""A worker that was drained takes no more messages: rings must go to workers that may answer them."""

import logging
import threading
from typing import Any

from storage.errors import Unavailable
from storage.settings import Settings
from storage.stores import Jobs

log = logging.getLogger(__name__)


class Intake:
    """Opens and shuts a queue for this worker, as the database says. `consumer` is Celery's."""

    def __init__(self, consumer: Any, queue: str, worker: str, jobs: Jobs, settings: Settings) -> None:
        self._consumer, self._queue, self._worker, self._jobs = consumer, queue, worker, jobs
        self._every_s = settings.presence_s

    def run(self, ended: threading.Event) -> None:
        while not ended.wait(self._every_s):
            try:
                self.heed()
            except Unavailable as error:
                log.warning("whether %s is drained is not known: %s", self._worker, error)

    def heed(self) -> None:
        drained = self._worker in self._jobs.draining()
        shut = self._queue not in self._consumer.app.amqp.queues.consume_from
        if drained == shut:
            return
        log.info("%s takes %s messages of %s", self._worker, "no more" if drained else "again", self._queue)
        change = self._consumer.cancel_task_queue if drained else self._consumer.add_task_queue
        self._consumer.call_soon(change, self._queue)  # in the consumer's own thread
