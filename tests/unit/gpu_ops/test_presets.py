"""What each preset makes of the losses; equations 2 to 5 on figures computed by hand."""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from operation import finish

from gpu_ops.bundle import Bundle
from gpu_ops.edit import edit
from gpu_ops.edit_objective import EditObjective
from gpu_ops.errors import IncompleteModelError, ShapeError
from gpu_ops.identity import Identity, IdentityConfig
from gpu_ops.picture import Picture
from gpu_ops.presets import PRESETS, EditWeights, weigh

pytestmark = pytest.mark.thorough

Codes = Callable[..., torch.Tensor]
WHEEL = (2, 3)


@pytest.fixture(scope="module")
def knowing(tiny: Bundle) -> Bundle:
    """The tiny model with an identity network."""
    torch.manual_seed(3)
    network = Identity(IdentityConfig(resolution=32, width=4, size=8)).eval()
    network.requires_grad_(False)
    return replace(tiny, identity=network)


@pytest.fixture(scope="module")
def w_plus(codes: Codes) -> torch.Tensor:
    return codes(2, seed=7)


@pytest.fixture(scope="module")
def target(tiny: Bundle, w_plus: torch.Tensor) -> Picture:
    masks = tiny.draw(w_plus)[1].to(torch.uint8).numpy()
    return np.where(masks == 2, 3, masks).astype(np.uint8)


def test_the_presets_are_those_of_the_papers() -> None:
    assert PRESETS["editq"] == EditWeights(15, 1, 0.15, 10, lpips=1, squares=1, factored=True)
    assert PRESETS["paper"] == EditWeights(15, 1, 0, 10, lpips=1, squares=1, factored=False)
    assert PRESETS["released"] == EditWeights(15, 1, 0, 0, lpips=10, squares=5, factored=False)


def test_a_model_without_identities_weighs_none_and_cannot_be_asked_to(tiny: Bundle, knowing: Bundle) -> None:
    assert [weigh(tiny, name).identity for name in PRESETS] == [0, 0, 0]
    assert [weigh(knowing, name).identity for name in PRESETS] == [10, 10, 0]
    assert weigh(knowing, lambda_id=0, lambda_rgb=3) == replace(PRESETS["editq"], identity=0, rgb=3)
    assert weigh(tiny, lambda_id=0).identity == 0
    with pytest.raises(IncompleteModelError, match="identity"):
        weigh(tiny, lambda_id=5)


@pytest.mark.parametrize("name", PRESETS)
def test_the_total_is_the_weighted_sum(
    knowing: Bundle, w_plus: torch.Tensor, target: Picture, name: str
) -> None:
    """Of losses computed one by one, at a point that is not the start."""
    weights, goal = PRESETS[name], torch.from_numpy(target).long()
    bundle = replace(knowing)
    objective = EditObjective(bundle, w_plus, goal, WHEEL, weights, 1)
    delta_w = 0.2 * torch.randn_like(w_plus)
    with torch.no_grad():
        losses, drawn = objective.losses(delta_w)
        keep = objective.outside[:, None]
        lpips = bundle.perceptual.lpips(drawn * keep, objective.inverted * keep).flatten()
        squares = (((drawn - objective.inverted) / 2 * keep) ** 2).mean(dim=(1, 2, 3))
        one, other = (knowing.identity(picture) for picture in (drawn, objective.inverted))
        identity = 1 - torch.nn.functional.cosine_similarity(one, other)
    rgb = weights.lpips * lpips + weights.squares * squares
    torch.testing.assert_close(losses["rgb"], rgb, rtol=1e-4, atol=1e-6)
    factor = bundle.perceptual.edit_factor if weights.factored else 1
    total = 15 * factor * rgb + losses["ce"] + weights.prior * losses["prior"] + weights.identity * identity
    torch.testing.assert_close(losses["total"], total, rtol=1e-4, atol=1e-5)
    assert ("identity" in losses) == (weights.identity > 0)
    if weights.identity:
        torch.testing.assert_close(losses["identity"], identity, rtol=1e-4, atol=1e-6)
        assert float(identity.min()) > 0


def test_the_identity_loss_keeps_the_person(knowing: Bundle, w_plus: torch.Tensor, target: Picture) -> None:
    distances = []
    for lambda_id in (0.0, 1000.0):
        steps, _ = finish(
            edit(knowing, w_plus, target, WHEEL, steps=8, lr=0.1, lambda_rgb=0, lambda_id=lambda_id)
        )
        objective = EditObjective(
            knowing, w_plus, torch.from_numpy(target).long(), WHEEL, EditWeights(identity=1), 1
        )
        assert steps[-1].state is not None
        with torch.no_grad():
            last = objective.losses(steps[-1].state()["value"])[0]
        distances.append(float(last["identity"].mean()))
    assert distances[1] < 0.8 * distances[0]


def test_layers_outside_the_range_stay_bit_for_bit(
    tiny: Bundle, w_plus: torch.Tensor, target: Picture
) -> None:
    _, result = finish(edit(tiny, w_plus, target, WHEEL, steps=4, lambda_rgb=0, layers=(2, 3)))
    moved = result.delta_w.abs().amax(dim=(0, 2))
    assert (moved > 0).nonzero().flatten().tolist() == [2, 3]
    for layers in ((3, 2), (0, w_plus.shape[1]), (-1, 2)):
        with pytest.raises(ShapeError, match="layers"):
            next(edit(tiny, w_plus, target, WHEEL, layers=layers))


def total_at(bundle: Bundle, code: torch.Tensor, weights: EditWeights) -> Callable[..., torch.Tensor]:
    """The summed loss of two pictures in float64, as a function of delta_w."""
    mask = bundle.draw(code)[1]
    objective = EditObjective(bundle, code, torch.where(mask == 2, 3, mask), WHEEL, weights, 1)
    return lambda delta_w: objective.losses(delta_w)[0]["total"].sum()


@pytest.mark.parametrize("name", PRESETS)
def test_the_gradient_of_every_preset_equals_finite_differences(
    tiny64: Bundle, w_plus: torch.Tensor, name: str
) -> None:
    tiny64.perceptual.edit_factor = 0.3
    code = w_plus.double()
    total = total_at(tiny64, code, replace(PRESETS[name], identity=0.0))
    at = 0.05 * torch.randn_like(code)
    delta_w = at.clone().requires_grad_()
    (slope,) = torch.autograd.grad(total(delta_w), delta_w)
    for _ in range(3):
        way = torch.randn_like(at)
        with torch.no_grad():
            rise = float(total(at + 1e-6 * way) - total(at - 1e-6 * way)) / 2e-6
        assert float((slope * way).sum()) == pytest.approx(rise, rel=1e-5)


def test_the_gradient_of_the_identity_loss_equals_finite_differences(
    tiny64: Bundle, knowing: Bundle, w_plus: torch.Tensor
) -> None:
    """The network's last step is float32, so that steps must be larger and agreement is less close."""
    assert knowing.identity is not None
    bundle = replace(tiny64, identity=copy.deepcopy(knowing.identity).double())
    code = w_plus.double()
    total = total_at(bundle, code, EditWeights(rgb=0, ce=0, prior=0, identity=100))
    at = 0.1 * torch.randn_like(code)
    delta_w = at.clone().requires_grad_()
    (slope,) = torch.autograd.grad(total(delta_w), delta_w)
    way = slope / slope.norm()
    with torch.no_grad():
        rise = float(total(at + 1e-3 * way) - total(at - 1e-3 * way)) / 2e-3
    assert float((slope * way).sum()) == pytest.approx(rise, rel=0.02)
