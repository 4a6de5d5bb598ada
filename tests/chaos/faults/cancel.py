"""A cancel that comes at the moment of completion."""

import threading
from random import Random

from chaos.checks import Check, Fault, Figure, Told
from chaos.parts import DEPLOYED, EMBEDDED
from chaos.recipes import STEP_S
from chaos.world import World, pause


def cancel(world: World, rng: Random) -> Told:
    """A cancel is sent at the end of a job of a few steps: sooner where the last one came too late."""
    steps = 3
    moment_s, stride_s = world.known.get("moment", (2 * steps * STEP_S, 0.08))
    job = world.submit(steps=steps, lr=rng.randint(1, 1000) / 1000)
    statuses: list[int] = []

    def send() -> None:
        statuses.append(world.api.http.post(f"/v1/jobs/{job.id}/cancel").status_code)

    pause(rng, max(0.0, moment_s - 0.04), moment_s + 0.04)
    threads = [threading.Thread(target=send) for _ in range(rng.choice([1, 2]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield from world.judge.one_end(job, "succeeded", "canceled")
    status = world.judge.row(job)["status"]
    yield Check("the answers fit", set(statuses) <= {200, 202, 409}, str(statuses))
    if status == "canceled":
        yield Check("who was told 409 was told the truth", statuses.count(409) < len(statuses), str(statuses))
    canceled = status == "canceled"
    world.known["moment"] = (
        max(0.0, moment_s + (stride_s if canceled else -stride_s)),
        max(0.02, stride_s / 2),
    )
    yield Figure("canceled", float(canceled))


CANCEL = Fault(
    name="cancel",
    story="cancel racing completion",
    promise="one end state, one webhook id",
    run=cancel,
    bar=500,
    short=10,
    quick=True,
    stacks=(EMBEDDED, DEPLOYED),
)
