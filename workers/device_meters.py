"""What is known of the GPUs: what this process holds, by torch; how busy and full each one is, by NVML.

Both are optional: without a GPU, or without nvidia-ml-py, there is nothing to tell.
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from storage.meters import meters

log = logging.getLogger(__name__)


def tell_memory() -> None:
    """From the pool child, now and then."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return
    for device in range(torch.cuda.device_count()):
        told = meters().gpu_allocated
        told.labels(str(device), "allocated").set(torch.cuda.memory_allocated(device))
        told.labels(str(device), "reserved").set(torch.cuda.memory_reserved(device))


class Devices(Collector):
    """Read at each scrape, in the parent. `nvml` is the module pynvml, initialised."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        busy = GaugeMetricFamily("editq_gpu_busy_ratio", "How much of the time it worked.", labels=("gpu",))
        used = GaugeMetricFamily("editq_gpu_memory_used_bytes", "In use, by everybody.", labels=("gpu",))
        size = GaugeMetricFamily("editq_gpu_memory_bytes", "What there is.", labels=("gpu",))
        nvml = self._nvml
        try:
            for index in range(nvml.nvmlDeviceGetCount()):
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                memory = nvml.nvmlDeviceGetMemoryInfo(handle)
                name = (str(index),)
                busy.add_metric(name, nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
                used.add_metric(name, memory.used)
                size.add_metric(name, memory.total)
        except nvml.NVMLError as error:
            log.warning("the GPUs do not say how they are: %s", error)
        yield from (busy, used, size)


def devices() -> Iterator[Collector]:
    """One collector where there are GPUs to ask."""
    try:
        import pynvml
    except ImportError:
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return
    yield Devices(pynvml)
