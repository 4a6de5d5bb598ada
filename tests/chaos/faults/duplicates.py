"""One message, delivered many times at once."""

from random import Random

from celery import Celery

from chaos.checks import Fault, Told, equal
from chaos.parts import DEPLOYED, EMBEDDED
from chaos.world import World
from workers.queue import TASK


def duplicates(world: World, rng: Random) -> Told:
    """The message of one job is delivered five times at once, to two workers."""
    message = _message(world)
    world.stores.jobs.pause("gpu", True)
    job = world.submit(steps=12, lr=rng.randint(1, 1000) / 1000)
    world.stores.jobs.pause("gpu", False)
    with world.broker.client.pipeline() as pipeline:
        for _ in range(5):
            pipeline.lpush("gpu", message)
        pipeline.execute()
    yield from world.judge.one_end(job)
    yield from world.in_one_attempt(job)
    yield equal("steps taken twice", world.judge.repeated(job), 0)


def _message(world: World) -> bytes:
    """As the doorbell sends it, but to a queue where nobody takes it away."""
    with Celery(broker=world.broker.url, set_as_current=False) as app:
        app.send_task(TASK, args=("gpu", "duplicate"), queue="spare")
    raw = world.broker.client.lpop("spare")
    assert isinstance(raw, bytes)
    return raw


DUPLICATES = Fault(
    name="duplicates",
    story="one message delivered five times at once",
    promise="one holder",
    run=duplicates,
    bar=50,
    short=2,
    quick=True,
    stacks=(EMBEDDED, DEPLOYED),
)
