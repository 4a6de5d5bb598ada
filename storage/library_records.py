"""What the library remembers, images aside, as frozen values: models, editing vectors, saved inversions; and
what a job leaves in it.

Times are seconds since the epoch (UTC) on the database's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.batch_records import Chunk
from storage.records import Claim, ObjectRef


@dataclass(frozen=True, slots=True)
class Part:
    id: int
    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Model:
    """Named, digest-pinned weights. `files` by role: generator, segmenter, judge, perceptual, preview ..."""

    id: str
    tenant_id: str
    name: str
    digest: str
    resolution_px: int
    parts: tuple[Part, ...]
    groups: dict[str, tuple[str, ...]]
    files: dict[str, ObjectRef]
    card: dict[str, Any]
    created_at: float

    @property
    def generator_sha256(self) -> str:
        """What vectors fit by: a model with another segmenter or encoder has the same codes."""
        generator = self.files.get("generator")
        return "" if generator is None else generator.sha256


@dataclass(frozen=True, slots=True)
class Vector:
    """An editing vector of the library.

    `files` by role: delta_w (safetensors, tensor delta_w [L, D] float32), before, after (PNG), report (JSON).
    `facts` say how it was made, `report` how well it carries over to other pictures; both may be empty.
    model and model_digest: what it was made with; it fits every model of the same generator.
    """

    id: str
    tenant_id: str
    name: str
    model: str
    model_digest: str
    generator_sha256: str
    editing_type: str
    tags: tuple[str, ...]
    q_edit: tuple[str, ...]
    files: dict[str, ObjectRef]
    facts: dict[str, Any]
    report: dict[str, Any]
    job_id: str | None
    created_at: float

    def fits(self, model: Model) -> bool:
        return self.generator_sha256 == model.generator_sha256


@dataclass(frozen=True, slots=True)
class Inversion:
    """A saved inversion, found again by the digest of picture, model and settings.

    `files` by role: w_plus, inverted, mask; tuned where the generator was tuned for the picture.
    `picture_sha256` is of the upload that it was made from: with the last of these it goes, too.
    """

    tenant_id: str
    digest: str
    files: dict[str, ObjectRef]
    facts: dict[str, Any]
    job_id: str | None
    created_at: float
    picture_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What a job leaves in its tenant's library, beside its outputs. The objects lie under the attempt's own
    prefix, or a record of the library names them already."""

    vectors: tuple[Vector, ...] = ()
    models: tuple[Model, ...] = ()
    inversions: tuple[Inversion, ...] = ()
    chunks: tuple[Chunk, ...] = ()  # of the batch whose inputs were read


NOTHING_KEPT = Kept()


@dataclass(frozen=True, slots=True)
class Ending:
    """What a successful attempt leaves. held_s: its share of the time for which a GPU worker was held, where
    it ran beside others; None: all since its claim."""

    claim: Claim
    outputs: Mapping[str, ObjectRef]
    result: Mapping[str, Any]
    kept: Kept = NOTHING_KEPT
    held_s: float | None = None
