"""Checkpoints that people have -> a model's folder: safetensors files, and model.json for bundle.py."""

import colorsys
import contextlib
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_ops.importers.encoders import NOTE, save_encoder
from gpu_ops.importers.generators import import_generator
from gpu_ops.importers.limits import Limits
from gpu_ops.importers.preview import save_preview
from gpu_ops.importers.refusals import CheckpointRefused, LayoutMismatch
from gpu_ops.importers.roles import CLASSIFIER, ENCODER, GENERATOR, VECTOR, role_of
from gpu_ops.importers.sandbox import Checkpoint, read_checkpoint
from gpu_ops.importers.segmenters import import_segmenter
from gpu_ops.importers.vectors import import_vector, save_vector
from gpu_ops.network_file import save_network
from gpu_ops.stylegan2.files import save_generator
from gpu_ops.stylegan2.generator import Generator

DESCRIPTION = "model.json"  # as in bundle.py, which takes seconds to import
WITHOUT_GENERATOR = "imported.json"


@dataclass
class Found:
    """The files of one import, by what they are."""

    generators: list[Checkpoint] = field(default_factory=list)
    classifiers: list[Checkpoint] = field(default_factory=list)
    encoders: list[Checkpoint] = field(default_factory=list)
    vectors: list[Checkpoint] = field(default_factory=list)


def import_files(
    files: Sequence[Path],
    folder: Path,
    *,
    name: str | None = None,
    parts: Sequence[str] | None = None,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Read files, and write all that they hold as a new folder, whole or not at all.

    files   one generator at most; classifiers, which need their generator; an encoder; editing vectors
    parts   the names of the classifiers' classes, in order

    Returns the description, which is also in the folder: as model.json where there is a generator.
    Raises CheckpointRefused naming the file, FileExistsError where the folder is there already.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} is there already")
    found = sort([read_checkpoint(path, limits) for path in files])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        unfinished = Path(beside) / "model"
        unfinished.mkdir()
        description = _write(found, unfinished, model_name(name or folder.name), parts)
        unfinished.rename(folder)
    return description


def sort(checkpoints: Sequence[Checkpoint]) -> Found:
    """Raises UnknownFormat for a file of none of these kinds, LayoutMismatch for a second generator."""
    found = Found()
    files_of = {
        GENERATOR: found.generators,
        VECTOR: found.vectors,
        CLASSIFIER: found.classifiers,
        ENCODER: found.encoders,
    }
    for checkpoint in checkpoints:
        files_of[role_of(checkpoint)].append(checkpoint)
    for kind, files in (("generators", found.generators), ("encoders", found.encoders)):
        if len(files) > 1:
            names = " and ".join(checkpoint.path.name for checkpoint in files)
            raise LayoutMismatch(f"{names} are {len(files)} {kind}; one at most was expected")
    if found.classifiers and not found.generators:
        first = found.classifiers[0].path.name
        raise LayoutMismatch(f"{first} is a classifier of a generator's features: import both together")
    return found


def model_name(name: str) -> str:
    """A name that a model may have."""
    return re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).lstrip("0123456789_.-")[:64] or "imported"


def _write(found: Found, folder: Path, name: str, parts: Sequence[str] | None) -> dict[str, Any]:
    description: dict[str, Any] = {
        "name": name,
        "parts": [],
        "groups": {},
        "files": {},
        "vectors": [],
        "kept": {},
        "description": "Imported",
        "license": "that of the imported files",
        "imported": [],
    }
    generator = _write_generator(found, folder, description) if found.generators else None
    if generator is not None and found.classifiers:
        _write_segmenter(found.classifiers, generator, folder, description, parts)
    elif parts:
        raise LayoutMismatch(f"{len(parts)} names of parts are given, and no classifiers")
    for encoder in found.encoders:
        description["kept"]["encoder"] = "encoder-of-another-project.safetensors"
        save_encoder(folder / description["kept"]["encoder"], encoder)
        _note(description, encoder, [NOTE])
    _write_vectors(found.vectors, generator, folder, description)
    target = folder / (DESCRIPTION if generator is not None else WITHOUT_GENERATOR)
    target.write_text(json.dumps(description, indent=2) + "\n")
    return description


def _write_generator(found: Found, folder: Path, description: dict[str, Any]) -> Generator:
    checkpoint = found.generators[0]
    with named(checkpoint):
        generator, notes = import_generator(checkpoint)
        save_preview(folder / "preview.png", generator)
    save_generator(folder / "generator.safetensors", generator)
    description["files"]["generator"] = "generator.safetensors"
    description["resolution_px"] = generator.config.resolution
    _note(description, checkpoint, notes)
    return generator


def _write_segmenter(
    classifiers: list[Checkpoint],
    generator: Generator,
    folder: Path,
    description: dict[str, Any],
    parts: Sequence[str] | None,
) -> None:
    segmenter = import_segmenter(classifiers, generator)
    count = segmenter.config.parts
    if parts and (len(parts) != count or len(set(parts)) != count):
        raise LayoutMismatch(f"{len(parts)} names of parts are given; the classifiers know {count} parts")
    names = parts or [f"part {index}" for index in range(count)]
    save_network(folder / "segmenter.safetensors", segmenter, segmenter.config.as_dict())
    description["files"]["segmenter"] = "segmenter.safetensors"
    description["parts"] = [
        {"id": index, "name": part, "colour": _colour(index)} for index, part in enumerate(names)
    ]
    for checkpoint in classifiers:
        _note(description, checkpoint, [] if parts else ["the parts are numbered: the file has no names"])


def _write_vectors(
    vectors: list[Checkpoint], generator: Generator | None, folder: Path, description: dict[str, Any]
) -> None:
    for checkpoint in vectors:
        name = model_name(checkpoint.path.stem)
        file = f"vector-{name}.safetensors"
        if (folder / file).exists():
            raise LayoutMismatch(f"two editing vectors are named {name}")
        save_vector(folder / file, import_vector(checkpoint, generator))
        description["vectors"].append({"name": name, "file": file})
        _note(description, checkpoint, [])


def _note(description: dict[str, Any], checkpoint: Checkpoint, notes: list[str]) -> None:
    description["imported"].append(
        {
            "file": checkpoint.path.name,
            "sha256": checkpoint.sha256,
            "format": checkpoint.format,
            "notes": notes,
        }
    )


@contextlib.contextmanager
def named(checkpoint: Checkpoint) -> Iterator[None]:
    """Refusals of a checkpoint's tensors begin with its file's name too."""
    try:
        yield
    except CheckpointRefused as refusal:
        raise type(refusal)(f"{checkpoint.path.name}: {refusal}") from None


def _colour(index: int) -> list[int]:
    """Colours far from their neighbours'; the first part, which is the background as a rule, is grey."""
    if index == 0:
        return [128, 128, 128]
    hue, light = index * 0.618034 % 1, (0.85, 0.6)[index % 2]
    return [round(255 * value) for value in colorsys.hsv_to_rgb(hue, 0.75, light)]
