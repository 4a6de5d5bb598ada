"""What batches cost: the figures of docs/measurements.md, one command each.

    PYTHONPATH=.:tests:tests/benchmarks python tests/benchmarks/bulk.py invert [ITEMS ROUNDS]
    ... bulk.py apply [ITEMS ROUNDS] bulk over the bare operation, the other too
    ... bulk.py workers [ITEMS]      two one-thread workers over one
    ... bulk.py manifest [LINES]     a manifest of so many keys: answered, validated, memory
    ... bulk.py noop [ITEMS]         what an item costs by itself, Redis, the database
    ... bulk.py kill [ITEMS]         kill -9 five times during a batch

Everything lies in a temporary folder; servers are this machine's, on loopback.
"""

import contextlib
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
import servers
from bulk_worker import bench_of, work_off
from laps import Laps, tell

import gpu_ops
from editq import Client
from gpu_ops.many.applying import ApplyTask, Drawing
from gpu_ops.many.events import Finished
from gpu_ops.many.inverting import Inverting
from gpu_ops.many.loop import many
from gpu_ops.scenes.dataset import render_many
from gpu_ops.vectors import Use, combine
from storage.batch_records import Batch
from storage.batch_specs import BatchSpec
from storage.errors import Unavailable
from storage.file_records import File
from storage.migrate import migrate
from storage.objects import file_key
from storage.pictures import encode_png
from storage.records import LOCAL_TENANT, new_id
from storage.settings import Settings
from storage.stores import Stores, open_stores
from workers.bulk import applying, codes
from workers.bulk.operation import WIDTHS
from workers.release import release

HELD_OUT = 10_005_000  # the first scene seed of the pictures used here
INVERSION_STEPS = 100
PRETRAINED = Path(gpu_ops.__file__).parent / "pretrained"


@contextlib.contextmanager
def place(**members: Any) -> Iterator[tuple[Stores, Settings]]:
    """An empty service's stores: SQLite, files, a Valkey of its own."""
    with tempfile.TemporaryDirectory() as folder, valkey(Path(folder)) as url:
        members = {"data_dir": folder, "redis_url": url, "threads": 1, "device": "cpu"} | members
        os.environ.update({f"EDITQ_{name.upper()}": str(value) for name, value in members.items()})
        settings = Settings()
        migrate(settings.database_url)
        stores = open_stores(settings)
        release(settings, PRETRAINED)
        yield stores, settings


@contextlib.contextmanager
def valkey(folder: Path) -> Iterator[str]:
    with servers.redis_server(folder, servers.valkey_binary()) as (url, _):
        yield url


def submit(stores: Stores, spec: dict[str, Any], inputs: dict[str, Any]) -> Batch:
    wanted = BatchSpec.model_validate({"spec": spec, "inputs": inputs})
    return stores.batches.add(LOCAL_TENANT, wanted.model_dump(mode="json"))


def send_file(stores: Stores, data: bytes) -> str:
    ref = stores.objects.put(file_key(LOCAL_TENANT, new_id() * 2), data, "application/octet-stream")
    return stores.library.add_file(File(new_id(), LOCAL_TENANT, ref, None, 0.0)).id


def write_inputs(settings: Settings, count: int) -> dict[str, Any]:
    """So many rendered cars among the tenant's own inputs."""
    folder = settings.objects_dir / LOCAL_TENANT / "inputs" / "lot"
    folder.mkdir(parents=True)
    pictures, _ = render_many(range(HELD_OUT, HELD_OUT + count), processes=1)
    for index, picture in enumerate(pictures):
        (folder / f"{index:05d}.png").write_bytes(encode_png(picture))
    return {"type": "prefix", "prefix": "lot/"}


def wheels(stores: Stores) -> Any:
    return next(v for v in stores.library.list_vectors(LOCAL_TENANT).items if v.name == "larger wheels")


@contextlib.contextmanager
def at_work(items: int) -> Iterator[tuple[Stores, Any, Any, dict[str, Any]]]:
    """Stores, a worker's bench, the model and so many inputs, of a ratio: pictures a second through a batch,
    over the same operation on inputs decoded in memory, lap by lap; and the processor time of the second over
    the first's, which tells less of what else the machine does. How many items share a tensor step is found
    once in a process, and before the first lap."""
    with place() as (stores, settings):
        model = stores.library.get_model(LOCAL_TENANT, "cars")
        yield stores, bench_of(stores, settings), model, write_inputs(settings, items)


def invert(items: int = 16, rounds: int = 3) -> None:
    pictures, _ = render_many(range(HELD_OUT, HELD_OUT + items), processes=1)
    with at_work(items) as (stores, bench, model, inputs):
        work = Inverting(bench.models.bundle(model), INVERSION_STEPS)
        width, laps = WIDTHS.for_work(("invert", model.digest), work, pictures[0], codes.MOST), Laps()
        for _ in range(rounds):
            submit(stores, {"kind": "invert", "steps": INVERSION_STEPS, "reuse": False}, inputs)
            work_off(bench, "cpu")  # its inputs are read
            with laps.lap("bulk", items):
                assert _done(bench) == items
            with laps.lap("bare", items):
                _bare(work, list(pictures), width)
        laps.tell("invert", width)


def apply(items: int = 96, rounds: int = 3) -> None:
    """On saved inversions: those that a batch before has left."""
    with at_work(items) as (stores, bench, model, inputs):
        submit(stores, {"kind": "invert", "steps": 1}, inputs)
        work_off(bench, "cpu", "gpu")
        vector, bundle = wheels(stores), bench.models.bundle(model)
        delta_w = _delta_w(stores, vector)
        code = bundle.generator.mapping.w_avg.expand(1, bundle.generator.num_ws, -1)
        task = ApplyTask(code, combine([Use(delta_w, 1.0, vector.id)], code))
        name, work = ("apply", "Drawing", model.digest), Drawing(bundle)
        width, laps = WIDTHS.for_work(name, work, task, applying.MOST), Laps()
        for lap in range(rounds):
            strength = 1 + 1e-3 * lap  # another digest: no result is taken over
            use = {"vector": vector.id, "strength": strength}
            submit(stores, {"kind": "apply", "vectors": [use], "inversion_steps": 1}, inputs)
            work_off(bench, "cpu")  # its inputs are read
            with laps.lap("bulk", items):
                assert _done(bench) == items
            with laps.lap("bare", items):
                _bare(work, [task] * items, width)
        laps.tell("apply", width)


def _done(bench: Any) -> int:
    return sum(job.result["succeeded"] for job in work_off(bench, "gpu"))


def _bare(work: Any, tasks: list[Any], width: int) -> None:
    done = [event for event in many(work, enumerate(tasks), width=width) if isinstance(event, Finished)]
    assert len(done) == len(tasks)


def _delta_w(stores: Stores, vector: Any) -> Any:
    from safetensors.torch import load

    return load(stores.objects.get(vector.files["delta_w"]))["delta_w"]


def workers(items: int = 512, rounds: int = 3) -> None:
    """How much faster two one-thread workers are than one, on samples with a vector applied; and beside it
    how much faster two processes are that do the same operation without any service."""
    times: dict[str, list[float]] = {"workers": [], "bare": []}
    with place(chunk_items=32) as (stores, settings):
        vector = wheels(stores).id
        for lap in range(rounds):
            seconds: dict[int, float] = {}
            for count in (1, 2):
                use = {"vector": vector, "strength": 1 + 1e-3 * (2 * lap + count)}
                submit(stores, {"kind": "apply", "vectors": [use]}, {"type": "seeds", "count": items})
                work_off(bench_of(stores, settings), "cpu")
                seconds[count] = _run_workers(count, "gpu")
                work_off(bench_of(stores, settings), "cpu")
            bare = {count: _run_workers(count, "bare", str(items // count)) for count in (1, 2)}
            times["workers"].append(seconds[1] / seconds[2])
            times["bare"].append(bare[1] / bare[2])
            tell(seconds=seconds, bare=bare)
    tell(items=items, **{name: statistics.median(each) for name, each in times.items()}, all=times)


def _run_workers(count: int, *arguments: str) -> float:
    """Seconds from the start given until the last of so many processes has ended its work."""
    command = [sys.executable, "-m", "bulk_worker", *arguments]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=env, **pipes) for _ in range(count)]
    for worker in started:
        while worker.stdout.readline().strip() != "ready":
            pass
    began = time.perf_counter()
    for worker in started:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in started:
        worker.stdout.readline()
    took_s = time.perf_counter() - began
    for worker in started:
        worker.wait()
    return took_s


def manifest(lines: int = 1_000_000) -> None:
    """A manifest of distinct keys, each an object that is there: sent to a real API, read by a worker."""
    with place() as (stores, settings), api(settings) as (client, process):
        folder = settings.objects_dir / LOCAL_TENANT / "inputs"
        for first in range(0, lines, 1000):
            (folder / f"{first // 1000:05d}").mkdir(parents=True)
            for index in range(first, min(lines, first + 1000)):
                os.close(os.open(folder / _key(index), os.O_CREAT | os.O_WRONLY, 0o644))
        path = Path(settings.data_dir) / "manifest.jsonl"
        with path.open("w") as file:
            file.writelines(json.dumps({"key": _key(index)}) + "\n" for index in range(lines))
        api_before = _peak_of(process)
        uploaded = client.upload_file(path)["id"]
        began = time.perf_counter()
        batch = client.submit_batch({"kind": "invert"}, {"type": "manifest", "file": uploaded})["id"]
        answered_s = time.perf_counter() - began
        bench = bench_of(stores, settings)
        before, size = _peak_mb(), _database_bytes(settings)
        began = time.perf_counter()
        (job,) = work_off(bench, "cpu")
        validated_s = time.perf_counter() - began
        read = sum(1 for _ in client.batch_lines(batch, "items"))
        tell(
            lines=lines,
            answered_s=round(answered_s, 3),
            validated_s=round(validated_s, 2),
            worker_memory_mb=round(_peak_mb() - before),
            api_memory_mb=round(_peak_of(process) - api_before),
            lines_read_back=read,
            database_bytes_per_item=round((_database_bytes(settings) - size) / lines, 1),
            status=stores.batches.get(LOCAL_TENANT, batch).status,
            counts={name: job.result[name] for name in ("items", "invalid", "chunks")},
        )


@contextlib.contextmanager
def api(settings: Settings) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
    """The API over these stores, in one gunicorn worker, and a client of it."""
    port = servers.free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "python:api.gunicorn_conf", "api.wsgi:app"]
    env = {**os.environ, "EDITQ_PORT": str(port), "WEB_CONCURRENCY": "1"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Client(f"http://127.0.0.1:{port}", retry_s=60) as client:
            _await_answer(client, process)
            yield client, process
    finally:
        process.terminate()
        process.wait()


def _await_answer(client: Client, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(Unavailable):
            next(client.list_batches(limit=1), None)
            return
        time.sleep(0.1)
    raise SystemExit(f"the API ended with status {process.returncode}")


def _peak_of(process: subprocess.Popen[bytes]) -> float:
    """MB that a process and its children have held at most, each by itself, added up."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in (str(process.pid), *children)]
    found = [line for text in statuses for line in text.splitlines() if line.startswith("VmHWM")]
    return sum(int(line.split()[1]) for line in found) / 1024


def _key(index: int) -> str:
    return f"{index // 1000:05d}/{index:07d}.png"


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _database_bytes(settings: Settings) -> int:
    path = Path(settings.data_dir) / "editq.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size


def noop(items: int = 100_000) -> None:
    """Overhead of an item, of many against few; Redis and the database meanwhile."""
    each: dict[int, float] = {}
    figures: dict[str, Any] = {}
    for count in (1000, items):
        with place() as (stores, settings):
            server = redis.Redis.from_url(settings.redis_url)
            idle, size = int(server.info("memory")["used_memory"]), _database_bytes(settings)
            spec = {"kind": "apply", "vectors": [{"vector": wheels(stores).id}]}
            batch = submit(stores, spec, {"type": "seeds", "count": count})
            bench = bench_of(stores, settings, noop=True)
            began, most = time.perf_counter(), idle
            while work_off_one(bench):
                most = max(most, int(server.info("memory")["used_memory"]))
            each[count] = (time.perf_counter() - began) / count
            ended = stores.batches.get(LOCAL_TENANT, batch.id)
            figures = {
                "status": ended.status,
                "redis_mb": round((most - idle) / 1e6, 2),
                "database_bytes_per_item": round((_database_bytes(settings) - size) / count, 1),
            }
    few, many_ = each[1000], each[items]
    tell(
        items=items,
        ms_per_item={n: round(1000 * s, 3) for n, s in each.items()},
        times=many_ / few,
        **figures,
    )


def work_off_one(bench: Any) -> bool:
    from workers.run import take

    return bool(take("cpu", bench) or take("gpu", bench))


def kill(items: int = 2000) -> None:
    """kill -9 five times: every item has one result, and no kill costs more than its chunk."""
    with place(chunk_items=64, lease_s=4) as (stores, settings):
        spec = {"kind": "apply", "vectors": [{"vector": wheels(stores).id}]}
        batch = submit(stores, spec, {"type": "seeds", "count": items})
        bench = bench_of(stores, settings)
        work_off(bench, "cpu")
        command = [sys.executable, "-m", "bulk_worker", "gpu"]
        for _ in range(5):
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            while worker.stdout is None or worker.stdout.readline().strip() != "ready":
                pass
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
            time.sleep(20)
            worker.kill()
            worker.wait()
            time.sleep(settings.lease_s + 1)
            stores.jobs.expire(max_lost=3)
        work_off(bench, "gpu", "cpu")
        ended, tally = stores.batches.get(LOCAL_TENANT, batch.id), stores.batches.tally(batch.id)
        lines = [json.loads(line) for line in stores.objects.get(ended.files["results"]).splitlines()]
        ids = [line["id"] for line in lines]
        attempts = [
            stores.jobs.get(LOCAL_TENANT, chunk.job_id or "").attempt
            for chunk in stores.batches.chunks(batch.id)
        ]
        tell(
            items=items,
            status=ended.status,
            succeeded=tally.succeeded,
            results=len(ids),
            distinct=len(set(ids)),
            chunks=len(attempts),
            chunks_repeated=sum(attempt > 1 for attempt in attempts),
            taken_over=tally.reused,
        )


def main() -> None:
    command, *numbers = sys.argv[1:]
    commands = (invert, apply, workers, manifest, noop, kill)
    {each.__name__: each for each in commands}[command](*map(int, numbers))


if __name__ == "__main__":
    main()
