"""What jobs leave behind: pictures, masks and tensors that say where they come from."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from safetensors.torch import load, save

from gpu_ops.bundle import Bundle
from gpu_ops.picture import Picture
from storage.library_records import Model
from storage.masks import encode_mask
from storage.pictures import encode_png
from storage.plain import plain
from storage.records import Job
from storage.version import code_version
from workers.attempt import Attempt

Shown = Picture | Callable[[], Picture]  # or what gives it: called later, in another thread
TENSORS = "application/octet-stream"
W_PLUS, DELTA_W = "w_plus.safetensors", "delta_w.safetensors"


class Outputs:
    """Writes the outputs of one attempt, each with its provenance."""

    def __init__(self, attempt: Attempt, model: Model, vectors: Sequence[str] = ()) -> None:
        """vectors: ids of those that are in the outputs."""
        self._attempt, self._model, self._vectors = attempt, model, list(vectors)

    def provenance(self, seed: int | None = None) -> dict[str, Any]:
        job = self._attempt.job
        return {
            "model": self._model.name,
            "model_digest": self._model.digest,
            "spec": job.spec,
            "seed": seed,
            "vectors": self._vectors,
            "code_version": code_version(),
            "job_id": job.id,
            "attempt": job.attempt,
        }

    def __contains__(self, name: str) -> bool:
        return name in self._attempt.outputs

    def picture(self, name: str, picture: Shown, *, seed: int | None = None) -> None:
        self._attempt.put(name, lambda: encode_png(_known(picture), self._text(seed)), "image/png")

    def mask(self, name: str, mask: Shown, *, seed: int | None = None) -> None:
        make = lambda: encode_mask(_known(mask), self._model.parts, self._text(seed))  # noqa: E731
        self._attempt.put(name, make, "image/png")

    def _text(self, seed: int | None) -> dict[str, str]:
        return {"editq": json.dumps(self.provenance(seed))}

    def tensor(self, file: str, tensor: torch.Tensor, *, name: str | None = None) -> None:
        """The tensor's name inside the file is by default the file's, less its suffix."""
        self.tensors(file, {name or file.removesuffix(".safetensors"): tensor})

    def tensors(self, file: str, tensors: dict[str, torch.Tensor]) -> None:
        named = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        self._attempt.put(file, lambda: save(named), TENSORS)

    def json(self, name: str, members: dict[str, Any]) -> None:
        self._attempt.put(name, json.dumps(plain(members), indent=1).encode(), "application/json")

    def facts(self, bundle: Bundle, *, steps: int, **figures: Any) -> dict[str, Any]:
        """What every job's result says, and this one's own figures."""
        return {
            "model": self._model.name,
            "model_digest": self._model.digest,
            "perceptual_backbone": bundle.perceptual.name,
            "code_version": code_version(),
            "steps": steps,
            **plain(figures),
        }


def _known(shown: Shown) -> Picture:
    return shown() if callable(shown) else shown


def read_tensor(attempt: Attempt, job: Job, file: str) -> torch.Tensor:
    """A tensor that another job left."""
    return load(attempt.stores.objects.get(job.outputs[file]))[file.removesuffix(".safetensors")]
