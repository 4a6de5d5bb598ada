"""Models in a worker's memory: fetched when first needed, verified, the least recently used out first.

The cache folder holds one folder per digest. It may be emptied at any time, and processes may share it:
files appear whole, and each is checked before it is used for the first time in a process.
"""

import hashlib
import logging
import os
import secrets
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gpu_ops.memory import give_back
from storage.errors import (
    EditqError,
    InternalError,
    ModelUnavailable,
    ObjectCorrupt,
    OutOfMemory,
    OutputNotFound,
)
from storage.library_records import Model
from storage.objects import UNKNOWN_BYTES
from storage.records import ObjectRef
from storage.settings import Settings
from storage.stores import Objects

if TYPE_CHECKING:
    import torch

    from gpu_ops.bundle import Bundle

SMALL_PX = 64
KEPT_ENCODER = "kept_encoder"  # another project's, which nothing here can run
NOT_WEIGHTS = frozenset({"preview", "card", KEPT_ENCODER})
OBJECT_PREFIX = "objects:"
NO_WEIGHTS = "The {} weights that this worker is configured with are not there."
log = logging.getLogger(__name__)


def cpu_threads(settings: Settings, resolution_px: int) -> int:
    """Threads for a model of this resolution.

    The tensors of a small model are too small to share out: at 64 px one thread was a quarter faster than
    two, and gives the same bytes each time. Measured: docs/measurements.md.
    """
    if settings.threads:
        return settings.threads
    return 1 if resolution_px <= SMALL_PX else len(os.sched_getaffinity(0))


def core_is_free(settings: Settings, device: str, resolution_px: int) -> bool:
    """Whether work of a model of this resolution leaves a core of this machine idle."""
    small = not settings.threads and resolution_px <= SMALL_PX
    return small and device == "cpu" and len(os.sched_getaffinity(0)) > 1


class Models:
    """One process's loaded models. Not thread-safe: a pool child runs one job at a time."""

    def __init__(self, objects: Objects, settings: Settings) -> None:
        self._objects, self.settings = objects, settings
        self._loaded: OrderedDict[str, tuple[Bundle, int]] = OrderedDict()
        self._digests: dict[str, str] = {}  # of models by name, as they were asked for last

    def bundle(self, model: Model) -> "Bundle":
        """The model's networks on this worker's device, and as many CPU threads as serve them best."""
        self.prepare(model.resolution_px)
        self._digests[model.name] = model.digest
        if model.digest in self._loaded:
            self._loaded.move_to_end(model.digest)
            return self._loaded[model.digest][0]
        size = sum(ref.byte_size for ref in _weights(model).values())
        self._make_room(size)
        loaded = self._load(model)
        self._loaded[model.digest] = loaded, size
        return loaded

    def loaded(self, name: str) -> bool:
        """Whether a model of this name is in memory; a guess, where tenants have models of one name."""
        return self._digests.get(name) in self._loaded

    def prepare(self, resolution_px: int) -> str:
        """Set the CPU threads that serve a model of this resolution best; the device to work on."""
        import torch

        torch.set_num_threads(cpu_threads(self.settings, resolution_px))
        device = self.settings.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda"):
            # the same bytes each time: sums in a fixed order, where the device has such a form of an operator
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        return device

    def forgive(self, fault: EditqError) -> None:
        """After running out of memory, hold nothing: the next attempt begins with all there is."""
        if isinstance(fault, OutOfMemory):
            self._loaded.clear()
            give_back()

    def _load(self, model: Model) -> "Bundle":
        from gpu_ops.bundle import load_bundle

        device = self.prepare(model.resolution_px)
        log.info("loading the model %s (%s) on %s", model.name, model.digest[:12], device)
        bundle = load_bundle(self.folder(model), device, self._perceptual_weights())
        return replace(bundle, low_precision=_low_precision(self.settings, device))

    def _make_room(self, size: int) -> None:
        settings = self.settings
        while self._loaded and (
            len(self._loaded) >= settings.models_kept
            or size + sum(kept for _, kept in self._loaded.values()) > settings.models_kept_bytes
        ):
            self._loaded.popitem(last=False)
            give_back()

    def folder(self, model: Model) -> Path:
        """The model's files, fetched where they are missing or not what the digest says."""
        folder = self.settings.cache_dir / "models" / model.digest
        folder.mkdir(parents=True, exist_ok=True)
        for ref in _weights(model).values():
            path = folder / PurePosixPath(ref.key).name
            if not _holds(path, ref.sha256):
                _write_whole(path, self._weights_file(ref, model))
        return folder

    def _weights_file(self, ref: ObjectRef, model: Model) -> bytes:
        try:
            return self._objects.get(ref)
        except OutputNotFound as error:
            raise ModelUnavailable(f"The files of the model {model.name} are missing.") from error
        except ObjectCorrupt as error:
            raise ObjectCorrupt(f"The files of the model {model.name} are damaged.") from error

    def _perceptual_weights(self) -> Path | None:
        """The backbone that the environment names, checked; None: the model's own."""
        settings = self.settings
        return self._configured("perceptual", settings.perceptual_weights, settings.perceptual_sha256)

    def inception_weights(self) -> Path | None:
        """Inception v3 for FID and KID, where the environment names it, checked."""
        settings = self.settings
        return self._configured("inception", settings.inception_weights, settings.inception_sha256)

    def _configured(self, kind: str, named: str | None, sha256: str | None) -> Path | None:
        if named is None:
            return None
        if named.startswith(OBJECT_PREFIX):
            return self._fetched(kind, named.removeprefix(OBJECT_PREFIX), sha256)
        path = Path(named)
        if not path.is_file():
            raise InternalError(NO_WEIGHTS.format(kind))
        if sha256 is not None and not _holds(path, sha256):
            raise InternalError(f"The {kind} weights are not those whose digest is configured.")
        return path

    def _fetched(self, kind: str, key: str, sha256: str | None) -> Path:
        if sha256 is None:
            raise InternalError(f"The {kind} weights in the object store need their digest configured too.")
        folder = self.settings.cache_dir / kind / sha256
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / PurePosixPath(key).name
        if not _holds(path, sha256):
            ref = ObjectRef(key, sha256, UNKNOWN_BYTES, "application/octet-stream")
            try:
                _write_whole(path, self._objects.get(ref))
            except OutputNotFound as error:
                raise InternalError(NO_WEIGHTS.format(kind)) from error
        return path


def _low_precision(settings: Settings, device: str) -> "torch.dtype | None":
    import torch

    from gpu_ops.stylegan2.precision import has_bfloat16_units

    if settings.precision == "float32":
        return None
    if not has_bfloat16_units(device):
        log.warning("EDITQ_PRECISION is bfloat16, for which this processor has no units: float32 is faster")
        return None
    return torch.bfloat16


def _weights(model: Model) -> dict[str, ObjectRef]:
    return {role: ref for role, ref in model.files.items() if role not in NOT_WEIGHTS}


def _holds(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _write_whole(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.unfinished")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
