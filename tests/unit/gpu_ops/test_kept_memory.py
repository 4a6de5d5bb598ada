"""What tensors free is there for the next ones, and goes back to the system when it is asked to."""

import subprocess
import sys

import pytest

PAGES_OF_TENSOR = 4096

# Two tensors of 16 MB made and freed again and again: pages that the system gave, per tensor; then resident
# megabytes, before and after it is given back.
ALLOCATING = """
import resource, torch
from gpu_ops.memory import give_back, keep_freed
keep_freed()
make = lambda: torch.ones(PAGES * 1024)
resident = lambda: int(open("/proc/self/statm").read().split()[1]) // 256
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
several = [make() for _ in range(8)]
above = bytearray(1000)
del several
before = faults()
for _ in range(20):
    make()
print((faults() - before) / 20)
held = resident()
give_back()
print(held - resident())
""".replace("PAGES", str(PAGES_OF_TENSOR))


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_used_again_and_given_back_when_asked() -> None:
    told = subprocess.run(
        [sys.executable, "-c", ALLOCATING], capture_output=True, text=True, check=True, timeout=120
    )
    per_tensor, given_back = told.stdout.split()
    assert float(per_tensor) < PAGES_OF_TENSOR / 4  # the first ones may still find a new place
    assert float(given_back) > 64  # of 128 MB
