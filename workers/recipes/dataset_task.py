"""What a generate_dataset job draws from: seeds, vectors, strengths; and what its items say of themselves."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from safetensors.torch import load

from gpu_ops.bundle import Bundle
from gpu_ops.labelled import Labelled, label
from gpu_ops.picture import Picture
from gpu_ops.sample import seeded_code
from gpu_ops.vectors import Use, compose
from storage.dataset_specs import GenerateDatasetSpec, StrengthRange
from storage.errors import InvalidInput
from storage.library_records import Model, Vector
from storage.masks import resolve_parts
from storage.version import code_version
from workers.attempt import Attempt
from workers.datasets.choose import Range, draw_strengths, stratum_of
from workers.datasets.item import DatasetItem
from workers.datasets.writing import Plan, plan_of
from workers.recipes.dataset_sink import AttemptSink
from workers.recipes.inputs import find_model

# Pictures drawn at a time, at most. On a CPU one by one: so a seed gives the same bits every time.
CHUNKS = {"cpu": 1, "cuda": 8}


@dataclass(frozen=True)
class Ranged:
    """A vector with its delta_w [L, D], and between which strengths it is applied."""

    vector: Vector
    delta_w: torch.Tensor
    range: Range


@dataclass(frozen=True)
class DatasetTask:
    """balanced: of each part or part group to balance by, the ids."""

    spec: GenerateDatasetSpec
    model: Model
    bundle: Bundle
    ranged: tuple[Ranged, ...]
    balanced: tuple[tuple[int, ...], ...]
    sink: AttemptSink
    chunk: int

    @property
    def seeds(self) -> range:
        return range(self.spec.seed, self.spec.seed + self.spec.count)

    @property
    def bins(self) -> int:
        """Into how many parts ranges of strength are cut; 1 where nothing is balanced by strength."""
        balance = self.spec.balance
        return balance.bins if balance is not None and balance.by == "strength" else 1

    @cached_property
    def ranges(self) -> list[Range]:
        return [each.range for each in self.ranged]

    @cached_property
    def asked(self) -> dict[str, Any]:
        """The spec, less how the job was to be treated."""
        return self.spec.model_dump(mode="json", exclude={"options"})

    @cached_property
    def spec_digest(self) -> str:
        return hashlib.sha256(json.dumps(self.asked, sort_keys=True).encode()).hexdigest()

    @cached_property
    def plan(self) -> Plan:
        return plan_of(self.spec, self.model)

    def draw(self, seeds: Iterable[int]) -> Labelled:
        """The samples of seeds, with their vectors on."""
        return label(self.bundle, torch.cat([self._code(seed) for seed in seeds]))

    def _code(self, seed: int) -> torch.Tensor:
        w_plus = seeded_code(self.bundle, seed, self.spec.truncation_psi)  # [1, L, D]
        strengths = draw_strengths(seed, self.ranges, self.bins)
        return compose(
            w_plus, [Use(each.delta_w, strengths[each.vector.id], each.vector.id) for each in self.ranged]
        )

    def stratum(self, seed: int) -> int:
        return stratum_of(seed, self.ranges, self.bins)

    def source(self, seed: int) -> str:
        """What a sample is of, whatever vectors are on it and whatever segmenter reads it."""
        return f"{self.model.generator_sha256}:{seed}"

    def item(self, seed: int, picture: Picture, mask: Picture, score: float) -> DatasetItem:
        strengths = draw_strengths(seed, self.ranges, self.bins)
        provenance = {
            "model": self.model.name,
            "model_digest": self.model.digest,
            "seed": seed,
            "truncation_psi": self.spec.truncation_psi,
            "vectors": [{"vector": vector, "strength": strengths[vector]} for vector in strengths],
            "uncertainty": round(score, 6),
            "code_version": code_version(),
            "spec_digest": self.spec_digest,
        }
        return DatasetItem(f"{seed:010d}", self.source(seed), picture, mask, provenance)

    def shown(self, masks: Picture) -> Picture:
        """Which of `balanced` each of masks [N, R, R] shows: uint8 [N, P]."""
        each = [np.isin(masks, parts).any(axis=(1, 2)) for parts in self.balanced]
        return np.stack(each, axis=1).astype(np.uint8) if each else np.zeros((len(masks), 0), np.uint8)


def read_task(attempt: Attempt) -> DatasetTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, GenerateDatasetSpec)
    bundle = attempt.models.bundle(model)
    names = spec.balance.parts if spec.balance is not None else ()
    return DatasetTask(
        spec,
        model,
        bundle,
        tuple(_read(attempt, use, model, index) for index, use in enumerate(spec.vectors)),
        tuple(resolve_parts([each], model.parts, model.groups, field="balance.parts") for each in names),
        AttemptSink(attempt),
        chunk=attempt.tensor_batch(CHUNKS[bundle.device.type]),
    )


def _read(attempt: Attempt, use: StrengthRange, model: Model, index: int) -> Ranged:
    vector = attempt.stores.library.get_vector(attempt.job.tenant_id, use.vector)
    if not vector.fits(model):
        detail = f"Vector {vector.id} was learned on another generator."
        raise InvalidInput(detail, field=f"vectors.{index}.vector")
    delta_w = load(attempt.stores.objects.get(vector.files["delta_w"]))["delta_w"]
    low, high = use.strength
    return Ranged(vector, delta_w, Range(vector.id, low, high))
