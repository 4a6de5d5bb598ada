"""Learning from pairs, and what a vector turns out to be about."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.change import Measure
from gpu_ops.errors import ShapeError
from gpu_ops.learn import Example, from_pairs, parts_that_changed, seen_change, show, what_changed
from gpu_ops.picture import Picture
from gpu_ops.refine import View

Codes = Callable[..., torch.Tensor]
PARTS = ("sky", "body", "tyre", "rim")


def test_a_pair_is_led_from_one_code_to_the_other(codes: Codes) -> None:
    before, after = codes(1, seed=1), codes(1, seed=2)
    torch.testing.assert_close(before + from_pairs([before], [after]), after, rtol=0, atol=1e-6)


def test_pairs_are_averaged_in_float64(codes: Codes) -> None:
    befores, afters = ([codes(1, seed=first + n) for n in range(5)] for first in (10, 20))
    expected = np.mean(
        [new.double().numpy() - old.double().numpy() for old, new in zip(befores, afters, strict=True)],
        axis=0,
    )
    got = from_pairs(befores, afters)
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got.numpy(), expected[0].astype(np.float32))


def test_codes_without_partners_are_refused(codes: Codes) -> None:
    for befores, afters in (([], []), ([codes(1)], []), ([codes(1)], [codes(1), codes(1)])):
        with pytest.raises(ShapeError, match="no pairs"):
            from_pairs(befores, afters)


def example(before: Picture, after: Picture, old: Picture, new: Picture) -> Example:
    return Example(View(before[None], old[None]), View(after[None], new[None]))


def scene() -> tuple[Picture, Picture]:
    """Noise, and a mask: sky above, body below, a tyre on the right."""
    mask = np.zeros((32, 32), np.uint8)
    mask[16:], mask[20:28, 20:28] = 1, 2
    return np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8), mask


def test_it_is_about_the_parts_that_change_in_the_mask() -> None:
    picture, old = scene()
    new = old.copy()
    new[19:29, 19:29] = 2  # the tyre grows by more than half, the body loses less than a tenth
    assert parts_that_changed(example(picture, picture, old, new), PARTS) == (2,)


def test_where_no_part_changes_it_is_about_those_whose_pixels_do() -> None:
    picture, mask = scene()
    painted = picture.copy()
    painted[mask == 2] = 255 - painted[mask == 2]
    assert parts_that_changed(example(picture, painted, mask, mask), PARTS) == (2,)
    assert parts_that_changed(example(picture, picture, mask, mask), PARTS)  # never nothing at all


def test_the_change_is_seen_by_segmenter_and_judge(tiny: Bundle, codes: Codes) -> None:
    shown = show(tiny, codes(1, seed=3), codes(1, seed=4)[0] - codes(1, seed=3)[0])
    measure = Measure("growth", "body", (1,))
    seen = seen_change(tiny, shown, measure)
    assert seen["segmenter"] == measure.of(shown.before.masks[0], shown.after.masks[0])
    assert tiny.judge is not None
    judged = [tiny.judge.predict(view.pictures)[0] for view in (shown.before, shown.after)]
    assert seen["judge"] == pytest.approx(measure.of(judged[0], judged[1]), nan_ok=True)
    assert seen_change(tiny, shown, None) == {}
    assert what_changed(shown, tiny.parts, {}, (0, 1, 2, 3))
