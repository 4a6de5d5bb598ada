"""A worker whose broker goes away: its job ends rightly, and it takes work again afterwards."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import servers
from worker_plant import Plant, begun_inversion, gpu, upload_noise

from storage.records import Status

pytestmark = pytest.mark.slow


class Broker:
    """A server that can be killed, frozen, and started again on its port, with nothing kept."""

    def __init__(self, folder: Path) -> None:
        self.port = servers.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(folder)]
        self._command = [servers.valkey_binary(), *options]

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    time.sleep(0.05)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def broker(tmp_path: Path, valkey_url: str) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.process.send_signal(signal.SIGCONT)
    broker.kill()


@pytest.fixture
def plant(tmp_path: Path, broker: Broker) -> Iterator[Plant]:
    with Plant.working(tmp_path, broker.url) as plant:
        yield plant


def test_a_broker_killed_in_mid_job_and_started_again(plant: Plant, broker: Broker) -> None:
    job = begun_inversion(plant, upload_noise(plant), steps=150)
    broker.kill()
    ended = plant.ended(job)  # in the dark
    assert (ended.status, ended.attempt, ended.lost) == (Status.SUCCEEDED, 1, 0)
    unheard = plant.submit("sample")
    broker.start()
    assert plant.ended(unheard).status is Status.SUCCEEDED
    rung = plant.submit("sample")
    assert plant.ended(rung).status is Status.SUCCEEDED
    assert gpu(plant).process.poll() is None


def test_a_broker_frozen_for_a_while(plant: Plant, broker: Broker) -> None:
    job = begun_inversion(plant, upload_noise(plant), steps=150)
    broker.process.send_signal(signal.SIGSTOP)
    plant.stores.jobs.request_cancel("local", job.id)
    began = time.monotonic()
    assert plant.ended(job).status is Status.CANCELED  # by the renewal
    assert time.monotonic() - began < plant.settings.lease_s
    time.sleep(3)
    broker.process.send_signal(signal.SIGCONT)
    later = plant.submit("sample")
    assert plant.ended(later).status is Status.SUCCEEDED
