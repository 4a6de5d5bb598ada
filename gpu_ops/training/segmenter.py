"""Training the segmentation branch on a handful of annotated pictures, the generator frozen.

Source: Zhang et al. 2021 (DatasetGAN); Ling et al. 2021 (EditGAN).
"""

import numpy as np
import torch
import torch.nn.functional as F

from gpu_ops.picture import Picture
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.reading import resize_at
from gpu_ops.segmenter import Segmenter, SegmenterConfig, by_resolution
from gpu_ops.stylegan2.generator import Generator
from gpu_ops.training.tensors import adam_state, network_state, restore_adam, restore_network

PIXELS = 64
LR = 1e-3
TABLE_BYTES, TABLE_CHUNK = 1 << 30, 1 << 14


def segmenter_for(
    generator: Generator,
    parts: int,
    *,
    classifiers: int = 10,
    widths: tuple[int, int] | None = None,
    seed: int | None = None,
) -> Segmenter:
    """An untrained segmenter that fits a generator; wider where there are 32 parts or more.

    Its weights are drawn from `seed`, or where there is none from torch's own random numbers.
    """
    with torch.no_grad():
        features = generator.synthesise(generator.mapping.w_avg.expand(1, generator.num_ws, -1)).features
    channels = tuple(maps.shape[1] for maps in features)
    hidden = widths or ((256, 128) if parts >= 32 else (128, 32))
    config = SegmenterConfig(channels, generator.config.resolution, parts, classifiers, hidden)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return Segmenter(config).to(features[0].device)


class FeatureMaps:
    """The generator's features of N codes, read a pixel at a time.

    Each map is kept at its own resolution: brought to picture size, 16 pictures of 256 px would take 20 GB,
    where so they take 1. Small pictures are brought to size once, which makes reading faster.
    """

    @torch.no_grad()
    def __init__(self, generator: Generator, w_plus: torch.Tensor) -> None:
        self.size = generator.config.resolution
        each = [by_resolution(generator.synthesise(code[None]).features) for code in w_plus]
        self.maps = [
            torch.cat([torch.cat(group, dim=1).permute(0, 2, 3, 1) for group in groups])
            for groups in zip(*each, strict=True)
        ]  # [N, r, r, C] each
        self.table: torch.Tensor | None = None
        pixels = len(w_plus) * self.size**2
        if pixels * sum(maps.shape[3] * maps.element_size() for maps in self.maps) <= TABLE_BYTES:
            every = torch.arange(pixels, device=w_plus.device)
            self.table = torch.cat([self._resized(some) for some in every.split(TABLE_CHUNK)])

    def rows(self, pixels: torch.Tensor) -> torch.Tensor:
        """Concatenated features [P, C] of pixels int64 [P], indices into the flattened [N, R, R]."""
        return self._resized(pixels) if self.table is None else self.table[pixels]

    def _resized(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.cat([resize_at(maps, pixels, self.size) for maps in self.maps], dim=1)


def train_segmenter(
    segmenter: Segmenter,
    generator: Generator,
    w_plus: torch.Tensor,
    masks: Picture,
    *,
    steps: int = 6000,
    seed: int = 0,
    resume: State | None = None,
) -> Steps[int]:
    """Train on codes w_plus [N, L, D] with their masks uint8 [N, R, R], yielding Progress each step.

    Each classifier sees 64 random pixels of its own per step; Adam 1e-3. Leaves it frozen, in evaluation
    mode. Returns how many steps were done: fewer than `steps` when sent True.
    """
    features = FeatureMaps(generator, w_plus)
    device = w_plus.device
    labels = torch.from_numpy(np.ascontiguousarray(masks)).to(device).long().flatten()  # [N * R * R]
    rng = torch.Generator().manual_seed(seed)
    segmenter.requires_grad_(True).train()
    optimiser = torch.optim.Adam(segmenter.parameters(), lr=LR)
    shape = (segmenter.config.classifiers, PIXELS)
    done = 0
    if resume is not None:
        done = int(resume["step"])
        rng.set_state(resume["rng"])
        restore_network(segmenter, resume, "network")
        restore_adam(optimiser, resume, "adam")

    def state() -> State:
        own = network_state(segmenter, "network") | adam_state(optimiser, "adam")
        return own | {"step": torch.tensor(done), "rng": rng.get_state()}

    while done < steps:
        chosen = torch.randint(len(labels), shape, generator=rng).to(device)  # [E, P]
        rows = features.rows(chosen.flatten()).unflatten(0, shape)  # [E, P, C]
        logits = segmenter.each(rows)  # [E, P, K]
        loss = F.cross_entropy(logits.flatten(0, 1), labels[chosen].flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        done += 1
        enough = yield Progress(done, steps, {"ce": float(loss.detach())}, state=state)
        if enough:
            break
    segmenter.requires_grad_(False).eval()
    return done


def folds(count: int, parts: int, seed: int) -> list[list[int]]:
    """`count` pictures dealt out at random into so many parts, as equal as can be: sorted indices."""
    shuffled = np.random.default_rng(seed).permutation(count)
    return [sorted(shuffled[start::parts].tolist()) for start in range(parts)]
