"""Inversions, edits, vectors and refinements of many pictures equal the single calls, whenever they enter.

In float64 the numbers are the same but for the last digits; so are all decisions. In float32 a tensor step of
several items rounds otherwise than one alone, and Adam takes that further from step to step.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from operation import finish

from gpu_ops.apply import Plan, apply
from gpu_ops.bundle import Bundle
from gpu_ops.edit import edit
from gpu_ops.errors import IncompleteModelError, MaskUnchangedError, NonFiniteError, ShapeError
from gpu_ops.invert import InvertResult, invert
from gpu_ops.many.applying import Applying, ApplyTask, Drawing
from gpu_ops.many.editing import Editing, EditTask
from gpu_ops.many.events import Failed, Finished, Tick
from gpu_ops.many.inverting import Inverting
from gpu_ops.many.loop import many
from gpu_ops.many.work import AnyWork
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.presets import weigh
from gpu_ops.prior import WhitenedPrior
from gpu_ops.progress import State
from gpu_ops.refine import look
from gpu_ops.training.encoder import encoder_for

pytestmark = pytest.mark.thorough

Codes = Callable[..., torch.Tensor]
WHEEL = (2, 3)
DIGITS = {"rtol": 1e-6, "atol": 1e-7}  # of float64, after some steps of Adam


@pytest.fixture(scope="module")
def exact(tiny: Bundle) -> Bundle:
    """The tiny model in float64."""
    bundle = copy.deepcopy(tiny)
    for network in (bundle.generator, bundle.segmenter, bundle.perceptual):
        network.double()
    return replace(bundle, prior=WhitenedPrior.fit(bundle.generator, samples=500))


@pytest.fixture(scope="module")
def w_plus(exact: Bundle, codes: Codes) -> torch.Tensor:
    return codes(3, seed=7).double()


@pytest.fixture(scope="module")
def pictures(exact: Bundle, w_plus: torch.Tensor) -> Picture:
    return to_uint8(exact.draw(w_plus)[0])


@pytest.fixture(scope="module")
def tasks(exact: Bundle, w_plus: torch.Tensor) -> list[EditTask]:
    """Three edits about different parts."""
    masks = exact.draw(w_plus)[1].to(torch.uint8).numpy()
    found = []
    for n, (old, new) in enumerate([(2, 3), (0, 1), (3, 2)]):
        target = np.where(masks[n] == old, new, masks[n]).astype(np.uint8)
        found.append(EditTask(w_plus[n : n + 1], target, (old, new)))
    return found


def all_of(
    work: AnyWork, items: Iterable[Any], width: int = 2, resume: dict[Any, State] | None = None
) -> dict[Any, Any]:
    """Results by number; an error fails the test."""
    found = {}
    for event in many(work, enumerate(items), width=width, resume=resume):
        assert not isinstance(event, Failed), event
        if isinstance(event, Finished):
            found[event.key] = event.result
    return found


def assert_figures(found: dict[str, Any], alone: dict[str, Any]) -> None:
    assert found.keys() == alone.keys()
    for name, figure in alone.items():
        expected = pytest.approx(figure, rel=1e-5) if isinstance(figure, float) else figure
        assert found[name] == expected, name


def test_inversions_together_equal_each_alone(exact: Bundle, pictures: Picture) -> None:
    found = all_of(Inverting(exact, steps=5, lambda_prior=0.1), pictures)
    for n in range(3):
        _, alone = finish(invert(exact, pictures[n : n + 1], steps=5, lambda_prior=0.1))
        torch.testing.assert_close(found[n].w_plus, alone.w_plus, **DIGITS)
        assert found[n].losses_last == pytest.approx(alone.losses_last, rel=1e-6)
        assert np.array_equal(found[n].pictures, alone.pictures)
        assert np.array_equal(found[n].masks, alone.masks)
        assert (found[n].psnr_db, found[n].steps, found[n].start) == (alone.psnr_db, 5, "w_avg")
        assert found[n].complete


def test_edits_together_equal_each_alone(exact: Bundle, tasks: list[EditTask]) -> None:
    found = all_of(Editing(exact, steps=4), tasks)
    for n, task in enumerate(tasks):
        _, alone = finish(edit(exact, task.w_plus, task.target_mask[None], task.q_edit, steps=4))
        torch.testing.assert_close(found[n].delta_w, alone.delta_w, **DIGITS)
        for name in ("pictures", "masks", "inverted", "masks_before"):
            assert np.array_equal(getattr(found[n], name), getattr(alone, name)), name
        assert_figures(found[n].metrics[0], alone.metrics[0])
        assert found[n].steps == 4


def test_an_edit_of_some_layers_leaves_the_others(tiny: Bundle, tasks: list[EditTask]) -> None:
    single = [replace(task, w_plus=task.w_plus.float()) for task in tasks]
    work = Editing(tiny, 3, 0.002, weigh(tiny, lambda_rgb=0, lambda_prior=0), layers=(2, 4))
    for result in all_of(work, single).values():
        assert result.delta_w[:, 2:5].abs().min(dim=2).values.gt(0).all()
        assert not result.delta_w[:, [0, 1, 5, 6, 7]].any()
    with pytest.raises(ShapeError, match="layers 2 to 9"):
        Editing(tiny, layers=(2, 9))


@pytest.mark.parametrize("mode", ["refinement", "optimisation", "auto"])
def test_refinements_together_equal_each_alone(
    exact: Bundle, w_plus: torch.Tensor, tasks: list[EditTask], mode: str
) -> None:
    plan = Plan(mode=mode, refine_steps=3, steps=4)  # type: ignore[arg-type]
    steps = torch.randn(3, *w_plus.shape[1:], generator=torch.Generator().manual_seed(2)).double()
    wanted = [
        ApplyTask(w_plus[:1], 0.8 * steps[0], WHEEL),
        ApplyTask(w_plus[1:2], None, WHEEL),
        ApplyTask(w_plus[1:2], 0.01 * steps[1], WHEEL),
        ApplyTask(w_plus[2:], 0.4 * steps[2], ()),
    ]
    found = all_of(Applying(exact, plan), wanted)
    for n, task in enumerate(wanted):
        _, alone = finish(apply(exact, task.w_plus, task.delta_w, task.q_edit, plan))
        torch.testing.assert_close(found[n].delta_w, alone.delta_w, **DIGITS)
        assert np.array_equal(found[n].picture, alone.picture)
        assert np.array_equal(found[n].mask, alone.mask)
        assert (found[n].way, found[n].why, found[n].steps) == (alone.way, alone.why, alone.steps)
        assert_figures(found[n].figures, alone.figures)
        leak = found[n].figures["psnr_outside_db"]
        assert leak is None or leak >= found[n].figures["psnr_outside_vector_db"]
    assert {found[n].steps for n in range(4)} >= ({0, 3} if mode == "refinement" else {0, 4})


@pytest.mark.parametrize("width", [2, 8])
def test_pictures_drawn_together_are_within_a_grey_level(tiny: Bundle, codes: Codes, width: int) -> None:
    w_plus, delta_w = codes(8, seed=3), codes(8, seed=4) - codes(8, seed=5)
    wanted = [ApplyTask(w_plus[n : n + 1], delta_w[n] if n % 3 else None) for n in range(8)]
    found = all_of(Drawing(tiny), wanted, width=width)
    for n, task in enumerate(wanted):
        alone = look(tiny, task.w_plus if task.delta_w is None else task.w_plus + task.delta_w)
        apart = np.abs(found[n].pictures.astype(int) - alone.pictures)
        assert apart.max() <= 1
        assert np.mean(found[n].masks != alone.masks) <= 0.001
    narrow = all_of(Drawing(tiny), wanted, width=1)
    for n, task in enumerate(wanted):
        _, alone = finish(apply(tiny, task.w_plus, task.delta_w, WHEEL, Plan()))
        assert np.array_equal(narrow[n].pictures[0], alone.picture)
        assert np.array_equal(narrow[n].masks[0], alone.mask)


def test_in_float32_the_first_steps_are_within_rounding(tiny: Bundle, pictures: Picture) -> None:
    """Of the size of the steps, which Adam keeps where gradients are nearly nothing."""
    found = all_of(Inverting(tiny, steps=3, lr=0.01), pictures)
    for n in range(3):
        _, alone = finish(invert(tiny, pictures[n : n + 1], steps=3, lr=0.01))
        apart = (found[n].w_plus - alone.w_plus).abs()
        assert apart.max() <= 2 * 0.01 * 3
        assert apart.median() <= 1e-5
        assert found[n].losses_last == pytest.approx(alone.losses_last, rel=1e-3)


def test_one_at_a_time_it_is_the_single_call_to_the_bit(tiny: Bundle, pictures: Picture) -> None:
    found = all_of(Inverting(tiny, steps=4), pictures[:2], width=1)
    for n in range(2):
        _, alone = finish(invert(tiny, pictures[n : n + 1], steps=4))
        assert torch.equal(found[n].w_plus, alone.w_plus)
        assert found[n].losses_last == alone.losses_last


def test_either_goes_on_from_the_other_s_checkpoint(tiny: Bundle, pictures: Picture) -> None:
    one = pictures[:1]
    _, whole = finish(invert(tiny, one, steps=5))
    run = many(Inverting(tiny, steps=5), [("a", one[0])], width=1)
    ticks = (event for event in run if isinstance(event, Tick))
    next(ticks)
    states = next(ticks).states()
    _, resumed = finish(invert(tiny, one, steps=5, resume=states["a"]))
    single = invert(tiny, one, steps=5)
    next(single)
    state = next(single).state
    assert state is not None
    again = all_of(Inverting(tiny, steps=5), one, width=1, resume={0: state()})[0]
    for found in (resumed, again):
        assert torch.equal(found.w_plus, whole.w_plus)
        assert found.losses_last == whole.losses_last


def test_each_picture_has_a_patience_of_its_own(tiny: Bundle, pictures: Picture) -> None:
    """At a rate too small to improve anything by 1 %, one alone ends so early; so do all, and none waits."""
    work = Inverting(tiny, steps=50, lr=1e-6, patience=2)
    found: dict[Any, InvertResult] = all_of(work, pictures)
    assert [found[n].steps for n in range(3)] == [3, 3, 3]
    assert all(found[n].complete for n in range(3))


def test_inversions_start_at_the_encoder_s_guess_where_there_is_one(tiny: Bundle, pictures: Picture) -> None:
    with pytest.raises(IncompleteModelError, match="encoder"):
        Inverting(tiny, start="encoder")
    torch.manual_seed(1)
    encoder = encoder_for(tiny, width=8, widest=16, pyramid=8).eval().requires_grad_(False)
    bundle = replace(tiny, encoder=encoder)
    found = all_of(Inverting(bundle, steps=1), pictures)
    for n in range(3):
        _, alone = finish(invert(bundle, pictures[n : n + 1], steps=1))
        assert torch.equal(found[n].w_plus, alone.w_plus)
        assert found[n].start == "encoder"


def test_what_is_wrong_with_one_item_is_its_own_affair(tiny: Bundle, tasks: list[EditTask]) -> None:
    single = [replace(task, w_plus=task.w_plus.float()) for task in tasks]
    there = tiny.draw(single[0].w_plus)[1][0].to(torch.uint8).numpy()
    unknown = single[1].target_mask.copy()
    unknown[0, 0] = 200
    items = {
        "good": single[0],
        "unchanged": replace(single[0], target_mask=there),
        "small": replace(single[0], target_mask=there[:16]),
        "unknown part": replace(single[1], target_mask=unknown),
        "code": replace(single[0], w_plus=single[0].w_plus[:, :2]),
        "diverged": replace(single[0], w_plus=single[0].w_plus + torch.nan),
        "also good": single[2],
    }
    told = {}
    for event in many(Editing(tiny, steps=2), items.items(), width=3):
        if isinstance(event, Failed):
            told[event.key] = type(event.error)
        if isinstance(event, Finished):
            told[event.key] = event.result.steps
    assert told == {
        "good": 2,
        "unchanged": MaskUnchangedError,
        "small": ShapeError,
        "unknown part": ShapeError,
        "code": ShapeError,
        "diverged": NonFiniteError,
        "also good": 2,
    }


def test_a_vector_of_another_model_fails_alone(tiny: Bundle, codes: Codes) -> None:
    code = codes(1, seed=3)
    items = [ApplyTask(code, code[0, :3]), ApplyTask(code, code[0])]
    events = list(many(Drawing(tiny), enumerate(items), width=2))
    assert [event.key for event in events if isinstance(event, Failed)] == [0]
    assert [event.key for event in events if isinstance(event, Finished)] == [1]
