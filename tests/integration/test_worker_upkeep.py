"""A real housekeeping worker: its webhooks, deadlines and garbage collector are at work, and it ends."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from webhook_receiver import LOOPBACK, SECRET, receiving, says
from worker_plant import Plant

from editq.webhooks import verify
from storage.migrate import migrate
from storage.objects import image_key
from storage.records import Status
from storage.specs import JobOptions, Webhook

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def plant(tmp_path: Path, valkey_url: str) -> Iterator[Plant]:
    members = {
        "webhook_secret": SECRET,
        "webhook_networks": ",".join(LOOPBACK),
        "garbage_every_s": 0.5,
        "garbage_grace_s": 1.0,
    }
    plant = Plant(tmp_path, valkey_url, members)
    migrate(plant.settings.database_url)
    yield plant
    plant.stop()


@pytest.mark.slow
def test_one_worker_does_all_the_upkeep(plant: Plant) -> None:
    worker = plant.start("cpu")
    jobs, objects = plant.stores.jobs, plant.stores.objects
    orphan = objects.put(image_key("local", "b" * 64), b"nobody's", "image/png")
    with receiving(says(500), says(204)) as receiver:
        options = JobOptions(finish_within_s=0.5, webhook=Webhook(url=receiver.url))
        job = jobs.add("local", "sample", {}, options=options)
        plant.until(lambda: len(receiver.calls) == 2, "the second call")
        events = [verify(SECRET, call.headers, call.body) for call in receiver.calls]
    assert plant.get(job).status is Status.FAILED
    assert [event["data"]["error"]["code"] for event in events] == ["deadline_passed"] * 2
    assert set(receiver.ids.values()) == {2}
    plant.until(lambda: not objects.exists(orphan.key), "the end of the orphan")
    plant.until(lambda: plant.stores.outbox.list("local", job.id)[0].status == "delivered", "its row")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(60) == 0, worker.output()[-3000:]
