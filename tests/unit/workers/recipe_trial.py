"""Jobs of the real recipes on a tiny model, in a Trial."""

import hashlib
import io
from typing import Any

import torch
from PIL import Image as Pillow
from safetensors.torch import load, save
from worker_trial import Trial

from storage.file_records import File
from storage.library_records import Vector
from storage.objects import file_key, image_key, vector_key
from storage.records import Image, Job, new_id
from workers.bench import recipe_for

RELABEL = [{"op": "relabel", "part": "rim", "into": "tyre"}]


def upload(trial: Trial, data: bytes, role: Any, size: tuple[int, int]) -> str:
    ref = trial.stores.objects.put(image_key("local", new_id() * 2), data, "image/png")
    return trial.stores.library.add_image(Image(new_id(), "local", role, ref, *size, None, 0.0)).id


def put_file(trial: Trial, data: bytes, name: str | None = None) -> str:
    """The id of an uploaded file."""
    key = file_key("local", hashlib.sha256(data).hexdigest())
    ref = trial.stores.objects.put(key, data, "application/octet-stream")
    return trial.stores.library.add_file(File(new_id(), "local", ref, name, 0.0)).id


def submit(trial: Trial, kind: str, **spec: Any) -> Job:
    return trial.stores.jobs.add("local", kind, {"kind": kind, "model": "cars", **spec})


def work(trial: Trial, kind: str, **spec: Any) -> Job:
    """A job submitted, and taken once."""
    job = submit(trial, kind, **spec)
    trial.take(recipe_for(kind), lease_s=30)
    return trial.get(job)


def output(trial: Trial, job: Job, name: str) -> bytes:
    return trial.stores.objects.get(job.outputs[name])


def put_vector(trial: Trial, *, size: float, seed: int = 0, q_edit: tuple[str, ...] = ("tyre", "rim")) -> str:
    """The id of a vector of random numbers, of about this size each."""
    model = trial.stores.library.get_model("local", "cars")
    w_plus = tensor(trial, work(trial, "sample", seed=1), "w_plus")
    delta_w = size * torch.randn(w_plus.shape[1:], generator=torch.Generator().manual_seed(seed))
    key = vector_key("local", new_id() * 2)
    ref = trial.stores.objects.put(key, save({"delta_w": delta_w}), "application/octet-stream")
    about = ("random", "cars", model.digest, model.generator_sha256, "changes", (), q_edit)
    vector = Vector(new_id(), "local", *about, {"delta_w": ref}, {}, {}, None, 0.0)
    return trial.stores.library.put_vector(vector).id


def pixels(data: bytes) -> bytes:
    with Pillow.open(io.BytesIO(data)) as image:
        return image.tobytes()


def tensor(trial: Trial, job: Job, name: str) -> torch.Tensor:
    return load(output(trial, job, f"{name}.safetensors"))[name]
