"""Applying and refining on a random model: exactness, what is chosen and why, never worse outside."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from operation import finish

from gpu_ops.apply import Applied, Plan, apply, choose
from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.edit import EditResult, edit
from gpu_ops.learn import show
from gpu_ops.metrics import psnr_db
from gpu_ops.picture import Picture
from gpu_ops.presets import weigh
from gpu_ops.refine import look, refine, refine_weights
from gpu_ops.sample import seeded_code
from gpu_ops.score import outside_of
from gpu_ops.stylegan2.synthesis import SynthesisOutput
from gpu_ops.vectors import Use, combine

Codes = Callable[..., torch.Tensor]
WHEEL = (2, 3)

PRETRAINED = Path(__file__).parents[3] / "gpu_ops" / "pretrained"


@pytest.fixture(scope="module")
def first(codes: Codes) -> torch.Tensor:
    return codes(1, seed=7)


@pytest.fixture(scope="module")
def learned(tiny: Bundle, first: torch.Tensor) -> EditResult:
    """An edit that turns tyre into rim."""
    mask = tiny.draw(first)[1].to(torch.uint8).numpy()
    target = np.where(mask == 2, 3, mask).astype(np.uint8)
    _, result = finish(edit(tiny, first, target, WHEEL, steps=6, lr=0.1, lambda_rgb=0, lambda_prior=0))
    assert not np.array_equal(result.pictures, result.inverted)
    return result


def outside_db(before: Picture, after: Picture, outside: np.ndarray) -> float:
    return psnr_db(after, before, outside) if outside.any() else float("inf")


def run(
    tiny: Bundle, w_plus: torch.Tensor, learned: EditResult, strength: float, plan: Plan | None = None
) -> Applied:
    uses = [Use(learned.delta_w[0], strength, "a")]
    _, applied = finish(apply(tiny, w_plus, combine(uses, w_plus), WHEEL, plan or Plan()))
    return applied


def test_the_picture_is_told_of_before_its_parts_are_found(
    tiny: Bundle, first: torch.Tensor, learned: EditResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, found = look(tiny, first), []
    predict = tiny.segmenter.predict
    monkeypatch.setattr(tiny.segmenter, "predict", lambda maps: found.append(1) or predict(maps))
    steps = apply(tiny, first, learned.delta_w[0], WHEEL, Plan(), before=before)
    progress = next(steps)
    assert progress.preview is not None
    assert np.array_equal(progress.preview(), learned.pictures)
    assert (progress.step, progress.total, found) == (1, 1, [])
    _, applied = finish(steps)
    assert np.array_equal(applied.mask, learned.masks[0])


def test_strength_one_reproduces_what_was_learned_and_zero_the_inversion(
    tiny: Bundle, first: torch.Tensor, learned: EditResult
) -> None:
    one, zero = (run(tiny, first, learned, strength) for strength in (1.0, 0.0))
    assert np.array_equal(one.picture, learned.pictures[0])
    assert np.array_equal(one.mask, learned.masks[0])
    assert torch.equal(one.delta_w, learned.delta_w)
    assert np.array_equal(zero.picture, learned.inverted[0])
    assert np.array_equal(zero.mask, learned.masks_before[0])
    example = show(tiny, first, learned.delta_w[0])
    assert np.array_equal(example.after.pictures, learned.pictures)


def test_strength_zero_is_nothing_in_every_mode(
    tiny: Bundle, first: torch.Tensor, learned: EditResult
) -> None:
    for mode in ("auto", "refinement", "optimisation"):
        applied = run(tiny, first, learned, 0.0, Plan(mode=mode, refine_steps=2, steps=2))  # type: ignore[arg-type]
        assert (applied.way, applied.why, applied.steps) == ("vector", "every strength is 0", 0)
        assert np.array_equal(applied.picture, learned.inverted[0])


def test_refinement_is_never_worse_outside(tiny: Bundle, codes: Codes, learned: EditResult) -> None:
    """Of three pictures together: each result is the better one of two."""
    w_plus = codes(3, seed=11)
    delta_w = (1.5 * learned.delta_w).expand_as(w_plus)
    seen, refined = finish(refine(tiny, w_plus, delta_w, WHEEL, steps=8))
    assert [progress.step for progress in seen] == list(range(1, 9))
    before, vector, after = (look(tiny, w_plus + step) for step in (0 * delta_w, delta_w, refined.delta_w))
    for item, better in enumerate(refined.better):
        outside = outside_of(before.masks[item], vector.masks[item], WHEEL)
        old, new = (
            outside_db(before.pictures[item], view.pictures[item], outside) for view in (vector, after)
        )
        assert new >= old
        assert better == (not torch.equal(refined.delta_w[item], delta_w[item]))
    assert any(refined.better)


def test_a_refinement_that_makes_it_worse_is_dropped(
    tiny: Bundle, first: torch.Tensor, learned: EditResult
) -> None:
    """Told to mind the mask alone, at a rate far too high, it leaves the picture."""
    weights = replace(weigh(tiny), rgb=0.0, prior=0.0)
    small = 0.02 * learned.delta_w
    _, refined = finish(refine(tiny, first, small, WHEEL, steps=3, lr=3.0, weights=weights))
    view = look(tiny, first + refined.delta_w)
    before, vector = look(tiny, first), look(tiny, first + small)
    outside = outside_of(before.masks[0], vector.masks[0], WHEEL)
    old, new = (outside_db(before.pictures[0], each.pictures[0], outside) for each in (vector, view))
    assert new >= old


def test_refinement_weighs_as_the_papers_do(tiny: Bundle) -> None:
    weights = refine_weights(tiny)
    assert (weights.rgb, weights.ce, weights.identity) == (5, 1, 0)


@pytest.mark.parametrize("mode", ["refinement", "optimisation"])
def test_optimising_asks_for_the_mask_that_the_vector_gave(
    tiny: Bundle, codes: Codes, learned: EditResult, mode: str
) -> None:
    w_plus = codes(1, seed=12)
    plan = Plan(mode=mode, refine_steps=3, steps=4)  # type: ignore[arg-type]
    alone, applied = run(tiny, w_plus, learned, 2.0), run(tiny, w_plus, learned, 2.0, plan)
    assert applied.steps == (3 if mode == "refinement" else 4)
    before = look(tiny, w_plus)
    outside = outside_of(before.masks[0], alone.mask, WHEEL)
    old, new = (outside_db(before.pictures[0], each.picture, outside) for each in (alone, applied))
    assert new >= old
    assert applied.figures["psnr_outside_vector_db"] == old
    if applied.way == "vector":
        assert torch.equal(applied.delta_w, alone.delta_w)
        assert "would have changed more" in applied.why


@pytest.mark.parametrize(
    ("leak_db", "gain_db", "way"),
    [
        (float("inf"), 3.0, "vector"),
        (29.0, None, "vector"),
        (28.9, 0.0, "refinement"),
        (24.0, 3.0, "refinement"),
        (24.0, None, "refinement"),
        (22.9, 3.0, "optimisation"),
        (21.9, None, "optimisation"),
        (22.9, 8.0, "refinement"),
        (25.0, -1.0, "optimisation"),
    ],
)
def test_what_leaks_chooses_the_way_and_says_why(leak_db: float, gain_db: float | None, way: str) -> None:
    chosen, why = choose(leak_db, gain_db)
    assert chosen == way
    assert f"{leak_db:.1f} dB" in why
    assert ("report" in why) == (gain_db is not None and chosen != "vector")


def test_auto_goes_by_the_picture_at_hand(tiny: Bundle, codes: Codes, learned: EditResult) -> None:
    w_plus = codes(1, seed=12)
    plan = Plan(mode="auto", refine_steps=1, steps=1)
    faint, strong = (run(tiny, w_plus, learned, strength, plan) for strength in (0.001, 4.0))
    assert (faint.way, faint.steps) == ("vector", 0)
    assert strong.steps == 1
    assert strong.figures["psnr_outside_vector_db"] < 29


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["refinement", "optimisation"])
def test_a_cut_and_a_restart_change_no_bit(
    tiny: Bundle, codes: Codes, learned: EditResult, mode: str
) -> None:
    w_plus, delta_w = codes(1, seed=12), 2 * learned.delta_w[0]
    plan = Plan(mode=mode, refine_steps=5, steps=5)  # type: ignore[arg-type]
    _, whole = finish(apply(tiny, w_plus, delta_w, WHEEL, plan))
    cut = apply(tiny, w_plus, delta_w, WHEEL, plan)
    for _ in range(3):
        progress = next(cut)
    assert progress.state is not None
    _, resumed = finish(apply(tiny, w_plus, delta_w, WHEEL, plan, resume=progress.state()))
    _, known = finish(apply(tiny, w_plus, delta_w, WHEEL, plan, found=whole.optimised))
    for again in (resumed, known):
        assert torch.equal(again.delta_w, whole.delta_w)
        assert np.array_equal(again.picture, whole.picture)
        assert (again.way, again.why, again.figures) == (whole.way, whole.why, whole.figures)


def test_stopped_it_keeps_the_best_so_far(tiny: Bundle, codes: Codes, learned: EditResult) -> None:
    plan = Plan(mode="refinement", refine_steps=50)
    seen, applied = finish(apply(tiny, codes(1, seed=12), learned.delta_w[0], WHEEL, plan), stop_at=2)
    assert len(seen) == applied.steps == 2


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["cars", "faces"])
def test_in_half_precision_pictures_are_within_two_grey_levels_and_masks_alike(name: str) -> None:
    bundle = load_bundle(PRETRAINED / name)
    for seed in range(5):
        w_plus = seeded_code(bundle, seed, 0.7)
        mine, full = look(replace(bundle, half=True), w_plus), look(bundle, w_plus)
        assert 0 < np.abs(mine.pictures.astype(int) - full.pictures).max() <= 2
        assert (mine.masks != full.masks).mean() <= 0.002


def test_vectors_are_applied_in_half_precision_on_a_gpu_where_it_is_asked_for(tiny: Bundle) -> None:
    gpu, low = torch.device("cuda", 0), torch.bfloat16
    assert replace(tiny, device=gpu, low_precision=low).for_applying().half
    assert not replace(tiny, device=gpu).for_applying().half
    assert not replace(tiny, low_precision=low).for_applying().half


def test_what_half_precision_cannot_hold_is_drawn_again(
    tiny: Bundle, first: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesise, half = tiny.generator.synthesise, []

    def overflowing(w_plus: torch.Tensor) -> SynthesisOutput:
        output = synthesise(w_plus)
        half.append(torch.is_autocast_enabled("cpu"))
        return replace(output, features=[each * 1e6 for each in output.features]) if half[-1] else output

    monkeypatch.setattr(tiny.generator, "synthesise", overflowing)
    mine = look(replace(tiny, half=True), first)
    assert half == [True, False]
    full = look(tiny, first)
    assert mine.pictures.tobytes() == full.pictures.tobytes()
    assert mine.masks.tobytes() == full.masks.tobytes()
