"""The segmentation branch: part logits from the generator's features.

An ensemble of small per-pixel classifiers on all features, brought to picture size and concatenated.
The first layer is linear and so is resizing: it is applied at each map's own resolution, to those of its rows
that are read, and the results are resized (gpu_ops/reading.py): the same numbers for less work.
Source: Zhang et al. 2021 (DatasetGAN); Ling et al. 2021 (EditGAN).
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from gpu_ops.reading import Bag, Places, bag_at, resize_at
from gpu_ops.stylegan2.precision import low_precision_dtype

PIECE = 512  # pixels
KEPT = 1 << 16  # pixels of pictures for which it is kept where they lie in each map: about 20 MB
BATCH_NORM_EPS = 1e-5
BATCH_NORM_MOMENTUM = 0.1


@dataclass(frozen=True)
class FirstLayer:
    """What the first layer comes to, to be read at pixels.

    table    rows [V, E * H1]: the bias, and of the maps that the layer was applied to, one after the other
    maps     the others [N, r, r, C]
    weights  what is still to be applied to those, [C, E * H1] of all of them together
    rest     what follows: [E, P, H1] -> [E, P, K]
    """

    table: torch.Tensor
    maps: list[torch.Tensor]
    weights: torch.Tensor
    rest: Callable[[torch.Tensor], torch.Tensor]


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
        hidden = F.relu_(torch.baddbmm(self.bias1[:, None], rows, self.weight1.mT))  # [E, P, H1]
        if not self.training:
            return self._folded()(hidden)
        hidden = torch.baddbmm(self.bias2[:, None], self.norm1(hidden), self.weight2.mT)  # [E, P, H2]
        hidden = self.norm2(F.relu(hidden))
        return torch.baddbmm(self.bias3[:, None], hidden, self.weight3.mT)  # [E, P, K]

    def _folded(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """All that follows the first layer and its ReLU, in evaluation: [E, P, H1] -> [E, P, K]."""
        weight2, bias2 = self.norm1.folded_into(self.weight2, self.bias2)
        weight3, bias3 = self.norm2.folded_into(self.weight3, self.bias3)

        def rest(hidden: torch.Tensor) -> torch.Tensor:
            hidden = torch.baddbmm(bias2[:, None], hidden, weight2.mT)  # [E, P, H2]
            return torch.baddbmm(bias3[:, None], F.relu_(hidden), weight3.mT)  # [E, P, K]

        return rest

    def logits_at(self, features: list[torch.Tensor], places: Places) -> torch.Tensor:
        """Logits [P, K], averaged over the classifiers, of some pixels alone; arguments as of each_at."""
        return self.each_at(features, places).mean(dim=0)

    def each_at(self, features: list[torch.Tensor], places: Places) -> torch.Tensor:
        """Logits [E, P, K] of every classifier, of some pixels alone.

        features  [N, C, r, r] each, as the generator gives them
        """
        groups = by_resolution(features)
        within = places.within(sizes_of(groups), len(features[0]))
        return self._each(self._first(groups, within.used), within.bag, places.pixels)

    def _first(self, groups: list[list[torch.Tensor]], used: Sequence[torch.Tensor | None]) -> FirstLayer:
        """The first layer, applied to the maps of as many groups as there are in `used`: to these of their
        rows, or to all."""
        rows, maps, start = [self.bias1.reshape(1, -1)], [], 0
        for index, group in enumerate(groups):
            near = torch.cat(group, dim=1).permute(0, 2, 3, 1)  # [N, r, r, C]
            if index >= len(used):
                maps.append(near)
                continue
            flat, some, stop = near.flatten(0, 2), used[index], start + near.shape[3]
            if some is not None:
                flat = flat.index_select(0, some)
            rows.append((flat @ self._weights(start, stop)).to(self.bias1.dtype))
            start = stop
        weights = self._weights(start, self.weight1.shape[2])
        return FirstLayer(torch.cat(rows), maps, weights, self._folded())

    def _weights(self, start: int, stop: int) -> torch.Tensor:
        """The first layer's, of some of the channels: a view [C, E * H1]."""
        return self.weight1[:, :, start:stop].flatten(0, 1).T

    def _each(self, layer: FirstLayer, bag: Bag, pixels: torch.Tensor) -> torch.Tensor:
        """bag: what of the layer's table is read at the pixels."""
        size = self.config.resolution
        hidden = bag.read(layer.table)  # [P, E * H1]
        if layer.maps:
            more = torch.cat([resize_at(rows, pixels, size) for rows in layer.maps], dim=1)
            if low_precision_dtype(more) is None:
                hidden.addmm_(more, layer.weights)  # nothing as large is allocated: a tenth of predict
            else:
                hidden += more @ layer.weights  # what autocast leaves alone when it is in place
        hidden = F.relu_(hidden)  # of a view of it, gradients would be copied several times
        count = self.config.classifiers
        hidden = hidden.reshape(len(pixels), count, self.config.widths[0]).transpose(0, 1)  # [E, P, H1]
        return layer.rest(hidden)

    def logits(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Logits [N, K, R, R] of whole pictures, averaged over the classifiers.

        On a CPU some pixels at a time: the hidden layer of a 64 px picture is 21 MB, pieces stay in cache.
        """
        items, size, device = len(features[0]), self.config.resolution, features[0].device
        groups = by_resolution(features)
        small = tuple(side for side in sizes_of(groups) if side < size)
        layer = self._first(groups, [None] * len(small))
        flat = [
            self._each(layer, bag, pixels).mean(dim=0) for pixels, bag in _whole(small, items, size, device)
        ]
        return torch.cat(flat).reshape(items, size, size, -1).permute(0, 3, 1, 2)

    def predict(self, features: list[torch.Tensor]) -> torch.Tensor:
        """The likeliest part of each pixel: int64 [N, R, R]. One item at a time, for the memory it takes."""
        items = range(len(features[0]))
        each = [self.logits([maps[n : n + 1] for maps in features]).argmax(dim=1) for n in items]
        return torch.cat(each)


Piece = tuple[torch.Tensor, Bag]


def _whole(sizes: tuple[int, ...], items: int, size: int, device: torch.device) -> Iterable[Piece]:
    """The pixels of whole pictures, piece by piece, and what they read of a first layer's table."""
    if device.type != "cpu":
        return _pieces(sizes, items, size, items * size * size, device)
    if items * size * size <= KEPT:
        return _kept_pieces(sizes, items, size)
    return _pieces(sizes, items, size, PIECE, device)


@functools.lru_cache(maxsize=8)
def _kept_pieces(sizes: tuple[int, ...], items: int, size: int) -> tuple[Piece, ...]:
    """The same at each forward pass, a fifth of it."""
    return tuple(_pieces(sizes, items, size, PIECE, torch.device("cpu")))


def _pieces(
    sizes: tuple[int, ...], items: int, size: int, piece: int, device: torch.device
) -> Iterator[Piece]:
    for pixels in torch.arange(items * size * size, device=device).split(piece):
        yield pixels, bag_at(sizes, items, pixels, size)


def sizes_of(groups: list[list[torch.Tensor]]) -> tuple[int, ...]:
    """r of each group of maps."""
    return tuple(group[0].shape[-1] for group in groups)


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
