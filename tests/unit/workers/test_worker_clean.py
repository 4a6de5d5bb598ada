"""Work that runs out of memory, or diverges: a named error, memory freed, and a worker that goes on."""

import weakref

import faulty
import torch
from worker_trial import Trial

from storage.records import Status


def test_what_an_attempt_held_is_freed_before_its_end_is_written(trial: Trial) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def run_out(step: int) -> None:
        large = torch.zeros(1 << 20)
        held.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")

    requeue = trial.stores.jobs.requeue
    freed: list[bool] = []

    def watching(*arguments, **options):
        freed.append(all(ref() is None for ref in held))
        return requeue(*arguments, **options)

    trial.stores.jobs.requeue = watching
    trial.submit()
    requeued = trial.take(faulty.recipe(run_out))
    assert requeued is not None
    assert requeued.out_of_memory == 1
    assert freed == [True]


def test_losses_that_are_no_numbers_fail_the_job_at_once(trial: Trial) -> None:
    trial.submit()
    failed = trial.take(faulty.diverging())
    assert failed is not None
    assert (failed.status, failed.failures, failed.attempt) == (Status.FAILED, 1, 1)
    assert failed.error is not None
    assert failed.error["code"] == "non_finite"
    trial.submit()
    ended = trial.take(faulty.recipe())
    assert ended is not None
    assert ended.status is Status.SUCCEEDED


def test_a_device_that_failed_ends_the_process_once_the_row_says_so(trial: Trial) -> None:
    trial.submit()
    requeued = trial.take(faulty.raising(RuntimeError("CUDA error: device-side assert triggered")))
    assert requeued is not None
    assert (requeued.status, requeued.failures) == (Status.QUEUED, 1)
    assert trial.guard.ends == 1
    event = trial.stores.jobs.events("local", requeued.id)[-1]
    assert event.data["error"]["code"] == "device_failed"
