"""The segmentation branch: part logits from the generator's features.

An ensemble of small per-pixel classifiers on all features, brought to picture size and concatenated.
The first layer is linear and so is resizing: it is applied at each map's own resolution and the results
are resized, which gives the same numbers for less work. Reading resized maps at a pixel is a weighted sum of
four rows of each: one embedding bag over the rows of all of them, in one pass over memory.
Source: Zhang et al. 2021 (DatasetGAN); Ling et al. 2021 (EditGAN).
"""

import functools
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import repeat

import torch
import torch.nn.functional as F
from torch import nn

from gpu_ops.stylegan2.precision import low_precision_dtype

PIECE = 512  # pixels
KEPT = 1 << 16  # pixels of pictures for which it is kept where they lie in each map: about 20 MB
BATCH_NORM_EPS = 1e-5
BATCH_NORM_MOMENTUM = 0.1

Bag = tuple[torch.Tensor, torch.Tensor]  # rows int64 [P, J], and what each counts, float64


@dataclass(frozen=True)
class FirstLayer:
    """What the first layer comes to, to be read at pixels.

    table    rows [V, E * H1] of the maps that the layer was applied to as they are, one after the other
    sizes    r of each of those maps
    maps     the others [N, r, r, C]
    weights  what is still to be applied to those, [C, E * H1] of all of them together
    """

    table: torch.Tensor
    sizes: tuple[int, ...]
    maps: list[torch.Tensor]
    weights: torch.Tensor

    @property
    def items(self) -> int:
        """N, where the table holds maps at all."""
        return (len(self.table) - 1) // max(sum(small * small for small in self.sizes), 1)


@dataclass(frozen=True)
class SegmenterConfig:
    """channels: of each feature map in order; parts: K; classifiers: E; widths of the hidden layers."""

    channels: tuple[int, ...]
    resolution: int
    parts: int
    classifiers: int = 10
    widths: tuple[int, int] = (128, 32)

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class EnsembleNorm(nn.Module):
    """BatchNorm over the rows of x [E, P, C], each of the E classifiers with its own statistics."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, classifiers: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(classifiers, width))
        self.bias = nn.Parameter(torch.zeros(classifiers, width))
        self.register_buffer("running_mean", torch.zeros(classifiers, width))
        self.register_buffer("running_var", torch.ones(classifiers, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, variance = self.running_mean, self.running_var
        if self.training:
            mean, variance = x.mean(dim=1), x.var(dim=1, unbiased=False)
            with torch.no_grad():
                rows = x.shape[1]
                self.running_mean.lerp_(mean, BATCH_NORM_MOMENTUM)
                self.running_var.lerp_(variance * rows / (rows - 1), BATCH_NORM_MOMENTUM)
        scale = self.weight * (variance + BATCH_NORM_EPS).rsqrt()  # [E, C]
        return x * scale[:, None] + (self.bias - mean * scale)[:, None]

    def folded_into(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight [E, O, C] and bias [E, O] of the layer that follows, with this in it: in evaluation."""
        scale = self.weight * (self.running_var + BATCH_NORM_EPS).rsqrt()  # [E, C]
        shift = self.bias - self.running_mean * scale
        return weight * scale[:, None], torch.baddbmm(bias[:, :, None], weight, shift[:, :, None])[:, :, 0]


class Segmenter(nn.Module):
    """E classifiers Linear-ReLU-BatchNorm-Linear-ReLU-BatchNorm-Linear, run side by side."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.config = config
        first, second = config.widths
        total, count = sum(config.channels), config.classifiers
        self.weight1 = nn.Parameter(_initial(count, first, total))
        self.bias1 = nn.Parameter(torch.zeros(count, first))
        self.norm1 = EnsembleNorm(count, first)
        self.weight2 = nn.Parameter(_initial(count, second, first))
        self.bias2 = nn.Parameter(torch.zeros(count, second))
        self.norm2 = EnsembleNorm(count, second)
        self.weight3 = nn.Parameter(_initial(count, config.parts, second))
        self.bias3 = nn.Parameter(torch.zeros(count, config.parts))

    def each(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits [E, P, K] of every classifier for rows of concatenated features, [P, C] or [E, P, C]."""
        if rows.dim() == 2:
            rows = rows.expand(self.config.classifiers, -1, -1)
        return self._rest(torch.baddbmm(self.bias1[:, None], rows, self.weight1.mT))

    def _rest(self, hidden: torch.Tensor) -> torch.Tensor:
        """All that follows the first linear layer: [E, P, H1] -> [E, P, K]. May change hidden."""
        if self.training:
            hidden = self.norm1(F.relu(hidden))
            hidden = torch.baddbmm(self.bias2[:, None], hidden, self.weight2.mT)  # [E, P, H2]
            hidden = self.norm2(F.relu(hidden))
            return torch.baddbmm(self.bias3[:, None], hidden, self.weight3.mT)  # [E, P, K]
        weight2, bias2 = self.norm1.folded_into(self.weight2, self.bias2)
        weight3, bias3 = self.norm2.folded_into(self.weight3, self.bias3)
        hidden = torch.baddbmm(bias2[:, None], F.relu_(hidden), weight2.mT)  # [E, P, H2]
        return torch.baddbmm(bias3[:, None], F.relu_(hidden), weight3.mT)  # [E, P, K]

    def logits_at(self, features: list[torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
        """Logits [P, K], averaged over the classifiers, of the pixels alone; arguments as of each_at."""
        return self.each_at(features, pixels).mean(dim=0)

    def each_at(self, features: list[torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
        """Logits [E, P, K] of every classifier, of the pixels alone.

        features  [N, C, r, r] each, as the generator gives them
        pixels    int64 [P], indices into the flattened [N, R, R] pictures
        """
        return self._each(self._first(features, len(pixels)), pixels)

    def _first(self, features: list[torch.Tensor], count: int) -> FirstLayer:
        """The first layer, to be read at `count` pixels: applied to the maps that have fewer than that."""
        rows, sizes, maps, start = [self.bias1.reshape(1, -1)], [], [], 0
        for group in by_resolution(features):
            near = torch.cat(group, dim=1).permute(0, 2, 3, 1)  # [N, r, r, C]
            if near[..., 0].numel() < count:
                stop = start + near.shape[3]
                rows.append((near.flatten(0, 2) @ self._weights(start, stop)).to(self.bias1.dtype))
                sizes.append(near.shape[1])
                start = stop
            else:  # and so do all that follow: they are no smaller
                maps.append(near)
        return FirstLayer(torch.cat(rows), tuple(sizes), maps, self._weights(start, self.weight1.shape[2]))

    def _weights(self, start: int, stop: int) -> torch.Tensor:
        """The first layer's, of some of the channels: a view [C, E * H1]."""
        return self.weight1[:, :, start:stop].flatten(0, 1).T

    def _each(self, layer: FirstLayer, pixels: torch.Tensor, where: Bag | None = None) -> torch.Tensor:
        """where: what bag_at says of the pixels, if it is known."""
        size = self.config.resolution
        hidden = read_all(layer.table, where or bag_at(layer.sizes, layer.items, pixels, size))  # [P, E * H1]
        if layer.maps:
            more = torch.cat([resize_at(rows, pixels, size) for rows in layer.maps], dim=1)
            if low_precision_dtype(more) is None:
                hidden.addmm_(more, layer.weights)  # nothing as large is allocated: a tenth of predict
            else:
                hidden += more @ layer.weights  # what autocast leaves alone when it is in place
        count = self.config.classifiers
        hidden = hidden.reshape(len(pixels), count, self.config.widths[0]).transpose(0, 1)  # [E, P, H1]
        return self._rest(hidden)

    def logits(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Logits [N, K, R, R] of whole pictures, averaged over the classifiers.

        On a CPU some pixels at a time: the hidden layer of a 64 px picture is 21 MB, pieces stay in cache.
        """
        items, size = features[0].shape[0], self.config.resolution
        pixels = torch.arange(items * size * size, device=features[0].device)
        layer = self._first(features, len(pixels))
        if pixels.device.type != "cpu":
            flat = self._each(layer, pixels).mean(dim=0)  # [N * R * R, K]
        else:
            few = len(pixels) <= KEPT
            bags: Iterable[Bag | None] = _bags(layer.sizes, items, size) if few else repeat(None)
            pieces = zip(pixels.split(PIECE), bags, strict=False)
            flat = torch.cat([self._each(layer, piece, where).mean(dim=0) for piece, where in pieces])
        return flat.reshape(items, size, size, -1).permute(0, 3, 1, 2)

    def predict(self, features: list[torch.Tensor]) -> torch.Tensor:
        """The likeliest part of each pixel: int64 [N, R, R]. One item at a time, for the memory it takes."""
        items = range(len(features[0]))
        each = [self.logits([maps[n : n + 1] for maps in features]).argmax(dim=1) for n in items]
        return torch.cat(each)


def resize_at(rows: torch.Tensor, pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Bilinear resize of rows [N, r, r, C] to size, read at pixels alone: [P, C]."""
    small = rows.shape[1]
    flat = rows.flatten(0, 2)  # [N * r * r, C]
    if small == size:
        return flat[pixels]
    corners, shares = _corners(pixels, small, size)
    return F.embedding_bag(corners, flat, per_sample_weights=shares.to(flat), mode="sum")


def bag_at(sizes: tuple[int, ...], items: int, pixels: torch.Tensor, size: int) -> Bag:
    """Which rows of a first layer's table are summed at each pixel, and what each counts: [P, J] both."""
    corners = [torch.zeros_like(pixels)[:, None]]  # the bias
    shares = [torch.ones_like(corners[0], dtype=torch.double)]
    below = 1
    for small in sizes:
        rows, counts = _corners(pixels, small, size)
        corners.append(rows + below)
        shares.append(counts)
        below += items * small * small
    return torch.cat(corners, dim=1), torch.cat(shares, dim=1)


@functools.lru_cache(maxsize=8)
def _bags(sizes: tuple[int, ...], items: int, size: int) -> tuple[Bag, ...]:
    """bag_at of all pieces of whole pictures, on the CPU: the same at each forward pass, a fifth of it."""
    pieces = torch.arange(items * size * size).split(PIECE)
    return tuple(bag_at(sizes, items, piece, size) for piece in pieces)


def read_all(table: torch.Tensor, where: Bag) -> torch.Tensor:
    """The sum of several maps, each resized, at pixels alone, and of a bias: [P, C].

    table  rows of the bias [1, C], then of each map [N * r * r, C], one after the other
    where  of these pixels, as of bag_at
    """
    rows, counts = where
    return F.embedding_bag(rows, table, per_sample_weights=counts.to(table), mode="sum")


def _corners(pixels: torch.Tensor, small: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Between which rows of a map each pixel lies, and what each counts: [P, 4]; of its own: [P, 1]."""
    if small == size:
        return pixels[:, None], torch.ones_like(pixels, dtype=torch.double)[:, None]
    item = pixels // (size * size)
    top, bottom, down = _neighbours(pixels // size % size, small, size)
    left, right, across = _neighbours(pixels % size, small, size)
    rows = [(item * small + y) * small + x for y in (top, bottom) for x in (left, right)]
    shares = [v * h for v in (1 - down, down) for h in (1 - across, across)]
    return torch.stack(rows, dim=1), torch.stack(shares, dim=1)


def _neighbours(at: torch.Tensor, small: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The two coordinates between which `at` lies in the smaller map, and the way from one to the other."""
    place = ((at.double() + 0.5) * small / size - 0.5).clamp(min=0)
    low = place.floor().long()
    return low, (low + 1).clamp(max=small - 1), place - low


def by_resolution(features: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Neighbouring maps of one size together; the order of channels stays."""
    groups: list[list[torch.Tensor]] = []
    for maps in features:
        if groups and groups[-1][0].shape[-1] == maps.shape[-1]:
            groups[-1].append(maps)
        else:
            groups.append([maps])
    return groups


def _initial(classifiers: int, outputs: int, inputs: int) -> torch.Tensor:
    """He initialisation, independent for each classifier: [E, outputs, inputs]."""
    weight: torch.Tensor = torch.randn(classifiers, outputs, inputs) * (2 / inputs) ** 0.5
    return weight
