"""What stands for the segmenter of a model that has had no annotations yet."""

from collections.abc import Sequence

import torch
from torch import nn

from gpu_ops.errors import IncompleteModelError
from gpu_ops.segmenter import FirstLayer, Segmenter, SegmenterConfig

NEEDS_ANNOTATIONS = "the model has no segmenter yet: train one from annotated pictures (train_segmenter)"


class Unannotated(Segmenter):
    """Knows no parts: a picture is all part 0. So a model can sample and invert before it is annotated."""

    def __init__(self, resolution: int, parts: int = 1) -> None:
        nn.Module.__init__(self)
        self.config = SegmenterConfig((), resolution, parts, classifiers=0, widths=(0, 0))

    def each(self, rows: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Raises IncompleteModelError."""
        raise IncompleteModelError(NEEDS_ANNOTATIONS)

    def _first(self, groups: list[list[torch.Tensor]], used: Sequence[torch.Tensor | None]) -> FirstLayer:  # noqa: ARG002
        """Raises IncompleteModelError."""
        raise IncompleteModelError(NEEDS_ANNOTATIONS)

    def predict(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Zeros int64 [N, R, R]."""
        size = self.config.resolution
        return torch.zeros(len(features[0]), size, size, dtype=torch.int64, device=features[0].device)
