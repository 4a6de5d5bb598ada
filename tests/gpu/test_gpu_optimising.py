"""Losses, slopes and whole optimisations on a GPU, against float64 on the CPU and against themselves."""

import warnings
from dataclasses import dataclass, fields
from itertools import permutations

import numpy as np
import pytest
import torch
from nearness import apart, cosine, finish

from gpu_ops.apply import Plan, apply
from gpu_ops.bundle import Bundle
from gpu_ops.edit import edit
from gpu_ops.edit_objective import EditObjective
from gpu_ops.invert import InvertObjective, invert
from gpu_ops.picture import to_uint8
from gpu_ops.presets import weigh
from gpu_ops.refine import leak_db, look, refine
from gpu_ops.score import outside_of
from gpu_ops.vectors import Use, combine, compose

NEAR = 2e-3  # of each loss, and of the largest slope
LR, STEPS = 0.02, 6


@dataclass
class SameMasks(Bundle):
    """A bundle whose drawn masks are given: a pixel between two parts is to fall the same way twice."""

    masks: torch.Tensor | None = None

    @torch.no_grad()
    def draw(self, w_plus: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.masks is not None
        return self.generator.synthesise(w_plus).picture, self.masks.to(self.device)


def with_masks(bundle: Bundle, masks: torch.Tensor) -> SameMasks:
    return SameMasks(**{each.name: getattr(bundle, each.name) for each in fields(bundle)}, masks=masks)


@pytest.fixture(scope="module")
def wheel(cars) -> tuple[int, ...]:
    return tuple(cars.parts.index(name) for name in cars.description["groups"]["wheel"])


@pytest.fixture(scope="module")
def masks(exact, codes) -> torch.Tensor:
    return exact.draw(codes)[1]


@pytest.fixture(scope="module")
def targets(masks, wheel) -> np.ndarray:
    """Wheels moved by three pixels: uint8 [8, R, R]."""
    old = masks.to(torch.uint8).numpy()
    moved = np.roll(old, 3, axis=2)
    return np.where(np.isin(moved, wheel), moved, old)


def slopes_of(objective, value: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Each loss [N], and the slope of each [N, L, D]."""
    value = value.clone().requires_grad_(True)
    losses, _ = objective.losses(value)
    slopes = {
        name: torch.autograd.grad(loss.sum(), value, retain_graph=True)[0] for name, loss in losses.items()
    }
    return losses, slopes


def assert_near(found, wanted, names: set[str]) -> None:
    (losses, slopes), (known, known_slopes) = found, wanted
    assert losses.keys() == known.keys() == names
    for name in names:
        assert apart(losses[name], known[name]) <= NEAR, name
        assert apart(slopes[name], known_slopes[name]) <= 5 * NEAR, name
        assert cosine(slopes[name], known_slopes[name]) >= 0.9999, name


def test_each_loss_of_an_edit_and_its_slope(cars, exact, codes, masks, targets, wheel) -> None:
    delta_w = 0.05 * torch.randn(2, *codes.shape[1:], generator=torch.Generator().manual_seed(2)).double()
    found = []
    for bundle in (cars, exact):
        like = bundle.generator.mapping.w_avg
        own = with_masks(bundle, masks[:2])
        target = torch.from_numpy(targets[:2]).long().to(bundle.device)
        objective = EditObjective(own, codes[:2].to(like), target, wheel, weigh(own, lambda_id=10.0), 1)
        found.append(slopes_of(objective, delta_w.to(like)))
    assert_near(*found, {"total", "rgb", "ce", "prior", "identity"})


def test_each_loss_of_an_inversion_and_its_slope(cars, exact, codes) -> None:
    pictures = to_uint8(exact.generator.synthesise(codes[:3]).picture)
    found = []
    for bundle in (cars, exact):
        like = bundle.generator.mapping.w_avg
        objective = InvertObjective(bundle, pictures)
        found.append(slopes_of(objective, codes[3:6].to(like)))
    assert_near(*found, {"total", "lpips", "mse"})


def test_an_edit_s_losses_in_bfloat16_are_those_of_float32_but_for_its_rounding(
    cars, codes, masks, targets, wheel
) -> None:
    delta_w = 0.05 * torch.randn(2, *codes.shape[1:], generator=torch.Generator().manual_seed(2))
    found = []
    for low in (torch.bfloat16, None):
        own = with_masks(cars, masks[:2])
        own.low_precision = low
        target = torch.from_numpy(targets[:2]).long().to(cars.device)
        w_plus = codes[:2].float().to(cars.device)
        objective = EditObjective(own, w_plus, target, wheel, weigh(own, lambda_id=0.0), 1)
        found.append(slopes_of(objective, delta_w.to(cars.device)))
    (low, low_slopes), (full, full_slopes) = found
    assert apart(low["total"], full["total"]) <= 0.05
    assert cosine(low_slopes["total"], full_slopes["total"]) >= 0.95


def test_the_first_steps_of_an_edit_are_the_cpu_s(cars, plain, codes, targets, wheel) -> None:
    told = []
    for bundle in (cars, plain):
        w_plus = codes[:2].float().to(bundle.device)
        seen, result = finish(edit(bundle, w_plus, targets[:2], wheel, steps=3, lr=0.001))
        told.append([progress.losses["total"] for progress in seen])
        assert result.delta_w.device.type == bundle.device.type
    assert told[0] == pytest.approx(told[1], rel=0.02)  # a mask's pixel may fall the other way


def test_refinement_is_never_worse_outside_and_its_first_steps_are_the_cpu_s(
    cars, plain, codes, wheel
) -> None:
    delta_w = (codes[3:6] - codes[:3]) * 0.5
    told = []
    for bundle in (cars, plain):
        w_plus, step = (each.float().to(bundle.device) for each in (codes[:3], delta_w))
        seen, result = finish(refine(bundle, w_plus, step, wheel, steps=STEPS))
        told.append([progress.losses["total"] for progress in seen])
        before, applied, after = (look(bundle, w_plus + each) for each in (0 * step, step, result.delta_w))
        for item in range(3):
            outside = outside_of(before.masks[item], applied.masks[item], wheel)
            kept, refined = (
                leak_db(before.pictures[item], view.pictures[item], outside) for view in (applied, after)
            )
            assert refined >= kept
    assert told[0][:3] == pytest.approx(told[1][:3], rel=0.05)


def test_strength_zero_is_the_inversion_bit_for_bit(cars, codes, wheel) -> None:
    pictures = look(cars, codes[:1].float().to(cars.device)).pictures
    _, inverted = finish(invert(cars, pictures, steps=2))
    vector = (codes[1] - codes[0]).float()
    none = combine([Use(vector, 0.0, "a")], inverted.w_plus)
    _, applied = finish(apply(cars, inverted.w_plus, none, wheel, Plan()))
    assert applied.picture.tobytes() == inverted.pictures[0].tobytes()
    assert applied.mask.tobytes() == inverted.masks[0].tobytes()
    assert torch.equal(compose(inverted.w_plus, [Use(vector, 0.0, "a")]), inverted.w_plus)


def test_vectors_in_any_order_are_the_same_bytes(cars, codes) -> None:
    w_plus = codes[:1].float().to(cars.device)
    uses = [Use((codes[n] - codes[0]).float(), 0.3 * n - 0.7, f"{n}") for n in (1, 2, 3)]
    views = [look(cars, compose(w_plus, order)) for order in permutations(uses)]
    assert {view.pictures.tobytes() for view in views} == {views[0].pictures.tobytes()}
    assert {view.masks.tobytes() for view in views} == {views[0].masks.tobytes()}


def operations(cars, codes, targets, wheel):
    """An inversion and an edit of two pictures, from the start or from a state."""
    w_plus = codes[:2].float().to(cars.device)
    pictures = look(cars, codes[2:4].float().to(cars.device)).pictures
    return {
        "invert": lambda resume: invert(cars, pictures, steps=STEPS, start="w_avg", resume=resume),
        "edit": lambda resume: edit(
            cars, w_plus, targets[:2], wheel, steps=STEPS, lambda_id=0.0, resume=resume
        ),
    }


def code_of(result) -> torch.Tensor:
    return result.delta_w if hasattr(result, "delta_w") else result.w_plus


@pytest.mark.usefixtures("_deterministic")
@pytest.mark.parametrize("kind", ["invert", "edit"])
def test_twice_and_from_a_checkpoint_the_bits_are_the_same(cars, codes, targets, wheel, kind: str) -> None:
    """With torch's deterministic algorithms; the identity's antialiased resizing has none: left out."""
    begin = operations(cars, codes, targets, wheel)[kind]
    _, whole = finish(begin(None))
    _, again = finish(begin(None))
    run = begin(None)
    states = [next(run).state() for _ in range(3)]
    _, resumed = finish(begin(states[-1]))
    for other in (again, resumed):
        assert torch.equal(code_of(other), code_of(whole))
        assert other.pictures.tobytes() == whole.pictures.tobytes()
        assert other.masks.tobytes() == whole.masks.tobytes()


@pytest.mark.parametrize("kind", ["invert", "edit"])
def test_twice_as_torch_comes_the_codes_part_by_no_more_than_rounding(
    cars, codes, targets, wheel, kind: str
) -> None:
    begin = operations(cars, codes, targets, wheel)[kind]
    (_, one), (_, other) = finish(begin(None)), finish(begin(None))
    if not torch.equal(code_of(one), code_of(other)):
        warnings.warn(f"{kind}: twice is not the same bits without deterministic algorithms", stacklevel=1)
    # Adam's first steps go by the sign of a gradient: where that is all but nothing, rounding turns it.
    # Seen on an H100 after as many steps: 0.004 at the median of the edit's, its losses 0.15 % apart.
    assert float((code_of(one) - code_of(other)).abs().median()) <= 1e-2
