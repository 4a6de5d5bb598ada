"""The edit as published, in its plain form: what every speed is a ratio to.

The pictures' features are resized to the picture's size and concatenated, each of the ten classifiers runs on
all pixels and its loss is read in the region, LPIPS sees both pictures at every step, one picture at a time,
float32, eager. Each modulated convolution modulates its own weights. Written from the papers, with the same
library, threads and weights as gpu_ops and no copy that can be left out; it takes from gpu_ops nothing but
weights and the regions of eq. 1.
Source: Ling et al. 2021 (EditGAN), eqs. 1 to 5; Karras et al. 2020 (StyleGAN2).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from gpu_ops.bundle import Bundle
from gpu_ops.segmenter import Segmenter

Weights = dict[str, torch.Tensor]
Resize = Literal["nearest", "bilinear"]


def dense(w: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    weight = weights[f"{name}.weight"]
    return F.linear(w, weight * weight.shape[1] ** -0.5, weights[f"{name}.bias"])


def filtered(x: torch.Tensor, kernel: torch.Tensor, padding: tuple[int, int]) -> torch.Tensor:
    """Each channel of x [1, C, H, W] padded and filtered, as C pictures of one channel."""
    x = F.pad(x, (*padding, *padding)).transpose(0, 1)
    return F.conv2d(x, kernel[None, None]).transpose(0, 1)


def doubled(picture: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """[1, C, H, W] -> [1, C, 2H, 2W]: zeros between, and the filter with a gain of 4."""
    rows = F.conv_transpose2d(picture.transpose(0, 1), (4 * kernel)[None, None], stride=2, padding=1)
    return rows.transpose(0, 1)


def styled(x: torch.Tensor, w: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    """x [1, I, r, r] under w [1, D] -> [1, O, R, R]; doubles the size in layers named conv0."""
    style = dense(w, weights, f"{name}.affine")  # [1, I]
    kernel = weights[f"{name}.weight"] * style[:, :, None, None]  # [O, I, 3, 3]
    kernel = kernel * torch.rsqrt(kernel.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
    if name.endswith("conv0"):
        x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)
        x = filtered(x, 4 * weights[f"{name}.resample_filter"], (1, 1))
    else:
        x = F.conv2d(x, kernel, padding=1)
    x = x + weights[f"{name}.noise_const"] * weights[f"{name}.noise_strength"]
    x = x + weights[f"{name}.bias"][:, None, None]
    return F.leaky_relu(x, 0.2) * 2**0.5


def synthesise(
    w_plus: torch.Tensor, weights: Weights, resolution: int
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """w_plus [1, L, D] -> the picture [1, 3, R, R] and all features [1, C, r, r]."""
    x = weights["synthesis.b4.const"][None]
    features, at, size = [x], 0, 4
    picture = torch.empty(0)
    while size <= resolution:
        block = f"synthesis.b{size}"
        for layer in ("conv1",) if size == 4 else ("conv0", "conv1"):
            x = styled(x, w_plus[:, at], weights, f"{block}.{layer}")
            features.append(x)
            at += 1
        style = dense(w_plus[:, at], weights, f"{block}.torgb.affine") * x.shape[1] ** -0.5
        colour = F.conv2d(x, weights[f"{block}.torgb.weight"] * style[:, :, None, None])
        colour = colour + weights[f"{block}.torgb.bias"][:, None, None]
        if size > 4:
            colour = colour + doubled(picture, weights[f"{block}.conv0.resample_filter"])
        picture, size = colour, 2 * size
    return picture, features


def separate(segmenter: Segmenter) -> list[nn.Sequential]:
    """The ensemble's classifiers, one network each, frozen."""
    own = segmenter.state_dict()
    first, second = segmenter.config.widths
    names = {"0": "1", "3": "2", "6": "3"}
    networks = []
    for index in range(segmenter.config.classifiers):
        network = nn.Sequential(
            nn.Linear(sum(segmenter.config.channels), first),
            nn.ReLU(inplace=True),
            nn.BatchNorm1d(first),
            nn.Linear(first, second),
            nn.ReLU(inplace=True),
            nn.BatchNorm1d(second),
            nn.Linear(second, segmenter.config.parts),
        )
        state = {
            f"{layer}.{kind}": own[f"{kind}{n}"][index]
            for layer, n in names.items()
            for kind in ("weight", "bias")
        }
        for layer, norm in (("2", "norm1"), ("5", "norm2")):
            for kind in ("weight", "bias", "running_mean", "running_var"):
                state[f"{layer}.{kind}"] = own[f"{norm}.{kind}"][index]
        network.load_state_dict(state, strict=False)
        networks.append(network.to(own["weight1"]).eval().requires_grad_(False))
    return networks


@dataclass(frozen=True)
class Step:
    """What a step came to, at the value before it: losses as numbers, the picture [1, 3, R, R]."""

    losses: dict[str, float]
    picture: torch.Tensor


class PublishedEdit:
    """One edit of one picture; `steps` yields without end.

    w_plus [1, L, D]; roi bool [1, R, R]; target int64 [1, R, R]; inverted [1, 3, R, R], what w_plus draws
    resize  how features come to the picture's size: nearest as published; bilinear as gpu_ops does it
    """

    def __init__(
        self,
        bundle: Bundle,
        w_plus: torch.Tensor,
        roi: torch.Tensor,
        target: torch.Tensor,
        *,
        resize: Resize = "nearest",
        rgb: float = 15.0,
        ce: float = 1.0,
    ) -> None:
        self.weights: Weights = {name: t.detach() for name, t in bundle.generator.state_dict().items()}
        self.classifiers = separate(bundle.segmenter)
        self.perceptual = bundle.perceptual.lpips
        self.w_plus, self.roi, self.resize, self.rgb, self.ce = w_plus, roi, resize, rgb, ce
        self.resolution = bundle.resolution_px
        self.outside = (~roi)[:, None].to(w_plus.dtype)  # [1, 1, R, R]
        self.wanted = target[roi]  # [P]
        with torch.no_grad():
            self.inverted, _ = synthesise(w_plus, self.weights, self.resolution)
            self.kept = self.inverted * self.outside

    def losses(self, delta_w: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        picture, features = synthesise(self.w_plus + delta_w, self.weights, self.resolution)
        kept = picture * self.outside
        rgb = self.perceptual(kept, self.kept).sum() + (kept - self.kept).square().mean() / 4
        logits = self.logits(features)  # [R * R, K]
        ce = F.cross_entropy(logits[self.roi.flatten()], self.wanted)
        return {"total": self.rgb * rgb + self.ce * ce, "rgb": rgb, "ce": ce}, picture

    def logits(self, features: list[torch.Tensor]) -> torch.Tensor:
        size = (self.resolution, self.resolution)
        options = {} if self.resize == "nearest" else {"align_corners": False}
        resized = [F.interpolate(maps, size, mode=self.resize, **options) for maps in features]
        rows = torch.cat(resized, dim=1).flatten(2)[0].T  # [R * R, C], a view
        total = self.classifiers[0](rows)
        for classifier in self.classifiers[1:]:
            total = total + classifier(rows)
        return total / len(self.classifiers)

    def steps(self, lr: float = 0.02) -> Iterator[Step]:
        delta_w = torch.zeros_like(self.w_plus, requires_grad=True)
        optimiser = torch.optim.Adam([delta_w], lr=lr)
        while True:
            losses, picture = self.losses(delta_w)
            optimiser.zero_grad()
            losses["total"].backward()
            optimiser.step()
            yield Step({name: value.item() for name, value in losses.items()}, picture.detach())
