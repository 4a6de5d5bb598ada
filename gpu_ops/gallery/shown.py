"""A bundled model as the gallery shows it: its networks, its vectors, scenes, and their codes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.gallery.sheet import Palette
from gpu_ops.gallery.table import SHOWS, Effort, Show, scene_of
from gpu_ops.metrics import psnr_db
from gpu_ops.picture import Picture
from gpu_ops.refine import View, leak_db, look
from gpu_ops.score import outside_of
from gpu_ops.training.applied import Vector, load_vector_of
from gpu_ops.training.domains import DOMAINS
from gpu_ops.training.inverted import codes_of
from gpu_ops.training.starter_table import STARTERS
from gpu_ops.training.starters import load_vector

Drawn = tuple[Picture, Picture | None]


class NotShown(Exception):
    """A section lacks what it is to show; says what."""


@dataclass(frozen=True)
class Subject:
    """A picture uint8 [R, R, 3], its exact mask [R, R] where known, its code [1, L, D], and that drawn."""

    picture: Picture
    exact: Picture | None
    w_plus: torch.Tensor
    before: View

    @property
    def psnr_db(self) -> float:
        return psnr_db(self.before.pictures[0], self.picture)

    def leak_db(self, applied: View, target: Picture, q_edit: tuple[int, ...]) -> float:
        """How little `applied` changes outside what leads to the mask target [R, R]: PSNR."""
        outside = outside_of(self.before.masks[0], target, q_edit)
        return leak_db(self.before.pictures[0], applied.pictures[0], outside)


@dataclass(frozen=True)
class Shown:
    """A model's networks; vectors by name, in the order of the starters' table.

    digest  of all its files: codes that were found with others lie in `kept` under other names
    """

    name: str
    digest: str
    bundle: Bundle
    vectors: dict[str, Vector]
    show: Show
    kept: Path
    effort: Effort

    @property
    def scenes(self) -> ModuleType:
        return DOMAINS[self.name].scenes

    @property
    def palette(self) -> Palette:
        colours: Palette = self.scenes.COLOURS
        return colours

    def vector(self, name: str) -> Vector:
        """Raises NotShown."""
        if name not in self.vectors:
            raise NotShown(f"the model has no vector {name}")
        return self.vectors[name]

    def subjects(self, seeds: Sequence[int]) -> list[Subject]:
        """Scenes by their seeds from FIRST, inverted."""
        return self.inverted(
            [self.scenes.render(scene_of(self.scenes, seed), self.bundle.resolution_px) for seed in seeds]
        )

    def inverted(
        self, drawn: Sequence[Drawn], steps: int | None = None, lambda_prior: float = 0.0
    ) -> list[Subject]:
        """Pictures uint8 [R, R, 3] and exact masks [R, R], with codes found now or earlier."""
        pictures, steps = np.stack([picture for picture, _ in drawn]), steps or self.effort.inversion
        digest = hashlib.sha256(self.digest.encode() + pictures.tobytes()).hexdigest()[:16]
        kept = self.kept / f"{self.name}-{digest}-{steps}-{lambda_prior:g}.safetensors"
        codes = codes_of(self.bundle, pictures, kept, steps, lambda_prior=lambda_prior)
        return [
            Subject(picture, exact, code[None], look(self.bundle, code[None]))
            for (picture, exact), code in zip(drawn, codes, strict=True)
        ]


def read_model(folder: Path, kept: Path, effort: Effort, device: str = "cpu") -> Shown:
    """Raises WeightsError where the folder holds no whole model, NotShown where nothing is known of it."""
    bundle = load_bundle(folder, device)
    name = bundle.description["name"]
    if name not in SHOWS:
        raise NotShown(f"the gallery's table knows no {name}")
    paths = {load_vector(path)[1]["name"]: path for path in folder.glob("vectors/*.safetensors")}
    known = [starter.name for starter in STARTERS[name]]
    order = sorted(paths, key=lambda each: (known.index(each) if each in known else len(known), each))
    vectors = {each: load_vector_of(bundle, paths[each]) for each in order}
    files = [folder / file for file in sorted(bundle.description["files"].values())]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return Shown(name, digest, bundle, vectors, SHOWS[name], kept, effort)
