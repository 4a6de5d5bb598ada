"""Celery, configured; nothing else. Workers are started with

    celery -A workers.celery_app worker -Q gpu --hostname gpu@%h      one per GPU
    celery -A workers.celery_app worker -Q cpu --hostname cpu@%h      housekeeping, any number

(the name of a node begins with its queue: a GPU worker's child then loads torch before its first job does).
A message only says that a queue has work (workers/queue.py), so losing one or getting it twice does no harm.
That is why a message whose worker was killed is not put back: its row comes back, when the parent sees its
child dead or the lease has passed, with a ring of its own, where a redelivery would loop at full speed.
"""

from celery import Celery

from storage.meters import share_metrics
from storage.records import GPU_QUEUE
from storage.settings import Settings
from workers.queue import LONG_S

settings = Settings()
share_metrics(settings)

app = Celery("editq", include=["workers.tasks", "workers.lifecycle"])
app.conf.update(
    broker_url=settings.redis_url,
    broker_connection_retry=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_connection_timeout=5,
    broker_transport_options={
        "visibility_timeout": LONG_S,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "retry_on_timeout": True,
    },
    result_backend=None,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_default_queue=GPU_QUEUE,
    task_acks_late=True,
    task_acks_on_failure_or_timeout=True,
    task_reject_on_worker_lost=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_prefetch_multiplier=1,
    worker_concurrency=1,
    worker_pool="prefork",
    worker_pool_start_method="spawn",  # CUDA does not survive a fork
    worker_proc_alive_timeout=60,  # a spawned child imports for seconds on a busy machine
    worker_send_task_events=False,
)
