"""DatasetGAN's pixel classifiers, EditGAN's too, as this project's Segmenter.

Each file is one classifier: Linear-ReLU-BatchNorm-Linear-ReLU-BatchNorm-Linear, its layers numbered under
some prefix. What the layers are called is not relied on: their order and shapes say what they are.
"""

import re
from collections.abc import Iterable, Sequence

import torch

from gpu_ops.importers.generators import check_shapes
from gpu_ops.importers.refusals import LayoutMismatch
from gpu_ops.importers.sandbox import Checkpoint
from gpu_ops.segmenter import Segmenter, SegmenterConfig
from gpu_ops.stylegan2.generator import Generator

_LINEAR = {"weight", "bias"}
_NORM = {"weight", "bias", "running_mean", "running_var"}
_LAYERS = ("linear", "norm", "linear", "norm", "linear")
_OURS = (
    {"weight": "weight1", "bias": "bias1"},
    {name: f"norm1.{name}" for name in _NORM},
    {"weight": "weight2", "bias": "bias2"},
    {name: f"norm2.{name}" for name in _NORM},
    {"weight": "weight3", "bias": "bias3"},
)

Layers = list[dict[str, torch.Tensor]]


def is_classifier(checkpoint: Checkpoint) -> bool:
    kinds = [_kind(layer) for layer in _layers(checkpoint)]
    return checkpoint.format == "state_dict" and tuple(kinds) == _LAYERS


def feature_channels(generator: Generator) -> tuple[int, ...]:
    """Channels of the learned constant and of each styled convolution's output."""
    constant = generator.get_parameter("synthesis.b4.const")
    layers = (
        weight.shape[0]
        for name, weight in generator.named_parameters()
        if re.fullmatch(r"synthesis\.b\d+\.conv[01]\.weight", name)
    )
    return (constant.shape[0], *layers)


def import_segmenter(classifiers: Sequence[Checkpoint], generator: Generator) -> Segmenter:
    """The ensemble of all classifiers, in the order of their files' names.

    Raises LayoutMismatch where they do not fit the generator's features, or each other.
    """
    ordered = sorted(classifiers, key=lambda checkpoint: _natural(checkpoint.path.name))
    each = [_renamed(checkpoint) for checkpoint in ordered]
    channels, first = feature_channels(generator), each[0]
    config = SegmenterConfig(
        channels,
        generator.config.resolution,
        parts=first["weight3"].shape[0],
        classifiers=len(each),
        widths=(first["weight1"].shape[0], first["weight2"].shape[0]),
    )
    with torch.device("meta"):
        segmenter = Segmenter(config)
    expected = {name: tuple(tensor.shape[1:]) for name, tensor in segmenter.state_dict().items()}
    for checkpoint, tensors in zip(ordered, each, strict=True):
        try:
            check_shapes(tensors, expected)
        except LayoutMismatch as mismatch:
            raise LayoutMismatch(
                f"{checkpoint.path.name} does not fit the generator's features ({sum(channels)} channels "
                f"at {config.resolution} px) or the other classifiers: {mismatch}"
            ) from None
    segmenter.load_state_dict({name: torch.stack([t[name] for t in each]) for name in expected}, assign=True)
    return segmenter.eval().requires_grad_(False)


def _renamed(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """One classifier's tensors under the Segmenter's names, without its axis of classifiers."""
    found = {}
    for layer, names in zip(_layers(checkpoint), _OURS, strict=True):
        for name, ours in names.items():
            if not layer[name].is_floating_point():
                raise LayoutMismatch(f"{checkpoint.path.name}: {ours} is of kind {layer[name].dtype}")
            found[ours] = layer[name].float()
    return found


def _layers(checkpoint: Checkpoint) -> Layers:
    """Tensors by layer, in the order of the layers' numbers."""
    layers: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in checkpoint.tensors.items():
        layer, _, part = name.rpartition(".")
        if part != "num_batches_tracked":
            layers.setdefault(layer, {})[part] = tensor
    return [layers[name] for name in sorted(layers, key=_natural)]


def _kind(layer: dict[str, torch.Tensor]) -> str:
    dimensions = layer["weight"].dim() if "weight" in layer else 0
    if layer.keys() == _LINEAR and dimensions == 2:
        return "linear"
    return "norm" if layer.keys() == _NORM and dimensions == 1 else "other"


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts model_10 after model_9."""
    pieces: Iterable[str] = re.split(r"(\d+)", name)
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces]
