"""The model and the edit that speeds are measured on: random weights of the published sizes, fixed seeds.

Base 16384 (32768 from 512 px on), 32 parts, 10 classifiers, LPIPS-VGG with its calibrated heads and random
weights, a region of a tenth of the picture. Random networks cost what trained ones do.
"""

import functools
from dataclasses import dataclass

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.edit_objective import EditObjective
from gpu_ops.perceptual import Perceptual
from gpu_ops.presets import PRESETS
from gpu_ops.prior import WhitenedPrior
from gpu_ops.reading import resize_at
from gpu_ops.roi import default_buffer_px
from gpu_ops.segmenter import Segmenter
from gpu_ops.stylegan2.generator import Generator, GeneratorConfig
from gpu_ops.training.segmenter import segmenter_for

PARTS, CLASSIFIERS, SEED = 32, 10, 7
NEW_PART = PARTS - 1  # shown nowhere before the edit
AGAINST = 4.0  # how far its logit lies below the others'
WEIGHTS = PRESETS["paper"]


def published_model(resolution: int = 256, device: str = "cpu") -> Bundle:
    """As published; below 64 px it is narrow, to try the code that measures it."""
    torch.manual_seed(SEED)
    width = 512 if resolution >= 64 else 32
    base = 32768 if resolution >= 512 else 16384
    config = GeneratorConfig(resolution, width, width, 8, base, width)
    generator = Generator(config).eval().requires_grad_(False)
    segmenter = segmenter_for(generator, parts=PARTS, classifiers=CLASSIFIERS).eval().requires_grad_(False)
    _settle(generator, segmenter)
    for network in (generator, segmenter):
        network.to(device)
    return Bundle(
        generator=generator,
        segmenter=segmenter,
        perceptual=_vgg(device),
        judge=None,
        prior=WhitenedPrior(torch.eye(width, device=device)),
        resolution_px=resolution,
        parts=[f"part {n}" for n in range(PARTS)],
        description={},
        device=torch.device(device),
    )


@functools.cache
def _vgg(device: str) -> Perceptual:
    """Of all models: making its random weights takes seconds."""
    torch.manual_seed(SEED)
    return Perceptual("vgg", calibrated=True, name="vgg, random").to(device)


@torch.no_grad()
def _settle(generator: Generator, segmenter: Segmenter) -> None:
    """Noise that is there, statistics of the segmenter's own inputs, and no pixel of the new part."""
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.1)
    features = generator.synthesise(generator.map(torch.randn(1, generator.config.z_dim))).features
    pixels = torch.randint(segmenter.config.resolution**2, (256,))
    rows = torch.cat(
        [resize_at(maps.permute(0, 2, 3, 1), pixels, segmenter.config.resolution) for maps in features], dim=1
    )
    segmenter.train()
    for _ in range(40):
        segmenter.each(rows)
    segmenter.eval()
    segmenter.bias3 -= segmenter.each(rows).mean(dim=(0, 1))
    segmenter.bias3[:, NEW_PART] -= AGAINST


@dataclass(frozen=True)
class Aim:
    """w_plus [N, L, D]; target int64 [N, R, R]; roi bool [N, R, R], as gpu_ops finds it."""

    w_plus: torch.Tensor
    target: torch.Tensor
    roi: torch.Tensor
    ours: EditObjective


def aim_at(bundle: Bundle, *, items: int = 1, share: float = 0.1) -> Aim:
    """N edits that turn a square in the middle, with its buffer `share` of the picture, into a new part."""
    size = bundle.resolution_px
    z = torch.randn(items, bundle.generator.config.z_dim, generator=torch.Generator().manual_seed(SEED))
    with torch.no_grad():
        w_plus = bundle.generator.map(z.to(bundle.device)).contiguous()
    target = bundle.draw(w_plus)[1]
    buffer = default_buffer_px(size)
    side = round(size * share**0.5) - 2 * buffer
    start = (size - side) // 2
    target[:, start : start + side, start : start + side] = NEW_PART
    ours = EditObjective(bundle, w_plus, target, (NEW_PART,), WEIGHTS, buffer)
    return Aim(w_plus, target, ours.roi, ours)
