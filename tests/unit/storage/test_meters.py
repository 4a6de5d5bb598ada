"""What is counted: once committed, not before; and what is read of rows and of devices at a scrape."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from storage.database import Database, after_commit
from storage.errors import InvalidInput, StorageUnavailable
from storage.memory import memory_stores
from storage.meters import meters, observed
from storage.records import Count
from storage.scrape import Rows
from workers.device_meters import Devices, devices, tell_memory


def value(meter: Any, **labels: str) -> float:
    """Of a counter, summed over the labels that are not named."""
    samples = [sample for family in meter.collect() for sample in family.samples]
    return sum(
        each.value
        for each in samples
        if each.name.endswith("_total") and labels.items() <= each.labels.items()
    )


def test_what_waits_for_a_commit_is_called_after_it_and_never_after_a_rollback(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    called: list[str] = []

    def fail() -> None:
        with database.write() as connection:
            after_commit(connection, lambda: called.append("rolled back"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.write() as connection:
        after_commit(connection, lambda: called.append("committed"))
        assert called == []
    assert called == ["committed"]
    database.close()


def test_only_a_part_that_was_away_has_failed() -> None:
    before = value(meters().part_failures, part="objects", operation="get")
    for error, failures in ((InvalidInput("x"), 0), (StorageUnavailable("x"), 1), (OSError("x"), 2)):
        with pytest.raises(type(error)), observed("objects", "get"):
            raise error
        assert value(meters().part_failures, part="objects", operation="get") == before + failures


def test_few_and_known_series_say_zero_from_the_beginning() -> None:
    told = {sample.labels["count"] for family in meters().requeues.collect() for sample in family.samples}
    assert told == {count.value for count in Count}


def scraped(*collectors: Any) -> str:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry).decode()


def test_rows_are_read_at_most_every_few_seconds() -> None:
    stores = memory_stores()
    rows = Rows(stores)
    stores.jobs.add("local", "edit", {})
    one = 'editq_queue_jobs{kind="edit",queue="gpu",status="queued"} 1.0'
    assert one in scraped(rows)
    stores.jobs.add("local", "edit", {})
    assert one in scraped(rows)
    assert one.replace("1.0", "2.0") in scraped(Rows(stores))


def test_a_database_that_is_away_leaves_a_scrape_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    stores = memory_stores()

    def away() -> None:
        raise StorageUnavailable("x")

    monkeypatch.setattr(stores.jobs, "standing", away)
    told = scraped(Rows(stores))
    assert 'editq_part_up{part="database"} 0.0' in told
    assert 'editq_part_up{part="objects"} 1.0' in told
    assert "editq_queue" not in told


def test_only_a_few_tenants_are_told_of() -> None:
    stores = memory_stores()
    for number in range(30):
        stores.jobs.request_cancel(f"t{number}", stores.jobs.add(f"t{number}", "edit", {}).id)
    assert scraped(Rows(stores)).count("editq_tenant_gpu_seconds_today{") == 10


class OneGpu:
    """What pynvml says, in its words."""

    NVMLError = RuntimeError

    def __init__(self, *, away: bool = False) -> None:
        self._away = away

    def nvmlDeviceGetCount(self) -> int:
        if self._away:
            raise RuntimeError("driver gone")
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, _handle: int) -> SimpleNamespace:
        return SimpleNamespace(used=3 << 30, total=80 << 30, free=77 << 30)

    def nvmlDeviceGetUtilizationRates(self, _handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=50, memory=10)


def test_gpus_are_told_by_number() -> None:
    told = scraped(Devices(OneGpu()))
    assert 'editq_gpu_busy_ratio{gpu="0"} 0.5' in told
    assert 'editq_gpu_memory_used_bytes{gpu="0"} 3.221225472e+09' in told
    assert 'editq_gpu_memory_bytes{gpu="0"}' in told
    assert "editq_gpu_busy_ratio{" not in scraped(Devices(OneGpu(away=True)))


def test_without_a_gpu_there_is_nothing_to_tell() -> None:
    assert list(devices()) == []
    tell_memory()


def test_the_first_requests_of_a_process_may_come_together() -> None:
    code = """
import sys, threading
from storage.meters import meters
sys.setswitchinterval(1e-6)
together, found = threading.Barrier(16), []
def first():
    together.wait()
    found.append(meters())
threads = [threading.Thread(target=first) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(found) == 16 and len(set(map(id, found))) == 1, found
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_library_that_another_package_has_loaded_counts_where_all_processes_do() -> None:
    code = """
import glob, os, prometheus_client
from storage.meters import meters, share_metrics
from storage.settings import Settings
share_metrics(Settings(metrics_port=1))
meters().steps.labels("sample").inc()
assert glob.glob(os.environ["PROMETHEUS_MULTIPROC_DIR"] + "/counter_*.db")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
