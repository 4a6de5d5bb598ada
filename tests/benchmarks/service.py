"""What a caller waits for, through the whole embedded service: an edit and `apply`.

    PYTHONPATH=.:tests python -m benchmarks --only service [--short]

The service is started as `editq up` starts it, in an empty folder, with nothing but its defaults.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from servers import free_port

import gpu_ops
from benchmarks.measuring import Figure, of_runs, percentile
from editq.client import Client
from editq.folder import DataFolder
from gpu_ops.apply import Plan, apply
from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.picture import to_uint8
from gpu_ops.refine import look
from gpu_ops.sample import seeded_code
from storage.pictures import encode_png
from storage.specs import JOB_SPEC
from workers.aside import aside

UP = (sys.executable, "-m", "editq.cli", "up")
CARS = Path(gpu_ops.__path__[0]) / "pretrained" / "cars"
START_S = 180.0


@contextmanager
def service() -> Iterator[Client]:
    with tempfile.TemporaryDirectory(prefix="editq-bench-") as folder:
        env = {name: value for name, value in os.environ.items() if not name.startswith("EDITQ_")}
        env |= {"EDITQ_DATA_DIR": f"{folder}/data", "EDITQ_PORT": str(free_port())}
        process = subprocess.Popen(
            UP, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        try:
            with Client(_address(DataFolder(Path(folder) / "data"), process)) as client:
                yield client
        finally:
            process.terminate()
            process.wait(60)


def _address(folder: DataFolder, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while True:
        address = folder.read().get("address")
        if isinstance(address, str):
            return address
        assert process.poll() is None, "the service did not start"
        assert time.monotonic() < deadline, "the service did not start in time"
        time.sleep(0.1)


def done(client: Client, **fields: Any) -> dict[str, Any]:
    """A job, submitted and waited for."""
    job = client.wait(client.submit(JOB_SPEC.validate_python(fields))["id"])
    assert job["status"] == "succeeded", job
    return job


def edits(client: Client, runs: int) -> Figure:
    """An edit of 100 steps of a sample of the bundled model, from submit to the picture's bytes."""
    times = []
    for seed in range(runs + 1):
        sample = done(client, kind="sample", model="cars", count=1, seed=100 + seed)["id"]
        began = time.perf_counter()
        job = done(
            client,
            kind="edit",
            model="cars",
            inversion=sample,
            mask_operations=[{"op": "scale", "part": "wheel", "factor": 1.4}],
            steps=100,
        )
        decoded(client.output(job["id"], "edited.png"))
        times.append(time.perf_counter() - began)
    return of_runs("edit of 100 steps, bundled model, whole service", times[1:], "s")


def applies(client: Client, count: int) -> list[Figure]:
    """Distinct requests: submit, wait, fetch and decode, each over three things in this process, on the same
    model: a forward pass to a PNG; gpu_ops' own `apply`, which looks at the picture before as well, and tells
    the two apart; and that with the picture before drawn beside it on another core, which is what the job
    does. The p95 of the one over the p95 of the other; pair by pair, the spread of both counts."""
    vector = next(v for v in client.list_vectors() if v["name"] == "larger wheels")
    torch.set_num_threads(1)
    bundle = load_bundle(CARS)
    through: list[float] = []
    others: dict[str, tuple[Callable[[int], bytes], list[float]]] = {
        "a forward pass to a PNG": (partial(bare_apply, bundle), []),
        "gpu_ops.apply to a PNG": (partial(operation, bundle), []),
        "gpu_ops.apply on two cores to a PNG": (partial(operation, bundle, core_free=True), []),
    }
    for seed in range(-2, count):
        began = time.perf_counter()
        use = {"vector": vector["id"], "strength": 1 + seed * 1e-4}
        job = done(client, kind="apply", model="cars", seed=seed + 1000, vectors=[use])
        name = next(each for each in job["outputs"] if each.startswith("picture_"))
        decoded(client.output(job["id"], name))
        through.append(time.perf_counter() - began)
        for call, times in others.values():
            began = time.perf_counter()
            decoded(call(seed + 1000))
            times.append(time.perf_counter() - began)
    through = through[2:]
    figures = [of_runs("apply, whole service", through, "s")]
    for name, (_, times) in others.items():
        del times[:2]
        figures.append(of_runs(f"apply, {name}", times, "s"))
        more = [(a - b) * 1000 for a, b in zip(through, times, strict=True)]
        figures += [
            of_runs(f"apply, whole service over {name}, median", more, "ms"),
            Figure(f"apply, whole service over {name}, p95", p95_ms(through) - p95_ms(times), "ms"),
            Figure(f"apply, whole service over {name}, pair by pair, p95", percentile(more, 0.95), "ms"),
        ]
    return figures


def p95_ms(times: list[float]) -> float:
    return percentile(times, 0.95) * 1000


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def bare_apply(bundle: Bundle, seed: int) -> bytes:
    """Forward, and PNG bytes: a code and a vector of the same size."""
    w_plus = seeded_code(bundle, seed, 0.7)
    with torch.no_grad():
        drawn, _ = bundle.draw(w_plus + 0.1 * w_plus.roll(1, dims=1))
    return encode_png(to_uint8(drawn)[0])


def operation(bundle: Bundle, seed: int, *, core_free: bool = False) -> bytes:
    """What an `apply` job does between its inputs and its outputs, and the one picture's PNG bytes."""
    w_plus = seeded_code(bundle, seed, 0.7)
    before = aside(lambda: look(bundle, w_plus), free=core_free)
    steps = apply(bundle, w_plus, (0.1 * w_plus.roll(1, dims=1))[0], (), Plan(), before=before)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return encode_png(end.value.picture)


def measured(*, short: bool) -> Iterator[Figure]:
    with service() as client:
        yield edits(client, 1 if short else 5)
        yield from applies(client, 10 if short else 500)
