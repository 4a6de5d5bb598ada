"""The edit of gpu_ops is the published one, for less work: the same losses at each step, and pictures."""

from itertools import islice

import pytest
import torch
from benchmarks.published import PublishedEdit, Resize, Step

from gpu_ops.bundle import Bundle
from gpu_ops.descent import Descent, Sloping
from gpu_ops.edit_objective import EditObjective
from gpu_ops.presets import PRESETS

pytestmark = pytest.mark.thorough

STEPS, LR = 12, 0.02
WHEEL = (2, 3)


@pytest.fixture
def edits(tiny64: Bundle, codes) -> tuple[EditObjective, torch.Tensor]:
    w_plus = codes(1).double()
    target = tiny64.draw(w_plus)[1].roll(3, dims=2)
    with torch.no_grad():
        for name, parameter in tiny64.generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.1)
    return EditObjective(tiny64, w_plus, target, WHEEL, PRESETS["paper"], 1), target


def published(ours: EditObjective, target: torch.Tensor, resize: Resize) -> list[Step]:
    plain = PublishedEdit(ours.bundle, ours.w_plus, ours.roi, target, resize=resize)
    return list(islice(plain.steps(LR), STEPS))


def own(ours: EditObjective) -> list[Step]:
    descent, steps = Descent(torch.zeros_like(ours.w_plus)), []
    sloping = Sloping(ours, ours.w_plus.device)
    for _ in range(STEPS):
        at = sloping.at(descent.value)
        descent.descend(at, LR)
        steps.append(Step(at.means(), at.drawn))
    return steps


def test_losses_and_pictures_are_those_of_the_published_form(edits) -> None:
    """To rounding, where features are resized in the same way."""
    ours, target = edits
    for mine, theirs in zip(own(ours), published(ours, target, "bilinear"), strict=True):
        assert {name: mine.losses[name] for name in theirs.losses} == pytest.approx(theirs.losses, rel=1e-6)
        torch.testing.assert_close(mine.picture, theirs.picture, rtol=1e-6, atol=1e-7)


def test_resized_to_the_nearest_the_losses_fall_alike(edits) -> None:
    """Features read otherwise make another segmenter: outside the same to begin with, and as far down."""
    ours, target = edits
    mine, theirs = own(ours), published(ours, target, "nearest")
    assert theirs[0].losses["rgb"] == mine[0].losses["rgb"] == 0
    assert theirs[-1].losses["total"] < theirs[0].losses["total"]
    fallen = [steps[-1].losses["total"] / steps[0].losses["total"] for steps in (mine, theirs)]
    assert fallen[0] == pytest.approx(fallen[1], rel=0.1)
