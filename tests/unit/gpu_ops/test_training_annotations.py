"""16 annotations against 200: which are chosen, and that more of them teach more."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.training.annotations import annotated, compare, masks_of
from gpu_ops.training.domains import DOMAINS

TYPES = ("coupe", "sedan", "van")


def test_the_few_are_those_of_the_domain_and_the_first_of_the_many() -> None:
    scenes = [{"body_type": TYPES[index % 3]} for index in range(300)]
    few, many = annotated(DOMAINS["cars"], scenes, 200)
    assert few == DOMAINS["cars"].annotated(scenes)
    assert many[: len(few)] == few
    assert len(set(many)) == len(many) == 200


@pytest.mark.thorough
def test_more_annotations_of_the_same_head_and_steps_teach_more(
    tiny: Bundle, codes: Callable[..., torch.Tensor]
) -> None:
    learned, shown = codes(8), codes(6, seed=9)
    masks, wanted = (masks_of(tiny, tiny.segmenter, each) for each in (learned, shown))
    annotations = {1: (learned[:1], masks[:1]), 8: (learned, masks)}
    found = compare(tiny, annotations, {"renders": (shown, wanted)}, 150, range(1))
    few, many = (found["miou"][count]["renders"][0] for count in ("1", "8"))
    assert few < many
    assert found["share"]["renders"] == pytest.approx(few / many, abs=1e-3)
    assert masks.dtype == np.uint8
