"""A model as a folder: model.json, and safetensors files by role.

model.json   name, resolution_px, parts [{id, name, colour}], groups, files {role: filename}, description
generator    StyleGAN2        segmenter   the segmentation branch (not before it was annotated)
perceptual   the bundled backbone         judge   the independent scorer (optional)
identity     the embedder of persons (optional): the one of faces, or a caller's own
encoder      a picture's first guess of w_plus (optional)
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import nn

from gpu_ops.encoder import Encoder, EncoderConfig
from gpu_ops.errors import WeightsError
from gpu_ops.graph_identity import GRAPH_KIND, graph_identity_of
from gpu_ops.identity import Embedder, Identity, IdentityConfig
from gpu_ops.judge import Judge
from gpu_ops.network_file import load_network
from gpu_ops.perceptual import Perceptual, load_backbone, load_bundled
from gpu_ops.prior import WhitenedPrior
from gpu_ops.segmenter import Segmenter, SegmenterConfig
from gpu_ops.stylegan2.files import load_generator
from gpu_ops.stylegan2.generator import Generator
from gpu_ops.unannotated import Unannotated

M = TypeVar("M", bound=nn.Module)

DESCRIPTION = "model.json"


@dataclass
class Bundle:
    """All networks of a model, frozen and on one device. Optional ones are None where it has none.

    Where it has no segmenter yet, an Unannotated stands for it: the model can sample and invert.

    low_precision  what the steps of an edit compute in; None: float32, as pictures that are handed out are
    half           whether `draw` of gpu_ops/refine.py computes in float16: its pictures are within two grey
                   levels of float32's (bundled models)
    """

    generator: Generator
    segmenter: Segmenter
    perceptual: Perceptual
    judge: Judge | None
    prior: WhitenedPrior
    resolution_px: int
    parts: list[str]
    description: dict[str, Any]
    device: torch.device
    identity: Embedder | None = None
    encoder: Encoder | None = None
    low_precision: torch.dtype | None = None
    half: bool = False

    @property
    def precision(self) -> str:
        """What results of edits and vectors say of it: float32, or what was asked for and holds here."""
        return str(self.low_precision or torch.float32).removeprefix("torch.")

    def stepping(self) -> AbstractContextManager[None]:
        """For the forward pass of a step, never held over a yield: low precision, where the model has it."""
        low = self.low_precision
        context: AbstractContextManager[None] = torch.autocast(self.device.type, low, enabled=low is not None)
        return context

    def for_applying(self) -> "Bundle":
        """For vectors, applied by one forward pass: in float16 on a GPU where low precision was asked for. A
        CPU has no units for it."""
        return replace(self, half=self.low_precision is not None and self.device.type == "cuda")

    @torch.no_grad()
    def draw(self, w_plus: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures [N, 3, R, R] about [-1, 1] and masks int64 [N, R, R] of w_plus [N, L, D]."""
        output = self.generator.synthesise(w_plus)
        return output.picture, self.segmenter.predict(output.features)


def load_bundle(
    folder: Path, device: str | torch.device = "cpu", perceptual_weights: Path | None = None
) -> Bundle:
    """Read a model's folder; perceptual_weights replaces the bundled backbone by a calibrated one.

    Raises WeightsError naming the file that is missing or does not fit.
    """
    description = read_description(folder)
    files = {role: folder / name for role, name in description["files"].items()}
    needed = {"generator"} if perceptual_weights else {"generator", "perceptual"}
    missing = [path.name for path in files.values() if not path.is_file()]
    if missing or not needed <= files.keys():
        raise WeightsError(f"the model {folder.name} lacks {', '.join(missing or needed - files.keys())}")
    generator = _read(load_generator, files["generator"])
    judge = _read(load_judge, files["judge"]) if "judge" in files else None
    identity = _read(load_identity, files["identity"]) if "identity" in files else None
    encoder = _read(load_encoder, files["encoder"]) if "encoder" in files else None
    parts = [part["name"] for part in description["parts"]]
    segmenter: Segmenter = Unannotated(generator.config.resolution, len(parts))
    if "segmenter" in files:
        segmenter = _read(load_segmenter, files["segmenter"])
    if encoder is not None:
        _check_encoder(encoder, generator, files["encoder"])
    for role, known in (("segmenter", segmenter.config.parts), ("judge", judge.parts if judge else None)):
        if known not in (len(parts), None):
            raise WeightsError(f"{files[role].name} knows {known} parts, not {len(parts)}")
    perceptual = (
        load_backbone(perceptual_weights) if perceptual_weights else load_bundled(files["perceptual"])
    )
    place = torch.device(device)
    for network in (generator, segmenter, perceptual, judge, identity, encoder):
        if network is not None:
            network.to(place)
    bundle = draw_only(generator, segmenter, perceptual, parts)
    return replace(bundle, judge=judge, identity=identity, encoder=encoder, description=description)


def _check_encoder(encoder: Encoder, generator: Generator, path: Path) -> None:
    gives = (encoder.config.resolution, encoder.config.num_ws, encoder.config.w_dim)
    takes = (generator.config.resolution, generator.num_ws, generator.config.w_dim)
    if gives != takes:
        raise WeightsError(f"{path.name} is for (R, L, D) = {gives}, the generator's are {takes}")


def draw_only(generator: Generator, segmenter: Segmenter, perceptual: Perceptual, parts: list[str]) -> Bundle:
    """A bundle of networks in hand, on the generator's device, without judge or description."""
    return Bundle(
        generator=generator,
        segmenter=segmenter,
        perceptual=perceptual,
        judge=None,
        prior=WhitenedPrior.fit(generator),
        resolution_px=generator.config.resolution,
        parts=parts,
        description={},
        device=generator.mapping.w_avg.device,
    )


def read_description(folder: Path) -> dict[str, Any]:
    """The model.json of a folder. Raises WeightsError."""
    try:
        description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
        [description[key] for key in ("name", "resolution_px", "groups")]
        [part["name"] for part in description["parts"]]
        for name in description["files"].values():
            if Path(name).name != name:
                raise ValueError(f"{name!r} is no file of the folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{folder} holds no readable {DESCRIPTION}: {error!r}") from error
    return description


def _read(load: Callable[[Path], M], path: Path) -> M:
    """load(path), or WeightsError naming the file."""
    try:
        return load(path)
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path.name} of the model {path.parent.name} cannot be read: {error!r}"
        ) from error


def load_segmenter(path: Path) -> Segmenter:
    config, tensors = load_network(path)
    shape = {**config, "channels": tuple(config["channels"]), "widths": tuple(config["widths"])}
    return _frozen(Segmenter(SegmenterConfig(**shape)), tensors)


def load_judge(path: Path) -> Judge:
    config, tensors = load_network(path)
    return _frozen(Judge(**config), tensors)


def load_identity(path: Path) -> Embedder:
    """The embedder that is trained here, or a caller's own network that was imported."""
    config, tensors = load_network(path)
    if config.get("kind") == GRAPH_KIND:
        return graph_identity_of(config, tensors)
    return _frozen(Identity(IdentityConfig(**config)), tensors)


def load_encoder(path: Path) -> Encoder:
    config, tensors = load_network(path)
    return _frozen(Encoder(EncoderConfig(**config)), tensors)


def _frozen(network: M, tensors: dict[str, torch.Tensor]) -> M:
    network.load_state_dict(tensors)
    network.requires_grad_(False)
    network.eval()
    return network
