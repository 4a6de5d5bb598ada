"""Perceptual distance, by the `lpips` package.

With a backbone trained on ImageNet (squeezenet1_1, vgg16 or alexnet in torchvision's layout) it is LPIPS
with its calibrated heads. Those weights cannot be shipped, so a SqueezeNet trained here is bundled, used
in lpips's uncalibrated mode (all channels weigh the same) with a recorded factor on its weight.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

import gpu_ops.torchvision_shim  # noqa: F401  before lpips, which imports torchvision
from gpu_ops.errors import WeightsError
from gpu_ops.network_file import load_network

import lpips  # isort: skip

# The first weight of each backbone in torchvision's layout, and the shape that tells them apart.
BACKBONES = {
    "squeeze": ("features.0.weight", (64, 3, 3, 3), "features.3.squeeze.weight"),
    "vgg": ("features.0.weight", (64, 3, 3, 3), "features.28.weight"),
    "alex": ("features.0.weight", (64, 3, 11, 11), "features.10.weight"),
}
Features = list[torch.Tensor]


class Perceptual(nn.Module):
    """LPIPS split in two, so that the features of a constant target are computed once.

    name           which backbone this is, for the result of a job
    edit_factor    what lambda_rgb of an edit is multiplied by; 1 for calibrated LPIPS
    invert_factor  what the weight of LPIPS in an inversion is multiplied by; 1 for calibrated LPIPS
    """

    def __init__(
        self, net: str, *, calibrated: bool, name: str, edit_factor: float = 1.0, invert_factor: float = 1.0
    ) -> None:
        super().__init__()
        self.name = name
        self.edit_factor = edit_factor
        self.invert_factor = invert_factor
        self.calibrated = calibrated
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lpips asks torchvision in a way that it deprecates
            self.lpips: Any = lpips.LPIPS(net=net, lpips=calibrated, pnet_rand=True, verbose=False)
        self.requires_grad_(False)
        self.eval()
        for weight in self.parameters():  # in low precision several times faster, on a CPU
            if weight.dim() == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)

    def features(self, picture: torch.Tensor) -> Features:
        """Unit-length features of picture [N, 3, H, W] in [-1, 1], one [N, C, h, w] per layer.

        Under autocast the convolutions are in low precision, lengths and distances in the picture's.
        """
        scaled = self.lpips.scaling_layer(picture).contiguous(memory_format=torch.channels_last)
        return [lpips.normalize_tensor(layer.to(picture.dtype)) for layer in self.lpips.net(scaled)]

    def pooled(self, picture: torch.Tensor) -> torch.Tensor:
        """The last layer's features, averaged over the picture: [N, C] of picture [N, 3, H, W]."""
        deep: torch.Tensor = self.lpips.net(self.lpips.scaling_layer(picture))[-1]
        return deep.mean(dim=(2, 3))

    def distance(self, features: Features, target: Features) -> torch.Tensor:
        """Distance of two lists of features: [N]."""
        total = torch.zeros((), device=features[0].device)
        for level, (mine, theirs) in enumerate(zip(features, target, strict=True)):
            square = (mine - theirs).square()  # [N, C, h, w]
            weighed = self.lpips.lins[level](square) if self.calibrated else square
            total = total + weighed.sum(dim=1).mean(dim=(1, 2))
        return total

    def forward(self, picture: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Distance of pictures [N, 3, H, W] in [-1, 1]: [N]."""
        return self.distance(self.features(picture), self.features(target))


def load_bundled(path: Path) -> Perceptual:
    """The SqueezeNet that comes with a model: half precision, its name and factor in the metadata."""
    try:
        about, weights = load_network(path)
        network = Perceptual(
            "squeeze",
            calibrated=False,
            name=about["name"],
            edit_factor=about["edit_factor"],
            invert_factor=about["invert_factor"],
        )
        network.lpips.net.load_state_dict(in_slices(weights, network.lpips.net))
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path.name} is not a bundled perceptual backbone: {error}") from error
    return network


def load_backbone(path: Path) -> Perceptual:
    """A backbone in torchvision's layout (.pth or .safetensors), with lpips's calibrated heads.

    Raises WeightsError when the file holds no squeezenet1_1, vgg16 or alexnet.
    """
    weights = read_weights(path)
    for net, (first, shape, other) in BACKBONES.items():
        if other in weights and first in weights and tuple(weights[first].shape) == shape:
            network = Perceptual(net, calibrated=True, name=f"{net} ({path.name}), calibrated")
            try:
                network.lpips.net.load_state_dict(in_slices(weights, network.lpips.net))
            except (KeyError, RuntimeError) as error:
                raise WeightsError(f"{path.name} looks like {net} but does not fit it: {error}") from error
            return network
    raise WeightsError(f"{path.name} holds no squeezenet1_1, vgg16 or alexnet in torchvision's layout")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a .safetensors or .pth file; nothing in the file is executed."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path.name} cannot be read as weights: {type(error).__name__}") from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise WeightsError(f"{path.name} is not a plain dictionary of tensors")
    return dict(loaded)


def in_slices(weights: dict[str, torch.Tensor], net: nn.Module) -> dict[str, torch.Tensor]:
    """Rename torchvision's `features.I.*` to the `sliceJ.I.*` that lpips cuts them into."""
    return {key: weights["features." + key.split(".", 1)[1]].float() for key in net.state_dict()}
