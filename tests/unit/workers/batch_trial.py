"""Batches in a Trial: submitted, and worked off by one worker that takes both queues."""

import io
import json
from typing import Any

import numpy as np
from PIL import Image as Pillow
from recipe_trial import upload
from worker_trial import Trial

from storage.batch_records import Batch
from storage.batch_specs import BatchSpec
from storage.file_records import File
from storage.objects import file_key
from storage.records import Job, new_id
from workers.bench import recipe_for

INVERT = {"kind": "invert", "model": "cars", "steps": 2}


def png(seed: int, size: tuple[int, int] = (20, 16)) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def send_file(trial: Trial, data: bytes) -> str:
    """The id of an uploaded file."""
    ref = trial.stores.objects.put(file_key("local", new_id() * 2), data, "application/octet-stream")
    return trial.stores.library.add_file(File(new_id(), "local", ref, None, 0.0)).id


def send_picture(trial: Trial, seed: int) -> str:
    return upload(trial, png(seed), "picture", (20, 16))


def manifest(trial: Trial, *lines: Any) -> dict[str, Any]:
    """Inputs of such lines: text as it is, anything else as JSON."""
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return {"type": "manifest", "file": send_file(trial, text.encode())}


def add(trial: Trial, spec: dict[str, Any], inputs: dict[str, Any], **members: Any) -> Batch:
    wanted = BatchSpec.model_validate({"spec": spec, "inputs": inputs, **members})
    return trial.stores.batches.add("local", wanted.model_dump(mode="json"))


def work_off(trial: Trial, **take: Any) -> list[Job]:
    """Take jobs of either queue until there are none."""
    done = []
    while True:
        for queue in ("cpu", "gpu"):
            job = trial.take(recipe_for, queue=queue, **{"lease_s": 30, **take})
            if job is not None:
                done.append(job)
                break
        else:
            return done


def do(trial: Trial, spec: dict[str, Any], inputs: dict[str, Any], **members: Any) -> Batch:
    """A batch submitted and worked off."""
    batch = add(trial, spec, inputs, **members)
    work_off(trial)
    return trial.stores.batches.get("local", batch.id)


def lines_of(trial: Trial, batch: Batch, role: str) -> list[dict[str, Any]]:
    data = trial.stores.objects.get(batch.files[role])
    return [json.loads(line) for line in data.splitlines()]
