"""A worker whose address space is limited: jobs that want more end with a named error, the next one runs."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
import faulty, numpy, torch
from storage.memory import memory_stores
from storage.settings import Settings
from worker_trial import Trial
from workers import retry

def hungry_matmul():
    return torch.ones(1 << 17, 1) @ torch.ones(1, 1 << 15)

def fed():
    trial.submit()
    assert trial.take(faulty.recipe()).status == "succeeded"

retry.FIRST_PAUSE_S = 0.0
trial = Trial(memory_stores(), Settings(data_dir=Path(sys.argv[1]), device="cpu"))
fed()  # with all that is loaded when first needed
used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20), resource.RLIM_INFINITY))
needs = (lambda: bytearray(4 << 30), lambda: numpy.ones(1 << 29), lambda: torch.ones(1 << 30), hungry_matmul)
for hungry in needs:
    poor = faulty.stepping(hungry)
    trial.submit()
    first = trial.take(poor)
    assert (first.status, first.out_of_memory, first.failures) == ("queued", 1, 0), first
    second = trial.take(poor)
    assert (second.status, second.error["code"]) == ("failed", "out_of_memory"), second
    fed()
print("fed")
"""


def test_a_limit_of_memory_ends_the_job_and_not_the_worker(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "unit" / "workers")])
    ended = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert (ended.returncode, ended.stdout) == (0, "fed\n"), ended.stderr
