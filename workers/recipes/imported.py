"""Uploaded checkpoints, read, as the networks of one model."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from gpu_ops.importers.encoders import NOTE
from gpu_ops.importers.generators import import_generator, use_w_avg
from gpu_ops.importers.importing import named
from gpu_ops.importers.preview import SIZE_PX, samples
from gpu_ops.importers.refusals import LayoutMismatch, LimitExceeded
from gpu_ops.importers.roles import CLASSIFIER, ENCODER, GENERATOR, VECTOR, W_AVG
from gpu_ops.importers.sandbox import Checkpoint
from gpu_ops.importers.segmenters import import_segmenter
from gpu_ops.importers.vectors import import_vector
from gpu_ops.picture import Picture
from gpu_ops.segmenter import Segmenter
from gpu_ops.stylegan2.generator import Generator
from storage.import_specs import ImportModelSpec
from workers.recipes.uploads import LIMITS, Upload, refusing

FORMATS = {"persistent": "stylegan2_ada", "tensorflow": "tensorflow"}  # all others are rosinality's
MOST_PARTS = 256  # that an indexed PNG can tell apart
COLUMNS = 4
NUMBERED = "the parts are numbered: the files have no names"


@dataclass
class Read:
    """Files that were read, by role, in the order of the spec."""

    by_role: dict[str, list[tuple[Upload, Checkpoint]]] = field(default_factory=dict)
    byte_size: int = 0

    def of(self, role: str) -> list[tuple[Upload, Checkpoint]]:
        return self.by_role.get(role, [])

    def add(self, role: str, upload: Upload, checkpoint: Checkpoint) -> None:
        """Raises LayoutMismatch for a second one of a role that one alone can have, LimitExceeded."""
        known = self.by_role.setdefault(role, [])
        if known and role in (GENERATOR, ENCODER, W_AVG):
            raise LayoutMismatch(
                f"{upload.name} holds the same as {known[0][0].name} ({role}); one at most was expected"
            )
        known.append((upload, checkpoint))
        self.byte_size += sum(tensor.nbytes for tensor in checkpoint.tensors.values())
        if self.byte_size > LIMITS.tensor_bytes:
            total = f"up to {upload.name} the files hold {self.byte_size} bytes of tensors"
            raise LimitExceeded(f"{total}; {LIMITS.tensor_bytes} at most are read")


@dataclass(frozen=True)
class Imported:
    """vectors: delta_w [L, D] by their files; encoder: kept, not run; sources: where all came from."""

    generator: Generator
    segmenter: Segmenter | None
    encoder: Checkpoint | None
    vectors: list[tuple[Upload, torch.Tensor]]
    sources: list[dict[str, Any]]


def assemble(spec: ImportModelSpec, read: Read) -> Imported:
    """Networks that fit each other. Raises the error of the importer's code, naming the member at fault."""
    generator, notes = _generator(spec, read)
    segmenter = _segmenter(spec, read, generator)
    vectors = []
    for upload, checkpoint in read.of(VECTOR):
        with refusing(upload.field):
            vectors.append((upload, import_vector(checkpoint, generator)))
    said = {GENERATOR: notes, ENCODER: [NOTE], CLASSIFIER: [] if spec.parts else [NUMBERED]}
    sources = [
        upload.source(checkpoint, role, said.get(role, []))
        for role, files in read.by_role.items()
        for upload, checkpoint in files
    ]
    encoder = next((checkpoint for _, checkpoint in read.of(ENCODER)), None)
    return Imported(generator, segmenter, encoder, vectors, sources)


def _generator(spec: ImportModelSpec, read: Read) -> tuple[Generator, list[str]]:
    with refusing("files"):
        if not read.of(GENERATOR):
            raise LayoutMismatch("none of the files holds a generator; one was expected")
    ((upload, checkpoint),) = read.of(GENERATOR)
    found = FORMATS.get(checkpoint.format, "rosinality")
    with refusing("format"):
        if spec.format not in ("auto", found):
            raise LayoutMismatch(f"{upload.name} is of the format {found}; {spec.format} was expected")
    with refusing(upload.field), named(checkpoint):
        generator, notes = import_generator(checkpoint)
    for mean, w_avg in read.of(W_AVG):
        with refusing(mean.field):
            use_w_avg(generator, w_avg)
        notes = [note for note in notes if "no mean w" not in note] + [f"its mean w is that of {mean.name}"]
    return generator, notes


def _segmenter(spec: ImportModelSpec, read: Read, generator: Generator) -> Segmenter | None:
    for upload, checkpoint in read.of(CLASSIFIER):  # each by itself first: so that the one at fault is named
        with refusing(upload.field):
            import_segmenter([checkpoint], generator)
    classifiers = [checkpoint for _, checkpoint in read.of(CLASSIFIER)]
    with refusing("files"):
        segmenter = import_segmenter(classifiers, generator) if classifiers else None
    count = 0 if segmenter is None else segmenter.config.parts
    with refusing("parts"):
        if spec.parts and len(spec.parts) != count:
            given = f"{len(spec.parts)} names of parts are given"
            raise LayoutMismatch(f"{given}; the classifiers know {count} parts")
        if count > MOST_PARTS:
            raise LayoutMismatch(f"the classifiers know {count} parts; {MOST_PARTS} at most fit into a mask")
    return segmenter


def sheet(generator: Generator) -> Picture:
    """Samples uint8 [H, W, 3], 16 of them, or 4 where they are large. Raises LayoutMismatch."""
    rows = COLUMNS if generator.config.resolution <= SIZE_PX else 1
    tiles = list(samples(generator, COLUMNS * rows))
    lines = [
        np.concatenate(tiles[start : start + COLUMNS], axis=1) for start in range(0, len(tiles), COLUMNS)
    ]
    return np.concatenate(lines)
